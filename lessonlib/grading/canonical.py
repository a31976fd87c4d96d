"""The instructor's notebook as plain JSON, and what a submission may add to it.

The snapshot decides which cells there are, their order, ids and points. A submission contributes the source of its
solution and written answers, and cells of its own, which run in its sandbox alone. So copied, moved, renamed, deleted or
changed test cells, and flags in a submission's metadata, have no meaning."""

from __future__ import annotations

import ast
import builtins
import re
import symtable
import warnings
from dataclasses import dataclass

VERSION = 2
IN_KERNEL = "in-kernel"


@dataclass(frozen=True)
class Marks:
    """The delimiters of a course, (begin, end) each; as in nbgrader, a line that contains one is a mark."""

    hidden: tuple[str, str] = ("BEGIN HIDDEN TESTS", "END HIDDEN TESTS")
    solution: tuple[str, str] = ("BEGIN SOLUTION", "END SOLUTION")
    scheme: tuple[str, str] = ("BEGIN MARK SCHEME", "END MARK SCHEME")


def snapshot(
    notebook: dict,
    *,
    source_cells: dict[str, str] | None = None,
    points: dict[str, float] | None = None,
    release: dict | None = None,
    marks: Marks = Marks(),
) -> dict:
    """What is to be graded, from the instructor's notebook (nbformat 4 as a dict).

    source_cells, points: sources and maximal points by grade id that replace the notebook's (a gradebook's). release: the
    learner edition, so that untouched written answers are recognised. The result holds tests and solutions: it is for the
    verifier only; what the submission's sandbox may know is `student_part`. ValueError for two cells with one grade id."""
    cells, seen = [], set()
    for index, cell in enumerate(notebook["cells"]):
        about = cell.get("metadata", {}).get("nbgrader", {})
        grade_id = about.get("grade_id")
        if grade_id is not None and grade_id in seen:
            raise ValueError(f"Two cells of the instructor's notebook have the grade id {grade_id!r}: rename one.")
        seen.add(grade_id)
        source = (source_cells or {}).get(grade_id, text(cell))
        worth = (points or {}).get(grade_id, about.get("points") or 0)
        left_out = _lines(source, marks.hidden) | _lines(source, marks.scheme)
        shown = [line for number, line in enumerate(source.split("\n"), 1) if number not in left_out]
        code = cell["cell_type"] == "code"
        made = {
            "index": index,
            "cell_id": cell.get("id"),
            "grade_id": grade_id,
            "kind": _kind(cell["cell_type"], about),
            "cell_type": cell["cell_type"],
            "source": source,
            "points": float(worth) if about.get("grade") or about.get("task") else 0.0,
            "nbgrader": about,
            "tags": list(cell.get("metadata", {}).get("tags", [])),
            "visible": normal("\n".join(shown)),
            "hidden": regions(source, *marks.hidden),
            "binds": sorted(bound_names(source)) if code else [],
            "uses": sorted(used_names(source)) if code else [],
        }
        cells.append(made)
    _released(cells, release)
    made = {"version": VERSION, "metadata": notebook.get("metadata", {}), "cells": cells, "notes": []}
    _names(made)
    return made


def student_part(shot: dict) -> list[dict]:
    """The plain cells that can be run before any submission: [{"index", "source"}]. Nothing of these is secret."""
    return [
        {"index": c["index"], "source": c["source"]} for c in shot["cells"] if c["kind"] == "plain" and not c["depends"]
    ]


def merge(shot: dict, submission: dict) -> dict:
    """The cells to run, in order, and notes for the report: {"cells": [...], "notes": [...]}.

    A cell is {"index" (None for the submission's own), "kind", "cell_type", "source", perhaps "attachments"}; kinds are
    those of the snapshot and
    "free". The source of a solution cell that was not found is ""."""
    notes: list[str] = []
    theirs = [{**c, "source": text(c), "about": _about(c)} for c in submission["cells"]]
    place, match = _by_id(shot, theirs, notes)
    _by_cell_id_or_text(shot, theirs, place, match)
    _by_names(shot, theirs, place, match, notes)
    _by_position(shot, theirs, place, match, notes)
    after: dict[int, list] = {}
    last = -1
    for number, cell in enumerate(theirs):
        if number in place:
            last = place[number]
            canonical = shot["cells"][last]
            edited = canonical["kind"] == "plain" and normal(cell["source"]) != canonical["visible"]
            if not edited:
                continue
            if match.get(last) == number:
                notes.append(f"cell {number + 1}, one of the instructor's, was changed: it ran beside the original")
        if cell["cell_type"] in ("code", "markdown") and cell["source"].strip():
            after.setdefault(last, []).append({"index": None, "kind": "free", **_handed_in(cell)})
    cells = [*after.get(-1, [])]
    for canonical in shot["cells"]:
        index, kind = canonical["index"], canonical["kind"]
        made = {"index": index, "kind": kind, "cell_type": canonical["cell_type"], "source": canonical["source"]}
        if kind in ("solution", "manual"):
            made |= (
                {**_handed_in(theirs[match[index]]), "cell_type": made["cell_type"]}
                if index in match
                else {"source": ""}
            )
            if index not in match:
                notes.append(f"the cell {canonical['grade_id']} is missing")
        cells.append(made)
        cells += after.get(index, [])
    return {"cells": cells, "notes": notes}


