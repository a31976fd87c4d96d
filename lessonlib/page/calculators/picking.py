"""Picking: which models pass a need, and which cards hold a model, with the reason for every other one."""

from __future__ import annotations

from types import SimpleNamespace

from lessonlib.calc import throughput, units, vram
from lessonlib.calc.cache import cache
from lessonlib.facts import catalog
from lessonlib.labs import choosing_a_model as choosing

from . import presets
from .base import Answer, Calculator, count
from .fields import Choice, Number
from .memory import CACHE_FORMATS

ANY = "any"


class ModelPicker(Calculator):
    """Every open model of the fact base against a need: memory, context, licence, task."""

    title = "Which model?"
    purpose = "What your card, your texts, your licence terms and your task leave over."
    caption = "Models that pass"

    def fields(self):
        tasks = (("any", ANY), *((f"published {name} score", name) for name in choosing.TASKS))
        return [
            presets.card_field(),
            Number("tp", "Cards, tensor parallel", 1, 1, 64),
            presets.format_field(),
            Number("tokens", "Context you need, tokens", 16384, 1, 100_000_000),
            Number("users", "Sequences at once", 1, 1, 100_000),
            Choice("use", "Use", (("in a business", "commercial"), ("research only", "research")), "commercial"),
            Choice("domicile", "You are at home in", (("the EU", "EU"), ("elsewhere", "elsewhere")), "EU"),
            Number("monthly", "Users a month of your products", 2000, 0, 10**11),
            Choice("task", "Task", tasks, ANY),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        card = catalog.gpu(s.card)
        size = presets.one_gpu(card)["vram_gb"]
        passed, rejected = [], []
        for model in sorted(catalog.models(), key=lambda row: -row.total_params_exact):
            needs, reasons, duties = self._judge(model, size, s)
            shown = "–" if needs is None else f"{units.gb(needs):,.1f}"
            if reasons:
                rejected.append([model.name, f"✗ {'; '.join(reasons)}"])
            else:
                passed.append([model.name, shown, f"{model.total_params_b:,.1f}", f"{choosing.windows(model)[0]:,}",
                               ", ".join(duties) or "none"])  # fmt: skip
        usable = vram.usable_bytes(size)
        headline = f"{'✓' if passed else '✗'} {len(passed)} of {len(passed) + len(rejected)} models pass"
        first = catalog.model(passed[0][0]) if passed else None
        formula = (
            f"passes = memory of the fullest card up to {units.gb(usable):,.1f} GB (90 % of {size:g} GiB), and a native "
            f"context of {s.tokens:,} tokens or more, and a licence that grants the use, and the task"
        )
        if first and first.active_params_b < first.total_params_b:
            fake = units.gb(first.active_params_b * 1e9 / 2)
            mistake = f"only the active parameters of {first.name} at 4 bits would be {fake:,.1f} GB; all of them must be loaded."
        else:
            bare = sum(1 for model in catalog.models() if _weights(model, s.format, s.tp) <= usable)
            mistake = f"comparing weights with the card alone would let {bare} models pass, not {len(passed)}."
        header = ("model", "GB on the fullest card", "billion parameters", "native context", "duties of the licence")
        values = {"passed": [catalog.model(row[0]).id for row in passed], "rejected": {
            catalog.model(name).id: why.removeprefix("✗ ") for name, why in rejected}}  # fmt: skip
        more = (f"{len(rejected)} models that do not pass, and why", rejected, ("model", "why not"))
        used = (
            presets.used_card(card),
            f"models: fact base of {catalog.checked_on()}, licences: a summary, no legal advice",
        )
        rows = passed or [["none", "–", "–", "–", "–"]]
        return Answer(headline, rows, formula, mistake, header, used, more=more, values=values)

    def _judge(self, model, size: float, s: SimpleNamespace) -> tuple:
        """Bytes on the fullest card (None when the model cannot be split so), reasons against it, duties."""
        reasons, needs = [], None
        try:
            found = vram.vram(model, s.tokens, s.users, _format(model, s.format), tp=s.tp)
            needs = found.worst.total
            if not found.fits(size):
                reasons.append(f"memory: {units.gb(needs):,.1f} GB, usable {units.gb(vram.usable_bytes(size)):,.1f}")
        except ValueError as error:  # a split or a format that this model has not is a reason, not a failure
            reasons.append(f"memory: {error}")
        native, longest = choosing.windows(model)
        if s.tokens > native:
            extended = f", {longest:,} only when extended" if longest >= s.tokens > native else ""
            reasons.append(f"context: {native:,} native{extended}")
        duties: list[str] = []
        if not any(model.id in licence["models"] for licence in choosing.licences()):
            reasons.append("licence: not in the licence table")
        else:
            use = dict(commercial=s.use == "commercial", domicile=s.domicile, users_at_release=s.monthly,
                       users=s.monthly, revenue_usd=0)  # fmt: skip
            granted, duties = choosing.decide(choosing.terms(model.id), use)
            if granted != "yes":
                said = "does not grant this use" if granted == "no" else "asks for a grant of its own"
                reasons.append(f"licence: {choosing.licence_of(model.id)['name']} {said}")
        if s.task != ANY and model.id not in {row[0] for row in choosing.SCORES if row[1] == s.task}:
            reasons.append(f"task: no {s.task} score in the fact base")
        return needs, reasons, duties


class GPUPicker(Calculator):
    """Cards that hold a model for so many users, with price and speed ceiling, and why the others do not."""

    title = "Which card?"
    purpose = "The fewest cards of each kind that hold model and caches, the cheapest first."
    caption = "Cards that hold it"

    def fields(self):
        return [
            presets.model_field(),
            presets.format_field(),
            Number("tokens", "Context of each user, tokens", 8192, 1, 100_000_000),
            Number("users", "Users at once", 4, 1, 100_000),
            Choice("cache", "Cache format", CACHE_FORMATS, "bf16"),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        model = catalog.model(s.model)
        sold = [row for row in catalog.gpus() if row.get("vram_gb")]
        found = sorted(vram.cheapest(model, sold, s.tokens, s.users, s.format, s.cache), key=_price_order)
        rows, rejected, values, used = [], [], {}, [presets.used_record(model)]
        for option in found:
            row = catalog.gpu(option.card)
            name = f"{option.gpus} × {option.card}"
            if not option.fits:
                rejected.append([option.card, f"✗ {option.reason}"])
                continue
            speed, all_users = _speed(model, row, option.gpus, s)
            low_high = presets.price(row)
            times = 1 if row.get("gpus") else option.gpus
            money = (
                "not known" if low_high is None else " to ".join(f"{p * times:,.0f}" for p in dict.fromkeys(low_high))
            )
            rows.append([
                name, f"{units.gb(option.needs):,.1f} of {units.gb(option.usable):,.1f}", money, speed,
            ])  # fmt: skip
            values[row.id] = {
                "gpus": option.gpus,
                "needs": option.needs,
                "usd": option.price_usd,
                "tokens_per_s": all_users,
            }
            used.append(presets.used_card(row))
        headline = (
            f"✓ {len(rows)} of {len(found)} kinds of card hold it; first: {rows[0][0]}"
            if rows
            else "✗ No card holds it"
        )
        one = vram.vram(model, s.tokens, s.users, s.format, s.cache)
        weights, kept = one.worst["weights"], one.worst["cache"]
        formula = (
            f"on one GPU: {units.gb(weights):,.2f} weights + {units.gb(kept):,.2f} cache of {count(s.users, 'user')} + "
            f"{units.gb(one.total - weights - kept):,.2f} runtime = **{units.gb(one.total):,.2f} GB**; usable is 90 % of a card"
        )
        single = vram.vram(model, s.tokens, 1, s.format, s.cache).total
        mistake = (
            f"one cache for all: with a single user it would be {units.gb(single):,.2f} GB; every further user adds a cache of "
            f"{units.gb(cache(model, s.tokens, 1, s.cache).total):,.2f} GB."
        )
        header = ("cards", "GB on each, of usable", "USD", "tokens a second, at most (all users)")
        more = (f"{len(rejected)} kinds of card that do not hold it, and why", rejected, ("card", "why not"))
        shown = rows or [["none", "–", "–", "–"]]
        notes = ("Prices are those of the cards at their dates, hosts not counted; systems are bought whole.",)
        return Answer(headline, shown, formula, mistake, header, tuple(used), notes, more=more, values=values)


def _price_order(option) -> tuple:
    """Cheap ones first, a price range by its lower end; then those whose price nobody knows."""
    row = catalog.gpu(option.card)
    found = presets.price(row)
    return (found is None, found[0] * (1 if row.get("gpus") else option.gpus) if found else 0)


def _format(model, name: str) -> str:
    """The format asked for; "awq" stands for the 4-bit format that the model really has."""
    return choosing.OTHER_4_BIT.get(model.id, name) if name == "awq" else name


def _weights(model, name: str, tp: int) -> float:
    """Bytes of the weights on each of `tp` cards, divided evenly; infinite where the format packs nothing of the model."""
    try:
        return vram.vram(model, 1, 1, _format(model, name)).worst["weights"] / tp
    except ValueError:
        return float("inf")


def _speed(model, row, gpus: int, s: SimpleNamespace) -> tuple[str, float | None]:
    """The decode ceiling in words and as tokens a second of all users; by memory alone where no tensor rate is known."""
    one = presets.one_gpu(row)
    if one["tflops"] and one["bandwidth_gbs"]:
        top = throughput.roofline(
            model, row, tokens=s.tokens, batch=s.users, format=s.format, cache_dtype=s.cache, tp=gpus
        ).tokens_per_s
        return f"{top:,.1f}", top
    if not one["bandwidth_gbs"]:
        return "not known", None
    read = throughput.touched_weights(model, s.users, s.format).total
    kept = cache(model, s.tokens, s.users, s.cache).total
    top = s.users / throughput.decode_seconds(read, kept, one["bandwidth_gbs"] * 1e9)
    return f"{top:,.1f} (memory alone)", top
