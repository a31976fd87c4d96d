"""One vLLM process with sleep mode, as a state machine: what it holds, how long its changes take, what its routes answer.

Time is a number that the caller gives; nothing here waits. Sources: vLLM documentation on sleep mode, and the source of its
sleep, wake-up and collective_rpc routes (vllm-project/vllm, read 2026-11-27): sleep takes `level` and `mode` from the query
and never reads a body; requests that come while it sleeps wait for wake_up; is_sleeping stays true until all is awake."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from . import wire

TAGS = ("weights", "kv_cache")
# Shares of the card's peaks that requests reach, as in lessonlib.calc.throughput.
OF_BANDWIDTH, OF_COMPUTE = 0.8, 0.76
ROUTES = {
    "/health": "GET", "/v1/models": "GET", "/metrics": "GET", "/v1/chat/completions": "POST", "/v1/completions": "POST",
}  # fmt: skip
DEV_ROUTES = {"/sleep": "POST", "/wake_up": "POST", "/is_sleeping": "GET", "/collective_rpc": "POST"}
WORDS = ("The", "model", "answers", "here", "with", "words", "that", "nobody", "has", "to", "wait", "for")


class NoAnswer(Exception):
    """Nothing came back: no process listens, or the engine sleeps and the client's patience ended."""


class Failure(Exception):
    """The engine cannot do what was asked; the state is as before."""


@dataclass
class Request:
    """A request of the day, and what became of it: when work on it began and when it ended, or why it was not served."""

    at: float
    workload: str
    prompt: int
    answer: int
    kind: str = ""
    began: float | None = None
    ended: float | None = None
    refused: str = ""
    engine: str = ""


