"""Inputs and comparisons of lesson 03's checks: each comparison knows the values that the usual mistakes make."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch

from ..facts import catalog
from ..labs import attention as lab
from ..labs import attention_cost as cost
from ..labs import attention_heads as heads
from .core import CheckFailed, expect

TOLERANCE = 1e-5  # float32 with head sizes up to 64: another order of the sums moves the last digits by less than this

# Inputs, made from the check's own random numbers.


def seeded(rng) -> torch.Generator:
    """A torch generator from the check's own random numbers."""
    return torch.Generator().manual_seed(rng.randrange(2**31))


def queries_and_keys(rng, batch, n_heads, tokens, size):
    """Random queries and keys, each (B, H, L, D), large enough that weights differ clearly."""
    generator = seeded(rng)
    return tuple(torch.randn(batch, n_heads, tokens, size, generator=generator) * 1.5 for _ in range(2))


def usual_speeds(size: int) -> torch.Tensor:
    """The D / 2 speeds of Su et al. 2021, fastest first."""
    return 10000.0 ** (-torch.arange(0, size, 2) / size)


def rows_to_turn(rng, batch, n_heads, tokens, size):
    """Rows (B, H, L, D), positions (L) with gaps between them, and speeds (D / 2)."""
    x = torch.randn(batch, n_heads, tokens, size, generator=seeded(rng))
    return x, torch.tensor(sorted(rng.sample(range(3, 60), tokens))), usual_speeds(size)


def random_weights(rng, n_heads, tokens, causal=True) -> torch.Tensor:
    """Random weights (H, L, S), every row summing to 1; causal, as in a language model, unless said."""
    q, keys = queries_and_keys(rng, 1, n_heads, tokens, 8)
    return lab.attention_weights(q, keys, causal)[0]


def random_shape(rng) -> dict:
    """Layers, heads, key-value heads and head size of a made-up model."""
    kv_heads = rng.choice([2, 4, 8])
    return dict(
        layers=rng.randint(5, 90), heads=kv_heads * rng.choice([3, 5, 6]), kv_heads=kv_heads,
        head_dim=rng.choice([48, 80, 112]),
    )  # fmt: skip


def known_shape(name: str) -> dict:
    """The same four numbers of a model of the fact base."""
    m = catalog.model(name)
    return dict(layers=m.layers, heads=m.attention_heads, kv_heads=m.kv_heads, head_dim=m.head_dim)


@cache
def small_model():
    """The smaller embedded model, in float32 on the processor."""
    from ..models import load

    return load("mini", device="cpu", dtype=torch.float32)[0]


# Comparisons: each knows the values that the usual mistakes make.


def ask_weights(answer, q, keys):
    """What the answer makes of queries and keys, which must stay as they are."""
    kept = q.clone(), keys.clone()
    got = answer(q, keys)
    if not (torch.equal(q, kept[0]) and torch.equal(keys, kept[1])):
        raise CheckFailed(
            "The queries or keys were changed in place.", reason="others still use them: make new tensors"
        )
    return got


def compare_weights(answer, q, keys) -> None:
    """The answer's weights against the lab's."""
    tokens = q.shape[2]
    got = tensor(ask_weights(answer, q, keys), (*q.shape[:3], tokens))
    want = lab.attention_weights(q, keys)
    close(got, want, f"Weights of {tokens} tokens differ.", _weight_slips(q, keys))


def _weight_slips(q, keys):
    """(what a mistake gives, its reason); lazily, since most runs need none."""
    raw, size, tokens = q @ keys.mT, q.shape[-1], q.shape[2]
    scores, every = raw / math.sqrt(size), torch.ones(tokens, tokens, dtype=torch.bool)
    later, infinite = every.triu(1), float("-inf")
    hidden = scores.masked_fill(later, infinite)
    yield lab.attention_weights(q, keys, scaled=False), "the scores are not divided by sqrt(D)"
    yield (raw / size).masked_fill(later, infinite).softmax(-1), "the scores are divided by D instead of sqrt(D)"
    yield scores.softmax(-1), "the mask is missing: a query must not see later keys"
    yield (
        scores.masked_fill(every.triu(0), infinite).softmax(-1),
        "the mask hides the query's own position: a token may see itself (the first one sees nothing else)",
    )
    yield (
        scores.masked_fill(every.tril(-1), infinite).softmax(-1),
        "the mask hides the past and shows the future: it is the wrong triangle",
    )
    yield (
        scores.softmax(-1).masked_fill(later, 0.0),
        "masked after the softmax: the shares of a query no longer add up to 1, mask the scores instead",
    )
    yield (
        scores.masked_fill(later, 0.0).softmax(-1),
        "hidden scores were set to 0, and e**0 = 1 is a share: set them to minus infinity",
    )
    yield hidden.softmax(-2), "the softmax runs over the queries: it belongs over the keys, the last axis"
    yield scores.masked_fill(later, infinite), "these are scores, not shares: the softmax is missing"
    yield hidden.softmax(-1).mT, "queries and keys changed places: row l belongs to query l"


