"""Training on a CPU in seconds, and what it costs beside inference: FLOPs, memory and time, counted and measured.

Shapes: B batch, L query length."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch
from torch.nn import functional

from . import what_is_an_llm_stories as stories

PAD = -100  # the label that cross_entropy leaves out
RATE = 5e-3  # size of the steps at their largest


def rows(tokenizer, told: list) -> torch.Tensor:
    """Stories as training rows (B, L): each between two end-of-text tokens, filled up with PAD."""
    end = tokenizer.eos_token_id
    ids = [[end, *tokenizer(story.text).input_ids, end] for story in told]
    longest = max(map(len, ids))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in ids])


def floor(data: torch.Tensor, told: list) -> float:
    """The best loss (nats a token, on average) that any model can reach on these stories: their own surprise, since what
    fills a slot cannot be foreseen, divided by the tokens that are to be predicted."""
    return sum(story.nats for story in told) / (data[:, 1:] != PAD).sum().item()


def tiny_llama(vocabulary: int, width: int = 96, layers: int = 2, heads: int = 4, seed: int = 0):
    """A Llama with random weights, small enough to learn in seconds: on the CPU, in float32."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=width * 5 // 2, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads, max_position_embeddings=256, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=0, pad_token_id=1, attn_implementation="eager",
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def loss_of(model, batch: torch.Tensor) -> torch.Tensor:
    """The loss of a batch (B, L): the mean of -ln p over all tokens but the first of each row and the filling, in nats a
    token. Row l of the logits says what comes after token l, so it is compared with token l + 1."""
    logits = model(input_ids=batch[:, :-1].clamp(min=0), use_cache=False).logits  # (B, L - 1, vocabulary)
    return functional.cross_entropy(logits.flatten(0, 1).float(), batch[:, 1:].flatten(), ignore_index=PAD)


def adam(model) -> torch.optim.Optimizer:
    """The optimizer: plain gradient descent, but with a running mean of each gradient and of its square, so that each
    weight gets steps of a fitting size. D. Kingma and J. Ba, 2014."""
    return torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.0)


def batches(
    data: torch.Tensor, seconds: float = math.inf, optimizer=None, *, steps: int | None = None, size: int = 16,
    least: int = 150, seed: int = 0,
) -> Iterator[torch.Tensor]:  # fmt: skip
    """Batches (B, L) of random rows of `data` until `seconds` are over, but `least` of them at any rate; or exactly
    `steps` of them, however long that takes.

    Sets the size of the optimizer's steps on the way: it rises over the first 20 and falls in the second half. Runs on
    one thread: matrices of this size do not profit from more. ValueError when neither bound is given."""
    if not (0 < seconds < math.inf or (steps or 0) > 0):
        raise ValueError(f"seconds is {seconds} and steps {steps}: give one of them, above 0.")
    generator, started, done = torch.Generator().manual_seed(seed), time.perf_counter(), 0
    with one_thread():
        while True:
            share = done / steps if steps else min((time.perf_counter() - started) / seconds, done / least)
            if share >= 1:
                return
            if optimizer is not None:
                for group in optimizer.param_groups:
                    group["lr"] = RATE * min(1, (done + 1) / 20, max(2 * (1 - share), 0.05))
            yield data[torch.randint(len(data), (size,), generator=generator)]
            done += 1


def train(model, data: torch.Tensor, seconds: float = math.inf, **options) -> list[float]:
    """The whole training, as the page writes it out: returns the loss of every step. Bounds and options as for `batches`."""
    optimizer, losses = adam(model), []
    for batch in batches(data, seconds, optimizer, **options):
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def held_out(model, data: torch.Tensor, size: int = 16) -> float:
    """The loss on rows that were not trained on, nats a token; `size` rows at a time, since logits take much memory."""
    total = tokens = 0
    for part in data.split(size):
        count = (part[:, 1:] != PAD).sum().item()
        total, tokens = total + loss_of(model, part).item() * count, tokens + count
    return total / tokens


