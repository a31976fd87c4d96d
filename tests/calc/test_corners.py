"""Corners of the arithmetic that the tests of each module do not reach: one small case by hand for each."""

import pytest

from lessonlib.calc import cache, cost, tokens, training, units, vram, weights
from lessonlib.facts import catalog

SMALL_LLAMA = dict(
    model_type="llama", layers=80, hidden_size=64, attention_heads=4, kv_heads=2, head_dim=16, intermediate_size=128,
    vocab_size=100, tied_embeddings=False,
)  # fmt: skip


def test_a_window_is_rounded_up_to_whole_blocks():
    shape = dict(name="x", model_type="llama", layers=1, kv_heads=1, head_dim=1, attention_window=1000)
    shape |= dict(window_layers=1, layer_types=["sliding_attention"])
    assert cache.cache(shape, 5000, block=16)["sliding_window"] == 2 * 1008 * 2
    assert cache.cache(shape, 20, block=16)["sliding_window"] == 2 * 32 * 2


def test_more_gpus_than_state_heads_repeat_a_head():
    model = catalog.model("qwen3-coder-next")  # 32 value heads, 16 key heads
    whole, split = cache.cache(model, 0), cache.cache(model, 0, tp=64)
    assert split["recurrent_state"] * 32 == whole["recurrent_state"]
    assert split["conv_state"] * 8192 == whole["conv_state"] * (128 + 2 * 128)


def test_heads_are_said_to_repeat_only_when_they_do():
    model = catalog.model("qwen3-32b")  # 8 key-value heads
    assert cache.cache(model, 10, tp=8).notes == ()
    assert "several hold the same head" in cache.cache(model, 10, tp=16).notes[0]


def test_activations_are_of_all_sequences_up_to_the_chunk():
    model = catalog.model("qwen3-8b")
    four = vram.vram(model, 100, 4).worst["activations"]
    assert four == vram.activation_bytes(model, 400)
    assert vram.vram(model, 1000, 4).worst["activations"] == vram.activation_bytes(model, vram.CHUNK)


def test_key_value_heads_and_gpus_must_divide_either_way():
    model = catalog.model("qwen2.5-coder-32b")  # 40 query heads, 8 key-value heads
    with pytest.raises(ValueError, match="one must divide the other"):
        vram.vram(model, 10, tp=20)
    assert len(vram.vram(model, 10, tp=8).gpus) == 8


@pytest.mark.parametrize(
    "change, seventy",
    [({}, True), ({"layers": 40}, False), ({"model_type": "qwen3"}, False), ({"kv_heads": 4}, False)],
)
def test_what_llama_cpp_calls_a_70b(change, seventy):
    assert weights.surroundings(SMALL_LLAMA | change).seventy is seventy


def test_attention_matrices_of_a_batch():
    model = catalog.model("qwen3-8b")
    one, three = (training.activations(model, 128, n, "none", flash=False)["activations"] for n in (1, 3))
    linear = training.activations(model, 128, 1, "none")["activations"]
    assert three == 3 * one and one - linear == model.layers * 5 * model.attention_heads * 128 * 128


def test_a_long_prompt_has_the_batch_factor_of_its_own_tier():
    price = cost.price(
        {"input": 2, "output": 4, "batch": 0.5, "above": {1000: {"input": 4, "output": 8, "batch": 0.25}}}
    )
    assert cost.request(price, 1000, 10, batch=True).total == pytest.approx((2000 + 40) * 0.5 / 1e6)
    assert cost.request(price, 1001, 10, batch=True).total == pytest.approx((4004 + 80) * 0.25 / 1e6)
    no_batch = cost.price({"input": 2, "output": 4, "batch": 0.5, "above": {1000: {"input": 4, "output": 8}}})
    with pytest.raises(ValueError, match="no batch factor"):
        cost.request(no_batch, 1001, 10, batch=True)


def test_a_little_more_than_one_node_takes_two():
    found = cost.crossover_check(9000, 5, 600)  # 694.4 tokens a second
    assert found.nodes == 2 and not found.reachable
    assert cost.crossover_check(9000, 5, 695).reachable


def test_words_are_rounded_up():
    assert tokens.from_words(1) == 2 and tokens.from_words(10) == 13 and tokens.from_words(11) == 15


def test_numbers_beyond_all_bounds_are_refused():
    assert units.positive("tokens", 10**30) == 10**30
    for value in (10**31, 10**400, 1e31):
        with pytest.raises(ValueError, match="tokens is above 10"):
            units.positive("tokens", value, whole=False)
    with pytest.raises(ValueError, match="tokens is inf"):
        units.positive("tokens", float("inf"), whole=False)
