"""The checks of lesson 11 notice sorting in place, and draw inputs that keep mistakes apart."""

import math

import pytest

from lessonlib.checks import choosing_a_model as checks
from lessonlib.checks.core import score_properties
from lessonlib.labs import choosing_a_model as lab

pytestmark = pytest.mark.l11


def test_sorting_in_place_is_noticed():
    def rank(candidates):
        candidates.reverse()
        return lab.rank(candidates)

    assert score_properties("l11_e4", rank, points=4) < 4


def test_no_two_mistakes_about_bytes_give_one_number():
    """On made-up inputs every slip has a number of its own, so the message names the right one."""
    import random

    for seed in range(30):
        rng = random.Random(seed)
        model, need = checks._shape(rng), checks._need(rng)
        tokens = need["prompt_tokens"] + need["answer_tokens"]
        want = lab.headroom(model, need)[1]
        slips = [
            v for v, why in checks._byte_slips(model, need, want, need["prompt_tokens"], tokens) if "hidden" not in why
        ]
        assert all(not math.isclose(v, want, rel_tol=1e-6) for v in slips)
        assert len(set(slips)) == len(slips)
