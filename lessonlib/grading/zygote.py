"""The fork server: imports and runs once what every submission needs, then forks a sandbox in milliseconds.

Started by `launch` inside bubblewrap. It runs the instructor's plain cells, which are no secret, and records what each one
binds. `branch` forks a second server, the verifier's, which alone gets tests and solution: it runs them once so that
models and caches are warm, and forgets the names. No thread may be alive when a server forks."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from functools import partial
from pathlib import Path

from . import codec, sandbox, student, verifier
from .shell import CellShell, Size, warm_up

WATCH = 0.1  # seconds between looks at the children's memory


class Plain:
    """The instructor's plain cells, run once: what each binds, removes, and leaves as random states."""

    def __init__(self):
        self.cells: dict[int, tuple] = {}

    def run(self, shell: CellShell, cells: list[dict]) -> list[dict]:
        """Run the cells in order and record them; the names are as before afterwards. Returns their outputs."""
        base, done = dict(shell.names), []
        for cell in cells:
            before, states = dict(shell.names), _random_states()
            result = shell.run(cell["source"], cell["limit"])
            now = shell.names
            bound = {n: v for n, v in now.items() if n not in before or before[n] is not v}
            after = _random_states()
            self.cells[cell["index"]] = bound, [n for n in before if n not in now], None if after == states else after
            done.append({"index": cell["index"], **result})
        self.reset(shell, base)
        return done

    def apply(self, shell: CellShell, index: int) -> bool:
        """Bind what plain cell `index` bound; False when it was not run here."""
        if index not in self.cells:
            return False
        bound, removed, states = self.cells[index]
        shell.names.update(bound)
        for name in removed:
            shell.names.pop(name, None)
        if states is not None:
            _set_random_states(states)
        return True

    def reset(self, shell: CellShell, names: dict) -> None:
        """Put the names back; the dict stays the same object, for functions of cells look names up in it."""
        shell.names.clear()
        shell.names.update(names)


def launch(setup: dict, *, unsafe: bool = False, visible=(), data=None):
    """Start a server. Returns (process, control socket); `answer` waits until it is ready."""
    ours, theirs = socket.socketpair()
    inner = [sys.executable, "-m", "lessonlib.grading.zygote", str(theirs.fileno())]
    if unsafe:
        line, environment = inner, {**sandbox.environment(), "HOME": str(Path.home()), "PATH": os.environ["PATH"]}
        for name in ("MPLCONFIGDIR", "IPYTHONDIR"):
            environment.pop(name)
    else:
        line, environment = sandbox.command(inner, visible=visible, data=data), None
    process = subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[theirs.fileno()],
        env=environment,
        cwd=data if unsafe and data else None,
    )
    theirs.close()
    setup = {**setup, "unsafe": unsafe, "covered": sandbox.covered(visible)}
    with contextlib.suppress(OSError):  # it ended already: `answer` says why
        codec.send(ours, json.dumps(setup).encode())
    return process, ours


def answer(process, control) -> dict:
    """What a server says when it is ready; RuntimeError with its last words when it ended."""
    try:
        ready = codec.receive(control)
    except OSError:
        ready = None
    if ready is None:
        process.kill()
        words = process.communicate()[1].decode("utf-8", "replace").strip().splitlines()
        control.close()
        raise RuntimeError(f"the sandbox did not start: {words[-1] if words else 'no reason given'}")
    return json.loads(ready)


def main(control_fd: int) -> None:
    """The server: one setup message, then requests until the grader hangs up."""
    control = socket.socket(fileno=control_fd)
    setup = json.loads(codec.receive(control))
    if hasattr(os, "sched_setaffinity"):
        # One processor, so that libraries that count processors start no threads; children get all back.
        processors = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(processors)})
    else:
        processors = None
    shell = CellShell(Size(**setup["size"]))
    warm_up(shell)
    missing = _preload(setup["preload"])
    plain = Plain()
    done = plain.run(shell, setup["plain"])
    server = _Server(control, shell, plain, setup, processors)
    server.ready({"missing": missing, "cells": done})
    server.serve(student.serve)


