"""hand_in() writes one file with the notebooks of an assignment; the grader takes it in, and refuses what is none."""

import io
import json
import os
import sys
import zipfile
from types import ModuleType, SimpleNamespace

import pytest

from lessonlib import page
from lessonlib.commands import grade
from lessonlib.grading import handed_in
from lessonlib.grading.intake import Refused

from .conftest import tiny_course


def book(name: str, words: str = "x = 1") -> dict:
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": words, "outputs": [], "execution_count": None}
    about = {"lessonlib": {"id": name}} if name else {}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": [cell]}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with two notebooks of one assignment, one of another, a broken one; the kernel belongs to the first."""
    desk = tmp_path / "desk"
    desk.mkdir()
    for file, name in (("small", "hw/small"), ("big", "hw/big"), ("other", "05_kv_cache")):
        (desk / f"{file}.ipynb").write_text(json.dumps(book(name)))
    (desk / "broken.ipynb").write_text("{")
    monkeypatch.setenv("JPY_SESSION_NAME", str(desk / "small.ipynb"))
    monkeypatch.setenv("LESSON_SEED", "ada")
    return desk


def made(desk):
    return sorted(desk.glob("*.zip"))


def test_one_file_with_all_notebooks_of_the_assignment(desk, capsys):
    page.hand_in()
    [path] = made(desk)
    assert path.name.startswith("hw-ada-") and path.name in capsys.readouterr().out
    found = handed_in.read(path)
    assert (found.student, found.assignment) == ("ada", "hw") and found.at.endswith(" UTC")
    assert found.notebooks == {f"{n}.ipynb": (desk / f"{n}.ipynb").read_bytes() for n in ("small", "big")}
    page.hand_in("grace")
    page.hand_in("grace")
    assert len(made(desk)) == 3 and not list(desk.glob("*.part"))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (dict(name="root"), "Give your name"), (dict(name="a/b"), "names a folder"), (dict(name="a b"), "no spaces"),
        (dict(notebook="none.ipynb"), "There is no notebook"), (dict(notebook="broken.ipynb"), "is no notebook"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(desk, monkeypatch, call, sentence):
    monkeypatch.chdir(desk)
    with pytest.raises(ValueError, match=sentence) as caught:
        page.hand_in(**call)
    assert caught.value._render_traceback_() == [f"ValueError: {caught.value}"] and not made(desk)


def test_without_a_session_the_only_notebook_is_taken(desk, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    monkeypatch.chdir(desk)
    with pytest.raises(ValueError, match="Which notebook"):
        page.hand_in()
    for name in ("big", "other", "broken"):
        (desk / f"{name}.ipynb").unlink()
    page.hand_in()
    assert list(handed_in.read(made(desk)[0]).notebooks) == ["small.ipynb"]


def test_in_colab_the_open_notebook_is_asked_for(desk, monkeypatch, tmp_path):
    asked = []
    colab = ModuleType("google.colab")
    colab._message = SimpleNamespace(
        blocking_request=lambda what, timeout_sec: asked.append(what) or {"ipynb": book("hw/small", "y = 2")}
    )
    monkeypatch.setitem(sys.modules, "google", ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.chdir(tmp_path)
    page.hand_in("ada")
    [data] = handed_in.read(made(tmp_path)[0]).notebooks.values()
    assert json.loads(data)["cells"][0]["source"] == "y = 2" and asked == ["get_ipynb"]


def test_a_notebook_without_a_lesson_counts_by_its_folder(desk):
    (desk / "mine.ipynb").write_text(json.dumps(book("")))
    page.hand_in("ada", desk / "mine.ipynb")
    found = handed_in.read(made(desk)[0])
    assert found.assignment == "desk" and list(found.notebooks) == ["mine.ipynb"]


def submitted(course, name):
    return course / "submitted" / "ada" / "hw" / name


def test_the_grader_takes_it_in_and_loses_nothing(desk, tmp_path, capsys):
    course = tiny_course(tmp_path / "course", ("small", "big"))
    take = ["take-in", "--course", str(course)]
    (desk / "big.ipynb").unlink()
    page.hand_in()
    [first] = made(desk)
    assert grade.main([*take, str(first)]) == 0
    assert submitted(course, "small.ipynb").read_bytes() == (desk / "small.ipynb").read_bytes()
    assert submitted(course, "timestamp.txt").read_text() == handed_in.read(first).at
    (desk / "big.ipynb").write_text(json.dumps(book("hw/big")))  # later, another notebook of the assignment
    page.hand_in()
    second = next(p for p in made(desk) if p != first)
    capsys.readouterr()
    assert grade.main([*take, str(second)]) == 0
    assert capsys.readouterr().out == "ada, hw: big.ipynb (the rest was there already)\n"
    (desk / "small.ipynb").write_text(json.dumps(book("hw/small", "x = 2")))
    page.hand_in()
    third = next(p for p in made(desk) if p not in (first, second))
    assert grade.main([*take, str(third)]) == 1
    assert "add --update" in capsys.readouterr().out
    old = submitted(course, "small.ipynb").read_bytes()
    assert grade.main([*take, "--update", "--json", str(third)]) == 0
    assert json.loads(capsys.readouterr().out)["taken_in"][0]["taken"] == ["small.ipynb"]
    [kept] = (course / "replaced").rglob("small.ipynb")
    assert kept.read_bytes() == old and b"x = 2" in submitted(course, "small.ipynb").read_bytes()
    assert grade.main([*take, "--student", "bob", str(third)]) == 0
    assert (course / "submitted" / "bob" / "hw" / "small.ipynb").is_file()
    assert grade.main([*take, "--student", "bob", str(first), str(third)]) == 2


def packed(tmp_path, files: dict, **changes):
    """A zip as hand_in() makes it, with something changed."""
    import hashlib

    manifest = {
        "format": 1, "assignment": "hw", "student": "ada", "at": "2026-11-27 10:00:00.000000 UTC",
        "notebooks": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    } | changes  # fmt: skip
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("handed_in.json", json.dumps(manifest))
        for name, data in files.items():
            made.writestr(name, data)
    return path


GOOD = json.dumps(book("hw/small")).encode()


@pytest.mark.parametrize(
    ("files", "changes", "sentence"),
    [
        ({"small.ipynb": GOOD}, {"notebooks": {"small.ipynb": "0"}}, "checksum differs"),
        ({"small.ipynb": GOOD}, {"notebooks": {}}, "does not hold the notebooks"),
        ({"../small.ipynb": GOOD}, {}, "must not have"),
        ({"a/small.ipynb": GOOD}, {}, "must not have"),
        ({"small.py": GOOD}, {}, "which is no notebook"),
        ({"small.ipynb": b"{}"}, {}, "nbformat"),
        ({"small.ipynb": b" " * (21 * 2**20)}, {}, "the most that is read"),
        ({"small.ipynb": GOOD}, {"student": "../ada"}, "must not have"),
        ({"small.ipynb": GOOD}, {"student": 5}, "of this version"),
        ({"small.ipynb": GOOD}, {"at": "yesterday"}, "yesterday"),
        ({f"{n}.ipynb": GOOD for n in range(60)}, {}, "61 files"),
    ],
)
def test_what_was_not_made_by_hand_in_is_refused(tmp_path, files, changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        handed_in.read(packed(tmp_path, files, **changes))


def test_what_is_no_zip_or_breaks_off_is_refused(tmp_path):
    path = packed(tmp_path, {"small.ipynb": GOOD})
    whole = path.read_bytes()
    for data in (b"", b"PK", whole[:-30], whole[:60] + bytes(40) + whole[100:]):
        path.write_bytes(data)
        with pytest.raises(Refused):
            handed_in.read(path)
    with zipfile.ZipFile(io.BytesIO(), "w"):
        pass
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("small.ipynb", GOOD)
    with pytest.raises(Refused, match="was not made by hand_in"):
        handed_in.read(path)


def test_links_and_unknown_notebooks_are_refused(tmp_path):
    from lessonlib.grading.course import Course

    course = Course(tiny_course(tmp_path / "course"))
    found = handed_in.read(packed(tmp_path, {"other.ipynb": GOOD}))
    with pytest.raises(Refused, match="has no notebook other.ipynb"):
        handed_in.take_in(course, found)
    found = handed_in.read(packed(tmp_path, {"small.ipynb": GOOD}))
    (course.root / "submitted").mkdir(exist_ok=True)
    os.symlink(tmp_path, course.root / "submitted" / "ada")
    with pytest.raises(Refused, match="is a link"):
        handed_in.take_in(course, found)
    assert not (tmp_path / "hw").exists()
