"""The accuracy benchmark on small cases: real files and caches, goals that can be missed, and the stored record."""

import copy
import importlib
import json
import sys
from pathlib import Path
from statistics import median

import pytest
import torch

from lessonlib.calc import cache, formats
from lessonlib.facts import catalog

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.append(str(BENCHMARKS))
accuracy, caches, gguf_files, packers, published, tables, subjects = (
    importlib.import_module(f"accuracy{name}")
    for name in ("", "_caches", "_gguf", "_packers", "_published", "_tables", "_weights")
)
PACKED = {"fp8", "fp8_block", "awq", "awq-g64", "gptq", "gptq-g32", "gptq-8bit"}
SMALL = [
    caches.Case("mini", "grouped", 300, dtype="fp32"),
    caches.Case("target", "grouped", 40, batch=2),
    caches.Case("gpt-oss-20b", "sliding window", 100, batch=2, layers=range(4)),
    caches.Case("granite-34b-code", "multi-query", 60, layers=range(4)),
    caches.Case("glm-4.7-flash", "latent", 50, layers=range(3)),
    caches.Case("deepseek-v3.2", "latent and index", 40, layers=range(4)),
    caches.Case("nemotron-3-nano", "Mamba-2 hybrid", 30, layers=range(3, 8)),
    caches.Case("qwen3-coder-next", "DeltaNet hybrid", 20, batch=2, layers=range(2, 4), options=caches.WIDE),
    caches.Case("llama-4-scout", "chunks", 30, layers=range(4)),
    caches.Case("target", "static", 64, how="static"),
    caches.Case("target", "quantized", 256, how="quanto"),
]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows of the two smallest embedded models in every format that can be made here."""
    library, found = gguf_files.find_llama_cpp(), []
    for name in ("mini", "draft"):
        subject, folder = subjects.embedded(name), tmp_path_factory.mktemp(name)
        found += accuracy.tensor_rows(subject, folder) + accuracy.gguf_rows(subject, folder, library)
        subject.free()
    return found


def test_every_format_of_the_small_models_is_exact_to_the_byte(rows):
    assert {row["format"] for row in rows} >= PACKED | set(subjects.PLAIN) | set(gguf_files.ALONE)
    assert len(rows) >= 28 and all(row["exact"] for row in rows)
    assert [(row["model"], row["format"]) for row in rows if row["predicted"] != row["measured"]] == []
    sizes = {row["format"]: row["measured"] for row in rows if row["model"] == "mini"}
    assert sizes["fp32"] == 2 * sizes["bf16"] and sizes["gptq"] < sizes["fp8"] < sizes["bf16"]
    assert all(0 < row["header_bytes"] < 0.05 * row["measured"] for row in rows)


def test_experts_are_packed_one_by_one_and_routers_never(tmp_path):
    subject = subjects.embedded("moe")
    names = subjects.matrices(subject)
    assert sum(".experts." in name for name in names) == 6 * 8 * 3
    assert not any("router" in name or name.endswith("mlp.gate.weight") for name in names)
    out, _ = subjects.packed(subject, packers.fp8)
    assert subjects.stored(out, tmp_path)[0] == _predicted(subject, "fp8")


def _predicted(subject, name):
    from lessonlib.calc import weights

    return weights.weights(subject.model, name).total


def test_a_gpt_oss_slice_in_mxfp4(tmp_path, monkeypatch):
    smaller = {"vocab_size": 512, "moe_experts": 2, "hidden_size": 256, "moe_intermediate_size": 128}
    monkeypatch.setitem(subjects.SLICES, "gpt-oss-20b", (range(1), smaller | {"intermediate_size": 128}))
    subject = subjects.sliced("gpt-oss-20b")
    out, _ = subjects.packed(subject, packers.mxfp4, only=".experts.")
    assert subjects.stored(out, tmp_path)[0] == _predicted(subject, "mxfp4") < _predicted(subject, "bf16")
    assert "moe_experts 2" in subject.note and "vocab_size 512" in subject.note


@pytest.mark.parametrize("bits, group", [(4, 128), (8, 64)])
def test_packed_words_hold_the_quantized_weights(bits, group):
    weight = torch.randn(64, 256, generator=torch.Generator().manual_seed(1))
    whole, scale, zero = packers.grouped(weight, bits, group)
    parts = packers.gptq(weight, bits, group)
    shifts = torch.arange(32 // bits) * bits
    back = (parts["qweight"].T.long()[..., None] >> shifts & 2**bits - 1).reshape(64, 256)
    assert torch.equal(back.int(), whole)
    which = parts["g_idx"].long()
    made = (back - zero[:, which]) * scale[:, which].float()
    assert (made - weight).abs().max() <= scale.float().max() * 0.51 + 1e-3
    if bits == 4:
        awq = packers.awq(weight, group)["qweight"].long()
        back = torch.empty(256, 8, 8, dtype=torch.long)
        back[..., list(packers.AWQ_ORDER)] = awq[..., None] >> shifts & 15
        assert torch.equal(back.reshape(256, 64).T.int(), whole)
    assert packers.awq(weight, 100) is None and packers.gptq(weight[:50], bits, group) is None


@pytest.mark.parametrize("case", SMALL, ids=lambda case: f"{case.model}-{case.kind}")
def test_a_real_cache_has_the_predicted_bytes(case):
    assert sum(caches.held(caches.real(case)).values()) == caches.predicted(case).total > 0


def test_a_full_window_is_one_token_short_in_transformers():
    case = caches.Case("gpt-oss-20b", "sliding window, full", 200, layers=range(2))
    actual = sum(caches.held(caches.real(case)).values())
    assert 0 < accuracy.error(caches.predicted(case).total, actual) < 1


def test_a_state_that_the_calculator_is_not_told_of_shows(monkeypatch):
    case = SMALL[7]
    told, plain = caches.predicted(case), cache.cache(caches.of_calc(case), case.tokens, case.batch)
    assert told["recurrent_state"] == 2 * plain["recurrent_state"] and told["conv_state"] == plain["conv_state"]


def test_a_wrong_calculator_is_caught(monkeypatch, tmp_path):
    monkeypatch.setattr(formats, "NF4_CODE", 0)  # forgets the table of the 16 values, 64 bytes a matrix
    pytest.importorskip("bitsandbytes")
    found = accuracy.tensor_rows(subjects.embedded("draft"), tmp_path)
    wrong = {row["format"] for row in found if row["predicted"] != row["measured"]}
    assert wrong == {"nf4", "nf4_dq"}
    lost = accuracy.missed(accuracy.metrics(found + _good("cache"), [_cited()] * 25))
    assert lost == ["deterministic_rows_off is 2, but must be at most 0."]


def _good(kind, count=4, exact=True):
    return [accuracy.row(kind, f"m{i}", "", "bf16", "", 10**6, 10**6, exact) for i in range(count)]


def _cited(error=0.0):
    return {"kind": "weights", "error_percent": error, "reason": None}


@pytest.mark.parametrize(
    "kind, exact, predicted, which",
    [
        ("weights", False, [10**6 + 6000] * 3, {"weights_median"}),
        ("weights", False, [10**6 - 31_000], {"weights_worst", "other_rows"}),
        ("cache", False, [10**6 + 4000] * 3, {"cache_median"}),
        ("cache", False, [10**6 + 31_000], {"cache_worst", "other_rows"}),
        ("cache", True, [10**6 + 1], {"deterministic_rows"}),
        ("weights", False, [10**6 + 10_000], {"other_rows"}),
    ],
)
def test_each_goal_is_missed_when_predictions_are_off(kind, exact, predicted, which):
    good = _good("weights") + _good("cache")
    assert accuracy.missed(accuracy.metrics(good, [_cited()] * 25)) == []
    bad = [accuracy.row(kind, "bad", "", "bf16", "", value, 10**6, exact) for value in predicted]
    kept = [row for row in good if row["kind"] != kind] + [row for row in good if row["kind"] == kind][:2] + bad
    lost = accuracy.missed(accuracy.metrics(kept, [_cited()] * 25))
    assert len(lost) == len(which) and all(any(line.startswith(name) for line in lost) for name in which)


def test_too_few_published_rows_or_no_rows_at_all_are_missed_goals():
    good = _good("weights") + _good("cache")
    assert accuracy.missed(accuracy.metrics(good, [_cited()] * 24)) == [
        "published_rows is 24, but must be at least 25."
    ]
    lost = accuracy.missed(accuracy.metrics(_good("weights"), [_cited()] * 25))
    assert [line.split()[0] for line in lost] == ["cache_median_error_percent", "cache_worst_error_percent"]


def test_the_command_says_what_it_missed_and_writes_a_record(monkeypatch, tmp_path, capsys):
    rows = _good("weights") + [accuracy.row("cache", "x", "", "bf16", "", 11, 10, True)]
    record = {"name": "accuracy", "rows": rows, "published": published.rows()}
    record["metrics"] = accuracy.metrics(rows, record["published"])
    monkeypatch.setattr(accuracy, "measured", lambda quick, library: record)
    out = tmp_path / "new" / "accuracy.json"
    assert accuracy.main(["--quick", "--out", str(out)]) == 1
    said = capsys.readouterr().out
    assert "MISSED: cache_worst_error_percent is 10.0, but must be at most 3." in said
    assert json.loads(out.read_text()) == record
    with pytest.raises(SystemExit) as stopped:
        accuracy.main(["--llama-cpp", str(tmp_path)])
    assert stopped.value.code == 2 and "no package llama_cpp in it" in capsys.readouterr().err


def test_published_rows_are_computed_and_those_that_are_off_have_a_reason():
    found = published.rows()
    assert len(found) >= 25 and {row["kind"] for row in found} == {"weights", "cache"}
    assert all(row["source"].count(";") >= 2 for row in found)
    off = [row for row in found if abs(row["error_percent"]) > tables.REASON]
    assert len(tables.reasons(found)) == len(off) < 0.2 * len(found)
    assert all(tables.reason(row) != "not known" for row in off)
    changed = copy.deepcopy(off[0]) | {"reason": None, "includes": "tensors"}
    assert tables.reason(changed) == "not known"


@pytest.fixture(scope="module")
def record():
    return json.loads((BENCHMARKS / "results" / "accuracy.json").read_text(encoding="utf-8"))


def test_the_stored_record_meets_the_goals_and_covers_every_kind(record):
    assert accuracy.missed(record["metrics"]) == [] and not record["quick"]
    assert record["device"] and record["date"] and record["versions"]["accelerate"] and record["versions"]["hf-mem"]
    count = {kind: [row for row in record["rows"] if row["kind"] == kind] for kind in ("weights", "cache")}
    assert len(count["weights"]) >= 250 and len(count["cache"]) >= 30
    made = {row["format"] for row in count["weights"] if row["how"] == "llama.cpp"}
    assert made == set(gguf_files.FTYPES), "every mixture of the calculator, made by llama.cpp itself"
    everywhere = PACKED | set(subjects.PLAIN) | {"int8", "nf4", "nf4_dq", "mxfp4", "quanto_int8", "quanto_int4"}
    assert {row["format"] for row in count["weights"]} >= everywhere
    for kind in ("fact_base_weights", "fact_base_cache"):
        assert {row["model"] for row in record["rows"] if row["kind"] == kind} == {m.id for m in catalog.models()}
    kinds = {row["note"].split(",")[0] for row in count["cache"]}
    assert kinds >= {case.kind.partition(",")[0] for case in caches.CASES}


def test_the_stored_metrics_are_those_of_the_stored_rows(record):
    assert accuracy.metrics(record["rows"], record["published"]) == record["metrics"]
    errors = [abs(row["error_percent"]) for row in record["rows"] if row["kind"] == "cache"]
    assert record["metrics"]["cache_median_error_percent"]["median"] == median(errors)
    for row in record["rows"]:
        assert row["error_percent"] == accuracy.error(row["predicted"], row["measured"])
