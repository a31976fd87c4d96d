"""The answers to every exercise of the course, as functions: solutions, right answers written otherwise, wrong answers."""

from __future__ import annotations

import ast
import contextlib
import io
import re
from functools import cache, cached_property
from pathlib import Path

import pytest

from lessonlib.course.lint import right_answers, wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.course.source import read_source, sources
from lessonlib.paths import course_root

ROOT = course_root(__file__)
ASKS = re.compile(r'check\("(\w+)", (\w+)')  # in a page's check cell: the exercise, and what the learner made


class Lesson:
    """One page: its exercises, and what its cells made of the names that answers use."""

    def __init__(self, source: Path):
        cells = [c for c in read_source(source, ROOT).cells if c.cell_type == "code"]
        about = [(c.source, c.metadata.get("nbgrader", {})) for c in cells]
        self.asked = dict(found.groups() for text, it in about if it.get("grade") and (found := ASKS.search(text)))
        self.solutions = {
            exercise_of(it.grade_id): text
            for text, it in about
            if it.get("solution") and exercise_of(it.grade_id) in self.asked
        }
        self.wrong = [w for w in wrong_answers(source) if exercise_of(w.grade_id) in self.asked]
        self.right = [r for r in right_answers(source) if exercise_of(r.grade_id) in self.asked]
        self._source, self._texts = source, [text for text, _ in about]

    @cached_property
    def names(self) -> dict:
        """All imports of the page and its solutions, run."""
        space: dict = {}
        for text in self._texts:
            imports = [n for n in ast.parse(text).body if isinstance(n, ast.Import | ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), self._source.name, "exec"), space)
        for text in self.solutions.values():
            _run(text, space)
        return space

    def made(self, exercise: str, code: str):
        """What `code` in place of the exercise's cell gives the check."""
        space = dict(self.names)
        _run(code, space)
        return space[self.asked[exercise]]

    def solution(self, exercise: str):
        """The solution, as the check gets it."""
        return self.made(exercise, self.solutions[exercise])


def _run(code: str, space: dict) -> None:
    with contextlib.redirect_stdout(io.StringIO()):  # exercise cells show their hints
        exec(code, space)


@cache
def lesson(source: Path) -> Lesson:
    """A page, read once."""
    return Lesson(source)


EXERCISES = [
    pytest.param(lesson(path), name, id=name, marks=getattr(pytest.mark, f"l{path.parent.name[:2]}"))
    for path in sources(ROOT, None)
    for name in lesson(path).asked
]
every_exercise = pytest.mark.parametrize(("page", "name"), EXERCISES)
