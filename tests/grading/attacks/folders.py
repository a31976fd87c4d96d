"""Hostile and broken things in the place of a notebook, as a student may hand them in: links, pipes, odd files.

Each fills a student's folder; `earned` are the points of the two exercises that it must get. Refused ones get none, with a
reason, and stop nobody else."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .assignment import submission

NAME = "small.ipynb"
HONEST_BOOK = submission()
for _cell in HONEST_BOOK["cells"]:  # as nbgrader's newest form has it
    if "nbgrader" in _cell["metadata"]:
        _cell["metadata"]["nbgrader"] |= {"schema_version": 3, "locked": False, "task": False}
HONEST = json.dumps(HONEST_BOOK)


@dataclass(frozen=True)
class FolderAttack:
    """make(folder): fills the folder, which is there and empty; `folder.parents[2]` is the course."""

    name: str
    make: Callable[[Path], object]
    earned: tuple[float, float] = (0, 0)
    group: str = "notebook structure"


def _write(name: str, data: str | bytes, **more) -> FolderAttack:
    data = data.encode() if isinstance(data, str) else data
    return FolderAttack(name, lambda folder: (folder / NAME).write_bytes(data), **more)


def _source(folder: Path) -> Path:
    return next(folder.parents[2].glob("source/*/*.ipynb"))


def _link_to_solution(folder: Path):
    (folder / NAME).symlink_to(_source(folder))


def _hard_link(folder: Path):
    os.link(_source(folder), folder / NAME)


def _link_to_gradebook(folder: Path):
    (folder / NAME).write_text(HONEST)
    (folder / "data.csv").symlink_to(folder.parents[2] / "gradebook.db")
    (folder / "all").symlink_to(folder.parents[2])


def _folder_in_place(folder: Path):
    (folder / NAME).mkdir()


def _two_alike(folder: Path):
    (folder / "Small.ipynb").write_text(HONEST)
    (folder / "small (1).ipynb").write_text(HONEST)


def _from_browser(folder: Path):
    (folder / "small (1).ipynb").write_text(HONEST)


def _zip(folder: Path):
    with zipfile.ZipFile(folder / NAME, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("x", b"0" * 50_000_000)


def _sparse(folder: Path):
    with open(folder / NAME, "wb") as file:
        file.truncate(10**11)


def _many_files(folder: Path):
    (folder / NAME).write_text(HONEST)
    for number in range(1500):
        (folder / f"f{number}.txt").write_text("x")
    inner = folder
    for _ in range(60):
        inner = inner / "d"
    inner.mkdir(parents=True)


def _timestamp_pipe(folder: Path):
    (folder / NAME).write_text(HONEST)
    os.mkfifo(folder / "timestamp.txt")


def _timestamp_far(folder: Path):
    (folder / NAME).write_text(HONEST)
    (folder / "timestamp.txt").write_text("99999-01-01 00:00:00 UTC\n<script>")


def _modules(folder: Path):
    (folder / NAME).write_text(HONEST)
    for name in ("math.py", "lessonlib.py", "sitecustomize.py", "IPython.py", "builtins.py"):
        (folder / name).write_text("import os\nos._exit(0)\n")


def _cells(number: int) -> bytes:
    return b'{"nbformat": 4, "metadata": {}, "cells": [%s]}' % b", ".join(
        [b'{"cell_type": "code", "metadata": {}, "source": "", "outputs": []}'] * number
    )


FOLDERS = [
    FolderAttack("a link to the solution", _link_to_solution, group="read secrets"),
    FolderAttack("a hard link to the solution", _hard_link, group="read secrets"),
    FolderAttack("links to gradebook and course beside it", _link_to_gradebook, (3, 4), group="write gradebook"),
    FolderAttack("a named pipe", lambda folder: os.mkfifo(folder / NAME), group="hang"),
    FolderAttack("a link to a device", lambda folder: (folder / NAME).symlink_to("/dev/zero"), group="hang"),
    FolderAttack("a link to itself", lambda folder: (folder / NAME).symlink_to(NAME)),
    FolderAttack("a folder instead of a notebook", _folder_in_place),
    FolderAttack("nothing", lambda folder: None),
    FolderAttack("two that could be meant", _two_alike),
    FolderAttack("a browser's name", _from_browser, (3, 4)),
    FolderAttack("a compressed archive", _zip, group="bomb"),
    FolderAttack("a file of a hundred gigabytes without content", _sparse, group="bomb"),
    FolderAttack("thousands of files and deep folders", _many_files, (3, 4), group="bomb"),
    FolderAttack("a pipe as the time of handing in", _timestamp_pipe, (3, 4), group="hang"),
    FolderAttack("a time that there is not", _timestamp_far, (3, 4)),
    FolderAttack("modules beside the notebook", _modules, (3, 4), group="tamper with tests"),
    _write("a hundred thousand cells", _cells(100_000), group="bomb"),
    _write("deep JSON", b"[" * 10**6, group="bomb"),
    _write("a number of a million digits", b'{"nbformat": 4, "cells": [], "x": %s}' % (b"9" * 10**6), group="bomb"),
    _write("keys twice", HONEST[:-1] + ', "cells": []}'),
    _write(
        "many keys, the last one twice",
        b'{"nbformat": 4, "cells": [], "m": {%s, "1999": 2}}' % b", ".join(b'"%d": 1' % n for n in range(2000)),
        group="bomb",
    ),
    _write("empty", b""),
    _write("cut off", HONEST[:500]),
    _write("UTF-16", HONEST.encode("utf-16")),
    _write("bytes of no encoding", b"\xff\xfe\x00" * 100),
    _write("a byte-order mark", b"\xef\xbb\xbf" + HONEST.encode(), earned=(3, 4)),
    _write("a list", "[1, 2]"),
    _write("nbformat of tomorrow", HONEST.replace('"nbformat": 4', '"nbformat": 99')),
    _write(
        "nbformat 3", '{"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": 3}]}'
    ),
    _write("cells that are none", '{"nbformat": 4, "metadata": {}, "cells": [1, null, "x"]}'),
    _write("not a number", '{"nbformat": NaN, "metadata": {}, "cells": Infinity}'),
    _write("half a character", HONEST.replace("Because", "\\ud800"), earned=(3, 4)),
    _write("a zero character", HONEST.replace("return 2", "return\\u0000 2")),
]
