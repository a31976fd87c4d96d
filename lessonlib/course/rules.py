"""The rules of a page, one function each: a rule takes a `Page` and yields (cell id, sentence) for what breaks it."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median

from ..facts import catalog
from .claims import MARK as CLAIM_MARK
from .claims import called_with

Finding = tuple[str, str]


@dataclass(frozen=True)
class Kind:
    """What a page of this kind has: its fixed headings in order, and bounds on cells and exercises."""

    headings: tuple[str, ...]
    cells: tuple[int, int]
    exercises: tuple[int, int]


_END = ("We learned", "Corrections", "Sources")
KINDS = {
    "lesson": Kind(
        ("Aims", "What breaks it", "Calculator", "Quiz", "Yours beside the reference", *_END), (30, 45), (3, 5)
    ),
    "task": Kind(("Aims", "What breaks it", "Calculator", "Yours beside the reference", *_END), (20, 45), (3, 5)),
    "start": Kind(("Aims", "What breaks it", "Quiz", "We learned", "Sources"), (15, 45), (2, 5)),
}
MOST_WORDS, MEDIAN_LINES, MOST_LINES = 2500, 10, 30
AXES = set("BLSHKD")
UNITS = r"times|gigabytes|GB|GiB|MB|MiB|kB|KiB|TB|bytes?|ms|tokens/s|tok/s|FLOPs?|TFLOPS|GB/s|USD|W|kWh|%|percent"
NUMBER = r"(?<![\w.])(?<!\d\*\*)\d[\d,]*(?:\.\d+)?"  # not the exponent of 2**30
MARK = re.compile(rf"({NUMBER})[^\d<]{{0,40}}<!--\s*(claim|record|fact|cell|plan)(?::([^\s]+))?\s*-->")
MACHINE_PATH = re.compile(r"(?<![\w.~])/(?:home|root|work|tmp|Users|opt|var)/\w+|[A-Z]:\\\\Users")
LASTING = r"https://(arxiv\.org/abs|doi\.org)/"  # papers: addresses made to stay
RULES: dict[str, Callable] = {}


@dataclass
class Page:
    """A notebook in its three forms. `solution` and `learner` are None while they are not built."""

    path: Path
    root: Path
    source: object
    solution: object = None
    learner: object = None
    wrong: list = field(default_factory=list)
    right: list = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """What this page must have."""
        kind = self.source.metadata.lessonlib.get("kind", "lesson")
        if kind not in KINDS:
            raise ValueError(f"{self.path.name}: kind is {kind!r}, but must be one of {', '.join(KINDS)}.")
        return KINDS[kind]

    @cached_property
    def prose(self) -> list[tuple[str, str]]:
        """(cell id, text) of the markdown cells that an author wrote."""
        return [(c.id, c.source) for c in self.source.cells if c.cell_type == "markdown" and not _made(c)]

    @cached_property
    def code(self) -> list:
        """Code cells that an author wrote."""
        return [c for c in self.source.cells if c.cell_type == "code" and not _made(c)]

    @cached_property
    def headings(self) -> list[str]:
        """Level-2 headings, in order."""
        return [h for _, text in self.prose for h in re.findall(r"^## (.+?)\s*$", text, re.M)]

    @cached_property
    def outputs(self) -> str:
        """What a reader sees of the stored outputs of the solution notebook, as text."""
        cells = self.solution.cells if self.solution else []
        return "\n".join(_visible(output) for cell in cells for output in cell.get("outputs", []))

    def section(self, heading: str) -> str:
        """The text from a level-2 heading to the next."""
        text = "\n".join(text for _, text in self.prose)
        found = re.search(rf"^## {re.escape(heading)}\s*$(.*?)(?=^## |\Z)", text, re.M | re.S)
        return found[1] if found else ""


def rule(function):
    """Register a rule under its name."""
    RULES[function.__name__] = function
    return function


@rule
def opening(page: Page) -> Iterator[Finding]:
    """The page starts with badges, then a title with one question in bold; the bootstrap cell comes before other code."""
    cells = page.source.cells
    if len(cells) < 3:
        yield "page", "a page has a badge row, a title and a bootstrap cell at least"
        return
    if "badges" not in cells[0].metadata.get("tags", []):
        yield cells[0].id, 'the first cell must be the badge row (tags=["badges"])'
    if not re.match(r"# .+\n\n\*\*[^*]+\?\*\*", cells[1].source):
        yield cells[1].id, "the second cell must hold the title and, in bold, the one question of the page"
    first = next((c for c in cells if c.cell_type == "code"), None)
    if first is None or "bootstrap" not in first.metadata.get("tags", []):
        yield cells[0].id, 'the first code cell must be the bootstrap cell (tags=["bootstrap"])'


@rule
def headings(page: Page) -> Iterator[Finding]:
    """The fixed headings are all there, in their order."""
    wanted = page.kind.headings
    missing = [h for h in wanted if h not in page.headings]
    for heading in missing:
        yield "page", f"the heading '## {heading}' is missing"
    if not missing:
        order = [h for h in page.headings if h in wanted]
        if order != list(wanted):
            yield "page", f"headings stand as {', '.join(order)}; the order is {', '.join(wanted)}"


@rule
def aims(page: Page) -> Iterator[Finding]:
    """Three to five aims, and as many points under We learned."""
    counts = {name: len(re.findall(r"^\d+\. ", page.section(name), re.M)) for name in ("Aims", "We learned")}
    if not 3 <= counts["Aims"] <= 5:
        yield "page", f"there are {counts['Aims']} aims; a page has 3 to 5"
    if counts["We learned"] != counts["Aims"]:
        yield "page", f"We learned has {counts['We learned']} points for {counts['Aims']} aims; it mirrors them"


@rule
def predicts(page: Page) -> Iterator[Finding]:
    """A guess is asked before the first exercise, and revealed somewhere."""
    text = [c.source for c in page.code]
    asked = next((i for i, s in enumerate(text) if re.search(r"\bpredict\(", s)), None)
    first = next((i for i, c in enumerate(page.code) if _grader(c).get("solution")), len(text))
    if asked is None or asked > first:
        yield "page", "predict(...) must come before the first exercise"
    if not any(re.search(r"\breveal\(", s) for s in text):
        yield "page", "a guess is never shown beside its measurement: call reveal(...)"


@rule
def figure(page: Page) -> Iterator[Finding]:
    """One figure at least."""
    if not any(re.search(r"\b(show|svg)\(|Figure\(", c.source) for c in page.code):
        yield "page", "the page has no figure"


@rule
def lengths(page: Page) -> Iterator[Finding]:
    """Cells, words and lines stay within the bounds."""
    low, high = page.kind.cells
    if not low <= len(page.source.cells) <= high:
        yield "page", f"{len(page.source.cells)} cells; a page of this kind has {low} to {high}"
    words = sum(len(re.findall(r"[A-Za-z]{2,}", text)) for _, text in page.prose)
    if words > MOST_WORDS:
        yield "page", f"{words:,} words; at most {MOST_WORDS:,}"
    lines = {c.id: len([x for x in c.source.splitlines() if x.strip()]) for c in page.code}
    for cell, count in lines.items():
        if count > MOST_LINES:
            yield cell, f"{count} lines of code; at most {MOST_LINES}"
    if lines and median(lines.values()) > MEDIAN_LINES:
        yield "page", f"the median code cell has {median(lines.values()):g} lines; at most {MEDIAN_LINES}"


@rule
def exercises(page: Page) -> Iterator[Finding]:
    """Each exercise has a visible check, hidden tests, hints, five wrong answers, and two right ones written otherwise."""
    graded = {_grader(c)["grade_id"]: c for c in page.code if _grader(c).get("grade")}
    solved = [_grader(c)["grade_id"] for c in page.code if _grader(c).get("solution")]
    low, high = page.kind.exercises
    if not low <= len(solved) <= high:
        yield "page", f"{len(solved)} exercises; a page of this kind has {low} to {high}"
    caught, ways = (Counter(answer.grade_id for answer in answers) for answers in (page.wrong, page.right))
    text = "\n".join(c.source for c in page.code)
    for grade_id in solved:
        exercise = grade_id.rsplit("_", 1)[0]
        if f'check("{exercise}"' not in getattr(graded.get(f"{exercise}_check"), "source", ""):
            yield grade_id, f'no graded cell {exercise}_check calls check("{exercise}", ...)'
        if "BEGIN HIDDEN TESTS" not in getattr(graded.get(f"{exercise}_hidden"), "source", ""):
            yield grade_id, f"no graded cell {exercise}_hidden holds hidden tests"
        if f'hints("{exercise}")' not in text:
            yield grade_id, f'hints("{exercise}") is never called'
        if caught[grade_id] < 5:
            yield grade_id, f"{caught[grade_id]} wrong answers; at least 5"
        if ways[grade_id] < 2:
            yield grade_id, f"{ways[grade_id]} right answers written otherwise; at least 2"


@rule
def ids(page: Page) -> Iterator[Finding]:
    """Grade ids carry the number of their lesson and a part in words; cell ids are unique."""
    number = page.path.parent.name[:2]
    for cell in page.source.cells:
        grade_id = _grader(cell).get("grade_id")
        if grade_id and not re.fullmatch(rf"l{number}(_[a-z0-9]+)+", grade_id):
            yield grade_id, f"a grade id here looks like l{number}_e1_what, in lower case"
    for name, count in Counter(c.id for c in page.source.cells).items():
        if count > 1:
            yield name, f"{count} cells have this id"


@rule
def alt_text(page: Page) -> Iterator[Finding]:
    """Every image says in words what it shows: in markdown, in calls, and in stored outputs."""
    for cell, text in page.prose:
        if re.search(r"!\[\s*\]\(", text) or re.search(r"<img(?![^>]*\balt=\"[^\"]+\")[^>]*>", text):
            yield cell, "an image has no alternative text"
    for cell in page.code:
        for call in re.findall(
            r"(?<![\w.])(?:page\.)?(?:show|svg)\((?!\*)(?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)", cell.source
        ):
            if "alt=" not in call or re.search(r"alt=f?(\"\"|'')\s*[,)]", call):
                yield cell.id, "show() and svg() need alt=..., in words"
    for cell in page.solution.cells if page.solution else []:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data or "image/svg+xml" in data:
                yield cell.id, "a bare image output has no alternative text: use show() or svg()"
            if re.search(r"<img(?![^>]*\balt=\"[^\"]+\")[^>]*>", str(data.get("text/html", ""))):
                yield cell.id, "an image in the output has no alternative text"


@rule
def axis_letters(page: Page) -> Iterator[Finding]:
    """Shape comments use the course's letters: B, L, S, H, K, D."""
    for cell in page.code:
        for shape in re.findall(r"#[^\n(]*\(([^()\n]*,[^()\n]*)\)", cell.source):
            for letter in re.findall(r"\b[A-Z]\b", shape):
                if letter not in AXES:
                    yield cell.id, f"({shape}) uses the axis {letter}; the letters are {', '.join('BLSHKD')}"


