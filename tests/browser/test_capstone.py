"""A learner's way through the capstone in JupyterLab: a wrong answer and what is said, a hint, the right one, handing in."""

from __future__ import annotations

import zipfile

import nbformat
import pytest

from lessonlib.course.lint import wrong_answers
from lessonlib.paths import course_root

from .conftest import PATIENCE
from .test_lab import cells_after_run

pytestmark = [pytest.mark.browser, pytest.mark.l16]
ROOT = course_root(__file__)
FOLDER = ROOT / "solutions" / "16_capstone"
WRITE = """([id, text]) => jupyterapp.shell.currentWidget.content.widgets.find(c => c.model.id == id)
    .model.sharedModel.setSource(text)"""
RUN = """async id => {
    const w = jupyterapp.shell.currentWidget;
    w.content.activeCellIndex = w.content.widgets.findIndex(c => c.model.id == id);
    w.content.deselectAll();
    await jupyterapp.commands.execute('notebook:run-cell');
}"""
OUTPUT = """id => jupyterapp.shell.currentWidget.content.widgets.find(c => c.model.id == id).model.sharedModel.getOutputs()
    .map(o => o.evalue || (o.data || {})['text/plain'] || o.text || '').join('\\n')"""


def cell_id(name: str, notebook: str) -> str:
    """The id of the cell with a grade id."""
    book = nbformat.read(ROOT / "notebooks" / "16_capstone" / f"{notebook}.ipynb", as_version=4)
    return next(c.id for c in book.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


@pytest.mark.parametrize("notebook", ["vram_budget", "model_selection", "deployment_plan"])
def test_every_task_runs_and_only_open_exercises_stop(site, browser, notebook):
    page = site.open(browser, f"notebooks/16_capstone/{notebook}.ipynb")
    cells = cells_after_run(page)
    assert all(c["count"] for c in cells if c["source"].strip())
    stopped = {c["id"]: c["errors"] for c in cells if c["errors"]}
    assert stopped and all(errors == ["NotImplementedError"] for errors in stopped.values()), stopped
    assert all("check(" in c["source"] for c in cells if c["id"] in stopped)
    page.close()


def test_a_wrong_answer_a_hint_the_right_answer_and_the_file_to_hand_in(site, browser):
    page = site.open(browser, "notebooks/16_capstone/vram_budget.ipynb")
    page.evaluate("() => { jupyterapp.shell.currentWidget.content.notebookConfig = "
                  "{...jupyterapp.shell.currentWidget.content.notebookConfig, windowingMode: 'none'} }")  # fmt: skip
    gap, check = cell_id("l16_vram_e1_weights", "vram_budget"), cell_id("l16_vram_e1_check", "vram_budget")
    wrong = next(w for w in wrong_answers(FOLDER / "vram_budget.py") if w.name == "bits_for_bytes")
    start = page.evaluate("() => jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type == 'code')"
                          ".map(c => c.model.id)")  # fmt: skip
    for cell in start[: start.index(gap)]:
        page.evaluate(RUN, cell)
    page.evaluate(WRITE, [gap, wrong.code + '\nhints("l16_vram_e1")\n'])
    page.evaluate(RUN, gap)
    page.evaluate(RUN, check)
    assert wrong.says in page.evaluate(OUTPUT, check)

    button = page.get_by_role("button", name="Open hint 1 of 3")
    button.scroll_into_view_if_needed()
    button.focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Open hint 2 of 3").wait_for(timeout=PATIENCE)
    assert page.get_by_text("Hint 1 of 3.").count() == 1 and page.get_by_text("Hint 2 of 3.").count() == 0

    book = nbformat.read(FOLDER / "vram_budget.ipynb", as_version=4)
    page.evaluate(WRITE, [gap, next(c.source for c in book.cells if c.id == gap)])
    page.evaluate(RUN, gap)
    page.evaluate(RUN, check)
    assert "l16_vram_e1: passed" in page.evaluate(OUTPUT, check)

    page.evaluate(WRITE, [check, 'page.hand_in("ada")'])
    page.evaluate("async () => { await jupyterapp.shell.currentWidget.context.save() }")
    page.evaluate(RUN, check)
    assert "holds" in page.evaluate(OUTPUT, check)
    [made] = (site.root / "notebooks" / "16_capstone").glob("16_capstone-ada-*.zip")
    with zipfile.ZipFile(made) as packed:
        names = {"handed_in.json", "vram_budget.ipynb", "model_selection.ipynb", "deployment_plan.ipynb"}
        assert set(packed.namelist()) == names and b"page.hand_in" in packed.read("vram_budget.ipynb")
    page.close()
