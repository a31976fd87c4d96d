"""What attention costs against length: bytes and FLOPs by formula, memory and time measured, PyTorch's kernels compared.

Letters in shapes: B batch, L query length, S key length, H heads, D head size. Here L = S: a whole text is read at once."""

from __future__ import annotations

import math
import time
import warnings
import weakref
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

BACKENDS = ("MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION")


@dataclass(frozen=True)
class Sample:
    """One length: seconds (best of the runs) and the most bytes held at once beyond q, k and v."""

    tokens: int
    seconds: float
    peak: int


def score_bytes(heads: int, tokens: int, bytes_per_value: float) -> float:
    """Bytes of the score matrix of one layer and one sequence, kept whole: (H, L, S) with L = S = tokens."""
    return heads * tokens**2 * bytes_per_value


def attention_flops(layers: int, heads: int, head_dim: int, tokens: int) -> int:
    """FLOPs of scores and mixing in all layers for one sequence, each multiply-add as two: 4 x layers x H x D x L x S.

    The whole square counts, as kernels that build the matrix compute it; the mask only hides half of it."""
    return 4 * layers * heads * head_dim * tokens**2


def written_out(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Causal attention as one writes it on a board: the (B, H, L, S) matrix is made whole. q, keys, values (B, H, L, D)."""
    scores = q @ keys.mT / math.sqrt(q.shape[-1])  # (B, H, L, S)
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).triu(1)
    return scores.masked_fill(later, -math.inf).softmax(-1) @ values


def kernel(name: str) -> Callable:
    """PyTorch's scaled_dot_product_attention held to one backend, causal; `name` as in BACKENDS."""
    only = getattr(SDPBackend, name)

    def attend(q, keys, values):
        with sdpa_kernel(only):
            return functional.scaled_dot_product_attention(q, keys, values, is_causal=True)

    return attend


def inputs(heads: int, tokens: int, head_dim: int, device="cpu", dtype=torch.float32):
    """Random q, keys, values, each (1, H, L, D): speed and memory do not depend on the values."""
    generator = torch.Generator().manual_seed(tokens)
    return tuple(torch.randn(3, 1, heads, tokens, head_dim, generator=generator).to(device, dtype))


def backends_here(device="cpu", dtype=torch.float32) -> dict[str, bool]:
    """Which backends of BACKENDS run on this device in this dtype, found by trying each on a small input."""
    found, small = {}, inputs(2, 32, 64, device, dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of each reason why a backend does not run
        for name in BACKENDS:
            try:
                kernel(name)(*small)
                found[name] = True
            except (RuntimeError, AttributeError):
                found[name] = False
    return found


def measure(attend: Callable, heads: int, head_dim: int, lengths, device="cpu", runs: int = 5) -> list[Sample]:
    """Time and memory of `attend(q, keys, values)` at each length, after a warm-up, on one thread of a processor or on a
    GPU. The best of the runs counts: whatever else the machine does only adds time."""
    samples = []
    for tokens in lengths:
        work = partial(attend, *inputs(heads, tokens, head_dim, device))
        with one_thread():
            work()
            best = min(_seconds(work, device) for _ in range(runs))
        samples.append(Sample(tokens, best, peak_bytes(work, device)))
    return samples


def peak_bytes(work: Callable, device="cpu") -> int:
    """The most bytes that `work` holds at once beyond what was there before.

    On a GPU by the allocator's own counter. On a processor by keeping a book of every tensor that an operation makes and
    of its end; what a fused kernel needs for itself inside, a few blocks for each thread, is not seen."""
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with Book() as book:
        work()
    return book.most


class Book(TorchDispatchMode):
    """Bytes of the tensors that operations make in a `with` block: `held` now and the `most` at any time. Views and
    tensors that were there before count nothing."""

    def __init__(self):
        super().__init__()
        self.held = self.most = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in self._tensors(args, kwargs):
            self._known[tensor.untyped_storage()] = True
        made = func(*args, **(kwargs or {}))
        for tensor in self._tensors(made):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known[storage] = True
                self.held += storage.nbytes()
                weakref.finalize(storage, self._release, storage.nbytes())
        self.most = max(self.most, self.held)
        return made

    def _release(self, size: int) -> None:
        self.held -= size

    @staticmethod
    def _tensors(*trees):
        return [leaf for leaf in tree_leaves(trees) if isinstance(leaf, torch.Tensor)]


def exponent(samples: list[Sample], what: str = "seconds") -> float:
    """The power p of the best line through the points in log-log scale, `what` ~ tokens ** p: 1 is linear, 2 quadratic.

    ValueError with fewer than two lengths."""
    if len({s.tokens for s in samples}) < 2:
        raise ValueError("An exponent needs two lengths at least.")
    x = [math.log(s.tokens) for s in samples]
    y = [math.log(getattr(s, what)) for s in samples]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    slope = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return slope / sum((a - middle_x) ** 2 for a in x)


def counted_flops(work: Callable) -> int:
    """FLOPs of `work` as PyTorch's own counter has them (matrix products; softmax and mask count nothing)."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


@contextmanager
def one_thread():
    """One processor thread meanwhile: small work loses more by being handed around than it gains, and one thread is timed
    more evenly."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _seconds(work: Callable, device) -> float:
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
