"""The capstone's explorer: scenarios bring their numbers, a moved requirement throws models out, every form says so."""

import pytest

pytest.importorskip("ipywidgets")

from lessonlib import page  # noqa: E402
from lessonlib.labs import model_selection as lab  # noqa: E402
from lessonlib.labs import model_selection_catalog as data  # noqa: E402

pytestmark = pytest.mark.l16


@pytest.mark.parametrize("scene", data.lesson_scenarios(), ids=lambda s: s["name"])
def test_a_scenario_gives_what_the_lab_says(scene):
    figure, found = page.SelectionExplorer(scene["name"]), lab.options(scene, data.catalog())
    assert figure.values["utility"] == found[0][0]
    assert figure.values["fits"] == list(dict.fromkeys(option[1] for option in found))
    for form in (figure.html(), figure.stored_html(), figure.text()):
        assert found[0][1] in form and "rejected, and why" in form


def test_a_moved_requirement_is_no_preset_any_more():
    figure = page.SelectionExplorer("wiki bot")
    assert figure.state["card"] == "rtx-4090" and figure.state["users"] == 20
    figure.control["users"].value = 500
    assert figure.state["scenario"] == "own" and figure.values["fits"] == []
    assert "✗ 0 of 15 models fit" in figure.text() and "none" in figure.html()
    figure.control["scenario"].value = "contracts"
    assert figure.state["prompt_tokens"] == 98_304 and len(figure.values["fits"]) == 3


def test_every_control_has_a_label_and_states_come_back():
    figure = page.SelectionExplorer("wiki bot", users=6)
    assert all(control.description for control in figure.controls)
    assert page.SelectionExplorer.from_state(figure.state).values == figure.values


def test_what_makes_no_sense_is_said_in_a_sentence():
    figure = page.SelectionExplorer()
    figure.control["users"].value = 0
    assert "Users at once is 0" in figure.text()
    with pytest.raises(ValueError, match="no setting"):
        page.SelectionExplorer(cores=2)
