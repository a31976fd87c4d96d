"""Calculators over the tested functions of lessonlib.calc."""

from __future__ import annotations

import ipywidgets as W

from lessonlib.calc import memory, units
from lessonlib.facts import catalog

from . import theme
from .widgets import WIDE, Interactive, spaced

OWN = "my own numbers"
UNLISTED = "Not listed: models with sliding windows or latent caches, which need other formulas."
BITS = {"16 bit": 2, "8 bit": 1, "4 bit": 0.5}
# Fact-base models whose cache follows the plain formula; windows and latent caches need other arithmetic.
PLAIN = "2 * full_attention_layers * kv_heads * head_dim"


class Calculator(Interactive):
    """Base of the calculators: `title`, controls in rows, results as a table with a line of words."""

    def rows(self) -> list[list]:
        """The results, one row each: name, value."""
        raise NotImplementedError

    def words(self) -> str:
        """The formula with the numbers in it, and what follows."""
        raise NotImplementedError

    def html(self) -> str:
        try:
            table, words = theme.table_html(self.rows(), caption=self.title), self.words()
        except ValueError as error:
            return theme.card(theme.escape(error), "bad", status=True)
        lines = "<br>".join(theme.rich(line) for line in words.splitlines())
        return f'<div role="status">{table}{theme.card(lines)}</div>'

    def text(self) -> str:
        try:
            return f"{theme.table_text(self.rows(), caption=self.title)}\n{theme.plain(self.words())}"
        except ValueError as error:
            return f"{self.title}\n{error}"

    def settings(self) -> list[tuple[str, str]]:
        """The controls as (label, value) pairs, for the stored form."""
        return [(c.description, theme.cell(c.value)) for c in self.controls]

    def stored_html(self) -> str:
        chosen = " · ".join(f"{theme.escape(name)}: <b>{theme.escape(value)}</b>" for name, value in self.settings())
        return f"<p>{chosen}</p>{self.html()}"


