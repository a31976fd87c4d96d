"""The benchmark of lesson 04 refuses too few rounds and keeps samples as they came."""

import importlib.util
import json

import pytest

from lessonlib.paths import course_root

pytestmark = pytest.mark.l04
FILE = course_root(__file__) / "benchmarks" / "l04_tokens.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("l04_tokens", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_medians_of_samples(bench):
    samples = [{"speed": ["million characters/s", v], "loss": ["bits a token", 4.0]} for v in (3.0, 1.0, 2.0)]
    found = bench.metrics(samples)
    assert found["speed"] == {"unit": "million characters/s", "samples": [3.0, 1.0, 2.0], "median": 2.0}
    assert found["loss"]["median"] == 4.0


def test_rounds_alternate_and_are_written(bench, tmp_path, monkeypatch):
    orders = []

    def fake(command, **_):
        orders.append(command[-1])
        return type("Done", (), {"stdout": f"noise\n{json.dumps({'speed': ['x', len(orders)]})}\n"})

    monkeypatch.setattr(bench.subprocess, "run", fake)
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    assert bench.main(["--rounds", "3", "--out", str(tmp_path / "record.json")]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert orders == ["forward", "backward", "forward"]
    assert record["metrics"]["speed"]["samples"] == [1, 2, 3] and record["rounds"] == 3
    assert record["versions"]["mistral-common"]


def test_two_rounds_are_too_few(bench, capsys, monkeypatch):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    with pytest.raises(SystemExit):
        bench.main(["--rounds", "2"])
    assert "a median needs 3 or more" in capsys.readouterr().err
