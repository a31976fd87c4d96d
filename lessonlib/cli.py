"""The command line: `lessonlib COMMAND` inside the environment, `python3 -m lessonlib COMMAND` anywhere."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module

COMMANDS = {
    "lab": ("lessonlib.lab", "start JupyterLab on the course"),
    "test": ("lessonlib.testing", "run the tests: all, or one lesson's (--lesson 05)"),
    "grade": ("lessonlib.grading.command", "grade an assignment's submissions with nbgrader"),
    "build": ("lessonlib.course.build", "build the notebooks from their sources"),
    "lint": ("lessonlib.course.lint", "check pages against the rules of CONTRIBUTING.md"),
}


def help_text() -> str:
    """What there is, one line each."""
    rows = "\n".join(f"  {name:<8}{words}" for name, (_, words) in COMMANDS.items())
    return (
        f"usage: python3 -m lessonlib COMMAND [options]\n\n{rows}\n\n"
        "Every command sets up the course's environment first, when it is not there. COMMAND --help tells its options."
    )


def problem_with(argv: list[str]) -> int | None:
    """Answer what needs no environment: help (0) and unknown commands (2). None when the command can be run."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if argv[0] not in COMMANDS:
        near = get_close_matches(argv[0], COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        print(f"lessonlib: there is no command {argv[0]!r}; there are {', '.join(COMMANDS)}.{hint}", file=sys.stderr)
        return 2
    return None


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    problem = problem_with(argv)
    if problem is not None:
        return problem
    return import_module(COMMANDS[argv[0]][0]).main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
