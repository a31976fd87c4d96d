"""Checks of the capstone task vram_budget: weights, cache, one GPU's share, and the table of what fits where.

The stated rules of the page: GB = 1e9 bytes; a card of N GiB holds N x 2**30 bytes; every GPU pays the whole overhead;
a configuration fits when one GPU's total is at most its card."""

from __future__ import annotations

from ..calc import memory
from ..facts import catalog
from .core import CheckFailed, check_for, expect, property_of

TOKENS, OVERHEAD = 8192, 1.5
CONFIGS = [
    {"name": "A", "gpus": 1, "vram_gib": 24},
    {"name": "B", "gpus": 2, "vram_gib": 32},
    {"name": "C", "gpus": 1, "vram_gib": 80},
]
# Model of the task, its rounded size in billions, bits a weight.
TASK = [("yi-coder-9b", 9, 16), ("qwen2.5-coder-32b", 32, 4), ("llama-3.3-70b", 70, 4)]


def round_models() -> list[dict]:
    """The task's three models with weights from rounded sizes: billions x bits / 8, in GB."""
    return [_entry(name, billions * bits / 8) for name, billions, bits in TASK]


def exact_models() -> list[dict]:
    """The same with weights of the exact architecture: 16 bits, or a group-128 4-bit file with 16-bit embeddings."""
    entries = []
    for name, _, bits in TASK:
        m = catalog.model(name)
        if bits == 16:
            size = memory.weight_bytes(m.total_params_exact, 16)
        else:
            size = memory.awq_weight_bytes(m.total_params_exact, m.embedding_params_exact, m.tied_embeddings)
        entries.append(_entry(name, size / 1e9))
    return entries


def reference_table(models: list[dict], configs: list[dict], tokens: int = TOKENS) -> list[dict]:
    """The rows that `budget_table` must give: {"model", "config", "per_gpu_gb", "fits"}, models outermost."""
    rows = []
    for m in models:
        for c in configs:
            total = _per_gpu(m["weights_gb"], m["layers"], m["kv_heads"], m["head_dim"], tokens, c["gpus"], OVERHEAD)
            fits = total * 1e9 <= memory.card_bytes(c["vram_gib"])
            rows.append({"model": m["name"], "config": c["name"], "per_gpu_gb": total, "fits": fits})
    return rows


@check_for(
    "l16_vram_e1",
    title="Gigabytes of weights",
    minutes=5,
    hints=[
        "Each weight takes `bits` bits, and 8 bits are one byte.",
        "Billions of parameters x bits / 8 is already GB: 1e9 parameters of one byte are 1 GB.",
    ],
)
def check_weights(answer, rng):
    """The task's round sizes, and a random one."""
    for billions, bits in ((9, 16), (32, 4), (70, 4), (rng.randint(2, 400), 8)):
        _compare_weights(answer, billions, bits)


@property_of("l16_vram_e1", "random sizes and formats")
def weights_any(answer, rng):
    """Ten of them."""
    for _ in range(10):
        _compare_weights(answer, rng.randint(1, 700), rng.choice([3, 4, 6, 8, 16, 32]))


@property_of("l16_vram_e1", "sizes that are no whole number of billions")
def weights_fractional(answer, rng):
    """0.5 and 1.7 billions."""
    for billions in (0.5, 1.7, 32.764):
        _compare_weights(answer, billions, 16)


@property_of("l16_vram_e1", "fewer bits are never bigger")
def weights_monotone(answer, rng):
    """Monotony in bits."""
    billions = rng.randint(2, 90)
    sizes = [answer(billions, bits) for bits in (3, 4, 8, 16, 32)]
    if sizes != sorted(sizes) or sizes[0] == sizes[-1]:
        raise CheckFailed("Sizes must grow with the bits 3, 4, 8, 16, 32.", expected="rising sizes", got=sizes)


@check_for(
    "l16_vram_e2",
    title="Gigabytes of cache",
    minutes=5,
    hints=[
        "Lesson 05: two tensors a layer, each with K x S x D values.",
        "2 x layers x K x D x tokens x bytes a value gives bytes; GB is 1e9 bytes.",
    ],
)
def check_cache(answer, rng):
    """The task's three models at 8,192 tokens."""
    for name, *_ in TASK:
        m = catalog.model(name)
        _compare_cache(answer, m.layers, m.attention_heads, m.kv_heads, m.head_dim, TOKENS, 2)
    _compare_cache(answer, 40, 32, 8, 64, rng.randint(1000, 90_000), 4)


