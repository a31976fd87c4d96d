"""The checks of lesson 07 let right answers through, in any form, and catch every wrong one with its message."""

import math
import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from lessonlib.checks import parameters_and_moe_cases as cases
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import parameters_and_moe as lab
from lessonlib.labs import parameters_and_moe_scaling as scaling
from lessonlib.paths import course_root

pytestmark = pytest.mark.l07
FOLDER = course_root(__file__) / "solutions" / "07_parameters_and_moe"
NAMES = {"l07_e1": "count", "l07_e2": "power_law", "l07_e3": "route", "l07_e4": "memory"}


def memory(rest, expert, layers, experts, per_token, tokens, bits):
    return lab.read_bytes(rest, expert, layers, experts, per_token, tokens, bits / 8)


REFERENCE = {"l07_e1": lab.count, "l07_e2": scaling.power_law, "l07_e3": lab.route, "l07_e4": memory}
WRONG = wrong_answers(FOLDER / "07_parameters_and_moe.py")


def count_by_matrices(shape):
    """Matrix by matrix, in a loop, as floats of NumPy."""
    h, d = shape["hidden"], shape["head_dim"]
    total = dict.fromkeys(lab.GROUPS, np.float64(0))
    total["embedding"] += shape["vocabulary"] * h
    for _ in range(shape["layers"]):
        for heads in (shape["heads"], shape["kv_heads"], shape["kv_heads"], shape["heads"]):
            total["attention"] += h * heads * d
        for _ in range(shape["experts"]):
            total["feed_forward"] += 3 * h * shape["feed_forward"]
        if shape["experts"] > 1:
            total["router"] += h * shape["experts"]
        total["norms"] += 2 * h
    total["norms"] += h
    if not shape["tied"]:
        total["output"] += shape["vocabulary"] * h
    return total


def law_by_hand(x, losses):
    """Base-2 logarithms and the normal equations, plain Python."""
    u, v = [math.log2(a) for a in x], [math.log2(b) for b in losses]
    mu, mv = sum(u) / len(u), sum(v) / len(v)
    slope = sum((a - mu) * (b - mv) for a, b in zip(u, v, strict=True)) / sum((a - mu) ** 2 for a in u)
    return [2 ** (mv - slope * mu), -slope]


def law_in_torch(x, losses):
    u = torch.tensor(x, dtype=torch.float64).log()
    v = torch.tensor(losses, dtype=torch.float64).log()
    start, slope = torch.linalg.lstsq(torch.stack([torch.ones_like(u), u], 1), v[:, None]).solution[:, 0]
    return torch.stack([start.exp(), -slope])


def route_by_softmax_of_the_best(logits, k):
    """Softmax over the chosen logits alone: the same weights."""
    best = logits.topk(k, dim=-1)
    return torch.full_like(logits, 0.0).scatter(-1, best.indices, best.values.softmax(-1))


def route_in_a_loop(logits, k):
    out = torch.zeros(logits.shape, dtype=torch.float64)
    for row, values in enumerate(logits.tolist()):
        chosen = sorted(range(len(values)), key=values.__getitem__)[-k:]
        parts = [math.exp(values[i]) for i in chosen]
        for i, part in zip(chosen, parts, strict=True):
            out[row, i] = part / sum(parts)
    return out


def memory_exact(rest, expert, layers, experts, per_token, tokens, bits):
    """Fractions, the chance of a miss token by token, whole bytes at the end."""
    missed = Fraction(1)
    for _ in range(tokens):
        missed *= 1 - Fraction(per_token, experts)
    read = (rest + layers * experts * (1 - missed) * expert) * bits / 8
    return [(rest + layers * experts * expert) * bits / 8, float(read)]


def memory_in_numpy(rest, expert, layers, experts, per_token, tokens, bits):
    touched = experts - experts * np.power(np.float64(1 - per_token / experts), tokens)
    return np.array([rest + layers * experts * expert, rest + layers * touched * expert]) * bits / 8


OTHERS = {
    "l07_e1": [count_by_matrices, lambda s: {k: float(v) for k, v in reversed(lab.count(s).items())}],
    "l07_e2": [law_by_hand, law_in_torch],
    "l07_e3": [route_by_softmax_of_the_best, route_in_a_loop],
    "l07_e4": [memory_exact, memory_in_numpy],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_right_answers_in_any_style_get_full_points(name, seed):
    for answer in (REFERENCE[name], *OTHERS[name]):
        run_check(name, answer, seed)
        assert [r for r in run_properties(name, answer, seed) if not r.passed] == []
        assert score_properties(name, answer, points=2, seed=seed) == 2


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_scores_less_and_earns_its_message(wrong):
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    answer, messages = space[NAMES[name]], []
    try:
        run_check(name, answer)
    except CheckFailed as error:
        messages.append(str(error))
    results = run_properties(name, answer)
    assert messages or not all(r.passed for r in results), "it scores as much as a right answer"
    assert any(wrong.says in text for text in [*messages, *(r.message for r in results)]), messages or results


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_the_visible_check_names_the_mistake_whatever_the_seed(wrong):
    """Two mistakes must not give the same number on some inputs; what only shows when graded is the change in place."""
    if wrong.name == "in_place":
        pytest.skip("a hidden property")
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    for seed in range(6):
        with pytest.raises(CheckFailed) as caught:
            run_check(name, space[NAMES[name]], seed)
        assert wrong.says in str(caught.value), seed


def test_each_exercise_has_five_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [None, "many", math.nan, {}, (), (1.0, math.inf), torch.zeros(2), torch.zeros(6, 8)])
def test_nonsense_fails_with_a_sentence(name, value):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, lambda *a: value)
    assert len(str(caught.value)) > 20
    assert score_properties(name, lambda *a: value, points=1) < 1


def test_a_changed_shape_is_noticed():
    def count(shape):
        found = lab.count(shape)
        shape["layers"] = 0
        return found

    with pytest.raises(CheckFailed, match="shape was changed"):
        run_check("l07_e1", count)


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    first, again, other = (cases.mixture(random.Random(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_made_up_shapes_keep_mistakes_apart():
    for seed in range(40):
        shape = cases.shape(random.Random(seed), experts=8)
        for name, want in lab.count(shape).items():
            values = [value for value, _ in cases.count_slips(name, shape, want)]
            assert want not in values or name in ("router",), (name, shape)
