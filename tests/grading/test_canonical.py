"""The instructor's notebook decides; a submission contributes answers, found by id, text, names or place."""

from __future__ import annotations

import copy
import json

import pytest

from lessonlib.grading.canonical import bound_names, merge, regions, snapshot, student_part, used_names

from .attacks.assignment import DOUBLE, SECRET, WRITTEN, cell_of, instructor, released, submission
from .attacks.corpus import STRUCTURE


@pytest.fixture(scope="module")
def shot():
    return snapshot(instructor(), release=released())


def sources(merged: dict) -> dict:
    return {c["index"]: c["source"] for c in merged["cells"] if c["kind"] in ("solution", "manual", "test")}


def test_a_snapshot_is_plain_json(shot):
    assert json.loads(json.dumps(shot)) == shot
    kinds = [c["kind"] for c in shot["cells"]]
    assert kinds == ["text", "plain", "solution", "test", "test", "solution", "test", "test", "manual"]
    assert shot["allowed"] == ["double", "even"] and shot["preload"] == ["math"]
    assert sum(c["points"] for c in shot["cells"]) == 9
    assert [c["names"] for c in shot["cells"] if c["kind"] == "test"] == [["double"], ["double"], ["even"], ["even"]]


def test_what_the_submission_side_gets_holds_no_secret(shot):
    text = json.dumps(student_part(shot))
    assert "helper" in text and str(SECRET) not in text and "2 * x" not in text and "assert" not in text


def test_answers_are_taken_and_tests_are_not(shot):
    book = submission(double="def double(x):\n    return 1\n")
    cell_of(book, "double_check")["source"] = "pass"
    merged = merge(shot, book)
    found = sources(merged)
    assert "return 1" in found[2] and "assert double(2)" in found[3] and str(SECRET) in found[4]
    assert found[8] == WRITTEN
    assert any("double_check was changed" in n for n in merged["notes"])


@pytest.mark.parametrize("attack", STRUCTURE, ids=lambda a: a.name)
def test_points_order_and_tests_never_come_from_a_submission(shot, attack):
    merged = merge(shot, attack.notebook())
    canonical = [c for c in merged["cells"] if c["index"] is not None]
    assert [c["index"] for c in canonical] == [c["index"] for c in shot["cells"]]
    for cell, own in zip(canonical, shot["cells"], strict=True):
        if own["kind"] == "test":
            assert cell["source"] == own["source"]


def test_own_cells_run_where_they_stood(shot):
    book = submission()
    book["cells"].insert(2, {"cell_type": "code", "metadata": {}, "source": "mine = 1", "id": "new"})
    book["cells"].insert(0, {"cell_type": "code", "metadata": {}, "source": "first = 1", "id": "new2"})
    merged = merge(shot, book)
    order = [(c["kind"], c["index"]) for c in merged["cells"]]
    assert order[0] == ("free", None) and order[3] == ("free", None)
    assert [c["source"] for c in merged["cells"] if c["kind"] == "free"] == ["first = 1", "mine = 1"]


def test_a_changed_plain_cell_runs_beside_the_original(shot):
    book = submission()
    book["cells"][1]["source"] += "\nLIMIT = 20"
    merged = merge(shot, book)
    assert [c["kind"] for c in merged["cells"]][1:3] == ["plain", "free"]
    assert any("was changed: it ran beside" in n for n in merged["notes"])


def test_lost_metadata(shot):
    book = submission()
    for cell in book["cells"]:
        cell["metadata"] = {}
        del cell["id"]
    merged = merge(shot, book)
    found = sources(merged)
    assert found[2] == DOUBLE and found[8] == WRITTEN
    assert not any(c["kind"] == "free" for c in merged["cells"])


def test_of_two_lost_definitions_the_last_counts(shot):
    book = submission(double="def double(x):\n    return 'first'\n")
    for cell in book["cells"]:
        cell["metadata"] = {}
        del cell["id"]
    second = copy.deepcopy(book["cells"][2])
    second["source"] = DOUBLE
    book["cells"].append(second)
    assert sources(merge(shot, book))[2] == DOUBLE


def test_a_missing_answer_is_empty_and_noted(shot):
    book = submission()
    book["cells"].remove(cell_of(book, "double"))
    merged = merge(shot, book)
    assert sources(merged)[2] == "" and "the cell double is missing" in merged["notes"]


def test_names_of_plain_cells_imports_and_builtins_are_not_taken():
    book = instructor()
    cell_of(book, "double")["source"] = (
        "import json\nimport numpy as np\nlen = 3\nhelper = 5\ndef double(x):\n    return x\n"
    )
    shot = snapshot(book)
    assert shot["allowed"] == ["double", "even"] and shot["not_taken"] == ["helper"]
    assert shot["imports"] == ["import json", "import numpy as np"]


def test_cells_that_depend_on_answers():
    book = instructor()
    plain = {"cell_type": "code", "metadata": {}, "outputs": []}
    book["cells"].insert(3, {**plain, "source": "four = double(2)"})
    book["cells"].insert(4, {**plain, "source": "print(double(3))"})
    cell_of(book, "double_check")["source"] = "assert four == 4"
    shot = snapshot(book)
    flags = {c["source"]: (c["depends"], c["verifier"]) for c in shot["cells"] if c["kind"] == "plain"}
    assert flags["four = double(2)"] == (True, True) and flags["print(double(3))"] == (True, False)
    assert len(student_part(shot)) == 1


def test_names():
    assert bound_names("import a.b, c as d\nx, *y = 1, 2\nfor i in y: pass\ndef f():\n    global g\n    g = 1\n    h = 2\n") == {
        "a", "d", "x", "y", "i", "f", "g"
    }  # fmt: skip
    assert {"f", "q", "z"} <= used_names("%time f(q)\ndef g(p):\n    return z + p\n")
    assert "p" not in used_names("def g(p):\n    return z + p\n")
    assert bound_names("def (") == set() and used_names("x = = 1") == set()


def test_two_equal_grade_ids_of_the_instructor_are_refused():
    book = instructor()
    book["cells"].append(copy.deepcopy(cell_of(book, "double")))
    with pytest.raises(ValueError, match="Two cells"):
        snapshot(book)


def test_regions_are_found_as_nbgrader_finds_them():
    source = "a\n# BEGIN X here\nb\n  ## END X\nc\nBEGIN X\nd"
    assert regions(source, "BEGIN X", "END X") == [[2, 4], [6, 7]]
    assert regions("a\nEND X\nb", "BEGIN X", "END X") == []


def test_points_and_tests_of_a_gradebook_win():
    shot = snapshot(instructor(), source_cells={"double_check": "assert double(3) == 6"}, points={"double_check": 5.0})
    cell = next(c for c in shot["cells"] if c["grade_id"] == "double_check")
    assert cell["points"] == 5 and cell["source"] == "assert double(3) == 6"
