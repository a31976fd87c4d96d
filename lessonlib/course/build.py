"""`lessonlib build`: execute what changed, write the solution notebook and the learner edition."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

import nbformat

from ..facts import schema
from ..paths import course_root
from . import readme
from .execute import execute as execute_notebook
from .release import content_hash, keep_learners_copy, release
from .source import atomic_write, read_source, sources

# Live widgets have random ids and no state in a file: the text/html twin that each carries is what is stored.
LIVE_ONLY = ("application/vnd.jupyter.widget-view+json",)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="lessonlib build",
        description="Build notebooks from solutions/*/*.py: the executed solution notebook and the learner edition. "
        "A notebook runs only when its source changed since the last build.",
    )
    made.add_argument("lesson", nargs="?", help="for example 05 or vram_budget (default: all)")
    made.add_argument(
        "--check", action="store_true", help="run nothing, write nothing: fail when a build is out of date"
    )
    made.add_argument("--execute", action="store_true", help="run the notebooks even when the source is unchanged")
    return made


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status (1: out of date or a cell failed, 2: a mistake in the command or in the
    fact base)."""
    options = parser().parse_args(argv)
    root = course_root()
    try:
        if root is None:
            raise ValueError("No course folder here or above: change into it.")
        schema.check()
        paths = sources(root, options.lesson)
        if options.check:
            return _check(paths, root)
        for number, path in enumerate(paths, 1):
            print(f"[{number}/{len(paths)}] {path.stem}", flush=True)
            for line in build(path, root, options.execute):
                print(f"    {line}", flush=True)
        if readme.refresh(root):
            print("README.md: badges refreshed", flush=True)
    except ValueError as error:
        print(f"lessonlib build: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"lessonlib build: {error}", file=sys.stderr)
        return 1
    return 0


def build(path: Path, root: Path, execute: bool = False) -> list[str]:
    """Build one source; returns what was done, a line each. RuntimeError names the cell that failed."""
    said = []
    notebook = read_source(path, root)
    solution, learner = built_paths(path, root)
    before = _read(solution)
    if not execute and before is not None and _same_source(before, notebook):
        notebook = before
        said.append("unchanged: the stored outputs are kept")
    else:
        execute_notebook(notebook)
        clean(notebook)
        said.append("executed")
    _write(solution, notebook)
    edition = release(notebook)
    present = _read(learner)
    if present is None or content_hash(present) != content_hash(edition):
        kept = keep_learners_copy(learner, root / "kept" / path.parent.name)
        if kept:
            said.append(f"your changed notebook is kept as {kept.relative_to(root)}")
    _write(learner, edition)
    return said


def built_paths(path: Path, root: Path) -> tuple[Path, Path]:
    """Where the solution notebook and the learner edition of a source stand."""
    return path.with_suffix(".ipynb"), root / "notebooks" / path.parent.name / f"{path.stem}.ipynb"


def clean(notebook) -> None:
    """Drop what differs from run to run or from machine to machine: live widget views, addresses of objects."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for mime in LIVE_ONLY:
                output.get("data", {}).pop(mime, None)
            output.pop("transient", None)
            if "text" in output:
                output.text = re.sub(r"0x[0-9a-f]{8,}", "0x…", output.text)


def _check(paths: list[Path], root: Path) -> int:
    stale = []
    for path in paths:
        solution, learner = built_paths(path, root)
        notebook, built, edition = read_source(path, root), _read(solution), _read(learner)
        if built is None or not _same_source(built, notebook):
            stale.append(f"{path.relative_to(root)} changed since {solution.name} was built")
        elif edition is None or nbformat.writes(release(built)) != nbformat.writes(edition):
            stale.append(f"{learner.relative_to(root)} is not the release of {solution.relative_to(root)}")
    if readme.refresh(root, check=True):
        stale.append("the badges of README.md are not those of [tool.lessonlib] repository")
    for line in stale:
        print(f"out of date: {line}; run lessonlib build", file=sys.stderr)
    if not stale:
        print(f"{len(paths)} notebooks are up to date")
    return 1 if stale else 0


def _same_source(built, notebook) -> bool:
    """Same stored hash, and the built file's own cells really are those of the source."""
    ours = [[c.cell_type, c.id, c.source, c.metadata] for c in notebook.cells]
    theirs = [[c.cell_type, c.id, c.source, c.metadata] for c in built.cells]
    return built.metadata.get("lessonlib") == notebook.metadata.lessonlib and ours == theirs


def _read(path: Path):
    return nbformat.read(path, as_version=4) if path.is_file() else None


def _write(path: Path, notebook) -> None:
    nbformat.validate(notebook)
    atomic_write(path, nbformat.writes(notebook) + "\n")
