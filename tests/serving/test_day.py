"""The simulated day: seeded requests, executed plans, scores by the stated weights, and what electricity costs."""

import copy
import math

import pytest

from lessonlib.labs import deployment_plan as task
from lessonlib.serving import day_cases, day_score
from lessonlib.serving.day import VARIANTS, clock, requests, run

pytestmark = pytest.mark.l16
CASES = {case.name: case for case in day_cases.named(7)}
PLAIN = CASES["the day on the dual 32 GiB server"]


def changed(case=PLAIN, change=lambda plan: None):
    """(result, score) of the reference plan of a day after a change."""
    plan = copy.deepcopy(case.reference)
    change(plan)
    return case.execute(plan), case.score(plan)


# Requests


@pytest.mark.parametrize("variant", VARIANTS)
def test_seeds_make_days(variant):
    days = [requests(task.workloads(), seed, variant) for seed in (1, 1, 2)]
    assert days[0] == days[1] != days[2]


def test_requests_stay_within_what_a_workload_says():
    work = {w["name"]: w for w in task.workloads()}
    for seed in range(20):
        made, _ = requests(list(work.values()), seed)
        for name, one in work.items():
            own = [r for r in made if r.workload == name]
            sizes = [r.prompt + r.answer for r in own]
            assert max(sizes) == one["context"] and len(own) == 5 * one["users"]
            assert all(one["start_s"] <= r.at < one["end_s"] - 100 for r in own)
            assert one["start_s"] + 20 <= own[0].at <= one["start_s"] + 42
            bursts = [sum(abs(r.at - other.at) < 3 for other in own) for r in own]
            assert min(bursts) == max(bursts) == one["users"]


def test_what_else_happens():
    made, happened = requests(task.workloads(), 3, "urgent")
    (urgent,) = [r for r in made if r.kind == "urgent"]
    assert happened[0].request is urgent and urgent.workload != "coding"
    assert all(abs(r.at - urgent.at) > 200 for r in made if r is not urgent)
    made, happened = requests(task.workloads(), 3, "conversation")
    assert [r.workload for r in made if r.kind == "conversation"] == ["coding", "documents"] and not happened
    (died,) = requests(task.workloads(), 3, "restart")[1]
    assert died.kind == "restart" and died.workload in ("documents", "reasoning")
    with pytest.raises(ValueError, match="must be one of plain"):
        requests(task.workloads(), 3, "holiday")


# Execution


@pytest.mark.parametrize("name", CASES)
def test_the_reference_serves_every_day_to_the_full(name):
    case = CASES[name]
    result, score = changed(case)
    assert score.points == pytest.approx(100) and not score.losses and not result.broke and not result.refused()
    assert all(said == was for *_, said, was in result.promised)


def test_switches_take_what_was_estimated():
    for case in CASES.values():
        for switch in changed(case)[0].switches[1:]:
            if switch.estimate and not switch.repaired:
                assert switch.seconds == pytest.approx(switch.estimate)


def test_memory_never_passes_its_bounds_and_is_kept_as_history():
    result, _ = changed()
    card, ram = 32 * 2**30, 128 * 2**30
    assert all(max(cards) <= card and held <= ram for _, cards, held in result.node.history)
    times = [at for at, *_ in result.node.history]
    assert times == sorted(times) and len(times) == 9
    most = max(held for *_, held in result.node.history)
    assert most == pytest.approx(sum(e["weights_gb"] for e in PLAIN.reference["engines"].values()) * 1e9)


def set_steps(number, steps):
    return lambda plan: plan["switches"][number].update(steps=steps)


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda p: p["switches"][1].update(steps=p["switches"][1]["steps"][::-1]),
         "the switch at 12:00, step 1 of 2, ('documents', 'POST', '/wake_up', None): 500. out of memory: GPU 0"),
        (set_steps(1, [("coding", "POST", "/v1/sleep", {"level": "l1"})]),
         "step 1 of 1, ('coding', 'POST', '/v1/sleep', {'level': 'l1'}): 404"),
        (set_steps(1, [("coding", "POST", "/v1/wake", None)]), "right place"),
        (set_steps(1, [("coding", "POST", "/snooze", None)]), "vLLM has no route /snooze"),
        (set_steps(1, [("coding", "GET", "/sleep", None)]), "/sleep does not take GET"),
        (set_steps(1, [("coding", "POST", "/collective_rpc", None)]), 'it needs the JSON body {"method": "reload_weights"}'),
        (set_steps(1, [("coding", "start")]), "coding runs already"),
        (set_steps(1, [("coding", "stop"), ("coding", "POST", "/wake_up", None)]), "connection refused"),
        (lambda p: p["engines"]["coding"].update(sleep_mode=False), "development mode only"),
        (lambda p: p["engines"]["documents"].update(bits=16), "out of memory: GPU 0"),
        (lambda p: p["engines"]["documents"].update(gpus=[0]), "out of memory: GPU 0 would hold"),
    ],
)  # fmt: skip
def test_an_impossible_plan_ends_at_the_step_that_is_named(change, says):
    result, score = changed(change=change)
    if says == "right place":
        assert result.broke.endswith("POST /wake_up")
    else:
        assert says in result.broke
    assert score.losses[0] == result.broke and score.points < 60
    assert any("the plan had ended" in r.refused for r in result.requests)


