"""The quantization lab: formats equal torch's, packing is exact, and every method is checked against something not ours."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from lessonlib.calc import weights as sizes
from lessonlib.facts import catalog
from lessonlib.labs import quantization as lab
from lessonlib.labs import quantization_bits as bits_lab
from lessonlib.labs import quantization_formats as formats
from lessonlib.labs import quantization_kernels as kernels
from lessonlib.labs import quantization_libraries as libraries
from lessonlib.labs import quantization_methods as methods
from lessonlib.labs import quantization_texts as texts

pytestmark = pytest.mark.l08
LIMITS = settings(max_examples=60, deadline=None)
TORCH = [f for f in formats.FLOATS.values() if f.dtype]


class Letters:
    """A tokenizer of 64 letters, enough for a random model."""

    bos_token_id, eos_token_id = 0, 1

    def __call__(self, text, **_):
        return type("Ids", (), {"input_ids": [2 + ord(c) % 62 for c in text]})


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=192, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=256, pad_token_id=None, initializer_range=0.1,
        tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def judge(model):
    return lab.Judge(model, Letters(), texts.EVALUATION[:2])


@pytest.fixture(scope="module")
def inputs(model):
    return methods.observe(model, Letters(), texts.CALIBRATION[:3])


# Formats.


@pytest.mark.parametrize("form", [f for f in TORCH if f.bits <= 16], ids=lambda f: f.name)
def test_every_pattern_is_what_torch_says(form):
    torch.testing.assert_close(formats.patterns(form), formats.torch_patterns(form), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("form", TORCH, ids=lambda f: f.name)
@given(st.floats(-1, 1), st.integers(-30, 30))
@LIMITS
def test_encode_rounds_as_torch_does(form, part, power):
    value = torch.tensor(math.ldexp(part, power)).item()  # torch goes through float32 on its way from a double
    value = max(min(value, formats.largest(form)), -formats.largest(form))
    assert formats.encode(value, form) == formats.code_of(value, form)
    assert formats.encode(formats.decode(formats.encode(value, form), form), form) == formats.encode(value, form)


def test_limits_of_formats_are_those_of_torch():
    for form in TORCH:
        assert formats.largest(form) == torch.finfo(form.dtype).max
    assert formats.largest(formats.FLOATS["fp4 e2m1"]) == 6
    assert formats.encode(1e9, formats.FLOATS["fp8 e4m3"]) == formats.encode(448, formats.FLOATS["fp8 e4m3"])


def test_nf4_levels_are_those_of_bitsandbytes_and_used_evenly():
    if libraries.missing("bitsandbytes"):
        pytest.skip(libraries.missing("bitsandbytes"))
    torch.testing.assert_close(formats.nf4_levels(), libraries.bitsandbytes_levels(), atol=1e-6, rtol=0)
    with libraries.quiet():
        from bitsandbytes.functional import dequantize_4bit, quantize_4bit
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(1))
    data, state = quantize_4bit(weight, blocksize=64, quant_type="nf4", compress_statistics=False)
    ours = formats.restore_nf4(*formats.nf4(weight), weight.shape)
    torch.testing.assert_close(ours, dequantize_4bit(data, state), atol=1e-5, rtol=0)


def test_mxfp4_is_what_gguf_makes():
    if libraries.missing("gguf"):
        pytest.skip(libraries.missing("gguf"))
    weight = torch.randn(48, 96, generator=torch.Generator().manual_seed(2)) * torch.logspace(-4, 2, 48)[:, None]
    codes, scales = formats.mxfp4(weight)
    ours = formats.restore_mxfp4(codes, scales, weight.shape)
    assert torch.equal(ours, libraries.gguf_values(weight, "MXFP4"))
    assert torch.equal(2.0 ** (scales.float() - 127), scales.view(torch.float8_e8m0fnu).float())
    assert torch.equal(formats.restore_mxfp4(*formats.mxfp4(torch.zeros(1, 32)), (1, 32)), torch.zeros(1, 32))


def test_formats_refuse_nonsense():
    with pytest.raises(ValueError, match="does not fit in the 8 bits"):
        formats.decode(256, formats.FLOATS["fp8 e4m3"])
    with pytest.raises(ValueError, match="no torch dtype"):
        formats.torch_patterns(formats.FLOATS["fp4 e2m1"])


# Whole numbers.


@pytest.mark.parametrize("bits", range(2, 9))
def test_zero_point_is_what_torch_quantizes(bits):
    row = torch.randn(1, 200, generator=torch.Generator().manual_seed(bits)) + 0.3
    numbers, scale, zero = lab.zero_point(row, bits)
    own = torch.fake_quantize_per_tensor_affine(row, scale.item(), int(zero), 0, 2**bits - 1)
    assert ((own - (numbers - zero) * scale).abs() > 1e-6).sum() <= 1  # torch multiplies by 1 / scale: a tie may differ
    numbers, scale = lab.absmax(row, bits)
    top = 2 ** (bits - 1) - 1
    own = torch.fake_quantize_per_tensor_affine(row, scale.item(), 0, -top, top)
    assert ((own - numbers * scale).abs() > 1e-6).sum() <= 1


@given(st.integers(2, 8), st.integers(1, 300), st.integers(0, 2**31))
@LIMITS
def test_packing_loses_nothing_and_has_no_gaps(bits, count, seed):
    numbers = torch.randint(0, 2**bits, (count,), generator=torch.Generator().manual_seed(seed))
    stored = lab.pack(numbers, bits)
    assert stored.dtype == torch.uint8 and stored.numel() == -(-count * bits // 8)
    assert torch.equal(lab.unpack(stored, bits, count), numbers.float())


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
@pytest.mark.parametrize("group", ["tensor", "channel", 64, 32])
def test_packed_matrix_restores_what_rounding_gives(bits, group):
    weight = torch.randn(24, 128, generator=torch.Generator().manual_seed(bits)) * 0.05
    small = lab.packed(weight, bits, group)
    assert torch.equal(small.restore(), lab.rounded(weight, bits, group))
    scales = {"tensor": 1, "channel": 24}.get(group) or 24 * 128 // group
    assert small.bytes == 24 * 128 * bits // 8 + 2 * scales + -(-scales * bits // 8)


def test_zero_and_constant_groups_survive():
    weight = torch.zeros(2, 128)
    weight[1] = 0.25
    back = lab.packed(weight, 4).restore()
    assert torch.equal(back[0], weight[0]) and (back[1] - 0.25).abs().max() < 1e-3


def test_whole_numbers_refuse_nonsense():
    with pytest.raises(ValueError, match="2 to 8 bits"):
        lab.rounded(torch.zeros(2, 64), 9)
    with pytest.raises(ValueError, match="do not divide"):
        lab.rounded(torch.zeros(2, 60), 4)


# In a model.


def test_bytes_are_those_of_the_calculators_plus_zero_points(model):
    _, size = lab.quantized(model, 4)
    inside = sum(m.weight.numel() for m in lab.matrices(model).values())
    assert size == inside // 2 + inside // 64 * 2 + inside // 64 // 2 + lab.unpacked_bytes(model)
    assert len(lab.matrices(model)) == 14 and not any("lm_head" in name for name in lab.matrices(model))


def test_replaced_weights_come_back(model):
    name = next(iter(lab.matrices(model)))
    before = lab.matrices(model)[name].weight.data.clone()
    with pytest.raises(RuntimeError), lab.replaced(model, {name: torch.zeros_like(before)}):
        assert not lab.matrices(model)[name].weight.any()
        raise RuntimeError
    assert torch.equal(lab.matrices(model)[name].weight.data, before)


def test_surprise_is_the_models_own_loss(model, judge):
    ids = judge.ids[0]
    loss = model(input_ids=ids, labels=ids).loss.item()
    alone = lab.Judge(model, Letters(), texts.EVALUATION[:1])
    bits = loss * (ids.shape[1] - 1) / math.log(2) / len(texts.EVALUATION[0].encode())
    assert alone.exact.bits_per_byte == pytest.approx(bits, rel=1e-4)
    assert judge.exact.moved == 0 and judge.exact.error == 0


def test_moved_is_torchs_divergence(model, judge):
    weights, _ = lab.quantized(model, 3)
    with lab.replaced(model, weights), torch.no_grad():
        logs = [model(input_ids=ids).logits[0].log_softmax(-1) for ids in judge.ids]
    pairs = zip(logs, judge.before, strict=True)
    kl = torch.cat([torch.nn.functional.kl_div(a, b, log_target=True, reduction="none").sum(-1) for a, b in pairs])
    assert judge.of(weights).moved == pytest.approx(kl.mean().item() / math.log(2), rel=1e-3)


def test_fewer_bits_move_further(model, judge):
    moved = [judge.of(lab.quantized(model, bits)[0]).moved for bits in (8, 6, 4, 3, 2)]
    assert moved == sorted(moved)


def test_evaluation_and_calibration_share_no_text():
    assert not set(texts.EVALUATION) & set(texts.CALIBRATION)
    starts = {text[i : i + 40] for text in texts.CALIBRATION for i in range(len(text) - 40)}
    assert not any(text[i : i + 40] in starts for text in texts.EVALUATION for i in range(len(text) - 40))


# Calibration.


@torch.no_grad()
def test_gram_gives_the_change_of_real_outputs(model, inputs):
    name = "model.layers.1.mlp.down_proj"
    seen = []
    handle = lab.matrices(model)[name].register_forward_pre_hook(lambda m, a: seen.append(a[0][0]))
    for text in texts.CALIBRATION[:3]:
        model(input_ids=lab.token_ids(model, Letters(), text))
    handle.remove()
    x, change = torch.cat(seen), torch.randn(128, 192) * 0.01
    assert inputs[name].tokens == len(x)
    assert methods.output_error(change, inputs[name]) == pytest.approx((x @ change.T).square().sum().item(), rel=1e-3)
    torch.testing.assert_close(inputs[name].mean, x.abs().mean(0), rtol=1e-4, atol=1e-6)


def test_awq_without_rounding_changes_nothing(model, inputs, judge, monkeypatch):
    monkeypatch.setattr(methods, "rounded", lambda w, *_: w)
    monkeypatch.setattr(methods, "ALPHAS", (0.5,))
    monkeypatch.setattr(methods.awq_scale, "__defaults__", ((0.5,),))
    new, chosen = methods.awq(model, inputs, 4)
    assert set(chosen.values()) == {0.5} and judge.of(new).moved < 1e-5
    norm = "model.layers.0.input_layernorm"
    assert (new[norm] - model.get_submodule(norm).weight).abs().max() > 0.01, "the scale must be folded into the norm"


def test_awq_never_loses_to_plain_rounding_on_what_it_saw(model, inputs):
    for name in ("model.layers.0.mlp.down_proj", "model.layers.1.self_attn.q_proj"):
        true = lab.matrices(model)[name].weight.data
        s, alpha, errors = methods.awq_scale([true], inputs[name], lambda w: lab.rounded(w, 3))
        assert min(errors) <= errors[0] and 0 <= alpha <= 1 and s.shape == (true.shape[1],)
        assert errors[0] == pytest.approx(methods.output_error(lab.rounded(true, 3) - true, inputs[name]), rel=1e-3)


def test_gptq_moves_the_rest_as_least_squares_does():
    """After the first column is rounded, the others are where torch's own solver puts them."""
    generator = torch.Generator().manual_seed(3)
    x, weight = torch.randn(200, 64, generator=generator), torch.randn(4, 64, generator=generator)
    record = methods.Inputs(200, x.abs().mean(0), x.abs().amax(0), x.T @ x)
    gram = record.gram
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(gram)), upper=True)
    first = weight[:, :1].round()
    moved = weight[:, 1:] - (weight[:, :1] - first) / inverse[0, 0] * inverse[0, 1:]
    wanted = torch.linalg.lstsq(x[:, 1:], x @ weight.T - x[:, :1] @ first.T).solution.T
    torch.testing.assert_close(moved, wanted, atol=1e-3, rtol=1e-3)
    plain = lab.rounded(weight, 3)
    better = methods.gptq(weight, record, 3)
    assert methods.output_error(better - weight, record) < methods.output_error(plain - weight, record)


