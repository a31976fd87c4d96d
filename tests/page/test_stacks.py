import re
from xml.etree import ElementTree

import pytest

from lessonlib.calc.memory import Budget
from lessonlib.page import figures
from lessonlib.page.stacks import PARTS, WIDTH, memory_stacks

FITS, LARGE = Budget(20e9, 3e9, 1.5e9), Budget(40e9, 3e9, 1.5e9)
BARS = [("a <small> one", FITS, 25.77e9), ("another", LARGE, 25.77e9)]


def rectangles(svg):
    """Width of the coloured boxes after the legend, in drawing order."""
    boxes = [e for e in ElementTree.fromstring(svg).iter() if e.tag.endswith("rect") and e.get("fill").startswith("#")]
    return [float(e.get("width")) for e in boxes[len(PARTS) :]]


def test_bars_are_to_scale():
    svg, _ = memory_stacks(BARS)
    widths = rectangles(svg.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))
    scale = WIDTH / 44.5e9
    want = [getattr(budget, name) * scale for budget in (FITS, LARGE) for name, _ in PARTS]
    assert widths == pytest.approx(want, abs=0.06)


def test_words_tell_what_the_drawing_shows():
    svg, alt = memory_stacks(BARS)
    assert "a <small> one: weights 20.0, cache 3.0, overhead 1.5; 24.5 of 25.8 GB, fits." in alt
    assert "another: weights 40.0" in alt and "44.5 of 25.8 GB, too large" in alt
    assert "24.5 of 25.8 GB: fits" in svg and "44.5 of 25.8 GB: too large" in svg and "a &lt;small&gt; one" in svg


def test_each_part_has_a_colour_and_a_pattern_of_its_own():
    svg, _ = memory_stacks(BARS)
    fills = re.findall(r'fill="(#\w+|url\(#[\w-]+\))"/?', svg)
    assert len({color for _, color in PARTS}) == 3 and all(color in fills for _, color in PARTS)
    assert all(f'id="p-{name}"' in svg and f"url(#p-{name})" in fills or name in svg for name, _ in PARTS)


def test_same_bars_same_drawing_that_a_page_accepts(shown):
    assert memory_stacks(BARS) == memory_stacks(BARS)
    figures.svg(*memory_stacks(BARS))
    html, text = shown[0]
    assert 'alt="Stacked bars' in html and text.startswith("[figure] Stacked bars")


def test_no_bars_is_refused():
    with pytest.raises(ValueError, match="no bars"):
        memory_stacks([])
