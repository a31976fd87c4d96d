"""Tokens: byte-pair encoding by hand, and what a model can use of a long text."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from . import tokens_and_context_texts as texts

Pair = tuple[str, str]
Words = dict[tuple[str, ...], int]  # pieces of a word -> how often the word occurs

# What the lesson and its stored record both measure.
KEEP = 100  # tokens that are left of a story when its start is cut off
LENGTHS = (0, 256, 512, 768, 1024, 1536)  # tokens that stand before a story when its loss is measured


# Byte-pair encoding. Sennrich, Haddow and Birch 2016; the bytes come from Radford et al. 2019 (GPT-2).


def words(text: str) -> Words:
    """The words of `text` between white space, each as its characters, with its count."""
    return dict(Counter(tuple(word) for word in text.split()))


def pair_counts(words: Words) -> Counter:
    """How often each pair of neighbouring pieces occurs inside words: {(left, right): count}."""
    counts: Counter = Counter()
    for pieces, count in words.items():
        for pair in zip(pieces, pieces[1:], strict=False):
            counts[pair] += count
    return counts


def join_pair(pieces: Iterable[str], pair: Pair) -> tuple[str, ...]:
    """`pieces` with `pair` made one piece wherever it stands, from left to right."""
    made: list[str] = []
    open_left = False  # whether the last piece made may still become the left half
    for piece in pieces:
        if open_left and (made[-1], piece) == pair:
            made[-1] += piece
            open_left = False
        else:
            made.append(piece)
            open_left = True
    return tuple(made)


def merge(words: Words, pair: Pair) -> Words:
    """All words with `pair` made one piece; counts stay."""
    return {join_pair(pieces, pair): count for pieces, count in words.items()}


def learn(words: Words, merges: int) -> tuple[list[Pair], Words]:
    """The first `merges` merges that byte-pair encoding learns from `words`, and the words after them.

    The most frequent pair is next; of equal ones the pair whose pieces are older (single characters in the order of
    their code points, then pieces as they were made), which is also the rule of the `tokenizers` library."""
    age = {piece: number for number, piece in enumerate(sorted({p for pieces in words for p in pieces}))}
    learned: list[Pair] = []
    for _ in range(merges):
        counts = pair_counts(words)
        if not counts:
            break
        pair = min(counts, key=lambda p: (-counts[p], age[p[0]], age[p[1]]))
        learned.append(pair)
        age.setdefault("".join(pair), len(age))
        words = merge(words, pair)
    return learned, words


def library_merges(text: str, merges: int) -> list[Pair]:
    """The merges that the `tokenizers` library learns from the words of `text`: at most `merges`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = len(set("".join(text.split())))
    trainer = trainers.BpeTrainer(vocab_size=alphabet + merges, min_frequency=0, show_progress=False)
    tokenizer.train_from_iterator([text], trainer)
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def steps(word: str, ranks: Mapping[Pair, int]) -> list[tuple[str, ...]]:
    """How `word` is encoded: its characters, then the pieces after each merge.

    While a neighbouring pair has a rank, the pair of the lowest rank becomes one piece, everywhere it stands."""
    made = [tuple(word)]
    while True:
        pairs = [pair for pair in zip(made[-1], made[-1][1:], strict=False) if pair in ranks]
        if not pairs:
            return made
        made.append(join_pair(made[-1], min(pairs, key=ranks.__getitem__)))


def encode(word: str, ranks: Mapping[Pair, int]) -> list[str]:
    """The pieces of one word by byte-pair encoding."""
    return list(steps(word, ranks)[-1])


def merge_ranks(name: str) -> dict[Pair, int]:
    """The merges of an embedded model's tokenizer: {(left, right): rank}, each byte written as one character."""
    from ..models import embedded_path
    from ..models.training.bpe import byte_table

    file = json.loads((embedded_path(name) / "tokenizer.json").read_text(encoding="utf-8"))
    table = {stand_in: chr(byte) for stand_in, byte in byte_table().items()}
    written = ((("".join(table[c] for c in part)) for part in pair) for pair in file["model"]["merges"])
    return {tuple(pair): rank for rank, pair in enumerate(written)}