def test_gptq_with_independent_inputs_is_plain_rounding():
    weight = torch.randn(8, 128, generator=torch.Generator().manual_seed(4))
    record = methods.Inputs(1, torch.ones(128), torch.ones(128), torch.eye(128))
    torch.testing.assert_close(methods.gptq(weight, record, 4), lab.rounded(weight, 4), atol=1e-5, rtol=0)


def test_planted_outliers_change_nothing_and_are_found(model, judge):
    before = [p.clone() for p in model.parameters()]
    with methods.planted(model, (5, 9), 64):
        assert judge.score().moved < 1e-5
        seen = methods.observe(model, Letters(), texts.CALIBRATION[:2])
        harm = [methods.with_rounded_inputs(model, 8, axis, judge.score).moved for axis in (None, -1, 1)]
    assert {channel for _, channel, _ in methods.outliers(seen, 4)} <= {5, 9}
    assert harm[2] < harm[1] < harm[0]
    assert not any(m._forward_pre_hooks for m in model.modules()), "hooks must be gone"
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    with pytest.raises(ValueError, match="power of two"), methods.planted(model, (5,), 100):
        pass


# Bits by part.


def test_best_is_the_best_of_all_and_greedy_near():
    import itertools
    import random

    rng = random.Random(0)
    for _ in range(5):
        size = {f"p{i}": {b: each * b for b in (2, 3, 4)} for i, each in enumerate(rng.choices(range(1, 6), k=5))}
        error = {p: {b: rng.random() * 4.0**-b for b in (2, 3, 4)} for p in size}
        budget = sum(row[3] for row in size.values())
        every = (dict(zip(size, widths, strict=True)) for widths in itertools.product((2, 3, 4), repeat=5))
        least = min(bits_lab.total(error, a) for a in every if bits_lab.total(size, a) <= budget)
        found = bits_lab.best(size, error, budget)
        assert bits_lab.total(size, found) <= budget
        assert bits_lab.total(error, found) == pytest.approx(least)
        assert bits_lab.total(size, bits_lab.greedy(size, error, budget)) <= budget
    with pytest.raises(ValueError, match="too small"):
        bits_lab.best(size, error, 1)
    with pytest.raises(ValueError, match="too small"):
        bits_lab.uniform(size, 1)


