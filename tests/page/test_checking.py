import json
import sys
import warnings

import pytest

from lessonlib.checks.core import CheckFailed, check_for, expect
from lessonlib.page import checking, journal

HINTS = ("Look at **both** tensors.", "`2 * n`, or <less>")


@pytest.fixture(autouse=True)
def exercise(monkeypatch):
    from lessonlib.checks import core

    monkeypatch.setattr(core, "_EXERCISES", {})

    @check_for("l98_e1", title="Twice <as> much", minutes=3, hints=HINTS)
    def twice(answer, rng):
        expect(answer(3), 6, "twice three", mistakes=[(3, "both K and V are kept")])


def test_right_answer_shows_one_line_and_returns_nothing(shown):
    assert checking.check("l98_e1", lambda n: 2 * n) is None
    html, text = shown[0]
    assert text == "l98_e1: passed. Twice <as> much"
    assert "Twice &lt;as&gt; much" in html and 'role="status"' in html
    assert journal.entry("checks", "l98_e1")["passed"] is True


def test_wrong_answer_is_short_and_names_the_mistake(shown):
    with pytest.raises(CheckFailed, match="both K and V") as caught:
        checking.check("l98_e1", lambda n: n)
    lines = caught.value._render_traceback_()
    assert lines[0].startswith("CheckFailed: twice three") and 'hints("l98_e1")' in lines[-1] and len(lines) == 2
    assert journal.entry("checks", "l98_e1") == {"passed": False, "tries": 1, "on": journal._today()}
    assert shown == []


def test_open_gap_is_plain_not_implemented(shown):
    def gap(n):
        raise NotImplementedError

    with pytest.raises(NotImplementedError, match=r"(?s)l98_e1 is still open.*hints\(\"l98_e1\"\)") as caught:
        checking.check("l98_e1", gap)
    assert type(caught.value) is NotImplementedError
    assert len(caught.value._render_traceback_()) == 1
    assert journal.entry("checks", "l98_e1") == {}


def test_crash_names_the_learners_line():
    def crash(n):
        return n / 0

    with pytest.raises(CheckFailed, match="ZeroDivisionError") as caught:
        checking.check("l98_e1", crash)
    where = [line for line in caught.value._render_traceback_() if "where:" in line]
    assert where == [f"  where:    line {crash.__code__.co_firstlineno + 1} of crash: return n / 0"]


def test_nothing_goes_to_the_error_stream(capsys, shown):
    def noisy(n):
        warnings.warn("slow path", stacklevel=1)
        print("debug", file=sys.stderr)
        return 2 * n

    checking.check("l98_e1", noisy)
    seen = capsys.readouterr()
    assert seen.err == ""
    assert "slow path" in seen.out and "debug" in seen.out


@pytest.fixture
def progress(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSONLIB_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(journal, "_memory", {kind: {} for kind in journal.KINDS})
    return tmp_path / "progress.json"


def test_hints_open_one_after_the_other_and_are_kept(progress, capsys):
    for count in (1, 2, 2):
        checking.hints("l98_e1")
        lines = capsys.readouterr().out.splitlines()
        assert [line.partition(":")[0] for line in lines[1:]] == [f"Hint {n} of 2" for n in range(1, count + 1)]
        kept = json.loads(progress.read_text())
        assert kept["hints"]["l98_e1"]["opened"] == count and kept["checks"] == {}


def test_the_ladder_of_a_page(progress):
    from lessonlib.checks import core
    from lessonlib.page.hint_ladder import HintLadder

    ladder = HintLadder(core.exercise("l98_e1"))
    assert ladder.button.description == "Open hint 1 of 2" and "Hint" not in ladder.out.value
    assert not progress.exists()  # showing the button opens nothing
    ladder.button.click()
    assert "Hint 1 of 2" in ladder.out.value and "Hint 2" not in ladder.out.value
    ladder.button.click()
    assert ladder.button.disabled and ladder.button.description == "All 2 hints are open"
    assert journal.hints_opened("l98_e1") == 2
    again = HintLadder(core.exercise("l98_e1"))
    assert again.button.disabled and "Hint 2 of 2" in again.out.value
    html, text = again.stored_html(), again.text()
    assert html.count("<details") == 2 and "Hint 1 of 2" in html and "<b>both</b>" in html and "&lt;less&gt;" in html
    assert " open" not in html.split("<details")[1].split(">")[0] and "1. Look at both tensors." in text


def test_inputs_are_the_learners_own(monkeypatch, shown):
    seen = []

    @check_for("l98_e7", title="Draws", minutes=1, hints=["a", "b", "c"])
    def draws(answer, rng):
        seen.append(rng.random())

    for name in ("ada", "grace", "ada"):
        monkeypatch.setenv("LESSON_SEED", name)
        checking.check("l98_e7", None)
    assert seen[0] == seen[2] != seen[1]


def test_unknown_exercise_says_so():
    with pytest.raises(ValueError, match="No exercise is called 'l98_e9'; known ids: l98_e1"):
        checking.check("l98_e9", None)


def test_in_ipython_the_stored_error_is_short(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    shell.user_ns["check"] = checking.check
    shell.run_cell("def gap(n):\n    raise NotImplementedError\n")
    result = shell.run_cell('check("l98_e1", gap)')
    assert type(result.error_in_exec) is NotImplementedError
    seen = capsys.readouterr().out
    assert "still open" in seen and "checking.py" not in seen and len(seen.strip().splitlines()) == 2
    InteractiveShell.clear_instance()
