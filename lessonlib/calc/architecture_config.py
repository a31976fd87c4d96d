"""From a Hugging Face config.json to the fields of facts/models.yaml.

What a file leaves out is what the transformers 5.23 configuration class of its family takes then."""

from __future__ import annotations

from collections.abc import Mapping

from .architecture_fields import GPT2, INDEXED, LETTERS, MLA, WORDS, Fields, expert_layers, regular_kinds
from .units import positive

# Field of a row: what families call it in config.json.
NAMES = {
    "layers": ("num_hidden_layers", "n_layer"),
    "attention_heads": ("num_attention_heads", "n_head"),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "hidden_size": ("hidden_size", "n_embd"),
    "intermediate_size": ("intermediate_size", "n_inner"),
    "vocab_size": ("vocab_size",),
    "max_context": ("max_position_embeddings", "n_positions"),
    "tied_embeddings": ("tie_word_embeddings",),
    "attention_bias": ("attention_bias",),
    "mlp_bias": ("mlp_bias",),
    "qk_norm": ("use_qk_norm",),
    "moe_experts": ("n_routed_experts", "num_experts", "num_local_experts"),
    "moe_experts_per_token": ("num_experts_per_tok",),
    "moe_shared_experts": ("n_shared_experts",),
    "moe_intermediate_size": ("moe_intermediate_size",),
    "moe_shared_intermediate_size": ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size"),
    "moe_latent_size": ("moe_latent_size",),
    "moe_router_groups": ("n_group",),
    "moe_router_groups_used": ("topk_group",),
    "moe_layer_step": ("interleave_moe_layer_step",),
    "dense_intermediate_size": ("intermediate_size_mlp",),
    "dense_layers": ("first_k_dense_replace",),
    "mla_kv_lora_rank": ("kv_lora_rank",),
    "mla_q_lora_rank": ("q_lora_rank",),
    "mla_qk_rope_head_dim": ("qk_rope_head_dim",),
    "mla_qk_nope_head_dim": ("qk_nope_head_dim",),
    "mla_v_head_dim": ("v_head_dim",),
    "sparse_index_heads": ("index_n_heads",),
    "sparse_index_head_dim": ("index_head_dim",),
    "sparse_index_topk": ("index_topk",),
    "linear_key_heads": ("linear_num_key_heads",),
    "linear_value_heads": ("linear_num_value_heads",),
    "linear_head_dim": ("linear_key_head_dim",),
    "linear_value_head_dim": ("linear_value_head_dim",),
    "linear_conv_kernel": ("linear_conv_kernel_dim",),
    "mamba_heads": ("mamba_num_heads",),
    "mamba_head_dim": ("mamba_head_dim",),
    "mamba_state_size": ("ssm_state_size",),
    "mamba_groups": ("n_groups", "mamba_n_groups"),
    "mamba_conv_kernel": ("conv_kernel", "mamba_d_conv"),
    "mamba_bias": ("use_bias",),
    "mamba_conv_bias": ("use_conv_bias", "mamba_conv_bias"),
}
SHAPE = ("layers", "attention_heads", "kv_heads", "head_dim", "hidden_size", "intermediate_size", "vocab_size")
SHAPE += ("max_context", "tied_embeddings")
MOE = ("moe_experts", "moe_experts_per_token", "moe_intermediate_size")
FINE = (*MOE, "moe_shared_experts", "moe_router_groups", "moe_router_groups_used")
LATENT = ("mla_kv_lora_rank", "mla_q_lora_rank", "mla_qk_rope_head_dim", "mla_qk_nope_head_dim", "mla_v_head_dim")
INDEX = ("sparse_index_heads", "sparse_index_head_dim", "sparse_index_topk")
DELTANET = ("linear_key_heads", "linear_value_heads", "linear_head_dim", "linear_value_head_dim", "linear_conv_kernel")
MAMBA = ("mamba_heads", "mamba_head_dim", "mamba_state_size", "mamba_groups", "mamba_conv_kernel")


