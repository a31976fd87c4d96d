"""Opening models: what comes back, and one sentence for everything that can be wrong."""

import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch

from lessonlib.models import ModelNotAvailable, embedded_names, embedded_path, load


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


def test_a_hub_model_offline_is_refused_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    message = refused("some-owner/some-model")
    assert "HF_HUB_OFFLINE=0" in message and "mini" in message


CHILD = """
import json, sys
from lessonlib.models import load
answers = {}
for name in sys.argv[1:]:
    try:
        load(name, device="cpu")
        answers[name] = "opened"
    except Exception as error:
        answers[name] = f"{type(error).__name__}: {error}"
print(json.dumps(answers))
"""


class FakeHub(BaseHTTPRequestHandler):
    """Answers as the hub does: the owner's name is the status; `pickles` lists a repository without safetensors."""

    def do_GET(self):
        owner = self.path.split("/models/")[-1].split("/")[0]
        if owner == "pickles":
            return self.reply(200, {}, {"id": "pickles/m", "siblings": [{"rfilename": "pytorch_model.bin"}]})
        headers = {"401": {"X-Error-Code": "GatedRepo"}, "404": {"X-Error-Code": "RepoNotFound"}}.get(owner, {})
        return self.reply(int(owner) if owner.isdigit() else 500, headers, {"error": "no"})

    do_HEAD = do_GET

    def reply(self, status, headers, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        for key, value in (headers | {"Content-Type": "application/json", "Content-Length": str(len(data))}).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


def ask(endpoint: str, home, *names: str) -> dict:
    """What load() says in a fresh process about each hub id, with the hub at `endpoint`."""
    environment = os.environ | {
        "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(home), "NO_PROXY": "127.0.0.1", "HF_TOKEN": "",
    }  # fmt: skip
    environment.pop("TRANSFORMERS_OFFLINE", None)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *names], env=environment, capture_output=True, text=True, timeout=120
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_what_the_hub_answers_becomes_one_sentence(tmp_path):
    server = HTTPServer(("127.0.0.1", 0), FakeHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        answers = ask(
            f"http://127.0.0.1:{server.server_port}", tmp_path, "404/m", "401/m", "403/m", "503/m", "pickles/m"
        )
    finally:
        server.shutdown()
        server.server_close()
    assert all(text.startswith("ModelNotAvailable: ") and "\n" not in text for text in answers.values()), answers
    assert "has no model '404/m'" in answers["404/m"]
    assert "accepted its terms" in answers["401/m"]
    assert "refuses access" in answers["403/m"] and "HF_TOKEN" in answers["403/m"]
    assert "status 503" in answers["503/m"]
    assert "no safetensors weights" in answers["pickles/m"]


def test_a_hub_that_is_away_and_a_model_downloaded_before(finished, tmp_path):
    commit = "0" * 40
    place = tmp_path / "hub" / "models--owner--kept"
    shutil.copytree(finished[4], place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    away = ask("http://127.0.0.1:9", tmp_path, "owner/model", "owner/kept")
    assert away["owner/kept"] == "opened"
    assert away["owner/model"].startswith("ModelNotAvailable: The hub cannot be reached")


def test_a_downloaded_model_opens_offline(monkeypatch):
    from lessonlib.models import hub

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda hub_id, file: f"/cache/{hub_id}/{file}")
    assert hub.must_be_local("owner/kept", ["mini"]) is True
