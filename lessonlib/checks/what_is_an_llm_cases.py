"""Inputs and comparisons of lesson 02's checks. A comparison knows the values that the usual mistakes make."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from fractions import Fraction
from functools import cache

import torch

from ..labs import what_is_an_llm as lab
from .core import CheckFailed, expect, same

VOCABULARY, STOP = 11, 10
REL = 2e-4  # answers in 32 bits pass, also of logits as large as 900
TOLERANCE = 1e-5


# Inputs, made from the check's own random numbers.


@cache
def model():
    """The embedded model, in float32 on the processor: what a check says never depends on the machine."""
    from ..models import load

    return load("mini", device="cpu", dtype=torch.float32)[0]


def some_ids(rng, count: int) -> list[int]:
    """Token ids that are no special ones."""
    return [rng.randrange(6, 4096) for _ in range(count)]


def some_logits(rng, count: int) -> list[float]:
    """Different logits in no order, the largest clearly so."""
    logits = [x / 7 for x in rng.sample(range(-40, 30), count)]
    place = rng.randrange(1, count)
    logits[place] = 5.0 + rng.random()
    return logits


class MadeUp:
    """A made-up model: its logits depend on the whole text, and it remembers what it was asked.

    With `stops_after` n it says STOP once n tokens were added to the first text that it saw; before that, never."""

    def __init__(self, rng, stops_after: int | None = None):
        self.seed, self.stops_after = rng.randrange(10**6), stops_after
        self.asked: list[list[int]] = []

    def logits(self, ids: list[int], prompt: int) -> list[float]:
        """The logits after `ids`, of which `prompt` were there at first."""
        own = random.Random(f"{self.seed}/{ids}")
        logits = [own.uniform(-3, 3) for _ in range(VOCABULARY)]
        now = self.stops_after is not None and len(ids) - prompt >= self.stops_after
        logits[STOP] = 9.0 if now else -2.0 - own.random()
        return logits

    def ask(self, prompt: int):
        """The function that a learner's loop gets."""
        self.asked = []

        def next_logits(ids):
            ids = [int(i) for i in ids]
            self.asked.append(ids)
            return self.logits(ids, prompt)

        return next_logits

    def write(self, ids: list[int], new: int, best=max, context=lambda text: text, ends=True) -> list[int]:
        """The right continuation, or that of a mistake: `best` chooses, `context` is what is asked with."""
        text = list(ids)
        for _ in range(new):
            logits = self.logits(list(context(text)), len(ids))
            text.append(best(range(VOCABULARY), key=lambda i: logits[i]))
            if ends and text[-1] == STOP:
                break
        return text[len(ids) :]


def a_text(rng, length: int) -> tuple[list[list[float]], list[int], int]:
    """Logits for each of `length` tokens, the tokens, and the bytes of those that are predicted."""
    vocabulary = 7
    logits = [[rng.uniform(-3, 3) for _ in range(vocabulary)] for _ in range(length)]
    ids = [rng.randrange(vocabulary) for _ in range(length)]
    return logits, ids, (length - 1) * 3 + rng.randint(1, 5)


def a_layer(rng, vocabulary: int, width: int) -> tuple[torch.Tensor, torch.Tensor, int, float]:
    """An output matrix (vocabulary, width), what comes in (width), the right token and a step size. The model gives the right
    token some probability: at none, two mistakes make the same weights."""
    generator = torch.Generator().manual_seed(rng.randrange(2**31))
    weights = torch.randn(vocabulary, width, generator=generator)
    hidden = torch.randn(width, generator=generator)
    p = (weights @ hidden).softmax(0).tolist()
    return weights, hidden, rng.choice([i for i in range(vocabulary) if p[i] > 0.02]), rng.choice([0.1, 0.3, 0.5])


# What came back, in the form that is compared.


def _plain(x):
    """A number of NumPy or torch, a fraction or a decimal as a plain one; what is none stays as it is."""
    x = x.item() if hasattr(x, "item") else x
    return float(x) if type(x) in (Decimal, Fraction) else x


