"""What is known of a model before its tensors are counted: its family, its fields, and what each of its layers is."""

from __future__ import annotations

from collections.abc import Callable

from .architecture_defaults import DEFAULTS
from .architecture_table import FAMILIES
from .units import positive

LETTERS = {"M": "linear_attention", "E": "moe", "*": "full_attention", "-": "mlp"}  # of a layer_pattern
# Other words for the kinds of layers; a layer with an index still keeps the whole text.
WORDS = {"attention": "full_attention", "indexed_attention": "full_attention", "mamba": "linear_attention"}
WORDS |= {"chunked_attention": "sliding_attention", "local": "sliding_attention", "global": "full_attention"}
MAY_BE_ZERO = ("dense_layers", "moe_shared_experts", "full_attention_layers", "window_layers")


class Fields:
    """The fields of one model. `f("layers")` is a whole number above 0 (a count of parts may be 0), or a ValueError that
    names what is missing; `f.get(name, default)` is whatever is there; `f.usual(name)` that, or what the configuration
    class takes; `kind` is the model_type, `family` its entry in the table."""

    def __init__(self, get: Callable):
        self._get = get
        self.name = self.get("id") or self.get("name") or "this architecture"
        self.kind = self.get("model_type") or self._plain()
        if self.kind not in FAMILIES:
            raise ValueError(
                f"{self.name} is a {self.kind!r}, whose tensors are not known; known are {', '.join(FAMILIES)}."
            )
        self.family = FAMILIES[self.kind]

    def get(self, name: str, default=None):
        value = self._get(name)
        return default if value is None else value

    def usual(self, name: str):
        return self.get(name, DEFAULTS[self.kind].get(name))

    def __call__(self, name: str) -> int:
        value = self.get(name)
        if value is None:
            raise ValueError(f"{self.name} lacks {name}: the parameters of a {self.kind} cannot be counted without it.")
        return positive(f"{name} of {self.name}", value, zero=name in MAY_BE_ZERO)

    def _plain(self) -> str:
        """What a model without `model_type` is: a Llama, or a Mixtral when it has experts."""
        attention = self.get("attention", "gqa")
        if (
            attention not in ("mha", "gqa", "mqa")
            or self.get("moe_shared_experts")
            or self.get("moe_intermediate_size")
        ):
            raise ValueError(
                f"{self.name} has no model_type, which a model that is no plain Llama or Mixtral needs: {', '.join(FAMILIES)}."
            )
        return "mixtral" if self.get("moe_experts") else "llama"


def layer_kinds(f: Fields) -> tuple[str, ...]:
    """What each layer is, in transformers' words: full_attention, sliding_attention (chunks too), linear_attention, conv, moe
    or mlp (the last two only where a layer is nothing else).

    Where a model has two kinds and gives their counts only, they alternate in the regular order (see `regular_kinds`); one
    with another order lists its `layer_types`. ValueError when neither tells."""
    layers = f("layers")
    if f.kind == "nemotron_h":
        pattern = f.get("layer_pattern", "")
        if not isinstance(pattern, str) or len(pattern) != layers or set(pattern) - set(LETTERS):
            letters = ", ".join(f"{letter} {kind}" for letter, kind in LETTERS.items())
            raise ValueError(
                f"layer_pattern of {f.name} is {pattern!r}, but must be {layers} letters, one a layer: {letters}."
            )
        return tuple(LETTERS[letter] for letter in pattern)
    allowed = ("full_attention", f.family.other)
    if listed := _listed(f, "layer_types", allowed):
        return listed
    if f.family.mixer:
        full = f("full_attention_layers")
    else:
        full = f("full_attention_layers") if f.get("window_layers") else layers
    kinds = regular_kinds(layers, full, allowed[1])
    if kinds is None:
        raise ValueError(
            f"{f.name} has {full} of {layers} layers with full attention, which no regular order gives: list its "
            "layer_types, one a layer."
        )
    return kinds


def regular_kinds(layers: int, full: int, other: str) -> tuple[str, ...] | None:
    """Every n-th layer attends to the whole text, n = layers // full, and all others are `other`; None when that gives
    another count than `full`."""
    step = layers // full if full else layers + 1
    kinds = tuple(other if (i + 1) % step else "full_attention" for i in range(layers)) if step else ()
    return kinds if kinds.count("full_attention") == full else None


def expert_layers(f: Fields) -> tuple[int, ...]:
    """The layers that have routed experts: those listed as sparse in `mlp_layer_types`, else all but the first
    `dense_layers`, every `moe_layer_step`-th (Llama 4), or those of the pattern (Nemotron-H)."""
    if f.kind == "nemotron_h":
        return tuple(i for i, kind in enumerate(layer_kinds(f)) if kind == "moe")
    if not f.get("moe_experts"):
        return ()
    if listed := _listed(f, "mlp_layer_types", ("dense", "sparse")):
        return tuple(i for i, kind in enumerate(listed) if kind == "sparse")
    step = f("moe_layer_step") if f.kind == "llama4_text" else 1
    dense = f("dense_layers") if f.family.dense_first else 0
    return tuple(i for i in range(step - 1, f("layers"), step) if i >= dense)


def _listed(f: Fields, field: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """A list with one word a layer, empty when the model has none."""
    listed = tuple(WORDS.get(word, word) for word in f.get(field, ()))
    if listed and (len(listed) != f("layers") or set(listed) - set(allowed)):
        raise ValueError(
            f"{field} of {f.name} must say {' or '.join(allowed)} for each of the {f('layers')} layers, but has "
            f"{len(listed)} entries: {', '.join(map(str, dict.fromkeys(listed)))}."
        )
    return listed
