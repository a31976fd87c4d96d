"""Which objects a callee can change, and how the change is noticed and told: arguments of a call behave as in one process.

Nothing here imports NumPy or torch: where a value of theirs is at hand, they are loaded."""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass

TORCH_TYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 float8_e4m3fn float8_e5m2"
).split()
ARRAY_KINDS = "biufcSUmM"  # NumPy dtypes that are plain bytes: no objects, no records


@dataclass(frozen=True)
class Inline:
    """Wraps a numbered object whose contents are to be sent, not its number."""

    value: object


def is_changeable(value) -> bool:
    """Whether a callee could change the object in a way that is told to the caller."""
    kind = type(value)
    if kind in (list, dict, set, bytearray, deque, OrderedDict, Counter, defaultdict, random.Random):
        return True
    if is_numpy(value, "ndarray") and kind is sys.modules["numpy"].ndarray:
        return value.dtype.kind in ARRAY_KINDS
    if is_torch(value, "Tensor"):
        plain = value.layout is sys.modules["torch"].strided and not value.is_quantized and value.device.type != "meta"
        return plain and str(value.dtype).removeprefix("torch.") in TORCH_TYPES
    return is_torch(value, "Generator") and value.device.type == "cpu"


def tensor_bytes(tensor) -> bytes:
    """The values of a tensor as bytes, row by row."""
    torch = sys.modules["torch"]
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


class Watch:
    """Remembers what the numbered objects of a request look like, and afterwards says which were changed."""

    def __init__(self, table: list):
        self.table, self.before = table, [_looks(value) for value in table]

    def changed(self) -> list:
        """[(number, Inline(object))] of the objects that look different now."""
        pairs = zip(self.table, self.before, strict=True)
        return [(number, Inline(value)) for number, (value, was) in enumerate(pairs) if _looks(value) != was]


def write_back(old, new) -> None:
    """Make the object `old` hold what `new`, of the same type, holds. ValueError when they do not match."""
    kind = type(old)
    if type(new) is not kind and not (is_torch(old, "Tensor") and is_torch(new, "Tensor")):
        if not (kind is defaultdict and type(new) is dict):
            raise ValueError("a changed argument came back as another type")
    if isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, dict):
        old.clear()
        for key, content in new.items():
            old[key] = content
    elif isinstance(old, (set, deque)):
        old.clear()
        (old.update if isinstance(old, set) else old.extend)(new)
    elif kind is random.Random:
        old.setstate(new.getstate())
    elif is_torch(old, "Generator"):
        old.set_state(new.get_state())
    elif tuple(old.shape) != tuple(new.shape) or old.dtype != new.dtype:
        raise ValueError("a changed argument came back with another shape or number type")
    elif is_torch(old, "Tensor"):
        old.detach().copy_(new.detach())
    else:
        old[...] = new


def _looks(value):
    """Something small that differs when the object was changed; elements are compared by identity."""
    if isinstance(value, dict):
        return [(id(k), id(v)) for k, v in value.items()]
    if isinstance(value, (list, deque)):
        return [id(v) for v in value]
    if isinstance(value, set):
        return {id(v) for v in value}
    if type(value) is random.Random:
        return value.getstate()
    if is_torch(value, "Generator"):
        return value.get_state().numpy().tobytes()
    data = tensor_bytes(value) if is_torch(value, "Tensor") else bytes(value)
    return hashlib.blake2b(data, digest_size=16).digest(), getattr(value, "shape", None)


def is_numpy(value, name: str) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, getattr(numpy, name))


def is_torch(value, name: str) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and hasattr(torch, name) and isinstance(value, getattr(torch, name))
