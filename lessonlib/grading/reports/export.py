"""Scores as CSV: nbgrader's own form, one row a student with every question, and the forms that Canvas and Moodle import.

Column names: Canvas' gradebook_exporter.rb and gradebook_importer.rb, Moodle's mod/assign/feedback/offline and grade/import
(read 2026-11-25). Names and ids come from strangers: a text that a spreadsheet would take for a formula gets an apostrophe
before it. A file that is there already is kept beside the new one."""

from __future__ import annotations

import csv
import html
import io
import re
import warnings
from pathlib import Path

from .. import gradebook
from . import insights, rosters

FORMATS = ("nbgrader", "questions", "canvas", "moodle")
CANVAS_POINTS = "    Points Possible"  # Canvas writes and finds the row of maxima by this text
CANVAS_TOTALS = re.compile(r"(Current|Final) (Score|Points|Grade)|Override (Score|Grade|Status)")
CANVAS_MINIMAL = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
MOODLE_MINIMAL = ["First name", "Last name", "ID number", "Email address"]
# Which column of a roster is compared with which field of nbgrader's students, the surest first.
CANVAS_ROUNDS = [
    ("SIS Login ID", "id"), ("SIS User ID", "id"), ("ID", "lms_user_id"), ("SIS User ID", "lms_user_id"),
    ("SIS Login ID", "lms_user_id"), ("SIS Login ID", "email"), ("Email", "email"), ("SIS Login ID", "local"),
    ("SIS User ID", "local"), ("Email", "local"), ("ID", "id"),
]  # fmt: skip
MOODLE_ROUNDS = [
    ("Username", "id"), ("ID number", "id"), ("Email address", "id"), ("Identifier", "lms_user_id"),
    ("ID number", "lms_user_id"), ("Email address", "email"), ("Email address", "local"), ("Username", "local"),
]  # fmt: skip


def nbgrader(course, assignments: list[str], path: Path) -> Path | None:
    """Write nbgrader's own CSV (its plugin makes it) to `path`; the backup of an older file comes back, or None."""
    from nbgrader.plugins import CsvExportPlugin

    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with course.gradebook() as book, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CsvExportPlugin(to=str(beside), assignment=assignments).export(_Plain(book))
    return rosters.put(beside, path)


def questions(course, assignments: list[str]) -> rosters.Sheet:
    """One row a student; for each assignment one column a graded cell, totals per exercise and notebook, manual and penalty.

    Cells of students who handed nothing in are empty."""
    columns: list[str] = []
    values: dict[str, dict[str, object]] = {student: {} for student in rosters.people(course)}
    for assignment in assignments:
        first = f"{assignment}: " if len(assignments) > 1 else ""
        scores = {t["student"]: t for t in gradebook.totals(course, assignment)}
        plan = [insights.exercises(course.snapshot(assignment, n), n) for n in course.notebooks(assignment)]
        exercises = [exercise for notebook in plan for exercise in notebook]
        several = len(plan) > 1
        cells = {(c["notebook"], c["id"]): c["max_score"] for t in scores.values() for c in t["cells"]}
        plain = list(_columns(exercises, list(cells), several))
        labels = [f"{first}{name} (of {sum(cells[key] for key in keys):g})" for name, keys in plain]
        columns += labels
        for student, total in scores.items():
            row = values.setdefault(student, {})
            points = {(c["notebook"], c["id"]): c["score"] for c in total["cells"]}
            for label, (_, keys) in zip(labels, plain, strict=True):
                row[label] = round(sum(points.get(key, 0.0) for key in keys), 6)
            manual = sum(c["manual"] or 0.0 for c in total["cells"] if c["manual"] is not None)
            row |= {
                f"{first}manual": round(manual, 6),
                f"{first}score before penalty": total["score"],
                f"{first}late penalty": total["penalty"],
                f"{first}score": earned(total),
                f"{first}max score": total["max_score"],
                f"{first}needs manual grading": "yes" if total["needs_manual"] else "no",
                f"{first}handed in": str(total["timestamp"] or ""),
            }
        ends = ("manual", "score before penalty", "late penalty", "score", "max score")
        columns += [f"{first}{end}" for end in (*ends, "needs manual grading", "handed in")]
    known = rosters.people(course)
    rows = [["student_id", "last_name", "first_name", "email", *columns]]
    for student, row in sorted(values.items()):
        about = known.get(student, {"last_name": "", "first_name": "", "email": ""})
        rows.append(
            [student, about["last_name"], about["first_name"], about["email"], *(row.get(c, "") for c in columns)]
        )
    return rosters.Sheet(rows, filled=sum(bool(row) for row in values.values()))


