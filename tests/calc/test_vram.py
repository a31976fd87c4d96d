"""Memory of the GPUs of a split model: golden values, conservation of all bytes, searches, and refusals."""

import math
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessonlib.calc import cache, memory, units, vram, weights
from lessonlib.facts import catalog

ALL = catalog.models()
rows = st.sampled_from(ALL)
QWEN, LLAMA = catalog.model("qwen2.5-coder-32b"), catalog.model("llama-3.3-70b")


def split(row, **options):
    """A split of this model, or None when tp does not divide it."""
    try:
        return vram.vram(row, 4096, **options)
    except ValueError as error:
        assert "tp is" in str(error) or "pp is" in str(error)
        return None


# Golden values


def test_the_source_lessons_estimator():
    found = vram.estimator(32e9, 4)
    assert units.gb(found.total) == catalog.claim("S06-008").value == 19.6
    assert dict(found) == {"weights": 16 * 10**9, "overhead": 1_600_000_000, "extra": 2 * 10**9}


def test_one_gpu_by_hand():
    found = vram.vram(QWEN, 8192, 2, "awq", context=5e8)
    (gpu,) = found.gpus
    assert gpu["weights"] == weights.weights(QWEN, "awq").total
    assert gpu["cache"] == cache.cache(QWEN, 8192, 2).total
    assert gpu["activations"] == 2 * 2048 * (2 * 5120 + 3 * 27648 + 5120)  # hidden, gate and up and product, down
    assert gpu["logits"] == 4 * 152064 * 2 and gpu["cuda_context"] == 5e8
    assert found.worst is gpu and found.total == gpu.total == sum(gpu.values())
    assert found.replicated == {} and found.padding == 0 and found.stages == (64,)


def test_exercise_1_fits_the_same_cards():
    """The answer key of the fact base: 8,192 tokens, 1.5 GB of overhead on each GPU, the whole card."""
    key = {
        "yi-coder-9b": ("bf16", True, 10.7),
        "qwen2.5-coder-32b": ("awq", True, 12.2),
        "llama-3.3-70b": ("awq", False, 22.7),
    }
    for name, (form, fits_24, share) in key.items():
        row = catalog.model(name)
        plain = dict(context=1.5e9, activations=0, logits_rows=0)
        one, two = (vram.vram(row, 8192, format=form, tp=tp, **plain) for tp in (1, 2))
        assert [one.fits(24, 1), two.fits(32, 1), one.fits(80, 1)] == [fits_24, True, True]
        assert units.gb(two.worst.total) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    "layers, pp, expected",
    [
        (64, 1, (64,)), (64, 2, (32, 32)), (61, 4, (15, 15, 16, 15)), (94, 4, (23, 24, 24, 23)),
        (61, 8, (7, 7, 8, 8, 8, 8, 8, 7)), (7, 2, (4, 3)), (10, 3, (3, 4, 3)), (11, 3, (4, 4, 3)), (3, 3, (1, 1, 1)),
    ],
)  # fmt: skip
def test_stages_as_vllm_cuts_them(layers, pp, expected):
    """The cases of vLLM's pull requests 13839 and 46217 and of SGLang's 6666, which took its rule over."""
    assert vram.stages(layers, pp) == expected


def test_what_repeats_on_every_gpu():
    found = vram.vram(LLAMA, 4096, tp=2)
    assert set(found.replicated) == {
        "layers.*.input_layernorm.weight", "layers.*.post_attention_layernorm.weight", "norm.weight",
    }  # fmt: skip
    assert sum(found.replicated.values()) == 2 * 8192 * (2 * 80 + 1)
    more = vram.vram(LLAMA, 4096, tp=16)  # twice as many GPUs as key-value heads
    one_head = 2 * 80 * 8192 * 1024
    assert more.replicated["layers.*.self_attn.k_proj.weight"] == one_head
    assert "several hold the same head" in more.notes[0]
    latent = vram.vram(catalog.model("deepseek-v3-0324"), 4096, tp=8).replicated
    assert latent["layers.*.self_attn.kv_a_proj_with_mqa.weight"] == 7 * 2 * 61 * 7168 * 576


def test_vocabularies_are_padded_before_they_are_cut():
    row = catalog.model("gpt2")  # 50,257 rows become 50,304
    assert vram.vram(row, 10).padding == 0
    found = vram.vram(row, 10, tp=2)
    assert found.padding == 47 * 768 * 2
    assert vram.vram(LLAMA, 10, tp=2).padding == 0


