"""`lessonlib grade feedback`: write the feedback pages of an assignment."""

from __future__ import annotations

import json
import sys

from .arguments import command


def add(subparsers) -> None:
    """Add the subcommand."""
    made = command(
        subparsers, "feedback", "write a feedback page for each graded submission", "16_capstone --student 'a*'"
    )
    made.add_argument("assignment", metavar="ASSIGNMENT", help="which assignment")
    made.add_argument("--student", metavar="GLOB", default="*", help="only students whose name matches (default: all)")
    made.set_defaults(run=run)


def run(options, course) -> int:
    """Write the pages; 1 when one could not be made."""
    from ..grading.reports import feedback

    report = feedback.write_all(course, course.assignment(options.assignment), options.student)
    if options.json:
        print(json.dumps(report))
        return int(bool(report["failed"]))
    count = report["pages"]
    print(f"{count} page{'s' if count != 1 else ''} in {report['folder']} ({report['seconds']:g} s).")
    for failed in report["failed"]:
        print(f"{failed['student']}/{failed['notebook']}: {failed['reason']}", file=sys.stderr)
    if count:
        print(f"To hand them out: nbgrader release_feedback {options.assignment}")
    return int(bool(report["failed"]))
