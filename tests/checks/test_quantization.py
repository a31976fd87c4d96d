"""The checks of lesson 08 notice changed inputs, and their table is what the model says."""

import pytest
import torch

from lessonlib.checks import quantization_cases as cases
from lessonlib.checks import quantization_methods as checks
from lessonlib.checks.core import run_properties
from lessonlib.labs import quantization as lab
from lessonlib.labs import quantization_bits as bits_lab
from lessonlib.labs import quantization_texts as texts
from lessonlib.models import load

pytestmark = pytest.mark.l08


def quantize_groups(weight, bits, group):
    most, rows = 2**bits - 1, weight.reshape(-1, group)
    low, high = rows.amin(1, keepdim=True).clamp(max=0), rows.amax(1, keepdim=True).clamp(min=0)
    scale = (high - low) / most
    zero = (-low / scale).round()
    numbers = ((rows / scale).round() + zero).clamp(0, most)
    return ((numbers - zero) * scale).reshape(weight.shape), (weight.numel() * bits + len(rows) * (16 + bits)) // 8


@pytest.fixture
def without_model(monkeypatch):
    """The measured part is tried on its own: it loads a model."""
    monkeypatch.setattr(checks, "_compare_measured", lambda *a: None)


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


def test_the_table_of_sensitivities_is_what_the_model_says():
    model, tokenizer = load("target", dtype=torch.float32)
    judge = lab.Judge(model, tokenizer, texts.CALIBRATION[:1])
    parts = bits_lab.parts(model)
    assert list(parts) == list(cases.SENSITIVITIES)
    for part in ("0 attention", "0 feed-forward", "5 feed-forward", "8 attention"):
        own = {n: lab.rounded(lab.matrices(model)[n].weight.data, 2) for n in parts[part]}
        assert judge.of(own).moved == pytest.approx(cases.SENSITIVITIES[part][2], rel=0.1)
