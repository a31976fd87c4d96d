"""`lessonlib claims`: which statements of the source lesson stand on which page, and which on none."""

from __future__ import annotations

import json
import sys

from ..course.claims import VERDICTS, Coverage, coverage
from ..facts import catalog
from ..paths import course_root
from .arguments import Parser, problem

PROG = "lessonlib claims"


def parser() -> Parser:
    """The command's options."""
    made = Parser(
        prog=PROG,
        description="How many statements of the source lesson stand on a page, by section and verdict.",
        epilog="example:\n  lessonlib claims --section 4 --missing",
    )
    made.add_argument("--section", type=int, metavar="N", help="one section of the source lesson only")
    made.add_argument("--lesson", metavar="ID", help="what one lesson shows, for example 11")
    made.add_argument("--missing", action="store_true", help="list the statements that stand on no page")
    made.add_argument("--require", metavar="N,N", help="exit status 1 when one of these sections misses a statement")
    made.add_argument("--json", action="store_true", help="plain data instead of text")
    return made


def main(argv: list[str]) -> int:
    """Run the command. 0; 1: a required section misses a claim, or a page names one that does not exist; 2: a mistake."""
    try:
        options = parser().parse_args(argv)
        root = course_root()
        if root is None:
            raise ValueError("no course folder here or above: change into it.")
        required = _sections(options.require) if options.require is not None else []
        if options.section is not None:
            _known([options.section])
        found = coverage(root, options.lesson)
    except ValueError as error:
        return problem(PROG, str(error))
    except SystemExit as end:  # argparse has said what it had to say
        return int(end.code or 0)
    sections = found.sections() if options.section is None else [options.section]
    if options.json:
        print(json.dumps(as_data(found, sections), indent=2, ensure_ascii=False))
    else:
        print("\n".join(as_text(found, sections, options.missing, options.lesson is not None)))
    for page, claim_id in found.unknown:
        print(f"{PROG}: {page} names {claim_id}, which is no claim.", file=sys.stderr)
    lacking = {section: len(found.missing([section])) for section in required}
    for section, count in lacking.items():
        if count:
            print(f"{PROG}: section {section} has {count} claims that stand on no page.", file=sys.stderr)
    return 1 if found.unknown or any(lacking.values()) else 0


def as_data(found: Coverage, sections: list[int]) -> dict:
    """The coverage as plain data: counts by section, pages by claim, and what is missing."""
    of = [claim for claim in found.claims if claim.section in sections]
    return {
        "sections": {
            section: {verdict: {"shown": shown, "all": every} for verdict, (shown, every) in counts.items()}
            for section in sections
            for counts in [found.counts(section)]
        },
        "pages": {claim.id: found.pages[claim.id] for claim in of if claim.id in found.pages},
        "missing": {claim.id: claim.claim for claim in found.missing(sections)},
    }


def as_text(found: Coverage, sections: list[int], missing: bool, lesson: bool) -> list[str]:
    """The table of sections and verdicts as lines, shown/all in each cell; then what is shown (of one lesson) or missing."""
    titles = catalog.table("claims")["sections"]
    columns = (*VERDICTS, "all")
    lines = [f"{'section':<36}" + "".join(f"{column:>11}" for column in columns)]
    rows = [(f"{section:>2} {titles[section]}", found.counts(section)) for section in sections]
    if len(sections) > 1:
        rows.append(("   whole lesson", found.counts()))
    for name, counts in rows:
        cells = (f"{counts[column][0]}/{counts[column][1]}" if counts[column][1] else "-" for column in columns)
        lines.append(f"{name:<36}" + "".join(f"{cell:>11}" for cell in cells))
    of = [claim for claim in found.claims if claim.section in sections]
    if lesson and not missing:
        lines += ["", *(f"{c.id}  {c.verdict:<9}  {c.claim}" for c in of if c.id in found.pages)]
    if missing:
        lines += ["", *(f"{c.id}  {c.verdict:<9}  {c.claim}" for c in found.missing(sections))]
    return lines


def _sections(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdigit() for part in parts):
        raise ValueError(f"--require is {text!r}, but must be sections with commas between, such as 1,4,8.")
    return _known([int(part) for part in parts])


def _known(sections: list[int]) -> list[int]:
    known = catalog.table("claims")["sections"]
    for section in sections:
        if section not in known:
            raise ValueError(f"the source lesson has no section {section}; it has {min(known)} to {max(known)}.")
    return sections
