"""Writes what came of a submission into nbgrader's gradebook and its autograded folder, as `nbgrader autograde` would.

The rows are stock's: student, submission, notebooks, grades, comments, late penalty; one commit for each notebook. Points,
extra credit and comments of an instructor are never touched. nbgrader's own pages, exports and feedback work on the result."""

from __future__ import annotations

import datetime
import os
import sqlite3
from contextlib import contextmanager, suppress
from types import SimpleNamespace

from . import autograded, intake, late, points
from .points import totals

__all__ = ["Book", "totals"]
WAIT = 30.0  # seconds for which another program may keep the gradebook locked


class Book:
    """The gradebook of a course, open for the grades of one assignment; a context manager, for one writer at a time.

    sqlite runs in WAL mode with synchronous=NORMAL: a killed process loses nothing, a power cut the last grades at most,
    which can be saved again. That needs a disk of this machine: neither WAL nor sqlite's locks work over NFS. There, set
    CourseDirectory.db_url to PostgreSQL."""

    def __init__(self, course, assignment: str):
        """ValueError when the assignment is not registered, when the plugin for late penalties cannot be loaded, or when
        the gradebook cannot be opened."""
        from nbgrader.api import MissingEntry
        from sqlalchemy.orm import Session

        self.course, self.assignment = course, assignment
        self._penalty = late.Penalties(course)
        self._mode = autograded.permissions(course)
        self._book = course.gradebook()
        self._session = Session(_tuned(self._book.engine))
        try:
            with self._one_sentence():
                about = self._book.find_assignment(assignment)
                self._id, self._due = about.id, about.duedate
                self._notebooks = {notebook.name: points.Notebook(notebook) for notebook in about.notebooks}
                self._book.db.remove()
        except MissingEntry:
            self.close()
            raise ValueError(points.unknown(assignment)) from None
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._session.close()
        self._book.close()

    def save(self, student: str, notebook: str, record: dict, timestamp: str | datetime.datetime | None = None) -> dict:
        """Save the record (see `engine.grade`) of one notebook of one student: {"score" (before the penalty), "max_score",
        "needs_manual", "penalty", "kept" (grade ids whose points an instructor gave), "notes"}, of this notebook.

        timestamp: when it was handed in; by default what timestamp.txt of the submission says. A cell with an instructor's
        points keeps them and is flagged for review when its automatic points, or the answer, are not those of last time.
        The autograded notebook is written before the commit, so that saving again after a kill puts both right.
        ValueError or RuntimeError in one sentence; then no points were changed."""
        about = self._notebooks.get(notebook)
        if about is None:
            there = ", ".join(sorted(self._notebooks)) or "none"
            raise ValueError(f"{self.assignment} has no notebook {notebook!r} in the gradebook; it has {there}.")
        if intake.check_name(student) != student:
            raise ValueError(f"The name {student!r} is not in Unicode's composed form: rename the student's folder.")
        if len(student) > 128:
            raise ValueError(
                f"The name {student[:20]!r}... is longer than the 128 characters that nbgrader's gradebook takes."
            )
        stamp, when, notes = late.handed_in(self.course, self.assignment, student)
        if timestamp is not None:
            when = late.moment(timestamp)
        absent = self._absent(student)
        document = None
        if notebook not in absent or record["status"] != "refused":  # else stock leaves nothing but zeros
            document = about.complete(record.get("notebook") or autograded.not_graded(record.get("reasons", ())))
        with self._one_sentence(), autograded.folder(self.course, self.assignment, student) as folder:
            submission = self._submission(student, when)
            mine = self._submitted_notebooks(submission.id)
            rows = self._rows("Grade", mine[notebook], about.graded)
            known = any(row.manual_score is not None for row in rows)
            old = autograded.read(folder, f"{notebook}.ipynb") if known else None
            grades, kept, asked = _compare(rows, about.points(record), old, document)
            if asked:  # at once: when the new answer lies there, a kill would leave no trace of the change
                self._update("Grade", [{"id": row.id, "needs_manual_grade": True} for row in asked])
                self._session.commit()
            self._update("Grade", grades)
            comments = about.comments(record, document) if document else {}
            rows_of_comments = self._rows("Comment", mine[notebook], about.commented)
            self._update("Comment", [{"id": r.id, "auto_comment": comments.get(r.name)} for r in rows_of_comments])
            score = sum(points.score(new["auto_score"], row) for row, new in zip(rows, grades, strict=True))
            late_by = late.seconds_late(submission.timestamp, self._due, submission.extension)
            penalty, more = self._penalty(student, score, late_by) if document else (None, [])
            self._update("SubmittedNotebook", [{"id": mine[notebook], "late_submission_penalty": penalty}])
            for name in absent - {notebook}:
                self._nothing(mine[name], self._notebooks[name])
            if document:
                autograded.copy_pictures(self.course, self.assignment, student, folder, document, self._mode)
                autograded.write(folder, f"{notebook}.ipynb", document, self._mode)
            else:
                autograded.remove(folder, f"{notebook}.ipynb")
            if stamp:
                autograded.write(folder, late.STAMP, stamp, self._mode)
            self._session.commit()
        return {
            "score": score,
            "max_score": about.max_score,
            "needs_manual": any(new["needs_manual_grade"] for new in grades),
            "penalty": penalty or 0.0,
            "kept": kept,
            "notes": notes + more,
        }

    @contextmanager
    def _one_sentence(self):
        """Whatever goes wrong inside is undone in the gradebook and told in one sentence."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except SQLAlchemyError as error:
            self._session.rollback()
            where = self._book.engine.url.render_as_string(hide_password=True)
            raise RuntimeError(
                f"The gradebook at {where} could not be written ({points.said(error)}): close what else has it open "
                "(formgrader, other nbgrader commands), see that the disk has room, and grade again with --resume."
            ) from None
        except OSError as error:
            self._session.rollback()
            raise RuntimeError(
                f"The folder {self.course.folder('autograded')} could not be written ({error.strerror or error}): make room "
                "or mend its permissions, and grade again with --resume."
            ) from None
        except BaseException:
            self._session.rollback()
            raise

    def _absent(self, student: str) -> set[str]:
        """Notebooks of the assignment that are not among the files handed in."""
        try:
            names = os.listdir(self.course.folder("submitted", self.assignment, student))
        except OSError:  # nothing can be said, for example because the records came from another machine
            return set()
        found = set()
        for name in self._notebooks:
            try:
                intake.find_notebook(names, name)
            except intake.Refused as refused:
                if "was not handed in" in str(refused):
                    found.add(name)
        return found

    def _submission(self, student: str, when: datetime.datetime | None) -> SimpleNamespace:
        """The submission's row, made if need be: id, timestamp, extension."""
        from nbgrader.api import Student, SubmittedAssignment, new_uuid
        from sqlalchemy import insert, select

        run, table = self._session.execute, SubmittedAssignment
        query = select(table.id, table.timestamp, table.extension)
        row = run(query.where(table.assignment_id == self._id, table.student_id == student)).first()
        if row is not None:
            if when is not None and when != row.timestamp:
                self._update("SubmittedAssignment", [{"id": row.id, "timestamp": when}])
            return SimpleNamespace(id=row.id, timestamp=when or row.timestamp, extension=row.extension)
        if run(select(Student.id).where(Student.id == student)).first() is None:
            if not self.course.config.Autograde.get("create_student", True):
                raise ValueError(
                    f"The gradebook has no student {student!r}, and Autograde.create_student is off: run "
                    f"nbgrader db student add {student}."
                )
            run(insert(Student), [{"id": student}])
        made = {"id": new_uuid(), "timestamp": when}
        run(insert(table), [made | {"assignment_id": self._id, "student_id": student}])
        return SimpleNamespace(**made, extension=None)

    def _submitted_notebooks(self, submission: str) -> dict[str, str]:
        """{notebook: id of its row} of a submission; what is not there is made, with rows for all cells."""
        from nbgrader.api import SubmittedNotebook, new_uuid
        from sqlalchemy import insert, select

        table = SubmittedNotebook
        known = [about.id for about in self._notebooks.values()]  # with these, the database looks in its index
        query = select(table.notebook_id, table.id).where(
            table.notebook_id.in_(known), table.assignment_id == submission
        )
        have = {row.notebook_id: row.id for row in self._session.execute(query)}
        for about in self._notebooks.values():
            if about.id in have:
                continue
            have[about.id] = row = new_uuid()
            self._session.execute(insert(table), [{"id": row, "notebook_id": about.id, "assignment_id": submission}])
            self._rows("Grade", row, about.graded)
            self._rows("Comment", row, about.commented)
        return {about.name: have[about.id] for about in self._notebooks.values()}

    def _rows(self, table: str, submitted: str, cells: dict[str, str]) -> list[SimpleNamespace]:
        """The grades or comments of a submitted notebook, with the names of their cells; what is not there is made."""
        import nbgrader.api
        from sqlalchemy import insert, select

        model = getattr(nbgrader.api, table)
        columns = model.__table__.c
        query = select(columns).where(columns.cell_id.in_(sorted(cells.values())), columns.notebook_id == submitted)
        rows = self._session.execute(query).all()
        if new := set(cells.values()) - {row.cell_id for row in rows}:  # also cells that the assignment gained later
            self._session.execute(insert(model), [{"cell_id": cell, "notebook_id": submitted} for cell in sorted(new)])
            rows = self._session.execute(query).all()
        names = {cell: name for name, cell in cells.items()}
        return [SimpleNamespace(**row._mapping, name=names[row.cell_id]) for row in rows]

    def _nothing(self, submitted: str, about: points.Notebook) -> None:
        """Zero points for a notebook that was not handed in, as stock gives them."""
        rows = self._rows("Grade", submitted, about.graded)
        self._update("Grade", [{"id": row.id, "auto_score": 0.0, "needs_manual_grade": False} for row in rows])
        self._update("SubmittedNotebook", [{"id": submitted, "late_submission_penalty": None}])

    def _update(self, table: str, rows: list[dict]) -> None:
        import nbgrader.api
        from sqlalchemy import update

        if rows:
            self._session.execute(update(getattr(nbgrader.api, table)), rows)


