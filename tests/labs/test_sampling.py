"""The sampling lab: filters = transformers' own, loop and beams = generate; measures of texts; what a model repeats."""

import json
import math
from statistics import median

import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from lessonlib.labs import sampling as lab
from lessonlib.labs import sampling_forms as forms
from lessonlib.labs import sampling_quality as quality
from lessonlib.labs import sampling_repeat as repeat
from lessonlib.labs.sampling import Setting

pytestmark = pytest.mark.l06
LIMITS = settings(max_examples=60, deadline=None)
SETTINGS = (
    Setting("greedy", 0),
    Setting("plain"),
    Setting("hot", 1.7, top_k=12),
    Setting("nucleus", 0.8, top_p=0.7),
    Setting("all", 1.3, top_k=20, top_p=0.9, min_p=0.05, penalty=1.4),
    Setting("greedy, penalty", 0, penalty=1.5),
)


@pytest.fixture(scope="module")
def tiny():
    """A random model whose distributions are far from flat."""
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, max_position_embeddings=128, initializer_range=0.4, pad_token_id=None,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="module")
def embedded():
    from lessonlib import models

    return models.load("mini", device="cpu", dtype=torch.float32)


def prompt(length=5, seed=0):
    ids = torch.randint(0, 61, (1, length), generator=torch.Generator().manual_seed(seed))
    return ids, torch.ones_like(ids)


rows = st.integers(0, 10_000).map(lambda seed: torch.randn(2, 40, generator=torch.Generator().manual_seed(seed)) * 4)
tied = rows.map(lambda row: row.round())
cut = rows.map(lambda row: row.masked_fill(row < -1, lab.NEVER))


@LIMITS
@given(
    row=st.one_of(rows, tied, cut), t=st.floats(0.05, 5), k=st.integers(1, 60), p=st.floats(0, 1), share=st.floats(0, 1)
)
def test_filters_equal_transformers(row, t, k, p, share):
    ids = torch.tensor([[1, 1, 5], [7, 2, 39]])
    assert torch.equal(lab.temperature(row, t), hf.TemperatureLogitsWarper(t)(ids, row))
    assert torch.equal(lab.top_k(row, k), hf.TopKLogitsWarper(k)(ids, row))
    assert torch.equal(lab.top_p(row, p), hf.TopPLogitsWarper(p)(ids, row))
    assert torch.equal(lab.min_p(row, share), hf.MinPLogitsWarper(share)(ids, row))
    want = hf.RepetitionPenaltyLogitsProcessor(0.5 + t)(ids, row.clone())
    assert torch.equal(lab.repetition_penalty(row, ids, 0.5 + t), want)


@LIMITS
@given(row=rows, p=st.floats(0.01, 1), share=st.floats(0.01, 1))
def test_filters_keep_what_their_definitions_say(row, p, share):
    """top-p: the mass reaches p, and would not without the least of its tokens. min-p: relative to the best."""
    q = row.double().softmax(-1)
    stays = lab.top_p(row.double(), p) > lab.NEVER
    for one, kept in zip(q, stays, strict=True):
        assert kept.any() and one[kept].sum() >= p - 1e-9
        assert kept.sum() == 1 or one[kept].sum() - one[kept].min() < p + 1e-9
        assert kept.all() or one[kept].min() >= one[~kept].max()
    stays = lab.min_p(row.double(), share) > lab.NEVER
    assert torch.equal(stays, q >= share * q.max(-1, keepdim=True).values)


def test_temperature_zero_is_greedy_and_first_of_ties():
    row = torch.tensor([[1.0, 5.0, 5.0, 2.0]])
    assert lab.temperature(row, 0).softmax(-1).tolist() == [[0, 1, 0, 0]]
    cold = lab.temperature(torch.tensor([[1.0, 2.0, 3.0]]), 1e-3).softmax(-1)
    assert cold[0, 2] == pytest.approx(1)


def test_scaled_probabilities_are_the_same_again():
    q = torch.randn(9).softmax(-1)
    assert torch.allclose((q / 2) / (q / 2).sum(), q)


