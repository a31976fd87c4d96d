"""The source lesson's estimator, the small functions of the roofline, and the roofline of real models and cards."""

import json
import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessonlib.calc import architecture, memory, throughput, weights
from lessonlib.calc import cache as kv
from lessonlib.facts import catalog

H100 = catalog.gpu("h100-sxm")
QWEN = catalog.model("qwen3-32b")
MODELS = [
    catalog.model(name) for name in ("qwen3-0.6b", "gpt-oss-20b", "deepseek-v3.2", "qwen3-coder-next", "gemma-3-4b")
]
positive = st.floats(1e-3, 1e18)


# The estimator of the source lesson


def test_the_default_of_the_source_lesson():
    found = throughput.estimator(40)
    assert (found.tokens_per_s, found.requests_per_s) == (34.0, 0.068)
    assert round(found.seconds_per_answer, 2) == 14.71


@given(st.floats(1, 1e4), st.integers(1, 8), st.floats(0.01, 1), st.integers(1, 5_000), st.integers(1, 100))
def test_the_estimator_serves_what_it_says(base, tp, efficiency, answer, users):
    found = throughput.estimator(base, tp, efficiency, answer, users)
    assert found.seconds_per_answer * found.requests_per_s == pytest.approx(users)
    assert found.requests_per_s * answer == pytest.approx(found.tokens_per_s)


# Small functions


def test_attainable_and_ridge_of_an_h100():
    at = throughput.ridge(989.4e12, 3.35e12)
    assert at == pytest.approx(295.3, abs=0.1)
    assert throughput.attainable(at, 989.4e12, 3.35e12) == pytest.approx(989.4e12)
    assert throughput.attainable(1, 989.4e12, 3.35e12) == 3.35e12


@given(positive, positive, positive)
def test_attainable_is_below_both_ceilings_and_reaches_one(intensity, peak, bandwidth):
    got = throughput.attainable(intensity, peak, bandwidth)
    assert got <= peak and got <= intensity * bandwidth and got in (peak, intensity * bandwidth)


def test_decoding_reads_all_weights():
    assert 1 / throughput.decode_seconds(19.327e9, 0, 3350e9) == pytest.approx(173.333, rel=1e-5)
    slow = throughput.decode_seconds(1e9, 1e9, 1e9, efficiency=0.5)
    assert slow == 4
    assert throughput.decode_seconds(1e9, 0, 1e9, flops=3e12, peak_flops=1e12) == 3
    assert throughput.decode_seconds(1e9, 0, 1e9, flops=3e12, peak_flops=1e12, compute_efficiency=0.5) == 6
    assert throughput.prefill_seconds(1e12, 2e12, efficiency=0.25) == 2


def test_all_reduce_of_a_ring():
    assert throughput.all_reduce_seconds(1e9, 1, 1e9) == 0
    assert throughput.all_reduce_seconds(1e9, 2, 1e9) == 1
    assert throughput.all_reduce_seconds(1e9, 8, 1e9) == 1.75
    assert throughput.all_reduce_seconds(0, 4, 1e9, latency_s=1e-6) == pytest.approx(6e-6)


def test_experts_that_a_batch_touches():
    assert throughput.expected_experts(8, 2, 1) == 2
    assert throughput.expected_experts(8, 2, 2) == pytest.approx(3.5)
    assert throughput.expected_experts(512, 10, 0) == 0
    assert throughput.expected_experts(8, 8, 5) == 8


@given(st.integers(1, 512), st.integers(1, 512), st.integers(1, 1_000))
def test_touched_experts_stay_between_one_token_and_all(experts, per_token, tokens):
    per_token = min(per_token, experts)
    used = throughput.expected_experts(experts, per_token, tokens)
    assert per_token * (1 - 1e-9) <= used <= experts * (1 + 1e-9)
    assert used <= tokens * per_token * (1 + 1e-9)
    assert used <= throughput.expected_experts(experts, per_token, tokens + 1) * (1 + 1e-12)


@given(st.integers(1, 40), st.integers(0, 40), st.none() | st.integers(1, 60))
def test_pairs_are_counted(queries, cached, window):
    seen = [cached + i + 1 for i in range(queries)]
    assert throughput.pairs(queries, cached, window) == sum(min(n, window or n) for n in seen)


def test_pairs_agree_with_the_cache_lesson():
    for prompt, new in product((1, 7, 100), (1, 5)):
        steps = throughput.pairs(prompt) + sum(throughput.pairs(1, prompt + i) for i in range(new - 1))
        assert steps == memory.scores_with_cache(prompt, new)


