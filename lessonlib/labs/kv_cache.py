"""The key-value cache, written out: a Llama forward pass by hand with a cache that can be grown, cut and broken.

Letters in shapes: B batch, L query length, S key length, H heads, K key-value heads, D head size."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from torch.nn import functional

from ..models import shapes

Cache = list[tuple[torch.Tensor, torch.Tensor]]  # one (keys, values) a layer, each (B, K, S, D)

# Two plain stories, in words that small models know; written for this course.
STORY = (
    "Lily had a red ball. She played with it in the park every day. One day the ball rolled down the hill and into the "
    "water. Lily was sad. She wanted her ball back, but the water was cold and deep. Her friend Tom saw her and ran to "
    "help. He got a long stick and pulled the ball out of the water. Lily was happy again. She said thank you to Tom, "
    "and they played with the red ball until the sun went down. Then they went home, and Lily told her mom about her day."
)
OTHER_STORY = (
    "The farmer had a brown cow and a small goat. Each morning he gave them grass and water, and then he walked to the "
    "well. One morning the gate was open and the goat was gone. The farmer looked in the barn, behind the house and "
    "under the old tree. At last he heard a noise from the kitchen. The goat stood on the table and ate all the bread. "
    "The farmer laughed so much that he had to sit down. From that day on he closed the gate every night before bed."
)


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


def attend(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, window: int = 0) -> torch.Tensor:
    """Causal grouped-query attention of the newest L positions over all S positions.

    q (B, H, L, D); keys, values (B, K, S, D) -> (B, H, L, D). Query head h reads key-value head h // (H / K); query l
    stands at position S - L + l and sees the keys up to there, or only the last `window` of them (itself included).
    Vaswani et al. 2017; Ainslie et al. 2023 (GQA); Beltagy et al. 2020 (windows)."""
    group = q.shape[1] // keys.shape[1]
    keys = keys.repeat_interleave(group, dim=1)  # (B, H, S, D)
    values = values.repeat_interleave(group, dim=1)  # (B, H, S, D)
    scores = q @ keys.mT / math.sqrt(q.shape[-1])  # (B, H, L, S)
    length, total = scores.shape[-2:]
    every = torch.ones(length, total, dtype=torch.bool, device=q.device)
    unseen = every.triu(total - length + 1)
    if window:
        unseen |= every.tril(total - length - window)
    return scores.masked_fill(unseen, float("-inf")).softmax(-1) @ values


def append(cache: tuple | None, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """One layer's cache with the new rows behind the old ones: (B, K, S, D) and (B, K, L, D) -> (B, K, S + L, D)."""
    if cache is None:
        return keys, values
    return torch.cat([cache[0], keys], dim=2), torch.cat([cache[1], values], dim=2)