@rule
def numbers(page: Page) -> Iterator[Finding]:
    """A number with a unit in prose says where it comes from, and agrees with it."""
    for cell, text in page.prose:
        for value, kind, key in MARK.findall(text):
            problem = _disagreement(page, value, kind, key)
            if problem:
                yield cell, problem
        plain = re.sub(r"`[^`]*`|\$[^$]*\$|^#.*$|^\*?Marking.*$", "", text, flags=re.M)
        for found in re.finditer(rf"({NUMBER})[ -]?({UNITS})(?![\w/])(.{{0,12}})", plain):
            size_of_a_value = found[2].startswith("byte") and float(found[1].replace(",", "")) < 10
            if size_of_a_value:  # "2 bytes a value" defines, it does not report
                continue
            if not re.match(r"[*)]{0,3}<!--\s*(claim|record|fact|cell|plan)\b", found[3]):
                yield (
                    cell,
                    f"{found[1]} {found[2]} has no source: add a mark such as <!-- cell --> or <!-- claim:ID -->",
                )


@rule
def links(page: Page) -> Iterator[Finding]:
    """Relative links lead to files that exist; addresses appear only where the build makes them."""
    for cell, text in page.prose:
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"https?://", target):
                if re.match(LASTING, target):
                    continue
                yield cell, f"{target}: write sources by name; addresses come from [tool.lessonlib] repository"
            elif not target.startswith("#") and not (page.path.parent / target.split("#")[0]).exists():
                yield cell, f"the link {target} leads nowhere"


