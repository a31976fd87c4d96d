"""Tables of learning platforms: read, matched with nbgrader's students, filled and written as CSV.

Names and ids come from strangers: a text that a spreadsheet would take for a formula gets an apostrophe before it. A file
that is there already is kept beside the new one."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?%?")


@dataclass
class Sheet:
    """A table to write. `notes` are worth reading, `open` are things to see to (names first), `filled` counts scores."""

    rows: list[list]
    notes: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    filled: int = 0
    bom: bool = False
    delimiter: str = ","
    newline: str = "\n"


def people(course) -> dict[str, dict]:
    """The gradebook's students by id: {"id", "first_name", "last_name", "email", "lms_user_id"}, texts, "" when unknown."""
    names = ("id", "first_name", "last_name", "email", "lms_user_id")
    with course.gradebook() as book:
        found = [{name: str(getattr(student, name) or "") for name in names} for student in book.students]
    return {student["id"]: student for student in sorted(found, key=lambda s: s["id"])}


def read(path: Path) -> Sheet:
    """A roster as a sheet; its rows have equal lengths. ValueError when it is no table."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): name the CSV file with --roster.") from None
    bom = data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"))
    notes = []
    try:
        text = data.decode("utf-16" if bom and data[:1] != b"\xef" else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        notes.append(f"{path.name} is no UTF-8: it was read as Windows-1252, so look at the names with accents.")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file ({error}): export it again.") from None
    if not rows or len(rows[0]) < 2:
        raise ValueError(f"{path} is no CSV file with several columns: name the export of your system with --roster.")
    width = max(map(len, rows))
    rows = [row + [""] * (width - len(row)) for row in rows]
    rows[0] = [name.strip() for name in rows[0]]
    return Sheet(rows, notes, bom=bom, delimiter=delimiter, newline="\r\n" if "\r\n" in text else "\n")


def write(sheet: Sheet, path: Path) -> Path | None:
    """Write a sheet beside `path`, then rename it; the backup of an older, different file comes back, or None."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with open(beside, "w", encoding="utf-8-sig" if sheet.bom else "utf-8", newline="", errors="replace") as file:
        out = csv.writer(file, delimiter=sheet.delimiter, lineterminator=sheet.newline)
        for row in sheet.rows:
            out.writerow([defused(text(value)) for value in row])
    return put(beside, path)


def put(beside: Path, path: Path) -> Path | None:
    """Rename the finished file to `path`; what is there already, and differs, gets the next free number behind its name."""
    backup = None
    if path.exists() and path.read_bytes() != beside.read_bytes():
        number = 1
        while (backup := path.with_name(f"{path.name}.{number}")).exists():
            number += 1
        shutil.copy2(path, backup)
    os.replace(beside, path)
    return backup


def match(rows: list[list], head: list[str], students: dict, rounds, sheet: Sheet) -> dict[int, str]:
    """Number of a row -> student: by rounds of (column, field), the surest first; what fits twice is left open and named.

    The field "local" is the part before the @ of a student's email address and id; where both sides name a host, one host
    must lie in the other (cs.example.edu in example.edu)."""
    found: dict[int, str] = {}
    for name, about in rounds:
        if name not in head:
            continue
        at = head.index(name)
        taken = set(found.values())
        wanted: dict[str, set[str]] = {}
        for student in students.values():
            for key in _keys(student, about) if student["id"] not in taken else ():
                wanted.setdefault(key, set()).add(student["id"])
        theirs: dict[str, list[int]] = {}
        for number, row in enumerate(rows):
            value = row[at].strip().casefold()
            if name == "Identifier":
                value = value.rpartition(" ")[2]  # "Participant 123"
            if number not in found and value:
                theirs.setdefault(value.partition("@")[0] if about == "local" else value, []).append(number)
        for value, numbers in theirs.items():
            ids = wanted.get(value, set())
            if about == "local":
                hosts = [rows[n][at].strip().casefold().partition("@")[2] for n in numbers]
                ids = {i for i in ids if all(_same_host(students[i], host) for host in hosts)}
            if len(numbers) == len(ids) == 1:
                found[numbers[0]] = ids.pop()
            elif ids:
                sheet.open.append(
                    f"{name} {value!r} fits {len(numbers)} rows of the roster and {len(ids)} students: none was filled by it"
                )
    return found


def _keys(student: dict, about: str) -> set[str]:
    texts = {student["email"], student["id"]} if about == "local" else {student[about]}
    return {text.strip().casefold().partition("@" if about == "local" else "\n")[0] for text in texts if text.strip()}


def _same_host(student: dict, host: str) -> bool:
    """Whether a host may be that of the student's addresses; an address without a host fits any."""
    known = {h for text in (student["email"], student["id"]) if (h := text.strip().casefold().partition("@")[2])}
    return not host or not known or any(f".{a}".endswith(f".{b}") for h in known for a, b in ((h, host), (host, h)))


def column(head: list[str], assignment: str, column: str | None, form: str) -> int | None:
    """Where the roster has the assignment's column: by --column, else by its title; None when it has none."""
    wanted = column or assignment
    if wanted in head:
        return head.index(wanted)
    titles = [found["title"] if (found := re.fullmatch(form, name)) else name for name in head]
    for same in (str.casefold, _squashed):
        fits = [n for n, title in enumerate(titles) if same(title) == same(wanted)]
        if len(fits) == 1:
            return fits[0]
        if fits:
            raise ValueError(
                f"{len(fits)} columns of the roster could be {wanted!r} ({', '.join(head[n] for n in fits)}): name one with --column."
            )
    if column:
        raise ValueError(f"The roster has no column {column!r}; it has {', '.join(head)}.")
    return None


def _squashed(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def factor(limit: str, most: float, scale: bool, what: str, sheet: Sheet) -> float:
    """What scores are multiplied by; a maximum that differs is told unless --scale was given."""
    try:
        maximum = float(limit.replace(",", "."))
    except ValueError:
        return 1.0
    if not most or maximum == most:
        return 1.0
    if scale:
        return maximum / most
    sheet.open.append(
        f"{what} is {maximum:g}, the assignment has {most:g} points: scores are written as they are; --scale converts them"
    )
    return 1.0


def missing(sheet, rows, columns, found, handed, roster) -> None:
    """Name who is in one list only; `columns` of a row name its student."""
    strange = [
        ", ".join(filter(None, (row[c].strip() for c in columns))) for n, row in enumerate(rows) if n not in found
    ]
    if strange:
        sheet.open.append(f"{len(strange)} of {roster.name} are not in the gradebook: {listed(strange)}")
    alone = sorted(handed - set(found.values()))
    if alone:
        sheet.open.append(f"{len(alone)} who handed in are not in {roster.name}: {listed(alone)}")


def defused(text: str) -> str:
    """`text`, with an apostrophe before it when a spreadsheet would take it for a formula; numbers stay numbers."""
    risky = re.match(r"\s*[=+\-@\uff0b\uff0d\uff1d\uff20]|[\t\r\n]", text)
    return f"'{text}" if risky and text.strip() != "-" and not NUMBER.fullmatch(text.strip()) else text


def text(value) -> str:
    """A value as text: numbers without a tail of zeros."""
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)


def listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
