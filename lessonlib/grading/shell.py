"""Runs notebook cells in IPython, without a kernel and without sockets: outputs in notebook form, limits, a clock.

Only mime types that no browser executes leave here, as graded notebooks are shown in the instructor's own Jupyter."""

from __future__ import annotations

import base64
import binascii
import builtins
import io
import re
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

SAFE = {"text/plain": str, "image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Size:
    """Limits of one cell's outputs: characters of text, bytes of one picture, number of outputs."""

    text: int = 100_000
    picture: int = 2 * 2**20
    outputs: int = 200


class CellTimeoutError(BaseException):
    """A cell ran too long. No Exception, so that `except Exception` does not swallow it; named as nbclient names it."""


class InputRefused(RuntimeError):
    """A cell asked for keyboard input."""


def safe_outputs(outputs, size: Size = Size()) -> list[dict]:
    """Outputs as nbformat has them, from a list that nobody vouches for: known kinds, safe mime types, plain short text.

    Whatever is not as it should be is left out."""
    kept, room = [], size.text
    for output in outputs if isinstance(outputs, list) else ():
        if not isinstance(output, dict) or len(kept) == size.outputs:
            continue
        kind, made = output.get("output_type"), None
        if kind == "stream":
            text = plain(output.get("text"), room)
            made = {"output_type": kind, "name": "stderr" if output.get("name") == "stderr" else "stdout", "text": text}
            room -= len(text)
        elif kind == "error":
            lines = output.get("traceback")
            lines = [plain(line, 2000) for line in lines[-60:]] if isinstance(lines, list) else []
            made = {
                "output_type": kind,
                "ename": plain(output.get("ename"), 200),
                "evalue": plain(output.get("evalue"), 5000),
                "traceback": lines,
            }
        elif kind in ("display_data", "execute_result"):
            data = _safe_data(output.get("data"), room, size.picture)
            room -= len(data.get("text/plain", ""))
            made = {"output_type": kind, "data": data, "metadata": {}}
            if kind == "execute_result":
                made["execution_count"] = None
        if made is not None:
            kept.append(made)
    return kept


def plain(text, limit: int) -> str:
    """`text` without terminal codes and control characters, cut at `limit`; "" for what is no text."""
    if not isinstance(text, str):
        return ""
    short = _CONTROL.sub("\ufffd", _ANSI.sub("", text[: limit + 1000]).replace("\r\n", "\n").replace("\r", "\n"))
    return short if len(short) <= limit else short[: max(limit, 0)] + "\n[cut: too much output]"


def _safe_data(data, room: int, picture: int) -> dict:
    kept = {}
    for mime, begins in SAFE.items():
        value = data.get(mime) if isinstance(data, dict) else None
        if not isinstance(value, str):
            continue
        if begins is str:
            kept[mime] = plain(value, room)
        elif len(value) <= picture * 4 // 3:
            try:
                if base64.b64decode("".join(value.split()), validate=True).startswith(begins):
                    kept[mime] = value
            except (binascii.Error, ValueError):
                continue
    return kept


class _Sink:
    """Gathers the outputs of the running cell, up to a limit."""

    def __init__(self, size: Size):
        self.size, self.outputs, self.room = size, [], size.text

    def clear(self) -> None:
        self.outputs, self.room = [], self.size.text

    def add(self, output: dict) -> None:
        if len(self.outputs) < self.size.outputs:
            self.outputs.append(output)
        elif output["output_type"] == "error":  # a cell that failed says so
            self.outputs[-1] = output

    def write(self, name: str, text: str) -> None:
        if self.room <= 0 or not text:
            return
        piece = text[: self.room]
        self.room -= len(piece)
        if self.room <= 0:
            piece += "\n[cut: too much output]"
        last = self.outputs[-1] if self.outputs else {}
        if last.get("output_type") == "stream" and last["name"] == name:
            last["pieces"].append(piece)
        else:
            self.add({"output_type": "stream", "name": name, "pieces": [piece]})

    def taken(self) -> list[dict]:
        for output in self.outputs:
            if "pieces" in output:
                output["text"] = "".join(output.pop("pieces"))
        outputs = safe_outputs(self.outputs, self.size)
        self.clear()
        return outputs


class _Stream(io.TextIOBase):
    """sys.stdout or sys.stderr of a cell."""

    encoding, errors = "utf-8", "replace"

    def __init__(self, sink: _Sink, name: str):
        self._sink, self._name = sink, name
        self.buffer = _Bytes(self)

    def writable(self):
        return True

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        self._sink.write(self._name, text)
        return len(text)


class _Bytes(io.RawIOBase):
    def __init__(self, stream: _Stream):
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        self._stream.write(bytes(data).decode("utf-8", "replace"))
        return len(data)


class CellShell:
    """An IPython shell for one notebook. Make it before forking: building one takes longer than running most cells."""

    def __init__(self, size: Size = Size()):
        from IPython.core.displayhook import DisplayHook
        from IPython.core.displaypub import DisplayPublisher
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        outer, sink = self, _Sink(size)
        self.sink, self.source = sink, ""

        class Hook(DisplayHook):
            """Writes a cell's last value to the sink."""

            def quiet(self):
                return self.semicolon_at_end_of_expression(outer.source)

            def write_output_prompt(self):
                pass

            def write_format_data(self, format_dict, md_dict=None):
                sink.add({"output_type": "execute_result", "data": _encoded(format_dict)})

            def log_output(self, format_dict):
                pass

            def finish_displayhook(self):
                pass

        class Publisher(DisplayPublisher):
            """Writes displays to the sink."""

            def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs):
                sink.add({"output_type": "display_data", "data": _encoded(data)})

            def clear_output(self, wait=False):
                sink.clear()

        class Shell(InteractiveShell):
            """Tracebacks go to the sink."""

            def _showtraceback(self, etype, evalue, stb):
                sink.add(
                    {
                        "output_type": "error",
                        "ename": str(etype.__name__),
                        "evalue": _said(evalue),
                        "traceback": [str(line) for line in stb],
                    }
                )

        config = Config()
        config.HistoryManager.enabled = False  # its thread would be lost in a fork
        config.InteractiveShell.colors = "NoColor"
        config.InteractiveShell.xmode = "Plain"
        config.InteractiveShell.displayhook_class = Hook
        config.InteractiveShell.display_pub_class = Publisher
        Shell.displayhook_class, Shell.display_pub_class = Hook, Publisher
        self.shell = Shell.instance(config=config)
        # Only what is kept is rendered: no page of HTML is built to be thrown away.
        self.shell.display_formatter.active_types = list(SAFE)
        self._streams = _Stream(sink, "stdout"), _Stream(sink, "stderr")
        self.deadline = None
        builtins.input = _refuse_input

    @property
    def names(self) -> dict:
        """The notebook's global names."""
        return self.shell.user_ns

    def run(self, source: str, limit: float) -> dict:
        """Run a cell for at most `limit` seconds: {"outputs", "error": name or None, "line": of the cell, where the error
        was raised, or None, "seconds"}."""
        started, self.source = time.monotonic(), source
        with self.captured(), self.clock(limit):
            result = self.shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        name = type(error).__name__ if error is not None else None
        seconds = round(time.monotonic() - started, 4)
        return {"outputs": self.sink.taken(), "error": name, "line": _line(error), "seconds": seconds}

    @contextmanager
    def captured(self):
        """Prints inside go to the sink."""
        before = sys.stdout, sys.stderr, sys.stdin
        sys.stdout, sys.stderr, sys.stdin = *self._streams, io.StringIO()
        try:
            yield
        finally:
            sys.stdout, sys.stderr, sys.stdin = before

    @contextmanager
    def clock(self, limit: float):
        """Raise CellTimeoutError inside after `limit` seconds, and again each second for code that swallows it.

        A loop inside a C function cannot be stopped this way: the grader ends the process then."""

        def ring(number, frame):
            if self.deadline is not None:
                raise CellTimeoutError(f"A cell timed out while it was being executed, after {limit:g} seconds.")

        before, deadline = signal.signal(signal.SIGALRM, ring), self.deadline
        self.deadline = time.monotonic() + limit
        signal.setitimer(signal.ITIMER_REAL, max(limit, 0.001), 1.0)
        try:
            yield
        finally:
            self.deadline = deadline
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
            if deadline is not None:  # inside another clock: it goes on
                signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), 0.001), 1.0)


def warm_up(shell: CellShell) -> None:
    """Run what a fork would otherwise pay for each time: an error, a display, a failed test."""
    for source in (
        "1 + 1",
        "print('x')",
        "display('x')",
        "assert 1 == 2, 'x'",
        "def f():\n    return 1 / 0\nf()",
        "1 +",
    ):
        shell.run(source, 60)
    for name in ("f", "_", "__", "___"):
        shell.names.pop(name, None)


def _line(error) -> int | None:
    """The line of the running cell in which `error` was raised, or which could not be parsed."""
    if isinstance(error, SyntaxError):
        return error.lineno
    trace = error.__traceback__ if error is not None else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("<ipython-input"):
            return trace.tb_lineno
        trace = trace.tb_next
    return None


def _encoded(data) -> dict:
    return {
        mime: base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value
        for mime, value in (data or {}).items()
    }


def _said(error) -> str:
    try:
        return str(error)
    except Exception:  # an error of the submission that cannot say what it is
        return "(an error without words)"


def _refuse_input(prompt="", /):
    raise InputRefused("input() has nobody to ask while a notebook is graded: put the value into the code.")
