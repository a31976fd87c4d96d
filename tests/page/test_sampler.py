"""The interactive figure of lesson 06, without a browser: settings in, survivors and probabilities out."""

import pytest
import torch

W = pytest.importorskip("ipywidgets")

from lessonlib.page.sampler import SamplerCalculator, bars  # noqa: E402

pytestmark = pytest.mark.l06
LOGITS = torch.tensor([3.0, 2.0, 2.0, 0.0, -1.0, -4.0])
NAMES = [" Lily", "<b>", "\n", "a", "", "z"]


@pytest.fixture
def asked():
    return []


@pytest.fixture
def make(asked):
    def source(text):
        asked.append(text)
        return LOGITS.clone(), torch.tensor([0, 5]), NAMES.__getitem__

    return lambda *args, **settings: SamplerCalculator(source, *args, **settings)


def test_nothing_on_is_the_models_own_distribution(make):
    values = make("Once").values
    assert values["left"] == 6 and values["kept"] == pytest.approx(1)
    assert values["probability"] == pytest.approx(LOGITS.softmax(-1)[0].item())


@pytest.mark.parametrize(
    ("settings", "left"),
    [(dict(top_k=1), 1), (dict(top_k=2), 3), (dict(top_p=0.5), 1), (dict(min_p=0.3), 3), (dict(temperature=0), 1)],
)
def test_filters_leave_what_they_should(make, settings, left):
    calculator = make("Once", **settings)
    assert calculator.values["left"] == left
    assert f"{left} of 6 tokens can still be drawn" in calculator.text()
    assert "out" in calculator.html()


def test_controls_drive_the_result_and_the_model_is_asked_once_a_text(make, asked):
    calculator = make("Once")
    first = calculator.out.value
    calculator.control["temperature"].value = 2.0
    calculator.control["top_p"].value = 0.6
    assert calculator.out.value != first and asked == ["Once"]
    assert "temperature 2" in calculator.out.value and "top-p 0.6" in calculator.out.value
    calculator.control["text"].value = "Once upon"
    assert asked == ["Once", "Once upon"]
    assert "Lily" in calculator.out.value


def test_bad_values_say_so_and_recover(make):
    calculator = make("Once")
    calculator.control["top_p"].value = 1.5
    assert "top-p is 1.5" in calculator.out.value
    calculator.control["text"].value = ""
    assert "cannot be computed" in calculator.out.value
    calculator.state = {"text": "Once", "top_p": 0.9}
    assert "cannot" not in calculator.out.value


def test_stored_forms_have_text_and_picture_and_no_raw_markup(make):
    calculator = make("Once", temperature=1.5, min_p=0.1)
    bundle = calculator.bundle()
    assert "<img alt=" in bundle["text/html"] and "<b>␣" not in bundle["text/html"]
    assert "&lt;b&gt;" in bundle["text/html"] and "[figure] Bars of the likeliest tokens" in bundle["text/plain"]
    assert bundle["text/html"] == make("Once", temperature=1.5, min_p=0.1).bundle()["text/html"]
    assert all(c.description for c in calculator.controls)


def test_the_mistake_is_the_one_of_scaled_probabilities(make):
    text = make("Once", temperature=3.0).text()
    assert f"{100 * LOGITS.softmax(-1)[0].item():.1f} %" in text.split("mistake people make:")[1]


def test_bars_name_tokens_that_are_out():
    drawing, alt = bars([("␣Lily", 0.6, 1.0), ("a", 0.4, 0.0)])
    assert drawing.startswith("<svg") and "a 40.0 %, then out" in alt


def test_page_offers_it():
    from lessonlib import page

    assert page.SamplerCalculator is SamplerCalculator
