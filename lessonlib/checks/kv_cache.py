"""Checks of lesson 05: growing a cache, attention over it, its bytes, and the context that fits a card."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch

from ..calc import memory
from ..facts import catalog
from ..labs import kv_cache as lab
from .core import CheckFailed, check_for, expect, expect_all, property_of

TOLERANCE = 1e-5  # float32, head sizes up to 64: rounding differs with the order of the sums, by less than this
MODEL_TOLERANCE = 1e-3  # the same through all layers of a model whose logits lie between about -20 and 20


@check_for(
    "l05_e1",
    title="The cache grows by the new rows",
    minutes=5,
    hints=[
        "A cache of one layer is two tensors of shape (B, K, S, D). Which of the four axes grows with the text?",
        "torch.cat([old, new], dim=...) makes a new tensor and leaves the old one alone. The axis of S is number 2.",
        "Keys go behind keys and values behind values; when the cache is None, the new rows are the whole cache.",
    ],
)
def check_append(answer, rng):
    """Values of a grown cache, the first step, and the untouched old cache."""
    first = _pair(rng, 2, 3, 4, 5)
    _same_pair(answer(None, *first), first, "With no cache yet, the new rows are the cache.")
    _compare_append(answer, first, _pair(rng, 2, 3, 4, 5))  # as many new rows: a wrong axis then shows, not crashes
    _compare_append(answer, first, _pair(rng, 2, 3, 1, 5))


@property_of("l05_e1", "growing token by token gives what one step gives")
def grows_in_pieces(answer, rng):
    """Six rows in one piece, and in six."""
    keys, values = _pair(rng, 1, 2, 6, 4)
    cache = None
    for i in range(6):
        cache = answer(cache, keys[:, :, i : i + 1], values[:, :, i : i + 1])
    _same_pair(cache, (keys, values), "Six tokens one after the other must give the same cache as six at once.")


@property_of("l05_e1", "several new tokens, several sequences, any number of heads")
def grows_any_shape(answer, rng):
    """Random shapes."""
    for _ in range(4):
        batch, heads, size = rng.randint(1, 3), rng.randint(1, 4), rng.choice([2, 8])
        _compare_append(
            answer, _pair(rng, batch, heads, rng.randint(1, 6), size), _pair(rng, batch, heads, rng.randint(1, 4), size)
        )


@check_for(
    "l05_e2",
    title="Attention of the newest tokens over the whole cache",
    minutes=12,
    hints=[
        "Three steps: repeat each key-value head for its group of query heads, score, mix the values.",
        "Scores are q @ keys.mT / sqrt(D). H / K query heads in a row share one key-value head: repeat_interleave.",
        "The L queries are the last L of S positions: query l sees keys 0 .. S - L + l. Mask the others with -inf "
        "before the softmax over the keys (the last axis).",
    ],
)
def check_attend(answer, rng):
    """One decode step and a short prefill, with grouped heads; the mistake is recognised by the values it makes. Then
    the answer is every layer's attention in the embedded model."""
    for length, total in ((1, 7), (4, 7), (5, 5)):
        q, keys, values = _qkv(rng, 2, 6, 2, length, total, 8)
        _compare_attention(answer, q, keys, values)
    _compare_in_model(answer, rng, batch=1, pieces=(5, 1, 1))


@property_of("l05_e2", "any grouping of heads: MHA, GQA and MQA")
def any_grouping(answer, rng):
    """H = K, H = 3 K and K = 1."""
    for heads, kv_heads in ((4, 4), (6, 2), (4, 1)):
        _compare_attention(answer, *_qkv(rng, 1, heads, kv_heads, 2, 6, 4))


@property_of("l05_e2", "the same result whether the text comes at once or token by token")
def pieces_agree(answer, rng):
    """Row l of a prefill equals the decode step that sees l + 1 keys."""
    q, keys, values = _qkv(rng, 1, 4, 2, 6, 6, 8)
    whole = _tensor(answer(q, keys, values), (1, 4, 6, 8))
    for i in range(6):
        one = _tensor(answer(q[:, :, i : i + 1], keys[:, :, : i + 1], values[:, :, : i + 1]), (1, 4, 1, 8))
        _close(one[:, :, 0], whole[:, :, i], f"Position {i} differs between prefill and decode.")


@property_of("l05_e2", "in the embedded model, other texts and two sequences at once give the model's own logits")
def works_in_the_model(answer, rng):
    """Prefill, a chunk, and single steps, over random tokens."""
    _compare_in_model(answer, rng, batch=2, pieces=(rng.randint(3, 9), 4, 1, 1))


