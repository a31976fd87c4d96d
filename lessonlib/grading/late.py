"""Late submissions: when something was handed in, how late that is, and what the course's nbgrader plugin takes off for it."""

from __future__ import annotations

import datetime
import logging
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from . import intake

STAMP = "timestamp.txt"


class Penalties:
    """The plugin of AssignLatePenalties.plugin_class with its own options, as nbgrader's commands load it."""

    def __init__(self, course):
        """ValueError when the plugin cannot be loaded."""
        from nbgrader.preprocessors import AssignLatePenalties

        quiet = logging.getLogger("lessonlib.grading.late")  # what a plugin logs is its author's business
        if not quiet.handlers:
            quiet.addHandler(logging.NullHandler())
        self.root = course.root
        try:
            with _importable(self.root):
                self.step = AssignLatePenalties(config=course.config, log=quiet)
                self.step.init_plugin()
        except Exception as error:  # whatever the instructor's module raises
            raise ValueError(
                f"The late-penalty plugin cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())}): mend "
                "AssignLatePenalties.plugin_class in nbgrader_config.py."
            ) from None

    def __call__(self, student: str, score: float, seconds: float) -> tuple[float | None, list[str]]:
        """(points taken off, between 0 and the score, or None; notes). ValueError when the plugin fails."""
        if seconds <= 0:
            return None, []
        try:
            with _importable(self.root):
                asked = self.step.plugin_inst.late_submission_penalty(student, score, seconds)
            if asked is None:
                return None, []
            given = float(self.step._check_late_penalty(SimpleNamespace(score=score), asked))  # stock's bounds
        except Exception as error:  # whatever the instructor's plugin raises
            raise ValueError(
                f"The late-penalty plugin {self.step.plugin_class.__name__} failed for {student} ({type(error).__name__}: "
                f"{error}): mend it and grade again."
            ) from None
        note = f"the late penalty of {asked:g} was set to {given:g}, between 0 and the score"
        return given, [note] if given != asked else []


def handed_in(course, assignment: str, student: str) -> tuple[bytes | None, datetime.datetime | None, list[str]]:
    """(timestamp.txt of a submission, the time in it, notes). What is not there, or no time, is None."""
    name = f"{student}/{assignment}/{STAMP}"
    top = course.folder("submitted")
    if not os.path.lexists(top / name):
        return None, None, []
    try:
        data = intake.read_file(top, name, 1000)
        found = moment(data.decode("utf-8"))
    except (intake.Refused, OSError) as refused:
        return None, None, [f"{STAMP} does not count: {refused}"]
    except ValueError:
        return None, None, [f"{STAMP} does not count: it holds no date and time that nbgrader reads"]
    return (data, found, []) if found else (None, None, [f"{STAMP} is empty"])


def moment(given: str | datetime.datetime) -> datetime.datetime | None:
    """A time in UTC, without its zone, as nbgrader reads it; None for empty text. ValueError for what is no time."""
    from nbgrader.utils import parse_utc

    if isinstance(given, str) and not given.strip():
        return None
    try:
        return parse_utc(given.strip() if isinstance(given, str) else given)
    except (ValueError, OverflowError, TypeError, AttributeError):
        raise ValueError(f"{str(given)[:80]!r} is no date and time that nbgrader reads.") from None


def seconds_late(when, due, extension) -> float:
    """Seconds after the date on which it was due, extension included; 0.0 when in time, or when a date is missing."""
    if when is None or due is None:
        return 0.0
    return max(0.0, (when - (due + extension if extension is not None else due)).total_seconds())


@contextmanager
def _importable(root: Path):
    """nbgrader's commands can import modules that lie in the course folder, for example a plugin."""
    sys.path.insert(0, str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
