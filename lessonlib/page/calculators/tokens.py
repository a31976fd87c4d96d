"""Tokens of a text, and what of a request fits into the window of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace

from lessonlib.calc import context, tokens
from lessonlib.facts import catalog

from . import presets
from .base import Answer, Calculator, percent
from .drawings import stacked_bars
from .fields import OWN, Number, Text

SAMPLE = "Self-hosting means that the model, the prompts and the answers stay on machines that you control."


class TokenCalculator(Calculator):
    """Characters, words, bytes and tokens of a text.

    `tokenizers` maps a name to a function from text to its number of tokens; each is called once for each change."""

    title = "Tokens of a text"
    purpose = "Rules of thumb, and what tokenizers really count."

    def __init__(self, text: str = SAMPLE, tokenizers: Mapping[str, Callable[[str], int]] | None = None, **settings):
        self.tokenizers = dict(tokenizers or {})
        super().__init__(text=text, **settings)

    def fields(self):
        return [
            Text("text", "Text", SAMPLE),
            Number("characters_per_token", "Characters for one token", 4.0, 0.1, 100, whole=False),
            Number("tokens_per_word", "Tokens for one word", 1.3, 0.01, 100, whole=False),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        if not s.text:
            raise ValueError("The text is empty, so there is nothing to count: type some.")
        size = tokens.text_size(s.text, characters_per_token=s.characters_per_token)
        by_words = tokens.from_words(size.words, s.tokens_per_word)
        counted = {name: int(count(s.text)) for name, count in self.tokenizers.items()}
        first = next(iter(counted), None)
        measured = counted.get(first)
        rows = [
            ["characters", size.characters, ""],
            ["words (parted by space)", size.words, ""],
            ["bytes in UTF-8", size.utf8_bytes, ""],
            [f"tokens by characters / {s.characters_per_token:g}", size.estimate, _off(size.estimate, measured)],
            [f"tokens by words × {s.tokens_per_word:g}", by_words, _off(by_words, measured)],
        ]
        rows += [[f"tokens counted by {name}", n, "measured"] for name, n in counted.items()]
        if measured:
            headline = f"{measured:,} tokens by {first}; the rule of thumb says {size.estimate:,}."
            wrong = _off(size.words, measured)
            mistake = f"words are not tokens: {size.words:,} words taken for tokens would be {wrong} ({first})."
        else:
            headline = f"About {size.estimate:,} tokens by the rule of thumb."
            mistake = (
                f"a rule of thumb is no count: with 3 characters for a token, as in code, the same text would be "
                f"{tokens.rule_of_thumb(s.text, 3):,} tokens, not {tokens.rule_of_thumb(s.text, 4):,}."
            )
        values = {
            "characters": size.characters, "words": size.words, "bytes": size.utf8_bytes, "estimate": size.estimate,
            "from_words": by_words, "counted": counted,
        }  # fmt: skip
        formula = (
            f"{size.characters:,} characters / {s.characters_per_token:g}, rounded up = **{size.estimate:,} tokens**\n"
            f"{size.words:,} words × {s.tokens_per_word:g}, rounded up = **{by_words:,} tokens**"
        )
        header = ("what", "how many", "against the count")
        return Answer(headline, rows, formula, mistake, header, values=values)


class ContextCalculator(Calculator):
    """The parts of a request in tokens, against the window of a model."""

    title = "Context window"
    purpose = "Everything in a request shares one window, the answer too."
    PRESETS = ("model",)

    def fields(self):
        return [
            presets.model_field(own=True),
            Number("window", "Window (tokens)", 32768, 1, 1e9),
            Number("system", "System prompt", 500, 0, 1e9),
            Number("tools", "Tool descriptions", 1500, 0, 1e9),
            Number("history", "Conversation so far", 4000, 0, 1e9),
            Number("documents", "Documents or code", 20000, 0, 1e9),
            Number("question", "Question", 200, 0, 1e9),
            Number("reserve", "Reserve for the answer", 2000, 0, 1e9),
        ]

    def fill(self, key, value):
        if value == OWN:
            return {}
        model = catalog.model(value)
        return {"window": model.get("native_context") or model.max_context}  # what it was trained on, not stretched

    def answer(self, s: SimpleNamespace) -> Answer:
        names = ("system", "tools", "history", "documents", "question")
        parts = {self._fields[name].label: getattr(s, name) for name in names}
        found = context.budget(s.window, parts, s.reserve)
        rows = [[name, n, percent(n / s.window)] for name, n in found.breakdown.items()]
        rows += [["together", found.used, percent(found.share)]]
        left = "left" if found.fits else "too many"
        rows += [["the window", s.window, percent(1)], [left, abs(found.headroom), percent(abs(1 - found.share))]]
        if found.fits:
            headline = f"✓ Fits: {found.used:,} of {s.window:,} tokens, {found.headroom:,} are left."
        else:
            headline = f"✗ Does not fit: {found.used:,} tokens are {-found.headroom:,} more than the window holds."
        asked = found.used - s.reserve
        room = max(0, s.window - asked)
        mistake = (
            f"leaving out the answer: without the reserve the request seems to leave {room:,} tokens free, but "
            f"{s.reserve:,} of them are the answer's own."
        )
        shown = {name: n for name, n in found.breakdown.items() if n}
        drawing = stacked_bars([("request", shown, s.window)], "context", "the window", lambda n: f"{n:,} tokens")
        values = {"used": found.used, "headroom": found.headroom, "share": found.share, "fits": found.fits}
        formula = f"{' + '.join(f'{n:,}' for n in found.breakdown.values())} = **{found.used:,} tokens**"
        used = (presets.used_record(catalog.model(s.model)),) if s.model != OWN else ()
        return Answer(headline, rows, formula, mistake, ("part", "tokens", "of the window"), used,
                      drawing=drawing, values=values)  # fmt: skip


def _off(estimate: int, measured: int | None) -> str:
    """How far an estimate is from the count, in words."""
    if not measured:
        return "–"
    error = tokens.relative_error(estimate, measured)
    if error == 0:
        return "exact"
    return f"{percent(abs(error), 0)} too {'high' if error > 0 else 'low'}"
