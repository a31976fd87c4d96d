"""Limits of the device at hand, measured: bandwidth, peak rate, the roofline between them, and a model's place under it.

A processor is timed by the clock, a CUDA device by its own events. Other programs can only slow a sample down, so within
one process the best sample counts, for ceilings and for what stands beneath them; records take medians over processes.
Roofline: Williams, Waterman and Patterson 2009."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional

from ..calc import throughput
from ..facts import catalog
from ..models import shapes
from .kv_cache import made_up_ids

MIB = 2**20
LEAST_SECONDS = 0.002  # short work is repeated until a sample takes about this long
SLICES = {False: ("qwen3-0.6b", 2), True: ("qwen3-8b", 8)}  # on a GPU or not: architecture, layers
FORMATS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def last_level_cache(device) -> int | None:
    """Bytes of the largest cache between the processors and the memory; None where the system does not say.

    A virtual machine sees the cache of its host, of which it may get only a part."""
    device = torch.device(device)
    if device.type == "cuda":
        return getattr(torch.cuda.get_device_properties(device), "L2_cache_size", None)
    sizes = []
    for file in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        text = file.read_text(encoding="ascii").strip()
        if text.endswith("K"):
            sizes.append(int(text[:-1]) * 1024)
    return max(sizes, default=None) if device.type == "cpu" else None


def buffer(device, size: int | None = None) -> torch.Tensor:
    """A float32 tensor (size / 4) of random values to stream from: by default just larger than the last-level cache, at
    least 192 MiB and at most 288 MiB on a processor (a laptop must hold it), 2 GiB on a GPU."""
    device = torch.device(device)
    if size is None:
        known = last_level_cache(device) or 0
        size = 2**31 if device.type == "cuda" else min(max(192 * MIB, known * 21 // 20), 288 * MIB)
    return torch.empty(size // (16 * 1024) * 4096, device=device).normal_()


def samples(work, device, rounds: int = 7) -> list[float]:
    """Seconds of one call of `work`, `rounds` times, after a warm-up. Short work is called several times a sample."""
    work()
    once = _seconds(work, device, 1)
    repeats = max(1, round(LEAST_SECONDS / max(once, 1e-7)))
    return [_seconds(work, device, repeats) for _ in range(rounds)]


def measure_bandwidth(stream: torch.Tensor, rounds: int = 7) -> list[float]:
    """GB/s at which `stream` (a float32 vector) is read, by two ways that touch each byte once: a dot product of its
    halves, and a sum. Libraries differ in which of the two they make fast."""
    first, second = stream.chunk(2)
    works = (lambda: torch.dot(first, second), stream.sum)
    return [stream.nbytes / s / 1e9 for work in works for s in samples(work, stream.device, rounds)]


def bandwidth_curve(stream: torch.Tensor, megabytes=(1, 8, 32, 96), rounds: int = 7) -> list[tuple[int, float]]:
    """(bytes, GB/s) of working sets that grow from 1 MB to the whole of `stream`: small ones are served by a cache."""
    lengths = [n for n in (m * 250_000 for m in megabytes) if n < stream.numel()]
    parts = [stream[:n] for n in (*lengths, stream.numel())]
    return [(part.nbytes, max(measure_bandwidth(part, rounds))) for part in parts]


def measure_flops(device, number_format: str = "fp32", size: int | None = None, rounds: int = 7) -> list[float]:
    """GFLOP/s of a matrix product (size x size) by (size x size): 2 size^3 operations. `number_format` is one of FORMATS;
    tf32 is how tensor cores of NVIDIA GPUs multiply float32, so elsewhere it is ValueError."""
    device = torch.device(device)
    if number_format not in FORMATS or (number_format == "tf32" and device.type != "cuda"):
        there = ", ".join(formats(device))
        raise ValueError(f"The format {number_format!r} cannot be measured on {device.type}: choose one of {there}.")
    size = size or (8192 if device.type == "cuda" else 1024)
    a, b = (torch.randn(size, size, device=device).to(FORMATS[number_format]) for _ in range(2))
    out, before = torch.empty_like(a), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("high" if number_format == "tf32" else "highest")
        return [2 * size**3 / s / 1e9 for s in samples(lambda: torch.mm(a, b, out=out), device, rounds)]
    finally:
        torch.set_float32_matmul_precision(before)


def formats(device) -> list[str]:
    """The number formats that `measure_flops` can measure on this device."""
    kind = torch.device(device).type
    return [name for name in FORMATS if name != "tf32" or kind == "cuda"]


def measure_link(device, size: int = 256 * MIB) -> list[float] | None:
    """GB/s from the host's memory to a GPU, one direction: what weights pass that are not on the card. None without a
    GPU."""
    device = torch.device(device)
    if device.type != "cuda":
        return None
    here = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    there = torch.empty(size, dtype=torch.uint8, device=device)
    return [size / s / 1e9 for s in samples(lambda: there.copy_(here, non_blocking=True), device)]


def limits(gpu) -> list:
    """The five limits of a row of the gpus table: GiB of memory, GB/s of bandwidth, dense 16-bit TFLOP/s on tensor cores,
    GB/s of the link in one direction, W; None where the fact base has no value. Racks and servers count as one GPU."""
    one, count = gpu.get("per_gpu") or {}, gpu.get("gpus") or 1
    watts = one.get("power_w") or (gpu.get("board_power_w") if count == 1 else None)
    try:
        card = throughput.card(gpu)
    except ValueError:  # no published rates: what is known stays
        return [gpu.vram_gb, gpu.bandwidth_gbs, None, None, watts]
    link = card.link and card.link / 1e9
    return [card.memory / 2**30, card.bandwidth / 1e9, card.peak_flops / 1e12, link, watts]


@dataclass(frozen=True)
class Ceilings:
    """The best that a device was seen to do: GB/s of reading memory, GFLOP/s of a matrix product."""

    bandwidth: float
    peak: float

    @property
    def ridge(self) -> float:
        """FLOP for each byte from which the peak is the lower ceiling."""
        return self.peak / self.bandwidth

    def roof(self, intensity: float) -> float:
        """GFLOP/s that work of this many FLOP a byte can reach."""
        return throughput.attainable(intensity, self.peak * 1e9, self.bandwidth * 1e9) / 1e9


@dataclass(frozen=True)
class Point:
    """One kind of work: its floating-point operations, the bytes it must move, and the seconds it took, several times."""

    name: str
    batch: int
    flops: int
    bytes: int
    seconds: tuple[float, ...]

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.flops / self.bytes

    @property
    def gflops(self) -> float:
        """GFLOP/s reached, by the best time."""
        return self.flops / min(self.seconds) / 1e9

    @property
    def tokens_per_s(self) -> float:
        """Tokens a second by the best time: one for each member of the batch."""
        return self.batch / min(self.seconds)


def roofline_points(stream: torch.Tensor, batches, width: int = 2048, rounds: int = 7) -> list[Point]:
    """A matrix of weights (rows x width), all of `stream`, times B vectors, for each B of `batches`: from matrix-vector to
    matrix-matrix. 2 rows width B operations; the bytes are those of the weights, the input and the output."""
    weights, points = stream.view(-1, width), []
    for batch in batches:
        x = torch.randn(width, batch, device=stream.device)
        out = torch.empty(weights.shape[0], batch, device=stream.device)
        taken = samples(lambda x=x, out=out: torch.mm(weights, x, out=out), stream.device, rounds)
        moved = weights.nbytes + x.nbytes + out.nbytes
        points.append(Point("matrix product", batch, 2 * weights.numel() * batch, moved, tuple(taken)))
    return points


def measure_format(device, number_format: str, weights: int = 2**25) -> tuple[float, float]:
    """(GFLOP/s of a matrix product, weights read a second in 1e9) of one number format: the second by a matrix of
    `weights` values times one vector."""
    width = 2048
    kind = dict(device=device, dtype=FORMATS[number_format])
    product = max(measure_flops(device, number_format, None if torch.device(device).type == "cuda" else 512))
    matrix, x = torch.ones(weights // width, width, **kind), torch.ones(1, width, **kind)
    return product, matrix.numel() / min(samples(lambda: functional.linear(x, matrix), device)) / 1e9


def measure_formats(device, rounds: int = 3) -> dict[str, tuple[float, float]]:
    """`measure_format` of every format that this device has; they take turns, so that a slow moment hits none alone."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in formats(device)}
    for _ in range(rounds):
        for name, values in found.items():
            values.append(measure_format(device, name))
    return {name: tuple(map(max, zip(*values, strict=True))) for name, values in found.items()}