def _class(shape, extra=(), values=(), **more) -> dict:
    """The defaults of a configuration class by field: the values of SHAPE, those of `extra`, and more."""
    return dict(zip(SHAPE, shape, strict=True)) | dict(zip(extra, values, strict=True)) | more


# None: no value of its own. kv_heads are then the heads, head_dim is hidden_size / heads; elsewhere there is no such part.
DEFAULTS = {
    "gpt2": _class((12, 12, None, None, 768, None, 50257, 1024, True)),
    "gpt_bigcode": _class((12, 12, 1, None, 768, None, 50257, 1024, True)),
    "llama": _class((32, 32, None, None, 4096, 11008, 32000, 2048, False), attention_bias=False, mlp_bias=False),
    "qwen2": _class((32, 32, 32, None, 4096, 22016, 151936, 32768, False)),
    "qwen3": _class((32, 32, 32, 128, 4096, 22016, 151936, 32768, False), attention_bias=False),
    "qwen3_moe": _class((24, 32, 4, None, 2048, 6144, 151936, 32768, False), MOE, (128, 8, 768), attention_bias=False),
    "qwen3_next": _class(
        (48, 16, 2, 256, 2048, 5632, 151936, 32768, False),
        (*MOE, "moe_shared_intermediate_size", *DELTANET),
        (512, 10, 512, 512, 16, 32, 128, 128, 4),
        attention_bias=False,
    ),
    "deepseek_v3": _class(
        (61, 128, 128, None, 7168, 18432, 129280, 4096, False),
        (*FINE, "dense_layers", *LATENT),
        (256, 8, 2048, 1, 8, 4, 3, 512, 1536, 64, 128, 128),
        attention_bias=False,
    ),
    "deepseek_v32": _class(
        (61, 128, 128, None, 7168, 18432, 129280, 163840, False),
        (*FINE, "dense_layers", *LATENT, *INDEX),
        (256, 8, 2048, 1, 8, 4, 3, 512, 1536, 64, 128, 128, 64, 128, 2048),
        attention_bias=False,
    ),
    "glm4_moe": _class(
        (46, 96, 8, None, 4096, 10944, 151552, 131072, False),
        (*FINE, "dense_layers"),
        (128, 8, 1408, 1, 1, 1, 1),
        attention_bias=False,
        qk_norm=False,
    ),
    "glm4_moe_lite": _class(
        (47, 20, 20, None, 2048, 10240, 154880, 202752, False),
        (*FINE, "dense_layers", *LATENT),
        (64, 4, 1536, 1, 1, 1, 1, 512, 768, 64, 192, 256),
        attention_bias=False,
    ),
    "glm_moe_dsa": _class(
        (78, 64, 64, None, 6144, 12288, 154880, 202752, False),
        (*FINE, "dense_layers", *LATENT, *INDEX),
        (256, 8, 2048, 1, 1, 1, 3, 512, 2048, 64, 192, 256, 32, 128, 2048),
        attention_bias=False,
    ),
    "llama4_text": _class(
        (48, 40, 8, 128, 5120, 8192, 202048, 131072, False),
        ("moe_experts", "moe_experts_per_token", "moe_layer_step", "dense_intermediate_size"),
        (16, 1, 1, 16384),
        attention_bias=False,
    ),
    "mixtral": _class((32, 32, 8, None, 4096, 14336, 32000, 131072, False), MOE[:2], (8, 2)),
    "mistral": _class((32, 32, 8, None, 4096, 14336, 32000, 131072, False)),
    "minimax_m2": _class((62, 48, 8, 128, 3072, 1536, 200064, 196608, False), MOE[:2], (256, 8)),
    "gpt_oss": _class((36, 64, 8, 64, 2880, 2880, 201088, 131072, False), MOE[:2], (128, 4), attention_bias=True),
    "granite": _class((32, 32, None, None, 4096, 11008, 32000, 2048, False), attention_bias=False, mlp_bias=False),
    "phi3": _class((32, 32, None, None, 3072, 8192, 32064, 4096, False)),
    "nemotron_h": _class(
        (None, 32, 8, 128, 4096, 21504, 131072, 4096, False),
        (*FINE, "moe_shared_intermediate_size", "moe_latent_size", *MAMBA),
        (8, 2, 7688, 1, 1, 1, 7688, None, 128, 64, 128, 8, 4),
        mlp_bias=False,
        mamba_bias=False,
        mamba_conv_bias=True,
    ),
    "gemma3_text": _class((26, 8, 4, 256, 2304, 9216, 262208, 131072, True), attention_bias=False),
    "olmo2": _class((32, 32, None, None, 4096, 11008, 50304, 2048, False), attention_bias=False),
}
# The window that a class has when the file names none, by family; those that are not here know no window.
WINDOW = {"mistral": 4096, "mixtral": None, "phi3": None, "qwen2": 4096, "qwen3": 4096}
WINDOW |= {"gemma3_text": 4096, "gpt_oss": 128, "llama4_text": 8192}
# One layer of so many sees the whole text, unless the file says otherwise under the name beside it.
FULL_EVERY = {
    "gemma3_text": (6, "sliding_window_pattern"),
    "gpt_oss": (2, None),
    "llama4_text": (4, "no_rope_layer_interval"),
    "qwen3_next": (4, "full_attention_interval"),
}
SAME_AS = {"kimi_k2": "deepseek_v3"}  # another name for the same tensors
MAY_BE_NULL = ("mla_q_lora_rank", "moe_latent_size", "kv_heads", "head_dim", "intermediate_size")
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}


