"""Right answers of lesson 11, each written otherwise than the solution."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l11_e1_headroom",
        "one_after_the_other",
        """def headroom(model, need):
    tokens, left = model["native_window"], need["card_gib"] * 1024**3
    for part in ("prompt_tokens", "answer_tokens"):
        tokens -= need[part]
    held = need["prompt_tokens"] + need["answer_tokens"]
    for _ in range(need["sequences"]):
        for _ in range(model["layers"]):
            for _ in ("keys", "values"):
                left -= model["kv_heads"] * model["head_dim"] * need["bytes_per_value"] * held
    left -= need["overhead_bytes"]
    left -= model["total_params"] / 8 * need["bits_per_weight"]
    return [tokens, left]
""",
    ),
    RightAnswer(
        "l11_e1_headroom",
        "fractions",
        """from fractions import Fraction


def headroom(model, need):
    held = sum(need[f"{what}_tokens"] for what in ("prompt", "answer"))
    per_token = model["layers"] * model["kv_heads"] * model["head_dim"] * Fraction(need["bytes_per_value"]) * 2
    stored = Fraction(model["total_params"]) * Fraction(need["bits_per_weight"]) / 8
    used = stored + Fraction(need["overhead_bytes"]) + per_token * held * need["sequences"]
    return model["native_window"] - held, Fraction(need["card_gib"]) * 2**30 - used
""",
    ),
    RightAnswer(
        "l11_e1_headroom",
        "numpy",
        """import numpy as np


def headroom(model, need):
    tokens = np.array([need["prompt_tokens"], need["answer_tokens"]]).sum()
    shape = [model["layers"], model["kv_heads"], model["head_dim"]]
    cache = np.prod(shape, dtype=np.float64) * need["bytes_per_value"] * tokens * need["sequences"]
    weights = np.float64(model["total_params"]) * need["bits_per_weight"] / 8
    used = np.array([cache, cache, weights, need["overhead_bytes"]])
    return np.int64(model["native_window"]) - tokens, np.ldexp(need["card_gib"], 30) - used.sum()
""",
    ),
    RightAnswer(
        "l11_e1_headroom",
        "whole_bits_in_a_tensor",
        """import torch


def headroom(model, need):
    tokens = need["prompt_tokens"] + need["answer_tokens"]
    bits = model["total_params"] * need["bits_per_weight"]
    bits += 16 * model["layers"] * model["kv_heads"] * model["head_dim"] * need["bytes_per_value"] * tokens * need["sequences"]
    bits += 8 * need["overhead_bytes"]
    spare = [model["native_window"] - tokens, (need["card_gib"] * 2**33 - bits) / 8]
    return tuple(torch.tensor(spare, dtype=torch.float64))
""",
    ),
    RightAnswer(
        "l11_e2_decide",
        "duties_first",
        """import math


def decide(terms, use):
    most = {name: math.inf if value is None else value for name, value in terms.items()}
    duties = set()
    if terms["use_policy"]:
        duties.add("follow the use policy")
    above = [use["users"] > most["show_name_above_users"], use["revenue_usd"] > most["show_name_above_revenue_usd"]]
    if use["commercial"] and any([terms["show_name_always"], *above]):
        duties.add("show the name")
    word = "yes" if use["users_at_release"] <= most["ask_above_users_at_release"] else "ask"
    if use["domicile"] in terms["not_granted_in"] or use["commercial"] > terms["commercial"]:
        word = "no"
    return [word, duties if word == "yes" else set()]
""",
    ),
    RightAnswer(
        "l11_e2_decide",
        "early_returns",
        """def decide(terms, use):
    if use["commercial"]:
        if not terms["commercial"]:
            return "no", ()
    for place in terms["not_granted_in"]:
        if place == use["domicile"]:
            return "no", ()
    limit = terms["ask_above_users_at_release"]
    if limit is not None:
        if limit < use["users_at_release"]:
            return "ask", ()
    policy = ("follow the use policy",) if terms["use_policy"] else ()
    if not use["commercial"]:
        return "yes", policy
    shows = bool(terms["show_name_always"])
    for field in ("users", "revenue_usd"):
        limit = terms["show_name_above_" + field]
        if limit is not None and not use[field] <= limit:
            shows = True
    return "yes", policy + ("show the name",) * shows
""",
    ),
    RightAnswer(
        "l11_e2_decide",
        "a_table_of_rules",
        """def exceeds(terms, use, field, limit):
    return terms[limit] is not None and not use[field] <= terms[limit]


REFUSALS = [
    lambda terms, use: use["commercial"] and not terms["commercial"],
    lambda terms, use: terms["not_granted_in"].count(use["domicile"]) > 0,
]
NAMES = [
    lambda terms, use: terms["show_name_always"],
    lambda terms, use: exceeds(terms, use, "users", "show_name_above_users"),
    lambda terms, use: exceeds(terms, use, "revenue_usd", "show_name_above_revenue_usd"),
]


def decide(terms, use):
    if any(rule(terms, use) for rule in REFUSALS):
        return ("no", [])
    if exceeds(terms, use, "users_at_release", "ask_above_users_at_release"):
        return ("ask", [])
    owed = {
        "follow the use policy": terms["use_policy"],
        "show the name": use["commercial"] and any(rule(terms, use) for rule in NAMES),
    }
    return ("yes", frozenset(duty for duty, is_owed in owed.items() if is_owed))
