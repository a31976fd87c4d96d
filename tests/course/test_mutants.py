"""Mutants are valid code, differ from the solution in one place of the gap, and keep their names."""

import ast

import pytest

from lessonlib.course.mutants import mutants

CELL = '''\
def clip(values, low, high=10):
    """Values between low and high."""
    ### BEGIN SOLUTION
    """not documentation of anything"""
    kept = []
    for v in values:
        if v < low and not high == 0:
            continue
        kept.append(min(v, high))
    return kept[:-1], sum(kept, start=0) / len(kept)
    ### END SOLUTION


hints("l91_e1", 3)
'''


def named(found, operator):
    return [m.name for m in found if m.operator == operator]


def test_each_is_another_valid_cell():
    found = mutants(CELL)
    assert len({m.code for m in found}) == len(found) > 20
    plain = ast.unparse(ast.parse(CELL))
    for mutant in found:
        compile(mutant.code, "x", "exec")
        changed = [(a, b) for a, b in zip(plain.splitlines(), mutant.code.splitlines(), strict=False) if a != b]
        assert mutant.code != plain and (len(changed) <= 1 or "pass" in mutant.code or "continue" in mutant.before)


def test_only_the_gap_changes():
    for mutant in mutants(CELL):
        assert "high=10" in mutant.code and "hints('l91_e1', 3)" in mutant.code and "Values between" in mutant.code


def test_operators():
    found = mutants(CELL)
    assert named(found, "relational")[:2] == [
        "if v < low and (not high == 0): -> if v <= low and (not high == 0):",
        "if v < low and (not high == 0): -> if v > low and (not high == 0):",
    ]
    assert named(found, "logical") == ["if v < low and (not high == 0): -> if v < low or not high == 0:"]
    assert named(found, "operator removed")[0] == "if v < low and (not high == 0): -> if v < low and high == 0:"
    assert "kept.append(min(v, high)) -> kept.append(max(v, high))" in named(found, "function")
    assert "kept.append(min(v, high)) -> pass" in named(found, "statement")
    assert "continue -> pass" in named(found, "statement")
    after = [m.after for m in found if m.before.startswith("return")]
    assert "return (sum(kept, start=0) / len(kept), kept[:-1])" in after  # results swapped
    assert "return (kept[:-1], sum(kept) / len(kept))" in after  # keyword removed
    assert "return (kept[:], sum(kept, start=0) / len(kept))" in after  # slice
    assert "return (kept[:-1], sum(kept, start=0) * len(kept))" in after  # arithmetic
    assert "return (kept[:-1], len(kept) / sum(kept, start=0))" in after  # operands swapped
    assert "return (kept[:-2], sum(kept, start=0) / len(kept))" in after  # constant


def test_the_same_change_in_two_places_has_two_names():
    cell = "def f(a):\n    ### BEGIN SOLUTION\n    a = a + 1\n    a = a + 1\n    return a\n    ### END SOLUTION\n"
    names = named(mutants(cell), "arithmetic")
    assert names == ["a = a + 1 -> a = a - 1", "a = a + 1 -> a = a - 1 (2)"]


@pytest.mark.parametrize(
    "cell, sentence",
    [("x = 1\n", "no gap"), ("### BEGIN SOLUTION\nx = = 1\n### END SOLUTION\n", "no plain Python")],
)
def test_what_has_no_gap_is_refused(cell, sentence):
    with pytest.raises(ValueError, match=sentence):
        mutants(cell)
