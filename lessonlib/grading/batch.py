"""Grades what a class handed in: notebooks of students in parallel lanes, one writer, and a journal to go on after a stop.

The unit is one notebook of one student. A unit that cannot be read gets a record with the reason; one that the machine
failed on is repeated once over new servers. What is saved, in this order: gradebook, record, line of the journal. So a
unit in the journal is saved whole, and one that is not is graded again, which changes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from itertools import chain

from . import canonical, engine, intake, results
from .record import finish

SLOW = "CellTimeoutError"
PATIENCE = 120.0  # seconds beyond a submission's limit after which the servers are taken for dead
UNSAVED = 3  # units in a row that the gradebook does not take: then the batch stops


def run(
    course,
    assignment: str,
    *,
    students: str = "*",
    jobs: int | None = None,
    resume: bool = False,
    limits: engine.Limits | None = None,
    unsafe: bool = False,
    check: Callable | None = None,
    runner: Callable | None = None,
    progress: Callable | None = None,
) -> dict:
    """Grade the assignment of all students whose names match a glob; the report, which is also in report.json.

    check: called with the `Task` before anything is graded, and raises ValueError to refuse (`verify.demand`); without it
    the report says unverified. runner: grades somewhere else, see `Lanes.run`. progress: called with (units done, units in
    all, row of the report or None). ValueError and RuntimeError, in one sentence, stop the batch, and so does Ctrl-C: what
    was graded until then is saved, and `resume` goes on."""
    clock = time.monotonic()
    names, odd = _students(course, assignment, students)
    with _alone(course, assignment), Task(course, assignment, limits, unsafe=unsafe, jobs=jobs) as task:
        if check is not None:
            check(task)
        report = results.Report(task, odd, clock, verified=check is not None)
        with _Writer(task, names, resume) as writer:
            report.write("stopped before its end")
            try:
                _grade(task, names, writer, runner or task.local, report, progress or (lambda *about: None))
            except BaseException as error:
                report.write(
                    "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
                )
                raise
        return report.write("")


class Task:
    """An assignment while it is graded: its snapshots and notes on them, the files that go with it, the servers of one notebook.

    A context manager. `key` stands for all that decides points besides the submission."""

    def __init__(self, course, assignment: str, limits=None, *, unsafe: bool = False, jobs: int | None = None):
        self.course, self.assignment, self.unsafe = course, assignment, unsafe
        self.limits, self.jobs = limits or engine.Limits(), jobs or os.cpu_count() or 1
        self._ends, self._lanes = ExitStack(), None

    def __enter__(self) -> Task:
        with self._ends:
            course, assignment = self.course, self.assignment
            course.register(assignment)
            self.snapshots = {name: course.snapshot(assignment, name) for name in course.notebooks(assignment)}
            if not self.snapshots:
                raise ValueError(f"{assignment} has no notebook in {course.folder('source', assignment)}.")
            self.notes = {name: [*shot["notes"]] for name, shot in self.snapshots.items()}
            self.data = self._ends.enter_context(course.data(assignment))
            self.key = _hash([results.sources(), self.snapshots, _contents(self.data)])
            self._ends.callback(self._end_lanes)
            self._ends = self._ends.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._ends.close()

    def lanes(self, notebook: str) -> Lanes:
        """The running servers of a notebook. Those of another notebook end."""
        if self._lanes is None or self._lanes.snapshot is not self.snapshots[notebook] or self._lanes.grader is None:
            self._end_lanes()
            made = Lanes(self.snapshots[notebook], self.limits, unsafe=self.unsafe, data=self.data, count=self.jobs)
            self._lanes = made.start()
        return self._lanes

    def local(self, snapshot: dict, limits, jobs: Iterator[dict], *, unsafe, data) -> Iterator[tuple]:
        """The runner of this machine; see `Lanes.run`."""
        notebook = next(name for name, shot in self.snapshots.items() if shot is snapshot)
        lanes = self.lanes(notebook)
        self.notes[notebook] += [note for note in lanes.grader.notes if note not in self.notes[notebook]]
        yield from lanes.run(jobs)

    def _end_lanes(self) -> None:
        if self._lanes is not None:
            self._lanes.close()


class Lanes:
    """Threads that grade over one pair of servers; `start` it in a thread that outlives it."""

    def __init__(self, snapshot: dict, limits: engine.Limits, *, unsafe=False, data=None, count: int = 1):
        self.snapshot, self.count, self.patience = snapshot, count, limits.total + PATIENCE
        self._open = lambda: engine.Grader(snapshot, limits, unsafe=unsafe, data=data).start()
        self._unsafe, self.grader, self._retired = unsafe, None, []

    def start(self) -> Lanes:
        """Start the servers; RuntimeError names what is missing and how to get it."""
        self.grader = self._open()
        return self

    def close(self) -> None:
        """End the servers, and with them every submission that is being graded."""
        for grader in (*self._retired, self.grader):
            if grader is not None:
                grader.close()
        self.grader, self._retired = None, []

    def run(self, jobs: Iterator[dict]) -> Iterator[tuple[dict, dict]]:
        """Grade the jobs: (job, record) of each, in the order in which they end. A job has "document" and "files".

        Jobs are pulled by the thread that iterates, and at most two a lane are on the way. Where the machine failed, new
        servers get the job once more; then its record says "failed"."""
        pool = ThreadPoolExecutor(self.count)
        waiting: dict[Future, tuple] = {}

        def begin(job: dict, again: bool) -> None:
            waiting[pool.submit(self.grade, self.grader, job)] = job, self.grader, again

        try:
            for job in jobs:
                begin(job, again=False)
                while len(waiting) >= 2 * self.count:
                    yield from self._ended(waiting, begin)
            while waiting:
                yield from self._ended(waiting, begin)
        finally:
            if waiting:
                self.close()  # somebody stopped: nothing is worth waiting for
            pool.shutdown(cancel_futures=True)

    def _ended(self, waiting: dict, begin: Callable) -> Iterator[tuple[dict, dict]]:
        """Wait for a job to end; what came of it, unless it begins again."""
        done = wait(waiting, timeout=self.patience, return_when=FIRST_COMPLETED).done
        if not done:  # each job has its limits, so the servers themselves hang: without them the lanes come back
            for grader in (*self._retired, self.grader):
                grader.close()
        for future in done:
            job, grader, again = waiting.pop(future)
            record = future.result()
            if record["status"] == "failed" and not again:
                self._renew(grader)
                begin(job, again=True)
                continue
            yield job, record
        used = [grader for _, grader, _ in waiting.values()]
        for grader in [g for g in self._retired if g not in used]:
            self._retired.remove(grader)
            grader.close()

    def _renew(self, grader) -> None:
        """New servers in place of these, which end when no lane uses them any more."""
        if grader is self.grader:
            self._retired.append(grader)
            self.grader = self._open()

    def grade(self, grader, job: dict) -> dict:
        """The record of a job over these servers; "failed" where the machine, not the submission, failed."""
        try:
            record = grader.grade(job["document"], job["files"])
        except Exception as error:  # a mistake in the grader must cost one unit, and be seen
            words = "".join(traceback.format_exception(error))
            record = without(
                self.snapshot, "failed", f"the grader failed ({type(error).__name__}: {error})", self._unsafe
            )
            return {**record, "traceback": words}
        if record["status"] != "failed" and not _alive(grader):
            # What looks like a submission that ended itself was the end of all.
            return without(self.snapshot, "failed", "the sandboxes' server ended in the middle of it", self._unsafe)
        return record


def work(task: Task, notebook: str, students: list[str]) -> Iterator[dict]:
    """The jobs of a notebook, read one at a time: {"student", "notebook", "key", "notes"} with "document" and "files", or
    with "lost": (status, reason) of what cannot be graded."""
    base = _hash([task.key, notebook, asdict(task.limits), task.unsafe])
    for student in students:
        job = {"student": student, "notebook": notebook, "notes": []}
        try:
            job |= _read(task, notebook, f"{student}/{task.assignment}", base)
        except intake.Refused as refused:
            job["lost"] = "refused", str(refused)
        except OSError as error:
            job["lost"] = "refused", f"The submission cannot be read ({error.strerror})."
        except Exception as error:  # a mistake in the grader must cost one unit, and be seen
            job["lost"] = "failed", f"the submission could not be read ({type(error).__name__}: {error})"
        yield {"key": _hash([base, job.get("lost")]), **job}


def without(snapshot: dict, status: str, reason: str, unsafe: bool = False) -> dict:
    """The record of a submission that was not run: no points. After "failed", the machine's fault, its cells wait for the
    instructor; after "refused" they do not."""
    record = {"status": status, "unsafe": unsafe, "seed": 0, "notes": [], "reasons": [reason], "cells": []}
    finish(snapshot, canonical.merge(snapshot, {"cells": []}), record, {}, {})
    for row in record["cells"]:
        failed = status == "failed"
        row |= {"points": None if failed and row["kind"] != "test" else 0.0, "needs_manual": failed, "reason": reason}
    return {**record, "notes": [], "score": 0.0, "seconds": 0.0}


def _read(task: Task, notebook: str, where: str, base: str) -> dict:
    """What is graded of the folder `where`, and its key; intake.Refused or OSError when it cannot be."""
    top = task.course.folder("submitted")
    if not stat.S_ISDIR(os.lstat(top / where).st_mode):
        raise intake.Refused(f"{task.assignment} is a link or a file, not a folder.")
    name, notes = intake.find_notebook(os.listdir(top / where), notebook)
    data = intake.read_file(top, f"{where}/{name}", intake.Limits().file)
    document, more = intake.parse(data)
    files, left_out = intake.files(top, where, ignore=task.course.coursedir.ignore)
    key = _hash([base, hashlib.sha256(data).hexdigest(), files])
    return {"document": document, "files": files, "key": key, "notes": [*notes, *more, *left_out]}


def _grade(
    task: Task, students: list[str], writer: _Writer, runner: Callable, report: results.Report, progress
) -> None:
    total, done = len(students) * len(task.snapshots), 0

    def told(row: dict) -> None:
        nonlocal done
        done += 1
        report.units.append(row)
        progress(done, total, row)

    def to_run(notebook: str) -> Iterator[dict]:
        """Jobs for the runner; the others are settled here."""
        for job in work(task, notebook, students):
            if row := writer.saved_before(job):
                told(row)
            elif "lost" in job:
                told(writer.save(job, without(task.snapshots[notebook], *job["lost"], unsafe=task.unsafe)))
            else:
                yield job

    progress(0, total, None)
    for notebook, snapshot in task.snapshots.items():
        jobs = to_run(notebook)
        first = next(jobs, None)
        if first is None:  # nothing to run: no server is started
            continue
        graded = runner(snapshot, task.limits, chain([first], jobs), unsafe=task.unsafe, data=task.data)
        with closing(graded):
            for job, record in graded:
                told(writer.save(job, record))


class _Writer:
    """The one who saves. A context manager."""

    def __init__(self, task: Task, students: list[str], resume: bool):
        from .gradebook import Book

        self.course, self.assignment, self.resume, self.unsaved = task.course, task.assignment, resume, 0
        # Resumed, what the gradebook has lost is graded again; otherwise all that was asked for.
        saved, asked = _in_gradebook(self.course, self.assignment) if resume else set(), set(students)
        self.book = Book(self.course, self.assignment)
        self.journal = results.Journal(
            self.course, self.assignment, lambda student: student in saved if resume else student not in asked
        )

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, *error) -> None:
        self.journal.close()
        self.book.close()

    def saved_before(self, job: dict) -> dict | None:
        """The row of a unit that `resume` passes over: its key is in the journal, and its record is there."""
        unit = job["student"], job["notebook"]
        if not self.resume or self.journal.known.get(unit) != job["key"]:
            return None
        try:
            record = results.read(self.course, self.assignment, *unit)
        except ValueError:  # cut off by a power failure: graded again
            return None
        return {**results.row(record), "resumed": True} if record and record["key"] == job["key"] else None

    def save(self, job: dict, record: dict) -> dict:
        """Save a unit; its row for the report. RuntimeError when the gradebook refuses unit after unit."""
        about = {"assignment": self.assignment, "student": job["student"], "name": job["notebook"], "key": job["key"]}
        record = {**about, **record, "notes": [*job["notes"], *record["notes"]]}
        if slow := _stopped(record["notebook"]["cells"]):
            record["reasons"] = [*record["reasons"], f"stopped for running too long: {', '.join(slow)}"]
        try:
            saved = self.book.save(job["student"], job["notebook"], record)
        except (ValueError, RuntimeError) as error:
            self.unsaved += 1
            if self.unsaved == UNSAVED:
                raise RuntimeError(f"The gradebook did not take {UNSAVED} submissions in a row: {error}") from None
            return {**results.row(record), "status": "unsaved", "reasons": [*record["reasons"], f"not saved: {error}"]}
        self.unsaved = 0
        record["notes"] += saved.pop("notes")
        record["saved"] = saved
        results.write(self.course, record)
        if record["status"] != "failed":  # a failure of the machine is worth another try
            self.journal.add(job["student"], job["notebook"], job["key"])
        return results.row(record)


def _stopped(cells: list[dict]) -> list[str]:
    """Grade ids, else ids, of the cells that ran into their limit."""
    return [
        cell["metadata"].get("nbgrader", {}).get("grade_id") or f"their own cell {cell['id']}"
        for cell in cells
        if any(output.get("ename") == SLOW for output in cell.get("outputs", ()))
    ]


def _students(course, assignment: str, pattern: str) -> tuple[list[str], list[str]]:
    """(students to grade, sentences about folders that are passed over); ValueError when there is nobody."""
    found, odd = course.students(assignment, pattern)
    names = [name for name in found if intake.check_name(name) == name]
    odd += [f"{name!a} is not in Unicode's composed form. Rename the folder." for name in found if name not in names]
    if not names:
        place = course.folder("submitted") / "STUDENT" / assignment
        raise ValueError(
            f"No submission of {assignment} matches {pattern!r}: put notebooks into {place}, or collect them from the "
            "exchange with --collect." + "".join(f" {sentence}" for sentence in odd[:3])
        )
    return names, odd


@contextmanager
def _alone(course, assignment: str):
    """Hold the assignment's lock; ValueError when another batch has it. The system frees it when a process ends."""
    import fcntl

    folder = course.reports(assignment)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another batch is grading {assignment} at this moment: wait until it ends.") from None
        yield


def _alive(grader) -> bool:
    """Whether both servers are there still."""
    process = grader.process
    return process is not None and process.poll() is None and not any(map(_hung_up, (grader.control, grader.verifier)))


def _hung_up(line: socket.socket) -> bool:
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def _in_gradebook(course, assignment: str) -> set[str]:
    """Students of whom the gradebook has a submission: after its loss the journal alone counts nothing."""
    from nbgrader.api import Assignment, SubmittedAssignment

    with course.gradebook() as book:
        query = book.db.query(SubmittedAssignment.student_id).join(
            Assignment, Assignment.id == SubmittedAssignment.assignment_id
        )
        return {student for (student,) in query.filter(Assignment.name == assignment)}


def _contents(folder) -> dict[str, str]:
    """A hash of each file below a folder, by its path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file()) if folder else []
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _hash(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
