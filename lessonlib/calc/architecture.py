"""Every parameter of a model, by arithmetic alone, from the fields of a row of facts/models.yaml.

`tensors(model)` lists what the files of a model hold, matrix by matrix; all other sums of this package (weights in a
format, shards of a GPU) start from that list. `from_config` makes such fields of a Hugging Face config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from . import architecture_config
from .architecture_families import PARTS, Tensor, inventory
from .architecture_fields import Fields, expert_layers, layer_kinds

__all__ = ["PARTS", "Tensor", "active_parameters", "fields", "from_config", "layer_types", "moe_layers", "parameters"]
__all__ += ["parts", "tensors"]


def fields(model) -> Callable:
    """A function get(name, default=None) over the fields of a model: a record of the catalog, a mapping or an object with
    the fields of facts/models.yaml, or an object with a transformers `config` (a Shape).

    ValueError for a bare name, and for a config.json that was not read yet."""
    if isinstance(model, str):
        raise ValueError(f"{model!r} is a name: look it up first, with catalog.model({model!r}) of lessonlib.facts.")
    if hasattr(getattr(model, "config", None), "to_dict"):
        model = from_config(model.config.to_dict())
    if not isinstance(model, Mapping):
        found = model if callable(getattr(model, "get", None)) else None
        return found.get if found is not None else lambda name, default=None: getattr(model, name, default)
    if "layers" not in model and ({"num_hidden_layers", "n_layer", "text_config"} & set(model)):
        raise ValueError("This mapping is a config.json: read it with architecture.from_config(config) first.")
    return model.get


def tensors(model) -> tuple[Tensor, ...]:
    """Every tensor of a model (see `fields` for what a model is), equal ones in one entry with their count.

    ValueError in one sentence for a family that is not known, or a field that is missing or nonsense."""
    return tuple(inventory(Fields(fields(model))))


def parameters(model) -> int:
    """All parameters, tied matrices counted once. Buffers (a router's correction) and prediction heads for further tokens
    (MTP) do not count."""
    return sum(tensor.parameters for tensor in tensors(model))


def active_parameters(model) -> int:
    """Parameters used for one token: all but the routed experts that its router leaves idle. Embedding and output matrix
    count (some vendors leave the embedding out)."""
    get, found = fields(model), tensors(model)
    experts = sum(tensor.parameters for tensor in found if tensor.part == "experts")
    count = get("moe_experts") or 1
    idle = experts // count * (count - get("moe_experts_per_token")) if experts else 0
    return sum(tensor.parameters for tensor in found) - idle


def parts(model) -> dict[str, int]:
    """Parameters by part, all of PARTS, adding up to the whole. The embedding holds learned positions too, and is the
    output matrix where the two are tied; attention the index of sparse attention; shared_experts the projections around a
    latent mixture."""
    counts = dict.fromkeys(PARTS, 0)
    for tensor in tensors(model):
        counts[tensor.part] += tensor.parameters
    return counts


def layer_types(model) -> tuple[str, ...]:
    """What each layer is: full_attention, sliding_attention (chunks too), linear_attention, conv, moe or mlp (the last two only
    where a layer is nothing else)."""
    return layer_kinds(Fields(fields(model)))


def moe_layers(model) -> tuple[int, ...]:
    """The indices of the layers with routed experts."""
    return expert_layers(Fields(fields(model)))


def from_config(config: Mapping) -> dict:
    """The fields of facts/models.yaml that a Hugging Face config.json gives (of its text part), with total_params_exact and
    embedding_params_exact counted from them.

    What a file leaves out is the default of the transformers class. Fields that no row needs appear only where a model is
    unusual: layer_types and mlp_layer_types (a word a layer) and sparse_index_layers (indices) for an irregular order,
    linear_value_head_dim, layer_norms (the norms of a layer) and the switches mlp_bias, mamba_bias, mamba_conv_bias,
    linear_conv_bias, attention_output_bias and output_bias. ValueError in one sentence when the
    family is not known or a value is nonsense."""
    found = architecture_config.read(config)
    found["total_params_exact"] = parameters(found)
    found["embedding_params_exact"] = found["vocab_size"] * found["hidden_size"]
    return found
