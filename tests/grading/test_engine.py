# ruff: noqa: E501  (the table of small notebooks)
"""Grading in two sandboxes: honest work scores as in one process, hostile work is stopped."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of, score
from lessonlib.grading import canonical, engine, intake, running, sandbox, zygote

from .attacks import ATTACKS
from .attacks.assignment import DOUBLE, cell_of, instructor, points, released, submission
from .attacks.judge import active, rendered, unsafe

ROOT = Path(__file__).resolve().parents[2]
FIRST = [
    ("00_start_here", "00_start_here"),
    pytest.param("05_kv_cache", "05_kv_cache", marks=pytest.mark.slow),
    ("16_capstone", "vram_budget"),
]
needs_sandbox = pytest.mark.sandbox
LIMITS = engine.Limits(cell=1.0, total=10.0, walls=sandbox.Walls(memory=300 * 2**20))


@pytest.fixture(scope="module")
def shot():
    """The small assignment's snapshot."""
    return canonical.snapshot(instructor(), release=released())


@pytest.fixture(scope="module")
def grader(shot):
    """Its servers, in their sandbox."""
    os.environ["GRADER_SECRET"] = "SECRET"
    with engine.Grader(shot, LIMITS) as made:
        yield made
    del os.environ["GRADER_SECRET"]


def taken(notebook: dict) -> dict:
    """A notebook as intake passes it on."""
    return intake.parse(json.dumps(notebook).encode())[0]


def processes(grader) -> list[str]:
    """Command lines of the grader's servers and of all that they started."""
    parents, names = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path("/proc", pid, "stat").read_text()
            names[pid] = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80]
        except OSError:
            continue
        name, _, rest = stat.rpartition(")")
        if rest.split()[0] != "Z":
            parents[pid] = rest.split()[1]
    family, found = {str(grader.process.pid)}, [names.get(str(grader.process.pid), "")]
    while more := {p for p, parent in parents.items() if parent in family and p not in family}:
        family |= more
        found += [names[p] for p in more]
    return found


@needs_sandbox
def test_an_honest_submission(grader):
    record = grader.grade(taken(submission()))
    assert record["status"] == "graded" and points(record) == (3, 4)
    assert record["score"] == 7 and record["max_score"] == 9
    written = record["cells"][-1]
    assert written["id"] == "why" and written["points"] is None and written["needs_manual"]
    assert not record["unsafe"] and record["reasons"] == [] and json.loads(json.dumps(record)) == record
    assert grader.failing == []  # the instructor's own solution passes


@needs_sandbox
def test_an_untouched_submission(grader):
    record = grader.grade(taken(released()))
    assert points(record) == (0, 0) and record["cells"][-1]["points"] == 0
    assert not any(c["needs_manual"] for c in record["cells"])


@needs_sandbox
@pytest.mark.parametrize("even, earned", [("return True", 2.5), ("return n % 2 == 0 if n else None", 3.5)])
def test_partial_credit_is_the_last_expression(grader, even, earned):
    code = f"def even(n):\n    if n == 'x':\n        raise ValueError\n    {even}"
    assert points(grader.grade(taken(submission(even=code)))) == (3, earned)


@needs_sandbox
def test_a_warning_on_the_error_stream_costs_the_test_as_in_nbgrader(grader):
    code = "import sys\n" + DOUBLE.replace("return", "sys.stderr.write('!')\n    return")
    assert points(grader.grade(taken(submission(double=code)))) == (0, 4)


@needs_sandbox
def test_grading_again_gives_the_same_seed(grader):
    first, second = (grader.grade(taken(submission()))["seed"] for _ in range(2))
    assert first == second != grader.grade(taken(submission(why="other")))["seed"]


def case(attack):
    """The attack as a parameter; what goes on for seconds until a limit ends it is slow."""
    name = f"{attack.group}: {attack.name}".replace(" ", "_")
    return pytest.param(attack, id=name, marks=[pytest.mark.slow] if attack.group in ("hang", "bomb") else [])


