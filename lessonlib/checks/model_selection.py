"""Checks of the capstone task model_selection: bytes of a candidate, seconds of an answer, broken constraints, the choice.

Rules and reference stand in `lessonlib.labs.model_selection`, made-up inputs in `model_selection_cases`."""

from __future__ import annotations

import contextlib
import copy
import io
import random
import warnings

from ..labs import model_selection as lab
from ..labs import model_selection_catalog as facts
from . import model_selection_cases as cases
from . import model_selection_choice as choice
from .core import CheckFailed, check_for, expect, property_of

EXACT = 1e-13  # of whole bytes: less than half a byte on any card


@check_for(
    "l16_sel_e1",
    title="Bytes of a candidate",
    minutes=8,
    hints=[
        "Three parts: the weights of this precision, what every user's sequence keeps, and an overhead for every card.",
        "One sequence keeps cache_bytes_per_token for each token of the context, window_bytes_per_token for the last "
        "window_tokens at most, and state_bytes whatever its length.",
        "bytes + users * (a * context + w * min(context, window_tokens) + state_bytes) + cards * 1_500_000_000, with a and "
        "w the two numbers a token.",
    ],
)
def check_memory(answer, rng):
    """Real models with plain layers, windows, a state and idle experts, then a made-up one."""
    for name in ("qwen2.5-coder-32b", "gemma-3-27b", "qwen3-coder-next", "gpt-oss-20b"):
        m = facts.model_of(name)
        _compare_memory(answer, m, rng.choice(list(m["files"])), rng.randint(2, 9), rng.randint(2_000, 30_000), 2)
    _compare_memory(answer, cases.random_toy(rng), "8-bit", rng.randint(2, 9), rng.randint(1_100, 9_000), 2)
    _compare_memory(answer, facts.model_of("gemma-3-27b"), "4-bit", 3, rng.randint(200, 900), 2)


@property_of("l16_sel_e1", "any candidate, to the byte")
def memory_any(answer, rng):
    """Made-up models in which every number counts."""
    for _ in range(8):
        context, cards = rng.randint(1_100, 120_000), rng.randint(1, 8)
        _compare_memory(
            answer, cases.random_toy(rng), rng.choice(["16-bit", "8-bit", "4-bit"]), rng.randint(1, 40), context, cards
        )


@property_of("l16_sel_e1", "a context shorter than the window fills only a part of it")
def memory_short(answer, rng):
    """Below window_tokens, at it, above it."""
    m = cases.random_toy(rng) | {"window_tokens": 4096}
    for context in (rng.randint(100, 4_000), 4095, 4096, 4097, rng.randint(5_000, 9_000)):
        _compare_memory(answer, m, "4-bit", rng.randint(2, 9), context, 2)


@property_of("l16_sel_e1", "every model of the catalog")
def memory_catalog(answer, rng):
    """All files of all models."""
    for m in facts.catalog():
        for precision in m["files"]:
            _compare_memory(answer, m, precision, rng.randint(2, 20), rng.randint(1_000, 100_000), rng.choice([1, 2]))


@check_for(
    "l16_sel_e2",
    title="Seconds until the answer is complete",
    minutes=12,
    hints=[
        "Two phases. Reading the prompt is bound by compute: FLOPs over flops_per_s. Every token after it is one step that "
        "is bound by memory: bytes over bytes_per_s.",
        "Reading: flops_per_token * P + flops_per_pair * P * P / 2. One step reads the weights without "
        "the unread experts, and the caches of all users at their full length: prompt, thinking and answer.",
        "reading / flops_per_s + (thinking_tokens + answer_tokens) * (weights + users * lab.cache_bytes(model, tokens)) / "
        "bytes_per_s, where weights are bytes - expert_bytes * idle_share ** users.",
    ],
)
def check_latency(answer, rng):
    """A mixture of experts in a crowd, a dense model, a mixture alone, then made-up numbers."""
    for name, users in (("gpt-oss-120b", 24), ("qwen2.5-coder-32b", 4), ("qwen3-coder-next", 1), ("gemma-3-4b", 8)):
        m, scene = facts.model_of(name), cases.random_scenario(rng) | {"users": users}
        _compare_latency(answer, m, "4-bit", scene)
    _compare_latency(answer, cases.random_toy(rng), "8-bit", cases.random_scenario(rng))


@property_of("l16_sel_e2", "any model in any scenario")
def latency_any(answer, rng):
    """Made-up models in which every number counts."""
    for _ in range(8):
        precision = rng.choice(["16-bit", "8-bit", "4-bit"])
        _compare_latency(answer, cases.random_toy(rng), precision, cases.random_scenario(rng))


