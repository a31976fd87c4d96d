"""What a class did: counts that are known, on a made-up class and on real wrong answers; the pages and the command."""

from __future__ import annotations

import json
import re
import statistics
from types import SimpleNamespace

import pytest

from lessonlib.checks.teeth import WrongAnswer
from lessonlib.commands import grade, grade_insights
from lessonlib.grading import canonical, engine
from lessonlib.grading.course import Course
from lessonlib.grading.reports import insights

from ..attacks import assignment as tiny
from ..test_engine import ROOT, needs_sandbox, taken, wrong_answers
from .test_export import error, fake_record, hand_in, make_course, value
from .test_similarity import sound

WRONG = [
    WrongAnswer("double", "adds_two", "", "not added"),
    WrongAnswer("double", "the_same", "", "left as it was"),
    WrongAnswer("double", "no_change", "", "left as it was"),
    WrongAnswer("even", "odd_ones", "", "the odd ones"),
    WrongAnswer("somewhere_else", "another", "", "not added"),
]
ADDS = "GB of 12,000 weights.\n  likely reason: it is not added"
ADDS_ELSE = "GB of 7 weights.\n  likely reason: it is not added"
SAME = "Seen 3 times.\n  likely reason: left as it was, not added"
MISSING = error("NotImplementedError", "")
STUB = tiny.released()["cells"][2]["source"]
# student: (answers, outputs of the tests); untouched tests raise NotImplementedError, as in a real run
CLASS = {
    "ann": ({}, {"even_hidden": value(3)}),
    "bob": ({"double": "a"}, {"double_check": error("CheckFailed", ADDS), "even_hidden": value(3)}),
    "cyd": ({"double": "b"}, {"double_check": error("CheckFailed", ADDS_ELSE), "even_hidden": value(1.5)}),
    "dot": ({"double": "c"}, {"double_check": error("CheckFailed", SAME), "double_hidden": error("KeyError", "'x'")}),
    "eve": ({"double": STUB, "even": STUB}, dict.fromkeys(("double_check", "double_hidden", "even_check", "even_hidden"), MISSING)),
    "fay": ({"even": "d"}, {"even_check": None, "even_hidden": None}),  # stopped before
}  # fmt: skip

NAMED = rf"\b({'|'.join(CLASS)})\b"


def study(names: bool = False, students: dict = CLASS, totals: dict | None = None, repeat: int = 1) -> dict:
    """The insights of a made-up class."""
    shot = canonical.snapshot(tiny.instructor(), release=tiny.released())
    records = [
        {"student": f"{student}{n or ''}", "name": "tiny", **fake_record(shot, tiny.submission(**answers), outputs)}
        for n in range(repeat)
        for student, (answers, outputs) in students.items()
    ]
    return insights.study({"tiny": shot}, iter(records), totals or {}, WRONG, names=names)


def rows(result: dict) -> dict[str, dict]:
    return {e["id"]: e for e in result["exercises"]}


def states(row: dict) -> list[int]:
    return [row[state] for state in insights.STATES]


def test_counts():
    result = study()
    double, even, why = (rows(result)[name] for name in ("double", "even", "why"))
    assert result["students"] == 6 and not result["few"]
    tests = {t["id"]: t for e in result["exercises"] for t in e["tests"]}
    assert states(tests["double_check"]) == [2, 0, 3, 1, 0] and states(tests["double_hidden"]) == [4, 0, 1, 1, 0]
    assert states(tests["even_check"]) == [4, 0, 0, 1, 1] and states(tests["even_hidden"]) == [3, 1, 0, 1, 1]
    assert states(double) == [2, 2, 1, 1, 0] and states(even) == [3, 1, 0, 1, 1]
    assert why["graded"] == 0 and why["mean"] is None and why["lost"] == 0
    assert tests["even_hidden"]["mean"] == pytest.approx((3 + 3 + 1.5 + 3 + 0 + 0) / 6, abs=1e-4)
    # lost: 1 each for bob and cyd, 3 for dot and eve; 1.5 for cyd, 4 for eve and fay
    assert (double["lost"], even["lost"]) == (8, 9.5) and [e["id"] for e in result["exercises"]] == [
        "even",
        "double",
        "why",
    ]
    assert even["after_another"] == 1 and double["after_another"] == 0  # cyd
    assert double["seconds"] == {"median": 0.02, "longest": 0.02}


def test_misconceptions():
    double = rows(study(names=True))["double"]["wrong_answers"]
    assert [(w["names"], w["says"], w["students"], w["alone"], w["who"]) for w in double] == [
        (["adds two"], ["not added"], 3, 2, ["bob", "cyd", "dot"]),
        (["the same", "no change"], ["left as it was"], 1, 0, ["dot"]),
    ]
    assert rows(study())["even"]["wrong_answers"] == []


