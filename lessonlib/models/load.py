"""Opening a model: one that ships with the course, a local folder, or any model of the hub when online."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path

from . import hub
from .embedded import embedded_names, embedded_path
from .folder import check_folder, open_folder
from .hub import ModelNotAvailable


def load(name_or_path_or_hub_id: str | os.PathLike, device=None, dtype=None, *, fallback: str | None = None):
    """Open a model: an embedded name (`"mini"`), a local folder, or a hub id (`"owner/name"`) when online or downloaded.

    Returns (model, tokenizer) of transformers, the model in eval mode on `device` (see `pick_device`) in `dtype`
    (float32 on a CPU, else 16 bits). ModelNotAvailable, in one sentence, when it cannot be opened. Code that a
    folder or a hub repository may hold is never run. `fallback` names the embedded model to open instead, with a
    warning that says why, when a hub id is not available."""
    from .device import default_dtype, pick_device

    name = os.fspath(name_or_path_or_hub_id)
    device = pick_device(device)
    dtype = _dtype(dtype) or default_dtype(device)
    if name not in embedded_names():
        if Path(name).is_dir():
            check_folder(Path(name))
            return open_folder(name, name, device, dtype)
        if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith("."):
            return _open_from_hub(name, device, dtype, fallback)
        if Path(name).is_file():
            raise ModelNotAvailable(f"{name!r} is a file: give the folder that holds it beside config.json.")
        if os.sep in name or "/" in name or name.startswith("."):
            raise ModelNotAvailable(
                f"There is no folder {name!r}: give a folder with config.json and weights, or a name."
            )
    return open_folder(str(embedded_path(name)), name, device, dtype)


def _open_from_hub(hub_id: str, device, dtype, fallback: str | None):
    instead = fallback and embedded_path(fallback)  # a wrong name shows at once, not only on the day without a network
    try:
        return open_folder(str(hub.fetch(hub_id, embedded_names())), hub_id, device, dtype)
    except ModelNotAvailable as error:
        if not instead:
            raise
        warnings.warn(f"{error} The embedded model {fallback!r} is used instead.", stacklevel=3)
    return open_folder(str(instead), fallback, device, dtype)


def load_pair(target: str | os.PathLike, draft: str | os.PathLike, device=None, dtype=None):
    """Open two models for speculative decoding, each given as for `load`: (model, draft model, tokenizer), both on one
    device and in one dtype. ModelNotAvailable when the ids of one do not mean the same to the other."""
    model, tokenizer = load(target, device, dtype)
    drafter, other = load(draft, device, dtype)
    sizes = [one.get_input_embeddings().num_embeddings for one in (model, drafter)]
    if sizes[0] != sizes[1] or tokenizer.get_vocab() != other.get_vocab():
        raise ModelNotAvailable(
            f"The models {os.fspath(target)!r} and {os.fspath(draft)!r} have different vocabularies ({sizes[0]:,} and "
            f"{sizes[1]:,} ids), but a draft must propose ids that the model knows: take two models of one family."
        )
    return model, drafter, tokenizer


def _dtype(asked):
    import torch

    made = getattr(torch, asked, None) if isinstance(asked, str) else asked
    if asked is not None and not (isinstance(made, torch.dtype) and made.is_floating_point):
        raise ValueError(f"The dtype {asked!r} is no floating-point type: use float32, bfloat16 or float16.")
    return made
