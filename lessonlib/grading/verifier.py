"""V, the sandbox of the tests: runs the instructor's cells; names of the submission are stand-ins that ask S.

A stand-in is no function of the student's: calling it sends typed values to the other sandbox and gives back what came,
rebuilt from plain parts. An object that cannot travel stays a stand-in, and is equal to nothing but what its own process
says of two of its own objects."""

from __future__ import annotations

import builtins
import json
import sys
import time

from . import canonical, changes, codec
from .shell import CellShell, CellTimeoutError
from .student import CALL_BACK, RETURN, find_class

_MISSING = object()


class SubmissionGone(BaseException):
    """The submission's process ended or answers nonsense. No Exception: a test must not take it for an answer."""


class Peer:
    """The line to S."""

    def __init__(self, sock, shell: CellShell):
        self.sock, self.shell, self.number, self.trouble = sock, shell, 0, ""
        self.remotes: dict[int, Remote] = {}
        self.given: dict = {}  # names as the running cell got them
        self.functions: dict = {}  # of the running cell, which the submission may call since they were handed to it
        self.handed = 0

    def ask(self, operation: str, *arguments):
        """What S answers; raises the error that its code raised."""
        if self.trouble:
            raise SubmissionGone(self.trouble)
        table: list = []
        self.number += 1
        number = self.number
        left = (self.shell.deadline or time.monotonic() + 60) - time.monotonic()
        request = (number, max(left, 0.01), self._overrides(), operation, *arguments)
        message = codec.encode(request, table=table, other=self._handle)
        try:
            codec.send(self.sock, message)
            state = CALL_BACK
            while state == CALL_BACK:
                data = codec.receive(self.sock)
                if data is None:
                    raise OSError("the process of the submission ended")
                answer = codec.decode(data, table=table, remote=self._remote, find_class=self._find)
                of, state, value, changed, said = answer
                if of != number:  # it came too late for its question
                    state = CALL_BACK
                elif state == CALL_BACK:
                    self._call(*value)
            self._forward(said)
            for index, now in changed:
                changes.write_back(table[index], now)
        except (OSError, ValueError, TypeError, LookupError) as error:
            self.trouble = str(error) or "the submission answers nonsense"
            raise SubmissionGone(self.trouble) from None
        if state != "ok":
            raise self._error(value, operation)
        return value

    def names(self, wanted: list[str]) -> dict:
        """Values and stand-ins for those of the names that S has."""
        found = self.ask("names", wanted)
        try:
            return {
                name: codec.decode(data, remote=self._remote, find_class=self._find)
                for name, data in found.items()
                if name in wanted
            }
        except (ValueError, AttributeError, TypeError) as error:
            self.trouble = str(error)
            raise SubmissionGone(self.trouble) from None

    def _overrides(self) -> dict:
        """The submission's names that the running test has bound anew or deleted: its code must see that."""
        names, changed = self.shell.names, {}
        for name, value in self.given.items():
            now = names.get(name, _MISSING)
            if now is _MISSING:
                changed[name] = (False, None)
            elif now is not value:
                changed[name] = (True, now)
        return changed

    def _handle(self, value) -> tuple:
        if type(value) is Remote:
            return object.__getattribute__(value, "_handle"), "", "", ""
        if callable(value):
            self.handed += 1
            self.functions[self.handed] = value
            return self.handed, CALL_BACK, "", str(getattr(value, "__name__", ""))[:100]
        raise codec.CodecError(
            f"The test hands an object of the class {type(value).__name__} to the submission, which cannot cross into its "
            "sandbox: pass plain values, or tag the test cell in-kernel."
        )

    def _call(self, handle: int, args: tuple, kwargs: dict) -> None:
        """The submission calls a function that the running cell handed to it: tell it what comes back."""
        function = self.functions[handle]
        try:
            state, value = "ok", function(*args, **kwargs)
            message = codec.encode((0, 0.0, {}, RETURN, state, value), other=self._handle)
        except Exception as error:  # the submission's to catch, as in one process
            base = next(k.__name__ for k in type(error).__mro__ if getattr(builtins, k.__name__, None) is k)
            message = codec.encode((0, 0.0, {}, RETURN, "error", (base, str(error)[:2000])))
        codec.send(self.sock, message)

    def _remote(self, handle: int, what: str, of: str, name: str):
        if handle not in self.remotes:
            self.remotes[handle] = Remote(self, handle, what, of, name)
        return self.remotes[handle]

    def _find(self, module: str, name: str):
        return find_class(self.shell.names, module, name)

    def _forward(self, said) -> None:
        for name, text in said:
            print(str(text), end="", file=sys.stderr if name == "stderr" else sys.stdout)

    def _error(self, value, operation: str) -> BaseException:
        """The error to raise: of the same builtin class, or of a class that the instructor's cells define."""
        try:
            module, name, base, arguments, where = value
            kind = self._find(module, name) if module == "__main__" else None
            if name == "CellTimeoutError":
                kind = CellTimeoutError
            if not (isinstance(kind, type) and issubclass(kind, BaseException)):
                kind = getattr(builtins, base)
                if not issubclass(kind, BaseException):
                    raise TypeError(base)
            if issubclass(kind, (StopIteration, StopAsyncIteration, GeneratorExit)) and operation != "next":
                kind = RuntimeError  # it would end a loop of the test quietly, as if all had been tried
            error = _made(kind, arguments)
            for line in where:
                error.add_note(f"in the submission: {line}")
            return error
        except (TypeError, ValueError, AttributeError) as error:
            self.trouble = f"a malformed error: {error}"
            return SubmissionGone(self.trouble)


