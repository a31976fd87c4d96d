"""Hours and machines for large numbers of submissions, computed from measured ones, and the table of docs/grading-at-scale.md.

    python benchmarks/grading_scale.py              writes the table, from the records grading.json and grading_scale.json
    python benchmarks/grading_scale.py --check      only says whether the page has that table (exit status 1 when not)
    python benchmarks/grading_scale.py --measure    measures first, and writes benchmarks/results/grading_scale.json

Measured here, on copies of one course of plain functions, per submission, by the times at which records were saved:
  here_each     (ms) lanes of this machine
  cluster_each  (ms) as many lanes of one Dask worker on this machine: what the cluster adds is the difference
  head_each     (ms) a runner that answers at once: what the head alone does (reading, gradebook, files), one after the other

N submissions on M machines take  start + N * max(each * through / M, head_each)  with start and each of grading.json;
through is cluster_each / here_each, at least 1, and 1 on one machine, which needs no cluster. More machines, as long as they
are like the measured one, give no more than that: their own start, queues and networks are not in it."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
RECORD, OWN = HERE / "results" / "grading.json", HERE / "results" / "grading_scale.json"
PAGE = HERE.parent / "docs" / "grading-at-scale.md"
BEGIN, END = "<!-- computed by benchmarks/grading_scale.py -->", "<!-- end of what is computed -->"
SUBMISSIONS = 100_000
MACHINES = (1, 4, 16, 64)
KINDS = {"plain": "small Python functions", "torch": "torch and transformers"}


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compute what many submissions take, and write it into the page.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit status 1 when the page differs")
    parser.add_argument("--measure", action="store_true", help="measure the head and the cluster first (minutes)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of --measure (default: 3)")
    parser.add_argument("--size", type=int, default=600, help="submissions of a round (default: 600)")
    parser.add_argument(
        "--lanes", type=int, default=os.cpu_count() or 1, help="lanes of --measure (default: processors)"
    )
    parser.add_argument("--record", type=Path, default=RECORD, help="what benchmarks/grading.py wrote")
    parser.add_argument("--own", type=Path, default=OWN, help="what --measure writes")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    options = parser.parse_args(argv)
    if options.rounds < 1 or options.size < 20 or options.lanes < 1:
        parser.error("--rounds and --lanes are 1 or more, --size 20 or more")
    if options.measure:
        options.own.write_text(json.dumps(measure(options), indent=1) + "\n", encoding="utf-8")
    missing = [str(path) for path in (options.record, options.own) if not path.is_file()]
    if missing:
        parser.error(f"{' and '.join(missing)} must be measured first: benchmarks/grading.py, and --measure here")
    made = with_table(options.page.read_text(encoding="utf-8"), *map(read, (options.record, options.own)))
    same = made == options.page.read_text(encoding="utf-8")
    if not options.check:
        options.page.write_text(made, encoding="utf-8")
    print(f"{options.page.name}: {'as computed' if same else 'differs' if options.check else 'written'}")
    return 0 if same or not options.check else 1


def read(path: Path) -> dict:
    """A record."""
    return json.loads(path.read_text(encoding="utf-8"))


def with_table(page: str, record: dict, own: dict) -> str:
    """The page with the computed part between its two marks. ValueError when the marks are not there once each."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"The page must hold {BEGIN} and {END} once each.")
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{table(record, own)}\n{END}{rest.partition(END)[2]}"


def seconds(record: dict, own: dict, kind: str, machines: int, submissions: int = SUBMISSIONS) -> dict:
    """{"seconds": of the whole, "limit": "workers" or "head"} for submissions of a class on this many machines."""
    value = {name: entry["median"] for name, entry in (record["metrics"] | own["metrics"]).items()}
    each = value[f"{kind}_each"] / 1e3
    through = 1.0 if machines == 1 else max(1.0, value["cluster_each"] / value["here_each"])  # less would be noise
    spread = each * through / machines
    head = value["head_each"] / 1e3
    return {
        "seconds": value[f"{kind}_start"] + submissions * max(spread, head),
        "limit": "head" if head > spread else "workers",
    }


def stock(record: dict, kind: str, submissions: int = SUBMISSIONS) -> float:
    """Seconds of stock nbgrader on one machine, by its measured class."""
    return record["metrics"][f"{kind}_stock"]["median"] / record["classes"][kind] * submissions


