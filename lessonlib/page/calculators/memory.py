"""Memory: the key-value cache of any model, and everything that a model takes on its GPUs."""

from __future__ import annotations

from types import SimpleNamespace

from lessonlib.calc import cache, units, vram
from lessonlib.calc.memory import card_bytes
from lessonlib.facts import catalog

from . import presets
from .base import Answer, Calculator, count, percent
from .drawings import stacked_bars
from .fields import NONE, OWN, Choice, Number

CACHE_FORMATS = (
    ("16 bit (bf16, fp16)", "bf16"),
    ("8 bit (fp8)", "fp8"),
    ("8 bit with scales (q8_0)", "q8_0"),
    ("4 bit, scales not counted", "int4"),
    ("4 bit with scales (q4_0)", "q4_0"),
    ("32 bit (fp32)", "fp32"),
)
WORDS = {
    "full_attention": "keys and values of all tokens",
    "sliding_window": "keys and values in the window",
    "latent": "latent vectors (MLA)",
    "index": "index keys",
    "recurrent_state": "recurrent states",
    "conv_state": "convolution states",
}


class KVCacheCalculator(Calculator):
    """Bytes of the cache over model, tokens, batch and number format, beside the memory of a card.

    `model` and `card` are names of the fact base, or None for own numbers and no card."""

    title = "Key-value cache"
    purpose = (
        "What a model keeps about the text it has read: windows, latent vectors and fixed states counted as they are."
    )
    PRESETS = ("model",)

    def fields(self):
        return [
            presets.model_field(own=True),
            presets.card_field(none="no card"),
            Number("layers", "Layers with a cache", 64, 1, 1000),
            Number("kv_heads", "KV heads", 8, 1, 1024),
            Number("head_dim", "Head size", 128, 1, 4096),
            Number("tokens", "Tokens", 8192, 1, 100_000_000),
            Number("batch", "Sequences at once", 1, 1, 100_000),
            Choice("cache", "Cache format", CACHE_FORMATS, "bf16"),
        ]

    def fill(self, key, value):
        if value == OWN:
            return {}
        shape = cache.attention(catalog.model(value))
        layers = sum(kind in ("full", "window", "latent") for kind in shape.kinds)
        if shape.latent:
            return {"layers": layers, "kv_heads": 1, "head_dim": shape.latent + shape.rope}
        return {"layers": layers, "kv_heads": shape.kv_heads, "head_dim": shape.head_dim}

    def refresh(self, change=None) -> None:
        model = self.control["model"].value
        closed = model != OWN and not _plain(cache.attention(catalog.model(model)))
        for key in ("layers", "kv_heads", "head_dim"):
            self.control[key].disabled = closed  # three numbers do not describe such a cache
        super().refresh(change)

    def answer(self, s: SimpleNamespace) -> Answer:
        record = catalog.model(s.model) if s.model != OWN else None
        model = record or {"name": "my model", "layers": s.layers, "kv_heads": s.kv_heads, "head_dim": s.head_dim}
        shape = cache.attention(model)
        found = cache.cache(model, s.tokens, s.batch, s.cache)
        per_token, total = cache.bytes_per_token(model, s.cache), found.total
        rows = [["each further token of a sequence", f"{per_token:,} bytes"]]
        rows += [[WORDS[name], f"{value:,} bytes"] for name, value in found.items() if len(found) > 1]
        rows += [
            ["whole cache", f"{total:,} bytes"],
            ["in GB (1e9 bytes)", f"{units.gb(total):,.2f} GB"],
            ["in GiB (2**30 bytes)", f"{units.gib(total):,.2f} GiB"],
        ]
        values = {"bytes": total, "bytes_per_token": per_token, "parts": dict(found)}
        notes, used = [], [presets.used_record(record)] if record else []
        if s.card != NONE:
            card = catalog.gpu(s.card)
            size = card_bytes(presets.one_gpu(card)["vram_gb"])
            share = total / size
            fits = "fits on the empty card" if share <= 1 else "does not fit even on the empty card"
            rows.append([f"share of {presets.card_label(card)}", percent(share)])
            most = cache.tokens_that_fit(size, model, s.batch, s.cache)
            notes.append(f"This cache {fits}, weights not counted. The longest that would: {most:,} tokens a sequence.")
            used.append(presets.used_card(card))
            values |= {"card_bytes": size, "share": share, "longest": most}
        headline = f"{units.format_bytes(total)} for {s.tokens:,} tokens" + (f" × {s.batch:,}" if s.batch > 1 else "")
        formula = "\n".join([*_formula(shape, s), f"= **{total:,} bytes**"])
        mistake = _mistake(record, shape, s, total)
        return Answer(headline, rows, formula, mistake, used=tuple(used), notes=tuple(notes), values=values)


