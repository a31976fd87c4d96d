"""From a Hugging Face config.json to the fields of facts/models.yaml.

What a file leaves out is what the transformers 5.23 configuration class of its family takes then."""

from __future__ import annotations

from collections.abc import Mapping

from .architecture_defaults import (
    DEFAULTS,
    FIRST_WINDOW,
    FULL_EVERY,
    LIKE,
    MAY_BE_NULL,
    NAMES,
    OWN_NAMES,
    SAME_AS,
    SWITCHED,
    TEXT_PARTS,
    WINDOW,
    WRAPPED,
)
from .architecture_fields import LETTERS, WORDS, Fields, expert_layers, regular_kinds
from .architecture_table import FAMILIES
from .units import positive

DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
# Where the class itself decides on biases, a row says so only when its file has them.
# What a hybrid is called, and the field that counts its other layers.
HYBRIDS = {
    "deltanet": ("hybrid-gated-deltanet", "linear_attention_layers"),
    "mamba": ("hybrid-mamba2", "mamba_layers"),
    "conv": ("hybrid-short-conv", "linear_attention_layers"),
}
MOST_LAYERS = 10_000  # each is listed by its kind
SAID_IF_TRUE = ("attention_output_bias", "output_bias", "linear_conv_bias")


def read(config: Mapping) -> dict:
    """The fields of a row, without counts of parameters; ValueError in one sentence for an unknown family or a value that
    is missing or nonsense."""
    if not isinstance(config, Mapping):
        raise ValueError(f"A config.json is a mapping of names to values, not a {type(config).__name__}.")
    text = next((config[part] for part in TEXT_PARTS if isinstance(config.get(part), Mapping)), config)
    named = [part["model_type"] for part in (text, config) if part.get("model_type")]
    if not all(isinstance(name, str) for name in named):
        raise ValueError(f"model_type of this config.json is {named[0]!r}, but must be a word such as 'llama'.")
    written = text.get("model_type") or WRAPPED.get(config.get("model_type"))
    kind, defaults = SAME_AS.get(written, written), DEFAULTS.get(LIKE.get(written, written))
    defaults = defaults or DEFAULTS.get(kind)
    if defaults is None:
        known = ", ".join(sorted({*DEFAULTS, *SAME_AS}))
        raise ValueError(f"This config.json says model_type {written!r}, which is not known here; known are {known}.")
    text = {**text, "model_type": written}
    found = {"model_type": kind, "native_weight_dtype": _dtype(config, text)}
    for field, default in defaults.items():
        # a wrapper around a text part may say outside whether the embedding is tied, and that holds then
        outside = field == "tied_embeddings" and config.get("tie_word_embeddings") is not None
        found[field] = _value(
            field, default, {**text, "tie_word_embeddings": config["tie_word_embeddings"]} if outside else text
        )
    if kind == "nemotron_h":
        _pattern(found, text)
    if found["layers"] > MOST_LAYERS:
        raise ValueError(f"This config.json asks for {found['layers']:,} layers; at most {MOST_LAYERS:,} are counted.")
    _derive(found, text)
    _attention_layers(found, text)
    _expert_layers(found, text)
    found = {field: value for field, value in found.items() if field not in SAID_IF_TRUE or value}
    return {field: value for field, value in found.items() if value is not None or field == "head_dim"}


def _value(field: str, default, text: Mapping):
    """What the file says of a field, or the default; null in the file stands only where the class takes it."""
    own = OWN_NAMES.get(text["model_type"], {}).get(field)
    names = [name for name in (NAMES[field] if own is None else own.split()) if name in text]
    name = next((name for name in names if text[name] is not None), None)
    if name is None:
        return None if names and field in MAY_BE_NULL else default
    value = text[name]
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{name} of this config.json is {value!r}, but must be true or false.")
        return value
    if isinstance(value, (list, tuple)) and len(set(value)) == 1:  # one number for each layer, all the same
        text = {name: value[0]}
    zero = field in ("dense_layers", "moe_shared_experts", "moe_experts", "moe_shared_intermediate_size")
    return None if value == "auto" else _number(text, name, zero=zero)


