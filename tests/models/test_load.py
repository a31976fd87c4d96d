"""Opening models: what comes back, and one sentence for everything that can be wrong."""

import json
import os
import shutil

import pytest
import torch

from lessonlib.models import ModelNotAvailable, catalogue, embedded_names, embedded_path, load, load_pair


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the tiny exported model that a test may break."""
    return shutil.copytree(finished[4], tmp_path / "broken")


def refused(name, **options) -> str:
    with pytest.raises(ModelNotAvailable) as caught:
        load(name, device="cpu", **options)
    message = str(caught.value)
    assert message[-1] in ".?)" and "\n" not in message and len(message) < 400
    return message


def configure(folder, **changes):
    """Change fields of a model folder's config.json."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_opens_in_float32_and_eval_mode(finished):
    model, tokenizer = load(finished[4], device="cpu")
    assert model.dtype == torch.float32 and not model.training and model.device.type == "cpu"
    assert load(str(finished[4]), device="cpu", dtype=torch.bfloat16)[0].dtype == torch.bfloat16
    assert load(finished[4], device="cpu", dtype="float16")[0].dtype == torch.float16
    assert tokenizer.decode(tokenizer.encode("Ann sees.")) == "Ann sees."


def test_nothing_is_printed(finished, capfd):
    load(finished[4], device="cpu")
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("name", embedded_names() or ["mini"])
def test_an_embedded_model_opens_with_plain_transformers(name):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = load(name, device="cpu")
    plain = AutoModelForCausalLM.from_pretrained(embedded_path(name), dtype=torch.float32).eval()
    other = AutoTokenizer.from_pretrained(embedded_path(name))
    ids = tokenizer("Once upon a time, there was a boat.", return_tensors="pt").input_ids
    assert torch.equal(ids, other("Once upon a time, there was a boat.", return_tensors="pt").input_ids)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, plain(ids).logits)
    assert model.generation_config.to_dict() == plain.generation_config.to_dict()
    assert model.name_or_path == plain.name_or_path == str(embedded_path(name))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "Hi."}], tokenize=False) == "User: Hi.\n"


@pytest.mark.parametrize("card", catalogue(), ids=lambda card: card.name)
def test_the_catalogue_counts_what_a_token_uses(card):
    model, tokenizer = load(card.name, device="cpu")
    config = model.config
    experts = getattr(config, "num_local_experts", 0)
    in_experts = sum(p.numel() for key, p in model.named_parameters() if ".experts." in key)
    idle = in_experts * (experts - config.num_experts_per_tok) // experts if experts else 0
    assert (card.parameters, card.active_parameters) == (model.num_parameters(), model.num_parameters() - idle)
    assert card.vocabulary == config.vocab_size == len(tokenizer)


def test_active_parameters_of_a_mixture(tmp_path, monkeypatch):
    """The embedded mixture as planned: 6.70 M parameters, of which a token uses 2.72 M."""
    from transformers import AutoModelForCausalLM

    from lessonlib.models import embedded
    from lessonlib.models.training.presets import config_for, preset

    config = config_for(preset("moe"))
    with torch.device("meta"):
        count = AutoModelForCausalLM.from_config(config).num_parameters()
    config.save_pretrained(tmp_path / "moe")
    record = {"parameters": count, "licence": "Apache-2.0", "purpose": "routing"}
    (tmp_path / "moe" / "training.json").write_text(json.dumps(record))
    monkeypatch.setattr(embedded, "WEIGHTS", tmp_path)
    (card,) = catalogue()
    assert (round(card.parameters / 1e6, 2), round(card.active_parameters / 1e6, 2)) == (6.70, 2.72)


def test_a_pair_of_embedded_models():
    names = [name for name in ("target", "draft") if name in embedded_names()]
    names = names if len(names) == 2 else ["mini", "mini"]
    model, draft, tokenizer = load_pair(*names, device="cpu", dtype="bfloat16")
    assert model.dtype == draft.dtype == torch.bfloat16 and model is not draft
    assert len(tokenizer) == model.config.vocab_size == draft.config.vocab_size
    with pytest.raises(ModelNotAvailable, match="nano"):
        load_pair("mini", "nano", device="cpu")


def test_an_unknown_name_gets_the_nearest_and_the_list():
    assert "did you mean 'mini'?" in refused("Minni")
    message = refused("chatgpt")
    assert all(name in message for name in embedded_names()) and "owner/name" in message
    with pytest.raises(ModelNotAvailable, match="'nano'"):
        embedded_path("nano")


def test_a_folder_of_the_same_name_does_not_hide_an_embedded_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()
    assert load("mini", device="cpu")[0].config.hidden_size == 192


def test_no_folder(tmp_path):
    assert "There is no folder" in refused("./nowhere")
    assert "There is no folder" in refused(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    assert "is a file" in refused(tmp_path / "file")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(copy, file):
    (copy / file).unlink()
    assert file.replace("model", "*") in refused(copy)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_truncated_weights(copy, share):
    path = copy / "model.safetensors"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "damaged" in refused(copy)


def test_pickled_weights_are_never_opened(copy, tmp_path):
    (copy / "model.safetensors").unlink()
    marker = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(marker),))

    torch.save({"x": Bomb()}, copy / "pytorch_model.bin")
    assert "pickle" in refused(copy)
    assert not marker.exists()


def test_code_of_a_folder_is_never_run(copy, tmp_path):
    marker = tmp_path / "ran"
    (copy / "own.py").write_text(f"import os\nos.mkdir({str(marker)!r})\n")
    configure(copy, model_type="own", auto_map={"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"})
    assert "never run" in refused(copy)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model_type": "brandnew"}, "architecture is unknown"),
        ({"model_type": "vit"}, "no text-generating model"),
        ({"hidden_size": 64}, "shapes are not those of its config.json"),
        ({"num_hidden_layers": 5}, "lack 27 tensors"),
    ],
)
def test_a_configuration_that_does_not_fit(copy, changes, says):
    configure(copy, **changes)
    assert says in refused(copy)


def test_damaged_texts(copy):
    tokenizer = (copy / "tokenizer.json").read_text()
    (copy / "tokenizer.json").write_text("{}")
    assert "tokenizer files are missing or damaged" in refused(copy)
    (copy / "tokenizer.json").write_text(tokenizer)
    (copy / "config.json").write_text('{"model_type"')
    assert "not valid JSON" in refused(copy)


def test_a_shard_of_the_index_is_missing(copy):
    (copy / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-00002-of-00002.safetensors"}})
    )
    assert "model-00002-of-00002.safetensors" in refused(copy)


@pytest.mark.parametrize("text", ['{"weight_map"', "{}", "[]", "3", '{"weight_map": [1]}'])
def test_a_damaged_index(copy, text):
    (copy / "model.safetensors.index.json").write_text(text)
    assert "damaged model.safetensors.index.json" in refused(copy)


def test_a_dtype_must_be_one(finished):
    for wrong in ("float17", "int8", torch.int32, 16):
        with pytest.raises(ValueError, match="no floating-point type"):
            load(finished[4], device="cpu", dtype=wrong)
