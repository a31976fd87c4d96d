"""Which claims of the source lesson stand on which page: read from the sources of the pages, counted by section."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import jupytext

from ..facts import catalog
from .source import sources

CALLS = ("claims", "claim", "corrections")  # what shows a claim, or computes with it, in a code cell
MARK = re.compile(r"<!--\s*claim:(\S+?)\s*-->")
VERDICTS = ("computed", "cited", "corrected", "estimate")


@dataclass
class Coverage:
    """Where each claim stands: `pages` has the names of its pages by claim id; `unknown` has (page, id) that exist nowhere."""

    claims: list
    pages: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[tuple[str, str]] = field(default_factory=list)

    def missing(self, sections=None) -> list:
        """The claims that stand on no page, of all sections or of some."""
        return [c for c in self.claims if c.id not in self.pages and (sections is None or c.section in sections)]

    def sections(self) -> list[int]:
        """The sections of the source lesson, in order."""
        return sorted({claim.section for claim in self.claims})

    def counts(self, section: int | None = None) -> dict[str, tuple[int, int]]:
        """(shown, all) by verdict, and in "all", of one section or of the whole source lesson."""
        of = [claim for claim in self.claims if section in (None, claim.section)]
        shown = Counter(claim.verdict for claim in of if claim.id in self.pages)
        every = Counter(claim.verdict for claim in of)
        return {v: (shown[v], every[v]) for v in VERDICTS} | {"all": (shown.total(), every.total())}


def coverage(root: Path, lesson: str | None = None) -> Coverage:
    """The coverage by all pages below solutions/, or by those of one lesson. ValueError for a lesson that does not exist,
    or for a cell that is no Python."""
    found = Coverage(catalog.claims())
    known = {claim.id for claim in found.claims}
    for path in sources(root, lesson):
        for claim_id in shown_on(path):
            if claim_id in known:
                found.pages.setdefault(claim_id, []).append(path.stem)
            else:
                found.unknown.append((path.stem, claim_id))
    return found


def shown_on(path: Path) -> list[str]:
    """The claim ids on one page, each once, in the order of the page."""
    cells = jupytext.read(path, fmt="py:percent").cells
    found = []
    for cell in cells:
        if cell.cell_type == "markdown":
            found += MARK.findall(cell.source)
        elif cell.cell_type == "code":
            found += called_with(cell.source, path.name)
    return list(dict.fromkeys(found))


def called_with(code: str, where: str = "a cell") -> list[str]:
    """The claim ids that calls of `claims`, `claim` and `corrections` in a code cell name, as they are written: in the
    first argument, also in a list that the same cell gives a name. Ids in comments and other strings do not count."""
    plain = "\n".join("" if re.match(r"\s*[%!]", line) else line for line in code.splitlines())
    try:
        tree = ast.parse(plain)
    except SyntaxError as error:
        raise ValueError(f"{where}: a cell is no Python: {error.msg} in {(error.text or '').strip()!r}.") from error
    nodes = list(ast.walk(tree))
    named = {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = []
    for node in nodes:
        name = getattr(node.func, "attr", getattr(node.func, "id", None)) if isinstance(node, ast.Call) else None
        if name in CALLS and node.args:
            found += _texts(node.args[0], named)
    return found


def _texts(node: ast.AST, named: dict[str, ast.AST]) -> list[str]:
    """The texts of an argument: itself, those in a list or a sum of lists, or those of a list with a name."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.Name):
        return _texts(named[node.id], {}) if node.id in named else []
    inner = {
        ast.List: lambda: node.elts, ast.Tuple: lambda: node.elts, ast.Set: lambda: node.elts,
        ast.Starred: lambda: [node.value], ast.BinOp: lambda: [node.left, node.right],
    }.get(type(node), list)()  # fmt: skip
    return [text for part in inner for text in _texts(part, named)]
