"""Two drawings of the calculators: stacked bars of bytes, and curves on two logarithmic axes. SVG with text in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lessonlib.calc import units
from lessonlib.page.figures import COLORS, INK
from lessonlib.page.theme import escape

# Colour is never the only sign: each part has a pattern, each line a dash, each point a mark of its own.
HATCHES = (
    "",
    "M0 8L8 0",
    "M0 0L8 8",
    "M0 4H8",
    "M4 0V8",
    "M0 0L8 8M0 8L8 0",
    "M0 4H8M4 0V8",
    "M2 2h1M6 6h1",
)
DASHES = ("", "8 4", "2 3", "10 3 2 3")
SHAPES = ("circle", "square", "triangle", "diamond")
LETTER = 6.6  # width of a letter at font size 12


@dataclass(frozen=True)
class Line:
    """A named curve through (x, y) points."""

    name: str
    points: list


@dataclass(frozen=True)
class Point:
    """A named point."""

    name: str
    x: float
    y: float


def gigabytes(amount: float) -> str:
    """Bytes as GB with two digits."""
    return f"{units.gb(amount):,.2f} GB"


def stacked_bars(bars: list, prefix: str, limit_name: str = "the card", show=gigabytes) -> tuple[str, str]:
    """The drawing as SVG, and its alt text. `bars` are (label, {part: amount}, limit or None); `show` turns amounts into
    words. `prefix` keeps the ids of the patterns apart from those of other drawings on the page."""
    names = list(dict.fromkeys(name for _, parts, _ in bars for name in parts))
    sums = [sum(parts.values()) for _, parts, _ in bars]
    most = max([*sums, *(limit or 0 for _, _, limit in bars), 1])
    left, width = max(90, LETTER * max(len(label) for label, _, _ in bars) + 12), 330
    total = left + width + 190
    legend, x, y = [], 4.0, 4
    for number, name in enumerate(names):
        words = name.replace("_", " ")
        step = 32 + LETTER * len(words) + 10
        if x + step > total:
            x, y = 4.0, y + 24
        legend += [*_box(x, y, 20, 16, number, prefix), _text(x + 26, y + 13, words)]
        x += step
    if any(limit for _, _, limit in bars):
        if x + 100 > total:
            x, y = 4.0, y + 24
        legend += [
            f'<path d="M{x + 4:g} {y - 2}v20" stroke="{INK}" stroke-width="3"/>',
            _text(x + 14, y + 13, limit_name),
        ]
    top, drawn, said = y + 34, [], []
    for row, (label, parts, limit) in enumerate(bars):
        y, x = top + 34 * row, left
        drawn.append(_text(left - 8, y + 16, label, "end"))
        for name, value in parts.items():
            w = width * value / most
            if w:
                drawn += _box(x, y, w, 22, names.index(name), prefix)
            x += w
        if limit:
            at = left + width * limit / most
            drawn.append(f'<path d="M{at:.1f} {y - 5}v32" stroke="{INK}" stroke-width="3"/>')
        words = show(sums[row])
        if limit:
            words += f": {'fits' if sums[row] <= limit else 'too large'}"
        drawn.append(_text(left + width + 10, y + 16, words))
        shares = ", ".join(f"{name.replace('_', ' ')} {show(value)}" for name, value in parts.items())
        end = f" ({limit_name} holds {show(limit)})" if limit else ""
        said.append(f"{label}: {shares}; together {words}{end}")
    height = top + 34 * len(bars) + 4
    patterns = "".join(
        f'<pattern id="{prefix}-{n}" width="8" height="8" patternUnits="userSpaceOnUse"><path d="{HATCHES[n % 8]}" '
        f'stroke="{INK}" stroke-width="1" fill="none"/></pattern>'
        for n in range(len(names))
        if HATCHES[n % 8]
    )
    head = f'<svg viewBox="0 0 {total:g} {height}" width="{total:g}" height="{height}"><defs>{patterns}</defs>'
    return "".join([head, *legend, *drawn, "</svg>"]), f"Stacked bars. {'. '.join(said)}."


def log_plot(
    lines: list[Line], points: list[Point], x_label: str, y_label: str, verticals: tuple[tuple[str, float], ...] = ()
) -> str:
    """Curves and points on two logarithmic axes, named next to them; `verticals` are named places on the x axis."""
    xs = [x for line in lines for x, _ in line.points] + [p.x for p in points] + [x for _, x in verticals]
    ys = [y for line in lines for _, y in line.points] + [p.y for p in points]
    low_x, high_x, low_y, high_y = _decade(min(xs), -1), _decade(max(xs), 1), _decade(min(ys), -1), _decade(max(ys), 1)
    left, top, width, height = 70, 16 + 18 * len(verticals), 420, 260

    def at(x, y):
        return (
            left + width * (math.log10(x) - low_x) / (high_x - low_x),
            top + height - height * (math.log10(y) - low_y) / (high_y - low_y),
        )

    parts = []
    for power in _powers(low_x, high_x):
        x, _ = at(10**power, 10**low_y)
        parts.append(f'<path d="M{x:.1f} {top}v{height}" stroke="#d9dce1"/>')
        parts.append(_text(x, top + height + 18, short(10**power), "middle"))
    for power in _powers(low_y, high_y):
        _, y = at(10**low_x, 10**power)
        parts.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#d9dce1"/>')
        parts.append(_text(left - 8, y + 4, short(10**power), "end"))
    parts.append(f'<path d="M{left} {top}v{height}h{width}" fill="none" stroke="{INK}"/>')
    parts.append(_text(left + width / 2, top + height + 40, x_label, "middle"))
    middle = top + height / 2
    parts.append(f'<g transform="rotate(-90 14 {middle:g})">{_text(14, middle, y_label, "middle")}</g>')
    for number, (name, x) in enumerate(verticals):
        place, _ = at(x, 10**low_y)
        start = 12 + 18 * number
        parts.append(f'<path d="M{place:.1f} {start + 4}V{top + height}" stroke="{INK}" stroke-dasharray="3 3"/>')
        right = place > left + width / 2
        parts.append(_text(place + (-5 if right else 5), start + 8, name, "end" if right else "start"))
    labels = []
    for number, line in enumerate(lines):
        color, dash = COLORS[(0, 6, 4, 2)[number % 4]], DASHES[number % len(DASHES)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in line.points))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="3" stroke-dasharray="{dash}"/>'
        )
        labels.append((at(*line.points[-1])[1], line.name, color, dash))
    parts += _line_names(labels, left + width + 8)
    wide = left + width + 16 + max([LETTER * len(line.name) + 26 for line in lines], default=0)
    parts += _points(points, at, wide)
    tall = top + height + 50
    return f'<svg viewBox="0 0 {wide:.0f} {tall}" width="{wide:.0f}" height="{tall}">{"".join(parts)}</svg>'


def short(value: float) -> str:
    """A tick or amount in few letters: 0.01, 250, 10K, 3M, 1B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _points(points: list[Point], at, right: float) -> list[str]:
    parts, taken = [], []
    for number, point in enumerate(points):
        x, y = at(point.x, point.y)
        parts.append(f'<path d="{_shape(SHAPES[number % 4], x, y)}" fill="#ffffff" stroke="{INK}" stroke-width="2"/>')
        line = y + 20
        while any(abs(line - other) < 15 for other in taken):
            line += 15
        taken.append(line)
        end = x + LETTER * len(point.name) > right
        parts.append(_text(x + (-9 if end else 9), line, point.name, "end" if end else "start"))
    return parts


