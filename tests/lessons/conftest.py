"""What every gate needs: the notebooks there are, their marks, and a machine without a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from lessonlib.course.build import built_paths
from lessonlib.course.source import sources

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = ROOT / "tests" / "support" / "blocked_network"


def lessons():
    """One parameter a notebook, marked with its lesson."""
    return [pytest.param(p, id=p.stem, marks=getattr(pytest.mark, f"l{p.parent.name[:2]}")) for p in sources(ROOT)]


def wrong_answers(source: Path) -> list:
    """The wrong answers that replace a cell of this notebook."""
    path = source.with_name("wrong_answers.py")
    spec = importlib.util.spec_from_file_location(f"wrong_{source.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = source.read_text(encoding="utf-8")
    return [w for w in module.WRONG_ANSWERS if f'"{w.grade_id}"' in text]


@pytest.fixture(scope="session")
def no_network(tmp_path_factory):
    """Environment of a process that reaches only this machine, and the log of what it tried."""
    log = tmp_path_factory.mktemp("network") / "tried.log"
    log.touch()
    return {"PYTHONPATH": str(BLOCKED), "LESSONLIB_NETWORK_LOG": str(log)}, log


@pytest.fixture
def built(source):
    """(solution notebook, learner edition) of a source."""
    return built_paths(source, ROOT)
