"""The lab of lesson 07: counts equal tensors, layers by hand equal transformers, laws are found again, little models learn."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

from lessonlib import models
from lessonlib.calc import architecture, throughput
from lessonlib.facts import catalog
from lessonlib.labs import parameters_and_moe as lab
from lessonlib.labs import parameters_and_moe_figures as drawings
from lessonlib.labs import parameters_and_moe_scaling as scaling
from lessonlib.labs import parameters_and_moe_training as training
from lessonlib.page import figures

pytestmark = pytest.mark.l07
LIMITS = settings(max_examples=20, deadline=None)


def tiny(experts=0, per_token=2, seed=0, tied=True):
    torch.manual_seed(seed)
    common = dict(
        vocab_size=97, hidden_size=24, intermediate_size=20, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=2, head_dim=8, tie_word_embeddings=tied, pad_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    if experts:
        config = MixtralConfig(**common, num_local_experts=experts, num_experts_per_tok=per_token, sliding_window=None)
    else:
        config = LlamaConfig(**common)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def moe():
    return models.load("moe", device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def found(moe):
    return lab.routes(*moe, lab.texts.TEXTS)


@pytest.mark.parametrize("experts", [0, 3, 8])
@pytest.mark.parametrize("tied", [True, False])
def test_count_equals_tensors_group_by_group(experts, tied):
    model = tiny(experts, tied=tied)
    groups = lab.count(lab.shape_of(model.config))
    assert tuple(groups) == lab.GROUPS
    assert sum(groups.values()) == sum(p.numel() for p in model.parameters())
    own = {name: 0 for name in lab.GROUPS}
    for name, tensor in model.named_parameters():
        keys = {
            "embed": "embedding",
            "self_attn": "attention",
            "mlp.gate.weight": "router",
            "norm": "norms",
            "lm_head": "output",
        }
        own[next((group for key, group in keys.items() if key in name), "feed_forward")] += tensor.numel()
    assert own == groups


@pytest.mark.parametrize("name", ["mixtral-8x7b", "llama-3.3-70b", "tinyllama-1.1b"])
def test_count_equals_the_fact_base(name):
    from lessonlib.checks.parameters_and_moe_cases import known

    row = catalog.model(name)
    shape = known(row)
    assert sum(lab.count(shape).values()) == row.total_params_exact
    assert lab.active(shape, row.get("moe_experts_per_token") or 1) == architecture.active_parameters(row)


@given(
    st.integers(1, 10**6), st.integers(1, 10**5), st.integers(1, 20), st.integers(1, 64), st.integers(0, 100), st.data()
)  # fmt: skip
@LIMITS
def test_read_bytes_lies_between_one_token_and_all(rest, expert, layers, experts, tokens, data):
    k = data.draw(st.integers(1, experts))
    held, read = lab.read_bytes(rest, expert, layers, experts, k, tokens + 1)
    one = (rest + layers * k * expert) * 2
    assert one * (1 - 1e-9) <= read <= held * (1 + 1e-9)
    assert lab.read_bytes(rest, expert, layers, experts, k, 1)[1] == pytest.approx(one)


def test_read_bytes_of_mixtral_is_what_the_calculator_says():
    from lessonlib.checks.parameters_and_moe_cases import memory, mixtral

    held, read = memory(mixtral(), 8)
    row = catalog.model("mixtral-8x7b")
    assert held == 2 * architecture.parameters(row)
    # the calculator reads of the embedding only the rows of the tokens
    assert read - 2 * row.embedding_params_exact == pytest.approx(throughput.touched_weights(row, 8).total, rel=1e-3)


@pytest.mark.parametrize(("experts", "k"), [(4, 1), (4, 2), (8, 8), (5, 3)])
def test_layer_by_hand_is_the_models_own(experts, k):
    model = tiny(experts, k, seed=experts)
    block, x = model.model.layers[1].mlp, torch.randn(2, 7, 24)
    with torch.no_grad():
        torch.testing.assert_close(lab.moe_layer(block, x, k), block(x), atol=1e-5, rtol=1e-5)
        logits, scores, chosen = block.gate(x.flatten(0, 1))
    weights = lab.route(logits, k)
    torch.testing.assert_close(weights.gather(-1, chosen), scores, atol=1e-6, rtol=0)
    assert ((weights > 0).sum(-1) == k).all() and torch.allclose(weights.sum(-1), torch.ones(14))


def test_layers_of_the_embedded_model_by_hand(moe):
    model, tokenizer = moe
    ids = torch.tensor([lab.encode(tokenizer, lab.texts.CODE)[:120]])
    for k in (1, 2, 4):
        with lab.choosing(model, k):
            for layer, x in zip(model.model.layers, lab.inputs_of(model, ids), strict=True):
                with torch.no_grad():
                    torch.testing.assert_close(lab.moe_layer(layer.mlp, x, k), layer.mlp(x), atol=1e-4, rtol=1e-5)


def test_choosing_puts_everything_back(moe):
    model, _ = moe
    ids = torch.arange(6, 30)[None]
    with torch.no_grad():
        before = model(ids).logits
        with pytest.raises(RuntimeError), lab.choosing(model, 1):
            assert (model(ids).logits - before).abs().max() > 0.1
            raise RuntimeError
        assert torch.equal(model(ids).logits, before)
    with lab.choosing(model, None), torch.no_grad():
        assert torch.equal(model(ids).logits, before)
    for k in (0, 9):
        with pytest.raises(ValueError, match="between 1 and"), lab.choosing(model, k):
            pass
    with pytest.raises(ValueError, match="dense"), lab.choosing(tiny(), 1):
        pass


def test_quality_is_best_at_the_trained_k(moe):
    model, tokenizer = moe
    bits = {}
    for k in (1, 2, 8):
        with lab.choosing(model, k):
            bits[k] = lab.bits_per_byte(model, tokenizer, lab.texts.TEXTS.values())
    assert bits[2] < bits[8] < bits[1]
    assert 1 < bits[2] < 2.2


def test_bits_per_byte_is_that_of_the_training(moe):
    from lessonlib.models.training import evaluate

    model, tokenizer = moe
    texts = list(lab.texts.TEXTS.values())[1:]  # each fits one window
    want = evaluate.bits_per_byte(model, tokenizer.backend_tokenizer, texts, context=2000, batch=1)
    # the other joins the documents: later ones see those before
    assert lab.bits_per_byte(model, tokenizer, texts) == pytest.approx(want, rel=0.1)


def test_routes_are_the_choices_of_the_model(moe, found):
    model, tokenizer = moe
    layers, tokens, experts = found.probabilities.shape
    assert (layers, experts) == (6, 8) and tokens == len(found.pieces) == len(found.classes) == len(found.kinds)
    assert "".join(p for p, kind in zip(found.pieces, found.kinds, strict=True) if kind == "code") == lab.texts.CODE
    assert (found.chosen.sum(-1) == 2).all()
    ids = torch.tensor([lab.encode(tokenizer, lab.texts.TEXTS["stories"])])
    x = lab.inputs_of(model, ids)[3].flatten(0, 1)
    with torch.no_grad():
        chosen = model.model.layers[3].mlp.gate(x)[2][1:]
    mine = found.chosen[3, : len(chosen)]
    assert (mine.gather(-1, chosen) == 1).float().mean() > 0.99  # a tie may go either way
    load = found.load()
    assert torch.allclose(load.sum(-1), torch.ones(6))
    assert (lab.evenness(load) <= 1).all() and lab.evenness(torch.full((2, 8), 1 / 8)).tolist() == pytest.approx([1, 1])
    assert lab.shift(load, load).abs().max() == 0


def test_the_token_decides_most_in_the_first_layer(found):
    shares = lab.same_experts(found)
    assert list(shares) == ["same kind", "other kind", "random"] and shares["same kind"][0] > 0.8
    for same, other, drawn in zip(*shares.values(), strict=True):
        assert same > other > drawn


def test_classes_depart_more_than_chance(found):
    rows = {name: (count, shift, chance, best) for name, count, shift, chance, best in lab.preferences(found)}
    assert list(rows) == [*lab.CLASSES, *lab.texts.TEXTS]
    assert (
        sum(rows[name][0] for name in lab.CLASSES)
        == sum(rows[name][0] for name in lab.texts.TEXTS)
        == len(found.pieces)
    )
    for name in ("digits", "punctuation", "names"):
        count, shift, chance, best = rows[name]
        assert count >= 10 and shift > 1.3 * chance and len(best) == 2, name


def test_token_classes():
    cases = {
        " ": "blanks",
        "\n\n": "blanks",
        "12": "digits",
        " 7": "digits",
        ".": "punctuation",
        " Lily": "names",
        "ed": "other words",
    }
    assert {piece: lab.token_class(piece) for piece in cases} == cases
    assert lab.token_class("self", "code") == "words of code" and lab.token_class("):", "code") == "punctuation"


def test_regulars_go_where_they_are_said_to_go(found):
    said = lab.regulars(found, 0, int(found.load()[0].argmax()))
    assert "(" in said or said == "none"
    assert lab.regulars(found, 0, 0, share=1.1) == "none"


def test_touched_rises_to_all_and_stays_below_the_formula(found):
    values = [lab.touched(found, n) for n in (1, 2, 8, 64)]
    assert values[0] == 2 and values == sorted(values) and values[-1] <= 8
    assert all(v <= throughput.expected_experts(8, 2, n) + 0.1 for v, n in zip(values, (1, 2, 8, 64), strict=True))


def test_timed_blocks_have_the_sizes_that_are_said():
    found = lab.time_blocks((1, 3), rounds=2, hidden=32, width=16, experts=4, per_token=2)
    assert tuple(found) == lab.BLOCKS
    one = 3 * 32 * 16
    assert [size // 4 for size, _ in found.values()] == [2 * one, 4 * one + 4 * 32, 4 * one]
    assert all(len(seconds) == 2 and 0 < min(seconds) < 5 for _, seconds in found.values())


@given(st.floats(0.5, 9), st.floats(0.01, 0.9), st.integers(3, 9))
@LIMITS
def test_power_law_finds_an_exact_one(scale, exponent, points):
    x = [100 * 3.0**i for i in range(points)]
    got = scaling.power_law(x, [scale * v**-exponent for v in x])
    assert got == pytest.approx((scale, exponent), rel=1e-6)


def test_fit_finds_a_law_again():
    sizes, data = (1e4, 3e4, 1e5, 1e6), (1e5, 4e5, 2e6)
    grid = [[n, d, 1.1 + 25 * n**-0.34 + 300 * d**-0.42] for n in sizes for d in data]
    law = scaling.fit(grid)
    assert (law.a, law.b) == pytest.approx((0.34, 0.42)) and law.floor == pytest.approx(1.1, rel=1e-3)
    assert law.error < 1e-6 and law.loss(1e5, 4e5) == pytest.approx(grid[7][2], rel=1e-4)
    spread = scaling.bootstrap(grid, times=5)
    assert spread["a"] == pytest.approx((0.34, 0.34))
    without = scaling.fit([[n, d, 25 * n**-0.3 + 300 * d**-0.4] for n in sizes for d in data])
    assert (without.a, without.b) == pytest.approx((0.3, 0.4)) and without.floor == pytest.approx(0, abs=1e-3)
    with pytest.raises(ValueError, match="six or more"):
        scaling.fit(grid[:5])


def test_one_variable_takes_rows_and_columns():
    grid = [[n, d, 5 * n**-0.1 * d**-0.2] for n in (1e3, 1e4, 1e5) for d in (1e4, 1e5, 1e6)]
    found = scaling.one_variable(grid)
    assert found["N"] == pytest.approx([0.1] * 3) and found["D"] == pytest.approx([0.2] * 3)


def test_little_models_have_the_parameters_that_are_said():
    assert [training.parameters(size.build()) for size in training.SIZES] == [
        13944,
        26784,
        83280,
        201280,
        443232,
        803968,
    ]
    dense, experts, wide = (training.TWINS[name].build() for name in ("dense_active", "experts", "dense_total"))
    shape = lab.shape_of(experts.config)
    assert lab.active(shape, 2) - lab.count(shape)["router"] == sum(p.numel() for p in dense.parameters())
    assert abs(training.parameters(experts) - training.parameters(wide)) == lab.count(shape)["router"]


def test_training_learns_is_repeatable_and_leaves_the_seed_alone():
    text = training.as_bytes(["the cat sat on the mat. " * 400])

    def measure(model):
        return round(training.bits_per_byte(model, text, 8), 3)

    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    runs = [training.train(training.Size(16, 1, 16, 1).build(), [text], (20_000, 40_000), measure) for _ in range(2)]
    assert torch.equal(torch.rand(1), expected)
    assert runs[0] == runs[1] and runs[0][1] < runs[0][0] < 8
    alone = training.train(training.Size(16, 1, 16, 1).build(), [text], (20_000,), measure)
    assert alone[0] == runs[0][0], "a branch must be the run that it stands for"


def test_threads_are_given_back():
    before = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), lab.one_thread():
        assert torch.get_num_threads() == 1
        raise ZeroDivisionError
    assert torch.get_num_threads() == before


def test_experts_are_trained_evenly():
    text = training.as_bytes(["the cat sat on the mat. " * 400])
    model = training.Size(16, 1, 16, 1, experts=4).build()
    training.train(model, [text], (60_000,), lambda m: None)
    with torch.no_grad():
        logits = model(training.windows([text], np.random.default_rng(0))).router_logits[0]
    load = (lab.route(logits, 2) > 0).float().mean(0) / 2
    assert lab.evenness(load[None]).item() > 0.8


def test_texts_of_the_standard_library():
    (code, new_code), (prose, new_prose) = training.python_code(), training.manual()
    assert min(map(len, (code, prose))) > 200_000 and min(map(len, (new_code, new_prose))) > 10_000
    assert bytes(new_code[:400]) not in bytes(code)


def test_a_row_of_a_real_mixture():
    row = lab.mixture_row(catalog.model("mixtral-8x7b"), 1)
    assert row == ["Mixtral 8x7B", "2 of 8", "46.7", "12.9", "27.6%", "93", "23", "25"]
    assert lab.mixture_row(catalog.model("mixtral-8x7b"), 64)[-1] == "93"


def test_cards_of_embedded_models():
    told = {n: json.loads((models.embedded_path(n) / "training.json").read_text()) for n in ("mini", "moe")}
    tokens = {name: f"{record['tokens_seen'] / 1e6:.1f} million tokens" for name, record in told.items()}
    assert lab.card("mini") == (told["mini"]["bits_per_byte"]["all"], tokens["mini"])
    assert lab.card("moe") == (told["moe"]["bits_per_byte"]["all"], f"mini, and {tokens['moe']}")
    assert lab.card("HuggingFaceTB/SmolLM2-135M") == (None, "–")


def test_short_names():
    names = ("DeepSeek-V3.2 (also V3.2-Exp)", "Qwen3-Coder-30B-A3B-Instruct", "Llama 3.3 70B Instruct", "Mixtral 8x7B")
    assert [lab.short(n) for n in names] == ["DeepSeek-V3.2", "Qwen3-Coder-30B-A3B", "Llama 3.3 70B", "Mixtral 8x7B"]


def test_drawings_say_what_they_show(found):
    fig, ax = figures.axes()
    said = drawings.draw_shares(ax, {"Mixtral": architecture.parts(catalog.model("mixtral-8x7b"))})
    assert "feed-forward, experts 96.6%" in said
    assert "Evenly spread, each would get 12.5%" in drawings.draw_load(figures.axes()[1], found.load())
    said = drawings.draw_touched(figures.axes()[1], (1, 8), (2.0, 6.8), (8, 2), {"Mixtral": (8, 2)})
    assert "25% at 1" in said and "Mixtral by the formula from 25% to 90%" in said
    grid = scaling.record()["grid"]
    assert "after 0.25 million bytes" in drawings.draw_grid(figures.axes()[1], grid, scaling.fit(grid))


def test_stored_record_is_whole():
    """The reference beside which a learner's numbers stand, its medians, and what the page says of it."""
    from statistics import median

    from lessonlib.paths import records_dir

    record = json.loads((records_dir() / "l07_scaling.json").read_text())
    assert record["name"] == "l07_scaling" and record["date"] and record["device"] and record["versions"]["torch"]
    for metric, entry in record["metrics"].items():
        assert entry["samples"], metric
        assert entry["median"] == pytest.approx(median(entry["samples"])), metric
    law = scaling.fit(record["grid"])
    assert 0.1 < law.a < 0.8 and 0.2 < law.b < 1.1 and law.error < 0.05
    one = scaling.one_variable(record["grid"])
    rows = scaling.exponents(record["grid"], law, scaling.bootstrap(record["grid"], times=3))
    assert [row[1] for row in rows][1::2] == ["0.076", "0.34"] and all(len(row) == 4 for row in rows)
    assert all(0.04 < x < 0.12 for x in one["N"]) and all(0.1 < x < 0.25 for x in one["D"])
    bits = {name: record["metrics"][f"specialist_{name}_bits_on_python"]["samples"] for name in ("code", "all")}
    assert max(bits["code"]) < min(bits["all"])
