"""Checks of lesson 03: attention weights, rotary positions, finding heads, and what attention costs."""

from __future__ import annotations

import math

import torch

from ..labs import attention_cost as cost
from ..labs import attention_heads as heads
from .attention_cases import (
    ask_cost,
    ask_scores,
    ask_turn,
    ask_weights,
    close,
    close_list,
    compare_cost,
    compare_rotation,
    compare_score,
    compare_weights,
    known_shape,
    queries_and_keys,
    random_shape,
    random_weights,
    rows_to_turn,
    seeded,
    small_model,
    tensor,
    usual_speeds,
)
from .core import CheckFailed, check_for, expect, property_of


@check_for(
    "l03_e1",
    title="Attention weights under a causal mask",
    minutes=10,
    hints=[
        "Three steps, in this order: scores, mask, softmax. Which of them must come before the softmax, and why?",
        "scores = q @ keys.mT / sqrt(D) has shape (B, H, L, S). A key that stands later than its query must end with "
        "share 0, and the shares of each query must still add up to 1.",
        "later = torch.ones(L, L, dtype=torch.bool).triu(1); scores.masked_fill(later, float('-inf')).softmax(dim=-1).",
    ],
)
def check_weights(answer, rng):
    """Values on random queries and keys; each usual mistake is recognised by the values that it gives."""
    compare_weights(answer, *queries_and_keys(rng, 2, 3, 5, 8))
    compare_weights(answer, *queries_and_keys(rng, 1, 2, 1, 4))


@property_of("l03_e1", "other sizes: heads, tokens and head sizes up to 64")
def weights_any_size(answer, rng):
    """Random shapes."""
    for _ in range(4):
        compare_weights(
            answer,
            *queries_and_keys(rng, rng.randint(1, 3), rng.randint(1, 6), rng.randint(2, 12), rng.choice([4, 16, 64])),
        )


@property_of("l03_e1", "PyTorch's own attention mixes with the same weights")
def weights_mix_as_torch(answer, rng):
    """The answer's weights times values, against scaled_dot_product_attention."""
    q, keys = queries_and_keys(rng, 2, 2, 7, 16)
    values = torch.randn(2, 2, 7, 16, generator=seeded(rng))
    want = torch.nn.functional.scaled_dot_product_attention(q, keys, values, is_causal=True)
    got = tensor(ask_weights(answer, q, keys), (2, 2, 7, 7)).to(values.dtype) @ values
    close(got, want, "Weights times values differ from torch's scaled_dot_product_attention.")


@property_of("l03_e1", "a later token changes nothing that stands before it")
def weights_do_not_see_ahead(answer, rng):
    """Rows of earlier queries stay the same when the last key changes."""
    q, keys = queries_and_keys(rng, 1, 2, 6, 8)
    other = keys.clone()
    other[:, :, -1] += 3.0
    before, after = (tensor(ask_weights(answer, q, k), (1, 2, 6, 6))[:, :, :-1] for k in (keys, other))
    close(after, before, "Changing the last key changed the weights of queries before it: they must not see it.")


@check_for(
    "l03_e2",
    title="Rotary positions",
    minutes=10,
    hints=[
        "Each row of D values is D / 2 pairs, and each pair is a point in a plane that is turned by an angle. Which two "
        "values make pair i, and what is its angle at position p?",
        "Pair i is (x[i], x[i + D/2]); its angle at positions[l] is positions[l] * speeds[i]. Turning (a, b) by an angle gives "
        "(a cos - b sin, b cos + a sin).",
        "angles = torch.outer(positions, speeds)  # (L, D/2); a, b = x.chunk(2, dim=-1); put a * cos - b * sin and "
        "b * cos + a * sin behind each other with torch.cat(..., dim=-1).",
    ],
)
def check_rotate(answer, rng):
    """Values at positions that do not start at 0 and do not follow each other."""
    compare_rotation(answer, *rows_to_turn(rng, 2, 3, 4, 8))
    compare_rotation(answer, *rows_to_turn(rng, 1, 1, 1, 4))


