"""The core of the checks: how answers are compared, how failures speak, how points are counted."""

import math
import random
import sys
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.checks import core
from lessonlib.checks.core import CheckFailed, check_for, expect, property_of, run_check, run_properties, same


class EqualToAll:
    def __eq__(self, other):
        return True

    __hash__ = None


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no words")


class LoudInt(int):
    """A number that claims to be every other."""

    def __eq__(self, other):
        return True

    def __sub__(self, other):
        return 0

    __hash__ = int.__hash__


@pytest.fixture
def lesson(monkeypatch):
    """A lesson of its own: twice a number, with three properties."""
    monkeypatch.setattr(core, "_EXERCISES", {})

    @check_for("l97_e1", title="Twice", minutes=2, hints=["Add it to itself.", "2 * n"])
    def twice(answer, rng):
        for n in (3, rng.randint(10, 1000)):
            expect(answer(n), 2 * n, f"twice {n}", mistakes=[(n, "that is once"), (n * n, "that is the square")])

    @property_of("l97_e1", "negative numbers")
    def negative(answer, rng):
        n = -rng.randint(1, 1000)
        expect(answer(n), 2 * n, f"twice {n}")

    @property_of("l97_e1", "zero")
    def zero(answer, rng):
        expect(answer(0), 0, "twice nothing")

    @property_of("l97_e1", "additive")
    def additive(answer, rng):
        expect(answer(3) + answer(4), answer(7), "sums of doubles")


# Comparing


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**12), 10**12))
def test_numbers_equal_themselves_in_any_plain_type(x, n):
    assert same(x, x) and same(n, n) and same(float(n), n) and same(n, float(n))
    assert same(np.float64(x), x) and same(np.int64(n), n) and same(torch.tensor(n), n)
    assert same(Fraction(n, 4), n / 4)


@given(st.floats(1e-3, 1e12), st.floats(2e-9, 1))
def test_numbers_beyond_the_tolerance_differ(x, step):
    assert not same(x * (1 + step), x) and not same(x, x * (1 + step))
    assert same(x * (1 + step), x, rel=2 * step)


@pytest.mark.parametrize(
    "got",
    [math.nan, math.inf, -math.inf, True, "4", None, [4], Decimal(4), 4 + 0j, EqualToAll(), LoudInt(4), lambda: 4],
)
def test_these_are_never_the_number_four(got):
    assert not same(got, 4)


def test_a_bool_is_never_a_number_nor_the_other_way():
    assert same(True, True) and same(np.bool_(True), True)
    assert not same(1, True) and not same(True, 1) and not same(0, False) and not same(None, False)
    assert not same(EqualToAll(), True) and not same(EqualToAll(), "text") and not same(EqualToAll(), None)


def test_nan_is_not_even_itself():
    assert not same(math.nan, math.nan)


def test_sequences_and_dicts_go_item_by_item():
    assert same([1, 2.0], (1.0, 2)) and same(np.array([1, 2]), [1, 2]) and same(torch.ones(2, 2), [[1, 1], [1, 1]])
    assert same({"a": [1], "b": "x"}, {"b": "x", "a": [1 + 1e-12]})
    assert (
        not same([1, 2, 3], [1, 2]) and not same([1], [2]) and not same("12", ["1", "2"]) and not same({1, 2}, [1, 2])
    )
    assert not same({"a": 1}, {"b": 1}) and not same({"a": 1, "b": 2}, {"a": 1}) and not same([("a", 1)], {"a": 1})
    assert not same([EqualToAll()], [1])


# Speaking


def test_a_mistake_is_recognised_by_its_number():
    with pytest.raises(CheckFailed) as caught:
        expect(500, 1000, "bytes", mistakes=[(2000, "twice too many"), (500, "K or V alone"), (500, "later")])
    error = caught.value
    assert str(error) == "bytes\n  expected: 1,000\n  got:      500\n  likely reason: K or V alone"
    assert (error.what, error.expected, error.got, error.reason) == ("bytes", 1000, 500, "K or V alone")


def test_an_unknown_mistake_gets_no_invented_reason():
    with pytest.raises(CheckFailed) as caught:
        expect(7, 1000, "bytes", mistakes=[(500, "K or V alone")])
    assert caught.value.reason is None and "likely reason" not in str(caught.value)


def test_the_reason_is_one_that_explains_every_row():
    """One number may come from two mistakes: what the other rows show decides, and without it the first that fits."""
    half, added = (2.0, "that is half"), (2.0, "added, not multiplied")
    clear = [("a", 2.0, 4.0, [half, added]), ("b", 5.0, 6.0, [(3.0, "that is half"), (5.0, "added, not multiplied")])]
    with pytest.raises(CheckFailed, match="a\n.*4.0\n.*2.0\n.*added"):
        core.expect_all(clear)
    with pytest.raises(CheckFailed, match="that is half"):
        core.expect_all([clear[0], ("b", 6.0, 6.0, []), ("c", 7.0, 8.0, [])])
    unaffected = ("b", 6.0, 6.0, [(3.0, "that is half")])  # half would have shown here, and did not
    with pytest.raises(CheckFailed, match="added"):
        core.expect_all([clear[0], unaffected])
    with pytest.raises(CheckFailed) as caught:
        core.expect_all([("a", 9.0, 4.0, [half])])
    assert "reason" not in str(caught.value)
    core.expect_all([unaffected, ("c", 1.0 + 1e-8, 1.0, [])], rel=1e-6)


