"""The capstone task model_selection: choices of any form, five submissions of falling quality, and its made-up fields."""

from dataclasses import dataclass

import numpy as np
import pytest

from lessonlib.checks import model_selection as checks
from lessonlib.checks import model_selection_cases as cases
from lessonlib.checks import model_selection_choice as choice
from lessonlib.checks.core import CheckFailed, run_check, run_properties, score_properties
from lessonlib.labs import model_selection as lab

pytestmark = pytest.mark.l16
NAMES = {"l16_sel_e1": "memory_bytes", "l16_sel_e2": "latency_s", "l16_sel_e3": "broken", "l16_sel_e4": "choose"}


@pytest.mark.parametrize("junk", [None, 0, 1.5, "memory", [], True, float("nan"), float("inf"), -1.0, {}, (1, 2, 3, 4)])
@pytest.mark.parametrize("name", NAMES)
def test_constants_earn_nothing(name, junk):
    with pytest.raises(CheckFailed):
        run_check(name, lambda *a, **k: junk)
    assert score_properties(name, lambda *a, **k: junk, points=3) == 0
    assert checks.score_utility(lambda *a, **k: junk, points=4, count=2) == 0


# A choice may have any form that holds the four things


@dataclass
class MyChoice:
    reasons: dict
    context: float
    precision: str
    model: str


def own_class(scenario, catalog):
    got = lab.choose(scenario, catalog)
    reasons = {name: tuple(why) for name, why in got.reasons.items()}
    return MyChoice(reasons, got.context and float(got.context), got.precision, got.model)


def as_dict(scenario, catalog):
    got = lab.choose(scenario, catalog)
    whole = {m["name"]: set(got.reasons.get(m["name"], ())) for m in catalog}  # an empty one for those that can be used
    context = got.context and np.int64(got.context)
    return {"model": got.model, "precision": got.precision, "context": context, "reasons": whole}


def second_best(scenario, catalog):
    """Not the best, but within the margin."""
    found = lab.options(scenario, catalog)
    good = [o for o in found if o[0] >= lab.MARGIN * found[0][0]]
    return lab.Choice(*(good[-1][1:] if good else (None, None, None)), lab.rejected(scenario, catalog))


@pytest.mark.parametrize("answer", [lab.choose, own_class, as_dict, second_best])
def test_any_form_of_a_good_choice_scores_full(answer, capsys):
    for seed in range(2):
        run_check("l16_sel_e4", answer, seed)
        assert score_properties("l16_sel_e4", answer, points=3, seed=seed) == 3, capsys.readouterr().out
        assert checks.score_utility(answer, points=4, seed=seed) == 4, capsys.readouterr().out


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


def test_hidden_messages_do_not_hide_each_other():
    results = run_properties("l16_sel_e4", worst_that_fits)
    assert [r.passed for r in results] == [True, False, True, False, False], results
