"""Rules of thumb for tokens: the source lesson's numbers, rounding, texts in every unit, refusals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import tokens

TEXTS = ["Hello, world!", "def fibonacci(n):", "Supercalifragilistic", "192.168.1.20"]


def test_the_default_of_the_source_lesson():
    assert tokens.rule_of_thumb(115) == 29 == tokens.rule_of_thumb("x" * 115)
    assert tokens.rule_of_thumb(115, 3) == 39


@pytest.mark.parametrize("characters, expected", [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_the_estimate_rounds_up(characters, expected):
    assert tokens.rule_of_thumb(characters) == expected


@pytest.mark.parametrize(
    "text, measured, error", list(zip(TEXTS, [4, 4, 7, 7], [0.0, 0.25, -2 / 7, -4 / 7], strict=True))
)
def test_the_estimate_beside_cl100k(text, measured, error):
    size = tokens.text_size(text, measured)
    assert size.error == pytest.approx(error)
    assert size.characters_per_token == len(text) / measured == size.bytes_per_token


def test_decimals_count_as_they_are_written():
    # 10 x 1.3 in binary is a little more than 13, and rounding up must not make 14 of it
    assert tokens.from_words(10, 1.3) == 13
    assert tokens.rule_of_thumb(11, 1.1) == 10
    assert tokens.words_that_fit(131_072) == 98_304 and type(tokens.words_that_fit(131_072)) is int


def test_other_scripts_take_more_bytes_than_characters():
    size = tokens.text_size("Größe 漢字 🙂")
    assert (size.characters, size.words, size.utf8_bytes) == (10, 3, 19)
    assert size.tokens is size.error is size.bytes_per_token is size.characters_per_token is None


def test_a_lone_surrogate_is_a_text_too():
    assert tokens.text_size("a\ud800").utf8_bytes == 4


@given(st.text(), st.floats(0.5, 12))
def test_the_estimate_covers_the_text(text, rate):
    estimate = tokens.text_size(text, characters_per_token=rate).estimate
    assert estimate * tokens.as_written("rate", rate) >= len(text) > (estimate - 1) * tokens.as_written(
        "rate", rate
    ) or (not text and estimate == 0)


@given(st.floats(0.5, 1e6), st.floats(0.5, 1e6))
def test_relative_error_leads_back_to_the_estimate(estimate, measured):
    error = tokens.relative_error(estimate, measured)
    assert measured * (1 + error) == pytest.approx(estimate)
    assert (error > 0) == (estimate > measured)


@pytest.mark.parametrize("wrong", [-1, 1.5, True, None])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match="must be a whole number"):
        tokens.rule_of_thumb(wrong)
    with pytest.raises(ValueError, match="words is"):
        tokens.from_words(wrong)


@pytest.mark.parametrize("rate", [0, -4, math.nan, math.inf, "4"])
def test_a_rate_must_be_above_zero(rate):
    with pytest.raises(ValueError, match="characters_per_token is .* must be a number above 0"):
        tokens.rule_of_thumb(10, rate)
    with pytest.raises(ValueError, match="measured"):
        tokens.relative_error(3, rate)


def test_a_text_is_a_string_and_has_tokens():
    with pytest.raises(ValueError, match="must be a string"):
        tokens.text_size(b"abc")
    with pytest.raises(ValueError, match="tokens is 0"):
        tokens.text_size("abc", 0)
    assert tokens.text_size("", 0).error is None
