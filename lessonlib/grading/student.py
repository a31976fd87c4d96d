"""S, the sandbox of the submission: runs its cells for the grader, and answers the verifier's questions about its names.

Nothing in this process is secret, and nothing that it says is believed: outputs only serve for looking at, and values
reach the tests through the typed codec alone."""

from __future__ import annotations

import base64
import builtins
import importlib
import json
import os
import select
import sys
import traceback
from pathlib import Path

from . import changes, codec
from .shell import CellShell

HANDLES = 20_000  # objects of the submission that one grading may refer to
TEXT = 50_000  # characters printed in one call that are passed on
CALL_BACK, RETURN = "callback", "return"  # a function of the test that is called here, and what comes back


def serve(shell: CellShell, plain, head, peer) -> None:
    """Answer grader (`head`) and verifier (`peer`) until the grader hangs up."""
    objects = _Objects(shell, peer)
    while True:
        for ready in select.select([head, peer] if peer else [head], [], [])[0]:
            data = codec.receive(ready)
            if ready is head:
                if data is None:
                    return
                _run_cells(shell, plain, head, json.loads(data))
            elif data is None:
                peer = None
            else:
                request, table = objects.request(data)
                if request[3] != RETURN:  # to a call that was given up
                    codec.send(peer, _answer(shell, objects, request, table))


def _run_cells(shell, plain, head, request: dict) -> None:
    left_out = [name for name, data in request.get("files", {}).items() if not _write(name, base64.b64decode(data))]
    for cell in request["cells"]:
        if not (cell["plain"] and plain.apply(shell, cell["canonical"])):
            done = shell.run(cell["source"], cell["limit"])
            codec.send(head, json.dumps({"index": cell["index"], **done}).encode())
    codec.send(head, json.dumps({"done": True, "left_out": left_out}).encode())


