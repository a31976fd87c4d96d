"""The fork server: plain cells run once, children are fresh and reproducible, and secrets stay on the verifier's side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lessonlib.grading import canonical, engine, intake, zygote

from .test_engine import LIMITS, needs_sandbox

pytestmark = needs_sandbox


def notebook(*cells) -> dict:
    """A notebook of (source, grade id or None, nbgrader's flags)."""
    made = []
    for source, grade_id, about in cells:
        metadata = {"nbgrader": {"grade_id": grade_id, **about}} if grade_id else {}
        made.append({"cell_type": "code", "metadata": metadata, "source": source, "outputs": []})
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}


ANSWER, TEST = {"solution": True}, {"grade": True, "points": 1}
BOOK = notebook(
    ("import random\nrandom.seed(3)\nn = 1\nlate = 'a'", None, {}),
    ("def f(x):\n    return x + n", "f", ANSWER),
    ("assert f(1) == 2 and n == 1 and late == 'a'", "t1", TEST),
    ("n = 5\ndel late\nprint('ran')", None, {}),
    ("assert f(1) == 6 and n == 5", "t2", TEST),
    ("def g():\n    return random.random()", "g", ANSWER),
    ("value = random.Random(3).random()\nassert g() == value", "t3", TEST),
    ("try:\n    late\nexcept NameError:\n    pass\nelse:\n    assert False", "t4", TEST),
)


@pytest.fixture(scope="module")
def grader():
    with engine.Grader(canonical.snapshot(BOOK), LIMITS) as made:
        yield made


def graded(grader, book=BOOK) -> dict:
    return grader.grade(intake.parse(json.dumps(book).encode())[0])


def test_names_and_random_numbers_are_those_of_the_place_in_the_notebook(grader):
    """Plain cells were run beforehand, all of them; yet each test sees what stood above it."""
    for _ in range(2):
        record = graded(grader)
        assert {c["id"]: c["points"] for c in record["cells"]} == {"t1": 1, "t2": 1, "t3": 1, "t4": 1}


def test_outputs_of_plain_cells_are_in_the_graded_notebook(grader):
    cells = graded(grader)["notebook"]["cells"]
    assert cells[3]["outputs"][0]["text"] == "ran\n"


def test_submissions_do_not_see_each_other(grader):
    book = json.loads(json.dumps(BOOK))
    book["cells"][1]["source"] = "import builtins\nbuiltins.leak = 1\nrandom.leak = 1\n" + book["cells"][1]["source"]
    assert graded(grader, book)["score"] == 4
    book["cells"][1]["source"] = (
        "import builtins\nassert not hasattr(builtins, 'leak') and not hasattr(random, 'leak')\n"
        + BOOK["cells"][1]["source"]
    )
    assert graded(grader, book)["score"] == 4


def test_cells_that_start_threads_run_in_each_sandbox():
    book = notebook(
        (
            "import threading, time\nt = threading.Thread(target=time.sleep, args=(9,), daemon=True)\nt.start()\nk = 4",
            None,
            {},
        ),
        ("def f():\n    return k", "f", ANSWER),
        ("assert f() == 4", "t", TEST),
    )
    with engine.Grader(canonical.snapshot(book), LIMITS) as grader:
        assert any("start threads" in note for note in grader.notes)
        assert graded(grader, book)["score"] == 1


def test_an_instructor_whose_solution_fails_is_told():
    book = notebook(("x = 1", "s", ANSWER), ("assert x == 2", "t", TEST))
    with engine.Grader(canonical.snapshot(book), LIMITS) as grader:
        assert [row[:2] for row in grader.failing] == [[1, "AssertionError"]]


def test_recorded_plain_cells_are_put_back_exactly():
    class Shell:
        names = {"a": 1}

        def run(self, source, limit):
            exec(source, self.names)
            self.names.pop("__builtins__")
            return {"outputs": [], "error": None, "seconds": 0}

    shell, plain = Shell(), zygote.Plain()
    plain.run(shell, [{"index": 0, "source": "b = 2", "limit": 1}, {"index": 1, "source": "del a; b = 3", "limit": 1}])
    assert shell.names == {"a": 1}
    assert plain.apply(shell, 0) and shell.names == {"a": 1, "b": 2}
    assert plain.apply(shell, 1) and shell.names == {"b": 3}
    assert not plain.apply(shell, 7)


def test_a_server_that_ends_at_once_says_why(monkeypatch):
    monkeypatch.setattr(zygote.sandbox, "command", lambda inner, **more: ["sh", "-c", "echo 'no room' >&2; exit 1"])
    process, control = zygote.launch({"plain": []})
    with pytest.raises(RuntimeError, match="did not start: no room"):
        zygote.answer(process, control)
    assert process.poll() == 1


def test_nbgrader_comes_without_the_grammar_that_takes_a_second():
    code = (
        "import sys; from lessonlib.grading.record import load_nbgrader; load_nbgrader(); "
        "print('nbgrader.utils' in sys.modules, 'rfc3987_syntax' in sys.modules); import nbformat; "
        "nbformat.validate(nbformat.v4.new_notebook()); print('valid')"
    )
    root = str(Path(zygote.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["True", "False", "valid"], done.stderr
