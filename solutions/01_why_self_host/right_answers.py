"""Right answers of lesson 01, written otherwise than the solution: the checks demand no style."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l01_e1_bill",
        "decimals",
        """from decimal import Decimal


def team_bill(groups, prices, days):
    usd, tokens = Decimal(0), 0
    for group in groups:
        price = {kind: Decimal(str(value)) for kind, value in prices[group["model"]].items()}
        cached = group["input_tokens"] * Decimal(str(group["cached_share"]))
        fresh = group["input_tokens"] - cached
        each = fresh * price["input"] + cached * price["cached_input"] + group["output_tokens"] * price["output"]
        usd += each * group["people"] * days
        tokens += (group["input_tokens"] + group["output_tokens"]) * group["people"] * days
    return [round(usd / 1_000_000, 2), round(usd / tokens, 2)]
""",
    ),
    RightAnswer(
        "l01_e1_bill",
        "numpy",
        """import numpy as np

KINDS = ("input", "cached_input", "output")


def team_bill(groups, prices, days):
    tokens = np.zeros((len(groups), 3))
    usd = np.zeros((len(groups), 3))
    for row, g in enumerate(groups):
        share = g["cached_share"]
        own = [g["input_tokens"] * (1 - share), g["input_tokens"] * share, g["output_tokens"]]
        tokens[row] = np.array(own) * g["people"] * days
        usd[row] = [prices[g["model"]][kind] for kind in KINDS]
    total = np.sum(tokens * usd) / 1e6
    return np.array([total, 1e6 * total / tokens.sum()])
""",
    ),
    RightAnswer(
        "l01_e1_bill",
        "by_kind",
        """from collections import Counter


def team_bill(groups, prices, days):
    used = Counter()
    for g in groups:
        heads = g["people"] * days
        cached = heads * g["input_tokens"] * g["cached_share"]
        used[g["model"], "cached_input"] += cached
        used[g["model"], "input"] += heads * g["input_tokens"] - cached
        used[g["model"], "output"] += heads * g["output_tokens"]
    millions = sum(used.values()) / 1_000_000
    usd = sum(tokens / 1_000_000 * prices[model][kind] for (model, kind), tokens in used.items())
    return usd, usd / millions
""",
    ),
    RightAnswer(
        "l01_e1_bill",
        "fractions",
        """from fractions import Fraction


def team_bill(groups, prices, days):
    def bill(group):
        price = {kind: Fraction(str(value)) for kind, value in prices[group["model"]].items()}
        share = Fraction(str(group["cached_share"]))
        read = group["input_tokens"] * (share * price["cached_input"] + (1 - share) * price["input"])
        return group["people"] * (read + group["output_tokens"] * price["output"])

    one_day = sum(map(bill, groups))
    tokens = sum(g["people"] * (g["input_tokens"] + g["output_tokens"]) for g in groups)
    return one_day * days / 10**6, one_day / tokens
""",
    ),
    RightAnswer(
        "l01_e2_month",
        "counting",
        """def own_month(node, tokens_per_day):
    nodes, left = 1, tokens_per_day - node["tokens_per_s"] * node["hours_per_day"] * 3600
    while left > 0:
        nodes += 1
        left -= node["tokens_per_s"] * node["hours_per_day"] * 3600
    usd = node["people_usd_month"]
    for _ in range(nodes):
        usd += node["price_usd"] / node["months"]
        usd += node["site_usd_month"]
        usd += node["usd_per_kwh"] * (node["watts"] * node["pue"] * 720 / 1000)
    return [nodes, round(usd, 2)]
""",
    ),
    RightAnswer(
        "l01_e2_month",
        "fractions",
        """import math
from fractions import Fraction


def own_month(node, tokens_per_day):
    n = {name: Fraction(str(value)) for name, value in node.items()}
    nodes = math.ceil(Fraction(tokens_per_day) / (3600 * n["hours_per_day"] * n["tokens_per_s"])) or 1
    kwh = n["watts"] * 24 * 30 * n["pue"] / 1000
    return nodes, n["people_usd_month"] + nodes * (n["price_usd"] / n["months"] + n["site_usd_month"] + kwh * n["usd_per_kwh"])
""",
    ),
    RightAnswer(
        "l01_e2_month",
        "divmod",
        """def own_month(node, tokens_per_day):
    full, rest = divmod(tokens_per_day, node["tokens_per_s"] * 3600 * node["hours_per_day"])
    nodes = int(full) + (rest > 0)
    if nodes < 1:
        nodes = 1
    hardware = nodes * node["price_usd"] / node["months"]
    power = nodes * node["pue"] * 0.001 * node["watts"] * node["usd_per_kwh"] * 30 * 24
    return float(nodes), sum([hardware, nodes * node["site_usd_month"], power, node["people_usd_month"]])