def _number(text: Mapping, name: str | None, default: int | None = None, zero: bool = False) -> int:
    value = text.get(name)
    return positive(f"{name} of this config.json", default if value is None else value, zero=zero)


def _derive(found: dict, text: Mapping) -> None:
    """Values that follow from others, or from the family."""
    kind, heads, hidden = found["model_type"], found["attention_heads"], found["hidden_size"]
    family = FAMILIES[kind]
    if kind == "gpt_bigcode":
        found["kv_heads"] = 1 if text.get("multi_query", True) else heads
    elif kind == "gpt2":
        found["kv_heads"] = heads
    elif kind == "falcon":
        _falcon(found, text)
    if family.square and "intermediate_size" in found:
        found["intermediate_size"] = found["intermediate_size"] or 4 * hidden
    if kind == "lfm2":
        found["intermediate_size"] = _lfm2_width(found, text)
    if kind == "opt" and text.get("word_embed_proj_dim") not in (None, hidden):
        raise ValueError(
            f"word_embed_proj_dim of this config.json is {text['word_embed_proj_dim']}, hidden_size {hidden}: an opt with "
            "projections around its embedding is not known here."
        )
    found["kv_heads"] = found["kv_heads"] or heads
    found["head_dim"] = None if family.latent else found["head_dim"] or hidden // heads
    if kind == "stablelm" and text.get("use_parallel_residual"):
        found["layer_norms"] = ["input_layernorm"]
    if kind in ("llama4_text", "qwen3_next"):
        found["moe_shared_experts"] = 1
    if kind == "minimax_m2":
        found["moe_intermediate_size"] = found["intermediate_size"]
    if "mamba_heads" in found and kind != "nemotron_h":
        found["mamba_head_dim"] = found["mamba_head_dim"] or (
            _number(text, "mamba_expand", 2) * hidden // found["mamba_heads"]
        )
    if not found.get("moe_experts"):
        kept = "moe_shared_intermediate_size"  # Granite 4 without experts is this part alone
        found.update({name: None for name in found if name.startswith(("moe_", "dense_layers")) and name != kept})
    if found.get("linear_value_head_dim") == found.get("linear_head_dim"):
        found.pop("linear_value_head_dim", None)


def _falcon(found: dict, text: Mapping) -> None:
    """Falcon: its switches decide on heads of keys and on norms."""
    new, asked = text.get("new_decoder_architecture", False), text.get("num_ln_in_parallel_attn")
    if not new:
        found["kv_heads"] = 1 if text.get("multi_query", True) else found["attention_heads"]
    if new and asked in (None, 2):
        found["layer_norms"] = ["ln_attn", "ln_mlp"]
    elif not text.get("parallel_attn", True):
        found["layer_norms"] = ["input_layernorm", "post_attention_layernorm"]


