"""How fast a model can answer on a GPU: the source lesson's estimator, and ceilings from FLOPs, bytes and links.

Small functions take plain numbers in FLOP/s, bytes/s and seconds; `roofline` takes a model and a card. A result is a
ceiling that no engine passes; the efficiency factors (1 by default) bring it down to what engines reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from . import architecture, weights
from . import cache as kv
from .breakdown import Breakdown
from .cost import share
from .memory import card_bytes
from .units import GB, positive

# Shares of the peak that others report. Bandwidth: the correction that NVIDIA's aiconfigurator applies to the memory
# rate of its cards (systems/*.yaml at 095f58a51c4c, 2026-08-21; its authors call it unofficial). Compute: the best
# published share in prefill, Pope et al. 2022 (arXiv 2211.05102), PaLM 540B on TPU v4, large batches. Measure your own.
PUBLISHED_BANDWIDTH_EFFICIENCY = 0.8
PUBLISHED_COMPUTE_EFFICIENCY = 0.76

# Above this batch the search for the ridge stops: no engine schedules a million sequences in a step.
BATCH_LIMIT = 2**20


@dataclass(frozen=True)
class Estimate:
    """What the source lesson's estimator prints: answers wait behind no prompt and share the rate equally."""

    tokens_per_s: float
    requests_per_s: float
    seconds_per_answer: float


@dataclass(frozen=True)
class Card:
    """A GPU in base units: FLOP/s (dense), bytes/s of memory, bytes/s of the link in one direction, bytes of memory."""

    peak_flops: float
    bandwidth: float
    link: float | None = None
    memory: float | None = None


@dataclass(frozen=True)
class Step:
    """One pass of the model on each of the GPUs: its work, and the seconds of each limit on it.

    Compute and memory work overlap, so that the slower one counts; the link waits for both."""

    flops: float
    moved: Breakdown
    compute_s: float
    memory_s: float
    link_s: float

    @property
    def seconds(self) -> float:
        """max(compute, memory) + link."""
        return max(self.compute_s, self.memory_s) + self.link_s

    @property
    def bound(self) -> str:
        """The limit that takes the most time: "compute", "memory" or "link"."""
        limits = {"memory": self.memory_s, "compute": self.compute_s, "link": self.link_s}
        return max(limits, key=limits.get)

    def as_dict(self) -> dict:
        """Plain data for JSON: what each GPU computes and moves, and the seconds."""
        limits = {"compute_s": self.compute_s, "memory_s": self.memory_s, "link_s": self.link_s}
        moved = self.moved.as_dict()
        return {"seconds": self.seconds, "bound": self.bound, **limits, "flops": self.flops, "moved": moved}


@dataclass(frozen=True)
class Roofline:
    """Ceilings of `batch` requests of `prompt` and `answer` tokens that run together on `tp` GPUs."""

    prefill: Step
    decode: Step
    prompt: int
    answer: int
    batch: int
    tp: int
    ridge_batch: int | None
    resident: Breakdown
    fits: bool | None

    @property
    def prefill_s(self) -> float:
        """Seconds to read the prompts of the whole batch: the time to the first token."""
        return self.prefill.seconds

    @property
    def decode_s_per_token(self) -> float:
        """Seconds of one decode step, which gives every sequence one token; at the middle of the answer."""
        return self.decode.seconds

    @property
    def tokens_per_s_per_user(self) -> float:
        """Answer tokens a second that one user sees."""
        return 1 / self.decode.seconds

    @property
    def tokens_per_s(self) -> float:
        """Answer tokens a second of all users together, while decoding."""
        return self.batch / self.decode.seconds

    @property
    def seconds_per_answer(self) -> float:
        """Prefill (which gives the first token) and a decode step for each further token."""
        return self.prefill_s + (self.answer - 1) * self.decode_s_per_token

    @property
    def requests_per_s(self) -> float:
        """Answers a second when each batch starts as the one before it ends."""
        return self.batch / self.seconds_per_answer

    @property
    def bound(self) -> str:
        """What limits decoding: "memory", "compute" or "link"."""
        return self.decode.bound

    @property
    def ceilings(self) -> dict[str, float]:
        """Tokens a second that each limit alone would allow while decoding."""
        limits = {"memory": self.decode.memory_s, "compute": self.decode.compute_s, "link": self.decode.link_s}
        return {name: self.batch / seconds for name, seconds in limits.items() if seconds}

    def as_dict(self) -> dict:
        """Plain data for JSON."""
        names = ("prefill_s", "decode_s_per_token", "seconds_per_answer", "tokens_per_s_per_user", "tokens_per_s")
        settings = {"prompt": self.prompt, "answer": self.answer, "batch": self.batch, "tp": self.tp}
        results = {name: getattr(self, name) for name in (*names, "requests_per_s", "bound", "ceilings", "ridge_batch")}
        steps = {"prefill": self.prefill.as_dict(), "decode": self.decode.as_dict()}
        return {**settings, **results, **steps, "resident_per_gpu": self.resident.as_dict(), "fits": self.fits}


