"""Parameters counted by group, and a mixture of experts (MoE) opened: its layer by hand, its router, what it reads.

Letters in shapes: B batch, L query length, H heads, K key-value heads, D head size; `tokens` is B x L, positions in a row."""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch.nn import functional

from ..calc import architecture, throughput
from ..models.embedded import embedded_names, embedded_path
from . import parameters_and_moe_texts as texts

GROUPS = ("embedding", "attention", "feed_forward", "router", "norms", "output")
BLOCKS = ("dense, equal active", "experts", "dense, equal total")
CLASSES = ("blanks", "punctuation", "digits", "words of code", "names", "other words")


def count(shape: Mapping) -> dict[str, int]:
    """Parameters of a Llama or a Mixtral by group, to the unit (GROUPS, adding up to the whole).

    `shape`: vocabulary, hidden, layers, heads, kv_heads, head_dim, feed_forward (width of one expert), experts (1 where the
    model is dense, and then without a router) and tied (whether the output matrix is the embedding). No biases."""
    hidden, layers, experts = shape["hidden"], shape["layers"], shape["experts"]
    attention = hidden * shape["head_dim"] * (2 * shape["heads"] + 2 * shape["kv_heads"])  # Q and output, K and V
    words = shape["vocabulary"] * hidden
    return {
        "embedding": words,
        "attention": layers * attention,
        "feed_forward": layers * experts * 3 * hidden * shape["feed_forward"],  # gate, up and down
        "router": layers * hidden * experts if experts > 1 else 0,
        "norms": (2 * layers + 1) * hidden,
        "output": 0 if shape["tied"] else words,
    }


def shape_of(config) -> dict:
    """The numbers that `count` wants, from a transformers configuration of a Llama or Mixtral."""
    return {
        "vocabulary": config.vocab_size,
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "kv_heads": config.num_key_value_heads,
        "head_dim": getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads,
        "feed_forward": config.intermediate_size,
        "experts": getattr(config, "num_local_experts", None) or 1,
        "tied": bool(config.tie_word_embeddings),
    }


def active(shape: Mapping, per_token: int) -> int:
    """Parameters used for one token: `per_token` of the experts of each layer, and all the rest."""
    groups = count(shape)
    return sum(groups.values()) - groups["feed_forward"] // shape["experts"] * (shape["experts"] - per_token)


def read_bytes(
    resident: int, expert: int, layers: int, experts: int, per_token: int, tokens: int, bytes_per_value: float = 2
) -> tuple[float, float]:  # fmt: skip
    """(bytes that must lie in memory, bytes of weights that one step over `tokens` tokens reads).

    `resident` counts the parameters outside the experts, `expert` those of one expert. A step reads the former once and,
    in each layer, the experts that some token chose: `expected_experts` of them, when a router picks evenly."""
    held = resident + layers * experts * expert
    touched = throughput.expected_experts(experts, per_token, tokens)
    return held * bytes_per_value, (resident + layers * touched * expert) * bytes_per_value


def short(name: str) -> str:
    """The name of a model without what only its files need."""
    return name.split(" (")[0].removesuffix("Instruct").rstrip(" -")


def mixture_row(model, tokens: int) -> list[str]:
    """A row of the fact base in words: name, experts, total and active parameters in billions, the share that is active, GB of
    the weights at 16 and at 4 bits, and GB that a step over so many tokens reads at 16 bits (see `throughput`)."""
    total, used = architecture.parameters(model), architecture.active_parameters(model)
    chosen = f"{model.moe_experts_per_token} of {model.moe_experts}"
    sizes = [total * 2, total / 2, throughput.touched_weights(model, tokens).total]
    billions = [f"{n / 1e9:,.1f}" for n in (total, used)]
    return [short(model.name), chosen, *billions, f"{used / total:.1%}", *(f"{n / 1e9:,.0f}" for n in sizes)]


def tensor_bytes(model) -> int:
    """Bytes of the weights that a model really holds, tied ones once."""
    return sum(t.numel() * t.element_size() for t in model.parameters())


def route(logits: torch.Tensor, k: int) -> torch.Tensor:
    """(tokens, experts) router logits -> the weight of each expert, 0 for all but the k likeliest; rows sum to 1.

    Softmax over the experts, the k largest kept and divided by their sum (Mixtral, A. Jiang and others, 2024)."""
    probabilities = logits.float().softmax(-1)
    best = probabilities.topk(k, dim=-1)
    weights = torch.zeros_like(probabilities).scatter(-1, best.indices, best.values)
    return weights / weights.sum(-1, keepdim=True)


