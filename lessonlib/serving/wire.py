"""Bodies of the OpenAI-compatible routes as vLLM makes them: JSON, streamed events, metrics.

Source: vLLM's protocol classes and documentation (vllm-project/vllm, read 2026-11-27)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
PLAIN = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
STATES = ("awake", "weights_offloaded", "discard_all")  # labels of vllm:engine_sleep_state


@dataclass(frozen=True)
class Reply:
    """What a route answers: status, headers, and the body, whole or as a stream of parts."""

    status: int
    headers: dict
    body: bytes | Iterator[bytes] = b""

    def read(self) -> bytes:
        """The whole body; a stream can be read once."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


def as_json(value, status: int = 200) -> Reply:
    """A JSON body."""
    return Reply(status, dict(JSON), json.dumps(value).encode())


def empty() -> Reply:
    """200 with an empty body, as sleep, wake_up and health give it."""
    return Reply(200, {"content-length": "0"})


def detail(status: int, text: str) -> Reply:
    """The framework's own errors: routes that do not exist, wrong methods."""
    return as_json({"detail": text}, status)


def error(status: int, message: str, kind: str, param: str | None = None) -> Reply:
    """An error of the OpenAI routes."""
    return as_json({"error": {"message": message, "type": kind, "param": param, "code": status}}, status)


def crash(message: str) -> Reply:
    """500: an error of the engine that no route expected. A real vLLM tells the reason in its log, here the body has it."""
    return error(500, message, "InternalServerError")


def model_list(name: str, context: int, created: int = 0) -> Reply:
    """GET /v1/models of a process that serves one model."""
    card = {"id": name, "object": "model", "created": created, "owned_by": "vllm", "root": name, "parent": None}
    return as_json({"object": "list", "data": [{**card, "max_model_len": context, "permission": []}]})


def answer(model: str, parts: Iterable[str], prompt_tokens: int, limit: int, chat: bool, number: int) -> Reply:
    """The whole answer in one body; one part is one token."""
    parts = list(parts)
    ended = "length" if len(parts) >= limit else "stop"
    said = "".join(parts)
    content = {"message": {"role": "assistant", "content": said}} if chat else {"text": said}
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": len(parts),
        "total_tokens": prompt_tokens + len(parts),
    }
    head = _head(model, chat, number, streamed=False)
    choice = {"index": 0, **content, "logprobs": None, "finish_reason": ended}
    return as_json({**head, "choices": [choice], "usage": usage})


def stream(model: str, parts: Iterable[str], limit: int, chat: bool, number: int) -> Reply:
    """The answer as server-sent events: one a token, then the reason of the end, then [DONE]."""
    return Reply(200, dict(EVENTS), _events(model, parts, limit, chat, number))


def _events(model, parts, limit, chat, number) -> Iterator[bytes]:
    head, count = _head(model, chat, number, streamed=True), 0

    def event(content: dict, ended=None) -> bytes:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": ended}
        return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

    if chat:
        yield event({"delta": {"role": "assistant", "content": ""}})
    for part in parts:
        count += 1
        yield event({"delta": {"content": part}} if chat else {"text": part})
    yield event({"delta": {}} if chat else {"text": ""}, "length" if count >= limit else "stop")
    yield b"data: [DONE]\n\n"


def _head(model: str, chat: bool, number: int, streamed: bool) -> dict:
    kind = "chat.completion" if chat else "text_completion"
    kind += ".chunk" if chat and streamed else ""
    return {"id": f"{'chatcmpl' if chat else 'cmpl'}-{number}", "object": kind, "created": 0, "model": model}


def events(body: bytes) -> list[dict]:
    """The events of a streamed body, without its end mark; ValueError when that mark is missing."""
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: ")]
    if not lines or lines[-1] != "[DONE]":
        raise ValueError("The stream ends without data: [DONE], so its end is missing.")
    return [json.loads(line) for line in lines[:-1]]


def said(event: dict) -> str:
    """The text that one event or one whole answer brings."""
    choice = event["choices"][0]
    inside = choice.get("delta") or choice.get("message") or choice
    return inside.get("content") or inside.get("text") or ""


def metrics(model: str, state: str, running: int, waiting: int, cache_used: float, totals: dict) -> Reply:
    """GET /metrics in the text form of Prometheus, with vLLM's own names and labels."""
    label = f'engine="0",model_name="{model}"'
    gauges = [
        ("num_requests_running", "Number of requests in model execution batches.", running),
        ("num_requests_waiting", "Number of requests waiting to be processed.", waiting),
        ("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", cache_used),
    ]
    lines = []
    for name, words, value in gauges:
        lines += [f"# HELP vllm:{name} {words}", f"# TYPE vllm:{name} gauge", f"vllm:{name}{{{label}}} {float(value)}"]
    lines += ["# HELP vllm:engine_sleep_state Engine sleep state.", "# TYPE vllm:engine_sleep_state gauge"]
    lines += [f'vllm:engine_sleep_state{{{label},sleep_state="{s}"}} {float(s == state)}' for s in STATES]
    for name, value in totals.items():
        lines += [f"# TYPE vllm:{name} counter", f"vllm:{name}_total{{{label}}} {float(value)}"]
    return Reply(200, dict(PLAIN), ("\n".join(lines) + "\n").encode())


def read_metric(text: str, name: str, **labels: str) -> float:
    """One value of a metrics text; ValueError when there is none of this name with these labels."""
    for line in text.splitlines():
        if line.startswith((name + "{", name + " ")) and all(f'{k}="{v}"' in line for k, v in labels.items()):
            return float(line.rsplit(" ", 1)[1])
    raise ValueError(f"The metrics have no {name} with {labels}.")
