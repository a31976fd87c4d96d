"""The tokens lab: merges and encoding equal the libraries', every tokenizer reads and gives back, and what a cut costs."""

import hashlib
import inspect
import json
import math
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessonlib.facts import catalog
from lessonlib.labs import tokens_and_context as lab
from lessonlib.labs import tokens_and_context_readers as readers
from lessonlib.labs import tokens_and_context_texts as texts

pytestmark = pytest.mark.l04
LIMITS = settings(max_examples=60, deadline=None)
WORDS = st.lists(st.text("abcd", min_size=1, max_size=6), min_size=1, max_size=25).map(" ".join)


# Byte-pair encoding.


@given(WORDS, st.integers(1, 8))
@LIMITS
def test_learned_merges_are_those_of_the_library(text, merges):
    learned, _ = lab.learn(lab.words(text), merges)
    assert learned == lab.library_merges(text, merges)


@given(WORDS, WORDS)
@LIMITS
def test_words_are_encoded_as_by_the_library(text, other):
    from tokenizers import Tokenizer, models

    learned, _ = lab.learn(lab.words(text), 12)
    alphabet = sorted(set(text + other) - {" "})
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*alphabet, *("".join(p) for p in learned)]))}
    theirs = Tokenizer(models.BPE(vocabulary, learned))
    ranks = {pair: rank for rank, pair in enumerate(learned)}
    for word in other.split():
        assert lab.encode(word, ranks) == theirs.encode(word).tokens


def test_one_merge_by_hand():
    words = lab.words("no snow now snow")
    assert words == {("n", "o"): 1, ("s", "n", "o", "w"): 2, ("n", "o", "w"): 1}
    assert lab.pair_counts(words) == {("n", "o"): 4, ("o", "w"): 3, ("s", "n"): 2}
    [pair], after = lab.learn(words, 1)
    assert pair == ("n", "o") and after == {("no",): 1, ("s", "no", "w"): 2, ("no", "w"): 1}
    assert lab.learn({("a",): 3}, 5) == ([], {("a",): 3})


@pytest.mark.parametrize(
    ("pieces", "made"),
    [("aaa", ("aa", "a")), ("aaaa", ("aa", "aa")), ("baab", ("b", "aa", "b")), ("", ()), ("a", ("a",))],
)
def test_runs_are_joined_from_left_to_right(pieces, made):
    assert lab.join_pair(pieces, ("a", "a")) == made


def test_a_joined_piece_does_not_join_again_in_the_same_merge():
    assert lab.join_pair(("a", "b", "b"), ("a", "b")) == ("ab", "b")
    assert lab.join_pair(("ab", "a", "b"), ("ab", "a")) == ("aba", "b")


def test_steps_end_where_nothing_has_a_rank():
    ranks = {("b", "c"): 0, ("a", "b"): 1, ("a", "bc"): 2}
    assert lab.steps("abcab", ranks) == [tuple("abcab"), ("a", "bc", "a", "b"), ("a", "bc", "ab"), ("abc", "ab")]
    assert lab.encode("", ranks) == [] and lab.encode("xyz", ranks) == ["x", "y", "z"]


@pytest.fixture(scope="module")
def ranks():
    return lab.merge_ranks("target")


@pytest.fixture(scope="module")
def embedded():
    return readers.open_reader("embedded")


@given(st.text())
@settings(max_examples=150, deadline=None)
def test_texts_by_hand_are_those_of_the_embedded_tokenizer(ranks, embedded, text):
    assert lab.encode_text(text, ranks) == [embedded.piece(i) for i in embedded.ids(text)]


def test_samples_by_hand(ranks, embedded):
    for text in (*texts.EXAMPLES, *texts.SAMPLES.values(), *texts.STORIES):
        assert lab.encode_text(text, ranks) == [embedded.piece(i) for i in embedded.ids(text)]


# Real tokenizers.


@pytest.fixture(scope="module")
def surveyed():
    return readers.survey([*texts.EXAMPLES, *texts.SAMPLES.values()])


def test_every_offline_tokenizer_is_here(surveyed):
    found, missing = surveyed
    assert [r.key for r in found] == list(readers.OFFLINE_READERS) and missing == []
    assert [r.vocabulary for r in found] == [4096, 4096, 32768, 131072]


@pytest.mark.parametrize("name", readers.OFFLINE_READERS)
def test_pieces_give_the_text_back(name):
    reader = readers.open_reader(name)
    for text in (*texts.EXAMPLES, *texts.SAMPLES.values(), "naïve 👍🏽 текст"):
        joined = b"".join(reader.piece(i) for i in reader.ids(text)).decode()
        assert joined.removeprefix(" ") == text.removeprefix(" ")  # SentencePiece puts a blank in front


