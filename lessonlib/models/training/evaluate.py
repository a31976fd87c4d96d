"""How good a model is: bits per byte on held-out text, so that tokenizers of any size compare."""

from __future__ import annotations

import math

import torch


def bits_per_byte(model, tokenizer, documents: list[str], context: int = 512, batch: int = 16) -> float:
    """Mean bits that the model needs for a byte of `documents`: sum of -log2 p / sum of bytes (see `score`)."""
    bits, size = score(model, tokenizer, documents, context, batch)
    return bits / size


def evaluate_parts(model, tokenizer, corpus) -> dict[str, float]:
    """Bits per byte on each held-out part of a Corpus, and over all of their bytes (`all`)."""
    scores = {name: score(model, tokenizer, corpus.documents("valid", name)) for name in corpus.names("valid")}
    parts = {name: bits / size for name, (bits, size) in scores.items()}
    parts["all"] = sum(bits for bits, _ in scores.values()) / sum(size for _, size in scores.values())
    return {name: round(value, 4) for name, value in parts.items()}


@torch.no_grad()
def score(model, tokenizer, documents: list[str], context: int = 512, batch: int = 16) -> tuple[float, int]:
    """(bits, bytes): what the model needs for `documents`, and how many bytes of them were scored.

    Documents are joined with `<|endoftext|>` (id 0) and cut into windows of `context` tokens that share one token: a
    window's first token is context only, as it was scored as the last of the window before. The separators have no
    bytes and are not scored. `tokenizer` is a tokenizers.Tokenizer."""
    ids = [i for e in tokenizer.encode_batch(documents, add_special_tokens=False) for i in (0, *e.ids)]
    sizes = _byte_sizes(tokenizer)
    device = next(model.parameters()).device
    windows = [ids[i : i + context] for i in range(0, len(ids) - 1, context - 1)]
    windows.sort(key=len)
    nats, size = 0.0, 0
    was_training = model.training
    model.eval()
    for first in range(0, len(windows), batch):
        rows = windows[first : first + batch]
        width = max(map(len, rows))
        x = torch.zeros(len(rows), width, dtype=torch.long)
        scored = torch.zeros(len(rows), width, dtype=torch.bool)
        for row, window in enumerate(rows):
            x[row, : len(window)] = torch.tensor(window)
            scored[row, 1 : len(window)] = True
        scored &= x != 0  # the separator has no bytes of its own
        x = x.to(device)
        logits = model(input_ids=x, use_cache=False).logits[:, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), x[:, 1:], reduction="none")
        nats += losses[scored[:, 1:].to(device)].sum().item()
        size += sum(sizes[i] for i in x.cpu()[scored].tolist())
    model.train(was_training)
    if not size:
        raise ValueError("There is no text to score: the documents are empty.")
    return nats / math.log(2), size


def _byte_sizes(tokenizer) -> list[int]:
    """Bytes of text that each token stands for: one a character in byte-level vocabularies, none for specials."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    sizes = [0] * tokenizer.get_vocab_size()
    for text, i in tokenizer.get_vocab().items():
        sizes[i] = 0 if text in special else len(text)
    return sizes
