"""Feedback pages in nbgrader's own feedback folder, so that release_feedback and fetch_feedback bring them to the learners.

A page shows points, reasons and comments, then the notebook as it was graded. Hidden tests appear as "hidden test 2: failed"
with their author's hint. Everything that comes from a submission is escaped or cleaned, and the page runs no script."""

from __future__ import annotations

import contextlib
import json
import os
import time
from fnmatch import fnmatchcase
from pathlib import Path

from .. import canonical, intake, results
from ..shell import safe_outputs
from . import feedback_tests, pages
from .feedback_page import Page

LARGEST = 200 * 2**20  # bytes of a graded notebook
BESIDE = ("timestamp.txt", "submission_secret.txt")  # what nbgrader's exchange wants to find beside a feedback page


def write(course, assignment: str, student: str, notebook: str) -> Path:
    """Write the page of one notebook of one student; its path comes back. ValueError when it was not graded yet."""
    return _Desk(course, assignment).write(student, notebook)


def write_all(course, assignment: str, students: str = "*") -> dict:
    """Write the pages of all graded submissions whose student matches the glob: {"assignment", "folder", "pages" (how many),
    "failed": [{"student", "notebook", "reason"}], "seconds"}. ValueError when no graded submission matches."""
    started, desk = time.monotonic(), _Desk(course, assignment)
    graded = _graded(course, assignment, students)
    if not graded:
        raise ValueError(f"No graded submission of {assignment} matches {students!r}: grade first, or mend --student.")
    made, failed = 0, []
    for student in graded:
        for notebook in course.notebooks(assignment):
            try:
                desk.write(student, notebook)
                made += 1
            except Exception as error:  # told in the report; the other pages are made
                reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
                failed.append({"student": student, "notebook": notebook, "reason": reason})
    folder = os.path.relpath(course.folder("feedback"), course.root)
    seconds = round(time.monotonic() - started, 2)
    return {"assignment": assignment, "folder": folder, "pages": made, "failed": failed, "seconds": seconds}


def _graded(course, assignment: str, pattern: str) -> list[str]:
    """Students of whom there is a graded notebook or a record, sorted. Links are not followed."""
    found = set()
    for top, inner in ((course.folder("autograded"), assignment), (course.reports(assignment) / "records", "")):
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(top):
                inside = os.path.join(entry.path, inner)
                if fnmatchcase(entry.name, pattern) and entry.is_dir(follow_symlinks=False) and os.path.isdir(inside):
                    with contextlib.suppress(intake.Refused):
                        found.add(intake.check_name(entry.name) and entry.name)
    return sorted(found)


class _Desk:
    """What the pages of one assignment share: snapshots, grades, comments."""

    def __init__(self, course, assignment: str):
        from .. import gradebook

        self.course, self.assignment = course, assignment
        self.rows = {row["student"]: row for row in gradebook.totals(course, assignment)}
        self.comments: dict[tuple, dict] = {}
        for row in self.rows.values():
            for comment in row["comments"]:
                if comment["manual"]:
                    kept = self.comments.setdefault((row["student"], comment["notebook"]), {})
                    kept[comment["id"]] = comment["comment"]
        self.shots: dict[str, dict] = {}

    def shot(self, notebook: str) -> dict:
        """The snapshot of a notebook, with the names that its hidden tests bind."""
        if notebook not in self.shots:
            made = self.course.snapshot(self.assignment, notebook)
            made["secret"] = feedback_tests.hidden_names(made)
            self.shots[notebook] = made
        return self.shots[notebook]

    def write(self, student: str, notebook: str) -> Path:
        course, assignment = self.course, self.assignment
        record = results.read(course, assignment, student, notebook)
        graded = _autograded(course, assignment, student, notebook)
        if record is None and graded is None:
            raise ValueError(f"{assignment}/{notebook} of {student} is not graded yet: run lessonlib grade autograde.")
        if (
            record is not None
            and graded is not None
            and record.get("notebook")
            and not _same(record["notebook"], graded)
        ):
            record = None  # stock nbgrader has graded since
        text = Page(self, student, notebook, record, graded).html()
        folder = course.folder("feedback", assignment, student)
        path = pages.write(folder / f"{notebook}.html", text)
        shared = bool(course.coursedir.groupshared)
        path.chmod(0o664 if shared else 0o644)
        for name in BESIDE:
            for step in ("autograded", "submitted"):
                with contextlib.suppress(intake.Refused, FileNotFoundError):
                    data = intake.read_file(course.folder(step), f"{student}/{assignment}/{name}", 10_000)
                    pages.write(folder / name, data.decode("utf-8", "replace"))
                    break
        return path


def _autograded(course, assignment: str, student: str, notebook: str) -> dict | None:
    """The graded notebook on disk, or None when there is none; ValueError when it is no notebook."""
    name = f"{student}/{assignment}/{notebook}.ipynb"
    if not os.path.lexists(course.folder("autograded") / name):
        return None
    book = None
    with contextlib.suppress(ValueError, RecursionError):
        book = json.loads(intake.read_file(course.folder("autograded"), name, LARGEST))
    cells = book.get("cells") if isinstance(book, dict) else None
    if not isinstance(cells, list) or not all(
        isinstance(c, dict) and isinstance(c.get("cell_type"), str) for c in cells
    ):
        raise ValueError(f"The graded notebook {name} cannot be read: grade it again.")
    for cell in cells:
        cell["source"] = canonical.text(cell) if isinstance(cell.get("source"), (str, list)) else ""
        if not isinstance(cell.get("metadata"), dict):
            cell["metadata"] = {}
        for output in cell["outputs"] if isinstance(cell.get("outputs"), list) else ():
            if isinstance(output, dict):
                _join(output, "text")
                for mime in list(output["data"]) if isinstance(output.get("data"), dict) else ():
                    _join(output["data"], mime)
    return book


def _join(holder: dict, key: str) -> None:
    """nbformat may keep a text as a list of lines: join them."""
    if isinstance(holder.get(key), list):
        holder[key] = "".join(map(str, holder[key]))


def _same(one: dict, other: dict) -> bool:
    """Whether two graded notebooks have the same cells with the same outputs."""

    def seen(book):
        return [(c["cell_type"], canonical.text(c), safe_outputs(c.get("outputs", []))) for c in book["cells"]]

    return seen(one) == seen(other)
