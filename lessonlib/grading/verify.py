"""Proof that an assignment grades what it should: the solution scores full, the untouched edition 0, and each named wrong
answer less, with the message that it must earn."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from itertools import count

from . import batch, canonical, engine, intake, results


def check(
    course,
    assignment: str,
    limits: engine.Limits | None = None,
    *,
    unsafe: bool = False,
    jobs=None,
    progress: Callable = lambda done, total, row: None,
) -> dict:
    """Verify the assignment as it is now. The result, which is also in verify.json, has "ok", "problems" (sentences) and,
    for each notebook, what the solution, the untouched edition and the wrong answers earned. progress: as for `batch.run`,
    told of every graded document."""
    with batch.Task(course, assignment, limits, unsafe=unsafe, jobs=jobs) as task:
        return examine(task, progress)


def demand(task: batch.Task) -> None:
    """ValueError unless the task is verified as it is now; it is verified here when that was not done yet."""
    done = results.read_json(_file(task))
    if not (done and done["ok"] and done["key"] == _key(task)):
        done = examine(task)
    if not done["ok"]:
        first, *more = done["problems"]
        others = f" (and {len(more)} more, which lessonlib grade verify {task.assignment} names)" if more else ""
        raise ValueError(
            f"{task.assignment} is not verified, so nothing was graded: {first.rstrip('.')}{others}. Mend it, or grade anyway "
            "with --unverified."
        )


def examine(task: batch.Task, progress: Callable = lambda done, total, row: None) -> dict:
    """What `check` returns, for a task that is open."""
    started = time.monotonic()
    answers = _wrong_answers(task)
    mine = {name: [a for a in answers if a["notebook"] == name] for name in task.snapshots}
    done, total = count(1), sum(2 + len(tried) for tried in mine.values())  # 2: the solution, the untouched edition

    def tell(what: str, score: float) -> None:
        progress(next(done), total, {"student": what, "score": score})

    notebooks = {name: _examine(task, name, tried, tell) for name, tried in mine.items()}
    problems = [
        f"the wrong answer {a['name']} replaces {a['grade_id']}, which is no exercise of {task.assignment}"
        for a in answers
        if a["notebook"] is None
    ]
    problems += [problem for about in notebooks.values() for problem in about.pop("problems")]
    made = {
        "assignment": task.assignment,
        "ok": not problems,
        "problems": problems,
        "key": _key(task),
        "unsafe": task.unsafe,
        "seconds": round(time.monotonic() - started, 3),
        "versions": results.versions(),
        "notebooks": notebooks,
    }
    results.write_json(_file(task), made)
    return made


def exercises(snapshot: dict) -> dict[str, str]:
    """The exercise of each graded cell, as grade ids: a test belongs to the last solution cell before it."""
    found, last = {}, None
    for cell in snapshot["cells"]:
        if cell["kind"] == "solution":
            last = cell["grade_id"]
        elif cell["kind"] == "test":
            found[cell["grade_id"]] = last or cell["grade_id"]
        elif cell["kind"] in ("manual", "task"):
            found[cell["grade_id"]] = cell["grade_id"]
    return found


def _examine(task: batch.Task, notebook: str, answers: list[dict], tell: Callable) -> dict:
    """What one notebook's solution, untouched edition and wrong answers earn, and what is wrong with that. tell: called
    with each one's name and score."""
    snapshot, lanes = task.snapshots[notebook], task.lanes(notebook)
    solution, problems = task.course.solution(task.assignment, notebook), []
    jobs = [
        {"what": "solution", "document": solution},
        {"what": "untouched", "document": task.course.untouched(task.assignment, notebook)},
        *({"what": answer, "document": _with(solution, answer["grade_id"], answer["code"])} for answer in answers),
    ]
    for job in jobs:
        job |= {"document": intake.parse(json.dumps(job["document"]).encode())[0], "files": {}}
    made = {
        "failing": [_failing(snapshot, *about) for about in lanes.grader.failing],
        "in_kernel": [
            c["grade_id"] for c in snapshot["cells"] if c["kind"] == "test" and canonical.IN_KERNEL in c["tags"]
        ],
        "notes": [*snapshot["notes"], *lanes.grader.notes],
        "wrong_answers": [],
        "problems": problems,
    }
    full = sum(cell["points"] for cell in snapshot["cells"] if cell["kind"] == "test")
    for job, record in lanes.run(iter(jobs)):
        what, said = job["what"], "".join(f" ({reason})" for reason in record["reasons"])
        tell(what if isinstance(what, str) else what["name"], record["score"])
        if record["status"] == "failed":
            problems.append(
                f"the machine failed on {what if isinstance(what, str) else what['name']} of {notebook}{said}"
            )
        elif what == "solution":
            made["solution"] = [record["score"], full]
            lost = [cell for cell in record["cells"] if cell["kind"] == "test" and cell["points"] != cell["max_points"]]
            problems += [
                f"the solution of {notebook} earns {c['points']:g} of {c['max_points']:g} in {c['id']}: {_said(c)}{said}"
                for c in lost
            ]
        elif what == "untouched":
            made["untouched"] = record["score"]
            problems += [
                f"the untouched edition of {notebook} earns {cell['points']:g} of {cell['max_points']:g} in {cell['id']}"
                for cell in record["cells"]
                if cell["points"]
            ]
        else:
            made["wrong_answers"].append(_judged(snapshot, what, record, problems))
    made["wrong_answers"].sort(key=lambda answer: answer["number"])
    return made