@needs_sandbox
@pytest.mark.parametrize("attack", [case(attack) for attack in ATTACKS])
def test_attack(grader, attack):
    started = time.monotonic()
    try:
        notebook = taken(attack.notebook())
    except intake.Refused:
        assert (attack.double, attack.even) == (0, 0)
        return
    record = grader.grade(notebook)
    # a bound on hanging, not a measurement
    assert unsafe(attack, record, points(record), time.monotonic() - started, LIMITS.total + 10) == []
    assert len(processes(grader)) <= 4, processes(grader)  # bubblewrap twice, and the two servers
    # the servers are as before: the next honest submission is not harmed
    if attack.group in ("bomb", "leftovers"):
        assert points(grader.grade(taken(submission()))) == (3, 4)


def test_the_corpus_has_all_groups():
    assert len(ATTACKS) >= 200 and len({(a.group, a.name) for a in ATTACKS}) == len(ATTACKS)
    assert {a.group for a in ATTACKS} == set(
        "hang,bomb,exit,escape,read secrets,write gradebook,network,tamper with tests,forge results,notebook structure,"
        "page injection,leftovers".split(",")
    )


def test_the_judge_sees_what_a_page_runs():
    shown = rendered(
        submission(why="a <script>alert(1)</script> [x](javascript:alert(1)) ![x](https://evil.example/x.png)")
    )
    found = " ".join(active(shown))
    assert "<script>" in found and "javascript:" in found and "evil.example" in found
    assert active(rendered(submission())) == []


@needs_sandbox
def test_a_written_answer_is_shown_as_it_was_written(grader):
    text = "Because 1 < 2 & so on: see <https://a.example/?x=1&y=2>, `a[0]`, **bold** and $x^2$!"
    record = grader.grade(taken(submission(why=text)))
    assert cell_of(record["notebook"], "why")["source"] == text


@needs_sandbox
def test_code_that_no_parser_ends_with_is_refused_with_a_reason(grader):
    book = submission()
    book["cells"] = [{"cell_type": "code", "metadata": {}, "source": "%pwd\n" * 600, "outputs": []}]
    record = grader.grade(taken(book))
    assert record["status"] == "refused" and record["score"] == 0 and "told apart" in record["reasons"][0]
    assert not any(c["needs_manual"] for c in record["cells"])


@needs_sandbox
def test_outputs_of_one_submission_are_kept_up_to_a_limit(grader, monkeypatch):
    monkeypatch.setattr(running, "KEPT", 1000)
    book = submission()
    for number in range(30):
        source = "print('x' * 100)"
        book["cells"].append({"cell_type": "code", "metadata": {}, "source": source, "id": f"p{number}", "outputs": []})
    record = grader.grade(taken(book))
    texts = [o["text"] for c in record["notebook"]["cells"][-30:] for o in c["outputs"]]
    assert texts[0].startswith("xxx") and "[cut" in texts[-1] and points(record) == (3, 4)


def test_a_flood_of_messages_ends_with_the_time():
    ours, theirs = socket.socketpair()
    ours.setblocking(True)
    stop = threading.Event()

    def flood():
        piece = b"\x00\x00\x00\x02{}" * 1000
        while not stop.is_set():
            try:
                theirs.sendall(piece)
            except OSError:
                return

    thread = threading.Thread(target=flood)
    thread.start()
    sandboxed = running.Sandbox(ours, -1, None, 0)
    deadline, heard = time.monotonic() + 0.5, 0
    while sandboxed.hear(deadline) is not None:
        heard += 1
    stop.set()
    ours.close()
    thread.join()
    assert sandboxed.why == "late" and heard > 100


