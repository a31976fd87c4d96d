"""Five whole submissions of each capstone task, from excellent to nonsense, through the safe grader: points, order, messages,
and what is left to mark by hand."""

import importlib.util
import json
from dataclasses import dataclass

import pytest

from lessonlib.course.build import built_paths
from lessonlib.grading import canonical, engine, intake
from lessonlib.paths import course_root

pytestmark = [pytest.mark.l16, pytest.mark.sandbox]
ROOT = course_root(__file__)
FOLDER = ROOT / "solutions" / "16_capstone"


def beside(name: str):
    """A module that lies beside the tasks."""
    spec = importlib.util.spec_from_file_location(f"levels_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


WRONG, RIGHT = beside("wrong_answers"), beside("right_answers")


def named(answers: list, names: dict[str, str]) -> dict[str, str]:
    """{grade id: code} of answers by their names."""
    found = {(answer.grade_id, answer.name): answer.code for answer in answers}
    return {grade_id: found[grade_id, name] for grade_id, name in names.items()}


def wrong(**names: str) -> dict[str, str]:
    """{grade id: code} of wrong answers."""
    return named(WRONG.WRONG_ANSWERS, names)


def right(**names: str) -> dict[str, str]:
    """{grade id: code} of right answers."""
    return named(RIGHT.RIGHT_ANSWERS, names)


def without(answers: dict[str, str], grade_id: str) -> dict[str, str]:
    """The answers, one left out: its gap stays open."""
    return {name: code for name, code in answers.items() if name != grade_id}


@dataclass
class Level:
    """One submission: its cells (what it does not name stays as it was handed out), its automatic points from and to,
    phrases that its feedback must have, points that are left to mark by hand."""

    name: str
    answers: dict[str, str]
    low: float
    high: float
    says: tuple[str, ...] = ()
    by_hand: float = 0


VRAM = right(
    l16_vram_e1_weights="part_by_part",
    l16_vram_e2_cache="a_tensor_that_takes_no_memory",
    l16_vram_e3_share="deals_out_heads",
    l16_vram_e4_table="one_comprehension",
    l16_vram_e5_cheapest="halving_an_interval",
)
SELECTION = right(
    l16_sel_e1_memory="numpy",
    l16_sel_e2_latency="fractions",
    l16_sel_e3_broken="set_of_names",
    l16_sel_e4_choose="largest_context_of_each_file",
)
PLAN = right(
    l16_plan_e1_seconds="a_list_of_steps",
    l16_plan_e2_break="fractions_card_by_card",
    l16_plan_e3_calls="looks_whether_it_worked",
    l16_plan_e4_plan="tries_all_levels",
)
# Processes are stopped and started, never put to sleep; nothing is prepared for an urgent request.
COLD = {
    "move": '[(a, "stop"), (b, "start")]',
    "seconds": 'switch_seconds(server, engines[a], "cold", engines[b], "cold")',
    "morning": "",
    "residency": '{**dict.fromkeys(names, "cold"), n: "awake"}',
    "urgent": "{}",
    "restart": "{}",
}
# What fits on the task's own server, whatever server comes.
FIXED = {"cards": "[0, 1]", "order": "wishes[:1]", "fits": "True", "full": "False"}


def choose(**change: str) -> dict[str, str]:
    """Exercise 4 of model_selection with slips."""
    return {"l16_sel_e4_choose": WRONG.SEL_CHOOSE.format(**{**WRONG.SEL_CHOOSE_RIGHT, **change})}


def plan(**change: str) -> dict[str, str]:
    """Exercise 4 of deployment_plan with slips."""
    return {"l16_plan_e4_plan": WRONG.PLAN.format(**{**WRONG.PLAN_RIGHT, **change})}


TASKS = {
    "vram_budget": [
        Level(
            "excellent",
            VRAM | {"l16_vram_why": "2.80 GB are left; 10,600 more tokens take them. I would store the cache in 8 bits."},
            32, 32, by_hand=3,
        ),
        Level(
            "good: buys few GPUs, not the cheapest ones",
            VRAM | wrong(l16_vram_e5_cheapest="fewest_gpus") | {"l16_vram_why": "About 3 GB are left for a second user."},
            24, 30, ("that is the fewest GPUs: the cheapest machine was asked for",), by_hand=3,
        ),
        Level(
            "middling: heads split, GB for GiB, the last exercise left out",
            without(VRAM, "l16_vram_e5_cheapest")
            | wrong(l16_vram_e3_share="splits_a_head", l16_vram_e4_table="card_in_gb")
            | {"l16_vram_why": "It is tight."},
            9, 14, ("a key-value head was split", "GB was compared with GiB", "is still open", "not written yet"), by_hand=3,
        ),
        Level(
            "poor: misconceptions, and half left out",
            wrong(
                l16_vram_e1_weights="in_gib", l16_vram_e2_cache="query_heads", l16_vram_e3_share="whole_model",
                l16_vram_e4_table="says_yes",
            ),
            0.5, 5, ("that is in GiB", "query heads", "that is the whole model", "see whether exercises 1 to 3 pass"),
        ),
        Level(
            "nonsense",
            {
                "l16_vram_e1_weights": "def weights_gb(parameters, bits):\n    return 'a lot'\n",
                "l16_vram_e2_cache": "def cache_gb(model, tokens, bytes_per_value=2)\n    return tokens\n",
                "l16_vram_e3_share": "per_gpu_gb = 24\n",
                "l16_vram_e4_table": "def budget_table(models, configs, tokens=8192):\n    return 'it fits'\n",
                "l16_vram_e5_cheapest": "def cheapest(model, offers, users, context):\n    return min(price)\n",
                "l16_vram_why": "asdf",
            },
            0, 0, ("one dict for each model",), by_hand=3,
        ),
    ],
    "model_selection": [
        Level(
            "excellent",
            SELECTION | {"l16_sel_why": "gpt-oss-20b in 4 bits with 108,544 tokens: 19.43 of 68.72 GB, 31.8 of 300 s. ..."},
            24, 24, by_hand=4,
        ),
        Level(
            "good: never more context than needed",
            SELECTION | choose(contexts="[lab.need(m, scenario)]") | {"l16_sel_why": "gpt-oss-20b, it is the best of all."},
            20, 22.5, ("room counts: this file leaves place",), by_hand=4,
        ),
        Level(
            "middling: duties not looked at, the first that fits, one reason each",
            SELECTION
            | wrong(l16_sel_e3_broken="duties_ignored")
            | choose(best="options[0]", reasons="against[:1]")
            | {"l16_sel_why": "Llama 3.3 70B, since it is large."},
            12, 18, ("a duty that the scenario refuses", "name every constraint", "can be had"), by_hand=4,
        ),
        Level(
            "poor: three misconceptions, and never a choice",
            right(l16_sel_e1_memory="user_by_user")
            | wrong(l16_sel_e2_latency="one_by_one", l16_sel_e3_broken="first_only", l16_sel_e4_choose="always_nobody"),
            4, 7, ("in one batch", "exercise 2 comes first", "not the first alone", "nothing was chosen, but"),
        ),
        Level(
            "nonsense",
            {
                "l16_sel_e1_memory": "def memory_bytes(model, precision, users, context, cards):\n    return '24 GB'\n",
                "l16_sel_e2_latency": "def latency_s(model, precision, scenario):\n    return fast\n",
                "l16_sel_e3_broken": "def broken(model, precision, context, scenario):\n    return 'nothing'\n",
                "l16_sel_e4_choose": 'def choose(scenario, catalog):\n    return "gpt-4"\n',
                "l16_sel_why": "?",
            },
            0, 0, ("Return a Choice",), by_hand=4,
        ),
    ],
    "deployment_plan": [
        Level(
            "excellent",
            PLAN | {"l16_plan_why": "On 24 GiB the 32B file and its cache do not fit: coding falls to Yi-Coder-9B. ..."},
            26, 26, by_hand=4,
        ),
        Level(
            "good: no sleep mode in the plan",
            PLAN | plan(**COLD) | {"l16_plan_why": "With 48 GiB of RAM nothing changes, since nothing sleeps."},
            20, 24.5, ("an urgent request on a server drawn afresh", "no process listens"), by_hand=4,
        ),
        Level(
            "middling: a slip each, one plan for all servers",
            PLAN
            | wrong(l16_plan_e2_break="split_heads", l16_plan_e3_calls="cuts_answers")
            | plan(**FIXED)
            | {"l16_plan_why": "Smaller models."},
            10, 16, ("copy of one head", "mode=abort", "names GPU 1"), by_hand=4,
        ),
        Level(
            "poor: misconceptions, and the source lesson's calls",
            wrong(
                l16_plan_e1_seconds="one_link", l16_plan_e2_break="number_only", l16_plan_e3_calls="source_lesson",
                l16_plan_e4_plan="source_calls",
            ),
            0.5, 5, ("that is one link", "the answer is a pair", "stand at the root"),
        ),
        Level(
            "nonsense",
            {
                "l16_plan_e1_seconds": "def switch_seconds(*given):\n    return 'a minute'\n",
                "l16_plan_e2_break": "def first_break(server, engines, moments):\n    return server['vram']\n",
                "l16_plan_e3_calls": "def switch_calls(*given):\n    return 'sleep, then wake'\n",
                "l16_plan_e4_plan": "def plan(server, workloads, models):\n    return 'start all models at eight'\n",
                "l16_plan_why": "I do not know.",
            },
            0, 0, ("A plan is a dict", "a list of steps"), by_hand=4,
        ),
    ],
}  # fmt: skip


def handed_in(learner: dict, answers: dict[str, str]) -> dict:
    """The learner edition with answers in their cells, as intake passes it on."""
    cells = []
    for cell in learner["cells"]:
        text = answers.get(cell["metadata"].get("nbgrader", {}).get("grade_id"))
        cells.append(cell if text is None else {**cell, "source": text})
    return intake.parse(json.dumps({**learner, "cells": cells}).encode())[0]


def said(record: dict) -> str:
    """All that the tests said."""
    parts = []
    for cell in record["cells"]:
        for output in cell["outputs"]:
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            parts.append(output["evalue"] if output["output_type"] == "error" else "".join(text))
    return "\n".join(parts)


@pytest.mark.parametrize("task", TASKS)
def test_five_submissions_are_graded_in_order(task):
    solution, learner = (
        json.loads(path.read_text(encoding="utf-8")) for path in built_paths(FOLDER / f"{task}.py", ROOT)
    )
    points = []
    grader = engine.Grader(canonical.snapshot(solution, release=learner), engine.Limits()).start()
    try:
        for level in TASKS[task]:
            record = grader.grade(handed_in(learner, level.answers), {})
            assert record["status"] == "graded", (level.name, record["reasons"])
            points.append(record["score"])
            assert level.low <= record["score"] <= level.high, (level.name, record["score"], said(record))
            for words in level.says:
                assert words in said(record), (level.name, words, said(record))
            assert sum(c["max_points"] for c in record["cells"] if c["needs_manual"]) == level.by_hand, level.name
    finally:
        grader.close()
    assert points == sorted(points, reverse=True) and len(set(points)) == 5, points


def test_submissions_name_cells_that_exist():
    for task, levels in TASKS.items():
        cells = json.loads(built_paths(FOLDER / f"{task}.py", ROOT)[1].read_text(encoding="utf-8"))["cells"]
        known = {c["metadata"].get("nbgrader", {}).get("grade_id") for c in cells}
        assert all(set(level.answers) <= known for level in levels)
