"""Checks of the capstone task vram_budget: weights, cache, one GPU's share, and the table of what fits where.

The rules and the reference stand in `lessonlib.labs.vram_budget`. A number that is wrong by a factor fails every property
that states a number; a mistake that touches one case only costs that case's share of the points."""

from __future__ import annotations

from ..calc import memory
from ..facts import catalog
from ..labs import vram_budget as lab
from . import vram_budget_offers  # noqa: F401 (registers the last exercise)
from .core import CheckFailed, check_for, expect, expect_all, property_of, same


@check_for(
    "l16_vram_e1",
    title="Gigabytes of weights",
    minutes=8,
    hints=[
        "Begin without groups: each weight takes `bits` bits, 8 bits are one byte, 1e9 bytes are one GB.",
        "With groups, a weight costs a little more than `bits`: its share of the 16 + 4 bits that its group adds.",
        "Two sorts of parameters: kept_16bit of them at 16 bits, and parameters - kept_16bit at bits + 20 / group.",
    ],
)
def check_weights(answer, rng):
    """Rounded sizes without groups, then the two group-128 files of the task."""
    for billions, bits in ((9, 16), (32, 4), (70, 4), (rng.randint(2, 400), 8)):
        _compare_weights(answer, billions * 10**9, bits)
    for m in lab.exact_models()[1:]:
        _compare_weights(answer, m["parameters"], m["bits"], m["kept_16bit"], m["group"])


@property_of("l16_vram_e1", "plain files of random sizes and formats")
def weights_plain(answer, rng):
    """Ten of them, small ones too."""
    for _ in range(10):
        _compare_weights(answer, rng.randint(10**8, 7 * 10**11), rng.choice([3, 4, 6, 8, 16, 32]))


