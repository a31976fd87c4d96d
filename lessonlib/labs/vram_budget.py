"""The capstone task vram_budget: its rules as code, its models and machines, and the reference answer.

Rules: GB = 1e9 bytes; a card of N GiB holds N x 2**30 bytes; each of tp GPUs holds 1 / tp of the weights and its own
key-value heads (a copy of one when there are more GPUs than heads), and pays the whole overhead; a configuration fits
when one GPU's total is at most its card."""

from __future__ import annotations

from dataclasses import dataclass

from ..calc import memory
from ..facts import catalog

TOKENS, OVERHEAD, GROUP = 8192, 1.5, 128
GPUS = (1, 2, 4, 8)  # how many work together
CONFIGS = [
    {"name": "A", "gpus": 1, "vram_gib": 24},
    {"name": "B", "gpus": 2, "vram_gib": 32},
    {"name": "C", "gpus": 1, "vram_gib": 80},
]
# Model of the task, its rounded size in billions, bits a weight.
TASK = [("yi-coder-9b", 9, 16), ("qwen2.5-coder-32b", 32, 4), ("llama-3.3-70b", 70, 4)]
MIXTURE = "qwen3-coder-30b-a3b"  # has fewer active parameters than parameters


@dataclass(frozen=True)
class Slip:
    """A common mistake on a model where it turns the verdict around: GB needed, GB counted, GB it is compared with."""

    name: str
    model: str
    tokens: int
    right_gb: float
    wrong_gb: float
    room_gb: float


def round_models() -> list[dict]:
    """The task's three models by rounded sizes: whole billions, all weights alike."""
    return [{**record(name, bits), **alike(billions * 10**9)} for name, billions, bits in TASK]


def exact_models() -> list[dict]:
    """The same by exact architecture: every parameter, and group-128 files for 4 bits."""
    return [record(name, bits) for name, _, bits in TASK]


def record(name: str, bits: int) -> dict:
    """A model as this task writes it. With 4 bits it is a group-128 file whose embeddings keep 16 bits."""
    m = catalog.model(name)
    grouped = bits == 4
    return {
        "name": m.name,
        "parameters": m.total_params_exact,
        "active_parameters": round(m.active_params_b * 1e9) if m.get("moe_experts") else m.total_params_exact,
        "bits": bits,
        "kept_16bit": m.embedding_params_exact * (1 if m.tied_embeddings else 2) if grouped else 0,
        "group": GROUP if grouped else None,
        "layers": m.layers,
        "attention_heads": m.attention_heads,
        "kv_heads": m.kv_heads,
        "head_dim": m.head_dim,
        "window": m.max_context,
    }


def offers() -> list[dict]:
    """Cards of the fact base with one list price: {"card", "vram_gib", "usd", "most"}, where `most` says how many cards one
    machine takes: two in a desktop, eight in a server."""
    prices = {p.id: p.usd for p in catalog.prices(own=False) if p.group == "gpu_list_prices" and p.get("usd")}
    cards = [g for g in catalog.gpus(own=False) if g.id in prices and g.vram_gb < 300]  # no whole racks
    return [
        {"card": g.name, "vram_gib": g.vram_gb, "usd": prices[g.id], "most": 2 if "GeForce" in g.name else 8}
        for g in cards
    ]


def serving(m: dict, offered: list[dict], users: int, context: int) -> list[dict]:
    """Every machine on which each of `users` has `context` tokens: {"card", "gpus", "usd", "longest_context"}."""
    found = []
    for offer in offered if context <= m["window"] else []:
        for gpus in (n for n in GPUS if n <= offer["most"]):
            tokens = longest_context(m, offer["vram_gib"], gpus, users)
            if tokens >= context:
                usd, longest = gpus * offer["usd"], min(tokens, m["window"])
                found.append({"card": offer["card"], "gpus": gpus, "usd": usd, "longest_context": longest})
    return found


def reference_choice(m: dict, offered: list[dict], users: int, context: int) -> dict | None:
    """What `cheapest` must give: the cheapest machine that serves the load (of two that cost the same, the one with fewer
    GPUs), or None."""
    return min(serving(m, offered, users, context), key=lambda c: (c["usd"], c["gpus"], c["card"]), default=None)


def longest_context(m: dict, vram_gib: float, gpus: int, users: int) -> int:
    """The most tokens for each of `users`, whatever the model's window; 0 when not even the weights fit."""
    room = memory.card_bytes(vram_gib) - budget(m, {"gpus": gpus}, 0).total
    one = cache_gb(m, 1) * 1e9 * users / min(gpus, m["kv_heads"])
    return max(0, int(room / one + 1e-6))  # a hair, so that a room made to fit exactly does


