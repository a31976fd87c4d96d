"""What is handed in is read without trust, and each refusal is one sentence."""

from __future__ import annotations

import base64
import json
import os

import pytest

from lessonlib.grading import intake
from lessonlib.grading.intake import Limits, Refused, check_name, find_notebook, parse, read


def book(*cells, **more) -> dict:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}


def code(source="x = 1", **more) -> dict:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None, **more}


def raw(notebook) -> bytes:
    return json.dumps(notebook).encode()


def test_a_notebook_is_reduced_to_what_counts():
    cell = code(["a = 1\n", "b"], id="abc", metadata={"nbgrader": {"grade_id": "e1", "points": 99}, "x": 1})
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "secret"}]
    made, notes = parse(raw(book(cell)))
    assert made["cells"] == [
        {"cell_type": "code", "metadata": {"nbgrader": {"grade_id": "e1"}}, "source": "a = 1\nb", "id": "abc"}
    ]
    assert notes == []


def test_old_notebooks_are_converted():
    old = {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [
            {
                "cells": [{"cell_type": "code", "input": "x = 2", "outputs": [], "language": "python", "metadata": {}}],
                "metadata": {},
            }
        ],
    }
    made, notes = parse(raw(old))
    assert [c["source"] for c in made["cells"]] == ["x = 2"]
    assert notes == ["the notebook was converted from nbformat 3"]


def test_broken_characters_are_replaced():
    made, notes = parse(
        b'{"nbformat": 4, "metadata": {}, "cells": [{"cell_type": "code", "source": "x = \'\\ud800\'"}]}'
    )
    assert made["cells"][0]["source"] == "x = '\ufffd'" and "broken characters" in notes[0]


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "empty"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"{", "not valid JSON"),
        (b"[]", "holds a JSON list"),
        (b'{"nbformat": 4, "nbformat": 3}', "the key 'nbformat' twice"),
        (b'{"nbformat": "4"}', "nbformat is '4'"),
        (b'{"nbformat": true}', "nbformat is True"),
        (b'{"nbformat": 99}', "nbformat is 99"),
        (b'{"nbformat": 4}', "no list of cells"),
        (b'{"nbformat": 4, "cells": {"a": 1}}', "no list of cells"),
        (b'{"nbformat": 4, "cells": [3]}', "Cell 1 is a JSON number"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "evil"}]}', "type 'evil'"),
        (b'{"nbformat": 4, "cells": [{"cell_type": ["code"]}]}', "type ['code']"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": {"a": 1}}]}', "source of cell 1 is not text"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": [1]}]}', "source of cell 1 is not text"),
        (b'{"nbformat": 4, "cells": [{"cell_type": "code", "source": "\\u0000"}]}', "NUL"),
        (b'{"nbformat": 4, "x": ' + b"9" * 5000 + b"}", "5,000 digits"),
        (b'{"nbformat": 4, "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested"),
        (b'{"nbformat": 4, "x": "' + b'\\"' * 500_000, "not valid JSON"),  # in linear time
        (b'{"nbformat": 3, "worksheets": 7}', "cannot be converted"),
        (raw(book(metadata={"kernelspec": {"language": "R"}})), "written for 'R'"),
        (raw(book(*[code()] * 30)), "30 cells"),
        (raw(book(code("x" * 2000))), "2,000 characters"),
    ],
)
def test_refusals(data, words):
    with pytest.raises(Refused) as refused:
        parse(data, Limits(cells=20, source=1000))
    text = str(refused.value)
    assert words in text and "\n" not in text and text.endswith(".") and len(text) < 300


def test_only_regular_files_and_no_links(tmp_path):
    folder = tmp_path / "ann" / "ps1"
    folder.mkdir(parents=True)
    (folder / "nb.ipynb").write_bytes(raw(book(code())))
    (tmp_path / "secret.ipynb").write_bytes(raw(book(code("s"))))
    (folder / "link.ipynb").symlink_to(tmp_path / "secret.ipynb")
    (tmp_path / "bob").symlink_to(tmp_path / "ann")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "dir.ipynb").mkdir()
    assert read(tmp_path, "ann/ps1/nb.ipynb")[0]["cells"]
    for name in ("ann/ps1/link.ipynb", "bob/ps1/nb.ipynb", "ann/ps1/pipe.ipynb", "ann/ps1/dir.ipynb", "ann/ps1/no.ipynb",
                 "ann/../secret.ipynb", "/etc/passwd", "ann//nb.ipynb"):  # fmt: skip
        with pytest.raises(Refused):
            read(tmp_path, name)
    with pytest.raises(Refused, match="at most 10 are read"):
        read(tmp_path, "ann/ps1/nb.ipynb", Limits(file=10))


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        " a",
        "a ",
        "a.",
        ".a",
        "-a",
        "~a",
        "a\0",
        "a\n",
        "a\u202eb",
        "a\u200bb",
        "x" * 201,
        "\ud800",
        3,
    ],
)
def test_bad_names(name):
    with pytest.raises(Refused):
        check_name(name)


