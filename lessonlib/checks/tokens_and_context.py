"""Checks of lesson 04: one merge of byte-pair encoding, and encoding by ranks. Estimates and windows stand beside it."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise

from ..labs import tokens_and_context as lab
from . import tokens_and_context_windows  # noqa: F401  (registers exercises 3 and 4)
from .core import CheckFailed, check_for, expect, expect_all, property_of, same


@check_for(
    "l04_e1",
    title="One merge of byte-pair encoding",
    minutes=10,
    hints=[
        "Two steps: count the neighbouring pairs inside words, then rewrite every word with the winner as one piece.",
        "zip(pieces, pieces[1:]) gives the pairs of a word. A word that occurs 7 times counts each of its pairs 7 times.",
        "To rewrite: walk through the pieces; where the pair stands, append left + right and go on two places further, "
        "else append the piece. Keep each word's count.",
    ],
)
def check_merge(answer, rng):
    """Characters first, then pieces that are longer; each usual mistake recognised by what it makes."""
    _compare_merges(answer, _words(rng), _words(rng, merges=2))


@property_of("l04_e1", "any words and counts")
def merge_any(answer, rng):
    """Four random sets of words."""
    for _ in range(4):
        _compare_merges(answer, _words(rng))


@property_of("l04_e1", "the words that went in stay as they are")
def merge_leaves_input(answer, rng):
    """No change in place."""
    words = _words(rng)
    before = dict(words)
    _compare_merges(lambda _: answer(words), before)
    if words != before:
        raise CheckFailed("The words that were given are changed.", reason="make a new dict for the merged words")


@property_of("l04_e1", "merge after merge, what the tokenizers library learns")
def merge_like_the_library(answer, rng):
    """Five merges of a made-up text in which each has one clear winner, beside the library's own trainer."""
    text = _text(rng)
    while not _clear_for(lab.words(text), 5):
        text = _text(rng)
    words, learned = lab.words(text), []
    for _ in range(5):
        pair, words = _merged(answer(words))
        learned.append(list(pair))
    expect(learned, [list(p) for p in lab.library_merges(text, 5)],
           "Five merges learned one after the other from a text, beside those of the tokenizers library.")  # fmt: skip


@property_of("l04_e1", "one letter twice or three times in a row")
def merge_runs(answer, rng):
    """aaa becomes aa + a, from left to right."""
    count = rng.randint(3, 9)
    words = {tuple("aaa"): count, tuple("baaaa"): count + 1, tuple("cab"): 1}
    got = _merged(answer(words))
    want = {("aa", "a"): count, ("b", "aa", "aa"): count + 1, ("c", "a", "b"): 1}
    expect(got[0], ("a", "a"), "The most frequent pair of words with runs of one letter.")
    _same_words(got[1], want, "A run of one letter is merged from left to right.", [])


@check_for(
    "l04_e2",
    title="Encoding a word with given merges",
    minutes=10,
    hints=[
        "Start from single characters. Which neighbouring pairs of the present pieces stand in `ranks`?",
        "Of those, the one with the lowest rank is merged first, wherever in the word it stands. Then look again: there "
        "are new pairs now.",
        "A loop: pairs = those of zip(pieces, pieces[1:]) that are in ranks; if there are none, return the pieces; else "
        "take min(pairs, key=ranks.get) and rebuild the list with that pair joined.",
    ],
)
def check_encode(answer, rng):
    """Made-up merges with words on which the usual mistakes differ; then the real vocabulary."""
    ranks, found = _telling_words(rng, 6)
    for word in found:
        _compare_encode(answer, word, ranks)
    for word in (" children", "Supercalifragilistic"):
        _compare_encode(answer, word, _real_ranks())


@property_of("l04_e2", "other merges and words")
def encode_any(answer, rng):
    """Words that the merges were not learned from."""
    for _ in range(3):
        ranks, found = _telling_words(rng, 5)
        for word in found:
            _compare_encode(answer, word, ranks)


@property_of("l04_e2", "single characters, and words without any merge")
def encode_short(answer, rng):
    """What no rank touches comes back as characters."""
    for word in ("a", "xyz", rng.choice("bcd") * 5):
        _compare_encode(answer, word, {("a", "b"): 0, ("ab", "c"): 1})


@property_of("l04_e2", "words of a story, as this course's tokenizer cuts them")
def encode_like_the_tokenizer(answer, rng):
    """Twelve words, with the blank before them, through the library."""
    tokenizer = _tokenizer()
    for word in rng.sample(sorted(set(" ".join(lab.texts.STORIES).replace(".", "").replace(",", "").split())), 12):
        ids = tokenizer.encode(f" {word}", add_special_tokens=False).ids
        want = [tokenizer.decode([i]) for i in ids]
        got = _pieces(answer(f" {word}", _real_ranks()))
        expect(got, want, f"The word {' ' + word!r} with the merges of this course's tokenizer.")


# Inputs, made from the check's own random numbers.


def _random_word(rng, letters: str, least: int = 2, most: int = 7) -> str:
    return "".join(rng.choice(letters) for _ in range(rng.randint(least, most)))


