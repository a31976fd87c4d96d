"""Measure opening the embedded models: seconds and memory.

    python benchmarks/load.py            writes benchmarks/results/load.json

Each sample is one model in a fresh process. The libraries are imported first, by opening the model once; then it is
opened again, timed, with the highest resident memory counted anew. What a whole kernel takes is the highest memory of
another fresh process that opens the model and generates 100 tokens. Memory is read from Linux's /proc."""

from __future__ import annotations

import argparse
import datetime
import gc
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RESULT = Path(__file__).parent / "results" / "load.json"
NEW = 100  # tokens that the kernel generates


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    from lessonlib.models import embedded_names

    parser = argparse.ArgumentParser(description="Measure time and memory of opening the embedded models on the CPU.")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each model (default: 7)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", nargs=2, metavar=("NAME", "WHAT"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ |= {"LESSON_DEVICE": "cpu", "HF_HUB_OFFLINE": "1"}
    if options.one:
        name, what = options.one
        print(json.dumps({"load": opening, "kernel": kernel}[what](name)))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    record = describe(embedded_names(), options.rounds) | {"load_before": load}
    record["metrics"] = metrics(collect(embedded_names(), options.rounds))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def opening(name: str) -> dict:
    """Seconds of a load once everything is imported, and its highest memory as a multiple of the weights."""
    from lessonlib import models

    models.load(name)
    gc.collect()
    before = resident("VmRSS")
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")  # starts VmHWM again
    began = time.perf_counter()
    model, _ = models.load(name)
    seconds = time.perf_counter() - began
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return {"seconds": seconds, "peak_over_weights": (resident("VmHWM") - before) / weights}


def kernel(name: str) -> dict:
    """Seconds from nothing to an open model, and the highest memory in MB of a process that then generates."""
    began = time.perf_counter()
    import torch

    from lessonlib import models
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    model, tokenizer = models.load(name)
    seconds = time.perf_counter() - began
    ids = tokenizer("Once upon a time", return_tensors="pt").input_ids
    model.generate(ids, max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=1)
    return {"cold_seconds": seconds, "kernel_peak": resident("VmHWM") / 1e6}


def resident(field: str) -> int:
    """A line of this process's status, in bytes."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{field}:"))


def collect(names: list[str], rounds: int) -> dict[str, list[dict]]:
    """Samples of every model, each from processes of its own; the order of the models alternates."""
    samples: dict = {name: [] for name in names}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for name in names if number % 2 == 0 else reversed(names):
            sample = {}
            for what in ("load", "kernel"):
                command = [sys.executable, __file__, "--one", name, what]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                sample |= json.loads(done.stdout.splitlines()[-1])
            samples[name].append(sample)
    return samples


def metrics(samples: dict[str, list[dict]]) -> dict:
    """{metric: unit, samples, median}."""
    units = {"seconds": "s", "peak_over_weights": "times", "cold_seconds": "s", "kernel_peak": "MB"}
    found = {}
    for name, rows in samples.items():
        for key, unit in units.items():
            values = [round(row[key], 4) for row in rows]
            found[f"{name}_{key}"] = {"unit": unit, "samples": values, "median": median(values)}
    return found


def describe(names: list[str], rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    return {
        "name": "load",
        "what": f"opening the embedded models {', '.join(names)} in float32, and generating {NEW} tokens",
        "device": f"{describe_device('cpu')['name']}, {cores()} cores",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "method": "fresh processes for each sample, order of the models alternated, medians; the timed load follows one "
        "that imports everything; memory is resident memory of Linux, mapped files included",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