def expert(block, number: int, x: torch.Tensor) -> torch.Tensor:
    """One expert of a Mixtral layer, a gated feed-forward network: (tokens, hidden) -> (tokens, hidden)."""
    gate, up = (x @ block.experts.gate_up_proj[number].T).chunk(2, dim=-1)
    return (functional.silu(gate) * up) @ block.experts.down_proj[number].T


@torch.no_grad()
def moe_layer(block, x: torch.Tensor, k: int, route: Callable = route) -> torch.Tensor:
    """The mixture-of-experts part of a Mixtral layer by hand: (B, L, hidden) -> (B, L, hidden).

    `block` holds the weights (model.model.layers[i].mlp); `route` may be someone else's."""
    flat = x.flatten(0, 1)  # (tokens, hidden)
    weights = route(flat @ block.gate.weight.T, k)  # (tokens, experts)
    mixed = torch.zeros_like(flat)
    for number in range(weights.shape[1]):
        sent = weights[:, number] > 0  # the tokens of this expert; the others never meet its weights
        mixed[sent] += weights[sent, number, None] * expert(block, number, flat[sent])
    return mixed.view_as(x)


@torch.no_grad()
def inputs_of(model, ids: torch.Tensor) -> list[torch.Tensor]:
    """What the feed-forward part of each layer gets for ids (B, L): a (B, L, hidden) tensor a layer."""
    seen: list[torch.Tensor] = []
    layers = model.model.layers
    hooks = [layer.mlp.register_forward_pre_hook(lambda _, given: seen.append(given[0])) for layer in layers]
    try:
        model(input_ids=ids, use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


@contextmanager
def choosing(model, k: int | None):
    """Let each router choose k experts meanwhile; None changes nothing. ValueError for a k that the model has not."""
    if k is None:
        yield model
        return
    experts = getattr(model.config, "num_local_experts", None)
    if not experts or not 1 <= k <= experts:
        raise ValueError(
            f"k is {k}, but must lie between 1 and the number of experts ({experts or 'none: a dense model'})."
        )
    before, routers = model.config.num_experts_per_tok, [layer.mlp.gate for layer in model.model.layers]
    try:
        for router in routers:
            router.top_k = k
        model.config.num_experts_per_tok = k
        yield model
    finally:
        for router in routers:
            router.top_k = before
        model.config.num_experts_per_tok = before


def encode(tokenizer, text: str) -> list[int]:
    """Token ids of a document's beginning: the id that parts documents stands in front where there is one."""
    first = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [*first, *tokenizer.encode(text, add_special_tokens=False)]


@torch.no_grad()
def bits_per_byte(model, tokenizer, texts: Iterable[str]) -> float:
    """Mean bits that a model needs for a byte of the texts, each read from its beginning; lower is better."""
    nats, size = 0.0, 0
    for text in texts:
        ids = torch.tensor([encode(tokenizer, text)], device=model.device)  # (B, L)
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1].float()
        nats += functional.cross_entropy(logits, ids[0, 1:], reduction="sum").item()
        size += len(text.encode("utf-8"))
    return nats / math.log(2) / size


def card(name: str) -> tuple[float | None, str]:
    """(bits per byte on all held-out documents, how it was trained) of an embedded model by its training record; (None, "–")
    for other models."""
    if name not in embedded_names():
        return None, "–"
    told = json.loads((embedded_path(name) / "training.json").read_text(encoding="utf-8"))
    start = told["shape"].get("start")
    after = f"{start}, and " if start else ""
    return told["bits_per_byte"]["all"], f"{after}{told['tokens_seen'] / 1e6:.1f} million tokens"


