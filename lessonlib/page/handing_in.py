"""One file to hand in, for places without nbgrader's Submit button: Colab, VS Code, a laptop."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from lessonlib import learner

from . import theme

NOBODY = {"", "nobody", "root", "jovyan", "user", "admin", "colab"}  # accounts that many people share
MANIFEST = "handed_in.json"


def hand_in(name: str | None = None, notebook: str | os.PathLike | None = None) -> None:
    """Write the notebooks of this assignment, as they were saved last, into one zip file beside them, and say where.

    `name` is yours, as your instructor knows it (default: that of your account); `notebook` the file, where it cannot be
    found. Nothing is overwritten: each call makes a new file. ValueError when a name or the notebook is missing."""
    try:
        text = _written(name, notebook)
    except ValueError as error:
        said = f"ValueError: {error}"
        error._render_traceback_ = lambda: [said]  # IPython then shows the sentence alone
        raise
    theme.emit(theme.card(theme.escape(text), "good", status=True), text)


def _written(name, notebook) -> str:
    """Write the file; what to say about it."""
    name = (name or learner.name()).strip()
    if name.lower() in NOBODY:
        raise ValueError('Whose work is it? Give your name as your instructor knows it: hand_in("ada").')
    if not re.fullmatch(r"\w[\w.@+-]{0,99}", name) or name.endswith("."):
        raise ValueError(f"The name {name!r} may hold letters, digits and . _ - + @, and no spaces: it names a folder.")
    books, folder = _books(notebook)
    assignment = next(iter(books.values()))[0]
    now = datetime.now(UTC)
    manifest = {
        "format": 1, "assignment": assignment, "student": name, "at": now.strftime("%Y-%m-%d %H:%M:%S.%f UTC"),
        "notebooks": {file: hashlib.sha256(data).hexdigest() for file, (_, data) in books.items()},
    }  # fmt: skip
    path = _free(folder / f"{assignment}-{name}-{now:%Y%m%d-%H%M%S}.zip")
    partial = path.with_suffix(".part")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False))
        for file, (_, data) in books.items():
            packed.writestr(file, data)
    partial.replace(path)
    return (
        f"{path.name} holds {', '.join(books)} of {assignment}, for {name}. Give this file to your instructor. "
        "What you change from now on needs a new one: save, then hand in again."
    )


def _books(notebook) -> tuple[dict[str, tuple[str, bytes]], Path]:
    """({file name: (assignment, content)} of one assignment, the folder to write to)."""
    if notebook is None and (content := _from_colab()) is not None:
        assignment, file = _place(content, None)
        return {file: (assignment, json.dumps(content).encode())}, Path.cwd()
    path = Path(notebook) if notebook is not None else _here()
    if path.suffix != ".ipynb" or not path.is_file():
        raise ValueError(f'There is no notebook {str(path)!r}: name the file, as in hand_in(notebook="my.ipynb").')
    assignment, _ = _place(_read(path), path)
    found = {}
    for other in sorted(path.parent.glob("*.ipynb")):
        try:
            place = _place(_read(other), other)
        except ValueError:
            if other.samefile(path):
                raise
            continue  # some other file that is no notebook
        if place[0] == assignment:
            found.setdefault(place[1], (assignment, other.read_bytes()))
    found[_place(_read(path), path)[1]] = (assignment, path.read_bytes())  # this one, where copies of it lie beside it
    return found, path.parent


def _here() -> Path:
    """The notebook that this kernel belongs to."""
    import sys

    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    for path in ((shell.user_ns if shell else {}).get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if path and str(path).endswith(".ipynb") and Path(path).is_file():
            return Path(path)
    books = sorted(Path.cwd().glob("*.ipynb"))
    if len(books) == 1:
        return books[0]
    raise ValueError('Which notebook? It cannot be found from here: name the file, as in hand_in(notebook="my.ipynb").')


def _from_colab() -> dict | None:
    """The notebook that is open in Colab, as it stands there; None elsewhere."""
    import sys

    if "google.colab" not in sys.modules:
        return None
    from google.colab import _message

    return _message.blocking_request("get_ipynb", timeout_sec=30)["ipynb"]


def _read(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict) or "cells" not in content:
        raise ValueError(f"{path.name} is no notebook: save it in Jupyter, then hand in again.")
    return content


def _place(content: dict, path: Path | None) -> tuple[str, str]:
    """(assignment, file name) of a notebook: what its metadata says, else its folder and name."""
    about = content.get("metadata", {}).get("lessonlib", {})
    assignment, _, name = str(about.get("id", "")).partition("/")
    if assignment:
        return assignment, f"{name or assignment}.ipynb"
    if path is None:
        raise ValueError("This notebook does not say which lesson it is: open the course's own copy of it.")
    return path.resolve().parent.name, path.name


def _free(path: Path) -> Path:
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
