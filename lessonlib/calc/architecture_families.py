"""The tensors that each family of models is made of, as formulas over the fields of facts/models.yaml.

Shapes and names are those of the transformers 5.23 classes (the `model_type` of a row names the class), without the leading
"model." or "transformer."; experts, which those classes stack, are counted one by one, as files hold them."""

from __future__ import annotations

from dataclasses import dataclass

from .architecture_fields import FAMILIES, GPT2, INDEXED, LOCAL_EXPERTS, MLA, Family, Fields, expert_layers, layer_kinds

PARTS = ("embedding", "output", "attention", "linear_attention", "mlp", "experts", "shared_experts", "router", "norms")
MLP_BIASED = ("llama", "granite", "nemotron_h")  # whose feed-forward matrices can have a bias
FUSED_EXPERTS = ("gpt_oss", "llama4_text")  # whose files hold an expert's gate and up as one matrix


@dataclass(frozen=True)
class Tensor:
    """`count` tensors of `rows` (out features) x `cols` (in features); a vector has one column.

    `layers` are the indices of the layers that have it, None when the model has it once; `experts` is how many each such
    layer has (1 unless it belongs to routed experts), so `count` = len(layers) x experts. `split` says how tensor
    parallelism divides it: "rows", "columns", "kv_rows" (whole key-value heads, copied when there are more GPUs than such
    heads), "qkv_rows" (queries as rows, keys and values as kv_rows, in one matrix) or "copy"."""

    name: str
    part: str
    role: str
    rows: int
    cols: int = 1
    count: int = 1
    layers: tuple[int, ...] | None = None
    experts: int = 1
    split: str = "copy"

    @property
    def parameters(self) -> int:
        """Parameters of all `count` tensors."""
        return self.rows * self.cols * self.count


class _Inventory(list):
    """Tensors in the order of the model."""

    def add(self, name, part, role, rows, cols=1, layers=None, experts=1, split="copy"):
        count = experts if layers is None else experts * len(layers)
        if count:
            self.append(Tensor(name, part, role, rows, cols, count, layers, experts, split))

    def linear(self, name, part, role, rows, cols, layers=None, split="copy", bias=False):
        """A matrix, with its bias when it has one: divided as the rows are, whole where the columns are divided."""
        self.add(f"{name}.weight", part, role, rows, cols, layers, split=split)
        if bias:
            self.add(f"{name}.bias", part, "bias", rows, 1, layers, split="copy" if split == "columns" else split)

    def norm(self, name, size, layers=None, bias=False):
        self.linear(name, "norms", "norm", size, 1, layers, bias=bias)


def inventory(f: Fields) -> list[Tensor]:
    """All tensors of a model; ValueError for a field that is missing or nonsense."""
    heads, kv_heads = f("attention_heads"), f("kv_heads")
    if heads % kv_heads:
        raise ValueError(f"{f.name} has {heads} attention heads, which do not divide among {kv_heads} key-value heads.")
    if f.kind in GPT2:
        return _gpt2(f)
    family, out, nemotron = FAMILIES[f.kind], _Inventory(), f.kind == "nemotron_h"
    hidden, vocabulary = f("hidden_size"), f("vocab_size")
    first, last = ("embeddings", "norm_f") if nemotron else ("embed_tokens", "norm")
    out.linear(first, "embedding", "embedding", vocabulary, hidden, split="rows")
    kinds, everywhere, sparse = layer_kinds(f), tuple(range(f("layers"))), expert_layers(f)
    linear = tuple(i for i in everywhere if kinds[i] == "linear_attention")
    attention = tuple(i for i in everywhere if kinds[i] in ("full_attention", "sliding_attention"))
    dense = tuple(i for i in everywhere if (kinds[i] == "mlp" if nemotron else i not in sparse))
    if attention:
        _latent_attention(f, out, attention) if f.kind in MLA else _attention(f, family, out, attention)
    if linear:
        _mamba(f, out, linear) if nemotron else _deltanet(f, out, linear)
    if dense:
        width = f("dense_intermediate_size" if f.kind == "llama4_text" else "intermediate_size")
        _mlp(f, family, out, family.block, "mlp", width, dense)
    if sparse:
        _experts(f, family, out, sparse)
    for name in family.norms:
        out.norm(f"layers.*.{name}", hidden, everywhere)
    out.norm(last, hidden)
    if not f.get("tied_embeddings", f.kind == "gemma3_text"):
        out.linear("lm_head", "output", "output", vocabulary, hidden, split="rows")
    return out


