"""Values between two processes that do not trust each other: typed, limited, and never pickle.

A message is one value. Exact builtin types, numbers of the standard library, NumPy arrays, torch tensors, dataclasses and
random generators travel as copies; what else there is travels as a *handle* that the `other`/`remote` hooks make and
resolve. Decoding builds only the types named here and classes that the receiver already has: it imports nothing and
calls nothing of the sender's.

Objects that a callee may change (lists, dicts, sets, arrays, tensors, generators) are numbered in a request, so that the
answer can refer to them (`result is argument` holds) and can say which changed and how (see `changes`)."""

from __future__ import annotations

import dataclasses
import enum
import random
import socket
import struct
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import prod

from .changes import ARRAY_KINDS, TORCH_TYPES, Inline, is_changeable, is_numpy, is_torch, tensor_bytes

BYTES = 64 * 2**20  # of one message
ITEMS = 500_000  # values in one message
DEPTH = 60  # of nesting
INT_BYTES = 2**16

# Immutable values that are told by a few plain ones: name -> (type, to a tuple, from it).
_SIMPLE = {
    "complex": (complex, lambda v: (v.real, v.imag), complex),
    "Fraction": (Fraction, lambda v: (v.numerator, v.denominator), Fraction),
    "Decimal": (Decimal, lambda v: (str(v),), Decimal),
    "range": (range, lambda v: (v.start, v.stop, v.step), range),
    "slice": (slice, lambda v: (v.start, v.stop, v.step), slice),
    "date": (date, lambda v: (v.year, v.month, v.day), date),
    "datetime": (
        datetime,
        lambda v: (v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond),
        datetime,
    ),
    "timedelta": (timedelta, lambda v: (v.days, v.seconds, v.microseconds), timedelta),
}
_SIMPLE_NAMES = {kind: name for name, (kind, _, _) in _SIMPLE.items()}
_DICTS = {"dict": dict, "OrderedDict": OrderedDict, "Counter": Counter}


class CodecError(ValueError):
    """A value that cannot travel, or a message that is no value."""


class Record:
    """A dataclass, named tuple or enum member whose class the receiver does not have: fields to read, equal to another
    record of the same name and fields."""

    def __init__(self, name: str, fields: dict):
        object.__setattr__(self, "_name", name)
        object.__setattr__(self, "_fields", fields)

    def __getattr__(self, name):
        if name in self._fields:
            return self._fields[name]
        raise AttributeError(f"the record {self._name!r} has no field {name!r}")

    def __setattr__(self, name, value):
        raise AttributeError("records cannot be changed")

    def __eq__(self, other):
        return type(other) is Record and self._name == other._name and self._fields == other._fields

    __hash__ = None

    def __repr__(self):
        inside = ", ".join(f"{name}={value!r}" for name, value in self._fields.items())
        return f"{self._name}({inside})"


def encode(value, *, numbers: dict | None = None, table: list | None = None, other=None) -> bytes:
    """The message for `value`.

    table: a list that receives the changeable objects in the order of their numbers (a request). numbers: id -> number of
    objects that the receiver has (an answer). other(value): the handle, (int, kind, type name, name), for what cannot
    travel; CodecError from it, or without it, says so."""
    writer = _Writer(numbers if numbers is not None else {}, table, other)
    try:
        writer.value(value, 0)
    except RecursionError:
        raise CodecError("a value is nested too deep to be sent") from None
    return b"".join(writer.parts)


def decode(data: bytes, *, table: list | None = None, numbering: bool = False, remote=None, find_class=None):
    """The value of a message; CodecError when it is malformed.

    table: the numbered objects that the message may refer to; with `numbering`, those that it brings are added.
    remote(handle, kind, type name, name): what stands for a handle. find_class(module, name): a class that this side
    has, or None."""
    reader = _Reader(data, table if table is not None else [], numbering, remote, find_class)
    try:
        value = reader.value(0)
        if reader.at != len(data):
            raise CodecError("a message has bytes behind its end")
        return value
    except CodecError:
        raise
    except Exception as error:  # whatever a malformed message provokes in a constructor
        raise CodecError(f"a malformed message: {type(error).__name__}: {error}") from None


