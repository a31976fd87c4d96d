"""Memory of weights and of the key-value cache, alone and split over GPUs. All results are bytes.

Letters as in the whole course: B batch, S tokens in the cache, H query heads, K key-value heads, D head size."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .units import GIB, positive

# What a group of 4-bit weights adds to the file: a 16-bit scale and a 4-bit zero point.
GROUP_BITS = 16 + 4
# Bits that a group-128 4-bit weight takes in a file: 4.15625.
AWQ_BITS = Fraction(4) + Fraction(GROUP_BITS, 128)


@dataclass(frozen=True)
class Budget:
    """Bytes on one GPU. `total` is the sum of the parts; `fits` compares it with the card."""

    weights: float
    cache: float
    overhead: float

    @property
    def total(self) -> float:
        """weights + cache + overhead, bytes."""
        return self.weights + self.cache + self.overhead

    def fits(self, card_bytes: float) -> bool:
        """Whether the total is at most the card's bytes."""
        return self.total <= positive("card_bytes", card_bytes, whole=False)


def kv_cache_bytes(
    *, layers: int, kv_heads: int, head_dim: int, tokens: int, batch: int = 1, bytes_per_value: float = 2
) -> float:
    """Bytes of a key-value cache: 2 (K and V) x layers x K x D x S x B x bytes a value.

    Source: the shapes of the two tensors that attention keeps in each layer, (B, K, S, D) each. `bytes_per_value` is
    2 for 16 bits, 1 for 8, 0.5 for 4 (scales of quantized caches come on top)."""
    for name, value in dict(layers=layers, kv_heads=kv_heads, head_dim=head_dim, batch=batch).items():
        positive(name, value)
    positive("tokens", tokens, zero=True)
    size = _exact("bytes_per_value", bytes_per_value)
    return _whole(2 * layers * kv_heads * head_dim * tokens * batch * size)


def kv_bytes_per_token(*, layers: int, kv_heads: int, head_dim: int, bytes_per_value: float = 2) -> float:
    """Bytes that each further token adds to the cache of one sequence: 2 x layers x K x D x bytes a value."""
    return kv_cache_bytes(
        layers=layers, kv_heads=kv_heads, head_dim=head_dim, tokens=1, bytes_per_value=bytes_per_value
    )


def sliding_cache_bytes(
    *,
    layers: int,
    window_layers: int,
    window: int,
    kv_heads: int,
    head_dim: int,
    tokens: int,
    batch: int = 1,
    bytes_per_value: float = 2,
) -> float:
    """Bytes of the cache when `window_layers` of the `layers` keep only the last `window` tokens of a sequence."""
    positive("layers", layers)
    positive("window_layers", window_layers, zero=True)
    positive("window", window)
    positive("tokens", tokens, zero=True)
    if window_layers > layers:
        raise ValueError(f"window_layers is {window_layers}, but the model has only {layers} layers.")
    one_layer = dict(layers=1, kv_heads=kv_heads, head_dim=head_dim, batch=batch, bytes_per_value=bytes_per_value)
    full = (layers - window_layers) * kv_cache_bytes(tokens=tokens, **one_layer)
    return _whole(full + window_layers * kv_cache_bytes(tokens=min(tokens, window), **one_layer))


