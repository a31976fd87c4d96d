"""The checks of lesson 04 notice a changed input, and draw jobs with the verdict they are made for."""

import math
from fractions import Fraction

import pytest

from lessonlib.checks import tokens_and_context as checks
from lessonlib.checks import tokens_and_context_windows as windows
from lessonlib.checks.core import score_properties
from lessonlib.labs import tokens_and_context as lab

pytestmark = pytest.mark.l04


def merge_once(words):
    pair = checks._best(words)
    return pair, lab.merge(words, pair)


def plan(samples, characters, answer, window):
    low, high = windows._bounds(samples, characters)
    return low, high, windows._verdict(low, high, answer, window)


# The same in other styles.


def plan_with_fractions(samples, characters, answer, window):
    rates = sorted(Fraction(tokens, size) for size, tokens in samples)
    low, high = math.floor(rates[0] * characters), math.ceil(rates[-1] * characters)
    verdict = "too long" if low > window - answer else "count first" if high > window - answer else "fits"
    return [low, high, verdict]


def test_a_changed_input_is_noticed():
    def merge_in_place(words):
        pair, merged = merge_once(words)
        words.clear()
        words.update(merged)
        return pair, words

    assert score_properties("l04_e1", merge_in_place, points=1) < 1


@pytest.mark.parametrize("seed", range(4))
def test_jobs_have_the_verdict_they_are_made_for(seed):
    import random

    rng = random.Random(seed)
    for verdict in (*windows.VERDICTS, "edge"):
        samples, characters, answer, window = windows._job(rng, verdict)
        got = plan(samples, characters, answer, window)
        assert got[2] == ("fits" if verdict == "edge" else verdict) and got[0] < got[1]
        assert plan_with_fractions(samples, characters, answer, window) == list(got)
