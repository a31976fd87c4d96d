"""Quantization by hand: whole numbers with a scale and a zero point, packed to the bit, put into a model, and measured.

A weight matrix is (out, in), as nn.Linear stores it: y = x W^T. `group` says which weights share a scale: "tensor" (all),
"channel" (one output row), or a number of neighbouring inputs of a row."""

from __future__ import annotations

import ctypes
import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

GROUP = 64  # neighbouring inputs that share a scale, where nothing else is said
SMALLEST = 2.0**-14  # scales are stored in 16 bits: the smallest normal fp16 number


def absmax(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Symmetric quantization of each row of x (n, m): whole numbers from -top to top, top = 2^(bits-1) - 1, and a scale
    (n, 1). The largest magnitude of a row becomes top; zero stays zero."""
    top = 2 ** (_bits(bits) - 1) - 1
    scale = _stored(x.abs().amax(-1, keepdim=True) / top)
    return (x / scale).round().clamp(-top, top), scale


def zero_point(x: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Affine quantization of each row of x (n, m): whole numbers from 0 to 2^bits - 1, a scale and a zero point (n, 1).

    The range reaches from the row's least to its greatest value and always holds 0; `zero` is the whole number that
    stands for 0: value = (number - zero) x scale. Jacob et al. 2017."""
    most = 2 ** _bits(bits) - 1
    low, high = x.amin(-1, keepdim=True).clamp(max=0), x.amax(-1, keepdim=True).clamp(min=0)
    scale = _stored((high - low) / most)
    zero = (-low / scale).round().clamp(0, most)
    return (x / scale + zero).round().clamp(0, most), scale, zero


def groups(weight: torch.Tensor, group) -> torch.Tensor:
    """The weights with those that share a scale in one row: (number of scales, weights each)."""
    if group == "tensor":
        return weight.reshape(1, -1)
    if group == "channel":
        return weight
    if weight.shape[-1] % group:
        raise ValueError(f"A row has {weight.shape[-1]} weights, which groups of {group} do not divide: take another.")
    return weight.reshape(-1, group)


def rounded(weight: torch.Tensor, bits: int, group=GROUP, symmetric: bool = False) -> torch.Tensor:
    """Round to nearest: the weights as they come back from `bits` each, in their old shape."""
    x = groups(weight, group)
    if symmetric:
        numbers, scale = absmax(x, bits)
        return (numbers * scale).reshape(weight.shape)
    numbers, scale, zero = zero_point(x, bits)
    return ((numbers - zero) * scale).reshape(weight.shape)


@dataclass(frozen=True)
class Packed:
    """A matrix as a file would hold it: numbers and zero points packed to the bit in uint8, scales in 16 bits."""

    numbers: torch.Tensor
    zeros: torch.Tensor
    scales: torch.Tensor
    bits: int
    shape: torch.Size

    @property
    def bytes(self) -> int:
        """Bytes of its three tensors."""
        return sum(t.numel() * t.element_size() for t in (self.numbers, self.zeros, self.scales))

    def restore(self) -> torch.Tensor:
        """The float32 weights that the packed bits stand for."""
        count = self.scales.numel()
        numbers = unpack(self.numbers, self.bits, self.shape.numel()).reshape(count, -1)
        zeros = unpack(self.zeros, self.bits, count)[:, None]
        return ((numbers - zeros) * self.scales.float()).reshape(self.shape)


def packed(weight: torch.Tensor, bits: int, group=GROUP) -> Packed:
    """Affine quantization to a file's tensors. `Packed.restore` gives what `rounded` gives."""
    numbers, scale, zero = zero_point(groups(weight, group), bits)
    return Packed(pack(numbers, bits), pack(zero, bits), scale.half(), bits, weight.shape)


def pack(numbers: torch.Tensor, bits: int) -> torch.Tensor:
    """Whole numbers of `bits` bits each, in a row without gaps: uint8, ceil(n x bits / 8) bytes, lowest bits first."""
    shifts = torch.arange(8, dtype=torch.uint8, device=numbers.device)
    each = (numbers.flatten().to(torch.uint8)[:, None] >> shifts[: _bits(bits)]) & 1  # (n, bits)
    row = nn.functional.pad(each.flatten(), (0, -each.numel() % 8)).reshape(-1, 8)
    return (row << shifts).sum(1, dtype=torch.uint8)


def unpack(stored: torch.Tensor, bits: int, count: int) -> torch.Tensor:
    """The first `count` whole numbers that `pack` put into bytes, as float32."""
    shifts = torch.arange(8, dtype=torch.uint8, device=stored.device)
    row = ((stored[:, None] >> shifts) & 1).flatten()[: count * bits]
    return (row.reshape(count, bits) << shifts[:bits]).sum(1, dtype=torch.uint8).float()


def matrices(model) -> dict[str, nn.Linear]:
    """The matrices that quantizers pack: every linear map inside the layers. Embedding, output matrix and norms stay."""
    head = model.get_output_embeddings()
    return {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear) and m is not head}


