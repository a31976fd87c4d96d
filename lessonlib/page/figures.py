"""Figures and tables that everybody can read: alt text is required, colours work on light and dark pages."""

from __future__ import annotations

import base64
import io
import re
import sys
from xml.etree import ElementTree

from . import theme

# Petroff's ten colours (arXiv 2107.02270), told apart by readers with any colour vision; cividis for ordered values.
COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd",
)  # fmt: skip
COLORMAP = "cividis"
INK, PAPER = "#1f2430", "#ffffff"
# Figures lie on white paper: their colours are then the same on every page, light or dark.
_SHEET = f"background-color: {PAPER}; padding: 8px; border-radius: 6px"


def axes(rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.4, 3.4), **kwargs):
    """A matplotlib figure and its axes in the course's style; give the figure to `show`. `kwargs` go to subplots."""
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(_style()):
        fig = Figure(figsize=size, layout="constrained", facecolor=PAPER)
        return fig, fig.subplots(rows, columns, **kwargs)


def show(fig, alt: str, caption: str | None = None) -> None:
    """Show the matplotlib figure `fig`. `alt` says in words what it shows; ValueError when it is empty."""
    _require(alt)
    image = io.BytesIO()
    fig.savefig(image, format="png", dpi=110, facecolor=PAPER, metadata={"Software": None})
    if "matplotlib.pyplot" in sys.modules:  # else the notebook shows the figure a second time, without its alt text
        sys.modules["matplotlib.pyplot"].close(fig)
    width = round(fig.get_size_inches()[0] * 96)
    theme.emit(_figure(_image("image/png", image.getvalue(), alt, width), caption), twin(alt))


def svg(svg_text: str, alt: str, caption: str | None = None) -> None:
    """Show a drawing written as SVG. `alt` says in words what it shows; ValueError when it is empty or no SVG."""
    theme.emit(svg_html(svg_text, alt, caption), twin(alt))


def svg_html(svg_text: str, alt: str, caption: str | None = None) -> str:
    """The drawing as an image with alt text, as `svg` shows it: the form for stored pages."""
    return _figure(_image("image/svg+xml", _well_formed(svg_text).encode(), _require(alt)), caption)


def inline_svg(svg_text: str, alt: str) -> str:
    """The drawing as SVG in the page, for widgets: the `<title>` of a part shows when the pointer rests on it."""
    head, _, rest = _well_formed(svg_text).partition(">")
    head = re.sub(r"\s(role|aria-label|style)=\"[^\"]*\"", "", head)
    label = theme.escape(_require(alt))
    root = f'{head} role="img" aria-label="{label}" style="max-width: 100%; height: auto">'
    return f'<div style="{_SHEET}; display: inline-block; max-width: 100%; box-sizing: border-box">{root}{rest}</div>'


def table(rows, header=(), caption: str | None = None) -> None:
    """Show a table: `rows` of values, column names in `header`. Numbers are set to the right, thousands marked."""
    rows = [list(row) for row in rows]
    for row in rows:
        if header and len(row) != len(header):
            raise ValueError(
                f"Row {row!r} has {len(row)} values, but the header has {len(header)} names: give as many."
            )
    theme.emit(theme.table_html(rows, header, caption), theme.table_text(rows, header, caption))


def flow(*steps: str) -> str:
    """An SVG drawing of steps in a row, joined by arrows; show it with `svg`."""
    width, gap, parts = 96, 22, []
    for i, step in enumerate(steps):
        x = 4 + i * (width + gap)
        parts.append(
            f'<rect x="{x}" y="10" width="{width}" height="44" rx="6" fill="#ffffff" stroke="{COLORS[0]}" stroke-width="2"/>'
            f'<text x="{x + width // 2}" y="37" text-anchor="middle" font-size="15" fill="{INK}">{theme.escape(step)}</text>'
        )
        if i:
            parts.append(
                f'<path d="M{x - gap + 3} 32 h{gap - 6} m-6 -5 l6 5 l-6 5" stroke="{INK}" stroke-width="2" fill="none"/>'
            )
    total = 8 + len(steps) * (width + gap) - gap
    return f'<svg width="{total}" height="64" viewBox="0 0 {total} 64">{"".join(parts)}</svg>'


def twin(alt: str) -> str:
    """The plain-text twin of a figure."""
    return f"[figure] {alt.strip()}"


def _style() -> list:
    look = {
        "axes.prop_cycle": _cycle(), "image.cmap": COLORMAP, "axes.spines.top": False, "axes.spines.right": False,
        "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.grid": True, "grid.color": "#d9dce1", "axes.axisbelow": True, "font.size": 10, "lines.linewidth": 2,
    }  # fmt: skip
    return ["default", look]


def _cycle():
    from matplotlib import cycler

    marks = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "*"]  # colour is never the only sign
    return cycler(color=list(COLORS)) + cycler(marker=marks)


def _require(alt: str) -> str:
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt is {alt!r}, but a figure needs words that say what it shows: give alt='...'.")
    return alt.strip()


def _well_formed(svg_text: str) -> str:
    text = svg_text.strip()
    if not text.startswith("<svg"):
        raise ValueError(f"The drawing starts with {text[:20]!r}, but must be an <svg ...> element.")
    if "xmlns=" not in text.partition(">")[0]:
        text = text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    if "font-family" not in text.partition(">")[0]:
        text = text.replace("<svg", '<svg font-family="sans-serif"', 1)
    try:
        ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"The drawing is not well-formed SVG ({error}): close every tag and escape & and <.") from None
    return text


def _image(mime: str, data: bytes, alt: str, width: int | None = None) -> str:
    size = f' width="{width}"' if width else ""
    source = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    return f'<img alt="{theme.escape(alt.strip())}" src="{source}"{size} style="{_SHEET}; max-width: 100%">'


def _figure(image: str, caption: str | None) -> str:
    words = f"<figcaption>{theme.rich(caption)}</figcaption>" if caption else ""
    return f'<figure style="margin: 6px 0">{image}{words}</figure>'
