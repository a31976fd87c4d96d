"""Power laws: fitted to losses of models of several sizes and amounts of data, with the error of the fit.

Losses are in bits per byte, N counts parameters outside the embedding, data is counted in what was read (bytes here)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Exponents as the two papers give them (abstract and section 1.2; approach 3): loss falls as size ** -N and data ** -D.
PUBLISHED = {"Kaplan": {"N": 0.076, "D": 0.095}, "Hoffmann": {"N": 0.34, "D": 0.28}}
EXPONENTS = np.arange(0.02, 1.201, 0.02)  # what `fit` tries for a and b


@dataclass(frozen=True)
class Law:
    """loss(N, D) = floor + size / N ** a + data / D ** b; `error` is the root mean square of the relative misses."""

    floor: float
    size: float
    a: float
    data: float
    b: float
    error: float

    def loss(self, n, d):
        """The loss that the law predicts."""
        return self.floor + self.size * np.asarray(n, float) ** -self.a + self.data * np.asarray(d, float) ** -self.b


def power_law(x: Sequence[float], losses: Sequence[float]) -> tuple[float, float]:
    """(scale, exponent) of losses = scale * x ** -exponent: a straight line through the logarithms, by least squares."""
    slope, start = np.polyfit(np.log(x), np.log(losses), 1)
    return float(np.exp(start)), float(-slope)


def fit(grid: Sequence[Sequence[float]]) -> Law:
    """The law nearest to rows [N, D, loss] in relative misses (J. Hoffmann and others, 2022, approach 3, with squares).

    For given exponents the law is linear in floor, size and data, and least squares finds them; so all pairs of exponents
    are tried, with a floor and without. Pairs that want a negative part are out. ValueError for fewer than six rows."""
    n, d, loss = np.asarray(grid, float).T
    if len(loss) < 6:
        raise ValueError(f"There are {len(loss)} losses, but five numbers are fitted: give six or more.")
    by_size, by_data = ((x[:, None] / x[0]) ** -EXPONENTS for x in (n, d))  # (rows, exponents)
    shape = (len(EXPONENTS), len(EXPONENTS), len(loss))
    columns = [np.ones(shape), np.broadcast_to(by_size.T[:, None], shape), np.broadcast_to(by_data.T, shape)]
    found = []
    for used in ([0, 1, 2], [1, 2]):
        x = np.stack([columns[i] / loss for i in used], axis=-1)  # (a, b, rows, parts)
        gram = np.swapaxes(x, -1, -2) @ x + 1e-13 * np.eye(len(used))
        parts = np.linalg.solve(gram, x.sum(-2)[..., None])[..., 0]
        error = (((x @ parts[..., None])[..., 0] - 1) ** 2).mean(-1) ** 0.5
        error[(parts < 0).any(-1)] = np.inf
        i, j = np.unravel_index(error.argmin(), error.shape)
        a, b = float(EXPONENTS[i]), float(EXPONENTS[j])
        floor, size, data = ([0.0] * (3 - len(used))) + parts[i, j].tolist()
        found.append(Law(floor, float(size * n[0] ** a), a, float(data * d[0] ** b), b, float(error[i, j])))
    return min(found, key=lambda law: law.error)


def bootstrap(grid: Sequence[Sequence[float]], times: int = 60, seed: int = 0) -> dict[str, tuple[float, float]]:
    """{"a", "b", "floor"}: the middle 90 % of what `fit` finds when as many rows are drawn anew, some of them twice."""
    random, rows = np.random.default_rng(seed), np.asarray(grid, float)
    found = []
    while len(found) < times:
        drawn = rows[random.integers(len(rows), size=len(rows))]
        if len(np.unique(drawn[:, 0])) > 2 and len(np.unique(drawn[:, 1])) > 2:
            found.append(fit(drawn))
    return {
        name: tuple(float(x) for x in np.quantile([getattr(law, name) for law in found], (0.05, 0.95)))
        for name in ("a", "b", "floor")
    }


def record() -> dict:
    """The stored measurement `l07_scaling`: see benchmarks/l07_scaling.py."""
    from ..paths import records_dir

    return json.loads((records_dir() / "l07_scaling.json").read_text(encoding="utf-8"))


def one_variable(grid: Sequence[Sequence[float]]) -> dict[str, list[float]]:
    """{"N": exponents, "D": exponents} of plain power laws: over the sizes at each amount of data, and over the amounts for
    each size, wherever there are three or more."""
    rows = np.asarray(grid, float)
    found: dict[str, list[float]] = {"N": [], "D": []}
    for name, along, fixed in (("N", 0, 1), ("D", 1, 0)):
        for value in np.unique(rows[:, fixed]):
            own = rows[rows[:, fixed] == value]
            if len(own) > 2:
                found[name].append(power_law(own[:, along], own[:, 2])[1])
    return found


def exponents(grid: Sequence[Sequence[float]], law: Law, sure: dict[str, tuple[float, float]]) -> list[list[str]]:
    """Rows [law, a, b, floor] in words: plain power laws over the grid, the fitted law with its ranges, the two papers."""
    plain = one_variable(grid)
    spans = [f"{getattr(law, x):.2f} ({sure[x][0]:.2f} to {sure[x][1]:.2f})" for x in ("a", "b", "floor")]
    ranges = [f"{min(plain[x]):.2f} to {max(plain[x]):.2f}" for x in "ND"]
    return [
        ["scale × N^−a or scale × D^−b, rows of this grid", *ranges, "none"],
        ["Kaplan and others, 2020, same form", *(f"{PUBLISHED['Kaplan'][x]}" for x in "ND"), "none"],
        ["floor + A / N^a + B / D^b, this grid", *spans],
        ["Hoffmann and others, 2022, same form", *(f"{PUBLISHED['Hoffmann'][x]}" for x in "ND"), "–"],
    ]
