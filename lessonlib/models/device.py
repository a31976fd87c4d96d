"""Which device the models run on, and what it is."""

from __future__ import annotations

import os

KNOWN = ("cuda", "mps", "cpu")


def pick_device(prefer=None):
    """The torch.device to use: `prefer`, else the environment variable LESSON_DEVICE, else cuda, mps or cpu, the first
    that works. ValueError when the one asked for is unknown or not there."""
    import torch

    working = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    asked = prefer or os.environ.get("LESSON_DEVICE")
    if not asked:
        return torch.device(next(name for name in KNOWN if working[name]))
    kind = str(asked).partition(":")[0]
    if kind not in KNOWN:
        raise ValueError(f"Device {str(asked)!r} is not known here: use cuda, mps or cpu (argument or LESSON_DEVICE).")
    if not working[kind]:
        there = ", ".join(name for name in KNOWN if working[name])
        raise ValueError(
            f"Device {str(asked)!r} was asked for, but this machine has only {there}: ask for one of these."
        )
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise ValueError(f"Device {str(asked)!r} is not a device: write {kind} or {kind}:0.") from None
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"Device {str(asked)!r} was asked for, but this machine has {torch.cuda.device_count()} GPU(s), "
            "counted from cuda:0."
        )
    return device


def default_dtype(device):
    """The dtype to load weights in: float32 on a CPU (small models are not faster in 16 bits there), bfloat16 on GPUs
    that compute in it (capability 8.0 and up), float16 on the others."""
    import torch

    kind = torch.device(device).type
    if kind == "cpu":
        return torch.float32
    if kind == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    return torch.float16


def describe_device(device=None) -> dict:
    """What the lessons run on: `device`, `name`, `dtype`, `torch`, `threads`, `memory_bytes` and `free_bytes` (of the
    device). None where the system does not say, so that a page can always show the rest."""
    import torch

    device = pick_device(device)
    if device.type == "cuda":
        name = _or_none(torch.cuda.get_device_name, device)
        free, total = _or_none(torch.cuda.mem_get_info, device) or (None, None)
    elif device.type == "mps":
        name, total, free = "Apple GPU", _or_none(torch.mps.recommended_max_memory), None
    else:
        name, (total, free) = _cpu_name(), _ram()
    return {
        "device": str(device),
        "name": name,
        "dtype": str(default_dtype(device)).removeprefix("torch."),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "memory_bytes": total,
        "free_bytes": free,
    }


def _or_none(ask, *arguments):
    """What a driver answers, or None: an old or busy driver must not stop a lesson."""
    try:
        return ask(*arguments)
    except (RuntimeError, AttributeError, AssertionError, OSError):
        return None


def _cpu_name() -> str:
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _ram() -> tuple[int | None, int | None]:
    """Total and available main memory in bytes, where Linux says."""
    try:
        with open("/proc/meminfo", encoding="utf-8") as file:
            rows = dict(line.split(":", 1) for line in file)
        return tuple(int(rows[key].split()[0]) * 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return None, None
