"""The growing cache, step by step: which rows of K and V are computed at each step, with a cache and without."""

from __future__ import annotations

from functools import partial

import ipywidgets as W

from lessonlib.calc import memory

from . import figures, theme
from .widgets import WIDE, Interactive

WORDS = ("The", "cache", "keeps", "what", "it", "has", "already", "seen", ".")
NEW, AGAIN, READ = "computed first", "computed again", "read from the cache"
FILL = {NEW: figures.COLORS[0], AGAIN: figures.COLORS[1], READ: "#e6e8ec"}
ALT = (
    "Two grids, one column for each step and one row for each token: without a cache every earlier row of K and V is "
    "computed again at each step, with a cache it is read and only the newest row is computed. Counts in words below."
)
MARK = {NEW: "new", AGAIN: "again", READ: "read"}
CELL_WIDTH, CELL_HEIGHT, GAP, LEFT, TOP = 46, 24, 2, 74, 48


def rows_computed(prompt: int, step: int, cached: bool) -> int:
    """Rows of K and V (one for each token) that step `step` (from 1) computes, after a prompt of `prompt` tokens."""
    count = memory.passes_with_cache if cached else memory.passes_without_cache
    return count(prompt, step) - count(prompt, step - 1)


def states(prompt: int, steps: int, cached: bool) -> list[list[str]]:
    """For each step the state of each token's K and V row: computed, computed again, or read from the cache."""
    table = []
    for step in range(1, steps + 1):
        tokens = prompt + step - 1
        computed = rows_computed(prompt, step, cached)
        old = 0 if step == 1 else tokens - 1  # tokens whose rows some earlier step has computed
        table.append([
            (READ if token < tokens - computed else AGAIN) if token < old else NEW for token in range(tokens)
        ])  # fmt: skip
    return table


class GrowingCacheFigure(Interactive):
    """Step through generation and see which rows of K and V are computed, with a cache and without.

    `words` are the tokens of the text, the first `prompt` of them the prompt. The last word is the last to be
    generated, so there are len(words) - prompt steps."""

    title = "The growing cache"

    def __init__(self, words=WORDS, prompt: int = 4, step: int = 1):
        self.words, self.prompt = tuple(words), prompt
        if not 1 <= prompt < len(self.words):
            raise ValueError(
                f"prompt is {prompt}, but must leave at least one of the {len(self.words)} words to generate."
            )
        self.steps = len(self.words) - prompt
        self.step = W.BoundedIntText(
            value=step, min=1, max=self.steps, description=f"Step (1 to {self.steps})", style=WIDE
        )
        self.back = W.Button(description="Back one step")
        self.forward = W.Button(description="Next step")
        self.back.on_click(partial(self._move, by=-1))
        self.forward.on_click(partial(self._move, by=1))
        super().__init__(W.Box([self.step, self.back, self.forward], layout=W.Layout(flex_flow="row wrap")))
        self.watch(self.step)

    def _move(self, button=None, by: int = 1) -> None:
        self.step.value = min(max(self.step.value + by, 1), self.steps)

    def refresh(self, change=None) -> None:
        self.back.disabled, self.forward.disabled = self.step.value == 1, self.step.value == self.steps
        super().refresh()

    def counts(self, step: int | None = None) -> dict[str, int]:
        """Rows computed at this step and in all steps so far, without and with a cache."""
        now = self.step.value if step is None else step
        return {
            "now_without": rows_computed(self.prompt, now, cached=False),
            "now_with": rows_computed(self.prompt, now, cached=True),
            "all_without": memory.passes_without_cache(self.prompt, now),
            "all_with": memory.passes_with_cache(self.prompt, now),
        }

    def describe(self, step: int | None = None) -> str:
        """A step in words and counts."""
        now = self.step.value if step is None else step
        c = self.counts(now)
        tokens = self.prompt + now - 1
        return (
            f"Step {now} of {self.steps}: the model reads {_count(tokens, 'token')} to write {self.words[tokens]!r}. Without a "
            f"cache it computes {_count(c['now_without'], 'row')} of K and V, {c['all_without']} in all so far; with a cache "
            f"{c['now_with']}, {c['all_with']} in all so far."
        )

    def svg(self, step: int | None = None) -> str:
        """The drawing: one column for each step so far, one row for each token, with and without a cache."""
        now = self.step.value if step is None else step
        panel = LEFT + self.steps * (CELL_WIDTH + GAP) + 16
        height = TOP + (len(self.words) - 1) * (CELL_HEIGHT + GAP) + 44
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * panel} {height}" width="{2 * panel}" '
            f'font-family="sans-serif" font-size="12" fill="{figures.INK}">'
        ]
        for number, cached in enumerate((False, True)):
            parts += self._panel(number * panel, now, cached)
        for number, state in enumerate(FILL):
            x = LEFT + number * 170
            parts.append(f'<rect x="{x}" y="{height - 22}" width="14" height="14" rx="3" fill="{FILL[state]}"/>')
            parts.append(f'<text x="{x + 20}" y="{height - 10}">{MARK[state]}: {state}</text>')
        return "".join([*parts, "</svg>"])

    def _panel(self, left: int, now: int, cached: bool) -> list[str]:
        name = "With a cache" if cached else "Without a cache"
        parts = [
            f'<text x="{left + 4}" y="16" font-size="14" font-weight="bold">{name}</text>',
            f'<text x="{left + LEFT - 8}" y="38" text-anchor="end">step</text>',
        ]
        for row, word in enumerate(self.words[:-1]):
            y = TOP + row * (CELL_HEIGHT + GAP) + 16
            parts.append(f'<text x="{left + LEFT - 8}" y="{y}" text-anchor="end">{theme.escape(word)}</text>')
        for column, tokens in enumerate(states(self.prompt, self.steps, cached)):
            x = left + LEFT + column * (CELL_WIDTH + GAP)
            weight = "bold" if column == now - 1 else "normal"
            parts.append(
                f'<text x="{x + CELL_WIDTH / 2:g}" y="38" text-anchor="middle" font-weight="{weight}">{column + 1}</text>'
            )
            if column < now:
                parts += [self._cell(x, row, state, column, column == now - 1) for row, state in enumerate(tokens)]
        return parts

    def _cell(self, x: int, row: int, state: str, column: int, current: bool) -> str:
        y = TOP + row * (CELL_HEIGHT + GAP)
        edge = f' stroke="{figures.INK}" stroke-width="2"' if current else ""
        hint = theme.escape(f"step {column + 1}, token {row + 1} ({self.words[row]}): K and V {state}")
        return (
            f'<g><title>{hint}</title><rect x="{x}" y="{y}" width="{CELL_WIDTH}" height="{CELL_HEIGHT}" rx="3" '
            f'fill="{FILL[state]}"{edge}/><text x="{x + CELL_WIDTH / 2:g}" y="{y + 16}" text-anchor="middle" '
            f'font-size="11">{MARK[state]}</text></g>'
        )

    def html(self) -> str:
        return figures.inline_svg(self.svg(), ALT) + self._below(self.step.value)

    def _below(self, step: int) -> str:
        return f'<p role="status">{theme.escape(self.describe(step))}</p>'

    def stored_html(self) -> str:
        """The last step, as an image: the whole story for viewers without widgets."""
        return figures.svg_html(self.svg(self.steps), ALT) + self._below(self.steps)

    def text(self) -> str:
        lines = [self.title, *(self.describe(step) for step in range(1, self.steps + 1))]
        return "\n".join(lines)


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' if n != 1 else ''}"
