"""The tables themselves: the rules of the schema, and every calculation done again."""

import ast
import math
import re

import pytest

from lessonlib.calc import memory
from lessonlib.facts import catalog, schema, sizes

NAMES = {f.__name__: f for f in (math.ceil, math.floor, math.sqrt, math.log, math.log2, math.sin, math.cos)}
NAMES |= {f.__name__: f for f in (round, sum, range, tuple, len, abs, min, max)}
CLAIMS = catalog.claims()
CALCULATED = [c for c in CLAIMS if c.get("calc") is not None]


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


@pytest.mark.parametrize("name", catalog.TABLES)
def test_the_table_keeps_the_rules(name):
    assert schema.problems(name) == []


@pytest.mark.parametrize("name", catalog.TABLES)
def test_no_machine_path_and_no_seed_file_name(name):
    text = (catalog.HERE / f"{name}.yaml").read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|tmp|root|home)/", text)
    assert ".txt" not in text.partition("sources:")[0]


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


@pytest.mark.parametrize("row", catalog.models(own=False), ids=lambda row: row.id)
def test_the_rules_of_sizes_are_those_of_calc(row):
    """Facts stand below calc and count by themselves: both must say the same."""
    fields, parameters = row.as_dict(), row.total_params_exact
    derived = sizes.derived(fields)
    if row.kv_formula == sizes.PLAIN:
        shape = dict(layers=row.full_attention_layers, kv_heads=row.kv_heads, head_dim=row.head_dim)
        assert memory.kv_bytes_per_token(**shape) == derived["kv_bytes_per_token_fp16"]
        assert memory.kv_cache_bytes(**shape, tokens=50_000) == sizes.cache_bytes(fields, 50_000)
    for name, bits in sizes.BITS.items():
        assert memory.weight_bytes(parameters, bits) / 1e9 == pytest.approx(derived["weights_gb"][name], abs=6e-4)
    awq = memory.awq_weight_bytes(parameters, row.embedding_params_exact, row.tied_embeddings)
    assert awq / 1e9 == pytest.approx(derived["weights_gb"]["awq_g128_estimate"], abs=6e-4)


def test_most_models_use_the_plain_cache_formula():
    assert sum(row.kv_formula == sizes.PLAIN for row in catalog.models(own=False)) >= 20
