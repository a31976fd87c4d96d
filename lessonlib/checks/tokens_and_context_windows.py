"""Checks of lesson 04, second half: an estimate with its error, and a history that fits a window."""

from __future__ import annotations

from fractions import Fraction

from ..calc import context
from .core import CheckFailed, check_for, expect, property_of

VERDICTS = ("fits", "count first", "too long")


@check_for(
    "l04_e3",
    title="An estimate with an honest error",
    minutes=8,
    hints=[
        "Each sample gives tokens / characters. The documents have a size in characters: what do the smallest and the "
        "largest of these rates make of it?",
        "low = documents × smallest rate, rounded down; high = documents × largest rate, rounded up. Rounding must never "
        "make the interval narrower.",
        "The answer needs room in the window as well. high + answer <= window: it fits for sure. low + answer > window: it "
        "is too long for sure. Between the two an estimate cannot decide.",
    ],
)
def check_plan(answer, rng):
    """One job for each verdict, and one at the very edge."""
    for verdict in VERDICTS:
        _compare_plan(answer, *_job(rng, verdict))
    _compare_plan(answer, *_job(rng, "edge"))


@property_of("l04_e3", "other samples, documents and windows")
def plan_any(answer, rng):
    """Nine random jobs."""
    for verdict in (*VERDICTS, *VERDICTS, *VERDICTS):
        _compare_plan(answer, *_job(rng, verdict))


@property_of("l04_e3", "to the last token of the window")
def plan_at_the_edge(answer, rng):
    """A request that fills the window exactly fits, one more token does not."""
    for _ in range(3):
        samples, characters, reserve, window = _job(rng, "edge")
        _compare_plan(answer, samples, characters, reserve, window)
        _compare_plan(answer, samples, characters, reserve, window - 1)
        lowest = _bounds(samples, characters)[0] + reserve  # at best the window is full: nobody knows before counting
        _compare_plan(answer, samples, characters, reserve, lowest)
        _compare_plan(answer, samples, characters, reserve, lowest - 1)


@property_of("l04_e3", "one more sample never makes the error smaller")
def plan_widens(answer, rng):
    """low can only fall and high only rise."""
    samples, characters, reserve, window = _job(rng, "fits")
    few, many = (_triple(answer(s, characters, reserve, window)) for s in (samples[:2], samples))
    if not (many[0] <= few[0] <= few[1] <= many[1]):
        raise CheckFailed(
            "A further sample must not narrow the interval, and low must not exceed high.",
            expected=f"{many[0]:,} <= {few[0]:,} <= {few[1]:,} <= {many[1]:,}", got=[few[:2], many[:2]],
        )  # fmt: skip


@check_for(
    "l04_e4",
    title="The newest messages that fit",
    minutes=9,
    hints=[
        "What may the messages take together? The window, minus what is always there, minus the room for the answer.",
        "Go from the newest message backwards and keep adding, as long as the sum still fits.",
        "Stop at the first message that does not fit: an older, shorter one behind it would stand there without its "
        "context. Positions come back oldest first.",
    ],
)
def check_history(answer, rng):
    """Histories on which the usual mistakes differ, one that fits whole, one that fills the window, and one of which nothing fits."""
    for _ in range(3):
        _compare_history(answer, *_conversation(rng))
    _compare_history(answer, 8192, 900, 1000, [300, 40, 500])
    _compare_history(answer, 2600, 900, 1000, [300, 200, 500])
    _compare_history(answer, 4096, 900, 1000, [200, 3000])


@property_of("l04_e4", "other conversations")
def history_any(answer, rng):
    """Eight random ones."""
    for _ in range(8):
        _compare_history(answer, *_conversation(rng))


@property_of("l04_e4", "a history that fills the window to the last token")
def history_exact(answer, rng):
    """No token is left over, and none is missing."""
    messages = [rng.randint(20, 400) for _ in range(rng.randint(4, 9))]
    fixed, reserve, from_here = rng.randint(100, 900), rng.randint(100, 900), rng.randint(1, 3)
    window = fixed + reserve + sum(messages[from_here:])
    _compare_history(answer, window, fixed, reserve, messages)


