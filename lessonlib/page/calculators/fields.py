"""The controls of a calculator as data: a key, a label in words, a widget, and a check that says what is wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import ipywidgets as W

from lessonlib.page import theme
from lessonlib.page.widgets import WIDE

OWN = "own"  # the choice that stands for numbers typed in
NONE = "none"  # the choice that stands for leaving something out


@dataclass(frozen=True)
class Number:
    """A number typed in, within bounds; a whole one unless `whole` is False."""

    key: str
    label: str
    value: float
    least: float = 1
    most: float = 1e15
    whole: bool = True

    def widget(self) -> W.Widget:
        """The control, with the label that screen readers speak."""
        kind = W.IntText if self.whole else W.FloatText
        return kind(value=self.value, description=self.label, style=WIDE, layout=_layout())

    def check(self, value):
        """`value` as this field keeps it; ValueError names the value, the bounds and what to do."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not number or (self.whole and value != int(value)) or not self.least <= value <= self.most:
            kind = "a whole number" if self.whole else "a number"
            bounds = f"from {_bound(self.least)} to {_bound(self.most)}"
            raise ValueError(f"{self.label} is {value!r}, but must be {kind} {bounds}: type one in that range.")
        return int(value) if self.whole else float(value)

    def words(self, value) -> str:
        """`value` as the stored page shows it."""
        return theme.cell(value)


@dataclass(frozen=True)
class Choice:
    """One of some options: pairs of what is shown and what is kept. `find` may turn other spellings into a kept one."""

    key: str
    label: str
    options: tuple[tuple[str, str], ...]
    value: str
    find: object = None

    def widget(self) -> W.Widget:
        """The control, with the label that screen readers speak."""
        return W.Dropdown(
            options=list(self.options), value=self.value, description=self.label, style=WIDE, layout=_layout()
        )

    def check(self, value):
        """`value` as this field keeps it; ValueError names the value and what there is."""
        kept = [option for _, option in self.options]
        if value is None:  # in Python None is how one says "no card" or "no model of the list"
            value = next((special for special in (NONE, OWN) if special in kept), value)
        if value in kept:
            return value
        if isinstance(value, str):
            for shown, option in self.options:
                if value == shown:
                    return option
            if self.find and self.find(value) in kept:
                return self.find(value)
        some = ", ".join(map(str, kept[:8])) + (", …" if len(kept) > 8 else "")
        raise ValueError(f"{self.label} is {value!r}, but must be one of {some}: choose from the list.")

    def words(self, value) -> str:
        """`value` as the stored page shows it."""
        return next(shown for shown, option in self.options if option == value)


@dataclass(frozen=True)
class Text:
    """A piece of text, of any length up to `most` characters."""

    key: str
    label: str
    value: str
    most: ClassVar[int] = 1_000_000

    def widget(self) -> W.Widget:
        """The control, with the label that screen readers speak."""
        layout = W.Layout(width="auto", height="90px")
        return W.Textarea(value=self.value, description=self.label, style=WIDE, layout=layout)

    def check(self, value):
        """`value` when it is a text that is not too long; ValueError otherwise."""
        if not isinstance(value, str) or len(value) > self.most:
            shown = f"{len(value):,} characters long" if isinstance(value, str) else repr(value)
            raise ValueError(f"{self.label} is {shown}, but must be a text of at most {self.most:,} characters.")
        return value

    def words(self, value) -> str:
        """`value` as the stored page shows it."""
        return value if len(value) <= 80 else f"{value[:77]}… ({len(value):,} characters)"


def _layout() -> W.Layout:
    return W.Layout(width="auto", min_width="0")


def _bound(value) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"
