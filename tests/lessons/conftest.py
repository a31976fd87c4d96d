"""What every gate needs: the notebooks there are, their marks, and a machine without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from lessonlib.course.build import built_paths
from lessonlib.course.source import sources

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = ROOT / "tests" / "support" / "blocked_network"


def lessons():
    """One parameter a notebook, marked with its lesson."""
    return [pytest.param(p, id=p.stem, marks=getattr(pytest.mark, f"l{p.parent.name[:2]}")) for p in sources(ROOT)]


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
