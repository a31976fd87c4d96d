"""A client of vLLM's routes, the same for an engine of this process, for a server on this machine and for a real vLLM.

What differs is the transport alone: `Direct` calls the state machine, `Http` opens a connection (urllib). LESSON_VLLM_URL
names a running vLLM (`http://host:8000`); its sleep routes exist when it was started as `labs.deployment_plan.command` says."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request

from . import wire
from .sleep_engine import Engine, NoAnswer
from .sleep_node import encoded

PATIENCE = 30.0  # seconds


class Direct:
    """Calls of an engine's state machine: no socket, no waiting."""

    def __init__(self, engine: Engine):
        self.engine, self.where = engine, f"{engine.name}, called directly"

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, dict, bytes]:
        """(status, headers, body)."""
        path, _, query = target.partition("?")
        reply = self.engine.handle(method, path, query, body)
        return reply.status, reply.headers, reply.read()


class Http:
    """Calls over HTTP to `url`."""

    def __init__(self, url: str, patience: float = PATIENCE):
        self.url, self.where, self.patience = url.rstrip("/"), url.rstrip("/"), patience

    def call(self, method: str, target: str, body: bytes = b"") -> tuple[int, dict, bytes]:
        """(status, headers with names in lower case, body); statuses of errors come back like others."""
        headers = {"content-type": "application/json"} if body else {}
        asked = urllib.request.Request(self.url + target, data=body or None, headers=headers, method=method)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )  # a server of one's own is behind no proxy
        try:
            with opener.open(asked, timeout=self.patience) as reply:
                return reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, {k.lower(): v for k, v in error.headers.items()}, error.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"{self.where}: {getattr(error, 'reason', None) or error}") from None


class Client:
    """The calls that a plan and its owner need. Each raises NoAnswer when nothing comes back."""

    def __init__(self, transport):
        self.transport = transport

    def call(self, method: str, target: str, body=None) -> tuple[int, dict, bytes]:
        """Any call; a dict as body is sent as JSON. Returns (status, headers, body)."""
        return self.transport.call(method, target, encoded(body))

    def sleep(self, level: int = 1, mode: str = "wait") -> int:
        """Put it to sleep; running answers are finished first. Returns the status."""
        return self.call("POST", f"/sleep?level={level}&mode={mode}")[0]

    def wake_up(self, level: int = 1) -> int:
        """Wake it from that level; the status of the last call made, and none is made after one that failed."""
        calls = [("/wake_up", None)]
        if level == 2:
            reload = ("/collective_rpc", {"method": "reload_weights"})
            calls = [("/wake_up?tags=weights", None), reload, ("/wake_up?tags=kv_cache", None)]
        for target, body in calls:
            status = self.call("POST", target, body)[0]
            if status != 200:
                break
        return status

    def is_sleeping(self) -> bool:
        """Whether any part of it sleeps; ValueError where the route does not exist."""
        status, _, body = self.call("GET", "/is_sleeping")
        if status != 200:
            raise ValueError(f"GET /is_sleeping gives {status}: the server was started without development mode.")
        return json.loads(body)["is_sleeping"]

    def model(self) -> str:
        """The id of the model that the process serves."""
        return json.loads(self.call("GET", "/v1/models")[2])["data"][0]["id"]

    def metric(self, name: str, **labels: str) -> float:
        """One value of /metrics."""
        return wire.read_metric(self.call("GET", "/metrics")[2].decode(), name, **labels)

    def chat(self, text: str, max_tokens: int = 16) -> str:
        """The answer to one message, whole; ValueError with the server's words when it refuses."""
        return wire.said(json.loads(self._complete("/v1/chat/completions", text, max_tokens, False)))

    def stream(self, text: str, max_tokens: int = 16) -> list[str]:
        """The same answer as it comes: a part for each event."""
        found = wire.events(self._complete("/v1/chat/completions", text, max_tokens, True))
        return [wire.said(event) for event in found]

    def _complete(self, target: str, text: str, max_tokens: int, stream: bool) -> bytes:
        asked = {"model": self.model(), "messages": [{"role": "user", "content": text}], "max_tokens": max_tokens}
        status, _, body = self.call("POST", target, {**asked, "temperature": 0, "stream": stream})
        if status != 200:
            raise ValueError(f"POST {target} gives {status}: {body.decode()[:200]}")
        return body


def real_url() -> str | None:
    """The address of a real vLLM, when the learner has one."""
    return os.environ.get("LESSON_VLLM_URL", "").strip() or None
