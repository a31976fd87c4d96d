"""The next token, interactive: a text, the settings, and which tokens survive with which probability."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from . import theme
from .calculators.base import Answer, Calculator, percent
from .calculators.fields import Number, Text
from .figures import COLORS, INK

SHOWN = 10  # tokens in drawing and table
LABEL, WIDTH, ROW, BAR, LETTER = 110, 330, 38, 14, 6.6


class SamplerCalculator(Calculator):
    """Temperature, top-k, top-p, min-p and repetition penalty on the next token of a text.

    `source(text)` gives the model's view of it: the logits of the next token (a float tensor with one number for each
    token of the vocabulary), the ids of the text's tokens, and a function from a token id to its text. It is asked once
    for each text."""

    title = "The next token"
    purpose = (
        "What each setting leaves of the model's choice. 0 turns top-k and min-p off, 1 turns top-p and penalty off."
    )
    caption = "The likeliest tokens"

    def __init__(self, source: Callable, text: str = "Once upon a time, there was a little girl named", **settings):
        self.source, self._seen = source, None
        super().__init__(text=text, **settings)

    def fields(self):
        return [
            Text("text", "Text so far", ""),
            Number("temperature", "Temperature (0 is greedy)", 1.0, 0, 100, whole=False),
            Number("top_k", "top-k", 0, 0, 10_000_000),
            Number("top_p", "top-p", 1.0, 0, 1, whole=False),
            Number("min_p", "min-p", 0.0, 0, 1, whole=False),
            Number("penalty", "Repetition penalty", 1.0, 0.01, 100, whole=False),
        ]

    def answer(self, s: SimpleNamespace) -> Answer:
        import torch

        from lessonlib.labs import sampling

        if not s.text:
            raise ValueError("The text is empty: type the beginning of a story or of a function.")
        logits, ids, name = self._look(s.text)
        setting = sampling.Setting("", s.temperature, s.top_k, s.top_p, s.min_p, s.penalty)
        before, after = logits.softmax(-1), sampling.process(logits[None], ids[None], setting)[0].softmax(-1)
        ranked = before.argsort(descending=True, stable=True)
        best = ranked[:SHOWN].tolist()
        best += [
            i for i in after.argsort(descending=True, stable=True)[:SHOWN].tolist() if i not in best and after[i] > 0.02
        ]
        shown = [(_quoted(name(i)), float(before[i]), float(after[i])) for i in best]
        left = int((after > 0).sum())
        kept = float(before[after > 0].sum())
        rows = [[label, f"{logits[i]:.2f}", percent(b), percent(a) if a else "out"]
                for i, (label, b, a) in zip(best, shown, strict=True)]  # fmt: skip
        others = 1 - sum(b for _, b, _ in shown), max(0.0, 1 - sum(a for _, _, a in shown))
        rows.append([f"all {len(logits) - len(best):,} others", "", percent(others[0]), percent(others[1])])
        top = int(after.argmax())
        headline = (
            f"{left:,} of {len(logits):,} tokens can still be drawn; {_quoted(name(top))} comes with "
            f"{percent(float(after[top]))}. The model itself gave {percent(kept)} to those that are left."
        )
        heat = "greedy: the largest logit takes all" if s.temperature == 0 else f"softmax(logits / {s.temperature:g})"
        if s.temperature in (0, 1):
            mistake = "taking temperature 0 for random or 1 for cold: 0 is the coldest, and 1 is the model as it is."
        else:
            mistake = (
                f"dividing the probabilities by {s.temperature:g}: made to sum to 1 again they are what they were, "
                f"{percent(float(before[ranked[0]]))} for {_quoted(name(int(ranked[0])))}. The logits are divided."
            )
        steps = "; ".join(f"{step}: {count:,} left" for step, count in self._steps(sampling, logits, ids, setting))
        values = {"left": left, "kept": kept, "best": name(top), "probability": float(after[top]),
                  "entropy_bits": float(-(after[after > 0] * torch.log2(after[after > 0])).sum())}  # fmt: skip
        notes = (f"In this order, as in transformers: {steps}." if steps else "Every filter is off.",)
        return Answer(headline, rows, heat, mistake, ("token", "logit", "before", "after"), notes=notes,
                      drawing=bars(shown), values=values)  # fmt: skip

    def _look(self, text: str):
        if self._seen is None or self._seen[0] != text:
            self._seen = text, self.source(text)
        return self._seen[1]

    @staticmethod
    def _steps(sampling, logits, ids, s) -> list[tuple[str, int]]:
        """What each setting that is on leaves, one after the other."""
        from dataclasses import replace

        done, found = sampling.Setting("", 1.0), []
        for key, off, words in (("penalty", 1, "penalty"), ("temperature", 1, "temperature"), ("top_k", 0, "top-k"),
                                ("top_p", 1, "top-p"), ("min_p", 0, "min-p")):  # fmt: skip
            if getattr(s, key) != off:
                done = replace(done, **{key: getattr(s, key)})
                left = sampling.survivors(sampling.process(logits[None], ids[None], done)[0])
                found.append((f"{words} {getattr(s, key):g}", left))
        return found


def bars(shown: list[tuple[str, float, float]], before: str = "before", after: str = "after") -> tuple[str, str]:
    """Two bars for each token, before and after, as SVG, and its alt text. `shown` are (label, probability before,
    after); a token that is out has no second bar and the word "out"."""
    most = max(max(b, a) for _, b, a in shown)
    left = max(LABEL, LETTER * max(len(label) for label, _, _ in shown) + 16)
    height, width = 34 + ROW * len(shown), left + WIDTH + 70
    hatch = f'<pattern id="after" width="6" height="6" patternUnits="userSpaceOnUse"><path d="M0 6L6 0" stroke="{INK}"/></pattern>'
    parts = [f'<svg viewBox="0 0 {width:g} {height}" width="{width:g}" height="{height}"><defs>{hatch}</defs>']
    for x, words, hatched in ((left, before, False), (left + 130, after, True)):
        parts += _bar(x, 6, 18, hatched) + [_text(x + 24, 18, words)]
    for row, (label, b, a) in enumerate(shown):
        y = 34 + ROW * row
        parts.append(_text(left - 8, y + 19, label, "end"))
        for value, top, hatched in ((b, y, False), (a, y + BAR + 1, True)):
            parts += _bar(left, top, WIDTH * value / most, hatched) if value else []
            said = percent(value) if value else "out"
            parts.append(_text(left + WIDTH * value / most + 6, top + 12, said))
    said = "; ".join(f"{label} {percent(b)}, then {percent(a) if a else 'out'}" for label, b, a in shown)
    return "".join([*parts, "</svg>"]), f"Bars of the likeliest tokens, {before} and {after}: {said}."


def _quoted(piece: str) -> str:
    """A token's text with its blank made visible."""
    return piece.replace(" ", "␣").replace("\n", "⏎") or "(no text)"


def _bar(x: float, y: float, width: float, hatched: bool) -> list[str]:
    place = f'x="{x:.1f}" y="{y}" width="{max(width, 1):.1f}" height="{BAR}"'
    drawn = [f'<rect {place} fill="{COLORS[1] if hatched else COLORS[0]}" stroke="{INK}" stroke-width="0.7"/>']
    return drawn + ([f'<rect {place} fill="url(#after)"/>'] if hatched else [])


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="{INK}" text-anchor="{anchor}">{theme.escape(words)}</text>'
    )