@property_of("l05_e2", "outputs are averages: equal values in, the same values out")
def weights_sum_to_one(answer, rng):
    """With all values equal to c, every output is c."""
    q, keys, values = _qkv(rng, 2, 4, 2, 3, 5, 4)
    got = _tensor(answer(q, keys, torch.full_like(values, 2.5)), (2, 4, 3, 4))
    _close(got, torch.full_like(got, 2.5), "The weights of each query must sum to 1.")


@check_for(
    "l05_e3",
    title="Bytes of a cache",
    minutes=6,
    hints=[
        "Count values first: in one layer, the cache is two tensors of shape (B, K, S, D).",
        "Values = 2 x layers x K x D x S x B. Then multiply by the bytes of one value.",
        "`shape` has two numbers of heads. Queries are used once and dropped; only what later tokens read is kept.",
    ],
)
def check_bytes(answer, rng):
    """Random and known shapes, each usual mistake recognised by its number."""
    asked = [(_shape(rng), rng.randint(100, 90_000), rng.randint(3, 9), 4), (_known("qwen2.5-coder-32b"), 50_000, 1, 2)]
    expect_all([_bytes_row(answer, *a) for a in asked])


@property_of("l05_e3", "random shapes, to the byte")
def bytes_any_shape(answer, rng):
    """Ten random shapes."""
    for _ in range(10):
        asked = _shape(rng), rng.randint(1, 90_000), rng.randint(1, 9), rng.choice([1, 2, 4])
        expect_all([_bytes_row(answer, *asked)])


@property_of("l05_e3", "the tensors of a real cache, to the byte")
def bytes_of_tensors(answer, rng):
    """A cache of the embedded model, counted tensor by tensor."""
    batch, tokens = rng.randint(1, 3), rng.randint(2, 40)
    _, kept = lab.forward(_model(), _ids(rng, batch, tokens))
    c = _model().config
    shape = dict(
        layers=c.num_hidden_layers, heads=c.num_attention_heads, kv_heads=c.num_key_value_heads, head_dim=c.head_dim
    )
    got = answer(shape, tokens, batch, kept[0][0].element_size())
    expect(got, lab.cache_bytes(kept), "The formula and the tensors of a real cache disagree.")


@property_of("l05_e3", "twice the tokens, or twice the sequences, need twice the bytes; query heads change nothing")
def bytes_linear(answer, rng):
    """Linearity in tokens and batch, invariance under query heads."""
    shape, tokens, batch = _shape(rng), rng.randint(100, 9000), rng.randint(2, 9)
    once = answer(shape, tokens, batch, 2)
    if not once > 0:
        raise CheckFailed("A cache takes more than no bytes.", expected="above 0", got=once)
    expect(answer(shape, 2 * tokens, batch, 2), 2 * once, "Doubling the tokens must double the bytes.")
    expect(answer(shape, tokens, 2 * batch, 2), 2 * once, "Doubling the sequences must double the bytes.")
    more = {**shape, "heads": 2 * shape["heads"]}
    expect(answer(more, tokens, batch, 2), once, "More query heads must not change the bytes.")


@property_of("l05_e3", "four bits take a quarter of sixteen")
def bytes_of_small_values(answer, rng):
    """Half a byte a value works."""
    shape, tokens = _shape(rng), rng.randint(100, 9000)
    want = memory.kv_cache_bytes(**_kept(shape), tokens=tokens, batch=3, bytes_per_value=0.5)
    expect(answer(shape, tokens, 3, 0.5), want, "A 4-bit cache takes half a byte a value.")


@check_for(
    "l05_e4",
    title="The longest context that fits",
    minutes=8,
    hints=[
        "What is left for the cache is the card minus weights minus overhead. Mind the units: the card is in GiB.",
        "One token of one sequence costs 2 x layers x K x D x bytes per value; `batch` sequences cost that many times.",
        "Whole tokens only, rounded down; and 0, never a negative number, when the weights alone do not fit.",
    ],
)
def check_context(answer, rng):
    """A 4-bit 32B model on three cards, alone and with company, and one that does not fit."""
    for card, batch in ((24, 1), (32, 2), (80, 4)):
        _compare_context(answer, _load(card, _awq("qwen2.5-coder-32b"), batch))
    _compare_context(answer, _load(16, _awq("qwen2.5-coder-32b"), 1))