""",
    ),
    RightAnswer(
        "l11_e3_difference",
        "counts",
        """import math
from statistics import NormalDist


def difference(solved_a, solved_b, tasks):
    failed_a, failed_b = tasks - solved_a, tasks - solved_b
    tasks_off = math.sqrt(solved_a * failed_a / tasks + solved_b * failed_b / tasks)
    reach = NormalDist().inv_cdf(0.975) * tasks_off
    return [100 * (solved_a - solved_b + sign * reach) / tasks for sign in (-1, 1)]
""",
    ),
    RightAnswer(
        "l11_e3_difference",
        "item_by_item",
        """def difference(solved_a, solved_b, tasks):
    def mean_and_variance(solved):
        items = [100.0] * solved + [0.0] * (tasks - solved)
        mean = sum(items) / tasks
        return mean, sum((item - mean) ** 2 for item in items) / tasks / tasks

    mean_a, variance_a = mean_and_variance(solved_a)
    mean_b, variance_b = mean_and_variance(solved_b)
    reach = 1.96 * (variance_a + variance_b) ** 0.5
    return mean_a - mean_b - reach, mean_a - mean_b + reach
""",
    ),
    RightAnswer(
        "l11_e3_difference",
        "numpy",
        """import numpy as np


def difference(solved_a, solved_b, tasks):
    shares = np.array([solved_a, solved_b]) / tasks
    errors = np.sqrt(shares * (1 - shares) / tasks)
    ends = np.array([-1.96, 1.96]) * np.linalg.norm(errors) - np.diff(shares)
    return tuple(100 * ends)
""",
    ),
    RightAnswer(
        "l11_e3_difference",
        "tensor",
        """import torch


def difference(solved_a, solved_b, tasks):
    p = torch.tensor([solved_a, solved_b], dtype=torch.float64) / tasks
    reach = 1.96 * (p * (1 - p) / tasks).sum().sqrt()
    return 100 * (p[0] - p[1] - reach), 100 * (p[0] - p[1] + reach)
""",
    ),
    RightAnswer(
        "l11_e3_difference",
        "decimals",
        """from decimal import Decimal


def difference(solved_a, solved_b, tasks):
    a, b = Decimal(solved_a) / tasks, Decimal(solved_b) / tasks
    error = (a * (1 - a) / tasks + b * (1 - b) / tasks).sqrt()
    middle, reach = a - b, Decimal("1.96") * error
    return (middle - reach) * 100, (middle + reach) * 100
""",
    ),
    RightAnswer(
        "l11_e4_rank",
        "one_key",
        """def rank(candidates):
    passing = []
    for c in candidates:
        if min(c["spare_bytes"], c["spare_tokens"]) >= 0 and c["licence"] == "yes":
            passing.append(c)
    top = max([c["solved"] for c in passing] or [0])

    def key(c):
        low, high = lab.difference(c["solved"], top, c["tasks"])
        return (0, 0, c["active_params"]) if high >= 0 else (1, -c["solved"], c["active_params"])

    return tuple(c["name"] for c in sorted(passing, key=key))
""",
    ),
    RightAnswer(
        "l11_e4_rank",
        "picked_one_by_one",
        """def rank(candidates):
    left, order = [], []
    for c in candidates:
        if c["spare_bytes"] < 0 or c["spare_tokens"] < 0 or c["licence"] != "yes":
            continue
        left.append(c)
    top = None
    for c in left:
        top = c["solved"] if top is None or c["solved"] > top else top
    while left:
        near = [c for c in left if lab.difference(top, c["solved"], c["tasks"])[0] <= 0]
        if near:
            first = min(near, key=lambda c: c["active_params"])
        else:
            first = max(left, key=lambda c: (c["solved"], -c["active_params"]))
        order.append(first["name"])
        left.remove(first)
    return order
""",
    ),
    RightAnswer(
        "l11_e4_rank",
        "stable_sorts",
        """def rank(candidates):
    def passes(c):
        return c["licence"] == "yes" and all(c[name] > -1e-12 for name in ("spare_bytes", "spare_tokens"))

    order = sorted(filter(passes, candidates), key=lambda c: c["active_params"])
    if not order:
        return []
    best = max(order, key=lambda c: c["solved"])
    p = best["solved"] / best["tasks"]

    def told(c):
        q = c["solved"] / c["tasks"]
        return p > q and (p - q) ** 2 > 1.96**2 * (p - p * p + q - q * q) / c["tasks"]

    order.sort(key=lambda c: c["solved"] if told(c) else c["tasks"] + 1, reverse=True)
    return [c["name"] for c in order]
""",
    ),
    RightAnswer(
        "l11_e4_rank",
        "numpy",
        """import numpy as np


def rank(candidates):
    alive = [c for c in candidates if c["licence"] == "yes" and c["spare_bytes"] >= 0 <= c["spare_tokens"]]
    if len(alive) == 0:
        return []
    solved, active = (np.array([c[name] for c in alive]) for name in ("solved", "active_params"))
    behind = np.array([lab.difference(solved.max(), c["solved"], c["tasks"])[0] > 0 for c in alive])
    order = np.lexsort((active, np.where(behind, -solved, 0), behind))
    return list(np.array([c["name"] for c in alive])[order])
""",
    ),
]
