"""Arithmetic against the models themselves: every tensor of every open model of the fact base, as transformers builds it."""

import json
import re
import struct
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from lessonlib.calc import architecture
from lessonlib.calc.architecture import PARTS, Tensor
from lessonlib.calc.architecture_defaults import DEFAULTS, NAMES
from lessonlib.facts import catalog
from lessonlib.models import shape_configs, shapes
from lessonlib.models.shapes import Shape, shape

ROWS = [catalog.model(row["id"]) for row in catalog.table("models")["models"]]
WEIGHTS = Path(shapes.__file__).parent / "weights"
FAMILIES = sorted({row.model_type for row in ROWS})
WORDS = {"chunked_attention": "sliding_attention", "indexed_attention": "full_attention"}  # to those of layer_types
QWEN = dict(layers=64, attention_heads=64, kv_heads=8, head_dim=128, hidden_size=5120, intermediate_size=25600)
QWEN |= dict(vocab_size=151936, model_type="qwen3")
TURNED = ("GptOssExperts", "Llama4TextExperts")
SHAPES: dict = {}


def of(row) -> Shape:
    """One build a row, for all tests of this module."""
    if row.id not in SHAPES:
        SHAPES[row.id] = shape(row)
    return SHAPES[row.id]


def every_row(test):
    return pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)(test)


def built(model) -> dict:
    """{(name, rows, cols): (part, layers)} of a model of transformers, in the names and customs of the inventory."""
    modules, found = dict(model.named_modules()), defaultdict(list)
    for name, tensor in model.named_parameters():
        part = shapes._group(name, modules)
        layer = re.search(r"\.(\d+)\.", name)
        plain = re.sub(r"\.\d+\.", ".*.", name).removeprefix("model.").removeprefix("transformer.")
        size = list(tensor.shape)
        if type(modules[name.rpartition(".")[0]]).__name__ == "Conv1D":  # GPT-2 stores its matrices the other way round
            size.reverse()
        if part == "experts":
            plain, size = one_expert(plain, size[1:], type(modules[name.rpartition(".")[0]]).__name__)
        rows, cols = (size[0], 1) if len(size) == 1 else (size[0], size[-1])  # the middle of a short convolution is 1
        found[plain, rows, cols, part].append(int(layer[1]) if layer else None)
    return {key: tuple(layers) for key, layers in found.items()}


def one_expert(name: str, size: list, owner: str) -> tuple[str, list]:
    """Name and sides of one expert's tensor in a stack; two families stack (in, out) instead of (out, in)."""
    stem, _, last = name.rpartition(".")
    role, bias = last.removesuffix("_bias"), last.endswith("_bias")
    return f"{stem}.*.{role}.{'bias' if bias else 'weight'}", size[::-1] if owner in TURNED else size


def counted(model) -> dict:
    """The inventory in the form of `built`: gate and up of an expert together, as transformers stacks them."""
    tensors, found = architecture.tensors(model), {}
    gated = any(tensor.role == "gate" and tensor.part == "experts" for tensor in tensors)
    for tensor in tensors:
        name, rows = tensor.name, tensor.rows
        if gated and tensor.part == "experts" and tensor.role in ("gate", "up"):
            if tensor.role == "up":
                continue
            name, rows = name.replace("gate_proj", "gate_up_proj"), 2 * rows
        key = (name, rows, tensor.cols, tensor.part)
        assert key not in found
        found[key] = tensor.layers or (None,)
    return found


# Against the models


@every_row
def test_parameters_are_exact(row):
    assert architecture.parameters(row) == row.total_params_exact
    assert architecture.parameters(row) == of(row).parameters


@every_row
def test_parts_are_those_of_the_shape(row):
    found = architecture.parts(row)
    assert tuple(found) == PARTS and sum(found.values()) == row.total_params_exact
    assert found == {name: group.parameters for name, group in of(row).groups().items()}


@every_row
def test_active_parameters_are_those_of_the_shape(row):
    assert architecture.active_parameters(row) == of(row).active_parameters
    assert type(architecture.active_parameters(row)) is int


@every_row
def test_every_tensor_has_the_name_the_sides_and_the_layers_that_it_has_in_the_model(row):
    assert counted(row) == built(of(row).meta)


@every_row
def test_counts_follow_from_layers_and_experts(row):
    for tensor in architecture.tensors(row):
        layers = 1 if tensor.layers is None else len(tensor.layers)
        assert tensor.count == layers * tensor.experts > 0
        assert tensor.experts == (row.moe_experts if tensor.part == "experts" else 1)
        assert tensor.parameters == tensor.rows * tensor.cols * tensor.count
        assert tensor.part in PARTS and ("*" in tensor.name) == (tensor.layers is not None)


