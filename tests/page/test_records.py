import json

import pytest

from lessonlib.page import records

RECORD = {
    "name": "l98_decode", "device": "NVIDIA H100", "versions": {"torch": "2.13.0"}, "date": "2026-11-20",
    "metrics": {"seconds_per_token": {"unit": "s", "samples": [0.1, 0.2, 0.3], "median": 0.2},
                "idle": {"unit": "s", "samples": [0], "median": 0}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(records.paths, "records_dir", lambda: tmp_path)
    (tmp_path / "l98_decode.json").write_text(json.dumps(RECORD))
    return tmp_path


def test_yours_stands_beside_the_reference(folder, shown):
    records.compare("l98_decode", {"seconds_per_token": [0.9, 0.1, 0.4], "idle": 1})
    html, text = shown[0]
    assert text.splitlines()[0] == "Yours beside the reference of 2026-11-20"
    assert text.splitlines()[3].split() == ["seconds", "per", "token", "(s)", "0.4", "0.2", "2.00", "times"]
    assert text.splitlines()[4].split()[-1] == "–"
    assert "reference: NVIDIA H100" in html


def test_a_gpus_record_is_one_more_column(folder, shown):
    gpu = {**RECORD, "device": "NVIDIA H200", "metrics": {"idle": {"unit": "s", "samples": [5], "median": 5}}}
    (folder / "l98_decode_gpu.json").write_text(json.dumps(gpu))
    records.compare("l98_decode", {"seconds_per_token": 0.4, "idle": 1})
    html, text = shown[0]
    assert "on a GPU: NVIDIA H200" in html
    assert text.splitlines()[3].split()[-1] == "–" and text.splitlines()[4].split()[-1] == "5"


def test_without_a_record_your_numbers_stand_alone(folder, shown):
    records.compare("l98_other", {"tokens": 3})
    assert "no reference measurement 'l98_other' yet" in shown[0][1] and "tokens" in shown[0][1]


def test_a_metric_that_the_record_lacks_is_named(folder):
    with pytest.raises(ValueError, match="has no metric 'speed'; it has seconds_per_token, idle"):
        records.compare("l98_decode", {"speed": 1})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.pop("date"), "it has no 'date'"),
        (lambda r: r["metrics"]["idle"].pop("unit"), "'idle' has no 'unit'"),
        (lambda r: r["metrics"]["idle"].update(median=2), "'idle' says median 2, but its samples have 0"),
        (lambda r: r["metrics"]["idle"].update(samples=[]), "but its samples have None"),
    ],
)
def test_a_faulty_record_says_what_is_missing(folder, change, says):
    record = json.loads(json.dumps(RECORD))
    change(record)
    (folder / "l98_bad.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match=says):
        records.load("l98_bad")


def test_every_stored_record_of_the_course_is_sound():
    root = records.paths.course_root()
    for path in sorted((root / "benchmarks" / "results").glob("l*.json")):
        assert records.fault(json.loads(path.read_text())) is None, path.name