def test_parts_and_their_bytes(model):
    found = bits_lab.parts(model)
    assert list(found) == ["0 attention", "0 feed-forward", "1 attention", "1 feed-forward"]
    table = bits_lab.sizes(model)
    _, size = lab.quantized(model, 3)
    assert sum(row[3] for row in table.values()) + lab.unpacked_bytes(model) == size
    weights = bits_lab.weights(model, dict.fromkeys(found, 3))
    assert torch.equal(weights["model.layers.0.mlp.up_proj"], lab.quantized(model, 3)[0]["model.layers.0.mlp.up_proj"])


# Libraries and kernels.


@pytest.mark.parametrize("variant", [v for v in libraries.VARIANTS if v.library != "torchao"], ids=lambda v: v.name)
def test_every_library_packs_the_small_model(variant):
    if said := libraries.missing(variant.library):
        with pytest.raises(ModuleNotFoundError, match="pip install"):
            libraries.made(variant, None)
        pytest.skip(said)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=128, intermediate_size=256, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, pad_token_id=None, initializer_range=0.1,
    )  # fmt: skip
    fresh = LlamaForCausalLM(config).eval()
    judge = lab.Judge(fresh, Letters(), texts.EVALUATION[:1])
    size = libraries.made(variant, fresh)
    with libraries.quiet():
        score = judge.score(fresh)
    assert 0 <= score.moved < 0.2
    assert size <= 4 * sum(p.numel() for p in LlamaForCausalLM(config).parameters())


