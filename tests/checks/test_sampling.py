"""The checks of lesson 06 let right answers through, in any form, and catch every wrong one with its message."""

import math

import numpy as np
import pytest
import torch

from lessonlib.checks import sampling_cases as cases
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import sampling as lab
from lessonlib.paths import course_root

pytestmark = pytest.mark.l06
FOLDER = course_root(__file__) / "solutions" / "06_sampling"
NAMES = {
    "l06_e1": "probabilities", "l06_e2": "top_p", "l06_e3": "repetition_penalty", "l06_e4": "allowed_tokens",
}  # fmt: skip
WRONG = wrong_answers(FOLDER / "06_sampling.py")


def heat_torch(logits, temperature):
    return lab.temperature(logits, temperature).softmax(-1)


def heat_plain(logits, temperature):
    numbers = logits.tolist()
    most = max(numbers)
    if temperature == 0:
        return [float(i == numbers.index(most)) for i in range(len(numbers))]
    powers = [math.exp((x - most) / temperature) for x in numbers]
    return [x / sum(powers) for x in powers]


def heat_numpy(logits, temperature):
    x = logits.numpy().astype(np.float64)
    if temperature == 0:
        return np.eye(len(x))[x.argmax()]
    e = np.exp((x - x.max()) / temperature)
    return e / e.sum()


def nucleus_torch(logits, p):
    return lab.top_p(logits[None], p)[0]


def nucleus_loop(logits, p):
    q, total, kept = logits.softmax(-1).tolist(), 0.0, []
    for i in sorted(range(len(q)), key=lambda i: -q[i]):
        if kept and total >= p:
            break
        kept.append(i)
        total += q[i]
    return [x if i in kept else float("-inf") for i, x in enumerate(logits.tolist())]


def penalty_torch(logits, seen, penalty):
    return lab.repetition_penalty(logits[None], torch.tensor([seen]), penalty)[0] if seen else logits


def penalty_numpy(logits, seen, penalty):
    x = logits.numpy().copy()
    at = np.unique(np.array(seen, dtype=int))
    x[at] = np.where(x[at] < 0, x[at] * penalty, x[at] / penalty)
    return x


def allowed_set(tokens, end, choices, written):
    fits = {i for i, t in enumerate(tokens) if t and any(c[: len(written + t)] == written + t for c in choices)}
    return fits | ({end} if written in choices else set())


RIGHT = [
    ("l06_e1", heat_torch), ("l06_e1", heat_plain), ("l06_e1", heat_numpy), ("l06_e2", nucleus_torch),
    ("l06_e2", nucleus_loop), ("l06_e3", penalty_torch), ("l06_e3", penalty_numpy), ("l06_e4", cases.allowed_tokens),
    ("l06_e4", allowed_set),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "answer"), RIGHT, ids=lambda x: getattr(x, "__name__", x))
def test_right_answers_of_any_style_pass_with_full_points(name, answer, seed):
    run_check(name, answer, seed)
    assert [r for r in run_properties(name, answer, seed) if not r.passed] == []
    assert score_properties(name, answer, points=2, seed=seed) == 2


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_hears_its_message_at_once(wrong, seed):
    """In the visible check, whatever the inputs; and it scores less."""
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    with pytest.raises(CheckFailed) as caught:
        run_check(name, space[NAMES[name]], seed)
    assert wrong.says in str(caught.value)


def test_each_exercise_has_five_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w for w in WRONG if exercise_of(w.grade_id) == name]
        assert len({w.name for w in mine}) == len({w.says for w in mine}) == len(mine) >= 5


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
        ("l06_e1", lambda *a: None),
        ("l06_e1", lambda *a: "0.5"),
        ("l06_e1", lambda logits, t: torch.ones(3, 3)),
        ("l06_e2", lambda logits, p: logits[:2]),
        ("l06_e2", lambda logits, p: logits),
        ("l06_e2", lambda logits, p: torch.full_like(logits, math.nan)),
        ("l06_e3", lambda *a: []),
        ("l06_e3", lambda logits, seen, p: logits),
        ("l06_e4", lambda *a: None),
        ("l06_e4", lambda *a: ["red"]),
        ("l06_e4", lambda *a: []),
        ("l06_e4", lambda tokens, *a: list(range(len(tokens)))),
    ],
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, answer, points=1) < 1


def test_changed_arguments_are_noticed():
    def penalty(logits, seen, value):
        seen.sort()
        return penalty_torch(logits, seen, value)

    def allowed(tokens, end, choices, written):
        tokens.append("x")
        return cases.allowed_tokens(tokens[:-1], end, choices, written)

    for name, answer in (("l06_e3", penalty), ("l06_e4", allowed)):
        with pytest.raises(CheckFailed, match="changed"):
            run_check(name, answer)


def test_a_safe_p_is_far_from_every_sum():
    import random

    rng = random.Random(3)
    for _ in range(50):
        row = cases.logits(rng, rng.randint(3, 60))
        p = cases.safe_p(row, rng.uniform(0.1, 0.95))
        sums = row.double().softmax(-1).sort(descending=True).values.cumsum(-1)
        assert 0 < p < 1 and (sums - p).abs().min() > 1e-4


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)
