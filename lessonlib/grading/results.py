"""Records of graded notebooks on disk: reports/<assignment>/records/<student>/<notebook>.json, each written whole or not;
the journal of what is saved, and the report of a batch.

A record is what `engine.Grader.grade` returns, with "assignment", "student", "name" (of the notebook, without .ipynb) and
"key" (what it was made from) added. "notebook" stays the graded notebook itself, as an nbformat dict."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

from .. import __version__
from ..paths import PACKAGE


def path(course, assignment: str, student: str, notebook: str) -> Path:
    """Where the record of one notebook of one student's submission lies."""
    return course.reports(assignment) / "records" / student / f"{notebook}.json"


def write(course, record: dict) -> Path:
    """Write a record, which says whose it is by "assignment", "student" and "name"; the file comes back."""
    return write_json(path(course, record["assignment"], record["student"], record["name"]), record)


def read(course, assignment: str, student: str, notebook: str) -> dict | None:
    """The record of one notebook of one student, or None when there is none; ValueError when the file is broken."""
    return read_json(path(course, assignment, student, notebook))


def each(course, assignment: str) -> Iterator[dict]:
    """The assignment's records, one at a time, sorted by student and notebook; ValueError when a file is broken."""
    top = course.reports(assignment) / "records"
    for student in sorted(p for p in top.iterdir() if p.is_dir()) if top.is_dir() else ():
        for file in sorted(student.glob("*.json")):
            yield read_json(file)


def row(record: dict) -> dict:
    """What a batch's report says of a record. Points are those of the gradebook, once the record is saved."""
    saved = record.get("saved", record)
    return {
        "student": record["student"],
        "notebook": record["name"],
        "status": record["status"],
        "score": saved["score"],
        "max_score": saved["max_score"],
        "needs_manual": bool(saved.get("needs_manual")),
        "penalty": saved.get("penalty") or 0.0,
        "kept": saved.get("kept", []),
        "seconds": record["seconds"],
        "weaker": [cell["id"] for cell in record["cells"] if cell["weaker"]],
        "notes": record["notes"],
        "reasons": record["reasons"],
    }


class Journal:
    """One line for each unit that is saved whole. `known`: the key of each (student, notebook) when it was opened."""

    def __init__(self, course, assignment: str, keep: Callable[[str], bool]):
        """keep: whether lines of a student stay. A line that was cut off goes."""
        path = course.reports(assignment) / "journal.jsonl"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        found = [line for line in map(_parsed, lines) if line and keep(line["student"])]
        self.known = {(line["student"], line["notebook"]): line["key"] for line in found}
        beside = path.with_name(f".{path.name}.part")
        self.file = open(beside, "w", encoding="utf-8")
        for (student, notebook), key in self.known.items():
            self.add(student, notebook, key)
        beside.replace(path)  # and what is added goes on in the same file

    def add(self, student: str, notebook: str, key: str) -> None:
        """Note that a unit is saved."""
        self.file.write(json.dumps({"student": student, "notebook": notebook, "key": key}) + "\n")
        self.file.flush()

    def close(self) -> None:
        self.file.close()


class Report:
    """The summary of a batch, written whole whenever it is written."""

    def __init__(self, task, odd: list[str], clock: float, verified: bool):
        self.task, self.odd, self.clock, self.verified = task, odd, clock, verified
        self.started = datetime.datetime.now(datetime.UTC)
        self.units: list[dict] = []

    def write(self, stopped: str) -> dict:
        """Write report.json; `stopped` says why it is not whole, or "". The report comes back."""
        self.units.sort(key=lambda row: (row["student"], row["notebook"]))
        made = {
            "assignment": self.task.assignment,
            "finished": not stopped,
            "stopped": stopped,
            "started": self.started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self.clock, 3),
            "lanes": self.task.jobs,
            "unsafe": self.task.unsafe,
            "unverified": not self.verified,
            "counts": dict(Counter(row["status"] for row in self.units)),
            "resumed": sum(row.get("resumed", False) for row in self.units),
            "passed_over": self.odd,
            "snapshot_notes": self.task.notes,
            "limits": asdict(self.task.limits),
            "versions": versions(),
            "units": self.units,
        }
        write_json(self.task.course.reports(self.task.assignment) / "report.json", made)
        return made


def versions() -> dict[str, str]:
    """Versions of what decides a grade."""
    made = {"lessonlib": __version__, "python": platform.python_version(), "platform": platform.platform()}
    return made | {name: version(name) for name in ("nbgrader", "ipython", "nbformat")}


@cache
def sources() -> str:
    """A digest of this package's source files: checks and calculations decide points as tests do."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def write_json(target: Path, value) -> Path:
    """Write `value` as JSON beside `target`, then rename it, so that readers see the old file or the new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.part")
    with open(beside, "w", encoding="utf-8") as file:
        json.dump(value, file)
    return beside.replace(target)


def read_json(source: Path):
    """What a JSON file holds, or None when it is not there; ValueError in one sentence when it is broken."""
    try:
        with open(source, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except ValueError:
        raise ValueError(f"{source} is not whole JSON: grade the assignment again to write it anew.") from None


def _parsed(line: str) -> dict | None:
    """A line of the journal, or None when it is not whole."""
    try:
        about = json.loads(line)
    except ValueError:
        return None
    return about if isinstance(about, dict) and {"student", "notebook", "key"} <= about.keys() else None
