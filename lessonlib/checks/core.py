"""How an exercise is checked: visible checks that teach, and hidden properties worth partial credit.

A topic module registers one visible check an exercise and any number of hidden properties:

    @check_for("l05_e2", title="Bytes of a cache", minutes=8, hints=["...", "...", "..."])
    def check_bytes(answer, rng):
        ...                                   # raise CheckFailed(...) where the answer is wrong

    @property_of("l05_e2", "twice the tokens need twice the bytes")
    def linear_in_tokens(answer, rng):
        ...

`answer` is what the learner made (a function or a value); `rng` is a `random.Random`, so inputs are fresh and
reproducible. Nothing here knows about notebooks: `lessonlib.page` shows the results, nbgrader counts the points.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import random
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction

# How an exercise id begins -> module of this package that registers its checks.
TOPICS = {
    "l00": "start_here", "l01": "why_self_host", "l02": "what_is_an_llm", "l03": "attention", "l04": "tokens_and_context",
    "l05": "kv_cache", "l06": "sampling", "l07": "parameters_and_moe",
    "l08": "quantization",
    "l11": "choosing_a_model", "l12": "gpu_hardware", "l16_sel": "model_selection", "l16_vram": "vram_budget",
    "l16_plan": "deployment_plan",
}  # fmt: skip


class CheckFailed(AssertionError):
    """An answer is wrong. Says what was expected, what came, and the likely reason."""

    def __init__(self, what: str, *, expected=None, got=None, reason: str | None = None):
        self.what, self.expected, self.got, self.reason = what, expected, got, reason
        lines = [what]
        if expected is not None or got is not None:
            lines += [f"  expected: {_short(expected)}", f"  got:      {_short(got)}"]
        if reason:
            lines.append(f"  likely reason: {reason}")
        super().__init__("\n".join(lines))


@dataclass
class Exercise:
    """One exercise: its visible check, its hidden properties, its ladder of hints."""

    id: str
    title: str
    minutes: int
    hints: tuple[str, ...]
    check: Callable
    properties: list[tuple[str, Callable]] = field(default_factory=list)


@dataclass(frozen=True)
class PropertyResult:
    """What became of one hidden property: `message` is empty when it holds."""

    name: str
    passed: bool
    message: str = ""


_EXERCISES: dict[str, Exercise] = {}


def check_for(exercise_id: str, *, title: str, minutes: int, hints: Iterable[str]):
    """Register the decorated `check(answer, rng)` as the visible check of `exercise_id`."""

    def register(function):
        _EXERCISES[exercise_id] = Exercise(exercise_id, title, minutes, tuple(hints), function)
        return function

    return register


def property_of(exercise_id: str, name: str):
    """Register the decorated `test(answer, rng)` as a hidden property of `exercise_id`; `name` says what must hold."""

    def register(function):
        _EXERCISES[exercise_id].properties.append((name, function))
        return function

    return register


def exercise(exercise_id: str) -> Exercise:
    """The exercise called `exercise_id`; ValueError names the known ids of its lesson when there is none."""
    prefix = str(exercise_id).rpartition("_")[0]
    if prefix in TOPICS:
        importlib.import_module(f"lessonlib.checks.{TOPICS[prefix]}")
    if exercise_id not in _EXERCISES:
        known = ", ".join(sorted(i for i in _EXERCISES if i.startswith(f"{prefix}_")))
        known = known or f"those that begin with {', '.join(f'{t}_e' for t in TOPICS)}"
        raise ValueError(f"No exercise is called {exercise_id!r}; known ids: {known}.")
    return _EXERCISES[exercise_id]


def run_check(exercise_id: str, answer, seed: int = 0) -> Exercise:
    """Run the visible check. Returns the exercise when the answer is right, raises CheckFailed when it is wrong and
    NotImplementedError while the answer is still the open gap."""
    found = exercise(exercise_id)
    try:
        found.check(answer, random.Random(f"{exercise_id}/{seed}"))
    except (CheckFailed, NotImplementedError):
        raise
    except (Exception, SystemExit) as error:  # the learner's own code broke: say so in the check's voice
        raise CheckFailed(
            f"Your code for {exercise_id} stopped with {type(error).__name__}: {error}",
            reason="the error came from inside your code, so read its last line first",
        ) from error
    return found


def run_properties(exercise_id: str, answer, seed: int = 0) -> list[PropertyResult]:
    """Try every hidden property on fresh inputs; one failing property never hides the others."""
    results = []
    for name, test in exercise(exercise_id).properties:
        try:
            test(answer, random.Random(f"{exercise_id}/{name}/{seed}"))
        except NotImplementedError:
            results.append(PropertyResult(name, False, "not written yet"))
        except (Exception, SystemExit) as error:
            text = str(error) if isinstance(error, CheckFailed) else f"{type(error).__name__}: {error}"
            results.append(PropertyResult(name, False, text))
        else:
            results.append(PropertyResult(name, True))
    return results


def score_properties(exercise_id: str, answer, points: float, seed: int = 0) -> float:
    """Points for the hidden properties: `points` times the share that holds. Prints one line for each that fails.

    Made to be the last expression of an nbgrader test cell, which reads the value as partial credit. nbgrader gives no
    points to a cell that wrote to the error stream, and a warning of the learner's code is no error: both are dropped."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(record=True):
        results = run_properties(exercise_id, answer, seed)
    if not results:
        raise ValueError(f"{exercise_id} has no hidden properties to score: register one with @property_of.")
    for result in results:
        if not result.passed:
            print(f"{exercise_id}: {result.name}: {result.message}")
    return round(points * sum(r.passed for r in results) / len(results), 4)