def _attention(f: Fields, family: Family, out: _Inventory, layers: tuple[int, ...]) -> None:
    """Queries, keys and values of all heads; Qwen3-Next has a gate beside each query."""
    heads, kv_heads, size, hidden = f("attention_heads"), f("kv_heads"), f("head_dim"), f("hidden_size")
    at = "layers.*.mixer" if f.kind == "nemotron_h" else "layers.*.self_attn"
    biased = family.biased if family.biased is not None else f.get("attention_bias", f.kind == "gpt_oss")
    queries, keys = heads * size, kv_heads * size
    if family.fused:
        out.linear(f"{at}.qkv_proj", "attention", "qkv", queries + 2 * keys, hidden, layers, "qkv_rows")
    else:
        gated = 2 if f.kind == "qwen3_next" else 1
        for role, rows, split in (("q", gated * queries, "rows"), ("k", keys, "kv_rows"), ("v", keys, "kv_rows")):
            bias = biased and role in family.bias
            out.linear(f"{at}.{role}_proj", "attention", role, rows, hidden, layers, split, bias)
    out.linear(f"{at}.o_proj", "attention", "o", hidden, queries, layers, "columns", biased and "o" in family.bias)
    if f.kind == "gpt_oss":
        out.add(f"{at}.sinks", "attention", "sinks", heads, 1, layers, split="rows")
    style = family.head_norms or ("head" if f.get("qk_norm") and f.kind == "glm4_moe" else "")
    if style:
        out.norm(f"{at}.q_norm", queries if style == "width" else size, layers)
        out.norm(f"{at}.k_norm", keys if style == "width" else size, layers)


def _latent_attention(f: Fields, out: _Inventory, layers: tuple[int, ...]) -> None:
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
    if rank is None and f.kind not in INDEXED:
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
    if f.kind in INDEXED:
        index_heads, size, at = f("sparse_index_heads"), f("sparse_index_head_dim"), f"{at}.indexer"
        listed = f.get("sparse_index_layers")
        layers = layers if listed is None else tuple(listed)
        out.linear(f"{at}.wq_b", "attention", "index_q", index_heads * size, rank, layers)
        out.linear(f"{at}.wk", "attention", "index_k", size, hidden, layers)
        out.norm(f"{at}.k_norm", size, layers, bias=True)
        out.linear(f"{at}.weights_proj", "attention", "index_weights", index_heads, hidden, layers)


def _deltanet(f: Fields, out: _Inventory, layers: tuple[int, ...]) -> None:
    """Gated DeltaNet as in Qwen3-Next: queries and keys of the key heads, values and gates of the value heads."""
    at, part, hidden = "layers.*.linear_attn", "linear_attention", f("hidden_size")
    size, values = f("linear_head_dim"), f("linear_value_heads")
    value_size = f.get("linear_value_head_dim", size)
    keys, wide = f("linear_key_heads") * size, values * value_size
    out.linear(f"{at}.in_proj_qkvz", part, "linear_in", 2 * keys + 2 * wide, hidden, layers, "rows")
    out.linear(f"{at}.in_proj_ba", part, "linear_in", 2 * values, hidden, layers, "rows")
    out.add(f"{at}.conv1d.weight", part, "conv", 2 * keys + wide, f("linear_conv_kernel"), layers, split="rows")
    for name in ("dt_bias", "A_log"):
        out.add(f"{at}.{name}", part, "state", values, 1, layers, split="rows")
    out.norm(f"{at}.norm", value_size, layers)
    out.linear(f"{at}.out_proj", part, "linear_out", hidden, wide, layers, "columns")


def _mamba(f: Fields, out: _Inventory, layers: tuple[int, ...]) -> None:
    """Mamba-2 as in Nemotron-H: gate, input, B and C of each group, and a step size a head."""
    at, part, hidden, heads = "layers.*.mixer", "linear_attention", f("hidden_size"), f("mamba_heads")
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


def _mlp(f: Fields, family: Family, out: _Inventory, at: str, part: str, width: int, layers: tuple[int, ...]) -> None:
    """Gate, up and down; Nemotron-H has no gate, Phi-3 has gate and up in one matrix."""
    hidden, at, bias = f("hidden_size"), f"layers.*.{at}", bool(f.get("mlp_bias")) and f.kind in MLP_BIASED
    if family.fused:
        out.linear(f"{at}.gate_up_proj", part, "gate_up", 2 * width, hidden, layers, "rows")
    else:
        for role in ("up",) if f.kind == "nemotron_h" else ("gate", "up"):
            out.linear(f"{at}.{role}_proj", part, role, width, hidden, layers, "rows", bias)
    out.linear(f"{at}.down_proj", part, "down", hidden, width, layers, "columns", bias)


