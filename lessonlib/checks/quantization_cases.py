"""What the checks of lesson 08 compare with: right results, what each mistake would give, puzzles, and the real model."""

from __future__ import annotations

import torch

from ..labs import quantization as lab
from ..labs import quantization_bits as bits_lab
from ..labs import quantization_texts as texts

SCALE_BYTES = 2  # a scale is stored in 16 bits
# How far the predictions of `target` move (bits) when one part alone is rounded to 2, 3 and 4 bits, groups of 64, on the
# first calibration text: `bits_lab.sensitivities`, measured 2026-11-27; a test measures it again.
SENSITIVITIES = {
    "0 attention": {2: 0.0797, 3: 0.00883, 4: 0.00258},
    "0 feed-forward": {2: 0.166, 3: 0.024, 4: 0.00768},
    "1 attention": {2: 0.0701, 3: 0.0161, 4: 0.00379},
    "1 feed-forward": {2: 0.0627, 3: 0.00985, 4: 0.00178},
    "2 attention": {2: 0.0759, 3: 0.0109, 4: 0.00185},
    "2 feed-forward": {2: 0.0341, 3: 0.0062, 4: 0.00124},
    "3 attention": {2: 0.0727, 3: 0.0154, 4: 0.00299},
    "3 feed-forward": {2: 0.0759, 3: 0.0105, 4: 0.00224},
    "4 attention": {2: 0.0989, 3: 0.0142, 4: 0.00312},
    "4 feed-forward": {2: 0.0719, 3: 0.0132, 4: 0.00258},
    "5 attention": {2: 0.0585, 3: 0.0079, 4: 0.00176},
    "5 feed-forward": {2: 0.052, 3: 0.00693, 4: 0.00158},
    "6 attention": {2: 0.0843, 3: 0.0127, 4: 0.00285},
    "6 feed-forward": {2: 0.114, 3: 0.0186, 4: 0.00385},
    "7 attention": {2: 0.0388, 3: 0.00607, 4: 0.00149},
    "7 feed-forward": {2: 0.0702, 3: 0.0108, 4: 0.00224},
    "8 attention": {2: 0.067, 3: 0.00963, 4: 0.00226},
    "8 feed-forward": {2: 0.221, 3: 0.0277, 4: 0.00649},
}
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


def decoded(code: int, exponent_bits: int, mantissa_bits: int, **mistake) -> float:
    """The value of a finite pattern. `mistake` changes one rule: the bias, the leading one, the subnormals, the sign."""
    sign = code >> (exponent_bits + mantissa_bits)
    exponent = code >> mantissa_bits & (2**exponent_bits - 1)
    mantissa = code & (2**mantissa_bits - 1)
    bias = mistake.get("bias", 2 ** (exponent_bits - 1) - 1)
    if mistake.get("swapped"):  # mantissa read before the exponent
        mantissa, exponent = code >> exponent_bits & (2**mantissa_bits - 1), code & (2**exponent_bits - 1)
    part = mantissa / 2**mantissa_bits
    if exponent == 0 and not mistake.get("no_subnormals"):
        value = part * 2.0 ** (mistake.get("lowest", 1) - bias)
    else:
        value = (part + mistake.get("leading", 1)) * 2.0 ** (exponent - bias)
    return -value if sign and not mistake.get("unsigned") else value


def decode_mistakes(code: int, e: int, m: int) -> list[tuple[float, str]]:
    """(what it gives, its reason) of the usual mistakes in reading a float."""
    bias = 2 ** (e - 1) - 1
    return [
        (decoded(code, e, m, unsigned=True), "the sign was left out: the first bit says minus"),
        (decoded(code, e, m, leading=0), "the leading one is missing: a normal number is 1.mantissa"),
        (decoded(code, e, m, no_subnormals=True), "exponent 0 marks a subnormal: no leading one, and the power 1 - bias"),
        (decoded(code, e, m, lowest=0), "a subnormal has the power 1 - bias, as the smallest normal number has, not 0 - bias"),
        (decoded(code, e, m, bias=bias + 1), "the bias is 2^(exponent bits - 1) - 1: one less than the half"),
        (decoded(code, e, m, bias=0), "the bias was not subtracted from the exponent"),
        (decoded(code, e, m, swapped=True), "the fields are read in the wrong order: sign, exponent, mantissa from the left"),
        (float(code), "that is the pattern read as a whole number, not as a float"),
    ]  # fmt: skip


