"""Checks of lesson 01: a team's bill, own nodes by the month, the crossover with a limit, and what turns a decision.

Amounts of money may be rounded to a cent, numbers of tokens to a whole one."""

from __future__ import annotations

import copy

from . import why_self_host_cases as cases
from .core import CheckFailed, check_for, expect_all, property_of


@check_for(
    "l01_e1",
    title="A team's bill, and its blended price",
    minutes=10,
    hints=[
        "Take one group first. Its prompt tokens are of two kinds, cached and not, and each kind has its own price; answers "
        "have a third. Which price list belongs to this group?",
        "USD of a group: people x days x (fresh input x input price + cached input x cached price + output x output price) / "
        "1,000,000. `cached_share` is a share of the input only.",
        "The blended price is no mean of prices and no mean of groups: all USD divided by all tokens (input and output), "
        "times a million.",
    ],
)
def check_bill(answer, rng):
    """One group, then a team of two models."""
    prices = cases.prices(rng)
    team = [cases.group(rng, "small"), cases.group(rng, "large")]
    cases.compare_bills(answer, ([cases.group(rng, "large")], prices, 21), (team, prices, 22))


@property_of("l01_e1", "random teams")
def bill_any(answer, rng):
    """Four teams of up to four groups."""
    for _ in range(4):
        groups = [cases.group(rng, rng.choice(["small", "large"])) for _ in range(rng.randint(2, 4))]
        cases.compare_bills(answer, (groups, cases.prices(rng), rng.choice([20, 21, 22, 28, 31])))


@property_of("l01_e1", "twice the people pay twice as much, at the same price per million")
def bill_scales(answer, rng):
    """Linearity in people."""
    prices, groups = cases.prices(rng), [cases.group(rng, "small"), cases.group(rng, "large")]
    twice = [{**g, "people": 2 * g["people"]} for g in groups]
    once, more = (cases.pair(answer(copy.deepcopy(g), copy.deepcopy(prices), 21)) for g in (groups, twice))
    cases.amount(more[0], 2 * cases.real(once[0]), "Twice the people, twice the bill.", cent=3 * cases.CENT)
    cases.amount(
        more[1], cases.real(once[1]), "Twice the people, the same price per million tokens.", cent=2 * cases.CENT
    )
    cases.compare_bills(answer, (twice, prices, 21))


@property_of("l01_e1", "with nothing cached and equal prices the blend is that price")
def bill_flat(answer, rng):
    """One price for all kinds of tokens."""
    usd = rng.randint(2, 30)
    flat = {name: {"input": usd, "cached_input": usd, "output": usd} for name in ("small", "large")}
    groups = [cases.group(rng, "small"), {**cases.group(rng, "large"), "cached_share": 0}]
    cases.compare_bills(answer, (groups, flat, 30))


@check_for(
    "l01_e2",
    title="Own nodes by the month",
    minutes=12,
    hints=[
        "Nodes first. What can one node make in the hours in which people work, and how many whole nodes does the demand "
        "need? A quarter of a node cannot be bought, and a running service has at least one.",
        "Each node costs price / months, its site, and electricity: watts / 1000 x 24 hours x 30 days x PUE x price of a "
        "kWh, since it draws power around the clock. People are paid once, however many nodes there are.",
        "math.ceil(tokens_per_day / (tokens_per_s * hours_per_day * 3600)) nodes, at least 1; then nodes x (hardware + site + "
        "electricity) + people.",
    ],
)
def check_month(answer, rng):
    """Below and above the limit of a node."""
    for least, most in ((0.2, 0.4), (4.1, 4.4)):  # beyond 4 nodes no two mistakes give one number
        node = cases.node(rng)
        cases.compare_month(answer, node, cases.capacity(node) * rng.uniform(least, most))


@property_of("l01_e2", "random nodes and demands")
def month_any(answer, rng):
    """Six cases."""
    for _ in range(6):
        node = cases.node(rng)
        cases.compare_month(answer, node, cases.capacity(node) * rng.uniform(0.05, 5))


@property_of("l01_e2", "a demand that just fits needs no further node, one token more does")
def month_at_the_limit(answer, rng):
    """Exactly full, and one token too many."""
    node, n = {**cases.node(rng), "tokens_per_s": rng.choice([250, 500, 1000]), "hours_per_day": 8}, rng.randint(2, 5)
    cases.compare_month(answer, node, n * cases.capacity(node))
    cases.compare_month(answer, node, n * cases.capacity(node) + 1)


