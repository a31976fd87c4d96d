import os
import re
import subprocess
import sys

import pytest

from lessonlib.facts import catalog, schema, tables


@pytest.mark.parametrize("name", ["rtx-4090", "RTX 4090", "rtx4090", "GeForce RTX 4090", "geforce_rtx_4090", "4090"])
def test_gpus_are_found_in_any_spelling(name):
    assert catalog.gpu(name).id == "rtx-4090"


@pytest.mark.parametrize(
    "look_up, name, found",
    [
        (catalog.model, "llama 3.3 70b", "llama-3.3-70b"),
        (catalog.model, "gpt-oss 20b", "gpt-oss-20b"),
        (catalog.model, "openai/gpt-oss-20b", "gpt-oss-20b"),
        (catalog.model, "GPT OSS 120B", "gpt-oss-120b"),
        (catalog.model, "qwen/qwen3-32b", "qwen3-32b"),
        (catalog.engine, "vLLM", "vllm"),
        (catalog.engine, "llama cpp", "llama.cpp"),
        (catalog.engine, "TensorRT LLM", "tensorrt-llm"),
        (catalog.engine, "Text Generation Inference", "tgi"),
        (catalog.benchmark, "marlin awq", "marlin-awq"),
        (catalog.commercial_model, "GPT 4o", "gpt-4o"),
        (catalog.price, "gpt 4o", "gpt-4o"),
        (catalog.price, "US average", "us-average"),
        (catalog.claim, "s04 033", "S04-033"),
    ],
)
def test_all_tables_are_forgiving(look_up, name, found):
    assert look_up(name).id == found


@pytest.mark.parametrize(
    "name",
    [
        "qwen2.5-coder-32b", "Qwen2.5-Coder-32B", "qwen2.5 coder 32b instruct", "Qwen/Qwen2.5-Coder-32B-Instruct",
        "Qwen2.5-Coder-32B-Instruct",
    ],
)  # fmt: skip
def test_models_are_found_in_any_spelling(name):
    assert catalog.model(name).id == "qwen2.5-coder-32b"


def test_every_row_is_found_by_its_id_name_and_hub_id():
    for row in catalog.models():
        assert catalog.model(row.id) is row
        assert catalog.model(row.name) is row
        assert not row.get("hf_id") or catalog.model(row.hf_id) is row
    for row in catalog.gpus():
        assert catalog.gpu(row.id) is row and catalog.gpu(row.name) is row
    for row in catalog.claims():
        assert catalog.claim(row.id) is row


@pytest.mark.parametrize(
    "look_up, name, near",
    [
        (catalog.model, "qwen2.5-codr-32b", "qwen2.5-coder-32b"),
        (catalog.model, "Qwen3", "qwen3-32b"),  # several rows have it
        (catalog.gpu, "RTX 4091", "rtx-4090"),
        (catalog.gpu, "h100", "h100-sxm"),
        (catalog.claim, "S04-33", "S04-033"),
        (catalog.engine, "vlllm", "vllm"),
        (catalog.price, "gpt-4oo", "gpt-4o"),
        (catalog.commercial_model, "gpt-4.2", "gpt-4.1"),
    ],
)
def test_a_miss_is_one_sentence_with_the_nearest_names(look_up, name, near):
    with pytest.raises(ValueError) as caught:
        look_up(name)
    text = str(caught.value)
    assert text.startswith("The fact base has no ") and repr(name) in text and near in text.partition("Nearest: ")[2]
    assert "\n" not in text


@pytest.mark.parametrize("name", ["", "   ", "---", None, 7, "zzzzzzzz"])
def test_nonsense_names_nothing(name):
    with pytest.raises(ValueError, match="^The fact base has no model"):
        catalog.model(name)


def test_every_row_has_the_class_of_its_list():
    for kind, rows in [
        (catalog.Model, catalog.models()), (catalog.GPU, catalog.gpus()), (catalog.Engine, catalog.engines()),
        (catalog.Price, catalog.prices()), (catalog.Claim, catalog.claims()),
        (catalog.Benchmark, catalog.benchmarks()), (catalog.CommercialModel, catalog.commercial_models()),
    ]:  # fmt: skip
        assert rows and all(type(row) is kind for row in rows)
        assert all({*row.as_dict()} <= {*schema.fields(kind)} for row in rows)


def test_editors_and_help_see_the_fields():
    row = catalog.model("qwen3-32b")
    assert {"layers", "kv_heads", "get", "source"} <= set(dir(row))
    hint, field = schema.fields(catalog.Model)["max_context"]
    assert hint is int and field.unit == "tokens"