@rule
def claims(page: Page) -> Iterator[Finding]:
    """Claim ids exist, and what a corrections table lists was corrected."""
    for cell in page.source.cells:
        named = re.findall(r"\bS\d\d-\d\d\d\b", cell.source)
        if cell.cell_type == "markdown":
            named += CLAIM_MARK.findall(cell.source)
        else:
            try:
                named += called_with(cell.source)
            except ValueError as error:
                yield cell.id, str(error)
        for claim_id in dict.fromkeys(named):
            try:
                claim = catalog.claim(claim_id)
            except ValueError as error:
                yield cell.id, str(error)
                continue
            if claim.id != claim_id:
                yield cell.id, f"write {claim.id} for {claim_id}"
            if cell.cell_type == "code" and "corrections(" in cell.source and claim.verdict != "corrected":
                yield cell.id, f"{claim_id} is {claim.verdict}, not corrected"


@rule
def quiz(page: Page) -> Iterator[Finding]:
    """The quiz exists and has four to six questions."""
    from ..page import quizzes

    for cell in page.code:
        for name in re.findall(r"\bquiz\(\"([^\"]+)\"\)", cell.source):
            try:
                count = len(quizzes.load(name))
            except ValueError as error:
                yield cell.id, str(error)
                continue
            if not 4 <= count <= 6:
                yield cell.id, f"the quiz has {count} questions; 4 to 6"


