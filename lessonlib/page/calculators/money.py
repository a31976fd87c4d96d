"""Money: tokens by API, own hardware against it, a table over uses and prices, electricity."""

from __future__ import annotations

from types import SimpleNamespace

from lessonlib.calc import cost
from lessonlib.facts import catalog

from . import presets
from .base import Answer, Calculator, percent
from .drawings import Line, Point, log_plot, short
from .fields import OWN, Choice, Number

SLIP = "list price of the input alone"


class APICostCalculator(Calculator):
    """What tokens by API cost a day, a month and a year, and one request of them."""

    title = "Cost of an API"
    purpose = "Input and output have prices of their own; the blend weighs them by how much you use of each."
    PRESETS = ("api",)

    def fields(self):
        return [
            *presets.price_fields(),
            Number("tokens_per_day", "Tokens a day, input and output", 1_000_000, 0, 1e15, whole=False),
            Number("days", "Days a month", 30, 1, 31),
        ]

    def fill(self, key, value):
        return presets.api_fill(value)

    def answer(self, s: SimpleNamespace) -> Answer:
        blend = cost.blend(s.input_usd, s.output_usd, s.ratio)
        day = cost.daily(s.tokens_per_day, blend)
        month = cost.monthly(s.tokens_per_day, blend, s.days)
        rows = [
            ["blended price of a million tokens", usd(blend)],
            ["a day", usd(day)],
            ["a month", usd(month)],
            ["twelve months", usd(12 * month)],
        ]
        formula = (
            f"blend = ({s.ratio:g} × {s.input_usd:g} + {s.output_usd:g}) / ({s.ratio:g} + 1) = **{usd(blend)}** per million\n"
            f"month = {s.tokens_per_day:,.0f} tokens × {s.days} days / 1,000,000 × {blend:,.4g} = **{usd(month)}**"
        )
        wrong = cost.monthly(s.tokens_per_day, s.input_usd, s.days)
        mistake = f"the {SLIP} would make it {usd(wrong)} a month{_times(month, wrong)}."
        headline = f"{usd(month)} a month at {usd(blend)} per million tokens"
        values = {"blend": blend, "day": day, "month": month, "year": 12 * month}
        return Answer(headline, rows, formula, mistake, used=_used_api(s.api), values=values)


