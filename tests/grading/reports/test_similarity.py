"""Pairs that are alike: copies are found through renaming and reformatting, honest answers and shared stubs are not."""

from __future__ import annotations

import json
import random
import re
from html.parser import HTMLParser

import pytest

from lessonlib.commands import grade, grade_similarity
from lessonlib.grading.course import Course
from lessonlib.grading.reports import similarity
from lessonlib.grading.reports.similarity import Cell

from ..attacks import assignment as tiny
from .test_export import fake_record, hand_in, make_course

CELLS = 6
NAMES = "total result rows out acc value items best answer data count left right limit cost size load share extra base".split()


def expression(rng: random.Random, names: list[str], depth: int = 0) -> str:
    kind = rng.random()
    if depth > 2 or kind < 0.45:
        return rng.choice(names) if rng.random() < 0.7 else str(rng.choice([0, 1, 2, 8, 16, 1.5, 1000]))
    one, two = expression(rng, names, depth + 1), expression(rng, names, depth + 1)
    if kind < 0.8:
        return f"{one} {rng.choice(['+', '-', '*', '/', '//', '%'])} {two}"
    if kind < 0.9:
        return f"{rng.choice(['min', 'max', 'abs', 'round'])}({one}, {two})"
    return f"({one} if {rng.choice(names)} > {rng.choice([0, 1, 10])} else {two})"


def body(rng: random.Random) -> list[str]:
    """Statements that one person might write; they always parse."""
    names, lines = ["a", "b", "c"], []
    for _ in range(rng.randint(4, 7)):
        kind, new = rng.random(), rng.choice(NAMES)
        if kind < 0.6:
            lines.append(f"    {new} = {expression(rng, names)}")
            names.append(new)
        elif kind < 0.8:
            lines += [
                f"    for {new} in range({rng.choice(names)}):",
                f"        {names[-1]} += {expression(rng, [*names, new])}",
            ]
        else:
            lines += [
                f"    if {rng.choice(names)} < {expression(rng, names)}:",
                f"        return {expression(rng, names)}",
            ]
    return [*lines, f"    return {expression(rng, names)}"]


def klass(students: int, seed: int = 0) -> dict:
    """A class in which 40 % write the obvious answer, 30 % that with one line of their own, the others something else."""
    rng, made = random.Random(seed), {}
    obvious = [body(random.Random(f"obvious {n}")) for n in range(CELLS)]
    for student in range(students):
        made[f"s{student:03}"] = answers = {}
        for n in range(CELLS):
            kind, lines = rng.random(), list(obvious[n])
            if kind < 0.3:
                lines = body(rng)
            elif kind < 0.6:
                lines.insert(0, f"    {rng.choice(NAMES)} = {expression(rng, ['a', 'b', 'c'])}")
            answers["nb", f"c{n}"] = "\n".join([f"def f{n}(a, b, c):", *lines])
    return made


def cells() -> list[Cell]:
    return [Cell("nb", f"c{n}", stub=f"def f{n}(a, b, c):\n    raise NotImplementedError") for n in range(CELLS)]


def original(seed: str = "mine") -> dict:
    """One student's own answers."""
    return {
        ("nb", f"c{n}"): "\n".join([f"def f{n}(a, b, c):", *body(random.Random(f"{seed} {n}"))]) for n in range(CELLS)
    }


def renamed(source: str) -> str:
    names: dict[str, str] = {}
    return re.sub(r"\w+", lambda w: names.setdefault(w[0], f"zz{len(names)}") if w[0] in NAMES else w[0], source)


def reformatted(source: str) -> str:
    first, *rest = source.replace(" = ", "=").replace(" + ", "  +  ").split("\n")
    return "\n\n".join([first, '    """What it does."""', *rest]) + "\n"


def commented(source: str) -> str:
    return "# my own work\n" + "\n".join(f"{line}  # step {n}" for n, line in enumerate(source.split("\n")))


def reordered(source: str) -> str:
    """Two plain assignments exchanged."""
    lines = source.split("\n")
    plain = [n for n, line in enumerate(lines) if re.match(r"    \w+ = ", line)]
    if len(plain) > 1:
        lines[plain[0]], lines[plain[-1]] = lines[plain[-1]], lines[plain[0]]
    return "\n".join(lines)


DISGUISES = {
    "as it is": lambda s: s,
    "renamed": renamed,
    "reformatted": reformatted,
    "commented": commented,
    "reordered": reordered,
    "all of it": lambda s: commented(reformatted(reordered(renamed(s)))),
}


@pytest.mark.parametrize("students, seed", [(5, 1), (12, 2), (40, 3), (90, 4)])
def test_an_honest_class_has_no_pairs(students, seed):
    result = similarity.compare(cells(), klass(students, seed))
    assert result["pairs"] == [] and result["groups"] == [] and result["students"] == students
    assert any("Only 5 submissions" in note for note in result["notes"]) is (students == 5)


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_copy_is_found(disguise):
    answers = klass(40) | {"author": original(), "other": {k: DISGUISES[disguise](s) for k, s in original().items()}}
    (pair,) = similarity.compare(cells(), answers)["pairs"]
    assert {pair["a"], pair["b"]} == {"author", "other"} and pair["alike"] > 0.9 and pair["whole"]
    assert len(pair["cells"]) == CELLS and all(c["alike"] is None or c["alike"] > 0.7 for c in pair["cells"])
    typed = {c["as_typed"] for c in pair["cells"]}
    assert typed == {1.0} if disguise == "as it is" else min(typed) < 1


