"""Golden values from the fact base, properties on random input, and refusals in one sentence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import memory, units
from lessonlib.facts import catalog

QWEN = dict(layers=64, kv_heads=8, head_dim=128)
BIG = dict(weights=40e9, layers=80, attention_heads=64, kv_heads=8, head_dim=128, tokens=8192)
NONSENSE = [-1, math.nan, math.inf, True, "8", None]
shapes = st.fixed_dictionaries(
    dict(layers=st.integers(1, 128), kv_heads=st.integers(1, 64), head_dim=st.sampled_from([32, 64, 96, 128, 256]))
)
tokens = st.integers(0, 2_000_000)
formats = st.sampled_from([0.5, 1, 2, 4])


# Golden values


def test_cache_of_the_32b_model():
    at_50k, at_131k = memory.kv_cache_bytes(**QWEN, tokens=50_000), memory.kv_cache_bytes(**QWEN, tokens=131_072)
    assert at_50k == 13_107_200_000 and type(at_50k) is int
    assert at_131k == 32 * 2**30
    assert memory.kv_bytes_per_token(**QWEN) == 262_144
    assert units.gb(at_50k) == pytest.approx(catalog.claim("S04-033").value, rel=1e-5)
    assert units.gb(at_131k) == pytest.approx(catalog.claim("S04-034").value[0], rel=1e-5)


# Model, claim of its weights, claim of its cache at 8,192 tokens; total and share of two GPUs from the answer key.
ANSWER_KEY = [
    ("yi-coder-9b", "S12-001", "S12-004", 19.96, 10.7),
    ("qwen2.5-coder-32b", "S12-002", "S12-005", 22.97, 12.2),
    ("llama-3.3-70b", "S12-003", "S12-006", 43.95, 22.7),
]
FITS = {
    "yi-coder-9b": [True, True, True],
    "qwen2.5-coder-32b": [True, True, True],
    "llama-3.3-70b": [False, True, True],
}


def weights_of(m):
    if m.id == "yi-coder-9b":
        return memory.weight_bytes(m.total_params_exact, 16)
    return memory.awq_weight_bytes(m.total_params_exact, m.embedding_params_exact, m.tied_embeddings)


@pytest.mark.parametrize("name, weights, cache, total, share", ANSWER_KEY)
def test_answer_key_of_the_first_exercise(name, weights, cache, total, share):
    m = catalog.model(name)
    kind = dict(layers=m.layers, attention_heads=m.attention_heads, kv_heads=m.kv_heads, head_dim=m.head_dim)
    one = memory.gpu_budget(weights=weights_of(m), tokens=8192, **kind)
    two = memory.gpu_budget(weights=weights_of(m), tokens=8192, tp=2, **kind)
    assert units.gb(one.weights) == pytest.approx(catalog.claim(weights).value, rel=1e-5)
    assert units.gb(one.cache) == pytest.approx(catalog.claim(cache).value, rel=1e-5)
    assert units.gb(one.total) == pytest.approx(total, abs=0.011)
    assert units.gb(two.total) == pytest.approx(share, abs=0.06)
    cards = [memory.card_bytes(n) for n in (24, 32, 80)]
    assert [b.fits(card) for b, card in zip((one, two, one), cards, strict=True)] == FITS[name]


def test_group_128_takes_4_and_five_thirty_seconds_bits():
    assert float(memory.AWQ_BITS) == 4.15625
    assert memory.awq_weight_bytes(128, 0, True) == 128 * 4.15625 / 8
    assert memory.awq_weight_bytes(1128, 1000, True) == 2000 + 66.5
    assert memory.awq_weight_bytes(2128, 1000, False) == 4000 + 66.5


def test_window_layers_stop_growing():
    kind = dict(kv_heads=16, head_dim=128)
    mixed = memory.sliding_cache_bytes(layers=62, window_layers=52, window=1024, tokens=131_072, **kind)
    full, window = (memory.kv_cache_bytes(layers=n, tokens=t, **kind) for n, t in ((10, 131_072), (52, 1024)))
    assert mixed == full + window


def test_passes_and_scores_of_the_source_lesson():
    without, with_cache = memory.passes_without_cache(1, 1000), memory.passes_with_cache(1, 1000)
    assert [without, with_cache] == catalog.claim("S04-029").value == [500_500, 1000]
    assert memory.scores_with_cache(1, 1000) == 500_500


def test_counts_are_those_of_the_loops():
    for prompt in range(1, 6):
        for new in range(0, 6):
            lengths = [prompt + i for i in range(new)]
            assert memory.passes_without_cache(prompt, new) == sum(lengths)
            assert memory.scores_without_cache(prompt, new) == sum(n * (n + 1) // 2 for n in lengths)
            queries = [0, prompt, *[1] * (new - 1)] if new else []
            assert memory.passes_with_cache(prompt, new) == sum(queries)
            seen = sum(n * (n + 1) // 2 for n in lengths[:1]) + sum(lengths[1:])
            assert memory.scores_with_cache(prompt, new) == seen


# Properties


@given(shapes, tokens, st.integers(1, 64), formats)
def test_cache_is_linear_in_tokens_batch_and_format(shape, n, batch, size):
    one = memory.kv_cache_bytes(**shape, tokens=n, bytes_per_value=size)
    assert memory.kv_cache_bytes(**shape, tokens=2 * n, bytes_per_value=size) == 2 * one
    assert memory.kv_cache_bytes(**shape, tokens=n, batch=batch, bytes_per_value=size) == batch * one
    assert memory.kv_cache_bytes(**shape, tokens=n, bytes_per_value=2 * size) == 2 * one
    assert n * memory.kv_bytes_per_token(**shape, bytes_per_value=size) == one


@given(shapes, st.integers(1, 8), tokens, tokens, formats)
def test_the_longest_context_fits_and_one_more_does_not(shape, batch, n, more, size):
    kind = dict(**shape, batch=batch, bytes_per_value=size)
    room = memory.kv_cache_bytes(**kind, tokens=n) + more
    most = memory.tokens_that_fit(room, **kind)
    needs, too_much = (memory.kv_cache_bytes(**kind, tokens=t) for t in (most, most + 1))
    assert needs <= room < too_much


@given(shapes, st.integers(0, 128), st.integers(1, 100_000), tokens)
def test_windows_never_need_more_than_full_layers(shape, windowed, window, n):
    windowed = min(windowed, shape["layers"])
    mixed = memory.sliding_cache_bytes(**shape, window_layers=windowed, window=window, tokens=n)
    full = memory.kv_cache_bytes(**shape, tokens=n)
    assert mixed <= full and (mixed == full) == (windowed == 0 or n <= window)


@given(st.integers(1, 10**12), st.sampled_from([2, 3, 4, 6, 8, 16]), st.sampled_from([1, 2, 16, 32]))
def test_fewer_bits_are_never_bigger(parameters, bits, more):
    assert memory.weight_bytes(parameters, bits) < memory.weight_bytes(parameters, bits + more)
    assert memory.weight_bytes(2 * parameters, bits) == 2 * memory.weight_bytes(parameters, bits)


@given(st.integers(10**6, 10**12), st.floats(0.001, 0.49), st.booleans())
def test_a_group_file_lies_between_4_and_16_bits(parameters, share, tied):
    size = memory.awq_weight_bytes(parameters, int(parameters * share), tied)
    assert memory.weight_bytes(parameters, 4) < size < memory.weight_bytes(parameters, 16)
    assert memory.awq_weight_bytes(parameters, int(parameters * share), True) <= size


@given(shapes, st.sampled_from([1, 2, 4, 8, 16, 32]), tokens, st.floats(1e9, 1e12), st.floats(0, 5e9))
def test_shards_conserve_the_whole(shape, tp, n, weights, overhead):
    heads = shape["kv_heads"]
    if max(heads, tp) % min(heads, tp):
        return
    kind = dict(**shape, attention_heads=32 * heads, tokens=n, weights=weights, overhead=overhead)
    whole, share = memory.gpu_budget(**kind), memory.gpu_budget(**kind, tp=tp)
    assert share.weights * tp == pytest.approx(whole.weights)
    assert share.overhead == overhead
    assert share.total == share.weights + share.cache + share.overhead
    if tp <= heads:
        assert share.cache * tp == whole.cache
    else:  # each holds a copy of one head
        assert share.cache * heads == whole.cache
    assert share.fits(share.total or 1) and not share.fits(share.total * 0.999)


# Refusals


@pytest.mark.parametrize("name", ["layers", "kv_heads", "head_dim", "tokens", "batch", "bytes_per_value"])
@pytest.mark.parametrize("value", NONSENSE)
def test_cache_refuses_nonsense(name, value):
    with pytest.raises(ValueError, match=f"^{name} is .*, but must be .*\\.$"):
        memory.kv_cache_bytes(**{**QWEN, "tokens": 10, name: value})


@pytest.mark.parametrize("name", ["weights", "attention_heads", "kv_heads", "head_dim", "tokens", "overhead", "tp"])
@pytest.mark.parametrize("value", NONSENSE)
def test_budget_refuses_nonsense(name, value):
    with pytest.raises(ValueError, match=f"^{name} is .*, but must be .*\\.$"):
        memory.gpu_budget(**{**BIG, name: value})


@pytest.mark.parametrize("name", ["layers", "kv_heads", "tp", "attention_heads", "weights"])
def test_zero_is_refused_where_it_means_nothing(name):
    with pytest.raises(ValueError, match=f"^{name} is 0, but must be .* above 0\\.$"):
        memory.gpu_budget(**{**BIG, name: 0})


@pytest.mark.parametrize(
    "change, words",
    [
        (dict(kv_heads=6), "64 query heads cannot share 6 key-value heads"),
        (dict(tp=3), "tp is 3 and there are 8 key-value heads, but one must divide the other"),
        (dict(tp=128), "tp is 128, but must divide the 64 query heads"),
    ],
)
def test_heads_and_gpus_must_divide(change, words):
    with pytest.raises(ValueError, match=words):
        memory.gpu_budget(**{**BIG, **change})


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize(
    "function",
    [
        lambda x: memory.weight_bytes(x, 4),
        lambda x: memory.weight_bytes(10, x),
        lambda x: memory.awq_weight_bytes(x, 1, True),
        lambda x: memory.awq_weight_bytes(10, x, True),
        lambda x: memory.card_bytes(x),
        lambda x: memory.tokens_that_fit(x, **QWEN),
        lambda x: memory.kv_heads_per_gpu(x, 2),
        lambda x: memory.passes_without_cache(x, 1),
        lambda x: memory.passes_with_cache(1, x),
        lambda x: memory.scores_with_cache(x, 1),
        lambda x: memory.scores_without_cache(1, x),
        lambda x: memory.sliding_cache_bytes(**QWEN, window_layers=x, window=4, tokens=4),
        lambda x: memory.sliding_cache_bytes(**QWEN, window_layers=1, window=x, tokens=4),
        lambda x: memory.sliding_cache_bytes(**{**QWEN, "layers": x}, window_layers=1, window=1, tokens=4),
        lambda x: memory.Budget(1, 1, 1).fits(x),
    ],
)
def test_nonsense_is_refused_everywhere(function, value):
    with pytest.raises(ValueError, match=r"^\w+ is .*, but must be a (whole )?number .*\.$"):
        function(value)


def test_embeddings_and_windows_must_be_part_of_the_model():
    with pytest.raises(ValueError, match="must be fewer than all parameters"):
        memory.awq_weight_bytes(100, 50, tied=False)
    with pytest.raises(ValueError, match="window_layers is 65, but the model has only 64 layers"):
        memory.sliding_cache_bytes(**QWEN, window_layers=65, window=10, tokens=10)


def test_bytes_are_exact_at_any_size():
    size = memory.kv_cache_bytes(layers=101, kv_heads=7, head_dim=3, tokens=10**15 + 1, batch=3, bytes_per_value=0.5)
    assert size == 101 * 7 * 3 * (10**15 + 1) * 3