def _line_names(labels: list, x: float) -> list[str]:
    """Names of the lines at their right ends, moved apart where they would touch."""
    parts, last = [], -99.0
    for y, name, color, dash in sorted(labels):
        y = max(y, last + 16)
        last = y
        parts.append(f'<path d="M{x:g} {y:.1f}h18" stroke="{color}" stroke-width="3" stroke-dasharray="{dash}"/>')
        parts.append(_text(x + 22, y + 4, name))
    return parts


def _shape(kind: str, x: float, y: float) -> str:
    return {
        "circle": f"M{x - 6:.1f} {y:.1f}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0",
        "square": f"M{x - 5:.1f} {y - 5:.1f}h10v10h-10z",
        "triangle": f"M{x:.1f} {y - 7:.1f}l7 12h-14z",
        "diamond": f"M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z",
    }[kind]


def _box(x: float, y: float, width: float, height: float, number: int, prefix: str) -> list[str]:
    place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}"'
    hatch = f'<rect {place} fill="url(#{prefix}-{number})"/>' if HATCHES[number % 8] else ""
    return [f'<rect {place} fill="{COLORS[number % 10]}" stroke="{INK}" stroke-width="0.7"/>', hatch]


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" fill="{INK}" text-anchor="{anchor}">{escape(words)}</text>'


def _decade(value: float, side: int) -> int:
    """The power of ten at or beyond `value`, below for side -1, above for side 1."""
    log = math.log10(value)
    power = math.floor(log + 1e-9) if side < 0 else math.ceil(log - 1e-9)
    return power


def _powers(low: int, high: int) -> range:
    return range(low, high + 1, max(1, round((high - low) / 8)))
