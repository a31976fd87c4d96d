"""The autograded folder: graded notebooks as formgrader and `nbgrader generate_feedback` read them. No links, no half files."""

from __future__ import annotations

import json
import os
import posixpath
import re
from contextlib import contextmanager, suppress
from urllib.parse import unquote

from . import canonical, intake

_LARGEST = 200 * 2**20  # bytes of a graded notebook that is read for comparing
_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")  # none that can hold a script


@contextmanager
def folder(course, assignment: str, student: str):
    """The open folder autograded/student/assignment, made if need be. ValueError when a link stands below autograded."""
    top = course.folder("autograded")
    top.mkdir(parents=True, exist_ok=True)
    here = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in (student, assignment):
            here = _enter(here, part, course)
        yield here
    finally:
        os.close(here)


def read(here: int, name: str) -> dict | None:
    """The notebook `name` in an open folder; None when it is not there, too large or no notebook."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    except OSError:
        return None
    with open(file, "rb") as opened:
        data = opened.read(_LARGEST + 1)
    try:
        found = json.loads(data) if len(data) <= _LARGEST else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("cells"), list) else None


def write(here: int, name: str, content: dict | bytes, mode: int) -> None:
    """Write a file of an open folder, a notebook as dict or bytes, beside and rename it."""
    if isinstance(content, dict):
        content = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
    beside = f".{name}.part"
    remove(here, beside)  # of a run that was killed
    file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=here)
    try:
        with open(file, "wb") as opened:
            opened.write(content)
            os.fchmod(file, mode)
        os.replace(beside, name, src_dir_fd=here, dst_dir_fd=here)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside, dir_fd=here)
        raise


def remove(here: int, name: str) -> None:
    """Remove a file of an open folder, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=here)


def copy_pictures(course, assignment: str, student: str, here: int, document: dict, mode: int) -> None:
    """Copy the images that text cells show, the instructor's before the student's, into an open folder: formgrader and
    feedback pages load them from there. No other file of a submission goes there, since formgrader would serve it."""
    room = intake.Limits().files
    for name in pictures(document):
        own = course.folder("source", assignment) / name
        try:
            if own.is_file():
                data = own.read_bytes()[: room + 1]
            else:
                data = intake.read_file(course.folder("submitted"), f"{student}/{assignment}/{name}", room)
        except (OSError, intake.Refused):
            continue  # the page shows that it is missing, as the student's does
        room -= len(data)
        if room < 0:
            return
        *folders, last = name.split("/")
        inner = os.dup(here)
        try:
            for part in folders:
                inner = _enter(inner, part, course)
            write(inner, last, data, mode)
        except (ValueError, IsADirectoryError):
            continue  # something of that name is there that stock nbgrader or a person has put there
        finally:
            os.close(inner)


def pictures(document: dict) -> list[str]:
    """Relative paths of the images that text cells of a notebook refer to, at most 200; no folder has a dot in its name,
    so that none takes the place of a notebook."""
    found = {}
    for cell in document["cells"]:
        words = re.split(r"[\s()<>\"'\[\]]+", canonical.text(cell)) if cell["cell_type"] == "markdown" else ()
        for word in words:
            if word.lower().endswith(_PICTURES):
                *folders, last = posixpath.normpath(unquote(word)).split("/")
                with suppress(intake.Refused):
                    if not any("." in part for part in folders):
                        found["/".join(map(intake.check_name, [*folders, last]))] = None
    return list(found)[:200]


def permissions(course) -> int:
    """The mode of autograded files, as stock nbgrader sets it."""
    default = 664 if course.coursedir.groupshared else 444
    return int(str(course.config.Autograde.get("permissions", default)), 8)


def not_graded(reasons) -> dict:
    """A notebook that says why none was graded. A reason may quote the submission: it stands in a comment of code."""
    source = "\n".join(["# Not graded.", *(f"# {' '.join(reason.split())}" for reason in reasons)])
    cell = {"cell_type": "code", "id": "not-graded", "metadata": {}, "source": source}
    cell |= {"outputs": [], "execution_count": None}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}


def answer(document: dict | None, grade_id: str) -> list[str] | None:
    """What a student gave for a graded cell of a graded notebook: the cell itself when a person grades it, the code before
    it when it is a test, everything when it is a task. None when the notebook has no such cell."""
    theirs: list[str] = []
    task = False
    for cell in (document or {}).get("cells", ()):
        about = cell.get("metadata", {}).get("nbgrader", {})
        source = canonical.normal(canonical.text(cell))
        if about.get("grade_id") == grade_id:
            if about.get("grade"):
                return [source] if about.get("solution") else theirs
            task = True  # what comes after it counts too
        elif source and (about.get("solution") or (cell.get("cell_type") == "code" and not about.get("grade"))):
            theirs.append(source)
    return theirs if task else None


def _enter(here: int, part: str, course) -> int:
    """Open the folder `part` of an open folder, made if need be, and close the latter. ValueError when it is a link."""
    with suppress(FileExistsError):
        os.mkdir(part, dir_fd=here)
    try:
        inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    except OSError as error:
        raise ValueError(
            f"{part!r} below {course.folder('autograded')} is a link or no readable folder ({error.strerror}), and nothing is "
            "written through links: remove it."
        ) from None
    os.close(here)
    if course.coursedir.groupshared:
        os.fchmod(inner, os.fstat(inner).st_mode & 0o777 | 0o2770)
    return inner
