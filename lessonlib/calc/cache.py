"""Memory of everything that a model keeps about its text: keys and values, latent vectors, index keys and states.

A model is a record of the fact base or a mapping with the same fields (see `architecture.fields`); the arithmetic with
plain numbers is in `memory`. All results are exact bytes; the parts carry the names of PARTS."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction

from . import architecture
from .breakdown import Breakdown, whole
from .memory import kv_heads_per_gpu
from .units import positive

PARTS = ("full_attention", "sliding_window", "latent", "index", "recurrent_state", "conv_state")
# Bytes of one cached value. q8_0 and q4_0 are llama.cpp's cache types: blocks of 32 values with a 16-bit scale.
DTYPES = {
    "bf16": Fraction(2),
    "fp16": Fraction(2),
    "fp32": Fraction(4),
    "fp8": Fraction(1),
    "int8": Fraction(1),
    "int4": Fraction(1, 2),
    "q8_0": Fraction(34, 32),
    "q5_1": Fraction(24, 32),
    "q5_0": Fraction(22, 32),
    "q4_1": Fraction(20, 32),
    "q4_0": Fraction(18, 32),
}
SPELLINGS = {
    "bfloat16": "bf16", "float16": "fp16", "f16": "fp16", "half": "fp16", "float32": "fp32", "f32": "fp32",
    "float8": "fp8", "fp8_e4m3": "fp8", "fp8_e5m2": "fp8", "float8_e4m3fn": "fp8", "16bit": "bf16", "8bit": "fp8",
    "4bit": "int4", "auto": "bf16",
}  # fmt: skip
GROUP_BYTES = 4  # a 16-bit scale and a 16-bit zero point for each group of a quantized cache
STATE_BYTES = {"deltanet": 2, "mamba": 4}  # of one value of a recurrent state, as engines keep them by default


@dataclass(frozen=True)
class Attention:
    """What the cache depends on, read from a model once. `kinds`: one word a layer, of "full", "window", "latent",
    "state", "conv" (a short convolution alone, as wide as the hidden size) and "none"."""

    name: str
    kinds: tuple[str, ...]
    kv_heads: int
    head_dim: int
    window: int
    latent: int
    rope: int
    index: int
    state: str
    state_heads: int
    state_keys: int
    state_head: int
    state_size: int
    conv_kernel: int
    hidden: int = 0


def cache(
    model, tokens: int, batch: int = 1, dtype="bf16", *, group: int | None = None, block: int = 1, tp: int = 1,
    layers: range | None = None, state_dtype=None,
) -> Breakdown:  # fmt: skip
    """Bytes that `batch` sequences of `tokens` tokens keep, by part (only parts that the model has).

    full_attention: 2 x layers x K x D x S x B x bytes a value; sliding_window: the same with min(S, window); latent
    (MLA): layers x (rank + rotary key) x S x B; index: the keys of DeepSeek's sparse attention; recurrent_state and
    conv_state: the same at any length (DeltaNet in 16 bits, Mamba-2 in 32; the last inputs of the convolution in 16).

    `dtype`: a name of DTYPES, or bytes a value (2, 0.5); recurrent and conv states keep theirs. `group`: count a 16-bit
    scale and zero point for so many values, as quantized caches in groups keep them (transformers' QuantizedCache).
    `block`: round the tokens of a sequence up to whole blocks, as paged caches do (16 in vLLM). `tp`: what one of so
    many tensor-parallel GPUs holds. `layers`: only these (a pipeline stage).

    Sources: shapes of the tensors, as in `memory.kv_cache_bytes`; DeepSeek-V2, section 2.1 (MLA)."""
    shape, options = attention(model), dict(group=group, block=block, tp=tp, layers=layers, state_dtype=state_dtype)
    return attention_cache(shape, tokens, batch, dtype, **options)


def bytes_per_token(model, dtype="bf16", *, tokens: int | None = None, group: int | None = None) -> float:
    """Bytes that each further token adds to the cache of one sequence, once every window is full; with `tokens`, what
    the token after so many adds."""
    shape = attention(model)
    at = max(shape.window, 1) if tokens is None else positive("tokens", tokens, zero=True)
    more = attention_cache(shape, at + 1, 1, dtype, group=group).total
    return whole(Fraction(more) - Fraction(attention_cache(shape, at, 1, dtype, group=group).total))


def fixed_bytes(model) -> int:
    """Bytes of one sequence that do not depend on its length: recurrent and conv states. 0 for most models."""
    return attention_cache(attention(model), 0).total


def formula(
    model, tokens: int, batch: int = 1, dtype="bf16", *, group: int | None = None, block: int = 1
) -> str:  # fmt: skip
    """The arithmetic of `cache` in words, with the numbers in it: one line for each part that the model has."""
    shape, size = attention(model), f"{float(value_bytes(dtype, group)):g} bytes"
    parts = attention_cache(shape, tokens, batch, dtype, group=group, block=block)
    held, kept = (-(-n // block) * block for n in (tokens, shape.window))
    count, times = shape.kinds.count, f" x {batch} sequences" if batch > 1 else ""
    keys = f"{shape.kv_heads} KV heads x {shape.head_dim} values"
    window, at = f"{min(held, kept):,} tokens", f"{held:,} tokens"
    state = f"{shape.state_heads} heads x {shape.state_head} x {shape.state_size} x {STATE_BYTES[shape.state]} bytes"
    channels = _conv_channels(shape, 1) if "state" in shape.kinds else 0
    taps = f"{channels:,} channels x {shape.conv_kernel} inputs x 2 bytes"
    words = {
        "full_attention": f"2 (K and V) x {count('full')} layers x {keys} x {at}{times} x {size}",
        "sliding_window": f"2 (K and V) x {count('window')} layers x {keys} x {window}{times} x {size}",
        "latent": f"{count('latent')} layers x ({shape.latent} latent + {shape.rope} rotary values) x {at}{times} x {size}",
        "index": f"{count('latent')} layers x {shape.index} index values x {at}{times} x {size}",
        "recurrent_state": f"{count('state')} layers x {state}{times}",
        "conv_state": f"{count('state')} layers x {taps}{times}",
    }
    if "conv" in shape.kinds:
        words["conv_state"] = (
            f"{count('conv')} layers x {shape.hidden:,} channels x {shape.conv_kernel} inputs x 2 bytes{times}"
        )
    if str(dtype).lower() == "fp8_ds_mla":
        each = shape.latent + shape.latent // 32 + 2 * shape.rope
        words["latent"] = f"{count('latent')} layers x {each} bytes (8-bit latent, scales, 16-bit rotary) x {at}{times}"
        words["index"] = f"{count('latent')} layers x {shape.index * 33 // 32} bytes x {at}{times}"
    return "\n".join(f"{words[name]} = {value:,.15g} bytes" for name, value in parts.items())


def tokens_that_fit(budget_bytes: float, model, batch: int = 1, dtype="bf16", **options) -> int:
    """The most tokens for each of `batch` sequences whose caches take at most `budget_bytes` together; 0 when not even
    the states fit. `options` as for `cache`."""
    positive("budget_bytes", budget_bytes, whole=False, zero=True)
    shape = attention(model)
    if not {"full", "latent"} & set(shape.kinds):
        raise ValueError(
            f"The cache of {shape.name} stops growing once its windows are full: memory sets no bound to its context."
        )
    high = 1
    while attention_cache(shape, high, batch, dtype, **options).total <= budget_bytes:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        fits = attention_cache(shape, middle, batch, dtype, **options).total <= budget_bytes
        low, high = (middle, high) if fits else (low, middle)
    return low


def attention_cache(
    shape: Attention, tokens: int, batch: int = 1, dtype="bf16", *, group: int | None = None, block: int = 1,
    tp: int = 1, layers: range | None = None, state_dtype=None,
) -> Breakdown:  # fmt: skip
    """`cache` of a model whose shape is known (see `attention`)."""
    positive("tokens", tokens, zero=True)
    positive("batch", batch)
    positive("block", block)
    positive("tp", tp)
    size, latent_only = value_bytes(dtype, group), str(dtype).lower() == "fp8_ds_mla"
    kinds = shape.kinds if layers is None else [shape.kinds[i] for i in layers]
    held = -(-tokens // block) * block
    parts = dict.fromkeys(PARTS, Fraction(0))
    full, window, latent, state = (kinds.count(kind) for kind in ("full", "window", "latent", "state"))
    if latent_only and not shape.latent:
        raise ValueError(f"The cache type fp8_ds_mla is for latent attention (MLA), which {shape.name} has not.")
    if full or window:
        one = 2 * kv_heads_per_gpu(shape.kv_heads, tp) * shape.head_dim * size * batch
        parts["full_attention"] = full * one * held
        parts["sliding_window"] = window * one * min(held, -(-shape.window // block) * block)
    if latent:
        values, keys = (shape.latent + shape.rope) * size, shape.index * size
        if latent_only:  # 8-bit latent with a 32-bit scale for 128 values, rotary key in 16 bits, 8-bit index keys
            values, keys = shape.latent + Fraction(shape.latent, 32) + 2 * shape.rope, Fraction(shape.index * 33, 32)
        parts["latent"], parts["index"] = latent * values * held * batch, latent * keys * held * batch
    if state:
        parts["recurrent_state"] = state * batch * _state(shape, tp, state_dtype)
        parts["conv_state"] = Fraction(state * batch * 2 * _conv_channels(shape, tp) * shape.conv_kernel)
    if conv := kinds.count("conv"):
        parts["conv_state"] = Fraction(2 * conv * batch * _share(shape.hidden, tp) * shape.conv_kernel)
    there = _there(shape)
    notes = ("Every GPU holds the whole latent cache: it has no heads to split.",) if latent and tp > 1 else ()
    if (full or window) and tp > shape.kv_heads:
        notes += (f"There are {shape.kv_heads} key-value heads for {tp} GPUs: several hold the same head.",)
    return Breakdown({name: whole(parts[name]) for name in PARTS if name in there}, notes=notes)


def value_bytes(dtype, group: int | None = None) -> Fraction:
    """Bytes of one cached value: of a name of DTYPES, or a number of bytes; with its share of a group's scales."""
    if group is not None:
        positive("group", group)
    if isinstance(dtype, (int, float)) and not isinstance(dtype, bool):
        size = Fraction(positive("bytes a value", dtype, whole=False))
    else:
        key = str(dtype).lower().strip()
        key = SPELLINGS.get(key, key)
        if key == "fp8_ds_mla":
            key = "fp8"
        if key not in DTYPES:
            near = get_close_matches(key, DTYPES, n=2, cutoff=0.4)
            hint = f" Nearest: {', '.join(near)}." if near else ""
            raise ValueError(f"There is no cache type {dtype!r}; there are {', '.join(DTYPES)}, fp8_ds_mla.{hint}")
        size = DTYPES[key]
    return size + (Fraction(GROUP_BYTES, group) if group else 0)


def attention(model) -> Attention:
    """What the cache of a model depends on; ValueError names a missing field."""
    if isinstance(model, Attention):
        return model
    get = architecture.fields(model)
    name = str(get("name") or get("id") or "the model")
    kinds = layer_kinds(model)
    needed = {"latent": ("mla_kv_lora_rank", "mla_qk_rope_head_dim")}
    needed |= dict.fromkeys(("full", "window"), ("kv_heads", "head_dim"))
    missing = sorted({f for kind in set(kinds) for f in needed.get(kind, ()) if not get(f)})
    if "window" in kinds and not get("attention_window"):
        missing.append("attention_window")
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}: its cache cannot be computed without.")
    mamba = bool(get("mamba_heads"))
    return Attention(
        name=name,
        kinds=kinds,
        kv_heads=get("kv_heads") or 0,
        head_dim=get("head_dim") or 0,
        window=get("attention_window") or 0 if "window" in kinds else 0,
        latent=get("mla_kv_lora_rank") or 0,
        rope=get("mla_qk_rope_head_dim") or 0,
        index=get("sparse_index_head_dim") or 0,
        state="mamba" if mamba else "deltanet",
        state_heads=(get("mamba_heads") if mamba else get("linear_value_heads")) or 0,
        state_keys=(get("mamba_groups") if mamba else get("linear_key_heads")) or 0,
        state_head=(get("mamba_head_dim") if mamba else get("linear_value_head_dim") or get("linear_head_dim")) or 0,
        state_size=(get("mamba_state_size") if mamba else get("linear_head_dim")) or 0,
        conv_kernel=(get("mamba_conv_kernel") if mamba else get("linear_conv_kernel")) or 0,
        hidden=get("hidden_size") or 0,
    )


