"""A grid of numbers with a shade for each: one row for each kind of matrix, one column for each layer."""

from __future__ import annotations

from . import figures, theme

LIGHT, DARK = (253, 240, 214), (189, 99, 1)  # shades of one colour: the number stands in the cell, colour only helps
CELL, HEIGHT, LEFT, TOP = 46, 24, 84, 40


def shade(share: float) -> str:
    """A colour from light (0) to dark (1)."""
    share = min(max(share, 0.0), 1.0)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(LIGHT, DARK, strict=True))


def grid_svg(rows: dict[str, list[float]], title: str, axis: str = "layer", digits: int = 1) -> str:
    """An SVG drawing of `rows` (label -> numbers, one a column), shaded from the least to the greatest of all numbers; the
    columns are numbered from 0 under the name `axis`. ValueError for rows of different lengths, or none."""
    lengths = {len(row) for row in rows.values()}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            f"The rows have {sorted(lengths) or 'no'} numbers: a grid needs as many in each, and one at least."
        )
    columns, numbers = lengths.pop(), [x for row in rows.values() for x in row]
    low, span = min(numbers), max(numbers) - min(numbers) or 1.0
    width, height = LEFT + columns * (CELL + 2) + 8, TOP + len(rows) * (HEIGHT + 2) + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'font-family="sans-serif" font-size="12" fill="{figures.INK}">',
        f'<text x="4" y="14" font-weight="bold">{theme.escape(title)}</text>',
        f'<text x="{LEFT - 8}" y="32" text-anchor="end">{theme.escape(axis)}</text>',
    ]
    parts += [
        f'<text x="{LEFT + i * (CELL + 2) + CELL / 2:g}" y="32" text-anchor="middle">{i}</text>' for i in range(columns)
    ]
    for number, (label, row) in enumerate(rows.items()):
        y = TOP + number * (HEIGHT + 2)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{theme.escape(label)}</text>')
        for i, x in enumerate(row):
            left, share = LEFT + i * (CELL + 2), (x - low) / span
            ink = "#ffffff" if share > 0.75 else figures.INK
            parts.append(
                f'<rect x="{left}" y="{y}" width="{CELL}" height="{HEIGHT}" rx="3" fill="{shade(share)}"/>'
                f'<text x="{left + CELL / 2:g}" y="{y + 16}" text-anchor="middle" fill="{ink}">{x:.{digits}f}</text>'
            )
    return "".join([*parts, "</svg>"])