def slice_name(device) -> str:
    """What `example_slice` makes on this device, in words."""
    name, layers = SLICES[torch.device(device).type == "cuda"]
    return f"{layers} layers of {catalog.model(name).name}"


def example_slice(device):
    """Layers of a real architecture with random weights: large enough that reading them takes longer than starting the
    work, small enough for a laptop."""
    from ..models import default_dtype

    name, layers = SLICES[torch.device(device).type == "cuda"]
    return slice_of(catalog.model(name), device, layers, dtype=default_dtype(device))


def roofline(device, batches=(1, 4, 16, 64, 256), rounds: int = 3) -> tuple[Ceilings, list[Point]]:
    """The two ceilings of a device and points beneath them, in float32 (on a GPU without TF32). All is measured in turns,
    so that a moment in which other programs were busy lowers ceilings and points alike. A ceiling is the best rate that
    anything here reached, the points included."""
    stream, read, peak, points = buffer(device), [], [], []
    for _ in range(rounds):
        read += measure_bandwidth(stream, rounds=3)
        peak += measure_flops(device, rounds=5)
        points.append(roofline_points(stream, batches, rounds=3))
    merged = [_merged(same) for same in zip(*points, strict=True)]
    read += [p.gflops / p.intensity for p in merged]
    return Ceilings(max(read), max(*peak, *(p.gflops for p in merged))), merged


