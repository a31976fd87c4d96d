"""Memory of training: the 16 bytes, adapters to the parameter, activations by the published formula."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.calc import architecture, training, units, weights
from lessonlib.facts import catalog

ALL = catalog.models()
rows = st.sampled_from(ALL)
QWEN = catalog.model("qwen2.5-coder-32b")
LLAMA_7B = dict(
    layers=32, attention_heads=32, kv_heads=32, head_dim=128, hidden_size=4096, intermediate_size=11008,
    vocab_size=32000, tied_embeddings=False,
)  # fmt: skip


def fixed(found):
    return sum(size for part, size in found.items() if part not in ("activations", "logits"))


def test_full_fine_tuning_takes_16_bytes_a_parameter():
    assert units.gb(training.flat(32 * 10**9).total) == catalog.claim("S10-026").value[0] == 512
    found = training.training(QWEN)
    n = QWEN.total_params_exact
    assert fixed(found) == 16 * n
    parts = dict(weights=2, gradients=2, master_weights=4, optimizer=8)
    assert all(found[part] == size * n for part, size in parts.items())
    assert fixed(training.training(QWEN, master=False)) == 12 * n
    assert fixed(training.training(QWEN, optimizer="sgd", master=False)) == 4 * n


def test_eight_bit_states_with_their_scales():
    n = 10**9
    assert training.flat(n, "adamw_8bit").total == n * (8 + 2) + 2 * 4 * n // 256
    found = training.training(LLAMA_7B, optimizer="adamw_8bit")["optimizer"]
    small = 65 * 4096  # two norms a layer and the last one: exactly 4,096 values, so still in 8 bits
    total = architecture.parameters(LLAMA_7B)
    assert found == 2 * total + 8 * (total // 256) and small % 256 == 0
    odd = dict(LLAMA_7B, hidden_size=2048, attention_heads=16, kv_heads=16)
    norms = 65 * 2048
    rest = architecture.parameters(odd) - norms
    assert training.training(odd, optimizer="adamw_8bit")["optimizer"] == 2 * rest + 8 * (rest // 256) + 8 * norms


@pytest.mark.parametrize(
    "rank, targets, expected", [(8, ["q_proj", "v_proj"], 4_194_304), (64, "all-linear", 159_907_840)]
)
def test_adapters_of_llama_2_7b(rank, targets, expected):
    """What PEFT prints for this model as trainable parameters."""
    assert training.adapter(LLAMA_7B, rank, targets).parameters == expected


def test_an_adapter_by_hand():
    found = training.adapter(LLAMA_7B, 4, ["q", "down"])
    assert found.matrices == {"q": 32, "down": 32}
    assert found.parameters == 32 * 4 * (4096 + 4096 + 4096 + 11008)
    by_group = [
        training.adapter(LLAMA_7B, 4, group).parameters for group in ("attention", "mlp", "all-linear", "all_linear")
    ]
    assert by_group[0] + by_group[1] == by_group[2] == by_group[3]


def test_adapters_agree_with_real_ones():
    """Two small matrices beside every linear layer of the real model, counted."""
    import torch

    from lessonlib.models import shapes

    meta, total = shapes.build("qwen3-0.6b"), 0
    for layer in meta.model.layers:
        for module in layer.modules():
            if type(module) is torch.nn.Linear:
                total += 8 * (module.in_features + module.out_features)
    assert training.adapter(catalog.model("qwen3-0.6b"), 8).parameters == total


def test_experts_get_an_adapter_each():
    row = catalog.model("mixtral-8x7b")
    found = training.adapter(row, 8, "mlp")
    assert found.matrices == {"gate": 256, "up": 256, "down": 256}
    assert "router" not in training.adapter(row, 8).matrices


def test_lora_and_qlora():
    lora, qlora = (training.training(QWEN, method, rank=16) for method in ("lora", "qlora"))
    added = training.adapter(QWEN, 16).parameters
    assert lora["weights"] == 2 * QWEN.total_params_exact
    assert qlora["weights"] == weights.weights(QWEN, "nf4_dq").total
    for found in (lora, qlora):
        assert found["adapter"] == found["gradients"] == 4 * added and found["optimizer"] == 8 * added
        assert "master_weights" not in found
    assert fixed(qlora) < fixed(lora) / 3 < fixed(training.training(QWEN)) / 15


def test_activations_by_the_published_formula():
    """GPT-3 with its published shape: 34 s b h + 5 a s^2 b bytes a layer."""
    gpt3 = dict(layers=96, attention_heads=96, hidden_size=12288, vocab_size=50257)
    layer, scores = 34 * 2048 * 12288, 5 * 96 * 2048**2
    at = dict(model=gpt3, tokens=2048)
    assert training.activations(**at, checkpointing="none", flash=False)["activations"] == 96 * (layer + scores)
    assert training.activations(**at, checkpointing="none")["activations"] == 96 * layer
    assert training.activations(**at, checkpointing="selective", flash=False)["activations"] == 96 * layer
    full = training.activations(**at, checkpointing="full", flash=False)["activations"]
    assert full == 96 * 2 * 2048 * 12288 + layer + scores
    assert training.activations(**at)["logits"] == 4 * 2048 * 50257
    assert 5 * 96 * 2048 / 12288 == 80  # the ratio that the paper gives for GPT-3 beside the 34


@given(row=rows, tokens=st.integers(1, 32_768), batch=st.integers(1, 32))
def test_activations_are_linear_in_the_batch_and_saved_by_checkpoints(row, tokens, batch):
    one, many = training.activations(row, tokens), training.activations(row, tokens, batch)
    assert many == one.scaled(batch)
    order = [training.activations(row, tokens, batch, kind, False).total for kind in ("full", "selective", "none")]
    if row.layers > 2:
        assert order[0] < order[2] and order[1] <= order[2]
    assert training.activations(row, 2 * tokens) == one.scaled(2)


@given(row=rows, rank=st.integers(1, 8))
def test_adapters_are_linear_in_the_rank(row, rank):
    assert training.adapter(row, rank).parameters == rank * training.adapter(row, 1).parameters


@given(row=rows)
def test_states_shrink_with_their_bits(row):
    sizes = [
        training.training(row, optimizer=name)["optimizer"] for name in ("sgd", "adamw_8bit", "sgd_momentum", "adamw")
    ]
    assert sizes == sorted(sizes) and sizes[0] == 0


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: training.training(QWEN, "prefix"), "method is 'prefix'"),
        (lambda: training.training(QWEN, optimizer="lion"), "optimizer is 'lion'"),
        (lambda: training.training(QWEN, checkpointing="some"), "checkpointing is 'some'"),
        (lambda: training.training(QWEN, tokens=0), "tokens is 0"),
        (lambda: training.training(QWEN, batch=1.5), "batch is 1.5"),
        (lambda: training.training("qwen3-8b"), "catalog.model"),
        (lambda: training.training(QWEN, "lora", rank=0), "rank is 0"),
        (lambda: training.adapter(QWEN, 5000), "choose a smaller rank"),
        (lambda: training.adapter(QWEN, 8, "quay"), "no target 'quay'"),
        (lambda: training.adapter(QWEN, 8, ["q", "gate_up"]), "no target 'gate_up'"),
        (lambda: training.adapter(QWEN, 8, []), "targets is empty"),
        (lambda: training.adapter(QWEN, 8, None), "no target None"),
        (lambda: training.flat(-1), "parameters is -1"),
        (lambda: training.flat(10, "lion"), "optimizer is 'lion'"),
    ],
)
def test_refusals_are_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as error:
        call()
    assert "\n" not in str(error.value)
