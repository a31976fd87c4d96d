"""Inputs and comparisons of lesson 12's checks: each comparison knows the values that the usual mistakes make."""

from __future__ import annotations

from ..calc import memory, throughput
from .core import CheckFailed, expect, same


def a_card(rng, sparse: bool) -> dict:
    dense = round(rng.uniform(90, 2400), 1)
    return dict(
        bandwidth_gbs=rng.randrange(700, 8000), shader_tflops=round(dense / rng.choice([2.2, 3.9, 7.4]), 1),
        tensor_tflops=2 * dense if sparse else dense, tensor_is_sparse=sparse,
    )  # fmt: skip


def a_model(rng, experts: int) -> dict:
    return dict(
        shared_weights=rng.randrange(2, 40) * 10**9, experts=experts, experts_per_token=4 if experts else 0,
        expert_weights=rng.randrange(100, 400) * 10**6 if experts else 0, bytes_per_weight=rng.choice([0.5, 2]),
        cache_bytes_per_token=rng.choice([98_304, 131_072, 262_144]),
    )  # fmt: skip


def a_bandwidth(rng) -> int:
    return rng.randrange(700, 8000)


def a_case(rng, wanted: str) -> tuple[dict, dict, int, int]:
    """(job, card, cards, watts of the circuit) where `wanted` binds."""
    card = dict(
        vram_gib=rng.choice([24, 32, 80]), bandwidth_gbs=rng.randrange(900, 5000), dense_tflops=rng.randrange(150, 1000),
        link_gbs=rng.choice([32, 64, 450]), watts=rng.choice([450, 575, 700]),
    )  # fmt: skip
    times = {name: rng.uniform(1e-3, 9e-3) for name in ("bandwidth", "compute", "link")}
    times[wanted if wanted in times else "bandwidth"] = rng.uniform(11e-3, 20e-3)
    room = memory.card_bytes(card["vram_gib"])
    job = dict(
        bytes_held=int(room * (rng.uniform(1.1, 1.6) if wanted == "memory" else rng.uniform(0.5, 0.9))),
        bytes_read=round(times["bandwidth"] * card["bandwidth_gbs"] * 1e9),
        flops=round(times["compute"] * card["dense_tflops"] * 1e12),
        bytes_sent=round(times["link"] * card["link_gbs"] * 1e9),
    )
    cards = rng.choice([2, 4, 8])
    site = card["watts"] * cards * (rng.uniform(0.6, 0.9) if wanted == "power" else rng.uniform(1.2, 2))
    return job, card, cards, round(site)


def number(got) -> float:
    try:
        return float(got)
    except (TypeError, ValueError):
        raise CheckFailed("The answer must be a number.", expected="a number", got=got) from None


def pair(got) -> tuple:
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise CheckFailed(
            "The answer must be a pair.", expected="two values", got=got, reason="return both, in this order"
        )
    return tuple(got)


def dense_peak(card) -> float:
    return card["tensor_tflops"] / (2 if card["tensor_is_sparse"] else 1)


def ridge_of(card) -> float:
    return throughput.ridge(dense_peak(card) * 1e12, card["bandwidth_gbs"] * 1e9)


