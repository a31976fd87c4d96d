import base64
import re

import pytest

from lessonlib.page import figures

DRAWING = '<svg viewBox="0 0 9 9"><rect width="9" height="9"/></svg>'


@pytest.mark.parametrize("alt", ["", "  ", None, 5])
def test_alt_text_is_required(alt):
    fig, _ = figures.axes()
    for call in (
        lambda: figures.show(fig, alt),
        lambda: figures.svg(DRAWING, alt),
        lambda: figures.inline_svg(DRAWING, alt),
    ):
        with pytest.raises(ValueError, match="alt is .* words that say what it shows"):
            call()


def test_svg_is_an_image_with_alt_and_text_twin(shown):
    figures.svg(DRAWING, alt='six "tokens" & <more>', caption="Six")
    html, text = shown[0]
    assert 'alt="six &quot;tokens&quot; &amp; &lt;more&gt;"' in html and "<figcaption>Six</figcaption>" in html
    assert text == '[figure] six "tokens" & <more>'
    source = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1]).decode()
    assert source.startswith('<svg font-family="sans-serif" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">')


def test_inline_svg_names_itself():
    html = figures.inline_svg('<svg role="x" aria-label="y" viewBox="0 0 1 1"/>'.replace("/>", "></svg>"), "a <b>")
    assert html.count('role="img"') == 1 and 'aria-label="a &lt;b&gt;"' in html


@pytest.mark.parametrize(("bad", "says"), [("<div/>", "must be an <svg"), ("<svg><rect></svg>", "not well-formed")])
def test_bad_drawings_say_what_is_wrong(bad, says):
    with pytest.raises(ValueError, match=says):
        figures.svg(bad, alt="x")


def test_show_gives_the_same_bytes_twice_and_closes_pyplot(shown):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for _ in range(2):
        fig = plt.figure(figsize=(2, 1))
        fig.add_subplot().plot([1, 2, 3])
        figures.show(fig, alt="a rising line")
    assert shown[0] == shown[1]
    assert 'alt="a rising line"' in shown[0][0] and shown[0][1] == "[figure] a rising line"
    assert plt.get_fignums() == []


def test_axes_use_colours_and_marks():
    _, ax = figures.axes()
    lines = [ax.plot([1, 2])[0] for _ in range(3)]
    assert [line.get_color() for line in lines] == list(figures.COLORS[:3])
    assert len({line.get_marker() for line in lines}) == 3


def test_table_checks_its_rows(shown):
    figures.table([["a", 1]], header=["x", "y"], caption="c")
    assert "<table" in shown[0][0] and shown[0][1].startswith("c\nx")
    with pytest.raises(ValueError, match="has 1 values, but the header has 2"):
        figures.table([["a"]], header=["x", "y"])