@property_of("l03_e2", "the same numbers as apply_rotary_pos_emb of transformers")
def rotation_of_transformers(answer, rng):
    """The library's own function on the library's own cosines and sines."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    x, positions, speeds = rows_to_turn(rng, 2, 4, 6, 32)
    angles = torch.outer(positions.float(), speeds)  # (L, D / 2)
    both = torch.cat([angles, angles], dim=-1)[None]
    want, _ = apply_rotary_pos_emb(x, x, both.cos(), both.sin())
    close(tensor(ask_turn(answer, x, positions, speeds), x.shape), want, "transformers turns these rows otherwise.")


@property_of("l03_e2", "only the distance between two positions counts in a score")
def rotation_is_relative(answer, rng):
    """q . k stays the same when both move by the same number of positions, and changes when one moves."""
    generator = seeded(rng)
    q, k = (torch.randn(1, 1, 1, 16, generator=generator).double() for _ in range(2))
    speeds = usual_speeds(16).double()

    def score(at, of):
        turned = (ask_turn(answer, x, torch.tensor([p]), speeds) for x, p in ((q, at), (k, of)))
        a, b = (tensor(t, (1, 1, 1, 16)) for t in turned)
        return float((a * b).sum())

    at, gap, shift = rng.randint(5, 40), rng.randint(1, 5), rng.randint(3, 50)
    if not math.isclose(score(at, at - gap), score(at + shift, at - gap + shift), abs_tol=1e-3):
        raise CheckFailed(
            f"The score of query and key {gap} places apart changes when both move by {shift}.",
            reason="a turn must add up: the angle is position times speed, for queries and keys alike",
        )
    if math.isclose(score(at, at - gap), score(at, at - gap - 1), abs_tol=1e-4):
        raise CheckFailed(
            "Moving the key alone does not change the score.", reason="the angle must depend on the position"
        )


@property_of("l03_e2", "lengths stay, and position 0 changes nothing")
def rotation_keeps_lengths(answer, rng):
    """A rotation moves points on circles."""
    x, positions, speeds = rows_to_turn(rng, 1, 2, 5, 16)
    got = tensor(ask_turn(answer, x, positions, speeds), x.shape)
    close(got.norm(dim=-1), x.norm(dim=-1), "A turn never changes the length of a row.")
    still = tensor(ask_turn(answer, x, torch.zeros_like(positions), speeds), x.shape)
    close(still, x, "At position 0 every angle is 0: nothing is turned.")


@check_for(
    "l03_e3",
    title="A score that finds heads",
    minutes=8,
    hints=[
        "Row l of a head's weights holds the shares of query l. In which column stands the key `back` places before it?",
        "Take one number from each row: weights[:, l, l - back]. Rows before number `back` have no such key: leave them out.",
        "queries = torch.arange(back, weights.shape[1]); weights[:, queries, queries - back].mean(dim=-1).",
    ],
)
def check_score(answer, rng):
    """Scores of random heads, one and more places back; each usual mistake is recognised by its numbers."""
    weights = random_weights(rng, 4, 7, causal=False)  # with a mask, some mistakes would give equal numbers
    for back in (1, 3):
        compare_score(answer, weights, back)


@property_of("l03_e3", "any number of heads and tokens, any distance")
def score_any_size(answer, rng):
    """Random sizes."""
    for _ in range(4):
        tokens = rng.randint(3, 12)
        compare_score(answer, random_weights(rng, rng.randint(1, 8), tokens), rng.randint(0, tokens - 1))


@property_of("l03_e3", "a planted head gets 1, an even one its share")
def score_of_planted_heads(answer, rng):
    """A head that always looks `back` places, beside one that looks nowhere in particular."""
    tokens, back = rng.randint(6, 12), rng.randint(1, 3)
    weights = torch.zeros(2, tokens, tokens)
    for query in range(tokens):
        weights[0, query, max(query - back, 0)] = 1
        weights[1, query, : query + 1] = 1 / (query + 1)
    even = sum(1 / (query + 1) for query in range(back, tokens)) / (tokens - back)
    close_list(ask_scores(answer, weights, back, 2), [1.0, even], f"A planted head looks exactly {back} places back.")


@property_of("l03_e3", "in the embedded model, the same heads as the lesson finds")
def score_in_the_model(answer, rng):
    """Weights of a real layer, on random tokens said twice: previous-token and induction scores."""
    ids = heads.twice(torch.randint(300, 4096, (1, 12), generator=seeded(rng)))
    weights = heads.all_weights(small_model(), ids)[rng.randint(0, 5), 0]
    for back in (1, 11):
        compare_score(answer, weights, back)


@check_for(
    "l03_e4",
    title="What attention costs",
    minutes=8,
    hints=[
        "Draw the score matrix of one head for 3 tokens. How many numbers is it for n tokens, and how many heads have one?",
        "Bytes of one layer: heads x n x n x bytes a value. FLOPs: for each of these numbers, a dot product over head_dim "
        "makes it, and mixing the values uses it once more, again head_dim long.",
        "One multiply-add is 2 FLOPs: 2 products x 2 x heads x n x n x head_dim in each layer. Query heads count, since each has "
        "a matrix of its own.",
    ],
)
def check_cost(answer, rng):
    """Random shapes, and a real one; each usual mistake is recognised by its number."""
    compare_cost(answer, random_shape(rng), rng.randint(300, 900), 4)
    compare_cost(answer, known_shape("qwen2.5-coder-32b"), 4096, 2)


@property_of("l03_e4", "random shapes, exactly")
def cost_any_shape(answer, rng):
    """Eight random cases."""
    for _ in range(8):
        compare_cost(answer, random_shape(rng), rng.randint(1, 9000), rng.choice([1, 2, 4]))


@property_of("l03_e4", "twice the tokens cost four times as much")
def cost_is_quadratic(answer, rng):
    """The law that this part of the lesson is about."""
    shape, tokens = random_shape(rng), rng.randint(100, 3000)
    once, twice = (ask_cost(answer, shape, n, 2) for n in (tokens, 2 * tokens))
    for name, a, b in zip(("bytes", "FLOPs"), once, twice, strict=True):
        expect(b, 4 * a, f"Twice the tokens must cost 4 times the {name}.")


@property_of("l03_e4", "PyTorch's own counters: a real score matrix, and the FLOPs of a real layer")
def cost_of_tensors(answer, rng):
    """Bytes of a tensor that was made, FLOPs that torch.utils.flop_counter counts."""
    kv_heads, size, tokens = rng.choice([1, 2, 3]), rng.choice([8, 16]), rng.randint(5, 40)
    shape = dict(layers=1, heads=4 * kv_heads, kv_heads=kv_heads, head_dim=size)
    q, keys, values = cost.inputs(shape["heads"], tokens, size)
    scores = q @ keys.mT
    flops = cost.counted_flops(lambda: cost.written_out(q, keys, values))
    got = ask_cost(answer, shape, tokens, scores.element_size())
    expect(got[0], scores.numel() * scores.element_size(), "The formula and a real score matrix disagree.")
    expect(got[1], flops, "The formula and torch's FLOP counter disagree.")
