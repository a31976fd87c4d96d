import json
import threading

import pytest

from lessonlib.page import journal


def test_entries_survive_and_stay_apart(progress_file):
    journal.record_guess("l05_p1", 3.5)
    journal.record_check("l05_e1", passed=False)
    journal.record_check("l05_e1", passed=True)
    journal.record_check("l05_e1", passed=False)
    journal.record_answer("05_kv_cache", 1, right=False)
    journal.record_answer("05_kv_cache", 1, right=True)
    data = json.loads(progress_file.read_text())
    assert data["guesses"]["l05_p1"]["value"] == 3.5
    assert data["checks"]["l05_e1"]["passed"] is True and data["checks"]["l05_e1"]["tries"] == 2
    assert data["quizzes"]["05_kv_cache"]["1"] == {"first": False, "last": True}
    assert [p.name for p in progress_file.parent.iterdir()] == ["progress.json"]


def test_unknown_fields_are_kept(progress_file):
    progress_file.parent.mkdir()
    progress_file.write_text(json.dumps({"later": 1, "checks": {"l00_e1": {"passed": True}}}))
    journal.record_guess("g", 1)
    data = json.loads(progress_file.read_text())
    assert data["later"] == 1 and data["checks"]["l00_e1"] == {"passed": True}


@pytest.mark.parametrize("broken", ["", "{half", "[]", '{"checks": 5}', "\udc80"])
def test_a_broken_file_is_kept_beside(progress_file, broken):
    progress_file.parent.mkdir()
    for number in range(2):
        progress_file.write_bytes(broken.encode("utf-8", "surrogateescape"))
        journal.record_guess("g", number)
        assert journal.entry("guesses", "g")["value"] == number
    kept = sorted(p.name for p in progress_file.parent.iterdir())
    assert kept == ["progress.json", "progress.json.bak", "progress.json.bak1"]
    assert (progress_file.parent / "progress.json.bak").read_bytes() == broken.encode("utf-8", "surrogateescape")


def test_a_failed_write_leaves_the_old_file(progress_file, monkeypatch):
    journal.record_guess("g", 1)
    before = progress_file.read_bytes()

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(journal.json, "dump", full)
    journal.record_guess("g", 2)
    assert progress_file.read_bytes() == before
    assert [p.name for p in progress_file.parent.iterdir()] == ["progress.json"]
    assert journal.entry("guesses", "g")["value"] == 2  # this kernel still knows


def test_a_value_that_json_cannot_hold_does_not_stop_the_lesson(progress_file):
    journal.record_guess("g", object())
    assert not progress_file.exists() or "g" not in json.loads(progress_file.read_text())["guesses"]


def test_no_place_to_write_is_no_trouble(monkeypatch, tmp_path):
    wall = tmp_path / "wall"
    wall.write_text("a file, not a folder")
    monkeypatch.setenv("LESSONLIB_PROGRESS", str(wall / "progress.json"))
    journal.record_guess("g", 1)
    assert journal.entry("guesses", "g")["value"] == 1


@pytest.mark.parametrize("variables", [{"LESSONLIB_PROGRESS": "off"}, {"NBGRADER_EXECUTION": "autograde"}])
def test_off_means_no_file(monkeypatch, variables):
    monkeypatch.delenv("LESSONLIB_PROGRESS")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert journal.location() is None
    journal.record_guess("g", 1)
    assert journal.entry("guesses", "g")["value"] == 1


def test_default_place(monkeypatch, tmp_path):
    monkeypatch.delenv("LESSONLIB_PROGRESS")
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
    monkeypatch.setattr(journal.paths, "course_root", lambda: tmp_path)
    assert journal.location() == tmp_path / ".lessonlib" / "progress.json"
    monkeypatch.setattr(journal.paths, "course_root", lambda: None)
    monkeypatch.setattr(journal.Path, "home", lambda: tmp_path / "home")
    assert journal.location() == tmp_path / "home" / ".lessonlib" / "progress.json"


def test_threads_do_not_lose_entries(progress_file):
    workers = [threading.Thread(target=journal.record_guess, args=(f"g{i}", i)) for i in range(20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(json.loads(progress_file.read_text())["guesses"]) == 20


def test_progress_table(shown):
    journal.progress()
    assert "Nothing yet" in shown[0][1]
    journal.record_check("l05_e1", passed=True)
    journal.record_check("l05_e2", passed=False)
    journal.record_guess("l05_p1", "a")
    journal.record_hint("l05_e2", 2)
    journal.record_hint("l05_e2", 1)  # an open hint stays open
    journal.record_answer("05_kv_cache", 1, right=True)
    journal.record_check("l16_vram_e1", passed=True)
    journal.progress()
    lines = shown[1][1].splitlines()
    assert lines[0] == "Your progress" and lines[3].split("  ")[0] == "05"
    assert "1 of 2" in lines[3] and "1 of 1" in lines[3] and lines[4].startswith("16")
    assert lines[3].split()[5:7] == ["2", "1"]  # hints opened, guesses made
