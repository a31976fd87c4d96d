"""The days on which a plan is tried: the task's server and its variants, and servers and workloads drawn afresh."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

from ..labs import deployment_plan as task
from .day import Result, run
from .day_score import Score, judge, reference_usd

# What fresh workloads are drawn from: name, wishes (best first), contexts, users.
POOL = (
    ("coding", (("qwen3-coder-next", 4), ("qwen2.5-coder-32b", 4), ("yi-coder-9b", 8), ("yi-coder-9b", 4)), (16_384, 32_768), (2, 4)),
    ("documents", (("llama-3.3-70b", 4), ("qwen3-32b", 4), ("mistral-small-3.1-24b", 4), ("qwen3-8b", 4)), (16_384, 24_576), (1, 2)),
    (
        "reasoning",
        (("deepseek-r1-distill-qwen-32b", 8), ("deepseek-r1-distill-qwen-32b", 4), ("qwen3-14b", 4), ("qwen3-8b", 4)),
        (8192, 16_384), (2, 4),
    ),
    ("letters", (("mistral-small-3.1-24b", 8), ("mistral-small-3.1-24b", 4), ("qwen3-8b", 8), ("qwen3-8b", 4)), (8192,), (2, 6)),
    ("tables", (("qwen3-32b", 16), ("qwen3-32b", 8), ("qwen3-14b", 8), ("qwen3-8b", 4)), (8192, 40_960), (1, 2)),
)  # fmt: skip
# Qwen2.5-Coder reads 32,768 tokens at most.
LONG = ("archive", (("qwen2.5-coder-32b", 4), ("mistral-small-3.1-24b", 4), ("yi-coder-9b", 4)), (40_960,), (1,))
CARDS = ("rtx-4080", "rtx-4090", "rtx-5090")
BACK_TO_BACK = ((8, 12), (12, 16), (16, 20))


@dataclass
class Case:
    """One day: a server, its workloads, what is special about it."""

    name: str
    server: dict
    workloads: list
    variant: str = "plain"
    seed: int = 0

    def inputs(self) -> tuple[dict, list, dict]:
        """Copies for the learner's function."""
        return (
            dict(self.server),
            [{**w, "wishes": [list(x) for x in w["wishes"]]} for w in self.workloads],
            task.models(),
        )

    def execute(self, plan) -> Result:
        """Run a plan."""
        return run(plan, self.server, self.workloads, task.models(), self.seed, self.variant)

    def score(self, plan) -> Score:
        """Run a plan, and judge it."""
        about = self.server, self.workloads, task.models()
        return judge(self.execute(plan), *about, reference_usd(*about, self.seed, self.variant))

    @property
    def reference(self) -> dict:
        """The reference plan."""
        return task.reference_plan(self.server, self.workloads, task.models())


def named(seed: int) -> list[Case]:
    """The task's day and its variants, all with requests of this seed."""
    dual, work = task.server(), task.workloads()
    cases = [
        Case("the day on the dual 32 GiB server", dual, work),
        Case("one 24 GiB card", task.server(gpus=1, card="rtx-4090"), work),
        Case("48 GiB of RAM", task.server(ram_gib=48), work),
        Case("an urgent request in mid-slot", dual, work, "urgent"),
        Case("a conversation at the end of a slot", dual, task.workloads(BACK_TO_BACK), "conversation"),
        Case("a process that died in its sleep", dual, work, "restart"),
    ]
    return [replace(case, seed=seed) for case in cases]


def fresh(rng: random.Random, variant: str = "plain") -> Case:
    """A server and workloads that the task does not name, which the reference plan serves to the full, whatever levels."""
    return _drawn(rng, variant, lambda: rng.sample(POOL, rng.choice([2, 3, 4])), counts=[1, 2, 2, 4])


def long_contexts(rng: random.Random) -> Case:
    """The same with a workload whose best wish has room, but no window for its context."""
    windowless = {name: {**model, "window": math.inf} for name, model in task.models().items()}
    while True:
        case = _drawn(rng, "plain", lambda: [*rng.sample(POOL, 2), LONG], counts=[2, 4])
        number, _ = task.best_engine(case.server, case.workloads[-1], windowless, len(case.workloads) - 1)
        if number == 0:
            return case


def tight(rng: random.Random, spare_gb: float) -> Case:
    """The task's day on cards on which the largest of the best engines has `spare_gb` left, with all others asleep there;
    below 0 it does not fit."""
    server, work, models = task.server(asleep_gb=rng.choice([0.8, 1.0, 1.5])), task.workloads(), task.models()
    largest = max(
        task.gpu_gb(server, task.engine(models, *w["wishes"][0], [0, 1], w["context"], w["users"]), "awake")
        for w in work
    )
    needed = largest + (len(work) - 1) * server["asleep_gb"]
    return Case(
        "cards of another size",
        {**server, "vram_gib": (needed + spare_gb) * 1e9 / 2**30},
        work,
        "plain",
        rng.randrange(10**6),
    )


def _any_levels_do(case: Case) -> bool:
    """Whether the reference plan is worth all points, and whoever chooses other levels loses nothing by it: an urgent request
    leaves no choice, on all other days level 2 is quick enough for everyone."""
    plan = case.reference
    if case.variant == "urgent":
        plain = "level 2" not in [s for slot in plan["slots"] for s in slot["residency"].values()]
        return plain and case.score(plan).points > 99.9
    deep = task.reference_plan(case.server, case.workloads, task.models(), deep=True)
    return case.score(plan).points > 99.9 and case.score(deep).points > 99.9


def _drawn(rng: random.Random, variant: str, draw, counts: list[int]) -> Case:
    for _ in range(300):
        server = task.server(
            card=rng.choice(CARDS), gpus=rng.choice(counts), ram_gib=rng.choice([16, 32, 64, 96, 192]),
            storage_gbs=rng.choice([3.0, 5.0, 7.0]), wake_s=rng.choice([0.25, 0.5, 1.0]),
        )  # fmt: skip
        gap, hour, work = rng.choice([0, 0, 1]), rng.choice([6, 7, 8]), []
        for name, wishes, contexts, users in draw():
            work.append(task.workload(name, hour, hour + 3, wishes, rng.choice(contexts), rng.choice(users)))
            hour += 3 + gap
        case = Case("a server and workloads drawn afresh", server, work, variant, rng.randrange(10**6))
        try:
            if _any_levels_do(case):
                return case
        except (ValueError, TypeError):  # a workload that no model of its wishes can serve there
            continue
    raise RuntimeError("no such day was found: the pool has become too hard for the servers")