def _made(kind, arguments: tuple) -> BaseException:
    try:
        return kind(*arguments) if kind.__module__ == "builtins" else kind.__new__(kind, *arguments)
    except Exception:  # builtin classes with constructors of their own
        made = kind.__new__(kind)
        made.args = arguments
        return made


class Remote:
    """Stands for a function, class or object of the submission."""

    __slots__ = ("_peer", "_handle", "_what", "_of", "_label")
    __hash__ = object.__hash__

    def __init__(self, peer, handle, what, of, label):
        for name, value in zip(Remote.__slots__, (peer, handle, what, of, label), strict=True):
            object.__setattr__(self, name, value)

    def _ask(self, operation, *arguments, due=None):
        got = self._peer.ask(operation, self, *arguments)
        if due is not None and type(got) is not due:
            raise TypeError(f"{operation} of an object of the submission gave a {type(got).__name__}")
        return got

    def __call__(self, *args, **kwargs):
        return self._ask("call", args, kwargs)

    def __getattr__(self, name):
        if name == "__name__" and self._label:
            return self._label
        if name.startswith(("__", "_repr_", "_ipython_")):
            raise AttributeError(name)
        return self._ask("attr", name)

    def __setattr__(self, name, value):
        self._ask("setattr", name, value)

    def __eq__(self, other):
        return type(other) is Remote and self._ask("equal", other, due=bool)

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        return self._ask("less", other, due=bool) if type(other) is Remote else NotImplemented

    def __add__(self, other):
        return self._ask("add", other)

    def __bool__(self):
        return self._ask("bool", due=bool)

    def __len__(self):
        return self._ask("len", due=int)

    def __str__(self):
        return self._ask("str", due=str)

    def __repr__(self):
        if self._what != "object":
            return f"<{self._what} {self._label} of the submission>"
        return self._ask("repr", due=str)

    def __getitem__(self, key):
        return self._ask("item", key)

    def __setitem__(self, key, value):
        self._ask("setitem", key, value)

    def __contains__(self, value):
        return self._ask("contains", value, due=bool)

    def __iter__(self):
        made = self._ask("iter")
        return made if type(made) is Remote else iter(made)

    def __next__(self):
        return self._ask("next")

    def __instancecheck__(self, value):
        return type(value) is Remote and value._ask("isinstance", self, due=bool)


def serve(shot: dict, shell: CellShell, plain, head, peer) -> None:
    """Merge the submission into the snapshot, then run test cells for the grader until it hangs up."""
    line = Peer(peer, shell)
    while (data := codec.receive(head)) is not None:
        request = json.loads(data)
        if "merge" in request:
            codec.send(head, json.dumps(_merged(shot, shell, request)).encode())
            continue
        for cell in request["before"]:  # the instructor's cells since the last test
            if cell.get("plain") and plain.apply(shell, cell["index"]):
                continue
            _with_names(shell, line, cell)
        done = _with_names(shell, line, request["cell"])
        codec.send(head, json.dumps({**done, "trouble": line.trouble}).encode())


def _merged(shot: dict, shell: CellShell, request: dict) -> dict:
    try:
        with shell.clock(request["limit"]):
            return canonical.merge(shot, request["merge"])
    except (Exception, CellTimeoutError) as error:  # whatever a parser says of strange code
        return {"refused": f"its cells cannot be told apart ({type(error).__name__}: {error})"}


def _with_names(shell, line: Peer, cell: dict) -> dict:
    """Run one cell with the submission's names that it may use; afterwards those are gone again."""
    names, line.given, line.functions = shell.names, {}, {}
    hidden = {name: names[name] for name in cell["names"] if name in names}
    try:
        with shell.clock(cell["limit"]):
            line.given = line.names(cell["names"]) if cell["names"] else {}
        names.update(line.given)
        done = shell.run(cell["source"], cell["limit"])
    except SubmissionGone as gone:
        done = {"outputs": [], "error": "SubmissionGone", "seconds": 0.0}
        done["outputs"].append(
            {"output_type": "error", "ename": "SubmissionGone", "evalue": str(gone), "traceback": []}
        )
    except CellTimeoutError as late:
        done = {"outputs": [], "error": "CellTimeoutError", "seconds": cell["limit"]}
        done["outputs"].append(
            {"output_type": "error", "ename": "CellTimeoutError", "evalue": str(late), "traceback": []}
        )
    for name in cell["names"]:
        names.pop(name, None)
    names.update(hidden)
    line.given = {}
    return done
