"""Attention by hand on a real layer: Q, K, V, rotary positions, the causal mask, grouped heads, and a whole forward pass.

Letters in shapes: B batch, L query length, S key length, H heads, K key-value heads, D head size. Works on any dense model
of the Llama class in transformers (also with Qwen3's normed queries and keys). Vaswani et al. 2017, Su et al. 2021."""

from __future__ import annotations

import math
from contextlib import contextmanager
from dataclasses import dataclass

import torch

# A plain story, and words of which three come back; written for this course.
STORY = (
    "Sam had a small blue boat. He put it on the lake and the wind took it far away. Sam was sad and sat down on a big "
    "stone. Then a white duck came to him. The duck said, \"I can help you.\" It swam across the lake, pushed the boat with "
    "its beak and brought it back to Sam. Sam was very happy. He gave the duck some bread and said thank you. From that day "
    "on the duck and Sam were good friends, and every morning they played with the blue boat on the lake."
)  # fmt: skip
SENTENCE = "Copy: bird lamp river stone drum\nAnswer: bird lamp river"


@dataclass(frozen=True)
class Layer:
    """One real attention layer at work: what went in and out, and what its own weights make of it."""

    hidden: torch.Tensor  # (B, L, width): the normed hidden states that the layer reads
    q: torch.Tensor  # (B, H, L, D), before positions
    k: torch.Tensor  # (B, K, S, D), before positions
    v: torch.Tensor  # (B, K, S, D)
    output: torch.Tensor  # (B, L, width): what the model's own attention gave
    weights: torch.Tensor  # (B, H, L, S): the model's own, by attn_implementation="eager"


def token_ids(tokenizer, text: str, limit: int = 0) -> torch.Tensor:
    """Ids (1, L) of a text as a document's beginning: with the begin marker where the tokenizer has one."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    ids = ([tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []) + ids
    return torch.tensor([ids[: limit or None]])


def words(tokenizer, ids: torch.Tensor) -> list[str]:
    """The tokens of ids (1, L) as readable words: a blank at the beginning is dropped, the begin marker is `<begin>`."""
    shown = []
    for token in ids[0].tolist():
        text = tokenizer.decode([token])
        shown.append("<begin>" if token == tokenizer.bos_token_id else text.strip() or repr(text))
    return shown


@torch.no_grad()
def look_into(model, ids: torch.Tensor, number: int) -> Layer:
    """Run `model` on ids (B, L) and catch layer `number` (from 0) at work, with hooks.

    Q, K and V are made again by the layer's own weights from the hidden states that it read."""
    attention, caught = attention_of(model, number), {}

    def catch(module, args, kwargs, output):
        caught["hidden"] = kwargs.get("hidden_states", args[0] if args else None)
        caught["output"], caught["weights"] = output[0], output[1]

    hook = attention.register_forward_hook(catch, with_kwargs=True)
    try:
        with eager(model):
            model(input_ids=ids.to(model.device), use_cache=False)
    finally:
        hook.remove()
    return Layer(caught["hidden"], *projections(attention, caught["hidden"]), caught["output"], caught["weights"])


def attention_of(model, number: int):
    """The attention module of layer `number`; ValueError when the model has fewer layers."""
    layers = model.model.layers
    if not 0 <= number < len(layers):
        raise ValueError(f"There is no layer {number}: this model has {len(layers)}, counted from 0.")
    return layers[number].self_attn


def projections(attention, hidden: torch.Tensor):
    """Q (B, H, L, D), K and V (B, K, L, D) of hidden states (B, L, width), without positions."""
    q, k, v = (
        p(hidden).unflatten(-1, (-1, attention.head_dim))
        for p in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    if hasattr(attention, "q_norm"):  # Qwen3 norms each head's queries and keys
        q, k = attention.q_norm(q), attention.k_norm(k)
    return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)


def frequencies(model) -> torch.Tensor:
    """The D / 2 rotation speeds of the model's rotary embedding, in radians a position, fastest first."""
    return model.model.rotary_emb.inv_freq


