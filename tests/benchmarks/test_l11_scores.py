"""The record of lesson 11: well-formed, made by the code of the lesson, and the same when it is measured again."""

import importlib.util
import json

import pytest

from lessonlib.page import records
from lessonlib.paths import course_root

pytestmark = pytest.mark.l11
ROOT = course_root(__file__)
RECORD = ROOT / "benchmarks" / "results" / "l11_scores.json"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("l11_scores", ROOT / "benchmarks" / "l11_scores.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_record_is_what_pages_can_use(script):
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert records.fault(record) is None and record["name"] == "l11_scores"
    assert set(record["metrics"]) == set(script.VARIANTS)
    for entry in record["metrics"].values():
        assert len(entry["samples"]) == record["rounds"]
        assert all(0 <= value <= 164 and value == int(value) for value in entry["samples"])


def test_record_says_what_the_lesson_says():
    """Rankings by size of lead, the flip with another word: the sentences of the page stand on these."""
    found = {name: e["median"] for name, e in json.loads(RECORD.read_text(encoding="utf-8"))["metrics"].items()}
    assert found["solved_by_target"] > found["solved_by_moe"] > found["solved_by_mini"] > found["solved_by_draft"]
    assert found["solved_by_mini_with_another_word"] > found["solved_by_target_with_another_word"]


def test_a_model_measured_again_solves_as_many(script):
    stored = json.loads(RECORD.read_text(encoding="utf-8"))["metrics"]["solved_by_mini"]["median"]
    assert abs(script.one("mini", "Copy") - stored) <= 3  # other processors add up in another order


def test_every_variant_gets_its_samples(script, monkeypatch):
    class Done:
        stdout = 'a warning\n{"solved": 7}\n'

    asked = []
    monkeypatch.setattr(script.subprocess, "run", lambda command, **_: asked.append(command) or Done)
    samples = script.collect(2, "cpu")
    assert all(values == [7, 7] for values in samples.values()) and len(asked) == 2 * len(script.VARIANTS)
    assert script.metrics(samples)["solved_by_moe"] == {"unit": "items of 164", "samples": [7, 7], "median": 7}


def test_no_round_is_a_mistake(script, capsys):
    with pytest.raises(SystemExit) as ended:
        script.main(["--rounds", "0"])
    assert ended.value.code == 2 and "must be 1 or more" in capsys.readouterr().err
