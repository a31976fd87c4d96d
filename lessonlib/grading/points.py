"""Points and comments as nbgrader's gradebook holds them: of the assignment's cells, and of its students."""

from __future__ import annotations

from .late import seconds_late


class Notebook:
    """What the gradebook knows of one notebook of an assignment, as plain values. graded: cells that give points, commented:
    cells that can have a comment, both {grade id: id of the row}; worth: maximal points by grade id."""

    def __init__(self, row):
        graded = [*row.grade_cells, *row.task_cells]
        self.name, self.id = row.name, row.id
        self.graded = {cell.name: cell.id for cell in graded}
        self.worth = {cell.name: float(cell.max_score) for cell in graded}
        self.max_score = sum(self.worth.values())
        self.commented = {cell.name: cell.id for cell in [*row.solution_cells, *row.task_cells]}
        self.tasks = {cell.name for cell in row.task_cells}
        self.sources = {
            cell.name: {"checksum": cell.checksum, "locked": cell.locked, "cell_type": cell.cell_type}
            for cell in row.source_cells
        }

    def complete(self, document: dict) -> dict:
        """The graded notebook with nbgrader's metadata as the gradebook has them, so that stock nbgrader accepts it."""
        cells = []
        for cell in document["cells"]:
            about = cell["metadata"].get("nbgrader", {})
            known = self.sources.get(about.get("grade_id"))
            if known:
                # A solution cell keeps the checksum of its release: an answer that still has it is none.
                kept = {"schema_version": 3, "grade": False, "solution": False, "task": False}
                about = kept | about | {name: value for name, value in known.items() if value is not None}
                if about["grade_id"] in self.worth:
                    about["points"] = self.worth[about["grade_id"]]
                cell = cell | {"metadata": cell["metadata"] | {"nbgrader": about}}
            cells.append(cell)
        return document | {"cells": cells}

    def points(self, record: dict) -> dict[str, tuple[float | None, bool]]:
        """{grade id: (automatic points, whether a person must look)} of a record, for the cells that the gradebook knows."""
        if record["status"] == "refused":
            return {name: (0.0, False) for name in self.graded}
        found = {name: (0.0, True) for name in self.graded} if record["status"] == "failed" else {}
        rows = {cell["id"]: (cell["points"], bool(cell["needs_manual"])) for cell in record.get("cells", ())}
        return found | {name: row for name, row in rows.items() if name in self.graded}

    def comments(self, record: dict, document: dict) -> dict[str, str]:
        """{grade id: automatic comment}: "No response." where stock nbgrader says so, the reason when refused."""
        from nbformat import from_dict
        from nbgrader.utils import compute_checksum

        if record["status"] == "refused":
            reason = _harmless(" ".join(record.get("reasons", ())))
            return dict.fromkeys(self.commented, f"Not graded: {reason or 'no reason was recorded'}")
        said = {cell["id"]: "No response." for cell in record.get("cells", ()) if cell["reason"] == "not answered"}
        for cell in document["cells"]:
            about = cell["metadata"].get("nbgrader", {})
            name = about.get("grade_id")
            if name in self.commented and name not in self.tasks:
                if about.get("checksum") == compute_checksum(from_dict(cell)):
                    said[name] = "No response."
        return said


