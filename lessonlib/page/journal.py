"""What the learner did so far, in one small file: guesses, passed checks, opened hints, quiz answers. It never fails a lesson.

The file is `.lessonlib/progress.json` in the course checkout, or in the home folder where there is none (Colab).
The environment variable LESSONLIB_PROGRESS names another file, or says `off`: then the kernel's memory is all. While
nbgrader validates or grades it is off too, so that a grader's runs do not count as the learner's."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from datetime import date
from pathlib import Path

from lessonlib import paths

from . import theme

KINDS = ("guesses", "checks", "hints", "quizzes")
_memory: dict = {kind: {} for kind in KINDS}
_one_at_a_time = threading.Lock()


def location() -> Path | None:
    """The progress file, or None when nothing is kept."""
    asked = os.environ.get("LESSONLIB_PROGRESS", "")
    if asked.lower() == "off":
        return None
    if asked:
        return Path(asked)
    if os.environ.get("NBGRADER_EXECUTION"):
        return None
    return (paths.course_root() or Path.home()) / ".lessonlib" / "progress.json"


def read() -> dict:
    """All entries: {"guesses": {id: {...}}, "checks": {...}, "quizzes": {...}}. A file that cannot be read as such
    is kept beside as `.bak`, and a new one begins."""
    path = location()
    if path is None:
        return _memory
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict) or any(not isinstance(data.get(kind, {}), dict) for kind in KINDS):
            raise ValueError("not a progress file")
    except OSError:
        data = {}
    except ValueError:
        with contextlib.suppress(OSError):
            os.replace(path, _free_name(path))
        data = {}
    return {**data, **{kind: data.get(kind, {}) for kind in KINDS}}


def write(kind: str, key: str, entry: dict) -> None:
    """Keep `entry` under `kind` and `key`; other entries stay. Trouble with the file is no trouble for the lesson."""
    _memory[kind][key] = entry
    path = location()
    if path is None:
        return
    with _one_at_a_time, contextlib.suppress(OSError, TypeError, ValueError):
        data = read()
        data[kind][key] = entry
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".progress-", suffix=".json")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=1, ensure_ascii=False, sort_keys=True)
            os.replace(name, path)  # whole or not at all
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def entry(kind: str, key: str) -> dict:
    """What is kept under `kind` and `key`; empty when nothing is."""
    found = _memory[kind].get(key) or read()[kind].get(key)  # what this kernel did is the newest
    return found if isinstance(found, dict) else {}


def record_check(exercise_id: str, passed: bool) -> None:
    """Count a try; a check passed once stays passed."""
    old = entry("checks", exercise_id)
    tries = old.get("tries", 0) + (0 if old.get("passed") else 1)
    write("checks", exercise_id, {"passed": bool(passed or old.get("passed")), "tries": tries, "on": _today()})


def record_hint(exercise_id: str, number: int) -> None:
    """Keep that the hints up to `number` (from 1) are open."""
    write("hints", exercise_id, {"opened": max(number, hints_opened(exercise_id)), "on": _today()})


def hints_opened(exercise_id: str) -> int:
    """How many hints of an exercise are open."""
    opened = entry("hints", exercise_id).get("opened", 0)
    return opened if isinstance(opened, int) and opened > 0 else 0


def record_guess(guess_id: str, value) -> None:
    """Keep a guess; a later one replaces it."""
    write("guesses", guess_id, {"value": value, "on": _today()})


def record_answer(quiz_id: str, question: int, right: bool) -> None:
    """Keep the first and the last answer to question `question` (from 1)."""
    answers = dict(entry("quizzes", quiz_id))
    old = answers.get(str(question), {})
    answers[str(question)] = {"first": old.get("first", right), "last": right}
    write("quizzes", quiz_id, answers)


def progress() -> None:
    """Show a table over the lessons: checks passed, hints opened, guesses made, quiz questions right."""
    data = read()
    lessons = sorted({_lesson(key) for kind in KINDS for key in data[kind]})
    rows = []
    for lesson in lessons:
        checks = [v for k, v in data["checks"].items() if _lesson(k) == lesson]
        answers = [a for k, v in data["quizzes"].items() if _lesson(k) == lesson for a in v.values()]
        rows.append([
            lesson,
            f"{sum(c.get('passed', False) for c in checks)} of {len(checks)} tried",
            sum(hints_opened(k) for k in data["hints"] if _lesson(k) == lesson),
            sum(_lesson(k) == lesson for k in data["guesses"]),
            f"{sum(a.get('last', False) for a in answers)} of {len(answers)} answered",
        ])  # fmt: skip
    if not rows:
        text = "Nothing yet: run a lesson's checks, guesses and quiz, then look again."
        theme.emit(theme.card(text), text)
        return
    header = ["lesson", "checks passed", "hints opened", "guesses made", "quiz answers right"]
    caption = "Your progress"
    theme.emit(theme.table_html(rows, header, caption), theme.table_text(rows, header, caption))


def _lesson(key: str) -> str:
    """The lesson number of an id: 05 of l05_e1, of l05_p1 and of 05_kv_cache."""
    return key.lstrip("l").partition("_")[0]


def _free_name(path: Path) -> Path:
    number, name = 1, path.with_name(path.name + ".bak")
    while name.exists():
        number, name = number + 1, path.with_name(f"{path.name}.bak{number}")
    return name


def _today() -> str:
    return date.today().isoformat()
