"""A drawing of memory budgets: one stacked bar a GPU, with the card's size marked."""

from __future__ import annotations

from lessonlib.calc import units
from lessonlib.calc.memory import Budget

from .figures import COLORS, INK
from .theme import escape

PARTS = (("weights", COLORS[0]), ("cache", COLORS[1]), ("overhead", COLORS[4]))
WIDTH, ROW, BAR, RIGHT, LETTER = 330, 30, 18, 170, 6.8
# Colour is never the only sign: each part has a pattern of its own.
PATTERNS = (
    '<pattern id="p-weights" width="8" height="8" patternUnits="userSpaceOnUse"></pattern>'
    '<pattern id="p-cache" width="6" height="6" patternUnits="userSpaceOnUse">'
    f'<path d="M0 6L6 0" stroke="{INK}" stroke-width="1"/></pattern>'
    '<pattern id="p-overhead" width="5" height="5" patternUnits="userSpaceOnUse">'
    '<circle cx="2.5" cy="2.5" r="1" fill="#ffffff"/></pattern>'
)


def memory_stacks(bars: list[tuple[str, Budget, float]]) -> tuple[str, str]:
    """The drawing as SVG, and its alt text. `bars` are (label, budget of one GPU, bytes of its card)."""
    if not bars:
        raise ValueError("There are no bars: give at least one (label, budget, card_bytes).")
    top = 30
    scale = WIDTH / max(max(budget.total, card) for _, budget, card in bars)
    left = round(LETTER * max(len(label) for label, _, _ in bars)) + 16
    height, width = top + ROW * len(bars) + 8, left + WIDTH + RIGHT
    parts = [f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}">']
    parts += [f"<defs>{PATTERNS}</defs>", *_legend(left)]
    for number, (label, budget, card) in enumerate(bars):
        parts += _bar(left, top + ROW * number, label, budget, card, scale)
    return "".join([*parts, "</svg>"]), _words(bars)


def verdict(budget: Budget, card: float) -> str:
    """ "fits" or "too large", in words."""
    return "fits" if budget.fits(card) else "too large"


def _bar(left: float, y: float, label: str, budget: Budget, card: float, scale: float) -> list[str]:
    middle, x, drawn = y + BAR / 2 + 4, float(left), []
    drawn.append(_text(left - 10, middle, label, "end"))
    for name, color in PARTS:
        width = getattr(budget, name) * scale
        drawn += _box(x, y, width, name, color)
        x += width
    line = left + card * scale
    drawn.append(f'<path d="M{line:.1f} {y - 4}v{BAR + 8}" stroke="{INK}" stroke-width="3"/>')
    said = f"{units.gb(budget.total):.1f} of {units.gb(card):.1f} GB: {verdict(budget, card)}"
    drawn.append(_text(left + WIDTH + 10, middle, said))
    return drawn


def _box(x: float, y: float, width: float, name: str, color: str) -> list[str]:
    place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"'
    return [
        f'<rect {place} fill="{color}"/>',
        f'<rect {place} fill="url(#p-{name})" stroke="{INK}" stroke-width="0.7"/>',
    ]


def _legend(x: float) -> list[str]:
    drawn = []
    for name, color in PARTS:
        drawn += [*_box(x, 2, 18, name, color), _text(x + 24, 15, name)]
        x += 92
    drawn.append(f'<path d="M{x + 4} 0v22" stroke="{INK}" stroke-width="3"/>')
    return [*drawn, _text(x + 14, 15, "the card")]


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="12" fill="{INK}" text-anchor="{anchor}">{escape(words)}</text>'


def _words(bars) -> str:
    lines = []
    for label, budget, card in bars:
        shares = ", ".join(f"{name} {units.gb(getattr(budget, name)):.1f}" for name, _ in PARTS)
        total = f"{units.gb(budget.total):.1f} of {units.gb(card):.1f} GB, {verdict(budget, card)}"
        lines.append(f"{label}: {shares}; {total}")
    return f"Stacked bars, one GPU each, in GB. {'. '.join(lines)}."