@dataclass
class Engine:
    """A process. `spec` is the engine as the task writes it, `node` the machine that it runs on.

    reply(messages or prompt, most tokens) gives the parts of an answer: of an embedded model, or these words."""

    name: str
    spec: dict
    node: object
    port: int = 8001
    reply: Callable | None = None
    count: Callable | None = None
    up: bool = False
    asleep: set = field(default_factory=set)
    level: int = 0
    paused: bool = False
    loaded: bool = False  # the weights in GPU memory are the model's
    ready_at: float = 0.0
    lanes: list = field(default_factory=list)  # when each place for a sequence is free
    requests: list = field(default_factory=list)  # those taken up and perhaps not finished
    pending: list = field(default_factory=list)  # those that came while it slept
    totals: dict = field(default_factory=lambda: {"prompt_tokens": 0, "generation_tokens": 0, "request_success": 0})

    # What it holds

    @property
    def state(self) -> str:
        """ "cold", "awake", "level 1", "level 2", or "half awake" between the two halves of a wake-up."""
        if not self.up:
            return "cold"
        if not self.asleep:
            return "awake" if self.loaded else "half awake"
        return f"level {self.level}" if len(self.asleep) == len(TAGS) else "half awake"

    @property
    def tp(self) -> int:
        """Its tensor-parallel GPUs."""
        return len(self.spec["gpus"])

    def gpu_bytes(self) -> float:
        """Bytes on each of its GPUs."""
        server = self.node.server
        if not self.up:
            return 0.0
        held = server["asleep_gb"]
        if "weights" not in self.asleep:
            held += self.spec["weights_gb"] / self.tp
        if "kv_cache" not in self.asleep:
            held += self.spec["cache_gb"] / min(self.tp, self.spec["kv_heads"])
            held += server["overhead_gb"] - server["asleep_gb"]
        return held * 1e9

    def ram_bytes(self) -> float:
        """Bytes of host RAM: the weights, while they sleep at level 1."""
        return self.spec["weights_gb"] * 1e9 if self.up and "weights" in self.asleep and self.level == 1 else 0.0

    # What it takes up

    def speeds(self) -> tuple[float, float]:
        """(seconds for each prompt token, seconds for each token of the answer): rooflines of its cards, one sequence."""
        server, share = self.node.server, self.spec["active_share"]
        prompt = 2 * self.spec["parameters"] * share / (self.tp * server["tflops"] * 1e12 * OF_COMPUTE)
        read = self.spec["weights_gb"] * 1e9 * share
        return prompt, read / (self.tp * server["bandwidth_gbs"] * 1e9 * OF_BANDWIDTH)

    def admit(self, request: Request) -> None:
        """Take a request up at its time: refuse it, let it wait, or reckon when it begins and ends."""
        request.engine = self.name
        if not self.up:
            request.refused = "no process listens"
        elif request.prompt + request.answer > self.spec["context"]:
            tokens = request.prompt + request.answer
            request.refused = f"400: {tokens:,} tokens are more than its context of {self.spec['context']:,}"
        elif self.asleep or self.paused:
            self.pending.append(request)
        elif not self.loaded:
            request.refused = "answers nonsense: its weights were not loaded again"
        else:
            self._begin(request)

    def _begin(self, request: Request) -> None:
        prompt, token = self.speeds()
        request.began = max(request.at, self.ready_at, heapq.heappop(self.lanes))
        request.ended = request.began + request.prompt * prompt + request.answer * token
        heapq.heappush(self.lanes, request.ended)
        self.requests.append(request)

    def busy_until(self) -> float:
        """When the last answer that it has taken up is finished."""
        return max((r.ended for r in self.requests if not r.refused), default=0.0)

    def cut(self, now: float, why: str) -> None:
        """End what is not finished."""
        for request in self.requests:
            if request.ended > now and not request.refused:
                request.refused, request.ended = why, now
        self.lanes = [0.0] * self.spec["sequences"]

    def hang_up(self, why: str) -> None:
        """Nobody will answer those who wait."""
        for request in self.pending:
            request.refused = why
        self.pending = []

    def _take_up_pending(self) -> None:
        waiting, self.pending = self.pending, []
        for request in waiting:
            self.admit(request)

    # What it changes: each takes the time and returns the seconds that the change takes

    def start(self, now: float) -> float:
        """Start the process: read the weights, copy them, warm up. Failure when it cannot."""
        if self.up:
            raise Failure(f"{self.name} runs already: its port {self.port} is in use")
        self._check_spec()
        self.node.change(self, up=True, asleep=set(), level=0, paused=False, loaded=True)
        server = self.node.server
        seconds = server["process_start_s"] + self._load_seconds() + server["warm_up_s"]
        self.ready_at, self.lanes, self.requests = now + seconds, [0.0] * self.spec["sequences"], []
        return seconds

    def stop(self, now: float) -> float:
        """Stop the process; what it was answering is cut off."""
        if not self.up:
            raise Failure(f"{self.name} does not run, so it cannot be stopped")
        self.die(now)
        return self.node.server["stop_s"]

    def die(self, now: float) -> None:
        """The process is gone."""
        self.cut(now, "cut off: the process was stopped")
        self.hang_up("no answer: the process was stopped")
        self.node.change(self, up=False, asleep=set(), level=0, paused=False, loaded=False)

    def sleep(self, now: float, level: int, mode: str = "abort") -> float:
        """Fall asleep. mode "abort" cuts answers off, "wait" finishes them first, and so does "keep" here in the end."""
        if mode not in ("abort", "wait", "keep"):
            raise Failure(f"mode is {mode!r}, but vLLM knows abort, wait and keep")
        drain = max(0.0, self.busy_until() - now) if mode != "abort" else 0.0
        if mode == "abort":
            self.cut(now, f"cut off by {'/sleep' if level else 'a pause'} with mode=abort, the default")
        if level == 0:
            self.paused = True
            return self.node.drained(drain)
        down = 0.0
        if "weights" not in self.asleep:
            self.node.change(
                self, asleep=set(TAGS), level=min(level, 2), paused=True, loaded=self.loaded and level == 1
            )
            down = self._link_seconds() if level == 1 else 0.0
        else:
            self.node.change(self, asleep=set(TAGS), paused=True)
        self.lanes = [0.0] * self.spec["sequences"]
        return self.node.drained(drain) + down

    def wake_up(self, now: float, tags: list[str] | None = None) -> float:
        """Wake all, or some tags; unknown tags change nothing, as in vLLM."""
        waking = self.asleep & set(TAGS if tags is None else tags)
        seconds = self._link_seconds() if "weights" in waking and self.level == 1 else 0.0
        seconds += self.node.server["wake_s"] if "kv_cache" in waking else 0.0
        left = self.asleep - waking
        self.node.change(self, asleep=left, level=self.level if left else 0, paused=self.paused and bool(left))
        self.ready_at = max(self.ready_at, now + seconds)
        if not left:
            self._take_up_pending()
        return seconds

    def reload_weights(self, now: float) -> float:
        """Read the weights from storage again, into the memory that they have."""
        if "weights" in self.asleep:
            raise Failure(f"{self.name} has no memory for weights: POST /wake_up?tags=weights comes first")
        self.loaded, seconds = True, self._load_seconds()
        self.ready_at = max(self.ready_at, now + seconds)
        return seconds

    def _load_seconds(self) -> float:
        return self.spec["weights_gb"] / self.node.server["storage_gbs"] + self._link_seconds()

    def _link_seconds(self) -> float:
        return self.spec["weights_gb"] / (self.node.server["link_gbs"] * self.tp)

    def _check_spec(self) -> None:
        """What vLLM refuses at the start."""
        spec, cards = self.spec, self.node.server["gpus"]
        if not all(card in range(cards) for card in spec["gpus"]):
            raise Failure(f"{self.name} names GPU {max(spec['gpus'])}, but the server has GPUs 0 to {cards - 1}")
        if spec["context"] > spec["window"]:
            raise Failure(f"{spec['model']} reads {spec['window']:,} tokens at most, not {spec['context']:,}")
        if max(self.tp, spec["kv_heads"]) % min(self.tp, spec["kv_heads"]):
            raise Failure(f"{spec['kv_heads']} key-value heads cannot be dealt out to {self.tp} GPUs")

    # What its routes answer

    def handle(
        self, method: str, path: str, query: str = "", body: bytes = b"", now: float | None = None
    ) -> wire.Reply:
        """Answer a call. The node's clock goes on by what it takes. NoAnswer when nothing comes back."""
        if not self.up:
            raise NoAnswer(f"connection refused: no process listens on port {self.port} ({self.name})")
        if now is not None:
            self.node.clock = now
        routes = {**ROUTES, **(DEV_ROUTES if self.spec["sleep_mode"] else {})}
        if path not in routes:
            return wire.detail(404, "Not Found")
        if method != routes[path]:
            return wire.detail(405, "Method Not Allowed")
        try:
            return getattr(self, "_" + path.strip("/").replace("/", "_"))(parse_qs(query), body)
        except Failure as failure:
            return wire.crash(str(failure))

    def _health(self, query, body) -> wire.Reply:
        return wire.empty()

    def _v1_models(self, query, body) -> wire.Reply:
        return wire.model_list(self.spec["model"], self.spec["context"])

    def _metrics(self, query, body) -> wire.Reply:
        now = self.node.clock
        open_now = [r for r in self.requests if not r.refused and r.ended > now]
        running = sum(r.began <= now for r in open_now)
        state = "awake" if not self.asleep else "weights_offloaded" if self.level == 1 else "discard_all"
        waiting = len(open_now) - running + len(self.pending)
        return wire.metrics(self.spec["model"], state, running, waiting, running / self.spec["sequences"], self.totals)

    def _sleep(self, query, body) -> wire.Reply:
        try:
            level = int(query.get("level", ["1"])[0])
        except ValueError:
            return wire.crash(f"level is {query['level'][0]!r}, but must be a whole number")
        self.node.spend(self.sleep(self.node.clock, level, query.get("mode", ["abort"])[0]))
        return wire.empty()

    def _wake_up(self, query, body) -> wire.Reply:
        self.node.spend(self.wake_up(self.node.clock, query.get("tags")))
        return wire.empty()

    def _is_sleeping(self, query, body) -> wire.Reply:
        return wire.as_json({"is_sleeping": bool(self.asleep or self.paused)})

    def _collective_rpc(self, query, body) -> wire.Reply:
        try:
            asked = json.loads(body or b"")
        except ValueError as problem:
            return wire.error(400, f"JSON decode error: {problem}", "Bad Request")
        name = asked.get("method") if isinstance(asked, dict) else None
        if name is None:
            return wire.error(400, "Missing 'method' in request body", "Bad Request")
        if name != "reload_weights":
            return wire.crash(f"the workers have no method {name!r}")
        self.node.spend(self.reload_weights(self.node.clock))
        return wire.as_json({"results": [None] * self.tp})

    def _v1_completions(self, query, body) -> wire.Reply:
        return self._complete(body, chat=False)

    def _v1_chat_completions(self, query, body) -> wire.Reply:
        return self._complete(body, chat=True)

    def _complete(self, body: bytes, chat: bool) -> wire.Reply:
        asked = _asked(body, chat)
        if isinstance(asked, wire.Reply):
            return asked
        given, most = asked["messages" if chat else "prompt"], asked.get("max_tokens", 16)
        if asked.get("model", self.spec["model"]) != self.spec["model"]:
            return wire.error(404, f"The model `{asked['model']}` does not exist.", "NotFoundError", "model")
        prompt = (self.count or _words)(given)
        if prompt + most > self.spec["context"]:
            words = (
                f"{prompt} input tokens and {most} output tokens are more than the context of {self.spec['context']}"
            )
            return wire.error(400, words, "BadRequestError", "input_tokens")
        if self.asleep or self.paused:
            raise NoAnswer(f"{self.name} sleeps: the request waits until it is woken")
        parts = self._count((self.reply or _canned)(given, most), prompt)
        number = 1 + int(self.totals["request_success"])
        if asked.get("stream"):
            return wire.stream(self.spec["model"], parts, most, chat, number)
        return wire.answer(self.spec["model"], parts, prompt, most, chat, number)

    def _count(self, parts, prompt: int) -> Iterator[str]:
        self.totals["prompt_tokens"] += prompt
        for part in parts:
            self.totals["generation_tokens"] += 1
            yield part
        self.totals["request_success"] += 1


def _asked(body: bytes, chat: bool):
    """The fields of a request, or the error that vLLM gives."""
    try:
        asked = json.loads(body or b"")
    except ValueError as problem:
        return wire.error(400, f"the body is no JSON: {problem}", "BadRequestError")
    needed = "messages" if chat else "prompt"
    if not isinstance(asked, dict) or not asked.get(needed):
        return wire.error(400, f"the field {needed!r} is required", "BadRequestError", needed)
    if not isinstance(asked.get("max_tokens", 16), int) or asked.get("max_tokens", 16) < 1:
        return wire.error(400, "max_tokens must be at least 1", "BadRequestError", "max_tokens")
    return asked


def _words(given) -> int:
    texts = [given] if isinstance(given, str) else [m.get("content", "") for m in given]
    return sum(len(text.split()) for text in texts)


def _canned(given, most: int) -> list[str]:
    return [f"{' ' if i else ''}{WORDS[i % len(WORDS)]}" for i in range(min(most, len(WORDS)))]
