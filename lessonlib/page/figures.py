"""Figures and tables that everyone can read: alt text always, no colour alone, a text twin for each."""

from __future__ import annotations

import base64
import io
import re
from html import escape

# Colour-blind-safe (Petroff, 2021), in the order in which figures use them.
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
_CELL = "padding:.2em .7em;text-align:left;border-bottom:1px solid #8888"


def put(html: str, plain: str) -> None:
    """Show `html`, with `plain` as its twin for text readers and tests."""
    from IPython.display import display

    display({"text/html": html, "text/plain": plain}, raw=True)


def show(figure, alt: str) -> None:
    """Show a matplotlib figure with its alternative text, on white so that it reads in dark mode, and close it."""
    import matplotlib.pyplot as plt

    _need_alt(alt)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white", metadata={"Software": None})
    plt.close(figure)
    _image("image/png", buffer.getvalue(), alt)


def svg(drawing: str, alt: str) -> None:
    """Show an SVG drawing (a string that starts with <svg) with its alternative text."""
    _need_alt(alt)
    if not drawing.lstrip().startswith("<svg"):
        raise ValueError(f"svg() wants a drawing that starts with <svg, not {drawing[:30]!r}.")
    _image("image/svg+xml", drawing.encode(), alt)


def table(rows, header, caption: str) -> None:
    """Show rows as a table with a caption; the first cell of each row is its heading. Numbers stand as given: format
    them before. The text twin has the same cells."""
    rows = [[str(cell) for cell in row] for row in rows]
    header = [str(cell) for cell in header]
    if any(len(row) != len(header) for row in rows):
        raise ValueError(f"Every row needs {len(header)} cells, one for each of {header}.")
    put(table_html(rows, header, caption), table_text(rows, header, caption))


def table_html(rows, header, caption: str) -> str:
    """The table as HTML with caption and scoped headings."""
    head = "".join(f'<th scope="col" style="{_CELL}">{escape(str(c))}</th>' for c in header)
    body = "".join(
        f'<tr><th scope="row" style="{_CELL};font-weight:normal">{escape(str(row[0]))}</th>'
        + "".join(f'<td style="{_CELL}">{escape(str(c))}</td>' for c in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<table><caption style="text-align:left;padding:.3em 0">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def table_text(rows, header, caption: str) -> str:
    """The table as aligned text."""
    lines = [[str(c) for c in row] for row in [header, *rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    text = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([caption, text[0], "-" * len(text[0]), *text[1:]])


def axes(title: str, x: str, y: str, width: float = 7.0, height: float = 3.6):
    """A figure with one labelled axes in the course's style: (figure, axes)."""
    import matplotlib

    matplotlib.use("agg")  # page figures are shown as images, never in a window
    import matplotlib.pyplot as plt

    figure, made = plt.subplots(figsize=(width, height))
    made.set_prop_cycle(color=list(COLOURS))
    made.set(title=title, xlabel=x, ylabel=y)
    made.grid(alpha=0.3)
    made.spines[["top", "right"]].set_visible(False)
    return figure, made


def _image(mime: str, data: bytes, alt: str) -> None:
    source = f"data:{mime};base64,{base64.b64encode(data).decode()}"
    put(f'<img alt="{escape(alt)}" src="{source}" style="max-width:100%;background:#fff">', f"[figure] {alt}")


def _need_alt(alt: str) -> None:
    if len(re.findall(r"\w+", alt or "")) < 4:
        raise ValueError(f"The alternative text {alt!r} is too short: say in a sentence what the figure shows.")