def test_names_are_composed():
    assert check_name("Jose\u0301") == "Jos\u00e9" and check_name("名前 2") == "名前 2"


@pytest.mark.parametrize(
    "name", ["vram_budget.ipynb", "VRAM Budget.ipynb", "vram_budget (1).ipynb", "vram-budget-Copy1.ipynb"]
)
def test_a_notebook_is_found_by_a_near_name(name):
    found, notes = find_notebook(["data.csv", name], "vram_budget")
    assert found == name and bool(notes) == (name != "vram_budget.ipynb")


def test_two_near_names_are_refused():
    with pytest.raises(Refused, match="Several files"):
        find_notebook(["vram_budget (1).ipynb", "vram_budget (2).ipynb"], "vram_budget")
    with pytest.raises(Refused, match="was not handed in; there is other.ipynb|there is 'other.ipynb'"):
        find_notebook(["other.ipynb"], "vram_budget")
    assert intake.find_notebook(["nb (1).ipynb", "nb.ipynb"], "nb") == ("nb.ipynb", [])


def test_other_files_come_along_without_links_and_limits_hold(tmp_path):
    folder = tmp_path / "ada" / "ps1"
    (folder / "tools").mkdir(parents=True)
    (folder / "helper.py").write_text("x = 1")
    (folder / "tools" / "more.csv").write_text("1,2")
    for passed_over in (".hidden", "ps1.ipynb", "timestamp.txt", "old.pyc"):
        (folder / passed_over).write_text("no")
    (tmp_path / "secret").write_text("secret")
    os.symlink(tmp_path / "secret", folder / "link.txt")
    os.symlink(tmp_path, folder / "up")
    os.mkfifo(folder / "pipe")
    found, notes = intake.files(tmp_path, "ada/ps1", ignore=["*.pyc"])
    assert {k: base64.b64decode(v) for k, v in found.items()} == {"helper.py": b"x = 1", "tools/more.csv": b"1,2"}
    assert notes == []
    found, notes = intake.files(tmp_path, "ada/ps1", Limits(files=6), ignore=["*.pyc"])
    assert list(found) == ["helper.py"] and "more.csv" in notes[0] and "left out" in notes[0]
    found, notes = intake.files(tmp_path, "ada/ps1", Limits(many=1), ignore=["*.pyc"])
    assert len(found) == 1 and "more than 1 files" in notes[0]


def test_a_file_with_two_names_is_refused(tmp_path):
    (tmp_path / "ada").mkdir()
    (tmp_path / "key").write_bytes(raw(book(code())))
    os.link(tmp_path / "key", tmp_path / "ada" / "nb.ipynb")
    with pytest.raises(Refused, match="2 names"):
        read(tmp_path, "ada/nb.ipynb")


def test_pasted_pictures_come_along_and_nothing_else_does():
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()
    attachments = {
        "a.png": {"image/png": png},
        "b.png": {"image/png": base64.b64encode(b"<svg onload=x>").decode()},
        "c.svg": {"image/svg+xml": "<svg/>"},
        "d.png": {"image/png": [png[:10], png[10:]]},
        "e.png": "text",
    }
    made, _ = parse(raw(book({"cell_type": "markdown", "metadata": {}, "source": "x", "attachments": attachments})))
    assert made["cells"][0]["attachments"] == {"a.png": {"image/png": png}, "d.png": {"image/png": png}}
    small = Limits(picture=10)
    made, _ = parse(
        raw(book({"cell_type": "markdown", "metadata": {}, "source": "x", "attachments": attachments})), small
    )
    assert "attachments" not in made["cells"][0]


def test_a_large_notebook_of_an_old_format_is_not_converted():
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "x" * 5000}, "worksheets": []}
    with pytest.raises(Refused, match="at most 1,000 are converted"):
        parse(raw(old), Limits(old=1000))


def test_many_keys_are_looked_through_in_no_time():
    text = "{" + ", ".join(f'"k{n}": 1' for n in range(200_000)) + ', "k199999": 2}'
    with pytest.raises(Refused, match="k199999"):
        parse(text.encode())
