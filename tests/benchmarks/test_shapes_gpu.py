"""The GPU measurement on a CPU: the same code path, the structure of its record, and that it goes on where it stopped."""

import importlib.util
import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from lessonlib import models
from lessonlib.models import shape

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "--device",
    "cpu",
    "--shapes",
    "qwen3-0.6b",
    "--layers",
    "2",
    "--batches",
    "1",
    "--contexts",
    "64",
    "--rounds",
    "3",
]
CELL = "qwen3-0.6b@2_b1_c64"


def script():
    spec = importlib.util.spec_from_file_location("shapes_gpu", ROOT / "benchmarks" / "shapes_gpu.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCHMARK = script()


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """(path, record) of one run."""
    path = tmp_path_factory.mktemp("records") / "shapes_gpu.json"
    assert BENCHMARK.main([*SMALL, "--out", str(path)]) == 0
    return path, json.loads(path.read_text())


def test_the_record_has_the_form_of_all_records(record):
    _, found = record
    assert found["name"] == "shapes_gpu" and found["device"] and found["date"] and found["method"]
    assert found["versions"]["torch"] == torch.__version__ and found["versions"]["transformers"]
    for name in ("copy", "triad", "matmul"):
        assert len(found["metrics"][f"qwen3-0.6b@2_{name}"]["samples"]) == 7
    for name, unit in (("decode", "tokens/s"), ("prefill", "tokens/s")):
        entry = found["metrics"][f"{CELL}_{name}"]
        assert entry["unit"] == unit and len(entry["samples"]) == 3 and min(entry["samples"]) > 0
        assert entry["median"] == sorted(entry["samples"])[1]


def test_bytes_are_as_predicted(record):
    found = record[1]["shapes"]["qwen3-0.6b@2"]
    few = shape("qwen3-0.6b", layers=2)
    assert found["parameters"] == few.parameters and found["layers"] == 2 and found["rounds"] == 3
    assert found["weight_bytes"]["predicted"] == found["weight_bytes"]["measured"] == few.weight_bytes()
    cache = found["cells"]["b1_c64"]["cache_bytes"]
    assert cache["predicted"] == cache["allocated"] == few.kv_bytes(64 + models.shape_speed.STEPS)
    seen = found["weight_bytes"]["driver"]
    assert seen is None or few.weight_bytes() * 0.9 < seen < few.weight_bytes() * 1.3 + 50e6


def test_rooflines_follow_from_samples_and_ceilings(record):
    found, values = record[1]["shapes"]["qwen3-0.6b@2"]["cells"]["b1_c64"], record[1]["metrics"]
    bandwidth = max(values[f"qwen3-0.6b@2_{name}"]["median"] for name in ("copy", "triad")) * 1e9
    ideal = bandwidth / found["decode_step_bytes"]
    assert found["decode_of_roofline"] == pytest.approx(values[f"{CELL}_decode"]["median"] / ideal, rel=2e-3, abs=1e-4)
    ideal = values["qwen3-0.6b@2_matmul"]["median"] * 1e12 / found["prefill_pass_flops"] * found["prefill_pass_tokens"]
    assert found["prefill_of_roofline"] == pytest.approx(
        values[f"{CELL}_prefill"]["median"] / ideal, rel=2e-3, abs=1e-4
    )
    assert found["decode_step_bytes"] == shape("qwen3-0.6b", layers=2).weight_bytes() + 64 * 2 * 4096


def test_a_second_run_measures_nothing_again(record, monkeypatch):
    path, before = record
    monkeypatch.setattr(BENCHMARK.subprocess, "run", lambda *a, **k: pytest.fail("a shape was measured again"))
    assert BENCHMARK.main([*SMALL, "--out", str(path)]) == 0
    assert json.loads(path.read_text()) == before


def test_more_rounds_go_on_from_the_record(record, tmp_path):
    made = json.loads(json.dumps(record[1]))
    BENCHMARK.merge(made, "qwen3-0.6b@2", {
        "rounds": 2, "cells": record[1]["shapes"]["qwen3-0.6b@2"]["cells"], "left_out": {},
        "samples": {"b1_c64_decode": ["tokens/s", [1.0, 2.0]], "copy": ["GB/s", [5.0]]},
    })  # fmt: skip
    assert made["shapes"]["qwen3-0.6b@2"]["rounds"] == 5
    assert made["metrics"][f"{CELL}_decode"]["samples"][3:] == [1.0, 2.0]


def test_without_time_left_nothing_is_started(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(BENCHMARK.subprocess, "run", lambda *a, **k: pytest.fail("a shape was started"))
    path = tmp_path / "record.json"
    assert BENCHMARK.main([*SMALL, "--minutes", "0.5", "--out", str(path)]) == 0
    assert "time is up before qwen3-0.6b@2: run the command again" in capsys.readouterr().err and not path.exists()


def test_a_record_of_another_machine_is_not_mixed(record, tmp_path, capsys):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record[1] | {"device": "another card"}))
    with pytest.raises(SystemExit):
        BENCHMARK.main([*SMALL, "--out", str(path)])
    assert "record.json has the device another card" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--shapes", "gpt-oss-20b"], "gpt-oss-20b has windows, states or experts"),
        (["--shapes", "qwen3-8b:int3"], "quantization is 'int3'"),
        (["--shapes", "qwen4-8b"], "no model 'qwen4-8b'"),
        (["--rounds", "2"], "--rounds is 2, but a median needs 3"),
        (["--minutes", "0"], "--minutes is 0.0"),
    ],
)
def test_bad_input_is_said_in_a_sentence(arguments, says, capsys):
    with pytest.raises(SystemExit) as stopped:
        BENCHMARK.main(["--device", "cpu", *arguments])
    assert stopped.value.code == 2 and says in capsys.readouterr().err


