"""Models: which device, opening one, real shapes, and how the embedded ones were trained. Importing this imports no torch.

`load("mini")` gives (model, tokenizer); `shape("qwen2.5-coder-32b")` a real architecture, to count, slice and make real.
`load(recommended().name, fallback="mini")` opens the hub model that this machine has room for."""

from . import shapes
from .device import default_dtype, describe_device, pick_device
from .embedded import Card, catalogue, embedded_names, embedded_path, encoding
from .hub import ModelNotAvailable
from .load import load, load_pair
from .recommend import Recommendation, memory_free, recommended
from .shapes import Shape, shape

__all__ = [
    "Card", "ModelNotAvailable", "Recommendation", "Shape", "catalogue", "default_dtype", "describe_device",
    "embedded_names", "embedded_path", "encoding", "load", "load_pair", "memory_free", "pick_device", "recommended",
    "shape", "shapes",
]  # fmt: skip
