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


def test_claims_show_statement_verdict_value_source_and_date(shown):
    corrected.claims(["S04-033", "S04-032", "S08-037", "S04-021"], "Cache <sizes>")
    html, text = shown[0]
    assert (
        "Cache &lt;sizes&gt;: 4 claims (1 computed, 1 cited, 1 estimate, 1 corrected)" in html
        and "<details" not in html
    )
    wrong = catalog.claim("S04-033")
    assert f"right: {wrong.right_value}" in text and wrong.note.rstrip(".") in text
    assert wrong.claim not in text and str(wrong.seed_value) not in text, "a mistake is never repeated"
    for name in ("S04-033", "S04-032", "S08-037", "S04-021"):
        claim = catalog.claim(name)
        assert claim.as_of in text and name in html and corrected.SIGNS[claim.verdict] in text
        (line,) = (line for line in text.splitlines() if line.startswith(f"- {name} "))
        listed = dict(re.findall(r"^\[(\d+)\] (.*)$", text, flags=re.M))
        assert {listed[number] for number in re.findall(r"\[(\d+)\]", line)} == set(corrected.sources(claim))
        assert all(corrected.theme.escape(source) in html for source in corrected.sources(claim))
    assert html.count('scope="row"') == 4 and html.count('scope="col"') == 6


def test_long_lists_of_claims_are_folded_and_counted(shown):
    ids = [c.id for c in catalog.claims() if c.section == 4]
    corrected.claims(ids)
    html, text = shown[0]
    summary = re.search(r"<details[^>]*><summary>(.*?)</summary>", html)[1]
    assert f"{len(ids)} claims (" in summary and "corrected" in summary
    assert text.count("\n- ") == len(ids) and all(name in html for name in ids)


def test_a_short_list_is_folded_when_asked(shown):
    corrected.claims(["S12-001"], "What holds", folded=True)
    corrected.claims(["S12-001"], "What holds")
    assert "<details" in shown[0][0] and "<details" not in shown[1][0] and shown[0][1] == shown[1][1]


def test_every_claim_can_be_shown_under_the_lessons_own_name():
    rows = [corrected.claim_row(c, corrected.sources(c)) for c in catalog.claims()]
    assert len(rows) > 400 and all(len(row) == 6 and all(cell.strip() for cell in row) for row in rows)
    assert not any("seed" in re.findall(r"\w+", cell) for row in rows for cell in row)


def test_claims_refuse_nothing_and_unknown_ids():
    from lessonlib.page import claims

    with pytest.raises(ValueError, match="got no claim ids"):
        claims([])
    with pytest.raises(ValueError, match="no claim 'S99-999'"):
        claims(["S99-999"])