class KVCacheCalculator(Calculator):
    """Bytes of a key-value cache over model, tokens, batch and number format, beside the memory of a card.

    `model` and `card` are names of the fact base, or None for own numbers and no card."""

    title = "Key-value cache"

    def __init__(self, model: str | None = "qwen2.5-coder-32b", tokens: int = 8192, card: str | None = "rtx-4090"):
        models, cards = presets(), card_sizes()
        self.model = W.Dropdown(
            options=[*models, OWN], value=catalog.model(model).name if model else OWN, description="Model", style=WIDE
        )
        self.layers = _whole("Layers with a cache", 1, 1000, 32)
        self.kv_heads = _whole("KV heads", 1, 1024, 8)
        self.head_dim = _whole("Head size", 1, 4096, 128)
        self.tokens = _whole("Tokens", 1, 100_000_000, tokens)
        self.batch = _whole("Sequences at once", 1, 100_000, 1)
        self.precision = W.ToggleButtons(
            options=list(BITS), value="16 bit", description="Cache format", style={**WIDE, "button_width": "auto"}
        )
        self.card = W.Dropdown(
            options=["no card", *cards], value=_card_label(catalog.gpu(card)) if card else "no card",
            description="Card", style=WIDE,
        )  # fmt: skip
        self.controls = [
            self.model, self.layers, self.kv_heads, self.head_dim, self.tokens, self.batch, self.precision, self.card,
        ]  # fmt: skip
        self._models, self._cards, self._filling = models, cards, False
        self._fill()
        self.model.observe(self._fill, "value")
        for control in (self.layers, self.kv_heads, self.head_dim):
            control.observe(self._own, "value")
        super().__init__(
            _row(self.model, self.card),
            _row(self.layers, self.kv_heads, self.head_dim),
            _row(self.tokens, self.batch, self.precision),
            W.HTML(spaced(f"<small>{UNLISTED}</small>")),
        )
        self.watch(*self.controls)

    def shape(self) -> dict:
        """The arguments of lessonlib.calc.memory.kv_cache_bytes for the present settings, without the tokens."""
        return {
            "layers": self.layers.value,
            "kv_heads": self.kv_heads.value,
            "head_dim": self.head_dim.value,
            "batch": self.batch.value,
            "bytes_per_value": BITS[self.precision.value],
        }

    def per_token(self) -> float:
        """Bytes for one token of one sequence."""
        return memory.kv_cache_bytes(**{**self.shape(), "batch": 1}, tokens=1)

    def total(self) -> float:
        """Bytes for all tokens of all sequences."""
        return memory.kv_cache_bytes(**self.shape(), tokens=self.tokens.value)

    def rows(self) -> list[list]:
        total = self.total()
        rows = [
            ["one token of one sequence", f"{self.per_token():,} bytes"],
            ["whole cache", f"{total:,} bytes"],
            ["in GB (1e9 bytes)", f"{units.gb(total):,.2f} GB"],
            ["in GiB (2**30 bytes)", f"{units.gib(total):,.2f} GiB"],
        ]
        card = self._cards.get(self.card.value)
        if card:
            rows.append([f"share of {self.card.value}", f"{100 * total / card:,.1f} %"])
        return rows

    def words(self) -> str:
        s = self.shape()
        lines = [
            f"2 (K and V) × {s['layers']:,} layers × {s['kv_heads']:,} KV heads × {s['head_dim']:,} head size × "
            f"{_count(self.tokens.value, 'token')} × {_count(s['batch'], 'sequence')} × {s['bytes_per_value']:g} bytes = "
            f"**{self.total():,} bytes**"
        ]
        card = self._cards.get(self.card.value)
        if card:
            most = memory.tokens_that_fit(card, **s)
            fits = "fits on the empty card" if self.total() <= card else "does not fit even on the empty card"
            lines.append(f"This cache {fits}, weights not counted. The longest that would: {most:,} tokens a sequence.")
        if s["bytes_per_value"] < 1:
            lines.append("4-bit caches also store scales, which come on top.")
        return "\n".join(lines)

    def _fill(self, change=None) -> None:
        """Take the numbers of the chosen model."""
        numbers = self._models.get(self.model.value)
        if numbers is None:
            return
        self._filling = True
        try:
            self.layers.value, self.kv_heads.value, self.head_dim.value = numbers
        finally:
            self._filling = False

    def _own(self, change=None) -> None:
        """A number changed by hand is no longer that model's."""
        if not self._filling and self._models.get(self.model.value) != (
            self.layers.value, self.kv_heads.value, self.head_dim.value,
        ):  # fmt: skip
            self.model.value = OWN


def presets() -> dict[str, tuple[int, int, int]]:
    """Model name -> (layers that keep a cache, KV heads, head size), where the plain formula is exact."""
    return {
        row.name: (row.get("full_attention_layers") or row.layers, row.kv_heads, row.head_dim)
        for row in catalog.models()
        if str(row.get("kv_formula", "")).startswith(PLAIN)
    }


def card_sizes() -> dict[str, int]:
    """Card label -> its memory in bytes, for cards whose memory is known, small ones first."""
    known = sorted((row for row in catalog.gpus() if row.get("vram_gb")), key=lambda row: row.vram_gb)
    return {_card_label(row): memory.card_bytes(row.vram_gb) for row in known}


def _card_label(row) -> str:
    return f"{row.name} ({row.vram_gb:,} GiB)"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' if n != 1 else ''}"


def _whole(label: str, least: int, most: int, value: int) -> W.BoundedIntText:
    layout = W.Layout(width="220px")
    return W.BoundedIntText(value=value, min=least, max=most, description=label, style=WIDE, layout=layout)


def _row(*controls: W.Widget) -> W.Box:
    return W.Box(list(controls), layout=W.Layout(flex_flow="row wrap"))


def __getattr__(name):
    if name == "GrowingCacheFigure":  # lives in its own module; found here too
        from .growing_cache import GrowingCacheFigure

        return GrowingCacheFigure
    raise AttributeError(f"lessonlib.page.calculators has no {name!r}.")
