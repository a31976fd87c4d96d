"""One feedback page: the points, what happened, then the notebook cell by cell."""

from __future__ import annotations

import re

from .. import canonical
from ..shell import safe_outputs
from . import feedback_carry, feedback_render, feedback_tests, pages
from .pages import Html, escape

STYLE = (
    feedback_render.STYLE
    + """
.total { font-size: 1.3rem; margin: .4em 0; } .cell { margin: 1em 0; } .label { color: var(--soft); font-size: .9rem;
  margin: .6em 0 -.3em; } pre.out { background: none; border-style: none none none solid; border-radius: 0; border-width: 0 0 0 3px; }
.graded { border: 1px solid var(--line); border-radius: 6px; padding: .2rem .9rem .6rem; margin: 1.2em 0; }
.graded > h3 { margin-top: .5em; } .found { list-style: none; padding-left: .2rem; }
.hint { margin: .2em 0 .6em 1.4em; } .comment { border-left: 3px solid var(--link);
  padding-left: .8em; } .comment pre { background: none; border: 0; padding: 0; font-family: inherit; font-size: 1rem; }
"""
)
TONES = {
    feedback_tests.PASSED: ("good", "✓"),
    feedback_tests.PARTLY: ("wait", "◐"),
    feedback_tests.FAILED: ("bad", "✗"),
    feedback_tests.OPEN: ("wait", "○"),
    feedback_tests.WAITS: ("wait", "…"),
}
_PART = re.compile(r"_(check|hidden)$")  # nbgrader names its cells e1_check, e1_hidden: the exercise stands before


