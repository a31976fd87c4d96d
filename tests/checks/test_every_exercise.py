"""What must hold for the checks of every exercise, on draws that no learner may be surprised by: right answers pass in any
style, wrong ones hear their own message. The gates (tests/lessons) grade the same answers on the page, with one draw."""

import pytest
import torch

from lessonlib.checks import core, quantization_methods
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties
from lessonlib.course.score import exercise_of

from .answers import EXERCISES, every_exercise

SEEDS = range(3)
ONLY_GRADED = 2  # wrong answers an exercise that may pass its visible check: edge cases, left to the hidden tests


def told(name, answer, seed) -> str | None:
    """What the visible check says; None when it is content."""
    try:
        run_check(name, answer, seed)
    except CheckFailed as error:
        return str(error)


@every_exercise
def test_right_answers_of_any_style_pass_on_every_draw(page, name, monkeypatch):
    answers = {"solution": page.solution(name)}
    answers |= {r.name: page.made(name, r.code) for r in page.right if exercise_of(r.grade_id) == name}
    assert len(answers) >= 3
    for seed in SEEDS:
        if seed:  # what the real model measures does not hang on the draw: once is enough
            monkeypatch.setattr(quantization_methods, "_compare_measured", lambda *_: None)
        for way, answer in answers.items():
            assert told(name, answer, seed) is None, (way, seed)
            assert [r for r in run_properties(name, answer, seed) if not r.passed] == [], (way, seed)


@every_exercise
def test_wrong_answers_hear_their_own_message_on_every_draw(page, name):
    """In the notebook; what only an edge case shows may wait for the grade."""
    late = set()
    for wrong in page.wrong:
        if exercise_of(wrong.grade_id) != name:
            continue
        for seed in SEEDS:
            answer = page.made(name, wrong.code)
            said = told(name, answer, seed)
            if said is None:
                late.add(wrong.name)
                failed = [r.message for r in run_properties(name, answer, seed) if not r.passed]
                said = "\n".join(failed)
            assert wrong.says in said, (wrong.name, seed)
    assert len(late) <= ONLY_GRADED, late


@every_exercise
def test_an_open_gap_is_not_written_yet(page, name):
    def gap(*args, **kwargs):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert {r.message for r in run_properties(name, gap)} == {"not written yet"}


@every_exercise
def test_hints_are_a_ladder_of_three(page, name):
    found = exercise(name)
    assert len(found.hints) == 3 and all(len(hint) > 30 for hint in found.hints)
    assert found.minutes in range(3, 31) and found.properties


@every_exercise
def test_inputs_are_fresh_but_repeatable(page, name, monkeypatch):
    """Of visible and hidden tests together: some pages show the task's own numbers."""
    monkeypatch.setattr(quantization_methods, "_compare_measured", lambda *_: None)
    answer, asked = page.solution(name), []

    def record(*args, **kwargs):
        asked.append([_readable(a) for a in (*args, *kwargs.values())])
        return answer(*args, **kwargs)

    draws = []
    for seed in (1, 1, 2):
        asked.clear()
        told(name, record, seed)
        run_properties(name, record, seed)
        draws.append(repr(asked))
    assert draws[0] == draws[1] != draws[2]


def _readable(value):
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _readable(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_readable(v) for v in value]
    return "a function" if callable(value) else value


def test_every_exercise_of_the_topics_is_on_a_page():
    """None is left out here because its page asks in another way."""
    on_pages = {param.id for param in EXERCISES}
    assert {name.rpartition("_")[0] for name in on_pages} == set(core.TOPICS)
    assert {name for name in core._EXERCISES if name.rpartition("_")[0] in core.TOPICS} == on_pages
