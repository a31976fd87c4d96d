"""Takes in the files that learners make with `hand_in()`: zips, read without trusting them."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from . import intake, late
from .intake import Limits, Refused

MANIFEST = "handed_in.json"
MOST = 50  # files in a zip
LIMITS = Limits()


@dataclass(frozen=True)
class HandedIn:
    """What one file says and holds: notebooks are {file name: content}; `at` is the learner's clock."""

    student: str
    assignment: str
    at: str
    notebooks: dict[str, bytes]


def read(path: Path) -> HandedIn:
    """The content of a file of `hand_in()`. Refused with the reason when it is none, is damaged or is too much."""
    try:
        with zipfile.ZipFile(path) as packed:
            names = packed.namelist()
            if len(names) > MOST or len(names) != len(set(names)):
                raise Refused(f"{path.name} holds {len(names)} files: it was not made by hand_in().")
            if MANIFEST not in names:
                raise Refused(f"{path.name} has no {MANIFEST}: it was not made by hand_in().")
            manifest = _manifest(_member(packed, MANIFEST, 100_000))
            books = {name: _member(packed, name, LIMITS.file) for name in names if name != MANIFEST}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError):
        raise Refused(f"{path.name} is no whole zip file: ask for it again.") from None
    if books.keys() != manifest["notebooks"].keys() or not books:
        raise Refused(f"{path.name} does not hold the notebooks that its {MANIFEST} lists.")
    for name, data in books.items():
        if not name.endswith(".ipynb"):
            raise Refused(f"{path.name} holds {name!a}, which is no notebook.")
        intake.check_name(name)
        if hashlib.sha256(data).hexdigest() != manifest["notebooks"][name]:
            raise Refused(f"{name} in {path.name} is not what was handed in: its checksum differs.")
        intake.parse(data, LIMITS)
    student, assignment = (intake.check_name(manifest[key]) for key in ("student", "assignment"))
    return HandedIn(student, assignment, manifest["at"], books)


def take_in(course, found: HandedIn, student: str | None = None, update: bool = False) -> dict:
    """Put the notebooks into the course's submitted folder. Returns {"student", "assignment", "taken", "same"}: file names.

    Notebooks that were handed in before and are others are only replaced with `update`; the old ones are kept in the
    folder `replaced` beside the submitted one. Refused without it, and for a notebook that the assignment does not have."""
    student = intake.check_name(student or found.student)
    assignment = course.assignment(found.assignment)
    known = course.notebooks(assignment)
    for name in found.notebooks:
        if name.removesuffix(".ipynb") not in known:
            raise Refused(f"{assignment} has no notebook {name}; it has {', '.join(known)}.")
    folder = course.folder("submitted", assignment, student)
    for place in (folder, folder.parent):
        if place.is_symlink():
            raise Refused(f"{place} is a link: nothing was written there.")
    same = [n for n, data in found.notebooks.items() if _content(folder / n) == data]
    taken = [n for n in found.notebooks if n not in same]
    before = [n for n in taken if os.path.lexists(folder / n)]
    if before and not update:
        raise Refused(
            f"{student} has handed in another {', '.join(before)} before: add --update to take the new one; the old one is kept."
        )
    if before:
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        kept = course.folder("submitted").parent / "replaced" / student / assignment / now
        kept.mkdir(parents=True)
        for name in before:
            (folder / name).rename(kept / name)
    if taken:
        folder.mkdir(parents=True, exist_ok=True)
    for name, data in [(n, found.notebooks[n]) for n in taken] + [("timestamp.txt", found.at.encode())] * bool(taken):
        partial = folder / f".{name}.part"
        partial.write_bytes(data)
        partial.replace(folder / name)
    return {"student": student, "assignment": assignment, "taken": taken, "same": same}


def _member(packed: zipfile.ZipFile, name: str, limit: int) -> bytes:
    with packed.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise Refused(f"{name!a} has more than {limit:,} bytes, which is the most that is read.")
    return data


def _manifest(data: bytes) -> dict:
    try:
        found = json.loads(data)
        whole = found["format"] == 1 and all(isinstance(found[key], str) for key in ("student", "assignment", "at"))
        whole = whole and all(isinstance(v, str) for v in found["notebooks"].values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise Refused(f"Its {MANIFEST} is not one that hand_in() of this version writes.")
    late.moment(found["at"])
    return found


def _content(path: Path) -> bytes | None:
    try:
        return None if path.is_symlink() else path.read_bytes()
    except OSError:
        return None