def _write(name: str, data: bytes) -> bool:
    """Write one of the files that came with the notebook. The instructor's of the same name stays; False where it cannot be
    written, as into a folder of the instructor's."""
    path = Path(name)
    try:
        if not os.path.lexists(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError:
        return False
    importlib.invalidate_caches()
    return True


class _Objects:
    """What the verifier may refer to by number, and the line to it."""

    def __init__(self, shell, peer):
        self.shell, self.peer, self.known, self.numbers = shell, peer, [], {}
        self.asked: list[int] = []  # requests that are being answered, the innermost last

    def handle(self, value) -> tuple:
        number = self.numbers.get(id(value))
        if number is None:
            if len(self.known) >= HANDLES:
                raise codec.CodecError("the submission made too many objects that cannot be sent")
            number = self.numbers[id(value)] = len(self.known)
            self.known.append(value)  # kept alive, so that the id stays its own
        what = "class" if isinstance(value, type) else "function" if callable(value) else "object"
        try:
            name = getattr(value, "__name__", "")
        except Exception:  # an object that cannot be asked
            name = ""
        return number, what, type(value).__name__, name if type(name) is str else ""

    def find(self, handle, what, of, name):
        return _Function(self, handle, name) if what == CALL_BACK else self.known[handle]

    def request(self, data: bytes) -> tuple[list, list]:
        """The request (number, seconds, overrides, operation, *arguments), and its numbered objects."""
        table: list = []

        def known_class(module, name):
            return find_class(self.shell.names, module, name)

        return codec.decode(data, table=table, numbering=True, remote=self.find, find_class=known_class), table

    def call(self, handle: int, args: tuple, kwargs: dict):
        """Call a function of the test, and answer what it asks meanwhile."""
        if not self.asked:
            raise RuntimeError("a function of a test can be called only while the test waits for an answer")
        about = self.asked[-1], CALL_BACK, (handle, args, kwargs), [], []
        codec.send(self.peer, codec.encode(about, other=self.handle))
        while True:
            data = codec.receive(self.peer)
            if data is None:
                raise RuntimeError("the test has ended")
            request, table = self.request(data)
            if request[3] != RETURN:
                codec.send(self.peer, _answer(self.shell, self, request, table))
                continue
            state, value = request[4:]
            if state == "ok":
                return value
            raise getattr(builtins, value[0])(value[1])


class _Function:
    """Stands for a function of the test that was handed over: calling it asks the verifier."""

    def __init__(self, objects: _Objects, handle: int, name: str):
        self._objects, self._handle, self.__name__ = objects, handle, name

    def __call__(self, *args, **kwargs):
        return self._objects.call(self._handle, args, kwargs)


def _answer(shell, objects: _Objects, request: list, table: list) -> bytes:
    """The encoded answer to a request."""
    number, limit, overrides, operation, *arguments = request
    if operation == "names":
        return codec.encode((number, "ok", _names(shell, objects, arguments[0]), [], []))
    watch = changes.Watch(table)
    before = _override(shell.names, overrides)
    objects.asked.append(number)
    try:
        with shell.captured(), shell.clock(limit):
            state, value = "ok", OPERATIONS[operation](*arguments)
    except BaseException as error:  # whatever it is, it goes to the test that asked
        state, value = "error", error
    finally:
        objects.asked.pop()
        shell.names.update(before[0])
        for name in before[1]:
            shell.names.pop(name, None)
    said = [(o["name"], o["text"][:TEXT]) for o in shell.sink.taken() if o["output_type"] == "stream"][:20]
    numbers = {id(o): n for n, o in enumerate(table)}

    def pack(state, value):
        return codec.encode((number, state, value, watch.changed(), said), numbers=numbers, other=objects.handle)

    if state == "ok":
        try:
            return pack("ok", value)
        except Exception as error:
            state, value = "error", ValueError(f"what your code returned cannot be passed on: {error}")
    try:
        return pack("error", _described(value, operation))
    except Exception:
        return codec.encode((number, "error", ("builtins", "ValueError", "ValueError", ("an error",), []), [], said))


def _names(shell, objects, wanted) -> dict:
    """The asked names that exist, each as a message of its own, so that one that cannot be sent does not take others along."""
    found = {}
    for name in wanted:
        if name in shell.names:
            try:
                found[name] = codec.encode(shell.names[name], other=objects.handle)
            except Exception:
                found[name] = codec.encode(_Opaque(shell.names[name]), other=lambda o: objects.handle(o.value))
    return found


class _Opaque:
    """Wraps a value that is to be sent as a handle."""

    def __init__(self, value):
        self.value = value


def _override(names: dict, overrides: dict) -> tuple[dict, list]:
    """Bind names as a test did ((True, value), or (False, None) for `del`); returns what to put back and what to remove."""
    old = {name: names[name] for name in overrides if name in names}
    for name, (bound, value) in overrides.items():
        if bound:
            names[name] = value
        else:
            names.pop(name, None)
    return old, [name for name in overrides if name not in old]


def _described(error: BaseException, operation: str) -> tuple:
    """(module, class name, nearest builtin class, arguments, lines of the submission's code) of an error."""
    kind = type(error)
    base = next(k.__name__ for k in kind.__mro__ if getattr(builtins, k.__name__, None) is k)
    try:
        arguments = tuple(error.args)
        codec.encode(arguments)
    except Exception:
        arguments = (_text(error),)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(("<ipython", "<"))][-3:]
    where = [f"line {f.lineno} of {f.name}: {f.line or ''}"[:300] for f in frames]
    return str(kind.__module__), str(kind.__qualname__), base, arguments, where


def _text(error) -> str:
    try:
        return str(error)[:2000]
    except Exception:
        return "(an error without words)"


def find_class(names: dict, module: str, name: str):
    """The class of that name in the notebook (`__main__`) or in a module that is loaded; None otherwise."""
    if module == "__main__":
        found = names.get(name)
    else:
        found = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
    return found if isinstance(found, type) else None


OPERATIONS = {
    "call": lambda f, args, kwargs: f(*args, **kwargs),
    "attr": getattr,
    "setattr": setattr,
    "len": lambda o: len(o),
    "bool": lambda o: bool(o),
    "str": lambda o: str(o),
    "repr": lambda o: repr(o),
    "item": lambda o, key: o[key],
    "setitem": lambda o, key, value: o.__setitem__(key, value),
    "contains": lambda o, value: bool(value in o),
    "iter": lambda o: iter(o),
    "next": lambda o: next(o),
    "equal": lambda a, b: bool(a == b),
    "less": lambda a, b: bool(a < b),
    "add": lambda a, b: a + b,
    "isinstance": lambda o, kind: bool(isinstance(o, kind)),
}
