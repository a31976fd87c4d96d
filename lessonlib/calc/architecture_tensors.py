"""One tensor of a model, and the list that an inventory grows in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PARTS = ("embedding", "output", "attention", "linear_attention", "mlp", "experts", "shared_experts", "router", "norms")


@dataclass(frozen=True)
class Tensor:
    """`count` tensors of `rows` (out features) x `cols` (in features); a vector has one column.

    `layers` are the indices of the layers that have it, None when the model has it once; `experts` is how many each such
    layer has (1 unless it belongs to routed experts, or to the norms of StableLM, one a head), so `count` = len(layers) x
    experts. `split` says how tensor
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


class Inventory(list):
    """Tensors in the order of the model, under the names of its family (`names`: word of a name: the family's word,
    "" for none)."""

    def __init__(self, names: Mapping[str, str]):
        super().__init__()
        self.names = names

    def add(self, name, part, role, rows, cols=1, layers=None, experts=1, split="copy"):
        count = experts if layers is None else experts * len(layers)
        if count:
            own = {} if part == "experts" else self.names
            name = ".".join(filter(None, (own.get(word, word) for word in name.split("."))))
            self.append(Tensor(name, part, role, rows, cols, count, layers, experts, split))

    def linear(self, name, part, role, rows, cols, layers=None, split="copy", bias=False):
        """A matrix, with its bias when it has one: divided as the rows are, whole where the columns are divided."""
        self.add(f"{name}.weight", part, role, rows, cols, layers, split=split)
        if bias:
            self.add(f"{name}.bias", part, "bias", rows, 1, layers, split="copy" if split == "columns" else split)

    def norm(self, name, size, layers=None, bias=False):
        self.linear(name, "norms", "norm", size, 1, layers, bias=bias)
