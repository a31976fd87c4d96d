"""The attention map without a browser: choose layer, head and token, read words and shares."""

import pytest
import torch

W = pytest.importorskip("ipywidgets")

from lessonlib import page  # noqa: E402
from lessonlib.labs import attention as lab  # noqa: E402
from lessonlib.page.attention_map import AttentionMap  # noqa: E402

pytestmark = pytest.mark.l03
WORDS = ["a", "<b>", "c & d", "e"]


def shares(layers=2, n_heads=3, tokens=4):
    x = torch.randn(2, layers, n_heads, tokens, 8, generator=torch.Generator().manual_seed(0))
    return lab.attention_weights(x[0], x[1])


def planted():
    weights = torch.zeros(1, 2, 4, 4)
    weights[0, 0, range(1, 4), range(3)] = 1  # the token before
    weights[0, 0, 0, 0] = 1
    weights[0, 1] = torch.tril(torch.ones(4, 4)) / torch.arange(1, 5)[:, None]  # all alike
    return weights


def test_the_map_says_where_a_head_looks():
    shown = AttentionMap(WORDS, planted(), marks={(0, 0): "previous token"})
    assert "Layer 0, head 0, found above as previous token" in shown.text()
    assert "token 3, 'e', looks most at 'c & d' (token 2) 100 %" in shown.text()
    shown.head.value = 1
    assert "25 %" in shown.describe() and "found above" not in shown.describe()
    shown.token.value = 1
    assert shown.shares() == pytest.approx([0.5, 0.5])
    assert "0 a 50 %, 1 <b> 50 %" in shown.alt() and "c & d" not in shown.alt()


def test_every_token_up_to_the_chosen_one_has_a_bar_a_number_and_words():
    shown = AttentionMap(WORDS, shares())
    drawing = shown.svg()
    assert drawing.count("<rect") == 4 and drawing.count(" %<") == 4 and "c &amp; d" in drawing
    assert all(f"{number}: " in drawing for number in range(4))


def test_buttons_walk_through_all_heads_and_stop_at_the_ends():
    shown, seen = AttentionMap(WORDS, shares()), []
    assert shown.back.disabled and not shown.forward.disabled
    for _ in range(7):
        seen.append((shown.layer.value, shown.head.value))
        shown.forward.click()
    assert seen == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 2)] and shown.forward.disabled
    shown.back.click()
    assert (shown.layer.value, shown.head.value) == (1, 1)


def test_found_heads_can_be_chosen_by_name():
    shown = AttentionMap(WORDS, shares(), marks={(1, 2): "induction"})
    assert shown.found.options[1] == ("induction: layer 1, head 2", (1, 2))
    shown.found.value = (1, 2)
    assert (shown.layer.value, shown.head.value) == (1, 2) and "found above as induction" in shown.out.value


def test_controls_have_names_and_twins_hold_no_widget():
    shown = page.AttentionMap(WORDS, shares(), layer=1)
    for control in (shown.layer, shown.head, shown.token, shown.back, shown.forward):
        assert control.description.strip()
    bundle = shown._repr_mimebundle_()
    again = AttentionMap(WORDS, shares(), layer=1)._repr_mimebundle_()
    assert (bundle["text/plain"], bundle["text/html"]) == (again["text/plain"], again["text/html"])
    assert shown.model_id not in bundle["text/html"] and 'alt="Layer 1' in bundle["text/html"]
    assert 'role="status"' in shown.html() and "aria-label" in shown.html()


def test_lists_work_as_well_as_tensors():
    assert AttentionMap(WORDS, shares().tolist()).text() == AttentionMap(WORDS, shares()).text()


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="must be 3 x 3 for 3 words"):
        AttentionMap(WORDS[:3], shares())
    with pytest.raises(ValueError, match="There is no layer 2: it is 0 to 1"):
        AttentionMap(WORDS, shares(), layer=2)
    with pytest.raises(ValueError, match="There is no head 5"):
        AttentionMap(WORDS, shares(), head=5)
