# ruff: noqa: E501  (hostile texts are easier to read on one line)
"""Feedback pages: nothing hidden on them, nothing alive in them, and the words a learner needs."""

from __future__ import annotations

import base64
import copy
import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from lessonlib.commands import grade
from lessonlib.grading import canonical, engine, gradebook, intake, record, results, sandbox
from lessonlib.grading.course import Course
from lessonlib.grading.reports import feedback, feedback_carry, feedback_page, feedback_render, feedback_tests

from ..attacks.assignment import DOUBLE, PARITY, SECRET, instructor, released, submission

ASSIGNMENT = NOTEBOOK = "ps"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
# What a page may hold at all; a tag or an attribute that is not here is a hole.
TAGS = set(
    "html head meta title style body a header main h1 h2 h3 h4 h5 h6 p div section span strong em b code pre ul ol li table caption "
    "thead tbody tr th td bdi img br hr blockquote del s".split()
)
ATTRIBUTES = set(
    "lang charset http-equiv content name class href id tabindex role aria-label aria-labelledby scope rel alt src start".split()
)


def assert_inert(html: str) -> BeautifulSoup:
    """The parsed page, in which nothing runs, loads, or leads anywhere but to http, https and mailto."""
    soup = BeautifulSoup(html, "html.parser")
    for tag in soup.find_all(True):
        assert tag.name in TAGS, tag.name
        assert set(tag.attrs) <= ATTRIBUTES, (tag.name, tag.attrs)
        if tag.name == "a":
            assert re.match(r"#(main|cell-\d+)$|https?://[^\s@]+$|mailto:\S+$", tag.get("href", "#main")), tag
            assert (
                tag.get("href")[0] == "#"
                or tag["rel"] == "noopener noreferrer nofollow".split()
                or tag["rel"] == "noopener noreferrer nofollow"
            )
        if tag.name == "img":
            assert re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", tag["src"]) and tag["alt"]
        if tag.name == "meta" and tag.get("http-equiv"):
            assert tag["http-equiv"] == "Content-Security-Policy" and tag["content"].startswith("default-src 'none'")
    assert len(soup.find_all("style")) == 1 and "url(" not in soup.style.text and "@import" not in soup.style.text
    assert len(soup.find_all("title")) == 1 and len(soup.find_all("h1")) == 1 and len(soup.find_all("main")) == 1
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    levels = [int(h.name[1]) for h in soup.find_all(re.compile("^h[1-6]$"))]
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False)), levels
    return soup


class Desk:
    """What a page asks of its course."""

    def __init__(self, shot, rows=(), comments=None):
        self.assignment, self.rows, self.comments = ASSIGNMENT, {r["student"]: r for r in rows}, comments or {}
        shot["secret"] = feedback_tests.hidden_names(shot)
        self._shot = shot

    def shot(self, notebook):
        return self._shot


def snapshot(book=None, **options) -> dict:
    return canonical.snapshot(book or instructor(), release=options.pop("release", released()))


def made_record(shot: dict, notebook: dict, outcome: dict | None = None, **more) -> dict:
    """A record as the engine makes it, from outputs by grade id (or by the number of a cell of the submission's own)."""
    merged = canonical.merge(shot, intake.parse(json.dumps(notebook).encode())[0])
    outputs = {}
    for position, cell in enumerate(merged["cells"]):
        about = shot["cells"][cell["index"]] if cell["index"] is not None else {}
        given = (outcome or {}).get(about.get("grade_id") or ("own" if not about else None), [])
        if cell["cell_type"] == "code":
            outputs[position] = {"outputs": [o for o in given if "line" not in o], "seconds": 0.0}
            outputs[position]["line"] = next((o["line"] for o in given if "line" in o), None)
    made = {
        "status": "graded",
        "unsafe": False,
        "seed": 7,
        "notes": merged["notes"],
        "reasons": [],
        "cells": [],
        **more,
    }
    record.finish(shot, merged, made, outputs, {})
    return made


def error(name: str, text: str, line: int | None = None, traceback=()) -> list[dict]:
    return [{"output_type": "error", "ename": name, "evalue": text, "traceback": list(traceback)}, {"line": line}]


def shown(
    shot: dict, rec: dict | None, student: str = "ann", graded: dict | None = None, rows=(), comments=None
) -> str:
    """The page."""
    return feedback_page.Page(Desk(shot, rows, comments), student, NOTEBOOK, rec, graded).html()


def words(soup) -> str:
    """The text of a part of a page; names in code style and colours of code put no spaces in between."""
    bare = re.sub(r"</?(span|code|strong|bdi|b)\b[^>]*>", "", str(soup))
    return re.sub(r"\s+", " ", BeautifulSoup(bare, "html.parser").get_text(" "))


def section(soup, grade_id: str) -> str:
    """The words of a graded cell's part of the page."""
    return next(words(s) for s in soup.find_all("section") if s.h3.code.text == grade_id)


# Hidden tests


def test_all_passed():
    shot = snapshot()
    html = shown(shot, made_record(shot, submission()))
    soup = assert_inert(html)
    assert "hidden tests: all passed" in section(soup, "double_hidden") and "2 of 2 points" in section(
        soup, "double_hidden"
    )
    assert "✓ tests: all passed" in section(soup, "double_check") and "hidden" not in section(soup, "double_check")
    assert str(SECRET) not in html and "BEGIN HIDDEN" not in html and "abab" not in html and "secret" not in html
    assert "7 of 9 points" in words(soup)


@pytest.mark.parametrize("line, number", [(3, 1), (4, 1), (5, 2), (6, 3), (7, 4)])
def test_a_hidden_failure_is_its_number_and_nothing_else(line, number):
    shot = snapshot()
    source = next(c for c in shot["cells"] if c["grade_id"] == "double_hidden")["source"]
    rec = made_record(shot, submission(), {"double_hidden": error("AssertionError", "", line, [f"{line} {source}"])})
    html = shown(shot, rec)
    said = section(assert_inert(html), "double_hidden")
    assert f"hidden test {number}: failed" in said and "0 of 2 points" in said
    assert str(SECRET) not in html and "abab" not in html and "secret" not in html


