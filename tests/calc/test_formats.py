"""Bytes of matrices in every format, against the libraries that make them, and names in any spelling."""

from fractions import Fraction

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import formats
from lessonlib.calc.formats import FORMATS, Surroundings, block_bytes, gguf_block, weight_format

sides = st.sampled_from([256, 512, 768, 1024, 2880, 4096, 11008, 29568])
names = st.sampled_from([name for name, form in FORMATS.items() if form.packs != "gguf"])


def bytes_of(name, rows, cols, part="mlp", role="up", **options):
    return weight_format(name, **options).matrix_bytes(part, role, rows, cols)


# Golden values, by hand from the layouts


@pytest.mark.parametrize(
    "name, expected",
    [
        ("fp32", 4 * 1024 * 512),
        ("bf16", 2 * 1024 * 512),
        ("fp8", 1024 * 512 + 4),
        ("fp8_block", 1024 * 512 + 4 * 8 * 4),
        ("int8", 1024 * 512 + 4 * 1024),
        ("int8_flat", 1024 * 512),
        ("int4_flat", 1024 * 256),
        ("awq", 1024 * 256 + 1024 * 4 * 2 + 1024 * 4 // 2),
        ("gptq", 1024 * 256 + 1024 * 4 * 2 + 1024 * 4 // 2 + 4 * 512),
        ("nf4", 1024 * 256 + 4 * 1024 * 8 + 64),
        ("nf4_dq", 1024 * 256 + 1024 * 8 + 4 * 32 + 64 + 1024 + 4),
    ],
)
def test_a_matrix_of_1024_by_512(name, expected):
    assert bytes_of(name, 1024, 512) == expected


def test_mxfp4_packs_experts_only():
    assert bytes_of("mxfp4", 1024, 512, part="experts") == 1024 * 512 * 17 // 32
    assert bytes_of("mxfp4", 1024, 512) == 2 * 1024 * 512


def test_groups_and_bits_are_parameters():
    assert bytes_of("awq", 64, 256, group=64) == 64 * 128 + 64 * 4 * Fraction(5, 2)
    assert bytes_of("gptq", 64, 256, bits=8) == 64 * 256 + 64 * 2 * (2 + 1) + 4 * 256
    assert bytes_of("gptq", 64, 256, bits=3, group=32) == 64 * 96 + 8 * (128 + 24) + 1024
    assert weight_format("gptq-g32", bits=3).name == "gptq-3bit-g32"
    assert weight_format("awq").bits == Fraction(4) + Fraction(20, 128)


@pytest.mark.parametrize("spelling", ["gptq-8bit", "8bit-gptq", "GPTQ int8", "w8a16-gptq"])
def test_bits_may_stand_in_the_name(spelling):
    assert weight_format(spelling).name == "gptq-8bit"
    assert bytes_of(spelling, 64, 256) == bytes_of("gptq", 64, 256, bits=8)
    assert weight_format(f"{spelling}-g64").group == 64
    with pytest.raises(ValueError, match="bits is 8, but AWQ files have 4 bits"):
        weight_format(spelling.lower().replace("gptq", "awq"))


@pytest.mark.parametrize("bits, rows, cols", [(8, 48, 320), (4, 48, 320), (4, 48, 384), (4, 48, 96), (4, 16, 136)])
def test_quanto_takes_what_optimum_quanto_saves(bits, rows, cols):
    torch, quanto = pytest.importorskip("torch"), pytest.importorskip("optimum.quanto")
    holder = torch.nn.Sequential(torch.nn.Linear(cols, rows, bias=False, dtype=torch.bfloat16))
    quanto.quantize(holder, weights=quanto.qint8 if bits == 8 else quanto.qint4)
    quanto.freeze(holder)
    assert bytes_of(f"quanto_int{bits}", rows, cols) == sum(t.nbytes for t in holder.state_dict().values())


def test_matrices_without_whole_groups_stay_wide():
    assert bytes_of("awq", 1024, 576) == bytes_of("bf16", 1024, 576)
    assert bytes_of("awq", 1004, 512) == bytes_of("bf16", 1004, 512)
    assert bytes_of("gptq", 1024, 576) < bytes_of("bf16", 1024, 576)  # gptq rounds the groups up


@pytest.mark.parametrize("part, role", [("embedding", "embedding"), ("output", "output"), ("router", "router")])
def test_what_gpu_formats_leave_in_16_bits(part, role):
    for name in ("awq", "gptq", "nf4", "nf4_dq", "int8", "fp8", "fp8_block", "mxfp4"):
        assert bytes_of(name, 1024, 512, part, role) == 2 * 1024 * 512
    assert bytes_of("int4_flat", 1024, 512, part, role) == 1024 * 256


def test_vectors_and_convolutions_are_no_matrices():
    for role, rows, cols in (("norm", 4096, 1), ("bias", 4096, 1), ("conv", 4096, 4), ("sinks", 64, 1)):
        assert bytes_of("nf4", rows, cols, "linear_attention", role) == 2 * rows * cols


# Against the libraries


def test_block_sizes_are_those_of_the_gguf_package():
    for name, sizes in formats.BLOCKS.items():
        assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]] == sizes


