"""Checks of lesson 11, second half: the interval of a difference of scores, and a ranking under hard constraints."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from ..labs import choosing_a_model as lab
from .core import CheckFailed, check_for, expect, property_of

TOLERANCE = 0.005  # percentage points: 1.96 or the exact quantile, either will do
SIZES = (30, 164, 198, 500)


@check_for(
    "l11_e3",
    title="The interval of a difference",
    minutes=8,
    hints=[
        "Start with shares: p = solved / tasks for each model. The middle of the interval is p_a - p_b.",
        "Each share has a standard error of its own, sqrt(p (1 - p) / tasks). Errors of independent runs add as "
        "squares: sqrt(se_a**2 + se_b**2).",
        "The interval reaches 1.96 of these to both sides. Multiply by 100 at the end: the answer is in points.",
    ],
)
def check_difference(answer, rng):
    """Random scores; the mistake is recognised by its numbers."""
    for tasks in (164, 500):
        _compare_difference(answer, *_scores(rng, tasks), tasks)
    _compare_difference(answer, 152, 145, 164)


@property_of("l11_e3", "any size of benchmark, to a hundredth of a point")
def difference_any(answer, rng):
    """Twelve random pairs."""
    for _ in range(12):
        tasks = rng.choice(SIZES)
        _compare_difference(answer, *_scores(rng, tasks), tasks)


@property_of("l11_e3", "exchanging the models turns the interval around")
def difference_turns(answer, rng):
    """(low, high) becomes (-high, -low)."""
    tasks = rng.choice(SIZES)
    a, b = _scores(rng, tasks)
    low, high = _interval(answer(a, b, tasks))
    _near(_interval(answer(b, a, tasks)), (-high, -low), "b - a must be the interval of a - b, turned around.", ())


@property_of("l11_e3", "four times the tasks halve the width")
def difference_narrows(answer, rng):
    """Same shares, more tasks."""
    tasks = rng.choice(SIZES)
    a, b = _scores(rng, tasks)
    (low, high), (low4, high4) = _interval(answer(a, b, tasks)), _interval(answer(4 * a, 4 * b, 4 * tasks))
    if not high > low:
        raise CheckFailed("An interval has a width.", expected="low < high", got=(low, high))
    if abs((high4 - low4) - (high - low) / 2) > TOLERANCE:
        raise CheckFailed("Four times the tasks must halve the width.", expected=(high - low) / 2, got=high4 - low4)


@property_of("l11_e3", "all solved against none")
def difference_at_the_ends(answer, rng):
    """A share of 0 or 1 has a standard error of 0."""
    tasks = rng.choice(SIZES)
    _compare_difference(answer, tasks, 0, tasks)


@check_for(
    "l11_e4",
    title="Rank what is left",
    minutes=10,
    hints=[
        "First throw out what breaks a hard constraint: spare_bytes or spare_tokens below 0, or a licence other than "
        '"yes". No score makes up for that.',
        "Then find the best score among the SURVIVORS. Equally good is everybody whose difference from that best one "
        "has an interval that holds 0: lab.difference(best, solved, tasks) gives (low, high).",
        "Sort the equally good by active_params, fewest first; behind them the others by solved, most first, and by "
        "active_params where they are equal. Return names.",
    ],
)
def check_rank(answer, rng):
    """A small field for each misreading."""
    for field, why in _fields():
        _compare_rank(answer, field, why)
    _compare_rank(answer, _field(rng, 6), None)


@property_of("l11_e4", "random fields, in any order")
def rank_any(answer, rng):
    """Twenty fields."""
    for _ in range(20):
        _compare_rank(answer, _field(rng, rng.randint(2, 9)), None)


@property_of("l11_e4", "a rejected model changes nothing, however good its score")
def rank_ignores_the_rejected(answer, rng):
    """Add one that breaks a constraint."""
    field = _field(rng, 6)
    change = rng.choice([{"spare_bytes": -1}, {"spare_tokens": -1}, {"licence": "no"}, {"licence": "ask"}])
    strong = dict(name="strong", spare_bytes=9, spare_tokens=9, licence="yes", solved=160, tasks=164, active_params=1)
    _compare_rank(
        answer, [*field, strong | change], "a rejected model still has a say: filter first, then look for the best"
    )


@property_of("l11_e4", "the candidates stay as they were")
def rank_leaves_its_input(answer, rng):
    """No sorting in place."""
    field = _field(rng, 5)
    before = [dict(c) for c in field]
    answer(field)
    if field != before:
        raise CheckFailed("The list of candidates was changed.", reason="use sorted(...), which makes a new list")


# Inputs.


def _scores(rng, tasks: int) -> tuple[int, int]:
    """Two numbers of solved tasks, apart from each other and from both ends."""
    a = rng.randrange(tasks // 2, tasks - tasks // 10)
    return a, a - rng.randrange(tasks // 12, tasks // 4)


def _one(name: str, solved: int, active: float, **change) -> dict:
    base = dict(name=name, spare_bytes=10**9, spare_tokens=4_000, licence="yes", solved=solved, tasks=164)
    return base | {"active_params": round(active * 1e9)} | change


def _field(rng, count: int) -> list[dict]:
    solved = rng.sample(range(60, 162), count)
    active = rng.sample(range(2, 80), count)
    names = rng.sample(["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "yew"], count)
    rows = [_one(*row) for row in zip(names, solved, active, strict=True)]
    for row in rows[: count // 3]:
        row |= rng.choice([{"spare_bytes": -1}, {"spare_tokens": -1}, {"licence": "no"}, {"licence": "ask"}])
    rng.shuffle(rows)
    return rows


def _fields():
    """(candidates, likely reason when the order is another)."""
    return [
        (
            [_one("oak", 150, 30), _one("fir", 155, 70), _one("elm", 148, 3)],
            "these scores cannot be told apart from the best one: then the fewest active parameters come first",
        ),
        (
            [_one("oak", 120, 30), _one("fir", 155, 70), _one("elm", 90, 3)],
            "scores that CAN be told apart decide before speed does",
        ),
        (
            [_one("oak", 150, 30), _one("fir", 161, 70, spare_bytes=-1), _one("elm", 147, 3)],
            "a model that breaks a hard constraint is out, and the best is looked for among the survivors",
        ),
        (
            [_one("oak", 150, 30, licence="ask"), _one("fir", 140, 70), _one("elm", 100, 3, spare_tokens=-5)],
            'only a licence of "yes" and a window of 0 or more spare tokens pass',
        ),
        (
            [_one("oak", 150, 30, spare_bytes=0, spare_tokens=0), _one("fir", 120, 70)],
            "0 spare bytes or tokens still fit",
        ),
        (
            [_one("fir", 160, 70), _one("oak", 153, 30), _one("elm", 145, 3), _one("ash", 137, 2)],
            "equally good means: not told apart from the BEST one; neighbour by neighbour the chain would reach anybody",
        ),
        (
            [_one("oak", 130, 30), _one("fir", 155, 70), _one("elm", 120, 3), _one("ash", 130, 8)],
            "behind the equally good, all others follow by score, then by active parameters",
        ),
        ([_one("oak", 150, 30, licence="no")], "when nobody survives, the list is empty"),
    ]  # fmt: skip


# Comparisons.


def _interval(got) -> tuple[float, float]:
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise CheckFailed("Return two numbers: (low, high).", expected="a pair", got=got)
    values = [value.tolist() if hasattr(value, "tolist") else value for value in got]  # NumPy's and torch's numbers
    for value in values:
        number = isinstance(value, int | float | Fraction | Decimal) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise CheckFailed("Return two numbers: (low, high).", expected="finite numbers", got=got)
    return tuple(float(value) for value in values)


def _near(got, want, what: str, mistakes) -> None:
    if all(abs(g - w) <= TOLERANCE for g, w in zip(got, want, strict=True)):
        return

    def looks_like(value):
        return all(abs(g - v) <= TOLERANCE for g, v in zip(got, value, strict=True))

    reason = next((why for value, why in mistakes if looks_like(value)), None)
    shown = [tuple(round(x, 4) for x in pair) for pair in (want, got)]
    raise CheckFailed(what, expected=shown[0], got=shown[1], reason=reason)


def _compare_difference(answer, a: int, b: int, tasks: int) -> None:
    want, got = lab.difference(a, b, tasks), _interval(answer(a, b, tasks))
    lead, one, two = 100 * (a - b) / tasks, *(100 * lab.standard_error(right, tasks) for right in (a, b))
    both, pooled = math.hypot(one, two), (a + b) / (2 * tasks)

    def around(reach, middle=lead):
        return middle - reach, middle + reach

    mistakes = [
        ((want[0] / 100, want[1] / 100), "that is in shares: multiply by 100 for percentage points"),
        (around(1.96 * (one + two)), "the two errors were added: independent errors add as squares"),
        (around(1.96 * abs(one - two)), "the errors were subtracted: a difference is as uncertain as a sum"),
        (around(1.96 * one), "that is the error of one score: both scores are uncertain"),
        (around(1.96 * two), "that is the error of one score: both scores are uncertain"),
        (around(both), "that is one standard error to each side: an interval of 95 % reaches 1.96"),
        (around(1.96 * both**2 / 100), "the square root is missing: that is a variance"),
        (around(1.96 * both * math.sqrt(tasks)), "not divided by the number of tasks"),
        (around(1.96 * both / math.sqrt(tasks)), "divided by the number of tasks outside the root"),
        (around(1.96 * 100 * math.sqrt(2 * pooled * (1 - pooled) / tasks)), "pooled: each score has its own p here"),
        (around(1.96 * both * math.sqrt(tasks / (tasks - 1))), "divided by tasks - 1: the formula here has tasks"),
        (around(1.96 * both, -lead), "that is b - a"),
        ((want[1], want[0]), "low comes first"),
        ((lead, lead), "that is the difference alone. An interval has a width: 1.96 standard errors to each side"),
    ]
    _near(got, want, f"{a} against {b} of {tasks} tasks.", mistakes)


def _compare_rank(answer, field: list[dict], why: str | None) -> None:
    want = lab.rank(field)
    got = answer([dict(c) for c in field])
    got = got.tolist() if hasattr(got, "tolist") else got
    if isinstance(got, tuple):
        got = list(got)
    if not isinstance(got, list) or not all(isinstance(name, str) for name in got):
        raise CheckFailed("Return a list of names.", expected=want, got=got, reason="names, not whole candidates")
    if got and got == want[: len(got)]:
        why = "models are missing at the end: behind the equally good, all others follow by score"
    elif why is None and set(got) != set(want):
        why = "other models pass: check the three hard constraints"
    elif why is None:
        best = max((c for c in field if c["name"] in want), key=lambda c: c["solved"])["solved"]
        near = [c["name"] for c in field if c["name"] in want and lab.difference(best, c["solved"], c["tasks"])[0] <= 0]
        why = f"not told apart from the best score of {best}: {', '.join(sorted(near))}"
    told = ", ".join(f"{c['name']} {c['solved']}/{c['tasks']}, {c['active_params'] / 1e9:g}B active" for c in field)
    expect(got, want, f"The order of: {told}.", mistakes=[(got, why)])
