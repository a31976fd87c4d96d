"""From the hand-edited percent-format source to a notebook: nbgrader's metadata completed, cell ids stable."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path

import jupytext
from nbformat import NotebookNode

from ..paths import settings

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}

# What the bootstrap cell imports is what every page may use.
BOOTSTRAP = """\
import importlib.util, sys
if "google.colab" in sys.modules and importlib.util.find_spec("lessonlib") is None:
    {install}
from lessonlib import page
from lessonlib.page import check, compare, corrections, hints, predict, quiz, reveal, show, svg, table

page.start("{id}")"""


BESIDE = ("wrong_answers.py", "right_answers.py")  # answers to a lesson's exercises, which stand beside its source


def sources(root: Path, wanted: str | None = None) -> list[Path]:
    """The percent-format sources below solutions/, or those of the lesson whose folder or notebook name starts with
    `wanted` ("05", "05_kv_cache", "vram_budget"). ValueError names what exists when none matches."""
    found = sorted(p for p in (root / "solutions").glob("*/*.py") if p.name not in BESIDE)
    if wanted is None:
        return found
    chosen = [p for p in found if p.parent.name.startswith(wanted) or p.stem.startswith(wanted)]
    if not chosen:
        raise ValueError(f"No lesson starts with {wanted!r}; there are {', '.join(p.stem for p in found) or 'none'}.")
    return chosen


def read_source(path: Path, root: Path) -> NotebookNode:
    """The notebook that `path` describes, without outputs. ValueError, naming the file, when its header or a cell's
    metadata is unusable."""
    notebook = jupytext.read(path, fmt="py:percent")
    about = notebook.metadata.get("lessonlib")
    if not about or not {"id", "title", "minutes"} <= set(about):
        raise ValueError(f"{path.name}: the header must hold a lessonlib table with id, title and minutes.")
    seen: Counter = Counter()
    for cell in notebook.cells:
        _fill_template(cell, about, settings(root))
        _complete(cell, path)
        cell["id"] = _cell_id(cell, seen)
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, []
    notebook.metadata = NotebookNode(
        kernelspec=KERNEL,
        language_info={"name": "python"},
        lessonlib={**about, "source_sha256": _source_hash(notebook)},
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def atomic_write(path: Path, text: str) -> None:
    """Write beside and rename, so that a killed build leaves the old file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _fill_template(cell, about: dict, setting: dict) -> None:
    tags = cell.metadata.get("tags", [])
    repository, branch = setting.get("repository", ""), setting.get("branch", "main")
    if "badges" in tags:
        cell.source = _badges(about, repository, branch)
    if "bootstrap" in tags:
        install = f'%pip install -q --no-deps "git+{repository}@{branch}"'
        if not repository:
            install = (
                'raise RuntimeError("This copy of the course has no public address: upload its lessonlib folder here.")'
            )
        cell.source = BOOTSTRAP.format(install=install, id=about["id"])
        cell.metadata["tags"] = [*tags, "nbval-ignore-output"]


def _badges(about: dict, repository: str, branch: str) -> str:
    gpu = "a GPU makes it faster" if about.get("gpu") == "better" else "no GPU needed"
    line = f"**{about['minutes']} minutes** · runs on a 2-core CPU, {gpu} · works offline"
    match = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)/?", repository)
    if not match:
        return line
    page = f"notebooks/{about['id'].split('/')[0]}/{about['id'].split('/')[-1]}.ipynb"
    colab = f"https://colab.research.google.com/github/{match[1]}/blob/{branch}/{page}"
    binder = f"https://mybinder.org/v2/gh/{match[1]}/{branch}?labpath={page.replace('/', '%2F')}"
    return f"{line} · [Open in Colab]({colab}) · [Open in Binder]({binder})"


def _complete(cell, path: Path) -> None:
    """nbgrader's schema has seven keys; the source writes only those that say something."""
    given = cell.metadata.get("nbgrader")
    if given is None:
        return
    if "grade_id" not in given:
        raise ValueError(f"{path.name}: a cell has nbgrader metadata without a grade_id: {json.dumps(dict(given))}.")
    grade, solution = bool(given.get("grade")), bool(given.get("solution"))
    full = dict(schema_version=3, grade=grade, solution=solution, task=False, locked=not solution, **{"grade_id": ""})
    full.update(given)
    if grade and "points" not in full:
        raise ValueError(f"{path.name}: the graded cell {given['grade_id']} has no points.")
    cell.metadata["nbgrader"] = full


def _cell_id(cell, seen: Counter) -> str:
    """The grade id, else `id` in the cell's header, else a hash of the text with a counter for repeats."""
    known = cell.metadata.get("nbgrader", {}).get("grade_id") or cell.metadata.pop("id", None)
    if known:
        return known
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _source_hash(notebook) -> str:
    cells = [[c.cell_type, c["id"], c.source, c.metadata] for c in notebook.cells]
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()
