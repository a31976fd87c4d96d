"""Your own facts: `my_facts.yaml` beside the course, with rows of the same fields as the tables of the course.

    models:
    - id: my-model
      ...
    gpus:
    - {id: my-card, name: My Card, vram_gb: 24, bandwidth_gbs: 1008}

LESSON_FACTS names another file; LESSON_FACTS=off leaves yours out (builds and gradings do)."""

from __future__ import annotations

import datetime
import os
import re
import tempfile
from functools import cache
from pathlib import Path

from ..paths import course_root
from . import tables
from .records import GPU, SHIPPED, Model, Price, Record
from .schema import fields, row_problems

NAME = "my_facts.yaml"
KINDS: dict[str, type[Record]] = {"models": Model, "gpus": GPU, "prices": Price}


def path() -> Path | None:
    """Where your own facts are, or would be: LESSON_FACTS, else my_facts.yaml in the course's folder, else in the
    working folder. None when LESSON_FACTS is off."""
    named = os.environ.get("LESSON_FACTS", "").strip()
    if named.lower() == "off":
        return None
    return Path(named).expanduser() if named else (course_root() or Path.cwd()) / NAME


def records() -> dict[str, tuple[Record, ...]]:
    """Your own rows as records, by list. Fields that all rows of the course have are None where yours have none.

    ValueError in one sentence, the first that applies, when the file is broken or when LESSON_FACTS names none."""
    file = path()
    if file is None or not file.exists():
        if file is not None and os.environ.get("LESSON_FACTS", "").strip():
            raise ValueError(
                f"LESSON_FACTS names {file}, which is not there: mend it, set it to off, or add a first row."
            )
        return {}
    rows = read(file)
    found = problems(rows, file)
    if found:
        more = f" ({len(found) - 1} more: lessonlib facts check)" if len(found) > 1 else ""
        raise ValueError(found[0] + more)
    return {
        name: tuple(KINDS[name](_whole(KINDS[name], row, file), name) for row in listed)
        for name, listed in rows.items()
    }


