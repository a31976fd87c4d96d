"""Measure memory and speed of real architectures with random weights, beside the ceilings of the same device.

    python benchmarks/shapes_gpu.py --minutes 9     writes benchmarks/results/shapes_gpu.json; run it again to go on
    python benchmarks/shapes_gpu.py --shapes qwen3-8b llama-3.3-70b:int4 --contexts 1024
    python benchmarks/shapes_gpu.py --device cpu --shapes qwen3-0.6b --layers 2 --batches 1 --contexts 64

Each shape runs in a fresh process: ceilings of the device (copy, triad, matrix product), bytes of the weights as
predicted, allocated, reserved and seen by the driver, then prefill and decode of every batch and context that fits; what
does not is recorded with the bytes that it needs. The cache is allocated once for each measurement and filled with random
values, so decode at a context needs no prefill of it. Dense models with attention over the whole text only."""

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

RESULT = Path(__file__).parent / "results" / "shapes_gpu.json"
SHAPES = (
    "qwen3-0.6b",
    "qwen3-1.7b",
    "qwen3-8b",
    "qwen3-14b",
    "qwen3-32b",
    "qwen3-32b:int4",
    "llama-3.3-70b:int4",
)
BATCHES, CONTEXTS = (1, 8, 64), (1024, 8192, 32768)
PASS = 32768  # tokens in one prefill pass: a larger batch is prefilled some sequences at a time
LEAST = 60  # seconds that must be left to start another shape


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(description="Measure real shapes with random weights.")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, metavar="NAME[:int4|:int8]")
    parser.add_argument("--batches", nargs="+", type=int, default=BATCHES)
    parser.add_argument("--contexts", nargs="+", type=int, default=CONTEXTS, metavar="TOKENS")
    parser.add_argument("--layers", type=int, help="only the first layers of each shape")
    parser.add_argument("--rounds", type=int, default=5, help="samples of each measurement (default: 5)")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1 or cpu (default: cuda)")
    parser.add_argument("--graphs", action="store_true", help="measure decode as a CUDA graph, too")
    parser.add_argument("--minutes", type=float, help="stop in time, and go on where it stopped when run again")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, default=float("inf"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.rounds < 3 and not options.one:
        parser.error(f"--rounds is {options.rounds}, but a median needs 3 or more")
    if options.minutes is not None and options.minutes <= 0:
        parser.error(f"--minutes is {options.minutes}, but must be above 0")
    try:
        if options.one:
            print(json.dumps(one(options)))
            return 0
        for name in options.shapes:
            find(name, options.layers)
        record = opened(options)
    except ValueError as error:
        parser.error(str(error))
    return collect(options, record)


def collect(options, record: dict) -> int:
    """Measure the shapes that the record lacks, one process each, and save after each; 1 when one failed."""
    ends = time.monotonic() + 60 * (options.minutes or float("inf"))
    failed = False
    for key in options.shapes:
        name = key if options.layers is None else f"{key}@{options.layers}"
        rounds = options.rounds - record["shapes"].get(name, {}).get("rounds", 0)
        left = ends - time.monotonic()
        if rounds <= 0:
            continue
        if left < LEAST:
            print(f"time is up before {name}: run the command again to go on", file=sys.stderr)
            break
        print(f"{name}: {rounds} rounds", file=sys.stderr, flush=True)
        command = [sys.executable, __file__, "--one", key, "--rounds", str(rounds), "--device", options.device]
        command += ["--batches", *map(str, options.batches), "--contexts", *map(str, options.contexts)]
        command += ["--layers", str(options.layers)] if options.layers else []
        command += ["--graphs"] if options.graphs else []
        command += ["--seconds", str(left - 20)] if options.minutes else []
        try:
            limit = left if options.minutes else None
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=limit)
        except subprocess.TimeoutExpired:
            print(f"{name} was stopped when the time was up: allow more --minutes for it", file=sys.stderr)
            break
        if done.returncode:
            print(f"{name} failed with status {done.returncode}; see above", file=sys.stderr)
            failed = True
            continue
        merge(record, name, json.loads(done.stdout.splitlines()[-1]))
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return int(failed)


def find(key: str, layers: int | None):
    """(shape, quantization) of "qwen3-8b" or "qwen3-32b:int4". ValueError when this benchmark cannot measure it."""
    from lessonlib.models import shape

    name, _, quantization = key.partition(":")
    found = shape(name, layers=layers)
    if set(found.layer_types) != {"full_attention"} or found.groups()["experts"].parameters:
        raise ValueError(f"{name} has windows, states or experts: choose a dense model with plain attention.")
    found.weight_bytes(quantization=quantization or None)
    return found, quantization or None


def opened(options) -> dict:
    """The record so far, or a new one. ValueError when it was made on something else."""
    new = describe(options)
    if not options.out.is_file():
        return new
    old = json.loads(options.out.read_text(encoding="utf-8"))
    for field in ("device", "versions", "batches", "contexts"):
        if old.get(field) != new[field]:
            raise ValueError(
                f"{options.out.name} has the {field} {old.get(field)}, this run {new[field]}: choose another --out."
            )
    return old | {"date": new["date"]}


