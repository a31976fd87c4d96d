"""Yours beside the reference: this machine's numbers next to a stored measurement record."""

from __future__ import annotations

import json

from ..paths import records_dir
from .figures import table


def record(name: str) -> dict:
    """The stored record `name`: {"name", "device", "versions", "date", "metrics": {metric: {"unit", "samples",
    "median"}}}. ValueError when there is none."""
    path = records_dir() / f"{name}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise ValueError(f"There is no measurement record {name!r}; there are: {known}.") from None


def compare(name: str, measured: dict) -> None:
    """Show `measured` ({metric: number}) beside the medians of the record `name`, with the ratio."""
    reference = record(name)
    unknown = set(measured) - set(reference["metrics"])
    if unknown:
        raise ValueError(
            f"The record {name} has no metric {sorted(unknown)[0]!r}; it has {', '.join(reference['metrics'])}."
        )
    rows = []
    for metric, value in measured.items():
        stored = reference["metrics"][metric]
        ratio = f"{value / stored['median']:.2f}" if stored["median"] else "-"
        rows.append([metric, stored["unit"], f"{value:.4g}", f"{stored['median']:.4g}", ratio])
    device = f"{reference['device']}, {reference['date']}"
    table(rows, ["metric", "unit", "yours", "reference", "yours / reference"], f"Yours beside the reference ({device})")
