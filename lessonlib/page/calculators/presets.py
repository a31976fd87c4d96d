"""Presets of the calculators, from the fact base: models, cards, prices, each with a line that says source and date."""

from __future__ import annotations

import re

from lessonlib.calc import formats
from lessonlib.facts import catalog

from .fields import NONE, OWN, Choice, Number

CARD = "rtx-4090"
MODEL = "qwen2.5-coder-32b"
API = "api_usd_per_million_tokens"  # the group of the price table


def model_field(value: str = MODEL, own: bool = False, none: str | None = None) -> Choice:
    """All open models of the fact base; `own` adds "my own numbers", `none` a choice of these words."""
    options = tuple((row.name, row.id) for row in catalog.models())
    return Choice("model", "Model", _extra(options, own, none), value, find=lambda name: catalog.model(name).id)


def format_field(value: str = "awq") -> Choice:
    """All weight formats of lessonlib.calc.formats."""
    options = tuple((f"{name} ({float(form.bits):.3g} bits)", name) for name, form in formats.FORMATS.items())
    return Choice("format", "Weight format", options, value, find=lambda name: formats.weight_format(name).name)


def card_field(value: str = CARD, none: str | None = None, rated: bool = False) -> Choice:
    """Cards whose memory is known, small ones first, systems of several GPUs as one GPU of theirs; with `rated`, only
    those whose tensor rate is known too."""
    options = tuple((card_label(row), row.id) for row in cards() if not rated or _rated(row))
    return Choice("card", "Card", _extra(options, False, none), value, find=lambda name: catalog.gpu(name).id)


def cards() -> tuple:
    """Cards and systems whose memory is known, by the memory of one GPU."""
    return tuple(sorted((row for row in catalog.gpus() if row.get("vram_gb")), key=lambda row: one_gpu(row)["vram_gb"]))


def one_gpu(row) -> dict:
    """Memory (GiB), bandwidth (GB/s), dense 16-bit TFLOP/s (None when unknown), watts and count of one GPU of `row`."""
    part, count = row.get("per_gpu") or {}, row.get("gpus") or 1
    power, rate, tflops = (row.get(f) for f in ("board_power_w", "bandwidth_gbs", "fp16_bf16_tensor_dense_tflops"))
    return {
        "vram_gb": part.get("usable_gib") or part.get("vram_gb") or row.vram_gb / count,
        "bandwidth_gbs": part.get("bandwidth_gbs") or (rate and rate / count),
        "tflops": part.get("fp16_bf16_tensor_dense_tflops") or (tflops and tflops / count),
        "watts": part.get("power_w") or (power and power / count),
        "gpus": count,
    }


def card_label(row) -> str:
    """The name of a card with the memory of one GPU."""
    one = one_gpu(row)
    return f"{row.name}: {one['vram_gb']:g} GiB{' each' if one['gpus'] > 1 else ''}"


def price(row) -> tuple[float, float] | None:
    """The lowest and highest price in USD, or None when the fact base has none."""
    if row.get("price_usd"):
        return row.price_usd, row.price_usd
    return tuple(row.get("price_usd_range")) if row.get("price_usd_range") else None


def price_words(row) -> str:
    """The price with its date, in words."""
    found = price(row)
    if found is None:
        return "no price known"
    low, high = found
    return f"USD {low:,}{f' to {high:,}' if high != low else ''} ({row.get('price_as_of') or row.as_of})"


def api_field(value: str = "gpt-4o") -> Choice:
    """Prices of hosted models."""
    options = tuple((f"{row.id} ({row.as_of})", row.id) for row in catalog.prices() if row.group == API)
    return Choice("api", "Price of", _extra(options, True, None), value, find=lambda name: catalog.price(name, API).id)


def api_fill(value: str) -> dict:
    """What the choice of a hosted price brings."""
    if value == OWN:
        return {}
    row = catalog.price(value, API)
    return {"input_usd": float(row.input), "output_usd": float(row.output)}


def price_fields() -> list:
    """The controls for a hosted price: whose, input, output, their ratio."""
    return [
        api_field(),
        Number("input_usd", "USD per million input tokens", 2.5, 0, 1e6, whole=False),
        Number("output_usd", "USD per million output tokens", 10.0, 0, 1e6, whole=False),
        Number("ratio", "Input tokens for one output token", 2.0, 0, 1e6, whole=False),
    ]


def priced(group: str, name: str):
    """The price `name` of a group of the price table: electricity, hosting, ..."""
    return catalog.price(name, group)


def used_record(row, *also: str) -> str:
    """One line for a record of the fact base: name, date, source, and further remarks."""
    return "; ".join([f"{row.name}: fact base of {catalog.checked_on()}", *also, f"source: {lesson(row.source)}"])


def used_card(row) -> str:
    """The same for a card, with its price."""
    status = f", {lesson(row.get('price_status') or 'as stated')}" if price(row) else ""
    return used_record(row, f"price: {price_words(row)}{status}")


def used_price(row) -> str:
    """The same for a price."""
    said = lesson(row.source or row.get("status", ""))
    return f"{row.get('name') or row.id}: {row.as_of}; source: {said}"


def lesson(text: str) -> str:
    """The fact base calls the source lesson its seed."""
    return re.sub(r"\bseed\b", "source lesson", str(text))


def _extra(options: tuple, own: bool, none: str | None) -> tuple:
    extra = ((none, NONE),) if none else ()
    return (*extra, *options, *((("my own numbers", OWN),) if own else ()))


def _rated(row) -> bool:
    one = one_gpu(row)
    return bool(one["tflops"] and one["bandwidth_gbs"])
