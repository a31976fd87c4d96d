"""Weights of whole models: exact sums, published file sizes, agreement with the shapes and the fact base."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import architecture, memory, units, weights
from lessonlib.facts import catalog

ALL = catalog.models()
rows = st.sampled_from(ALL)


def gb(model, name, **options):
    return units.gb(weights.weights(catalog.model(model), name, **options).total)


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_plain_formats_are_bytes_times_parameters(row):
    n = row.total_params_exact
    for name, size in (("fp32", 4), ("bf16", 2), ("fp16", 2), ("int8_flat", 1), ("int4_flat", 0.5)):
        found = weights.weights(row, name)
        assert found.total == n * size
        assert set(found) == set(architecture.PARTS)
    counts = architecture.parts(row)
    assert all(found == 2 * counts[part] for part, found in weights.weights(row).items())
    assert weights.flat(n, 4).total == memory.weight_bytes(n, 4) == n / 2


# Sizes that publishers list (GB, rounded as there); a file has some MB of tokenizer and header on top.
QWEN = {
    "Q2_K": 12.3, "Q3_K_S": 14.4, "Q3_K_M": 15.9, "Q3_K_L": 17.2, "IQ4_XS": 17.9, "Q4_K_S": 18.8, "Q4_K_M": 19.9,
    "Q5_K_S": 22.6, "Q5_K_M": 23.3, "Q6_K": 26.9, "Q8_0": 34.8,
}  # fmt: skip
LLAMA = {
    "Q8_0": 74.98, "Q6_K": 57.89, "Q5_K_M": 49.95, "Q5_K_S": 48.66, "Q4_K_M": 42.52, "Q4_K_S": 40.35,
    "Q4_0-imatrix": 40.12, "IQ4_XS-imatrix": 37.90, "Q3_K_L": 37.14, "Q3_K_M": 34.27, "Q3_K_S": 30.91,
}  # fmt: skip


# With widths that are no multiple of 256, so that blocks of 32 stand in; and with eight experts. MB and GB.
SMALL = {
    "Q2_K": 339, "Q3_K_S": 338, "Q3_K_M": 355, "Q3_K_L": 369, "IQ4_XS": 351, "Q4_K_S": 385, "Q4_K_M": 398,
    "Q5_K_S": 413, "Q5_K_M": 420, "Q6_K": 506, "Q8_0": 531, "GGUF_F16": 994,
}  # fmt: skip
EIGHT = {
    "Q2_K": 17.3, "Q3_K_L": 24.2, "Q3_K_M": 22.5, "Q3_K_S": 20.4, "IQ4_XS": 25.4, "Q4_K_S": 26.7, "Q4_K_M": 28.4,
    "Q5_K_S": 32.2, "Q5_K_M": 33.2, "Q6_K": 38.4,
}  # fmt: skip


@pytest.mark.parametrize("name, size", SMALL.items())
def test_gguf_sizes_of_a_model_with_odd_widths(name, size):
    """huggingface.co/mradermacher/Qwen2.5-0.5B-GGUF and Qwen2-0.5B-GGUF (F16), the same shape (seen 2026-11-24). Its
    tokenizer and header take some 6 MB."""
    assert 5 < size - 1000 * gb("qwen2.5-0.5b", name) < 7


@pytest.mark.parametrize("name, size", EIGHT.items())
def test_gguf_sizes_of_a_model_with_eight_experts(name, size):
    """huggingface.co/mradermacher/Mixtral-8x7B-v0.1-GGUF; Q6_K from gobean's (seen 2026-11-24)."""
    assert gb("mixtral-8x7b", name) == pytest.approx(size, abs=0.055)


@pytest.mark.parametrize("name, size", QWEN.items())
def test_gguf_sizes_of_qwen_coder_32b(name, size):
    """huggingface.co/mradermacher/Qwen2.5-Coder-32B-GGUF, without importance matrix (seen 2026-11-24)."""
    assert gb("qwen2.5-coder-32b", name) == pytest.approx(size, abs=0.06)


@pytest.mark.parametrize("name, size", LLAMA.items())
def test_gguf_sizes_of_llama_70b(name, size):
    """bartowski's list for Llama 3.1 70B, the same shape, quoted at ozeki.chat/p_8590 (seen 2026-11-24)."""
    assert gb("llama-3.3-70b", name) == pytest.approx(size, abs=0.016)
    assert gb("llama-3.3-70b", name) < size


@pytest.mark.parametrize("model, gibibytes", [("gpt-oss-20b", 12.8), ("gpt-oss-120b", 60.8)])
def test_checkpoints_of_gpt_oss(model, gibibytes):
    """gpt-oss model card, table 1: checkpoint sizes in GiB."""
    assert units.gib(weights.weights(catalog.model(model), "mxfp4").total) == pytest.approx(gibibytes, abs=0.05)


def test_the_awq_rule_is_close_for_a_big_dense_model():
    for name in ("qwen2.5-coder-32b", "llama-3.3-70b", "phi-4", "yi-34b"):
        row = catalog.model(name)
        rule = memory.awq_weight_bytes(row.total_params_exact, row.embedding_params_exact, row.tied_embeddings)
        exact = weights.weights(row, "awq").total
        assert rule <= exact <= 1.001 * rule
        assert units.gb(rule) == pytest.approx(row.weights_gb["awq_g128_estimate"], abs=0.0006)


