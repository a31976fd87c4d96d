"""The check of the capstone task's last exercise: the cheapest machine that serves so many users."""

from __future__ import annotations

from ..calc import memory
from ..facts import catalog
from ..labs import vram_budget as lab
from .core import CheckFailed, check_for, expect, property_of, same

KEYS = ("card", "gpus", "usd", "longest_context")


@check_for(
    "l16_vram_e5",
    title="The cheapest machine",
    minutes=15,
    hints=[
        "Try every offer with 1, 2, 4 and 8 GPUs, keep what fits, and take the cheapest at the end.",
        "What grows with the users is the cache alone: users x cache_gb(model, context). The weights are there once.",
        "The longest context: what one card has left with 0 tokens, divided by what one token of all users takes on it.",
    ],
)
def check_cheapest(answer, rng):
    """The 70B model, which no single card of a desktop holds; the 32B model for one user and for many, a case where several
    cards beat a large one, and one that nothing serves."""
    offered = lab.offers()
    big = lab.exact_models()[1]
    _compare(answer, lab.exact_models()[2], [o for o in offered if o["most"] == 2], 1, 8192)
    for users, context in ((1, 8192), (rng.randint(12, 20), 16_384)):
        _compare(answer, big, offered, users, context)
    _compare(answer, lab.exact_models()[2], offered, 2, 8192)
    _compare(answer, big, offered[:1], 64, 32_768)
    large = rng.randrange(1500, 1900, 50)
    pair = [
        {"card": "a small card", "vram_gib": 12, "usd": 500, "most": 8},
        {"card": "a large card", "vram_gib": 44, "usd": large, "most": 8},
    ]
    _compare(answer, big, pair, 2, 8192)
    _compare(answer, big, offered, 1, big["window"] + 1)


@property_of("l16_vram_e5", "models and loads that the task does not name")
def cheapest_other(answer, rng):
    """Eight of them, on the list prices."""
    rows = _models()
    for m in rng.sample(rows, 8):
        model = lab.record(m.id, rng.choice([4, 8, 16]))
        context = min(model["window"], rng.choice([2048, 8192, 24_000]))
        _compare(answer, model, lab.offers(), rng.choice([1, 3, 10, 40]), context)


@property_of("l16_vram_e5", "other offers: prices and machines drawn at random")
def cheapest_offers(answer, rng):
    """Prices per GiB that disagree, machines that take few cards."""
    for _ in range(8):
        prices = rng.sample(range(300, 9000, 50), 5)  # no two alike: the task leaves open which of those to take
        offered = [
            {"card": f"card {n}", "vram_gib": rng.choice([12, 20, 28, 44, 90]), "usd": usd, "most": rng.choice([1, 2, 4, 8])}
            for n, usd in enumerate(prices)
        ]  # fmt: skip
        model = lab.record(rng.choice(_models()).id, rng.choice([4, 8]))
        _compare(answer, model, offered, rng.choice([1, 4, 16]), min(model["window"], 8192))


@property_of("l16_vram_e5", "just enough room, and a token too little")
def cheapest_edge(answer, rng):
    """Cards that hold some seven tenths of a token more than asked, on any number of GPUs, more than there are heads too; a
    context that is one token longer; and the window, which no memory makes longer."""
    model = lab.exact_models()[1]
    for heads, gpus in ((2, 1), (8, 2), (2, 4), (2, 8)):
        shape, users, context = {**model, "kv_heads": heads}, rng.randint(1, 5), rng.randint(2000, 9000)
        alone = lab.budget(shape, {"gpus": gpus}, 0).total
        token = lab.budget(shape, {"gpus": gpus}, 1).total - alone
        held = (alone + (context + 0.7) * users * token) / 2**30
        offer = {"card": "edge", "vram_gib": held, "usd": 1000, "most": gpus}
        want = {"card": "edge", "gpus": gpus, "usd": gpus * 1000, "longest_context": context}
        what = f"Cards that hold {users} x {context:,} tokens and no more, {gpus} of them, {heads} key-value heads."
        expect(_asked(answer, shape, [offer], users, context), want, what)
        expect(_asked(answer, shape, [offer], users, context + 1), None, f"One token more. {what}")
    huge = {"card": "huge", "vram_gib": 4000, "usd": 1000, "most": 1}
    _compare(answer, model, [huge], 1, 1000)
    _compare(answer, model, [huge], 1, model["window"])
    expect(_asked(answer, model, [huge], 1, model["window"] + 1), None, "A context beyond the model's window.")


@property_of("l16_vram_e5", "of two machines at one price, the one with fewer GPUs, in any order of offers")
def cheapest_order(answer, rng):
    """Order means nothing."""
    model = lab.exact_models()[1]
    offered = [
        {"card": "small", "vram_gib": 40, "usd": 1000, "most": 8},
        {"card": "middle", "vram_gib": 80, "usd": 2000, "most": 8},
        {"card": "large", "vram_gib": 160, "usd": 4000, "most": 8},
    ]
    for _ in range(3):
        rng.shuffle(offered)
        for users in (1, 12, 40):
            _compare(answer, model, offered, users, 8192)


def _models() -> list:
    rows = [m for m in catalog.models(own=False) if m.attention == "gqa" and m.get("embedding_params_exact")]
    return [m for m in rows if m.kv_heads in (2, 4, 8) and 1 < m.total_params_b < 130]


def _asked(answer, model: dict, offered: list[dict], users: int, context: int):
    return answer(dict(model), [dict(o) for o in offered], users, context)


