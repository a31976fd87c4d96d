"""The checks of lesson 06 notice changed arguments, and draw a p that no rounding decides."""

import pytest
import torch

from lessonlib.checks import sampling_cases as cases
from lessonlib.checks.core import CheckFailed, run_check
from lessonlib.labs import sampling as lab

pytestmark = pytest.mark.l06


def penalty_torch(logits, seen, penalty):
    return lab.repetition_penalty(logits[None], torch.tensor([seen]), penalty)[0] if seen else logits


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
