"""The capstone task deployment_plan: its own solution scores full, right answers in other forms too, wrong ones do not, and
five submissions of falling quality score in this order."""

import random
import time
from fractions import Fraction

import numpy as np
import pytest

from lessonlib.checks import deployment_plan as checks
from lessonlib.checks import deployment_plan_cases as cases
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.course.source import read_source
from lessonlib.labs import deployment_plan as task
from lessonlib.paths import course_root
from lessonlib.serving import day_cases

pytestmark = pytest.mark.l16
ROOT = course_root(__file__)
FOLDER = ROOT / "solutions" / "16_capstone"
NAMES = {
    "l16_plan_e1": "switch_seconds", "l16_plan_e2": "first_break", "l16_plan_e3": "switch_calls", "l16_plan_e4": "plan",
}  # fmt: skip
WRONG = [w for w in wrong_answers(FOLDER / "deployment_plan.py") if exercise_of(w.grade_id) in NAMES]


def solution() -> dict:
    """The functions of the page's own solution cells, in one namespace."""
    space = {"hints": lambda name: None, "task": task}
    for cell in read_source(FOLDER / "deployment_plan.py", ROOT).cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            exec(cell.source, space)
    return space


def answer_of(wrong):
    space = solution()
    exec(wrong.code, space)
    return space[NAMES[exercise_of(wrong.grade_id)]]


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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_solution_scores_full(name, seed, capsys):
    answer = solution()[NAMES[name]]
    run_check(name, answer, seed)
    assert points(name, answer, seed) == 1, capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_checks_answer_at_once(name):
    answer = solution()[NAMES[name]]
    run_check(name, answer)
    begun = time.process_time()
    run_check(name, answer)
    assert time.process_time() - begun < 0.1 * (2 if name == "l16_plan_e4" else 1)


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_scores_nothing(name):
    def gap(*args, **kwargs):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert points(name, gap) == 0


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{exercise_of(w.grade_id)}-{w.name}")
def test_each_wrong_answer_is_caught_by_name(wrong):
    name = exercise_of(wrong.grade_id)
    answer = answer_of(wrong)
    with pytest.raises(CheckFailed):  # a learner should hear of it in the notebook, not only from the grade
        run_check(name, answer)
    share, said = outcome(name, answer)
    assert share < 1
    assert wrong.says in said, said


def test_each_exercise_has_five_wrong_answers_and_three_hints():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)
        assert len(exercise(name).hints) == 3 and len(exercise(name).properties) >= 3


@pytest.mark.parametrize(
    "junk", [None, 0, 1.5, "18", [], True, float("nan"), float("inf"), -1.0, {}, [()], [("coding",)]]
)
@pytest.mark.parametrize("name", NAMES)
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


# Right answers in other words


def fractions_seconds(server, leaves, leaves_to, comes, comes_from):
    def over(engine, speed, lanes=1):
        return Fraction(engine["weights_gb"]) / Fraction(speed) / lanes

    total = Fraction(server["stop_s"]) if leaves_to == "cold" else Fraction(0)
    if leaves_to == "level 1":
        total += over(leaves, server["link_gbs"], len(leaves["gpus"]))
    for part in [] if comes_from == "level 1" else [over(comes, server["storage_gbs"])]:
        total += part
    total += over(comes, server["link_gbs"], len(comes["gpus"]))
    extra = ["process_start_s", "warm_up_s"] if comes_from == "cold" else ["wake_s"]
    return total + sum(Fraction(server[k]) for k in extra)


def numpy_seconds(server, leaves, leaves_to, comes, comes_from):
    state = ["cold", "level 1", "level 2"]
    w = (
        np.array([leaves["weights_gb"], comes["weights_gb"]])
        / [len(leaves["gpus"]), len(comes["gpus"])]
        / server["link_gbs"]
    )
    down = np.array([server["stop_s"], w[0], 0.0])[state.index(leaves_to)]
    read, cold = comes["weights_gb"] / server["storage_gbs"], server["process_start_s"] + server["warm_up_s"]
    return down + w[1] + np.array([read + cold, server["wake_s"], read + server["wake_s"]])[state.index(comes_from)]


def numpy_break(server, engines, moments):
    card, ram = server["vram_gib"] * 2**30, server["ram_gib"] * 2**30
    for number, states in enumerate(moments):
        held = np.zeros(server["gpus"] + 1)
        for name, state in states.items():
            one = engines[name]
            n = len(one["gpus"])
            each = {
                "cold": 0.0, "level 1": server["asleep_gb"], "level 2": server["asleep_gb"],
                "awake": one["weights_gb"] / n + one["cache_gb"] / np.minimum(n, one["kv_heads"]) + server["overhead_gb"],
            }[state]  # fmt: skip
            held[one["gpus"]] += each
            held[-1] += one["weights_gb"] * (state == "level 1")
        full = np.flatnonzero(held * 1e9 > np.array([card] * server["gpus"] + [ram]))
        if len(full):
            return [np.int64(number), "RAM" if full[0] == server["gpus"] else f"GPU {full[0]}"]