def table(record: dict, own: dict) -> str:
    """The computed part of the page, in Markdown."""
    kinds = [kind for kind in KINDS if f"{kind}_each" in record["metrics"]]
    value = {name: entry["median"] for name, entry in (record["metrics"] | own["metrics"]).items()}
    lanes, at_most = record["lanes"], float(f"{3.6e6 / value['head_each']:.2g}")
    lines = [
        f"A whole class, from the command to the last grade, median of {len(record['metrics'][f'{kinds[0]}_ours']['samples'])} "
        f"({record['device']}, {lanes} lanes, {record['date']}; benchmarks/grading.py):",
        "",
        "| class | `nbgrader autograde` | this grader | times as fast |",
        "|---|---:|---:|---:|",
        *(
            f"| {record['classes'][kind]} submissions of {KINDS[kind]} | {value[f'{kind}_stock']:.1f} s | "
            f"{value[f'{kind}_ours']:.1f} s | {value[f'{kind}_times_as_fast']:.1f} |"
            for kind in kinds
        ),
        "",
        "Ours starts for seconds before it grades the first, so small classes gain less.",
        "",
        "For one submission, after the start: "
        + ", ".join(f"{value[f'{kind}_each']:.0f} ms for a submission of {KINDS[kind]}" for kind in kinds)
        + f". Through a Dask worker on the same machine a small submission takes {value['cluster_each']:.0f} ms instead of "
        f"{value['here_each']:.0f} ms ({own['device']}, {own['lanes']} lanes, {own['date']}). The head alone needs "
        f"{value['head_each']:.0f} ms for each, one after the other: more than about {at_most:,.0f} an hour do not "
        "go through one head, whatever the number of workers.",
        "",
        f"Computed from that, {SUBMISSIONS:,} submissions:",
        "",
        "| machines like this one | lanes | " + " | ".join(KINDS[kind] for kind in kinds) + " |",
        "|---:|---:|" + "---:|" * len(kinds),
        "| 1, with `nbgrader autograde` | 1 | " + " | ".join(hours(stock(record, kind)) for kind in kinds) + " |",
    ]
    for machines in MACHINES:
        row = []
        for kind in kinds:
            found = seconds(record, own, kind, machines)
            row.append(hours(found["seconds"]) + (" (the head is the limit)" if found["limit"] == "head" else ""))
        lines.append(f"| {machines} | {machines * lanes} | " + " | ".join(row) + " |")
    work = [f"{value[f'{k}_each'] / 3.6e6 * SUBMISSIONS * lanes:,.1f} for {KINDS[k]}" for k in kinds]
    lines += [
        "",
        f"Lane-hours, which is what a provider bills as processor-hours when a lane is one processor: {', '.join(work)}. "
        "The course's fact base has no price of processors, so there is none here: multiply by yours.",
    ]
    return "\n".join(lines)


def hours(value: float) -> str:
    """Seconds as text, in the unit that fits."""
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if value >= 2 * size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} seconds"


def measure(options) -> dict:
    """The record of the head and the cluster. RuntimeError when points differ between them."""
    from benchmarks import grading
    from lessonlib.grading import cluster

    samples: dict[str, list] = {"here_each": [], "cluster_each": [], "head_each": []}
    load = grading.load()
    with tempfile.TemporaryDirectory() as scratch:
        course = grading.make_course(Path(scratch) / "course", "plain", options.size)
        with dask(Path(scratch), options.lanes) as address:
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
                here, first = graded(course, Path(scratch), options.lanes, None)
                there, second = graded(course, Path(scratch), options.lanes, cluster.runner(address))
                if first != second:
                    raise RuntimeError("This machine and the cluster give different points.")
                alone, _ = graded(course, Path(scratch), options.lanes, Answers())
                for name, value in zip(samples, (here, there, alone), strict=True):
                    samples[name].append(round(value, 4))
    return {
        "name": "grading_scale",
        "what": f"{options.size} submissions of small functions in {options.lanes} lanes: of this machine, of one Dask worker "
        "on it, and with a runner that answers at once",
        "device": f"{grading.processor()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("distributed", "nbgrader", "ipython")},
        },
        "date": datetime.date.today().isoformat(),
        "lanes": options.lanes,
        "load_before": load,
        "metrics": {n: {"unit": "ms", "samples": v, "median": median(v)} for n, v in samples.items()},
    }


class Answers:
    """A runner that answers at once, with the record of the first submission, which it grades."""

    def __call__(self, snapshot, limits, jobs, *, unsafe, data):
        from lessonlib.grading import engine

        record = None
        for job in jobs:
            if record is None:
                with engine.Grader(snapshot, limits, unsafe=unsafe, data=data) as grader:
                    record = grader.grade(job["document"], job["files"])
            yield job, json.loads(json.dumps(record))


def graded(course: Path, scratch: Path, lanes: int, runner) -> tuple[float, dict]:
    """(ms for each of the last two thirds of the submissions, points by cell) of a fresh copy of the course.

    Not of all: a cluster's first records come when its first chunks are done, many at once."""
    from benchmarks import grading
    from lessonlib.grading import batch
    from lessonlib.grading.course import Course

    root = Path(shutil.copytree(course, scratch / "run"))
    try:
        batch.run(Course(root), grading.ASSIGNMENT, jobs=lanes, runner=runner)
        saved = sorted(p.stat().st_mtime for p in (root / "reports" / grading.ASSIGNMENT / "records").rglob("*.json"))
        third = len(saved) // 3
        each = (saved[-1] - saved[third]) / (len(saved) - 1 - third) * 1e3
        return each, grading.scores(root / "gradebook.db")
    finally:
        shutil.rmtree(root)


class dask:
    """A scheduler and one worker on loopback; a context manager that gives the address."""

    def __init__(self, folder: Path, lanes: int):
        self.folder, self.lanes, self.started = folder, lanes, []

    def __enter__(self) -> str:
        file = self.folder / "scheduler.json"
        self._start("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
        end = time.monotonic() + 60
        while not file.exists():
            if time.monotonic() > end:
                raise RuntimeError("The Dask scheduler did not start.")
            time.sleep(0.1)
        self._start(
            "dask_worker", "--scheduler-file", str(file), "--nthreads", str(self.lanes), "--no-nanny", "--no-dashboard",
            "--local-directory", str(self.folder),
        )  # fmt: skip
        return json.loads(file.read_text(encoding="utf-8"))["address"]

    def __exit__(self, *error) -> None:
        for process in self.started:
            process.kill()
            process.wait()

    def _start(self, module: str, *line: str) -> None:
        command = [sys.executable, "-m", f"distributed.cli.{module}", "--host", "127.0.0.1", *line]
        self.started.append(
            subprocess.Popen(command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    sys.exit(main(sys.argv[1:]))
