"""Claims of the source lesson, derived again with the functions of lessonlib.calc.

The expressions of the fact base are evaluated in tests/facts/test_tables.py; here the course's own calculators have to
come to the same numbers. Each entry gives the numbers of a claim in the order of its `value`."""

import pytest

from lessonlib.calc import (
    architecture,
    cache,
    context,
    cost,
    memory,
    switching,
    throughput,
    tokens,
    training,
    units,
    vram,
    weights,
)
from lessonlib.calc.breakdown import Breakdown
from lessonlib.facts import catalog

M = catalog.model
CODER, LLAMA, YI = M("qwen2.5-coder-32b"), M("llama-3.3-70b"), M("yi-coder-9b")
NEXT, MIXTRAL, DEEPSEEK = M("qwen3-coder-next"), M("mixtral-8x7b"), M("deepseek-v3-0324")
QWEN_SHAPE = dict(layers=64, kv_heads=8, head_dim=128)
LLAMA_SHAPE = dict(layers=80, kv_heads=8, head_dim=128)


def billions(model):
    return architecture.parameters(model) / 1e9


def active(model):
    return architecture.active_parameters(model) / 1e9


def active_percent(model):
    return active(model) / billions(model) * 100


def flat(model, bits=4):
    """GB of a model at so many bits a parameter."""
    return units.gb(memory.weight_bytes(architecture.parameters(model), bits))


def awq(model):
    """GB of a model in 4 bits by the fact base's rule: groups of 128, embedding and output in 16 bits."""
    matrix = model.vocab_size * model.hidden_size
    return units.gb(memory.awq_weight_bytes(architecture.parameters(model), matrix, model.tied_embeddings))


def both(model):
    return flat(model), awq(model)


def rule(billion, bits):
    """GB of so many billion parameters."""
    return units.gb(memory.weight_bytes(round(billion * 1e9), bits))


def cached(model, tokens, batch=1):
    """GB of the cache that grows with the text."""
    return units.gb(cache.cache(model, tokens, batch)["full_attention"])


def budget(*gigabytes):
    """GB of all parts together."""
    return Breakdown({f"part {i}": size for i, size in enumerate(gigabytes)}, unit="GB").total


def gpu(model, weights_gb, tp=1):
    """GB on one GPU at 8,192 tokens."""
    shape = dict(layers=model.layers, attention_heads=model.attention_heads, kv_heads=model.kv_heads)
    shape |= dict(head_dim=model.head_dim, tokens=8192)
    return units.gb(memory.gpu_budget(weights=weights_gb * 1e9, tp=tp, **shape).total)


def month(tokens_per_day, usd=5):
    return cost.monthly(tokens_per_day, usd)


def against_node(tokens_per_day):
    """USD a month by API, and how many times that the node of 9,000 USD costs."""
    return month(tokens_per_day), cost.multiple(9000, month(tokens_per_day))


def tier(tokens_per_day):
    return tuple(cost.sensitivity([tokens_per_day], (5, 10, 15))[tokens_per_day].values())


def day_and_month(tokens_per_day):
    return cost.daily(tokens_per_day, 5), month(tokens_per_day)


def year(watts):
    return cost.electricity(watts, 0.12).total


def subscription(usd_month):
    return cost.programme(seats=1, tokens_usd_month=0, seat_usd_month=usd_month).scaled(12).total


def seconds(*steps):
    return Breakdown({f"step {i}": s for i, s in enumerate(steps)}, unit="s").total


def sleeps(sleep, wake):
    """Seconds of an exchange of two models that fall asleep and wake in the stated times."""
    stated = Breakdown({"sleep": sleep, "wake": wake}, unit="s")
    return switching.exchange(stated, stated).total


def speed(gb_per_s, gigabytes=CODER):
    """Tokens a second when every token reads all weights of the 32B model in 4 bits."""
    return 1 / throughput.decode_seconds(awq(gigabytes) * 1e9, 0, gb_per_s * 1e9)


