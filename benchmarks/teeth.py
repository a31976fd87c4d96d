"""Measure the teeth of every exercise: named wrong answers, right answers written otherwise, mutants of the solution.

    python benchmarks/teeth.py             writes benchmarks/results/teeth.json and docs/teeth.md
    python benchmarks/teeth.py 05 06       measures these lessons anew and keeps what the record has of the others

What is measured is what `lessonlib verify` says; its code is `lessonlib.course.teeth`."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

from lessonlib.course import source, teeth

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "teeth.json"
TABLE = ROOT / "docs" / "teeth.md"
INTRODUCTION = """\
# What the checks catch

Written by `benchmarks/teeth.py` on {date}; `lessonlib verify LESSON` says the same of one lesson.

Every exercise was given its solution, which must earn full points, and the open gap, which must earn none; *named* wrong
answers, each a misconception that must cost points and earn its own message; *right* answers written otherwise, which must
earn full points; and *mutants*, copies of the solution with one small change (another operator, number, name or argument, a
statement left out). A mutant that computes the same function is *equivalent*: it is named, with the reason, in
`equivalent_mutants.yaml` beside the lesson. All others should be caught; the goal is {goal:.0%} of them.

**{caught:.1%}** of {possible:,} mutants are caught ({equivalent} more are equivalent); {named} named wrong answers and {right}
right ones fare as they must{problems}.

| lesson | exercise | points | named | right | mutants | caught | equivalent | survivors |
|---|---|---|---|---|---|---|---|---|
"""


def main(argv: list[str]) -> int:
    """Run the command; 1 when a lesson has problems or too few mutants are caught, 2 for a mistake."""
    parser = argparse.ArgumentParser(description="Measure what the checks of the course catch.")
    parser.add_argument("lesson", nargs="*", help="lessons to measure (default: all)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--table", type=Path, default=TABLE, help="the page to write")
    options = parser.parse_args(argv)
    try:
        paths = [p for wanted in options.lesson or [None] for p in source.sources(ROOT, wanted)]
    except ValueError as error:
        parser.error(str(error))
    lessons = (
        json.loads(options.out.read_text(encoding="utf-8"))["lessons"]
        if options.lesson and options.out.is_file()
        else {}
    )
    for path in paths:
        started = time.monotonic()
        found = teeth.measure(path, ROOT, say=lambda text: print(text, file=sys.stderr, flush=True))
        lessons[path.stem] = asdict(found) | {"seconds": round(time.monotonic() - started)}
        for problem in found.problems:
            print(problem, file=sys.stderr, flush=True)
        record = describe(lessons)
        write(options.out, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        write(options.table, table(record))
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    problems = any(lesson["problems"] for lesson in lessons.values())
    return int(problems or record["metrics"]["mutants_caught"]["median"] < 100 * teeth.GOAL)


def exercises(lessons: dict) -> list[dict]:
    """The exercises of all lessons, in the order of the course."""
    order = [p.stem for p in source.sources(ROOT)]
    return [e | {"lesson": name} for name in order if name in lessons for e in lessons[name]["exercises"]]


def describe(lessons: dict) -> dict:
    """The record: totals as metrics, and every exercise."""
    rows = exercises(lessons)
    possible = sum(e["mutants"] - len(e["equivalent"]) for e in rows)
    totals = {
        "mutants_caught": ("%", round(100 * sum(e["killed"] for e in rows) / possible, 3) if possible else 0.0),
        "mutants_possible": ("mutants", possible),
        "mutants_equivalent": ("mutants", sum(len(e["equivalent"]) for e in rows)),
        "named_wrong_answers": ("answers", sum(e["named"] for e in rows)),
        "right_answers": ("answers", sum(e["other_ways"] for e in rows)),
        "exercises": ("exercises", len(rows)),
    }
    return {
        "name": "teeth",
        "what": "what the visible and hidden tests of every exercise catch",
        "device": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()},
        "date": datetime.date.today().isoformat(),
        "method": f"each answer in a fork of its own, stopped after {teeth.LIMIT:g} s, against the exercise's test cells",
        "metrics": {
            name: {"unit": unit, "samples": [value], "median": value} for name, (unit, value) in totals.items()
        },
        "lessons": lessons,
    }


def table(record: dict) -> str:
    """The page: totals, and a row an exercise."""
    values = {name: entry["median"] for name, entry in record["metrics"].items()}
    wrong = [problem for lesson in record["lessons"].values() for problem in lesson["problems"]]
    lines = [
        INTRODUCTION.format(
            date=record["date"],
            goal=teeth.GOAL,
            caught=values["mutants_caught"] / 100,
            possible=values["mutants_possible"],
            equivalent=values["mutants_equivalent"],
            named=values["named_wrong_answers"],
            right=values["right_answers"],
            problems=f", but for {len(wrong)}, named below" if wrong else "",
        ).rstrip("\n")
    ]
    for e in exercises(record["lessons"]):
        survivors = ", ".join(f"`{name}`".replace("|", "\\|") for _, name in e["survivors"]) or "none"
        numbers = (e["points"], e["named"], e["other_ways"], e["mutants"], e["killed"], len(e["equivalent"]))
        lines.append(f"| {e['lesson']} | {e['id']} | {' | '.join(f'{n:g}' for n in numbers)} | {survivors} |")
    return "\n".join([*lines, *([""] if wrong else []), *(f"- {' '.join(p.split())}" for p in wrong)]) + "\n"


def write(path: Path, text: str) -> None:
    """Write beside, then rename."""
    partial = path.with_suffix(".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
