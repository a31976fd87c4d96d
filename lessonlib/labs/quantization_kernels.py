"""4-bit weights in a maintained kernel beside 16-bit ones: what a smaller matrix buys at each batch, and what a roofline says.

torch has a kernel that multiplies 16-bit inputs with 4-bit weights, on CUDA devices (tinygemm) and on processors (fast with
AVX2 or AVX-512). It unpacks the weights to 16 bits on the way: bytes are saved, multiplications are not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from ..calc import throughput
from ..models import pick_device
from .gpu_hardware import samples
from .quantization import give_back_memory

GROUP = 64
SHAPE = (2048, 2048)  # outputs and inputs of the queries in Qwen3-1.7B: small enough for any machine


@dataclass(frozen=True)
class Int4:
    """A matrix (out, in) twice: packed to 4 bits for torch's kernel, and as the bfloat16 weights that it stands for."""

    stored: torch.Tensor
    scales_and_zeros: torch.Tensor  # (in / 64, out, 2)
    restored: torch.Tensor

    @property
    def bytes(self) -> int:
        """Bytes of the packed form, scales and zeros included."""
        return sum(t.numel() * t.element_size() for t in (self.stored, self.scales_and_zeros))


@dataclass(frozen=True)
class Race:
    """Seconds of one product with `batch` rows of inputs, by 16-bit and by 4-bit weights: all samples.

    Other programs can only slow a sample down, so the best of each counts."""

    batch: int
    bf16: list[float]
    int4: list[float]

    @property
    def times_as_fast(self) -> float:
        """How many times as fast the 4-bit product is."""
        return min(self.bf16) / min(self.int4)


def int4_matrix(rows: int = SHAPE[0], cols: int = SHAPE[1], device=None, seed: int = 0) -> Int4:
    """A random 4-bit matrix of (rows outputs, cols inputs): speed does not depend on the values. `device` is by default the
    CUDA device that lessons use, else the processor.

    RuntimeError where torch has no such kernel for the device; ValueError for shapes it does not take."""
    if rows % 16 or cols % GROUP:
        raise ValueError(f"The kernel takes outputs in 16s and inputs in {GROUP}s, not {rows} x {cols}.")
    picked = pick_device() if device is None else torch.device(device)
    device, generator = picked if picked.type == "cuda" else torch.device("cpu"), torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 16, (rows, cols), generator=generator, dtype=torch.uint8).to(device)
    scales = (torch.rand(rows, cols // GROUP, generator=generator) * 0.01 + 0.005).to(device, torch.bfloat16)
    if device.type == "cpu":
        step = 512 if rows % 512 == 0 else rows  # 32-bit numbers go in: by pieces, they take less memory
        stored = torch.cat([torch._convert_weight_to_int4pack_for_cpu(part.int(), 8) for part in numbers.split(step)])
    else:
        stored = torch._convert_weight_to_int4pack(numbers[:, ::2] << 4 | numbers[:, 1::2], 8)
    restored = numbers.to(torch.bfloat16).sub_(8)  # value = (number - 8) x scale + zero
    restored.view(rows, -1, GROUP).mul_(scales[..., None])
    both = torch.stack([scales, torch.zeros_like(scales)], -1).transpose(0, 1).contiguous()
    del numbers
    give_back_memory()
    return Int4(stored, both, restored)


def product(x: torch.Tensor, matrix: Int4) -> torch.Tensor:
    """x (batch, in) in bfloat16 times the 4-bit matrix: (batch, out), by torch's own kernel."""
    kernel = torch._weight_int4pack_mm_for_cpu if x.device.type == "cpu" else torch._weight_int4pack_mm
    return kernel(x, matrix.stored, GROUP, matrix.scales_and_zeros)


def difference(matrix: Int4, batch: int = 4) -> float:
    """Relative difference between the kernel's result and the product with the restored weights in float32."""
    x = torch.randn(batch, matrix.restored.shape[1], device=matrix.restored.device).bfloat16()
    pieces = [
        x.float() @ part.float().T for part in matrix.restored.split(256)
    ]  # all in float32 at once would be large
    want = torch.cat(pieces, dim=1)
    return ((product(x, matrix).float() - want).norm() / want.norm()).item()


@torch.no_grad()
def race(matrix: Int4, batches=(1, 4, 16, 64), rounds: int = 5) -> list[Race]:
    """Both products at every batch, on the device of the matrix, after a warm-up."""
    found = []
    for batch in batches:
        x = torch.randn(batch, matrix.restored.shape[1], device=matrix.restored.device).bfloat16()
        slow = samples(lambda x=x: functional.linear(x, matrix.restored), x.device, rounds)
        fast = samples(lambda x=x: product(x, matrix), x.device, rounds)
        found.append(Race(batch, slow, fast))
    return found


def ceilings(model, gpu, batches=(1, 4, 16, 64), tokens: int = 1024, small: str = "awq") -> list[dict]:
    """What the roofline allows 4-bit weights over 16-bit ones: for decoding at each batch and for reading a prompt.

    One dict each: what, GB moved and GFLOP of the step, FLOPs per byte in both formats, what limits each, times as fast."""
    rows = []
    for batch in (*batches, None):
        wide, narrow = (
            throughput.roofline(model, gpu, tokens=tokens, batch=batch or 1, format=f) for f in ("bf16", small)
        )
        a, b = (wide.decode, narrow.decode) if batch else (wide.prefill, narrow.prefill)
        rows.append({
            "what": f"decode, batch {batch}" if batch else f"prefill, {tokens:,} tokens",
            "gflop": a.flops / 1e9, "gb_16": a.moved.total / 1e9, "gb_4": b.moved.total / 1e9,
            "intensity_16": a.flops / a.moved.total, "intensity_4": b.flops / b.moved.total,
            "bound_16": a.bound, "bound_4": b.bound, "times_as_fast": a.seconds / b.seconds,
        })  # fmt: skip
    return rows


def gains(record: dict) -> tuple[list, list, str]:
    """Rows, header and caption of a table: times as fast as bf16, a matrix of the record in each row, a batch in each
    column."""
    found: dict[str, dict[str, float]] = {}
    for metric, entry in record["metrics"].items():
        if metric.startswith("times_as_fast_"):
            name, batch = metric.removeprefix("times_as_fast_").split("_at_batch_")
            found.setdefault(name, {})[batch] = entry["median"]
    batches = list(next(iter(found.values())))
    rows = [
        [name, " × ".join(f"{n:,}" for n in record["shapes"][name]), *(f"{row[b]:.2f}" for b in batches)]
        for name, row in found.items()
    ]
    header = ["matrix", "shape", *(f"batch {int(b):,}" for b in batches)]
    return rows, header, f"int4 over bf16, times as fast: {record['device']}, {record['date']}"