class CrossoverCalculator(Calculator):
    """Monthly cost over tokens a day: by API, and on an own node, which must also be able to make so many tokens."""

    title = "API or own node"
    purpose = "Where both cost the same, and whether one node can serve that many tokens at all."
    PRESETS = ("api",)

    def fields(self):
        dgx, rack = presets.priced("hosting", "dgx-h100-system"), presets.priced("hosting", "colocation-8xh100")
        return [
            *presets.price_fields(),
            Number("hardware_usd", "Price of the node, USD", float(dgx.usd), 0, 1e12, whole=False),
            Number("months", "Months of use", dgx.life_months, 1, 600),
            Number("site_usd", "Site, network, power, USD a month", float(rack.usd_month), 0, 1e12, whole=False),
            Number("people_usd", "People, USD a month", 0.0, 0, 1e12, whole=False),
            Number("own_usd", "Own cost per million tokens, USD", 0.0, 0, 1e6, whole=False),
            Number("node_rate", "Tokens a second of the node", 1000.0, 0.001, 1e12, whole=False),
            Number("hours", "Hours of work a day", 24.0, 0.1, 24, whole=False),
            Number("tokens_per_day", "My tokens a day", 1_000_000, 1, 1e15, whole=False),
        ]

    def fill(self, key, value):
        return presets.api_fill(value)

    def answer(self, s: SimpleNamespace) -> Answer:
        blend = cost.blend(s.input_usd, s.output_usd, s.ratio)
        parts = cost.hosting(s.hardware_usd, s.months, colocation_usd_month=s.site_usd, people_usd_month=s.people_usd)
        fixed = parts.total
        found = cost.crossover_check(fixed, blend, s.node_rate, own_usd_per_million=s.own_usd, hours_per_day=s.hours)
        capacity = s.node_rate * s.hours * 3600
        api = cost.monthly(s.tokens_per_day, blend)
        own = fixed + cost.monthly(s.tokens_per_day, s.own_usd)
        cheaper = "the API" if api < own else "the own node"
        busy = s.tokens_per_day / capacity
        rows = [
            ["one node, fixed cost a month", usd(fixed)],
            ["both cost the same at", f"{found.tokens_per_day:,.0f} tokens a day"],
            ["that needs, in working hours", f"{found.needed_tokens_per_s:,.0f} tokens a second"],
            ["one node makes", f"{s.node_rate:,.0f} tokens a second, {capacity:,.0f} a day"],
            ["my tokens by API, a month", usd(api)],
            ["my tokens on the node, a month", f"{usd(own)}, {percent(busy)} of its capacity"],
        ]
        if found.reachable:
            headline = f"✓ Both cost the same at {short(found.tokens_per_day)} tokens a day; one node can serve that."
        else:
            headline = (
                f"✗ Both would cost the same at {short(found.tokens_per_day)} tokens a day, but one node never gets there "
                f"(at most {short(capacity)}), and each further node brings its cost, too."
            )
        per = f"({blend:,.4g} − {s.own_usd:g})" if s.own_usd else f"{blend:,.4g}"
        formula = (
            f"fixed = {s.hardware_usd:,.0f} / {s.months} + {s.site_usd:,.0f} + {s.people_usd:,.0f} = **{usd(fixed)}** a month\n"
            f"crossing = {fixed:,.0f} / {per} × 1,000,000 / 30 = **{found.tokens_per_day:,.0f} tokens a day**"
        )
        bare = cost.crossover(parts["hardware"], blend, s.own_usd) if parts["hardware"] else 0
        mistake = (
            f"counting the hardware alone would put the crossing at {short(bare)} tokens a day; and a crossing is "
            f"worth nothing above the {short(capacity)} tokens a day that the node can make."
        )
        notes = (f"At {short(s.tokens_per_day)} tokens a day {cheaper} is cheaper.",)
        used = (*_used_api(s.api), *(presets.used_price(presets.priced("hosting", name))
                                     for name in ("dgx-h100-system", "colocation-8xh100")))  # fmt: skip
        values = {
            "blend": blend, "fixed": fixed, "tokens_per_day": found.tokens_per_day, "capacity": capacity,
            "nodes": found.nodes, "reachable": found.reachable, "api": api, "own": own,
        }  # fmt: skip
        drawing = self._drawing(s, blend, fixed, found, capacity)
        return Answer(headline, rows, formula, mistake, used=used, notes=notes, drawing=drawing, values=values)

    def _drawing(self, s, blend, fixed, found, capacity):
        cross = found.tokens_per_day
        at_cross = fixed + cost.monthly(cross, s.own_usd)
        ends = [cross, capacity, s.tokens_per_day]
        low, high = max(min(ends) / 30, 1), max(ends) * 10
        steps = [low * (high / low) ** (n / 40) for n in range(41)]
        if not fixed or not blend:
            return None
        lines = [
            Line("API", [(x, cost.monthly(x, blend)) for x in steps]),
            Line(
                "own node",
                [(x, fixed + cost.monthly(x, s.own_usd)) for x in (*(y for y in steps if y < capacity), capacity)],
            ),
        ]
        lines = [line for line in lines if len(line.points) > 1]
        points = [Point("same cost", cross, at_cross)]
        marks = (
            (f"one node at its limit: {short(capacity)}", capacity),
            (f"mine: {short(s.tokens_per_day)}", s.tokens_per_day),
        )
        svg = log_plot(lines, points, "tokens a day", "USD a month", marks)
        alt = (
            f"Cost a month over tokens a day, both axes logarithmic. The API line rises from {usd(lines[0].points[0][1])}; "
            f"the node is level at {usd(fixed)} and ends at {short(capacity)} tokens a day, its limit. The lines cross at "
            f"{short(cross)} tokens a day, {'within' if found.reachable else 'beyond'} that limit."
        )
        return svg, alt


class SensitivityTable(Calculator):
    """Cost a month over uses and prices: what changes when either is another."""

    title = "Cost over use and price"
    purpose = "One table of months: uses in rows, prices of a million tokens in columns."
    caption = "USD a month"
    USES = (("light", 1e5), ("moderate", 5e5), ("heavy", 1e6), ("power", 5e6))

    def fields(self):
        uses = [
            Number(f"use_{n}", f"Use {n}, tokens a day", use, 0, 1e15, whole=False)
            for n, (_, use) in enumerate(self.USES, 1)
        ]
        prices = [
            Number(f"price_{n}", f"Price {n}, USD per million", price, 0, 1e6, whole=False)
            for n, price in enumerate((5.0, 10.0, 15.0), 1)
        ]
        return [*uses, *prices, Number("days", "Days a month", 30, 1, 31)]

    def answer(self, s: SimpleNamespace) -> Answer:
        uses = [getattr(s, f"use_{n}") for n in range(1, len(self.USES) + 1)]
        prices = [getattr(s, f"price_{n}") for n in (1, 2, 3)]
        table = cost.sensitivity({f"use {n}": use for n, use in enumerate(uses, 1)}, prices, s.days)
        rows = [
            [f"{use:,.0f} tokens a day", *(f"{row[p]:,.2f}" for p in prices)]
            for use, row in zip(uses, table.values(), strict=True)
        ]
        header = ("use", *(f"at {p:g} USD per million" for p in prices))
        all_usd = [usd_ for row in table.values() for usd_ in row.values()]
        headline = f"Between {usd(min(all_usd))} and {usd(max(all_usd))} a month"
        use, price = uses[0], prices[0]
        right = cost.monthly(use, price, s.days)
        formula = f"{use:,.0f} tokens a day × {s.days} days / 1,000,000 × {price:g} USD = **{usd(right)}** (first cell)"
        mistake = f"forgetting the days: a day's tokens alone would make the first cell {usd(cost.daily(use, price))}."
        values = {"table": [[row[p] for p in prices] for row in table.values()], "uses": uses, "prices": prices}
        return Answer(headline, rows, formula, mistake, header, values=values)


