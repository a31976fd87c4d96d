"""The tables themselves: ids, sources, totals, and every calculation done again."""

import ast
import math
import re

import pytest

from lessonlib.calc import memory
from lessonlib.facts import catalog

NAMES = {f.__name__: f for f in (math.ceil, math.floor, math.sqrt, math.log, math.log2, math.sin, math.cos)}
NAMES |= {f.__name__: f for f in (round, sum, range, tuple, len, abs, min, max)}
CLAIMS = catalog.claims()
CALCULATED = [c for c in CLAIMS if c.get("calc") is not None]
VERDICTS = {"computed", "cited", "corrected", "estimate"}
PLAIN = "2 * full_attention_layers * kv_heads * head_dim * 2 bytes * n"


def evaluate(expression: str):
    """A plain Python expression over NAMES: no attributes, no other names."""
    tree = ast.parse(expression, mode="eval")
    bound = {node.target.id for node in ast.walk(tree) if isinstance(node, ast.comprehension)}
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.Attribute, ast.Lambda, ast.NamedExpr)), expression
        if isinstance(node, ast.Name):
            assert node.id in NAMES or node.id in bound, (node.id, expression)
    return eval(compile(tree, expression, "eval"), {"__builtins__": {}, **NAMES})


def six_digits(value):
    if isinstance(value, (list, tuple)):
        return [six_digits(v) for v in value]
    if isinstance(value, float) and math.isfinite(value):
        return float(f"{value:.6g}")
    return value


def near(got, want, tolerance) -> bool:
    if isinstance(want, (list, tuple)):
        return len(got) == len(want) and all(near(g, w, tolerance) for g, w in zip(got, want, strict=True))
    if isinstance(want, (int, float)) and not isinstance(want, bool):
        return abs(got - want) <= tolerance * abs(want) * (1 + 1e-4) + 1e-12
    return got == want


def walk(value):
    """Every mapping in a table."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)


@pytest.mark.parametrize("name", catalog.TABLES)
def test_ids_are_unique_and_sources_exist(name):
    table = catalog.table(name)
    for value in table.values():
        if isinstance(value, list):
            ids = [row["id"] for row in value if isinstance(row, dict) and "id" in row]
            assert len(ids) == len(set(ids))
    cited = [key for row in walk({k: v for k, v in table.items() if k != "sources"}) for key in row.get("sources", ())]
    assert cited and set(cited) <= set(table["sources"])
    assert all(source["title"].strip() and source["status"].strip() for source in table["sources"].values())


@pytest.mark.parametrize("name", catalog.TABLES)
def test_no_machine_path_and_no_seed_file_name(name):
    text = (catalog.HERE / f"{name}.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", text)
    assert ".txt" not in text.partition("sources:")[0]


def test_stated_totals_are_the_counted_ones():
    totals = catalog.table("claims")["totals"]
    assert totals["claims"] == len(CLAIMS)
    for field, group in (("verdict", "by_verdict"), ("kind", "by_kind"), ("section", "by_section")):
        counted = {}
        for claim in CLAIMS:
            counted[claim.get(field)] = counted.get(claim.get(field), 0) + 1
        assert counted == totals[group]


def test_every_claim_is_complete():
    sections = catalog.table("claims")["sections"]
    for c in CLAIMS:
        assert re.fullmatch(r"S\d\d-\d{3}", c.id) and int(c.id[1:3]) == c.section and c.section in sections
        assert c.verdict in VERDICTS and c.claim.strip()
        if c.verdict == "corrected":
            assert c.get("right_value") is not None, c.id
        if c.verdict == "computed":
            assert c.get("calc") is not None and c.matches is True, c.id


@pytest.mark.parametrize("claim", CALCULATED, ids=lambda c: c.id)
def test_calculation_gives_its_value(claim):
    got = evaluate(str(claim.calc))
    assert six_digits(got) == six_digits(claim.value)
    if claim.get("matches"):
        assert near(got, claim.expected, claim.tolerance)


def test_there_are_as_many_calculations_as_the_course_says():
    assert len(CALCULATED) >= 285 and sum(c.verdict == "computed" for c in CALCULATED) == 154


@pytest.mark.parametrize("expression", ["open('x')", "().__class__", "(lambda: 1)()", "exec", "(x := 1)"])
def test_the_evaluation_takes_arithmetic_only(expression):
    with pytest.raises(AssertionError):
        evaluate(expression)


@pytest.mark.parametrize("row", catalog.models(), ids=lambda row: row.id)
def test_stated_sizes_follow_from_the_architecture(row):
    plain = row.get("kv_formula") == PLAIN
    if plain:
        shape = dict(layers=row.full_attention_layers, kv_heads=row.kv_heads, head_dim=row.head_dim)
        assert memory.kv_bytes_per_token(**shape) == row.kv_bytes_per_token_fp16
        for tokens, gigabytes in row.kv_gb_fp16_at.items():
            assert memory.kv_cache_bytes(**shape, tokens=int(tokens)) / 1e9 == pytest.approx(
                gigabytes, rel=2e-3, abs=6e-4
            )
    parameters, sizes = row.get("total_params_exact"), row.get("weights_gb") or {}
    if parameters:
        assert parameters / 1e9 == pytest.approx(row.total_params_b, abs=6e-4)
        for field, bits in (("fp32", 32), ("fp16_bf16", 16), ("int8", 8), ("int4_flat", 4)):
            if field in sizes:
                assert memory.weight_bytes(parameters, bits) / 1e9 == pytest.approx(sizes[field], abs=6e-4)
        if "awq_g128_estimate" in sizes and row.get("embedding_params_exact"):
            awq = memory.awq_weight_bytes(parameters, row.embedding_params_exact, row.tied_embeddings)
            assert awq / 1e9 == pytest.approx(sizes["awq_g128_estimate"], abs=1.1e-3)
    if row.get("attention_heads") and row.get("kv_heads"):
        assert row.attention_heads % row.kv_heads == 0


def test_most_models_use_the_plain_cache_formula():
    assert sum(row.get("kv_formula") == PLAIN for row in catalog.models()) >= 20
