"""The checks of lesson 03 let right answers through, in any form, and catch every wrong one with its message."""

import math

import numpy as np
import pytest
import torch

from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import attention as lab
from lessonlib.labs import attention_cost as cost
from lessonlib.labs import attention_heads as heads
from lessonlib.paths import course_root

pytestmark = pytest.mark.l03
FOLDER = course_root(__file__) / "solutions" / "03_attention"
NAMES = {"l03_e1": "attention_weights", "l03_e2": "rotate", "l03_e3": "head_scores", "l03_e4": "attention_cost"}
WRONG = wrong_answers(FOLDER / "03_attention.py")


def attention_cost(shape, tokens, bytes_per_value):
    held = cost.score_bytes(shape["heads"], tokens, bytes_per_value)
    return held, cost.attention_flops(shape["layers"], shape["heads"], shape["head_dim"], tokens)


# Other styles, each as right: loops, numpy, float64, lists, complex numbers, plain Python.


def weights_in_loops(q, keys):
    out = torch.zeros(*q.shape[:3], q.shape[2])
    for place in np.ndindex(*q.shape[:3]):
        row = torch.tensor([float(q[place] @ keys[place[0], place[1], s]) for s in range(place[2] + 1)])
        out[(*place, slice(0, place[2] + 1))] = (row / math.sqrt(q.shape[3])).softmax(0)
    return out


def weights_in_numpy(q, keys):
    scores = np.einsum("bhld,bhsd->bhls", q.double().numpy(), keys.double().numpy()) / math.sqrt(q.shape[-1])
    raised = np.exp(scores - scores.max(-1, keepdims=True)) * np.tril(np.ones(scores.shape[-2:]))
    return raised / raised.sum(-1, keepdims=True)


def rotate_complex(x, positions, speeds):
    a, b = x.double().chunk(2, dim=-1)
    angles = torch.outer(positions.double(), speeds.double())
    turned = torch.complex(a, b) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], dim=-1).to(x.dtype)


def rotate_half(x, positions, speeds):
    angles = positions[:, None].float() * torch.cat([speeds, speeds])
    half = x.shape[-1] // 2
    return x * angles.cos() + torch.cat([-x[..., half:], x[..., :half]], dim=-1) * angles.sin()


def scores_in_loops(weights, back):
    return [sum(float(w[i][i - back]) for i in range(back, len(w))) / (len(w) - back) for w in weights]


def scores_by_diagonal(weights, back):
    return weights.diagonal(-back, dim1=1, dim2=2).mean(-1)


def cost_in_lists(shape, tokens, bytes_per_value):
    one = 2 * shape["head_dim"] * tokens * tokens
    return [
        float(shape["heads"] * tokens * tokens * bytes_per_value),
        float(shape["layers"] * shape["heads"] * 2 * one),
    ]


REFERENCE = {
    "l03_e1": (lab.attention_weights, weights_in_loops, weights_in_numpy),
    "l03_e2": (lab.rotate, rotate_complex, rotate_half),
    "l03_e3": (heads.back_score, scores_in_loops, scores_by_diagonal),
    "l03_e4": (attention_cost, cost_in_lists, lambda *a: torch.tensor(cost_in_lists(*a), dtype=torch.float64)),
}
RIGHT = [(name, answer) for name, answers in REFERENCE.items() for answer in answers]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answers_of_any_style_pass_with_full_points(name, answer, seed):
    run_check(name, answer, seed)
    assert [r for r in run_properties(name, answer, seed) if not r.passed] == []
    assert score_properties(name, answer, points=2, seed=seed) == 2


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_fails_the_visible_check_with_its_message(wrong):
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    with pytest.raises(CheckFailed) as caught:
        run_check(name, space[NAMES[name]])
    assert wrong.says in str(caught.value)
    assert score_properties(name, space[NAMES[name]], points=2) < 2


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_no_wrong_answer_earns_the_message_of_another(wrong):
    """Each message is a diagnosis of its own, on several draws of the inputs."""
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    others = {w.says for w in WRONG if w.grade_id == wrong.grade_id and w.name != wrong.name} - {wrong.says}
    for seed in range(4):
        with pytest.raises(CheckFailed) as caught:
            run_check(name, space[NAMES[name]], seed)
        assert wrong.says in str(caught.value) and not any(says in str(caught.value) for says in others)


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


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("l03_e1", lambda *a: None),
        ("l03_e1", lambda q, k: q),
        ("l03_e1", lambda q, k: torch.full((*q.shape[:3], q.shape[2]), math.nan)),
        ("l03_e2", lambda x, p, s: x.tolist()),
        ("l03_e2", lambda x, p, s: x.clone()),
        ("l03_e2", lambda x, p, s: torch.zeros_like(x)),
        ("l03_e3", lambda w, b: 0.5),
        ("l03_e3", lambda w, b: ["a"] * len(w)),
        ("l03_e3", lambda w, b: [True] * len(w)),
        ("l03_e4", lambda *a: "much"),
        ("l03_e4", lambda *a: (math.nan, math.inf)),
        ("l03_e4", lambda *a: (1, 2, 3)),
    ],
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, answer, points=1) < 1


@pytest.mark.parametrize("name", ["l03_e1", "l03_e2", "l03_e3"])
def test_changed_arguments_are_noticed(name):
    def spoils(first, *rest):
        given = REFERENCE[name][0](first.clone(), *rest)
        first.zero_()
        return given

    with pytest.raises(CheckFailed, match="changed in place"):
        run_check(name, spoils)


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    asked = []

    def record(shape, tokens, bytes_per_value):
        asked.append((tuple(shape.values()), tokens, bytes_per_value))
        return attention_cost(shape, tokens, bytes_per_value)

    for seed in (1, 1, 2):
        run_check("l03_e4", record, seed)
    first, again, other = asked[:2], asked[2:4], asked[4:]
    assert first == again and first != other
