"""The key-value cache lab: by hand = uncached = transformers; bytes exact; windows, rounding, counts."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from lessonlib.calc import memory
from lessonlib.facts import catalog
from lessonlib.labs import kv_cache as lab

pytestmark = pytest.mark.l05
SHAPES = {"mha": (4, 4), "gqa": (6, 2), "mqa": (4, 1)}  # H, K
TOLERANCE = 1e-4  # float32 through three layers of width 48; logits of random models stay below 1
LIMITS = settings(max_examples=60, deadline=None)


def tiny(heads, kv_heads, kind=(LlamaConfig, LlamaForCausalLM), **more):
    """A random model whose values are large enough that a mistake shows."""
    torch.manual_seed(heads * 10 + kv_heads)
    config = kind[0](
        vocab_size=97, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=heads,
        num_key_value_heads=kv_heads, head_dim=8, max_position_embeddings=128, pad_token_id=None, initializer_range=0.3,
        **more,
    )  # fmt: skip
    return kind[1](config).eval()


@pytest.fixture(scope="module", params=SHAPES)
def model(request):
    return tiny(*SHAPES[request.param])


def tokens(batch, length, seed=0):
    return torch.randint(0, 97, (batch, length), generator=torch.Generator().manual_seed(seed))


def close(got, want, tolerance=TOLERANCE):
    torch.testing.assert_close(got, want, atol=tolerance, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("pieces", [(12,), (5, 7), (1,) * 12, (4, 1, 1, 6)])
def test_by_hand_equals_uncached_and_transformers(model, pieces, batch):
    ids, cache, done, parts = tokens(batch, 12), None, 0, []
    for length in pieces:
        logits, cache = lab.forward(model, ids[:, done : done + length], cache)
        parts.append(logits)
        done += length
    uncached = model(input_ids=ids, use_cache=False).logits
    assert uncached.abs().max() > 0.1
    close(torch.cat(parts, 1), uncached)
    theirs = lab.from_transformers(model(input_ids=ids, use_cache=True).past_key_values)
    assert len(cache) == len(theirs) == 3
    for ours, own in zip(cache, theirs, strict=True):
        close(ours, own)
        assert ours[0].shape == (batch, model.config.num_key_value_heads, 12, 8)


@torch.no_grad()
def test_our_cache_continues_a_transformers_one(model):
    ids = tokens(2, 10)
    theirs = lab.from_transformers(model(input_ids=ids[:, :6], use_cache=True).past_key_values)
    logits, _ = lab.forward(model, ids[:, 6:], theirs)
    close(logits, model(input_ids=ids).logits[:, 6:])


def test_write_is_greedy_generation(model):
    ids = tokens(1, 7)
    want = model.generate(ids, max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0)[:, 7:]
    assert torch.equal(lab.write(model, ids, 9), want)
    _, cache = lab.forward(model, ids[:, :5])
    assert torch.equal(lab.write(model, ids[:, 5:], 9, cache), want)
    assert torch.equal(lab.write(model, ids[:, 5:], 9, cache, first_position=5), want)


@torch.no_grad()
def test_only_distances_between_positions_count(model):
    ids = tokens(1, 8)
    plain, _ = lab.forward(model, ids)
    shifted, _ = lab.forward(model, ids, first_position=40)
    close(shifted, plain, 1e-3)
    _, cache = lab.forward(model, ids[:, :6])
    off, _ = lab.forward(model, ids[:, 6:], cache, first_position=7)
    assert (off - plain[:, 6:]).abs().max() > 1e-2


@torch.no_grad()
def test_three_mistakes_change_the_logits(model):
    ids = tokens(1, 12)
    exact, _ = lab.forward(model, ids)
    _, past = lab.forward(model, ids[:, :8])
    _, foreign = lab.forward(model, tokens(1, 8, seed=1))
    right, _ = lab.forward(model, ids[:, 8:], past)
    assert lab.kl_divergence(right, exact[:, 8:]) < 1e-5
    for broken, position in ((past, 9), (foreign, None), ([(v, k) for k, v in past], None)):
        logits, _ = lab.forward(model, ids[:, 8:], broken, position)
        assert lab.kl_divergence(logits, exact[:, 8:]) > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("window", [1, 2, 5, 40])
@pytest.mark.parametrize("pieces", [(14,), (6, 8), (6,) + (1,) * 8])
def test_window_equals_a_model_made_with_it(window, pieces):
    model = tiny(6, 2, (MistralConfig, MistralForCausalLM), sliding_window=window)
    ids, cache, done, parts = tokens(2, 14), None, 0, []
    for length in pieces:
        logits, cache = lab.forward(model, ids[:, done : done + length], cache, first_position=done, window=window)
        parts.append(logits)
        done += length
        assert cache[0][0].shape[2] == min(done, window - 1)
    model.set_attn_implementation("eager")
    close(torch.cat(parts, 1), model(input_ids=ids, use_cache=False).logits)


def test_window_cache_holds_no_hidden_memory():
    model = tiny(6, 2)
    _, cache = lab.forward(model, tokens(1, 50), window=5)
    kept = cache[0][0]
    assert kept.untyped_storage().nbytes() == kept.numel() * kept.element_size() == 2 * 4 * 8 * 4


def test_window_without_a_position_is_refused():
    model = tiny(4, 4)
    _, cache = lab.forward(model, tokens(1, 9), window=4)
    with pytest.raises(ValueError, match="give first_position"):
        lab.forward(model, tokens(1, 1), cache, window=4)


def test_append_makes_new_tensors():
    old = torch.ones(1, 2, 3, 4), torch.ones(1, 2, 3, 4)
    keys, values = lab.append(old, torch.zeros(1, 2, 1, 4), torch.full((1, 2, 1, 4), 2.0))
    assert keys.shape == values.shape == (1, 2, 4, 4)
    assert keys[:, :, 3].eq(0).all() and values[:, :, 3].eq(2).all()
    keys.zero_()
    assert old[0].eq(1).all()


@LIMITS
@given(
    heads=st.sampled_from([(1, 1), (4, 2), (6, 2), (5, 1)]), batch=st.integers(1, 3), length=st.integers(1, 5),
    before=st.integers(0, 6), window=st.integers(0, 7), seed=st.integers(0, 1000),
)  # fmt: skip
def test_attend_equals_torch(heads, batch, length, before, window, seed):
    """Against PyTorch's own attention with the mask written out position by position."""
    torch.manual_seed(seed)
    total = before + length
    q = torch.randn(batch, heads[0], length, 8)
    keys, values = torch.randn(2, batch, heads[1], total, 8)
    seen = [
        [(j <= before + i) and (not window or j > before + i - window) for j in range(total)] for i in range(length)
    ]
    want = torch.nn.functional.scaled_dot_product_attention(
        q, keys, values, attn_mask=torch.tensor(seen), enable_gqa=True
    )
    close(lab.attend(q, keys, values, window), want, 1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bytes_are_exact_for_every_dtype(model, dtype):
    c, ids = model.config, tokens(3, 11)
    with torch.no_grad():
        kept = model(input_ids=ids, use_cache=True).past_key_values
    cache = [tuple(t.to(dtype) for t in pair) for pair in lab.from_transformers(kept)]
    want = memory.kv_cache_bytes(
        layers=3, kv_heads=c.num_key_value_heads, head_dim=8, tokens=11, batch=3, bytes_per_value=dtype.itemsize
    )
    assert lab.cache_bytes(cache) == want


@pytest.mark.parametrize("name", ["qwen2.5-coder-32b", "olmo-2-7b", "granite-34b-code", "qwen3-0.6b"])
def test_real_shapes_take_the_bytes_of_the_formula(name):
    m = catalog.model(name)
    for kv_heads in (None, m.attention_heads, 1):
        cache = lab.cache_of_shape(m, 1000, kv_heads)
        assert len(cache) == m.layers and cache[0][0].device.type == "meta"
        want = memory.kv_cache_bytes(layers=m.layers, kv_heads=kv_heads or m.kv_heads, head_dim=m.head_dim, tokens=1000)
        assert lab.cache_bytes(cache) == want


def test_the_32b_shape_whole():
    """All 32.8 billion parameters, on the meta device: the two figures of the fact base."""
    m = catalog.model("qwen2.5-coder-32b")
    for tokens_read, claim in ((50_000, "S04-033"), (131_072, "S04-034")):
        got = lab.cache_bytes(lab.cache_of_shape(m, tokens_read, thin=False))
        assert f"{got / 1e9:.1f} GB" in catalog.claim(claim).right_value


@LIMITS
@given(
    x=st.integers(0, 10_000), bits=st.sampled_from([8, 4]), scale=st.sampled_from([1e-2, 1.0, 50.0]),
    size=st.sampled_from([2, 32, 128]),
)  # fmt: skip
def test_rounding_error_is_at_most_half_a_step(x, bits, scale, size):
    values = torch.randn(2, 3, 5, size, generator=torch.Generator().manual_seed(x)) * scale
    numbers, scales = lab.quantize(values, bits)
    back = lab.dequantize(numbers, scales)
    # half a step, and what the 16-bit scale itself loses (1 part in 2,048 of the largest value)
    bound = scales.float() / 2 + values.abs().amax(-1, keepdim=True) / 2000
    assert back.shape == values.shape and ((back - values).abs() <= bound + 1e-6).all()
    assert numbers.element_size() * numbers.numel() == values.numel() * bits // 8
    assert scales.shape == (2, 3, 5, 1) and scales.element_size() == 2


def test_rounding_of_zeros_and_of_odd_bits():
    assert lab.dequantize(*lab.quantize(torch.zeros(1, 1, 2, 8), 4)).eq(0).all()
    with pytest.raises(ValueError, match="4 or 8 bits"):
        lab.quantize(torch.ones(1, 1, 1, 8), 3)


def test_stored_caches_shrink_and_get_worse(model):
    ids = tokens(1, 40)
    _, past = lab.forward(model, ids[:, :30])
    exact, _ = lab.forward(model, ids[:, 30:], past)
    sizes, changes = [], []
    for bits in (16, 8, 4):
        back, size = lab.stored(past, bits)
        assert back[0][0].dtype == torch.float32 and back[0][0].shape == past[0][0].shape
        sizes.append(size)
        changes.append(lab.kl_divergence(lab.forward(model, ids[:, 30:], back)[0], exact))
    values = lab.cache_bytes(past) // 4
    scales = values // 8 * 2
    assert sizes == [2 * values, values + scales, values // 2 + scales]
    assert 0 <= changes[0] < changes[1] < changes[2]


@torch.no_grad()
def test_transformers_own_caches():
    model, ids = tiny(6, 2), tokens(1, 20)
    exact = model(input_ids=ids).logits[:, 12:]
    changes = {}
    for kind in ("dynamic", "fp8", "quanto"):
        cache = lab.transformers_cache(model.config, kind)
        if cache is None:
            assert kind != "dynamic"
            continue
        model(input_ids=ids[:, :12], past_key_values=cache)
        changes[kind] = lab.kl_divergence(model(input_ids=ids[:, 12:], past_key_values=cache).logits, exact)
    assert changes["dynamic"] < 1e-5
    assert all(0 < value < 5 for kind, value in changes.items() if kind != "dynamic")
    assert lab.transformers_cache(model.config, "no such kind") is None


def test_kl_divergence():
    logits = torch.tensor([[[0.0, 0.0]]])
    assert lab.kl_divergence(logits, logits) == 0
    sure = torch.tensor([[[100.0, 0.0]]])
    assert lab.kl_divergence(logits, sure) == pytest.approx(1, abs=1e-5)  # certainty read as a coin: one bit
    assert lab.kl_divergence(logits + 5, logits) == pytest.approx(0, abs=1e-6)


@given(prompt=st.integers(1, 200), new=st.integers(1, 200))
def test_growth_agrees_with_the_counting_formulas(prompt, new):
    plain, cached = lab.growth(prompt, new, cached=False), lab.growth(prompt, new, cached=True)
    assert sum(s.computed for s in plain) == memory.passes_without_cache(prompt, new)
    assert sum(s.computed for s in cached) == memory.passes_with_cache(prompt, new)
    assert all(s.computed + s.reused == s.tokens for s in plain + cached)
    assert [s.tokens for s in plain] == [s.tokens for s in cached] == list(range(prompt, prompt + new))
    assert all(s.reused == 0 for s in plain) and cached[0].reused == 0
    # each token's query scores against itself and all keys before it, whoever computed them
    assert memory.scores_with_cache(prompt, new) == sum(range(1, prompt + new))


@pytest.mark.parametrize("cached", [True, False])
def test_forward_computes_what_growth_counts(monkeypatch, cached):
    """Rows that really pass through the key projection of the first layer, step by step."""
    model, counted = tiny(6, 2), []
    project = model.model.layers[0].self_attn.k_proj
    project.register_forward_hook(lambda module, inputs, output: counted.append(output.shape[1]))
    lab.timed_generation(model, tokens(1, 5), 4, cached)
    assert counted == [step.computed for step in lab.growth(5, 4, cached)]


def test_timed_generation_writes_the_same_both_ways(model):
    ids = tokens(1, 9)
    runs = [lab.timed_generation(model, ids, 6, cached) for cached in (True, False)]
    assert runs[0].ids == runs[1].ids == lab.write(model, ids, 6)[0].tolist()
    assert all(run.prefill > 0 and run.decode > 0 for run in runs)


def test_speed_reports_every_length(model):
    found = lab.speed(model, (4, 20), new=3, rounds=2)
    assert [s.tokens for s in found] == [4, 20]
    assert all(min(s.prefill, s.cached, s.uncached) > 0 for s in found)


def test_speed_refuses_different_texts(model, monkeypatch):
    real = lab.timed_generation

    def lies(m, ids, new, cached):
        run = real(m, ids, new, cached)
        return run if cached else lab.Timing(run.prefill, run.decode, [i + 1 for i in run.ids])

    monkeypatch.setattr(lab, "timed_generation", lies)
    with pytest.raises(RuntimeError, match="different tokens after 4"):
        lab.speed(model, (4,), new=3, rounds=1)


def test_stored_record_is_whole():
    """The reference beside which a learner's numbers stand, and its medians."""
    from statistics import median

    from lessonlib.paths import records_dir

    record = json.loads((records_dir() / "l05_decode.json").read_text())
    assert record["name"] == "l05_decode" and record["date"] and record["device"] and record["versions"]["torch"]
    for metric, entry in record["metrics"].items():
        assert len(entry["samples"]) >= 3, metric
        assert entry["median"] == pytest.approx(median(entry["samples"])), metric
    lengths = record["lengths"]
    assert {f"times_as_fast_at_{n}_tokens" for n in lengths} <= record["metrics"].keys()