@property_of("l05_e4", "random cards and models")
def context_any(answer, rng):
    """Ten random cases."""
    for _ in range(10):
        case = _load(rng.choice([16, 24, 48, 80, 141]), rng.randrange(1, 14) * 10**9, rng.randint(1, 8))
        _compare_context(answer, {**case, "shape": _shape(rng), "bytes_per_value": rng.choice([0.5, 1, 2])})


@property_of("l05_e4", "the answer fits, and one more token does not")
def context_is_tight(answer, rng):
    """The defining property, checked with the cache formula."""
    case = _load(rng.choice([24, 48]), rng.randrange(4, 18) * 10**9, rng.randint(1, 4))
    tokens = _ask_context(answer, case)
    if isinstance(tokens, float | Fraction) and tokens == tokens // 1:
        tokens = int(tokens)
    if type(tokens) is not int or tokens < 0:
        raise CheckFailed("The longest context is a whole number, 0 or more.", expected="a whole number", got=tokens)
    room = memory.card_bytes(case["card_gib"]) - case["weights_bytes"] - case["overhead_bytes"]
    kind = {**_kept(case["shape"]), "batch": case["batch"], "bytes_per_value": case["bytes_per_value"]}
    needs, more = memory.kv_cache_bytes(tokens=tokens, **kind), memory.kv_cache_bytes(tokens=tokens + 1, **kind)
    if not needs <= room < more:
        raise CheckFailed(
            f"{tokens:,} tokens are not the longest context.",
            expected=f"bytes <= {room:,}, and more with one token more",
            got=f"{needs:,}, then {more:,}",
        )


@property_of("l05_e4", "nothing fits when the weights do not")
def context_zero(answer, rng):
    """Weights larger than the card."""
    expect(_ask_context(answer, _load(24, 40 * 10**9, 1)), 0, "When the weights alone are too large, 0 tokens fit.")


# Inputs, made from the check's own random numbers.


def _generator(rng) -> torch.Generator:
    return torch.Generator().manual_seed(rng.randrange(2**31))


def _pair(rng, batch, heads, tokens, size):
    generator = _generator(rng)
    return tuple(torch.randn(batch, heads, tokens, size, generator=generator) for _ in range(2))


def _qkv(rng, batch, heads, kv_heads, length, total, size):
    generator = _generator(rng)
    q = torch.randn(batch, heads, length, size, generator=generator)
    keys, values = (torch.randn(batch, kv_heads, total, size, generator=generator) for _ in range(2))
    return q, keys, values


@cache
def _model():
    """The embedded model, in float32 on the processor: what a check says never depends on the machine."""
    from ..models import load

    return load("target", device="cpu", dtype=torch.float32)[0]


def _ids(rng, batch: int, tokens: int) -> torch.Tensor:
    return torch.randint(6, _model().config.vocab_size, (batch, tokens), generator=_generator(rng))


def _shape(rng) -> dict:
    kv_heads = rng.choice([2, 4, 8])
    heads = kv_heads * rng.choice([3, 5, 6])
    return dict(layers=rng.randint(5, 96), heads=heads, kv_heads=kv_heads, head_dim=rng.choice([64, 96, 128]))


def _known(name: str) -> dict:
    m = catalog.model(name)
    return dict(layers=m.layers, heads=m.attention_heads, kv_heads=m.kv_heads, head_dim=m.head_dim)


def _awq(name: str) -> int:
    m = catalog.model(name)
    return int(memory.awq_weight_bytes(m.total_params_exact, m.embedding_params_exact, m.tied_embeddings))


def _load(card: int, weights: int, batch: int) -> dict:
    return dict(
        card_gib=card, weights_bytes=weights, overhead_bytes=1_500_000_000, shape=_known("qwen2.5-coder-32b"),
        batch=batch, bytes_per_value=2,
    )  # fmt: skip


def _kept(shape: dict) -> dict:
    """What of a shape the cache depends on."""
    return {name: shape[name] for name in ("layers", "kv_heads", "head_dim")}


# Comparisons: each knows the values that the usual mistakes make.


def _tensor(got, shape) -> torch.Tensor:
    if not isinstance(got, torch.Tensor):
        raise CheckFailed("The answer must be a tensor.", expected=f"a tensor of shape {tuple(shape)}", got=got)
    if tuple(got.shape) != tuple(shape):
        reason = None
        if got.ndim == 4 and got.shape[1] != shape[1]:
            reason = "the output has one row for each query head (H), not for each key-value head (K)"
        raise CheckFailed("The shape is off.", expected=tuple(shape), got=tuple(got.shape), reason=reason)
    return got.float()  # sums in float64 are as right


