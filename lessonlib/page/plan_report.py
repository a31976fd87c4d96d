"""A deployment plan on its days: points, what was lost, and memory over time as a picture."""

from __future__ import annotations

from lessonlib.calc.memory import card_bytes
from lessonlib.labs.deployment_plan import HOUR
from lessonlib.serving import day_cases, day_score
from lessonlib.serving.day import clock

from . import figures, theme

HEADER = ("day", "points of 100", "served", "late", "no right answer", "switching, s", "USD", "the first loss")
LONGEST = 230  # letters of a loss in the table


def report(plan, seed: int) -> None:
    """Try `plan` (a plan, or the function that makes one) on the days of this seed, and show a row for each. A function
    that is not written yet is said to be open."""
    try:
        rows = [_row(case, plan) for case in day_cases.named(seed)]
    except NotImplementedError:
        words = "The plan is still open: write it, then run this cell again."
        theme.emit(theme.card(words, "note"), words)
        return
    figures.table(rows, HEADER, f"Seed {seed}: days and points")


def _row(case, plan) -> list:
    try:
        made = plan(*case.inputs()) if callable(plan) else plan
        result, score = case.execute(made), case.score(made)
    except NotImplementedError:
        raise
    except Exception as error:  # a learner's own error, or a plan of another form: a row says so
        return [case.name, 0.0, 0, 0, "–", "–", "–", f"{type(error).__name__}: {error}"[:LONGEST]]
    late = result.delayed(day_score.limits(case.workloads))
    served = len(result.requests) - len(result.refused()) - len(late)
    switching = sum(s.seconds for s in result.switches[1:])
    first = score.losses[0] if score.losses else "nothing"
    first = first if len(first) <= LONGEST else first[: LONGEST - 1] + "…"
    usd = day_score.electricity(result)["usd"]
    counts = served, len(late), len(result.refused())
    return [case.name, round(score.points, 1), *counts, round(switching, 1), f"{usd:.2f}", first]


def memory_over_day(result, workloads: list[dict]) -> tuple:
    """(figure, alt text): what the first GPU and host RAM hold over the day, their sizes, and the slots."""
    node = result.node
    room = {"GPU 0": card_bytes(node.server["vram_gib"]) / 1e9, "RAM": card_bytes(node.server["ram_gib"]) / 1e9}
    hours = [at / HOUR for at, _, _ in node.history]
    held = {"GPU 0": [cards[0] / 1e9 for _, cards, _ in node.history], "RAM": [ram / 1e9 for _, _, ram in node.history]}
    fig, both = figures.axes(2, 1, size=(7.2, 4.2), sharex=True)
    ends = max(w["end_s"] for w in workloads) / HOUR
    for panel, (name, color) in zip(both, (("GPU 0", figures.COLORS[0]), ("RAM", figures.COLORS[4])), strict=True):
        panel.step([*hours, ends], [*held[name], held[name][-1]], where="post", color=color, marker="", linewidth=2)
        panel.axhline(room[name], color=figures.INK, linestyle="--", linewidth=1.2, marker="")
        panel.annotate(f"{room[name]:.1f} GB there", (ends, room[name]), (0, 3), textcoords="offset points", ha="right")
        panel.set_ylabel(f"{name}, GB")
        panel.set_ylim(0, room[name] * 1.25)
        for number, work in enumerate(workloads):
            first, last = work["start_s"] / HOUR, work["end_s"] / HOUR
            panel.axvspan(
                first,
                last,
                facecolor="#e6e8ec",
                hatch=("", "..", "//", "xx")[number % 4],
                edgecolor="#ffffff",
                zorder=0,
            )
            if name == "GPU 0":
                panel.annotate(work["name"], ((first + last) / 2, 1), ha="center")
    both[-1].set_xlabel("hour of the day")
    said = ", ".join(
        f"{w['name']} {held['GPU 0'][_at(node, w['start_s'] + 60)]:.1f} GB on GPU 0 and "
        f"{held['RAM'][_at(node, w['start_s'] + 60)]:.1f} GB in RAM"
        for w in workloads
    )
    peak = {name: max(values) for name, values in held.items()}
    alt = f"Two step curves over the day. A minute after each slot's begin: {said}. Peaks: {peak['GPU 0']:.1f} of "
    alt += (
        f"{room['GPU 0']:.1f} GB on GPU 0, {peak['RAM']:.1f} of {room['RAM']:.1f} GB in RAM, at the latest change at "
    )
    return fig, alt + f"{clock(node.history[-1][0])}."


def _at(node, seconds: float) -> int:
    return max((i for i, (at, _, _) in enumerate(node.history) if at <= seconds), default=0)
