"""A total with the parts that make it: what every calculator of the course returns."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from .units import gb, gib


@dataclass(frozen=True)
class Breakdown(Mapping):
    """Parts by name, all in `unit`; `total` is their sum, exact where the parts are whole numbers.

    A mapping from name to value. ValueError for a part that is negative or no finite number."""

    parts: Mapping[str, float]
    unit: str = "bytes"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self):
        for name, value in self.parts.items():
            if not math.isfinite(value) or value < 0:
                raise ValueError(f"The part {name} is {value!r} {self.unit}, but must be a number of 0 or more.")
        object.__setattr__(self, "parts", dict(self.parts))

    @property
    def total(self) -> float:
        """The sum of the parts."""
        return whole(sum(Fraction(value) for value in self.parts.values()))

    def __getitem__(self, name: str) -> float:
        return self.parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __add__(self, other: Breakdown) -> Breakdown:
        """Part by part; parts that only one of the two has stay as they are."""
        if self.unit != other.unit:
            raise ValueError(f"A breakdown in {other.unit} cannot be added to one in {self.unit}.")
        names = [*self.parts, *(name for name in other.parts if name not in self.parts)]
        sums = {name: whole(Fraction(self.get(name, 0)) + Fraction(other.get(name, 0))) for name in names}
        return Breakdown(sums, self.unit, tuple(dict.fromkeys(self.notes + other.notes)))

    def scaled(self, factor: float) -> Breakdown:
        """Every part times `factor`."""
        scaled = {name: whole(Fraction(value) * Fraction(factor)) for name, value in self.parts.items()}
        return Breakdown(scaled, self.unit, self.notes)

    def as_dict(self) -> dict:
        """Plain data for JSON: the total in its unit (bytes also as GB and GiB), the parts, and the notes if any."""
        shown = {**in_units(self.total, self.unit)}
        shown["breakdown"] = {name: in_units(value, self.unit) for name, value in self.parts.items()}
        return {**shown, "notes": list(self.notes)} if self.notes else shown


def in_units(value: float, unit: str) -> dict:
    """{"bytes", "GB", "GiB"} for bytes, {unit: value} for all others."""
    return {"bytes": value, "GB": gb(value), "GiB": gib(value)} if unit == "bytes" else {unit: value}


def whole(x):
    """An int when the number is whole, so that bytes print and compare as bytes; else a float."""
    return int(x) if x == int(x) else float(x)