def test_servers_are_ended_when_the_start_fails(shot, monkeypatch):
    if not sandbox.check_machine()[-1].ok:
        pytest.skip("no sandbox")
    grader, started = engine.Grader(shot, LIMITS), []
    launch = zygote.launch
    monkeypatch.setattr(zygote, "launch", lambda *a, **k: started.append(launch(*a, **k)) or started[-1])
    monkeypatch.setattr(engine.Grader, "_branch", lambda self, warm: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        grader.start()
    assert started[0][0].poll() is not None and grader.process is None


@needs_sandbox
def test_nothing_is_left_when_the_grader_is_closed(shot):
    grader = engine.Grader(shot, LIMITS).start()
    grader.grade(taken(submission()))
    process = grader.process
    grader.close()
    assert process.poll() is not None and not Path("/proc", str(process.pid)).exists()


def test_without_a_sandbox_it_refuses_and_names_the_way_out(shot, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="apt-get install bubblewrap"):
        engine.Grader(shot, LIMITS).start()


@needs_sandbox
def test_unsafe_is_written_into_the_record(shot):
    with engine.Grader(shot, LIMITS, unsafe=True) as grader:
        record = grader.grade(taken(submission()))
    assert record["unsafe"] and points(record) == (3, 4)
    assert any("WITHOUT a sandbox" in note for note in record["notes"])


@needs_sandbox
def test_grade_keeps_its_servers_for_the_next_call(shot):
    try:
        assert points(engine.grade(taken(submission()), shot, LIMITS)) == (3, 4)
        kept = list(engine._kept.values())
        assert points(engine.grade(taken(submission(double="")), shot, LIMITS)) == (0, 4)
        assert list(engine._kept.values()) == kept and len(kept) == 1
    finally:
        engine.close()
    assert kept[0].process is None


CELLS = {
    "class": (
        "class Stack:\n    def __init__(self):\n        self.items = []\n    def push(self, x):\n        self.items.append(x)\n"
        "    def __len__(self):\n        return len(self.items)\n    def __repr__(self):\n        return f'Stack({self.items})'\n",
        "s = Stack()\ns.push(3)\nassert len(s) == 1 and s.items == [3] and str(s) == 'Stack([3])'\nassert isinstance(s, Stack)\n"
        "assert s != Stack() and s == s",
    ),
    "generator": ("def squares():\n    n = 0\n    while True:\n        yield n * n\n        n += 1\n", "import itertools\nassert list(itertools.islice(squares(), 4)) == [0, 1, 4, 9]"),
    "changes its argument": ("def sort(x):\n    x.sort()\n    return x\n", "a = [3, 1, 2]\nassert sort(a) is a and a == [1, 2, 3]"),
    "leaves its argument": ("def largest(x):\n    return max(x)\n", "a = [3, 1]\nlargest(a)\nassert a == [3, 1]"),
    "a value": ("total = sum(range(10))\n", "assert total == 45"),
    "uses another function": (
        "def square(x):\n    return x * x\ndef squares(n):\n    return [square(i) for i in range(n)]\n",
        "kept = square\ndel square\ntry:\n    squares(3)\nexcept NameError:\n    pass\nelse:\n    raise AssertionError('squares does not use square')\n"
        "finally:\n    square = kept\nassert squares(3) == [0, 1, 4]",
    ),
    "an error of the instructor": ("def f():\n    raise Odd('x', 3)\n", "try:\n    f()\nexcept Odd as e:\n    assert e.args == ('x', 3)"),
    "a dataclass of the instructor": ("def make(x):\n    return Point(x, 2)\n", "p = make(1)\nassert p == Point(1, 2) and type(p) is Point"),
    "keywords and defaults": ("def f(a, b=2, *c, d=4):\n    return a, b, c, d\n", "assert f(1) == (1, 2, (), 4) and f(1, 3, 5, d=6) == (1, 3, (5,), 6)"),
    "a cell that depends on the answer": ("def f(x):\n    return x + 1\n", "assert derived == 11"),
    "numpy": ("import numpy as np\ndef scale(x):\n    x *= 2\n    return x.sum()\n", "import numpy\nx = numpy.arange(3.0)\nassert scale(x) == 6 and x.tolist() == [0, 2, 4]"),
}  # fmt: skip


@needs_sandbox
def test_what_tests_of_one_process_expect():
    """One assignment with an exercise for each kind of test; the solution passes all."""
    book = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}

    def add(source, grade_id=None, **about):
        metadata = {"nbgrader": {"grade_id": grade_id, **about}} if grade_id else {}
        book["cells"].append({"cell_type": "code", "metadata": metadata, "source": source, "outputs": []})

    add(
        "from dataclasses import dataclass\nclass Odd(Exception):\n    pass\n@dataclass\nclass Point:\n    x: int\n    y: int"
    )
    for number, (name, (solution, test)) in enumerate(CELLS.items()):
        add(solution, f"s{number}", solution=True)
        if name == "a cell that depends on the answer":
            add("derived = f(10)")
        add(test, f"t{number}", grade=True, points=1)
    add("import inspect\nassert 'append' in inspect.getsource(Stack.push)", "inside", grade=True, points=1)
    book["cells"][-1]["metadata"]["tags"] = ["in-kernel"]
    with engine.Grader(canonical.snapshot(book), LIMITS) as grader:
        assert grader.failing == []
        record = grader.grade(taken(book))
    lost = {c["id"]: c["outputs"] for c in record["cells"] if c["points"] != 1}
    assert not lost, {list(CELLS)[int(k[1:])] if k != "inside" else k: v for k, v in lost.items()}
    assert [c["weaker"] for c in record["cells"]][-2:] == [False, True]
    assert any("in-kernel" in note for note in record["notes"])