def rank_bytes(layer, tp: int, device: str = "cpu") -> int:
    """Bytes that one of `tp` ranks needs of a decoder layer: its slices are allocated on `device`, and the storage is asked
    for its size (on a GPU, the allocator).

    Matrices that spread (queries, keys, values, gate, up) are cut by rows, those that gather (output, down) by columns,
    and every rank keeps the whole norms. Shoeybi and others, 2019."""
    import torch

    before, kept = torch.cuda.memory_allocated() if device == "cuda" else 0, []
    for name, tensor in layer.state_dict().items():
        axis = 1 if name.endswith(("o_proj.weight", "down_proj.weight")) else 0
        shape = tensor.shape if "proj" not in name or name.endswith("o_proj.bias") else tensor.chunk(tp, axis)[0].shape
        kept.append(torch.empty(shape, dtype=tensor.dtype, device=device))
    if device == "cuda":
        return torch.cuda.memory_allocated() - before
    return sum(t.untyped_storage().nbytes() for t in kept)


def alike(parameters: int) -> dict:
    """The fields of a model whose weights all have the same bits."""
    return {"parameters": parameters, "active_parameters": parameters, "kept_16bit": 0, "group": None}


def weights_gb(parameters: int, bits: float, kept: int = 0, group: int | None = None) -> float:
    """GB of a file: `kept` parameters at 16 bits, the others at `bits` and their group's share of 16 + 4 bits."""
    extra = memory.GROUP_BITS / group if group else 0
    return ((parameters - kept) * (bits + extra) + kept * 16) / 8 / 1e9


def cache_gb(m: dict, tokens: int, bytes_per_value: float = 2, heads: int | None = None) -> float:
    """GB of the cache of one sequence; `heads` in place of the key-value heads shows what another count would give."""
    shape = dict(layers=m["layers"], kv_heads=heads or m["kv_heads"], head_dim=m["head_dim"], tokens=tokens)
    return memory.kv_cache_bytes(**shape, bytes_per_value=bytes_per_value) / 1e9


def budget(m: dict, config: dict, tokens: int = TOKENS) -> memory.Budget:
    """Bytes on one GPU of `config`."""
    weights = weights_gb(m["parameters"], m["bits"], m["kept_16bit"], m["group"])
    cache = cache_gb(m, tokens) / min(config["gpus"], m["kv_heads"])
    return memory.Budget(weights / config["gpus"] * 1e9, cache * 1e9, OVERHEAD * 1e9)


def reference_table(models: list[dict], configs: list[dict], tokens: int = TOKENS) -> list[dict]:
    """The rows that `budget_table` must give: {"model", "config", "per_gpu_gb", "fits"}, models outermost."""
    rows = []
    for m in models:
        for c in configs:
            b = budget(m, c, tokens)
            fits = b.fits(memory.card_bytes(c["vram_gib"]))
            rows.append({"model": m["name"], "config": c["name"], "per_gpu_gb": b.total / 1e9, "fits": fits})
    return rows


def slips(card_gib: int = 24) -> list[Slip]:
    """Six slips on one card of `card_gib` GiB, each on a 4-bit model of the fact base that the task does not name."""
    small, mixed, yi = (record(name, 4) for name in ("mistral-small-3.1-24b", "mixtral-8x7b", "yi-34b"))
    room, long = memory.card_bytes(card_gib) / 1e9, 65_536
    active = weights_gb(mixed["active_parameters"], 4, mixed["kept_16bit"], GROUP)
    all_heads = cache_gb(yi, 16_384, heads=yi["attention_heads"])
    cases = [
        ("flat 4 bits", small, long, _total(small, long, weights=weights_gb(small["parameters"], 4)), room),
        ("K without V", small, long, _total(small, long, cache=cache_gb(small, long) / 2), room),
        ("no overhead", small, long, _total(small, long) - OVERHEAD, room),
        ("active parameters only", mixed, TOKENS, _total(mixed, TOKENS, weights=active), room),
        ("all query heads kept", yi, 16_384, _total(yi, 16_384, cache=all_heads), room),
        ("GiB of the card read as GB", yi, 16_384, _total(yi, 16_384), card_gib),
    ]
    return [Slip(name, m["name"], tokens, _total(m, tokens), wrong, size) for name, m, tokens, wrong, size in cases]


def _total(m: dict, tokens: int, weights: float | None = None, cache: float | None = None) -> float:
    weights = weights_gb(m["parameters"], m["bits"], m["kept_16bit"], m["group"]) if weights is None else weights
    return weights + (cache_gb(m, tokens) if cache is None else cache) + OVERHEAD