def test_first_and_last_stage_hold_the_vocabulary():
    found = vram.vram(LLAMA, 4096, pp=4)
    first, second, third, last = (gpu["weights"] for gpu in found.gpus)
    layer = (second - 0) / 20
    table = 2 * 128256 * 8192
    assert second == third == 20 * layer and first == second + table and last == second + table + 2 * 8192
    assert [gpu["logits"] for gpu in found.gpus] == [0, 0, 0, 4 * 128256]
    tied = vram.vram(catalog.model("qwen3-0.6b"), 10, pp=2)
    assert tied.replicated == {"embed_tokens.weight": 2 * 151936 * 1024}


def test_experts_count_once_in_memory_and_by_use_in_activations():
    row = catalog.model("qwen3-coder-30b-a3b")
    live = vram.activation_bytes(row, 100)
    assert live == 2 * 100 * (2 * 2048 + 8 * (3 * 768 + 2048))
    assert vram.activation_bytes(row, 200) == 2 * live
    assert vram.activation_bytes(row, 0) == 0


# Conservation


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
@pytest.mark.parametrize("tp, pp", [(1, 1), (2, 1), (8, 1), (16, 1), (1, 3), (2, 4)])
def test_shards_conserve_every_byte(row, tp, pp):
    for name in ("bf16", "Q4_K_M", "nf4_dq"):
        found = split(row, format=name, tp=tp, pp=pp)
        if found is None:
            continue
        held = sum(gpu["weights"] for gpu in found.gpus)
        there = weights.weights(row, name).total + sum(found.replicated.values()) + found.padding
        assert held == there if isinstance(held, int) else held == pytest.approx(there, rel=1e-13)
        assert len(found.gpus) == tp * pp and sum(found.stages) == row.layers


@settings(max_examples=60)
@given(row=rows, tokens=st.integers(0, 100_000), batch=st.integers(1, 16), pp=st.integers(1, 5))
def test_stages_conserve_the_cache(row, tokens, batch, pp):
    found = vram.vram(row, tokens, batch, pp=pp)
    assert sum(gpu["cache"] for gpu in found.gpus) == cache.cache(row, tokens, batch).total


@settings(max_examples=60)
@given(row=rows, tp=st.sampled_from([2, 4, 8]), batch=st.integers(1, 8))
def test_more_gpus_never_hold_more_each(row, tp, batch):
    one, many = (split(row, batch=batch, tp=n) for n in (1, tp))
    if many:
        for part in ("weights", "cache", "activations"):
            assert many.worst[part] <= one.worst[part] + many.padding
        assert many.worst["cuda_context"] == one.worst["cuda_context"]


def test_equal_shares_are_the_simple_budget():
    """`memory.gpu_budget` divides the weights evenly; here only the norms add to that."""
    kind = dict(layers=80, attention_heads=64, kv_heads=8, head_dim=128, tokens=8192, overhead=0, tp=4)
    simple = memory.gpu_budget(weights=weights.weights(LLAMA).total, **kind)
    found = vram.vram(LLAMA, 8192, tp=4).gpus[0]
    assert found["cache"] == simple.cache
    assert 0 < found["weights"] - simple.weights < 1e-4 * simple.weights


# Fitting


@pytest.mark.parametrize("row", [QWEN, LLAMA, *map(catalog.model, ("gpt-oss-20b", "deepseek-r1", "nemotron-3-nano"))])
@pytest.mark.parametrize("card, tp, pp", [(80, 1, 1), (80, 2, 2), (24, 4, 1)])
def test_the_largest_context_is_the_last_that_fits(row, card, tp, pp):
    options = dict(format="Q4_K_M", tp=tp, pp=pp)
    most = vram.largest_context(row, card, 3, **options)
    if most:
        assert vram.vram(row, most, 3, **options).fits(card)
    assert not vram.vram(row, most + 1, 3, **options).fits(card)


@pytest.mark.parametrize("row", [QWEN, catalog.model("qwen3-coder-next")])
def test_the_largest_batch_is_the_last_that_fits(row):
    most = vram.largest_batch(row, 80, 8192, "awq", utilization=0.95)
    assert most > 1
    assert vram.vram(row, 8192, most, "awq").fits(80, 0.95)
    assert not vram.vram(row, 8192, most + 1, "awq").fits(80, 0.95)
    assert vram.largest_batch(row, 8, 8192) == 0 == vram.largest_context(row, 8)


def test_usable_bytes_of_a_card():
    assert vram.usable_bytes(24, 1) == 24 * 2**30
    assert vram.usable_bytes(catalog.gpu("rtx-4090"), 0.5) == 12 * 2**30
    found = vram.vram(QWEN, 8192, format="awq")
    assert found.fits(24, 1) == (found.worst.total <= 24 * 2**30)
    assert not found.fits(catalog.gpu("rtx-4080"))


