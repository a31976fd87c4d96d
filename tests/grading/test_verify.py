"""Verification: a sound assignment passes, and each kind of unsound one is named."""

from __future__ import annotations

import json

import pytest

from lessonlib.checks.teeth import WrongAnswer
from lessonlib.grading import batch, engine, results, verify
from lessonlib.grading.course import Course

from .attacks.assignment import DOUBLE, submission
from .conftest import hand_in, tiny_course

pytestmark = pytest.mark.sandbox
LIMITS = engine.Limits(cell=2.0, total=20.0)
SOUND = [
    WrongAnswer("double", "square", "def double(x):\n    return x * x\n", "AssertionError"),
    WrongAnswer("double", "endless", "def double(x):\n    while True:\n        pass\n", "CellTimeoutError"),
    WrongAnswer("even", "no error", "def even(n):\n    return n % 2 == 0 if n != 'x' else None\n", "no ValueError"),
]


@pytest.fixture
def check(tiny):
    """Verify the tiny course with these wrong answers, after this change of its source's text."""

    def run(wrong=(), change=lambda text: text) -> dict:
        folder = tiny / "source" / "hw"
        lines = [f"WrongAnswer(**{vars(answer)!r})," for answer in wrong]
        text = "\n".join(["from lessonlib.checks.teeth import WrongAnswer", "WRONG_ANSWERS = [", *lines, "]\n"])
        (folder / "wrong_answers.py").write_text(text, encoding="utf-8")
        source = folder / "small.ipynb"
        source.write_text(change(source.read_text(encoding="utf-8")), encoding="utf-8")
        return verify.check(Course(tiny), "hw", LIMITS, jobs=2)

    return run


def test_a_sound_assignment(check, tiny):
    made = check(SOUND)
    assert made["ok"] and made["problems"] == []
    small = made["notebooks"]["small"]
    assert small["solution"] == [7, 7] and small["untouched"] == 0
    assert small["failing"] == small["in_kernel"] == small["notes"] == []
    assert [(w["name"], w["score"], w["max_score"], w["says"]) for w in small["wrong_answers"]] == [
        ("square", 0, 3, True),
        ("endless", 0, 3, True),
        ("no error", 1, 4, True),
    ]
    assert results.read_json(tiny / "reports" / "hw" / "verify.json") == made


def test_without_wrong_answers_and_what_it_tells_on_the_way(tiny):
    told = []
    assert verify.check(Course(tiny), "hw", LIMITS, progress=lambda *about: told.append(about))["ok"]
    assert [about[:2] for about in told] == [(1, 2), (2, 2)]
    assert {row["student"]: row["score"] for _, _, row in told} == {"solution": 7, "untouched": 0}


@pytest.mark.parametrize(
    "wrong, words",
    [
        (WrongAnswer("double", "right", DOUBLE, "AssertionError"), "wrong answer right of double earns 3 of 3"),
        (WrongAnswer("double", "square", "def double(x):\n    return x ** 2\n", "a hint"), "its message 'a hint'"),
        (WrongAnswer("triple", "square", "def double(x):\n    return 0\n", "x"), "triple, which is no exercise of hw"),
    ],
)
def test_a_wrong_answer_that_proves_nothing(check, wrong, words):
    made = check([*SOUND[:1], wrong])
    assert not made["ok"] and len(made["problems"]) == 1 and words in made["problems"][0]


def test_a_wrong_solution(check):
    made = check(change=lambda text: text.replace("return 2 * x", "return 3 * x"))
    assert not made["ok"] and made["notebooks"]["small"]["solution"] == [4, 7]
    assert made["problems"][0].startswith("the solution of small earns 0 of 1 in double_check: ")
    assert "double_check fails with the solution" in made["notebooks"]["small"]["failing"][0]


def test_points_for_nothing(tmp_path):
    def generous(text: str) -> str:
        return text.replace("assert even(2) is True", "True")

    root = tiny_course(tmp_path / "course", change=generous)
    made = verify.check(Course(root), "hw", LIMITS)
    assert made["problems"] == ["the untouched edition of small earns 1 of 1 in even_check"]


def test_a_broken_file_of_wrong_answers_is_one_sentence(tiny):
    (tiny / "source" / "hw" / "wrong_answers.py").write_text("WRONG_ANSWERS = [nothing]")
    with pytest.raises(ValueError, match=r"wrong_answers.py of hw cannot be read \(NameError: name 'nothing'"):
        verify.check(Course(tiny), "hw", LIMITS)


def test_a_batch_demands_it_once_for_each_state_of_the_source(tiny, monkeypatch):
    hand_in(tiny, "ann", submission())
    done = []
    examine = verify.examine
    monkeypatch.setattr(verify, "examine", lambda task: done.append(1) or examine(task))

    def grade(**options) -> dict:
        return batch.run(Course(tiny), "hw", limits=LIMITS, jobs=2, **options)

    assert not grade(check=verify.demand)["unverified"] and len(done) == 1
    assert grade(check=verify.demand)["counts"] == {"graded": 1} and len(done) == 1
    source = tiny / "source" / "hw" / "small.ipynb"
    source.write_text(source.read_text().replace("return 2 * x", "return 3 * x"))
    with pytest.raises(
        ValueError, match="hw is not verified, so nothing was graded: the solution of small earns 0 of 1"
    ):
        grade(check=verify.demand)
    assert len(done) == 2
    with pytest.raises(ValueError, match="and 1 more, which lessonlib grade verify hw names"):
        grade(check=verify.demand)
    assert len(done) == 3  # a failure may have been the machine's: it is tried again
    assert grade()["unverified"]


def test_tests_that_run_beside_the_students_code_are_listed(tmp_path):
    def tag(text: str) -> str:
        book = json.loads(text)
        for cell in book["cells"]:
            if cell["metadata"].get("nbgrader", {}).get("grade_id") == "double_check":
                cell["metadata"]["tags"] = ["in-kernel"]
        return json.dumps(book)

    made = verify.check(Course(tiny_course(tmp_path / "course", change=tag)), "hw", LIMITS)
    assert made["ok"] and made["notebooks"]["small"]["in_kernel"] == ["double_check"]