def measure_slice(device, batches=(1, 4, 16, 64), prompt: int = 64, rounds: int = 2) -> dict[str, list[Point]]:
    """Points of `example_slice`, measured in turns: "decode" at each batch, "prefill" of one prompt, and two ceilings for
    each decode point: "reading" (its bytes at the rate at which the weights are read as a plain stream) and "computing"
    (its operations at the peak of its format). As in `roofline`, a ceiling is the best rate that anything here reached."""
    model, turns, read, peak = example_slice(device), [], [], []
    name = next(name for name, dtype in FORMATS.items() if dtype == model.dtype)
    for _ in range(rounds):
        read += read_weights(model, rounds=4)
        peak += measure_flops(device, name, rounds=4)
        turns.append([*(decode(model, batch, steps=5) for batch in batches), prefill(model, prompt, rounds=2)])
    *decoded, prefilled = [_merged(same) for same in zip(*turns, strict=True)]
    a_byte = min(min(read) / weights_read(model)[1], *(min(p.seconds) / p.bytes for p in decoded))
    an_operation = min(1e-9 / max(peak), *(min(p.seconds) / p.flops for p in (*decoded, prefilled)))
    found = {"decode": decoded, "prefill": [prefilled]}
    for kind, cost in (("reading", lambda p: p.bytes * a_byte), ("computing", lambda p: p.flops * an_operation)):
        found[kind] = [Point(kind, p.batch, p.flops, p.bytes, (cost(p),)) for p in decoded]
    return found


def summary(ceilings: Ceilings, points: list[Point], slices: dict[str, list[Point]], formats: dict) -> dict[str, float]:
    """The metrics of the record l12_roofline, from what the functions above return. `formats`: {"fp32": measure_format,
    "bf16": the same}."""
    decoded = {point.batch: point for point in slices["decode"]}
    return {
        "bandwidth": ceilings.bandwidth,
        "peak": ceilings.peak,
        "ridge": ceilings.ridge,
        "matrix_vector": points[0].gflops,
        "decode_at_batch_1": decoded[1].tokens_per_s,
        "share_of_the_reading_ceiling_at_batch_1": decoded[1].tokens_per_s / slices["reading"][0].tokens_per_s,
        "batch_16_over_batch_1": decoded[16].tokens_per_s / decoded[1].tokens_per_s,
        "prefill_over_decode": slices["prefill"][0].tokens_per_s / decoded[1].tokens_per_s,
        "bf16_product_over_fp32": formats["bf16"][0] / formats["fp32"][0],
        "bf16_reading_over_fp32": formats["bf16"][1] / formats["fp32"][1],
    }


