"""Grades one submission: a notebook and a snapshot in, a JSON record out. No database, no files.

For each submission two sandboxes are forked: S runs the student's cells, V the tests. A `Grader` keeps the two fork
servers of one assignment; `grade` is the same for callers that do not want to hold one."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..paths import PACKAGE, course_root
from . import canonical, codec, sandbox, zygote
from .record import finish, load_nbgrader
from .running import MESSAGE, MachineFailure, Run, Sandbox
from .shell import Size, plain


@dataclass(frozen=True)
class Limits:
    """Limits of one submission: seconds of a cell, of all cells, of the servers' start; walls and outputs."""

    cell: float = 30.0
    total: float = 120.0
    start: float = 600.0
    walls: sandbox.Walls = field(default_factory=sandbox.Walls)
    size: Size = field(default_factory=Size)


def grade(
    notebook: dict,
    snapshot: dict,
    limits: Limits | None = None,
    *,
    files: dict | None = None,
    unsafe: bool = False,
) -> dict:
    """Grade a notebook (from `intake.parse`) against a snapshot (from `canonical.snapshot`); the record, as JSON.

    files: other files that were handed in, as base64 by relative path (from `intake.files`).
    The servers of the last snapshot stay up for the next call, until `close` or the end of the process. RuntimeError when
    there is no sandbox, unless `unsafe` is given: that is written into the record."""
    limits = limits or Limits()
    key = hashlib.sha256(json.dumps([snapshot, asdict(limits), unsafe], sort_keys=True).encode()).hexdigest()
    with _kept_lock:
        if key not in _kept:
            close()
            _kept[key] = Grader(snapshot, limits, unsafe=unsafe).start()
        grader = _kept[key]
    return grader.grade(notebook, files)


def close() -> None:
    """End the servers that `grade` keeps."""
    while _kept:
        _kept.popitem()[1].close()


