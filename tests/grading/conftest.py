"""A copy of the course in which stock nbgrader grades four sample submissions, once for all tests; and a tiny course."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from .attacks.assignment import instructor
from .samples import points, samples, solutions

ROOT = Path(__file__).resolve().parents[2]
ASSIGNMENT, NOTEBOOK, EXERCISES = "16_capstone", "vram_budget", "l16_vram_"
CELL_TIMEOUT = 30  # seconds; the endless loop runs into it once for each test cell of its exercise


@dataclass
class Course:
    """A course folder with its own environment for commands."""

    root: Path
    environment: dict

    def run(self, *command: str, ok: bool = True) -> subprocess.CompletedProcess:
        """Run a command in the course folder; asserts that it succeeds unless told otherwise."""
        done = subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, timeout=600)
        assert not ok or done.returncode == 0, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def nbgrader(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run a stock nbgrader command."""
        return self.run(sys.executable, "-m", "nbgrader", *arguments)


def make_course(folder: Path) -> Course:
    """The course's real folders and configuration, with the submissions of four students in place."""
    root = folder / "course"
    root.mkdir(parents=True)
    for name in ("nbgrader_config.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for name in ("solutions", "notebooks"):
        shutil.copytree(ROOT / name / ASSIGNMENT, root / name / ASSIGNMENT)
        for path in (root / name / ASSIGNMENT).glob("*.ipynb"):
            if path.stem != NOTEBOOK:  # one task of the capstone is enough to grade
                path.unlink()
    with open(root / "solutions" / ASSIGNMENT / "wrong_answers.py", "a", encoding="utf-8") as file:
        file.write(f"\nWRONG_ANSWERS = [w for w in WRONG_ANSWERS if w.grade_id.startswith({EXERCISES!r})]\n")
    with open(root / "nbgrader_config.py", "a", encoding="utf-8") as file:
        file.write(f"\nc.Execute.timeout = {CELL_TIMEOUT}\n")
    solution = root / "solutions" / ASSIGNMENT / f"{NOTEBOOK}.ipynb"
    for student, notebook in samples(solution, root / "notebooks" / ASSIGNMENT / f"{NOTEBOOK}.ipynb").items():
        path = root / "grading" / "submitted" / student / ASSIGNMENT / f"{NOTEBOOK}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
        "OMP_NUM_THREADS": "1",
    }
    return Course(root, environment)


def tiny_course(root: Path, notebooks: tuple[str, ...] = ("small",), change=lambda text: text) -> Path:
    """An nbgrader course with the assignment "hw" (of attacks/assignment.py, once for each notebook), registered.

    change: a function of the notebook's text."""
    from lessonlib.grading.course import Course as Grading

    (root / "source" / "hw").mkdir(parents=True)
    (root / "nbgrader_config.py").write_text("c = get_config()\n", encoding="utf-8")
    for name in notebooks:
        book = instructor()
        for cell in book["cells"]:
            about = cell["metadata"].get("nbgrader")
            if about:
                cell["metadata"]["nbgrader"] = {"schema_version": 3, "locked": False, "task": False, **about}
        (root / "source" / "hw" / f"{name}.ipynb").write_text(change(json.dumps(book)), encoding="utf-8")
    Grading(root).register("hw")
    return root


def hand_in(root: Path, student: str, book: dict, name: str = "small.ipynb", assignment: str = "hw") -> Path:
    """Put a notebook where `student` hands it in; the file comes back."""
    path = root / "submitted" / student / assignment / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(book), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def expected():
    """What each sample must score, from the points of the exercises it has right."""
    notebook = nbformat.read(ROOT / "solutions" / ASSIGNMENT / f"{NOTEBOOK}.ipynb", as_version=4)
    exercises = [name.rsplit("_", 1)[0] for name in sorted(solutions(notebook))]
    return {
        "full": points(notebook, set(exercises)),
        "half": points(notebook, set(exercises[: len(exercises) // 2])),
        "untouched": 0.0,
        "endless": points(notebook, set(exercises[:-1])),
    }


@pytest.fixture(scope="session")
def tiny_made(tmp_path_factory):
    """The tiny course, made once; copy it."""
    return tiny_course(tmp_path_factory.mktemp("tiny") / "course")


@pytest.fixture
def tiny(tiny_made, tmp_path):
    """A tiny course of one's own."""
    return Path(shutil.copytree(tiny_made, tmp_path / "course"))


@pytest.fixture(scope="session")
def released(tmp_path_factory):
    """After `nbgrader generate_assignment`, with a learner's changed notebook in the release folder before it."""
    course = make_course(tmp_path_factory.mktemp("stock"))
    path = course.root / "notebooks" / ASSIGNMENT / f"{NOTEBOOK}.ipynb"
    learner = nbformat.read(path, as_version=4)
    learner.cells[0].source += "\n\nmy own note"
    nbformat.write(learner, path)
    course.nbgrader("generate_assignment", ASSIGNMENT, "--force")
    return course


@pytest.fixture(scope="session")
def graded(released):
    """After release, autograde, feedback and export."""
    released.nbgrader("release_assignment", ASSIGNMENT)
    released.nbgrader("autograde", ASSIGNMENT)
    released.nbgrader("generate_feedback", ASSIGNMENT)
    released.nbgrader("export", "--to", "grades.csv")
    return released