# FLOPs and bytes of real models


def test_flops_of_a_dense_model():
    body = architecture.active_parameters(QWEN) - 2 * QWEN.embedding_params_exact
    expected = 2 * body * 1000 + 2 * QWEN.embedding_params_exact + 4 * 64 * 64 * 128 * (1000 * 1001 // 2)
    assert throughput.flops(QWEN, 1000) == expected
    assert throughput.flops(QWEN, 1000, batch=3) == 3 * expected
    assert throughput.attention_flops(64, 64, 128, 1000) == 4 * 64 * 64 * 128 * 500_500
    # for a short prompt the rule of 2 x active weights x tokens is near
    assert throughput.flops(QWEN, 1000) == pytest.approx(2 * QWEN.total_params_exact * 1000, rel=0.05)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.id)
def test_a_prompt_in_two_pieces_costs_what_it_costs_in_one(model):
    head = 2 * model.vocab_size * model.hidden_size  # each pass needs the logits of its last token
    whole = throughput.flops(model, 600)
    pieces = throughput.flops(model, 350) + throughput.flops(model, 250, cached=350)
    assert pieces - head == whole


def test_one_token_at_a_time_costs_the_same_except_where_latents_stay_packed():
    for model in MODELS:
        steps = (
            sum(throughput.flops(model, 1, cached=i) for i in range(50)) - 49 * 2 * model.vocab_size * model.hidden_size
        )
        if model.get("mla_kv_lora_rank"):
            assert steps > throughput.flops(model, 50)
        else:
            assert steps == throughput.flops(model, 50)


def test_sparse_attention_stops_growing():
    model = catalog.model("deepseek-v3.2")
    dense = catalog.model("deepseek-v3-0324")
    far, near = (throughput.flops(model, 1, cached=n) for n in (100_000, 50_000))
    index = 2 * model.layers * model.sparse_index_heads * model.sparse_index_head_dim
    assert far - near == index * 50_000
    assert throughput.flops(dense, 1, cached=100_000) > far


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.id)
def test_touched_weights_lie_between_active_and_all(model):
    one, many = throughput.touched_weights(model, 1).total, throughput.touched_weights(model, 10**7).total
    everything = weights.weights(model, "bf16").total
    assert many == pytest.approx(everything, rel=1e-6) and one <= many
    rows = 0 if model.tied_embeddings else (model.vocab_size - 1) * model.hidden_size * 2
    assert one == pytest.approx(2 * architecture.active_parameters(model) - rows, rel=1e-9)


def test_states_cost_the_same_at_any_length():
    model = catalog.model("qwen3-coder-next")  # 12 layers see all keys, 36 have a state of 32 x 128 x 128 values
    far, near = (throughput.flops(model, 1, cached=n) for n in (50_000, 10_000))
    assert far - near == throughput.attention_flops(12, 16, 256, 1, 50_000) - throughput.attention_flops(
        12, 16, 256, 1, 10_000
    )
    body = 2 * (architecture.active_parameters(model) - model.embedding_params_exact)
    attention = throughput.attention_flops(12, 16, 256, 1, 10_000)
    assert near == body + attention + 3 * 2 * 36 * 32 * 128 * 128
    mamba = catalog.model("nemotron-3-nano")
    body = 2 * (architecture.active_parameters(mamba) - mamba.embedding_params_exact)
    attention = throughput.attention_flops(6, 32, 128, 1, 10_000)
    assert throughput.flops(mamba, 1, cached=10_000) == body + attention + 3 * 2 * 23 * 64 * 64 * 128


# Cards


def test_cards_in_base_units():
    h100 = throughput.card(H100)
    assert h100.peak_flops == pytest.approx(989.4e12) and h100.bandwidth == 3.35e12 and h100.link == 450e9
    assert h100.memory == 80 * 2**30
    assert throughput.card(H100, "fp8").peak_flops == pytest.approx(1978.9e12)
    assert throughput.card(catalog.gpu("rtx-5090")).link == 64e9
    assert throughput.card(catalog.gpu("mi300x")).link == 448e9
    assert throughput.card(h100) is h100


def test_a_rack_counts_as_one_of_its_gpus():
    rack, server = (throughput.card(catalog.gpu(name)) for name in ("gb200-nvl72", "dgx-h100"))
    assert (rack.peak_flops, rack.bandwidth, rack.memory) == (2500e12, 8000e9, 186 * 2**30)
    assert (
        server.bandwidth == 3350e9 and server.peak_flops == pytest.approx(989.4e12, rel=1e-3) and server.link == 450e9
    )


