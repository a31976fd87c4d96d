"""Corrections to the source lesson, from the fact base."""

from __future__ import annotations

import re

from . import theme

HEADER = ["claim", "what is right", "why", "source", "checked"]


def corrections(claim_ids: list[str]) -> None:
    """Show what is right, why, and by which source, for each claim id. The mistaken value is not repeated."""
    from lessonlib.facts import catalog

    rows = [row_of(catalog.claim(claim_id)) for claim_id in claim_ids]
    caption = "Corrections to the source lesson"
    theme.emit(theme.table_html(rows, HEADER, caption), theme.table_text(rows, HEADER, caption))


def row_of(claim) -> list[str]:
    """One row of that table."""
    right = claim.get("right_value") or claim.get("value")
    sources = "; ".join(claim.source_titles())
    if claim.get("source_status", "ok") != "ok":
        sources += f" ({claim.source_status})"
    return [claim.id, *(_lesson(text) for text in (right, claim.get("note") or "", sources)), str(claim.as_of)]


def _lesson(text) -> str:
    """The fact base calls the source lesson its seed."""
    return re.sub(r"\bseed\b", "source lesson", str(text))
