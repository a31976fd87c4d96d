"""Scoring without a kernel agrees with nbgrader's rule."""

import pytest

from lessonlib.course.build import built_paths, main
from lessonlib.course.score import exercise_of, score


@pytest.mark.parametrize(
    "grade_id, exercise",
    [("l05_e2_attend", "l05_e2"), ("l05_e2_check", "l05_e2"), ("l16_vram_e1_hidden", "l16_vram_e1")],
)
def test_exercise_of(grade_id, exercise):
    assert exercise_of(grade_id) == exercise


def test_scores(course, source):
    assert main([]) == 0
    answers = [
        "return 2 * x",
        "return 4",
        "raise NotImplementedError",
        "import sys; sys.stderr.write('!'); return 2 * x",
    ]
    answers = [{"grade_id": "l91_e1_twice", "code": f"def twice(x):\n    {line}\n"} for line in answers]
    result = score(built_paths(source, course)[0], answers)
    points = [[cells[f"l91_e1_{part}"][0] for part in ("check", "hidden")] for cells in result["answers"]]
    assert [row[:2] for row in result["solution"].values()] == [[1, 1], [4, 4]]
    assert points == [[1, 4], [1, 1], [0, 0], [0, 0]]  # stderr gives nothing, as in nbgrader


def test_a_broken_notebook_says_why(tmp_path):
    (tmp_path / "x.ipynb").write_text("no notebook", encoding="utf-8")
    with pytest.raises(RuntimeError, match="x.ipynb failed"):
        score(tmp_path / "x.ipynb", [])
