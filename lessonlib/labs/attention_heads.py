"""Heads found by measurement: where each one looks, what the model loses without it.

Letters in shapes: B batch, L query length, S key length, H heads, D head size. Scores are shares of attention, 0 to 1."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from .attention import eager, loss

# Everyday words of one token each in most vocabularies.
WORDS = (
    "lamp river stone apple bird cloud door fish garden hat island jar leaf moon nest orange queen rope spoon tree window "
    "yarn bridge drum engine feather hammer kettle ladder table shoe book box flower car boat king song"
).split()


def all_weights(model, ids: torch.Tensor) -> torch.Tensor:
    """The model's own attention weights on ids (B, L): (layers, B, H, L, S), float32 on the processor."""
    with eager(model), torch.no_grad():
        found = model(input_ids=ids.to(model.device), output_attentions=True, use_cache=False).attentions
    return torch.stack([layer.float().cpu() for layer in found])


def back_score(weights: torch.Tensor, back: int, start: int = 0) -> torch.Tensor:
    """Mean attention to the key `back` places before the query: weights (..., L, S) -> (...).

    Averaged over the queries from position max(back, start) on: earlier ones have no such key."""
    first = max(back, start)
    queries = torch.arange(first, weights.shape[-2])
    if not 0 <= back < weights.shape[-2] or not len(queries):
        raise ValueError(f"No query has a key {back} places before it in {weights.shape[-2]} positions.")
    return weights[..., queries, queries - back].mean(-1)


def first_score(weights: torch.Tensor) -> torch.Tensor:
    """Mean attention to the very first token by all later queries: weights (..., L, S) -> (...)."""
    return weights[..., 1:, 0].mean(-1)


def twice(rows: torch.Tensor) -> torch.Tensor:
    """Each row of ids (B, L) said twice: (B, 2 L)."""
    return torch.cat([rows, rows], dim=1)