def test_errors_are_grouped_by_name_and_first_line():
    check, hidden = rows(study(names=True))["double"]["tests"]
    assert [(e["name"], e["line"], e["reason"], e["students"], e["who"]) for e in check["errors"]] == [
        ("CheckFailed", "GB of 12,000 weights.", "it is not added", 2, ["bob", "cyd"]),
        ("CheckFailed", "Seen 3 times.", "left as it was, not added", 1, ["dot"]),
    ]
    assert [(e["name"], e["line"]) for e in hidden["errors"]] == [("KeyError", "'x'")]


def test_properties_that_a_hidden_test_names():
    said = "double: twice as much: got 3.\n  likely reason: off by one\ndouble: linear: KeyError: 'k'\ndouble: open: not written yet\n"
    (even, double, _) = study(students={"x": ({}, {"double_hidden": value(1, said), "even_hidden": value(3)})})[
        "exercises"
    ]
    double = next(e for e in (even, double) if e["id"] == "double")
    assert [(e["name"], e["line"], e["reason"]) for e in double["tests"][1]["errors"]] == [
        ("property", "linear", ""),
        ("property", "twice as much", "off by one"),
    ]


def test_totals_and_written_answers_come_from_the_gradebook():
    cells = [{"notebook": "tiny", "id": "why", "score": 0.5, "needs_manual": False}]
    totals = {"ann": {"score": 7.5, "max_score": 9, "needs_manual": False, "cells": cells}}
    totals["zoe"] = {"score": 1, "max_score": 9, "needs_manual": True, "cells": []}
    result = study(totals=totals)
    why = rows(result)["why"]
    assert states(why) == [0, 1, 0, 0, 0] and why["mean"] == 0.5 and why["lost"] == 1.5
    assert result["totals"]["max"] == 9 and result["totals"]["bins"][8]["students"] == 1
    assert sum(b["students"] for b in result["totals"]["bins"]) == 6
    scores = [7.5, 6, 4.5, 1, 0, 3]  # dot: even_hidden said nothing, so it passed
    scores[3] = 4
    assert result["totals"]["mean"] == pytest.approx(statistics.fmean(scores), abs=1e-3)
    assert any("1 of the gradebook have no record" in note for note in result["notes"])


def test_discrimination_needs_a_class():
    assert all(t["discrimination"] is None for e in study()["exercises"] for t in e["tests"])
    tests = {t["id"]: t["discrimination"] for e in study(repeat=4)["exercises"] for t in e["tests"]}
    double = [1, 0, 0, 0, 0, 1] * 4
    finals = [7, 6, 4.5, 4, 0, 3] * 4
    expected = statistics.correlation(double, [f - d for f, d in zip(finals, double, strict=True)])
    assert tests["double_check"] == pytest.approx(expected, abs=1e-3)
    same = study(students={"x": ({}, {})}, repeat=12)
    assert all(t["discrimination"] is None for e in same["exercises"] for t in e["tests"])


def test_few_refused_and_failed_are_told():
    result = study(students={"ann": CLASS["ann"]})
    assert result["few"] and any("numbers are few" in note for note in result["notes"])
    shot = canonical.snapshot(tiny.instructor(), release=tiny.released())
    bad = [{"status": "refused", "student": "x", "name": "tiny"}, {"status": "failed", "student": "y", "name": "tiny"}]
    result = insights.study({"tiny": shot}, bad, {}, [])
    assert result["students"] == 0 and len(result["notes"]) == 2
    assert "no totals" in grade_insights.page({"assignment": "ps", **result})


def test_the_page():
    result = {"assignment": "ps", **study()}
    text = grade_insights.page(result)
    outline = sound(text)
    assert not re.search(NAMED, text)  # a class may see it
    assert outline.tags.count("figure") >= 3
    figures = text.split("<figure>")[1:]
    for figure in figures:  # each picture has a name, and its numbers as a table
        picture = next(part for part in figure.split("<svg")[1:] if 'role="img"' in part)
        assert "<title>" in picture and "<desc>" in picture and "<table>" in figure
    assert "adds two" in text and "GB of 12,000 weights." in text and "most often: it is not added" in text
    assert "the same / no change" in text
    named = grade_insights.page({"assignment": "ps", **study(names=True)})
    assert "bob, cyd" in named
    hostile = error("<script>", "<img src=x onerror=alert(1)>\nnot added <b>")
    text = grade_insights.page({"assignment": "ps", **study(students={"x": ({}, {"double_check": hostile})})})
    assert "<img" not in text and "<script>" not in text and "&lt;img" in text


def test_what_to_teach_again_names_the_worst_first():
    lines = grade_insights.teach_again(study())
    assert lines == [
        "Twice, and even: 9.5 of 24 points lost, 2 of 6 did not get it all, 1 of them after a mistake in an exercise before it, "
        "1 left it open.",
        "Twice, and even: 8 of 18 points lost, 3 of 6 did not get it all, 1 left it open; the most frequent misconception: "
        "adds two (3).",
    ]
    assert grade_insights.teach_again(study(students={"x": ({}, {"even_hidden": value(3)})})) == []


