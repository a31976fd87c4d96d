"""The script behind the record of lesson 07: what it runs and writes, without training."""

import importlib.util
import json

import pytest

from lessonlib.page.records import fault
from lessonlib.paths import course_root

pytestmark = pytest.mark.l07
SPEC = importlib.util.spec_from_file_location("l07_scaling", course_root(__file__) / "benchmarks" / "l07_scaling.py")
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def made_up(part, what, seed):
    """What a run may give."""
    if part == "blocks":
        names = ("dense, equal active", "experts", "dense, equal total")
        return {"ms": {name: float(i + seed + int(what)) for i, name in enumerate(names)}}
    number = int(what) if what.isdigit() else 2
    budgets = script.BUDGETS[: 3 if number >= script.LARGE else 4] if part == "scaling" else [100]
    texts = {"scaling": ("tinystories",), "page": ("code", "manual")}.get(part, script.PARTS)
    bits = [{text: round(9 / (i + 1 + number) + seed / 10, 4) for text in texts} for i in range(len(budgets))]
    return {"parameters": 1000 * (number + 1), "total": 1500, "budgets": list(budgets), "bits": bits, "seconds": 1.5}


def test_each_run_has_a_name_of_its_own():
    runs = script.runs()
    assert len(set(runs)) == len(runs) and {part for part, _, _ in runs} == {
        "scaling",
        "specialist",
        "twins",
        "page",
        "blocks",
    }


def test_grid_and_metrics_are_medians_of_the_seeds():
    samples = {run: made_up(*run) for run in script.runs()}
    grid = script.tables(samples)["grid"]
    assert len(grid) == 4 * 4 + 2 * 3 and grid == sorted(grid)
    assert [2000, script.BUDGETS[0], 4.6] in grid, "the median of three seeds"
    found = script.metrics(samples)
    assert found[f"bits_of_2000_parameters_after_{script.BUDGETS[0]}_bytes"]["samples"] == [4.5, 4.6, 4.7]
    assert found["specialist_code_bits_on_python"]["median"] == pytest.approx(3.1)
    assert found["experts_64_tokens"] == {"unit": "ms", "samples": [65.0, 66.0, 67.0, 68.0, 69.0], "median": 67.0}
    assert {
        "twins_experts_bits",
        "mixed_bits_on_code",
        "1000_bits_on_code",
        "dense_equal_total_1_tokens",
    } <= found.keys()


def test_record_is_what_the_page_reads_and_kept_runs_are_not_run_again(tmp_path, monkeypatch, capsys):
    kept, out = tmp_path / "kept", tmp_path / "l07_scaling.json"
    kept.mkdir()
    for part, what, seed in script.runs():
        (kept / f"{part}-{what}-{seed}.json").write_text(json.dumps(made_up(part, what, seed)))

    def refuse(*args, **kwargs):
        raise AssertionError("a kept run was run again")

    monkeypatch.setattr(script.subprocess, "run", refuse)
    assert script.main(["--corpus", str(tmp_path), "--keep", str(kept), "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert fault(record) is None and record["name"] == "l07_scaling"
    assert json.loads(capsys.readouterr().out).keys() == record["metrics"].keys()


def test_a_block_is_timed():
    found = script.blocks(1, seed=0)["ms"]
    assert len(found) == 3 and all(value > 0 for value in found.values())
