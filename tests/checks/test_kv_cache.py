"""The checks of lesson 05 let right answers through, in any form, and catch every wrong one with its message."""

import math

import pytest
import torch

from lessonlib.calc import memory
from lessonlib.checks import kv_cache as checks
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import kv_cache as lab
from lessonlib.paths import course_root

pytestmark = pytest.mark.l05
FOLDER = course_root(__file__) / "solutions" / "05_kv_cache"
NAMES = {"l05_e1": "append", "l05_e2": "attend", "l05_e3": "cache_bytes", "l05_e4": "longest_context"}


def cache_bytes(shape, tokens, batch, bytes_per_value):
    return 2 * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * tokens * batch * bytes_per_value


def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    room = card_gib * 2**30 - weights_bytes - overhead_bytes
    return max(0, int(room // cache_bytes(shape, 1, batch, bytes_per_value)))


REFERENCE = {"l05_e1": lab.append, "l05_e2": lab.attend, "l05_e3": cache_bytes, "l05_e4": longest_context}


WRONG = wrong_answers(FOLDER / "05_kv_cache.py")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_reference_passes_with_full_points(name, seed):
    run_check(name, REFERENCE[name], seed)
    assert [r for r in run_properties(name, REFERENCE[name], seed) if not r.passed] == []
    assert score_properties(name, REFERENCE[name], points=2, seed=seed) == 2


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


def test_each_exercise_has_five_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_fail_the_visible_check_mostly(name):
    """A learner should hear of a mistake in the notebook, not only from the grade."""
    caught = 0
    mine = [w for w in WRONG if exercise_of(w.grade_id) == name]
    for wrong in mine:
        space = {"torch": torch}
        exec(wrong.code, space)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(checks, "_compare_in_model", lambda *a, **k: None)
            try:
                run_check(name, space[NAMES[name]])
            except CheckFailed:
                caught += 1
    assert caught >= len(mine) - 1


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


def test_another_right_algorithm_passes():
    """A loop over heads and positions, in float64 sums: slow, and just as right."""

    def attend(q, keys, values):
        out = torch.zeros_like(q)
        group, start = q.shape[1] // keys.shape[1], keys.shape[2] - q.shape[2]
        for h in range(q.shape[1]):
            for i in range(q.shape[2]):
                k, v = keys[:, h // group, : start + i + 1].double(), values[:, h // group, : start + i + 1].double()
                weights = (k @ q[:, h, i, :, None].double() / math.sqrt(q.shape[3])).softmax(1)
                out[:, h, i] = (weights * v).sum(1)
        return out

    run_check("l05_e2", attend)
    assert score_properties("l05_e2", attend, points=1) == 1
    run_check("l05_e1", lambda cache, k, v: [k.clone(), v.clone()] if cache is None else list(lab.append(cache, k, v)))


def test_a_mutated_old_cache_is_noticed():
    def append(cache, keys, values):
        grown = lab.append(cache, keys, values)
        if cache is not None:
            cache[0].zero_()
        return grown

    with pytest.raises(CheckFailed, match="changed in place"):
        run_check("l05_e1", append)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("l05_e1", lambda *a: None),
        ("l05_e1", lambda *a: ("keys", "values")),
        ("l05_e2", lambda q, k, v: q.tolist()),
        ("l05_e2", lambda q, k, v: v),
        ("l05_e3", lambda *a: "13.1 GB"),
        ("l05_e3", lambda *a: None),
        ("l05_e3", lambda *a: math.nan),
        ("l05_e4", lambda *a: True),
        ("l05_e4", lambda *a: math.inf),
        ("l05_e4", lambda *a: 0),
    ],
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, answer, points=1) < 1


def test_answers_that_cheat_on_equality_earn_nothing():
    class Equal:
        def __eq__(self, other):
            return True

        def __mul__(self, other):
            return self

    for name in ("l05_e3", "l05_e4"):
        with pytest.raises(CheckFailed):
            run_check(name, lambda *a: Equal())
        assert score_properties(name, lambda *a: Equal(), points=2) == 0


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    asked = []

    def record(shape, tokens, batch, bytes_per_value):
        asked.append((tuple(shape.values()), tokens, batch, bytes_per_value))
        return cache_bytes(shape, tokens, batch, bytes_per_value)

    for seed in (1, 1, 2):
        run_check("l05_e3", record, seed)
    first, again, other = asked[:2], asked[2:4], asked[4:]
    assert first == again and first != other


def test_context_agrees_with_calc():
    case = checks._load(24, checks._awq("qwen2.5-coder-32b"), 1)
    room = memory.card_bytes(24) - case["weights_bytes"] - case["overhead_bytes"]
    want = memory.tokens_that_fit(room, **checks._kept(case["shape"]))
    assert checks._ask_context(longest_context, case) == want > 10_000
