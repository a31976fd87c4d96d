"""The checks of lesson 04 let right answers through, in any form, and catch every wrong one with its message."""

import math
from collections import Counter
from fractions import Fraction

import pytest

from lessonlib.calc import context
from lessonlib.checks import tokens_and_context as checks
from lessonlib.checks import tokens_and_context_windows as windows
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import tokens_and_context as lab
from lessonlib.paths import course_root

pytestmark = pytest.mark.l04
FOLDER = course_root(__file__) / "solutions" / "04_tokens_and_context"
NAMES = {"l04_e1": "merge_once", "l04_e2": "encode", "l04_e3": "plan", "l04_e4": "newest_that_fit"}


def merge_once(words):
    pair = checks._best(words)
    return pair, lab.merge(words, pair)


def plan(samples, characters, answer, window):
    low, high = windows._bounds(samples, characters)
    return low, high, windows._verdict(low, high, answer, window)


def newest_that_fit(window, fixed, reserve, messages):
    found = context.fit_history(window, fixed, reserve, messages)
    return found.kept, found.headroom


REFERENCE = {"l04_e1": merge_once, "l04_e2": lab.encode, "l04_e3": plan, "l04_e4": newest_that_fit}


# The same in other styles.


def merge_by_text(words):
    """Pieces joined by a mark and replaced as text; lists and a Counter that most_common sorts."""
    counts = Counter()
    for pieces, n in words.items():
        counts.update({pair: n * list(zip(pieces, pieces[1:], strict=False)).count(pair)
                       for pair in set(zip(pieces, pieces[1:], strict=False))})  # fmt: skip
    pair = list(counts.most_common(1)[0][0])
    made = Counter()
    for pieces, n in words.items():
        out = list(pieces)
        i = 0
        while i < len(out) - 1:
            if out[i : i + 2] == pair:
                out[i : i + 2] = ["".join(pair)]
            i += 1
        made[tuple(out)] += float(n)
    return [pair, made]


def merge_recursive(words):
    def joined(pieces, pair):
        if len(pieces) < 2:
            return pieces
        if pieces[:2] == pair:
            return ("".join(pair), *joined(pieces[2:], pair))
        return (pieces[0], *joined(pieces[1:], pair))

    rows = [(pair, n) for pieces, n in words.items() for pair in zip(pieces, pieces[1:], strict=False)]
    pair = max({p for p, _ in rows}, key=lambda p: sum(n for q, n in rows if q == p))
    return pair, {joined(pieces, pair): n for pieces, n in words.items()}


def encode_in_order_of_ranks(word, ranks):
    """Walks once through all merges in the order in which they were learned."""
    pieces = tuple(word)
    for pair in sorted(ranks, key=ranks.get):
        pieces = lab.join_pair(pieces, pair)
    return pieces


def encode_recursive(word, ranks):
    def go(pieces):
        best = min(range(len(pieces) - 1), key=lambda i: ranks.get((pieces[i], pieces[i + 1]), math.inf), default=None)
        if best is None or (pieces[best], pieces[best + 1]) not in ranks:
            return pieces
        return go(pieces[:best] + [pieces[best] + pieces[best + 1]] + pieces[best + 2 :])

    return go(list(word))


def plan_with_fractions(samples, characters, answer, window):
    rates = sorted(Fraction(tokens, size) for size, tokens in samples)
    low, high = math.floor(rates[0] * characters), math.ceil(rates[-1] * characters)
    verdict = "too long" if low > window - answer else "count first" if high > window - answer else "fits"
    return [low, high, verdict]