def test_widths_without_whole_groups_leave_an_awq_file_wide():
    wide = weights.weights(catalog.model("smollm2-360m"), "awq")  # 960 inputs: 7.5 groups of 128
    assert wide.total > 2 * units.GB * catalog.model("smollm2-360m").weights_gb["awq_g128_estimate"]


@pytest.mark.parametrize("name", ["qwen3-0.6b", "smollm2-135m", "gemma-3-4b"])
def test_bitsandbytes_agrees_with_the_shapes(name):
    from lessonlib.models.shapes import shape

    built, row = shape(name), catalog.model(name)
    assert weights.weights(row, "nf4").total == built.weight_bytes("bfloat16", "int4")
    assert weights.weights(row, "int8").total == built.weight_bytes("bfloat16", "int8")
    assert {part: group.bytes for part, group in built.groups().items()} == dict(weights.weights(row))


def test_qlora_base_of_the_32b():
    claim = catalog.claim("S10-027")  # its note: 19.3 GB with embeddings in 16 bits
    assert "19.3" in claim.note
    assert gb("qwen2.5-coder-32b", "nf4_dq") == pytest.approx(19.3, abs=0.1)


def test_fp8_keeps_embedding_output_and_router():
    row = catalog.model("deepseek-v3-0324")
    found, sixteen = weights.weights(row, "fp8_block"), weights.weights(row)
    for part in ("embedding", "output", "router", "norms"):
        assert found[part] == sixteen[part]
    for part in ("attention", "mlp", "experts", "shared_experts"):
        assert sixteen[part] / 2 <= found[part] < 1.001 * sixteen[part] / 2


def test_active_weights_leave_out_the_idle_experts():
    for row in ALL:
        active, all_of_it = weights.weights(row, "awq", active=True), weights.weights(row, "awq")
        assert active["experts"] == all_of_it["experts"] * weights.active_share(row)
        assert weights.weights(row, active=True).total == 2 * architecture.active_parameters(row)
        assert (active.total == all_of_it.total) == (not row.get("moe_experts"))


def test_bits_per_parameter():
    row = catalog.model("qwen2.5-coder-32b")
    assert weights.bits_per_parameter(row) == 16
    assert 4.8 < weights.bits_per_parameter(row, "Q4_K_M") < 4.9


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.id)
def test_every_model_has_every_gguf_mixture(row):
    order = ["Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K", "GGUF_F16", "GGUF_F32"]
    widths = [t.cols for t in architecture.tensors(row) if t.cols > 4 and t.part in ("embedding", "mlp", "experts")]
    if any(width % 256 for width in widths):  # blocks of 32 stand in, which do not keep the order of the small ones
        order = ["Q2_K", "Q4_K_M", "Q5_K_M", "Q6_K", "GGUF_F16", "GGUF_F32"]
    sizes = [weights.weights(row, name).total for name in order]
    assert sizes == sorted(sizes)
    assert weights.weights(row, "GGUF_F32").total == 4 * row.total_params_exact


@given(row=rows)
def test_fewer_bits_are_never_bigger(row):
    for family in (
        ["int4_flat", "int8_flat", "bf16", "fp32"],
        ["awq", "bf16"],
        ["gptq", "int8", "bf16"],
        ["fp8", "bf16"],
    ):
        sizes = [weights.weights(row, name).total for name in family]
        assert sizes == sorted(sizes)
    for wide, narrow in ((128, 64), (64, 32)):
        assert weights.weights(row, "gptq", group=wide).total < weights.weights(row, "gptq", group=narrow).total


@given(row=rows, name=st.sampled_from(["bf16", "awq", "nf4", "Q4_K_M", "Q3_K_L"]))
def test_the_pieces_add_up_to_the_whole(row, name):
    pieces = list(weights.sizes(row, weights.weight_format(name)))
    assert sum(size for _, _, size in pieces) == weights.weights(row, name).total
    layers = {layer for _, layer, _ in pieces if layer is not None}
    assert layers == set(range(row.layers))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: weights.weights(catalog.model("qwen3-8b"), "mxfp4"), "routed experts only"),
        (lambda: weights.weights(catalog.model("qwen3-8b"), "q9"), "no weight format"),
        (lambda: weights.weights("qwen3-8b"), "catalog.model"),
        (lambda: weights.flat(0, 4), "parameters is 0"),
        (lambda: weights.flat(10, -4), "bits is -4"),
        (lambda: weights.flat(10.5, 4), "parameters is 10.5"),
    ],
)
def test_refusals_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)


def test_gguf_takes_queries_keys_and_values_of_a_deltanet_layer_for_a_value_matrix():
    """llama.cpp's converter parts them from the gate, and its mixtures give them the bits of a value matrix."""
    model = catalog.model("qwen3-coder-next")
    found = architecture.tensors(model)
    assert len(weights._valued_layers(found)) == model.layers, "12 layers have v_proj, 36 have in_proj_qkvz"
    (fused,) = (t for t in found if "in_proj_qkvz" in t.name)
    values = model.linear_value_heads * model.linear_head_dim
    keys = model.linear_key_heads * model.linear_head_dim
    assert weights._gguf_pieces(model, fused) == [
        ("v", 2 * keys + values, model.hidden_size), ("rest", values, model.hidden_size),
    ]  # fmt: skip
