"""A simulated day: seeded requests, a plan that is executed against engines, and what became of each request.

Nothing of the plan is believed: engines are made from their models, its calls go to the engines' routes, and its promises
are compared with what happened."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from ..labs.deployment_plan import HOUR
from .sleep_engine import Failure, NoAnswer, Request
from .sleep_node import Node, complete

PATIENCE = 300.0  # seconds that a client waits for an answer to begin
BURSTS = 5  # times in a slot when all users send at once
CLOSE = 0.02  # an estimate is right when it is within this share, or 0.05 s
VARIANTS = ("plain", "urgent", "conversation", "restart")


@dataclass
class Happening:
    """Something that the day brings: an urgent request, or an engine that dies."""

    at: float
    kind: str
    workload: str
    request: Request | None = None


@dataclass
class Switch:
    """One executed sequence: what it was for, seconds it took (running answers aside), what was promised, its steps."""

    name: str
    at: float
    seconds: float = 0.0
    waited: float = 0.0
    estimate: float | None = None
    steps: list = field(default_factory=list)  # (step, status, seconds)
    repaired: bool = False


@dataclass
class Result:
    """What a day brought. `broke` names the step at which the plan ended, "" when it held."""

    plan: dict
    node: Node | None
    requests: list[Request]
    switches: list[Switch] = field(default_factory=list)
    promised: list[tuple[str, str, str, str]] = field(default_factory=list)  # workload, engine, said, was
    broke: str = ""

    def refused(self) -> list[Request]:
        """Requests that got no right answer."""
        return [r for r in self.requests if r.refused]

    def delayed(self, limits: dict) -> list[Request]:
        """Requests whose answer began after the limit of their workload."""
        return [r for r in self.requests if not r.refused and r.began - r.at > _limit(r, limits)]


def requests(workloads: list[dict], seed: int, variant: str = "plain") -> tuple[list[Request], list[Happening]]:
    """The day's requests in order of time, and what else happens. Different seeds give different days, equal ones equal.

    Variants: "urgent" (a request for a later workload in the middle of an earlier slot), "conversation" (a long answer
    runs when a slot ends), "restart" (a process dies in its sleep)."""
    if variant not in VARIANTS:
        raise ValueError(f"The variant is {variant!r}, but must be one of {', '.join(VARIANTS)}.")
    rng = random.Random(f"day/{seed}/{variant}")
    made, happenings = [], []
    for number, work in enumerate(workloads):
        made += _slot(work, rng, quiet_start=number > 0 and variant in ("conversation", "restart"))
    first, *later = workloads
    if variant == "urgent":
        about = rng.choice(later)
        at = first["start_s"] + (first["end_s"] - first["start_s"]) * 0.5 + rng.uniform(300, 420)
        asked = Request(at, about["name"], about["context"] // 4, 200, "urgent")
        happenings.append(Happening(at, "urgent", about["name"], asked))
        made.append(asked)
    elif variant == "conversation":
        for work in workloads[:-1]:
            answer = min(3000, work["context"] // 4)
            made.append(
                Request(work["end_s"] - rng.uniform(8, 12), work["name"], work["context"] // 8, answer, "conversation")
            )
    elif variant == "restart":
        number = rng.randrange(1, len(workloads))
        before, about = workloads[number - 1 : number + 1]
        happenings.append(Happening((before["start_s"] + before["end_s"]) / 2, "restart", about["name"]))
    return sorted(made, key=lambda r: r.at), sorted(happenings, key=lambda h: h.at)


def _slot(work: dict, rng: random.Random, quiet_start: bool) -> list[Request]:
    length, made = work["end_s"] - work["start_s"], []
    for burst in range(BURSTS):
        early = rng.uniform(300, 400) if quiet_start else rng.uniform(20, 40)
        begins = work["start_s"] + (early if burst == 0 else burst * length / (BURSTS + 0.5) + rng.uniform(-60, 60))
        for user in range(work["users"]):
            answer = rng.randint(100, 600)
            prompt = round(work["context"] * rng.uniform(0.1, 0.6))
            if burst == 1 and user == 0:
                prompt = work["context"] - answer  # one request needs the whole context
            made.append(Request(begins + rng.uniform(0, 2), work["name"], prompt, answer))
    return made


def run(plan: dict, server: dict, workloads: list[dict], models: dict, seed: int, variant: str = "plain") -> Result:
    """Execute a plan on a day. ValueError in one sentence when it is no plan."""
    return _Run(plan, server, workloads, models, *requests(workloads, seed, variant)).result()


class _Run:
    def __init__(self, plan, server, workloads, models, asked, happenings):
        self.node = Node(server)
        self.plan, self.workloads, self.happenings = plan, workloads, happenings
        for name, spec in _field(plan, "engines", dict, "{name: engine}").items():
            self.node.add(name, complete(spec, models))
        self.serves = self._slots(_field(plan, "slots", (list, tuple), "a list of slots"))
        self.waiting = list(asked)
        self.done = Result(plan, self.node, asked)
        self.allowed = {w["name"]: [tuple(wish) for wish in w["wishes"]] for w in workloads}
        self.dead: set[str] = set()

    def _slots(self, slots) -> dict[str, str]:
        serves, self.residency = {}, {}
        for slot in slots:
            name, engine = (slot.get(k) if isinstance(slot, dict) else None for k in ("workload", "engine"))
            if name not in [w["name"] for w in self.workloads] or engine not in self.node.engines:
                raise ValueError(f"The slot {slot!r} must name a workload and an engine of the plan.")
            said = slot.get("residency") or {}
            if not isinstance(said, dict):
                raise ValueError(f"residency is {said!r}, but must be {{engine: state}}.")
            serves[name], self.residency[name] = engine, said
        missing = [w["name"] for w in self.workloads if w["name"] not in serves]
        if missing:
            raise ValueError(f"The plan has no slot for {', '.join(missing)}.")
        return serves

    def result(self) -> Result:
        """Go through the day: changes and happenings in order of time, requests between them."""
        todo = [(s["at_s"], 1, "switch", s) for s in self._switches()]
        todo += [(h.at, 0, h.kind, h) for h in self.happenings]
        todo += [(w["start_s"] + 15, 2, "promise", w) for w in self.workloads]
        for at, _, kind, what in sorted(todo, key=lambda t: t[:2]):
            if self.done.broke:
                break
            now = max(at, self.node.clock)
            self._deliver(now)
            getattr(self, f"_{kind}")(what, now)
        self._deliver(float("inf"))
        for engine in self.node.engines.values():
            engine.hang_up("no answer: its engine was never woken")
        for request in self.done.requests:
            if not request.refused and request.began is None:
                request.refused = "no answer: the plan had ended"
            elif not request.refused and request.began - request.at > PATIENCE:
                request.refused = f"no answer within {PATIENCE:.0f} s: its engine slept"
        return self.done

    def _switches(self) -> list[dict]:
        found = _field(self.plan, "switches", (list, tuple), "a list of switches")
        for one in found:
            if (
                not isinstance(one, dict)
                or not _number(one.get("at_s"))
                or not isinstance(one.get("steps"), (list, tuple))
            ):
                form = "{'at_s': seconds, 'steps': [...], 'estimate_s': seconds}"
                raise ValueError(f"A switch is {form}, not {repr(one)[:200]}.")
            if not 0 <= one["at_s"] < 24 * HOUR:
                raise ValueError(f"at_s is {one['at_s']!r}, but a day has the seconds 0 to 86,399.")
        return list(found)

    def _deliver(self, until: float) -> None:
        while self.waiting and self.waiting[0].at <= until:
            request = self.waiting.pop(0)
            if request.kind == "urgent" and until != float("inf"):
                continue  # its happening brings it
            self._send(request)

    def _send(self, request: Request) -> None:
        engine = self.node.engines[self.serves[request.workload]]
        request.engine = engine.name
        if (engine.spec["model"], engine.spec["bits"]) not in self.allowed[request.workload]:
            request.refused = f"{engine.spec['model']} in {engine.spec['bits']} bits is none of its wishes"
        elif self.done.broke:
            request.refused = "no answer: the plan had ended"
        else:
            engine.admit(request)

    def _switch(self, what: dict, now: float) -> None:
        made = Switch(f"the switch at {clock(what['at_s'])}", now, estimate=what.get("estimate_s"))
        self._steps(made, what["steps"], now)

    def _urgent(self, what: Happening, now: float) -> None:
        """Switch to the urgent request's engine as the plan says, send it, and switch back."""
        ways = self.plan.get("fallbacks") or {}
        here = self._slot_at(what.at)
        way = ((ways.get("urgent") or {}).get(here) or {}).get(what.workload) or {}
        self._steps(Switch(f"the urgent request at {clock(what.at)}, there", now), way.get("there") or [], now)
        self._send(what.request)
        now = self.node.clock
        self._steps(Switch(f"the urgent request at {clock(what.at)}, back", now), way.get("back") or [], now)

    def _slot_at(self, at: float) -> str:
        return next(w["name"] for w in reversed(self.workloads) if w["start_s"] <= at)

    def _restart(self, what: Happening, now: float) -> None:
        engine = self.node.engines[self.serves[what.workload]]
        if not engine.up:
            return
        self.node.clock, served = now, engine.state == "awake"
        engine.die(now)
        self.dead.add(engine.name)
        if served:  # whoever watches over the processes sees it at once
            self._steps(Switch(f"the restart at {clock(now)}", now), [(engine.name, "start")], now)

    def _promise(self, work: dict, now: float) -> None:
        said = self.residency[work["name"]]
        for name in [*self.node.engines, *(n for n in said if n not in self.node.engines)]:
            was = self.node.engines[name].state if name in self.node.engines else "not in the plan"
            self.done.promised.append((work["name"], name, said.get(name), was))

    def _steps(self, made: Switch, steps, now: float) -> None:
        """Do steps one after the other; the first that fails ends the plan, unless it has a restart for a dead process."""
        steps, skip = list(steps), set()
        if steps:
            self.done.switches.append(made)
        for number, step in enumerate(steps, 1):
            if self.done.broke:
                return
            if step and isinstance(step, (list, tuple)) and step[0] in skip:
                continue
            self._deliver(now)
            name = step[0] if isinstance(step, (list, tuple)) and step else None
            rescue = ((self.plan.get("fallbacks") or {}).get("restart") or {}).get(name)
            if name in self.dead and rescue:
                skip.add(name)
                self.dead.discard(name)
                made.repaired = True
                for again in rescue:
                    now = self._one(made, number, len(steps), again, now)
            else:
                now = self._one(made, number, len(steps), step, now)

    def _one(self, made: Switch, number: int, count: int, step, now: float) -> float:
        before, waited = now, self.node.waited
        where = f"{made.name}, step {number} of {count}, {step!r}"
        try:
            status, said = self.node.step(step, now)
        except (Failure, NoAnswer) as error:
            self.done.broke = f"{where}: {error}"
            return now
        except ValueError as error:
            raise ValueError(f"{made.name}, step {number} of {count}: {error}") from None
        made.steps.append((step, status, self.node.clock - before))
        made.waited += self.node.waited - waited
        made.seconds += self.node.clock - before - (self.node.waited - waited)
        if status >= 400:
            self.done.broke = f"{where}: {status}. {explain(step, status, said, self.node.engines[step[0]].spec)}"
        return self.node.clock


