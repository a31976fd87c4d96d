"""Grading on a Dask cluster: a scheduler and workers on loopback, one of which is killed in mid-run."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra [cluster] is not installed")

from lessonlib.grading import batch, canonical, cluster, engine, intake, results, sandbox  # noqa: E402
from lessonlib.grading.course import Course  # noqa: E402

from .attacks.assignment import DOUBLE, PARITY, instructor, points, released, submission  # noqa: E402
from .conftest import hand_in, tiny_course  # noqa: E402
from .test_batch import gradebook  # noqa: E402

LIMITS = engine.Limits(cell=5.0, total=20.0, walls=sandbox.Walls(memory=300 * 2**20))
ANSWERS = {  # what is handed in, and what it is worth
    "right": (DOUBLE, PARITY, (3.0, 4.0)),
    "half": (DOUBLE, PARITY.replace("n % 2 == 0", "True"), (3.0, 2.5)),
    "wrong": ("def double(x):\n    return x\n", PARITY, (0.0, 4.0)),
    "exits": ("import os\nos._exit(3)\n", PARITY, (0.0, 0.0)),
}


@pytest.fixture(scope="module")
def shot():
    """The small assignment's snapshot."""
    return canonical.snapshot(instructor(), release=released())


def jobs(number: int):
    """Jobs of `number` students, answers in turn."""
    for i, name in zip(range(number), itertools.cycle(ANSWERS)):
        double, even, _ = ANSWERS[name]
        document = intake.parse(json.dumps(submission(double, even, f"Answer of {i}.")).encode())[0]
        yield {"student": f"s{i:03}", "notebook": "small", "document": document, "files": {}, "key": str(i), "is": name}


def finished(coroutine) -> None:
    """Run it to its end in a thread of its own: the main one may have a loop, that of the browser tests."""
    thread = threading.Thread(target=asyncio.run, args=(coroutine,))
    thread.start()
    thread.join()


class Machines:
    """Dask processes started for a test."""

    def __init__(self, folder: Path):
        self.folder, self.file, self.started = folder, folder / "scheduler.json", []
        self.start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show")
        wait_for(self.file.exists)

    @property
    def address(self) -> str:
        return json.loads(self.file.read_text())["address"]

    def start(self, module: str, *options: str, **environment: str) -> subprocess.Popen:
        log = open(self.folder / f"{module}-{len(self.started)}.log", "w")
        line = [sys.executable, "-m", f"distributed.cli.{module}", "--scheduler-file", str(self.file), *options]
        process = subprocess.Popen(
            line, cwd=self.folder, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, stdout=log, stderr=log
        )
        self.started.append(process)
        return process

    def worker(self, *options: str, **environment: str) -> subprocess.Popen:
        """One worker process of one lane."""
        line = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        return self.start("dask_worker", *line, "--local-directory", str(self.folder), *options, **environment)

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait(10)


def wait_for(condition, seconds: float = 30.0):
    """Wait until `condition()` holds, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
    return found


def descendants(pid: int) -> set[int]:
    """Process ids of all that `pid` started, and of what those did."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = set(), [pid]
    while todo:
        new = children.get(todo.pop(), [])
        found.update(new)
        todo += new
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    return {
        p
        for p in pids
        if (s := Path(f"/proc/{p}/stat")).exists() and s.read_text().rpartition(")")[2].split()[0] != "Z"
    }