@property_of("l16_vram_e1", "files in groups of other sizes")
def weights_grouped(answer, rng):
    """Groups of 32 to 256, with and without parameters that keep 16 bits."""
    for _ in range(10):
        parameters = rng.randint(10**9, 2 * 10**11)
        kept = rng.choice([0, rng.randint(10**7, parameters // 4)])
        _compare_weights(answer, parameters, rng.choice([2, 3, 4, 8]), kept, rng.choice([32, 64, 128, 256]))


@property_of("l16_vram_e1", "fewer bits are never bigger, larger groups are smaller")
def weights_monotone(answer, rng):
    """Monotony in bits and in the group."""
    parameters = rng.randint(2, 90) * 10**9
    for what, sizes in (
        (
            "Sizes must grow with the bits 3, 4, 8, 16.",
            [answer(parameters, bits, 10**8, None) for bits in (3, 4, 8, 16)],
        ),
        (
            "Sizes must grow as groups shrink: 256, 128, 64, 32.",
            [answer(parameters, 4, 0, g) for g in (256, 128, 64, 32)],
        ),
    ):
        if not all(a < b for a, b in zip(sizes, sizes[1:], strict=False)):
            raise CheckFailed(what, expected="rising sizes", got=sizes)


@check_for(
    "l16_vram_e2",
    title="Gigabytes of cache",
    minutes=5,
    hints=[
        "Lesson 05: two tensors a layer, each with K x S x D values.",
        "K is the number of key-value heads: the query heads are not kept.",
        "2 x layers x K x D x tokens x bytes a value gives bytes; GB is 1e9 bytes.",
    ],
)
def check_cache(answer, rng):
    """The task's three models at 8,192 tokens, then another shape in 4 bytes a value."""
    asked = [(m, lab.TOKENS, 2) for m in lab.exact_models()]
    asked.append((_shape(40, 32, 8, 64), rng.randint(1000, 90_000), 4))
    expect_all([_cache_row(answer, *a) for a in asked])


@property_of("l16_vram_e2", "random shapes")
def cache_any(answer, rng):
    """Ten of them."""
    for _ in range(10):
        expect_all([_cache_row(answer, _random_shape(rng), rng.randint(1, 200_000), rng.choice([1, 4]))])


@property_of("l16_vram_e2", "twice the tokens need twice the cache")
def cache_linear(answer, rng):
    """Linearity, and the right slope."""
    m, tokens = _random_shape(rng), rng.randint(100, 50_000)
    expect(answer(dict(m), 2 * tokens, 2), 2 * answer(dict(m), tokens, 2), "Doubling the tokens must double the GB.")
    expect_all([_cache_row(answer, m, tokens, 2)])


@property_of("l16_vram_e2", "an 8-bit cache is half a 16-bit one")
def cache_format(answer, rng):
    """Bytes a value count."""
    m, tokens = _random_shape(rng), rng.randint(100, 50_000)
    half, whole = answer(dict(m), tokens, 1), answer(dict(m), tokens, 2)
    expect(whole, 2 * half, "Two bytes a value take twice what one byte takes.")
    expect_all([_cache_row(answer, m, tokens, 2)])


@check_for(
    "l16_vram_e3",
    title="What one GPU holds",
    minutes=8,
    hints=[
        "Tensor parallelism deals out the weights: each of tp GPUs holds 1 / tp of them.",
        "Key-value heads are dealt out whole. Up to K GPUs share the cache; beyond that, GPUs keep copies of a head.",
        "So the cache is divided by min(tp, kv_heads), and the overhead is added whole: every GPU pays it.",
    ],
)
def check_share(answer, rng):
    """The round sums of the source lesson, alone and on two GPUs, then more GPUs than key-value heads."""
    for weights, cache, kv_heads in ((18, 0.5, 4), (16, 1.3, 8), (35, 2.8, 8)):
        for tp in (1, 2, 4):
            _compare_share(answer, weights, cache, kv_heads, tp, lab.OVERHEAD)
    _compare_share(answer, 40.0, 12.0, 2, 8, 1.0)


@property_of("l16_vram_e3", "random configurations")
def share_any(answer, rng):
    """The exact three models, then ten random loads."""
    for m in lab.exact_models():
        weights = lab.weights_gb(m["parameters"], m["bits"], m["kept_16bit"], m["group"])
        _compare_share(answer, weights, lab.cache_gb(m, lab.TOKENS), m["kv_heads"], 2, lab.OVERHEAD)
    for _ in range(10):
        weights, cache, overhead = _random_load(rng)
        _compare_share(answer, weights, cache, rng.choice([2, 4, 8]), rng.choice([1, 2, 4, 8, 16]), overhead)


@property_of("l16_vram_e3", "the GPUs together hold all weights, the whole cache, and an overhead each")
def share_conserves(answer, rng):
    """With tp dividing the key-value heads, shares add up."""
    weights, cache, overhead = _random_load(rng)
    for tp in (1, 2, 4, 8):
        together, whole = tp * answer(weights, cache, 8, tp, overhead), weights + cache + tp * overhead
        what = (
            f"{tp} GPUs together: {weights} GB of weights, {cache} GB of cache, {tp} times {overhead} GB of overhead."
        )
        expect(together, whole, what)


@property_of("l16_vram_e3", "more GPUs than key-value heads: a head is copied, never split")
def share_copies(answer, rng):
    """tp above K."""
    weights, cache, overhead = _random_load(rng)
    for kv_heads, tp in ((1, 2), (1, 8), (2, 4), (2, 8), (4, 16)):
        _compare_share(answer, weights, cache, kv_heads, tp, overhead)


@check_for(
    "l16_vram_e4",
    title="The table of what fits",
    minutes=15,
    hints=[
        "Two loops: for each model, for each configuration. A configuration with n GPUs runs with tp = n.",
        "Use your three functions. The cache has 2 bytes a value, and the overhead is 1.5 GB.",
        "fits compares bytes with bytes: per_gpu_gb * 1e9 <= vram_gib * 2**30.",
    ],
)
def check_table(answer, rng):
    """The task's nine cells by rounded sizes, a model that keeps most of its weights idle, and two close calls."""
    _compare_table(answer, lab.round_models(), lab.CONFIGS)
    mixture = lab.record(lab.MIXTURE, 4)
    _compare_table(answer, [mixture], lab.CONFIGS[:1])
    _compare_table(answer, *_filling(mixture, 1, 24, rng.uniform(0.95, 0.98)))
    _compare_table(answer, *_filling(mixture, 2, 32, rng.uniform(1.2, 1.6)))


@property_of("l16_vram_e4", "the nine cells by exact architecture")
def table_exact(answer, rng):
    """Group-128 files and exact parameters."""
    _compare_table(answer, lab.exact_models(), lab.CONFIGS)


@property_of("l16_vram_e4", "models, machines and contexts that the task did not name")
def table_other(answer, rng):
    """Four models of the fact base on random machines."""
    few_heads = {**_unseen(rng)[0], "name": "a model with two key-value heads", "kv_heads": 2}
    _compare_table(answer, [*_unseen(rng), few_heads], _machines(rng), rng.randint(1000, 30_000))


@property_of("l16_vram_e4", "cards that are just large enough, and just too small")
def table_edge(answer, rng):
    """Weights chosen so that a card's GB and GiB disagree, on both sides of the line."""
    base = _unseen(rng)[0]
    for gpus, card in ((1, 24), (1, 32), (2, 16), (4, 48)):
        for filled in (rng.uniform(0.94, 0.99), rng.uniform(1.01, 1.05)):
            _compare_table(answer, *_filling(base, gpus, card, filled))


@property_of("l16_vram_e4", "each verdict follows from the number beside it")
def table_verdicts(answer, rng):
    """Judged by the learner's own numbers, so that a wrong helper function does not cost these points too."""
    models = _unseen(rng)
    extremes = [{"name": f"V{n}", "gpus": rng.choice([1, 2]), "vram_gib": n} for n in (1, 4000)]
    numbers = [_judge(row, extremes[i % 2]) for i, row in enumerate(_rows(answer, models, extremes, lab.TOKENS))]
    for number in numbers:
        if not 2**30 < number * 1e9 <= 4000 * 2**30:
            raise CheckFailed(
                "One GPU's total for a model of some billions of weights.", expected="1 to 4,000", got=number
            )
    near = [{**extremes[0], "name": f"N{s}", "vram_gib": numbers[0] / s} for s in (0.9, 1.03, 1.05, 1.09)]
    for row, config in zip(_rows(answer, models[:1], near, lab.TOKENS), near, strict=True):
        _judge(row, config)


def _shape(layers: int, attention_heads: int, kv_heads: int, head_dim: int) -> dict:
    sizes = {"layers": layers, "attention_heads": attention_heads, "kv_heads": kv_heads, "head_dim": head_dim}
    return {"name": "a model", "bits": 16, **lab.alike(10**9), **sizes}


def _random_shape(rng) -> dict:
    kv_heads = rng.choice([1, 2, 4, 8])
    return _shape(rng.randint(8, 96), kv_heads * rng.choice([3, 5]), kv_heads, rng.choice([64, 96, 128]))


def _random_load(rng) -> tuple[float, float, float]:
    return rng.randint(40, 2000) / 10, rng.randint(5, 400) / 10, rng.choice([0.5, 1.0, 1.5, 2.0])


def _unseen(rng) -> list[dict]:
    """Four models of the fact base that the task does not name; one has idle experts."""
    rows = [m for m in catalog.models(own=False) if m.attention == "gqa" and m.get("embedding_params_exact")]
    rows = [m for m in rows if m.kv_heads in (2, 4, 8) and 1 < m.total_params_b < 130]
    rows = [m for m in rows if m.id not in [name for name, *_ in lab.TASK]]
    mixed = [m for m in rows if m.get("moe_experts")]
    dense = [m for m in rows if not m.get("moe_experts")]
    return [lab.record(m.id, rng.choice([4, 8, 16])) for m in [*rng.sample(dense, 3), rng.choice(mixed)]]


def _filling(base: dict, gpus: int, card: int, share: float) -> tuple[list[dict], list[dict]]:
    """A model shaped like `base` that fills this `share` of each card, and its machine."""
    cache = lab.cache_gb(base, lab.TOKENS) / min(gpus, base["kv_heads"])
    weights = (share * memory.card_bytes(card) / 1e9 - lab.OVERHEAD - cache) * gpus
    model = {**base, "name": "a model of that size", "bits": 8, **lab.alike(round(weights * 1e9))}
    return [model], [{"name": "edge", "gpus": gpus, "vram_gib": card}]


def _machines(rng) -> list[dict]:
    return [{"name": f"R{i}", "gpus": n, "vram_gib": rng.choice([8, 16, 24, 48])} for i, n in enumerate((1, 2, 4, 8))]


def _compare_weights(answer, parameters, bits, kept=0, group=None) -> None:
    want, extra = lab.weights_gb(parameters, bits, kept, group), memory.GROUP_BITS / group if group else 0
    rest, billion_bits = parameters - kept, 8e9
    mistakes = [
        (want * 8, "bits were not turned into bytes: divide by 8"),
        (want * 1e9, "that is in bytes: the answer is in GB"),
        (want * 1e9 / 2**30, "that is in GiB: this task counts weights in GB (1e9 bytes)"),
        (parameters * bits / billion_bits, "that is flat: groups add 20 bits each, and some parameters keep 16 bits"),
        (parameters * (bits + extra) / billion_bits, "kept_16bit parameters were quantized too: they have 16 bits"),
        ((rest * bits + kept * 16) / billion_bits, "the groups' scales and zero points are missing: 20 bits a group"),
        (
            (parameters * (bits + extra) + kept * 16) / billion_bits,
            "kept_16bit were counted twice: subtract them first",
        ),
        (rest * (bits + extra) / billion_bits, "the kept_16bit parameters are missing: they are in the file too"),
        ((rest * bits + parameters * extra + kept * 16) / billion_bits, "kept_16bit parameters have no groups"),
        (parameters * 2 / 1e9, "that is 16 bits whatever `bits` says"),
        (parameters / bits * 8 / 1e9, "the size grows with the bits: multiply by them"),
        (parameters * (bits // 8) / 1e9, "4 bits are half a byte: do not round bytes down"),
    ]
    if group:
        scale_only = (rest * (bits + 16 / group) + kept * 16) / billion_bits
        mistakes.append((scale_only, "the zero points are missing: a group adds 16 bits of scale and 4 of zero point"))
    where = f"GB of {parameters:,} weights at {bits} bits"
    where += f", groups of {group}, {kept:,} of them kept at 16 bits." if group else "."
    got = answer(parameters, bits, kept, group) if group else answer(parameters, bits)
    expect(got, want, where, mistakes=mistakes)


def _cache_row(answer, m, tokens, bytes_per_value) -> tuple:
    """One call of the learner's function, for `expect_all`."""
    want, kv_heads = lab.cache_gb(m, tokens, bytes_per_value), m["kv_heads"]
    mistakes = [
        (want / 2, "that counts K or V alone: the cache holds both"),
        (want * m["attention_heads"] / kv_heads, "that counts query heads: only key-value heads are kept"),
        (want * 1e9, "that is in bytes: the answer is in GB"),
        (want * 1e9 / 2**30, "that is in GiB: the answer is in GB (1e9 bytes)"),
        (want / m["layers"], "that is one layer: every layer keeps a cache"),
        (want / bytes_per_value, "that counts values: multiply by the bytes of one"),
        (want / kv_heads, "that is one key-value head: multiply by their number"),
        (lab.cache_gb(m, tokens, 2), "that is 2 bytes a value whatever `bytes_per_value` says"),
    ]
    where = f"GB for {m['layers']} layers, {kv_heads} key-value heads of {m['head_dim']}, {tokens:,} tokens, "
    where += f"{bytes_per_value} bytes a value."
    given = (tokens,) if bytes_per_value == 2 else (tokens, bytes_per_value)  # 2 is what the page says to assume
    return where, answer(dict(m), *given), want, mistakes


def _compare_share(answer, weights, cache, kv_heads, tp, overhead) -> None:
    share = cache / min(tp, kv_heads)
    want = weights / tp + share + overhead
    mistakes = [
        (weights + cache + overhead, "that is the whole model: one of tp GPUs holds only its share"),
        (weights / tp + share + overhead / tp, "the overhead was divided: every GPU pays all of it"),
        ((weights + cache + overhead) / tp, "everything was divided: every GPU pays the whole overhead"),
        (weights / tp + cache + overhead, "the cache was not dealt out: a GPU keeps its own key-value heads only"),
        (weights + share + overhead, "the weights were not dealt out: a GPU holds 1 / tp of them"),
        (
            weights / tp + cache / tp + overhead,
            "a key-value head was split: with tp above K each GPU keeps a whole one",
        ),
        (weights / tp + cache / kv_heads + overhead, "that is one key-value head a GPU: with tp below K it holds more"),
        (weights / tp + share, "the overhead is missing"),
        (weights / tp + overhead, "the cache is missing"),
        (want * tp, "that is the sum over all GPUs: the answer is one GPU's"),
    ]
    where = (
        f"{weights} GB of weights, {cache} GB of cache, {kv_heads} key-value heads, tp {tp}, overhead {overhead} GB."
    )
    expect(answer(weights, cache, kv_heads, tp, overhead), want, f"GB on one GPU: {where}", mistakes=mistakes)


def _rows(answer, models, configs, tokens) -> list[dict]:
    """The learner's rows, after a look at their number, keys and order."""
    given = () if tokens == lab.TOKENS else (tokens,)  # 8,192 is what the page says to assume
    got = answer([dict(m) for m in models], [dict(c) for c in configs], *given)
    names = [(m["name"], c["name"]) for m in models for c in configs]
    keys = ["model", "config", "per_gpu_gb", "fits"]
    if not isinstance(got, list) or len(got) != len(names) or not all(isinstance(row, dict) for row in got):
        count = f"{len(got)} rows" if isinstance(got, list) else type(got).__name__
        asked = f"{len(names)} row{'s' if len(names) > 1 else ''}"
        raise CheckFailed(
            "The table needs one dict for each model and configuration.", expected=asked, got=count,
            reason="loop over all models and, inside, over all configurations",
        )  # fmt: skip
    for row, (model, config) in zip(got, names, strict=True):
        if set(row) != set(keys):
            raise CheckFailed("A row needs these keys and no others.", expected=keys, got=list(row))
        if (row["model"], row["config"]) != (model, config):
            raise CheckFailed(
                "Rows stand in another order.", expected=f"{model} on {config}", got=f"{row['model']} on {row['config']}",
                reason="models outermost, configurations inside, both as given",
            )  # fmt: skip
    return got


def _judge(row: dict, config: dict) -> float:
    """The number of a row, after a look at the verdict that stands beside it."""
    number = row["per_gpu_gb"]
    if not same(number, number):  # NaN, text, a bool
        raise CheckFailed("per_gpu_gb must be a number.", expected="a number of GB", got=number)
    number = float(number)
    fits = number * 1e9 <= config["vram_gib"] * 2**30
    if not same(row["fits"], fits):
        reason = _why({"per_gpu_gb": number, "fits": fits}, config, row["fits"])
        what = f"fits of {number:.2f} GB on a card of {config['vram_gib']:.2f} GiB."
        raise CheckFailed(what, expected=fits, got=row["fits"], reason=reason)
    return number


def _compare_table(answer, models, configs, tokens=lab.TOKENS) -> None:
    want = lab.reference_table(models, configs, tokens)
    pairs = [(m, c) for m in models for c in configs]
    for mine, row, (m, c) in zip(_rows(answer, models, configs, tokens), want, pairs, strict=True):
        name = f"{row['model']} on {row['config']} ({c['gpus']} x {c['vram_gib']} GiB, {tokens:,} tokens)"
        unknown = "none of the usual slips: see whether exercises 1 to 3 pass, the table is made of their numbers"
        mistakes = [*_table_mistakes(m, c, tokens), (mine["per_gpu_gb"], unknown)]
        expect(mine["per_gpu_gb"], row["per_gpu_gb"], f"per_gpu_gb of {name}.", mistakes=mistakes)
        if not same(mine["fits"], row["fits"]):
            reason = _why(row, c, mine["fits"])
            raise CheckFailed(f"fits of {name}.", expected=row["fits"], got=mine["fits"], reason=reason)


def _table_mistakes(m: dict, c: dict, tokens: int) -> list:
    tp, kv_heads = c["gpus"], m["kv_heads"]
    weights, cache = lab.weights_gb(m["parameters"], m["bits"], m["kept_16bit"], m["group"]), lab.cache_gb(m, tokens)

    def total(weights=weights, cache=cache):
        return weights / tp + cache / min(tp, kv_heads) + lab.OVERHEAD

    right, active = total(), m["active_parameters"]
    return [
        (total(weights=lab.weights_gb(active, m["bits"], m["kept_16bit"], m["group"])),
         "active parameters were counted: all experts must be in memory, idle or not"),
        (total(weights=m["parameters"] * m["bits"] / 8e9),
         "the weights are flat: pass kept_16bit and group on to weights_gb"),
        (total(cache=lab.cache_gb(m, tokens, heads=m["attention_heads"])), "that counts query heads in the cache"),
        (total(cache=lab.cache_gb(m, lab.TOKENS)), "that is 8,192 tokens whatever `tokens` says"),
        (weights + cache + lab.OVERHEAD, "the model was not split: a configuration with n GPUs runs with tp = n"),
        (right - lab.OVERHEAD, "the overhead of 1.5 GB is missing"),
        (right - lab.OVERHEAD + lab.OVERHEAD / tp, "the overhead was divided: every GPU pays all of it"),
        (right * tp, "that is the sum over all GPUs: the table has one GPU's total"),
        (right * 1e9 / 2**30, "that is in GiB: per_gpu_gb is in GB (1e9 bytes)"),
    ]  # fmt: skip


def _why(row: dict, config: dict, said) -> str | None:
    """The likely reason for a wrong verdict `said`; `row` has the right number and verdict."""
    total, card = row["per_gpu_gb"], config["vram_gib"]
    if not same(said, not row["fits"]):
        return "fits is True or False"
    if row["fits"]:
        gib = "GB was compared with GiB: a card of N GiB holds N x 2**30 bytes"
        return gib if total > card else "one GPU's total is at most its card, so it fits"
    if total * 1e9 <= config["gpus"] * card * 2**30:
        return "one GPU's total goes with one card: the cards' memory is not added up a second time"
    return "one GPU's total is more than its card"
