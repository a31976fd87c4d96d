"""Inputs of lesson 01's checks, and comparisons that know the values which the usual mistakes make."""

from __future__ import annotations

import copy
import math
from collections.abc import Set
from numbers import Number

from ..labs import why_self_host as lab
from .core import CheckFailed, expect, expect_all, same

CENT, TOKEN = 0.00501, 1.0  # how far rounding may move an amount of USD, and a number of tokens


# Inputs, made from the check's own random numbers.


def prices(rng) -> dict:
    small, large = rng.choice([0.5, 1.25, 2]), rng.choice([3, 5, 15])
    return {
        name: {"input": usd, "cached_input": usd / 10, "output": usd * rng.choice([4, 5, 6, 8])}
        for name, usd in (("small", small), ("large", large))
    }


def group(rng, model: str) -> dict:
    output = rng.randrange(20_000, 90_000, 1000)
    return {
        "people": rng.randint(3, 60), "model": model, "input_tokens": output * rng.choice([3, 4, 7, 10]),
        "output_tokens": output, "cached_share": rng.choice([0.25, 0.4, 0.6, 0.75]),
    }  # fmt: skip


def node(rng) -> dict:
    return {
        "price_usd": rng.randrange(5000, 250_000, 1000), "months": rng.choice([24, 36, 48]),
        "site_usd_month": rng.randrange(100, 4000, 50), "watts": rng.choice([450, 1150, 5600, 10_200]),
        "pue": rng.choice([1.15, 1.3, 1.5]), "usd_per_kwh": rng.choice([0.12, 0.17, 0.3]),
        "people_usd_month": rng.randrange(500, 6000, 100), "tokens_per_s": rng.randrange(100, 4000, 50),
        "hours_per_day": rng.choice([8, 10, 12]),
    }  # fmt: skip


def capacity(node) -> int:
    return node["tokens_per_s"] * node["hours_per_day"] * 3600


def crossing(rng, busy: float) -> tuple[dict, float]:
    """A node and an API price whose crossover is `busy` times what the node can make."""
    price = rng.choice([0.15, 0.5, 2.0, 5.0, 11.5])
    own = price * rng.choice([0.1, 0.2, 0.3])
    rate, hours = rng.randrange(200, 4000, 50), rng.choice([8, 10, 12])
    fixed = rate * hours * 3600 * busy * lab.MONTH * (price - own) / 1e6
    node = {"fixed_usd_month": fixed, "own_usd_per_million": own, "tokens_per_s": rate, "hours_per_day": hours}
    return node, price


def case(rng, tight: bool):
    """(decide, inputs, change): a team's own node against an API, near the crossover or far from it. Near it, adding 0.2 to a
    price turns the decision; far from it, a fifth of an input does: two mistakes that show nowhere else."""
    people, each = rng.randint(20, 80), rng.randrange(200_000, 2_000_000, 10_000)
    price = rng.choice([0.25, 0.5, 1.0] if tight else [0.5, 2.0, 5.0, 11.5])
    own = price * rng.choice([0.05, 0.1])
    saved = people * each * lab.MONTH * (price - own) / 1e6
    near = rng.uniform(1.05, 1.15) if tight else rng.uniform(3, 4.5)
    fixed = saved * near if rng.random() < 0.5 else saved / near
    inputs = {
        "people": people, "tokens_per_person_day": each, "usd_per_million": price, "fixed_usd_month": fixed,
        "own_usd_per_million": own,
    }  # fmt: skip
    return lab.cheaper, inputs, 0.2


def threshold(rng):
    """(decide, inputs, change): a rule that some inputs turn by going up, others by going down, others not at all."""
    limits = {name: rng.choice([0.9, 1.1, 2.0]) for name in ("hours", "price", "staff")} | {"load": 0.9, "speed": 1.1}
    start = {name: rng.randint(10, 90) for name in limits}

    def decide(i):
        return (
            "own"
            if all((i[n] < start[n] * k) if k > 1 else (i[n] > start[n] * k) for n, k in limits.items())
            else "API"
        )

    return decide, start | {"colour": 7}, 0.2


