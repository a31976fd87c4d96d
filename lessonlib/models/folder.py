"""A folder with a model of any origin: looked over first, then read one tensor at a time. Its code is never run."""

from __future__ import annotations

import ctypes
import json
import os
from contextlib import contextmanager
from pathlib import Path

from .hub import INDEX, TOKENIZERS, WHOLE, ModelNotAvailable

SETTINGS = (
    "config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip


def check_folder(folder: Path) -> None:
    """Whether `folder` can be a model that may be opened here: ModelNotAvailable, in one sentence, names what is missing,
    damaged, or asks for code of its own. Reads the small files and no weights."""
    name = str(folder)
    if not (folder / "config.json").is_file():
        raise ModelNotAvailable(f"The folder {name!r} is no model: it has no config.json; give another folder.")
    for file in SETTINGS:
        if "auto_map" in _settings(folder / file):
            raise ModelNotAvailable(
                f"The model {name!r} asks for Python code of its own (auto_map in {file}), which is never run: choose "
                "another model, or take auto_map out of a copy if transformers has this architecture itself."
            )
    if not any((folder / file).is_file() for file in TOKENIZERS):
        raise ModelNotAvailable(f"The folder {name!r} has no tokenizer.json: copy the tokenizer files there too.")
    there = {path.name for path in folder.glob("*.safetensors") if path.is_file()}
    if not there and any(path.suffix in (".bin", ".pt", ".pth", ".ckpt") for path in folder.iterdir()):
        raise ModelNotAvailable(
            f"The folder {name!r} holds its weights only as pickle files, which can run code when opened: convert them "
            "to safetensors where you trust them."
        )
    missing = sorted(set(_shards(folder)) - there)
    if not there:
        raise ModelNotAvailable(f"The folder {name!r} has no *.safetensors weights: copy the model again.")
    if missing:
        raise ModelNotAvailable(f"The folder {name!r} lacks the weights file {missing[0]}: copy it again.")


def open_folder(folder: str, name: str, device, dtype):
    """(model, tokenizer) of transformers from `folder`, which messages call `name`: the model in eval mode, on `device`
    and in `dtype`. Tensors are read and converted one by one, so that little more memory than the model itself is used.
    ModelNotAvailable, in one sentence, when it cannot be opened."""
    import safetensors
    from transformers import AutoConfig, AutoTokenizer

    options = dict(local_files_only=True, trust_remote_code=False)
    part = "configuration"
    try:
        with _quiet(), _freed_at_once():
            config = AutoConfig.from_pretrained(folder, **options)
            part = "tokenizer"
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            part = "weights"
            model, info = _read(folder, config, dtype)
    except ModelNotAvailable:
        raise
    except safetensors.SafetensorError as error:
        raise ModelNotAvailable(f"The weights of {name!r} are damaged ({error}): copy the model again.") from None
    except Exception as error:  # transformers raises whatever its readers do: KeyError, AttributeError, Rust exceptions
        raise ModelNotAvailable(f"The model {name!r} could not be opened: {_reason(error, part)}") from error
    if info["missing_keys"]:  # transformers would fill these with random values and go on
        raise ModelNotAvailable(
            f"The weights of {name!r} lack {len(info['missing_keys'])} tensors of its config.json (such as "
            f"{min(info['missing_keys'])}): copy both files from the same model."
        )
    return model.to(device).eval(), tokenizer


def _read(folder: str, config, dtype):
    """(model, loading info). Given a path, transformers maps whole files into memory: with weights of 16 bits that are
    to have 32, file and model stand there together. So it is given the tensors, each still to be read from its file."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM, GenerationConfig

    options = dict(dtype=dtype, output_loading_info=True, local_files_only=True)
    quantized = getattr(config, "quantization_config", None) is not None
    if quantized or config.sub_configs or type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        # its own readers, a part of a larger model, or a refusal
        return AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, trust_remote_code=False, **options)
    generation = (
        GenerationConfig.from_pretrained(folder) if (Path(folder) / "generation_config.json").is_file() else None
    )
    model, info = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].from_pretrained(
        None, config=config, state_dict=_tensors(Path(folder)), generation_config=generation, **options
    )
    model.name_or_path = model.config.name_or_path = folder
    return model, info


def _tensors(folder: Path) -> dict:
    """Name -> slice object of safetensors, which reads its tensor when it is asked for it."""
    from safetensors import SafetensorError, safe_open

    whole = (folder / WHOLE).is_file()
    found = {}
    for file in [WHOLE] if whole else _shards(folder):
        path = str(folder / file)
        try:
            try:
                reader = safe_open(path, framework="pt", backend="pread")
            except TypeError:  # an older safetensors can only map files
                reader = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ModelNotAvailable(f"The weights file {path!r} is damaged ({error}): copy it again.") from None
        found.update({name: reader.get_slice(name) for name in reader.keys()})
    if not found:
        raise ModelNotAvailable(
            f"The folder {str(folder)!r} has neither {WHOLE} nor {INDEX}: rename or copy its weights."
        )
    return found


def _shards(folder: Path) -> list[str]:
    """The weights files that the index of a sharded model lists; none where there is no index."""
    index = _settings(folder / INDEX)
    if not index and not (folder / INDEX).is_file():
        return []
    try:
        return sorted({str(Path(file)) for file in index["weight_map"].values()})
    except (LookupError, TypeError, AttributeError):
        raise ModelNotAvailable(
            f"The folder {str(folder)!r} has a damaged {INDEX}, the list of its weights files: copy it again."
        ) from None


def _settings(path: Path) -> dict:
    """A small JSON file of a model, empty where there is none."""
    if not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError):
        values = None
    if not isinstance(values, dict):
        raise ModelNotAvailable(
            f"The folder {str(path.parent)!r} has a damaged {path.name} (not valid JSON, or no table): copy it again."
        )
    return values


@contextmanager
def _freed_at_once():
    """Give a freed tensor's memory back to the system while a model is read. As its limits adapt, glibc soon keeps what
    tensors of up to 32 MB free, and between the weights that stay there the stored, narrower ones leave holes: a mixture
    of experts, stacked from many small tensors, then takes half as much again. Afterwards the limits are where adapting
    ends, so that generation keeps its buffers. Nothing is done where the C library has no mallopt."""
    trim, apart = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    try:
        limit = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        yield
        return
    limit(apart, 256 * 1024)
    try:
        yield
    finally:
        limit(apart, 32 * 1024**2)
        limit(trim, 64 * 1024**2)


@contextmanager
def _quiet():
    """No progress bar while files of this machine are read (it is over at once, and pages keep their output stable),
    and no report beside the sentence that an error gets. One tensor after the other: threads would hold many at once."""
    from transformers.utils import logging

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    threads = os.environ.get("HF_DEACTIVATE_ASYNC_LOAD")
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = "1"
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if threads is None:
            del os.environ["HF_DEACTIVATE_ASYNC_LOAD"]
        else:
            os.environ["HF_DEACTIVATE_ASYNC_LOAD"] = threads


def _reason(error: Exception, part: str) -> str:
    """Why, and a way out, for what transformers raises while it reads a `part`: the end of one sentence."""
    text = str(error)
    if "custom code" in text or "trust_remote_code" in text:
        return "it needs Python code of its own, which is never run; choose a model that transformers knows."
    if "does not recognize this architecture" in text or "model type" in text or "model_type" in text:
        return "its architecture is unknown to the installed transformers; choose another model or update transformers."
    if "Unrecognized configuration class" in text:
        return "it is no text-generating model; choose one that is (its config.json names a ...ForCausalLM)."
    if "ignore_mismatched_sizes" in text or "size mismatch" in text:
        return "the tensors' shapes are not those of its config.json; copy both files from the same model."
    if part == "tokenizer":
        return "its tokenizer files are missing or damaged; copy them again, tokenizer.json among them."
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return f"its {part} cannot be used ({first.rstrip('.;: ')[:200]}); check its files."
