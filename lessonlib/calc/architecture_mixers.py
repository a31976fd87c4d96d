"""The tensors of the part of a layer that mixes tokens: attention, latent attention, DeltaNet, Mamba-2, convolutions."""

from __future__ import annotations

from .architecture_fields import Fields
from .architecture_tensors import Inventory


def attention(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """Queries, keys and values of all heads; the Qwen3-Next class has a gate beside each query."""
    heads, kv_heads, hidden = f("attention_heads"), f("kv_heads"), f("hidden_size")
    at, family = "layers.*.self_attn", f.family
    size = hidden // heads if family.square else f("head_dim")
    biased = f.usual("attention_bias") if family.biased is None else family.biased
    with_bias = family.bias if biased else ""
    if f.usual("attention_output_bias"):
        with_bias += "o"
    queries, keys = heads * size, kv_heads * size
    if "qkv" in family.fused:
        rows, bias = queries + 2 * keys, "q" in with_bias
        out.linear(f"{at}.qkv_proj", "attention", "qkv", rows, hidden, layers, "qkv_rows", bias)
    else:
        wide = 2 * queries if family.gated_queries else queries
        for role, rows, split in (("q", wide, "rows"), ("k", keys, "kv_rows"), ("v", keys, "kv_rows")):
            out.linear(f"{at}.{role}_proj", "attention", role, rows, hidden, layers, split, role in with_bias)
    out.linear(f"{at}.o_proj", "attention", "o", hidden, queries, layers, "columns", "o" in with_bias)
    if family.sinks:
        out.add(f"{at}.sinks", "attention", "sinks", heads, 1, layers, split="rows")
    if f.kind == "bitnet":
        out.norm(f"{at}.attn_sub_norm", hidden, layers)
    if family.head_norms and (f.get("qk_norm") or not family.norms_asked):
        for name, count in (("q_norm", heads), ("k_norm", kv_heads)):
            _head_norm(out, f"{at}.{name}", family, count, size, layers)


def _head_norm(out: Inventory, name: str, family, heads: int, size: int, layers: tuple[int, ...]) -> None:
    if family.head_norms == "each":
        out.add(f"{name}.norms.*.weight", "norms", "norm", size, 1, layers, heads)
    elif family.head_norms == "heads":
        out.add(f"{name}.weight", "norms", "norm", heads, size, layers)
    else:
        whole = family.head_norms == "width"
        out.norm(name, heads * size if whole else size, layers, bias=family.layer_norm)


def latent_attention(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values of all heads grow from one latent vector;
    then, in some families, the index that picks the tokens to attend to (DeepSeek-V3.2)."""
    at, heads, hidden, bias = (
        "layers.*.self_attn",
        f("attention_heads"),
        f("hidden_size"),
        f.get("attention_bias", False),
    )
    latent, rope, nope, value = (
        f(f"mla_{x}") for x in ("kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
    )
    rank, queries = f.get("mla_q_lora_rank"), heads * (nope + rope)
    if rank is None and not f.family.indexed:
        out.linear(f"{at}.q_proj", "attention", "q", queries, hidden, layers, "rows")
    else:
        rank = f("mla_q_lora_rank")
        out.linear(f"{at}.q_a_proj", "attention", "q_a", rank, hidden, layers, bias=bias)
        out.norm(f"{at}.q_a_layernorm", rank, layers)
        out.linear(f"{at}.q_b_proj", "attention", "q_b", queries, rank, layers, "rows")
    out.linear(f"{at}.kv_a_proj_with_mqa", "attention", "kv_a", latent + rope, hidden, layers, bias=bias)
    out.norm(f"{at}.kv_a_layernorm", latent, layers)
    out.linear(f"{at}.kv_b_proj", "attention", "kv_b", heads * (nope + value), latent, layers, "rows")
    out.linear(f"{at}.o_proj", "attention", "o", hidden, heads * value, layers, "columns", bias)
    if f.family.indexed:
        index_heads, size, at = f("sparse_index_heads"), f("sparse_index_head_dim"), f"{at}.indexer"
        listed = f.get("sparse_index_layers")
        layers = layers if listed is None else tuple(listed)
        out.linear(f"{at}.wq_b", "attention", "index_q", index_heads * size, rank, layers)
        out.linear(f"{at}.wk", "attention", "index_k", size, hidden, layers)
        out.norm(f"{at}.k_norm", size, layers, bias=True)
        out.linear(f"{at}.weights_proj", "attention", "index_weights", index_heads, hidden, layers)


def deltanet(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """Gated DeltaNet: queries and keys of the key heads, values and gates of the value heads, in one matrix (Qwen3-Next) or
    one for the gates (Qwen3.5)."""
    at, part, hidden = "layers.*.linear_attn", "linear_attention", f("hidden_size")
    size, values = f("linear_head_dim"), f("linear_value_heads")
    value_size = f.get("linear_value_head_dim", size)
    keys, wide = f("linear_key_heads") * size, values * value_size
    inputs = {"qkvz": 2 * keys + 2 * wide, "ba": 2 * values}
    if f.family.split:
        inputs = {"qkv": 2 * keys + wide, "z": wide, "b": values, "a": values}
    for name, rows in inputs.items():
        role = "qkv" if name == "qkv" else "linear_in"
        out.linear(f"{at}.in_proj_{name}", part, role, rows, hidden, layers, "rows")
    out.add(f"{at}.conv1d.weight", part, "conv", 2 * keys + wide, f("linear_conv_kernel"), layers, split="rows")
    for name in ("dt_bias", "A_log"):
        out.add(f"{at}.{name}", part, "state", values, 1, layers, split="rows")
    out.norm(f"{at}.norm", value_size, layers)
    out.linear(f"{at}.out_proj", part, "linear_out", hidden, wide, layers, "columns")


def mamba(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """Mamba-2: gate, input, B and C of each group, and a step size a head."""
    at = "layers.*.mixer" if f.kind == "nemotron_h" else "layers.*.mamba"
    part, hidden, heads = "linear_attention", f("hidden_size"), f("mamba_heads")
    inner = heads * f("mamba_head_dim")
    mixed, bias = inner + 2 * f("mamba_groups") * f("mamba_state_size"), f.get("mamba_bias", False)
    out.linear(f"{at}.in_proj", part, "linear_in", inner + mixed + heads, hidden, layers, "rows", bias)
    out.add(f"{at}.conv1d.weight", part, "conv", mixed, f("mamba_conv_kernel"), layers, split="rows")
    if f.get("mamba_conv_bias", True):
        out.add(f"{at}.conv1d.bias", part, "bias", mixed, 1, layers, split="rows")
    for name in ("dt_bias", "A_log", "D"):
        out.add(f"{at}.{name}", part, "state", heads, 1, layers, split="rows")
    out.norm(f"{at}.norm", inner, layers)
    out.linear(f"{at}.out_proj", part, "linear_out", hidden, inner, layers, "columns", bias)


def short_convolution(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """The gated convolution over a few tokens of LFM2: two gates and an input, each as wide as the hidden size."""
    at, part, hidden, bias = "layers.*.conv", "linear_attention", f("hidden_size"), bool(f.get("linear_conv_bias"))
    out.add(f"{at}.conv.weight", part, "conv", hidden, f("linear_conv_kernel"), layers, split="rows")
    if bias:
        out.add(f"{at}.conv.bias", part, "bias", hidden, 1, layers, split="rows")
    out.linear(f"{at}.in_proj", part, "linear_in", 3 * hidden, hidden, layers, "rows", bias)
    out.linear(f"{at}.out_proj", part, "linear_out", hidden, hidden, layers, "columns", bias)


MIXERS = {"deltanet": deltanet, "mamba": mamba, "conv": short_convolution}