def _compare(rows: list, given: dict, old: dict | None, new: dict | None) -> tuple[list[dict], list[str], list]:
    """(what the rows become, grade ids with an instructor's points, rows that the instructor must look at again)."""
    made, kept, asked = [], [], []
    for row in rows:
        auto, needs = given.get(row.name, (row.auto_score, row.needs_manual_grade))
        if row.manual_score is not None:
            kept.append(row.name)
            moved = auto != row.auto_score or autograded.answer(old, row.name) != autograded.answer(new, row.name)
            needs = moved or row.needs_manual_grade
            if moved and not row.needs_manual_grade:
                asked.append(row)
        made.append({"id": row.id, "auto_score": auto, "needs_manual_grade": needs})
    return made, kept, asked


def _tuned(engine):
    """`engine`, its sqlite connections in WAL mode where they can be, waiting when another program writes."""
    from sqlalchemy import event

    if engine.dialect.name != "sqlite":
        return engine

    @event.listens_for(engine, "connect")
    def tune(connection, _):
        connection.execute("PRAGMA busy_timeout=1000")
        with suppress(sqlite3.OperationalError):  # someone reads it in the old mode just now, which is as safe
            # Only in WAL mode does NORMAL keep the file whole through a power cut.
            if connection.execute("PRAGMA journal_mode=WAL").fetchone()[0] == "wal":
                connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA busy_timeout={int(WAIT * 1000)}")

    engine.dispose()  # connections made before
    return engine
