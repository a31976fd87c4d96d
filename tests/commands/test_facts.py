"""`lessonlib facts`: what it prints, what it adds, and what it refuses."""

import json

import pytest

from lessonlib.calc import architecture
from lessonlib.commands import facts
from lessonlib.facts import catalog, own, schema
from lessonlib.facts.records import Model

CONFIG = {
    "_name_or_path": "Qwen/Qwen3-4B", "model_type": "qwen3", "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "hidden_size": 2560, "intermediate_size": 9728, "vocab_size": 151936,
    "max_position_embeddings": 40960, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
}  # fmt: skip
ADD_GPU = ["add-gpu", "--name", "My Card", "--vram-gib", "24", "--bandwidth-gbs", "1,008"]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where the own file of this test stands; it is not there yet."""
    monkeypatch.setenv("LESSON_FACTS", str(tmp_path / "mine.yaml"))
    catalog.reload()
    yield tmp_path / "mine.yaml"
    monkeypatch.undo()
    catalog.reload()


@pytest.fixture
def off(monkeypatch):
    """No own file."""
    monkeypatch.setenv("LESSON_FACTS", "off")
    catalog.reload()
    yield
    monkeypatch.undo()
    catalog.reload()


@pytest.fixture
def config(tmp_path):
    """A config.json of the hub."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG), encoding="utf-8")
    return path


def run(capsys, *argv) -> tuple[int, str, str]:
    status = facts.main(list(argv))
    said = capsys.readouterr()
    return status, said.out, said.err


def test_help_names_the_commands(capsys):
    for argv in ([], ["--help"]):
        status, out, _ = run(capsys, *argv)
        assert status == 0 and all(f"    {name} " in out for name in ("list", "show", "check", "add", "add-gpu"))
    status, out, _ = run(capsys, "add-gpu", "--help")
    assert status == 0 and "--bandwidth-gbs GBS" in out and "example:" in out


def test_list_counts(capsys, off):
    status, out, _ = run(capsys, "list")
    assert status == 0 and f"claims             {len(catalog.claims())}" in out and "LESSON_FACTS is off" in out
    status, out, _ = run(capsys, "list", "--json")
    assert json.loads(out)["models"] == len(catalog.models())


@pytest.mark.parametrize("name", facts.KINDS)
def test_list_shows_every_row(capsys, off, name):
    rows = getattr(catalog, name)()
    status, out, _ = run(capsys, "list", name)
    assert status == 0 and len(out.splitlines()) == len(rows) + 1
    assert [line.split("  ")[0] for line in out.splitlines()[1:]] == [row.id for row in rows]
    status, out, _ = run(capsys, "list", name, "--json")
    assert [row["id"] for row in json.loads(out)] == [row.id for row in rows]


def test_show_finds_a_row_in_all_lists(capsys, off):
    status, out, _ = run(capsys, "show", "geforce rtx4090")
    assert status == 0 and "rtx-4090 (gpus)" in out and "rtx-4090 (prices)" in out
    assert "bandwidth_gbs: 1,008 GB/s" in out and "source: NVIDIA Ada" in out and "as of: 2022-10 launch" in out
    status, out, _ = run(capsys, "show", "gpt 4o", "--json")
    assert [row["list"] for row in json.loads(out)] == ["commercial_models", "prices"]


@pytest.mark.parametrize(
    "name, has",
    [
        ("llama 3.3 70b", "total_params_exact: 70,553,706,496 parameters"),
        ("us-average", "usd_kwh: 0.17 USD"),
        ("vLLM", "multi_gpu: tensor, pipeline"),
        ("s04-033", "verdict: corrected"),
        ("marlin-kernel", "found: near 4x"),
    ],
)
def test_show_tells_the_fields_with_units(capsys, off, name, has):
    status, out, _ = run(capsys, "show", name)
    assert status == 0 and has in out and "  as of: 20" in out


