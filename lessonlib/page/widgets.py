"""The base of everything interactive on a page.

A calculator is a box of real controls over a pure function: observers write into an HTML widget, and what is stored in
the notebook is that HTML and a plain text, so that viewers without a kernel show a result too. Runs on ipywidgets
7.7.1 (Colab) and 8.1; no Output widget, no interact: their text would live in widget state, which is not stored."""

from __future__ import annotations

import ipywidgets as W

from . import journal, theme
from .guess import with_unit

WIDE = {"description_width": "initial"}


def spaced(html: str) -> str:
    """`html` with the line height of a page: widgets have that of a button."""
    return f'<div style="line-height: 1.5">{html}</div>'


class Interactive(W.VBox):
    """Controls, a result in HTML, and its twins. A subclass gives `title`, `controls()`, `html()` and `text()`."""

    title = ""

    def __init__(self, *rows: W.Widget):
        self.out = W.HTML()
        super().__init__([*rows, self.out])
        self.refresh()

    def watch(self, *controls: W.Widget) -> None:
        """Compute again whenever one of the controls changes."""
        for control in controls:
            control.observe(self.refresh, "value")

    def refresh(self, change=None) -> None:
        """Write the result for the present settings."""
        self.out.value = spaced(self.html())

    def html(self) -> str:
        """The result as HTML."""
        raise NotImplementedError

    def text(self) -> str:
        """The result as plain text."""
        raise NotImplementedError

    def stored_html(self) -> str:
        """The HTML that is stored in the notebook, for viewers without widgets."""
        return self.html()

    def bundle(self) -> dict:
        """All forms of this widget, as a notebook stores them."""
        return {
            "text/plain": self.text(),
            "text/html": self.stored_html(),
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2,
                "version_minor": 0,
                "model_id": self.model_id,
            },
        }

    def _repr_mimebundle_(self, include=None, exclude=None, **kwargs):  # ipywidgets 8
        return self.bundle()

    def _ipython_display_(self, **kwargs):  # ipywidgets 7
        if theme.in_notebook():
            from IPython.display import display

            display(self.bundle(), raw=True)
        else:
            print(self.text())

    def __repr__(self) -> str:
        return self.text()


class Prediction(Interactive):
    """Asks for a guess and keeps it. `value` is the guess, or None."""

    def __init__(self, guess_id: str, question: str, options: list[str] | None, unit: str | None):
        self.guess_id, self.question, self.options, self.unit = guess_id, question, options, unit
        self.value = journal.entry("guesses", guess_id).get("value")
        ask = W.HTML(theme.card(f"<b>Predict.</b> {theme.rich(question)}", "note"))
        if options:
            known = self.value if self.value in options else None
            self.control = W.ToggleButtons(
                options=options, value=known, description="Your guess", style={**WIDE, "button_width": "auto"}
            )
            self.control.observe(self._keep, "value")
            super().__init__(ask, self.control)
        else:
            label = f"Your guess in {unit}" if unit else "Your guess"
            start = float(self.value) if isinstance(self.value, (int, float)) else 0.0
            self.control = W.FloatText(value=start, description=label, style=WIDE)
            self.button = W.Button(description="Keep this guess")
            self.button.on_click(self._keep)
            super().__init__(ask, W.HBox([self.control, self.button]))

    def _keep(self, change=None) -> None:
        self.value = self.control.value
        journal.record_guess(self.guess_id, self.value)
        self.refresh()

    def html(self) -> str:
        if self.value is None:
            return '<span role="status">No guess yet. A wrong one teaches more than none.</span>'
        return f'<span role="status">Kept: {theme.escape(with_unit(self.value, self.unit))}. Now measure.</span>'

    def stored_html(self) -> str:
        choices = "".join(f"<li>{theme.rich(option)}</li>" for option in self.options or [])
        how = (
            f"<ul>{choices}</ul>"
            if choices
            else f" <i>(a number{f' in {theme.escape(self.unit)}' if self.unit else ''})</i>"
        )
        return theme.card(f"<b>Predict.</b> {theme.rich(self.question)}{how}", "note")

    def text(self) -> str:
        options = [f"  - {theme.plain(option)}" for option in self.options or []]
        return "\n".join(
            [f"Predict: {theme.plain(self.question)}{f' (in {self.unit})' if self.unit else ''}", *options]
        )