def _lfm2_width(found: dict, text: Mapping) -> int:
    """LFM2 adjusts the width of its feed-forward part: two thirds, times a factor, up to whole multiples."""
    width = found["intermediate_size"] if text.get("block_ff_dim") is None else _number(text, "block_ff_dim")
    if not text.get("block_auto_adjust_ff_dim", True):
        return width
    width, factor = int(2 * width / 3), text.get("block_ffn_dim_multiplier", 1.0)
    if factor is None:
        return width
    step = _number(text, "block_multiple_of", 256)
    return step * -(-int(factor * width) // step)


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
    kind, layers, family = found["model_type"], found["layers"], FAMILIES[found["model_type"]]
    if family.latent:
        found["attention"] = "mla"
        if family.indexed:
            _index_layers(found, text)
        return
    heads, kv_heads = found["attention_heads"], found["kv_heads"]
    found["attention"] = "mha" if kv_heads == heads else "mqa" if kv_heads == 1 else "gqa"
    if kind == "nemotron_h":
        found["attention"] = "hybrid-mamba2" if "M" in found["layer_pattern"] else found["attention"]
        return
    window = None if family.mixer else _window(found, text)
    kinds = _kinds(found, text, family.other) if window or family.mixer else ("full_attention",) * layers
    full = found["full_attention_layers"] = kinds.count("full_attention")
    if family.mixer:
        named, counted = HYBRIDS[family.mixer]
        found["attention"], found[counted] = named, layers - full
    elif full < layers:
        found["attention"] += "-chunked" if kind == "llama4_text" else "-sliding"
        found["attention_window"], found["window_layers"] = window, layers - full
    if kinds != regular_kinds(layers, full, family.other):
        found["layer_types"] = list(kinds)


def _window(found: dict, text: Mapping) -> int | None:
    """How far the layers with a window look back; None without such layers."""
    kind = found["model_type"]
    name = {"llama4_text": "attention_chunk_size", "gpt_neo": "window_size"}.get(kind, "sliding_window")
    written = LIKE.get(text["model_type"], text["model_type"])
    written = written if written in WINDOW else kind
    if written not in WINDOW or (kind in SWITCHED and not text.get("use_sliding_window", False)):
        return None
    window = text.get(name, WINDOW[written])
    if window is None or _number(text, name, window) >= found["max_context"]:
        return None  # as long as the context: no window
    return window


def _kinds(found: dict, text: Mapping, other: str) -> tuple[str, ...]:
    """The kind of each layer of a model with two kinds: as the file lists them, else as its class does."""
    kind, layers = found["model_type"], found["layers"]
    listed = text.get("layer_types") or text.get("layers_block_type")
    if kind == "gpt_neo":
        pairs = text.get("attention_types") or [[["global", "local"], layers // 2]]
        listed = text.get("attention_layers") or [
            word for words, times in pairs for _ in range(times) for word in words
        ]
    if listed:
        return tuple(WORDS.get(word, word) for word in listed)
    if kind in ("granitemoehybrid", "lfm2", "lfm2_moe"):
        full = text.get("full_attn_idxs")
        full = range(0 if kind == "granitemoehybrid" else layers) if full is None else full
        return tuple("full_attention" if i in full else other for i in range(layers))
    if kind == "cwm":
        return tuple(other if i % 4 else "full_attention" for i in range(layers))
    if kind == "qwen2_moe":
        first = _number(text, "max_window_layers", 28, zero=True)
        return tuple("full_attention" if i % 2 or i >= first else other for i in range(layers))
    rotary = text.get("no_rope_layers")
    if kind == "smollm3":  # those without rotary positions have the window
        step = _number(text, "no_rope_layer_interval", 4)
        rotary = rotary or [int((i + 1) % step != 0) for i in range(layers)]
        return tuple("full_attention" if rotates else other for rotates in rotary)
    if rotary:  # Llama 4: those without rotary positions see everything
        return tuple("full_attention" if rotates == 0 else other for rotates in rotary)
    if kind in FULL_EVERY:
        default, name = FULL_EVERY[kind]
        step = _number(text, name, default)
        return tuple(other if (i + 1) % step else "full_attention" for i in range(layers))
    first = _number(text, "max_window_layers", FIRST_WINDOW[kind], zero=True) if kind in FIRST_WINDOW else 0
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
    if kind == "nemotron_h" or not found.get("moe_experts"):
        return
    if text.get("mlp_layer_types"):
        sparse = tuple(i for i, word in enumerate(text["mlp_layer_types"]) if word == "sparse")
    elif kind in ("qwen2_moe", "qwen3_moe", "qwen3_next"):
        step, dense = _number(text, "decoder_sparse_step", 1), text.get("mlp_only_layers") or ()
        sparse = tuple(i for i in range(layers) if (i + 1) % step == 0 and i not in dense)
    elif kind == "ernie4_5_moe":
        sparse = _ernie(text, layers)
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


def _ernie(text: Mapping, layers: int) -> tuple[int, ...]:
    """Every n-th of a range of layers, n the interval."""
    step, first = _number(text, "moe_layer_interval", 1), _number(text, "moe_layer_start_index", 1, zero=True)
    last = text.get("moe_layer_end_index")
    last = layers - 1 if last in (None, -1) else last
    return tuple(i for i in range(layers) if (i + 1) % step == 0 and first <= i <= last)


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
