"""Inputs of lesson 06's checks, and comparisons that know what the usual mistakes give."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import torch

from ..labs import sampling as lab
from .core import CheckFailed

TOLERANCE = 1e-5  # probabilities and logits in float32; other orders of the sums differ by less
WORDS = (
    "red",
    "read",
    "ready",
    "rain",
    "green",
    "grey",
    "blue",
    "black",
    "white",
    "yes",
    "yesterday",
    "no",
    "not",
    "never",
)
PROMPTS = (
    "Once upon a time, there was",
    "The cat sat on the",
    "One day, Tom found a",
    "def add(a, b):",
    "Lily was very",
)


def logits(rng, size: int) -> torch.Tensor:
    """Random logits (size), no two nearly equal."""
    steps = [0.35 * i + rng.uniform(-0.1, 0.1) for i in range(size)]
    scale = min(1.0, 12 / (0.35 * size))
    rng.shuffle(steps)
    return torch.tensor([(step - 0.35 * size / 2) * scale for step in steps])


def telling_logits(rng, size: int, p: float) -> torch.Tensor:
    """Random logits (size) on which no two ways to get the running sum wrong keep the same tokens."""
    while True:
        row = logits(rng, size)
        kept = [{tuple(mask.tolist()) for mask in masks} for masks, _ in _wrong_sums(row, safe_p(row, p))]
        if len(set().union(*kept)) == sum(map(len, kept)):
            return row


def safe_p(row: torch.Tensor, p: float) -> float:
    """A p near the wanted one that no sum of probabilities comes close to: rounding then decides nothing."""
    sums = row.double().softmax(-1).sort(descending=True).values.cumsum(-1)
    sums = torch.cat([torch.zeros(1, dtype=torch.float64), sums])
    above = int((sums < p).sum())
    return float((sums[above - 1] + sums[min(above, len(sums) - 1)]) / 2)


def model_logits(rng) -> torch.Tensor:
    """The embedded model's logits (vocabulary) after one of a few prompts."""
    model, tokenizer = _model()
    ids, _ = lab.encode(tokenizer, [rng.choice(PROMPTS)])
    return lab.next_logits(model, ids)[0]


def vector(got, size: int) -> torch.Tensor:
    """The answer as a float tensor (size): tensors, arrays and lists of numbers, fractions too, will do."""
    if isinstance(got, (list, tuple)):
        got = [float(x) if isinstance(x, Fraction) else x for x in got]
    try:
        made = torch.as_tensor(got).detach().float()
    except (TypeError, ValueError, RuntimeError):
        raise CheckFailed("The answer must be a row of numbers.", expected=f"a tensor ({size},)", got=got) from None
    if tuple(made.shape) != (size,):
        raise CheckFailed(
            "The shape is off.", expected=(size,), got=tuple(made.shape), reason="one number for each token"
        )
    return made


def close(got: torch.Tensor, want: torch.Tensor, what: str, mistakes=()) -> None:
    """CheckFailed unless the values agree; the first mistake that gives what came is the likely reason."""
    if _alike(got, want):
        return
    reason = next((why for value, why in mistakes if value is not None and _alike(got, value)), None)
    raise CheckFailed(what, expected=_shown(want), got=_shown(got), reason=reason)


def unchanged(before: torch.Tensor, after: torch.Tensor) -> None:
    """CheckFailed when the function changed its argument."""
    if not torch.equal(before, after):
        raise CheckFailed(
            "The logits that came in were changed in place.", reason="the caller still needs them: make a new tensor"
        )


