"""The benchmark of lesson 02 refuses too few rounds and keeps samples as they came."""

import importlib.util
import json

import pytest

from lessonlib.page import records
from lessonlib.paths import course_root

pytestmark = pytest.mark.l02
FILE = course_root(__file__) / "benchmarks" / "l02_training.py"


@pytest.fixture(scope="module")
def bench():
    spec = importlib.util.spec_from_file_location("l02_training", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_medians_of_samples(bench):
    samples = [{"speed": ["steps/s", v], "loss": ["nats a token", 0.5]} for v in (3.0, 1.0, 2.0)]
    found = bench.metrics([*samples, {"other": ["times", 1.0]}])
    assert found["speed"] == {"unit": "steps/s", "samples": [3.0, 1.0, 2.0], "median": 2.0}
    assert found["other"]["samples"] == [1.0]


def test_each_part_has_its_rounds_in_processes_of_its_own(bench, tmp_path, monkeypatch):
    asked = []

    def fake(command, **_):
        asked.append(tuple(command[-2:]))
        return type("Done", (), {"stdout": f"noise\n{json.dumps({command[-2]: ['x', len(asked)]})}\n"})

    monkeypatch.setattr(bench.subprocess, "run", fake)
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    monkeypatch.setattr(bench, "ROUNDS", {"costs": 4, "short": 3})
    assert bench.main(["--out", str(tmp_path / "record.json")]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert asked == [(part, str(i)) for i in range(3) for part in ("costs", "short")] + [("costs", "3")]
    assert record["metrics"]["short"]["samples"] == [2, 4, 6] and record["rounds"] == {"costs": 4, "short": 3}
    assert records.fault(record) is None


def test_a_stopped_run_goes_on(bench, tmp_path, monkeypatch):
    keep, asked, most = tmp_path / "samples.jsonl", [], [2]

    def fake(command, **_):
        if len(asked) == most[0]:
            raise KeyboardInterrupt
        asked.append(command[-1])
        return type("Done", (), {"stdout": json.dumps({"loss": ["x", len(asked)]})})

    monkeypatch.setattr(bench.subprocess, "run", fake)
    with pytest.raises(KeyboardInterrupt):
        bench.collect({"short": 3}, keep)
    most[0] = 9
    assert [sample["loss"][1] for sample in bench.collect({"short": 3}, keep)] == [1, 2, 3]
    assert asked == ["0", "1", "2"]


def test_two_rounds_are_too_few(bench, capsys, monkeypatch):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    with pytest.raises(SystemExit):
        bench.main(["--rounds", "2"])
    assert "a median needs 3 or more" in capsys.readouterr().err


def test_the_stored_record_has_what_the_lesson_compares(bench):
    record = records.load("l02_training")
    for name in (
        "steps_a_second", "loss_at_the_end", "flops_training_to_reading", "memory_training_to_weights",
        "time_training_to_reading", "time_writing_to_reading", "right_stories_after_1200_steps",
    ):  # fmt: skip
        assert len(record["metrics"][name]["samples"]) >= 3
