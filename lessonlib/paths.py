"""Where things are: the course checkout, if there is one, and its settings. Standard library only."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def course_root(start: str | os.PathLike | None = None) -> Path | None:
    """The course checkout: the nearest folder at or above `start` (default: the working directory, then this
    package) whose pyproject.toml has a `[tool.lessonlib]` table. None where lessonlib is installed alone (Colab)."""
    starts = [Path(start)] if start is not None else [Path.cwd(), PACKAGE.parent]
    for first in starts:
        for folder in (first.resolve(), *first.resolve().parents):
            if "[tool.lessonlib]" in _read(folder / "pyproject.toml"):
                return folder
    return None


def settings(root: Path) -> dict:
    """The `[tool.lessonlib]` table of the checkout at `root`."""
    return tomllib.loads(_read(root / "pyproject.toml")).get("tool", {}).get("lessonlib", {})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def records_dir() -> Path:
    """The folder of stored measurement records: benchmarks/results of the checkout, else the copy in the package."""
    root = course_root()
    if root is not None and (root / "benchmarks" / "results").is_dir():
        return root / "benchmarks" / "results"
    return PACKAGE / "records"