class _Server:
    def __init__(self, control, shell, plain, setup, processors):
        self.control, self.shell, self.plain, self.setup, self.processors = control, shell, plain, setup, processors
        self.children: dict[int, dict] = {}
        self.own_namespace = None
        self.walls = sandbox.Walls(**setup["walls"])

    def ready(self, more: dict) -> None:
        gc.collect()
        gc.freeze()  # the collector would touch every page, and so copy it in each child
        codec.send(
            self.control,
            json.dumps(
                {**more, "threads": len(os.listdir("/proc/self/task")) if sys.platform == "linux" else 1}
            ).encode(),
        )

    def serve(self, role) -> None:
        while True:
            waiting = [self.control, *(c["pidfd"] for c in self.children.values() if c["pidfd"] is not None)]
            ready = select.select(waiting, [], [], WATCH if self.children else None)[0]
            self._reap()
            if self.control in ready:
                data = codec.receive(self.control)
                if data is None:
                    self._end()
                request = json.loads(data)
                fds = socket.recv_fds(self.control, 1, 8)[1]
                {"fork": self._fork, "branch": self._branch}[request["do"]](request, fds, role)
            self._watch_memory()

    def _fork(self, request, fds, role) -> None:
        head, peer, status = fds
        if not self.setup["unsafe"]:
            self.own_namespace = sandbox.new_process_namespace(self.own_namespace)
        pid = os.fork()
        if pid == 0:
            self._child(request, head, peer, role)
        os.close(head)
        os.close(peer)
        pidfd = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
        self.children[pid] = {"pidfd": pidfd, "status": status, "why": "", "started": time.monotonic()}
        codec.send(self.control, json.dumps({"pid": pid}).encode())
        if pidfd is not None:
            socket.send_fds(self.control, [b"p"], [pidfd])

    def _child(self, request, head: int, peer: int, role) -> None:
        """The forked process: walls first, then whatever it is for. Never returns."""
        code = 70
        try:
            for number in (signal.SIGCHLD, signal.SIGALRM, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            head, peer = _keep_only(head, peer)
            line = socket.socket(fileno=head)
            try:
                os.setsid()
                if self.setup["unsafe"]:
                    sandbox.limits(self.walls)
                    if sys.platform == "linux":
                        sandbox.lock(sandbox.libc())
                else:
                    sandbox.enter(self.walls, request["slot"], self.setup["real_root"], self.setup["covered"])
            except BaseException as error:
                step = traceback.extract_tb(error.__traceback__)[-1].line
                codec.send(line, json.dumps({"fatal": f"the sandbox could not be built: {error} ({step})"}).encode())
                raise
            if self.processors is not None:
                os.sched_setaffinity(0, self.processors)
            _reseed(request["seed"])
            codec.send(line, b'{"ready": true}')
            role(self.shell, self.plain, line, socket.socket(fileno=peer))
            code = 0
        finally:
            os._exit(code)

    def _branch(self, request, fds, role) -> None:
        """Fork the verifier's server, which then gets its secrets from the grader over a line of its own."""
        if self.own_namespace is not None:
            os.close(self.own_namespace)
            self.own_namespace = None
        pid = os.fork()
        if pid:
            os.close(fds[0])
            return
        code = 70
        try:
            self.control.close()
            self.control, self.children = socket.socket(fileno=fds[0]), {}
            secret = json.loads(codec.receive(self.control))
            failed = self._warm(secret)
            self.ready({"failed": failed, "missing": []})
            self.serve(partial(verifier.serve, secret["snapshot"]))
            code = 0
        finally:
            os._exit(code)

    def _warm(self, secret: dict) -> list:
        """Run the instructor's whole notebook once, tests included; then forget its names, and keep loaded what it loaded.

        Returns [index, error, outputs] of test cells that fail with the instructor's own solution."""
        base, failed = dict(self.shell.names), []
        for cell in secret["cells"]:
            if not (cell["plain"] and self.plain.apply(self.shell, cell["index"])):
                done = self.shell.run(cell["source"], cell["limit"])
                if cell["test"] and done["error"]:
                    failed.append([cell["index"], done["error"], done["outputs"]])
        self.plain.reset(self.shell, base)
        return failed

    def _reap(self) -> None:
        for pid in list(self.children):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                child = self.children.pop(pid)
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(BrokenPipeError):  # the grader is through with it already
                    os.write(child["status"], json.dumps({"code": code, "why": child["why"]}).encode())
                os.close(child["status"])
                if child["pidfd"] is not None:
                    os.close(child["pidfd"])

    def _watch_memory(self) -> None:
        """End a child whose processes together hold more than its share: RLIMIT_DATA counts each process alone."""
        if sys.platform != "linux" or not self.children or self.setup["unsafe"]:
            return
        now = time.monotonic()
        old = {pid: c for pid, c in self.children.items() if now - c["started"] > WATCH / 2}
        if not old:
            return
        held = _memory_by_namespace()
        for pid, child in old.items():
            used = held.get(_pid_namespace(pid), 0)
            if used > self.walls.memory + _memory(os.getpid()) + self.walls.disk:
                child["why"] = "memory"
                os.kill(pid, signal.SIGKILL)

    def _end(self) -> None:
        for pid in self.children:
            os.kill(pid, signal.SIGKILL)
        os._exit(0)


def _keep_only(*fds: int) -> list[int]:
    """Close every open file but these, which get the numbers from 3 on; 0 to 2 lead nowhere."""
    high = [os.dup2(fd, 1000 + i, inheritable=False) for i, fd in enumerate(fds)]
    os.closerange(3, 1000)
    os.closerange(1000 + len(fds), 4096)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    if null > 2:
        os.close(null)
    kept = [os.dup2(fd, 3 + i, inheritable=False) for i, fd in enumerate(high)]
    for fd in high:
        os.close(fd)
    return kept


def _preload(names: list[str]) -> list[str]:
    """Import the modules; returns those that cannot be."""
    missing = []
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # a module that fails here fails in the cell that imports it, and is told there
            missing.append(name)
    return missing


def _random_states() -> tuple:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    arrays = numpy.random.get_state() if numpy else None
    arrays = (arrays[0], arrays[1].tobytes(), *arrays[2:]) if arrays else None
    return random.getstate(), arrays, torch.get_rng_state().numpy().tobytes() if torch else None


def _set_random_states(states: tuple) -> None:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    random.setstate(states[0])
    if states[1] and numpy:
        name, words, *rest = states[1]
        numpy.random.set_state((name, numpy.frombuffer(words, dtype="uint32"), *rest))
    if states[2] and torch:
        torch.set_rng_state(torch.frombuffer(bytearray(states[2]), dtype=torch.uint8))


def _reseed(seed: int) -> None:
    random.seed(seed)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(seed % 2**32)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(seed)


def _memory(pid) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("RssAnon"))
    except (OSError, ValueError):
        return 0


def _pid_namespace(pid) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _memory_by_namespace() -> dict[str, int]:
    """Bytes of anonymous memory by process namespace; pages that a fork shares with its parent count for each."""
    held: dict[str, int] = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        where = _pid_namespace(pid)
        held[where] = held.get(where, 0) + _memory(pid)
    return held


def setup_message(plain: list[dict], preload: list[str], walls: sandbox.Walls, size: Size) -> dict:
    """What a server must know at the start."""
    return {
        "plain": plain,
        "preload": preload,
        "walls": asdict(walls),
        "size": asdict(size),
        "real_root": os.geteuid() == 0,
    }


if __name__ == "__main__":
    main(int(sys.argv[1]))
