"""The bit viewer: one number in any format, bit by bit, and what that pattern gives back.

Type a number and see its pattern; change the pattern and see its number. Integer and block formats also need the largest
magnitude of the group, since their scale comes from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ipywidgets as W
import torch

from lessonlib.labs import quantization_formats as formats

from . import figures, theme
from .widgets import WIDE, Interactive

SIGN, EXPONENT, MANTISSA, WHOLE, LEVEL = "sign", "exponent", "mantissa", "whole number", "level"
MARK = {SIGN: "s", EXPONENT: "e", MANTISSA: "m", WHOLE: "n", LEVEL: "l"}
FILL = {SIGN: "#f6c9c1", EXPONENT: "#cfe3f7", MANTISSA: "#ffe3b3", WHOLE: "#cfe3f7", LEVEL: "#dccbe9"}
INTEGERS = {"int8": 8, "int4": 4}
NAMES = (*formats.FLOATS, *INTEGERS, "NF4", "MXFP4")
CELL, HEIGHT, LEFT, TOP = 24, 30, 8, 30


@dataclass(frozen=True)
class Stored:
    """A number as a format holds it: its bits from the left, the field of each, the value, and how that value is made."""

    bits: str
    fields: tuple[str, ...]
    value: float
    how: str


def layout(name: str) -> tuple[str, ...]:
    """The field of each bit of a format, from the left."""
    if name in INTEGERS:
        return (SIGN, *[WHOLE] * (INTEGERS[name] - 1))
    if name == "NF4":
        return (LEVEL,) * 4
    form = _float(name)
    return (SIGN, *[EXPONENT] * form.exponent, *[MANTISSA] * form.mantissa)


def scale_of(name: str, peak: float) -> float:
    """What a pattern is multiplied by in a group whose largest magnitude is `peak`; 1 for plain floats."""
    if name in INTEGERS:
        return peak / (2 ** (INTEGERS[name] - 1) - 1)
    if name == "NF4":
        return peak
    if name == "MXFP4":
        return 2.0 ** (math.frexp(peak)[1] - 1 - 2)
    return 1.0


def to_bits(name: str, number: float, peak: float) -> str:
    """The pattern that a format gives a number: the nearest value, and the largest finite one for what is too large."""
    part, width = number / scale_of(name, peak), len(layout(name))
    if name in INTEGERS:
        top = 2 ** (width - 1) - 1
        code = min(max(round(part), -top), top) % 2**width
    elif name == "NF4":
        code = int(formats.nearest(torch.tensor([part]), formats.nf4_levels()))
    else:
        code = formats.encode(part, _float(name))
    return f"{code:0{width}b}"


def from_bits(name: str, bits: str, peak: float) -> Stored:
    """What a pattern stands for. ValueError when it is not as many 0s and 1s as the format has bits."""
    kinds, bits = layout(name), bits.replace(" ", "")
    if len(bits) != len(kinds) or set(bits) - set("01"):
        raise ValueError(f"{name} has {len(kinds)} bits: write that many 0s and 1s.")
    code, scale = int(bits, 2), scale_of(name, peak)
    if name in INTEGERS:
        whole = code - 2 ** len(bits) * int(bits[0])
        return Stored(bits, kinds, whole * scale, f"{whole} × scale {scale:.6g}")
    if name == "NF4":
        level = formats.nf4_levels()[code].item()
        return Stored(bits, kinds, level * scale, f"level {code} of 16, {level:.4f}, × scale {scale:.6g}")
    form = _float(name)
    value = formats.decode(code, form)
    how = _formula(code, form, value)
    if name == "MXFP4":
        stored = round(math.log2(scale)) + 127
        how += f", × shared scale 2^{round(math.log2(scale))} (stored as {stored:08b})"
    return Stored(bits, kinds, value * scale, how)


class BitViewer(Interactive):
    """Type a number or its bits in one of ten formats; `peak` is the largest magnitude of the group it stands in."""

    title = "Bit viewer"

    def __init__(self, number: float = 0.3, name: str = "fp8 e4m3", peak: float = 1.0):
        if name not in NAMES:
            raise ValueError(f"There is no format {name!r}; there are {', '.join(NAMES)}.")
        if not peak > 0 or not math.isfinite(peak):
            raise ValueError(f"peak is {peak}, but the largest magnitude of a group is above 0.")
        self.number = W.FloatText(value=number, description="Number", style=WIDE)
        self.name = W.Dropdown(options=NAMES, value=name, description="Format", style=WIDE)
        self.peak = W.BoundedFloatText(
            value=peak, min=1e-6, max=1e6, description="Largest magnitude of its group", style=WIDE
        )
        self.pattern = W.Text(value=to_bits(name, number, peak), description="Bits (change them)", style=WIDE)
        self._busy = False
        super().__init__(
            W.Box([self.number, self.name, self.peak, self.pattern], layout=W.Layout(flex_flow="row wrap"))
        )
        for control in (self.number, self.name, self.peak):
            control.observe(self._from_number, "value")
        self.pattern.observe(self._from_pattern, "value")

    def _from_number(self, change=None) -> None:
        if not self._busy:
            self._write(self.pattern, to_bits(self.name.value, _finite(self.number.value), self.peak.value))

    def _from_pattern(self, change=None) -> None:
        if self._busy:
            return
        try:
            value = from_bits(self.name.value, self.pattern.value, self.peak.value).value
        except ValueError:  # half typed: say so, leave the number
            self.refresh()
            return
        self._write(self.number, value if math.isfinite(value) else self.number.value)

    def _write(self, control, value) -> None:
        self._busy = True
        try:
            control.value = value
        finally:
            self._busy = False
        self.refresh()

    def stored(self) -> Stored:
        """The pattern that the page shows."""
        return from_bits(self.name.value, self.pattern.value, self.peak.value)

    def describe(self) -> str:
        """The pattern in words: its fields and the value they make."""
        s = self.stored()
        runs = ", ".join(f"{kind} {bits}" for kind, bits in _runs(s))
        return f"{self.name.value}, {len(s.bits)} bits: {runs}. {s.how} = {s.value:.6g}."

    def rows(self) -> list[list]:
        """The same number in every format: name, bits, pattern, value that comes back, relative error."""
        number, rows = _finite(self.number.value), []
        for name in NAMES:
            s = from_bits(name, to_bits(name, number, self.peak.value), self.peak.value)
            error = f"{abs(s.value - number) / abs(number):.2%}" if number else "–"
            rows.append([name, len(s.bits), " ".join(bits for _, bits in _runs(s)), f"{s.value:.7g}", error])
        return rows

    def svg(self) -> str:
        """The pattern as boxes: one for each bit, its field named by letter and colour."""
        s = self.stored()
        width = 2 * LEFT + len(s.bits) * (CELL + 2)
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {max(width, 420)} {TOP + HEIGHT + 26}" '
            f'width="{max(width, 420)}" font-family="sans-serif" font-size="13" fill="{figures.INK}">'
        ]
        parts.append(f'<text x="{LEFT}" y="18" font-weight="bold">{theme.escape(self.name.value)}</text>')
        for i, (bit, kind) in enumerate(zip(s.bits, s.fields, strict=True)):
            x = LEFT + i * (CELL + 2)
            parts.append(
                f"<g><title>{theme.escape(f'bit {len(s.bits) - 1 - i}: {kind} {bit}')}</title>"
                f'<rect x="{x}" y="{TOP}" width="{CELL}" height="{HEIGHT}" rx="3" fill="{FILL[kind]}" '
                f'stroke="{figures.INK}" stroke-width="0.6"/>'
                f'<text x="{x + CELL / 2:g}" y="{TOP + 20}" text-anchor="middle" font-family="monospace">{bit}</text>'
                f'<text x="{x + CELL / 2:g}" y="{TOP + HEIGHT + 16}" text-anchor="middle" font-size="11">{MARK[kind]}</text></g>'
            )
        legend = "   ".join(f"{MARK[kind]}: {kind}" for kind in dict.fromkeys(s.fields))
        parts.append(f'<text x="{LEFT + 110}" y="18" font-size="12">{legend}</text></svg>')
        return "".join(parts)

    def html(self) -> str:
        return self._page(figures.inline_svg)

    def stored_html(self) -> str:
        return self._page(figures.svg_html)

    def _page(self, draw) -> str:
        try:
            said = self.describe()
        except ValueError as error:
            return theme.card(f"<b>✗</b> {theme.escape(str(error))}", "bad", status=True)
        body = draw(self.svg(), said) + f'<p role="status">{theme.escape(said)}</p>'
        return body + theme.table_html(self.rows(), self.header(), self.caption())

    def header(self) -> tuple[str, ...]:
        """Names of the columns of `rows`."""
        return "format", "bits", "pattern", "comes back as", "error"

    def caption(self) -> str:
        """What the table shows."""
        return f"{_finite(self.number.value):.7g} in every format (largest magnitude of its group: {self.peak.value:g})"

    def text(self) -> str:
        return "\n".join([self.title, self.describe(), theme.table_text(self.rows(), self.header(), self.caption())])


def _formula(code: int, form, value: float) -> str:
    sign, exponent, mantissa = formats.fields(code, form)
    if not math.isfinite(value):
        return "all ones in the exponent: no number"
    minus = "−" if sign else ""
    if exponent == 0:
        return f"{minus}{mantissa}/{2**form.mantissa} × 2^{1 - form.bias} (subnormal: no leading one)"
    return f"{minus}(1 + {mantissa}/{2**form.mantissa}) × 2^({exponent} − {form.bias})"


def _float(name: str):
    return formats.FLOATS["fp4 e2m1" if name == "MXFP4" else name]


def _finite(number: float) -> float:
    return number if math.isfinite(number) else 0.0


def _runs(s: Stored) -> list[tuple[str, str]]:
    """(field, its bits) from the left."""
    found: list[list[str]] = []
    for bit, kind in zip(s.bits, s.fields, strict=True):
        if found and found[-1][0] == kind:
            found[-1][1] += bit
        else:
            found.append([kind, bit])
    return [(kind, bits) for kind, bits in found]
