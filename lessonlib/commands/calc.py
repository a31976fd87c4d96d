"""`lessonlib calc COMMAND`: the course's calculators on the command line, as text or as JSON.

A command registers a subparser with `set_defaults(run=fn)`; `fn(args)` gives (plain data for --json, text for people)."""

from __future__ import annotations

import json

from . import calc_memory, calc_planning
from .arguments import Parser, nearest, problem

PROG = "lessonlib calc"


def parser() -> tuple[Parser, dict]:
    """The parser of all commands, and the parser of each by name."""
    top = Parser(
        prog=PROG,
        usage=f"{PROG} COMMAND [options] [--json]",
        description="The arithmetic of the course. COMMAND --help has an example of each.",
    )
    commands = top.add_subparsers(prog=PROG, dest="command", metavar="COMMAND [options]", title="commands")
    for module in (calc_memory, calc_planning):
        module.add(commands)
    for one in commands.choices.values():
        one.add_argument("--json", action="store_true", help="plain data instead of text")
    return top, commands.choices


def main(argv: list[str]) -> int:
    """Run one calculation. 0: printed; 2: a mistake, told in one sentence on stderr."""
    top, commands = parser()
    if not argv or argv[0] in ("-h", "--help", "help"):
        top.print_help()
        return 0
    name, rest = argv[0], argv[1:]
    if name not in commands:
        return problem(
            PROG, f"there is no calculator {name!r}; there are {', '.join(commands)}.{nearest(name, commands)}"
        )
    own = commands[name]
    try:
        args, unknown = own.parse_known_args(rest)
        if unknown:
            options = [option for action in own._actions for option in action.option_strings]
            kind = "option" if unknown[0].startswith("-") else "argument"
            raise ValueError(f"there is no {kind} {unknown[0]!r}.{nearest(unknown[0], options)} See --help.")
        payload, text = args.run(args)
    except ValueError as error:
        return problem(own.prog, str(error))
    except SystemExit as end:  # argparse has said what it had to say
        return int(end.code or 0)
    print(json.dumps(payload, indent=2, allow_nan=False) if args.json else text)
    return 0