def test_a_card_without_rates_is_refused():
    with pytest.raises(ValueError, match="apple-m3-ultra has no tensor rate in the fact base; give plain numbers"):
        throughput.card(catalog.gpu("apple-m3-ultra"))
    plain = throughput.card({"fp16_bf16_tensor_dense_tflops": 28, "bandwidth_gbs": 819})
    assert plain.bandwidth == 819e9 and plain.link is None and plain.memory is None


# The roofline


def test_a_roofline_by_hand():
    one = throughput.roofline(QWEN, H100, tokens=1000, answer=200, batch=4)
    read = 2 * (QWEN.total_params_exact - QWEN.embedding_params_exact) + 4 * QWEN.hidden_size * 2
    cache = 4 * 1101 * 262_144
    assert one.decode.moved.as_dict()["bytes"] == pytest.approx(read + cache)
    assert one.decode_s_per_token == pytest.approx((read + cache) / 3.35e12)
    assert one.prefill_s == pytest.approx(4 * throughput.flops(QWEN, 1000) / 989.4e12)
    assert one.bound == "memory" and one.prefill.bound == "compute" and one.fits
    assert one.tokens_per_s == pytest.approx(4 * one.tokens_per_s_per_user)
    assert one.seconds_per_answer == pytest.approx(one.prefill_s + 199 * one.decode_s_per_token)
    assert one.requests_per_s == pytest.approx(4 / one.seconds_per_answer)
    assert json.loads(json.dumps(one.as_dict()))["decode"]["bound"] == "memory"


def test_the_ridge_batch_is_the_last_one_that_memory_limits():
    model = catalog.model("llama-3.3-70b")
    at = throughput.roofline(model, H100, tokens=100).ridge_batch
    for batch, bound in ((at, "memory"), (at + 1, "compute")):
        assert throughput.roofline(model, H100, tokens=100, batch=batch).bound == bound
    # with long prompts each sequence brings more cache than work: memory stays the limit
    assert throughput.roofline(model, H100, tokens=16_000).ridge_batch is None


def test_a_mixture_reads_more_experts_as_the_batch_grows():
    model = catalog.model("qwen3-coder-30b-a3b")
    one, many = (throughput.roofline(model, H100, tokens=100, batch=b) for b in (1, 64))
    assert many.decode.moved["weights"] > 5 * one.decode.moved["weights"]
    assert many.tokens_per_s < 64 * one.tokens_per_s / 5


def test_tensor_parallelism_shares_the_work_and_pays_the_link():
    one, two = (throughput.roofline(QWEN, H100, tokens=1000, batch=8, tp=tp) for tp in (1, 2))
    assert two.decode.moved.total == pytest.approx(one.decode.moved.total / 2)
    assert two.decode.flops == one.decode.flops / 2 and two.decode.link_s > 0 == one.decode.link_s
    assert one.decode_s_per_token / 2 < two.decode_s_per_token < one.decode_s_per_token
    assert two.decode.link_s == pytest.approx(2 * 64 * 8 * 5120 * 2 / 450e9)
    late = throughput.roofline(QWEN, H100, tokens=1000, batch=8, tp=2, link_latency_s=10e-6)
    assert late.decode.link_s == pytest.approx(two.decode.link_s + 2 * 64 * 2 * 10e-6)


def test_a_slow_link_can_be_the_limit():
    slow = throughput.roofline(QWEN, H100, tokens=1000, tp=2, link_gbs=0.001)
    assert slow.bound == "link" and slow.ceilings["link"] < slow.ceilings["memory"]


def test_latents_are_not_cut():
    model = catalog.model("deepseek-v3-0324")
    one, eight = (throughput.roofline(model, H100, tokens=4000, tp=tp) for tp in (1, 8))
    assert eight.decode.moved["cache"] == one.decode.moved["cache"]


def test_sparse_attention_reads_the_latents_that_its_index_picks():
    model = catalog.model("deepseek-v3.2")
    moved = throughput.roofline(model, H100, tokens=99_999).decode.moved["cache"]
    parts = kv.cache(model, 100_000)
    assert moved == pytest.approx(parts["latent"] * 2048 / 100_000 + parts["index"])
    assert throughput.roofline(model, H100, tokens=99_999).resident["cache"] == parts.total


def test_layers_that_are_one_thing_only_wait_once():
    model = catalog.model("nemotron-3-nano")
    step = throughput.roofline(model, H100, tokens=100, tp=2).decode
    assert step.link_s == pytest.approx(model.layers * model.hidden_size * 2 / 450e9)