def rotate(x: torch.Tensor, positions: torch.Tensor, speeds: torch.Tensor) -> torch.Tensor:
    """Rotary positions on x (B, H, L, D): the pair of values (i, i + D/2) is turned by positions[l] x speeds[i].

    The first half of a row pairs with the second half, as in transformers' Llama. Su et al. 2021."""
    angles = torch.outer(positions.float(), speeds.float())  # (L, D / 2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)  # (B, H, L, D / 2) each
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def moved_scores(q: torch.Tensor, k: torch.Tensor, speeds: torch.Tensor, distance: int, places) -> list[float]:
    """The score q . k of one query and one key row (D each) `distance` apart, with the query at each of `places`."""
    found = []
    for place in places:
        at = torch.tensor([place, place - distance], device=q.device)
        a, b = (rotate(x.reshape(1, 1, 1, -1), at[i : i + 1], speeds) for i, x in enumerate((q, k)))
        found.append((a * b).sum().item())
    return found


@torch.no_grad()
def shuffle_effect(attention, hidden: torch.Tensor, speeds: torch.Tensor, positions: bool, seed: int = 0) -> float:
    """How far the last token's output moves, relative to its length, when all tokens before it are shuffled."""
    length = hidden.shape[1]
    order = torch.randperm(length - 1, generator=torch.Generator().manual_seed(seed)).tolist() + [length - 1]
    kept, moved = (by_hand(attention, h, speeds, positions=positions)[0][:, -1] for h in (hidden, hidden[:, order]))
    return ((kept - moved).norm() / kept.norm()).item()


def spread(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Each key-value head once for every query head of its group: (B, K, S, D) -> (B, H, S, D), H / K neighbours alike."""
    kv_heads = x.shape[1]
    if heads % kv_heads:
        raise ValueError(f"{heads} query heads do not share {kv_heads} key-value heads evenly.")
    return x.repeat_interleave(heads // kv_heads, dim=1)


def attention_weights(q: torch.Tensor, keys: torch.Tensor, causal: bool = True, scaled: bool = True) -> torch.Tensor:
    """Shares (B, H, L, S) with which each query mixes the values: softmax of q . k / sqrt(D) over the keys it may see.

    q, keys (B, H, L, D). `causal` and `scaled` switch off what a real model never does without."""
    scores = q @ keys.mT  # (B, H, L, S)
    if scaled:
        scores = scores / math.sqrt(q.shape[-1])
    if causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return scores.softmax(dim=-1)


def by_hand(attention, hidden: torch.Tensor, speeds: torch.Tensor, causal=True, scaled=True, positions=True):
    """One attention layer by hand: (output (B, L, width), weights (B, H, L, S)). `speeds` as from `frequencies`.

    `causal`, `scaled` and `positions` switch off mask, scale and rotary positions, to see what they are for."""
    q, k, v = projections(attention, hidden)
    if positions:
        at = torch.arange(hidden.shape[1], device=hidden.device)
        q, k = rotate(q, at, speeds), rotate(k, at, speeds)
    k, v = spread(k, q.shape[1]), spread(v, q.shape[1])  # (B, H, S, D)
    weights = attention_weights(q, k, causal, scaled)
    mixed = weights @ v  # (B, H, L, D)
    return attention.o_proj(mixed.transpose(1, 2).flatten(2)), weights


@torch.no_grad()
def forward(model, ids: torch.Tensor, **switches) -> torch.Tensor:
    """The model's logits (B, L, vocabulary) with every attention layer made by hand; `switches` go to `by_hand`."""
    x, speeds = model.model.embed_tokens(ids.to(model.device)), frequencies(model)
    for layer in model.model.layers:
        x = x + by_hand(layer.self_attn, layer.input_layernorm(x), speeds, **switches)[0]
        x = x + layer.mlp(layer.post_attention_layernorm(x))
    return model.lm_head(model.model.norm(x))


def loss(logits: torch.Tensor, ids: torch.Tensor, start: int = 0) -> float:
    """How badly the logits (B, L, vocabulary) foresee ids (B, L): mean -ln p of each right next token, in nats, over the
    tokens after position `start`. 0 is perfect; ln(vocabulary) is guessing."""
    told = logits[:, start:-1].float().log_softmax(-1)
    return -told.gather(-1, ids[:, start + 1 :, None].to(logits.device)).mean().item()


@contextmanager
def eager(model):
    """`with eager(model):` attention by plain matrix products meanwhile, since fused kernels keep no weights."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
