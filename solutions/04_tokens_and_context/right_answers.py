"""Right answers of lesson 04, written otherwise than the solution: the checks demand no style."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l04_e1_merge",
        "counter_and_stack",
        """from collections import Counter


def merge_once(words):
    counts = Counter()
    for pieces, times in words.items():
        for i in range(1, len(pieces)):
            counts[pieces[i - 1], pieces[i]] += times
    left, right = counts.most_common(1)[0][0]
    merged = Counter()
    for pieces, times in words.items():
        made = []
        for piece in pieces:
            if made and made[-1] == left and piece == right:
                made[-1] = left + right
            else:
                made.append(piece)
        merged[tuple(made)] += times
    return [left, right], merged
""",
    ),
    RightAnswer(
        "l04_e1_merge",
        "recursion",
        """def merge_once(words):
    def joined(pieces, pair):
        if len(pieces) < 2:
            return pieces
        if pieces[:2] == pair:
            return (pair[0] + pair[1], *joined(pieces[2:], pair))
        return (pieces[0], *joined(pieces[1:], pair))

    rows = [(pair, n) for pieces, n in words.items() for pair in zip(pieces[:-1], pieces[1:])]
    pair = max({pair for pair, _ in rows}, key=lambda one: sum(n for other, n in rows if other == one))
    return pair, {joined(pieces, pair): n for pieces, n in words.items()}
""",
    ),
    RightAnswer(
        "l04_e1_merge",
        "regular_expression",
        """import re

MARK = chr(0)


def merge_once(words):
    totals = {}
    for pieces, n in words.items():
        for left, right in zip(pieces, pieces[1:]):
            totals.setdefault((left, right), []).append(n)
    (left, right), _ = sorted(totals.items(), key=lambda item: sum(item[1]))[-1]
    both = re.compile(f"(?<={MARK}){re.escape(left)}{MARK}{re.escape(right)}(?={MARK})")
    merged = {}
    for pieces, n in words.items():
        text = both.sub(lambda _: left + right, MARK + MARK.join(pieces) + MARK)
        merged[tuple(text[1:-1].split(MARK))] = n
    return (left, right), merged
""",
    ),
    RightAnswer(
        "l04_e1_merge",
        "numpy",
        """import numpy as np


def merge_once(words):
    rows = [(a, b, n) for pieces, n in words.items() for a, b in zip(pieces, pieces[1:])]
    pairs = sorted({row[:2] for row in rows})
    which = np.array([pairs.index(row[:2]) for row in rows])
    totals = np.bincount(which, weights=[row[2] for row in rows])
    best = pairs[int(totals.argmax())]

    def rewritten(pieces):
        out = list(pieces)
        i = 0
        while i + 1 < len(out):
            if (out[i], out[i + 1]) == best:
                out[i] += out.pop(i + 1)
            i += 1
        return tuple(out)

    return best, dict(zip(map(rewritten, words), words.values()))
""",
    ),
    RightAnswer(
        "l04_e2_encode",
        "recursion",
        """import math


def encode(word, ranks):
    def go(pieces):
        found = [ranks.get(pair, math.inf) for pair in zip(pieces, pieces[1:])]
        lowest = min(found, default=math.inf)
        if lowest == math.inf:
            return pieces
        i = found.index(lowest)
        return go([*pieces[:i], pieces[i] + pieces[i + 1], *pieces[i + 2 :]])

    return go(list(word))
""",
    ),
    RightAnswer(
        "l04_e2_encode",
        "through_the_ranks",
        """def encode(word, ranks):
    order = sorted(ranks, key=ranks.get)
    pieces = [*word]
    merged = True
    while merged:
        merged = False
        pairs = list(zip(pieces, pieces[1:]))
        for pair in order:
            if pair in pairs:
                at = pairs.index(pair)
                pieces[at] += pieces.pop(at + 1)
                merged = True
                break
    return pieces
""",
    ),
    RightAnswer(
        "l04_e2_encode",
        "heap",
        """import heapq


def encode(word, ranks):
    pieces, end = list(word), len(word)
    before, after = list(range(-1, end - 1)), list(range(1, end + 1))
    heap = []

    def offer(i):
        if i >= 0 and after[i] < end:
            pair = pieces[i], pieces[after[i]]
            if pair in ranks:
                heapq.heappush(heap, (ranks[pair], i, pair))

    for i in range(end):
        offer(i)
    while heap:
        _, i, (left, right) = heapq.heappop(heap)
        j = after[i]
        if pieces[i] != left or j >= end or pieces[j] != right:
            continue
        pieces[i], pieces[j], after[i] = left + right, "", after[j]
        if after[i] < end:
            before[after[i]] = i
        offer(before[i])
        offer(i)
    return [piece for piece in pieces if piece]
