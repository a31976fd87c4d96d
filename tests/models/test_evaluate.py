"""Bits per byte: exact on a model that knows nothing, independent of batching, blind to padding."""

import math
from types import SimpleNamespace

import pytest
import torch

from lessonlib.models.training.bpe import bpe_from_texts
from lessonlib.models.training.evaluate import bits_per_byte, evaluate_parts, score

from .conftest import tiny_documents


class Uniform(torch.nn.Module):
    """Gives every token the same probability."""

    def __init__(self, vocabulary: int):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.vocabulary = vocabulary

    def forward(self, input_ids, **_):
        return SimpleNamespace(logits=self.weight * torch.zeros(*input_ids.shape, self.vocabulary))


@pytest.fixture(scope="module")
def tokenizer():
    return bpe_from_texts(tiny_documents(5), vocab_size=320)


@pytest.mark.parametrize("documents", [["Ann sees a red ball."], tiny_documents(6, 20), ["é 日本 👩‍👧", "x"]])
@pytest.mark.parametrize("context", [8, 512])
def test_a_uniform_model_needs_log2_of_the_vocabulary_for_each_token(tokenizer, documents, context):
    tokens = sum(len(e.ids) for e in tokenizer.encode_batch(documents))
    size = sum(len(text.encode()) for text in documents)
    assert score(Uniform(512), tokenizer, documents, context)[1] == size
    assert bits_per_byte(Uniform(512), tokenizer, documents, context) == pytest.approx(9 * tokens / size)


def test_a_trained_model_scores_alike_for_any_batch(finished):
    _, model, tokenizer, _, _ = finished
    documents = tiny_documents(9, 12)
    values = [bits_per_byte(model, tokenizer, documents, context=24, batch=batch) for batch in (1, 3, 16)]
    assert max(values) - min(values) < 1e-4
    assert values[0] < bits_per_byte(Uniform(4096), tokenizer, documents) / 2


def test_a_hand_count(finished):
    _, model, tokenizer, _, _ = finished
    text = "Ben likes the old boat."
    ids = torch.tensor([[0, *tokenizer.encode(text).ids]])
    with torch.no_grad():
        logs = model(input_ids=ids).logits.log_softmax(-1)
    nats = -sum(logs[0, i, ids[0, i + 1]].item() for i in range(ids.shape[1] - 1))
    assert bits_per_byte(model, tokenizer, [text]) == pytest.approx(nats / math.log(2) / len(text), rel=1e-4)


def test_parts_and_their_sum(finished, corpus):
    run, model, tokenizer, _, _ = finished
    parts = evaluate_parts(model, tokenizer, corpus)
    assert list(parts) == ["stories", "notes", "all"]
    assert min(parts["stories"], parts["notes"]) <= parts["all"] <= max(parts["stories"], parts["notes"])


def test_nothing_to_score_is_an_error(tokenizer):
    with pytest.raises(ValueError, match="no text to score"):
        bits_per_byte(Uniform(8), tokenizer, [])
