"""Shapes made real on a CPU: predicted bytes against those of tensors, of a real cache and of the process."""

import subprocess
import sys
import textwrap

import pytest
import torch

from lessonlib.facts import catalog
from lessonlib.models import shape, shapes

ONE_OF_EACH = list({row.model_type: row.id for row in reversed(catalog.models())}.values())
SMALL = dict(
    layers=2, attention_heads=8, kv_heads=4, head_dim=64, hidden_size=512, intermediate_size=1024, vocab_size=1000,
    model_type="qwen3",
)  # fmt: skip


def thin(name: str):
    """A thin slice of four or six layers with every kind that the model has."""
    layers = {"nemotron_h": range(3, 9), "gemma3_text": range(3, 7), "gpt2": None}
    return shape(name, layers=layers.get(catalog.model(name).model_type, range(1, 5)), thin=True)


def held(cache) -> dict[str, int]:
    """Bytes of a real cache: keys and values, index keys, states and inputs of the convolutions."""
    found = dict(kv=0, index=0, state=0, conv=0)
    for layer in cache.layers:
        states = [*getattr(layer, "recurrent_states", {}).values()], [*getattr(layer, "conv_states", {}).values()]
        parts = {"kv": [getattr(layer, "keys", None), getattr(layer, "values", None)], "state": states[0]}
        parts |= {"conv": states[1], "index": [getattr(layer, "indexer_keys", None)]}
        for part, tensors in parts.items():
            found[part] += sum(t.nbytes for t in tensors if t is not None)
    return found


@torch.no_grad()
def run(model, tokens: int):
    return model(input_ids=torch.arange(tokens)[None] % 200, use_cache=True)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_every_family_runs_and_its_cache_has_the_predicted_bytes(name):
    small, tokens = thin(name), 13
    model = small.materialise()
    assert shapes.measured_bytes(model) == small.weight_bytes() == 2 * shapes.parameters(model)
    assert all(torch.isfinite(t).all() for t in [*model.parameters(), *model.buffers()])
    out = run(model, tokens)
    assert torch.isfinite(out.logits).all() and out.logits.float().std() > 0
    found = held(out.past_key_values)
    assert found["kv"] == small.kv_bytes(tokens) and found["index"] == small.index_bytes(tokens)
    assert found["conv"] == small.conv_state_bytes
    wide = 2 if catalog.model(name).model_type == "qwen3_next" else 1  # transformers keeps DeltaNet's state in 32 bits
    assert found["state"] == wide * small.state_bytes


@pytest.mark.parametrize("name", ["gemma-3-4b", "gpt-oss-20b"])
def test_a_full_window_stays_full(name):
    small = thin(name)
    tokens = small.window + 40
    found = held(run(small.materialise(), tokens).past_key_values)["kv"]
    windowed = sum(kind in shapes.WINDOWED for kind in small.layer_types)
    one_token = windowed * small.kv_bytes(1) // len(small.layer_types)
    assert found == small.kv_bytes(tokens) - one_token  # transformers drops one token earlier


@pytest.mark.parametrize("name", ["nemotron-3-nano", "qwen3-coder-next"])
def test_a_slice_of_states_only_is_counted_and_not_made(name):
    few = shape(name, layers=2, thin=True)
    assert few.kv_bytes(9) == 0 and few.state_bytes and few.parameters
    with pytest.raises(ValueError, match=f"slice of {name} has states .* and no attention layer"):
        few.materialise()


def test_two_layers_of_a_real_model_have_the_predicted_bytes_and_generate():
    few = shape("Qwen3-0.6B").slice(2)
    model = few.materialise("cpu", dtype="float32")
    assert few.weight_bytes("float32") == shapes.measured_bytes(model)
    assert few.weight_bytes("float32") == sum(p.numel() * p.element_size() for p in model.parameters())
    assert model.lm_head.weight is model.model.embed_tokens.weight  # tied: held once
    assert model.dtype == torch.float32 and not model.training
    out = model.generate(torch.tensor([[1, 2, 3]]), max_new_tokens=3, min_new_tokens=3, do_sample=False)
    assert out.shape == (1, 6)
    cache = run(model, 50).past_key_values
    assert held(cache)["kv"] == few.kv_bytes(50, dtype="float32")


def test_materialise_takes_layers_and_a_seed_and_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    one, two = (shape("qwen3-0.6b", thin=True).materialise(layers=range(3, 5), seed=7) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert one.config.num_hidden_layers == 2
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    other = shape("qwen3-0.6b", thin=True).materialise(layers=2)
    assert not torch.equal(one.model.embed_tokens.weight, other.model.embed_tokens.weight)


def test_on_meta_nothing_is_made():
    model = shape("kimi-k2").materialise("meta")
    assert all(t.is_meta for t in model.parameters())


def test_what_does_not_fit_is_refused_before_anything_is_allocated(monkeypatch):
    monkeypatch.setattr(shapes, "memory_free", lambda device: 10**9)
    with pytest.raises(ValueError, match=r"qwen3-32b with 64 layers needs 65\.5 GB .* but cpu has 1 GB .*fewer layers"):
        shape("qwen3-32b").materialise("cpu")


def test_a_missing_device_is_said_in_a_sentence():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ValueError, match="'cuda' was asked for, but this machine has only"):
        shape(SMALL).materialise("cuda")


def test_quantization_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as if it were not installed
    with pytest.raises(ValueError, match="needs the package bitsandbytes: pip install bitsandbytes"):
        shape(SMALL).materialise(quantization="int4")
    with pytest.raises(ValueError, match="experts of this model are stacked"):
        shape("gpt-oss-20b", layers=1, thin=True).materialise(quantization="int8")
    with pytest.raises(ValueError, match="quantization is 'int2'"):
        shape(SMALL).materialise(quantization="int2")


@pytest.mark.parametrize("quantization", ["int8", "int4"])
def test_quantized_weights_have_the_predicted_bytes_and_run(quantization):
    small = shape(SMALL)
    model = small.materialise(dtype="float16" if quantization == "int8" else "bfloat16", quantization=quantization)
    assert shapes.measured_bytes(model) == small.weight_bytes(quantization=quantization) < small.weight_bytes() / 1.4
    assert torch.isfinite(run(model, 5).logits).all()
    if quantization == "int8":
        assert shapes.measured_bytes(model) == small.weight_bytes(quantization="int8")  # after the first use, too


def test_the_process_never_holds_much_more_than_the_weights():
    """A fresh process: the peak of its memory grows by the 256 MB of weights, not by a second or a 32-bit copy."""
    code = """
        import resource, sys, threading, torch
        from lessonlib.models import shape
        torch.set_num_threads(1)
        shape("qwen3-0.6b", layers=1, thin=True).materialise()  # imports and first allocations
        few = shape(dict(layers=4, attention_heads=16, kv_heads=8, head_dim=128, hidden_size=2048,
                         intermediate_size=6144, vocab_size=8192, model_type="qwen3", tied_embeddings=True))
        predicted = few.weight_bytes()
        unit = 1 if sys.platform == "darwin" else 1024
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        model = few.materialise()
        print(predicted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before)
    """
    pytest.importorskip("resource")
    command = [sys.executable, "-c", textwrap.dedent(code)]
    predicted, grown = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert 200e6 < predicted < 450e6
    assert grown < 1.15 * predicted + 40e6
