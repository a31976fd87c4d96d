"""The capstone's catalog against a scenario whose every requirement can be moved: who fits, who is rejected, and why."""

from __future__ import annotations

from types import SimpleNamespace

from lessonlib.facts import catalog
from lessonlib.labs import model_selection as lab
from lessonlib.labs import model_selection_catalog as facts

from .calculators import presets
from .calculators.base import Answer, Calculator, count
from .calculators.fields import OWN, Choice, Number

FIELDS = ("card", "cards", "users", "prompt_tokens", "answer_tokens", "seconds", "benchmark", "at_least")


class SelectionExplorer(Calculator):
    """The models of the task model_selection in one of its scenarios, or in one of your own numbers."""

    title = "Who is left?"
    purpose = "Move one requirement and see which models it throws out, and what the best choice becomes."
    caption = "The best choice of each model that fits"
    PRESETS = ("scenario",)

    def fields(self):
        names = tuple((s["name"], s["name"]) for s in facts.lesson_scenarios())
        tests = tuple((name, name) for name in facts.BENCHMARKS)
        cards = tuple((presets.card_label(catalog.gpu(name)), name) for name in facts.CARDS)
        return [
            Choice("scenario", "Scenario", (*names, ("my own numbers", OWN)), names[0][1]),
            Choice("card", "Card", cards, "rtx-5090"),
            Number("cards", "Cards", 2, 1, 8),
            Number("users", "Users at once", 1, 1, 10_000),
            Number("prompt_tokens", "Prompt, tokens", 22_528, 1, 10_000_000),
            Number("answer_tokens", "Answer, tokens", 4_096, 1, 1_000_000),
            Number("seconds", "An answer within, s", 90, 0.1, 100_000, whole=False),
            Choice("benchmark", "Evidence", tests, "HumanEval"),
            Number("at_least", "Score of at least", 85, 0, 100, whole=False),
        ]

    def fill(self, key: str, value: str) -> dict:
        found = next((s for s in facts.lesson_scenarios() if s["name"] == value), None)
        return {name: found[name] for name in FIELDS if name != "card"} | {"card": _card_id(found)} if found else {}

    def answer(self, s: SimpleNamespace) -> Answer:
        base = next((x for x in facts.lesson_scenarios() if x["name"] == s.scenario), facts.lesson_scenarios()[0])
        scene = facts.scenario(
            s.scenario, "your own task" if s.scenario == OWN else base["task"], s.card, s.cards, users=s.users,
            prompt=s.prompt_tokens, answer=s.answer_tokens, benchmark=s.benchmark, at_least=s.at_least,
            seconds=s.seconds, use=base["use"], refuses=base["refuses"], **base["weights"],
        )  # fmt: skip
        models = facts.catalog()
        found, against = lab.options(scene, models), lab.candidate_rows(scene, models)
        best: dict[str, tuple] = {}
        for option in found:
            best.setdefault(option[1], option)
        top = found[0][0] if found else 0
        rows = [
            [name, precision, context, round(value, 3), "yes" if value >= lab.MARGIN * top else "no"]
            for value, name, precision, context in best.values()
        ] or [["none", "–", "–", "–", "–"]]
        rejected = [[row[0], row[-1]] for row in against if row[-1] != "fits"]
        sign = "✓" if best else "✗"
        headline = f"{sign} {len(best)} of {count(len(models), 'model')} fit"
        formula = (
            "fits = memory, context, licence, evidence and latency all within their limits\n"
            + f"utility = {' + '.join(f'{w:g} x {part}' for part, w in scene['weights'].items())}; all from {lab.MARGIN:g} x the "
            "best on are as good as the best"
        )
        roomy = sum("memory" not in lab.broken(m, lab.smallest(m), lab.need(m, scene), scene) for m in models)
        mistake = f"looking at memory alone would leave {count(roomy, 'model')}, not {len(best)}."
        values = {"fits": list(best), "rejected": {name: why for name, why in rejected}, "utility": top}
        return Answer(
            headline, rows, formula, mistake, ("model", "precision", "context", "utility", "full points"),
            (presets.used_card(catalog.gpu(s.card)),), drawing=None, values=values,
            more=(f"{len(rejected)} rejected, and why", rejected, ("model", "because")),
            notes=("Licence terms and weights stay those of the scenario; your own numbers take those of the first.",),
        )  # fmt: skip


def _card_id(scene: dict) -> str:
    return catalog.gpu(scene["card"]).id
