"""Real weights in every format that this machine can write, and the bytes of their tensors.

A subject is a model with real tensors: an embedded one, or some layers of a real architecture with random weights (where
the whole would be gigabytes, with a smaller vocabulary or fewer experts, which its label says). `packed` rewrites its
matrices as a format's own library does, or in the library's layout; `stored` writes a file and reads its header."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lessonlib import models
from lessonlib.calc import architecture
from lessonlib.facts import catalog
from lessonlib.models import shape, shape_weights
from lessonlib.models.shapes import ROUTERS

SMALL_VOCABULARY = 8192
# A name of the fact base: its layers, and the fields that are made smaller.
SLICES = {
    "gpt2": (range(2), {}),
    "smollm2-135m": (range(4), {}),
    "qwen2.5-0.5b": (range(2), {}),
    "qwen3-0.6b": (range(2), {}),
    "tinyllama-1.1b": (range(2), {}),
    "qwen3-8b": (range(1), {"vocab_size": SMALL_VOCABULARY}),
    "phi-4-mini": (range(1), {"vocab_size": SMALL_VOCABULARY}),
    "gemma-3-4b": (range(2), {"vocab_size": SMALL_VOCABULARY}),
    "olmo-2-7b": (range(1), {"vocab_size": SMALL_VOCABULARY}),
    "granite-3.3-8b": (range(1), {"vocab_size": SMALL_VOCABULARY}),
    "gpt-oss-20b": (range(1), {"vocab_size": SMALL_VOCABULARY, "moe_experts": 4}),
    "qwen3-coder-30b-a3b": (range(1), {"vocab_size": SMALL_VOCABULARY, "moe_experts": 16}),
    "glm-4.7-flash": (range(2), {"vocab_size": SMALL_VOCABULARY, "moe_experts": 4}),
    "qwen3-coder-next": (range(2, 4), {"vocab_size": SMALL_VOCABULARY, "moe_experts": 16}),
    "nemotron-3-nano": (range(4, 7), {"vocab_size": SMALL_VOCABULARY, "moe_experts": 8}),
}
# Whole models whose mixtures llama.cpp estimates from the table of tensors alone (its dry run).
WHOLE = (
    "smollm2-360m", "qwen3-8b", "qwen2.5-coder-32b", "qwen3-32b", "yi-34b", "llama-3.3-70b", "kimi-dev-72b",
    "mixtral-8x7b", "qwen3-coder-30b-a3b",
)  # fmt: skip
PLAIN = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
TURNED = ("gpt_oss", "llama4_text")  # whose stacked experts hold inputs x outputs


@dataclass
class Subject:
    """A model to weigh. `model` is anything that `calc` takes, `note` says what was made smaller."""

    name: str
    source: str
    note: str
    model: object
    config: object
    make: Callable

    @cached_property
    def real(self):
        """The model with real tensors in bfloat16."""
        return self.make()

    @cached_property
    def tensors(self) -> dict:
        """name -> tensor as its file holds it, tied ones once, stacked experts one by one."""
        return dict(_unstacked(self.real))

    def free(self) -> None:
        """Give the tensors back."""
        for name in ("real", "tensors"):
            self.__dict__.pop(name, None)


def embedded(name: str) -> Subject:
    """An embedded model with its trained weights."""
    import torch
    from transformers import AutoConfig

    folder = models.embedded_path(name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))

    def make():
        return models.load(name, device="cpu", dtype=torch.bfloat16)[0]

    return Subject(
        name, "embedded", "", architecture.from_config(config), AutoConfig.from_pretrained(str(folder)), make
    )


def sliced(name: str) -> Subject:
    """Some layers of a model of the fact base with random weights."""
    layers, smaller = SLICES[name]
    fields = {key: value for key, value in catalog.model(name).as_dict().items() if value is not None}
    smaller = dict(smaller)
    if "moe_experts" in smaller and fields.get("moe_experts_per_token", 0) > smaller["moe_experts"]:
        smaller["moe_experts_per_token"] = smaller["moe_experts"]
    found = shape(fields | smaller, layers=layers)
    note = f"layers {layers[0]} to {layers[-1]}" + "".join(f", {key} {value:,}" for key, value in smaller.items())
    return Subject(name, "slice", note, found, found.config, found.materialise)


def whole(name: str) -> Subject:
    """A whole model of the fact base on torch's meta device: every shape, no values."""
    found = shape(catalog.model(name))
    return Subject(name, "whole", "shapes without values", catalog.model(name), found.config, lambda: found.meta)


