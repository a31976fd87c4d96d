"""Number formats of weights, byte by byte as real files and libraries lay them out.

A `Format` says which matrices it packs, which it leaves in 16 bits, and how many bytes a matrix of rows x cols takes
(rows = outputs, cols = inputs, as nn.Linear stores it). `weight_format("Q4_K_M")` finds one in any spelling.

GGUF files mix several block formats: `gguf_block` says which matrix gets which. Source of those rules: llama.cpp,
src/llama-quant.cpp at 007dbbf (2026); block sizes: its ggml-common.h. All without an importance matrix, unless asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction

from .units import positive

# Weights in a block and bytes of a block, of llama.cpp's formats.
BLOCKS = {
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2),
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
    "IQ1_S": (256, 50), "IQ1_M": (256, 56), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98), "IQ3_S": (256, 110), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136), "MXFP4": (32, 17),
}  # fmt: skip
# What llama.cpp takes instead when a row is no whole number of blocks of 256.
FALLBACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}
# The block format that most matrices of a file get.
MIXTURES = {
    "Q2_K": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "Q4_0": "Q4_0", "Q4_K_S": "Q4_K",
    "Q4_K_M": "Q4_K", "Q5_0": "Q5_0", "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K", "Q6_K": "Q6_K", "Q8_0": "Q8_0",
    "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS", "MXFP4_MOE": "MXFP4", "GGUF_F16": "F16", "GGUF_BF16": "BF16",
    "GGUF_F32": "F32",
}  # fmt: skip
KEPT = "embedding, output matrix, norms, biases, routers"
SPARED = ("embedding", "output", "norms", "router")  # parts that no GPU format of matrices packs
FLAT = ("norm", "bias", "router", "conv", "state", "sinks", "position", "index_weights")  # roles that stay as they are
BITS = r"(?:(\d+)bit|int(\d+)|w(\d+)a16)?"  # how a spelling says so: "gptq-8bit", "int4 awq", "w8a16-gptq"
NF4_CODE = 16 * 4  # the table of the 16 NF4 values in 32 bits, one for each matrix
NESTED_CODE = 256 * 4 + 4  # the table of the 8-bit scales and their mean, one for each matrix
QUANTO_SCALARS = 4  # a scale of the inputs and one of the outputs, 16 bits each, one pair for each matrix
SPELLINGS = {
    "f32": "fp32", "float32": "fp32", "f16": "fp16", "float16": "fp16", "half": "fp16", "bfloat16": "bf16",
    "16bit": "bf16", "32bit": "fp32", "e4m3": "fp8", "float8": "fp8", "fp8e4m3": "fp8", "8bit": "int8",
    "llmint8": "int8", "bnb8bit": "int8", "int4": "int4_flat", "4bit": "int4_flat", "bnb4bit": "nf4", "bnb": "nf4",
    "qlora": "nf4_dq", "nf4doublequant": "nf4_dq", "q3k": "Q3_K_M", "q4k": "Q4_K_M", "q5k": "Q5_K_M",
    "deepseekfp8": "fp8_block", "fp8block128": "fp8_block",
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """A way to store weights. `bits`: what a packed weight takes in a large matrix, its scales counted; `packs`: "all",
    "linear", "experts" or "gguf"; `keeps`: what it leaves in 16 bits, in words; `size(rows, cols)`: bytes of a packed
    matrix, or None when the matrix has not the shape for it and stays in 16 bits. GGUF formats have a `mixture`, awq and
    gptq a `group` of inputs that share a scale."""

    name: str
    bits: Fraction
    packs: str
    source: str
    keeps: str = "nothing"
    size: Callable[[int, int], Fraction | int | None] | None = None
    mixture: str | None = None
    imatrix: bool = False
    group: int | None = None

    def __repr__(self) -> str:
        return f"<Format {self.name}: {float(self.bits):g} bits>"

    def packed(self, part: str, role: str, rows: int, cols: int) -> bool:
        """Whether this format packs such a matrix (GGUF files have their own rules: see `gguf_block`)."""
        if self.packs == "all":
            return True
        if min(rows, cols) < 2 or part in SPARED or role in FLAT:
            return False
        return part == "experts" if self.packs == "experts" else self.packs == "linear"

    def matrix_bytes(self, part: str, role: str, rows: int, cols: int) -> Fraction:
        """Bytes of one matrix: packed when this format packs it and its shape allows, else 16 bits a weight."""
        size = self.size(rows, cols) if self.packed(part, role, rows, cols) else None
        return Fraction(rows * cols * 2 if size is None else size)


@dataclass(frozen=True)
class Surroundings:
    """What a GGUF mixture asks about the model around a matrix: query heads for each key-value head, experts (0: none),
    whether the output matrix is the embedding, and whether llama.cpp calls it a 70B (80 layers, grouped heads)."""

    layers: int
    heads_per_kv: int = 1
    experts: int = 0
    tied: bool = False
    seventy: bool = False


def weight_format(name, *, group: int | None = None, bits: int | None = None, imatrix: bool | None = None) -> Format:
    """The format called `name` in any spelling ("q4_k_m", "AWQ", "4bit-awq", "gptq-g64"); a Format comes back as it is.

    `group` and `bits` (which the spelling may name too: "gptq-8bit") are for awq and gptq, `imatrix` for GGUF files made
    with an importance matrix. ValueError names the nearest when it is unknown, and what is wrong with a group or a number
    of bits."""
    if isinstance(name, Format):
        return name
    words = str(name).lower()
    if found := re.search(r"[-_ ]g(?:roup)?[-_ ]?(\d+)$", words):
        words, group = words[: found.start()], group or int(found[1])
    if found := re.search(r"[-_ ](?:with[-_ ])?imatrix$", words):
        words, imatrix = words[: found.start()], True
    key = _plain(words)
    if found := re.fullmatch(rf"{BITS}(?P<kind>awq|gptq){BITS}", key):
        said = [int(number) for number in found.groups() if number and number.isdigit()]
        key, bits = found["kind"], bits or (said[0] if said else None)
    known = {_plain(n): f for n, f in FORMATS.items()} | {s: FORMATS[n] for s, n in SPELLINGS.items()}
    if key not in known:
        stripped = re.sub(r"^(gguf|\d+bit|int\d|w4a16|bnb|bitsandbytes)|(\d+bit|int\d|g128|w4a16|gguf)$", "", key)
        if stripped not in known:
            near = [known[n].name for n in get_close_matches(key, known, n=4, cutoff=0.4)] or FORMATS
            raise ValueError(f"There is no weight format {name!r}. Nearest: {', '.join(dict.fromkeys(near))}.")
        key = stripped
    chosen = known[key]
    if group is not None or bits is not None:
        if chosen.name not in ("awq", "gptq"):
            raise ValueError(f"{chosen.name} has no group size or bits to choose: only awq and gptq have.")
        chosen = (awq if chosen.name == "awq" else gptq)(128 if group is None else group, 4 if bits is None else bits)
    if imatrix:
        if not chosen.mixture:
            raise ValueError(f"{chosen.name} has no importance matrix: only GGUF formats have.")
        chosen = replace(chosen, imatrix=True)
    return chosen


def awq(group: int = 128, bits: int = 4) -> Format:
    """AutoAWQ's layout of a matrix (WQLinear_GEMM): weights packed in int32 along the outputs, a 16-bit scale and a
    4-bit zero for each `group` inputs of an output. ValueError for bits other than 4: AutoAWQ packs no others."""
    positive("group", group)
    if bits != 4:
        raise ValueError(f"bits is {bits!r}, but AWQ files have 4 bits: choose gptq for 2, 3 or 8.")

    def size(rows, cols):
        fits = cols % group == 0 and rows % 8 == 0
        return Fraction(rows * cols, 2) + rows * (cols // group) * Fraction(5, 2) if fits else None

    return Format(
        "awq" if group == 128 else f"awq-g{group}", 4 + Fraction(20, group), "linear",
        "AutoAWQ, awq/modules/linear/gemm.py: qweight, qzeros (int32), scales (fp16)", KEPT, size,
        group=group,
    )  # fmt: skip


def gptq(group: int = 128, bits: int = 4) -> Format:
    """GPTQModel's (and AutoGPTQ's) layout of a matrix: weights packed in int32 along the inputs, a 16-bit scale and a
    zero of `bits` for each `group` inputs of an output, and for every input the number of its group (int32)."""
    positive("group", group)
    if bits not in (2, 3, 4, 8):
        raise ValueError(f"bits is {bits!r}, but GPTQ files have 2, 3, 4 or 8 bits.")

    def size(rows, cols):
        groups = -(-cols // group)
        packed = Fraction(rows * cols * bits, 8) + groups * (2 * rows + Fraction(rows * bits, 8)) + 4 * cols
        return packed if rows % 32 == 0 and cols % 32 == 0 else None

    name = "gptq" + (f"-{bits}bit" if bits != 4 else "") + (f"-g{group}" if group != 128 else "")
    return Format(
        name, bits + Fraction(16 + bits, group), "linear",
        "GPTQModel, gptqmodel/nn_modules/qlinear: qweight, qzeros, g_idx (int32), scales (fp16)", KEPT, size,
        group=group,
    )  # fmt: skip


def block_bytes(block: str, rows: int, cols: int) -> int:
    """Bytes of a matrix in one GGUF block format ("Q4_K"). ValueError when a row is no whole number of blocks."""
    if block not in BLOCKS:
        near = get_close_matches(str(block).upper(), BLOCKS, n=3)
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise ValueError(f"There is no GGUF block format {block!r}; there are {', '.join(BLOCKS)}.{hint}")
    positive("rows", rows)
    positive("cols", cols)
    weights, size = BLOCKS[block]
    if cols % weights:
        raise ValueError(f"A row has {cols:,} weights, but {block} packs blocks of {weights}: it must divide.")
    return rows * (cols // weights) * size


def gguf_block(
    form: Format, around: Surroundings, part: str, kind: str, rows: int, cols: int, layer: int = 0,
    nth: int = 0, of: int = 1,
) -> str:  # fmt: skip
    """The block format that llama.cpp gives a matrix in a file of this mixture.

    `kind`: "embedding", "output", "v" (also fused qkv), "k", "o", "down", "flat" (vectors, routers, convolutions,
    positions: 32 bits), or any other word for the rest. `layer` of `around.layers`: where it stands; `nth` of `of`:
    its place among the value matrices alone."""
    if kind == "flat" or min(rows, cols) < 2:
        return "F32"
    base = MIXTURES[form.mixture]
    if base in ("F32", "F16", "BF16"):
        return base
    if kind == "output" or (kind == "embedding" and around.tied):
        fits = cols % BLOCKS[base][0] == 0 and form.mixture != "MXFP4_MOE"
        chosen = "Q6_K" if fits and base != "Q8_0" else "Q8_0"
    elif form.mixture == "MXFP4_MOE":
        chosen = "MXFP4" if part == "experts" else "Q8_0"
    else:
        chosen = _special(form, around, kind, layer, nth, of) or base
    return _fitting(chosen, cols)


def _special(form: Format, around: Surroundings, kind: str, layer: int, nth: int, of: int) -> str | None:
    """What a mixture changes for the matrices that matter most; None where it takes its usual block format."""
    name, layers, eight = form.mixture, around.layers, around.experts == 8
    iq4 = name in ("IQ4_NL", "IQ4_XS")
    if kind == "v":
        usual = MIXTURES[name]
        if name == "Q2_K":
            usual = "Q4_K" if around.heads_per_kv >= 4 else "Q3_K"
        elif name == "Q3_K_M":
            usual = "Q5_K" if nth < 2 else "Q4_K"
        elif name == "Q3_K_L" or (iq4 and around.heads_per_kv >= 4) or (name == "Q4_K_S" and nth < 4):
            usual = "Q5_K"
        elif name in ("Q4_K_M", "Q5_K_M") and more_bits(nth, of):
            usual = "Q6_K"
        if around.seventy and usual in ("Q3_K", "Q4_K"):
            usual = "Q5_K"
        return "Q8_0" if eight else usual
    if kind == "k" and eight:
        return "Q8_0"
    if kind == "o":
        if eight:
            return "Q5_K" if name in ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M") or iq4 else None
        return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(name)
    if kind == "down":
        first = layer < layers // 8
        if name == "Q3_K_M":
            return "Q5_K" if layer < layers // 16 else "Q4_K"
        if name in ("Q4_K_M", "Q5_K_M"):
            return "Q6_K" if more_bits(layer, layers) else None
        if first and (name == "Q4_K_S" or (iq4 and not form.imatrix)):
            return "Q5_K"
        if first and form.imatrix and name in ("Q4_0", "Q5_0"):
            return name[:3] + "1"
        return {"Q2_K": "Q3_K", "Q3_K_L": "Q5_K"}.get(name)
    return None


def more_bits(i: int, n: int) -> bool:
    """Whether the i-th of n layers is one of those that a "_M" mixture gives more bits: the first and last eighth, and
    every third between them."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def _fitting(block: str, cols: int) -> str:
    """`block`, or what llama.cpp takes instead for rows that are no whole number of its blocks."""
    if cols % BLOCKS[block][0] == 0:
        return block
    second = FALLBACK.get(block)
    return second if second and cols % BLOCKS[second][0] == 0 else "F16"


