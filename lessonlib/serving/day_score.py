"""What a plan is worth on a day, by stated weights, and what its electricity costs.

score = requests x (60 + 15 wishes + 15 promises + 10 electricity), at most 100:

- requests: share of the requests served; one whose answer begins too late counts half. An urgent request and a long
  conversation weigh as much as ten others
- wishes: for each slot 1 for the best (model, bits) that fits on the server, 0.4 less for each wish below it
- promises: estimates of switches within 2 % (or 0.05 s), and engines in the states that the slots name
- electricity: 1 up to 1.15 times what the reference plan uses, falling to 0 at twice"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..labs import deployment_plan as task
from .day import CLOSE, Result, run

WEIGHTS = {"wishes": 15, "promises": 15, "electricity": 10}
BASE = 60
URGENT_LIMIT = 5.0  # seconds
DAY_S = 86_400
HEAVY = 10  # weight of an urgent request or a conversation


@dataclass
class Score:
    """Points of 100, the shares that make them, and in sentences what was lost."""

    points: float
    shares: dict[str, float]
    losses: list[str] = field(default_factory=list)


def judge(result: Result, server: dict, workloads: list[dict], models: dict, reference_usd: float) -> Score:
    """The score of an executed plan."""
    losses = [result.broke] if result.broke else []
    shares = {
        "requests": _requests(result, workloads, losses),
        "wishes": _wishes(result, server, workloads, models, losses),
        "promises": _promises(result, losses),
        "electricity": _electricity(result, reference_usd, losses),
    }
    soft = sum(weight * shares[name] for name, weight in WEIGHTS.items())
    return Score(shares["requests"] * (BASE + soft), shares, losses)


def reference_usd(server: dict, workloads: list[dict], models: dict, seed: int, variant: str) -> float:
    """USD that the reference plan's electricity costs on this day."""
    plan = task.reference_plan(server, workloads, models)
    return electricity(run(plan, server, workloads, models, seed, variant))["usd"]


def electricity(result: Result) -> dict[str, float]:
    """{"kwh", "usd", "busy_s"} of the day: cards at board power while they compute, else idle, and the rest of the machine."""
    server = result.node.server
    busy = [0.0] * server["gpus"]
    for card in range(server["gpus"]):
        spans = sorted(
            (r.began, r.ended)
            for r in result.requests
            if r.began is not None and card in result.node.engines[r.engine].spec["gpus"]
        )
        busy[card] = _covered(spans)
    joules = sum(b * server["board_w"] + (DAY_S - b) * server["idle_w"] for b in busy) + DAY_S * server["rest_w"]
    return {"kwh": joules / 3.6e6, "usd": joules / 3.6e6 * server["usd_kwh"], "busy_s": sum(busy)}


def limits(workloads: list[dict]) -> dict[str, float]:
    """{workload: longest wait}, with that of urgent requests."""
    return {**{w["name"]: w["limit_s"] for w in workloads}, "urgent": URGENT_LIMIT}


def _limit(request, workloads: list[dict]) -> float:
    return limits(workloads)["urgent" if request.kind == "urgent" else request.workload]


def _covered(spans) -> float:
    total, reach = 0.0, 0.0
    for begin, end in spans:
        total += max(0.0, end - max(begin, reach))
        reach = max(reach, end)
    return total


def _requests(result: Result, workloads: list[dict], losses: list[str]) -> float:
    refused, late = result.refused(), result.delayed(limits(workloads))
    for kind, some in (("got no right answer", refused), ("waited too long", late)):
        if some:
            first = max(some, key=lambda r: bool(r.kind))
            why = first.refused or f"{first.began - first.at:.1f} s, limit {_limit(first, workloads):g} s"
            about = f"{first.kind or 'a'} request for {first.workload}"
            losses.append(f"{len(some)} of {len(result.requests)} requests {kind}; one, {about}: {why}")
    return 1 - (_weight(refused) + _weight(late) / 2) / _weight(result.requests)


def _weight(requests) -> int:
    return sum(HEAVY if r.kind else 1 for r in requests)


def _wishes(result: Result, server: dict, workloads: list[dict], models: dict, losses: list[str]) -> float:
    serves = {s["workload"]: s["engine"] for s in result.plan["slots"]}
    total = 0.0
    for work in workloads:
        spec = result.node.engines[serves[work["name"]]].spec
        got, wishes = [spec["model"], spec["bits"]], [list(wish) for wish in work["wishes"]]
        best, _ = task.best_engine(server, work, models, len(workloads) - 1)
        place = wishes.index(got) if got in wishes else None
        worth = 0.0 if place is None else max(0.0, 1 - 0.4 * max(0, place - best))
        if worth < 1:
            name, bits = wishes[best]
            losses.append(f"{work['name']}: {got[0]} in {got[1]} bits, but {name} in {bits} bits is preferred and fits")
        total += worth
    return total / len(workloads)


def _promises(result: Result, losses: list[str]) -> float:
    planned = [s for s in result.switches[1:] if s.name.startswith("the switch") and not s.repaired]
    kept = []
    for made in planned:
        said = made.estimate
        right = isinstance(said, (int, float)) and abs(said - made.seconds) <= max(0.05, CLOSE * made.seconds)
        kept.append(right)
        if not right:
            shown = f"{said:.2f} s" if isinstance(said, (int, float)) else repr(said)
            losses.append(f"{made.name}: estimate {shown}, it took {made.seconds:.2f} s")
    for work, engine, said, was in result.promised:
        kept.append(said == was)
        if said != was:
            losses.append(f"slot {work}: {engine} should be {said!r}, but is {was!r}")
    return sum(kept) / len(kept) if kept else 0.0


def _electricity(result: Result, reference: float, losses: list[str]) -> float:
    ratio = electricity(result)["usd"] / reference
    worth = min(1.0, max(0.0, (2 - ratio) / 0.85))
    if worth < 1:
        losses.append(f"electricity costs {ratio:.2f} times what the reference plan needs")
    return worth