def send(sock: socket.socket, data: bytes) -> None:
    """One frame: four bytes of length, then the message."""
    sock.sendall(struct.pack(">I", len(data)) + data)


def receive(sock: socket.socket, limit: int = BYTES) -> bytes | None:
    """The next frame, None at the end of the stream; CodecError for one that is too long or cut off."""
    head = _exactly(sock, 4)
    if not head:
        return None
    (size,) = struct.unpack(">I", head)
    if len(head) < 4 or size > limit:
        raise CodecError(f"a frame of {size:,} bytes; at most {limit:,} are allowed")
    body = _exactly(sock, size)
    if len(body) < size:
        raise CodecError("a frame that was cut off")
    return body


def _exactly(sock: socket.socket, size: int) -> bytes:
    buffer = bytearray()
    while len(buffer) < size:
        piece = sock.recv(min(size - len(buffer), 2**20))
        if not piece:
            break
        buffer += piece
    return bytes(buffer)


class _Writer:
    def __init__(self, numbers, table, other):
        self.parts, self.size, self.items = [], 0, 0
        self.numbers, self.table, self.other = numbers, table, other

    def raw(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > BYTES:
            raise CodecError(f"a value of more than {BYTES:,} bytes")
        self.parts.append(data)

    def sized(self, tag: bytes, data: bytes) -> None:
        self.raw(tag + struct.pack(">I", len(data)))
        self.raw(data)

    def text(self, text: str) -> None:
        self.sized(b"s", text.encode("utf-8", "surrogatepass"))

    def many(self, tag: bytes, values, depth: int) -> None:
        self.raw(tag + struct.pack(">I", len(values)))
        for value in values:
            self.value(value, depth)

    def value(self, value, depth: int) -> None:
        self.items += 1
        if depth > DEPTH:
            raise CodecError(f"a value is nested more than {DEPTH} deep (or holds itself)")
        if self.items > ITEMS:
            raise CodecError(f"a value of more than {ITEMS:,} parts")
        kind, inline = type(value), False
        if kind is Inline:
            value, inline = value.value, True
            kind = type(value)
        if value is None:
            self.raw(b"N")
        elif kind is bool:
            self.raw(b"T" if value else b"F")
        elif kind is int:
            data = value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)
            if len(data) > INT_BYTES:
                raise CodecError(f"an integer of more than {INT_BYTES:,} bytes")
            self.sized(b"i", data)
        elif kind is float:
            self.raw(b"d" + struct.pack(">d", value))
        elif kind is str:
            self.text(value)
        elif kind is bytes:
            self.sized(b"b", value)
        elif kind is tuple:
            self.many(b"t", value, depth + 1)
        elif kind is frozenset:
            self.many(b"f", value, depth + 1)
        elif kind in _SIMPLE_NAMES and not getattr(value, "tzinfo", None):
            name = _SIMPLE_NAMES[kind]
            self.raw(b"x")
            self.text(name)
            self.many(b"t", _SIMPLE[name][1](value), depth + 1)
        elif is_changeable(value):
            if not inline and id(value) in self.numbers:
                self.raw(b"r" + struct.pack(">I", self.numbers[id(value)]))
                return
            if self.table is not None:
                self.numbers[id(value)] = len(self.table)
                self.table.append(value)
            self.changeable(value, kind, depth)
        else:
            self.rare(value, kind, depth)

    def changeable(self, value, kind, depth: int) -> None:
        if kind is list:
            self.many(b"l", list(value), depth + 1)
        elif kind in _DICTS.values():
            self.raw(b"m")
            self.text(kind.__name__)
            self.many(b"t", [part for pair in list(value.items()) for part in pair], depth + 1)
        elif kind is defaultdict:  # its factory stays behind
            self.raw(b"m")
            self.text("dict")
            self.many(b"t", [part for pair in list(value.items()) for part in pair], depth + 1)
        elif kind is set:
            self.many(b"e", list(value), depth + 1)
        elif kind is deque:
            self.raw(b"q")
            self.many(b"t", [value.maxlen, *value], depth + 1)
        elif kind is bytearray:
            self.sized(b"B", bytes(value))
        elif kind is random.Random:
            self.raw(b"Q")
            self.value(value.getstate(), depth + 1)
        elif is_numpy(value, "ndarray"):
            self.raw(b"A")
            self.text(value.dtype.str)
            self.many(b"t", tuple(value.shape), depth + 1)
            if value.nbytes > BYTES:
                raise CodecError(f"an array of more than {BYTES:,} bytes")
            self.sized(b"b", value.tobytes())
        elif is_torch(value, "Generator"):
            self.raw(b"G")
            self.value(value.get_state().numpy().tobytes(), depth + 1)
        else:
            self.raw(b"H")
            self.text(str(value.dtype).removeprefix("torch."))
            self.many(b"t", tuple(value.shape), depth + 1)
            self.value(bool(value.requires_grad), depth + 1)
            if value.numel() * value.element_size() > BYTES:
                raise CodecError(f"a tensor of more than {BYTES:,} bytes")
            self.sized(b"b", tensor_bytes(value))

    def rare(self, value, kind, depth: int) -> None:
        where = str(getattr(kind, "__module__", "")), str(getattr(kind, "__qualname__", ""))
        if is_numpy(value, "generic") and value.dtype.kind in ARRAY_KINDS:
            self.raw(b"a")
            self.text(value.dtype.str)
            self.sized(b"b", value.tobytes())
        elif is_torch(value, "Size"):
            self.many(b"z", tuple(value), depth + 1)
        elif is_torch(value, "dtype"):
            self.raw(b"y")
            self.text(str(value).removeprefix("torch."))
        elif isinstance(value, enum.Enum):
            self.raw(b"E")
            self.many(b"t", (*where, str(value.name)), depth + 1)
        elif isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            self.raw(b"n")
            self.many(b"t", (*where, list(kind._fields), *value), depth + 1)
        elif dataclasses.is_dataclass(kind):
            names = [f.name for f in dataclasses.fields(kind)]
            self.raw(b"R")
            self.many(b"t", (*where, *(part for n in names for part in (n, getattr(value, n)))), depth + 1)
        elif self.other is None:
            raise CodecError(f"an object of the class {where[1]} cannot be sent")
        else:
            handle, what, of, name = self.other(value)
            self.raw(b"o")
            self.many(b"t", (handle, what, of, name), depth + 1)


