"""Sample submissions, made from the learner edition: full, half right, untouched, and one with an endless loop."""

from __future__ import annotations

from pathlib import Path

import nbformat

ENDLESS = "\n    while True:\n        pass\n"


def solutions(notebook) -> dict[str, str]:
    """Source of each exercise cell of the solution notebook."""
    return {
        c.metadata.nbgrader.grade_id: c.source
        for c in notebook.cells
        if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get("solution")
    }


def written(notebook) -> dict[str, str]:
    """Something in each cell that is graded by hand."""
    return {
        c.metadata.nbgrader.grade_id: "What I think, in words."
        for c in notebook.cells
        if c.cell_type == "markdown" and c.metadata.get("nbgrader", {}).get("grade")
    }


def fill(learner: Path, answers: dict[str, str]):
    """The learner edition with `answers` written into its exercise cells."""
    notebook = nbformat.read(learner, as_version=4)
    for cell in notebook.cells:
        source = answers.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if source is not None:
            cell.source = source
    return notebook


def samples(solution: Path, learner: Path) -> dict:
    """Four notebooks by the name of their student."""
    notebook = nbformat.read(solution, as_version=4)
    right = solutions(notebook)
    names = sorted(right)
    half = {name: right[name] for name in names[: len(names) // 2]}
    head = right[names[-1]].split('"""')[0]  # the def line of the last exercise
    return {
        "full": fill(learner, {**right, **written(notebook)}),
        "half": fill(learner, half),
        "untouched": fill(learner, {}),
        "endless": fill(learner, {**right, names[-1]: head.rstrip() + ENDLESS}),
    }


def points(notebook, exercises: set[str]) -> float:
    """Points of the graded code cells that belong to `exercises` ("l05_e1")."""
    return sum(
        c.metadata.nbgrader.points
        for c in notebook.cells
        if c.cell_type == "code"
        and c.metadata.get("nbgrader", {}).get("grade")
        and c.metadata.nbgrader.grade_id.rsplit("_", 1)[0] in exercises
    )