def expect(got, want, what: str, *, mistakes: Iterable[tuple[object, str]] = (), rel: float = 1e-9) -> None:
    """Raise CheckFailed unless `got` equals `want` (numbers within the relative tolerance `rel`).

    `mistakes` are (value, reason) pairs: the first whose value is what came gives the likely reason, so a mistake is
    recognised by the number it makes."""
    if same(got, want, rel):
        return
    reason = next((why for value, why in mistakes if same(got, value, rel) and not same(value, want, rel)), None)
    raise CheckFailed(what, expected=want, got=got, reason=reason)


def expect_all(rows: Iterable[tuple[str, object, object, Iterable[tuple[object, str]]]], rel: float = 1e-9) -> None:
    """Raise CheckFailed for the first of the `rows` (what was asked, got, want, mistakes) that is wrong.

    `mistakes` are as for `expect`. Two mistakes may give one number on one input: the likely reason is one that explains
    every row, else the first that explains this one."""
    rows = [(what, got, want, list(mistakes)) for what, got, want, mistakes in rows]
    wrong = next((row for row in rows if not same(row[1], row[2], rel)), None)
    if wrong is None:
        return

    def explains(why: str, row) -> bool:
        made = [value for value, reason in row[3] if reason == why] or [row[2]]
        return any(same(row[1], value, rel) for value in made)

    what, got, want, mistakes = wrong
    here = [why for value, why in mistakes if same(got, value, rel)]
    best = [why for why in here if all(explains(why, row) for row in rows)] or here
    raise CheckFailed(what, expected=want, got=got, reason=best[0] if best else None)


def same(got, want, rel: float = 1e-9) -> bool:
    """Whether two plain values are equal: numbers within `rel`, sequences and dicts item by item. NumPy and torch values
    count as the plain ones they hold, on both sides: what is wanted may come from another call of the answer. A bool is
    never a number here, and objects with an `__eq__` of their own are not asked."""
    got, want = _plain(got), _plain(want)
    if isinstance(want, bool) or want is None or isinstance(want, str):
        return type(got) is type(want) and got == want
    if isinstance(want, (int, float, Fraction)):
        if type(got) not in (int, float, Fraction):  # a bool is neither
            return False
        return math.isclose(got, want, rel_tol=rel, abs_tol=1e-12)
    if isinstance(want, dict):
        return type(got) is dict and got.keys() == want.keys() and all(same(got[k], want[k], rel) for k in want)
    if isinstance(want, (list, tuple)):
        return (
            type(got) in (list, tuple) and len(got) == len(want) and all(map(lambda a, b: same(a, b, rel), got, want))
        )
    return False


def _plain(value):
    if type(value).__module__.partition(".")[0] in ("numpy", "torch") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _short(value, limit: int = 300) -> str:
    try:
        text = f"{value:,}" if type(value) is int else repr(value)
    except Exception:  # an object of the learner's that cannot say what it is
        text = f"an object of the class {type(value).__name__}"
    return text if len(text) <= limit else text[: limit - 1] + "…"
