"""`lessonlib grade`: grade the submissions of this course, or of any nbgrader course, in sandboxes."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from ..paths import course_root
from .arguments import Parser, nearest, problem

# Each module adds its subcommands with `add(subparsers)`; a subcommand sets `run`, a function (options, course) -> exit
# status, or (options, None) where `needs_course` is False.
PARTS = ("grade_take_in", "grade_run", "grade_feedback", "grade_export", "grade_similarity", "grade_insights")


def parser() -> Parser:
    """The command's options; the README's check of its examples reads them too."""
    made = Parser(
        prog="lessonlib grade",
        description="Grade submissions in sandboxes, with nbgrader's own notebooks, folders and gradebook. Works in any "
        "nbgrader course folder.",
        epilog="Exit status: 0 all is well, 1 something needs your eyes (it is named), 2 a mistake in the command.",
    )
    subparsers = made.add_subparsers(dest="what", metavar="COMMAND", required=True)
    for part in PARTS:
        import_module(f"{__package__}.{part}").add(subparsers)
    for subparser in subparsers.choices.values():
        if subparser.get_default("needs_course") is not False:
            subparser.add_argument("--course", metavar="DIR", help="the course folder (default: the one around here)")
        subparser.add_argument("--json", action="store_true", help="print the result as JSON and nothing else")
    return made


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    made = parser()
    if argv and (mistaken := _no_command(argv[0], made)):
        return problem("lessonlib grade", mistaken)
    try:
        options = made.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    try:
        course = None
        if options.parser.get_default("needs_course") is not False:
            from ..grading.course import Course

            course = Course(course_folder(options.course))
        return options.run(options, course)
    except (ValueError, RuntimeError) as error:
        return problem(f"lessonlib grade {options.what}", str(error))
    except OSError as error:
        return problem(f"lessonlib grade {options.what}", f"{error.filename or 'the disk'}: {error.strerror or error}")


def _no_command(word: str, made: Parser) -> str:
    """What to type instead of `word`, an assignment where a command belongs; "" when there is nothing to say."""
    commands = next(action.choices for action in made._actions if action.dest == "what")
    if word.startswith("-") or word in commands:
        return ""
    near = nearest(word, commands)
    return f"{word!r} is no command; to grade an assignment of that name, use lessonlib grade autograde {word}.{near}"


def course_folder(given: str | None) -> Path:
    """The folder that --course names, else the nearest one at or above the working directory with nbgrader_config.py.

    ValueError when there is none."""
    if given is not None:
        folder = Path(given).resolve()
        if not folder.is_dir():
            raise ValueError(f"{given} is no folder: give the course folder with --course DIR.")
        return folder
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "nbgrader_config.py").is_file():
            return folder
    root = course_root()
    if root is None or not (root / "nbgrader_config.py").is_file():
        raise ValueError("No course folder here or above: change into it, or give it with --course DIR.")
    return root


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
