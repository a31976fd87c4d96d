import re

import pytest

from lessonlib.facts import catalog
from lessonlib.page import corrected


def test_rows_say_what_is_right_why_and_by_whom(shown):
    corrected.corrections(["S04-033", "S04-034"])
    html, text = shown[0]
    claim = catalog.claim("S04-033")
    assert claim.right_value in html and claim.note in html and claim.source_titles()[0] in text
    assert claim.as_of in text and "S04-034" in text
    assert not re.search(re.escape(claim.seed_value) + r"\b(?! only)", text)


def test_every_corrected_claim_can_be_shown():
    rows = [corrected.row_of(c) for c in catalog.claims() if c.verdict == "corrected"]
    assert len(rows) > 100
    assert all(row[1].strip() not in ("", "None") and row[3].strip() for row in rows)


def test_doubtful_sources_are_marked_and_the_source_lesson_has_its_name():
    rows = {c.id: (c, corrected.row_of(c)) for c in catalog.claims() if c.verdict == "corrected"}
    doubtful = [row for claim, row in rows.values() if claim.source_status != "ok"]
    assert doubtful and all("unverified)" in row[3] for row in doubtful)
    assert not any("seed" in cell.split() for _, row in rows.values() for cell in row)
    assert sum("source lesson" in row[2] for _, row in rows.values()) > 5


def test_unknown_claims_are_named():
    with pytest.raises(ValueError, match="no claim 'S99-999'"):
        corrected.corrections(["S99-999"])