def compare_roof(answer, card: dict, intensity: float) -> None:
    peak, bandwidth, ridge = dense_peak(card), card["bandwidth_gbs"], ridge_of(card)
    want = throughput.attainable(intensity, peak * 1e12, bandwidth * 1e9) / 1e12
    slope = intensity * bandwidth / 1000
    what = f"A card with {card} at {intensity:g} FLOP/byte."
    got_ridge, got_roof = pair(answer(dict(card), intensity))
    if same(got_ridge, want) and same(got_roof, ridge):
        raise CheckFailed(
            what, expected=(ridge, want), got=(got_ridge, got_roof), reason="the two values are swapped: ridge first"
        )
    expect(
        got_ridge, ridge, f"{what} The ridge is off.",
        mistakes=[
            (2 * ridge, "the sparse rate was taken as the dense one: halve a rate marked sparse"),
            (ridge / 2, "a dense rate was halved: only a rate marked sparse is doubled"),
            (1000 * card["shader_tflops"] / bandwidth, "the shader rate was taken: matrix products run on tensor cores"),
            (1 / ridge, "the ridge is upside down: it is peak / bandwidth, in FLOP for each byte"),
            (ridge / 1000, "TFLOP/s (1e12) were divided by GB/s (1e9): bring both to base units first"),
        ],
    )  # fmt: skip
    expect(
        got_roof, want, f"{what} The roof is off.",
        mistakes=[
            (peak, "that is the peak: left of the ridge bandwidth allows less (GB/s x FLOP/byte / 1000, in TFLOP/s)"),
            (slope, "that is bandwidth alone: the peak is a ceiling too"),
            (want * 1e12, "that is in FLOP/s: the answer is in TFLOP/s"),
            (1 / (1 / peak + 1 / slope), "the two times were added: memory and compute work at once, so the slower one counts"),
            (min(card["shader_tflops"], slope), "the shader rate was taken: matrix products run on tensor cores"),
            (min(card["tensor_tflops"], slope), "the sparse rate was taken as the dense one: halve a rate marked sparse"),
        ],
    )  # fmt: skip


def compare_tokens(answer, model: dict, bandwidth: int, batch: int, tokens: int) -> None:
    m, size = model, model["bytes_per_weight"]
    chosen = min(m["experts"], batch * m["experts_per_token"])

    def rate(experts=chosen, caches=batch, weights=1, bytes_each=size):
        read = (m["shared_weights"] + experts * m["expert_weights"]) * bytes_each * weights
        return batch * bandwidth * 1e9 / (read + caches * tokens * m["cache_bytes_per_token"])

    want = rate()
    mistakes = [
        (rate(m["experts"]), "that reads all experts: a step reads only those that its tokens chose"),
        (
            rate(m["experts_per_token"]),
            "that reads the experts of one token: each sequence of the batch chooses its own",
        ),
        (rate(batch * m["experts_per_token"]), "that reads more experts than there are"),
        (rate(0), "the chosen experts were forgotten"),
        (rate(caches=0), "the cache was forgotten: every step reads it"),
        (rate(caches=1), "that is the cache of one sequence: every sequence of the batch has its own"),
        (want / batch, "that is one sequence: all sequences of the batch get a token in each step"),
        (rate(weights=batch), "the weights are read once for the whole batch, not once a sequence"),
        (want * 2**30 / 1e9, "GB/s are 1e9 bytes a second, not 2**30"),
        (want / 8, "GB are bytes, not bits: nothing to divide by 8"),
        (rate(bytes_each=1), "weights were counted, not their bytes"),
        (want / 1e9, "the bandwidth is in GB/s: times 1e9"),
    ]
    what = f"Model {model}, {bandwidth:,} GB/s, batch {batch}, {tokens:,} tokens."
    expect(answer(dict(model), bandwidth, batch, tokens), want, what, mistakes=mistakes)


def step_on_link(layers: int, hidden: int, batch: int, gpus: int, link: dict) -> float:
    """Seconds of all all-reduces of one decode step: two a layer, 16-bit values."""
    one_way = link["gbs"] * 1e9 / (2 if link["both_directions"] else 1)
    message = batch * hidden * 2
    return 2 * layers * throughput.all_reduce_seconds(message, gpus, one_way, link["latency_us"] * 1e-6)


