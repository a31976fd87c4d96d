"""The rules of the capstone task model_selection against the fact base, the library, and each other."""

import random

import pytest

from lessonlib.calc import architecture, throughput, vram, weights
from lessonlib.calc import cache as kept
from lessonlib.checks import model_selection_cases as cases
from lessonlib.facts import catalog as facts
from lessonlib.labs import choosing_a_model as choosing
from lessonlib.labs import model_selection as lab
from lessonlib.labs import model_selection_catalog as data

pytestmark = pytest.mark.l16
REFACTORING, CONTRACTS, WIKI = data.lesson_scenarios()


@pytest.mark.parametrize("name", data.MODELS)
def test_a_model_holds_what_the_library_counts(name):
    m, ours = facts.model(name), data.model_of(name)
    for tokens in (0, 1, 127, 1024, 1025, 9_000, 131_072):
        assert lab.cache_bytes(ours, tokens) == kept.cache(m, tokens).total
    formats = {"16-bit": "bf16", "8-bit": "int8", "4-bit": choosing.OTHER_4_BIT.get(name, "awq")}
    for precision, file in ours["files"].items():
        assert file["bytes"] == weights.weights(m, formats[precision]).total
        active = weights.weights(m, formats[precision], active=True).total
        assert file["bytes"] - file["expert_bytes"] * ours["idle_share"] == pytest.approx(active)
        assert type(file["bytes"]) is type(file["expert_bytes"]) is int
        assert (0 < file["expert_bytes"] < file["bytes"]) == bool(m.get("moe_experts"))
    assert ours["parameters"] == m.total_params_exact and ours["active_parameters"] == architecture.active_parameters(m)
    assert (ours["native_context"], ours["advertised_context"]) == choosing.windows(m)
    assert ours["licence"] == choosing.terms(name)


def test_corrected_facts_are_the_ones_in_use():
    """S12-012, S12-013, S12-011, S12-015, S08-072: 42.3 GB, 131,072 tokens, 5.4 GB, 13.4 GB with 20 users, no score."""
    r1, following, small = map(data.model_of, ("deepseek-r1-distill-qwen-32b", "qwen3-coder-next", "yi-coder-9b"))
    assert r1["native_context"] == facts.claim("S12-013").value == 131_072
    assert following["files"]["4-bit"]["bytes"] / 1e9 == pytest.approx(facts.claim("S12-012").value, rel=3e-3)
    assert small["files"]["4-bit"]["bytes"] / 1e9 == pytest.approx(facts.claim("S12-011").value, rel=1e-3)
    together = lab.memory_bytes(small, "4-bit", 20, 4096, 0) / 1e9
    assert together == pytest.approx(facts.claim("S12-015").value[1], rel=1e-3)
    assert "HumanEval" not in following["scores"] and small["scores"] == {}
    assert "context" not in lab.broken(r1, "4-bit", lab.need(r1, CONTRACTS), CONTRACTS)


def test_scores_are_published_ones_the_lowest_of_several():
    assert data.scores("gpt-oss-20b")["SWE-bench Verified"] == 34.0
    assert data.scores("qwen2.5-coder-32b")["HumanEval"] == 92.7
    assert data.scores("phi-4")["GPQA"] == 56.1 and data.scores("yi-coder-9b") == {}
    assert set().union(*(data.scores(name) for name in data.MODELS)) == set(data.BENCHMARKS)


def test_models_are_copies():
    data.model_of("phi-4")["files"].clear()
    assert data.model_of("phi-4")["files"] and data.catalog()[0] is not data.catalog()[0]


@pytest.mark.parametrize(
    "name", ["qwen2.5-coder-32b", "gemma-3-27b", "granite-3.3-8b", "gpt-oss-20b", "qwen3-coder-next"]
)
@pytest.mark.parametrize("users", [1, 12])
def test_seconds_agree_with_the_full_model_of_a_card(name, users):
    """Reading within 4 %; a step at most 30 % above the ceiling of lesson 12, never below."""
    m, form = data.model_of(name), choosing.OTHER_4_BIT.get(name, "awq")
    rest = dict(users=users, benchmark="GPQA", at_least=0, seconds=60, use={})
    scene = data.scenario("", "", "h100-sxm", 1, prompt=20_000, answer=1_000, **rest)
    m["thinking_tokens"] = 0
    options = dict(tokens=20_000, answer=1_000, format=form, bandwidth_efficiency=0.8, compute_efficiency=0.76)
    one, crowd = (throughput.roofline(facts.model(name), facts.gpu("h100-sxm"), batch=n, **options) for n in (1, users))
    assert lab.first_token_s(m, scene) == pytest.approx(one.prefill_s, rel=0.04)
    ratio = lab.step_bytes(m, "4-bit", scene) / scene["bytes_per_s"] / crowd.decode_s_per_token
    assert 1 <= ratio < 1.3, ratio


