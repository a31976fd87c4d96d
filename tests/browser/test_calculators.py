"""All calculators and explorers in a JupyterLab notebook: rendered, worked by keyboard, scanned by axe-core for accessibility."""

from __future__ import annotations

import re
from importlib import resources

import nbformat
import pytest

from lessonlib.calc import cache, cost
from lessonlib.facts import catalog
from lessonlib.page.calculators import CALCULATORS

from .conftest import PATIENCE

pytestmark = pytest.mark.browser

PAGE = "calculators.ipynb"
# What is interactive on pages beside the calculators, as the lessons call it.
EXPLORERS = {
    "TrainingCostCalculator": "page.TrainingCostCalculator()",
    "BitViewer": "page.BitViewer(number=0.3, name='fp8 e4m3')",
    "SelectionExplorer": "page.SelectionExplorer('wiki bot', users=6, prompt_tokens=2048)",
    "NextTokenFigure": "from lessonlib import models\nmini, words = models.load('mini')\n"
    "page.NextTokenFigure(mini, words, text='The cat sat on the')",
    "AttentionMap": "from lessonlib.labs import attention, attention_heads\nids = attention.token_ids(words, attention.SENTENCE)\n"
    "page.AttentionMap(attention.words(words, ids), attention_heads.all_weights(mini, ids)[:, 0])",
    "RouterExplorer": "page.RouterExplorer(*models.load('moe'))",
    "hints": "page.hints('l05_e1')",
}
# Rules that look at a whole page, of which the calculators are a part.
WHOLE_PAGE = ("region", "landmark-one-main", "page-has-heading-one", "bypass", "document-title", "html-has-lang")
RUN = """async () => {
    const w = jupyterapp.shell.currentWidget;
    for (let i = 0; i < w.content.widgets.length; i++) {
        w.content.activeCellIndex = i;
        w.content.deselectAll();
        await jupyterapp.commands.execute('notebook:run-cell');
    }
}"""
SCAN = """async ([selector, off]) => {
    const rules = Object.fromEntries(off.map(name => [name, {enabled: false}]));
    const found = await axe.run({include: [[selector]]}, {rules, resultTypes: ['violations', 'passes']});
    return {
        passes: found.passes.map(r => r.id),
        violations: found.violations.map(r => [r.id, r.impact, r.nodes.length, r.nodes[0].html.slice(0, 300)]),
    };
}"""


@pytest.fixture(scope="module")
def shown(site, browser):
    """A page with one cell for each calculator, run."""
    cells = [nbformat.v4.new_code_cell("from lessonlib import page")]
    cells += [nbformat.v4.new_code_cell(f"page.{name}()", id=name.lower()) for name in CALCULATORS]
    cells += [nbformat.v4.new_code_cell(code, id=name.lower()) for name, code in EXPLORERS.items()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, site.root / PAGE)
    before = len(site.errors)
    page = site.open(browser, PAGE)
    # windowed notebooks drop cells that are out of sight from the page, and axe sees the page only
    page.evaluate("() => { jupyterapp.shell.currentWidget.content.notebookConfig = "
                  "{...jupyterapp.shell.currentWidget.content.notebookConfig, windowingMode: 'none'} }")  # fmt: skip
    page.evaluate(RUN)
    page.wait_for_function(
        f"() => document.querySelectorAll('.jp-OutputArea-output [role=status]').length >= {len(CALCULATORS)}",
        timeout=PATIENCE,
    )
    yield page
    assert site.errors[before:] == []
    page.close()


def output(page, name: str):
    """The output of one calculator."""
    cell = page.locator(".jp-CodeCell").nth(1 + [*CALCULATORS, *EXPLORERS].index(name))
    cell.scroll_into_view_if_needed()
    return cell.locator(".jp-OutputArea")


def retype(page, field, text: str) -> None:
    """Replace what stands in `field` by keyboard alone, and leave it."""
    field.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    page.keyboard.press("Tab")


@pytest.mark.parametrize("name", [*CALCULATORS, *EXPLORERS])
def test_every_control_is_found_by_its_label_and_reached_by_tab(shown, name):
    area = output(shown, name)
    if name == "hints":
        assert area.get_by_role("button", name="Open hint 1 of 3").count() == 1
        return
    controls = area.locator("input, select, textarea")
    assert controls.count() > (0 if name in EXPLORERS else 2)
    named = controls.evaluate_all("all => all.map(c => (c.labels?.[0]?.innerText || c.ariaLabel || '').trim())")
    assert all(named) and len(set(named)) == len(named)
    controls.first.focus()
    for _ in range(controls.count() - 1):
        shown.keyboard.press("Tab")
    assert shown.evaluate("() => document.activeElement.tagName") in ("INPUT", "SELECT", "TEXTAREA")
    assert controls.last.evaluate("c => c === document.activeElement")


@pytest.mark.parametrize("name", CALCULATORS)
def test_a_number_typed_is_computed_and_a_wrong_one_answered_in_a_sentence(shown, name):
    area = output(shown, name)
    numbers = area.locator("input[type=number]")
    field = numbers.first if name == "ModelPicker" else numbers.last  # the last one there seldom changes the choice
    status, before, old = area.locator("[role=status]").first, area.inner_text(), field.input_value()
    retype(shown, field, "-7")
    status.filter(has_text="This cannot be computed. ").wait_for(timeout=60_000)
    assert re.search(r" is -7(\.0)?, but must be ", status.inner_text())
    retype(shown, field, str(float(old) / 2 if "." in old or float(old) > 8 else int(old) + 1).removesuffix(".0"))
    area.locator("table").first.wait_for(timeout=60_000)
    assert "cannot be computed" not in area.inner_text() and area.inner_text() != before
    retype(shown, field, old)
    shown.wait_for_function("([e, t]) => e.innerText === t", arg=[area.element_handle(), before], timeout=60_000)


def test_a_choice_by_keyboard_brings_its_numbers(shown):
    area = output(shown, "KVCacheCalculator")
    model = catalog.models()[0]
    choice = area.get_by_label("Model", exact=True)
    choice.focus()
    shown.keyboard.press("Home")
    want = f"{cache.cache(model, 8192).total:,} bytes"
    area.get_by_text(want).first.wait_for(timeout=60_000)
    assert area.get_by_label("KV heads").input_value() == str(model.kv_heads)
    area = output(shown, "APICostCalculator")
    retype(shown, area.get_by_label("USD per million output tokens"), "20")
    blend = cost.blend(2.5, 20)
    area.get_by_text(f"USD {blend:,.2f} per million tokens").first.wait_for(timeout=60_000)
    chosen = area.get_by_label("Price of").locator("option:checked").inner_text()
    assert chosen.replace("\xa0", " ") == "my own numbers"


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_axe_finds_nothing_in_any_calculator(shown, theme):
    shown.evaluate("async t => { await jupyterapp.commands.execute('apputils:change-theme', {theme: t}) }", theme)
    shown.wait_for_function(f"() => document.body.dataset.jpThemeName === '{theme}'", timeout=60_000)
    if not shown.evaluate("() => 'axe' in window"):
        source = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        shown.evaluate(source)
    closed = shown.locator(".jp-OutputArea details:not([open]) > summary")
    while closed.count():
        closed.first.press("Enter")
    found = shown.evaluate(SCAN, [".jp-OutputArea-output", list(WHOLE_PAGE)])
    assert {"color-contrast", "label", "svg-img-alt", "select-name"} <= set(found["passes"]), found["passes"]
    assert found["violations"] == []
