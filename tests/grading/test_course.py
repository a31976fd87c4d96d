"""Any nbgrader course: its configuration, folders, gradebook, and the snapshot of an assignment."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest

from lessonlib.grading.course import Course

from .attacks.assignment import SECRET, instructor

CONFIG = "c = get_config()\nc.CourseDirectory.course_id = 'tiny'\n"


def write_course(root: Path, config: str = CONFIG, source: str = "source", change=None) -> Path:
    """A course with the tiny assignment as a maker of stock nbgrader would have it."""
    book = copy.deepcopy(instructor())
    book["metadata"] = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    for cell in book["cells"]:
        if about := cell["metadata"].get("nbgrader"):
            about |= {"schema_version": 3, "locked": not about["solution"], "task": False}
    if change:
        change(book)
    path = root / source / "tiny" / "tiny.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(book), encoding="utf-8")
    (root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The tiny course, registered in its gradebook."""
    root = write_course(tmp_path_factory.mktemp("course"))
    (root / "source" / "tiny" / "numbers.csv").write_text("1,2\n")
    (root / "source" / "tiny" / "wrong_answers.py").write_text("WRONG_ANSWERS = ['x']\n")
    made = Course(root)
    made.register("tiny")
    return made


def cell(shot: dict, grade_id: str) -> dict:
    return next(c for c in shot["cells"] if c["grade_id"] == grade_id)


def test_defaults_are_nbgraders(course):
    assert course.assignments() == ["tiny"] and course.notebooks("tiny") == ["tiny"]
    assert course.folder("submitted", "tiny", "ada") == course.root / "submitted" / "ada" / "tiny"
    assert course.reports("tiny") == course.root / "reports" / "tiny"
    assert course.db_url == f"sqlite:///{course.root / 'gradebook.db'}"


def test_folder_names_come_from_the_configuration(tmp_path):
    config = (
        CONFIG + "c.CourseDirectory.source_directory = 'quellen'\nc.CourseDirectory.autograded_directory = 'g/auto'\n"
    )
    made = Course(write_course(tmp_path, config, "quellen"))
    assert made.assignments() == ["tiny"] and made.reports("tiny") == tmp_path / "g" / "reports" / "tiny"


def test_the_snapshot_has_tests_points_and_hidden_lines(course):
    shot = course.snapshot("tiny", "tiny")
    hidden = cell(shot, "double_hidden")
    assert [c["points"] for c in shot["cells"] if c["points"]] == [1, 2, 1, 3, 2]
    assert hidden["hidden"] == [[2, 8]] and str(SECRET) in hidden["source"] and str(SECRET) not in hidden["visible"]
    assert shot["notes"] == [] and hidden["nbgrader"]["schema_version"] == 3
    assert json.loads(json.dumps(shot)) == shot


def test_released_tests_count_until_they_are_released_anew(course):
    path = course.root / "source" / "tiny" / "tiny.ipynb"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("assert double(2) == 4", "assert double(2) == 5"), encoding="utf-8")
    try:
        shot = course.snapshot("tiny", "tiny")
    finally:
        path.write_text(before, encoding="utf-8")
    assert "double(2) == 4" in cell(shot, "double_check")["source"]
    assert len(shot["notes"]) == 1 and "double_check" in shot["notes"][0]


def test_a_new_graded_cell_must_be_released_first(course):
    path = course.root / "source" / "tiny" / "tiny.ipynb"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace('"double_check"', '"double_new"'), encoding="utf-8")
    try:
        with pytest.raises(ValueError, match="double_new.*generate_assignment tiny --force"):
            course.snapshot("tiny", "tiny")
    finally:
        path.write_text(before, encoding="utf-8")


def test_the_untouched_edition_has_neither_answers_nor_hidden_tests(course):
    def answered(book):
        answer = next(c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "double")
        answer["source"] = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"

    path = course.root / "source" / "tiny" / "tiny.ipynb"
    before = path.read_text(encoding="utf-8")
    book = json.loads(before)
    answered(book)
    path.write_text(json.dumps(book), encoding="utf-8")
    try:
        text = json.dumps(course.untouched("tiny", "tiny"))
    finally:
        path.write_text(before, encoding="utf-8")
    assert "return 2 * x" not in text and str(SECRET) not in text and "raise NotImplementedError" in text


def test_other_delimiters_and_a_header(tmp_path):
    config = CONFIG + (
        "c.ClearHiddenTests.begin_test_delimeter = 'VON HIER'\nc.ClearHiddenTests.end_test_delimeter = 'BIS HIER'\n"
        "c.IncludeHeaderFooter.header = 'source/header.ipynb'\n"
    )

    def german(book):
        for c in book["cells"]:
            c["source"] = c["source"].replace("BEGIN HIDDEN TESTS", "VON HIER").replace("END HIDDEN TESTS", "BIS HIER")

    made = Course(write_course(tmp_path, config, change=german))
    header = {"cell_type": "code", "metadata": {}, "source": "HEAD = 1", "outputs": [], "execution_count": None}
    (tmp_path / "source" / "header.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [header]}), encoding="utf-8"
    )
    source = made.solution("tiny", "tiny")
    assert source["cells"][0]["source"] == "HEAD = 1"
    hidden = next(c for c in source["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "double_hidden")
    assert "VON HIER" in hidden["source"]
    assert str(SECRET) not in json.dumps(made.untouched("tiny", "tiny"))


def test_data_files_come_along_and_answers_do_not(course):
    with course.data("tiny") as folder:
        assert [p.name for p in folder.iterdir()] == ["numbers.csv"]
        assert folder.stat().st_mode & 0o777 == 0o755
    assert not folder.exists()
    assert course.wrong_answers("tiny") == ["x"]


def test_students_are_folders_with_good_names(course):
    top = course.root / "submitted"
    for name in ("ada", "bob", "new\nline"):
        (top / name / "tiny").mkdir(parents=True)
    (top / "nothing").mkdir()
    os.symlink(top / "ada", top / "eve")
    found, odd = course.students("tiny")
    assert found == ["ada", "bob"] and len(odd) == 2
    assert any("eve" in o and "link" in o for o in odd) and any("Rename the folder" in o for o in odd)
    assert course.students("tiny", "a*") == (["ada"], [])


@pytest.mark.parametrize(
    "config, words",
    [
        (None, "holds no nbgrader_config.py"),
        ("1/0", "ZeroDivisionError"),
        ("c = get_config()\nc.CourseDirectory.directory_structure = '{student_id}'", "directory_structure is"),
        (CONFIG + "c.CourseDirectory.db_url = 'nosuch://me:geheim@there/x'", r"nosuch://me:\*\*\*@there"),
        (CONFIG + "c.CourseDirectory.db_url = 'sqlite:////proc/none/gradebook.db'", "/proc/none"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, config, words):
    if config is not None:
        write_course(tmp_path, config)
    with pytest.raises(ValueError, match=words) as caught:
        Course(tmp_path).gradebook()
    assert "geheim" not in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_assignment_suggests_the_nearest(course):
    with pytest.raises(ValueError, match="Did you mean 'tiny'"):
        course.assignment("tinny")


def test_a_notebook_in_another_language_is_refused(tmp_path):
    def in_r(book):
        book["metadata"]["kernelspec"] = {"name": "ir", "language": "R"}

    with pytest.raises(ValueError, match="written for r"):
        Course(write_course(tmp_path, change=in_r)).solution("tiny", "tiny")
