"""Inputs for the checks of model_selection: made-up models and scenarios, round numbers at the edge of every constraint."""

from __future__ import annotations

import copy

from ..labs import model_selection as lab
from ..labs.choosing_a_model import POLICY, SHOW, terms
from ..labs.model_selection_catalog import EU_COMPANY, HOBBY, US_COMPANY, room_bytes

NAMES = ("ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine", "rowan", "yew")
FREE, LLAMA, LLAMA4, RESEARCH, GEMMA = (
    terms(name) for name in ("qwen3-32b", "llama-3.3-70b", "llama-4-scout", "mistral-large-2", "gemma-3-27b")
)


def files(bytes_16bit: int, experts: float = 0.0) -> dict:
    """Files of a model by precision: halves and quarters of its 16-bit one, of which routed experts are a share."""
    return {
        precision: one_file(bytes_16bit // part, experts, loss)["4-bit"]
        for precision, part, loss in (("16-bit", 1, 0.0), ("8-bit", 2, 0.5), ("4-bit", 4, 2.0))
    }


def one_file(size: int, experts: float = 0.0, loss: float = 2.0) -> dict:
    """The files of a model that has a 4-bit one only."""
    return {"4-bit": {"bytes": size, "expert_bytes": int(size * experts), "loss": loss}}


def toy(name: str = "oak", **change) -> dict:
    """A made-up model of 8 billion parameters whose every number is a power of two: sums of seconds are exact."""
    base = {
        "name": name, "parameters": 2**33, "active_parameters": 2**33, "files": files(2**34),
        "cache_bytes_per_token": 2**17, "window_bytes_per_token": 0, "window_tokens": 0, "state_bytes": 0,
        "idle_share": 0.0, "native_context": 32_768, "advertised_context": 131_072, "thinking_tokens": 0,
        "flops_per_token": 2**34, "flops_per_pair": 2**20, "scores": {"HumanEval": 85.0}, "licence": FREE,
    }  # fmt: skip
    return copy.deepcopy(base | change)


def toy_scenario(**change) -> dict:
    """One card of 24 GiB, one user, 2,048 + 1,024 tokens, a minute; a company in the EU that refuses no duty."""
    base = {
        "name": "made up", "task": "a made-up task", "card": "a made-up card", "cards": 1, "vram_gib": 24,
        "bytes_per_s": 2.0**40, "flops_per_s": 2.0**46, "users": 1, "prompt_tokens": 2048, "answer_tokens": 1024,
        "benchmark": "HumanEval", "at_least": 80, "seconds": 60.0, "use": dict(EU_COMPANY), "refuses": [],
        "weights": {"quality": 0.6, "speed": 0.25, "room": 0.15},
    }  # fmt: skip
    return copy.deepcopy(base | change)


def random_toy(rng, name: str = "oak") -> dict:
    """A made-up model in which every number counts: window layers, a state, thinking, idle experts."""
    size = rng.randrange(4, 60) * 10**9 + rng.randrange(10**6)
    return toy(
        name, parameters=size // 2, active_parameters=size // rng.randint(6, 20),
        files=files(size, rng.choice([0.7, 0.9])), idle_share=rng.choice([0.75, 0.94]),
        cache_bytes_per_token=rng.randrange(20, 400) * 1024,
        window_bytes_per_token=rng.randrange(20, 400) * 1024, window_tokens=rng.choice([128, 512, 1024]),
        state_bytes=rng.randrange(1, 90) * 10**6, thinking_tokens=rng.choice([512, 4096]),
        flops_per_token=rng.randrange(4, 200) * 10**9, flops_per_pair=rng.randrange(1, 60) * 10**5,
        native_context=131_072,
    )  # fmt: skip


def random_scenario(rng) -> dict:
    """Several users and cards, so that no factor is 1."""
    return toy_scenario(
        cards=rng.choice([2, 4]), users=rng.randint(2, 12), prompt_tokens=rng.randrange(3, 90) * 1000,
        answer_tokens=rng.randrange(2, 40) * 100, bytes_per_s=rng.randrange(300, 9000) * 1e9,
        flops_per_s=rng.randrange(40, 900) * 1e12,
    )  # fmt: skip


def exactly(room: int, context: int = 4096, users: int = 1, cards: int = 1, more: int = 0) -> dict:
    """A model whose 4-bit file fills `room` bytes to the byte at this context, and `more` bytes besides."""
    one = toy()
    left = room - cards * lab.OVERHEAD - users * lab.cache_bytes(one, context) + more
    return toy(files={"4-bit": {"bytes": left, "expert_bytes": left // 64 * 32, "loss": 2.0}}, idle_share=0.5)


def broken_cases() -> list[tuple]:
    """(model, precision, context, scenario, the likely reason when the answer is another, the constraint that this reason
    is about or "" for all): one misreading each."""
    plain, scene = toy(), toy_scenario()
    card = room_bytes(scene)
    two = toy_scenario(cards=2, users=3)
    seconds = lab.latency_s(plain, "4-bit", scene)
    thinker = toy(thinking_tokens=2048)
    reserved = "memory goes by the context that is reserved, not by what is needed"
    together = "all cards together, an overhead on each, a cache a user"
    refused = "a duty that the scenario refuses breaks the licence"
    return [
        (plain, "4-bit", 4096, scene, "nothing is broken here: the list is empty", ""),
        (exactly(card, context=3072), "4-bit", 8192, scene, reserved, "memory"),
        (exactly(24 * 10**9, more=10**9), "4-bit", 4096, scene, "a card of N GiB holds N x 2**30 bytes", "memory"),
        (exactly(card), "4-bit", 4096, scene, "a card that is filled to the last byte still fits", "memory"),
        (exactly(card, more=1), "4-bit", 4096, scene, "one byte too many does not fit", "memory"),
        (exactly(2 * card, users=3, cards=2), "4-bit", 4096, two, together, "memory"),
        (exactly(2 * card, users=3, cards=2, more=1), "4-bit", 4096, two, together, "memory"),
        (plain, "16-bit", 32_768, scene, "a context of exactly the native window is allowed", "context"),
        (plain, "4-bit", 32_769, scene, "beyond the native window: the advertised one needs an extension", "context"),
        (plain, "4-bit", 3072, scene, "a context of exactly the need is enough", "context"),
        (plain, "4-bit", 3071, scene, "prompt and answer must both lie in the context that is reserved", "context"),
        (plain, "4-bit", 2048, scene, "prompt and answer must both lie in the context that is reserved", "context"),
        (thinker, "4-bit", 3072, scene, "what a model thinks lies in its window as well: the need holds thinking_tokens", "context"),
        (toy(licence=RESEARCH), "4-bit", 4096, scene, 'a licence answer other than "yes" breaks it', "licence"),
        (toy(licence=RESEARCH), "4-bit", 4096, toy_scenario(use=HOBBY), "decide() says yes to this use", "licence"),
        (toy(licence=LLAMA4), "4-bit", 4096, scene, 'a licence answer other than "yes" breaks it', "licence"),
        (toy(licence=LLAMA), "4-bit", 4096, toy_scenario(use=US_COMPANY | {"users_at_release": 10**9}), '"ask" is no yes', "licence"),
        (toy(licence=LLAMA), "4-bit", 4096, scene, "a duty that the scenario does not refuse is no obstacle", "licence"),
        (toy(licence=LLAMA), "4-bit", 4096, toy_scenario(refuses=[SHOW]), refused, "licence"),
        (toy(licence=GEMMA), "4-bit", 4096, toy_scenario(refuses=[SHOW]), "only a duty that this licence asks for counts", "licence"),
        (toy(licence=GEMMA), "4-bit", 4096, toy_scenario(refuses=[POLICY]), refused, "licence"),
        (toy(scores={"HumanEval": 80.0}), "4-bit", 4096, scene, "a score of exactly at_least passes, whatever the loss", "evidence"),
        (toy(scores={"HumanEval": 79.9}), "4-bit", 4096, scene, "below at_least", "evidence"),
        (toy(scores={}), "4-bit", 4096, scene, "no published score is no evidence", "evidence"),
        (toy(scores={"GPQA": 99.0}), "4-bit", 4096, scene, "a score on another benchmark is no evidence for this task", "evidence"),
        (plain, "4-bit", 4096, toy_scenario(seconds=seconds), "a latency of exactly the limit passes", "latency"),
        (plain, "4-bit", 4096, toy_scenario(seconds=seconds * (1 - 2**-20)), "slower than allowed", "latency"),
        (toy(scores={}, licence=RESEARCH, native_context=2048), "16-bit", 4096, toy_scenario(vram_gib=8, seconds=0.5),
         "name every constraint that is broken, not the first alone", ""),
    ]  # fmt: skip


def duels() -> list[tuple[dict, list[dict]]]:
    """(scenario, models): small fields in which each simple way of choosing goes wrong, and by its own model."""
    need, gb = 3072, 10**9
    return [
        # what would win breaks one constraint each
        (toy_scenario(refuses=[SHOW], weights={"quality": 0.8, "speed": 0.1, "room": 0.1}), [
            toy("fir", scores={"GPQA": 95.0}, native_context=4096),
            toy("hazel", scores={"HumanEval": 99.0}, licence=LLAMA),
            toy("rowan", scores={"HumanEval": 98.0}, native_context=need - 1),
            toy("yew", scores={"HumanEval": 97.0}, files=files(2**37, 0.9), idle_share=0.9375),
            toy("ash", scores={"HumanEval": 96.0}, thinking_tokens=24_000),
            toy("oak", scores={"HumanEval": 82.0}, files=one_file(2**32), native_context=need),
        ]),
        # the first that fits, the highest score, the fastest, the largest, the lowest utility, and the best one
        (toy_scenario(seconds=20.0), [
            toy("pine", scores={"HumanEval": 82.0}, files=one_file(55 * gb // 10)),
            toy("birch", scores={"HumanEval": 95.0}, files=one_file(157 * gb // 10), native_context=need),
            toy("cedar", scores={"HumanEval": 81.0}, files=one_file(12 * gb // 10), native_context=need),
            toy("larch", scores={"HumanEval": 81.5}, files=one_file(20 * gb, 0.9), idle_share=0.5, native_context=need,
                parameters=2**36),
            toy("elm", scores={"HumanEval": 80.5}, files=one_file(193 * gb // 10), native_context=need),
            toy("maple", scores={"HumanEval": 90.0}, files=one_file(44 * gb // 10)),
        ]),
        # quality alone counts, and the wider file keeps more of it
        (toy_scenario(seconds=4000.0, weights={"quality": 1.0, "speed": 0.0, "room": 0.0}), [
            toy("oak", scores={"HumanEval": 81.0}, files={
                "16-bit": {"bytes": 2**34, "expert_bytes": 0, "loss": 0.0}, **one_file(2**32, loss=8.0)}),
        ]),
        # room decides: the better score has a short window
        (toy_scenario(weights={"quality": 0.4, "speed": 0.1, "room": 0.5}), [
            toy("larch", scores={"HumanEval": 92.0}, native_context=need), toy("maple", scores={"HumanEval": 83.0}),
        ]),
    ]  # fmt: skip


def hopeless() -> tuple[dict, list[dict]]:
    """(scenario, models): every model breaks exactly one constraint, another one each."""
    return toy_scenario(vram_gib=16, refuses=[SHOW]), [
        toy("ash", files=files(2**36)),
        toy("birch", native_context=3000),
        toy("cedar", licence=LLAMA),
        toy("elm", scores={"HumanEval": 79.0}),
        toy("fir", thinking_tokens=20_000),
    ]


def one_left(rng) -> tuple[dict, list[dict]]:
    """(scenario, models): one model fits, at the exact limit of every constraint; its neighbours miss one by the least."""
    scene = toy_scenario(cards=rng.choice([1, 2]), users=rng.choice([1, 2, 5]), seconds=30.0)
    tokens = 3072
    fit = exactly(room_bytes(scene), tokens, scene["users"], scene["cards"])
    fit |= {"name": "oak", "native_context": tokens, "scores": {"HumanEval": float(scene["at_least"])}}
    scene["seconds"] = lab.latency_s(fit, "4-bit", scene)
    file = fit["files"]["4-bit"]
    others = [
        {**fit, "name": "ash", "files": {"4-bit": {**file, "bytes": file["bytes"] + 1}}},
        {**fit, "name": "birch", "native_context": tokens - 1},
        {**fit, "name": "cedar", "licence": RESEARCH},
        {**fit, "name": "elm", "scores": {"HumanEval": scene["at_least"] - 0.1}},
        {**fit, "name": "fir", "thinking_tokens": 512, "native_context": 2 * tokens},
    ]
    models = [copy.deepcopy(m) for m in [fit, *others]]
    rng.shuffle(models)
    return scene, models
