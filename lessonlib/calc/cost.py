"""What tokens cost by API, what a machine costs, and where the two cross. All money is USD, all prices per million tokens.

Formulas as in the fact base (`worked` in prices.yaml): blended = (ratio x input + output) / (ratio + 1), monthly =
tokens a day x days / 1e6 x price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from .breakdown import Breakdown
from .units import positive

MILLION = 10**6


@dataclass(frozen=True)
class Price:
    """USD per million tokens. `cached_input` for prompt tokens read from the provider's cache (None: the full price),
    `batch` the factor of the batch service (None: there is none), `above` other prices for requests whose prompt is
    longer than so many tokens: {200_000: Price(...)}."""

    input: float
    output: float
    cached_input: float | None = None
    batch: float | None = None
    above: Mapping[int, Price] = field(default_factory=dict)

    def __post_init__(self):
        _money("input", self.input)
        _money("output", self.output)
        if self.cached_input is not None and _money("cached_input", self.cached_input) > self.input:
            raise ValueError(
                f"cached_input is {self.cached_input}, but must not be above the input price {self.input}."
            )
        if self.batch is not None:
            share("batch", self.batch)
        for tokens in self.above:
            positive("above", tokens)

    def at(self, prompt_tokens: int) -> Price:
        """The price of a request with so many prompt tokens: the highest tier that it is longer than, else this one."""
        passed = [limit for limit in self.above if prompt_tokens > limit]
        return self.above[max(passed)] if passed else self


@dataclass(frozen=True)
class Electricity(Breakdown):
    """USD of electricity by part, and the kWh that they pay for."""

    kwh: float = 0

    def as_dict(self) -> dict:
        """Plain data for JSON: as a breakdown, with the kWh."""
        return {"kWh": self.kwh, **super().as_dict()}


@dataclass(frozen=True)
class Crossover:
    """Own hardware against an API at one price. `tokens_per_day` is where both cost the same; `needed_tokens_per_s` is the
    rate that this means over the working hours; `nodes` is how many of the nodes that rate takes."""

    tokens_per_day: float
    needed_tokens_per_s: float
    node_tokens_per_s: float
    nodes: int

    @property
    def reachable(self) -> bool:
        """Whether the hardware whose price was compared can serve the crossover at all."""
        return self.nodes == 1


def price(record) -> Price:
    """The price of a row of the prices table (or a mapping with the same fields: input, output, and, where the provider
    has them, cached_input, batch and above: {tokens: {input, output}})."""
    if isinstance(record, str):
        raise ValueError(f"{record!r} is a name: look it up first, in catalog.table('prices') of lessonlib.facts.")
    get = record.get
    missing = [name for name in ("input", "output") if get(name) is None]
    if missing:
        raise ValueError(f"The price has no {' and no '.join(missing)}, USD per million tokens.")
    above = {int(limit): price(higher) for limit, higher in (get("above") or {}).items()}
    return Price(get("input"), get("output"), get("cached_input"), get("batch"), above)


def blend(input_usd: float, output_usd: float, ratio: float = 2) -> float:
    """USD per million tokens when `ratio` input tokens come with one output token:
    (ratio x input + output) / (ratio + 1)."""
    positive("ratio", ratio, whole=False, zero=True)
    return (ratio * _money("input_usd", input_usd) + _money("output_usd", output_usd)) / (ratio + 1)


def daily(tokens_per_day: float, usd_per_million: float) -> float:
    """USD a day: tokens / 1e6 x price."""
    return monthly(tokens_per_day, usd_per_million, days=1)


def monthly(tokens_per_day: float, usd_per_million: float, days: float = 30) -> float:
    """USD a month: tokens a day x days / 1e6 x price."""
    _amount("tokens_per_day", tokens_per_day)
    _amount("days", days)
    return tokens_per_day * days / MILLION * _money("usd_per_million", usd_per_million)


def request(
    price: Price, input_tokens: int, output_tokens: int, *, cached_tokens: int = 0, batch: bool = False
) -> Breakdown:
    """USD of one request by part: "input", "cached input" (of the `input_tokens`, those that the provider had cached) and
    "output", at the tier of the prompt's length."""
    positive("input_tokens", input_tokens, zero=True)
    positive("output_tokens", output_tokens, zero=True)
    if positive("cached_tokens", cached_tokens, zero=True) > input_tokens:
        raise ValueError(f"cached_tokens is {cached_tokens}, but there are only {input_tokens} input tokens.")
    tier = price.at(input_tokens)
    cached = tier.input if tier.cached_input is None else tier.cached_input
    if batch and tier.batch is None:
        raise ValueError("batch is True, but this price has no batch factor; give it one, like 0.5.")
    factor = (tier.batch if batch else 1) / MILLION
    parts = {"input": (input_tokens - cached_tokens) * tier.input * factor}
    if cached_tokens:
        parts["cached input"] = cached_tokens * cached * factor
    return Breakdown({**parts, "output": output_tokens * tier.output * factor}, unit="USD")