def test_the_command(tmp_path, capsys):
    made = make_course(tmp_path, {"ps": {"tiny": tiny.instructor()}})
    assert grade.main(["insights", "ps", "--course", str(tmp_path)]) == 2
    assert "run lessonlib grade autograde ps" in capsys.readouterr().err
    shot = made.snapshot("ps", "tiny")
    for student, (answers, outputs) in CLASS.items():
        hand_in(made, "ps", "tiny", student, fake_record(shot, tiny.submission(**answers), outputs))
    lines = [f"    SimpleNamespace(grade_id={w.grade_id!r}, name={w.name!r}, code='', says={w.says!r})," for w in WRONG]
    text = "\n".join(["from types import SimpleNamespace", "WRONG_ANSWERS = [", *lines, "]"])
    (tmp_path / "source" / "ps" / "wrong_answers.py").write_text(text, encoding="utf-8")
    assert isinstance(made.wrong_answers("ps")[0], SimpleNamespace)
    assert grade.main(["insights", "ps", "--course", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    folder = Course(tmp_path).reports("ps")
    assert json.loads((folder / "insights.json").read_text())["exercises"] == said["exercises"]
    assert said["students"] == 6 and rows(said)["double"]["wrong_answers"][0]["students"] == 3
    page = (folder / "insights.html").read_text()
    assert not re.search(NAMED, page) and "wait for manual grading" in page
    assert grade.main(["insights", "ps", "--course", str(tmp_path), "--names"]) == 0
    assert "adds two (3)" in capsys.readouterr().out and "bob, cyd, dot" in (folder / "insights.html").read_text()


# name of a wrong answer -> how many hand it in
REAL = {
    "l16_vram_e1_weights": {"bits_for_bytes": 3, "in_bytes": 2, "whole_bytes": 1, "kept_twice": 1},
    "l16_vram_e2_cache": {"keys_only": 2, "one_head": 1, "query_heads": 1, "one_layer": 1},
    "l16_vram_e3_share": {"everything_divided": 1, "no_cache": 2},
    "l16_vram_e4_table": {"configs_outermost": 2, "rows_missing": 1},
}
# The message of one_head also names keys_only's mistake for some inputs; two wrong divisions share one message.
EXPECTED = {
    "l16_vram_e1": {"bits for bytes": (3, 3), "in bytes": (2, 2), "whole bytes": (1, 1), "kept twice": (1, 1)},
    "l16_vram_e2": {"keys only": (3, 2), "one head": (1, 0), "query heads": (1, 1), "one layer": (1, 1)},
    "l16_vram_e3": {"overhead divided / everything divided": (1, 1), "no cache": (2, 2)},
    "l16_vram_e4": {"configs outermost": (2, 2), "rows missing": (1, 1)},
    "l16_vram_e5": {"longest": (4, 1), "one card only": (5, 2)},  # of wrong weights, caches, shares
    "l16_vram_why": {},
}


@needs_sandbox
def test_real_wrong_answers_are_counted_exactly():
    notebook, learner = (ROOT / top / "16_capstone" / "vram_budget.ipynb" for top in ("solutions", "notebooks"))
    book, release = json.loads(notebook.read_text()), json.loads(learner.read_text())
    shot = canonical.snapshot(book, release=release)
    wrong = wrong_answers(ROOT / "solutions" / "16_capstone" / "vram_budget.py")
    records = []
    with engine.Grader(shot) as grader:
        for grade_id, names in REAL.items():
            for name, times in names.items():
                code = next(w.code for w in wrong if (w.grade_id, w.name) == (grade_id, name))
                handed_in = json.loads(json.dumps(book))
                for cell in handed_in["cells"]:
                    if cell["metadata"].get("nbgrader", {}).get("grade_id") == grade_id:
                        cell["source"] = code
                record = grader.grade(taken(handed_in))
                records += [
                    {**record, "student": f"{grade_id}-{name}-{n}", "name": "vram_budget"} for n in range(times)
                ]
        records.append({**grader.grade(taken(book)), "student": "full", "name": "vram_budget"})
        records.append({**grader.grade(taken(release)), "student": "none", "name": "vram_budget"})
    result = insights.study({"vram_budget": shot}, records, {}, wrong)
    found = {
        e["id"]: {" / ".join(w["names"]): (w["students"], w["alone"]) for w in e["wrong_answers"]}
        for e in result["exercises"]
    }
    assert found == EXPECTED
    assert result["students"] == len(records) == sum(sum(v.values()) for v in REAL.values()) + 2
    for exercise in result["exercises"][:-1]:
        mine = sum(sum(names.values()) for grade_id, names in REAL.items() if grade_id.startswith(exercise["id"] + "_"))
        assert exercise["untouched"] == 1 and exercise["graded"] == len(records)
        if exercise["id"] not in ("l16_vram_e4", "l16_vram_e5"):  # which build on the others
            assert exercise["passed"] == len(records) - 1 - mine
    text = grade_insights.page({"assignment": "16_capstone", **result})
    sound(text)
    for exercise in EXPECTED.values():
        for name, (students, alone) in exercise.items():
            assert f'<th scope="row">{name}</th><td class="n">{students}</td><td class="n">{alone}</td>' in text
