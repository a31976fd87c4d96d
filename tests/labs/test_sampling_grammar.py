"""The grammar lab: an automaton's documents are those of its schema, and a mask never lets an invalid one through."""

import json
import random
import re

import pytest
import torch

from lessonlib.labs import sampling as lab
from lessonlib.labs import sampling_forms as forms
from lessonlib.labs import sampling_grammar as grammar

jsonschema = pytest.importorskip("jsonschema")
pytestmark = pytest.mark.l06


@pytest.fixture(scope="module")
def embedded():
    from lessonlib import models

    return models.load("mini", device="cpu", dtype=torch.float32)


def language(schema, alphabet):
    """All documents of an automaton, by walking it."""
    found, todo = set(), [("", grammar.compile_schema(schema))]
    while todo:
        text, state = todo.pop()
        found |= {text} if grammar.complete(state) else set()
        following = [(text + c, grammar.read(state, c)) for c in alphabet]
        following = [(t, s) for t, s in following if s]
        assert following or grammar.complete(state), f"a dead end after {text!r}"
        assert len(text) <= grammar.longest(grammar.compile_schema(schema))
        todo += following
    return found


@pytest.mark.parametrize(("low", "high"), [(0, 0), (0, 9), (7, 130), (-5, 12), (-120, -7), (95, 1005), (10, 10)])
def test_integers_are_the_range_and_nothing_else(low, high):
    found = language({"type": "integer", "minimum": low, "maximum": high}, "-0123456789")
    assert found == {str(n) for n in range(low, high + 1)}


@pytest.mark.parametrize(
    ("pattern", "shortest", "most"),
    [("^[ab]+$", 1, 3), ("^a?b{2}c*$", 0, 5), ("^[a-c]{1,2}$", 2, 9), ("^b*a{2,3}$", 0, 4)],
)
def test_strings_are_those_of_the_pattern(pattern, shortest, most):
    schema = {"type": "string", "pattern": pattern, "minLength": shortest, "maxLength": most}
    words = {""}
    for _ in range(most):
        words |= {word + c for word in words for c in "abc"}
    want = {json.dumps(w) for w in words if re.fullmatch(pattern[1:-1], w) and shortest <= len(w) <= most}
    assert language(schema, '"abc') == want


def test_arrays_and_booleans_and_enums():
    schema = {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}
    assert language(schema, "[], truefalsn") == {"[true]", "[false]"} | {
        f"[{a}, {b}]" for a in ("true", "false") for b in ("true", "false")
    }
    schema = {"type": "string", "enum": ["a", "ab", 'say "hi"']}
    assert language(schema, 'abshiy "\\') == {'"a"', '"ab"', '"say \\"hi\\""'}
    assert language({"type": "array", "items": {"type": "boolean"}, "maxItems": 0}, "[]t") == {"[]"}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "number"}, "not in this subset"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, "all of them required"),
        ({"type": "integer", "minimum": 3}, "needs minimum and maximum"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "the smaller first"),
        ({"type": "string"}, "needs a maxLength"),
        ({"type": "string", "pattern": "a+", "maxLength": 3}, "must begin with"),
        ({"type": "string", "pattern": "^(ab)+$", "maxLength": 3}, "cannot read"),
        ({"type": "string", "pattern": "^a{5}$", "maxLength": 3}, "can meet"),
        ({"type": "array", "items": {"type": "boolean"}}, "needs items and maxItems"),
    ],
)
def test_schemas_outside_the_subset_are_refused(schema, says):
    with pytest.raises(ValueError, match=says):
        grammar.compile_schema(schema)


NESTED = {
    "type": "object",
    "properties": {
        "id": {"type": "integer", "minimum": -20, "maximum": 1500},
        "note": {"type": "string", "maxLength": 12},
        "tags": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{2,4}$"}, "minItems": 1, "maxItems": 3},
        "inner": {
            "type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"], "additionalProperties": False,
        },
    },
    "required": ["id", "note", "tags", "inner"],
    "additionalProperties": False,
}  # fmt: skip


@pytest.fixture(scope="module")
def pieces(embedded):
    model, tokenizer = embedded
    return grammar.token_texts(tokenizer, model.config.vocab_size)


