"""Number formats down to the bit, by hand: floats of any width, NF4 from the normal distribution, MXFP4 blocks.

A floating-point pattern is sign, exponent, mantissa from the left. With E exponent bits the bias is 2^(E-1) - 1; exponent
0 marks the subnormals, which have no leading one. IEEE 754 for fp32 and fp16; Micikevicius et al. 2022 for fp8; the
Open Compute MX specification 1.0 for e2m1 and e8m0; Dettmers et al. 2023 (QLoRA) for NF4."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

MX_BLOCK = 32  # values that share one e8m0 scale
NF4_OFFSET = ((1 - 1 / 30) + (1 - 1 / 32)) / 2  # the outermost quantile: neither 0 nor 1, where the normal is infinite


@dataclass(frozen=True)
class FloatFormat:
    """Bits of a floating-point format. `specials`: "ieee" (all-ones exponent: inf and nan), "fn" (only all-ones exponent
    and mantissa: nan) or "none". `dtype` is torch's own, None where torch has no such arithmetic."""

    name: str
    exponent: int
    mantissa: int
    specials: str = "ieee"
    dtype: torch.dtype | None = None

    @property
    def bits(self) -> int:
        """Sign, exponent and mantissa together."""
        return 1 + self.exponent + self.mantissa

    @property
    def bias(self) -> int:
        """What is subtracted from the stored exponent."""
        return 2 ** (self.exponent - 1) - 1


FLOATS = {
    f.name: f
    for f in (
        FloatFormat("fp32", 8, 23, dtype=torch.float32),
        FloatFormat("bf16", 8, 7, dtype=torch.bfloat16),
        FloatFormat("fp16", 5, 10, dtype=torch.float16),
        FloatFormat("fp8 e5m2", 5, 2, dtype=torch.float8_e5m2),
        FloatFormat("fp8 e4m3", 4, 3, "fn", torch.float8_e4m3fn),
        FloatFormat("fp4 e2m1", 2, 1, "none"),
    )
}


def fields(code: int, form: FloatFormat) -> tuple[int, int, int]:
    """(sign, exponent, mantissa) of a bit pattern, as whole numbers. ValueError when it has more bits than the format."""
    if not 0 <= code < 2**form.bits:
        raise ValueError(f"The pattern {code} does not fit in the {form.bits} bits of {form.name}.")
    return (
        code >> (form.bits - 1), code >> form.mantissa & (2**form.exponent - 1), code & (2**form.mantissa - 1),
    )  # fmt: skip


def decode(code: int, form: FloatFormat) -> float:
    """The value of a bit pattern: (-1)^sign x 1.mantissa x 2^(exponent - bias), and 0.mantissa x 2^(1 - bias) for the
    subnormals (exponent 0)."""
    sign, exponent, mantissa = fields(code, form)
    last = exponent == 2**form.exponent - 1
    if form.specials == "ieee" and last:
        value = math.nan if mantissa else math.inf
    elif form.specials == "fn" and last and mantissa == 2**form.mantissa - 1:
        value = math.nan
    elif exponent == 0:
        value = math.ldexp(mantissa, 1 - form.bias - form.mantissa)
    else:
        value = math.ldexp(2**form.mantissa + mantissa, exponent - form.bias - form.mantissa)
    return -value if sign else value


def largest(form: FloatFormat) -> float:
    """The largest finite value."""
    top = 2 ** (form.bits - 1) - 1  # all ones but the sign
    spare = {"ieee": 2**form.mantissa, "fn": 1, "none": 0}[form.specials]
    return decode(top - spare, form)


def encode(value: float, form: FloatFormat) -> int:
    """The pattern of the nearest value, ties to the even pattern; what is too large becomes the largest finite value.

    Rounding by arithmetic on the exponent, as hardware does it, for finite values."""
    sign = 1 if math.copysign(1, value) < 0 else 0
    size = min(abs(value), largest(form))
    exponent = max(math.frexp(size)[1] - 1 if size else 1 - form.bias, 1 - form.bias)  # below: subnormal, fixed step
    steps = round(math.ldexp(size, form.mantissa - exponent))  # Python rounds ties to even
    code = steps if exponent == 1 - form.bias else steps + ((exponent + form.bias - 1) << form.mantissa)
    return sign << (form.bits - 1) | code


