"""Corrections to the source lesson, from the fact base, with reason, source and date."""

from __future__ import annotations

from ..facts import catalog
from .figures import table


def corrections(claim_ids) -> None:
    """Show what is right for each claim that the source lesson has wrong: never the wrong value. ValueError for a
    claim that needs no correction."""
    rows = []
    for claim_id in claim_ids:
        claim = catalog.claim(claim_id)
        if claim.verdict != "corrected":
            raise ValueError(f"Claim {claim_id} is {claim.verdict}, not corrected: leave it out of this table.")
        sources = "; ".join(claim.source_titles())
        if claim.get("source_status", "ok") != "ok":
            sources += f" ({claim.source_status})"
        rows.append([claim.id, claim.right_value, claim.get("note", ""), sources])
    caption = f"Corrected against the source lesson (checked {catalog.checked_on()})"
    table(rows, ["claim", "what is right", "why", "source"], caption)
