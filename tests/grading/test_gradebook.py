"""The gradebook's writer beside stock nbgrader: the same rows, an instructor's points kept, nothing lost on the way."""

from __future__ import annotations

import copy
import datetime
import errno
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import nbformat
import pytest
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import is_locked
from sqlalchemy import create_engine, text

from lessonlib.grading import autograded, gradebook, intake, late
from lessonlib.grading.course import Course
from lessonlib.grading.engine import Grader

from .attacks import assignment as tiny
from .conftest import Course as Commands
from .test_stock import _get

DUE = datetime.datetime(2026, 3, 1, 12)
PLUGIN = """
from nbgrader.plugins import BasePlugin

class Quarter(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return {"bob": score / 4 + total_seconds_late / 3600, "cyd": 1000.0, "dot": -3}.get(student_id)
"""
CONFIG = 'c = get_config()\nc.AssignLatePenalties.plugin_class = "quarter.Quarter"\n'


def cell(kind: str, source: str, grade_id: str, **about) -> dict:
    """A cell of the instructor's notebook."""
    made = {"cell_type": kind, "source": source, "id": f"id-{grade_id}"}
    made["metadata"] = {"nbgrader": {"schema_version": 3, "grade_id": grade_id, "locked": False, "task": False}}
    made["metadata"]["nbgrader"] |= {"grade": False, "solution": False, **about}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {})


def second(square: str = "", essay: str = "", plan: str = "") -> dict:
    """The second notebook: a function, code graded by hand, a task; as the instructor has it, or with answers in it."""
    answer = "### BEGIN SOLUTION\ndef square(x):\n    return x * x\n### END SOLUTION"
    cells = [
        cell("markdown", "Read this, and leave it as it is.", "read_me", locked=True),
        cell("code", square or answer, "square", solution=True),
        cell("code", "assert square(3) == 9", "square_check", grade=True, locked=True, points=2),
        cell(
            "code",
            essay or "### BEGIN SOLUTION\nplot = 1\n### END SOLUTION",
            "plot",
            grade=True,
            solution=True,
            points=3,
        ),
        cell("markdown", "Write a plan." + plan, "plan", task=True, locked=True, points=4),
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


GAP = "# YOUR CODE HERE\nraise NotImplementedError()"
RIGHT = "def square(x):\n    return x ** 2"
HANDED_IN = {  # student: (first notebook, second notebook or None, timestamp or None)
    "ann": (tiny.submission(), second(RIGHT, "plot = 2"), "2026-03-01 11:59:59 UTC"),
    "bob": (
        tiny.submission(double="def double(x):\n    return x + 2"),
        second("def square(x):\n    return 9", GAP),
        "2026-03-01 14:00:00 UTC",
    ),
    "cyd": (tiny.submission(even=GAP, why="YOUR ANSWER HERE"), None, "2026-03-02 12:00:00"),
    "dot": (tiny.released(), second(GAP, GAP), "2026-03-01 12:00:01 UTC"),
}


def put(path: Path, notebook: dict) -> None:
    """Write a notebook with nbgrader's metadata in its newest form."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(MetadataValidator().upgrade_notebook_metadata(nbformat.from_dict(copy.deepcopy(notebook))), path)


def rows(root: Path) -> dict[str, list[tuple]]:
    """Every table of a gradebook, with names in place of ids."""
    db = sqlite3.connect(root / "gradebook.db")
    names = {
        i: name
        for table in ("assignment", "notebook", "base_cell")
        for i, name in db.execute(f"select id, name from {table}")
    }
    for i, assignment, student in db.execute(
        "select id, assignment_id, student_id from submitted_assignment"
    ).fetchall():
        names[i] = (names[assignment], student)
    for i, notebook, assignment in db.execute(
        "select id, notebook_id, assignment_id from submitted_notebook"
    ).fetchall():
        names[i] = (names[notebook], *names[assignment])
    made = {}
    for (table,) in db.execute("select name from sqlite_master where type = 'table'").fetchall():
        found = db.execute(f"select * from {table}")
        own = (
            [column[0] for column in found.description].index("id")
            if table in ("grade", "comment", "source_cell")
            else None
        )
        made[table] = sorted(
            (tuple(names.get(value, value) for place, value in enumerate(row) if place != own) for row in found),
            key=repr,
        )
    db.close()
    return made


def make_course(root: Path, config: str = CONFIG) -> Course:
    """A course of one assignment with two notebooks, four submissions, a date and a plugin for late ones; nothing graded."""
    put(root / "source" / "hw" / "first.ipynb", tiny.instructor())
    put(root / "source" / "hw" / "second.ipynb", second())
    (root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    (root / "quarter.py").write_text(PLUGIN, encoding="utf-8")
    for student, (first, other, stamp) in HANDED_IN.items():
        folder = root / "submitted" / student / "hw"
        put(folder / "first.ipynb", first)
        if other:
            put(folder / "second.ipynb", other)
        (folder / "timestamp.txt").write_text(stamp, encoding="utf-8")
    course = Course(root)
    course.register("hw")
    with course.gradebook() as book:
        book.update_or_create_assignment("hw", duedate=DUE)
    return course


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Such a course."""
    return make_course(tmp_path_factory.mktemp("start") / "course").root


@pytest.fixture(scope="module")
def stock(start, tmp_path_factory):
    """The same, graded by stock nbgrader."""
    root = shutil.copytree(start, tmp_path_factory.mktemp("stock") / "course")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "JUPYTER_CONFIG_DIR": str(root.parent / "jupyter")}
    commands = Commands(root, environment)
    commands.nbgrader("autograde", "hw")
    return commands


