"""Real architectures with random weights: memory and speed do not depend on the values, so no download is needed.

`shape("Qwen3-32B")` is any open model of the fact base, to the last parameter: `.parameters`, `.groups()`, bytes of its
weights and of its cache, without memory. `.materialise("cuda", layers=4)` makes all or some of its layers real, to be
measured. `build` gives the bare model, also of a mapping; `thin=True` keeps what shapes the cache and shrinks the rest."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from ..calc import memory, units
from . import shape_configs as configs
from . import shape_weights as weights
from .recommend import memory_free
from .shape_configs import NEEDED, PLAIN, config
from .shape_weights import measured_bytes

__all__ = ["NEEDED", "PLAIN", "Group", "Shape", "build", "config", "measured_bytes", "parameters", "shape"]

WINDOWED = ("sliding_attention", "chunked_attention")  # layers that look back over a window only
WITHOUT_CACHE = ("moe", "mlp", "linear_attention")  # no keys and values that grow with the text
MIXERS = ("self_attn", "attn", "linear_attn", "mixer")  # what families call the part of a layer that mixes tokens
ROUTERS = ("gate", "router", "shared_expert_gate")


class Group(NamedTuple):
    """Parameters of one part of a model, and their bytes."""

    parameters: int
    bytes: int


def shape(architecture, layers=None, thin: bool = False) -> Shape:
    """The shape of an open model: a name of the fact base in any spelling, one of its records, or a mapping (see
    `config`, also for `layers` and `thin`). ValueError in one sentence for what is unknown or incomplete."""
    return Shape(configs.label(architecture), config(architecture, layers, thin))


def build(architecture, layers=None, thin: bool = False, device="meta", dtype=None, seed: int = 0):
    """A model of this shape with random weights, in eval mode. See `config` for the arguments.

    `dtype` is bfloat16 by default, as most weights are published. On "meta" it takes no memory and has no values."""
    return shape(architecture, layers, thin).materialise(device, dtype=dtype, seed=seed)


def parameters(model) -> int:
    """Parameters of a model, tied matrices counted once."""
    return sum(tensor.numel() for tensor in model.parameters())


class Shape:
    """An architecture without its weights. `config` is its transformers configuration, `name` is for messages."""

    def __init__(self, name: str, config):
        self.name, self.config = name, config

    def __repr__(self) -> str:
        return f"<{self.name}, {self.config.num_hidden_layers} layers, {self.parameters:,} parameters>"

    def slice(self, layers) -> Shape:
        """The same with some layers only: the first n (an int), a slice, or rising indices such as range(3, 5). Each
        keeps its kind (dense or experts, attention or state); embedding and output matrix stay."""
        picked = configs.pick(layers, self.config.num_hidden_layers, self.name)
        return Shape(self.name, configs.sliced(self.config, picked))

    @cached_property
    def meta(self):
        """The model on the meta device in bfloat16: every tensor's shape, no memory."""
        return weights.on_meta(self.config, weights.as_dtype("bfloat16"))

    @property
    def parameters(self) -> int:
        """All parameters, tied matrices counted once. Router corrections that are buffers in transformers do not count."""
        return parameters(self.meta)

    @property
    def active_parameters(self) -> int:
        """Parameters used for one token: all but the routed experts that its router leaves idle. Embedding and output
        matrix count (some vendors leave the embedding out)."""
        experts = self.groups()["experts"].parameters
        if not experts:
            return self.parameters
        count = _first(self.config, "n_routed_experts", "num_local_experts", "num_experts")
        return self.parameters - experts // count * (count - self.config.num_experts_per_tok)

    def groups(self, dtype="bfloat16") -> dict[str, Group]:
        """Parameters and bytes in `dtype` by part; the parts add up to the whole, and each is there even when it is 0.

        embedding (with learned positions; also the output matrix where the two are tied), output, attention (with
        the index of sparse attention), linear_attention (DeltaNet and Mamba-2 layers), mlp, experts (routed ones only),
        shared_experts (with the projections around a latent mixture), router, norms (of heads, too)."""
        size = weights.as_dtype(dtype).itemsize
        names = "embedding output attention linear_attention mlp experts shared_experts router norms".split()
        counts = dict.fromkeys(names, 0)
        modules = dict(self.meta.named_modules())
        for name, tensor in self.meta.named_parameters():
            counts[_group(name, modules)] += tensor.numel()
        return {name: Group(n, n * size) for name, n in counts.items()}

    def weight_bytes(self, dtype="bfloat16", quantization: str | None = None) -> int:
        """Bytes of the weights in `dtype`; with `quantization` ("int8", "int4") the matrices inside the layers take 8
        bits and a scale a row, or 4 bits and a scale for 64 weights (bitsandbytes), the rest stays in `dtype`."""
        return weights.predicted_bytes(self.meta, dtype, quantization)

    @property
    def layer_types(self) -> tuple[str, ...]:
        """The kind of each layer in transformers' words: full_attention, sliding_attention, linear_attention, moe ..."""
        kinds = getattr(self.config, "layer_types", None)
        return tuple(kinds or ["full_attention"] * self.config.num_hidden_layers)

    @property
    def kv_bytes_per_token(self) -> int:
        """16-bit bytes that each further token adds to the cache of one sequence, once every window is full."""
        return self._cached_layers[0] * self._values * 2

    def kv_bytes(self, tokens: int, batch: int = 1, dtype="bfloat16") -> int:
        """Bytes of keys and values of `batch` sequences of `tokens` tokens, in `dtype`.

        Layers with a window hold min(tokens, window) (transformers itself keeps one token less than a full window).
        Latent attention (MLA) stores the latent vector and the rotary key, as good engines and transformers 5.23 do;
        earlier transformers stored whole keys and values. What does not grow is `state_bytes`, the keys of a sparse
        index are `index_bytes`. Sources: `calc.memory.kv_cache_bytes`; DeepSeek-V2, section 2.1 for MLA."""
        units.positive("tokens", tokens, zero=True)
        units.positive("batch", batch)
        full, windowed = self._cached_layers
        kept = full * tokens + windowed * min(tokens, self.window or tokens)
        return kept * self._values * batch * weights.as_dtype(dtype).itemsize

    def index_bytes(self, tokens: int, batch: int = 1, dtype="bfloat16") -> int:
        """Bytes of the index keys that DeepSeek Sparse Attention keeps beside its cache; 0 for other models."""
        one = getattr(self.config, "index_head_dim", None) or 0
        return self._cached_layers[0] * one * tokens * batch * weights.as_dtype(dtype).itemsize

    @property
    def window(self) -> int | None:
        """Tokens that a windowed layer looks back over; None when there is no such layer."""
        there = any(kind in WINDOWED for kind in self.layer_types)
        return _first(self.config, "attention_chunk_size", "sliding_window") if there else None

    @property
    def state_bytes(self) -> int:
        """Bytes of the recurrent state of one sequence, the same at any length: 16-bit for DeltaNet (heads x key size x
        value size; transformers itself keeps 32), 32-bit for Mamba-2 (heads x head size x state size). 0 without
        such layers."""
        get = self.config
        if hasattr(get, "mamba_num_heads"):
            one = get.mamba_num_heads * get.mamba_head_dim * get.ssm_state_size * 4
        elif hasattr(get, "linear_num_value_heads"):
            one = get.linear_num_value_heads * get.linear_key_head_dim * get.linear_value_head_dim * 2
        else:
            one = 0
        return self.layer_types.count("linear_attention") * one

    @property
    def conv_state_bytes(self) -> int:
        """16-bit bytes of the last inputs of the short convolutions beside that state, as transformers keeps them."""
        get = self.config
        if hasattr(get, "mamba_num_heads"):
            one = get.mamba_num_heads * get.mamba_head_dim + 2 * get.n_groups * get.ssm_state_size
            one *= get.conv_kernel
        elif hasattr(get, "linear_num_value_heads"):
            one = 2 * get.linear_num_key_heads * get.linear_key_head_dim
            one += get.linear_num_value_heads * get.linear_value_head_dim
            one *= get.linear_conv_kernel_dim
        else:
            one = 0
        return self.layer_types.count("linear_attention") * one * 2

    def materialise(self, device="cpu", layers=None, dtype=None, quantization: str | None = None, seed: int = 0):
        """A model with random weights on `device`, in eval mode: all layers or some (see `slice`), in `dtype` (bfloat16
        by default), `quantization` None, "int8" or "int4" (bitsandbytes; dense models). Made layer by layer in place:
        never more than the final weights and, when quantizing, one layer (a CPU's allocator may keep freed layers).
        On "meta" it has no values.

        ValueError, before anything is allocated, when the weights do not fit the free memory of the device, or when a
        slice of a hybrid has no attention layer (transformers reads the length of the text from one)."""
        if layers is not None:
            return self.slice(layers).materialise(device, None, dtype, quantization, seed)
        if "linear_attention" in self.layer_types and not sum(self._cached_layers):
            raise ValueError(
                f"This slice of {self.name} has states of linear_attention and no attention layer, which transformers "
                "cannot run with a cache: take a range of layers that holds one (see layer_types of the whole)."
            )
        dtype = weights.as_dtype(dtype or "bfloat16")
        model = weights.on_meta(self.config, dtype)
        if str(device) == "meta":
            return model
        needed, free = weights.predicted_bytes(model, dtype, quantization), memory_free(device)
        if free is not None and needed > free:
            raise ValueError(
                f"{self.name} with {self.config.num_hidden_layers} layers needs {units.format_bytes(needed)} for its "
                f"weights, but {device} has {units.format_bytes(free)} free: ask for fewer layers, a smaller dtype or "
                "a quantization."
            )
        return weights.materialise(model, device, quantization, seed)

    @property
    def _values(self) -> int:
        """Values that one layer caches for one token."""
        get = self.config
        if getattr(get, "kv_lora_rank", None):
            return get.kv_lora_rank + get.qk_rope_head_dim
        heads = getattr(get, "num_key_value_heads", None) or get.num_attention_heads
        head_dim = getattr(get, "head_dim", None) or get.hidden_size // get.num_attention_heads
        return memory.kv_bytes_per_token(layers=1, kv_heads=heads, head_dim=head_dim, bytes_per_value=1)

    @property
    def _cached_layers(self) -> tuple[int, int]:
        """How many layers cache the whole text, and how many a window."""
        windowed = sum(kind in WINDOWED for kind in self.layer_types)
        return sum(kind not in WITHOUT_CACHE for kind in self.layer_types) - windowed, windowed


def _group(name: str, modules: dict) -> str:
    """The part of the model that the parameter called `name` belongs to; ValueError when no rule knows it."""
    *path, _ = name.split(".")
    owner = type(modules[".".join(path)]).__name__
    if "Norm" in owner:
        return "norms"
    if owner.endswith("Embedding"):
        return "embedding"
    if path == ["lm_head"]:
        return "output"
    if "experts" in path:
        return "experts"
    if any(part in ROUTERS for part in path):
        return "router"
    if any(part.startswith("shared_expert") or "latent" in part for part in path):
        return "shared_experts"
    mixer = next((part for part in path if part in MIXERS), None)
    if mixer:
        kind = type(modules[".".join(path[: path.index(mixer) + 1])]).__name__
        if "Mamba" in kind or "DeltaNet" in kind:
            return "linear_attention"
        if "Attention" in kind:
            return "attention"
    if "mlp" in path or "feed_forward" in path or mixer:
        return "mlp"
    raise ValueError(f"The parameter {name} belongs to no known part of a model: add a rule to models/shapes.py.")


def _first(config, *names):
    return next(getattr(config, name) for name in names if getattr(config, name, None) is not None)
