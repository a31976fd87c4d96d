"""Choosing a model: licences complete and sourced, memory equal to calc, scores traced to claims, statistics right."""

import math
import random
import re
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessonlib.calc import cache, memory, weights
from lessonlib.facts import catalog
from lessonlib.labs import choosing_a_model as lab
from lessonlib.models import load, probes

pytestmark = pytest.mark.l11
LIMITS = settings(max_examples=60, deadline=None)
# What the fact base writes in a model's `license` begins with this, for each licence of the table.
WRITTEN = {
    "apache-2.0": "Apache-2.0", "mit": "MIT", "llama-3.3": "Llama 3.3 Community", "llama-4": "Llama 4 Community",
    "gemma": "Gemma Terms", "mistral-research": "Mistral Research", "kimi-modified-mit": "Modified MIT",
    "minimax-modified-mit": "Modified MIT", "nvidia-open": "NVIDIA Open Model",
    "nvidia-nemotron-open": "NVIDIA Open Model",
}  # fmt: skip


def test_every_model_has_one_licence_and_the_tables_agree():
    named = [model for licence in lab.licences() for model in licence["models"]]
    assert sorted(named) == sorted(model.id for model in catalog.models())
    for model in catalog.models():
        assert model.license.startswith(WRITTEN[lab.licence_of(model.id)["id"]]), model.id
    with pytest.raises(ValueError, match="has 0 licences"):
        lab.licence_of("gpt-7")


def test_every_statement_has_a_source_with_a_date():
    table = lab._table("licences")
    used = set()
    for licence in lab.licences():
        assert licence["kind"] in ("permissive", "conditional", "research")
        assert licence["commercial"] == (licence["kind"] != "research")
        assert licence["statements"]
        for statement in licence["statements"]:
            assert statement["says"].endswith(".") and statement["sources"]
            used |= set(statement["sources"])
        assert lab.licence_sources(licence)
    assert used == set(table["sources"])
    for source in table["sources"].values():
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", source["read"]) and source["where"] and source["title"]
        assert source["status"] in ("primary", "primary-copy", "secondary", "unverified")


def test_limits_in_the_statements_are_the_limits_of_the_fields():
    """A number that code decides with must stand in a sentence that has a source."""
    for licence in lab.licences():
        said = " ".join(statement["says"] for statement in licence["statements"])
        for field in ("ask_above_users_at_release", "show_name_above_users", "show_name_above_revenue_usd"):
            if licence.get(field):
                assert f"{licence[field] // 10**6} million" in said, (licence["id"], field)
        if licence.get("multimodal_not_granted_in"):
            assert "multimodal" in said and "EU" in said
        assert bool(licence.get("show_name")) == ("show" in said.lower()), licence["id"]
        assert lab.limits(licence) != "none" or licence["kind"] == "permissive" or not licence["use_policy"]


def test_claims_about_licences_agree_with_the_table():
    assert "Mistral Research License" in catalog.claim("S08-023").right_value
    assert lab.decide(lab.terms("mistral-large-2"), _use()) == ("no", [])
    assert lab.decide(lab.terms("mixtral-8x7b"), _use()) == ("yes", [])
    assert "EU" in catalog.claim("S08-020").right_value
    assert lab.decide(lab.terms("llama-4-scout"), _use(domicile="EU"))[0] == "no"
    assert lab.decide(lab.terms("llama-3.3-70b"), _use(domicile="EU")) == ("yes", [lab.SHOW, lab.POLICY])
    assert "100M monthly users or 20M USD" in catalog.claim("S08-036").right_value
    kimi = lab.terms("kimi-k2.5")
    for change, duties in (
        ({}, []), ({"users": 10**8}, []), ({"users": 10**8 + 1}, [lab.SHOW]), ({"revenue_usd": 2 * 10**7 + 1}, [lab.SHOW]),
    ):  # fmt: skip
        assert lab.decide(kimi, _use(**change)) == ("yes", duties)
    assert lab.decide(lab.terms("llama-3.3-70b"), _use(users_at_release=7 * 10**8 + 1)) == ("ask", [])


def _use(**change):
    base = dict(commercial=True, domicile="US", users_at_release=0, users=1_000, revenue_usd=1_000)
    return base | change


