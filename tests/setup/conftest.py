"""A small course without packages, and programs that only pretend."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessonlib import environment, packages

PYPROJECT = """
[build-system]
requires = ["hatchling"]
[project]
name = "lessonlib"
dependencies = ["torch>=2.6"]
[tool.lessonlib]
repository = ""
"""


class Machine:
    """The fake machine: what was said, how often `.venv` was made and pip was called, and what pip does."""

    def __init__(self, root: Path):
        self.root, self.venv = root, root / ".venv"
        self.python = self.venv / "bin" / "python"
        self.said, self.made, self.pip_calls, self.broken = [], 0, [], False
        self.on_pip = lambda: None

    def say(self, text="", **_):
        self.said.append(text)

    def ensure(self) -> Path:
        return environment.ensure(self.root, self.say)

    def make_venv(self, venv):
        self.made += 1
        self.python.parent.mkdir(parents=True)
        self.python.write_text("python")

    def install(self, root, python, say, lock=None):
        assert environment.current_stamp(root) is None, "an unfinished environment must carry no stamp"
        self.pip_calls.append(packages.pip_command(root, python, cpu_index=False))
        self.on_pip()

    def works(self, root, python) -> bool:
        return python.exists() and not self.broken


@pytest.fixture
def course(tmp_path):
    """The folder of a checkout."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (tmp_path / "constraints.txt").write_text("torch==2.13.0\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def setup(course, monkeypatch):
    """A checkout on a machine where making an environment and installing into it take no time."""
    machine = Machine(course)
    monkeypatch.setattr(environment, "_make_venv", machine.make_venv)
    monkeypatch.setattr(environment, "_works", machine.works)
    monkeypatch.setattr(packages, "install", machine.install)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: Disk(10**12))
    return machine


class Disk:
    """What shutil.disk_usage returns."""

    def __init__(self, free: int):
        self.free = free