@contextmanager
def machines(folder: Path):
    made = Machines(folder)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A scheduler and two workers, for tests that leave them as they were."""
    with machines(tmp_path_factory.mktemp("pair")) as made:
        made.workers = [made.worker(), made.worker()]
        cluster.runner(made.address)  # until a worker has joined
        yield made


@pytest.mark.sandbox
def test_a_killed_worker_loses_nothing(tmp_path):
    """A batch of 60 on three workers, one of which is killed by SIGKILL in mid-run: each submission is saved once, no process
    is left, and the gradebook is that of this machine's own lanes."""
    here = tiny_course(tmp_path / "here")
    for job in jobs(60):
        hand_in(here, job["student"], job["document"])
    there = Path(shutil.copytree(here, tmp_path / "there"))
    with machines(tmp_path) as made:
        workers, rows, victims = [made.worker() for _ in range(3)], [], set()

        def progress(done: int, total: int, row: dict | None) -> None:
            rows.append(row)
            if done == 6:
                victims.update(wait_for(lambda: descendants(workers[0].pid)))
                workers[0].kill()

        run = cluster.runner(made.address, chunk=5)
        report = batch.run(Course(there), "hw", limits=LIMITS, runner=run, progress=progress)
        assert workers[0].wait(10) == -signal.SIGKILL and len(victims) >= 2
        wait_for(lambda: not alive(victims))
        wait_for(lambda: not any(descendants(w.pid) for w in workers[1:]))  # the run is over: no servers stay behind
    assert sorted(row["student"] for row in rows if row) == [f"s{i:03}" for i in range(60)]
    assert report["finished"] and report["counts"] == {"graded": 60}
    for i, name in zip(range(60), itertools.cycle(ANSWERS)):
        assert points(results.read(Course(there), "hw", f"s{i:03}", "small")) == ANSWERS[name][2], i
    batch.run(Course(here), "hw", limits=LIMITS, jobs=2)
    assert gradebook(there) == gradebook(here)


@pytest.mark.sandbox
def test_records_are_those_of_this_machine(shot, pair):
    """Cluster and local lanes give the same records; the head reads no more jobs than the workers need."""
    taken, given, leads = 0, 0, []

    def counted():
        nonlocal taken
        for job in jobs(40):
            taken += 1
            yield job

    found = {}
    for job, record in cluster.runner(pair.address, chunk=2)(shot, LIMITS, counted()):
        given += 1
        leads.append(taken - given)
        found[job["key"]] = record
    assert (
        given == len(found) == 40 and max(leads) <= 2 * 4 + 2 + 2
    )  # four chunks out, two jobs a lane read ahead, a chunk
    with engine.Grader(shot, LIMITS) as grader:
        for job in jobs(4):
            assert timeless(grader.grade(job["document"], {})) == timeless(found[job["key"]])


def timeless(record: dict) -> dict:
    """A record without what a clock measured."""
    return {**record, "seconds": 0, "cells": [{**cell, "seconds": 0} for cell in record["cells"]]}