def totals(course, assignment: str) -> list[dict]:
    """What the gradebook holds of an assignment, for each student who handed it in, sorted; nothing is written.

    {"student", "score" (sum of the cells, before the penalty), "max_score", "needs_manual", "penalty", "timestamp" (UTC,
    without its zone, or None), "late_seconds", "cells": [{"notebook", "id", "score", "max_score", "auto", "manual", "extra",
    "needs_manual", "comment"}] in the order of the notebooks, "comments": [{"notebook", "id", "comment", "manual"}] (every
    comment, also on cells without points)}. ValueError when the gradebook does not know the assignment."""
    from nbgrader.api import MissingEntry
    from sqlalchemy.exc import SQLAlchemyError

    with course.gradebook() as book:
        try:
            about = book.find_assignment(assignment)
            notebooks = {row.id: Notebook(row) for row in about.notebooks}
            due = about.duedate
            submissions, grades, comments = _rows(book.db, about.id)
        except MissingEntry:
            raise ValueError(unknown(assignment)) from None
        except SQLAlchemyError as error:
            raise RuntimeError(
                f"The gradebook could not be read ({said(error)}): close what else has it open."
            ) from None
    order = {row: _order(course, assignment, notebook) for row, notebook in notebooks.items()}
    most = sum(notebook.max_score for notebook in notebooks.values())
    students: dict[str, dict] = {}
    for row in sorted(submissions, key=lambda r: (r.student_id, notebooks[r.notebook_id].name)):
        if row.student_id not in students:
            students[row.student_id] = {
                "student": row.student_id,
                "score": 0.0,
                "max_score": most,
                "needs_manual": False,
                "penalty": 0.0,
                "timestamp": row.timestamp,
                "late_seconds": seconds_late(row.timestamp, due, row.extension),
                "cells": [],
                "comments": [],
            }
        entry, notebook = students[row.student_id], notebooks[row.notebook_id]
        entry["penalty"] += row.late_submission_penalty or 0.0
        for name in order[row.notebook_id]:
            comment = comments.get((row.id, notebook.commented.get(name)))
            text = comment and (comment.manual_comment or comment.auto_comment)
            if text:
                manual = bool(comment.manual_comment)
                entry["comments"].append({"notebook": notebook.name, "id": name, "comment": text, "manual": manual})
            grade = grades.get((row.id, notebook.graded.get(name)))
            if grade is None:
                continue
            cell = {
                "notebook": notebook.name,
                "id": name,
                "score": score(grade.auto_score, grade),
                "max_score": notebook.worth[name],
                "auto": grade.auto_score,
                "manual": grade.manual_score,
                "extra": grade.extra_credit,
                "needs_manual": grade.needs_manual_grade,
                "comment": text or None,
            }
            entry["cells"].append(cell)
            entry["score"] += cell["score"]
            entry["needs_manual"] |= cell["needs_manual"]
    return list(students.values())


def score(auto: float | None, row) -> float:
    """Points of a cell, by nbgrader's rule: an instructor's before the automatic ones, extra credit on top of either."""
    points = auto if row.manual_score is None else row.manual_score
    return 0.0 if points is None else points + (row.extra_credit or 0.0)


def unknown(assignment: str) -> str:
    """What is said of an assignment that is not in the gradebook."""
    return f"The gradebook has no assignment {assignment!r}: run nbgrader generate_assignment {assignment}."


def said(error) -> str:
    """The first line of what a database said."""
    return (str(getattr(error, "orig", None) or error).strip().splitlines() or ["no reason"])[0].rstrip(".")


def _rows(db, assignment_id: str) -> tuple[list, dict, dict]:
    """(submitted notebooks, grades, comments) of an assignment, the latter two by (submitted notebook, cell)."""
    from nbgrader.api import Comment, Grade, SubmittedAssignment, SubmittedNotebook
    from sqlalchemy import select

    def of(*columns, table=None):
        query = select(*columns).select_from(SubmittedNotebook)
        query = query.join(SubmittedAssignment, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        if table is not None:
            query = query.join(table, table.notebook_id == SubmittedNotebook.id)
        return db.execute(query.where(SubmittedAssignment.assignment_id == assignment_id)).all()

    theirs = of(
        SubmittedAssignment.student_id,
        SubmittedAssignment.timestamp,
        SubmittedAssignment.extension,
        SubmittedNotebook.id,
        SubmittedNotebook.notebook_id,
        SubmittedNotebook.late_submission_penalty,
    )
    points = (Grade.auto_score, Grade.manual_score, Grade.extra_credit, Grade.needs_manual_grade)
    grades = of(Grade.notebook_id, Grade.cell_id, *points, table=Grade)
    words = (Comment.auto_comment, Comment.manual_comment)
    comments = of(Comment.notebook_id, Comment.cell_id, *words, table=Comment)
    return theirs, *({(row.notebook_id, row.cell_id): row for row in rows} for rows in (grades, comments))


def _order(course, assignment: str, notebook: Notebook) -> list[str]:
    """Grade ids in the order of the instructor's notebook; alphabetically when that is gone."""
    names = sorted({*notebook.graded, *notebook.commented})
    try:
        cells = course.solution(assignment, notebook.name)["cells"]
    except (ValueError, OSError):
        return names
    place = {cell["metadata"].get("nbgrader", {}).get("grade_id"): number for number, cell in enumerate(cells)}
    return sorted(names, key=lambda name: (place.get(name, len(cells)), name))


def _harmless(text: str) -> str:
    """`text` without what would be markup: feedback pages render comments, and a reason may quote the submission."""
    return "".join(c if c.isprintable() else " " for c in text).translate(str.maketrans("<>[]`", "‹›()'"))
