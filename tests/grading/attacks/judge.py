"""Whether the outcome of an attack is safe."""

from __future__ import annotations

import functools
import json
import re
from html.parser import HTMLParser

from .corpus import Attack

ACTIVE = set("script iframe object embed form meta base link frame svg style applet audio video input math".split())
MIMES = {"text/plain", "image/png", "image/jpeg"}


class _Finder(HTMLParser):
    """Gathers what a browser would run or fetch."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag in ACTIVE:
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            address = "".join((value or "").split()).lower()
            if name.startswith("on") or name in ("srcdoc", "formaction", "srcset"):
                self.found.append(f"{tag} {name}")
            if name == "style" and "url(" in address:  # colours of an error are nbconvert's own
                self.found.append(f"{tag} style")
            if name in ("href", "src", "action", "data", "poster", "xlink:href") and not _harmless(tag, address):
                self.found.append(f"{tag} {name}={value!r:.60}")


def _harmless(tag: str, address: str) -> bool:
    """Whether an address, in small letters and without blanks, neither runs anything nor is fetched unasked."""
    scheme = re.match(r"[a-z][a-z0-9+.-]*(?=:)", address)
    if scheme is None:
        return not address.startswith("//")
    if tag == "a":
        return scheme[0] in ("http", "https", "mailto", "attachment")
    return address.startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))


def active(html: str) -> list[str]:
    """What in a page's body a browser would run, or fetch from elsewhere."""
    finder = _Finder()
    finder.feed(html)
    finder.close()
    return finder.found + (["MathJax link"] if "\\href{" in html else [])


@functools.cache
def _exporter():
    from nbconvert import HTMLExporter

    return HTMLExporter(template_name="basic")


def rendered(notebook: dict) -> str:
    """The cells as nbconvert, and so formgrader, shows them: HTML without the page around it."""
    import nbformat

    return _exporter().from_notebook_node(nbformat.reads(json.dumps(notebook), as_version=4))[0]


def unsafe(attack: Attack, record: dict, earned: tuple, seconds: float, most: float) -> list[str]:
    """Sentences on what is not as it must be in a record; [] when the outcome is safe.

    earned: points of the two exercises; most: seconds that a submission may take."""
    double, even = earned
    found = []
    if double != attack.double if attack.double is not None else not 0 <= double <= 3:
        found.append(f"the first exercise earned {double}, not {attack.double}")
    if even != attack.even if attack.even is not None else even not in (0, 4):
        found.append(f"the second exercise earned {even}, not {attack.even}")
    if record["status"] == "failed":
        found.append("it was taken for a failure of the machine")
    if seconds > most:
        found.append(f"it took {seconds:.0f} seconds")
    text = json.dumps(record)
    if len(text) > 64 * 2**20:
        found.append(f"the record has {len(text):,} bytes")
    outputs = [o for c in record["notebook"]["cells"] for o in c.get("outputs", ())]
    if types := {m for o in outputs for m in o.get("data", {})} - MIMES:
        found.append(f"outputs of the types {types}")
    if things := active(rendered(record["notebook"])):
        found.append(f"its page runs or fetches {things}")
    return found