@pytest.mark.parametrize("nested", [False, True])
def test_nf4_takes_what_bitsandbytes_saves(nested):
    import bitsandbytes.functional as bnb
    import torch

    packed, state = bnb.quantize_4bit(torch.randn(96, 320), quant_type="nf4", compress_statistics=nested)
    saved = state.as_dict(packed=True)
    tensors = [value for key, value in saved.items() if "bitsandbytes" not in key]  # the rest is a text of settings
    measured = (
        packed.nbytes + sum(tensor.nbytes for tensor in tensors) + (4 if nested else 0)
    )  # its offset, in the text
    assert bytes_of("nf4_dq" if nested else "nf4", 96, 320) == measured


def test_int8_takes_what_bitsandbytes_makes():
    import bitsandbytes.functional as bnb
    import torch

    packed, scales, _ = bnb.int8_vectorwise_quant(torch.randn(96, 320, dtype=torch.float16))
    assert bytes_of("int8", 96, 320) == packed.nbytes + scales.nbytes


# Mixtures of llama.cpp


def place(name, kind, layer=0, layers=32, part="mlp", cols=4096, imatrix=False, **around):
    form, nth = weight_format(name, imatrix=imatrix or None), around.pop("nth", layer)
    return gguf_block(form, Surroundings(layers, **around), part, kind, 1024, cols, layer, nth, layers)


def test_more_bits_goes_to_the_ends_and_every_third():
    chosen = [i for i in range(32) if formats.more_bits(i, 32)]
    assert chosen == [0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 28, 29, 30, 31]


@pytest.mark.parametrize(
    "name, kind, layer, around, expected",
    [
        ("Q4_K_M", "down", 0, {}, "Q6_K"),
        ("Q4_K_M", "down", 4, {}, "Q4_K"),
        ("Q4_K_M", "v", 6, {}, "Q6_K"),
        ("Q4_K_M", "rest", 0, {}, "Q4_K"),
        ("Q4_K_M", "output", 0, {}, "Q6_K"),
        ("Q4_K_M", "embedding", 0, {}, "Q4_K"),
        ("Q4_K_M", "embedding", 0, {"tied": True}, "Q6_K"),
        ("Q4_K_M", "v", 4, {"seventy": True}, "Q5_K"),
        ("Q4_K_M", "v", 4, {"experts": 8}, "Q8_0"),
        ("Q4_K_M", "k", 4, {"experts": 8}, "Q8_0"),
        ("Q4_K_M", "o", 4, {"experts": 8}, "Q5_K"),
        ("Q4_K_S", "v", 3, {}, "Q5_K"),
        ("Q4_K_S", "v", 4, {}, "Q4_K"),
        ("Q4_K_S", "down", 3, {}, "Q5_K"),
        ("Q5_K_M", "down", 31, {}, "Q6_K"),
        ("Q5_K_S", "down", 31, {}, "Q5_K"),
        ("Q2_K", "v", 9, {"heads_per_kv": 4}, "Q4_K"),
        ("Q2_K", "v", 9, {"heads_per_kv": 1}, "Q3_K"),
        ("Q2_K", "down", 9, {}, "Q3_K"),
        ("Q2_K", "o", 9, {}, "Q3_K"),
        ("Q3_K_M", "v", 1, {}, "Q5_K"),
        ("Q3_K_M", "v", 2, {}, "Q4_K"),
        ("Q3_K_M", "down", 1, {}, "Q5_K"),
        ("Q3_K_M", "down", 2, {}, "Q4_K"),
        ("Q3_K_L", "o", 9, {}, "Q5_K"),
        ("Q3_K_S", "down", 0, {}, "Q3_K"),
        ("Q6_K", "v", 0, {}, "Q6_K"),
        ("Q8_0", "output", 0, {}, "Q8_0"),
        ("Q4_0", "output", 0, {}, "Q6_K"),
        ("IQ4_XS", "v", 9, {"heads_per_kv": 8}, "Q5_K"),
        ("IQ4_XS", "down", 0, {}, "Q5_K"),
        ("GGUF_F16", "down", 0, {}, "F16"),
        ("MXFP4_MOE", "rest", 0, {}, "Q8_0"),
    ],
)
def test_who_gets_which_block_format(name, kind, layer, around, expected):
    assert place(name, kind, layer, **around) == expected


