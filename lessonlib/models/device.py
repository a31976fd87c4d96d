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
    if asked is None:
        return torch.device(next(name for name in KNOWN if working[name]))
    kind = str(asked).partition(":")[0]
    if kind not in KNOWN:
        raise ValueError(f"Device {str(asked)!r} is not known here: use cuda, mps or cpu (argument or LESSON_DEVICE).")
    if not working[kind]:
        there = ", ".join(name for name in KNOWN if working[name])
        raise ValueError(f"Device {str(asked)!r} was asked for, but this machine has only {there}: ask for one of these.")
    return torch.device(asked)