def test_order_matters():
    row = torch.tensor([[4.0, 3.0, 2.0, 1.0, 0.0]])
    first, last = lab.top_p(lab.temperature(row, 3.0), 0.8), lab.temperature(lab.top_p(row, 0.8), 3.0)
    assert lab.survivors(first) > lab.survivors(last)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda row: lab.temperature(row, -1), "0 \\(greedy\\) or more"),
        (lambda row: lab.top_k(row, 0), "at least one"),
        (lambda row: lab.top_p(row, 1.5), "between 0 and 1"),
        (lambda row: lab.min_p(row, -0.1), "between 0 and 1"),
        (lambda row: lab.repetition_penalty(row, torch.tensor([[0]]), 0), "above 0"),
    ],
)
def test_bad_settings_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.zeros(1, 4))


@pytest.mark.parametrize("s", SETTINGS, ids=lambda s: s.name)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_loop_is_generate(tiny, s, seed):
    ids, mask = prompt(seed=seed)
    torch.manual_seed(seed)
    want = tiny.generate(ids, attention_mask=mask, max_new_tokens=20, pad_token_id=0, **lab.in_transformers(s))[0, 5:]
    before = torch.get_rng_state()
    assert lab.write(tiny, ids, mask, 20, [s], seed)[0].ids == want.tolist()
    assert torch.equal(torch.get_rng_state(), before)  # the caller's random numbers are left alone


def test_rows_of_different_settings_and_lengths(tiny):
    """Greedy rows in a padded batch write what they write alone, whatever stands beside them."""

    class Words:
        bos_token_id, pad_token_id, eos_token_id = None, 0, None

        def encode(self, text, add_special_tokens):
            return [int(word) for word in text.split()]

    texts = ["3 14 15 9 2 6", "5 3", "58 9 7 9"]
    ids, mask = lab.encode(Words(), texts)
    assert ids.shape == (3, 6) and mask.sum(1).tolist() == [6, 2, 4] and ids[1, -2:].tolist() == [5, 3]
    mixed = [Setting("greedy", 0), Setting("greedy, penalty", 0, penalty=1.3), Setting("greedy", 0)]
    together = lab.write(tiny, ids, mask, 12, mixed)
    for text, s, written in zip(texts, mixed, together, strict=True):
        if s.penalty == 1:
            alone = lab.write(tiny, *lab.encode(Words(), [text]), 12, [s])[0]
            assert written.ids == alone.ids
            assert written.bits == pytest.approx(alone.bits, abs=1e-3)


def test_bits_are_those_of_the_model(tiny):
    ids, mask = prompt()
    made = lab.write(tiny, ids, mask, 15, [Setting("hot", 2.0, top_k=5)], seed=3)[0]
    assert -sum(made.bits) * math.log(2) == pytest.approx(lab.log_probability(tiny, ids, made.ids), abs=1e-3)


def test_one_setting_for_each_row(tiny):
    with pytest.raises(ValueError, match="one for each row"):
        lab.write(tiny, *prompt(), 3, [Setting("a"), Setting("b")])


def test_the_end_token_ends_a_row(tiny):
    ids, mask = prompt()
    free = lab.write(tiny, ids, mask, 30, [Setting("plain")], seed=1)[0]
    end = free.ids[7]
    first = free.ids.index(end)
    made = lab.write(tiny, ids, mask, 30, [Setting("plain")], seed=1, end=end)[0]
    assert made.ended and made.ids == free.ids[:first] and not free.ended


