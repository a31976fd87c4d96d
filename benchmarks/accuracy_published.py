"""Published measurements beside the calculator: every row of published.yaml, with its source."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from lessonlib.calc import architecture, cache, formats, vram, weights
from lessonlib.facts import catalog

TABLE = Path(__file__).parent / "published.yaml"
UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "GB": 10**9}


def rows(path: Path = TABLE) -> list[dict]:
    """One row for each published number: predicted and published bytes, the error, half a unit of the last decimal that was
    printed, what the number includes, its source, and why a row is not expected to agree (None: it is)."""
    import yaml

    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = []
    for row in table["rows"]:
        model = _model(row, table["configs"])
        ours, theirs = predicted(row, model), Fraction(str(row["value"])) * UNITS[row["unit"]]
        half = Fraction(UNITS[row["unit"]], 2 * 10 ** row["rounding"]) if row["unit"] != "bytes" else 0
        source = table["sources"][row["source"]]
        found.append(
            {
                "id": row["id"],
                "kind": row["kind"],
                "model": row.get("model") or row["config"],
                "format": row.get("format") or f"{row['cache_dtype']}, {row['tokens']:,} tokens",
                "includes": row.get("includes", "tensors"),
                "predicted": float(ours),
                "measured": float(theirs),
                "error_percent": float(100 * (ours - theirs) / theirs),
                "rounding_percent": float(100 * half / theirs),
                "source": f"{source['title']}; {source['where']}; {source['date']}",
                "reason": row.get("disagrees"),
                "note": row.get("note"),
            }
        )
    return found


def predicted(row: dict, model) -> Fraction:
    """Bytes by the calculator for the settings of a row: weights in a format (of one of `tp` GPUs), or a cache."""
    if row["kind"] == "weights":
        form = formats.weight_format(row["format"], imatrix=row.get("imatrix"))
        if row.get("tp", 1) > 1:
            return Fraction(vram.vram(model, 1, 1, format=form, tp=row["tp"]).gpus[0]["weights"])
        return Fraction(weights.weights(model, form).total)
    shape = cache.attention(model)
    if "window_cells" in row:  # a program that keeps more tokens of a window than the window has
        shape = replace(shape, window=row["window_cells"])
    kept = cache.attention_cache(shape, row["tokens"], row["batch"], row["cache_dtype"], tp=row["tp"])
    return Fraction(kept[row["part"]] if "part" in row else kept.total) * Fraction(row.get("padding", 1))


def _model(row: dict, configs: dict):
    if "model" in row:
        return catalog.model(row["model"])
    return architecture.from_config(configs[row["config"]]["config"])
