"""Measure lesson 12's reference: bandwidth, peak rate and ridge of a device, and decoding of a slice of a real model.

    python benchmarks/l12_roofline.py            writes benchmarks/results/l12_roofline.json
    python benchmarks/l12_roofline.py --device cuda

Each round is a fresh process that measures everything once (the best of several samples, after a warm-up); the record
keeps the value of every round and their median. The code that is timed is `lessonlib.labs.gpu_hardware`, which the lesson
runs as well."""

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

RESULTS = Path(__file__).parent / "results"
UNITS = {
    "bandwidth": "GB/s",
    "peak": "GFLOP/s",
    "ridge": "FLOP/byte",
    "matrix_vector": "GFLOP/s",
    "decode_at_batch_1": "tokens/s",
    "share_of_the_reading_ceiling_at_batch_1": "times",
    "batch_16_over_batch_1": "times",
    "prefill_over_decode": "times",
    "bf16_product_over_fp32": "times",
    "bf16_reading_over_fp32": "times",
}


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure the roofline of a device and a model's place under it.")
    parser.add_argument("--rounds", type=int, default=7, help="fresh processes (default: 7)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    parser.add_argument(
        "--out", type=Path, help="the record to write (default: l12_roofline.json, on a GPU l12_roofline_gpu.json)"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one:
        print(json.dumps(one()))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rounds = collect(options.rounds, options.device)
    record = describe(options.rounds) | {"load_before": load, "metrics": metrics(rounds)}
    out = options.out or RESULTS / f"{record['name']}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one() -> dict[str, float]:
    """All metrics, measured once in this process."""
    import torch

    from lessonlib.labs import gpu_hardware as lab
    from lessonlib.models import pick_device
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    device = pick_device()
    ceilings, points = lab.roofline(device, batches=(1,))
    return lab.summary(ceilings, points, lab.measure_slice(device), lab.measure_formats(device))


def collect(rounds: int, device: str) -> list[dict[str, float]]:
    """The metrics of every round, each from a process of its own."""
    found = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--device", device, "--one"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def metrics(rounds: list[dict[str, float]]) -> dict:
    """{metric: unit, samples, median}."""
    found = {}
    for name, unit in UNITS.items():
        values = [float(f"{values[name]:.5g}") for values in rounds]
        found[name] = {"unit": unit, "samples": values, "median": median(values)}
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.labs import gpu_hardware as lab
    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    return {
        "name": "l12_roofline" if about["device"] == "cpu" else "l12_roofline_gpu",
        "what": "bandwidth of a stream larger than the caches, a float32 matrix product, and decoding of a slice of a real "
        "model with random weights",
        "device": name,
        "last_level_cache_bytes": lab.last_level_cache(about["device"]),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "method": "fresh process for each round; in it, warm-up and the best of several samples; medians over the rounds",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