@dataclass(frozen=True)
class Routes:
    """Where tokens went: `pieces` (their text), `classes` (one of CLASSES) and `kinds` (of text), one a token, and
    `probabilities` (layers, tokens, experts) of the routers; `k` experts are chosen."""

    pieces: list[str]
    classes: list[str]
    kinds: list[str]
    probabilities: torch.Tensor
    k: int

    @property
    def chosen(self) -> torch.Tensor:
        """(layers, tokens, experts), 1 where a token is sent to an expert."""
        best = self.probabilities.topk(self.k, dim=-1).indices
        return torch.zeros_like(self.probabilities).scatter(-1, best, 1.0)

    def load(self, only: Sequence[int] | None = None) -> torch.Tensor:
        """(layers, experts): the share of the routed tokens that each expert gets, rows sum to 1; of the tokens at the
        places `only`, or of all."""
        counts = (self.chosen if only is None else self.chosen[:, list(only)]).sum(1)
        return counts / counts.sum(-1, keepdim=True)


@torch.no_grad()
def routes(model, tokenizer, texts: Mapping[str, str]) -> Routes:
    """Send texts, by kind, through a model with experts and note where each token goes; the opening mark is left out."""
    pieces, classes, kinds, parts = [], [], [], []
    for kind, text in texts.items():
        ids = encode(tokenizer, text)
        given = torch.tensor([ids], device=model.device)
        logits = model(input_ids=given, use_cache=False, output_router_logits=True).router_logits
        skip = len(ids) - len(tokenizer.encode(text, add_special_tokens=False))
        parts.append(torch.stack([layer.float().softmax(-1).cpu() for layer in logits])[:, skip:])
        found = [tokenizer.decode([i]) for i in ids[skip:]]
        pieces += found
        classes += [token_class(piece, kind) for piece in found]
        kinds += [kind] * len(found)
    return Routes(pieces, classes, kinds, torch.cat(parts, dim=1), model.config.num_experts_per_tok)


def token_class(piece: str, kind: str = "") -> str:
    """What a token is, by its own text (and, for words, whether the text is code): one of CLASSES."""
    bare = piece.strip()
    if not bare:
        return "blanks"
    if bare.isdigit():
        return "digits"
    if not any(c.isalnum() for c in bare):
        return "punctuation"
    if kind == "code":
        return "words of code"
    return "names" if bare in texts.NAMES else "other words"


def evenness(load: torch.Tensor) -> torch.Tensor:
    """(layers, experts) shares -> (layers,): their entropy over its largest value, 1 when all experts get as much."""
    return -(load * load.clamp_min(1e-12).log()).sum(-1) / math.log(load.shape[-1])


