"""How long a text is in tokens before a tokenizer has seen it: rules of thumb, and how wrong they are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from .units import positive

# The rules of the source lesson (claims S04-007, S04-008, S01-008). They are averages over English prose and over
# code; a tokenizer's own count is the only measurement.
CHARACTERS_PER_TOKEN = 4
CHARACTERS_PER_TOKEN_OF_CODE = 3
TOKENS_PER_WORD = 1.3
WORDS_PER_TOKEN = 0.75


@dataclass(frozen=True)
class TextSize:
    """One text in every unit. `tokens` is a tokenizer's count where one was given, else None."""

    characters: int
    words: int
    utf8_bytes: int
    estimate: int
    tokens: int | None = None

    @property
    def bytes_per_token(self) -> float | None:
        """UTF-8 bytes that one token of the tokenizer covers, on average."""
        return self.utf8_bytes / self.tokens if self.tokens else None

    @property
    def characters_per_token(self) -> float | None:
        """Characters (code points) that one token of the tokenizer covers, on average."""
        return self.characters / self.tokens if self.tokens else None

    @property
    def error(self) -> float | None:
        """Relative error of the estimate: +0.5 is half too many tokens."""
        return relative_error(self.estimate, self.tokens) if self.tokens else None


def rule_of_thumb(text_or_characters: str | int, characters_per_token: float = CHARACTERS_PER_TOKEN) -> int:
    """Tokens of a text (or of a number of characters): characters / characters a token, rounded up."""
    characters = len(text_or_characters) if isinstance(text_or_characters, str) else text_or_characters
    positive("characters", characters, zero=True)
    return ceil(characters / as_written("characters_per_token", characters_per_token))


def from_words(words: int, tokens_per_word: float = TOKENS_PER_WORD) -> int:
    """Tokens of a number of words: words x tokens a word, rounded up."""
    positive("words", words, zero=True)
    return ceil(words * as_written("tokens_per_word", tokens_per_word))


def words_that_fit(tokens: int, words_per_token: float = WORDS_PER_TOKEN) -> float:
    """Words that so many tokens hold: tokens x words a token."""
    positive("tokens", tokens, zero=True)
    words = tokens * as_written("words_per_token", words_per_token)
    return int(words) if words.denominator == 1 else float(words)


def relative_error(estimate: float, measured: float) -> float:
    """(estimate - measured) / measured: above 0 the estimate is too high."""
    positive("estimate", estimate, whole=False, zero=True)
    positive("measured", measured, whole=False)
    return (estimate - measured) / measured


def text_size(text: str, tokens: int | None = None, characters_per_token: float = CHARACTERS_PER_TOKEN) -> TextSize:
    """Characters, words, UTF-8 bytes and estimated tokens of `text`, beside a tokenizer's count when it is given.

    A byte-level tokenizer never needs more tokens than the text has bytes."""
    if not isinstance(text, str):
        raise ValueError(f"text is {type(text).__name__}, but must be a string.")
    if tokens is not None:
        positive("tokens", tokens, zero=not text)
    # a lone surrogate has no UTF-8 form; three bytes is what its code point would take
    size = len(text.encode("utf-8", "surrogatepass"))
    return TextSize(len(text), len(text.split()), size, rule_of_thumb(text, characters_per_token), tokens)


def as_written(name: str, value: float) -> Fraction:
    """`value` as its decimals read (1.3 is 13/10), so that rounding up never jumps over a whole number."""
    positive(name, value, whole=False)
    return Fraction(value) if isinstance(value, (int, Fraction)) else Fraction(repr(float(value)))