@pytest.mark.parametrize(
    "argv, says",
    [
        (["show", "rtx 4091"], "lessonlib facts: The fact base has nothing called 'rtx 4091'. Nearest: rtx-4090"),
        (["show", "S04-33"], "The fact base has no claim 'S04-33'. Nearest: S04-033"),
        (["show", "zzzzzzzzz"], "The fact base has nothing called 'zzzzzzzzz'."),
        (["lst"], "there is no command 'lst'; there are list, show, fields, check, add, add-gpu. Did you mean 'list'?"),
        (["list", "cards"], "invalid choice: 'cards'"),
        (["show"], "the following arguments are required: name"),
        (["add-gpu", "--name", "x"], "the following arguments are required: --vram-gib, --bandwidth-gbs"),
        ([*ADD_GPU[:-1], "fast"], "'fast' is no number of 0 or more"),
        ([*ADD_GPU[:-1], "-3"], "--bandwidth-gbs"),
        (["add", "nowhere.json"], "nowhere.json cannot be read (No such file or directory)"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(capsys, off, argv, says):
    status, out, err = run(capsys, *argv)
    assert status == 2 and says.lower() in err.lower() and out == "" and len(err.splitlines()) == 1


def test_fields_lists_units_and_needs(capsys):
    status, out, _ = run(capsys, "fields", "gpus")
    assert status == 0 and any(
        line.split()[:5] == ["bandwidth_gbs", "a", "number", "GB/s", "yes"] for line in out.splitlines()
    )
    status, out, _ = run(capsys, "fields", "models", "--json")
    assert {row["field"] for row in json.loads(out)} == {*schema.fields(Model)}


def test_check(capsys, off, monkeypatch):
    status, out, _ = run(capsys, "check")
    assert status == 0 and "All tables keep the rules" in out
    monkeypatch.setattr(schema, "problems", lambda name: [f"{name}.yaml: x."])
    status, out, _ = run(capsys, "check", "--json")
    assert status == 1 and "gpus.yaml: x." in json.loads(out)["problems"]


def test_check_tells_all_of_your_own_mistakes(capsys, file):
    file.write_text("gpus:\n- {id: a, name: A, vram_gb: -1, bandwidth_gbs: x}\n", encoding="utf-8")
    status, out, _ = run(capsys, "check")
    assert status == 1 and out.splitlines() == [
        "mine.yaml: gpus row 1 (a): vram_gb is -1, but must be at least 0.5 (GiB).",
        "mine.yaml: gpus row 1 (a): bandwidth_gbs is 'x', but must be a number (GB/s).",
    ]
    file.write_text("gpus: [\n", encoding="utf-8")
    status, out, _ = run(capsys, "check")
    assert status == 1 and out.startswith("mine.yaml: line 2 is not what YAML allows")


def test_add_reads_a_config(capsys, file, config):
    status, out, _ = run(capsys, "add", str(config), "--license", "Apache-2.0", "--source", "the hub")
    assert status == 0 and "qwen3-4b: 4,022,468,096 parameters, 8.045 GB in 16 bits, 147,456 bytes" in out
    m = catalog.model("Qwen/Qwen3-4B")
    assert m is catalog.model("qwen3-4b") and m.source == "your file mine.yaml: the hub" and m.license == "Apache-2.0"
    assert m.total_params_exact == architecture.parameters(m) == 4_022_468_096
    assert m.kv_bytes_per_token_fp16 == 4 * 36 * 8 * 128 and m.kv_gb_fp16_at == {
        "8192": 1.208, "32768": 4.832, "40960": 6.04
    }  # fmt: skip
    assert own.problems(own.read(file), file) == []


def test_add_names_a_model_and_refuses_its_id_the_second_time(capsys, file, config):
    assert run(capsys, "add", str(config), "--id", "mine", "--name", "My Own")[0] == 0
    assert catalog.model("my own").id == "mine"
    before = file.read_bytes()
    status, _, err = run(capsys, "add", str(config), "--id", "mine")
    assert status == 2 and "(mine): id is taken by row 1; choose another." in err
    status, _, err = run(capsys, "add", str(config), "--id", "Qwen3 32B")
    assert status == 2 and "id is taken by qwen3-32b of the fact base" in err
    assert file.read_bytes() == before


def test_add_as_json(capsys, file, config):
    status, out, _ = run(capsys, "add", str(config), "--json")
    said = json.loads(out)
    assert status == 0 and said["file"] == str(file) and said["row"]["hf_id"] == "Qwen/Qwen3-4B"


def test_a_name_is_enough_for_a_config_without_one(capsys, file, config):
    told = json.loads(config.read_text()) | {"_name_or_path": ""}
    config.write_text(json.dumps(told))
    assert run(capsys, "add", str(config), "--name", "Llama 3.1 8B")[0] == 0
    assert catalog.model("llama 3.1 8b").id == "llama-3.1-8b"


@pytest.mark.parametrize(
    "change, says",
    [
        ({"_name_or_path": ""}, "does not name its model: add --name NAME."),
        ({"model_type": "mamba9"}, "'mamba9'"),
        ({"num_key_value_heads": 5}, "32 attention heads, which do not divide among 5 key-value heads"),
        ({"num_hidden_layers": -1}, "num_hidden_layers"),
    ],
)
def test_a_config_that_makes_no_row_is_refused(capsys, file, config, change, says):
    config.write_text(json.dumps(CONFIG | change), encoding="utf-8")
    status, _, err = run(capsys, "add", str(config))
    assert status == 2 and says in err and len(err.splitlines()) == 1 and not file.exists()


@pytest.mark.parametrize("text, says", [("{", "is no JSON"), ("[]", "must hold one JSON object")])
def test_a_file_that_is_no_config_is_refused(capsys, file, config, text, says):
    config.write_text(text, encoding="utf-8")
    status, _, err = run(capsys, "add", str(config))
    assert status == 2 and says in err and len(err.splitlines()) == 1


def test_every_family_makes_a_row_that_keeps_the_rules(off):
    """The configuration of each model of the course gives back what its row says."""
    from lessonlib.models.shape_configs import config

    one_of_each = {row.model_type: row for row in catalog.models()}
    assert len(one_of_each) >= 20
    for m in one_of_each.values():
        row = facts.model_row(config(m).to_dict(), "a-new-id")
        assert list(schema.row_problems(Model, row, own=True)) == [], m
        for field in ("total_params_exact", "embedding_params_exact", "kv_bytes_per_token_fp16", "kv_formula"):
            assert row[field] == m.get(field), (m, field)


def test_add_gpu(capsys, file):
    extra = ["--tflops", "165", "--watts", "450", "--price-usd", "1599", "--source", "its box"]
    status, out, _ = run(capsys, *ADD_GPU, *extra)
    assert status == 0 and out == f"my-card: added to {file}\n"
    card = catalog.gpu("my card")
    assert (card.vram_gb, card.bandwidth_gbs, card.board_power_w, card.price_usd) == (24, 1008, 450, 1599)
    assert card.fp16_bf16_tensor_dense_tflops == 165 and card.price_as_of == card.as_of
    assert card.source == "your file mine.yaml: its box"
    status, out, _ = run(capsys, "list")
    assert status == 0 and f"Your own file {file}: 1 in gpus." in out
    status, _, err = run(capsys, *ADD_GPU)
    assert status == 2 and "id is taken by row 1" in err


def test_add_gpu_tells_a_wrong_unit(capsys, file):
    status, _, err = run(capsys, *ADD_GPU[:-1], "1.008e12")
    assert status == 2 and "bandwidth_gbs is 1008000000000, but must be at most 1,000,000 (GB/s)." in err
    assert not file.exists()


def test_a_name_without_letters_needs_an_id(capsys, file):
    status, _, err = run(capsys, "add-gpu", "--name", "卡", "--vram-gib", "24", "--bandwidth-gbs", "1008")
    assert status == 2 and "id is '', but must be more than blanks" in err
