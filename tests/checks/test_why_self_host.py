"""The checks of lesson 01 let right answers through, in any form, and catch every wrong one with its message."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from lessonlib.checks import why_self_host as checks  # registers the exercises
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import why_self_host as lab
from lessonlib.paths import course_root

pytestmark = pytest.mark.l01
FOLDER = course_root(__file__) / "solutions" / "01_why_self_host"
NAMES = {"l01_e1": "team_bill", "l01_e2": "own_month", "l01_e3": "crossover", "l01_e4": "flips"}
REFERENCE = {"l01_e1": lab.team_bill, "l01_e2": lab.own_month, "l01_e3": lab.crossover, "l01_e4": lab.flips}
assert checks


def bill_in_cents(groups, prices, days):
    """Decimals, a list, rounded to cents."""
    usd, tokens = Decimal(0), 0
    for g in groups:
        own = {name: Decimal(str(value)) for name, value in prices[g["model"]].items()}
        cached = g["input_tokens"] * Decimal(str(g["cached_share"]))
        each = (
            own["input"] * (g["input_tokens"] - cached)
            + own["cached_input"] * cached
            + own["output"] * g["output_tokens"]
        )
        usd += g["people"] * days * each / 1_000_000
        tokens += g["people"] * days * (g["input_tokens"] + g["output_tokens"])
    return [round(usd, 2), round(usd * 1_000_000 / tokens, 2)]


def bill_by_arrays(groups, prices, days):
    """NumPy: a matrix of tokens times a matrix of prices."""
    people = np.array([g["people"] for g in groups]) * days
    kinds = [
        [g["input_tokens"] * (1 - g["cached_share"]), g["input_tokens"] * g["cached_share"], g["output_tokens"]]
        for g in groups
    ]
    usd = [[prices[g["model"]][kind] for kind in ("input", "cached_input", "output")] for g in groups]
    tokens = people[:, None] * np.array(kinds)
    total = (tokens * np.array(usd)).sum() / 1e6
    return total, total / tokens.sum() * 1e6


def month_by_counting(node, tokens_per_day):
    """Nodes added one by one; hours of a month at once; whole dollars and cents."""
    nodes, room = 1, node["tokens_per_s"] * 3600 * node["hours_per_day"]
    while nodes * room < tokens_per_day:
        nodes += 1
    hours = 24 * 30
    usd = node["people_usd_month"]
    for _ in range(nodes):
        usd += node["price_usd"] / node["months"] + node["site_usd_month"]
        usd += node["watts"] * hours * node["pue"] / 1e3 * node["usd_per_kwh"]
    return [nodes, round(usd, 2)]


def month_exactly(node, tokens_per_day):
    """Fractions, and a whole number that is a float."""
    n = {name: Fraction(str(value)) for name, value in node.items()}
    nodes = max(1, -(-tokens_per_day // int(n["tokens_per_s"] * n["hours_per_day"] * 3600)))
    power = n["watts"] / 1000 * 720 * n["pue"] * n["usd_per_kwh"]
    return float(nodes), nodes * (n["price_usd"] / n["months"] + n["site_usd_month"] + power) + n["people_usd_month"]


def crossover_whole(node, usd_per_million):
    """Early returns, in tokens a month, rounded up to whole tokens."""
    if node["own_usd_per_million"] >= usd_per_million:
        return None
    tokens = node["fixed_usd_month"] / ((usd_per_million - node["own_usd_per_million"]) / 1_000_000)
    if tokens / 30 > 3600 * node["hours_per_day"] * node["tokens_per_s"]:
        return None
    return math.ceil(tokens / 30)


def crossover_as_numpy(node, usd_per_million):
    """NumPy numbers, the whole in one expression."""
    with np.errstate(divide="ignore"):
        tokens = (
            np.float64(node["fixed_usd_month"]) / np.float64(usd_per_million - node["own_usd_per_million"]) * 1e6 / 30
        )
    return tokens if 0 < tokens <= node["tokens_per_s"] * node["hours_per_day"] * 3600 else None


def flips_as_a_set(decide, inputs, change):
    """A set, with copies."""
    found, first = set(), decide(dict(inputs))
    for name in inputs:
        for sign in (-1, 1):
            other = inputs.copy()
            other[name] += sign * change * other[name]
            if decide(other) != first:
                found.add(name)
    return found


def flips_backwards(decide, inputs, change):
    """A tuple, in the other order."""
    same = decide(inputs)
    asked = {
        n: {decide(inputs | {n: v * (1 - change)}), decide(inputs | {n: v * (1 + change)})} for n, v in inputs.items()
    }
    return tuple(n for n in reversed(asked) if asked[n] != {same})


OTHERS = [
    ("l01_e1", bill_in_cents), ("l01_e1", bill_by_arrays), ("l01_e2", month_by_counting), ("l01_e2", month_exactly),
    ("l01_e3", crossover_whole), ("l01_e3", crossover_as_numpy), ("l01_e4", flips_as_a_set), ("l01_e4", flips_backwards),
]  # fmt: skip


WRONG = wrong_answers(FOLDER / "01_why_self_host.py")


def _made(wrong):
    space: dict = {}
    exec(wrong.code, space)
    return space[NAMES[exercise_of(wrong.grade_id)]]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", NAMES)
def test_reference_passes_with_full_points(name, seed):
    run_check(name, REFERENCE[name], seed)
    assert [r for r in run_properties(name, REFERENCE[name], seed) if not r.passed] == []
    assert score_properties(name, REFERENCE[name], points=2, seed=seed) == 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("name", "answer"), OTHERS, ids=lambda x: getattr(x, "__name__", x))
def test_right_answers_in_another_style_score_full(name, answer, seed):
    run_check(name, answer, seed)
    assert [r for r in run_properties(name, answer, seed) if not r.passed] == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_scores_less_and_earns_its_message(wrong, seed):
    name, answer, messages = exercise_of(wrong.grade_id), _made(wrong), []
    try:
        run_check(name, answer, seed)
    except CheckFailed as error:
        messages.append(str(error))
    results = run_properties(name, answer, seed)
    assert messages or not all(r.passed for r in results), "it scores as much as a right answer"
    assert any(wrong.says in text for text in [*messages, *(r.message for r in results)]), messages or results


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_fail_the_visible_check_mostly(name):
    """A learner should hear of a mistake in the notebook, not only from the grade."""
    mine, caught = [w for w in WRONG if exercise_of(w.grade_id) == name], 0
    for wrong in mine:
        try:
            run_check(name, _made(wrong))
        except CheckFailed:
            caught += 1
    assert len(mine) >= 8 and len({w.name for w in mine}) == len(mine)
    assert caught >= len(mine) - 2


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "answer", [None, "5 USD", math.nan, True, (math.inf, math.nan), 0, ("a", "b"), [0, 0], {}, object()]
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, lambda *a: answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, lambda *a: answer, points=1) < 1


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16) and len(found.properties) >= 3
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    asked = []

    def record(node, usd_per_million):
        asked.append((tuple(node.values()), usd_per_million))
        return lab.crossover(node, usd_per_million)

    for seed in (1, 1, 2):
        run_check("l01_e3", record, seed)
    assert asked[:3] == asked[3:6] and asked[:3] != asked[6:]
