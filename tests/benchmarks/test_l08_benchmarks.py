"""The benchmarks of lesson 08 keep samples as they came, say what is missing, and invent nothing without a GPU."""

import importlib.util
import json
from types import SimpleNamespace

import pytest
import torch

from lessonlib.labs import quantization_libraries as libraries
from lessonlib.page import records
from lessonlib.paths import course_root

pytestmark = pytest.mark.l08
FOLDER = course_root(__file__) / "benchmarks"


def module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.fixture
def bench():
    return module("l08_libraries")


def test_rounds_turn_round_and_missing_libraries_are_named(bench, tmp_path, monkeypatch):
    asked = []

    def fake(command, **_):
        name = command[command.index("--one") + 1]
        asked.append(name)
        sample = {"bytes": 10, "bits_per_byte": 1.0, "moved": 0.1, "library": None, "tokens_per_s": len(asked)}
        if name == "int4, torchao":
            sample = {"missing": "torchao is not installed"}
        if name == "by hand":
            sample = {"moved_at_3_bits": 0.2, "int4_over_bf16_at_batch_1": 2.0}
        return SimpleNamespace(stdout=f"noise\n{json.dumps(sample)}\n")

    monkeypatch.setattr(bench.subprocess, "run", fake)
    monkeypatch.setenv("LESSON_DEVICE", "cpu")
    out = tmp_path / "record.json"
    assert bench.main(["--rounds", "3", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert records.fault(record) is None
    assert record["left_out"] == {"int4, torchao": "torchao is not installed"}
    assert asked[0] == libraries.VARIANTS[0].name and asked[len(libraries.VARIANTS) + 1] == "by hand"
    assert record["metrics"]["moved_at_3_bits"] == {"unit": "bits", "samples": [0.2] * 3, "median": 0.2}
    assert "tokens_per_s_fp32" in record["metrics"] and len(libraries.recorded(record)[0]) == 5


def test_too_few_rounds_and_a_wrong_folder_are_refused(bench, tmp_path):
    for argv in (["--rounds", "2"], ["--torchao", str(tmp_path)]):
        with pytest.raises(SystemExit):
            bench.main(argv)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_nothing_is_measured(capsys, tmp_path):
    gpu = module("l08_int4_gpu")
    assert gpu.main(["--out", str(tmp_path / "x.json")]) == 2
    assert "no GPU here" in capsys.readouterr().err and not (tmp_path / "x.json").exists()
    assert gpu.shapes() == {"q": (5120, 5120), "up": (27648, 5120), "down": (5120, 27648)}


def test_the_gpu_benchmark_runs_on_the_kernel_of_a_processor(monkeypatch):
    gpu = module("l08_int4_gpu")
    monkeypatch.setattr(gpu, "shapes", lambda: {"q": (64, 128)})
    monkeypatch.setattr(gpu, "BATCHES", (1, 2))
    found = gpu.one("cpu")
    record = gpu.metrics([found, found, found])
    assert set(record) == {f"{k}_q_at_batch_{b}" for k in ("bf16", "int4", "times_as_fast") for b in (1, 2)}


def test_the_stored_record_is_whole():
    record = records.load("l08_libraries")
    if record is None:
        pytest.skip("no record yet")
    names = {row["name"] for row in record["variants"]}
    assert {v.name for v in libraries.VARIANTS} == names | set(record["left_out"])
    moved = record["metrics"]
    assert moved["moved_at_3_bits_gptq"]["median"] < moved["moved_at_3_bits"]["median"]
