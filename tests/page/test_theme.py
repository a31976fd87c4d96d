import subprocess
import sys
from html.parser import HTMLParser

import pytest

from lessonlib.page import theme


class Texts(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def tags(html):
    parser = Texts()
    parser.feed(html)
    return parser.tags


def test_text_is_escaped_everywhere():
    evil = "<script>alert('x')</script> & \"quoted\""
    for html in (
        theme.escape(evil),
        theme.rich(evil),
        theme.rich(f"`{evil}`"),
        theme.table_html([[evil, 1]], [evil, "n"]),
    ):
        assert "<script" not in html and "&lt;script&gt;" in html


@pytest.mark.parametrize(
    ("text", "html", "plain"),
    [
        ("a `K x V` **b** *c*", "a <code>K x V</code> <b>b</b> <i>c</i>", "a K x V b c"),
        ("2 * 3 * 4", "2 * 3 * 4", "2 * 3 * 4"),
        ("`2 * layers * kv`", "<code>2 * layers * kv</code>", "2 * layers * kv"),
        ("`**`", "<code>**</code>", "**"),
        ("one ` tick", "one ` tick", "one ` tick"),
    ],
)
def test_inline_marks(text, html, plain):
    assert theme.rich(text) == html
    assert theme.plain(text) == plain


def test_a_header_without_words_is_no_header():
    html = theme.table_html([["a", 1]], ["", "count"])
    assert html.count('scope="col"') == 1 and "<td" in html.split("</thead>")[0] and 'scope="row"' in html


def test_table_has_caption_scopes_and_aligned_numbers():
    html = theme.table_html([["GQA", 8], ["MHA", 64]], ["kind", "heads"], "Heads")
    found = tags(html)
    assert [a["scope"] for t, a in found if t == "th"] == ["col", "col", "row", "row"]
    assert any(t == "caption" for t, _ in found)
    assert [a["style"].count("right") for t, a in found if t == "td"] == [1, 1]
    assert theme.table_text([["GQA", 8], ["MHA", 64]], ["kind", "heads"], "Heads") == (
        "Heads\nkind  heads\n----  -----\nGQA       8\nMHA      64"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (13107200000, "13,107,200,000"),
        (2.5, "2.5"),
        (0.000123456, "0.0001235"),
        (1e9, "1,000,000,000"),
    ],
)
def test_values_for_people(value, text):
    assert theme.cell(value) == text


def test_numpy_scalars_are_numbers():
    numpy = pytest.importorskip("numpy")
    assert theme.cell(numpy.int64(1234)) == "1,234"
    assert "right" in theme.table_html([["a", numpy.float32(0.5)]])


def test_outside_a_notebook_the_text_is_printed(capsys):
    theme.emit("<b>html</b>", "text")
    assert capsys.readouterr().out == "text\n"


def test_import_of_page_brings_nothing_heavy():
    code = (
        "import sys, lessonlib.page as p; from lessonlib.page import check, table; "
        "print(sorted({'torch', 'IPython', 'ipywidgets', 'matplotlib', 'numpy', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_documented():
    import lessonlib.page as page

    for name in page.__all__:
        assert getattr(page, name).__doc__, name
    with pytest.raises(AttributeError, match="has no 'nothing'"):
        page.nothing  # noqa: B018
