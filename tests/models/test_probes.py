"""The probes: each gives what a model made for it must get, and counts as the real thing would."""

import json
import re
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM

from lessonlib.models import load, probes
from lessonlib.models.training.presets import config_for

from .conftest import tiny_preset


@pytest.fixture(scope="module")
def mini():
    return load("mini", device="cpu")


@pytest.fixture(scope="module")
def tokenizer(mini):
    return mini[1]


class Oracle(torch.nn.Module):
    """Knows what comes next, or is sure of one wrong token."""

    device = torch.device("cpu")

    def __init__(self, wrong: int | None = None):
        super().__init__()
        self.wrong = wrong

    def forward(self, ids, **_):
        after = torch.cat([ids[:, 1:], ids[:, :1]], dim=1) if self.wrong is None else torch.full_like(ids, self.wrong)
        return SimpleNamespace(logits=torch.nn.functional.one_hot(after, 4096).float())


def test_an_answer_counts_when_every_token_is_the_likeliest(mini, tokenizer):
    pairs = probes.copying(8, tries=6)
    assert probes.share_right(Oracle(), tokenizer, pairs) == 1
    assert probes.share_right(Oracle(wrong=1), tokenizer, pairs) == 0
    easy = [
        ("Once upon a time, there was a little", " girl named"),
        ("Once upon a time, there was a little", " xylophone"),
    ]
    model = mini[0]
    share = probes.share_right(model, tokenizer, easy)
    start = torch.tensor([[0, *tokenizer.encode(easy[0][0])]])
    made = model.generate(start, do_sample=False, max_new_tokens=2, pad_token_id=1)[0, start.shape[1] :]
    assert share == 0.5 * (tokenizer.decode(made) == " girl named") > 0
    assert probes.share_right(model, tokenizer, easy, batch=1) == share


def test_the_questions_have_right_answers(tokenizer):
    for prompt, answer in probes.copying(8):
        assert re.search(r"Copy: (.*)\nAnswer:$", prompt)[1] == answer.strip() and len(answer.split()) == 8
    for prompt, answer in probes.sums():
        a, b = re.search(r"(\d\d) \+ (\d\d) =$", prompt).groups()
        assert int(answer) == int(a) + int(b)
        assert all(eval(line.replace("=", "==")) for line in prompt.splitlines()[:-1])
    for prompt, answer in probes.tool_calls():
        call = json.loads(answer)
        assert all(str(value) in prompt for name, value in call.items() if name != "tool")


@pytest.mark.parametrize("distance", [64, 128, 256])
def test_a_pass_key_lies_as_far_back_as_asked(tokenizer, distance):
    for prompt, answer in probes.pass_keys(tokenizer, distance, tries=5):
        key = answer.strip(" .")
        between = prompt[prompt.rindex(key) + 5 + len(" is the pass key.") : prompt.index("\nWhat")]
        tokens = len(tokenizer.encode(between))
        assert distance <= tokens < distance + 20 and prompt.count(key) == 2


def test_draws_are_the_same_every_time_and_differ_by_seed():
    assert probes.sums() == probes.sums() and probes.sums(seed=1) != probes.sums()
    assert len({prompt for prompt, _ in probes.copying(8)}) == 40


def test_loops():
    assert not probes.has_loop(list(range(200)))
    phrase = list(range(10))
    assert not probes.has_loop([*phrase, 11, *phrase, 12])
    assert probes.has_loop([*phrase, 11, *phrase, 12, *phrase])
    assert not probes.has_loop([*phrase[:9], 11, *phrase[:9], 12, *phrase[:9], 13])
    assert probes.has_loop([5] * 40) and not probes.has_loop([5] * 29)


def tiny(**shape):
    torch.manual_seed(shape.pop("seed", 0))
    return AutoModelForCausalLM.from_config(config_for(tiny_preset(**shape))).eval()


def test_attention_that_looks_everywhere_gives_the_share_of_one_place():
    model = tiny()
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data.zero_()  # all scores equal
    before = model.config._attn_implementation
    induction, previous = probes.induction_scores(model, length=10), probes.previous_token_scores(model, length=12)
    assert induction.shape == previous.shape == (2, 4) and model.config._attn_implementation == before
    assert torch.allclose(induction, torch.tensor(sum(1 / (i + 1) for i in range(10, 19)) / 9).expand(2, 4), atol=1e-5)
    assert torch.allclose(previous, torch.tensor(sum(1 / (i + 1) for i in range(2, 12)) / 10).expand(2, 4), atol=1e-5)