def canvas(
    course, assignments: list[str], roster: Path | None, column: str | None = None, scale: bool = False
) -> rosters.Sheet:
    """Canvas' gradebook with the assignments' scores; without `roster` (Canvas' own export) the least that it imports.

    ValueError when the roster is no gradebook of Canvas, or a column cannot be found or filled."""
    students = rosters.people(course)
    if roster is None:
        return _canvas_minimal(course, assignments, students)
    sheet = rosters.read(roster)
    head = sheet.rows[0]
    if not ({"ID", "Section"} <= set(head) and {"Student", "LastName"} & set(head)):
        raise ValueError(
            f"{roster} is no gradebook of Canvas: its first row must name Student, ID and Section. Export it in Canvas from "
            "Grades, Export, Export Entire Gradebook."
        )
    sheet.bom = True
    points = next((r for r in sheet.rows[1:] if r[0].strip() == "Points Possible"), None)
    if points is None:
        points = [CANVAS_POINTS, *[""] * (len(head) - 1)]
        sheet.rows.insert(1, points)
    names = ["Student"] if "Student" in head else ["LastName", "FirstName"]
    rows = [
        row
        for row in sheet.rows[1:]
        if row is not points
        and any(row[head.index(n)].strip() for n in ("ID", *names))
        and not _test_student(row, head)
    ]
    found, handed = rosters.match(rows, head, students, CANVAS_ROUNDS, sheet), set()
    for assignment in assignments:
        total, most = _scores(course, assignment, sheet)
        handed |= set(total)
        at = rosters.column(head, assignment, column, r"(?P<title>.*?)\s*\(\d+\)")
        if at is None:
            if CANVAS_TOTALS.search(assignment):
                raise ValueError(
                    f"Canvas takes a column called {assignment!r} for one of its own totals: make the assignment in Canvas under "
                    "another name, export again, and name it with --column."
                )
            at = next((n for n, name in enumerate(head) if CANVAS_TOTALS.search(name)), len(head))
            for row in sheet.rows:
                row.insert(at, "")
            head[at], points[at] = assignment, rosters.text(most)
            sheet.notes.append(
                f"The column {assignment} is new: Canvas makes an assignment of {most:g} points from it."
            )
        elif "read only" in points[at]:
            raise ValueError(f"The column {head[at]!r} of {roster} is read-only in Canvas: name another with --column.")
        factor = rosters.factor(points[at], most, scale, f"Canvas' column {head[at]}", sheet)
        _fill(sheet, rows, found, total, at, factor, assignment, keep=("EX", "N/A"))
    rosters.missing(sheet, rows, [head.index(n) for n in names], found, handed, roster)
    return sheet


