"""Measure on a GPU what 4-bit weights buy: torch's maintained int4 kernel beside bf16, on real matrix shapes, batch 1 to 64.

    python benchmarks/l08_int4_gpu.py            writes benchmarks/results/l08_int4_gpu.json

Without a GPU it says so and exits with 2: nothing is estimated. Each round is a fresh process; in it, every product is
warmed up and timed by the device's own clock, several times. The last row count (2,048) stands for the reading of a prompt.
The weights are random: speed does not depend on values. The kernel's result is compared with the product of the restored
weights first; a difference above 2 percent stops the run."""

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

RESULT = Path(__file__).parent / "results" / "l08_int4_gpu.json"
MODEL = "qwen2.5-coder-32b"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 2048)
MOST_DIFFERENCE = 0.02
NO_GPU = "There is no GPU here: this benchmark measures a CUDA device, and estimates nothing."


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status, 2 without a GPU."""
    parser = argparse.ArgumentParser(description="Measure a 4-bit kernel beside bf16 on a GPU.")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes (default: 3)")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    import torch

    if not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return 2
    os.environ["LESSON_DEVICE"] = "cuda"
    if options.one:
        print(json.dumps(one()))
        return 0
    if options.rounds < 3:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    rounds = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, __file__, "--one"], check=True, stdout=subprocess.PIPE, text=True)
        rounds.append(json.loads(done.stdout.splitlines()[-1]))
    record = describe(options.rounds) | {"shapes": shapes(), "metrics": metrics(rounds)}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 0


def shapes() -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of three matrices of a real 32B model."""
    from lessonlib.facts import catalog

    model = catalog.model(MODEL)
    hidden, wide = model.hidden_size, model.intermediate_size
    return {"q": (model.attention_heads * model.head_dim, hidden), "up": (wide, hidden), "down": (hidden, wide)}


def one(device: str = "cuda") -> dict[str, dict]:
    """Microseconds of both products and their ratio, by shape and batch, measured once in this process. RuntimeError when
    the kernel's result is not the product of the restored weights."""
    from lessonlib.labs import quantization_kernels as kernels

    found = {}
    for name, (rows, cols) in shapes().items():
        matrix = kernels.int4_matrix(rows, cols, device)
        apart = kernels.difference(matrix)
        if apart > MOST_DIFFERENCE:
            raise RuntimeError(
                f"The int4 kernel is {apart:.1%} away from the product of the restored weights ({name})."
            )
        for race in kernels.race(matrix, BATCHES):
            key = f"{name}_at_batch_{race.batch}"
            found[f"bf16_{key}"] = {"unit": "us", "value": 1e6 * min(race.bf16)}
            found[f"int4_{key}"] = {"unit": "us", "value": 1e6 * min(race.int4)}
            found[f"times_as_fast_{key}"] = {"unit": "times", "value": race.times_as_fast}
        del matrix
    return found


def metrics(rounds: list[dict]) -> dict:
    """{metric: unit, samples, median} over the rounds."""
    found = {}
    for name, first in rounds[0].items():
        values = [round(entry[name]["value"], 4) for entry in rounds]
        found[name] = {"unit": first["unit"], "samples": values, "median": median(values)}
    return found


def describe(rounds: int) -> dict:
    """What was measured, on what, when."""
    import torch

    return {
        "name": "l08_int4_gpu",
        "what": f"products with matrices of {MODEL}: 4-bit weights in groups of 64 (torch._weight_int4pack_mm) beside bf16",
        "device": torch.cuda.get_device_name(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "cuda": torch.version.cuda},
        "date": datetime.date.today().isoformat(),
        "rounds": rounds,
        "method": "fresh process for each round; in it, warm-up and the best of several samples by the device's own events",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
