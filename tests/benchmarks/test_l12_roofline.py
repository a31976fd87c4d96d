"""The script behind the record of lesson 12: what it writes, without measuring."""

import importlib.util
import json

import pytest

from lessonlib.page.records import fault
from lessonlib.paths import course_root

pytestmark = pytest.mark.l12
SPEC = importlib.util.spec_from_file_location("l12_roofline", course_root(__file__) / "benchmarks" / "l12_roofline.py")
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def rounds(*factors):
    return [{name: factor * (i + 1) for i, name in enumerate(script.UNITS)} for factor in factors]


def test_metrics_are_medians_with_every_sample():
    found = script.metrics(rounds(3, 1, 2))
    assert list(found) == list(script.UNITS)
    for i, (name, entry) in enumerate(found.items()):
        assert entry == {
            "unit": script.UNITS[name],
            "samples": [3 * (i + 1), i + 1, 2 * (i + 1)],
            "median": 2 * (i + 1),
        }


def test_a_round_that_lacks_a_metric_is_refused():
    short = rounds(1, 2, 3)
    del short[1]["ridge"]
    with pytest.raises(KeyError, match="ridge"):
        script.metrics(short)


def test_record_is_what_the_page_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    monkeypatch.setattr(script, "collect", lambda count, device: rounds(*range(1, count + 1)))
    out = tmp_path / "made" / "record.json"
    assert script.main(["--rounds", "5", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert fault(record) is None and record["name"] == "l12_roofline" and record["rounds"] == 5
    assert record["versions"]["torch"] and record["device"] and record["date"]
    assert json.loads(capsys.readouterr().out)["bandwidth"] == 3


def test_two_rounds_are_too_few(capsys, monkeypatch):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    with pytest.raises(SystemExit) as ended:
        script.main(["--rounds", "2"])
    assert ended.value.code == 2 and "--rounds is 2, but a median needs 3 or more" in capsys.readouterr().err


def test_every_round_is_a_process_of_its_own(monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command[1:])
        return type("Done", (), {"stdout": "noise\n" + json.dumps({"bandwidth": len(asked)})})

    monkeypatch.setattr(script.subprocess, "run", run)
    assert script.collect(3, "cpu") == [{"bandwidth": 1}, {"bandwidth": 2}, {"bandwidth": 3}]
    assert all(command[1:] == ["--device", "cpu", "--one"] for command in asked)


def test_summary_of_the_lab_has_these_metrics(monkeypatch):
    from lessonlib.labs import gpu_hardware as lab

    point = lab.Point("decode", 1, 2, 4, (1.0,))
    slices = {
        "decode": [point, lab.Point("decode", 16, 32, 4, (1.0,))],
        "reading": [point],
        "prefill": [lab.Point("prefill", 64, 128, 4, (1.0,))],
    }
    monkeypatch.setattr(lab, "roofline", lambda device, batches: (lab.Ceilings(10.0, 50.0), [point]))
    monkeypatch.setattr(lab, "measure_slice", lambda device: slices)
    monkeypatch.setattr(lab, "measure_formats", lambda device: {"fp32": (1.0, 1.0), "bf16": (2.0, 3.0)})
    found = script.one()
    assert found.keys() == script.UNITS.keys() and found["ridge"] == 5 and found["bf16_reading_over_fp32"] == 3
