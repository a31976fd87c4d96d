"""The key-value cache, written out: a Llama forward pass by hand with a cache that can be grown, cut and broken.

Letters in shapes: B batch, L query length, S key length, H heads, K key-value heads, D head size."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch.nn import functional

Cache = list[tuple[torch.Tensor, torch.Tensor]]  # one (keys, values) a layer, each (B, K, S, D)


@dataclass(frozen=True)
class Step:
    """One step of generation: `tokens` in the text, rows of K and V `computed` now and `reused` from the cache."""

    tokens: int
    computed: int
    reused: int


def growth(prompt: int, new: int, cached: bool) -> list[Step]:
    """The steps that generate `new` tokens after `prompt` tokens: what each computes, with or without a cache.

    The first step is the prefill: it reads the prompt and gives the first new token."""
    steps = []
    for i in range(new):
        tokens = prompt + i
        computed = tokens if i == 0 or not cached else 1
        steps.append(Step(tokens, computed, tokens - computed))
    return steps


def attend(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Causal grouped-query attention of the newest L positions over all S positions.

    q (B, H, L, D); keys, values (B, K, S, D) -> (B, H, L, D). Query head h reads key-value head h // (H / K); query l
    stands at position S - L + l and sees the keys up to there. Vaswani et al. 2017; Ainslie et al. 2023 (GQA)."""
    group = q.shape[1] // keys.shape[1]
    keys = keys.repeat_interleave(group, dim=1)  # (B, H, S, D)
    values = values.repeat_interleave(group, dim=1)  # (B, H, S, D)
    scores = q @ keys.mT / math.sqrt(q.shape[-1])  # (B, H, L, S)
    length, total = scores.shape[-2:]
    unseen = torch.ones(length, total, dtype=torch.bool, device=q.device).triu(total - length + 1)
    return scores.masked_fill(unseen, float("-inf")).softmax(-1) @ values


def append(cache: tuple | None, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One layer's cache with the new rows behind the old ones: (B, K, S, D) and (B, K, L, D) -> (B, K, S + L, D)."""
    if cache is None:
        return keys, values
    return torch.cat([cache[0], keys], dim=2), torch.cat([cache[1], values], dim=2)


@torch.no_grad()
def forward(model, ids: torch.Tensor, cache: Cache | None = None, first_position: int | None = None, window: int = 0):
    """A Llama model's forward pass by hand: (logits (B, L, vocabulary), the cache after it).

    ids (B, L) are the tokens that `cache` does not hold yet. `first_position` (default: the length of the cache) is
    only there to be set wrong; `window` keeps that many newest rows for the *next* step (0: all)."""
    start = cache[0][0].shape[2] if cache else 0
    start = start if first_position is None else first_position
    positions = torch.arange(start, start + ids.shape[1], device=ids.device)
    x = model.model.embed_tokens(ids)
    grown: Cache = []
    for number, layer in enumerate(model.model.layers):
        normed = layer.input_layernorm(x)
        q, k, v = (_heads(p(normed), layer.self_attn.head_dim) for p in _projections(layer))
        q, k = (rotate(t, positions, model.model.rotary_emb.inv_freq) for t in (q, k))
        keys, values = append(cache[number] if cache else None, k, v)
        grown.append((keys[:, :, -window:], values[:, :, -window:]) if window else (keys, values))
        mixed = attend(q, keys, values)  # (B, H, L, D)
        x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.lm_head(model.model.norm(x)), grown


def rotate(x: torch.Tensor, positions: torch.Tensor, frequencies: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding of x (B, H, L, D) at `positions` (L): each pair of values (i, i + D/2) is turned by
    position x frequency i. Su et al. 2021."""
    angles = torch.outer(positions.float(), frequencies)  # (L, D / 2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def cache_bytes(cache: Cache) -> int:
    """Bytes that the cache's tensors hold: values x bytes a value, keys and values of every layer."""
    return sum(t.numel() * t.element_size() for pair in cache for t in pair)


def from_transformers(cache) -> Cache:
    """The tensors of a transformers DynamicCache, as one (keys, values) a layer."""
    return [(layer.keys, layer.values) for layer in cache.layers]


@dataclass(frozen=True)
class Timing:
    """Seconds of one generation: `prefill` until the first new token, `decode` for the others; `ids` has them all."""

    prefill: float
    decode: float
    ids: list[int]


@torch.no_grad()
def timed_generation(model, ids: torch.Tensor, new: int, cached: bool) -> Timing:
    """Greedy generation of `new` tokens after ids (1, L) through the model's own forward pass, timed.

    Without a cache every step reads the whole text again. The first new token belongs to the prefill."""
    made: list[int] = []
    text, memory = ids, None
    started = time.perf_counter()
    prefill = 0.0
    for step in range(new):
        fresh = text if step == 0 or not cached else text[:, -1:]
        out = model(input_ids=fresh, past_key_values=memory, use_cache=cached, logits_to_keep=1)
        memory = out.past_key_values if cached else None
        token = out.logits[:, -1].argmax(-1, keepdim=True)
        made.append(token.item())
        text = torch.cat([text, token], dim=1)
        _wait(ids.device)
        if step == 0:
            prefill = time.perf_counter() - started
    return Timing(prefill, time.perf_counter() - started - prefill, made)


def quantize(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric rounding of each row of D values to `bits` bits: (whole numbers (B, K, S, D) int8, scales (B, K, S, 1)).

    A row's scale is its largest magnitude / (2**(bits - 1) - 1). 4-bit numbers are kept one a byte here: count them
    as half a byte in memory sums, which is how a real kernel packs them."""
    if bits not in (4, 8):
        raise ValueError(f"bits is {bits}, but this lab rounds to 4 or 8 bits.")
    top = 2 ** (bits - 1) - 1
    scales = x.abs().amax(-1, keepdim=True).clamp(min=1e-12) / top
    return (x / scales).round().clamp(-top, top).to(torch.int8), scales


def dequantize(numbers: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The values that `quantize` stands for."""
    return numbers.to(scales.dtype) * scales


def rounded(cache: Cache, bits: int) -> Cache:
    """The cache after a trip through `bits` bits."""
    return [tuple(dequantize(*quantize(t, bits)) for t in pair) for pair in cache]


def quantized_bytes(cache: Cache, bits: int, scale_bytes: int = 2) -> int:
    """Bytes of the cache at `bits` a value with one scale of `scale_bytes` for each row of D values."""
    values = sum(t.numel() for pair in cache for t in pair)
    rows = sum(t.numel() // t.shape[-1] for pair in cache for t in pair)
    return values * bits // 8 + rows * scale_bytes


def _projections(layer):
    return layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj


def _heads(x: torch.Tensor, head_dim: int) -> torch.Tensor:
    """(B, L, heads x D) -> (B, heads, L, D)."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def kl_divergence(logits: torch.Tensor, reference: torch.Tensor) -> float:
    """How far next-token distributions lie from the reference ones: mean KL(reference || ours) in bits."""
    ours, wanted = functional.log_softmax(logits, -1), functional.log_softmax(reference, -1)
    return (wanted.exp() * (wanted - ours)).sum(-1).mean().item() / math.log(2)