@property_of("l01_e2", "idle machines cost as much: a tenth of the demand, the same month")
def month_of_an_idle_node(answer, rng):
    """Fixed cost, and the service that nobody uses yet."""
    node = cases.node(rng)
    cases.compare_month(answer, node, cases.capacity(node) * 0.05)
    cases.compare_month(answer, node, 0)


@check_for(
    "l01_e3",
    title="The crossover, with a limit",
    minutes=10,
    hints=[
        "What does one token save? Not the whole API price: an own token costs electricity too.",
        "Fixed cost a month / USD saved per token / 30 days = tokens a day. Prices are per million tokens.",
        "Two reasons for None: nothing is saved (own token as dear as the API's, or dearer), or the crossover lies above what "
        "the node makes in its working hours: tokens_per_s x hours_per_day x 3600.",
    ],
)
def check_crossover(answer, rng):
    """Reachable, out of reach, and never."""
    cases.compare_crossover(answer, *cases.crossing(rng, busy=rng.uniform(0.3, 0.6)))
    cases.compare_crossover(answer, *cases.crossing(rng, busy=rng.uniform(1.3, 1.9)))
    node, price = cases.crossing(rng, busy=0.5)
    cases.compare_crossover(answer, {**node, "own_usd_per_million": price * 1.5}, price)


@property_of("l01_e3", "random nodes within their limit")
def crossover_any(answer, rng):
    """Six nodes that get there."""
    for _ in range(6):
        cases.compare_crossover(answer, *cases.crossing(rng, busy=rng.uniform(0.05, 0.95)))


@property_of("l01_e3", "no crossover above the limit of the node")
def crossover_out_of_reach(answer, rng):
    """Nodes that do not get there in their hours, though some would around the clock."""
    for busy in (1.0001, 1.5, 2.5, 40):
        cases.compare_crossover(answer, *cases.crossing(rng, busy=busy))
    for busy in (0.9, 0.9999):
        cases.compare_crossover(answer, *cases.crossing(rng, busy=busy))


@property_of("l01_e3", "no crossover where an own token saves nothing")
def crossover_never(answer, rng):
    """As dear as the API, and dearer."""
    node, price = cases.crossing(rng, busy=0.5)
    for factor in (1, 1.01, 3):
        cases.compare_crossover(answer, {**node, "own_usd_per_million": price * factor}, price)
    cases.compare_crossover(answer, node, price)


@check_for(
    "l01_e4",
    title="What would turn the decision",
    minutes=8,
    hints=[
        "Ask for the decision on the inputs as they are. Then change one input at a time and ask again.",
        "Each input goes up by the share and, separately, down: value x (1 + change) and value x (1 - change). Either may "
        "turn the decision.",
        "Work on a copy: other = dict(inputs), then change other[name] alone and ask decide(other). So the next input starts "
        "from the original numbers.",
    ],
)
def check_flips(answer, rng):
    """Decisions that hang on some inputs, by going up or by going down."""
    asked = [cases.case(rng, tight=True), cases.threshold(rng), cases.case(rng, tight=False)]
    expect_all([cases.flips_row(answer, *a) for a in asked])


@property_of("l01_e4", "random decisions")
def flips_any(answer, rng):
    """Own node against API near their crossover, and made-up rules."""
    for _ in range(4):
        expect_all([cases.flips_row(answer, *cases.case(rng, tight=rng.random() < 0.7))])
        expect_all([cases.flips_row(answer, *cases.threshold(rng))])


@property_of("l01_e4", "a larger change turns no fewer decisions")
def flips_grow(answer, rng):
    """Monotony in the change."""
    decide, inputs, _ = cases.case(rng, tight=True)
    small, large = (set(cases.names(answer(decide, dict(inputs), change))) for change in (0.02, 0.6))
    if not small <= large:
        raise CheckFailed("What 2 % turns, 60 % turns too.", expected=f"all of {sorted(small)}", got=sorted(large))
    expect_all([cases.flips_row(answer, decide, inputs, 0.6)])


@property_of("l01_e4", "a safe decision hangs on nothing")
def flips_nothing(answer, rng):
    """Far from the crossover the list is empty, near it it is not."""
    decide, inputs, _ = cases.case(rng, tight=False)
    expect_all([cases.flips_row(answer, decide, inputs, 0.05)])
    expect_all([cases.flips_row(answer, *cases.case(rng, tight=True))])
