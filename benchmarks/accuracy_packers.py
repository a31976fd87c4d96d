"""How each weight format packs one matrix (outputs x inputs): {suffix: tensor}, or None when it leaves the matrix.

bitsandbytes, optimum-quanto and gguf do it with their own code. AWQ and GPTQ (round to nearest) and the 8-bit floats are
written in the layout of the libraries' classes: WQLinear_GEMM of AutoAWQ 0.2.9, GPTQQuantLinear of GPTQModel 7.7,
weight_scale of compressed-tensors, weight_scale_inv of DeepSeek-V3. A suffix with an underscore in front describes the
matrix in a file and is no tensor that a model holds."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import partial

FP8_MOST = 448.0  # the largest e4m3 number
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which output lies in which four bits of an int32


def packers() -> dict[str, tuple[Callable, str]]:
    """format of `calc` -> (function, who packs), for all that can be made here."""
    found = {
        "fp8": (fp8, "torch float8_e4m3fn, compressed-tensors' layout"),
        "fp8_block": (fp8_block, "torch float8_e4m3fn, DeepSeek's layout"),
        "awq": (partial(awq, group=128), "AutoAWQ's layout"),
        "awq-g64": (partial(awq, group=64), "AutoAWQ's layout"),
        "gptq": (partial(gptq, bits=4, group=128), "GPTQModel's layout"),
        "gptq-g32": (partial(gptq, bits=4, group=32), "GPTQModel's layout"),
        "gptq-8bit": (partial(gptq, bits=8, group=128), "GPTQModel's layout"),
    }
    if importlib.util.find_spec("bitsandbytes"):
        found["int8"] = int8, "bitsandbytes"
        found["nf4"] = partial(nf4, double=False), "bitsandbytes"
        found["nf4_dq"] = partial(nf4, double=True), "bitsandbytes"
    if importlib.util.find_spec("optimum") and importlib.util.find_spec("optimum.quanto"):
        found["quanto_int8"] = partial(quanto, bits=8), "optimum-quanto"
        found["quanto_int4"] = partial(quanto, bits=4), "optimum-quanto"
    return found


def fp8(weight) -> dict:
    """One scale for the whole matrix."""
    import torch

    scale = weight.float().abs().amax() / FP8_MOST
    return {"fp8": (weight.float() / scale).to(torch.float8_e4m3fn), "weight_scale": scale.reshape(1)}


def fp8_block(weight, block: int = 128) -> dict:
    """One scale for each square of 128 x 128."""
    import torch

    rows, cols = weight.shape
    high, wide = -(-rows // block), -(-cols // block)
    full = torch.zeros(high * block, wide * block)
    full[:rows, :cols] = weight.float()
    squares = full.view(high, block, wide, block)
    scale = squares.abs().amax((1, 3)).clamp(min=1e-12) / FP8_MOST
    made = (squares / scale[:, None, :, None]).reshape(high * block, wide * block)[:rows, :cols]
    return {"fp8": made.to(torch.float8_e4m3fn), "weight_scale_inv": scale}


def grouped(weight, bits: int, group: int):
    """(whole numbers, scale, zero) of round-to-nearest: weights of `group` inputs share a scale and a zero point."""
    import torch

    rows, cols = weight.shape
    count = -(-cols // group)
    full = torch.zeros(rows, count * group)
    full[:, :cols] = weight.float()
    parts = full.view(rows, count, group)
    low, high = parts.amin(2).clamp(max=0), parts.amax(2).clamp(min=0)
    scale = ((high - low) / (2**bits - 1)).clamp(min=1e-8)
    zero = (-low / scale).round()
    whole = (parts / scale[:, :, None] + zero[:, :, None]).round().clamp(0, 2**bits - 1)
    return whole.reshape(rows, -1)[:, :cols].int(), scale.half(), zero.int()


def words(whole, bits: int, order=None):
    """Whole numbers of `bits` along the last axis, put together in int32."""
    import torch

    each = 32 // bits
    parts = whole.unflatten(-1, (-1, each)).long()
    if order:
        parts = parts[..., list(order)]
    shifts = torch.arange(each) * bits
    joined = (parts << shifts).sum(-1)
    return torch.where(joined >= 2**31, joined - 2**32, joined).int()


def awq(weight, group: int) -> dict | None:
    """Packed along the outputs; AutoAWQ refuses other widths, so such a matrix stays."""
    rows, cols = weight.shape
    if cols % group or rows % 8:
        return None
    whole, scale, zero = grouped(weight, 4, group)
    return {"qweight": words(whole.T, 4, AWQ_ORDER), "qzeros": words(zero.T, 4, AWQ_ORDER), "scales": scale.T}


def gptq(weight, bits: int, group: int) -> dict | None:
    """Packed along the inputs, and the number of its group for every input; GPTQModel wants multiples of 32."""
    import torch

    rows, cols = weight.shape
    if rows % 32 or cols % 32:
        return None
    whole, scale, zero = grouped(weight, bits, group)
    return {
        "qweight": words(whole, bits).T,
        "qzeros": words(zero.T, bits),
        "scales": scale.T,
        "g_idx": (torch.arange(cols) // group).int(),
    }


def int8(weight) -> dict:
    """LLM.int8(): a 32-bit scale for each output."""
    import torch
    from bitsandbytes import functional

    codes, scale, _ = functional.int8_vectorwise_quant(weight.half())
    return {"int8": codes, "SCB": scale, "_weight_format": torch.zeros((), dtype=torch.uint8)}


def nf4(weight, double: bool) -> dict:
    """NF4 in blocks of 64, with the scales in 32 bits or quantized once more."""
    from bitsandbytes import functional

    data, state = functional.quantize_4bit(weight, blocksize=64, compress_statistics=double, quant_type="nf4")
    found = {"nf4": data, "absmax": state.absmax, "quant_map": state.code}
    if double:
        found |= {"nested_absmax": state.state2.absmax, "nested_quant_map": state.state2.code}
        found["offset"] = state.offset.reshape(1)
    blob = next(part for name, part in state.as_dict(packed=True).items() if "bitsandbytes" in name)
    return found | {"_quant_state": blob}


def quanto(weight, bits: int) -> dict:
    """What a frozen layer of optimum-quanto saves: the packed weights, scales, shifts, and two scalars."""
    import torch
    from optimum import quanto as library

    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype, device="meta")
    linear.weight = torch.nn.Parameter(weight.contiguous(), requires_grad=False)
    holder = torch.nn.Sequential(linear)
    library.quantize(holder, weights=library.qint8 if bits == 8 else library.qint4)
    library.freeze(holder)
    return {name.partition(".")[2]: tensor for name, tensor in holder.state_dict().items()}


def mxfp4(weight) -> dict:
    """gpt-oss: an 8-bit exponent for 32 weights of 4 bits, as two tensors."""
    import numpy
    import torch
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    rows, cols = weight.shape
    data = quantize(weight.float().numpy(), GGMLQuantizationType.MXFP4).reshape(rows, cols // 32, 17)
    scales, blocks = numpy.ascontiguousarray(data[..., 0]), numpy.ascontiguousarray(data[..., 1:])
    return {"blocks": torch.from_numpy(blocks), "scales": torch.from_numpy(scales)}
