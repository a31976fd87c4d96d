"""The real libraries on one model: bitsandbytes, optimum-quanto, torchao and GGUF blocks, with bytes by their own layout.

Every maker takes a fresh model, packs its matrices (all linear maps inside the layers) and gives the bytes of what it
packed. None is needed by the course: `missing` says in one sentence what to install."""

from __future__ import annotations

import contextlib
import copy
import gc
import importlib.util
import io
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

from .kv_cache import change_in_transformers, timed_generation
from .quantization import GROUP, Score, give_back_memory, matrices, packed, token_ids, unpacked_bytes
from .quantization_formats import nf4_levels

PACKAGES = {"bitsandbytes": "bitsandbytes", "quanto": "optimum.quanto", "torchao": "torchao", "gguf": "gguf"}
INSTALL = {"quanto": "optimum-quanto"}


@dataclass(frozen=True)
class Variant:
    """One way to pack a model: the library (None: torch or this lab), the maker, and whether its speed means anything
    (False where values are restored before the model runs)."""

    name: str
    library: str | None
    make: Callable
    timed: bool = True


def missing(library: str | None) -> str | None:
    """None where a library can be used, else one sentence that says what to install."""
    if library is None:
        return None
    try:
        found = importlib.util.find_spec(PACKAGES[library])
    except ModuleNotFoundError:
        found = None
    return None if found else f"{library} is not installed: pip install {INSTALL.get(library, library)}"


@contextlib.contextmanager
def quiet():
    """Libraries talk while they load (kernels that are not there, deprecations): not on a lesson page."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def put(model, name: str, module) -> None:
    """`module` in the place of the one called `name`."""
    owner, _, last = name.rpartition(".")
    setattr(model.get_submodule(owner), last, module)


def each(model):
    """(name, matrix) one after the other; a matrix that was replaced can go before the next one comes."""
    for name in list(matrices(model)):
        yield name, model.get_submodule(name)
        give_back_memory()


def as_loaded(model) -> int:
    """The matrices in the width they have: 4 bytes a weight in float32."""
    return sum(m.weight.numel() * m.weight.element_size() for m in matrices(model).values())


def bfloat16(model) -> int:
    """Every tensor in 16 bits."""
    model.to(torch.bfloat16)
    return as_loaded(model)


def by_hand(model, bits: int, group=GROUP) -> int:
    """This lab's round to nearest; the model runs on the restored values."""
    size = 0
    for _, matrix in each(model):
        small = packed(matrix.weight.data, bits, group)
        matrix.weight.data, size = small.restore().to(matrix.weight.dtype), size + small.bytes
    return size


def bitsandbytes_levels() -> torch.Tensor:
    """The 16 values of NF4 as bitsandbytes has them."""
    with quiet():
        from bitsandbytes.functional import get_4bit_type
    return get_4bit_type("nf4", device="cpu")


def same_levels() -> str:
    """Whether our NF4 levels are those of bitsandbytes, in words. AssertionError when they are not."""
    if said := missing("bitsandbytes"):
        return said
    torch.testing.assert_close(nf4_levels(), bitsandbytes_levels(), atol=1e-6, rtol=0)
    return "bitsandbytes has the same 16 levels of NF4"


def bitsandbytes_nf4(model) -> int:
    """Linear4bit with NF4 in blocks of 64 and 32-bit scales: numbers, scales and the table of levels of every matrix."""
    import bitsandbytes as bnb

    size = 0
    for name, matrix in each(model):
        new = bnb.nn.Linear4bit(
            matrix.in_features, matrix.out_features, bias=matrix.bias is not None, compute_dtype=matrix.weight.dtype,
            compress_statistics=False, quant_type="nf4",
        )  # fmt: skip
        new.weight = bnb.nn.Params4bit(
            matrix.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=False
        )
        new.bias = matrix.bias
        put(model, name, new.to(matrix.weight.device))
        state = new.weight.quant_state
        size += sum(t.numel() * t.element_size() for t in (new.weight.data, state.absmax, state.code))
    return size