def test_a_price_knows_its_group_and_twins_need_it(monkeypatch):
    assert catalog.price("gpt-4o").group == "api_usd_per_million_tokens"
    assert catalog.price("gpt-4o", "api_usd_per_million_tokens") is catalog.price("gpt-4o")
    with pytest.raises(ValueError, match="no group 'api'; they have subscriptions, api_usd"):
        catalog.price("gpt-4o", "api")
    with pytest.raises(ValueError, match="no price in electricity 'gpt-4o'"):
        catalog.price("gpt-4o", "electricity")
    twins = [catalog.Price({"id": "x-1", "group": group}, "prices") for group in ("rent", "purchase")]
    monkeypatch.setattr(catalog, "_records", lambda name: twins)
    catalog._keys.cache_clear()
    try:
        with pytest.raises(ValueError, match="'x-1' is a price in rent and in purchase: name the group too"):
            catalog.price("X1")
    finally:
        catalog._keys.cache_clear()


@pytest.mark.parametrize(
    "path, value",
    [
        ("gpus/rtx 4090/vram_gb", 24),
        ("gpus/rtx-4090/interconnect/pcie_gbs_per_direction", 32),
        ("models/qwen3-32b/weights_gb/fp16_bf16", 65.524),
        ("prices/gpt-4o/input", 2.5),
        ("prices/api_usd_per_million_tokens/gpt-4o/output", 10),
        ("prices/electricity/us-average/usd_kwh", 0.17),
        ("engines/vllm/name", "vLLM"),
        ("engines/vllm_sleep_mode/published_timings/wake_l1_s", [0.1, 6]),
        ("commercial_models/gpt-4.1/context", 1_047_576),
        ("claims/S04-033/value", 13.1072),
    ],
)
def test_facts_have_paths(path, value):
    assert catalog.fact(path) == value


@pytest.mark.parametrize(
    "path, says",
    [
        ("cards/rtx-4090/vram_gb", "write table/row/field, with models, gpus"),
        ("gpus/rtx-4090", "write table/row/field"),
        ("gpus/rtx-4091/vram_gb", "no GPU 'rtx-4091'. Nearest: rtx-4090"),
        ("gpus/rtx-4090/vram", "there is no 'vram'; it has id, name"),
        ("gpus/rtx-4090/vram_gb/x", "there is no 'x'"),
    ],
)
def test_a_path_that_leads_nowhere_is_one_sentence(path, says):
    with pytest.raises(ValueError) as caught:
        catalog.fact(path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_table():
    with pytest.raises(ValueError, match="no table 'cards'; it has models, gpus"):
        catalog.table("cards")


def test_records_tell_their_fields_and_do_not_change():
    row = catalog.model("qwen2.5-coder-32b")
    assert (row.layers, row.attention_heads, row.kv_heads, row.head_dim, row.hidden_size) == (64, 40, 8, 128, 5120)
    assert row.total_params_exact == 32_763_876_352 and repr(row) == "<qwen2.5-coder-32b>"
    assert row.get("attention_window", "none") == "none"
    with pytest.raises(AttributeError, match="has no field 'heads'; it has id, name"):
        row.heads  # noqa: B018
    with pytest.raises(AttributeError, match="read-only"):
        row.layers = 63
    with pytest.raises(AttributeError, match="read-only"):
        del row.layers
    assert row.layers == 64
    listed = catalog.models()
    listed.clear()
    assert catalog.models()


def test_records_can_be_copied_and_pickled():
    import copy
    import pickle

    row = catalog.gpu("rtx-4090")
    for twin in (copy.copy(row), copy.deepcopy(row), pickle.loads(pickle.dumps(row))):
        assert twin.vram_gb == row.vram_gb == 24 and twin.source == row.source


def test_every_row_has_a_date_and_sources_in_words():
    for row in [*catalog.models(), *catalog.gpus(), *catalog.engines(), *catalog.claims()]:
        assert re.search(r"20\d\d", row.as_of), row
        assert row.source_titles() and all(row.source_titles()), row
        assert row.source == "; ".join(row.source_titles())


def test_a_dated_claim_keeps_its_own_date():
    dated = [row for row in catalog.claims() if row.get("as_of")]
    assert dated and all(row.as_of == str(row.get("as_of")) for row in dated)
    assert catalog.claim("S04-033").as_of == catalog.checked_on() == catalog.table("claims")["checked_on"]


READS = """
import sys
from lessonlib.facts import catalog, tables
{0}
print("yaml" in sys.modules, tables.table.cache_info().currsize, catalog._claim.cache_info().currsize)
"""


@pytest.mark.parametrize(
    "does, reads",
    [
        ("", "False 0 0"),  # an import
        ("catalog.model('qwen3-32b').source", "True 1 0"),  # the models, and no claim
        ("catalog.model('qwen3-32b').as_of", "True 1 0"),
        ("catalog.claim('S04-033').source", "True 0 1"),  # one claim of five hundred
    ],
)
def test_no_more_is_read_than_asked_for(does, reads):
    code = READS.format(does)
    environment = {**os.environ, "LESSON_FACTS": "off"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == reads


def test_without_the_c_reader_the_rows_are_the_same(monkeypatch):
    import yaml

    text = (catalog.HERE / "engines.yaml").read_text(encoding="utf-8")
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    tables._loader.cache_clear()
    try:
        assert tables.parse(text, "engines.yaml") == catalog.table("engines")
    finally:
        tables._loader.cache_clear()
