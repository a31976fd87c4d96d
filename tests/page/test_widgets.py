"""Widgets without a browser: set values, let observers fire, read the HTML. Runs on ipywidgets 7.7.1 and 8.1."""

import re

import pytest

W = pytest.importorskip("ipywidgets")

from lessonlib.calc import memory  # noqa: E402
from lessonlib.page import journal, quizzes  # noqa: E402
from lessonlib.page.calculators import KVCacheCalculator  # noqa: E402
from lessonlib.page.growing_cache import AGAIN, NEW, READ, GrowingCacheFigure, rows_computed, states  # noqa: E402
from lessonlib.page.guess import predict, reveal  # noqa: E402
from lessonlib.page.quiz_widget import Quiz  # noqa: E402

QUESTIONS = {
    "id": "98_x",
    "questions": [
        {"ask": "Which <b>?", "keep_order": True, "options": [
            {"text": "K and V", "right": True, "why": "both are asked for"}, {"text": "Q", "why": "used <once>"}]},
        {"ask": "How much?", "keep_order": True, "options": [
            {"text": "1", "why": "too little"}, {"text": "2", "right": True, "why": "K and V"}]},
    ],
}  # fmt: skip


def all_widgets():
    return [
        predict("l98_p1", "How many?", unit="MB"),
        predict("l98_p2", "Which?", options=["a", "b"]),
        KVCacheCalculator(),
        GrowingCacheFigure(),
        Quiz("98_x", quizzes.parse(QUESTIONS, "98_x")),
    ]


def descendants(widget):
    yield widget
    for child in getattr(widget, "children", ()):
        yield from descendants(child)


@pytest.mark.parametrize("index", range(5))
def test_every_control_has_a_name_and_no_slider_stands_alone(index):
    top = all_widgets()[index]
    controls = [w for w in descendants(top) if hasattr(w, "value") or isinstance(w, W.Button)]
    named = [w for w in controls if w is not top and not isinstance(w, W.HTML)]
    assert named and all(w.description.strip() for w in named)
    assert not any(isinstance(w, (W.IntSlider, W.FloatSlider, W.Output)) for w in controls)


@pytest.mark.parametrize("index", range(5))
def test_stored_forms_are_the_same_each_time_and_hold_no_widget_id(index):
    one, two = all_widgets()[index], all_widgets()[index]
    a, b = one._repr_mimebundle_(), two._repr_mimebundle_()
    assert a.keys() == {"text/plain", "text/html", "application/vnd.jupyter.widget-view+json"}
    assert (a["text/plain"], a["text/html"]) == (b["text/plain"], b["text/html"])
    assert one.model_id not in a["text/html"] and a["text/plain"].strip() and "<" in a["text/html"]
    assert a["application/vnd.jupyter.widget-view+json"]["model_id"] == one.model_id


def test_old_and_new_ways_to_display_give_the_same(monkeypatch):
    import IPython.display

    from lessonlib.page import theme

    sent = []
    monkeypatch.setattr(theme, "in_notebook", lambda: True)
    monkeypatch.setattr(IPython.display, "display", lambda data, raw: sent.append(data))
    widget = KVCacheCalculator()
    widget._ipython_display_()
    assert sent == [widget._repr_mimebundle_()]


def test_outside_a_notebook_a_widget_prints_its_text(capsys):
    KVCacheCalculator()._ipython_display_()
    assert "262,144 bytes" in capsys.readouterr().out


@pytest.mark.parametrize("prompt", [1, 4])
def test_rows_add_up_to_the_tested_totals(prompt):
    for cached, total in ((False, memory.passes_without_cache), (True, memory.passes_with_cache)):
        assert sum(rows_computed(prompt, s, cached) for s in range(1, 8)) == total(prompt, 7)
        for number, row in enumerate(states(prompt, 7, cached), 1):
            assert len(row) == prompt + number - 1
            assert sum(state != READ for state in row) == rows_computed(prompt, number, cached)
            assert row[-1] == NEW and (number == 1 or row.count(NEW) == 1)
        assert any(AGAIN in row for row in states(prompt, 7, cached)) is not cached