# Comparisons: each knows the values that the usual mistakes make.


def real(got):
    """A number of any type as a float, an array as a list; what is none stays as it is."""
    if isinstance(got, Number) and not isinstance(got, (bool, complex)):
        return float(got)
    if type(got).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(got, "tolist"):
        return got.tolist()
    return got


def amount(got, want, what: str, mistakes=(), cent: float = CENT) -> None:
    got = real(got)
    if not _near(got, want, cent):
        expect(got, want, what, mistakes=mistakes, rel=1e-6)


def _near(got, want, cent: float = CENT) -> bool:
    return type(got) is float and math.isfinite(got) and abs(got - want) <= cent


def pair(got, of: str = "USD a month and USD per million tokens") -> tuple:
    got = real(got)
    if not isinstance(got, (tuple, list)) or len(got) != 2:
        raise CheckFailed(f"The answer must be two numbers: {of}.", expected="a pair", got=got)
    return tuple(got)


def compare_bills(answer, *asked) -> None:
    """Bills of (groups, prices, days): first all amounts, then all blended prices; a mistake must explain every bill."""
    for rows in zip(*(_bill_rows(answer, *one) for one in asked), strict=True):
        rounded = [(what, want if _near(real(got), want) else real(got), want, why) for what, got, want, why in rows]
        expect_all(rounded, rel=1e-6)


def _bill_rows(answer, groups, prices, days) -> tuple[tuple, tuple]:
    want = lab.team_bill(groups, prices, days)
    usd, blend = pair(answer(copy.deepcopy(groups), copy.deepcopy(prices), days))
    first = groups[0]["model"]

    def slip(change_group=lambda g: g, change_price=lambda p: p, length=days):
        changed = {name: change_price(price) for name, price in prices.items()}
        return lab.team_bill([{**g, **change_group(g)} for g in groups], changed, length)

    uncached = slip(change_price=lambda p: {**p, "cached_input": p["input"]})
    free = slip(change_price=lambda p: {**p, "cached_input": 0})
    swapped = slip(change_price=lambda p: {**p, "input": p["output"], "output": p["input"]})
    cached_output = slip(lambda g: {"output_tokens": g["output_tokens"] * (1 - g["cached_share"])})[
        0
    ] + sum(  # fmt: skip
        g["people"] * days * g["output_tokens"] * g["cached_share"] * prices[g["model"]]["cached_input"] / 1e6
        for g in groups
    )
    reasons = [
        (uncached[0], "cached input was billed at the full input price"),
        (free[0], "cached input is cheap, not free"),
        (slip(lambda g: {"cached_share": 1 - g["cached_share"]})[0], "cached and fresh input are exchanged"),
        (swapped[0], "the prices of input and output are exchanged"),
        (cached_output, "the share is one of the input: answers are never cached"),
        (
            slip(lambda g: {"model": first})[0],
            "all groups were billed by the first tariff: each group has its own model",
        ),
        (slip(lambda g: {"people": 1})[0], "that is one person of each group: multiply by people"),
        (want[0] * 1000, "that takes prices per thousand tokens: they are per million"),
        (slip(length=30)[0], "that is 30 days: the month has `days` days"),
        (slip(length=365 / 12)[0], "that is a twelfth of a year: the month has `days` days"),
        (want[0] / days, "that is one day"),
    ]
    what = f"The bill of {len(groups)} group{'s' if len(groups) > 1 else ''}, in USD for {days} days."
    blended = "The price of a million tokens, input and output together."
    return (what, usd, want[0], reasons), (blended, blend, want[1], blends(groups, prices, want))