@needs_sandbox
@pytest.mark.parametrize("folder, name", FIRST)
def test_lessons_score_as_in_one_process(folder, name):
    """The solution scores full, the learner edition 0, and each wrong answer what it scores beside its tests."""
    solution, learner = (ROOT / top / folder / f"{name}.ipynb" for top in ("solutions", "notebooks"))
    book, release = json.loads(solution.read_text(encoding="utf-8")), json.loads(learner.read_text(encoding="utf-8"))
    shot = canonical.snapshot(book, release=release)
    answers = [
        {"grade_id": w.grade_id, "code": w.code} for w in wrong_answers(ROOT / "solutions" / folder / f"{name}.py")
    ]
    beside = score(solution, answers)["answers"]
    with engine.Grader(shot) as grader:
        assert grader.failing == []
        full = {c["id"]: c["points"] for c in grader.grade(taken(book))["cells"] if c["kind"] == "test"}
        assert full == {c["grade_id"]: c["points"] for c in shot["cells"] if c["kind"] == "test"}
        assert grader.grade(taken(release))["score"] == 0
        for answer, expected in zip(answers, beside, strict=True):
            submitted = json.loads(json.dumps(book))
            for cell in submitted["cells"]:
                if cell["metadata"].get("nbgrader", {}).get("grade_id") == answer["grade_id"]:
                    cell["source"] = answer["code"]
            found = {c["id"]: c["points"] for c in grader.grade(taken(submitted))["cells"]}
            exercise = exercise_of(answer["grade_id"])
            ours = {k: v for k, v in found.items() if exercise_of(k) == exercise and k in full}
            assert ours == pytest.approx({k: v[0] for k, v in expected.items()}), answer


@needs_sandbox
def test_a_file_that_cannot_be_written_is_noted_and_not_the_machines_fault(shot, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "given.txt").write_text("2")
    tmp_path.chmod(0o755)
    files = {name: base64.b64encode(b"3").decode() for name in ("data/mine.txt", "mine.txt")}
    code = "def double(x):\n    return (int(open('mine.txt').read()) - 1) * x"
    with engine.Grader(shot, LIMITS, data=tmp_path) as grader:
        record = grader.grade(taken(submission(double=code)), files)
    assert record["status"] == "graded" and points(record) == (3, 4)
    assert record["notes"] == ["the file 'data/mine.txt' could not be put beside the notebook"]