def _judged(snapshot: dict, answer: dict, record: dict, problems: list[str]) -> dict:
    """What a wrong answer earned in its exercise, and whether its message was there; None where a test said nothing."""
    belongs = exercises(snapshot)
    cells = [c for c in record["cells"] if c["kind"] == "test" and belongs[c["id"]] == answer["grade_id"]]
    score, best = sum(c["points"] for c in cells), sum(c["max_points"] for c in cells)
    text = "\n".join(filter(None, (_text(output) for cell in cells for output in cell["outputs"])))
    says = answer["says"] in text if text else None
    who = f"the wrong answer {answer['name']} of {answer['grade_id']}"
    if not cells:
        problems.append(f"{who} is tested by no cell")
    elif score >= best:
        problems.append(f"{who} earns {score:g} of {best:g}")
    elif says is False:
        problems.append(f"{who} does not get its message {answer['says']!r}")
    about = {name: answer[name] for name in ("number", "grade_id", "name")}
    return {**about, "score": score, "max_score": best, "says": says}


def _wrong_answers(task: batch.Task) -> list[dict]:
    """The named wrong answers, with their notebook; ValueError when the instructor's file cannot be read."""
    where = {
        cell["grade_id"]: name
        for name, shot in task.snapshots.items()
        for cell in shot["cells"]
        if cell["kind"] == "solution"
    }
    try:
        return [
            {
                "number": n,
                "notebook": where.get(a.grade_id),
                **{f: getattr(a, f) for f in ("grade_id", "name", "code", "says")},
            }
            for n, a in enumerate(task.course.wrong_answers(task.assignment))
        ]
    except Exception as error:  # whatever the instructor's own file raises
        raise ValueError(
            f"wrong_answers.py of {task.assignment} cannot be read ({type(error).__name__}: {error})."
        ) from None


def _with(notebook: dict, grade_id: str, code: str) -> dict:
    """The notebook with `code` in the cell of that grade id."""
    cells = [
        {**cell, "source": code} if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id else cell
        for cell in notebook["cells"]
    ]
    return {**notebook, "cells": cells}


def _failing(snapshot: dict, index: int, error, outputs) -> str:
    return f"{snapshot['cells'][index]['grade_id']} fails with the solution beside it: {error}"


def _said(cell: dict) -> str:
    """The last line of what a test cell said, else why it was not reached."""
    lines = "\n".join(map(_text, cell["outputs"])).strip().splitlines()
    return (lines or [cell["reason"] or "it said nothing"])[-1][:300]


def _text(output: dict) -> str:
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))


def _file(task: batch.Task):
    return task.course.reports(task.assignment) / "verify.json"


def _key(task: batch.Task) -> str:
    """Stands for the snapshots, the files that go with them, and the wrong answers."""
    path = task.course.folder("source", task.assignment) / "wrong_answers.py"
    return hashlib.sha256(task.key.encode() + (path.read_bytes() if path.is_file() else b"")).hexdigest()