def bandwidth_ratio(fast, slow):
    return switching.speed_up(switching.transfer_seconds(1e9, slow), switching.transfer_seconds(1e9, fast))


def mxfp4(model):
    return units.gb(weights.weights(model, "mxfp4").total)


def adapter(targets):
    """Parameters of a LoRA of rank 16."""
    return training.adapter(CODER, 16, targets).parameters


# Claim -> its numbers. A pair (function, tolerance) where the claim was derived from rounded inputs.
DERIVED = {
    # 1: why run your own AI
    "S01-001": lambda: subscription(20),
    "S01-002": lambda: subscription(20),
    "S01-003": lambda: (subscription(50), subscription(200)),
    "S01-004": lambda: (subscription(500), subscription(5000)),
    "S01-005": lambda: cost.programme(seats=50, tokens_per_seat_day=1e6, usd_per_million=5).total,
    "S01-007": lambda: tuple(
        cost.multiple(total, spent)
        for total, spent in ((2000, 750), (8000, 750), (15000, 4500), (55000, 4500), (50000, 15000), (200000, 15000))
    ),
    "S01-009": lambda: month(100_000),
    "S01-011": lambda: cost.blend(2.5, 10),
    "S01-012": lambda: cost.blend(5, 25),
    "S01-013": lambda: cost.blend(2.5, 10, ratio=1),
    "S01-014": lambda: day_and_month(100_000),
    "S01-015": lambda: day_and_month(500_000),
    "S01-016": lambda: day_and_month(1_000_000),
    "S01-017": lambda: day_and_month(5_000_000),
    "S01-018": lambda: month(1e6, 12) / month(1e6, 5),
    "S01-019": lambda: tier(100_000),
    "S01-020": lambda: tier(500_000),
    "S01-021": lambda: tier(1_000_000),
    "S01-022": lambda: tier(5_000_000),
    "S01-023": lambda: tier(50_000_000),
    "S01-024": lambda: cost.blend(5, 25),
    # 2 and 3: sizes
    "S02-003": lambda: architecture.parameters(CODER),
    "S02-005": lambda: (
        cost.request(cost.Price(0.07, 0.3), 1000, 0).total,
        cost.request(cost.Price(15, 75), 0, 1000).total,
    ),
    "S03-008": (lambda: flat(M("deepseek-v3.2")), 1e-4),
    # 4: tokens, context, cache
    "S04-007": lambda: tokens.rule_of_thumb(115),
    "S04-008": lambda: tokens.rule_of_thumb(115, 3),
    "S04-010": lambda: tokens.words_that_fit(4096),
    "S04-011": lambda: tokens.words_that_fit(128_000),
    "S04-012": lambda: tokens.words_that_fit(131_072),
    "S04-013": lambda: tokens.words_that_fit(200_000),
    "S04-014": lambda: tokens.words_that_fit(262_144),
    "S04-015": lambda: tokens.words_that_fit(1_048_576),
    "S04-016": lambda: tokens.words_that_fit(1_000_000),
    "S04-025": lambda: context.budget(131_072, {"all": 6_700}).share * 100,
    "S04-026": lambda: context.budget(131_072, {"all": 6_700}).headroom,
    "S04-027": lambda: context.largest_document(131_072, {"system": 700, "question": 2_000, "found": 2_000}, 2_000),
    "S04-028": lambda: (memory.passes_without_cache(1, 2), memory.passes_without_cache(1, 3)),
    "S04-029": lambda: (
        memory.passes_without_cache(1, 1000),
        memory.passes_without_cache(1, 1000) - memory.passes_without_cache(1, 999),
    ),
    "S04-030": lambda: (
        memory.passes_with_cache(1, 1000) - memory.passes_with_cache(1, 999),
        throughput.pairs(1, 999),
        memory.passes_with_cache(1, 1000),
    ),
    "S04-032": lambda: cache.bytes_per_token(CODER),
    "S04-033": lambda: cached(CODER, 50_000),
    "S04-034": lambda: (cached(CODER, 131_072), units.gib(cache.cache(CODER, 131_072).total)),
    "S04-035": lambda: awq(CODER),
    # 5: mixtures of experts
    "S05-005": lambda: (billions(MIXTRAL), active(MIXTRAL)),
    "S05-006": lambda: active_percent(MIXTRAL),
    "S05-009": (lambda: tuple(map(active_percent, (M("kimi-k2.5"), NEXT, DEEPSEEK, MIXTRAL))), 1e-4),
    "S05-010": lambda: billions(DEEPSEEK),
    "S05-011": lambda: (billions(NEXT), active(NEXT)),
    "S05-012": (lambda: flat(NEXT), 1e-4),
    "S05-013": (lambda: (billions(MIXTRAL) / active(MIXTRAL), billions(NEXT) / active(NEXT)), 2e-3),
    # 6: formats
    "S06-001": lambda: rule(32, 32),
    "S06-002": lambda: rule(32, 16),
    "S06-003": lambda: rule(32, 8),
    "S06-004": lambda: rule(32, 4),
    "S06-005": lambda: rule(32, 3),
    "S06-006": lambda: rule(32, 2),
    "S06-007": lambda: rule(32, 4),
    "S06-008": lambda: units.gb(vram.estimator(32e9, 4).total),
    "S06-010": lambda: tuple(card - units.gb(vram.estimator(32e9, 4).total) for card in (24, 32, 80)),
    "S06-012": (lambda: ((1 - rule(32, 4) / rule(32, 16)) * 100, (1 - awq(CODER) / flat(CODER, 16)) * 100), 1e-4),
    # 7: engines
    "S07-003": lambda: context.budget(128, {"conversation": 2}).share * 100,
    "S07-011": lambda: switching.speed_up(0.673, 0.080),
    "S07-012": lambda: switching.speed_up(1.200, 0.080),
    "S07-016": lambda: throughput.estimator(40).tokens_per_s,
    "S07-017": lambda: throughput.estimator(40).requests_per_s,
    "S07-018": lambda: throughput.estimator(40).seconds_per_answer,
    "S07-019": lambda: seconds(0.5, throughput.estimator(40).seconds_per_answer),
    "S07-020": lambda: 10 < throughput.estimator(40).seconds_per_answer < 15,
    "S07-026": lambda: (seconds(5, 10, 30, 5), seconds(10, 20, 120, 10)),
    "S07-027": lambda: (sleeps(1, 3), sleeps(3, 10)),
    "S07-028": lambda: tuple(switching.speed_up(cold, warm) for cold in (50, 160) for warm in (13, 4)),
    "S07-029": lambda: (sleeps(0.1, 0.5), sleeps(0.5, 6)),
    "S07-030": lambda: (switching.speed_up(50, sleeps(0.5, 6)), switching.speed_up(160, sleeps(0.1, 0.5))),
    "S07-037": (lambda: units.gb(switching.host_ram_bytes([awq(CODER) * 1e9], 1)), 1e-4),
    "S07-038": lambda: (switching.transfer_seconds(39.8e9, 64), switching.transfer_seconds(19.3e9, 64)),
    # 8: families
    "S08-009": lambda: (billions(M("qwen3-coder-30b-a3b")), active(M("qwen3-coder-30b-a3b"))),
    "S08-011": lambda: billions(M("deepseek-r1")),
    "S08-022": lambda: billions(M("mistral-large-2")),
    "S08-024": (lambda: (flat(YI, 16), awq(YI)), 1e-4),
    "S08-025": (lambda: (billions(M("glm-4.7")), active(M("glm-4.7"))), 1e-4),
    "S08-028": lambda: (
        billions(M("glm-5")),
        active(M("glm-5")) - 2 * architecture.parts(M("glm-5"))["embedding"] / 1e9,
    ),
    "S08-037": (lambda: mxfp4(M("gpt-oss-20b")), 1e-3),
    "S08-038": (lambda: mxfp4(M("gpt-oss-120b")), 1e-3),
    "S08-041": lambda: billions(M("phi-4")),
    "S08-042": (lambda: awq(M("phi-4")), 1e-4),
    "S08-043": lambda: billions(M("phi-4-mini")),
    "S08-044": (lambda: (billions(M("nemotron-3-nano")), active(M("nemotron-3-nano"))), 1e-4),
    "S08-047": (lambda: (billions(M("nemotron-3-super")), active(M("nemotron-3-super"))), 1e-4),
    "S08-048": (lambda: (billions(M("nemotron-3-ultra")), active(M("nemotron-3-ultra"))), 1e-4),
    "S08-049": lambda: billions(M("gemma-3-27b")),
    "S08-050": lambda: billions(M("olmo-2-13b")),
    "S08-052": (lambda: both(NEXT), 1e-4),
    "S08-053": (lambda: both(M("qwen3-coder-30b-a3b")), 1e-4),
    "S08-054": (lambda: both(CODER), 1e-4),
    "S08-055": (lambda: awq(LLAMA), 1e-4),
    "S08-056": (lambda: both(M("llama-4-scout")), 1e-4),
    "S08-057": (lambda: both(M("glm-4.7")), 1e-4),
    "S08-058": (lambda: both(M("phi-4")), 1e-4),
    "S08-059": (lambda: awq(M("granite-34b-code")), 1e-4),
    "S08-060": (lambda: awq(DEEPSEEK), 1e-4),
    "S08-061": (lambda: awq(M("nemotron-3-nano")), 1e-4),
    "S08-062": (lambda: awq(M("gemma-3-27b")), 1e-4),
    "S08-063": (lambda: both(M("olmo-2-13b")), 1e-4),
    "S08-064": (lambda: mxfp4(M("gpt-oss-20b")), 1e-3),
    "S08-082": (lambda: (billions(DEEPSEEK), active(DEEPSEEK)), 1e-4),
    "S08-089": lambda: cost.electricity_per_million(1150, 0.12, 50),
    "S08-095": (lambda: (awq(M("gemma-3-4b")), awq(YI), awq(M("phi-4"))), 2e-4),
    "S08-096": (lambda: gpu(CODER, awq(CODER)), 1e-4),
    "S08-097": lambda: seconds(59.053 / 2, 2.819 / 2, 1.5),
    "S08-098": lambda: (rule(120, 16), 80 / rule(1, 16)),
    # 9: hardware
    "S09-003": (lambda: (speed(1008), speed(3350), speed(1792)), 1e-4),
    "S09-005": lambda: (bandwidth_ratio(1008, 64), bandwidth_ratio(3350, 64), bandwidth_ratio(1008, 32)),
    "S09-019": (lambda: (rule(7, 16), rule(13, 16), units.gb(memory.card_bytes(24))), 1e-4),
    "S09-020": (lambda: gpu(LLAMA, awq(LLAMA), tp=2), 1e-4),
    "S09-023": lambda: (bandwidth_ratio(1792, 1008) - 1) * 100,
    "S09-029": (lambda: flat(LLAMA, 16), 1e-4),
    "S09-060": lambda: (bandwidth_ratio(3350, 1008), bandwidth_ratio(8000, 1008)),
    "S09-061": lambda: (bandwidth_ratio(900, 128), bandwidth_ratio(900, 64)),
    "S09-062": lambda: (bandwidth_ratio(1800, 128), bandwidth_ratio(1800, 64)),
    "S09-064": lambda: 2 * 64 * throughput.all_reduce_seconds(5120 * 2, ranks=2, link=64e9) * 1e3,
    "S09-066": lambda: budget(20, 1, 1, 0.5),
    "S09-067": lambda: (
        units.gb(memory.kv_cache_bytes(**LLAMA_SHAPE | dict(kv_heads=64), tokens=8192)),
        cached(LLAMA, 8192),
    ),
    "S09-070": lambda: rule(80, 4) / 2,
    "S09-071": lambda: cached(NEXT, 32_768),
    "S09-072": lambda: (budget(20, 1, 1, 0.5), 32 - budget(20, 1, 1, 0.5)),
    "S09-073": lambda: rule(70, 4) / 2,
    "S09-074": lambda: cached(LLAMA, 8192),
    "S09-075": lambda: (budget(17.5, 1.4, 1.5, 0.5), 32 - budget(17.5, 1.4, 1.5, 0.5)),
    "S09-076": lambda: year(450),
    "S09-077": lambda: year(575),
    "S09-078": lambda: year(1150),
    "S09-079": lambda: year(700),
    "S09-080": lambda: year(10_200),
    "S09-081": lambda: year(120_000),
    "S09-082": lambda: year(120_000),
    "S09-084": lambda: (year(120_000), cost.amortisation(3_000_000, 36) * 12),
    # 10: emerging technologies
    "S10-013": lambda: (cached(NEXT, 1_000_000), cached(M("nemotron-3-nano"), 1_000_000)),
    "S10-017": lambda: seconds(50, 600),
    "S10-018": lambda: switching.speed_up(1.500, seconds(0.050, 0.600)),
    "S10-021": (lambda: (671 / 32, billions(DEEPSEEK) / billions(CODER)), 1e-4),
    "S10-024": (
        lambda: tuple(
            adapter(targets) / architecture.parameters(CODER) * 100 for targets in ("attention", "all-linear")
        ),
        1e-4,
    ),
    "S10-025": lambda: adapter("attention") / 1e6,
    "S10-026": lambda: (units.gb(training.flat(32 * 10**9).total), rule(32, 32)),
    # 11: deployment
    "S11-011": lambda: cost.amortisation(200_000, 36),
    "S11-013": lambda: cost.electricity(10_200, 0.12, days=730 / 24).total,
    "S11-014": lambda: cost.hosting(5_500 * 36, 36, colocation_usd_month=3_500).total,
    "S11-015": lambda: against_node(1e6),
    "S11-016": lambda: against_node(10e6),
    "S11-017": lambda: against_node(30e6),
    "S11-018": lambda: against_node(60e6),
    "S11-019": lambda: against_node(100e6),
    "S11-020": lambda: cost.hosting(5_500 * 36, 36, colocation_usd_month=3_500, nodes=2).total,
    "S11-021": lambda: (cost.multiple(month(500e6), 14_000), cost.multiple(month(500e6), 18_000)),
    "S11-022": lambda: (cost.sustained(500e6), cost.sustained(60e6)),
    "S11-023": lambda: cost.crossover(9_000, 5),
    "S11-025": lambda: cost.crossover(9_000, 12),
    "S11-026": lambda: tuple(
        1 / cost.multiple(total, spent) for total, spent in ((8000, 750), (2000, 750), (200000, 15000), (50000, 15000))
    ),
    "S11-027": lambda: cost.programme(seats=5, tokens_per_seat_day=1e6, usd_per_million=5).total,
    "S11-028": lambda: cost.programme(seats=30, tokens_per_seat_day=1e6, usd_per_million=5).total,
    "S11-029": lambda: cost.programme(seats=100, tokens_per_seat_day=1e6, usd_per_million=5).total,
    "S11-033": lambda: (
        cost.energy(1150, hours_per_day=8, days=30),
        cost.electricity(1150, 0.12, hours_per_day=8, days=30).total,
    ),
    "S11-034": lambda: cost.electricity(1150, 0.17, hours_per_day=8, days=30).total,
    "S11-036": lambda: (150 - 33, cost.payback(4_000, 117) / 12, cost.payback(5_000, 117) / 12),
    "S11-037": lambda: cost.payback(5_000, 750 - 33),
    "S11-038": lambda: (cost.sustained(1e6, hours_per_day=8), cost.sustained(5e6, hours_per_day=8)),
    # 12: exercises
    "S12-001": lambda: flat(YI, 16),
    "S12-002": lambda: awq(CODER),
    "S12-003": lambda: awq(LLAMA),
    "S12-004": lambda: cached(YI, 8192),
    "S12-005": lambda: cached(CODER, 8192),
    "S12-006": lambda: cached(LLAMA, 8192),
    "S12-007": (lambda: (budget(18, 0.5, 1.5), gpu(YI, flat(YI, 16))), 1e-4),
    "S12-008": (lambda: (budget(16, 1.3, 1.5), gpu(CODER, awq(CODER))), 1e-4),
    "S12-009": (lambda: (budget(35, 2.8, 1.5), gpu(LLAMA, awq(LLAMA)), gpu(LLAMA, awq(LLAMA), tp=2)), 1e-4),
    "S12-010": lambda: budget(*(Breakdown({"weights": 35, "cache": 2.8}, unit="GB").scaled(1 / 2).values()), 1.5),
    "S12-011": (lambda: awq(YI), 1e-4),
    "S12-012": (lambda: awq(NEXT), 1e-4),
    "S12-015": (lambda: (cached(YI, 4096, 20), budget(awq(YI), cached(YI, 4096, 20))), 1e-4),
    "S12-017": lambda: tuple(switching.round_trips(once, once) for once in (50, 160, 4, 13, 0.6, 6.5)),
    "S12-019": (lambda: (awq(NEXT), awq(LLAMA), awq(CODER)), 2e-3),
    "S12-020": (lambda: (1 - awq(CODER) / flat(CODER, 16)) * 100, 1e-4),
    "S12-022": lambda: cost.payback(4_000, 117) / 12,
}
SIX_DIGITS = 5.1e-6  # what rounding to six significant digits leaves open
LEAST = 160


