"""Checks of lesson 08: reading a float, and groups with their bytes. AWQ and the bit puzzle stand beside it."""

from __future__ import annotations

import math

import torch

from ..labs import quantization_formats as formats
from . import quantization_cases as cases
from . import quantization_methods  # noqa: F401  (registers exercises 3 and 4)
from .core import CheckFailed, check_for, expect, property_of

OFF_BY_A_STEP = 0.01  # share of values that may fall to the other side: float32 and float64 differ at a half


@check_for(
    "l08_e1",
    title="Reading a floating-point pattern",
    minutes=8,
    hints=[
        "Cut the pattern into three whole numbers first: the sign is the first bit, then the exponent, then the mantissa. "
        "Shifts (>>) and masks (&) do it.",
        "`bias = 2 ** (exponent_bits - 1) - 1`. A normal number is `(1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias)`.",
        "When the exponent field is 0 the number is subnormal: `mantissa / 2**mantissa_bits * 2.0 ** (1 - bias)`, without "
        "the leading one. Last, the sign bit makes it negative.",
    ],
)
def check_decode(answer, rng):
    """Patterns of fp8 and others on which each usual mistake gives another number; the values are torch's own."""
    _compare_patterns(
        answer, "fp8 e4m3", [rng.randrange(0x09, 0x40), rng.randrange(0x41, 0x7E), 0x80 + rng.randrange(0x12, 0x7E)]
    )
    _compare_patterns(answer, "fp8 e4m3", [rng.randrange(1, 8), 0x80 + rng.randrange(1, 8), 0, 8])
    _compare_patterns(answer, "fp8 e5m2", [rng.randrange(0x05, 0x7C) for _ in range(4)])


@property_of("l08_e1", "every finite pattern of both fp8 formats")
def decode_every_fp8(answer, rng):
    """All 256 patterns but the specials."""
    for name in ("fp8 e4m3", "fp8 e5m2"):
        _compare_patterns(answer, name, _finite_codes(name))


@property_of("l08_e1", "the 4 bits of MXFP4 and the 16 bits of bf16 and fp16")
def decode_other_widths(answer, rng):
    """All of e2m1, and samples of the 16-bit formats."""
    for code in range(16):
        want = cases.decoded(code, 2, 1)
        expect(answer(code, 2, 1), want, f"Pattern {code:04b} of e2m1.", mistakes=cases.decode_mistakes(code, 2, 1))
    for name in ("bf16", "fp16"):
        _compare_patterns(answer, name, rng.sample(_finite_codes(name), 40))


@property_of("l08_e1", "subnormals of any small format")
def decode_subnormals(answer, rng):
    """Exponent field 0 in made-up formats."""
    for _ in range(8):
        e, m = rng.randint(2, 6), rng.randint(1, 6)
        code = rng.randrange(1, 2**m) if m > 1 else 1
        want = cases.decoded(code, e, m)
        expect(answer(code, e, m), want, _pattern(code, e, m), mistakes=cases.decode_mistakes(code, e, m))


@check_for(
    "l08_e2",
    title="Groups with a scale and a zero point, and their bytes",
    minutes=12,
    hints=[
        "Neighbours in a row share a scale: `weight.reshape(-1, group)` puts every group in a row of its own. Then the least "
        "and the greatest of each row, with keepdim=True.",
        "low = least, but at most 0; high = greatest, but at least 0 (clamp does it); "
        "`scale = (high - low) / (2**bits - 1)`; `zero = (-low / scale).round()`.",
        "`numbers = ((rows / scale).round() + zero).clamp(0, 2**bits - 1)`; restored is `(numbers - zero) * scale` in the old "
        "shape. Bytes: `(weight.numel() * bits + groups * (16 + bits)) // 8`.",
    ],
)
def check_groups(answer, rng):
    """A matrix whose rows and groups differ in size, so that every wrong way to share a scale shows; some groups lie on
    one side of 0."""
    _compare_groups(answer, _matrix(rng, 32, 96, 16), 4, 16)
    _compare_groups(answer, _matrix(rng, 64, 128, 32), 3, 32)


@property_of("l08_e2", "other shapes, widths and groups")
def groups_any(answer, rng):
    """Random ones."""
    for bits, group in ((8, 64), (4, 32), (2, 16), (6, 8)):
        rows, cols = rng.choice([8, 16, 24]), group * rng.randint(2, 4)
        _compare_groups(answer, _matrix(rng, rows, cols, group), bits, group)


