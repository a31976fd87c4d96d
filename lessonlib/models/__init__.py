"""Models: which device, opening one, and how the embedded ones were trained. Importing this imports no torch."""

from .device import default_dtype, describe_device, pick_device
from .load import Card, ModelNotAvailable, catalogue, embedded_names, embedded_path, encoding, load

__all__ = [
    "Card", "ModelNotAvailable", "catalogue", "default_dtype", "describe_device", "embedded_names", "embedded_path",
    "encoding", "load", "pick_device",
]  # fmt: skip
