"""Measure lesson 03's reference: recall of attention, a GRU and an LSTM over distance, the time of their layers, and what
attention costs against length.

    python benchmarks/l03_recall.py            writes benchmarks/results/l03_recall.json
    python benchmarks/l03_recall.py --device cuda        times and costs on a GPU; recall is no matter of the device
    python benchmarks/l03_recall.py --keep FILE        keeps every sample there, and goes on after a stop

Each sample is one training (net, facts, steps, seed) or one set of timings in a fresh process. The code that runs is
`lessonlib.labs.attention_recall` and `attention_cost`, which the lesson runs as well."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median, stdev

RESULTS = Path(__file__).parent / "results"
NETS = ("attention", "GRU", "LSTM")
TRAININGS = ((1, 1000), (8, 1000), (8, 6000))  # facts and batches; 1,000 batches are what the lesson runs
FAR = 24  # steps back and more: "far"
LENGTHS = (64, 256, 1024)  # steps of the timed layers
COST_LENGTHS = (256, 512, 1024)  # tokens of the measured attention
HEADS, HEAD_DIM = 3, 64  # one group of query heads of the model `target`


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure recall over distance, and what attention costs.")
    parser.add_argument("--rounds", type=int, default=3, help="seeds, and processes of timings (default: 3)")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda for times alone (default: cpu)")
    parser.add_argument(
        "--out", type=Path, help="the record to write (default: l03_recall.json, on a GPU l03_recall_gpu.json)"
    )
    parser.add_argument("--keep", type=Path, help="a file for the samples, to go on after a stop")
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one:
        print(json.dumps(one(options.one, options.device)))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    samples = collect(options.rounds, options.device, options.keep)
    record = describe(options.rounds) | {"load_before": load} | summary(samples, options.rounds)
    out = options.out or RESULTS / f"{record['name']}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def jobs(rounds: int, device: str = "cpu") -> list[tuple[str, ...]]:
    """What each process measures: ("timings", round), and on a processor ("train", net, facts, steps, seed)."""
    found = []
    for seed in range(rounds):
        found.append(("timings", str(seed)))
        if device == "cpu":
            found += [("train", net, str(facts), str(steps), str(seed)) for facts, steps in TRAININGS for net in NETS]
    return found


def one(job: list[str], device: str) -> dict:
    """The result of one job in this process."""
    from lessonlib.labs import attention_cost, attention_recall

    if job[0] == "train":
        result = attention_recall.train(job[1], int(job[2]), int(job[3]), int(job[4]), tests=1000)
        return {"overall": result.overall, "by_distance": result.by_distance, "parameters": result.parameters}
    layers = {f"{net}/{n}": attention_recall.layer_seconds(net, n, device) * 1e3 for net in NETS for n in LENGTHS}
    here = [name for name, runs in attention_cost.backends_here(device).items() if runs]
    ways = {"written_out": attention_cost.written_out} | {name: attention_cost.kernel(name) for name in here}
    costs = {}
    for name, attend in ways.items():
        found = attention_cost.measure(attend, HEADS, HEAD_DIM, COST_LENGTHS, device, runs=5)
        costs[name.lower()] = [[s.tokens, s.seconds * 1e3, s.peak] for s in found]
    return {"layers": layers, "costs": costs}


def collect(rounds: int, device: str, keep: Path | None) -> dict[str, dict]:
    """The result of every job by its words, each from a process of its own."""
    done = json.loads(keep.read_text()) if keep and keep.is_file() else {}
    for job in jobs(rounds, device):
        name = " ".join(job)
        if name in done:
            continue
        print(name, file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--device", device, "--one", *job]
        ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        done[name] = json.loads(ran.stdout.splitlines()[-1])
        if keep:
            keep.write_text(json.dumps(done), encoding="utf-8")
    return done


def summary(samples: dict[str, dict], rounds: int) -> dict:
    """{"metrics": {metric: unit, samples, median, and for recall the spread}, "by_distance": curves, "parameters": counts}."""
    metrics, curves, parameters = {}, {}, {}

    def add(name, unit, values, spread=False):
        values = [float(f"{value:.5g}") for value in values]
        metrics[name] = {"unit": unit, "samples": values, "median": median(values)}
        if spread:
            metrics[name]["standard_deviation"] = float(f"{stdev(values):.3g}")

    def runs(net, facts, steps):
        return [samples[f"train {net} {facts} {steps} {seed}"] for seed in range(rounds)]

    trained = any(name.startswith("train") for name in samples)
    for facts, steps in TRAININGS if trained else ():
        for net in NETS:
            found = runs(net, facts, steps)
            label = f"{net.lower()}_of_{facts}_after_{steps}"
            far = [sum(r["by_distance"][FAR:]) / len(r["by_distance"][FAR:]) for r in found]
            add(f"recall_{label}", "%", [100 * r["overall"] for r in found], spread=True)
            add(f"far_recall_{label}", "%", [100 * value for value in far], spread=True)
            curves[label] = [round(sum(at) / rounds, 4) for at in zip(*(r["by_distance"] for r in found), strict=True)]
            parameters[net] = found[0]["parameters"]
    timings = [samples[f"timings {number}"] for number in range(rounds)]
    for n in LENGTHS:
        for net in NETS:
            add(f"{net.lower()}_layer_at_{n}_steps", "ms", [t["layers"][f"{net}/{n}"] for t in timings])
    for way in timings[0]["costs"]:
        points = [t["costs"][way] for t in timings]
        add(f"{way}_exponent_of_time", "power", [_exponent(p, 1) for p in points])
        add(f"{way}_exponent_of_memory", "power", [_exponent(p, 2) for p in points])
        add(f"{way}_at_{COST_LENGTHS[-1]}_tokens", "ms", [p[-1][1] for p in points])
        add(f"{way}_peak_at_{COST_LENGTHS[-1]}_tokens", "MB", [p[-1][2] / 1e6 for p in points])
    return {"metrics": metrics, "by_distance": curves, "parameters": parameters}


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    return {
        "name": "l03_recall" if about["device"] == "cpu" else "l03_recall_gpu",
        "what": "recall of facts by one attention layer, a GRU and an LSTM of about as many parameters; time of these layers; "
        f"time and memory of attention with {HEADS} heads of {HEAD_DIM}",
        "device": name,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "trainings": [{"facts": facts, "batches": steps} for facts, steps in TRAININGS],
        "method": "fresh process for each sample; recall: seeds 0, 1, ..., one thread, the same batches for every net, 1,000 fresh "
        f"sequences, far is {FAR} steps back and more; times: best of several runs after a warm-up; medians",
    }


def _exponent(points, column: int) -> float:
    from lessonlib.labs.attention_cost import Sample, exponent

    return exponent([Sample(int(p[0]), p[1] / 1e3, int(p[2])) for p in points], "seconds" if column == 1 else "peak")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
