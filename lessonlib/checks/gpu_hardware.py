"""Checks of lesson 12: the roof of a card, the ceiling of decoding, the time on a link, and the limit that binds."""

from __future__ import annotations

from . import gpu_hardware_cases as cases
from .core import CheckFailed, check_for, expect, property_of


@check_for(
    "l12_e1",
    title="Ridge and roof of a card",
    minutes=6,
    hints=[
        "First find the peak that counts: matrix products run on tensor cores, and ordinary weights are dense.",
        "Ridge = peak / bandwidth, both in base units: TFLOP/s are 1e12 a second, GB/s are 1e9 a second.",
        "A rate marked sparse is twice the dense one. The roof is the smaller of the peak and FLOP/byte x bandwidth.",
    ],
)
def check_roof(answer, rng):
    """Both kinds of sheet, left and right of the ridge; each usual mistake recognised by its number."""
    for sparse in (True, False):
        card = cases.a_card(rng, sparse)
        ridge = cases.ridge_of(card)
        for intensity in (round(ridge * rng.uniform(0.05, 0.4), 1), round(ridge * rng.uniform(3, 9), 1)):
            cases.compare_roof(answer, card, intensity)


@property_of("l12_e1", "random sheets, random intensities")
def roof_any(answer, rng):
    """Ten random cases."""
    for _ in range(10):
        cases.compare_roof(answer, cases.a_card(rng, rng.random() < 0.5), rng.uniform(0.1, 2000))


@property_of("l12_e1", "at the ridge the two ceilings meet")
def roof_meets(answer, rng):
    """The roof at the ridge is the dense peak."""
    card = cases.a_card(rng, rng.random() < 0.5)
    ridge, _ = cases.pair(answer(dict(card), 1.0))
    _, top = cases.pair(answer(dict(card), ridge))
    expect(top, cases.dense_peak(card), "At the ridge, bandwidth and peak allow the same.", rel=1e-6)


@property_of("l12_e1", "a sparse sheet of twice the rate is the same card")
def roof_sparse(answer, rng):
    """Marketing does not change the card."""
    dense, intensity = cases.a_card(rng, False), rng.uniform(100, 900)
    sparse = dense | {"tensor_tflops": 2 * dense["tensor_tflops"], "tensor_is_sparse": True}
    got = cases.pair(answer(sparse, intensity))
    want = [cases.number(value) for value in cases.pair(answer(dict(dense), intensity))]
    expect(list(got), want, "A sheet that prints the sparse rate describes the same card.")


@property_of("l12_e1", "left of the ridge, twice the bandwidth is twice the speed; right of it, it changes nothing")
def roof_bandwidth(answer, rng):
    """What each half of the roof depends on."""
    card = cases.a_card(rng, False)
    fast = card | {"bandwidth_gbs": 2 * card["bandwidth_gbs"]}
    low, high = cases.ridge_of(card) / 10, cases.ridge_of(card) * 10
    expect(
        cases.pair(answer(dict(fast), low))[1],
        2 * cases.pair(answer(dict(card), low))[1],
        "Left of the ridge bandwidth counts.",
    )
    expect(cases.pair(answer(fast, high))[1], cases.dense_peak(card), "Right of the ridge only the peak counts.")


@check_for(
    "l12_e2",
    title="The ceiling of decoding",
    minutes=10,
    hints=[
        "Count the bytes that one step reads: weights once for the whole batch, a cache for each sequence.",
        "Expert weights: `batch` sequences pick at most batch x experts_per_token experts, and never more than there are.",
        "Steps a second = bandwidth x 1e9 / bytes of a step; each step gives every sequence of the batch one token.",
    ],
)
def check_tokens(answer, rng):
    """A dense model and a mixture of experts, alone and in a batch."""
    for experts, batch in ((0, 1), (0, rng.randint(3, 9)), (128, 1), (128, rng.randint(3, 7)), (16, 40)):
        cases.compare_tokens(
            answer, cases.a_model(rng, experts), cases.a_bandwidth(rng), batch, rng.randint(2000, 30_000)
        )


@property_of("l12_e2", "random dense models")
def tokens_dense(answer, rng):
    """Ten random cases without experts."""
    for _ in range(10):
        cases.compare_tokens(
            answer, cases.a_model(rng, 0), cases.a_bandwidth(rng), rng.randint(1, 40), rng.randint(1, 90_000)
        )


@property_of("l12_e2", "random mixtures of experts, small and large batches")
def tokens_experts(answer, rng):
    """Ten random cases with experts."""
    for _ in range(10):
        model = cases.a_model(rng, rng.choice([8, 64, 256]))
        cases.compare_tokens(answer, model, cases.a_bandwidth(rng), rng.choice([1, 2, 5, 200]), rng.randint(1, 9000))


@property_of("l12_e2", "twice the bandwidth gives twice the tokens; longer texts give fewer")
def tokens_move(answer, rng):
    """Linear in bandwidth, falling in tokens."""
    model, bandwidth = cases.a_model(rng, 64), cases.a_bandwidth(rng)
    once = cases.number(answer(dict(model), bandwidth, 4, 1000))
    expect(
        answer(dict(model), 2 * bandwidth, 4, 1000),
        2 * once,
        "Twice the bandwidth must give twice the tokens a second.",
    )
    longer = cases.number(answer(dict(model), bandwidth, 4, 50_000))
    if not longer < once:
        raise CheckFailed("A longer text leaves more cache to read.", expected=f"below {once:,.2f}", got=longer)