def test_windows_are_native_first():
    assert lab.windows(catalog.model("qwen2.5-coder-32b")) == (32_768, 131_072)
    assert lab.windows(catalog.model("granite-34b-code")) == (8_192, 8_192)
    assert lab.windows(catalog.model("nemotron-3-nano")) == (262_144, 1_048_576)
    assert all(native <= most for native, most in map(lab.windows, catalog.models()))


@pytest.mark.parametrize("name", ["qwen3-coder-30b-a3b", "llama-3.3-70b", "mixtral-8x7b", "qwen2.5-coder-32b"])
def test_headroom_is_what_calc_says(name):
    model = catalog.model(name)
    need = dict(card_gib=80, overhead_bytes=10**9, bits_per_weight=8, bytes_per_value=2, sequences=3)
    need |= dict(prompt_tokens=9_000, answer_tokens=1_000)
    tokens, spare = lab.headroom(lab.shape(name), need)
    assert tokens == lab.windows(model)[0] - 10_000
    caches = cache.cache(model, 10_000, 3).total
    assert spare == 80 * 2**30 - 10**9 - model.total_params_exact - caches
    assert isinstance(spare, int)
    assert weights.weights(model, "int8_flat").total == model.total_params_exact


def test_headroom_keeps_halves():
    shape = lab.shape("mixtral-8x7b") | {"total_params": 3}
    need = dict(card_gib=1, overhead_bytes=0, bits_per_weight=4, bytes_per_value=2, sequences=1)
    assert lab.headroom(shape, need | dict(prompt_tokens=0, answer_tokens=0))[1] == 2**30 - 1.5


def test_consider_gives_every_reason():
    need = lab.Need(card_gib=24, prompt_tokens=30_000, answer_tokens=3_000)
    scout = lab.consider(catalog.model("llama-4-scout"), need)
    assert [r.split(":")[0] for r in scout.reasons] == ["memory", "licence"]
    coder = lab.consider(catalog.model("qwen2.5-coder-32b"), need)
    assert [r.split(":")[0] for r in coder.reasons] == ["memory", "context"]
    assert "131,072 when extended" in coder.reasons[1]
    assert coder.total == coder.weights + coder.cache == coder.weights + 33_000 * 262_144
    task = lab.consider(catalog.model("gpt2"), lab.Need(benchmark="HumanEval", prompt_tokens=100, answer_tokens=10))
    assert task.reasons == ("task: no HumanEval score in the fact base",)
    asked = lab.Need(prompt_tokens=100, answer_tokens=10, card_gib=80, use=_use(users_at_release=10**9))
    assert lab.consider(catalog.model("llama-3.3-70b"), asked).reasons[0].endswith("needs a grant of its own")


def test_memory_decides_at_the_last_byte():
    model, need = catalog.model("qwen3-8b"), lab.Need(overhead=0)
    total = lab.consider(model, need).total
    exact = lab.Need(card_gib=total / 2**30, overhead=0)
    assert memory.card_bytes(exact.card_gib) == total
    assert not lab.consider(model, exact).reasons
    assert lab.consider(model, lab.Need(card_gib=(total - 1) / 2**30, overhead=0)).reasons


def test_two_cards_share():
    need = lab.Need(card_gib=24, cards=2, use=_use())
    fits = {v.model.id for v in lab.choose(need) if not v.reasons}
    assert {v.model.id for v in lab.choose(lab.Need(card_gib=24, use=_use())) if not v.reasons} < fits


def test_choose_keeps_all_models_candidates_first():
    found = lab.choose(lab.Need())
    assert len(found) == len(catalog.models())
    counts = [len(v.reasons) for v in found]
    assert counts == sorted(counts) and counts[0] == 0 < counts[-1]


def test_four_bit_formats_are_those_that_fit_the_model():
    assert lab.stored_bytes(catalog.model("gpt-oss-20b")) / 1e9 == pytest.approx(13.75, abs=0.05)
    nano = catalog.model("nemotron-3-nano")  # 1,856 inputs an expert: no whole groups of 128
    assert lab.stored_bytes(nano) < weights.weights(nano, "awq").total / 2
    assert lab.stored_bytes(nano, "bf16") == weights.weights(nano, "bf16").total
    coder = catalog.model("qwen2.5-coder-32b")
    assert lab.stored_bytes(coder) / 1e9 == pytest.approx(coder.weights_gb["awq_g128_estimate"], rel=0.01)


