"""Switching models on one GPU: a cold start against the two sleep levels of vLLM."""

from __future__ import annotations

from types import SimpleNamespace

from lessonlib.calc import switching, units, weights
from lessonlib.facts import catalog

from . import presets
from .base import Answer, Calculator
from .fields import OWN, Choice, Number


class SwitchCalculator(Calculator):
    """Seconds until a model answers: started cold, woken from sleep level 1, woken from level 2."""

    title = "Changing the model"
    purpose = "What a cold start costs, and what the two sleep levels of vLLM save."
    caption = "Seconds"
    PRESETS = ("link_kind",)

    def fields(self):
        links = tuple((row["id"], row["id"]) for row in _links().values())
        return [
            presets.model_field(),
            presets.format_field("bf16"),
            Number("storage", "Storage, GB/s", 5.0, 0.001, 1e6, whole=False),
            Choice("link_kind", "Link from host to GPU", (*links, ("my own numbers", OWN)), "pcie4-x16"),
            Number("link", "Link, GB/s in one direction", 32.0, 0.001, 1e6, whole=False),
            Number("stop", "Stop the other server, s", 5.0, 0, 1e6, whole=False),
            Number("start", "Start a process, s", 15.0, 0, 1e6, whole=False),
            Number("warm", "Compile and warm up, s", 20.0, 0, 1e6, whole=False),
            Number("overhead", "Wake up beside the copy, s", 0.5, 0, 1e6, whole=False),
            Number("per_day", "Changes a day", 10, 0, 1_000_000),
        ]

    def fill(self, key, value):
        return {} if value == OWN else {"link": float(_links()[value]["per_direction_gbs"])}

    def answer(self, s: SimpleNamespace) -> Answer:
        model = catalog.model(s.model)
        size = weights.weights(model, s.format).total
        cold = switching.cold_start(size, s.storage, s.link, process_start_s=s.start, warm_up_s=s.warm, stop_s=s.stop)
        one = switching.sleep_level_1(size, s.link, overhead_s=s.overhead)
        two = switching.sleep_level_2(size, s.storage, s.link, overhead_s=s.overhead)
        rows, values = [], {"weight_bytes": size}
        for key, name, found, level in (
            ("cold", "cold start", cold, None), ("level_1", "sleep level 1", one, 1), ("level_2", "sleep level 2", two, 2)
        ):  # fmt: skip
            asleep = found.get("sleep", 0)
            back = found.total - asleep
            ram = units.gb(switching.host_ram_bytes([size], level)) if level else 0
            rows.append([name, f"{asleep:,.2f}", f"{back:,.2f}", f"{s.per_day * found.total / 60:,.1f}", f"{ram:,.1f}"])
            values[key] = {"sleep": asleep, "back": back, "seconds": found.total, "parts": dict(found)}
        parts = " + ".join(f"{seconds:,.2f} ({name})" for name, seconds in cold.items() if seconds)
        formula = (
            f"read = {units.gb(size):,.2f} GB / {s.storage:g} GB/s, copy = {units.gb(size):,.2f} GB / {s.link:g} GB/s\n"
            f"cold start = {parts} = **{cold.total:,.2f} s**"
        )
        slow = 8 * switching.transfer_seconds(size, s.storage)
        mistake = (
            f"taking Gbit/s for GB/s: storage of {s.storage:g} Gbit/s would need {slow:,.1f} s to read these weights, 8 times "
            f"the {slow / 8:,.1f} s reckoned here."
        )
        headline = f"{cold.total:,.1f} s cold, {one.total:,.1f} s by level 1, {two.total:,.1f} s by level 2"
        timings = catalog.table("engines")["vllm_sleep_mode"]["published_timings"]
        low_high = [" to ".join(f"{x:g}" for x in timings[f"wake_l{level}_s"]) for level in (1, 2)]
        notes = (
            f"Published wake-up times: level 1 {low_high[0]} s, level 2 {low_high[1]} s ({timings['wake_source']}).",
            "Speeds of storage, process start and warm-up differ from machine to machine: the first numbers are there "
            "to be replaced by yours. Transfers at full speed are floors.",
        )  # fmt: skip
        used = (presets.used_record(model), f"links and sleep levels: fact base of {catalog.checked_on()}")
        header = (
            "way",
            "falls asleep",
            "answers again",
            f"minutes lost in {s.per_day:,} changes",
            "GB of host RAM meanwhile",
        )
        return Answer(headline, rows, formula, mistake, header, used, notes, values=values)


def _links() -> dict[str, dict]:
    """Links between host and GPU of the fact base, by id."""
    rows = catalog.table("gpus")["interconnect"]["rows"]
    return {row["id"]: row for row in rows if row["id"].startswith("pcie")}