@property_of("l12_e2", "with no text, a batch of dense sequences shares the weights")
def tokens_share(answer, rng):
    """Eight sequences without cache give eight times the tokens."""
    model, bandwidth = cases.a_model(rng, 0), cases.a_bandwidth(rng)
    want = 8 * cases.number(answer(dict(model), bandwidth, 1, 0))
    expect(answer(dict(model), bandwidth, 8, 0), want, "The weights are read once for the whole batch.")


@check_for(
    "l12_e3",
    title="Time on the link",
    minutes=8,
    hints=[
        "One message has batch x hidden values of 2 bytes; a step sends two such messages a layer.",
        "A ring of n GPUs takes 2 (n - 1) turns; each turn waits the latency once and carries 1/n of the message.",
        "A speed given for both directions together is twice what one message sees. Microseconds are 1e-6 s.",
    ],
)
def check_link(answer, rng):
    """Two, four and eight GPUs, links quoted both ways."""
    for gpus, both in ((6, False), (2, True), (4, True), (1, True)):
        cases.compare_link(answer, rng, gpus, both)


@property_of("l12_e3", "random models and links")
def link_any(answer, rng):
    """Ten random cases."""
    for _ in range(10):
        cases.compare_link(answer, rng, rng.choice([2, 3, 4, 8, 16]), rng.random() < 0.5)


@property_of("l12_e3", "one GPU sends nothing")
def link_alone(answer, rng):
    """No partner, no time."""
    cases.compare_link(answer, rng, 1, True)


@property_of("l12_e3", "a large batch is limited by bandwidth, a single token by latency")
def link_limits(answer, rng):
    """Twice the speed of the link against twice its latency."""
    slow, fast = (dict(gbs=gbs, both_directions=False, latency_us=8) for gbs in (50, 100))
    late = slow | {"latency_us": 16}
    one, many = (64, 5120, 1, 4), (64, 5120, 4000, 4)
    base = cases.number(answer(*many, dict(slow)))
    for name, case, link, want in (
        ("large", many, fast, base),
        ("single", one, late, cases.number(answer(*one, dict(slow)))),
    ):
        want = cases.step_on_link(*case, link)
        expect(answer(*case, dict(link)), want, f"A {name} message on the changed link.")


@check_for(
    "l12_e4",
    title="Which limit binds",
    minutes=12,
    hints=[
        "Two limits say yes or no: does it fit the memory, and does the circuit carry all cards? Ask these first.",
        "The other three are times: bytes_read / bandwidth, flops / rate, bytes_sent / link, all in seconds.",
        "The card's memory is in GiB (2**30 bytes). The circuit must carry cards x watts. The longest time binds.",
    ],
)
def check_limit(answer, rng):
    """Each of the five limits once."""
    for wanted in ("bandwidth", "compute", "link", "memory", "power"):
        cases.compare_limit(answer, cases.a_case(rng, wanted), wanted)
    job, card, cards, _ = cases.a_case(rng, "memory")  # two limits at once
    cases.compare_limit(answer, (job, card, cards, card["watts"] * cards / 2), "memory")


@property_of("l12_e4", "random jobs that fit: the longest time binds")
def limit_times(answer, rng):
    """Three kinds, three times each."""
    for wanted in ("bandwidth", "compute", "link") * 3:
        cases.compare_limit(answer, cases.a_case(rng, wanted), wanted)


@property_of("l12_e4", "what does not fit the memory is told first, to the byte")
def limit_memory(answer, rng):
    """Too large, also where the circuit is too weak as well."""
    job, card, cards, site = cases.a_case(rng, "memory")
    cases.compare_limit(answer, (job, card, cards, site), "memory")
    cases.compare_limit(answer, (job, card, cards, card["watts"] * cards / 2), "memory")
    job, card, cards, site = cases.a_case(rng, "bandwidth")
    for more, wanted in ((0, "bandwidth"), (1, "memory")):  # a card that is full, and a byte too many
        job["bytes_held"] = card["vram_gib"] * 2**30 + more
        cases.compare_limit(answer, (job, card, cards, site), wanted)


@property_of("l12_e4", "a circuit that is too weak, and one that just carries the cards")
def limit_power(answer, rng):
    """The boundary itself is fine."""
    cases.compare_limit(answer, cases.a_case(rng, "power"), "power")
    job, card, cards, _ = cases.a_case(rng, "bandwidth")
    cases.compare_limit(answer, (job, card, cards, card["watts"] * cards), "bandwidth")
    cases.compare_limit(answer, (job, card, cards, card["watts"] * cards - 1), "power")


@property_of("l12_e4", "24 GB of a card are 24 GiB: a job between the two fits")
def limit_units(answer, rng):
    """More than 24e9 bytes, less than 24 x 2**30."""
    job, card, cards, site = cases.a_case(rng, "bandwidth")
    job["bytes_held"] = int(card["vram_gib"] * 1.04e9)
    cases.compare_limit(answer, (job, card, cards, site), "bandwidth")
