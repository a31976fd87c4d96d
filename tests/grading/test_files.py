"""Files that come with a notebook are there for the submission, and only there."""

from __future__ import annotations

import base64
import json

import pytest

from lessonlib.grading import canonical, engine, intake

from .attacks.assignment import instructor, points, released, submission

pytestmark = pytest.mark.sandbox


def encoded(**files: str) -> dict:
    return {name.replace("__", "."): base64.b64encode(text.encode()).decode() for name, text in files.items()}


@pytest.fixture(scope="module")
def grader(tmp_path_factory):
    """The tiny assignment with a file of the instructor's."""
    data = tmp_path_factory.mktemp("data")
    data.chmod(0o755)
    (data / "given.txt").write_text("2")
    with engine.Grader(canonical.snapshot(instructor(), release=released()), data=data) as made:
        yield made


def graded(grader, code: str, files: dict) -> tuple:
    notebook = intake.parse(json.dumps(submission(double=code)).encode())[0]
    record = grader.grade(notebook, files)
    return points(record)


def test_a_module_of_the_students_can_be_imported(grader):
    code = "import helper_of_mine\ndef double(x):\n    return helper_of_mine.twice(x)"
    assert graded(grader, code, encoded(helper_of_mine__py="def twice(x):\n    return 2 * x")) == (3, 4)
    assert graded(grader, code, {}) == (0, 4)  # and it is gone for the next


def test_the_instructors_file_of_the_same_name_stays(grader):
    code = "def double(x):\n    return int(open('given.txt').read()) * x"
    assert graded(grader, code, encoded(given__txt="3")) == (3, 4)


def test_a_module_does_not_reach_the_tests(grader):
    files = encoded(math__py="raise SystemExit", unittest__py="raise SystemExit")
    assert graded(grader, "def double(x):\n    return 2 * x", files) == (3, 4)


@pytest.mark.parametrize("name", ["../../x.txt", "/tmp/x.txt", "a/../../../etc/x"])
def test_paths_stay_in_the_sandbox(grader, name):
    files = {name: base64.b64encode(b"x").decode()}
    notebook = intake.parse(json.dumps(submission()).encode())[0]
    record = grader.grade(notebook, files)
    assert record["status"] in ("graded", "failed")
    assert points(grader.grade(notebook)) == (3, 4)  # the server goes on
