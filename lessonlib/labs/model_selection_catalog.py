"""The capstone task model_selection: its catalog, its three scenarios and any number of freshly drawn ones.

A model is a plain dict of exact numbers, made from the fact base: sizes in bytes by precision, what the cache of a sequence
takes, windows, work in FLOPs, published scores, terms of the licence. A scenario is a plain dict too."""

from __future__ import annotations

import copy
import random
from functools import cache

from ..calc import architecture, memory, throughput, weights
from ..calc import cache as kept
from ..facts import catalog as facts
from . import choosing_a_model as choosing

MODELS = (
    "qwen2.5-coder-32b", "qwen3-coder-next", "deepseek-r1-distill-qwen-32b", "llama-3.3-70b", "yi-coder-9b",
    "mistral-small-3.1-24b", "mistral-large-2", "gemma-3-27b", "gemma-3-4b", "gpt-oss-20b", "gpt-oss-120b",
    "granite-3.3-8b", "phi-4", "phi-4-mini", "llama-4-scout",
)  # fmt: skip
# Precision -> weight format of lessonlib.calc. A planning allowance of this task, no finding: what a precision takes off
# a published score, in points. gpt-oss was released, and scored, with its experts in 4 bits: that is its only file.
FORMATS = {"16-bit": ("bf16", 0.0), "8-bit": ("int8", 0.5), "4-bit": ("awq", 2.0)}
RELEASED_IN_4_BIT = {"4-bit": ("mxfp4", 0.0)}
# Tokens that a reasoning model writes before its answer: one planning figure of this task; it differs with every question.
THINKING = dict.fromkeys(("deepseek-r1-distill-qwen-32b", "gpt-oss-20b", "gpt-oss-120b"), 8192)
BENCHMARKS = {b["name"]: b["looks_at"] for b in choosing.benchmarks()}
EU_COMPANY = dict(commercial=True, domicile="EU", users_at_release=0, users=2_000, revenue_usd=200_000)
US_COMPANY = EU_COMPANY | dict(domicile="US")
HOBBY = EU_COMPANY | dict(commercial=False, revenue_usd=0)
CARDS = ("rtx-4060-ti-16gb", "rtx-4090", "rtx-5090", "a100-80gb-sxm", "h100-sxm")
# Kinds of work that are drawn: words, benchmark, thresholds, prompt tokens, answer tokens, seconds for an answer.
WORK = (
    ("code review of a pull request", "HumanEval", (70, 80, 88), (6_144, 14_336, 30_720), (1_024, 2_048), (20, 60, 120)),
    ("fixing bugs in a repository", "SWE-bench Verified", (30, 50, 70), (24_576, 61_440), (2_048, 4_096), (60, 120)),
    ("checking long reports for contradictions", "GPQA", (40, 45, 55), (30_720, 63_488, 98_304), (2_048,), (90, 180)),
    ("a help desk that keeps to its script", "IFEval", (60, 70, 85), (2_048, 6_144), (1_024, 2_048), (15, 30, 60)),
    ("answering questions about a handbook", "MMLU-Pro", (45, 60, 68), (6_144, 14_336, 30_720), (1_024, 2_048), (30, 60)),
)  # fmt: skip


def catalog() -> list[dict]:
    """The models of this task, each a fresh dict; `model_of` says what is in it."""
    return [model_of(name) for name in MODELS]


def model_of(name: str) -> dict:
    """One model of the fact base as this task writes it.

    files: precision -> {"bytes": all weights, "expert_bytes": those of routed experts, "loss": points off a score}.
    idle_share: the share of its experts that one token leaves unread (0 in a dense model, which has none).
    The cache of one sequence of S tokens: cache_bytes_per_token x S + window_bytes_per_token x min(S, window_tokens) +
    state_bytes. flops_per_token and flops_per_pair: work to read a prompt (see `model_selection.latency_s`)."""
    return copy.deepcopy(_models()[facts.model(name).name])


@cache
def _models() -> dict[str, dict]:
    """All models by name; made once, since sizes are summed over every tensor."""
    return {m.name: _model(m) for m in map(facts.model, MODELS)}


