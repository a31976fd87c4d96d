"""Measure lesson 07's reference: little models trained from nothing, by size, by amount and kind of text, and with experts.

    python benchmarks/l07_scaling.py --corpus DIR            writes benchmarks/results/l07_scaling.json
    python benchmarks/l07_scaling.py --corpus DIR --keep RUN     keeps each run in RUN, and goes on with those missing

DIR is the folder with the packed corpus that the embedded models were trained on. Each run (a size, or a kind of text, and a
seed) is a fresh process on one thread; the code is `lessonlib.labs.parameters_and_moe_training`, which the lesson runs as
well. About eleven minutes of processor time."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

RESULT = Path(__file__).parent / "results" / "l07_scaling.json"
BUDGETS = (250_000, 500_000, 1_000_000, 2_000_000)  # bytes read
LARGE = 4  # from this size on, the last budget is left out
SPREAD = 1  # the size that is trained with three seeds, to see how much of a difference is chance
READ = 600_000  # bytes of the specialist and the generalist
TWINS_READ = 1_000_000
SPECIALIST = 2  # index of their size
PAGE_READ = 200_000  # bytes, as the lesson trains while you wait
STEPS = (1, 64)  # tokens of a step through one feed-forward part
PARTS = ("python", "tinystories", "taskdialog", "novels")  # the generalist reads each as often


def runs() -> list[tuple[str, str, int]]:
    """Every run as (part, what, seed)."""
    from lessonlib.labs import parameters_and_moe_training as lab

    found = [("scaling", str(number), 0) for number in range(len(lab.SIZES))]
    found += [("scaling", str(SPREAD), seed) for seed in (1, 2)]
    found += [("specialist", what, seed) for seed in range(3) for what in ("code", "all")]
    found += [("twins", what, seed) for seed in range(2) for what in lab.TWINS]
    found += [("page", what, seed) for seed in range(3) for what in ("0", "1", "2", "mixed")]
    return found + [("blocks", str(tokens), seed) for seed in range(5) for tokens in STEPS]


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Train little models by size, text and experts.")
    parser.add_argument("--corpus", type=Path, required=True, help="the folder of the packed corpus")
    parser.add_argument("--keep", type=Path, help="a folder for the single runs; those in it are not run again")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", nargs=3, metavar=("PART", "WHAT", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.one:
        print(json.dumps(one(options.corpus, options.one[0], options.one[1], int(options.one[2]))))
        return 0
    with tempfile.TemporaryDirectory() as made:
        samples = collect(options.corpus, options.keep or Path(made))
    record = describe() | tables(samples) | {"metrics": metrics(samples)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def one(folder: Path, part: str, what: str, seed: int) -> dict:
    """One run in this process: parameters, bits per byte at each budget, seconds of processor time."""
    import torch

    from lessonlib.labs import parameters_and_moe_training as lab
    from lessonlib.models.training.corpus import Corpus

    torch.set_num_threads(1)
    if part == "blocks":
        return blocks(int(what), seed)
    corpus, started = Corpus(folder), time.process_time()

    def text(name, split="train"):
        return lab.as_bytes(corpus.documents(split, name))

    if part == "scaling":
        number = int(what)
        size, read, budgets = lab.SIZES[number], ["tinystories"], BUDGETS[: 3 if number >= LARGE else 4]
        judged = ["tinystories"]
    elif part == "specialist":
        size, read, budgets = lab.SIZES[SPECIALIST], PARTS[:1] if what == "code" else PARTS, [READ]
        judged = PARTS
    elif part == "twins":
        size, read, budgets, judged = lab.TWINS[what], PARTS, [TWINS_READ], PARTS
    else:
        size, read, budgets, judged = lab.SIZES[2 if what == "mixed" else int(what)], [], [PAGE_READ], []
    model, held_out = size.build(seed), {name: text(name, "valid") for name in judged}
    texts = [text(name) for name in read]
    if part == "page":
        (code, held_out["code"]), (prose, held_out["manual"]) = lab.python_code(), lab.manual()
        texts = [code, prose] if what == "mixed" else [code]

    def measure(trained):
        return {name: round(lab.bits_per_byte(trained, data), 4) for name, data in held_out.items()}

    found = lab.train(model, texts, budgets, measure, seed)
    total = sum(p.numel() for p in model.parameters())
    shape = {"parameters": lab.parameters(model), "total": total}
    return shape | {"budgets": list(budgets), "bits": found, "seconds": round(time.process_time() - started, 1)}


def blocks(tokens: int, seed: int) -> dict:
    """Milliseconds of one step of `tokens` tokens through three feed-forward parts, the best of many."""
    from lessonlib.labs import parameters_and_moe as lab

    found = lab.time_blocks((tokens,), rounds=21, seed=seed)
    return {"ms": {kind: round(seconds[0] * 1e3, 4) for kind, (_, seconds) in found.items()}}


def collect(folder: Path, kept: Path) -> dict[tuple[str, str, int], dict]:
    """What each run gave, each from a process of its own; runs that `kept` holds are read from it."""
    kept.mkdir(parents=True, exist_ok=True)
    samples = {}
    for part, what, seed in runs():
        path = kept / f"{part}-{what}-{seed}.json"
        if not path.exists():
            print(f"{part} {what}, seed {seed}", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--corpus", str(folder), "--one", part, what, str(seed)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            partial = path.with_suffix(".part")
            partial.write_text(done.stdout.splitlines()[-1], encoding="utf-8")
            partial.replace(path)
        samples[part, what, seed] = json.loads(path.read_text(encoding="utf-8"))
    return samples


def tables(samples) -> dict:
    """What the lesson fits and shows: the grid [parameters, bytes read, bits per byte], medians of seeds."""
    points: dict = {}
    for (part, _, _), run in samples.items():
        if part == "scaling":
            for budget, bits in zip(run["budgets"], run["bits"], strict=True):
                points.setdefault((run["parameters"], budget), []).append(bits["tinystories"])
    return {"grid": [[n, d, round(median(bits), 6)] for (n, d), bits in sorted(points.items())]}


def metrics(samples) -> dict:
    """{metric: unit, samples, median}; the samples of a metric are its seeds."""
    found: dict = {}

    def add(name, unit, value):
        found.setdefault(name, {"unit": unit, "samples": []})["samples"].append(value)

    for (part, what, _), run in samples.items():
        if part == "blocks":
            for name, value in run["ms"].items():
                add(f"{name.replace(', ', '_').replace(' ', '_')}_{what}_tokens", "ms", value)
            continue
        for budget, bits in zip(run["budgets"], run["bits"], strict=True):
            for text, value in bits.items():
                if part == "scaling":
                    add(f"bits_of_{run['parameters']}_parameters_after_{budget}_bytes", "bits per byte", value)
                elif part == "page":
                    add(f"{'mixed' if what == 'mixed' else run['parameters']}_bits_on_{text}", "bits per byte", value)
                else:
                    add(f"{part}_{what}_bits_on_{text}", "bits per byte", value)
            if part == "twins":
                add(f"twins_{what}_bits", "bits per byte", round(sum(bits.values()) / len(bits), 4))
        if part == "twins":
            add(f"twins_{what}_parameters", "parameters", run["parameters"])
        add(f"{part}_{what}_training", "s of processor time", run["seconds"])
    for entry in found.values():
        entry["median"] = round(median(entry["samples"]), 6)
    return found


def describe() -> dict:
    """What was measured, on what, when."""
    import torch
    import transformers

    from lessonlib.labs import parameters_and_moe_training as lab
    from lessonlib.models import describe_device

    return {
        "name": "l07_scaling",
        "what": "models of bytes trained from random weights: six sizes by four amounts of stories; one size on code or on "
        "four kinds of text; dense and expert models of equal active and of equal total size; what the lesson itself trains and "
        "times",
        "device": f"{describe_device()['name']}, 1 thread",
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "date": datetime.date.today().isoformat(),
        "parts": list(PARTS),
        "read": {"scaling": list(BUDGETS), "specialist": READ, "twins": TWINS_READ},
        "method": f"fresh process for each run, windows of {lab.LENGTH} bytes, {lab.ROWS} a step, Muon {lab.MUON} and AdamW "
        f"{lab.ADAMW} for all sizes, the last {lab.COOLING:.0%} of each budget cooled; held-out documents; medians of seeds",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