@property_of("l16_vram_e2", "random shapes")
def cache_any(answer, rng):
    """Ten of them."""
    for _ in range(10):
        kv_heads = rng.choice([1, 2, 4, 8])
        shape = rng.randint(8, 96), kv_heads * rng.choice([3, 5]), kv_heads, rng.choice([64, 96, 128])
        _compare_cache(answer, *shape, rng.randint(1, 200_000), rng.choice([1, 4]))


@property_of("l16_vram_e2", "twice the tokens need twice the cache")
def cache_linear(answer, rng):
    """Linearity."""
    shape, tokens = (rng.randint(8, 96), rng.choice([2, 8]), 128), rng.randint(100, 50_000)
    expect(answer(*shape, 2 * tokens, 2), 2 * answer(*shape, tokens, 2), "Doubling the tokens must double the GB.")
    _compare_cache(answer, shape[0], 32, *shape[1:], tokens, 2)


@property_of("l16_vram_e2", "an 8-bit cache is half a 16-bit one")
def cache_format(answer, rng):
    """Bytes a value count."""
    shape = rng.randint(8, 96), rng.choice([2, 8]), 128, rng.randint(100, 50_000)
    expect(answer(*shape, 2), 2 * answer(*shape, 1), "Two bytes a value take twice what one byte takes.")
    _compare_cache(answer, shape[0], 32, *shape[1:], 2)


@check_for(
    "l16_vram_e3",
    title="What one GPU holds",
    minutes=10,
    hints=[
        "Tensor parallelism deals out the weights: each of tp GPUs holds 1 / tp of them.",
        "Key-value heads are dealt out whole. With more GPUs than heads, each GPU keeps a copy of one head: max(1, K // tp).",
        "The overhead (context, buffers) is paid by every GPU: add it whole, do not divide it.",
    ],
)
def check_per_gpu(answer, rng):
    """One GPU, two, and more GPUs than key-value heads."""
    m = catalog.model("llama-3.3-70b")
    for tp in (1, 2, 4):
        _compare_per_gpu(answer, 35.0, m.layers, m.kv_heads, m.head_dim, TOKENS, tp, OVERHEAD)
    _compare_per_gpu(answer, 40.0, 60, 2, 128, 100_000, 8, 1.0)


@property_of("l16_vram_e3", "random configurations")
def per_gpu_any(answer, rng):
    """Ten of them."""
    for _ in range(10):
        _compare_per_gpu(answer, *_random_load(rng))


@property_of("l16_vram_e3", "the GPUs together hold all weights and the whole cache, plus an overhead each")
def per_gpu_conserves(answer, rng):
    """With tp dividing the key-value heads, shares add up."""
    weights, layers, _, head_dim, tokens, _, overhead = _random_load(rng)
    for tp in (2, 4, 8):
        one = answer(weights, layers, 8, head_dim, tokens, 1, overhead) - overhead
        share = answer(weights, layers, 8, head_dim, tokens, tp, overhead) - overhead
        expect(tp * share, one, f"{tp} shares must add up to the whole.", rel=1e-9)


@property_of("l16_vram_e3", "more GPUs than key-value heads: a head is copied, never split")
def per_gpu_replicates(answer, rng):
    """tp above K."""
    weights, layers, _, head_dim, tokens, _, overhead = _random_load(rng)
    for tp in (4, 8):
        _compare_per_gpu(answer, weights, layers, 2, head_dim, tokens, tp, overhead)


@check_for(
    "l16_vram_e4",
    title="The table of what fits",
    minutes=15,
    hints=[
        "Two loops: for each model, for each configuration. A configuration with n GPUs runs with tp = n.",
        "Use your per_gpu_gb. The cache has 2 bytes a value, and the overhead is 1.5 GB.",
        "fits compares bytes with bytes: per_gpu_gb * 1e9 <= vram_gib * 2**30.",
    ],
)
def check_table(answer, rng):
    """The task's nine cells, by rounded weights."""
    _compare_table(answer, round_models(), CONFIGS)


