"""The capstone task deployment_plan: its rules as code, its server, models and workloads, and the reference answers.

Rules: GB = 1e9 bytes, a card of N GiB holds N x 2**30 bytes. An engine is one vLLM process: it serves one model on its GPUs
(tp = their number), each with 1 / tp of the weights, its key-value heads' cache (a copy of one head when tp is larger), and
`overhead_gb` while it is awake. Asleep it keeps `asleep_gb` on each of its GPUs; at level 1 its weights lie in host RAM.
GPUs copy their shares at the same time; storage is read once."""

from __future__ import annotations

from ..calc import memory, switching
from ..facts import catalog

# Times and the power of an idle card are choices of this task (those of the course's switch calculator); a server's owner
# measures them.
SERVER = {
    "gpus": 2, "vram_gib": 32, "ram_gib": 128, "link_gbs": 64, "storage_gbs": 5.0,
    "process_start_s": 15.0, "warm_up_s": 20.0, "stop_s": 5.0, "wake_s": 0.5, "overhead_gb": 1.5, "asleep_gb": 0.5,
    "bandwidth_gbs": 1792, "tflops": 209.5, "board_w": 575, "idle_w": 40, "rest_w": 100, "usd_kwh": 0.17,
}  # fmt: skip
MEANINGS = {
    "gpus": "cards", "vram_gib": "GiB of each card", "ram_gib": "GiB of RAM that are free for sleeping weights",
    "link_gbs": "GB/s between RAM and one card, each direction", "storage_gbs": "GB/s from storage, for all together",
    "process_start_s": "seconds until a new process reads weights", "warm_up_s": "seconds to compile and warm up after that",
    "stop_s": "seconds until a process is gone", "wake_s": "seconds that a wake-up takes beside its copies",
    "overhead_gb": "GB that an awake engine needs on each of its cards beside weights and cache",
    "asleep_gb": "GB that a sleeping engine keeps on each of its cards", "bandwidth_gbs": "GB/s of a card's memory",
    "tflops": "dense 16-bit TFLOP/s of a card", "board_w": "watts of a card that computes", "idle_w": "watts of one that does not",
    "rest_w": "watts of the rest of the machine", "usd_kwh": "USD for a kWh",
}  # fmt: skip
OFFERED = (
    "qwen3-coder-next", "llama-3.3-70b", "qwen2.5-coder-32b", "deepseek-r1-distill-qwen-32b", "qwen3-32b",
    "mistral-small-3.1-24b", "qwen3-14b", "yi-coder-9b", "qwen3-8b",
)  # fmt: skip
BITS = (4, 8, 16)
HOUR = 3600
STATES = ("awake", "level 1", "level 2", "cold")
# name, first and last hour, wishes (best first), context of one request, users at the same time
DAY = (
    ("coding", 8, 12, (("qwen3-coder-next", 4), ("qwen2.5-coder-32b", 4), ("yi-coder-9b", 8)), 32_768, 4),
    ("documents", 13, 17, (("llama-3.3-70b", 4), ("qwen3-32b", 4), ("mistral-small-3.1-24b", 4)), 16_384, 2),
    (
        "reasoning", 18, 22,
        (("deepseek-r1-distill-qwen-32b", 8), ("deepseek-r1-distill-qwen-32b", 4), ("qwen3-14b", 4)), 16_384, 4,
    ),
)  # fmt: skip


def server(**changes) -> dict:
    """The dual 32 GiB server of the task, with `changes`; card="rtx-4090" takes a card's own numbers from the fact base."""
    card = changes.pop("card", None)
    if card:
        gpu = catalog.gpu(card)
        changes = {
            "vram_gib": gpu.vram_gb, "bandwidth_gbs": gpu.bandwidth_gbs, "tflops": gpu.fp16_bf16_tensor_dense_tflops,
            "board_w": gpu.board_power_w, "link_gbs": gpu.interconnect["pcie_gbs_per_direction"], **changes,
        }  # fmt: skip
    unknown = set(changes) - set(SERVER)
    if unknown:
        raise ValueError(f"A server has no {', '.join(sorted(unknown))}; it has {', '.join(SERVER)}.")
    return {**SERVER, **changes}


def models() -> dict[str, dict]:
    """{id: the model as this task writes it}: GB of weights by bits (4 bits as a group-128 file), bytes of cache a token
    and a sequence, key-value heads, longest context, share of the weights that one token reads."""
    return {name: model(name) for name in OFFERED}


