"""check(): try an answer and say what is wrong with it; hints(): a ladder of hints, folded."""

from __future__ import annotations

import os
from html import escape

from ..checks import CheckFailed, exercise, run_check
from . import progress
from .figures import put


def check(exercise_id: str, answer) -> None:
    """Run the visible check of an exercise on `answer` (the function or value that it asks for).

    Shows a line when the answer is right. Raises CheckFailed, which says what was expected, what came and why, when it
    is wrong, and NotImplementedError while the exercise is open. Both print short, without a long traceback."""
    try:
        found = run_check(exercise_id, answer, seed=int(os.environ.get("LESSON_SEED", "0")))
    except NotImplementedError:
        text = (
            f"{exercise_id} is still open. Write the exercise cell above, run it, then run this cell again; "
            f'hints("{exercise_id}") helps.'
        )
        raise _short(NotImplementedError(text)) from None
    except CheckFailed as error:
        raise _short(error) from None
    progress.passed(exercise_id)
    line = f"{exercise_id} passed: {found.title}."
    put(f'<div style="border-left:4px solid #2a9d8f;padding:.3em .8em">✔ {escape(line)}</div>', f"✔ {line}")


def hints(exercise_id: str) -> None:
    """Show the hints of an exercise, each folded inside the one before, so that you can stop early."""
    found = exercise(exercise_id)
    html, total = "", len(found.hints)
    for number, hint in reversed(list(enumerate(found.hints, 1))):
        html = f"<details><summary>Hint {number} of {total}</summary><p>{escape(hint)}</p>{html}</details>"
    put(html, f"[{total} hints for {exercise_id}, folded]")


def _short(error: Exception) -> Exception:
    """Make IPython show the error's own words instead of a traceback through library code."""
    error._render_traceback_ = lambda: [f"{type(error).__name__}: {error}"]
    return error