@pytest.mark.parametrize("beams", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("length_penalty", [1.0, 0.0, 2.0])
def test_beam_search_is_generate(tiny, beams, seed, length_penalty):
    """With an end token that comes often, so that texts leave the search at different lengths."""
    ids, mask = prompt(seed=seed)
    end = lab.beam_search(tiny, ids, beams, 6).ids[3]
    for eos in (None, end):
        want = tiny.generate(
            ids, attention_mask=mask, max_new_tokens=12, num_beams=beams, do_sample=False, eos_token_id=eos,
            pad_token_id=60, length_penalty=length_penalty,
        )[0, 5:].tolist()  # fmt: skip
        got = lab.beam_search(tiny, ids, beams, 12, end=eos, length_penalty=length_penalty)
        if beams == 1:  # generate then runs greedy, which has no length penalty and stops at the first end
            want_text = want[: want.index(end) + 1] if eos is not None and end in want else want
            assert got.ids == want_text or length_penalty != 1
            continue
        assert got.ids == want[: len(got.ids)] and all(token == 60 for token in want[len(got.ids) :])
        total = lab.log_probability(tiny, ids, got.ids)
        assert got.score == pytest.approx(total / len(got.ids) ** length_penalty, abs=1e-3)


# Quality


def test_counts_of_runs():
    assert quality.grams([1, 2, 3], 2) == [(1, 2), (2, 3)]
    assert quality.distinct([[1, 2, 1, 2]], 2) == pytest.approx(2 / 3)
    assert quality.distinct([[1, 2], [1, 2]], 2) == 0.5
    assert math.isnan(quality.distinct([[1]], 2))
    assert quality.repeated([1, 2, 3, 4, 5, 6]) == 0
    assert quality.repeated([7] * 12) == pytest.approx(8 / 9)
    assert quality.repeated([1, 2]) == 0


@pytest.mark.parametrize(
    ("continuation", "ended", "right"),
    [
        ("\n    return n\n\ndef g(x):\n    retu", False, True),
        ("\n    return n", True, True),
        ("\n    return n", False, False),  # perhaps it would have gone on
        ("\n    return n +\n\nx = 1", False, False),
        ("\n return n\n   x\ny", False, False),
        ("\nreturn n\n", True, False),  # nothing is indented
        ("\n    for i in", True, False),
        ("", True, False),
    ],
)
def test_what_parses(continuation, ended, right):
    assert quality.parses("def f(n):", continuation, ended) is right


def test_a_survey_has_all_settings_and_names(embedded):
    few = (Setting("greedy", 0), Setting("T 1.5, min-p 0.1", 1.5, min_p=0.1))
    found = quality.survey(*embedded, few, seed=1, new=12)
    assert [(q.kind, q.setting.name) for q in found] == [(k, s.name) for k in ("stories", "code") for s in few]
    named = quality.metrics(found)
    assert {"stories_greedy_surprise", "code_T_1.5_min_p_0.1_parses"} <= named.keys()
    assert all(math.isfinite(value) for _, value in named.values())
    again = quality.survey(*embedded, few, seed=1, new=12)
    assert quality.metrics(again) == named


def test_surprise_of_a_text(embedded):
    model, tokenizer = embedded
    ids, _ = lab.encode(tokenizer, [repeat.TEXTS[0]])
    want = model(input_ids=ids, labels=ids).loss.item() / math.log(2)
    assert quality.surprise(model, tokenizer, repeat.TEXTS[0]) == pytest.approx(want, rel=1e-4)


# What repeats


def test_differences(embedded):
    threads = torch.get_num_threads()
    found = {d.change: d for d in repeat.differences(*embedded)}
    assert found["nothing: run again"].largest == 0
    assert 0 < found["in a padded batch"].largest < 1e-2
    assert found["bfloat16 instead of float32"].largest > 10 * found["in a padded batch"].largest
    assert len({d.positions for d in found.values()}) == 1
    assert torch.get_num_threads() == threads and embedded[0].dtype == torch.float32


def test_the_first_flip_in_words(embedded):
    tokenizer = embedded[1]
    ids, _ = lab.encode(tokenizer, repeat.TEXTS[2:3])
    ours = [torch.zeros(ids.shape[1], 4096) for _ in range(2)]
    others = [row.clone() for row in ours]
    others[1][3, 700] = 1.0
    d = repeat.difference("x", ours, others)
    assert (d.flips, d.positions, d.first) == (1, 2 * ids.shape[1], (1, 3, 0, 700))
    said = repeat.tell(tokenizer, d, [repeat.TEXTS[2]] * 2)
    assert repr(tokenizer.decode(700)) in said and tokenizer.decode(ids[0, 1:4])[-5:] in said
    assert "no best token changed" in repeat.tell(tokenizer, repeat.difference("x", ours, ours))


def test_stored_record_is_whole():
    """The reference beside which a learner's numbers stand, and its medians."""
    from lessonlib.paths import records_dir

    record = json.loads((records_dir() / "l06_temperature.json").read_text())
    assert record["name"] == "l06_temperature" and record["date"] and record["device"] and record["versions"]["torch"]
    for metric, entry in record["metrics"].items():
        assert len(entry["samples"]) >= 3, metric
        assert entry["median"] == pytest.approx(median(entry["samples"])), metric
    assert {f"{form.name} T 0.7".replace(" ", "_") + "_valid_with_mask" for form in forms.FORMS} <= record[
        "metrics"
    ].keys()
    rows = quality.jobs(record["metrics"])
    assert len(rows) == 6 and all(len(row) == 3 and all(row) for row in rows)
    assert all(e["median"] == 1 for name, e in record["metrics"].items() if name.endswith("valid_with_mask"))
