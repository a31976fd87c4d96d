"""`lessonlib grade similarity`: pairs of students whose answers are alike, as JSON and as a page for the instructor."""

from __future__ import annotations

import json

from ..grading import results
from ..grading.reports import pages, similarity
from .arguments import Mistake, command

LINES = 300  # of an answer on the page
WIDE = 2000  # characters of a line on the page
SHOWN = 60  # pairs with their cells side by side on the page; all are in the JSON file
STYLE = """
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; } .pair > div { min-width: 0; }
.pair pre { white-space: pre-wrap; overflow-wrap: anywhere; } .pair h5 { margin: .3em 0; }
mark { background: #ffe9a3; color: inherit; border-bottom: 2px solid #8a5a00; }
@media (prefers-color-scheme: dark) { mark { background: #4d3f12; border-bottom-color: #f1c068; } }
@media (max-width: 45rem) { .pair { grid-template-columns: 1fr; } }
"""


def add(subparsers) -> None:
    """Add the command."""
    made = command(
        subparsers,
        "similarity",
        "find pairs of students whose answers are alike in ways that the rest of the class is not",
        "16_capstone --threshold 0.8",
    )
    made.add_argument("assignment", help="the assignment's name")
    made.add_argument(
        "--threshold", type=_threshold, default=0.8, metavar="SHARE", help="how alike, above 0 to 1 (default: 0.8)"
    )
    made.add_argument("--notebook", metavar="NAME", help="only this notebook of the assignment")
    made.set_defaults(run=run)


def run(options, course) -> int:
    """Compare, write similarity.json and similarity.html, say what was found; 1 when there are pairs to look at."""
    assignment = course.assignment(options.assignment)
    result, cells, answers = similarity.run(course, assignment, options.threshold, options.notebook)
    folder = course.reports(assignment)
    data = results.write_json(folder / "similarity.json", result)
    shown = pages.write(folder / "similarity.html", page(result, cells, answers))
    if options.json:
        print(json.dumps({**result, "page": str(shown), "file": str(data)}))
        return 1 if result["pairs"] else 0
    print(
        f"{assignment}: {result['students']} submissions, {_count(len(result['pairs']))} at {options.threshold:g} or above."
    )
    for pair in result["pairs"][:20]:
        where = "" if pair["whole"] else ", most of them in one cell"
        print(
            f"  {pair['alike']:.0%}  {pair['a']} and {pair['b']}  ({pair['fragments']:g} rare fragments shared{where})"
        )
    if len(result["pairs"]) > 20:
        print(f"  and {len(result['pairs']) - 20} more")
    for note in result["notes"]:
        print(note)
    print(f"Page: {shown}")
    return 1 if result["pairs"] else 0


def page(result: dict, cells: list[similarity.Cell], answers: dict) -> str:
    """The page: what the numbers mean and cannot tell, the pairs, and their cells side by side."""
    pairs, known = result["pairs"], {(c.notebook, c.id): c for c in cells}
    body = [
        f"<p>{_count(len(pairs))} among {result['students']} submissions at {result['threshold']:.0%} or above. This page names "
        "students: it is for you, not for the class.</p>",
        *(f'<p class="wait">{pages.escape(note)}</p>' for note in result["notes"]),
        EXPLAINED,
    ]
    if pairs:
        body.append("<h2>Pairs</h2>")
        head = ["Pair", "Alike in all", "Rare fragments shared", "Cells at the threshold"]
        rows = []
        for n, pair in enumerate(pairs, 1):
            names = f"{pages.escape(pair['a'])} and {pages.escape(pair['b'])}"
            link = f'<a href="#pair-{n}">{names}</a>' if n <= SHOWN else names
            many = sum((c["alike"] or 0) >= result["threshold"] and c["fragments"] >= 1 for c in pair["cells"])
            rows.append(
                [pages.Html(link), f"{pair['alike']:.0%}", pair["fragments"], f"{many} of {len(pair['cells'])}"]
            )
        body.append(pages.table("Pairs, the most alike first", head, rows))
        if len(pairs) > SHOWN:
            body.append(f"<p>The first {SHOWN} are shown side by side; similarity.json holds the numbers of all.</p>")
        if result["groups"]:
            listed = "".join(f"<li>{pages.escape(', '.join(group))}</li>" for group in result["groups"])
            body.append(f"<p>Pairs hang together in these groups:</p><ul>{listed}</ul>")
        # cell by cell, so that the class's answers to a cell are read once
        drawn: dict[int, list[str]] = {n: [] for n in range(1, min(len(pairs), SHOWN) + 1)}
        for key, cell in known.items():
            for n, pair in enumerate(pairs[:SHOWN], 1):
                row = next((c for c in pair["cells"] if (c["notebook"], c["id"]) == key), None)
                if row and row["fragments"]:
                    drawn[n].append(_cell(cell, row, pair, answers))
        for n, pair in enumerate(pairs[:SHOWN], 1):
            plain = [c["id"] for c in pair["cells"] if not c["fragments"]]
            body.append(
                f'<section aria-labelledby="pair-{n}"><h3 id="pair-{n}">{pages.escape(pair["a"])} and '
                f"{pages.escape(pair['b'])}: {pair['alike']:.0%}</h3>{''.join(drawn[n])}"
            )
            if plain:
                body.append(f"<p>Nothing rare is shared in: {pages.escape(', '.join(plain))}.</p>")
            body.append("</section>")
    return pages.page(f"{result['assignment']}: answers that are alike", "\n".join(body), style=STYLE)