@property_of("l16_vram_e4", "the nine cells by exact architecture")
def table_exact(answer, rng):
    """Real group-128 files and exact parameters."""
    _compare_table(answer, exact_models(), CONFIGS)


@property_of("l16_vram_e4", "models and machines that the task did not name")
def table_other(answer, rng):
    """Four models of the fact base on random machines."""
    plain = [m for m in catalog.models() if m.attention == "gqa" and m.kv_heads in (2, 4, 8) and m.total_params_b < 130]
    models = [_entry(m.id, m.total_params_b / 2) for m in rng.sample(plain, 4)]
    configs = [{"name": f"R{i}", "gpus": rng.choice([1, 2, 4]), "vram_gib": rng.choice([8, 16, 48])} for i in range(3)]
    _compare_table(answer, models, configs)


@property_of("l16_vram_e4", "a card that is just large enough, and one that is just too small")
def table_edge(answer, rng):
    """Weights chosen so that GB and GiB disagree."""
    base = _entry("qwen2.5-coder-32b", 0.0)
    for weights, gpus, card in ((21.0, 1, 24), (29.0, 1, 32), (22.2, 1, 24), (50.0, 2, 16)):
        _compare_table(answer, [{**base, "weights_gb": weights}], [{"name": "edge", "gpus": gpus, "vram_gib": card}])


def _entry(name: str, weights_gb: float) -> dict:
    m = catalog.model(name)
    return {
        "name": m.name,
        "weights_gb": weights_gb,
        "layers": m.layers,
        "kv_heads": m.kv_heads,
        "head_dim": m.head_dim,
    }


def _random_load(rng) -> tuple:
    tp = rng.choice([1, 2, 4, 8])
    shape = rng.randint(16, 96), rng.choice([2, 4, 8]), rng.choice([64, 128])
    return (float(rng.randint(8, 200)), *shape, rng.randint(1000, 120_000), tp, rng.choice([0.5, 1.0, 1.5, 2.0]))


def _cache(layers, kv_heads, head_dim, tokens, bytes_per_value=2) -> float:
    shape = dict(layers=layers, kv_heads=kv_heads, head_dim=head_dim, tokens=tokens)
    return memory.kv_cache_bytes(**shape, bytes_per_value=bytes_per_value) / 1e9


def _per_gpu(weights, layers, kv_heads, head_dim, tokens, tp, overhead) -> float:
    return weights / tp + _cache(layers, memory.kv_heads_per_gpu(kv_heads, tp), head_dim, tokens) + overhead


