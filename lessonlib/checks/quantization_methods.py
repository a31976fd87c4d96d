"""Checks of lesson 08, second part: AWQ's scale, and bits for each part, measured on the embedded model."""

from __future__ import annotations

import torch

from ..labs import quantization_bits as bits_lab
from . import quantization_cases as cases
from .core import CheckFailed, check_for, property_of, same

REACHED = 0.9  # of the error that the best allocation saves over a uniform one, so much must be saved
MEASURED = 1.35  # times as far as with the best allocation may the predictions move: what adds up is an approximation


@check_for(
    "l08_e3",
    title="AWQ's scale",
    minutes=12,
    hints=[
        "For every alpha: make s from the inputs, round the scaled weights, undo the scale, and see what the OUTPUTS lost.",
        "`s = inputs.abs().mean(0) ** alpha` has one value for each input channel, the last axis of weight (out, in): "
        "`weight * s` needs no reshape.",
        "`error = ((inputs @ (quantize(weight * s) / s - weight).T) ** 2).sum()`; collect them all, and return the alpha and the s "
        "of the least.",
    ],
)
def check_awq(answer, rng):
    """Inputs with loud channels, where each usual mistake picks another alpha or another scale."""
    for _ in range(2):
        _compare_awq(answer, *cases.awq_case(rng))


@property_of("l08_e3", "other matrices and widths")
def awq_any(answer, rng):
    """Random cases at 2 and 4 bits."""
    for bits in (2, 4):
        _compare_awq(answer, *cases.awq_case(rng, outputs=rng.choice([8, 32]), bits=bits))


@property_of("l08_e3", "the outputs are never worse than with plain rounding")
def awq_never_worse(answer, rng):
    """alpha 0 is in the list."""
    for _ in range(3):
        weight, inputs, quantize, alphas = cases.awq_case(rng)
        _, s, _ = _awq_parts(answer(weight, inputs, quantize, alphas), len(alphas))
        plain = (inputs @ (quantize(weight) - weight).T).square().sum().item()
        scaled = (inputs @ (quantize(weight * s) / s - weight).T).square().sum().item()
        if not scaled <= 1.0001 * plain:
            raise CheckFailed(
                "With this scale the outputs lose more than with plain rounding.",
                expected=f"at most {plain:.5g}",
                got=scaled,
            )


@property_of("l08_e3", "tensors that were given stay as they are")
def awq_leaves_input(answer, rng):
    """No change in place."""
    weight, inputs, quantize, alphas = cases.awq_case(rng)
    before = weight.clone(), inputs.clone()
    answer(weight, inputs, quantize, alphas)
    if not (torch.equal(weight, before[0]) and torch.equal(inputs, before[1])):
        raise CheckFailed("A tensor that was given is changed.", reason="write weight * s, not weight *= s")


@check_for(
    "l08_e4",
    title="Bits where they count",
    minutes=15,
    hints=[
        "Start every part at its least bits. Then ask over and over: where does the next byte remove most error?",
        "A step from width a to b is worth `(error_of[part][a] - error_of[part][b]) / (bytes_of[part][b] - bytes_of[part][a])`.",
        "In a loop: list the steps of all parts that still fit into the budget, take the one that is worth most, stop when "
        "none is left. (All widths above the present one are steps, not only the next.)",
    ],
)
def check_bits(answer, rng):
    """Two made-up puzzles beside the best solution, then the real model: measured, not predicted."""
    for _ in range(2):
        _compare_allocation(answer, *cases.telling_puzzle(rng))
    _compare_measured(answer, 0.5)


@property_of("l08_e4", "other puzzles, small and large")
def bits_any(answer, rng):
    """Random parts, widths and budgets."""
    for parts, widths in ((8, (2, 3, 4)), (24, (2, 3, 4, 6, 8)), (16, (2, 4, 8))):
        bytes_of, error_of, _ = cases.puzzle(rng, parts, tuple(sorted({*widths, 3})))
        bytes_of, error_of = ({p: {b: row[b] for b in widths} for p, row in t.items()} for t in (bytes_of, error_of))
        low, high = (sum(pick(row.values()) for row in bytes_of.values()) for pick in (min, max))
        _compare_allocation(answer, bytes_of, error_of, int(low + (high - low) * rng.uniform(0.3, 0.5)))


@property_of("l08_e4", "a budget for all bits is spent to the last byte")
def bits_exact(answer, rng):
    """What costs exactly what is left fits."""
    bytes_of, error_of, _ = cases.puzzle(rng)
    _compare_allocation(answer, bytes_of, error_of, sum(max(row.values()) for row in bytes_of.values()))


@property_of("l08_e4", "bits go where they help, not where the error is large")
def bits_that_help(answer, rng):
    """The largest part loses much, and no width changes that."""
    bytes_of, error_of, budget = cases.puzzle(rng)
    largest = max(bytes_of, key=lambda part: bytes_of[part][8])
    error_of[largest] = dict.fromkeys(bytes_of[largest], 10.0)
    _compare_allocation(answer, bytes_of, error_of, budget)


@property_of("l08_e4", "the real model at another budget, measured")
def bits_measured(answer, rng):
    """Four fifths of the way from 2 bits to 3."""
    _compare_measured(answer, 0.8)


@property_of("l08_e4", "the tables that were given stay as they are")
def bits_leave_input(answer, rng):
    """No change in place."""
    bytes_of, error_of, budget = cases.puzzle(rng)
    given = [{p: dict(row) for p, row in t.items()} for t in (bytes_of, error_of)]
    answer(*given, budget)
    if given != [bytes_of, error_of]:
        raise CheckFailed("A table that was given is changed.", reason="keep your own dict of chosen widths")