def estimator(
    base_tokens_per_s: float, tp: int = 1, efficiency: float = 0.85, answer_tokens: int = 500, users: int = 1
) -> Estimate:
    """The source lesson's estimator: tokens a second = base x GPUs x efficiency, requests a second = that / answer tokens,
    seconds an answer = answer tokens x users / that (claims S07-016 to S07-018).

    It knows no prompt, no batch and no memory, and a second GPU never doubles a rate: `roofline` says what it hides."""
    positive("base_tokens_per_s", base_tokens_per_s, whole=False)
    positive("tp", tp)
    positive("answer_tokens", answer_tokens)
    positive("users", users)
    rate = base_tokens_per_s * tp * share("efficiency", efficiency)
    return Estimate(rate, rate / answer_tokens, answer_tokens * users / rate)


def attainable(flops_per_byte: float, peak_flops: float, bandwidth: float) -> float:
    """FLOP/s that a kernel can reach: min(peak, FLOPs per byte x bytes/s). Source: Williams et al. 2009, the roofline."""
    positive("flops_per_byte", flops_per_byte, whole=False, zero=True)
    peak = positive("peak_flops", peak_flops, whole=False)
    return min(peak, flops_per_byte * positive("bandwidth", bandwidth, whole=False))


def ridge(peak_flops: float, bandwidth: float) -> float:
    """FLOPs per byte from which compute is the limit: peak / bandwidth."""
    return positive("peak_flops", peak_flops, whole=False) / positive("bandwidth", bandwidth, whole=False)


def prefill_seconds(flops: float, peak_flops: float, efficiency: float = 1.0) -> float:
    """Seconds to compute `flops`: FLOPs / (peak x efficiency)."""
    positive("flops", flops, whole=False, zero=True)
    return flops / (positive("peak_flops", peak_flops, whole=False) * share("efficiency", efficiency))


def decode_seconds(
    weight_bytes: float,
    cache_bytes: float,
    bandwidth: float,
    *,
    flops: float = 0,
    peak_flops: float | None = None,
    efficiency: float = 1.0,
    compute_efficiency: float = 1.0,
) -> float:
    """Seconds of one decode step: (weights + caches of all sequences) / (bandwidth x efficiency), or the FLOPs over the
    peak when those take longer (only looked at when `peak_flops` is given)."""
    positive("weight_bytes", weight_bytes, whole=False)
    positive("cache_bytes", cache_bytes, whole=False, zero=True)
    rate = positive("bandwidth", bandwidth, whole=False) * share("efficiency", efficiency)
    reading = (weight_bytes + cache_bytes) / rate
    return reading if peak_flops is None else max(reading, prefill_seconds(flops, peak_flops, compute_efficiency))