def test_one_long_copied_cell_is_found_alone():
    long = "\n".join(
        ["def f0(a, b, c):", *body(random.Random("x")), *body(random.Random("y")), *body(random.Random("z"))]
    )
    answers = klass(40) | {
        "one": original("p") | {("nb", "c0"): long},
        "two": original("q") | {("nb", "c0"): renamed(long)},
    }
    (pair,) = similarity.compare(cells(), answers)["pairs"]
    assert {pair["a"], pair["b"]} == {"one", "two"} and not pair["whole"]
    assert [c["id"] for c in pair["cells"] if (c["alike"] or 0) >= 0.8] == ["c0"]


def test_a_chain_of_copies_is_one_group():
    copies = {
        name: {k: DISGUISES[d](s) for k, s in original().items()} for name, d in zip("xyz", DISGUISES, strict=False)
    }
    result = similarity.compare(cells(), klass(40) | copies)
    assert result["groups"] == [("x", "y", "z")] and len(result["pairs"]) == 3


def test_what_a_tenth_of_the_class_has_counts_nothing():
    same = original()
    answers = klass(40) | {f"t{n}": dict(same) for n in range(8)}
    assert similarity.compare(cells(), answers)["pairs"] == []
    assert [similarity.rarity(n, 100) for n in (1, 2, 7, 12, 50)] == [1, 1, 0.5, 0, 0]
    assert similarity.rarity(2, 3) == 1 and similarity.rarity(5, 10) == 0


def test_the_stub_the_examples_and_the_solution_count_nothing():
    given = "\n".join(["def f(a, b, c):", *body(random.Random("given"))])
    # two of twelve have it, which would be rare
    two = {f"s{n}": {("nb", "c"): f"{given}\ny{n} = {n}" if n < 2 else f"x{n} = {n} + {n * 7}"} for n in range(12)}
    assert len(similarity.compare([Cell("nb", "c")], two)["pairs"]) == 1
    for cell in (Cell("nb", "c", stub=given), Cell("nb", "c", given=[given]), Cell("nb", "c", solution=given)):
        assert similarity.compare([cell], two)["pairs"] == []


def test_untouched_answers_are_nobodys():
    """They are no pairs, and they make nothing rare: of those who wrote something, all eight have the same."""
    untouched = {key: cell.stub for key, cell in zip(original(), cells(), strict=True)}
    answers = {f"s{n}": untouched for n in range(100)} | {f"t{n}": original() for n in range(8)}
    assert similarity.compare(cells(), answers)["pairs"] == []


def test_code_that_does_not_parse_is_compared_as_text():
    broken = {k: s + "\n    return (1 +" for k, s in original().items()}
    assert similarity.tokens(broken["nb", "c0"])[1] and not similarity.tokens(original()["nb", "c0"])[1]
    result = similarity.compare(cells(), klass(40) | {"a": broken, "b": {k: renamed(s) for k, s in broken.items()}})
    assert [(p["a"], p["b"]) for p in result["pairs"]] == [("a", "b")]
    assert any("no valid Python" in note for note in result["notes"])


@pytest.mark.parametrize(
    "source", ["\x00", "(" * 5000, "x = 1\n\ty = 2", "'''", "%%time\nprint(1)", "é = 'ü'", "", "\n"]
)
def test_any_text_is_compared(source):
    answers = {name: {("nb", "c"): source} for name in "ab"}
    assert similarity.compare([Cell("nb", "c")], answers)["students"] == 2


def test_magics_do_not_hide_code():
    source = "%matplotlib inline\n!ls\nx = 1 + 2\n"
    found, rough = similarity.tokens(source)
    assert not rough and [t.text for t in found] == ["x", "=", "1", "+", "2"] and found[0].start == (3, 0)


def test_tokens():
    one, _ = similarity.tokens("def f(x):\n    '''doc'''\n    y = [x, 'a',]  # note\n    return y.size; z = 1")
    two, _ = similarity.tokens('def f(x):\n    y = [x, "a"]\n    return y.size\n    z = 1')
    assert [t.text for t in one] == [t.text for t in two]
    assert {t.text for t in one if t.chosen} == {"f", "x", "y", "z"}  # size belongs to the object, return to Python
    assert [t.text for t in similarity.tokens("Keys, and VALUES.", "text")[0]] == ["keys", "and", "values"]
    assert not any(t.chosen for t in similarity.tokens("budget(len(a))", fixed={"budget", "a"})[0])