def encode_text(text: str, ranks: Mapping[Pair, int]) -> list[bytes]:
    """A whole text by hand, with the merges of an embedded model: cut into words by its pattern, then each word's bytes
    merged by rank. Returns the bytes of each token."""
    import regex

    from ..models.training.bpe import PATTERN

    parts = (part.encode().decode("latin-1") for part in regex.findall(PATTERN, text))
    return [piece.encode("latin-1") for part in parts for piece in encode(part, ranks)]


# What a model can use of a long text.


@dataclass(frozen=True)
class Recall:
    """The chance that a model gives a wanted word after a text of `tokens` tokens: whole, and cut to its last ones."""

    tokens: int
    whole: float
    cut: float


def recall(model, tokenizer, keep: int, names: Iterable[str] = texts.NAMES) -> list[Recall]:
    """A name stands at the start of a story and is wanted at its end: the chance of it, mean over `names`, as more
    sentences come between, from the whole text and from its last `keep` tokens alone."""
    found = []
    for sentences in range(len(texts.FILLER) + 1):
        lengths, whole, cut = [], [], []
        for name in names:
            story = texts.FACT.format(name=name) + "".join(texts.FILLER[:sentences]) + texts.ASK
            ids = tokenizer.encode(story, add_special_tokens=False)
            wanted = tokenizer.encode(f" {name}", add_special_tokens=False)
            lengths.append(len(ids))
            whole.append(chance(model, ids, wanted))
            cut.append(chance(model, ids[-keep:], wanted))
        found.append(Recall(round(fmean(lengths)), fmean(whole), fmean(cut)))
    return found


def chance(model, ids: list[int], wanted: list[int]) -> float:
    """The probability that the model goes on with the tokens `wanted` after `ids`: a product over the tokens."""
    return 2 ** -sum(bits(model, ids, wanted))


def bits(model, ids: list[int], scored: list[int]) -> list[float]:
    """-log2 of the probability of each token of `scored` after `ids` and those of `scored` before it."""
    import torch

    every = torch.tensor([[*ids, *scored]], device=model.device)  # (B, L)
    with torch.no_grad():
        logits = (
            model(input_ids=every, logits_to_keep=len(scored) + 1).logits[0, :-1].float()
        )  # (L of scored, vocabulary)
    right = logits.log_softmax(-1)[range(len(scored)), scored]
    return (-right / math.log(2)).tolist()


def loss_after(model, tokenizer, lengths: Iterable[int], scored: int = 3, keep: int | None = None) -> dict[int, float]:
    """Bits a token for the same stories after texts of several lengths: {length: mean over `scored` stories}.

    The text before is the other stories, again and again, and ends where a new story begins: only its length differs.
    With `keep`, what stands before is cut to its last `keep` tokens."""
    stories = [tokenizer.encode(story, add_special_tokens=False) for story in texts.STORIES]
    end, found = tokenizer.eos_token_id, {}
    for length in lengths:
        losses = []
        for number in range(scored):
            others = [token for i, story in enumerate(stories) if i != number for token in (end, *story)]
            before = (others * (length // len(others) + 1))[-length:] if length else []
            before = before[-keep:] if keep is not None and keep < length else before
            losses.append(fmean(bits(model, [*before, end], stories[number])))
        found[length] = fmean(losses)
    return found


def windows(name: str) -> tuple[int, int]:
    """Of an embedded model: the tokens of a training window, and the positions that its configuration allows."""
    from ..models import embedded_path

    shape = json.loads((embedded_path(name) / "training.json").read_text(encoding="utf-8"))["shape"]
    return shape["sequence"], shape["context"]


def metrics(readings, recalls: list[Recall], losses: Mapping[int, float]) -> dict[str, tuple[str, float]]:
    """What the stored record and a learner's page both report: {metric: (unit, value)}.

    `readings` are tokenizers' readings (see tokens_and_context_readers), which hold the English sample."""
    found = {}
    for reading in readings:
        covered = reading.characters_per_token(texts.ENGLISH)
        found[f"characters_a_token_in_English,_{reading.key}"] = ("characters", covered)
        found[f"speed,_{reading.key}"] = ("million characters/s", reading.characters_per_second / 1e6)
    last = recalls[-1]
    found[f"chance_of_the_name_after_{last.tokens}_tokens"] = ("probability", last.whole)
    found["the_same_with_the_start_cut_off"] = ("probability", last.cut)
    for length, loss in losses.items():
        found[f"loss_after_{length}_tokens"] = ("bits a token", loss)
    return found
