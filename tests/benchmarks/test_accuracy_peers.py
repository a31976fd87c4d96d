"""The adapters of accelerate and hf-mem: they run whole, on local files, and open no connection."""

import importlib
import json
import socket
import sys
from pathlib import Path

import pytest

from lessonlib.calc import cache, weights
from lessonlib.facts import catalog
from lessonlib.models import shape

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
peers, subjects = (importlib.import_module(f"accuracy_{name}") for name in ("peers", "weights"))
pytest.importorskip("accelerate")
pytest.importorskip("hf_mem")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("a peer tried to open a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


def test_accelerate_counts_every_width_of_a_local_config():
    subject = subjects.embedded("mini")
    found = peers.accelerate(subject.config)
    exact = weights.weights(subject.model, "fp32").total
    assert exact <= found["fp32"] < 1.001 * exact  # buffers count, too
    assert (
        found["bf16"] == found["fp32"] / 2 and found["int8"] == found["fp32"] / 4 and found["nf4"] == found["fp32"] / 8
    )


def test_accelerate_leaves_out_an_output_matrix_of_its_own():
    row = catalog.model("tinyllama-1.1b")
    found, parts = peers.accelerate(shape(row).config)["bf16"], weights.weights(row)
    assert found == pytest.approx(parts.total - parts["output"], rel=1e-4)


def test_hf_mem_reads_the_header_of_a_real_file(tmp_path):
    subject = subjects.embedded("draft")
    total, _ = subjects.stored(subjects.plain(subject, "bf16"), tmp_path)
    assert peers.ask_hf_mem_weights({"model.safetensors": tmp_path / "model.safetensors"}) == total
    long = {f"layer.{i}.a_name_that_makes_the_header_long": ("F32", (3, 5)) for i in range(3000)}
    assert len(peers.header(long)) > 200_000  # more than it fetches at first
    assert peers.ask_hf_mem_weights({"model.safetensors": peers.header(long)}) == 3000 * 60


def test_hf_mem_estimates_plain_caches_exactly_and_bounds_others():
    for name, batch in (("qwen3-0.6b", 3), ("llama-3.3-70b", 1)):
        row = catalog.model(name)
        assert peers.ask_hf_mem_cache(shape(row).config, 1000, batch) == cache.cache(row, 1000, batch).total
        assert peers.ask_hf_mem_cache(shape(row).config, 10, 1, "fp32") == cache.cache(row, 10, 1, "fp32").total
    for name in ("deepseek-v3-0324", "gemma-3-27b", "nemotron-3-nano"):
        row = catalog.model(name)
        assert peers.ask_hf_mem_cache(shape(row).config, 8192) > 1.5 * cache.cache(row, 8192).total


def test_what_a_peer_cannot_answer_is_said_in_words():
    assert peers.ask_hf_mem_cache(shape("gpt2").config, 100) == "does not answer"
    said = peers.ask_hf_mem_weights({"config.json": b"{}"})
    assert said.startswith("does not answer: NONE OF") and len(said) < 150

    class Broken:
        def save_pretrained(self, folder):
            (Path(folder) / "config.json").write_text(json.dumps({"model_type": "no-such-model"}))

    assert peers.ask_accelerate(Broken()).startswith("does not answer: ")
    assert set(peers.installed()) == set(peers.NAMES) == set(peers.INCLUDES)
