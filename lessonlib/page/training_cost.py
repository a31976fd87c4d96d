"""What training a model costs beside using it: FLOPs, memory, GPU hours, money."""

from __future__ import annotations

from math import ceil
from types import SimpleNamespace

from lessonlib.calc import memory, training, units, weights
from lessonlib.facts import catalog
from lessonlib.labs import what_is_an_llm_training as lab

from .calculators import presets
from .calculators.base import Answer, Calculator
from .calculators.fields import Number

HOURS = 730  # of a month


def usd_per_gpu_hour() -> float:
    """What an hour of one H100 costs its owner by the fact base: a system of eight over its life, and its colocation."""
    system, room = (catalog.price(name, "hosting") for name in ("dgx-h100-system", "colocation-8xh100"))
    return (system.usd_month + room.usd_month) / 8 / HOURS


class TrainingCostCalculator(Calculator):
    """Training from nothing against inference, for any open model of the fact base."""

    title = "Training or using?"
    purpose = "FLOPs, memory, GPU hours and money of a training run, beside those of inference."
    caption = "Training beside inference"

    def fields(self):
        return [
            presets.model_field(),
            Number("billions", "Training tokens, billions", 655, 0.001, 1e6, whole=False),
            presets.card_field("h100-sxm", rated=True),
            Number("share", "Of the peak reached, %", 40, 1, 100, whole=False),
            Number("gpus", "GPUs", 1024, 1, 1_000_000),
            Number("usd", "USD for a GPU hour", round(usd_per_gpu_hour(), 2), 0.001, 1000, whole=False),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        model, card = catalog.model(s.model), presets.one_gpu(catalog.gpu(s.card))
        total, active = model.total_params_exact, model.active_params_b * 1e9
        tokens = s.billions * 1e9
        bill = lab.bill(active, tokens, card["tflops"], s.share / 100, s.usd)
        state, used = training.flat(total).total, weights.weights(model, "bf16").total
        days = bill["gpu_hours"] / s.gpus / 24
        room = memory.card_bytes(card["vram_gb"])
        least, enough = ceil(state / room), ceil(used / room)
        rows = [
            ["FLOPs for one token", f"{6 * active:.3g}", f"{2 * active:.3g}"],
            ["FLOPs in all", f"{bill['flops']:.3g}", "grows with use"],
            ["memory before activations or cache, GB", f"{units.gb(state):,.1f}", f"{units.gb(used):,.1f}"],
            [f"cards of {card['vram_gb']:g} GiB for that memory", f"{least:,}", f"{enough:,}"],
            ["GPU hours", f"{bill['gpu_hours']:,.0f}", "–"],
            [f"days on {s.gpus:,} GPUs", f"{days:,.1f}", "–"],
            ["USD", f"{bill['usd']:,.0f}", "by the token or the hour"],
        ]
        formula = (
            f"FLOPs = 6 x {active / 1e9:,.4g} billion parameters x {s.billions:,.4g} billion tokens = **{bill['flops']:.3g}**\n"
            f"GPU hours = FLOPs / ({card['tflops']:,.4g} TFLOP/s x {s.share:g} %) / 3600 = **{bill['gpu_hours']:,.0f}**\n"
            f"memory of training = 16 bytes x {total / 1e9:,.4g} billion parameters = **{units.gb(state):,.1f} GB**"
        )
        mistake = (
            f"taking the weights for all the memory: {units.gb(used):,.1f} GB in 16 bits, where gradients, 32-bit copies and "
            f"Adam's two means bring training to {units.gb(state):,.1f} GB."
        )
        headline = (
            f"{bill['gpu_hours']:,.0f} GPU hours, USD {bill['usd']:,.0f}, {units.gb(state):,.0f} GB before activations"
        )
        notes = (
            "One clean run: failed runs, data, people and evaluation are not in it. Rates are dense 16-bit rates; in a "
            "mixture of experts the active parameters count for FLOPs, all of them for memory.",
        )  # fmt: skip
        used_facts = (
            presets.used_record(model), presets.used_card(catalog.gpu(s.card)),
            "USD for a GPU hour: eight H100 over their life and their colocation, estimates of the fact base (2026-03-06)",
        )  # fmt: skip
        values = {**bill, "training_bytes": state, "inference_bytes": used, "days": days, "cards": least}
        return Answer(headline, rows, formula, mistake, ("", "training", "inference"), used_facts, notes, values=values)