def test_written_answers_by_words():
    essay = "Each token adds two vectors a layer, so the cache grows with the text while the weights stay what they were all along."
    others = ["The cache holds keys and values.", "It is small.", "Memory is full at once.", "Weights fit."]
    answers = {f"s{n}": {("nb", "why"): text} for n, text in enumerate(others)}
    answers |= {"a": {("nb", "why"): essay}, "b": {("nb", "why"): essay.upper().replace(",", ";\n")}}
    (pair,) = similarity.compare([Cell("nb", "why", "text", "YOUR ANSWER HERE")], answers)["pairs"]
    assert (pair["a"], pair["b"], pair["alike"]) == ("a", "b", 1.0)


def test_the_threshold_is_checked():
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        similarity.compare(cells(), {}, 80)


def test_shared_parts_are_the_shared_columns():
    answers = klass(20) | {
        "a": original(),
        "b": {k: renamed(s) + "\n    own = 4321 * 77 - 3 + a" for k, s in original().items()},
    }
    left, right = similarity.shared(cells()[0], answers, "a", "b")
    assert [text for text, _ in left] == original()["nb", "c0"].split("\n")
    assert sum(bool(spans) for _, spans in left) >= 3 and right[-1][1] == []
    for text, spans in [*left, *right]:
        assert all(0 <= first < last <= len(text) for first, last in spans)


class Outline(HTMLParser):
    """Headings, ids, links, and what may not be there."""

    def __init__(self, text: str):
        super().__init__()
        self.levels, self.ids, self.links, self.tags, self.marked = [], [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.tags.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        self.ids += [about["id"]] if "id" in about else []
        self.links += [about["href"]] if "href" in about else []
        assert not any(name.startswith("on") for name in about), about

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "mark":
            self.marked.append(data)


def sound(text: str) -> Outline:
    """The outline of a page that has one h1, no skipped level, no script, no dangling anchor."""
    outline = Outline(text)
    assert outline.levels.count(1) == 1 and outline.levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
    assert len(set(outline.ids)) == len(outline.ids) and {"script", "iframe"}.isdisjoint(outline.tags)
    assert all(link[1:] in outline.ids for link in outline.links if link.startswith("#"))
    assert not any(link.startswith(("http", "//")) for link in outline.links)
    return outline


def test_the_page_shows_pairs_and_accuses_nobody():
    name = "<script>alert(1)</script>"
    copy = {k: renamed(s) + "\n# <img src=x onerror=alert(1)>" for k, s in original().items()}
    answers = klass(20) | {"author": original(), name: copy}
    result = {"assignment": "ps", "notebooks": ["nb"], **similarity.compare(cells(), answers)}
    text = grade_similarity.page(result, cells(), answers)
    outline = sound(text)
    assert "#pair-1" in outline.links and "pair-1" in outline.ids and outline.marked
    assert name not in text and "&lt;script&gt;" in text and "<img" not in text
    assert not re.search(r"plagiar|cheat|guilt|copied from|suspect|fraud", text, re.I)
    assert "What they cannot tell" in text
    empty = grade_similarity.page({**result, "pairs": [], "groups": []}, cells(), answers)
    assert "no pair among 22" in empty and sound(empty).marked == []


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Fourteen students; "ann" and "bob" have one long answer under other names."""
    root = tmp_path_factory.mktemp("alike") / "course"
    root.mkdir()
    made = make_course(root, {"ps": {"tiny": tiny.instructor()}})
    shot = made.snapshot("ps", "tiny")
    mine = "\n".join(["def double(x, a, b, c):", *body(random.Random("m")), *body(random.Random("n"))])
    for n in range(12):
        own = f"def double(x):\n    y{n} = x * {n + 2}\n    return y{n} - x * {n}"
        hand_in(made, "ps", "tiny", f"s{n}", fake_record(shot, tiny.submission(double=own, why=f"Because {n} is {n}.")))
    for student, source in (("ann", mine), ("bob", renamed(mine))):
        book = tiny.submission(double=source)
        book["cells"].append({"cell_type": "code", "metadata": {}, "source": f"print({student!r})", "outputs": []})
        hand_in(made, "ps", "tiny", student, fake_record(shot, book))
    (made.reports("ps") / "records" / "bob" / "tiny.json").unlink()  # graded by stock: the autograded notebook counts
    return root


def test_the_command(course, capsys):
    assert grade.main(["similarity", "ps", "--course", str(course), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert [(p["a"], p["b"]) for p in said["pairs"]] == [("ann", "bob")] and said["students"] == 14
    assert {c["id"] for c in said["pairs"][0]["cells"]} == {"double", "even", "why", similarity.OWN}
    folder = Course(course).reports("ps")
    written = json.loads((folder / "similarity.json").read_text())
    assert written["pairs"] == said["pairs"] and (folder / "similarity.html").read_text().startswith("<!doctype html>")
    assert grade.main(["similarity", "ps", "--course", str(course)]) == 1
    assert "ann and bob" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--threshold", "1.5"], "above 0 and at most 1"),
        (["--notebook", "tiny2"], "has no notebook 'tiny2'"),
    ],
)
def test_mistakes_are_one_sentence(course, capsys, arguments, says):
    assert grade.main(["similarity", "ps", *arguments, "--course", str(course)]) == 2
    assert says in (said := capsys.readouterr().err) and said.count("\n") == 1
