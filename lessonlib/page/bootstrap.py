"""The first cell of every lesson: what this machine is, and settings that make a lesson run the same each time."""

from __future__ import annotations

import os
import platform
import random
from importlib import metadata

from . import theme

SEED = 0
QUIET = {
    "HF_HUB_OFFLINE": "1",  # embedded models need no network; HF_HUB_OFFLINE=0 before the start allows it
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}


def start(lesson: str) -> None:
    """Set seeds, threads and quiet logging, then show device, versions, model and whether the network is used."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import torch

    from lessonlib.models.device import pick_device

    device = pick_device()
    torch.set_num_threads(cores())
    seed_all(SEED)
    offline = os.environ["HF_HUB_OFFLINE"].lower() in ("1", "true", "yes", "on")
    rows = [
        ["device", describe(device)],
        ["number format", str(torch.get_default_dtype()).removeprefix("torch.")],
        ["versions", f"Python {platform.python_version()}, torch {version('torch')}, transformers {version('transformers')}"],
        ["model", "embedded (comes with the course)"],
        ["network", "not used (HF_HUB_OFFLINE=1)" if offline else "may be used (HF_HUB_OFFLINE=0)"],
    ]  # fmt: skip
    caption = f"Lesson {lesson} on this machine"
    theme.emit(theme.table_html(rows, caption=caption), theme.table_text(rows, caption=caption))


def seed_all(seed: int = SEED) -> None:
    """The same random numbers in every run: Python, NumPy, torch."""
    import numpy
    import torch

    random.seed(seed)
    numpy.random.seed(seed)
    torch.manual_seed(seed)


def cores() -> int:
    """Processor cores that this process may use: hosts often show more than a container's share."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:
            quota, period = file.read().split()
        return max(1, min(there, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return there


def describe(device) -> str:
    """A device in words: name and memory of a GPU, cores of a processor."""
    import torch

    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.1f} GiB"
    if device.type == "mps":
        return f"Apple GPU (mps), {cores()} cores"
    count = cores()
    return f"CPU, {count} core{'s' if count != 1 else ''}"


def version(package: str) -> str:
    """The installed version of `package`, without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
