"""Batches: what is handed in becomes records whatever it is, and a batch that was stopped ends with the same gradebook."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lessonlib.grading import batch, canonical, engine, intake, results, sandbox
from lessonlib.grading.course import Course

from .attacks.assignment import DOUBLE, instructor, points, released, submission
from .conftest import hand_in, tiny_course

LIMITS = engine.Limits(cell=1.0, total=10.0, walls=sandbox.Walls(memory=300 * 2**20))
HALF = submission(even="def even(n):\n    return None\n")
needs_sandbox = pytest.mark.sandbox


@pytest.fixture(scope="module")
def shot():
    """The tiny assignment's snapshot."""
    return canonical.snapshot(instructor(), release=released())


def grade(root: Path, **options) -> dict:
    """The report of a batch on the tiny course."""
    return batch.run(Course(root), "hw", limits=LIMITS, jobs=2, **options)


def units(report: dict) -> dict:
    """Rows of a report by student."""
    return {row["student"]: row for row in report["units"]}


def no_runner(*about, **more):
    """A runner that must not be asked."""
    raise AssertionError("something was graded")


def gradebook(root: Path) -> list:
    """All rows of all tables of a gradebook, with each id replaced by what it stands for."""
    with sqlite3.connect(root / "gradebook.db") as base:
        base.row_factory = sqlite3.Row
        tables = [name for (name,) in base.execute("select name from sqlite_master where type = 'table'")]
        rows = [(table, dict(row)) for table in tables for row in base.execute(f"select * from {table}")]
    known: dict = {}
    for table, row in rows:
        known.setdefault(row.get("id"), []).append((table, row))

    def meant(value) -> object:
        if isinstance(value, str) and re.fullmatch("[0-9a-f]{32}", value) and value in known:
            return [content(table, row) for table, row in sorted(known[value], key=lambda about: about[0])]
        return value

    def content(table: str, row: dict) -> list:
        return [table, *([name, meant(value)] for name, value in sorted(row.items()) if name != "id")]

    return sorted(json.dumps(content(table, row)) for table, row in rows)


