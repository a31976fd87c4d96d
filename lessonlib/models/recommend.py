"""Which model of the hub this machine has room for. Decided from numbers alone: nothing is asked of the network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Hub id, row of the fact base with its exact size, whether it follows instructions. Smallest first. An instruct model
# has the architecture, and so the size, of the base model that it was made from.
CANDIDATES = (
    ("HuggingFaceTB/SmolLM2-135M", "smollm2-135m", False),
    ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m", True),
    ("Qwen/Qwen2.5-0.5B", "qwen2.5-0.5b", False),
    ("Qwen/Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b", True),
    ("Qwen/Qwen3-0.6B", "qwen3-0.6b", True),
)
TOKENS = 4096  # of context that the key-value cache gets room for: more than any lesson uses
HEADROOM = 1_000_000_000  # bytes for the process itself, activations and the scores of a whole prompt


@dataclass(frozen=True)
class Recommendation:
    """`name` is what to hand to `load`, `reason` one sentence with the numbers. Bytes count weights, cache and headroom;
    `bytes_available` is None where the machine does not say."""

    name: str
    reason: str
    bytes_needed: int
    bytes_available: int | None


def recommended(
    instruct: bool = False,
    *,
    device=None,
    dtype=None,
    available: int | None = None,
    online: bool | None = None,
) -> Recommendation:
    """The largest hub model that fits the free memory of `device` in `dtype`, and why: one that follows instructions when
    `instruct`, else one that continues text. Offline, or where none fits, the largest embedded model.

    `device` and `dtype` default as in `load`, `available` (bytes) to `memory_free(device)`, and `online` to whether
    HF_HUB_OFFLINE allows it. ValueError for a device or dtype that is none."""
    from . import hub
    from .device import default_dtype, pick_device
    from .load import _dtype

    device = pick_device(device)
    dtype = _dtype(dtype) or default_dtype(device)
    available = memory_free(device) if available is None else available
    online = not hub.offline() if online is None else online
    if not online:
        return _embedded("HF_HUB_OFFLINE allows no download", dtype, available)
    if available is None:
        return _embedded("this machine does not say how much memory is free", dtype, None)
    sizes = [(name, *_bytes(row, dtype)) for name, row, follows in CANDIDATES if follows == bool(instruct)]
    fitting = [size for size in sizes if sum(size[1:]) <= available]
    if not fitting:
        name, *parts = sizes[0]
        why = f"even {name}, the smallest of the hub, needs {_gb(sum(parts))} in {_plain(dtype)}"
        return _embedded(why, dtype, available)
    name, weights, rest = fitting[-1]
    reason = (
        f"{name} needs {_gb(weights + rest)} ({_gb(weights)} of {_plain(dtype)} weights, {_gb(rest)} for the cache of "
        f"{TOKENS:,} tokens and the process) and {_gb(available)} of memory are free."
    )
    return Recommendation(name, reason, weights + rest, available)


def memory_free(device=None) -> int | None:
    """Bytes that a model may take on `device` (see `pick_device`): free memory of the GPU; on a CPU free memory of the
    machine, or what its control group leaves where that is less (containers, Binder). None when nothing tells it."""
    from .device import describe_device, pick_device

    facts = describe_device(pick_device(device))
    if facts["device"] != "cpu":  # Apple's GPUs do not say what is free: all that they may use then
        return facts["memory_bytes"] if facts["free_bytes"] is None else facts["free_bytes"]
    free = _psutil_free() if facts["free_bytes"] is None else facts["free_bytes"]
    return min((limit for limit in (free, cgroup_free()) if limit is not None), default=None)


def cgroup_free(membership="/proc/self/cgroup", root="/sys/fs/cgroup") -> int | None:
    """Bytes that the control groups of this process, version 1 or 2, still allow. None without a limit, or off Linux.

    Pages of files that are read (inactive_file) count as free: the kernel drops them before it refuses memory."""
    try:
        lines = Path(membership).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    free = []
    for _, controllers, path in (line.split(":", 2) for line in lines if line.count(":") >= 2):
        if not controllers:
            top, limit, usage, pages = Path(root), "memory.max", "memory.current", "inactive_file"
        elif "memory" in controllers.split(","):
            top, limit, usage = Path(root, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes"
            pages = "total_inactive_file"
        else:
            continue
        group = top / path.lstrip("/")
        # A limit of any group above holds too. In a container the path is often that of the host: only `top` is there.
        for folder in (group, *(above for above in group.parents if above.is_relative_to(top))):
            try:
                stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
                used = int((folder / usage).read_text()) - int(stat.get(pages, 0))
                free.append(max(0, int((folder / limit).read_text()) - used))
            except (OSError, ValueError):  # no such group, or the limit "max"
                continue
    return min(free, default=None)


def _psutil_free() -> int | None:
    """Free main memory where there is no /proc (macOS, Windows): every Jupyter kernel comes with psutil."""
    try:
        import psutil
    except ImportError:
        return None
    return psutil.virtual_memory().available


def _bytes(row: str, dtype) -> tuple[int, int]:
    """Bytes of the weights of a row of the fact base, and of its cache with the headroom."""
    from ..calc.memory import kv_cache_bytes
    from ..facts import catalog

    fact = catalog.model(row)
    cache = kv_cache_bytes(
        layers=fact.layers,
        kv_heads=fact.kv_heads,
        head_dim=fact.head_dim,
        tokens=TOKENS,
        bytes_per_value=dtype.itemsize,
    )
    return fact.total_params_exact * dtype.itemsize, cache + HEADROOM


def _embedded(why: str, dtype, available: int | None) -> Recommendation:
    from .embedded import catalogue

    card = max(catalogue(), key=lambda card: card.parameters)
    needed = card.parameters * dtype.itemsize + HEADROOM
    known = "" if available is None else f" of the {_gb(available)} that are free"
    reason = f"The embedded model {card.name!r}, because {why}; it needs {_gb(needed)}{known}."
    return Recommendation(card.name, reason, needed, available)


def _plain(dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
