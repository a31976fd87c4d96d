"""Predicted bytes against those of real files, tensors and caches, beside accelerate and hf-mem.

    python benchmarks/accuracy.py                     writes benchmarks/results/accuracy.json
    python benchmarks/accuracy.py --llama-cpp DIR     with llama_cpp from a folder, where it is not installed
    python benchmarks/accuracy.py --quick             a few cases of each kind, in a minute

Everything is made on this machine: weights of the embedded models and of slices of real architectures in every format that
can be written here, caches of real forward passes, and a pass over the whole fact base without values. The published
measurements of published.yaml are a second table. The exit status is 1 when a goal of GOALS is missed."""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import accuracy_caches as caches
import accuracy_gguf as gguf_files
import accuracy_packers as packers
import accuracy_peers as peers
import accuracy_published as published
import accuracy_tables as tables
import accuracy_weights as subjects

RESULT = Path(__file__).parent / "results" / "accuracy.json"
# Metric: limit, and whether it is the most or the least.
GOALS = {
    "weights_median_error_percent": (0.5, "most"),
    "weights_worst_error_percent": (3, "most"),
    "cache_median_error_percent": (0.3, "most"),
    "cache_worst_error_percent": (3, "most"),
    "deterministic_rows_off": (0, "most"),
    "other_rows_off_by_1_percent": (0, "most"),
    "published_rows": (25, "least"),
}
ON_SLICES = ("fp8", "fp8_block", "awq", "gptq", "gptq-8bit", "int8", "nf4", "nf4_dq", "quanto_int8")
# Slices that go through llama.cpp, too; larger ones would take it many minutes, its dry run weighs their whole models.
MIXED = ("smollm2-135m", "qwen2.5-0.5b", "qwen3-0.6b")
TOKENS_LLAMA_CPP = 8192  # cells of llama.cpp's caches
LIBRARIES = ("torch", "transformers", "bitsandbytes", "optimum-quanto", "gguf", "safetensors")


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Predicted bytes against real ones, ours and those of two peers.")
    parser.add_argument("--quick", action="store_true", help="a few cases of each kind")
    parser.add_argument("--llama-cpp", type=Path, metavar="DIR", help="a folder with the package llama_cpp")
    parser.add_argument("--out", type=Path, help="the record to write (with --quick: none by default)")
    options = parser.parse_args(argv)
    os.environ |= {"LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        library = gguf_files.find_llama_cpp(options.llama_cpp)
    except ValueError as error:
        parser.error(str(error))
    record = measured(options.quick, library)
    tables.show(record)
    out = options.out or (None if options.quick else RESULT)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(tables.as_json(record), encoding="utf-8")
    lost = missed(record["metrics"])
    for sentence in lost:
        print(f"MISSED: {sentence}")
    return int(bool(lost))


def measured(quick: bool, library=None) -> dict:
    """The whole record: rows of every kind, metrics, goals."""
    rows = weight_rows(quick, library) + cache_rows(quick, library)
    rows += [] if quick else fact_base_rows()
    record = describe(library, quick) | {"rows": rows, "published": published.rows()}
    return record | {"metrics": metrics(rows, record["published"])}


def row(kind, model, source, form, how, predicted, actual, exact, note="", answers=None) -> dict:
    """One comparison; `exact`: the format or cache leaves no freedom, so every byte must agree. `answers`: what the peers
    said, bytes or words."""
    found = {
        "kind": kind, "model": model, "source": source, "format": form, "how": how, "note": note,
        "predicted": predicted, "measured": actual, "error_percent": error(predicted, actual), "exact": exact,
    }  # fmt: skip
    asked = {name: (answers or {}).get(name, "does not answer") for name in peers.NAMES}
    return found | {"peers": {name: _answer(said, actual) for name, said in asked.items()}}


def error(predicted: float, actual: float) -> float:
    """Percent of the measured bytes that the prediction is above (below: negative)."""
    return round(100 * (predicted - actual) / actual, 6)


def weight_rows(quick: bool, library=None) -> list[dict]:
    """Weights of every subject in every format."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for subject in subjects.subjects(quick):
            _say(f"weights of {subject.name} {subject.note}")
            rows += tensor_rows(subject, Path(folder))
            if gguf_files.writable(subject):
                rows += gguf_rows(subject, Path(folder), library)
            subject.free()
        if library and not quick:
            for name in subjects.WHOLE:
                _say(f"llama.cpp's choice for {name}")
                rows += dry_rows(subjects.whole(name), library, Path(folder))
    return rows


def tensor_rows(subject, folder: Path) -> list[dict]:
    """Safetensors files in floating point and in every packed format."""
    from lessonlib.calc import weights

    theirs = peers.ask_accelerate(subject.config)
    rows = []
    jobs = {name: (None, "safetensors") for name in subjects.PLAIN} | packers.packers()
    if subject.source == "slice":
        jobs = {name: job for name, job in jobs.items() if job[0] is None or name in ON_SLICES}
    if subject.config.model_type == "gpt_oss":
        jobs["mxfp4"] = packers.mxfp4, "gguf's MXFP4, gpt-oss' layout"
    for name, (pack, how) in jobs.items():
        if pack is None:
            tensors, extra = subjects.plain(subject, name), {}
        elif name == "mxfp4":
            tensors, extra = subjects.packed(subject, pack, only=".experts.")
        else:
            tensors, extra = subjects.packed(subject, pack)
        total, header = subjects.stored(tensors | extra, folder)
        total -= sum(tensor.nbytes for tensor in extra.values())
        answers = {"hf-mem": peers.ask_hf_mem_weights({"model.safetensors": folder / "model.safetensors"})}
        if name in peers.ACCELERATE:
            answers["accelerate"] = theirs if isinstance(theirs, str) else theirs[name]
        predicted = weights.weights(subject.model, name).total
        made = row("weights", subject.name, subject.source, name, how, predicted, total, True, subject.note, answers)
        rows.append(made | {"header_bytes": header})
    return rows


def gguf_rows(subject, folder: Path, library=None) -> list[dict]:
    """GGUF files: of the package gguf alone, and every mixture of llama.cpp."""
    from lessonlib.calc import weights

    half, target, rows = folder / "half.gguf", folder / "mixture.gguf", []
    jobs = [(name, "package gguf") for name in gguf_files.ALONE]
    if library and (subject.source == "embedded" or subject.name in MIXED):
        jobs += [(name, "llama.cpp") for name in gguf_files.mixtures(subject)]
    gguf_files.write(subject, half)
    for name, how in jobs:
        if how == "llama.cpp":
            gguf_files.quantized(library, half, target, name)
        else:
            gguf_files.write(subject, target, gguf_files.ALONE[name])
        total, blocks = gguf_files.weighed(target)
        answers = {"hf-mem": peers.ask_hf_mem_weights({target.name: target})}
        predicted = weights.weights(subject.model, name).total
        made = row("weights", subject.name, subject.source, name, how, predicted, total, True, subject.note, answers)
        rows.append(made | {"header_bytes": target.stat().st_size - total, "blocks": blocks})
    return rows


def dry_rows(subject, library, folder: Path) -> list[dict]:
    """What llama.cpp itself would make of a whole model, from the table of its tensors."""
    from lessonlib.calc import weights

    path, rows, how = folder / "whole.gguf", [], "llama.cpp, dry run (rounded to 0.01 MiB)"
    gguf_files.write(subject, path, sparse=True)
    for name in gguf_files.mixtures(subject):
        actual = gguf_files.estimated(library, path, name)
        predicted = weights.weights(subject.model, name).total
        rows.append(row("weights", subject.name, subject.source, name, how, predicted, actual, False, subject.note))
    path.unlink()
    return rows


def cache_rows(quick: bool, library=None) -> list[dict]:
    """Caches of real forward passes, and those that llama.cpp allocates."""
    rows = []
    for case in caches.CASES:
        if quick and (case.model not in caches.QUICK or "full" in case.kind):
            continue
        _say(f"cache of {case.model}, {case.kind}")
        actual, predicted = sum(caches.held(caches.real(case)).values()), caches.predicted(case).total
        exact = not case.kind.endswith("full")
        note = f"{case.kind}, {case.batch} x {case.tokens:,} tokens" + (
            f", layers {case.layers[0]} to {case.layers[-1]}" if case.layers else ""
        )
        answers = {}
        if case.how == "dynamic":
            config = caches.whole_config(case)
            answers["hf-mem"] = peers.ask_hf_mem_cache(config, case.tokens, case.batch, case.dtype)
        form = "int4" if case.how == "quanto" else case.dtype
        how = f"transformers, {case.how} cache"
        source = "embedded" if caches.subject(case) is None else "thin"
        rows.append(row("cache", case.model, source, form, how, predicted, actual, exact, note, answers))
    if library:
        rows += llama_cpp_caches(library)
    return rows


def llama_cpp_caches(library) -> list[dict]:
    """The caches that llama.cpp allocates for an embedded model in three types."""
    from lessonlib.calc import cache

    subject, rows = subjects.embedded("target"), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "half.gguf"
        gguf_files.write(subject, path)
        for dtype in ("f16", "q8_0", "q4_0"):
            actual = gguf_files.cache_bytes(library, path, TOKENS_LLAMA_CPP, dtype, dtype)
            predicted = cache.cache(subject.model, TOKENS_LLAMA_CPP, dtype=dtype).total
            note = f"grouped, 1 x {TOKENS_LLAMA_CPP:,} tokens"
            how = "llama.cpp (rounded to 0.01 MiB)"
            rows.append(row("cache", "target", "embedded", dtype, how, predicted, actual, False, note))
    return rows


def fact_base_rows() -> list[dict]:
    """Every open model of the fact base: 16-bit weights and the cache at 8,192 tokens, of shapes without values."""
    from lessonlib.calc import cache, weights
    from lessonlib.models import shape, shapes

    rows = []
    for model, parts in caches.fact_base():
        _say(f"fact base: {model.id}")
        found = shape(model)
        theirs = peers.ask_accelerate(found.config)
        tensors = {name: ("BF16", tuple(t.shape)) for name, t in found.meta.named_parameters()}
        answers = {
            "accelerate": theirs if isinstance(theirs, str) else theirs["bf16"],
            "hf-mem": peers.ask_hf_mem_weights({"model.safetensors": peers.header(tensors)}),
        }
        actual = 2 * shapes.parameters(found.meta)
        how, none = "transformers' class without values", "every layer"
        rows.append(
            row(
                "fact_base_weights",
                model.id,
                "meta",
                "bf16",
                how,
                weights.weights(model).total,
                actual,
                True,
                none,
                answers,
            )
        )
        options = caches.WIDE if model.model_type == "qwen3_next" else {}
        predicted = cache.cache(model, caches.LONG, **options).total
        answers = {"hf-mem": peers.ask_hf_mem_cache(found.config, caches.LONG)}
        exact = (model.get("attention_window") or caches.LONG + 1) > caches.LONG  # a full window is one token short
        note = f"1 x {caches.LONG:,} tokens"
        how, actual = "transformers' pass without values", sum(parts.values())
        rows.append(row("fact_base_cache", model.id, "meta", "bf16", how, predicted, actual, exact, note, answers))
    return rows


def metrics(rows: list[dict], table: list[dict]) -> dict:
    """{metric: unit, samples, median}: errors of ours and of each peer by kind, over the rows that each answers."""
    found = {}

    def add(name, unit, values):
        values = sorted(values)
        found[name] = {"unit": unit, "samples": values, "median": median(values)}

    for kind in dict.fromkeys(entry["kind"] for entry in rows):
        errors = [abs(entry["error_percent"]) for entry in rows if entry["kind"] == kind]
        add(f"{kind}_rows", "rows", [len(errors)])
        add(f"{kind}_median_error_percent", "%", errors)
        add(f"{kind}_worst_error_percent", "%", [max(errors)])
        for peer in peers.NAMES:
            theirs = [e["peers"][peer].get("error_percent") for e in rows if e["kind"] == kind]
            errors = [abs(value) for value in theirs if value is not None]
            label = f"{kind}_{peer.replace('-', '_')}"
            add(f"{label}_rows", "rows", [len(errors)])
            if errors:
                add(f"{label}_median_error_percent", "%", errors)
                add(f"{label}_worst_error_percent", "%", [max(errors)])
    off = [entry["predicted"] != entry["measured"] for entry in rows if entry["exact"]]
    add("deterministic_rows", "rows", [len(off)])
    add("deterministic_rows_off", "rows", [sum(off)])
    add("other_rows_off_by_1_percent", "rows", [sum(abs(e["error_percent"]) >= 1 for e in rows if not e["exact"])])
    add("published_rows", "rows", [len(table)])
    for kind in dict.fromkeys(entry["kind"] for entry in table):
        for name, chosen in {"": lambda e: True, "_expected": lambda e: e["reason"] is None}.items():
            errors = [abs(entry["error_percent"]) for entry in table if entry["kind"] == kind and chosen(entry)]
            add(f"published_{kind}{name}_rows", "rows", [len(errors)])
            add(f"published_{kind}{name}_median_error_percent", "%", errors)
            add(f"published_{kind}{name}_worst_error_percent", "%", [max(errors)])
    return found


def missed(found: dict) -> list[str]:
    """A sentence for each goal that the metrics miss or lack."""
    lost = []
    for name, (limit, kind) in GOALS.items():
        value = found[name]["median"] if name in found else None
        if value is None or (value > limit if kind == "most" else value < limit):
            lost.append(f"{name} is {value}, but must be at {kind} {limit}.")
    return lost


def describe(library, quick: bool) -> dict:
    """What was measured, with what, when."""
    from lessonlib.models import describe_device

    versions = {"python": platform.python_version()} | peers.installed()
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return {
        "name": "accuracy",
        "what": "predicted bytes of weights and caches against real files, tensors and passes, beside two peers",
        "device": describe_device("cpu")["name"],
        "versions": versions | {"llama_cpp_python": getattr(library, "__version__", None)},
        "date": datetime.date.today().isoformat(),
        "quick": quick,
        "method": "weights: bytes of the tensors in the header of the file that was written, scales included, header apart; "
        "caches: bytes of the tensors after a forward pass; errors are percent of the measured bytes; a peer counts where "
        "it answers",
        "peers": peers.INCLUDES,
        "goals": {name: f"at {kind} {limit}" for name, (limit, kind) in GOALS.items()},
    }


def _answer(said, actual: float) -> dict:
    return {"says": said} if isinstance(said, str) else {"bytes": said, "error_percent": error(said, actual)}


def _say(text: str) -> None:
    print(text.strip(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
