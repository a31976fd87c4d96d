"""`lessonlib lab --lite-check`: open exercises are fine, everything else is not."""

import nbformat
import pytest

from lessonlib import lab, lite_check

CHECK = {"nbgrader": {"grade": True, "grade_id": "l98_e1_check"}}


def notebook(*cells):
    """A notebook of (source, metadata) code cells."""
    made = [nbformat.v4.new_code_cell(source, metadata=metadata) for source, metadata in cells]
    return nbformat.v4.new_notebook(
        cells=made, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )


@pytest.fixture
def course(tmp_path, monkeypatch):
    """Writes a notebook as each of the lessons of the check; returns that function."""
    monkeypatch.setattr(lab, "course_root", lambda: tmp_path)

    def write(made):
        for lesson in lite_check.LESSONS:
            path = tmp_path / "notebooks" / lesson / f"{lesson}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(made, path)
        return path

    return write


def test_open_exercises_pass_and_the_file_stays_as_it_was(course, capsys):
    path = course(notebook(("x = 1", {}), ("raise NotImplementedError", CHECK)))
    before = path.read_bytes()
    assert lab.main(["--lite-check"]) == 0
    out = capsys.readouterr().out
    assert "ok, 1 checks wait for an answer" in out and "Your machine works." in out
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "source, metadata, says",
    [
        ("import nothing_of_that_name", {}, "ModuleNotFoundError: No module named"),
        ("assert False, 'why'", CHECK, "AssertionError: why"),
        ("raise NotImplementedError", {}, "NotImplementedError"),
    ],
)
def test_any_other_error_fails(course, capsys, source, metadata, says):
    course(notebook((source, metadata)))
    assert lab.main(["--lite-check"]) == 1
    shown = capsys.readouterr()
    assert says in shown.err and "1 problem(s)" in shown.out and "Your machine works" not in shown.out


def test_a_missing_lesson_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(lab, "course_root", lambda: tmp_path)
    assert lab.main(["--lite-check"]) == 1
    assert "00_start_here.ipynb is missing" in capsys.readouterr().err


def test_a_dying_kernel_is_a_problem_not_a_traceback(course):
    report = lite_check.run(course(notebook(("import os; os._exit(9)", {}))))
    assert report.problems and "ied" in report.problems[0]


def test_the_peak_is_that_of_the_notebook(course):
    small = lite_check.run(course(notebook(("x = 1", {}))))
    large = lite_check.run(course(notebook(("x = bytearray(200_000_000)", {}))))
    assert small.peak > 10e6 and large.peak - small.peak > 150e6
