"""What a class did in an assignment, exercise by exercise: what to teach again.

Counts only; whose answer it was is kept where the caller asks for names. Everything comes from the records of the grading
and, for written answers, from the gradebook."""

from __future__ import annotations

import re
import statistics
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from .. import canonical, gradebook, results

FEW = 5  # students below which the numbers are few
ENOUGH = 10  # students from which a correlation is told
STATES = ("passed", "partly", "failed", "untouched", "not reached")
_LONGEST = 160  # characters of an error's first line
_DIGITS = re.compile(r"\d[\d,_.]*")


@dataclass
class _Seen:
    """What is gathered of one exercise while the records go by: students by test and state, and so on."""

    states: dict = field(default_factory=lambda: defaultdict(dict))  # test -> {student: state}
    points: dict = field(default_factory=lambda: defaultdict(dict))  # test -> {student: points}
    errors: dict = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )  # test -> (name, key) -> students
    lines: dict = field(default_factory=lambda: defaultdict(Counter))  # (name, key) -> first lines as they came
    reasons: dict = field(default_factory=lambda: defaultdict(Counter))  # (name, key) -> likely reasons told with them
    fell: dict = field(default_factory=lambda: defaultdict(set))  # what a wrong answer says -> students
    seconds: dict = field(default_factory=dict)  # student -> seconds of all tests
    slow: Counter = field(default_factory=Counter)  # test -> longest seconds


def exercises(shot: dict, notebook: str) -> list[dict]:
    """The exercises of a snapshot: {"id", "notebook", "title", "solutions": [ids], "tests": [{"id", "kind", "points",
    "hidden"}]}.

    A test belongs to the solution cell whose grade id begins like its own (l05_e2_grow, l05_e2_check), else to the last one
    before it; a written answer or a task is an exercise of its own. The title is the last heading before the exercise."""
    found: list[dict] = []
    by_prefix: dict[str, dict] = {}
    current, heading = None, ""
    for cell in shot["cells"]:
        if cell["kind"] == "text":
            heading = _heading(cell["source"]) or heading
        grade_id, kind = cell["grade_id"], cell["kind"]
        if kind == "solution":
            if current is None or current["tests"] or _prefix(grade_id) not in ("", _prefix(current["solutions"][0])):
                current = {"notebook": notebook, "title": heading, "solutions": [], "tests": []}
                found.append(current)
            current["solutions"].append(grade_id)
            by_prefix.setdefault(_prefix(grade_id), current)
        elif kind in ("test", "manual", "task"):
            group = by_prefix.get(_prefix(grade_id)) or current
            if kind != "test" or group is None:
                group = {"notebook": notebook, "title": heading, "solutions": [], "tests": []}
                group["solutions"] += [grade_id] if kind == "manual" else []
                found.append(group)
                current = group if cell["cell_type"] == "code" else current
            about = {"id": grade_id, "kind": kind, "points": cell["points"], "hidden": bool(cell["hidden"])}
            group["tests"].append(about)
    for exercise in found:
        ids = [*exercise["solutions"], *(t["id"] for t in exercise["tests"])]
        prefixes = {_prefix(i) for i in ids}
        exercise["id"] = prefixes.pop() if len(prefixes) == 1 and len(set(ids)) > 1 and prefixes != {""} else ids[0]
    return [e for e in found if e["tests"]]


def run(course, assignment: str, names: bool = False) -> dict:
    """The insights of an assignment (see `study`); ValueError when nothing of it is graded."""
    shots = {name: course.snapshot(assignment, name) for name in course.notebooks(assignment)}
    totals = {t["student"]: t for t in gradebook.totals(course, assignment)}
    result = study(shots, results.each(course, assignment), totals, course.wrong_answers(assignment), names=names)
    if not result["students"]:
        raise ValueError(
            f"Nothing of {assignment} is graded by this grader yet: run lessonlib grade autograde {assignment} first."
        )
    return {"assignment": assignment, **result}