@property_of("l04_e4", "a larger window keeps at least as much")
def history_grows(answer, rng):
    """Monotony in the window; the newest message is the last to go."""
    window, fixed, reserve, messages = _conversation(rng)
    kept = [_history(answer(w, fixed, reserve, list(messages)))[0] for w in (window, window + 500, window + 9000)]
    if not (set(kept[0]) <= set(kept[1]) <= set(kept[2])) or len(messages) - 1 not in kept[2]:
        raise CheckFailed(
            "A larger window must keep what a smaller one keeps, the newest message first.",
            expected="growing sets of positions", got=kept,
        )  # fmt: skip


# Inputs, made from the check's own random numbers.


def _job(rng, verdict: str):
    """(samples, characters, answer, window) with this verdict; rates whose bounds end in fractions that tell rounding."""
    while True:
        samples = [(rng.randint(300, 900), rng.randint(70, 330)) for _ in range(rng.randint(3, 5))]
        characters, answer = rng.randint(20_000, 400_000), rng.randint(500, 4000)
        rates = sorted((tokens / size, size, tokens) for size, tokens in samples)
        parts = [(characters * t % s) / s for _, s, t in (rates[0], rates[-1])]
        low, high = _bounds(samples, characters)
        if not (0.55 < parts[0] < 0.98 and 0.02 < parts[1] < 0.45 and high > 1.2 * low + answer):
            continue
        window = {
            "fits": high + answer + rng.randint(1, answer - 1),  # without its own room the answer would not fit
            "count first": rng.randint(low + answer + 1, high),  # the answer's room decides for some
            "too long": low + rng.randint(1, answer - 1),  # fits, if the answer is forgotten
            "edge": high + answer,
        }[verdict]
        return samples, characters, answer, window


