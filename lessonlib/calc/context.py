"""What fits into a context window: a budget with parts, a history that is cut, a document that is split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .breakdown import Breakdown
from .units import positive

RESERVE = "reserve for the answer"


@dataclass(frozen=True)
class ContextBudget:
    """Tokens of one request. `breakdown` holds the parts and the reserve; `headroom` is negative when they are too many."""

    window: int
    breakdown: Breakdown

    @property
    def used(self) -> int:
        """All parts and the reserve, tokens."""
        return self.breakdown.total

    @property
    def headroom(self) -> int:
        """window - used, tokens: what is left, or (below 0) how much is too much."""
        return self.window - self.used

    @property
    def share(self) -> float:
        """used / window."""
        return self.used / self.window

    @property
    def fits(self) -> bool:
        """Whether the window holds everything."""
        return self.headroom >= 0

    def as_dict(self) -> dict:
        """Plain data for JSON."""
        return {
            "window": self.window,
            "used": self.used,
            "headroom": self.headroom,
            "share": self.share,
            "fits": self.fits,
            "breakdown": dict(self.breakdown),
        }


@dataclass(frozen=True)
class History:
    """Which messages of a conversation stay (positions, oldest first), and what the request then takes, in tokens."""

    kept: tuple[int, ...]
    dropped: tuple[int, ...]
    used: int
    headroom: int


def budget(window: int, parts: Mapping[str, int], reserve: int = 0) -> ContextBudget:
    """The budget of a request: named parts (system prompt, tools, history, documents, question) in tokens, and the
    tokens that the answer may take, which the window must hold as well."""
    positive("window", window)
    positive("reserve", reserve, zero=True)
    for name, tokens in parts.items():
        positive(str(name), tokens, zero=True)
    if reserve and RESERVE in parts:
        raise ValueError(f"The part {RESERVE!r} stands in parts already; give the reserve once.")
    return ContextBudget(window, Breakdown({**parts, **({RESERVE: reserve} if reserve else {})}, unit="tokens"))


def fit_history(window: int, fixed: int, reserve: int, messages: Sequence[int]) -> History:
    """Cut a conversation to the window as a chat server does: the system prompt and all else in `fixed` stay, the oldest
    messages go first, and what stays is an unbroken run up to the newest.

    `messages` are tokens, oldest first. When not even the newest fits, none is kept. ValueError when `fixed` and
    `reserve` alone are too long."""
    room = largest_document(window, {"fixed": fixed}, reserve)
    for position, tokens in enumerate(messages):
        positive(f"message {position}", tokens, zero=True)
    first, kept_tokens = len(messages), 0
    while first and kept_tokens + messages[first - 1] <= room:
        first -= 1
        kept_tokens += messages[first]
    used = fixed + reserve + kept_tokens
    return History(tuple(range(first, len(messages))), tuple(range(first)), used, window - used)


def largest_document(window: int, parts: Mapping[str, int], reserve: int = 0) -> int:
    """Tokens of the longest document that still fits beside the parts and the reserve: the budget's headroom.

    ValueError when the parts are too long without any document."""
    rest = budget(window, parts, reserve)
    if not rest.fits:
        raise ValueError(
            f"The parts and the reserve take {rest.used:,} tokens, but the window holds {window:,}: "
            f"shorten them by {-rest.headroom:,}."
        )
    return rest.headroom


def chunks(tokens: int, size: int, overlap: int = 0) -> list[tuple[int, int]]:
    """(start, end) of the pieces of a document that is too long: at most `size` tokens each, each beginning `overlap`
    tokens before the end of the one before it."""
    positive("tokens", tokens, zero=True)
    positive("size", size)
    if positive("overlap", overlap, zero=True) >= size:
        raise ValueError(f"overlap is {overlap}, but must be smaller than the piece of {size} tokens.")
    pieces = []
    start = 0
    while start < tokens:
        pieces.append((start, min(start + size, tokens)))
        if pieces[-1][1] == tokens:
            break
        start += size - overlap
    return pieces