def _awq_parts(got, count: int):
    try:
        alpha, s, errors = got
    except (TypeError, ValueError):
        raise CheckFailed("The answer must be three things.", expected="(alpha, s, errors)", got=got) from None
    errors = errors.tolist() if hasattr(errors, "tolist") else errors
    if not isinstance(errors, (list, tuple)) or len(errors) != count:
        raise CheckFailed("There must be one error for each alpha.", expected=f"a list of {count}", got=errors)
    s = torch.as_tensor(s).float() if hasattr(s, "__array__") or isinstance(s, (list, tuple)) else s
    return alpha, s, [e.item() if hasattr(e, "item") else e for e in errors]


def _compare_awq(answer, weight, inputs, quantize, alphas) -> None:
    got = answer(weight.clone(), inputs.clone(), quantize, list(alphas))
    alpha, s, errors = _awq_parts(got, len(alphas))
    want = cases.awq_errors(weight, inputs, quantize, alphas)
    if not same(errors, want, 1e-3):
        mistakes = cases.awq_mistakes(weight, inputs, quantize, alphas)
        reason = next((why for made, why in mistakes if same(errors, made, 1e-3)), None)
        shown = [[f"{e:.4g}" if isinstance(e, float) else e for e in row] for row in (want, errors)]
        what = f"Squared errors of the outputs for alpha = {alphas}."
        raise CheckFailed(what, expected=shown[0], got=shown[1], reason=reason)
    best, worst = (alphas[want.index(pick(want))] for pick in (min, max))
    if not same(alpha, best):
        known = {worst: "that is the worst alpha: take the least error"}
        known |= {
            alphas[i]: f"that is the {n} alpha of the list: compare the errors" for i, n in ((0, "first"), (-1, "last"))
        }
        reason = next((why for made, why in known.items() if same(alpha, made)), None)
        raise CheckFailed(
            f"The outputs lose least at another alpha of {alphas}.", expected=best, got=alpha, reason=reason
        )
    size, channels = inputs.abs().mean(0), weight.shape[1]
    if not isinstance(s, torch.Tensor) or s.numel() != channels:
        shape = tuple(s.shape) if isinstance(s, torch.Tensor) else s
        raise CheckFailed("s must have one value for each input channel.", expected=(channels,), got=shape)
    if not torch.allclose(s.flatten(), size**best, rtol=1e-3):
        others = [a for a in alphas if torch.allclose(s.flatten(), size**a, rtol=1e-3)]
        reason = f"that is the scale of alpha {others[0]}: keep the one that belongs to the best" if others else None
        shown = [[round(x, 4) for x in t.flatten()[:4].tolist()] for t in (size**best, s)]
        what = "alpha is right, the scale is not (first four channels)."
        raise CheckFailed(what, expected=shown[0], got=shown[1], reason=reason)


def _allocation(got, bytes_of, budget) -> dict[str, int]:
    """The answer as part -> width, after the rules of the puzzle."""
    if not isinstance(got, dict) or set(got) != set(bytes_of):
        raise CheckFailed(
            "The answer must name a width for each part.", expected=f"a dict with {len(bytes_of)} parts", got=got
        )
    chosen = {}
    for part, bits in got.items():
        bits = bits.item() if hasattr(bits, "item") else bits
        if isinstance(bits, bool) or not isinstance(bits, (int, float)) or bits not in bytes_of[part]:
            raise CheckFailed(f"{part!r} cannot have this width: only those in the table exist.",
                              expected=list(bytes_of[part]), got=bits)  # fmt: skip
        chosen[part] = int(bits)
    size = bits_lab.total(bytes_of, chosen)
    if size > budget:
        raise CheckFailed("The allocation is over the budget.", expected=f"at most {budget:,} bytes", got=size,
                          reason="add up bytes_of[part][bits] over all parts before you give more")  # fmt: skip
    return {part: chosen[part] for part in bytes_of}


def _compare_allocation(answer, bytes_of, error_of, budget) -> dict[str, int]:
    given = [{p: dict(row) for p, row in t.items()} for t in (bytes_of, error_of)]
    chosen = _allocation(answer(*given, budget), bytes_of, budget)
    got, top, flat = (
        bits_lab.total(error_of, a)
        for a in (chosen, bits_lab.best(bytes_of, error_of, budget), bits_lab.uniform(bytes_of, budget))
    )
    if got <= flat - REACHED * (flat - top) + 1e-12:
        return chosen
    reason = next((why for made, why in cases.allocation_mistakes(bytes_of, error_of, budget) if made == chosen), None)
    raise CheckFailed(f"{len(bytes_of)} parts, {budget:,} bytes: the bits can be spent better.",
                      expected=f"predicted error of at most {flat - REACHED * (flat - top):.4g}", got=got, reason=reason)  # fmt: skip


def _compare_measured(answer, share: float) -> None:
    """The real model, with a budget a share of the way from all parts at 2 bits to all at 3."""
    judge = cases.judge()
    bytes_of = bits_lab.sizes(judge.model)
    budget = cases.budget_between(bytes_of, share)
    chosen = _compare_allocation(answer, bytes_of, cases.SENSITIVITIES, budget)
    best = bits_lab.best(bytes_of, cases.SENSITIVITIES, budget)
    want = judge.of(bits_lab.weights(judge.model, best)).moved
    got = want if chosen == best else judge.of(bits_lab.weights(judge.model, chosen)).moved
    if got > MEASURED * want:
        raise CheckFailed(
            "Measured on `target`, the model with these widths lost too much.",
            expected=f"predictions moved by at most {MEASURED * want:.3f} bits",
            got=got,
            reason="the predicted error was low, the measured one is not: check the table you read",
        )