def hidden_cell(*lines: str):
    """A snapshot whose hidden tests of `double` are these lines, which begin at line 3."""
    book = instructor()
    cell = next(c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "double_hidden")
    cell["source"] = "\n".join(["# Hidden tests stand here.", "### BEGIN HIDDEN TESTS", *lines, "### END HIDDEN TESTS"])
    return snapshot(book)


@pytest.mark.parametrize(
    "line, hint",
    [
        ("assert double(7340033) == 1, 'large numbers count too'", "large numbers count too"),
        ("assert double(7340033) == 1, f'not for {7340033}'", ""),
        ("assert double(7340033) == 1, 'not for %d' % 7340033", ""),
        ("raise AssertionError('no ValueError for a text')", "no ValueError for a text"),
        ("np.testing.assert_allclose(double(7340033), 1, err_msg='too far off')", "too far off"),
        ("expect(double(7340033), 1, 'twice the number is wanted')", "twice the number is wanted"),
        ("expect(double(7340033), '7340033', f'{7340033}')", ""),
        ("assert double('7340033') == '7340033'", ""),
        ("for n in [7340033]: assert double(n) == 2 * n, 'every number'", "every number"),
    ],
)
def test_only_an_authors_constant_message_is_a_hint(line, hint):
    shot = hidden_cell(line)
    html = shown(
        shot, made_record(shot, submission(), {"double_hidden": error("AssertionError", "7340033 is wrong", 3)})
    )
    said = section(assert_inert(html), "double_hidden")
    assert "hidden test 1: failed" in said and "7340033" not in html
    assert hint in said and ("block" if hint else "hidden test 1: failed") and (hint or said.endswith("failed"))


def test_an_error_of_the_learners_own_in_a_hidden_test_says_its_kind_only():
    shot = snapshot()
    for name, kind in (("ValueError", "ValueError"), ("E7340033", "an error"), ("__import__", "an error")):
        rec = made_record(shot, submission(), {"double_hidden": error(name, "7340033", 5)})
        html = shown(shot, rec)
        assert f"hidden test 2: failed, your code stopped with {kind}" in section(assert_inert(html), "double_hidden")
        assert "7340033" not in html


def test_what_a_function_prints_in_a_hidden_test_is_not_shown():
    shot = snapshot()
    printed = [{"output_type": "stream", "name": "stdout", "text": "got 7340033"}]
    rec = made_record(
        shot, submission(), {"double_hidden": printed, "double_check": [{**printed[0], "text": "got two"}]}
    )
    html = shown(shot, rec)
    assert "7340033" not in html and "got two" in html


def test_a_failure_without_a_line_or_of_a_weaker_test_counts_as_hidden():
    book = instructor()
    cell = next(c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "double_hidden")
    cell["metadata"]["tags"] = ["in-kernel"]
    for shot, line in ((snapshot(), None), (snapshot(book), 1), (snapshot(book), 4)):
        html = shown(shot, made_record(shot, submission(), {"double_hidden": error("AssertionError", "7340033", line)}))
        assert "hidden tests: failed" in section(assert_inert(html), "double_hidden") and "7340033" not in html
    assert "weaker separation" in html


def test_a_visible_line_after_hidden_ones_shows_no_message():
    shot = hidden_cell("def check(x):", "    assert x == 7340033, f'{x} is not 7340033'")
    cell = next(c for c in shot["cells"] if c["grade_id"] == "double_hidden")
    cell["source"] += "\ncheck(double(1))"
    cell["visible"] += "\ncheck(double(1))"
    html = shown(
        shot, made_record(shot, submission(), {"double_hidden": error("AssertionError", "2 is not 7340033", 6)})
    )
    said = section(assert_inert(html), "double_hidden")
    assert "test: failed with AssertionError" in said and "check(double(1))" in said and "7340033" not in html


def test_a_visible_test_that_uses_a_hidden_helper_shows_no_message():
    book = instructor()
    by_id = {c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in book["cells"]}
    by_id["double_hidden"]["source"] = (
        "### BEGIN HIDDEN TESTS\ndef probe(f): assert f(7340033), 7340033\n### END HIDDEN TESTS"
    )
    by_id["even_check"]["source"] = "probe(even)"
    shot = snapshot(book)
    html = shown(shot, made_record(shot, submission(), {"even_check": error("AssertionError", "7340033", 1)}))
    assert "7340033" not in html and "test: failed with AssertionError" in section(assert_inert(html), "even_check")


# Inputs that a submission carries away

