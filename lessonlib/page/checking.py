"""The check of an exercise as a learner sees it: a short card, or a short error that teaches; and the ladder of hints."""

from __future__ import annotations

import contextlib
import io
import traceback
import warnings
from pathlib import Path

from lessonlib import learner
from lessonlib.checks import core

from . import journal, theme

_HERE = str(Path(__file__).resolve().parent.parent)


def check(exercise_id: str, answer) -> None:
    """Check `answer` to the exercise. Shows a card when it is right; raises CheckFailed when it is wrong and
    NotImplementedError while the gap is open, both shown in a few lines. Inputs are drawn from the learner's own seed
    (see `lessonlib.learner`), so neighbours see other numbers.

    What the learner's code writes to the error stream is shown as ordinary output: nbgrader gives no points to a test
    cell that wrote errors, and a warning is not an error."""
    complaints = io.StringIO()
    failure = None
    try:
        with contextlib.redirect_stderr(complaints), warnings.catch_warnings(record=True) as warned:
            found = core.run_check(exercise_id, answer, learner.seed())
    except NotImplementedError:
        failure = NotImplementedError(
            f"{exercise_id} is still open: write your answer in the exercise cell, run it, then run this one again.\n"
            f'  help:     hints("{exercise_id}")'
        )
    except core.CheckFailed as error:
        failure = error
    said = [f"{w.category.__name__}: {w.message}" for w in warned] + complaints.getvalue().strip().splitlines()
    if said:
        print("\n".join(["Your code also wrote:", *said]))
    if failure is None:
        journal.record_check(exercise_id, passed=True)
        _passed(found)
        return
    if isinstance(failure, core.CheckFailed):
        journal.record_check(exercise_id, passed=False)
    raise _short(failure, exercise_id)


def hints(exercise_id: str) -> None:
    """Show the hints of an exercise as a ladder, the first the gentlest. In a notebook a button opens the next; outside
    one, each call opens one more and prints all that are open. Opened hints are kept in the progress file and cost no
    points."""
    found = core.exercise(exercise_id)
    if theme.in_notebook():
        from .hint_ladder import HintLadder

        HintLadder(found)._ipython_display_()
        return
    opened = min(journal.hints_opened(exercise_id) + 1, len(found.hints))
    journal.record_hint(exercise_id, opened)
    lines = [f"Hint {n} of {len(found.hints)}: {theme.plain(text)}" for n, text in enumerate(found.hints[:opened], 1)]
    print("\n".join([f"{found.id}: {found.title}", *lines]))


def _passed(found) -> None:
    body = f"<b>✓ {theme.escape(found.id)}: passed.</b> {theme.escape(found.title)}"
    theme.emit(theme.card(body, "good", status=True), f"{found.id}: passed. {found.title}")


def _short(error: Exception, exercise_id: str) -> Exception:
    """The same error, which IPython then shows without the frames of this package."""
    lines = [f"{type(error).__name__}: {error}"]
    if error.__cause__ is not None:
        lines += _where(error.__cause__)
    if isinstance(error, core.CheckFailed):
        lines.append(f'  help:     hints("{exercise_id}")')
    error._render_traceback_ = lambda: lines
    return error.with_traceback(None)


def _where(error: BaseException) -> list[str]:
    """The innermost line of the learner's own code that led to `error`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_HERE)]
    own = [f for f in frames if "site-packages" not in f.filename] or frames
    if not own:
        return []
    return [f"  where:    line {own[-1].lineno} of {own[-1].name}: {own[-1].line or '(source not at hand)'}"]