@pytest.fixture(scope="module")
def records(start):
    """{(student, notebook): record}. These submissions are the tests' own, so they need no sandbox."""
    course, made = Course(start), {}
    for notebook in ("first", "second"):
        with Grader(course.snapshot("hw", notebook), unsafe=True) as grader:
            for student in HANDED_IN:
                if (start / "submitted" / student / "hw" / f"{notebook}.ipynb").exists():
                    document, _ = intake.read(course.folder("submitted"), f"{student}/hw/{notebook}.ipynb")
                    made[student, notebook] = grader.grade(document)
            if notebook == "first":
                made["other answer"] = grader.grade(tiny.submission(why="Because of addition."))
                made["other code"] = grader.grade(tiny.submission(double="def double(x):\n    return x + x"))
                made["wrong code"] = grader.grade(tiny.submission(double="def double(x):\n    return x"))
    return made


@pytest.fixture(scope="module")
def saved(start, records, tmp_path_factory):
    """The course's folder after our grades were saved."""
    root = shutil.copytree(start, tmp_path_factory.mktemp("saved") / "course")
    with gradebook.Book(Course(root), "hw") as book:
        for unit, record in records.items():
            if isinstance(unit, tuple):
                book.save(*unit, record)
    return root


@pytest.fixture
def course(saved, tmp_path):
    """A copy of that, to change."""
    return Course(shutil.copytree(saved, tmp_path / "course"))


def cells_of(course, student: str = "ann") -> dict[str, dict]:
    """{grade id: what `totals` says of it}."""
    found = next(s for s in gradebook.totals(course, "hw") if s["student"] == student)
    return {c["id"]: c for c in found["cells"]}


def by_hand(course, grade_id: str, points: float, *, extra: float | None = None, student: str = "ann") -> None:
    """What formgrader stores when an instructor types points."""
    with course.gradebook() as book:
        grade = book.find_grade(grade_id, "first", "hw", student)
        grade.manual_score, grade.extra_credit, grade.needs_manual_grade = points, extra, False
        book.db.commit()


def save(course, record: dict, student: str = "ann", notebook: str = "first", **given) -> dict:
    with gradebook.Book(course, "hw") as book:
        return book.save(student, notebook, record, **given)


def test_rows_are_those_of_stock(stock, saved):
    ours, theirs = rows(saved), rows(stock.root)
    assert ours == theirs
    assert len(ours["submitted_notebook"]) == 8 and len(ours["grade"]) == 32 and len(ours["comment"]) == 24


