"""Measure grading a class: stock `nbgrader autograde` beside `lessonlib grade autograde`, on the same submissions.

    python benchmarks/grading.py                    writes benchmarks/results/grading.json (about ten minutes)
    python benchmarks/grading.py --quick --out X    one small round, to see that all works
    python benchmarks/grading.py --queue 10000      also a long queue, with the memory of the command watched

Each round grades two classes with both commands, in turn, each in a fresh copy of its course: `plain`, small functions, and
`torch`, whose notebook imports torch and transformers and builds a small model. The command is measured end to end, as it
is typed: start, verification of the assignment, gradebook and files included. Each student's points for each cell must be
the same on both sides, or the run ends with an error and writes nothing.

The record, besides what every record has (see benchmarks/results/README.md):
  lanes       submissions that ours grades at a time
  classes     {class: number of submissions}
  load        load averages (1 minute) before each run, in order
  metrics     for each class: CLASS_stock and CLASS_ours (s, end to end), CLASS_times_as_fast (ratio, round by round),
              CLASS_start (s, from the command's start to its first saved submission) and CLASS_each (ms, from then on,
              for one submission, saving included); of the queue: queue_each (ms), queue_first and queue_last (MB, resident
              memory of the command while the first and the last tenth of the submissions are graded)
Seconds for N submissions on one machine are CLASS_start + N * CLASS_each / 1000."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "grading.json"
ASSIGNMENT = "hw"
CONFIG = """c = get_config()
c.CourseDirectory.course_id = "measured"
c.Execute.timeout = 60
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
"""
PLAIN = [
    ("plain", "import math\nLIMIT = 10"),
    ("double", "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"),
    ("double_check 1", "assert double(2) == 4"),
    (
        "double_hidden 2",
        "### BEGIN HIDDEN TESTS\nassert double('ab') == 'abab'\nassert double(-LIMIT) == -20\n### END HIDDEN TESTS",
    ),
    (
        "mean",
        "def mean(values):\n    ### BEGIN SOLUTION\n    return math.fsum(values) / len(values)\n    ### END SOLUTION",
    ),
    ("mean_check 1", "assert mean([1, 2, 3]) == 2"),
    ("mean_hidden 2", "### BEGIN HIDDEN TESTS\nsum([mean([1]) == 1, mean([0.1] * 10) == 0.1])\n### END HIDDEN TESTS"),
]
TORCH = [
    ("plain", "import torch\nimport transformers\nfrom transformers import GPT2Config, GPT2LMHeadModel"),
    (
        "weights",
        "def weights(scores):\n    ### BEGIN SOLUTION\n    return torch.softmax(scores, dim=-1)\n    ### END SOLUTION",
    ),
    (
        "weights_check 1",
        "torch.manual_seed(0)\nscores = torch.randn(4, 4)\nassert torch.allclose(weights(scores).sum(-1), torch.ones(4))",
    ),
    (
        "weights_hidden 2",
        "### BEGIN HIDDEN TESTS\nassert torch.equal(weights(scores), scores.softmax(-1))\n### END HIDDEN TESTS",
    ),
    (
        "count",
        "def count(layers, width):\n    ### BEGIN SOLUTION\n"
        "    config = GPT2Config(n_layer=layers, n_embd=width, n_head=2, vocab_size=100, n_positions=32)\n"
        "    return sum(p.numel() for p in GPT2LMHeadModel(config).parameters())\n    ### END SOLUTION",
    ),
    (
        "count_check 1",
        "small = GPT2Config(n_layer=1, n_embd=8, n_head=2, vocab_size=100, n_positions=32)\n"
        "expected = sum(p.numel() for p in GPT2LMHeadModel(small).parameters())\nassert count(1, 8) == expected",
    ),
    ("count_hidden 1", "### BEGIN HIDDEN TESTS\nassert count(2, 8) > expected\n### END HIDDEN TESTS"),
]
BOOKS = {"plain": PLAIN, "torch": TORCH}
# What students wrote: (cell, wrong answer); a student may have one of these, several, or none.
WRONG = {
    "plain": [("double", "def double(x):\n    return x ** 2"), ("mean", "def mean(values):\n    return sum(values) / len(values)")],
    "torch": [("weights", "def weights(scores):\n    return scores.exp()"), ("count", "def count(layers, width):\n    return 0")],
}  # fmt: skip


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure stock nbgrader and lessonlib grade on the same submissions.")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each command and class (default: 3)")
    parser.add_argument("--plain", type=int, default=60, help="submissions without torch (default: 60)")
    parser.add_argument("--torch", type=int, default=30, help="submissions with torch (default: 30; 0: none)")
    parser.add_argument("--queue", type=int, default=0, help="submissions of the long queue (default: none)")
    parser.add_argument("--lanes", type=int, default=os.cpu_count() or 1, help="lanes of ours (default: processors)")
    parser.add_argument("--quick", action="store_true", help="one round with 6 and 3 submissions")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    options = parser.parse_args(argv)
    if options.quick:
        options.rounds, options.plain, options.torch = 1, 6, 3
    sizes = {"plain": options.plain, "torch": options.torch}
    sizes = {name: size for name, size in sizes.items() if size}
    if min(sizes.values(), default=0) < 2:
        parser.error("a class has at least 2 submissions")
    with tempfile.TemporaryDirectory() as scratch:
        samples, loads = collect(Path(scratch), sizes, options.rounds, options.lanes)
        found = metrics(samples)
        if options.queue:
            loads.append(load())
            found |= queue(Path(scratch), options.queue, options.lanes)
    record = describe(sizes, options) | {"load": loads, "load_before": loads[0], "metrics": found}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in found.items()}))
    return 0


def notebook(name: str, wrong: tuple = (), released: bool = False) -> dict:
    """The instructor's notebook of a class, or a submission with these wrong answers; nbformat 4."""
    cells = []
    for number, (about, source) in enumerate(BOOKS[name]):
        grade_id, _, points = about.partition(" ")
        metadata = {}
        if about != "plain":
            metadata = {"schema_version": 3, "grade_id": grade_id, "locked": bool(points), "task": False}
            metadata |= {"grade": bool(points), "solution": not points, **({"points": int(points)} if points else {})}
        if released:
            source = dict(wrong).get(grade_id, source).partition("### BEGIN HIDDEN")[0]
            source = "\n".join(line for line in source.split("\n") if "### " not in line)
        cell = {"cell_type": "code", "id": f"cell-{number}", "source": source, "outputs": [], "execution_count": None}
        cells.append({**cell, "metadata": {"nbgrader": metadata} if metadata else {}})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}


