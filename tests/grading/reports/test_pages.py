"""The frame of the grader's pages: closed to scripts and to other hosts, numbers and names as they should be read."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup

from lessonlib.grading.reports import pages

NASTY = "<script>alert(1)</script>\"'&\x00\u202eevil"


def luminance(color: str) -> float:
    """Relative luminance of "#rrggbb" (WCAG 2.2)."""
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def schemes() -> list[dict]:
    """The colours of the light and of the dark scheme."""
    light, dark = re.findall(r":root \{([^}]*)\}", pages.STYLE)[:2]
    found = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in (light, dark)]
    return found


def test_a_page_has_one_title_landmarks_and_a_closed_policy():
    soup = BeautifulSoup(pages.page(f"A {NASTY}", "<h2>x</h2>", style=".x { color: red; }"), "html.parser")
    assert soup.html["lang"] == "en" and soup.find(["script", "link", "iframe", "base"]) is None
    policy = soup.find("meta", {"http-equiv": "Content-Security-Policy"})["content"]
    assert policy.startswith("default-src 'none'") and "script-src" not in policy and "img-src data:" in policy
    assert [h.name for h in soup.find_all(re.compile("^h[1-6]$"))] == ["h1", "h2"]
    assert soup.h1.text == "A <script>alert(1)</script>\"'&\ufffd\ufffdevil" == soup.title.text
    assert soup.find("a", class_="skip")["href"] == "#main" and soup.main["id"] == "main"
    assert "prefers-color-scheme: dark" in soup.style.text and "@media print" in soup.style.text


def test_a_style_cannot_end_the_style_sheet():
    with pytest.raises(ValueError, match="write CSS only"):
        pages.page("x", "", style="</style><script>")


def test_the_policy_stands_before_everything_that_it_governs():
    text = pages.page("x", "<p>y</p>")
    assert text.index("Content-Security-Policy") < text.index("<style>") < text.index("<p>y")


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_contrast_of_4_5_and_shapes_of_3(scheme):
    colors = schemes()[scheme]
    for name in ("ink", "soft", "link", "good", "bad", "wait"):
        for ground in ("paper", "tint"):
            assert contrast(colors[name], colors[ground]) >= 4.5, (name, ground)
    assert contrast(colors["bar"], colors["tint"]) >= 3 and contrast(colors["focus"], colors["paper"]) >= 3


def test_a_table_escapes_and_sets_numbers_to_the_right():
    soup = BeautifulSoup(
        pages.table("A & B", ["name", "points", "part"], [[NASTY, 1234.5, None], [pages.Html("<b>x</b>"), 7, 0.25]]),
        "html.parser",
    )
    assert soup.caption.text == "A & B" and soup.script is None and soup.b.text == "x"
    assert [th["scope"] for th in soup.find_all("th")] == ["col"] * 3 + ["row"] * 2
    assert [td.text for td in soup.find_all("td")] == ["1,234.5", "–", "7", "0.25"]
    assert all(td["class"] == ["n"] for td in soup.find_all("td"))
    assert soup.div["tabindex"] == "0" and soup.div["aria-label"] == "A & B"


def test_a_row_of_another_length_is_named():
    with pytest.raises(ValueError, match="has 1 cells, but the head has 2"):
        pages.table("x", ["a", "b"], [["only"]])


def test_an_empty_table_has_its_head():
    assert pages.table("x", ["a", "b"], []).count("<th ") == 2


def test_bars_have_words_and_the_same_numbers_as_a_table():
    soup = BeautifulSoup(pages.bars("Lost", [("<e1>", 3), ("e2", 12)], unit="students", description="d"), "html.parser")
    assert soup.svg["role"] == "img" and soup.svg.title.text == "Lost" and soup.svg.desc.text == "d"
    widths = [rect["width"] for rect in soup.find_all("rect")]
    assert widths == ["100%", "25.00%", "100%", "100.00%"]
    assert [t.text for t in soup.find_all("text")] == ["<e1>: 3 students", "e2: 12 students"]
    assert [td.text for td in soup.find_all("td")] == ["3", "12"]
    assert 'width="50.00%"' in pages.bars("x", [("a", 1)], most=2)
    with pytest.raises(ValueError, match="below 0"):
        pages.bars("x", [("a", -1)])


def test_write_is_whole_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "a" / "b.html"
    assert pages.write(path, "one\ud800") == path and path.read_text() == "one?"
    path.chmod(0o444)
    pages.write(path, "two")
    assert path.read_text() == "two" and [p.name for p in path.parent.iterdir()] == ["b.html"]


def test_write_replaces_a_link_and_not_what_it_points_to(tmp_path):
    other = tmp_path / "other"
    other.write_text("kept")
    (tmp_path / "x.html").symlink_to(other)
    pages.write(tmp_path / "x.html", "new")
    assert other.read_text() == "kept" and (tmp_path / "x.html").read_text() == "new"