def test_figure_steps_by_buttons_and_stops_at_the_ends():
    w = GrowingCacheFigure(words=("a", "b", "<c>", "d", "e"), prompt=2)
    assert w.back.disabled and not w.forward.disabled
    assert w.out.value.count("<title>") == 2 * 2
    w.forward.click()
    w.forward.click()
    w.forward.click()
    assert w.step.value == 3 and w.forward.disabled and not w.back.disabled
    assert w.counts() == {"now_without": 4, "now_with": 1, "all_without": 9, "all_with": 4}
    assert w.out.value.count("<title>") == 2 * (2 + 3 + 4)
    assert "step 3, token 3 (&lt;c&gt;): K and V read from the cache" in w.out.value
    assert w.describe() in w.text() and len(w.text().splitlines()) == 4
    w.back.click()
    assert w.step.value == 2
    assert "<img alt=" in w.stored_html() and "Step 3 of 3" in w.stored_html()
    with pytest.raises(ValueError, match="prompt is 5, but must leave"):
        GrowingCacheFigure(words="abcde", prompt=5)


def test_number_guess_is_kept_on_the_button_and_shown_at_the_reveal(shown):
    reveal("l98_p1", 26.2, unit="MB")
    assert shown[0][1] == "Answer: 26.2 MB"
    w = predict("l98_p1", "How <many>?", unit="MB")
    w.control.value = 13.1
    assert journal.entry("guesses", "l98_p1") == {} and "No guess yet" in w.out.value
    w.button.click()
    assert journal.entry("guesses", "l98_p1")["value"] == 13.1 and "Kept: 13.1 MB" in w.out.value
    reveal("l98_p1", 26.2, unit="MB")
    assert shown[1][1] == "Your guess: 13.1 MB; answer: 26.2 MB; 2.0 times too low"
    again = predict("l98_p1", "How <many>?", unit="MB")
    assert again.control.value == 13.1 and "&lt;many&gt;" in again.stored_html() and "13.1" not in again.stored_html()


@pytest.mark.parametrize(
    ("guess", "value", "remark"),
    [(5, 5.0, "exactly"), (5, 5.2, "within 10 %"), (10, 5, "2.0 times too high"), (1, 500, "500 times too low"),
     (0, 5, "not what you expected: why?"), ("a", "a", "that is it"), ("a", "b", "not what you expected: why?"),
     ("about 50", "about 50 (4,935 against 99)", "that is it"), ("about 5", "about 50", "not what you expected: why?"),
     ("about 5", "about 5.5", "not what you expected: why?"), ("1.5 (x", "1.5 (x)", "that is it")],
)  # fmt: skip
def test_remarks(guess, value, remark):
    from lessonlib.page.guess import judge

    assert judge(guess, value) == remark


def test_choice_guess_is_kept_at_once():
    w = predict("l98_p2", "Which?", options=["a", "b"])
    assert w.value is None and w.control.value is None
    w.control.value = "b"
    assert journal.entry("guesses", "l98_p2")["value"] == "b" and "Kept: b" in w.out.value
    assert predict("l98_p2", "Which?", options=["c", "d"]).control.value is None  # a guess that is no option any more


def test_bad_questions_say_why():
    with pytest.raises(ValueError, match="question of 'p' is empty"):
        predict("p", " ")
    with pytest.raises(ValueError, match="1 options, but a choice needs two"):
        predict("p", "q", options=["a"])


def test_quiz_answers_give_reasons_and_are_kept():
    w = Quiz("98_x", quizzes.parse(QUESTIONS, "98_x"))
    assert w.score() == (0, 0, 2) and "0 of 2 answered" in w.out.value
    w.choices[0].value = "B"
    assert "B: ✗ Not this one.</b> used &lt;once&gt;" in w.notes[0].value
    w.choices[0].value = "A"
    w.choices[1].value = "B"
    assert "A: ✓ Right." in w.notes[0].value and "2 right, 2 of 2 answered" in w.out.value
    assert journal.entry("quizzes", "98_x") == {"1": {"first": False, "last": True}, "2": {"first": True, "last": True}}


def test_stored_quiz_hides_reasons_in_folds_only():
    w = Quiz("98_x", quizzes.parse(QUESTIONS, "98_x"))
    open_part = re.sub(r"<details.*?</details>", "", w.stored_html(), flags=re.S)
    for secret in ("right", "both are asked for", "too little"):
        assert secret in w.stored_html() and secret not in open_part and secret not in w.text()
    assert "Which &lt;b&gt;?" in open_part and "B. Q" in w.text()
