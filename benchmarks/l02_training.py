"""Measure lesson 02's reference: training beside inference, and how well a tiny Llama learns to tell stories.

    python benchmarks/l02_training.py            writes benchmarks/results/l02_training.json
    python benchmarks/l02_training.py --keep samples.jsonl        the same; a stopped run goes on where it was

Each sample comes from a fresh process on one thread. `costs` counts FLOPs and bytes of the embedded model mini and times
it; `short` and `long` train the tiny Llama of the lesson for a fixed number of steps, each round with another seed. The
code is `lessonlib.labs.what_is_an_llm_training`, which the lesson runs as well."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

RESULT = Path(__file__).parent / "results" / "l02_training.json"
STEPS = {"short": 400, "long": 1200}  # about 20 and 60 seconds of one core
ROUNDS = {"costs": 5, "short": 5, "long": 3}


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure training beside inference.")
    parser.add_argument("--rounds", type=int, help="samples of each part (default: 5, and 3 of the long training)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--keep", type=Path, help="a file for the samples: those that it holds are not made again")
    parser.add_argument("--one", nargs=2, metavar=("PART", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    os.environ["LESSON_DEVICE"] = "cpu"
    if options.one:
        part, seed = options.one[0], int(options.one[1])
        print(json.dumps(costs() if part == "costs" else training(part, seed)))
        return 0
    if options.rounds is not None and options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    rounds = {part: options.rounds or count for part, count in ROUNDS.items()}
    samples = collect(rounds, options.keep)
    record = describe(rounds) | {"load_before": load, "metrics": metrics(samples)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def stories(tokenizer, seed: int = 0):
    """Training rows, unseen rows and the floor, as the lesson makes them."""
    from lessonlib.labs import what_is_an_llm_training as lab

    told = lab.stories.stories(6200, seed=seed)
    data = lab.rows(tokenizer, told[:6000])
    return data, lab.rows(tokenizer, told[6000:]), lab.floor(data, told[:6000])


def costs() -> dict:
    """{metric: [unit, value]} of the embedded model mini: counted and timed."""
    import torch

    from lessonlib import models
    from lessonlib.labs import what_is_an_llm_training as lab

    mini, tokenizer = models.load("mini", device="cpu", dtype=torch.float32)
    batch = stories(tokenizer)[0][:8]
    with lab.one_thread():
        flops, held = lab.flops(mini, batch), lab.memory(mini, batch)
        seconds = lab.middle(lab.times(mini, batch))
    return {
        "flops_training_to_reading": ["times", flops["training"] / flops["forward"]],
        "memory_training_to_weights": ["times", sum(held.values()) / held["weights"]],
        "time_training_to_reading": ["times", seconds["training"] / seconds["reading"]],
        "time_writing_to_reading": ["times", seconds["writing"] / seconds["reading"]],
    }


def training(part: str, seed: int) -> dict:
    """{metric: [unit, value]} of one training of the tiny Llama; "short" gives the metrics that the lesson shows."""
    import torch

    from lessonlib import models
    from lessonlib.labs import what_is_an_llm_training as lab

    _, tokenizer = models.load("mini", device="cpu", dtype=torch.float32)
    data, unseen, floor = stories(tokenizer)
    tiny, steps = lab.tiny_llama(len(tokenizer), seed=seed), STEPS[part]
    started = time.perf_counter()
    lab.train(tiny, data, steps=steps, seed=seed)
    seconds = time.perf_counter() - started
    with lab.one_thread():
        loss, score = lab.held_out(tiny, unseen), lab.score(lab.tell(tiny, tokenizer, 50, seed=seed))
    found = {
        f"loss_after_{steps}_steps": ["nats a token", loss],
        f"right_sentences_after_{steps}_steps": ["%", 100 * score["sentences"]],
        f"right_stories_after_{steps}_steps": ["%", 100 * score["stories"]],
    }
    if part == "short":
        found |= {"loss_at_the_end": ["nats a token", loss], "steps_a_second": ["steps/s", steps / seconds]}
        found |= {"floor": ["nats a token", floor]}
    return found


def collect(rounds: dict[str, int], keep: Path | None = None) -> list[dict]:
    """Samples of every part, each from a process of its own; `keep` holds those of an earlier run, and gets new ones."""
    known = [json.loads(line) for line in keep.read_text("utf-8").splitlines()] if keep and keep.exists() else []
    made = {(row["part"], row["seed"]): row["found"] for row in known}
    samples = []
    for number in range(max(rounds.values())):
        for part in (part for part, count in rounds.items() if number < count):
            if (part, number) not in made:
                print(f"round {number + 1}: {part}", file=sys.stderr, flush=True)
                command = [sys.executable, __file__, "--one", part, str(number)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                made[part, number] = json.loads(done.stdout.splitlines()[-1])
                if keep:
                    with keep.open("a", encoding="utf-8") as file:
                        print(json.dumps({"part": part, "seed": number, "found": made[part, number]}), file=file)
            samples.append(made[part, number])
    return samples


def metrics(samples: list[dict]) -> dict:
    """{metric: unit, samples, median}."""
    found: dict = {}
    for sample in samples:
        for name, (unit, value) in sample.items():
            found.setdefault(name, {"unit": unit, "samples": []})["samples"].append(round(value, 4))
    return {name: {**entry, "median": median(entry["samples"])} for name, entry in found.items()}


def describe(rounds: dict[str, int]) -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device

    return {
        "name": "l02_training",
        "what": "training beside inference of the embedded model mini, and a tiny Llama that learns made-up stories",
        "device": f"{describe_device()['name']}, one thread",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "steps": STEPS,
        "rounds": rounds,
        "seeds": "the number of the round, for weights, batches and texts; the stories are those of seed 0",
        "method": "fresh process for each sample, one thread, float32, 16 stories a step, medians; 50 texts scored",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
