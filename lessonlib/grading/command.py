"""`lessonlib grade ASSIGNMENT`: nbgrader's steps in one command, with progress and a summary."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path

from ..paths import course_root
from . import stock


def parser() -> argparse.ArgumentParser:
    """The command's options; the README's check of its examples reads them too."""
    made = argparse.ArgumentParser(
        prog="lessonlib grade",
        description="Grade an assignment's submissions with nbgrader: autograde, feedback pages, CSV, summary. "
        "Submissions run in ordinary kernels on this machine, without isolation: use it for classes you trust.",
        epilog="Exit status: 0 all graded, 1 some submission had a problem, 2 a mistake in the command.",
    )
    made.add_argument("assignment", help="its folder below solutions/, for example 05_kv_cache")
    made.add_argument("--course", metavar="DIR", help="the course folder (default: the one around here)")
    made.add_argument("--collect", action="store_true", help="first collect what was submitted through the exchange")
    made.add_argument("--student", metavar="GLOB", default="*", help="only students whose id matches, for example 'a*'")
    made.add_argument("--force", action="store_true", help="grade again what is graded already")
    made.add_argument("--no-feedback", action="store_true", help="write no feedback pages")
    made.add_argument("--json", action="store_true", help="print the summary as JSON and nothing else")
    return made


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    options = parser().parse_args(argv)
    try:
        return _grade(options)
    except (ValueError, RuntimeError) as error:
        print(f"lessonlib grade: {error}", file=sys.stderr)
        return 2


def _grade(options) -> int:
    root = Path(options.course).resolve() if options.course else course_root()
    if root is None:
        raise ValueError("No course folder here or above: change into it, or give it with --course DIR.")
    api = stock.open_course(root)
    assignment = stock.find_assignment(api, options.assignment)
    stock.register(api, assignment)
    if options.collect:
        result = api.collect(assignment)
        if not result["success"]:
            raise RuntimeError(f"collect failed: {stock._last_error(result)}")
    students = sorted(s for s in api.get_submitted_students(assignment) if fnmatch(s, options.student))
    if not students:
        place = Path(api.coursedir.format_path(api.coursedir.submitted_directory, "STUDENT", assignment))
        raise ValueError(
            f"No submission of {assignment} matches {options.student!r}: put notebooks into "
            f"{place.relative_to(root)}/, or collect them from the exchange with --collect."
        )
    logs = root / "grading" / "logs" / assignment
    outcomes = []
    for student in _progress(students, quiet=options.json):
        outcomes.append(
            stock.grade_one(api, assignment, student, options.force, not options.no_feedback, logs / f"{student}.log")
        )
    csv = stock.export_csv(api, assignment, root / "grading" / f"{assignment}.csv")
    if options.json:
        print(json.dumps({"assignment": assignment, "csv": str(csv), "submissions": [asdict(o) for o in outcomes]}))
    else:
        _print_summary(assignment, outcomes, csv, logs)
    return 1 if any(o.problem for o in outcomes) else 0


def _progress(students: list[str], quiet: bool):
    """The students one by one, behind a progress bar with an estimate of the time left when a person is watching."""
    if quiet or not sys.stderr.isatty():
        yield from students
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(students, description="Grading", console=Console(stderr=True))


def _print_summary(assignment: str, outcomes: list, csv: Path, logs: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"{assignment}: {len(outcomes)} submissions")
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.exercises))
    table.add_column("student")
    for name in (*names, "total"):
        table.add_column(name, justify="right", overflow="fold")
    for o in outcomes:
        points = [_points(*o.exercises[n]) if n in o.exercises else "-" for n in names]
        table.add_row(o.student, *points, _points(o.score, o.max_score))
    console.print(table)
    lines = []
    for o in outcomes:
        manual = "waits for manual grading in formgrader" if o.manual else ""
        old = "" if o.graded_now else "graded before (--force grades again)"
        lines += [f"{o.student}: {note}" for note in filter(None, (o.problem, manual, old))]
    lines += [f"CSV: {csv}", f"nbgrader's log of each submission: {logs}"]
    if pages := [o.feedback for o in outcomes if o.feedback]:
        lines.append(f"Feedback pages: {Path(pages[0]).parent.parent}")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _points(score: float, maximum: float) -> str:
    return f"{score:g}/{maximum:g}"