class _Reader:
    def __init__(self, data, table, numbering, remote, find_class):
        self.data, self.at, self.items = data, 0, 0
        self.table, self.numbering, self.remote, self.find_class = table, numbering, remote, find_class

    def take(self, size: int) -> bytes:
        piece = self.data[self.at : self.at + size]
        if len(piece) < size:
            raise CodecError("a message that was cut off")
        self.at += size
        return piece

    def number(self) -> int:
        return struct.unpack(">I", self.take(4))[0]

    def typed(self, kind: type, depth: int):
        value = self.value(depth)
        if type(value) is not kind:
            raise CodecError(f"a {kind.__name__} was due, a {type(value).__name__} came")
        return value

    def keep(self, value):
        if self.numbering:
            self.table.append(value)
        return value

    def value(self, depth: int):
        self.items += 1
        if depth > DEPTH + 2 or self.items > 2 * ITEMS:
            raise CodecError("a message is nested too deep or has too many parts")
        tag = self.take(1)
        if tag == b"N":
            return None
        if tag in b"TF":
            return tag == b"T"
        if tag == b"i":
            size = self.number()
            if size > INT_BYTES:
                raise CodecError("an integer is too large")
            return int.from_bytes(self.take(size), "big", signed=True)
        if tag == b"d":
            return struct.unpack(">d", self.take(8))[0]
        if tag == b"s":
            return self.take(self.number()).decode("utf-8", "surrogatepass")
        if tag in b"bB":
            data = self.take(self.number())
            return data if tag == b"b" else self.keep(bytearray(data))
        if tag in b"tfz":
            values = tuple(self.value(depth + 1) for _ in range(self.number()))
            return values if tag == b"t" else frozenset(values) if tag == b"f" else sys.modules["torch"].Size(values)
        if tag == b"r":
            return self.table[self.number()]
        if tag == b"l":
            made = self.keep([])
            made.extend(self.value(depth + 1) for _ in range(self.number()))
            return made
        if tag == b"e":
            made = self.keep(set())
            made.update(self.value(depth + 1) for _ in range(self.number()))
            return made
        if tag == b"m":
            made = self.keep(_DICTS[self.typed(str, depth)]())
            parts = self.typed(tuple, depth)
            for key, value in zip(parts[::2], parts[1::2], strict=True):
                made[key] = value
            return made
        if tag == b"q":
            place = len(self.table)
            self.keep(None)
            length, *values = self.typed(tuple, depth)
            made = deque(values, length)
            if self.numbering:
                self.table[place] = made
            return made
        return self.special(tag, depth)

    def special(self, tag: bytes, depth: int):
        if tag == b"x":
            _, _, build = _SIMPLE[self.typed(str, depth)]
            return build(*self.typed(tuple, depth))
        if tag == b"Q":
            made = self.keep(random.Random())
            made.setstate(self.typed(tuple, depth))
            return made
        if tag == b"G":
            torch = sys.modules["torch"]
            made = self.keep(torch.Generator())
            made.set_state(torch.frombuffer(bytearray(self.typed(bytes, depth)), dtype=torch.uint8))
            return made
        if tag in b"Aa":
            numpy = sys.modules["numpy"]
            dtype = numpy.dtype(self.typed(str, depth))
            if dtype.kind not in ARRAY_KINDS or dtype.hasobject:
                raise CodecError(f"arrays of {dtype} are not sent")
            shape = self.typed(tuple, depth) if tag == b"A" else (1,)
            made = numpy.frombuffer(bytearray(self.typed(bytes, depth)), dtype).reshape(_shape(shape))
            return self.keep(made) if tag == b"A" else made[0]
        if tag in b"Hy":
            torch, name = sys.modules["torch"], self.typed(str, depth)
            if name not in TORCH_TYPES:
                raise CodecError(f"the tensor type {name[:40]!r} is not sent")
            dtype = getattr(torch, name)
            if tag == b"y":
                return dtype
            shape, grad = _shape(self.typed(tuple, depth)), self.typed(bool, depth)
            data = bytearray(self.typed(bytes, depth))
            if len(data) != prod(shape) * torch.empty(0, dtype=dtype).element_size():
                raise CodecError("a tensor's bytes do not match its shape")
            made = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            return self.keep(made.reshape(shape).requires_grad_(grad))
        if tag in b"EnR":
            return self.classed(tag, self.typed(tuple, depth))
        if tag == b"o" and self.remote is not None:
            handle, what, of, name = self.typed(tuple, depth)
            if (type(handle), type(what), type(of), type(name)) != (int, str, str, str):
                raise CodecError("a malformed handle")
            return self.remote(handle, what, of[:100], name[:100])
        raise CodecError(f"an unknown tag {tag!r}")

    def classed(self, tag: bytes, parts: tuple):
        """A value of a class that this side has, built without calling its constructor; a Record otherwise."""
        module, name, *rest = parts
        if type(module) is not str or type(name) is not str:
            raise CodecError("a class without a name")
        found = self.find_class(module, name) if self.find_class else None
        found = found if isinstance(found, type) else None
        if tag == b"E":
            if found is not None and issubclass(found, enum.Enum) and rest[0] in found.__members__:
                return found.__members__[rest[0]]
            return Record(name, {"name": rest[0]})
        if tag == b"n":
            fields, *values = rest
            if found is not None and issubclass(found, tuple) and list(getattr(found, "_fields", ())) == fields:
                return tuple.__new__(found, values)
            return tuple(values)
        fields = dict(zip(rest[::2], rest[1::2], strict=True))
        if not all(type(n) is str for n in fields):
            raise CodecError("a field without a name")
        if found is None or not dataclasses.is_dataclass(found):
            return Record(name, fields)
        if [f.name for f in dataclasses.fields(found)] != list(fields):
            return Record(name, fields)
        made = object.__new__(found)
        for field, value in fields.items():
            object.__setattr__(made, field, value)
        return made


def _shape(shape: tuple) -> tuple:
    if not all(type(n) is int and 0 <= n < 2**40 for n in shape) or len(shape) > 32:
        raise CodecError("a malformed shape")
    return shape