""",
    ),
    RightAnswer(
        "l04_e2_encode",
        "cuts",
        """def encode(word, ranks):
    cuts = list(range(len(word) + 1))
    while True:
        options = []
        for place, (a, b, c) in enumerate(zip(cuts, cuts[1:], cuts[2:])):
            pair = word[a:b], word[b:c]
            if pair in ranks:
                options.append((ranks[pair], place))
        if not options:
            return [word[a:b] for a, b in zip(cuts, cuts[1:])]
        del cuts[min(options)[1] + 1]
""",
    ),
    RightAnswer(
        "l04_e3_plan",
        "fractions",
        """import math
from fractions import Fraction


def plan(samples, characters, answer, window):
    rates = sorted(Fraction(tokens, size) for size, tokens in samples)
    low, high = math.floor(rates[0] * characters), math.ceil(rates[-1] * characters)
    if low > window - answer:
        return [low, high, "too long"]
    return [low, high, "count first" if high > window - answer else "fits"]
""",
    ),
    RightAnswer(
        "l04_e3_plan",
        "numpy",
        """import numpy as np


def plan(samples, characters, answer, window):
    size, tokens = np.array(samples, dtype=np.int64).T
    whole, rest = np.divmod(tokens * characters, size)
    low, high = whole.min(), (whole + (rest > 0)).max()
    room = window - answer
    verdict = np.select([high <= room, low > room], ["fits", "too long"], "count first")
    return low, high, str(verdict)
""",
    ),
    RightAnswer(
        "l04_e3_plan",
        "loop",
        """def plan(samples, characters, answer, window):
    low = high = None
    for size, tokens in samples:
        whole, rest = divmod(characters * tokens, size)
        if low is None or whole < low:
            low = whole
        if high is None or whole + bool(rest) > high:
            high = whole + bool(rest)
    verdict = "count first"
    if answer + low > window:
        verdict = "too long"
    if answer + high <= window:
        verdict = "fits"
    return low, high, verdict
""",
    ),
    RightAnswer(
        "l04_e3_plan",
        "torch",
        """import torch


def plan(samples, characters, answer, window):
    pairs = torch.tensor(samples)
    scaled = pairs[:, 1] * characters
    low = torch.div(scaled, pairs[:, 0], rounding_mode="floor").amin()
    high = -torch.div(-scaled, pairs[:, 0], rounding_mode="floor").amin()
    fitting = int(low + answer <= window) + int(high + answer <= window)
    return low, high, ("too long", "count first", "fits")[fitting]
""",
    ),
    RightAnswer(
        "l04_e4_history",
        "from_the_front",
        """def newest_that_fit(window, fixed, reserve, messages):
    first, total = 0, sum(messages)
    while first < len(messages) and fixed + reserve + total > window:
        total -= messages[first]
        first += 1
    return range(first, len(messages)), window - (fixed + reserve + total)
""",
    ),
    RightAnswer(
        "l04_e4_history",
        "comprehension",
        """def newest_that_fit(window, fixed, reserve, messages):
    kept = tuple(i for i in range(len(messages)) if fixed + sum(messages[i:]) + reserve <= window)
    return [kept, window - fixed - reserve - sum(messages[i] for i in kept)]
""",
    ),
    RightAnswer(
        "l04_e4_history",
        "numpy",
        """import numpy as np


def newest_that_fit(window, fixed, reserve, messages):
    sizes = np.array(messages, dtype=np.int64)
    behind = sizes[::-1].cumsum()[::-1]
    kept = np.flatnonzero(behind <= window - fixed - reserve)
    return kept, window - fixed - reserve - sizes[kept].sum()
""",
    ),
    RightAnswer(
        "l04_e4_history",
        "recursion",
        """def newest_that_fit(window, fixed, reserve, messages):
    room = window - fixed - reserve

    def take(count, left):
        if count == 0 or messages[count - 1] > left:
            return [], left
        kept, left = take(count - 1, left - messages[count - 1])
        return [*kept, count - 1], left

    return take(len(messages), room)
""",
    ),
]
