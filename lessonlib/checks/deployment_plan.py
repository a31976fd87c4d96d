"""Checks of the capstone task deployment_plan: seconds of a switch, memory at each moment, calls, and the plan itself.

Calls and plans are executed on the state machine of `lessonlib.serving`, which needs no socket; the rules and the references
stand in `lessonlib.labs.deployment_plan`. `score_plan` gives the points of the plan, with partial credit for each day."""

from __future__ import annotations

import contextlib
import io
import random
import warnings

from ..labs import deployment_plan as lab
from ..serving import day_cases
from . import deployment_plan_cases as cases
from .core import CheckFailed, check_for, exercise, expect_all, property_of

WAYS = [(to, back) for to in cases.ASLEEP for back in cases.ASLEEP]
FULL = 99.9  # points of 100 that count as all: the rest is rounding


@check_for(
    "l16_plan_e1",
    title="Seconds of a switch",
    minutes=8,
    hints=[
        "Two halves: what the leaving engine's new state costs, and what the coming engine's old state costs.",
        "Weights cross the link when an engine falls to level 1, and whenever an engine comes. Storage is read unless the "
        "weights lie in RAM. Every GPU has a link of its own; there is one storage.",
        "down = stop_s, weights / (link x GPUs) or 0 for cold, level 1, level 2. up = weights / (link x GPUs), plus "
        "weights / storage unless level 1, plus process_start_s + warm_up_s for cold and wake_s for the others.",
    ],
)
def check_seconds(answer, rng):
    """All nine ways on the task's server, then other servers."""
    engines = cases.day_engines()
    asked = [(lab.server(), engines["coding"], to, engines["documents"], back) for to, back in WAYS]
    expect_all([cases.seconds_row(answer, *a) for a in [*asked, *(cases.random_switch(rng) for _ in range(12))]])


@property_of("l16_plan_e1", "any engines on any server, all nine ways")
def seconds_any(answer, rng):
    """Random sizes, GPUs, speeds and times."""
    rows = []
    for _ in range(3):
        server, leaves, _, comes, _ = cases.random_switch(rng)
        rows += [cases.seconds_row(answer, server, leaves, to, comes, back) for to, back in WAYS]
    expect_all(rows)


@property_of("l16_plan_e1", "more GPUs shorten the copies and nothing else")
def seconds_by_gpus(answer, rng):
    """The same switches on 1, 2 and 4 GPUs."""
    server, leaves, _, comes, _ = cases.random_switch(rng)
    rows = []
    for count in (1, 2, 4):
        leaves, comes = ({**one, "gpus": list(range(count))} for one in (leaves, comes))
        rows += [cases.seconds_row(answer, server, leaves, to, comes, back) for to, back in WAYS]
    expect_all(rows)


@property_of("l16_plan_e1", "level 1 at both ends needs neither storage nor a process start")
def seconds_level_1(answer, rng):
    """Other storages and start times change nothing; the link and the wake-up do."""
    server, leaves, _, comes, _ = cases.random_switch(rng)
    slow = {"storage_gbs": 0.1, "process_start_s": 900.0, "warm_up_s": 700.0, "stop_s": 500.0}
    changed = [{**server, **change} for change in ({}, slow, {"wake_s": 3.0}, {"link_gbs": 8})]
    expect_all([cases.seconds_row(answer, s, leaves, "level 1", comes, "level 1") for s in changed])


@check_for(
    "l16_plan_e2",
    title="The first moment that does not fit",
    minutes=12,
    hints=[
        "For each moment add up what each GPU holds and what RAM holds, engine by engine, state by state.",
        "Awake: weights / tp + cache / min(tp, kv_heads) + overhead_gb on each of its GPUs. Asleep: asleep_gb there. Level 1: "
        "all weights in RAM. Cold: nothing.",
        "for number, states in enumerate(moments): fill a list of GB for the GPUs and a sum for RAM; compare GB * 1e9 with GiB "
        '* 2**30, GPUs first; return (number, f"GPU {card}") or (number, "RAM") at once, None after the loop.',
    ],
)
def check_breaks(answer, rng):
    """A day that fits, both models awake, too much asleep in RAM, then a case on each side of every slip."""
    asked = [*cases.plain_moments(), *cases.telling_edges(rng)]
    expect_all([cases.break_row(answer, *a) for a in asked])


@property_of("l16_plan_e2", "cards and RAM that are just large enough, and just too small")
def breaks_edge(answer, rng):
    """Twice on both sides of every slip."""
    expect_all([cases.break_row(answer, *cases.edge(rng, slip)) for slip in [*cases.SLIPS, *cases.SLIPS]])


@property_of("l16_plan_e2", "random engines, servers and moments")
def breaks_any(answer, rng):
    """Thirty of them, some of which break late."""
    expect_all([cases.break_row(answer, *cases.random_moments(rng)) for _ in range(30)])


@property_of("l16_plan_e2", "a moment fits when it fills card and RAM to the byte")
def breaks_exact(answer, rng):
    """Exactly full, and one byte more."""
    asked = [cases.exact(rng, where, over) for over in (False, True) for where in ("GPU", "RAM")]
    expect_all([cases.break_row(answer, *a) for a in asked])