@pytest.mark.parametrize("claim_id", DERIVED)
def test_the_calculators_come_to_the_number_of_the_claim(claim_id):
    claim, entry = catalog.claim(claim_id), DERIVED[claim_id]
    derive, tolerance = entry if isinstance(entry, tuple) else (entry, SIX_DIGITS)
    got, want = derive(), claim.value
    if not isinstance(want, list):
        got, want = (got,), [want]
    assert len(got) == len(want)
    assert list(got) == pytest.approx(want, rel=tolerance, abs=0)


def test_how_many_claims_are_derived():
    with_value = [claim for claim in catalog.claims() if claim.get("calc") is not None]
    derived = [claim for claim in with_value if claim.id in DERIVED]
    print(f"{len(derived)} of {len(with_value)} calculated claims are derived with lessonlib.calc")
    assert len(derived) == len(DERIVED) >= LEAST
    assert sum(claim.verdict == "corrected" for claim in derived) >= 50


def test_the_defaults_of_the_four_calculators():
    assert tokens.rule_of_thumb(115) == 29
    used = context.budget(131_072, {"system": 700, "question": 2_000, "found": 2_000}, reserve=2_000)
    assert (used.used, used.headroom, round(used.share * 100, 1)) == (6_700, 124_372, 5.1)
    assert f"{units.gb(vram.estimator(32e9, 4).total):.2f}" == "19.60"
    speed = throughput.estimator(40)
    assert (f"{speed.tokens_per_s:.2f}", f"{speed.requests_per_s:.3f}") == ("34.00", "0.068")
    assert f"{speed.seconds_per_answer:.2f}" == "14.71"


@pytest.mark.parametrize("name", ["qwen2.5-coder-32b", "llama-3.3-70b", "phi-4", "qwen3-coder-next", "glm-4.7"])
def test_awq_tensor_by_tensor_stays_near_the_rule_of_the_claims(name):
    """The rule packs norms and routers too; the calculator leaves them in 16 bits, as the files do."""
    exact = units.gb(weights.weights(M(name), "awq").total)
    assert awq(M(name)) < exact < awq(M(name)) * 1.003