def pairs_of(got, count: int) -> list[tuple[int, float]]:
    """(id, probability) pairs; CheckFailed when the answer is something else."""
    what = f"The answer must be a list of {count} pairs (token id, probability)."
    if not isinstance(got, (list, tuple)) or len(got) != count:
        size = f", {len(got)} long" if isinstance(got, (list, tuple)) else ""
        raise CheckFailed(what, expected=f"a list of {count} pairs", got=f"{type(got).__name__}{size}")
    pairs = []
    for one in got:
        plain = [_plain(x) for x in one] if isinstance(one, (list, tuple)) else []
        if len(plain) != 2 or not all(type(x) in (int, float) for x in plain):
            raise CheckFailed(what, expected="a pair such as (17, 0.25)", got=one)
        pairs.append((plain[0], plain[1]))
    return pairs


def two_numbers(got) -> list[float]:
    """[nats a token, bits a byte]; CheckFailed when the answer is something else."""
    got = got.tolist() if hasattr(got, "tolist") else got
    plain = [_plain(x) for x in got] if isinstance(got, (list, tuple)) else []
    if len(plain) != 2 or not all(type(x) in (int, float) for x in plain):
        raise CheckFailed("The answer must be a pair of numbers.", expected="(nats a token, bits a byte)", got=got)
    return plain


def matrix_of(got, weights: torch.Tensor) -> torch.Tensor:
    """The new weights as a float32 tensor of the right shape; CheckFailed otherwise."""
    try:
        new = torch.as_tensor(got, dtype=torch.float32).detach()
    except (TypeError, ValueError, RuntimeError):
        raise CheckFailed(
            "The answer must be the new weights.", expected=f"a tensor {tuple(weights.shape)}", got=type(got).__name__
        ) from None
    if new.shape != weights.shape:
        turned = new.shape == weights.shape[::-1]
        raise CheckFailed(
            "The new weights have another shape than the old ones.",
            expected=tuple(weights.shape),
            got=tuple(new.shape),
            reason="it is turned: row i belongs to token i, so outer(p - one_hot, hidden), in this order"
            if turned
            else None,
        )
    return new


# Comparisons.


def compare_candidates(answer, logits: list[float], count: int) -> None:
    """Right pairs; each usual mistake recognised by the pairs it makes. The logits must stay as they were."""
    given = list(logits)
    try:
        got = pairs_of(answer(given, count), count)
    except OverflowError:
        got = [(0, math.nan)]
    what = f"The {count} likeliest of {len(logits)} tokens with logits {[round(x, 2) for x in logits]}."
    if any(math.isnan(p) or math.isinf(p) for _, p in got):
        raise CheckFailed(
            what, expected="probabilities", got="a number too large for the machine",
            reason=f"e to the power of {max(logits):.0f} overflows: take the largest logit off all of them first",
        )  # fmt: skip
    if given != logits:
        raise CheckFailed(what, reason="your function changed the list of logits: leave it as it is")
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))[:count]
    low = sorted(range(len(logits)), key=lambda i: (logits[i], i))[:count]

    def pairs(ids, values):
        return [[i, values[i]] for i in ids]

    def shared(values, ids=None):
        total = sum(values if ids is None else [values[i] for i in ids])
        return [v / total if total else math.nan for v in values]

    right = shared(powers)
    twos = shared([2.0 ** (x - top) for x in logits])
    raw = [math.exp(min(x, 700)) for x in logits]
    mistakes = [
        (pairs(order, shared(powers, order)), "the probabilities are shared among the shown tokens only: the sum runs "
         "over ALL tokens"),
        (pairs(order, shared(logits)), "the logits are divided by their sum: take e to the power of each first"),
        (pairs(order, raw), "these are powers, not shares: divide by the sum of all"),
        (pairs(order, powers), "these are powers, not shares: divide by the sum of all"),
        (pairs(order, logits), "these are logits: turn them into probabilities"),
        (pairs(order, twos), "these are powers of 2: softmax takes powers of e"),
        (pairs(low, right), "these are the UNlikeliest: the largest probability comes first"),
        (pairs(order[::-1], right), "the order is upside down: the largest probability comes first"),
        (pairs(order, [100 * p for p in right]), "these are percent: a probability lies between 0 and 1"),
        ([[n, right[i]] for n, i in enumerate(order)], "these are places in the ranking, not token ids"),
        ([[i + 1, right[i]] for i in order], "ids start at 0: the first logit belongs to token 0"),
        ([[right[i], i] for i in order], "each pair is turned: the id comes first, then its probability"),
        (pairs(range(count), right), "these are the first tokens of the list, not the likeliest: sort by logit"),
    ]  # fmt: skip
    expect([list(p) for p in got], pairs(order, right), what, mistakes=mistakes, rel=REL)