@pytest.mark.sandbox
def test_the_assignment_s_files_reach_the_workers(shot, pair, tmp_path):
    """Files and folders of the data folder lie beside the submission, readable by it; nothing of them stays behind."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "two.txt").write_text("2")
    os.chmod(tmp_path / "tables" / "two.txt", 0o600)
    reads = "def double(x):\n    return int(open('tables/two.txt').read()) * x\n"
    document = intake.parse(json.dumps(submission(double=reads)).encode())[0]
    job = {"student": "s", "notebook": "small", "document": document, "files": {}, "key": "0"}
    for _, record in cluster.runner(pair.address)(shot, LIMITS, [job], data=tmp_path):
        assert points(record) == (3.0, 4.0)
        [copy] = pair.folder.rglob("two.txt")
        assert copy.parents[2].stat().st_mode & 0o077 == 0  # closed to other accounts of the worker's machine
    wait_for(lambda: not list(pair.folder.rglob("two.txt")))


@pytest.mark.sandbox
def test_a_run_that_is_given_up_leaves_nothing(shot, pair):
    """A head that stops in mid-run ends the servers on the workers, and another run is not disturbed."""
    results = cluster.runner(pair.address, chunk=1)(shot, LIMITS, jobs(30))
    next(results)
    results.close()
    wait_for(lambda: not any(descendants(w.pid) for w in pair.workers))
    assert len(list(cluster.runner(pair.address)(shot, LIMITS, jobs(4)))) == 4


@pytest.mark.sandbox
def test_a_worker_that_joins_late_without_a_sandbox_is_passed_over(shot, tmp_path):
    """It gets no more work, and what it could not grade is graded by others; a worker that dies makes its chunk smaller."""
    with machines(tmp_path) as made:
        made.worker()
        started, done = False, []
        for job, record in cluster.runner(made.address, chunk=3)(shot, LIMITS, jobs(120)):
            assert record["status"] == "graded" and points(record) == ANSWERS[job["is"]][2]
            done.append(job["key"])
            if not started:
                started = made.worker(PATH="/nowhere")
        assert sorted(map(int, done)) == list(range(120))
        log = wait_for(lambda: (tmp_path / "dask_worker-2.log").read_text())
        assert "Registered to" in log  # it was there
        with pytest.raises(
            ValueError, match=r"^The worker tcp://127.0.0.1:\d+ has no sandbox: the program bwrap .*\.$"
        ):
            list(cluster.runner(made.address)(shot, LIMITS, jobs(1)))


@pytest.mark.sandbox
@pytest.mark.parametrize("lost", ["workers", "scheduler"])
def test_a_cluster_that_goes_away_ends_the_run_in_a_sentence(shot, tmp_path, lost):
    """What came until then was given out already."""
    with machines(tmp_path) as made:
        worker = made.worker()
        cluster.runner(made.address)  # until it has joined, which may take longer than the patience below
        results = cluster.runner(made.address, chunk=2, patience=1)(shot, LIMITS, jobs(50))
        next(results)
        (worker if lost == "workers" else made.started[0]).kill()
        began = time.monotonic()
        with pytest.raises(
            RuntimeError, match=r"^The cluster at tcp://\S+ is gone: .*--resume, which keeps what is graded\.$"
        ):
            list(results)
        assert time.monotonic() - began < 60


def test_mistakes_are_told_in_a_sentence(shot, tmp_path, monkeypatch):
    """No scheduler, no worker, a worker that has not the course, other versions, no Dask."""
    with pytest.raises(ValueError, match=r"^No Dask scheduler answers at 'tcp://127.0.0.1:9' \(.*\): start one with"):
        cluster.runner("tcp://127.0.0.1:9", patience=1)
    for wrong in ("nonsense://x", "tcp://", "host:8786", str(tmp_path / "none.json")):
        with pytest.raises(ValueError, match="is neither the address of a Dask scheduler, such as"):
            cluster.runner(wrong, patience=1)
    with pytest.raises(ValueError, match="^tls:// needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE"):
        cluster.runner("tls://127.0.0.1:9", patience=1)
    with pytest.raises(ValueError, match="A chunk of 0 submissions is empty"):
        cluster.runner("tcp://127.0.0.1:9", chunk=0)
    with machines(tmp_path) as made:
        with pytest.raises(
            ValueError, match=r"^No worker has joined the scheduler at \S+ within 1 seconds: start some"
        ):
            cluster.runner(made.address, patience=1)
        (tmp_path / "other" / "lessonlib").mkdir(parents=True)
        (tmp_path / "other" / "lessonlib" / "__init__.py").write_text("raise ImportError('no course here')\n")
        bare = made.worker(PYTHONPATH=str(tmp_path / "other"))
        with pytest.raises(ValueError, match=r"^The worker \S+ cannot run the grader \(no course here\): install the"):
            cluster.runner(made.address, patience=20)
        bare.terminate()
        bare.wait(30)
        made.worker()
        cluster.runner(str(made.file))  # a scheduler file will do as well
        monkeypatch.setattr(cluster, "_versions", lambda: {"Python": "2.7"})
        with pytest.raises(
            ValueError, match=r"^The worker \S+ has Python 3\.\d+ and this machine 2\.7: install the same"
        ):
            cluster.runner(made.address)
    monkeypatch.setattr(cluster, "distributed", None)
    with pytest.raises(ValueError, match=r"pip install 'lessonlib\[cluster\]'"):
        cluster.runner("tcp://127.0.0.1:9")


class Failed:
    """A task that Dask gave up."""

    status = "error"

    def exception(self):
        return RuntimeError("Attempted to run task on 4 different workers, but all those workers died.\nMore.")


def test_what_kills_workers_is_found_and_told(shot):
    """A chunk that workers died over is tried one by one; a single one gets a record that waits for an instructor."""
    head = cluster._Head(None, "tcp://x", "name", shot, False, 20, 1.0)
    chunk = list(jobs(3))
    assert list(head._taken(Failed(), chunk)) == [] and list(head.again) == [[job] for job in chunk]
    [(job, record)] = head._taken(Failed(), [chunk[0]])
    assert job is chunk[0] and record["status"] == "failed" and record["score"] == 0 and record["max_score"] == 9
    assert record["reasons"] == [
        "the cluster could not grade it: Attempted to run task on 4 different workers, but all those workers died"
    ]
    assert all(cell["needs_manual"] for cell in record["cells"])
    assert json.loads(json.dumps(record)) == record


def test_chunks_become_smaller_at_the_end(shot):
    """So that the lanes finish together; every job is in one chunk."""
    head = cluster._Head(None, "tcp://x", "name", shot, False, 20, 1.0)
    head.jobs, head.ahead = iter(range(500)), deque()
    chunks = list(iter(lambda: head._next(lanes=4), []))
    sizes = [len(chunk) for chunk in chunks]
    assert sum(chunks, []) == list(range(500))
    assert sizes[0] == 20 and sizes[-1] == 1 and sizes == sorted(sizes, reverse=True) and sizes.count(20) >= 20


@pytest.mark.sandbox
def test_servers_of_a_worker_process(shot, tmp_path, monkeypatch):
    """They live by a thread of their own, end when idle, and are replaced when they die."""
    from dataclasses import asdict
    from types import SimpleNamespace

    bundle = {"snapshot": shot, "limits": asdict(LIMITS), "unsafe": False, "versions": cluster._versions()}
    keeper = cluster.Keeper(json.dumps(bundle), None)
    keeper.setup(SimpleNamespace(local_directory=str(tmp_path)))
    job = next(jobs(1))
    results = []
    for _ in range(2):  # threads that end, as those of Dask may
        thread = threading.Thread(target=lambda: results.append(keeper.grade(job)))
        thread.start()
        thread.join()
    first = keeper.servers
    assert [points(r) for r in results] == [(3.0, 4.0)] * 2 and first.is_alive()
    process = first.lanes.grader.process
    process.kill()
    process.wait()
    assert points(keeper.grade(job)) == (3.0, 4.0)
    assert keeper.servers is not first and not alive({process.pid})
    first.join(10)
    assert not first.is_alive()
    with pytest.raises(cluster.Unfit, match="it has Python 3.* and this machine 2.7"):
        older = cluster.Keeper(json.dumps({**bundle, "versions": {"Python": "2.7"}}), None)
        older.setup(SimpleNamespace(local_directory=str(tmp_path)))
        older.grade(job)
    finished(keeper.teardown(None))
    assert not keeper.servers.is_alive()
    with pytest.raises(cluster.Unfit, match="the run is over"):
        keeper.grade(job)
    monkeypatch.setattr(cluster, "IDLE", 0.2)
    idle = cluster.Keeper(json.dumps(bundle), None)
    idle.setup(SimpleNamespace(local_directory=str(tmp_path)))
    assert points(idle.grade(job)) == (3.0, 4.0)
    idle.servers.join(10)
    assert not idle.servers.is_alive() and points(idle.grade(job)) == (3.0, 4.0)
    finished(idle.teardown(None))