def test_counts_agree_with_the_fact_base(surveyed):
    elsewhere = readers.counts_in_facts()
    assert {"GPT-2", "cl100k", "o200k", "Llama 3", "Llama 2", "Mistral v1-v7", "Tekken"} == set(elsewhere)
    counts = {r.key: tuple(r.count(line) for line in texts.EXAMPLES) for r in surveyed[0]}
    assert counts["sentencepiece"] == elsewhere["Mistral v1-v7"] and counts["tekken"] == elsewhere["Tekken"]
    assert counts["embedded"] == counts["tiktoken"]
    for claim, place in (("S04-001", 0), ("S04-004", 3)):
        assert catalog.claim(claim).value == elsewhere["cl100k"][place]
    wrong = tuple(map(int, catalog.claim("S04-005").seed_value.split("/")))
    assert wrong not in {*counts.values(), *elsewhere.values()}


def test_tiktoken_reads_as_tokenizers(surveyed):
    ours, theirs = surveyed[0][:2]
    assert ours.pieces == theirs.pieces


def test_readings_count_and_cover(surveyed):
    reading = surveyed[0][0]
    assert reading.characters_per_token(texts.ENGLISH) == len(texts.ENGLISH) / reading.count(texts.ENGLISH) > 3
    assert reading.count(texts.JAPANESE) > len(texts.JAPANESE)  # bytes, for want of merges
    assert "<E6>" in reading.pieces[texts.JAPANESE]
    assert all(r.characters_per_second > 0 for r in surveyed[0])


def test_without_mistral_common_a_sentence_and_the_others(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "mistral_common" else real(name, *a)
    )
    found, missing = readers.survey(texts.EXAMPLES)
    assert [r.key for r in found] == ["embedded", "tiktoken"]
    assert len(missing) == 1 and 'pip install "lessonlib[tokenizers]"' in missing[0]


def test_without_sentencepiece_tekken_still_reads(monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "sentencepiece" else real(name, *a)
    )
    assert readers.mistral_file("tekken").is_file()
    with pytest.raises(readers.NotHere, match="lessonlib"):
        readers.mistral_file("sentencepiece")


def test_a_mistral_common_without_the_file_says_which_has_it(monkeypatch):
    monkeypatch.setitem(readers.MISTRAL_FILES, "tekken", "tekken_000000.json")
    with pytest.raises(readers.NotHere, match="tekken_000000.json.*1.9.1"):
        readers.mistral_file("tekken")


@pytest.mark.parametrize("name", readers.OPENAI_READERS)
def test_openai_vocabularies_stay_away_offline(name, tmp_path, monkeypatch, network_guard):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with pytest.raises(readers.NotHere, match=f"{name} is not here"):
        readers.open_reader(name)
    readers.cached_file(name).write_bytes(b"half a download")  # tiktoken would throw it away and fetch again
    with pytest.raises(readers.NotHere, match=f"{name} is not here"):
        readers.open_reader(name)
    assert readers.cached_file(name).read_bytes() == b"half a download"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert readers.cached_file(name) is None


def test_openai_addresses_are_those_of_tiktoken(tmp_path, monkeypatch):
    from tiktoken_ext import openai_public

    for name, (address, digest) in readers.OPENAI_FILES.items():
        source = inspect.getsource(getattr(openai_public, name))
        assert address in source and digest in source
        assert hashlib.sha1(address.encode()).hexdigest() == readers.cached_file(name).name


def test_a_cached_openai_vocabulary_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    content = b"".join(base64_line(bytes([i]), i) for i in range(256))
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(readers.OPENAI_FILES, "o200k_base", (readers.OPENAI_FILES["o200k_base"][0], digest))
    readers.cached_file("o200k_base").write_bytes(content)
    asked = []
    import tiktoken

    monkeypatch.setattr(tiktoken, "get_encoding", lambda name: asked.append(name) or small_encoding())
    reader = readers.open_reader("o200k_base")
    assert asked == ["o200k_base"] and reader.ids("ab") == [97, 98] and reader.piece(97) == b"a"


def test_online_without_a_network_is_a_sentence(tmp_path, monkeypatch):
    import tiktoken

    def no_network(name):
        raise ConnectionError("no route")

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(tiktoken, "get_encoding", no_network)
    found, missing = readers.survey(texts.EXAMPLES, readers.OPENAI_READERS)
    assert found == [] and all("could not be fetched (ConnectionError)" in sentence for sentence in missing)


def base64_line(token: bytes, rank: int) -> bytes:
    import base64

    return base64.b64encode(token) + b" %d\n" % rank


def small_encoding():
    import tiktoken

    return tiktoken.Encoding(
        "bytes", pat_str=r"(?s).+", mergeable_ranks={bytes([i]): i for i in range(256)}, special_tokens={}
    )


def test_unknown_tokenizers_are_refused():
    with pytest.raises(ValueError, match="There is no tokenizer 'gpt-9'; there are embedded"):
        readers.open_reader("gpt-9")


def test_boxes_escape_and_show_blanks():
    from xml.etree import ElementTree

    drawing = readers.boxes([("a<b", [" <x>", "&"]), ("none", [])])
    ElementTree.fromstring(drawing)
    assert "␣&lt;x&gt;" in drawing and drawing.count("<rect") == 2


