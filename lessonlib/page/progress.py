"""What the learner has done, kept in one small file; losing it never stops a lesson."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..paths import course_root


def progress() -> None:
    """Show the exercises passed and the guesses made so far, lesson by lesson."""
    from .figures import table

    state = read()
    rows = [[name, "passed"] for name in sorted(state["passed"])]
    rows += [[name, f"guessed {guess}"] for name, guess in sorted(state["guesses"].items())]
    table(rows or [["nothing yet", "-"]], header=["what", "state"], caption="Your progress on this machine")


def passed(exercise_id: str) -> None:
    """Note that an exercise's check passed."""
    state = read()
    if exercise_id not in state["passed"]:
        state["passed"].append(exercise_id)
        _write(state)


def guessed(name: str, guess) -> None:
    """Note a guess."""
    state = read()
    state["guesses"][name] = guess
    _write(state)


def read() -> dict:
    """{"passed": [ids], "guesses": {id: guess}}; empty when there is no file or it cannot be read."""
    try:
        state = json.loads(_file().read_text(encoding="utf-8"))
        return {"passed": list(state["passed"]), "guesses": dict(state["guesses"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {"passed": [], "guesses": {}}


def _file() -> Path:
    root = course_root()
    return (root or Path.home()) / ".lessonlib" / "progress.json"


def _write(state: dict) -> None:
    if os.environ.get("LESSONLIB_PROGRESS") == "off":
        return
    path = _file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_text(json.dumps(state, indent=1), encoding="utf-8")
        if path.exists() and not _readable(path):
            path.replace(path.with_suffix(".bak"))  # never throw away a file that we cannot read
        partial.replace(path)
    except OSError:
        pass  # a read-only disk must not stop a lesson; the file is a convenience


def _readable(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
        return True
    except (OSError, ValueError):
        return False