def test_too_much_asleep_for_the_ram():
    case = CASES["48 GiB of RAM"]
    result = case.execute(PLAIN.reference)
    assert "sleeping weights would take" in result.broke and "of 51.5 GB of RAM" in result.broke


def test_a_half_woken_engine_answers_nobody():
    def forget(plan):
        plan["switches"][1]["steps"] = [
            ("coding", "POST", "/sleep?level=1", None), ("documents", "POST", "/sleep?level=2", None),
            ("documents", "POST", "/wake_up?tags=weights", None),
        ]  # fmt: skip

    result, _ = changed(change=forget)
    refused = result.refused()
    assert {r.workload for r in refused} >= {"documents"} and "never woken" in refused[0].refused


def test_modes_at_the_end_of_a_conversation():
    case = CASES["a conversation at the end of a slot"]

    def abort(plan):
        for switch in plan["switches"]:
            switch["steps"] = [
                (*s[:2], s[2].replace("&mode=wait", ""), s[3]) if len(s) == 4 else s for s in switch["steps"]
            ]

    result, score = changed(case, abort)
    assert [r.kind for r in result.refused()] == ["conversation"] and "mode=abort" in result.refused()[0].refused
    assert score.shares["requests"] == pytest.approx(1 - 10 / 70)
    assert changed(case)[0].switches[2].waited > 20


def test_urgent_requests_need_a_fallback_and_the_way_back():
    case = CASES["an urgent request in mid-slot"]
    result, score = changed(case, lambda p: p["fallbacks"].update(urgent={}))
    assert [r.kind for r in result.refused()] == ["urgent"] and score.shares["requests"] < 0.9

    def stay(plan):
        for ways in plan["fallbacks"]["urgent"].values():
            for way in ways.values():
                way["back"] = []

    result, score = changed(case, stay)
    assert len(result.refused()) > 5 and score.points < 60


@pytest.mark.parametrize("name", [n for n in CASES if "urgent" not in n])
def test_level_2_is_quick_enough_where_nobody_is_in_a_hurry(name):
    case = CASES[name]
    deep = task.reference_plan(case.server, case.workloads, task.models(), deep=True)
    assert case.score(deep).points == pytest.approx(100)


def test_urgent_at_level_2_is_late():
    case = CASES["an urgent request in mid-slot"]
    low = day_cases.replace(case, server=task.server(ram_gib=1))
    result = low.execute(low.reference)
    (late,) = result.delayed(day_score.limits(low.workloads))
    assert late.kind == "urgent" and 5 < late.began - late.at < 20
    assert low.score(low.reference).shares["requests"] == pytest.approx(1 - 5 / 60)


def test_a_dead_process_is_restarted_by_the_plan():
    case = CASES["a process that died in its sleep"]
    result, _ = changed(case)
    (repaired,) = [s for s in result.switches if s.repaired]
    assert repaired.steps[-1][0][1] == "start" and repaired.seconds > 40
    result, score = changed(case, lambda p: p["fallbacks"].update(restart={}))
    assert "connection refused" in result.broke and score.points < 80


def test_a_dead_engine_that_was_awake_is_restarted_at_once(models):
    """Two small engines, a card each, that never sleep: no switch would ever notice."""
    work, plan = together(models)
    for seed in range(4):
        result = run(plan, task.server(), work, models, seed, "restart")
        assert not result.broke and not result.refused()
        assert any(s.name.startswith("the restart at") for s in result.switches)


def together(models):
    """Two workloads whose engines are awake all day, on a card each."""
    wishes = [["qwen3-14b", 4]]
    work = [task.workload("a", 8, 12, wishes, 8192, 2), task.workload("b", 12, 16, wishes, 8192, 2)]
    engines = {n: task.engine(models, "qwen3-14b", 4, [i], 8192, 2) for i, n in enumerate("ab")}
    states = {"a": "awake", "b": "awake"}
    return work, {
        "engines": engines, "slots": [{"workload": n, "engine": n, "residency": states} for n in "ab"],
        "switches": [{"at_s": 6 * 3600, "steps": [("a", "start"), ("b", "start")], "estimate_s": None}],
        "fallbacks": {"urgent": {}, "restart": {"a": [("a", "start")], "b": [("b", "start")]}},
    }  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_plan_without_any_switch_can_be_right(models, variant):
    work, plan = together(models)
    case = day_cases.Case("two on two", task.server(), work, variant, 5)
    assert case.score(plan).points == pytest.approx(100)