def test_coverage_has_a_bar_for_each_kind_and_tokenizer(surveyed):
    from lessonlib.page import axes

    _, ax = axes()
    readers.draw_coverage(ax, surveyed[0], 4)
    assert len(ax.patches) == len(texts.SAMPLES) * 4
    assert [t.get_text() for t in ax.get_yticklabels()] == list(texts.SAMPLES)


# What a model can use of a long text.


class Uniform:
    """A model for which every token is equally likely; it notes the lengths that it read."""

    device, seen = torch.device("cpu"), None

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, logits_to_keep):
        self.seen.append(input_ids.shape[1])
        return SimpleNamespace(logits=torch.zeros(1, logits_to_keep, 8))


class Letters:
    """A tokenizer with one token for each character, modulo 8."""

    eos_token_id = 7

    def encode(self, text, add_special_tokens=False):
        return [ord(c) % 8 for c in text]


def test_bits_of_a_uniform_model():
    assert lab.bits(Uniform(), [1, 2], [3, 4, 5]) == pytest.approx([3, 3, 3])
    assert lab.chance(Uniform(), [1], [3, 4]) == pytest.approx(1 / 64)


def test_bits_are_those_of_the_model():
    from lessonlib import models

    model, tokenizer = models.load("mini", device="cpu", dtype=torch.float32)
    ids = tokenizer.encode("Once upon a time there was a cat.", add_special_tokens=False)
    every = torch.tensor([ids])
    with torch.no_grad():
        loss = model(input_ids=every, labels=every).loss.item()  # mean over all but the first token, in nats
    assert sum(lab.bits(model, ids[:1], ids[1:])) / (len(ids) - 1) == pytest.approx(loss / math.log(2), rel=1e-4)


def test_loss_after_reads_what_it_says():
    model, tokenizer = Uniform(), Letters()
    found = lab.loss_after(model, tokenizer, (0, 10, 5000), scored=2)
    assert found == {0: pytest.approx(3), 10: pytest.approx(3), 5000: pytest.approx(3)}
    sizes = [len(story) for story in texts.STORIES[:2]]
    assert model.seen == [n + 1 + size for n in (0, 10, 5000) for size in sizes]
    model.seen.clear()
    lab.loss_after(model, tokenizer, (5, 5000), scored=1, keep=20)
    assert model.seen == [5 + 1 + sizes[0], 20 + 1 + sizes[0]]


def test_recall_cuts_to_the_last_tokens():
    model = Uniform()
    found = lab.recall(model, Letters(), keep=60, names=("Pip", "Dot"))
    assert len(found) == len(texts.FILLER) + 1
    assert [r.tokens for r in found] == sorted({r.tokens for r in found})
    assert all(r.whole == r.cut == pytest.approx(8.0**-4) for r in found)
    assert set(model.seen[1::2]) == {60 + 4} and model.seen[0] == found[0].tokens + 4


def test_a_name_that_is_cut_off_is_gone():
    """What the page shows, with the small model."""
    from lessonlib import models

    model, tokenizer = models.load("mini", device="cpu", dtype=torch.float32)
    found = lab.recall(model, tokenizer, lab.KEEP)
    inside = [r for r in found if r.tokens <= lab.KEEP - 5]
    outside = [r for r in found if r.tokens > lab.KEEP + 30]
    assert inside and outside and all(r.whole == r.cut for r in inside)
    assert all(r.whole > 20 * r.cut for r in outside)


def test_windows_of_the_embedded_models():
    assert lab.windows("mini") == (512, 1024)


def test_stories_and_samples_are_of_use():
    assert len(texts.STORIES) >= 5 and min(map(len, texts.STORIES)) > 300
    assert all(name not in " ".join(texts.FILLER) + texts.ASK for name in texts.NAMES)
    assert all(text.isascii() for kind, text in texts.SAMPLES.items() if kind.split()[0] not in ("German", "Japanese"))


def test_stored_record_is_whole():
    """The reference beside which a learner's numbers stand, its medians, and the metrics that the page asks for."""
    from statistics import median

    from lessonlib.paths import records_dir

    record = json.loads((records_dir() / "l04_tokens.json").read_text())
    assert record["name"] == "l04_tokens" and record["date"] and record["device"] and record["versions"]["tiktoken"]
    for metric, entry in record["metrics"].items():
        assert len(entry["samples"]) >= 3, metric
        assert entry["median"] == pytest.approx(median(entry["samples"])), metric
    readings = [SimpleNamespace(key=key, characters_per_token=lambda t: 4.0, characters_per_second=1e6)
                for key in readers.OFFLINE_READERS]  # fmt: skip
    last = record["metrics"].keys() & {f"chance_of_the_name_after_{n}_tokens" for n in range(999)}
    recalls = [lab.Recall(int(next(iter(last)).split("_")[-2]), 0.1, 0.001)]
    asked = lab.metrics(readings, recalls, dict.fromkeys(lab.LENGTHS, 4.0))
    assert asked.keys() == record["metrics"].keys()
    assert {name: unit for name, (unit, _) in asked.items()} == {n: e["unit"] for n, e in record["metrics"].items()}