def test_a_mistake_that_gives_the_right_number_is_no_mistake():
    expect(4, 4, "two squared", mistakes=[(4, "that is doubled")])
    with pytest.raises(CheckFailed) as caught:
        expect(True, 1, "one", mistakes=[(1, "never this one")])
    assert caught.value.reason is None


def test_what_comes_is_shown_short_and_never_breaks_the_message():
    assert "an object of the class Unspeakable" in str(CheckFailed("x", expected=1, got=Unspeakable()))
    assert len(str(CheckFailed("x", expected=1, got=list(range(10_000))))) < 400
    assert "got:      True" in str(CheckFailed("x", expected=1, got=True))
    assert str(CheckFailed("only words")) == "only words"


# Running


def test_right_answer_passes_and_earns_all(lesson, capsys):
    assert run_check("l97_e1", lambda n: n + n).title == "Twice"
    assert core.score_properties("l97_e1", lambda n: 2 * n, points=2) == 2
    assert capsys.readouterr().out == ""


def test_open_gap_is_not_implemented_and_earns_nothing(lesson, capsys):
    def gap(n):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check("l97_e1", gap)
    assert core.score_properties("l97_e1", gap, points=2) == 0
    assert capsys.readouterr().out.count("not written yet") == 3


@pytest.mark.parametrize(
    "broken, words",
    [
        (lambda n: n / 0, "ZeroDivisionError: division by zero"),
        (lambda n: n.nothing, "AttributeError"),
        (lambda: 1, "TypeError"),
        (lambda n: sys.exit(3), "SystemExit: 3"),
        (5, "TypeError: 'int' object is not callable"),
    ],
)
def test_errors_of_the_learners_code_are_told_as_such(lesson, broken, words):
    with pytest.raises(CheckFailed, match="Your code for l97_e1 stopped with") as caught:
        run_check("l97_e1", broken)
    assert words in str(caught.value) and caught.value.__cause__ is not None
    results = run_properties("l97_e1", broken)
    assert len(results) == 3 and not any(r.passed for r in results) and all(words in r.message for r in results)


def test_endless_recursion_is_an_error_like_any_other(lesson):
    def around(n):
        return around(n)

    with pytest.raises(CheckFailed, match="RecursionError"):
        run_check("l97_e1", around)


def test_interrupts_get_through(lesson):
    def stopped(n):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_check("l97_e1", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_properties("l97_e1", stopped)


def test_one_failing_property_hides_no_other(lesson, capsys):
    results = run_properties("l97_e1", abs)
    assert [(r.name, r.passed) for r in results] == [("negative numbers", False), ("zero", True), ("additive", True)]
    assert "expected: -" in results[0].message and results[1].message == ""
    assert core.score_properties("l97_e1", abs, points=1) == 0.6667
    out = capsys.readouterr().out
    assert out.startswith("l97_e1: negative numbers: twice -") and "additive" not in out


def test_complaints_of_the_learners_code_do_not_reach_the_error_stream(lesson, capfd):
    def noisy(n):
        warnings.warn("slow path", stacklevel=1)
        print("debug", file=sys.stderr)
        return 2 * n

    assert core.score_properties("l97_e1", noisy, points=3) == 3
    assert capfd.readouterr().err == ""


def test_inputs_are_fresh_by_seed_and_the_same_for_one_seed(lesson):
    def seen(seed):
        asked = []
        run_check("l97_e1", lambda n: asked.append(n) or 2 * n, seed)
        run_properties("l97_e1", lambda n: asked.append(n) or 2 * n, seed)
        return asked

    assert seen(1) == seen(1) != seen(2)
    state = random.getstate()
    seen(3)
    assert random.getstate() == state


def test_an_exercise_without_properties_cannot_be_scored(lesson):
    @check_for("l97_e2", title="Nothing hidden", minutes=1, hints=[])
    def nothing(answer, rng):
        pass

    with pytest.raises(ValueError, match="l97_e2 has no hidden properties"):
        core.score_properties("l97_e2", None, points=1)


def test_unknown_ids_name_the_known_ones(lesson):
    with pytest.raises(ValueError, match=r"^No exercise is called 'l97_e9'; known ids: l97_e1\.$"):
        core.exercise("l97_e9")
    for name in ("l42_e1", "nonsense", "", None):
        with pytest.raises(
            ValueError, match=rf"^No exercise is called {name!r}; known ids: those that begin with l00_e"
        ):
            run_check(name, None)


def test_lessons_are_found_by_the_way_their_ids_begin():
    for prefix in core.TOPICS:
        found = core.exercise(f"{prefix}_e1")
        assert found.id == f"{prefix}_e1" and found.properties and found.hints and found.minutes > 0
    with pytest.raises(ValueError, match="known ids: l16_vram_e1, l16_vram_e2"):
        core.exercise("l16_vram_e99")
