"""A small assignment of two exercises and a written answer, and submissions to it."""

from __future__ import annotations

import copy

SECRET = 7340033  # stands in a hidden test only

DOUBLE = "def double(x):\n    return 2 * x\n"
PARITY = (
    "def even(n):\n    if not isinstance(n, int):\n        raise ValueError('a whole number')\n    return n % 2 == 0\n"
)
WRITTEN = "Because two twos are four."


def _cell(kind: str, source: str, grade_id: str | None = None, **about) -> dict:
    cell = {"cell_type": kind, "metadata": {}, "source": source, "id": f"id-{grade_id or abs(hash(source)) % 10**8}"}
    if grade_id:
        cell["metadata"]["nbgrader"] = {"grade_id": grade_id, "grade": False, "solution": False, **about}
    if kind == "code":
        cell |= {"outputs": [], "execution_count": None}
    return cell


def instructor() -> dict:
    """The instructor's notebook: 3 points for double, 4 for even, 2 by hand."""
    cells = [
        _cell("markdown", "# Twice, and even"),
        _cell("code", "import math\nLIMIT = 10\n\ndef helper(x):\n    return x + 1"),
        _cell("code", DOUBLE, "double", solution=True),
        _cell("code", "assert double(2) == 4\nassert double(-1) == -2", "double_check", grade=True, points=1),
        _cell(
            "code",
            "# Hidden tests stand here.\n### BEGIN HIDDEN TESTS\n"
            f"secret = {SECRET}\nassert double(secret) == 2 * secret\nassert double('ab') == 'abab'\nassert helper(1) == 2\n"
            "assert all(double(n) == 2 * n for n in range(5))\n### END HIDDEN TESTS",
            "double_hidden",
            grade=True,
            points=2,
        ),
        _cell("code", PARITY, "even", solution=True),
        _cell("code", "assert even(2) is True", "even_check", grade=True, points=1),
        _cell(
            "code",
            "try:\n    even('x')\nexcept ValueError:\n    pass\nelse:\n    raise AssertionError('no ValueError')\n"
            "sum(even(n) is (n % 2 == 0) for n in range(6)) / 2",
            "even_hidden",
            grade=True,
            points=3,
        ),
        _cell("markdown", "YOUR ANSWER HERE", "why", grade=True, solution=True, points=2),
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}


def released() -> dict:
    """The learner edition: gaps open, no hidden tests."""
    book = instructor()
    for cell in book["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution") and cell["cell_type"] == "code":
            cell["source"] = "# YOUR CODE HERE\nraise NotImplementedError"
        cell["source"] = cell["source"].partition("### BEGIN HIDDEN TESTS")[0]
    return book


def submission(double: str = DOUBLE, even: str = PARITY, why: str = WRITTEN) -> dict:
    """The learner edition with these answers."""
    book = copy.deepcopy(released())
    for cell in book["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        cell["source"] = {"double": double, "even": even, "why": why}.get(name, cell["source"])
    return book


def cell_of(book: dict, grade_id: str) -> dict:
    """The cell of that grade id."""
    return next(c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def points(record: dict) -> tuple:
    """(points for double, points for even)."""
    found = {c["id"]: c["points"] for c in record["cells"]}
    return found["double_check"] + found["double_hidden"], found["even_check"] + found["even_hidden"]
