"""What a language model does, by hand: logits, softmax, writing as a loop, one neuron, loss, one step of learning.

Shapes: B batch, L query length; other axes are named in words (vocabulary, width)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

SIGNS = ".,;:!?\"'()[]{}"


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Probabilities from logits over the last axis: e to the power of each, divided by the sum of all.

    The largest logit is taken off first. This changes no probability and keeps e to the power of it from overflowing."""
    powers = (logits - logits.amax(-1, keepdim=True)).exp()
    return powers / powers.sum(-1, keepdim=True)


@torch.no_grad()
def next_logits(model, ids: list[int]) -> torch.Tensor:
    """The model's logits for the token after `ids`, one for each token of the vocabulary: (vocabulary), float32, on the
    CPU. ValueError for no ids and for more than the model reads."""
    most = model.config.max_position_embeddings
    if not 1 <= len(ids) <= most:
        raise ValueError(f"The text has {len(ids):,} tokens, but this model reads 1 to {most:,}: make it fit.")
    row = torch.tensor([list(ids)], device=model.device)  # (B, L) with B = 1
    return model(input_ids=row, use_cache=False, logits_to_keep=1).logits[0, -1].float().cpu()


@dataclass(frozen=True)
class Candidate:
    """A token that may come next: its id, its text, its logit and its probability."""

    token: int
    text: str
    logit: float
    probability: float


def candidates(model, tokenizer, text: str, count: int = 8) -> list[Candidate]:
    """The `count` most likely next tokens after `text`, the likeliest first. ValueError for an empty text, for one that
    is too long, and for a count below 1."""
    if count < 1:
        raise ValueError(f"count is {count}, but must be 1 or more.")
    if not text:
        raise ValueError("The text is empty: type at least one character.")
    logits = next_logits(model, tokenizer(text).input_ids)
    probabilities = softmax(logits)
    best = probabilities.topk(min(count, len(logits))).indices.tolist()
    return [Candidate(i, tokenizer.decode([i]), logits[i].item(), probabilities[i].item()) for i in best]


def next_word(model, tokenizer, text: str, first: int, most: int = 4) -> str:
    """The word that begins with the token `first` after `text`: the likeliest tokens are added until one begins
    with a blank or a sign, `most` at most."""
    start = tokenizer(text).input_ids
    ids = [*start, first]
    for _ in range(most - 1):
        token = int(next_logits(model, ids).argmax())
        piece = tokenizer.decode([token])
        if not piece or piece[0].isspace() or piece[0] in SIGNS or token in stop_ids(model):
            break
        ids.append(token)
    return tokenizer.decode(ids[len(start) :])


@torch.no_grad()
def stages(model, ids: list[int]) -> list[tuple[str, tuple[int, ...]]]:
    """What a text becomes on its way through the model: (stage in words, shape of the numbers)."""
    row = torch.tensor([list(ids)], device=model.device)
    out = model(input_ids=row, output_hidden_states=True, use_cache=False)
    hidden = [tuple(h[0].shape) for h in out.hidden_states]
    return [
        ("token ids", (len(ids),)),
        ("embeddings: one row of numbers for each token", hidden[0]),
        (f"after {len(hidden) - 1} layers", hidden[-1]),
        ("the row of the last token", hidden[-1][1:]),
        ("logits: one for each token of the vocabulary", tuple(out.logits[0, -1].shape)),
    ]


def tokens_read(name: str) -> int | None:
    """All tokens that an embedded model saw in training, with those of the model that it grew from; None for a model
    that did not come with the course."""
    from ..models import embedded_names, embedded_path

    if name not in embedded_names():
        return None
    record = json.loads((embedded_path(name) / "training.json").read_text(encoding="utf-8"))
    grown_from = record["shape"].get("start")
    return record["tokens_seen"] + ((tokens_read(grown_from) or 0) if grown_from else 0)


def stop_ids(model) -> set[int]:
    """The ids at which the model's own `generate` ends a text."""
    ids = model.generation_config.eos_token_id
    return set(ids) if isinstance(ids, (list, tuple)) else set() if ids is None else {ids}