def plan_in_floats(samples, characters, answer, window):
    least = most = samples[0]
    for sample in samples:
        least = sample if sample[1] / sample[0] < least[1] / least[0] else least
        most = sample if sample[1] / sample[0] > most[1] / most[0] else most
    low = float(characters * least[1] // least[0])
    high = float(-(-characters * most[1] // most[0]))
    return low, high, ("fits" if high + answer <= window else "count first" if low + answer <= window else "too long")


def history_from_the_front(window, fixed, reserve, messages):
    first = 0
    while fixed + reserve + sum(messages[first:]) > window:
        first += 1
    return list(range(first, len(messages))), window - fixed - reserve - sum(messages[first:])


def history_by_sums(window, fixed, reserve, messages):
    room = window - fixed - reserve
    kept = tuple(i for i in range(len(messages)) if sum(messages[i:]) <= room)
    return kept, float(room - sum(messages[i] for i in kept))


OTHER_STYLES = {
    "l04_e1": (merge_by_text, merge_recursive), "l04_e2": (encode_in_order_of_ranks, encode_recursive),
    "l04_e3": (plan_with_fractions, plan_in_floats), "l04_e4": (history_from_the_front, history_by_sums),
}  # fmt: skip


WRONG = wrong_answers(FOLDER / "04_tokens_and_context.py")


def _answer(wrong):
    space = {}
    exec(wrong.code, space)
    return space[NAMES[exercise_of(wrong.grade_id)]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_reference_passes_with_full_points(name, seed):
    run_check(name, REFERENCE[name], seed)
    assert [r for r in run_properties(name, REFERENCE[name], seed) if not r.passed] == []
    assert score_properties(name, REFERENCE[name], points=2, seed=seed) == 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "answer"), [(n, a) for n, answers in OTHER_STYLES.items() for a in answers])
def test_other_right_styles_score_full(name, answer, seed):
    run_check(name, answer, seed)
    assert score_properties(name, answer, points=2, seed=seed) == 2


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_scores_less_and_earns_its_message(wrong, seed):
    name, answer, messages = exercise_of(wrong.grade_id), _answer(wrong), []
    try:
        run_check(name, answer, seed)
    except CheckFailed as error:
        messages.append(str(error))
    results = run_properties(name, answer, seed)
    assert messages, "a learner must hear of it in the notebook"
    assert not all(r.passed for r in results), "it scores as much as a right answer"
    assert any(wrong.says in text for text in [*messages, *(r.message for r in results)]), messages or results


def test_each_exercise_has_six_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 6 and len(set(mine)) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("l04_e1", lambda w: None),
        ("l04_e1", lambda w: ("ab", {})),
        ("l04_e1", lambda w: (1, 2)),
        ("l04_e1", lambda w: (checks._best(w), {"".join(k): v for k, v in w.items()})),
        ("l04_e2", lambda *a: None),
        ("l04_e2", lambda w, r: [w]),
        ("l04_e2", lambda w, r: [*w, ""]),
        ("l04_e2", lambda w, r: list(w)[::-1]),
        ("l04_e3", lambda *a: None),
        ("l04_e3", lambda *a: (math.nan, math.inf, "fits")),
        ("l04_e3", lambda *a: ("1", 2, "fits")),
        ("l04_e3", lambda *a: (True, True, True)),
        ("l04_e4", lambda *a: None),
        ("l04_e4", lambda *a: ([], 0)),
        ("l04_e4", lambda *a: (["a"], "b")),
        ("l04_e4", lambda *a: (range(99), 3)),
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

        def __hash__(self):
            return 0

    for name in NAMES:
        with pytest.raises(CheckFailed):
            run_check(name, lambda *a: Equal())
        assert score_properties(name, lambda *a: Equal(), points=2) == 0


def test_a_changed_input_is_noticed():
    def merge_in_place(words):
        pair, merged = merge_once(words)
        words.clear()
        words.update(merged)
        return pair, words

    assert score_properties("l04_e1", merge_in_place, points=1) < 1


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    asked = []

    def record(samples, characters, answer, window):
        asked.append((tuple(samples), characters, answer, window))
        return plan(samples, characters, answer, window)

    for seed in (1, 1, 2):
        run_check("l04_e3", record, seed)
    assert asked[:4] == asked[4:8] != asked[8:]


@pytest.mark.parametrize("seed", range(4))
def test_jobs_have_the_verdict_they_are_made_for(seed):
    import random

    rng = random.Random(seed)
    for verdict in (*windows.VERDICTS, "edge"):
        samples, characters, answer, window = windows._job(rng, verdict)
        got = plan(samples, characters, answer, window)
        assert got[2] == ("fits" if verdict == "edge" else verdict) and got[0] < got[1]
        assert plan_with_fractions(samples, characters, answer, window) == list(got)
