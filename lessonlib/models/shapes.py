"""Real architectures with random weights: memory and speed do not depend on the values, so no download is needed.

`build("qwen2.5-coder-32b")` on the meta device takes no memory and still has every tensor's real shape: count parameters,
or run it (`input_ids` on "meta") and count the bytes of the cache that comes back. `layers=2` on a CPU makes a model that
fits and can be timed. `thin=True` keeps all that shapes the cache (layers, heads, head size) and shrinks the rest."""

from __future__ import annotations

from collections.abc import Mapping

PLAIN = (
    "mha",
    "gqa",
    "mqa",
)  # attention over all earlier tokens, one K and V a layer; the others need their own classes
NEEDED = ("layers", "attention_heads", "kv_heads", "head_dim", "hidden_size", "intermediate_size", "vocab_size")


def config(architecture, layers: int | None = None, thin: bool = False):
    """The transformers configuration of an architecture: a name of the fact base, one of its records, or a mapping with
    the same fields (layers, attention_heads, kv_heads, head_dim, hidden_size, intermediate_size, vocab_size,
    tied_embeddings). `layers` keeps only that many; `thin` shrinks what does not shape the cache.

    ValueError when a field is missing, `layers` is out of range, or the attention has no plain cache."""
    get = _reader(architecture)
    name = get("id") or get("name") or "this architecture"
    missing = [field for field in NEEDED if not get(field)]
    kind = get("attention") or "gqa"
    if kind not in PLAIN:
        raise ValueError(f"{name} uses {kind} attention: shapes builds only {', '.join(PLAIN)}; choose such a model.")
    if missing:
        raise ValueError(f"{name} lacks {', '.join(missing)}: an architecture needs {', '.join(NEEDED)}.")
    values = {field: get(field) for field in NEEDED}
    if thin:  # a Llama wants the hidden size to be a multiple of the heads
        values |= {"hidden_size": 2 * values["attention_heads"], "intermediate_size": 64, "vocab_size": 256}
    if layers is not None and not 1 <= layers <= values["layers"]:
        raise ValueError(f"layers is {layers}, but {name} has {values['layers']}: ask for 1 to {values['layers']}.")
    common = dict(
        num_hidden_layers=layers or values["layers"],
        num_attention_heads=values["attention_heads"],
        num_key_value_heads=values["kv_heads"],
        head_dim=values["head_dim"],
        hidden_size=values["hidden_size"],
        intermediate_size=values["intermediate_size"],
        vocab_size=values["vocab_size"],
        max_position_embeddings=get("max_context") or 4096,
        tie_word_embeddings=bool(get("tied_embeddings")),
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )
    return _class(name, get)(**common, **_experts(name, get))


def build(architecture, layers: int | None = None, thin: bool = False, device="meta", dtype=None, seed: int = 0):
    """A model of this shape with random weights, in eval mode. See `config` for the arguments.

    `dtype` is bfloat16 by default, as most weights are published. On "meta" it takes no memory and has no values."""
    import torch
    from transformers import AutoModelForCausalLM

    shape = config(architecture, layers, thin)
    dtype = dtype or torch.bfloat16
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(shape, dtype=dtype)
    return model.eval()


def parameters(model) -> int:
    """Parameters of a model, tied matrices counted once."""
    return sum(tensor.numel() for tensor in model.parameters())


def _reader(architecture):
    if isinstance(architecture, str):
        from ..facts import catalog

        architecture = catalog.model(architecture)
    if isinstance(architecture, Mapping):
        return architecture.get
    return lambda field: getattr(architecture, field, None)


def _class(name: str, get):
    """The configuration class whose tensors this model has: Qwen 2 puts a bias on Q, K and V; Qwen 3 and OLMo 2 a norm
    on Q and K. GPT-2 and Granite 34B Code have no gate in the feed-forward part: built as a Llama, their cache is exact
    and their parameters are too many."""
    from transformers import LlamaConfig, MixtralConfig, Olmo2Config, Qwen2Config, Qwen3Config

    if get("moe_experts"):
        if get("moe_shared_experts") or get("moe_intermediate_size"):
            raise ValueError(f"{name} has fine-grained experts: shapes builds dense models and Mixtral-like ones.")
        return MixtralConfig
    text = name.lower()
    if "qwen2" in text or "distill-qwen" in text or "kimi-dev" in text:
        return Qwen2Config
    return Qwen3Config if "qwen3" in text else Olmo2Config if "olmo-2" in text else LlamaConfig


def _experts(name: str, get) -> dict:
    if not get("moe_experts"):
        return {}
    return dict(num_local_experts=get("moe_experts"), num_experts_per_tok=get("moe_experts_per_token"))
