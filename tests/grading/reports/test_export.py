"""Exports: nbgrader's own CSV, every question, and the tables of Canvas and Moodle, with strangers' names in them."""

from __future__ import annotations

import copy
import csv
import io
import json

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.plugins import CsvExportPlugin

from lessonlib.commands import grade
from lessonlib.grading import canonical, gradebook, results
from lessonlib.grading.course import Course
from lessonlib.grading.record import finish
from lessonlib.grading.reports import export, insights, rosters

from ..attacks import assignment as tiny

CONFIG = "c = get_config()\n"
FORMULA = '=HYPERLINK("http://example.org";"x")'
PEOPLE = {  # id: (first name, last name, email, lms_user_id)
    "ann": ("Ann", "Ab", "ann@uni.example", "101"),
    "bob": ("Bob", "Be", "bob.be@uni.example", "102"),
    "cyd": (FORMULA, "Ce, de", "", ""),
    "dot": ("Dot", "De", "dot@other.example", ""),
    "eve": ("Eve", "Ee", "eve@uni.example", "105"),  # handed nothing in
}
WRONG = "def double(x):\n    return x"
CANVAS = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Notes,PS (77),Other task (78),Homework Final Score,Final Score
,,,,,,Manual Posting,,,
    Points Possible,,,,,,9.00,4.00,(read only),(read only)