@pytest.mark.parametrize("name", ["qwen2.5-coder-32b", "gemma-3-4b"])
def test_two_gpus_hold_what_the_vram_calculator_says(name):
    full = vram.vram(facts.model(name), 8192, 4, "awq", tp=2)
    held = sum(gpu["weights"] + gpu["cache"] for gpu in full.gpus)  # norms stand on both GPUs: a little more
    assert lab.memory_bytes(data.model_of(name), "4-bit", 4, 8192, 0) == pytest.approx(held, rel=1e-3)


def test_the_three_scenarios_have_several_answers():
    models = data.catalog()
    fits = {s["name"]: {o[1] for o in lab.options(s, models)} for s in (REFACTORING, CONTRACTS, WIKI)}
    assert {n: len(found) for n, found in fits.items()} == {"refactoring": 4, "contracts": 3, "wiki bot": 2}
    assert "DeepSeek-R1-Distill-Qwen-32B" in fits["contracts"]
    best = lab.options(REFACTORING, models)
    full = {o[1] for o in best if o[0] >= lab.MARGIN * best[0][0]}
    assert full == {"Granite 3.3 8B Instruct", "Mistral Small 3.1 24B", "Gemma 3 27B IT"}
    broken = {
        name for s in (REFACTORING, CONTRACTS, WIKI) for names in lab.rejected(s, models).values() for name in names
    }
    assert broken == set(lab.CONSTRAINTS)


@pytest.mark.parametrize("seed", range(20))
def test_a_smaller_file_never_breaks_more(seed):
    """What `rejected` rests on: the smallest file and the context needed break least."""
    scene = data.draw(random.Random(seed))
    for m in data.catalog():
        least = set(lab.broken(m, lab.smallest(m), lab.need(m, scene), scene))
        for precision in m["files"]:
            for context in lab.contexts(m, scene):
                assert least <= set(lab.broken(m, precision, context, scene))


@pytest.mark.parametrize("seed", range(20))
def test_reference_is_the_best_and_earns_full_points(seed):
    scene, models = data.draw(random.Random(seed)), data.catalog()
    got = lab.choose(scene, models)
    assert lab.judge(got.model, got.precision, got.context, scene, models) == lab.Verdict(1.0)
    assert set(got.reasons) == {m["name"] for m in models} - {o[1] for o in lab.options(scene, models)}
    for value, *choice in lab.options(scene, models):
        assert 0 <= value <= 1
        score = lab.judge(*choice, scene, models).score
        assert (score == 1) == (value >= lab.MARGIN * lab.options(scene, models)[0][0])


def test_verdicts_say_what_is_wrong_with_numbers():
    models = data.catalog()
    said = lab.judge("Llama 3.3 70B Instruct", "4-bit", 100_352, CONTRACTS, models)
    assert said.score == 0 and "breaks memory: 75.65 GB needed, 68.72 GB there" in said.problems[0]
    assert "not the name" in lab.judge("GPT-9", "4-bit", 1, CONTRACTS, models).problems[0]
    assert "has the files 4-bit" in lab.judge("gpt-oss-20b", "16-bit", 1, CONTRACTS, models).problems[0]
    assert "whole number" in lab.judge("gpt-oss-20b", "4-bit", "long", CONTRACTS, models).problems[0]
    assert "3 models would fit" in lab.judge(None, None, None, CONTRACTS, models).problems[0]
    less = lab.judge("DeepSeek-R1-Distill-Qwen-32B", "4-bit", 108_544, CONTRACTS, models)
    assert 0.7 < less.score < 0.8 and "can be had" in less.problems[0]
    scene, field = cases.hopeless()
    assert lab.judge(None, None, None, scene, field).score == 1


def test_drawn_scenarios_are_a_learners_own_and_come_again():
    assert data.drawn("ada") == data.drawn(" Ada ")
    assert data.drawn("ada") != data.drawn("bob")
    models = data.catalog()
    for who in ("ada", "bob", "eve"):
        first, second, _ = data.drawn(who)
        assert all(len({o[1] for o in lab.options(s, models)}) >= 2 for s in (first, second))
    with pytest.raises(ValueError, match="must be a name"):
        data.drawn("  ")


def test_draws_are_of_every_kind():
    scenes = [data.draw(random.Random(seed)) for seed in range(150)]
    models = data.catalog()
    fitting = [len({o[1] for o in lab.options(s, models)}) for s in scenes]
    assert min(fitting) == 0 and max(fitting) >= 5 and sum(n == 0 for n in fitting) > 15
    assert {s["benchmark"] for s in scenes} == set(data.BENCHMARKS)
    assert not lab.options(data.draw(random.Random(1), most=0), models)
    assert all(sum(s["weights"].values()) == pytest.approx(1) for s in scenes)


def test_each_slip_turns_its_verdict_around():
    slips = lab.slips()
    assert len({slip.name for slip in slips}) == 8
    assert all((slip.right == "fits") != (slip.wrong == "fits") for slip in slips)


def test_tables_name_everything():
    rows = data.scenario_rows([REFACTORING, CONTRACTS, WIKI])
    assert all(len(row) == 4 for row in rows) and rows[1][1] == "2 x GeForce RTX 5090, 32 GiB"
    assert len(data.evidence_rows()) == len(data.MODELS)
    assert lab.candidate_rows(CONTRACTS, data.catalog())[0][-1] == "fits"