def compare_writing(answer, made_up: MadeUp, ids: list[int], new: int) -> None:
    """The right continuation; mistakes are recognised by what they write, and by what the model was asked."""
    given, prompt = list(ids), len(ids)
    got = answer(made_up.ask(prompt), given, new, STOP)
    what = f"Greedy writing of {new} tokens after {ids}, ending at {STOP}."
    if given != ids:
        raise CheckFailed(
            what, expected=ids, got=given, reason="your function changed `ids`: work on a copy, list(ids)"
        )
    got = got.tolist() if hasattr(got, "tolist") else got
    got = [int(i) if hasattr(i, "item") else i for i in got] if isinstance(got, (list, tuple)) else got
    want = made_up.write(ids, new)
    if same(got, want):
        return
    write, stopped = made_up.write, bool(want) and want[-1] == STOP
    mistakes = [
        (ids + want, "the answer holds the text that was given: return only the new ids"),
        (write(ids, new, context=lambda text: text[:prompt]), "the model is asked with the same text each time: it must "
         "see what was just written"),
        (write(ids, new, context=lambda text: text[-1:]), "the model sees only the newest token: it needs the whole text"),
        (write(ids, new, context=lambda text: text[prompt:]), "the model does not see the given text: it belongs in front"),
        (write(ids, new, best=min), "that is the least likely token each time: take the largest logit"),
        (write(ids, new + 1), "one token too many"),
        (want[:-1], "the stop token is missing: it stays as the last one" if stopped else "one token is missing"),
        (write(ids, new, ends=False), "it does not end: nothing comes after the stop token"),
    ]  # fmt: skip
    if not isinstance(got, list):
        raise CheckFailed(what, expected=want, got=got, reason="return a list of token ids")
    if any(type(i) is float for i in got):
        raise CheckFailed(
            what, expected=want, got=got, reason="these are logits: a token is the place of the largest one"
        )
    expect(got, want, what, mistakes=mistakes)


def compare_loss(answer, logits: list[list[float]], ids: list[int], size: int) -> None:
    """(nats a token, bits a byte); each usual mistake recognised by its number."""
    rows, given = [list(row) for row in logits], list(ids)
    try:
        nats, bits = two_numbers(answer(rows, given, size))
    except OverflowError:
        nats = bits = math.nan
    what = f"The loss of {len(ids)} tokens, {len(ids) - 1} of them predicted, {size} bytes."
    if math.isnan(nats) or math.isinf(nats):
        raise CheckFailed(
            what, expected="two numbers", got=(nats, bits),
            reason="e to the power of a large logit overflows: take the largest of each row off first",
        )  # fmt: skip
    if rows != logits or given != ids:
        raise CheckFailed(what, reason="your function changed its inputs: leave them as they are")
    costs = [_costs(row) for row in logits]
    count, ln2 = len(ids) - 1, math.log(2)
    right = [costs[i][ids[i + 1]] for i in range(count)]
    total = sum(right)
    itself = [costs[i][ids[i]] for i in range(len(ids))]
    behind = [costs[i + 1][ids[i]] for i in range(count)]
    mean = sum(math.exp(-c) for c in right) / count
    mistakes = [
        (sum(itself) / len(itself), "each row is compared with its own token: logits[i] predicts ids[i + 1]"),
        (sum(itself[:-1]) / count, "each row is compared with its own token: logits[i] predicts ids[i + 1]"),
        (sum(itself[1:]) / count, "each row is compared with its own token: logits[i] predicts ids[i + 1]"),
        (sum(behind) / count, "the shift goes the wrong way: logits[i] predicts ids[i + 1]"),
        (total, "that is the sum of all tokens: the first number is the mean of one"),
        (total / len(ids), "divided by all tokens: the first one is never predicted, so divide by one less"),
        (total / count / ln2, "that is in bits: the first number is in nats, the natural logarithm"),
        (-total / count, "the sign is off: a loss is -ln p, never below 0"),
        (-math.log(mean), "the probabilities are averaged before the logarithm: take -ln of each, then the mean"),
        (mean, "that is the mean probability: the loss is -ln of each"),
        (sum(-logits[i][ids[i + 1]] for i in range(count)) / count, "that is the bare logit: softmax is missing"),
    ]
    expect(nats, total / count, f"{what} Nats a token.", mistakes=mistakes, rel=REL)
    wrong = [
        (total / size, "that is nats a byte: divide by ln 2 for bits"),
        (total * ln2 / size, "nats are multiplied by ln 2: a bit is smaller than a nat, so divide"),
        (total / count / ln2 / size, "that is the mean token over all bytes: take the sum of all tokens"),
        (total / count / ln2, "that is bits a token: the second number is bits a byte"),
        (total / ln2, "those are the bits of the whole text: divide by its bytes"),
        (8 * total / ln2 / size, "the size is in bytes already"),
        (total / ln2 / len(ids), "divided by tokens: the second number is bits a byte"),
    ]
    expect(bits, total / ln2 / size, f"{what} Bits a byte.", mistakes=wrong, rel=REL)


