"""`lessonlib grade check-machine | verify | autograde` as people type them."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from lessonlib.commands import grade
from tests.grading import conftest
from tests.grading.attacks.assignment import submission

expected, tiny, tiny_made = conftest.expected, conftest.tiny, conftest.tiny_made
ASSIGNMENT, NOTEBOOK = conftest.ASSIGNMENT, conftest.NOTEBOOK
hand_in = conftest.hand_in
needs_sandbox = pytest.mark.sandbox


def lessonlib(*words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess:
    """Run `lessonlib grade ...` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lessonlib.cli", "grade", *words],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "160", **more},
        capture_output=True,
        text=True,
        timeout=600,
    )


@needs_sandbox
def test_the_capstones_samples(tmp_path, expected):
    course = conftest.make_course(tmp_path)
    before = (course.root / "notebooks" / ASSIGNMENT / f"{NOTEBOOK}.ipynb").read_bytes()
    words = ["autograde", ASSIGNMENT, "--course", str(course.root), "--cell-timeout", "2"]
    done = lessonlib(*words)
    assert done.returncode == 1, done.stderr  # the endless loop is a problem, and all others are graded
    folder = course.root / "grading" / "reports" / ASSIGNMENT
    report = json.loads((folder / "report.json").read_text())
    assert {row["student"]: row["score"] for row in report["units"]} == expected
    assert [row["student"] for row in report["units"] if row["needs_manual"]] == [
        "full"
    ]  # it alone wrote an answer in words
    assert not report["unsafe"] and not report["unverified"] and report["limits"]["cell"] == 2
    assert (
        f"endless, {NOTEBOOK}: stopped for running too long" in done.stdout
        and "1 wait for points by hand" in done.stdout
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert (course.root / "notebooks" / ASSIGNMENT / f"{NOTEBOOK}.ipynb").read_bytes() == before
    verified = json.loads((folder / "verify.json").read_text())
    wrong = verified["notebooks"][NOTEBOOK]["wrong_answers"]
    assert verified["ok"] and len(wrong) > 15 and all(w["score"] < w["max_score"] and w["says"] for w in wrong)
    course.nbgrader("export", "--to", "grades.csv")
    with open(course.root / "grades.csv", encoding="utf-8") as file:
        assert {row["student_id"]: float(row["score"]) for row in csv.DictReader(file)} == expected
    again = lessonlib(*words, "--resume", "--json")
    assert again.returncode == 1 and json.loads(again.stdout)["resumed"] == 4 and again.stderr == ""


@needs_sandbox
def test_the_example_course_of_nbgraders_documentation(tmp_path):
    """As stock nbgrader 0.9.6 grades it: 1.5 and 3 points, the rest by hand."""
    guide = Path(str(files("nbgrader"))) / "docs" / "source" / "user_guide"
    shutil.copytree(guide / "source" / "ps1", tmp_path / "source" / "ps1")
    shutil.copy(guide / "source" / "header.ipynb", tmp_path / "source")
    shutil.copytree(guide / "submitted", tmp_path / "submitted")
    settings = 'c = get_config()\nc.IncludeHeaderFooter.header = "source/header.ipynb"\n'
    (tmp_path / "nbgrader_config.py").write_text(settings)
    done = lessonlib("autograde", "ps1", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = {(row["student"], row["notebook"]): row for row in json.loads(done.stdout)["units"]}
    assert {key: (row["score"], row["max_score"]) for key, row in rows.items()} == {
        ("bitdiddle", "problem1"): (1.5, 10),
        ("bitdiddle", "problem2"): (0, 3),
        ("hacker", "problem1"): (3, 10),
        ("hacker", "problem2"): (0, 3),
    }
    assert all(row["needs_manual"] for row in rows.values())
    assert "the instructor's was run" in rows["bitdiddle", "problem1"]["notes"][0]  # tests were changed


@needs_sandbox
def test_verify_says_what_is_wrong_and_autograde_refuses(tiny, capsys):
    hand_in(tiny, "ann", submission())
    here = ["--course", str(tiny)]
    assert grade.main(["verify", "hw", *here]) == 0
    assert (
        "the solution earns 7 of 7 automatic points, the untouched edition 0; 0 wrong answers"
        in capsys.readouterr().out
    )
    source = tiny / "source" / "hw" / "small.ipynb"
    source.write_text(source.read_text().replace("return 2 * x", "return 3 * x"))
    assert grade.main(["verify", "hw", *here]) == 1
    said = capsys.readouterr().out
    assert "PROBLEM: The solution of small earns 0 of 1 in double_check" in said and "NOT verified" in said
    assert grade.main(["verify", "hw", "--json", *here]) == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert grade.main(["autograde", "hw", *here]) == 2
    said = capsys.readouterr()
    assert "nothing was graded: the solution of small earns 0 of 1" in said.err and "--unverified" in said.err
    assert not (tiny / "reports" / "hw" / "records").exists()
    assert grade.main(["autograde", "hw", "--unverified", *here]) == 0
    assert "The assignment was NOT verified" in capsys.readouterr().out


@needs_sandbox
def test_a_large_class_is_told_in_short(tiny, capsys, monkeypatch):
    from lessonlib.commands import grade_run

    monkeypatch.setattr(grade_run, "SHOWN", 2)
    monkeypatch.setattr(grade_run, "EVERY", 0.0)
    for student in ("ann", "bob", "cleo"):
        hand_in(tiny, student, submission())
    (tiny / "submitted" / "cleo" / "hw" / "small.ipynb").write_text("no notebook")
    assert grade.main(["autograde", "hw", "--course", str(tiny)]) == 1
    said = capsys.readouterr()
    assert (
        "2 of 3 submissions are not in the table" in said.out and "cleo, small: The file is not valid JSON" in said.out
    )
    assert "grading: 3 of 3; about 0 s left" in said.err


@needs_sandbox
def test_collect_comes_first(tiny, capsys):
    with open(tiny / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(f'c.CourseDirectory.course_id = "c1"\nc.Exchange.root = {str(tiny / "exchange")!r}\n')
    words = ["autograde", "hw", "--collect", "--json", "--course", str(tiny)]
    assert grade.main(words) == 2  # there is no exchange
    assert "nbgrader collect hw failed: " in capsys.readouterr().err
    inbound = tiny / "exchange" / "c1" / "inbound" / "ann+hw+2026-02-03 04:05:06 UTC+1"  # as nbgrader submit makes it
    inbound.mkdir(parents=True)
    (tiny / "exchange").chmod(0o777)
    (inbound / "small.ipynb").write_text(json.dumps(submission()))
    (inbound / "timestamp.txt").write_text("2026-02-03 04:05:06 UTC")
    assert grade.main(words) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(row["student"], row["score"]) for row in report["units"]] == [("ann", 7)]


def test_without_a_sandbox_it_refuses_unless_told_to_go_on(tiny, capsys, monkeypatch):
    hand_in(tiny, "ann", submission())
    monkeypatch.setenv("PATH", "/nowhere")
    assert grade.main(["autograde", "hw", "--course", str(tiny)]) == 2
    said = capsys.readouterr().err
    assert "bwrap" in said and "apt-get install bubblewrap" in said and "Traceback" not in said
    assert grade.main(["check-machine", "--json"]) == 1
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [f["fix"] for f in findings if f["name"] == "bubblewrap"][0].startswith("apt-get install bubblewrap")
    assert grade.main(["check-machine"]) == 1
    assert "NO" in capsys.readouterr().out
    assert grade.main(["autograde", "hw", "--course", str(tiny), "--unsafe-no-sandbox"]) == 0
    assert "Graded WITHOUT a sandbox" in capsys.readouterr().out
    report = json.loads((tiny / "reports" / "hw" / "report.json").read_text())
    assert report["unsafe"] and report["units"][0]["score"] == 7


@needs_sandbox
def test_check_machine_needs_no_course(tmp_path):
    done = lessonlib("check-machine", cwd=tmp_path)
    assert done.returncode == 0 and "bubblewrap" in done.stdout and "This machine can grade" in done.stdout


@pytest.mark.parametrize(
    "words, says",
    [
        (["16_capstone"], "use lessonlib grade autograde 16_capstone"),
        (["autogrde"], "Did you mean 'autograde'?"),
        (["autograde", "wh"], "The course has no assignment 'wh'; it has hw. Did you mean 'hw'?"),
        (["autograde", "hw", "--student", "nobody"], "No submission of hw matches 'nobody'"),
        (["autograde", "hw", "--jobs", "0"], "--jobs 0 is out of range: 1 to 1,000"),
        (["autograde", "hw", "--jobs", "two"], "'two' is no whole number"),
        (["autograde", "hw", "--cell-timeout", "0"], "0 is no limit: write 0.1 to 86,400 seconds"),
        (["autograde", "hw", "--cell-timeout", "60", "--timeout", "30"], "raise --timeout"),
        (["autograde", "hw", "--memory", "5"], "--memory 5 is out of range: write 50 to 1,000,000 megabytes"),
        (["verify"], "ASSIGNMENT"),
        (["autograde", "hw", "--course", "/nowhere"], "/nowhere is no folder"),
    ],
)
def test_mistakes_get_one_sentence(tiny, capsys, monkeypatch, words, says):
    hand_in(tiny, "ann", submission())
    monkeypatch.chdir(tiny)
    assert grade.main(words) == 2
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said and len(said.strip().splitlines()) == 1


def test_limits_come_from_options_else_from_the_course(tiny):
    from lessonlib.commands.grade_run import _limits_of
    from lessonlib.grading.course import Course

    def limits(*words: str, settings: str = ""):
        (tiny / "nbgrader_config.py").write_text(f"c = get_config()\n{settings}\n")
        options = grade.parser().parse_args(["autograde", "hw", *words])
        return _limits_of(options, Course(tiny))

    assert (limits().cell, limits().total) == (30, 120)
    slow = limits(settings="c.Execute.timeout = 300")
    assert (slow.cell, slow.total, slow.walls.cpu) == (300, 300, 300)
    assert limits("--timeout", "20").cell == 20
    typed = limits("--cell-timeout", "5", "--timeout", "50", "--memory", "500", settings="c.Execute.timeout = 300")
    assert (typed.cell, typed.total, typed.walls.memory) == (5, 50, 500_000_000)