@property_of("l16_sel_e2", "more users leave fewer experts unread")
def latency_experts(answer, rng):
    """A mixture of experts, from one user to many."""
    m = cases.random_toy(rng)
    for users in (1, 2, 5, 15, 40):
        _compare_latency(answer, m, "4-bit", cases.random_scenario(rng) | {"users": users})


@property_of("l16_sel_e2", "every model of the catalog in the three scenarios")
def latency_catalog(answer, rng):
    """As `choose` will ask."""
    for scene in facts.lesson_scenarios():
        for m in facts.catalog():
            _compare_latency(answer, m, rng.choice(list(m["files"])), scene)


@check_for(
    "l16_sel_e3",
    title="Which constraints are broken",
    minutes=12,
    hints=[
        "Five questions, each asked whatever the others say: collect a name for every no.",
        "What stands exactly at its limit passes. Memory goes by the context that is reserved; context must hold the need "
        "and stay within native_context; evidence looks at scores.get(benchmark).",
        'decide(model["licence"], scenario["use"]) gives (answer, duties): broken unless the answer is "yes" and none of '
        "the duties is in refuses.",
    ],
)
def check_broken(answer, rng):
    """One case a misreading, then real models."""
    for case in cases.broken_cases():
        _compare_broken(answer, *case)
    scene = rng.choice(facts.lesson_scenarios())
    for m in rng.sample(facts.catalog(), 6):
        _compare_broken(answer, m, lab.smallest(m), lab.need(m, scene), scene, None)


@property_of("l16_sel_e3", "the catalog in freshly drawn scenarios")
def broken_drawn(answer, rng):
    """All models, random files and contexts."""
    for _ in range(2):
        scene = facts.draw(rng)
        for m in facts.catalog():
            context = rng.choice(lab.contexts(m, scene)) + rng.choice([-1, 0, 1])
            _compare_broken(answer, m, rng.choice(list(m["files"])), context, scene, None)


@property_of("l16_sel_e3", "limits are limits: to the byte, to the token, to the tenth of a point")
def broken_edges(answer, rng):
    """A model at every limit at once, and neighbours that miss one by the least."""
    for _ in range(3):
        scene, models = cases.one_left(rng)
        for m in models:
            _compare_broken(
                answer, m, "4-bit", lab.need(m, scene), scene, "one of the limits is missed by the least, or just kept"
            )


@property_of("l16_sel_e3", "one constraint at a time")
def broken_single(answer, rng):
    """The cases of the visible check, in another order."""
    for case in rng.sample(found := cases.broken_cases(), len(found)):
        _compare_broken(answer, *case)


@property_of("l16_sel_e3", "a smaller file never breaks more")
def broken_monotone(answer, rng):
    """Monotony in the precision, by the learner's own answers."""
    scene = facts.draw(rng)
    for m in rng.sample([m for m in facts.catalog() if len(m["files"]) == 3], 6):
        context = lab.need(m, scene)
        wide, narrow = (
            _constraints(answer(copy.deepcopy(m), precision, context, copy.deepcopy(scene)))
            for precision in ("16-bit", "4-bit")
        )
        if not narrow <= wide:
            raise CheckFailed(
                f"{m['name']} breaks more with fewer bytes.", expected=f"some of {sorted(wide)}", got=sorted(narrow)
            )
        _compare_broken(answer, m, "4-bit", context, scene, None)


@check_for(
    "l16_sel_e4",
    title="Choose",
    minutes=15,
    hints=[
        "First the reasons: for every model, what its smallest file breaks with the context that it needs. Then all that "
        "breaks nothing: models, their files, five contexts. Then the best by utility.",
        "Three loops: for each model, for each precision of model['files'], for context in lab.contexts(model, scenario). "
        "Keep (lab.utility(...), name, precision, context) when broken(...) is empty, and take the largest.",
        "When nothing was kept: Choice(None, None, None, reasons). Reasons are a dict: name -> list, without the models "
        "whose list is empty. smallest file: min(files, key=lambda p: files[p]['bytes']).",
    ],
)
def check_choose(answer, rng):
    """Small fields in which simple rules go wrong, one where nothing fits, the three scenarios, a fresh one."""
    for scene, models in [*cases.duels(), cases.hopeless()]:
        choice.compare(answer, scene, models, untouched=True)
    for scene in [*facts.lesson_scenarios(), facts.draw(rng, least=2)]:
        choice.compare(answer, scene, facts.catalog())


@property_of("l16_sel_e4", "no choice breaks a constraint")
def choose_hard(answer, rng):
    """Six fresh scenarios, half of the catalog each."""
    for _ in range(6):
        choice.compare_hard(answer, facts.draw(rng, least=1), _shuffled(rng))


@property_of("l16_sel_e4", "every rejected model has its reasons")
def choose_reasons(answer, rng):
    """Four fresh scenarios."""
    for _ in range(4):
        choice.compare_reasons(answer, facts.draw(rng), _shuffled(rng))