def _compare_weights(answer, billions, bits) -> None:
    want = billions * bits / 8
    mistakes = [
        (want * 8, "bits were not turned into bytes: divide by 8"),
        (want * 1e9, "that is in bytes: the answer is in GB"),
        (want * 1e9 / 2**30, "that is in GiB: this task counts weights in GB (1e9 bytes)"),
        (billions * 2.0, "that is 16 bits whatever `bits` says"),
        (billions / bits * 8, "the size grows with the bits: multiply by them"),
        (billions * (bits // 8), "4 bits are half a byte: do not round bytes down"),
    ]
    expect(answer(billions, bits), want, f"{billions} billion weights at {bits} bits.", mistakes=mistakes)


def _compare_cache(answer, layers, heads, kv_heads, head_dim, tokens, bytes_per_value) -> None:
    want = _cache(layers, kv_heads, head_dim, tokens, bytes_per_value)
    mistakes = [
        (want / 2, "that counts K or V alone: the cache holds both"),
        (want * heads / kv_heads, "that counts query heads: only key-value heads are kept"),
        (want * 1e9, "that is in bytes: the answer is in GB"),
        (want * 1e9 / 2**30, "that is in GiB: the answer is in GB (1e9 bytes)"),
        (want / layers, "that is one layer: every layer keeps a cache"),
        (want / bytes_per_value, "that counts values: multiply by the bytes of one"),
        (want / kv_heads, "that is one key-value head: multiply by their number"),
        (_cache(layers, kv_heads, head_dim, tokens, 2), "that is 2 bytes a value whatever `bytes_per_value` says"),
    ]
    where = f"{layers} layers, {kv_heads} key-value heads of {head_dim}, {tokens:,} tokens, {bytes_per_value} bytes a value."
    expect(answer(layers, kv_heads, head_dim, tokens, bytes_per_value), want, where, mistakes=mistakes)


def _compare_per_gpu(answer, weights, layers, kv_heads, head_dim, tokens, tp, overhead) -> None:
    want = _per_gpu(weights, layers, kv_heads, head_dim, tokens, tp, overhead)
    share, whole = want - overhead - weights / tp, _cache(layers, kv_heads, head_dim, tokens)
    mistakes = [
        (weights + whole + overhead, "that is the whole model: one of tp GPUs holds only its share"),
        (weights / tp + share + overhead / tp, "the overhead was divided: every GPU pays all of it"),
        (weights / tp + whole + overhead, "the cache was not dealt out: a GPU keeps its own key-value heads only"),
        (weights + share + overhead, "the weights were not dealt out: a GPU holds 1 / tp of them"),
        (
            weights / tp + whole / tp + overhead,
            "a key-value head was split: with tp above K each GPU keeps one whole head",
        ),
        (weights / tp + share, "the overhead is missing"),
        (weights / tp + overhead, "the cache is missing"),
    ]
    where = f"{weights} GB of weights, {kv_heads} key-value heads, {tokens:,} tokens, tp {tp}, overhead {overhead} GB."
    got = answer(weights, layers, kv_heads, head_dim, tokens, tp, overhead)
    expect(got, want, f"GB on one GPU: {where}", mistakes=mistakes)


def _compare_table(answer, models, configs) -> None:
    want = reference_table(models, configs)
    got = answer([dict(m) for m in models], [dict(c) for c in configs])
    if not isinstance(got, list) or len(got) != len(want) or not all(isinstance(row, dict) for row in got):
        count = len(got) if isinstance(got, list) else type(got).__name__
        raise CheckFailed(
            "The table needs one dict for each model and configuration.", expected=f"{len(want)} rows", got=count,
            reason="loop over all models and, inside, over all configurations",
        )  # fmt: skip
    for mine, row in zip(got, want, strict=True):
        if set(mine) != set(row):
            raise CheckFailed("A row has other keys.", expected=sorted(row), got=sorted(mine))
        name = f"{row['model']} on {row['config']}"
        if (mine["model"], mine["config"]) != (row["model"], row["config"]):
            raise CheckFailed(
                "Rows stand in another order.", expected=name, got=f"{mine['model']} on {mine['config']}",
                reason="models outermost, configurations inside, both as given",
            )  # fmt: skip
        m = next(m for m in models if m["name"] == row["model"])
        c = next(c for c in configs if c["name"] == row["config"])
        expect(mine["per_gpu_gb"], row["per_gpu_gb"], f"per_gpu_gb of {name}.", mistakes=_table_mistakes(m, c))
        if mine["fits"] is not row["fits"]:
            raise CheckFailed(f"fits of {name}.", expected=row["fits"], got=mine["fits"], reason=_why_fits(row, c))


def _table_mistakes(m: dict, c: dict) -> list:
    shape = m["layers"], m["kv_heads"], m["head_dim"], TOKENS
    one = _per_gpu(m["weights_gb"], *shape, 1, OVERHEAD)
    share = _per_gpu(m["weights_gb"], *shape, c["gpus"], 0.0)
    return [
        (one, "the model was not split: a configuration with n GPUs runs with tp = n"),
        (share, "the overhead of 1.5 GB is missing"),
        (share + OVERHEAD / c["gpus"], "the overhead was divided: every GPU pays all of it"),
        ((share + OVERHEAD) * c["gpus"], "that is the sum over all GPUs: the table has one GPU's total"),
    ]


def _why_fits(row: dict, config: dict) -> str | None:
    total = row["per_gpu_gb"]
    if config["vram_gib"] < total <= config["vram_gib"] * 2**30 / 1e9:
        return "GB was compared with GiB: a card of N GiB holds N x 2**30 bytes"
    if row["fits"]:
        return "one GPU's total is at most its card, so it fits"
    if total <= config["gpus"] * config["vram_gib"]:
        return "one GPU's total goes with one card: the cards' memory is not added up a second time"
    return "one GPU's total is more than its card"