def _compare(answer, model: dict, offered: list[dict], users: int, context: int) -> None:
    """The answer against the reference; a wrong one is compared with what the usual slips give."""
    want = lab.reference_choice(model, offered, users, context)
    got = _asked(answer, model, offered, users, context)
    people = f"{users} users with {context:,} tokens each" if users > 1 else f"one user with {context:,} tokens"
    where = f"{model['name']} in {model['bits']} bits for {people}"
    if got is not None and (not isinstance(got, dict) or set(got) != set(KEYS)):
        raise CheckFailed(f"{where}: return a dict with these keys, or None.", expected=list(KEYS), got=got)
    if want is None or got is None:
        if want is not got:
            raise CheckFailed(
                f"{where}.", expected=want, got=got, reason=_slip(model, offered, users, context, got) or _none(want)
            )
        return
    machine = ("card", "gpus", "usd")
    if not all(same(got[key], want[key]) for key in machine):
        raise CheckFailed(
            f"{where}: another machine is the cheapest.",
            expected={key: want[key] for key in machine},
            got={key: got[key] for key in machine},
            reason=_slip(model, offered, users, context, got) or _broken(model, offered, users, context, got, want),
        )
    _compare_context(got["longest_context"], want, model, offered, users, where)


def _compare_context(got, want: dict, model: dict, offered: list[dict], users: int, where: str) -> None:
    offer = next(o for o in offered if o["card"] == want["card"])
    right, gpus = want["longest_context"], want["gpus"]
    whole = got.tolist() if hasattr(got, "tolist") else got
    if isinstance(whole, float) and whole.is_integer():  # of room // token
        whole = int(whole)
    if type(whole) is int and abs(whole - right) <= 1:  # sums in another order may end one token earlier
        return
    alone = lab.longest_context(model, offer["vram_gib"], gpus, 1)
    raw = lab.longest_context(model, offer["vram_gib"], gpus, users)
    room = memory.card_bytes(offer["vram_gib"]) - lab.budget(model, {"gpus": gpus}, 0).total
    undealt = int(room / (lab.cache_gb(model, 1) * 1e9 * users))
    mistakes = [
        (raw * users, "that is the sum over all users: the answer is for each"),
        (alone, "that is the context of one user alone: all users' caches are there at once"),
        (raw, "no memory makes the model's window longer: at most `window` tokens"),
        (undealt, "each GPU holds only its share of the key-value heads"),
    ]
    reason = next((why for value, why in mistakes if same(got, value) and abs(value - right) > 1), None)
    if isinstance(got, float):
        reason = "whole tokens: an int, rounded down"
    raise CheckFailed(f"longest_context of {where}.", expected=right, got=got, reason=reason)


def _slip(model: dict, offered: list[dict], users: int, context: int, got) -> str | None:
    """The usual slips, each by the machine that it leads to."""
    load = (users, context)

    def first(key):
        return min(lab.serving(model, offered, *load), key=key, default=None)

    def on(other_model=model, others=offered, load=load):
        return lab.reference_choice(other_model, others, *load)

    slips = [
        (on(load=(1, context)), "the cache of one user was counted: all users' are there at once"),
        (first(lambda c: (c["gpus"], c["usd"])), "that is the fewest GPUs: the cheapest machine was asked for"),
        (first(lambda c: (c["usd"] / c["gpus"], c["gpus"])), "that is the cheapest card: a machine costs GPUs x usd"),
        (first(lambda c: -c["longest_context"]), "that is the longest context: the cheapest machine was asked for"),
        (on(others=[{**o, "most": 8} for o in offered]), "no machine takes more than `most` cards"),
        (on(others=[{**o, "most": 1} for o in offered]), "several GPUs may work together: 1, 2, 4 or 8"),
        (on({**model, "parameters": model["active_parameters"]}),
         "active parameters were counted: all experts must be in memory"),
        (on({**model, "group": None, "kept_16bit": 0}), "the weights are flat: pass kept_16bit and group on"),
        (on(others=[{**o, "vram_gib": o["vram_gib"] * 1e9 / 2**30} for o in offered]),
         "GiB were read as GB: a card of N GiB holds N x 2**30 bytes"),
        (on({**model, "window": 10**9}), "the model reads at most `window` tokens: beyond that, nothing serves it"),
    ]  # fmt: skip
    right = on()
    for made, reason in slips:
        if _machine(made) == _machine(got) != _machine(right):
            return reason
    return None


def _machine(choice) -> tuple | None:
    return (choice["card"], choice["gpus"]) if isinstance(choice, dict) else None


def _none(want) -> str:
    if want is None:
        return "no machine on offer serves this load: return None"
    return f"{want['gpus']} x {want['card']} serves it"


def _broken(model: dict, offered: list[dict], users: int, context: int, got: dict, want: dict) -> str:
    """Why the machine in `got` is not the answer."""
    offer = next((o for o in offered if o["card"] == got["card"]), None)
    if offer is None or got["gpus"] not in lab.GPUS or got["gpus"] > offer["most"]:
        return "there is no such machine: a card on offer, and 1, 2, 4 or 8 of it, at most `most`"
    tokens = lab.longest_context(model, offer["vram_gib"], got["gpus"], users)
    if tokens < context:
        return f"on {got['gpus']} x {got['card']} each of them has room for {tokens:,} tokens only"
    usd = got["gpus"] * offer["usd"]
    if usd > want["usd"]:
        cheaper = f"{want['gpus']} x {want['card']} serves them for {want['usd']:,} USD"
        return f"{got['gpus']} x {got['card']} costs {usd:,} USD, and {cheaper}"
    if usd == want["usd"] and got["gpus"] > want["gpus"]:
        return "of two machines that cost the same, take the one with fewer GPUs"
    return "usd is what the machine costs: GPUs x usd of the card"