@torch.no_grad()
def forward(
    model, ids: torch.Tensor, cache: Cache | None = None, first_position: int | None = None, window: int = 0,
    attend=attend, append=append,
):  # fmt: skip
    """A Llama model's forward pass by hand: (logits (B, L, vocabulary), the cache after it).

    ids (B, L) are the tokens that `cache` does not hold yet; they stand at `first_position` (default: the rows in the
    cache) and after. With a `window` each token sees only that many, itself included, and the cache keeps only the
    window - 1 rows that the next token will need: it no longer says how long the text is, so `first_position` must.
    `attend` and `append` may be someone else's."""
    start = cache[0][0].shape[2] if cache else 0
    if window and cache and first_position is None:
        raise ValueError(f"A cache with a window of {window} does not know how long the text is: give first_position.")
    start = start if first_position is None else first_position
    positions = torch.arange(start, start + ids.shape[1], device=ids.device)
    mix = partial(attend, window=window) if window else attend
    x = model.model.embed_tokens(ids)  # (B, L, hidden)
    grown: Cache = []
    for number, layer in enumerate(model.model.layers):
        normed = layer.input_layernorm(x)
        q, k, v = (_heads(p(normed), layer.self_attn.head_dim) for p in _projections(layer))  # (B, H or K, L, D)
        q, k = (rotate(t, positions, model.model.rotary_emb.inv_freq) for t in (q, k))
        keys, values = append(cache[number] if cache else None, k, v)  # (B, K, S, D)
        grown.append(last_rows(keys, values, window - 1) if window else (keys, values))
        mixed = mix(q, keys, values)  # (B, H, L, D)
        x = x + layer.self_attn.o_proj(mixed.transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.lm_head(model.model.norm(x)), grown


def last_rows(keys: torch.Tensor, values: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Copies of the newest `rows` rows of one layer's cache: a view would keep the dropped rows in memory."""
    first = max(0, keys.shape[2] - rows)
    return keys[:, :, first:].clone(), values[:, :, first:].clone()


def write(model, ids: torch.Tensor, new: int, cache: Cache | None = None, first_position: int | None = None):
    """Greedy continuation by hand: the `new` token ids (B, new) that follow ids on top of `cache`."""
    made, fresh = [], ids
    for _ in range(new):
        logits, cache = forward(model, fresh, cache, first_position)
        first_position = None if first_position is None else first_position + fresh.shape[1]
        fresh = logits[:, -1:].argmax(-1)
        made.append(fresh)
    return torch.cat(made, dim=1)


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


@torch.no_grad()
def cache_of_shape(architecture, tokens: int, kv_heads: int | None = None, thin: bool = True) -> Cache:
    """The cache that transformers builds for one sequence of `tokens` tokens through a real architecture on the meta
    device: every tensor has its true shape and dtype (bfloat16), and no memory is used.

    `architecture` is a record of the fact base; `kv_heads` asks what if it had another number of them. `thin` shrinks
    what does not shape the cache."""
    fields = {name: architecture.get(name) for name in (*shapes.NEEDED, "name", "tied_embeddings")}
    fields["kv_heads"] = kv_heads or fields["kv_heads"]
    model = shapes.build(fields, thin=thin)
    ids = torch.zeros(1, tokens, dtype=torch.long, device="meta")
    return from_transformers(model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values)


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


def made_up_ids(model, tokens: int) -> torch.Tensor:
    """A prompt (1, tokens) of ids spread over the vocabulary: speed does not depend on what they say."""
    return (torch.arange(tokens, device=model.device) * 7919 % model.config.vocab_size)[None]


@dataclass(frozen=True)
class Speed:
    """Medians at one prompt length: seconds of the prefill, and seconds a further token with and without a cache."""

    tokens: int
    prefill: float
    cached: float
    uncached: float


def speed(model, lengths, new: int = 5, rounds: int = 3) -> list[Speed]:
    """Greedy generation of `new` tokens after prompts of `lengths` tokens, with and without a cache.

    One warm-up first; the order of the two alternates from round to round, and medians are kept. Values do not matter
    for speed, so the prompts are made-up ids. Both ways must give the same tokens: RuntimeError otherwise."""
    timed_generation(model, made_up_ids(model, lengths[0]), 2, cached=True)
    results = []
    for tokens in lengths:
        ids, runs = made_up_ids(model, tokens), {True: [], False: []}
        for number in range(rounds):
            for cached in (True, False) if number % 2 == 0 else (False, True):
                runs[cached].append(timed_generation(model, ids, new, cached))
        if len({tuple(run.ids) for run in runs[True] + runs[False]}) > 1:
            raise RuntimeError(f"With and without a cache the model wrote different tokens after {tokens}.")
        a_token = {c: median(run.decode / (new - 1) for run in runs[c]) for c in runs}
        results.append(Speed(tokens, median(run.prefill for run in runs[True]), a_token[True], a_token[False]))
    return results


def quantize(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric rounding of each row of D values to whole numbers of 8 or 4 bits, with one 16-bit scale a row.

    x (B, K, S, D) -> numbers and scales (B, K, S, 1). 8 bits: int8 (B, K, S, D). 4 bits: uint8 (B, K, S, D / 2), two
    numbers a byte. The largest magnitude of a row becomes 127 or 7."""
    top = _top(bits)
    scales = (x.abs().amax(-1, keepdim=True) / top).clamp(min=1e-4).half()
    numbers = (x / scales.float()).round().clamp(-top, top).to(torch.int8)
    if bits == 8:
        return numbers, scales
    low, high = (numbers + 8).to(torch.uint8).chunk(2, dim=-1)
    return low | (high << 4), scales


def dequantize(numbers: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """The float32 values that `quantize` stands for: each within half a scale of the value that went in."""
    if numbers.dtype == torch.uint8:
        numbers = torch.cat([numbers & 15, numbers >> 4], dim=-1).to(torch.int8) - 8
    return numbers.float() * scales.float()


def stored(cache: Cache, bits: int) -> tuple[Cache, int]:
    """The cache after it was stored at `bits` (16, 8 or 4) a value, and the bytes of the tensors that stored it."""
    dtype = cache[0][0].dtype
    if bits == 16:
        small = [tuple(t.half() for t in pair) for pair in cache]
        return [tuple(t.to(dtype) for t in pair) for pair in small], cache_bytes(small)
    small = [tuple(quantize(t, bits) for t in pair) for pair in cache]
    back = [tuple(dequantize(*parts).to(dtype) for parts in pair) for pair in small]
    return back, sum(t.numel() * t.element_size() for pair in small for parts in pair for t in parts)


def transformers_cache(config, kind: str):
    """A transformers cache of `kind`: "dynamic", "fp8" (8-bit floating point) or "quanto" (4 bits).

    None where this installation cannot make it: "quanto" needs the package optimum-quanto, "fp8" a transformers that
    has it."""
    from transformers import DynamicCache, QuantizedCache

    options = dict(nbits=4, q_group_size=32, residual_length=1) if kind == "quanto" else {}
    try:
        return DynamicCache(config=config) if kind == "dynamic" else QuantizedCache(kind, config=config, **options)
    except (ImportError, ValueError, TypeError):
        return None


@torch.no_grad()
def change_in_transformers(model, ids: torch.Tensor, split: int, kind: str) -> float | None:
    """What a transformers cache of `kind` does to the predictions after token `split`: mean KL divergence in bits from
    those of the dynamic cache. None where this installation cannot make such a cache."""
    logits = []
    for name in ("dynamic", kind):
        cache = transformers_cache(model.config, name)
        if cache is None:
            return None
        model(input_ids=ids[:, :split], past_key_values=cache)
        logits.append(model(input_ids=ids[:, split:], past_key_values=cache).logits)
    return kl_divergence(logits[1], logits[0])


def kl_divergence(logits: torch.Tensor, reference: torch.Tensor) -> float:
    """How far next-token distributions lie from the reference ones: mean KL(reference || ours) in bits, 0 for equal."""
    ours, wanted = functional.log_softmax(logits.float(), -1), functional.log_softmax(reference.float(), -1)
    return (wanted.exp() * (wanted - ours)).sum(-1).mean().item() / math.log(2)


def _top(bits: int) -> int:
    if bits not in (4, 8):
        raise ValueError(f"bits is {bits}, but this lab rounds to 4 or 8 bits: choose one of them.")
    return 2 ** (bits - 1) - 1


def _projections(layer):
    return layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj


def _heads(x: torch.Tensor, head_dim: int) -> torch.Tensor:
    """(B, L, heads x D) -> (B, heads, L, D)."""
    return x.unflatten(-1, (-1, head_dim)).transpose(1, 2)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
