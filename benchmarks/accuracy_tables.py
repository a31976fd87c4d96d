"""The record of accuracy.py on a terminal and as JSON with one row a line."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

REASON = 1.0  # percent from which a published row needs a reason
FILE = "the file holds header and tokenizer, too"


def show(record: dict) -> None:
    """Both tables, what is off, and the medians."""
    console = Console(width=150)
    for kind in dict.fromkeys(row["kind"] for row in record["rows"]):
        console.print(compared(kind, [row for row in record["rows"] if row["kind"] == kind]))
    console.print(cited(record["published"]))
    for line in reasons(record["published"]):
        console.print(line, markup=False, highlight=False)
    summary = Table("metric", "median", "unit", title="Summary")
    for name, entry in record["metrics"].items():
        summary.add_row(name, f"{entry['median']:,.6g}", entry["unit"])
    console.print(summary)


def compared(kind: str, rows: list[dict]) -> Table:
    """Ours, theirs and measured, a line for each case."""
    table = Table("model", "format", "made by", "measured", "ours", "error %", title=kind.replace("_", " "))
    for peer in rows[0]["peers"]:
        table.add_column(f"{peer}: error %")
    for row in rows:
        theirs = [said.get("error_percent") for said in row["peers"].values()]
        cells = ["-" if value is None else f"{value:+.4f}" for value in theirs]
        sizes = f"{row['measured']:,.0f}", f"{row['predicted']:,.0f}", f"{row['error_percent']:+.4f}"
        table.add_row(row["model"], row["format"], f"{row['how']} {row['note']}".strip(), *sizes, *cells)
    return table


def cited(rows: list[dict]) -> Table:
    """The published numbers."""
    table = Table("row", "kind", "format", "published", "ours", "error %", "source", title="published measurements")
    for row in rows:
        sizes = f"{row['measured']:,.0f}", f"{row['predicted']:,.0f}", f"{row['error_percent']:+.3f}"
        table.add_row(row["id"], row["kind"], row["format"], *sizes, row["source"])
    return table


def reasons(rows: list[dict]) -> list[str]:
    """A line for each published row that is off by more than one percent."""
    off = [row for row in rows if abs(row["error_percent"]) > REASON]
    return [f"{row['id']}: {row['error_percent']:+.2f} %: {reason(row)}" for row in off]


def reason(row: dict) -> str:
    """Why a published row is off, as far as it is known."""
    if row["reason"]:
        return f"{row['reason']}. {row['note']}" if row["note"] else row["reason"]
    return FILE if row["includes"] == "file" and row["error_percent"] < 0 else "not known"


def as_json(record: dict) -> str:
    """The record, with each row and each metric on one line."""
    text = {}
    for name, value in record.items():
        if name in ("rows", "published"):
            text[name] = "[\n  " + ",\n  ".join(json.dumps(row) for row in value) + "\n ]"
        elif name == "metrics":
            lines = (f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items())
            text[name] = "{\n  " + ",\n  ".join(lines) + "\n }"
        else:
            text[name] = json.dumps(value)
    return "{\n " + ",\n ".join(f"{json.dumps(name)}: {value}" for name, value in text.items()) + "\n}\n"
