"""Bare models of real shapes, whole, sliced and thin: what lessons build to count and to run without a download."""

import pytest
import torch

from lessonlib.calc.memory import kv_cache_bytes
from lessonlib.facts import catalog
from lessonlib.models import shapes

PLAIN = dict(layers=6, attention_heads=4, kv_heads=2, head_dim=8, hidden_size=32, intermediate_size=48, vocab_size=64)


def cache_bytes(cache) -> int:
    return sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))


@pytest.mark.parametrize(
    "name", ["gpt2", "granite-34b-code", "qwen2.5-0.5b", "qwen2.5-coder-32b", "qwen3-0.6b", "mixtral-8x7b", "olmo-2-7b"]
)
def test_the_cache_of_a_real_shape_takes_the_bytes_of_the_formula(name):
    row, tokens = catalog.model(name), 11
    model = shapes.build(row, thin=True, device="cpu")
    with torch.no_grad():
        cache = model(input_ids=torch.zeros(1, tokens, dtype=torch.long), use_cache=True).past_key_values
    assert cache_bytes(cache) == tokens * row.kv_bytes_per_token_fp16
    expected = kv_cache_bytes(layers=row.layers, kv_heads=row.kv_heads, head_dim=row.head_dim, tokens=tokens)
    assert cache_bytes(cache) == expected


def test_fifty_thousand_tokens_of_the_32b_model_on_no_memory():
    model = shapes.build("qwen2.5-coder-32b")
    with torch.no_grad():
        out = model.model(input_ids=torch.zeros(1, 50_000, dtype=torch.long, device="meta"), use_cache=True)
    assert cache_bytes(out.past_key_values) == 13_107_200_000


def test_few_layers_run_and_two_builds_agree():
    one, two = (shapes.build(PLAIN, layers=2, device="cpu", dtype=torch.float32) for _ in range(2))
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        assert torch.equal(one(ids).logits, two(ids).logits)
    assert one.config.num_hidden_layers == 2 and one.dtype == torch.float32 and not one.training
    other = shapes.build(PLAIN, layers=2, device="cpu", dtype=torch.float32, seed=1)
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)


def test_building_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    shapes.build("qwen2.5-0.5b", thin=True, layers=1, device="cpu")
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_mapping_with_experts_is_a_mixtral_and_names_are_forgiving():
    assert shapes.config(PLAIN).model_type == "llama"
    assert shapes.config(PLAIN | {"moe_experts": 4, "moe_experts_per_token": 2}).model_type == "mixtral"
    assert shapes.config(PLAIN | {"model_type": "qwen3"}).model_type == "qwen3"
    assert shapes.shape("Qwen/Qwen3 32B").name == "qwen3-32b"


@pytest.mark.parametrize(
    ("architecture", "options", "says"),
    [
        ("qwen2.5-coder-32b", {"layers": 65}, "layers is 65, but qwen2.5-coder-32b has 64: ask for 1 to 64"),
        ("qwen2.5-coder-32b", {"layers": 0}, "layers is 0"),
        ("qwen2.5-coder-32b", {"layers": [3, 2]}, r"layers is \[3, 2\].*rising"),
        ("qwen2.5-coder-32b", {"layers": range(60, 65)}, "range"),
        ("qwen2.5-coder-32b", {"layers": slice(64, 70)}, "slice"),
        ({"layers": 2, "hidden_size": 8}, {}, "lacks attention_heads"),
        ("no-such-model", {}, "no-such-model"),
        (PLAIN | {"attention": "mla"}, {}, "mla attention: give its model_type"),
        (PLAIN | {"moe_experts": 4, "moe_shared_experts": 1}, {}, "fine-grained experts: give its model_type"),
        (PLAIN | {"name": "Mine", "model_type": "mine"}, {}, "Mine is a mine, which the installed transformers"),
    ],
)
def test_what_cannot_be_built_is_said_in_a_sentence(architecture, options, says):
    with pytest.raises(ValueError, match=says) as caught:
        shapes.build(architecture, **options)
    assert "\n" not in str(caught.value)
