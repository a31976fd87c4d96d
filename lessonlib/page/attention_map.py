"""The attention map: choose layer, head and token, and see in which shares that token looks at the earlier ones."""

from __future__ import annotations

from functools import partial

import ipywidgets as W

from . import figures, theme
from .widgets import WIDE, Interactive

BAR, SCALE, LEFT, TOP, LINE = 16, 320, 130, 30, 22  # pixels: a bar, the length of 100 %, margins, a row


class AttentionMap(Interactive):
    """Where one token looks: bars and percentages for every earlier token, for each layer and head.

    `words` are the tokens as readable text; `weights` their shares, nested lists or a tensor (layers, H, L, S) with
    L = S = len(words). `marks` names heads that were found by measurement: {(layer, head): "what it does"}. Layers,
    heads and tokens are counted from 0, as in the model. ValueError when sizes do not fit."""

    title = "The attention map"

    def __init__(self, words, weights, layer: int = 0, head: int = 0, token: int | None = None, marks=None):
        self.words = [str(word) for word in words]
        self.weights = weights.tolist() if hasattr(weights, "tolist") else weights
        self.marks = dict(marks or {})
        self.sizes = len(self.weights), len(self.weights[0])
        self._require(layer, head)
        last = len(self.words) - 1
        self.layer, self.head = (
            W.BoundedIntText(value=value, min=0, max=count - 1, description=f"{name} (0 to {count - 1})", style=WIDE)
            for name, value, count in (("Layer", layer, self.sizes[0]), ("Head", head, self.sizes[1]))
        )
        self.token = W.Dropdown(
            options=[(f"{number}: {word}", number) for number, word in enumerate(self.words)],
            value=last if token is None else token, description="Token", style=WIDE,
        )  # fmt: skip
        self.back, self.forward = W.Button(description="Head before"), W.Button(description="Next head")
        self.back.on_click(partial(self._move, by=-1))
        self.forward.on_click(partial(self._move, by=1))
        rows = [self.layer, self.head, self.token, self.back, self.forward]
        if self.marks:
            self.found = W.Dropdown(
                options=[("choose", None), *((f"{name}: layer {a}, head {b}", (a, b)) for (a, b), name in self.marks.items())],
                value=None, description="Heads found above", style=WIDE,
            )  # fmt: skip
            self.found.observe(self._go, "value")
            rows.append(self.found)
        super().__init__(W.Box(rows, layout=W.Layout(flex_flow="row wrap")))
        self.watch(self.layer, self.head, self.token)

    def shares(self) -> list[float]:
        """The shares of the chosen token over the tokens from the first up to itself."""
        row = self.weights[self.layer.value][self.head.value][self.token.value]
        return row[: self.token.value + 1]

    def describe(self) -> str:
        """The present choice in words: what the head was found to do, and the three largest shares."""
        shares, token = self.shares(), self.token.value
        order = sorted(range(len(shares)), key=lambda i: -shares[i])[:3]
        most = ", ".join(f"{self.words[i]!r} (token {i}) {_percent(shares[i])}" for i in order)
        found = self.marks.get((self.layer.value, self.head.value))
        kind = f", found above as {found}" if found else ""
        return f"Layer {self.layer.value}, head {self.head.value}{kind}: token {token}, {self.words[token]!r}, looks most at {most}."

    def svg(self) -> str:
        """The drawing: one row for each token up to the chosen one, a bar as long as its share, the share as a number."""
        shares, token = self.shares(), self.token.value
        height, width = TOP + LINE * len(shares) + 8, LEFT + SCALE + 70
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'font-family="sans-serif" font-size="13" fill="{figures.INK}">',
            f'<text x="4" y="18" font-weight="bold">{theme.escape(f"{self.words[token]} (token {token}) looks at")}</text>',
        ]
        for number, share in enumerate(shares):
            y = TOP + number * LINE
            bold = ' font-weight="bold"' if share == max(shares) else ""
            name = theme.escape(f"{number}: {self.words[number]}")
            parts.append(f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end"{bold}>{name}</text>')
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{max(1.0, SCALE * share):.0f}" height="{BAR}" rx="2" fill="{figures.COLORS[0]}"/>'
            )
            parts.append(f'<text x="{LEFT + SCALE * share + 8:.0f}" y="{y + 13}"{bold}>{_percent(share)}</text>')
        return "".join([*parts, "</svg>"])

    def alt(self) -> str:
        """All shares in words, for those who do not see the bars."""
        listed = ", ".join(
            f"{i} {word} {_percent(share)}"
            for i, (word, share) in enumerate(zip(self.words, self.shares(), strict=False))
        )
        return f"{self.describe()} All shares: {listed}."

    def html(self) -> str:
        return f'<p role="status">{theme.escape(self.describe())}</p>' + figures.inline_svg(self.svg(), self.alt())

    def stored_html(self) -> str:
        """The present choice as an image, for viewers without widgets."""
        return f"<p>{theme.escape(self.describe())}</p>" + figures.svg_html(self.svg(), self.alt())

    def text(self) -> str:
        return f"{self.title}\n{self.alt()}"

    def refresh(self, change=None) -> None:
        place = self.layer.value * self.sizes[1] + self.head.value
        self.back.disabled, self.forward.disabled = place == 0, place == self.sizes[0] * self.sizes[1] - 1
        super().refresh()

    def _move(self, button=None, by: int = 1) -> None:
        """The head before or after, over the borders of layers."""
        place = self.layer.value * self.sizes[1] + self.head.value + by
        self._show(*divmod(min(max(place, 0), self.sizes[0] * self.sizes[1] - 1), self.sizes[1]))

    def _go(self, change) -> None:
        if change["new"] is not None:
            self._show(*change["new"])

    def _show(self, layer: int, head: int) -> None:
        self.layer.value, self.head.value = layer, head

    def _require(self, layer: int, head: int) -> None:
        tokens = len(self.words)
        for rows in self.weights:
            for square in rows:
                if len(square) != tokens or any(len(row) != tokens for row in square):
                    raise ValueError(f"The weights of a head must be {tokens} x {tokens} for {tokens} words.")
        for name, value, count in (("layer", layer, self.sizes[0]), ("head", head, self.sizes[1])):
            if not 0 <= value < count:
                raise ValueError(f"There is no {name} {value}: it is 0 to {count - 1}.")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
