"""Reads what was handed in without trusting it: no links, limits, strict JSON, and one sentence for what is refused."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import stat
import unicodedata
import warnings
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

PICTURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8"}
_NEVER = re.compile("[\x00-\x1f\x7f/\\\\\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_MADE_BY_BROWSERS = re.compile(r"(\s*\(\d{1,3}\)|\s*-\s*copy\d*|-copy\d*|_copy)+$")


@dataclass(frozen=True)
class Limits:
    """What may be handed in. file: bytes of a notebook; old: of one before nbformat 4, which must be converted; source:
    characters of one cell; picture, pictures: bytes of one that is pasted into a cell, and their number there; files, many:
    bytes and number of other files."""

    file: int = 20 * 2**20
    old: int = 2 * 2**20
    files: int = 10 * 2**20
    many: int = 200
    cells: int = 2000
    source: int = 500_000
    picture: int = 2 * 2**20
    pictures: int = 20
    depth: int = 60
    digits: int = 400


class Refused(ValueError):
    """A submission that is not graded; the message is the reason, in one sentence."""


def read(root: Path, name: str, limits: Limits = Limits()) -> tuple[dict, list[str]]:
    """(notebook in nbformat 4, notes) of the file `name` below `root` ("student/assignment/notebook.ipynb").

    Outputs are left behind: they are made anew. Refused with the reason when it cannot be graded."""
    data = read_file(root, name, limits.file)
    return parse(data, limits)


def read_file(root: Path, name: str, limit: int) -> bytes:
    """Bytes of a regular file below `root`, reached without following any link on the way."""
    parts = name.split("/")
    for part in parts:
        check_name(part)
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = _open(part, os.O_RDONLY | os.O_DIRECTORY, folder, name)
            os.close(folder)
            folder = inner
        # Not blocking: opening a named pipe would wait for ever.
        file = _open(parts[-1], os.O_RDONLY | os.O_NONBLOCK, folder, name)
    finally:
        os.close(folder)
    about = os.fstat(file)
    if not stat.S_ISREG(about.st_mode):
        os.close(file)
        raise Refused(f"{parts[-1]} is not a regular file.")
    with open(file, "rb") as opened:
        if about.st_nlink > 1:
            raise Refused(
                f"{parts[-1]} has {about.st_nlink} names (hard links), so it may be somebody else's file: copy it in its place."
            )
        if about.st_size > limit:
            raise Refused(f"{parts[-1]} has {about.st_size:,} bytes; at most {limit:,} are read.")
        data = opened.read(limit + 1)
    if len(data) > limit:
        raise Refused(f"{parts[-1]} grew beyond {limit:,} bytes while it was read.")
    return data


def files(root: Path, name: str, limits: Limits = Limits(), ignore=()) -> tuple[dict[str, str], list[str]]:
    """({relative path: base64}, notes): the other regular files of the folder `name` below `root`, for the sandbox.

    Links, hidden files, notebooks and names that match a glob of `ignore` are passed over; what is too much is noted."""
    found, notes, room = {}, [], limits.files
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        for entry in sorted(os.scandir(Path(root, name, inner)), key=lambda e: e.name):
            path = f"{inner}{entry.name}"
            if entry.name.startswith(".") or any(fnmatchcase(entry.name, pattern) for pattern in ignore):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting += [path + "/"] if path.count("/") < 8 else []
            elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(".ipynb") and path != "timestamp.txt":
                if len(found) == limits.many:
                    notes.append(f"more than {limits.many} files were handed in: the rest was left out")
                    return found, notes
                try:
                    data = read_file(root, f"{name}/{path}", room)
                except Refused as refused:
                    notes.append(f"{refused} The file was left out.")
                    continue
                room -= len(data)
                found[path] = base64.b64encode(data).decode("ascii")
    return found, notes


def parse(data: bytes, limits: Limits = Limits()) -> tuple[dict, list[str]]:
    """(notebook in nbformat 4 without outputs, notes) from the bytes of an .ipynb file; Refused with the reason."""
    raw = _json(data, limits)
    if not isinstance(raw, dict):
        raise Refused(f"The file holds a JSON {_called(raw)}, not a notebook.")
    version, notes = raw.get("nbformat"), []
    if type(version) is not int or not 1 <= version <= 4:
        raise Refused(f"nbformat is {_short(version)}; a notebook says 4 (or 1 to 3).")
    if version < 4:
        if len(data) > limits.old:
            raise Refused(
                f"The notebook is of nbformat {version} and has {len(data):,} bytes; at most {limits.old:,} are converted: open "
                "and save it in JupyterLab."
            )
        raw = _upgraded(raw, version)
        notes.append(f"the notebook was converted from nbformat {version}")
    cells = raw.get("cells")
    if not isinstance(cells, list):
        raise Refused("The notebook has no list of cells.")
    if len(cells) > limits.cells:
        raise Refused(f"The notebook has {len(cells):,} cells; at most {limits.cells:,} are graded.")
    made = [_cell(cell, number, limits, notes) for number, cell in enumerate(cells, 1)]
    metadata = raw.get("metadata")
    if not isinstance(metadata, dict):
        notes.append("the notebook's metadata was not an object and was left out")
        metadata = {}
    language = metadata.get("kernelspec", {})
    language = language.get("language", "python") if isinstance(language, dict) else "python"
    if isinstance(language, str) and language.lower() not in ("python", ""):
        raise Refused(f"The notebook is written for {_short(language)}, not Python.")
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}, notes


def check_name(name: str) -> str:
    """`name` in Unicode's composed form, when it can be a student, an assignment or a file; Refused says why not."""
    if not isinstance(name, str) or not name:
        raise Refused("A name is empty.")
    if name in (".", "..") or _NEVER.search(name) or any(0xD800 <= ord(c) < 0xE000 for c in name):
        raise Refused(f"The name {_short(name)} has characters that a file name must not have.")
    if name != name.strip() or name.startswith((".", "-", "~")) or name.endswith("."):
        raise Refused(f"The name {_short(name)} begins or ends with a space, dot, dash or tilde.")
    composed = unicodedata.normalize("NFC", name)
    if len(composed.encode()) > 200:
        raise Refused(f"The name {_short(name)} is longer than 200 bytes.")
    return composed


