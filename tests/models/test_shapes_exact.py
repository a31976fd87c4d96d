"""Every open model of the fact base, to the last parameter and the last byte of its cache, without a download."""

import subprocess
import sys

import pytest

from lessonlib.calc import memory
from lessonlib.facts import catalog
from lessonlib.models import shape_configs, shapes
from lessonlib.models.shapes import shape

COUNTED = [row for row in catalog.models() if row.get("total_params_exact")]
SHAPES: dict = {}


def of(row):
    """One build a row, for all tests of this module."""
    if row.id not in SHAPES:
        SHAPES[row.id] = shape(row)
    return SHAPES[row.id]


def every_row(test):
    return pytest.mark.parametrize("row", COUNTED, ids=lambda row: row.id)(test)


def test_all_open_models_have_a_count():
    assert len(COUNTED) == len(catalog.models()) >= 45


@every_row
def test_parameters_are_exact(row):
    assert of(row).parameters == row.total_params_exact


@every_row
def test_groups_add_up_and_are_where_the_architecture_says(row):
    found = of(row).groups("float32")
    assert sum(group.parameters for group in found.values()) == of(row).parameters
    assert all(group.bytes == 4 * group.parameters for group in found.values())
    table = row.embedding_params_exact
    positions = row.layers and {"gpt2": 1024 * 768, "granite-34b-code": 8192 * 6144}.get(row.id, 0)
    assert found["embedding"].parameters == table + positions
    assert found["output"].parameters == (0 if row.tied_embeddings else table)
    assert bool(found["experts"].parameters) == bool(found["router"].parameters) == bool(row.get("moe_experts"))
    assert bool(found["shared_experts"].parameters) == bool(row.get("moe_shared_experts"))
    assert bool(found["linear_attention"].parameters) == row.attention.startswith("hybrid")
    assert found["attention"].parameters and found["norms"].parameters


@every_row
def test_active_parameters_are_those_of_the_table(row):
    active = of(row).active_parameters
    assert (active < of(row).parameters) == bool(row.get("moe_experts"))
    if row.family == "GPT-OSS":  # its vendor leaves the input embedding out
        active -= row.embedding_params_exact
    assert active / 1e9 == pytest.approx(row.active_params_b, abs=6e-3)


@every_row
def test_cache_bytes_are_those_of_the_table(row):
    found = of(row)
    assert found.kv_bytes_per_token == row.kv_bytes_per_token_fp16
    first = row.get("kv_bytes_per_token_fp16_until_window", row.kv_bytes_per_token_fp16)
    assert found.kv_bytes(1) == first and found.kv_bytes(100, batch=3) == 300 * first and found.kv_bytes(0) == 0
    assert found.kv_bytes(64, dtype="float8_e4m3fn") * 2 == found.kv_bytes(64)
    for tokens, gigabytes in row.kv_gb_fp16_at.items():
        assert found.kv_bytes(int(tokens)) / 1e9 == pytest.approx(gigabytes, abs=6e-4)
    assert found.window == row.get("attention_window")
    assert found.state_bytes == row.get("fixed_state_bytes_per_sequence", 0)
    assert bool(found.conv_state_bytes) == bool(found.state_bytes)


@every_row
def test_layers_are_of_the_kinds_that_the_table_counts(row):
    kinds = list(of(row).layer_types)
    assert len(kinds) == row.layers
    windowed = sum(kind in shapes.WINDOWED for kind in kinds)
    assert windowed == row.get("window_layers", 0)
    if row.get("full_attention_layers"):
        assert sum(kind not in shapes.WITHOUT_CACHE for kind in kinds) - windowed == row.full_attention_layers
    assert kinds.count("linear_attention") == (row.get("linear_attention_layers") or row.get("mamba_layers") or 0)


@every_row
def test_every_field_reaches_an_argument_that_its_class_has(row):
    """A misspelt argument would be kept as an attribute and change nothing."""
    made = of(row).config
    known = {*type(made).__dataclass_fields__, *type(made).attribute_map}
    known |= {"head_dim", "hybrid_override_pattern"}  # read by the models, or turned into the list of layers
    names = shape_configs.FIELDS | shape_configs.RENAMED.get(row.model_type, {})
    used = {argument: row.get(field) for field, argument in names.items() if argument and row.get(field) is not None}
    assert set(used) <= known
    assert {name: getattr(made, name) for name in used} == used