def moodle(
    course, assignments: list[str], roster: Path | None, column: str | None = None, scale: bool = False
) -> rosters.Sheet:
    """Moodle's offline grading worksheet, or another export with names or addresses, with the scores filled in; without
    `roster` a table for Moodle's grade import.

    ValueError when the roster is neither, or when a worksheet should take several assignments."""
    students = rosters.people(course)
    if roster is None:
        return _moodle_minimal(course, assignments, students)
    sheet = rosters.read(roster)
    head = sheet.rows[0]
    worksheet = {"Identifier", "Grade"} <= set(head)
    if not worksheet and not {"Username", "ID number", "Email address"} & set(head):
        raise ValueError(
            f"{roster} is no worksheet or grade export of Moodle in English: its first row must name Identifier and Grade, or one "
            "of Username, ID number, Email address. Set your Moodle language to English before you download it."
        )
    if worksheet and len(assignments) > 1:
        raise ValueError("A grading worksheet of Moodle is for one assignment: export them one by one.")
    rows = [row for row in sheet.rows[1:] if any(cell.strip() for cell in row)]
    found, handed = rosters.match(rows, head, students, MOODLE_ROUNDS, sheet), set()
    for assignment in assignments:
        total, most = _scores(course, assignment, sheet)
        handed |= set(total)
        limit, locked = "", set()
        if worksheet:
            at = head.index("Grade")
            if "Maximum Grade" in head and rows:
                limit = rows[0][head.index("Maximum Grade")]
            locked = _locked(sheet, rows, head, found)
        else:
            at = rosters.column(
                head, assignment, column, r"(?:\w+: )?(?P<title>.*?)(?: \((?:Real|Percentage|Letter)\))?"
            )
            if at is None:
                at = len(head)
                for row in sheet.rows:
                    row.append("")
                head[at] = assignment
        factor = rosters.factor(limit, most, scale, "Moodle's maximum grade", sheet)
        free = {number: student for number, student in found.items() if number not in locked}
        _fill(sheet, rows, free, total, at, factor, assignment, comma="," in limit)
        if "Feedback comments" in head:
            _feedback(rows, free, total, head.index("Feedback comments"))
    names = [n for n in ("Full name", "First name", "Last name", "Surname") if n in head] or head[:1]
    rosters.missing(sheet, rows, [head.index(n) for n in names], found, handed, roster)
    return sheet


def earned(total: dict) -> float:
    """The score after the late penalty, never below 0, as nbgrader's own export counts it."""
    return round(max(0.0, total["score"] - total["penalty"]), 6)


class _Plain:
    """A gradebook whose students' texts fit nbgrader's CSV, which is written without quotes: quoted where they must be."""

    def __init__(self, book):
        self.book, self.assignments, self.ids = book, book.assignments, {}

    @property
    def students(self):
        return [self._student(student) for student in self.book.students]

    def find_submission(self, assignment: str, student: str):
        return self.book.find_submission(assignment, self.ids[student])

    def _student(self, student):
        from types import SimpleNamespace

        names = ("id", "first_name", "last_name", "email")
        made = SimpleNamespace(**{name: _csv_cell(getattr(student, name)) for name in names})
        self.ids[made.id] = student.id
        return made


def _csv_cell(value):
    if value is None:
        return None
    cell = io.StringIO()
    csv.writer(cell, lineterminator="").writerow([rosters.defused(value), ""])
    return cell.getvalue()[:-1]


def _columns(exercises: list[dict], cells: list[tuple], several: bool):
    """(name, keys of the cells) of each column of an assignment: cells, exercises with several cells, notebooks."""
    order = [(e["notebook"], t["id"]) for e in exercises for t in e["tests"]]
    for key in sorted(cells, key=lambda k: order.index(k) if k in order else len(order)):
        yield (f"{key[0]}/" if several else "") + key[1], [key]
    for exercise in exercises:
        keys = [key for t in exercise["tests"] if (key := (exercise["notebook"], t["id"])) in cells]
        if len(keys) > 1:
            yield (f"{exercise['notebook']}/" if several else "") + f"{exercise['id']} total", keys
    for notebook in dict.fromkeys(key[0] for key in cells):
        yield f"{notebook} total", [key for key in cells if key[0] == notebook]


def _scores(course, assignment: str, sheet: rosters.Sheet) -> tuple[dict[str, dict], float]:
    """({student: totals}, maximum) of an assignment; ValueError when nothing of it is graded."""
    total = {t["student"]: t for t in gradebook.totals(course, assignment)}
    if not total:
        raise ValueError(f"Nothing of {assignment} is graded yet: run lessonlib grade autograde {assignment} first.")
    waiting = sorted(s for s, t in total.items() if t["needs_manual"])
    if waiting:
        sheet.notes.append(
            f"{assignment}: {len(waiting)} wait for manual grading, and their scores are not final: {rosters.listed(waiting)}."
        )
    return total, max(t["max_score"] for t in total.values())


