"""The teeth of a lesson's checks, measured: the solution, the open gap, each named wrong answer, each right answer written
otherwise, and mutants of the solution go through the same visible and hidden tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import yaml

from .build import built_paths
from .lint import right_answers, wrong_answers
from .mutants import BEGIN, mutants
from .score import exercise_of, score
from .source import read_source

LIMIT = 20.0  # seconds for one answer: a mutant may never end
GOAL = 0.97  # share of the mutants, those judged equivalent left out, that the tests must tell from the solution
EQUIVALENT = "equivalent_mutants.yaml"


@dataclass
class Exercise:
    """What one exercise's tests caught. `survivors` are mutants that earn full points and are not judged equivalent:
    (operator, name); `equivalent` are those judged so, with the reason."""

    id: str
    grade_id: str
    points: float
    named: int = 0
    other_ways: int = 0
    mutants: int = 0
    killed: int = 0
    survivors: list[tuple[str, str]] = field(default_factory=list)
    equivalent: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Teeth:
    """A lesson's exercises, and in sentences what is wrong with them."""

    lesson: str
    exercises: list[Exercise]
    problems: list[str]


def measure(
    source: Path, root: Path, with_mutants: bool = True, say: Callable[[str], None] = lambda text: None
) -> Teeth:
    """Measure the teeth of the lesson at `source`, whose notebook must be built. `say` hears what is being done.

    Mutants judged equivalent stand in equivalent_mutants.yaml beside the source: {grade id: {name: reason}}. One that is
    listed there and does not exist, or is caught, is a problem: the judgement was about another solution."""
    cells = {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in read_source(source, root).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")
    }
    built, learner = built_paths(source, root)
    if not built.is_file() or not learner.is_file():
        raise ValueError(f"{source.stem} is not built: run lessonlib build {source.stem}.")
    answers = [("untouched", "", grade_id, code) for grade_id, code in _gaps(learner).items()]
    named = wrong_answers(source)
    answers += [("named", w.name, w.grade_id, w.code) for w in named]
    answers += [("right", r.name, r.grade_id, r.code) for r in right_answers(source)]
    made = {g: mutants(code) if with_mutants and BEGIN in code else [] for g, code in cells.items()}
    answers += [("mutant", m, grade_id, m.code) for grade_id, found in made.items() for m in found]
    say(f"{source.stem}: {len(cells)} exercises, {len(named)} wrong answers, {sum(map(len, made.values()))} mutants")
    found = score(built, [{"grade_id": g, "code": code} for *_, g, code in answers], limit=LIMIT)
    return _judge(source, cells, answers, named, found)


def _gaps(learner: Path) -> dict[str, str]:
    """{grade id: what a learner finds in the cell}."""
    return {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in nbformat.read(learner, as_version=4).cells
        if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution")
    }


def _judge(source: Path, cells: dict, answers: list, named: list, found: dict) -> Teeth:
    problems, exercises = [], {}
    judged = _equivalent(source)
    says = {(w.grade_id, w.name): w.says for w in named}
    for grade_id in cells:
        tests = {t: row for t, row in found["solution"].items() if exercise_of(t) == exercise_of(grade_id)}
        earned, points = (sum(row[i] or 0 for row in tests.values()) for i in (0, 1))
        exercises[grade_id] = Exercise(exercise_of(grade_id), grade_id, points)
        if earned < points or not points:
            problems.append(f"{grade_id}: the solution earns {earned:g} of {points:g} points")
    for (kind, what, grade_id, _), rows in zip(answers, found["answers"], strict=True):
        exercise = exercises[grade_id]
        earned = sum(row[0] or 0 for row in rows.values())
        said = "\n".join(row[2] for row in rows.values())
        if kind == "untouched" and earned:
            problems.append(f"{grade_id}: the open gap earns {earned:g} points")
        elif kind == "named":
            exercise.named += 1
            if earned >= exercise.points:
                problems.append(f"{grade_id}: the wrong answer {what} earns full points")
            elif says[grade_id, what] not in said:
                problems.append(f"{grade_id}: the wrong answer {what} does not earn {says[grade_id, what]!r}")
        elif kind == "right":
            exercise.other_ways += 1
            if earned < exercise.points:
                problems.append(
                    f"{grade_id}: the right answer {what} earns {earned:g} of {exercise.points:g}: {said.strip()[-300:]}"
                )
        elif kind == "mutant":
            exercise.mutants += 1
            reason = judged.get(grade_id, {}).pop(what.name, None)
            if earned < exercise.points:
                exercise.killed += 1
                if reason is not None:
                    problems.append(f"{grade_id}: {what.name} is called equivalent, but the tests catch it")
            elif reason is not None:
                exercise.equivalent.append((what.name, reason))
            else:
                exercise.survivors.append((what.operator, what.name))
    if any(exercise.mutants for exercise in exercises.values()):
        problems += [
            f"{grade_id}: {name} is called equivalent, but there is no such mutant"
            for grade_id, names in judged.items()
            for name in names
        ]
    return Teeth(source.stem, list(exercises.values()), problems)


def share(exercises: list[Exercise]) -> float | None:
    """Share of the mutants that are caught, those judged equivalent left out; None without mutants."""
    possible = sum(e.mutants - len(e.equivalent) for e in exercises)
    return sum(e.killed for e in exercises) / possible if possible else None


def _equivalent(source: Path) -> dict[str, dict[str, str]]:
    path = source.with_name(EQUIVALENT)
    if not path.is_file():
        return {}
    found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    text = source.read_text(encoding="utf-8")
    for grade_id, names in found.items():
        if not isinstance(names, dict) or not all(isinstance(r, str) and len(r) > 10 for r in names.values()):
            raise ValueError(f"{path.name}: {grade_id} must map names of mutants to the reason why each is equivalent.")
    return {grade_id: dict(names) for grade_id, names in found.items() if f'"{grade_id}"' in text}
