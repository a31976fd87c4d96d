"""The bit viewer: numbers and patterns follow each other, and every format says what torch says."""

import pytest

pytest.importorskip("ipywidgets")
import torch  # noqa: E402

from lessonlib.labs import quantization_formats as formats  # noqa: E402
from lessonlib.page import bit_viewer  # noqa: E402
from lessonlib.page.bit_viewer import NAMES, BitViewer, from_bits, to_bits  # noqa: E402
from lessonlib.page.error_grid import grid_svg, shade  # noqa: E402

pytestmark = pytest.mark.l08


def test_number_gives_pattern_and_pattern_gives_number():
    w = BitViewer(0.3, "fp8 e4m3")
    assert w.pattern.value == "00101010" and w.stored().value == 0.3125
    w.pattern.value = "10111000"
    assert w.number.value == -1
    w.name.value = "int8"
    assert w.pattern.value == "10000001" and w.stored().value == -1
    w.number.value = 0.5
    assert w.pattern.value == "01000000" and "scale 0.00787402" in w.out.value


@pytest.mark.parametrize("name", [n for n, f in formats.FLOATS.items() if f.dtype])
@pytest.mark.parametrize("number", [0.3, -7.5, 0.001, 0.0])
def test_floats_are_torchs(name, number):
    stored = from_bits(name, to_bits(name, number, 1.0), 1.0)
    assert stored.value == torch.tensor(number).to(formats.FLOATS[name].dtype).double().item()


@pytest.mark.parametrize("name", NAMES)
def test_every_format_gives_the_nearest_value(name):
    for number in (0.31, -0.9, 0.02):
        values = [bit_viewer.from_bits(name, f"{c:0{len(bit_viewer.layout(name))}b}", 1.0).value for c in range(16)] if (
            len(bit_viewer.layout(name)) == 4
        ) else []  # fmt: skip
        got = from_bits(name, to_bits(name, number, 1.0), 1.0).value
        if values:
            least = min(abs(v - number) for v in values if not (name == "int4" and v < -1))
            assert abs(got - number) == pytest.approx(least, abs=1e-7)
        assert abs(got - number) <= (0.5 if len(bit_viewer.layout(name)) == 4 else 0.06)


def test_half_typed_and_special_patterns_are_said_in_words():
    w = BitViewer(0.3, "fp8 e5m2")
    w.pattern.value = "0101"
    assert "fp8 e5m2 has 8 bits" in w.out.value and w.number.value == 0.3
    w.pattern.value = "01111100"
    assert "no number" in w.out.value and w.number.value == 0.3
    w.number.value = float("nan")
    assert w.pattern.value == "00000000"


def test_mxfp4_uses_the_scale_of_the_group():
    w = BitViewer(3.0, "MXFP4", peak=100.0)
    assert "2^4" in w.describe() and w.stored().value == 0 or w.stored().value in (0.0, 8.0)
    block = torch.zeros(32)
    block[0], block[1] = 100.0, 3.0
    restored = formats.restore_mxfp4(*formats.mxfp4(block), (32,))
    assert w.stored().value == restored[1].item()


def test_stored_forms_are_whole_and_repeatable():
    one, two = BitViewer()._repr_mimebundle_(), BitViewer()._repr_mimebundle_()
    assert (one["text/plain"], one["text/html"]) == (two["text/plain"], two["text/html"])
    assert "<img" in one["text/html"] and 'alt="fp8 e4m3, 8 bits' in one["text/html"]
    for name in NAMES:
        assert name in one["text/plain"]
    top = BitViewer()
    assert all(c.description.strip() for c in (top.number, top.name, top.peak, top.pattern))


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="There is no format"):
        BitViewer(name="fp9")
    with pytest.raises(ValueError, match="above 0"):
        BitViewer(peak=0)


def test_grid_shows_every_number_and_shades_by_size():
    drawing = grid_svg({"q_proj": [1.0, 2.5], "<v>": [4.0, 3.0]}, "Errors & more")
    assert all(f">{x}<" in drawing for x in ("1.0", "2.5", "4.0", "3.0")) and "&lt;v&gt;" in drawing
    assert shade(0) in drawing and shade(1) in drawing and drawing.count("<rect") == 4
    with pytest.raises(ValueError, match="as many in each"):
        grid_svg({"a": [1.0], "b": []}, "x")
    with pytest.raises(ValueError, match="as many in each"):
        grid_svg({}, "x")