def test_one_engine_may_serve_two_slots(models):
    work, plan = together(models)
    plan["slots"][1].update(engine="a")
    case = day_cases.Case("one for two", task.server(), work, "plain", 5)
    assert case.score(plan).points == pytest.approx(100)


# Scores


def test_weights_are_the_stated_ones():
    result, score = changed(change=lambda p: [s.update(estimate_s=99) for s in p["switches"]])
    assert score.shares == {"requests": 1, "wishes": 1, "promises": pytest.approx(9 / 11), "electricity": 1}
    assert score.points == pytest.approx(100 - 15 * 2 / 11)

    def second(plan):
        plan["engines"]["coding"].update(model="qwen2.5-coder-32b")

    score = changed(change=second)[1]
    assert score.shares["wishes"] == pytest.approx((0.6 + 2) / 3)
    assert day_score.BASE + sum(day_score.WEIGHTS.values()) == 100
    assert any("qwen3-coder-next in 4 bits is preferred and fits" in loss for loss in score.losses)


def test_a_model_that_nobody_wished_for_serves_nobody():
    result, score = changed(change=lambda p: p["engines"]["coding"].update(model="qwen3-8b"))
    assert {r.workload for r in result.refused()} == {"coding"} and "none of its wishes" in result.refused()[0].refused
    assert score.shares["wishes"] == pytest.approx(2 / 3)


def test_residency_is_compared():
    def promise(plan):
        plan["slots"][0]["residency"] = {"coding": "awake", "documents": "level 2", "nobody": "cold"}

    result, score = changed(change=promise)
    assert ("coding", "documents", "level 2", "level 1") in result.promised
    assert ("coding", "nobody", "cold", "not in the plan") in result.promised
    assert score.shares["promises"] < 1 and any("should be 'level 2'" in loss for loss in score.losses)


def test_electricity_is_counted_to_the_watt():
    result, _ = changed()
    found = day_score.electricity(result)
    s = task.server()
    joules = found["busy_s"] * (s["board_w"] - s["idle_w"]) + 86_400 * (2 * s["idle_w"] + s["rest_w"])
    assert found["kwh"] == pytest.approx(joules / 3.6e6) and found["usd"] == pytest.approx(found["kwh"] * 0.17)
    busy = [(r.began, r.ended) for r in result.requests]
    assert found["busy_s"] < 2 * sum(end - begin for begin, end in busy)  # overlaps count once
    assert day_score._covered([(0, 2), (1, 3), (5, 6)]) == 4


def test_wasteful_plans_pay(models):
    work = [task.workload("tables", 8, 12, [["qwen3-8b", 4], ["qwen3-8b", 16]], 8192, 2)] + task.workloads()[1:]
    case = day_cases.Case("a card", task.server(usd_kwh=1), work, "plain", 1)
    dear = copy.deepcopy(case.reference)
    dear["engines"]["tables"].update(bits=16)
    assert day_score.electricity(case.execute(dear))["usd"] > day_score.electricity(case.execute(case.reference))["usd"]
    result = case.execute(case.reference)
    assert day_score.judge(result, case.server, work, models, 1e-9).shares["electricity"] == 0
    half = day_score.electricity(result)["usd"] / 1.575
    assert day_score.judge(result, case.server, work, models, half).shares["electricity"] == pytest.approx(0.5)


def test_patience_ends():
    result, _ = changed(change=lambda p: p["switches"][1].update(at_s=13.5 * 3600))
    assert any("no answer within 300 s" in r.refused for r in result.refused())


def test_half_points_for_late_answers():
    case = CASES["one 24 GiB card"]
    result, score = changed(case, lambda p: [e.update(sequences=1) for e in p["engines"].values()])
    late = result.delayed(day_score.limits(case.workloads))
    assert late and not result.refused()
    assert score.shares["requests"] == pytest.approx(1 - len(late) / 2 / len(result.requests))


def test_times_of_the_day():
    assert [clock(s) for s in (0, 27_000, 43_205, 86_399.9)] == ["00:00", "07:30", "12:00:05", "24:00"]


def test_nothing_of_a_plan_is_changed_by_running_it():
    plan = PLAIN.reference
    before = copy.deepcopy(plan)
    PLAIN.execute(plan)
    assert plan == before and not math.isnan(PLAIN.score(plan).points)
