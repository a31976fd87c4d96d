"""`lessonlib grade take-in`: the files that learners made with `page.hand_in()`, into the submitted folder."""

from __future__ import annotations

import json
from pathlib import Path

from ..grading import handed_in
from ..grading.intake import Refused
from .arguments import command


def add(subparsers) -> None:
    """Add the command."""
    made = command(
        subparsers,
        "take-in",
        "put files that learners made with hand_in() into the submitted folder",
        "inbox/*.zip",
    )
    made.add_argument("file", nargs="+", type=Path, help="zip files of hand_in()")
    made.add_argument("--student", metavar="NAME", help="whose work it is, when the file has another name (one file)")
    made.add_argument("--update", action="store_true", help="replace earlier submissions; the old ones are kept")
    made.set_defaults(run=run)


def run(options, course) -> int:
    """Take in every file that can be; 1 when one was refused."""
    if options.student and len(options.file) > 1:
        raise ValueError("--student names the student of one file: take the others in on their own.")
    taken, refused = [], []
    for path in options.file:
        try:
            if not path.is_file():
                raise Refused(f"{path} is no file.")
            found = handed_in.read(path)
            taken.append({"file": str(path), **handed_in.take_in(course, found, options.student, options.update)})
        except ValueError as error:
            refused.append({"file": str(path), "reason": str(error)})
    if options.json:
        print(json.dumps({"taken_in": taken, "refused": refused}, ensure_ascii=False))
        return 1 if refused else 0
    for row in taken:
        new = ", ".join(row["taken"]) or "nothing new"
        print(f"{row['student']}, {row['assignment']}: {new}{' (the rest was there already)' if row['same'] else ''}")
    for row in refused:
        print(f"refused {row['file']}: {row['reason']}")
    return 1 if refused else 0
