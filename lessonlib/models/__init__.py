"""Models: which device, opening one, real shapes, and how the embedded ones were trained. Importing this imports no torch.

`load("mini")` gives (model, tokenizer); `shapes.build("qwen2.5-coder-32b")` a real architecture with random weights."""

from . import shapes
from .device import default_dtype, describe_device, pick_device
from .hub import ModelNotAvailable
from .load import Card, catalogue, embedded_names, embedded_path, encoding, load

__all__ = [
    "Card", "ModelNotAvailable", "catalogue", "default_dtype", "describe_device", "embedded_names", "embedded_path",
    "encoding", "load", "pick_device", "shapes",
]  # fmt: skip
