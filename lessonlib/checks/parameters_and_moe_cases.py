"""Inputs of the checks of lesson 07, and what the usual mistakes make of them."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..facts import catalog
from ..labs import parameters_and_moe as lab

SHARED = "an expert is read once, however many tokens chose it"


def shape(rng, experts: int | None = None, tied: bool | None = None) -> dict:
    """A random shape in which no two usual mistakes give the same number."""
    kv_heads = rng.choice([2, 3, 4])
    return {
        "vocabulary": rng.choice([1000, 4096, 32_003]),
        "hidden": 32 * rng.randint(3, 12) + 6,  # no multiple of 8, as heads x head_dim is
        "layers": rng.randint(3, 11),
        "heads": kv_heads * rng.choice([3, 5]),
        "kv_heads": kv_heads,
        "head_dim": rng.choice([24, 40, 72]),
        "feed_forward": 100 * rng.randint(3, 9) + 7,
        "experts": rng.choice([1, 4, 8, 60]) if experts is None else experts,
        "tied": rng.random() < 0.5 if tied is None else tied,
    }


def known(row) -> dict:
    """The shape of a model of the fact base."""
    return {
        "vocabulary": row.vocab_size,
        "hidden": row.hidden_size,
        "layers": row.layers,
        "heads": row.attention_heads,
        "kv_heads": row.kv_heads,
        "head_dim": row.head_dim,
        "feed_forward": row.intermediate_size,
        "experts": row.get("moe_experts") or 1,
        "tied": row.tied_embeddings,
    }


def count_slips(name: str, s: dict, want: int) -> list[tuple[float, str]]:
    """What mistakes make of one group."""
    hidden, layers, width = s["hidden"], s["layers"], s["heads"] * s["head_dim"]
    one_layer = (want / layers, f"that is one layer: there are {layers}")
    if name == "attention":
        return [
            (layers * 4 * hidden * width, "K and V have only kv_heads heads: that counts all query heads for them"),
            (
                layers * 4 * hidden * hidden,
                "that takes every matrix as hidden x hidden: Q is hidden x (heads x head_dim)",
            ),
            (layers * hidden * s["head_dim"] * (s["heads"] + 2 * s["kv_heads"]), "the output projection is missing"),
            (
                layers * hidden * s["head_dim"] * (2 * s["heads"] + s["kv_heads"]),
                "K and V are two matrices: one is missing",
            ),
            one_layer,
        ]
    if name == "feed_forward":
        return [
            (want * 2 / 3, "a gated feed-forward network has three matrices (gate, up, down), not two"),
            (want / s["experts"], "that is a single expert: every expert has matrices of its own"),
            (want / s["experts"] * 2, "that counts two experts, those used for a token: all of them are parameters"),
            one_layer,
        ]
    if name == "router":
        return [
            (0, "the router is missing: a matrix hidden x experts in each layer"),
            (layers * hidden * s["experts"], "a dense model has no router"),
            (layers * s["experts"], "that is one number for each expert: the router is a matrix hidden x experts"),
            one_layer,
        ]
    if name == "norms":
        return [
            (2 * layers * hidden, "the last norm, after all layers, is missing"),
            ((layers + 1) * hidden, "each layer has two norms: one before attention, one before the feed-forward part"),
            (layers * hidden, "each layer has two norms, and a last one follows all layers"),
            (2 * layers + 1, "a norm has one number for each of the hidden values"),
        ]
    if name == "output":
        words = s["vocabulary"] * hidden
        said = "the output matrix is tied: it is the embedding, which is counted already"
        return [(words if want == 0 else 0, said if want == 0 else "not tied: the output is a matrix of its own")]
    return [
        (s["vocabulary"], "a row of the embedding has hidden numbers"),
        (2 * want, "that counts the output matrix too"),
    ]


def law(rng, noise: float) -> tuple[list[float], list[float]]:
    """Sizes and losses of a power law, with so much noise."""
    scale, exponent = rng.uniform(2, 9), rng.uniform(0.05, 0.4)
    x = [round(1000 * 3.7**i * rng.uniform(0.8, 1.3)) for i in range(rng.randint(5, 7))]
    return [float(v) for v in x], [scale * v**-exponent * math.exp(rng.gauss(0, noise)) for v in x]


def line(x, losses) -> tuple[float, float]:
    """(scale, exponent) by least squares through the logarithms, written out."""
    u, v = np.log(x), np.log(losses)
    slope = ((u - u.mean()) * (v - v.mean())).sum() / ((u - u.mean()) ** 2).sum()
    return float(np.exp(v.mean() - slope * u.mean())), float(-slope)


def law_slips(x, losses):
    """(what a mistake gives, its reason); lazily, since most runs need none."""
    scale, exponent = line(x, losses)
    u, v = np.log(x), np.log(losses)
    yield (scale, -exponent), "the sign: losses fall, so the exponent of x ** -exponent is the slope times -1"
    yield (exponent, scale), "the two are swapped: scale first"
    yield (math.log(scale), exponent), "the scale is still a logarithm: take exp of the line's start"
    yield (10 ** math.log(scale), exponent), "natural logarithms go back with exp, not with a power of 10"
    yield (math.exp(math.log10(scale)), exponent), "logarithms to base 10 go back with a power of 10, not with exp"
    slope, start = np.polyfit(x, losses, 1)
    yield (start, -slope), "that is a straight line through x and the losses: take the logarithm of both first"
    slope, start = np.polyfit(u, losses, 1)
    yield (math.exp(start) if start < 700 else start, -slope), "the losses have no logarithm yet: take it of both"
    yield (start, -slope), "the losses have no logarithm yet: take it of both"
    slope, start = np.polyfit(x, v, 1)
    yield (math.exp(start), -slope), "x has no logarithm yet: take it of both"
    ends = -(v[-1] - v[0]) / (u[-1] - u[0])
    yield (math.exp(v[0] + ends * u[0]), ends), "only the first and the last loss were used: fit all of them"
    slope, start = np.polyfit(v, u, 1)
    yield (math.exp(start), -slope), "the axes are swapped: log(loss) over log(x)"


def logits(rng, tokens: int, experts: int) -> torch.Tensor:
    """(tokens, experts) logits without ties."""
    return torch.tensor([[rng.gauss(0, 1.5) for _ in range(experts)] for _ in range(tokens)])


def route_slips(given: torch.Tensor, k: int):
    """(weights of a mistake, its reason)."""
    probabilities = given.softmax(-1)

    def kept(values, best):
        return torch.zeros_like(values).scatter(-1, best, values.gather(-1, best))

    best = given.topk(k, -1).indices
    picked = kept(probabilities, best)
    yield picked, "the k weights do not sum to 1: divide by their sum after choosing"
    yield probabilities, "no expert was left out: keep only the k largest probabilities of each token"
    yield (picked > 0).float() / k, "all chosen experts count the same: their weights are their probabilities"
    yield (picked > 0).float(), "that says only who is chosen: the weights are the probabilities, divided by their sum"
    low = kept(probabilities, given.topk(k, -1, largest=False).indices)
    yield low / low.sum(-1, keepdim=True), "those are the k smallest: the router takes the largest"
    raw = kept(given, best)
    yield (
        raw / raw.sum(-1, keepdim=True),
        "the logits themselves were shared out: softmax first, it makes them positive",
    )
    across = given.softmax(0)
    chosen = kept(across, across.topk(k, -1).indices)
    yield (
        chosen / chosen.sum(-1, keepdim=True),
        "the softmax runs over the tokens: each token shares out its own experts",
    )
    again = picked.softmax(-1)
    yield again, "a second softmax over all experts gives the idle ones a weight again: divide by the sum"
    for other in range(1, given.shape[-1] + 1):
        if other != k:
            yield lab.route(given, other), f"{other} experts were kept, but k is {k}"


def mixture(rng, experts: int | None = None) -> dict:
    """A random model with experts."""
    experts = experts or rng.choice([8, 12, 40, 64])
    return {
        "rest": rng.randint(3, 9) * 10**6 + 137,
        "expert": rng.randint(200, 900) * 1000 + 11,
        "layers": rng.randint(5, 30),
        "experts": experts,
        "per_token": rng.choice([2, 3, 4]),
        "bits": rng.choice([4, 8, 16]),
    }


def mixtral() -> dict:
    """Mixtral 8x7B at 16 bits."""
    groups = lab.count(known(catalog.model("mixtral-8x7b")))
    layers, experts = 32, 8
    inside = groups["feed_forward"]
    return {"rest": sum(groups.values()) - inside, "expert": inside // (layers * experts), "layers": layers,
            "experts": experts, "per_token": 2, "bits": 16}  # fmt: skip


def memory(c: dict, tokens: int) -> tuple[float, float]:
    """(held, read) in bytes."""
    return lab.read_bytes(c["rest"], c["expert"], c["layers"], c["experts"], c["per_token"], tokens, c["bits"] / 8)


def pair_slips(c: dict, tokens: int) -> list[tuple[tuple[float, float], str]]:
    """Mistakes that touch both numbers."""
    held, read = memory(c, tokens)
    one = c["bits"] / 8
    return [
        ((read, held), "the two are swapped: what is held first"),
        ((held * 8, read * 8), "that is bits: 8 of them make a byte"),
        ((held / one, read / one), "that counts parameters, not bytes: times bits / 8"),
        ((held / 1e9, read / 1e9), "that is in GB: the answer is in plain bytes"),
    ]


def held_slips(c: dict, tokens: int) -> list[tuple[float, str]]:
    """What mistakes make of the bytes that must be held."""
    rest, expert, layers = c["rest"] * c["bits"] / 8, c["expert"] * c["bits"] / 8, c["layers"]
    return [
        (
            rest + layers * c["per_token"] * expert,
            "that holds only the active experts: the next token may want any of them",
        ),
        (memory(c, tokens)[1], "that is what the step reads: the experts that it skips must be held too"),
        (layers * c["experts"] * expert, "the parameters outside the experts are missing"),
        (rest + c["experts"] * expert, "each layer has experts of its own: that counts one layer"),
    ]


def read_slips(c: dict, tokens: int) -> list[tuple[float, str]]:
    """What mistakes make of the bytes that a step reads."""
    rest, expert, layers = c["rest"] * c["bits"] / 8, c["expert"] * c["bits"] / 8, c["layers"]
    experts, k = c["experts"], c["per_token"]
    missed = (1 - k / experts) ** tokens

    def step(touched: float) -> float:
        return rest + layers * touched * expert

    twice = experts * (1 - (1 - 1 / experts) ** (k * tokens))
    return [
        (step(experts), "that reads all experts: those that no token chose are not read"),
        (step(k), "that is one token: several tokens choose different experts"),
        (tokens * step(k), "weights are read once for all tokens of a step, not once a token"),
        (step(k * tokens), f"{SHARED}: k x tokens counts some of them twice"),
        (step(twice), "a token's k experts are different ones: it misses an expert with probability 1 - k / E"),
        (step(experts * missed), "those are the experts that nobody chose"),
        (step(experts * (1 - missed)) - rest, "the parameters outside the experts are read too"),
        (rest + experts * (1 - missed) * expert, "each layer has experts of its own: that counts one layer"),
    ]
