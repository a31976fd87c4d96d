"""Predict first, measure then: a guess that is committed before the number is seen."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets

from . import progress
from .calculators import Live
from .figures import table

_GUESSES: dict[str, object] = {}


class Guess(Live):
    """A question with options or a number field, and a button that commits the guess."""

    def __init__(self, name: str, question: str, options=None, unit: str = ""):
        self.name, self.question, self.unit = name, question, unit
        if options:
            self.field = widgets.RadioButtons(options=list(options), value=None, description="Your guess:")
        else:
            self.field = widgets.FloatText(description=f"Guess ({unit})" if unit else "Guess")
        self.button = widgets.Button(description="Commit my guess")
        self.button.on_click(self._commit)
        super().__init__(question, [self.field, self.button])
        self.out.value = f"<p>{escape(question)}</p>"

    def _commit(self, _button) -> None:
        if self.field.value is None:
            self.out.value = f"<p>{escape(self.question)}</p><p>Choose an option first.</p>"
            return
        _GUESSES[self.name] = self.field.value
        progress.guessed(self.name, self.field.value)
        self.field.disabled = self.button.disabled = True
        said = escape(f"Committed: {self.field.value} {self.unit}".strip())
        self.out.value = f"<p>{escape(self.question)}</p><p>{said}</p>"

    def twin(self) -> str:
        """The question, with its options, as static HTML."""
        options = getattr(self.field, "options", ())
        return f"<p>{escape(self.question)}</p><ul>{''.join(f'<li>{escape(str(o))}</li>' for o in options)}</ul>"


def predict(name: str, question: str, options=None, unit: str = "") -> Guess:
    """Ask for a guess: one of `options`, or a number with a `unit`. Show it by making it a cell's last line."""
    return Guess(name, question, options, unit)


def reveal(name: str, value, unit: str = "") -> None:
    """Show the measured value beside the guess that was committed under `name`, if any."""
    guess = _GUESSES.get(name)
    rows = [["your guess", f"{guess} {unit}".strip() if guess is not None else "none committed"]]
    rows += [["measured", f"{value} {unit}".strip()]]
    table(rows, header=["", "value"], caption="Your guess beside the measurement")
