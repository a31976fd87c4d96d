"""`lessonlib grade check-machine | verify | autograde`: what a machine needs, whether an assignment is sound, and grading."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import contextmanager

from .arguments import Mistake, command, count, number, sentence

SHOWN = 60  # students in the table on the screen; report.json has all
EVERY = 30.0  # seconds between lines about the progress where nobody watches a bar


def add(subparsers) -> None:
    """Add the three commands."""
    made = command(
        subparsers, "check-machine", "look for what the sandbox needs, and say how to get what is missing", ""
    )
    made.set_defaults(run=check_machine, needs_course=False)

    made = command(
        subparsers,
        "verify",
        "prove that the solution scores full, the untouched edition 0 and each wrong answer less",
        "05_kv_cache",
    )
    made.add_argument("assignment", metavar="ASSIGNMENT", help="its folder below the source folder")
    _limits(made)
    made.set_defaults(run=verify)

    made = command(subparsers, "autograde", "grade what the class handed in", "05_kv_cache --resume")
    made.add_argument("assignment", metavar="ASSIGNMENT", help="its folder below the source folder")
    made.add_argument("--student", metavar="GLOB", default="*", help="only students whose id matches, as 'a*'")
    made.add_argument("--resume", action="store_true", help="pass over what is graded already and has not changed")
    made.add_argument("--collect", action="store_true", help="first run nbgrader collect")
    made.add_argument(
        "--unverified", action="store_true", help="grade without verifying the assignment; noted in the report"
    )
    made.add_argument("--scheduler", metavar="ADDRESS", help="grade on a Dask cluster, for example tcp://head:8786")
    _limits(made)
    made.set_defaults(run=autograde)


def check_machine(options, course) -> int:
    """Show what the sandbox needs."""
    from dataclasses import asdict

    from ..grading import sandbox

    found = sandbox.check_machine()
    if options.json:
        print(json.dumps({"ok": all(f.ok for f in found), "findings": [asdict(f) for f in found]}))
    else:
        from rich.console import Console
        from rich.table import Table

        table = Table("piece", "there", "what was found", "how to get it")
        for f in found:
            table.add_row(f.name, "yes" if f.ok else "NO", f.says, f.fix)
        Console().print(table, markup=False)
        if all(f.ok for f in found):
            print("This machine can grade in sandboxes.")
    return 0 if all(f.ok for f in found) else 1


def verify(options, course) -> int:
    """Verify an assignment and show what was found."""
    from ..grading import verify as proof

    assignment = course.assignment(options.assignment)
    limits = _limits_of(options, course)
    with _stoppable(), _progress("Verifying", options.json) as progress:
        made = proof.check(course, assignment, limits, unsafe=options.unsafe, jobs=options.jobs, progress=progress)
    if options.json:
        print(json.dumps(made))
        return 0 if made["ok"] else 1
    for notebook, about in made["notebooks"].items():
        earned, full = about.get("solution", ("?", "?"))
        caught = len(about["wrong_answers"])
        print(
            f"{notebook}: the solution earns {earned:g} of {full:g} automatic points, the untouched edition "
            f"{about.get('untouched', '?'):g}; {caught} wrong answers were tried."
            if about.keys() >= {"solution", "untouched"}
            else f"{notebook}: not verified."
        )
        if about["in_kernel"]:
            print(f"  Run beside the student's code, and so weaker: {', '.join(about['in_kernel'])}.")
        for note in (*about["failing"], *about["notes"]):
            print(f"  {sentence(note)}")
    for problem in made["problems"]:
        print(f"PROBLEM: {sentence(problem)}")
    print(f"{assignment} is verified." if made["ok"] else f"{assignment} is NOT verified: autograde will refuse it.")
    return 0 if made["ok"] else 1


def autograde(options, course) -> int:
    """Grade an assignment and show what came of it."""
    from ..grading import batch
    from ..grading import verify as proof

    runner = None
    if options.scheduler is not None:
        from ..grading import cluster

        runner = cluster.runner(options.scheduler)
    assignment = course.assignment(options.assignment)
    if options.collect:
        _collect(course, assignment)
    again = f"lessonlib grade autograde {assignment} --resume"
    with (
        _stoppable(f"What was graded until then is saved; go on with: {again}"),
        _progress("Grading", options.json) as progress,
    ):
        report = batch.run(
            course,
            assignment,
            students=options.student,
            jobs=options.jobs,
            resume=options.resume,
            limits=_limits_of(options, course),
            unsafe=options.unsafe,
            check=None if options.unverified else proof.demand,
            runner=runner,
            progress=progress,
        )
    if options.json:
        print(json.dumps(report))
    else:
        _show(report, course)
    return 1 if report["passed_over"] or any(map(_problem, report["units"])) else 0


def _limits(parser) -> None:
    """Options of what a submission may use."""
    parser.add_argument("--jobs", metavar="N", type=_lanes, help="submissions at a time (default: one a processor)")
    parser.add_argument("--cell-timeout", metavar="S", type=_seconds, help="seconds of a cell (default: Execute.timeout "
                        "of the course's configuration, else 30)")  # fmt: skip
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="seconds of a whole submission (default: 120, or a "
                        "cell's when that is more)")  # fmt: skip
    parser.add_argument("--memory", metavar="MB", type=_megabytes, help="memory of a submission (default: 1074)")
    parser.add_argument(
        "--unsafe-no-sandbox",
        dest="unsafe",
        action="store_true",
        help="run submissions with your own rights: they can read and change what you can; noted in the report",
    )


def _limits_of(options, course):
    """The limits that the options and the course's configuration give."""
    from ..grading import engine, sandbox

    usual = engine.Limits()
    configured = course.config.Execute.get("timeout")
    configured = float(configured) if type(configured) in (int, float) and configured > 0 else usual.cell
    cell = options.cell_timeout or (min(configured, options.timeout) if options.timeout else configured)
    total = options.timeout or max(usual.total, cell)
    if cell > total:
        raise ValueError(
            f"A cell cannot run {cell:g} s when the whole submission may run {total:g} s: raise --timeout."
        )
    memory = options.memory or usual.walls.memory
    return engine.Limits(
        cell=cell, total=total, walls=sandbox.Walls(memory=memory, cpu=max(usual.walls.cpu, math.ceil(total)))
    )


