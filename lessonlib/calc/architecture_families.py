"""The tensors that each family of models is made of, as formulas over the fields of facts/models.yaml.

Shapes and names are those of the transformers 5.23 classes (the `model_type` of a row names the class), without the leading
name of the inner model ("model.", "transformer."); experts, which those classes stack, are counted one by one, as files
hold them."""

from __future__ import annotations

from .architecture_fields import Fields, expert_layers, layer_kinds
from .architecture_mixers import MIXERS, attention, latent_attention
from .architecture_tensors import PARTS, Inventory, Tensor

__all__ = ["PARTS", "Tensor", "inventory"]


def inventory(f: Fields) -> list[Tensor]:
    """All tensors of a model; ValueError for a field that is missing or nonsense."""
    _check_heads(f)
    family, out = f.family, Inventory(f.family.names)
    hidden, vocabulary = f("hidden_size"), f("vocab_size")
    out.linear("embed_tokens", "embedding", "embedding", vocabulary, hidden, split="rows")
    if family.positions is not None:
        out.linear("embed_positions", "embedding", "position", f("max_context") + family.positions, hidden)
    if f.kind == "bloom":
        out.norm("word_embeddings_layernorm", hidden, bias=True)
    kinds, everywhere, sparse = layer_kinds(f), tuple(range(f("layers"))), expert_layers(f)
    attending = tuple(i for i in everywhere if kinds[i] in ("full_attention", "sliding_attention"))
    mixing = tuple(i for i in everywhere if kinds[i] == family.other and i not in attending)
    alone = f.kind == "nemotron_h"  # a layer is one thing only
    dense = tuple(i for i in everywhere if (kinds[i] == "mlp" if alone else i not in sparse))
    if attending:
        (latent_attention if family.latent else attention)(f, out, attending)
    if mixing:
        MIXERS[family.mixer](f, out, mixing)
    if dense:
        _dense(f, out, dense)
    if sparse:
        _experts(f, out, sparse)
    for name in f.get("layer_norms", family.norms):
        out.norm(f"layers.*.{name}", hidden, everywhere, family.layer_norm)
    if family.last:
        out.norm(family.last, hidden, bias=family.layer_norm)
    if not f.usual("tied_embeddings"):
        out.linear("lm_head", "output", "output", vocabulary, hidden, split="rows")
    if f.usual(family.output_bias) if isinstance(family.output_bias, str) else family.output_bias:
        out.add("lm_head.bias", "output", "output", vocabulary, split="rows")  # padded and cut like the matrix
    return out


