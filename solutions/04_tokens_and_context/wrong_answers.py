"""Wrong answers of lesson 04, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

MERGE = """from collections import Counter


def merge_once(words):
    counts = Counter()
    {count}
    pair = {choose}
    merged = {{}}
    for pieces, count in words.items():
        made, i = [], 0
        while i < len(pieces):
            if pieces[i : i + 2] == pair{more}:
                made.append({piece})
                i += {step}
            else:
                made.append(pieces[i])
                i += 1
        merged[tuple(made)] = {kept}
    return {answer}
"""
MERGE_RIGHT = dict(
    count="for pieces, count in words.items():\n        for pair in zip(pieces, pieces[1:]):\n            counts[pair] += count",
    choose="max(counts, key=counts.get)", more="", piece="pair[0] + pair[1]", step="2", kept="count", answer="pair, merged",
)  # fmt: skip
ENCODE = """def encode(word, ranks):
    pieces = list(word)
    while True:
        places = [i for i in range(len(pieces) - 1) if (pieces[i], pieces[i + 1]) in ranks]
        if not places:
            return {answer}
        i = {choose}
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        {then}
"""
ENCODE_RIGHT = dict(answer="pieces", choose="min(places, key=lambda i: ranks[pieces[i], pieces[i + 1]])", then="pass")
PLAN = """from math import ceil, floor


def plan(samples, characters, answer, window):
    rates = [{rate} for size, tokens in samples]
    low = {low}
    high = {high}
    if {fits}:
        return {order}, "fits"
    return {order}, "too long" if {long} else "count first"
"""
PLAN_RIGHT = dict(
    rate="tokens / size", low="floor(characters * min(rates))", high="ceil(characters * max(rates))",
    fits="high + answer <= window", long="low + answer > window", order="low, high",
)  # fmt: skip
HISTORY = """def newest_that_fit(window, fixed, reserve, messages):
    room = {room}
    kept = []
    for i in {order}:
        if {fits}:
            {add}
            room -= messages[i]
        else:
            {stop}
    return {answer}
"""
HISTORY_RIGHT = dict(
    room="window - fixed - reserve", order="reversed(range(len(messages)))", fits="messages[i] <= room",
    add="kept.insert(0, i)", stop="break", answer="kept, room",
)  # fmt: skip


def _merge(name, says, **change):
    return WrongAnswer("l04_e1_merge", name, MERGE.format(**{**MERGE_RIGHT, **change}), says)


def _encode(name, says, **change):
    return WrongAnswer("l04_e2_encode", name, ENCODE.format(**{**ENCODE_RIGHT, **change}), says)


def _plan(name, says, **change):
    return WrongAnswer("l04_e3_plan", name, PLAN.format(**{**PLAN_RIGHT, **change}), says)


def _history(name, says, **change):
    return WrongAnswer("l04_e4_history", name, HISTORY.format(**{**HISTORY_RIGHT, **change}), says)


WRONG_ANSWERS = [
    _merge("each_word_once", "each word was counted once",
           count=MERGE_RIGHT["count"].replace("+= count", "+= 1")),
    _merge("across_words", "they never cross a word's end",
           count="row = [p for pieces, n in words.items() for _ in range(n) for p in pieces]\n"
                 "    counts.update(zip(row, row[1:]))"),
    _merge("counts_characters", "characters were counted",
           count=MERGE_RIGHT["count"].replace("zip(pieces, pieces[1:])", 'zip("".join(pieces), "".join(pieces)[1:])')),
    _merge("rarest", "that is the rarest pair", choose="min(counts, key=counts.get)"),
    _merge("first_place_only", "only the first place in each word", more=" and pair[0] + pair[1] not in made"),
    _merge("right_half_stays", "the right half still stands", step="1"),
    _merge("with_a_blank", "without anything between", piece='" ".join(pair)'),
    _merge("counts_lost", "the counts of the words got lost", kept="1"),
    _merge("swapped", "left and right are swapped", answer="pair[::-1], merged"),
    _merge("unchanged", "the words are unchanged", answer="pair, words"),
    _encode("no_merge", "nothing was merged", answer="list(word)"),
    _encode("leftmost_first", "the leftmost pair was merged first", choose="places[0]"),
    _encode("highest_rank_first", "the highest rank was merged first",
            choose="max(places, key=lambda i: ranks[pieces[i], pieces[i + 1]])"),
    _encode("one_merge_only", "only one merge was made", then="return pieces"),
    _encode("joined", "the list of pieces", answer='" ".join(pieces)'),
    _encode("ranks_not_pieces", "the list of pieces", answer="[ranks.get(tuple(p), 0) for p in pieces]"),
    WrongAnswer(
        "l04_e2_encode", "longest_from_the_left",
        "def encode(word, ranks):\n"
        "    known, pieces = {a + b for a, b in ranks}, []\n"
        "    while word:\n"
        "        n = next((n for n in range(len(word), 1, -1) if word[:n] in known), 1)\n"
        "        pieces.append(word[:n])\n"
        "        word = word[n:]\n"
        "    return pieces\n",
        "the longest known piece was taken",
    ),
    _plan("four_characters", "the rule of thumb of 4 characters", rate="1 / 4"),
    _plan("mean_only", "that is the mean of the samples",
          low="floor(characters * sum(rates) / len(rates))", high="ceil(characters * sum(rates) / len(rates))"),
    _plan("swapped", "low and high are swapped", order="high, low"),
    _plan("nearest", "round it down", low="round(characters * min(rates))", high="round(characters * max(rates))"),
    _plan("high_rounded_down", "round it up", high="floor(characters * max(rates))"),
    _plan("characters_per_token", "use tokens per character", rate="size / tokens"),
    _plan("answer_forgotten", "the answer needs room", fits="high <= window", long="low > window"),
    _plan("never_full", "fills the window exactly still fits", fits="high + answer < window"),
    _plan("hopes", "the lower bound alone decided", fits="low + answer <= window"),
    _plan("fears", "the upper bound alone decided", long="high + answer > window"),
    _history("drops_newest", "the newest messages went first",
             order="range(len(messages))", add="kept.append(i)"),
    _history("leaves_gaps", "an unbroken run", stop="continue"),
    _history("reserve_forgotten", "subtract the reserve too", room="window - fixed"),
    _history("fixed_forgotten", "subtract it too", room="window - reserve"),
    _history("never_full", "fills the window exactly still fits", fits="messages[i] < room"),
    _history("newest_first", "positions come back oldest first", add="kept.append(i)"),
    _history("sizes", "give their positions", add="kept.insert(0, messages[i])"),
    _history("reserve_is_headroom", "it is not headroom", answer="kept, room + reserve"),
    _history("used_for_headroom", "headroom is the window minus it", answer="kept, window - room"),
    _history("one_based", "positions start at 0", add="kept.insert(0, i + 1)"),
]  # fmt: skip
