"""The capstone task vram_budget: points by property, its reference, and its slips."""

import pytest

from lessonlib.calc import memory
from lessonlib.checks.core import CheckFailed, run_check, score_properties
from lessonlib.course.score import exercise_of
from lessonlib.facts import catalog
from lessonlib.labs import vram_budget as task
from lessonlib.paths import course_root

from .answers import lesson

pytestmark = pytest.mark.l16
PAGE = lesson(course_root(__file__) / "solutions" / "16_capstone" / "vram_budget.py")


@pytest.mark.parametrize("junk", [None, 0, 1.5, "18", [], True, float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", PAGE.asked)
def test_constants_earn_nothing(name, junk):
    with pytest.raises(CheckFailed):
        run_check(name, lambda *a, **k: junk)
    assert score_properties(name, lambda *a, **k: junk, points=3) == 0


@pytest.mark.parametrize(
    "name, earned",
    [
        ("l16_vram_e1-flat", 1 / 3), ("l16_vram_e1-in_gib", 1 / 3), ("l16_vram_e3-splits_a_head", 1 / 3),
        ("l16_vram_e2-always_16_bits", 1 / 3), ("l16_vram_e4-active_parameters", 3 / 4), ("l16_vram_e4-not_split", 1 / 4),
        ("l16_vram_e4-card_in_gb", 1 / 2), ("l16_vram_e4-rows_missing", 1 / 4),
    ],
)  # fmt: skip
def test_points_go_by_property(name, earned):
    identity, _, kind = name.partition("-")
    wrong = next(w for w in PAGE.wrong if exercise_of(w.grade_id) == identity and w.name == kind)
    assert score_properties(identity, PAGE.made(identity, wrong.code), points=1) == pytest.approx(earned, abs=1e-3)


def test_answers_may_change_what_they_are_given():
    def careless(models, configs, tokens=8192):
        rows = task.reference_table(models, configs, tokens)
        for given in (models, configs):
            given.clear()
        return rows

    run_check("l16_vram_e4", careless)
    assert score_properties("l16_vram_e4", careless, points=1) == 1
    assert len(task.CONFIGS) == 3


# The reference itself


def test_answer_key():
    """/facts: the key of the first exercise, by exact architecture; rounded sizes give the same verdicts."""
    exact = task.reference_table(task.exact_models(), task.CONFIGS)
    assert [round(row["per_gpu_gb"], 2) for row in exact[::3]] == [19.96, 22.97, 43.95]
    assert [round(row["per_gpu_gb"], 1) for row in exact[1::3]] == [10.7, 12.2, 22.7]
    assert [row["fits"] for row in exact] == [True, True, True, True, True, True, False, True, True]
    rounded = task.reference_table(task.round_models(), task.CONFIGS)
    assert [row["fits"] for row in rounded] == [row["fits"] for row in exact]
    assert [round(task.weights_gb(m["parameters"], m["bits"])) for m in task.round_models()] == [18, 16, 35]


def test_source_lessons_own_round_sums():
    """Its sums with its own caches are the claims S12-007 to S12-010."""
    share = PAGE.solution("l16_vram_e3")
    sums = [share(18, 0.5, 4, 1, 1.5), share(16, 1.3, 8, 1, 1.5), share(35, 2.8, 8, 1, 1.5)]
    assert sums == pytest.approx([catalog.claim(f"S12-00{n}").value[0] for n in (7, 8, 9)])
    assert share(35, 2.8, 8, 2, 1.5) == pytest.approx(catalog.claim("S12-010").value)


@pytest.mark.parametrize("name", ["qwen2.5-coder-32b", "llama-3.3-70b", "qwen3-0.6b", task.MIXTURE])
def test_reference_agrees_with_the_library(name):
    m = catalog.model(name)
    ours = task.record(name, 4)
    awq = memory.awq_weight_bytes(m.total_params_exact, m.embedding_params_exact, m.tied_embeddings)
    assert task.weights_gb(ours["parameters"], 4, ours["kept_16bit"], ours["group"]) == pytest.approx(awq / 1e9)
    kind = dict(layers=m.layers, attention_heads=m.attention_heads, kv_heads=m.kv_heads, head_dim=m.head_dim)
    for gpus in (n for n in (1, 2, 4, 8, 16) if m.attention_heads % n == 0):
        want = memory.gpu_budget(weights=awq, tokens=8192, tp=gpus, **kind)
        got = task.budget(ours, {"name": "X", "gpus": gpus, "vram_gib": 24})
        assert (got.weights, got.cache, got.overhead) == pytest.approx((want.weights, want.cache, want.overhead))


def test_the_mixture_has_idle_experts():
    assert task.record(task.MIXTURE, 4)["active_parameters"] < task.record(task.MIXTURE, 4)["parameters"] / 5
    assert all(m["active_parameters"] == m["parameters"] for m in task.exact_models())


def test_each_slip_turns_its_verdict_around():
    room = memory.card_bytes(24) / 1e9
    slips = task.slips()
    assert len({slip.name for slip in slips}) == 6
    for slip in slips:
        assert (slip.right_gb <= room) != (slip.wrong_gb <= slip.room_gb), slip
        assert slip.model not in [m["name"] for m in task.exact_models()]