class Page:
    """One page while it is made."""

    def __init__(self, desk, student: str, notebook: str, record: dict | None, graded: dict | None):
        """desk: has the assignment, its snapshots, grades and comments; record: of our grader, or None; graded: the notebook
        on disk, for submissions that stock nbgrader graded."""
        self.student, self.notebook, self.assignment = student, notebook, desk.assignment
        self.record, self.shot = record, desk.shot(notebook)
        self.row = desk.rows.get(student)
        self.comments = dict(desk.comments.get((student, notebook), {}))
        book = (record or {}).get("notebook") or (graded if record is None else None)
        self.cells = _cells(book, self.shot) if book else []
        self.mine = {c["id"]: c for c in (record or {}).get("cells", [])}
        self.grades = {c["id"]: c for c in (self.row or {}).get("cells", []) if c["notebook"] == notebook}
        self.room = feedback_render.Room()
        self.level = 2
        self.stopped: list[tuple[int, str]] = []  # own cells with an error, and how they ended

    def html(self) -> str:
        """The whole document."""
        name = self.assignment if self.notebook == self.assignment else f"{self.assignment}, {self.notebook}"
        notebook = self._notebook()  # first: it says which comments found their place
        return pages.page(f"Feedback: {name}", f"{self._summary()}\n{notebook}", style=STYLE)

    def _score(self, about: dict) -> float | None:
        """Points of a graded cell: the gradebook's, else the record's; None while it waits."""
        grade, mine = self.grades.get(about["grade_id"]), self.mine.get(about["grade_id"])
        if grade is not None:
            return None if grade["needs_manual"] and grade["manual"] is None and not grade["score"] else grade["score"]
        return mine["points"] if mine else None

    def _waits(self, about: dict) -> bool:
        grade, mine = self.grades.get(about["grade_id"]), self.mine.get(about["grade_id"])
        return bool(grade["needs_manual"] if grade is not None else mine and mine["needs_manual"])

    def _summary(self) -> Html:
        graded = [c for c in self.shot["cells"] if c["kind"] in ("test", "manual", "task")]
        exercises: dict[str, list] = {}
        for cell in graded:
            exercises.setdefault(_PART.sub("", cell["grade_id"]), []).append(cell)
        rows, score, most = [], 0.0, 0.0
        for name, cells in exercises.items():
            got, of = sum(self._score(c) or 0.0 for c in cells), sum(c["points"] for c in cells)
            score, most = score + got, most + of
            waits = any(map(self._waits, cells))
            state = "full points" if got >= of else "part of the points" if got > 0 else "no points"
            state = feedback_tests.WAITS if waits else state
            rows.append([name, got, of, state])
        who = f"Student: <strong><bdi>{escape(self.student)}</bdi></strong>. Notebook: <bdi>{escape(self.notebook)}</bdi>."
        parts = [f"<p>{who}{self._handed_in()}</p>", "<h2>Points</h2>"]
        parts.append(
            f'<p class="total"><strong>{pages.number(score)} of {pages.number(most)} points</strong> in this notebook</p>'
        )
        parts += [self._whole_assignment(score, most), self._waiting(graded), self._what_happened()]
        if rows:
            parts.append(pages.table("Points of each exercise", ["exercise", "points", "of", "result"], rows))
        if self.comments:
            parts.append("<h2>More comments of your instructor</h2>")
            parts += [self._comment(name, f"On {name}: ") for name in list(self.comments)]
        notes = dict.fromkeys((self.record or {}).get("notes", []))
        if notes:
            items = "".join(
                f"<li>{escape(_sentence(feedback_render.without_paths(note, True)))}</li>" for note in notes
            )
            parts.append(f"<h2>Notes of the grader</h2><ul>{items}</ul>")
        return Html("\n".join(filter(None, parts)))

    def _handed_in(self) -> str:
        when, late = (self.row or {}).get("timestamp"), (self.row or {}).get("late_seconds")
        said = f" Handed in: {escape(str(when)[:16])} (UTC)." if when else ""
        return said + (f" That is {_span(late)} after the deadline." if late and late > 0 else "")

    def _whole_assignment(self, score: float, most: float) -> str:
        """The assignment's total, where it is another one than this notebook's."""
        if self.row is None:
            return ""
        total, of, penalty = self.row["score"], self.row["max_score"], self.row["penalty"] or 0.0
        if not penalty and (total, of) == (score, most):
            return ""
        said = f"The whole assignment: {pages.number(total)} of {pages.number(of)} points."
        if penalty:
            said += (
                f" Penalty for handing in late: {pages.number(penalty)}; so you get "
                f"<strong>{pages.number(max(0.0, total - penalty))}</strong>."
            )
        return f"<p>{said}</p>"

    def _waiting(self, graded: list) -> str:
        waits = [c["grade_id"] for c in graded if self._waits(c)]
        if not waits:
            return ""
        names = ", ".join(f"<code>{escape(name)}</code>" for name in waits)
        return f'<p><span class="wait">… Not final:</span> your instructor still grades {names}.</p>'

    def _what_happened(self) -> str:
        """Why something was lost, and what to do."""
        status, reasons = (self.record or {}).get("status", "graded"), (self.record or {}).get("reasons", [])
        if status == "failed":
            return (
                '<p><span class="wait">… Not final:</span> the grading machine failed, not you. Your instructor will grade '
                "this notebook again.</p>"
            )
        if status == "refused":
            items = "".join(
                f"<li>{escape(_sentence(feedback_render.without_paths(str(r), True)))}</li>" for r in reasons
            )
            return (
                f'<p><span class="bad">✗ Not graded:</span> the file could not be read as a notebook.</p><ul>{items}</ul>'
                "<p>What to do: open your notebook, run it from top to bottom, save it, and hand in the file "
                f"<code>{escape(self.notebook)}.ipynb</code>.</p>"
            )
        said = dict.fromkeys(feedback_tests.plain_reason(str(r)) for r in reasons)
        items = "".join(
            f'<li>Your <a href="#cell-{n}">cell {n}</a> {escape(how)}.</li>' for n, how in self.stopped[:10]
        )
        items += "".join(
            f"<li>Your notebook did not run to its end. {escape(s)} Cells after that got no answers.</li>" for s in said
        )
        return f"<ul>{items}</ul>" if items else ""

    def _notebook(self) -> Html:
        if not self.cells:
            return Html("")
        code = [c["source"] for c in self.cells if c["cell_type"] == "code" and not c["instructors"]]
        given = [c["source"] for c in self.shot["cells"] if c["kind"] == "plain"]
        # Only stock nbgrader and weaker tests leave names of hidden tests where the submission's own cells run.
        near = self.record is None or any(c["weaker"] for c in self.mine.values())
        secret = self.shot["secret"] if near else ()
        self.why = feedback_carry.carries(code, given, self.shot["allowed"], secret)
        self.heard = self.told = (
            False  # whether a hidden test has handed something to the submission; whether that was said
        )
        parts = ["<h2>Your notebook</h2>"]
        for number, cell in enumerate(self.cells, 1):
            made = self._cell(number, cell)
            parts.append(made)
            levels = re.findall(r"<h([1-6])[ >]", made)
            self.level = int(levels[-1]) if levels else self.level
            about = cell["about"]
            self.heard = self.heard or bool(about and about["hidden"] and cell["outputs"] is not None)
        return Html("\n".join(filter(None, parts)))

    def _cell(self, number: int, cell: dict) -> str:
        about, kind = cell["about"], (cell["about"] or {}).get("kind", "free")
        if kind == "test":
            return self._test(number, cell)
        if cell["cell_type"] == "code":
            return self._code(number, cell, kind)
        source = about["visible"] if cell["instructors"] else cell["source"]
        if cell["cell_type"] == "raw":
            body = feedback_render.block(source, self.room)
        else:
            level = 3 if kind in ("manual", "task") else 2
            body = feedback_render.markdown(
                source,
                self.room,
                attachments=cell["attachments"],
                kept=cell["instructors"],
                base=2,
                last=max(level, self.level),
            )
        if kind in ("manual", "task"):
            return self._graded(number, about, "Task" if kind == "task" else "Your answer", body)
        return f'<div class="text">{body}</div>' + (self._comment(about["grade_id"]) if about else "")

    def _code(self, number: int, cell: dict, kind: str) -> str:
        about, source = cell["about"], cell["source"]
        body = feedback_render.code(
            about["visible"] if cell["instructors"] else source, self.room, kept=cell["instructors"]
        )
        if kind in ("solution", "manual") and not source.strip():
            body = Html('<p class="wait">○ No answer was found for this cell.</p>')
        body += self._outputs(number, cell)
        if kind == "manual":
            return self._graded(number, about, "Your answer", body)
        label = {
            "solution": f"Your answer <code>{escape(about['grade_id'])}</code>" if about else "",
            "free": "Your own cell",
        }
        head = f'<p class="label">{label[kind]}</p>' if kind in label else ""
        comment = self._comment(about["grade_id"]) if about else ""
        return f'<div class="cell" id="cell-{number}">{head}{body}{comment}</div>' if body or comment else ""

    def _outputs(self, number: int, cell: dict) -> str:
        """Outputs of a cell, unless they could repeat what hidden tests handed to the submission."""
        if not cell["outputs"]:
            return ""
        if self.heard and self.why:
            return '<p class="soft">Outputs are not shown.</p>' if self.told else self._told()
        for output in safe_outputs(cell["outputs"]):
            if output["output_type"] == "error" and output["ename"] != "NotImplementedError":
                kind = feedback_tests.builtin(output["ename"])
                late = output["ename"] == "CellTimeoutError"
                self.stopped.append((number, "ran too long and was stopped" if late else f"stopped with {kind}"))
        return feedback_render.outputs(cell["outputs"], f"cell {number}", self.room)

    def _told(self) -> str:
        self.told = True
        return (
            '<p class="soft">Outputs of this cell and of later ones are not shown: they came after hidden tests, and code of this '
            f"notebook ({escape(self.why)}) could repeat in them what those tests tried.</p>"
        )

    def _test(self, number: int, cell: dict) -> str:
        about = cell["about"]
        mine = self.mine.get(about["grade_id"])
        outputs, points = safe_outputs(cell["outputs"] or []), self._automatic(about)
        secret = None if self.heard and self.why else self.shot["secret"]
        found = feedback_tests.findings(about, mine, outputs, points, secret)
        body = feedback_render.code(about["visible"], self.room, kept=True)
        items = []
        for state, sentence, detail in found:
            tone, sign = TONES[state]
            if sentence.startswith("test:"):  # a line and an error message; all others are sentences
                text = feedback_render.block(detail, self.room, paths=True)
            else:
                text = "".join(f'<p class="hint">{escape(line)}</p>' for line in detail.split("\n") if line.strip())
            items.append(f'<li><span class="{tone}">{sign}</span> {escape(sentence)}{text}</li>')
        if not about["hidden"] and secret is not None and not any(o["output_type"] == "error" for o in outputs):
            printed = [o for o in outputs if o["output_type"] == "stream"]
            body += feedback_render.outputs(printed, f"cell {number}", self.room)
        body += f'<ul class="found">{"".join(items)}</ul>'
        if mine and mine["weaker"]:
            body += '<p class="soft">These tests ran in one process with your code, which is a weaker separation.</p>'
        return self._graded(number, about, "Tests", Html(body))

    def _automatic(self, about: dict) -> float | None:
        """Points that the tests themselves gave."""
        grade, mine = self.grades.get(about["grade_id"]), self.mine.get(about["grade_id"])
        return mine["points"] if mine else grade["auto"] if grade else None

    def _graded(self, number: int, about: dict, what: str, body: str) -> str:
        """A cell with points: heading, content, comment."""
        name, most, score = about["grade_id"], about["points"], self._score(about)
        if self._waits(about):
            state, said = feedback_tests.WAITS, f"{feedback_tests.WAITS}, {pages.number(most)} points"
        else:
            got = score or 0.0
            state = (
                feedback_tests.PASSED if got >= most else feedback_tests.PARTLY if got > 0 else feedback_tests.FAILED
            )
            said = f"{pages.number(got)} of {pages.number(most)} points"
        tone, sign = TONES[state]
        grade = self.grades.get(name)
        by_hand = grade is not None and about["kind"] == "test" and grade["manual"] is not None
        note = '<p class="soft">Your instructor set these points by hand.</p>' if by_hand else ""
        if self.mine.get(name, {}).get("reason") == "not answered":
            note += '<p class="soft">No answer was written here.</p>'
        if grade is not None and grade["extra"]:
            note += f'<p class="soft">With {pages.number(grade["extra"])} points of extra credit.</p>'
        return (
            f'<section class="graded" aria-labelledby="cell-{number}"><h3 id="cell-{number}">{what} <code>{escape(name)}</code>: '
            f'<span class="{tone}">{sign} {said}</span></h3>{body}{note}{self._comment(name)}</section>'
        )

    def _comment(self, grade_id: str | None, head: str = "Your instructor: ") -> str:
        """The instructor's comment on a cell, once."""
        text = self.comments.pop(grade_id, "")
        if not text.strip():
            return ""
        shown, note = self.room.cut(text, feedback_render.OUTPUT, "comment")
        return f'<div class="comment"><p class="label">{escape(head)}</p><pre>{escape(shown)}</pre>{note}</div>'


