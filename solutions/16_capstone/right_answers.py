"""Right answers of the capstone tasks, each written otherwise than the solution."""

from lessonlib.checks.teeth import RightAnswer

# Task vram_budget.

RIGHT_ANSWERS = [
    RightAnswer(
        "l16_vram_e1_weights",
        "fractions",
        """from fractions import Fraction


def weights_gb(parameters, bits, kept_16bit=0, group=None):
    each = Fraction(bits) + (Fraction(16 + 4, group) if group else 0)
    return ((parameters - kept_16bit) * each + 16 * kept_16bit) / (8 * 10**9)
""",
    ),
    RightAnswer(
        "l16_vram_e1_weights",
        "numpy",
        """import numpy as np


def weights_gb(parameters, bits, kept_16bit=0, group=None):
    counts = np.array([kept_16bit, parameters - kept_16bit], dtype=np.float64)
    sizes = np.array([2.0, bits / 8])
    if group is not None:
        sizes[1] += 2.5 / group
    return np.dot(counts, sizes) / 1e9
""",
    ),
    RightAnswer(
        "l16_vram_e1_weights",
        "part_by_part",
        """def weights_gb(parameters, bits, kept_16bit=0, group=None):
    gigabytes = 0.0
    for count, size in ((kept_16bit, 16), (parameters - kept_16bit, bits)):
        gigabytes += count / 1e9 * size / 8
    if not group:
        return gigabytes
    scales = zero_points = (parameters - kept_16bit) / group
    return gigabytes + (scales * 2 + zero_points / 2) * 1e-9
""",
    ),
    RightAnswer(
        "l16_vram_e2_cache",
        "layer_by_layer",
        """def cache_gb(model, tokens, bytes_per_value=2):
    total = 0
    for _ in range(model["layers"]):
        keys = model["kv_heads"] * model["head_dim"] * tokens
        values = keys
        total += (keys + values) * bytes_per_value
    return total * 1e-9
""",
    ),
    RightAnswer(
        "l16_vram_e2_cache",
        "fractions",
        """from fractions import Fraction


def cache_gb(model, tokens, bytes_per_value=2):
    one_head = Fraction(tokens * model["head_dim"], 10**9) * Fraction(bytes_per_value)
    return one_head * model["kv_heads"] * model["layers"] + one_head * model["kv_heads"] * model["layers"]
""",
    ),
    RightAnswer(
        "l16_vram_e2_cache",
        "a_tensor_that_takes_no_memory",
        """import torch


def cache_gb(model, tokens, bytes_per_value=2):
    shape = (2, model["layers"], model["kv_heads"], tokens, model["head_dim"])
    kept = torch.empty(shape, dtype=torch.int8, device="meta")
    return kept.numel() * bytes_per_value / 10**9
""",
    ),
    RightAnswer(
        "l16_vram_e2_cache",
        "numpy",
        """import numpy as np


def cache_gb(model, tokens, bytes_per_value=2):
    sizes = [model[name] for name in ("layers", "kv_heads", "head_dim")]
    return np.prod(np.array([2, *sizes, tokens], dtype=np.float64)) * np.float64(bytes_per_value) / 1e9
""",
    ),
    RightAnswer(
        "l16_vram_e3_share",
        "whole_heads",
        """def per_gpu_gb(weights, cache, kv_heads, tp, overhead):
    heads = kv_heads // tp if tp <= kv_heads else 1
    one_head = cache / kv_heads
    return overhead + heads * one_head + weights / tp
""",
    ),
    RightAnswer(
        "l16_vram_e3_share",
        "deals_out_heads",
        """def per_gpu_gb(weights, cache, kv_heads, tp, overhead):
    held = [set() for _ in range(tp)]
    for number in range(max(tp, kv_heads)):
        held[number % tp].add(number % kv_heads)
    gpus = [weights / tp + overhead + sum(cache / kv_heads for _ in heads) for heads in held]
    return max(gpus)
""",
    ),
    RightAnswer(
        "l16_vram_e3_share",
        "fractions",
        """from fractions import Fraction


def per_gpu_gb(weights, cache, kv_heads, tp, overhead):
    parts = [Fraction(weights) / tp, Fraction(cache) * max(Fraction(1, tp), Fraction(1, kv_heads)), Fraction(overhead)]
    return sum(parts)
""",
    ),
    RightAnswer(
        "l16_vram_e3_share",
        "numpy",
        """import numpy as np


def per_gpu_gb(weights, cache, kv_heads, tp, overhead):
    return np.array([weights, cache, overhead]) @ (1 / np.array([tp, np.minimum(tp, kv_heads), 1]))
""",
    ),
    RightAnswer(
        "l16_vram_e4_table",
        "one_comprehension",
        """import numpy as np


def budget_table(models, configs, tokens=8192):
    def total(m, c):
        file = weights_gb(m["parameters"], m["bits"], kept_16bit=m["kept_16bit"], group=m["group"])
        return per_gpu_gb(file, cache_gb(m, tokens, bytes_per_value=2), m["kv_heads"], tp=c["gpus"], overhead=1.5)

    return [
        dict(fits=np.bool_(gb <= c["vram_gib"] * 1.073741824), per_gpu_gb=np.float64(gb), config=c["name"], model=m["name"])
        for m in models
        for c in configs
        for gb in [total(m, c)]
    ]
""",
    ),
    RightAnswer(
        "l16_vram_e4_table",
        "bytes_without_helpers",
        """from itertools import product


def budget_table(models, configs, tokens=8192):
    table = []
    for m, c in product(models, configs):
        n = c["gpus"]
        quantized = m["parameters"] - m["kept_16bit"]
        file = quantized * m["bits"] / 8 + 2 * m["kept_16bit"]
        if m["group"]:
            file += quantized / m["group"] * 2.5
        heads = max(m["kv_heads"] // n, 1)
        held = file / n + 4 * m["layers"] * heads * m["head_dim"] * tokens + 1_500_000_000
        row = {"model": m["name"], "config": c["name"]}
        row["per_gpu_gb"] = held / 1e9
        row["fits"] = not held > c["vram_gib"] * 1024**3
        table.append(row)
    return table
""",
    ),
    RightAnswer(
        "l16_vram_e4_table",
        "fractions_model_by_model",
        """from fractions import Fraction


def rows_of(model, configs, tokens):
    if not configs:
        return []
    first, *rest = configs
    bits = Fraction(model["bits"]) + (Fraction(20, model["group"]) if model["group"] else 0)
    file = (model["parameters"] - model["kept_16bit"]) * bits / 8 + model["kept_16bit"] * 2
    cache = 2 * 2 * model["layers"] * model["kv_heads"] * model["head_dim"] * tokens
    held = file / first["gpus"] + Fraction(cache, min(first["gpus"], model["kv_heads"])) + 15 * 10**8
    row = {
        "model": model["name"], "config": first["name"], "per_gpu_gb": held / 10**9,
        "fits": held <= Fraction(first["vram_gib"]) * 2**30,
    }
    return [row, *rows_of(model, rest, tokens)]


def budget_table(models, configs, tokens=8192):
    return sum([rows_of(model, list(configs), tokens) for model in models], [])
""",
    ),
    RightAnswer(
        "l16_vram_e5_cheapest",
        "halving_an_interval",
        """def cheapest(model, offers, users, context):
    file = weights_gb(model["parameters"], model["bits"], model["kept_16bit"], model["group"])

    def fits(offer, gpus, tokens):
        held = per_gpu_gb(file, users * cache_gb(model, tokens), model["kv_heads"], gpus, 1.5)
        return held * 1e9 <= offer["vram_gib"] * 1024**3

    machines = []
    for offer in offers:
        for gpus in range(1, offer["most"] + 1):
            if gpus not in (1, 2, 4, 8) or context > model["window"] or not fits(offer, gpus, context):
                continue
            low, high = context, model["window"]
            while low < high:
                middle = (low + high + 1) // 2
                if fits(offer, gpus, middle):
                    low = middle
                else:
                    high = middle - 1
            machines.append({"card": offer["card"], "gpus": gpus, "usd": gpus * offer["usd"], "longest_context": low})
    machines.sort(key=lambda m: m["gpus"])
    machines.sort(key=lambda m: m["usd"])
    return machines[0] if machines else None
""",
    ),
    RightAnswer(
        "l16_vram_e5_cheapest",
        "fractions_in_bytes",
        """from fractions import Fraction


def cheapest(model, offers, users, context):
    bits = Fraction(model["bits"]) + (Fraction(20, model["group"]) if model["group"] else 0)
    file = (model["parameters"] - model["kept_16bit"]) * bits / 8 + 2 * model["kept_16bit"]
    token = users * 2 * 2 * model["layers"] * model["kv_heads"] * model["head_dim"]
    best = None
    for offer in offers:
        gpus = 1
        while gpus <= min(8, offer["most"]):
            room = Fraction(offer["vram_gib"]) * 2**30 - 1_500_000_000 - file / gpus
            longest = min(room * min(gpus, model["kv_heads"]) // token, model["window"])
            usd = gpus * offer["usd"]
            if longest >= context and (best is None or (usd, gpus) < (best["usd"], best["gpus"])):
                best = {"usd": usd, "gpus": gpus, "card": offer["card"], "longest_context": longest}
            gpus *= 2
    return best
""",
    ),
    RightAnswer(
        "l16_vram_e5_cheapest",
        "numpy_grid",
        """import numpy as np


def cheapest(model, offers, users, context):
    gpus = np.array([[1, 2, 4, 8]])
    gib, usd, most = (np.array([[offer[name]] for offer in offers]) for name in ("vram_gib", "usd", "most"))
    file = weights_gb(model["parameters"], model["bits"], model["kept_16bit"], model["group"])
    one = cache_gb(model, 1) * users / np.minimum(gpus, model["kv_heads"])
    longest = np.minimum((gib * 2**30 / 1e9 - 1.5 - file / gpus) // one, model["window"])
    price = np.where((longest >= context) & (gpus <= most), usd * gpus, np.inf)
    if not np.isfinite(price).any():
        return None
    rows, columns = np.nonzero(price == price.min())
    row, column = min(zip(rows, columns), key=lambda place: place[1])
    return {
        "card": offers[row]["card"], "gpus": gpus[0, column], "usd": price[row, column],
        "longest_context": longest[row, column],
    }
""",
    ),
]

