"""Seconds to change the model on a GPU: a cold start, and the two sleep levels of vLLM.

Speeds are GB/s (1e9 bytes a second), what data sheets print. Source of the sleep levels: the vLLM documentation on sleep
mode (level 1 copies the weights to host RAM and drops the cache, level 2 drops both)."""

from __future__ import annotations

from collections.abc import Sequence

from .breakdown import Breakdown
from .units import GB, positive

LEVELS = (1, 2)


def transfer_seconds(size_bytes: float, gigabytes_per_s: float) -> float:
    """Seconds to move `size_bytes` at `gigabytes_per_s`: bytes / (GB/s x 1e9). A floor: links never reach their rate."""
    positive("size_bytes", size_bytes, whole=False, zero=True)
    return size_bytes / (positive("gigabytes_per_s", gigabytes_per_s, whole=False) * GB)


def cold_start(
    weight_bytes: float,
    storage: float,
    link: float,
    *,
    process_start_s: float = 0,
    warm_up_s: float = 0,
    stop_s: float = 0,
    overlap: bool = False,
) -> Breakdown:
    """Seconds to stop one server and start another: stop + process start + read the weights from storage + copy them to
    the GPU + warm up (compilation, graph capture).

    `storage` and `link` are GB/s. The three times are inputs: they depend on engine and machine and are measured, not
    computed. With `overlap` the engine copies while it reads, and the slower of the two counts."""
    positive("weight_bytes", weight_bytes, whole=False)
    return Breakdown(
        {
            "stop": _seconds("stop_s", stop_s),
            "process start": _seconds("process_start_s", process_start_s),
            **_load(weight_bytes, storage, link, overlap),
            "warm up": _seconds("warm_up_s", warm_up_s),
        },
        unit="s",
    )


def sleep_level_1(weight_bytes: float, link: float, *, overhead_s: float = 0) -> Breakdown:
    """Seconds of vLLM's sleep level 1 for one model: "sleep" copies the weights to host RAM, "wake" copies them back.

    `link` is the link between host and GPU in GB/s (one direction); `overhead_s` is what waking costs beside the copy.
    The sleeping weights take `host_ram_bytes` of RAM all the time."""
    positive("weight_bytes", weight_bytes, whole=False)
    copy = transfer_seconds(weight_bytes, link)
    return Breakdown({"sleep": copy, "wake": copy, "overhead": _seconds("overhead_s", overhead_s)}, unit="s")


def sleep_level_2(
    weight_bytes: float, storage: float, link: float, *, overhead_s: float = 0, overlap: bool = False
) -> Breakdown:
    """Seconds of vLLM's sleep level 2 for one model: falling asleep drops the weights (no copy), waking reads them from
    storage again and copies them to the GPU. The process, its CUDA context and its compiled graphs stay.

    `storage` and `link` are GB/s; storage may be the page cache in RAM."""
    positive("weight_bytes", weight_bytes, whole=False)
    load = _load(weight_bytes, storage, link, overlap)
    return Breakdown({"sleep": 0, **load, "overhead": _seconds("overhead_s", overhead_s)}, unit="s")


def host_ram_bytes(weight_bytes: Sequence[float], level: int) -> float:
    """RAM that sleeping models take: all their weights at level 1, next to nothing (0) at level 2."""
    for size in weight_bytes:
        positive("weight_bytes", size, whole=False)
    return sum(weight_bytes) if _level(level) == 1 else 0


def exchange(leaves: Breakdown, comes: Breakdown) -> Breakdown:
    """Seconds until the other model answers: the "sleep" of the one that leaves, everything but "sleep" of the other."""
    entry = {name: seconds for name, seconds in comes.items() if name != "sleep"}
    return Breakdown({"sleep": leaves.get("sleep", 0), **entry}, unit="s")


def round_trips(there: Breakdown | float, back: Breakdown | float, per_day: float = 1) -> float:
    """Seconds a day that two models on one GPU lose when work goes from the first to the second and back `per_day` times."""
    positive("per_day", per_day, whole=False, zero=True)
    return per_day * (_total(there) + _total(back))


def compare(seconds: float, published: Sequence[float]) -> str:
    """Where a computed time lies against a published range (low, high): "below", "within" or "above".

    Below is expected of a floor from link speeds; above means that the stated speeds are slower than the publisher's."""
    low, high = published
    if not 0 < low <= high:
        raise ValueError(f"The published range is {list(published)}, but must be (low, high) in seconds, above 0.")
    _seconds("seconds", seconds)
    return "below" if seconds < low else "above" if seconds > high else "within"


def speed_up(slow: Breakdown | float, fast: Breakdown | float) -> float:
    """How many times as fast: slow / fast."""
    slow, fast = _total(slow), _total(fast)
    if not fast:
        raise ValueError("The faster way takes 0 seconds, so no ratio exists; state its overhead.")
    return slow / fast


def _load(weight_bytes: float, storage: float, link: float, overlap: bool) -> dict[str, float]:
    read, copy = transfer_seconds(weight_bytes, storage), transfer_seconds(weight_bytes, link)
    return {"read and copy": max(read, copy)} if overlap else {"read from storage": read, "copy to GPU": copy}


def _seconds(name: str, value: float) -> float:
    return positive(name, value, whole=False, zero=True)


def _total(time: Breakdown | float) -> float:
    return time.total if isinstance(time, Breakdown) else _seconds("seconds", time)


def _level(level: int) -> int:
    if level not in LEVELS:
        raise ValueError(f"The sleep level is {level!r}, but vLLM has levels 1 and 2.")
    return level
