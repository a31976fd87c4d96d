import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import units

NONSENSE = [-1, -0.5, math.nan, math.inf, True, "8", None, [1]]


@pytest.mark.parametrize(
    "n, text",
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB (0.977 KiB)"), (999_600, "1 MB (0.953 MiB)"),
        (13_107_200_000, "13.1 GB (12.2 GiB)"), (34_359_738_368, "34.4 GB (32 GiB)"), (24 * 2**30, "25.8 GB (24 GiB)"),
        (655e9, "655 GB (610 GiB)"), (2e12, "2 TB (1.82 TiB)"), (5e15, "5,000 TB (4,547 TiB)"),
    ],
)  # fmt: skip
def test_bytes_for_people(n, text):
    assert units.format_bytes(n) == text


@given(st.integers(0, 10**15))
def test_bytes_for_people_are_near_the_bytes(n):
    text = units.format_bytes(n)
    number, name = text.split()[:2]
    factor = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}.get(name, 1)
    assert float(number.replace(",", "")) * factor == pytest.approx(n, rel=0.006)
    assert "e+" not in text


@pytest.mark.parametrize("n", NONSENSE)
def test_bytes_for_people_refuse_nonsense(n):
    with pytest.raises(ValueError, match="^n is .*, but must be a number of 0 or more\\.$"):
        units.format_bytes(n)


def test_gb_and_gib_differ_by_seven_percent():
    assert units.gb(24 * 2**30) == pytest.approx(25.769803776)
    assert units.gib(24 * 2**30) == 24
    assert units.GIB / units.GB == pytest.approx(1.0737, abs=1e-4)


@pytest.mark.parametrize("value", [*NONSENSE, 0, 2.0])
def test_positive_refuses_what_is_no_whole_number_above_zero(value):
    with pytest.raises(ValueError) as caught:
        units.positive("tokens", value)
    assert str(caught.value) == f"tokens is {value!r}, but must be a whole number above 0."


def test_positive_takes_the_rest():
    assert units.positive("tokens", 3) == 3
    assert units.positive("tokens", 0, zero=True) == 0
    assert units.positive("bits", 0.5, whole=False) == 0.5


def test_calc_imports_the_standard_library_only():
    code = (
        "import sys; before = set(sys.modules); import lessonlib.calc.memory, lessonlib.calc.units; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - set(sys.stdlib_module_names) - {'lessonlib'}))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