def read(config: Mapping) -> dict:
    """The fields of a row, without counts of parameters; ValueError in one sentence for an unknown family or a value that
    is missing or nonsense."""
    if not isinstance(config, Mapping):
        raise ValueError(f"A config.json is a mapping of names to values, not a {type(config).__name__}.")
    text = config["text_config"] if isinstance(config.get("text_config"), Mapping) else config
    written = text.get("model_type")
    kind = SAME_AS.get(written, written)
    if kind not in DEFAULTS:
        known = ", ".join(sorted([*DEFAULTS, *SAME_AS]))
        raise ValueError(f"This config.json says model_type {written!r}, which is not known here; known are {known}.")
    found = {"model_type": kind, "native_weight_dtype": _dtype(config, text)}
    for field, default in DEFAULTS[kind].items():
        # a wrapper around a text part may say outside whether the embedding is tied
        found[field] = _value(field, default, {**config, **text} if field == "tied_embeddings" else text)
    if kind == "nemotron_h":
        _pattern(found, text)
    _derive(found, text)
    _attention_layers(found, text)
    _expert_layers(found, text)
    return {field: value for field, value in found.items() if value is not None or field == "head_dim"}


def _value(field: str, default, text: Mapping):
    """What the file says of a field, or the default; null in the file stands only where the class takes it."""
    names = [name for name in NAMES[field] if name in text]
    name = next((name for name in names if text[name] is not None), None)
    if name is None:
        return None if names and field in MAY_BE_NULL else default
    value = text[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} of this config.json is {value!r}, but must be true or false.")
        return value
    return _number(text, name, zero=field in ("dense_layers", "moe_shared_experts"))


def _number(text: Mapping, name: str | None, default: int | None = None, zero: bool = False) -> int:
    value = text.get(name)
    return positive(f"{name} of this config.json", default if value is None else value, zero=zero)