def test_bytes_of_libraries_are_those_of_the_calculators():
    """On `target`, with 16-bit scales as files have them: the record holds what `calc` predicts."""
    from lessonlib.models import load

    if libraries.missing("bitsandbytes"):
        pytest.skip(libraries.missing("bitsandbytes"))
    model, _ = load("target", dtype=torch.float32)
    assert libraries.made(libraries.variant("NF4, bitsandbytes"), model) == sizes.weights(model, "nf4").total
    with pytest.raises(ValueError, match="There is no variant"):
        libraries.variant("q5")


def test_quiet_keeps_errors():
    with pytest.raises(KeyError), libraries.quiet():
        raise KeyError("x")


def test_the_kernel_gives_the_product_of_the_restored_weights():
    matrix = kernels.int4_matrix(64, 128)
    assert kernels.difference(matrix) < 0.02
    assert matrix.bytes == 64 * 128 // 2 + 64 * 128 // 64 * 4
    assert [r.batch for r in kernels.race(matrix, (1, 3), rounds=1)] == [1, 3]
    with pytest.raises(ValueError, match="outputs in 16s"):
        kernels.int4_matrix(60, 100)


def test_four_bits_help_decoding_and_not_prefill():
    rows = kernels.ceilings(catalog.model("qwen2.5-coder-32b"), catalog.gpu("h100-sxm"))
    gains = [row["times_as_fast"] for row in rows]
    assert gains[0] > 3 and gains == sorted(gains, reverse=True) and gains[-1] == pytest.approx(1)
    assert (rows[0]["bound_16"], rows[-1]["bound_4"]) == ("memory", "compute")


def test_gains_of_a_gpus_record_have_a_row_a_matrix_and_a_column_a_batch():
    from lessonlib.labs import quantization_kernels as kernels
    from lessonlib.page import records

    record = records.load("l08_int4_gpu")
    rows, header, caption = kernels.gains(record)
    assert [row[0] for row in rows] == list(record["shapes"]) and header[2] == "batch 1" and record["device"] in caption
    first = record["metrics"]["times_as_fast_q_at_batch_1"]["median"]
    assert rows[0][1] == "5,120 × 5,120" and rows[0][2] == f"{first:.2f}" and len(rows[0]) == len(header)
    assert first > 1 > float(rows[0][-1])  # the gain is that of few rows
