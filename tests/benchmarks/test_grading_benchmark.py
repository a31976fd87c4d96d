"""The measurements of grading: what they compute from what they see, a tiny run of each, and records that pages agree with."""

from __future__ import annotations

import importlib.util
import json
import os
import sys

import pytest

from lessonlib.paths import course_root

ROOT = course_root(__file__)
RESULTS = ROOT / "benchmarks" / "results"


def _script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


grading, attacks, page_of = _script("grading"), _script("attacks"), _script("grading_attack_table")


def test_ratios_are_taken_round_by_round():
    stock = [{"seconds": s} for s in (60.0, 90.0, 30.0)]
    ours = [{"seconds": s, "start": 2.0, "each": 20.0} for s in (6.0, 6.0, 6.0)]
    found = grading.metrics({("plain", "stock"): stock, ("plain", "ours"): ours})
    assert found["plain_times_as_fast"] == {"unit": "times", "samples": [10.0, 15.0, 5.0], "median": 10.0}
    assert found["plain_each"]["median"] == 20 and found["plain_stock"]["median"] == 60
    assert set(found) == {f"plain_{name}" for name in ("stock", "ours", "times_as_fast", "start", "each")}


def test_time_after_the_start_is_that_between_the_saved_records(tmp_path):
    for number in range(5):
        path = tmp_path / "reports" / "hw" / "records" / f"s{number}" / "nb.json"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1000 + number * 0.5, 1000 + number * 0.5))
    assert grading.since_start(tmp_path, 997.0) == {"start": 3.0, "each": 500.0}


def test_different_points_are_an_error():
    stock = {("a", "t1"): 1.0, ("b", "t1"): 0.0}
    grading.same_points(stock, dict(stock), 2)
    with pytest.raises(RuntimeError, match="different points"):
        grading.same_points(stock, {**stock, ("b", "t1"): 1.0}, 2)
    with pytest.raises(RuntimeError, match="different points"):
        grading.same_points(stock, {("a", "t1"): 1.0}, 2)
    with pytest.raises(RuntimeError, match="1 of 2"):
        grading.same_points({("a", "t1"): 1.0}, {("a", "t1"): 1.0}, 2)


@pytest.mark.parametrize("name", grading.BOOKS)
def test_a_submission_has_no_solution_and_no_hidden_test(name):
    wrong = tuple(grading.WRONG[name])
    text = json.dumps(grading.notebook(name, wrong, released=True))
    assert "SOLUTION" not in text and "HIDDEN" not in text
    assert all(json.dumps(answer)[1:-1] in text for _, answer in wrong)
    assert "BEGIN HIDDEN" in json.dumps(grading.notebook(name))


@pytest.mark.sandbox
@pytest.mark.slow
def test_a_tiny_run_gives_a_whole_record(tmp_path):
    out = tmp_path / "grading.json"
    arguments = ["--rounds", "1", "--plain", "4", "--torch", "0", "--queue", "30", "--lanes", "2", "--out", str(out)]
    assert grading.main(arguments) == 0
    record = json.loads(out.read_text())
    metrics = record["metrics"]
    assert record["lanes"] == 2 and record["classes"] == {"plain": 4} and len(record["load"]) == 3
    assert (
        metrics["plain_stock"]["median"] > 0 and 0 < metrics["plain_start"]["median"] < metrics["plain_ours"]["median"]
    )
    assert metrics["queue_first"]["unit"] == "MB" and metrics["queue_last"]["median"] > 10


@pytest.mark.skipif(not (RESULTS / "grading.json").is_file(), reason="not measured yet")
def test_the_record_meets_the_goals():
    record = json.loads((RESULTS / "grading.json").read_text(encoding="utf-8"))
    assert record["classes"]["plain"] >= 60 and record["classes"]["torch"] >= 30 and record["rounds"] >= 3
    assert record["metrics"]["plain_times_as_fast"]["median"] >= 10
    assert record["metrics"]["torch_times_as_fast"]["median"] >= 20
    assert record["metrics"]["plain_each"]["median"] <= 60 and record["metrics"]["torch_each"]["median"] <= 200


