"""The real set-up in a copy of the course: offline, killed half-way, started again, JupyterLab answering, started once
more, broken and repaired.

The tests marked slow take minutes, and need package registries or what pip is set to use instead."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from lessonlib import environment, lab, packages
from tests.support import checkout

from .test_lab import free_port

BASE = getattr(sys, "_base_executable", sys.executable)
PATIENCE = 900  # seconds until a step counts as stuck


class Start:
    """A running `python3 -m lessonlib ...` on a bare Python, in a session of its own, with what it says."""

    def __init__(self, root: Path, *arguments: str, **more: str):
        bare = {n: v for n, v in os.environ.items() if n not in ("VIRTUAL_ENV", "PYTHONPATH", "LESSONLIB_ENV", "CI")}
        bare.update(more)
        bare["PATH"] = os.pathsep.join(p for p in bare["PATH"].split(os.pathsep) if not p.startswith(sys.prefix))
        self.said: list[str] = []
        self.process = subprocess.Popen(
            [BASE, "-m", "lessonlib", *arguments], cwd=root, env=bare, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.reader = threading.Thread(target=lambda: self.said.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def wait_for(self, text: str) -> str:
        """The first line with `text`, once it is said."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            for line in list(self.said):
                if text in line:
                    return line
            assert not ended, f"ended before it said {text!r}: {self.words()}"
            time.sleep(0.1)
        raise AssertionError(f"never said {text!r}: {self.words()}")

    def words(self) -> str:
        return "".join(self.said)

    def end(self, number: int) -> int:
        """Send a signal to the command alone, wait for its end."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        self.reader.join(timeout=60)
        return status

    def clear(self) -> None:
        """End whatever is left of its session."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A clone without an environment."""
    root = checkout.copy(tmp_path_factory.mktemp("clone") / "course with a space")
    yield root
    shutil.rmtree(root.parent, ignore_errors=True)


@pytest.fixture
def start(course):
    """Starts commands in the clone, and leaves none behind."""
    started = []

    def begin(*arguments, **more):
        started.append(Start(course, *arguments, **more))
        return started[-1]

    yield begin
    for one in started:
        one.clear()


def test_a_first_set_up_without_the_network_is_one_sentence(course, start):
    nobody = f"http://127.0.0.1:{free_port()}/simple"
    away = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": nobody, "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}
    offline = start("build", **away)
    assert offline.process.wait(timeout=PATIENCE) == 2
    offline.reader.join(timeout=60)
    last = offline.said[-1]
    assert last == f"lessonlib: {packages.OFFLINE}\n" and "Traceback" not in offline.words()
    assert environment.current_stamp(course) is None


@pytest.mark.slow
def test_a_killed_set_up_is_repaired_and_jupyterlab_answers(course, start):
    killed = start("lab", "--no-browser")
    killed.wait_for("26 found")
    killed.end(signal.SIGKILL)  # the command alone: its pip is an orphan now and may go on for a while
    assert environment.current_stamp(course) is None

    port = free_port()
    running = start("lab", "--no-browser", "--port", str(port))
    running.wait_for("removing an unfinished or broken environment")
    running.wait_for("[3/3] ready")
    running.wait_for("Stop it with Ctrl-C")
    address = re.search(r"http://\S+", running.words())[0]
    assert f"localhost:{port}/lab/tree/notebooks/00_start_here" in address
    page = open_page(address)
    settings = json.loads(re.search(r'id="jupyter-config-data"[^>]*>(.*?)</script>', page, re.DOTALL)[1])
    assert {lab.NEWS, *lab.INSTRUCTOR} <= set(settings["disabledExtensions"])
    token = address.partition("token=")[2]
    contents = json.loads(open_page(f"http://localhost:{port}/api/contents?token={token}"))
    assert {"notebooks", "solutions", "nbgrader_config.py"} <= {entry["name"] for entry in contents["content"]}
    nbgrader = json.loads(open_page(f"http://localhost:{port}/assignments?course_id=llm-course&token={token}"))
    assert nbgrader["success"], nbgrader

    taken = start("lab", "--no-browser", "--port", str(port))
    assert taken.process.wait(timeout=60) == 2
    assert running.end(signal.SIGTERM) == 0
    assert lab._refusal(port) is None, "the server must end with the command"
    assert f"port {port} is taken" in taken.words()


@pytest.mark.slow
def test_the_second_start_sets_nothing_up(course, start):
    assert environment.current_stamp(course) == environment.wanted_stamp(course), "runs after the first test"
    log = (course / ".lessonlib" / "setup.log").stat().st_mtime_ns
    again = start("test", "tests/calc/test_units.py", "-q")
    again.wait_for("passed")
    assert again.process.wait(timeout=120) == 0
    assert "[1/3]" not in again.words() and "[2/3]" not in again.words()
    assert (course / ".lessonlib" / "setup.log").stat().st_mtime_ns == log


@pytest.mark.slow
def test_a_broken_environment_is_repaired(course, start):
    """Somebody removed a main package: the next start notices and makes the environment again."""
    (package,) = course.glob(".venv/lib/python*/site-packages/nbgrader")
    package.rename(package.with_name("gone"))
    again = start("test", "tests/calc/test_units.py", "-q")
    again.wait_for("removing an unfinished or broken environment")
    again.end(signal.SIGINT)
    assert environment.current_stamp(course) is None


def open_page(address: str) -> str:
    """The text at an address of this machine."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())
    with opener.open(address, timeout=60) as reply:
        return reply.read().decode()