"Ab, Ann",101,S1,ANN,A,,,3.00,75,75
"Be, Bob",102,S2,zz9,A,likes tea,2.00,N/A,75,75
"Ce, Cyd",103,cyd,xx,A,=1+1,EX,,75,75
"Zett, Zoe",104,S4,zoe,A,,,1.00,25,25
"Student, Test",999,,1234abcd,A,,,,,
"""
MOODLE = (
    "Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,Last modified (submission),"
    "Last modified (grade),Feedback comments\r\n"
    'Participant 1,Ann Ab,ann@uni.example,Submitted,,9.00,Yes,"Sunday, 1 March 2026, 9:00 AM",-,\r\n'
    "Participant 102,Bob Be,bob@elsewhere.example,Submitted,,9.00,Yes,-,-,My own words\r\n"
    "Participant 3,Cyd Ce,cyd@uni.example,Submitted,,9.00,No,-,-,\r\n"
    "Participant 5,Eve Ee,eve@uni.example,No submission,,9.00,Yes,-,-,\r\n"
)


def fake_record(shot: dict, document: dict, outputs: dict | None = None, seconds: float = 0.01) -> dict:
    """A record as `Grader.grade` makes it, where each test says what `outputs` has for its grade id (nothing: it passes)."""
    merged = canonical.merge(shot, document)
    record = {"status": "graded", "unsafe": False, "seed": 1, "notes": [], "reasons": [], "cells": []}
    done = {}
    for position, cell in enumerate(merged["cells"]):
        grade_id = shot["cells"][cell["index"]]["grade_id"] if cell["index"] is not None else None
        said = (outputs or {}).get(grade_id, [])
        if cell["kind"] == "test" and said is not None:
            done[position] = {"outputs": said, "line": None, "seconds": seconds}
    finish(shot, merged, record, done, {})
    return {**record, "seconds": seconds}


def error(name: str, message: str) -> list[dict]:
    """The outputs of a test that raised."""
    return [{"output_type": "error", "ename": name, "evalue": message, "traceback": [f"{name}: {message}"]}]


def value(points: float, said: str = "") -> list[dict]:
    """The outputs of a test that ends with its points, after printing something."""
    printed = [{"output_type": "stream", "name": "stdout", "text": said}] if said else []
    result = {
        "output_type": "execute_result",
        "data": {"text/plain": str(points)},
        "metadata": {},
        "execution_count": None,
    }
    return [*printed, result]


def make_course(root, assignments: dict[str, dict[str, dict]]) -> Course:
    """A stock nbgrader course with these source notebooks, registered."""
    for assignment, notebooks in assignments.items():
        for name, notebook in notebooks.items():
            path = root / "source" / assignment / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            node = nbformat.from_dict(copy.deepcopy(notebook))
            nbformat.write(MetadataValidator().upgrade_notebook_metadata(node), path)
    (root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    course = Course(root)
    for assignment in assignments:
        course.register(assignment)
    return course


def hand_in(course: Course, assignment: str, notebook: str, student: str, record: dict) -> None:
    """Save a record as the batch does."""
    whole = {"assignment": assignment, "student": student, "name": notebook, "key": "k", **record}
    with gradebook.Book(course, assignment) as book:
        book.save(student, notebook, whole, "2026-03-01 12:00:00 UTC")
    results.write(course, whole)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """ann full but for the written answer (graded: 1.5 of 2), bob without double, cyd untouched, dot like ann."""
    root = tmp_path_factory.mktemp("export") / "course"
    root.mkdir()
    course = make_course(root, {"ps": {"tiny": tiny.instructor()}, "late_one": {"tiny": tiny.instructor()}})
    failed = {"double_check": error("AssertionError", ""), "double_hidden": error("AssertionError", "")}
    half = {"even_hidden": value(3)}
    none = {
        name: error("NotImplementedError", "")
        for name in ("double_check", "double_hidden", "even_check", "even_hidden")
    }
    for assignment in ("ps", "late_one"):
        shot = course.snapshot(assignment, "tiny")
        hand_in(course, assignment, "tiny", "ann", fake_record(shot, tiny.submission(), half))
        hand_in(course, assignment, "tiny", "bob", fake_record(shot, tiny.submission(double=WRONG), {**failed, **half}))
        hand_in(course, assignment, "tiny", "cyd", fake_record(shot, tiny.released(), none))
    hand_in(course, "ps", "tiny", "dot", fake_record(course.snapshot("ps", "tiny"), tiny.submission(), half))
    with course.gradebook() as book:
        for student, (first, last, email, lms) in PEOPLE.items():
            book.update_or_create_student(
                student, first_name=first, last_name=last, email=email or None, lms_user_id=lms
            )
        answer = book.find_grade("why", "tiny", "ps", "ann")
        answer.manual_score, answer.needs_manual_grade = 1.5, False
        book.find_comment("why", "tiny", "ps", "ann").manual_comment = "Good <b>words</b>"
        book.find_submission("ps", "bob").notebooks[0].late_submission_penalty = 0.5
        book.db.commit()
    return root


@pytest.fixture
def course(start):
    return Course(start)


def run(capsys, start, *arguments: str) -> tuple[int, dict]:
    """The exit status of the command and what it says as JSON."""
    status = grade.main(["export", *arguments, "--course", str(start), "--json"])
    said = capsys.readouterr()
    return status, json.loads(said.out) if said.out else {"error": said.err}


def table(text: str, delimiter: str = ",") -> list[dict]:
    return list(csv.DictReader(io.StringIO(text), delimiter=delimiter))


def test_nbgrader_format_is_that_of_its_plugin(course, tmp_path):
    with course.gradebook() as book:
        book.update_or_create_student("cyd", first_name="Cyd", last_name="Ce")
        CsvExportPlugin(to=str(tmp_path / "stock.csv"), assignment=["ps"]).export(book)
        assert export.nbgrader(course, ["ps"], tmp_path / "ours.csv") is None
        assert (tmp_path / "ours.csv").read_bytes() == (tmp_path / "stock.csv").read_bytes()
        first, last, *_ = PEOPLE["cyd"]
        book.update_or_create_student("cyd", first_name=first, last_name=last)
    export.nbgrader(course, ["ps"], tmp_path / "ours.csv")
    rows = table((tmp_path / "ours.csv").read_text())
    assert [r["student_id"] for r in rows] == sorted(PEOPLE)
    odd = next(r for r in rows if r["student_id"] == "cyd")
    assert odd["first_name"] == f"'{FORMULA}" and odd["last_name"] == "Ce, de" and odd["score"] == "0.0"
    assert (rows[1]["raw_score"], rows[1]["late_submission_penalty"], rows[1]["score"]) == ("4.0", "0.5", "3.5")


def test_questions(course, tmp_path):
    rosters.write(export.questions(course, ["ps"]), tmp_path / "q.csv")
    rows = {r["student_id"]: r for r in table((tmp_path / "q.csv").read_text())}
    assert list(rows) == sorted(PEOPLE)
    ann = rows["ann"]
    assert list(ann)[4:] == [
        "double_check (of 1)", "double_hidden (of 2)", "even_check (of 1)", "even_hidden (of 3)", "why (of 2)",
        "double total (of 3)", "even total (of 4)", "tiny total (of 9)", "manual", "score before penalty", "late penalty",
        "score", "max score", "needs manual grading", "handed in",
    ]  # fmt: skip
    assert [ann[c] for c in ("double total (of 3)", "why (of 2)", "manual", "score", "needs manual grading")] == [
        "3", "1.5", "1.5", "8.5", "no",
    ]  # fmt: skip
    assert rows["bob"]["double total (of 3)"] == "0" and rows["bob"]["score"] == "3.5"
    assert rows["bob"]["needs manual grading"] == "yes" and rows["bob"]["late penalty"] == "0.5"
    assert rows["eve"]["score"] == "" and rows["cyd"]["first_name"] == f"'{FORMULA}"
    both = export.questions(course, ["ps", "late_one"])
    assert both.rows[0].count("ps: score") == both.rows[0].count("late_one: score") == 1
    assert len({len(row) for row in both.rows}) == 1


def test_canvas_fills_its_own_export(start, tmp_path, capsys):
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    out = tmp_path / "filled.csv"
    status, said = run(
        capsys, start, "ps", "--format", "canvas", "--roster", str(tmp_path / "canvas.csv"), "--out", str(out)
    )
    assert status == 1 and out.read_bytes().startswith(b"\xef\xbb\xbf")
    assert said["open"] == [
        "1 of canvas.csv are not in the gradebook: Zett, Zoe",
        "1 who handed in are not in canvas.csv: dot",
    ]
    before, after = (
        list(csv.reader(io.StringIO(t.lstrip("\ufeff")))) for t in (CANVAS, out.read_text(encoding="utf-8"))
    )
    assert after[:3] == before[:3]  # header, posting row, maxima and read-only columns
    column = before[0].index("PS (77)")
    assert [row[column] for row in after[3:]] == ["8.5", "3.5", "EX", "", ""]
    before[5][5] = "'=1+1"  # a note that is a formula; everything else is as it was
    for old, new in zip(before[3:], after[3:], strict=True):
        assert old[:column] + old[column + 1 :] == new[:column] + new[column + 1 :]
    assert said["scores"] == 2 and any("cyd (EX)" in note for note in said["notes"])
    assert any("bob" in note and "another score" in note for note in said["notes"])
    assert any("wait for manual grading" in note and "dot" in note for note in said["notes"])


def test_canvas_gets_a_new_column_before_its_totals(course, tmp_path):
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    sheet = export.canvas(course, ["late_one"], tmp_path / "canvas.csv")
    at = sheet.rows[0].index("late_one")
    assert sheet.rows[0][at + 1] == "Homework Final Score" and sheet.rows[2][at] == "9"
    assert [row[at] for row in sheet.rows[3:]] == ["7", "4", "0", "", ""]
    assert len({len(row) for row in sheet.rows}) == 1


@pytest.mark.parametrize("scale, score, told", [(False, "8.5", True), (True, "94.4444", False)])
def test_canvas_with_another_maximum(course, tmp_path, scale, score, told):
    (tmp_path / "canvas.csv").write_text(CANVAS.replace("9.00,4.00", "100.00,4.00"), encoding="utf-8")
    sheet = export.canvas(course, ["ps"], tmp_path / "canvas.csv", scale=scale)
    assert sheet.rows[3][6] == score and any("100" in line for line in sheet.open) is told


def test_canvas_without_a_roster(course, tmp_path):
    sheet = export.canvas(course, ["ps"], None)
    rosters.write(sheet, tmp_path / "c.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "c.csv").read_text(encoding="utf-8-sig"))))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "ps"]
    assert rows[1] == ["    Points Possible", "", "", "", "", "9"]
    assert rows[2] == ["Ab, Ann", "101", "", "ann", "", "8.5"] and rows[-1][-1] == ""
    assert "Section is empty" in sheet.notes[-1]


def test_moodle_fills_its_worksheet(start, tmp_path, capsys):
    (tmp_path / "m.csv").write_text(MOODLE, encoding="utf-8", newline="")
    out = tmp_path / "filled.csv"
    status, said = run(
        capsys, start, "ps", "--format", "moodle", "--roster", str(tmp_path / "m.csv"), "--out", str(out)
    )
    with open(out, encoding="utf-8", newline="") as file:
        text = file.read()
    assert status == 1 and text.count("\r\n") == 5 and not text.startswith("\ufeff")
    rows = {r["Full name"]: r for r in table(text)}
    assert [rows[n]["Grade"] for n in ("Ann Ab", "Bob Be", "Cyd Ce", "Eve Ee")] == ["8.5", "3.5", "", ""]
    assert rows["Ann Ab"]["Feedback comments"] == "why: Good &lt;b&gt;words&lt;/b&gt;"
    assert rows["Bob Be"]["Feedback comments"] == "My own words" and rows["Bob Be"]["Last modified (grade)"] == "-"
    assert any("cannot be changed" in line and "cyd" in line for line in said["open"])
    assert any("not in m.csv: dot" in line for line in said["open"])
    assert any("eve" in note and "handed nothing in" in note for note in said["notes"])


def test_moodle_grade_import(course, tmp_path):
    text = "First name,Last name,ID number,Email address,Assignment: PS (Real)\nAnn,Ab,ann,,-\nBob,Be,,bob.be@uni.example,-\n"
    (tmp_path / "g.csv").write_text(text, encoding="utf-8")
    sheet = export.moodle(course, ["ps", "late_one"], tmp_path / "g.csv")
    assert sheet.rows == [
        ["First name", "Last name", "ID number", "Email address", "Assignment: PS (Real)", "late_one"],
        ["Ann", "Ab", "ann", "", "8.5", "7"],
        ["Bob", "Be", "", "bob.be@uni.example", "3.5", "4"],
    ]
    plain = export.moodle(course, ["ps"], None)
    assert plain.rows[0] == ["First name", "Last name", "ID number", "Email address", "ps"]
    assert plain.rows[1] == ["Ann", "Ab", "ann", "ann@uni.example", 8.5]
    assert any("cyd" in note and "no email" in note for note in plain.notes)


def test_matching_is_by_the_surest_key_and_never_by_a_guess():
    students = {
        "jane": {"id": "jane", "email": "jane@uni.example", "lms_user_id": "7"},
        "joe": {"id": "joe", "email": "joe@uni.example", "lms_user_id": ""},
        "12": {"id": "12", "email": "", "lms_user_id": ""},
    }
    head = ["ID", "SIS Login ID"]
    sheet = rosters.Sheet([])
    rows = [["12", "jane"], ["9", "joe@cs.uni.example"], ["3", "jane@evil.example"], ["4", "12"]]
    assert rosters.match(rows, head, students, export.CANVAS_ROUNDS, sheet) == {0: "jane", 1: "joe", 3: "12"}
    twice = [["1", "joe@uni.example"], ["2", "joe@uni.example"]]
    assert rosters.match(twice, head, students, export.CANVAS_ROUNDS, sheet) == {}
    assert any("fits 2 rows" in line for line in sheet.open)
    assert rosters.match([["5", "joe@elsewhere.example"]], head, students, export.CANVAS_ROUNDS, sheet) == {}


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@sum", "\tx", " =1", "\r=1", "\uff1d1"])
def test_formulas_are_defused(text):
    assert rosters.defused(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-", "-3.5", "+2", "1e3", "12 %", "Ann", "", "    Points Possible", "a=b", "-3,5"])
def test_numbers_and_plain_text_stay(text):
    assert rosters.defused(text) == text


def test_an_older_file_is_kept(start, tmp_path, capsys):
    out = tmp_path / "mine.csv"
    out.write_text("my own edits", encoding="utf-8")
    status, said = run(capsys, start, "ps", "--format", "questions", "--out", str(out))
    assert status == 0 and said["backup"] == f"{out}.1" and (tmp_path / "mine.csv.1").read_text() == "my own edits"
    status, said = run(capsys, start, "ps", "--format", "questions", "--out", str(out))
    assert said["backup"] is None  # nothing changed
    out.write_text("more edits", encoding="utf-8")
    _, said = run(capsys, start, "ps", "--format", "questions", "--out", str(out))
    assert said["backup"] == f"{out}.2" and (tmp_path / "mine.csv.2").read_text() == "more edits"
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_several_and_all(start, capsys):
    status, said = run(capsys, start, "all")
    assert status == 0 and said["assignments"] == ["late_one", "ps"] and said["file"].endswith("course-nbgrader.csv")
    rows = table((Course(start).reports("ps").parent / "course-nbgrader.csv").read_text())
    assert {r["assignment"] for r in rows} == {"ps", "late_one"} and len(rows) == 2 * len(PEOPLE)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["pz"], "Did you mean 'ps'?"),
        (["ps", "--roster", "x.csv"], "--roster goes with --format canvas or moodle"),
        (["ps", "--format", "canvas", "--roster", "nowhere.csv"], "cannot be read"),
        (["ps", "--format", "canvas", "--scale"], "--scale goes with --format canvas or moodle and --roster"),
        (["ps", "--format", "canvas", "--roster", "{moodle}"], "is no gradebook of Canvas"),
        (["ps", "--format", "moodle", "--roster", "{canvas}"], "is no worksheet or grade export of Moodle"),
        (["ps", "late_one", "--format", "moodle", "--roster", "{moodle}"], "is for one assignment"),
        (["ps", "--format", "canvas", "--roster", "{canvas}", "--column", "Nope"], "has no column 'Nope'"),
        (["ps", "--format", "canvas", "--roster", "{canvas}", "--column", "Final Score"], "read-only in Canvas"),
        (["ps", "--out", "{folder}"], "is a folder"),
    ],
)
def test_mistakes_are_one_sentence(start, tmp_path, capsys, arguments, says):
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    (tmp_path / "moodle.csv").write_text(MOODLE, encoding="utf-8")
    places = {"canvas": tmp_path / "canvas.csv", "moodle": tmp_path / "moodle.csv", "folder": tmp_path}
    status, said = run(capsys, start, *(a.format(**places) for a in arguments))
    assert status == 2 and says in said["error"] and said["error"].count("\n") == 1


def test_exercises_of_a_snapshot():
    shot = canonical.snapshot(tiny.instructor(), release=tiny.released())
    found = insights.exercises(shot, "tiny")
    assert [(e["id"], e["solutions"], [t["id"] for t in e["tests"]]) for e in found] == [
        ("double", ["double"], ["double_check", "double_hidden"]),
        ("even", ["even"], ["even_check", "even_hidden"]),
        ("why", ["why"], ["why"]),
    ]
    assert found[0]["title"] == "Twice, and even" and found[0]["tests"][1]["hidden"]
