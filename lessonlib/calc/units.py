"""Bytes in both customs: GB = 1e9 bytes (files, models), GiB = 2**30 bytes (memory; cards are sold in GiB)."""

from __future__ import annotations

import math

GB = 10**9
GIB = 2**30
LARGEST = 10**30  # no quantity of the course comes near it, and products of a few such still are floats
NAMES = (("bytes", "bytes"), ("kB", "KiB"), ("MB", "MiB"), ("GB", "GiB"), ("TB", "TiB"))


def gb(n: float) -> float:
    """Bytes in GB (1e9)."""
    return n / GB


def gib(n: float) -> float:
    """Bytes in GiB (2**30)."""
    return n / GIB


def format_bytes(n: float) -> str:
    """Bytes for people, in both customs: "13.1 GB (12.2 GiB)"; below 1,000 bytes just the count."""
    positive("n", n, whole=False, zero=True)
    if round(n) < 1000:
        return "1 byte" if round(n) == 1 else f"{n:,.0f} bytes"
    power = next((p for p in range(1, len(NAMES)) if n / 1000**p < 999.5), len(NAMES) - 1)
    decimal, binary = NAMES[power]
    return f"{_three(n / 1000**power)} {decimal} ({_three(n / 1024**power)} {binary})"


def positive(name: str, value, *, whole: bool = True, zero: bool = False):
    """`value`, when it is a finite number above zero (or zero, when `zero`); ValueError in one sentence otherwise."""
    number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if number and LARGEST < value < math.inf:
        raise ValueError(f"{name} is above 10^30, more than anything that is computed here: write a smaller number.")
    if not number or not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        kind, bound = "a whole number" if whole else "a number", "of 0 or more" if zero else "above 0"
        raise ValueError(f"{name} is {value!r}, but must be {kind} {bound}.")
    return value


def _three(x: float) -> str:
    return f"{x:.3g}" if x < 99.95 else f"{x:,.0f}"
