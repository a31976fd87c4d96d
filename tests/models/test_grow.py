"""A grown model begins where the small one ended, and its copies are free to become different."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from lessonlib.models.training.grow import _plan, grow
from lessonlib.models.training.presets import config_for

from .conftest import tiny_preset


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    model = build()
    for name, parameter in model.named_parameters():  # norms of a trained model are not all one
        if "norm" in name:
            parameter.data.uniform_(0.5, 1.5)
    return model


def build(**shape):
    return AutoModelForCausalLM.from_config(config_for(tiny_preset(**shape))).eval()


def logits(model, tokens: int = 40):
    ids = torch.randint(0, 4096, (2, tokens), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(ids).logits


WIDE = dict(hidden=64, feed_forward=128)


@pytest.mark.parametrize("shape", [{}, {"layers": 5}, WIDE, WIDE | {"layers": 3}], ids=str)
def test_a_dense_model_gives_the_same_logits(small, shape):
    large = grow(small, build(**shape))
    assert large.num_parameters() >= small.num_parameters()
    assert (logits(large) - logits(small)).abs().max() < 1e-4 * logits(small).abs().max()


def test_copies_differ_in_their_weights_and_in_their_gradients(small):
    large = grow(small, build(**WIDE))
    ids = torch.randint(0, 4096, (2, 20), generator=torch.Generator().manual_seed(2))
    large(ids, labels=ids).loss.backward()
    layer = large.model.layers[0]
    for matrix in (layer.self_attn.o_proj, layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj):
        for tensor in (matrix.weight.data, matrix.weight.grad):  # rows: what is written to the two copies
            assert differ(*tensor.chunk(2))
        assert differ(*matrix.weight.data.chunk(2, dim=-1))  # columns: how the two copies are read
    values = layer.self_attn.v_proj.weight.grad.unflatten(0, (2, 2, -1))  # heads, copies, head size of the small model
    assert differ(values[:, 0], values[:, 1])


def differ(one, other) -> bool:
    return ((one - other).abs().mean() > 0.02 * one.abs().mean()).item()


def test_growing_twice_from_one_seed_gives_one_model(small):
    one, two, other = (grow(small, build(**WIDE), seed) for seed in (3, 3, 4))
    weights = [model.model.layers[1].mlp.up_proj.weight for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_experts_hold_the_neurons_of_the_small_model(small):
    large = grow(small, build(experts=4, active_experts=2, feed_forward=32))  # 128 places for 64 neurons: each twice
    theirs, ours = small.model.layers[1].mlp, large.model.layers[1].mlp
    gates = ours.experts.gate_up_proj[:, :32].flatten(0, 1)
    counts = (gates[:, None] == theirs.gate_proj.weight).all(-1).sum(0)
    assert counts.tolist() == [2] * 64
    assert torch.equal(large.model.embed_tokens.weight, small.model.embed_tokens.weight)


def test_all_experts_together_do_what_the_layer_did(small):
    large = grow(small, build(experts=4, active_experts=4, feed_forward=32))
    for layer in large.model.layers:
        layer.mlp.gate.weight.data.zero_()  # every expert gets the same say
    assert (logits(large) - logits(small)).abs().max() < 1e-4 * logits(small).abs().max()


@pytest.mark.parametrize(("few", "many"), [(2, 2), (2, 3), (6, 9), (2, 6), (3, 12), (1, 4)])
def test_added_layers_are_spread_and_keep_the_order(few, many):
    plan = _plan(few, many)
    assert [at for at, new in plan if not new] == list(range(few)) and len(plan) == many
    sources = [at for at, _ in plan]
    assert sources == sorted(sources)
    assert max(map(sources.count, set(sources))) - min(map(sources.count, set(sources))) <= 1


@pytest.mark.parametrize(
    "shape",
    [{"hidden": 48}, {"layers": 1}, {"hidden": 64}, {"kv_heads": 1}, {"feed_forward": 32},
     WIDE | {"experts": 4, "active_experts": 2}, {"experts": 1, "active_experts": 1, "feed_forward": 32}],
    ids=str,
)  # fmt: skip
def test_shapes_that_do_not_follow_are_refused(small, shape):
    with pytest.raises(ValueError, match="choose another model to start from"):
        grow(small, build(**shape))
