"""Opening a model: one that ships with the course, a local folder, or any model of the hub when online."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

WEIGHTS = Path(__file__).parent / "weights"


class ModelNotAvailable(ValueError):
    """The model asked for cannot be opened; the message names it, the reason and the way out."""


@dataclass(frozen=True)
class Card:
    """An embedded model: `bytes` is its weights file on disk, `context` the longest input in tokens."""

    name: str
    parameters: int
    bytes: int
    context: int
    licence: str
    purpose: str


def embedded_names() -> list[str]:
    """Names of the models that ship with lessonlib."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/training.json"))


def embedded_path(name: str) -> Path:
    """The folder of an embedded model: plain `AutoModelForCausalLM.from_pretrained(path)` opens it too."""
    names = embedded_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ModelNotAvailable(f"No embedded model is called {name!r}; there are {', '.join(names) or 'none'}.{hint}")
    return WEIGHTS / name


def catalogue() -> list[Card]:
    """The embedded models, read from the files that ship with them."""
    cards = []
    for name in embedded_names():
        folder = WEIGHTS / name
        record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        cards.append(
            Card(name, record["parameters"], size, config["max_position_embeddings"], "Apache-2.0", record["purpose"])
        )
    return cards


def load(name_or_path_or_hub_id: str | os.PathLike, device=None, dtype=None):
    """Open a model: an embedded name (`"mini"`), a local folder, or a hub id (`"owner/name"`) when online.

    Returns (model, tokenizer) of transformers, the model in eval mode on `device` (see `pick_device`) in `dtype`
    (float32 on a CPU, else 16 bits). ModelNotAvailable, in one sentence, when it cannot be opened. Code that a
    folder or a hub repository may hold is never run."""
    from .device import default_dtype, pick_device

    name = os.fspath(name_or_path_or_hub_id)
    device = pick_device(device)
    dtype = dtype or default_dtype(device)
    if name in embedded_names():
        source, local = str(embedded_path(name)), True
    elif Path(name).is_dir():
        _check_folder(Path(name))
        source, local = name, True
    elif re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith("."):
        source, local = name, False
    elif os.sep in name or name.startswith("."):
        raise ModelNotAvailable(f"There is no folder {name!r}: give a folder with config.json and weights, or a name.")
    else:
        embedded_path(name)  # raises, with the names there are
    return _open(source, name, device, dtype, local)


def encoding(name: str):
    """The vocabulary of an embedded model as a tiktoken.Encoding: same ids, no network."""
    from .training.bpe import to_tiktoken

    file = json.loads((embedded_path(name) / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = dict(file["model"]["vocab"])
    vocabulary.update({token["content"]: token["id"] for token in file["added_tokens"]})
    return to_tiktoken(vocabulary, f"lessonlib-{name}")


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelNotAvailable(f"The folder {str(folder)!r} is no model: it has no config.json; give another folder.")
    weights = [*folder.glob("*.safetensors")]
    if not weights and [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]:
        raise ModelNotAvailable(
            f"The folder {str(folder)!r} holds its weights only as pickle files, which can run code when opened: "
            "convert them to safetensors where you trust them."
        )
    if not weights:
        raise ModelNotAvailable(f"The folder {str(folder)!r} has no *.safetensors weights: copy the model again.")
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        missing = sorted(needed - {path.name for path in weights})
        if missing:
            raise ModelNotAvailable(f"The folder {str(folder)!r} lacks the weights file {missing[0]}: copy it again.")


def _open(source: str, name: str, device, dtype, local: bool):
    import safetensors
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not local and os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise ModelNotAvailable(
            f"The model {name!r} is on the hub, and the course runs offline (HF_HUB_OFFLINE=1): set HF_HUB_OFFLINE=0 "
            f"before you start, or use an embedded model ({', '.join(embedded_names())})."
        )
    options = dict(local_files_only=local, trust_remote_code=False)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True, **options)
    except safetensors.SafetensorError as error:
        raise ModelNotAvailable(
            f"The weights of {name!r} are damaged ({error}): copy or download them again."
        ) from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelNotAvailable(f"The model {name!r} could not be opened: {_reason(error)}") from error
    return model.to(device).eval(), tokenizer


def _reason(error: Exception) -> str:
    """One sentence with a way out for what transformers and the hub client raise."""
    text = f"{error} {error.__cause__ or ''}"
    status = getattr(getattr(error.__cause__ or error, "response", None), "status_code", None)
    if status == 404 or "is not a valid model identifier" in text or "is not a local folder" in text:
        return "the hub has no such model; check the spelling of owner/name."
    if status in (401, 403) or "gated" in text:
        return "the hub wants you to sign in and accept the model's terms first; then set HF_TOKEN."
    if "couldn't connect" in text or "Connection" in text or "resolve" in text or status in (500, 502, 503):
        return "the hub does not answer; try again later, or use an embedded model."
    if "does not recognize this architecture" in text or "model type" in text or "model_type" in text:
        return "its architecture is unknown to the installed transformers, and code from a folder is never run."
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return f"{first.rstrip('.')}; check its files."