""",
    ),
    RightAnswer(
        "l01_e2_month",
        "numpy",
        """import numpy as np


def own_month(node, tokens_per_day):
    makes = np.prod([node["tokens_per_s"], node["hours_per_day"], 3600], dtype=np.float64)
    nodes = np.maximum(np.ceil(tokens_per_day / makes), 1)
    power = np.prod([node["watts"] / 1000, 720, node["pue"], node["usd_per_kwh"]])
    each = np.sum([node["price_usd"] / node["months"], node["site_usd_month"], power])
    return np.array([nodes, nodes * each + node["people_usd_month"]])
""",
    ),
    RightAnswer(
        "l01_e3_crossover",
        "at_the_limit",
        """def crossover(node, usd_per_million):
    most = 30 * 3600 * node["hours_per_day"] * node["tokens_per_s"]
    saved_at_most = most * (usd_per_million - node["own_usd_per_million"]) / 1_000_000
    if saved_at_most <= 0 or saved_at_most < node["fixed_usd_month"]:
        return None
    return most / 30 * node["fixed_usd_month"] / saved_at_most
""",
    ),
    RightAnswer(
        "l01_e3_crossover",
        "fractions",
        """import math
from fractions import Fraction


def crossover(node, usd_per_million):
    saved = (Fraction(usd_per_million) - Fraction(node["own_usd_per_million"])) / 10**6
    if not saved > 0:
        return None
    tokens = Fraction(node["fixed_usd_month"]) / saved / 30
    if tokens > node["tokens_per_s"] * node["hours_per_day"] * 3600:
        return None
    return math.floor(tokens)
""",
    ),
    RightAnswer(
        "l01_e3_crossover",
        "halving",
        """def crossover(node, usd_per_million):
    def dearer(tokens):
        own = node["fixed_usd_month"] + tokens * 30 / 1e6 * node["own_usd_per_million"]
        return own > tokens * 30 / 1e6 * usd_per_million

    low, high = 0.0, float(node["tokens_per_s"] * node["hours_per_day"] * 3600)
    if usd_per_million <= node["own_usd_per_million"] or dearer(high):
        return None
    for _ in range(100):
        middle = (low + high) / 2
        if dearer(middle):
            low = middle
        else:
            high = middle
    return high
""",
    ),
    RightAnswer(
        "l01_e3_crossover",
        "numpy",
        """import numpy as np


def crossover(node, usd_per_million):
    saved = np.float64(usd_per_million) - node["own_usd_per_million"]
    with np.errstate(divide="ignore", invalid="ignore"):
        tokens = np.float64(node["fixed_usd_month"]) * 1e6 / (saved * 30)
    served = node["hours_per_day"] * 3600 * node["tokens_per_s"]
    return tokens if saved > 0 and tokens <= served else None
""",
    ),
    RightAnswer(
        "l01_e4_flips",
        "set",
        """def flips(decide, inputs, change):
    found, first = set(), decide(dict(inputs))
    for name in inputs:
        for sign in (-1, 1):
            other = dict(inputs)
            other[name] += sign * change * other[name]
            if decide(other) != first:
                found.add(name)
    return found
""",
    ),
    RightAnswer(
        "l01_e4_flips",
        "tuple_backwards",
        """def flips(decide, inputs, change):
    def answers(name):
        scaled = (inputs[name] * factor for factor in (1 + change, 1, 1 - change))
        return {decide(inputs | {name: value}) for value in scaled}

    return tuple(name for name in reversed(list(inputs)) if len(answers(name)) > 1)
""",
    ),
    RightAnswer(
        "l01_e4_flips",
        "keys",
        """def flips(decide, inputs, change):
    base, turned = decide(inputs), {}
    for name, value in inputs.items():
        up = decide({**inputs, name: value + value * change})
        if up != base:
            turned[name] = up
            continue
        down = decide({**inputs, name: value - value * change})
        if down != base:
            turned[name] = down
    return turned.keys()
""",
    ),
    RightAnswer(
        "l01_e4_flips",
        "numpy",
        """import numpy as np


def flips(decide, inputs, change):
    names = list(inputs)
    base = np.array([float(inputs[name]) for name in names])
    before, turned = decide(inputs), np.zeros(len(names), dtype=bool)
    for step in (change, -change):
        rows = base + np.diag(base * step)
        turned |= [decide(dict(zip(names, row))) != before for row in rows]
    return np.array(names)[turned]
""",
    ),
]
