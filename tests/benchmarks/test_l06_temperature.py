"""The benchmark of lesson 06 refuses too few rounds and keeps samples as they came."""

import importlib.util
import json

import pytest

from lessonlib.paths import course_root

pytestmark = pytest.mark.l06
FILE = course_root(__file__) / "benchmarks" / "l06_temperature.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("l06_temperature", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_medians_of_samples_in_one_order(bench):
    samples = [{"b": ["share", v], "a": ["bits a token", 4.0]} for v in (0.3, 0.1, 0.2)]
    found = bench.metrics([dict(reversed(samples[0].items())), *samples[1:]])
    assert list(found) == ["a", "b"]
    assert found["b"] == {"unit": "share", "samples": [0.3, 0.1, 0.2], "median": 0.2}


def test_every_round_has_a_process_and_a_seed_of_its_own(bench, tmp_path, monkeypatch):
    seeds = []

    def fake(command, **_):
        seeds.append(command[-1])
        return type("Done", (), {"stdout": f"noise\n{json.dumps({'x': ['share', len(seeds)]})}\n"})

    monkeypatch.setattr(bench.subprocess, "run", fake)
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    assert bench.main(["--rounds", "3", "--out", str(tmp_path / "record.json")]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert seeds == ["0", "1", "2"]
    assert record["metrics"]["x"]["samples"] == [1, 2, 3] and record["rounds"] == 3
    assert "greedy, penalty 1.2" in record["settings"]


def test_kept_rounds_are_not_run_again(bench, tmp_path, monkeypatch):
    run = []

    def fake(command, **_):
        run.append(command[-1])
        return type("Done", (), {"stdout": json.dumps({"x": ["share", 0.5]})})

    monkeypatch.setattr(bench.subprocess, "run", fake)
    bench.collect(2, "cpu", tmp_path / "kept")
    assert len(bench.collect(3, "cpu", tmp_path / "kept")) == 3
    assert run == ["0", "1", "2"]


def test_two_rounds_are_too_few(bench, capsys, monkeypatch):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    with pytest.raises(SystemExit):
        bench.main(["--rounds", "2"])
    assert "a median needs 3 or more" in capsys.readouterr().err
