"""Feedback pages in a browser: nothing runs, nothing is asked for, and axe-core finds nothing, on light, dark and narrow."""

from __future__ import annotations

from importlib import resources

import pytest

from tests.grading.reports import test_feedback as pages

pytestmark = pytest.mark.browser

SCAN = """async () => {
    const found = await axe.run(document, {resultTypes: ['violations', 'passes']});
    return {
        passes: found.passes.map(r => r.id),
        violations: found.violations.map(r => [r.id, r.impact, r.nodes.length, r.nodes[0].html.slice(0, 300)]),
    };
}"""
# What a page's policy has blocked: a page that asks for nothing has nothing blocked either.
WATCH = """() => {
    window.blocked = [];
    document.addEventListener('securitypolicyviolation', e => blocked.push(e.violatedDirective + ' ' + e.blockedURI));
}"""


def honest() -> str:
    """A page with everything that an ordinary page can have."""
    shot = pages.snapshot()
    picture = {"output_type": "display_data", "data": {"image/png": pages.PNG, "text/plain": "x"}, "metadata": {}}
    printed = {"output_type": "stream", "name": "stdout", "text": "y" * 300}
    why = (
        "# Why\n\n"
        + "| wide column " * 30
        + "|\n"
        + "|---" * 30
        + "|\n\n#### because\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> $x_1$ and [a link](https://ok.example) ~~no~~ `f(x)`"
    )
    book = pages.own_cell(
        pages.submission(why=why), "import os  # a comment\nclass A:\n    '''text'''\n    x = 1.5\n" + "z" * 300
    )
    outcome = {
        "double": [picture, printed, {**printed, "name": "stderr"}],
        "double_check": pages.error("AssertionError", "m" * 300, 2),
        "double_hidden": pages.error("AssertionError", "x", 5),
        "own": pages.error("ValueError", "x", 1, ["Traceback (most recent call last):", "ValueError: x"]),
    }
    why_lost = "the submission's process is gone: it used too much memory; later cells got no answers"
    rec = pages.made_record(shot, book, outcome, reasons=[why_lost])
    comments = {("ann", pages.NOTEBOOK): {"why": "Nice.", "gone": "left over"}}
    row = pages.grades(double_check={"extra": 0.5}) | {
        "penalty": 1.0,
        "timestamp": "2026-02-02 08:30",
        "late_seconds": 90.0,
    }
    return pages.shown(shot, rec, rows=[row], comments=comments)


def hostile() -> str:
    """All hostile texts of the corpus in all places of one page."""
    shot = pages.snapshot()
    texts = [t.encode("utf-8", "replace").decode().replace("\0", "") for t in (*pages.MARKUP, *pages.MARKDOWN)]
    book = pages.submission(why="\n\n".join(texts[:40]))
    for text in texts:
        book["cells"].append({"cell_type": "markdown", "metadata": {}, "source": text})
        pages.own_cell(book, "'''" + text + "'''")
    every = "\n".join(texts)
    outcome = {
        "double": [
            {"output_type": "display_data", "data": dict.fromkeys(("text/html", "image/svg+xml", "text/plain"), every)}
        ],
        "double_check": pages.error(every, every, 1, texts),
        "double_hidden": pages.error(every, every, 4, texts),
        "own": pages.error(texts[0], texts[2], 1, texts[:20]),
    }
    rec = pages.made_record(shot, book, outcome, reasons=texts, notes=texts)
    return pages.shown(
        shot, rec, student=every, comments={(every, pages.NOTEBOOK): dict.fromkeys(("double", "why", "x"), every)}
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The pages on disk, as a learner opens them."""
    folder = tmp_path_factory.mktemp("feedback")
    made = {"honest": honest(), "hostile": hostile()}
    for name, html in made.items():
        (folder / f"{name}.html").write_text(html, encoding="utf-8", errors="replace")
    return folder


def opened(browser, path):
    """(the page, what it asked for besides itself, dialogs, console messages)."""
    asked, dialogs, said = [], [], []
    page = browser.new_page()
    page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
    page.on("console", lambda m: said.append(m.text))
    page.on("pageerror", lambda e: said.append(str(e)))
    address = path.as_uri()

    def route(route):
        if route.request.url == address:
            route.continue_()
        else:
            asked.append(route.request.url)
            route.abort()

    page.route("**/*", route)
    page.add_init_script(f"({WATCH})()")
    page.goto(address)
    return page, asked, dialogs, said


@pytest.mark.parametrize("name", ["honest", "hostile"])
def test_nothing_runs_and_nothing_is_asked_for(browser, files, name):
    page, asked, dialogs, said = opened(browser, files / f"{name}.html")
    for link in page.locator("main a").all()[:60]:
        link.hover(force=True)
        link.focus()
    page.wait_for_timeout(500)
    assert [a for a in asked if not a.startswith("data:image/")] == [] and dialogs == [] and said == []
    assert page.evaluate("() => window.blocked") == []
    assert page.url == (files / f"{name}.html").as_uri()
    schemes = page.evaluate("() => [...new Set([...document.querySelectorAll('a')].map(a => a.protocol))]")
    assert set(schemes) <= {"file:", "http:", "https:", "mailto:"}, schemes
    handlers = (
        "() => [...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(n => n.startsWith('on'))"
    )
    assert (
        page.evaluate(handlers) == [] and page.locator("script, iframe, object, embed, form, base, link").count() == 0
    )
    page.close()


def test_the_policy_stops_what_a_hole_would_let_in(browser, files):
    """Were a script or a picture from elsewhere on the page, the policy would stop it."""
    html = (files / "honest.html").read_text(encoding="utf-8")
    holes = (
        "<script>document.title = 'hit'</script><img src=https://evil.example/x.png onerror=\"document.title='hit'\">"
    )
    path = files / "hole.html"
    path.write_text(html.replace("<main", f"{holes}<main"), encoding="utf-8")
    page, asked, dialogs, _ = opened(browser, path)
    assert page.title() == "Feedback: ps" and asked == [] and dialogs == []
    assert len(page.evaluate("() => window.blocked")) >= 2
    page.close()


@pytest.mark.parametrize("name", ["honest", "hostile"])
@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 1280), ("dark", 390)])
def test_axe_finds_nothing(browser, files, name, scheme, width):
    page, *_ = opened(browser, files / f"{name}.html")
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 1000})
    page.evaluate(resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(SCAN)
    assert {"color-contrast", "heading-order", "region", "bypass", "document-title"} <= set(found["passes"]), found[
        "passes"
    ]
    assert found["violations"] == []
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert (dark != "rgb(255, 255, 255)") == (scheme == "dark")
    page.close()


def test_keyboard_reaches_the_content_first(browser, files):
    page, *_ = opened(browser, files / "honest.html")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("() => document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("() => location.hash") == "#main"
    page.close()
