"""The capstone task model_selection: its own solution cells score full, right answers in any form too, wrong ones do not."""

from collections import namedtuple
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from lessonlib.checks import model_selection as checks
from lessonlib.checks import model_selection_cases as cases
from lessonlib.checks import model_selection_choice as choice
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.course.source import read_source
from lessonlib.labs import choosing_a_model as choosing
from lessonlib.labs import model_selection as lab
from lessonlib.paths import course_root

pytestmark = pytest.mark.l16
ROOT = course_root(__file__)
PAGE = ROOT / "solutions" / "16_capstone" / "model_selection.py"
NAMES = {"l16_sel_e1": "memory_bytes", "l16_sel_e2": "latency_s", "l16_sel_e3": "broken", "l16_sel_e4": "choose"}
WRONG = wrong_answers(PAGE)


def solution() -> dict:
    """The functions of the page's own solution cells, in one namespace."""
    space = {"hints": lambda name: None, "lab": lab, "decide": choosing.decide}
    for cell in read_source(PAGE, ROOT).cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            exec(cell.source, space)
    return space


def answer_of(wrong):
    space = solution()
    exec(wrong.code, space)
    return space[NAMES[exercise_of(wrong.grade_id)]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_solution_scores_full(name, seed, capsys):
    answer = solution()[NAMES[name]]
    run_check(name, answer, seed)
    assert score_properties(name, answer, points=3, seed=seed) == 3, capsys.readouterr().out


@pytest.mark.parametrize("seed", range(5))
def test_solution_earns_the_utility_points(seed, capsys):
    assert checks.score_utility(solution()["choose"], points=4, seed=seed) == 4, capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_scores_nothing(name, capsys):
    def gap(*args, **kwargs):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=3) == 0
    assert checks.score_utility(gap, points=4) == 0 and "not written yet" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_scores_less_and_earns_its_message_in_the_notebook(wrong):
    with pytest.raises(CheckFailed) as failed:
        run_check(exercise_of(wrong.grade_id), answer_of(wrong))
    assert wrong.says in str(failed.value)


def test_each_exercise_has_five_wrong_answers_and_three_hints():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)
        assert len(exercise(name).hints) == 3 and len(exercise(name).properties) >= 3


@pytest.mark.parametrize("junk", [None, 0, 1.5, "memory", [], True, float("nan"), float("inf"), -1.0, {}, (1, 2, 3, 4)])
@pytest.mark.parametrize("name", NAMES)
def test_constants_earn_nothing(name, junk):
    with pytest.raises(CheckFailed):
        run_check(name, lambda *a, **k: junk)
    assert score_properties(name, lambda *a, **k: junk, points=3) == 0
    assert checks.score_utility(lambda *a, **k: junk, points=4, count=2) == 0


# Right answers in other words


def numpy_memory(model, precision, users, context, cards):
    held = np.array([context, min(context, model["window_tokens"]), 1], dtype=np.int64)
    one = held @ np.array(
        [model["cache_bytes_per_token"], model["window_bytes_per_token"], model["state_bytes"]], dtype=np.int64
    )
    return np.int64(model["files"][precision]["bytes"]) + users * one + 15 * 10**8 * cards


def counted_memory(model, precision, users, context, cards):
    total = float(model["files"][precision]["bytes"])
    for _ in range(users):
        total += model["cache_bytes_per_token"] * context + model["state_bytes"]
        total += model["window_bytes_per_token"] * (
            context if context < model["window_tokens"] else model["window_tokens"]
        )
    return total + sum(1.5e9 for _ in range(cards))


def exact_latency(model, precision, scenario):
    prompt, users, file = scenario["prompt_tokens"], scenario["users"], model["files"][precision]
    reading = Fraction(model["flops_per_token"] * prompt) + Fraction(model["flops_per_pair"] * prompt**2, 2)
    end = lab.need(model, scenario)
    unread = Fraction(file["expert_bytes"]) * Fraction(model["idle_share"]) ** users
    moved = file["bytes"] - unread + users * lab.cache_bytes(model, end)
    return reading / Fraction(scenario["flops_per_s"]) + (end - prompt) * moved / Fraction(scenario["bytes_per_s"])