def blends(groups, prices, want) -> list:
    """(value, reason) for wrong blended prices."""
    lists = [prices[g["model"]] for g in groups]
    each = [lab.team_bill([g], prices, 1)[1] for g in groups]
    output = sum(g["people"] * g["output_tokens"] for g in groups)
    both = sum(g["people"] * (g["input_tokens"] + g["output_tokens"]) for g in groups)
    middle = [(p["input"] + p["output"]) / 2 for p in lists]
    thirds = [(2 * p["input"] + p["output"]) / 3 for p in lists]
    return [
        (sum(middle) / len(lists), "that is the plain mean of two prices: weigh them with the tokens"),
        (middle[0], "that is the plain mean of two prices: weigh them with the tokens"),
        (sum(thirds) / len(lists), "two to one is an example: this team has a ratio of its own"),
        (sum(each) / len(each), "that is the mean over groups: divide all USD by all tokens, large groups weigh more"),
        (want[1] * both / output, "that divides by the answers alone: input tokens are tokens too"),
        (want[1] * both / (both - output), "that divides by the input alone: answers are tokens too"),
        (want[1] / 1e6, "that is one token: prices are per million"),
        (want[1] / 1e3, "that is a thousand tokens: prices are per million"),
        (1e6 / want[1], "that is tokens for a dollar: turn the fraction over"),
    ]


def compare_month(answer, node, tokens_per_day) -> None:
    tokens_per_day = math.floor(tokens_per_day)
    want_nodes, want = lab.own_month(node, tokens_per_day)
    nodes, usd = pair(answer(dict(node), tokens_per_day), "whole nodes and USD a month")
    exact = tokens_per_day / capacity(node)
    what = f"Nodes for {tokens_per_day:,} tokens a day, where one makes {capacity(node):,}."
    expect(
        real(nodes), want_nodes, what,
        mistakes=[
            (0, "a running service has at least one node" if not exact else "rounded down: the demand needs a node"),
            (max(1, math.floor(exact)), "rounded down: the rest of the demand needs a node too"),
            (math.floor(exact), "rounded down: the rest of the demand needs a node too"),
            (math.floor(exact) + 1, "a demand that just fits needs no further node"),
            (exact, "nodes are whole: a part of one cannot be bought"),
            (max(1, exact), "nodes are whole: a part of one cannot be bought"),
            (max(1, math.ceil(exact * node["hours_per_day"] / 24)), "the demand comes in hours_per_day, not around the clock"),
            (1, "one node cannot serve that: check its limit"),
        ],
    )  # fmt: skip
    hardware, site = node["price_usd"] / node["months"], node["site_usd_month"]
    power, people = node["watts"] / 1000 * 24 * lab.MONTH * node["pue"] * node["usd_per_kwh"], node["people_usd_month"]

    def total(hardware=hardware, power=power, people=people, site=site, n=want_nodes):
        return n * (hardware + site + power) + people

    reasons = [
        (total(power=power * 1000), "watts were taken as kilowatts: divide by 1000"),
        (total(power=power / node["pue"]), "the PUE is missing: the building draws more than the node"),
        (total(power=power / node["pue"] ** 2), "the PUE multiplies: the building draws more than the node, not less"),
        (
            total(power=power * node["hours_per_day"] / 24),
            "a node draws power around the clock, not in working hours only",
        ),
        (total(power=power * 365 / 12 / lab.MONTH), "a month has 30 days here, not a twelfth of a year"),
        (total(power=power / lab.MONTH), "that is one day of electricity"),
        (total(power=0), "the electricity is missing"),
        (total(hardware=node["price_usd"]), "the whole purchase stands in one month: spread it over its months"),
        (total(hardware=node["price_usd"] / 12), "a purchase is spread over its `months`, not over a year"),
        (total(people=people * want_nodes), "people are paid once, not for each node"),
        (total(people=0), "the people are missing"),
        (total(site=0), "the site is missing"),
        (total(n=1), "that is one node: each further one costs as much"),
        (total(n=exact), "nodes are whole: a part of one cannot be bought"),
    ]
    amount(usd, want, f"USD a month of {want_nodes} node{'s' if want_nodes > 1 else ''}.", reasons)


