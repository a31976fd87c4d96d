"""The one first cell of every lesson: what this machine is, and what the lesson will use."""

from __future__ import annotations

import os
import random
from importlib import metadata

from .figures import table


def start(lesson: str) -> None:
    """Prepare the kernel for `lesson` and show device, versions and network state.

    Offline unless HF_HUB_OFFLINE says otherwise; seeds are fixed so that a page's numbers can be compared."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # loading bars would fill the page with noise
    import torch

    from ..models import describe_device, embedded_names

    random.seed(0)
    torch.manual_seed(0)
    about = describe_device()
    offline = os.environ["HF_HUB_OFFLINE"].lower() in ("1", "true", "yes", "on")
    memory = about["memory_bytes"]
    table(
        [
            ["lesson", lesson],
            ["device", f"{about['device']} ({about['name']}), {about['dtype']}, {about['threads']} threads"],
            ["memory", f"{memory / 2**30:.1f} GiB" if memory else "not told by this system"],
            ["versions", ", ".join(f"{name} {_version(name)}" for name in ("lessonlib", "torch", "transformers"))],
            ["embedded models", ", ".join(embedded_names()) or "none"],
            ["network", "not used (HF_HUB_OFFLINE=1)" if offline else "hub models may be downloaded"],
        ],
        header=["what", "here"],
        caption="This machine: the numbers you measure below were measured on it",
    )


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
