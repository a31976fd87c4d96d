"""The checks of lesson 08 let right answers through, in any form, and catch every wrong one with its message."""

import math

import numpy
import pytest
import torch

from lessonlib.checks import quantization_cases as cases
from lessonlib.checks import quantization_methods as checks
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import quantization as lab
from lessonlib.labs import quantization_bits as bits_lab
from lessonlib.labs import quantization_texts as texts
from lessonlib.models import load
from lessonlib.paths import course_root

pytestmark = pytest.mark.l08
FOLDER = course_root(__file__) / "solutions" / "08_quantization"
NAMES = {"l08_e1": "decode", "l08_e2": "quantize_groups", "l08_e3": "awq_scale", "l08_e4": "allocate"}
WRONG = wrong_answers(FOLDER / "08_quantization.py")


def quantize_groups(weight, bits, group):
    most, rows = 2**bits - 1, weight.reshape(-1, group)
    low, high = rows.amin(1, keepdim=True).clamp(max=0), rows.amax(1, keepdim=True).clamp(min=0)
    scale = (high - low) / most
    zero = (-low / scale).round()
    numbers = ((rows / scale).round() + zero).clamp(0, most)
    return ((numbers - zero) * scale).reshape(weight.shape), (weight.numel() * bits + len(rows) * (16 + bits)) // 8


def awq_scale(weight, inputs, quantize, alphas):
    scales = [inputs.abs().mean(0) ** alpha for alpha in alphas]
    errors = [(inputs @ (quantize(weight * s) / s - weight).T).square().sum().item() for s in scales]
    best = errors.index(min(errors))
    return alphas[best], scales[best], errors


REFERENCE = {"l08_e1": cases.decoded, "l08_e2": quantize_groups, "l08_e3": awq_scale, "l08_e4": bits_lab.greedy}


@pytest.fixture
def without_model(monkeypatch):
    """The measured part is tried on its own: it loads a model."""
    monkeypatch.setattr(checks, "_compare_measured", lambda *a: None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NAMES)
def test_reference_passes_with_full_points(name, seed, without_model):
    run_check(name, REFERENCE[name], seed)
    assert [r for r in run_properties(name, REFERENCE[name], seed) if not r.passed] == []


def test_reference_passes_measured():
    run_check("l08_e4", bits_lab.greedy)
    run_check("l08_e4", bits_lab.best)
    assert score_properties("l08_e4", bits_lab.greedy, points=3) == 3


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_fails_the_visible_check_with_its_message(wrong, without_model):
    name, space = exercise_of(wrong.grade_id), {"torch": torch}
    exec(wrong.code, space)
    for seed in range(2):
        with pytest.raises(CheckFailed) as caught:
            run_check(name, space[NAMES[name]], seed)
        assert wrong.says in str(caught.value)
    assert score_properties(name, space[NAMES[name]], points=1) < 1


def test_each_exercise_has_five_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)
        assert len({w.says for w in WRONG if exercise_of(w.grade_id) == name}) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


