"""The tokenizer: the same ids from `tokenizers` and tiktoken, nothing lost, specials in place."""

import json
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessonlib.models import embedded_names, embedded_path, encoding
from lessonlib.models.training.bpe import bpe_from_texts, byte_table, to_tiktoken
from lessonlib.models.training.presets import SPECIALS

TRICKY = [
    "", " ", "\n", "  \n\t x", "don't we'll I'VE 'S", "12345 3.14 ½ ٣٤", "a\u00a0b\u2003c\u200bd", "naïve café e\u0301",
    "日本語 текст עברית", "👩‍👩‍👧 🇫🇷", "def f(x):\n    return x ** 2\n", "\x00\x07\x7f", "a" * 300, " ...!?", "\r\n\r\n end ",
]  # fmt: skip
PIECES = st.one_of(
    st.text(),
    st.text(alphabet=st.sampled_from(" \t\n\r\u00a0\u2003\u3000'sdmtlvreSD")),
    st.text(alphabet=st.sampled_from("0123456789.,:;-_+*/=()[]{}<>|")),
    st.sampled_from(["hello", " the", " boat", "isn't", "我", "é", "  ", "\n\n", "<", "|", "endoftext", *SPECIALS]),
)
TEXTS = st.lists(PIECES, max_size=6).map("".join)


@pytest.fixture(scope="module", params=embedded_names() or ["mini"])  # without weights: fail, not skip
def both(request):
    """(transformers tokenizer, tiktoken encoding) of a shipped model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(embedded_path(request.param)), encoding(request.param)


@given(TEXTS)
@settings(deadline=None, max_examples=400)
def test_same_ids_and_round_trip(both, text):
    hugging, tik = both
    ids = hugging.encode(text, add_special_tokens=False)
    assert ids == tik.encode(text, allowed_special="all")
    assert hugging.decode(ids) == text == tik.decode(ids)


SCALARS = [(0, 0xD7FF), (0xE000, sys.maxunicode)]  # every Unicode scalar: all code points but the surrogates
SPACES = " \t\n\r\x0b\x0c\x1c\x85\u00a0\u1680\u2000\u2003\u2009\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
SCRIPTS = [
    "naïve",
    "Straße",
    "текст",
    "日本語",
    "한국어",
    "עברית",
    "हिन्दी",
    "ไทย",
    "e\u0301",
    "👩\u200d👩\u200d👧",
    "🇫🇷",
    "👍🏽",
    "𝒳",
    "½",
    "٣٤",
    "Ⅷ",
]
CODE = [
    "def ",
    "f",
    "(x)",
    ":",
    "\n",
    "    ",
    "\t",
    "return",
    " x",
    "**",
    "2",
    "==",
    "'a'",
    '"b"',
    "#",
    " {",
    "}",
    "[0]",
    "\\n",
    "<|",
    "|>",
    "_y",
]
# Kinds of random text, each a function of a random.Random.
KINDS = {
    "ascii": lambda rng: "".join(chr(rng.randrange(128)) for _ in range(rng.randrange(40))),
    "white space": lambda rng: "".join(rng.choice(SPACES + "ab1.") for _ in range(rng.randrange(30))),
    "any scalar": lambda rng: "".join(chr(rng.randint(*SCALARS[rng.random() < 0.8])) for _ in range(rng.randrange(20))),
    "scripts and emoji": lambda rng: "".join(rng.choice([*SCRIPTS, " ", ""]) for _ in range(rng.randrange(12))),
    "apostrophes and digits": lambda rng: "".join(
        rng.choice("''’sdmtlvreSDMT0123456789 .,") for _ in range(rng.randrange(30))
    ),
    "code": lambda rng: "".join(rng.choice(CODE) for _ in range(rng.randrange(25))),
    "specials": lambda rng: "".join(
        rng.choice([*SPECIALS, "<|", "|>", "<|end", "a", " ", "\n"]) for _ in range(rng.randrange(12))
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_same_ids_for_random_texts_of_each_kind(both, kind):
    hugging, tik = both
    rng = random.Random(kind)
    texts = [KINDS[kind](rng) for _ in range(500)]
    for text, ids in zip(texts, hugging(texts, add_special_tokens=False).input_ids, strict=True):
        assert ids == tik.encode(text, allowed_special="all"), ascii(text)
        assert hugging.decode(ids) == text == tik.decode(ids), ascii(text)


def test_all_embedded_models_share_one_vocabulary():
    """A draft model guesses ids for another one, so each id means the same to both."""
    files = {name: (embedded_path(name) / "tokenizer.json").read_bytes() for name in embedded_names()}
    assert len(set(files.values())) == 1, sorted(files)


@pytest.mark.parametrize("text", TRICKY)
def test_tricky_texts(both, text):
    hugging, tik = both
    ids = hugging.encode(text, add_special_tokens=False)
    assert ids == tik.encode_ordinary(text)
    assert tik.decode(ids) == text


def test_specials_and_bytes_have_fixed_ids(both):
    hugging, tik = both
    assert [hugging.convert_tokens_to_ids(text) for text in SPECIALS] == list(range(len(SPECIALS)))
    assert tik.encode("a<|endoftext|>b", allowed_special="all") == hugging.encode("a<|endoftext|>b")
    assert sorted(tik.decode_single_token_bytes(i)[0] for i in range(6, 262)) == list(range(256))
    assert tik.n_vocab == len(hugging) == 4096


def test_chat_is_written_as_in_the_corpus(both):
    text = both[0].apply_chat_template(
        [
            {"role": "user", "content": "Hi."},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "Bye."},
        ],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == "User: Hi.\nAssistant: Hello!\nUser: Bye.\nAssistant:"


@pytest.mark.parametrize("name", embedded_names() or ["mini"])
def test_digits_stand_alone(name):
    vocabulary = json.loads((embedded_path(name) / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert not [text for text in vocabulary if sum(c in "0123456789" for c in text) > 1]


def test_byte_table_is_a_bijection():
    table = byte_table()
    assert sorted(table.values()) == list(range(256)) and len(table) == 256
    assert table["A"] == 65 and table["Ġ"] == 32 and table["Ċ"] == 10


@given(st.lists(TEXTS, min_size=1, max_size=8), TEXTS)
@settings(deadline=None, max_examples=25)
def test_agreement_holds_for_any_training_text(texts, probe):
    tokenizer = bpe_from_texts(texts * 2, vocab_size=300)
    tik = to_tiktoken(tokenizer.get_vocab(), "any")
    for text in (probe, texts[0]):
        assert tokenizer.encode(text, add_special_tokens=False).ids == tik.encode(text, allowed_special="all")
