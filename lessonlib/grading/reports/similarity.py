"""Pairs of students whose answers are alike in ways that the rest of the class is not.

Code becomes tokens without comments, spacing and docstrings, written answers become words. Runs of a few tokens
("fragments") are compared; in each, names that a student chose are numbered in order of appearance, so renaming hides
nothing. What the notebook itself gives counts nothing, and a fragment counts by how rare it is in the class. Winnowing
(Schleimer, Wilkerson and Aiken, SIGMOD 2003) picks the fragments by which candidate pairs are found."""

from __future__ import annotations

import ast
import builtins
import io
import json
import keyword
import re
import time
import tokenize
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

from .. import canonical, results

RUN = {"code": 5, "text": 4}  # tokens, or words, of a fragment
WINDOW = 4  # of this many fragments in a row, one is a fingerprint
LEAST = 20.0  # rare fragments that a pair must share: fewer are too little to go by
LEAST_CELL = {"code": 40.0, "text": 16.0}  # the same for a pair that is alike in one cell only
FEW = 10  # students below which rarity says little
OWN = "own cells"  # the name of the cells that a student added, taken together
_FIXED = {*keyword.kwlist, *dir(builtins), "self", "cls"}
_DROPPED = {
    tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
    tokenize.ENCODING,
}  # fmt: skip


@dataclass(frozen=True)
class Token:
    """A token's text, whether it is a name that its author chose, where it stands ((line from 1, column), end), and the
    number of its statement."""

    text: str
    chosen: bool
    start: tuple[int, int]
    end: tuple[int, int]
    statement: int = 0


@dataclass
class Cell:
    """A cell to compare: `kind` is "code" or "text"; `stub` is what students were given in it, `given` are other texts that
    everybody has, `solution` is the instructor's."""

    notebook: str
    id: str
    kind: str = "code"
    stub: str = ""
    given: list[str] = field(default_factory=list)
    solution: str = ""


@dataclass
class _Fragments:
    """The fragments of one answer: {fragment: [numbers of the tokens where it begins]}, and its fingerprints."""

    tokens: list[Token]
    places: dict[tuple, list[int]]
    prints: set


def run(course, assignment: str, threshold: float = 0.8, notebook: str | None = None) -> tuple[dict, list, dict]:
    """Compare the graded submissions of an assignment. Returns (result as in `compare`, the cells, the answers).

    ValueError when nothing is graded, or when the assignment has no such notebook."""
    names = course.notebooks(assignment)
    if notebook is not None and notebook not in names:
        raise ValueError(f"{assignment} has no notebook {notebook!r}; it has {', '.join(names)}.")
    wanted = names if notebook is None else [notebook]
    cells = []
    for name in wanted:
        cells += cells_of(course.snapshot(assignment, name), name)
    answers = collect(course, assignment, wanted)
    if not answers:
        raise ValueError(
            f"No graded submission of {assignment} is there to compare: run lessonlib grade autograde {assignment} first."
        )
    result = {"assignment": assignment, "notebooks": wanted, **compare(cells, answers, threshold)}
    return result, cells, answers


def cells_of(shot: dict, notebook: str) -> list[Cell]:
    """The cells of a snapshot that students fill in, and one for cells of their own."""
    shared = [c["visible"] for c in shot["cells"] if c["cell_type"] == "code" and c["kind"] in ("plain", "test")]
    found = []
    for cell in shot["cells"]:
        if cell["kind"] in ("solution", "manual"):
            code = cell["cell_type"] == "code"
            given = shared if code else []
            found.append(
                Cell(
                    notebook,
                    cell["grade_id"],
                    "code" if code else "text",
                    cell["released"] or "",
                    given,
                    cell["source"],
                )
            )
    solutions = [c["source"] for c in shot["cells"] if c["kind"] == "solution"]
    return [*found, Cell(notebook, OWN, "code", "", [*shared, *solutions])]


def collect(course, assignment: str, notebooks: list[str]) -> dict[str, dict[tuple[str, str], str]]:
    """Answers by student and (notebook, cell id): from the records, else from the autograded notebooks."""
    answers: dict[str, dict] = {}
    for record in results.each(course, assignment):
        if record["name"] in notebooks and record["status"] == "graded":
            answers.setdefault(record["student"], {}).update(filled(record["notebook"], record["name"]))
    top = course.folder("autograded")
    for path in sorted(top.glob(f"*/{assignment}/*.ipynb")) if top.is_dir() else ():
        student = path.parent.parent.name
        if path.stem in notebooks and not any(name == path.stem for name, _ in answers.get(student, ())):
            answers.setdefault(student, {}).update(filled(json.loads(path.read_text(encoding="utf-8")), path.stem))
    return answers


