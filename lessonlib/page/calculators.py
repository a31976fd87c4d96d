"""Calculators: real controls around a tested pure function, with a text twin. They run on ipywidgets 7.7.1 and 8.

Values travel from controls to an HTML widget through observers: no Output widget and no interact, whose results live
in widget state that no test and no static page can see."""

from __future__ import annotations

from html import escape

import ipywidgets as widgets
from IPython.display import display

from ..calc import memory, units
from ..facts import catalog
from .figures import table_html

_WIDE = {"description_width": "11em"}


class Live(widgets.VBox):
    """A box of controls and one HTML result, `out`. Static viewers show `twin()` instead."""

    def __init__(self, title: str, controls):
        self.title = title
        self.out = widgets.HTML()
        super().__init__([*controls, self.out])

    def twin(self) -> str:
        """Static HTML with the present result."""
        return self.out.value

    def _bundle(self) -> dict:
        live = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {
            "text/plain": f"[interactive] {self.title}",
            "text/html": self.twin(),
            "application/vnd.jupyter.widget-view+json": live,
        }

    def _repr_mimebundle_(self, include=None, exclude=None, **kwargs):  # ipywidgets 8
        return self._bundle()

    def _ipython_display_(self, **kwargs):  # ipywidgets 7
        display(self._bundle(), raw=True)


class KVCacheCalculator(Live):
    """Bytes of a key-value cache over model shape, tokens, batch and number format, beside a card's memory."""

    OWN = "my own numbers"

    def __init__(self, model: str = "qwen2.5-coder-32b", tokens: int = 50_000):
        shapes = [m for m in catalog.models() if m.attention in ("mha", "gqa", "mqa")]
        self.model = widgets.Dropdown(
            options=[*((m.name, m.id) for m in shapes), (self.OWN, "")], value=model, description="Model", style=_WIDE
        )
        self.layers = _number("Layers", 1, 1, 500)
        self.kv_heads = _number("Key-value heads", 1, 1, 512)
        self.head_dim = _number("Head size", 1, 1, 1024)
        self.tokens = _number("Tokens", tokens, 0, 100_000_000)
        self.batch = _number("Sequences (batch)", 1, 1, 100_000)
        self.bits = widgets.Dropdown(
            options=[("16 bits", 16), ("8 bits", 8), ("4 bits", 4)], description="Bits a value", style=_WIDE
        )
        cards = [(f"{g.name} ({g.vram_gb} GiB)", g.id) for g in catalog.gpus() if isinstance(g.get("vram_gb"), int)]
        self.card = widgets.Dropdown(options=cards, value="rtx-4090", description="Card", style=_WIDE)
        shape = [self.layers, self.kv_heads, self.head_dim]
        controls = [self.model, *shape, self.tokens, self.batch, self.bits, self.card]
        super().__init__("Key-value cache calculator", controls)
        self._filling = False
        self._preset()
        self.model.observe(lambda _: self._preset(), "value")
        for control in shape:
            control.observe(lambda _: self._own_shape(), "value")
        for control in (self.tokens, self.batch, self.bits, self.card):
            control.observe(lambda _: self._update(), "value")

    def bytes(self) -> float:
        """The cache in bytes, for the values now in the controls."""
        return memory.kv_cache_bytes(tokens=self.tokens.value, batch=self.batch.value, **self._shape())

    def _shape(self) -> dict:
        return dict(
            layers=self.layers.value,
            kv_heads=self.kv_heads.value,
            head_dim=self.head_dim.value,
            bytes_per_value=self.bits.value / 8,
        )

    def _preset(self) -> None:
        if self.model.value:
            record = catalog.model(self.model.value)
            self._filling = True
            self.layers.value, self.kv_heads.value = record.layers, record.kv_heads
            self.head_dim.value = record.head_dim
            self._filling = False
        self._update()

    def _own_shape(self) -> None:
        if not self._filling:
            self.model.value = ""  # the shape is no longer the preset's
            self._update()

    def _update(self) -> None:
        total = self.bytes()
        card = catalog.gpu(self.card.value)
        room = memory.card_bytes(card.vram_gb)
        one = memory.kv_cache_bytes(tokens=1, **self._shape())
        s = self._shape()
        rows = [
            ["one token", f"{one:,} bytes"],
            ["whole cache", f"{total:,} bytes = {units.gb(total):.3f} GB = {units.gib(total):.3f} GiB"],
            [f"share of {card.name}", f"{total / room:.1%} of {units.format_bytes(room)}, before any weights"],
            ["tokens that fill the card", f"{memory.tokens_that_fit(room, batch=self.batch.value, **s):,} a sequence"],
            [
                "formula",
                f"2 (K and V) × {s['layers']} layers × {s['kv_heads']} key-value heads × {s['head_dim']} values × "
                f"{self.tokens.value:,} tokens × {self.batch.value} × {s['bytes_per_value']:g} bytes",
            ],
        ]
        self.out.value = table_html(rows, ["what", "value"], "Key-value cache")


def _number(description: str, value: int, low: int, high: int) -> widgets.BoundedIntText:
    return widgets.BoundedIntText(value=value, min=low, max=high, description=escape(description), style=_WIDE)
