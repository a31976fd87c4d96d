"""What all calculators share: names, states, refusals, twins. Without a browser, on ipywidgets 7.7.1 and 8.1."""

import json
import re
from xml.etree import ElementTree

import pytest

W = pytest.importorskip("ipywidgets")

from lessonlib import page  # noqa: E402
from lessonlib.calc import memory  # noqa: E402
from lessonlib.page import calculators  # noqa: E402
from lessonlib.page.calculators import CALCULATORS, base, drawings, fields  # noqa: E402


@pytest.fixture(params=CALCULATORS)
def kind(request):
    return getattr(calculators, request.param)


def numbers_in(text):
    return set(re.findall(r"\d[\d,.]*\d|\d", re.sub(r"<[^>]*>", " ", text)))


def test_every_calculator_is_found_by_page_and_by_package(kind):
    assert getattr(page, kind.__name__) is kind and kind.__name__ in page.__all__
    assert page.calculators is calculators and issubclass(kind, calculators.Calculator)
    with pytest.raises(AttributeError, match="has no 'Nothing'"):
        calculators.Nothing  # noqa: B018


def test_controls_are_native_and_have_labels(kind):
    w = kind()
    assert w.controls and w.title and w.purpose
    assert all(isinstance(c, (W.IntText, W.FloatText, W.Dropdown, W.Textarea)) for c in w.controls)
    assert all(c.description.strip() for c in w.controls)
    labels = [c.description for c in w.controls]
    assert len(set(labels)) == len(labels)


def test_a_result_has_words_table_formula_mistake_and_its_twin_the_same_numbers(kind):
    w = kind()
    html, text, stored = w.html(), w.text(), w.stored_html()
    for part in ('role="status"', "<caption", 'scope="row"', "Formula.", "The mistake people make:"):
        assert part in html, part
    answer = w._answer()
    assert len(answer.formula) > 20 and len(answer.mistake) > 20 and re.search(r"\d", answer.mistake)
    cells = [base.theme.cell(c) for row in answer.rows for c in row]
    assert all(base.theme.plain(c) in text for c in cells)
    assert numbers_in(answer.headline + answer.formula + answer.mistake) <= numbers_in(text)
    assert "<table" in stored and all(base.theme.escape(c) in stored for c in cells)
    if answer.header:
        assert html.count('scope="col"') >= len(answer.header)
    if answer.drawing:
        svg, alt = answer.drawing
        ElementTree.fromstring(svg)
        assert 'role="img"' in html and "<img alt=" in stored and alt in text


def test_state_is_plain_data_and_makes_the_same_page(kind):
    w = kind()
    state = json.loads(json.dumps(w.state))
    assert state == w.state and set(state) == set(w.control)
    again = kind.from_state(state)
    assert again.state == state and again.html() == w.html() and again.stored_html() == w.stored_html()
    other = kind()
    for key, field in other._fields.items():  # move everything that can be moved
        if isinstance(field, fields.Number) and field.value + 1 <= field.most:
            other.state = {key: field.value + 1}
    other.state = state
    assert other.state == state and other.html() == w.html()


def test_a_preset_goes_on_when_its_numbers_change_and_a_state_keeps_that(kind):
    w = kind()
    for preset in w.PRESETS:
        brought = w.fill(preset, w.control[preset].value)
        assert brought and all(w.control[key].value == value for key, value in brought.items())
        key, value = next(iter(brought.items()))
        w.control[key].value = value + 1
        assert w.control[preset].value == fields.OWN and w.control[key].value == value + 1
        assert kind.from_state(w.state).html() == w.html()


def test_unknown_settings_and_values_are_refused_in_one_sentence_and_nothing_changes(kind):
    w = kind()
    before = w.state
    with pytest.raises(ValueError, match=r"^[^\n]* has no setting 'colour'; it has [^\n]*\.$"):
        w.state = {next(iter(before)): next(iter(before.values())), "colour": 1}
    with pytest.raises(ValueError, match="must be a mapping"):
        kind.from_state([1])
    for key, field in w._fields.items():
        for bad in (object, True, float("nan"), [1]):
            with pytest.raises(ValueError, match=f"^{re.escape(field.label)} is [^\n]*\\.$"):
                w.state = {key: bad}
    assert w.state == before


def test_numbers_out_of_range_show_the_sentence_and_no_traceback(kind):
    w = kind()
    for key, field in w._fields.items():
        if not isinstance(field, fields.Number):
            continue
        good = w.control[key].value
        w.control[key].value = field.least - 1  # as typed on the page
        assert f"{field.label} is " in w.out.value and "but must be" in w.out.value and "Traceback" not in w.out.value
        assert 'role="status"' in w.out.value and "cannot be computed" in w.text() and "<table" not in w.out.value
        w.control[key].value = good
        assert "<table" in w.out.value