def filled(notebook: dict, name: str) -> dict[tuple[str, str], str]:
    """The answers in a graded notebook by (notebook, cell id); a student's own code cells are one answer, `OWN`."""
    found, own = {}, []
    for cell in notebook["cells"]:
        about = cell.get("metadata", {}).get("nbgrader", {})
        if about.get("solution"):
            found[name, about["grade_id"]] = canonical.text(cell)
        elif not about and str(cell.get("id", "")).startswith("free-") and cell["cell_type"] == "code":
            own.append(canonical.text(cell))
    if own:
        found[name, OWN] = "\n\n".join(own)
    return found


def compare(cells: list[Cell], answers: dict[str, dict[tuple[str, str], str]], threshold: float = 0.8) -> dict:
    """Pairs of students at or above `threshold` in all, or in one cell that has much to go by (not in a class below FEW).

    A pair: {"a", "b", "whole" (whether in all), "alike" (0 to 1), "fragments" (rare ones shared), "cells": [{"notebook",
    "id", "alike", "fragments", "as_typed"}]}. The result also has "students", "threshold", "candidates", "groups", "notes",
    "seconds"."""
    if not 0 < threshold <= 1:
        raise ValueError(f"The threshold is {threshold:g}, but must be above 0 and at most 1, for example 0.8.")
    started = time.perf_counter()
    scored: dict[tuple[str, str], list[dict]] = defaultdict(list)
    candidates: set[tuple[str, str]] = set()
    broken, tables = Counter(), []
    for cell in cells:
        texts = {s: a[cell.notebook, cell.id] for s, a in answers.items() if (cell.notebook, cell.id) in a}
        table = _Table(cell, texts)
        broken.update(table.broken)
        tables.append((cell, table))
        candidates |= table.candidates(threshold)
    for pair in candidates:
        for cell, table in tables:
            row = table.score(*pair)
            if row is not None:
                scored[pair].append({"notebook": cell.notebook, "id": cell.id, "kind": cell.kind, **row})
    pairs = [made for pair, rows in scored.items() if (made := _pair(pair, rows, threshold, answers))]
    pairs.sort(key=lambda p: (-p["alike"], -p["fragments"], p["a"], p["b"]))
    notes = []
    if len(answers) < FEW:
        notes.append(
            f"Only {len(answers)} submissions: how rare a form is cannot be judged from so few, so read the pairs with care."
        )
    if broken:
        notes.append(f"{sum(broken.values())} answers are no valid Python and were compared as plain text.")
    return {
        "students": len(answers),
        "threshold": threshold,
        "candidates": len(candidates),
        "pairs": pairs,
        "groups": _groups(pairs),
        "notes": notes,
        "seconds": round(time.perf_counter() - started, 3),
    }


def rarity(students: int, of: int) -> float:
    """What a fragment counts that `students` of `of` have: 1 when two have it, 0 when more than about a tenth have."""
    return 1.0 if students < 2 else max(0.0, 1 - (students - 2) / max(3.0, of / 10))


def tokens(source: str, kind: str = "code", fixed: Iterable[str] = ()) -> tuple[list[Token], bool]:
    """(the tokens of an answer, whether it had to be read as plain text although it is code).

    fixed: names besides Python's own that are not the student's to choose."""
    if kind == "text":
        return _words(source.lower()), False
    fixed = {*_FIXED, *fixed}
    try:
        return _code(source, fixed), False
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return _rough_code(source, fixed), True


def shared(cell: Cell, answers: dict, a: str, b: str) -> tuple[list, list]:
    """The lines of both answers to a cell, as [(text, [(first, last) columns that are alike])], for the side by side."""
    texts = {s: v[cell.notebook, cell.id] for s, v in answers.items() if (cell.notebook, cell.id) in v}
    return _Table.of(cell, texts).marks(a, b)


