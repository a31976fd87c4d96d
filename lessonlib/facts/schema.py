"""What rows of the fact base must look like. `problems("models")` says in sentences what a table breaks.

Which fields there are, with units and bounds, stands in the classes of `records`; here is what checks them, and what
must agree between fields: sizes with shapes, totals with rows, sources with citations."""

from __future__ import annotations

import ast
import datetime
import math
import re
import types
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from . import sizes
from .records import ALWAYS, ROWS, SHIPPED, Claim, Field, Model, Price, Record
from .tables import TABLES, claim_ids, claim_row, table

STATUSES = ("primary", "primary-copy", "secondary", "computed", "unverified", "seed", "seed-only")
WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}

PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


@cache
def fields(kind: type[Record]) -> dict[str, tuple[Any, Field]]:
    """The fields of a class of rows, in order: name -> (type, what is known of it)."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Annotated}


def problems(name: str, data: dict | None = None) -> list[str]:
    """What is wrong with the table `name` ("models", ...), a sentence each; an empty list when it is in order.

    `data` is checked in the place of the stored table."""
    if name not in TABLES:
        raise ValueError(f"The fact base has no table {name!r}; it has {', '.join(TABLES)}.")
    if data is None:
        try:
            data = table(name)
        except ValueError as error:
            return [str(error)]
    if not isinstance(data, dict) or not isinstance(data.get("sources"), dict):
        return [f"{name}.yaml: it must be a mapping with a mapping of sources."]
    found = [*_lists(name, data), *_sources(data)]
    if name == "claims" and not found:
        found += _claims(data)
    return [f"{name}.yaml: {sentence}" for sentence in found]


def all_problems() -> list[str]:
    """The sentences of all tables."""
    return [sentence for name in TABLES for sentence in problems(name)]


def check() -> None:
    """Stop where a table is broken: ValueError with all its sentences, a line each."""
    found = all_problems()
    if found:
        raise ValueError("\n".join(["the fact base is broken:", *found]))


def row_problems(kind: type[Record], row: dict, own: bool = False) -> Iterator[str]:
    """What is wrong with one row, a sentence each that starts with the field. A row of your `own` file needs less."""
    known = fields(kind)
    needed = (ALWAYS,) if own else (ALWAYS, SHIPPED)
    for name in row:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            yield f"{name} is no field of a {kind.__name__}{f'; did you mean {near[0]}' if near else ''}."
    sound = True
    for name, (hint, field) in known.items():
        if name not in row:
            if field.need in needed:
                sound = False
                yield f"{name} is missing ({field.text}{', in ' + field.unit if field.unit else ''})."
            continue
        problem = _problem(row[name], hint, field, own)
        if problem:
            sound = False
            yield f"{name} is {_short(row[name])}, but must be {problem}."
    if sound:  # figures that are no numbers cannot be compared
        yield from RULES.get(kind, lambda row: ())(row)


def _problem(value, hint, field: Field, own: bool) -> str | None:
    """What `value` must be, where it is something else."""
    unit = f" ({field.unit})" if field.unit else ""
    if value is None and own and field.need == ALWAYS:
        return f"given{unit}"
    if field.date and isinstance(value, datetime.date):
        value = value.isoformat()
    if not _fits(value, hint):
        return in_words(hint) + unit
    if isinstance(value, str):
        if field.need == ALWAYS and not value.strip():
            return "more than blanks"
        if field.one_of and value not in field.one_of:
            return f"one of {', '.join(field.one_of)}"
        if field.date and not _dated(value):
            return "a date such as 2026, 2026-03 or 2026-03-05"
    numbers = value if isinstance(value, list) else value.values() if isinstance(value, dict) else [value]
    for number in numbers:
        if isinstance(number, (int, float)) and not isinstance(number, bool):
            if not math.isfinite(number):
                return f"finite{unit}"
            if field.low is not None and number < field.low:
                return f"at least {field.low:g}{unit}"
            if field.high is not None and number > field.high:
                return f"at most {field.high:,.0f}{unit}"
    if isinstance(value, list) and list[float] in (hint, *get_args(hint)) and (len(value) != 2 or value[0] > value[1]):
        return f"two numbers, the lower first{unit}"
    return None


def _fits(value, hint) -> bool:
    """Whether a value of a YAML file has the type `hint`; whole numbers are numbers, true and false are not."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value is not None
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in inner)
    if hint is type(None) or hint is None:
        return value is None
    if origin is list:
        return isinstance(value, list) and all(_fits(x, inner[0]) for x in value)
    if origin is dict:
        return isinstance(value, dict) and all(inner[1] is Any or _fits(x, inner[1]) for x in value.values())
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def in_words(hint) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(option) for option in inner if option is not type(None))
    if origin in (list, dict):
        return f"{WORDS[origin]} of {PLURALS.get(inner[-1], 'values')}"
    return WORDS.get(hint, "given")