def test_what_does_not_fit_is_said():
    model = catalog.model("llama-3.3-70b")
    assert throughput.roofline(model, H100).fits is False
    assert throughput.roofline(model, H100, format="awq").fits is True
    assert throughput.roofline(model, throughput.Card(1e15, 1e12)).fits is None


@settings(max_examples=40)
@given(
    st.sampled_from(MODELS),
    st.floats(1e12, 1e16),
    st.floats(1e10, 1e13),
    st.integers(1, 30_000),
    st.integers(1, 300),
    st.sampled_from([1, 2, 4]),
    st.floats(0.1, 1),
)
def test_never_above_either_ceiling(model, peak, bandwidth, tokens, batch, tp, efficiency):
    own = throughput.Card(peak, bandwidth, link=1e11)
    options = dict(tokens=tokens, answer=100, batch=batch, tp=tp)
    one = throughput.roofline(model, own, **options)
    for step in (one.prefill, one.decode):
        assert step.flops / step.seconds <= peak * (1 + 1e-9)
        assert step.moved.total / step.seconds <= bandwidth * (1 + 1e-9)
    assert one.tokens_per_s <= min(one.ceilings.values()) * (1 + 1e-9)
    real = throughput.roofline(model, own, **options, bandwidth_efficiency=efficiency, compute_efficiency=efficiency)
    assert real.tokens_per_s <= one.tokens_per_s and real.prefill_s >= one.prefill_s


@settings(max_examples=40)
@given(st.sampled_from(MODELS), st.integers(1, 8_000), st.integers(1, 200), st.floats(1.01, 4))
def test_monotone_in_bandwidth_and_batch(model, tokens, batch, factor):
    slow, fast = throughput.Card(1e15, 1e12), throughput.Card(1e15, factor * 1e12)
    here = throughput.roofline(model, slow, tokens=tokens, batch=batch)
    assert throughput.roofline(model, fast, tokens=tokens, batch=batch).tokens_per_s >= here.tokens_per_s * (1 - 1e-12)
    more = throughput.roofline(model, slow, tokens=tokens, batch=batch + 1)
    assert more.tokens_per_s >= here.tokens_per_s * (1 - 1e-12)
    assert more.tokens_per_s_per_user <= here.tokens_per_s_per_user * (1 + 1e-12)


@pytest.mark.parametrize("model", catalog.models(), ids=lambda m: m.id)
def test_every_model_has_a_roofline(model):
    one = throughput.roofline(model, H100, tokens=500, answer=50, batch=2)
    assert 0 < one.decode_s_per_token < one.seconds_per_answer and math.isfinite(one.tokens_per_s)


# Refusals


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: throughput.estimator(0), "base_tokens_per_s is 0"),
        (lambda: throughput.estimator(40, efficiency=1.5), "efficiency is 1.5, but must be a share"),
        (lambda: throughput.attainable(-1, 1e12, 1e12), "flops_per_byte is -1"),
        (lambda: throughput.ridge(1e12, 0), "bandwidth is 0"),
        (lambda: throughput.decode_seconds(1e9, -1, 1e12), "cache_bytes is -1"),
        (lambda: throughput.all_reduce_seconds(1, 0, 1e9), "ranks is 0"),
        (lambda: throughput.expected_experts(8, 9, 1), "only 8 experts"),
        (lambda: throughput.pairs(0), "queries is 0"),
        (lambda: throughput.pairs(5, 5, window=0), "window is 0"),
        (lambda: throughput.roofline(QWEN, H100, tokens=0), "tokens is 0"),
        (lambda: throughput.roofline(QWEN, H100, batch=1.5), "batch is 1.5"),
        (lambda: throughput.roofline(QWEN, H100, tp=3), "tp is 3, but must divide the 64 query heads"),
        (lambda: throughput.roofline(QWEN, throughput.Card(1e15, 1e12), tp=2), "give link_gbs"),
        (lambda: throughput.roofline(QWEN, H100, bandwidth_efficiency=0), "bandwidth_efficiency is 0"),
        (lambda: throughput.roofline(QWEN, H100, format="int9"), "int9"),
        (lambda: throughput.roofline("qwen3-32b", H100), "look it up first"),
        (lambda: throughput.roofline(QWEN, "h100-sxm"), "catalog.gpu"),
        (lambda: throughput.roofline(QWEN, H100, tp=16, link_gbs=0), "link_gbs is 0"),
        (lambda: throughput.card({"id": "x", "fp16_bf16_tensor_dense_tflops": 1}), "x has no bandwidth"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