def test_a_change_from_the_page_computes_once(kind, monkeypatch):
    w = kind()
    calls = []
    real = type(w).answer
    monkeypatch.setattr(type(w), "answer", lambda self, s: calls.append(1) or real(self, s))
    for control in w.controls:
        if isinstance(control, W.Dropdown):
            calls.clear()
            control.set_state({"index": (control.index + 1) % len(control.options)})
            assert len(calls) <= 1
        elif not isinstance(control, W.Textarea):
            calls.clear()
            control.set_state({"value": control.value + 1})
            assert len(calls) <= 1


def test_settings_in_order_none_and_other_spellings():
    w = calculators.KVCacheCalculator("Qwen3 32B", None, tokens=4096)
    assert w.state["model"] == "qwen3-32b" and w.state["card"] == fields.NONE and w.state["tokens"] == 4096
    assert calculators.KVCacheCalculator(model=None).state["model"] == fields.OWN
    with pytest.raises(ValueError, match="no model 'qwen9-1t'. Nearest"):
        calculators.VRAMCalculator("qwen9-1t")
    assert calculators.VRAMCalculator(format="4bit-awq").state["format"] == "awq"


def test_own_numbers_of_the_cache_and_models_that_three_numbers_do_not_describe():
    w = calculators.KVCacheCalculator(tokens=50_000)
    assert w.values["bytes"] == 13_107_200_000 == memory.kv_cache_bytes(
        layers=64, kv_heads=8, head_dim=128, tokens=50_000
    )  # fmt: skip
    assert "13.11 GB" in w.out.value and "12.21 GiB" in w.out.value and "262,144 bytes" in w.text()
    w.control["kv_heads"].value = 5
    assert w.state["model"] == fields.OWN and "× 5 KV heads ×" in w.out.value
    w.control["model"].value = "deepseek-v3.2"
    assert all(w.control[key].disabled for key in ("layers", "kv_heads", "head_dim"))
    assert "KV heads" not in dict(w.settings()) and "latent" in w.out.value
    w.state = {"layers": 3}
    assert w.state["model"] == fields.OWN and not w.control["layers"].disabled


def test_card_share_counts_gib():
    w = calculators.KVCacheCalculator(model=None, tokens=98_304)
    w.state = {"layers": 64, "kv_heads": 8, "head_dim": 128}
    assert "100.0 %" in w.out.value and "fits on the empty card" in w.out.value
    w.control["tokens"].value += 1
    assert "does not fit even on the empty card" in w.out.value
    w.control["card"].value = fields.NONE
    assert "empty card" not in w.out.value and "share" not in w.values


def test_tokenizers_are_counted_beside_the_rules():
    w = calculators.TokenCalculator("one two three", tokenizers={"bytes": lambda t: len(t.encode()), "words": len})
    assert w.values["counted"] == {"bytes": 13, "words": 13} and "69 % too low" in w.text()
    again = calculators.TokenCalculator.from_state(w.state, tokenizers=w.tokenizers)
    assert again.html() == w.html()
    w.control["text"].value = ""
    assert "The text is empty" in w.out.value
    w.control["text"].value = "<b>*x*</b>"
    assert "<b>*x*</b>" not in w.stored_html() and "&lt;b&gt;" in w.stored_html()


def test_bars_are_to_scale_and_named():
    svg, alt = drawings.stacked_bars([("a", {"w": 10e9, "c": 5e9}, 20e9), ("b<", {"w": 25e9}, 20e9)], "t")
    boxes = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("rect") and e.get("fill")[0] == "#"]
    widths = [float(e.get("width")) for e in boxes if e.get("height") == "22"]
    assert widths == pytest.approx([132, 66, 330], abs=0.06)
    assert (
        "a: w 10.00 GB, c 5.00 GB; together 15.00 GB: fits" in alt
        and "b<: w 25.00 GB; together 25.00 GB: too large" in alt
    )
    assert "b&lt;" in svg and 'id="t-1"' in svg and 'id="t-0"' not in svg


def test_log_plot_puts_decades_at_equal_distances():
    line = drawings.Line("up", [(1, 1), (10, 10), (100, 100)])
    svg = drawings.log_plot([line], [drawings.Point("p <1>", 10, 10)], "x", "y", (("mark", 10),))
    (path,) = re.findall(r'polyline points="([^"]+)"', svg)
    (ax, ay), (bx, by), (cx, cy) = (map(float, p.split(",")) for p in path.split())
    assert bx - ax == pytest.approx(cx - bx) and by - ay == pytest.approx(cy - by) and cx > ax and cy < ay
    assert "p &lt;1&gt;" in svg and "mark" in svg
    ElementTree.fromstring(svg)


@pytest.mark.parametrize(
    ("value", "said"), [(0.25, "0.25"), (999, "999"), (60.4e6, "60.4M"), (2e9, "2B"), (1e4, "10K")]
)
def test_amounts_in_few_letters(value, said):
    assert drawings.short(value) == said
