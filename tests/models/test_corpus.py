"""The corpus reader: damaged and missing files are named in one sentence; the packed arrays and the windows are right."""

import json

import numpy as np
import pytest

from lessonlib.models.training.bpe import bpe_from_texts, train_bpe
from lessonlib.models.training.corpus import Corpus, Sampler, pack

from .conftest import tiny_documents, write_corpus


def refused(action) -> str:
    """The message of the ValueError that `action` must raise: one sentence."""
    with pytest.raises(ValueError) as caught:
        action()
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def test_reads_back_what_was_packed(corpus):
    assert corpus.names("train") == ["stories", "notes"]
    assert corpus.documents("train", "stories") == tiny_documents(1)
    assert "it has stories, notes" in refused(lambda: corpus.documents("train", "novel"))


def test_one_changed_byte_is_refused(tmp_path):
    folder = write_corpus(tmp_path / "c", {"stories": tiny_documents(1, 5)})
    path = folder / "train" / "stories.txt.xz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "damaged" in refused(lambda: Corpus(folder).documents("train", "stories"))
    assert Corpus(folder).documents("valid", "stories") == tiny_documents(1, 5)


def test_missing_files_are_named(tmp_path):
    assert "--corpus" in refused(lambda: Corpus(tmp_path / "nothing"))
    folder = write_corpus(tmp_path / "c", {"stories": ["a", "b"]})
    (folder / "valid" / "stories.txt.xz").unlink()
    assert "stories.txt.xz is missing" in refused(lambda: Corpus(folder).documents("valid", "stories"))


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"train": [], "valid": 3}', '{"train": [{"name": "x"}], "valid": []}']
)
def test_a_broken_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    assert "manifest" in refused(lambda: Corpus(tmp_path))


def test_the_hash_follows_the_data(tmp_path):
    one = Corpus(write_corpus(tmp_path / "a", {"stories": ["x y z"]}))
    same = Corpus(write_corpus(tmp_path / "b", {"stories": ["x y z"]}))
    other = Corpus(write_corpus(tmp_path / "c", {"stories": ["x y w"]}))
    assert one.hash() == same.hash() != other.hash()


def test_packed_arrays_hold_every_document_and_are_kept(corpus, tmp_path):
    tokenizer = bpe_from_texts(tiny_documents(1), vocab_size=300)
    ids = pack(corpus, "train", "stories", tokenizer, tmp_path)
    assert ids.dtype == np.uint16 and ids[-1] == 0
    cuts = np.flatnonzero(ids == 0)
    texts = [tokenizer.decode(part[:-1].tolist()) for part in np.split(ids, cuts + 1)[:-1]]
    assert texts == tiny_documents(1)
    (kept,) = tmp_path.iterdir()
    before = kept.stat().st_mtime_ns
    assert np.array_equal(pack(corpus, "train", "stories", tokenizer, tmp_path), ids)
    assert kept.stat().st_mtime_ns == before
    other = bpe_from_texts(tiny_documents(2), vocab_size=290)
    pack(corpus, "train", "stories", other, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_windows_are_stretches_of_the_parts_in_the_asked_shares():
    arrays = {"a": np.arange(100, 400, dtype=np.uint16), "b": np.arange(1000, 1300, dtype=np.uint16)}
    sampler = Sampler(arrays, {"a": 0.8, "b": 0.2}, longest=16, seed=3)
    rows = np.concatenate([sampler.batch(50, 8) for _ in range(40)])
    assert rows.shape == (2000, 9) and (np.diff(rows, axis=1) == 1).all()
    assert 0.76 < (rows[:, 0] < 1000).mean() < 0.84
    assert rows[rows < 1000].max() == 399 and rows.min() == 100  # both ends are reached, nothing beyond


def test_the_stream_goes_on_from_its_state():
    arrays = {"a": np.arange(300, dtype=np.uint16)}
    first = Sampler(arrays, {"a": 1.0}, 16, seed=0)
    first.batch(4, 16)
    second = Sampler(arrays, {"a": 1.0}, 16, seed=99)
    second.state = json.loads(json.dumps(first.state))
    assert np.array_equal(first.batch(4, 16), second.batch(4, 16))


def test_a_part_shorter_than_a_window_is_refused():
    assert "'a' has only 10 tokens" in refused(lambda: Sampler({"a": np.arange(10)}, {"a": 1.0}, 16, 0))


def test_tokenizer_training_is_reproducible(corpus):
    mix = {"stories": 0.5, "notes": 0.5}
    assert train_bpe(corpus, mix).get_vocab() == train_bpe(corpus, mix).get_vocab()