def compare_temperature(answer, row: torch.Tensor, temperature: float) -> None:
    given = row.clone()
    got = vector(answer(given, temperature), len(row))
    unchanged(row, given)
    want = lab.temperature(row.double(), temperature).softmax(-1).float()
    name = f"Probabilities of {len(row)} tokens at temperature {temperature:g}."
    if temperature == 0:
        equal = (row == row.max()).float()
        close(got, want, name, [
            (equal / equal.sum(), "equal logits share the probability: greedy takes one of them, the first"),
            (row.softmax(-1), "that is temperature 1: 0 means that the largest logit takes all"),
            (torch.full_like(row, torch.nan), "division by a temperature of 0: greedy needs a case of its own"),
            (torch.full_like(row, 1 / len(row)), "all tokens alike: 0 is the coldest setting, not the hottest"),
        ])  # fmt: skip
        return
    plain = row.softmax(-1)
    if torch.isnan(got).any():
        reason = "exp overflows or all of them underflow: subtract the largest logit first"
        raise CheckFailed(name, expected=_shown(want), got=_shown(got), reason=reason)
    mistakes = [
        (plain, "the temperature does nothing: dividing all probabilities by one number is undone when they are made to "
                "sum to 1. Divide the logits"),
        ((row * temperature).softmax(-1), "the logits were multiplied by the temperature (or the probabilities raised to it): divide"),
        ((plain / temperature).softmax(-1), "a softmax of probabilities: the temperature divides the logits, before the "
                                            "only softmax"),
        (plain / temperature, "the probabilities were divided: they no longer sum to 1"),
        ((row / temperature).exp(), "they do not sum to 1: divide by their sum"),
        ((row / temperature).log_softmax(-1), "those are logarithms of probabilities"),
        (row / temperature, "those are logits: the softmax is missing"),
    ] if temperature != 1 else []  # fmt: skip
    close(got, want, name, mistakes)


def compare_top_p(answer, row: torch.Tensor, p: float) -> None:
    given = row.clone()
    got = vector(answer(given, p), len(row))
    unchanged(row, given)
    want = lab.top_p(row[None], p)[0]
    stays, wanted = got > lab.NEVER, want > lab.NEVER
    name = f"top-p with p = {p:.3g} on probabilities {_shown(row.softmax(-1))}."
    if torch.isnan(got).any():
        raise CheckFailed(name, expected=_shown(want), got=_shown(got), reason="nan in the answer")
    if not stays.any():
        reason = "no token is left: one always stays, however small p is"
        raise CheckFailed(name, expected=_shown(want), got=_shown(got), reason=reason)
    dropped = ~wanted
    if dropped.any() and stays[dropped].all() and (got[dropped] == 0).all() and (row[dropped] != 0).any():
        reason = "a logit of 0 is no probability of 0: what goes must become -inf"
        raise CheckFailed(name, expected=_shown(want), got=_shown(got), reason=reason)
    if not _alike(got[stays], row[stays]):
        reason = "the logits that stay must stay as they were (not probabilities, not rescaled)"
        raise CheckFailed(name, expected=_shown(want), got=_shown(got), reason=reason)
    if torch.equal(got[stays].sort().values, want[wanted].sort().values):
        return  # of equal logits any may stay
    raise CheckFailed(name, expected=_shown(want), got=_shown(got), reason=_why_top_p(row, p, stays, wanted))


def _why_top_p(row, p, stays, wanted) -> str | None:
    q = row.softmax(-1)
    ours, own = int(stays.sum()), int(wanted.sum())
    if torch.equal(stays, (row >= row[wanted].min())) and ours > own:
        return "all tokens as likely as the last one stayed: of equal ones only as many as p needs"
    if any(torch.equal(stays, _and_best(row, kept)) for kept in (q >= p, q > p, q > 1 - p)):
        return "each probability was compared with p alone: it is their running sum that counts"
    for masks, reason in _wrong_sums(row, p):
        if any(torch.equal(stays, kept) for kept in masks):
            return reason
    if ours == own - 1 and not (stays & ~wanted).any():
        return "the token that crosses p is missing: it stays, or the sum does not reach p"
    if ours == own + 1 and not (wanted & ~stays).any():
        return "one token too many: the sum had reached p before it"
    return None


def _wrong_sums(row: torch.Tensor, p: float):
    """(masks, reason) of running sums gone wrong."""
    falling, places = row.sort(descending=True)
    rising, up = row.sort()
    yield (
        list(_running(row.softmax(-1), p)),
        "the sum runs in the order of the vocabulary: sort from the likeliest down first",
    )
    yield (
        list(_running(falling.softmax(-1), p)),
        "the mask stands in sorted order: bring it back to the places in the vocabulary",
    )
    yield (
        [_at(places, kept) for kept in _running(falling, p)],
        "the running sum is over logits: it belongs over probabilities",
    )
    yield [_at(up, kept) for kept in _running(rising.softmax(-1), p)], "sorted the wrong way: the likeliest come first"


