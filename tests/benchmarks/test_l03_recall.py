"""The script behind the record of lesson 03: what it writes, without measuring."""

import importlib.util
import json

import pytest

from lessonlib.page.records import fault
from lessonlib.paths import course_root

pytestmark = pytest.mark.l03
SPEC = importlib.util.spec_from_file_location("l03_recall", course_root(__file__) / "benchmarks" / "l03_recall.py")
script = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(script)


def samples(rounds=3):
    made = {}
    for job in script.jobs(rounds):
        seed = int(job[-1])
        if job[0] == "train":
            made[" ".join(job)] = {
                "overall": 0.1 * (seed + 1),
                "by_distance": [0.5] * 24 + [0.25] * 8,
                "parameters": 10,
            }
        else:
            layers = {f"{net}/{n}": n * (seed + 1) for net in script.NETS for n in script.LENGTHS}
            costs = {"written_out": [[n, 1e-3 * n**2, n**2] for n in script.COST_LENGTHS]}
            made[" ".join(job)] = {"layers": layers, "costs": costs}
    return made


def test_summary_has_medians_spread_and_curves():
    found = script.summary(samples(), 3)
    entry = found["metrics"]["recall_gru_of_8_after_6000"]
    assert entry["samples"] == pytest.approx([10, 20, 30]) and entry["median"] == pytest.approx(20)
    assert entry["standard_deviation"] == pytest.approx(10)
    assert found["metrics"]["far_recall_attention_of_1_after_1000"]["median"] == pytest.approx(25)
    assert found["metrics"]["written_out_exponent_of_time"]["median"] == pytest.approx(2)
    assert found["by_distance"]["lstm_of_8_after_6000"][0] == 0.5 and found["parameters"] == dict.fromkeys(
        script.NETS, 10
    )


def test_record_is_what_the_page_reads(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    monkeypatch.setattr(script, "collect", lambda rounds, device, keep: samples(rounds))
    out = tmp_path / "made" / "record.json"
    assert script.main(["--rounds", "3", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert fault(record) is None and record["name"] == "l03_recall" and len(record["trainings"]) == 3
    assert "attention_layer_at_256_steps" in json.loads(capsys.readouterr().out)


def test_two_rounds_are_too_few(capsys, monkeypatch):
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    with pytest.raises(SystemExit) as ended:
        script.main(["--rounds", "2"])
    assert ended.value.code == 2 and "--rounds is 2, but a median needs 3 or more" in capsys.readouterr().err


def test_every_job_is_a_process_of_its_own_and_a_stop_loses_none(tmp_path, monkeypatch):
    asked, keep = [], tmp_path / "kept.json"

    def run(command, **options):
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(command[command.index("--one") + 1 :])
        return type("Done", (), {"stdout": "noise\n" + json.dumps({"n": len(asked)})})

    monkeypatch.setattr(script.subprocess, "run", run)
    with pytest.raises(KeyboardInterrupt):
        script.collect(3, "cpu", keep)
    assert len(json.loads(keep.read_text())) == 5
    asked.clear()
    monkeypatch.setattr(script, "jobs", lambda rounds, device: [("train", "GRU", "1", "300", "0"), ("timings", "0")])
    script.collect(3, "cpu", keep)
    assert asked == [["train", "GRU", "1", "300", "0"]]


def test_the_page_compares_only_what_the_record_has():
    """Names that the lesson builds from nets and facts."""
    metrics = script.summary(samples(), 3)["metrics"]
    for net in ("attention", "lstm"):
        assert {f"far_recall_{net}_of_{facts}_after_1000" for facts in (1, 8)} <= metrics.keys()
    assert {f"{net}_layer_at_256_steps" for net in ("attention", "gru", "lstm")} <= metrics.keys()
    assert "written_out_peak_at_1024_tokens" in metrics
