"""Yours beside the reference: numbers of this machine next to a stored measurement.

A record is benchmarks/results/NAME.json: {"name", "device", "versions", "date", "metrics": {metric: {"unit",
"samples": [...], "median"}}}."""

from __future__ import annotations

import json
from math import isclose
from statistics import median

from lessonlib import paths

from . import theme


def compare(name: str, values: dict) -> None:
    """Show `values` ({metric: number, or a list of samples}) beside the stored record `name`, with the ratio, and beside
    the same measurement on a GPU, where there is a record `name`_gpu. Without a record the table says so and shows your
    numbers alone."""
    record = load(name)
    rows, header, caption = comparison(name, values, record, load(f"{name}_gpu"))
    html, text = theme.table_html(rows, header, caption), theme.table_text(rows, header, caption)
    missing = f"There is no reference measurement {name!r} yet: these are your numbers alone."
    if record is None:
        html, text = html + theme.card(theme.escape(missing)), f"{text}\n{missing}"
    theme.emit(html, text)


def comparison(name: str, values: dict, record: dict | None, gpu: dict | None = None) -> tuple[list, list, str]:
    """Rows, header and caption of that table; `gpu` is the record of a GPU, which may lack metrics."""
    stored = (record or {}).get("metrics", {})
    unknown = [m for m in values if record is not None and m not in stored]
    if unknown:
        raise ValueError(f"Record {name!r} has no metric {unknown[0]!r}; it has {', '.join(stored) or 'none'}.")
    rows = []
    for metric, value in values.items():
        mine = median(value) if isinstance(value, (list, tuple)) else value
        label = metric.replace("_", " ")
        if record is None:
            rows.append([label, float(mine)])
            continue
        reference = stored[metric]["median"]
        ratio = f"{mine / reference:,.2f} times" if reference else "–"
        row = [f"{label} ({stored[metric]['unit']})", float(mine), float(reference), ratio]
        there = (gpu or {}).get("metrics", {}).get(metric)
        rows.append(row + [float(there["median"]) if there else None] if gpu else row)
    if record is None:
        return rows, ["metric", "this machine"], f"Yours: {name}"
    header = ["metric", "this machine", f"reference: {record['device']}", "yours / reference"]
    caption = f"Yours beside the reference of {record['date']}"
    if gpu:
        return rows, [*header, f"on a GPU: {gpu['device']}"], f"{caption} and a GPU's of {gpu['date']}"
    return rows, header, caption


def load(name: str) -> dict | None:
    """The stored record `name`, or None when there is none; ValueError when its fields are not as they must be."""
    path = paths.records_dir() / f"{name}.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    problem = fault(record)
    if problem:
        raise ValueError(f"Record {name!r} cannot be used: {problem}.")
    return record


def fault(record) -> str | None:
    """What is wrong with a record, in words; None when nothing is."""
    if not isinstance(record, dict):
        return "it is not a table of fields"
    for key in ("name", "device", "versions", "date", "metrics"):
        if key not in record:
            return f"it has no {key!r}"
    for metric, entry in record["metrics"].items():
        for key in ("unit", "samples", "median"):
            if key not in entry:
                return f"metric {metric!r} has no {key!r}"
        middle = median(entry["samples"]) if entry["samples"] else None
        if middle is None or not isclose(middle, entry["median"], rel_tol=1e-3):
            return f"metric {metric!r} says median {entry['median']!r}, but its samples have {middle!r}"
    return None
