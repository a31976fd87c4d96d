"""The checks of lesson 12 let right answers through, in any form, and catch every wrong one with its message."""

import math
from fractions import Fraction

import pytest

from lessonlib.checks import gpu_hardware as checks  # registers the exercises
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.paths import course_root

pytestmark = pytest.mark.l12
FOLDER = course_root(__file__) / "solutions" / "12_gpu_hardware"
NAMES = {"l12_e1": "roof", "l12_e2": "tokens_per_s", "l12_e3": "link_seconds", "l12_e4": "binding_limit"}
assert checks


def roof(card, flops_per_byte):
    peak = card["tensor_tflops"] / (2 if card["tensor_is_sparse"] else 1)
    return peak * 1e12 / (card["bandwidth_gbs"] * 1e9), min(peak, flops_per_byte * card["bandwidth_gbs"] / 1000)


def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    experts = min(model["experts"], batch * model["experts_per_token"])
    weights = (model["shared_weights"] + experts * model["expert_weights"]) * model["bytes_per_weight"]
    return batch * bandwidth_gbs * 1e9 / (weights + batch * tokens * model["cache_bytes_per_token"])


def link_seconds(layers, hidden, batch, gpus, link):
    one_way = link["gbs"] * 1e9 / (2 if link["both_directions"] else 1)
    turns = 2 * (gpus - 1)
    return 2 * layers * turns * (batch * hidden * 2 / gpus / one_way + link["latency_us"] * 1e-6)


def binding_limit(job, card, cards, site_watts):
    missing = job["bytes_held"] - card["vram_gib"] * 2**30
    if missing > 0:
        return "memory", missing
    if cards * card["watts"] > site_watts:
        return "power", cards * card["watts"] - site_watts
    times = {
        "bandwidth": job["bytes_read"] / card["bandwidth_gbs"] / 1e9,
        "compute": job["flops"] / card["dense_tflops"] / 1e12,
        "link": job["bytes_sent"] / card["link_gbs"] / 1e9,
    }
    name = max(times, key=times.get)
    return name, times[name]


REFERENCE = {"l12_e1": roof, "l12_e2": tokens_per_s, "l12_e3": link_seconds, "l12_e4": binding_limit}


def roof_in_exact_fractions(card, flops_per_byte):
    """Base units throughout, exact arithmetic, a list."""
    peak = Fraction(card["tensor_tflops"]) * 10**12
    if card["tensor_is_sparse"]:
        peak /= 2
    bandwidth = card["bandwidth_gbs"] * 10**9
    reached = peak if flops_per_byte >= peak / bandwidth else Fraction(flops_per_byte) * bandwidth
    return [peak / bandwidth, float(reached / 10**12)]


def roof_as_floats(card, flops_per_byte):
    """Sorted instead of min."""
    halves = {True: 0.5, False: 1.0}
    peak = card["tensor_tflops"] * halves[card["tensor_is_sparse"]]
    return 1e3 / (card["bandwidth_gbs"] / peak), sorted([peak, flops_per_byte * card["bandwidth_gbs"] * 1e-3])[0]


def tokens_sequence_by_sequence(model, bandwidth_gbs, batch, tokens):
    """A loop that hands out experts and adds bytes."""
    free, total = model["experts"], model["shared_weights"] * model["bytes_per_weight"]
    for _ in range(batch):
        used = min(free, model["experts_per_token"])
        free -= used
        total += used * model["expert_weights"] * model["bytes_per_weight"] + tokens * model["cache_bytes_per_token"]
    steps = Fraction(bandwidth_gbs * 10**9) / Fraction(total)
    return steps * batch


def tokens_from_the_time(model, bandwidth_gbs, batch, tokens):
    """Seconds first, by parts."""
    import numpy

    experts = (
        model["experts"]
        if batch * model["experts_per_token"] > model["experts"]
        else batch * model["experts_per_token"]
    )
    parts = numpy.array([model["shared_weights"], experts * model["expert_weights"]]) * model["bytes_per_weight"]
    seconds = (parts.sum() + batch * tokens * model["cache_bytes_per_token"]) / (bandwidth_gbs * 1e9)
    return numpy.float64(batch / seconds)