@property_of("l16_sel_e4", "where nothing fits, nothing is chosen")
def choose_nothing(answer, rng):
    """Scenarios of both kinds: always saying no is no answer either."""
    choice.compare_hard(answer, *cases.hopeless())
    for _ in range(2):
        choice.compare_hard(answer, facts.draw(rng, most=0), _shuffled(rng))
        choice.compare_hard(answer, facts.draw(rng, least=2), _shuffled(rng))


@property_of("l16_sel_e4", "limits are kept to the byte, and what just fits is found")
def choose_edges(answer, rng):
    """One model at every limit, its neighbours beyond one."""
    for _ in range(3):
        choice.compare(answer, *cases.one_left(rng))


@property_of("l16_sel_e4", "the order of the catalog changes nothing, and nothing given is changed")
def choose_order(answer, rng):
    """Two orders; and small fields, after which the arguments are as they were."""
    scene, models = facts.draw(rng, least=2), facts.catalog()
    for given in (models, models[::-1]):
        choice.compare_hard(answer, scene, given)
    for field in cases.duels():
        choice.compare(answer, *field, untouched=True)


def score_utility(answer, points: float, seed: int = 0, count: int = 6) -> float:
    """Points for what the choices are worth: the mean over `count` fresh scenarios of the utility as a share of what is
    asked (0.95 of the best), 0 where a constraint is broken. Prints a line for each scenario below 1.

    Made to be the last expression of an nbgrader test cell, as `core.score_properties`."""
    rng, earned = random.Random(f"l16_sel_e4/utility/{seed}"), 0.0
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings(record=True):
        for number in range(1, count + 1):
            scene, models = facts.draw(rng, f"fresh {number}", least=2), facts.catalog()
            try:
                got = choice.read(answer(copy.deepcopy(scene), copy.deepcopy(models)))
                verdict = lab.judge(*got[:3], scene, models)
            except NotImplementedError:
                verdict = lab.Verdict(0.0, ("not written yet",))
            except CheckFailed as error:
                verdict = lab.Verdict(0.0, (str(error),))
            except (Exception, SystemExit) as error:
                verdict = lab.Verdict(0.0, (f"{type(error).__name__}: {error}",))
            earned += verdict.score
            for problem in verdict.problems:
                print(f"l16_sel_e4: {choice.words(scene)}: {verdict.score:.2f}: {problem}")
    return round(points * earned / count, 4)


# Comparisons.


def _shuffled(rng) -> list[dict]:
    models = facts.catalog()
    rng.shuffle(models)
    return models


def _constraints(got) -> set[str]:
    if isinstance(got, str) or not isinstance(got, list | tuple | set | frozenset | dict):
        raise CheckFailed("Return a list of names.", expected="a list such as ['memory']", got=got)
    if not all(isinstance(name, str) and name in lab.CONSTRAINTS for name in got):
        raise CheckFailed("Each name must be one of the five.", expected=lab.CONSTRAINTS, got=got)
    return set(got)


def _compare_broken(
    answer, m: dict, precision: str, context: int, scene: dict, why: str | None, about: str = ""
) -> None:
    """`why` is the likely reason, where the constraint `about` ("": any) is told wrongly."""
    against = lab.explain(m, precision, context, scene)
    got = _constraints(answer(copy.deepcopy(m), precision, context, copy.deepcopy(scene)))
    want = set(against)
    if got == want:
        return
    if about and about not in got ^ want:
        why = None
        for name, number, exercise in (("memory", "bytes", 1), ("latency", "seconds", 2)):
            if name in got ^ want:
                why = f"exercise {exercise} comes first: see whether its {number} are right"
    said = [f"{name} is broken: {against[name]}" for name in against if name not in got]
    said += [f"{name} is not broken" for name in sorted(got - want)]
    where = f"{m['name']} in {precision}, context {context:,}; {choice.words(scene)}."
    raise CheckFailed(where, expected=sorted(want), got=sorted(got), reason="; ".join(filter(None, [why, *said])))