def _words(rng, merges: int = 0) -> lab.Words:
    """Words with a clear most frequent pair, on which the usual mistakes of exercise 1 give other results; after `merges`
    the pair holds a piece of several characters."""
    while True:
        words = {tuple(_random_word(rng, "abcde")): rng.randint(1, 12) for _ in range(rng.randint(7, 9))}
        for _ in range(merges):
            words = lab.merge(words, _best(words))
        pair = _best(words)
        places = [_places(w, pair) for w in words]
        if pair[0] == pair[1] or len("".join(pair)) < (3 if merges else 2) or sum(map(bool, places)) < 2:
            continue
        if not _clear(words) or max(places) < 2 and not merges:
            continue
        once, across = _chosen(_once(words)), _chosen(_across(words))
        if pair not in once | across and not once & across:
            return words


def _text(rng) -> str:
    """Sixty made-up words in which some syllables are frequent."""
    parts = [_random_word(rng, "abcdefg", 1, 2) for _ in range(9)]
    return " ".join("".join(rng.choices(parts, range(9, 0, -1), k=rng.randint(1, 4))) for _ in range(60))


@cache
def _real_ranks() -> dict:
    return lab.merge_ranks("target")


@cache
def _tokenizer():
    from tokenizers import Tokenizer

    from ..models import embedded_path

    return Tokenizer.from_file(str(embedded_path("target") / "tokenizer.json"))


def _telling_words(rng, count: int) -> tuple[dict, list[str]]:
    """Merges learned from a made-up text, and words of its letters: the mistakes of exercise 2 show on some of them."""
    while True:
        learned, _ = lab.learn(lab.words(_text(rng)), 25)
        ranks = {pair: rank for rank, pair in enumerate(learned)}
        made = {_random_word(rng, "abcdefg", 5, 10) for _ in range(400)}
        telling = sorted(w for w in made if all(p != lab.encode(w, ranks) for p, _ in _other_pieces(w, ranks)))
        if len(telling) >= count:
            return ranks, rng.sample(telling, count)


# Counting, and what the usual mistakes make of it.


def _most(counts: Counter):
    return min(counts, key=lambda pair: (-counts[pair], pair)) if counts else None


def _chosen(counts: Counter, choose=max) -> set:
    """The pairs that have the largest count, or the smallest."""
    wanted = choose(counts.values())
    return {pair for pair, count in counts.items() if count == wanted}


def _best(words: lab.Words):
    return _most(lab.pair_counts(words))


def _clear(words: lab.Words) -> bool:
    """Whether one pair is ahead of all others by two or more."""
    top = lab.pair_counts(words).most_common(2)
    return len(top) == 2 and top[0][1] >= top[1][1] + 2


def _clear_for(words: lab.Words, merges: int) -> bool:
    """Whether each of the next merges has one clear winner, and some join a piece of several characters."""
    learned = []
    for _ in range(merges):
        if not _clear(words):
            return False
        learned.append(_best(words))
        words = lab.merge(words, learned[-1])
    return any(len(piece) > 1 for pair in learned for piece in pair)


def _once(words: lab.Words) -> Counter:
    return lab.pair_counts(dict.fromkeys(words, 1))


def _across(words: lab.Words) -> Counter:
    """Pairs of the whole text in one row, from one word into the next."""
    counts = lab.pair_counts(words)
    for pieces, count in words.items():
        counts[pieces[-1], pieces[0]] += count - 1  # a word that occurs again follows itself
    counts.update((a[-1], b[0]) for a, b in pairwise(words))
    return counts


def _letters(words: lab.Words) -> Counter:
    """Pairs of characters, whatever the pieces."""
    counts: Counter = Counter()
    for pieces, count in words.items():
        text = "".join(pieces)
        for pair in zip(text, text[1:], strict=False):
            counts[pair] += count
    return counts


def _other_counts(words: lab.Words):
    """(counts, choice, reason) of the usual mistakes in finding the pair."""
    yield _once(words), max, "each word was counted once: a word that occurs 7 times counts 7 times"
    yield _across(words), max, "pairs were counted from one word into the next: they never cross a word's end"
    yield _letters(words), max, "characters were counted: the pieces of a word may be longer"
    yield lab.pair_counts(words), min, "that is the rarest pair: the most frequent is merged"


def _places(pieces, pair) -> int:
    return sum((a, b) == pair for a, b in zip(pieces, pieces[1:], strict=False))


def _first_place(pieces, pair):
    for i in range(len(pieces) - 1):
        if (pieces[i], pieces[i + 1]) == pair:
            return (*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :])
    return tuple(pieces)