def _seen(**more) -> dict:
    cells = {
        "double_check": [0.0, None],
        "double_hidden": [0.0, None],
        "even_check": [1.0, None],
        "even_hidden": [3.0, None],
    }
    right = {**cells, "double_check": [1.0, None], "double_hidden": [2.0, None]}
    points = {"mallory": cells, "alice": right, "other": right}
    quiet = {"ended": True, "in_time": True, "left": 0, "touched": [], "secret": False, "book": ""}
    return {**quiet, "points": points, **more}


def test_what_is_not_safe_on_stock():
    case = {"double": 0.0, "even": 4.0}
    assert attacks.judged(case, _seen()) == []
    fooled = {**_seen()["points"], "mallory": _seen()["points"]["alice"]}
    assert "3 points for the attack" in attacks.judged(case, _seen(points=fooled))[0]
    changed = {**_seen()["points"], "alice": {**_seen()["points"]["alice"], "even_check": [1.0, 99.0]}}
    assert attacks.judged(case, _seen(points=changed)) == ["points of another student were changed"]
    assert any("after it has 0" in s for s in attacks.judged(case, _seen(points={**_seen()["points"], "other": {}})))
    assert "was changed" in attacks.judged(case, _seen(touched=["source/hw/small.ipynb"]))[0]
    assert "broken" in attacks.judged(case, _seen(points={"broken": "no such table"}))[0]
    assert "stopped from outside" in attacks.judged(case, _seen(ended=False))[0]
    assert attacks.judged(case, _seen(left=2)) == ["2 processes were left"]
    assert attacks.judged(case, _seen(secret=True)) == ["a secret file was read"]


def _record() -> dict:
    listed = [{"group": "exit", "name": "a | b", "safe": "0 of 3"}, {"group": "bomb", "name": "<c>", "safe": "none"}]
    return {
        "date": "2026-11-25",
        "versions": {"nbgrader": "0.9.6"},
        "attacks": listed,
        "ours": [[], []],
        "stock": [["3 points"], []],
        "repeats": {"root": {"runs": 2, "unsafe": 0, "left": 0, "cases": 2}},
    }


def test_the_table_counts_and_escapes():
    record = _record()
    text = page_of.table(record)
    assert "| all | 2 | 2 | 1 |" in text and "a \\| b" in text and "\\<c\\>" in text
    assert "2 runs of 2 attacks, 0 unsafe outcomes, 0 processes left" in text
    assert page_of.metrics(record)["stock_unsafe"]["median"] == 1


def test_a_page_keeps_what_stands_around_the_table(tmp_path):
    page = tmp_path / "attacks.md"
    page_of.write_page(_record(), page)
    page.write_text(page.read_text(encoding="utf-8") + "\nAfter.\n", encoding="utf-8")
    page_of.write_page({**_record(), "date": "2026-11-26"}, page)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Hostile submissions") and text.endswith("\nAfter.\n")
    assert (
        text.count(page_of.BEGIN) == text.count(page_of.END) == 1 and "2026-11-26" in text and "2026-11-25" not in text
    )


def test_the_corpus_has_sixty_cases_and_distinct_names():
    made = attacks.cases()
    assert len(made) >= 60 and len({c["group"] for c in made}) == 12
    assert len({(c["group"], c["name"]) for c in made}) == len(made)


@pytest.mark.sandbox
@pytest.mark.slow
def test_one_attack_of_the_corpus_through_the_command(capsys):
    who = ["--user", "both"] if os.geteuid() == 0 else []
    assert attacks.main(["--only", "equal to everything", "--no-stock", *who]) == 0
    assert "| safe |" in capsys.readouterr().out


@pytest.mark.skipif(not (RESULTS / "attacks.json").is_file(), reason="not measured yet")
def test_page_and_record_agree_and_ours_is_safe():
    record = json.loads((RESULTS / "attacks.json").read_text(encoding="utf-8"))
    text = attacks.PAGE.read_text(encoding="utf-8")
    assert text.partition(page_of.BEGIN)[2].partition(page_of.END)[0].strip("\n") == page_of.table(record)
    assert [(a["group"], a["name"]) for a in record["attacks"]] == [(c["group"], c["name"]) for c in attacks.cases()]
    assert not any(record["ours"]) and all(a["unsafe"] == a["left"] == 0 for a in record["repeats"].values())