def test_families_count_every_model_once():
    rows = lab.families()
    assert sum(row[1] for row in rows) == len(catalog.models())
    assert len({row[0] for row in rows}) == len(rows)
    assert not any("e+" in str(value) for row in rows for value in row)


@pytest.mark.parametrize("row", lab.SCORES, ids=lambda row: f"{row[0]}-{row[2]}")
def test_published_scores_stand_in_their_claims(row):
    model, benchmark, score, claim_id, said = row
    claim = catalog.claim(claim_id)
    words = [claim.get(f) for f in ("claim", "seed_value", "right_value", "note", "value")]
    numbers = [float(n) for n in re.findall(r"\d+\.\d+", " ".join(map(str, words)))]
    assert any(round(n, 1) == float(score) for n in numbers), (score, numbers)
    assert benchmark in lab.TASKS and said
    if model not in ("gpt-4o", "claude-opus-4.5"):
        catalog.model(model)


def test_scores_that_no_run_can_print():
    assert lab.solved("94.2", 164) == lab.solved("79.2", 164) == []
    assert lab.solved("92.7", 164) == [152] and lab.solved("88.4", 164) == [145]
    assert lab.solved("93", 164) == [152, 153]
    assert lab.solved("80.2", 500) == [401] and lab.solved("60.7", 500) == []
    assert lab.solved("100.0", 164) == [164] and lab.solved("0.0", 164) == [0]


@LIMITS
@given(tasks=st.integers(1, 700), share=st.floats(0, 1))
def test_a_printed_score_gives_its_tasks_back(tasks, share):
    right = round(tasks * share)
    printed = f"{100 * right / tasks:.1f}"
    assert right in lab.solved(printed, tasks) or abs(Fraction(100 * right, tasks) - Fraction(printed)) > Fraction(
        1, 20
    )
    assert lab.nearest(printed, tasks) in range(tasks + 1)


def test_interval_is_wilsons():
    low, high = lab.interval(5, 10)  # 0.2366 to 0.7634: the textbook example of 5 in 10
    assert (low, high) == (pytest.approx(23.66, abs=0.01), pytest.approx(76.34, abs=0.01))
    assert lab.interval(0, 10)[0] == pytest.approx(0, abs=1e-9) and lab.interval(10, 10)[1] == pytest.approx(100)
    assert lab.interval(0, 10)[1] == pytest.approx(27.75, abs=0.01)


@LIMITS
@given(tasks=st.integers(1, 600), share=st.floats(0, 1))
def test_interval_solves_its_equation(tasks, share):
    """Wilson's ends are the shares p0 with |p - p0| = z sqrt(p0 (1 - p0) / n)."""
    right = round(tasks * share)
    for end in lab.interval(right, tasks):
        p0 = end / 100
        left, want = (right / tasks - p0) ** 2, lab.Z95**2 * p0 * (1 - p0) / tasks
        assert left == pytest.approx(want, abs=1e-9)


def test_interval_holds_the_truth_nineteen_times_in_twenty():
    rng, held = random.Random(1), 0
    for _ in range(1500):
        right = sum(rng.random() < 0.8 for _ in range(164))
        low, high = lab.interval(right, 164)
        held += low <= 80 <= high
    assert 0.93 < held / 1500 < 0.97


def test_difference_holds_the_truth_nineteen_times_in_twenty():
    rng, held = random.Random(2), 0
    for _ in range(1500):
        a, b = (sum(rng.random() < p for _ in range(164)) for p in (0.85, 0.75))
        low, high = lab.difference(a, b, 164)
        held += low <= 10 <= high
    assert 0.93 < held / 1500 < 0.97


@LIMITS
@given(tasks=st.integers(2, 600), one=st.floats(0, 1), two=st.floats(0, 1))
def test_difference_turns_around_and_narrows(tasks, one, two):
    a, b = round(tasks * one), round(tasks * two)
    low, high = lab.difference(a, b, tasks)
    assert lab.difference(b, a, tasks) == (pytest.approx(-high, abs=1e-9), pytest.approx(-low, abs=1e-9))
    low4, high4 = lab.difference(4 * a, 4 * b, 4 * tasks)
    assert high4 - low4 == pytest.approx((high - low) / 2, abs=1e-9)
    assert (low + high) / 2 == pytest.approx(100 * (a - b) / tasks, abs=1e-9)