def make_course(root: Path, name: str, size: int) -> Path:
    """A course in which `size` students handed in, known to its gradebook; the folder comes back."""
    source = root / "source" / ASSIGNMENT / "nb.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(json.dumps(notebook(name)), encoding="utf-8")
    (root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    run([sys.executable, "-m", "nbgrader", "generate_assignment", ASSIGNMENT], root)
    for number in range(size):
        wrong = tuple(answer for bit, answer in enumerate(WRONG[name]) if number >> bit & 1)
        file = root / "submitted" / f"s{number:05}" / ASSIGNMENT / "nb.ipynb"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(notebook(name, wrong, released=True)), encoding="utf-8")
    return root


def run(command: list[str], root: Path) -> None:
    """Run a command in the course folder. RuntimeError with its last words when it fails."""
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[2:5])} failed: {(done.stdout + done.stderr)[-2000:]}")


def environment() -> dict:
    """The environment of both commands. A warning of transformers would cost stock's points, as all on the error stream."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_VERBOSITY": "error",
    }


def ours(lanes: int) -> list[str]:
    """The command that grades in sandboxes."""
    grade = [sys.executable, "-m", "lessonlib", "grade", "autograde", ASSIGNMENT]
    return [*grade, "--course", ".", "--jobs", str(lanes), "--json"]


def collect(scratch: Path, sizes: dict[str, int], rounds: int, lanes: int) -> tuple[dict, list]:
    """({(class, side): samples}, load averages). RuntimeError when the two sides give different points."""
    courses = {name: make_course(scratch / f"course-{name}", name, size) for name, size in sizes.items()}
    commands = {"stock": [sys.executable, "-m", "nbgrader", "autograde", ASSIGNMENT], "ours": ours(lanes)}
    samples: dict = {(name, side): [] for name in sizes for side in commands}
    loads = []
    for number in range(rounds):
        for name in sizes:
            points = {}
            for side in commands if number % 2 == 0 else reversed(commands):
                print(f"round {number + 1} of {rounds}: {name}, {side}", file=sys.stderr, flush=True)
                loads.append(load())
                root = Path(shutil.copytree(courses[name], scratch / "run"))
                began = time.time()
                run(commands[side], root)
                sample = {"seconds": time.time() - began}
                if side == "ours":
                    sample |= since_start(root, began)
                samples[name, side].append(sample)
                points[side] = scores(root / "gradebook.db")
                shutil.rmtree(root)
            same_points(points["stock"], points["ours"], sizes[name])
    return samples, loads


def since_start(root: Path, began: float) -> dict:
    """Seconds until the first submission was saved, and milliseconds a submission from then on, by the records' times."""
    saved = sorted(p.stat().st_mtime for p in (root / "reports" / ASSIGNMENT / "records").rglob("*.json"))
    return {"start": saved[0] - began, "each": (saved[-1] - saved[0]) / (len(saved) - 1) * 1e3}


