"""The cache of every model against the shapes, the fact base and the plain formula; properties and refusals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import cache, memory, units
from lessonlib.facts import catalog

ALL = catalog.models()
rows = st.sampled_from(ALL)
lengths, batches = st.integers(0, 400_000), st.integers(1, 64)
dtypes = st.sampled_from(sorted(cache.DTYPES))
PLAIN = dict(layers=64, kv_heads=8, head_dim=128)


def keys_and_values(found):
    return sum(found.get(part, 0) for part in ("full_attention", "sliding_window", "latent"))


# Golden values and agreement


def test_the_32b_model_at_50000_tokens():
    found = cache.cache(catalog.model("qwen2.5-coder-32b"), 50_000)
    assert dict(found) == {"full_attention": 13_107_200_000} and type(found.total) is int
    assert cache.bytes_per_token(catalog.model("qwen2.5-coder-32b")) == 262_144
    assert units.gb(found.total) == pytest.approx(catalog.claim("S04-033").value, rel=1e-5)


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_every_model_agrees_with_its_shape_and_its_row(row):
    from lessonlib.models.shapes import shape

    built = shape(row)
    for tokens, batch in ((0, 1), (1, 1), (100, 3), (1500, 1), (5000, 2), (200_000, 1)):
        found = cache.cache(row, tokens, batch)
        assert keys_and_values(found) == built.kv_bytes(tokens, batch)
        assert found.get("index", 0) == built.index_bytes(tokens, batch)
        assert found.get("recurrent_state", 0) == built.state_bytes * batch
        assert found.get("conv_state", 0) == built.conv_state_bytes * batch
        assert keys_and_values(cache.cache(row, tokens, batch, "fp32")) == built.kv_bytes(tokens, batch, "float32")
    for tokens, gigabytes in row.kv_gb_fp16_at.items():
        assert round(units.gb(keys_and_values(cache.cache(row, int(tokens)))), 3) == gigabytes
    index = 2 * row.layers * row.get("sparse_index_head_dim", 0)
    assert cache.bytes_per_token(row) == row.kv_bytes_per_token_fp16 + index
    until = row.get("kv_bytes_per_token_fp16_until_window", row.kv_bytes_per_token_fp16)
    assert cache.bytes_per_token(row, tokens=0) == until + index
    states = row.get("fixed_state_bytes_per_sequence", 0)
    assert cache.cache(row, 0).get("recurrent_state", 0) == states
    assert (cache.fixed_bytes(row) > 0) == (states > 0)


def test_exercise_1_caches_at_8192_tokens():
    for name, claim in (("yi-coder-9b", "S12-004"), ("qwen2.5-coder-32b", "S12-005"), ("llama-3.3-70b", "S12-006")):
        found = units.gb(cache.cache(catalog.model(name), 8192).total)
        assert found == pytest.approx(catalog.claim(claim).value, rel=1e-5)


def test_deepseeks_own_8_bit_cache():
    found = cache.cache(catalog.model("deepseek-v3.2"), 1000, 2, "fp8_ds_mla")
    assert found["latent"] == 61 * 656 * 1000 * 2  # 512 + 4 scales of 4 bytes + 64 rotary values of 2 bytes
    assert found["index"] == 61 * 132 * 1000 * 2
    assert cache.cache(catalog.model("deepseek-v3.2"), 1000, 2, "fp8")["latent"] == 61 * 576 * 1000 * 2


def test_quantized_caches_with_their_scales():
    row = catalog.model("qwen3-8b")
    values = cache.cache(row, 1000).total // 2
    assert cache.cache(row, 1000, dtype="int4").total == values / 2
    assert cache.cache(row, 1000, dtype="int4", group=64).total == values / 2 + 4 * values / 64
    assert cache.cache(row, 1000, dtype="q8_0").total == values * 34 / 32
    assert cache.cache(row, 1000, dtype="q4_0").total == values * 18 / 32
    assert cache.cache(row, 1000, dtype=0.5).total == values / 2


def test_blocks_round_each_sequence_up():
    one = cache.cache(PLAIN, 16).total
    assert cache.cache(PLAIN, 1, 3, block=16).total == 3 * one
    assert cache.cache(PLAIN, 17, block=16).total == 2 * one
    assert cache.cache(PLAIN, 16, block=16).total == one


def test_layers_of_each_kind():
    assert cache.layer_kinds(catalog.model("qwen3-coder-next"))[:8] == ("state", "state", "state", "full") * 2
    assert set(cache.layer_kinds(catalog.model("deepseek-r1"))) == {"latent"}
    assert cache.layer_kinds(catalog.model("nemotron-3-nano"))[:6] == (
        "state",
        "none",
        "state",
        "none",
        "state",
        "full",
    )
    assert cache.layer_kinds(catalog.model("gpt-oss-20b"))[:4] == ("window", "full", "window", "full")


def test_tensor_parallel_gpus_share_heads_and_repeat_latents():
    row = catalog.model("llama-3.3-70b")
    whole = cache.cache(row, 1000).total
    assert cache.cache(row, 1000, tp=4).total == whole / 4
    assert cache.cache(row, 1000, tp=16).total == whole / 8
    assert "several hold the same head" in cache.cache(row, 1000, tp=16).notes[0]
    latent = cache.cache(catalog.model("deepseek-r1"), 1000, tp=8)
    assert latent.total == cache.cache(catalog.model("deepseek-r1"), 1000).total and "latent" in latent.notes[0]
    states = cache.cache(catalog.model("qwen3-coder-next"), 0, tp=2)
    assert 2 * states.total == cache.fixed_bytes(catalog.model("qwen3-coder-next"))


def test_stages_add_up():
    for name in ("gpt-oss-120b", "qwen3-coder-next", "nemotron-3-super", "glm-5", "gemma-3-27b"):
        row = catalog.model(name)
        parts = [cache.cache(row, 5000, 2, layers=r) for r in (range(10), range(10, row.layers))]
        assert (parts[0] + parts[1]).parts == cache.cache(row, 5000, 2).parts


def test_formula_shows_the_numbers():
    words = cache.formula(catalog.model("qwen2.5-coder-32b"), 50_000, 2)
    assert words == (
        "2 (K and V) x 64 layers x 8 KV heads x 128 values x 50,000 tokens x 2 sequences x 2 bytes = 26,214,400,000 bytes"
    )
    for row in ALL:
        assert len(cache.formula(row, 5000).splitlines()) == len(cache.cache(row, 5000))
    assert "656 bytes" in cache.formula(catalog.model("deepseek-v3.2"), 10, dtype="fp8_ds_mla")
    assert "0.5625 bytes" in cache.formula(PLAIN, 10, dtype="int4", group=64)
    assert "32 tokens" in cache.formula(PLAIN, 17, block=16)


# Properties


@given(row=rows, tokens=lengths, batch=batches, dtype=dtypes)
def test_linear_in_batch_and_never_shrinking_in_tokens(row, tokens, batch, dtype):
    one, all_of_them = cache.cache(row, tokens, 1, dtype), cache.cache(row, tokens, batch, dtype)
    assert all_of_them.total == one.total * batch
    assert cache.cache(row, tokens + 1, 1, dtype).total >= one.total


@given(layers=st.integers(1, 128), heads=st.integers(1, 64), size=st.sampled_from([32, 64, 128]), tokens=lengths)
def test_plain_attention_is_the_plain_formula(layers, heads, size, tokens):
    shape = dict(layers=layers, kv_heads=heads, head_dim=size)
    assert cache.cache(shape, tokens).total == memory.kv_cache_bytes(**shape, tokens=tokens)
    assert cache.cache(shape, 2 * tokens).total == 2 * cache.cache(shape, tokens).total


@given(tokens=lengths, window=st.integers(1, 50_000), windowed=st.integers(0, 8), batch=batches)
def test_a_window_never_holds_more_than_the_full_cache(tokens, window, windowed, batch):
    kinds = ["sliding_attention"] * windowed + ["full_attention"] * (8 - windowed)
    own = dict(layers=8, kv_heads=2, head_dim=64, window_layers=windowed, attention_window=window, layer_types=kinds)
    found = cache.cache(own, tokens, batch).total
    assert found <= cache.cache(dict(layers=8, kv_heads=2, head_dim=64), tokens, batch).total
    plain = dict(layers=8, window_layers=windowed, window=window, kv_heads=2, head_dim=64, tokens=tokens, batch=batch)
    assert found == memory.sliding_cache_bytes(**plain)


@given(row=rows, tokens=lengths)
def test_narrower_types_are_never_bigger(row, tokens):
    order = ["int4", "q4_0", "q4_1", "q5_0", "q5_1", "fp8", "q8_0", "bf16", "fp32"]
    sizes = [cache.cache(row, tokens, dtype=dtype).total for dtype in order]
    assert sizes == sorted(sizes)


@given(row=rows, budget=st.integers(0, 10**11), batch=batches, block=st.sampled_from([1, 16]))
def test_tokens_that_fit_is_the_last_that_fits(row, budget, batch, block):
    most = cache.tokens_that_fit(budget, row, batch, block=block)
    if most:
        assert cache.cache(row, most, batch, block=block).total <= budget
    assert cache.cache(row, most + 1, batch, block=block).total > budget


# Refusals


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: cache.cache(PLAIN, -1), "tokens is -1"),
        (lambda: cache.cache(PLAIN, math.nan), "tokens is nan"),
        (lambda: cache.cache(PLAIN, 1.5), "tokens is 1.5"),
        (lambda: cache.cache(PLAIN, 10, 0), "batch is 0"),
        (lambda: cache.cache(PLAIN, 10, dtype="fp9"), "no cache type 'fp9'"),
        (lambda: cache.cache(PLAIN, 10, dtype=-2), "bytes a value is -2"),
        (lambda: cache.cache(PLAIN, 10, dtype="fp8_ds_mla"), "latent attention"),
        (lambda: cache.cache(PLAIN, 10, group=0), "group is 0"),
        (lambda: cache.cache(PLAIN, 10, block=0), "block is 0"),
        (lambda: cache.cache(PLAIN, 10, tp=3), "one must divide the other"),
        (lambda: cache.cache(catalog.model("qwen3-coder-next"), 10, tp=3), "must divide"),
        (lambda: cache.cache(dict(layers=8, kv_heads=2), 10), "lacks head_dim"),
        (lambda: cache.cache(dict(kv_heads=2, head_dim=64), 10), "layers"),
        (lambda: cache.cache("qwen3-8b", 10), "catalog.model"),
        (lambda: cache.tokens_that_fit(-1, PLAIN), "budget_bytes is -1"),
    ],
)
def test_refusals_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_cache_that_stops_growing_bounds_no_context():
    own = dict(PLAIN, layer_types=["sliding_attention"] * 64, window_layers=64, attention_window=128)
    assert cache.cache(own, 10**9).total == cache.cache(PLAIN, 128).total
    with pytest.raises(ValueError, match="stops growing"):
        cache.tokens_that_fit(10**9, own)


def test_states_in_another_width():
    """transformers keeps the state of a DeltaNet layer in 32 bits, engines in 16."""
    row = catalog.model("qwen3-coder-next")
    usual, wide = cache.cache(row, 100), cache.cache(row, 100, state_dtype="fp32")
    assert wide["recurrent_state"] == 2 * usual["recurrent_state"]
    assert {**wide, "recurrent_state": 0} == {**usual, "recurrent_state": 0}
    assert cache.cache(catalog.model("qwen3-32b"), 100, state_dtype="fp32") == cache.cache(
        catalog.model("qwen3-32b"), 100
    )
    with pytest.raises(ValueError, match="no cache type 'fp31'"):
        cache.cache(row, 100, state_dtype="fp31")