class Grader:
    """The fork servers of one assignment. `grade` may be called from several threads; `start` from one that lives as long
    as the grader, since the servers end with the thread that started them."""

    def __init__(self, snapshot: dict, limits: Limits | None = None, *, unsafe: bool = False, visible=None, data=None):
        """visible: files and folders to show in the sandboxes besides the packages (default: the course's stored
        records); data: a folder of files that the notebook reads, linked into its working folder."""
        self.snapshot, self.limits, self.unsafe = snapshot, limits or Limits(), unsafe
        self.visible = course_files() if visible is None else list(visible)
        self.data = Path(data).absolute() if data else None
        self.process = None
        self.notes: list[str] = []
        self.failing: list = []
        self._lock, self._slot = threading.Lock(), 0

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.close()

    def start(self) -> Grader:
        """Start the servers. RuntimeError names what is missing and how to get it."""
        if not self.unsafe:
            self._need(sandbox.requirements())
        try:
            ready = self._launch(canonical.student_part(self.snapshot))
            if ready["threads"] > 1:
                # A cell left threads behind, which a fork would lose: import only, and run these cells in each sandbox.
                self.close()
                self.notes.append("plain cells start threads: they run for each submission, which takes longer")
                ready = self._launch([])
                if ready["threads"] > 1:
                    raise RuntimeError(
                        "The modules that the notebook imports start threads on import; set their number to 1."
                    )
            self.plain = {cell["index"]: cell for cell in ready["cells"]}
            self._branch(warm=not self.notes)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the servers and all that they forked."""
        for line in (getattr(self, "control", None), getattr(self, "verifier", None)):
            if line is not None:
                line.close()
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def grade(self, notebook: dict, files: dict | None = None) -> dict:
        """The record of one submission; never raises for what the submission does. files: as in `grade` above."""
        record = {
            "status": "graded",
            "unsafe": self.unsafe,
            "seed": self._seed(notebook),
            "notes": [],
            "reasons": [],
            "cells": [],
        }
        if self.unsafe:
            record["notes"].append("graded WITHOUT a sandbox (asked for): the code ran with the grader's own rights")
        started = time.monotonic()
        run = merged = None
        try:
            run = Run(self, record["seed"], files or {})
            merged = run.merge(notebook)
            if "refused" in merged:
                record["status"] = "refused"
                record["reasons"].append(merged["refused"])
            else:
                record["notes"] += [*run.notes, *merged["notes"]]
                run.all(merged["cells"], record)
        except MachineFailure as failure:
            record["status"] = "failed"
            record["reasons"].append(str(failure))
        finally:
            if run is not None:
                run.end()
        if merged is None or "refused" in merged:
            merged = canonical.merge(self.snapshot, {"cells": []})  # for the record: every cell, none of them answered
        finish(self.snapshot, merged, record, run.outputs if run else {}, self.plain)
        record["reasons"] = [plain(reason, 500) for reason in record["reasons"]]
        record["seconds"] = round(time.monotonic() - started, 4)
        return record

    def _launch(self, cells: list[dict]) -> dict:
        cells = [{**cell, "limit": self.limits.start} for cell in cells]
        message = zygote.setup_message(cells, self.snapshot["preload"], self.limits.walls, self.limits.size)
        self.process, self.control = zygote.launch(message, unsafe=self.unsafe, visible=self.visible, data=self.data)
        load_nbgrader()  # seconds that the first submission would wait for, while the server loads
        try:
            return zygote.answer(self.process, self.control)
        except RuntimeError:
            self.process = None
            if not self.unsafe:
                self._need(sandbox.check_machine())
            raise

    def _need(self, findings: list[sandbox.Finding]) -> None:
        missing = [f for f in findings if not f.ok]
        if missing:
            raise RuntimeError("No sandbox on this machine: " + "; ".join(f"{f.says}. {f.fix}" for f in missing) + ".")

    def _branch(self, warm: bool) -> None:
        """Make the verifier's server: only it gets tests and solutions. `warm`: it runs them once beforehand."""
        ours, theirs = socket.socketpair()
        codec.send(self.control, json.dumps({"do": "branch"}).encode())
        socket.send_fds(self.control, [b"f"], [theirs.fileno()])
        theirs.close()
        cells = [
            {
                "index": c["index"],
                "plain": c["kind"] == "plain",
                "test": c["kind"] == "test" and canonical.IN_KERNEL not in c["tags"],
                "source": c["source"],
                "limit": self.limits.start,
            }
            for c in self.snapshot["cells"]
            if c["cell_type"] == "code" and warm
        ]
        codec.send(ours, json.dumps({"cells": cells, "snapshot": self.snapshot}).encode())
        data = codec.receive(ours, MESSAGE)
        if data is None:
            raise RuntimeError("The verifier's server did not start.")
        ready = json.loads(data)
        if ready["threads"] > 1:
            ours.close()
            if not warm:
                raise RuntimeError("The verifier's server has threads, and a fork would lose them.")
            self.notes.append("the tests start threads: nothing of them is prepared, which takes longer")
            self._branch(warm=False)
            return
        self.verifier, self.failing = ours, ready["failed"]

    def _seed(self, notebook: dict) -> int:
        """Random numbers of this submission's tests: the same when it is graded again, and not for a student to foresee."""
        return int.from_bytes(hashlib.sha256(json.dumps([self.snapshot, notebook]).encode()).digest()[:4], "big")

    def fork(self, server, seed: int, peer) -> Sandbox:
        """A forked sandbox whose line to its counterpart is `peer`; MachineFailure when the server cannot."""
        ours, theirs = socket.socketpair()
        status, end = os.pipe()
        with self._lock:
            self._slot += 1
            try:
                codec.send(server, json.dumps({"do": "fork", "slot": self._slot, "seed": seed}).encode())
                socket.send_fds(server, [b"f"], [theirs.fileno(), peer.fileno(), end])
                data = codec.receive(server)
                if data is None:
                    raise OSError("the fork server ended")
                pidfd = socket.recv_fds(server, 1, 1)[1][0] if hasattr(os, "pidfd_open") else None
            except (OSError, ValueError, IndexError) as error:
                raise MachineFailure(f"a sandbox could not be forked: {error}") from None
            finally:
                theirs.close()
                os.close(end)
        return Sandbox(ours, status, pidfd, json.loads(data)["pid"])


def course_files() -> list[Path]:
    """What lessons read besides the package: the course's marker and its stored records. Never solutions."""
    root = course_root(PACKAGE.parent)
    if root is None:
        return []
    return [p for p in (root / "pyproject.toml", root / "benchmarks" / "results") if p.exists()]


_kept: dict[str, Grader] = {}
_kept_lock = threading.Lock()
atexit.register(close)