def compare_crossover(answer, node, usd_per_million) -> None:
    want = lab.crossover(node, usd_per_million)
    got = answer(dict(node), usd_per_million)
    fixed, own = node["fixed_usd_month"], node["own_usd_per_million"]
    saved, limit = usd_per_million - own, capacity(node)
    what = f"API {usd_per_million:g}, own token {own:.3g} USD per million, fixed {fixed:,.2f} USD a month."
    if want is None:
        if got is None:
            return
        reason = f"one node makes at most {limit:,} tokens a day in its hours: it never gets to the crossover"
        if saved <= 0:
            reason = "an own token costs as much as one of the API: nothing is saved, at no number of tokens"
        elif same(real(got), float(limit), 1e-6):
            reason = "the limit is no crossover: there the node is still dearer, so the answer is None"
        raise CheckFailed(what, expected=None, got=got, reason=reason)
    if got is None:
        reason = f"{want:,.0f} tokens a day are within the node's {limit:,}: it can serve its crossover"
        raise CheckFailed(what, expected=want, got=got, reason=reason)
    per_day = 1e6 / lab.MONTH
    reasons = [
        (
            fixed / usd_per_million * per_day,
            "own tokens cost electricity: only the difference of the two prices is saved",
        ),
        (fixed / (usd_per_million + own) * per_day, "the own cost of a token makes the saving smaller, not larger"),
        (fixed / saved * 1e6, "that is a month of tokens: the answer is for a day"),
        (fixed / saved * 1e6 / (365 / 12), "a month has 30 days here, not a twelfth of a year"),
        (fixed / saved * 1e3 / lab.MONTH, "that takes prices per thousand tokens: they are per million"),
        (fixed / saved / lab.MONTH, "that is in millions of tokens: return tokens"),
        (saved / fixed * per_day, "the fraction is upside down: fixed cost over what a token saves"),
        (want * (node["hours_per_day"] / 24), "the hours matter for the limit, not for the crossover"),
    ]
    amount(got, want, f"{what} Tokens a day at the crossover.", reasons, cent=TOKEN)


def names(got) -> list:
    got = real(got)
    if not isinstance(got, (list, tuple, Set, dict)) or not all(isinstance(n, str) for n in got):
        raise CheckFailed("The answer must be a list of names.", expected='a list such as ["people"]', got=got)
    return sorted(got)


def flips_row(answer, decide, inputs, change) -> tuple:
    """One call of the learner's function, for `expect_all`."""
    given = dict(inputs)
    got = names(answer(decide, given, change))
    if given != inputs:
        raise CheckFailed(
            "Your function changed the inputs that it was given.", reason="change a copy, one input at a time"
        )
    base = decide(inputs)

    def turned(*steps):
        return sorted(n for n, v in inputs.items() if any(decide({**inputs, n: step(v)}) != base for step in steps))

    up, down = (lambda v: v * (1 + change)), (lambda v: v * (1 - change))
    want = turned(up, down)
    both = [n for n in want if n in turned(up) and n in turned(down)]
    mistakes = [
        (
            [],
            "nothing turned: the decision must be asked again after each change, and one direction is enough, up or down",
        ),
        (sorted(inputs), "every input moves the bill, but not every one turns the decision"),
        (sorted(set(inputs) - set(want)), "those are the ones that do not turn it"),
        (turned(up), "only upwards: going down may turn it too"),
        (turned(down), "only downwards: going up may turn it too"),
        (sorted(both), "one direction is enough: up or down, not both"),
        (
            turned(lambda v: v + change, lambda v: v - change),
            "the change is a share: multiply by 1 + change, do not add it",
        ),
        (turned(lambda v: v * change), "that takes a share of the value, instead of changing it by a share"),
    ]
    return f"Inputs that turn the decision {base!r} when changed alone by {change:.0%}.", got, want, mistakes