def ask_turn(answer, x, positions, speeds):
    """What the answer makes of the rows x, which must stay as they are."""
    kept = x.clone()
    got = answer(x, positions, speeds)
    if not torch.equal(x, kept):
        raise CheckFailed(
            "The rows were changed in place.", reason="the unturned rows are still needed: make a new tensor"
        )
    return got


def compare_rotation(answer, x, positions, speeds) -> None:
    """The answer's turned rows against the lab's."""
    got = tensor(ask_turn(answer, x, positions, speeds), x.shape)
    what = f"Rows of {x.shape[-1]} values at positions {positions.tolist()}: values differ."
    close(got, lab.rotate(x, positions, speeds), what, _rotation_slips(x, positions, speeds))


def _rotation_slips(x, positions, speeds):
    angles = torch.outer(positions.float(), speeds)  # (L, D / 2)
    cos, sin, (a, b) = angles.cos(), angles.sin(), x.chunk(2, dim=-1)
    even, odd = x[..., 0::2], x[..., 1::2]
    first, second = even * cos - odd * sin, odd * cos + even * sin
    neighbours = (
        "neighbours (0, 1), (2, 3) were paired: here value i pairs with value i + D/2, as in transformers' Llama"
    )
    yield torch.stack([first, second], -1).flatten(-2), neighbours
    yield torch.cat([first, second], -1), neighbours
    yield (
        torch.cat([a * cos + b * sin, b * cos - a * sin], -1),
        "turned the other way: the signs of the two sines are swapped",
    )
    counted = torch.arange(x.shape[2])
    yield lab.rotate(x, counted, speeds), "the positions were not used: rows were counted from 0 instead"
    yield lab.rotate(x, counted + positions[0], speeds), "only the first position was used: rows may stand apart"
    same = speeds[:1].expand_as(speeds)
    yield lab.rotate(x, positions, same), "every pair was turned at the same speed: pair i has speeds[i]"
    yield lab.rotate(x, positions, speeds.flip(0)), "the speeds are in the wrong order: pair 0 turns fastest"
    yield lab.rotate(x, positions, 1 / speeds), "divided by the speed: the angle is position times speed"
    yield lab.rotate(x, torch.deg2rad(positions.float()), speeds), "the angles are already in radians"
    yield torch.cat([a * cos, b * cos], -1), "only the cosine was used: a turn mixes both values of a pair"
    yield torch.cat([b * cos + a * sin, a * cos - b * sin], -1), "the two halves came back in the wrong order"
    yield x + torch.cat([cos, sin], -1), "angles were added to the row: a rotary position turns it"


def ask_scores(answer, weights, back, n_heads) -> list[float]:
    """The answer's score of each head, as plain numbers."""
    kept = weights.clone()
    got = answer(weights, back)
    if not torch.equal(weights, kept):
        raise CheckFailed("The weights were changed in place.", reason="other scores still need them")
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, (list, tuple)) or len(got) != n_heads or not all(_is_number(v) for v in got):
        raise CheckFailed(
            f"The answer must be one number for each of the {n_heads} heads.", expected=f"{n_heads} numbers", got=got,
            reason="average over the queries, not over the heads",
        )  # fmt: skip
    return [float(v if not hasattr(v, "item") else v.item()) for v in got]


def compare_score(answer, weights, back: int) -> None:
    """The answer's scores against the lab's."""
    got = ask_scores(answer, weights, back, len(weights))
    want = heads.back_score(weights, back).tolist()
    what = f"Scores of {len(weights)} heads over {weights.shape[1]} tokens, {back} back."
    close_list(got, want, what, _score_slips(weights, back))


def _score_slips(weights, back: int):
    tokens = weights.shape[1]
    rows = torch.arange(back, tokens)
    found = weights[:, rows, rows - back]
    yield found.sum(-1), "summed, not averaged: divide by the number of queries"
    yield found.sum(-1) / tokens, f"divided by all {tokens} queries: the first {back} have no key {back} places back"
    yield (
        weights[:, :, back].mean(-1),
        "that is the column number `back`: count from each query, not from the beginning",
    )
    yield weights[:, rows - back, rows].mean(-1), "that is the future: the key stands `back` places BEFORE the query"
    yield found.max(-1).values, "that is the largest share: take the mean over the queries"
    yield (
        weights[:, range(tokens), range(tokens)].mean(-1),
        "that is attention to the token itself: go `back` places left",
    )
    wrapped = weights[:, range(tokens), [(i - back) % tokens for i in range(tokens)]].mean(-1)
    yield wrapped, f"a negative column counts from the end: leave out the first {back} queries"
    yield weights.mean((1, 2)), "that is the mean of all weights: pick one key for each query"


