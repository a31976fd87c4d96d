"""The command line: `lessonlib COMMAND` inside the environment, `python3 -m lessonlib COMMAND` anywhere.

A command is a module with `main(argv) -> exit status`. Status 2 is a mistake in the command, told in one sentence."""

from __future__ import annotations

import os
import sys
from difflib import get_close_matches
from importlib import import_module

COMMANDS = {
    "lab": ("lessonlib.lab", "start JupyterLab on the course"),
    "test": ("lessonlib.testing", "run the tests: all, or one lesson's (--lesson 05)"),
    "grade": ("lessonlib.commands.grade", "grade submissions in sandboxes, in any nbgrader course"),
    "build": ("lessonlib.course.build", "build the notebooks from their sources"),
    "calc": ("lessonlib.commands.calc", "compute memory, context, tokens, speed, cost and switching"),
    "facts": ("lessonlib.commands.facts", "look up models, GPUs and prices, or add your own"),
    "claims": ("lessonlib.commands.claims", "which statements of the source lesson stand on which page"),
    "verify": ("lessonlib.commands.verify", "prove that checks catch wrong answers and mutants of the solution"),
    "lint": ("lessonlib.course.lint", "check pages against the rules of CONTRIBUTING.md"),
}
# These are standard library only, and their `check(argv)` finds mistakes before a set-up of minutes.
BARE = ("lab", "test")


def help_text() -> str:
    """What there is, one line each."""
    rows = "\n".join(f"  {name:<8}{words}" for name, (_, words) in COMMANDS.items())
    return (
        f"usage: python3 -m lessonlib COMMAND [options]\n\n{rows}\n\n"
        "Begin with: python3 -m lessonlib lab\n"
        "Every command sets up the course's environment first, when it is not there (.venv, once; a few minutes).\n"
        "COMMAND --help tells its options."
    )


def problem_with(argv: list[str]) -> int | None:
    """Answer what needs no environment: help (0) and mistakes (2). None when the command can be run."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        print(f"lessonlib: there is no command {name!r}; there are {', '.join(COMMANDS)}.{hint}", file=sys.stderr)
        return 2
    if name in BARE:
        try:
            import_module(COMMANDS[name][0]).check(rest)
        except ValueError as error:
            print(f"lessonlib {name}: {error}", file=sys.stderr)
            return 2
        except SystemExit as end:  # argparse has said what it had to say
            return int(end.code or 0)
    return None


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    problem = problem_with(argv)
    if problem is not None:
        return problem
    try:
        return import_module(COMMANDS[argv[0]][0]).main(argv[1:])
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


if __name__ == "__main__":
    sys.exit(main())
