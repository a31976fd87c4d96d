"""The record of lesson 01 can be used, and names what the lesson compares."""

import importlib.util
import json

import pytest

from lessonlib import models
from lessonlib.labs import why_self_host as lab
from lessonlib.page import records
from lessonlib.paths import course_root

pytestmark = pytest.mark.l01
ROOT = course_root(__file__)


def _script():
    spec = importlib.util.spec_from_file_location("l01_costs", ROOT / "benchmarks" / "l01_costs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _ratios() -> dict[str, float]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models.embedded_path("target"))
    speed = {"reading": 1.0, "writing": 1.0, "writing_8_texts": 1.0}
    return lab.summary(speed, tokenizer, 65, 0.17)


def test_record_is_sound_and_has_the_metrics_of_the_page():
    record = records.load("l01_costs")
    assert record["metrics"].keys() == _ratios().keys()
    assert record["assumed"]["watts"] > 0 and "us-average" in record["assumed"]["tariff"]


def test_counted_ratios_are_those_of_today():
    metrics = records.load("l01_costs")["metrics"]
    for name, value in _ratios().items():
        if name.startswith("ratio"):
            assert metrics[name]["median"] == pytest.approx(value, rel=1e-4), name


def test_medians_and_units():
    script = _script()
    found = script.metrics([{"tokens_a_second_reading": x, "ratio_to_a": 2, "x_over_y": 1} for x in (3.0, 1.0, 2.0)])
    assert found["tokens_a_second_reading"] == {"unit": "tokens/s", "samples": [3.0, 1.0, 2.0], "median": 2.0}
    assert (found["ratio_to_a"]["unit"], found["x_over_y"]["unit"]) == ("input/output", "times")


def test_too_few_rounds_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        _script().main(["--rounds", "2"])
    assert ended.value.code == 2 and "--rounds is 2" in capsys.readouterr().err


def test_fresh_processes_make_a_record(tmp_path, monkeypatch, capsys):
    script = _script()
    monkeypatch.setattr(script, "collect", lambda rounds, device, watts: [_ratios()] * rounds)
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    assert script.main(["--rounds", "3", "--out", str(tmp_path / "r.json")]) == 0
    record = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert records.fault(record) is None and record["rounds"] == 3