def model(name: str) -> dict:
    """One model of the fact base."""
    m = catalog.model(name)
    kept = memory.awq_weight_bytes(m.total_params_exact, m.embedding_params_exact, m.tied_embeddings)
    return {
        "weights_gb": {bits: kept / 1e9 if bits == 4 else m.total_params_exact * bits / 8e9 for bits in BITS},
        "cache_bytes_per_token": m.kv_bytes_per_token_fp16,
        "state_bytes": m.get("fixed_state_bytes_per_sequence") or 0,
        "kv_heads": m.kv_heads,
        "window": m.get("native_context") or m.max_context,
        "active_share": m.active_params_b / m.total_params_b,
        "parameters": m.total_params_exact,
    }


def workloads(hours=None) -> list[dict]:
    """The three workloads of a day; `hours`, a (first, last) pair for each, moves them."""
    rows = []
    for (name, first, last, wishes, context, users), moved in zip(DAY, hours or [()] * len(DAY), strict=True):
        first, last = moved or (first, last)
        rows.append(workload(name, first, last, wishes, context, users))
    return rows


def workload(name, first_hour, last_hour, wishes, context, users, limit_s=20) -> dict:
    """A workload as a dict: from `start_s` to `end_s` of the day `users` at the same time send requests of up to `context`
    tokens, answer included, and none may wait longer than `limit_s` before the model begins. `wishes` are the accepted
    (model, bits), the best first."""
    return {
        "name": name, "start_s": first_hour * HOUR, "end_s": last_hour * HOUR, "wishes": [list(w) for w in wishes],
        "context": context, "users": users, "limit_s": limit_s,
    }  # fmt: skip


def engine(models: dict, model: str, bits: int, gpus: list[int], context: int, sequences: int) -> dict:
    """An engine: one vLLM process with room for `sequences` requests of `context` tokens at the same time.

    `sleep_mode` stands for VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode (`command` writes it out)."""
    m = models[model]
    return {
        "model": model, "bits": bits, "gpus": list(gpus), "context": context, "sequences": sequences, "sleep_mode": True,
        "weights_gb": m["weights_gb"][bits], "kv_heads": m["kv_heads"],
        "cache_gb": (m["cache_bytes_per_token"] * context + m["state_bytes"]) * sequences / 1e9,
    }  # fmt: skip


def command(engine: dict, port: int = 8001) -> str:
    """The command that starts such a process."""
    quantized = {4: "an AWQ file of ", 8: "an 8-bit file of ", 16: ""}[engine["bits"]]
    words = [
        f"CUDA_VISIBLE_DEVICES={','.join(map(str, engine['gpus']))}",
        "VLLM_SERVER_DEV_MODE=1" if engine["sleep_mode"] else "",
        f"vllm serve <{quantized}{engine['model']}> --port {port} --tensor-parallel-size {len(engine['gpus'])}",
        f"--max-model-len {engine['context']} --max-num-seqs {engine['sequences']}",
        "--enable-sleep-mode" if engine["sleep_mode"] else "",
    ]
    return " ".join(w for w in words if w)


# Time


def switch_parts(server: dict, leaves: dict, leaves_to: str, comes: dict, comes_from: str) -> dict[str, float]:
    """Seconds by part until `comes`, now in the state `comes_from`, answers, when `leaves` first goes to `leaves_to`."""
    link = server["link_gbs"]
    down, up = (one["weights_gb"] * 1e9 for one in (leaves, comes))
    links = link * len(comes["gpus"])
    parts = {
        "stop": server["stop_s"] if leaves_to == "cold" else 0,
        "weights to RAM": switching.transfer_seconds(down, link * len(leaves["gpus"])) if leaves_to == "level 1" else 0,
        "process start": server["process_start_s"] if comes_from == "cold" else 0,
        "read from storage": 0 if comes_from == "level 1" else switching.transfer_seconds(up, server["storage_gbs"]),
        "copy to GPUs": switching.transfer_seconds(up, links),
        "warm up": server["warm_up_s"] if comes_from == "cold" else server["wake_s"],
    }
    return {name: seconds for name, seconds in parts.items() if seconds}


def switch_seconds(server: dict, leaves: dict, leaves_to: str, comes: dict, comes_from: str) -> float:
    """The sum of `switch_parts`: the reference of exercise 1."""
    return sum(switch_parts(server, leaves, leaves_to, comes, comes_from).values())


# Memory


def gpu_gb(server: dict, engine: dict, state: str) -> float:
    """GB of one of the engine's GPUs in a state."""
    if state == "cold":
        return 0.0
    if state != "awake":
        return server["asleep_gb"]
    tp = len(engine["gpus"])
    return engine["weights_gb"] / tp + engine["cache_gb"] / min(tp, engine["kv_heads"]) + server["overhead_gb"]


