"""Models of the hub, through the hub's own client, against a hub on this machine that can be made to misbehave."""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lessonlib.models import ModelNotAvailable, embedded_path, load
from tests.support.hub_server import COMMIT, HubServer

BLOCKED = Path(__file__).parents[1] / "support" / "blocked_network"
CHUNK = 10 * 1024 * 1024  # the client writes a file in pieces of this size: what lies beyond the last one is lost

# A process that opens or fetches what each line asks for. The client reads its address and cache when it is imported.
WORKER = """
import contextlib, io, json, sys, time, warnings
from lessonlib.models import hub, load
for line in sys.stdin:
    task = json.loads(line)
    said, began = io.StringIO(), time.monotonic()
    with contextlib.redirect_stdout(said), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if task["what"] == "fetch":
                answer = str(hub.fetch(task["name"], ["mini"]))
            else:
                model, tokenizer = load(task["name"], device="cpu", **task["options"])
                answer = f"opened {model.num_parameters()} {tokenizer.vocab_size}"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
    warned = [str(one.message) for one in caught if one.filename == "<string>"]  # those that point to this line
    print(json.dumps({"answer": answer, "said": said.getvalue(), "warned": warned,
                      "seconds": time.monotonic() - began}), flush=True)
"""


class Worker:
    """A course process with a hub address and a cache of its own. Its progress bars and log lines stand in `shown`."""

    def __init__(self, url: str, home: Path, **variables: str):
        self.home, home_log = home, home / "stderr.txt"
        home.mkdir(parents=True, exist_ok=True)
        self.shown = lambda: home_log.read_text(errors="replace")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TQDM", "TRANSF"))}
        environment |= {
            "HF_ENDPOINT": url, "HF_HOME": str(home), "HF_TOKEN": "hf_test", "HF_HUB_ETAG_TIMEOUT": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1", "NO_PROXY": "127.0.0.1,localhost", "TQDM_POSITION": "-1",
            "OMP_NUM_THREADS": "1", "PYTHONPATH": str(BLOCKED),
        }  # fmt: skip
        with home_log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", WORKER], env=environment | variables, cwd=Path(__file__).parents[2], text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip

    def ask(self, what: str, name: str, **options) -> dict:
        """The outcome of one task: `answer`, what it printed (`said`), `warned`, `seconds`."""
        self.start(what, name, **options)
        return self.result()

    def result(self) -> dict:
        """The outcome of a task that was started."""
        return json.loads(self.process.stdout.readline())

    def start(self, what: str, name: str, **options) -> None:
        self.process.stdin.write(json.dumps({"what": what, "name": name, "options": options}) + "\n")
        self.process.stdin.flush()

    def refused(self, name: str, what: str = "fetch") -> str:
        """The one sentence that a model is refused with."""
        answer = self.ask(what, name)["answer"]
        kind, _, message = answer.partition(": ")
        assert kind == "ModelNotAvailable" and repr(name) in message, answer
        assert "\n" not in message and message[-1] == "." and len(message) < 400, message
        return message

    def cache(self, name: str) -> dict[str, Path]:
        """All files of a model in the cache, by their path there."""
        folder = self.home / "hub" / ("models--" + name.replace("/", "--"))
        return {str(path.relative_to(folder)): path for path in folder.rglob("*") if not path.is_dir()}

    def largest_part(self, name: str) -> int:
        """Bytes of the largest file that is still being downloaded."""
        sizes = [0]
        for file, path in self.cache(name).items():
            if "incomplete" in file:
                with contextlib.suppress(FileNotFoundError):  # complete, and renamed since it was listed
                    sizes.append(path.stat().st_size)
        return max(sizes)

    def end(self, kill: bool = False) -> None:
        if kill:
            self.process.kill()
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def server():
    with HubServer() as hub:
        yield hub


@pytest.fixture
def hub(server):
    """The server, well-behaved again and with nothing noted."""
    server.behave()
    server.requests.clear()
    return server


@pytest.fixture(scope="module")
def worker(server, tmp_path_factory):
    worker = Worker(server.url, tmp_path_factory.mktemp("home") / "hf")
    yield worker
    worker.end()


@pytest.fixture(scope="module")
def mini():
    """The files of a small model."""
    return {path.name: path.read_bytes() for path in embedded_path("mini").iterdir()}


