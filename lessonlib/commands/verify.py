"""`lessonlib verify`: do the checks of the course tell right answers from wrong ones?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from ..paths import course_root
from .arguments import Parser, problem

PROG = "lessonlib verify"


def parser() -> Parser:
    """The command's options."""
    made = Parser(
        prog=PROG,
        description="For each exercise: the solution earns full points, the open gap 0, each named wrong answer less and its "
        "message, each right answer written otherwise full points; and of the mutants of the solution, how many the tests catch.",
        epilog="example:\n  lessonlib verify 05\n  lessonlib verify --all",
    )
    made.add_argument("lesson", nargs="?", metavar="LESSON", help="for example 05 or vram_budget")
    made.add_argument("--all", action="store_true", help="every lesson (minutes)")
    made.add_argument("--no-mutants", action="store_true", help="the named answers only")
    made.add_argument("--json", action="store_true", help="plain data instead of text")
    return made


def main(argv: list[str]) -> int:
    """Run the command. 0; 1: an exercise fails, or fewer mutants than the goal are caught; 2: a mistake."""
    from ..course import source, teeth

    try:
        options = parser().parse_args(argv)
        root = course_root()
        if root is None:
            raise ValueError("no course folder here or above: change into it.")
        if (options.lesson is None) != options.all:
            raise ValueError("name a lesson, such as 05, or give --all: one of the two.")
        found = [
            teeth.measure(path, root, not options.no_mutants, lambda text: print(text, file=sys.stderr, flush=True))
            for path in source.sources(root, options.lesson)
        ]
    except ValueError as error:
        return problem(PROG, str(error))
    except SystemExit as end:  # argparse has said what it had to say
        return int(end.code or 0)
    caught = teeth.share([exercise for lesson in found for exercise in lesson.exercises])
    if options.json:
        print(
            json.dumps({"share": caught, "lessons": [asdict(lesson) for lesson in found]}, indent=1, ensure_ascii=False)
        )
    else:
        print("\n".join(as_text(found, caught)))
    return 1 if any(lesson.problems for lesson in found) or (caught is not None and caught < teeth.GOAL) else 0


def as_text(found: list, caught: float | None) -> list[str]:
    """The lines for a reader: a row an exercise, then what is wrong and what survived."""
    from ..course import teeth

    lines = [
        f"{'exercise':<24}{'points':>7}{'named':>7}{'right':>7}{'mutants':>9}{'caught':>8}{'equivalent':>12}{'survived':>10}"
    ]
    for lesson in found:
        for e in lesson.exercises:
            lines.append(
                f"{e.id:<24}{e.points:>7g}{e.named:>7}{e.other_ways:>7}{e.mutants:>9}{e.killed:>8}{len(e.equivalent):>12}{len(e.survivors):>10}"
            )
    for lesson in found:
        lines += [f"{e.grade_id}: survives ({op}): {name}" for e in lesson.exercises for op, name in e.survivors]
        lines += lesson.problems
    if caught is not None:
        lines.append(f"{caught:.1%} of the mutants that are not equivalent are caught; the goal is {teeth.GOAL:.0%}.")
    return lines
