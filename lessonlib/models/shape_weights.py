"""Real tensors for an architecture: random weights of the right shapes, made in place so that nothing is held twice."""

from __future__ import annotations

import importlib.util

QUANTIZED = ("int8", "int4")  # with bitsandbytes: LLM.int8() rows, NF4 blocks of 64
INSTALL = "pip install bitsandbytes"
SPREAD = 0.02  # standard deviation of the random weights, the usual initializer_range
BLOCK = 64  # weights that share one fp32 scale in NF4 without nested statistics
CODE = 16 * 4  # bytes of the table of the 16 NF4 values, one for each matrix


def on_meta(config, dtype):
    """The model on the meta device, in eval mode: every shape and no memory."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=dtype).eval()


def as_dtype(name):
    """A torch dtype from itself or its name ("bfloat16", "float8_e4m3fn"); ValueError for anything else."""
    import torch

    made = getattr(torch, name, None) if isinstance(name, str) else name
    if not isinstance(made, torch.dtype):
        raise ValueError(f"The dtype {name!r} is unknown: use a torch dtype such as bfloat16, float16 or float32.")
    return made


def predicted_bytes(model, dtype, quantization: str | None = None) -> int:
    """Bytes of all weights of `model` (it may be on meta): every parameter in `dtype`, except that the matrices of the
    layers take 8 bits and a scale a row ("int8") or 4 bits and a scale for 64 ("int4"). Embedding, output matrix, norms
    and biases stay in `dtype`, as in published 8-bit and 4-bit files."""
    size = as_dtype(dtype).itemsize
    total = sum(tensor.numel() for tensor in model.parameters()) * size
    if quantization is None:
        return total
    _check(model, quantization)
    for _, _, linear in matrices(model):
        n, rows = linear.weight.numel(), linear.out_features
        packed = n + 4 * rows if quantization == "int8" else (n + 1) // 2 + 4 * -(-n // BLOCK) + CODE
        total += packed - n * size
    return total


def measured_bytes(model) -> int:
    """Bytes that the weights of a real model hold, tied ones once, with the scales of quantized matrices. On a CPU
    bitsandbytes packs 4-bit matrices anew in their first use: count before it."""
    import torch

    parts = []
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        parts += [parameter.data] if state is None else [parameter.data, state.absmax, state.code]
        parts.append(getattr(parameter, "SCB", None))
    parts += [getattr(getattr(module, "state", None), "SCB", None) for module in model.modules()]  # after the first use
    tensors = {(t.data_ptr(), t.numel()): t.nbytes for t in parts if isinstance(t, torch.Tensor)}
    return sum(tensors.values())


def layers_of(model):
    """The list of decoder layers, whatever the family calls it."""
    import torch

    count = model.config.num_hidden_layers
    return next(m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == count)


def matrices(model):
    """(parent, name, linear) for every linear layer inside the decoder layers: what quantization replaces."""
    import torch

    for parent in layers_of(model).modules():
        for name, child in parent.named_children():
            if type(child) is torch.nn.Linear:
                yield parent, name, child


def materialise(model, device, quantization: str | None = None, seed: int = 0):
    """Give a model that is on meta real random weights on `device`, in the dtypes that it has; returns it.

    Each decoder layer is allocated, filled by the family's own initialisation (normal with a small spread, norms at 1)
    and, when asked, quantized before the next one: the peak is the final weights plus one layer."""
    import torch

    device = torch.device(device)
    if quantization:
        _check(model, quantization)
        if importlib.util.find_spec("bitsandbytes") is None:
            raise ValueError(f"quantization={quantization!r} needs the package bitsandbytes: {INSTALL}.")
    forked = [device] if device.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=forked):
        torch.manual_seed(seed)
        for layer in layers_of(model):
            _fill(model, layer, device)
            if quantization:
                for parent, name, linear in _linears(layer):
                    setattr(parent, name, _quantized(linear, device, quantization))
        _fill(model, model, device)
    return model.eval()


def _fill(model, part, device) -> None:
    """Allocate and initialise what is still on meta inside `part`; a tensor that two modules share stays one."""
    import torch

    fresh, made = [], {}
    for module in part.modules():
        own = [(module._parameters, name, t) for name, t in module._parameters.items() if t is not None and t.is_meta]
        own += [(module._buffers, name, t) for name, t in module._buffers.items() if t is not None and t.is_meta]
        for place, name, old in own:
            if id(old) not in made:
                if place is module._buffers:
                    new = torch.zeros_like(old, device=device)
                else:
                    new = torch.nn.Parameter(torch.empty_like(old, device=device), old.requires_grad)
                    if not isinstance(module, (torch.nn.Linear, torch.nn.Embedding)):
                        new.normal_(0, SPREAD)  # some families forget a matrix of their own, such as a router's
                made[id(old)] = old, new  # keeps `old` alive, so that its id is not used again
            place[name] = made[id(old)][1]
        if own:
            fresh.append(module)
    for module in fresh:
        model._init_weights(module)


def _linears(layer) -> list:
    import torch

    found = [(p, name, child) for p in layer.modules() for name, child in p.named_children()]
    return [(p, name, child) for p, name, child in found if type(child) is torch.nn.Linear]


def _quantized(linear, device, quantization: str):
    """The bitsandbytes layer with the weights of `linear`."""
    import bitsandbytes as bnb

    shape = linear.in_features, linear.out_features, linear.bias is not None
    if quantization == "int8":
        made = bnb.nn.Linear8bitLt(*shape, has_fp16_weights=False, device="meta")
        made.weight = bnb.nn.Int8Params(linear.weight.data, requires_grad=False, has_fp16_weights=False)
    else:
        kind = dict(compress_statistics=False, quant_type="nf4")
        made = bnb.nn.Linear4bit(*shape, compute_dtype=linear.weight.dtype, device="meta", **kind)
        made.weight = bnb.nn.Params4bit(linear.weight.data, requires_grad=False, blocksize=BLOCK, **kind)
    made.bias = linear.bias
    return made.to(device)


def _check(model, quantization: str) -> None:
    """ValueError when this model cannot be quantized this way."""
    if quantization not in QUANTIZED:
        raise ValueError(f"quantization is {quantization!r}, but must be None, {' or '.join(map(repr, QUANTIZED))}.")
    if any("experts" in name.split(".") for name, _ in model.named_parameters()):
        raise ValueError(
            f"quantization is {quantization!r}, but the experts of this model are stacked tensors, which bitsandbytes "
            "leaves as they are: choose a dense model, or quantization=None with fewer layers."
        )
