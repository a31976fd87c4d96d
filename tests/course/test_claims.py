"""Coverage of the source lesson's claims on a small made-up course, and the lint's rules on claims, facts and prices."""

import copy
from pathlib import Path

import pytest

from lessonlib.course import build, lint
from lessonlib.course.claims import called_with, coverage, shown_on
from lessonlib.course.rules import RULES
from lessonlib.facts import catalog, schema

ROOT = Path(__file__).resolve().parents[2]
PAGE = """\
# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 92_more, title: More, minutes: 5}
# ---

# %% [markdown]
# It takes 13.1 GB<!-- claim:S04-033 --> and 34.4 GB<!--claim:S04-034-->; S04-036 is only named here.

# %%
%matplotlib inline
corrections(["S04-035", "S04-033"])  # not S04-037

# %%
page.claims(["S01-001", "S99-999"], title="Prices")
"""


@pytest.fixture
def two_pages(course):
    """The small course with a second page that shows claims."""
    folder = course / "solutions" / "92_more"
    folder.mkdir()
    (folder / "92_more.py").write_text(PAGE, encoding="utf-8")
    with open(course / "solutions" / "91_sample" / "91_sample.py", "a", encoding="utf-8") as source:
        source.write('\n# %%\nvalue = claim("S04-034").value\n')
    return course


def test_a_page_shows_what_it_marks_and_calls(two_pages):
    path = two_pages / "solutions" / "92_more" / "92_more.py"
    assert shown_on(path) == ["S04-033", "S04-034", "S04-035", "S01-001", "S99-999"]


def test_coverage_counts_by_section_and_verdict(two_pages):
    found = coverage(two_pages)
    assert found.pages == {
        "S04-034": ["91_sample", "92_more"], "S04-033": ["92_more"], "S04-035": ["92_more"], "S01-001": ["92_more"]
    }  # fmt: skip
    assert found.unknown == [("92_more", "S99-999")]
    claims = catalog.claims()
    in_4 = [c for c in claims if c.section == 4]
    corrected = sum(c.verdict == "corrected" for c in in_4)
    assert found.counts(4)["corrected"] == (3, corrected) and found.counts(4)["all"] == (3, len(in_4))
    assert found.counts(0)["all"] == (0, 3) and found.counts()["all"] == (4, len(claims))
    assert len(found.missing([4])) == len(in_4) - 3 and len(found.missing()) == len(claims) - 4
    assert found.sections() == sorted({c.section for c in claims})


def test_coverage_of_one_lesson(two_pages):
    assert list(coverage(two_pages, "91").pages) == ["S04-034"]
    with pytest.raises(ValueError, match="No lesson starts with '77'"):
        coverage(two_pages, "77")


@pytest.mark.parametrize(
    "code, ids",
    [
        ('corrections(["S04-001"])', ["S04-001"]),
        ('page.claims(("S04-001", "S04-002"))', ["S04-001", "S04-002"]),
        ('x = catalog.claim("S04-001").value', ["S04-001"]),
        ('IDS = ["S04-001"]\nclaims(IDS + ["S04-002"])', ["S04-001", "S04-002"]),
        ('IDS = ["S04-001"]\nclaims([*IDS, "S04-002"])', ["S04-001", "S04-002"]),
        ('claims(["S4-1"])', ["S4-1"]),  # as it is written, so that the lint can tell
        ('claims(["S04-001"], title="S04-002")', ["S04-001"]),
        ('# claims(["S04-001"])', []),
        ('print("S04-001", ["S04-002"])', []),
        ("claims(more)\nclaims()", []),
        ('!ls\n%time\ncorrections(["S04-001"])', ["S04-001"]),
    ],
)
def test_ids_are_read_from_calls_only(code, ids):
    assert called_with(code) == ids


def test_a_cell_that_is_no_python_is_named():
    with pytest.raises(ValueError, match=r"page.py: a cell is no Python: .* in 'claims\(\['"):
        called_with("claims([", "page.py")


@pytest.fixture(scope="module")
def lesson():
    return lint.read_page(ROOT / "solutions" / "05_kv_cache" / "05_kv_cache.py", ROOT)