def bitsandbytes_int8(model) -> int:
    """Linear8bitLt: whole numbers and a 32-bit scale for every output; inputs are rounded to 8 bits as well."""
    import bitsandbytes as bnb

    size = 0
    for name, matrix in each(model):
        new = bnb.nn.Linear8bitLt(
            matrix.in_features, matrix.out_features, bias=matrix.bias is not None, has_fp16_weights=False
        )
        new.weight = bnb.nn.Int8Params(matrix.weight.data.half(), requires_grad=False, has_fp16_weights=False)
        new.bias = matrix.bias
        put(model, name, new.to(matrix.weight.device))
        size += matrix.weight.numel() + 4 * matrix.out_features
    return size


def quanto(model, bits: int) -> int:
    """qint8 (a scale a row) or qint4 (scale and shift for up to 128 inputs): bytes of the tensors that a file gets."""
    from optimum import quanto as library

    _without_compiler()
    names = list(matrices(model))
    for name, matrix in each(model):
        holder = torch.nn.Sequential(
            matrix
        )  # one at a time, so that two copies of the weights never stand side by side
        library.quantize(holder, weights=library.qint8 if bits == 8 else library.qint4)
        library.freeze(holder)
        put(model, name, holder[0])
    parts = {n: t for n, t in model.state_dict().items() if any(n.startswith(f"{name}.") for name in names)}
    return sum(t.numel() * t.element_size() for t in parts.values())


def _without_compiler() -> None:
    """quanto compiles a small C++ function when it first unpacks 4 bits on a processor: a minute or more, and it needs a
    compiler. Its own function in Python does the same; a compiled one that is there already stays."""
    from types import SimpleNamespace

    from optimum.quanto.library.extensions import get_extension
    from optimum.quanto.library.unpack import unpack

    extension = get_extension("quanto_cpp")
    if extension._lib is None and not os.path.isdir(extension.build_directory):
        extension._lib = SimpleNamespace(unpack=unpack)


def torchao(model, bits: int) -> int:
    """IntxWeightOnly: int4 with a scale for 64 inputs, or int8 with one a row. The bytes count `bits` a number: on a CPU
    torchao itself keeps 4-bit numbers in bytes until it exports them."""
    from torchao.quantization import IntxWeightOnlyConfig, quantize_
    from torchao.quantization.granularity import PerAxis, PerGroup

    width, share = (torch.int4, PerGroup(GROUP)) if bits == 4 else (torch.int8, PerAxis(0))
    chosen = matrices(model)
    quantize_(model, IntxWeightOnlyConfig(width, granularity=share), filter_fn=lambda module, name: name in chosen)
    size = 0
    for matrix in matrices(model).values():
        weight = matrix.weight
        scales = 2 * weight.scale.numel()
        size += weight.qdata.numel() * bits // 8 + scales
    return size


def gguf_blocks(model, kind: str) -> int:
    """The values that a GGUF block format gives back, by the package gguf; the bytes are those of its blocks."""
    size = 0
    for _, matrix in each(model):
        restored, bytes_ = _through_gguf(matrix.weight.data, kind)
        matrix.weight.data, size = restored.to(matrix.weight), size + bytes_
    return size


def gguf_values(weight: torch.Tensor, kind: str) -> torch.Tensor:
    """A matrix as a GGUF block format gives it back, float32."""
    return _through_gguf(weight, kind)[0]


def _through_gguf(weight: torch.Tensor, kind: str) -> tuple[torch.Tensor, int]:
    """(values that come back, bytes of the blocks)."""
    import gguf
    from gguf.quants import dequantize, quantize

    blocks = quantize(weight.float().cpu().numpy(), gguf.GGMLQuantizationType[kind])
    restored = torch.from_numpy(dequantize(blocks, gguf.GGMLQuantizationType[kind]))
    return restored.reshape(weight.shape), blocks.nbytes


