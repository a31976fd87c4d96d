"""`lessonlib grade insights`: what a class did in an assignment and what to teach again, as JSON and as a page with plots."""

from __future__ import annotations

import json
from textwrap import shorten

from ..grading import results
from ..grading.reports import insights, pages
from .arguments import command

LABEL = 44  # characters of an exercise's name in a drawing; its table has all
TOP = 3  # exercises named under "What to teach again"
BARS = 6  # misconceptions drawn for an exercise; its table has all
ERRORS = 8  # rows of a test's errors on the page; all are in the JSON file
LOW = 0.1  # a correlation below this is worth a look
STYLE = """
tbody th { min-width: 9rem; } .key { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.key svg { vertical-align: -2px; } svg text { fill: currentColor; }
.passed { fill: #2468a8; } .partly { fill: #ffa90e; } .failed { fill: #bd1f01; } .untouched { fill: #c3c9d2; }
.not-reached { fill: #832db6; } .bar { fill: var(--bar); }
svg text.passed, svg text.failed, svg text.not-reached { fill: #ffffff; }
svg text.partly, svg text.untouched { fill: #1f2430; }
.rest { fill: var(--tint); stroke: var(--line); } .edge { stroke: var(--paper); stroke-width: 2px; } .axis { stroke: var(--line); }
@media (forced-colors: active) { .edge { stroke: Canvas; } svg text { fill: CanvasText !important; } svg .over { display: none; } }
"""


def add(subparsers) -> None:
    """Add the command."""
    made = command(
        subparsers,
        "insights",
        "show what a class got wrong, by test and by named misconception: what to teach again",
        "16_capstone",
    )
    made.add_argument("assignment", help="the assignment's name")
    made.add_argument(
        "--names", action="store_true", help="say who it was (leave it out for a page that a class may see)"
    )
    made.set_defaults(run=run)


def run(options, course) -> int:
    """Write insights.json and insights.html, and say the most important."""
    assignment = course.assignment(options.assignment)
    result = insights.run(course, assignment, names=options.names)
    folder = course.reports(assignment)
    data = results.write_json(folder / "insights.json", result)
    shown = pages.write(folder / "insights.html", page(result))
    if options.json:
        print(json.dumps({**result, "page": str(shown), "file": str(data)}))
        return 0
    print(f"{assignment}: {result['students']} students, {_average(result['totals'])}.")
    for line in teach_again(result):
        print(f"  {line}")
    for note in result["notes"]:
        print(note)
    print(f"Page: {shown}")
    return 0


def teach_again(result: dict) -> list[str]:
    """A sentence for each of the exercises that cost the most points."""
    lines = []
    for exercise in [e for e in result["exercises"] if e["lost"] > 0][:TOP]:
        short = exercise["graded"] - exercise["passed"] - exercise["untouched"]
        parts = [
            f"{pages.number(exercise['lost'])} of {pages.number(exercise['max'] * exercise['graded'])} points lost"
        ]
        if short:
            before = exercise["after_another"]
            also = f", {before} of them after a mistake in an exercise before it" if before else ""
            parts.append(f"{short} of {exercise['graded']} did not get it all{also}")
        if exercise["untouched"]:
            parts.append(f"{exercise['untouched']} left it open")
        line = f"{_title(exercise)}: {', '.join(parts)}"
        if exercise["wrong_answers"]:
            worst = exercise["wrong_answers"][0]
            line += f"; the most frequent misconception: {_names(worst)} ({worst['students']})"
        lines.append(line + ".")
    return lines


def page(result: dict) -> str:
    """The page of an assignment's insights."""
    told = "".join(f"<li>{pages.escape(line)}</li>" for line in teach_again(result))
    body = [
        f"<p>{result['students']} students, {pages.escape(_average(result['totals']))}.</p>",
        *(f'<p class="wait">{pages.escape(note)}</p>' for note in result["notes"]),
        "<h2>What to teach again</h2>",
        f"<ol>{told}</ol>" if told else "<p>No points were lost.</p>",
        "<h2>The class</h2>",
        histogram(result["totals"]),
        stacked(result["exercises"], result["students"]),
        _ranking(result["exercises"]),
        "<h2>Exercise by exercise</h2>",
        *(_exercise(exercise) for exercise in result["exercises"]),
        EXPLAINED,
    ]
    return pages.page(f"{result['assignment']}: what the class did", "\n".join(body), style=STYLE)