def read(file: Path) -> dict[str, list]:
    """The lists of your file, not yet checked row by row; ValueError when it is no file of own facts."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name}: it cannot be read as text ({error}).") from error
    return _lists(text, file)


def problems(rows: dict[str, list], file: Path) -> list[str]:
    """What is wrong with your rows, a sentence each that names file, row, field and rule."""
    found = []
    for name, listed in rows.items():
        seen: dict[str, int] = {}
        for number, row in enumerate(listed, 1):
            where = f"{file.name}: {name} row {number}"
            if not isinstance(row, dict):
                found.append(f"{where} must be fields with values, as in `id: my-name`.")
                continue
            where += f" ({row['id']})" if isinstance(row.get("id"), str) else ""
            found += [f"{where}: {sentence}" for sentence in row_problems(KINDS[name], row, own=True)]
            found += [f"{where}: {sentence}" for sentence in _group(name, row)]
            if not isinstance(row.get("id"), str):
                continue
            taken = taken_by(name, row["id"])
            if taken:
                found.append(f"{where}: id is taken by {taken} of the fact base; choose another.")
            elif _plain(row["id"]) in seen:
                found.append(f"{where}: id is taken by row {seen[_plain(row['id'])]}; choose another.")
            seen[_plain(row["id"])] = number
    return found


def taken_by(name: str, row_id: str) -> str | None:
    """The row of the course that this id, in any spelling, already finds; None when it is free."""
    return _shipped_spellings(name).get(_plain(row_id))


def add(name: str, row: dict) -> Path:
    """Append a row to the list `name` of your file and return its path. What stands in the file is kept to the letter.

    ValueError when the row breaks a rule or its id exists, or when the file is not written so that a row can be added.
    The new text is written beside the file, then renamed."""
    file = path()
    if file is None:
        raise ValueError("LESSON_FACTS is off: unset it, or let it name the file to add to.")
    text = _text(file)
    before = _lists(text.lstrip("\ufeff"), file)
    found = problems(before, file) or problems({**before, name: [*before.get(name, []), row]}, file)
    if found:
        raise ValueError(found[0])
    after = _with_row(text, name, row)
    try:
        same = _lists(after.lstrip("\ufeff"), file) == {**before, name: [*before.get(name, []), row]}
    except ValueError:  # a form of YAML that a line cannot simply be added to
        same = False
    if not same:
        raise ValueError(
            f"{file.name}: no row can be added to {name} as it is written; begin each row there with '- '."
        )
    _replace(file, after)
    return file


def _lists(text: str, file: Path) -> dict[str, list]:
    data = tables.parse(text, file.name)
    data = {} if data is None else data
    if not isinstance(data, dict):
        raise ValueError(f"{file.name}: it must hold lists under {', '.join(KINDS)}.")
    for name, rows in data.items():
        if name not in KINDS:
            raise ValueError(f"{file.name}: {name!r} is no list of your own facts; there are {', '.join(KINDS)}.")
        if rows is not None and not isinstance(rows, list):
            raise ValueError(f"{file.name}: {name} must be a list of rows, each beginning with '- '.")
    return {name: rows or [] for name, rows in data.items()}


def _group(name: str, row: dict) -> list[str]:
    """A price of your own says which list of the prices it belongs to."""
    if name != "prices":
        return []
    groups = [key for key, rows in tables.table("prices").items() if isinstance(rows, list)]
    if "group" not in row:
        return [f"group is missing: one of {', '.join(groups)}."]
    return [] if row["group"] in groups else [f"group is {row['group']!r}, but must be one of {', '.join(groups)}."]


def _whole(kind: type[Record], row: dict, file: Path) -> dict:
    """A row with its origin, dates as text, and None in the fields that all rows of the course have."""
    origin = f"your file {file.name}" + (f": {row['source']}" if row.get("source") else "")
    whole = {key: value.isoformat() if isinstance(value, datetime.date) else value for key, value in row.items()}
    for key, (_, field) in fields(kind).items():
        if field.need == SHIPPED:
            whole.setdefault(key, None)
    return {"as_of": "no date given"} | whole | {"sources": [], "source": origin}


@cache
def _shipped_spellings(name: str) -> dict[str, str]:
    rows = tables.table(name)
    rows = rows[name] if name != "prices" else [row for rows in rows.values() if isinstance(rows, list) for row in rows]
    return {_plain(row[key]): row["id"] for row in rows for key in ("hf_id", "name", "id") if row.get(key)}


def _with_row(text: str, name: str, row: dict) -> str:
    """`text` with a row at the end of the list `name`, in the file's own line ends and indentation."""
    import yaml

    end = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if re.match(rf"{name}\s*:\s*(\[\]|null|~)?\s*(#.*)?$", line)), None)
    if start is None:
        lines += ([""] if lines and lines[-1].strip() else []) + [f"{name}:"]
        start = len(lines) - 1
    else:
        lines[start] = re.sub(r":\s*(\[\]|null|~)", ":", lines[start])
    stop = start + 1  # the line after the last one of this list: what stands in column 0 and is no row ends it
    for number in range(start + 1, len(lines)):
        if re.match(r"[^\s#-]|---", lines[number]):
            break
        if lines[number].strip() and not lines[number].lstrip().startswith("#"):
            stop = number + 1
    indent = next((m[1] for line in lines[start + 1 : stop] if (m := re.match(r"(\s*)- ", line))), "")
    dumped = yaml.safe_dump([row], sort_keys=False, allow_unicode=True, width=110).splitlines()
    return end.join([*lines[:stop], *(indent + line for line in dumped), *lines[stop:]]) + end


def _text(file: Path) -> str:
    if not file.exists():
        return "# Your own models, GPUs and prices: lessonlib facts fields models says which fields there are.\n"
    try:
        with open(file, encoding="utf-8", newline="") as opened:
            return opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name}: it cannot be read as text ({error}).") from error


def _replace(file: Path, text: str) -> None:
    """Write beside and rename, so that a reader or a stop never meets half a file. A link stays a link."""
    target = file.resolve()
    partial = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as opened:
            partial = Path(opened.name)
            opened.write(text)
        mode = target.stat().st_mode if target.exists() else 0o644
        os.chmod(partial, mode & 0o777)
        os.replace(partial, target)
    except OSError as error:
        if partial is not None:
            partial.unlink(missing_ok=True)
        raise ValueError(f"{file} cannot be written: {error.strerror or error}.") from error


def _plain(text) -> str:
    return re.sub(r"[^a-z0-9]", "", str(text).lower())
