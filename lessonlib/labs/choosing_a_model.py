"""Choosing a model: what fits a card and a task, what a licence lets you do, and what a benchmark score can tell.

A score is a number of solved tasks out of `tasks`; an interval says how far another set of tasks might have moved it."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from statistics import NormalDist

from ..calc import cache as kept
from ..calc import memory, units, weights
from ..facts import catalog

Z95 = NormalDist().inv_cdf(0.975)  # 1.96: 95 of 100 draws of a normal distribution lie within so many standard errors
SHOW, POLICY = "show the name", "follow the use policy"
# 4-bit formats that differ from the asked "awq": released in 4 bits already, or rows that are no whole groups of 128.
OTHER_4_BIT = {"gpt-oss-20b": "mxfp4", "gpt-oss-120b": "mxfp4", "nemotron-3-nano": "awq-g64"}


# Tables of the fact base that no other lesson reads.


@cache
def _table(name: str) -> dict:
    import yaml

    return yaml.safe_load((catalog.HERE / f"{name}.yaml").read_text(encoding="utf-8"))


@cache
def published_scores() -> tuple[dict, ...]:
    """Published scores (facts/scores.yaml): model, benchmark, score as printed, said_by, and a claim or sources."""
    return tuple(_table("scores")["scores"])


def benchmarks() -> list[dict]:
    """The benchmarks of those scores: name, what it looks at, and for some the number of items."""
    return _table("scores")["benchmarks"]


# The scores that the source lesson names: model (an id of the fact base, or a name), benchmark, score, claim, who says so.
SCORES = tuple(
    (s["model"], s["benchmark"], s["score"], s["claim"], s["said_by"]) for s in published_scores() if "claim" in s
)
TASKS = {b["name"]: b["items"] for b in benchmarks() if "items" in b}


# Licences.


@cache
def licences() -> tuple[dict, ...]:
    """The licences of the fact base's models (facts/licences.yaml), each with `models` and sourced `statements`."""
    return tuple(_table("licences")["licences"])


def licence_sources(licence: Mapping) -> list[str]:
    """The sources of a licence's statements in words, each with the date it was read."""
    table = _table("licences")["sources"]
    keys = dict.fromkeys(key for statement in licence["statements"] for key in statement["sources"])
    return [f"{table[key]['title']} ({table[key]['status']}, read {table[key]['read']})" for key in keys]


def limits(licence: Mapping) -> str:
    """What a licence asks besides keeping its notices, in words; "none" when it asks nothing."""
    asks = licence.get("ask_above_users_at_release")
    nowhere = licence.get("multimodal_not_granted_in")
    users = licence.get("show_name_above_users")
    words = [
        "no commercial use" if not licence["commercial"] else "",
        f"nothing granted in {'/'.join(nowhere)} for multimodal models" if nowhere else "",
        f"ask above {asks:,} users at release" if asks else "",
        "commercial products show the name" if licence.get("show_name_always") else "",
        f"show the name above {users:,} users or {licence['show_name_above_revenue_usd']:,} USD a month"
        if users
        else "",
        "a use policy" if licence["use_policy"] else "",
    ]
    return "; ".join(filter(None, words)) or "none"


@cache
def licence_of(model_id: str) -> dict:
    """The licence of a model of the fact base; ValueError when the table has none for it."""
    found = [licence for licence in licences() if model_id in licence["models"]]
    if len(found) != 1:
        raise ValueError(f"{model_id!r} has {len(found)} licences in licences.yaml, but must have one: add it there.")
    return found[0]


def terms(model_id: str) -> dict:
    """What the licence says about this model, as plain values: the input of `decide`."""
    licence = licence_of(model_id)
    multimodal = model_id in licence.get("multimodal_models", ())
    return {
        "name": licence["name"],
        "commercial": licence["commercial"],
        "not_granted_in": list(licence.get("multimodal_not_granted_in", ())) if multimodal else [],
        "ask_above_users_at_release": licence.get("ask_above_users_at_release"),
        "show_name_always": licence.get("show_name_always", False),
        "show_name_above_users": licence.get("show_name_above_users"),
        "show_name_above_revenue_usd": licence.get("show_name_above_revenue_usd"),
        "use_policy": licence["use_policy"],
    }


