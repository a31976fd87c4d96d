"""Measure how long a learner waits for `check()`, for every exercise of the course, in a kernel.

    python benchmarks/checks.py            writes benchmarks/results/checks.json
    python benchmarks/checks.py 05         one lesson; the record keeps what it has of the others

Each solution notebook runs in a kernel with a progress file; after every check cell, the same call is repeated and timed. The
goal is 100 ms for exercises of plain arithmetic; those that run a model or train one take what it takes."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import sys
import tempfile
from pathlib import Path
from statistics import median

import nbformat

from lessonlib.course.build import built_paths
from lessonlib.course.execute import execute
from lessonlib.course.source import sources

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "checks.json"
GOAL = 100.0  # ms
TIMED = """\
import json as _json, time as _time
_seconds = []
for _ in range({rounds}):
    _started = _time.perf_counter()
{call}
    _seconds.append(_time.perf_counter() - _started)
print("TIMED", _json.dumps(_seconds))
"""


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure how long check() takes.")
    parser.add_argument("lesson", nargs="?", help="for example 05 (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each check (default: 5)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    options = parser.parse_args(argv)
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    try:
        paths = sources(ROOT, options.lesson)
    except ValueError as error:
        parser.error(str(error))
    known = (
        json.loads(options.out.read_text(encoding="utf-8"))["metrics"]
        if options.lesson and options.out.is_file()
        else {}
    )
    for path in paths:
        print(path.stem, file=sys.stderr, flush=True)
        known |= timed(built_paths(path, ROOT)[0], options.rounds)
        record = describe(options.rounds) | {"metrics": known}
        record["over_the_goal"] = sorted(name for name, entry in known.items() if entry["median"] > GOAL)
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in known.items()}))
    return 0


def timed(notebook: Path, rounds: int) -> dict:
    """{exercise: unit, samples and median of its check} of one notebook."""
    book, asked = nbformat.read(notebook, as_version=4), {}
    for cell in list(book.cells):
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id.endswith("_check"):
            call = "".join(f"    {line}\n" for line in cell.source.splitlines())
            asked[grade_id] = nbformat.v4.new_code_cell(TIMED.format(rounds=rounds, call=call.rstrip("\n")))
            book.cells.insert(book.cells.index(cell) + 1, asked[grade_id])
    with tempfile.TemporaryDirectory() as folder:
        execute(book, extra={"LESSONLIB_PROGRESS": str(Path(folder) / "progress.json")})
    found = {}
    for grade_id, cell in asked.items():
        said = "".join(o.get("text", "") for o in cell.outputs if o.output_type == "stream")
        values = [round(1e3 * s, 3) for s in json.loads(said.rpartition("TIMED ")[2])]
        found[grade_id.removesuffix("_check")] = {"unit": "ms", "samples": values, "median": median(values)}
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch

    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    return {
        "name": "checks",
        "what": "the wait for check(), with the solution as the answer",
        "device": f"{describe_device('cpu')['name']}, {cores()} cores",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "goal_ms": GOAL,
        "method": "in the kernel of the solution notebook, right after the check cell, with a progress file; medians",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
