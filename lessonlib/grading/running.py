"""One submission while it is graded: two forked sandboxes, and the notebook's cells sent to them in order."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from dataclasses import dataclass, field

from . import canonical, codec
from .shell import plain, safe_outputs

MESSAGE = 16 * 2**20  # bytes of one message from a sandbox to the grader
GRACE = 1.0  # seconds between asking a cell to stop and ending its process
KEPT = 32 * 2**20  # characters of outputs kept of one submission: thousands of cells could each make a picture


class MachineFailure(RuntimeError):
    """The machine, not the student, failed: the submission waits for an instructor."""


@dataclass
class Sandbox:
    """One forked process as the grader holds it."""

    line: socket.socket
    status: int
    pidfd: int | None
    pid: int
    why: str = ""
    most: int = MESSAGE
    buffer: bytearray = field(default_factory=bytearray)

    def kill(self) -> None:
        """End it, and with it everything in its process namespace."""
        with contextlib.suppress(ProcessLookupError):
            if self.pidfd is not None:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)

    def tell(self, message: dict) -> bool:
        """Send a message; False when nobody is there."""
        try:
            self.line.settimeout(10)
            codec.send(self.line, json.dumps(message).encode())
            return True
        except OSError:
            return False

    def hear(self, deadline: float) -> dict | None:
        """The next message, or None: `why` then says whether it was late, ended, or talked nonsense."""
        while True:
            left = deadline - time.monotonic()  # before what has come already: that may be an endless flood
            if left <= 0:
                self.why = "late"
                return None
            if len(self.buffer) >= 4:
                size = int.from_bytes(self.buffer[:4], "big")
                if size > self.most:
                    self.why = "it sent too much"
                    return None
                if len(self.buffer) >= 4 + size:
                    body = bytes(memoryview(self.buffer)[4 : 4 + size])
                    del self.buffer[: 4 + size]
                    return self._parsed(body)
            if not _readable(self.line, left):
                continue
            try:
                piece = self.line.recv(2**20)
            except OSError:
                piece = b""
            if not piece:
                self.why = self._ended()
                return None
            self.buffer += piece

    def _parsed(self, body: bytes) -> dict | None:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self.why = "it talked nonsense"
            return None
        return message

    def _ended(self) -> str:
        """What ended the process."""
        if not _readable(self.status, 2):
            return "it closed its line"
        try:
            about = json.loads(os.read(self.status, 1000) or b"{}")
        except ValueError:
            about = {}
        code = about.get("code")
        if about.get("why") == "memory":
            return "it used too much memory"
        if code == -signal.SIGKILL:
            return "it was ended by a limit (memory or processor time)"
        if isinstance(code, int) and code < 0:
            return f"it crashed ({signal.Signals(-code).name})"
        return f"it ended itself (exit code {code})"

    def close(self) -> None:
        self.kill()
        if self.pidfd is not None:
            _readable(self.pidfd, 5)  # its namespace is empty when this is ready
            os.close(self.pidfd)
        self.line.close()
        os.close(self.status)


def _readable(file, seconds: float) -> bool:
    """Whether there is something to read, or the other side is gone, within that time; any number of files may be open."""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


class Run:
    """One submission while it is graded."""

    def __init__(self, grader, seed: int, files: dict):
        self.grader, self.limits = grader, grader.limits
        self.deadline = time.monotonic() + self.limits.total
        self.outputs: dict[int, dict] = {}  # position in the merged notebook -> what came of it
        self.room, self.notes = KEPT, []
        mine, theirs = socket.socketpair()
        self.student = self.verifier = None
        try:
            # The submission can read its own seed: it must say nothing about that of the tests.
            self.student = grader.fork(grader.control, 0, mine)
            self.verifier = grader.fork(grader.verifier, seed, theirs)
            self.verifier.most = codec.BYTES  # it is ours
            for forked in (self.student, self.verifier):
                self._check_ready(forked)
            if files:
                self.student.tell({"files": files, "cells": []})
                heard = self.student.hear(time.monotonic() + 30)
                if heard is None or not heard.get("done"):
                    raise MachineFailure("the files that were handed in could not be written into the sandbox")
                self.notes += [f"the file {name!a} could not be put beside the notebook" for name in heard["left_out"]]
        except BaseException:
            self.end()
            raise
        finally:
            mine.close()
            theirs.close()

    def _check_ready(self, forked: Sandbox) -> None:
        """The first message, sent before any code of the submission runs, says whether the walls stand."""
        heard = forked.hear(time.monotonic() + 30)
        if heard is None or "ready" not in heard:
            reason = str(heard.get("fatal"))[:500] if heard else f"the forked process did not start: {forked.why}"
            raise MachineFailure(reason)

    def end(self) -> None:
        """End both sandboxes."""
        for sandboxed in (self.student, self.verifier):
            if sandboxed is not None:
                sandboxed.close()
        self.student = self.verifier = None

    def merge(self, notebook: dict) -> dict:
        """`canonical.merge`, inside the verifier's sandbox: parsing strange code takes what time and memory it likes.

        {"refused": why} when it did not end well."""
        if self.verifier.tell({"merge": notebook, "limit": self.limits.cell}):
            heard = self.verifier.hear(min(time.monotonic() + self.limits.cell + GRACE, self.deadline))
            if heard is not None:
                return heard
        why = {"late": "reading its code took too long", "": "it is too large"}.get(
            self.verifier.why, self.verifier.why
        )
        return {"refused": f"its cells cannot be told apart: {why}"}

    def all(self, cells: list[dict], record: dict) -> None:
        """Run the merged notebook in order: the submission's side up to each test, then the test."""
        waiting, before = [], []
        for position, cell in enumerate(cells):
            about = self.grader.snapshot["cells"][cell["index"]] if cell["index"] is not None else None
            if cell["cell_type"] != "code":
                continue
            test = cell["kind"] == "test"
            if not test or canonical.IN_KERNEL in about["tags"]:
                waiting.append((position, cell))
            if cell["kind"] == "plain" and (about["verifier"] or not about["depends"]):
                before.append(self._for_verifier(about))
            if test and canonical.IN_KERNEL not in about["tags"]:
                self._student(waiting, record)
                self._test(position, about, before, record)
                waiting, before = [], []
        self._student(waiting, record)

    def _for_verifier(self, about: dict) -> dict:
        return {
            "index": about["index"],
            "plain": about["kind"] == "plain" and not about["depends"],
            "source": about["source"],
            "names": about["names"],
            "limit": self.limits.cell,
        }

    def _student(self, waiting: list, record: dict) -> None:
        """Run cells of the submission and note their outputs."""
        if not waiting or self.student.why:
            return
        cells = [
            {
                "index": position,
                "canonical": cell["index"],
                "plain": cell["kind"] == "plain" and not self.grader.snapshot["cells"][cell["index"]]["depends"],
                "source": cell["source"],
                "limit": self.limits.cell,
            }
            for position, cell in waiting
        ]
        self.student.tell({"cells": cells})
        while True:
            heard = self.student.hear(min(time.monotonic() + self.limits.cell + GRACE, self.deadline))
            if heard is None:
                self._lost(record)
                return
            if heard.get("done"):
                return
            # Only for cells of this request: a submission must not speak for the tests that ran before.
            if heard.get("index") in [position for position, _ in waiting] and type(heard["index"]) is int:
                done = self.outputs[heard["index"]] = self._done(heard)
                self.room -= sum(len(json.dumps(output)) for output in done["outputs"])
                if self.room < 0:
                    done["outputs"] = [_stream("[cut: the notebook has too much output]")]

    def _done(self, heard: dict) -> dict:
        """What is kept of a message about a cell."""
        seconds = heard.get("seconds")
        seconds = seconds if type(seconds) is float and 0 <= seconds < 1e6 else 0.0
        line = heard.get("line")
        line = line if type(line) is int and 0 < line < 10**6 else None
        return {"outputs": safe_outputs(heard.get("outputs"), self.limits.size), "line": line, "seconds": seconds}

    def _lost(self, record: dict) -> None:
        why = self.student.why
        if why == "late":
            why = "it ran too long and was stopped"
        record["reasons"].append(f"the submission's process is gone: {why}; later cells got no answers")
        self.student.kill()

    def _test(self, position: int, about: dict, before: list, record: dict) -> None:
        """Run one test cell in V."""
        if self.verifier.why:
            self.outputs[position] = _lost_test(self.verifier.why)
            return
        imports = [
            {"index": -1, "plain": False, "source": s, "names": [], "limit": self.limits.cell} for s in self._imports()
        ]
        self.verifier.tell({"before": [*imports, *before], "cell": {**self._for_verifier(about), "plain": False}})
        limit = self.limits.cell * (1 + sum(not c["plain"] for c in before))
        heard = self.verifier.hear(min(time.monotonic() + limit + GRACE, self.deadline))
        if heard is None and self.verifier.why == "late" and not self.student.why:
            # The test waits for an answer that does not come: without the submission it goes on.
            self.student.why = "late"
            self._lost(record)
            self.verifier.why = ""
            heard = self.verifier.hear(time.monotonic() + 5)
            if heard is not None:
                heard["trouble"] = heard.get("trouble") or "it gave no answer in time"
        if heard is None:
            record["reasons"].append(f"the tests' process is gone: {self.verifier.why}")
            self.outputs[position] = _lost_test(self.verifier.why)
            return
        done = self._done(heard)
        wrong = str(heard.get("trouble") or heard.get("error") or "")
        if wrong and not any(o["output_type"] == "error" for o in done["outputs"]):
            # A bare `except:` in a test must not turn a dead submission into points, nor a flood of outputs a failed test.
            done["outputs"] += _lost_test(wrong)["outputs"]
        if heard.get("trouble") and not self.student.why:
            self.student.why = str(heard["trouble"])
            self._lost(record)
        self.outputs[position] = done

    def _imports(self) -> list[str]:
        """The instructor's own imports in solution cells, once."""
        first, self._imported = not getattr(self, "_imported", False), True
        return self.grader.snapshot["imports"] if first else []


def _stream(text: str) -> dict:
    return {"output_type": "stream", "name": "stdout", "text": text}


def _lost_test(why: str) -> dict:
    why = plain(why, 500)
    return {
        "outputs": [{"output_type": "error", "ename": "SubmissionGone", "evalue": why, "traceback": [why]}],
        "error": "SubmissionGone",
    }