def bound_names(source: str) -> set[str]:
    """Global names that a cell binds: assignments, definitions, imports, also by `global` in its functions."""
    table = _table(source)
    if table is None:
        return set()
    found = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    for inner in inner_tables(table):
        found |= {s.get_name() for s in inner.get_symbols() if s.is_declared_global() and s.is_assigned()}
    return found


def used_names(source: str) -> set[str]:
    """Global names that a cell, or a function in it, reads or deletes."""
    table = _table(source)
    if table is None:
        return set()
    found = {s.get_name() for s in table.get_symbols()}
    for inner in inner_tables(table):
        found |= {s.get_name() for s in inner.get_symbols() if s.is_global()}
    return found


def regions(source: str, begin: str, end: str) -> list[list[int]]:
    """[first, last] line, counted from 1, of each region between two delimiters, their own lines included."""
    found, first = [], None
    lines = source.split("\n")
    for number, line in enumerate(lines, 1):
        if begin in line and first is None:
            first = number
        elif end in line and first is not None:
            found.append([first, number])
            first = None
    return [*found, [first, len(lines)]] if first is not None else found


def imports(source: str) -> list[ast.stmt]:
    """The import statements at the top level of a cell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [n for n in ast.parse(python_of(source)).body if isinstance(n, (ast.Import, ast.ImportFrom))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _lines(source: str, pair: tuple[str, str]) -> set[int]:
    """Numbers of the lines in regions of these delimiters."""
    return {line for first, last in regions(source, *pair) for line in range(first, last + 1)}


def _kind(cell_type: str, about: dict) -> str:
    if about.get("task"):
        return "task"
    if about.get("grade"):
        return "manual" if about.get("solution") or cell_type != "code" else "test"
    if about.get("solution"):
        return "solution" if cell_type == "code" else "text"
    return "plain" if cell_type == "code" else "text"


def _names(shot: dict) -> None:
    """Which names the tests may take from a submission, which imports are the instructor's, which cells depend on answers."""
    cells = shot["cells"]
    plain = {n for c in cells if c["kind"] == "plain" for n in c["binds"]}
    answers = [c for c in cells if c["cell_type"] == "code" and c["kind"] in ("solution", "manual")]
    imported, statements = set(), []
    for cell in answers:
        for node in imports(cell["source"]):
            if not any(alias.name == "*" for alias in node.names):
                imported |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
                statements.append(ast.unparse(node))
    solved = {n for c in answers for n in c["binds"]}
    shot["allowed"] = sorted(solved - plain - imported - set(dir(builtins)))
    shot["not_taken"] = sorted(solved & plain)  # bound by both: the tests see the instructor's
    shot["imports"] = list(dict.fromkeys(statements))
    shot["preload"] = _modules(c["source"] for c in cells if c["kind"] == "plain")
    derived, helpers = set(solved) - plain - imported, set()
    for cell in cells:
        cell["depends"] = cell["kind"] == "plain" and bool(derived & set(cell["uses"]) - set(dir(builtins)))
        if cell["depends"]:
            derived |= set(cell["binds"])
            helpers |= set(cell["uses"])
        cell["names"] = sorted((set(cell["uses"]) | helpers) & set(shot["allowed"]))
    needed: set[str] = set()
    for cell in reversed(cells):  # a cell that depends on answers runs in V when a test uses what it binds
        cell["verifier"] = cell["kind"] == "test" or (cell["depends"] and bool(needed & set(cell["binds"])))
        if cell["verifier"]:
            needed |= set(cell["uses"])


def _modules(sources) -> list[str]:
    found = []
    for source in sources:
        for node in imports(source):
            if isinstance(node, ast.ImportFrom):
                found += [node.module] if node.module and not node.level else []
            else:
                found += [alias.name for alias in node.names]
    return list(dict.fromkeys(found))


def _released(cells: list[dict], release: dict | None) -> None:
    """What the learner was given in each cell to fill, where the release is at hand."""
    given = {_about(c).get("grade_id"): normal(text(c)) for c in release["cells"]} if release else {}
    for cell in cells:
        cell["released"] = given.get(cell["grade_id"]) if cell["grade_id"] is not None else None


