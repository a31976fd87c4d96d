"""Checks of lesson 11, first half: what fits a card and a window, and what a licence lets you do.

The second half, scores and ranking, is in `choosing_scores`, which this module brings along."""

from __future__ import annotations

from fractions import Fraction

from ..calc import memory
from ..labs import choosing_a_model as lab
from . import choosing_scores  # noqa: F401  (registers the other two exercises)
from .core import CheckFailed, check_for, expect, property_of

FAMILIES = ("qwen3-coder-30b-a3b", "qwen2.5-coder-32b", "llama-3.3-70b", "mixtral-8x7b")  # plain caches, real shapes
BIG = 10**9  # users that pass every limit


@check_for(
    "l11_e1",
    title="What is left of the window and of the card",
    minutes=10,
    hints=[
        "Two subtractions. Tokens: the window minus everything the model must hold at once. Bytes: the card minus what "
        "lies on it. Let both go below 0.",
        "The answer lies in the same window as the prompt. On the card lie all weights (a router may need any expert), "
        "the overhead, and one cache for each sequence.",
        "Cache: 2 x layers x kv_heads x head_dim x tokens x sequences x bytes_per_value. Weights: total_params x bits "
        "/ 8. The card: card_gib x 2**30.",
    ],
)
def check_headroom(answer, rng):
    """Made-up models, so that no two mistakes give one number, then real ones."""
    for too_large in ({}, {}, {"card_gib": 24, "bits_per_weight": 16}):
        _compare_headroom(answer, _shape(rng), _need(rng) | too_large)
    _compare_headroom(answer, lab.shape(rng.choice(FAMILIES)), _need(rng))


@property_of("l11_e1", "real models, on other cards and tasks")
def headroom_of_real_models(answer, rng):
    """Every plain-cache family."""
    for name in FAMILIES:
        _compare_headroom(answer, lab.shape(name), _need(rng))


@property_of("l11_e1", "a sequence more costs one more cache, and no window")
def headroom_of_sequences(answer, rng):
    """Linearity in the sequences."""
    model, need = _shape(rng), _need(rng)
    spare = [_pair(answer(dict(model), {**need, "sequences": n})) for n in (1, 2, 3)]
    expect(spare[1][0], spare[0][0], "Another sequence has a window of its own.")
    one = spare[0][1] - spare[1][1]
    if not one > 0:
        raise CheckFailed("Another sequence must cost bytes.", expected="above 0", got=one)
    expect(spare[1][1] - spare[2][1], one, "Each sequence must cost the same.", rel=1e-6)


