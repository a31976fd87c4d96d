"""The checks of lesson 11 let right answers through, in any form, and catch every wrong one with its message."""

import math
from fractions import Fraction

import pytest

from lessonlib.checks import choosing_a_model as checks
from lessonlib.checks.core import CheckFailed, exercise, run_check, run_properties, score_properties
from lessonlib.course.lint import wrong_answers
from lessonlib.course.score import exercise_of
from lessonlib.labs import choosing_a_model as lab
from lessonlib.paths import course_root

pytestmark = pytest.mark.l11
FOLDER = course_root(__file__) / "solutions" / "11_choosing_a_model"
NAMES = {"l11_e1": "headroom", "l11_e2": "decide", "l11_e3": "difference", "l11_e4": "rank"}
REFERENCE = {"l11_e1": lab.headroom, "l11_e2": lab.decide, "l11_e3": lab.difference, "l11_e4": lab.rank}


WRONG = wrong_answers(FOLDER / "11_choosing_a_model.py")


def _passes(name, answer):
    for seed in range(3):
        run_check(name, answer, seed)
        assert [r for r in run_properties(name, answer, seed) if not r.passed] == []
        assert score_properties(name, answer, points=2, seed=seed) == 2


@pytest.mark.parametrize("name", NAMES)
def test_reference_passes_with_full_points(name):
    _passes(name, REFERENCE[name])


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.grade_id}-{w.name}")
def test_wrong_answer_scores_less_and_earns_its_message(wrong):
    name, space = exercise_of(wrong.grade_id), {"lab": lab}
    exec(wrong.code, space)
    answer, messages = space[NAMES[name]], []
    try:
        run_check(name, answer)
    except CheckFailed as error:
        messages.append(str(error))
    results = run_properties(name, answer)
    assert messages or not all(r.passed for r in results), "it scores as much as a right answer"
    assert any(wrong.says in text for text in [*messages, *(r.message for r in results)]), messages or results


@pytest.mark.parametrize("name", NAMES)
def test_wrong_answers_fail_the_visible_check_mostly(name):
    """A learner should hear of a mistake in the notebook, not only from the grade."""
    caught = 0
    mine = [w for w in WRONG if exercise_of(w.grade_id) == name]
    for wrong in mine:
        space = {"lab": lab}
        exec(wrong.code, space)
        try:
            run_check(name, space[NAMES[name]])
        except CheckFailed:
            caught += 1
    assert caught >= len(mine) - 1


def test_each_exercise_has_eight_wrong_answers_with_names_of_their_own():
    for name in NAMES:
        mine = [w.name for w in WRONG if exercise_of(w.grade_id) == name]
        assert len(mine) >= 8 and len(set(mine)) == len(mine)


@pytest.mark.parametrize("name", NAMES)
def test_open_gap_is_not_written_yet(name):
    def gap(*_):
        raise NotImplementedError

    with pytest.raises(NotImplementedError):
        run_check(name, gap)
    assert score_properties(name, gap, points=2) == 0


def test_headroom_written_otherwise():
    """Token by token and layer by layer, in GiB until the end; and with exact fractions in a list."""

    def loops(model, need):
        tokens = sum((need["prompt_tokens"], need["answer_tokens"]))
        left = need["card_gib"] - need["overhead_bytes"] / 2**30
        left -= model["total_params"] / 8 * need["bits_per_weight"] / 2**30
        for _ in range(need["sequences"]):
            for _ in range(model["layers"]):
                one = model["kv_heads"] * model["head_dim"] * need["bytes_per_value"]
                left -= (one + one) * tokens / 2**30
        return model["native_window"] - tokens, left * 2**30

    def exact(model, need):
        tokens = need["prompt_tokens"] + need["answer_tokens"]
        per_token = model["layers"] * model["kv_heads"] * model["head_dim"] * Fraction(need["bytes_per_value"]) * 2
        used = Fraction(need["bits_per_weight"], 8) * model["total_params"] + per_token * tokens * need["sequences"]
        return [model["native_window"] - tokens, (need["card_gib"] << 30) - need["overhead_bytes"] - used]

    _passes("l11_e1", loops)
    _passes("l11_e1", exact)


def test_decide_written_otherwise():
    def late(terms, use):
        duties, unlimited = set(), math.inf
        if terms["use_policy"]:
            duties.add("follow the use policy")
        limits = [
            (use["users"], terms["show_name_above_users"]),
            (use["revenue_usd"], terms["show_name_above_revenue_usd"]),
        ]
        if use["commercial"] and (
            terms["show_name_always"] or any(v > (unlimited if m is None else m) for v, m in limits)
        ):
            duties.add("show the name")
        most = terms["ask_above_users_at_release"]
        word = "yes" if most is None or use["users_at_release"] <= most else "ask"
        if use["domicile"] in terms["not_granted_in"] or use["commercial"] > terms["commercial"]:
            word = "no"
        return [word, duties if word == "yes" else ()]

    def early(terms, use):
        if use["commercial"] and not terms["commercial"]:
            return "no", ()
        for place in terms["not_granted_in"]:
            if place == use["domicile"]:
                return "no", ()
        if terms["ask_above_users_at_release"] and terms["ask_above_users_at_release"] < use["users_at_release"]:
            return "ask", ()
        duties = ["follow the use policy"] * terms["use_policy"]
        shows = terms["show_name_always"]
        for limit, value in (("users", use["users"]), ("revenue_usd", use["revenue_usd"])):
            if terms[f"show_name_above_{limit}"] and value > terms[f"show_name_above_{limit}"]:
                shows = True
        return "yes", tuple(duties + ["show the name"] * (shows and use["commercial"]))

    _passes("l11_e2", late)
    _passes("l11_e2", early)


