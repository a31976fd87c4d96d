"""Every page test has a progress file of its own and catches what is shown."""

import pytest

from lessonlib.page import journal, theme


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    path = tmp_path / "kept" / "progress.json"
    monkeypatch.setenv("LESSONLIB_PROGRESS", str(path))
    monkeypatch.setattr(journal, "_memory", {kind: {} for kind in journal.KINDS})
    return path


@pytest.fixture
def shown(monkeypatch):
    """The (html, text) pairs that a page function shows."""
    seen = []
    monkeypatch.setattr(theme, "emit", lambda html, text: seen.append((html, text)))
    return seen
