"""Cells of a submission as HTML that does nothing: markdown, code, outputs.

Markdown is rendered without raw HTML, then cleaned by a list of allowed tags, so that neither step has to be perfect. Pictures
are PNG and JPEG in the page itself; links lead to http, https and mailto only."""

from __future__ import annotations

import base64
import functools
import os
import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import bleach
from markdown_it import MarkdownIt
from pygments import lex
from pygments.lexers.python import PythonLexer
from pygments.token import Token

from ...paths import PACKAGE
from ..shell import SAFE, Size, safe_outputs
from .pages import Html, escape

STYLE = """
.k { color: #7a2f9e; } .s { color: #1b6636; } .c { color: #5b6470; font-style: italic; } .o { color: #8a4500; }
.d { color: #0a58a8; font-weight: 600; } code.math { background: none; font-style: italic; }
@media (prefers-color-scheme: dark) { .k { color: #d6a3f0; } .s { color: #8fd6a8; } .c { color: #a5aebb; } .o { color: #f0b46c; }
  .d { color: #8cc4ff; } }
@media print { .k, .s, .c, .o, .d { color: #000; } }
code { overflow-wrap: anywhere; }
blockquote { margin: .8em 0; padding-left: .8em; border-left: 3px solid var(--line); }
.text :is(ul, ol) { padding-left: 1.6em; }
.text :is(ul, ol, blockquote) :is(ul, ol, blockquote) :is(ul, ol, blockquote) :is(ul, ol, blockquote) { padding-left: 0; }
"""  # deeper quotes and lists go no further to the right: they stay on a narrow page
TAGS = frozenset(
    "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr img li ol p pre s strong table tbody td th thead tr ul".split()
)
MARKDOWN, CODE, OUTPUT, PICTURE = (
    60_000,
    60_000,
    20_000,
    2 * 2**20,
)  # longest that is shown: characters; bytes of a picture
COLORED = 20_000  # characters of code; longer code is shown in one colour
_CLASSES = (
    (Token.Comment, "c"),
    (Token.Literal.String, "s"),
    (Token.Literal.Number, "o"),
    (Token.Name.Function, "d"),
    (Token.Name.Class, "d"),
    (Token.Keyword, "k"),
    (Token.Operator.Word, "k"),
)
_PART = r"[^\s/\\:'\"<>|*?,;()\[\]{}`]+"
_ABSOLUTE = re.compile(rf"(?<![\w/\\:.~-])(?:~|[A-Za-z]:)?(?:[/\\]{_PART})*[/\\]({_PART})")
_FOREIGN = re.compile(
    r"^(~|[A-Za-z]:)|^[/\\](home|root|Users|tmp|usr|opt|var|mnt|srv|work|data|private|nix|proc|etc|scratch|run|dev)[/\\]"
    r"|[/\\](site|dist)-packages[/\\]|[/\\]lib[/\\]python"
)


class Room:
    """What a page may still hold: characters of text, of markdown in it (some of which takes long to render), and bytes of
    pictures, so that one submission cannot make a huge page."""

    def __init__(self, text: int = 1_500_000, markdown: int = 200_000, pictures: int = 16 * 2**20):
        self.text, self.markdown, self.pictures = text, markdown, pictures

    def cut(self, text: str, limit: int, what: str) -> tuple[str, Html]:
        """(the part of `text` that is shown, a note about the rest or "")."""
        most = max(0, min(limit, self.text))
        self.text -= min(len(text), most)
        if len(text) <= most:
            return text, Html("")
        return text[:most], Html(f'<p class="soft">Cut here: the {what} has {len(text):,} characters.</p>')


def markdown(
    source: str, room: Room, *, attachments: dict | None = None, base: int = 2, last: int = 2, kept: bool = False
) -> Html:
    """Markdown as HTML. Its headings stand below `base`, none more than one level below the one before (`last` on the page);
    math stays as it was written. `kept`: the result is kept for the next page, as for the instructor's texts."""
    shown, note = room.cut(source, min(MARKDOWN, room.markdown), "text")
    room.markdown -= len(shown)
    made = _attached(shown, attachments, room) if attachments else (_rendered if kept else _rendered.__wrapped__)(shown)
    # A wide table scrolls by itself, by keyboard too.
    made = made.replace("<table>", '<div class="scroll" role="group" tabindex="0" aria-label="Table"><table>')
    return Html(_levelled(made.replace("</table>", "</table></div>"), base, last) + note)


