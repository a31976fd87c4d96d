"""The GPU hardware lab: counts, ceilings and records are exact; how long something took is never asserted."""

import json
from statistics import median

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from lessonlib.calc import architecture, throughput
from lessonlib.facts import catalog
from lessonlib.labs import gpu_hardware as lab
from lessonlib.page.records import fault
from lessonlib.paths import course_root, records_dir

pytestmark = pytest.mark.l12
CPU = torch.device("cpu")


def tiny(tied: bool, layers: int = 2):
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=97, hidden_size=48, intermediate_size=64, num_hidden_layers=layers, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=256, pad_token_id=None, tie_word_embeddings=tied,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


class Clock:
    """A clock for a device on which every call of the work takes one second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(lab.time, "perf_counter", made)
    return made


def test_samples_are_seconds_of_one_call(clock):
    calls = []

    def work():
        calls.append(1)
        clock.now += 0.0005

    found = lab.samples(work, CPU, rounds=3)
    assert found == pytest.approx([0.0005] * 3)
    assert len(calls) == 1 + 1 + 3 * 4  # warm-up, a first look, and short work four times a sample (2 ms)


def test_bandwidth_counts_every_byte_once(monkeypatch):
    monkeypatch.setattr(
        lab, "samples", lambda work, device, rounds=7: [0.5 for _ in range(rounds) if work() is not None]
    )
    stream = torch.ones(1000)
    assert lab.measure_bandwidth(stream, rounds=2) == [4000 / 0.5 / 1e9] * 4  # two ways to read, two samples each


def test_bandwidth_curve_ends_with_the_whole_stream():
    stream = lab.buffer(CPU, 3_000_000)
    assert stream.dtype is torch.float32 and stream.nbytes % 16384 == 0 and 0 <= 3_000_000 - stream.nbytes < 16384
    curve = lab.bandwidth_curve(stream, megabytes=(1, 2, 5), rounds=1)
    assert [size for size, _ in curve] == [1_000_000, 2_000_000, stream.nbytes]
    assert all(gbs > 0 for _, gbs in curve)


@pytest.mark.parametrize("cache", [None, 2**20, 250 * lab.MIB, 2**33])
def test_default_stream_passes_the_cache_within_a_laptop(monkeypatch, cache):
    monkeypatch.setattr(lab, "last_level_cache", lambda device: cache)
    made = []
    monkeypatch.setattr(lab.torch, "empty", lambda n, device: made.append(4 * n) or torch.zeros(1))
    lab.buffer("cpu")
    assert 192 * lab.MIB <= made[0] <= 288 * lab.MIB
    assert made[0] > cache if cache and cache < 250 * 2**20 else True


def test_last_level_cache_is_a_size_or_unknown():
    found = lab.last_level_cache("cpu")
    assert found is None or found >= 2**16
    assert lab.last_level_cache("mps") is None


def test_flops_of_a_product(monkeypatch):
    shapes = []
    monkeypatch.setattr(lab, "samples", lambda work, device, rounds: shapes.append(work().shape) or [0.25] * rounds)
    assert lab.measure_flops(CPU, size=64, rounds=3) == [2 * 64**3 / 0.25 / 1e9] * 3
    assert shapes == [(64, 64)]


@pytest.mark.parametrize("wrong", ["tf32", "int3"])
def test_formats_that_cannot_be_measured_are_named(wrong):
    with pytest.raises(ValueError, match=f"'{wrong}' cannot be measured on cpu: choose one of fp32, bf16, fp16"):
        lab.measure_flops(CPU, wrong)


def test_matmul_precision_is_left_as_it_was():
    before = torch.get_float32_matmul_precision()
    lab.measure_flops(CPU, "bf16", size=16, rounds=1)
    assert torch.get_float32_matmul_precision() == before


def test_formats_read_and_multiply():
    for name in lab.formats(CPU):
        product, reading = lab.measure_format(CPU, name, weights=2**14)
        assert product > 0 and reading > 0


def test_formats_take_turns_and_keep_their_best(monkeypatch):
    asked, rates = [], iter([(1, 9), (2, 2), (3, 3), (4, 4), (5, 1), (0, 7)])
    monkeypatch.setattr(lab, "measure_format", lambda device, name: asked.append(name) or next(rates))
    assert lab.measure_formats(CPU, rounds=2) == {"fp32": (4, 9), "bf16": (5, 2), "fp16": (3, 7)}
    assert asked == ["fp32", "bf16", "fp16"] * 2


@pytest.mark.parametrize("seconds", [1e-9, 5.0])
def test_slice_stands_beneath_its_ceilings(monkeypatch, seconds):
    """Where the model is slow, plain reading and multiplying set the ceilings; where it is faster, it sets them itself."""
    model = tiny(True)
    weights, size = lab.weights_read(model)
    monkeypatch.setattr(lab, "example_slice", lambda device: model)
    monkeypatch.setattr(lab, "read_weights", lambda model, rounds: [3.0, size / 1e9])
    monkeypatch.setattr(lab, "measure_flops", lambda device, name, rounds: [1.0, 2.0] if name == "fp32" else [])
    monkeypatch.setattr(lab, "_seconds", lambda work, device, repeats: work() or seconds)
    found = lab.measure_slice(CPU, batches=(1, 2), prompt=8, rounds=2)
    assert list(found) == ["decode", "prefill", "reading", "computing"] and found["prefill"][0].batch == 8
    a_byte = min([1e-9, *(seconds / p.bytes for p in found["decode"])])
    an_operation = min([1e-9 / 2, *(seconds / p.flops for p in (*found["decode"], *found["prefill"]))])
    for one, read, computed in zip(found["decode"], found["reading"], found["computing"], strict=True):
        assert one.flops == 2 * weights * one.batch == computed.flops and len(one.seconds) == 10
        assert read.tokens_per_s == pytest.approx(one.batch / (one.bytes * a_byte))
        assert computed.tokens_per_s == pytest.approx(one.batch / (one.flops * an_operation))
        assert one.tokens_per_s <= 1.000001 * min(read.tokens_per_s, computed.tokens_per_s)


def point_of(batch, flops, size, *seconds):
    return lab.Point("matrix product", batch, flops, size, seconds)


@pytest.mark.parametrize(("fast", "bandwidth", "peak"), [(1.0, 4.0, 30.0), (0.05, 10.0, 30.0), (0.01, 50.0, 100.0)])
def test_ceilings_are_the_best_of_all_rounds_and_points(monkeypatch, fast, bandwidth, peak):
    reads, peaks, work = iter([[1.0], [4.0], [2.0]]), iter([[30.0], [10.0], [20.0]]), iter([3.0, fast, 2.0])
    monkeypatch.setattr(lab, "buffer", lambda device: torch.ones(4))
    monkeypatch.setattr(lab, "measure_bandwidth", lambda stream, rounds: next(reads))
    monkeypatch.setattr(lab, "measure_flops", lambda device, rounds: next(peaks))
    made = lambda stream, batches, rounds: [point_of(b, 10**9, 5 * 10**8, next(work)) for b in batches]  # noqa: E731
    monkeypatch.setattr(lab, "roofline_points", made)
    ceilings, (point,) = lab.roofline(CPU, batches=(1,))
    assert (ceilings.bandwidth, ceilings.peak) == pytest.approx((bandwidth, peak))
    assert point.seconds == (3.0, fast, 2.0) and point.gflops <= ceilings.roof(point.intensity) * 1.000001


@pytest.mark.parametrize("tied", [True, False])
def test_reading_touches_every_matrix_that_a_token_needs(monkeypatch, tied):
    model, touched = tiny(tied), []
    dot = torch.dot
    monkeypatch.setattr(lab.torch, "dot", lambda a, b: touched.append(len(a) + len(b)) or dot(a, b))
    monkeypatch.setattr(lab, "samples", lambda work, device, rounds: work() or [1.0] * rounds)
    assert lab.read_weights(model, rounds=2) == [1.0, 1.0]
    norms = (2 * 2 + 1) * 48
    assert sum(touched) == lab.weights_read(model)[0] - norms


def test_link_needs_a_gpu():
    assert lab.measure_link(CPU) is None


def test_points_count_operations_and_bytes():
    stream = lab.buffer(CPU, 2**20)
    one, many = lab.roofline_points(stream, batches=(1, 8), width=256, rounds=2)
    rows = stream.numel() // 256
    assert (one.flops, many.flops) == (2 * stream.numel(), 16 * stream.numel())
    assert (one.bytes, many.bytes) == (4 * (stream.numel() + 256 + rows), 4 * (stream.numel() + 8 * (256 + rows)))
    assert one.intensity == pytest.approx(0.5, rel=0.01) and len(one.seconds) == 2
    assert many.gflops == many.flops / min(many.seconds) / 1e9
    assert many.tokens_per_s == 8 / min(many.seconds)


@given(st.floats(0.01, 1e4), st.floats(0.01, 1e4), st.floats(1e-3, 1e5))
def test_roof_is_the_lower_ceiling(bandwidth, peak, intensity):
    found = lab.Ceilings(bandwidth, peak)
    assert found.roof(intensity) == pytest.approx(min(peak, intensity * bandwidth))
    assert found.roof(found.ridge) == pytest.approx(peak)


@pytest.mark.parametrize("tied", [True, False])
def test_weights_read_leave_out_an_input_table_of_its_own(tied):
    model = tiny(tied)
    count, size = lab.weights_read(model)
    table = 97 * 48
    assert count == sum(p.numel() for p in model.parameters()) - (0 if tied else table) and size == 4 * count


@torch.no_grad()
def test_decode_writes_on_top_of_a_cache_and_counts_it():
    model, seen = tiny(True), []
    model.model.layers[0].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].shape[:2]))
    found = lab.decode(model, batch=3, prompt=10, steps=4)
    assert seen == [(3, 10)] + [(3, 1)] * 5  # the prompt, a warm-up, four steps
    weights, size = lab.weights_read(model)
    rows = 10 + 5
    assert found.flops == 2 * weights * 3 and len(found.seconds) == 4
    assert found.bytes == size + 2 * 2 * 2 * 8 * rows * 3 * 4  # K and V, layers, heads, size, rows, sequences, bytes


def test_prefill_reads_the_weights_once():
    model = tiny(False)
    found = lab.prefill(model, tokens=20, rounds=2)
    weights, size = lab.weights_read(model)
    assert (found.flops, found.bytes, found.batch, len(found.seconds)) == (2 * weights * 20, size, 20, 2)


def test_slice_has_the_matrices_of_the_real_model():
    record = catalog.model("qwen3-0.6b")
    model = lab.slice_of(record, "meta", layers=2, vocabulary=512)
    layer = sum(p.numel() for p in model.model.layers[0].parameters())
    assert model.config.num_hidden_layers == 2 and model.config.vocab_size == 512
    assert model.model.layers[0].mlp.up_proj.weight.shape == (record.intermediate_size, record.hidden_size)
    inside = record.total_params_exact - record.embedding_params_exact - record.hidden_size  # and the last norm
    assert layer * record.layers == inside


def test_example_slice_is_beyond_caches_and_within_a_laptop():
    record, (_, layers) = catalog.model(lab.SLICES[False][0]), lab.SLICES[False]
    model = lab.slice_of(record, "meta", layers)
    _, size = lab.weights_read(model)
    assert 150e6 < size < 250e6
    assert lab.slice_name("cpu") == f"{layers} layers of {record.name}"


def test_limits_of_cards():
    def row(name):
        return dict(zip(("memory", "bandwidth", "tflops", "link", "watts"), lab.limits(catalog.gpu(name)), strict=True))

    assert row("rtx-4090") == dict(memory=24, bandwidth=1008, tflops=pytest.approx(165.2), link=32, watts=450)
    assert row("h100-sxm")["link"] == 450 and row("b200-sxm")["link"] == 900  # half of both directions
    assert row("gb300-nvl72")["memory"] == 277.5 and row("gb300-nvl72")["watts"] == 1400  # one GPU of the rack
    assert row("apple-m3-ultra") == dict(memory=512, bandwidth=819, tflops=None, link=None, watts=None)
    assert row("dgx-h100")["watts"] is None  # the whole server's power is not that of a GPU


def test_summary_has_the_metrics_of_the_record():
    def point(batch, seconds, kind="decode"):
        return lab.Point(kind, batch, 2 * batch, 4, (seconds, 9.0))

    slices = {
        "decode": [point(1, 0.5), point(4, 0.5), point(16, 1.0)],
        "reading": [point(1, 0.4), point(4, 0.4), point(16, 0.4)],
        "prefill": [point(64, 2.0, "prefill")],
    }
    formats = {"fp32": (10.0, 4.0), "bf16": (5.0, 6.0)}
    found = lab.summary(lab.Ceilings(10.0, 100.0), [point(1, 1e-9)], slices, formats)
    assert found == pytest.approx({
        "bandwidth": 10, "peak": 100, "ridge": 10, "matrix_vector": 2, "decode_at_batch_1": 2,
        "share_of_the_reading_ceiling_at_batch_1": 0.8, "batch_16_over_batch_1": 8, "prefill_over_decode": 16,
        "bf16_product_over_fp32": 0.5, "bf16_reading_over_fp32": 1.5,
    })  # fmt: skip


@pytest.mark.gpu
def test_everything_runs_on_a_gpu():
    ceilings, points = lab.roofline("cuda", batches=(1, 16))
    assert ceilings.bandwidth > 0 and ceilings.peak > 0 and len(points) == 2
    assert max(lab.measure_link("cuda")) > 0
    assert max(lab.measure_flops("cuda", "tf32", size=1024)) > 0


def test_page_arithmetic_agrees_with_calc():
    """The intensity that the page starts from: two operations a weight, and what one step of a real model does."""
    model = catalog.model("qwen2.5-coder-32b")
    step = throughput.roofline(model, catalog.gpu("rtx-4090"), tokens=1, format="bf16").decode
    assert step.flops / step.moved.total == pytest.approx(1, rel=0.03)  # 2 operations for 2 bytes
    assert architecture.parameters(model) == model.total_params_exact


def test_stored_record_is_whole():
    import importlib.util

    record = json.loads((records_dir() / "l12_roofline.json").read_text())
    spec = importlib.util.spec_from_file_location("l12", course_root(__file__) / "benchmarks" / "l12_roofline.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert fault(record) is None and list(record["metrics"]) == list(script.UNITS)
    for metric, entry in record["metrics"].items():
        assert len(entry["samples"]) == record["rounds"] >= 3, metric
        assert entry["median"] == pytest.approx(median(entry["samples"])), metric
        assert entry["unit"] == script.UNITS[metric]