def shift(load: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """(layers,): the share of routed tokens that would have to change experts to turn one load into the other."""
    return 0.5 * (load - other).abs().sum(-1)


def same_experts(found: Routes, pairs: int = 4000, seed: int = 0) -> dict[str, list[float]]:
    """Experts that two tokens have in common, as a share of the k, layer by layer, for three kinds of pairs: "same kind" and
    "other kind" are two occurrences of one token in one kind of text or in two, "random" any two tokens."""
    rng, places = random.Random(seed), {}
    for at, (piece, kind) in enumerate(zip(found.pieces, found.kinds, strict=True)):
        places.setdefault(piece, {}).setdefault(kind, []).append(at)
    twice = [where for by_kind in places.values() for where in by_kind.values() if len(where) > 1]
    across = [list(by_kind.values()) for by_kind in places.values() if len(by_kind) > 1]
    drawn = {
        "same kind": [rng.sample(rng.choice(twice), 2) for _ in range(pairs)],
        "other kind": [[rng.choice(where) for where in rng.sample(rng.choice(across), 2)] for _ in range(pairs)],
        "random": [rng.sample(range(len(found.pieces)), 2) for _ in range(pairs)],
    }
    chosen = found.chosen

    def common(picked):
        first, second = torch.tensor(picked).T
        return ((chosen[:, first] * chosen[:, second]).sum(-1).mean(-1) / found.k).tolist()

    return {name: common(picked) for name, picked in drawn.items()}


def preferences(found: Routes) -> list[tuple[str, int, float, float, list[int]]]:
    """(name, tokens, shift, shift by chance, two favourites in layer 0) of each class of tokens and each kind of text.

    The shift, a mean over the layers, is how far its load lies from that of all tokens; by chance: as many tokens drawn."""
    whole, rows = found.load(), []
    groups = [(name, found.classes) for name in CLASSES] + [(name, found.kinds) for name in dict.fromkeys(found.kinds)]
    for name, labels in groups:
        places = [at for at, label in enumerate(labels) if label == name]
        own, chance = found.load(places), found.load(drawn(found, len(places)))
        shifts = [shift(load, whole).mean().item() for load in (own, chance)]
        rows.append((name, len(places), *shifts, own[0].topk(2).indices.tolist()))
    return rows


def drawn(found: Routes, tokens: int, seed: int = 0) -> list[int]:
    """Places of so many tokens, drawn at random: what chance alone does to a load."""
    return random.Random(seed).sample(range(len(found.pieces)), tokens)


def regulars(found: Routes, layer: int, expert: int, share: float = 0.9, most: int = 6) -> str:
    """Tokens that stand at least three times and nearly always (`share`) go to this expert, with their counts, in words."""
    everywhere = Counter(found.pieces)
    here = Counter(p for p, sent in zip(found.pieces, found.chosen[layer, :, expert].tolist(), strict=True) if sent)
    kept = [(p, n) for p, n in here.most_common() if everywhere[p] >= 3 and n >= share * everywhere[p]]
    return ", ".join(f"`{p.replace(' ', '␣').replace(chr(10), '⏎')}` ({n})" for p, n in kept[:most]) or "none"


def touched(found: Routes, tokens: int, draws: int = 60, seed: int = 0) -> float:
    """Different experts of a layer that a step over `tokens` tokens of different texts uses: mean over the layers and over
    draws of tokens from `found`."""
    chosen = found.chosen  # (layers, tokens, experts)
    generator = torch.Generator().manual_seed(seed)
    total = 0.0
    for _ in range(draws):
        picked = torch.randint(chosen.shape[1], (tokens,), generator=generator)
        total += chosen[:, picked].amax(1).sum(-1).mean().item()
    return total / draws


@contextmanager
def one_thread():
    """One thread for torch meanwhile: in matrices this small a second one waits more than it works, and times differ less."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest(actions: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Seconds of each action, the best of `rounds`, taken in turn on one thread after a warm-up: other work only adds."""
    best = dict.fromkeys(actions, math.inf)
    with torch.no_grad(), one_thread():
        for action in actions.values():
            action()
        for _ in range(rounds):
            for name, action in actions.items():
                started = time.perf_counter()
                action()
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                best[name] = min(best[name], time.perf_counter() - started)
    return best


def time_passes(models: Mapping[str, tuple], length: int, rounds: int = 5) -> dict[str, float]:
    """Seconds of one pass over `length` tokens (B = 1) of each model, given as (model, experts a token or None)."""

    def read(model, k):
        with choosing(model, k):
            return model(torch.arange(6, 6 + length, device=model.device)[None], use_cache=False)

    return fastest({name: partial(read, *given) for name, given in models.items()}, rounds)


def wide_block(kind: str, hidden: int = 384, width: int = 384, experts: int = 16, per_token: int = 2, seed: int = 0):
    """A feed-forward part of transformers with random weights, to be timed: speed does not depend on the values.

    `kind`, one of BLOCKS: "experts", or a dense one as large as the active or as all of them."""
    from transformers import LlamaConfig, MixtralConfig
    from transformers.models.llama.modeling_llama import LlamaMLP
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    if kind == "experts":
        chosen = dict(num_local_experts=experts, num_experts_per_tok=per_token)
        config = MixtralConfig(hidden_size=hidden, intermediate_size=width, **chosen)
        config._experts_implementation = "grouped_mm"
        block = MixtralSparseMoeBlock(config)
    else:
        times = {"dense, equal active": per_token, "dense, equal total": experts}[kind]
        block = LlamaMLP(LlamaConfig(hidden_size=hidden, intermediate_size=width * times))
    generator = torch.Generator().manual_seed(seed)
    for weight in block.parameters():
        torch.nn.init.normal_(weight, 0, 0.02, generator=generator)
    return block.eval()


def time_blocks(tokens: Sequence[int], rounds: int = 15, **shape) -> dict[str, tuple[int, list[float]]]:
    """{kind: (bytes held, seconds of a step over each number of tokens)}, the best of `rounds`. One block is there at a time,
    so that memory stays small. `shape`: see `wide_block`."""
    found = {}
    for kind in BLOCKS:
        block = wide_block(kind, **shape)
        hidden = shape.get("hidden", 384)
        inputs = {n: torch.randn(1, n, hidden, generator=torch.Generator().manual_seed(n)) for n in tokens}
        steps = {n: partial(block, x) for n, x in inputs.items()}
        found[kind] = tensor_bytes(block), list(fastest(steps, rounds).values())
    return found