def describe(options) -> dict:
    """What is measured, on what, when."""
    import torch
    import transformers

    from lessonlib.models import describe_device
    from lessonlib.models.shape_speed import STEPS

    about = describe_device(options.device)
    return {
        "name": "shapes_gpu",
        "what": "real architectures with random weights: bytes, prefill and decode, and how near to the device's limits",
        "device": about["name"],
        "device_bytes": about["memory_bytes"],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "cuda": torch.version.cuda,
        },
        "date": datetime.date.today().isoformat(),
        "batches": list(options.batches),
        "contexts": list(options.contexts),
        "method": f"fresh process for each shape, warm-up, order of the measurements alternated from round to round, "
        f"{'CUDA events' if about['device'] != 'cpu' else 'clock'}, medians; decode: {STEPS} tokens a sample after a "
        f"cache filled with random values; prefill: at most {PASS} tokens a pass; the first new token belongs to the "
        "prefill; ceilings measured in the same process; roofline of decode: bytes of weights and cache over the "
        "larger of copy and triad, of prefill: floating-point operations over the matrix product",
        "shapes": {},
        "metrics": {},
    }


def merge(record: dict, name: str, found: dict) -> None:
    """Add what one process measured: samples to those of an earlier call, everything else anew."""
    earlier = record["shapes"].get(name, {}).get("rounds", 0)
    for metric, (unit, values) in found.pop("samples").items():
        entry = record["metrics"].setdefault(f"{name}_{metric}", {"unit": unit, "samples": []})
        entry["samples"] += [float(f"{value:.6g}") for value in values]
        entry["median"] = median(entry["samples"])
    middle = {m.removeprefix(f"{name}_"): e["median"] for m, e in record["metrics"].items() if m.startswith(f"{name}_")}
    bandwidth = 1e9 * max(middle["copy"], middle["triad"])
    for cell, facts in found["cells"].items():
        for kind in ("decode", "decode_graph"):
            if f"{cell}_{kind}" in middle:
                steps = middle[f"{cell}_{kind}"] / facts["batch"]  # a second
                facts[f"{kind}_of_roofline"] = round(steps * facts["decode_step_bytes"] / bandwidth, 4)
        if f"{cell}_prefill" in middle:
            passes = middle[f"{cell}_prefill"] / facts["prefill_pass_tokens"]
            facts["prefill_of_roofline"] = round(passes * facts["prefill_pass_flops"] / (1e12 * middle["matmul"]), 4)
    record["shapes"][name] = found | {"rounds": earlier + found["rounds"]}


def one(options) -> dict:
    """Everything about one shape, measured in this process."""
    import torch

    from lessonlib.models import memory_free, pick_device, shape_speed, shapes

    device = pick_device(options.device)
    if device.index is not None:
        torch.cuda.set_device(device)
    found, quantization = find(options.one, options.layers)
    ends = time.monotonic() + options.seconds
    needed = found.weight_bytes(quantization=quantization)
    result = {
        "parameters": found.parameters,
        "layers": found.config.num_hidden_layers,
        "quantization": quantization,
        "weight_bytes": {"predicted": needed},
        "cells": {},
        "left_out": {},
        "samples": {name: (unit, values) for name, unit, values in shape_speed.ceilings(device)},
    }
    memory = Memory(device)
    free = memory_free(device)
    if free is not None and needed > free:
        leave_out(result, "weights", "more bytes than are free", needed, free)
        return result | {"rounds": options.rounds}
    model = found.materialise(device, quantization=quantization)
    result["weight_bytes"] |= {"measured": shapes.measured_bytes(model)} | memory.grown()
    cells = [Cell(found, quantization, batch, context) for batch in options.batches for context in options.contexts]
    done, longest = 0, 0.0
    for number in range(options.rounds):
        if number and time.monotonic() + longest * 1.1 > ends:
            break
        started = time.monotonic()
        for cell in cells if number % 2 == 0 else reversed(cells):
            measure(model, cell, number, result, options.graphs)
        longest = max(longest, time.monotonic() - started)
        done += 1
    if device.type == "cuda":
        result["peak_bytes"] = torch.cuda.max_memory_allocated(device)
    return result | {"rounds": done}