# Task model_selection.

RIGHT_ANSWERS += [
    RightAnswer(
        "l16_sel_e1_memory",
        "user_by_user",
        """def memory_bytes(model, precision, users, context, cards):
    total = model["files"][precision]["bytes"]
    for _ in range(cards):
        total += 1_500_000_000
    for _ in range(users):
        total += model["state_bytes"]
        total += model["cache_bytes_per_token"] * context
        if context < model["window_tokens"]:
            total += model["window_bytes_per_token"] * context
        else:
            total += model["window_bytes_per_token"] * model["window_tokens"]
    return total
""",
    ),
    RightAnswer(
        "l16_sel_e1_memory",
        "numpy",
        """import numpy as np


def memory_bytes(model, precision, users, context, cards):
    held = np.array([context, np.clip(context, None, model["window_tokens"]), 1], dtype=np.int64)
    sizes = np.array([model[f"{name}_bytes{each}"] for name, each in (("cache", "_per_token"), ("window", "_per_token"), ("state", ""))])
    return np.int64(model["files"][precision]["bytes"]) + users * (held @ sizes) + 15 * 10**8 * cards
""",
    ),
    RightAnswer(
        "l16_sel_e1_memory",
        "floats_by_kind",
        """def memory_bytes(model, precision, users, context, cards):
    beyond = max(0, context - model["window_tokens"])
    full = float(users * context * model["cache_bytes_per_token"])
    window = float(users * (context - beyond) * model["window_bytes_per_token"])
    parts = {"overhead": 1.5e9 * cards, "full": full, "window": window, "states": float(users) * model["state_bytes"]}
    return model["files"][precision]["bytes"] + sum(parts.values())
""",
    ),
    RightAnswer(
        "l16_sel_e2_latency",
        "fractions",
        """from fractions import Fraction


def latency_s(model, precision, scenario):
    prompt, users, file = scenario["prompt_tokens"], scenario["users"], model["files"][precision]
    reading = Fraction(model["flops_per_token"]) * prompt + Fraction(model["flops_per_pair"]) * prompt**2 / 2
    end = prompt + model["thinking_tokens"] + scenario["answer_tokens"]
    unread = Fraction(file["expert_bytes"]) * Fraction(model["idle_share"]) ** users
    moved = file["bytes"] - unread + users * lab.cache_bytes(model, end)
    return reading / Fraction(scenario["flops_per_s"]) + (end - prompt) * moved / Fraction(scenario["bytes_per_s"])
""",
    ),
    RightAnswer(
        "l16_sel_e2_latency",
        "step_by_step",
        """def latency_s(model, precision, scenario):
    file, prompt = model["files"][precision], scenario["prompt_tokens"]
    unread, moved = file["expert_bytes"], file["bytes"]
    end = prompt + model["thinking_tokens"] + scenario["answer_tokens"]
    for _ in range(scenario["users"]):
        unread *= model["idle_share"]
        moved += lab.cache_bytes(model, end)
    moved -= unread
    seconds = model["flops_per_token"] / scenario["flops_per_s"] * prompt
    seconds += model["flops_per_pair"] * (prompt * prompt) / (2 * scenario["flops_per_s"])
    step, written = moved / scenario["bytes_per_s"], 0
    while written < model["thinking_tokens"] + scenario["answer_tokens"]:
        seconds += step
        written += 1
    return seconds
""",
    ),
    RightAnswer(
        "l16_sel_e2_latency",
        "tensors",
        """import torch


def latency_s(model, precision, scenario):
    file, prompt = model["files"][precision], scenario["prompt_tokens"]
    steps = model["thinking_tokens"] + scenario["answer_tokens"]
    work = torch.tensor([model["flops_per_token"], model["flops_per_pair"] / 2], dtype=torch.float64)
    powers = torch.tensor([prompt, prompt**2], dtype=torch.float64)
    full = prompt + steps
    window = min(full, model["window_tokens"]) * model["window_bytes_per_token"]
    caches = scenario["users"] * (full * model["cache_bytes_per_token"] + window + model["state_bytes"])
    idle = torch.tensor(model["idle_share"], dtype=torch.float64).pow(scenario["users"])
    always = file["bytes"] - file["expert_bytes"]
    moved = always + file["expert_bytes"] * (1 - idle) + caches
    return (work @ powers) / scenario["flops_per_s"] + steps * moved / scenario["bytes_per_s"]
""",
    ),
    RightAnswer(
        "l16_sel_e3_broken",
        "set_of_names",
        """def broken(model, precision, context, scenario):
    found = set()
    if memory_bytes(model, precision, scenario["users"], context, scenario["cards"]) > scenario["cards"] * scenario["vram_gib"] * 1024**3:
        found.add("memory")
    if not lab.need(model, scenario) <= context <= model["native_context"]:
        found |= {"context"}
    word, duties = decide(model["licence"], scenario["use"])
    if word != "yes" or set(duties) & set(scenario["refuses"]):
        found.add("licence")
    try:
        if model["scores"][scenario["benchmark"]] < scenario["at_least"]:
            found.add("evidence")
    except KeyError:
        found.add("evidence")
    if latency_s(model, precision, scenario) > scenario["seconds"]:
        found.add("latency")
    return found
""",
    ),
    RightAnswer(
        "l16_sel_e3_broken",
        "keeps_or_not",
        """def broken(model, precision, context, scenario):
    def memory():
        bytes_of_a_card = scenario["vram_gib"] * 2**30
        return memory_bytes(model, precision, scenario["users"], context, scenario["cards"]) <= bytes_of_a_card * scenario["cards"]

    def context_():
        asked = [scenario["prompt_tokens"], scenario["answer_tokens"], model["thinking_tokens"]]
        return sum(asked) <= context and context <= model["native_context"]

    def licence():
        word, duties = decide(model["licence"], scenario["use"])
        return word == "yes" and all(duty not in scenario["refuses"] for duty in duties)

    def evidence():
        return scenario["benchmark"] in model["scores"] and model["scores"][scenario["benchmark"]] >= scenario["at_least"]

    def latency():
        return latency_s(model, precision, scenario) <= scenario["seconds"]

    rules = (latency, evidence, licence, context_, memory)
    return tuple(rule.__name__.rstrip("_") for rule in rules if not rule())
""",
    ),
    RightAnswer(
        "l16_sel_e3_broken",
        "numpy_differences",
        """import numpy as np


def broken(model, precision, context, scenario):
    names = np.array(["memory", "context", "context", "licence", "licence", "evidence", "latency"])
    word, duties = decide(model["licence"], scenario["use"])
    excess = np.array(
        [
            memory_bytes(model, precision, scenario["users"], context, scenario["cards"]) - scenario["cards"] * scenario["vram_gib"] * 2**30,
            lab.need(model, scenario) - context,
            context - model["native_context"],
            word != "yes",
            sum(duty in scenario["refuses"] for duty in duties),
            scenario["at_least"] - model["scores"].get(scenario["benchmark"], -1),
            latency_s(model, precision, scenario) - scenario["seconds"],
        ],
        dtype=np.float64,
    )
    return list(np.unique(names[excess > 0]))
""",
    ),
    RightAnswer(
        "l16_sel_e4_choose",
        "largest_context_of_each_file",
        """def choose(scenario, catalog):
    def smallest(m):
        return sorted(m["files"], key=lambda precision: m["files"][precision]["bytes"])[0]

    reasons = {m["name"]: set(broken(m, smallest(m), lab.need(m, scenario), scenario)) for m in catalog}
    winner, top = {"model": None, "precision": None, "context": None}, None
    for m in catalog:
        if reasons[m["name"]]:
            continue
        score = m["scores"][scenario["benchmark"]]
        for precision, file in m["files"].items():
            fitting = [n for n in lab.contexts(m, scenario) if len(broken(m, precision, n, scenario)) == 0]
            if not fitting:
                continue
            context = max(fitting)
            worth = {
                "quality": (score - file["loss"]) / 100,
                "speed": (scenario["seconds"] - latency_s(m, precision, scenario)) / scenario["seconds"],
                "room": min(1, context / lab.need(m, scenario) - 1),
            }
            value = sum(worth[part] * scenario["weights"][part] for part in worth)
            if top is None or value > top:
                winner, top = {"model": m["name"], "precision": precision, "context": context}, value
    return {**winner, "reasons": reasons}
""",
    ),
    RightAnswer(
        "l16_sel_e4_choose",
        "sorted_by_utility_first",
        """from itertools import product


def choose(scenario, catalog):
    found = []
    for m in catalog:
        if scenario["benchmark"] in m["scores"]:
            found += [
                (lab.utility(m, precision, context, scenario), number, m, precision, context)
                for number, (precision, context) in enumerate(product(m["files"], lab.contexts(m, scenario)))
            ]
    found.sort(key=lambda candidate: candidate[0], reverse=True)
    reasons = {}
    for m in catalog:
        sizes = {file["bytes"]: precision for precision, file in m["files"].items()}
        against = broken(m, sizes[min(sizes)], lab.need(m, scenario), scenario)
        if against != []:
            reasons.update({m["name"]: tuple(against)})
    for _, _, m, precision, context in found:
        if not broken(m, precision, context, scenario):
            return lab.Choice(m["name"], precision, float(context), reasons)
    return lab.Choice(model=None, precision=None, context=None, reasons=reasons)
""",
    ),
    RightAnswer(
        "l16_sel_e4_choose",
        "finer_contexts",
        """from collections import namedtuple

Answer = namedtuple("Answer", "model precision context reasons")


def choose(scenario, catalog):
    reasons, best = {}, (float("-inf"), None, None, None)
    for m in catalog:
        tokens, usable = lab.need(m, scenario), False
        for precision in m["files"]:
            if broken(m, precision, tokens, scenario):
                continue
            usable = True
            for context in range(tokens, 2 * tokens + 1, max(1, tokens // 16)):
                if broken(m, precision, context, scenario):
                    break
                best = max(best, (lab.utility(m, precision, context, scenario), m["name"], precision, context), key=lambda b: b[0])
        if not usable:
            reasons[m["name"]] = broken(m, min(m["files"], key=lambda p: m["files"][p]["bytes"]), tokens, scenario)
    return Answer(*best[1:], reasons)
""",
    ),
]

