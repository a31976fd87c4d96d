"""How fast a model of a real shape prefills and decodes, and the ceilings of the same device to hold against it.

Nothing here depends on the weights' values: a cache full of random numbers costs what a real one costs."""

from __future__ import annotations

import time

STEPS = 8  # decoded tokens in one sample


def ceilings(device):
    """(name, unit, samples) of the fastest plain work that the device does: copy and triad of large tensors (every byte
    read or written counts), and a large matrix product in bfloat16."""
    import torch

    big = device.type == "cuda"
    count, size = (2**29, 8192) if big else (2**22, 256)
    a, b, c = (torch.ones(count, dtype=torch.bfloat16, device=device) for _ in range(3))
    # Random values: a GPU multiplies constant ones faster, because they need less power.
    x, y = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))
    out = torch.empty_like(x)
    works = (
        ("copy", "GB/s", 2 * a.nbytes / 1e9, lambda: a.copy_(b)),
        ("triad", "GB/s", 3 * a.nbytes / 1e9, lambda: torch.add(b, c, alpha=2, out=a)),
        ("matmul", "TFLOP/s", 2 * size**3 / 1e12, lambda: torch.mm(x, y, out=out)),
    )
    for name, unit, amount, work in works:
        for _ in range(3):
            work()
        yield name, unit, [amount / seconds(work, device) for _ in range(7)]


def slots(model, batch: int, room: int):
    """A cache for `batch` sequences of at most `room` tokens, made once, in bfloat16, full of random values. Attention
    sees a view of the part in use, so that a step costs what its context costs and nothing is copied or allocated anew.
    For models whose layers all attend to the whole text and keep one K and V."""
    import torch
    from transformers.cache_utils import Cache, DynamicLayer

    class Slots(DynamicLayer):
        def __init__(self):
            super().__init__()
            config = model.config
            heads = config.num_key_value_heads
            head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
            made = dict(dtype=torch.bfloat16, device=model.device)
            self.room = [torch.empty(batch, heads, room, head_dim, **made).normal_() for _ in range(2)]
            self.length, self.is_initialized = 0, True

        def update(self, keys, values, *args, **kwargs):
            rows, _, new, _ = keys.shape
            end = self.length + new
            for place, fresh in zip(self.room, (keys, values), strict=True):
                place[:rows, :, self.length : end] = fresh
            self.length = end
            return tuple(place[:rows, :, :end] for place in self.room)

        def get_seq_length(self):
            return self.length

    return Cache(layers=[Slots() for _ in range(model.config.num_hidden_layers)])


def prefill(model, cache, rows: int, context: int) -> float:
    """Tokens a second of one pass over `rows` sequences of `context` tokens, up to the logits of the last token of each;
    after one warm-up."""
    import torch

    ids = torch.randint(model.config.vocab_size, (rows, context), device=model.device)
    step(model, cache, ids, 0)
    return ids.numel() / seconds(lambda: step(model, cache, ids, 0), model.device)


def decode(model, cache, batch: int, context: int) -> float:
    """Tokens a second of STEPS greedy tokens for each sequence after `context` tokens, after a warm-up of two."""
    import torch

    ids = torch.randint(model.config.vocab_size, (batch, 1), device=model.device)

    def generate(steps: int) -> None:
        text = ids
        for i in range(steps):
            text = step(model, cache, text, context + i)

    generate(2)
    return batch * STEPS / seconds(lambda: generate(STEPS), model.device)


def decode_graph(model, cache, batch: int, context: int) -> float:
    """The same without the time that Python needs to start kernels: one step at the full context, replayed."""
    import torch

    ids = torch.randint(model.config.vocab_size, (batch, 1), device=model.device)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step(model, cache, ids, context)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(model, cache, ids, context)
    graph.replay()

    def replay() -> None:
        for _ in range(STEPS):
            graph.replay()

    return batch * STEPS / seconds(replay, model.device)


def step(model, cache, ids, past: int):
    """The greedy next token (B, 1) after ids (B, L), with `past` tokens of each sequence in the cache."""
    import torch

    for layer in cache.layers:
        layer.length = past
    with torch.no_grad():
        out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return out.logits[:, -1].argmax(-1, keepdim=True)


def seconds(work, device) -> float:
    """How long `work` takes, by the device's own clock where it has one."""
    import torch

    if device.type != "cuda":
        started = time.perf_counter()
        work()
        return time.perf_counter() - started
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    return start.elapsed_time(end) / 1e3