def decide(terms: Mapping, use: Mapping) -> tuple[str, list[str]]:
    """("yes", duties), ("ask", []) or ("no", []) for one use of a model under `terms`. No legal advice.

    `use`: commercial, domicile ("EU", "US", ...), users_at_release, users, revenue_usd (both a month)."""
    if (use["commercial"] and not terms["commercial"]) or use["domicile"] in terms["not_granted_in"]:
        return "no", []
    if _above(use["users_at_release"], terms["ask_above_users_at_release"]):
        return "ask", []
    large = _above(use["users"], terms["show_name_above_users"])
    large = large or _above(use["revenue_usd"], terms["show_name_above_revenue_usd"])
    duties = [SHOW] if use["commercial"] and (terms["show_name_always"] or large) else []
    return "yes", duties + ([POLICY] if terms["use_policy"] else [])


# Memory and window.


def shape(model_id: str) -> dict:
    """What `headroom` needs of a model whose cache follows the plain formula."""
    m = catalog.model(model_id)
    native, advertised = windows(m)
    return {
        "total_params": m.total_params_exact, "active_params": round(m.active_params_b * 1e9), "layers": m.layers,
        "heads": m.attention_heads, "kv_heads": m.kv_heads, "head_dim": m.head_dim, "native_window": native,
        "advertised_window": advertised,
    }  # fmt: skip


def windows(model) -> tuple[int, int]:
    """(native, advertised) context in tokens: what the published configuration says, and the most that is announced."""
    return model.get("native_context") or model.get("config_positions") or model.max_context, model.max_context


def headroom(model: Mapping, need: Mapping) -> tuple[int, float]:
    """(spare tokens, spare bytes) of a `shape` on one card; what does not fit is negative.

    `need`: card_gib, overhead_bytes, bits_per_weight, bytes_per_value, sequences, prompt_tokens, answer_tokens."""
    tokens = need["prompt_tokens"] + need["answer_tokens"]
    stored = Fraction(model["total_params"] * need["bits_per_weight"], 8)
    plain = {name: model[name] for name in ("layers", "kv_heads", "head_dim")}
    cache_bytes = memory.kv_cache_bytes(
        **plain, tokens=tokens, batch=need["sequences"], bytes_per_value=need["bytes_per_value"]
    )
    spare = memory.card_bytes(need["card_gib"]) - need["overhead_bytes"] - stored - Fraction(cache_bytes)
    return model["native_window"] - tokens, int(spare) if spare.denominator == 1 else float(spare)


def stored_bytes(model, format: str = "awq") -> float:
    """Bytes of a model's weights in `format`; "awq" stands for the 4-bit format that the model really has."""
    return weights.weights(model, OTHER_4_BIT.get(model.id, format) if format == "awq" else format).total