def slow_latency(model, precision, scenario):
    seconds = np.float64(lab.first_token_s(model, scenario))
    for _ in range(model["thinking_tokens"] + scenario["answer_tokens"]):
        seconds += lab.step_bytes(model, precision, scenario) / scenario["bytes_per_s"]
    return seconds


def early_broken(model, precision, context, scenario):
    found = set()
    room = scenario["cards"] * scenario["vram_gib"] * 1024**3
    if lab.memory_bytes(model, precision, scenario["users"], context, scenario["cards"]) > room:
        found.add("memory")
    if not lab.need(model, scenario) <= context <= model["native_context"]:
        found |= {"context"}
    word, duties = choosing.decide(model["licence"], scenario["use"])
    if word != "yes" or set(duties) & set(scenario["refuses"]):
        found.add("licence")
    try:
        if model["scores"][scenario["benchmark"]] < scenario["at_least"]:
            found.add("evidence")
    except KeyError:
        found.add("evidence")
    if scenario["seconds"] - lab.latency_s(model, precision, scenario) < 0:
        found.add("latency")
    return found


def tuple_broken(model, precision, context, scenario):
    return tuple(reversed(lab.broken(model, precision, context, scenario)))


@dataclass
class MyChoice:
    reasons: dict
    context: float
    precision: str
    model: str


def own_class(scenario, catalog):
    got = lab.choose(scenario, catalog)
    return MyChoice(
        {k: tuple(v) for k, v in got.reasons.items()}, got.context and float(got.context), got.precision, got.model
    )


def as_dict(scenario, catalog):
    got = lab.choose(scenario, catalog)
    reasons = {
        m["name"]: set(got.reasons.get(m["name"], ())) for m in catalog
    }  # an empty one for those that can be used
    return {
        "model": got.model,
        "precision": got.precision,
        "context": got.context and np.int64(got.context),
        "reasons": reasons,
    }


def as_tuple(scenario, catalog):
    Answer = namedtuple("Answer", "model precision context reasons")
    return Answer(*(getattr(lab.choose(scenario, catalog), n) for n in ("model", "precision", "context", "reasons")))


def second_best(scenario, catalog):
    """Not the best, but within the margin."""
    found = lab.options(scenario, catalog)
    good = [o for o in found if o[0] >= lab.MARGIN * found[0][0]]
    return lab.Choice(*(good[-1][1:] if good else (None, None, None)), lab.rejected(scenario, catalog))