def grouped(weight: torch.Tensor, bits: int, group: int) -> torch.Tensor:
    """Zero-point quantization in groups of neighbouring inputs, restored; scales are not rounded to 16 bits here."""
    return affine(weight.double().reshape(-1, group), bits).reshape(weight.shape)


def affine(rows, bits, symmetric=False, bare=False, steps=0, cut=torch.round, sign=1, early=False, half=False):
    """Rows quantized with a scale and a zero point each, restored; the keywords make one mistake each."""
    most = 2 ** (bits - half) - 1
    low, high = rows.amin(1, keepdim=True), rows.amax(1, keepdim=True)
    if not bare:
        low, high = low.clamp(max=0), high.clamp(min=0)
    if symmetric:
        scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / (2 ** (bits - 1) - 1)
        return (rows / scale).round() * scale
    scale = ((high - low) / (most + steps)).clamp(min=1e-12)
    zero = (sign * -low / scale).round()
    numbers = cut((rows - low) / scale) if early else cut(rows / scale) + zero
    return (numbers.clamp(0, most) - zero) * scale


def grouped_mistakes(weight: torch.Tensor, bits: int, group: int):
    """(restored weights, reason) of the usual mistakes."""
    w = weight.double()
    rows = w.reshape(-1, group)

    def made(**mistake):
        return affine(rows, bits, **mistake).reshape(w.shape)

    yield affine(w.reshape(1, -1), bits).reshape(w.shape), "one scale for the whole matrix: every group has its own"
    yield affine(w, bits), "one scale for a whole row: every group of inputs has its own"
    if not weight.shape[0] % group:
        turned = affine(w.T.reshape(-1, group), bits).reshape(w.T.shape).T
        yield turned, "the groups run down the outputs: neighbours in a row (inputs) share a scale"
    yield made(bare=True), "the range must hold 0: take min(0, least) and max(0, greatest)"
    yield made(symmetric=True), "that is absmax, symmetric around 0: here the range is least to greatest"
    yield made(steps=1), "divided by 2^bits: from 0 to 2^bits - 1 there are 2^bits - 1 steps"
    yield made(half=True), "half of the whole numbers stay unused: they go from 0 to 2^bits - 1"
    yield made(cut=torch.floor), "rounded down: the nearest whole number is meant (round, not floor)"
    yield made(cut=torch.trunc), "the decimals are cut off: the nearest whole number is meant (round, not int)"
    yield made(sign=-1), "the zero point has the wrong sign: it is round(-low / scale)"
    yield made(early=True), "shifted before rounding: number = round(w / scale) + zero, so that 0 stays exact"
    low, high = rows.amin(1, keepdim=True).clamp(max=0), rows.amax(1, keepdim=True).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=1e-12)
    zero = (-low / scale).round()
    numbers = ((rows / scale).round() + zero).clamp(0, 2**bits - 1)
    yield numbers.reshape(w.shape), "those are the whole numbers: (number - zero) * scale comes back"
    yield (numbers * scale).reshape(w.shape), "the zero point was not subtracted: (number - zero) * scale comes back"


