"""Memory of one GPU, part by part, for a model that is split over several.

Tensor parallelism (tp) cuts the matrices of every layer, pipeline parallelism (pp) cuts the list of layers; tp x pp GPUs
are used. A model is a record of the fact base or a mapping with the same fields (see `architecture.fields`)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from . import architecture
from . import cache as caches
from .breakdown import Breakdown, whole
from .formats import Format, weight_format
from .units import GB, GIB, positive
from .weights import sizes

CUDA_CONTEXT = 600_000_000  # an estimate: claim S09-069 gives 0.5-1 GB; measure yours with one empty process
CHUNK = 2048  # tokens of all prompts that one prefill step reads (max_num_batched_tokens of vLLM)
UTILIZATION = 0.9  # the share of a card that vLLM may use unless told (gpu_memory_utilization)
VOCABULARY = 64  # vLLM and SGLang pad the vocabulary to a multiple of it before they split it
POWERS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Vram:
    """`gpus`: a Breakdown for each GPU, stage by stage; `replicated`: bytes that GPUs hold beyond the first copy, by
    tensor; `padding`: bytes of vocabulary rows that were added to make it divide."""

    gpus: tuple[Breakdown, ...]
    stages: tuple[int, ...]
    replicated: dict[str, float]
    padding: float
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> Breakdown:
        """The GPU that needs most."""
        return max(self.gpus, key=lambda gpu: gpu.total)

    @property
    def total(self) -> float:
        """Bytes of all GPUs together."""
        return whole(sum(Fraction(gpu.total) for gpu in self.gpus))

    def fits(self, card_gib, utilization: float = UTILIZATION) -> bool:
        """Whether every GPU fits a card of so many GiB (a number or a record with vram_gb), of which the share
        `utilization` may be used."""
        return self.worst.total <= usable_bytes(card_gib, utilization)


@dataclass(frozen=True)
class Choice:
    """One way to run a model: `gpus` cards with tensor parallelism, what the fullest needs and may use, the price (None:
    the fact base has none) with its date, and `reason` in words, why it does not fit ("" when it does)."""

    card: str
    gpus: int
    fits: bool
    needs: float | None
    usable: float | None
    price_usd: float | None
    price_as_of: str | None
    reason: str = ""


def vram(
    model, tokens: int, batch: int = 1, format="bf16", cache_dtype="bf16", tp: int = 1, pp: int = 1, *,
    context: float = CUDA_CONTEXT, chunk: int = CHUNK, logits_rows: int | None = None, group: int | None = None,
    block: int = 1, activations: float | None = None,
) -> Vram:  # fmt: skip
    """Bytes on each of tp x pp GPUs, in parts weights, cache, activations, logits and cuda_context.

    Weights: each tensor as Megatron and vLLM cut it. Rows of the matrices into heads and feed-forward, columns of those
    back; key-value heads whole, copied when there are more GPUs than heads; norms, routers and latent down-projections
    on every GPU; vocabulary in rows, padded to a multiple of 64 when tp > 1. Layers by `stages`; embedding on the first
    stage (a tied one on the last too), output matrix on the last.
    Cache: `caches.cache` of the stage's layers (`cache_dtype`, `group` and `block` are its).
    Activations: `activation_bytes` of one prefill step of at most `chunk` tokens, or the number given.
    Logits: 32 bits x vocabulary x `logits_rows` (default: one for each sequence), whole on the last stage's GPUs.
    `context`: bytes of the CUDA context and its libraries on every GPU, an estimate.

    ValueError when a split does not divide the heads, widths or layers of this model."""
    return _Split(model, format, tp, pp).with_cache(
        tokens, batch, cache_dtype, context=context, chunk=chunk, logits_rows=logits_rows, group=group, block=block,
        activations=activations,
    )  # fmt: skip


def stages(layers: int, pp: int) -> tuple[int, ...]:
    """Layers of each pipeline stage as vLLM cuts them: equal shares; what is left over goes to the stages before the
    last, counted from the back, so that the first and last, which hold the vocabulary, get it last of all.
    Source: vllm/distributed/utils.py, get_pp_indices (pull request 13839, 2025)."""
    positive("layers", layers)
    positive("pp", pp)
    if pp > layers:
        raise ValueError(f"pp is {pp}, but the model has only {layers} layers to cut: choose {layers} or less.")
    left = layers % pp
    return tuple(layers // pp + (pp - 1 - left <= i < pp - 1) for i in range(pp))


def activation_bytes(model, tokens: int, tp: int = 1) -> int:
    """16-bit values that live at once in the largest layer while `tokens` tokens pass it: residual and normed input
    (2 x hidden), and the wider of attention (queries, keys, values, output of the GPU's heads) and feed-forward
    (gate, up, product; for routed experts those of the experts a token uses, with its copies).

    The count of live tensors is an estimate for kernels that never store the attention matrix; engines measure the
    peak with a trial run. Source: the shapes of the layers' tensors."""
    positive("tokens", tokens, zero=True)
    get = architecture.fields(model)
    used = get("moe_experts_per_token") or 1
    widths: dict[str, Fraction] = {}
    for tensor in architecture.tensors(model):
        if tensor.layers is None or tensor.role in ("bias", "norm", "conv", "state", "sinks", "router"):
            continue
        share = 1 if tensor.split == "copy" else _share(model, tensor, tp)
        wide = tensor.rows * (used if tensor.part == "experts" else 1)
        if tensor.role in ("gate", "up", "gate_up"):  # what is multiplied comes out as wide as one of the two
            product = wide if tensor.role in ("up", "gate_up") else 0
            wide += product // 2 if tensor.role == "gate_up" else product
        elif tensor.split == "columns":
            wide, share = (tensor.cols, share) if tensor.part in ("attention", "linear_attention") else (wide, 1)
        widths[tensor.part] = widths.get(tensor.part, Fraction(0)) + wide * share
    hidden = positive("hidden_size", get("hidden_size"))
    mixers = [widths.get(part, 0) for part in ("attention", "linear_attention")]
    mixtures = widths.get("experts", Fraction(0)) + widths.get("shared_experts", 0)
    return int(2 * tokens * (2 * hidden + max(*mixers, widths.get("mlp", 0), mixtures)))


def largest_context(
    model, card_gib, batch: int = 1, format="bf16", cache_dtype="bf16", tp: int = 1, pp: int = 1, *,
    utilization: float = UTILIZATION, **options,
) -> int:  # fmt: skip
    """The most tokens for each of `batch` sequences that tp x pp cards of `card_gib` GiB hold; 0 when not even the
    weights fit. Memory only: the model may be trained for less. `options` as for `vram`. ValueError when the cache
    stops growing, so that memory sets no bound."""
    split, room = _Split(model, format, tp, pp), usable_bytes(card_gib, utilization)
    if not {"full", "latent"} & set(split.shape.kinds):
        raise ValueError("The cache of this model stops growing once its windows are full: memory bounds no context.")
    return _most(lambda n: split.with_cache(n, batch, cache_dtype, **options).worst.total <= room, 1)


def largest_batch(
    model, card_gib, tokens: int, format="bf16", cache_dtype="bf16", tp: int = 1, pp: int = 1, *,
    utilization: float = UTILIZATION, **options,
) -> int:  # fmt: skip
    """The most sequences of `tokens` tokens at once; 0 when not even one fits. `options` as for `vram`."""
    positive("tokens", tokens)
    split, room = _Split(model, format, tp, pp), usable_bytes(card_gib, utilization)
    return _most(lambda n: split.with_cache(tokens, n, cache_dtype, **options).worst.total <= room, 1)


def cheapest(
    model, cards: Iterable, tokens: int, batch: int = 1, format="bf16", cache_dtype="bf16", *,
    utilization: float = UTILIZATION, most_gpus: int = 8, **options,
) -> list[Choice]:  # fmt: skip
    """For each card (records with name, vram_gb and, where known, price_usd, price_as_of, gpus) the fewest of 1, 2, 4,
    8 that fit, ranked: fitting ones by price, then those without a price, then those that do not fit, with the reason.

    Servers and racks (`gpus` in them) are bought whole and split over as many of their GPUs as needed. Machines with
    unified memory (Apple) are one card. Prices are what the fact base has, at their dates; hosts are not counted."""
    form = weight_format(format)
    splits: dict[int, _Split | ValueError] = {}
    found = []
    for card in cards:
        get = architecture.fields(card)
        found.append(_choice(model, form, get, tokens, batch, cache_dtype, utilization, most_gpus, splits, options))
    return sorted(found, key=lambda c: (not c.fits, c.price_usd is None, c.price_usd or 0, c.gpus))


def estimator(parameters: float, bits: float, factor: float = 1.1, extra: float = 2e9) -> Breakdown:
    """The source lesson's rule of thumb: parameters x bits / 8 x factor + extra bytes (claim S06-008: 19.60 GB)."""
    positive("parameters", parameters, whole=False)
    positive("bits", bits, whole=False)
    positive("extra", extra, whole=False, zero=True)
    if not positive("factor", factor, whole=False) >= 1:
        raise ValueError(f"factor is {factor!r}, but must be 1 or more: it adds overhead to the weights.")
    size = Fraction(parameters) * Fraction(bits) / 8
    over = size * (Fraction(str(factor)) - 1)
    return Breakdown({"weights": whole(size), "overhead": whole(over), "extra": whole(Fraction(extra))})


def usable_bytes(card_gib, utilization: float = UTILIZATION) -> float:
    """Bytes of a card that may be used: GiB x 2**30 x utilization. `card_gib`: a number, or a record with vram_gb."""
    size = card_gib if isinstance(card_gib, (int, float)) else architecture.fields(card_gib)("vram_gb")
    if not 0 < positive("utilization", utilization, whole=False) <= 1:
        raise ValueError(f"utilization is {utilization!r}, but must be above 0 and at most 1: a share of the card.")
    return whole(Fraction(positive("GiB of the card", size, whole=False)) * GIB * Fraction(str(utilization)))


class _Split:
    """The weights of a model cut for tp x pp GPUs, once; `with_cache` adds what depends on the text."""

    def __init__(self, model, format, tp: int, pp: int):
        positive("tp", tp)
        self.model, self.tp, self.pp = model, tp, pp
        self.get, self.shape = architecture.fields(model), caches.attention(model)
        form: Format = weight_format(format)
        layers = stages(len(self.shape.kinds), pp)
        starts = [sum(layers[:i]) for i in range(pp)]
        self.ranges = [range(start, start + n) for start, n in zip(starts, layers, strict=True)]
        stage_of = [i for i, n in enumerate(layers) for _ in range(n)]
        self.weights, self.replicated, self.padding = [Fraction(0)] * pp, {}, Fraction(0)
        _check_heads(self.get, tp)
        tied = not any(tensor.part == "output" for tensor in architecture.tensors(model))
        for tensor, layer, size in sizes(model, form):
            if tp > 1:
                _check(tensor, form, tp)
            padded = self._padding(tensor, size)
            one = (size + padded) * _share(model, tensor, tp)
            for stage in self._stages(tensor, layer, stage_of, tied):
                self.weights[stage] += one
                self.padding += padded
                self._count(tensor, one * tp - size - padded)
            if tied and tensor.role == "embedding" and pp > 1:
                self._count(tensor, size)

    def _stages(self, tensor, layer, stage_of, tied) -> list[int]:
        if layer is not None:
            return [stage_of[layer]]
        if tensor.part == "embedding":
            return [0, self.pp - 1] if tied and tensor.role == "embedding" and self.pp > 1 else [0]
        return [self.pp - 1]

    def _padding(self, tensor, size: Fraction) -> Fraction:
        if self.tp == 1 or tensor.role not in ("embedding", "output"):
            return Fraction(0)
        rows = -(-tensor.rows // VOCABULARY) * VOCABULARY
        if rows % self.tp:
            raise ValueError(f"tp is {self.tp}, but must divide the padded vocabulary of {rows:,}.")
        return size * (rows - tensor.rows) / tensor.rows

    def _count(self, tensor, extra: Fraction) -> None:
        if extra:
            self.replicated[tensor.name] = self.replicated.get(tensor.name, 0) + extra

    def with_cache(
        self, tokens, batch=1, cache_dtype="bf16", *, context=CUDA_CONTEXT, chunk=CHUNK, logits_rows=None, group=None,
        block=1, activations=None,
    ) -> Vram:  # fmt: skip
        positive("chunk", chunk)
        positive("context", context, whole=False, zero=True)
        rows = batch if logits_rows is None else positive("logits_rows", logits_rows, zero=True)
        options = dict(group=group, block=block, tp=self.tp)
        kept = [
            caches.attention_cache(self.shape, tokens, batch, cache_dtype, layers=r, **options) for r in self.ranges
        ]
        live = activations
        if live is None:
            live = activation_bytes(self.model, min(chunk, max(tokens, 1) * batch), self.tp)
        logits = 4 * self.get("vocab_size") * rows
        gpus = [
            Breakdown(
                {
                    "weights": whole(self.weights[stage]),
                    "cache": kept[stage].total,
                    "activations": positive("activations", live, whole=False, zero=True),
                    "logits": logits if stage == self.pp - 1 else 0,
                    "cuda_context": context,
                }
            )
            for stage in range(self.pp)
            for _ in range(self.tp)
        ]
        notes = tuple(dict.fromkeys(note for one in kept for note in one.notes))
        counts = tuple(len(r) for r in self.ranges)
        replicated = {name: whole(extra) for name, extra in self.replicated.items()}
        return Vram(tuple(gpus), counts, replicated, whole(self.padding), notes)


def _share(model, tensor, tp: int) -> Fraction:
    """The share of a tensor that each of `tp` GPUs holds (all hold the same share)."""
    if tp == 1 or tensor.split == "copy":
        return Fraction(1)
    if tensor.split in ("rows", "columns"):
        return Fraction(1, tp)
    kv_heads = architecture.fields(model)("kv_heads")
    kept = Fraction(max(1, kv_heads // tp), kv_heads)
    if tensor.split == "kv_rows":
        return kept
    heads = architecture.fields(model)("attention_heads")  # qkv_rows: the heads of all three in one matrix
    return (heads * Fraction(1, tp) + 2 * kv_heads * kept) / (heads + 2 * kv_heads)


def _check_heads(get, tp: int) -> None:
    heads, kv_heads = get("attention_heads"), get("kv_heads")
    if heads % tp:
        raise ValueError(f"tp is {tp}, but must divide the {heads} attention heads.")
    if not get("mla_kv_lora_rank") and max(kv_heads, tp) % min(kv_heads, tp):
        raise ValueError(f"tp is {tp} and there are {kv_heads} key-value heads, but one must divide the other.")


def _check(tensor, form: Format, tp: int) -> None:
    """ValueError when a matrix does not come apart in `tp` pieces."""
    size = {"rows": tensor.rows, "columns": tensor.cols}.get(tensor.split)
    if size is None or tensor.role in ("embedding", "output", "position"):
        return
    if size % tp:
        raise ValueError(f"tp is {tp}, but must divide the {size:,} {tensor.split} of {tensor.name}.")
    packed = form.group and form.packed(tensor.part, tensor.role, tensor.rows, tensor.cols)
    if packed and tensor.split == "columns" and size % form.group == 0 and (size // tp) % form.group:
        raise ValueError(
            f"tp is {tp}, which cuts the {size:,} columns of {tensor.name} into {size // tp:,}, no whole groups of "
            f"{form.group}: {form.name} files need a smaller tp or smaller groups."
        )


def _most(fits, start: int) -> int:
    """The largest n of start, start + 1, ... that fits, when fitting only ever ends; 0 when `start` does not."""
    if not fits(start):
        return 0
    low, high = start, 2 * start
    while fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _choice(model, form, get, tokens, batch, cache_dtype, utilization, most_gpus, splits, options) -> Choice:
    name, inside = str(get("name") or get("id")), get("gpus") or 1
    price, date = get("price_usd"), get("price_as_of")
    size = get("vram_gb")
    if not size:
        return Choice(name, 0, False, None, None, price, date, "its memory size is not in the fact base")
    unified = str(get("memory_type") or "").startswith("unified")
    room = usable_bytes(size / inside, utilization)
    limit = 1 if unified else inside if inside > 1 else most_gpus
    needs = reason = None
    tried = [tp for tp in POWERS if tp <= limit]
    for tp in tried:
        if tp not in splits:
            try:
                splits[tp] = _Split(model, form, tp, 1)
            except ValueError as error:
                splits[tp] = error
        if isinstance(splits[tp], ValueError):
            reason = reason or str(splits[tp])
            continue
        need = splits[tp].with_cache(tokens, batch, cache_dtype, **options).worst.total
        needs, reason = need, f"{tp} x {need / GB:.1f} GB needed, {room / GB:.1f} GB usable on each"
        if need <= room:
            bought = 1 if inside > 1 or unified else tp
            return Choice(name, tp, True, need, room, price * bought if price else None, date)
    return Choice(name, tried[-1], False, needs, room, price, date, reason)
