"""Checks of lesson 07: parameters by group, a fitted power law, a router's weights, and the bytes that a step reads."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache

import torch

from ..calc import architecture
from ..facts import catalog
from ..labs import parameters_and_moe as lab
from . import parameters_and_moe_cases as cases
from .core import CheckFailed, check_for, expect, property_of, same

TOLERANCE = 1e-5  # float32: rounding differs with the order of the sums, by less than this


@check_for(
    "l07_e1",
    title="Parameters by group",
    minutes=10,
    hints=[
        "A matrix that turns n numbers into m has n x m parameters. Which matrices does one layer have, and how often does "
        "each occur?",
        "Attention: Q and the output projection are hidden x (heads x head_dim), K and V are hidden x (kv_heads x head_dim). "
        "A feed-forward network has three matrices: gate, up and down.",
        "attention = layers x hidden x head_dim x (2 heads + 2 kv_heads); feed_forward = layers x experts x 3 x hidden x "
        "feed_forward; router = layers x hidden x experts when there is more than one; norms = (2 layers + 1) x hidden; "
        "output = 0 when tied, else as large as the embedding.",
    ],
)
def check_count(answer, rng):
    """A dense model and one with experts, each group apart; mistakes are recognised by the numbers they make."""
    _compare_count(answer, cases.shape(rng, experts=1, tied=True))
    _compare_count(answer, cases.shape(rng, experts=8, tied=False))


@property_of("l07_e1", "random shapes, to the unit")
def count_any_shape(answer, rng):
    """Eight random shapes, dense and with experts, then the fewest experts that need a router."""
    for _ in range(8):
        _compare_count(answer, cases.shape(rng))
    _compare_count(answer, cases.shape(rng, experts=2))


@property_of("l07_e1", "real models of the fact base, to the unit")
def count_real_models(answer, rng):
    """Models without biases, whose exact totals are known."""
    for name in ("llama-3.3-70b", "mixtral-8x7b", "tinyllama-1.1b"):
        row = catalog.model(name)
        got = _groups(answer(cases.known(row)))
        expect(sum(got.values()), architecture.parameters(row), f"All parameters of {row.name}.")


@property_of("l07_e1", "the tensors of a real model with experts")
def count_tensors(answer, rng):
    """The embedded model with experts, counted tensor by tensor."""
    model = _model()
    got = _groups(answer(lab.shape_of(model.config)))
    expect(
        sum(got.values()), sum(t.numel() for t in model.parameters()), "Formula and tensors of a real model disagree."
    )


@property_of("l07_e1", "twice the layers: twice what is in the layers, and the same outside")
def count_grows(answer, rng):
    """What grows with the layers and what does not."""
    small = cases.shape(rng, experts=4)
    once, twice = _groups(answer(dict(small))), _groups(answer(small | {"layers": 2 * small["layers"]}))
    for name in ("attention", "feed_forward", "router"):
        expect(twice[name], 2 * once[name], f"Twice the layers must have twice the parameters of {name}.")
    for name in ("embedding", "output"):
        expect(twice[name], once[name], f"The {name} stands outside the layers: their number changes nothing there.")
    expect(twice["norms"] - once["norms"], 2 * small["layers"] * small["hidden"], "Two norms a layer, and a last one.")


@check_for(
    "l07_e2",
    title="A power law through measured losses",
    minutes=8,
    hints=[
        "loss = scale * x ** -exponent is curved. Take the logarithm of both sides: what kind of line is log(loss) over log(x)?",
        "log(loss) = log(scale) - exponent * log(x): a straight line. Its slope and its start come from least squares, for "
        "example np.polyfit(log_x, log_loss, 1).",
        "slope, start = np.polyfit(np.log(x), np.log(losses), 1); then the exponent is -slope and the scale is "
        "np.exp(start).",
    ],
)
def check_power_law(answer, rng):
    """Exact laws, then losses with noise, where the way of fitting shows."""
    _compare_law(answer, *cases.law(rng, noise=0.0))
    _compare_law(answer, *cases.law(rng, noise=0.05))


@property_of("l07_e2", "noisy losses: the least squares line through the logarithms")
def law_with_noise(answer, rng):
    """Several seeds."""
    for _ in range(6):
        _compare_law(answer, *cases.law(rng, noise=0.1))


@property_of("l07_e2", "other units of x change the scale and leave the exponent")
def law_units(answer, rng):
    """x in thousands."""
    x, losses = cases.law(rng, noise=0.03)
    exponent = _pair(answer(list(x), list(losses)))[1]
    other = _pair(answer([v / 1000 for v in x], list(losses)))[1]
    expect(other, exponent, "The exponent must not depend on the unit of x.", rel=1e-6)


@property_of("l07_e2", "losses twice as high: twice the scale, the same exponent")
def law_scale(answer, rng):
    """Nats for bits, say."""
    x, losses = cases.law(rng, noise=0.03)
    scale, exponent = _pair(answer(list(x), list(losses)))
    twice, again = _pair(answer(list(x), [2 * v for v in losses]))
    expect(twice, 2 * scale, "Twice the losses must give twice the scale.", rel=1e-6)
    expect(again, exponent, "Twice the losses must leave the exponent.", rel=1e-6)


@check_for(
    "l07_e3",
    title="What a router makes of its logits",
    minutes=10,
    hints=[
        "Three steps for each token: probabilities, the k largest, and weights that sum to 1 again.",
        "logits.softmax(-1) gives each token's probabilities over the experts; .topk(k, dim=-1) gives values and indices; "
        "zeros.scatter(-1, indices, values) writes them back to their experts.",
        "probabilities = logits.softmax(-1); best = probabilities.topk(k, dim=-1); weights = "
        "torch.zeros_like(probabilities).scatter(-1, best.indices, best.values); divide by weights.sum(-1, keepdim=True).",
    ],
)
def check_route(answer, rng):
    """Weights on made-up logits, each usual mistake recognised by its values; then the router of a real model."""
    for tokens, experts, k in ((6, 8, 2), (5, 5, 3), (4, 6, 1)):
        _compare_route(answer, cases.logits(rng, tokens, experts), k)
    _compare_in_model(answer, rng)


@property_of("l07_e3", "any number of tokens, experts and k")
def route_any_shape(answer, rng):
    """Random sizes, all experts at the extreme."""
    for _ in range(6):
        experts = rng.randint(2, 12)
        _compare_route(answer, cases.logits(rng, rng.randint(1, 9), experts), rng.randint(1, experts))


@property_of("l07_e3", "a constant added to a token's logits changes nothing")
def route_shift(answer, rng):
    """Softmax sees only differences."""
    logits = cases.logits(rng, 5, 7)
    shift = torch.tensor([[rng.uniform(-3, 3)] for _ in range(5)])
    first, second = _weights(answer(logits.clone(), 2), logits), _weights(answer(logits + shift, 2), logits)
    if not torch.allclose(first, second, atol=1e-4):
        raise CheckFailed(
            "A constant added to all logits of a token must not change its weights.", reason="use the softmax"
        )


@property_of("l07_e3", "in a real layer, other texts and k give the layer's own output")
def route_in_model(answer, rng):
    """k = 1 and k = 3 in another layer."""
    for k in (1, 3):
        _compare_in_model(answer, rng, k)


@property_of("l07_e3", "the logits are left as they were")
def route_pure(answer, rng):
    """No change in place."""
    logits = cases.logits(rng, 4, 6)
    before = logits.clone()
    answer(logits, 2)
    if not torch.equal(logits, before):
        raise CheckFailed(
            "The router logits were changed in place.", reason="they are somebody else's: make new tensors"
        )


@check_for(
    "l07_e4",
    title="What must be held, and what a step reads",
    minutes=12,
    hints=[
        "Two different questions: which weights must lie in memory at any time, and which of them does one step over n tokens "
        "need? For the second, ask for one expert: how likely is it that no token chose it?",
        "One token misses a given expert with probability 1 - k / E, n tokens all miss it with (1 - k / E) ** n. So E x (1 - "
        "that) experts are expected to be read in each layer. They are read once, however many tokens chose them.",
        "held = rest + layers * experts * expert; touched = experts * (1 - (1 - per_token / experts) ** tokens); read = rest + "
        "layers * touched * expert; both times bits / 8.",
    ],
)
def check_memory(answer, rng):
    """One token and a few, each usual mistake recognised by its number; then a real shape."""
    _compare_memory(answer, cases.mixture(rng), 1)
    _compare_memory(answer, cases.mixture(rng, experts=rng.choice([40, 64])), rng.randint(3, 8))
    _compare_memory(answer, cases.mixtral(), 8)


@property_of("l07_e4", "random mixtures and steps")
def memory_any(answer, rng):
    """Ten random ones."""
    for _ in range(10):
        _compare_memory(answer, cases.mixture(rng), rng.randint(1, 200))


@property_of("l07_e4", "more tokens never read less, and never more than what is held")
def memory_grows(answer, rng):
    """Monotony and the bound."""
    c, last = cases.mixture(rng), 0.0
    for tokens in (1, 2, 5, 20, 400):
        held, read = _pair(_ask_memory(answer, c, tokens))
        if not last <= read <= held * (1 + 1e-9):
            raise CheckFailed(f"A step over {tokens} tokens reads {read:,.0f} bytes after {last:,.0f} for fewer tokens.",
                              reason="more tokens touch more experts, but never more than there are")  # fmt: skip
        last = read


@property_of("l07_e4", "a dense model reads everything, whatever the batch")
def memory_dense(answer, rng):
    """One expert that every token uses."""
    c = cases.mixture(rng) | {"experts": 1, "per_token": 1}
    for tokens in (1, 7):
        held, read = _pair(_ask_memory(answer, c, tokens))
        expect(read, held, "With one expert that all tokens use, a step reads all weights, once.", rel=1e-6)


@property_of("l07_e4", "half the bits, half the bytes")
def memory_bits(answer, rng):
    """Linearity in the bits."""
    c = cases.mixture(rng)
    whole = _pair(_ask_memory(answer, c | {"bits": 16}, 4))
    half = _pair(_ask_memory(answer, c | {"bits": 8}, 4))
    expect([2 * x for x in half], list(whole), "Half the bits must take half the bytes.", rel=1e-6)


@cache
def _model():
    from ..models import load

    return load("moe", device="cpu", dtype=torch.float32)[0]


def _groups(got) -> dict:
    if not isinstance(got, dict) or set(got) != set(lab.GROUPS):
        came = ", ".join(map(str, got)) if isinstance(got, dict) else type(got).__name__
        raise CheckFailed(
            "The answer must be a dict with one number for each group.", expected=", ".join(lab.GROUPS), got=came
        )
    got = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in got.items()}
    for name, value in got.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
            raise CheckFailed(f"The group {name} must be a number.", expected="a whole number", got=value)
    return got


def _compare_count(answer, shape: dict) -> None:
    asked = dict(shape)
    got, want = _groups(answer(asked)), lab.count(shape)
    if asked != shape:
        raise CheckFailed("The shape was changed.", reason="it belongs to the caller: read it, and make a new dict")
    for name, value in want.items():
        expect(
            got[name], value, f"Parameters of {name}, shape {shape}.", mistakes=cases.count_slips(name, shape, value)
        )


def _pair(got) -> tuple[float, float]:
    """Two finite numbers; CheckFailed for anything else."""
    if hasattr(got, "tolist"):
        got = got.tolist()
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise CheckFailed("The answer must be a pair of numbers.", expected="(number, number)", got=got)
    pair = [x.item() if hasattr(x, "item") else x for x in got]
    if not all(isinstance(x, (int, float, Fraction)) and not isinstance(x, bool) and math.isfinite(x) for x in pair):
        raise CheckFailed("The answer must be a pair of finite numbers.", expected="(number, number)", got=got)
    return float(pair[0]), float(pair[1])


def _compare_law(answer, x: list, losses: list) -> None:
    got, want = _pair(answer(list(x), list(losses))), cases.line(x, losses)
    if same(list(got), list(want), rel=1e-5):
        return
    reason = next((why for slip, why in cases.law_slips(x, losses) if same(list(got), list(slip), rel=1e-4)), None)
    if reason is None and same(got[1], want[1], rel=1e-5):
        reason = "the exponent is right, the scale is not: it is e to the power of the line's start"
    raise CheckFailed(f"(scale, exponent) for {len(x)} losses.", expected=want, got=got, reason=reason)


def _weights(got, logits: torch.Tensor) -> torch.Tensor:
    if not isinstance(got, torch.Tensor) or got.shape != logits.shape:
        shape = tuple(got.shape) if isinstance(got, torch.Tensor) else type(got).__name__
        raise CheckFailed(
            "The answer must hold a weight for each token and expert.", expected=f"a tensor {tuple(logits.shape)}", got=shape,
            reason="write the k weights back to the places of their experts, zeros elsewhere",
        )  # fmt: skip
    return got.detach().float()


def _compare_route(answer, logits: torch.Tensor, k: int) -> None:
    got, want = _weights(answer(logits.clone(), k), logits), lab.route(logits, k)
    if torch.allclose(got, want, atol=TOLERANCE):
        return
    reason = next(
        (why for slip, why in cases.route_slips(logits, k) if torch.allclose(got, slip, atol=TOLERANCE)), None
    )
    if reason is None:
        used = (got != 0).sum(-1)
        if not bool((used == k).all()):
            reason = f"a token has {int(used[0])} experts with a weight above 0, not k = {k}"
    row = int((got - want).abs().amax(-1).argmax())
    raise CheckFailed(
        f"{tuple(logits.shape)} logits of (tokens, experts), k = {k}: the weights of token {row} are off.",
        expected=_rounded(want[row]), got=_rounded(got[row]), reason=reason,
    )  # fmt: skip


def _rounded(row: torch.Tensor) -> list[float]:
    return [round(x, 3) for x in row.tolist()]


def _compare_in_model(answer, rng, k: int = 2) -> None:
    """The layer of a real model by hand, with the answer as its router, against the layer's own output."""
    model = _model()
    ids = torch.tensor([[rng.randrange(6, model.config.vocab_size) for _ in range(12)]])
    number = rng.randrange(model.config.num_hidden_layers)
    x = lab.inputs_of(model, ids)[number]
    block = model.model.layers[number].mlp
    with lab.choosing(model, k), torch.no_grad():
        want = block(x)
    got = lab.moe_layer(block, x, k, route=answer)
    if not torch.allclose(got, want, atol=1e-3):
        raise CheckFailed(
            f"With your weights, layer {number} of the embedded model gives another output for 12 tokens, k = {k}.",
            expected="largest difference below 0.001", got=f"{(got - want).abs().max().item():.4g}",
        )  # fmt: skip


def _ask_memory(answer, c: dict, tokens: int):
    return answer(c["rest"], c["expert"], c["layers"], c["experts"], c["per_token"], tokens, c["bits"])


def _compare_memory(answer, c: dict, tokens: int) -> None:
    got = _pair(_ask_memory(answer, c, tokens))
    want = cases.memory(c, tokens)
    what = f"{c}, a step over {tokens} tokens"
    if not same(list(got), list(want), rel=1e-6):
        slips = cases.pair_slips(c, tokens)
        reason = next((why for slip, why in slips if same(list(got), list(slip), rel=1e-6)), None)
        if reason:
            raise CheckFailed(f"{what}: (held, read) in bytes.", expected=want, got=got, reason=reason)
    expect(got[0], want[0], f"{what}: bytes that must be held.", mistakes=cases.held_slips(c, tokens), rel=1e-6)
    expect(got[1], want[1], f"{what}: bytes that the step reads.", mistakes=cases.read_slips(c, tokens), rel=1e-6)