class Cell:
    """One batch and context of a shape: its name, its bytes and operations."""

    def __init__(self, shape, quantization: str | None, batch: int, context: int):
        from lessonlib.models.shape_speed import STEPS

        self.name, self.batch, self.context = f"b{batch}_c{context}", batch, context
        self.rows = max(1, min(batch, PASS // context))  # sequences in one prefill pass
        config, groups = shape.config, shape.groups()
        heads = config.num_attention_heads
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
        inside = groups["attention"].parameters + groups["mlp"].parameters
        table = config.vocab_size * config.hidden_size
        tied = not groups["output"].parameters
        tokens = self.rows * context
        self.cache_bytes = shape.kv_bytes(context + STEPS, batch)
        # A step reads every weight but the input table, of which it looks up some rows, and the cache of the context.
        read = shape.weight_bytes(quantization=quantization) - (0 if tied else groups["embedding"].bytes)
        self.step_bytes = read + shape.kv_bytes(context, batch)
        # Two operations a weight and token, the output matrix for the last token only; queries x keys and weights x
        # values of every pair under the causal mask.
        pairs = self.rows * context * (context + 1) // 2
        self.flops = 2 * inside * tokens + 2 * table * self.rows
        self.flops += 4 * config.num_hidden_layers * heads * head_dim * pairs
        # What a pass holds beside the cache: some copies of the hidden state, and the feed-forward part's three.
        self.pass_bytes = tokens * 2 * (8 * config.hidden_size + 3 * config.intermediate_size)
        self.decode_bytes = batch * 2 * (8 * config.hidden_size + 3 * config.intermediate_size + 4 * config.vocab_size)

    def facts(self) -> dict:
        """What the record says about it beside the samples."""
        return {
            "batch": self.batch,
            "context": self.context,
            "decode_step_bytes": self.step_bytes,
            "prefill_pass_tokens": self.rows * self.context,
            "prefill_pass_flops": self.flops,
            "cache_bytes": {"predicted": self.cache_bytes},
        }


class Memory:
    """Bytes on the device since this object was made."""

    def __init__(self, device):
        self.device, self.before = device, self._now(device)

    def grown(self) -> dict:
        """How much more is allocated and reserved by torch, and used as the driver (on a CPU: the system) sees it."""
        now = self._now(self.device)
        return {name: None if now[name] is None else now[name] - self.before[name] for name in now}

    @staticmethod
    def _now(device) -> dict:
        import torch

        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.empty_cache()
            free, total = torch.cuda.mem_get_info(device)
            reserved = torch.cuda.memory_reserved(device)
            return {"allocated": torch.cuda.memory_allocated(device), "reserved": reserved, "driver": total - free}
        try:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        except (OSError, ValueError):
            pages = None
        used = None if pages is None else pages * os.sysconf("SC_PAGE_SIZE")
        return {"allocated": None, "reserved": None, "driver": used}


def measure(model, cell: Cell, number: int, result: dict, graphs: bool) -> None:
    """One sample of prefill and of decode of a cell, in an order that changes with the round; what does not fit is noted."""
    import torch

    from lessonlib.models import memory_free, shape_speed

    device = model.device
    memory = Memory(device)  # empties torch's own reserve first
    free = memory_free(device)
    needs = {"decode": cell.decode_bytes, "prefill": cell.pass_bytes}
    parts = [part for part in needs if f"{cell.name}_{part}" not in result["left_out"]]
    for part in parts.copy():
        if free is not None and cell.cache_bytes + needs[part] > free:
            leave_out(result, f"{cell.name}_{part}", "more bytes than are free", cell.cache_bytes + needs[part], free)
            parts.remove(part)
    if not parts:
        return
    try:
        cache = shape_speed.slots(model, cell.batch, cell.context + shape_speed.STEPS)
    except torch.OutOfMemoryError:
        for part in parts:
            leave_out(result, f"{cell.name}_{part}", "out of memory", cell.cache_bytes + needs[part], free)
        return
    facts = result["cells"].setdefault(cell.name, cell.facts())
    grown = (
        memory.grown()["allocated"] if device.type == "cuda" else sum(t.nbytes for s in cache.layers for t in s.room)
    )
    facts["cache_bytes"]["allocated"] = grown
    if graphs and device.type == "cuda" and "decode" in parts and "graph_error" not in result:
        parts.append("decode_graph")
    works = {
        "decode": lambda: shape_speed.decode(model, cache, cell.batch, cell.context),
        "prefill": lambda: shape_speed.prefill(model, cache, cell.rows, cell.context),
        "decode_graph": lambda: shape_speed.decode_graph(model, cache, cell.batch, cell.context),
    }
    for part in parts if number % 2 == 0 else reversed(parts):
        name = f"{cell.name}_{part}"
        try:
            rate = works[part]()
        except torch.OutOfMemoryError:
            leave_out(result, name, "out of memory", cell.cache_bytes + needs.get(part, cell.decode_bytes), free)
        except RuntimeError as error:
            if part != "decode_graph":
                raise
            result["graph_error"] = str(error).splitlines()[0]
        else:
            result["samples"].setdefault(name, ("tokens/s", []))[1].append(rate)


def leave_out(result: dict, name: str, why: str, needed: int, free: int | None) -> None:
    """Note what cannot be measured, and the bytes that it needs beside what is there already."""
    result["left_out"][name] = {"why": why, "needed_bytes": needed, "free_bytes": free}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