def sensitivity(
    tokens_per_day: Iterable[float] | Mapping[str, float], usd_per_million: Iterable[float], days: float = 30
) -> dict:
    """USD a month for every use (its name, or its tokens a day) and every price: {use: {price: usd}}."""
    uses = tokens_per_day.items() if isinstance(tokens_per_day, Mapping) else ((use, use) for use in tokens_per_day)
    prices = list(usd_per_million)
    return {name: {usd: monthly(use, usd, days) for usd in prices} for name, use in uses}


def energy(
    watts: float, *, hours_per_day: float = 24, days: float = 365, utilisation: float = 1, pue: float = 1
) -> float:
    """kWh: watts / 1000 x hours x days x utilisation x PUE.

    `utilisation` is the mean power over the rated one (0 to 1); PUE is the building's power over the machine's (1 and
    more)."""
    _amount("watts", watts)
    if _amount("hours_per_day", hours_per_day) > 24:
        raise ValueError(f"hours_per_day is {hours_per_day}, but a day has 24.")
    _amount("days", days)
    if positive("pue", pue, whole=False) < 1:
        raise ValueError(f"pue is {pue}, but a building draws at least what its machines draw: 1 or more.")
    return watts / 1000 * hours_per_day * days * share("utilisation", utilisation) * pue


def electricity(
    watts: float,
    usd_per_kwh: float,
    hours_per_day: float = 24,
    days: float = 365,
    utilisation: float = 1,
    pue: float = 1,
) -> Electricity:
    """USD of electricity, by default of a year around the clock: "machine" and, with a PUE above 1, "cooling and losses".

    The source lesson's yearly table is 0.10 USD/kWh, though it states 0.12 (claims S09-076 to S09-082)."""
    _money("usd_per_kwh", usd_per_kwh)
    machine = energy(watts, hours_per_day=hours_per_day, days=days, utilisation=utilisation)
    all_kwh = energy(watts, hours_per_day=hours_per_day, days=days, utilisation=utilisation, pue=pue)
    parts = {"machine": machine * usd_per_kwh}
    if pue > 1:
        parts["cooling and losses"] = (all_kwh - machine) * usd_per_kwh
    return Electricity(parts, unit="USD", kwh=all_kwh)


def electricity_per_million(watts: float, usd_per_kwh: float, tokens_per_s: float, pue: float = 1) -> float:
    """USD of electricity for a million tokens of a machine that makes `tokens_per_s` all the time:
    kW / 3600 / tokens a second x 1e6 x price of a kWh. Self-hosting is never free per token."""
    _money("usd_per_kwh", usd_per_kwh)
    seconds = MILLION / positive("tokens_per_s", tokens_per_s, whole=False)
    return energy(watts, hours_per_day=1, days=1, pue=pue) / 3600 * seconds * usd_per_kwh


def amortisation(price: float, months: float, residual: float = 0) -> float:
    """USD a month of a purchase over its life, in a straight line: (price - residual value) / months."""
    _money("price", price)
    if _money("residual", residual) > price:
        raise ValueError(f"residual is {residual}, but must not be above the price {price}.")
    return (price - residual) / positive("months", months, whole=False)


def hosting(
    hardware_usd: float,
    months: float,
    *,
    colocation_usd_month: float = 0,
    electricity_usd_month: float = 0,
    people_usd_month: float = 0,
    nodes: int = 1,
) -> Breakdown:
    """USD a month of `nodes` machines: "hardware" (amortised), "colocation", "electricity" (when the colocation does not
    contain it) for every node, and "people" once."""
    positive("nodes", nodes)
    parts = {
        "hardware": nodes * amortisation(hardware_usd, months),
        "colocation": nodes * _money("colocation_usd_month", colocation_usd_month),
        "electricity": nodes * _money("electricity_usd_month", electricity_usd_month),
        "people": _money("people_usd_month", people_usd_month),
    }
    return Breakdown({name: usd for name, usd in parts.items() if usd or name == "hardware"}, unit="USD")


