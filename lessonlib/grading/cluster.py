"""Grading on many machines: the engine of one machine on the workers of a Dask cluster.

The head hands out chunks of submissions and gets records back, both as JSON text. Workers get the assignment's snapshot
and its own files, once for each worker process, and never the gradebook or a student's folder. Dask's machines trust
each other (pickle travels between them); what comes out of a submission travels as text only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import pkgutil
import platform
import re
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import batch, engine, results, sandbox
from .shell import Size

try:
    import distributed
    from distributed.diagnostics.plugin import WorkerPlugin
except ImportError:  # the extra [cluster] is not installed: `runner` says so
    distributed, WorkerPlugin = None, object

CHUNK = 20  # submissions a task: the price of a task is paid once for all of them
PATIENCE = 30.0  # seconds to wait for a scheduler, for a first worker, and for workers to come back
IDLE = 600.0  # seconds without work after which a worker ends its servers
PACKAGES = ("distributed", "nbgrader", "ipython", "numpy", "torch", "transformers")  # versions that scores may hang on


def runner(scheduler: str, *, chunk: int = CHUNK, patience: float = PATIENCE) -> Callable:
    """A runner for `batch.run`: (snapshot, limits, jobs) -> iterator of (job, record), in the order of arrival.

    scheduler: an address such as tcp://host:8786 or tls://host:8786, or the path of Dask's scheduler file. ValueError, in
    one sentence and within `patience` seconds for each step, when nothing answers there, no worker has joined, or a worker
    cannot grade. Workers that join later are used too."""
    if distributed is None:
        raise ValueError("Grading on a cluster needs Dask: pip install 'lessonlib[cluster]'.")
    if chunk < 1:
        raise ValueError(f"A chunk of {chunk} submissions is empty: give 1 or more.")

    def run(
        snapshot: dict, limits: engine.Limits, jobs: Iterable[dict], *, unsafe: bool = False, data: Path | None = None
    ) -> Iterator[tuple[dict, dict]]:
        bundle = json.dumps({"snapshot": snapshot, "limits": asdict(limits), "unsafe": unsafe, "versions": _versions()})
        files = (
            {str(p.relative_to(data)): p.read_bytes() for p in sorted(data.rglob("*")) if p.is_file()} if data else None
        )
        with _connected(scheduler, patience) as client:
            _check_workers(client, scheduler, patience, unsafe)
            name = f"grading-{uuid.uuid4().hex}"
            client.register_plugin(Keeper(bundle, files), name=name)
            try:
                yield from _Head(client, scheduler, name, snapshot, unsafe, chunk, patience).run(jobs)
            finally:
                # Of a cluster that is gone nothing is left to end; servers of one that is out of reach end when idle.
                if client.status == "running":
                    with contextlib.suppress(OSError, TimeoutError):
                        client.unregister_worker_plugin(name)

    with _connected(scheduler, patience) as client:
        _check_workers(client, scheduler, patience, unsafe=True)  # the sandbox is asked for when it is needed
    return run


class _Head:
    """One run at the head: which chunks are out, and who must get no more."""

    def __init__(self, client, scheduler: str, name: str, snapshot: dict, unsafe: bool, chunk: int, patience: float):
        self.client, self.scheduler, self.name, self.snapshot = client, scheduler, name, snapshot
        self.unsafe, self.chunk, self.patience = unsafe, chunk, patience
        self.flying: dict = {}  # future -> its jobs
        self.again: deque[list] = deque()  # chunks that came back ungraded
        self.unfit: dict[str, str] = {}  # worker -> what it lacks
        self.count = 0

    def run(self, jobs: Iterable[dict]) -> Iterator[tuple[dict, dict]]:
        """(job, record), each job once. Reads only as many jobs ahead as the workers need."""
        self.jobs, self.ahead = iter(jobs), deque()
        try:
            while True:
                self._hand_out()
                if not self.flying:
                    return
                for future in self._done():
                    yield from self._taken(future, self.flying.pop(future))
        finally:
            self.client.cancel(list(self.flying))

    def _hand_out(self) -> None:
        """Keep a chunk on every lane and one waiting at each worker."""
        lanes = self._lanes()
        while len(self.flying) < sum(lanes.values()) + len(lanes):
            part = self.again.popleft() if self.again else self._next(sum(lanes.values()))
            if not part:
                return
            self.count += 1
            future = self.client.submit(
                grade_chunk,
                self.name,
                json.dumps([{"document": job["document"], "files": job["files"]} for job in part]),
                key=f"{self.name}-{self.count}",
                pure=False,
                workers=list(lanes) if self.unfit else None,
                allow_other_workers=bool(self.unfit),  # else a chunk would wait for ever when these workers leave
            )
            self.flying[future] = part

    def _lanes(self) -> dict[str, int]:
        """Workers that can grade, and how many tasks each runs at a time. RuntimeError when there are none any more."""
        since = time.monotonic()
        while True:
            try:
                there = self.client.nthreads() if self.client.status == "running" else {}
            except OSError:
                there = {}
            if lanes := {who: n for who, n in there.items() if who not in self.unfit}:
                return lanes
            if there:
                who, why = next(iter(self.unfit.items()))
                raise RuntimeError(f"No worker of {self.scheduler} can grade; {who}: {why}.")
            if time.monotonic() - since > self.patience:
                raise self._gone()
            time.sleep(0.5)

    def _gone(self) -> RuntimeError:
        return RuntimeError(
            f"The cluster at {self.scheduler} is gone: start it again, then go on with --resume, which keeps what is graded."
        )

    def _next(self, lanes: int) -> list[dict]:
        """The next chunk; smaller when the end is in sight, so that the lanes finish together."""
        wanted = self.chunk + lanes * self.chunk // 2
        while len(self.ahead) < wanted and (job := next(self.jobs, None)) is not None:
            self.ahead.append(job)
        size = self.chunk if len(self.ahead) == wanted else min(self.chunk, math.ceil(len(self.ahead) / (2 * lanes)))
        return [self.ahead.popleft() for _ in range(size)]

    def _done(self) -> list:
        """Futures that are done, at least one. RuntimeError when the cluster is gone."""
        while True:
            try:
                with self.client.as_current():
                    return list(distributed.wait(list(self.flying), timeout=2.0, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                self._lanes()
            except CancelledError:
                raise self._gone() from None

    def _taken(self, future, part: list[dict]) -> Iterator[tuple[dict, dict]]:
        """The records of one chunk; a chunk that came back ungraded is handed out again."""
        if future.status == "finished":
            answer = json.loads(future.result())
            if "records" in answer:
                yield from zip(part, answer["records"], strict=True)
            else:
                self.unfit[answer["worker"]] = answer["unfit"]
                self.again.append(part)
            return
        if len(part) > 1:  # workers died over it, again and again: find the one that did it
            self.again.extend([job] for job in part)
            return
        reason = f"the cluster could not grade it: {_sentence(future.exception())}"
        yield part[0], batch.without(self.snapshot, "failed", reason, self.unsafe)


@contextlib.contextmanager
def _connected(scheduler: str, patience: float):
    """A client of the scheduler. ValueError when there is none at that address."""
    address = re.fullmatch(r"(tcp|tls)://.+:\d+", scheduler)
    if address is None and not Path(scheduler).is_file():
        raise ValueError(
            f"{scheduler!r} is neither the address of a Dask scheduler, such as tcp://host:8786 or tls://host:8786, nor a "
            "scheduler file that exists."
        )
    if scheduler.startswith("tls:") and distributed.Security().get_connection_args("client")["ssl_context"] is None:
        raise ValueError(
            "tls:// needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT "
            "and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY to their files."
        )
    where = {"address": scheduler} if address else {"scheduler_file": scheduler}
    try:
        client = distributed.Client(**where, timeout=patience, set_as_default=False, name="grading")
    except (OSError, TimeoutError, ValueError, RuntimeError, TypeError) as error:
        raise ValueError(
            f"No Dask scheduler answers at {scheduler!r} ({_sentence(error)}): start one with dask scheduler."
        ) from None
    try:
        yield client
    finally:
        client.close()


def _check_workers(client, scheduler: str, patience: float, unsafe: bool) -> None:
    """ValueError when no worker has joined, or one of them cannot grade: other versions, no answer, no sandbox."""
    try:
        client.wait_for_workers(1, timeout=patience)
    except TimeoutError:
        raise ValueError(
            f"No worker has joined the scheduler at {scheduler} within {patience:g} seconds: start some with dask worker "
            "and that address."
        ) from None
    # A worker that meets a name it cannot import ends itself: see first whether it can, with the standard library's means.
    _ask(client, patience, pkgutil.resolve_name, f"{__name__}:_about")
    ours = _versions()
    for who, theirs in _ask(client, patience, _about, not unsafe).items():
        if difference := _difference(ours, theirs.result()["versions"]):
            raise ValueError(f"The worker {who} {difference}: install the same there as here.")
        if missing := theirs.result()["missing"]:
            raise ValueError(f"The worker {who} has no sandbox: {missing}")


def _ask(client, patience: float, function: Callable, *arguments) -> dict:
    """Call a function on each worker; futures with results, by worker. ValueError when one fails or does not answer."""
    asked = {
        who: client.submit(function, *arguments, workers=[who], pure=False, priority=1000) for who in client.nthreads()
    }
    with contextlib.suppress(TimeoutError), client.as_current():
        distributed.wait(list(asked.values()), timeout=2 * patience)
    for who, future in asked.items():
        if future.status == "pending":
            raise ValueError(
                f"The worker {who} did not answer within {2 * patience:g} seconds: end it, or wait for it."
            )
        if future.status != "finished":
            raise ValueError(
                f"The worker {who} cannot run the grader ({_sentence(future.exception())}): install the course there, with "
                "its extras [lab,cluster]."
            )
    return asked


def _difference(ours: dict, theirs: dict) -> str:
    """In what a worker's software differs from the head's; empty when in nothing."""
    for name in ours:
        if ours[name] != theirs.get(name):
            return f"has {name} {theirs.get(name)} and this machine {ours[name]}"
    return ""


def _versions() -> dict[str, str]:
    """Versions on which scores may hang; "lessonlib" is a digest of its source files."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "lessonlib": results.sources()}
    for name in PACKAGES:
        try:
            found[name] = version(name).partition("+")[0]  # a build for CPUs is the same to a grade as one for GPUs
        except PackageNotFoundError:
            found[name] = "none"
    return found