def _collect(course, assignment: str) -> None:
    from nbgrader.apps import NbGraderAPI

    result = NbGraderAPI(coursedir=course.coursedir, config=course.config).collect(assignment)
    if not result["success"]:
        words = (result.get("error") or result.get("log") or "no reason given").strip().splitlines()[-1]
        raise RuntimeError(f"The command nbgrader collect {assignment} failed: {words}")


@contextmanager
def _stoppable(advice: str = ""):
    """Answer Ctrl-C with a sentence and exit status 130."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"\nStopped. {advice}".rstrip(), file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def _progress(doing: str, quiet: bool):
    """What a long task tells its progress to: a bar on a terminal, a line now and then elsewhere."""
    if quiet:
        yield lambda done, total, row: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = TextColumn(doing), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        with Progress(*columns, TextColumn("{task.fields[last]}"), console=Console(stderr=True)) as bar:
            task = bar.add_task("", total=None, last="")
            yield lambda done, total, row: bar.update(
                task, completed=done, total=total, last=f"{row['student']}: {row['score']:g}" if row else ""
            )
    else:
        started = last = time.monotonic()

        def line(done: int, total: int, row) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= EVERY:
                last = now
                left = (now - started) / done * (total - done) if done else math.nan
                print(f"{doing.lower()}: {done:,} of {total:,}; about {left:.0f} s left", file=sys.stderr, flush=True)

        yield line


def _problem(row: dict) -> bool:
    """Whether a unit needs the instructor's eyes."""
    return row["status"] != "graded" or bool(row["reasons"])


