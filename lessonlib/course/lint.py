"""`lessonlib lint`: the rules of CONTRIBUTING.md, on every page."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections import Counter
from pathlib import Path

import nbformat

from ..facts import schema
from ..paths import course_root
from .build import built_paths
from .rules import RULES, Page
from .source import read_source, sources


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(
        prog="lessonlib lint", description="Check pages against the rules of CONTRIBUTING.md."
    )
    made.add_argument("lesson", nargs="?", help="for example 05 or vram_budget (default: all)")
    return made


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status (1: a rule is broken, 2: a mistake in the command)."""
    options = parser().parse_args(argv)
    root = course_root()
    try:
        if root is None:
            raise ValueError("No course folder here or above: change into it.")
        pages = [read_page(path, root) for path in sources(root, options.lesson)]
        lines = [line for page in pages for line in findings(page)] + shared_ids(pages) + schema.all_problems()
    except ValueError as error:
        print(f"lessonlib lint: {error}", file=sys.stderr)
        return 2
    for line in lines:
        print(line)
    if not lines:
        print(f"{len(pages)} pages keep the {len(RULES)} rules")
    return 1 if lines else 0


def read_page(path: Path, root: Path) -> Page:
    """A page with what is built of it and its wrong and right answers."""
    built = [nbformat.read(p, as_version=4) if p.is_file() else None for p in built_paths(path, root)]
    return Page(path, root, read_source(path, root), *built, wrong=wrong_answers(path), right=right_answers(path))


def findings(page: Page) -> list[str]:
    """`file: cell: rule: sentence` for everything that breaks a rule."""
    found = []
    for name, rule in RULES.items():
        found += [f"{page.path.name}: {cell}: {name}: {sentence}" for cell, sentence in rule(page)]
    return found


def shared_ids(pages: list[Page]) -> list[str]:
    """Grade ids are unique in the course, not only on their page."""
    names = [
        (cell.metadata.nbgrader.grade_id, page.path.name)
        for page in pages
        for cell in page.source.cells
        if "nbgrader" in cell.metadata
    ]
    counts = Counter(name for name, _ in names)
    return [
        f"{file}: {name}: ids: the grade id is used {counts[name]} times" for name, file in names if counts[name] > 1
    ]


def wrong_answers(source: Path) -> list:
    """The wrong answers that replace a cell of this notebook, from wrong_answers.py beside it."""
    return _beside(source, "wrong_answers")


def right_answers(source: Path) -> list:
    """The right answers, written otherwise, that replace a cell of this notebook, from right_answers.py beside it."""
    return _beside(source, "right_answers")


def _beside(source: Path, kind: str) -> list:
    path = source.with_name(f"{kind}.py")
    if not path.is_file():
        return []
    spec = importlib.util.spec_from_file_location(f"{kind}_{source.parent.name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = source.read_text(encoding="utf-8")
    return [answer for answer in getattr(module, kind.upper()) if f'"{answer.grade_id}"' in text]
