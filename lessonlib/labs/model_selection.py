"""The capstone task model_selection: its rules as code. Hard constraints, a stated utility, and the verdict on a choice.

A choice is a model, a precision (one of the model's files) and a context: the tokens that every user's sequence may hold.
It counts only when it breaks no constraint; among those that do not, the utility decides, and what comes within MARGIN of
the best is as good as the best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .choosing_a_model import decide
from .model_selection_catalog import lesson_scenarios, model_of, room_bytes, scenario

OVERHEAD = 1_500_000_000  # bytes on every card: buffers and the CUDA context
CONSTRAINTS = ("memory", "context", "licence", "evidence", "latency")
QUARTERS = (4, 5, 6, 7, 8)  # contexts that are compared: the tokens needed times 1, 1.25, 1.5, 1.75 and 2
MARGIN = 0.95  # a utility of this share of the best earns full points


@dataclass(frozen=True)
class Choice:
    """What `choose` returns. `model`, `precision` and `context` are None when nothing fits; `reasons` maps the name of
    every rejected model to the constraints that it breaks."""

    model: str | None
    precision: str | None
    context: int | None
    reasons: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Slip:
    """A common mistake on a candidate whose verdict it turns around: what breaks by right, and with the slip."""

    name: str
    model: str
    where: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Verdict:
    """What a choice is worth: `score` from 0 to 1, and in `problems` what keeps it from 1, with numbers."""

    score: float
    problems: tuple[str, ...] = ()


def need(model: Mapping, scenario: Mapping) -> int:
    """Tokens that one request lays into the window: prompt, what the model thinks before it answers, answer."""
    return scenario["prompt_tokens"] + model["thinking_tokens"] + scenario["answer_tokens"]


def cache_bytes(model: Mapping, tokens: int) -> int:
    """Bytes that one sequence of `tokens` tokens keeps: full layers grow with every token, window layers up to their
    window, recurrent states not at all."""
    window = model["window_bytes_per_token"] * min(tokens, model["window_tokens"])
    return model["cache_bytes_per_token"] * tokens + window + model["state_bytes"]


def memory_bytes(model: Mapping, precision: str, users: int, context: int, cards: int) -> int:
    """Bytes on all cards together: one copy of the weights, a cache for every user, the overhead of every card."""
    return model["files"][precision]["bytes"] + users * cache_bytes(model, context) + cards * OVERHEAD


def step_bytes(model: Mapping, precision: str, scenario: Mapping) -> float:
    """Bytes that one decode step reads: weights and the caches of all users, at the end of their answers.

    A router sends each user's token to a few experts; an expert stays unread when none of them picks it, which happens
    with the share idle_share ** users when routers pick evenly (as in `throughput.expected_experts`)."""
    file, users = model["files"][precision], scenario["users"]
    unread = file["expert_bytes"] * model["idle_share"] ** users
    return file["bytes"] - unread + users * cache_bytes(model, need(model, scenario))


def first_token_s(model: Mapping, scenario: Mapping) -> float:
    """Seconds to read one prompt: the work for each of its P tokens, and for the P x P / 2 pairs that attention looks at.

    Attention within a window and in recurrent layers is small beside the rest and left out."""
    prompt = scenario["prompt_tokens"]
    work = model["flops_per_token"] * prompt + model["flops_per_pair"] * prompt * prompt / 2
    return work / scenario["flops_per_s"]


def latency_s(model: Mapping, precision: str, scenario: Mapping) -> float:
    """Seconds until one user's answer is complete, while `users` decode together: the prompt is read, then every token
    of thinking and answer takes one step. Links between cards and waiting in a queue are not counted."""
    steps = model["thinking_tokens"] + scenario["answer_tokens"]
    step = step_bytes(model, precision, scenario) / scenario["bytes_per_s"]
    return first_token_s(model, scenario) + steps * step


def explain(model: Mapping, precision: str, context: int, scenario: Mapping) -> dict[str, str]:
    """The constraints that a candidate breaks, in the order of CONSTRAINTS, each with the numbers that show it."""
    found = {}
    total, room = memory_bytes(model, precision, scenario["users"], context, scenario["cards"]), room_bytes(scenario)
    if total > room:
        more = f"{total - room:,} byte{'s' if total - room > 1 else ''} too many"
        close = f" ({more})" if total - room < 10**7 else ""
        found["memory"] = f"{total / 1e9:,.2f} GB needed, {room / 1e9:,.2f} GB there{close}"
    tokens, native = need(model, scenario), model["native_context"]
    if context < tokens:
        found["context"] = f"{context:,} tokens reserved, {tokens:,} needed"
    elif context > native:
        found["context"] = f"{context:,} tokens reserved, {native:,} in the native window"
    answer, duties = decide(model["licence"], scenario["use"])
    unwanted = [duty for duty in duties if duty in scenario["refuses"]]
    if answer != "yes" or unwanted:
        what = (
            f"asks to {unwanted[0]}" if unwanted else "grants nothing" if answer == "no" else "needs a grant of its own"
        )
        found["licence"] = f"{model['licence']['name']} {what}"
    score = model["scores"].get(scenario["benchmark"])
    if score is None:
        found["evidence"] = f"no {scenario['benchmark']} score"
    elif score < scenario["at_least"]:
        found["evidence"] = f"{scenario['benchmark']} {score:g}, at least {scenario['at_least']:g} asked"
    seconds = latency_s(model, precision, scenario)
    if seconds > scenario["seconds"]:
        said = [f"{value:,.2f} s" for value in (seconds, scenario["seconds"])]
        close = " (a hair less)" if said[0] == said[1] else ""
        found["latency"] = f"{said[0]} for an answer, {said[1]} allowed{close}"
    return found


def broken(model: Mapping, precision: str, context: int, scenario: Mapping) -> list[str]:
    """Names of the constraints that a candidate breaks; empty when it breaks none."""
    return list(explain(model, precision, context, scenario))


def smallest(model: Mapping) -> str:
    """The precision with the fewest bytes. It breaks no constraint that a larger file keeps."""
    return min(model["files"], key=lambda precision: model["files"][precision]["bytes"])


def rejected(scenario: Mapping, models) -> dict[str, list[str]]:
    """What every rejected model breaks with its smallest file and the context it needs: name -> constraints."""
    found = {m["name"]: broken(m, smallest(m), need(m, scenario), scenario) for m in models}
    return {name: names for name, names in found.items() if names}


def parts(model: Mapping, precision: str, context: int, scenario: Mapping) -> dict[str, float]:
    """The parts of the utility, each from 0 to 1: quality (score less the precision's loss, as a share), speed (the share
    of the allowed time that is left over) and room (context beyond what is needed, 1 from twice the need)."""
    score = model["scores"][scenario["benchmark"]] - model["files"][precision]["loss"]
    return {
        "quality": score / 100,
        "speed": 1 - latency_s(model, precision, scenario) / scenario["seconds"],
        "room": min(1.0, context / need(model, scenario) - 1),
    }


def utility(model: Mapping, precision: str, context: int, scenario: Mapping) -> float:
    """The parts, weighted as the scenario says. For candidates that break no constraint."""
    found = parts(model, precision, context, scenario)
    return sum(weight * found[part] for part, weight in scenario["weights"].items())


def contexts(model: Mapping, scenario: Mapping) -> list[int]:
    """The contexts that are compared: 1, 1.25, 1.5, 1.75 and 2 times the need, whole tokens."""
    return [need(model, scenario) * quarters // 4 for quarters in QUARTERS]


def options(scenario: Mapping, models) -> list[tuple[float, str, str, int]]:
    """Every candidate that breaks no constraint: (utility, model, precision, context), best first."""
    found = [
        (utility(m, precision, context, scenario), m["name"], precision, context)
        for m in models
        for precision in m["files"]
        for context in contexts(m, scenario)
        if not broken(m, precision, context, scenario)
    ]
    return sorted(found, reverse=True)


def choose(scenario: Mapping, models) -> Choice:
    """The reference: the candidate of highest utility, and the reasons against every rejected model."""
    found, reasons = options(scenario, models), rejected(scenario, models)
    return Choice(*found[0][1:], reasons) if found else Choice(None, None, None, reasons)


def judge(model_name, precision, context, scenario: Mapping, models) -> Verdict:
    """What a choice earns: 0 with a reason when it breaks a constraint, or says "nothing fits" where something does; else
    its utility as a share of MARGIN times the best, at most 1."""
    best = options(scenario, models)
    if model_name is None:
        if not best:
            return Verdict(1.0)
        count = len({option[1] for option in best})
        return Verdict(0.0, (f"nothing was chosen, but {count} model{'s' if count > 1 else ''} would fit",))
    known = {m["name"]: m for m in models}
    if not isinstance(model_name, str) or model_name not in known:
        return Verdict(0.0, (f"{model_name!r} is not the name of a model of the catalog",))
    model = known[model_name]
    if precision not in model["files"]:
        return Verdict(0.0, (f"{model_name} has the files {', '.join(model['files'])}, not {precision!r}",))
    if isinstance(context, bool) or not isinstance(context, int) or context < 1:
        return Verdict(0.0, (f"context is {context!r}, but must be a whole number of tokens",))
    against = explain(model, precision, context, scenario)
    if against:
        return Verdict(0.0, tuple(f"{model_name} in {precision} breaks {what}: {why}" for what, why in against.items()))
    return _soft(model, precision, context, scenario, best)


def _soft(model, precision: str, context: int, scenario, best) -> Verdict:
    """The verdict on a choice that breaks nothing."""
    mine, top = utility(model, precision, context, scenario), best[0][0]
    score = min(1.0, mine / (MARGIN * top)) if top > 0 else 1.0
    if score >= 1:
        return Verdict(1.0)
    words = ", ".join(f"{part} {value:.2f}" for part, value in parts(model, precision, context, scenario).items())
    said = f"{model['name']} in {precision} with {context:,} tokens has a utility of {mine:.3f} ({words})"
    return Verdict(max(0.0, score), (f"{said}; {top:.3f} can be had",))


def candidate_rows(scenario: Mapping, models) -> list[list]:
    """One row a model for a table: smallest file and the context it needs, GB, seconds, and what speaks against it."""
    rows = []
    for m in models:
        precision, tokens = smallest(m), need(m, scenario)
        total = memory_bytes(m, precision, scenario["users"], tokens, scenario["cards"]) / 1e9
        against = explain(m, precision, tokens, scenario)
        seconds = round(latency_s(m, precision, scenario), 1)
        rows.append([m["name"], precision, tokens, round(total, 2), seconds, _said(against)])
    return sorted(rows, key=lambda row: row[-1] != "fits")


def slips() -> list[Slip]:
    """Eight slips, the first four figures of the source lesson (S12-013, S12-012, S12-020, S08-072), each on a 4-bit file."""
    refactoring, contracts, wiki = lesson_scenarios()
    small = scenario(
        "repository", "fix bugs in a repository", "rtx-4090", 2, users=1, prompt=24_576, answer=4_096,
        benchmark="SWE-bench Verified", at_least=50, seconds=60, use=refactoring["use"],
    )  # fmt: skip
    r1, coder, following, gemma, big = map(
        model_of,
        ("deepseek-r1-distill-qwen-32b", "qwen2.5-coder-32b", "qwen3-coder-next", "gemma-3-27b", "gpt-oss-120b"),
    )  # fmt: skip
    one = {**refactoring, "cards": 1, "vram_gib": 24, "task": "refactoring on one card of 24 GiB"}
    longer = {**refactoring, "prompt_tokens": 57_344, "task": "refactoring a file of 5,000 lines"}
    hurried = {**contracts, "seconds": 120, "task": "contracts within 120 s"}
    quarter = coder["files"]["16-bit"]["bytes"] // 4
    cases = [
        ("a window of 32,768 for R1-Distill", r1, contracts, {"native_context": 32_768}, {}),
        ("48 GB for Qwen3-Coder-Next", following, small, _stored(following, 48 * 10**9), {}),
        ("4 bits taken for a quarter of 16", coder, one, _stored(coder, quarter), {}),
        ("a score without a source", following, refactoring, {"scores": {"HumanEval": 93.0}}, {}),
        ("the advertised window", coder, longer, {"native_context": coder["advertised_context"]}, {}),
        ("one cache for all users", gemma, wiki, {}, {"users": 1}),
        ("active parameters only", big, contracts, _stored(big, _read_by_one(big)), {}),
        ("thinking not counted", r1, hurried, {"thinking_tokens": 0}, {}),
    ]
    made = []
    for name, model, where, change, other in cases:
        wrong = model | change, where | other
        said = [_said(explain(m, "4-bit", need(m, s), s)) for m, s in ((model, where), wrong)]
        made.append(Slip(name, model["name"], where["task"], *said))
    return made


def _stored(model: Mapping, size: int) -> dict:
    """The change that gives a model's 4-bit file another size."""
    return {"files": {**model["files"], "4-bit": {**model["files"]["4-bit"], "bytes": size}}}


def _read_by_one(model: Mapping) -> int:
    """Bytes of the 4-bit weights that one token reads: its active parameters."""
    file = model["files"]["4-bit"]
    return round(file["bytes"] - file["expert_bytes"] * model["idle_share"])


def _said(against: Mapping) -> str:
    return "; ".join(f"{name}: {why}" for name, why in against.items()) or "fits"