def study(
    shots: dict[str, dict], records, totals: dict[str, dict], wrong_answers: list, *, names: bool = False
) -> dict:
    """What the class did. shots: snapshots by notebook; records: of the grading, in any order; totals: the gradebook's by
    student; wrong_answers: named ones (`lessonlib.checks.teeth`).

    {"students", "few", "notes", "totals": {"max", "mean", "median", "bins": [{"from", "to", "students"}]}, "exercises": [...]},
    the exercises with the most points lost first. A state of a test is one of STATES; a student is in one of them."""
    plan = [exercise for name, shot in shots.items() for exercise in exercises(shot, name)]
    seen = {(e["notebook"], e["id"]): _Seen() for e in plan}
    stubs = {(n, c["grade_id"]): c["released"] for n, shot in shots.items() for c in shot["cells"] if c["grade_id"]}
    phrases = _phrases(plan, wrong_answers)
    students, scores, odd = set(), defaultdict(float), Counter()
    for record in records:
        if record["status"] != "graded":
            odd[record["status"]] += 1
            continue
        name, student = record["name"], record["student"]
        students.add(student)
        rows = {row["id"]: row for row in record["cells"]}
        written, told = _written(record["notebook"]), set()
        for exercise in plan:
            if exercise["notebook"] == name:
                open_ = [
                    canonical.normal(written.get(i, "")) in ("", stubs.get((name, i))) for i in exercise["solutions"]
                ]
                key = name, exercise["id"]
                untouched = bool(open_) and all(open_)
                said = _look(exercise, rows, untouched, student, seen[key], totals.get(student))
                fell = set() if untouched or not open_ else {says for says in phrases[key] if says in said}
                for says in fell - told:  # what an exercise before it said already, it says again when it builds on it
                    seen[key].fell[says].add(student)
                told |= fell
        scores[student] += record["score"]
    finals = {s: totals[s]["score"] if s in totals else scores[s] for s in students}
    made, wrong = [], defaultdict(set)  # who had something wrong so far, by notebook
    for e in plan:
        key = e["notebook"], e["id"]
        made.append(_exercise(e, seen[key], phrases[key], finals, wrong[e["notebook"]], names))
    made.sort(key=lambda e: -e["lost"])
    most = max((t["max_score"] for t in totals.values()), default=sum(e["max"] for e in made))
    return {
        "students": len(students),
        "few": len(students) < FEW,
        "notes": _notes(len(students), odd, totals, students),
        "totals": _distribution(list(finals.values()), most),
        "exercises": made,
    }


def _look(exercise: dict, rows: dict, untouched: bool, student: str, seen: _Seen, total: dict | None) -> str:
    """Gather what one student did in one exercise; all that its tests said comes back."""
    said, seconds = [], 0.0
    for test in exercise["tests"]:
        row = rows.get(test["id"])
        if row is None:
            continue
        points = row["points"]
        if test["kind"] != "test":
            points = _by_hand(exercise["notebook"], test["id"], total) if points is None else points
        seconds += row["seconds"] or 0.0
        seen.slow[test["id"]] = max(seen.slow[test["id"]], row["seconds"] or 0.0)
        said += [_said(output) for output in row["outputs"]]
        state = _state(row, points, untouched)
        if state is None:
            continue
        seen.states[test["id"]][student] = state
        seen.points[test["id"]][student] = points or 0.0
        if state in ("partly", "failed"):
            for name, line, reason in _errors(exercise["id"], row):
                key = name, _DIGITS.sub("…", line)
                seen.errors[test["id"]][key].add(student)
                seen.lines[key][line] += 1
                seen.reasons[key].update([reason] if reason else [])
    seen.seconds[student] = seconds
    return "\n".join(said)


def _state(row: dict, points: float | None, untouched: bool) -> str | None:
    """One of STATES, or None for what waits for a person."""
    if points is None:
        return None
    if points >= row["max_points"]:
        return "passed"
    if untouched or row["reason"] == "not answered":
        return "untouched"
    if row["reason"] == "not reached":
        return "not reached"
    if any(o.get("ename") == "NotImplementedError" for o in row["outputs"]):
        return "untouched"
    return "partly" if points > 0 else "failed"


