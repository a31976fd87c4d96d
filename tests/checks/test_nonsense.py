"""Answers that make no sense fail with a sentence about themselves, in every exercise."""

import math

import pytest
import torch

from lessonlib.checks.core import CheckFailed, run_check, run_properties
from lessonlib.checks.tokens_and_context import _best

from .answers import every_exercise


class Equal:
    """Says that it equals everything."""

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 0

    def __mul__(self, other):
        return self


CONSTANTS = [
    None, "much", math.nan, -math.inf, True, 0, -1.5, (), [()], {}, {"a": 1}, ("a", "b"), (0, 0), (1.0, math.inf),
    ("memory", None), torch.zeros(2), torch.full((6, 8), math.nan), object(), print, Equal(),
]  # fmt: skip


def fails(name, answer) -> str:
    """What the visible check says of a wrong answer, which must not earn all hidden points either."""
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert not all(r.passed for r in run_properties(name, answer))
    return str(caught.value)


@every_exercise
def test_no_constant_is_an_answer(page, name):
    for value in CONSTANTS:
        said = fails(name, lambda *_, value=value, **__: value)
        assert len(said) > 20 and "Your code for" not in said, (repr(value), said)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("l02_e1", lambda logits, count: [0.5] * count),
        ("l02_e1", lambda logits, count: [("a", "b")] * count),
        ("l02_e3", lambda *a: ("1", "2")),
        ("l02_e4", lambda weights, *a: weights[0]),
        ("l02_e4", lambda weights, *a: weights * math.nan),
        ("l03_e1", lambda q, k: q),
        ("l03_e1", lambda q, k: torch.full((*q.shape[:3], q.shape[2]), math.nan)),
        ("l03_e2", lambda x, p, s: x.tolist()),
        ("l03_e2", lambda x, p, s: x.clone()),
        ("l03_e2", lambda x, p, s: torch.zeros_like(x)),
        ("l03_e3", lambda w, b: 0.5),
        ("l03_e3", lambda w, b: ["a"] * len(w)),
        ("l03_e3", lambda w, b: [True] * len(w)),
        ("l03_e4", lambda *a: (1, 2, 3)),
        ("l04_e1", lambda w: ("ab", {})),
        ("l04_e1", lambda w: (1, 2)),
        ("l04_e1", lambda w: (_best(w), {"".join(k): v for k, v in w.items()})),
        ("l04_e2", lambda w, r: [w]),
        ("l04_e2", lambda w, r: [*w, ""]),
        ("l04_e2", lambda w, r: list(w)[::-1]),
        ("l04_e3", lambda *a: (math.nan, math.inf, "fits")),
        ("l04_e3", lambda *a: ("1", 2, "fits")),
        ("l04_e3", lambda *a: (True, True, True)),
        ("l04_e4", lambda *a: ([], 0)),
        ("l04_e4", lambda *a: (["a"], "b")),
        ("l04_e4", lambda *a: (range(99), 3)),
        ("l05_e1", lambda *a: ("keys", "values")),
        ("l05_e2", lambda q, k, v: q.tolist()),
        ("l05_e2", lambda q, k, v: v),
        ("l05_e3", lambda *a: "13.1 GB"),
        ("l06_e1", lambda *a: "0.5"),
        ("l06_e1", lambda logits, t: torch.ones(3, 3)),
        ("l06_e2", lambda logits, p: logits[:2]),
        ("l06_e2", lambda logits, p: logits),
        ("l06_e2", lambda logits, p: torch.full_like(logits, math.nan)),
        ("l06_e3", lambda logits, seen, p: logits),
        ("l06_e4", lambda *a: ["red"]),
        ("l06_e4", lambda tokens, *a: list(range(len(tokens)))),
        ("l08_e2", lambda w, *a: (w, True)),
        ("l08_e2", lambda w, *a: ("w", 1)),
        ("l08_e3", lambda w, x, q, a: (a[1], None, a)),
        ("l08_e3", lambda w, x, q, a: (a[1], x, None)),
        ("l08_e4", lambda b, *a: dict.fromkeys(b, True)),
        ("l08_e4", lambda b, *a: dict.fromkeys(b, "4")),
        ("l08_e4", lambda b, *a: dict.fromkeys(b, math.nan)),
        ("l11_e1", lambda *a: (1, "many")),
        ("l11_e1", lambda *a: (True, 0)),
        ("l11_e2", lambda *a: ("maybe", [])),
        ("l11_e2", lambda *a: ("yes", ["pay"])),
        ("l11_e2", lambda *a: ("yes", "show the name")),
        ("l11_e2", lambda *a: ("yes", [])),
        ("l11_e3", lambda *a: (-100.0, 100.0)),
        ("l11_e4", lambda c: c),
        ("l11_e4", lambda c: [x["name"] for x in c]),
        ("l16_plan_e3", lambda *a: [("coding",)]),
        ("l16_sel_e4", lambda *a: (1, 2, 3, 4)),
    ],
)
def test_the_right_kind_of_thing_is_not_yet_an_answer(name, answer):
    assert len(fails(name, answer)) > 20