def findings(lesson, rule, text=None, code=None):
    """What a rule says about one more text, or code, on a real page, and not about the page itself."""
    page = copy.deepcopy(lesson)
    kind, source = ("markdown", text) if text else ("code", code)
    cell = copy.deepcopy(next(c for c in page.source.cells if c.cell_type == kind and not c.metadata.get("tags")))
    cell.source, cell["id"] = source, "added"
    page.source.cells.append(cell)
    return [sentence for where, sentence in RULES[rule](page) if where == "added"]


@pytest.mark.parametrize(
    "source, says",
    [
        ({"text": "See it<!-- claim:S04-33 -->."}, "The fact base has no claim 'S04-33'. Nearest: S04-033"),
        ({"text": "See it<!-- claim:s04-033 -->."}, "write S04-033 for s04-033"),
        ({"code": 'claims(["S04-9999"])'}, "The fact base has no claim 'S04-9999'."),
        ({"code": 'claim("S99-999")'}, "The fact base has no claim 'S99-999'."),
        ({"code": "claims(["}, "a cell is no Python"),
    ],
)
def test_a_claim_that_does_not_exist_breaks_a_rule(lesson, source, says):
    assert any(says in sentence for sentence in findings(lesson, "claims", **source))


def test_claims_that_exist_break_none(lesson):
    assert findings(lesson, "claims", text="13.1 GB<!-- claim:S04-033 -->") == []
    assert findings(lesson, "claims", code='claims(["S04-032", "S04-033"])') == []


@pytest.mark.parametrize(
    "text",
    [
        "24 GiB<!-- fact:gpus/rtx-4090/vram_gb -->",
        "32 GB/s<!-- fact:gpus/rtx-4090/interconnect/pcie_gbs_per_direction -->",
        "2.50 USD<!-- fact:prices/gpt-4o/input -->",
        "0.17 USD<!-- fact:prices/electricity/us-average/usd_kwh -->",
        "4,000 USD<!-- fact:prices/dual-rtx-5090-build/usd -->",  # one end of a range
        "65.5 GB<!-- fact:models/qwen3-32b/weights_gb/fp16_bf16 -->",
        "741 tokens/s<!-- fact:benchmarks/marlin-awq/found -->",  # a number in words
        "0.1 times<!-- fact:engines/vllm_sleep_mode/published_timings/wake_l1_s -->",
    ],
)
def test_marks_of_all_tables_are_compared(lesson, text):
    assert findings(lesson, "numbers", text=text) == []


@pytest.mark.parametrize(
    "text, says",
    [
        ("3 USD<!-- fact:prices/gpt-4o/input -->", "3 is not what fact:prices/gpt-4o/input says (2.5)"),
        ("3 USD<!-- fact:prices/gpt-4oo/input -->", "no price 'gpt-4oo'. Nearest: gpt-4o"),
        ("3 USD<!-- fact:prices/gpt-4o/inputs -->", "there is no 'inputs'"),
        ("3 times<!-- fact:engines/vllm/cpu -->", "3 is not what fact:engines/vllm/cpu says"),
        ("3 times<!-- fact:cards/x/y -->", "is no path of a fact"),
    ],
)
def test_a_mark_that_disagrees_is_told(lesson, text, says):
    assert any(says in sentence for sentence in findings(lesson, "numbers", text=text))


def broken(name, data=None):
    return [f"{name}.yaml: models row 1 (gpt2): layers is 0."] if name == "models" else []


def test_a_broken_table_stops_the_build(course, monkeypatch, capsys):
    monkeypatch.setattr(schema, "problems", broken)
    assert build.main([]) == 2
    said = capsys.readouterr()
    assert "models.yaml: models row 1 (gpt2): layers is 0." in said.err and "[1/1]" not in said.out
    assert not list((course / "solutions").glob("*/*.ipynb"))


def test_a_broken_table_is_a_finding_of_the_lint(course, monkeypatch, capsys):
    monkeypatch.setattr(schema, "problems", broken)
    assert lint.main([]) == 1
    assert "models.yaml: models row 1 (gpt2): layers is 0." in capsys.readouterr().out
