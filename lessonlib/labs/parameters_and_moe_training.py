"""Little models that read bytes, trained from nothing in seconds: sizes against data, specialists, and experts.

A byte is a token here (256 of them), so nearly all parameters sit in the layers and a loss is bits per byte as it stands.
Letters in shapes: B batch, L length of a window."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ..models.training.muon import optimisers
from ..models.training.trainer import BALANCE, balance
from .parameters_and_moe import active, count, one_thread, shape_of

ROWS, LENGTH = 8, 128  # windows a step, bytes a window
MUON, ADAMW = 0.02, 3e-3  # peak learning rates, of the hidden matrices and of the rest: one pair for all sizes
WARM_UP = 20  # steps
COOLING = 0.25  # share of a run in which the rates fall to zero
# Modules of Python's standard library: what the page trains on, and what it holds out.
CODE = (
    "argparse",
    "textwrap",
    "string",
    "dataclasses",
    "enum",
    "inspect",
    "tarfile",
    "zipfile",
    "statistics",
    "shutil",
)
HELD_OUT_CODE = ("configparser", "difflib")
HELD_OUT_TOPICS = 0.1  # share of the manual's topics


@dataclass(frozen=True)
class Size:
    """The shape of a little model: `experts` = 0 is a dense Llama, else a Mixtral whose experts are `feed_forward` wide."""

    hidden: int
    layers: int
    feed_forward: int
    heads: int
    experts: int = 0
    per_token: int = 2

    def build(self, seed: int = 0):
        """A fresh model of transformers with random weights, float32, in training mode."""
        from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

        common = dict(
            vocab_size=256,
            hidden_size=self.hidden,
            intermediate_size=self.feed_forward,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.heads,
            max_position_embeddings=2 * LENGTH,
            tie_word_embeddings=True,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=None,
        )
        if self.experts:
            chosen = dict(num_local_experts=self.experts, num_experts_per_tok=self.per_token)
            config = MixtralConfig(**common, **chosen, output_router_logits=True, sliding_window=None)
        else:
            config = LlamaConfig(**common)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return AutoModelForCausalLM.from_config(config).train()


# What the record compares: six sizes for the scaling law, and three that share all but the feed-forward layers.
SIZES = (
    Size(24, 2, 64, 1),
    Size(32, 2, 96, 1),
    Size(48, 3, 128, 2),
    Size(64, 4, 176, 2),
    Size(96, 4, 256, 3),
    Size(128, 4, 352, 4),
)
TWINS = {
    "dense_active": Size(64, 3, 128, 2),
    "experts": Size(64, 3, 64, 2, experts=8),
    "dense_total": Size(64, 3, 512, 2),
}


def parameters(model) -> int:
    """Parameters outside the embedding, the N of a scaling law."""
    return sum(p.numel() for p in model.parameters()) - model.get_input_embeddings().weight.numel()


def specialist_rows(record: dict) -> list[list[str]]:
    """Rows [held-out text, specialist, generalist] of the stored record: bits per byte, median and range of the seeds."""

    def said(what, text):
        bits = record["metrics"][f"specialist_{what}_bits_on_{text}"]
        return f"{bits['median']:.2f} ({min(bits['samples']):.2f} to {max(bits['samples']):.2f})"

    return [[text, said("code", text), said("all", text)] for text in record["parts"]]


def twin_rows(record: dict) -> list[list]:
    """Rows [name, N, active N, bits per byte (range of the seeds), seconds to train] of the twins of the stored record."""
    rows = []
    for name, size in TWINS.items():
        bits, seconds = (record["metrics"][f"twins_{name}_{x}"] for x in ("bits", "training"))
        shape = shape_of(size.build().config)
        groups = count(shape)
        outside = groups["embedding"] + groups["output"]
        used = active(shape, size.per_token if size.experts else 1) - outside
        said = f"{bits['median']:.3f} ({min(bits['samples']):.3f} to {max(bits['samples']):.3f})"
        rows.append(
            [name.replace("_", ", equal "), sum(groups.values()) - outside, used, said, round(seconds["median"])]
        )
    return rows


def as_bytes(texts: Iterable[str]) -> np.ndarray:
    """Texts as one array of bytes (uint8), an empty line between them."""
    return np.frombuffer("\n\n".join(texts).encode("utf-8"), dtype=np.uint8)


def python_code() -> tuple[np.ndarray, np.ndarray]:
    """(to train on, held out): sources of some modules of this Python's standard library, as bytes."""

    def sources(names):
        return as_bytes(inspect.getsource(__import__(name)) for name in names)

    return sources(CODE), sources(HELD_OUT_CODE)


