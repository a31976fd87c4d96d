"""What a learner sees in JupyterLab: a lesson that runs, a calculator that works by keyboard, Validate that is right."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lessonlib.calc import memory
from lessonlib.facts import catalog

from .conftest import PATIENCE

pytestmark = pytest.mark.browser

RUN_ALL = "async () => { await jupyterapp.commands.execute('notebook:run-all-cells') }"
SAVE = "async () => { await jupyterapp.shell.currentWidget.context.save() }"
CELLS = """() => jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type == 'code').map(c => ({
    id: c.model.id, count: c.model.executionCount, source: c.model.sharedModel.getSource(),
    errors: c.model.sharedModel.getOutputs().filter(o => o.output_type == 'error').map(o => o.ename)}))"""


def cells_after_run(page) -> list[dict]:
    """Run all cells, one after the other: a failing cell stops JupyterLab's own run-all, as it should, so cells are
    run one by one."""
    page.evaluate(
        """async () => {
            const w = jupyterapp.shell.currentWidget;
            for (let i = 0; i < w.content.widgets.length; i++) {
                w.content.activeCellIndex = i;
                w.content.deselectAll();
                await jupyterapp.commands.execute('notebook:run-cell');
            }
        }"""
    )
    page.wait_for_function(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status == 'idle'", timeout=PATIENCE
    )
    return page.evaluate(CELLS)


@pytest.fixture(scope="module")
def lesson(site, browser):
    """The learner edition of lesson 05, run."""
    page = site.open(browser, "notebooks/05_kv_cache/05_kv_cache.ipynb")
    cells = cells_after_run(page)
    yield page, cells
    page.close()


def test_lesson_05_runs_and_only_open_exercises_stop(lesson):
    _, cells = lesson
    assert all(c["count"] for c in cells if c["source"].strip())
    stopped = {c["id"]: c["errors"] for c in cells if c["errors"]}
    assert stopped == {f"l05_e{n}_check": ["NotImplementedError"] for n in (1, 2, 3, 4)}


def test_calculator_by_keyboard(lesson):
    page, _ = lesson
    model = catalog.model("qwen2.5-coder-32b")
    shape = dict(layers=model.layers, kv_heads=model.kv_heads, head_dim=model.head_dim)
    for tokens in (12_345, 50_000):
        field = page.get_by_label("Tokens", exact=True).last
        field.scroll_into_view_if_needed()
        field.focus()
        page.keyboard.press("Control+A")
        page.keyboard.type(str(tokens))
        page.keyboard.press("Tab")  # leaving the field takes its value
        wanted = f"{memory.kv_cache_bytes(tokens=tokens, **shape):,} bytes"
        page.get_by_text(wanted).first.wait_for(timeout=60_000)


@pytest.mark.parametrize("folder, verdict", [("notebooks", "failed"), ("solutions", "Success")])
def test_validate(site, browser, folder, verdict):
    page = site.open(browser, f"{folder}/00_start_here/00_start_here.ipynb")
    page.locator(".jp-NotebookPanel-toolbar").get_by_text("Validate").click()
    dialog = page.locator(".jp-Dialog")
    dialog.filter(has_text=re.compile(verdict, re.I)).wait_for(timeout=PATIENCE)
    page.close()


def test_learner_profile_hides_the_instructors_tools(lesson):
    page, _ = lesson
    page.get_by_role("menuitem", name="Nbgrader").first.click()
    menu = page.locator(".lm-Menu").last
    menu.get_by_text("Assignment List").wait_for()
    words = menu.inner_text()
    assert not re.search("Formgrader|Create Assignment|Course List", words), words
    assert page.get_by_text("Jupyter news").count() == 0
    page.keyboard.press("Escape")


def test_every_image_has_words(lesson):
    page, _ = lesson
    silent = page.evaluate(
        "() => [...document.querySelectorAll('.jp-OutputArea img')].filter(i => !(i.alt || '').trim()).length"
    )
    assert silent == 0
    assert page.locator(".jp-OutputArea img").count() > 0


def test_exported_page_reads_without_kernel_or_network(site, browser, tmp_path):
    notebook = site.root / "solutions" / "05_kv_cache" / "05_kv_cache.ipynb"
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "--output-dir", str(tmp_path), str(notebook)]
    subprocess.run(command, check=True, capture_output=True)
    page = browser.new_page()
    # nbconvert's own template asks for MathJax and require.js from elsewhere; without a network it gets none.
    page.route(re.compile("^https?://"), lambda route: route.abort())
    page.goto((tmp_path / "05_kv_cache.html").as_uri())
    page.get_by_text("Key-value cache").first.wait_for()
    images = page.evaluate("() => [...document.images].map(i => [i.alt, i.naturalWidth])")
    assert images and all(alt.strip() and width > 0 for alt, width in images)
    assert page.locator("table").count() > 5
    page.close()


def test_nothing_was_asked_elsewhere_and_the_console_is_clean(site, lesson):
    """Last: it judges all pages that the tests before have opened."""
    assert site.foreign == []
    assert site.errors == []
