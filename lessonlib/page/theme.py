"""How things look: one card, one table, one way to show HTML with its plain-text twin.

Colours come as inline styles that read on light and on dark: notebooks that nobody has run yet are shown with style
sheets and inline SVG taken out, and the twin must still be readable there."""

from __future__ import annotations

import html
import re

# Border and tint of a card. Text keeps the page's own colour, so contrast is the page's own.
TONES = {
    "good": ("#2e8b57", "rgba(46, 139, 87, 0.12)"),
    "bad": ("#c8553d", "rgba(200, 85, 61, 0.12)"),
    "note": ("#3f90da", "rgba(63, 144, 218, 0.10)"),
    "plain": ("#8a8f98", "rgba(138, 143, 152, 0.08)"),
}
SHORT = 12  # longest text that a table never breaks: ids, dates
CELL = "padding: 4px 10px; border-bottom: 1px solid rgba(138, 143, 152, 0.45)"


def escape(text) -> str:
    """`text` safe inside HTML, in attributes too."""
    return html.escape(str(text), quote=True)


def rich(text) -> str:
    """Escaped `text` in which `code`, **bold** and *stress* are marked up, and nothing else."""
    parts = re.split(r"(`[^`]+`)", str(text))
    return "".join(f"<code>{escape(p[1:-1])}</code>" if p[:1] == "`" and len(p) > 2 else _stress(p) for p in parts)


def plain(text) -> str:
    """`text` as `rich` reads it, without the marks."""
    parts = re.split(r"(`[^`]+`)", str(text))
    bare = (re.sub(r"\*\*([^*]+)\*\*|\*([^*\s][^*]*)\*", r"\1\2", p) for p in parts)
    return "".join(b[1:-1] if b[:1] == "`" and len(b) > 2 else b for b in bare)


def card(body: str, tone: str = "plain", status: bool = False) -> str:
    """`body` (HTML) in a tinted box with a coloured edge; `status` makes screen readers announce changes."""
    edge, tint = TONES[tone]
    role = ' role="status"' if status else ""
    return (
        f'<div{role} style="border-left: 4px solid {edge}; background-color: {tint}; padding: 8px 12px; '
        f'margin: 6px 0; line-height: 1.5">{body}</div>'
    )


def fold(summary: str, body: str) -> str:
    """`body` (HTML) folded away under `summary` (HTML)."""
    return f'<details style="margin: 4px 0"><summary>{summary}</summary><div style="padding: 4px 16px">{body}</div></details>'


def table_html(rows, header=(), caption: str | None = None, row_headers: bool = True) -> str:
    """An HTML table of texts; numbers are set to the right. The first cell of a row is its header."""
    parts = ['<table style="border-collapse: collapse; margin: 6px 0; width: auto">']
    if caption:
        parts.append(f'<caption style="text-align: left; padding: 4px 0"><b>{rich(caption)}</b></caption>')
    rows = [list(row) for row in rows]
    if header:
        sides = ["right" if rows and all(_is_number(row[i]) for row in rows) else "left" for i in range(len(header))]
        cells = (
            f'<th scope="col" style="{CELL}; text-align: {s}">{rich(h)}</th>'
            if h
            else f'<td style="{CELL}"></td>'  # a header without words is none
            for h, s in zip(header, sides, strict=True)
        )
        parts.append(f"<thead><tr>{''.join(cells)}</tr></thead>")
    parts.append("<tbody>")
    for row in rows:
        cells = []
        for i, value in enumerate(row):
            align = "right" if _is_number(value) else "left"
            tag, scope = ("th", ' scope="row"') if i == 0 and row_headers and len(row) > 1 else ("td", "")
            weight = "; font-weight: normal" if tag == "th" else ""
            if len(cell(value)) <= SHORT:
                weight += "; white-space: nowrap"
            cells.append(f'<{tag}{scope} style="{CELL}; text-align: {align}{weight}">{rich(cell(value))}</{tag}>')
        parts.append(f"<tr>{''.join(cells)}</tr>")
    parts.append("</tbody></table>")
    return "".join(parts)


def table_text(rows, header=(), caption: str | None = None) -> str:
    """The same table as aligned plain text."""
    body = [[plain(cell(value)) for value in row] for row in rows]
    numeric = [[_is_number(value) for value in row] for row in rows]
    lines = [[plain(h) for h in header], *body] if header else body
    widths = [max(len(line[i]) for line in lines if i < len(line)) for i in range(max(map(len, lines), default=0))]
    text = [plain(caption)] if caption else []
    for number, line in enumerate(lines):
        flags = numeric[number - bool(header)] if number >= bool(header) else [False] * len(line)
        cells = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(line, widths, flags, strict=False))
        text.append("  ".join(cells).rstrip())
        if header and number == 0:
            text.append("  ".join("-" * w for w in widths))
    return "\n".join(text)


def cell(value) -> str:
    """One value as a reader wants it: thousands marked, floats with four digits, nothing for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.4g}"
    if hasattr(value, "item") and getattr(value, "ndim", 1) == 0:  # a NumPy or torch scalar
        return cell(value.item())
    return str(value)


def emit(html_text: str, text: str) -> None:
    """Show HTML with its plain-text twin in a notebook; print the text elsewhere."""
    if in_notebook():
        from IPython.display import display

        display({"text/html": html_text, "text/plain": text}, raw=True)
    else:
        print(text)


def in_notebook() -> bool:
    """Whether a kernel is there that can show HTML."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def _is_number(value) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, (int, float)) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0)


def _stress(text: str) -> str:
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", escape(text))
    return re.sub(r"\*([^*\s][^*]*)\*", r"<i>\1</i>", text)