def _by_id(shot, theirs, notes):
    """Match by grade id; the first of several counts. Returns (their number -> index, index -> their number)."""
    known = {c["grade_id"]: c["index"] for c in shot["cells"] if c["grade_id"] is not None}
    place, match = {}, {}
    for number, cell in enumerate(theirs):
        grade_id = cell["about"].get("grade_id")
        if grade_id is None:
            continue
        index = known.get(grade_id) if isinstance(grade_id, str) else None
        if index is None:
            notes.append(
                f"cell {number + 1} has a grade id that the assignment does not have: it counts as the student's own"
            )
        elif index in match:
            place[number] = index
            notes.append(f"cell {number + 1} is a copy of {grade_id}: the first one counts")
        else:
            place[number], match[index] = index, number
            canonical = shot["cells"][index]
            same = normal(cell["source"]) in (canonical["visible"], normal(canonical["source"]))
            if canonical["kind"] == "test" and not same:
                notes.append(f"the test cell {grade_id} was changed: the instructor's was run")
            if cell["cell_type"] != canonical["cell_type"]:
                notes.append(f"the cell {grade_id} had another type: it was restored")
    return place, match


def _by_cell_id_or_text(shot, theirs, place, match) -> None:
    """Match the instructor's other cells, and those whose metadata was lost, by notebook cell id, else by their text."""
    for key in ("cell_id", "visible"):
        for canonical in shot["cells"]:
            index, want = canonical["index"], canonical[key]
            if index in match or not want:
                continue
            if key == "visible" and canonical["kind"] in ("solution", "manual"):
                continue
            for number, cell in enumerate(theirs):
                have = cell.get("id") if key == "cell_id" else normal(cell["source"])
                if number not in place and cell["cell_type"] == canonical["cell_type"] and have == want:
                    place[number], match[index] = index, number
                    break


def _by_names(shot, theirs, place, match, notes) -> None:
    """Match solution cells by the names that they define; the last cell that defines them counts, as in a notebook."""
    for canonical in shot["cells"]:
        index, wanted = canonical["index"], set(canonical["binds"]) & set(shot["allowed"])
        if (
            canonical["kind"] not in ("solution", "manual")
            or canonical["cell_type"] != "code"
            or index in match
            or not wanted
        ):
            continue
        for number in reversed(range(len(theirs))):
            cell = theirs[number]
            if number not in place and cell["cell_type"] == "code" and wanted <= bound_names(cell["source"]):
                place[number], match[index] = index, number
                notes.append(
                    f"{canonical['grade_id']} was recognised by the names it defines: {', '.join(sorted(wanted))}"
                )
                break


def _by_position(shot, theirs, place, match, notes) -> None:
    """Match a written answer whose metadata was lost: the one strange text cell between the cells around it."""
    for canonical in shot["cells"]:
        index = canonical["index"]
        if canonical["kind"] != "manual" or canonical["cell_type"] != "markdown" or index in match:
            continue
        low = max((n for n, i in place.items() if i < index), default=-1)
        high = min((n for n, i in place.items() if i > index), default=len(theirs))
        strange = [n for n in range(low + 1, high) if n not in place and theirs[n]["cell_type"] == "markdown"]
        if len(strange) == 1:
            place[strange[0]], match[index] = index, strange[0]
            notes.append(f"{canonical['grade_id']} was recognised by its place")


def _handed_in(cell: dict) -> dict:
    """What is taken from a cell of a submission."""
    return {name: cell[name] for name in ("cell_type", "source", "attachments") if name in cell}


def _about(cell: dict) -> dict:
    about = cell.get("metadata", {}).get("nbgrader", {})
    return about if isinstance(about, dict) else {}


def text(cell: dict) -> str:
    """The source of a cell, which nbformat keeps as text or as a list of lines."""
    source = cell.get("source", "")
    return "".join(source) if isinstance(source, list) else source


def normal(source: str) -> str:
    """`source` without spaces at the ends of lines and empty lines around it, for comparing."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def python_of(source: str) -> str:
    """The cell as Python: magics and shell lines translated."""
    from IPython.core.inputtransformer2 import TransformerManager

    # Magics that run Python hide it in a text: what they run is looked at like any other line.
    source = re.sub(r"^\s*%%(time|timeit|capture|prun)\b.*$", "", source, count=1, flags=re.M)
    source = re.sub(r"^(\s*)%(time|prun)[ \t]+(?=\S)", r"\1", source, flags=re.M)
    return TransformerManager().transform_cell(source)


def _table(source: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a student's code, such as invalid escapes
            return symtable.symtable(python_of(source), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def inner_tables(table):
    """The symbol tables below `table`, at any depth."""
    for child in table.get_children():
        yield child
        yield from inner_tables(child)