def bytes_mistakes(rows: int, cols: int, bits: int, group: int):
    """(right bytes, [(bytes, reason) of the usual mistakes]) of numbers, 16-bit scales and zero points."""
    n, groups = rows * cols, rows * cols // group
    want = n * bits // 8 + groups * SCALE_BYTES + groups * bits // 8
    return want, [
        (n * bits // 8, "scales and zero points are missing: each group stores one of both"),
        (n * bits // 8 + groups * SCALE_BYTES, "the zero points are missing: each group stores one, of `bits` bits"),
        (n * bits // 8 + groups * bits // 8, "the scales are missing: each group stores one"),
        (n * bits // 8 + groups * 2 * SCALE_BYTES, "a zero point takes `bits` bits, not as many as a scale"),
        (n * bits // 8 + groups * 4 + groups * bits // 8, "a scale takes 16 bits here, 2 bytes"),
        (want * 8, "that is bits: the answer is in bytes"),
        (n + groups * SCALE_BYTES + groups, "a number takes `bits` bits, not a whole byte"),
        (n * bits // 8 + rows * SCALE_BYTES + rows * bits // 8, "one scale a row is counted: each group stores one"),
        (n * 4, "that is the size of the float32 matrix that comes back, not of what is stored"),
    ]


def awq_case(rng, outputs: int = 24, group: int = 16, bits: int = 3):
    """(weight (out, in), inputs (tokens, in), quantize, alphas) with some loud input channels. One alpha is clearly best,
    and neither the best nor the worst stands first or last in the list."""
    while True:
        generator = torch.Generator().manual_seed(rng.randrange(2**31))
        weight = torch.randn(outputs, 64, generator=generator)
        inputs = torch.randn(40, 64, generator=generator) * torch.exp(torch.randn(64, generator=generator))
        inputs = inputs + 0.5 * torch.randn(64, generator=generator)

        def quantize(w):
            return grouped(w, bits, group).to(w.dtype)

        errors = awq_errors(weight, inputs, quantize, ALPHAS)
        ranked = sorted(errors)
        best, worst = (ALPHAS[errors.index(e)] for e in (ranked[0], ranked[-1]))
        if 0 < best < 1 and ranked[1] > 1.03 * ranked[0]:
            others = [a for a in ALPHAS if a not in (best, worst)]
            rng.shuffle(others)
            return weight, inputs, quantize, [others[0], best, others[1], worst, *others[2:]]


def awq_errors(weight, inputs, quantize, alphas, size=None, undo=True, outputs=True, divide=False) -> list[float]:
    """The squared error of every alpha; the keywords make one mistake each."""
    size = inputs.abs().mean(0) if size is None else size
    found = []
    for alpha in alphas:
        s = size**alpha
        s = 1 / s if divide else s
        change = quantize(weight * s) / (s if undo else 1) - weight
        found.append(((inputs @ change.T) if outputs else change).square().sum().item())
    return found


def awq_mistakes(weight, inputs, quantize, alphas):
    """(errors of all alphas, reason) of the usual mistakes."""

    def errors(**mistake):
        return awq_errors(weight, inputs, quantize, alphas, **mistake)

    yield errors(size=inputs.abs().amax(0)), "the scale is the MEAN magnitude of a channel, not its peak"
    yield errors(size=inputs.mean(0).abs()), "the mean was taken before the magnitude: mean of |x|, not |mean of x|"
    yield (
        errors(size=inputs.square().mean(0).sqrt()),
        "that is the root of the mean square: AWQ takes the mean magnitude",
    )
    yield (
        errors(size=weight.abs().mean(0)),
        "the scale comes from the weights: AWQ asks the inputs which channels matter",
    )
    yield errors(outputs=False), "the error of the WEIGHTS was compared: compare outputs, inputs @ weights.T"
    yield errors(undo=False), "the scale is not undone: compare quantize(weight * s) / s with weight"
    yield (
        errors(divide=True),
        "the weights were divided by s: loud channels are scaled UP before rounding, then divided again",
    )
    yield errors(size=inputs.abs().mean()), "one number for all channels: average over the tokens only, the first axis"
    count = inputs.shape[0] * weight.shape[0]
    yield [e / count for e in errors()], "that is the mean of the squared errors: the sum was asked"
    yield [e**0.5 for e in errors()], "that is the root of the squared error: leave the square"


def puzzle(rng, parts: int = 12, widths=(2, 3, 4, 8)):
    """(bytes of, error of, budget): parts of unlike size and sensitivity, on which the usual mistakes cost something."""
    bytes_of, error_of = {}, {}
    for number in rng.sample(range(100), parts):
        size, loss = 8 * rng.choice([rng.randint(100, 200), rng.randint(800, 1200)]), 10 ** rng.uniform(-3, 0)
        name = f"part {number}"
        bytes_of[name] = {b: size * b // 8 for b in widths}
        error_of[name] = {b: loss * 4.0 ** (2 - b) * rng.uniform(0.8, 1.25) for b in widths}
    three = sum(row[3] for row in bytes_of.values())
    return bytes_of, error_of, int(three * rng.uniform(1.0, 1.15))


def telling_puzzle(rng):
    """A puzzle on which no two mistakes deal the bits out alike."""
    while True:
        made = puzzle(rng)
        found = [tuple(sorted(chosen.items())) for chosen, _ in allocation_mistakes(*made)]
        if len(set(found)) == len(found):
            return made


def spend(bytes_of, error_of, budget, gain) -> dict[str, int]:
    """Greedy with another idea of what a step is worth: gain(part, now, then)."""
    chosen = {part: min(row) for part, row in bytes_of.items()}
    while True:
        left = budget - bits_lab.total(bytes_of, chosen)
        steps = [
            (gain(p, chosen[p], b), p, b)
            for p, row in bytes_of.items() for b in row
            if b > chosen[p] and row[b] - row[chosen[p]] <= left
        ]  # fmt: skip
        if not steps:
            return chosen
        _, part, b = max(steps, key=lambda step: step[0])
        chosen[part] = b


def allocation_mistakes(bytes_of, error_of, budget):
    """(allocation, reason) of usual ideas that leave error on the table."""
    least = {part: min(row) for part, row in bytes_of.items()}
    yield (
        _in_order(bytes_of, budget),
        "the parts were served in the order of the table: compare what a byte buys in each",
    )
    yield (
        bits_lab.uniform(bytes_of, budget),
        "every part has the same width: take bits from parts that do not mind and give them to those that do",
    )
    yield least, "the budget is not spent: every part has the least bits"
    yield (
        spend(bytes_of, error_of, budget, lambda p, a, b: error_of[p][a] - error_of[p][b]),
        "the error that goes away was compared, not the error for each byte: small parts are cheap to improve",
    )
    yield (
        spend(bytes_of, error_of, budget, lambda p, a, b: a - b - (error_of[p][a] - error_of[p][b]) / 1e9),
        "the bits are dealt out round by round, not where they remove most error",
    )
    yield (
        spend(
            bytes_of,
            error_of,
            budget,
            lambda p, a, b: -(error_of[p][a] - error_of[p][b]) / (bytes_of[p][b] - bytes_of[p][a]),
        ),
        "that spends where it helps least: compare the signs",
    )
    yield (
        spend(bytes_of, error_of, budget, lambda p, a, b: bytes_of[p][b] - bytes_of[p][a]),
        "the largest parts were served first: what counts is the error for each byte",
    )


def _in_order(bytes_of, budget) -> dict[str, int]:
    chosen = {part: min(row) for part, row in bytes_of.items()}
    for part in bytes_of:
        left = budget - bits_lab.total(bytes_of, chosen) + bytes_of[part][chosen[part]]
        chosen[part] = max(b for b, size in bytes_of[part].items() if size <= left)
    return chosen


def judge() -> lab.Judge:
    """The embedded model `target` and the texts that allocations are scored on. Opened anew each time: kept, it would take
    100 MB of a small machine for the rest of a lesson."""
    from ..models import load

    return lab.Judge(*load("target", dtype=torch.float32), texts.EVALUATION[:3])


def budget_between(bytes_of: bits_lab.Table, share: float) -> int:
    """A budget that lies a share of the way from all parts at 2 bits to all at 3."""
    low, high = (sum(row[b] for row in bytes_of.values()) for b in (2, 3))
    return int(low + share * (high - low))