def _experts(f: Fields, family: Family, out: _Inventory, layers: tuple[int, ...]) -> None:
    """Routed experts, their router, the shared experts, and the way into a latent mixture and back (Nemotron 3)."""
    at, hidden, count = f"layers.*.{family.block}", f("hidden_size"), f("moe_experts")
    used = f("moe_experts_per_token")
    if used > count:
        raise ValueError(f"{f.name} uses {used} experts a token, but has {count}.")
    width = f("intermediate_size" if f.kind in LOCAL_EXPERTS else "moe_intermediate_size")
    biased, latent = f.kind == "gpt_oss", f.get("moe_latent_size") if f.kind == "nemotron_h" else None
    outside = f("moe_latent_size") if latent else hidden
    fused = f.kind in FUSED_EXPERTS
    ups = ("up",) if f.kind == "nemotron_h" else ("gate_up",) if fused else ("gate", "up")
    shapes = [(role, 2 * width if fused else width, outside, "rows") for role in ups]
    for role, rows, cols, split in [*shapes, ("down", outside, width, "columns")]:
        out.add(f"{at}.experts.*.{role}_proj.weight", "experts", role, rows, cols, layers, count, split)
        if biased:
            split = "copy" if split == "columns" else split
            out.add(f"{at}.experts.*.{role}_proj.bias", "experts", "bias", rows, 1, layers, count, split)
    out.linear(f"{at}.{family.router}", "router", "router", count, hidden, layers, bias=biased)
    shared = _shared_width(f)
    if shared:
        _mlp(f, family, out, f"{family.block}.{family.shared}", "shared_experts", shared, layers)
    if f.kind == "qwen3_next":
        out.linear(f"{at}.shared_expert_gate", "router", "router", 1, hidden, layers)
    if latent:
        bias = bool(f.get("mlp_bias"))
        out.linear(f"{at}.fc1_latent_proj", "shared_experts", "latent_in", latent, hidden, layers, bias=bias)
        out.linear(f"{at}.fc2_latent_proj", "shared_experts", "latent_out", hidden, latent, layers, bias=bias)


def _shared_width(f: Fields) -> int:
    """The width of the experts that every token passes, together; 0 without them."""
    if f.kind in ("qwen3_next", "nemotron_h"):
        return f("moe_shared_intermediate_size")
    if f.kind == "llama4_text":
        return f("intermediate_size")
    return f("moe_shared_experts") * f("moe_intermediate_size") if f.kind in (*MLA, "glm4_moe") else 0


def _gpt2(f: Fields) -> list[Tensor]:
    """GPT-2 and GPT-BigCode: learned positions, fused queries, keys and values, biases everywhere, no gate."""
    out, layers = _Inventory(), tuple(range(f("layers")))
    hidden, heads, vocabulary = f("hidden_size"), f("attention_heads"), f("vocab_size")
    size = hidden // heads
    if hidden % heads or f.get("head_dim", size) != size:
        raise ValueError(
            f"{f.name} has {heads} heads in a hidden size of {hidden}: in a {f.kind}, head_dim must be hidden_size / heads."
        )
    keys = (f("kv_heads") if f.kind == "gpt_bigcode" else heads) * size
    out.add("wte.weight", "embedding", "embedding", vocabulary, hidden, split="rows")
    out.add("wpe.weight", "embedding", "position", f("max_context"), hidden)
    out.linear("h.*.attn.c_attn", "attention", "qkv", hidden + 2 * keys, hidden, layers, "qkv_rows", True)
    out.linear("h.*.attn.c_proj", "attention", "o", hidden, hidden, layers, "columns", True)
    out.linear("h.*.mlp.c_fc", "mlp", "up", f("intermediate_size"), hidden, layers, "rows", True)
    out.linear("h.*.mlp.c_proj", "mlp", "down", hidden, f("intermediate_size"), layers, "columns", True)
    for name in ("h.*.ln_1", "h.*.ln_2"):
        out.norm(name, hidden, layers, bias=True)
    out.norm("ln_f", hidden, bias=True)
    if not f.get("tied_embeddings", True):
        out.add("lm_head.weight", "output", "output", vocabulary, hidden, split="rows")
    return out
