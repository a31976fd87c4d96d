"""The attention lab: by hand = transformers for every layer; rotary positions, heads, costs and the race."""

import json
import math
from statistics import median

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from lessonlib.labs import attention as lab
from lessonlib.labs import attention_cost as cost
from lessonlib.labs import attention_heads as heads
from lessonlib.labs import attention_recall as race
from lessonlib.paths import records_dir

pytestmark = pytest.mark.l03
LIMITS = settings(max_examples=40, deadline=None)
FAMILIES = {
    "mha": (LlamaConfig, LlamaForCausalLM, 4, 4),
    "gqa": (LlamaConfig, LlamaForCausalLM, 6, 2),
    "mqa": (LlamaConfig, LlamaForCausalLM, 4, 1),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, 6, 2),
}


def tiny(family):
    """A random model whose values are large enough that a mistake shows."""
    config_class, model_class, n_heads, kv_heads = FAMILIES[family]
    torch.manual_seed(n_heads * 10 + kv_heads)
    config = config_class(
        vocab_size=397, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=n_heads,
        num_key_value_heads=kv_heads, head_dim=8, max_position_embeddings=128, pad_token_id=None, initializer_range=0.3,
    )  # fmt: skip
    return model_class(config).eval()


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return tiny(request.param)


def tokens(batch, length, seed=0):
    return torch.randint(0, 397, (batch, length), generator=torch.Generator().manual_seed(seed))