def layer_kinds(model) -> tuple[str, ...]:
    """The kind of each layer: "full", "window" (also chunked), "latent", "state" (DeltaNet, Mamba-2), "conv" or
    "none" (no mixing of tokens)."""
    words = {"full_attention": "full", "sliding_attention": "window", "linear_attention": "state", "conv": "conv"}
    latent = architecture.fields(model)("mla_kv_lora_rank")
    kinds = (words.get(kind, "none") for kind in architecture.layer_types(model))
    return tuple("latent" if latent and kind == "full" else kind for kind in kinds)


def _state(shape: Attention, tp: int, dtype=None) -> Fraction:
    """Bytes of the recurrent state of one layer of one sequence on one GPU."""
    size = Fraction(STATE_BYTES[shape.state]) if dtype is None else value_bytes(dtype)
    return _share(shape.state_heads, tp) * shape.state_head * shape.state_size * size


def _conv_channels(shape: Attention, tp: int) -> int:
    """Channels of the convolution whose last inputs one layer keeps on one GPU."""
    own = _share(shape.state_heads, tp) * shape.state_head
    return own + 2 * _share(shape.state_keys, tp) * shape.state_size


def _share(heads: int, tp: int) -> int:
    """Heads of one GPU: a share, or one replicated head when there are more GPUs."""
    if max(heads, tp) % min(heads, tp):
        raise ValueError(f"tp is {tp} and there are {heads} state heads, but one must divide the other.")
    return max(1, heads // tp)


def _there(shape: Attention) -> set[str]:
    kinds = {"full": ["full_attention"], "window": ["sliding_window"], "latent": ["latent"], "none": []}
    kinds |= {"state": ["recurrent_state", "conv_state"], "conv": ["conv_state"]}
    names = {name for kind in set(shape.kinds) for name in kinds[kind]}
    return names | ({"index"} if shape.index else set())