def _dated(text: str) -> bool:
    """Whether a text holds a year, a month or a day that exists."""
    found = re.findall(r"\b((?:19|20)\d\d)(?:-(\d\d))?(?:-(\d\d))?\b", text)
    try:
        return bool(found) and all(datetime.date(int(y), int(m or 1), int(d or 1)) for y, m, d in found)
    except ValueError:
        return False


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lists(name: str, data: dict) -> Iterator[str]:
    """Each row of each list, and ids that stand twice."""
    kinds = ROWS[name] or {key: Price for key, rows in data.items() if isinstance(rows, list)}
    for key, kind in kinds.items():
        rows = data.get(key)
        if not isinstance(rows, list) or not rows:
            yield f"{key} must be a list of rows."
            continue
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                yield f"{key} row {number} is {_short(row)}, but must be a mapping of fields."
                continue
            for sentence in row_problems(kind, row):
                yield f"{key} row {number} ({row.get('id')}): {sentence}"
        ids = Counter(row.get("id") for row in rows if isinstance(row, dict))
        yield from (f"{key}: the id {value!r} stands {count} times." for value, count in ids.items() if count > 1)


def _sources(data: dict) -> Iterator[str]:
    """Every source has a title and a known status, and every cited one is listed."""
    for key, source in data["sources"].items():
        for field in ("title", "where", "status"):
            if not isinstance(source, dict) or not str(source.get(field) or "").strip():
                yield f"sources: {key} has no {field}."
        if isinstance(source, dict) and source.get("status") and source["status"] not in STATUSES:
            yield f"sources: the status of {key} is {source['status']!r}, but must be one of {', '.join(STATUSES)}."
    cited: dict[str, str] = {}
    for row in _mappings({key: value for key, value in data.items() if key != "sources"}):
        for key in row["sources"] if isinstance(row.get("sources"), list) else ():
            cited.setdefault(key, str(row.get("id", "a part without id")))
    for key, first in cited.items():
        if key not in data["sources"]:
            yield f"{first} cites the source {key!r}, which is not listed."
    if not cited:
        yield "no row cites a source."


def _mappings(value) -> Iterator[dict]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(inner)


def _claims(data: dict) -> Iterator[str]:
    """Totals are the counted ones, titles are those of the sections, and rows read alone are those of the table."""
    rows, totals = data["claims"], data.get("totals") or {}
    if totals.get("claims") != len(rows):
        yield f"totals: claims is {totals.get('claims')}, but there are {len(rows)} rows."
    for field, group in (("verdict", "by_verdict"), ("kind", "by_kind"), ("section", "by_section")):
        counted, stated = Counter(row[field] for row in rows), totals.get(group) or {}
        for key in sorted({*counted, *stated}, key=str):
            if counted[key] != stated.get(key, 0):
                yield f"totals: {group}: {key} is {stated.get(key, 0)}, but {counted[key]} rows have it."
    sections = data.get("sections") or {}
    for row in rows:
        if sections.get(row["section"]) != row["section_title"]:
            yield f"{row['id']}: section_title is not the title of section {row['section']} under sections."
    if data is table("claims") and (
        claim_ids() != [r["id"] for r in rows] or any(claim_row(r["id"]) != r for r in rows)
    ):
        yield "rows cannot be read one by one: claims must be the last key, and each row begin with '- id: '."


def _price(row: dict) -> Iterator[str]:
    if "input" in row or "output" in row:
        for name in ("input", "output"):
            if name not in row:
                yield f"{name} is missing: an API has a price for input and one for output."
                return
        for name, ratio in (("blend_2_to_1", 2), ("blend_1_to_1", 1)):
            blend = (ratio * row["input"] + row["output"]) / (ratio + 1)
            if abs(row.get(name, blend) - blend) > 6e-4:
                yield f"{name} is {row[name]}, but the two prices give {blend:.3f}."
    if "usd_month" in row and "usd_year" in row and row["usd_year"] != 12 * row["usd_month"]:
        yield f"usd_year is {row['usd_year']}, but twelve months cost {12 * row['usd_month']}."


def _claim(row: dict) -> Iterator[str]:
    if not re.fullmatch(r"S\d\d-\d{3}", row["id"]) or int(row["id"][1:3]) != row["section"]:
        yield f"id is {row['id']!r}, but must be S, the section in two digits, a hyphen and three digits."
    if row["verdict"] == "corrected" and row.get("right_value") is None:
        yield "right_value is missing: a corrected claim says what is right."
    if row["verdict"] == "computed":
        if row.get("calc") is None or row.get("matches") is not True:
            yield "calc is missing or does not match: a computed claim has a calculation that gives its figure."
    if row.get("calc") is not None:
        if row.get("value") is None:
            yield "value is missing: a calculation has a result."
        try:
            ast.parse(row["calc"], mode="eval")
        except SyntaxError:
            yield f"calc is {_short(row['calc'])}, but must be one Python expression."


RULES = {Model: sizes.disagreements, Price: _price, Claim: _claim}
