"""Measure lesson 05's reference: decode with and without a key-value cache, on the embedded model.

    python benchmarks/l05_decode.py            writes benchmarks/results/l05_decode.json
    python benchmarks/l05_decode.py --device cuda

Each sample is one variant (a prompt length, with or without a cache) in a fresh process with a warm-up; the order of
the two alternates from round to round. Prefill and decode are apart: the first new token belongs to the prefill. The
code that is timed is `lessonlib.labs.kv_cache.timed_generation`, which the lesson runs as well."""

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
LENGTHS = (64, 256, 896)
NEW = 9  # tokens a run: 1 of the prefill, 8 of the decode


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure decode with and without a key-value cache.")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each variant (default: 7)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    parser.add_argument(
        "--out", type=Path, help="the record to write (default: l05_decode.json, on a GPU l05_decode_gpu.json)"
    )
    parser.add_argument("--one", nargs=2, metavar=("TOKENS", "CACHED"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one:
        print(json.dumps(one(int(options.one[0]), options.one[1] == "True")))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    samples = collect(options.rounds, options.device)
    record = describe(options.rounds) | {"load_before": load, "metrics": metrics(samples)}
    out = options.out or RESULTS / f"{record['name']}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(tokens: int, cached: bool) -> dict:
    """Milliseconds of one generation in this process: its prefill, and a decoded token."""
    import torch

    from lessonlib import models
    from lessonlib.labs import kv_cache as lab
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    model, _ = models.load("target", dtype=torch.float32)
    ids = lab.made_up_ids(model, tokens)
    lab.timed_generation(model, ids, 2, cached)
    run = lab.timed_generation(model, ids, NEW, cached)
    return {"prefill": run.prefill * 1e3, "a_token": run.decode / (NEW - 1) * 1e3, "ids": run.ids}


def collect(rounds: int, device: str) -> dict[tuple[int, bool], list[dict]]:
    """Samples of every variant, each from a process of its own. RuntimeError when the two ways write different text."""
    samples: dict = {(n, cached): [] for n in LENGTHS for cached in (True, False)}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for tokens in LENGTHS:
            for cached in (True, False) if number % 2 == 0 else (False, True):
                command = [sys.executable, __file__, "--device", device, "--one", str(tokens), str(cached)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                samples[tokens, cached].append(json.loads(done.stdout.splitlines()[-1]))
    for tokens in LENGTHS:
        if len({tuple(s["ids"]) for cached in (True, False) for s in samples[tokens, cached]}) > 1:
            raise RuntimeError(f"With and without a cache the model wrote different tokens after {tokens}.")
    return samples


def metrics(samples) -> dict:
    """{metric: unit, samples, median}. A ratio is taken round by round, from the two runs that stood side by side."""
    found = {}

    def add(name, unit, values):
        values = [round(value, 4) for value in values]
        found[name] = {"unit": unit, "samples": values, "median": median(values)}

    for tokens in LENGTHS:
        with_cache, without = samples[tokens, True], samples[tokens, False]
        ratios = [b["a_token"] / a["a_token"] for a, b in zip(with_cache, without, strict=True)]
        add(f"times_as_fast_at_{tokens}_tokens", "times", ratios)
        add(f"prefill_at_{tokens}_tokens", "ms", [s["prefill"] for s in with_cache])
        add(f"one_token_without_cache_at_{tokens}_tokens", "ms", [s["a_token"] for s in without])
        add(f"one_token_with_cache_at_{tokens}_tokens", "ms", [s["a_token"] for s in with_cache])
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    return {
        "name": "l05_decode" if about["device"] == "cpu" else "l05_decode_gpu",
        "what": f"greedy generation of {NEW} tokens by the embedded model target in float32",
        "device": name,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "lengths": list(LENGTHS),
        "rounds": rounds,
        "method": "fresh process for each sample, one warm-up, order of the two variants alternated, medians; the "
        "first new token belongs to the prefill",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
