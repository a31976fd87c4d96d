"""What calibration buys: statistics of the inputs of every matrix, AWQ by hand, GPTQ by hand, outliers planted and found.

A matrix W (out, in) turns inputs X (tokens, in) into X W^T. With the Gram matrix G = X^T X (in, in), the squared change of
all outputs is trace(D G D^T) for a change D of the weights: no input has to be kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from .quantization import GROUP, Score, give_back_memory, matrices, relative, rounded, token_ids, zero_point

ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)  # AutoAWQ tries 20 steps from 0 to 1


@dataclass
class Inputs:
    """What a matrix saw: tokens, the sum of magnitudes and the peak of each input channel (in), and the Gram matrix."""

    tokens: int
    mean: torch.Tensor
    peak: torch.Tensor
    gram: torch.Tensor


@torch.no_grad()
def observe(model, tokenizer, texts) -> dict[str, Inputs]:
    """The inputs of every matrix over the texts, in one pass. Matrices that share an input share its record."""
    rows = [token_ids(model, tokenizer, text)[0] for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)  # (B, L); causal: what is read never sees the padding
    real = torch.arange(ids.shape[1], device=ids.device) < torch.tensor([[len(r)] for r in rows], device=ids.device)
    found: dict[str, Inputs] = {}
    last: list = [None, None]  # the newest input and its record: q, k and v get the very same tensor

    def look(name):
        def hook(module, arguments):
            if arguments[0] is not last[0]:
                x = arguments[0][real].float()  # (tokens, in)
                size = x.abs()
                last[:] = arguments[0], Inputs(len(x), size.mean(0), size.amax(0), x.T @ x)
            found[name] = last[1]

        return hook

    handles = [m.register_forward_pre_hook(look(name)) for name, m in matrices(model).items()]
    try:
        model.model(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    give_back_memory()
    return found


def output_error(change: torch.Tensor, inputs: Inputs) -> float:
    """The squared change of all outputs on the observed inputs: trace(D G D^T)."""
    return ((change @ inputs.gram) * change).sum().item()


def relative_output_error(changed: torch.Tensor, true: torch.Tensor, inputs: Inputs) -> float:
    """Length of the change of the outputs over the length of the outputs."""
    return (max(output_error(changed - true, inputs), 0.0) / max(output_error(true, inputs), 1e-30)) ** 0.5


def by_kind(errors: dict[str, tuple[float, float]]) -> dict[str, list[float]]:
    """Output errors in percent: kind of matrix -> one number for each layer."""
    found: dict[str, list[float]] = {}
    for name, (_, output) in errors.items():
        found.setdefault(name.rpartition(".")[2], []).append(100 * output)
    return found


def error_table(model, inputs, bits: int, group=GROUP) -> dict[str, tuple[float, float]]:
    """(relative error of the weights, relative error of the outputs) of every matrix, rounded to nearest."""
    found = {}
    for name, matrix in matrices(model).items():
        true = matrix.weight.data.float()
        small = rounded(true, bits, group)
        found[name] = relative(small, true), relative_output_error(small, true, inputs[name])
    return found


def awq_scale(
    weights: list[torch.Tensor], inputs: Inputs, quantize: Callable, alphas=ALPHAS
) -> tuple[torch.Tensor, float, list[float]]:
    """(scale of each input channel (in), the best alpha, squared output error of every alpha) for matrices that share an
    input. Lin et al. 2023: s = mean|x|^alpha, weights x s are rounded, and the inputs are divided by s.

    alpha = 0 is plain rounding, so the result is never worse on these inputs. s is normalised, as AutoAWQ does, to keep
    the weights' size; the error compares Q(W s) / s with W."""
    errors, scales = [], []
    for alpha in alphas:
        s = inputs.mean.clamp(min=1e-4) ** alpha
        s = s / (s.max() * s.min()).sqrt()
        errors.append(sum(output_error(quantize(w * s) / s - w, inputs) for w in weights))
        scales.append(s)
    best = min(range(len(errors)), key=errors.__getitem__)
    return scales[best], alphas[best], errors


def awq(model, inputs, bits: int, group=GROUP) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """({parameter: new values}, {place: chosen alpha}): AWQ on a Llama-like model, the inverse scales folded away.

    The norm before attention takes 1 / s of q, k and v, the norm before the feed-forward part that of gate and up, and the
    rows of `up` that of `down`. `o` keeps plain rounding: with grouped heads its inputs have no rows of their own in `v`."""
    new, chosen = {}, {}

    def quantize(w):
        return rounded(w, bits, group)

    for number, layer in enumerate(model.model.layers):
        at = f"model.layers.{number}."
        norm_of = {"input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")}
        norm_of |= {"post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj")}
        ready = {n: m.weight.data.float() for n, m in layer.named_modules() if f"{at}{n}" in inputs}
        down = "mlp.down_proj"
        s, chosen[at + down], _ = awq_scale([ready[down]], inputs[at + down], quantize)
        new[at + down] = quantize(ready[down] * s)
        ready["mlp.up_proj"] = ready["mlp.up_proj"] / s[:, None]
        for norm, users in norm_of.items():
            s, chosen[at + norm], _ = awq_scale([ready[n] for n in users], inputs[at + users[0]], quantize)
            new[at + norm] = layer.get_submodule(norm).weight.data / s
            new |= {at + name: quantize(ready[name] * s) for name in users}
        new[at + "self_attn.o_proj"] = quantize(ready["self_attn.o_proj"])
        give_back_memory()
    return new, chosen