def _exercise(exercise: dict, seen: _Seen, phrases: dict, finals: dict, wrong: set, names: bool) -> dict:
    """The row of an exercise. `wrong`: students with something wrong before it; those of this exercise are added."""
    tests = []
    for test in exercise["tests"]:
        states, points = seen.states[test["id"]], seen.points[test["id"]]
        errors = [
            {"name": name, "line": _most(seen.lines[name, key]), "reason": _most(seen.reasons[name, key])}
            | {"students": len(who), **({"who": sorted(who)} if names else {})}
            for (name, key), who in seen.errors[test["id"]].items()
        ]
        errors.sort(key=lambda e: (-e["students"], e["line"]))
        tests.append(
            {
                **test,
                **{state: sum(s == state for s in states.values()) for state in STATES},
                "graded": len(states),
                "mean": round(statistics.fmean(points.values()), 4) if points else None,
                "discrimination": _discrimination(points, finals),
                "longest": round(seen.slow[test["id"]], 4),
                "errors": errors,
            }
        )
    most = sum(t["points"] for t in tests)
    own: Counter = Counter()
    for points in seen.points.values():
        own.update(points)
    for student in {s for states in seen.states.values() for s in states}:
        own[student] += 0.0  # who has no points belongs to the mean, too
    states = {s: _whole([st[s] for st in seen.states.values() if s in st]) for s in own}
    short = {s for s, state in states.items() if state in ("partly", "failed")}
    carried = len(short & wrong)
    wrong |= short
    graded_max = {s: sum(t["points"] for t in tests if s in seen.points[t["id"]]) for s in own}
    seconds = sorted(seen.seconds.values())
    return {
        "id": exercise["id"],
        "notebook": exercise["notebook"],
        "title": exercise["title"],
        "max": most,
        "graded": len(own),
        **{state: sum(s == state for s in states.values()) for state in STATES},
        "after_another": carried,
        "mean": round(statistics.fmean(own.values()), 4) if own else None,
        "lost": round(sum(graded_max[s] - own[s] for s in own), 4),
        "seconds": {
            "median": round(statistics.median(seconds), 4) if seconds else None,
            "longest": round(seconds[-1], 4) if seconds else None,
        },
        "tests": tests,
        "wrong_answers": _fallen(seen.fell, phrases, names),
    }


def _whole(states: list[str]) -> str:
    """The state of an exercise from those of its tests."""
    if len(set(states)) == 1:
        return states[0]
    return "partly" if {"passed", "partly"} & set(states) else next(s for s in STATES if s in states)


def _phrases(plan: list[dict], wrong_answers: list) -> dict[tuple, dict[str, list[str]]]:
    """By exercise: {phrase: [misconceptions in words that must earn it]}."""
    found: dict[tuple, dict[str, list[str]]] = {}
    for exercise in plan:
        mine = found.setdefault((exercise["notebook"], exercise["id"]), {})
        for wrong in wrong_answers:
            if wrong.grade_id in exercise["solutions"]:
                mine.setdefault(wrong.says, []).append(wrong.name.replace("_", " "))
    return found


def _fallen(fell: dict[str, set], phrases: dict[str, list[str]], names: bool) -> list[dict]:
    """How many earned the message of each named wrong answer; those of the same students are one row."""
    rows: dict[frozenset, dict] = {}
    for says, words in phrases.items():
        who = frozenset(fell.get(says, ()))
        if who:
            row = rows.setdefault(who, {"names": [], "says": [], "students": len(who)})
            row["names"] += words
            row["says"].append(says)
    for who, row in rows.items():
        others = set().union(*(w for w in rows if w != who)) if len(rows) > 1 else set()
        row["alone"] = len(who - others)
        if names:
            row["who"] = sorted(who)
    return sorted(rows.values(), key=lambda r: (-r["students"], r["names"]))


def _discrimination(points: dict[str, float], finals: dict[str, float]) -> float | None:
    """Correlation of a test's points with the rest of the score; None for few students or where one of them never varies."""
    if len(points) < ENOUGH:
        return None
    mine = list(points.values())
    rest = [finals[student] - value for student, value in points.items()]
    if len(set(mine)) < 2 or len(set(rest)) < 2:
        return None
    return round(statistics.correlation(mine, rest), 3)


