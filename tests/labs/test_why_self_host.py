"""The measurements of lesson 01: a guard that bites, a provider that hears everything, counts of tokens, sums of money."""

import hashlib
import socket

import pytest

from lessonlib import models
from lessonlib.calc import cost
from lessonlib.labs import why_self_host as lab

pytestmark = pytest.mark.l01


@pytest.fixture(scope="module")
def target():
    import torch

    return models.load("target", device="cpu", dtype=torch.float32)


def test_guard_refuses_and_counts_every_way_out():
    tries = {
        "connect": lambda: socket.socket().connect(("127.0.0.1", 9)),
        "connect_ex": lambda: socket.socket().connect_ex(("127.0.0.1", 9)),
        "sendto": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
        "getaddrinfo": lambda: socket.create_connection(("localhost", 9)),
        "gethostbyname": lambda: socket.gethostbyname("localhost"),
    }
    with lab.no_network() as tried:
        for way in tries.values():
            with pytest.raises(OSError, match="blocked in this block"):
                way()
    assert tried == list(tries)


def test_guard_leaves_nothing_behind_even_after_an_error():
    before = socket.socket.connect, socket.getaddrinfo, "connect" in vars(socket.socket)
    with pytest.raises(RuntimeError), lab.no_network():
        raise RuntimeError
    assert (socket.socket.connect, socket.getaddrinfo, "connect" in vars(socket.socket)) == before
    with lab.provider() as api:
        assert lab.ask(api.server_port, [{"role": "user", "content": "Hello"}]) == lab.ANSWER


def test_embedded_model_writes_without_a_network(target):
    with lab.no_network() as tried:
        text = lab.greedy(*target, "Once upon a time")
    assert tried == [] and text == lab.greedy(*target, "Once upon a time") and len(text) > 40


def test_provider_gets_the_whole_chat_each_time():
    with lab.provider() as api:
        messages = lab.talk(api.server_port)
    bodies = [request.body for request in api.received]
    assert [m["content"] for m in messages[::2]] == list(lab.QUESTIONS) and messages[1]["content"] == lab.ANSWER
    assert [body.count(lab.NAME.encode()) for body in bodies] == [1, 1, 1]
    assert all(question.encode() in bodies[-1] for question in lab.QUESTIONS)
    assert api.received[0].path == "/v1/chat/completions" and "Authorization" in api.received[0].headers


def test_hash_of_a_file_and_of_its_neighbour(tmp_path):
    file = tmp_path / "weights"
    file.write_bytes(b"abc")
    assert lab.sha256(file) == hashlib.sha256(b"abc").hexdigest()
    assert lab.sha256_with_a_bit_flipped(file) == hashlib.sha256(b"abb").hexdigest()
    assert file.read_bytes() == b"abc"


def test_history_is_billed_again(target):
    _, tokenizer = target

    def count(text):
        return len(tokenizer(text).input_ids)

    turns = [("one", "two two"), ("three", "four"), ("five", "six")]
    found = lab.billed(tokenizer, turns)
    history = [0, sum(map(count, turns[0])), sum(map(count, turns[0] + turns[1]))]
    assert found.resent == sum(history)
    assert found.input == sum(history) + sum(count(prompt) for prompt, _ in turns)
    assert found.output == sum(count(answer) for _, answer in turns)
    assert found.ratio == found.input / found.output


def test_tasks_differ_in_ratio_and_agents_send_most_again(target):
    counts = {task: lab.billed(target[1], turns) for task, turns in lab.TASKS.items()}
    ratios = [b.ratio for b in counts.values()]
    assert max(ratios) > 50 * min(ratios)
    assert counts["code agent, six steps"].resent > counts["code agent, six steps"].input / 2


def test_money_agrees_with_calc():
    node = dict(fixed_usd_month=9000, own_usd_per_million=0, tokens_per_s=700, hours_per_day=24)
    assert lab.crossover(node, 5.0) == pytest.approx(cost.crossover(9000, 5.0)) == pytest.approx(60e6)
    assert lab.crossover({**node, "tokens_per_s": 690}, 5.0) is None
    team = [{"people": 50, "model": "a", "input_tokens": 2e6 / 3, "output_tokens": 1e6 / 3, "cached_share": 0}]
    usd, blend = lab.team_bill(team, {"a": {"input": 2.5, "cached_input": 1, "output": 10}}, 30)
    assert usd == pytest.approx(7500) and blend == pytest.approx(cost.blend(2.5, 10))
    base = dict(people=50, tokens_per_person_day=1e6, ratio=2, price=(2.5, 10), days=30)
    assert lab.bill(base) == pytest.approx(7500)
    assert [name for name, *_ in lab.swings(base, {"people": (45, 55), "days": (10, 30)})] == ["days", "people"]


def test_decision_turns_at_the_crossover():
    inputs = dict(
        people=50, tokens_per_person_day=1e6, usd_per_million=5.0, fixed_usd_month=7000, own_usd_per_million=0.01
    )
    assert lab.cheaper(inputs) == "own" and lab.cheaper({**inputs, "people": 40}) == "API"
    assert lab.flips(lab.cheaper, inputs, 0.2) == [name for name in inputs if name != "own_usd_per_million"]
    assert lab.flips(lab.cheaper, inputs, 0.01) == []


def test_speeds_and_summary_name_what_the_record_has(target):
    model, tokenizer = target
    speed = lab.speeds(model, prompt=8, batch=2, steps=2, rounds=1)
    assert set(speed) == {"reading", "writing", "writing_2_texts"} and all(rate > 0 for rate in speed.values())
    found = lab.summary(speed, tokenizer, watts=65, usd_per_kwh=0.17)
    assert found["reading_over_writing"] == speed["reading"] / speed["writing"]
    assert found["ratio_to_summarise_a_page"] == lab.billed(tokenizer, lab.TASKS["summarise a page"]).ratio
