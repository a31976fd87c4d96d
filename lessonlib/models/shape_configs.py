"""From a row of the fact base to the transformers configuration that has the same tensors, whole, sliced or thin.

The row says which configuration class (`model_type`) and the values; the tables here only say which field of the row is
which argument of that class. What changes no shape (rope, scaling factors, token ids) keeps the class's default."""

from __future__ import annotations

from collections.abc import Mapping

PLAIN = ("mha", "gqa", "mqa")  # attention over all earlier tokens, one K and V a layer
NEEDED = ("layers", "attention_heads", "kv_heads", "head_dim", "hidden_size", "intermediate_size", "vocab_size")

FIELDS = {
    "layers": "num_hidden_layers",
    "attention_heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "head_dim": "head_dim",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
    "max_context": "max_position_embeddings",
    "tied_embeddings": "tie_word_embeddings",
    "attention_bias": "attention_bias",
    "attention_window": "sliding_window",
    "moe_experts": "n_routed_experts",
    "moe_experts_per_token": "num_experts_per_tok",
    "moe_shared_experts": "n_shared_experts",
    "moe_intermediate_size": "moe_intermediate_size",
    "moe_router_groups": "n_group",
    "moe_router_groups_used": "topk_group",
    "dense_layers": "first_k_dense_replace",
    "mla_kv_lora_rank": "kv_lora_rank",
    "mla_q_lora_rank": "q_lora_rank",
    "mla_qk_rope_head_dim": "qk_rope_head_dim",
    "mla_qk_nope_head_dim": "qk_nope_head_dim",
    "mla_v_head_dim": "v_head_dim",
    "sparse_index_heads": "index_n_heads",
    "sparse_index_head_dim": "index_head_dim",
    "sparse_index_topk": "index_topk",
}
GPT2 = {
    "layers": "n_layer",
    "attention_heads": "n_head",
    "kv_heads": None,
    "head_dim": None,
    "hidden_size": "n_embd",
    "intermediate_size": "n_inner",
    "max_context": "n_positions",
}
LOCAL = {"moe_experts": "num_local_experts", "moe_shared_experts": None, "moe_intermediate_size": None}
# What a family calls differently; None: the class has no such argument, its shapes need none.
RENAMED = {
    "gpt2": GPT2,
    "gpt_bigcode": GPT2,
    "mixtral": LOCAL,
    "minimax_m2": LOCAL,
    "gpt_oss": LOCAL,
    "llama4_text": LOCAL
    | {
        "dense_intermediate_size": "intermediate_size_mlp",
        "moe_layer_step": "interleave_moe_layer_step",
        "attention_window": "attention_chunk_size",
    },
    "qwen3_moe": {"moe_experts": "num_experts"},
    "qwen3_next": {
        "moe_experts": "num_experts",
        "moe_shared_experts": None,
        "moe_shared_intermediate_size": "shared_expert_intermediate_size",
        "linear_key_heads": "linear_num_key_heads",
        "linear_value_heads": "linear_num_value_heads",
        "linear_conv_kernel": "linear_conv_kernel_dim",
    },
    "glm4_moe": {"qk_norm": "use_qk_norm"},
    "glm4_moe_lite": {"dense_layers": None},  # takes a list of layers, see `config`
    "nemotron_h": {
        "layers": None,
        "layer_pattern": "hybrid_override_pattern",
        "mamba_heads": "mamba_num_heads",
        "mamba_head_dim": "mamba_head_dim",
        "mamba_state_size": "ssm_state_size",
        "mamba_groups": "n_groups",
        "mamba_conv_kernel": "conv_kernel",
        "moe_latent_size": "moe_latent_size",
        "moe_shared_intermediate_size": "moe_shared_expert_intermediate_size",
    },
}
PER_LAYER = ("layer_types", "mlp_layer_types", "indexer_types", "no_rope_layers")  # lists with one entry a layer