def _model(m) -> dict:
    formats = RELEASED_IN_4_BIT if "mxfp4" in choosing.OTHER_4_BIT.get(m.id, "") else FORMATS
    shape, counts = kept.attention(m), architecture.parts(m)
    pair = 2 * (shape.kv_heads * shape.head_dim) * 2  # K and V, 2 bytes a value
    full, window = (shape.kinds.count(kind) for kind in ("full", "window"))
    native, advertised = choosing.windows(m)
    active = architecture.active_parameters(m)
    return {
        "name": m.name,
        "parameters": m.total_params_exact,
        "active_parameters": active,
        "files": {
            precision: {
                "bytes": weights.weights(m, form).total,
                "expert_bytes": weights.weights(m, form).get("experts", 0),
                "loss": loss,
            }
            for precision, (form, loss) in formats.items()
        },
        "idle_share": float(1 - weights.active_share(m)),
        "cache_bytes_per_token": full * pair,
        "window_bytes_per_token": window * pair,
        "window_tokens": shape.window,
        "state_bytes": kept.fixed_bytes(m),
        "native_context": native,
        "advertised_context": advertised,
        "thinking_tokens": THINKING.get(m.id, 0),
        "flops_per_token": 2 * (active - counts["embedding"] - counts["output"]),
        "flops_per_pair": 4 * full * m.attention_heads * shape.head_dim,
        "scores": scores(m.id),
        "licence": choosing.terms(m.id),
    }


def scores(model_id: str) -> dict[str, float]:
    """Published scores of a model: benchmark -> percent. Of several, the lowest: the others had the better set-up."""
    found: dict[str, float] = {}
    for row in choosing.published_scores():
        if row["model"] == model_id:
            found[row["benchmark"]] = min(float(row["score"]), found.get(row["benchmark"], 100.0))
    return found


def evidence_rows() -> list[list]:
    """One row a model: its score on each benchmark, or a dash where the fact base has none."""
    models = catalog()
    return [[m["name"], *(f"{m['scores'][b]:.1f}" if b in m["scores"] else "–" for b in BENCHMARKS)] for m in models]


def size_words(m: dict) -> str:
    """The sizes of a model's files in GB, "–" for a file that there is not: "65.5 / 34.3 / 19.3"."""
    return " / ".join(f"{m['files'][p]['bytes'] / 1e9:.1f}" if p in m["files"] else "–" for p in FORMATS)


def scenario(
    name: str, task: str, card: str, cards: int, *, users: int, prompt: int, answer: int, benchmark: str,
    at_least: float, seconds: float, use: dict, refuses=(), quality=0.6, speed=0.25, room=0.15,
) -> dict:  # fmt: skip
    """A scenario on `cards` cards of the fact base. Rates are of all cards together, and those that engines reach: the
    published shares of the data sheet (`throughput.PUBLISHED_...`)."""
    one = throughput.card(facts.gpu(card))
    return {
        "name": name, "task": task, "card": facts.gpu(card).name, "cards": cards, "vram_gib": facts.gpu(card).vram_gb,
        "bytes_per_s": cards * one.bandwidth * throughput.PUBLISHED_BANDWIDTH_EFFICIENCY,
        "flops_per_s": cards * one.peak_flops * throughput.PUBLISHED_COMPUTE_EFFICIENCY,
        "users": users, "prompt_tokens": prompt, "answer_tokens": answer, "seconds": seconds,
        "benchmark": benchmark, "at_least": at_least, "use": dict(use), "refuses": list(refuses),
        "weights": {"quality": quality, "speed": speed, "room": room},
    }  # fmt: skip