def manual() -> tuple[np.ndarray, np.ndarray]:
    """(to train on, held out): Python's own manual, English prose about the language, as bytes.

    It comes with Python for help("..."). ValueError where a slim installation left it out."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise ValueError(
            "This Python comes without its manual (pydoc_data): install the full standard library."
        ) from None
    names = sorted(topics)
    held = set(names[:: round(1 / HELD_OUT_TOPICS)])
    return as_bytes(topics[n] for n in names if n not in held), as_bytes(topics[n] for n in names if n in held)


def windows(texts: Sequence[np.ndarray], random: np.random.Generator, rows: int = ROWS, length: int = LENGTH):
    """(B, L + 1) int64 tensor of bytes: each row a stretch of one of the texts, all of them equally likely."""
    out = np.empty((rows, length + 1), dtype=np.int64)
    for row in range(rows):
        text = texts[random.integers(len(texts))]
        start = random.integers(0, len(text) - length)
        out[row] = text[start : start + length + 1]
    return torch.from_numpy(out)


@torch.no_grad()
def bits_per_byte(model, text: np.ndarray, rows: int = 384, length: int = LENGTH) -> float:
    """Mean bits for a byte of `text`, over `rows` windows spread evenly; the first byte of each is context only."""
    starts = np.linspace(0, len(text) - length - 1, rows).astype(int)
    training, nats = model.training, 0.0
    model.eval()
    for first in range(0, rows, 64):
        x = np.stack([text[s : s + length + 1] for s in starts[first : first + 64]]).astype(np.int64)
        x = torch.from_numpy(x)  # (B, L + 1)
        logits = model(input_ids=x[:, :-1], use_cache=False).logits
        nats += functional.cross_entropy(logits.flatten(0, 1), x[:, 1:].flatten()).item() * len(x)
    model.train(training)
    return nats / rows / math.log(2)


def train(
    model, texts: Sequence[np.ndarray], budgets: Sequence[int], measure: Callable, seed: int = 0, cooling: float = COOLING
) -> list:  # fmt: skip
    """Train on the texts and return `measure(model)` for each budget, a number of bytes read, in rising order.

    The rates stay at their peak and fall in a line over the last `cooling` of a budget. One run serves all budgets: where
    a smaller one begins to cool, a copy goes off to be cooled and measured, and the run goes on (warm-up, stable, decay:
    A. Haegele and others, 2024). Models with experts get the loss that spreads their load."""
    with one_thread():
        return _train(model, texts, budgets, measure, seed, cooling)


def _train(model, texts, budgets, measure, seed, cooling):
    made, random = optimisers(model, MUON, ADAMW, 0.1), np.random.default_rng(seed)
    done, results = 0, []
    for budget in sorted(budgets):
        steps = budget // (ROWS * LENGTH)
        warm = steps - round(cooling * steps)
        for at in range(done, warm):
            _step(model, made, windows(texts, random), min(1.0, (at + 1) / WARM_UP))
        done = warm
        last = budget == max(budgets)
        branch, rates, stream = (model, made, random) if last else _copy(model, made, random)
        for at in range(warm, steps):
            _step(branch, rates, windows(texts, stream), (steps - at) / (steps - warm + 1))
        results.append(measure(branch))
    return results


def _copy(model, made, random):
    """The model, its optimisers and the stream of windows, to be changed without touching the first ones."""
    twin = copy.deepcopy(model)
    again = optimisers(twin, MUON, ADAMW, 0.1)
    for new, old in zip(again, made, strict=True):
        new.load_state_dict(copy.deepcopy(old.state_dict()))
    return twin, again, copy.deepcopy(random)


def _step(model, made, x: torch.Tensor, share: float) -> None:
    """One step over x (B, L + 1) at `share` of the peak rates."""
    out = model(input_ids=x[:, :-1], use_cache=False)
    loss = functional.cross_entropy(out.logits.flatten(0, 1), x[:, 1:].flatten())
    if getattr(out, "router_logits", None) is not None:
        loss = loss + BALANCE * balance(out.router_logits, model.config.num_experts_per_tok)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimiser in made:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * share
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