def slice_of(architecture, device, layers: int, vocabulary: int = 8192, dtype="float32"):
    """Some layers of a real architecture (a record of the fact base) with random weights and a small vocabulary: the
    matrices of the layers have their true sizes."""
    fields = {name: architecture.get(name) for name in (*shapes.NEEDED, "name", "model_type", "tied_embeddings")}
    fields |= {"layers": layers, "vocab_size": vocabulary}
    return shapes.shape(fields).materialise(device, dtype=dtype)


def weights_read(model) -> tuple[int, int]:
    """(weights that multiply every token, their bytes): all of a dense model but an input table of its own, of which a
    token looks up one row."""
    used = _used(model)
    return sum(p.numel() for p in used), sum(p.nbytes for p in used)


def read_weights(model, rounds: int = 7) -> list[float]:
    """Seconds to read these weights once, matrix by matrix, as a plain stream. No token can be faster. The weights of a
    small model come from a cache, here as in its own work; vectors (norms) are too few to count."""
    flat = [p.detach().view(-1) for p in _used(model) if p.ndim > 1]
    halves = [(t[: len(t) // 2], t[len(t) // 2 : len(t) // 2 * 2]) for t in flat]

    def work():
        for first, second in halves:
            torch.dot(first, second)

    return samples(work, model.device, rounds)


@torch.no_grad()
def decode(model, batch: int = 1, prompt: int = 4, steps: int = 16) -> Point:
    """One decode step of `batch` sequences after `prompt` tokens, `steps` times: a token each, on top of a cache.

    Two operations a weight and token; bytes are the weights and the cache at the end of the run (attention's own
    operations are left out: at such lengths they are a percent or less)."""
    from transformers import DynamicCache

    ids, cache, taken = made_up_ids(model, prompt).expand(batch, -1), DynamicCache(config=model.config), []
    for number in range(steps + 2):  # the prefill and one step of warm-up come first
        out, seconds = _timed_step(model, ids, cache)
        ids = out.logits[:, -1].argmax(-1, keepdim=True)
        if number > 1:
            taken.append(seconds)
    weights, size = weights_read(model)
    kept = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    return Point("decode", batch, 2 * weights * batch, size + kept, tuple(taken))


@torch.no_grad()
def prefill(model, tokens: int, rounds: int = 7) -> Point:
    """One pass over a prompt of `tokens` tokens up to its first new token. The weights are read once for all tokens; the
    output matrix serves the last one only, and counts like the rest (a simplification, as attention is left out)."""
    from transformers import DynamicCache

    ids, taken = made_up_ids(model, tokens), []
    for _ in range(rounds + 1):
        taken.append(_timed_step(model, ids, DynamicCache(config=model.config))[1])
    weights, size = weights_read(model)
    return Point("prefill", tokens, 2 * weights * tokens, size, tuple(taken[1:]))


def _used(model) -> list[torch.Tensor]:
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    unused = None if tied else model.get_input_embeddings().weight
    return [p for p in model.parameters() if p is not unused]


def _merged(points) -> Point:
    """The same work measured several times, as one point."""
    return replace(points[0], seconds=tuple(s for point in points for s in point.seconds))


def _timed_step(model, ids, cache):
    made = []

    def work():
        made.append(model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1))

    seconds = _seconds(work, model.device, 1)
    return made[0], seconds


def _seconds(work, device, repeats: int) -> float:
    """Seconds a call, by the device's own clock where it has one."""
    device = torch.device(device)
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(repeats):
            work()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end) / 1e3 / repeats
    _wait(device)
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    _wait(device)
    return (time.perf_counter() - started) / repeats


def _wait(device: torch.device) -> None:
    if device.type == "mps":
        torch.mps.synchronize()
