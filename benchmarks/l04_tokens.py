"""Measure lesson 04's reference: tokenizers on one text, a name that falls out of the window, loss past the trained length.

    python benchmarks/l04_tokens.py            writes benchmarks/results/l04_tokens.json
    python benchmarks/l04_tokens.py --device cuda

Each round runs in a fresh process; the order of the tokenizers alternates from round to round. Counts, chances and losses
are the same in each round up to rounding; the speeds are not. The code is what the lesson runs as well."""

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

RESULT = Path(__file__).parent / "results" / "l04_tokens.json"


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure tokenizers, and what a model uses of a long text.")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each metric (default: 5)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", choices=("forward", "backward"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one:
        print(json.dumps(one(backward=options.one == "backward")))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    record = describe(options.rounds) | {
        "load_before": load,
        "metrics": metrics(collect(options.rounds, options.device)),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(backward: bool) -> dict:
    """{metric: [unit, value]} of this process. RuntimeError when a tokenizer is missing."""
    import torch

    from lessonlib import models
    from lessonlib.labs import tokens_and_context as lab
    from lessonlib.labs import tokens_and_context_readers as readers
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    names = readers.OFFLINE_READERS[::-1] if backward else readers.OFFLINE_READERS
    found, missing = readers.survey([lab.texts.ENGLISH], names)
    if missing:
        raise RuntimeError(" ".join(missing))
    target, tokenizer = models.load("target", dtype=torch.float32)
    recalls = lab.recall(target, tokenizer, lab.KEEP)
    mini, _ = models.load("mini", dtype=torch.float32)
    return lab.metrics(found[::-1] if backward else found, recalls, lab.loss_after(mini, tokenizer, lab.LENGTHS))


def collect(rounds: int, device: str) -> list[dict]:
    """One sample of every metric from each round's process."""
    samples = []
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--device", device, "--one", "backward" if number % 2 else "forward"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        samples.append(json.loads(done.stdout.splitlines()[-1]))
    return samples


def metrics(samples: list[dict]) -> dict:
    """{metric: unit, samples, median}."""
    found = {}
    for name, (unit, _) in samples[0].items():
        values = [round(sample[name][1], 6) for sample in samples]
        found[name] = {"unit": unit, "samples": values, "median": median(values)}
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    from importlib.metadata import version

    from lessonlib.labs import tokens_and_context as lab
    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    packages = ("torch", "transformers", "tokenizers", "tiktoken", "mistral-common", "sentencepiece")
    return {
        "name": "l04_tokens",
        "what": "tokenizers on the English sample; the embedded models target (name) and mini (loss) in float32",
        "device": name,
        "versions": {"python": platform.python_version(), **{package: version(package) for package in packages}},
        "date": datetime.date.today().isoformat(),
        "lengths": list(lab.LENGTHS),
        "kept": lab.KEEP,
        "rounds": rounds,
        "method": "fresh process for each round, order of the tokenizers alternated, medians; each speed is itself the "
        "median of three passes",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