def random_rows(model, length: int, rows: int = 6, seed: int = 0) -> torch.Tensor:
    """Rows of random tokens (B, L) that no text ever held: only attention can tell what follows in a second copy."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(300, model.config.vocab_size, (rows, length), generator=generator)


def word_rows(tokenizer, length: int = 16, rows: int = 6, seed: int = 0) -> torch.Tensor:
    """Rows of everyday words (B, L) in random order, no word twice in a row; words of one token only."""
    rng, one = random.Random(seed), []
    for word in WORDS:
        ids = tokenizer.encode(f" {word}", add_special_tokens=False)
        one += ids if len(ids) == 1 else []
    if len(one) < length:
        raise ValueError(f"Only {len(one)} of the words are single tokens here: ask for rows of {len(one)} or fewer.")
    return torch.tensor([rng.sample(one, length) for _ in range(rows)])


@dataclass(frozen=True)
class Scores:
    """Three measures of every head, each (layers, H): attention to the token before, to the first token, and to the token
    after an earlier occurrence of the same token (induction; Olsson et al. 2022)."""

    previous: torch.Tensor
    first: torch.Tensor
    induction: torch.Tensor

    def best(self, kind: str, count: int = 1) -> list[tuple[int, int]]:
        """The `count` heads with the highest score of `kind`: (layer, head), best first, both counted from 0."""
        table = getattr(self, kind)
        order = table.flatten().argsort(descending=True)[:count].tolist()
        return [divmod(place, table.shape[1]) for place in order]


def induction_scores(model, length: int = 32) -> torch.Tensor:
    """(layers, H): mean share of the token after the earlier occurrence, in the second copy of random tokens said twice."""
    weights = all_weights(model, twice(random_rows(model, length)))  # (layers, B, H, L, S)
    return back_score(weights, length - 1, start=length).mean(1)


def measure(model, text_ids: torch.Tensor, length: int = 32) -> Scores:
    """Scores of every head: previous and induction on random tokens, so that no grammar helps; first on a real text."""
    previous = back_score(all_weights(model, random_rows(model, 2 * length)), 1).mean(1)
    return Scores(previous, first_score(all_weights(model, text_ids)).mean(1), induction_scores(model, length))


@contextmanager
def without(model, heads):
    """`with without(model, [(layer, head), ...]):` the outputs of these heads are zero meanwhile: a hook blanks their D
    columns of what goes into the output projection."""
    hooks, size = [], model.model.layers[0].self_attn.head_dim
    for number, layer in enumerate(model.model.layers):
        mine = [head for of, head in heads if of == number]
        if mine:
            hooks.append(layer.self_attn.o_proj.register_forward_pre_hook(_blank(mine, size)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _blank(heads, size: int):
    def hook(module, args):
        mixed = args[0].clone()  # (B, L, H x D)
        for head in heads:
            mixed[..., head * size : (head + 1) * size] = 0
        return (mixed, *args[1:])

    return hook


@dataclass(frozen=True)
class Copying:
    """How a model foresees a row that is said twice: loss in nats and mean logit of the right token over the average logit,
    for the first and the second copy, and the share of the second copy that it names right."""

    first_loss: float
    second_loss: float
    first_logit: float
    second_logit: float
    right: float


@torch.no_grad()
def copying(model, rows: torch.Tensor) -> Copying:
    """Say rows of ids (B, L) twice and measure both copies. A token counts when the row's own earlier tokens come first:
    the first of each copy is left out."""
    ids, length = twice(rows).to(model.device), rows.shape[1]
    logits = model(input_ids=ids, use_cache=False).logits.float()
    above = logits[:, :-1].gather(-1, ids[:, 1:, None])[..., 0] - logits[:, :-1].mean(-1)  # (B, 2 L - 1)
    right = (logits[:, length:-1].argmax(-1) == ids[:, length + 1 :]).float().mean().item()
    return Copying(
        loss(logits[:, :length], ids[:, :length]), loss(logits, ids, start=length),
        above[:, : length - 1].mean().item(), above[:, length:].mean().item(), right,
    )  # fmt: skip


@torch.no_grad()
def text_loss(model, ids: torch.Tensor) -> float:
    """The model's loss on ids (B, L), in nats a token."""
    ids = ids.to(model.device)
    return loss(model(input_ids=ids, use_cache=False).logits, ids)


def control_heads(scores: Scores, count: int = 1) -> list[tuple[int, int]]:
    """`count` heads to compare with: those of the layer of the best induction head with the lowest induction scores."""
    layer = scores.best("induction")[0][0]
    order = scores.induction[layer].argsort()[:count].tolist()
    return [(layer, head) for head in order]


@dataclass(frozen=True)
class SwitchedOff:
    """What a model loses without some heads: `off` (layer, head), a row of words said twice, and a text's loss in nats."""

    what: str
    off: list[tuple[int, int]]
    words: Copying
    text: float

    def row(self, model_name: str) -> list[str]:
        """A line of a table: heads, losses of both copies, logit gain, share right, loss of the text."""
        heads = " and ".join(f"{layer}.{head}" for layer, head in self.off)
        w = self.words
        numbers = [w.first_loss, w.second_loss, w.second_logit - w.first_logit]
        return [
            f"{model_name}: {self.what} {heads}".strip(),
            *(f"{n:.2f}" for n in numbers),
            f"{w.right:.0%}",
            f"{self.text:.2f}",
        ]


def switch_off(model, tokenizer, scores: Scores, text_ids: torch.Tensor) -> list[SwitchedOff]:
    """The model whole, then without its best induction head, its best two, its best two previous-token heads, and a
    control head; measured on lists of everyday words said twice and on a text."""
    lists = word_rows(tokenizer)
    sets = {
        "all heads": [], "without best induction": scores.best("induction"),
        "without two induction": scores.best("induction", 2), "without two previous-token": scores.best("previous", 2),
        "without a control": control_heads(scores),
    }  # fmt: skip
    found = []
    for what, off in sets.items():
        with without(model, off):
            found.append(SwitchedOff(what, off, copying(model, lists), text_loss(model, text_ids)))
    return found
