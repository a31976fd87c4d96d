"""The five gates of every lesson (CONTRIBUTING.md). Gates 1 to 4 run with the network blocked, which is gate 5."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from itertools import islice

import nbformat
import pytest

from lessonlib.course.build import built_paths
from lessonlib.course.execute import execute
from lessonlib.course.lint import right_answers, wrong_answers
from lessonlib.course.score import exercise_of, score
from lessonlib.lite_check import PEAK

from .conftest import ROOT, lessons

PEAK_BYTES = 700e6
BESIDE = {"wrong": wrong_answers, "right": right_answers}


@cache
def scored(source, environment):
    """Solution, wrong and right answers and open gaps of a lesson, scored once for all gates: {"solution": {cell: [points,
    maximum, text]}, "wrong", "right" and "gaps": [(grade id, the same for the answer's test cells)]}."""
    gaps = [(c.metadata.nbgrader.grade_id, c.source) for c in open_gaps(source)]
    kinds = {kind: [(a.grade_id, a.code) for a in find(source)] for kind, find in BESIDE.items()} | {"gaps": gaps}
    answers = [{"grade_id": grade_id, "code": code} for rows in kinds.values() for grade_id, code in rows]
    found = score(built_paths(source, ROOT)[0], answers, dict(environment))
    judged = zip(answers, found["answers"], strict=True)
    rows = {kind: [(a["grade_id"], cells) for a, cells in islice(judged, len(made))] for kind, made in kinds.items()}
    return {"solution": found["solution"], **rows}


def open_gaps(source):
    """The cells of the learner edition that wait for an answer in code."""
    cells = nbformat.read(built_paths(source, ROOT)[1], as_version=4).cells
    return [c for c in cells if c.metadata.get("nbgrader", {}).get("solution") and c.cell_type == "code"]


@pytest.fixture(params=lessons())
def source(request):
    return request.param


@pytest.fixture
def results(source, no_network):
    return scored(source, tuple(no_network[0].items()))


def test_gate_1_outputs_reproduce(built, no_network):
    environment, log = no_network
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval", "--nbval-current-env"]
    command += [
        "--nbval-cell-timeout=120",
        f"--nbval-sanitize-with={ROOT / 'tests/lessons/sanitize.cfg'}",
        str(built[0]),
    ]
    kernel = {"TQDM_DISABLE": "1", "LESSONLIB_PROGRESS": "off", "LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment, **kernel}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert log.read_text() == ""


def test_gate_1_compares_something(built):
    """nbval compares nothing in a cell that was never run, so a stripped notebook would pass."""
    code = [c for c in nbformat.read(built[0], as_version=4).cells if c.cell_type == "code" and c.source.strip()]
    assert all(c.execution_count for c in code)
    compared = [c for c in code if c.outputs and "nbval-ignore-output" not in c.metadata.get("tags", [])]
    assert len(compared) >= len(code) // 3
    assert not any(o.output_type == "error" for c in code for o in c.outputs)


def test_gate_2_learner_edition_runs_and_stays_small(built, no_network):
    environment, log = no_network
    notebook = nbformat.read(built[1], as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(PEAK))
    execute(notebook, allow_errors=True, extra=environment)
    for cell in notebook.cells:
        errors = [o for o in cell.get("outputs", []) if o.output_type == "error"]
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id.endswith("_check"):
            assert [e.ename for e in errors] == ["NotImplementedError"], (cell.id, errors)
            assert "Hint" not in errors[0].evalue and len(errors[0].traceback) < 4
        else:
            assert not errors, (cell.id, errors)
    assert log.read_text() == ""
    peak = float(notebook.cells[-1].outputs[0].text)
    assert peak < PEAK_BYTES, f"{peak / 1e6:.0f} MB"


def test_gate_2_open_notebook_scores_nothing(source, results):
    """The open gaps in place of the solutions: the hidden tests too must give nothing."""
    assert results["gaps"] and all("raise NotImplementedError" in c.source for c in open_gaps(source))
    for grade_id, cells in results["gaps"]:
        assert cells and all(points == 0 for points, _, _ in cells.values()), (grade_id, cells)


def test_gate_3_solution_scores_full(results):
    automatic = {name: row for name, row in results["solution"].items() if row[0] is not None}
    assert automatic
    for name, (points, maximum, said) in automatic.items():
        assert points == pytest.approx(maximum), (name, said)


def test_gate_4_wrong_answers_are_caught_by_name(source, results):
    wrong = wrong_answers(source)
    missed = []
    for answer, (_, cells) in zip(wrong, results["wrong"], strict=True):
        earned, possible = (sum(row[i] for row in cells.values()) for i in (0, 1))
        said = "\n".join(row[2] for row in cells.values())
        if not cells or earned >= possible:
            missed.append(f"{answer.grade_id} {answer.name}: scores {earned} of {possible}")
        elif answer.says not in said:
            missed.append(f"{answer.grade_id} {answer.name}: {answer.says!r} is not in {said!r}")
    assert not missed, "\n".join(missed)


def test_gate_4_every_exercise_has_five_wrong_answers(source, built):
    exercises = {
        exercise_of(c.metadata.nbgrader.grade_id)
        for c in nbformat.read(built[0], as_version=4).cells
        if c.metadata.get("nbgrader", {}).get("solution") and c.cell_type == "code"
    }
    counts = dict.fromkeys(exercises, 0)
    for answer in wrong_answers(source):
        counts[exercise_of(answer.grade_id)] += 1
    assert min(counts.values()) >= 5, counts
    names = [(w.grade_id, w.name) for w in wrong_answers(source)]
    assert len(names) == len(set(names))


def test_gate_4_right_answers_written_otherwise_score_full(source, results):
    short = []
    for answer, (_, cells) in zip(right_answers(source), results["right"], strict=True):
        lost = [row for row in cells.values() if row[0] < row[1]]
        if not cells or lost:
            short.append(f"{answer.grade_id} {answer.name}: {lost}")
    assert not short, "\n".join(short)


def test_notebooks_are_up_to_date_and_small(source, built):
    from lessonlib.course.build import main

    assert main(["--check", source.stem]) == 0
    assert all(path.stat().st_size < 1e6 for path in built)


def test_breaking_the_learners_file_turns_its_check_red(source, results):
    """The learner's file is the graded file: a right answer written into it passes, a wrong one does not."""
    grade_id, cells = results["wrong"][0]
    check_cell = f"{exercise_of(grade_id)}_check"
    assert results["solution"][check_cell][0] > 0
    assert cells[check_cell][0] == 0
