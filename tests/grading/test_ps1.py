"""The course of nbgrader's documentation, as nbgrader installs it, graded by stock nbgrader and by ours."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nbformat
import nbgrader
import pytest

from lessonlib.grading import batch, gradebook
from lessonlib.grading.course import Course

from .conftest import Course as Commands
from .test_gradebook import rows

GUIDE = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide"
CONFIG = 'c = get_config()\nc.IncludeHeaderFooter.header = "source/header.ipynb"\n'
DUE = "2015-02-02 22:00:00 UTC"  # between the two submissions, so that one is late
pytestmark = pytest.mark.sandbox


def course_of(root: Path, assignment: str, handed_in: str, leave_out: tuple = ()) -> Path:
    """A course with one assignment of the documentation and its two submissions of `handed_in`; cells registered."""
    shutil.copytree(
        GUIDE / "source" / assignment, root / "source" / assignment, ignore=shutil.ignore_patterns(*leave_out)
    )
    shutil.copy(GUIDE / "source" / "header.ipynb", root / "source")
    shutil.copy(GUIDE / "autotests.yml", root)
    for student in ("bitdiddle", "hacker"):
        there = root / "submitted" / student / assignment
        shutil.copytree(GUIDE / "submitted" / student / handed_in, there, ignore=shutil.ignore_patterns(*leave_out))
    (root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    course = Course(root)
    course.register(assignment)
    with course.gradebook() as book:
        book.update_or_create_assignment(assignment, duedate=DUE)
    return root


def graded(root: Path, assignment: str) -> tuple[Path, Path]:
    """(the course graded by ours, a copy graded by stock)."""
    other = shutil.copytree(root, root.parent / "stock")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "JUPYTER_CONFIG_DIR": str(root.parent / "jupyter")}
    Commands(other, environment).nbgrader("autograde", assignment)
    report = batch.run(Course(root), assignment)
    assert set(report["counts"]) == {"graded"} and not report["passed_over"]
    return root, other


@pytest.fixture(scope="module")
def ps1(tmp_path_factory):
    return graded(course_of(tmp_path_factory.mktemp("ps1") / "ours", "ps1", "ps1"), "ps1")


@pytest.fixture(scope="module")
def autotest(tmp_path_factory):
    """ps1_autotest, of which the documentation has no submissions: those of ps1 fit, but for its new last part. Its second
    notebook is that of ps1, so it is left out."""
    root = tmp_path_factory.mktemp("autotest") / "ours"
    return graded(course_of(root, "ps1_autotest", "ps1", leave_out=("problem2.ipynb",)), "ps1_autotest")


def test_ps1_has_the_rows_of_stock(ps1):
    ours, stock = ps1
    assert rows(ours) == rows(stock)
    assert len(rows(ours)["grade"]) == 2 * (7 + 2)


def test_ps1_scores(ps1):
    found = {entry["student"]: entry for entry in gradebook.totals(Course(ps1[0]), "ps1")}
    points = {student: {c["id"]: c["auto"] for c in entry["cells"]} for student, entry in found.items()}
    assert points["bitdiddle"] == {
        "correct_squares": 0.0,  # the tests that this student commented out or deleted were run all the same
        "squares_invalid_input": 1.0,
        "correct_sum_of_squares": 0.0,
        "sum_of_squares_uses_squares": 0.5,  # it deletes `squares`, which the student's function then must miss
        "sum_of_squares_equation": None,
        "sum_of_squares_application": 0.0,  # left as it was
        "cell-938593c4a215c6cc": None,
        "part-a": None,
        "part-b": None,
    }
    assert {name: score for name, score in points["hacker"].items() if score is not None} == {
        **{"correct_squares": 1.0, "squares_invalid_input": 1.0},
        **{"correct_sum_of_squares": 0.5, "sum_of_squares_uses_squares": 0.5},
    }
    assert (
        found["bitdiddle"]["late_seconds"] == pytest.approx(3503.95, abs=0.01)
        and found["hacker"]["late_seconds"] == 0.0
    )
    assert found["hacker"]["needs_manual"] and found["bitdiddle"]["max_score"] == 13.0


def test_ps1_pages_for_grading_by_hand(ps1):
    """Formgrader finds the same graded cells with the same text, and the same other files."""
    ours, stock = ps1
    for path in sorted((stock / "autograded").glob("*/ps1/*")):
        mine = ours / path.relative_to(stock)
        if path.suffix != ".ipynb":
            assert mine.read_bytes() == path.read_bytes()  # the picture that the notebook shows, and timestamp.txt
            continue
        here, there = (
            {
                c.metadata.nbgrader.grade_id: c.source
                for c in nbformat.read(p, as_version=4).cells
                if "nbgrader" in c.metadata
            }
            for p in (mine, path)
        )
        assert here == there and len(here) in (2, 10), path


def test_ps1_answers_to_a_task_are_there_to_be_graded(ps1):
    """Nobody hands in the cell of a task: the answer stands in cells of the student's own, here in one of text."""
    for root in ps1:
        for student in ("bitdiddle", "hacker"):
            page = nbformat.read(root / "autograded" / student / "ps1" / "problem1.ipynb", as_version=4)
            assert r"$\sum x^i = \frac{1}{1-x}$" in [c.source for c in page.cells]


def test_ps1_autotest_differs_where_a_test_cell_was_not_handed_in(autotest):
    """The submissions of ps1 lack the last test of ps1_autotest, worth no points. Stock does not run what a submission
    lacks and waits for the instructor; ours runs every test of the assignment: it fails, and no one is asked."""
    ours, stock = (rows(root) for root in autotest)
    new = "cell-6e9ff83aa5dfaf17"
    assert [table for table in ours if ours[table] != stock[table]] == ["grade"]
    differ = [
        [row for row in mine["grade"] if row not in other["grade"]] for mine, other in ((ours, stock), (stock, ours))
    ]
    assert [[row[1:] for row in found] for found in differ] == [
        [(new, 0.0, None, None, 0)] * 2,
        [(new, None, None, None, 1)] * 2,
    ]
    totals = {e["student"]: e["score"] for e in gradebook.totals(Course(autotest[0]), "ps1_autotest")}
    assert totals == {"bitdiddle": 1.5, "hacker": 3.0}