@every_row
def test_layers_are_of_the_kinds_of_the_shape(row):
    kinds = tuple(WORDS.get(kind, kind) for kind in of(row).layer_types)
    assert architecture.layer_types(row) == kinds
    where = {i for tensor in architecture.tensors(row) if tensor.part == "experts" for i in tensor.layers}
    assert set(architecture.moe_layers(row)) == where


@pytest.mark.parametrize(
    "name", ["qwen3-coder-next", "deepseek-v3.2", "llama-4-maverick", "nemotron-3-super", "glm-4.7"]
)
@pytest.mark.parametrize("layers", [1, 4, slice(3, 9), [0, 2, 3]])
def test_some_layers_of_a_shape(name, layers):
    some = shape(name).slice(layers)
    assert counted(some) == built(some.meta)
    assert architecture.parameters(some) == some.parameters
    assert architecture.active_parameters(some) == some.active_parameters


def test_matrices_that_formats_and_shards_look_for():
    found = {tensor.role: tensor for tensor in architecture.tensors(catalog.model("qwen3-32b"))}
    assert found["v"] == Tensor(
        "layers.*.self_attn.v_proj.weight", "attention", "v", 1024, 5120, 64, tuple(range(64)), 1, "kv_rows"
    )
    assert (found["down"].rows, found["down"].cols, found["down"].split) == (5120, 25600, "columns")
    assert (found["output"].layers, found["output"].split, found["norm"].split) == (None, "rows", "copy")
    experts = [t for t in architecture.tensors(catalog.model("deepseek-v3-0324")) if t.part == "experts"]
    assert [(t.role, t.rows, t.cols, t.count) for t in experts] == [
        ("gate", 2048, 7168, 58 * 256),
        ("up", 2048, 7168, 58 * 256),
        ("down", 7168, 2048, 58 * 256),
    ]
    fused = {t.role: t for t in architecture.tensors(catalog.model("phi-4"))}
    assert (fused["qkv"].rows, fused["qkv"].split, fused["gate_up"].rows) == (
        40 * 128 + 2 * 10 * 128,
        "qkv_rows",
        35840,
    )
    oss = [(t.role, t.name, t.rows, t.cols) for t in architecture.tensors(catalog.model("gpt-oss-20b"))]
    assert ("gate_up", "layers.*.mlp.experts.*.gate_up_proj.weight", 5760, 2880) in oss


def test_a_bias_is_divided_with_the_rows_of_its_matrix():
    for name in ("qwen2.5-coder-32b", "gpt-oss-20b", "gpt2", "granite-34b-code"):
        found = {tensor.name: tensor for tensor in architecture.tensors(catalog.model(name))}
        biases = [tensor for tensor in found.values() if tensor.role == "bias" and tensor.part != "norms"]
        assert len(biases) >= 3
        for bias in biases:
            matrix = found[bias.name.removesuffix("bias") + "weight"]
            assert bias.rows == matrix.rows and bias.cols == 1 and bias.layers == matrix.layers
            assert bias.split == ("copy" if matrix.split == "columns" else matrix.split)


# config.json


def small(kind, **values):
    """A configuration of transformers with few, small layers."""
    from transformers import AutoConfig

    sizes = dict(num_attention_heads=4, num_key_value_heads=2, hidden_size=32, vocab_size=96, intermediate_size=48)
    if kind not in ("gpt_bigcode", "nemotron_h"):
        sizes["num_hidden_layers"] = 4
    if kind == "gpt_bigcode":
        sizes = dict(n_head=4, n_embd=32, n_layer=3, vocab_size=96)
    return AutoConfig.for_model(kind, **sizes | values)