def test_a_head_made_to_look_one_token_back_is_found(monkeypatch):
    length, rows = 20, 2
    attention = torch.zeros(1, 3, length, length) + torch.eye(length)
    attention[0, 1] = torch.eye(length).roll(1, 0)  # row i looks at column i - 1
    monkeypatch.setattr(probes, "_attention", lambda model, ids: [attention.expand(rows, -1, -1, -1)])
    model = SimpleNamespace(config=SimpleNamespace(vocab_size=4096), device="cpu")
    assert probes.previous_token_scores(model, length, rows).tolist() == [[0, 1, 0]]
    attention[0, 2] = torch.eye(length).roll(9, 0)  # the token after the first copy, for copies of 10 tokens
    assert probes.induction_scores(model, 10, rows).tolist() == [[0, 0, 1]]


def speculative_calls(target, draft, start, drafts: int, tokens: int):
    """Greedy speculative decoding done for real: yields of the target's calls, and the text."""
    text, yields = start, []
    while text.shape[1] < start.shape[1] + tokens:
        guess = text
        for _ in range(drafts):
            guess = torch.cat([guess, draft(guess).logits[:, -1:].argmax(-1)], dim=1)
        best = target(guess).logits[0, text.shape[1] - 1 :].argmax(-1)
        kept = 0
        while kept < drafts and best[kept] == guess[0, text.shape[1] + kept]:
            kept += 1
        text = torch.cat([text, best[None, : kept + 1]], dim=1)
        yields.append(kept + 1)
    return yields, text


def test_accepted_counts_as_real_speculative_decoding_does(mini, tokenizer):
    target = mini[0]
    draft = load("mini", device="cpu")[0]
    torch.manual_seed(0)
    for layer in draft.model.layers:
        layer.mlp.down_proj.weight.data += (
            0.15 * torch.randn_like(layer.mlp.down_proj.weight) * layer.mlp.down_proj.weight.std()
        )
    draft.model.layers = draft.model.layers[:5]
    expected = []
    with torch.no_grad():
        for prompt in probes.PROMPTS["stories"]:
            start = torch.tensor([[0, *tokenizer.encode(prompt)]])
            yields, text = speculative_calls(target, draft, start, 3, 30)
            plain = target.generate(start, do_sample=False, max_new_tokens=30, eos_token_id=None, pad_token_id=1)
            assert torch.equal(text[:, : plain.shape[1]], plain)
            done = 0
            for made in yields:  # the same cut as the probe's: calls that lie whole inside the text
                if done + 3 >= 30:
                    break
                expected.append(made)
                done += made
    counted = probes.accepted(target, draft, tokenizer, "stories", drafts=3, tokens=30)
    assert counted == pytest.approx(sum(expected) / len(expected)) and 1 < counted < 4


def test_the_best_and_the_worst_draft(mini, tokenizer):
    model = mini[0]
    assert probes.accepted(model, model, tokenizer, "code", drafts=4, tokens=20) == 5
    assert probes.agreement(model, model, tokenizer, "code", tokens=20) == pytest.approx(1, abs=1e-4)
    stubborn = Oracle(wrong=1)
    assert probes.accepted(model, stubborn, tokenizer, "code", drafts=4, tokens=20) == 1
    assert 0 < probes.agreement(model, stubborn, tokenizer, "code", tokens=20) < 0.05


def test_loads_of_experts(tokenizer):
    even, one = torch.full((3, 4), 0.25), torch.eye(4)[:3]
    assert probes.load_entropy(even) == pytest.approx(1) and probes.load_entropy(one) == pytest.approx(0, abs=1e-6)
    assert probes.load_shift(even, one) == pytest.approx(0.75) and probes.load_shift(even, even) == 0
    model = tiny(experts=4, active_experts=2, context=1024)
    for layer in model.model.layers:  # expert 0 and 1 for every token: their scores do not depend on it
        layer.post_attention_layernorm.weight.data.zero_()
        layer.mlp.gate.weight.data.zero_()
    loads = probes.expert_load(model, tokenizer)
    assert set(loads) == set(probes.PROMPTS)
    for shares in loads.values():
        assert shares.shape == (2, 4) and torch.allclose(shares.sum(-1), torch.ones(2))
        assert sorted(shares[0].tolist()) == [0, 0, 0.5, 0.5]
    everything = probes.probe(model, tokenizer)
    assert everything["expert_load_entropy"] == 0.5 and everything["expert_load_shift"] == 0


def test_samples_tell_prompt_temperature_and_text(mini, tokenizer):
    rows = probes.samples(*mini, tokens=8)
    assert [row["temperature"] for row in rows] == [0, 0.7, 1.5] * 4
    assert rows == probes.samples(*mini, tokens=8) and all(row["text"] for row in rows[:3])
    assert "<|" not in "".join(row["text"] for row in rows)
