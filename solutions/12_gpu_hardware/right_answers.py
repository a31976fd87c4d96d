"""Right answers of lesson 12, each written otherwise than the solution."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l12_e1_roof",
        "fractions_in_base_units",
        """from fractions import Fraction


def roof(card, flops_per_byte):
    peak = Fraction(card["tensor_tflops"]) * 10**12
    if card["tensor_is_sparse"]:
        peak /= 2
    bandwidth = Fraction(card["bandwidth_gbs"]) * 10**9
    ridge = peak / bandwidth
    reached = peak if flops_per_byte >= ridge else Fraction(flops_per_byte) * bandwidth
    return [ridge, reached / 10**12]
""",
    ),
    RightAnswer(
        "l12_e1_roof",
        "by_the_time_of_one_operation",
        """def roof(card, flops_per_byte):
    multiply = 1 / card["tensor_tflops"]
    if card["tensor_is_sparse"]:
        multiply = multiply + multiply
    read = 1e3 / card["bandwidth_gbs"]
    slower = sorted([multiply, read / flops_per_byte])[-1]
    return read / multiply, 1 / slower
""",
    ),
    RightAnswer(
        "l12_e1_roof",
        "numpy_array",
        """import numpy as np


def roof(card, flops_per_byte):
    peak = card["tensor_tflops"] * 1e12 * np.where(card["tensor_is_sparse"], 0.5, 1.0)
    bandwidth = np.float64(card["bandwidth_gbs"]) * 1e9
    both = np.array([peak, bandwidth * flops_per_byte])
    return np.array([peak / bandwidth, both.min() / 1e12])
""",
    ),
    RightAnswer(
        "l12_e1_roof",
        "ridge_first_in_tensors",
        """import torch


def roof(card, flops_per_byte):
    halves = {True: 2000.0, False: 1000.0}[card["tensor_is_sparse"]]
    slope = torch.tensor(card["bandwidth_gbs"], dtype=torch.float64)
    giga = torch.tensor(card["tensor_tflops"], dtype=torch.float64) * 1_000_000 / halves
    ridge = giga / slope
    used = ridge if flops_per_byte > ridge else flops_per_byte
    return ridge, used * slope / 1000
""",
    ),
    RightAnswer(
        "l12_e2_tokens",
        "sequence_by_sequence",
        """def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    untouched, weights, caches = model["experts"], model["shared_weights"], 0
    for _ in range(batch):
        chosen = min(untouched, model["experts_per_token"])
        untouched -= chosen
        weights += chosen * model["expert_weights"]
        caches += tokens * model["cache_bytes_per_token"]
    seconds = (weights * model["bytes_per_weight"] + caches) / bandwidth_gbs / 1e9
    return batch / seconds
""",
    ),
    RightAnswer(
        "l12_e2_tokens",
        "set_of_experts",
        """from fractions import Fraction
from itertools import count, islice


def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    used, ask = set(), count()
    if model["experts"]:
        for _ in range(batch):
            used |= {number % model["experts"] for number in islice(ask, model["experts_per_token"])}
    weights = model["shared_weights"] + len(used) * model["expert_weights"]
    step = Fraction(weights) * Fraction(model["bytes_per_weight"]) + batch * tokens * Fraction(model["cache_bytes_per_token"])
    return Fraction(bandwidth_gbs) * 10**9 / step * batch
""",
    ),
    RightAnswer(
        "l12_e2_tokens",
        "numpy",
        """import numpy as np


def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    experts = np.clip(batch * model["experts_per_token"], 0, model["experts"])
    amounts = np.array([model["shared_weights"], experts, batch * tokens], dtype=np.float64)
    sizes = np.array([model["bytes_per_weight"], model["expert_weights"] * model["bytes_per_weight"], model["cache_bytes_per_token"]])
    return batch * np.float64(bandwidth_gbs) * 1e9 / (amounts @ sizes)
""",
    ),
    RightAnswer(
        "l12_e2_tokens",
        "time_of_each_part",
        """import torch


def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    if batch * model["experts_per_token"] >= model["experts"]:
        read = model["experts"]
    else:
        read = batch * model["experts_per_token"]
    gigabytes = torch.tensor(
        [
            model["shared_weights"] * model["bytes_per_weight"] * 1e-9,
            read * model["expert_weights"] * model["bytes_per_weight"] * 1e-9,
            batch * (tokens * model["cache_bytes_per_token"]) * 1e-9,
        ],
        dtype=torch.float64,
    )
    steps_per_s = 1 / (gigabytes / bandwidth_gbs).sum()
    return steps_per_s * batch
""",
    ),
    RightAnswer(
        "l12_e3_link",
        "turn_by_turn",
        """def link_seconds(layers, hidden, batch, gpus, link):
    seconds, one_way = 0.0, link["gbs"] * 1e9
    if link["both_directions"]:
        one_way /= 2
    part = batch * hidden * 2 / gpus
    for _ in range(layers):
        for _ in ("attention", "feed-forward"):
            for _ in range(2 * (gpus - 1)):
                seconds += part / one_way + link["latency_us"] / 1e6
    return seconds