@property_of("l08_e2", "every weight comes back within half a step, and 0 comes back as 0")
def groups_within_half_a_step(answer, rng):
    """The promise of rounding to nearest."""
    weight = _matrix(rng, 8, 64, 16)
    weight[:, ::16] = 0
    for bits in (3, 6):
        restored, _ = _restored(answer(weight.clone(), bits, 16), weight)
        rows = weight.double().reshape(-1, 16)
        span = rows.amax(1).clamp(min=0) - rows.amin(1).clamp(max=0)
        off = (restored.reshape(-1, 16) - rows).abs().amax(1) / (span / (2**bits - 1))
        if not off.max() <= 1.001:  # half a step, and half a step more where the zero point was rounded
            raise CheckFailed(
                "A weight comes back too far away.", expected="within a step", got=f"{off.max():.2f} steps"
            )
        expect(restored[:, ::16].abs().max().item(), 0.0, "0 must come back as exactly 0: padding makes many of them.")


@property_of("l08_e2", "twice the weights: twice what comes back, and the same bytes")
def groups_scale(answer, rng):
    """Quantization does not care about the unit of the weights."""
    weight = _matrix(rng, 16, 64, 16)
    (one, size), (two, again) = (_restored(answer(w, 4, 16), weight) for w in (weight.clone(), 2 * weight))
    if not _near(two, 2 * one):
        raise CheckFailed(
            "Twice the weights must give twice the restored weights.", reason="a scale is fixed somewhere"
        )
    expect(again, size, "The bytes depend on shape, bits and group alone.")


@property_of("l08_e2", "the weights that were given stay as they are")
def groups_leave_input(answer, rng):
    """No change in place."""
    weight = _matrix(rng, 16, 64, 16)
    before = weight.clone()
    answer(weight, 4, 16)
    if not torch.equal(weight, before):
        raise CheckFailed(
            "The weights that were given are changed.", reason="make new tensors: weight / scale, not weight /= scale"
        )


def _finite_codes(name: str) -> list[int]:
    form = formats.FLOATS[name]
    values = formats.torch_patterns(form)
    return [code for code in range(len(values)) if math.isfinite(values[code])]


def _pattern(code: int, e: int, m: int) -> str:
    text = f"{code:0{1 + e + m}b}"
    return f"Pattern {text[0]} {text[1 : 1 + e]} {text[1 + e :]} ({e} exponent bits, {m} mantissa bits)."


def _compare_patterns(answer, name: str, codes) -> None:
    form = formats.FLOATS[name]
    own = formats.torch_patterns(form)
    for code in codes:
        e, m = form.exponent, form.mantissa
        mistakes = cases.decode_mistakes(code, e, m)
        expect(answer(code, e, m), own[code].item(), f"{name}: {_pattern(code, e, m)}", mistakes=mistakes)


def _matrix(rng, rows: int, cols: int, group: int) -> torch.Tensor:
    """Weights whose size varies from group to group, both along rows and down columns."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    size = torch.exp(torch.randn(rows, cols // group, generator=generator)).repeat_interleave(group, 1)
    weight = torch.randn(rows, cols, generator=generator) * size
    weight[0, :group] = weight[0, :group].abs() + 0.3  # a group above 0, and one below
    weight[1, :group] = -weight[1, :group].abs() - 0.3
    return weight


def _restored(got, weight: torch.Tensor):
    try:
        restored, size = got
    except (TypeError, ValueError):
        raise CheckFailed("The answer must be two things.", expected="(restored weights, bytes)", got=got) from None
    restored = torch.as_tensor(restored) if hasattr(restored, "__array__") else restored
    if not isinstance(restored, torch.Tensor):
        raise CheckFailed(
            "The restored weights must be a tensor.", expected=f"a tensor {tuple(weight.shape)}", got=restored
        )
    if restored.shape != weight.shape:
        raise CheckFailed("The restored weights must have the shape of the weights.", expected=tuple(weight.shape),
                          got=tuple(restored.shape), reason="reshape back after working on the groups")  # fmt: skip
    return restored.double(), size


def _near(got: torch.Tensor, want: torch.Tensor) -> bool:
    """Equal but for values that lie at a half and fell to the other side."""
    return (~torch.isclose(got, want, rtol=1e-4, atol=1e-6)).double().mean().item() <= OFF_BY_A_STEP


def _compare_groups(answer, weight: torch.Tensor, bits: int, group: int) -> None:
    restored, size = _restored(answer(weight.clone(), bits, group), weight)
    want = cases.grouped(weight, bits, group)
    what = f"A matrix {tuple(weight.shape)} at {bits} bits in groups of {group}"
    if not _near(restored, want):
        reason = next((why for made, why in cases.grouped_mistakes(weight, bits, group) if _near(restored, made)), None)
        worst = (restored - want).abs().max().item()
        raise CheckFailed(f"{what}: the restored weights differ.", expected="(number - zero) * scale, group by group",
                          got=f"largest difference {worst:.4g}", reason=reason)  # fmt: skip
    right, mistakes = cases.bytes_mistakes(*weight.shape, bits, group)
    expect(size, right, f"{what}: bytes of numbers, scales and zero points.", mistakes=mistakes)