@rule
def built(page: Page) -> Iterator[Finding]:
    """Built notebooks hold no machine's paths, no widget state, no addresses of objects, and no failed cell."""
    for notebook in filter(None, (page.solution, page.learner)):
        if "widgets" in notebook.metadata:
            yield "page", "widget state is stored in the notebook"
        for cell in notebook.cells:
            stored = json.dumps(cell.get("outputs", []))
            stored = re.sub(r"base64,[A-Za-z0-9+/=]+", "", stored)
            if MACHINE_PATH.search(stored):
                yield cell.id, f"a path of one machine: {MACHINE_PATH.search(stored)[0]}"
            if "widget-view+json" in stored:
                yield cell.id, "a live widget view is stored"
            if re.search(r" at 0x[0-9a-f]{6,}", stored):
                yield cell.id, "the address of an object is stored"
            if any(o.output_type == "error" for o in cell.get("outputs", [])):
                yield cell.id, "an error output is stored"


def _visible(output) -> str:
    """An output without styles, tags and drawings: the words and numbers that stand on the page."""
    data = output.get("data", {})
    text = "".join(output.get("text", "")) + "\n" + "".join(data.get("text/plain", ""))
    html = re.sub(r"<(style|svg)\b.*?</\1>|<[^>]*>", " ", "".join(data.get("text/html", "")), flags=re.S)
    return f"{text}\n{html}"


def _made(cell) -> bool:
    return bool({"badges", "bootstrap"} & set(cell.metadata.get("tags", [])))


def _grader(cell) -> dict:
    return cell.metadata.get("nbgrader", {})


def _disagreement(page: Page, value: str, kind: str, key: str) -> str | None:
    """Why `value`, as printed, is not what its source says; None when it is, or when it is a plan."""
    if kind == "plan":
        return None
    if kind == "cell":
        plain = value.replace(",", "")
        if not re.search(rf"(?<![\d.]){re.escape(plain)}(?!\d)", page.outputs.replace(",", "")):
            return f"{value} stands in no stored output"
        return None
    try:
        known = _values(page, kind, key)
    except (ValueError, KeyError, AttributeError, OSError) as error:
        return f"{kind}:{key}: {error}"
    shown = float(value.replace(",", ""))
    digits = len(value.partition(".")[2])
    if any(abs(round(x, digits) - shown) < 10**-9 + 1e-12 * abs(shown) for x in known):
        return None
    return f"{value} is not what {kind}:{key} says ({', '.join(f'{x:g}' for x in known[:4])})"


def _values(page: Page, kind: str, key: str) -> list[float]:
    """The numbers that a source holds."""
    if kind == "record":
        name, _, metric = key.partition("#")
        file = page.root / "benchmarks" / "results" / f"{name}.json"
        return [float(json.loads(file.read_text(encoding="utf-8"))["metrics"][metric]["median"])]
    if kind == "claim":
        claim = catalog.claim(key)
        return _numbers_in([claim.get("right_value"), claim.get("value"), claim.get("expected")])
    return _numbers_in(catalog.fact(key))


def _numbers_in(value) -> list[float]:
    """All numbers of a value of the fact base, also those in its text."""
    if isinstance(value, (int, float)):
        return [float(value)]
    if isinstance(value, (list, dict)):
        return [x for inner in (value.values() if isinstance(value, dict) else value) for x in _numbers_in(inner)]
    return [float(x.replace(",", "")) for x in re.findall(NUMBER, str(value))]
