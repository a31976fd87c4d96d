import re
import subprocess
import sys

import pytest

from lessonlib.facts import catalog


@pytest.mark.parametrize("name", ["rtx-4090", "RTX 4090", "rtx4090", "GeForce RTX 4090", "geforce_rtx_4090", "4090"])
def test_gpus_are_found_in_any_spelling(name):
    assert catalog.gpu(name).id == "rtx-4090"


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
    for row in [*catalog.models(), *catalog.gpus(), *catalog.claims()]:
        assert re.search(r"20\d\d", row.as_of), row
        assert row.source_titles() and all(row.source_titles()), row
        assert row.source == "; ".join(row.source_titles())


def test_a_dated_claim_keeps_its_own_date():
    dated = [row for row in catalog.claims() if row.get("as_of")]
    assert dated and all(row.as_of == str(row.get("as_of")) for row in dated)
    assert catalog.claim("S04-033").as_of == catalog.checked_on() == catalog.table("claims")["checked_on"]


def test_import_reads_nothing():
    code = "import sys; from lessonlib.facts import catalog; print('yaml' in sys.modules, catalog.table.cache_info())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("False") and "currsize=0" in out
