"""Structured output: a JSON schema as an automaton over characters, and the mask that it lays over the vocabulary.

A *state* is the set of ways in which the text may still go on: each way is a tuple of parts that are yet to be read.
Reading a character turns a state into the next one; no way left means that the text has left the schema. (These are the
partial derivatives of a regular expression, V. Antimirov 1996, written for a handful of parts.) Real libraries do the
same with more kinds of parts and compiled tables: B. Willard and R. Louf 2023.

A document is written as Python's `json.dumps` writes it: keys in the schema's order, one blank after `,` and `:`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch

PRINTABLE = frozenset(chr(code) for code in range(32, 127)) - {'"', "\\"}  # of a free string; needs no escapes
NO_LIMIT = 10**6
State = frozenset  # of tuples of parts


@dataclass(frozen=True)
class Run:
    """`least` to `most` characters out of `chars`."""

    chars: frozenset
    least: int
    most: int


@dataclass(frozen=True)
class Choice:
    """One of several sequences of parts."""

    options: tuple


@dataclass(frozen=True)
class Within:
    """A sequence of parts of at least `least` and at most `most` characters."""

    parts: tuple
    least: int
    most: int


@dataclass(frozen=True)
class Whole:
    """What is left of a whole number from `low` to `high`, after the characters in `begun`."""

    low: int
    high: int
    begun: str = ""


def compile_schema(schema: dict, lead: str = "") -> State:
    """The first state of the automaton of a JSON schema, after the text `lead`. ValueError, in one sentence, for what
    this subset lacks.

    The subset: objects whose keys are all required and no others allowed; strings with `enum`, or with `pattern` (a
    sequence of characters and classes with *, +, ?, {m,n} between ^ and $) and `minLength`/`maxLength`; integers with
    `minimum` and `maximum`; booleans; arrays with `maxItems` and perhaps `minItems`. So every document is finite."""
    return State([(lead, *_parts(schema)) if lead else _parts(schema)])


def read(state: State, text: str) -> State:
    """The state after reading `text`; empty when the text has left the schema."""
    for char in text:
        state = _step(state, char)
        if not state:
            break
    return state


def complete(state: State) -> bool:
    """Whether the text may end here."""
    return any(_bounds(parts)[0] == 0 for parts in state)


def longest(state: State) -> int:
    """Characters of the longest text that can still follow: no document needs more tokens than this."""
    return max(_bounds(parts)[1] for parts in state)


@lru_cache(maxsize=100_000)
def _step(state: State, char: str) -> State:
    return State(way for parts in state for way in _after(parts, char))


@lru_cache(maxsize=100_000)
def _after(parts: tuple, char: str) -> frozenset:
    """All ways to go on after reading `char` at the start of `parts`; ways that can no longer be finished are left out."""
    if not parts:
        return frozenset()
    first, rest = parts[0], parts[1:]
    skip = _after(rest, char) if _bounds((first,))[0] == 0 else frozenset()
    if isinstance(first, str):
        return frozenset([(first[1:], *rest) if len(first) > 1 else rest]) if first[0] == char else frozenset()
    if isinstance(first, Choice):
        return frozenset(way for option in first.options for way in _after((*option, *rest), char))
    if isinstance(first, Run):
        left = replace(first, least=max(0, first.least - 1), most=first.most - 1)
        mine = [(left, *rest) if left.most else rest] if char in first.chars and first.most else []
        return frozenset(mine) | skip
    if isinstance(first, Whole):
        left = replace(first, begun=first.begun + char)
        return (frozenset([(left, *rest)]) if _possible(left) else frozenset()) | skip
    left = (
        [Within(way, max(0, first.least - 1), first.most - 1) for way in _after(first.parts, char)]
        if first.most
        else []
    )
    fits = [w for w in left if _bounds(w.parts)[0] <= w.most and _bounds(w.parts)[1] >= w.least]
    return frozenset((w, *rest) for w in fits) | skip


@lru_cache(maxsize=100_000)
def _bounds(parts: tuple) -> tuple[int, int]:
    """The fewest and the most characters that `parts` can still take."""
    least = most = 0
    for part in parts:
        if isinstance(part, str):
            low = high = len(part)
        elif isinstance(part, Choice):
            pairs = [_bounds(option) for option in part.options]
            low, high = min(a for a, _ in pairs), max(b for _, b in pairs)
        elif isinstance(part, Run):
            low, high = part.least, part.most
        elif isinstance(part, Within):
            low, high = _bounds(part.parts)
            low, high = max(low, part.least), min(high, part.most)
        else:
            done = _is_number(part.begun) and part.low <= int(part.begun) <= part.high
            width = max(len(str(part.low)), len(str(part.high)))
            low, high = (0 if done else 1), width - len(part.begun)
        least, most = least + low, most + high
    return least, most


def _possible(part: Whole) -> bool:
    """Whether some whole number of the range begins with the characters in `begun`."""
    if part.begun == "-":
        return part.low < 0
    if not _is_number(part.begun):
        return False
    number, sign = abs(int(part.begun)), -1 if part.begun.startswith("-") else 1
    longer = 0 if number == 0 else len(str(max(abs(part.low), abs(part.high))))  # nothing follows a leading zero
    for more in range(longer + 1):  # with `more` further digits, the number is one of these
        ends = sorted((sign * number * 10**more, sign * ((number + 1) * 10**more - 1)))
        if ends[0] <= part.high and ends[1] >= part.low:
            return True
    return False


def _is_number(text: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]*", text) is not None


def _parts(schema: dict) -> tuple:
    kind = schema.get("type")
    if kind == "object":
        keys = schema.get("properties", {})
        if not keys or set(schema.get("required", ())) != set(keys) or schema.get("additionalProperties") is not False:
            raise ValueError("An object here needs properties, all of them required, and additionalProperties false.")
        parts: tuple = ()
        for number, (key, inner) in enumerate(keys.items()):
            parts += (("{" if number == 0 else ", ") + json.dumps(key) + ": ", *_parts(inner))
        return (*parts, "}")
    if kind == "string":
        return _string(schema)
    if kind == "integer":
        if not {"minimum", "maximum"} <= schema.keys() or schema["minimum"] > schema["maximum"]:
            raise ValueError(f"The integer {schema} needs minimum and maximum, the smaller first.")
        return (Whole(schema["minimum"], schema["maximum"]),)
    if kind == "boolean":
        return (Choice((("true",), ("false",))),)
    if kind == "array":
        return _array(schema)
    raise ValueError(f"The type {kind!r} is not in this subset: object, string, integer, boolean or array.")


def _string(schema: dict) -> tuple:
    if "enum" in schema:
        return (Choice(tuple((json.dumps(value),) for value in schema["enum"])),)
    parts = _pattern(schema["pattern"]) if "pattern" in schema else (Run(PRINTABLE, 0, NO_LIMIT),)
    inner = Within(parts, schema.get("minLength", 0), schema.get("maxLength", NO_LIMIT))
    low, high = _bounds((inner,))
    if low > high or high >= NO_LIMIT:
        raise ValueError(f"The string {schema} needs a maxLength that its pattern can meet.")
    return ('"', inner, '"')


def _pattern(pattern: str) -> tuple:
    """The runs of a pattern such as ^[A-Z][a-z]{2,9}$."""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise ValueError(f"The pattern {pattern!r} must begin with ^ and end with $: JSON schema searches otherwise.")
    inside, runs, at = pattern[1:-1], [], 0
    piece = re.compile(r"(\[[^\[\]^\\]+\]|[^\[\]{}()*+?.|^$\\])(\{\d+(?:,\d+)?\}|[*+?])?")
    while at < len(inside):
        found = piece.match(inside, at)
        if not found:
            raise ValueError(f"The pattern {pattern!r} has {inside[at:]!r}, which this subset cannot read.")
        chars = frozenset(char for char in map(chr, range(32, 127)) if re.fullmatch(found[1], char)) - {'"', "\\"}
        least, most = {"*": (0, NO_LIMIT), "+": (1, NO_LIMIT), "?": (0, 1), None: (1, 1)}.get(found[2], (None, None))
        if least is None:
            numbers = [int(n) for n in found[2][1:-1].split(",")]
            least, most = numbers[0], numbers[-1]
        runs.append(Run(chars, least, most))
        at = found.end()
    return tuple(runs)


def _array(schema: dict) -> tuple:
    least, most, item = schema.get("minItems", 0), schema.get("maxItems"), schema.get("items")
    if most is None or item is None or least > most:
        raise ValueError(f"The array {schema} needs items and maxItems, not below minItems.")
    tail: tuple = ()
    for number in range(most, 0, -1):  # from the last item to the first: each may be followed by the rest
        here = (*(() if number == 1 else (", ",)), *_parts(item), *tail)
        tail = here if number <= least else (Choice(((), here)),)
    return ("[", *tail, "]")


class TokenMask:
    """Which tokens of a vocabulary keep a text inside a schema.

    `pieces` are the texts of the tokens by id; a token without text of its own (special, or part of a character) is
    never allowed. `end` is the id of the end token, allowed just when the document is complete. `lead` stands before the
    document (JSON allows blanks there)."""

    def __init__(self, schema: dict, pieces: Sequence[str], end: int, lead: str = ""):
        self.start, self.pieces, self.end = compile_schema(schema, lead), list(pieces), end
        self.tree: dict = {}  # character -> the tree of the tokens that go on with it; "" -> ids of those that end here
        for token, piece in enumerate(self.pieces):
            if piece and "\ufffd" not in piece:
                node = self.tree
                for char in piece:
                    node = node.setdefault(char, {})
                node.setdefault("", []).append(token)
        self.masks: dict[State, torch.Tensor] = {}

    def state(self, written: Sequence[int]) -> State:
        """The state after the tokens `written`."""
        return read(self.start, "".join(self.pieces[token] for token in written))

    def allowed(self, state: State) -> torch.Tensor:
        """The mask (vocabulary), True where a token may come next. Computed once for each state: the tree of the
        vocabulary and the automaton are walked together, so that whole branches of tokens drop out at once."""
        if state not in self.masks:
            mask = torch.zeros(len(self.pieces), dtype=torch.bool)
            todo = [(state, self.tree)]
            while todo:
                here, node = todo.pop()
                mask[node.get("", [])] = True
                todo += [(after, node[char]) for char in node if char and (after := _step(here, char))]
            mask[self.end] = complete(state)
            self.masks[state] = mask
        return self.masks[state]

    def __call__(self, row: int, written: Sequence[int]) -> torch.Tensor:
        """The mask for `lessonlib.labs.sampling.write`."""
        return self.allowed(self.state(written))


def token_texts(tokenizer, size: int) -> list[str]:
    """The text of every token id below `size` (the width of the logits), "" for special and missing ones.

    ValueError for a tokenizer whose tokens change their text with their neighbours (SentencePiece kinds)."""
    special = set(tokenizer.all_special_ids)
    pieces = ["" if i in special or i >= len(tokenizer) else tokenizer.decode([i]) for i in range(size)]
    sample = tokenizer.encode('{"a": [12, "Bob"]}', add_special_tokens=False)
    if "".join(pieces[i] for i in sample) != tokenizer.decode(sample):
        raise ValueError("This tokenizer's tokens have no text of their own: take a byte-level one.")
    return pieces
