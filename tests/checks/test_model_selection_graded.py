"""Five submissions of model_selection, from excellent to nonsense, through the safe grader: scores, order, messages."""

import json

import pytest

from lessonlib.course.build import built_paths
from lessonlib.grading import canonical, engine, intake
from lessonlib.paths import course_root

pytestmark = [pytest.mark.l16, pytest.mark.sandbox]
ROOT = course_root(__file__)
LOOP = """def choose(scenario, catalog):
    reasons, options = {}, []
    for m in catalog:
        need, smallest = lab.need(m, scenario), min(m["files"], key=lambda p: m["files"][p]["bytes"])
        against = broken(m, smallest, need, scenario)
        if against:
            reasons[m["name"]] = REASONS
        for precision in m["files"]:
            for context in CONTEXTS:
                if not broken(m, precision, context, scenario):
                    options.append((lab.utility(m, precision, context, scenario), m["name"], precision, context))
    best = BEST
    return lab.Choice(*best[1:], reasons)
"""
ALL, NONE = "lab.contexts(m, scenario)", "(0, None, None, None)"


def written(reasons="against", contexts=ALL, best=f"max(options, default={NONE})") -> str:
    return LOOP.replace("REASONS", reasons).replace("CONTEXTS", contexts).replace("BEST", best)


# Name -> (code, points of exercise 4 from and to, words of its feedback).
FIVE = {
    "excellent": (written(), (11, 11), ""),
    "good, no room": (written(contexts="[need]"), (7, 9), "room counts: this file leaves place"),
    "middling, whatever fits": (
        written(reasons="against[:1]", best=f"options[0] if options else {NONE}"), (4, 6), "name every constraint",
    ),
    "poor, gives up": (written(best=NONE), (1, 1), "would fit"),
    "nonsense": ('def choose(scenario, catalog):\n    return "gpt-4"\n', (0, 0), "Return a Choice"),
}  # fmt: skip


def text(output: dict) -> str:
    if output["output_type"] == "error":
        return output["evalue"]
    return "".join(output.get("text") or output.get("data", {}).get("text/plain", ""))


def test_five_submissions_are_graded_in_order():
    solution, learner = (
        json.loads(path.read_text(encoding="utf-8"))
        for path in built_paths(ROOT / "solutions" / "16_capstone" / "model_selection.py", ROOT)
    )
    earned = []
    grader = engine.Grader(canonical.snapshot(solution, release=learner), engine.Limits()).start()
    try:
        for name, (code, (low, high), words) in FIVE.items():
            cells = [
                {**c, "source": code} if c["metadata"].get("nbgrader", {}).get("grade_id") == "l16_sel_e4_choose" else c
                for c in solution["cells"]
            ]
            record = grader.grade(intake.parse(json.dumps({**solution, "cells": cells}).encode())[0], {})
            mine = [c for c in record["cells"] if c["kind"] == "test" and c["id"].startswith("l16_sel_e4")]
            earned.append(sum(c["points"] for c in mine))
            assert sum(c["max_points"] for c in mine) == 11 and low <= earned[-1] <= high, (name, earned[-1])
            assert words in "\n".join(text(output) for c in mine for output in c["outputs"]), name
    finally:
        grader.close()
    assert earned == sorted(earned, reverse=True) and len(set(earned)) == 5
