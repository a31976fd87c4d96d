"""The checks of lesson 02 let right answers through, in any form, and catch every wrong one with its message."""

import math

import numpy
import pytest
import torch

from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.paths import course_root

pytestmark = pytest.mark.l02
FOLDER = course_root(__file__) / "solutions" / "02_what_is_an_llm"
NAMES = {"l02_e1": "top_candidates", "l02_e2": "generate", "l02_e3": "measure", "l02_e4": "learn"}


def top_candidates(logits, count):
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    order = sorted(range(len(logits)), key=lambda i: -logits[i])[:count]
    return [(i, powers[i] / sum(powers)) for i in order]


def candidates_by_torch(logits, count):
    p = torch.tensor(logits).softmax(0)
    return [[i, p[i]] for i in torch.argsort(p, descending=True, stable=True)[:count]]


def candidates_by_numpy(logits, count):
    x = numpy.array(logits)
    p = numpy.exp(x - x.max())
    p /= p.sum()
    return [(i, p[i]) for i in numpy.argsort(-p, kind="stable")[:count]]


def generate(next_logits, ids, new, stop):
    text = list(ids)
    for _ in range(new):
        logits = next_logits(text)
        text.append(max(range(len(logits)), key=lambda i: logits[i]))
        if text[-1] == stop:
            break
    return text[len(ids) :]


def generate_by_recursion(next_logits, ids, new, stop):
    if new == 0:
        return []
    best = int(numpy.argmax(next_logits(ids)))
    return [best] if best == stop else [best, *generate_by_recursion(next_logits, [*ids, best], new - 1, stop)]


def generate_by_torch(next_logits, ids, new, stop):
    made = torch.tensor(ids)
    while len(made) < len(ids) + new and (len(made) == len(ids) or made[-1] != stop):
        made = torch.cat([made, torch.tensor(next_logits(made.tolist())).argmax()[None]])
    return made[len(ids) :]


def measure(logits, ids, size):
    total = 0.0
    for row, right in zip(logits, ids[1:], strict=False):
        top = max(row)
        total += math.log(sum(math.exp(x - top) for x in row)) + top - row[right]
    return total / (len(ids) - 1), total / math.log(2) / size


def measure_by_torch(logits, ids, size):
    rows = torch.tensor(logits)[:-1].log_softmax(-1)
    nats = -rows.gather(1, torch.tensor(ids)[1:, None])
    return [nats.mean(), nats.sum() / math.log(2) / size]


def learn(weights, hidden, right, rate):
    p = (weights @ hidden).softmax(0)
    p[right] -= 1
    return weights - rate * torch.outer(p, hidden)


def learn_by_loop(weights, hidden, right, rate):
    logits = [sum(w * h for w, h in zip(row, hidden.tolist(), strict=True)) for row in weights.tolist()]
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    new = []
    for i, row in enumerate(weights.tolist()):
        slope = powers[i] / sum(powers) - (i == right)
        new.append([w - rate * slope * h for w, h in zip(row, hidden.tolist(), strict=True)])
    return new


def learn_by_autograd(weights, hidden, right, rate):
    mine = weights.clone().requires_grad_()
    torch.nn.functional.cross_entropy((mine @ hidden)[None], torch.tensor([right])).backward()
    return (mine - rate * mine.grad).detach()


REFERENCES = {
    "l02_e1": (top_candidates, candidates_by_torch, candidates_by_numpy),
    "l02_e2": (generate, generate_by_recursion, generate_by_torch),
    "l02_e3": (measure, measure_by_torch),
    "l02_e4": (learn, learn_by_autograd),
}
WRONG = wrong_answers(FOLDER / "02_what_is_an_llm.py")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "answer"), [(name, answer) for name, answers in REFERENCES.items() for answer in answers]
)
def test_right_answers_of_every_style_pass_with_full_points(name, answer, seed):
    run_check(name, answer, seed)
    assert [r for r in run_properties(name, answer, seed) if not r.passed] == []
    assert score_properties(name, answer, points=2, seed=seed) == 2


def test_plain_lists_are_weights_too():
    run_check("l02_e4", learn_by_loop)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
@pytest.mark.parametrize("seed", range(3))
def test_wrong_answer_scores_less_and_earns_its_message(wrong, seed):
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    answer, messages = space[NAMES[name]], []
    try:
        run_check(name, answer, seed)
    except CheckFailed as error:
        messages.append(str(error))
    results = run_properties(name, answer, seed)
    assert messages or not all(r.passed for r in results), "it scores as much as a right answer"
    assert any(wrong.says in text for text in [*messages, *(r.message for r in results)]), messages or results


def test_each_exercise_has_five_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_fail_the_visible_check_mostly(name):
    """A learner should hear of a mistake in the notebook, not only from the grade."""
    mine, caught = [w for w in WRONG if exercise_of(w.grade_id) == name], 0
    for wrong in mine:
        space = {"torch": torch}
        exec(wrong.code, space)
        try:
            run_check(name, space[NAMES[name]])
        except CheckFailed:
            caught += 1
    assert caught >= len(mine) - 2


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
        ("l02_e1", lambda *a: None),
        ("l02_e1", lambda logits, count: [0.5] * count),
        ("l02_e1", lambda logits, count: [("a", "b")] * count),
        ("l02_e2", lambda *a: None),
        ("l02_e2", lambda *a: "cat"),
        ("l02_e2", lambda *a: []),
        ("l02_e3", lambda *a: 1.0),
        ("l02_e3", lambda *a: (math.nan, 1.0)),
        ("l02_e3", lambda *a: ("1", "2")),
        ("l02_e4", lambda *a: None),
        ("l02_e4", lambda weights, *a: weights[0]),
        ("l02_e4", lambda weights, *a: weights * math.nan),
    ],
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, answer, points=1) < 1


def test_the_model_is_asked_with_copies():
    """What a loop does to its list after a question must not change what the check remembers."""

    def shares(next_logits, ids, new, stop):
        text = list(ids)
        for _ in range(new):
            logits = next_logits(text)
            text.append(logits.index(max(logits)))
            if text[-1] == stop:
                break
        return text[len(ids) :]

    run_check("l02_e2", shares)


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    asked = []

    def record(logits, count):
        asked.append(tuple(logits))
        return top_candidates(logits, count)

    for seed in (1, 1, 2):
        run_check("l02_e1", record, seed)
    assert asked[:2] == asked[2:4] and asked[:2] != asked[4:]