def fine_grid(scenario, catalog):
    """Contexts in steps of a sixteenth, a filter first, then a loop with its own best."""
    best, top = (None, None, None), -1
    for m in catalog:
        tokens = lab.need(m, scenario)
        for precision in m["files"]:
            for context in range(tokens, 2 * tokens + 1, max(1, tokens // 16)):
                if not lab.broken(m, precision, context, scenario):
                    value = lab.utility(m, precision, context, scenario)
                    if value > top:
                        best, top = (m["name"], precision, context), value
    return lab.Choice(*best, lab.rejected(scenario, catalog))


@pytest.mark.parametrize(
    "name, answer",
    [
        ("l16_sel_e1", numpy_memory), ("l16_sel_e1", counted_memory), ("l16_sel_e1", lab.memory_bytes),
        ("l16_sel_e2", exact_latency), ("l16_sel_e2", slow_latency), ("l16_sel_e2", lab.latency_s),
        ("l16_sel_e3", early_broken), ("l16_sel_e3", tuple_broken), ("l16_sel_e3", lab.broken),
        ("l16_sel_e4", own_class), ("l16_sel_e4", as_dict), ("l16_sel_e4", as_tuple), ("l16_sel_e4", second_best),
        ("l16_sel_e4", fine_grid), ("l16_sel_e4", lab.choose),
    ],
)  # fmt: skip
def test_other_right_answers_score_full(name, answer, capsys):
    run_check(name, answer)
    assert score_properties(name, answer, points=3) == 3, capsys.readouterr().out
    if name == "l16_sel_e4":
        assert checks.score_utility(answer, points=4) == 4


# Five submissions of falling quality


def careful(scenario, catalog):
    return lab.choose(scenario, catalog)


def no_room(scenario, catalog):
    """Right but for the room: always the context that is needed."""
    found = [
        o
        for o in lab.options(scenario, catalog)
        if o[3] == lab.need(next(m for m in catalog if m["name"] == o[1]), scenario)
    ]
    return lab.Choice(*(found[0][1:] if found else (None, None, None)), lab.rejected(scenario, catalog))


def worst_that_fits(scenario, catalog):
    """Constraints kept, utility not looked at, first reason only."""
    found = lab.options(scenario, catalog)
    reasons = {name: names[:1] for name, names in lab.rejected(scenario, catalog).items()}
    return lab.Choice(*(found[-1][1:] if found else (None, None, None)), reasons)


def gives_up(scenario, catalog):
    """The right reasons, and never a choice."""
    return lab.Choice(None, None, None, lab.rejected(scenario, catalog))


def nonsense(scenario, catalog):
    return "gpt-4"


def graded(answer) -> float:
    """Points for exercise 4 of 11: the visible check, the hard part, the soft part."""
    try:
        run_check("l16_sel_e4", answer)
        visible = 2
    except CheckFailed:
        visible = 0
    return visible + score_properties("l16_sel_e4", answer, points=5) + checks.score_utility(answer, points=4)


def test_five_submissions_score_in_order_with_sensible_messages(capsys):
    scores = [graded(answer) for answer in (careful, no_room, worst_that_fits, gives_up, nonsense)]
    assert scores[0] == 11 and scores[-1] == 0
    assert all(a > b for a, b in zip(scores, scores[1:], strict=False)), scores
    assert 7 < scores[1] < 9 and 4 < scores[2] < 7 and 0 < scores[3] < 3, scores
    said = capsys.readouterr().out
    for words in ("room counts", "can be had", "name every constraint", "nothing was chosen, but", "Return a Choice"):
        assert words in said, said


# The parts


def test_small_fields_have_one_model_for_each_rule():
    scene, models = cases.duels()[1]
    names = [name for name, _ in choice.slips(scene, models)]
    assert len(set(names)) == 5 and lab.options(scene, models)[0][1] not in names


def test_hopeless_models_break_one_constraint_each():
    scene, models = cases.hopeless()
    assert sorted(names for names in lab.rejected(scene, models).values()) == sorted([name] for name in lab.CONSTRAINTS)


@pytest.mark.parametrize("seed", range(6))
def test_one_model_is_left_at_its_limits(seed):
    import random

    scene, models = cases.one_left(random.Random(seed))
    assert {o[1] for o in lab.options(scene, models)} == {"oak"}
    assert set(lab.rejected(scene, models)) == {"ash", "birch", "cedar", "elm", "fir"}


def test_a_choice_that_cannot_be_read_is_a_failed_check():
    for got in (None, "oak", ("oak", "4-bit"), {"model": "oak"}, 3):
        with pytest.raises(CheckFailed, match="Return a Choice"):
            choice.read(got)
    with pytest.raises(CheckFailed, match="must be a dict"):
        choice.read(("oak", "4-bit", 4096, ["memory"]))
    with pytest.raises(CheckFailed, match="reasons against oak"):
        choice.read((None, None, None, {"oak": ["too big"]}))
    assert choice.read(("oak", "4-bit", 4096.0, {"fir": "memory"})) == ("oak", "4-bit", 4096, {"fir": {"memory"}})


@pytest.mark.parametrize("name", NAMES)
def test_checks_are_fast(name):
    """Under 100 ms on a quiet machine (benchmarks measure it); here with room for a busy one."""
    import time

    answer = solution()[NAMES[name]]
    run_check(name, answer)
    start = time.process_time()
    run_check(name, answer, 1)
    assert time.process_time() - start < 0.3


def test_hidden_messages_do_not_hide_each_other():
    results = run_properties("l16_sel_e4", worst_that_fits)
    assert [r.passed for r in results] == [True, False, True, False, False], results