EXPLAINED = f"""<h2>What the numbers mean</h2>
<ul>
<li>Code is compared without comments, spacing and docstrings; names that a student chose are numbered in order of
appearance; the order of statements is no matter. Written answers are compared word by word.</li>
<li>A fragment is a run of {similarity.RUN["code"]} tokens of code or {similarity.RUN["text"]} words. It counts 1 when only two
students have it, less when more have it, and nothing when more than about a tenth of the class has it. What the notebook gives
(stub, examples, visible tests) and what the instructor's solution says count nothing.</li>
<li>&#8220;Alike&#8221; is what both have, as a share of what either has, counted that way. 100% means that no rare fragment is
in one answer only. &#8220;As typed&#8221; compares the texts letter by letter: high alikeness with a low value there means
that the wording differs while the structure does not.</li>
<li>A pair is listed when it is alike in all answers that both wrote, with at least {similarity.LEAST:g} rare fragments shared, or
in one answer with at least {similarity.LEAST_CELL["code"]:g} in code or {similarity.LEAST_CELL["text"]:g} in words (not in a
class below {similarity.FEW}).</li>
<li>Side by side, alike parts are marked, and lines that are mostly alike begin with =.</li>
</ul>
<h2>What they cannot tell</h2>
<p>Not who wrote first, nor why two answers are alike: a shared tutor, a forum, a textbook, allowed pair work or chance look the
same. A short answer that many reach counts nothing here, whether it was copied or not, and neither does a text that a tenth of
the class has. A rewritten idea is not found at all. Read the cells and talk with both before you conclude anything.</p>"""


def _cell(cell: similarity.Cell, row: dict, pair: dict, answers: dict) -> str:
    """One cell of a pair side by side. A line that is mostly alike has a sign before it; the alike parts are marked."""
    sides = []
    for student, lines in zip(
        (pair["a"], pair["b"]), similarity.shared(cell, answers, pair["a"], pair["b"]), strict=True
    ):
        written = "\n".join(_line(text, spans) for text, spans in lines[:LINES])
        if len(lines) > LINES:
            written += f"\n  … {len(lines) - LINES} more lines"
        sides.append(f"<div><h5>{pages.escape(student)}</h5><pre>{written}</pre></div>")
    return (
        f"<h4>{pages.escape(cell.id)}{_of(cell, answers)}</h4><p>Alike {row['alike']:.0%}, {row['fragments']:g} rare fragments "
        f"shared, as typed {row['as_typed']:.0%}.</p>"
        f'<div class="pair">{"".join(sides)}</div>'
    )


def _of(cell: similarity.Cell, answers: dict) -> str:
    several = len({notebook for given in answers.values() for notebook, _ in given}) > 1
    return f" in {pages.escape(cell.notebook)}" if several else ""


def _line(text: str, spans: list[tuple[int, int]]) -> str:
    if len(text) > WIDE:
        text, spans = text[:WIDE] + " …", [(first, min(last, WIDE)) for first, last in spans if first < WIDE]
    parts, at = [], 0
    for first, last in sorted(spans):
        first = max(first, at)
        if last <= first:
            continue
        parts += [pages.escape(text[at:first]), f"<mark>{pages.escape(text[first:last])}</mark>"]
        at = last
    marked = sum(last - first for first, last in spans)
    sign = "= " if marked >= len(text.strip()) / 2 > 0 else "  "
    return sign + "".join(parts) + pages.escape(text[at:])


def _count(pairs: int) -> str:
    return {0: "no pair", 1: "1 pair"}.get(pairs, f"{pairs} pairs")


def _threshold(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise Mistake(f"{text!r} is no threshold: give a share above 0 and at most 1, for example 0.8.")
    return value
