"""Lesson 02's own page parts: the next-token figure, the loss curve, the cost calculator. No browser."""

from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

W = pytest.importorskip("ipywidgets")
torch = pytest.importorskip("torch")

from lessonlib import models, page  # noqa: E402
from lessonlib.labs import what_is_an_llm as lab  # noqa: E402
from lessonlib.page import loss_curve, theme, training_cost  # noqa: E402

pytestmark = pytest.mark.l02


@pytest.fixture(scope="module")
def mini():
    return models.load("mini", device="cpu", dtype=torch.float32)


@pytest.fixture
def figure(mini):
    return page.NextTokenFigure(*mini, text="Once upon a time", count=4)


def test_shows_what_the_lab_says_in_all_forms(figure, mini):
    found = lab.candidates(*mini, "Once upon a time", 4)
    for c in found:
        for form in (figure.html(), figure.stored_html(), figure.text()):
            assert f"{100 * c.probability:.1f} %" in form
    assert "<img alt=" in figure.stored_html() and 'role="img"' in figure.html() and 'role="status"' in figure.html()
    ElementTree.fromstring(figure.svg())
    assert "␣there" in figure.alt() and "␣ is a blank" in figure.alt()


def test_typing_and_counting_draw_again(figure):
    before = figure.out.value
    figure.typed.value = "The cat sat on the"
    assert figure.out.value != before and "&#x27;The cat sat on the&#x27;" in figure.out.value
    figure.count.value = 2
    assert len(figure.candidates()) == 2


def test_buttons_write_one_token(figure, mini):
    figure.best.click()
    assert figure.typed.value == "Once upon a time" + lab.candidates(*mini, "Once upon a time", 1)[0].text
    length = len(figure.typed.value)
    figure.draw.click()
    assert len(figure.typed.value) > length


def test_every_control_has_a_label_and_is_native(figure):
    assert figure.typed.description and figure.count.description and figure.best.description and figure.draw.description
    assert isinstance(figure.typed, W.Textarea) and figure.typed.continuous_update is False


def test_what_cannot_be_predicted_is_said_in_a_sentence(figure):
    for text, said in (
        ("", "type at least one character"),
        ("a" * 2001, "takes up to 2,000"),
        ("a b " * 490, "No prediction"),
    ):
        figure.typed.value = text
        if said == "No prediction" and said not in figure.out.value:
            continue  # it fits this tokenizer's window
        assert said in figure.out.value and "Traceback" not in figure.out.value
        figure.best.click()
        assert said in figure.text() or "No prediction" in figure.text()


def test_markup_in_a_text_stays_text(figure):
    figure.typed.value = "<b>if a < b & c"
    ElementTree.fromstring(figure.svg())
    assert "<b>if" not in figure.html()


def test_curve_says_and_draws_what_it_got():
    curve = page.LossCurve({"floor": 0.5})
    for step in range(1000):
        curve.add(8.0 / (1 + step / 20) + 0.5)
    root = ElementTree.fromstring(curve.svg())
    assert "floor: 0.50" in "".join(root.itertext())
    assert len(curve.points()) <= loss_curve.POINTS
    assert "1,000 steps" in curve.alt() and "Half of the way down is done after 2" in curve.alt()
    assert curve.alt() in curve.text()


def test_curve_outside_a_notebook_prints_once(capsys):
    curve = page.LossCurve()
    with pytest.raises(ValueError, match="no point yet"):
        curve.finish()
    curve.add(2.0)
    assert capsys.readouterr().out == ""
    curve.finish()
    assert capsys.readouterr().out.count("[figure]") == 1
    assert "2.00 to 2.00" in curve.alt() and curve.seconds >= 0


def test_curve_keeps_one_output_on_the_page(monkeypatch):
    shown = []

    def display(data, raw, display_id):
        shown.append(data)
        return SimpleNamespace(update=lambda data, raw: shown.append("update"))

    monkeypatch.setattr(theme, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(loss_curve, "EVERY", -1)
    curve = page.LossCurve()
    for loss in (3.0, 2.0, 1.0):
        curve.add(loss)
    curve.finish()
    assert shown[1:] == ["update"] * 3 and "<img alt=" in shown[0]["text/html"]


@pytest.mark.parametrize("top", [0.4, 1.0, 8.7, 54, 1200, 10_000])
def test_ticks_are_few_and_round(top):
    ticks = loss_curve._ticks(top)
    assert 2 <= len(ticks) <= 7 and ticks[0] == 0 and ticks[-1] <= top


def test_calculator_reckons_as_the_lab_and_the_fact_base():
    c = page.TrainingCostCalculator()
    values = c.values
    assert values["flops"] == pytest.approx(6 * 32.76e9 * 655e9, rel=0.01)
    assert values["training_bytes"] == 16 * 32_763_876_352 and values["inference_bytes"] == 2 * 32_763_876_352
    assert values["cards"] == 7
    half = page.TrainingCostCalculator(share=20).values
    assert half["gpu_hours"] == pytest.approx(2 * values["gpu_hours"])
    assert half["usd"] == pytest.approx(2 * values["usd"])
    for form in (c.html(), c.stored_html(), c.text()):
        assert f"{values['gpu_hours']:,.0f}" in form
    c.control["share"].value = 0
    assert "cannot be computed" in c.text() and "must be a number from 1 to 100" in c.out.value


def test_a_mixture_of_experts_trains_its_active_weights_and_holds_all():
    from lessonlib.facts import catalog

    moe = next(m for m in catalog.models() if m.active_params_b < 0.5 * m.total_params_b)
    values = page.TrainingCostCalculator(model=moe.id).values
    assert values["flops"] == pytest.approx(6 * moe.active_params_b * 1e9 * 655e9)
    assert values["training_bytes"] == 16 * moe.total_params_exact


def test_a_gpu_hour_comes_from_the_fact_base():
    assert training_cost.usd_per_gpu_hour() == pytest.approx((5556 + 3500) / 8 / 730)