@pytest.fixture(scope="module")
def large(mini):
    """The same model with a further tensor in its weights, so that the file has more than two pieces."""
    import torch
    from safetensors.torch import load as read
    from safetensors.torch import save

    tensors = read(mini["model.safetensors"]) | {"padding": torch.zeros(20_000_000, dtype=torch.uint8)}
    return mini | {"model.safetensors": save(tensors, metadata={"format": "pt"})}


@pytest.fixture(scope="module", autouse=True)
def stalled(large, tmp_path_factory):
    """A download that gets more silence than bytes. It starts before the first test and its own test is far below: the
    client waits HF_HUB_DOWNLOAD_TIMEOUT for bytes and asks again five times, which is 12 seconds of doing nothing."""
    with HubServer() as server:
        server.add("owner/stalled", large)
        server.misbehave("GET", "storage/owner/stalled/model.safetensors", times=1, cut=CHUNK + 1, stall=30)
        server.misbehave("GET", "storage/owner/stalled/model.safetensors", stall=30)
        worker = Worker(server.url, tmp_path_factory.mktemp("stalled"))
        worker.start("fetch", "owner/stalled")
        yield server, worker
        worker.end()


@pytest.fixture(scope="module")
def offline(worker):
    """A process with the same cache, no hub to ask, and HF_HUB_OFFLINE=1."""
    offline = Worker("http://127.0.0.1:9", worker.home, HF_HUB_OFFLINE="1")
    yield offline
    offline.end()


