"""The router explorer: its numbers are the lab's, its twins say the same, and it refuses what has no router."""

import pytest
import torch

pytest.importorskip("ipywidgets")

from lessonlib import models
from lessonlib.labs import parameters_and_moe as lab
from lessonlib.page.router_explorer import MOST_TOKENS, RouterExplorer, shown

pytestmark = pytest.mark.l07


@pytest.fixture(scope="module")
def moe():
    return models.load("moe", device="cpu", dtype=torch.float32)


def test_tokens_and_weights_are_those_of_the_lab(moe):
    w = RouterExplorer(*moe, text="The cat sat.", layer=2)
    found = lab.routes(*moe, {"": "The cat sat."})
    assert [piece for piece, _ in w.tokens()] == found.pieces
    for at, (_, pairs) in enumerate(w.tokens()):
        assert {number for number, _ in pairs} == set(found.chosen[2, at].nonzero().flatten().tolist())
        assert sum(weight for _, weight in pairs) == pytest.approx(1, abs=1e-5) and pairs[0][1] >= pairs[1][1]
    assert sum(row[1] for row in w.loads()) == 2 * len(found.pieces)


def test_controls_change_the_result(moe):
    w = RouterExplorer(*moe)
    before = w.out.value
    w.layer.value = 5
    assert w.out.value != before and "Layer 5" in w.out.value
    w.k.value = 1
    assert all(len(pairs) == 1 and pairs[0][1] == pytest.approx(1) for _, pairs in w.tokens())
    w.words.value = "   "
    assert "text is empty" in w.out.value and "text is empty" in w.text()


def test_long_texts_are_cut_and_markup_is_text(moe):
    w = RouterExplorer(*moe, text="<b>x</b> " * 80)
    assert len(w.tokens()) == MOST_TOKENS
    assert "<b>x" not in w.html() and "&lt;" in w.html()


def test_all_forms_say_the_same(moe):
    w = RouterExplorer(*moe, text="a dog\n")
    bundle = w.bundle()
    for piece, pairs in w.tokens():
        assert shown(piece) in bundle["text/plain"]
        assert f"expert {pairs[0][0]} ({pairs[0][1]:.2f})" in bundle["text/plain"]
        assert f"{pairs[0][0]} ({pairs[0][1]:.2f})" in bundle["text/html"]
    assert 'role="status"' in w.html() and all(c.description for c in (w.words, w.layer, w.k))


def test_what_has_no_router_is_refused(moe):
    model, tokenizer = models.load("mini", device="cpu", dtype=torch.float32)
    with pytest.raises(ValueError, match="dense"):
        RouterExplorer(model, tokenizer)
    with pytest.raises(ValueError, match="layers 0 to 5"):
        RouterExplorer(*moe, layer=6)
