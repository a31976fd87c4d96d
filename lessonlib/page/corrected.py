"""Claims of the source lesson as the fact base judges them: all of them, or the corrections alone."""

from __future__ import annotations

import re
from collections import Counter

from . import theme

HEADER = ["claim", "what is right", "why", "source", "checked"]
CLAIMS_HEADER = ["id", "statement", "verdict", "value", "source", "checked"]
# A verdict is a word with a sign; colour says nothing here.
SIGNS = {"computed": "= computed", "cited": "§ cited", "estimate": "≈ estimate", "corrected": "✎ corrected"}
OPEN_UP_TO = 6  # longer lists are folded
OTHERWISE = "The source lesson has this otherwise."


def claims(claim_ids: list[str], title: str | None = None, folded: bool = False) -> None:
    """Show claims of the source lesson: statement, verdict, value, source, date. More than six, or `folded` ones, are
    folded away under a line that counts the verdicts. Of a corrected claim only what is right and why is shown.
    ValueError for an unknown id."""
    from lessonlib.facts import catalog

    found = [catalog.claim(claim_id) for claim_id in claim_ids]
    if not found:
        raise ValueError("claims() got no claim ids: give at least one, as in claims(['S04-033']).")
    titles = list(dict.fromkeys(said for claim in found for said in sources(claim)))
    rows = [claim_row(claim, titles) for claim in found]
    caption = f"{title or 'Claims of the source lesson'}: {verdicts(found)}"
    listed = [f"[{number}] {source}" for number, source in enumerate(titles, 1)]
    below = "<br>".join(map(theme.escape, listed))
    folded = folded or len(rows) > OPEN_UP_TO
    html = f"{theme.table_html(rows, CLAIMS_HEADER, None if folded else caption)}<p>Sources: {below}</p>"
    text = "\n".join([caption, *map(_line, rows), "Sources:", *listed])
    theme.emit(theme.fold(f"<b>{theme.rich(caption)}</b>", html) if folded else html, text)


def verdicts(found) -> str:
    """How many claims got which verdict, in words: "3 claims: 2 computed, 1 corrected"."""
    counts = Counter(claim.verdict for claim in found)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in SIGNS if counts[verdict])
    return f"{len(found)} claim{'s' if len(found) != 1 else ''} ({parts})"


def claim_row(claim, titles: list[str]) -> list[str]:
    """One row of the claims table, sources as their numbers in `titles`; a corrected claim gives what is right and why,
    and does not repeat the mistake."""
    note, statement = claim.get("note"), claim.claim
    if claim.verdict == "corrected":
        statement, value = note or OTHERWISE, f"right: {right_value(claim)}"
    else:
        statement = f"{statement}. {note}" if note else statement
        value = stated_value(claim)
    numbers = ", ".join(f"[{titles.index(title) + 1}]" for title in sources(claim))
    return [claim.id, _lesson(statement), SIGNS[claim.verdict], _lesson(value), numbers, str(claim.as_of)]


def right_value(claim) -> str:
    """What is right, where the source lesson has something else."""
    return str(claim.get("right_value") or _numbers(claim.get("value")))


def stated_value(claim) -> str:
    """The value of a claim that stands, with what was computed here beside it."""
    value = claim.get("value")
    if value is None or isinstance(value, bool):
        return str(claim.seed_value)
    return f"{claim.seed_value} (computed: {_numbers(value)})"


def sources(claim) -> list[str]:
    """The sources of a claim in words; doubtful ones say so."""
    doubt = "" if claim.get("source_status", "ok") == "ok" else f" ({claim.source_status})"
    return [_lesson(title + doubt) for title in claim.source_titles()]


def corrections(claim_ids: list[str]) -> None:
    """Show what is right, why, and by which source, for each claim id. The mistaken value is not repeated."""
    from lessonlib.facts import catalog

    rows = [row_of(catalog.claim(claim_id)) for claim_id in claim_ids]
    caption = "Corrections to the source lesson"
    theme.emit(theme.table_html(rows, HEADER, caption), theme.table_text(rows, HEADER, caption))


def row_of(claim) -> list[str]:
    """One row of the corrections table."""
    why = _lesson(claim.get("note") or "")
    said = "; ".join(claim.source_titles())
    if claim.get("source_status", "ok") != "ok":
        said += f" ({claim.source_status})"
    said = _lesson(said)
    return [claim.id, _lesson(right_value(claim)), why, said, str(claim.as_of)]


def _line(row: list[str]) -> str:
    name, statement, verdict, value, source, date = row
    label = "" if value.startswith("right: ") else "value: "
    return f"- {name} ({verdict}): {statement.rstrip('.')}; {label}{value}. Source: {source}, {date}."


def _numbers(value) -> str:
    return " / ".join(map(_numbers, value)) if isinstance(value, (list, tuple)) else theme.cell(value)


def _lesson(text) -> str:
    """The fact base calls the source lesson its seed."""
    return re.sub(r"\bseed\b", "source lesson", str(text))