def _show(report: dict, course) -> None:
    """A table of points for each notebook, and below what needs eyes."""
    from rich.console import Console

    console, units = Console(), report["units"]
    for notebook in report["snapshot_notes"]:
        rows = [row for row in units if row["notebook"] == notebook]
        shown = rows if len(rows) <= SHOWN else [row for row in rows if _problem(row)][:SHOWN]
        if shown:
            console.print(_table(f"{report['assignment']}, {notebook}", shown, course, report["assignment"]))
        if len(rows) > len(shown):
            console.print(
                f"{len(rows) - len(shown):,} of {len(rows):,} submissions are not in the table: see the report."
            )
    lines = [
        f"{row['student']}, {row['notebook']}: {'; '.join(row['reasons']) or row['status']}"
        for row in units
        if _problem(row)
    ]
    lines += report["passed_over"]
    if waiting := sum(row["needs_manual"] for row in units):
        lines.append(f"{waiting:,} wait for points by hand, in formgrader.")
    if kept := sum(bool(row["kept"]) for row in units):
        lines.append(f"{kept:,} keep points that were given by hand.")
    if weaker := sorted({name for row in units for name in row["weaker"]}):
        lines.append(f"Run beside the student's code, and so weaker: {', '.join(weaker)}.")
    lines += [f"{name}: {note}" for name, notes in report["snapshot_notes"].items() for note in notes]
    if report["resumed"]:
        lines.append(f"{report['resumed']:,} were graded before and have not changed.")
    if report["unverified"]:
        lines.append("The assignment was NOT verified (--unverified).")
    if report["unsafe"]:
        lines.append("Graded WITHOUT a sandbox (--unsafe-no-sandbox).")
    lines.append(f"{len(units):,} notebooks in {report['seconds']:.1f} s, {report['lanes']} at a time.")
    lines.append(f"Report: {course.reports(report['assignment']) / 'report.json'}")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False, markup=False)


def _table(title: str, rows: list[dict], course, assignment: str):
    """Students and their points in each exercise; what the names of exercises have in common is left out."""
    from rich.markup import escape
    from rich.table import Table

    points = [_points_of(course, assignment, row) for row in rows]
    names = list(dict.fromkeys(name for found in points for name in found))
    common = os.path.commonprefix(names).rfind("_") if len(names) > 1 else -1
    table = Table(title=title)
    table.add_column("student", overflow="fold", min_width=8)
    for name in (*(name[common + 1 :] for name in names), "total"):
        table.add_column(name, justify="right", overflow="fold")
    for row, found in zip(rows, points, strict=True):
        cells = [_fraction(*found[name]) if name in found else "-" for name in names]
        table.add_row(escape(row["student"]), *cells, _fraction(row["score"], row["max_score"]))
    return table


def _points_of(course, assignment: str, row: dict) -> dict[str, list[float]]:
    """[automatic points, maximum] of each exercise of a unit, from its record; nan where points by hand are missing."""
    from ..grading import results

    record, found, exercise = results.read(course, assignment, row["student"], row["notebook"]), {}, None
    if record is None:
        return {}
    earned = {cell["id"]: cell for cell in record["cells"]}
    for cell in record["notebook"]["cells"]:
        about = cell["metadata"].get("nbgrader", {})
        if about.get("solution") and not about.get("grade"):
            exercise = about["grade_id"]
        elif about.get("grade_id") in earned:
            row = earned[about["grade_id"]]
            name = exercise if row["kind"] == "test" and exercise else row["id"]
            sums = found.setdefault(name, [0.0, 0.0])
            sums[0] += math.nan if row["points"] is None else row["points"]
            sums[1] += row["max_points"]
    return found


def _fraction(score: float, maximum: float) -> str:
    return f"{'?' if math.isnan(score) else format(score, 'g')}/{maximum:g}"


def _lanes(text: str) -> int:
    value = count(text)
    if not 1 <= value <= 1000:
        raise Mistake(f"--jobs {text} is out of range: 1 to 1,000 submissions can be graded at a time.")
    return value


def _seconds(text: str) -> float:
    value = float(number(text))
    if not 0.1 <= value <= 86_400:
        raise Mistake(f"{text} is no limit: write 0.1 to 86,400 seconds.")
    return value


def _megabytes(text: str) -> int:
    value = count(text)
    if not 50 <= value <= 10**6:
        raise Mistake(f"--memory {text} is out of range: write 50 to 1,000,000 megabytes.")
    return value * 10**6
