"""The hints of an exercise as a widget: one button, which opens the next hint and keeps how many are open."""

from __future__ import annotations

import ipywidgets as W

from . import journal, theme
from .widgets import Interactive


class HintLadder(Interactive):
    """Hints in their order. `button` opens the next; `opened` is how many are open."""

    def __init__(self, exercise):
        self.exercise = exercise
        self.opened = min(journal.hints_opened(exercise.id), len(exercise.hints))
        self.button = W.Button(layout=W.Layout(width="auto", align_self="flex-start"))
        self.button.on_click(self._next)
        super().__init__(W.HTML(theme.card(self._heading(), "note")), self.button)

    def _next(self, button=None) -> None:
        self.opened = min(self.opened + 1, len(self.exercise.hints))
        journal.record_hint(self.exercise.id, self.opened)
        self.refresh()

    def refresh(self, change=None) -> None:
        """Write the open hints, and on the button what it does next."""
        count = len(self.exercise.hints)
        done = self.opened == count
        self.button.description = f"All {count} hints are open" if done else f"Open hint {self.opened + 1} of {count}"
        self.button.disabled = done
        super().refresh(change)

    def html(self) -> str:
        count = len(self.exercise.hints)
        shown = [
            theme.card(f"<b>Hint {number} of {count}.</b> {theme.rich(text)}", "note", status=number == self.opened)
            for number, text in enumerate(self.exercise.hints[: self.opened], 1)
        ]
        return "".join(shown)

    def stored_html(self) -> str:
        count = len(self.exercise.hints)
        steps = (
            theme.fold(f"Hint {number} of {count}", theme.rich(text))
            for number, text in enumerate(self.exercise.hints, 1)
        )
        return theme.card(f"{self._heading()} Open one, try again, then the next.{''.join(steps)}", "note")

    def text(self) -> str:
        words = [f"Hints for {self.exercise.id}: {self.exercise.title}"]
        words += [f"  {number}. {theme.plain(text)}" for number, text in enumerate(self.exercise.hints, 1)]
        return "\n".join(words)

    def _heading(self) -> str:
        return f"<b>Hints</b> for {theme.escape(f'{self.exercise.id}: {self.exercise.title}')}."