def lesson_scenarios() -> list[dict]:
    """The three tasks of the source lesson's exercise. Its statements give the tasks and some sizes (S12-013 to S12-015);
    cards, limits and thresholds are this course's choice."""
    return [
        scenario(
            "refactoring", "refactor a file of 2,000 lines", "rtx-5090", 2, users=1, prompt=22_528, answer=4_096,
            benchmark="HumanEval", at_least=85, seconds=90, use=US_COMPANY, refuses=[choosing.SHOW],
            quality=0.8, speed=0.1, room=0.1,
        ),
        scenario(
            "contracts", "analyse contracts of up to 98,304 tokens", "rtx-5090", 2, users=1, prompt=98_304, answer=2_048,
            benchmark="GPQA", at_least=45, seconds=300, use=EU_COMPANY, quality=0.7, speed=0.15,
        ),
        scenario(
            "wiki bot", "answer 20 players at once from a game's wiki", "rtx-4090", 1, users=20, prompt=3_072,
            answer=1_024, benchmark="IFEval", at_least=70, seconds=45, use=EU_COMPANY, quality=0.4, speed=0.45,
        ),
    ]  # fmt: skip


def drawn(who: str, count: int = 3) -> list[dict]:
    """`count` fresh scenarios for a learner: the same name gives the same ones on every machine, others give others.

    At least two models fit each but the last."""
    who = str(who).strip().lower()
    if not who:
        raise ValueError("who is empty, but must be a name or a login: the scenarios are drawn from it.")
    rng = random.Random(f"model_selection/{who}")
    made = [draw(rng, f"{who} {n}", least=2) for n in range(1, count)]
    return [*made, draw(rng, f"{who} {count}")]  # of the last one nobody knows whether anything fits


def draw(rng: random.Random, name: str = "drawn", least: int = 0, most: int = len(MODELS)) -> dict:
    """A scenario: kind of work, card, users, limits, weights. From `least` to `most` models fit: most=0 gives one where
    nothing does."""
    from .model_selection import options

    models = _models().values()
    while True:
        made = _drawn(rng, name)
        if (least, most) == (0, len(MODELS)) or least <= len({o[1] for o in options(made, models)}) <= most:
            return made


def _drawn(rng: random.Random, name: str) -> dict:
    task, benchmark, thresholds, prompts, answers, seconds = rng.choice(WORK)
    quality, speed = rng.choice([(0.6, 0.25), (0.5, 0.4), (0.4, 0.3), (0.7, 0.15)])
    return scenario(
        name, task, rng.choice(CARDS), rng.choice([1, 1, 2]), users=rng.choice([1, 1, 4, 10, 24]),
        prompt=rng.choice(prompts), answer=rng.choice(answers), benchmark=benchmark, at_least=rng.choice(thresholds),
        seconds=rng.choice(seconds), use=rng.choice([EU_COMPANY, US_COMPANY, HOBBY]),
        refuses=rng.choice([[], [], [choosing.SHOW], [choosing.POLICY]]), quality=quality, speed=speed,
        room=round(1 - quality - speed, 2),
    )  # fmt: skip


def card_words(s: dict) -> str:
    """The machine of a scenario in words: "2 x RTX 5090, 32 GiB"."""
    return f"{s['cards']} x {s['card']}, {s['vram_gib']:g} GiB"


def scenario_rows(scenarios: list[dict]) -> list[list]:
    """One row a field, one column a scenario, for a table."""
    return [
        ["task", *(s["task"] for s in scenarios)],
        ["machine", *(card_words(s) for s in scenarios)],
        ["users at once", *(f"{s['users']}" for s in scenarios)],
        ["prompt + answer, tokens", *(f"{s['prompt_tokens']:,} + {s['answer_tokens']:,}" for s in scenarios)],
        ["an answer within", *(f"{s['seconds']:g} s" for s in scenarios)],
        ["evidence", *(f"{s['benchmark']} of {s['at_least']:g} or more" for s in scenarios)],
        ["who", *(_who(s["use"]) for s in scenarios)],
        ["refuses the duty to", *(", ".join(s["refuses"]) or "–" for s in scenarios)],
        [
            "utility weights",
            *(", ".join(f"{part} {w:g}" for part, w in s["weights"].items()) for s in scenarios),
        ],
    ]


def room_bytes(s: dict) -> int:
    """Bytes of all cards of a scenario together."""
    return s["cards"] * memory.card_bytes(s["vram_gib"])


def _who(use: dict) -> str:
    return f"a company in the {use['domicile']}" if use["commercial"] else f"a hobby in the {use['domicile']}"