def test_rank_of_real_candidates():
    need = lab.Need(card_gib=24, prompt_tokens=12_288)
    field = [
        lab.candidate(catalog.model(m), need, lab.nearest(s, 164), 164)
        for m, b, s, *_ in lab.SCORES[:6]
        if m != "gpt-4o"
    ]
    order = lab.rank(field)
    assert order[0] == "Granite 3.3 8B Instruct" and order[-1] == "Phi-4" and len(order) == 4
    assert "Llama 3.3 70B Instruct" not in order
    assert lab.rank([]) == []


def test_items_are_exact_and_seeded():
    items = lab.items()
    assert len(items) == 164 == lab.TASKS["HumanEval"] and items == lab.items() != lab.items(seed=1)
    for (prompt, answer), (renamed, same) in zip(items, lab.items("Repeat"), strict=True):
        assert prompt.splitlines()[2].removeprefix("Copy:") + "\n" == answer == same
        assert renamed == prompt.replace("Copy:", "Repeat:") and "Copy" not in renamed
    lengths = [len(answer.split()) for _, answer in items]
    assert lengths[:4] == [4, 6, 8, 10] and all(lengths.count(n) == 41 for n in (4, 6, 8, 10))


def test_evaluate_is_greedy_decoding_item_by_item():
    model, tokenizer = load("mini", device="cpu", dtype=torch.float32)
    pairs = lab.items()[:12]
    got = lab.evaluate(model, tokenizer, pairs)
    assert sum(got) / 12 == probes.share_right(model, tokenizer, pairs)
    for (prompt, answer), right in zip(pairs, got, strict=True):
        start = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(prompt, add_special_tokens=False)]])
        want = tokenizer.encode(answer, add_special_tokens=False)
        made = model.generate(start, do_sample=False, max_new_tokens=len(want), eos_token_id=None, pad_token_id=1)
        assert (made[0, start.shape[1] :].tolist() == want) == right
    assert 0 < sum(got) < 12


def test_behind_agrees_with_the_exact_chance():
    """One item, right for the better with 3 in 4: it is not ahead when the other three draws ... of one item: 1 in 4."""
    better, other = [True, True, True, False], [False] * 4
    assert lab.behind(better, other, 1, draws=20_000) == pytest.approx(0.25, abs=0.015)
    assert lab.behind(better, other, 2, draws=20_000) == pytest.approx(1 / 16, abs=0.01)
    assert lab.behind(better, better, 5) == 1 and lab.behind([True] * 3, [False] * 3, 1) == 0
    assert lab.behind(better, other, 2) == lab.behind(better, other, 2)
    with pytest.raises(ValueError, match="zip"):
        lab.behind(better, [True], 1)


def test_resampled_scores_spread_as_the_standard_error_says():
    right = [True] * 80 + [False] * 20
    scores = lab.resampled(right, 100, draws=4000)
    mean = sum(scores) / len(scores)
    spread = math.sqrt(sum((s - mean) ** 2 for s in scores) / len(scores))
    assert scores == sorted(scores) and mean == pytest.approx(80, abs=0.3)
    assert spread == pytest.approx(100 * lab.standard_error(80, 100), rel=0.05)


def test_bits_per_byte_come_from_the_training_records():
    found = {name: lab.bits_per_byte(name) for name in ("target", "moe", "mini", "draft")}
    assert found["target"] < min(found["moe"], found["mini"]) < found["draft"]
    assert all(0.5 < value < 3 for value in found.values())


def test_every_published_score_has_a_model_a_benchmark_and_a_source():
    sources = lab._table("scores")["sources"]
    names = {b["name"] for b in lab.benchmarks()}
    known = {m.id for m in catalog.models()} | {"gpt-4o", "claude-opus-4.5"}
    rows = [(s["model"], s["benchmark"], s["said_by"]) for s in lab.published_scores()]
    assert len(set(rows)) == len(rows)
    for row in lab.published_scores():
        assert row["model"] in known and row["benchmark"] in names and 0 < float(row["score"]) < 100, row
        assert ("claim" in row) != ("sources" in row) and set(row.get("sources", [])) <= set(sources), row