def _derive(found: dict, text: Mapping) -> None:
    """Values that follow from others, or from the family."""
    kind, heads, hidden = found["model_type"], found["attention_heads"], found["hidden_size"]
    if kind in GPT2:
        found["kv_heads"] = 1 if kind == "gpt_bigcode" and text.get("multi_query", True) else heads
        found["intermediate_size"] = found["intermediate_size"] or 4 * hidden
    found["kv_heads"] = found["kv_heads"] or heads
    found["head_dim"] = None if kind in MLA else found["head_dim"] or hidden // heads
    if kind in ("llama4_text", "qwen3_next"):
        found["moe_shared_experts"] = 1
    if kind == "minimax_m2":
        found["moe_intermediate_size"] = found["intermediate_size"]
    if found.get("linear_value_head_dim") == found.get("linear_head_dim"):
        found.pop("linear_value_head_dim", None)


def _pattern(found: dict, text: Mapping) -> None:
    """Nemotron-H: a letter a layer, written as such or as a list of words."""
    listed = text.get("layers_block_type") or text.get("layer_types")
    letters = {kind: letter for letter, kind in LETTERS.items()}
    pattern = "".join(letters.get(WORDS.get(kind, kind), "?") for kind in listed or ())
    found["layer_pattern"] = pattern = pattern or text.get("hybrid_override_pattern")
    if not pattern or set(pattern) - set(LETTERS):
        raise ValueError(
            f"This config.json gives its layers as {listed or pattern!r}: a nemotron_h needs hybrid_override_pattern, of "
            f"the letters {' '.join(LETTERS)}, or layers_block_type."
        )
    found["layers"] = len(pattern)
    for letter, field, others in (("M", "mamba_layers", "mamba_"), ("E", "moe_layers", "moe_")):
        if letter not in pattern:
            found.update({name: None for name in found if name.startswith(others)})
        else:
            found[field] = pattern.count(letter)
    found["full_attention_layers"] = pattern.count("*")


def _attention_layers(found: dict, text: Mapping) -> None:
    """The kind of attention, the window, and how many layers attend to what; a list only where the order is unusual."""
    kind, layers = found["model_type"], found["layers"]
    if kind in MLA:
        found["attention"] = "mla"
        if kind in INDEXED:
            _index_layers(found, text)
        return
    heads, kv_heads = found["attention_heads"], found["kv_heads"]
    found["attention"] = "mha" if kv_heads == heads else "mqa" if kv_heads == 1 else "gqa"
    if kind == "nemotron_h":
        found["attention"] = "hybrid-mamba2" if "M" in found["layer_pattern"] else found["attention"]
        return
    name = "attention_chunk_size" if kind == "llama4_text" else "sliding_window"
    window = text.get(name, WINDOW.get(kind)) if kind in WINDOW else None
    if kind in ("qwen2", "qwen3") and not text.get("use_sliding_window", False):
        window = None
    if window is not None and _number(text, name, window) >= found["max_context"]:
        window = None  # as long as the context: no window
    other = "linear_attention" if kind == "qwen3_next" else "sliding_attention"
    kinds = _kinds(found, text, other) if window or kind == "qwen3_next" else ("full_attention",) * layers
    full = found["full_attention_layers"] = kinds.count("full_attention")
    if kind == "qwen3_next":
        found["attention"], found["linear_attention_layers"] = "hybrid-gated-deltanet", layers - full
    elif full < layers:
        found["attention"] += "-chunked" if kind == "llama4_text" else "-sliding"
        found["attention_window"], found["window_layers"] = window, layers - full
    if kinds != regular_kinds(layers, full, other):
        found["layer_types"] = list(kinds)


def _kinds(found: dict, text: Mapping, other: str) -> tuple[str, ...]:
    """The kind of each layer of a model with two kinds: as the file lists them, else as its class does."""
    kind, layers = found["model_type"], found["layers"]
    if listed := text.get("layer_types"):
        return tuple(WORDS.get(word, word) for word in listed)
    if listed := text.get("no_rope_layers"):  # Llama 4: those without rotary positions see everything
        return tuple("full_attention" if rotary == 0 else other for rotary in listed)
    if kind in FULL_EVERY:
        default, name = FULL_EVERY[kind]
        step = _number(text, name, default)
        return tuple(other if (i + 1) % step else "full_attention" for i in range(layers))
    first = _number(text, "max_window_layers", 28, zero=True) if kind in ("qwen2", "qwen3") else 0
    return tuple(other if i >= first else "full_attention" for i in range(layers))