def explain(step, status: int, said: str, spec: dict) -> str:
    """Why a call fails, in the words of a teacher; `said` is the body of the answer."""
    _, method, target, body = step
    path = target.partition("?")[0]
    if status == 404 and path.startswith("/v1/") and path[3:] in ("/sleep", "/wake", "/wake_up", "/is_sleeping"):
        right = {"/sleep": "POST /sleep?level=1", "/wake": "POST /wake_up"}.get(path[3:], path[3:])
        return f"vLLM has no route {path}: sleep routes stand at the root, and the level is in the query: {right}"
    if status == 404 and path in ("/sleep", "/wake_up", "/is_sleeping", "/collective_rpc") and not spec["sleep_mode"]:
        return f"{path} exists in development mode only: start with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode"
    if status == 404:
        return f"vLLM has no route {path}"
    if status == 405:
        return f"{path} does not take {method}"
    if status == 400 and path == "/collective_rpc":
        return 'it needs the JSON body {"method": "reload_weights"}'
    return said.partition('"message": "')[2].partition('", "')[0] or said


def clock(seconds: float) -> str:
    """Seconds of the day as 08:00 or 08:00:05."""
    whole = round(seconds)
    text = f"{whole // HOUR:02d}:{whole // 60 % 60:02d}"
    return text if whole % 60 == 0 else f"{text}:{whole % 60:02d}"


def _limit(request: Request, limits: dict) -> float:
    return limits["urgent"] if request.kind == "urgent" else limits[request.workload]


def _field(plan, name: str, kinds, words: str):
    if not isinstance(plan, dict) or not isinstance(plan.get(name), kinds):
        got = type(plan).__name__ if not isinstance(plan, dict) else f"a dict whose {name!r} is {plan.get(name)!r:.60}"
        raise ValueError(f"A plan is a dict with {name!r}, {words}; this is {got}.")
    return plan[name]


def _number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
