"""Why run a model yourself: what leaves a machine, what a pinned file fixes, and what tokens cost here and elsewhere.

Money is USD; prices are per million tokens; a month has 30 days unless `days` says otherwise."""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from math import ceil
from pathlib import Path

from ..calc import cost
from .why_self_host_texts import NAME, QUESTIONS, TASKS

__all__ = [
    "ANSWER", "MONTH", "NAME", "QUESTIONS", "TASKS", "Billed", "Received", "ask", "bill", "billed", "cheaper", "crossover",
    "flips", "greedy", "no_network", "own_month", "provider", "sha256", "sha256_with_a_bit_flipped", "speeds", "summary",
    "swings", "talk", "team_bill",
]  # fmt: skip
MONTH = 30  # days, the rule of this course's bills
ANSWER = "Noted."  # what the stand-in for a provider answers


# Privacy: what leaves.


@contextmanager
def no_network() -> Iterator[list[str]]:
    """Refuse every connection, datagram and name look-up that goes through Python's `socket` module, this machine's own
    addresses included, and list what was tried. Libraries with sockets of their own (C++, Rust) pass by unseen."""
    tried: list[str] = []

    def refuse(kind: str) -> Callable:
        def refused(*call, **more):
            tried.append(kind)
            raise OSError(f"{kind}: the network is blocked in this block of code")

        return refused

    places = [(socket.socket, name) for name in ("connect", "connect_ex", "sendto")]
    places += [(socket, name) for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex")]
    inherited = {name: name not in vars(owner) for owner, name in places}
    before = [(owner, name, getattr(owner, name)) for owner, name in places]
    try:
        for owner, name in places:
            setattr(owner, name, refuse(name))
        yield tried
    finally:
        for owner, name, original in before:
            if inherited[name]:
                delattr(owner, name)
            else:
                setattr(owner, name, original)


@dataclass(frozen=True)
class Received:
    """One request as the other side got it."""

    path: str
    headers: dict[str, str]
    body: bytes


class _Provider(BaseHTTPRequestHandler):
    """Keeps what it receives, as any provider can, and answers like one."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(Received(self.path, dict(self.headers), body))
        answer = {"choices": [{"message": {"role": "assistant", "content": ANSWER}}]}
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        """No line on the page for each request."""


@contextmanager
def provider() -> Iterator[HTTPServer]:
    """A stand-in for an API, on this machine only (127.0.0.1, a free port): `.received` holds what clients sent."""
    server = HTTPServer(("127.0.0.1", 0), _Provider)
    server.received = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(port: int, messages: list[dict]) -> str:
    """Send a chat as clients of OpenAI-compatible APIs do: the whole conversation, as JSON. Returns the answer."""
    body = json.dumps({"model": "some-model", "messages": messages}, ensure_ascii=False).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        head = {"Content-Type": "application/json", "Authorization": "Bearer key-of-the-team"}
        connection.request("POST", "/v1/chat/completions", body, head)
        return json.loads(connection.getresponse().read())["choices"][0]["message"]["content"]
    finally:
        connection.close()


def talk(port: int, questions=QUESTIONS) -> list[dict]:
    """Ask one question after the other in one chat; returns its messages."""
    messages: list[dict] = []
    for question in questions:
        messages.append({"role": "user", "content": question})
        messages.append({"role": "assistant", "content": ask(port, messages)})
    return messages


# Freedom: what stays.


def sha256(file: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def sha256_with_a_bit_flipped(file: str | Path) -> str:
    """The SHA-256 that the file would have with its last bit the other way; the file stays as it is."""
    data = bytearray(Path(file).read_bytes())
    data[-1] ^= 1
    return hashlib.sha256(data).hexdigest()


def greedy(model, tokenizer, text: str, new: int = 24) -> str:
    """What the model writes after `text` when it always takes the best token."""
    ids = tokenizer(text, return_tensors="pt").input_ids.to(model.device)  # (B, L)
    made = model.generate(ids, attention_mask=ids.new_ones(ids.shape), max_new_tokens=new, do_sample=False)
    return tokenizer.decode(made[0, ids.shape[1] :])


# Tokens: in, out, and sent again.


@dataclass(frozen=True)
class Billed:
    """Tokens of a conversation as an API counts them: `input` of all requests, the part of it that is `resent` history,
    and `output`."""

    input: int
    resent: int
    output: int

    @property
    def ratio(self) -> float:
        """Input tokens for each output token."""
        return self.input / self.output


def billed(tokenizer, turns) -> Billed:
    """Count a conversation of (prompt, answer) turns. Every request carries all that was said before it, since an API
    keeps nothing between requests."""
    history = sent = resent = output = 0
    for prompt, answer in turns:
        question, reply = (len(tokenizer(t, add_special_tokens=False).input_ids) for t in (prompt, answer))
        sent, resent, output = sent + history + question, resent + history, output + reply
        history += question + reply
    return Billed(sent, resent, output)


# Speed of this machine.


def speeds(model, prompt: int = 128, batch: int = 8, steps: int = 14, rounds: int = 3) -> dict[str, float]:
    """Tokens a second of `model` on its device: reading a prompt, and writing one text or `batch` texts at once on top of
    a prompt of that length. The three take turns, and the best sample counts: other programs can only slow one down."""
    from .gpu_hardware import decode, prefill

    ways = {
        "reading": lambda: prefill(model, prompt, rounds=5),
        "writing": lambda: decode(model, 1, prompt, steps),
        f"writing_{batch}_texts": lambda: decode(model, batch, prompt, steps),
    }
    best = dict.fromkeys(ways, 0.0)
    for _ in range(rounds):
        for name, way in ways.items():
            best[name] = max(best[name], way().tokens_per_s)
    return best


def summary(speed: Mapping[str, float], tokenizer, watts: float, usd_per_kwh: float) -> dict[str, float]:
    """The metrics of the record l01_costs: `speeds`, what electricity makes a million written tokens cost, and the ratio
    of input to output of each task."""
    eight = next(name for name in speed if name.endswith("_texts"))
    found = {f"tokens_a_second_{name}": rate for name, rate in speed.items()}
    found["reading_over_writing"] = speed["reading"] / speed["writing"]
    found["eight_texts_over_one"] = speed[eight] / speed["writing"]
    found["electricity_of_a_million_written"] = cost.electricity_per_million(watts, usd_per_kwh, speed["writing"])
    ratios = {task: billed(tokenizer, turns).ratio for task, turns in TASKS.items()}
    return found | {f"ratio_to_{re.sub('[^a-z]+', '_', task)}": ratio for task, ratio in ratios.items()}


# Money.


def team_bill(groups, prices: Mapping, days: float) -> tuple[float, float]:
    """(USD a month, USD per million tokens) of a team: exercise 1."""
    usd = tokens = 0
    for g in groups:
        price = prices[g["model"]]
        cached = g["input_tokens"] * g["cached_share"]
        each = (g["input_tokens"] - cached) * price["input"] + cached * price["cached_input"]
        usd += g["people"] * days * (each + g["output_tokens"] * price["output"]) / 1e6
        tokens += g["people"] * days * (g["input_tokens"] + g["output_tokens"])
    return usd, usd / tokens * 1e6


def own_month(node: Mapping, tokens_per_day: float) -> tuple[int, float]:
    """(whole nodes, USD a month) of serving `tokens_per_day` on own machines: exercise 2."""
    capacity = node["tokens_per_s"] * node["hours_per_day"] * 3600
    nodes = max(1, ceil(tokens_per_day / capacity))
    power = cost.electricity(node["watts"], node["usd_per_kwh"], days=MONTH, pue=node["pue"]).total
    parts = cost.hosting(
        node["price_usd"], node["months"], colocation_usd_month=node["site_usd_month"], electricity_usd_month=power,
        people_usd_month=node["people_usd_month"], nodes=nodes,
    )  # fmt: skip
    return nodes, parts.total


def crossover(node: Mapping, usd_per_million: float) -> float | None:
    """Tokens a day from which one node is cheaper than an API, or None when it never is or cannot serve so many:
    exercise 3."""
    saved = usd_per_million - node["own_usd_per_million"]
    if saved <= 0:
        return None
    tokens = node["fixed_usd_month"] / saved * 1e6 / MONTH
    return tokens if tokens <= node["tokens_per_s"] * node["hours_per_day"] * 3600 else None


def flips(decide: Callable, inputs: Mapping, change: float) -> list[str]:
    """Names of the inputs that, changed alone by the share `change` up or down, turn the decision: exercise 4."""
    base = decide(inputs)
    return [
        name
        for name, value in inputs.items()
        if any(decide({**inputs, name: value * factor}) != base for factor in (1 + change, 1 - change))
    ]


def cheaper(i: Mapping) -> str:
    """ "own" or "API": which costs less a month. `i` has people, tokens_per_person_day, usd_per_million, fixed_usd_month
    and own_usd_per_million."""
    tokens = MONTH * i["people"] * i["tokens_per_person_day"]
    saved = tokens * (i["usd_per_million"] - i["own_usd_per_million"]) / 1e6
    return "own" if i["fixed_usd_month"] < saved else "API"


def bill(i: Mapping) -> float:
    """USD a month of a team: people, tokens_per_person_day, ratio, price (input, output), days."""
    blend = cost.blend(*i["price"], i["ratio"])
    return cost.monthly(i["people"] * i["tokens_per_person_day"], blend, i["days"])


def swings(base: Mapping, ranges: Mapping[str, tuple]) -> list[tuple[str, float, float]]:
    """(input, lowest bill, highest bill) for each input moved alone over its range, the widest first."""
    found = []
    for name, ends in ranges.items():
        bills = [bill({**base, name: end}) for end in ends]
        found.append((name, min(bills), max(bills)))
    return sorted(found, key=lambda row: row[2] / row[1], reverse=True)