def code(source: str, room: Room, *, kept: bool = False) -> Html:
    """Python code in colours; "" for none. `kept`: as for `markdown`."""
    if not source.strip():
        return Html("")
    shown, note = room.cut(source, CODE, "code")
    return Html(f"<pre><code>{(_colored if kept else _colored.__wrapped__)(shown)}</code></pre>{note}")


def outputs(found: list[dict], where: str, room: Room) -> Html:
    """Outputs of a cell; only text, PNG and JPEG are shown. `where` names the cell, for the alt text of pictures."""
    parts = []
    for output in safe_outputs(found, Size(text=400_000)):
        kind = output["output_type"]
        if kind == "stream":
            parts.append(block(output["text"], room, "errors" if output["name"] == "stderr" else ""))
        elif kind == "error":
            lines = output["traceback"] or [f"{output['ename']}: {output['evalue']}"]
            parts.append(block("\n".join(lines), room, "an error", paths=True))
        else:
            pictures = [mime for mime in SAFE if mime != "text/plain" and mime in output["data"]]
            if pictures:
                parts.append(_picture(pictures[0], output["data"][pictures[0]], f"Picture, output of {where}", room))
            else:
                parts.append(block(output["data"].get("text/plain", ""), room))
    return Html("".join(parts))


def block(text: str, room: Room, label: str = "", paths: bool = False) -> Html:
    """Plain text as it stands, without paths of this machine; `paths`: without any absolute path."""
    if not text.strip():
        return Html("")
    shown, note = room.cut(without_paths(text, paths), OUTPUT, "output")
    head = f'<p class="label">{escape(label)}</p>' if label else ""
    return Html(f'{head}<pre class="out">{escape(shown)}</pre>{note}')


def without_paths(text: str, every: bool = False) -> str:
    """`text` without the folders of this machine, or of any machine where `every` is set: only the file's name is left."""
    for prefix in _prefixes():
        text = text.replace(prefix, "…")
    text = re.sub(r"<ipython-input-[\w-]*>", "cell", text)

    def short(match):
        path = match[0]
        return f"…/{match[1]}" if (every and len(re.findall(r"[/\\]", path)) > 1) or _FOREIGN.search(path) else path

    return _ABSOLUTE.sub(short, text)


@functools.cache
def _prefixes() -> list[str]:
    """Folders of this machine that texts may name, the longest first."""
    found = {
        sys.prefix,
        sys.base_prefix,
        str(Path.home()),
        tempfile.gettempdir(),
        os.getcwd(),
        str(PACKAGE),
        str(PACKAGE.parent),
    }
    return sorted((f for f in found if len(f) > 1), key=len, reverse=True)


def data_picture(address: str) -> str:
    """The `data:` address of a PNG or JPEG, checked, or "" when it is none."""
    found = re.fullmatch(r"data:(image/png|image/jpeg);base64,([A-Za-z0-9+/=\s]+)", address.strip())
    if not found or len(found[2]) > PICTURE * 4 // 3:
        return ""
    try:
        data = base64.b64decode("".join(found[2].split()), validate=True)
    except ValueError:
        return ""
    return f"data:{found[1]};base64,{''.join(found[2].split())}" if data.startswith(SAFE[found[1]]) else ""


def good_link(address: str) -> bool:
    """Whether a link may be followed: http, https or mailto, and nothing that two programs could read in two ways."""
    if re.search(r"[\x00-\x20\x7f-\x9f\\\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", address):
        return False
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return (parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc) or (
        parts.scheme == "mailto" and bool(parts.path)
    )


def _picture(mime: str, data: str, alt: str, room: Room) -> Html:
    address = data_picture(f"data:{mime};base64,{data}")
    room.pictures -= len(address)
    if not address or room.pictures < 0:
        return Html('<p class="soft">A picture was left out: it is too large.</p>')
    return Html(f'<p><img alt="{escape(alt)}" src="{address}"></p>')


def _attached(source: str, attachments: dict, room: Room) -> str:
    """Markdown with pictures that the notebook itself holds."""
    known = {}
    for name, bundle in attachments.items() if isinstance(attachments, dict) else ():
        for mime in ("image/png", "image/jpeg"):
            value = bundle.get(mime) if isinstance(bundle, dict) else None
            address = data_picture(f"data:{mime};base64,{value}") if isinstance(value, str) else ""
            if address and len(address) <= room.pictures:
                room.pictures -= len(address)
                known[f"attachment:{name}"] = address
    return _clean(_markdown().render(_without_marks(source), {"pictures": known}))