@torch.no_grad()
def tell(model, tokenizer, count: int = 20, seed: int = 1, most: int = 70) -> list[str]:
    """`count` texts that the model writes from nothing, each token drawn by its probability, up to its end-of-text."""
    torch.manual_seed(seed)
    start = torch.full((count, 1), tokenizer.eos_token_id)
    ids = model.generate(
        start, attention_mask=torch.ones_like(start), max_new_tokens=most, do_sample=True, top_k=0, top_p=1.0,
        temperature=1.0, pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    end = tokenizer.eos_token
    return [tokenizer.decode(row[1:]).partition(end)[0].strip() for row in ids]


def score(texts: list[str]) -> dict[str, float]:
    """How good these stories are: the share of `sentences` that some plot has, and of `stories` that agree from start to
    end with what they said before (the same toy, the same animal)."""
    known = [k for text in texts for k in stories.known_sentences(text)]
    return {
        "sentences": sum(known) / len(known) if known else 0.0,
        "stories": sum(map(stories.is_story, texts)) / len(texts),
    }


@contextmanager
def one_thread():
    """Torch computes on one thread inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def multiplied(model) -> int:
    """N, the parameters that every token is multiplied with: all matrices but an input embedding that is only looked up.
    A tied embedding counts once, as output matrix."""
    output = model.get_output_embeddings().weight
    embedding = model.get_input_embeddings().weight
    return sum(p.numel() for p in model.parameters() if p.ndim == 2 and (p is not embedding or p is output))


def flops(model, batch: torch.Tensor) -> dict[str, float]:
    """FLOPs a token, as torch counts them operation by operation: `forward`, and `training` (forward and backward).
    batch (B, L).

    Attention runs in plain matrix products meanwhile: torch does not count a CPU's fused kernel."""
    from torch.utils.flop_counter import FlopCounterMode

    counted, tokens, before = {}, batch[:, :-1].numel(), model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            loss_of(model, batch)
        counted["forward"] = counter.get_total_flops() / tokens
        with FlopCounterMode(display=False) as counter:
            loss_of(model, batch).backward()
        counted["training"] = counter.get_total_flops() / tokens
    finally:
        model.set_attn_implementation(before)
        model.zero_grad(set_to_none=True)
    return counted


def bytes_of(tensors) -> int:
    """Bytes of the tensors, each storage counted once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def memory(model, batch: torch.Tensor) -> dict[str, int]:
    """Bytes that one training step holds, counted tensor by tensor: `weights`, `gradients`, `optimizer` (Adam's two
    running means), and `activations`, what the forward pass keeps for the way back. batch (B, L).

    Works on a copy: the model stays as it is."""
    model = copy.deepcopy(model)
    optimizer, kept = adam(model), []
    mine = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in mine:
            kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = loss_of(model, batch)
    activations = bytes_of(kept)
    kept.clear()
    loss.backward()
    optimizer.step()
    state = [t for entry in optimizer.state.values() for t in entry.values() if torch.is_tensor(t) and t.ndim]
    return {
        "weights": bytes_of(model.parameters()),
        "gradients": bytes_of(p.grad for p in model.parameters()),
        "optimizer": bytes_of(state),
        "activations": activations,
    }


@torch.no_grad()
def cache_bytes(model, tokens: int) -> int:
    """Bytes that inference keeps beside the weights for one text of `tokens` tokens: its keys and values (lesson 05)."""
    past = model(
        input_ids=torch.zeros(1, tokens, dtype=torch.long, device=model.device), use_cache=True
    ).past_key_values
    return bytes_of(t for layer in past.layers for t in (layer.keys, layer.values))


def times(model, batch: torch.Tensor, rounds: int = 5, new: int = 8) -> dict[str, list[float]]:
    """Seconds a token, one sample a round: `training` (a whole step with batch (B, L)), `reading` (forward over the same
    batch), and `writing` (one token after the other, with a cache). One warm-up; works on a copy."""
    model = copy.deepcopy(model)
    optimizer, tokens, samples = adam(model), batch[:, :-1].numel(), {}

    def training():
        loss_of(model, batch).backward()
        optimizer.step()
        optimizer.zero_grad()

    def reading():
        with torch.no_grad():
            loss_of(model, batch)

    start = batch[:1, :4].clamp(min=0)

    def writing():
        model.generate(
            start, attention_mask=torch.ones_like(start), max_new_tokens=new, min_new_tokens=new, do_sample=False,
            pad_token_id=0,
        )  # fmt: skip

    for number in range(rounds + 1):
        for name, run, count in (
            ("training", training, tokens),
            ("reading", reading, tokens),
            ("writing", writing, new),
        ):
            started = time.perf_counter()
            run()
            if number:
                samples.setdefault(name, []).append((time.perf_counter() - started) / count)
    return samples


def middle(samples: dict[str, list[float]]) -> dict[str, float]:
    """The median of each list."""
    return {name: median(values) for name, values in samples.items()}


def bill(parameters: float, tokens: float, tflops: float, share: float, usd_per_gpu_hour: float) -> dict[str, float]:
    """What training costs: `flops` = 6 x parameters x tokens, `gpu_hours` on GPUs of `tflops` TFLOP/s of which a `share`
    is reached, and `usd`. Source of the 6: 2 for forward, 4 for backward (J. Kaplan and others, 2020, section 2.1).

    ValueError when a number is not above 0 or the share is above 1."""
    named = dict(parameters=parameters, tokens=tokens, tflops=tflops, share=share, usd_per_gpu_hour=usd_per_gpu_hour)
    for name, value in named.items():
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}, but must be a number above 0.")
    if share > 1:
        raise ValueError(f"share is {share}, but no GPU does more than its peak: give at most 1.")
    work = 6 * parameters * tokens
    hours = work / (tflops * 1e12 * share) / 3600
    return {"flops": work, "gpu_hours": hours, "usd": hours * usd_per_gpu_hour}