def _bounds(samples, characters: int) -> tuple[int, int]:
    """Whole numbers throughout, so that no rounding of floats decides."""
    low = min(characters * tokens // size for size, tokens in samples)
    high = max(-(-characters * tokens // size) for size, tokens in samples)
    return low, high


def _conversation(rng):
    """(window, fixed, reserve, messages): some go, some stay, and behind the first that goes stands a short one."""
    while True:
        messages = [rng.randint(150, 700) for _ in range(rng.randint(6, 10))]
        fixed, reserve = rng.randint(300, 900), rng.randint(400, 900)
        first = rng.randint(2, len(messages) - 2)
        messages[first - 2] = rng.randint(5, 20)  # short: it would fit again, but its answer is gone
        room = sum(messages[first:]) + rng.randint(25, messages[first - 1] - 1)
        window = fixed + reserve + room
        want = context.fit_history(window, fixed, reserve, messages)
        without = [_run(messages, room + forgotten) for forgotten in (0, reserve, fixed)]
        if list(want.kept) == without[0] and len(set(map(tuple, without))) == 3:
            return window, fixed, reserve, messages


def _run(messages, room: int) -> list[int]:
    """Positions of the unbroken run of newest messages that fit into `room`."""
    return [i for i in range(len(messages)) if sum(messages[i:]) <= room]


# Comparisons: each knows the values that the usual mistakes make.


def _triple(got):
    if not isinstance(got, tuple | list) or len(got) != 3:
        raise CheckFailed("The answer has three parts.", expected='(low, high, "fits")', got=got)
    got = [part.tolist() if hasattr(part, "tolist") else part for part in got]  # numbers of NumPy or torch
    for name, value in zip(("low", "high"), got, strict=False):
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float | Fraction)
            or value != value
            or value in (1e999, -1e999)
        ):
            raise CheckFailed(f"{name} is a number of tokens.", expected="a whole number", got=value)
    return got


def _compare_plan(answer, samples, characters: int, reserve: int, window: int) -> None:
    low, high = _bounds(samples, characters)
    got = _triple(answer(list(samples), characters, reserve, window))
    rates = [tokens / size for size, tokens in samples]
    middle = sum(rates) / len(rates) * characters
    shared = [
        (characters / 4, "that is the rule of thumb of 4 characters: use the measured samples"),
        (characters // 4, "that is the rule of thumb of 4 characters: use the measured samples"),
        (-(-characters // 4), "that is the rule of thumb of 4 characters: use the measured samples"),
    ]
    upside = [characters * size / tokens for size, tokens in samples]
    tops = [
        (round(characters * max(rates)), "high was rounded to the nearest or down: round it up"),
        (int(characters * max(rates)), "high was rounded to the nearest or down: round it up"),
        (low, "low and high are the same: take the largest rate for high"),
        (round(middle), "that is the mean of the samples: an honest error shows the extremes"),
        (-int(-middle // 1), "that is the mean of the samples: an honest error shows the extremes"),
        (-int(-max(upside) // 1), "characters per token were multiplied: use tokens per character"),
        *shared,
    ]
    bottoms = [
        (round(characters * min(rates)), "low was rounded to the nearest or up: round it down"),
        (low + 1, "low was rounded to the nearest or up: round it down"),
        (high, "low and high are swapped" if got[1] == low else "low uses the largest rate: take the smallest"),
        (int(middle), "that is the mean of the samples: an honest error shows the extremes"),
        (round(middle), "that is the mean of the samples: an honest error shows the extremes"),
        (int(min(upside)), "characters per token were multiplied: use tokens per character"),
        *shared,
    ]
    what = f"{characters:,} characters, by samples (characters, tokens) {samples}."
    expect(got[0], low, f"low of {what}", mistakes=bottoms)
    expect(got[1], high, f"high of {what}", mistakes=tops)
    expect(
        got[2], _verdict(low, high, reserve, window),
        f"{low:,} to {high:,} tokens, an answer of {reserve:,}, a window of {window:,}.",
        mistakes=_verdict_mistakes(low, high, reserve, window),
    )  # fmt: skip


def _verdict(low: int, high: int, reserve: int, window: int) -> str:
    if high + reserve <= window:
        return "fits"
    return "too long" if low + reserve > window else "count first"


def _verdict_mistakes(low, high, reserve, window):
    yield _verdict(low, high, 0, window), "the answer needs room in the window too"
    if high + reserve == window:
        yield "count first", "a request that fills the window exactly still fits"
    yield _verdict(low, low, reserve, window), "the lower bound alone decided: it may be more"
    yield _verdict(high, high, reserve, window), "the upper bound alone decided: it may be less"


def _history(got):
    kept = got[0] if isinstance(got, tuple | list) and len(got) == 2 else None
    kept = kept.tolist() if hasattr(kept, "tolist") else kept  # an array of NumPy or torch
    if not isinstance(kept, tuple | list | range):
        raise CheckFailed("The answer has two parts.", expected="([2, 3, 4], 150)", got=got)
    return list(kept), got[1]


def _compare_history(answer, window: int, fixed: int, reserve: int, messages) -> None:
    want = context.fit_history(window, fixed, reserve, messages)
    kept, headroom = _history(answer(window, fixed, reserve, list(messages)))
    last = len(messages)
    room = window - fixed - reserve
    oldest = [i for i in range(last) if sum(messages[: i + 1]) <= room]
    gaps, left = [], room
    for i in reversed(range(last)):
        if messages[i] <= left:
            gaps, left = [i, *gaps], left - messages[i]
    mistakes = [
        (oldest, "the newest messages went first: drop the oldest"),
        (_run(messages, room - 1), "a request that fills the window exactly still fits"),
        (_run(messages, room + reserve), "the answer has no room left: subtract the reserve too"),
        (_run(messages, room + fixed), "what is always there was forgotten: subtract it too"),
        (gaps, "an older message stays where a newer one went: what stays is an unbroken run up to the newest"),
        (list(want.kept)[::-1], "positions come back oldest first"),
        ([messages[i] for i in want.kept], "these are the sizes of the messages: give their positions"),
        (list(want.dropped), "these are the messages that go: give those that stay"),
        ([p + 1 for p in want.kept], "positions start at 0"),
    ]
    what = f"Window {window:,}, fixed {fixed:,}, reserve {reserve:,}, messages {list(messages)}."
    expect(kept, list(want.kept), f"{what} The positions that stay.", mistakes=mistakes)
    spare = [
        (want.headroom + reserve, "the reserve belongs to the answer: it is not headroom"),
        (want.headroom + fixed, "what is always there takes room too"),
        (want.used, "that is what the request takes: headroom is the window minus it"),
        (room, "that is the room before the messages: subtract those that stay"),
        (window - fixed - reserve - sum(messages), "that subtracts all messages: only those that stay take room"),
    ]
    expect(headroom, want.headroom, f"{what} The headroom.", mistakes=spare)
