"""The same questions to accelerate's estimate-memory and to hf-mem, which run whole and never reach a network.

accelerate builds the model of a local config.json without memory; it is asked on torch's meta device so that large experts
are not allocated on the way. It has no number for a cache. hf-mem reads the headers of a repository's files and estimates
the cache by a formula of its own ("experimental"); here its HTTP client is answered from files of this machine. Both get
the configuration as transformers writes it, whole, never a thin one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import re
import struct
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

NAMES = ("accelerate", "hf-mem")
# Our format: what accelerate calls it. Its int4 is a model loaded with bitsandbytes; it has no other 4-bit and no 8-bit
# floating-point format.
ACCELERATE = {"fp32": "float32", "fp16": "float16", "bf16": "float16", "int8": "int8", "nf4": "int4", "nf4_dq": "int4"}
INCLUDES = {
    "accelerate": "all parameters of the bare AutoModel, without the output matrix where it is not the embedding, in one "
    "width for all (a slice makes that matrix weigh more than in a whole model: see fact_base_weights for those); beside it, "
    "the largest layer and training with Adam; no cache",
    "hf-mem": "the tensors in the headers of the files that exist; a cache of full length in every layer of a hybrid "
    "model (an upper bound, as its source says), by key-value heads and head size also for latent attention",
}
HUB_PATH = re.compile(r"/local/model/resolve/main/(.+)")
PEER_DTYPES = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


def installed() -> dict[str, str]:
    """Name -> version of the peers."""
    return {name: version(name) for name in NAMES}


def settings(config, dtype: str = "bf16") -> dict:
    """config.json as a published file has it: architecture and dtype named; latent attention has no head size there."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

    found = json.loads(config.to_json_string(use_diff=False))
    found["architectures"] = [MODEL_FOR_CAUSAL_LM_MAPPING[type(config)].__name__]
    found["dtype"] = PEER_DTYPES[dtype]
    if config.model_type == "nemotron_h":  # transformers writes the pattern alone, published files the count too
        found.setdefault("num_hidden_layers", config.num_hidden_layers)
    if found.get("kv_lora_rank"):
        found.pop("head_dim", None)
    return found


def accelerate(config, names: list[str] | tuple[str, ...] = tuple(ACCELERATE)) -> dict[str, float]:
    """Our format -> bytes that `accelerate estimate-memory` gives as the total size of the model."""
    import torch
    from accelerate.commands import estimate

    known = SimpleNamespace(library_name="transformers", config={})
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        config.save_pretrained(folder)
        asked = argparse.Namespace(
            model_name=folder, library_name="transformers", trust_remote_code=False,
            dtypes=["float32", "float16", "int8", "int4"],
        )  # fmt: skip
        with (
            mock.patch.object(estimate, "verify_on_hub", lambda *_: known),
            torch.device("meta"),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            total = {row[0]: row[2] for row in estimate.gather_data(asked)}
    return {name: total[ACCELERATE[name]] for name in names}


def hf_mem(files: Mapping[str, Path | bytes], **options):
    """hf-mem's Result for a repository with these files; `options` as for hf_mem.run. RuntimeError is its own."""
    import httpx2
    from hf_mem.run import arun

    def answer(request):
        if request.url.path.startswith("/api/models/local/model/tree/"):
            return httpx2.Response(200, json=[{"type": "file", "path": name} for name in files])
        name = HUB_PATH.fullmatch(request.url.path)
        if not name or name[1] not in files:
            return httpx2.Response(404)
        start, end = map(
            int, re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", "bytes=0-9999999")).groups()
        )
        return httpx2.Response(206, content=_read(files[name[1]], start, end + 1))

    real = httpx2.AsyncClient

    def client(**arguments):
        arguments.pop("http2", None)
        return real(transport=httpx2.MockTransport(answer), **arguments)

    with mock.patch.object(httpx2, "AsyncClient", client), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return asyncio.run(arun("local/model", **options))


def header(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """The head of a safetensors file with tensors of (type, shape), and no data."""
    size, entries = 0, {}
    for name, (kind, shape) in tensors.items():
        width = {"F32": 4, "BF16": 2, "F16": 2}[kind]
        for length in shape:
            width *= length
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [size, size + width]}
        size += width
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text


def ask_accelerate(config) -> dict[str, float] | str:
    """Its totals by our format, or why it has none."""
    try:
        return accelerate(config)
    except Exception as error:  # a peer may fail in any way; its words go into the table
        return f"does not answer: {_said(error)}"


def ask_hf_mem_weights(files: Mapping[str, Path | bytes]) -> float | str:
    """Bytes of the weights, or why it has none."""
    try:
        gguf = next((name for name in files if name.endswith(".gguf")), None)
        return hf_mem(files, gguf_file=gguf).memory
    except Exception as error:
        return f"does not answer: {_said(error)}"


def ask_hf_mem_cache(config, tokens: int, batch: int = 1, dtype: str = "bf16") -> float | str:
    """Bytes of the cache, or why it has none."""
    files = {
        "config.json": json.dumps(settings(config, dtype)).encode(),
        "model.safetensors": header({"model.embed_tokens.weight": ("BF16", (2, 2))}),
    }
    try:
        found = hf_mem(files, experimental=True, max_model_len=tokens, batch_size=batch).kv_cache
    except Exception as error:
        return f"does not answer: {_said(error)}"
    return "does not answer" if found is None else found


def _read(file: Path | bytes, start: int, end: int) -> bytes:
    if isinstance(file, bytes):
        return file[start:end]
    with file.open("rb") as source:
        source.seek(start)
        return source.read(end - start)


def _said(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:120]