@property_of("l11_e1", "active parameters and query heads change nothing")
def headroom_ignores(answer, rng):
    """What a token uses is not what lies on the card."""
    model, need = _shape(rng), _need(rng)
    want = lab.headroom(model, need)
    for change in ({"active_params": model["active_params"] // 2}, {"heads": 2 * model["heads"]}):
        got = _pair(answer({**model, **change}, dict(need)))
        _same(got, want, f"With another value of {next(iter(change))} the answer must stay.")


@property_of("l11_e1", "what does not fit is negative")
def headroom_below_zero(answer, rng):
    """A card that is too small, and a window that is too short."""
    model = _shape(rng)
    need = {**_need(rng), "card_gib": 1, "prompt_tokens": model["advertised_window"] + 7}
    _compare_headroom(answer, model, need)


@check_for(
    "l11_e2",
    title="A licence as a decision",
    minutes=10,
    hints=[
        "Three questions in a row: is this use granted at all? Must you ask first? What must you do? The first "
        "question that says no ends it.",
        'Not granted: commercial use without "commercial", or a domicile in "not_granted_in". Ask: '
        'users_at_release above "ask_above_users_at_release". A limit of None is no limit.',
        'Duties: "show the name" for commercial use, always or above EITHER monthly limit (more than, not from); '
        '"follow the use policy" whenever there is one.',
    ],
)
def check_decide(answer, rng):
    """Real licences, each at the place where a misreading shows."""
    for terms, use, why in _licence_cases():
        _compare_decision(answer, terms, use, why)


@property_of("l11_e2", "made-up licences and users")
def decide_any(answer, rng):
    """Thirty random pairs."""
    for _ in range(30):
        _compare_decision(answer, _terms(rng), _use(rng), None)


@property_of("l11_e2", "every licence of the fact base, at and just above its limits")
def decide_at_limits(answer, rng):
    """One user or one dollar decides."""
    for licence in lab.licences():
        terms = lab.terms(rng.choice(licence["models"]))
        for extra in (0, 1):
            use = dict(commercial=True, domicile=rng.choice(["US", "JP"]), users_at_release=700_000_000 + extra)
            use |= dict(users=100_000_000, revenue_usd=20_000_000 + extra)
            _compare_decision(answer, terms, use, None)


@property_of("l11_e2", "growth never takes a duty away")
def decide_monotone(answer, rng):
    """More users and more revenue, same licence."""
    for _ in range(10):
        terms, use = {**_terms(rng), "ask_above_users_at_release": None}, _use(rng)
        small, large = (
            _decision(answer(dict(terms), dict(u))) for u in (use, {**use, "users": BIG, "revenue_usd": BIG})
        )
        if small[0] != large[0] or not small[1] <= large[1]:
            raise CheckFailed("More users and revenue removed a duty.", expected=f"at least {small}", got=large)
        _compare_decision(answer, terms, {**use, "users": BIG, "revenue_usd": BIG}, None)


# Inputs.


def _shape(rng) -> dict:
    kv_heads, native = rng.choice([2, 4, 8]), rng.choice([32_768, 40_960, 65_536])
    total = rng.randrange(20, 90) * 10**9
    return dict(
        total_params=total, active_params=total // rng.randint(5, 12), layers=rng.randint(24, 80),
        heads=kv_heads * rng.choice([3, 5, 7]), kv_heads=kv_heads, head_dim=rng.choice([64, 96, 128]),
        native_window=native, advertised_window=native * 4,
    )  # fmt: skip


def _need(rng) -> dict:
    return dict(
        card_gib=rng.choice([24, 48, 80, 141]), overhead_bytes=rng.randrange(10, 30) * 10**8,
        bits_per_weight=rng.choice([4, 8, 16]), bytes_per_value=rng.choice([1, 2]), sequences=rng.randint(3, 6),
        prompt_tokens=rng.randint(4_000, 24_000), answer_tokens=rng.randint(500, 4_000),
    )  # fmt: skip


def _terms(rng) -> dict:
    def limit(*values):
        return rng.choice([None, *values])

    return dict(
        name="a made-up licence", commercial=rng.random() < 0.8, not_granted_in=rng.choice([[], [], ["EU"], ["EU", "UK"]]),
        ask_above_users_at_release=limit(5_000_000, 700_000_000), show_name_always=rng.random() < 0.3,
        show_name_above_users=limit(1_000_000, 100_000_000), show_name_above_revenue_usd=limit(50_000, 20_000_000),
        use_policy=rng.random() < 0.5,
    )  # fmt: skip


def _use(rng) -> dict:
    users = [0, 1_000_000, 1_000_001, 5_000_000, 5_000_001, 100_000_000, 100_000_001, 700_000_000, 700_000_001]
    return dict(
        commercial=rng.random() < 0.75, domicile=rng.choice(["EU", "US", "UK", "JP"]), users_at_release=rng.choice(users),
        users=rng.choice(users), revenue_usd=rng.choice([0, 50_000, 50_001, 20_000_000, 20_000_001]),
    )  # fmt: skip


def _licence_cases():
    """(terms, use, the likely reason when the answer is another)."""

    def use(**change):
        base = dict(commercial=True, domicile="US", users_at_release=1_000, users=2_000, revenue_usd=5_000)
        return base | change

    apache, research, llama3 = (lab.terms(m) for m in ("qwen3-32b", "mistral-large-2", "llama-3.3-70b"))
    llama4, kimi, minimax = (lab.terms(m) for m in ("llama-4-scout", "kimi-k2.5", "minimax-m2.5"))
    huge = dict(users_at_release=BIG, users=BIG, revenue_usd=BIG)
    return [
        (apache, use(domicile="EU", **huge), "a permissive licence has no limits: None is no limit"),
        (research, use(), "a research licence grants no commercial use, however small the company"),
        (research, use(commercial=False), "what it does grant is research: not commercial"),
        (llama3, use(domicile="EU"), "the EU clause is about multimodal models: read the terms, not the family's name"),
        (llama3, use(users_at_release=700_000_000), "the clause says MORE than 700 million: the limit itself is free"),
        (llama3, use(users=BIG), "the clause counts users on the release date, not today's"),
        (llama3, use(users_at_release=700_000_001), "above the limit the answer is to ask, neither yes nor no"),
        (llama4, use(domicile="EU"), "nothing is granted to an EU domicile: look into not_granted_in"),
        (llama4, use(domicile="EU", commercial=False), "the domicile counts for non-commercial use as well"),
        (llama4, use(domicile="EU", **huge), "where nothing is granted, asking comes too late: no stands before ask"),
        (llama4, use(), "outside not_granted_in it is granted, with its duties"),
        (kimi, use(users=150_000_000), "either limit is enough: users OR revenue"),
        (kimi, use(revenue_usd=25_000_000), "either limit is enough: users OR revenue"),
        (kimi, use(users=100_000_000, revenue_usd=20_000_000), "MORE than the limits: the limits themselves are free"),
        (kimi, use(commercial=False, users=150_000_000), "the name is owed by commercial products only"),
        (minimax, use(), "show_name_always asks it of every commercial product, whatever its size"),
        (minimax, use(commercial=False), "the name is owed by commercial products only"),
        (lab.terms("gemma-3-27b"), use(), "a use policy is a duty of its own"),
        (lab.terms("gemma-3-27b"), use(commercial=False), "a use policy binds every user, not commercial ones alone"),
    ]  # fmt: skip


# Comparisons.


def _pair(got):
    got = got.tolist() if hasattr(got, "tolist") else got
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise CheckFailed("Return two numbers: (spare tokens, spare bytes).", expected="a pair", got=got)
    values = [value.tolist() if hasattr(value, "tolist") else value for value in got]  # NumPy's and torch's numbers
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float | Fraction):
            raise CheckFailed("Return two numbers: (spare tokens, spare bytes).", expected="numbers", got=got)
    return tuple(float(value) if isinstance(value, Fraction) else value for value in values)


def _same(got, want, what: str) -> None:
    expect(got[0], want[0], what)
    expect(got[1], want[1], what, rel=1e-6)


def _compare_headroom(answer, model: dict, need: dict) -> None:
    want, got = lab.headroom(model, need), _pair(answer(dict(model), dict(need)))
    prompt, tokens = need["prompt_tokens"], need["prompt_tokens"] + need["answer_tokens"]
    what = f"A model of {model['total_params'] / 1e9:.0f}B on {need['card_gib']} GiB: {need}."
    windows = [
        (model["advertised_window"] - tokens, "that is the advertised window: it needs an extension such as YaRN"),
        (model["native_window"] - prompt, "the answer was forgotten: it lies in the same window as the prompt"),
        (model["advertised_window"] - prompt, "that is the advertised window, and the answer was forgotten"),
        (max(0, want[0]), "a lack was hidden: what does not fit is negative"),
        (model["native_window"] - tokens * need["sequences"], "each sequence has a window of its own"),
        (want[1], "the order is (spare tokens, spare bytes)"),
    ]
    expect(got[0], want[0], f"Spare tokens. {what}", mistakes=windows)
    expect(
        got[1], want[1], f"Spare bytes. {what}", mistakes=_byte_slips(model, need, want[1], prompt, tokens), rel=1e-6
    )


def _byte_slips(model, need, want, prompt: int, tokens: int):
    card, bits = memory.card_bytes(need["card_gib"]), need["bits_per_weight"]
    stored = model["total_params"] * bits / 8
    one_token = 2 * model["layers"] * model["kv_heads"] * model["head_dim"] * need["bytes_per_value"]
    caches = one_token * tokens * need["sequences"]
    return [
        (want + stored - model["active_params"] * bits / 8, "that counts active parameters: all experts lie on the card"),
        (want - card + need["card_gib"] * 10**9, "the card was taken as GB (1e9): cards are sold in GiB (2**30)"),
        (want + caches, "the caches were forgotten"),
        (want + caches - caches * model["heads"] / model["kv_heads"], "that counts query heads: only KV heads are kept"),
        (want + caches / 2, "that counts K or V alone: the cache holds both"),
        (want + caches - one_token * tokens, "one sequence only: each sequence has a cache of its own"),
        (want + caches - one_token * prompt * need["sequences"], "the answer was forgotten: its tokens are cached too"),
        (want + need["overhead_bytes"], "the overhead was forgotten"),
        (want + stored - model["total_params"] * bits, "bits were taken as bytes: divide by 8"),
        (want + stored, "the weights were forgotten"),
        (max(0, want), "a lack was hidden: what does not fit is negative"),
        (want / 1e9, "that is in GB: the answer is in plain bytes"),
        (want / 2**30, "that is in GiB: the answer is in plain bytes"),
    ]  # fmt: skip


def _decision(got):
    if isinstance(got, str) or not isinstance(got, tuple | list) or len(got) != 2:
        raise CheckFailed("Return the answer and the duties.", expected='such as ("yes", ["show the name"])', got=got)
    word, duties = got
    if word not in ("yes", "ask", "no") or not isinstance(duties, list | tuple | set | frozenset):
        raise CheckFailed(
            'The answer is "yes", "ask" or "no", then a list of duties.', expected="yes, ask or no", got=got
        )
    if len(duties) != len(set(duties)) or not set(duties) <= {lab.SHOW, lab.POLICY}:
        raise CheckFailed("Duties are these words, each at most once.", expected=[lab.SHOW, lab.POLICY], got=duties)
    return word, set(duties)


def _compare_decision(answer, terms: dict, use: dict, why: str | None) -> None:
    word, duties = lab.decide(terms, use)
    got = _decision(answer(dict(terms), dict(use)))
    if got == (word, set(duties)):
        return
    if why is None and got[0] == word == "yes":
        extra, missing = sorted(got[1] - set(duties)), sorted(set(duties) - got[1])
        why = f"a duty too many: {', '.join(extra)}" if extra else f"a duty is missing: {', '.join(missing)}"
    if got[0] == word != "yes":
        why = "duties belong to a yes: without one the list is empty"
    raise CheckFailed(f"{terms['name']}, use {use}.", expected=(word, duties), got=(got[0], sorted(got[1])), reason=why)
