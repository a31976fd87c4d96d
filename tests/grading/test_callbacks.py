"""A test may hand functions to the submission: each call goes back to the tests' sandbox, by typed values."""

from __future__ import annotations

import json

import pytest

from lessonlib.grading import canonical, engine, intake

pytestmark = pytest.mark.sandbox

TEST = """
def square(x): return x * x
assert apply(square, [1, 2]) == [1, 4]
assert apply(lambda x: x + [1], [[0]]) == [[0, 1]]
assert apply(len, ['ab', {1: 2}]) == [2, 1]
def refuse(x): raise KeyError('no')
try:
    apply(refuse, [1])
except KeyError as error:
    assert 'no' in str(error)
else:
    raise AssertionError('the error is lost')
def inner(x): return apply(square, [x])[0] if x else 0
assert apply(inner, [0, 3]) == [0, 9]
seen = []
assert apply(lambda x: seen.append(x), [1, 2]) == [None, None] and seen == [1, 2]
print('all of it')
"""
APPLY = "def apply(f, values):\n    return [f(v) for v in values]\n"


def cell(source: str, grade_id: str, **about) -> dict:
    made = {"grade_id": grade_id, "grade": False, "solution": False, **about}
    return {"cell_type": "code", "metadata": {"nbgrader": made}, "source": source, "outputs": []}


def book(answer: str) -> dict:
    cells = [
        cell(answer, "apply", solution=True),
        cell(TEST, "first", grade=True, points=1),
        cell("assert apply(abs, [-1]) == [1]", "second", grade=True, points=1),
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


@pytest.fixture(scope="module")
def grader():
    with engine.Grader(canonical.snapshot(book(APPLY)), engine.Limits(cell=2, total=12)) as made:
        yield made


def graded(grader, answer: str) -> list:
    record = grader.grade(intake.parse(json.dumps(book(answer)).encode())[0])
    assert record["status"] == "graded"
    return [cell["points"] for cell in record["cells"]]


def test_functions_of_a_test_can_be_called(grader):
    assert grader.failing == []
    assert graded(grader, APPLY) == [1, 1]


@pytest.mark.parametrize(
    "answer, points",
    [
        ("def apply(f, values):\n    return [v * v for v in values]", [0, 1]),  # (-1) squared is 1, too
        ("def apply(f, values):\n    return [f(v) for v in values[:1]]", [0, 1]),
        # Kept, and called when no test waits for an answer, or while another does.
        ("kept = []\ndef apply(f, values):\n    kept.append(f)\n    return [kept[0](v) for v in values]", [0, 0]),
        ("def apply(f, values):\n    return f(f)", [0, 0]),
        ("def apply(f, values):\n    return f.__globals__['seen']", [0, 0]),
        ("def apply(f, values):\n    return [apply(f, values)]", [0, 0]),
        ("def apply(f, values):\n    while True:\n        f(values[0])", [0, 0]),
        ("def apply(f, values):\n    f._handle = 10**6\n    return [f(v) for v in values]", [0, 0]),
        ("def apply(f, values):\n    f._objects.asked[:] = [0]\n    return [f(v) for v in values]", [0, 0]),
    ],
)
def test_wrong_and_hostile_uses_score_nothing(grader, answer, points):
    assert graded(grader, answer) == points
    assert graded(grader, APPLY) == [1, 1]
