"""Named wrong answers: the proof that a check catches what it is for. Right answers in other words: the proof that it
demands no style."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WrongAnswer:
    """A misconception as code.

    grade_id: the exercise cell it replaces; name: a short name; code: the whole replacement cell; says: a phrase of
    the message it must earn, from the visible check or from a hidden property."""

    grade_id: str
    name: str
    code: str
    says: str


@dataclass(frozen=True)
class RightAnswer:
    """A right answer that is written otherwise than the solution: in loops, vectorised, with other types or rounding.

    grade_id: the exercise cell it replaces; name: a short name for the way; code: the whole replacement cell."""

    grade_id: str
    name: str
    code: str