def _running(values: torch.Tensor, p: float):
    """Masks that running sums over `values` give: the crossing one in or out, the first one forced or not."""
    for kept in (values.cumsum(-1) - values < p, values.cumsum(-1) <= p, values.cumsum(-1) < p):
        yield kept
        forced = kept.clone()
        forced[0] = True
        yield forced


def compare_penalty(answer, row: torch.Tensor, seen: list[int], penalty: float) -> None:
    given, text = row.clone(), list(seen)
    got = vector(answer(given, text, penalty), len(row))
    unchanged(row, given)
    if text != seen:
        raise CheckFailed("The list of seen tokens was changed.", reason="the caller still needs it: copy it")
    ids = torch.tensor(seen, dtype=torch.long)
    want = lab.repetition_penalty(row[None], ids[None], penalty)[0] if seen else row.clone()

    def at(places, values):
        return row.clone().scatter(0, places, values)

    once = torch.unique(ids)
    twice = row.clone()
    for i in seen:
        twice[i] = twice[i] / penalty if twice[i] > 0 else twice[i] * penalty
    others = torch.ones_like(row, dtype=torch.bool)
    others[once] = False
    every = torch.where(row < 0, row * penalty, row / penalty)
    mistakes = [
        (at(once, row[once] / penalty), "negative logits were divided too: that makes their tokens likelier. Multiply them"),
        (at(once, row[once] * penalty), "positive logits were multiplied: that makes their tokens likelier. Divide them"),
        (at(once, row[once] - penalty), "the penalty was subtracted (that is a presence penalty): here it divides or multiplies"),
        (twice, "a token seen several times was changed several times: once is enough"),
        (torch.where(others, every, row), "the tokens that were NOT seen were changed"),
        (every, "all tokens were changed: only those in the text"),
        (at(once, torch.full((len(once),), lab.NEVER)), "seen tokens were ruled out: they become less likely, no more"),
        (at(ids[-1:], every[ids[-1:]]) if seen else None, "only the last token was changed: all tokens of the text count"),
        (row, "nothing was changed"),
    ]  # fmt: skip
    close(
        got,
        want,
        f"Logits {_shown(row)} after the tokens {seen}, penalty {penalty:.3g}.",
        mistakes if penalty != 1 else (),
    )


def answers(rng) -> list[str]:
    """Four possible answers; the second is the beginning of the first."""
    first, second = rng.choice([("ready", "read"), ("yesterday", "yes"), ("not", "no")])
    rest = [word for word in WORDS if not first.startswith(word) and not word.startswith(second)]
    return [first, second, *rng.sample(rest, 2)]


def vocabulary(rng, words: list[str]) -> tuple[list[str], int]:
    """Tokens for these answers and beside them, shuffled, and the id of the end token. Two tokens have no text."""
    pieces = {letter for word in words for letter in word} | {"z", "#"}
    for word in words:
        cut = rng.randint(1, len(word) - 1)
        pieces |= {word[:cut], word[cut:], word[cut:] + "s", word + "ing", word, word[:2]}
        pieces |= {letter + "#" for letter in word}  # begins like the answer and goes on otherwise
    tokens = [*sorted(pieces), "", ""]
    rng.shuffle(tokens)
    return tokens, tokens.index("")


def compare_allowed(answer, tokens: list[str], end: int, words: list[str], written: str) -> None:
    given = list(tokens), list(words)
    got = answer(given[0], end, given[1], written)
    if given != (tokens, words):
        raise CheckFailed("The lists that came in were changed.", reason="the caller still needs them: make a new list")
    want = allowed_tokens(tokens, end, words, written)
    name = f"Answers {words}, written so far {written!r}."
    try:
        ids = sorted(int(i) for i in got)
    except (TypeError, ValueError, OverflowError):  # the last: infinity
        raise CheckFailed(name, expected="a list of token ids", got=got) from None
    if ids == want:
        return
    raise CheckFailed(name, expected=_named(want, tokens, end), got=_named(ids, tokens, end),
                      reason=_why_allowed(ids, tokens, end, words, written))  # fmt: skip