KEEPS = [
    "seen = []\ndef double(x):\n    seen.append(x)\n    return 2 * x",
    "def double(x, seen=[]):\n    seen.append(x)\n    return 2 * x",
    "def double(x):\n    double.seen = x\n    return 2 * x",
    "def double(x):\n    global seen\n    seen = x\n    return 2 * x",
    "def double(x):\n    import os\n    os.environ['seen'] = str(x)",
    "import math\ndef double(x):\n    m = math\n    m.seen = x",
    "import numpy as np\ndef double(x):\n    m = np.linalg\n    m.seen = x",
    "seen = []\ndef put(where, x):\n    where.append(x)\ndef double(x):\n    put(seen, x)",
    "import math\nseen = []\nmath.log = seen.append\ndef double(x):\n    math.log(x)",
    "class Seen:\n    all = []\ndef double(x):\n    Seen.all.append(x)",
    "def make():\n    seen = []\n    def f(x):\n        seen.append(x)\n    return f, seen\ndouble, seen = make()",
    "print = [].append\ndef double(x):\n    print(x)",
    "from functools import cache\n@cache\ndef double(x):\n    return 2 * x",
    "import functools\ndouble = functools.partial(pow, 2)",
    "def double(x):\n    open('seen', 'a').write(str(x))",
    "def double(x):\n    return 2 * x\nprint(secret)",
    "%whos",
    "def double(x):\n    LOG.append(x)",
    "def double(x):\n    type(double).seen = x",
    "import numpy as np\ndef double(x):\n    np.save('seen', x)",
    "import random\ndef double(x):\n    random.seed(x)",
    "class Meta(type):\n    pass\nclass Seen(metaclass=Meta):\n    pass\ndef double(x):\n    return 2 * x",
    "class Log:\n    def __call__(self, x):\n        self.seen = x\ndouble = Log()",
    "double(",
]
HONEST = [
    DOUBLE,
    PARITY,
    "",
    "raise NotImplementedError",
    "double = lambda x: 2 * x",
    "import math\nimport numpy as np\nLIMIT = 3\ndef helper(x):\n    return x + LIMIT\ndef double(x):\n    found = {}\n    found['a'] = 1\n    kept = []\n    kept.append(x)\n    y = np.zeros(3)\n    y[0] = 1\n    return helper(math.sqrt(x)) + sum(sorted(kept, key=lambda v: found['a']))",
    "from dataclasses import dataclass, field\n@dataclass\nclass Box:\n    a: int = 0\n    b: list = field(default_factory=list)\n    def add(self, x):\n        self.b.append(x)\n        self.a += 1\ndef double(x):\n    box = Box()\n    box.add(x)\n    return box.a",
    "tries = [1, 2]\nprint(tries)\ntries.append(3)\ndef double(x):\n    try:\n        return x[0]\n    except (ValueError, KeyError):\n        raise ValueError('x')",
    "class Wrong(Exception):\n    pass\ndef double(x: int) -> int:\n    if not isinstance(x, int):\n        raise Wrong('x')\n    return LIMIT * x",
]
GIVEN = ["LIMIT = 10\nLOG = []\ndef helper(x):\n    return x + 1"]


@pytest.mark.parametrize("code", KEEPS)
def test_code_that_keeps_something_between_calls(code):
    assert feedback_carry.carries([code], GIVEN, ["double"], {"secret"})


@pytest.mark.parametrize("code", HONEST)
def test_honest_code_keeps_nothing(code):
    assert feedback_carry.carries([code], GIVEN, ["double"], {"secret"}) == ""


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).resolve().parents[3].glob("solutions/*/*.ipynb")), ids=lambda p: p.stem
)
def test_solutions_of_the_course_keep_nothing(path):
    """Honest answers lose no output."""
    shot = canonical.snapshot(json.loads(path.read_text(encoding="utf-8")))
    answers = [c["source"] for c in shot["cells"] if c["kind"] == "solution"]
    given = [c["source"] for c in shot["cells"] if c["kind"] == "plain"]
    assert answers and feedback_carry.carries(answers, given, shot["allowed"], feedback_tests.hidden_names(shot)) == ""