def compare_step(answer, weights: torch.Tensor, hidden: torch.Tensor, right: int, rate: float) -> None:
    """New weights as autograd's step makes them; mistakes are recognised by the weights they make."""
    given, into = weights.clone(), hidden.clone()
    new = matrix_of(answer(given, into, right, rate), weights)
    what = f"One step of size {rate} for a layer {tuple(weights.shape)}, right token {right}."
    if not (torch.equal(given, weights) and torch.equal(into, hidden)):
        raise CheckFailed(what, reason="your function changed its inputs in place: return new weights")
    wanted = weights.clone().requires_grad_()
    torch.nn.functional.cross_entropy((wanted @ hidden)[None], torch.tensor([right])).backward()
    slope = wanted.grad

    def close(other):
        return torch.allclose(new, other, atol=TOLERANCE, rtol=1e-4)

    if close(weights - rate * slope):
        return
    logits = weights @ hidden
    p, one = lab.softmax(logits), torch.zeros(len(weights))
    one[right] = 1
    alone = torch.zeros_like(weights)
    alone[right] = slope[right]
    mistakes = [
        (weights, "nothing changed: return weights minus rate x gradient"),
        (slope, "that is the gradient: take rate x gradient off the weights"),
        (weights + rate * slope, "the step goes up the loss: subtract rate x gradient"),
        (weights - slope, "the step size is missing: rate x gradient"),
        (weights - rate * torch.outer(p, hidden), "the right token is missing: the gradient at the logits is p, minus 1 "
         "there"),
        (weights + rate * torch.outer(one, hidden), "only the right token is pulled up: the others must go down by p"),
        (weights - rate * torch.outer(logits - one, hidden), "these are logits: the gradient has probabilities, so "
         "softmax first"),
        (weights - rate * alone, "only the row of the right token changed: every token's row has a gradient"),
        (weights - rate * (p - one)[:, None], "`hidden` is missing: each weight's gradient is multiplied by what came in"),
        (weights - rate * slope / len(weights), "divided by the size of the vocabulary: this is one token, not a mean"),
    ]  # fmt: skip
    reason = next((why for value, why in mistakes if close(value)), None)
    gap = (new - (weights - rate * slope)).abs().max().item()
    raise CheckFailed(what, expected=f"largest difference below {TOLERANCE}", got=f"{gap:.4g}", reason=reason)


def _costs(row: list[float]) -> list[float]:
    """-ln of the softmax of each entry."""
    top = max(row)
    total = math.log(sum(math.exp(x - top) for x in row)) + top
    return [total - x for x in row]