def patterns(form: FloatFormat) -> torch.Tensor:
    """Every value of a format of up to 16 bits in the order of its patterns, decoded by hand: float64 (2^bits)."""
    return torch.tensor([decode(code, form) for code in range(2**form.bits)], dtype=torch.float64)


def torch_patterns(form: FloatFormat) -> torch.Tensor:
    """The same by torch: the patterns as bytes, looked at through torch's own dtype."""
    if form.dtype is None or form.bits > 16:
        raise ValueError(f"{form.name} has no torch dtype of up to 16 bits whose patterns could be listed.")
    codes = torch.arange(2**form.bits).to(torch.uint8 if form.bits == 8 else torch.uint16)
    return codes.view(form.dtype).to(torch.float64)


def code_of(value: float, form: FloatFormat) -> int:
    """The pattern that torch itself gives a value, as a whole number."""
    whole = {8: torch.uint8, 16: torch.int16, 32: torch.int32}[form.bits]
    return int(torch.tensor(value, dtype=torch.float64).to(form.dtype).view(whole)) % 2**form.bits


def nf4_levels() -> torch.Tensor:
    """The 16 values of NF4, float32 (16): quantiles of the normal distribution, 8 from above 0, 7 from below and 0 itself,
    divided by the largest. So each level is used about equally often by normally distributed weights."""
    above = torch.special.ndtri(torch.linspace(NF4_OFFSET, 0.5, 9, dtype=torch.float64)[:-1])
    below = -torch.special.ndtri(torch.linspace(NF4_OFFSET, 0.5, 8, dtype=torch.float64)[:-1])
    levels = torch.cat([above, torch.zeros(1, dtype=torch.float64), below]).sort().values
    return (levels / levels.max()).float()


def nearest(x: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
    """The number of the nearest level for every value of x, levels in rising order."""
    return torch.bucketize(x.contiguous(), ((levels[1:] + levels[:-1]) / 2).to(x.device))


def nf4(x: torch.Tensor, block: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """(level numbers (n, block), scales (n, 1)) of x in blocks: each is divided by its largest magnitude."""
    blocks = x.reshape(-1, block)
    scales = blocks.abs().amax(1, keepdim=True)
    return nearest(blocks / scales.clamp(min=1e-12), nf4_levels()), scales


def restore_nf4(codes: torch.Tensor, scales: torch.Tensor, shape) -> torch.Tensor:
    """The weights that NF4 codes stand for."""
    return (nf4_levels().to(codes.device)[codes] * scales).reshape(shape)


def mxfp4(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(e2m1 patterns (n, 32), e8m0 scale codes (n, 1)) of x, 32 values a block; both uint8.

    The scale is a power of two, 2^(code - 127): the exponent of the largest magnitude minus 2, the exponent of e2m1's
    largest value (6 = 1.5 x 2^2). Larger values of a block are cut to 6 scales."""
    form, blocks = FLOATS["fp4 e2m1"], x.float().reshape(-1, MX_BLOCK)
    top = blocks.abs().amax(1, keepdim=True)
    exponent = torch.where(top > 0, torch.frexp(top).exponent - 1 - 2, -127).clamp(-127, 127)
    levels = patterns(form)[:8].float()
    size = nearest((blocks / torch.exp2(exponent.float())).abs(), levels)
    return (size | (blocks < 0).long() << 3).to(torch.uint8), (exponent + 127).to(torch.uint8)


def restore_mxfp4(codes: torch.Tensor, scales: torch.Tensor, shape) -> torch.Tensor:
    """The values that MXFP4 blocks stand for: e2m1 value x 2^(scale code - 127)."""
    values = patterns(FLOATS["fp4 e2m1"]).float().to(codes.device)
    return (values[codes.long()] * torch.exp2(scales.float() - 127)).reshape(shape)


def pictured(code: int, form: FloatFormat) -> str:
    """A pattern with a bar between its parts: "0|1000|100"."""
    text = f"{code:0{form.bits}b}"
    return "|".join((text[0], text[1 : 1 + form.exponent], text[1 + form.exponent :]))