def usage(server: dict, engines: dict, states: dict) -> tuple[list[float], float]:
    """GB on each GPU, and in RAM, when engines are in these states; engines that `states` does not name are cold."""
    cards, ram = [0.0] * server["gpus"], 0.0
    for name, state in states.items():
        for card in engines[name]["gpus"]:
            cards[card] += gpu_gb(server, engines[name], state)
        ram += engines[name]["weights_gb"] if state == "level 1" else 0
    return cards, ram


def first_break(server: dict, engines: dict, moments: list[dict]):
    """(number of the moment, "GPU 1" or "RAM") of the first moment that does not fit, None when all do: the reference of
    exercise 2. GPUs are looked at in their order, then RAM."""
    for number, states in enumerate(moments):
        cards, ram = usage(server, engines, states)
        for card, used in enumerate(cards):
            if used * 1e9 > memory.card_bytes(server["vram_gib"]):
                return number, f"GPU {card}"
        if ram * 1e9 > memory.card_bytes(server["ram_gib"]):
            return number, "RAM"
    return None


# Calls


def calls_down(name: str, to: str) -> list[tuple]:
    """Steps that put an awake engine into the state `to`; its running answers are finished first."""
    return [(name, "stop")] if to == "cold" else [(name, "POST", f"/sleep?level={to[-1]}&mode=wait", None)]


def calls_up(name: str, from_state: str) -> list[tuple]:
    """Steps that make an engine answer."""
    if from_state == "cold":
        return [(name, "start")]
    if from_state == "level 1":
        return [(name, "POST", "/wake_up", None)]
    return [
        (name, "POST", "/wake_up?tags=weights", None),
        (name, "POST", "/collective_rpc", {"method": "reload_weights"}),
        (name, "POST", "/wake_up?tags=kv_cache", None),
    ]


def switch_calls(leaves: str, leaves_to: str, comes: str, comes_from: str) -> list[tuple]:
    """All steps of a switch in order: the reference of exercise 3."""
    return calls_down(leaves, leaves_to) + calls_up(comes, comes_from)


# The plan


def best_engine(server: dict, work: dict, models: dict, others: int):
    """(number of the wish, engine) of the best wish that fits on all GPUs while `others` engines sleep there; None when
    no wish does."""
    cards = list(range(server["gpus"]))
    asleep = {f"other {i}": {"weights_gb": 0, "cache_gb": 0, "gpus": cards, "kv_heads": 1} for i in range(others)}
    for number, (name, bits) in enumerate(work["wishes"]):
        one = engine(models, name, bits, cards, work["context"], work["users"])
        moment = {"it": "awake", **dict.fromkeys(asleep, "level 2")}
        if work["context"] <= models[name]["window"] and not first_break(server, {"it": one, **asleep}, [moment]):
            return number, one
    return None


def reference_plan(server: dict, work: list[dict], models: dict, deep: bool = False) -> dict:
    """A plan that serves the day: one engine a workload on all GPUs, level 1 as far as RAM goes, level 2 beyond (or, if
    `deep`, for all).

    ValueError when a workload has no wish that fits."""
    found = {w["name"]: best_engine(server, w, models, len(work) - 1) for w in work}
    if None in found.values():
        raise ValueError("One of the workloads has no model that fits on this server.")
    engines = {name: one for name, (_, one) in found.items()}
    names, levels = list(engines), dict.fromkeys(engines, "level 1")
    # At the moment between the two halves of a switch all of them are asleep: RAM must hold that.
    for name in sorted(names, key=lambda n: -engines[n]["weights_gb"]):
        if deep or first_break(server, engines, [levels]):
            levels[name] = "level 2"

    def steps(old, new):
        return switch_calls(old, levels[old], new, levels[new])

    def seconds(old, new):
        return switch_seconds(server, engines[old], levels[old], engines[new], levels[new])

    morning = [s for n in reversed(names[1:]) for s in [*calls_up(n, "cold"), *calls_down(n, levels[n])]]
    switches = [{"at_s": work[0]["start_s"] - 1800, "steps": [*morning, (names[0], "start")], "estimate_s": None}]
    for a, b in zip(work, work[1:], strict=False):
        a, b, at = a["name"], b["name"], a["end_s"]
        switches.append({"at_s": at, "steps": steps(a, b), "estimate_s": seconds(a, b)})
    return {
        "engines": engines,
        "slots": [
            {"workload": n, "engine": n, "residency": {o: "awake" if o == n else levels[o] for o in names}}
            for n in names
        ],
        "switches": switches,
        "fallbacks": {
            "urgent": {
                a: {b: {"there": steps(a, b), "back": steps(b, a)} for b in names if b != a} for a in names
            },
            "restart": {n: [(n, "start")] for n in names},
        },
    }  # fmt: skip