def _fill(sheet, rows, found, total, at, factor, assignment, keep=(), comma=False) -> None:
    """Write the scores of those who handed in; other cells stay as they are."""
    changed, kept, none = [], [], []
    for number, student in found.items():
        row = rows[number]
        if student not in total:
            none.append(student)
        elif row[at].strip().upper() in keep:
            kept.append(f"{student} ({row[at].strip()})")
        else:
            score = rosters.text(round(earned(total[student]) * factor, 4))
            old, row[at] = row[at].strip(), score.replace(".", ",") if comma else score
            sheet.filled += 1
            if rosters.NUMBER.fullmatch(old) and float(old.rstrip("%").replace(",", ".")) != float(score):
                changed.append(student)
    for students, says in (
        (none, "handed nothing in: their cells stay as they are"),
        (kept, "are marked in the roster, and stay so"),
        (changed, "had another score in the roster"),
    ):
        if students:
            sheet.notes.append(f"{assignment}: {len(students)} {says}: {rosters.listed(sorted(students))}.")


def _feedback(rows, found, total, at) -> None:
    """The instructor's comments, where the roster has none yet; Moodle reads them as HTML."""
    for number, student in found.items():
        comments = [c for c in total.get(student, {}).get("comments", ()) if c["comment"]]
        if comments and not rows[number][at].strip():
            rows[number][at] = "<br>".join(html.escape(f"{c['id']}: {c['comment']}") for c in comments)


def _locked(sheet, rows, head, found) -> set[int]:
    """Numbers of the rows whose grade Moodle lets nobody change."""
    at = head.index("Grade can be changed") if "Grade can be changed" in head else None
    locked = {n for n in found if at is not None and rows[n][at].strip().casefold() == "no"}
    if locked:
        names = rosters.listed(sorted(found[n] for n in locked))
        sheet.open.append(f"Moodle says that these grades cannot be changed, and they were left: {names}")
    return locked


def _test_student(row: list[str], head: list[str]) -> bool:
    """Whether the row is the made-up student that Canvas gives every course."""
    if "Student" in head:
        return row[head.index("Student")].strip() in ("Student, Test", "Test Student")
    return [row[head.index(n)].strip() for n in ("LastName", "FirstName")] == ["Student", "Test"]


def _canvas_minimal(course, assignments, students) -> rosters.Sheet:
    sheet = rosters.Sheet([[*CANVAS_MINIMAL], [CANVAS_POINTS, *[""] * 4]], bom=True)
    lines = {s: [_name(a), a["lms_user_id"], "", s, ""] for s, a in students.items()}
    _append(course, assignments, sheet, lines)
    sheet.notes.append(
        "Made without --roster: SIS Login ID is nbgrader's student id, Section is empty, and ID is there only where nbgrader "
        "knows an lms_user_id. Canvas shows whom it recognised before it imports; its own export as --roster is surer."
    )
    return sheet


def _moodle_minimal(course, assignments, students) -> rosters.Sheet:
    sheet = rosters.Sheet([[*MOODLE_MINIMAL]])
    lines = {s: [a["first_name"], a["last_name"], s, a["email"]] for s, a in students.items()}
    _append(course, assignments, sheet, lines, points_row=False)
    without = sorted(s for s, a in students.items() if not a["email"])
    sheet.notes.append(
        "Made without --roster, for Moodle's Grades, Import, CSV file: ID number is nbgrader's student id. Map it, or Email "
        "address, to the user. Moodle's offline grading worksheet needs its own Identifier: download it and give it as --roster."
    )
    if without:
        sheet.notes.append(f"{len(without)} have no email address in the gradebook: {rosters.listed(without)}.")
    return sheet


def _append(course, assignments, sheet, lines, points_row=True) -> None:
    """A column for each assignment, and a row for each student."""
    for assignment in assignments:
        total, most = _scores(course, assignment, sheet)
        sheet.rows[0].append(assignment)
        if points_row:
            sheet.rows[1].append(rosters.text(most))
        for student, line in lines.items():
            line.append(earned(total[student]) if student in total else "")
            sheet.filled += student in total
    sheet.rows += lines.values()


def _name(about: dict) -> str:
    return ", ".join(filter(None, (about["last_name"], about["first_name"]))) or about["id"]
