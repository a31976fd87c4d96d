"""One server with its engines: GPU memory and host RAM accounted to the byte, a clock in simulated seconds.

A change that would not fit raises Failure and leaves everything as it was. (A real process dies in some of these cases; the
plan that led there is as wrong.)"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from ..calc.memory import card_bytes
from ..labs import deployment_plan as task
from .sleep_engine import Engine, Failure

FIRST_PORT = 8001
FIELDS = ("model", "bits", "gpus", "context", "sequences", "sleep_mode")


@dataclass
class Node:
    """A server (a dict as in labs.deployment_plan) and its engines by name.

    `clock` is the time in seconds; `history` has (time, bytes of each GPU, bytes of RAM) after each change; `waited` is
    the part of the time spent that was waiting for running answers."""

    server: dict
    engines: dict[str, Engine] = field(default_factory=dict)
    clock: float = 0.0
    history: list = field(default_factory=list)
    waited: float = 0.0

    def add(self, name: str, spec: dict, **kwargs) -> Engine:
        """An engine, not started yet. `spec` is complete: with sizes, window and parameters of its model."""
        made = Engine(name, spec, self, port=FIRST_PORT + len(self.engines), **kwargs)
        self.engines[name] = made
        return made

    def gpu_bytes(self) -> list[float]:
        """Bytes in use on each GPU."""
        used = [0.0] * self.server["gpus"]
        for engine in self.engines.values():
            for card in engine.spec["gpus"] if engine.up else ():
                used[card] += engine.gpu_bytes()
        return used

    def ram_bytes(self) -> float:
        """Bytes of host RAM that sleeping weights take."""
        return sum(engine.ram_bytes() for engine in self.engines.values())

    def states(self) -> dict[str, str]:
        """{engine: state}."""
        return {name: engine.state for name, engine in self.engines.items()}

    def change(self, engine: Engine, **fields) -> None:
        """Set fields of an engine; Failure, and no change, when memory does not suffice afterwards."""
        before = {name: getattr(engine, name) for name in fields}
        for name, value in fields.items():
            setattr(engine, name, value)
        problem = self._problem()
        if problem:
            for name, value in before.items():
                setattr(engine, name, value)
            raise Failure(problem)
        self.history.append((self.clock, self.gpu_bytes(), self.ram_bytes()))

    def _problem(self) -> str | None:
        card, ram = card_bytes(self.server["vram_gib"]), card_bytes(self.server["ram_gib"])
        for number, used in enumerate(self.gpu_bytes()):
            if used > card:
                return f"out of memory: GPU {number} would hold {used / 1e9:.1f} GB of {card / 1e9:.1f} GB"
        if self.ram_bytes() > ram:
            return f"out of memory: sleeping weights would take {self.ram_bytes() / 1e9:.1f} GB of {ram / 1e9:.1f} GB of RAM"
        return None

    def spend(self, seconds: float) -> None:
        """Let the clock go on."""
        self.clock += seconds

    def drained(self, seconds: float) -> float:
        """Note seconds that only running answers took."""
        self.waited += seconds
        return seconds

    def step(self, step, now: float):
        """Do one step of a plan at `now`: (engine, "start"), (engine, "stop"), or (engine, method, target, body), where the
        target is a path with its query. Returns (status, text of the body); status 0 for a process step. The clock goes
        on. Failure or NoAnswer when it cannot be done; ValueError when it is no step."""
        self.clock = now
        engine, *rest = _parts(step, self.engines)
        if rest in (["start"], ["stop"]):
            self.spend(getattr(engine, rest[0])(now))
            return 0, ""
        method, target, body = rest
        path, _, query = target.partition("?")
        reply = engine.handle(method, path, query, encoded(body))
        return reply.status, reply.read().decode()


def complete(spec: dict, models: dict) -> dict:
    """An engine of a plan with everything that follows from its model: sizes are computed, never taken from the plan.
    ValueError in one sentence when a field is missing or no such model or precision is offered."""
    if not isinstance(spec, dict):
        raise ValueError(f"An engine is a dict, not {type(spec).__name__}.")
    missing = [name for name in FIELDS if name not in spec]
    if missing:
        raise ValueError(f"An engine lacks {', '.join(missing)}: it has {', '.join(FIELDS)}.")
    if spec["model"] not in models:
        raise ValueError(f"The model {spec['model']!r} is not offered; there are {', '.join(models)}.")
    one = models[spec["model"]]
    if spec["bits"] not in one["weights_gb"]:
        raise ValueError(
            f"{spec['model']} is offered in {', '.join(map(str, one['weights_gb']))} bits, not {spec['bits']!r}."
        )
    for name in ("context", "sequences"):
        if type(spec[name]) is not int or spec[name] < 1:
            raise ValueError(f"{name} is {spec[name]!r}, but must be a whole number above 0.")
    gpus = spec["gpus"]
    if (
        not isinstance(gpus, (list, tuple))
        or not gpus
        or len(set(gpus)) < len(gpus)
        or any(type(g) is not int for g in gpus)
    ):
        raise ValueError(f"gpus is {gpus!r}, but must list different GPUs by number, like [0, 1].")
    made = task.engine(models, spec["model"], spec["bits"], list(gpus), spec["context"], spec["sequences"])
    return {
        **made,
        **{k: one[k] for k in ("window", "active_share", "parameters")},
        "sleep_mode": bool(spec["sleep_mode"]),
    }


def encoded(body) -> bytes:
    """A body as bytes: a dict or list as JSON."""
    return body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()


def _parts(step, engines: dict) -> list:
    words = "a step is (engine, 'start'), (engine, 'stop') or (engine, method, target, body)"
    if not isinstance(step, (list, tuple)) or len(step) not in (2, 4):
        raise ValueError(f"{step!r}: {words}")
    name, *rest = step
    if not isinstance(name, str) or name not in engines:
        raise ValueError(f"{step!r}: the plan has no engine {name!r}; it has {', '.join(engines)}")
    if len(rest) == 1 and rest[0] not in ("start", "stop"):
        raise ValueError(f"{step!r}: {words}")
    if len(rest) == 3:
        method, target, body = rest
        if not isinstance(method, str) or not isinstance(target, str) or not target.startswith("/"):
            raise ValueError(f"{step!r}: the method is a word like 'POST', the target begins with /")
        if body is not None and not isinstance(body, (dict, bytes)):
            raise ValueError(f"{step!r}: the body is None or a dict that is sent as JSON")
    return [engines[name], *rest]