def test_late_penalties_are_those_of_stock(stock, saved):
    found = {student: (penalty, first) for student, penalty, first in penalties(saved)}
    assert found == {student: (penalty, first) for student, penalty, first in penalties(stock.root)}
    # bob: a quarter of 4 and of 2 points, and one for each of two hours, but no more than there is; cyd: more than the
    # score; dot: less than nothing
    assert found == {"ann": (0, None), "bob": (3.0 + 2.0, 3.0), "cyd": (3.0, 3.0), "dot": (0, 0)}


def penalties(root: Path) -> list[tuple]:
    db = sqlite3.connect(root / "gradebook.db")
    found = db.execute(
        "select student_id, total(late_submission_penalty), max(late_submission_penalty) from submitted_assignment a "
        "join submitted_notebook n on n.assignment_id = a.id group by student_id order by student_id"
    ).fetchall()
    db.close()
    return found


def test_autograded_notebooks_have_the_metadata_of_stock(stock, saved):
    for path in sorted((stock.root / "autograded").glob("*/hw/*")):
        mine = saved / path.relative_to(stock.root)
        assert mine.stat().st_mode == path.stat().st_mode
        if path.name == "timestamp.txt":
            assert mine.read_bytes() == path.read_bytes()
            continue
        ours, theirs = nbformat.read(mine, as_version=4), nbformat.read(path, as_version=4)
        nbformat.validate(ours)
        MetadataValidator().validate_nb(ours)
        for mine_too, cell in zip(ours.cells, theirs.cells, strict=True):
            about = {
                k: v for k, v in cell.metadata.get("nbgrader", {}).items() if k != "locked"
            }  # a flag of the submission
            assert about == {key: mine_too.metadata.nbgrader[key] for key in about}
            assert is_locked(mine_too) == is_locked(cell)
            assert set(mine_too.metadata.get("nbgrader", {})) - set(about) <= {"task", "cell_type", "locked"}
        assert [c.source for c in ours.cells] == [c.source for c in theirs.cells]
        assert [c.id for c in ours.cells] == [c.id for c in theirs.cells]
    assert not (saved / "autograded" / "cyd" / "hw" / "second.ipynb").exists()


def test_totals_agree_with_the_export_of_stock(saved):
    from nbgrader.plugins import CsvExportPlugin

    course = Course(saved)
    path = saved.parent / "grades.csv"
    with course.gradebook() as book:
        CsvExportPlugin(to=str(path), assignment=["hw"]).export(book)
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    theirs = {line[3]: [float(v) for v in (line[7], line[8], line[10])] for line in lines[1:]}
    found = {s["student"]: [s["score"], s["penalty"], s["max_score"]] for s in gradebook.totals(course, "hw")}
    assert found == theirs and list(found) == sorted(HANDED_IN)


def test_totals_tell_cells_comments_and_lateness(saved):
    ann, bob, cyd, dot = gradebook.totals(Course(saved), "hw")
    assert [c["id"] for c in ann["cells"]] == [
        *("double_check", "double_hidden", "even_check", "even_hidden", "why", "square_check", "plot", "plan")
    ]
    assert (ann["late_seconds"], bob["late_seconds"], dot["late_seconds"]) == (0.0, 7200.0, 1.0)
    assert ann["timestamp"] == datetime.datetime(2026, 3, 1, 11, 59, 59)
    assert [c["id"] for c in ann["cells"] if c["needs_manual"]] == ["why", "plot", "plan"]
    assert [c["id"] for c in cyd["cells"] if c["needs_manual"]] == []
    assert {c["id"]: c["comment"] for c in dot["comments"]} == dict.fromkeys(["why", "square", "plot"], "No response.")
    why = next(c for c in cyd["cells"] if c["id"] == "why")
    assert why == {
        **{
            "notebook": "first",
            "id": "why",
            "score": 0.0,
            "max_score": 2.0,
            "auto": 0.0,
            "manual": None,
            "extra": None,
        },
        **{"needs_manual": False, "comment": "No response."},
    }


