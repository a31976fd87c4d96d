"""The table of attacks: what a record of benchmarks/attacks.py says, as Markdown between two marks of a page."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

BEGIN, END = "<!-- attacks:begin (written by benchmarks/attacks.py) -->", "<!-- attacks:end -->"
NOT_TRIED = "not tried: its box cannot hold such a file"  # in the place of what was not safe
INTRODUCTION = """# Hostile submissions: this grader and stock nbgrader

Each attack is a submission to one small assignment of two exercises, worth 3 and 4 points: most attack in the first and answer
the second as it should be. An outcome is safe when the points are those of the table's third column, the graded notebook's page
runs nothing in the instructor's browser, nothing of the course or of another student is touched, everybody else is graded, and the
batch ends in time with no process left. Stock nbgrader runs a submission with the grader's rights beside the hidden tests; here it
ran each one in a box of its own, whose limits of memory, disk, processes and time (3 GiB, 300 MB, 150, 75 seconds) protected it where
it has none itself. The attacks are in `tests/grading/attacks/`, the measurement in `benchmarks/attacks.py`.
"""


def metrics(record: dict) -> dict:
    """Counts, in the form of every record."""
    values = {"attacks": len(record["attacks"])}
    for side in ("ours", "stock"):
        if side in record and len(record[side]) == len(record["attacks"]):
            values[f"{side}_unsafe"] = sum(bool(found) and found != [NOT_TRIED] for found in record[side])
    for who, about in (record.get("repeats") or {}).items():
        name = who.replace(" ", "_")
        values |= {f"{name}_runs": about["runs"], f"{name}_unsafe": about["unsafe"], f"{name}_left": about["left"]}
    return {name: {"unit": "count", "samples": [value], "median": value} for name, value in values.items()}


def rows(record: dict) -> list[list[str]]:
    """The table's rows: group, attack, safe outcome, ours, stock."""
    made = []
    for number, attack in enumerate(record["attacks"]):
        sides = []
        for side in ("ours", "stock"):
            found = record[side][number] if record.get(side) else None
            sides.append("not run" if found is None else "safe" if not found else "; ".join(found[:2]))
        made.append([_plain(text) for text in (attack["group"], attack["name"], attack["safe"], *sides)])
    return sorted(made, key=lambda row: row[0])


def _plain(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return re.sub(r"([|<>`\\*\[\]])", r"\\\1", " ".join(text.split()))[:300]


def table(record: dict) -> str:
    """The page's part between the marks."""
    groups = {}
    for number, attack in enumerate(record["attacks"]):
        counter = groups.setdefault(attack["group"], Counter())
        counter["all"] += 1
        for side in ("ours", "stock"):
            counter[side] += bool(record.get(side)) and not record[side][number]
    lines = [f"Measured on {record['date']} with nbgrader {record['versions']['nbgrader']}.", ""]
    for who, about in (record.get("repeats") or {}).items():
        lines.append(
            f"Ours as {who}: {about['runs']} runs of {about['cases']} attacks, {about['unsafe']} unsafe outcomes, "
            f"{about['left']} processes left."
        )
    if untried := sum(found == [NOT_TRIED] for found in record.get("stock") or []):
        lines.append(
            f"{untried} attacks were not tried on stock, whose boxes cannot hold such files, and count nowhere as unsafe."
        )
    lines += ["", "| Group | Attacks | Safe on ours | Safe on stock |", "|---|--:|--:|--:|"]
    lines += [f"| {g} | {c['all']} | {c['ours']} | {c['stock']} |" for g, c in sorted(groups.items())]
    total = sum((c for c in groups.values()), Counter())
    lines += [f"| all | {total['all']} | {total['ours']} | {total['stock']} |", ""]
    lines += ["| Group | Attack | Safe outcome | Ours | Stock |", "|---|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(record)]
    return "\n".join(lines)


def write_page(record: dict, page: Path) -> None:
    """Put the table between the page's marks; a page that is not there is made."""
    text = page.read_text(encoding="utf-8") if page.is_file() else f"{INTRODUCTION}\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(f"{before}{BEGIN}\n{table(record)}\n{END}{after}", encoding="utf-8")