# Task deployment_plan.

RIGHT_ANSWERS += [
    RightAnswer(
        "l16_plan_e1_seconds",
        "fractions",
        """from fractions import Fraction


def switch_seconds(server, leaves, leaves_to, comes, comes_from):
    def over(engine, speed, lanes=1):
        return Fraction(engine["weights_gb"]) / Fraction(server[speed]) / lanes

    total = Fraction(0)
    if leaves_to == "cold":
        total += Fraction(server["stop_s"])
    elif leaves_to == "level 1":
        total += over(leaves, "link_gbs", len(leaves["gpus"]))
    if comes_from in ("cold", "level 2"):
        total += over(comes, "storage_gbs")
    total += over(comes, "link_gbs", len(comes["gpus"]))
    waits = ("process_start_s", "warm_up_s") if comes_from == "cold" else ("wake_s",)
    return total + sum(Fraction(server[name]) for name in waits)
""",
    ),
    RightAnswer(
        "l16_plan_e1_seconds",
        "numpy_table",
        """import numpy as np


def switch_seconds(server, leaves, leaves_to, comes, comes_from):
    states = ["cold", "level 1", "level 2"]
    sizes = np.array([leaves["weights_gb"], comes["weights_gb"]])
    copies = sizes / [len(leaves["gpus"]), len(comes["gpus"])] / server["link_gbs"]
    read = sizes[1] / server["storage_gbs"]
    down = np.array([server["stop_s"], copies[0], 0.0])
    up = np.array([read + server["process_start_s"] + server["warm_up_s"], server["wake_s"], read + server["wake_s"]])
    return down[states.index(leaves_to)] + copies[1] + up[states.index(comes_from)]
""",
    ),
    RightAnswer(
        "l16_plan_e1_seconds",
        "a_list_of_steps",
        """def switch_seconds(server, leaves, leaves_to, comes, comes_from):
    def copy(engine):
        share = engine["weights_gb"] / len(engine["gpus"])
        return max(share / server["link_gbs"] for _ in engine["gpus"])

    steps = []
    if leaves_to == "level 1":
        steps.append(copy(leaves))
    if leaves_to == "cold":
        steps.append(server["stop_s"])
    if comes_from == "cold":
        steps += [server["process_start_s"], comes["weights_gb"] / server["storage_gbs"], copy(comes), server["warm_up_s"]]
    if comes_from == "level 2":
        steps += [comes["weights_gb"] / server["storage_gbs"], copy(comes), server["wake_s"]]
    if comes_from == "level 1":
        steps += [copy(comes), server["wake_s"]]
    return sum(steps)
""",
    ),
    RightAnswer(
        "l16_plan_e2_break",
        "numpy",
        """import numpy as np


def first_break(server, engines, moments):
    rooms = np.array([server["vram_gib"] * 2**30] * server["gpus"] + [server["ram_gib"] * 2**30])
    for number, states in enumerate(moments):
        held = np.zeros(server["gpus"] + 1)
        for name, state in states.items():
            one = engines[name]
            n = len(one["gpus"])
            awake = one["weights_gb"] / n + one["cache_gb"] / np.minimum(n, one["kv_heads"]) + server["overhead_gb"]
            held[one["gpus"]] += {"cold": 0.0, "awake": awake}.get(state, server["asleep_gb"])
            held[-1] += one["weights_gb"] * (state == "level 1")
        full = np.flatnonzero(held * 1e9 > rooms)
        if full.size:
            return [np.int64(number), "RAM" if full[0] == server["gpus"] else f"GPU {full[0]}"]
    return None
""",
    ),
    RightAnswer(
        "l16_plan_e2_break",
        "fractions_card_by_card",
        """from fractions import Fraction


def on_card(server, engine, state, card):
    if state == "cold" or card not in engine["gpus"]:
        return Fraction(0)
    if state != "awake":
        return Fraction(server["asleep_gb"])
    tp = len(engine["gpus"])
    cache = Fraction(engine["cache_gb"]) * max(Fraction(1, engine["kv_heads"]), Fraction(1, tp))
    return Fraction(engine["weights_gb"]) / tp + cache + Fraction(server["overhead_gb"])


def first_break(server, engines, moments):
    for number, states in enumerate(moments):
        for card in range(server["gpus"]):
            used = sum(on_card(server, engines[name], state, card) for name, state in states.items())
            if used * 10**9 > Fraction(server["vram_gib"]) * 2**30:
                return number, f"GPU {card}"
        asleep = sum(Fraction(engines[name]["weights_gb"]) for name, state in states.items() if state == "level 1")
        if asleep * 10**9 > Fraction(server["ram_gib"]) * 2**30:
            return number, "RAM"
""",
    ),
    RightAnswer(
        "l16_plan_e2_break",
        "all_then_the_first",
        """def first_break(server, engines, moments):
    full = []
    for number in range(len(moments)):
        used = {f"GPU {card}": 0.0 for card in range(server["gpus"])} | {"RAM": 0.0}
        for name, one in engines.items():
            state = moments[number].get(name, "cold")
            if state == "level 1":
                used["RAM"] += one["weights_gb"]
            for card in one["gpus"]:
                if state in ("level 1", "level 2"):
                    used[f"GPU {card}"] += server["asleep_gb"]
                elif state == "awake":
                    heads = max(1, one["kv_heads"] // len(one["gpus"]))
                    used[f"GPU {card}"] += one["weights_gb"] / len(one["gpus"]) + server["overhead_gb"]
                    used[f"GPU {card}"] += one["cache_gb"] / one["kv_heads"] * heads
        for place, gigabytes in used.items():
            gib = server["ram_gib"] if place == "RAM" else server["vram_gib"]
            if gigabytes > gib * 2**30 / 1e9:
                full.append((number, place))
    return next(iter(full), None)
""",
    ),
    RightAnswer(
        "l16_plan_e3_calls",
        "looks_whether_it_worked",
        """def switch_calls(leaves, leaves_to, comes, comes_from):
    steps = [[leaves, "GET", "/is_sleeping", None]]
    if leaves_to == "cold":
        steps.append([leaves, "stop"])
    else:
        steps.append([leaves, "POST", "/sleep?mode=wait&level=" + leaves_to.split()[1], {}])
        steps.append([leaves, "GET", "/is_sleeping", None])
    if comes_from == "cold":
        steps.append([comes, "start"])
        steps.append([comes, "GET", "/health", None])
    else:
        steps.append([comes, "POST", "/wake_up?tags=weights&tags=kv_cache", None])
    if comes_from == "level 2":
        steps.append([comes, "POST", "/collective_rpc", {"method": "reload_weights", "timeout": 60}])
    return steps
""",
    ),
    RightAnswer(
        "l16_plan_e3_calls",
        "table_of_texts",
        """import json

DOWN = {"cold": "stop", "level 1": "POST /sleep?level=1&mode=wait", "level 2": "POST /sleep?level=2&mode=wait"}
UP = {
    "cold": "start",
    "level 1": "POST /wake_up?tags=weights\\nPOST /wake_up?tags=kv_cache",
    "level 2": 'POST /wake_up?tags=weights\\nPOST /collective_rpc {"method": "reload_weights"}\\nPOST /wake_up?tags=kv_cache',
}


def read(name, text):
    for line in text.splitlines():
        words = line.split(" ", 2)
        if len(words) == 1:
            yield name, words[0]
        else:
            yield name, words[0], words[1], json.loads(words[2]) if len(words) == 3 else None


def switch_calls(leaves, leaves_to, comes, comes_from):
    return (*read(leaves, DOWN[leaves_to]), *read(comes, UP[comes_from]))
""",
    ),
    RightAnswer(
        "l16_plan_e3_calls",
        "small_functions",
        """def post(name, path, body=None, **query):
    words = "&".join(f"{key}={value}" for key, value in query.items())
    return (name, "POST", path + ("?" + words if words else ""), body)


def switch_calls(leaves, leaves_to, comes, comes_from):
    steps = []
    match leaves_to:
        case "cold":
            steps.append((leaves, "stop"))
        case "level 1":
            steps.append(post(leaves, "/sleep", mode="wait"))
        case "level 2":
            steps.append(post(leaves, "/sleep", level=2, mode="wait"))
    match comes_from:
        case "cold":
            steps.append((comes, "start"))
        case "level 1":
            steps.append(post(comes, "/wake_up"))
        case "level 2":
            steps.append(post(comes, "/wake_up"))
            steps.append(post(comes, "/collective_rpc", {"method": "reload_weights"}))
    return steps
""",
    ),
    RightAnswer(
        "l16_plan_e4_plan",
        "smallest_stay_in_ram",
        """def plan(server, workloads, models):
    cards = list(range(server["gpus"]))
    engines, levels = {}, {}
    for work in workloads:
        for model, bits in work["wishes"]:
            one = task.engine(models, model, bits, cards, work["context"], work["users"])
            held = one["weights_gb"] / len(cards) + one["cache_gb"] / min(len(cards), one["kv_heads"]) + server["overhead_gb"]
            held += server["asleep_gb"] * (len(workloads) - 1)
            if held * 1e9 <= server["vram_gib"] * 2**30 and work["context"] <= models[model]["window"]:
                engines[work["name"]] = one
                break
    left = server["ram_gib"] * 2**30 / 1e9
    for name in sorted(engines, key=lambda n: engines[n]["weights_gb"]):
        levels[name] = "level 1" if engines[name]["weights_gb"] <= left else "level 2"
        if levels[name] == "level 1":
            left -= engines[name]["weights_gb"]

    def down(name):
        return [[name, "POST", "/sleep?mode=wait&level=" + levels[name][-1], None]]

    def up(name):
        if levels[name] == "level 1":
            return [[name, "POST", "/wake_up", None]]
        return [
            [name, "POST", "/wake_up?tags=weights", None],
            [name, "POST", "/collective_rpc", {"method": "reload_weights"}],
            [name, "POST", "/wake_up?tags=kv_cache", None],
        ]

    def seconds(old, new):
        copy = {n: engines[n]["weights_gb"] / server["link_gbs"] / len(cards) for n in (old, new)}
        total = copy[new] + server["wake_s"]
        if levels[old] == "level 1":
            total += copy[old]
        if levels[new] == "level 2":
            total += engines[new]["weights_gb"] / server["storage_gbs"]
        return round(total, 2)

    first = workloads[0]
    morning = []
    for work in reversed(workloads):
        morning.append([work["name"], "start"])
        if work is not first:
            morning += down(work["name"])
    switches = [{"at_s": first["start_s"] - 2400, "steps": morning}]
    for before, after in zip(workloads, workloads[1:]):
        old, new = before["name"], after["name"]
        at = (before["end_s"] + after["start_s"]) / 2
        switches.append({"at_s": at, "steps": down(old) + up(new), "estimate_s": seconds(old, new)})
    slots, urgent, restart = [], {}, {}
    for name in engines:
        states = dict(levels)
        states[name] = "awake"
        slots.append({"workload": name, "engine": name, "residency": states})
        urgent[name] = {b: {"there": down(name) + up(b), "back": down(b) + up(name)} for b in engines if b != name}
        restart[name] = [[name, "start"]]
    return {"engines": engines, "slots": slots, "switches": switches, "fallbacks": {"urgent": urgent, "restart": restart}}
""",
    ),
    RightAnswer(
        "l16_plan_e4_plan",
        "tries_all_levels",
        """from itertools import permutations, product


def candidates(server, workloads, models, work):
    cards = tuple(range(server["gpus"]))
    others = [f"asleep {number}" for number in range(len(workloads) - 1)]
    for model, bits in work["wishes"]:
        if models[model]["window"] < work["context"]:
            continue
        one = task.engine(models, model, bits, cards, context=work["context"], sequences=work["users"])
        beside = {name: {**one, "weights_gb": 0.0} for name in others}
        states = dict.fromkeys(others, "level 1") | {"one": "awake"}
        if first_break(server, {"one": one, **beside}, [states]) is None:
            yield one


def best_levels(server, engines):
    found = []
    for choice in product(("level 1", "level 2"), repeat=len(engines)):
        levels = dict(zip(engines, choice))
        if first_break(server, engines, [levels]) is None:
            pairs = permutations(engines, 2)
            total = sum(switch_seconds(server, engines[a], levels[a], engines[b], levels[b]) for a, b in pairs)
            found.append((float(total), choice))
    return dict(zip(engines, min(found)[1]))


def plan(server, workloads, models):
    engines = {work["name"]: next(candidates(server, workloads, models, work)) for work in workloads}
    levels = best_levels(server, engines)
    moves = {(a, b): switch_calls(a, levels[a], b, levels[b]) for a, b in permutations(engines, 2)}
    first, *later = engines
    steps = []
    for name in later:
        steps += [(name, "start"), (name, "GET", "/health", None), (name, "POST", f"/sleep?level={levels[name][-1]}&mode=wait", None)]
    steps.append((first, "start"))
    switches = [{"at_s": max(0, workloads[0]["start_s"] - 3600), "steps": steps, "estimate_s": None}]
    for number, name in enumerate(later):
        old = list(engines)[number]
        cost = switch_seconds(server, engines[old], levels[old], engines[name], levels[name])
        switches.append({"at_s": workloads[number]["end_s"], "steps": moves[old, name], "estimate_s": cost})
    urgent = {a: {} for a in engines}
    for a, b in moves:
        urgent[a][b] = {"there": moves[a, b], "back": moves[b, a]}
    return dict(
        engines=engines,
        slots=tuple({"workload": n, "engine": n, "residency": levels | {n: "awake"}} for n in engines),
        switches=tuple(switches),
        fallbacks=dict(urgent=urgent, restart={n: [(n, "start"), (n, "GET", "/health", None)] for n in engines}),
        notes="level 1 wherever RAM allows, since an urgent request waits for both halves of a switch",
    )
""",
    ),
]