class VRAMCalculator(Calculator):
    """Everything that a model takes on each of its GPUs: weights, cache, activations, logits, CUDA context."""

    title = "Memory of a model"
    purpose = "Part by part on each GPU, with the card's size beside it."
    caption = "The fullest GPU"

    def fields(self):
        return [
            presets.model_field(),
            presets.format_field(),
            presets.card_field(),
            Number("tp", "GPUs, tensor parallel", 1, 1, 1024),
            Number("pp", "Pipeline stages", 1, 1, 128),
            Number("tokens", "Tokens", 8192, 1, 100_000_000),
            Number("batch", "Sequences at once", 1, 1, 100_000),
            Choice("cache", "Cache format", CACHE_FORMATS, "bf16"),
            Number("utilization", "Usable share of the card, %", 90.0, 1, 100, whole=False),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        model, card = catalog.model(s.model), catalog.gpu(s.card)
        size, share = presets.one_gpu(card)["vram_gb"], s.utilization / 100
        found = vram.vram(model, s.tokens, s.batch, s.format, s.cache, s.tp, s.pp)
        usable, worst = vram.usable_bytes(size, share), found.worst
        fits = found.fits(size, share)
        longest = self._longest(model, size, share, s)
        parts = {name.replace("_", " "): value for name, value in worst.items()}
        rows = [[name, f"{units.gb(value):,.2f}", f"{units.gib(value):,.2f}"] for name, value in parts.items()]
        rows += [
            [name, f"{units.gb(value):,.2f}", f"{units.gib(value):,.2f}"]
            for name, value in (("together", worst.total), (f"usable: {s.utilization:g} % of {size:g} GiB", usable))
        ]
        gpus = len(found.gpus)
        several = f" on each of {gpus} GPUs" if gpus > 1 else ""
        gap = units.gb(abs(usable - worst.total))
        if fits:
            headline = f"✓ Fits: {units.gb(worst.total):,.2f} GB{several}, {gap:,.2f} GB are left."
        else:
            headline = f"✗ Does not fit: {units.gb(worst.total):,.2f} GB{several}, {gap:,.2f} GB too many."
        formula = " + ".join(f"{units.gb(value):,.2f} ({name})" for name, value in parts.items())
        formula += f" = **{units.gb(worst.total):,.2f} GB**"
        notes = (
            f"{longest} Activations and CUDA context are estimates: measure yours.",
            *found.notes,
        )
        values = {
            "worst": dict(worst), "bytes": worst.total, "total": found.total, "usable": usable, "fits": fits, "gpus": gpus,
        }  # fmt: skip
        used = (presets.used_record(model), presets.used_card(card))
        mistake = self._mistake(model, found, s)
        drawing = stacked_bars(_groups(found.gpus, usable), "vram", "usable")
        header = ("part", "GB (1e9 bytes)", "GiB (2**30 bytes)")
        return Answer(headline, rows, formula, mistake, header, used, notes, drawing, values)

    def _longest(self, model, size: float, share: float, s: SimpleNamespace) -> str:
        """The longest text that this card holds, in words."""
        shape = cache.attention(model)
        if not {"full", "latent"} & set(shape.kinds):
            return "The cache of this model stops growing, so memory bounds no context."
        most = vram.largest_context(model, size, s.batch, s.format, s.cache, s.tp, s.pp, utilization=share)
        if not most:
            return "Not even one token would fit beside the weights."
        trained = f" (the model is made for {model.max_context:,})" if most > model.max_context else ""
        return f"The longest text that fits: {most:,} tokens, with {count(s.batch, 'sequence')} at once{trained}."

    def _mistake(self, model, found, s: SimpleNamespace) -> str:
        worst = found.worst
        if s.tp * s.pp > 1:
            alone = vram.vram(model, s.tokens, s.batch, s.format, s.cache).worst.total
            naive = alone / (s.tp * s.pp)
            return (
                f"one GPU's total divided by {s.tp * s.pp} would be {units.gb(naive):,.2f} GB, "
                f"{units.gb(abs(worst.total - naive)):,.2f} GB {'less' if naive < worst.total else 'more'} than the fullest "
                "GPU needs: context, buffers and copied tensors do not divide."
            )
        rest = units.gb(worst.total - worst["weights"])
        return (
            f"the weights alone, {units.gb(worst['weights']):,.2f} GB, leave out {rest:,.2f} GB of cache and runtime."
        )


def _groups(gpus: tuple, usable: float) -> list:
    """Bars for the drawing: GPUs that need the same share one."""
    bars, first = [], 0
    for number in range(1, len(gpus) + 1):
        if number == len(gpus) or dict(gpus[number]) != dict(gpus[first]):
            name = f"GPU {first + 1}" if number - first == 1 else f"GPU {first + 1} to {number}"
            bars.append((name, dict(gpus[first]), usable))
            first = number
    return bars


def _plain(shape: cache.Attention) -> bool:
    """Whether layers, KV heads and head size are all that the cache depends on."""
    return set(shape.kinds) == {"full"}


def _formula(shape: cache.Attention, s: SimpleNamespace) -> list[str]:
    """One line for each part of the cache, with the numbers in it."""
    size = f"{float(cache.DTYPES[s.cache]):g} bytes"
    text = f"{s.tokens:,} tokens × {count(s.batch, 'sequence')}"
    kinds = shape.kinds.count
    lines = []
    heads = f"{shape.kv_heads:,} KV heads × {shape.head_dim:,} head size"
    if kinds("full"):
        lines.append(f"2 (K and V) × {kinds('full'):,} layers × {heads} × {text} × {size}")
    if kinds("window"):
        kept = f"{min(s.tokens, shape.window):,} tokens (at most the window of {shape.window:,}) × {s.batch:,}"
        lines.append(f"2 (K and V) × {kinds('window'):,} window layers × {heads} × {kept} × {size}")
    if kinds("latent"):
        lines.append(f"{kinds('latent'):,} layers × ({shape.latent} latent + {shape.rope} rotary) × {text} × {size}")
    if shape.index:
        lines.append(f"{kinds('latent'):,} layers × {shape.index} index key × {text} × {size}")
    if kinds("state"):
        fixed = cache.fixed_bytes(shape) * s.batch
        lines.append(f"{kinds('state'):,} layers with a fixed state, the same at any length: {fixed:,} bytes")
    return [("" if n == 0 else "+ ") + line for n, line in enumerate(lines)]


def _mistake(record, shape: cache.Attention, s: SimpleNamespace, total) -> str:
    """What a common slip would make of the same numbers."""
    heads = record.attention_heads if record else 0
    if shape.latent:
        nope, rope, value = (record.get(f"mla_{n}_head_dim") for n in ("qk_nope", "qk_rope", "v"))
        full = len(shape.kinds) * heads * (nope + rope + value) * s.tokens * s.batch * cache.DTYPES[s.cache]
        return (
            f"keys and values of all {heads} heads instead of the latent would give {float(full / total):,.0f} times."
        )
    if {"window", "state"} & set(shape.kinds):
        every = {"layers": len(shape.kinds), "kv_heads": shape.kv_heads, "head_dim": shape.head_dim}
        wrong = cache.cache(every, s.tokens, s.batch, s.cache).total / total
        return f"counting all {len(shape.kinds)} layers as if each kept every token would give {wrong:,.2f} times."
    if heads > shape.kv_heads:
        times = heads / shape.kv_heads
        return (
            f"the {heads} query heads instead of the {shape.kv_heads} KV heads would give {times:g} times: "
            f"{units.gb(total * times):,.2f} GB."
        )
    return f"keys alone, without the values, would give half: {units.gb(total / 2):,.2f} GB."