@pytest.mark.parametrize("name", ["qwen3-32b", "gpt2", "granite-34b-code", "mixtral-8x7b"])
def test_the_cache_is_that_of_the_calculator(name):
    row = catalog.model(name)
    dims = dict(layers=row.layers, kv_heads=row.kv_heads, head_dim=row.head_dim, tokens=1234, batch=2)
    assert of(row).kv_bytes(1234, batch=2) == memory.kv_cache_bytes(**dims)


@pytest.mark.parametrize("name", ["gemma-3-27b", "gpt-oss-20b", "llama-4-scout"])
@pytest.mark.parametrize("tokens", [100, 9000])
def test_the_cache_with_windows_is_that_of_the_calculator(name, tokens):
    row = catalog.model(name)
    dims = dict(kv_heads=row.kv_heads, head_dim=row.head_dim, tokens=tokens)
    windows = dict(layers=row.layers, window_layers=row.window_layers, window=row.attention_window)
    assert of(row).kv_bytes(tokens) == memory.sliding_cache_bytes(**windows, **dims)


def test_sparse_attention_keeps_128_index_values_a_token_and_layer():
    row = catalog.model("deepseek-v3.2")
    assert of(row).index_bytes(10) == 10 * row.layers * row.sparse_index_head_dim * 2
    assert of(catalog.model("deepseek-v3-0324")).index_bytes(10) == 0


def test_weight_bytes():
    found = of(catalog.model("qwen3-32b"))
    assert found.weight_bytes() == 2 * found.parameters and found.weight_bytes("float32") == 4 * found.parameters
    kept = found.weight_bytes() - 2 * sum(found.groups()[part].parameters for part in ("attention", "mlp"))
    inside = sum(found.groups()[part].parameters for part in ("attention", "mlp"))
    assert found.weight_bytes(quantization="int4") == pytest.approx(kept + inside * 4.5 / 8, rel=1e-5)
    assert found.weight_bytes(quantization="int8") == pytest.approx(kept + inside, rel=1e-3)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda s: s.kv_bytes(-1), "tokens is -1"),
        (lambda s: s.kv_bytes(8, batch=0), "batch is 0"),
        (lambda s: s.kv_bytes(8, dtype="bf17"), "dtype 'bf17' is unknown"),
        (lambda s: s.weight_bytes(quantization="int3"), "quantization is 'int3', but must be None, 'int8' or 'int4'"),
        (lambda s: s.slice(29), "layers is 29, but qwen3-0.6b has 28"),
    ],
)
def test_bad_input_is_said_in_a_sentence(ask, says):
    with pytest.raises(ValueError, match=says):
        ask(of(catalog.model("qwen3-0.6b")))


def test_slices_keep_the_kind_of_each_layer():
    whole = of(catalog.model("deepseek-v3-0324"))
    dense, both, experts = whole.slice(3), whole.slice(range(2, 5)), whole.slice(slice(3, 5))
    assert not dense.groups()["experts"].parameters and experts.groups()["mlp"].parameters == 0
    assert both.groups()["mlp"].parameters * 3 == whole.groups()["mlp"].parameters
    assert both.groups()["experts"].parameters * 58 == whole.groups()["experts"].parameters * 2
    hybrid = of(catalog.model("nemotron-3-nano"))
    assert hybrid.slice(range(4, 7)).layer_types == hybrid.layer_types[4:7]
    assert hybrid.layer_types[4:7] == ("linear_attention", "full_attention", "moe")
    every_second = of(catalog.model("llama-4-maverick"))
    two = every_second.slice(range(3, 6)).groups()["experts"].parameters  # layers 3 and 5
    assert two * 12 == every_second.groups()["experts"].parameters
    assert whole.slice(61).parameters == whole.parameters and whole.config.num_hidden_layers == 61


def test_layers_add_up():
    whole = of(catalog.model("qwen3-coder-next"))
    ends = whole.slice(4).parameters + whole.slice(range(4, 48)).parameters
    outside = ends - whole.parameters  # embedding, output matrix and last norm, counted twice
    assert outside == sum(whole.groups()[part].parameters for part in ("embedding", "output")) + 2048


def test_importing_and_asking_for_a_shape_are_cheap():
    code = "import sys, lessonlib.models; print('torch' in sys.modules, 'transformers' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["False", "False"]