def all_reduce_seconds(message_bytes: float, ranks: int, link: float, latency_s: float = 0.0) -> float:
    """Seconds of a ring all-reduce: 2 (n - 1) / n x bytes / link + 2 (n - 1) x latency, and 0 for one rank.

    `link` is bytes/s in one direction. Source: Patarasuk and Yuan 2009, the bandwidth-optimal ring."""
    positive("message_bytes", message_bytes, whole=False, zero=True)
    positive("latency_s", latency_s, whole=False, zero=True)
    steps = 2 * (positive("ranks", ranks) - 1)
    return steps / ranks * message_bytes / positive("link", link, whole=False) + steps * latency_s


def expected_experts(experts: int, per_token: int, tokens: int) -> float:
    """Different experts of a layer that `tokens` tokens use, on average: E (1 - (1 - k/E)^B), when the router picks evenly.

    Real routers pick less evenly and touch fewer; `tokens` counts all tokens of a step."""
    positive("experts", experts)
    positive("tokens", tokens, zero=True)
    if positive("per_token", per_token) > experts:
        raise ValueError(f"per_token is {per_token}, but the layer has only {experts} experts.")
    return experts * (1 - (1 - per_token / experts) ** tokens)


def pairs(queries: int, cached: int = 0, window: int | None = None) -> int:
    """Query-key pairs of one head under a causal mask: `queries` new tokens after `cached` ones, each seeing itself and
    all before it, or at most the last `window` tokens."""
    positive("queries", queries)
    positive("cached", cached, zero=True)
    if window is None or window >= queries + cached:
        return queries * cached + queries * (queries + 1) // 2
    positive("window", window)
    growing = max(0, min(queries, window - cached))  # tokens that still see everything
    return growing * cached + growing * (growing + 1) // 2 + (queries - growing) * window


def attention_flops(layers: int, heads: int, head_dim: int, queries: int, cached: int = 0, window=None) -> int:
    """FLOPs of the scores and the weighted sum: 4 x layers x H x D x pairs (2 for a multiply-add, twice)."""
    for name, value in dict(layers=layers, heads=heads, head_dim=head_dim).items():
        positive(name, value)
    return 4 * layers * heads * head_dim * pairs(queries, cached, window)


def flops(model, queries: int, cached: int = 0, batch: int = 1) -> int:
    """FLOPs of one pass over `queries` new tokens of each of `batch` sequences after `cached` ones: 2 for each active
    weight and token, and attention. The embedding is looked up, and the output matrix is needed for the last token only."""
    return positive("batch", batch) * _Model(model).flops(queries, cached)


def touched_weights(model, tokens: int, format: str = "bf16") -> Breakdown:
    """Bytes of weights that one step over `tokens` tokens (of all sequences together) reads: all of the dense parts, the
    expected experts, and of an untied embedding the rows of the tokens."""
    return _Model(model, format).touched(positive("tokens", tokens))


def card(gpu, format: str = "bf16") -> Card:
    """One GPU from a row of the gpus table (or a mapping with its fields: fp16_bf16_tensor_dense_tflops, bandwidth_gbs,
    and optionally vram_gb and interconnect); racks and servers count as one of their GPUs. A `Card` comes back as it is.

    Compute at the 16-bit rate, since engines unpack 4- and 8-bit weights to 16 bits; at the FP8 rate for "fp8" where the
    row has one. ValueError when the row has no rates."""
    if isinstance(gpu, Card):
        return gpu
    if isinstance(gpu, str):
        raise ValueError(f"{gpu!r} is a name: look it up first, with catalog.gpu({gpu!r}) of lessonlib.facts.")
    one, count = gpu.get("per_gpu") or {}, gpu.get("gpus") or 1

    def rate(name: str):
        whole = gpu.get(name)
        return one.get(name) or (whole and whole / count)

    tflops = (format == "fp8" and rate("fp8_dense_tflops")) or rate("fp16_bf16_tensor_dense_tflops")
    bandwidth, memory = rate("bandwidth_gbs"), one.get("usable_gib") or rate("vram_gb")
    if not tflops or not bandwidth:
        missing = "tensor rate" if bandwidth else "bandwidth"
        raise ValueError(f"{gpu.get('id', 'This card')} has no {missing} in the fact base; give plain numbers.")
    link = _link_gbs(gpu.get("interconnect") or {})
    return Card(tflops * 1e12, bandwidth * GB, link and link * GB, memory and card_bytes(memory))


