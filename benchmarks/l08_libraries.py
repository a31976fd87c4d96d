"""Measure lesson 08's reference: the embedded model through real quantization libraries, and by hand.

    python benchmarks/l08_libraries.py            writes benchmarks/results/l08_libraries.json
    python benchmarks/l08_libraries.py --torchao DIR        torchao from a folder that holds the package

Every sample of a variant comes from a fresh process: it packs a fresh model, weighs it, scores it on the lesson's texts and
times decoding. Variants take turns within a round. What is measured by hand (bits, AWQ, GPTQ, the 4-bit kernel) has a
process of its own in each round. torchao may stay out of the environment: transformers imports it whenever it is there, and
that is slow and noisy for every other lesson."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median

RESULT = Path(__file__).parent / "results" / "l08_libraries.json"
UNITS = {"moved": "bits", "bits_per_byte": "bits", "int4": "times", "tokens": "tokens/s", "int8": "tokens/s"}


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure quantization libraries on the embedded model.")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each variant (default: 3)")
    parser.add_argument("--torchao", type=Path, help="a folder that holds the package torchao")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = "cpu"
    if options.torchao is not None and not (options.torchao / "torchao" / "__init__.py").is_file():
        parser.error(f"--torchao is {str(options.torchao)!r}, but there is no package torchao in it")
    if options.one:
        print(json.dumps(by_hand() if options.one == "by hand" else one(options.one, options.torchao)))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    samples, left_out = collect(options.rounds, options.torchao)
    record = describe(options.rounds) | {"load_before": load, "left_out": left_out}
    record |= {"variants": variants(samples), "metrics": metrics(samples)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(name: str, torchao: Path | None) -> dict:
    """Bytes, score and speed of one variant in this process."""
    import torch

    from lessonlib import models
    from lessonlib.labs import quantization as lab
    from lessonlib.labs import quantization_libraries as libraries
    from lessonlib.labs import quantization_texts as texts
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    variant = libraries.variant(name)
    if variant.library == "torchao" and torchao is not None:
        sys.path.append(str(torchao))
    if said := libraries.missing(variant.library):
        return {"missing": said}
    model, tokenizer = models.load("target", dtype=torch.float32)
    judge = lab.Judge(model, tokenizer, texts.EVALUATION)
    size = libraries.made(variant, model)
    with libraries.quiet():
        score = judge.score()
    found = {
        "bytes": size,
        "bits_per_byte": score.bits_per_byte,
        "moved": score.moved,
        "library": version(variant.library),
    }
    if variant.timed:
        decode, prefill = libraries.tokens_per_second(model, tokenizer, texts.CALIBRATION[0], new=32)
        found |= {"tokens_per_s": decode, "prefill_tokens_per_s": prefill}
    return found


def by_hand() -> dict[str, float]:
    """The lesson's own quantizers at 4, 3 and 2 bits, and torch's 4-bit kernel at four batches."""
    import torch

    from lessonlib import models
    from lessonlib.labs import quantization as lab
    from lessonlib.labs import quantization_kernels as kernels
    from lessonlib.labs import quantization_methods as methods
    from lessonlib.labs import quantization_texts as texts
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    model, tokenizer = models.load("target", dtype=torch.float32)
    judge = lab.Judge(model, tokenizer, texts.EVALUATION)
    inputs = methods.observe(model, tokenizer, texts.CALIBRATION)
    found = {"bits_per_byte_as_it_is": judge.exact.bits_per_byte}
    for bits in (4, 3, 2):
        tried = {"": lab.quantized(model, bits)[0], "_awq": methods.awq(model, inputs, bits)[0]}
        tried["_gptq"] = methods.gptq_model(model, inputs, bits)
        for name, tensors in tried.items():
            score = judge.of(tensors)
            found[f"moved_at_{bits}_bits{name}"] = score.moved
            found[f"bits_per_byte_at_{bits}_bits{name}"] = score.bits_per_byte
    for race in kernels.race(kernels.int4_matrix()):
        found[f"int4_over_bf16_at_batch_{race.batch}"] = race.times_as_fast
    return found


def version(library: str | None) -> str | None:
    """The installed version of a library, None for torch and this lab."""
    from importlib import metadata

    names = {"quanto": "optimum-quanto"}
    return library and metadata.version(names.get(library, library))


def collect(rounds: int, torchao: Path | None) -> tuple[dict[str, list[dict]], dict[str, str]]:
    """(samples by variant, each from a process of its own; why a variant was left out)."""
    from lessonlib.labs.quantization_libraries import VARIANTS

    names = [variant.name for variant in VARIANTS] + ["by hand"]
    samples: dict[str, list[dict]] = {name: [] for name in names}
    left_out: dict[str, str] = {}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            if name in left_out:
                continue
            command = [sys.executable, __file__, "--one", name]
            command += ["--torchao", str(torchao)] if torchao is not None else []
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            sample = json.loads(done.stdout.splitlines()[-1])
            print(f"round {number + 1} of {rounds}: {name}: {sample}", file=sys.stderr, flush=True)
            if "missing" in sample:
                left_out[name] = sample["missing"]
            else:
                samples[name].append(sample)
    return samples, left_out


def variants(samples: dict[str, list[dict]]) -> list[dict]:
    """One row for each variant: bytes, median speeds, score."""
    rows = []
    for name, runs in samples.items():
        if name == "by hand" or not runs:
            continue
        row = {"name": name, "library": runs[0]["library"], "bytes": runs[0]["bytes"]}
        for key in ("tokens_per_s", "prefill_tokens_per_s"):
            row[key] = round(median(run[key] for run in runs), 1) if key in runs[0] else None
        for key in ("bits_per_byte", "moved"):
            row[key] = round(median(run[key] for run in runs), 5)
        rows.append(row)
    return rows


def metrics(samples: dict[str, list[dict]]) -> dict:
    """{metric: unit, samples, median} of speeds by variant and of everything made by hand."""
    found = {}

    def add(name, values):
        values = [round(value, 5) for value in values]
        unit = next((unit for start, unit in UNITS.items() if name.startswith(start)), "")
        found[name] = {"unit": unit, "samples": values, "median": median(values)}

    for name, runs in samples.items():
        if name != "by hand" and runs and "tokens_per_s" in runs[0]:
            key = "".join(c if c.isalnum() else "_" for c in name.partition(", as")[0]).replace("__", "_").lower()
            add(f"tokens_per_s_{key}", [run["tokens_per_s"] for run in runs])
    for name in samples["by hand"][0]:
        add(name, [run[name] for run in samples["by hand"]])
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    return {
        "name": "l08_libraries",
        "what": "the embedded model target packed by real libraries and by hand; matrices inside the layers, groups as each "
        "library has them; bytes of the whole model with the rest at 16 bits (fp32: at 32)",
        "device": f"{describe_device()['name']}, {cores()} cores",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "method": "fresh process for each sample, variants in turns, order turned round each round, medians; decoding of 32 "
        "tokens after a prompt, the first of them counted as prefill",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