class _Table:
    """The answers of a class to one cell as fragments, and how many have each."""

    _last: tuple | None = None

    def __init__(self, cell: Cell, texts: dict[str, str]):
        self.cell, self.texts, self.size, self.broken = cell, texts, RUN[cell.kind], Counter()
        around = [text for text in (cell.stub, *cell.given) if text.strip()]
        fixed = {t.text for text in around for t in tokens(text, cell.kind)[0] if t.chosen}
        common = {g for text in (*around, cell.solution) for g in self._fragments(text, fixed).places}
        untouched = canonical.normal(cell.stub)
        self.found: dict[str, _Fragments] = {}
        for student, text in texts.items():
            if canonical.normal(text) not in ("", untouched):
                made = self._fragments(text, fixed, student)
                self.found[student] = _Fragments(
                    made.tokens, {g: p for g, p in made.places.items() if g not in common}, made.prints - common
                )
        have = Counter(g for made in self.found.values() for g in made.places)
        steps = [rarity(n, len(self.found)) for n in range(len(self.found) + 1)]
        self.weight = {g: steps[n] for g, n in have.items()}
        self.have = have

    @classmethod
    def of(cls, cell: Cell, texts: dict[str, str]) -> _Table:
        """The table of a cell; the last one is kept, since a page asks for many pairs of one cell."""
        if cls._last is None or cls._last[0] is not cell:
            cls._last = (cell, cls(cell, texts))
        return cls._last[1]

    def candidates(self, threshold: float) -> set[tuple[str, str]]:
        """Pairs that share so many rare fingerprints of this cell that they may reach the threshold in it."""
        holders = defaultdict(list)
        totals: Counter = Counter()
        for student in sorted(self.found):
            for print_ in self.found[student].prints:
                totals[student] += self.weight[print_]
                if self.have[print_] > 1 and self.weight[print_]:
                    holders[print_].append(student)
        together: Counter = Counter()
        for print_, students in holders.items():
            for pair in combinations(students, 2):
                together[pair] += self.weight[print_]
        return {pair for pair, sum_ in together.items() if sum_ >= threshold / 2 * min(totals[s] for s in pair)}

    def score(self, a: str, b: str) -> dict | None:
        """How alike two answers are; None when one of the two has none."""
        if a not in self.found or b not in self.found:
            return None
        one, two = self.found[a].places.keys(), self.found[b].places.keys()
        both = sum(self.weight[g] for g in one & two)
        all_ = both + sum(self.weight[g] for g in one ^ two)
        return {"both": both, "all": all_}

    def marks(self, a: str, b: str) -> tuple[list, list]:
        """See `shared`."""
        both = {g for g in self.found[a].places.keys() & self.found[b].places.keys() if self.weight[g] > 0}
        return tuple(self._lines(student, both) for student in (a, b))

    def _lines(self, student: str, wanted: set) -> list:
        made = self.found[student]
        hit = {n for g in wanted for start in made.places[g] for n in range(start, start + len(g))}
        lines = [(line, []) for line in self.texts[student].split("\n")]
        last = None
        for number, token in enumerate(made.tokens):
            if number not in hit:
                continue
            for row in range(token.start[0], token.end[0] + 1):
                first = token.start[1] if row == token.start[0] else 0
                end = token.end[1] if row == token.end[0] else len(lines[row - 1][0])
                spans = lines[row - 1][1]
                if spans and last == number - 1:
                    spans[-1] = (spans[-1][0], end)
                else:
                    spans.append((first, end))
            last = number
        return lines

    def _fragments(self, text: str, fixed: set, student: str | None = None) -> _Fragments:
        found, broken = tokens(text, self.cell.kind, fixed)
        if broken and student is not None:
            self.broken[student] += 1
        places: dict[tuple, list[int]] = defaultdict(list)
        order = []
        begin = 0
        while begin < len(found):  # a fragment stays within its statement, so that the order of statements is no matter
            end = begin
            while end < len(found) and found[end].statement == found[begin].statement:
                end += 1
            for start in range(begin, max(begin + 1, end - self.size + 1)):
                fragment = _numbered(found[start : min(start + self.size, end)])
                places[fragment].append(start)
                order.append(fragment)
            begin = end
        return _Fragments(found, dict(places), set(_winnow(order)))