def histogram(totals: dict) -> str:
    """The distribution of the totals as columns, with a table of the same numbers."""
    bins = totals["bins"]
    most, height, left = max(b["students"] for b in bins) or 1, 150, 4
    step = (100 - 2 * left) / len(bins)
    parts = []
    for n, bin_ in enumerate(bins):
        tall = height * bin_["students"] / most
        x = left + n * step
        parts.append(
            f'<rect class="bar edge" x="{x:.2f}%" y="{24 + height - tall:.1f}" width="{step:.2f}%" height="{tall:.1f}"/>'
            f'<text x="{x + step / 2:.2f}%" y="{18 + height - tall:.1f}" text-anchor="middle">{bin_["students"] or ""}</text>'
        )
    for n, anchor, unit in ((0, "start", ""), (5, "middle", ""), (10, "end", " points")):
        parts.append(
            f'<text x="{left + n * step:.2f}%" y="{height + 44}" text-anchor="{anchor}">'
            f"{pages.number(n * totals['max'] / 10)}{unit}</text>"
        )
    line = f'<line class="axis" x1="{left}%" x2="{100 - left}%" y1="{24 + height}" y2="{24 + height}"/>'
    title = "How many students reached how many points"
    says = f"Columns for ten equal ranges from 0 to {pages.number(totals['max'])} points; {_average(totals)}."
    rows = [[f"{pages.number(b['from'])} to {pages.number(b['to'])}", b["students"]] for b in bins]
    return _figure(title, says, height + 52, "".join(parts) + line, pages.table(title, ["Points", "Students"], rows))


def stacked(exercises: list[dict], students: int) -> str:
    """The states of each exercise as one bar of parts of the class, with a table of the same numbers."""
    parts, row = [], 48
    exercises = [e for e in exercises if e["graded"]]  # a written answer that nobody has graded yet has no state
    for n, exercise in enumerate(exercises):
        top, at = n * row, 0.0
        label = shorten(_title(exercise), LABEL, placeholder=" …")
        parts.append(
            f'<text x="0" y="{top + 16}">{pages.escape(label)}</text>'
            f'<rect class="rest" x="0" y="{top + 22}" width="100%" height="20"/>'
        )
        for state in insights.STATES:
            share = 100 * exercise[state] / students
            if not share:
                continue
            kind = state.replace(" ", "-")
            parts.append(f'<rect class="{kind} edge" x="{at:.2f}%" y="{top + 22}" width="{share:.2f}%" height="20"/>')
            if share >= 6:
                middle = f'x="{at + share / 2:.2f}%" y="{top + 37}" text-anchor="middle"'
                parts.append(f'<text class="{kind} over" {middle}>{exercise[state]}</text>')
            at += share
    title = "How each exercise went"
    says = f"One bar for each exercise; its parts from left to right: {', '.join(insights.STATES)}, with the number of students."
    rows = [[_title(e), *(e[state] for state in insights.STATES)] for e in exercises]
    key = "".join(
        f'<li><svg width="14" height="14" aria-hidden="true"><rect class="{state.replace(" ", "-")}" width="14" height="14"/></svg> '
        f"{state}</li>"
        for state in insights.STATES
    )
    twin = pages.table(title, ["Exercise", *insights.STATES], rows)
    words = (
        f'<p>From left to right; an empty rest was not handed in, or waits for a person:</p><ul class="key">{key}</ul>'
    )
    return _figure(title, says, max(1, len(exercises)) * row, "".join(parts), twin, words)


EXPLAINED = f"""<h2>How to read this</h2>
<ul>
<li>Points lost are summed over the students whose answer was graded; the exercises are ranked by them. Written answers count
once a person has graded them.</li>
<li>&#8220;Partly&#8221; earned some points and not all, &#8220;untouched&#8221; still has the open gap, &#8220;not reached&#8221;
was stopped by a time limit or an earlier failure. Where an exercise builds on one before it, a mistake there costs points
here, too: those students are counted beside it.</li>
<li>A misconception counts when the tests of its exercise said its message to a student. Who was told several is counted in
each; &#8220;nothing else&#8221; counts those who were told only this one. A message that an exercise before it gave already is
not counted again.</li>
<li>Discrimination is the correlation of a test's points with the rest of the score, from {insights.ENOUGH} students on. Near 0
or below, those who do well elsewhere do not do better here: read such a test again.</li>
<li>Numbers in the first line of an error are one of several; they differ from student to student.</li>
<li>Seconds are those of the tests of an exercise for one student.</li>
</ul>"""


