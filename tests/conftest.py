"""Settings of the whole suite: CPU, offline, no bars, no own facts, no network in this process, a mark for each lesson.

Tests that need a program of the system (`lessonlib.testing.TOOLS`) fail without it where CI=true, and elsewhere are
left out and named at the end. Tests marked `gpu` are skipped without CUDA."""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from functools import cache
from pathlib import Path

import pytest

from lessonlib import testing

ROOT = Path(__file__).resolve().parents[1]
BLOCKED = ROOT / "tests" / "support" / "blocked_network"
LEFT_OUT = pytest.StashKey[list]()

os.environ.update({"LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1", "LESSONLIB_PROGRESS": "off"})
os.environ["LESSON_FACTS"] = "off"  # a developer's own models and cards change no test
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads must not take the cores from the next process
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in the background; tests press Ctrl-C


def _block_network():
    """The guard, as a module. Installed once in this process, before any test module is imported."""
    spec = importlib.util.spec_from_file_location("blocked_network", BLOCKED / "sitecustomize.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GUARD = _block_network()


def pytest_configure(config):
    config.stash[LEFT_OUT] = []
    for folder in sorted((ROOT / "solutions").glob("[0-9][0-9]_*")):
        config.addinivalue_line("markers", f"l{folder.name[:2]}: lesson {folder.name}")


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):  # two files at a time: the longest one, the gates, begins at once
        items.sort(key=lambda item: "lessons" not in item.path.parts)


def pytest_runtest_setup(item):
    for tool in testing.TOOLS:
        if item.get_closest_marker(tool.mark) and not tool.found():
            reason = f"{tool.package} is missing; bring it with: {testing.install_line([tool])}"
            if testing.strict():
                pytest.fail(reason, pytrace=False)
            item.config.stash[LEFT_OUT].append((tool, item.nodeid))
            pytest.skip(reason)
    if item.get_closest_marker("sandbox") and (locked := _locked()):
        pytest.skip(locked)
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")


@cache
def _locked() -> str:
    """Why this machine's kernel allows no sandbox, in words; "" where it does."""
    from lessonlib.grading import sandbox

    return "; ".join(finding.says for finding in sandbox.check_machine() if not finding.ok)


def pytest_terminal_summary(terminalreporter, config):
    left_out = config.stash[LEFT_OUT]
    if left_out:
        terminalreporter.section("LEFT OUT, because programs are missing", sep="!", red=True, bold=True)
        for _, nodeid in left_out:
            terminalreporter.line(nodeid)
        tools = {tool for tool, _ in left_out}
        terminalreporter.line(f"Bring them with: {testing.install_line(tools)}", bold=True)


@pytest.fixture
def network_guard():
    """The module that blocks the network in this process; see its docstring for use in other processes."""
    return GUARD