@dataclass(frozen=True)
class Need:
    """A task in numbers. `overhead` is per card; several cards share weights and caches evenly. `benchmark`: only
    models with a published score there, or None for all."""

    card_gib: float = 24
    cards: int = 1
    format: str = "awq"
    prompt_tokens: int = 24_576
    answer_tokens: int = 2_048
    sequences: int = 1
    overhead: float = 1.5e9
    benchmark: str | None = None
    use: Mapping = field(
        default_factory=lambda: dict(commercial=True, domicile="EU", users_at_release=0, users=2_000, revenue_usd=200_000)
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What became of one model: `reasons` against it (none: it is a candidate), bytes it needs, duties of its licence."""

    model: object
    weights: float
    cache: float
    reasons: tuple[str, ...]
    duties: tuple[str, ...]

    @property
    def total(self) -> float:
        """Weights and caches, bytes, overhead not counted."""
        return self.weights + self.cache


def consider(model, need: Need) -> Verdict:
    """One model of the fact base against a need: task, memory, context and licence, each with its reason."""
    tokens, reasons = need.prompt_tokens + need.answer_tokens, []
    native, advertised = windows(model)
    stored = stored_bytes(model, need.format)
    caches = kept.cache(model, tokens, need.sequences).total
    room = need.cards * (memory.card_bytes(need.card_gib) - need.overhead)
    if need.benchmark and model.id not in {row[0] for row in SCORES if row[1] == need.benchmark}:
        reasons.append(f"task: no {need.benchmark} score in the fact base")
    if stored + caches > room:
        reasons.append(f"memory: {units.gb(stored + caches):,.1f} GB, room for {units.gb(room):,.1f}")
    if tokens > native:
        more = f" ({advertised:,} when extended)" if tokens <= advertised else ""
        reasons.append(f"context: {tokens:,} tokens, {native:,} native{more}")
    answer, duties = decide(terms(model.id), need.use)
    if answer != "yes":
        what = "not granted for this use" if answer == "no" else "needs a grant of its own"
        reasons.append(f"licence: {licence_of(model.id)['name']} {what}")
    return Verdict(model, stored, caches, tuple(reasons), tuple(duties))


def choose(need: Need) -> list[Verdict]:
    """Every model of the fact base against a need: candidates first, then by how few reasons speak against them."""
    found = [consider(model, need) for model in catalog.models()]
    return sorted(found, key=lambda v: (len(v.reasons), -v.model.total_params_exact))


def candidate(model, need: Need, right: int, tasks: int) -> dict:
    """One model of the fact base as `rank` wants it: what a need leaves over, the licence's answer, and its score."""
    found, tokens = consider(model, need), need.prompt_tokens + need.answer_tokens
    room = need.cards * (memory.card_bytes(need.card_gib) - need.overhead)
    return {
        "name": model.name, "spare_bytes": room - found.total, "spare_tokens": windows(model)[0] - tokens,
        "licence": decide(terms(model.id), need.use)[0], "solved": right, "tasks": tasks,
        "active_params": round(model.active_params_b * 1e9),
    }  # fmt: skip


def families() -> list[list]:
    """One row a family of the fact base: models, total and active parameters (10^9), native window, bytes of cache a
    token (16 bits), licences. Ranges from the smallest to the largest."""
    groups: dict[str, list] = {}
    for model in catalog.models():
        groups.setdefault(model.family, []).append(model)
    rows = []
    for name, models in groups.items():
        names = dict.fromkeys(licence_of(m.id)["name"] for m in models)
        rows.append([
            name, len(models), _range([m.total_params_b for m in models]),
            _range([m.active_params_b for m in models]), _range([windows(m)[0] for m in models]),
            _range([m.kv_bytes_per_token_fp16 for m in models]), ", ".join(names),
        ])  # fmt: skip
    return rows


# Scores.


def solved(score: str, tasks: int) -> list[int]:
    """Every whole number of solved tasks that prints as `score` ("92.7", in percent); empty when there is none."""
    decimals = len(score.partition(".")[2])
    half, value = Fraction(1, 2 * 10**decimals), Fraction(score)
    return [k for k in range(tasks + 1) if abs(Fraction(100 * k, tasks) - value) <= half]


def score_rows() -> list[list]:
    """One row a published score: model, benchmark with its tasks, score, tasks solved, 95 % interval, who says so."""
    outside = {"gpt-4o": "GPT-4o", "claude-opus-4.5": "Claude Opus 4.5"}
    names, rows = {row.id: row.name for row in catalog.models()} | outside, []
    for model, benchmark, score, _, said in SCORES:
        tasks = TASKS[benchmark]
        exact, (low, high) = solved(score, tasks), interval(nearest(score, tasks), tasks)
        count = exact[0] if exact else "no whole number"
        rows.append([names[model], f"{benchmark} ({tasks})", score, count, f"{low:.1f} to {high:.1f}", said])
    return rows


def nearest(score: str, tasks: int) -> int:
    """The whole number of solved tasks nearest to `score`."""
    return round(Fraction(score) * tasks / 100)


def standard_error(right: int, tasks: int) -> float:
    """Standard error of a share of `right` out of `tasks`: sqrt(p (1 - p) / n), as a share. Binomial distribution."""
    p = right / tasks
    return math.sqrt(p * (1 - p) / tasks)


def interval(right: int, tasks: int, z: float = Z95) -> tuple[float, float]:
    """95 % interval of a share, in percent: Wilson's, which stays within 0 and 100. E. B. Wilson, 1927."""
    p, spread = right / tasks, z * z / tasks
    middle = (p + spread / 2) / (1 + spread)
    reach = z / (1 + spread) * math.sqrt(p * (1 - p) / tasks + spread / (4 * tasks))
    return max(0.0, 100 * (middle - reach)), min(100.0, 100 * (middle + reach))


def difference(right_a: int, right_b: int, tasks: int, z: float = 1.96) -> tuple[float, float]:
    """Interval (low, high) of score a - score b in percentage points, from two separate runs over `tasks` tasks."""
    errors = (standard_error(right, tasks) for right in (right_a, right_b))
    reach, lead = z * math.hypot(*errors), (right_a - right_b) / tasks
    return 100 * (lead - reach), 100 * (lead + reach)


def rank(candidates) -> list[str]:
    """Names of the candidates that keep every hard constraint, best first.

    Hard: spare_bytes and spare_tokens of 0 or more, licence "yes". Then the score: all whose difference from the best
    survivor holds 0 count as equally good, and the fewest active parameters come first. The others follow by score."""
    alive = [c for c in candidates if c["spare_bytes"] >= 0 and c["spare_tokens"] >= 0 and c["licence"] == "yes"]
    if not alive:
        return []
    top = max(c["solved"] for c in alive)
    good = [c for c in alive if difference(top, c["solved"], c["tasks"])[0] <= 0]
    rest = [c for c in alive if difference(top, c["solved"], c["tasks"])[0] > 0]
    good.sort(key=lambda c: c["active_params"])
    rest.sort(key=lambda c: (-c["solved"], c["active_params"]))
    return [c["name"] for c in good + rest]


# A small benchmark, measured.


def items(word: str = "Copy", each: int = 41, lengths=(4, 6, 8, 10), seed: int = 1100) -> list[tuple[str, str]]:
    """(prompt, answer) pairs with one exact answer: copy so many words after one shown example. `word` is what the
    prompt calls the task; lengths take turns. The default makes 164 items, as many as HumanEval has."""
    from ..models import probes

    rows = [probes.copying(length, tries=each, seed=seed + length) for length in lengths]
    return [
        (prompt.replace("Copy:", f"{word}:"), answer) for group in zip(*rows, strict=True) for prompt, answer in group
    ]


def evaluate(model, tokenizer, pairs, batch: int = 41) -> list[bool]:
    """For each (prompt, answer) pair whether greedy decoding writes the whole answer.

    One pass over prompt and answer together: greedy decoding writes the answer just when each of its tokens is the
    likeliest one after what stands before it. Rows are padded on the right, where causal attention never looks."""
    import torch

    def ids(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False)

    right = []
    for first in range(0, len(pairs), batch):
        rows = [
            ([tokenizer.bos_token_id, *ids(prompt)], ids(answer)) for prompt, answer in pairs[first : first + batch]
        ]
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        padded = torch.zeros(len(rows), width, dtype=torch.long)  # (B, L)
        for row, (prompt, answer) in zip(padded, rows, strict=True):
            row[: len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        with torch.no_grad():
            best = model(padded.to(model.device), use_cache=False).logits.argmax(-1).cpu()  # (B, L)
        for guessed, (prompt, answer) in zip(best.tolist(), rows, strict=True):
            right.append(guessed[len(prompt) - 1 : len(prompt) + len(answer) - 1] == answer)
    return right


def behind(better, other, count: int, draws: int = 2000, seed: int = 0) -> float:
    """How often `better` is not ahead of `other` on `count` items drawn at random (with replacement): a share.

    Both are lists of right and wrong over the same items, so a draw takes the same items for both. B. Efron, 1979."""
    rng, lost = random.Random(seed), 0
    gaps = [int(a) - int(b) for a, b in zip(better, other, strict=True)]
    for _ in range(draws):
        lost += sum(rng.choices(gaps, k=count)) <= 0
    return lost / draws


def resampled(right, count: int, draws: int = 2000, seed: int = 0) -> list[float]:
    """Scores in percent of `draws` random sets of `count` items (with replacement), sorted."""
    rng = random.Random(seed)
    return sorted(100 * sum(rng.choices(right, k=count)) / count for _ in range(draws))


def bits_per_byte(name: str) -> float:
    """Bits per byte of held-out text of an embedded model, from its training record: lower is better."""
    from ..models.embedded import embedded_path

    record = json.loads((embedded_path(name) / "training.json").read_text(encoding="utf-8"))
    return record["bits_per_byte"]["all"]


def _above(value: float, limit: float | None) -> bool:
    return limit is not None and value > limit


def _range(values) -> str:
    low, high = (f"{x:,.0f}" if x >= 100 else f"{x:.3g}" for x in (min(values), max(values)))
    return low if low == high else f"{low} – {high}"