def allowed_tokens(tokens, end, choices, written) -> list[int]:
    """The ids that keep `written` the beginning of a choice, and `end` when it is a whole one."""
    fits = [i for i, t in enumerate(tokens) if t and any(c.startswith(written + t) for c in choices)]
    return sorted(fits + ([end] if written in choices else []))


def _why_allowed(ids, tokens, end, words, written) -> str | None:
    want = set(allowed_tokens(tokens, end, words, written))
    more, less = set(ids) - want, want - set(ids)
    rests = [word[len(written) :] for word in words if word.startswith(written)]

    def those(test) -> bool:
        """Whether the answer is what `test` on the tokens with text would give, the end aside."""
        return set(ids) - {end} == {i for i, token in enumerate(tokens) if token and test(token)}

    if len(ids) != len(set(ids)):
        return "an id stands there more than once"
    if any(tokens[i] == "" and i != end for i in more):
        return "a token without text was allowed: it changes nothing, so it could come forever"
    if end in more:
        return "the end was allowed before an answer was complete"
    if end in less:
        return "the answer is complete, so the end must be allowed, even where another answer goes on"
    if written in words and set(ids) == {end}:
        return "another answer goes on from here: not only the end is allowed"
    if those(lambda token: any(word.startswith(token) for word in words)):
        return "the text written so far is ignored: look for answers that begin with written + token"
    if those(lambda token: any(rest[:1] == token[:1] for rest in rests)):
        return "only the first character was looked at: the whole token must fit"
    if those(lambda token: any(token in rest for rest in rests)):
        return "the token stands somewhere inside the answer: it must come next"
    if those(lambda token: token in rests):
        return "only tokens that finish the answer were allowed: a part of it is enough"
    if any(tokens[i].startswith(rest) for i in more for rest in rests if rest):
        return "a token runs past the end of the answer"
    return None


def compare_written(answer, rng) -> None:
    """Six texts by the embedded model under the masks of the answer: each must be one of the choices."""
    model, tokenizer = _model()
    size, end = model.config.vocab_size, tokenizer.eos_token_id
    tokens = ["" if i in tokenizer.all_special_ids else tokenizer.decode([i]) for i in range(size)]
    words = [" " + word for word in answers(rng)]
    ids, mask = lab.encode(tokenizer, [rng.choice(PROMPTS)])
    known: dict[str, torch.Tensor] = {}

    def allow(row, written):
        text = "".join(tokens[i] for i in written)
        if text not in known:
            compare_allowed(answer, tokens, end, words, text)
            known[text] = torch.zeros(size, dtype=torch.bool).index_fill(
                0, torch.tensor(allowed_tokens(tokens, end, words, text)), True
            )
        return known[text]

    for temperature in (0, 1.0, 2.0):
        [made] = lab.write(model, ids, mask, 14, [lab.Setting("", temperature)], rng.randrange(1000), end, allow)
        text = "".join(tokens[i] for i in made.ids)
        if text not in words:
            raise CheckFailed("The model wrote something else.", expected=f"one of {words}", got=text)


@cache
def _model():
    """The small embedded model on the processor: what a check says never depends on the machine."""
    from ..models import load

    return load("mini", device="cpu", dtype=torch.float32)


def _and_best(row: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    return kept | (row == row.max())


def _at(places: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(kept).scatter(0, places, kept)


def _alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and torch.allclose(a, b.to(a.dtype), atol=TOLERANCE, rtol=1e-4, equal_nan=True)


def _shown(row: torch.Tensor) -> list:
    return [round(x, 3) for x in row.tolist()[:9]] + (["..."] if len(row) > 9 else [])


def _named(ids: list[int], tokens: list[str], end: int) -> list[str]:
    return ["end" if i == end else repr(tokens[i]) if 0 <= i < len(tokens) else f"id {i}" for i in ids[:12]]
