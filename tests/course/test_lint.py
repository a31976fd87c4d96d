"""Every rule of the lint is broken on a real page, and notices."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from lessonlib.course.lint import findings, main, read_page, shared_ids
from lessonlib.course.rules import RULES
from lessonlib.course.source import BESIDE

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pages():
    """The pages as they are, by notebook name."""
    found = sorted((ROOT / "solutions").glob("*/*.py"))
    return {p.stem: read_page(p, ROOT) for p in found if p.name not in BESIDE}


def test_the_pages_keep_the_rules(capsys):
    assert main([]) == 0, capsys.readouterr().out


def text_cell(page, words):
    return next(c for c in page.source.cells if c.cell_type == "markdown" and words in c.source)


def code_cell(page, words):
    return next(c for c in page.source.cells if c.cell_type == "code" and words in c.source)


def add(page, text):
    text_cell(page, "## Waste").source += f"\n\n{text}"


def drop(page, cell):
    page.source.cells.remove(cell)


def swap(page, a, b):
    a, b = text_cell(page, f"## {a}"), text_cell(page, f"## {b}")
    a.source, b.source = b.source, a.source


def output(page, data):
    cell = next(c for c in page.solution.cells if c.get("outputs") and "data" in c.outputs[0])
    cell.outputs[0]["data"] = data


BREAKS = [
    ("opening", lambda p: p.source.cells.pop(0), "badge row"),
    ("opening", lambda p: setattr(p.source.cells[1], "source", "# Title\n\nno question"), "one question"),
    ("opening", lambda p: p.source.cells.remove(code_cell(p, "page.start(")), "bootstrap"),
    ("headings", lambda p: swap(p, "Quiz", "Calculator"), "the order is"),
    ("headings", lambda p: setattr(text_cell(p, "## Quiz"), "source", "no heading"), "'## Quiz' is missing"),
    ("aims", lambda p: setattr(text_cell(p, "## Aims"), "source", text_cell(p, "## Aims").source.replace("1. ", "- ")), "aims"),
    ("predicts", lambda p: drop(p, code_cell(p, "predict(")), "before the first exercise"),
    ("lengths", lambda p: add(p, "word " * 2600), "words"),
    ("lengths", lambda p: setattr(code_cell(p, "quiz("), "source", "x = 1\n" * 31 + "quiz('05_kv_cache')"), "32 lines"),
    ("lengths", lambda p: p.source.cells.extend([copy.deepcopy(p.source.cells[-1]) for _ in range(9)]) or [
        c.update(id=f"more{i}") for i, c in enumerate(p.source.cells[-9:])], "cells; a page"),
    ("exercises", lambda p: p.wrong.clear(), "0 wrong answers"),
    ("exercises", lambda p: p.right.clear(), "0 right answers written otherwise"),
    ("exercises", lambda p: drop(p, code_cell(p, "score_properties(\"l05_e2\"")), "l05_e2_hidden"),
    ("exercises", lambda p: drop(p, code_cell(p, "check(\"l05_e3\"")), "l05_e3_check"),
    ("ids", lambda p: code_cell(p, "score_properties(\"l05_e2\"").metadata.nbgrader.update(grade_id="l05_E2"), "lower case"),
    ("ids", lambda p: p.source.cells[3].update(id=p.source.cells[2].id), "have this id"),
    ("alt_text", lambda p: add(p, "![](x.png)"), "no alternative text"),
    ("alt_text", lambda p: setattr(code_cell(p, "quiz("), "source", "show(fig)\nquiz('05_kv_cache')"), "need alt"),
    ("alt_text", lambda p: output(p, {"image/png": "AAAA"}), "bare image"),
    ("alt_text", lambda p: output(p, {"text/html": "<img src='x'>"}), "in the output"),
    ("axis_letters", lambda p: setattr(code_cell(p, "quiz("), "source", "y = 1  # (B, T, D)\nquiz('05_kv_cache')"), "the axis T"),
    ("numbers", lambda p: add(p, "It takes 12 GB."), "12 GB has no source"),
    ("numbers", lambda p: add(p, "It takes **12 GB**."), "12 GB has no source"),
    ("numbers", lambda p: add(p, "It is large (12 GB)."), "12 GB has no source"),
    ("numbers", lambda p: add(p, "It takes 12 GB <!-- todo -->."), "12 GB has no source"),
    ("numbers", lambda p: add(p, "It is 9 times as fast."), "9 times has no source"),
    ("alt_text", lambda p: setattr(code_cell(p, "quiz("), "source", "page.show(fig, alt='')\nquiz('05_kv_cache')"), "need alt"),
    ("predicts", lambda p: [setattr(c, "source", c.source.replace("reveal(", "other(")) for c in p.source.cells], "reveal"),
    ("exercises", lambda p: [setattr(c, "source", c.source.replace("hints(", "other(")) for c in p.source.cells], "never called"),
    ("built", lambda p: output(p, {"application/vnd.jupyter.widget-view+json": {}}), "live widget view"),
    ("numbers", lambda p: add(p, "It takes 14.1 GB<!-- claim:S04-033 -->."), "14.1 is not what"),
    ("numbers", lambda p: add(p, "It takes 987.6 GB<!-- cell -->."), "no stored output"),
    ("numbers", lambda p: add(p, "It has 48 GiB<!-- fact:gpus/rtx-4090/vram_gb -->."), "48 is not what"),
    ("numbers", lambda p: add(p, "It is 9 times<!-- record:no_such#x -->."), "no_such"),
    ("links", lambda p: add(p, "[x](../../nowhere.md)"), "leads nowhere"),
    ("links", lambda p: add(p, "[x](https://example.com)"), "write sources by name"),
    ("claims", lambda p: add(p, "See S99-999."), "S99-999"),
    ("claims", lambda p: setattr(code_cell(p, "corrections("), "source", 'corrections(["S04-032"])'), "not corrected"),
    ("quiz", lambda p: setattr(code_cell(p, "quiz("), "source", 'quiz("99_none")'), "no quiz '99_none'"),
    ("built", lambda p: output(p, {"text/plain": "/home/somebody/x.py"}), "a path of one machine"),
    ("built", lambda p: p.learner.metadata.update(widgets={}), "widget state"),
    ("built", lambda p: output(p, {"text/plain": "<object at 0x7f00aabbccdd>"}), "address of an object"),
]  # fmt: skip


@pytest.mark.parametrize("name, change, words", BREAKS, ids=[f"{n}-{w[:20]}" for n, _, w in BREAKS])
def test_each_rule_notices(pages, name, change, words):
    page = copy.deepcopy(pages["05_kv_cache"])
    change(page)
    broken = findings(page)
    assert any(re.match(rf"05_kv_cache\.py: [^:]+: {name}: ", line) and words in line for line in broken), broken


def test_a_page_without_figures_is_noticed(pages):
    page = copy.deepcopy(pages["05_kv_cache"])
    for cell in page.source.cells:
        if cell.cell_type == "code":
            cell.source = re.sub(r"\b(show|svg)\(|Figure\(", "other(", cell.source)
    assert any(": figure: " in line for line in findings(page))


def test_every_rule_has_a_break():
    assert {name for name, _, _ in BREAKS} | {"figure"} == set(RULES)


def test_an_unknown_kind_names_the_kinds(pages):
    page = copy.deepcopy(pages["05_kv_cache"])
    page.source.metadata.lessonlib["kind"] = "essay"
    with pytest.raises(ValueError, match="'essay'.*lesson, task, start"):
        findings(page)


def test_a_page_of_one_cell_is_told(pages):
    page = copy.deepcopy(pages["05_kv_cache"])
    del page.source.cells[1:]
    assert any("at least" in line for line in findings(page))


def test_grade_ids_are_unique_in_the_course(pages):
    page = pages["05_kv_cache"]
    assert shared_ids(list(pages.values())) == []
    assert "l05_e1_check" in " ".join(shared_ids([page, page]))


def test_an_unknown_lesson_is_a_mistake_in_the_command(capsys):
    assert main(["77"]) == 2
    assert "No lesson starts with '77'" in capsys.readouterr().err