def _about(sandboxed: bool) -> dict:
    """On a worker: its versions, and what its sandbox lacks, in a sentence."""
    missing = [f for f in sandbox.check_machine() if not f.ok] if sandboxed else []
    return {"versions": _versions(), "missing": " ".join(f"{f.says}; {f.fix}." for f in missing)}


def _sentence(error: BaseException | None) -> str:
    """The first line of an error, without the point at its end."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def grade_chunk(name: str, text: str) -> str:
    """The task, on a worker: records of a chunk of submissions, or what the worker lacks to make them; JSON text."""
    worker = distributed.get_worker()
    plugin = worker.plugins.get(name)
    try:
        if plugin is None:
            raise Unfit("it did not get the assignment")
        return json.dumps({"records": [plugin.grade(job) for job in json.loads(text)]})
    except Unfit as error:
        return json.dumps({"unfit": str(error), "worker": worker.address})


class Unfit(Exception):
    """This worker cannot grade; the sentence says what it lacks."""


class Keeper(WorkerPlugin):
    """One assignment in a worker process. Its servers start with the first chunk, stay up between chunks, and end with the
    run, with the worker, or when there is nothing to do for long."""

    def __init__(self, bundle: str, files: dict[str, bytes] | None):
        self.bundle, self.files = bundle, files

    def setup(self, worker) -> None:
        self.folder, self.servers, self.closed, self.lock = worker.local_directory, None, False, threading.Lock()

    async def teardown(self, worker) -> None:
        with self.lock:
            self.closed, servers = True, self.servers
        if servers is not None:
            servers.over.set()
            await asyncio.to_thread(servers.join, 10)

    def grade(self, job: dict) -> dict:
        """The record of a submission; Unfit when this machine cannot grade at all."""
        with self._at_work() as servers:
            record = servers.grade(job)
        if record["status"] != "failed":
            return record
        with self.lock:  # they may be gone: once more with new ones
            servers.retired = True
            if not servers.users:
                servers.over.set()
        with self._at_work() as servers:
            return servers.grade(job)

    @contextlib.contextmanager
    def _at_work(self):
        """Servers that are up, for the time of one submission."""
        with self.lock:
            if self.closed:
                raise Unfit("the run is over")
            if self.servers is None or self.servers.retired or self.servers.over.is_set():
                self.servers = Servers(json.loads(self.bundle), self.files, self.folder, self.lock)
                self.servers.start()
            servers = self.servers
            servers.users += 1
        try:
            servers.ready.wait()
            if servers.lanes is None:
                raise Unfit(servers.trouble)
            yield servers
        finally:
            with self.lock:
                servers.users, servers.used = servers.users - 1, time.monotonic()
                if servers.retired and not servers.users:
                    servers.over.set()


class Servers(threading.Thread):
    """The fork servers of an assignment and the thread that they live by: the kernel ends them with the thread that started
    them, and Dask's own threads come and go. `lock` guards `users`, `used` and the decision to end."""

    def __init__(self, bundle: dict, files: dict[str, bytes] | None, folder: str, lock):
        super().__init__(name="grading servers", daemon=True)
        self.bundle, self.files, self.folder, self.lock = bundle, files, folder, lock
        self.ready, self.over = threading.Event(), threading.Event()
        self.lanes, self.trouble, self.retired, self.users, self.used = None, "", False, 0, time.monotonic()

    def run(self) -> None:
        with contextlib.ExitStack() as stack:
            try:
                self.lanes = self._start(stack)
            except Exception as error:  # whatever it is, the head is told, and asks this worker no more
                self.trouble = _sentence(error)
                self.over.set()
            self.ready.set()
            while not self.over.wait(IDLE):
                with self.lock:
                    if not self.users and time.monotonic() - self.used > IDLE:
                        self.over.set()

    def grade(self, job: dict) -> dict:
        """A record, as on one machine; from any thread."""
        return self.lanes.grade(self.lanes.grader, job)

    def _start(self, stack: contextlib.ExitStack) -> batch.Lanes:
        if difference := _difference(self.bundle["versions"], _versions()):
            raise RuntimeError(f"it {difference}")
        data = None
        if self.files is not None:
            # Its parent keeps it from other accounts of this machine; the sandbox, another account itself, sees only this.
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=self.folder))) / "data"
            data.mkdir()
            for name, content in self.files.items():
                (data / name).parent.mkdir(parents=True, exist_ok=True)
                (data / name).write_bytes(content)
            for path in (data, *data.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
        about = self.bundle["limits"]
        limits = engine.Limits(**{**about, "walls": sandbox.Walls(**about["walls"]), "size": Size(**about["size"])})
        lanes = batch.Lanes(self.bundle["snapshot"], limits, unsafe=self.bundle["unsafe"], data=data)
        stack.callback(lanes.close)
        return lanes.start()