def subjects(quick: bool = False) -> Iterator[Subject]:
    """All of them, one after the other."""
    for name in models.embedded_names():
        if not quick or name in ("mini", "draft"):
            yield embedded(name)
    for name in () if quick else SLICES:
        yield sliced(name)


def matrices(subject: Subject) -> dict[str, object]:
    """name -> matrix (outputs x inputs) that GPU formats pack: linear layers inside the decoder layers and experts, but
    no routers."""
    import torch
    from transformers.pytorch_utils import Conv1D

    inside = {id(module) for module in shape_weights.layers_of(subject.real).modules()}
    modules = {name: module for name, module in subject.real.named_modules() if id(module) in inside}
    found = {}
    for name, tensor in subject.tensors.items():
        owner, _, last = name.rpartition(".")
        if ".experts." in name and tensor.dim() == 2 and "bias" not in last:
            found[name] = tensor
        elif last == "weight" and isinstance(modules.get(owner), (torch.nn.Linear, Conv1D)):
            if owner.rpartition(".")[2] not in (*ROUTERS, "weights_proj"):
                found[name] = tensor
    return found


def packed(subject: Subject, pack: Callable, only: str = "") -> tuple[dict, dict]:
    """(tensors as a file holds them, those of them that are no weights but describe the file): every matrix through
    `pack`, which returns {suffix: tensor} or None to leave it, all others in 16 bits. `only`: matrices with this in their
    names."""
    chosen, out, extra = matrices(subject), {}, {}
    for name, tensor in subject.tensors.items():
        made = pack(tensor) if name in chosen and only in name else None
        if made is None:
            out[name] = tensor
            continue
        for suffix, part in made.items():
            (extra if suffix.startswith("_") else out)[f"{name}.{suffix}"] = part
    return out, extra


def plain(subject: Subject, name: str) -> dict:
    """All tensors in one floating-point type."""
    import torch

    dtype = getattr(torch, PLAIN[name])
    return {key: tensor.to(dtype) for key, tensor in subject.tensors.items()}


def stored(tensors: dict, folder: Path) -> tuple[int, int]:
    """(bytes of the tensors, bytes of the header) of a safetensors file with them, read back from the file."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(path))
    with path.open("rb") as file:
        size = struct.unpack("<Q", file.read(8))[0]
        header = json.loads(file.read(size))
    spans = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
    total = sum(end - start for start, end in spans)
    if path.stat().st_size != total + size + 8:
        raise RuntimeError(
            f"The file of {len(spans)} tensors has {path.stat().st_size} bytes, its header says {total}."
        )
    return total, size + 8


def _unstacked(model) -> Iterator[tuple[str, object]]:
    """(name, tensor) of every parameter: experts that transformers stacks one by one, their gate and up matrix apart
    where published files hold them apart."""
    turned = model.config.model_type in TURNED
    conv = _turned_names(model)
    for name, tensor in model.named_parameters():
        tensor = tensor.detach()
        if ".experts." in name and tensor.dim() == 3:
            for number, matrix in enumerate(tensor):
                matrix = matrix.T if turned else matrix
                label = name.replace(".experts.", f".experts.{number}.")
                if "gate_up" in name and not turned:
                    for part, half in zip(("gate", "up"), matrix.chunk(2), strict=True):
                        yield label.replace("gate_up", part), half
                else:
                    yield label, matrix
        else:
            yield name, tensor.T if name in conv else tensor


def _turned_names(model) -> set[str]:
    """Matrices of GPT-2's Conv1D, which holds inputs x outputs."""
    from transformers.pytorch_utils import Conv1D

    return {f"{name}.weight" for name, module in model.named_modules() if isinstance(module, Conv1D)}