""",
    ),
    RightAnswer(
        "l12_e3_link",
        "reduce_then_gather_in_microseconds",
        """def link_seconds(layers, hidden, batch, gpus, link):
    if gpus == 1:
        return 0
    bytes_per_us = link["gbs"] * 1e3
    bytes_per_us = bytes_per_us / 2 if link["both_directions"] else bytes_per_us
    turn = link["latency_us"] + batch * hidden * 2 / (gpus * bytes_per_us)
    reduce_scatter = all_gather = (gpus - 1) * turn
    return (reduce_scatter + all_gather) * (layers + layers) * 1e-6
""",
    ),
    RightAnswer(
        "l12_e3_link",
        "fractions",
        """from fractions import Fraction


def link_seconds(layers, hidden, batch, gpus, link):
    one_way = Fraction(link["gbs"]) * 10**9 / (1 + link["both_directions"])
    messages, turns = 2 * layers, 2 * gpus - 2
    carried = Fraction(2 * batch * hidden * turns, gpus) / one_way
    waited = turns * Fraction(link["latency_us"]) / 10**6
    return messages * carried + messages * waited
""",
    ),
    RightAnswer(
        "l12_e3_link",
        "numpy_schedule",
        """import numpy as np


def link_seconds(layers, hidden, batch, gpus, link):
    turns = np.ones((layers, 2, 2, gpus - 1))
    share = np.float64(batch) * hidden * np.dtype(np.float16).itemsize / gpus
    speed = np.where(link["both_directions"], 0.5, 1.0) * link["gbs"] * 1e9
    return (turns * (share / speed) + turns * (link["latency_us"] * 1e-6)).sum()
""",
    ),
    RightAnswer(
        "l12_e4_limit",
        "ifs",
        """def binding_limit(job, card, cards, site_watts):
    room = card["vram_gib"] * 1024 * 1024 * 1024
    if room < job["bytes_held"]:
        return ["memory", job["bytes_held"] - room]
    draw = sum(card["watts"] for _ in range(cards))
    if draw > site_watts:
        return ["power", float(draw - site_watts)]
    read = job["bytes_read"] / card["bandwidth_gbs"] / 1e9
    work = job["flops"] / card["dense_tflops"] / 1e12
    sent = job["bytes_sent"] / card["link_gbs"] / 1e9
    if read >= work and read >= sent:
        return ["bandwidth", read]
    return ["compute", work] if work >= sent else ["link", sent]
""",
    ),
    RightAnswer(
        "l12_e4_limit",
        "fractions_sorted",
        """from fractions import Fraction


def binding_limit(job, card, cards, site_watts):
    lacking = {
        "memory": Fraction(job["bytes_held"]) - Fraction(card["vram_gib"]) * 2**30,
        "power": cards * Fraction(card["watts"]) - Fraction(site_watts),
    }
    for name, value in lacking.items():
        if value > 0:
            return name, value
    fields = [("bytes_read", "bandwidth_gbs", 9, "bandwidth"), ("flops", "dense_tflops", 12, "compute"), ("bytes_sent", "link_gbs", 9, "link")]
    times = [(Fraction(job[amount]) / Fraction(card[speed]) / 10**zeros, name) for amount, speed, zeros, name in fields]
    seconds, name = sorted(times, reverse=True)[0]
    return name, seconds
""",
    ),
    RightAnswer(
        "l12_e4_limit",
        "numpy",
        """import numpy as np


def binding_limit(job, card, cards, site_watts):
    missing = np.array([job["bytes_held"] - np.ldexp(card["vram_gib"], 30), cards * card["watts"] - site_watts])
    if (missing > 0).any():
        first = np.argmax(missing > 0)
        return np.array(["memory", "power"])[first], missing[first]
    amounts = np.array([job["bytes_read"], job["flops"], job["bytes_sent"]], dtype=float)
    speeds = np.array([card["bandwidth_gbs"] * 1e9, card["dense_tflops"] * 1e12, card["link_gbs"] * 1e9])
    seconds = amounts / speeds
    return ("bandwidth", "compute", "link")[seconds.argmax()], seconds.max()
""",
    ),
    RightAnswer(
        "l12_e4_limit",
        "one_rule_each",
        """def lacks_memory(job, card, cards, site_watts):
    return max(0, job["bytes_held"] - card["vram_gib"] * 2**30)


def lacks_power(job, card, cards, site_watts):
    return max(0, card["watts"] * cards - site_watts)


def slowest(job, card, cards, site_watts):
    best = None
    for name, amount, per_second in (
        ("link", job["bytes_sent"], card["link_gbs"] * 10**9),
        ("compute", job["flops"], card["dense_tflops"] * 10**12),
        ("bandwidth", job["bytes_read"], card["bandwidth_gbs"] * 10**9),
    ):
        if best is None or amount / per_second > best[1]:
            best = (name, amount / per_second)
    return best


def binding_limit(*given):
    return (
        ("memory", lacks_memory(*given)) if lacks_memory(*given)
        else ("power", lacks_power(*given)) if lacks_power(*given)
        else slowest(*given)
    )
""",
    ),
]
