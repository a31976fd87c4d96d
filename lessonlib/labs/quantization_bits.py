"""Which part of a model gets how many bits: what each part loses at each width, and allocations under a budget.

A part is the attention or the feed-forward block of one layer. Sensitivities are measured one part at a time; that they
add up is an assumption, and the lesson measures how good it is."""

from __future__ import annotations

import torch

from .quantization import GROUP, Judge, matrices, packed, rounded

WIDTHS = (2, 3, 4)

Table = dict[str, dict[int, float]]  # part -> {bits: bytes, or error}


def parts(model) -> dict[str, list[str]]:
    """Names of the matrices of each part: {"0 attention": [...], "0 feed-forward": [...], ...}."""
    found: dict[str, list[str]] = {}
    for name in matrices(model):
        layer, block = name.split(".")[2:4]
        found.setdefault(f"{layer} {'attention' if 'attn' in block else 'feed-forward'}", []).append(name)
    return found


def sizes(model, widths=WIDTHS, group=GROUP) -> Table:
    """Packed bytes of each part at each width, scales and zero points included."""
    own = matrices(model)
    shapes = {m.weight.shape for m in own.values()}
    one = {(s, b): packed(torch.zeros(s), b, group).bytes for s in shapes for b in widths}
    return {
        part: {b: sum(one[own[n].weight.shape, b] for n in names) for b in widths}
        for part, names in parts(model).items()
    }


def sensitivities(judge: Judge, widths=WIDTHS, group=GROUP) -> Table:
    """How far the predictions move (bits, see `Score.moved`) when one part alone is rounded to each width."""
    own = matrices(judge.model)
    return {
        part: {b: judge.of({n: rounded(own[n].weight.data, b, group) for n in names}).moved for b in widths}
        for part, names in parts(judge.model).items()
    }


def weights(model, allocation: dict[str, int], group=GROUP) -> dict[str, torch.Tensor]:
    """Every matrix rounded to the width of its part."""
    own = matrices(model)
    return {n: rounded(own[n].weight.data, allocation[p], group) for p, names in parts(model).items() for n in names}


def total(table: Table, allocation: dict[str, int]) -> float:
    """The sum over the parts of what the table says for their widths: bytes, or predicted error."""
    return sum(table[part][bits] for part, bits in allocation.items())


def uniform(bytes_of: Table, budget: float) -> dict[str, int]:
    """The largest width that all parts can have together. ValueError when not even the smallest fits."""
    fits = [b for b in next(iter(bytes_of.values())) if sum(row[b] for row in bytes_of.values()) <= budget]
    if not fits:
        raise ValueError(f"The budget of {budget:,.0f} bytes is too small for any width.")
    return dict.fromkeys(bytes_of, max(fits))


def greedy(bytes_of: Table, error_of: Table, budget: float) -> dict[str, int]:
    """Start at the least bits and spend where a byte removes most error, until nothing more fits."""
    chosen = uniform(bytes_of, total(bytes_of, {part: min(row) for part, row in bytes_of.items()}))
    while True:
        left = budget - total(bytes_of, chosen)
        steps = [
            ((error_of[part][chosen[part]] - error_of[part][b]) / (row[b] - row[chosen[part]]), part, b)
            for part, row in bytes_of.items()
            for b in row
            if b > chosen[part] and row[b] - row[chosen[part]] <= left
        ]
        if not steps or max(steps)[0] <= 0:
            return chosen
        _, part, b = max(steps)
        chosen[part] = b


def best(bytes_of: Table, error_of: Table, budget: float) -> dict[str, int]:
    """The allocation with the least predicted error that fits, by dynamic programming over the parts: of all ways to
    spend the same bytes only the best goes on, and only those that no cheaper one beats."""
    ways = [(0.0, 0.0, ())]  # bytes, error, widths so far
    for part, row in bytes_of.items():
        tried = sorted(
            (size + row[b], error + error_of[part][b], (*widths, b))
            for size, error, widths in ways
            for b in row
            if size + row[b] <= budget
        )
        ways, least = [], float("inf")
        for way in tried:
            if way[1] < least:
                ways.append(way)
                least = way[1]
    if not ways:
        raise ValueError(f"The budget of {budget:,.0f} bytes is too small for any width.")
    return dict(zip(bytes_of, ways[-1][2], strict=True))