def _check_heads(f: Fields) -> None:
    heads, kv_heads, hidden = f("attention_heads"), f("kv_heads"), f("hidden_size")
    if heads % kv_heads:
        raise ValueError(f"{f.name} has {heads} attention heads, which do not divide among {kv_heads} key-value heads.")
    if f.family.square and (hidden % heads or f.get("head_dim", hidden // heads) != hidden // heads):
        raise ValueError(
            f"{f.name} has {heads} heads in a hidden size of {hidden}: in a {f.kind}, head_dim must be hidden_size / heads."
        )


def _dense(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """The feed-forward part of layers without experts."""
    family = f.family
    if f.kind in (
        "granitemoehybrid",
        "granitemoeshared",
    ):  # without experts, the part that all tokens pass is the whole
        _shared_mlp(f, out, "mlp", f("moe_shared_intermediate_size"), layers)
        return
    width = f("dense_intermediate_size" if f.kind == "llama4_text" else "intermediate_size")
    _mlp(f, out, family.block, "mlp", width, layers)
    if f.kind == "bitnet":
        out.norm("layers.*.mlp.ffn_sub_norm", width, layers)
    if f.kind == "apertus":  # two numbers of its activation
        for name in ("alpha_p", "alpha_n"):
            out.add(f"layers.*.mlp.act_fn.{name}", "mlp", "state", 1, 1, layers)


def _mlp(f: Fields, out: Inventory, at: str, part: str, width: int, layers: tuple[int, ...]) -> None:
    """Gate, up and down; some families have no gate, some have gate and up in one matrix."""
    hidden, at, family = f("hidden_size"), f"layers.*.{at}", f.family
    bias = bool(f.usual("mlp_bias")) if family.mlp_bias is None else family.mlp_bias
    if "gate_up" in family.fused:
        out.linear(f"{at}.gate_up_proj", part, "gate_up", 2 * width, hidden, layers, "rows")
    else:
        for role in ("gate", "up") if family.gated else ("up",):
            out.linear(f"{at}.{role}_proj", part, role, width, hidden, layers, "rows", bias)
    out.linear(f"{at}.down_proj", part, "down", hidden, width, layers, "columns", bias)


def _shared_mlp(f: Fields, out: Inventory, part: str, width: int, layers: tuple[int, ...]) -> None:
    """The feed-forward part of Granite 4 that every token passes, beside the experts."""
    hidden, at = f("hidden_size"), "layers.*.shared_mlp"
    out.linear(f"{at}.input_linear", part, "gate_up", 2 * width, hidden, layers, "rows")
    out.linear(f"{at}.output_linear", part, "down", hidden, width, layers, "columns")


def _experts(f: Fields, out: Inventory, layers: tuple[int, ...]) -> None:
    """Routed experts, their router, the shared experts, and the way into a latent mixture and back (Nemotron 3)."""
    family, hidden, count = f.family, f("hidden_size"), f("moe_experts")
    at, used = f"layers.*.{family.block}", f("moe_experts_per_token")
    if used > count:
        raise ValueError(f"{f.name} uses {used} experts a token, but has {count}.")
    width = f("intermediate_size" if family.local else "moe_intermediate_size")
    biased, latent = f.kind == "gpt_oss", f.get("moe_latent_size") if f.kind == "nemotron_h" else None
    outside = f("moe_latent_size") if latent else hidden
    fused = family.fused_experts
    ups = ("gate_up",) if fused else ("gate", "up") if family.gated else ("up",)
    shapes = [(role, 2 * width if fused else width, outside, "rows") for role in ups]
    for role, rows, cols, split in [*shapes, ("down", outside, width, "columns")]:
        out.add(f"{at}.experts.*.{role}_proj.weight", "experts", role, rows, cols, layers, count, split)
        if biased:
            split = "copy" if split == "columns" else split
            out.add(f"{at}.experts.*.{role}_proj.bias", "experts", "bias", rows, 1, layers, count, split)
    out.linear(f"{at}.{family.router}", "router", "router", count, hidden, layers, bias=biased)
    if family.router_bias:
        out.add(f"{at}.{family.router_bias}", "router", "bias", 1, count, layers)
    if shared := _shared_width(f):
        if family.shared == "shared_mlp" and family.shared_width == "own":
            _shared_mlp(f, out, "shared_experts", shared, layers)
        else:
            _mlp(f, out, f"{family.block}.{family.shared}", "shared_experts", shared, layers)
    if family.shared_gate:
        out.linear(f"{at}.shared_expert_gate", "router", "router", 1, hidden, layers)
    if latent:
        bias = bool(f.get("mlp_bias"))
        out.linear(f"{at}.fc1_latent_proj", "shared_experts", "latent_in", latent, hidden, layers, bias=bias)
        out.linear(f"{at}.fc2_latent_proj", "shared_experts", "latent_out", hidden, latent, layers, bias=bias)


def _shared_width(f: Fields) -> int:
    """The width of the experts that every token passes, together; 0 without them."""
    how = f.family.shared_width
    if how == "own":
        optional = f.kind in ("granitemoehybrid", "granitemoeshared")
        return 0 if optional and not f.get("moe_shared_intermediate_size") else f("moe_shared_intermediate_size")
    if how == "dense":
        return f("intermediate_size")
    if how == "experts":
        return (f("moe_shared_experts") if f.usual("moe_shared_experts") is not None else 0) * f(
            "moe_intermediate_size"
        )
    return 0