def find_notebook(names: list[str], wanted: str) -> tuple[str, list[str]]:
    """(the file among `names` that is the notebook `wanted`, without .ipynb; notes). Spaces, case, Unicode form and the
    marks that browsers add ("(1)", "-Copy1") are forgiven when only one file fits. Refused when none or several do."""
    books = [n for n in names if n.lower().endswith(".ipynb") and not n.startswith(".")]
    if f"{wanted}.ipynb" in books:
        return f"{wanted}.ipynb", []
    near = [n for n in books if _loose(n[:-6]) == _loose(wanted)]
    if len(near) == 1:
        return near[0], [f"{_short(near[0])} was taken for {wanted}.ipynb"]
    if near:
        raise Refused(f"Several files could be {wanted}.ipynb: {', '.join(map(_short, sorted(near)[:5]))}.")
    there = ", ".join(map(_short, sorted(books)[:5])) or "no notebook"
    raise Refused(f"{wanted}.ipynb was not handed in; there is {there}.")


def _open(part: str, flags: int, folder: int, name: str) -> int:
    try:
        return os.open(part, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        raise Refused(f"{_short(name)} is not there.") from None
    except OSError as error:  # ELOOP and ENOTDIR for links, ENXIO for a socket, EACCES
        raise Refused(
            f"{_short(part)} cannot be read: it is a link, no file, or not readable ({error.strerror})."
        ) from None


def _json(data: bytes, limits: Limits):
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Refused("The file is not UTF-8 text, so it is no notebook.") from None
    if not text.strip():
        raise Refused("The file is empty.")
    depth = _depth(text)
    if depth > limits.depth:
        raise Refused(f"The JSON is nested {depth:,} deep; a notebook needs fewer than {limits.depth} levels.")

    def whole(digits: str) -> int:
        if len(digits) > limits.digits:
            raise Refused(f"The JSON has a number of {len(digits):,} digits.")
        return int(digits)

    try:
        return json.loads(text, object_pairs_hook=_unique, parse_int=whole, parse_constant=lambda name: None)
    except Refused:
        raise
    except (ValueError, RecursionError) as error:
        raise Refused(f"The file is not valid JSON: {_short(str(error))}.") from None


def _depth(text: str) -> int:
    """How deep brackets are nested, before anything recursive looks at the text."""
    deep = most = 0
    # Possessive, with an optional end: one pass, whatever quotes and backslashes the text has.
    bare = re.sub(r'"(?:[^"\\]++|\\.)*+"?', "", text, flags=re.S)
    for bracket in re.findall(r"[\[\]{}]", bare):
        deep += 1 if bracket in "[{" else -1
        most = max(most, deep)
    return most


def _unique(pairs: list) -> dict:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(name for name, many in Counter(name for name, _ in pairs).items() if many > 1)
        raise Refused(f"The JSON has the key {_short(twice)} twice in one object, so it has two readings.")
    return made


def _upgraded(raw: dict, version: int) -> dict:
    import nbformat

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = nbformat.reader.reads(json.dumps(raw))
            return json.loads(json.dumps(nbformat.convert(node, 4)))
    except Exception as error:  # whatever an old notebook with wrong parts provokes in the converter
        raise Refused(
            f"The notebook says nbformat {version} and cannot be converted ({type(error).__name__})."
        ) from None


def _cell(cell, number: int, limits: Limits, notes: list[str]) -> dict:
    if not isinstance(cell, dict):
        raise Refused(f"Cell {number} is a JSON {_called(cell)}, not an object.")
    kind, source = cell.get("cell_type"), cell.get("source", "")
    if kind not in ("code", "markdown", "raw"):
        raise Refused(f"Cell {number} has the type {_short(kind)}; cells are code, markdown or raw.")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise Refused(f"The source of cell {number} is not text.")
    if len(source) > limits.source:
        raise Refused(f"Cell {number} has {len(source):,} characters; at most {limits.source:,} are graded.")
    if "\0" in source:
        raise Refused(f"Cell {number} holds a NUL character, which Python does not read.")
    if any(0xD800 <= ord(c) < 0xE000 for c in source):
        source = "".join("\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in source)
        notes.append(f"cell {number} had broken characters, which were replaced")
    metadata, kept = cell.get("metadata"), {}
    about = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if isinstance(about, dict) and isinstance(about.get("grade_id"), str):
        kept["nbgrader"] = {"grade_id": about["grade_id"]}  # all that is asked of a submission's metadata
    made = {"cell_type": kind, "metadata": kept, "source": source}
    if isinstance(cell.get("id"), str):
        made["id"] = cell["id"]
    if kind == "markdown" and (pictures := _pictures(cell.get("attachments"), limits)):
        made["attachments"] = pictures
    return made


def _pictures(attachments, limits: Limits) -> dict[str, dict[str, str]]:
    """The pictures pasted into a cell, {name: {mime type: base64}}; whatever is something else is left out."""
    kept = {}
    for name, data in attachments.items() if isinstance(attachments, dict) else ():
        for mime, begins in PICTURES.items():
            value = data.get(mime) if isinstance(data, dict) else None
            if isinstance(value, list) and all(isinstance(line, str) for line in value):
                value = "".join(value)
            if not isinstance(value, str) or len(value) > limits.picture * 4 // 3 or len(kept) == limits.pictures:
                continue
            try:
                if base64.b64decode("".join(value.split()), validate=True).startswith(begins):
                    kept[name] = {mime: "".join(value.split())}
            except (binascii.Error, ValueError):
                continue
    return kept


def _loose(name: str) -> str:
    name = unicodedata.normalize("NFKC", name).casefold().strip()
    return re.sub(r"[\s_-]+", "_", _MADE_BY_BROWSERS.sub("", name))


def _called(value) -> str:
    return {list: "list", str: "text", bool: "truth value", type(None): "null", dict: "object"}.get(
        type(value), "number"
    )


def _short(value) -> str:
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 80 else text[:77] + "...'"