def test_difference_written_otherwise():
    def counts(a, b, tasks):
        """Variances of counts, the exact quantile."""
        spread = (a * (tasks - a) + b * (tasks - b)) / tasks
        reach = lab.Z95 * math.sqrt(spread) / tasks * 100
        return [100 * a / tasks - 100 * b / tasks - reach, 100 * (a - b) / tasks + reach]

    def items(a, b, tasks):
        """Item by item: the variance of a list of zeros and ones."""

        def moments(right):
            values = [1] * right + [0] * (tasks - right)
            mean = sum(values) / tasks
            return mean, sum((v - mean) ** 2 for v in values) / tasks / tasks

        (one, first), (two, second) = moments(a), moments(b)
        reach = 1.96 * math.sqrt(first + second)
        return 100 * (one - two - reach), 100 * (one - two + reach)

    _passes("l11_e3", counts)
    _passes("l11_e3", items)


def test_rank_written_otherwise():
    def one_key(candidates):
        passing = [c for c in candidates if min(c["spare_bytes"], c["spare_tokens"]) >= 0 and c["licence"] == "yes"]
        top = max((c["solved"] for c in passing), default=0)

        def key(c):
            low, high = lab.difference(c["solved"], top, c["tasks"])
            return (0, 0, c["active_params"]) if high >= 0 else (1, -c["solved"], c["active_params"])

        return tuple(c["name"] for c in sorted(passing, key=key))

    def picks(candidates):
        left, order, best = list(candidates), [], None
        left = [c for c in left if not (c["spare_bytes"] < 0 or c["spare_tokens"] < 0 or c["licence"] != "yes")]
        best = sorted(left, key=lambda c: c["solved"])[-1]["solved"] if left else None
        while left:
            near = [c for c in left if lab.difference(best, c["solved"], c["tasks"])[0] <= 0]
            one = (
                min(near, key=lambda c: c["active_params"])
                if near
                else max(left, key=lambda c: (c["solved"], -c["active_params"]))
            )
            order.append(one["name"])
            left = [c for c in left if c["name"] != one["name"]]
        return order

    _passes("l11_e4", one_key)
    _passes("l11_e4", picks)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("l11_e1", lambda *a: None),
        ("l11_e1", lambda *a: (1, "many")),
        ("l11_e1", lambda *a: (math.nan, math.nan)),
        ("l11_e1", lambda *a: (True, 0)),
        ("l11_e2", lambda *a: "yes"),
        ("l11_e2", lambda *a: ("maybe", [])),
        ("l11_e2", lambda *a: ("yes", ["pay"])),
        ("l11_e2", lambda *a: ("yes", "show the name")),
        ("l11_e2", lambda *a: ("yes", [])),
        ("l11_e3", lambda *a: 4.3),
        ("l11_e3", lambda *a: (-math.inf, math.inf)),
        ("l11_e3", lambda *a: (-100.0, 100.0)),
        ("l11_e4", lambda c: None),
        ("l11_e4", lambda c: c),
        ("l11_e4", lambda c: []),
        ("l11_e4", lambda c: [x["name"] for x in c]),
    ],
)
def test_nonsense_fails_with_a_sentence(name, answer):
    with pytest.raises(CheckFailed) as caught:
        run_check(name, answer)
    assert len(str(caught.value)) > 20
    assert score_properties(name, answer, points=1) < 1


def test_sorting_in_place_is_noticed():
    def rank(candidates):
        candidates.reverse()
        return lab.rank(candidates)

    assert score_properties("l11_e4", rank, points=4) < 4


def test_hints_are_a_ladder_of_three():
    for name in NAMES:
        found = exercise(name)
        assert len(found.hints) == 3 and found.minutes in range(3, 16)
        assert all(len(hint) > 30 for hint in found.hints)


def test_inputs_are_fresh_but_repeatable():
    asked = []

    def record(model, need):
        asked.append((tuple(model.values()), tuple(need.values())))
        return lab.headroom(model, need)

    for seed in (1, 1, 2):
        run_check("l11_e1", record, seed)
    first, again, other = asked[:4], asked[4:8], asked[8:]
    assert first == again and first != other


def test_no_two_mistakes_about_bytes_give_one_number():
    """On made-up inputs every slip has a number of its own, so the message names the right one."""
    import random

    for seed in range(30):
        rng = random.Random(seed)
        model, need = checks._shape(rng), checks._need(rng)
        tokens = need["prompt_tokens"] + need["answer_tokens"]
        want = lab.headroom(model, need)[1]
        slips = [
            v for v, why in checks._byte_slips(model, need, want, need["prompt_tokens"], tokens) if "hidden" not in why
        ]
        assert all(not math.isclose(v, want, rel_tol=1e-6) for v in slips)
        assert len(set(slips)) == len(slips)