def sharded(mini):
    """The same model in two weights files and their index."""
    from safetensors.torch import load as read
    from safetensors.torch import save

    tensors = read(mini["model.safetensors"])
    names, files, where = sorted(tensors), {}, {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        files[file] = save({name: tensors[name] for name in part}, metadata={"format": "pt"})
        where |= dict.fromkeys(part, file)
    index = json.dumps({"metadata": {}, "weight_map": where}).encode()
    rest = {name: data for name, data in mini.items() if name != "model.safetensors"}
    return rest | files | {"model.safetensors.index.json": index}


def test_first_from_the_hub_then_from_the_cache(hub, worker, offline, mini):
    """Only what is needed is asked for, with one line and a bar; then nothing at all, also offline and with no hub."""
    config = json.loads(mini["config.json"]) | {"auto_map": {"AutoModelForCausalLM": "own.M"}}
    own = b"open('ran', 'w')"
    rest = {"pytorch_model.bin": b"pickle", "own.py": own, "onnx/model.onnx": b"x", "model.fp16.safetensors": b"x"}
    hub.add("owner/first", mini | rest | {"config.json": json.dumps(config).encode()})
    first = worker.ask("load", "owner/first")
    assert first["answer"].startswith("opened") and not first["warned"]
    assert first["said"] == "Downloading owner/first once: 6 files, 6.6 MB.\n"
    assert "model.safetensors: 100%" in worker.shown()
    asked = {request.path.rpartition("/")[2] for request in hub.requests}
    wanted = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert asked == wanted | {"chat_template.jinja", "first"}
    (weights,) = hub.seen("/storage/owner/first/model.safetensors")
    assert weights.sent == len(mini["model.safetensors"])
    # the token goes to the hub, and not to the storage that the hub redirects to
    assert not weights.authorized and all(request.authorized for request in hub.seen("/resolve/"))

    hub.requests.clear()
    second = worker.ask("load", "owner/first")
    assert second["answer"] == first["answer"] and second["said"] == "" and not hub.requests

    assert offline.ask("load", "owner/first")["answer"] == first["answer"]


def test_a_model_in_several_files(hub, worker, mini):
    hub.add("owner/shards", sharded(mini))
    assert worker.ask("load", "owner/shards")["answer"].startswith("opened")
    assert len(hub.seen("/storage/owner/shards/")) == 2
    lacking = {name: data for name, data in sharded(mini).items() if "00002-of" not in name}
    hub.add("owner/lacking", lacking)
    assert "incomplete on the hub" in worker.refused("owner/lacking")


@pytest.mark.parametrize("reset", [False, True], ids=["cut", "reset"])
def test_a_broken_line_is_picked_up_where_it_broke(hub, worker, large, reset):
    name = f"owner/broken{reset}"
    hub.add(name, large)
    # half a second: a reset throws away what the client has not read yet
    hub.misbehave("GET", f"{name}/model.safetensors", times=1, cut=CHUNK + 500_000, stall=0.5, reset=reset)
    assert worker.ask("load", name)["answer"].startswith("opened")
    first, second = hub.seen(f"/storage/{name}/model.safetensors")
    assert first.start == 0 and second.start == CHUNK and second.status == 206
    assert second.sent == len(large["model.safetensors"]) - CHUNK


def test_a_killed_download_goes_on_in_the_next_process(hub, worker, large):
    hub.add("owner/killed", large)
    hub.misbehave("GET", "killed/model.safetensors", times=1, cut=2 * CHUNK + 500_000, stall=60)
    # bounded by the patience of a person rather than of the client: it waits while this test kills it
    victim = Worker(hub.url, worker.home, HF_HUB_DOWNLOAD_TIMEOUT="60")
    victim.start("fetch", "owner/killed")
    deadline = time.monotonic() + 60
    while worker.largest_part("owner/killed") < CHUNK:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    victim.end(kill=True)
    hub.requests.clear()
    rest = worker.ask("load", "owner/killed")
    assert rest["answer"].startswith("opened")
    (weights,) = hub.seen("/storage/owner/killed/model.safetensors")
    assert weights.start >= CHUNK and weights.status == 206
    megabytes = float(rest["said"].split(" MB")[0].split()[-1])  # what is still missing is what the line says
    assert megabytes < (len(large["model.safetensors"]) - CHUNK) / 1e6 + 0.5
    assert not any("incomplete" in name for name in worker.cache("owner/killed"))


@pytest.mark.parametrize(
    ("file", "place", "fault"),
    [
        ("model.safetensors", "storage/owner/damaged-model", {"damage": True}),
        ("tokenizer.json", COMMIT, {"damage": True}),
        ("config.json", COMMIT, {"longer": 3}),
    ],
    ids=["weights", "text", "longer"],
)
def test_other_bytes_than_announced_are_refused_and_thrown_away(hub, worker, mini, file, place, fault):
    name = f"owner/damaged-{file[:5]}"
    hub.add(name, mini)
    hub.misbehave("GET", f"{place}/{file}", times=1, **fault)
    message = worker.refused(name)
    assert file in message and "other bytes" in message and "thrown away" in message
    for path in worker.cache(name).values():  # what is there is whole, and nothing is in the model's folder
        data = path.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        assert path.parent.name == "blobs" and path.name in (hashlib.sha256(data).hexdigest(), git)
    assert worker.ask("load", name)["answer"].startswith("opened")  # the next try brings the right bytes


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ({"status": 404, "code": "RepoNotFound"}, "has no model"),
        ({"status": 401, "code": "RepoNotFound"}, "or it is private"),
        ({"status": 401, "code": "GatedRepo"}, "accepted its terms"),
        ({"status": 403, "code": "GatedRepo"}, "accepted its terms"),
        ({"status": 401}, "refuses access"),
        ({"status": 403}, "refuses access"),
        ({"status": 429}, "status 429"),
        ({"status": 503}, "status 503"),
        ({"stall": 30}, "too slow"),
    ],
)
def test_what_the_hub_answers_becomes_one_sentence(hub, worker, mini, fault, says):
    hub.add("owner/answers", mini)
    hub.misbehave("GET", "/api/models/owner/answers", **fault)
    outcome = worker.ask("load", "owner/answers")
    assert outcome["answer"].startswith("ModelNotAvailable: ") and says in outcome["answer"], outcome
    assert "'owner/answers'" in outcome["answer"] and "\n" not in outcome["answer"]
    assert len(hub.requests) == (3 if fault.get("status") == 503 else 1)
    assert outcome["seconds"] < 10 and not worker.cache("owner/answers")


def test_a_gate_shows_at_the_first_file_before_the_weights(hub, worker, mini):
    hub.add("owner/gated", mini)
    for end in mini:
        hub.misbehave("GET", f"owner/gated/resolve/{COMMIT}/{end}", status=403, code="GatedRepo")
    assert "accepted its terms" in worker.refused("owner/gated")
    assert len(hub.seen("/resolve/")) == 1 and not hub.seen("/storage/")


