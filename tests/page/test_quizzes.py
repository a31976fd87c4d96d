import copy

import pytest

from lessonlib.page import quizzes

GOOD = {
    "id": "98_x",
    "questions": [
        {"ask": "Which?", "options": [{"text": "a", "right": True, "why": "yes"}, {"text": "b", "why": "no"}]},
    ],
}


def broken(change):
    data = copy.deepcopy(GOOD)
    change(data)
    return data


def option(number, **fields):
    return lambda data: data["questions"][0]["options"][number].update(fields)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(id="99_y"), "its id is '99_y', but must be '98_x'"),
        (lambda d: d.update(questions=[]), "questions must be a list of at least one"),
        (lambda d: d.update(title="t"), "unknown field title; known: id, questions"),
        (lambda d: d["questions"][0].pop("ask"), "question 1: ask is missing"),
        (lambda d: d["questions"][0].update(ask="  "), "question 1: ask is empty"),
        (lambda d: d["questions"][0]["options"].pop(), "needs a list of 2 to 6 options"),
        (option(0, right=False), "0 options are marked right: true, but exactly one must be"),
        (option(1, right=True), "2 options are marked right: true"),
        (option(0, right="yes"), "option 1: right is 'yes', but must be true or false"),
        (option(1, why=""), "question 1, option 2: why is empty"),
        (lambda d: d["questions"][0]["options"][1].pop("why"), "option 2: why is missing"),
        (option(1, reason="x"), "option 2: it has an unknown field reason"),
        (option(1, text="a"), "two options have the same text"),
        (lambda d: d["questions"].append("text"), "question 2: it must be a table"),
    ],
)
def test_mistakes_are_named(change, says):
    with pytest.raises(ValueError, match=says):
        quizzes.parse(broken(change), "98_x")


def test_a_list_is_no_quiz():
    with pytest.raises(ValueError, match="the file must be a table"):
        quizzes.parse(["x"], "98_x")


def test_files(tmp_path):
    (tmp_path / "98_x.yaml").write_text("id: 98_x\nquestions: [", encoding="utf-8")
    with pytest.raises(ValueError, match="98_x.yaml is not YAML"):
        quizzes.load("98_x", tmp_path)
    with pytest.raises(ValueError, match="no quiz '98_z'; known quizzes: 98_x"):
        quizzes.load("98_z", tmp_path)


def test_options_are_shuffled_the_same_way_each_time():
    texts = [str(i) for i in range(6)]
    data = {"id": "q", "questions": [
        {"ask": f"question {n}", "options": [{"text": t, "right": t == "0", "why": "w"} for t in texts]} for n in range(40)
    ]}  # fmt: skip
    one, two = quizzes.parse(data, "q"), quizzes.parse(data, "q")
    assert one == two
    places = [[o.right for o in q.options].index(True) for q in one]
    assert len(set(places)) == 6  # 40 questions miss one of 6 places with odds of about 0.4 %, and the order is fixed
    for question in data["questions"]:
        question["keep_order"] = True
    assert [o.text for o in quizzes.parse(data, "q")[0].options] == texts


@pytest.mark.parametrize("path", sorted(quizzes.HERE.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_courses_quizzes_are_sound(path):
    questions = quizzes.load(path.stem)
    assert 1 <= len(questions) <= 6
    assert quizzes.stored_html(questions).count("<details") == len(questions)
