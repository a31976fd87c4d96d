"""The benchmarks of teeth and of waiting: records that pages can read, one lesson measured anew, a page with every exercise."""

import importlib.util
import json

import nbformat
import pytest

from lessonlib.course import source, teeth
from lessonlib.page.records import fault
from lessonlib.paths import course_root

ROOT = course_root(__file__)


def module(name):
    spec = importlib.util.spec_from_file_location(f"bench_{name}", ROOT / "benchmarks" / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def bench(monkeypatch):
    found = module("teeth")

    def measure(path, root, say):
        caught = 9 if path.stem == "05_kv_cache" else 10
        survivors = [("operator", "a | b -> a & b")] * (10 - caught)
        one = teeth.Exercise(f"{path.stem[:2]}_e1", "x", 3.0, 5, 2, 11, caught, survivors, [("m", "the same")])
        return teeth.Teeth(path.stem, [one], ["x: a problem"] if path.stem == "06_sampling" else [])

    monkeypatch.setattr(found.teeth, "measure", measure)
    return found


def test_record_and_page_hold_every_exercise_and_a_lesson_can_be_measured_anew(bench, tmp_path, capsys):
    out, table = tmp_path / "teeth.json", tmp_path / "teeth.md"
    files = ["--out", str(out), "--table", str(table)]
    assert bench.main(["05", *files]) == 1  # 9 of 10 is below the goal
    assert bench.main(["04", *files]) == 1
    record, count = json.loads(out.read_text()), 2
    assert fault(record) is None and set(record["lessons"]) == {"04_tokens_and_context", "05_kv_cache"}
    assert record["metrics"]["mutants_caught"]["median"] == 95 and record["metrics"]["right_answers"]["median"] == 4
    page = table.read_text()
    assert "**95.0%** of 20 mutants are caught (2 more are equivalent); 10 named wrong answers and 4" in page
    assert "| 05_kv_cache | 05_e1 | 3 | 5 | 2 | 11 | 9 | 1 | `a \\| b -> a & b` |" in page
    assert [line[2:4] for line in page.splitlines() if line.startswith("| 0")] == ["04", "05"]
    assert bench.main(files) == 1 and "- x: a problem" in table.read_text()
    count = len(source.sources(ROOT))
    assert len(json.loads(out.read_text())["lessons"]) == count and not list(tmp_path.glob("*.part"))
    with pytest.raises(SystemExit):
        bench.main(["99", *files])


def test_the_stored_record_and_page_belong_together():
    bench = module("teeth")
    record = json.loads(bench.RESULT.read_text(encoding="utf-8"))
    assert fault(record) is None and bench.TABLE.read_text(encoding="utf-8") == bench.table(record)
    assert list(record["lessons"]) and not any(lesson["problems"] for lesson in record["lessons"].values())
    assert set(record["lessons"]) == {path.stem for path in source.sources(ROOT)}
    assert record["metrics"]["mutants_caught"]["median"] >= 100 * teeth.GOAL
    assert all(e["named"] >= 5 and e["other_ways"] >= 2 for e in bench.exercises(record["lessons"]))


def test_the_stored_record_of_waiting_has_every_exercise():
    record = json.loads(module("checks").RESULT.read_text(encoding="utf-8"))
    assert fault(record) is None
    teeth_record = json.loads(module("teeth").RESULT.read_text(encoding="utf-8"))
    assert set(record["metrics"]) == {e["id"] for e in module("teeth").exercises(teeth_record["lessons"])}
    slow = {name for name, entry in record["metrics"].items() if entry["median"] > record["goal_ms"]}
    assert set(record["over_the_goal"]) == slow


def test_a_check_is_timed_where_it_stands(tmp_path):
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = nbformat.v4.new_code_cell("check('l91_e1', twice)")
    cell.metadata["nbgrader"] = {"grade_id": "l91_e1_check", "grade": True}
    setup = "import time\ndef twice(x): return 2 * x\ndef check(name, answer): time.sleep(0.02); assert answer(2) == 4"
    book.cells = [nbformat.v4.new_code_cell(setup), cell, nbformat.v4.new_code_cell("del twice")]
    nbformat.write(book, tmp_path / "x.ipynb")
    found = module("checks").timed(tmp_path / "x.ipynb", 3)
    assert found.keys() == {"l91_e1"} and len(found["l91_e1"]["samples"]) == 3 and found["l91_e1"]["median"] >= 20