SOME = dict(num_experts=4, num_experts_per_tok=2)
FEW = dict(n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=16)
UNUSUAL = {
    "biases": lambda: small("llama", attention_bias=True, mlp_bias=True),
    "granite biases": lambda: small("granite", attention_bias=True, mlp_bias=True, head_dim=16),
    "every second layer dense": lambda: small("qwen3_moe", **SOME, decoder_sparse_step=2),
    "layers without experts": lambda: small("qwen3_moe", **SOME, mlp_only_layers=[1, 2]),
    "no experts in front": lambda: small("deepseek_v3", **FEW, first_k_dense_replace=0),
    "no rank of queries": lambda: small("deepseek_v3", **FEW, first_k_dense_replace=1, q_lora_rank=None),
    "latent with biases": lambda: small("glm4_moe_lite", **FEW, attention_bias=True),
    "an index for several layers": lambda: small("glm_moe_dsa", **FEW, index_topk_freq=3),
    "dense in between": lambda: small("glm_moe_dsa", **FEW, mlp_layer_types=["dense", "sparse", "dense", "sparse"]),
    "two shared experts": lambda: small("glm4_moe", **FEW, n_shared_experts=2, first_k_dense_replace=2),
    "many heads of keys": lambda: small("gpt_bigcode", multi_query=False),
    "one head of keys": lambda: small("gpt_bigcode", n_inner=40),
    "no bias in gpt-oss": lambda: small("gpt_oss", num_local_experts=4, num_experts_per_tok=2, attention_bias=False),
    "hybrid of four kinds": lambda: small(
        "nemotron_h",
        hybrid_override_pattern="M-E*M",
        mlp_bias=True,
        use_bias=True,
        use_conv_bias=False,
        moe_latent_size=8,
    ),
    "hybrid without experts": lambda: small("nemotron_h", hybrid_override_pattern="M-*-"),
    "own order": lambda: small(
        "qwen3_next", **SOME, layer_types=["linear_attention", "full_attention", *["linear_attention"] * 2]
    ),
    "other heads of values": lambda: small("qwen3_next", **SOME, linear_value_head_dim=64, linear_num_value_heads=16),
    "own layers of experts": lambda: small("llama4_text", num_local_experts=4, moe_layers=[0, 3]),
    "separate output": lambda: small("gemma3_text", tie_word_embeddings=False, attention_bias=True),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_configurations_have_the_tensors_of_their_model(name):
    made = Shape(name, UNUSUAL[name]())
    found = architecture.from_config(json.loads(json.dumps(made.config.to_dict())))
    assert found["total_params_exact"] == made.parameters
    assert counted(found) == built(made.meta)
    kinds = tuple(WORDS.get(kind, kind) for kind in made.layer_types)
    assert architecture.layer_types(found) == kinds


@every_row
def test_a_configuration_gives_its_row_back(row):
    found = architecture.from_config(json.loads(json.dumps(shape_configs.config(row).to_dict())))
    told = {
        *NAMES,
        "model_type",
        "attention",
        "full_attention_layers",
        "window_layers",
        "attention_window",
        "moe_layers",
    }
    told |= {"layer_pattern", "mamba_layers", "linear_attention_layers", "total_params_exact", "embedding_params_exact"}
    told &= set(row._fields)
    assert {field: found.get(field) for field in told} == {field: row.get(field) for field in told}
    assert len(told) >= 14 and "layer_types" not in found and "mlp_layer_types" not in found
    assert architecture.tensors(found) == architecture.tensors(row)


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_a_file_leaves_out_is_what_its_class_takes(kind):
    from transformers import AutoConfig

    bare = {"model_type": kind}
    if kind == "nemotron_h":
        bare["hybrid_override_pattern"] = "ME*-"
    found = architecture.from_config(bare)
    assert found == architecture.from_config(json.loads(json.dumps(AutoConfig.for_model(**bare).to_dict())))
    assert found["total_params_exact"] > 0 and found["native_weight_dtype"] == "fp32"
    if kind in ("llama", "qwen3_next", "gpt_bigcode", "llama4_text"):
        assert found["total_params_exact"] == Shape(kind, AutoConfig.for_model(**bare)).parameters


def test_all_families_of_the_fact_base_are_read():
    assert set(FAMILIES) < set(DEFAULTS) and len(FAMILIES) == 22


@pytest.mark.parametrize("name", ["mini", "draft", "target", "moe"])
def test_embedded_models_have_the_parameters_of_their_file(name):
    found = architecture.from_config(json.loads((WEIGHTS / name / "config.json").read_text()))
    with open(WEIGHTS / name / "model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    header.pop("__metadata__", None)
    sizes = {tensor: entry["shape"] for tensor, entry in header.items()}
    assert found["total_params_exact"] == sum(rows * (rest[0] if rest else 1) for rows, *rest in sizes.values())
    assert found["native_weight_dtype"] == "bf16" and {entry["dtype"] for entry in header.values()} == {"BF16"}
    assert sum(tensor.count for tensor in architecture.tensors(found)) == len(sizes)  # experts one by one, as in files


def test_the_text_part_of_a_wrapper():
    text = {"model_type": "gemma3_text", "hidden_size": 5376, "intermediate_size": 21504, "num_attention_heads": 32}
    text |= {"num_hidden_layers": 62, "num_key_value_heads": 16, "head_dim": 128, "sliding_window": 1024}
    found = architecture.from_config({"model_type": "gemma3", "text_config": text, "torch_dtype": "bfloat16"})
    row = catalog.model("gemma-3-27b")
    assert found["total_params_exact"] == row.total_params_exact and found["native_weight_dtype"] == "bf16"
    assert (found["window_layers"], found["full_attention_layers"], found["attention"]) == (52, 10, "gqa-sliding")
    mistral = {"model_type": "mistral", "hidden_size": 5120, "intermediate_size": 32768, "num_hidden_layers": 40}
    mistral |= {"head_dim": 128, "vocab_size": 131072, "sliding_window": None}
    found = architecture.from_config({"model_type": "mistral3", "text_config": mistral})
    assert found["total_params_exact"] == catalog.model("mistral-small-3.1-24b").total_params_exact
    assert "window_layers" not in found
    tied = architecture.from_config({"model_type": "mistral3", "text_config": mistral, "tie_word_embeddings": True})
    assert found["total_params_exact"] - tied["total_params_exact"] == 131072 * 5120


def test_windows_of_a_file():
    mistral = {"model_type": "mistral", "max_position_embeddings": 32768}
    found = architecture.from_config(mistral)  # its class has a window of 4,096
    assert (found["attention_window"], found["window_layers"], found["full_attention_layers"]) == (4096, 32, 0)
    assert architecture.layer_types(found) == ("sliding_attention",) * 32
    wide = architecture.from_config(mistral | {"sliding_window": 32768})
    assert "attention_window" not in wide and wide["full_attention_layers"] == 32
    qwen = {"model_type": "qwen2", "num_hidden_layers": 30, "use_sliding_window": True}
    assert (
        architecture.layer_types(architecture.from_config(qwen))
        == ("full_attention",) * 28 + ("sliding_attention",) * 2
    )


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"dtype": "bfloat16"}, "bf16"),
        ({"torch_dtype": "float16"}, "fp16"),
        ({}, "fp32"),
        (
            {"dtype": "bfloat16", "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}},
            "fp8 (e4m3, 128x128 blocks)",
        ),
        ({"dtype": "bfloat16", "quantization_config": {"quant_method": "mxfp4"}}, "mxfp4 experts, bf16 rest"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "mxfp4 experts, bf16 rest"),
        ({"quantization_config": {"quant_algo": "NVFP4"}, "torch_dtype": "bfloat16"}, "NVFP4, bf16 rest"),
        (
            {"torch_dtype": "float16", "quantization_config": {"quant_method": "awq", "bits": 4}},
            "int4 (awq), fp16 rest",
        ),
        (
            {"dtype": "bfloat16", "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
            "int4 (bitsandbytes), bf16 rest",
        ),
        (
            {
                "dtype": "bfloat16",
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "config_groups": {"group_0": {"weights": {"num_bits": 4, "type": "int"}}},
                },
            },
            "int4 (compressed-tensors), bf16 rest",
        ),
    ],
)
def test_how_a_file_says_that_its_weights_are_stored(more, says):
    assert architecture.from_config({"model_type": "llama"} | more)["native_weight_dtype"] == says


