"""Wrong answers of lesson 01, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

BILL = """def team_bill(groups, prices, days):
    usd = tokens = 0
    for g in groups:
        price = prices[{model}]
        cached = g["input_tokens"] * {share}
        fresh = g["input_tokens"] - cached
        each = fresh * {input} + cached * {cached} + g["output_tokens"] * {output}
        usd += {people} * {days} * each / {per}
        tokens += {people} * {days} * ({counted})
    return usd, {blend}
"""
BILL_RIGHT = dict(
    model='g["model"]', share='g["cached_share"]', input='price["input"]', cached='price["cached_input"]',
    output='price["output"]', people='g["people"]', days="days", per="1e6",
    counted='g["input_tokens"] + g["output_tokens"]', blend="usd / tokens * 1e6",
)  # fmt: skip
MONTH = """import math


def own_month(node, tokens_per_day):
    capacity = node["tokens_per_s"] * {hours} * 3600
    nodes = {nodes}
    hardware = node["price_usd"] / {months}
    kwh = node["watts"] {kilo} * {drawn} * 30 {pue}
    people = node["people_usd_month"]
    return nodes, {total}
"""
MONTH_RIGHT = dict(
    hours='node["hours_per_day"]', nodes="max(1, math.ceil(tokens_per_day / capacity))", months='node["months"]',
    kilo="/ 1000", drawn="24", pue='* node["pue"]',
    total='nodes * (hardware + node["site_usd_month"] + kwh * node["usd_per_kwh"]) + people',
)  # fmt: skip
CROSS = """def crossover(node, usd_per_million):
    saved = {saved}
    if {never}:
        return None
    tokens = {tokens}
    limit = node["tokens_per_s"] * {hours} * 3600
    return {answer}
"""
CROSS_RIGHT = dict(
    saved='usd_per_million - node["own_usd_per_million"]', never="saved <= 0",
    tokens='node["fixed_usd_month"] / saved * 1e6 / 30', hours='node["hours_per_day"]',
    answer="tokens if tokens <= limit else None",
)  # fmt: skip
FLIPS = """def flips(decide, inputs, change):
    base = decide(inputs)
    found = []
    for name, value in inputs.items():
        {body}
    return {answer}