@contextmanager
def replaced(model, tensors: dict[str, torch.Tensor]):
    """Within this block the model has these tensors (name of a module or of its weight -> values), then its own again."""
    kept = {}
    try:
        for name, tensor in tensors.items():
            weight = model.get_submodule(name.removesuffix(".weight")).weight
            kept[name], weight.data = weight.data, tensor.to(weight.dtype)
        yield model
    finally:
        for name, tensor in kept.items():
            model.get_submodule(name.removesuffix(".weight")).weight.data = tensor
        kept.clear()
        give_back_memory()


def give_back_memory() -> None:
    """Hand freed memory back to the system. glibc keeps what small tensors took, and after a few changed models a small
    machine would be full of it; other systems need nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def quantized(model, bits, group=GROUP) -> tuple[dict[str, torch.Tensor], int]:
    """(matrices as they come back from their packed form, bytes of the whole model) at `bits`, or at bits by name.

    The bytes are those of the packed tensors; what is not packed counts 16 bits a value."""
    weights, size = {}, 0
    for name, matrix in matrices(model).items():
        small = packed(matrix.weight.data, bits if isinstance(bits, int) else bits[name], group)
        weights[name], size = small.restore(), size + small.bytes
        give_back_memory()
    return weights, size + unpacked_bytes(model)


def unpacked_bytes(model) -> int:
    """Bytes of what no quantizer here packs (embedding, output matrix, norms), at 16 bits a value."""
    inside = sum(m.weight.numel() for m in matrices(model).values())
    return 2 * (sum(p.numel() for p in model.parameters()) - inside)


@dataclass(frozen=True)
class Score:
    """How well a model predicts: bits for a byte of text, the standard error of their change against the unchanged model,
    and `moved`, how far the next-token distributions moved (mean KL divergence in bits; 0 means the same)."""

    bits_per_byte: float
    error: float
    moved: float

    def shown(self) -> list[str]:
        """Bits per byte and how far the predictions moved, as a table shows them."""
        return [f"{self.bits_per_byte:.3f}", f"{self.moved:.4f}"]


class Judge:
    """Scores changed weights on texts, against what the model predicted before any change.

    Bits per byte say how good a model is; they need much text, since every token is luck. `moved` compares whole
    distributions and so sees a change long before the bits per byte do."""

    def __init__(self, model, tokenizer, texts):
        self.model, self.bytes = model, sum(len(text.encode()) for text in texts)
        self.ids = [token_ids(model, tokenizer, text) for text in texts]
        self.before = [_log_probabilities(model, ids) for ids in self.ids]
        self.exact = self.score()
        give_back_memory()

    def of(self, tensors: dict[str, torch.Tensor]) -> Score:
        """The score of the model with these tensors in place of its own."""
        with replaced(self.model, tensors):
            return self.score()

    def score(self, model=None) -> Score:
        """The score of the model as it is now, or of another with the same vocabulary."""
        surprise, change, moved = [], [], []
        for ids, before in zip(self.ids, self.before, strict=True):
            now = _log_probabilities(model or self.model, ids)
            own, other = (p[:-1].gather(1, ids[0, 1:, None])[:, 0] for p in (now, before))
            surprise.append(-own)
            change.append(other - own)
            moved.append((before.exp() * (before - now)).sum(-1))
        surprise, change, moved = (torch.cat(parts) / math.log(2) for parts in (surprise, change, moved))
        error = change.std().item() * math.sqrt(len(change)) / self.bytes
        return Score(surprise.sum().item() / self.bytes, error, max(moved.mean().item(), 0.0))


@torch.no_grad()
def _log_probabilities(model, ids: torch.Tensor) -> torch.Tensor:
    """Natural log-probabilities (L, vocabulary) of the token after each position."""
    return model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)


def token_ids(model, tokenizer, text: str) -> torch.Tensor:
    """Ids (1, L) of a text behind the model's start token."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return torch.tensor([[start, *ids]], device=model.device)


@torch.no_grad()
def write(model, tokenizer, prompt: str, new: int = 24) -> str:
    """The model's likeliest continuation of a prompt, in `new` tokens."""
    ids = tokenizer(prompt, return_tensors="pt").input_ids.to(model.device)
    made = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, do_sample=False)
    return tokenizer.decode(made[0, ids.shape[1] :])


def relative(changed: torch.Tensor, true: torch.Tensor) -> float:
    """Length of the change over the length of the original: 0 for equal, 0.01 for one percent."""
    return ((changed - true).norm() / true.norm().clamp(min=1e-30)).item()


def shown(row: torch.Tensor) -> list[str]:
    """A row of weights with three decimals, for a table."""
    return [f"{x:.3f}" for x in row.flatten().tolist()]


def _stored(scale: torch.Tensor) -> torch.Tensor:
    """Scales as 16 bits hold them, and never 0."""
    return scale.clamp(min=SMALLEST).half().float()


def _bits(bits: int) -> int:
    if isinstance(bits, bool) or not isinstance(bits, int) or not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits!r}, but this lab packs whole numbers of 2 to 8 bits.")
    return bits