def _index_layers(found: dict, text: Mapping) -> None:
    """The layers that pick tokens themselves, where others use their choice (GLM-5 class)."""
    kinds = text.get("indexer_types") or [{"F": "full"}.get(x, x) for x in text.get("index_topk_pattern") or ()]
    step, offset = _number(text, "index_topk_freq", 1), _number(text, "index_skip_topk_offset", 2, zero=True)
    if not kinds:
        kinds = ["shared" if max(i - offset + 1, 0) % step else "full" for i in range(found["layers"])]
    if found["model_type"] == "glm_moe_dsa" and set(kinds) != {"full"}:
        found["sparse_index_layers"] = [i for i, kind in enumerate(kinds) if kind == "full"]


def _expert_layers(found: dict, text: Mapping) -> None:
    """How many layers come before the experts; a list only where no count says which layers have them."""
    kind, layers = found["model_type"], found["layers"]
    if kind == "nemotron_h" or "moe_experts" not in found:
        return
    if text.get("mlp_layer_types"):
        sparse = tuple(i for i, word in enumerate(text["mlp_layer_types"]) if word == "sparse")
    elif kind in ("qwen3_moe", "qwen3_next"):
        step, dense = _number(text, "decoder_sparse_step", 1), text.get("mlp_only_layers") or ()
        sparse = tuple(i for i in range(layers) if (i + 1) % step == 0 and i not in dense)
    elif kind == "llama4_text" and text.get("moe_layers") is not None:
        sparse = tuple(text["moe_layers"])
    else:
        sparse = expert_layers(Fields(found.get))
    if "dense_layers" in found:
        found["dense_layers"] = min(sparse, default=layers)
    if sparse != expert_layers(Fields(found.get)):
        found["mlp_layer_types"] = ["sparse" if i in sparse else "dense" for i in range(layers)]
    if kind == "llama4_text" and len(sparse) < layers:
        found["moe_layers"] = len(sparse)


def _dtype(config: Mapping, text: Mapping) -> str:
    """How the weights are stored, in the words of the fact base. A file that does not say has 32-bit weights, or 16-bit
    ones beside quantized ones."""
    quantized = config.get("quantization_config") or text.get("quantization_config")
    written = (where.get(name) for where in (text, config) for name in ("dtype", "torch_dtype"))
    plain = next(filter(None, written), "bfloat16" if quantized else "float32")
    plain = DTYPES.get(str(plain).removeprefix("torch."), str(plain).removeprefix("torch."))
    if not isinstance(quantized, Mapping):
        return plain
    method = quantized.get("quant_method") or quantized.get("quant_algo") or "quantized"
    bits, block = quantized.get("bits"), quantized.get("weight_block_size")
    if method == "fp8":
        return f"fp8 (e4m3, {'x'.join(map(str, block))} blocks)" if block else "fp8"
    if method == "mxfp4":
        return f"mxfp4 experts, {plain} rest"
    if method == "compressed-tensors":
        first = next(iter((quantized.get("config_groups") or {}).values()), {}).get("weights") or {}
        kind = {"int": "int", "float": "fp"}.get(first.get("type"), "")
        return f"{kind}{first.get('num_bits', '')} (compressed-tensors), {plain} rest".lstrip()
    if method == "bitsandbytes":
        bits = 4 if quantized.get("load_in_4bit") or quantized.get("_load_in_4bit") else 8
    return f"int{bits} ({method}), {plain} rest" if bits else f"{method}, {plain} rest"