def compare_link(answer, rng, gpus: int, both: bool) -> None:
    layers, hidden, batch = rng.randint(20, 90), 128 * rng.randint(20, 80), rng.randint(2, 300)
    link = dict(gbs=rng.choice([64, 128, 600, 900, 1800]), both_directions=both, latency_us=rng.choice([3, 5, 9]))
    want, message = step_on_link(layers, hidden, batch, gpus, link), batch * hidden * 2
    one_way, late = link["gbs"] * 1e9 / (2 if both else 1), link["latency_us"] * 1e-6
    turns = 2 * (gpus - 1)
    carried, waits = turns / gpus * message / one_way, turns * late

    def step(carried=carried, waits=waits):
        return 2 * layers * (carried + waits)

    both_ways = carried * one_way / (link["gbs"] * 1e9)
    once = "the message was sent once: a ring sends 2 (n - 1) / n of it"
    mistakes = [
        (step(both_ways), "both directions were counted: a message goes one way, at half of that"),
        (step(waits=late), "the latency was waited for once: each of the 2 (n - 1) turns waits"),
        (step(turns * message / one_way), "each turn carries the whole message: it is cut into n parts"),
        (step(message / one_way), once),
        (step(message / one_way, late), once),
        (step(waits=0), "the latency was forgotten"),
        (want / 2, "one all-reduce a layer: there are two, after attention and after the feed-forward part"),
        (want / layers, "that is one layer"),
        (want * 1e3, "that is in milliseconds: the answer is in seconds"),
        (step(waits=waits * 1e3), "microseconds were taken as milliseconds"),
        (step(carried / 2), "values were counted, not bytes: each has 2"),
        (step(carried * 8), "GB/s are bytes, not bits"),
    ]
    what = f"{layers} layers, hidden size {hidden:,}, batch {batch}, {gpus} GPUs, link {link}."
    expect(answer(layers, hidden, batch, gpus, dict(link)), want, what, mistakes=mistakes)


def compare_limit(answer, case, wanted: str) -> None:
    job, card, cards, site = case
    room, held = memory.card_bytes(card["vram_gib"]), job["bytes_held"]
    times = {
        "bandwidth": job["bytes_read"] / (card["bandwidth_gbs"] * 1e9),
        "compute": job["flops"] / (card["dense_tflops"] * 1e12),
        "link": job["bytes_sent"] / (card["link_gbs"] * 1e9),
    }
    value = {"memory": held - room, "power": cards * card["watts"] - site, **times}[wanted]
    what = f"Job {job}, card {card}, {cards} cards, a circuit of {site:,.0f} W."
    name, number = pair(answer(dict(job), dict(card), cards, site))
    if name != wanted:
        shortest = min(times, key=times.get)
        reason = None
        if wanted == "memory":
            reason = "it does not fit: ask for the memory before anything else"
        elif wanted == "power":
            reason = "the circuit must carry all cards together, cards x watts"
        elif name == "memory" and held > card["vram_gib"] * 10**9:
            reason = "the card was taken as GB (1e9): its memory is in GiB (2**30 bytes)"
        elif name == "power":
            reason = "a circuit that carries the cards does not bind"
        elif name == shortest and same(number, times[name]):
            reason = "that is the shortest time: the longest one binds"
        elif name in times:
            reason = "amounts are not times: divide each by its own speed before you compare"
        raise CheckFailed(what, expected=(wanted, value), got=(name, number), reason=reason)
    mistakes = [
        (held - card["vram_gib"] * 10**9, "the card was taken as GB (1e9): its memory is in GiB (2**30 bytes)"),
        (sum(times.values()), "the times were added: the parts overlap, so the longest counts"),
        (value * 1e3, "that is in milliseconds: the answer is in seconds"),
        (held, "that is what the job holds: the answer is what is missing"),
        (cards * card["watts"], "that is what the cards draw: the answer is what is missing"),
        (card["watts"] * cards / site, "that is a share: the answer is the watts that are missing"),
        (held / room, "that is a share: the answer is the bytes that are missing"),
        (-value, "the sign is turned around: what is missing is above 0"),
    ]
    expect(number, value, f"{what} The number of the limit {wanted} is off.", mistakes=mistakes)