def test_other_names_of_a_family():
    kimi = {"model_type": "kimi_k2", "num_attention_heads": 64, "num_key_value_heads": 64, "n_routed_experts": 384}
    kimi |= {"first_k_dense_replace": 1, "vocab_size": 163840, "n_group": 1, "topk_group": 1}
    found = architecture.from_config(kimi)
    assert found["total_params_exact"] == catalog.model("kimi-k2").total_params_exact and found["attention"] == "mla"


# What a model may be


def test_records_mappings_and_objects_are_models():
    row = catalog.model("qwen3-32b")
    plain = type("Plain", (), QWEN)()
    assert architecture.fields(row)("layers") == architecture.fields(QWEN)("layers") == 64
    assert architecture.fields(plain)("layers") == 64 and architecture.fields(plain)("nothing", 7) == 7
    total = row.total_params_exact
    assert architecture.parameters(QWEN) == architecture.parameters(plain) == architecture.parameters(of(row)) == total


def test_a_plain_mapping_is_a_llama_or_a_mixtral():
    plain = {field: value for field, value in QWEN.items() if field != "model_type"}
    assert architecture.parameters(plain) == shape(plain).parameters
    mixed = plain | {"moe_experts": 8, "moe_experts_per_token": 2}
    assert architecture.parameters(mixed) == shape(mixed).parameters
    assert architecture.active_parameters(mixed) == shape(mixed).active_parameters


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: architecture.parameters("qwen3-32b"), r"'qwen3-32b' is a name: look it up first, with catalog.model"),
        (
            lambda: architecture.parameters({"num_hidden_layers": 3}),
            "is a config.json: read it with architecture.from_config",
        ),
        (lambda: architecture.parameters(QWEN | {"vocab_size": None}), "lacks vocab_size"),
        (lambda: architecture.parameters(QWEN | {"layers": 0}), "layers of this architecture is 0, but must be"),
        (lambda: architecture.parameters(QWEN | {"layers": 2.5}), "layers of this architecture is 2.5"),
        (
            lambda: architecture.parameters(QWEN | {"hidden_size": float("nan")}),
            "hidden_size of this architecture is nan",
        ),
        (lambda: architecture.parameters(QWEN | {"kv_heads": 7}), "64 attention heads, which do not divide among 7"),
        (lambda: architecture.parameters(QWEN | {"model_type": "bert"}), "is a 'bert', whose tensors are not known"),
        (
            lambda: architecture.parameters(QWEN | {"model_type": "gpt2", "max_context": 9}),
            "head_dim must be hidden_size",
        ),
        (lambda: architecture.parameters(QWEN | {"model_type": "deepseek_v3"}), "lacks mla_kv_lora_rank"),
        (lambda: architecture.parameters(QWEN | {"model_type": "qwen3_next"}), "lacks full_attention_layers"),
        (lambda: architecture.parameters(QWEN | {"model_type": None, "attention": "mla"}), "has no model_type"),
        (
            lambda: architecture.parameters(QWEN | {"model_type": "nemotron_h", "layer_pattern": "MX"}),
            "layer_pattern of this architecture is 'MX', but must be 64 letters",
        ),
        (
            lambda: architecture.parameters(
                QWEN | {"model_type": "mixtral", "moe_experts": 4, "moe_experts_per_token": 5}
            ),
            "uses 5 experts a token, but has 4",
        ),
        (
            lambda: architecture.parameters(QWEN | {"layer_types": ["full_attention"]}),
            "full_attention or sliding_attention for each of the 64 layers, but has 1 entries",
        ),
        (
            lambda: architecture.layer_types(QWEN | {"full_attention_layers": 40, "window_layers": 24}),
            "has 40 of 64 layers with full attention, which no regular order gives",
        ),
        (lambda: architecture.layer_types(QWEN | {"layer_types": ["full"] * 64}), "has 64 entries: full"),
        (
            lambda: architecture.from_config({"model_type": "qwen3_moe", "decoder_sparse_step": 0}),
            "decoder_sparse_step of this config.json is 0",
        ),
        (
            lambda: architecture.from_config({"model_type": "mistral", "sliding_window": "wide"}),
            "sliding_window of this config.json is 'wide'",
        ),
        (lambda: architecture.from_config({"model_type": "bert"}), "says model_type 'bert', which is not known here"),
        (lambda: architecture.from_config({}), "says model_type None"),
        (lambda: architecture.from_config(["llama"]), "not a list"),
        (
            lambda: architecture.from_config({"model_type": "llama", "hidden_size": -1}),
            "hidden_size of this config.json is -1",
        ),
        (
            lambda: architecture.from_config({"model_type": "llama", "tie_word_embeddings": "yes"}),
            "tie_word_embeddings of this config.json is 'yes', but must be true or false",
        ),
        (lambda: architecture.from_config({"model_type": "nemotron_h"}), "a nemotron_h needs hybrid_override_pattern"),
        (
            lambda: architecture.from_config({"model_type": "nemotron_h", "layers_block_type": ["rnn"]}),
            "gives its layers as \\['rnn'\\]",
        ),
    ],
)
def test_bad_input_is_said_in_a_sentence(ask, says):
    with pytest.raises(ValueError, match=says) as caught:
        ask()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_counting_needs_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import lessonlib.calc.architecture; print(*(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    outside = {name.partition(".")[0] for name in out} - set(sys.stdlib_module_names) - {"lessonlib"}
    assert not outside and {name for name in out if name.startswith("lessonlib.")} >= {"lessonlib.calc.architecture"}
    assert not {name for name in out if name.startswith("lessonlib.") and not name.startswith("lessonlib.calc")}