def _close(got, want, what: str, mistakes=()) -> None:
    if torch.allclose(got, want, atol=TOLERANCE):
        return
    reason = next(
        (why for value, why in mistakes if value.shape == got.shape and torch.allclose(got, value, atol=1e-4)), None
    )
    gap = (got - want).abs().max().item()
    raise CheckFailed(what, expected=f"largest difference below {TOLERANCE}", got=f"{gap:.4g}", reason=reason)


def _same_pair(got, want, what: str) -> None:
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise CheckFailed(what, expected="a pair (keys, values)", got=type(got).__name__, reason="return two tensors")
    mistakes = [(want[1], "keys and values are swapped"), (want[0], "keys and values are swapped")]
    for name, ours, theirs, swapped in zip(("keys", "values"), want, got, mistakes, strict=True):
        if not isinstance(theirs, torch.Tensor) or theirs.shape != ours.shape:
            shape = tuple(theirs.shape) if isinstance(theirs, torch.Tensor) else type(theirs).__name__
            raise CheckFailed(
                f"{what} The {name} are off.", expected=tuple(ours.shape), got=shape, reason=_grown(ours, shape)
            )
        if not torch.equal(theirs, ours):
            reason = swapped[1] if torch.equal(theirs, swapped[0]) else None
            if reason is None and torch.equal(theirs.sort(2).values, ours.sort(2).values):
                reason = "the rows stand in the wrong order: new rows go behind the old ones"
            raise CheckFailed(f"{what} The {name} hold other values.", reason=reason)


def _grown(want: torch.Tensor, shape) -> str | None:
    if not isinstance(shape, tuple) or len(shape) != 4:
        return None
    if shape[0] > want.shape[0] or shape[1] > want.shape[1] or shape[3] > want.shape[3]:
        return "it grew along the wrong axis: the token axis of (B, K, S, D) is number 2"
    if shape[2] < want.shape[2]:
        return "rows are missing: the old rows must stay when new ones come"
    return "there are too many rows: add the new rows once"


def _compare_append(answer, old, new) -> None:
    before = tuple(t.clone() for t in old)
    got = answer(old, *new)
    want = lab.append(before, *new)
    _same_pair(got, want, f"A cache of {before[0].shape[2]} rows and {new[0].shape[2]} new ones.")
    if not all(torch.equal(a, b) for a, b in zip(old, before, strict=True)):
        raise CheckFailed(
            "The old cache was changed in place.", reason="another sequence may still use it: make a new tensor"
        )


def _compare_attention(answer, q, keys, values) -> None:
    got = _tensor(answer(q, keys, values), q.shape)
    _close(
        got,
        lab.attend(q, keys, values),
        f"L = {q.shape[2]} queries over S = {keys.shape[2]} keys: values differ.",
        _slips(q, keys, values),
    )


def _compare_in_model(answer, rng, batch: int, pieces) -> None:
    """The embedded model with the answer as its attention, fed piece by piece, against the model's own logits."""
    ids = _ids(rng, batch, sum(pieces))
    with torch.no_grad():
        want = _model()(input_ids=ids).logits
    kept, done = None, 0

    def attend(q, keys, values):
        return _tensor(answer(q, keys, values), q.shape)

    for length in pieces:
        got, kept = lab.forward(_model(), ids[:, done : done + length], kept, attend=attend)
        own = want[:, done : done + length]
        done += length
        if not torch.allclose(got, own, atol=MODEL_TOLERANCE):
            raise CheckFailed(
                f"In the embedded model, L = {length} queries over S = {done} keys give other logits than the model.",
                expected=f"largest difference below {MODEL_TOLERANCE}",
                got=f"{(got - own).abs().max().item():.4g}",
            )