@check_for(
    "l16_plan_e3",
    title="The calls of a switch",
    minutes=12,
    hints=[
        "First the leaving engine goes down, so that there is room; then the coming one comes up.",
        "POST /sleep?level=1&mode=wait finishes running answers. From level 1 one POST /wake_up is enough; level 2 has to get "
        "its weights from storage again: wake the weights, reload them, wake the cache.",
        '(name, "POST", "/wake_up?tags=weights", None), (name, "POST", "/collective_rpc", {"method": "reload_weights"}), (name, '
        '"POST", "/wake_up?tags=kv_cache", None) for level 2; (name, "stop") and (name, "start") for cold.',
    ],
)
def check_calls(answer, rng):
    """All nine ways on the task's server, where the two engines never fit together, with an answer that still runs."""
    for there, back in WAYS:
        cases.compare_calls(answer, rng, there, back)


@property_of("l16_plan_e3", "from every state to every state, with other names")
def calls_any(answer, rng):
    """Nine ways."""
    for there, back in WAYS:
        cases.compare_calls(answer, rng, there, back, names=cases.random_names(rng), running=False)


@property_of("l16_plan_e3", "running answers are finished, none is cut off")
def calls_wait(answer, rng):
    """To both levels, with several answers running."""
    for there, back in WAYS:
        if there != "cold":
            cases.compare_calls(answer, rng, there, back, names=cases.random_names(rng))


@property_of("l16_plan_e3", "there and back again, twice")
def calls_round(answer, rng):
    """Four switches, one after the other, end where they began."""
    for one, other in (("level 1", "level 2"), ("level 2", "level 1"), ("level 1", "level 1"), ("cold", "level 2")):
        cases.compare_round_trip(answer, rng, one, other)


@check_for(
    "l16_plan_e4",
    title="The plan",
    minutes=30,
    hints=[
        "Engines first: for each workload the first wish that fits while the others sleep on the same GPUs. first_break tells.",
        "Then levels: level 1 for all, and level 2 for one after the other until RAM holds the rest at the moment when all are "
        "asleep. Then switches at each slot's end, from switch_calls and switch_seconds.",
        "Morning: start the later engines one by one and put each to sleep, start the first one last. urgent[a][b] is "
        '{"there": switch_calls(a, levels[a], b, levels[b]), "back": the reverse}; restart[name] is [(name, "start")].',
    ],
)
def check_plan(answer, rng):
    """The day on the task's server and its five variants, then a day whose contexts not every model can read."""
    for case in day_cases.named(rng.randrange(10**6)):
        _judge(answer, case)
    _judge(answer, day_cases.long_contexts(rng))


def _day(number: int):
    return lambda rng: day_cases.named(rng.randrange(10**6))[number]


# The days of the hidden tests: what they are called, how they are made.
DAYS = {
    "the day on the dual 32 GiB server": _day(0),
    "one 24 GiB card": _day(1),
    "48 GiB of RAM": _day(2),
    "an urgent request in mid-slot": _day(3),
    "a conversation at the end of a slot": _day(4),
    "a process that died in its sleep": _day(5),
    "a server and workloads drawn afresh": day_cases.fresh,
    "contexts longer than some windows": day_cases.long_contexts,
    "cards that are just large enough": lambda rng: day_cases.tight(rng, +0.2),
    "cards that are just too small": lambda rng: day_cases.tight(rng, -0.2),
    "an urgent request on a server drawn afresh": lambda rng: day_cases.fresh(rng, "urgent"),
    "a conversation on a server drawn afresh": lambda rng: day_cases.fresh(rng, "conversation"),
}


def _register(name: str, make) -> None:
    property_of("l16_plan_e4", name)(lambda answer, rng: _judge(answer, make(rng)))


for _name, _make in DAYS.items():
    _register(_name, _make)


def score_plan(answer, points: float, seed: int = 0) -> float:
    """Points for a plan: each hidden day counts alike, and gives the share of 100 that the plan earns on it. Prints what was
    lost. Made to be the last expression of an nbgrader test cell."""
    total = 0.0
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(record=True):
        for name, _ in exercise("l16_plan_e4").properties:
            case = DAYS[name](random.Random(f"l16_plan_e4/{name}/{seed}"))
            try:
                score = _score(answer, case)
            except NotImplementedError:
                print(f"l16_plan_e4: {name}: not written yet")
                continue
            except (Exception, SystemExit) as error:
                text = str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"
                print(f"l16_plan_e4: {name}: {text.removeprefix(f'{case.name}: ')}")
                continue
            earned = 100.0 if score.points >= FULL else score.points
            total += earned / 100
            if earned < 100:
                print(f"l16_plan_e4: {name}: {earned:.0f} of 100 points. " + ". ".join(score.losses))
    return round(points * total / len(DAYS), 4)


def _score(answer, case):
    plan = answer(*case.inputs())
    try:
        return case.score(plan)
    except ValueError as error:
        raise CheckFailed(f"{case.name}: this plan cannot be executed.", reason=str(error)) from None
    except (TypeError, KeyError, AttributeError, IndexError) as error:
        about = f"a part of it has another form than the page says ({type(error).__name__}: {error})"
        raise CheckFailed(f"{case.name}: this plan cannot be executed.", reason=about) from None


def _judge(answer, case) -> None:
    score = _score(answer, case)
    if score.points < FULL:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in score.shares.items())
        raise CheckFailed(
            f"{case.name}: {score.points:.0f} of 100 points ({shares}).", reason="; ".join(score.losses) or None
        )