@functools.lru_cache(maxsize=256)
def _rendered(source: str) -> str:
    """Markdown without attachments."""
    return _clean(_markdown().render(_without_marks(source), {}))


def _clean(text: str) -> str:
    return _cleaner().clean(text)


def _without_marks(source: str) -> str:
    return str(
        re.sub(
            "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "\ufffd", source
        )
    )


@functools.cache
def _markdown() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    made.validateLink = lambda address: True  # decided below, so that a bad link leaves its text and not its source
    made.inline.ruler.before("escape", "math", _math)
    made.inline.ruler.before("autolink", "comment", _comment)
    for name, rule in (
        ("link_open", _link_open),
        ("link_close", _link_close),
        ("image", _image),
        ("math", _shown_math),
    ):
        made.add_render_rule(name, rule)
    return made


@functools.cache
def _cleaner() -> bleach.sanitizer.Cleaner:
    def allowed(tag: str, name: str, value: str) -> bool:
        return (
            (
                tag == "a"
                and (
                    (name == "href" and good_link(value)) or (name == "rel" and value == "noopener noreferrer nofollow")
                )
            )
            or (tag == "img" and (name == "alt" or (name == "src" and value == data_picture(value) != "")))
            or (tag == "ol" and name == "start" and value.isdecimal())
            or (tag == "code" and name == "class" and value == "math")
        )

    return bleach.sanitizer.Cleaner(TAGS, allowed, {"http", "https", "mailto", "data"}, strip=True, strip_comments=True)


def _math(state, silent: bool) -> bool:
    """$...$, $$...$$ and \\begin{..}...\\end{..} stay as they are: no emphasis inside. "$5 and $6" is no math."""
    rest = state.src[state.pos : state.pos + 5000]
    found = re.match(
        r"\$\$.+?\$\$|\$(?=[^\s$])[^$\n]*?[^\s$\\]\$(?!\d)|\$[^\s$]\$(?!\d)|\\begin\{(\w+\*?)\}.*?\\end\{\1\}",
        rest,
        re.S,
    )
    if not found:
        return False
    if not silent:
        state.push("math", "", 0).content = found[0]
    state.pos += found.end()
    return True


def _comment(state, silent: bool) -> bool:
    """An HTML comment is not shown: the course's pages carry the sources of their numbers in some."""
    if not state.src.startswith("<!--", state.pos):
        return False
    end = state.src.find("-->", state.pos + 4)
    if end < 0:
        return False
    state.pos = end + 3
    return True


def _shown_math(renderer, tokens, place, options, env) -> str:
    return f'<code class="math">{escape(tokens[place].content)}</code>'


def _link_open(renderer, tokens, place, options, env) -> str:
    address = tokens[place].attrGet("href") or ""
    if not good_link(address):
        return ""
    return f'<a href="{escape(address)}" rel="noopener noreferrer nofollow">'


def _link_close(renderer, tokens, place, options, env) -> str:
    depth = 0
    for before in reversed(tokens[:place]):
        depth += (before.type == "link_close") - (before.type == "link_open")
        if depth < 0:
            return "</a>" if good_link(before.attrGet("href") or "") else ""
    return ""


def _image(renderer, tokens, place, options, env) -> str:
    """A picture of the notebook's own; every other one is its alt text."""
    token = tokens[place]
    alt = renderer.renderInlineAsText(token.children, options, env).strip()
    address = token.attrGet("src") or ""
    address = env.get("pictures", {}).get(address) or data_picture(address)
    if address:
        return f'<img alt="{escape(alt or "Picture without a description")}" src="{address}">'
    return f"[picture: {escape(alt)}]" if alt else "[picture]"


def _levelled(text: str, base: int, last: int) -> str:
    """Headings below level `base`, each at most one level deeper than the one before."""

    def shift(match):
        nonlocal last
        if not match[1]:
            last = min(int(match[2]) + base, last + 1, 6)
        return f"<{match[1]}h{last}>"

    return re.sub(r"<(/?)h([1-6])>", shift, text)


@functools.lru_cache(maxsize=256)
def _colored(source: str) -> str:
    if len(source) > COLORED:
        return escape(source)
    parts = []
    for kind, text in lex(source, PythonLexer(stripnl=False, ensurenl=False)):
        name = next((name for parent, name in _CLASSES if kind in parent), "")
        parts.append(f'<span class="{name}">{escape(text)}</span>' if name and text.strip() else escape(text))
    return "".join(parts)