def roofline(
    model,
    gpu,
    *,
    tokens: int = 1024,
    answer: int = 1,
    batch: int = 1,
    format: str = "bf16",
    cache_dtype: str = "bf16",
    tp: int = 1,
    bandwidth_efficiency: float = 1.0,
    compute_efficiency: float = 1.0,
    link_gbs: float | None = None,
    link_latency_s: float = 0.0,
) -> Roofline:
    """Ceilings of `batch` requests with a prompt of `tokens` and an answer of `answer` tokens on `tp` of these cards.

    Prefill: FLOPs over peak, or bytes over bandwidth. Decode: the weights that the batch touches and all caches over
    bandwidth, or FLOPs over peak, at the middle of the answer. With tensor parallelism each GPU does an equal share and
    waits for two all-reduces a layer (hidden size x tokens x 2 bytes; the link of the card, or `link_gbs` in one
    direction). Whether it fits counts weights and cache only: `vram.vram` has the rest."""
    positive("tokens", tokens)
    positive("answer", answer)
    positive("batch", batch)
    own, one = card(gpu, format), _Model(model, format)
    if link_gbs is not None:
        own = Card(own.peak_flops, own.bandwidth, positive("link_gbs", link_gbs, whole=False) * GB, own.memory)
    _check_tp(one.get, tp, own.link)
    peak = own.peak_flops * share("compute_efficiency", compute_efficiency)
    bandwidth = own.bandwidth * share("bandwidth_efficiency", bandwidth_efficiency)

    def step(queries: int, cached: int, sequences: int) -> Step:
        work = sequences * one.flops(queries, cached) / tp
        read = one.touched(queries * sequences).total / tp
        moved = Breakdown({"weights": read, "cache": one.cache_moved(queries, cached, sequences, cache_dtype, tp)})
        sync = 0.0
        if tp > 1:
            message = queries * sequences * one.get("hidden_size") * 2
            sync = one.all_reduces * all_reduce_seconds(message, tp, own.link, link_latency_s)
        return Step(work, moved, work / peak, moved.total / bandwidth, sync)

    middle = tokens + answer // 2
    kept = kv.attention_cache(one.shape, tokens + answer, batch, cache_dtype, tp=tp).total
    resident = Breakdown({"weights": sum(one.weights.values()) / tp, "cache": kept})
    return Roofline(
        prefill=step(tokens, 0, batch),
        decode=step(1, middle, batch),
        prompt=tokens,
        answer=answer,
        batch=batch,
        tp=tp,
        ridge_batch=_ridge_batch(lambda sequences: step(1, middle, sequences)),
        resident=resident,
        fits=None if own.memory is None else resident.total <= own.memory,
    )