def ask_cost(answer, shape, tokens, size) -> tuple:
    """The answer's pair (bytes, FLOPs)."""
    got = answer(dict(shape), tokens, size)
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, (list, tuple)) or len(got) != 2:
        raise CheckFailed("The answer must be a pair: (bytes, FLOPs).", expected="two numbers", got=got)
    return tuple(got)


def compare_cost(answer, shape: dict, tokens: int, size: float) -> None:
    """The answer's two numbers against the formulas."""
    held = cost.score_bytes(shape["heads"], tokens, size)
    work = cost.attention_flops(shape["layers"], shape["heads"], shape["head_dim"], tokens)
    got, group = ask_cost(answer, shape, tokens, size), shape["heads"] // shape["kv_heads"]
    case = f"shape {shape}, {tokens:,} tokens, {size} bytes a value"
    expect(got[0], held, f"Bytes of the score matrix of one layer: {case}.", mistakes=[
        (held / group, "that counts key-value heads: every query head has a score matrix of its own, shared keys or not"),
        (held / tokens, "linear in the tokens, but the matrix has a row and a column for each"),
        (held / size, "that counts values, not bytes"),
        (held * shape["layers"], "that is all layers: one layer's matrix is gone before the next is made"),
        (held / shape["heads"], "that is one head: each query head has its own matrix"),
        (held * shape["head_dim"], "a score is one number, however long the rows are that made it"),
        (held * 2, "the matrix was counted twice"),
        (held / 2**20, "that is in MiB: the answer is in plain bytes"), (held / 1e6, "that is in MB: the answer is in plain bytes"),
    ])  # fmt: skip
    expect(got[1], work, f"FLOPs of scores and mixing in all layers: {case}.", mistakes=[
        (work / group, "FLOPs with key-value heads: sharing keys saves memory, not arithmetic"),
        (work / 2, "half is missing: a multiply-add is 2 FLOPs, and both scores and mixing count"),
        (work / 4, "multiply-adds of the scores alone: 2 FLOPs each, and mixing the values costs as much again"),
        (work / shape["layers"], "that is one layer's FLOPs: every layer does this work"),
        (work / tokens, "FLOPs that grow with the tokens only once: there is a product for every pair of tokens"),
        (work / shape["head_dim"], "each score is a dot product over head_dim values"),
    ])  # fmt: skip


def _is_number(value) -> bool:
    value = value.item() if hasattr(value, "item") else value
    return type(value) in (int, float, Fraction)


def tensor(got, shape) -> torch.Tensor:
    """`got` when it is a tensor (or numpy array) of this shape; CheckFailed otherwise."""
    if type(got).__module__.partition(".")[0] == "numpy":
        got = torch.as_tensor(got)
    if not isinstance(got, torch.Tensor):
        raise CheckFailed("The answer must be a tensor.", expected=f"a tensor of shape {tuple(shape)}", got=got)
    if tuple(got.shape) != tuple(shape):
        raise CheckFailed("The shape is off.", expected=tuple(shape), got=tuple(got.shape))
    return got


def close(got, want, what: str, mistakes=()) -> None:
    """CheckFailed unless two tensors agree within TOLERANCE; a mistake that gives `got` names the reason."""
    if torch.allclose(got.double(), want.double(), atol=TOLERANCE):
        return
    for value, why in mistakes:
        if value.shape == got.shape and torch.allclose(got.double(), value.double(), atol=TOLERANCE, equal_nan=True):
            raise CheckFailed(what, expected=_few(want), got=_few(got), reason=why)
    raise CheckFailed(what, expected=_few(want), got=_few(got))


def close_list(got, want, what: str, mistakes=()) -> None:
    """The same for lists of numbers."""

    def near(other):
        return all(math.isclose(a, b, abs_tol=TOLERANCE) for a, b in zip(got, other, strict=True))

    if near(want):
        return
    reason = next((why for value, why in mistakes if near(value.tolist())), None)
    raise CheckFailed(what, expected=[round(v, 4) for v in want], got=[round(v, 4) for v in got], reason=reason)


def _few(x, most: int = 6) -> list[float]:
    return [round(v, 4) for v in x.detach().double().flatten()[-most:].tolist()]