def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def _every(bits: int):
    return lambda rows, cols: Fraction(rows * cols * bits, 8)


def _nf4(rows, cols):
    n = rows * cols
    return -(-n // 2) + 4 * -(-n // 64) + NF4_CODE


def _nf4_dq(rows, cols):
    n = rows * cols
    blocks = -(-n // 64)
    return -(-n // 2) + blocks + 4 * -(-blocks // 256) + NF4_CODE + NESTED_CODE


def _quanto_int4(rows, cols):
    group = 128 if cols >= 128 else cols
    while cols % group and group > 32:
        group -= 32
    groups = cols // group if cols % group == 0 else 1
    return Fraction(rows * cols, 2) + 4 * rows * groups + QUANTO_SCALARS


def _mxfp4(rows, cols):
    return None if cols % 32 else block_bytes("MXFP4", rows, cols)


_BNB = "bitsandbytes, functional.py and nn/modules.py"
_QUANTO = "optimum-quanto 0.2.7, nn/qmodule.py and tensor/weights"
_ALL = (
    Format("fp32", Fraction(32), "all", "IEEE 754 binary32", size=_every(32)),
    Format("fp16", Fraction(16), "all", "IEEE 754 binary16", size=_every(16)),
    Format("bf16", Fraction(16), "all", "the upper half of binary32", size=_every(16)),
    Format(
        "fp8", Fraction(8), "linear", "e4m3 with one 32-bit scale a matrix, as vLLM and compressed-tensors store it",
        KEPT, lambda rows, cols: rows * cols + 4,
    ),
    Format(
        "fp8_block", 8 + Fraction(32, 128 * 128), "linear",
        "e4m3 with a 32-bit scale for 128 x 128 weights, as in DeepSeek-V3's files (weight_scale_inv)",
        KEPT, lambda rows, cols: rows * cols + 4 * -(-rows // 128) * -(-cols // 128),
    ),
    Format(
        "int8", Fraction(8), "linear", f"LLM.int8(), a 32-bit scale a row ({_BNB})", KEPT,
        lambda rows, cols: rows * cols + 4 * rows,
    ),
    Format("int8_flat", Fraction(8), "all", "rule of thumb: one byte a parameter", size=_every(8)),
    Format("int4_flat", Fraction(4), "all", "the source lesson's rule: half a byte a parameter", size=_every(4)),
    awq(),
    gptq(),
    Format("nf4", 4 + Fraction(32, 64), "linear", f"a 32-bit scale for 64 weights ({_BNB})", KEPT, _nf4),
    Format(
        "nf4_dq", 4 + Fraction(8, 64) + Fraction(32, 64 * 256), "linear",
        f"double quantization: an 8-bit scale for 64 weights, a 32-bit one for 256 scales ({_BNB})", KEPT, _nf4_dq,
    ),
    Format(
        "quanto_int8", Fraction(8), "linear", f"a 16-bit scale a row ({_QUANTO})", KEPT,
        lambda rows, cols: rows * cols + 2 * rows + QUANTO_SCALARS,
    ),
    Format(
        "quanto_int4", 4 + Fraction(32, 128), "linear", f"a 16-bit scale and shift for 128 weights ({_QUANTO})", KEPT,
        _quanto_int4,
    ),
    Format(
        "mxfp4", Fraction(17, 4), "experts", "OCP MX: an 8-bit exponent for 32 weights; gpt-oss packs its experts only",
        "all but the experts", _mxfp4,
    ),
    *(
        Format(
            name, Fraction(8 * BLOCKS[base][1], BLOCKS[base][0]), "gguf",
            "llama.cpp, src/llama-quant.cpp at 007dbbf and ggml-common.h", "norms, biases and routers (in 32 bits)",
            mixture=name,
        )
        for name, base in MIXTURES.items()
    ),
)  # fmt: skip
FORMATS = {form.name: form for form in _ALL}
