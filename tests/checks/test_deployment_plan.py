"""The capstone task deployment_plan: plans of any form get a sentence, five submissions of falling quality score in this
order, and its cases can be made."""

import random

import pytest

from lessonlib.checks import deployment_plan as checks
from lessonlib.checks import deployment_plan_cases as cases
from lessonlib.checks.core import CheckFailed, run_check, run_properties, score_properties
from lessonlib.course.score import exercise_of
from lessonlib.labs import deployment_plan as task
from lessonlib.paths import course_root
from lessonlib.serving import day_cases

from .answers import lesson

pytestmark = pytest.mark.l16
PAGE = lesson(course_root(__file__) / "solutions" / "16_capstone" / "deployment_plan.py")


def points(name: str, answer, seed: int = 0) -> float:
    """The share of the hidden points."""
    if name == "l16_plan_e4":
        return checks.score_plan(answer, 1, seed)
    return score_properties(name, answer, 1, seed)


def outcome(name: str, answer) -> tuple[float, str]:
    """(share of the hidden points, everything that was said)."""
    said = []
    try:
        run_check(name, answer)
    except CheckFailed as error:
        said.append(str(error))
    said += [r.message for r in run_properties(name, answer)]
    return points(name, answer), "\n".join(said)


@pytest.mark.parametrize(
    "junk", [None, 0, 1.5, "18", [], True, float("nan"), float("inf"), -1.0, {}, [()], [("coding",)]]
)
@pytest.mark.parametrize("name", PAGE.asked)
def test_constants_earn_nothing(name, junk):
    with pytest.raises(CheckFailed):
        run_check(name, lambda *a, **k: junk)
    assert points(name, lambda *a, **k: junk) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p.update(engines=[]), lambda p: p.update(engines={"a": 1}), lambda p: p.update(slots=None),
        lambda p: p.update(slots=[{}]), lambda p: p["slots"].pop(), lambda p: p.update(switches={}),
        lambda p: p.update(switches=[{"at_s": "noon", "steps": []}]), lambda p: p["switches"][0].update(at_s=-1),
        lambda p: p["switches"][0].update(at_s=float("nan")), lambda p: p["switches"][0].update(steps=[None]),
        lambda p: p["switches"][0].update(steps=[("nobody", "start")]), lambda p: p["switches"][0].update(steps=[("coding", "fly")]),
        lambda p: p["switches"][0].update(steps=[("coding", "POST", 7, None)]),
        lambda p: p["switches"][0].update(steps=[("coding", "POST", "/sleep", 7)]),
        lambda p: p["engines"]["coding"].update(model="gpt-9"), lambda p: p["engines"]["coding"].update(bits=3),
        lambda p: p["engines"]["coding"].update(gpus=[]), lambda p: p["engines"]["coding"].update(gpus=[0, 0]),
        lambda p: p["engines"]["coding"].update(context=0), lambda p: p["engines"]["coding"].pop("sequences"),
        lambda p: p.update(fallbacks=[1]), lambda p: p.update(fallbacks={"urgent": 3}),
        lambda p: p["slots"][0].update(residency=[1]), lambda p: p["slots"][0].update(engine=["coding"]),
    ],
)  # fmt: skip
def test_plans_of_another_form_are_told_so(change):
    def malformed(server, workloads, models):
        plan = task.reference_plan(server, workloads, models)
        if "coding" in plan["engines"]:
            change(plan)
        return plan

    with pytest.raises(CheckFailed, match="cannot be executed|points"):
        run_check("l16_plan_e4", malformed)


def test_an_engine_cannot_lie_about_its_size():
    def lies(server, workloads, models):
        plan = task.reference_plan(task.server(gpus=server["gpus"], vram_gib=400, ram_gib=900), workloads, models)
        for engine in plan["engines"].values():
            engine.update(weights_gb=0.1, cache_gb=0.1)
        return plan

    assert "out of memory: GPU" in outcome("l16_plan_e4", lies)[1]


def test_answers_may_change_what_they_are_given():
    def careless(server, workloads, models):
        plan = task.reference_plan(server, workloads, models)
        for given in (server, workloads, models):
            given.clear()
        return plan

    run_check("l16_plan_e4", careless)
    assert checks.score_plan(careless, 1) == 1


# Five submissions of falling quality


