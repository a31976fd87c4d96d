"""Context budgets, histories that are cut, and documents that are split."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lessonlib.calc import context

counts = st.integers(0, 5_000)
named = st.dictionaries(st.sampled_from(["system prompt", "tools", "history", "documents", "question"]), counts)


def test_the_default_of_the_source_lesson():
    plan = context.budget(131_072, {"system prompt": 500, "question": 200, "documents": 4_000}, reserve=2_000)
    assert (plan.used, plan.headroom, plan.fits) == (6_700, 124_372, True)
    assert round(100 * plan.share, 1) == 5.1
    assert plan.breakdown[context.RESERVE] == 2_000
    assert json.loads(json.dumps(plan.as_dict()))["headroom"] == 124_372


def test_a_budget_may_be_too_long():
    plan = context.budget(1_000, {"documents": 900}, reserve=200)
    assert not plan.fits and plan.headroom == -100 and plan.share == 1.1
    assert context.budget(1_000, {"documents": 800}, reserve=200).fits


def test_the_oldest_messages_go_first():
    cut = context.fit_history(100, 10, 20, [30, 30, 30, 10])
    assert cut.kept == (1, 2, 3) and cut.dropped == (0,) and cut.headroom == 0


def test_an_old_message_never_jumps_over_one_that_was_dropped():
    # message 0 alone would still fit, but a conversation without its middle makes no sense
    assert context.fit_history(100, 0, 0, [5, 90, 60]).kept == (2,)


def test_a_newest_message_that_is_too_long_leaves_nothing():
    cut = context.fit_history(100, 10, 20, [5, 71])
    assert cut.kept == () and cut.dropped == (0, 1) and cut.used == 30
    assert context.fit_history(100, 10, 20, []).headroom == 70


def test_the_largest_document():
    assert context.largest_document(32_768, {"system prompt": 700, "question": 68}, reserve=2_000) == 30_000
    assert context.largest_document(10, {"question": 10}) == 0
    with pytest.raises(ValueError, match="take 110 tokens, but the window holds 100: shorten them by 10"):
        context.largest_document(100, {"question": 90}, reserve=20)


def test_pieces_of_a_document():
    assert context.chunks(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert context.chunks(10, 4, overlap=1) == [(0, 4), (3, 7), (6, 10)]
    assert context.chunks(0, 4) == [] and context.chunks(4, 4) == [(0, 4)]


@given(st.integers(1, 20_000), named, counts)
def test_parts_and_headroom_add_up(window, parts, reserve):
    plan = context.budget(window, parts, reserve)
    assert plan.used + plan.headroom == window and plan.used == sum(parts.values()) + reserve == plan.breakdown.total
    assert plan.fits == (plan.used <= window)


@given(st.integers(1, 10_000), counts, counts, st.lists(counts))
def test_what_stays_fits_and_one_more_would_not(window, fixed, reserve, messages):
    assume(fixed + reserve <= window)
    cut = context.fit_history(window, fixed, reserve, messages)
    assert cut.dropped + cut.kept == tuple(range(len(messages)))
    assert cut.used == fixed + reserve + sum(messages[i] for i in cut.kept) <= window
    assert not cut.dropped or cut.used + messages[cut.dropped[-1]] > window


@given(st.integers(0, 3_000), st.integers(1, 500), st.integers(0, 499))
def test_pieces_cover_the_document(length, size, overlap):
    assume(overlap < size)
    pieces = context.chunks(length, size, overlap)
    assert all(0 < end - start <= size for start, end in pieces)
    assert all(later[0] == earlier[1] - overlap for earlier, later in zip(pieces, pieces[1:], strict=False))
    assert not length or (pieces[0][0] == 0 and pieces[-1][1] == length)


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda: context.budget(0, {}), "window is 0"),
        (lambda: context.budget(100, {"tools": -1}), "tools is -1"),
        (lambda: context.budget(100, {"tools": 1.5}), "tools is 1.5"),
        (lambda: context.budget(100, {context.RESERVE: 1}, reserve=1), "stands in parts already"),
        (lambda: context.budget(100, {}, reserve=-1), "reserve is -1"),
        (lambda: context.fit_history(100, 0, 0, [1, -2]), "message 1 is -2"),
        (lambda: context.fit_history(100, 90, 20, []), "shorten them by 10"),
        (lambda: context.chunks(10, 4, 4), "must be smaller than the piece of 4"),
        (lambda: context.chunks(10, 0), "size is 0"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)
