"""`lessonlib grade export`: scores as CSV for nbgrader's tools, for a spreadsheet, for Canvas and for Moodle."""

from __future__ import annotations

import json
from pathlib import Path

from ..grading.reports import export, rosters
from .arguments import command


def add(subparsers) -> None:
    """Add the command."""
    made = command(
        subparsers,
        "export",
        "write scores as CSV: nbgrader's own form, every question, or what Canvas and Moodle import",
        "16_capstone --format canvas --roster canvas-gradebook.csv",
    )
    made.add_argument("assignment", nargs="+", help="one assignment, several, or all")
    made.add_argument("--format", choices=export.FORMATS, default="nbgrader", help="which columns (default: nbgrader)")
    made.add_argument(
        "--roster", type=Path, metavar="FILE", help="the CSV that Canvas or Moodle exports: its rows are filled in"
    )
    made.add_argument("--column", metavar="NAME", help="the roster's column to fill, when its title differs")
    made.add_argument("--scale", action="store_true", help="convert the scores to the roster's maximum")
    made.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write (default: the assignment's reports folder)"
    )
    made.set_defaults(run=run)


def run(options, course) -> int:
    """Write the file and say what is to be seen to; 1 when someone is missing on one side."""
    assignments = _assignments(options.assignment, course)
    lms = options.format in ("canvas", "moodle")
    for name in ("roster", "column", "scale"):
        if getattr(options, name) and not (lms and options.roster):
            raise ValueError(
                f"--{name} goes with --format canvas or moodle{' and --roster' if name != 'roster' else ''}."
            )
    if options.column and len(assignments) > 1:
        raise ValueError("--column names the column of one assignment: export them one by one.")
    path = options.out or _default(course, assignments, options.format)
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file with --out.")
    if options.format == "nbgrader":
        sheet, backup = rosters.Sheet([]), export.nbgrader(course, assignments, path)
    else:
        if options.format == "questions":
            sheet = export.questions(course, assignments)
        else:
            sheet = getattr(export, options.format)(course, assignments, options.roster, options.column, options.scale)
        backup = rosters.write(sheet, path)
    result = {
        "format": options.format,
        "assignments": assignments,
        "file": str(path),
        "backup": str(backup) if backup else None,
        "scores": sheet.filled,
        "notes": sheet.notes,
        "open": sheet.open,
    }
    if options.json:
        print(json.dumps(result))
        return 1 if sheet.open else 0
    for line in [*sheet.notes, *(f"To see to: {line}." for line in sheet.open)]:
        print(line)
    if backup:
        print(f"The older file is kept: {backup}")
    print(f"Written: {path}")
    return 1 if sheet.open else 0


def _assignments(given: list[str], course) -> list[str]:
    """The assignments that are meant: "all" is every one that the gradebook has scores of."""
    if given != ["all"] or "all" in course.assignments():
        return list(dict.fromkeys(course.assignment(name) for name in given))
    with course.gradebook() as book:
        graded = {assignment.name for assignment in book.assignments if assignment.num_submissions}
    found = [name for name in course.assignments() if name in graded]
    if not found:
        raise ValueError("Nothing is graded in this course yet: run lessonlib grade autograde ASSIGNMENT first.")
    return found


def _default(course, assignments: list[str], kind: str) -> Path:
    folder = course.reports(assignments[0])
    if len(assignments) == 1:
        return folder / f"{assignments[0]}-{kind}.csv"
    return folder.parent / f"course-{kind}.csv"
