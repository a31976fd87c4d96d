"""Measure lesson 01's reference: how fast the embedded model reads and writes, and input for output in everyday tasks.

    python benchmarks/l01_costs.py            writes benchmarks/results/l01_costs.json
    python benchmarks/l01_costs.py --device cuda

Each round is a fresh process that measures everything once; the record keeps the value of every round and their median.
The code that is timed is `lessonlib.labs.why_self_host.speeds`, which the lesson runs as well. The power is assumed, not
measured: --watts."""

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

RESULT = Path(__file__).parent / "results" / "l01_costs.json"
TARIFF = "us-average"


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure tokens a second and the input for output of everyday tasks.")
    parser.add_argument("--rounds", type=int, default=7, help="fresh processes (default: 7)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    parser.add_argument("--watts", type=float, default=65, help="assumed power of the machine at work (default: 65)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one:
        print(json.dumps(one(options.watts)))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rounds = collect(options.rounds, options.device, options.watts)
    record = describe(options.rounds, options.watts) | {"load_before": load, "metrics": metrics(rounds)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(watts: float) -> dict[str, float]:
    """All metrics, measured once in this process."""
    import torch

    from lessonlib import models
    from lessonlib.facts import catalog
    from lessonlib.labs import why_self_host as lab
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    model, tokenizer = models.load("target", dtype=torch.float32)
    return lab.summary(lab.speeds(model), tokenizer, watts, catalog.price(TARIFF).usd_kwh)


def collect(rounds: int, device: str, watts: float) -> list[dict[str, float]]:
    """The metrics of every round, each from a process of its own."""
    found = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--device", device, "--watts", str(watts), "--one"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return found


def metrics(rounds: list[dict[str, float]]) -> dict:
    """{metric: unit, samples, median}."""
    found = {}
    for name in rounds[0]:
        values = [float(f"{values[name]:.5g}") for values in rounds]
        found[name] = {"unit": unit(name), "samples": values, "median": median(values)}
    return found


def unit(name: str) -> str:
    """The unit of a metric, by its name."""
    if name.startswith("tokens_a_second"):
        return "tokens/s"
    if name.startswith("electricity"):
        return "USD"
    return "input/output" if name.startswith("ratio") else "times"


def describe(rounds: int, watts: float) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.facts import catalog
    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    tariff = catalog.price(TARIFF)
    return {
        "name": "l01_costs",
        "what": "reading and writing speed of the embedded model target in float32, and tokens of everyday tasks",
        "device": name,
        "assumed": {"watts": watts, "usd_kwh": tariff.usd_kwh, "tariff": f"{tariff.id}, {tariff.as_of}"},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "method": "fresh process for each round; in it, warm-up and the best of several samples; medians over the rounds; "
        "ratios are counts of tokens",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