def family(pid: int) -> set[tuple[int, str]]:
    """(process, time of its start) of a process and of all that it started."""
    parents, started = {}, {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents[int(name)], started[int(name)] = int(fields[1]), fields[19]
    found = {pid}
    while more := {p for p, parent in parents.items() if parent in found} - found:
        found |= more
    return {(p, started[p]) for p in found if p in started}


def gone(processes: set[tuple[int, str]]) -> bool:
    """Whether these processes end within seconds."""
    for _ in range(100):
        if not any(about in family(about[0]) for about in processes):
            return True
        time.sleep(0.1)
    return False


def command(root: Path, *more: str) -> list[str]:
    """`lessonlib grade autograde` on the tiny course."""
    return [
        sys.executable,
        "-m",
        "lessonlib.cli",
        "grade",
        "autograde",
        "hw",
        "--course",
        str(root),
        "--jobs",
        "2",
        *more,
    ]


@needs_sandbox
def test_whatever_is_handed_in_becomes_a_record_with_its_reason(tiny):
    hand_in(tiny, "ann", submission())
    hand_in(tiny, "bob", submission(), "Small (1).ipynb")
    hand_in(tiny, "carl", submission(double="while True:\n    pass\n"))
    hand_in(tiny, "dora", submission(double="import os\nos._exit(3)\n"))
    hand_in(tiny, "Zoë and Li", HALF)
    secret = tiny / "secret.ipynb"
    secret.write_text(json.dumps(submission()))
    for student in ("link", "fifo", "huge", "folder", "text", "two", "other", "shut"):
        (tiny / "submitted" / student / "hw").mkdir(parents=True)
    places = {s: tiny / "submitted" / s / "hw" for s in os.listdir(tiny / "submitted")}
    (places["link"] / "small.ipynb").symlink_to(secret)
    os.mkfifo(places["fifo"] / "small.ipynb")
    with open(places["huge"] / "small.ipynb", "wb") as file:
        file.truncate(30 * 2**20)
    (places["folder"] / "small.ipynb").mkdir()
    (places["text"] / "small.ipynb").write_text("my homework")
    for name in ("small (1).ipynb", "SMALL.ipynb"):
        hand_in(tiny, "two", submission(), name)
    hand_in(tiny, "other", submission(), "essay.ipynb")
    (tiny / "submitted" / "linked").mkdir()
    (tiny / "submitted" / "linked" / "hw").symlink_to(places["ann"])
    (tiny / "submitted" / "file").mkdir()
    (tiny / "submitted" / "file" / "hw").write_text("a file")
    hand_in(tiny, " spaced", submission())
    hand_in(tiny, "Zoe\u0308", submission())
    (tiny / "submitted" / "alias").symlink_to(tiny / "submitted" / "ann")
    (places["ann"] / "notes.txt").write_text("mine")
    (places["ann"] / "stolen.txt").symlink_to(secret)

    report = grade(tiny)
    rows = units(report)
    for student, score in {"ann": 7, "bob": 7, "carl": 4, "dora": 0, "Zoë and Li": 3}.items():
        assert rows[student]["status"] == "graded" and rows[student]["score"] == score, rows[student]
    assert "was taken for small.ipynb" in " ".join(rows["bob"]["notes"])
    assert rows["carl"]["reasons"] == ["stopped for running too long: double"] and rows["ann"]["reasons"] == []
    assert "ended itself (exit code 3)" in rows["dora"]["reasons"][0]
    reasons = {
        "link": "link",
        "fifo": "not a regular file",
        "huge": "bytes; at most",
        "folder": "not a regular file",
        "text": "not valid JSON",
        "two": "Several files could be",
        "other": "was not handed in",
        "shut": "was not handed in",
        "linked": "is a link",
        "file": "is a link or a file",
    }
    for student, words in reasons.items():
        assert rows[student]["status"] == "refused" and words in rows[student]["reasons"][0], rows[student]
        assert (rows[student]["score"], rows[student]["max_score"]) == (0, 9) and not rows[student]["needs_manual"]
    assert report["counts"] == {"graded": 5, "refused": len(reasons)} and report["finished"]
    odd = " ".join(report["passed_over"])
    assert len(report["passed_over"]) == 3 and "begins or ends" in odd and "composed" in odd and "'alias'" in odd
    saved = {record["student"]: record for record in results.each(Course(tiny), "hw")}
    assert saved.keys() == rows.keys() and points(saved["ann"]) == (3, 4) and saved["ann"]["name"] == "small"
    assert json.loads((tiny / "reports" / "hw" / "report.json").read_text()) == report
    with Course(tiny).gradebook() as book:
        scores = {s.student.id: s.score for s in book.assignment_submissions("hw")}
    assert scores == {student: row["score"] for student, row in rows.items()}


@needs_sandbox
def test_resume_grades_what_is_new_changed_or_lost(tiny):
    for student in ("ann", "bob", "cleo", "dora"):
        hand_in(tiny, student, submission(why=f"because of {student}"))
    first = grade(tiny)
    again = grade(tiny, resume=True, runner=no_runner)
    assert again["resumed"] == 4 and [r["score"] for r in again["units"]] == [r["score"] for r in first["units"]]
    hand_in(tiny, "ann", HALF)
    (tiny / "submitted" / "bob" / "hw" / "more.txt").write_text("a file that came later")
    results.path(Course(tiny), "hw", "cleo", "small").unlink()
    hand_in(tiny, "eve", submission())
    changed = units(grade(tiny, resume=True))
    assert [s for s, row in changed.items() if not row.get("resumed")] == ["ann", "bob", "cleo", "eve"]
    assert changed["ann"]["score"] < 7 and changed["cleo"]["score"] == 7
    journal = tiny / "reports" / "hw" / "journal.jsonl"
    lines = [line for line in journal.read_text().splitlines(keepends=True) if "eve" not in line]
    journal.write_text("".join(lines) + '{"student": "eve", "note')  # killed in the middle of a line
    assert [r["student"] for r in grade(tiny, resume=True)["units"] if not r.get("resumed")] == ["eve"]
    assert len(journal.read_text().splitlines()) == 5
    graded = [r["student"] for r in grade(tiny, students="[ab]*")["units"] if not r.get("resumed")]
    assert graded == ["ann", "bob"]  # without --resume everything that was asked for is graded anew
    assert grade(tiny, resume=True, runner=no_runner)["resumed"] == 5
    (tiny / "gradebook.db").unlink()
    lost = grade(tiny, resume=True)
    assert lost["resumed"] == 0 and lost["counts"] == {"graded": 5}


@needs_sandbox
def test_other_limits_or_another_solution_are_no_reason_to_resume(tiny):
    hand_in(tiny, "ann", submission())
    grade(tiny)
    more = batch.run(Course(tiny), "hw", jobs=1, resume=True)  # the usual limits
    assert more["resumed"] == 0
    source = tiny / "source" / "hw" / "small.ipynb"
    source.write_text(source.read_text().replace("LIMIT = 10", "LIMIT = 11"))
    assert batch.run(Course(tiny), "hw", jobs=1, resume=True)["resumed"] == 0


@needs_sandbox
def test_several_notebooks_of_which_one_is_missing(tmp_path):
    root = tiny_course(tmp_path / "course", ("first", "second"))
    for name in ("first", "second"):
        hand_in(root, "ann", submission(), f"{name}.ipynb")
    hand_in(root, "bob", submission(), "second.ipynb")
    report = grade(root)
    found = {(row["student"], row["notebook"]): row for row in report["units"]}
    assert [row["score"] for row in found.values()] == [7, 7, 0, 7]
    assert "first.ipynb was not handed in; there is 'second.ipynb'" in found["bob", "first"]["reasons"][0]
    with Course(root).gradebook() as book:
        assert {s.student.id: s.score for s in book.assignment_submissions("hw")} == {"ann": 14, "bob": 7}


@needs_sandbox
def test_a_server_that_dies_is_started_again_and_costs_nobody_points(shot):
    sleeper = DOUBLE + "import time\ntime.sleep(0.5)\n"
    document = intake.parse(json.dumps(submission(double=sleeper)).encode())[0]
    jobs = [{"document": document, "files": {}, "number": n} for n in range(6)]
    lanes = batch.Lanes(shot, LIMITS, count=2).start()
    try:
        first = lanes.grader
        killer = threading.Timer(0.4, first.process.kill)
        killer.start()
        done = {job["number"]: record for job, record in lanes.run(iter(jobs))}
        killer.join()
        assert lanes.grader is not first and first.process is None  # closed when no lane used it any more
    finally:
        lanes.close()
    assert done.keys() == set(range(6))
    assert all(r["status"] == "graded" and points(r) == (3, 4) for r in done.values()), done


class Broken:
    """A grader that fails on the documents in `bad`, every time."""

    opened = 0
    bad = frozenset({3, 4})
    process = control = verifier = None

    def __init__(self, *about, **more):
        Broken.opened += 1

    def start(self):
        return self

    def close(self):
        self.closed = True

    def grade(self, document, files):
        assert not hasattr(self, "closed"), "a lane still uses it"
        time.sleep(random.random() / 200)
        if document == 4:
            raise KeyError("four")
        return {"status": "failed" if document in self.bad else "graded", "reasons": [], "document": document}


@pytest.fixture
def broken(monkeypatch):
    monkeypatch.setattr(engine, "Grader", Broken)
    monkeypatch.setattr(batch, "_alive", lambda grader: True)
    Broken.opened = 0
    return Broken


def test_a_unit_that_fails_twice_is_failed_and_the_rest_goes_on(broken, shot):
    lanes = batch.Lanes(shot, LIMITS, count=3).start()
    done = {job["document"]: record for job, record in lanes.run({"document": n, "files": {}} for n in range(40))}
    assert {n for n, record in done.items() if record["status"] == "failed"} == {3, 4} and len(done) == 40
    assert "KeyError: 'four'" in done[4]["reasons"][0] and "Traceback" in done[4]["traceback"]
    assert all(row["needs_manual"] for row in done[4]["cells"])
    assert 2 <= broken.opened <= 3


def test_servers_that_hang_are_given_up(broken, shot):
    lanes = batch.Lanes(shot, LIMITS, count=2).start()
    lanes.patience, ended = 0.2, threading.Event()
    lanes.grader.close = ended.set  # as when the server is killed: what waits for it hears of its end

    def hang(document, files):
        assert ended.wait(30)
        return {"status": "failed", "reasons": []}

    lanes.grader.grade = hang
    done = [record["status"] for _, record in lanes.run({"document": n, "files": {}} for n in range(10, 15))]
    assert done == ["graded"] * 5 and broken.opened == 2


def test_ten_thousand_jobs_do_not_pile_up(broken, shot):
    pulled, ended, most = 0, 0, 0  # most: jobs on the way at any time

    def jobs():
        nonlocal pulled, most
        for number in range(10, 10_010):
            pulled += 1
            most = max(most, pulled - ended)
            yield {"document": number, "files": {}}

    lanes = batch.Lanes(shot, LIMITS, count=4).start()
    lanes.grader.grade = lambda document, files: {"status": "graded"}
    for _ in lanes.run(jobs()):
        ended += 1
    assert ended == 10_000 and 4 <= most <= 8


@needs_sandbox
def test_failures_of_the_machine_wait_for_the_instructor_and_are_tried_again(tiny):
    for student in ("ann", "bob"):
        hand_in(tiny, student, submission())

    def machine(snapshot, limits, jobs, *, unsafe, data):
        for job in jobs:
            yield job, batch.without(snapshot, "failed", "the disk is full")

    rows = units(grade(tiny, runner=machine))
    assert (
        rows["ann"]["status"] == "failed"
        and rows["ann"]["needs_manual"]
        and rows["ann"]["reasons"] == ["the disk is full"]
    )
    assert grade(tiny, resume=True)["counts"] == {"graded": 2}


@needs_sandbox
def test_a_runner_gets_jobs_and_gives_them_back_in_any_order(tiny):
    for student in ("ann", "bob", "cleo"):
        hand_in(tiny, student, submission(why=student))
    (tiny / "submitted" / "ann" / "hw" / "data.txt").write_text("1 2 3")
    seen, told = [], []

    def backwards(snapshot, limits, jobs, *, unsafe, data):
        seen.extend(jobs)
        with engine.Grader(snapshot, limits, unsafe=unsafe, data=data) as grader:
            for job in reversed(seen):
                yield job, grader.grade(job["document"], job["files"])

    report = grade(tiny, runner=backwards, progress=lambda *about: told.append(about[:2]))
    assert [job["student"] for job in seen] == ["ann", "bob", "cleo"] and seen[0]["files"].keys() == {"data.txt"}
    assert [row["score"] for row in report["units"]] == [7, 7, 7] and told == [(0, 3), (1, 3), (2, 3), (3, 3)]


@needs_sandbox
def test_a_gradebook_that_takes_nothing_stops_the_batch(tiny, monkeypatch):
    from lessonlib.grading.gradebook import Book

    for student in "abcdef":
        hand_in(tiny, student, submission())

    def save(self, student, notebook, record, timestamp=None):
        raise RuntimeError("the gradebook is locked")

    with monkeypatch.context() as patch:
        patch.setattr(Book, "save", save)
        with pytest.raises(RuntimeError, match="3 submissions in a row: the gradebook is locked"):
            grade(tiny)
    report = results.read_json(tiny / "reports" / "hw" / "report.json")
    assert not report["finished"] and "in a row" in report["stopped"] and report["counts"] == {"unsaved": 2}
    assert grade(tiny, resume=True)["counts"] == {"graded": 6}


def test_a_check_that_refuses_is_asked_before_anything_is_graded(tiny):
    hand_in(tiny, "ann", submission())

    def refuse(task):
        raise ValueError("not sound")

    with pytest.raises(ValueError, match="not sound"):
        grade(tiny, check=refuse, runner=no_runner)
    assert not (tiny / "reports" / "hw" / "records").exists()


def test_a_second_batch_on_the_assignment_is_refused(tiny):
    hand_in(tiny, "ann", submission())
    with batch._alone(Course(tiny), "hw"), pytest.raises(ValueError, match="Another batch is grading hw"):
        grade(tiny, runner=no_runner)


@pytest.mark.parametrize("pattern", ["nobody", " spaced"])
def test_nobody_to_grade(tiny, pattern):
    hand_in(tiny, "ann", submission())
    hand_in(tiny, " spaced", submission())
    with pytest.raises(ValueError, match=f"No submission of hw matches '{pattern}'"):
        grade(tiny, students=pattern)


@needs_sandbox
def test_ctrl_c_stops_at_once_says_how_to_go_on_and_leaves_nothing(tiny):
    for student in range(12):
        hand_in(tiny, f"s{student:02}", submission(double=DOUBLE + f"import time\ntime.sleep(0.4)  # {student}\n"))
    running = subprocess.Popen(command(tiny), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    journal = tiny / "reports" / "hw" / "journal.jsonl"
    try:
        while not (journal.exists() and journal.read_text().count("\n") >= 2):
            assert running.poll() is None, running.communicate()[1]
            time.sleep(0.05)
        started = family(running.pid)
        running.send_signal(signal.SIGINT)
        words = running.communicate(timeout=60)[1]
    finally:
        running.kill()
    assert running.returncode == 130 and "lessonlib grade autograde hw --resume" in words and "Traceback" not in words
    assert len(started) > 1 and gone(started)
    report = results.read_json(tiny / "reports" / "hw" / "report.json")
    assert report["stopped"] == "interrupted" and 2 <= report["counts"]["graded"] < 12
    whole = grade(tiny, resume=True)
    assert whole["counts"] == {"graded": 12} and {row["score"] for row in whole["units"]} == {7}


@needs_sandbox
@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_gradebook(tiny, tmp_path):
    pause = "\nimport time\ntime.sleep(0.15)\n"
    answers = [DOUBLE + pause, "def double(x):\n    return 4\n" + pause, "raise ValueError\n"]
    for student in range(24):
        answer = "while True:\n    pass\n" if student == 7 else answers[student % 3]
        book = submission(double=f"{answer}# {student}", why="" if student % 4 else "so")
        hand_in(tiny, f"s{student:02}", book)
        (tiny / "submitted" / f"s{student:02}" / "hw" / "timestamp.txt").write_text("2026-02-03 04:05:06 UTC")
    (tiny / "submitted" / "s05" / "hw" / "small.ipynb").write_text("broken")
    options = ["--cell-timeout", "2", "--json"]
    whole = Path(shutil.copytree(tiny, tmp_path / "whole"))
    began = time.monotonic()
    assert subprocess.run(command(whole, *options), capture_output=True).returncode == 1
    lasts, expected = time.monotonic() - began, gradebook(whole)
    chance, cut = random.Random(20261125), 0
    for moment in range(10):
        root = Path(shutil.copytree(tiny, tmp_path / f"killed{moment}"))
        running = subprocess.Popen(command(root, *options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journal = root / "reports" / "hw" / "journal.jsonl"
        if moment % 2:  # at any time
            time.sleep(lasts * chance.uniform(0.1, 1.0))
        else:  # while it saves
            enough = chance.randint(1, 18)
            while running.poll() is None and not (journal.exists() and journal.read_text().count("\n") >= enough):
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.1))
        started = family(running.pid)
        running.kill()
        running.wait()
        assert gone(started), started
        cut += journal.exists() and 0 < journal.read_text().count("\n") < 24
        done = subprocess.run(command(root, "--resume", *options), capture_output=True, text=True)
        assert done.returncode == 1 and json.loads(done.stdout)["counts"] == {"graded": 23, "refused": 1}, done.stderr
        assert gradebook(root) == expected
        shutil.rmtree(root)
    assert cut >= 3  # several moments lay in the middle of a batch