def link_turn_by_turn(layers, hidden, batch, gpus, link):
    """Layer by layer, turn by turn."""
    seconds, one_way = 0.0, link["gbs"] * 1e9
    if link["both_directions"]:
        one_way /= 2
    for _ in range(layers):
        for _ in ("attention", "feed-forward"):
            for _ in range(2 * (gpus - 1)):
                seconds += batch * hidden * 2 / gpus / one_way + link["latency_us"] / 1e6
    return seconds


def link_two_halves(layers, hidden, batch, gpus, link):
    """Reduce-scatter, then all-gather, in microseconds."""
    if gpus == 1:
        return 0
    micro = batch * hidden * 2 / gpus / (link["gbs"] * 1e3 / (1 + link["both_directions"])) + link["latency_us"]
    return layers * 2 * ((gpus - 1) * micro + (gpus - 1) * micro) / 1e6


def limit_by_ifs(job, card, cards, site_watts):
    """Comparisons written out, a list."""
    room = card["vram_gib"] * 1024**3
    if room < job["bytes_held"]:
        return ["memory", job["bytes_held"] - room]
    draw = sum(card["watts"] for _ in range(cards))
    if draw > site_watts:
        return ["power", float(draw - site_watts)]
    read, work, sent = (
        job["bytes_read"] / (card["bandwidth_gbs"] * 1e9), job["flops"] / (card["dense_tflops"] * 1e12),
        job["bytes_sent"] / (card["link_gbs"] * 1e9),
    )  # fmt: skip
    if read >= work and read >= sent:
        return ["bandwidth", read]
    return ["compute", work] if work >= sent else ["link", sent]


def limit_sorted(job, card, cards, site_watts):
    """A sorted list of times, exact fractions."""
    lacking = {"memory": job["bytes_held"] - card["vram_gib"] * 2**30, "power": cards * card["watts"] - site_watts}
    for name, value in lacking.items():
        if value > 0:
            return name, value
    pairs = (("bytes_read", "bandwidth_gbs", 9), ("flops", "dense_tflops", 12), ("bytes_sent", "link_gbs", 9))
    times = [Fraction(job[need], card[speed] * 10**power) for need, speed, power in pairs]
    return sorted(zip(times, ("bandwidth", "compute", "link"), strict=True))[-1][::-1]


OTHERS = {
    "l12_e1": [roof_in_exact_fractions, roof_as_floats],
    "l12_e2": [tokens_sequence_by_sequence, tokens_from_the_time],
    "l12_e3": [link_turn_by_turn, link_two_halves],
    "l12_e4": [limit_by_ifs, limit_sorted],
}


WRONG = wrong_answers(FOLDER / "12_gpu_hardware.py")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", NAMES)
def test_right_answers_in_any_style_score_full(name, seed):
    for answer in (REFERENCE[name], *OTHERS[name]):
        run_check(name, answer, seed)
        assert [r for r in run_properties(name, answer, seed) if not r.passed] == [], answer
        assert score_properties(name, answer, points=2, seed=seed) == 2


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_fails_the_visible_check_with_its_message(wrong, seed):
    name, space = exercise_of(wrong.grade_id), {}
    exec(wrong.code, space)
    with pytest.raises(CheckFailed) as caught:
        run_check(name, space[NAMES[name]], seed)
    assert wrong.says in str(caught.value)
    assert score_properties(name, space[NAMES[name]], points=2, seed=seed) < 2


@pytest.mark.parametrize("name", NAMES)
def test_each_exercise_has_eight_wrong_answers_with_names_of_their_own(name):
    mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
    assert len(mine) >= 8 and len(set(mine)) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nonsense", [None, "fast", math.nan, 0, True, (1,), ("memory", None), (0, 0)])
def test_nonsense_fails_with_a_sentence(name, nonsense):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, lambda *a: nonsense)
    assert len(str(caught.value)) > 20
    assert score_properties(name, lambda *a: nonsense, points=1) < 0.5


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_repeatable_and_safe_from_changes():
    asked = []

    def record(card, intensity):
        asked.append((tuple(card.values()), intensity))
        answer = roof(card, intensity)
        card.clear()
        return answer

    for seed in (1, 1, 2):
        run_check("l12_e1", record, seed)
    assert asked[:4] == asked[4:8] != asked[8:]