def write(model, ids: list[int], new: int, generator: torch.Generator | None = None) -> list[int]:
    """Up to `new` further token ids after `ids`, written by hand: ask for logits, choose, append, ask again.

    Without a `generator` the likeliest token is chosen (greedy), with one a token is drawn by its probability; a
    generator on the model's device draws what `generate` draws with the same seed. Ends after an id at which the
    model's own `generate` ends."""
    text = list(ids)
    for _ in range(new):
        logits = next_logits(model, text)
        if generator is None:
            token = int(logits.argmax())
        else:
            token = int(torch.multinomial(softmax(logits).to(generator.device), 1, generator=generator))
        text.append(token)
        if token in stop_ids(model):
            break
    return text[len(ids) :]


def generate(model, ids: list[int], new: int, seed: int | None = None) -> list[int]:
    """The same by transformers' own `generate`: greedy, or drawn after `torch.manual_seed(seed)`."""
    row = torch.tensor([list(ids)], device=model.device)
    how = dict(do_sample=False)
    if seed is not None:
        torch.manual_seed(seed)
        how = dict(do_sample=True, temperature=1.0, top_k=0, top_p=1.0)
    pad = min(stop_ids(model), default=0)
    made = model.generate(row, attention_mask=torch.ones_like(row), max_new_tokens=new, pad_token_id=pad, **how)
    return made[0, len(ids) :].tolist()


@dataclass(frozen=True)
class Neuron:
    """One neuron of a gated feed-forward layer, at one token, in numbers.

    `x` is what comes in (width). `gate_weights` and `up_weights` are its two rows of weights (width). `gate` and `up` are
    their dot products with x, `active` is SiLU(gate), `output` = active x up. `own` is the model's own output."""

    layer: int
    index: int
    x: torch.Tensor
    gate_weights: torch.Tensor
    up_weights: torch.Tensor
    gate: float
    up: float
    active: float
    output: float
    own: float


def silu(z):
    """The activation of Llama models: z / (1 + e to the power of -z). Near 0 for small z, near z for large z.
    S. Elfwing and others, 2017."""
    return z / (1 + torch.exp(-torch.as_tensor(z)))


@torch.no_grad()
def neuron(model, ids: list[int], layer: int, index: int | None = None) -> Neuron:
    """The neuron `index` of the feed-forward part of layer `layer`, at the last token of `ids`; without an index the one
    with the largest output. Dot products and activation are computed here, `own` is read from the model as it runs."""
    mlp, (x, own) = model.model.layers[layer].mlp, (rows[-1] for rows in _inside(model, ids, layer))
    index = int(own.abs().argmax()) if index is None else index
    gates, ups = (matrix.weight[index].float().cpu() for matrix in (mlp.gate_proj, mlp.up_proj))
    gate, up = (gates @ x).item(), (ups @ x).item()
    active = silu(gate).item()
    return Neuron(layer, index, x, gates, ups, gate, up, active, active * up, own[index].item())


def fires_on(model, tokenizer, text: str, layer: int, index: int, count: int = 5) -> list[tuple[str, float]]:
    """The `count` places of `text` where a neuron's output is furthest from 0: (up to three tokens that end there,
    output). The first token is left out: models use it as a resting place, with values of its own."""
    ids = tokenizer(text).input_ids
    own = _inside(model, ids, layer)[1][:, index]
    places = (own[1:].abs().topk(count).indices + 1).tolist()
    return [(tokenizer.decode(ids[max(0, i - 2) : i + 1]), own[i].item()) for i in places]