VARIANTS = (
    Variant("fp32, as computed", None, as_loaded),
    Variant("bf16", None, bfloat16),
    Variant("8 bits, this lab", None, lambda model: by_hand(model, 8), timed=False),
    Variant("4 bits, this lab", None, lambda model: by_hand(model, 4), timed=False),
    Variant("int8, bitsandbytes", "bitsandbytes", bitsandbytes_int8),
    Variant("NF4, bitsandbytes", "bitsandbytes", bitsandbytes_nf4),
    Variant("qint8, quanto", "quanto", lambda model: quanto(model, 8)),
    Variant("qint4, quanto", "quanto", lambda model: quanto(model, 4)),
    Variant("int8, torchao", "torchao", lambda model: torchao(model, 8)),
    Variant("int4, torchao", "torchao", lambda model: torchao(model, 4)),
    Variant("Q8_0, gguf", "gguf", lambda model: gguf_blocks(model, "Q8_0"), timed=False),
    Variant("Q4_0, gguf", "gguf", lambda model: gguf_blocks(model, "Q4_0"), timed=False),
    Variant("MXFP4, gguf", "gguf", lambda model: gguf_blocks(model, "MXFP4"), timed=False),
)


def variant(name: str) -> Variant:
    """The variant of this name; ValueError lists them."""
    for one in VARIANTS:
        if one.name == name:
            return one
    raise ValueError(f"There is no variant {name!r}; there are {', '.join(v.name for v in VARIANTS)}.")


def made(one: Variant, model) -> int:
    """Pack a fresh model in place; bytes of the whole model: what was packed, and the rest at 16 bits a value (for fp32
    at 32). ModuleNotFoundError, in one sentence, without the library."""
    if said := missing(one.library):
        raise ModuleNotFoundError(said)
    rest = unpacked_bytes(model) * (2 if one.make is as_loaded and model.dtype == torch.float32 else 1)
    with quiet(), torch.no_grad():
        return one.make(model) + rest


@dataclass(frozen=True)
class Tried:
    """What a library made of a model: bytes, decoded tokens a second (None where values were restored first), score."""

    bytes: int
    tokens_per_s: float | None
    score: Score


def tried(one: Variant, judge, tokenizer, prompt: str) -> Tried:
    """Pack a copy of the judge's model, score it and time it; then its memory is given back."""
    fresh = copy.deepcopy(judge.model)
    size = made(one, fresh)
    with quiet():
        score = judge.score(fresh)
    speed = tokens_per_second(fresh, tokenizer, prompt)[0] if one.timed else None
    del fresh
    gc.collect()  # quantized modules hold each other
    give_back_memory()
    return Tried(size, speed, score)


def tokens_per_second(model, tokenizer, prompt: str, new: int = 12, rounds: int = 3) -> tuple[float, float]:
    """(decoded tokens a second, prompt tokens read a second), medians; the first new token belongs to the prefill."""
    ids = token_ids(model, tokenizer, prompt)
    with quiet():
        timed_generation(model, ids, 2, True)
        runs = [timed_generation(model, ids, new, True) for _ in range(rounds)]
    return (new - 1) / median(r.decode for r in runs), ids.shape[1] / median(r.prefill for r in runs)


def cache_said(model, ids: torch.Tensor) -> str:
    """What a 4-bit cache of transformers (by quanto) does to the predictions after the first 60 tokens of ids (1, L), in
    words; or what is missing."""
    if said := missing("quanto"):
        return said
    with quiet():
        _without_compiler()
        change = change_in_transformers(model, ids, 60, "quanto")
    return "this transformers cannot make it" if change is None else f"predictions moved by {change:.4f} bits"


def llama_cpp_bytes(record: dict | None, names=("Q8_0", "Q4_K_M", "Q4_0", "Q2_K")) -> dict[str, int]:
    """Bytes of `target` in mixtures that llama.cpp itself made, from the record of benchmarks/accuracy.py; empty without."""
    rows = [r for r in (record or {}).get("rows", []) if r["kind"] == "weights" and r["model"] == "target"]
    found = {row["format"]: row["measured"] for row in rows if row["how"] == "llama.cpp"}
    return {name: found[name] for name in names if name in found}


def recorded(record: dict) -> list[list]:
    """Rows of the table of a stored record: name, bytes, decoded tokens a second, bits per byte, moved."""
    keys = ("name", "bytes", "tokens_per_s", "bits_per_byte", "moved")
    return [[row[key] for key in keys] for row in record["variants"]]
