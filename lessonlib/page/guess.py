"""Predict first, measure then: a guess that the page keeps, and the guess beside the measured value."""

from __future__ import annotations

import re

from . import journal, theme


def predict(guess_id: str, question: str, options=None, unit: str | None = None):
    """A widget that asks `question` and keeps the guess under `guess_id`: one of `options`, or a number in `unit`."""
    from .widgets import Prediction

    if not question or not question.strip():
        raise ValueError(f"The question of {guess_id!r} is empty: say what is to be guessed.")
    if options is not None and len(list(options)) < 2:
        raise ValueError(f"{guess_id!r} has {len(list(options))} options, but a choice needs two or more.")
    return Prediction(guess_id, question, list(options) if options is not None else None, unit)


def reveal(guess_id: str, value, unit: str | None = None) -> None:
    """Show the measured or computed `value` beside the guess made under `guess_id`; without a guess, the value alone."""
    guess = journal.entry("guesses", guess_id).get("value")
    answer = with_unit(value, unit)
    if guess is None:
        html, text = f"<b>Answer:</b> {theme.escape(answer)}", f"Answer: {answer}"
        tone = "plain"
    else:
        guessed = with_unit(guess, unit)
        verdict = judge(guess, value)
        html = f"<b>Your guess:</b> {theme.escape(guessed)} · <b>answer:</b> {theme.escape(answer)} · {verdict}"
        text, tone = f"Your guess: {guessed}; answer: {answer}; {verdict}", "note"
    theme.emit(theme.card(html, tone), text)


def judge(guess, value) -> str:
    """One friendly remark on how near `guess` is to `value`."""
    numbers = [x for x in (guess, value) if isinstance(x, (int, float)) and not isinstance(x, bool)]
    if len(numbers) < 2:
        # "about 50" is met by "about 50 (4,935 against 99)", but "about 5" is not
        met = re.match(re.escape(str(guess).strip()) + r"(?!\w|[.,]\d)", str(value).strip())
        return "that is it" if met else "not what you expected: why?"
    if guess == value:
        return "exactly"
    if value == 0 or guess == 0 or (guess < 0) != (value < 0):
        return "not what you expected: why?"
    ratio = max(guess / value, value / guess)
    if ratio < 1.1:
        return "within 10 %"
    side = "too high" if abs(guess) > abs(value) else "too low"
    return f"{ratio:,.1f} times {side}" if ratio < 100 else f"{ratio:,.0f} times {side}"


def with_unit(value, unit: str | None = None) -> str:
    """A value for people, with its unit."""
    return f"{theme.cell(value)} {unit}" if unit else theme.cell(value)
