"""Values travel typed and limited; nothing that arrives runs, and malformed messages are refused."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import math
import pickle
import random
import socket
import struct
import sys
from decimal import Decimal
from fractions import Fraction

import numpy
import pytest
import torch

from lessonlib.grading import changes, codec
from lessonlib.grading.codec import CodecError, Record, decode, encode


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int
    y: list


Pair = collections.namedtuple("Pair", "a b")


def here(module, name):
    return getattr(sys.modules[__name__], name, None) if module == __name__ else None


PLAIN = [
    None, True, False, 0, -1, 2**200, -(2**64), 1.5, math.inf, "", "ä\0\ud800", b"\xff", bytearray(b"x"), [], [1, [2, (3,)]],
    (), (None,), {}, {"a": {1: [2]}}, {1, 2}, frozenset({3}), 1 + 2j, Fraction(1, 3), Decimal("1.10"), range(3, 9, 2),
    slice(1, None), datetime.date(2026, 11, 24), datetime.datetime(2026, 11, 24, 5), datetime.timedelta(1, 2, 3),
    collections.OrderedDict(a=1), collections.Counter("aab"), collections.deque([1, 2], 3),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lambda v: repr(v)[:30])
def test_plain_values(value):
    back = decode(encode(value))
    assert back == value and type(back) is type(value)


def test_nan_and_negative_zero():
    assert math.isnan(decode(encode(math.nan))) and math.copysign(1, decode(encode(-0.0))) == -1


@pytest.mark.parametrize("dtype", ["float64", "int8", "uint16", "bool", "complex64", "U3", "S2", "M8[D]"])
def test_arrays(dtype):
    array = numpy.array([[1, 0, 1], [0, 1, 1]]).astype(dtype)
    back = decode(encode(array.T))
    assert back.dtype == array.dtype and back.shape == (3, 2) and (back == array.T).all() and back.flags.writeable
    assert decode(encode(array[0, 0])) == array[0, 0] and type(decode(encode(array[0, 0]))) is type(array[0, 0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool", "complex64", "float16"])
def test_tensors(dtype):
    tensor = torch.tensor([[1, 0], [0, 1], [1, 1]]).to(getattr(torch, dtype))
    back = decode(encode(tensor.T))
    assert back.dtype == tensor.dtype and back.shape == (2, 3) and torch.equal(back, tensor.T)
    assert decode(encode(torch.empty(0, 3))).shape == (0, 3) and decode(encode(torch.tensor(2.0))).shape == ()
    assert decode(encode(torch.ones(2, requires_grad=True))).requires_grad
    assert type(decode(encode(tensor.shape))) is torch.Size and decode(encode(tensor.dtype)) is tensor.dtype


def test_classes_that_the_receiver_has_and_has_not():
    values = [Point(1, [2]), Pair(1, 2), Colour.RED]
    assert decode(encode(values), find_class=here) == values
    point, pair, colour = decode(encode(values))
    assert type(point) is Record and point.x == 1 and point == decode(encode(Point(1, [2]))) and point != Point(1, [2])
    assert pair == (1, 2) and type(pair) is tuple and colour.name == "RED"
    with pytest.raises(AttributeError):
        point.x = 3


def test_a_class_is_built_without_its_constructor():
    called = []

    class Loud:
        def __init__(self, x):
            called.append(x)

    Loud = dataclasses.dataclass(init=False)(Loud)
    Loud.__annotations__ = {"x": int}
    Loud = dataclasses.dataclass(init=False)(Loud)
    made = Loud(1)
    made.x = 5
    called.clear()
    back = decode(encode(made), find_class=lambda module, name: Loud)
    assert back.x == 5 and called == []


def test_what_cannot_travel():
    for value in (object(), len, test_tensors, [lambda: 0], numpy.array([object()]), torch.nn.Linear(1, 1)):
        with pytest.raises(CodecError):
            encode(value)
    handles = []
    data = encode([len], other=lambda v: (handles.append(v) or 7, "function", "builtin", "len"))
    assert decode(data, remote=lambda *about: about) == [(7, "function", "builtin", "len")] and handles == [len]
    with pytest.raises(CodecError):
        decode(data)


def test_limits(monkeypatch):
    deep = []
    for _ in range(500):
        deep = [deep]
    loop: list = []
    loop.append(loop)
    doubled = [0]
    for _ in range(60):
        doubled = [doubled, doubled]
    for value in (deep, loop, doubled, 1 << (8 * codec.INT_BYTES + 9), list(range(codec.ITEMS + 1))):
        with pytest.raises(CodecError):
            encode(value)
    monkeypatch.setattr(codec, "BYTES", 1000)
    for value in ("x" * 2000, numpy.zeros(500), torch.zeros(500), torch.zeros(1).expand(10**9)):
        with pytest.raises(CodecError):
            encode(value)


def test_malformed_messages_are_refused():
    good = encode([1, "a", {"b": numpy.arange(3), "c": torch.ones(2), "d": Fraction(1, 2)}, random.Random(1)])
    rng = random.Random(0)
    for _ in range(3000):
        bad = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        try:
            decode(bytes(bad[: rng.randint(0, len(bad))]))
        except CodecError:
            pass
    for bad in (b"", b"l\xff\xff\xff\xff", b"r\0\0\0\0", pickle.dumps([1]), b"A", b"T" * 9, b"s\0\0\0\x02\xff\xff"):
        with pytest.raises(CodecError):
            decode(bad)


def test_object_arrays_and_wrong_sizes_are_refused():
    shape, data = encode((1,)), encode(b"12345678")
    with pytest.raises(CodecError):
        decode(b"A" + encode("|O") + shape + data)
    for kind in ("float32", "float64; import os", "nn"):
        with pytest.raises(CodecError):
            decode(b"H" + encode(kind) + encode((3,)) + b"F" + data)


def test_arguments_changed_by_the_callee():
    """What a call does, both sides in one process: identity and changes come back."""
    array, tensor, rng = numpy.arange(3), torch.zeros(2), random.Random(1)
    sent = [[3, 1], {"k": 1}, {1}, array, tensor, rng, [0]]
    table: list = []
    message = encode(tuple(sent), table=table)
    arrived: list = []
    a, d, s, n, t, r, same = decode(message, table=arrived, numbering=True)
    watch = changes.Watch(arrived)
    a.sort()
    d["new"] = a
    s.add(2)
    n *= 2
    t += 1
    r.random()
    numbers = {id(o): i for i, o in enumerate(arrived)}
    answer = encode((watch.changed(), same), numbers=numbers)
    changed, result = decode(answer, table=table)
    for number, new in changed:
        changes.write_back(table[number], new)
    rng2 = random.Random(1)
    rng2.random()
    assert sent[0] == [1, 3] and sent[1]["new"] is sent[0] and sent[2] == {1, 2}
    assert array.tolist() == [0, 2, 4] and tensor.tolist() == [1, 1] and rng.getstate() == rng2.getstate()
    assert result is sent[6] and len(changed) == 6


def test_a_change_of_type_or_shape_is_refused():
    for old, new in (([], {}), (numpy.zeros(2), numpy.zeros(3)), (torch.zeros(2), torch.zeros(2, dtype=torch.int64))):
        with pytest.raises(ValueError):
            changes.write_back(old, new)


def test_frames():
    a, b = socket.socketpair()
    codec.send(a, b"x" * 100_000)
    assert codec.receive(b) == b"x" * 100_000
    a.sendall(struct.pack(">I", 2**31))
    with pytest.raises(CodecError, match="bytes; at most"):
        codec.receive(b)
    a.sendall(struct.pack(">I", 10) + b"abc")
    a.close()
    with pytest.raises(CodecError, match="cut off"):
        codec.receive(b)
    assert codec.receive(b) is None
    b.close()