def _compare_memory(answer, m: dict, precision: str, users: int, context: int, cards: int) -> None:
    file, over = m["files"][precision], lab.OVERHEAD
    want, one = lab.memory_bytes(m, precision, users, context, cards), lab.cache_bytes(m, context)
    full, window = m["cache_bytes_per_token"] * context, m["window_bytes_per_token"]
    seen = window * min(context, m["window_tokens"])
    mistakes = [
        (want - cards * over, "the overhead is missing"),
        (want - (cards - 1) * over, "one overhead only: every card pays it"),
        (want + (users - 1) * cards * over, "the overhead is a card's, not a user's"),
        (want - (users - 1) * one, "one user only: every user has a cache of their own"),
        (want - users * one, "the caches are missing"),
        (want - file["bytes"], "the weights are missing"),
        (want - file["expert_bytes"] * m["idle_share"], "that is what one token reads: all weights lie on the cards"),
        (want - file["expert_bytes"], "the experts are missing: all of them lie on the cards"),
        (want + (users - 1) * file["bytes"], "one copy of the weights serves all users"),
        (want - file["bytes"] + m["parameters"] * 2, "that is 16 bits whatever `precision` says"),
        (want - users * seen, "the window layers are missing: they keep their last tokens"),
        (
            want + users * (window * context - seen),
            "window layers keep window_tokens at most: min(context, window_tokens)",
        ),
        (
            want + users * (window * m["window_tokens"] - seen),
            "a context shorter than the window fills only a part of it",
        ),
        (want - users * m["state_bytes"], "the state is missing: it is there whatever the length"),
        (want - (users - 1) * m["state_bytes"], "one state only: every user's sequence has one"),
        (want + users * m["state_bytes"] * (context - 1), "the state does not grow with the tokens"),
        (want - users * full, "the layers that keep every token are missing"),
        (want / 1e9, "that is in GB: the answer is in bytes"),
        (want / 2**30, "that is in GiB: the answer is in bytes"),
        (want / cards, "that is one card's share: the answer is for all cards together"),
    ]
    got = answer(copy.deepcopy(m), precision, users, context, cards)
    where = f"Bytes of {m['name']} in {precision}: {users} users, {context:,} tokens each, {cards} card{'s' if cards > 1 else ''}."
    expect(got, want, where, mistakes=mistakes, rel=EXACT)


def _compare_latency(answer, m: dict, precision: str, scene: dict) -> None:
    want, file = lab.latency_s(m, precision, scene), m["files"][precision]
    users, prompt, rate = scene["users"], scene["prompt_tokens"], scene["bytes_per_s"]
    thinking, reply = m["thinking_tokens"], scene["answer_tokens"]
    first, steps = lab.first_token_s(m, scene), thinking + reply
    tokens, pairs = prompt + thinking + reply, m["flops_per_pair"] * prompt * prompt / 2 / scene["flops_per_s"]
    experts, idle = file["expert_bytes"], m["idle_share"]
    read = file["bytes"] - experts * idle**users
    alone = file["bytes"] - experts * idle

    def decode(weights=read, caches=None, steps=steps):
        return steps * (weights + (users * lab.cache_bytes(m, tokens) if caches is None else caches)) / rate

    mistakes = [
        (decode(), "reading the prompt is missing"),
        (want - pairs, "the pairs of attention are missing: flops_per_pair x P x P / 2"),
        (want + pairs, "each pair was counted twice: a token looks at those before it, P x P / 2 pairs in all"),
        (want + (users - 1) * first, "one prompt only: that of the user who waits"),
        (first + decode(steps=reply), "a model that thinks writes thinking_tokens before its answer: steps too"),
        (first + decode(caches=users * lab.cache_bytes(m, prompt + reply)), "thinking lies in the cache as well"),
        (first + decode(caches=users * lab.cache_bytes(m, prompt + reply), steps=reply), "thinking_tokens are missing"),
        (first + decode(caches=users * lab.cache_bytes(m, prompt)), "the caches hold prompt, thinking and answer"),
        (first + decode(caches=lab.cache_bytes(m, tokens)), "one user's cache only: a step reads everybody's"),
        (first + decode(caches=0), "a step reads the caches as well"),
        (first + decode(weights=0), "a step reads the weights as well"),
        (
            first + decode(weights=file["bytes"]),
            "unread experts were read: expert_bytes x idle_share ** users of them are not",
        ),
        (
            first + decode(weights=alone),
            "each user's token has its own experts: idle_share ** users of them stay unread",
        ),
        (
            first + decode(weights=users * alone),
            "what several users need is read once: idle_share ** users stay unread",
        ),
        (first + decode(weights=experts * idle**users), "that is what stays unread"),
        (first + decode(weights=file["bytes"] - experts), "the experts that are picked must be read too"),
        (
            first + decode(weights=file["bytes"] * (1 - idle**users)),
            "only experts stay unread, the rest is read in every step",
        ),
        (first + users * decode(), "users decode in one batch: a step serves them all"),
        (first + decode(steps=1), "that is one step: every token of thinking and answer takes one"),
        (first + decode(steps=tokens), "the prompt is read at once: it takes no steps"),
        (decode() + (first - pairs) / prompt, "that is one token of the prompt"),
        (want * 1e3, "that is in milliseconds"),
    ]
    got = answer(copy.deepcopy(m), precision, copy.deepcopy(scene))
    where = f"Seconds of {m['name']} in {precision}; {choice.words(scene)}."
    expect(got, want, where, mistakes=mistakes)
