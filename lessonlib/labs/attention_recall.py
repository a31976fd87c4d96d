"""The retention experiment: attention against a recurrent net on the same data, with about as many parameters.

Each step of a sequence may bring a fact (a key with its value) and asks for the value of one fact seen so far. Nets: one
layer of attention, or a GRU or LSTM of PyTorch, between the same embeddings and the same output.

Letters in shapes: B batch, L steps, D width."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from .attention_cost import one_thread

KEYS, VALUES, LENGTH = 8, 8, 32  # guessing is right once in VALUES
WIDTHS = {"attention": 52, "GRU": 42, "LSTM": 37}  # about 12,500 parameters each
BATCH = 16


@dataclass(frozen=True)
class Batch:
    """Steps of B sequences, each (B, L): fact keys and values (KEYS and VALUES stand for "no fact now"), the key that is
    asked, the right value, and how many steps ago it was told."""

    keys: torch.Tensor
    values: torch.Tensor
    asked: torch.Tensor
    right: torch.Tensor
    distance: torch.Tensor


@dataclass(frozen=True)
class Result:
    """A trained net on fresh sequences: share of right answers at each distance 0 .. LENGTH - 1, and over all."""

    name: str
    facts: int
    parameters: int
    steps: int
    seconds: float
    by_distance: list[float]
    overall: float


def make_batch(generator: torch.Generator, facts: int, size: int = BATCH, length: int = LENGTH) -> Batch:
    """`size` sequences of `length` steps that tell `facts` facts with keys of their own: the first at once, the others
    anywhere; the other steps are blank. Each step asks for one of the facts told so far, the present one included."""
    if not 1 <= facts <= min(length, KEYS):
        raise ValueError(f"facts is {facts}, but {length} steps and {KEYS} keys hold 1 to {min(length, KEYS)}.")
    keys = torch.rand(size, KEYS, generator=generator).argsort(1)[:, :facts]
    values = torch.randint(VALUES, (size, facts), generator=generator)
    later = torch.rand(size, length - 1, generator=generator).argsort(1)[:, : facts - 1] + 1
    at = torch.cat([torch.zeros(size, 1, dtype=torch.long), later.sort(1).values], dim=1)  # (B, facts)
    told = torch.full((size, length), KEYS).scatter(1, at, keys)
    given = torch.full((size, length), VALUES).scatter(1, at, values)
    known = (told < KEYS).cumsum(1)
    pick = (torch.rand(size, length, generator=generator) * known).long()
    distance = torch.arange(length) - at.gather(1, pick)
    return Batch(told, given, keys.gather(1, pick), values.gather(1, pick), distance)


class Net(nn.Module):
    """Embeddings, one layer that looks back (attention, GRU or LSTM) beside a direct path, and an output."""

    def __init__(self, name: str, width: int | None = None):
        super().__init__()
        if name not in WIDTHS:
            raise ValueError(f"There is no net {name!r}: it is one of {', '.join(WIDTHS)}.")
        d = width or WIDTHS[name]
        self.told, self.given, self.asked = (
            nn.Embedding(KEYS + 1, d),
            nn.Embedding(VALUES + 1, d),
            nn.Embedding(KEYS, d),
        )
        self.norm = nn.LayerNorm(d)
        self.back = Attention(d) if name == "attention" else getattr(nn, name)(d, d, batch_first=True)
        self.out = nn.Linear(d, VALUES)

    def forward(self, keys, values, asked):
        """Logits (B, L, VALUES) of the answer at each step."""
        x = self.norm(self.told(keys) + self.given(values) + self.asked(asked))  # (B, L, D)
        seen = self.back(x)
        return self.out(x + (seen[0] if isinstance(seen, tuple) else seen))


class Attention(nn.Module):
    """One causal head: queries, keys and values from x (B, L, D). No positions: what is asked names what it looks for."""

    def __init__(self, d: int):
        super().__init__()
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)

    def forward(self, x):
        """Mixed values (B, L, D)."""
        q, k, v = (part[:, None] for part in self.qkv(x).chunk(3, dim=-1))  # (B, 1, L, D): one head
        return self.out(functional.scaled_dot_product_attention(q, k, v, is_causal=True)[:, 0])


def train(name: str, facts: int, steps: int, seed: int = 0, rate: float = 1e-2, tests: int = 500) -> Result:
    """Train a net on `steps` batches, then ask it on `tests` fresh sequences. Every net sees the same batches in the same
    order (AdamW, gradients clipped at 1; the rate is the one of 0.003 and 0.01 that suits the recurrent nets best)."""
    with one_thread():
        return _train(name, facts, steps, seed, rate, tests)


def _train(name, facts, steps, seed, rate, tests) -> Result:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Net(name)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.0)
    data, started = torch.Generator().manual_seed(1000 + seed), time.perf_counter()
    for _ in range(steps):
        b = make_batch(data, facts)
        loss = functional.cross_entropy(net(b.keys, b.values, b.asked).flatten(0, 1), b.right.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    seconds = time.perf_counter() - started
    hits, overall = recall(net, make_batch(torch.Generator().manual_seed(9), facts, tests))
    return Result(name, facts, sum(p.numel() for p in net.parameters()), steps, seconds, hits, overall)


@torch.no_grad()
def recall(net, b: Batch) -> tuple[list[float], float]:
    """Share of right answers at each distance (nan where none was asked), and over all questions."""
    hit = (net(b.keys, b.values, b.asked).argmax(-1) == b.right).float()  # (B, L)
    by_distance = [hit[b.distance == d].mean().item() for d in range(b.keys.shape[1])]
    return by_distance, hit.mean().item()


def blind(b: Batch) -> tuple[list[float], float]:
    """What a guesser gets who remembers all told values but not their keys, and always names the most frequent one: share of
    right answers at each distance, and over all questions. A net that beats it has learned what belongs to what."""
    told = torch.nn.functional.one_hot(b.values, VALUES + 1)[..., :VALUES].cumsum(1)  # (B, L, values): how often so far
    hit = (told.argmax(-1) == b.right).float()
    return [hit[b.distance == d].mean().item() for d in range(b.keys.shape[1])], hit.mean().item()


def grouped(values: list[float], width: int = 4) -> list[float]:
    """Means of neighbouring distances, `width` at a time: single distances are rare, so they jump about."""
    return [sum(values[i : i + width]) / len(values[i : i + width]) for i in range(0, len(values), width)]


def far(result: Result, steps: int = 24) -> float:
    """Share of right answers about what was told `steps` steps ago or more: mean over these distances."""
    values = result.by_distance[steps:]
    return sum(values) / len(values)


def draw(panels, results: dict[tuple[str, int], Result]) -> None:
    """Recall over distance: one panel for each number of facts, one line for each net, and `blind` as a dotted line."""
    for ax, facts in zip(panels, sorted({facts for _, facts in results}), strict=True):
        for (net, of), result in results.items():
            if of == facts:
                line = "-" if net == "attention" else "--"
                ax.plot(range(0, LENGTH, 4), grouped(result.by_distance), line, label=net)
        guesser, _ = blind(make_batch(torch.Generator().manual_seed(9), facts, 500))
        if facts > 1:
            ax.plot(range(0, LENGTH, 4), grouped(guesser), ":", color="#717581", marker="", label="ignores the key")
        title = f"{facts} fact{'s' if facts > 1 else ''} to keep"
        ax.set(title=title, xlabel="steps since it was told", ylim=(0, 1.05))
    panels[0].set(ylabel="share of right answers")
    panels[-1].legend()


def layer_seconds(name: str, length: int, device="cpu", runs: int = 4) -> float:
    """Seconds of forward and backward through the layer that looks back alone, one sequence of `length` steps, best of
    `runs` after a warm-up, on one thread of a processor or on a GPU.

    Attention handles all steps at once; a recurrent layer has to wait, at each step, for the state of the one before."""
    d, times = WIDTHS[name], []
    layer = (Attention(d) if name == "attention" else getattr(nn, name)(d, d, batch_first=True)).to(device)
    x = torch.randn(1, length, d, generator=torch.Generator().manual_seed(length)).to(device)
    with one_thread():
        for _ in range(runs + 1):
            started = time.perf_counter()
            seen = layer(x)
            (seen[0] if isinstance(seen, tuple) else seen).sum().backward()
            if x.is_cuda:
                torch.cuda.synchronize(device)
            times.append(time.perf_counter() - started)
    return min(times[1:])


def waiting_steps(name: str, length: int) -> int:
    """Steps of the layer that must come one after the other: 1 for attention, one for each token of a recurrent net."""
    return 1 if name == "attention" else length