def test_saving_twice_changes_nothing(course, records):
    before = rows(course.root)
    given = save(course, records["ann", "first"])
    assert rows(course.root) == before
    assert given == {
        **{"score": 7.0, "max_score": 9.0, "needs_manual": True, "penalty": 0.0, "kept": [], "notes": []},
    }


def test_manual_points_extra_credit_and_comments_stay(course, records):
    by_hand(course, "why", 1.5, extra=0.5)
    by_hand(course, "double_hidden", 0.25)
    with course.gradebook() as book:
        book.find_comment("why", "first", "hw", "ann").manual_comment = "Well said."
        book.db.commit()
    before = rows(course.root)
    given = save(course, records["ann", "first"])
    assert rows(course.root) == before  # neither the points nor the answer moved: nothing is asked again
    assert sorted(given["kept"]) == ["double_hidden", "why"]
    assert given["score"] == 7.0 - 2.0 + 0.25 + 2.0 and not given["needs_manual"]
    assert cells_of(course)["why"]["comment"] == "Well said."


def test_a_changed_answer_asks_for_another_look(course, records):
    by_hand(course, "why", 1.5)
    by_hand(course, "double_check", 0.5)
    by_hand(course, "even_check", 0.5)
    save(course, records["other answer"])
    found = cells_of(course)
    assert (found["why"]["manual"], found["why"]["needs_manual"]) == (1.5, True)
    assert not found["double_check"]["needs_manual"] and not found["even_check"]["needs_manual"]
    save(course, records["other answer"])
    assert cells_of(course)["why"]["needs_manual"], "still to be looked at"
    by_hand(course, "why", 1.0)  # looked at
    save(course, records["other answer"])
    assert not cells_of(course)["why"]["needs_manual"]
    save(course, records["other code"])  # the same points, by other code; also another text
    found = cells_of(course)
    assert found["double_check"]["needs_manual"] and found["double_check"]["score"] == 0.5


def test_changed_points_ask_for_another_look(course, records):
    by_hand(course, "double_hidden", 1.0)
    save(course, records["wrong code"])
    cell = cells_of(course)["double_hidden"]
    assert (cell["auto"], cell["manual"], cell["score"], cell["needs_manual"]) == (0.0, 1.0, 1.0, True)
    by_hand(course, "double_hidden", 1.0)
    other_test = copy.deepcopy(records["wrong code"])
    next(row for row in other_test["cells"] if row["id"] == "double_hidden")["points"] = 0.5
    save(course, other_test)  # the same answer under another test
    assert cells_of(course)["double_hidden"]["needs_manual"]