def cold_plan(server, workloads, models):
    """Right engines, but processes are stopped and started; no fallbacks."""
    plan = task.reference_plan(server, workloads, models)
    names = list(plan["engines"])
    plan["switches"][0]["steps"] = [(names[0], "start")]
    for switch, a, b in zip(plan["switches"][1:], names, names[1:], strict=False):
        switch["steps"] = task.switch_calls(a, "cold", b, "cold")
        switch["estimate_s"] = task.switch_seconds(server, plan["engines"][a], "cold", plan["engines"][b], "cold")
    plan["slots"] = [
        {**s, "residency": {n: "awake" if n == s["engine"] else "cold" for n in names}} for s in plan["slots"]
    ]
    plan["fallbacks"] = {}
    return plan


def fixed_plan(server, workloads, models):
    """Written down for the task's server, whatever server comes."""
    return task.reference_plan(task.server(), task.workloads(), models)


def source_lessons_plan(server, workloads, models):
    """The same, with the calls of the source lesson."""
    plan = fixed_plan(server, workloads, models)
    names = list(plan["engines"])
    for switch, a, b in zip(plan["switches"][1:], names, names[1:], strict=False):
        switch["steps"] = [(a, "POST", "/v1/sleep", {"level": "l1"}), (b, "POST", "/v1/wake", None)]
    return plan


def named_wrong(name: str, kind: str):
    wrong = next(w for w in PAGE.wrong if exercise_of(w.grade_id) == name and w.name == kind)
    return PAGE.made(name, wrong.code)


def submissions() -> list[dict]:
    """Excellent; good: no sleep mode in the plan; fair: a slip in each, one plan for all servers; poor: misconceptions; nonsense."""
    e1, e2, e3, e4 = PAGE.asked
    right = {name: PAGE.solution(name) for name in PAGE.asked}
    slips = {e2: named_wrong(e2, "split_heads"), e3: named_wrong(e3, "cuts_answers"), e4: fixed_plan}
    poor = {e1: named_wrong(e1, "one_link"), e2: named_wrong(e2, "number_only"), e3: named_wrong(e3, "source_lesson")}
    nonsense = dict.fromkeys(PAGE.asked, lambda *args: "start all models at eight")
    return [right, {**right, e4: cold_plan}, {**right, **slips}, {**poor, e4: source_lessons_plan}, nonsense]


def total(answers: dict) -> tuple[float, str]:
    """(points of 26 as the page gives them, everything that was said)."""
    earned, said = 0.0, []
    for (name, answer), (check, hidden) in zip(answers.items(), [(1, 3), (1, 3), (1, 3), (2, 12)], strict=True):
        try:
            run_check(name, answer)
            earned += check
        except CheckFailed as error:
            said.append(str(error))
        earned += hidden * points(name, answer, seed=16)
    return earned, "\n".join(said)


def test_five_submissions_of_falling_quality(capsys):
    found = [total(answers) for answers in submissions()]
    hidden = capsys.readouterr().out
    earned = [points for points, _ in found]
    assert earned[0] == 26 and earned[-1] == 0
    for points_, low, high in zip(earned[1:4], (20, 11, 1), (24.5, 16, 5), strict=True):
        assert low < points_ < high, earned
    said = [text for _, text in found]
    assert said[0] == ""
    assert said[1].count("likely reason") == 1 and "urgent request" in said[1] and "no process listens" in said[1]
    assert "copy of one head" in said[2] and "mode=abort" in said[2] and "has GPUs 0 to 0" in said[2]
    assert "that is one link" in said[3] and "a pair" in said[3] and said[3].count("stand at the root") == 2
    assert "A plan is a dict" in said[4] and "a list of steps" in said[4]
    assert "an urgent request on a server drawn afresh" in hidden


# The comparisons


@pytest.mark.parametrize("slip", cases.SLIPS)
def test_a_case_can_be_made_for_every_slip(slip):
    for seed in range(20):
        server, engines, moments = cases.edge(random.Random(seed), slip)
        assert cases._breaks(server, engines, moments) == task.first_break(server, engines, moments)
        assert cases._breaks(server, engines, moments) != cases._breaks(server, engines, moments, slip)


def test_fresh_days_are_fresh_and_can_be_had_again():
    made = [day_cases.fresh(random.Random(seed)) for seed in range(8)]
    assert len({str(case.server) + str(case.workloads) for case in made}) == len(made)
    assert day_cases.fresh(random.Random(3)) == made[3]
    assert all(case.score(case.reference).points > 99.9 for case in made)