def _other_pieces(word: str, ranks):
    """(pieces, reason) of the usual mistakes in encoding."""
    yield list(word), "nothing was merged"
    yield (
        _by_order(word, ranks, lambda pairs: pairs[0]),
        "the leftmost pair was merged first: the lowest rank goes first",
    )
    yield _by_order(word, ranks, lambda pairs: max(pairs, key=ranks.get)), "the highest rank was merged first"
    vocabulary = {"".join(pair) for pair in ranks} | set(word)
    yield _longest(word, vocabulary), "the longest known piece was taken from the left: merges go by rank instead"
    pairs = [pair for pair in zip(word, word[1:], strict=False) if pair in ranks]
    if pairs:
        best = min(pairs, key=ranks.get)
        for one in (lab.join_pair(tuple(word), best), _first_place(tuple(word), best)):
            yield list(one), "only one merge was made: go on"


def _by_order(word: str, ranks, choose):
    pieces = tuple(word)
    while pairs := [p for p in zip(pieces, pieces[1:], strict=False) if p in ranks]:
        pieces = _first_place(pieces, choose(pairs))
    return list(pieces)


def _longest(word: str, vocabulary) -> list[str]:
    pieces, start = [], 0
    while start < len(word):
        end = next(e for e in range(len(word), start, -1) if word[start:e] in vocabulary)
        pieces.append(word[start:end])
        start = end
    return pieces


# Comparisons.


def _merged(got):
    if not isinstance(got, tuple | list) or len(got) != 2 or not isinstance(got[1], dict):
        raise CheckFailed("The answer is a pair: the merged pair, and the words after it.",
                          expected='(("a", "b"), {("ab", "c"): 7, ...})', got=got)  # fmt: skip
    pair, words = got
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise CheckFailed("The merged pair has a left and a right piece.", expected='("a", "b")', got=pair)
    return tuple(pair), words


def _compare_merges(answer, *texts: lab.Words) -> None:
    """The pair of each text, then its words: a mistake in counting must explain all pairs."""
    got = [(words, *_merged(answer(dict(words)))) for words in texts]
    expect_all([_pair_row(words, pair) for words, pair, _ in got])
    for words, _, merged in got:
        _compare_words(words, merged)


def _pair_row(words: lab.Words, pair) -> tuple:
    want = _best(words)
    reasons = [(want[::-1], "left and right are swapped")]
    reasons += [(other, why) for counts, choose, why in _other_counts(words) for other in _chosen(counts, choose)]
    return f"The pair to merge in {_sketch(words)}.", pair, want, reasons


def _compare_words(words: lab.Words, merged: dict) -> None:
    want = _best(words)
    after = lab.merge(words, want)
    mistakes = [
        ({_first_place(w, want): n for w, n in words.items()}, "only the first place in each word was merged"),
        (dict.fromkeys(after, 1), "the counts of the words got lost"),
        (words, "the words are unchanged: write the pair as one piece"),
        ({tuple(" ".join(want) if p == "".join(want) else p for p in w): n for w, n in after.items()},
         "the new piece is left + right, without anything between"),
        ({tuple(p for piece in w for p in ([piece, want[1]] if piece == "".join(want) else [piece])): n
          for w, n in after.items()}, "the right half still stands behind the new piece: go on two places further"),
    ]  # fmt: skip
    _same_words(merged, after, f"The words after merging {want!r}.", mistakes)


def _same_words(got: dict, want: dict, what: str, mistakes) -> None:
    if got == want and all(same(got[w], n) for w, n in want.items()):
        return
    reason = next((why for value, why in mistakes if got == value), None)
    if not all(isinstance(w, tuple) for w in got):
        reason = "each word is a tuple of its pieces"
    missing = [w for w in want if w not in got]
    if reason is None and not missing and len(got) == len(want):
        reason = "the counts of the words are wrong: each word keeps its own"
    elif reason is None and len(got) < len(want):
        reason = "words are missing: those without the pair stay as they are"
    raise CheckFailed(what, expected=_sketch({w: want[w] for w in (missing or want)}), got=_sketch(got), reason=reason)


def _sketch(words, most: int = 4) -> str:
    """A few of the words, to look at."""
    shown = ", ".join(f"{w!r}: {n}" for w, n in list(words.items())[:most])
    return f"{{{shown}{', ...' if len(words) > most else ''}}}"


def _pieces(got) -> list[str]:
    if isinstance(got, str) or not isinstance(got, tuple | list) or not all(isinstance(p, str) for p in got):
        raise CheckFailed("The answer is the list of pieces.", expected='["ab", "c"]', got=got)
    return list(got)


def _compare_encode(answer, word: str, ranks) -> None:
    got = _pieces(answer(word, dict(ranks)))
    if "".join(got) != word:
        raise CheckFailed(f"The pieces of {word!r} do not spell it.", expected=word, got=got,
                          reason="each character must come back exactly once, in its order")  # fmt: skip
    known = [f"{left}+{right}: {ranks[left, right]}" for left, right in sorted(ranks, key=ranks.get)[:12]]
    shown = f" Ranks: {', '.join(known)}{', ...' if len(ranks) > 12 else ''}." if len(ranks) < 100 else ""
    want = lab.encode(word, ranks)
    reasons = "; or ".join(why for value, why in _other_pieces(word, ranks) if value == got != want)
    expect(got, want, f"The pieces of {word!r}.{shown}", mistakes=[(got, reasons)] if reasons else [])