def polite_calls(leaves, leaves_to, comes, comes_from):
    """Looks whether it worked, waits by level 0 first, and wakes all in one go before it reloads."""
    steps = [[leaves, "GET", "/is_sleeping", None]]
    if leaves_to == "cold":
        steps.append([leaves, "stop"])
    else:
        steps += [
            [leaves, "POST", f"/sleep?mode=wait&level={leaves_to.split()[1]}", {}],
            [leaves, "GET", "/metrics", None],
        ]
    if comes_from == "cold":
        return [*steps, [comes, "start"], [comes, "GET", "/health", None]]
    steps.append([comes, "POST", "/wake_up?tags=weights&tags=kv_cache", None])
    if comes_from == "level 2":
        steps.append([comes, "POST", "/collective_rpc", {"method": "reload_weights", "timeout": 60}])
    return steps


def everything_deep_plan(server, workloads, models):
    """Level 2 where nobody is in a hurry: the largest stay at level 1 as long as RAM holds them, and the switch waits until
    shortly before the next slot where there is a gap."""
    plan = task.reference_plan(server, workloads, models)
    for switch, work, after in zip(plan["switches"][1:], workloads, workloads[1:], strict=False):
        if after["start_s"] > work["end_s"]:
            switch["at_s"] = after["start_s"] - 120
        switch["estimate_s"] = round(switch["estimate_s"], 2)
        switch["steps"] = [list(step) for step in switch["steps"]]
    plan["notes"] = "fields that nobody asked for do no harm"
    return plan


def smallest_first_plan(server, workloads, models):
    """Chooses levels the other way round: as many engines as possible at level 1."""
    plan = task.reference_plan(server, workloads, models)
    engines = plan["engines"]
    names, levels = list(engines), dict.fromkeys(engines, "level 2")
    for name in sorted(names, key=lambda n: engines[n]["weights_gb"]):
        if task.first_break(server, engines, [{**levels, name: "level 1"}]) is None:
            levels[name] = "level 1"

    def move(a, b):
        return task.switch_calls(a, levels[a], b, levels[b])

    morning = [s for n in reversed(names[1:]) for s in [(n, "start"), *task.calls_down(n, levels[n])]]
    plan["switches"][0]["steps"] = [*morning, (names[0], "start")]
    for switch, a, b in zip(plan["switches"][1:], names, names[1:], strict=False):
        seconds = task.switch_seconds(server, engines[a], levels[a], engines[b], levels[b])
        switch.update(steps=move(a, b), estimate_s=np.float64(seconds))
    plan["slots"] = tuple({"workload": n, "engine": n, "residency": {**levels, n: "awake"}} for n in names)
    plan["fallbacks"]["urgent"] = {a: {b: {"there": move(a, b), "back": move(b, a)} for b in names} for a in names}
    return plan


@pytest.mark.parametrize(
    "name, answer",
    [
        ("l16_plan_e1", fractions_seconds), ("l16_plan_e1", numpy_seconds), ("l16_plan_e1", task.switch_seconds),
        ("l16_plan_e2", numpy_break), ("l16_plan_e2", task.first_break), ("l16_plan_e3", polite_calls),
        ("l16_plan_e3", task.switch_calls), ("l16_plan_e4", everything_deep_plan), ("l16_plan_e4", smallest_first_plan),
        ("l16_plan_e4", task.reference_plan),
    ],
)  # fmt: skip
def test_other_right_answers_score_full(name, answer, capsys):
    for seed in range(3):
        run_check(name, answer, seed)
        assert points(name, answer, seed) == 1, capsys.readouterr().out


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
    return answer_of(next(w for w in WRONG if exercise_of(w.grade_id) == name and w.name == kind))


def submissions() -> list[dict]:
    """Excellent; good: no sleep mode in the plan; fair: a slip in each, one plan for all servers; poor: misconceptions; nonsense."""
    e1, e2, e3, e4 = NAMES
    right = {name: solution()[function] for name, function in NAMES.items()}
    slips = {e2: named_wrong(e2, "split_heads"), e3: named_wrong(e3, "cuts_answers"), e4: fixed_plan}
    poor = {e1: named_wrong(e1, "one_link"), e2: named_wrong(e2, "number_only"), e3: named_wrong(e3, "source_lesson")}
    nonsense = dict.fromkeys(NAMES, lambda *args: "start all models at eight")
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
