"""The lab of lesson 02 against transformers and torch: logits, writing, neurons, loss, gradients, training, costs."""

import math
import random

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lessonlib import models
from lessonlib.labs import what_is_an_llm as lab
from lessonlib.labs import what_is_an_llm_stories as stories
from lessonlib.labs import what_is_an_llm_training as training

pytestmark = pytest.mark.l02
TEXTS = ("The cat sat on the", "Once upon a time", "def add(a, b):\n    return", "é")


@pytest.fixture(scope="module")
def mini():
    return models.load("mini", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def small():
    """A random Llama with untied embeddings and clear logits."""
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=53, hidden_size=24, intermediate_size=40, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.4, pad_token_id=None, eos_token_id=None,
        bos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.mark.parametrize("height", [0.0, 900.0, -900.0])
def test_softmax_is_torchs_at_any_height(height):
    x = torch.randn(4, 30, generator=torch.Generator().manual_seed(0)) * 5 + height
    torch.testing.assert_close(lab.softmax(x), x.softmax(-1))


@pytest.mark.parametrize("text", TEXTS)
def test_candidates_are_the_models_own_distribution(mini, text):
    model, tokenizer = mini
    with torch.no_grad():
        want = model(**tokenizer(text, return_tensors="pt")).logits[0, -1].softmax(-1).topk(7)
    found = lab.candidates(model, tokenizer, text, 7)
    assert [c.token for c in found] == want.indices.tolist()
    assert [c.probability for c in found] == pytest.approx(want.values.tolist(), rel=1e-4)
    assert all(c.text == tokenizer.decode([c.token]) for c in found)


def test_what_cannot_be_predicted_is_refused_in_a_sentence(mini):
    model, tokenizer = mini
    with pytest.raises(ValueError, match="type at least one character"):
        lab.candidates(model, tokenizer, "")
    with pytest.raises(ValueError, match="count is 0"):
        lab.candidates(model, tokenizer, "a", 0)
    with pytest.raises(ValueError, match=r"reads 1 to 1,024"):
        lab.next_logits(model, [9] * 1025)
    with pytest.raises(ValueError, match="both need a token"):
        lab.surprise(model, tokenizer, "The cat", "")
    with pytest.raises(ValueError, match="give one of them"):
        next(training.batches(torch.zeros(3, 4, dtype=torch.long)))
    with pytest.raises(ValueError, match="no GPU does more than its peak"):
        training.bill(1e9, 1e9, 900, 40, 2)


@pytest.mark.parametrize("text", TEXTS[:3])
def test_writing_by_hand_is_generate_greedy_and_sampled(mini, text):
    model, tokenizer = mini
    ids = tokenizer(text).input_ids
    before = list(ids)
    assert lab.write(model, ids, 12) == lab.generate(model, ids, 12)
    for seed in (0, 1):
        drawn = lab.write(model, ids, 12, torch.Generator().manual_seed(seed))
        assert drawn == lab.generate(model, ids, 12, seed=seed)
    assert ids == before


def test_writing_ends_where_generate_ends(mini):
    model, tokenizer = mini
    ids = tokenizer("They were happy. The end.").input_ids
    for seed in range(40):
        drawn = lab.write(model, ids, 10, torch.Generator().manual_seed(seed))
        if tokenizer.eos_token_id in drawn:
            break
    assert drawn[-1] == tokenizer.eos_token_id and drawn == lab.generate(model, ids, 10, seed=seed)


def test_a_word_is_made_whole(mini):
    model, tokenizer = mini
    first = tokenizer(" ben").input_ids[0]
    assert lab.next_word(model, tokenizer, "The cat sat on the", first).strip().startswith("ben")
    assert len(lab.next_word(model, tokenizer, "The cat sat on the", first, most=1)) == len(" ben")


def test_tokens_read_count_the_model_it_grew_from():
    assert lab.tokens_read("target") > lab.tokens_read("mini") > 10_000_000
    assert lab.tokens_read("owner/name") is None


def test_stages_have_the_shapes_of_the_model(small):
    shapes = [shape for _, shape in lab.stages(small, [1, 2, 3])]
    assert shapes == [(3,), (3, 24), (3, 24), (24,), (53,)]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("index", [None, 7])
def test_a_neuron_by_hand_is_the_models_own(small, layer, index):
    n = lab.neuron(small, [5, 9, 2], layer, index)
    assert n.output == pytest.approx(n.own, rel=1e-4, abs=1e-6)
    assert n.active == pytest.approx(torch.nn.functional.silu(torch.tensor(n.gate)).item(), rel=1e-5)
    assert index in (None, n.index) and n.x.shape == n.gate_weights.shape == (24,)
    if index is None:
        assert abs(n.own) >= max(abs(lab.neuron(small, [5, 9, 2], layer, i).own) for i in range(40)) - 1e-6


def test_a_neuron_fires_where_its_outputs_are_largest(mini):
    model, tokenizer = mini
    text = "Tom sat on the old chair and looked at the moon."
    ids = tokenizer(text).input_ids
    outputs = {i: lab.neuron(model, ids[: i + 1], 3, 20).own for i in range(1, len(ids))}
    best = sorted(outputs, key=lambda i: -abs(outputs[i]))[:3]
    found = lab.fires_on(model, tokenizer, text, 3, 20, 3)
    assert [text for text, _ in found] == [tokenizer.decode(ids[max(0, i - 2) : i + 1]) for i in best]
    assert [value for _, value in found] == pytest.approx([outputs[i] for i in best], rel=1e-3)


def test_linear_layers_are_one_matrix_and_bent_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    up, down = torch.randn(60, 20, generator=generator), torch.randn(20, 60, generator=generator)
    assert lab.missed_by_one_matrix(lambda x: x @ up.T @ down.T, 20) < 1e-8
    assert lab.missed_by_one_matrix(lambda x: x @ up.T + 3, 20) < 1e-8  # a constant is part of a layer
    assert lab.missed_by_one_matrix(lambda x: lab.silu(x @ up.T) @ down.T, 20) > 0.1
    assert lab.missed_by_one_matrix(lambda x: x.square(), 20) > 0.9


@pytest.mark.parametrize("ending", [" mat", " refrigerator", "."])
def test_surprise_is_transformers_loss(mini, ending):
    s = lab.surprise(*mini, "The cat sat on the", ending)
    assert s.loss / len(s.nats) == pytest.approx(
        lab.loss_by_transformers(*mini, "The cat sat on the", ending), rel=1e-4
    )
    assert s.bits == pytest.approx(s.loss / math.log(2)) and s.probability == pytest.approx(math.exp(-s.loss))
    assert "".join(s.tokens) == ending


def random_net(seed, neurons=5, width=4, vocabulary=6):
    generator = torch.Generator().manual_seed(seed)

    def made(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return made(neurons, width), made(vocabulary, neurons), made(width), seed % vocabulary


@pytest.mark.parametrize("seed", range(8))
def test_backpropagation_by_hand_is_autograds_and_finite_differences(seed):
    first, second, x, right = random_net(seed)
    ours, theirs = lab.backward(first, second, x, right), lab.autograd(first, second, x, right)
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-9)
    torch.testing.assert_close(ours.probabilities, theirs.probabilities)
    torch.testing.assert_close([ours.first, ours.second], [theirs.first, theirs.second], atol=1e-9, rtol=0)
    moved = first.clone()
    moved[2, 1] += 1e-6
    slope = (lab.backward(moved, second, x, right).loss - ours.loss) / 1e-6
    assert slope == pytest.approx(ours.first[2, 1].item(), abs=1e-4)
    after = lab.backward(first - 1e-3 * ours.first, second - 1e-3 * ours.second, x, right)
    assert after.loss < ours.loss


@pytest.mark.parametrize("which", ["mini", "small"])
def test_matrix_times_last_row_are_the_logits(which, request):
    model = request.getfixturevalue(which)
    model = model[0] if which == "mini" else model
    matrix, row = lab.last_hidden(model, [7, 8, 9])
    torch.testing.assert_close(matrix @ row, lab.next_logits(model, [7, 8, 9]), atol=1e-3, rtol=1e-4)
    matrix.zero_()  # a copy
    assert model.lm_head.weight.abs().sum() > 0


# Stories.


def test_stories_are_told_apart_from_nonsense():
    told = stories.stories(400, seed=5)
    assert told == stories.stories(400, seed=5) != stories.stories(400, seed=6)
    assert all(stories.is_story(s.text) and all(stories.known_sentences(s.text)) for s in told)
    assert len({stories.story(random.Random(i)).text[:12] for i in range(200)}) > 20
    text = (
        "Mia had a red ball. One day she took it to the park. A big dog came and ran away with the ball. Mia was sad. "
    )
    text += "She gave the dog some cake, and the dog gave back the red ball."
    assert stories.is_story(text)
    for old, new in (
        ("with the ball", "with the hat"),
        ("Mia was", "Tom was"),
        ("She gave", "He gave"),
        ("cake,", "sand,"),
    ):
        assert not stories.is_story(text.replace(old, new))
    assert not stories.is_story(text[:-20]) and not stories.is_story("")
    assert stories.known_sentences(text.replace("Mia was", "Tom was")) == [True] * 5
    assert stories.known_sentences("The dog is. Mia was sad.") == [False, True]
    assert stories.known_sentences("") == []


def test_a_storys_surprise_is_the_number_of_stories():
    """Count a small world whole: every choice once, and all texts differ."""
    count = math.prod(map(len, stories.SLOTS.values())) * len(stories.PLOTS)
    assert stories.stories(1, 0)[0].nats == pytest.approx(math.log(count))
    assert all(f"{{{slot}}}" in plot for plot in stories.PLOTS for slot in stories.SLOTS)
    texts = {s.text for s in stories.stories(3000, seed=1)}
    assert len(texts) > 2900  # hardly any twice, out of millions


# Training.


def test_rows_are_whole_stories_and_the_floor_is_their_entropy(mini):
    _, tokenizer = mini
    told = stories.stories(9, seed=0)
    data = training.rows(tokenizer, told)
    for row, story in zip(data.tolist(), told, strict=True):
        ids = [i for i in row if i != training.PAD]
        assert ids[0] == ids[-1] == tokenizer.eos_token_id and tokenizer.decode(ids[1:-1]) == story.text
    tokens = sum(len(tokenizer(s.text).input_ids) + 1 for s in told)
    assert training.floor(data, told) == pytest.approx(9 * told[0].nats / tokens)


def test_loss_is_transformers_loss(mini):
    model, tokenizer = mini
    data = training.rows(tokenizer, stories.stories(5, seed=0))
    with torch.no_grad():
        want = model(input_ids=data.clamp(min=0), labels=data).loss.item()
    for size in (2, 16):
        assert training.held_out(model, data, size) == pytest.approx(want, rel=1e-5)


def test_training_learns_and_repeats(mini):
    _, tokenizer = mini
    data = training.rows(tokenizer, stories.stories(300, seed=0))
    curves = []
    for _ in range(2):
        tiny = training.tiny_llama(len(tokenizer), width=32, layers=1, heads=2)
        curves.append(training.train(tiny, data, steps=40, size=8))
    assert curves[0] == pytest.approx(curves[1], rel=1e-3) and len(curves[0]) == 40
    assert curves[0][0] == pytest.approx(math.log(len(tokenizer)), abs=0.5) and curves[0][-1] < curves[0][0] - 2
    texts = training.tell(tiny, tokenizer, count=4, most=12)
    assert len(texts) == 4 and texts == training.tell(tiny, tokenizer, count=4, most=12)


def test_batches_keep_time_but_make_the_least_steps():
    data = torch.arange(40).reshape(10, 4)
    assert sum(1 for _ in training.batches(data, 1e-6, least=7)) == 7
    assert sum(1 for _ in training.batches(data, 0.05, least=1)) > 7
    assert sum(1 for _ in training.batches(data, steps=5)) == 5
    model = torch.nn.Linear(2, 2)
    optimizer, rates = training.adam(model), []
    for batch in training.batches(data, steps=100, optimizer=optimizer, size=3):
        assert batch.shape == (3, 4)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates[0] < max(rates) == training.RATE and rates[-1] < 0.1 * training.RATE and rates[40] == training.RATE


def test_threads_come_back():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), training.one_thread():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