@torch.no_grad()
def _inside(model, ids: list[int], layer: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What goes into a layer's feed-forward part, and the outputs of all its neurons: (L, width) and (L, neurons)."""
    mlp, seen = model.model.layers[layer].mlp, {}
    hooks = [
        mlp.register_forward_pre_hook(lambda module, args: seen.update(x=args[0][0])),
        mlp.down_proj.register_forward_pre_hook(lambda module, args: seen.update(own=args[0][0])),
    ]
    try:
        next_logits(model, ids)
    finally:
        for hook in hooks:
            hook.remove()
    return seen["x"].float().cpu(), seen["own"].float().cpu()


@torch.no_grad()
def missed_by_one_matrix(function: Callable, width: int, samples: int = 0, seed: int = 0) -> float:
    """How much of what `function` does the best single matrix misses: 0 when the function is one matrix, about 1
    when no matrix helps.

    `function` takes (samples, width). The matrix (and a constant) is fitted by least squares to half of the random
    inputs; the share of the variance that it misses is measured on the other half."""
    samples = samples or 6 * width
    x = torch.randn(samples, width, generator=torch.Generator().manual_seed(seed))
    y = function(x).double()
    x = torch.cat([x.double(), torch.ones(samples, 1, dtype=torch.float64)], dim=1)
    half = samples // 2
    matrix = torch.linalg.lstsq(x[:half], y[:half]).solution
    rest = y[half:] - x[half:] @ matrix
    return (rest.square().sum() / (y[half:] - y[:half].mean(0)).square().sum()).item()


@dataclass(frozen=True)
class Surprise:
    """How a continuation was predicted: its tokens as text, and -ln p of each in nats."""

    tokens: tuple[str, ...]
    nats: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Nats of the whole continuation: -ln of the product of the probabilities."""
        return sum(self.nats)

    @property
    def bits(self) -> float:
        """The same in bits."""
        return self.loss / math.log(2)

    @property
    def probability(self) -> float:
        """The probability of the whole continuation."""
        return math.exp(-self.loss)


@torch.no_grad()
def surprise(model, tokenizer, text: str, continuation: str) -> Surprise:
    """How surprised the model is by `continuation` after `text`. Both are tokenised apart, so `continuation` is to begin
    with its blank. ValueError when one of them is empty."""
    before, after = tokenizer(text).input_ids, tokenizer(continuation, add_special_tokens=False).input_ids
    if not before or not after:
        raise ValueError("The text or the continuation is empty: both need a token at least.")
    row = torch.tensor([before + after], device=model.device)
    logits = model(input_ids=row, use_cache=False).logits[0, len(before) - 1 : -1].float()  # (L, vocabulary)
    nats = -logits.log_softmax(-1)[range(len(after)), after]
    return Surprise(tuple(tokenizer.decode([token]) for token in after), tuple(nats.tolist()))


@torch.no_grad()
def loss_by_transformers(model, tokenizer, text: str, continuation: str) -> float:
    """The loss that transformers itself computes when `continuation` is the label: nats a token, the mean."""
    before, after = tokenizer(text).input_ids, tokenizer(continuation, add_special_tokens=False).input_ids
    row = torch.tensor([before + after], device=model.device)
    labels = row.clone()
    labels[:, : len(before)] = -100  # not scored
    return model(input_ids=row, labels=labels, use_cache=False).loss.item()


@dataclass(frozen=True)
class Backward:
    """One pass forward and back through a net of two layers: the loss (nats) and its gradient for both matrices."""

    loss: float
    probabilities: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor


def backward(first: torch.Tensor, second: torch.Tensor, x: torch.Tensor, right: int) -> Backward:
    """Backpropagation by hand through logits = second @ silu(first @ x), where token `right` should come.

    first (neurons, width), second (vocabulary, neurons), x (width). Chain rule, from the loss back to the input:
    the gradient at the logits is p minus 1 at the right token (D. Rumelhart and others, 1986)."""
    z = first @ x  # forward
    a = silu(z)
    p = softmax(second @ a)
    at_logits = p.clone()  # backward
    at_logits[right] -= 1
    at_a = second.T @ at_logits
    squash = 1 / (1 + torch.exp(-z))
    at_z = at_a * (squash + z * squash * (1 - squash))  # the slope of silu
    return Backward(-math.log(p[right]), p, torch.outer(at_z, x), torch.outer(at_logits, a))


def autograd(first: torch.Tensor, second: torch.Tensor, x: torch.Tensor, right: int) -> Backward:
    """The same by PyTorch: its own layers, its own loss, its own gradients."""
    first, second = (matrix.clone().requires_grad_() for matrix in (first, second))
    logits = second @ functional.silu(first @ x)
    loss = functional.cross_entropy(logits[None], torch.tensor([right]))
    loss.backward()
    return Backward(loss.item(), logits.detach().softmax(-1), first.grad, second.grad)


@torch.no_grad()
def last_hidden(model, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """What the model's last step multiplies: the output matrix (vocabulary, width), and the row of the last token after
    the last layer (width); logits = matrix @ row. Float32, on the CPU, the matrix a copy."""
    row = torch.tensor([list(ids)], device=model.device)
    hidden = model.model(input_ids=row, use_cache=False).last_hidden_state[0, -1]
    return model.lm_head.weight.detach().float().cpu().clone(), hidden.float().cpu()
