"""A text to learn from that needs no download: very short stories, drawn from a few plots with slots to fill.

Every story comes with its exact probability, so the best loss that any model can reach on these stories is known. The
slots are filled at random and independently; what a plot repeats (a name, a colour, a toy) is the same each time."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass

GIRLS = ("Anna", "Lily", "Mia", "Sue", "Lucy", "Sara", "Jane", "Emma")
BOYS = ("Tom", "Ben", "Max", "Tim", "Sam", "Jack", "Leo", "Fred")
SLOTS = {
    "hero": GIRLS + BOYS,
    "color": ("red", "blue", "green", "yellow", "white", "black", "pink", "brown"),
    "toy": ("ball", "box", "hat", "car", "boat", "book", "doll", "drum"),
    "place": ("park", "garden", "forest", "kitchen", "school", "barn", "shop", "river"),
    "animal": ("dog", "cat", "bird", "frog", "bear", "duck", "horse", "mouse"),
    "size": ("big", "small", "young", "little"),
    "mood": ("sad", "angry", "tired", "scared"),
    "food": ("cake", "bread", "soup", "apple pie", "rice", "fish", "milk", "honey"),
}
PLOTS = (
    "{hero} had a {color} {toy}. One day {he} took it to the {place}. A {size} {animal} came and ran away with the {toy}. "
    "{hero} was {mood}. {He} gave the {animal} some {food}, and the {animal} gave back the {color} {toy}.",
    "Once there was a {size} {animal}. It lived in the {place} and liked {food}. One day it met {hero}. {He} was {mood}, "
    "for {he} had lost a {color} {toy}. The {animal} found the {toy}, and {hero} gave it {food}.",
    "{hero} went to the {place} to buy {food}. On the way {he} saw a {size} {animal} in a {color} {toy}. The {animal} was "
    "{mood}. {hero} helped it, and the {animal} was not {mood} any more. They ate the {food} together.",
    "\"Where is my {color} {toy}?\" said {hero}. {He} looked in the {place}, but there was only a {size} {animal}. The {animal} "
    "was {mood} and wanted {food}. {hero} got some {food}. Then the {animal} said, \"Your {toy} is here.\"",
)  # fmt: skip


@dataclass(frozen=True)
class Story:
    """A story: its `text`, and `nats`, the surprise -ln p of the whole story for one who knows how stories are made."""

    text: str
    nats: float


def story(rng: random.Random) -> Story:
    """One story, drawn with `rng`: a plot, then one word for each slot. All words of a slot are equally likely, so
    p = 1 / (plots x product of the slot sizes), and nats = -ln p."""
    plot = rng.choice(PLOTS)
    words = {slot: rng.choice(options) for slot, options in SLOTS.items()}
    he = "she" if words["hero"] in GIRLS else "he"
    options = math.prod(len(options) for options in SLOTS.values()) * len(PLOTS)  # every plot uses every slot
    return Story(plot.format(**words, he=he, He=he.capitalize()), math.log(options))


def stories(count: int, seed: int) -> list[Story]:
    """`count` stories; the same `seed` gives the same ones."""
    rng = random.Random(f"stories/{seed}")
    return [story(rng) for _ in range(count)]


def is_story(text: str) -> bool:
    """Whether `text` is a story that `story` could have made: a plot, kept to the end, the same word in each repeat."""
    return any(pattern.fullmatch(text.strip()) and _agrees(text, pattern) for pattern in _PATTERNS)


def known_sentences(text: str) -> list[bool]:
    """For each whole sentence of `text`: whether some plot has it, with any words of the right kind in its slots."""
    return [any(p.fullmatch(s) for p in _SENTENCES) for s in sentences(text)]


def sentences(text: str) -> list[str]:
    """The whole sentences of `text`: up to a full stop or question mark, and the quotation mark after it."""
    return [s.strip() for s in re.findall(r"[^.?]*[.?][\"”]?(?: said [^.?]+\.)?", text) if s.strip()]


def _pattern(template: str, whole: bool) -> re.Pattern:
    """A regular expression for a plot: each slot one of its words; when `whole`, a repeated slot repeats its word."""
    seen, parts = set(), []
    for piece in re.split(r"(\{\w+\})", template):
        name = piece[1:-1]
        if not piece.startswith("{"):
            parts.append(re.escape(piece))
        elif name in seen and whole:
            parts.append(f"(?P={name})")
        else:
            options = {"he": ("he", "she"), "He": ("He", "She")}.get(name) or SLOTS[name]
            group = "|".join(map(re.escape, options))
            parts.append(f"(?P<{name}>{group})" if whole else f"(?:{group})")
            seen.add(name)
    return re.compile("".join(parts))


def _agrees(text: str, pattern: re.Pattern) -> bool:
    """Whether the pronouns fit the name."""
    found = pattern.fullmatch(text.strip()).groupdict()
    right = "she" if found["hero"] in GIRLS else "he"
    return all(found[name].lower() == right for name in ("he", "He") if name in found)


_PATTERNS = [_pattern(plot, whole=True) for plot in PLOTS]
_SENTENCES = [_pattern(s, whole=False) for plot in PLOTS for s in sentences(plot)]