def _figure(title: str, says: str, height: int, parts: str, twin: str, words: str = "") -> str:
    return (
        f'<figure><figcaption>{pages.escape(title)}</figcaption>{words}<svg role="img" width="100%" height="{height}" '
        f'font-size="14"><title>{pages.escape(title)}</title><desc>{pages.escape(says)}</desc>{parts}</svg>'
        f"<details><summary>The numbers as a table</summary>{twin}</details></figure>"
    )


def _ranking(exercises: list[dict]) -> str:
    rows = [
        [
            _title(e),
            e["lost"],
            _mean(e["mean"], e["max"]),
            e["graded"],
            e["untouched"],
            e["seconds"]["median"],
            e["seconds"]["longest"],
        ]
        for e in exercises
    ]
    head = ["Exercise", "Points lost", "Mean points", "Graded", "Untouched", "Seconds, median", "Longest"]
    return pages.table("Exercises by points lost", head, rows)


def _exercise(exercise: dict) -> str:
    """The section of one exercise: its tests, its misconceptions, its errors."""
    about = f"{exercise['id']} in {exercise['notebook']}" if exercise["title"] else exercise["notebook"]
    head = ["Test", *map(str.capitalize, insights.STATES), "Mean points", "Discrimination"]
    rows = [
        [_test(test), *(test[s] for s in insights.STATES), _mean(test["mean"], test["points"]), _correlation(test)]
        for test in exercise["tests"]
    ]
    parts = [f"<h3>{pages.escape(_title(exercise))}</h3>", f'<p class="soft">{pages.escape(about)}</p>']
    parts.append(pages.table(f"Tests of {exercise['id']}", head, rows))
    if exercise["wrong_answers"]:
        named = any("who" in row for row in exercise["wrong_answers"])
        head = ["Misconception", "Students", "Nothing else", "Its message says", *(["Who"] if named else [])]
        rows = [
            [_names(w), w["students"], w["alone"], "; ".join(w["says"]), *([", ".join(w["who"])] if named else [])]
            for w in exercise["wrong_answers"]
        ]
        parts.append(
            pages.bars(
                f"Most frequent misconceptions in {exercise['id']}",
                [(_names(w), w["students"]) for w in exercise["wrong_answers"][:BARS]],
                most=exercise["graded"],
                description=f"The most frequent misconceptions, against the {exercise['graded']} students graded.",
                head=("Misconception", "Students"),
            )
        )
        parts.append(pages.table(f"Misconceptions in {exercise['id']}, in words", head, rows))
    for test in exercise["tests"]:
        if test["errors"]:
            parts.append(_errors(test))
    return f"<section>{''.join(parts)}</section>"


def _errors(test: dict) -> str:
    named = any("who" in error for error in test["errors"])
    rows = [
        [_error_line(error), error["name"], error["students"], *([", ".join(error["who"])] if named else [])]
        for error in test["errors"][:ERRORS]
    ]
    more = len(test["errors"]) - ERRORS
    told = f"<p>{more} more kinds are in insights.json.</p>" if more > 0 else ""
    head = ["First line", "Error", "Students", *(["Who"] if named else [])]
    return pages.table(f"What {test['id']} said", head, rows) + told


def _error_line(error: dict) -> pages.Html:
    reason = f'<br><span class="soft">most often: {pages.escape(error["reason"])}</span>' if error["reason"] else ""
    return pages.Html(pages.escape(error["line"]) + reason)


def _test(test: dict) -> str:
    return f"{test['id']}{' (hidden)' if test['hidden'] else ''}{'' if test['kind'] == 'test' else ' (by hand)'}"


def _correlation(test: dict) -> str:
    value = test["discrimination"]
    return "–" if value is None else f"{value:.2f}{' (low)' if value < LOW else ''}"


def _title(exercise: dict) -> str:
    return exercise["title"] or exercise["id"]


def _mean(mean: float | None, most: float) -> pages.Html:
    return pages.Html(f'<span class="n">{pages.number(mean)} of {pages.number(most)}</span>')


def _names(row: dict) -> str:
    return " / ".join(row["names"])


def _average(totals: dict) -> str:
    if totals["mean"] is None:
        return "no totals"
    return f"mean {pages.number(totals['mean'])} and median {pages.number(totals['median'])} of {pages.number(totals['max'])} points"