def own_cell(book: dict, source: str) -> dict:
    book["cells"].append(
        {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    )
    return book


def test_outputs_after_hidden_tests_are_shown_only_of_code_that_keeps_nothing():
    shot, printed = snapshot(), [{"output_type": "stream", "name": "stdout", "text": "kept 7340033"}]
    for code, there in ((KEEPS[0], False), (DOUBLE, True)):
        rec = made_record(
            shot,
            own_cell(submission(double=code), "print('kept')"),
            {"own": printed, "double": [{**printed[0], "text": "before"}]},
        )
        html = shown(shot, rec)
        assert ("kept 7340033" in html) == there and "before" in html
        assert ("could repeat in them what those tests tried" in html) == (not there)
        assert_inert(html)
        later = made_record(shot, submission(double=code), {"even_check": error("ValueError", "7340033", 1)})
        said = section(assert_inert(shown(shot, later)), "even_check")
        assert ("7340033" in said) == there and "assert even(2) is True" in said


# What score_properties prints

SCORED = 'from lessonlib.checks import score_properties\nscore_properties("l16_vram_e1", double, points=2, seed=5)'


def scored(printed: str, points: str = "0.6667") -> str:
    shot = hidden_cell(*SCORED.split("\n"))
    outputs = [
        {"output_type": "stream", "name": "stdout", "text": printed},
        {"output_type": "execute_result", "data": {"text/plain": points}, "metadata": {}, "execution_count": None},
    ]
    html = shown(shot, made_record(shot, submission(), {"double_hidden": outputs}))
    said = section(assert_inert(html), "double_hidden")
    assert f"hidden tests: {float(points):g} of 2 points" in said
    return said


def test_failed_properties_are_named_with_their_authors_words():
    from lessonlib.checks import core

    names = [name for name, _ in core.exercise("l16_vram_e1").properties]
    failed = core.CheckFailed("Sizes must grow with the bits 3, 4, 8, 16.", expected="7340033", got=7340033)
    said = scored(f"l16_vram_e1: {names[0]}: not written yet\nl16_vram_e1: {names[2]}: {failed}\n")
    assert f"hidden test 1: failed, {names[0]}" in said and "The answer is not written yet." in said
    assert f"hidden test 3: failed, {names[2]} Sizes must grow with the bits 3, 4, 8, 16." in said
    assert "7340033" not in said and names[1] not in said


def test_computed_parts_of_a_message_are_left_out():
    """Whatever a check of the course says of an answer that returns nonsense, no number of its inputs is on the page."""
    from lessonlib.checks import core

    for answer in (lambda *a, **k: 7340033, lambda *a, **k: a, lambda *a, **k: 1 / 0):
        results = core.run_properties("l16_vram_e1", answer)
        printed = "".join(f"l16_vram_e1: {r.name}: {r.message}\n" for r in results if not r.passed)
        said = scored(printed, "0.0")
        assert "hidden test 1: failed" in said and "7340033" not in said and not re.search(r"\d{5}", said), said


@pytest.mark.parametrize(
    "printed",
    [
        "l16_vram_e1: 7340033: x\n",
        "7340033\n",
        "l16_vram_e1: plain files of random sizes and formats: 7340033\n",
        "l16_vram_e1: plain files of random sizes and formats: ValueError: 7340033\n",
        "l16_vram_e1: plain files of random sizes and formats: E7340033: x\n",
        "l16_vram_e1: plain files of random sizes and formats: x\n  likely reason: 7340033\n",
        "l16_vram_e1: plain files of random sizes and formats: x\n  expected: 7340033\n  got:      7340033\n",
        "other: plain files of random sizes and formats: 7340033\n",
    ],
)
def test_lines_that_a_learner_prints_say_nothing(printed):
    assert "7340033" not in scored(printed)


# Visible failures, machinery, manual grading


def test_a_visible_failure_shows_line_name_and_message():
    shot = snapshot()
    html = shown(shot, made_record(shot, submission(), {"double_check": error("AssertionError", "no <b>", 2)}))
    said = section(assert_inert(html), "double_check")
    assert "✗ test: failed assert double(-1) == -2 AssertionError: no <b>" in said


def test_an_open_answer_is_called_so():
    shot = snapshot()
    failed = {name: error("NotImplementedError", "", 1) for name in ("double_check", "double_hidden")}
    soup = assert_inert(shown(shot, made_record(shot, released(), failed)))
    assert "○ test: the answer is not written yet" in section(soup, "double_check")


@pytest.mark.parametrize(
    "why, want",
    [
        ("it used too much memory", "more memory than is allowed"),
        ("it ran too long and was stopped", "Look for a loop that does not end"),
        ("it ended itself (exit code 7340033)", "Take out calls like exit()"),
        ("it crashed (SIGSEGV)", "Python itself crashed"),
        ("7340033", "It gave no answer that can be used"),
    ],
)
def test_a_lost_process_is_told_in_plain_words_with_what_to_do(why, want):
    shot = snapshot()
    rec = made_record(
        shot,
        submission(),
        {"double_hidden": error("SubmissionGone", why)},
        reasons=[f"the submission's process is gone: {why}; later cells got no answers"],
    )
    html = shown(shot, rec)
    soup = assert_inert(html)
    assert want in section(soup, "double_hidden") and words(soup).count(want) == 2 and "7340033" not in html


def test_a_timeout():
    shot = snapshot()
    html = shown(shot, made_record(shot, submission(), {"double_check": error("CellTimeoutError", "7340033", 1)}))
    assert "tests: not finished in time It ran too long and was stopped." in section(assert_inert(html), "double_check")


def test_a_refused_file_and_a_failed_machine():
    shot = snapshot()
    refused = {"status": "refused", "reasons": ["ps.ipynb is not valid JSON: <script>"], "notes": [], "cells": []}
    soup = assert_inert(shown(shot, refused))
    assert (
        "Not graded:" in words(soup)
        and "ps.ipynb is not valid JSON: <script>." in words(soup)
        and "hand in the file ps.ipynb" in words(soup)
    )
    failed = made_record(shot, submission(), status="failed", reasons=["a sandbox could not be forked: /opt/secret/x"])
    html = shown(shot, failed)
    assert "the grading machine failed, not you" in words(assert_inert(html)) and "/opt/secret" not in html


def grades(**changes) -> dict:
    """A row of `gradebook.totals`."""
    most = {"double_check": 1, "double_hidden": 2, "even_check": 1, "even_hidden": 3, "why": 2}
    cells = []
    for name, points in most.items():
        auto = None if name == "why" else float(points)
        cell = {
            "notebook": NOTEBOOK,
            "id": name,
            "score": auto or 0.0,
            "max_score": float(points),
            "auto": auto,
            "manual": None,
            "extra": 0.0,
            "needs_manual": name == "why",
            "comment": None,
        }
        cells.append(cell | changes.get(name, {}))
    return {"student": "ann", "score": sum(c["score"] for c in cells), "max_score": 9.0, "needs_manual": any(c["needs_manual"] for c in cells), "penalty": 0.0, "timestamp": None, "late_seconds": 0.0, "cells": cells}  # fmt: skip


def test_what_waits_and_what_an_instructor_gave():
    shot = snapshot()
    rec = made_record(shot, submission(why="Since **two** twos"))
    soup = assert_inert(shown(shot, rec, rows=[grades()]))
    assert "Not final: your instructor still grades why" in words(soup)
    assert "… waits for your instructor, 2 points" in section(soup, "why") and soup.find("strong", string="two")
    given = grades(
        why={"score": 1.5, "manual": 1.5, "needs_manual": False}, even_check={"score": 0.5, "manual": 0.0, "extra": 0.5}
    )
    given |= {"penalty": 1.0, "late_seconds": 7300.0, "timestamp": "2026-02-02 08:30:00"}
    soup = assert_inert(
        shown(shot, rec, rows=[given], comments={("ann", NOTEBOOK): {"why": "Nice & <short>", "gone": "left over"}})
    )
    assert "Not final" not in words(soup) and "1.5 of 2 points" in section(soup, "why")
    assert "Your instructor: Nice & <short>" in section(soup, "why") and "On gone: left over" in words(soup)
    assert "set these points by hand" in section(soup, "even_check") and "0.5 points of extra credit" in section(
        soup, "even_check"
    )
    assert "Penalty for handing in late: 1; so you get 7" in words(soup) and "2 hours after the deadline" in words(soup)


def test_an_assignment_of_several_notebooks_has_its_own_total():
    shot, row = snapshot(), grades()
    row["cells"].append({**row["cells"][0], "notebook": "other", "score": 3.0, "max_score": 11.0})
    row |= {"score": 10.0, "max_score": 20.0}
    said = words(assert_inert(shown(shot, made_record(shot, submission()), rows=[row])))
    assert "7 of 9 points in this notebook" in said and "The whole assignment: 10 of 20 points." in said


def test_points_of_each_exercise():
    shot = snapshot()
    rec = made_record(shot, submission(), {"double_hidden": error("AssertionError", "", 5)})
    soup = assert_inert(shown(shot, rec))
    rows = [[c.text for c in tr.find_all(["th", "td"])] for tr in soup.table.tbody.find_all("tr")]
    assert rows == [
        ["double", "1", "3", "part of the points"],
        ["even", "4", "4", "full points"],
        ["why", "0", "2", "waits for your instructor"],
    ]


def test_errors_of_a_learners_own_cell_keep_their_traceback_without_paths():
    shot = snapshot()
    lines = [
        "Traceback (most recent call last):",
        '  File "/srv/Some/venv/lib/python3.11/json/decoder.py", line 3, in f',
        "ValueError: <b>own</b>",
    ]
    html = shown(shot, made_record(shot, submission(), {"double": error("ValueError", "own", 1, lines)}))
    soup = assert_inert(html)
    assert (
        "Traceback" in words(soup)
        and "…/decoder.py" in words(soup)
        and "<b>own</b>" in words(soup)
        and "/srv/" not in html
    )


@pytest.mark.parametrize(
    "text, want",
    [
        ("POST /api/v1/chat 200; a/b/c; 1/2; https://a.b/c/d", "POST /api/v1/chat 200; a/b/c; 1/2; https://a.b/c/d"),
        ("/usr/lib/python3.11/x.py:1: Warning", "…/x.py:1: Warning"),
        (r"C:\Users\bob\x.py", "…/x.py"),
        ("~/course/x.py", "…/x.py"),
        ("/somewhere/site-packages/torch/x.py", "…/x.py"),
        ("<ipython-input-3-abc>", "cell"),
    ],
)
def test_paths_of_a_machine_are_cut_and_others_are_not(text, want):
    assert feedback_render.without_paths(text) == want
    assert feedback_render.without_paths(f"{sysprefix()}/bin/python") == "…/bin/python"


def sysprefix() -> str:
    import sys

    return sys.prefix


def test_own_cells_that_stopped_are_named_at_the_top():
    shot = snapshot()
    outcome = {
        "double": error("ValueError", "x", 1),
        "own": error("CellTimeoutError", "late", 1),
        "even": error("E<b>", "x", 1),
    }
    soup = assert_inert(shown(shot, made_record(shot, own_cell(submission(), "while True: pass"), outcome)))
    said = words(soup.main).partition("Points of each exercise")[0]
    assert "Your cell 3 stopped with ValueError." in said and "Your cell 6 stopped with an error." in said
    assert "Your cell 10 ran too long and was stopped." in said
    assert all(soup.find(id=a["href"][1:]) for a in soup.main.find_all("a"))


# Injection

LINKS = [
    "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)", "&#106;avascript:alert(1)", "&#x6A;avascript&colon;alert(1)",
    "javascript&#58;alert(1)", "%6Aavascript:alert(1)", "\x01javascript:alert(1)", " javascript:alert(1)", "javascript&#x3A;alert(1)",
    "vbscript:msgbox(1)", "data:text/html,<script>alert(1)</script>", "data:text/html;base64,PHNjcmlwdD4=", "data:image/svg+xml,<svg onload=alert(1)>",
    "file:///etc/passwd", "//evil.example/x", "/\\evil.example", "\\\\evil.example\\x", "blob:https://x/1", "filesystem:https://x/1", "about:blank", "ftp://x/y",
    "http:evil", "https://good.example@evil.example/", "ws://x", "jar:https://x!/", "view-source:https://x", "relative.html", "#anchor", "?q=1", "java\u200bscript:alert(1)",
    "\u202ejavascript:alert(1)", "ｊavascript:alert(1)", "https://x\\@evil.example", "intent://x", "livescript:x", "javascript\u2028:alert(1)",
]  # fmt: skip
MARKUP = [
    "<script>alert(1)</script>", "<ScRiPt src=//evil.example/x.js></sCrIpT>", "<img src=x onerror=alert(1)>", "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)></iframe>", "<object data=data:text/html;base64,PHNjcmlwdD4=></object>", "<embed src=x>", "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>", "<link rel=stylesheet href=//evil.example/x.css>", "<form action=//evil.example><input name=x><button>go</button></form>",
    "<style>*{background:url(//evil.example)}</style>", "</style><script>alert(1)</script>", "</title><script>alert(1)</script>", "</pre></code></section></main><script>alert(1)</script>",
    "<div style='position:fixed;top:0;background:url(//evil.example)'>x</div>", "<a href=javascript:alert(1)>x</a>", "<a href='https://x' onclick=alert(1)>x</a>", "<details open ontoggle=alert(1)>",
    "<!--><script>alert(1)</script>-->", "<!-- a --!><script>alert(1)</script>", "<!--<script>alert(1)</script>", "<![CDATA[<script>alert(1)</script>]]>", "<?xml-stylesheet href='//evil.example'?>", "<!DOCTYPE html>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<template><script>alert(1)</script></template>",
    "<textarea><script>alert(1)</script>", "<xmp><script>alert(1)</script></xmp>", "<video><source onerror=alert(1)>", "<audio src=x onerror=alert(1)>", "<body onload=alert(1)>", "<frameset onload=alert(1)>",
    "<img src='//evil.example/x.png'>", "<img srcset='//evil.example/x.png'>", "<input autofocus onfocus=alert(1)>", "<marquee onstart=alert(1)>", "<portal src=x>", "<p id=main name=getElementById>clobber</p>",
    "\x1b]8;;javascript:alert(1)\x07x\x1b]8;;\x07", "\x1b[31m<script>alert(1)</script>\x1b[0m", "\u202e<script>alert(1)</script>", "\ufeff<script>alert(1)</script>", "＜script＞alert(1)＜/script＞", "<scr\x00ipt>alert(1)</script>",
    "\"'><script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "{{7*7}} ${alert(1)} <%= 1 %> {% x %}", "&lt;script&gt;alert(1)&lt;/script&gt;", "&#60;script&#62;alert(1)&#60;/script&#62;", "@import '//evil.example/x.css';",
    "\ud800<script>alert(1)</script>",
]  # fmt: skip
MARKDOWN = [
    *(f"[x]({link})" for link in LINKS), *(f"[x](<{link}>)" for link in LINKS), *(f"<{link}>" for link in LINKS), *(f"![x]({link})" for link in LINKS), *(f"[x]\n\n[x]: {link}" for link in LINKS),
    "![x](https://evil.example/x.png)", "![x](data:image/svg+xml;base64,PHN2Zz4=)", "![x](data:image/png;base64,PHNjcmlwdD4=)", f"![\"><script>](data:image/png;base64,{PNG})", "![x](attachment:x.png)",
    "[x](https://ok.example \"\\\" onmouseover=alert(1) \")", "[a](https://ok.example/\"onmouseover=alert(1))", "`</code><script>alert(1)</script>`", "```</pre><script>\n</pre><script>alert(1)</script>\n```", "$</code><script>alert(1)</script>$",
    "$$\n<script>alert(1)</script>\n$$", "\\begin{x}<script>alert(1)</script>\\end{x}", "| a | <script> |\n|---|---|\n| <img src=x onerror=alert(1)> | [x](javascript:alert(1)) |", "# <script>alert(1)</script>", "[![x](//evil.example/i.png)](javascript:alert(1))",
    "<https://x\"onmouseover=alert(1)>", "###### deep\n# high\n#### low", "1000000000. x", "> " * 200 + "x", "- " * 200 + "x", "[x][y]\n\n[y]: data:text/html,x",
]  # fmt: skip


@pytest.mark.parametrize("text", MARKUP + MARKDOWN)
def test_markdown_is_inert(text):
    room = feedback_render.Room()
    made = feedback_render.markdown(text.encode("utf-8", "replace").decode(), room)
    assert_inert(feedback_page.pages.page("x", f"<h2>y</h2>{made}"))


def test_links_that_stay_and_words_of_those_that_do_not():
    made = feedback_render.markdown(
        "[a](https://x.example/y?b=1&c=2) [m](mailto:a@b.example) [dead](javascript:alert(1)) ![al **t**](x.png)",
        feedback_render.Room(),
    )
    soup = BeautifulSoup(made, "html.parser")
    assert [a["href"] for a in soup.find_all("a")] == ["https://x.example/y?b=1&c=2", "mailto:a@b.example"]
    assert soup.get_text().strip() == "a m dead [picture: al t]" and "javascript" not in made


@pytest.mark.parametrize("text", MARKUP + [f"[x]({link})" for link in LINKS])
def test_every_place_of_a_page_is_inert(text):
    """The text in all places that a submission, an instructor or a file name can fill, at once."""
    shot = snapshot()
    rich = {
        "output_type": "display_data",
        "data": {"text/html": text, "image/svg+xml": text, "application/javascript": text, "text/plain": text},
        "metadata": {"x": text},
    }
    book = own_cell(
        submission(
            double=f"def double(x):\n    return 2 * x  # {text}".replace("\0", ""),
            why=text.encode("utf-8", "replace").decode().replace("\0", ""),
        ),
        "x = 1",
    )
    book["metadata"]["title"] = text.encode("utf-8", "replace").decode()
    book["cells"].insert(
        0,
        {"cell_type": "markdown", "metadata": {}, "source": text.encode("utf-8", "replace").decode().replace("\0", "")},
    )
    outcome = {
        "double": [rich, {"output_type": "stream", "name": text, "text": text}, *error(text, text, 1, [text, text])],
        "double_check": error(text, text, 1, [text]),
        "double_hidden": error(text, text, 4, [text]),
        "even_check": [{"output_type": "stream", "name": "stderr", "text": text}, rich],
        "own": [{"output_type": text}, {"output_type": "execute_result", "data": {"image/png": text, "text/plain": text}}, rich],
    }  # fmt: skip
    rec = made_record(shot, book, outcome, reasons=[text], notes=[text])
    html = shown(
        shot, rec, student=text, rows=[], comments={(text, NOTEBOOK): {"double": text, "why": text, text: text}}
    )
    soup = assert_inert(html)
    assert soup.bdi.text.strip() and "7340033" not in html
    refused = {"status": "refused", "reasons": [text], "notes": [text], "cells": []}
    assert_inert(shown(shot, refused, student=text))


def test_pictures_of_outputs_and_of_the_notebook_itself():
    shot = snapshot()
    picture = {"output_type": "display_data", "data": {"image/png": PNG, "text/plain": "<Figure>"}, "metadata": {}}
    fake = {
        "output_type": "display_data",
        "data": {"image/png": base64.b64encode(b"<svg onload=alert(1)>").decode()},
        "metadata": {},
    }
    soup = assert_inert(shown(shot, made_record(shot, submission(), {"double": [picture, fake]})))
    assert [i["src"] for i in soup.find_all("img")] == [f"data:image/png;base64,{PNG}"] and soup.img["alt"].startswith(
        "Picture, output of cell"
    )
    made = feedback_render.markdown(
        "![a](attachment:p.png) ![b](attachment:q.png)",
        feedback_render.Room(),
        attachments={"p.png": {"image/png": PNG}, "q.png": {"image/svg+xml": "x"}, "r": 3},
    )
    assert made.count("<img") == 1 and "[picture: b]" in made


def test_huge_things_are_cut_with_a_note():
    shot = snapshot()
    big = [{"output_type": "stream", "name": "stdout", "text": "y" * 300_000}]
    book = submission(why="w " * 60_000)
    for _ in range(120):
        own_cell(book, "z = '" + "z" * 70_000 + "'")
    rec = made_record(shot, book, {"double": big, "own": big})
    html = shown(shot, rec)
    soup = assert_inert(html)
    assert (
        len(html) < 3_000_000
        and "Cut here: the output has" in words(soup)
        and "Cut here: the text has" in words(soup)
        and "Cut here: the code has" in words(soup)
    )


def test_math_is_left_as_it_was_written():
    made = feedback_render.markdown(
        "cost $5 and $6, $a_1 b_2$ and\n\n$$\nx_1 = *y*\n$$\n\n13 GB<!-- claim:S1 -->", feedback_render.Room()
    )
    soup = BeautifulSoup(made, "html.parser")
    assert [c.text for c in soup.find_all("code", class_="math")] == ["$a_1 b_2$", "$$\nx_1 = *y*\n$$"]
    assert "cost $5 and $6," in soup.get_text() and "claim" not in made and soup.em is None


def test_code_has_colours_for_both_schemes():
    assert '<span class="k">def</span>' in feedback_render.code("def f():\n    return 1", feedback_render.Room())
    light, dark = feedback_render.STYLE.split("prefers-color-scheme: dark")
    assert all(f".{name} {{ color: #" in light and f".{name} {{ color: #" in dark for name in "kscod")
    assert feedback_render.code("  \n", feedback_render.Room()) == ""


# Submissions that stock nbgrader graded


def stock(outcome: dict, **answers) -> dict:
    """An autograded notebook as stock nbgrader writes it: with the hidden tests and all mime types."""
    filled, source = submission(**answers), instructor()
    for cell, original in zip(filled["cells"], source["cells"], strict=True):
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if cell["cell_type"] == "code":
            cell["outputs"] = [o for o in outcome.get(name, []) if "line" not in o]
            if cell["metadata"].get("nbgrader", {}).get("grade"):
                cell["source"] = original["source"]
    return filled


def test_stock_graded_fallback_hides_all_of_a_cell_with_hidden_tests():
    shot = snapshot()
    trace = [f"----> 4 assert double({SECRET}) == 2 * secret", "AssertionError: for 7340033"]
    html_output = {
        "output_type": "display_data",
        "data": {"text/html": "<script>alert(1)</script>", "text/plain": "plain twin"},
        "metadata": {},
    }
    outcome = {
        "double_hidden": error("AssertionError", "for 7340033", 1, trace),
        "double": [html_output],
        "even_check": error("AssertionError", "seen", 1, trace[:0]),
    }
    html = shown(shot, None, graded=stock(outcome), rows=[grades(double_hidden={"score": 0.0, "auto": 0.0})])
    soup = assert_inert(html)
    assert "hidden tests: failed" in section(soup, "double_hidden") and "0 of 2 points" in section(
        soup, "double_hidden"
    )
    assert (
        "7340033" not in html
        and "secret" not in html
        and "plain twin" in words(soup)
        and "AssertionError: seen" in section(soup, "even_check")
    )


def test_stock_graded_cell_that_reads_hidden_names_shows_nothing():
    shot = snapshot()
    book = own_cell(stock({}), "print(secret)")
    book["cells"][-1]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "7340033"}]
    html = shown(shot, None, graded=book)
    assert "7340033" not in html and "(the name secret)" in html


