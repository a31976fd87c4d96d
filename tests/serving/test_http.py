"""The same calls directly and over HTTP on this machine: equal statuses and bodies; streaming; real answers of a model."""

import json
import socket
import threading
import time
import urllib.request

import pytest

from lessonlib.labs import deployment_plan as task
from lessonlib.serving import wire
from lessonlib.serving.client import Client, Direct, Http
from lessonlib.serving.front import Front, connected
from lessonlib.serving.sleep_engine import NoAnswer
from lessonlib.serving.sleep_node import Node, complete

pytestmark = pytest.mark.l16
CHAT = {"model": "qwen3-8b", "messages": [{"role": "user", "content": "Tell me a story"}], "max_tokens": 5}
CALLS = [
    ("GET", "/health", None), ("GET", "/v1/models", None), ("POST", "/v1/chat/completions", CHAT),
    ("POST", "/v1/chat/completions", {**CHAT, "stream": True}), ("POST", "/v1/completions", {"prompt": "Once upon", "max_tokens": 3}),
    ("POST", "/v1/completions", {"prompt": "Once upon", "stream": True, "max_tokens": 100}),
    ("POST", "/v1/chat/completions", {**CHAT, "model": "another"}), ("POST", "/v1/chat/completions", {"messages": []}),
    ("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 0}), ("POST", "/v1/chat/completions", {**CHAT, "max_tokens": 9999}),
    ("POST", "/v1/completions", b"{no json"), ("GET", "/is_sleeping", None), ("POST", "/sleep?level=2", None),
    ("GET", "/is_sleeping", None), ("POST", "/wake_up?tags=weights", None), ("GET", "/metrics", None),
    ("POST", "/collective_rpc", b""), ("POST", "/collective_rpc", {"method": "reload_weights"}),
    ("POST", "/wake_up?tags=kv_cache", None), ("GET", "/is_sleeping", None), ("POST", "/v1/sleep", {"level": "l1"}),
    ("POST", "/v1/wake", None), ("GET", "/sleep", None), ("POST", "/sleep?level=deep", None), ("GET", "/metrics", None),
]  # fmt: skip


def engine(models, **change):
    node = Node(task.server())
    spec = {**task.engine(models, "qwen3-8b", 4, [0], 1024, 2), **change}
    made = node.add("letters", complete(spec, models))
    node.step(("letters", "start"), 0)
    return made


def test_direct_and_http_agree_on_every_call(models):
    direct = Direct(engine(models))
    with Front(engine(models)) as front:
        http = Http(front.url)
        for method, target, body in CALLS:
            sent = json.dumps(body).encode() if isinstance(body, dict) else body or b""
            one, other = direct.call(method, target, sent), http.call(method, target, sent)
            assert (one[0], one[2]) == (other[0], other[2]), (method, target)
            assert one[1].get("content-type") == other[1].get("content-type"), (method, target)
        assert direct.engine.node.clock == front.engine.node.clock
        assert direct.engine.node.history == front.engine.node.history


def test_bodies_have_the_shape_of_the_openai_routes(models):
    client = Client(Direct(engine(models)))
    listed = json.loads(client.call("GET", "/v1/models")[2])
    assert (
        listed["object"] == "list"
        and listed["data"][0]["id"] == "qwen3-8b"
        and listed["data"][0]["max_model_len"] == 1024
    )
    whole = json.loads(client.call("POST", "/v1/chat/completions", CHAT)[2])
    assert whole["object"] == "chat.completion" and whole["choices"][0]["message"]["role"] == "assistant"
    assert whole["usage"] == {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    assert whole["choices"][0]["finish_reason"] == "length"
    text = json.loads(client.call("POST", "/v1/completions", {"prompt": "Once", "max_tokens": 99})[2])
    assert text["object"] == "text_completion" and text["choices"][0]["finish_reason"] == "stop"
    assert json.loads(client.call("POST", "/v1/chat/completions", {**CHAT, "model": "x"})[2])["error"]["code"] == 404


def test_a_stream_says_the_same_as_a_whole_answer(models):
    client = Client(Direct(engine(models)))
    status, headers, body = client.call("POST", "/v1/chat/completions", {**CHAT, "stream": True})
    found = wire.events(body)
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    assert found[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert found[-1]["choices"][0]["finish_reason"] == "length" and {e["object"] for e in found} == {
        "chat.completion.chunk"
    }
    assert "".join(map(wire.said, found)) == wire.said(json.loads(client.call("POST", "/v1/chat/completions", CHAT)[2]))
    with pytest.raises(ValueError, match="DONE"):
        wire.events(body[:-20])


def test_parts_come_as_they_are_made(models):
    made, go = engine(models), threading.Event()

    def slow(given, most):
        yield "first"
        assert go.wait(10)
        yield " last"

    made.reply = slow
    with Front(made) as front:
        asked = urllib.request.Request(
            front.url + "/v1/completions", json.dumps({"prompt": "a", "stream": True}).encode()
        )
        with urllib.request.urlopen(asked, timeout=10) as reply:
            assert "first" in reply.readline().decode()  # while the model still writes
            go.set()
            assert reply.read().endswith(b"data: [DONE]\n\n")


def test_a_request_to_a_sleeping_engine_waits_for_wake_up(models):
    with Front(engine(models)) as front:
        client, answers = Client(Http(front.url)), []
        assert client.sleep() == 200 and client.is_sleeping()
        waiting = threading.Thread(target=lambda: answers.append(client.chat("Tell me")))
        waiting.start()
        time.sleep(0.2)
        assert not answers
        assert client.wake_up() == 200
        waiting.join(10)
        assert answers and not client.is_sleeping()


def test_patience_ends_alike(models):
    made = engine(models)
    Client(Direct(made)).sleep()
    with Front(made, patience=0.2) as front, pytest.raises(NoAnswer):
        Client(Http(front.url)).chat("Tell me")
    with Front(made, patience=5) as front, pytest.raises(NoAnswer):
        Client(Http(front.url, patience=0.2)).chat("Tell me")
    with pytest.raises(NoAnswer):
        Client(Direct(made)).chat("Tell me")


def test_nobody_listens(models):
    with Front(engine(models)) as front:
        url = front.url
        front.engine.stop(0)
        with pytest.raises(NoAnswer):
            Client(Http(url)).model()
    with pytest.raises(NoAnswer):
        Client(Http(url)).model()  # closed
    with pytest.raises(NoAnswer, match="no process listens"):
        Client(Direct(front.engine)).model()


def test_the_client_does_both_levels(models):
    client = Client(Direct(engine(models)))
    for level, state in ((1, "weights_offloaded"), (2, "discard_all")):
        assert client.sleep(level) == 200
        assert client.metric("vllm:engine_sleep_state", sleep_state=state) == 1
        assert client.wake_up(level) == 200 and client.chat("Hello")
    plain = Client(Direct(engine(models, sleep_mode=False)))
    assert plain.sleep() == 404 and plain.wake_up(2) == 404
    with pytest.raises(ValueError, match="without development mode"):
        plain.is_sleeping()
    with pytest.raises(ValueError, match="gives 400"):
        plain.chat("Hello", max_tokens=10**6)


def test_connected_prefers_a_real_vllm_and_does_without_sockets(models, monkeypatch):
    made = engine(models)
    with connected(made) as client:
        assert client.transport.where.startswith("http://127.0.0.1:") and client.model() == "qwen3-8b"
    with Front(engine(models)) as real:
        monkeypatch.setenv("LESSON_VLLM_URL", real.url + "/")
        with connected(None) as client:
            assert client.transport.url == real.url and client.sleep() == 200 and client.is_sleeping()
    monkeypatch.delenv("LESSON_VLLM_URL")

    def refuse(*args, **kwargs):
        raise PermissionError("no sockets in this sandbox")

    monkeypatch.setattr(socket, "socket", refuse)
    with connected(made) as client:
        assert "called directly" in client.transport.where and client.chat("Hello")


def test_large_requests_are_refused(models, monkeypatch):
    from lessonlib.serving import front as module

    monkeypatch.setattr(module, "LARGEST", 100)
    with Front(engine(models)) as front:
        assert Http(front.url).call("POST", "/v1/completions", b"x" * 101)[0] == 413


def test_only_this_machine_listens(models):
    with Front(engine(models)) as front:
        assert front.server.server_address[0] == "127.0.0.1"


def test_an_embedded_model_answers():
    from lessonlib.serving.embedded import Writer

    writer = Writer("draft")
    models = task.models()
    node = Node(task.server())
    spec = complete(task.engine(models, "qwen3-8b", 4, [0], 1024, 2), models)
    made = node.add("letters", spec, reply=writer.reply, count=writer.count)
    node.step(("letters", "start"), 0)
    with Front(made) as front:
        client = Client(Http(front.url))
        parts = client.stream("Tell me a story.", 8)
        assert "".join(parts) == client.chat("Tell me a story.", 8) != ""
        assert client.metric("vllm:prompt_tokens_total") == 2 * writer.count(
            [{"role": "user", "content": "Tell me a story."}]
        )
        assert client.metric("vllm:generation_tokens_total") <= 16
    import torch

    ids = torch.tensor([writer._ids([{"role": "user", "content": "Tell me a story."}])])
    want = writer.model.generate(ids, max_new_tokens=8, do_sample=False)[0, ids.shape[1] :]
    assert "".join(parts) == writer.tokenizer.decode(want, skip_special_tokens=True)
