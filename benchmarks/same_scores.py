"""Do stock nbgrader and `lessonlib grade autograde` give honest work the same points?

    python benchmarks/same_scores.py                    150 submissions of all assignments (about 20 minutes)
    python benchmarks/same_scores.py --count 12 --assignment 16_capstone

Each submission answers each exercise rightly, with one of the named wrong answers, or not at all, by chance with a fixed
seed. Both grade the same files in copies of the course; every automatic score of every cell is compared. The record
benchmarks/results/same_scores.json lists what differs."""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).parent / "results" / "same_scores.json"


def main(argv: list[str]) -> int:
    """Run the command; exit status 1 when a score differs."""
    parser = argparse.ArgumentParser(
        description="Compare the points of stock nbgrader with ours on honest submissions."
    )
    parser.add_argument("--count", type=int, default=150, help="submissions in all (default: 150)")
    parser.add_argument("--assignment", action="append", help="only these (default: every assignment)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help="a folder for the copies, kept (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    options = parser.parse_args(argv)
    names = options.assignment or sorted({p.parent.name for p in (ROOT / "solutions").glob("*/*.ipynb")})
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        rows = [
            compare(work, name, options.count // len(names) + (n < options.count % len(names)), options.seed)
            for n, name in enumerate(names)
        ]
    record = {
        "name": "same_scores",
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "nbgrader": version("nbgrader"),
        "seed": options.seed,
        "submissions": sum(row["submissions"] for row in rows),
        "cells": sum(row["cells"] for row in rows),
        "differences": sum(len(row["differences"]) for row in rows),
        "assignments": rows,
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: record[k] for k in ("submissions", "cells", "differences")}))
    return 1 if record["differences"] else 0


def compare(work: Path, assignment: str, count: int, seed: int) -> dict:
    """Both graders on `count` submissions of one assignment."""
    handed_in = submissions(assignment, count, seed)
    stock, ours = work / f"{assignment}_{count}_{seed}_stock", work / f"{assignment}_{count}_{seed}_ours"
    if not (
        stock / "done"
    ).exists():  # with --work, what stock has graded is not graded again: it takes most of the time
        make_course(stock, assignment, handed_in)
        run(stock, "-m", "nbgrader", "generate_assignment", assignment, "--force")
        run(stock, "-m", "nbgrader", "autograde", assignment)
        (stock / "done").touch()
    make_course(ours, assignment, handed_in)
    run(ours, "-m", "lessonlib.cli", "grade", "autograde", assignment, "--course", str(ours), ok=(0, 1))
    left, right = scores(stock, assignment), scores(ours, assignment)
    differences = [
        {"submission": key[0], "cell": key[2], "stock": left.get(key), "ours": right.get(key)}
        for key in sorted(left.keys() | right.keys())
        if left.get(key, "none") != right.get(key, "none")
    ]
    row = {"assignment": assignment, "submissions": count, "cells": len(left), "differences": differences}
    print(json.dumps(row), flush=True)
    return row


def submissions(assignment: str, count: int, seed: int) -> dict[str, dict]:
    """{student: {notebook: content}}: the first is right everywhere, the second untouched, the others are mixed."""
    names: dict = {}
    exec((ROOT / "solutions" / assignment / "wrong_answers.py").read_text(encoding="utf-8"), names)
    wrong: dict[str, list] = {}
    for answer in names["WRONG_ANSWERS"]:
        wrong.setdefault(answer.grade_id, []).append(answer.code)
    books = {
        path.stem: (json.loads(path.read_text(encoding="utf-8")), _answers(path))
        for path in sorted((ROOT / "notebooks" / assignment).glob("*.ipynb"))
    }
    chance, made = random.Random(f"{assignment} {seed}"), {}
    for number in range(count):
        student = made.setdefault(f"s{number:03d}", {})
        for name, (book, right) in books.items():
            student[name] = copy.deepcopy(book)
            for cell in student[name]["cells"]:
                grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
                if grade_id not in right or number == 1:
                    continue
                kind = "right" if number == 0 else chance.choices(["right", "wrong", "open"], [5, 4, 1])[0]
                if kind == "wrong" and grade_id in wrong:
                    cell["source"] = chance.choice(wrong[grade_id])
                elif kind == "right":
                    cell["source"] = right[grade_id]
    return made


def _answers(path: Path) -> dict[str, str]:
    """The solution's source of each cell that a learner fills."""
    book = json.loads((ROOT / "solutions" / path.parent.name / path.name).read_text(encoding="utf-8"))
    return {
        about["grade_id"]: "".join(cell["source"])
        for cell in book["cells"]
        if (about := cell["metadata"].get("nbgrader", {})).get("solution")
    }


def make_course(root: Path, assignment: str, handed_in: dict[str, dict]) -> None:
    """A copy of the course with one assignment and what was handed in."""
    if root.exists():
        shutil.rmtree(root)
    root.mkdir(parents=True)
    for name in ("nbgrader_config.py", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for name in ("solutions", "notebooks"):
        shutil.copytree(ROOT / name / assignment, root / name / assignment)
    shutil.copytree(ROOT / "benchmarks" / "results", root / "benchmarks" / "results")
    for student, notebooks in handed_in.items():
        for name, notebook in notebooks.items():
            path = root / "grading" / "submitted" / student / assignment / f"{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(notebook), encoding="utf-8")


def run(root: Path, *command: str, ok=(0,)) -> None:
    """Run Python in the course folder. RuntimeError with its last words when it fails."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "LESSON_DEVICE": "cpu",
        "HF_HUB_OFFLINE": "1",
        "LESSONLIB_PROGRESS": "off",
        "LESSON_FACTS": "off",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run([sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode not in ok:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {(done.stderr or done.stdout)[-3000:]}")


def scores(root: Path, assignment: str) -> dict[tuple, float]:
    """{(student, notebook, cell): automatic points} of a gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{root / 'grading' / 'gradebook.db'}", "llm-course") as book:
        return {
            (submission.student.id, notebook.name, grade.name): grade.auto_score
            for submission in book.assignment_submissions(assignment)
            for notebook in submission.notebooks
            for grade in notebook.grades
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