def test_a_cell_that_calls_itself_a_test_shows_the_instructors_lines():
    """In a notebook that somebody made, a second cell with a test's id is the learner's own."""
    shot = snapshot()
    book = stock({})
    extra = copy.deepcopy(
        next(c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == "double_hidden")
    )
    extra["source"] = "my = 'own'"
    book["cells"].append(extra)
    soup = assert_inert(shown(shot, None, graded=book))
    assert len(
        [s for s in soup.find_all("section") if s.h3.code.text == "double_hidden"]
    ) == 1 and "my = 'own'" in words(soup)


# On disk


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder of stock nbgrader with the small assignment, registered."""
    root = tmp_path_factory.mktemp("course")
    (root / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'c1'\n")
    source = root / "source" / ASSIGNMENT / f"{NOTEBOOK}.ipynb"
    source.parent.mkdir(parents=True)
    book = instructor()
    book["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for cell in book["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"schema_version": 3, "locked": False, "task": False}
        cell["id"] = re.sub(r"\W", "-", cell["id"])
    source.write_text(json.dumps(book))
    made = Course(root)
    made.register(ASSIGNMENT)
    return made


def hand_in(course, student: str, rec: dict) -> None:
    """A graded submission: record, grades, autograded notebook, and what the exchange leaves beside it."""
    folder = course.folder("submitted", ASSIGNMENT, student)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NOTEBOOK}.ipynb").write_text(json.dumps(submission()))
    (folder / "timestamp.txt").write_text("2026-02-02 08:30:00 UTC")
    (folder / "submission_secret.txt").write_text(f"hush-{student}")
    rec = {**rec, "assignment": ASSIGNMENT, "student": student, "name": NOTEBOOK, "notebook_name": NOTEBOOK, "key": "k"}
    results.write(course, rec)
    with gradebook.Book(course, ASSIGNMENT) as book:
        book.save(student, NOTEBOOK, rec)


def test_pages_on_disk_are_where_nbgraders_exchange_looks(course, capsys):
    shot = course.snapshot(ASSIGNMENT, NOTEBOOK)
    hand_in(course, "ann", made_record(shot, submission()))
    hand_in(course, "bob <b>", made_record(shot, submission(), {"double_check": error("AssertionError", "of bob", 2)}))
    hand_in(
        course,
        "zoë",
        {
            "status": "refused",
            "unsafe": False,
            "seed": 0,
            "notes": [],
            "reasons": ["ps.ipynb is empty."],
            "cells": [],
            "score": 0.0,
            "max_score": 9.0,
            "seconds": 0.0,
        },
    )
    with course.gradebook() as book:
        book.find_comment("double", NOTEBOOK, ASSIGNMENT, "ann").manual_comment = "Neat <b>"
        book.db.commit()
    report = feedback.write_all(course, ASSIGNMENT)
    assert report["pages"] == 3 and report["failed"] == []
    for student in ("ann", "bob <b>", "zoë"):
        folder = course.folder("feedback", ASSIGNMENT, student)
        assert sorted(p.name for p in folder.iterdir()) == [
            f"{NOTEBOOK}.html",
            "submission_secret.txt",
            "timestamp.txt",
        ]
        soup = assert_inert((folder / f"{NOTEBOOK}.html").read_text(encoding="utf-8"))
        assert soup.bdi.text == student and "hush" not in words(soup) and str(course.root) not in str(soup)
        assert ("of bob" in words(soup)) == (student == "bob <b>")
        assert ("Your instructor: Neat <b>" in words(soup)) == (student == "ann")
    assert "ps.ipynb is empty." in words(soup)
    assert grade.main(["feedback", ASSIGNMENT, "--course", str(course.root), "--student", "a*", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pages"] == 1
    assert grade.main(["feedback", ASSIGNMENT, "--course", str(course.root), "--student", "nobody"]) == 2
    assert "No graded submission of ps matches 'nobody'" in capsys.readouterr().err


def test_release_puts_the_page_where_the_learner_fetches_it(course, tmp_path):
    from nbgrader.apps import NbGraderAPI
    from nbgrader.utils import notebook_hash

    shot = course.snapshot(ASSIGNMENT, NOTEBOOK)
    hand_in(course, "ann", made_record(shot, submission()))
    page = feedback.write(course, ASSIGNMENT, "ann", NOTEBOOK)
    config = copy.deepcopy(course.config)
    config.Exchange.root = str(tmp_path / "exchange")
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange").chmod(0o777)
    result = NbGraderAPI(coursedir=course.coursedir, config=config).release_feedback(ASSIGNMENT, "ann")
    assert result["success"], result
    (released_page,) = (tmp_path / "exchange").rglob("*.html")
    assert released_page.name == f"{notebook_hash(secret='hush-ann', notebook_id=NOTEBOOK)}.html"
    assert released_page.read_bytes() == page.read_bytes()


def test_grading_again_with_stock_makes_the_record_stale(course):
    shot = course.snapshot(ASSIGNMENT, NOTEBOOK)
    hand_in(course, "cat", made_record(shot, submission(), {"double_check": error("AssertionError", "ours", 2)}))
    path = course.folder("autograded", ASSIGNMENT, "cat") / f"{NOTEBOOK}.ipynb"
    path.chmod(0o644)
    path.write_text(json.dumps(stock({"double_hidden": error("AssertionError", "for 7340033", 3, ["7340033"])})))
    html = feedback.write(course, ASSIGNMENT, "cat", NOTEBOOK).read_text(encoding="utf-8")
    assert "ours" not in html and "7340033" not in html and "hidden tests: failed" in html


def test_what_cannot_be_made_is_reported_and_the_rest_is_made(course, capsys):
    shot = course.snapshot(ASSIGNMENT, NOTEBOOK)
    hand_in(course, "dan", made_record(shot, submission()))
    broken = course.folder("autograded", ASSIGNMENT, "eve") / f"{NOTEBOOK}.ipynb"
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_text("[1, 2")
    (course.folder("autograded") / "link").symlink_to(course.folder("autograded") / "dan")
    assert grade.main(["feedback", ASSIGNMENT, "--course", str(course.root), "--student", "[del]*"]) == 1
    said = capsys.readouterr()
    assert (
        said.out.startswith("1 page in feedback")
        and "eve/ps: The graded notebook eve/ps/ps.ipynb cannot be read" in said.err
    )
    with pytest.raises(ValueError, match="is not graded yet"):
        feedback.write(course, ASSIGNMENT, "nobody", NOTEBOOK)


@pytest.mark.sandbox
def test_pages_of_real_records(course):
    """From the engine: an honest answer, a wrong one, and one that prints and keeps what it is given."""
    shot = course.snapshot(ASSIGNMENT, NOTEBOOK)
    spy = (
        "seen = []\ndef double(x):\n    seen.append(x)\n    print('given', x)\n    return 0 if x == 7340033 else 2 * x"
    )
    limits = engine.Limits(cell=5.0, total=20.0, walls=sandbox.Walls(memory=300 * 2**20))
    with engine.Grader(shot, limits) as grader:
        for student, book in {
            "full": submission(),
            "wrong": submission(double="def double(x):\n    return 2 * x if isinstance(x, int) else 0"),
            "spy": own_cell(submission(double=spy), "print(seen)"),
            "raises": submission(double="def double(x):\n    if x == 7340033:\n        raise ValueError(f'given {x}')\n    return 2 * x"),
        }.items():  # fmt: skip
            hand_in(course, student, grader.grade(intake.parse(json.dumps(book).encode())[0]))
    pages = {
        s: feedback.write(course, ASSIGNMENT, s, NOTEBOOK).read_text(encoding="utf-8")
        for s in ("full", "wrong", "spy", "raises")
    }
    said = {s: section(assert_inert(html), "double_hidden") for s, html in pages.items()}
    assert "hidden tests: all passed" in said["full"] and "hidden test 2: failed" in said["wrong"]
    assert (
        "hidden test 1: failed" in said["spy"]
        and "hidden test 1: failed, your code stopped with ValueError" in said["raises"]
    )
    for student, html in pages.items():
        own = (
            html.replace("x == 7340033", "") if student in ("spy", "raises") else html
        )  # it stands in the learner's own code
        assert (
            "given 7340033" not in own
            and "abab" not in own
            and re.sub("<[^>]*>", "", own).count("7340033") == 0
            or student in ("spy", "raises")
        )
        assert "[7340033" not in own and "given 7340033" not in own
