"""Opening a model: one that ships with the course, a local folder, or any model of the hub when online."""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from . import hub
from .hub import ModelNotAvailable

WEIGHTS = Path(__file__).parent / "weights"


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
        near = get_close_matches(name.lower(), names, n=1, cutoff=0.5)
        hint = (
            f"; did you mean {near[0]!r}?" if near else "; other models are given as a folder or a hub id owner/name."
        )
        raise ModelNotAvailable(f"No embedded model is called {name!r}, there are {', '.join(names) or 'none'}{hint}")
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
            Card(
                name,
                record["parameters"],
                size,
                config["max_position_embeddings"],
                record["licence"],
                record["purpose"],
            )
        )
    return cards


def load(name_or_path_or_hub_id: str | os.PathLike, device=None, dtype=None):
    """Open a model: an embedded name (`"mini"`), a local folder, or a hub id (`"owner/name"`) when online or downloaded.

    Returns (model, tokenizer) of transformers, the model in eval mode on `device` (see `pick_device`) in `dtype`
    (float32 on a CPU, else 16 bits). ModelNotAvailable, in one sentence, when it cannot be opened. Code that a
    folder or a hub repository may hold is never run."""
    from .device import default_dtype, pick_device

    name = os.fspath(name_or_path_or_hub_id)
    device = pick_device(device)
    dtype = _dtype(dtype) or default_dtype(device)
    if name not in embedded_names():
        if Path(name).is_dir():
            _check_folder(Path(name))
            return _open(name, name, device, dtype)
        if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not name.startswith("."):
            return _open(name, name, device, dtype, local=hub.must_be_local(name, embedded_names()))
        if Path(name).is_file():
            raise ModelNotAvailable(f"{name!r} is a file: give the folder that holds it beside config.json.")
        if os.sep in name or "/" in name or name.startswith("."):
            raise ModelNotAvailable(
                f"There is no folder {name!r}: give a folder with config.json and weights, or a name."
            )
    return _open(str(embedded_path(name)), name, device, dtype)


def encoding(name: str):
    """The vocabulary of an embedded model as a tiktoken.Encoding: same ids, no network."""
    from .training.bpe import to_tiktoken

    file = json.loads((embedded_path(name) / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = dict(file["model"]["vocab"])
    vocabulary.update({token["content"]: token["id"] for token in file["added_tokens"]})
    return to_tiktoken(vocabulary, f"lessonlib-{name}")


def _dtype(asked):
    import torch

    made = getattr(torch, asked, None) if isinstance(asked, str) else asked
    if asked is not None and not (isinstance(made, torch.dtype) and made.is_floating_point):
        raise ValueError(f"The dtype {asked!r} is no floating-point type: use float32, bfloat16 or float16.")
    return made


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelNotAvailable(f"The folder {str(folder)!r} is no model: it has no config.json; give another folder.")
    if not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelNotAvailable(
            f"The folder {str(folder)!r} has no tokenizer.json: copy the tokenizer files there too."
        )
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
        try:
            needed = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError):
            raise ModelNotAvailable(
                f"The folder {str(folder)!r} has a damaged {index.name}, the list of its weights files: copy it again."
            ) from None
        missing = sorted(needed - {path.name for path in weights})
        if missing:
            raise ModelNotAvailable(f"The folder {str(folder)!r} lacks the weights file {missing[0]}: copy it again.")


def _open(source: str, name: str, device, dtype, local: bool = True):
    import safetensors
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options = dict(local_files_only=local, trust_remote_code=False)
    try:
        with _quiet(local):
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            model, info = AutoModelForCausalLM.from_pretrained(
                source, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
            )
    except safetensors.SafetensorError as error:
        raise ModelNotAvailable(
            f"The weights of {name!r} are damaged ({error}): copy or download them again."
        ) from None
    except Exception as error:  # transformers raises whatever its readers do: KeyError, AttributeError, Rust exceptions
        raise ModelNotAvailable(f"The model {name!r} could not be opened: {_reason(error)}") from error
    if info["missing_keys"]:  # transformers would fill these with random values and go on
        raise ModelNotAvailable(
            f"The weights of {name!r} lack {len(info['missing_keys'])} tensors of its config.json (such as "
            f"{min(info['missing_keys'])}): copy both files from the same model."
        )
    return model.to(device).eval(), tokenizer


@contextmanager
def _quiet(local: bool):
    """No progress bar while files of this machine are read (it is over at once, and pages keep their output stable),
    and no report beside the sentence that an error gets."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    if local:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _reason(error: Exception) -> str:
    """Why, and a way out, for what transformers raises: the end of one sentence."""
    text = str(error)
    if "custom code" in text or "trust_remote_code" in text:
        return "it needs Python code of its own, which is never run; choose a model that transformers knows."
    if "does not recognize this architecture" in text or "model type" in text or "model_type" in text:
        return "its architecture is unknown to the installed transformers; choose another model or update transformers."
    if "Unrecognized configuration class" in text:
        return "it is no text-generating model; choose one that is (its config.json names a ...ForCausalLM)."
    if "ignore_mismatched_sizes" in text or "size mismatch" in text:
        return "the tensors' shapes are not those of its config.json; copy both files from the same model."
    if "not a valid JSON file" in text:
        return "its config.json is not valid JSON; copy the file again."
    if "safetensors" in text and ("does not appear to have" in text or "no file named" in text):
        return "it has no safetensors weights, and pickle files are never opened; choose another copy of the model."
    if "tokenizer" in text or isinstance(error, KeyError):
        return "its tokenizer files are missing or damaged; copy them again."
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return f"{first.rstrip('.;: ')}; check its files."