def close(got, want, tolerance=1e-5):
    torch.testing.assert_close(got, want, atol=tolerance, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("number", range(3))
def test_a_layer_by_hand_equals_the_models_own(model, number):
    layer = lab.look_into(model, tokens(2, 11), number)
    c = model.config
    assert layer.q.shape == (2, c.num_attention_heads, 11, 8) and layer.k.shape == (2, c.num_key_value_heads, 11, 8)
    output, weights = lab.by_hand(lab.attention_of(model, number), layer.hidden, lab.frequencies(model))
    assert layer.output.abs().max() > 0.1
    close(output, layer.output)
    close(weights, layer.weights)


@torch.no_grad()
def test_forward_by_hand_gives_the_models_logits(model):
    ids = tokens(2, 13)
    close(lab.forward(model, ids), model(input_ids=ids).logits, 1e-4)
    for switch in ("causal", "scaled", "positions"):
        assert (lab.forward(model, ids, **{switch: False}) - model(input_ids=ids).logits).abs().max() > 1e-2


def test_hooks_and_implementation_are_put_back(model):
    before = model.config._attn_implementation
    lab.look_into(model, tokens(1, 5), 0)
    with pytest.raises(ValueError, match="There is no layer 3: this model has 3"):
        lab.look_into(model, tokens(1, 5), 3)
    with heads.without(model, [(0, 1)]):
        pass
    assert model.config._attn_implementation == before
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@LIMITS
@given(
    heads=st.integers(1, 4), length=st.integers(1, 7), size=st.sampled_from([2, 8, 64]), first=st.integers(0, 500),
    base=st.sampled_from([10_000.0, 500_000.0]),
)  # fmt: skip
def test_rotation_equals_transformers(heads, length, size, first, base):
    x = torch.randn(2, heads, length, size, generator=torch.Generator().manual_seed(first))
    positions, speeds = torch.arange(first, first + length), base ** (-torch.arange(0, size, 2) / size)
    angles = torch.outer(positions.float(), speeds)
    both = torch.cat([angles, angles], -1)[None]
    want, _ = apply_rotary_pos_emb(x, x, both.cos(), both.sin())
    close(lab.rotate(x, positions, speeds), want)


@LIMITS
@given(distance=st.integers(0, 60), seed=st.integers(0, 1000))
def test_scores_depend_on_the_distance_alone(distance, seed):
    q, k = torch.randn(2, 32, generator=torch.Generator().manual_seed(seed)).double()
    speeds = 10_000.0 ** (-torch.arange(0, 32, 2).double() / 32)
    scores = lab.moved_scores(q, k, speeds, distance, places=(60, 61, 300))
    assert max(scores) - min(scores) < 5e-3  # angles are float32, as in transformers


@torch.no_grad()
def test_without_positions_a_layer_sees_a_bag_of_words(model):
    layer, speeds = lab.look_into(model, tokens(1, 12), 1), lab.frequencies(model)
    attention = lab.attention_of(model, 1)
    assert lab.shuffle_effect(attention, layer.hidden, speeds, positions=False) < 1e-5
    assert lab.shuffle_effect(attention, layer.hidden, speeds, positions=True) > 1e-2


def test_spread_repeats_neighbours():
    x = torch.arange(2.0)[None, :, None, None].expand(1, 2, 3, 4)
    assert lab.spread(x, 6)[0, :, 0, 0].tolist() == [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match="do not share"):
        lab.spread(x, 5)


def test_loss_is_torch_cross_entropy():
    ids, logits = tokens(2, 9), torch.randn(2, 9, 397)
    want = torch.nn.functional.cross_entropy(logits[:, 3:-1].flatten(0, 1), ids[:, 4:].flatten())
    assert lab.loss(logits, ids, start=3) == pytest.approx(want.item(), abs=1e-5)


# Heads


def test_back_score_of_planted_heads():
    weights = torch.zeros(2, 6, 6)
    weights[0, range(1, 6), range(5)] = 1
    weights[1, :, 0] = 1
    assert heads.back_score(weights, 1).tolist() == pytest.approx([1, 0.2])
    assert heads.back_score(weights, 0).tolist() == pytest.approx([0, 1 / 6])
    assert heads.first_score(weights).tolist() == pytest.approx([0.2, 1])
    assert heads.back_score(weights, 2, start=4).tolist() == [0, 0]
    for back in (-1, 6):
        with pytest.raises(ValueError, match="No query has a key"):
            heads.back_score(weights, back)


def test_scores_agree_with_the_probes_of_the_model_card():
    """The same measures as lessonlib.models.probes, on the same random rows."""
    from lessonlib.models import load, probes

    mini, _ = load("mini", device="cpu", dtype=torch.float32)
    rows = heads.random_rows(mini, 24, rows=4, seed=3)
    induction = heads.back_score(heads.all_weights(mini, heads.twice(rows)), 23, start=24).mean(1)
    torch.testing.assert_close(  # the probe leaves out the last token, whose copy stands at the border
        induction, probes.induction_scores(mini, length=24, rows=4, seed=3), atol=0.02, rtol=0
    )
    previous = heads.back_score(heads.all_weights(mini, rows), 1, start=2).mean(1)  # as the probe counts
    close(previous, probes.previous_token_scores(mini, length=24, rows=4, seed=3))


def test_heads_found_and_switched_off_in_mini():
    from lessonlib.models import load

    mini, tokenizer = load("mini", device="cpu", dtype=torch.float32)
    ids = lab.token_ids(tokenizer, lab.STORY)
    found = heads.measure(mini, ids)
    assert found.previous.shape == found.first.shape == found.induction.shape == (6, 6)
    assert found.best("previous") == [divmod(int(found.previous.argmax()), 6)]
    whole, one, two, previous, control = heads.switch_off(mini, tokenizer, found, ids)
    assert whole.words.second_loss < whole.words.first_loss - 2 and whole.words.right > 0.5
    assert min(previous.words.second_loss, one.words.second_loss) > whole.words.second_loss + 0.1
    assert two.words.second_loss > one.words.second_loss and control.words.second_loss < one.words.second_loss
    assert abs(one.text - whole.text) < 0.1
    with heads.without(mini, found.best("previous", 2)):
        blinded = heads.induction_scores(mini)
    assert blinded[found.best("induction")[0]] < found.induction.max() / 2
    assert len(one.row("mini")) == 6 and one.row("mini")[0].startswith("mini: without best induction")


@torch.no_grad()
def test_without_a_head_equals_zero_columns_of_the_output_matrix():
    model, ids = tiny("gqa"), tokens(1, 9)
    with heads.without(model, [(1, 2), (2, 0)]):
        got = model(input_ids=ids).logits
    kept = {n: model.model.layers[n].self_attn.o_proj.weight.clone() for n in (1, 2)}
    model.model.layers[1].self_attn.o_proj.weight[:, 16:24] = 0
    model.model.layers[2].self_attn.o_proj.weight[:, 0:8] = 0
    close(got, model(input_ids=ids).logits)
    for n, weight in kept.items():
        model.model.layers[n].self_attn.o_proj.weight.copy_(weight)
    assert (got - model(input_ids=ids).logits).abs().max() > 1e-3


def test_word_rows_hold_single_tokens_and_no_word_twice():
    from lessonlib.models import load

    _, tokenizer = load("mini", device="cpu", dtype=torch.float32)
    rows = heads.word_rows(tokenizer, 16, rows=3)
    assert rows.shape == (3, 16) and all(len(set(row)) == 16 for row in rows.tolist())
    assert {tokenizer.decode([t]).strip() for t in rows.flatten().tolist()} <= set(heads.WORDS)
    with pytest.raises(ValueError, match="single tokens here"):
        heads.word_rows(tokenizer, 1000)


# Costs


def test_formulas_equal_real_tensors_and_the_flop_counter():
    q, keys, values = cost.inputs(6, 50, 16)
    scores = q @ keys.mT
    assert cost.score_bytes(6, 50, 4) == scores.numel() * scores.element_size()
    assert cost.counted_flops(lambda: cost.written_out(q, keys, values)) == cost.attention_flops(1, 6, 16, 50)


def test_written_out_and_kernels_agree():
    q, keys, values = cost.inputs(3, 40, 32)
    want = torch.nn.functional.scaled_dot_product_attention(q, keys, values, is_causal=True)
    close(cost.written_out(q, keys, values), want)
    here = cost.backends_here()
    assert here["MATH"] and set(here) == set(cost.BACKENDS)
    for name, runs in here.items():
        if runs:
            close(cost.kernel(name)(q, keys, values), want)


def test_the_book_counts_what_is_held_at_once():
    before = torch.ones(1000, 1000)

    def work():
        a = before + 1  # 4 MB
        b = a.mT[:10]  # a view: nothing
        c = a * 2  # 8 MB at once
        del a, b
        return c.sum() + (before @ before).sum()  # 8 MB again

    assert 8e6 <= cost.peak_bytes(work) < 8.1e6
    with cost.Book() as book:
        work()
    assert book.held == 0


@pytest.mark.parametrize("way", ["written out", "MATH"])
def test_the_book_agrees_with_the_allocator(way, capfd):
    """PyTorch's profiler sees every piece that the allocator hands out; it leaves a thread behind, so the lab has a book."""
    from torch.profiler import ProfilerActivity, profile

    attend = cost.written_out if way == "written out" else cost.kernel(way)
    q, keys, values = cost.inputs(3, 128, 32)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as prof:
        attend(q, keys, values)
    events = [e for e in prof.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    assert cost.peak_bytes(lambda: attend(q, keys, values)) == pytest.approx(
        most, rel=0.15
    )  # products make copies inside


def test_no_thread_is_left_behind():
    """A grader forks after the page's cells have run, which needs a single thread."""
    import os
    import subprocess
    import sys

    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("threads are counted on Linux")
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lessonlib.labs import attention_cost as c, attention_recall as r\n"
        "r.train('LSTM', 1, 2, tests=4); r.layer_seconds('GRU', 8, runs=1); c.measure(c.written_out, 2, 8, (16, 32), runs=1)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_memory_of_the_matrix_is_quadratic_and_of_blocks_is_not():
    lengths = (128, 256, 512)
    written = cost.measure(cost.written_out, 2, 32, lengths, runs=1)
    assert all(s.peak >= 2 * cost.score_bytes(2, s.tokens, 4) for s in written)
    assert cost.exponent(written, "peak") == pytest.approx(2, abs=0.1)
    if cost.backends_here()["FLASH_ATTENTION"]:
        blocks = cost.measure(cost.kernel("FLASH_ATTENTION"), 2, 32, lengths, runs=1)
        assert cost.exponent(blocks, "peak") < 1.5 and blocks[-1].peak < written[-1].peak / 3


def test_exponent_of_known_powers():
    for power in (1, 2, 3):
        samples = [cost.Sample(n, 1e-6 * n**power, n) for n in (10, 40, 90)]
        assert cost.exponent(samples) == pytest.approx(power)
        assert cost.exponent(samples, "peak") == pytest.approx(1)
    with pytest.raises(ValueError, match="two lengths"):
        cost.exponent([cost.Sample(5, 1.0, 1)] * 2)


# The race


@LIMITS
@given(facts=st.integers(1, 8), seed=st.integers(0, 1000))
def test_answers_stand_in_the_sequence(facts, seed):
    b = race.make_batch(torch.Generator().manual_seed(seed), facts, size=3)
    for row in range(3):
        told = (b.keys[row] < race.KEYS).nonzero().flatten().tolist()
        assert len(told) == facts and told[0] == 0 and len(set(b.keys[row, told].tolist())) == facts
        for step in range(race.LENGTH):
            at = step - int(b.distance[row, step])
            assert at in told and at <= step
            assert b.keys[row, at] == b.asked[row, step] and b.values[row, at] == b.right[row, step] < race.VALUES
        assert ((b.values[row] == race.VALUES) == (b.keys[row] == race.KEYS)).all()


def test_facts_must_fit():
    for facts in (0, 9):
        with pytest.raises(ValueError, match="hold 1 to 8"):
            race.make_batch(torch.Generator(), facts)
    with pytest.raises(ValueError, match="There is no net 'mamba'"):
        race.Net("mamba")


def test_nets_are_about_equal_and_cannot_see_ahead():
    sizes = {name: sum(p.numel() for p in race.Net(name).parameters()) for name in race.WIDTHS}
    assert max(sizes.values()) < 1.12 * min(sizes.values())
    b = race.make_batch(torch.Generator().manual_seed(0), 4, size=2)
    other = b.values.clone()
    other[:, -1] = 3
    for name in race.WIDTHS:
        net = race.Net(name)
        first, second = net(b.keys, b.values, b.asked), net(b.keys, other, b.asked)
        assert first.shape == (2, race.LENGTH, race.VALUES)
        torch.testing.assert_close(first[:, :-1], second[:, :-1])


def test_attention_learns_to_recall_and_training_leaves_the_seed_alone():
    torch.manual_seed(5)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    result = race.train("attention", 4, steps=150)
    assert result.overall > 0.8 and len(result.by_distance) == race.LENGTH and race.far(result) > 0.7
    assert torch.equal(before, torch.random.get_rng_state()) and torch.get_num_threads() == threads


def test_blind_guesser_knows_values_but_not_keys():
    one = race.make_batch(torch.Generator().manual_seed(0), 1, size=50)
    assert race.blind(one) == ([1.0] * race.LENGTH, 1.0)
    by_distance, overall = race.blind(race.make_batch(torch.Generator().manual_seed(0), 8, size=500))
    assert 1 / race.VALUES < by_distance[-1] < overall < 0.7


def test_layers_are_timed_and_steps_that_wait_counted():
    assert all(race.layer_seconds(name, 16, runs=1) > 0 for name in race.WIDTHS)
    assert race.waiting_steps("attention", 500) == 1 and race.waiting_steps("GRU", 500) == 500
    assert race.grouped([1, 1, 1, 1, 0, 0], 4) == [1, 0]


def test_stored_record_is_whole():
    """The reference beside which a learner's numbers stand: medians, spread, and what it is quoted for."""
    record = json.loads((records_dir() / "l03_recall.json").read_text())
    assert record["name"] == "l03_recall" and record["date"] and record["device"] and record["versions"]["torch"]
    metrics = record["metrics"]
    for metric, entry in metrics.items():
        assert len(entry["samples"]) >= 3 and entry["median"] == pytest.approx(median(entry["samples"])), metric
        assert not metric.startswith(("recall", "far_recall")) or math.isfinite(entry["standard_deviation"])
    for net in ("gru", "lstm"):
        assert metrics[f"far_recall_{net}_of_1_after_1000"]["median"] > 95
        early, late = (metrics[f"far_recall_{net}_of_8_after_{steps}"]["median"] for steps in (1000, 6000))
        assert early < late < metrics["far_recall_attention_of_8_after_1000"]["median"]
