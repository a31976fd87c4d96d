"""Measure lesson 06's reference: what each setting does to stories and code, and how often forms come out valid.

    python benchmarks/l06_temperature.py            writes benchmarks/results/l06_temperature.json
    python benchmarks/l06_temperature.py --device cuda

Each round is a fresh process with a seed of its own; the order of the settings alternates from round to round. The code
is what the lesson runs as well (`lessonlib.labs.sampling_quality`, `sampling_forms`), with more settings and more forms."""

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

RESULT = Path(__file__).parent / "results" / "l06_temperature.json"
TEMPERATURES = (0, 0.7, 1.0, 1.5)  # of the forms
SAMPLES = 8  # of each form at each temperature


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure texts and forms against temperature.")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each metric (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--keep", type=Path, help="a folder for finished rounds: a stopped run goes on from there")
    parser.add_argument("--one", type=int, metavar="ROUND", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one is not None:
        print(json.dumps(one(options.one)))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    samples = collect(options.rounds, options.device, options.keep)
    record = describe(options.rounds) | {"load_before": load, "metrics": metrics(samples)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(number: int) -> dict:
    """{metric: [unit, value]} of round `number`, which is also its seed."""
    import torch

    from lessonlib import models
    from lessonlib.labs import sampling_forms as forms
    from lessonlib.labs import sampling_quality as quality
    from lessonlib.labs.kv_cache import STORY

    model, tokenizer = models.load("target", dtype=torch.float32)
    settings = quality.MORE_SETTINGS[:: -1 if number % 2 else 1]
    found = quality.metrics(quality.survey(model, tokenizer, settings, seed=number))
    found["person_surprise"] = ("bits a token", quality.surprise(model, tokenizer, STORY))
    for form in forms.FORMS:
        rows = forms.fill(model, tokenizer, form, TEMPERATURES, SAMPLES, seed=number)
        found |= forms.metrics(rows)
    return found


def collect(rounds: int, device: str, keep: Path | None = None) -> list[dict]:
    """One sample of every metric from each round's process; rounds that lie in the folder `keep` are not run again."""
    samples = []
    for number in range(rounds):
        kept = keep / f"{device}-{number}.json" if keep else None
        if kept and kept.is_file():
            samples.append(json.loads(kept.read_text(encoding="utf-8")))
            continue
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--device", device, "--one", str(number)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        samples.append(json.loads(done.stdout.splitlines()[-1]))
        if kept:
            keep.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(samples[-1]), encoding="utf-8")
    return samples


def metrics(samples: list[dict]) -> dict:
    """{metric: unit, samples, median}, metrics in the order of their names: rounds list them in different orders."""
    found = {}
    for name in sorted(samples[0]):
        values = [round(sample[name][1], 4) for sample in samples]
        found[name] = {"unit": samples[0][name][0], "samples": values, "median": median(values)}
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.labs import sampling_quality as quality
    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    return {
        "name": "l06_temperature",
        "what": f"stories and functions of up to {quality.NEW} tokens by the embedded model target in float32, and forms "
        "as JSON with and without a mask",
        "device": name,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "settings": [setting.name for setting in quality.MORE_SETTINGS],
        "prompts": {"stories": len(quality.STORIES), "code": len(quality.CODE)},
        "form_temperatures": list(TEMPERATURES),
        "form_samples": SAMPLES,
        "rounds": rounds,
        "method": "fresh process for each round, its number is the seed, order of the settings alternated, medians",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