def _pair(pair: tuple[str, str], rows: list[dict], threshold: float, answers: dict) -> dict | None:
    """The pair, when it reaches the threshold with enough to go by."""
    from rapidfuzz import fuzz

    both, all_ = sum(r["both"] for r in rows), sum(r["all"] for r in rows)
    whole = all_ and both >= LEAST and both / all_ >= threshold
    single = len(answers) >= FEW and any(r["both"] >= max(LEAST_CELL[r["kind"]], threshold * r["all"]) for r in rows)
    if not (whole or single):
        return None
    cells = [
        {
            "notebook": row["notebook"],
            "id": row["id"],
            "alike": round(row["both"] / row["all"], 3) if row["all"] else None,
            "fragments": round(row["both"], 1),
        }
        for row in rows
    ]
    for cell in cells:
        one, two = (answers[student][cell["notebook"], cell["id"]] for student in pair)
        cell["as_typed"] = round(fuzz.ratio(one, two) / 100, 3)
    about = {"whole": bool(whole), "alike": round(both / all_, 3), "fragments": round(both, 1)}
    return {"a": pair[0], "b": pair[1], **about, "cells": cells}


def _groups(pairs: list[dict]) -> list[list[str]]:
    """Students who hang together by pairs, for three and more."""
    group: dict[str, set] = {}
    for pair in pairs:
        joined = group.get(pair["a"], {pair["a"]}) | group.get(pair["b"], {pair["b"]})
        for student in joined:
            group[student] = joined
    return sorted({tuple(sorted(g)) for g in group.values() if len(g) > 2})


def _code(source: str, fixed: set[str]) -> list[Token]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(source)
        except SyntaxError:  # because of magics and shell lines, perhaps
            source = re.sub(r"^[ \t]*[%!].*$", "", source, flags=re.M)
            tree = ast.parse(source)
    skipped = _docstrings(tree)
    found: list[Token] = []
    statement = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE or token.string == ";":
            statement += 1
            continue
        if token.type in _DROPPED or token.start in skipped:
            continue
        text, chosen = token.string, False
        if token.type == tokenize.NAME:
            attribute = bool(found) and found[-1].text == "."
            chosen = not attribute and text not in fixed
        elif token.type == tokenize.STRING:
            text = _plain_string(text)
        if text in ")]}" and found and found[-1].text == ",":
            found.pop()  # a comma that only spacing tools add
        found.append(Token(text, chosen, token.start, token.end, statement))
    return found


def _docstrings(tree: ast.AST) -> set[tuple[int, int]]:
    """Where texts begin that stand alone as a statement; columns as tokenize counts them (characters)."""
    return {
        (node.lineno, node.col_offset)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    }


def _plain_string(text: str) -> str:
    """A string token with one kind of quotes."""
    try:
        return repr(ast.literal_eval(text))
    except (SyntaxError, ValueError):  # an f-string
        return re.sub(r"^([a-zA-Z]*)('''|\"\"\"|'|\")(.*)\2$", r"\1'\3'", text, flags=re.S)


def _words(source: str) -> list[Token]:
    return [
        Token(found.group(), False, (number, found.start()), (number, found.end()))
        for number, line in enumerate(source.split("\n"), 1)
        for found in re.finditer(r"\w+", line)
    ]


def _rough_code(source: str, fixed: set[str]) -> list[Token]:
    """What cannot be parsed: words and signs, line by line, up to a #."""
    return [
        Token(word := found.group(), word.isidentifier() and word not in fixed, (n, found.start()), (n, found.end()), n)
        for n, line in enumerate(source.split("\n"), 1)
        for found in re.finditer(r"\w+|[^\w\s]", line.partition("#")[0])
    ]


def _numbered(run: list[Token]) -> tuple:
    """The texts of a run of tokens; chosen names as numbers in order of appearance in it."""
    seen: dict[str, int] = {}
    return tuple(seen.setdefault(t.text, len(seen)) if t.chosen else t.text for t in run)


def _winnow(order: list[tuple]) -> Iterable[tuple]:
    """The fragment with the smallest hash of each window; the last one when several are."""
    hashes = [zlib.crc32(repr(fragment).encode()) for fragment in order]
    for start in range(max(1, len(order) - WINDOW + 1) if order else 0):
        window = range(start, min(start + WINDOW, len(order)))
        yield order[min(window, key=lambda n: (hashes[n], -n))]