def test_cheapest_ranks_by_price_and_says_why_not():
    found = vram.cheapest(QWEN, catalog.gpus(), 32_768, format="awq")
    assert len(found) == len(catalog.gpus())
    fitting = [c for c in found if c.fits]
    prices = [c.price_usd for c in fitting if c.price_usd is not None]
    assert prices == sorted(prices) and len(prices) > 3
    assert all(c.price_usd is None for c in fitting[len(prices) :]) and found[: len(fitting)] == fitting
    for choice in fitting:
        assert choice.reason == "" and choice.needs <= choice.usable and choice.gpus >= 1
    by_name = {c.card: c for c in found}
    two = by_name["GeForce RTX 4090"]
    assert two.gpus == 2 and two.price_usd == 2 * catalog.gpu("rtx-4090").price_usd and two.price_as_of
    assert two.needs == vram.vram(QWEN, 32_768, format="awq", tp=2).worst.total
    assert by_name["Apple M4 Ultra"].reason == "its memory size is not in the fact base"


def test_cheapest_on_models_that_do_not_fit_or_divide():
    big = vram.cheapest(catalog.model("deepseek-v3-0324"), catalog.gpus(), 8192, format="bf16")
    assert not any(c.fits for c in big if c.card.startswith("GeForce"))
    card = next(c for c in big if c.card == "GeForce RTX 5090")
    assert card.gpus == 8 and card.reason.startswith("8 x ") and "usable on each" in card.reason
    odd = vram.cheapest(catalog.model("smollm2-135m"), [SimpleNamespace(name="tiny", vram_gb=0.5)], 10)
    assert not odd[0].fits and "GB needed" in odd[0].reason and odd[0].price_usd is None


def test_machines_are_bought_whole():
    machine = next(c for c in vram.cheapest(LLAMA, [catalog.gpu("dgx-h100")], 8192))
    assert machine.fits and machine.gpus == 2 and machine.price_usd == catalog.gpu("dgx-h100").price_usd


# Refusals


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: vram.vram(QWEN, -1), "tokens is -1"),
        (lambda: vram.vram(QWEN, 10, 0), "batch is 0"),
        (lambda: vram.vram(QWEN, 10, format="q9"), "no weight format"),
        (lambda: vram.vram(QWEN, 10, cache_dtype="q9"), "no cache type"),
        (lambda: vram.vram(QWEN, 10, tp=3), "tp is 3, but must divide the 40 attention heads"),
        (lambda: vram.vram(QWEN, 10, tp=0), "tp is 0"),
        (lambda: vram.vram(QWEN, 10, tp=5), "one must divide the other"),
        (lambda: vram.vram(QWEN, 10, pp=65), "only 64 layers"),
        (lambda: vram.vram(QWEN, 10, pp=1.5), "pp is 1.5"),
        (lambda: vram.vram(QWEN, 10, chunk=0), "chunk is 0"),
        (lambda: vram.vram(QWEN, 10, context=-1), "context is -1"),
        (lambda: vram.vram(QWEN, 10, context=math.nan), "context is nan"),
        (lambda: vram.vram(QWEN, 10, activations=-5), "activations is -5"),
        (lambda: vram.vram(QWEN, 10, logits_rows=-1), "logits_rows is -1"),
        (lambda: vram.vram(catalog.model("kimi-dev-72b"), 10, format="awq", tp=4), "no whole groups of 128"),
        (lambda: vram.vram(catalog.model("phi-4"), 10, tp=4), "10 key-value heads"),
        (lambda: vram.vram(QWEN, 10).fits(0), "GiB of the card is 0"),
        (lambda: vram.vram(QWEN, 10).fits(24, 1.5), "utilization is 1.5"),
        (lambda: vram.vram(QWEN, 10).fits(24, 0), "utilization is 0"),
        (lambda: vram.usable_bytes(catalog.gpu("apple-m4-ultra")), "GiB of the card is None"),
        (lambda: vram.largest_batch(QWEN, 24, 0), "tokens is 0"),
        (lambda: vram.estimator(0, 4), "parameters is 0"),
        (lambda: vram.estimator(32e9, 4, 0.9), "factor is 0.9"),
        (lambda: vram.stages(0, 1), "layers is 0"),
        (lambda: vram.activation_bytes(QWEN, -1), "tokens is -1"),
    ],
)
def test_refusals_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_memory_bounds_no_context_when_the_cache_stops_growing():
    own = dict(
        layers=4, attention_heads=4, kv_heads=2, head_dim=64, hidden_size=256, intermediate_size=512, vocab_size=640
    )
    own |= dict(window_layers=4, attention_window=128, layer_types=["sliding_attention"] * 4)
    with pytest.raises(ValueError, match="memory bounds no context"):
        vram.largest_context(own, 24)