class _Model:
    """What a step needs of a model, summed up once: weights by part, active weights, shape of the attention."""

    def __init__(self, model, format: str = "bf16"):
        self.get = architecture.fields(model)
        self.weights = dict(weights.weights(model, format))
        self.shape = kv.attention(model)
        counts = architecture.parts(model)
        self.head = self.get("vocab_size") * self.get("hidden_size")
        self.body = architecture.active_parameters(model) - counts["embedding"] - counts["output"]
        self.tied = not counts["output"]
        # a layer is attention and MLP, with a sum after each, or (Nemotron) one of the two
        self.all_reduces = self.get("layers") * (1 if self.get("layer_pattern") else 2)

    def flops(self, queries: int, cached: int) -> int:
        return 2 * self.body * queries + 2 * self.head + _attention(self.get, queries, cached)

    def touched(self, tokens: int) -> Breakdown:
        read = dict(self.weights)
        if self.get("moe_experts"):
            used = expected_experts(self.get("moe_experts"), self.get("moe_experts_per_token"), tokens)
            read["experts"] *= used / self.get("moe_experts")
        if not self.tied:
            read["embedding"] *= min(1, tokens / self.get("vocab_size"))
        return Breakdown(read)

    def cache_moved(self, queries: int, cached: int, batch: int, dtype: str, tp: int) -> float:
        parts = dict(kv.attention_cache(self.shape, cached + queries, batch, dtype, tp=tp))
        top = self.get("sparse_index_topk")
        if top and queries == 1 and "latent" in parts:  # the index picks which latents are read
            parts["latent"] *= min(1, top / (cached + queries))
        return sum(parts.values())


def _attention(get: Callable, queries: int, cached: int) -> int:
    """FLOPs of attention in all layers of one sequence; linear layers and Mamba read and write a state of fixed size."""
    heads, layers = get("attention_heads"), get("layers")
    if get("mla_kv_lora_rank"):
        # one new token attends to the latents themselves; a prompt unpacks them to heads first (its weights are counted)
        rank, rope = get("mla_kv_lora_rank"), get("mla_qk_rope_head_dim")
        expanded = get("mla_qk_nope_head_dim", 0) + rope + get("mla_v_head_dim", 0)
        width = 2 * rank + rope if queries == 1 else expanded
        total = 2 * layers * heads * width * pairs(queries, cached, get("sparse_index_topk"))
        if get("sparse_index_topk"):
            total += 2 * layers * get("sparse_index_heads") * get("sparse_index_head_dim") * pairs(queries, cached)
        return total
    linear, mamba, local = (get(f"{kind}_layers", 0) or 0 for kind in ("linear_attention", "mamba", "window"))
    every = get("full_attention_layers")
    every = layers - linear - mamba - local if every is None else every
    total = attention_flops(every, heads, get("head_dim"), queries, cached) if every else 0
    if local:
        total += attention_flops(local, heads, get("head_dim"), queries, cached, get("attention_window"))
    if linear:  # forget and read, write, read for the query: 3 multiply-adds for each value of the state
        total += 6 * linear * get("linear_value_heads") * get("linear_head_dim") ** 2 * queries
    if mamba:
        total += 6 * mamba * get("mamba_heads") * get("mamba_head_dim") * get("mamba_state_size") * queries
    return total


def _check_tp(get: Callable, tp: int, link: float | None) -> None:
    positive("tp", tp)
    if get("attention_heads") % tp:
        raise ValueError(f"tp is {tp}, but must divide the {get('attention_heads')} query heads.")
    if tp > 1 and not link:
        raise ValueError("This card has no link in the fact base; give link_gbs, GB/s in one direction.")


def _link_gbs(interconnect: Mapping) -> float | None:
    """GB/s of the fastest link in one direction; NVLink and Infinity Fabric are listed with both together."""
    for name in ("nvlink_gbs_bidirectional", "nvlink_gbs_bidirectional_per_gpu", "infinity_fabric_gbs"):
        if interconnect.get(name):
            return interconnect[name] / 2
    return interconnect.get("pcie_gbs_per_direction")


def _ridge_batch(step: Callable[[int], Step]) -> int | None:
    """The largest batch that memory still limits: bytes for each sequence fall as a batch grows, FLOPs do not. 0 when
    compute limits even one sequence, None when the caches keep memory the limit for ever."""

    def memory_bound(batch: int) -> bool:
        one = step(batch)
        return one.memory_s >= one.compute_s

    low, high = 0, 1
    while memory_bound(high):
        low, high = high, high * 2
        if high > BATCH_LIMIT:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if memory_bound(middle) else (low, middle)
    return low