def test_what_does_not_fit_is_recorded_with_its_bytes(monkeypatch):
    options = Namespace(
        one="llama-3.3-70b", layers=None, device="cpu", rounds=3, seconds=9e9, batches=[1], contexts=[64], graphs=False
    )
    monkeypatch.setattr(models.shape_speed, "ceilings", lambda device: [])
    monkeypatch.setattr(models, "memory_free", lambda device: 80 * 2**30)
    found = BENCHMARK.one(options)
    assert found["left_out"]["weights"]["needed_bytes"] == 2 * 70_553_706_496 and found["rounds"] == 3
    few = shape("qwen3-0.6b", layers=1, thin=True)
    model, result = few.materialise(), {"cells": {}, "left_out": {}, "samples": {}}
    cells = [BENCHMARK.Cell(few, None, batch, 32) for batch in (1, 10_000)]
    monkeypatch.setattr(models, "memory_free", lambda device: 50_000_000)
    for cell in cells:
        BENCHMARK.measure(model, cell, 0, result, False)
    assert (
        set(result["samples"]) == {"b1_c32_decode", "b1_c32_prefill"} == {f"b1_c32_{p}" for p in ("decode", "prefill")}
    )
    assert set(result["left_out"]) == {"b10000_c32_decode", "b10000_c32_prefill"}
    assert result["left_out"]["b10000_c32_decode"]["needed_bytes"] > few.kv_bytes(32, 10_000)


def test_the_counted_work_of_a_large_shape():
    """Against hand counts for Qwen3-8B: 2 operations a weight and token, and half of all pairs."""
    eight = shape("qwen3-8b")
    cell = BENCHMARK.Cell(eight, None, 8, 8192)
    assert cell.rows == 4 and cell.cache_bytes == eight.kv_bytes(8200, 8)
    inside = eight.parameters - 2 * 151936 * 4096 - eight.groups()["norms"].parameters
    tokens = 4 * 8192
    attention = 4 * 36 * 32 * 128 * 4 * 8192 * 8193 // 2
    assert cell.flops == 2 * inside * tokens + 2 * 151936 * 4096 * 4 + attention
    assert cell.step_bytes == 2 * (eight.parameters - 151936 * 4096) + eight.kv_bytes(8192, 8)