def test_a_kill_before_the_commit_loses_no_question(course, records, monkeypatch):
    by_hand(course, "why", 1.5)
    with gradebook.Book(course, "hw") as book, monkeypatch.context() as patch:
        replace = os.replace

        def killed(*paths, **folders):
            replace(*paths, **folders)
            raise KeyboardInterrupt

        patch.setattr(autograded.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            book.save("ann", "first", records["other answer"])
    written = json.loads((course.root / "autograded" / "ann" / "hw" / "first.ipynb").read_bytes())
    assert autograded.answer(written, "why") == ["Because of addition."]
    save(course, records["other answer"])  # now the notebook on disk is the same
    assert cells_of(course)["why"]["needs_manual"]


def test_a_kill_before_the_commit_leaves_what_saving_again_repairs(course, records, monkeypatch):
    def killed():
        raise KeyboardInterrupt

    before = rows(course.root)
    with gradebook.Book(course, "hw") as book, monkeypatch.context() as patch:
        patch.setattr(book._session, "commit", killed)
        for student in ("ann", "eva"):  # known, and new
            with pytest.raises(KeyboardInterrupt):
                book.save(student, "first", records["wrong code"])
            written = json.loads((course.root / "autograded" / student / "hw" / "first.ipynb").read_bytes())
            assert "return x" in autograded.answer(written, "double_check")[-1]
    assert rows(course.root) == before
    for student in ("ann", "eva"):
        assert save(course, records["wrong code"], student)["score"] == 4.0
        assert cells_of(course, student)["double_check"]["auto"] == 0.0


def test_a_notebook_that_was_not_handed_in(course, records):
    record = {"status": "refused", "reasons": ["second.ipynb was not handed in"], "cells": []}
    before = rows(course.root)
    given = save(course, record, "cyd", "second")
    assert rows(course.root) == before and given["score"] == 0.0 and not given["needs_manual"]
    assert not (course.root / "autograded" / "cyd" / "hw" / "second.ipynb").exists()
    folder = course.root / "submitted" / "ann" / "hw"
    os.remove(folder / "second.ipynb")  # handed in anew, without it
    save(course, records["ann", "first"])
    assert [cells_of(course)[name]["auto"] for name in ("square_check", "plot", "plan")] == [0.0, 0.0, 0.0]


def test_a_refused_notebook_gets_zeros_and_the_reason(course):
    record = {"status": "refused", "reasons": ["Cell 1 has the type '<script>alert(1)</script>'."], "cells": []}
    given = save(course, record)
    assert (given["score"], given["needs_manual"]) == (0.0, False)
    found = cells_of(course)
    assert all(found[name]["auto"] == 0.0 for name in ("double_check", "double_hidden", "even_check", "why"))
    assert found["why"]["comment"].startswith("Not graded: Cell 1 has the type") and "<" not in found["why"]["comment"]
    page = nbformat.read(course.root / "autograded" / "ann" / "hw" / "first.ipynb", as_version=4)
    nbformat.validate(page)
    assert [c.cell_type for c in page.cells] == ["code"] and "# Cell 1 has" in page.cells[0].source


def test_where_the_machine_failed_a_person_looks(course, records):
    record = copy.deepcopy(records["ann", "first"])
    record |= {"status": "failed", "reasons": ["a sandbox could not be forked"]}
    for row in record["cells"]:
        if row["id"].startswith("even"):
            row |= {"points": 0.0, "needs_manual": True, "reason": "not reached"}
    given = save(course, record)
    assert given["needs_manual"] and given["score"] == 3.0
    assert [c for c, about in cells_of(course).items() if about["needs_manual"]][:3] == [
        "even_check",
        "even_hidden",
        "why",
    ]
    given = save(course, {"status": "failed", "reasons": ["no memory"], "cells": []})
    assert given["score"] == 0.0
    assert all(about["needs_manual"] for about in cells_of(course).values() if about["notebook"] == "first")


@pytest.mark.parametrize(
    "content, note",
    [
        (b"the day after tomorrow", "holds no date"),
        (b"\xff\xfe", "holds no date"),
        (b"2026-03-01 12:00:00 " + b"9" * 40, "holds no date"),
        (b"99999999999999999999", "holds no date"),
        (b"", "is empty"),
        (b"2026-03-01" * 1000, "10,000 bytes"),
    ],
)
def test_a_timestamp_that_is_none_is_told(course, records, content, note):
    before = cells_of(course), (course.root / "autograded" / "ann" / "hw" / "timestamp.txt").read_bytes()
    (course.root / "submitted" / "ann" / "hw" / "timestamp.txt").write_bytes(content)
    given = save(course, records["ann", "first"])
    assert len(given["notes"]) == 1 and note in given["notes"][0]
    assert (cells_of(course), (course.root / "autograded" / "ann" / "hw" / "timestamp.txt").read_bytes()) == before


def test_a_timestamp_behind_a_link_is_not_read(course, records, tmp_path):
    (tmp_path / "early").write_text("2020-01-01 00:00:00 UTC", encoding="utf-8")
    path = course.root / "submitted" / "ann" / "hw" / "timestamp.txt"
    path.unlink()
    path.symlink_to(tmp_path / "early")
    assert "is a link" in save(course, records["ann", "first"])["notes"][0]


def test_an_extension_and_a_given_time(course, records):
    with course.gradebook() as book:
        book.grant_extension("hw", "bob", hours=2)
    assert save(course, records["bob", "first"], "bob")["penalty"] == 0.0
    given = save(course, records["bob", "first"], "bob", timestamp="2026-03-01 17:00:00 UTC")
    assert given["penalty"] == 4 / 4 + 3
    given = save(course, records["bob", "first"], "bob", timestamp=datetime.datetime(2026, 3, 1, 18))
    assert given["penalty"] == 4.0
    assert given["notes"] == ["the late penalty of 5 was set to 4, between 0 and the score"]
    with pytest.raises(ValueError, match="'noon' is no date and time"):
        save(course, records["bob", "first"], "bob", timestamp="noon")


@pytest.mark.parametrize("method, penalty", [("zero", 4.0), ("none", 0.0)])
def test_the_plugin_of_nbgrader_itself(course, records, method, penalty):
    config = f"c = get_config()\nc.LateSubmissionPlugin.penalty_method = {method!r}\n"
    (course.root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    assert save(Course(course.root), records["bob", "first"], "bob")["penalty"] == penalty


@pytest.mark.parametrize(
    "plugin, words",
    [
        ("raise ValueError('not\\nready')", "cannot be loaded (ValueError: not ready)"),
        ("import nowhere_at_all", "cannot be loaded"),
        (PLUGIN.replace("return {", "return 1 / 0 + {"), "failed for bob (ZeroDivisionError"),
    ],
)
def test_a_broken_plugin_is_named(course, records, plugin, words):
    (course.root / "broken.py").write_text(plugin, encoding="utf-8")
    config = CONFIG.replace("quarter", "broken")
    (course.root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    before = rows(course.root)
    with pytest.raises(ValueError) as error, gradebook.Book(Course(course.root), "hw") as book:
        try:
            book.save("bob", "first", records["ann", "first"])  # more points than before
        finally:
            book.save("ann", "first", records["ann", "first"])  # handed in in time
    assert words in str(error.value) and "\n" not in str(error.value)
    sys.modules.pop("broken", None)
    assert rows(course.root) == before


def test_students_are_made_or_not_as_configured(course, records):
    save(course, records["ann", "first"], "eva")
    assert "eva" in {s["student"] for s in gradebook.totals(course, "hw")}
    with open(course.root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write("c.Autograde.create_student = False\n")
    before = rows(course.root)
    with pytest.raises(ValueError, match="has no student 'fay'.*nbgrader db student add fay"):
        save(Course(course.root), records["ann", "first"], "fay")
    assert rows(course.root) == before


def test_mistakes_get_one_sentence(course, records):
    with pytest.raises(ValueError, match="has no notebook 'third' in the gradebook; it has first, second"):
        save(course, records["ann", "first"], notebook="third")
    with pytest.raises(ValueError, match="longer than the 128 characters"):
        save(course, records["ann", "first"], "a" * 129)
    with pytest.raises(ValueError, match="characters that a file name must not have"):
        save(course, records["ann", "first"], "../ann")
    for call in (lambda: gradebook.Book(course, "no"), lambda: gradebook.totals(course, "no")):
        with pytest.raises(ValueError, match="has no assignment 'no': run nbgrader generate_assignment no"):
            call()


def test_a_locked_gradebook_loses_nothing(course, records, monkeypatch):
    monkeypatch.setattr(gradebook, "WAIT", 0.2)
    with gradebook.Book(course, "hw") as book:
        before = rows(course.root)
        other = sqlite3.connect(course.root / "gradebook.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RuntimeError) as error:
            book.save("ann", "first", records["wrong code"])
        assert "database is locked" in str(error.value) and "\n" not in str(error.value)
        other.execute("ROLLBACK")
        other.close()
        assert rows(course.root) == before
        assert book.save("ann", "first", records["wrong code"])["score"] == 4.0  # the same open book goes on


def test_a_full_disk_loses_nothing(course, records, monkeypatch):
    before = rows(course.root)
    with gradebook.Book(course, "hw") as book:
        pages = book._session.execute(text("PRAGMA page_count")).scalar()
        book._session.execute(text(f"PRAGMA max_page_count={pages}"))
        record = {"status": "refused", "reasons": ["so it goes " * 10_000], "cells": []}
        with pytest.raises(RuntimeError, match="could not be written .database or disk is full."):
            book.save("ann", "first", record)
    assert rows(course.root) == before

    def full(*paths, **folders):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(autograded.os, "replace", full)
    with pytest.raises(RuntimeError, match="autograded could not be written .No space left on device."):
        save(course, records["wrong code"])
    assert rows(course.root) == before
    assert not [p for p in (course.root / "autograded" / "ann" / "hw").iterdir() if p.name.startswith(".")]


def test_sqlite_is_in_wal_mode_and_only_there_less_careful(course):
    with gradebook.Book(course, "hw") as book:
        mode = [book._session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
    assert mode == ["wal", 1]
    reader = sqlite3.connect(course.root / "gradebook.db")
    assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    reader.execute("PRAGMA journal_mode=DELETE")
    reader.execute("BEGIN")
    reader.execute("select * from student").fetchall()
    with gradebook.Book(course, "hw") as book:  # the mode cannot be changed just now
        mode = [book._session.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
    assert mode == ["delete", 2]
    reader.close()
    with gradebook._tuned(create_engine("sqlite://")).connect() as memory:  # where there is no WAL mode
        assert memory.execute(text("PRAGMA synchronous")).scalar() == 2


def test_no_link_below_autograded_is_followed(course, records, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.txt").write_text("mine", encoding="utf-8")
    page = course.root / "autograded" / "ann" / "hw" / "first.ipynb"
    page.unlink()
    page.symlink_to(outside / "mine.txt")
    save(course, records["ann", "first"])
    assert not page.is_symlink() and (outside / "mine.txt").read_text(encoding="utf-8") == "mine"
    before = rows(course.root)
    shutil.rmtree(course.root / "autograded" / "ann")
    (course.root / "autograded" / "ann").symlink_to(outside)
    with pytest.raises(ValueError, match="'ann' below .* is a link or no readable folder"):
        save(course, records["wrong code"])
    assert rows(course.root) == before and [p.name for p in outside.iterdir()] == ["mine.txt"]


def test_pictures_that_text_cells_show_are_copied_and_nothing_else(course, records, tmp_path):
    handed_in, source = course.root / "submitted" / "ann" / "hw", course.root / "source" / "hw"
    (source / "figures").mkdir()
    for path, data in {
        source / "figures" / "all.png": b"the instructor's",
        handed_in / "my plot.png": b"mine",
        handed_in / "unused.png": b"not shown",
        handed_in / "page.html": b"<script>",
        handed_in / "drawing.svg": b"<script>",
        tmp_path / "secret.png": b"secret",
    }.items():
        path.write_bytes(data)
    (handed_in / "second.ipynb").unlink()
    (handed_in / "second.ipynb").mkdir()
    (handed_in / "second.ipynb" / "x.png").write_bytes(b"in the place of a notebook")
    (handed_in / "link.png").symlink_to(tmp_path / "secret.png")
    record = copy.deepcopy(records["ann", "first"])
    words = (
        "![](figures/all.png) ![](my%20plot.png) ![](link.png) ![](../ann/hw/unused.png) [](page.html) ![](drawing.svg) "
        "![](second.ipynb/x.png) ![](nowhere.png) ![](https://example.org/a.png) ![](/etc/a.png)" + "a" * 400_000
    )
    next(c for c in record["notebook"]["cells"] if c["source"] == tiny.WRITTEN)["source"] = words
    save(course, record)
    there = course.root / "autograded" / "ann" / "hw"
    files = {str(p.relative_to(there)): p.read_bytes() for p in there.rglob("*") if p.is_file()}
    assert set(files) == {"first.ipynb", "second.ipynb", "timestamp.txt", "figures/all.png", "my plot.png"}
    assert files["figures/all.png"] == b"the instructor's" and files["my plot.png"] == b"mine"
    (there / "my plot.png").unlink()
    (there / "my plot.png").mkdir()  # as somebody left it: no reason to save no points
    assert save(course, record)["score"] == 7.0


def test_a_book_serves_another_thread(course, records):
    with gradebook.Book(course, "hw") as book:
        worker = threading.Thread(target=book.save, args=("ann", "first", records["wrong code"]))
        worker.start()
        worker.join()
    assert cells_of(course)["double_hidden"]["auto"] == 0.0


def test_one_commit_and_one_connection_for_each_notebook(course, records):
    from sqlalchemy import event

    seen = []
    with gradebook.Book(course, "hw") as book:
        event.listen(book._book.engine, "commit", lambda connection: seen.append("commit"))
        event.listen(book._book.engine, "connect", lambda *about: seen.append("connect"))
        for unit in (("ann", "first"), ("ann", "second"), ("bob", "first")):
            book.save(*unit, records[unit])
    assert seen == ["commit"] * 3


def test_cells_that_came_after_the_submission_get_rows(course, records):
    with course.gradebook() as book:
        book.add_grade_cell("later", "first", "hw", max_score=5, cell_type="code")
        book.add_solution_cell("later", "first", "hw")
    save(course, records["ann", "first"])
    assert cells_of(course)["later"]["needs_manual"] and cells_of(course)["later"]["max_score"] == 5.0


def test_what_is_compared_for_each_kind_of_cell(records):
    first, other = records["ann", "first"]["notebook"], records["ann", "second"]["notebook"]
    assert autograded.answer(first, "why") == [tiny.WRITTEN]
    before = autograded.answer(first, "double_check")
    assert len(before) == 2 and before[-1] == tiny.DOUBLE.strip()
    assert autograded.answer(first, "even_check")[-1] == tiny.PARITY.strip()
    assert autograded.answer(other, "plan") == [RIGHT, "plot = 2"]
    assert autograded.answer(other, "nothing") is None and autograded.answer(None, "plan") is None


def test_late_seconds():
    due, hour = DUE, datetime.timedelta(hours=1)
    assert late.seconds_late(due + hour, due, None) == 3600.0
    assert late.seconds_late(due + hour, due, hour) == late.seconds_late(due - hour, due, None) == 0.0
    assert late.seconds_late(None, due, None) == late.seconds_late(due, None, hour) == 0.0


def test_formgrader_and_stock_commands_work_on_our_folders(saved, stock, tmp_path):
    root = Path(shutil.copytree(saved, tmp_path / "course"))
    commands = Commands(root, stock.environment)
    with open(root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(f"c.CourseDirectory.root = {str(root)!r}\n")
    with Course(root).gradebook() as book:
        page = book.find_submission_notebook("first", "hw", "ann").id
        why = book.find_grade("why", "first", "hw", "ann").id
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "server",
        "--no-browser",
        f"--port={port}",
        "--IdentityProvider.token=t",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    with open(tmp_path / "server.log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(command, cwd=root, env=commands.environment, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}/formgrader"
            shown = _get(f"{address}/submissions/{page}/?token=t", server)
            assert "Because two twos are four." in shown and "7340033" in shown  # the answer, and a hidden test
            found = json.loads(_get(f"{address}/api/submission/hw/bob?token=t", server))
            assert found["score"] == 4.0 + 2.0 and found["autograded"] and found["needs_manual_grade"]
            grades = json.loads(_get(f"{address}/api/grades?submission_id={page}&token=t", server))
            assert {g["name"]: g["auto_score"] for g in grades}["even_hidden"] == 3.0
            answer = urllib.request.urlopen(
                urllib.request.Request(
                    f"{address}/api/grade/{why}?token=t",
                    data=json.dumps({"manual_score": 2, "extra_credit": 1}).encode(),
                    headers={"Authorization": "token t", "Content-Type": "application/json"},
                    method="PUT",
                ),
                timeout=20,
            )
            assert answer.status == 200
        finally:
            server.terminate()
            server.wait(timeout=20)
    assert cells_of(Course(root))["why"]["score"] == 3.0
    commands.nbgrader("generate_feedback", "hw")
    feedback = (root / "feedback" / "ann" / "hw" / "first.html").read_text(encoding="utf-8")
    assert "10.0" in feedback and "Because two twos are four." in feedback
    commands.nbgrader("autograde", "hw", "--student", "ann", "--force")
    assert cells_of(Course(root))["why"]["manual"] == 2.0
    assert nbformat.read(root / "autograded" / "ann" / "hw" / "first.ipynb", as_version=4).cells
