"""Bytes in both customs: GB = 1e9 bytes (files, models), GiB = 2**30 bytes (memory; cards are sold in GiB)."""

from __future__ import annotations

import math

GB = 10**9
GIB = 2**30


def gb(n: float) -> float:
    """Bytes in GB (1e9)."""
    return n / GB


def gib(n: float) -> float:
    """Bytes in GiB (2**30)."""
    return n / GIB


def format_bytes(n: float) -> str:
    """Bytes for people, in both customs: "13.1 GB (12.2 GiB)"; below 1,000 bytes just the count."""
    if n < 1000:
        return f"{n:,.0f} bytes"
    power = min(int(math.log10(n) // 3), 4)
    decimal, binary = ("kB", "MB", "GB", "TB")[power - 1], ("KiB", "MiB", "GiB", "TiB")[power - 1]
    return f"{_three(n / 1000**power)} {decimal} ({_three(n / 1024**power)} {binary})"


def positive(name: str, value, *, whole: bool = True, zero: bool = False):
    """`value`, when it is a finite number above zero (or zero, when `zero`); ValueError in one sentence otherwise."""
    kinds = (int,) if whole else (int, float)
    kind = "a whole number" if whole else "a number"
    bound = "of 0 or more" if zero else "above 0"
    if (
        isinstance(value, bool)
        or not isinstance(value, kinds)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise ValueError(f"{name} is {value!r}, but must be {kind} {bound}.")
    if value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} is {value!r}, but must be {kind} {bound}.")
    return value


def _three(x: float) -> str:
    return f"{x:.3g}" if x < 100 else f"{x:,.0f}"
