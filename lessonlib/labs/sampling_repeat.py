"""What a model repeats bit for bit, and what it does not: the same text computed in other company, in other formats, by
other kernels, with other threads."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from . import sampling

# Texts of different lengths, so that a batch of them needs padding; written for this course.
TEXTS = (
    "Lily had a red ball. She played with it in the park every day. One day the ball rolled down the hill and into the "
    "water. Lily was sad. She wanted her ball back, but the water was cold and deep.",
    "Her friend Tom saw her and ran to help. He got a long stick and pulled the ball out of the water.",
    "The farmer had a brown cow and a small goat.",
    "One morning the gate was open and the goat was gone. The farmer looked in the barn, behind the house and under the "
    "old tree. At last he heard a noise from the kitchen.",
    "def add(a, b):\n    return a + b\n\ndef double(n):\n    return n * 2\n",
    "The goat stood on the table and ate all the bread. The farmer laughed so much that he had to sit down.",
    "Once upon a time there was a little bird. The bird could not fly.",
    "User: What is the weather in Rome?\nAssistant: It is warm and sunny today.",
)


@dataclass(frozen=True)
class Difference:
    """Two ways to compute the same logits: the largest difference between any two of them, and at how many of the
    `positions` another token is the likeliest: there greedy texts part. `first` is the first such place: (number of the
    text, position in it, best token of the one, best token of the other), or None."""

    change: str
    largest: float
    flips: int
    positions: int
    first: tuple[int, int, int, int] | None = None


@torch.no_grad()
def all_logits(model, tokenizer, texts: Sequence[str] = TEXTS, together: bool = False) -> list[torch.Tensor]:
    """The logits (L, vocabulary) at every token of each text, in float32 on the CPU: each text alone, or all together in
    one batch, padded on the left."""
    found = []
    for group in [texts] if together else [[text] for text in texts]:
        ids, mask = sampling.encode(tokenizer, group, model.device)
        positions = (mask.cumsum(-1) - 1).clamp(min=0)
        more = dict(attention_mask=mask, position_ids=positions) if together else {}
        logits = model(input_ids=ids, use_cache=False, **more).logits.float().cpu()
        found += [row[one.bool()] for row, one in zip(logits, mask.cpu(), strict=True)]
    return found


def difference(change: str, ours: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> Difference:
    """How far two lists of logits, one (L, vocabulary) for each text, lie apart."""
    a, b = torch.cat(list(ours)), torch.cat(list(others))
    places = []
    for number, (one, other) in enumerate(zip(ours, others, strict=True)):
        best, theirs = one.argmax(-1).tolist(), other.argmax(-1).tolist()
        places += [(number, at, x, y) for at, (x, y) in enumerate(zip(best, theirs, strict=True)) if x != y]
    return Difference(change, (a - b).abs().max().item(), len(places), len(a), places[0] if places else None)


def tell(tokenizer, d: Difference, texts: Sequence[str] = TEXTS) -> str:
    """The first flip of a difference in words: the end of the text, and what either way would write next."""
    if d.first is None:
        return f"{d.change}: no best token changed"
    number, at, one, other = d.first
    ids, _ = sampling.encode(tokenizer, [texts[number]])
    words = tokenizer.decode(ids[0, : at + 1], skip_special_tokens=True)[-60:]
    return f"{d.change}: after {words!r} it writes {tokenizer.decode(one)!r} instead of {tokenizer.decode(other)!r}"


def differences(model, tokenizer, texts: Sequence[str] = TEXTS) -> list[Difference]:
    """The same texts by the same weights, each time with one thing changed, against each text alone in float32.

    Again; in a padded batch; by plain matrix products instead of the fused attention kernel; with one thread (where the
    machine has more and the model runs on the CPU); in bfloat16; bfloat16 alone against bfloat16 in a batch; and on the
    other device where there is a GPU. The model itself is left as it was."""
    plain = all_logits(model, tokenizer, texts)
    found = [
        difference("nothing: run again", all_logits(model, tokenizer, texts), plain),
        difference("in a padded batch", all_logits(model, tokenizer, texts, together=True), plain),
    ]
    with _attention(model, "eager"):
        found.append(difference("another attention kernel", all_logits(model, tokenizer, texts), plain))
    threads = torch.get_num_threads()
    if model.device.type == "cpu":
        torch.set_num_threads(1 if threads > 1 else 2)
        name = f"{torch.get_num_threads()} thread{'s' if threads == 1 else ''} instead of {threads}"
        found.append(difference(name, all_logits(model, tokenizer, texts), plain))
        torch.set_num_threads(threads)
    if torch.cuda.is_available():
        other = copy.deepcopy(model).to("cpu" if model.device.type == "cuda" else "cuda")
        found.append(difference(f"on the {other.device.type} device", all_logits(other, tokenizer, texts), plain))
        del other
    small = copy.deepcopy(model).to(torch.bfloat16)
    alone = all_logits(small, tokenizer, texts)
    found.append(difference("bfloat16 instead of float32", alone, plain))
    found.append(difference("bfloat16, batch against alone", all_logits(small, tokenizer, texts, together=True), alone))
    return found


@contextmanager
def _attention(model, kind: str):
    before = model.config._attn_implementation
    model.set_attn_implementation(kind)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