def _cells(book: dict, shot: dict) -> list[dict]:
    """The graded notebook's cells: {"cell_type", "source", "outputs" (None for none), "attachments", "about" (the snapshot's
    cell or None), "instructors" (whether it is the instructor's own)}."""
    known = {c["grade_id"]: c for c in shot["cells"] if c["grade_id"] is not None}
    others = {(c["cell_type"], canonical.normal(c["source"])): c for c in shot["cells"] if c["grade_id"] is None}
    others |= {(c["cell_type"], c["visible"]): c for c in shot["cells"] if c["grade_id"] is None}
    made, seen = [], set()
    for cell in book["cells"]:
        source = canonical.text(cell)
        nbgrader = cell.get("metadata", {}).get("nbgrader", {})
        name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        about = known.get(name) if isinstance(name, str) and name not in seen else None
        if about is None or about["cell_type"] != cell["cell_type"]:
            about = others.get((cell["cell_type"], canonical.normal(source)))
        else:
            seen.add(name)
        made.append(
            {
                "cell_type": cell["cell_type"],
                "source": source,
                "outputs": cell.get("outputs") if cell["cell_type"] == "code" else None,
                "attachments": cell.get("attachments"),
                "about": about,
                "instructors": about is not None and about["kind"] in ("plain", "test", "text", "task"),
            }
        )
    return made


def _sentence(text: str) -> str:
    """With a full stop, and a capital unless a file or a grade id begins it."""
    text = text.strip()
    if text.partition(" ")[0].isalpha():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def _span(seconds: float) -> str:
    """A time in words: "3 hours"."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {name}{'s' if count != 1 else ''}"
    return "less than a minute"
