"""Models of the Hugging Face hub: found in the cache of this machine, or downloaded into it through the hub's client.

A file waits beside the cached ones as `<hash>.incomplete` until its hash is the one that the hub announces. So a broken
download goes on where it stopped, also after a restart, and damaged bytes never enter the cache. (`snapshot_download`
of huggingface_hub 2 throws partial files away and compares only sizes.)"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOKENIZERS = {"tokenizer.json", "tokenizer.model", "vocab.json"}
# What transformers reads of a repository: never pickles, never Python code.
FILES = TOKENIZERS | {
    "config.json", "generation_config.json", "tokenizer_config.json", "vocab.txt", "merges.txt", "added_tokens.json",
    "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
}  # fmt: skip
WHOLE, INDEX, SHARD = "model.safetensors", "model.safetensors.index.json", r"model-\d+-of-\d+\.safetensors"
WAITS = (1, 2)  # seconds before the second and the third try when the hub is busy or the line is reset


class ModelNotAvailable(ValueError):
    """The model asked for cannot be opened; the message names it, the reason and the way out."""


def offline() -> bool:
    """Whether this process may not ask the hub (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE, as the hub client reads them)."""
    from huggingface_hub import constants

    asked = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return constants.HF_HUB_OFFLINE or asked.lower() in ("1", "true", "yes", "on")


def fetch(hub_id: str, embedded: list[str]) -> Path:
    """The folder of a hub model on this machine. A model that is complete in the cache is used as it is and the hub is
    not asked; else what is missing is downloaded, with one line that says how much.

    ModelNotAvailable when that cannot be: offline, no answer, no such model, no access, no weights that are safe to
    open, no room, or other bytes than announced. `embedded` are the names to suggest instead."""
    from huggingface_hub.errors import HFValidationError

    instead = f"use an embedded model ({', '.join(embedded)})"
    try:
        folder = downloaded(hub_id)
        if folder is None and offline():
            raise ModelNotAvailable(
                f"The model {hub_id!r} is not on this machine and the course runs offline (HF_HUB_OFFLINE): set "
                f"HF_HUB_OFFLINE=0 before you start Python, or {instead}."
            )
        if folder is None:
            with _quiet():
                _download(hub_id)
            folder = downloaded(hub_id)
    except ModelNotAvailable:
        raise
    except HFValidationError:
        raise ModelNotAvailable(f"{hub_id!r} is no hub id: write owner/name as the hub shows it.") from None
    except Exception as error:  # the HTTP library below differs between versions of the hub's client
        raise ModelNotAvailable(_sentence(error, hub_id, instead)) from None
    if folder is None:
        raise ModelNotAvailable(
            f"The model {hub_id!r} is incomplete on the hub (its {INDEX} is damaged or names files that are not there): "
            "choose another copy of it."
        )
    return folder


def downloaded(hub_id: str) -> Path | None:
    """The folder of a model that is complete in the hub cache, None when it is not. Asks nobody."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, "config.json")
    if not isinstance(config, str):
        return None
    folder = Path(config).parent
    names = {path.name for path in folder.iterdir() if path.is_file()}
    weights = {WHOLE}
    if WHOLE not in names and INDEX in names:
        try:
            weights = set(json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"].values())
        except (ValueError, LookupError, TypeError, AttributeError):
            return None
    return folder if names & TOKENIZERS and weights and weights <= names else None


def _download(hub_id: str) -> None:
    """Bring all files of the model into the cache. Goes on with what an earlier try left."""
    from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import repo_folder_name

    patience = constants.HF_HUB_ETAG_TIMEOUT
    info = _persistently(lambda: HfApi().model_info(hub_id, timeout=patience, files_metadata=True))
    files = _wanted(hub_id, info.siblings or [])
    blobs = Path(constants.HF_HUB_CACHE, repo_folder_name(repo_id=hub_id, repo_type="model"), "blobs")
    blobs.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not (blobs / _name(file)).is_file()]
    size = sum((file.size or 0) - _have(blobs / _name(file)) for file in missing)
    room = shutil.disk_usage(blobs).free
    if size > room:
        raise ModelNotAvailable(
            f"The model {hub_id!r} takes {size / 1e6:,.0f} MB more on the disk, where {room / 1e6:,.0f} MB are free: "
            "make room, or move the cache with HF_HOME."
        )
    if missing:
        print(f"Downloading {hub_id} once: {len(missing)} files, {size / 1e6:,.1f} MB.", flush=True)
    for file in missing:
        if file.blob_id:  # a mirror may not tell it; then hf_hub_download below brings the file, unchecked
            url = hf_hub_url(hub_id, file.rfilename, revision=info.sha)
            _persistently(lambda url=url, file=file: _bring(url, blobs / _name(file), file, hub_id))
    for file in files:  # all bytes are here now: this asks for the hash of each file and links it
        hf_hub_download(hub_id, file.rfilename, etag_timeout=patience)


