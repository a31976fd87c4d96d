"""Memory of training: full fine-tuning, LoRA and QLoRA, with the activations of a batch.

A model is a record of the fact base or a mapping with the same fields (see `architecture.fields`). One copy of
everything; sharded over n GPUs (ZeRO-3, FSDP) each holds an n-th of all but the activations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction

from . import architecture
from .breakdown import Breakdown, whole
from .formats import FLAT, SPARED
from .units import positive
from .weights import weights

METHODS = ("full", "lora", "qlora")
# Bytes of optimizer state a parameter.
OPTIMIZERS = {"adamw": 8, "adamw_8bit": 2, "sgd_momentum": 4, "sgd": 0}
CHECKPOINTING = ("none", "selective", "full")
WEIGHTS, GRADIENTS, MASTER = 2, 2, 4  # bytes a parameter in mixed precision
ADAPTER = 4  # PEFT keeps adapters and their gradients in 32 bits
BLOCK = 256  # values of an 8-bit optimizer state that share a 32-bit scale (bitsandbytes)
SMALL = 4096  # tensors with fewer values keep a 32-bit state (bitsandbytes, min_8bit_size)
ATTENTION_TARGETS = ("q", "k", "v", "o", "qkv", "q_a", "q_b", "kv_a", "kv_b")
MLP_TARGETS = ("gate", "up", "down", "gate_up")


@dataclass(frozen=True)
class Adapter:
    """What LoRA adds: `parameters`, the matrices it stands beside by role, and the rank."""

    parameters: int
    rank: int
    matrices: dict[str, int]
    sizes: tuple[tuple[int, int], ...]  # values of a tensor, and how many such tensors


def training(
    model, method: str = "full", *, tokens: int = 2048, batch: int = 1, rank: int = 16, targets="all-linear",
    optimizer: str = "adamw", checkpointing: str = "full", flash: bool = True, master: bool = True,
) -> Breakdown:  # fmt: skip
    """Bytes to train with batches of `batch` sequences of `tokens` tokens, in parts weights, gradients, master_weights,
    optimizer, adapter, activations and logits.

    full: AdamW in mixed precision, 16 bytes a parameter: 16-bit weights (2) and gradients (2), 32-bit master weights
    (4), first and second moments (4 + 4). lora: frozen 16-bit weights, and for each adapter parameter 32 bits of weight
    and gradient and the optimizer's state, as PEFT keeps them. qlora: the same over nf4 with double quantization
    (embedding, output matrix and norms in 16 bits). `rank` and `targets`: see `adapter`.

    `optimizer`: one of OPTIMIZERS; "adamw_8bit" holds 8-bit moments and a 32-bit scale for 256 of them, and 32 bits for
    tensors of fewer than 4,096 values. `master=False`: no 32-bit copy of the weights. Activations and logits: see
    `activations`. Sources: ZeRO (Rajbhandari et al. 2020, section 3.1) for the 16 bytes; QLoRA (Dettmers et al. 2023);
    bitsandbytes for 8 bits."""
    _one_of("method", method, METHODS)
    _one_of("optimizer", optimizer, OPTIMIZERS)
    live = activations(model, tokens, batch, checkpointing, flash)
    if method == "full":
        n = architecture.parameters(model)
        sizes = [(tensor.rows * tensor.cols, tensor.count) for tensor in architecture.tensors(model)]
        fixed = _full(n, sum(count * _state(size, optimizer) for size, count in sizes), master)
    else:
        added = adapter(model, rank, targets)
        base = weights(model, "nf4_dq" if method == "qlora" else "bf16").total
        fixed = {
            "weights": base,
            "adapter": ADAPTER * added.parameters,
            "gradients": ADAPTER * added.parameters,
            "optimizer": whole(sum(count * _state(size, optimizer) for size, count in added.sizes)),
        }
    return Breakdown(fixed) + live


def flat(parameters: int, optimizer: str = "adamw", master: bool = True) -> Breakdown:
    """Full fine-tuning of a model of which only the number of parameters is known, without activations: 16 bytes a
    parameter with AdamW."""
    positive("parameters", parameters)
    _one_of("optimizer", optimizer, OPTIMIZERS)
    scales = Fraction(8, BLOCK) if optimizer == "adamw_8bit" else 0
    return Breakdown(_full(parameters, parameters * (OPTIMIZERS[optimizer] + scales), master))


def adapter(model, rank: int = 16, targets="all-linear") -> Adapter:
    """The matrices that LoRA adds beside each target: A of rank x columns and B of rows x rank, so rank x (rows +
    columns) parameters. Source: LoRA (Hu et al. 2021, section 4.1).

    `targets`: "all-linear" (every matrix of the layers but routers; each expert gets its own), "attention", "mlp", a role
    ("q", "v_proj") or a list of them. ValueError names the roles that the model has."""
    positive("rank", rank)
    tensors = [t for t in architecture.tensors(model) if t.part not in SPARED and t.role not in FLAT and t.cols > 1]
    roles = list(dict.fromkeys(tensor.role for tensor in tensors))
    wanted = _roles(targets, roles)
    chosen = [tensor for tensor in tensors if tensor.role in wanted]
    too_thin = next((t for t in chosen if rank > min(t.rows, t.cols)), None)
    if too_thin:
        raise ValueError(
            f"rank is {rank}, but {too_thin.name} is only {too_thin.rows:,} x {too_thin.cols:,}: choose a smaller rank."
        )
    matrices: dict[str, int] = {}
    for tensor in chosen:
        matrices[tensor.role] = matrices.get(tensor.role, 0) + tensor.count
    sizes = tuple((rank * side, t.count) for t in chosen for side in (t.rows, t.cols))
    return Adapter(sum(size * count for size, count in sizes), rank, matrices, sizes)


def activations(
    model, tokens: int, batch: int = 1, checkpointing: str = "full", flash: bool = True
) -> Breakdown:  # fmt: skip
    """16-bit values kept for the backward pass, and the 32-bit logits with their gradient's source.

    For s tokens, batch b, width h, a heads and L layers (Korthikanti et al. 2022, "Reducing Activation Recomputation in
    Large Transformer Models": equation 1 for a layer, section 5 for selective recomputation):
      none       L x s b h (34 + 5 a s / h), without the second term for kernels that keep no attention matrix (`flash`)
      selective  L x s b h x 34: attention is computed again
      full       L x 2 s b h, the input of each layer, and one layer at a time as in "none"
    and 4 s b V bytes of logits for a vocabulary V. The 34 holds for a feed-forward of 4 h with dropout masks; gated
    feed-forwards and no dropout move it by some ten percent: measure."""
    positive("tokens", tokens)
    positive("batch", batch)
    _one_of("checkpointing", checkpointing, CHECKPOINTING)
    get = architecture.fields(model)
    layers, hidden, heads, vocabulary = (
        positive(name, get(name)) for name in ("layers", "hidden_size", "attention_heads", "vocab_size")
    )
    linear, scores = 34 * tokens * batch * hidden, 5 * heads * tokens * tokens * batch
    layer = linear + (0 if flash else scores)
    kept = {
        "none": layers * layer,
        "selective": layers * linear,
        "full": layers * 2 * tokens * batch * hidden + layer,
    }[checkpointing]
    return Breakdown({"activations": kept, "logits": 4 * tokens * batch * vocabulary})


def _full(n: int, state, master: bool) -> dict:
    parts = {"weights": WEIGHTS * n, "gradients": GRADIENTS * n}
    return parts | ({"master_weights": MASTER * n} if master else {}) | {"optimizer": whole(Fraction(state))}


def _state(size: int, optimizer: str) -> int:
    """Bytes of optimizer state of one tensor of `size` values."""
    if optimizer != "adamw_8bit":
        return OPTIMIZERS[optimizer] * size
    return 8 * size if size < SMALL else 2 * size + 2 * 4 * -(-size // BLOCK)


def _roles(targets, roles: list[str]) -> set[str]:
    groups = {"all-linear": roles, "attention": ATTENTION_TARGETS, "mlp": MLP_TARGETS}
    listed = [targets] if isinstance(targets, str) else list(targets) if isinstance(targets, Iterable) else [targets]
    wanted: set[str] = set()
    for one in listed:
        key = str(one).strip().lower()
        key = key.replace("_", "-") if key.replace("_", "-") in groups else key.removesuffix("_proj")
        found = [role for role in groups.get(key, (key,)) if role in roles]
        if not found:
            near = get_close_matches(key, [*roles, *groups], n=1)
            hint = f" Nearest: {near[0]}." if near else ""
            raise ValueError(f"There is no target {one!r}; this model has {', '.join(roles)}.{hint}")
        wanted.update(found)
    if not wanted:
        raise ValueError("targets is empty: name at least one, or use 'all-linear'.")
    return wanted


def _one_of(name: str, value, known) -> None:
    if value not in known:
        raise ValueError(f"{name} is {value!r}, but must be one of {', '.join(known)}.")
