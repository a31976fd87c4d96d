"""HTML pages of the grader: one document frame without scripts, tables, bars, and a write that is whole or not at all.

Whatever comes from a submission goes through `escape`; HTML that is safe already says so by its class, `Html`. A page asks
nothing of anywhere: its policy allows inline styles and `data:` pictures only. Colours (Petroff's and greys, as on the
lessons' figures) keep AA contrast on light and dark, and no meaning hangs on a colour alone."""

from __future__ import annotations

import html
import re
from pathlib import Path

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
# What no reader can see, or what turns the reading direction of the text around it.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_ROW, _BAR = 44, 16  # pixels of a bar with its label, and of the bar

STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --soft: #4d5562; --paper: #ffffff; --tint: #f3f5f8; --line: #c3c9d2;
  --link: #0a58a8; --bar: #2f7fc9; --good: #1d6b41; --bad: #a8321b; --wait: #7a4d00; --focus: #0a58a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaef; --soft: #b3bac5; --paper: #14171c; --tint: #1e232b;
  --line: #4a525f; --link: #8cc4ff; --bar: #5aa5ea; --good: #7fd6a4; --bad: #ff9f8a; --wait: #f1c068; --focus: #8cc4ff; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1rem; overflow-wrap: break-word; }
main { padding-bottom: 3rem; }
h1, h2, h3, h4, h5, h6 { line-height: 1.25; margin: 1.6em 0 .5em; } h1 { font-size: 1.7rem; } h2 { font-size: 1.3rem; }
h3 { font-size: 1.1rem; } h4, h5, h6 { font-size: 1rem; }
a { color: var(--link); } a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 3px solid var(--focus);
  outline-offset: 2px; }
.skip { position: absolute; left: -999rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--paper); padding: .3rem .6rem; }
.scroll { overflow-x: auto; margin: .8em 0; } table { border-collapse: collapse; }
caption { text-align: left; font-weight: 600; padding: .3em 0; }
th, td { padding: .3em .8em; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
tbody th { font-weight: normal; } .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre, code { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .9em; }
pre { background: var(--tint); border: 1px solid var(--line); border-radius: 4px; padding: .6em .8em; margin: .6em 0;
  line-height: 1.45; white-space: pre-wrap; overflow-wrap: anywhere; } pre code { font-size: inherit; }
img, svg { max-width: 100%; } img { background: #ffffff; height: auto; } figure { margin: 1em 0; }
figcaption { font-weight: 600; } summary { cursor: pointer; }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); } .wait { color: var(--wait); }
.good, .bad, .wait { font-weight: 600; }
@media print { :root { --ink: #000; --soft: #333; --paper: #fff; --tint: #fff; --line: #999; --link: #000; }
  .skip { display: none; } body { font-size: 11pt; } .scroll { overflow: visible; }
  h1, h2, h3 { break-after: avoid; } tr, figure { break-inside: avoid; } }
@media (forced-colors: active) { rect { fill: CanvasText; } }
"""


class Html(str):
    """HTML that is safe as it is: `escape` leaves it alone."""


def escape(text) -> Html:
    """`text` safe inside HTML, in attributes too; control characters and marks of reading direction show as "\ufffd"."""
    return text if isinstance(text, Html) else Html(html.escape(_UNSEEN.sub("\ufffd", str(text)), quote=True))


def page(title: str, body: str, *, lang: str = "en", style: str = "") -> str:
    """A whole HTML document. `title` (text) is its title and its one <h1>; `body` (safe HTML, headings from <h2> on) stands
    in <main>; `style` is more CSS, for the classes that `body` uses."""
    if "<" in style:
        raise ValueError("style holds a '<', which could end the style sheet: write CSS only.")
    return (
        f'<!doctype html>\n<html lang="{escape(lang)}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#main">Skip to the content</a>\n<header><h1>{escape(title)}</h1></header>\n'
        f'<main id="main" tabindex="-1">\n{body}\n</main>\n</body>\n</html>\n'
    )


def table(caption: str, head, rows) -> Html:
    """A table of texts, numbers (set to the right, None as a dash) and `Html`. The first cell of a row is its header."""
    head, rows = list(head), [list(row) for row in rows]
    wrong = next((row for row in rows if len(row) != len(head)), None)
    if wrong is not None:
        raise ValueError(f"The row {wrong!r} has {len(wrong)} cells, but the head has {len(head)} names: give as many.")
    right = [
        any(map(_is_number, column)) and all(v is None or _is_number(v) for v in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(head)
    sides = [' class="n"' if is_right else "" for is_right in right]
    names = "".join(f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(head, sides, strict=True))
    lines = []
    for row in rows:
        first, *rest = (number(value) if value is None or _is_number(value) else escape(value) for value in row)
        cells = "".join(f"<td{side}>{value}</td>" for value, side in zip(rest, sides[1:], strict=True))
        lines.append(f'<tr><th scope="row"{sides[0]}>{first}</th>{cells}</tr>')
    label = escape(re.sub("<[^>]*>", "", caption) if isinstance(caption, Html) else caption)
    return Html(
        f'<div class="scroll" role="group" tabindex="0" aria-label="{label}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{names}</tr></thead>\n<tbody>{chr(10).join(lines)}</tbody></table></div>"
    )


def bars(title: str, rows, *, unit: str = "", most: float | None = None, description: str = "", head=None) -> Html:
    """A figure of horizontal bars: `rows` of (label, value of 0 or more), drawn against `most` (default: the largest value),
    with the same numbers as a table below it, under the names `head` (default: "", the unit)."""
    rows = [(str(label), value) for label, value in rows]
    if any(value < 0 for _, value in rows):
        raise ValueError(f"{title}: a value is below 0, and a bar cannot show it.")
    most = most or max((value for _, value in rows), default=0) or 1
    drawn = []
    for place, (label, value) in enumerate(rows):
        top = place * _ROW
        share = min(100.0, 100 * value / most)
        words = f"{label}: {number(value)}{unit and ' ' + unit}"
        drawn.append(
            f'<text x="0" y="{top + 17}" fill="currentColor">{escape(words)}</text>'
            f'<rect x="0" y="{top + 23}" width="100%" height="{_BAR}" fill="var(--tint)" stroke="var(--line)"/>'
            f'<rect x="0" y="{top + 23}" width="{share:.2f}%" height="{_BAR}" fill="var(--bar)"/>'
        )
    about = f"<desc>{escape(description)}</desc>" if description else ""
    # No viewBox: the bars stretch with the page, and the words keep their size on a phone.
    picture = (
        f'<svg role="img" width="100%" height="{max(len(rows), 1) * _ROW}" font-size="15"><title>{escape(title)}</title>{about}'
        f"{''.join(drawn)}</svg>"
    )
    twin = table(title, head or ("", unit or "value"), rows)
    return Html(
        f"<figure><figcaption>{escape(title)}</figcaption>{picture}<details><summary>The numbers as a table</summary>{twin}"
        "</details></figure>"
    )


def number(value) -> str:
    """A number as readers want it: thousands marked, at most two decimals of a float; a dash for None."""
    if value is None:
        return "–"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else f"{value:,}"


def write(path: Path, text: str) -> Path:
    """Write a page beside `path`, then rename it, so that readers see the old page or the new one; the path comes back."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with open(beside, "w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(text)
    return beside.replace(path)


def _is_number(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
