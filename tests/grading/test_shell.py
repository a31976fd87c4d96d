"""Cells run as in a kernel, with limits, and give only outputs that no browser executes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

import pytest

from lessonlib.grading.shell import Size, safe_outputs

PROGRAM = """
import json, sys
from lessonlib.grading.shell import CellShell, Size, warm_up
shell = CellShell(Size(text=2000, outputs=5))
warm_up(shell)
print(json.dumps([shell.run(source, limit) for source, limit in json.load(sys.stdin)]), file=sys.__stdout__)
"""
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CELLS = {
    "last value": "x = 6\nx * 7",
    "quiet": "x = 6\nx * 7;",
    "display": "display('a')\nprint('b')",
    "streams": "import sys\nprint('a')\nprint('b')\nsys.stderr.write('c')\nsys.stdout.buffer.write(b'd')",
    "error": "def f():\n    return 1 / 0\nf()",
    "syntax": "x = = 1",
    "input": "input('?')",
    "exit": "raise SystemExit(3)",
    "flood": "for i in range(10000): print('x' * 100)",
    "many outputs": "for i in range(100): display(i)",
    "error behind many outputs": "for i in range(100): display(i)\n1 / 0",
    "magic": "%timeit -n1 -r1 pass",
    "await": "import asyncio\nawait asyncio.sleep(0)\n5",
    "page": "from IPython.display import HTML, Javascript, SVG, Markdown\ndisplay(HTML('<b>'), Javascript('1'), Markdown('x'))",
    "picture": f"from IPython.display import Image\nimport base64\nImage(base64.b64decode('{PNG}'))",
    "loop": "while True:\n    pass",
    "stubborn loop": "while True:\n    try:\n        while True:\n            pass\n    except Exception:\n        pass",
    "error without words": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E()",
    "names stay": "x",
    "colours": "print('\\x1b[31mred\\x1b[0m\\x07')",
}


@pytest.fixture(scope="module")
def ran():
    """What came of each cell, run in one shell in a process of its own."""
    cells = [[source, 0.5 if "loop" in name else 30] for name, source in CELLS.items()]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(cells), capture_output=True, text=True, check=True
    )
    return dict(zip(CELLS, json.loads(done.stdout.splitlines()[-1]), strict=True))


def kinds(result: dict) -> list[str]:
    return [o["output_type"] for o in result["outputs"]]


def test_values_displays_and_streams(ran):
    assert ran["last value"]["outputs"][0]["data"] == {"text/plain": "42"} and ran["quiet"]["outputs"] == []
    assert kinds(ran["display"]) == ["display_data", "stream"]
    texts = [(o["name"], o["text"]) for o in ran["streams"]["outputs"] if o["output_type"] == "stream"]
    assert texts[0] == ("stdout", "a\nb\n") and ("stderr", "c") in texts
    assert ran["names stay"]["outputs"][0]["data"] == {"text/plain": "6"}
    assert ran["await"]["outputs"][0]["data"] == {"text/plain": "5"} and "loop" in ran["magic"]["outputs"][0]["text"]


def test_errors(ran):
    error = ran["error"]["outputs"][0]
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert "return 1 / 0" in "".join(error["traceback"]) and "\x1b" not in "".join(error["traceback"])
    assert ran["syntax"]["error"] == "SyntaxError" and ran["exit"]["error"] == "SystemExit"
    assert ran["input"]["error"] == "InputRefused" and ran["error without words"]["error"] == "E"


def test_limits(ran):
    assert (
        sum(len(o.get("text", "")) for o in ran["flood"]["outputs"]) < 2200
        and "[cut" in ran["flood"]["outputs"][-1]["text"]
    )
    assert len(ran["many outputs"]["outputs"]) == len(ran["error behind many outputs"]["outputs"]) == 5
    assert ran["error behind many outputs"]["outputs"][-1]["ename"] == "ZeroDivisionError"
    assert ran["loop"]["error"] == ran["stubborn loop"]["error"] == "CellTimeoutError"


def test_only_safe_types(ran):
    assert {m for r in ran.values() for o in r["outputs"] for m in o.get("data", {})} == {"text/plain", "image/png"}
    assert base64.b64decode(ran["picture"]["outputs"][0]["data"]["image/png"]).startswith(b"\x89PNG")
    assert ran["colours"]["outputs"][0]["text"] == "red\ufffd\n"


@pytest.mark.parametrize(
    "output, kept",
    [
        ({"output_type": "display_data", "data": {"text/html": "<script>", "text/plain": "x"}}, {"text/plain": "x"}),
        ({"output_type": "display_data", "data": {"image/png": base64.b64encode(b"<svg>").decode()}}, {}),
        ({"output_type": "display_data", "data": {"image/png": "not base64!"}}, {}),
        ({"output_type": "display_data", "data": {"image/svg+xml": "<svg/>"}}, {}),
        ({"output_type": "display_data", "data": {"text/plain": ["a"]}}, {}),
        ({"output_type": "display_data", "data": 3}, {}),
    ],
)
def test_outputs_that_nobody_vouches_for(output, kept):
    assert safe_outputs([output])[0]["data"] == kept


def test_malformed_outputs_are_left_out():
    odd = [
        3,
        None,
        {},
        {"output_type": "evil"},
        {"output_type": "stream", "text": 5, "name": "x"},
        {"output_type": ["a"]},
    ]
    assert safe_outputs(odd) == [{"output_type": "stream", "name": "stdout", "text": ""}]
    assert safe_outputs("x") == [] and safe_outputs({"a": 1}) == []
    error = safe_outputs([{"output_type": "error", "ename": 1, "traceback": [1, "x" * 5000]}])[0]
    assert error["ename"] == "" and len(error["traceback"][1]) < 2100
    many = [{"output_type": "stream", "name": "stdout", "text": "x" * 100}] * 50
    assert sum(len(o["text"]) for o in safe_outputs(many, Size(text=500, outputs=20))) < 1200