def scores(gradebook: Path) -> dict[tuple[str, str], float | None]:
    """Automatic points by (student, grade id), straight from the database."""
    query = """SELECT submitted_assignment.student_id, base_cell.name, grade.auto_score FROM grade
        JOIN base_cell ON base_cell.id = grade.cell_id
        JOIN submitted_notebook ON submitted_notebook.id = grade.notebook_id
        JOIN submitted_assignment ON submitted_assignment.id = submitted_notebook.assignment_id"""
    connection = sqlite3.connect(gradebook)
    try:
        return {(student, cell): points for student, cell, points in connection.execute(query)}
    finally:
        connection.close()


def same_points(stock: dict, other: dict, size: int) -> None:
    """RuntimeError unless both sides graded every student and agree on every cell."""
    if len({student for student, _ in stock}) != size:
        raise RuntimeError(f"Stock graded {len({student for student, _ in stock})} of {size} students.")
    if stock != other:
        different = sorted(key for key in stock.keys() | other.keys() if stock.get(key) != other.get(key))[:5]
        pairs = "; ".join(f"{key}: {stock.get(key)} and {other.get(key)}" for key in different)
        raise RuntimeError(f"Stock and ours give different points: {pairs}")


def queue(scratch: Path, size: int, lanes: int) -> dict:
    """Grade a long queue, and watch the memory of the command; metrics of it. RuntimeError when it fails."""
    root = make_course(scratch / "queue", "plain", size)
    began = time.time()
    with open(root / "out.txt", "w", encoding="utf-8") as words:
        process = subprocess.Popen(ours(lanes), cwd=root, env=environment(), stdout=words, stderr=subprocess.STDOUT)
        seen, ended = [], threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, root, seen, ended, max(0.01, size / 20_000)))
        watcher.start()
        code = process.wait()
        ended.set()
        watcher.join()
    if code != 0:
        raise RuntimeError(f"The queue ended with status {code}: {(root / 'out.txt').read_text()[-2000:]}")
    first = [memory for done, memory in seen if 0 < done <= size / 10]
    last = [memory for done, memory in seen if done >= size * 9 / 10]
    if not first or not last:
        raise RuntimeError("The queue is too short to see its memory: use more submissions.")
    each = since_start(root, began)["each"]
    values = {
        "queue_first": ("MB", mean(first) / 1e6),
        "queue_last": ("MB", mean(last) / 1e6),
        "queue_each": ("ms", each),
    }
    return {key: _entry(unit, [value]) for key, (unit, value) in values.items()}


def _watch(pid: int, root: Path, seen: list, ended: threading.Event, every: float) -> None:
    """Note (submissions saved, resident bytes) in steps of `every` seconds until the command ends."""
    folder = root / "reports" / ASSIGNMENT / "records"
    while not ended.wait(every):
        try:
            done = len(os.listdir(folder))
            with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
                memory = next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS")), 0)
        except FileNotFoundError:
            continue
        seen.append((done, memory))


def load() -> float | None:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def metrics(samples: dict) -> dict:
    """{metric: unit, samples, median}. A ratio is taken round by round."""
    found = {}
    for name in dict.fromkeys(name for name, _ in samples):
        stock, mine = samples[name, "stock"], samples[name, "ours"]
        found[f"{name}_stock"] = _entry("s", [s["seconds"] for s in stock])
        found[f"{name}_ours"] = _entry("s", [s["seconds"] for s in mine])
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(stock, mine, strict=True)]
        found[f"{name}_times_as_fast"] = _entry("times", ratios)
        found[f"{name}_start"] = _entry("s", [s["start"] for s in mine])
        found[f"{name}_each"] = _entry("ms", [s["each"] for s in mine])
    return found


def _entry(unit: str, values: list[float]) -> dict:
    values = [round(value, 4) for value in values]
    return {"unit": unit, "samples": values, "median": median(values)}


def describe(sizes: dict[str, int], options) -> dict:
    """What was measured, on what, when."""
    packages = ["nbgrader", "nbformat", "nbclient", "ipykernel", "ipython", "torch", "transformers"]
    classes = " and ".join(f"{size} submissions of the class {name!r}" for name, size in sizes.items())
    return {
        "name": "grading",
        "what": f"nbgrader autograde beside lessonlib grade autograde with {options.lanes} lanes, on {classes}",
        "device": f"{processor()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "date": datetime.date.today().isoformat(),
        "rounds": options.rounds,
        "lanes": options.lanes,
        "classes": sizes,
        "queue": options.queue,
        "method": "the two commands end to end in turn, the first of them alternated, each in a fresh copy of the course "
        "whose gradebook knows the assignment; sandbox and verifier on; equal points of every cell asserted; medians",
    }


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