def config(architecture, layers=None, thin: bool = False):
    """The transformers configuration of an architecture: a name of the fact base, one of its records, or a mapping with
    the same fields; NEEDED are enough for a plain model, which is then a Llama (or a Mixtral when it has `moe_experts`).
    `layers` keeps some (see `pick`); `thin` keeps what shapes the cache (layers, heads, head size, window, state) and
    shrinks the rest.

    ValueError when a field is missing, `layers` is out of range, or transformers does not know the architecture."""
    from transformers import AutoConfig

    get = _reader(architecture)
    name = label(architecture)
    kind = get("model_type") or _plain_type(name, get)
    missing = [field for field in NEEDED if not get(field) and not (field == "head_dim" and get("mla_kv_lora_rank"))]
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}: an architecture needs {', '.join(NEEDED)}.")
    names = FIELDS | RENAMED.get(kind, {})
    values = {field: get(field) for field in names if get(field) is not None}
    if thin:
        kind = (
            "llama" if names["head_dim"] is None else kind
        )  # their head size is hidden_size / heads: a thin one is no GPT-2
        names = FIELDS | RENAMED.get(kind, {})
        values |= {field: small for field, small in _thin(values).items() if field in values}
    arguments = {names[field]: value for field, value in values.items() if names[field]}
    if "attention_window" not in values:
        arguments["sliding_window"] = None  # some classes have a window by default, the model none
    if kind == "glm4_moe_lite":
        dense = get("dense_layers") or 0
        arguments["mlp_layer_types"] = ["dense"] * dense + ["sparse"] * (values["layers"] - dense)
    try:
        made = AutoConfig.for_model(kind, **arguments, bos_token_id=0, eos_token_id=0, pad_token_id=None)
    except ValueError as error:
        if "Unrecognized model identifier" not in str(error):
            raise
        raise ValueError(
            f"{name} is a {kind}, which the installed transformers does not know: update transformers or choose another."
        ) from None
    return sliced(made, pick(layers, made.num_hidden_layers, name))


def label(architecture) -> str:
    """The name of an architecture, for messages."""
    get = _reader(architecture)
    return get("id") or get("name") or "this architecture"


def pick(layers, total: int, name: str) -> list[int]:
    """The layers asked for, in order: all (None), the first n (an int), a slice, or ascending indices such as a range."""
    if layers is None:
        return list(range(total))
    if isinstance(layers, slice):
        picked = list(range(total))[layers]
    elif isinstance(layers, int):
        picked = list(range(layers)) if 1 <= layers <= total else []
    else:
        picked = list(layers)
    rising = picked and picked == sorted(set(picked)) and picked[0] >= 0 and picked[-1] < total
    if not rising:
        raise ValueError(
            f"layers is {layers}, but {name} has {total}: ask for 1 to {total}, or rising indices below it."
        )
    return picked


def sliced(whole, picked: list[int]):
    """A copy of a configuration with these layers only, each of the kind that it has in the whole model."""
    import copy

    made = copy.deepcopy(whole)
    if len(picked) == whole.num_hidden_layers:
        return made
    for field in PER_LAYER:
        if getattr(whole, field, None):
            setattr(made, field, [getattr(whole, field)[i] for i in picked])
    if whole.model_type == "llama4_text":  # the layers with experts, by index
        made.moe_layers = [new for new, old in enumerate(picked) if old in whole.moe_layers]
    if hasattr(whole, "first_k_dense_replace"):
        made.first_k_dense_replace = sum(i < whole.first_k_dense_replace for i in picked)
    made.num_hidden_layers = len(picked)
    return made


def _reader(architecture):
    if isinstance(architecture, str):
        from ..facts import catalog

        architecture = catalog.model(architecture)
    if isinstance(architecture, Mapping):
        return architecture.get
    return lambda field: getattr(architecture, field, None)


def _plain_type(name: str, get) -> str:
    """What a mapping without `model_type` is."""
    attention = get("attention") or "gqa"
    if attention not in PLAIN:
        raise ValueError(
            f"{name} uses {attention} attention: give its model_type too, or choose {', '.join(PLAIN)} attention."
        )
    if get("moe_shared_experts") or get("moe_intermediate_size"):
        raise ValueError(f"{name} has fine-grained experts: give its model_type too (see facts/models.yaml).")
    return "mixtral" if get("moe_experts") else "llama"


def _thin(values: dict) -> dict:
    """Small values for what does not shape the cache."""
    return {
        "hidden_size": 2 * values["attention_heads"],  # a Llama wants a multiple of the heads
        "intermediate_size": 64,
        "dense_intermediate_size": 64,
        "vocab_size": 256,
        "moe_experts": min(8, values.get("moe_experts", 8)),
        "moe_experts_per_token": min(2, values.get("moe_experts_per_token", 2)),
        "moe_intermediate_size": 16,
        "moe_shared_intermediate_size": 16,
        "moe_latent_size": 16,
        "moe_router_groups": 1,
        "moe_router_groups_used": 1,
        "mla_q_lora_rank": 16,
        "mla_qk_nope_head_dim": 8,
        "mla_v_head_dim": 8,
    }