"""


def _bill(name, says, **change):
    return WrongAnswer("l01_e1_bill", name, BILL.format(**{**BILL_RIGHT, **change}), says)


def _month(name, says, **change):
    return WrongAnswer("l01_e2_month", name, MONTH.format(**{**MONTH_RIGHT, **change}), says)


def _cross(name, says, **change):
    return WrongAnswer("l01_e3_crossover", name, CROSS.format(**{**CROSS_RIGHT, **change}), says)


def _flips(name, says, body, answer="found"):
    return WrongAnswer("l01_e4_flips", name, FLIPS.format(body=body, answer=answer), says)


def _if(condition):
    return f"if {condition}:\n            found.append(name)"


def _asked(value):
    return f"decide({{**inputs, name: {value}}}) != base"


UP, DOWN = _asked("value * (1 + change)"), _asked("value * (1 - change)")

WRONG_ANSWERS = [
    _bill("cache_at_full_price", "billed at the full input price", cached='price["input"]'),
    _bill("cache_for_nothing", "cheap, not free", cached="0"),
    _bill("cache_and_fresh_exchanged", "exchanged", share='(1 - g["cached_share"])'),
    _bill(
        "prices_exchanged", "prices of input and output are exchanged", input='price["output"]', output='price["input"]'
    ),
    _bill(
        "cached_answers",
        "answers are never cached",
        output='(price["output"] * (1 - g["cached_share"]) + price["cached_input"] * g["cached_share"])',
    ),
    _bill("first_tariff_for_all", "first tariff", model='groups[0]["model"]'),
    _bill("one_person", "multiply by people", people="1"),
    _bill("per_thousand", "per thousand", per="1e3"),
    _bill("always_30_days", "that is 30 days", days="30"),
    _bill("twelfth_of_a_year", "a twelfth of a year", days="365 / 12"),
    _bill("mean_of_prices", "plain mean of two prices", blend='(price["input"] + price["output"]) / 2'),
    _bill(
        "mean_of_mean_prices",
        "plain mean of two prices",
        blend='sum((prices[g["model"]]["input"] + prices[g["model"]]["output"]) / 2 for g in groups) / len(groups)',
    ),
    _bill(
        "two_to_one_always",
        "two to one is an example",
        blend='sum((2 * prices[g["model"]]["input"] + prices[g["model"]]["output"]) / 3 for g in groups) / len(groups)',
    ),
    _bill("ratio_upside_down", "turn the fraction over", blend="tokens / usd"),
    _bill("answers_alone", "divides by the answers alone", counted='g["output_tokens"]'),
    _bill("input_alone", "divides by the input alone", counted='g["input_tokens"]'),
    _bill("of_one_token", "that is one token", blend="usd / tokens"),
    _month("watts_as_kilowatts", "divide by 1000", kilo=""),
    _month("no_pue", "the PUE is missing", pue=""),
    _month("pue_divides", "the PUE multiplies", pue='/ node["pue"]'),
    _month("power_in_working_hours", "around the clock", drawn='node["hours_per_day"]'),
    _month("parts_of_a_node", "nodes are whole", nodes="max(1, tokens_per_day / capacity)"),
    _month("rounded_down", "rounded down", nodes="max(1, int(tokens_per_day // capacity))"),
    _month("always_one_more", "needs no further node", nodes="int(tokens_per_day // capacity) + 1"),
    _month("no_node_at_night", "at least one node", nodes="math.ceil(tokens_per_day / capacity)"),
    _month("demand_around_the_clock", "not around the clock", hours="24"),
    _month("one_node_for_all", "one node cannot serve that", nodes="1"),
    _month("bought_every_month", "spread it over its months", months="1"),
    _month("bought_every_year", "not over a year", months="12"),
    _month(
        "people_for_each_node",
        "paid once",
        total='nodes * (hardware + node["site_usd_month"] + kwh * node["usd_per_kwh"] + people)',
    ),
    _month(
        "second_node_free",
        "each further one costs as much",
        total='hardware + node["site_usd_month"] + kwh * node["usd_per_kwh"] + people',
    ),
    _cross("own_tokens_are_free", "own tokens cost electricity", saved="usd_per_million"),
    _cross("costs_added", "smaller, not larger", saved='usd_per_million + node["own_usd_per_million"]'),
    _cross(
        "tokens_of_a_month",
        "that is a month of tokens",
        tokens='node["fixed_usd_month"] / saved * 1e6',
        answer="tokens",
    ),
    _cross("twelfth_of_a_year", "a month has 30 days", tokens='node["fixed_usd_month"] / saved * 1e6 / (365 / 12)'),
    _cross("per_thousand", "per thousand", tokens='node["fixed_usd_month"] / saved * 1e3 / 30'),
    _cross("upside_down", "upside down", tokens='saved / node["fixed_usd_month"] * 1e6 / 30'),
    _cross("no_limit", "never gets to the crossover", answer="tokens"),
    _cross("limit_around_the_clock", "never gets to the crossover", hours="24"),
    _cross("capped", "the limit is no crossover", answer="min(tokens, limit)"),
    _cross("negative_crossover", "nothing is saved", never="saved == 0"),
    _cross("always_none", "it can serve its crossover", answer="None"),
    _flips("only_up", "only upwards", _if(UP)),
    _flips("only_down", "only downwards", _if(DOWN)),
    _flips("both_ways_needed", "one direction is enough", _if(f"{UP} and {DOWN}")),
    _flips("all_of_them", "not every one turns the decision", "found.append(name)"),
    _flips("those_that_do_not", "the ones that do not turn it", _if(f"not ({UP} or {DOWN})")),
    _flips(
        "added_not_multiplied",
        "the change is a share",
        _if(f"{_asked('value + change')} or {_asked('value - change')}"),
    ),
    _flips(
        "changes_pile_up",
        "changed the inputs",
        "inputs[name] = value * (1 + change)\n        " + _if("decide(inputs) != base"),
    ),
    _flips("never_asked_again", "must be asked again", _if("decide(inputs) != base")),
    _flips("share_instead_of_change", "a share of the value", _if(_asked("value * change"))),
]