def tokens_that_fit(
    budget_bytes: float, *, layers: int, kv_heads: int, head_dim: int, batch: int = 1, bytes_per_value: float = 2
) -> int:
    """The most tokens for each of `batch` sequences whose caches take at most `budget_bytes` together."""
    positive("budget_bytes", budget_bytes, whole=False, zero=True)
    one = kv_cache_bytes(
        layers=layers, kv_heads=kv_heads, head_dim=head_dim, tokens=1, batch=batch, bytes_per_value=bytes_per_value
    )
    return int(Fraction(budget_bytes) // Fraction(one))


def weight_bytes(parameters: int, bits: float) -> float:
    """Bytes of `parameters` weights at `bits` each, all alike: parameters x bits / 8."""
    positive("parameters", parameters)
    return _whole(parameters * _exact("bits", bits) / 8)


def awq_weight_bytes(parameters: int, embedding_parameters: int, tied: bool) -> float:
    """Bytes of a group-128 4-bit file: embedding and output matrices stay in 16 bits, the others take 4.15625 bits.

    `embedding_parameters` counts one matrix (vocabulary x hidden); an untied model has two of them. Norms are counted
    with the linear weights (they are some millionths of the whole). Source: the layout of AWQ files, one scale and one
    zero point for 128 weights; the fact base's `awq_g128_estimate`.

    A rule that needs no list of tensors. `weights.weights(model, "awq")` counts real files: norms, biases and routers
    stay in 16 bits, and so do matrices whose inputs are no whole groups; for a dense model of some billion parameters
    that is 0.01 % to 0.1 % more, for small ones with odd widths much more."""
    positive("embedding_parameters", embedding_parameters, zero=True)
    kept = embedding_parameters * (1 if tied else 2)
    if kept >= positive("parameters", parameters):
        raise ValueError(f"The embeddings ({kept:,}) must be fewer than all parameters ({parameters:,}).")
    return _whole((parameters - kept) * AWQ_BITS / 8 + kept * 2)


def kv_heads_per_gpu(kv_heads: int, tp: int) -> int:
    """Key-value heads that one of `tp` tensor-parallel GPUs holds: a share, or one replicated head when tp > K."""
    positive("kv_heads", kv_heads)
    positive("tp", tp)
    if max(kv_heads, tp) % min(kv_heads, tp):
        raise ValueError(f"tp is {tp} and there are {kv_heads} key-value heads, but one must divide the other.")
    return max(1, kv_heads // tp)


def gpu_budget(
    *,
    weights: float,
    layers: int,
    attention_heads: int,
    kv_heads: int,
    head_dim: int,
    tokens: int,
    batch: int = 1,
    bytes_per_value: float = 2,
    overhead: float = 1.5e9,
    tp: int = 1,
) -> Budget:
    """Bytes on each of `tp` tensor-parallel GPUs: an equal share of the weights, the cache of its key-value heads, and
    the whole overhead (context, buffers), which every GPU pays. `weights` and `overhead` are bytes."""
    positive("weights", weights, whole=False)
    positive("overhead", overhead, whole=False, zero=True)
    positive("attention_heads", attention_heads)
    own_heads = kv_heads_per_gpu(kv_heads, tp)
    if attention_heads % kv_heads:
        raise ValueError(f"{attention_heads} query heads cannot share {kv_heads} key-value heads: it must divide.")
    if attention_heads % tp:
        raise ValueError(f"tp is {tp}, but must divide the {attention_heads} query heads.")
    cache = kv_cache_bytes(
        layers=layers,
        kv_heads=own_heads,
        head_dim=head_dim,
        tokens=tokens,
        batch=batch,
        bytes_per_value=bytes_per_value,
    )
    return Budget(weights / tp, cache, overhead)


def card_bytes(vram_gib: float) -> float:
    """Bytes of a card sold as `vram_gib` GB: vendors mean GiB, before what the driver keeps for itself."""
    return _whole(_exact("vram_gib", vram_gib) * GIB)


def passes_without_cache(prompt: int, new: int) -> int:
    """Token passes through the model to generate `new` tokens after `prompt` tokens when every step reads the whole
    text again: sum of (prompt + i) for i = 0 .. new - 1."""
    positive("prompt", prompt)
    positive("new", new, zero=True)
    return new * prompt + new * (new - 1) // 2


def passes_with_cache(prompt: int, new: int) -> int:
    """The same with a cache: the prompt once (it gives the first new token), then one pass for each further token."""
    positive("prompt", prompt)
    positive("new", new, zero=True)
    return prompt + new - 1 if new else 0


def scores_without_cache(prompt: int, new: int) -> int:
    """Query-key pairs of one head of one layer when every step reads the whole text again, with a causal mask:
    n (n + 1) / 2 for each length n = prompt .. prompt + new - 1. Cubic in the length."""
    positive("prompt", prompt)
    positive("new", new, zero=True)
    return _pyramid(prompt + new - 1) - _pyramid(prompt - 1)


def scores_with_cache(prompt: int, new: int) -> int:
    """Query-key pairs of one head of one layer, with a cache and a causal mask: what stays quadratic in the length.

    The prompt makes prompt (prompt + 1) / 2 pairs, each later token one pair with every key so far."""
    positive("prompt", prompt)
    positive("new", new, zero=True)
    if not new:
        return 0
    last = prompt + new - 1
    return last * (last + 1) // 2


def _pyramid(n: int) -> int:
    """1 + 3 + 6 + ... + n (n + 1) / 2."""
    return n * (n + 1) * (n + 2) // 6


def _exact(name: str, value: float) -> Fraction:
    """`value` without rounding, so that bytes come out to the byte at any size."""
    return Fraction(positive(name, value, whole=False))


def _whole(x):
    """An int when the bytes are whole, so that they print and compare as bytes."""
    return int(x) if x == int(x) else float(x)