def test_a_hub_that_is_busy_for_a_moment(hub, worker, mini):
    hub.add("owner/busy", mini)
    hub.misbehave("GET", "/api/models/owner/busy", times=1, status=503)
    hub.misbehave("GET", "storage/owner/busy/model.safetensors", times=1, status=503)
    assert worker.ask("fetch", "owner/busy")["answer"].endswith(COMMIT)
    assert len(hub.seen("/storage/owner/busy/")) == 2


def test_a_stalled_download_ends_and_the_next_one_goes_on(stalled, large):
    server, worker = stalled
    outcome = worker.result()
    assert "too slow" in outcome["answer"] and "go on where the download stopped" in outcome["answer"]
    assert outcome["seconds"] < 60 and 2 < len(server.seen("/storage/")) < 10
    server.behave()
    server.requests.clear()
    assert worker.ask("fetch", "owner/stalled")["answer"].endswith(COMMIT)
    assert [request.start for request in server.seen("/storage/")] == [CHUNK]


@pytest.mark.parametrize(
    ("kept", "added", "says"),
    [
        (["config.json", "tokenizer.json"], {"pytorch_model.bin": b"x"}, "pickle files are never opened"),
        (["config.json", "tokenizer.json"], {"adapter_model.safetensors": b"x"}, "no safetensors weights"),
        (["README.md"], {"model-q4.gguf": b"x"}, "no config.json"),
        (["config.json", "model.safetensors"], {}, "no tokenizer"),
    ],
    ids=["pickles", "adapter", "gguf", "no tokenizer"],
)
def test_what_cannot_be_opened_is_refused_before_a_byte_of_it_is_asked_for(hub, worker, mini, kept, added, says):
    hub.add("owner/useless", {name: mini[name] for name in kept} | added)
    assert says in worker.refused("owner/useless")
    assert not hub.seen("/resolve/") and not worker.cache("owner/useless")


def test_no_room_on_the_disk(hub, worker, mini):
    hub.add("owner/huge", mini, sizes={"model.safetensors": 10**18})
    message = worker.refused("owner/huge")
    assert "takes 1,000,000,000,000 MB" in message and "HF_HOME" in message
    assert not hub.seen("/resolve/")


def test_a_cache_that_cannot_be_written_and_a_hub_that_is_away(hub, mini, tmp_path):
    (tmp_path / "file").write_text("")
    hub.add("owner/kept", mini)
    worker = Worker(hub.url, tmp_path / "home", HF_HUB_CACHE=str(tmp_path / "file" / "hub"))
    assert "HF_HOME" in worker.refused("owner/kept")
    worker.end()
    away = Worker("http://127.0.0.1:9", tmp_path / "home")
    assert "cannot be reached" in away.refused("owner/kept")
    assert "no hub id" in away.refused("owner/a--b")
    away.end()


def test_fallback_only_when_asked_and_with_the_reason(hub, worker):
    outcome = worker.ask("load", "owner/nowhere", fallback="mini")
    assert outcome["answer"].startswith("opened")
    (warned,) = outcome["warned"]
    assert "has no model 'owner/nowhere'" in warned and warned.endswith("The embedded model 'mini' is used instead.")
    assert "has no model" in worker.refused("owner/nowhere", "load")


def test_offline(offline):
    assert "HF_HUB_OFFLINE=0" in offline.refused("owner/other") and "mini" in offline.refused("owner/other")
    outcome = offline.ask("load", "owner/other", fallback="mini")
    assert outcome["answer"].startswith("opened")
    (warned,) = outcome["warned"]
    assert "HF_HUB_OFFLINE=0" in warned and warned.endswith("The embedded model 'mini' is used instead.")


def test_a_fallback_covers_no_other_mistake(tmp_path):
    with pytest.raises(ModelNotAvailable, match="'nano'"):
        load("some-owner/some-model", device="cpu", fallback="nano")
    with pytest.raises(ValueError, match="tpu"):
        load("some-owner/some-model", device="tpu", fallback="mini")
    with pytest.raises(ValueError, match="no floating-point type"):
        load("some-owner/some-model", device="cpu", dtype="int8", fallback="mini")
    with pytest.raises(ModelNotAvailable, match="There is no folder"):
        load(tmp_path / "nowhere", device="cpu", fallback="mini")