def _wanted(hub_id: str, siblings: list) -> list:
    """The files to bring, config.json last: once it is in the cache, the model is. Refuses what cannot be opened."""
    files = {file.rfilename: file for file in siblings}
    sharded = WHOLE not in files and INDEX in files
    wanted = {name for name in files if name in FILES or (sharded and (name == INDEX or re.fullmatch(SHARD, name)))}
    if "config.json" not in wanted:
        raise ModelNotAvailable(
            f"The repository {hub_id!r} has no config.json, so it holds no model for transformers (but GGUF files, an "
            "adapter or data): choose another copy of the model."
        )
    if not sharded and WHOLE not in files:
        raise ModelNotAvailable(
            f"The model {hub_id!r} has no safetensors weights ({WHOLE}) on the hub, and pickle files are never opened: "
            "choose another copy of it."
        )
    if not wanted & TOKENIZERS:
        raise ModelNotAvailable(f"The model {hub_id!r} has no tokenizer on the hub: choose another copy of it.")
    if not sharded:
        wanted.add(WHOLE)
    # small ones first: a refused access shows before the long wait
    return sorted((files[name] for name in wanted), key=lambda file: (file.rfilename == "config.json", file.size or 0))


def _name(file) -> str:
    """The name of a file in the cache, which is its hash: sha256 of a large one, else git's sha1."""
    return file.lfs.sha256 if file.lfs else file.blob_id or ""


def _part(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")


def _have(blob: Path) -> int:
    """Bytes that an earlier try has left."""
    return _part(blob).stat().st_size if _part(blob).is_file() else 0


def _bring(url: str, blob: Path, file, hub_id: str) -> None:
    """Download one file to `blob`, going on with its partial file; refuses other bytes than announced."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers

    locks = blob.parents[2] / ".locks" / blob.parents[1].name
    locks.mkdir(parents=True, exist_ok=True)
    part = _part(blob)
    with WeakFileLock(locks / f"{blob.name}.lock"):  # another notebook may be loading the same model
        if blob.is_file():
            return
        with part.open("ab") as stream:
            # no compression: a compressed answer cannot be continued. The client follows the hub's redirect to the
            # storage and leaves the token out there.
            headers = build_hf_headers(library_name="lessonlib") | {"Accept-Encoding": "identity"}
            if _have(blob) < file.size or file.size == 0:
                http_get(url, stream, resume_size=_have(blob), headers=headers, displayed_filename=file.rfilename)
        if _hash(part, git=not file.lfs) != blob.name:
            part.unlink()
            raise ModelNotAvailable(
                f"The file {file.rfilename} of {hub_id!r} came with other bytes than the hub announces (its checksum "
                "differs) and was thrown away: try again, on another network if it happens twice."
            )
        part.replace(blob)


def _hash(path: Path, git: bool) -> str:
    """The hash by which the hub knows a file: sha256, or git's sha1 of a blob."""
    start = f"blob {path.stat().st_size}\0".encode()
    with path.open("rb") as stream:
        made = (lambda: hashlib.sha1(start, usedforsecurity=False)) if git else hashlib.sha256
        return hashlib.file_digest(stream, made).hexdigest()


def _persistently(ask):
    """What `ask()` returns. An overloaded hub and a reset line get two more tries; the client itself repeats the rest."""
    for wait in (*WAITS, None):
        try:
            return ask()
        except Exception as error:
            passing = (_status(error) or 0) >= 500 or type(error).__name__ in ("ReadError", "RemoteProtocolError")
            if wait is None or not passing:
                raise
        time.sleep(wait)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log lines of the hub's client beside the sentence that an error gets. Its progress bars stay."""
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what lies below it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    """The HTTP status that the error speaks of, None without an answer."""
    answers = (getattr(below, "response", None) for below in _chain(error))
    return next((answer.status_code for answer in answers if hasattr(answer, "status_code")), None)


def _sentence(error: Exception, hub_id: str, instead: str) -> str:
    """What happened and what to do, for what the hub's client raises."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    kinds, status = list(_chain(error)), _status(error)
    if any(isinstance(kind, GatedRepoError) for kind in kinds):
        return (
            f"The hub gives {hub_id!r} only to those who accepted its terms: do so on its page and set HF_TOKEN, or "
            f"{instead}."
        )
    if status == 404 or any(isinstance(kind, RepositoryNotFoundError) for kind in kinds):
        return f"The hub has no model {hub_id!r}, or it is private: check the spelling of owner/name, or set HF_TOKEN."
    if status in (401, 403):
        return f"The hub refuses access to {hub_id!r} (status {status}): check HF_TOKEN, or {instead}."
    if status:
        return f"The hub answers with status {status}, so {hub_id!r} is not available: try later, or {instead}."
    if any("Timeout" in type(kind).__name__ for kind in kinds):
        return (
            f"The hub is too slow to answer, so {hub_id!r} is not available: load it again to go on where the download "
            f"stopped, or {instead}."
        )
    if any(type(kind).__module__.startswith("httpx") for kind in kinds):
        return (
            f"The hub cannot be reached, so {hub_id!r} is not available: check the network and load it again to go on "
            f"where the download stopped, or {instead}."
        )
    disk = next((kind for kind in kinds if isinstance(kind, OSError) and kind.errno), None)
    if disk is not None and disk.errno == errno.ENOSPC:
        return f"The disk is full, so {hub_id!r} could not be kept: make room, or move the cache with HF_HOME."
    if disk is not None:
        return (
            f"The model {hub_id!r} cannot be kept in the hub cache ({disk.strerror}: {disk.filename}): set HF_HOME to a "
            "folder that you may write to."
        )
    first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".;: ")
    return f"The model {hub_id!r} could not be downloaded ({first}): try again, or {instead}."
