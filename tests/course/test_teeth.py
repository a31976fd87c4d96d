"""The teeth of a small lesson are measured, and each way to have none is told in a sentence."""

import json
import shutil

import pytest

from lessonlib.commands import verify
from lessonlib.course import teeth
from lessonlib.course.build import main as build
from lessonlib.course.score import score

from .conftest import make

WRONG = """\
from lessonlib.checks.teeth import WrongAnswer

WRONG_ANSWERS = [
    WrongAnswer("l91_e1_twice", "constant", "def twice(x):\\n    return {constant}\\n", "{says}"),
    WrongAnswer("l91_e1_twice", "never_ends", "def twice(x):\\n    while True: pass\\n", "stopped"),
]
"""


RIGHT = """\
from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [RightAnswer("l91_e1_twice", "sum", "def twice(x):\\n    return sum([x, {other}])\\n")]
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sample, built once."""
    root = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as patch:
        make(root, patch)
        assert build([]) == 0
    return root


@pytest.fixture
def course(built, tmp_path, monkeypatch):
    """A copy of it, which is also the working directory."""
    root = shutil.copytree(built, tmp_path / "course")
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def lesson(course, monkeypatch):
    """Write wrong answers and judgements."""
    monkeypatch.setattr(teeth, "LIMIT", 2.0)
    folder = course / "solutions" / "91_sample"

    def made(constant="5", says="twice of 2 is 4", equivalent=None, other="x"):
        (folder / "right_answers.py").write_text(RIGHT.replace("{other}", other), encoding="utf-8")
        text = WRONG.replace("{constant}", constant).replace("{says}", says)
        (folder / "wrong_answers.py").write_text(text, encoding="utf-8")
        if equivalent is not None:
            (folder / teeth.EQUIVALENT).write_text(equivalent, encoding="utf-8")
        return teeth.measure(folder / "91_sample.py", course)

    return made


def test_a_lesson_with_teeth(lesson):
    found = lesson()
    [exercise] = found.exercises
    assert found.problems == [] and exercise.survivors == []
    assert (
        exercise.named == 2
        and exercise.other_ways == 1
        and exercise.killed == exercise.mutants >= 4
        and exercise.points == 5
    )
    assert teeth.share(found.exercises) == 1.0


def test_what_is_wrong_is_told(lesson):
    assert lesson(constant="2 * x").problems == ["l91_e1_twice: the wrong answer constant earns full points"]
    assert lesson(says="GiB").problems == ["l91_e1_twice: the wrong answer constant does not earn 'GiB'"]
    [problem] = lesson(other="1").problems
    assert problem.startswith("l91_e1_twice: the right answer sum earns 1 of 5: ") and "twice of 2 is 4" in problem
    listed = (
        "l91_e1_twice:\n  'return 2 * x -> return 2 / x': it is called equivalent\n  'gone -> x': as it was before\n"
    )
    assert lesson(equivalent=listed).problems == [
        "l91_e1_twice: return 2 * x -> return 2 / x is called equivalent, but the tests catch it",
        "l91_e1_twice: gone -> x is called equivalent, but there is no such mutant",
    ]
    with pytest.raises(ValueError, match="reason why each is equivalent"):
        lesson(equivalent="l91_e1_twice: [a]\n")


def test_survivors_and_equivalents(course, lesson):
    source = course / "solutions" / "91_sample" / "91_sample.py"
    text = source.read_text(encoding="utf-8").replace("return 2 * x", "return 2 * x + 0 * x")
    source.write_text(text.replace("== 2 * x for x in range(4)", "== 2 * x for x in (2, 2, 2, 2)"), encoding="utf-8")
    assert build([]) == 0
    [exercise] = lesson().exercises
    names = [name for _, name in exercise.survivors]
    assert "return 2 * x + 0 * x -> return 2 * x - 0 * x" in names  # equal for every number
    assert "return 2 * x + 0 * x -> return 2 ** x + 0 * x" not in names
    judged = "l91_e1_twice:\n" + "".join(f"  {json.dumps(name)}: adding nothing changes nothing\n" for name in names)
    found = lesson(equivalent=judged)
    assert found.problems == [] and found.exercises[0].survivors == []
    assert len(found.exercises[0].equivalent) == len(names) and teeth.share(found.exercises) == 1.0


def test_the_command(lesson, capsys):
    lesson()
    assert verify.main(["91"]) == 0
    assert "100.0% of the mutants" in capsys.readouterr().out
    assert verify.main(["--all", "--no-mutants", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["share"] is None and data["lessons"][0]["exercises"][0]["mutants"] == 0
    lesson(constant="2 * x")
    assert verify.main(["91", "--no-mutants"]) == 1


@pytest.mark.parametrize(
    "line, sentence", [([], "Name a lesson"), (["91", "--all"], "one of the two"), (["77"], "No lesson")]
)
def test_a_mistake_is_one_sentence(course, capsys, line, sentence):
    assert verify.main(line) == 2
    assert sentence in capsys.readouterr().err


def test_what_is_not_built_is_named(course):
    shutil.rmtree(course / "notebooks")
    with pytest.raises(ValueError, match="91_sample is not built"):
        teeth.measure(course / "solutions" / "91_sample" / "91_sample.py", course)


def test_an_answer_that_ends_its_process_harms_no_other(course):
    codes = ["import os; os._exit(3)", "return 2 * x", "global print; print = None; return 2 * x", "return 2 * x"]
    answers = [{"grade_id": "l91_e1_twice", "code": f"def twice(x):\n    {code}\n"} for code in codes]
    found = score(course / "solutions" / "91_sample" / "91_sample.ipynb", answers, limit=20)["answers"]
    points = [[row[0] for row in cells.values()] for cells in found]
    assert points[0] == [0, 0] and points[1] == points[3] == [1, 4] and points[2] != [1, 4]
