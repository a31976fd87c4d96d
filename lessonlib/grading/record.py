"""Points by nbgrader's own rule, and the graded notebook, from what came of the cells."""

from __future__ import annotations

import re
import sys

from . import canonical

# What HTML, Markdown or MathJax would run or fetch in an instructor's browser when a written answer is shown.
_SCHEMES = "|".join(r"\s*".join(name) for name in ("javascript", "vbscript", "data", "file", "blob"))
_ACTIVE = re.compile(
    r"<(?=[a-z/!?])(?!(?:https?://|mailto:)[^\s<>\"'`]*>)|"
    r"&(?=#?\w+;)|!(?=\[)|\\(?=(?:href|url|style|class|cssId|require|data|include\w*)\b)"
    rf"|(?:{_SCHEMES})(?=\s*\\?:)",
    re.I,
)
_PASTED = re.compile(r"!\[[^\[\]]*\]\(attachment:([\w.~-]+)\)")


def load_nbgrader() -> None:
    """Import nbgrader, in half of its time: nbformat's schema checks would compile the grammar of URIs, which they do not
    use and can do without."""
    name = "rfc3987_syntax"
    hidden = name not in sys.modules
    if hidden:
        sys.modules[name] = None  # importing it fails, as where it is not installed
    try:
        import nbgrader.utils  # noqa: F401
    finally:
        if hidden:
            del sys.modules[name]


def inert(text: str, pasted=()) -> str:
    """A written answer in Markdown that looks the same, but whose tags, character references, pictures that were not
    `pasted` into it, and links that run something are mere text: a space of no width behind their first sign takes their
    meaning away."""

    def disarmed(found) -> str:
        picture = _PASTED.match(text, found.start())
        return found[0] if picture and picture[1] in pasted else f"{found[0]}\u200b"

    return _ACTIVE.sub(disarmed, text)


def finish(shot: dict, merged: dict, record: dict, outputs: dict, plain: dict) -> None:
    """Points by nbgrader's own rule, and the graded notebook."""
    from nbformat import from_dict
    from nbgrader.utils import determine_grade

    made = []
    for position, cell in enumerate(merged["cells"]):
        about = shot["cells"][cell["index"]] if cell["index"] is not None else {}
        done = outputs.get(position) or plain.get(cell["index"]) or {}
        node = {"cell_type": cell["cell_type"], "metadata": {}, "source": cell["source"]}
        if about.get("nbgrader"):
            node["metadata"]["nbgrader"] = {**about["nbgrader"], "cell_type": about["cell_type"]}
        if cell["kind"] in ("manual", "free") and cell["cell_type"] == "markdown":
            pasted = cell.get("attachments", {})
            node["source"] = inert(cell["source"], pasted)
            node |= {"attachments": pasted} if pasted else {}
        node["id"] = about.get("cell_id") or f"free-{position}"
        if cell["cell_type"] == "code":
            node |= {"outputs": done.get("outputs", []), "execution_count": None}
        made.append(node)
        if cell["kind"] not in ("test", "manual", "task"):
            continue
        row = {
            "id": about["grade_id"],
            "kind": cell["kind"],
            "points": None,
            "max_points": about["points"],
            "needs_manual": cell["kind"] != "test",
            "weaker": canonical.IN_KERNEL in about["tags"] and cell["kind"] == "test",
            "outputs": node.get("outputs", []),
            "line": done.get("line"),
            "seconds": done.get("seconds", 0.0),
            "reason": "",
        }
        if cell["kind"] == "test":
            if position not in outputs:
                row["reason"] = "not reached"
                row["points"], row["needs_manual"] = 0.0, record["status"] == "failed"
            else:
                try:
                    row["points"] = float(determine_grade(from_dict(node))[0])
                except ValueError as error:
                    row |= {"points": 0.0, "needs_manual": True, "reason": str(error)}
        elif record["status"] != "failed" and _unanswered(cell, about):
            row |= {"points": 0.0, "needs_manual": False, "reason": "not answered"}
        if row["weaker"]:
            record["notes"].append(
                f"{about['grade_id']} is tagged {canonical.IN_KERNEL}: it ran beside the student's code, which can deceive it"
            )
        record["cells"].append(row)
    record["score"] = round(sum(r["points"] or 0.0 for r in record["cells"]), 6)
    record["max_score"] = sum(r["max_points"] for r in record["cells"])
    record["notebook"] = {"nbformat": 4, "nbformat_minor": 5, "metadata": shot["metadata"], "cells": made}


def _unanswered(cell: dict, about: dict) -> bool:
    """Whether a written answer is empty or still what the release had."""
    text = "\n".join(line.rstrip() for line in cell["source"].strip().splitlines())
    return cell["kind"] == "manual" and (not text or text == about["released"])
