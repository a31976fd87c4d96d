"""A router at work on your text: which experts of a layer each token is sent to, with what weight, and who gets how much."""

from __future__ import annotations

import ipywidgets as W

from lessonlib.labs import parameters_and_moe as lab

from . import figures, theme
from .widgets import WIDE, Interactive

SAMPLE = "Lily had 12 red balls. She said: total = 3 + 9"
MOST_TOKENS = 60
PAPER, INK = figures.PAPER, figures.INK


class RouterExplorer(Interactive):
    """Type a text, choose a layer and how many experts a token gets; see where each token goes.

    `model` and `tokenizer` are a mixture of experts of the Mixtral class. ValueError for another model or a layer that it
    has not."""

    title = "Where do the tokens go?"

    def __init__(self, model, tokenizer, text: str = SAMPLE, layer: int = 0, k: int | None = None):
        config = model.config
        self.model, self.tokenizer = model, tokenizer
        self.layers, self.experts = config.num_hidden_layers, getattr(config, "num_local_experts", 0)
        if not self.experts:
            raise ValueError("This model is dense: it has no router to look into. Give a mixture of experts.")
        k = config.num_experts_per_tok if k is None else k
        if not 0 <= layer < self.layers or not 1 <= k <= self.experts:
            raise ValueError(
                f"layer is {layer} and k is {k}, but there are layers 0 to {self.layers - 1} and 1 to {self.experts} experts."
            )
        wide = W.Layout(width="auto", height="70px")
        self.words = W.Textarea(value=text, description="Text", style=WIDE, layout=wide)
        self.layer = W.BoundedIntText(
            value=layer, min=0, max=self.layers - 1, description=f"Layer (0 to {self.layers - 1})", style=WIDE
        )
        self.k = W.BoundedIntText(
            value=k, min=1, max=self.experts, description=f"Experts a token (1 to {self.experts})", style=WIDE
        )
        self._read: tuple = (None, None)
        self.watch(self.words, self.layer, self.k)
        head = W.HTML(f"<b>{theme.escape(self.title)}</b>")
        super().__init__(head, self.words, W.HBox([self.layer, self.k], layout=W.Layout(flex_flow="row wrap")))

    def tokens(self) -> list[tuple[str, list[tuple[int, float]]]]:
        """(piece, [(expert, weight), ...] largest weight first) for each token of the text, at most MOST_TOKENS."""
        text = self.words.value
        if not text.strip():
            return []
        if self._read[0] != text:  # one pass a text: layer and k only pick from it
            self._read = text, lab.routes(self.model, self.tokenizer, {"": text})
        found = self._read[1]
        weights = lab.route(found.probabilities[self.layer.value, :MOST_TOKENS].log(), self.k.value)
        best = weights.topk(self.k.value, dim=-1)
        pairs = [list(zip(i, w, strict=True)) for i, w in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
        return list(zip(found.pieces[:MOST_TOKENS], pairs, strict=True))

    def loads(self) -> list[list]:
        """Rows [expert, tokens sent to it, share of all, the first of them] for every expert of the layer."""
        sent: dict[int, list[str]] = {number: [] for number in range(self.experts)}
        for piece, pairs in self.tokens():
            for number, _ in pairs:
                sent[number].append(shown(piece))
        total = max(1, sum(map(len, sent.values())))
        return [
            [f"expert {number}", len(pieces), f"{len(pieces) / total:.0%}", "  ".join(dict.fromkeys(pieces)) or "–"]
            for number, pieces in sent.items()
        ]

    def headline(self) -> str:
        """What the settings are, and how evenly the load falls."""
        found = self.tokens()
        if not found:
            return "The text is empty: type some words."
        used = sum(row[1] > 0 for row in self.loads())
        return (
            f"Layer {self.layer.value}, {self.k.value} of {self.experts} experts a token: {len(found)} tokens use {used} "
            f"different experts. Under each token: its experts, the weight of the first."
        )

    def html(self) -> str:
        boxes = []
        for piece, pairs in self.tokens():
            first, weight = pairs[0]
            colour = figures.COLORS[first % len(figures.COLORS)]
            others = "".join(f" + {number}" for number, _ in pairs[1:])
            hint = theme.escape(words_of(piece, pairs))
            boxes.append(
                f'<span title="{hint}" style="display: inline-block; margin: 2px; padding: 2px 6px; text-align: center; '
                f'border: 1px solid {colour}; border-bottom-width: 5px; border-radius: 4px">'
                f"<code>{theme.escape(shown(piece))}</code><br><small>{first} ({weight:.2f}){others}</small></span>"
            )
        header = ["expert", "tokens", "share", "which"]
        table = theme.table_html(self.loads(), header) if boxes else ""
        status = f'<p role="status">{theme.escape(self.headline())}</p>'
        return f"{status}<div>{''.join(boxes)}</div>{table}"

    def stored_html(self) -> str:
        return f"<p><b>{theme.escape(self.title)}</b> Text: <q>{theme.escape(self.words.value)}</q></p>{self.html()}"

    def text(self) -> str:
        lines = [self.title, f"Text: {self.words.value!r}", self.headline()]
        lines += [words_of(piece, pairs) for piece, pairs in self.tokens()]
        return "\n".join([*lines, theme.table_text(self.loads(), ["expert", "tokens", "share", "which"])])


def shown(piece: str) -> str:
    """A token with its blanks and line breaks made visible."""
    return piece.replace(" ", "␣").replace("\n", "⏎") or "∅"


def words_of(piece: str, pairs) -> str:
    """One token in words: its experts and their weights."""
    return f"{shown(piece)}: " + ", ".join(f"expert {number} ({weight:.2f})" for number, weight in pairs)