def crossover(
    fixed_usd_month: float, usd_per_million: float, own_usd_per_million: float = 0, days: float = 30
) -> float:
    """Tokens a day at which own hardware costs what the API costs:
    fixed / (API price - own price) x 1e6 / days. `own_usd_per_million` is what each own token adds (electricity).

    ValueError when an own token costs as much as an API token: then they never cross."""
    _money("fixed_usd_month", fixed_usd_month)
    _money("usd_per_million", usd_per_million)
    if _money("own_usd_per_million", own_usd_per_million) >= usd_per_million:
        raise ValueError(
            f"An own token costs {own_usd_per_million} and an API token {usd_per_million} USD per million: "
            "own hardware never gets cheaper."
        )
    return fixed_usd_month / (usd_per_million - own_usd_per_million) * MILLION / positive("days", days, whole=False)


def sustained(tokens_per_day: float, hours_per_day: float = 24) -> float:
    """Tokens a second that a day's tokens mean over its working hours. Demand is never flat: peaks are higher."""
    _amount("tokens_per_day", tokens_per_day)
    if positive("hours_per_day", hours_per_day, whole=False) > 24:
        raise ValueError(f"hours_per_day is {hours_per_day}, but a day has 24.")
    return tokens_per_day / (hours_per_day * 3600)


def crossover_check(
    fixed_usd_month: float,
    usd_per_million: float,
    node_tokens_per_s: float,
    *,
    own_usd_per_million: float = 0,
    hours_per_day: float = 24,
    days: float = 30,
) -> Crossover:
    """The crossover, and whether the node that `fixed_usd_month` pays for can make so many tokens in the working hours.

    `node_tokens_per_s` counts the same tokens as the price does (a blended price counts prompt tokens too)."""
    tokens = crossover(fixed_usd_month, usd_per_million, own_usd_per_million, days)
    needed = sustained(tokens, hours_per_day)
    rate = positive("node_tokens_per_s", node_tokens_per_s, whole=False)
    return Crossover(tokens, needed, rate, max(1, ceil(needed / rate)))


def payback(price: float, saved_usd_month: float) -> float:
    """Months until a purchase has paid for itself: price / what it saves a month. ValueError when it saves nothing."""
    _money("price", price)
    if not saved_usd_month > 0:
        raise ValueError(f"saved_usd_month is {saved_usd_month!r}, but must be above 0: this purchase never pays back.")
    return price / positive("saved_usd_month", saved_usd_month, whole=False)


def programme(
    *,
    seats: int,
    tokens_usd_month: float | None = None,
    tokens_per_seat_day: float | None = None,
    usd_per_million: float | None = None,
    seat_usd_month: float = 0,
    people_usd_month: float = 0,
    other_usd_month: float = 0,
    days: float = 30,
) -> Breakdown:
    """USD a month of a whole programme: "tokens", "seats" (licences), "people" (who run and teach it), "other".

    Tokens as `tokens_usd_month`, or as `tokens_per_seat_day` and `usd_per_million`."""
    positive("seats", seats)
    if tokens_usd_month is None:
        if tokens_per_seat_day is None or usd_per_million is None:
            raise ValueError("Give tokens_usd_month, or tokens_per_seat_day and usd_per_million.")
        tokens_usd_month = monthly(seats * _amount("tokens_per_seat_day", tokens_per_seat_day), usd_per_million, days)
    parts = {
        "tokens": _money("tokens_usd_month", tokens_usd_month),
        "seats": seats * _money("seat_usd_month", seat_usd_month),
        "people": _money("people_usd_month", people_usd_month),
        "other": _money("other_usd_month", other_usd_month),
    }
    return Breakdown({name: usd for name, usd in parts.items() if usd or name == "tokens"}, unit="USD")


def multiple(total: Breakdown | float, tokens_usd: float | None = None) -> float:
    """How many times the token spend a whole programme costs. The source lesson's own table gives 2.7 to 13.3 (claim
    S01-007), not the 2 to 5 that it states."""
    if isinstance(total, Breakdown):
        total, tokens_usd = total.total, total["tokens"] if tokens_usd is None else tokens_usd
    if tokens_usd is None:
        raise ValueError("Give tokens_usd beside a total that is a plain number.")
    return _money("total", total) / positive("tokens_usd", tokens_usd, whole=False)


def share(name: str, value: float) -> float:
    """`value`, when it is above 0 and at most 1; ValueError in one sentence otherwise."""
    if positive(name, value, whole=False) > 1:
        raise ValueError(f"{name} is {value!r}, but must be a share: above 0 and at most 1.")
    return value


def _money(name: str, value: float) -> float:
    return positive(name, value, whole=False, zero=True)


def _amount(name: str, value: float) -> float:
    return positive(name, value, whole=False, zero=True)
