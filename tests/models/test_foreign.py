"""Models of others, from folders: what was saved comes back, and what is broken or wants to run code is refused."""

import json
import shutil

import pytest
import torch

from lessonlib.models import ModelNotAvailable, load, load_pair

from .foreign import FOREIGN, TEXT, Foreign, build

BOMB = "import pathlib\npathlib.Path({marker!r}).mkdir()\n"


@pytest.fixture(scope="module", params=FOREIGN, ids=lambda case: case.name)
def foreign(request, tmp_path_factory):
    """(case, model and tokenizer as saved, model and tokenizer as loaded, folder)."""
    case = request.param
    folder = tmp_path_factory.mktemp(case.name)
    saved = build(case, folder)
    if case.declared:
        configure(folder, "tokenizer_config.json", tokenizer_class=case.declared)
    return case, *saved, *load(folder, device="cpu"), folder


def configure(folder, file, **changes):
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def refused(folder) -> str:
    with pytest.raises(ModelNotAvailable) as caught:
        load(folder, device="cpu")
    message = str(caught.value)
    assert message[-1] in ".?)" and "\n" not in message and len(message) < 500
    return message


def test_what_was_saved_comes_back(foreign):
    case, saved, _, loaded, _, folder = foreign
    assert (len(list(folder.glob("*.safetensors"))) > 1) == case.shards
    assert loaded.dtype == torch.float32 and not loaded.training and type(loaded) is type(saved)
    ids = torch.randint(3, saved.config.vocab_size, (2, 40), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(loaded(ids).logits, saved(ids).logits, atol=1e-5)
    assert loaded.config.max_position_embeddings == 256


def test_tied_weights_are_one_storage(foreign):
    case, _, _, loaded, _, _ = foreign
    one = loaded.get_input_embeddings().weight.data_ptr() == loaded.get_output_embeddings().weight.data_ptr()
    assert one == case.tied


def test_the_dtype_asked_for(foreign):
    assert {p.dtype for p in load(foreign[-1], device="cpu", dtype="bfloat16")[0].parameters()} == {torch.bfloat16}


def test_it_writes_what_the_saved_one_writes(foreign):
    _, saved, _, loaded, tokenizer, _ = foreign
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    options = dict(max_new_tokens=6, min_new_tokens=6, do_sample=False)
    assert torch.equal(loaded.generate(ids, **options), saved.generate(ids, **options))


def test_the_tokenizer_is_kept(foreign):
    case, _, saved, _, tokenizer, _ = foreign
    for text in (TEXT, "Ben likes Ann", "Ünknown 12 \U0001f600"):
        assert tokenizer(text).input_ids == saved(text).input_ids
        assert tokenizer(text, add_special_tokens=False).input_ids == saved(text, add_special_tokens=False).input_ids
    ids = tokenizer(TEXT).input_ids
    assert (ids[0] == tokenizer.bos_token_id) == case.bos and ids.count(tokenizer.bos_token_id) == case.bos
    if case.vocabulary != "words":
        assert tokenizer.decode(ids, skip_special_tokens=True) == TEXT
    whole = tokenizer.decode(tokenizer("Ünknown 12 \U0001f600").input_ids, skip_special_tokens=True)
    assert (whole == "Ünknown 12 \U0001f600") == (case.vocabulary in ("bytes", "fallback"))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder with a model in several shards, to copy and break."""
    folder = tmp_path_factory.mktemp("original")
    build(Foreign("original", shards=True, vocabulary="fallback", bos=True), folder)
    return folder


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_truncated_shard_is_named(copy, share):
    shard = sorted(copy.glob("*.safetensors"))[-1]
    data = shard.read_bytes()
    shard.write_bytes(data[: int(len(data) * share)])
    assert shard.name in refused(copy) and "damaged" in refused(copy)


def test_a_shard_is_missing_or_of_another_model(copy):
    first, second = sorted(copy.glob("*.safetensors"))[:2]
    data = second.read_bytes()
    second.write_bytes(first.read_bytes())
    assert "lack" in refused(copy)
    second.unlink()
    assert second.name in refused(copy)
    second.write_bytes(data)
    load(copy, device="cpu")


def test_weights_under_another_name(copy):
    for path in copy.glob("model*"):
        path.rename(copy / path.name.replace("model", "consolidated"))
    assert "neither model.safetensors nor" in refused(copy)


@pytest.mark.parametrize("file", ["config.json", "generation_config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("text", ["", '{"a"', "[1]", "\x00", "[" * 100_000])
def test_a_damaged_settings_file_is_named(copy, file, text):
    (copy / file).write_text(text)
    assert f"damaged {file}" in refused(copy)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"model": {"type": "BPE"}}'])
def test_a_damaged_tokenizer(copy, text):
    (copy / "tokenizer.json").write_text(text)
    assert "tokenizer files are missing or damaged" in refused(copy)


@pytest.mark.parametrize("changes", [{"num_hidden_layers": "six"}, {"hidden_size": -1}, {"hidden_act": "none"}])
def test_nonsense_in_the_configuration(copy, changes):
    configure(copy, "config.json", **changes)
    refused(copy)


@pytest.mark.parametrize(
    ("file", "auto_map"),
    [
        ("config.json", {"AutoConfig": "own.C", "AutoModelForCausalLM": "own.M"}),
        ("config.json", {"AutoModelForCausalLM": "other/repository--own.M"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["own.T", "own.T"]}),
        ("tokenizer_config.json", ["own.T", None]),
    ],
)
@pytest.mark.parametrize("model_type", ["llama", "own"])
def test_code_of_a_folder_is_refused_and_never_run(copy, tmp_path, monkeypatch, file, auto_map, model_type):
    marker = tmp_path / "ran"
    (copy / "own.py").write_text(BOMB.format(marker=str(marker)))
    configure(copy, file, auto_map=auto_map)
    configure(copy, "config.json", model_type=model_type)
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # what transformers would ask
    assert "never run" in refused(copy)
    assert not marker.exists()


def test_python_files_beside_a_model_are_no_concern(copy, tmp_path, monkeypatch):
    marker = tmp_path / "ran"
    (copy / "custom_generate").mkdir()
    for file in ("modeling_llama.py", "tokenizer.py", "__init__.py", "custom_generate/generate.py"):
        (copy / file).write_text(BOMB.format(marker=str(marker)))
    monkeypatch.chdir(copy)
    model, tokenizer = load(copy, device="cpu")
    model.generate(tokenizer(TEXT, return_tensors="pt").input_ids, max_new_tokens=2)
    assert not marker.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.mkdir(marker) }}",
        "{{ messages.append(1) }}",
        "{{ raise_exception.__globals__['__builtins__']['open'](marker, 'w') }}",
    ],
)
def test_a_chat_template_is_kept_in_its_sandbox(copy, tmp_path, template):
    from jinja2.exceptions import SecurityError

    marker = tmp_path / "ran"
    (copy / "chat_template.jinja").write_text(template)
    _, tokenizer = load(copy, device="cpu")
    with pytest.raises(SecurityError):
        tokenizer.apply_chat_template([{"role": "user", "content": "x"}], marker=str(marker), tokenize=False)
    assert not marker.exists()


def test_links_are_followed(original, tmp_path):
    folder = tmp_path / "links"
    folder.mkdir()
    for path in original.iterdir():
        (folder / path.name).symlink_to(path)
    load(folder, device="cpu")
    broken = next(folder.glob("*.safetensors"))
    broken.unlink()
    broken.symlink_to(tmp_path / "nowhere")
    assert broken.name in refused(folder)


def test_a_pair_has_one_vocabulary(original, tmp_path):
    build(Foreign("draft", vocabulary="fallback", bos=True, head=8, dtype=torch.float16), tmp_path / "draft")
    build(Foreign("other", vocabulary="words"), tmp_path / "other")
    model, draft, tokenizer = load_pair(original, tmp_path / "draft", device="cpu", dtype=torch.bfloat16)
    assert model.dtype == draft.dtype == torch.bfloat16 and model.device == draft.device
    ids = tokenizer(TEXT, return_tensors="pt").input_ids
    assert model.generate(ids, assistant_model=draft, max_new_tokens=4, do_sample=False).shape[1] == ids.shape[1] + 4
    with pytest.raises(ModelNotAvailable, match="different vocabularies .* one family"):
        load_pair(original, tmp_path / "other", device="cpu")


def test_equal_sizes_are_not_yet_equal_ids(original, tmp_path):
    folder = shutil.copytree(original, tmp_path / "shuffled")
    state = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = state["model"]["vocab"]
    first, second = (token for token in ("▁", "a"))
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (folder / "tokenizer.json").write_text(json.dumps(state))
    with pytest.raises(ModelNotAvailable, match="different vocabularies"):
        load_pair(original, folder, device="cpu")
