"""How good a model is: bits per byte on held-out text, so that tokenizers of any size compare."""

from __future__ import annotations

import math

import torch


@torch.no_grad()
def bits_per_byte(model, tokenizer, documents: list[str], context: int = 512, batch: int = 16) -> float:
    """Mean bits that the model needs for a byte of `documents`.

    Documents are joined with `<|endoftext|>` (id 0) and cut into windows of `context` tokens; the first token of a
    window is not scored, and only the bytes of scored tokens count. bits/byte = sum of -log2 p / sum of bytes.
    `tokenizer` is a tokenizers.Tokenizer."""
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
    return nats / math.log(2) / size


def _byte_sizes(tokenizer) -> list[int]:
    """Bytes of text that each token stands for: one a character in byte-level vocabularies, none for specials."""
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    sizes = [0] * tokenizer.get_vocab_size()
    for text, i in tokenizer.get_vocab().items():
        sizes[i] = 0 if text in special else len(text)
    return sizes