def _distribution(scores: list[float], most: float) -> dict:
    """Ten bins of the totals, from 0 to the maximum."""
    width = most / 10 if most else 1.0
    bins = [{"from": round(n * width, 3), "to": round((n + 1) * width, 3), "students": 0} for n in range(10)]
    for score in scores:
        bins[min(9, max(0, int(score / width + 1e-9)))]["students"] += 1
    made = {"max": most, "mean": None, "median": None, "bins": bins}
    if scores:
        made |= {"mean": round(statistics.fmean(scores), 3), "median": round(statistics.median(scores), 3)}
    return made


def _notes(students: int, odd: Counter, totals: dict, graded: set) -> list[str]:
    notes = []
    if 0 < students < FEW:
        notes.append(f"Only {students} students: the numbers are few, and a share says little.")
    if odd["refused"]:
        notes.append(f"{odd['refused']} handed-in notebooks could not be read and are not counted here.")
    if odd["failed"]:
        notes.append(f"{odd['failed']} could not be graded because the machine failed, and are not counted here.")
    if lost := len(set(totals) - graded):
        notes.append(f"{lost} of the gradebook have no record of this grader and are not counted here.")
    waiting = sum(totals[s]["needs_manual"] for s in graded if s in totals)
    if waiting:
        notes.append(f"{waiting} wait for manual grading: their totals are not final.")
    return notes


def _errors(exercise: str, row: dict) -> set[tuple[str, str, str]]:
    """(name, first line, likely reason or "") of what went wrong in a test: errors, and properties that a hidden test names."""
    found = set()
    for output in row["outputs"]:
        if output["output_type"] == "error":
            message = output.get("evalue", "")
            found.add((output.get("ename", ""), _first(message), _reason(message)))
        elif output["output_type"] == "stream":
            for part in re.split(rf"^(?={re.escape(exercise)}: )", _said(output), flags=re.M):
                name, colon, rest = part.removeprefix(f"{exercise}: ").partition(": ")
                if part.startswith(f"{exercise}: ") and colon and rest.strip() != "not written yet":
                    found.add(("property", _first(name), _reason(rest)))
    return found or {("", row["reason"] or "no message", "")}


def _reason(message: str) -> str:
    """What a check of this course takes for the likely reason."""
    return _first(message.partition("likely reason: ")[2])


def _most(counts: Counter) -> str:
    """The most frequent text, the first in the alphabet of several; "" of none."""
    return min(counts, key=lambda text: (-counts[text], text), default="")


def _first(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _said(output: dict) -> str:
    """All that an output says as text."""
    text = output.get("text") or output.get("data", {}).get("text/plain") or ""
    parts = ["".join(text) if isinstance(text, list) else text]
    if output["output_type"] == "error":
        parts += [f"{output.get('ename', '')}: {output.get('evalue', '')}", *output.get("traceback", ())]
    return "\n".join(parts)


def _by_hand(notebook: str, grade_id: str, total: dict | None) -> float | None:
    """Points that a person gave; None while the answer waits."""
    for cell in (total or {}).get("cells", ()):
        if (cell["notebook"], cell["id"]) == (notebook, grade_id):
            return None if cell["needs_manual"] else cell["score"]
    return None


def _written(notebook: dict) -> dict[str, str]:
    """The source of a graded notebook's cells by grade id."""
    found = {}
    for cell in notebook["cells"]:
        grade_id = cell.get("metadata", {}).get("nbgrader", {}).get("grade_id")
        if grade_id:
            found[grade_id] = canonical.text(cell)
    return found


def _heading(source: str) -> str:
    """The last heading of a text cell, without marks and without what stands in brackets at its end."""
    found = re.findall(
        r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.sub(r"```.*?```|<!--.*?-->", "", source, flags=re.S), flags=re.M
    )
    return re.sub(r"[`*]|\s*\([^()]*\)$", "", found[-1]).strip() if found else ""


def _prefix(grade_id: str) -> str:
    return grade_id.rpartition("_")[0]