def test_other_right_ways_pass(without_model):
    """Strings and loops, numpy, float64, other widths of steps: as right as ours."""

    def decode(code, e, m):
        text = format(code, f"0{1 + e + m}b")
        sign, exponent, part = text[0], int(text[1 : 1 + e], 2), text[1 + e :]
        fraction = sum(int(bit) * 2.0 ** -(i + 1) for i, bit in enumerate(part))
        value = math.ldexp(fraction + bool(exponent), max(exponent, 1) - (2 ** (e - 1) - 1))
        return numpy.float64(value * (-1) ** int(sign))

    def groups(weight, bits, group):
        out, stored = numpy.zeros(tuple(weight.shape)), 0
        for r, row in enumerate(weight.numpy().astype(float)):
            for start in range(0, len(row), group):
                part = row[start : start + group]
                low, high = min(0.0, part.min()), max(0.0, part.max())
                scale = (high - low) / (2**bits - 1)
                zero = round(-low / scale)
                numbers = numpy.clip(numpy.rint(part / scale) + zero, 0, 2**bits - 1)
                out[r, start : start + group] = (numbers - zero) * scale
                stored += group * bits / 8 + 2 + bits / 8
        return torch.from_numpy(out), stored

    def awq(weight, inputs, quantize, alphas):
        best, errors = None, []
        for alpha in alphas:
            s = torch.stack([x.abs() for x in inputs]).mean(dim=0).pow(alpha)
            lost = inputs @ weight.T - (inputs / s) @ quantize(weight * s).T
            errors.append(lost.pow(2).sum())
            if best is None or errors[-1] < best[0]:
                best = errors[-1], alpha, s
        return best[1], best[2], torch.stack(errors)

    def allocate(bytes_of, error_of, budget):
        """Price a byte, let every part choose for itself, and search the price."""
        low, high, chosen = 0.0, 1e3, None
        for _ in range(80):
            price = (low * high) ** 0.5 if low else high / 1e6
            tried = {
                p: numpy.int64(min(row, key=lambda b, p=p, row=row: error_of[p][b] + price * row[b]))
                for p, row in bytes_of.items()
            }
            if sum(bytes_of[p][b] for p, b in tried.items()) <= budget:
                high, chosen = price, tried
            else:
                low = price
        left = budget - sum(bytes_of[p][b] for p, b in chosen.items())
        for p, row in sorted(bytes_of.items(), key=lambda item: -error_of[item[0]][chosen[item[0]]]):
            better = [b for b in row if b > chosen[p] and row[b] - row[chosen[p]] <= left]
            if better:
                left -= row[max(better)] - row[chosen[p]]
                chosen[p] = max(better)
        return chosen

    for name, answer in zip(NAMES, (decode, groups, awq, allocate), strict=True):
        for seed in range(2):
            run_check(name, answer, seed)
        assert score_properties(name, answer, points=1) == 1, name


def test_changed_inputs_are_noticed(without_model):
    def groups(weight, bits, group):
        answer = quantize_groups(weight, bits, group)
        weight.zero_()
        return answer

    def allocate(bytes_of, error_of, budget):
        answer = bits_lab.greedy(bytes_of, error_of, budget)
        bytes_of.clear()
        return answer

    for name, answer in (("l08_e2", groups), ("l08_e4", allocate)):
        assert any("changed" in r.message for r in run_properties(name, answer))


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("l08_e1", lambda *a: None),
        ("l08_e1", lambda *a: "0.3"),
        ("l08_e1", lambda *a: math.nan),
        ("l08_e2", lambda *a: None),
        ("l08_e2", lambda w, *a: (w, True)),
        ("l08_e2", lambda w, *a: ("w", 1)),
        ("l08_e3", lambda *a: 0.5),
        ("l08_e3", lambda w, x, q, a: (a[1], None, a)),
        ("l08_e3", lambda w, x, q, a: (a[1], x, None)),
        ("l08_e4", lambda *a: None),
        ("l08_e4", lambda *a: {}),
        ("l08_e4", lambda b, *a: dict.fromkeys(b, True)),
        ("l08_e4", lambda b, *a: dict.fromkeys(b, "4")),
        ("l08_e4", lambda b, *a: dict.fromkeys(b, math.nan)),
    ],
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, answer, points=1) < 1


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_the_table_of_sensitivities_is_what_the_model_says():
    model, tokenizer = load("target", dtype=torch.float32)
    judge = lab.Judge(model, tokenizer, texts.CALIBRATION[:1])
    parts = bits_lab.parts(model)
    assert list(parts) == list(cases.SENSITIVITIES)
    for part in ("0 attention", "0 feed-forward", "5 feed-forward", "8 attention"):
        own = {n: lab.rounded(lab.matrices(model)[n].weight.data, 2) for n in parts[part]}
        assert judge.of(own).moved == pytest.approx(cases.SENSITIVITIES[part][2], rel=0.1)


def test_puzzles_are_fresh_but_repeatable(without_model):
    asked = []

    def record(bytes_of, error_of, budget):
        asked.append((tuple(bytes_of), budget))
        return bits_lab.greedy(bytes_of, error_of, budget)

    for seed in (1, 1, 2):
        run_check("l08_e4", record, seed)
    assert asked[:2] == asked[2:4] != asked[4:]