def regained(judge, inputs, bits: int) -> tuple[Score, Score]:
    """(score with plain rounding, score with AWQ) of the judge's model as it is now, at the same bytes."""
    plain = judge.of({name: rounded(m.weight.data, bits) for name, m in matrices(judge.model).items()})
    return plain, judge.of(awq(judge.model, inputs, bits)[0])


def gptq(weight: torch.Tensor, inputs: Inputs, bits: int, group: int = GROUP, damp: float = 0.01) -> torch.Tensor:
    """The matrix after GPTQ: column after column is rounded, and the columns still to come move so that the outputs change
    least. Frantar et al. 2022.

    The move is the error of the column times a row of the Cholesky factor of the inverse of G (damped by `damp` of its
    mean diagonal, since few tokens leave it singular). Each group's scale is set when its first column comes."""
    work, restored = weight.float().clone(), torch.empty_like(weight, dtype=torch.float32)
    gram = inputs.gram.clone()
    gram.diagonal().add_(damp * gram.diagonal().mean())
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(gram)), upper=True)  # (in, in)
    for start in range(0, work.shape[1], group):
        block = slice(start, start + group)
        _, scale, zero = zero_point(work[:, block], bits)
        part, own = work[:, block], inverse[block, block]
        errors = torch.empty_like(part)
        for i in range(part.shape[1]):
            column = part[:, i : i + 1]
            number = (column / scale + zero).round().clamp(0, 2**bits - 1)
            restored[:, start + i : start + i + 1] = (number - zero) * scale
            errors[:, i : i + 1] = (column - restored[:, start + i : start + i + 1]) / own[i, i]
            part[:, i + 1 :] -= errors[:, i : i + 1] * own[i, i + 1 :]
        work[:, start + group :] -= errors @ inverse[block, start + group :]
    return restored


def gptq_model(model, inputs, bits: int, group: int = GROUP) -> dict[str, torch.Tensor]:
    """Every matrix after GPTQ, each on the inputs of the unquantized model."""
    new = {}
    for name, matrix in matrices(model).items():
        new[name] = gptq(matrix.weight.data, inputs[name], bits, group)
        give_back_memory()
    return new


@contextmanager
def planted(model, channels, factor: float):
    """Within this block the input `channels` of every attention and feed-forward block are `factor` times as large, and
    the weights that read them as many times smaller: the model computes what it did before. `factor` is a power of two,
    so that nothing is rounded and everything comes back exactly. ValueError for other factors."""
    if factor <= 0 or not math.log2(factor).is_integer():
        raise ValueError(f"factor is {factor}, but must be a power of two, so that the weights come back exactly.")

    def turn(by):
        users = {"input_layernorm": "self_attn.q_proj self_attn.k_proj self_attn.v_proj"}
        users["post_attention_layernorm"] = "mlp.gate_proj mlp.up_proj"
        for layer in model.model.layers:
            for norm, readers in users.items():
                layer.get_submodule(norm).weight.data[list(channels)] *= by
                for reader in readers.split():
                    layer.get_submodule(reader).weight.data[:, list(channels)] /= by

    turn(factor)
    try:
        yield model
    finally:
        turn(1 / factor)


@torch.no_grad()
def with_rounded_inputs(model, bits: int, axis, work: Callable):
    """`work()` while the inputs of the q, k, v, gate and up matrices are rounded to `bits` with absmax scales: one for all
    (axis None), one a token (-1) or one a channel (axis 1, over the tokens)."""
    top = 2 ** (bits - 1) - 1

    def hook(module, arguments):
        x = arguments[0]  # (B, L, in)
        peak = x.abs().amax() if axis is None else x.abs().amax(axis, keepdim=True)
        scale = (peak / top).clamp(min=1e-8)
        return ((x / scale).round().clamp(-top, top) * scale, *arguments[1:])

    names = ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")
    chosen = [m for n, m in matrices(model).items() if n.rpartition(".")[2] in names]
    handles = [m.register_forward_pre_hook(hook) for m in chosen]
    try:
        return work()
    finally:
        for handle in handles:
            handle.remove()


def outliers(inputs: dict[str, Inputs], top: int = 5) -> list[tuple[str, int, float]]:
    """The input channels that stand out most: (matrix, channel, its peak over the median peak of all channels)."""
    found, seen = [], set()
    for name, record in inputs.items():
        if id(record) in seen:
            continue
        seen.add(id(record))
        ratio, channel = (record.peak / record.peak.median().clamp(min=1e-12)).max(0)
        found.append((name, channel.item(), ratio.item()))
    return sorted(found, key=lambda entry: -entry[2])[:top]