@pytest.mark.parametrize("schema", [forms.CALL.schema, forms.CARD.schema, NESTED], ids=["call", "card", "nested"])
def test_every_document_is_valid_whatever_the_logits(embedded, pieces, schema):
    """200 documents drawn token by token from random logits at many temperatures, over the real vocabulary."""
    tokenizer = embedded[1]
    end = tokenizer.eos_token_id
    mask, rng = grammar.TokenMask(schema, pieces, end), torch.Generator().manual_seed(0)
    seen = set()
    for number in range(200):
        state, ids = mask.start, []
        logits = torch.randn(len(pieces), generator=rng) / (0.1 + number % 5)
        for _ in range(grammar.longest(mask.start) + 1):
            q = logits.masked_fill(~mask.allowed(state), lab.NEVER).softmax(-1)
            ids.append(int(torch.multinomial(q, 1, generator=rng)))
            if ids[-1] == end:
                break
            state = grammar.read(state, pieces[ids[-1]])
            logits = logits.roll(17)
        assert ids[-1] == end, "it did not end in time"
        text = tokenizer.decode(ids[:-1])
        value = json.loads(text)
        jsonschema.validate(value, schema)
        assert json.dumps(value) == text
        seen.add(text)
    assert len(seen) > 40 or schema is forms.CALL.schema


def test_a_mask_is_what_trying_every_token_gives(embedded, pieces):
    mask = grammar.TokenMask(forms.CARD.schema, pieces, 0, lead=" ")
    rng = random.Random(1)
    for text in (
        "",
        " ",
        ' {"name": "Li',
        ' {"name": "Lily", "age": 1',
        ' {"name": "Lily", "age": 7, "likes": ["cake"',
    ):
        state = grammar.read(mask.start, text)
        allowed = mask.allowed(state)
        for token in [*range(60), *rng.sample(range(60, len(pieces)), 400), *allowed.nonzero().flatten().tolist()]:
            piece = pieces[token]
            fits = bool(piece) and "\ufffd" not in piece and bool(grammar.read(state, piece))
            assert bool(allowed[token]) == fits, (text, piece)
        assert not allowed[0]  # the end, while the document is open
    whole = ' {"name": "Lily", "age": 7, "likes": [], "happy": true}'
    assert mask.allowed(grammar.read(mask.start, whole)).nonzero().flatten().tolist() == [0]


def test_forms_with_a_mask_are_valid_and_equal_generate(embedded):
    for form in forms.FORMS:
        rows = forms.fill(*embedded, form, (0, 1.0, 2.0), samples=2, seed=4)
        assert [row.masked for row in rows] == [1, 1, 1]
        assert all(0 <= row.plain <= 1 and 0 < row.left <= 1 for row in rows)
        assert len(forms.metrics(rows)) == 12
    ours, theirs = forms.greedy_both_ways(*embedded, forms.CALL)
    assert ours == theirs


@pytest.mark.parametrize("form", forms.FORMS, ids=lambda form: form.name)
def test_both_judges_agree(form, monkeypatch):
    """The package and this lab's own rules, on right and on spoiled documents."""
    good = {"tool": "find_book", "city": "Rome"} if form is forms.CALL else {
        "name": "Lily", "age": 7, "likes": ["cake"], "happy": True
    }  # fmt: skip
    spoiled = [
        {**good, key: value} for key in good for value in (None, 3.5, True, "x", "x" * 40, -1, ["cake"] * 3, ["no"])
    ]
    spoiled += [{k: v for k, v in good.items() if k != key} for key in good] + [{**good, "more": 1}, [], "text"]
    name, judge = forms.validator(form.schema)
    assert name == "the package jsonschema"
    real = __import__

    def without(name, *args, **kwargs):
        if name == "jsonschema":
            raise ImportError
        return real(name, *args, **kwargs)

    monkeypatch.setattr("builtins.__import__", without)
    other, own = forms.validator(form.schema)
    assert other == "this lab's own rules"
    assert judge(json.dumps(good)) == own(json.dumps(good)) == ""
    for value in spoiled:
        text = json.dumps(value)
        assert bool(judge(text)) == bool(own(text)), text
    assert judge("{nonsense") and own("{nonsense")


def test_tokenizers_without_texts_of_their_own_are_refused():
    class Odd:
        all_special_ids = []

        def __len__(self):
            return 128

        def decode(self, ids):
            return "".join(map(chr, ids)).strip()  # a blank alone has no text

        def encode(self, text, add_special_tokens):
            return list(map(ord, text))

    with pytest.raises(ValueError, match="byte-level"):
        grammar.token_texts(Odd(), 128)