def test_an_importance_matrix_changes_the_first_layers():
    assert place("IQ4_XS", "down", 0, imatrix=True) == "IQ4_XS"
    assert place("Q4_0", "down", 0, imatrix=True) == "Q4_1"
    assert place("Q4_0", "down", 0) == "Q4_0"


def test_experts_in_mxfp4_and_vectors_in_32_bits():
    assert place("MXFP4_MOE", "down", part="experts", cols=2880) == "MXFP4"
    assert gguf_block(weight_format("Q4_K_M"), Surroundings(32), "norms", "flat", 4096, 1) == "F32"


@pytest.mark.parametrize("name, expected", [("Q4_K_S", "Q5_0"), ("Q5_K_S", "Q5_1"), ("Q6_K", "Q8_0"), ("Q2_K", "Q4_0")])
def test_rows_that_are_no_blocks_of_256_fall_back(name, expected):
    assert place(name, "rest", 9, cols=2880) == expected
    assert place(name, "rest", 9, cols=100) == "F16"


# Properties


@given(rows=sides, cols=sides, name=names)
def test_bytes_are_at_least_the_packed_bits(rows, cols, name):
    form = FORMATS[name]
    size = form.matrix_bytes("experts", "up", rows, cols)
    assert rows * cols * form.bits.__floor__() / 8 <= size <= rows * cols * 4


@given(rows=sides, cols=sides)
def test_fewer_bits_are_never_bigger_within_a_family(rows, cols):
    families = [["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"], ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "F16", "F32"]]
    for family in families:
        if cols % formats.BLOCKS[family[0]][0] == 0:
            sizes = [block_bytes(block, rows, cols) for block in family]
            assert sizes == sorted(sizes)
    by_bits = [bytes_of("gptq", rows, cols, bits=bits) for bits in (2, 3, 4, 8)]
    assert by_bits == sorted(by_bits)
    by_group = [bytes_of("awq", rows, cols, group=g) for g in (256, 128, 64, 32) if cols % g == 0]
    assert by_group == sorted(by_group)
    assert bytes_of("nf4_dq", rows, cols) < bytes_of("nf4", rows, cols) + 1028


@given(rows=sides, cols=sides, name=names)
def test_matrices_side_by_side_take_the_sum(rows, cols, name):
    one, two = (FORMATS[name].matrix_bytes("experts", "up", n * rows, cols) for n in (1, 2))
    assert two <= 2 * one and 2 * one - two <= 4 * cols + 2000  # only tables, group numbers and last blocks are shared


# Names


@pytest.mark.parametrize(
    "spelling, name",
    [
        ("q4_k_m", "Q4_K_M"), ("Q4_K_M", "Q4_K_M"), ("Q4_K", "Q4_K_M"), ("AWQ", "awq"), ("4bit-awq", "awq"),
        ("awq-int4", "awq"), ("GPTQ g64", "gptq-g64"), ("BF16", "bf16"), ("float16", "fp16"), ("gguf q6_k", "Q6_K"),
        ("mxfp4", "mxfp4"), ("NF4 double quant", "nf4_dq"), ("int8", "int8"),
    ],
)  # fmt: skip
def test_names_are_forgiving(spelling, name):
    assert weight_format(spelling).name == name
    assert weight_format(weight_format(spelling)) is not None


def test_every_format_is_found_and_sourced():
    for name, form in FORMATS.items():
        assert weight_format(name.lower()) is form and form.name == name
        assert len(form.source) > 5 and form.keeps and form.bits > 0
        assert repr(form).startswith(f"<Format {name}")


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: weight_format("q4_k_n"), "Nearest: Q4_K_M"),
        (lambda: weight_format(None), "no weight format"),
        (lambda: weight_format("awq", bits=3), "have 4 bits"),
        (lambda: weight_format("gptq", bits=5), "2, 3, 4 or 8"),
        (lambda: weight_format("awq", group=0), "group is 0"),
        (lambda: weight_format("gptq", group=-64), "group is -64"),
        (lambda: weight_format("bf16", group=64), "no group size"),
        (lambda: weight_format("awq", imatrix=True), "no importance matrix"),
        (lambda: block_bytes("Q4_K", 10, 100), "must divide"),
        (lambda: block_bytes("Q4_Z", 10, 256), "no GGUF block format"),
        (lambda: block_bytes("Q4_K", 0, 256), "rows is 0"),
    ],
)
def test_refusals_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