# Costs.


def test_flops_are_two_and_six_for_each_weight(mini):
    model, tokenizer = mini
    batch = training.rows(tokenizer, stories.stories(2, seed=0))
    counted, n = training.flops(model, batch), training.multiplied(model)
    c = model.config
    length = batch.shape[1] - 1
    scores = 2 * 2 * c.num_hidden_layers * c.num_attention_heads * c.head_dim * length  # q·k and the mix, all keys
    assert counted["forward"] == pytest.approx(2 * n + scores, rel=0.01)
    assert counted["training"] == pytest.approx(3 * counted["forward"], rel=0.01)
    assert all(p.grad is None for p in model.parameters())


def test_weights_are_counted_once(mini, small):
    assert training.multiplied(mini[0]) == sum(p.numel() for p in mini[0].parameters() if p.ndim == 2)
    embedding = small.get_input_embeddings().weight.numel()  # untied: only looked up
    assert training.multiplied(small) == sum(p.numel() for p in small.parameters() if p.ndim == 2) - embedding


def test_memory_counts_each_tensor_and_leaves_the_model_alone(mini):
    model, tokenizer = mini
    batch = training.rows(tokenizer, stories.stories(3, seed=0))
    before = model.model.embed_tokens.weight.clone()
    held = training.memory(model, batch)
    weights = sum(p.numel() * 4 for p in model.parameters())
    assert held["weights"] == held["gradients"] == weights and held["optimizer"] == 2 * weights
    twice = training.memory(model, torch.cat([batch, batch]))
    assert twice["activations"] == pytest.approx(2 * held["activations"], rel=0.05)
    logits = 3 * (batch.shape[1] - 1) * model.config.vocab_size * 4
    assert held["activations"] > logits
    assert torch.equal(model.model.embed_tokens.weight, before)


def test_cache_bytes_are_those_of_the_formula(mini):
    from lessonlib.calc import memory

    c = mini[0].config
    want = memory.kv_cache_bytes(
        layers=c.num_hidden_layers, kv_heads=c.num_key_value_heads, head_dim=c.head_dim, tokens=30, bytes_per_value=4
    )
    assert training.cache_bytes(mini[0], 30) == want


def test_times_have_a_sample_a_round(mini):
    model, tokenizer = mini
    samples = training.times(model, training.rows(tokenizer, stories.stories(1, seed=0)), rounds=2, new=2)
    assert set(samples) == {"training", "reading", "writing"} and all(len(v) == 2 for v in samples.values())
    assert all(t > 0 for v in samples.values() for t in v) and set(training.middle(samples)) == set(samples)


def test_the_bill_of_a_32b_model():
    bill = training.bill(32e9, 640e9, 989, 0.4, 2.0)
    assert bill["flops"] == 6 * 32e9 * 640e9
    assert bill["gpu_hours"] == pytest.approx(bill["flops"] / (989e12 * 0.4) / 3600)
    assert bill["usd"] == 2 * bill["gpu_hours"]