class ElectricityCalculator(Calculator):
    """What electricity of a card or machine costs: rated power, hours, how busy it is, and the building around it."""

    title = "Electricity"
    purpose = "A rating is a limit: what the meter shows depends on hours, load and cooling."
    PRESETS = ("card", "tariff")

    def fields(self):
        cards = tuple((row.name, row.id) for row in catalog.gpus() if row.get("board_power_w"))
        tariffs = tuple((f"{p.id} ({p.as_of})", p.id) for p in catalog.prices() if p.group == "electricity")
        own = (("my own numbers", OWN),)
        return [
            Choice("card", "Machine", (*cards, *own), "rtx-4090", find=lambda name: catalog.gpu(name).id),
            Number("watts", "Rated power, W", 450.0, 0, 1e9, whole=False),
            Choice("tariff", "Tariff", (*tariffs, *own), "us-low-cost"),
            Number("usd_kwh", "USD per kWh", 0.12, 0, 100, whole=False),
            Number("hours", "Hours a day", 24.0, 0, 24, whole=False),
            Number("days", "Days", 365, 1, 366),
            Number("load", "Mean load, % of the rating", 100.0, 0.1, 100, whole=False),
            Number("pue", "PUE of the building", 1.0, 1, 5, whole=False),
        ]

    def fill(self, key, value):
        if value == OWN:
            return {}
        if key == "card":
            return {"watts": float(catalog.gpu(value).board_power_w)}
        return {"usd_kwh": float(catalog.price(value, "electricity").usd_kwh)}

    def answer(self, s: SimpleNamespace) -> Answer:
        found = cost.electricity(s.watts, s.usd_kwh, s.hours, s.days, s.load / 100, s.pue)
        rows = [["energy", f"{found.kwh:,.1f} kWh"], *[[name, usd(value)] for name, value in found.items()]]
        rows += [["together", usd(found.total)]] if len(found) > 1 else []
        formula = (
            f"{s.watts:g} W / 1,000 × {s.hours:g} hours × {s.days} days × {s.load:g} % × {s.pue:g} PUE = {found.kwh:,.1f} kWh\n"
            f"{found.kwh:,.1f} kWh × {s.usd_kwh:g} USD = **{usd(found.total)}**"
        )
        full = cost.electricity(s.watts, s.usd_kwh, pue=s.pue).total
        if round(full, 2) != round(found.total, 2):
            mistake = f"the rating around the clock for a year would give {usd(full)}{_times(found.total, full)}."
        else:
            half = cost.electricity(s.watts, s.usd_kwh, s.hours, s.days, 0.5, s.pue).total
            mistake = f"a rating is no meter: at half load the same year costs {usd(half)}, not {usd(full)}."
        used = []
        if s.card != OWN:
            used.append(presets.used_record(catalog.gpu(s.card)))
        if s.tariff != OWN:
            used.append(presets.used_price(catalog.price(s.tariff, "electricity")))
        headline = f"{usd(found.total)} for {s.days} days"
        values = {"usd": found.total, "kwh": found.kwh}
        return Answer(headline, rows, formula, mistake, used=tuple(used), values=values)


def usd(amount: float) -> str:
    """An amount of money in words."""
    return f"USD {amount:,.2f}" if abs(amount) < 1000 else f"USD {amount:,.0f}"


def _times(right: float, wrong: float) -> str:
    return f", {wrong / right:,.2g} times the right figure" if right else ""


def _used_api(name: str) -> tuple[str, ...]:
    return (presets.used_price(catalog.price(name, presets.API)),) if name != OWN else ()
