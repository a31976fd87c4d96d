"""Memory of the weights of a model in a format, part by part, from its list of tensors.

A model is a record of the fact base or a mapping with the same fields (see `architecture.fields`)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from . import architecture, formats
from .architecture import Tensor
from .breakdown import Breakdown, whole
from .formats import Format, Surroundings, weight_format
from .units import positive

SEVENTY = ("llama", "qwen2")  # families in which llama.cpp calls 80 layers with grouped heads a 70B


def weights(model, format="bf16", *, active: bool = False, **options) -> Breakdown:
    """Bytes of all weights in `format` (a name or a Format; `options` as for `formats.weight_format`), by the parts of
    architecture.PARTS; the scales and zeros of a matrix count with its part.

    `active`: only what one token passes, the experts that its router picks. bf16 gives 2 x parameters to the byte. Files
    come with a header (about 100 bytes a tensor) and, in GGUF, the tokenizer (some MB) on top, which are not counted."""
    form = weight_format(format, **options)
    parts = dict.fromkeys(architecture.PARTS, Fraction(0))
    share = active_share(model) if active else 1
    for tensor, _, size in sizes(model, form):
        parts[tensor.part] += size * (share if tensor.part == "experts" else 1)
    return Breakdown({part: whole(size) for part, size in parts.items()})


def flat(parameters: int, bits: float) -> Breakdown:
    """Bytes of a model of which only the number of parameters is known: parameters x bits / 8, all alike."""
    positive("parameters", parameters)
    return Breakdown({"weights": whole(parameters * Fraction(positive("bits", bits, whole=False)) / 8)})


def bits_per_parameter(model, format="bf16", **options) -> float:
    """Bits that a parameter takes on average, with all scales and all that the format keeps wider."""
    return weights(model, format, **options).total * 8 / architecture.parameters(model)


def active_share(model) -> Fraction:
    """The share of its routed experts that a token uses; 1 for a dense model."""
    get = architecture.fields(model)
    return Fraction(get("moe_experts_per_token"), get("moe_experts")) if get("moe_experts") else Fraction(1)


def sizes(model, form: Format) -> Iterator[tuple[Tensor, int | None, Fraction]]:
    """(tensor, layer, bytes) for every layer that a tensor of the inventory stands in (layer None: outside the layers),
    all experts of that layer together. ValueError when the format packs nothing of this model."""
    tensors = architecture.tensors(model)
    if form.packs == "experts" and not any(tensor.part == "experts" for tensor in tensors):
        raise ValueError(f"{form.name} packs routed experts only, which {_name(model)} has not: choose another format.")
    if form.packs != "gguf":
        for tensor in tensors:
            one = tensor.experts * form.matrix_bytes(tensor.part, tensor.role, tensor.rows, tensor.cols)
            for layer in (None,) if tensor.layers is None else tensor.layers:
                yield tensor, layer, one
        return
    around, valued = surroundings(model), _valued_layers(tensors)
    for tensor in tensors:
        pieces = _gguf_pieces(model, tensor)
        known: dict[tuple, Fraction] = {}
        for layer in (None,) if tensor.layers is None else tensor.layers:
            place = dict(layer=layer or 0, nth=valued.get(layer, 0), of=len(valued))
            blocks = [
                (formats.gguf_block(form, around, tensor.part, kind, r, c, **place), r, c) for kind, r, c in pieces
            ]
            key = tuple(blocks)
            if key not in known:
                known[key] = Fraction(sum(formats.block_bytes(*block) for block in blocks))
            yield tensor, layer, tensor.experts * known[key]


def surroundings(model) -> Surroundings:
    """What a GGUF mixture asks about the model around a matrix."""
    get = architecture.fields(model)
    layers, heads, kv_heads = get("layers"), get("attention_heads"), get("kv_heads")
    family = get("model_type") or "llama"
    return Surroundings(
        layers=layers,
        heads_per_kv=heads // kv_heads,
        experts=get("moe_experts") or 0,
        tied=not any(tensor.part == "output" for tensor in architecture.tensors(model)),
        seventy=family in SEVENTY and layers == 80 and heads != kv_heads,
    )


def _valued_layers(tensors) -> dict[int, int]:
    """Each layer with a value matrix (alone, fused, or of a DeltaNet layer) and its place among them."""
    found = {i for t in tensors if t.role in ("v", "qkv") or t.name.endswith("in_proj_qkvz.weight") for i in t.layers}
    return {layer: place for place, layer in enumerate(sorted(found))}


def _gguf_pieces(model, tensor: Tensor) -> list[tuple[str, int, int]]:
    """(kind for `formats.gguf_block`, rows, cols) of the matrices that llama.cpp's converter makes of a tensor."""
    get, rows, cols = architecture.fields(model), tensor.rows, tensor.cols
    if tensor.part in ("norms", "router") or tensor.role in formats.FLAT[:-1]:
        return [("flat", rows, cols)]
    if tensor.role == "kv_b":  # the keys of each head are turned, so that the latent vector comes out
        heads, keys = get("attention_heads"), get("mla_qk_nope_head_dim")
        return [("rest", heads * cols, keys), ("rest", rows - heads * keys, cols)]
    if tensor.name.endswith("in_proj_qkvz.weight"):  # queries, keys and values in one matrix, the gate in another
        gate = get("linear_value_heads") * (get("linear_value_head_dim") or get("linear_head_dim"))
        return [("v", rows - gate, cols), ("rest", gate, cols)]
    kinds = {"qkv": "v", "v": "v", "k": "k", "o": "o", "down": "down", "embedding": "embedding", "output": "output"}
    return [(kinds.get(tensor.role, "rest"), rows, cols)]


def _name(model) -> str:
    get = architecture.fields(model)
    return str(get("name") or get("id") or "this model")