def _slips(q, keys, values):
    """(what a mistake gives, its reason) for the usual mistakes; lazily, since most runs need none."""
    group = q.shape[1] // keys.shape[1]
    length, total = q.shape[2], keys.shape[2]

    def mix(k, v, mask=True, scale=q.shape[-1] ** -0.5, axis=-1, diagonal=total - length + 1):
        scores = q @ k.mT * scale
        if mask:
            scores = scores.masked_fill(torch.ones(length, total, dtype=torch.bool).triu(diagonal), -1e30)
        return scores.softmax(axis) @ v

    spread = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
    yield mix(*spread, scale=1.0), "the scores are not divided by sqrt(D)"
    yield mix(*spread, scale=1 / q.shape[-1]), "the scores are divided by D instead of sqrt(D)"
    yield mix(*spread, mask=False), "the mask is missing: a query must not see later keys"
    yield (
        mix(keys.repeat(1, group, 1, 1), values.repeat(1, group, 1, 1)),
        (
            "heads are grouped the wrong way: neighbouring query heads share a key-value head (repeat_interleave, not repeat)"
        ),
    )
    yield mix(*spread, diagonal=1), "the mask starts at position 0: the queries are the LAST L of S positions"
    yield mix(*spread, diagonal=total - length), "the mask hides the query's own position: it may see itself"
    yield mix(*spread, axis=-2), "the softmax runs over the queries: it belongs over the keys, the last axis"
    yield mix(spread[1], spread[0]), "keys and values are swapped"


def _bytes_row(answer, shape: dict, tokens: int, batch: int, bytes_per_value: float) -> tuple:
    """One call of the learner's function, for `expect_all`."""
    want = memory.kv_cache_bytes(**_kept(shape), tokens=tokens, batch=batch, bytes_per_value=bytes_per_value)
    group = shape["heads"] // shape["kv_heads"]
    mistakes = [
        (want / 2, "that counts K or V alone: the cache holds both K and V"),
        (want * group, "that counts query heads: only key-value heads are kept"),
        (want / 1e9, "that is in GB: the answer is in plain bytes"),
        (want / 2**30, "that is in GiB: the answer is in plain bytes"),
        (want / shape["layers"], "that is one layer: every layer keeps its own cache"),
        (want / batch, "that is one sequence: every sequence of the batch has its own cache"),
        (want / shape["kv_heads"], "that is one key-value head: multiply by their number"),
        (want / shape["head_dim"], "that is one value a row: each row has head_dim values"),
        (want / bytes_per_value, "that counts values, not bytes: multiply by the bytes of one value"),
        (want * 8, "that is bits: the answer is in bytes"),
    ]
    what = f"Bytes of a cache with shape {shape}, {tokens:,} tokens, batch {batch}, {bytes_per_value} bytes a value."
    return what, answer(shape, tokens, batch, bytes_per_value), want, mistakes


def _ask_context(answer, c: dict):
    got = answer(
        c["card_gib"], c["weights_bytes"], c["overhead_bytes"], c["shape"], c["batch"], c["bytes_per_value"]
    )  # fmt: skip
    return got.tolist() if hasattr(got, "tolist") else got  # a number of NumPy or torch


def _compare_context(answer, c: dict) -> None:
    shape, card = c["shape"], memory.card_bytes(c["card_gib"])
    token = memory.kv_cache_bytes(**_kept(shape), tokens=1, batch=c["batch"], bytes_per_value=c["bytes_per_value"])

    def fit(room, one=token):
        return max(0, int((room - c["weights_bytes"] - c["overhead_bytes"]) // one))

    want = fit(card)
    mistakes = [
        (fit(c["card_gib"] * 10**9), "the card was taken as GB (1e9): cards are sold in GiB (2**30 bytes)"),
        (want + 1, "rounded up: the last token does not fit, round down"),
        (fit(card + c["weights_bytes"]), "the weights were forgotten: they fill the card first"),
        (fit(card + c["overhead_bytes"]), "the overhead was forgotten"),
        (fit(card, token / c["batch"]), "one sequence only: `batch` sequences share the card"),
        (fit(card, token / 2), "that counts K or V alone: the cache holds both"),
        (
            fit(card, token * shape["heads"] // shape["kv_heads"]),
            "that counts query heads: only key-value heads are kept",
        ),
        (want * c["batch"], "that is the sum over all sequences: the answer is for each one"),
    ]
    got = _ask_context(answer, c)
    if isinstance(got, float) and not got.is_integer():
        raise CheckFailed("Tokens are whole.", expected=want, got=got, reason="rounding is missing: round down")
    if isinstance(got, (int, float)) and got < 0:
        raise CheckFailed(
            "A context is never negative.", expected=want, got=got, reason="negative room: answer 0 tokens"
        )
    what = (
        f"The longest context on {c['card_gib']} GiB with {c['weights_bytes']:,} bytes of weights, batch {c['batch']}."
    )
    expect(got, want, what, mistakes=mistakes)
