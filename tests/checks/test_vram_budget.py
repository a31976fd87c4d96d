"""The capstone task vram_budget: its own solution cells score full, right answers in any form too, wrong ones do not."""

from fractions import Fraction

import numpy as np
import pytest

from lessonlib.calc import memory
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.course.source import read_source
from lessonlib.facts import catalog
from lessonlib.labs import vram_budget as task
from lessonlib.paths import course_root

pytestmark = pytest.mark.l16
ROOT = course_root(__file__)
FOLDER = ROOT / "solutions" / "16_capstone"
NAMES = {
    "l16_vram_e1": "weights_gb",
    "l16_vram_e2": "cache_gb",
    "l16_vram_e3": "per_gpu_gb",
    "l16_vram_e4": "budget_table",
    "l16_vram_e5": "cheapest",
}


WRONG = wrong_answers(FOLDER / "vram_budget.py")


def solution() -> dict:
    """The functions of the page's own solution cells, in one namespace."""
    space = {"hints": lambda name: None}
    for cell in read_source(FOLDER / "vram_budget.py", ROOT).cells:
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
            exec(cell.source, space)
    return space


def answer_of(wrong):
    space = solution()
    exec(wrong.code, space)
    return space[NAMES[exercise_of(wrong.grade_id)]]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", NAMES)
def test_solution_scores_full(name, seed, capsys):
    answer = solution()[NAMES[name]]
    run_check(name, answer, seed)
    assert score_properties(name, answer, points=3, seed=seed) == 3, capsys.readouterr().out


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_scores_nothing(name):
    def gap(*args, **kwargs):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=3) == 0


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_scores_less_and_earns_its_message(wrong):
    name, answer = exercise_of(wrong.grade_id), answer_of(wrong)
    said = []
    try:
        run_check(name, answer)
    except CheckFailed as error:
        said.append(str(error))
    results = run_properties(name, answer)
    assert said or not all(r.passed for r in results), "it scores as much as a right answer"
    assert any(wrong.says in text for text in [*said, *(r.message for r in results)]), (said, results)
    if wrong.name not in ("always_8192",):  # the visible check asks for 8,192 tokens, as the task does
        assert said, "a learner should hear of it in the notebook, not only from the grade"


def test_each_exercise_has_five_wrong_answers_and_three_hints():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 5 and len(set(mine)) == len(mine)
        assert len(exercise(name).hints) == 3 and len(exercise(name).properties) >= 3


@pytest.mark.parametrize("junk", [None, 0, 1.5, "18", [], True, float("nan"), float("inf"), -1.0])
@pytest.mark.parametrize("name", NAMES)
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
    wrong = next(w for w in WRONG if exercise_of(w.grade_id) == identity and w.name == kind)
    assert score_properties(identity, answer_of(wrong), points=1) == pytest.approx(earned, abs=1e-3)


# Right answers in other words


def numpy_weights(parameters, bits, kept_16bit=0, group=None):
    shares = np.array([parameters - kept_16bit, kept_16bit], dtype=float)
    return shares @ np.array([bits + (20 / group if group else 0), 16.0]) / 8e9


def exact_weights(parameters, bits, kept_16bit=0, group=None):
    return Fraction((parameters - kept_16bit) * (bits + Fraction(20, group or 10**30)) + 16 * kept_16bit, 8 * 10**9)


def counted_cache(model, tokens, bytes_per_value=2):
    return (
        sum(2 * model["kv_heads"] * model["head_dim"] * bytes_per_value for _ in range(model["layers"])) * tokens * 1e-9
    )


def heads_share(weights, cache, kv_heads, tp, overhead):
    return weights / tp + cache * max(1, kv_heads // tp) / kv_heads + overhead


def listed_table(models, configs, tokens=8192):
    return [
        {
            "fits": np.bool_(b.total <= c["vram_gib"] * 1024**3), "per_gpu_gb": np.float64(b.total / 10**9),
            "config": c["name"], "model": m["name"],
        }
        for m in models
        for c in configs
        for b in [task.budget(m, c, tokens)]
    ]  # fmt: skip


def searched_choice(model, offers, users, context):
    """Tokens found by halving an interval, machines sorted with pandas-like keys; numbers of NumPy."""
    choices = []
    for offer in offers:
        for gpus in range(1, offer["most"] + 1):
            low, high = -1, model["window"]
            while gpus in (1, 2, 4, 8) and low < high:
                middle = (low + high + 1) // 2
                need = task.budget(model, {"gpus": gpus}, 0).total
                need += task.cache_gb(model, middle) * 1e9 * users / min(gpus, model["kv_heads"])
                low, high = (middle, high) if need <= offer["vram_gib"] * 1024**3 else (low, middle - 1)
            if low >= context:
                choices.append(
                    {"longest_context": low, "card": offer["card"], "gpus": gpus, "usd": np.int64(gpus * offer["usd"])}
                )
    return sorted(choices, key=lambda c: (c["usd"], c["gpus"]))[0] if choices else None


@pytest.mark.parametrize(
    "name, answer",
    [
        ("l16_vram_e5", searched_choice), ("l16_vram_e5", task.reference_choice),
        ("l16_vram_e1", numpy_weights), ("l16_vram_e1", exact_weights), ("l16_vram_e2", counted_cache),
        ("l16_vram_e3", heads_share), ("l16_vram_e4", listed_table), ("l16_vram_e1", task.weights_gb),
        ("l16_vram_e2", task.cache_gb), ("l16_vram_e4", task.reference_table),
    ],
)  # fmt: skip
def test_other_right_answers_score_full(name, answer, capsys):
    run_check(name, answer)
    assert score_properties(name, answer, points=3) == 3, capsys.readouterr().out


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
    share = solution()["per_gpu_gb"]
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
