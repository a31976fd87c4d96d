"""Measure lesson 11's reference: how many of 164 copying items the embedded models solve, with two wordings.

    python benchmarks/l11_scores.py            writes benchmarks/results/l11_scores.json
    python benchmarks/l11_scores.py --device cuda

Each sample is one model and one wording in a fresh process. The code that is measured is
`lessonlib.labs.choosing_a_model.evaluate` on `items`, which the lesson runs as well."""

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

RESULT = Path(__file__).parent / "results" / "l11_scores.json"
# Metric -> model and the word that the prompt calls the task.
VARIANTS = {f"solved_by_{name}": (name, "Copy") for name in ("target", "moe", "mini", "draft")}
VARIANTS |= {f"solved_by_{name}_with_another_word": (name, "Say again") for name in ("target", "moe", "mini")}


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure the scores of the embedded models on 164 copying items.")
    parser.add_argument("--rounds", type=int, default=3, help="samples of each variant (default: 3)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default: cpu)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", nargs=2, metavar=("MODEL", "WORD"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = options.device
    if options.one:
        print(json.dumps({"solved": one(*options.one)}))
        return 0
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}, but must be 1 or more")
    samples = collect(options.rounds, options.device)
    record = describe(options.rounds) | {"metrics": metrics(samples)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(name: str, word: str) -> int:
    """Solved items of one model in this process."""
    import torch

    from lessonlib import models
    from lessonlib.labs import choosing_a_model as lab
    from lessonlib.page.bootstrap import cores

    torch.set_num_threads(cores())
    model, tokenizer = models.load(name, dtype=torch.float32)
    return sum(lab.evaluate(model, tokenizer, lab.items(word)))


def collect(rounds: int, device: str) -> dict[str, list[int]]:
    """Samples of every variant, each from a process of its own."""
    samples: dict[str, list[int]] = {metric: [] for metric in VARIANTS}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for metric, (name, word) in VARIANTS.items():
            command = [sys.executable, __file__, "--device", device, "--one", name, word]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            samples[metric].append(json.loads(done.stdout.splitlines()[-1])["solved"])
    return samples


def metrics(samples: dict[str, list[int]]) -> dict:
    """{metric: unit, samples, median}."""
    return {name: {"unit": "items of 164", "samples": s, "median": median(s)} for name, s in samples.items()}


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device
    from lessonlib.page.bootstrap import cores

    about = describe_device()
    name = f"{about['name']}, {cores()} cores" if about["device"] == "cpu" else about["name"]
    return {
        "name": "l11_scores",
        "what": "items whose whole answer greedy decoding writes: copy 4, 6, 8 or 10 words, embedded models in float32",
        "device": name,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "method": "fresh process for each sample; the same seeded items for all models",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
