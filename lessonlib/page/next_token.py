"""The next token, for a text that the learner types: the likeliest candidates, and a button that writes one."""

from __future__ import annotations

from functools import partial

import ipywidgets as W

from lessonlib.labs import what_is_an_llm as lab

from . import figures, theme
from .widgets import WIDE, Interactive

MOST = 20  # candidates
LONGEST = 2000  # characters
BAR, ROW, LEFT, TOP = 320, 26, 150, 34


class NextTokenFigure(Interactive):
    """Type a text and see the likeliest next tokens with their probabilities; write the likeliest, or draw one.

    `model` and `tokenizer` as `lessonlib.models.load` gives them. What is shown comes from
    `lessonlib.labs.what_is_an_llm.candidates`."""

    title = "What comes next?"

    def __init__(self, model, tokenizer, text: str = "The cat sat on the", count: int = 8):
        self._model, self._tokenizer, self._last, self._draws = model, tokenizer, None, 0
        self.typed = W.Textarea(
            value=text,
            description="Text",
            style=WIDE,
            continuous_update=False,
            layout=W.Layout(width="auto", height="64px"),
        )
        self.count = W.BoundedIntText(value=count, min=1, max=MOST, description=f"Candidates (1 to {MOST})", style=WIDE)
        self.best = W.Button(description="Write the likeliest")
        self.draw = W.Button(description="Draw one by chance")
        self.best.on_click(partial(self._write, draw=False))
        self.draw.on_click(partial(self._write, draw=True))
        row = W.Box([self.count, self.best, self.draw], layout=W.Layout(flex_flow="row wrap"))
        super().__init__(self.typed, row)
        self.watch(self.typed, self.count)

    def candidates(self) -> list[lab.Candidate]:
        """The candidates for the present text; ValueError in one sentence when there is none."""
        text, count = self.typed.value, self.count.value
        if len(text) > LONGEST:
            raise ValueError(f"The text has {len(text):,} characters; this figure takes up to {LONGEST:,}.")
        if self._last is None or self._last[0] != (text, count):
            self._last = (text, count), lab.candidates(self._model, self._tokenizer, text, count)
        return self._last[1]

    def _write(self, button=None, draw: bool = False) -> None:
        """Append a token to the text: the likeliest, or one drawn by its probability."""
        text = self.typed.value
        try:
            ids = self._tokenizer(text).input_ids
            generator = None
            if draw:
                import torch

                self._draws += 1  # another token each time, the same ones in each run of the page
                generator = torch.Generator().manual_seed(self._draws)
            made = lab.write(self._model, ids, 1, generator)
        except ValueError:
            return  # the message stands below
        self.typed.value = text + self._tokenizer.decode(made)

    def describe(self) -> str:
        """The finding in words."""
        found = self.candidates()
        first, shown = found[0], sum(c.probability for c in found)
        vocabulary = self._model.config.vocab_size
        return (
            f"After {self.typed.value!r} the likeliest of {vocabulary:,} tokens is {first.text!r} with "
            f"{100 * first.probability:.1f} %. The {len(found)} shown have {100 * shown:.1f} % together."
        )

    def svg(self) -> str:
        """Bars of the candidates, from 0 to 100 %."""
        found = self.candidates()
        height = TOP + ROW * len(found) + 12
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + BAR + 90} {height}" width="{LEFT + BAR + 90}" '
            f'font-family="sans-serif" font-size="13" fill="{figures.INK}">',
            f'<text x="{LEFT - 10}" y="18" text-anchor="end" font-weight="bold">token</text>',
            f'<text x="{LEFT}" y="18" font-weight="bold">probability</text>',
        ]
        for number, c in enumerate(found):
            y, width = TOP + number * ROW, max(1.0, BAR * c.probability)
            parts.append(
                f'<text x="{LEFT - 10}" y="{y + 14}" text-anchor="end" font-family="monospace">'
                f"{theme.escape(_visible(c.text))}</text>"
                f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="18" rx="3" fill="{figures.COLORS[0]}"/>'
                f'<text x="{LEFT + width + 8:.1f}" y="{y + 14}">{100 * c.probability:.1f} %</text>'
            )
        return "".join([*parts, "</svg>"])

    def alt(self) -> str:
        """The bars in words."""
        listed = ", ".join(f"{_visible(c.text)} {100 * c.probability:.1f} %" for c in self.candidates())
        return f"The likeliest next tokens (␣ is a blank): {listed}."

    def _page(self, draw) -> str:
        try:
            words = f'<p role="status">{theme.escape(self.describe())}</p>'
            return draw(self.svg(), self.alt()) + words
        except ValueError as error:
            return theme.card(f"<b>✗ No prediction.</b> {theme.escape(error)}", "bad", status=True)

    def html(self) -> str:
        return self._page(figures.inline_svg)

    def stored_html(self) -> str:
        asked = f"<p><b>{theme.escape(self.title)}</b> Text: <code>{theme.escape(self.typed.value)}</code></p>"
        return asked + self._page(figures.svg_html)

    def text(self) -> str:
        try:
            return "\n".join([self.title, self.describe(), figures.twin(self.alt())])
        except ValueError as error:
            return f"{self.title}\nNo prediction: {error}"


def _visible(text: str) -> str:
    """A token's text with its blanks and line breaks made visible."""
    return text.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥") or "(nothing)"
