"""Checks of lesson 02: the likeliest next tokens, writing as a loop, the loss of a text, one step of learning."""

from __future__ import annotations

import math

import torch

from ..labs import what_is_an_llm as lab
from . import what_is_an_llm_cases as cases
from .core import CheckFailed, check_for, expect, property_of


@check_for(
    "l02_e1",
    title="The likeliest next tokens",
    minutes=8,
    hints=[
        "Two jobs: turn ALL logits into probabilities, then pick. A probability is a share of one sum over the whole list.",
        "Softmax: subtract the largest logit from each, take math.exp of each, divide each by the sum of all of them.",
        "order = sorted(range(len(logits)), key=lambda i: -logits[i]); then [(i, p[i]) for i in order[:count]].",
    ],
)
def check_candidates(answer, rng):
    """A handful of logits, then large ones and a low one that overflow a careless softmax."""
    cases.compare_candidates(answer, cases.some_logits(rng, 9), 4)
    cases.compare_candidates(answer, [*(900 + x for x in cases.some_logits(rng, 7)), -50.0], 3)


@property_of("l02_e1", "any number of logits, any number of candidates")
def candidates_any(answer, rng):
    """Random sizes, very negative logits too."""
    for _ in range(6):
        size = rng.randint(3, 40)
        logits = [x - rng.choice([0, 0, 40]) for x in cases.some_logits(rng, size)]
        cases.compare_candidates(answer, logits, rng.randint(1, size))


@property_of("l02_e1", "all probabilities together are 1, and adding a constant to all logits changes none")
def candidates_whole(answer, rng):
    """What makes it a distribution."""
    logits = cases.some_logits(rng, 12)
    once = cases.pairs_of(answer(list(logits), 12), 12)
    expect(sum(p for _, p in once), 1.0, "The probabilities of all tokens must add up to 1.", rel=1e-5)
    moved = cases.pairs_of(answer([x + 3.5 for x in logits], 12), 12)
    expect([list(p) for p in moved], [list(p) for p in once], "Only differences of logits count.", rel=1e-5)


@property_of("l02_e1", "equal logits: the lower id comes first")
def candidates_ties(answer, rng):
    """Ties are broken by the id."""
    low, high = sorted(rng.sample(range(8), 2))
    logits = [0.0] * 8
    logits[low] = logits[high] = 2.5
    first = [i for i, _ in cases.pairs_of(answer(list(logits), 3), 3)]
    rest = next(i for i in range(8) if i not in (low, high))
    expect(first, [low, high, rest], "Of tokens with equal logits the lower id comes first.")


@property_of("l02_e1", "the logits of a real model give what torch gives")
def candidates_of_a_model(answer, rng):
    """4,096 logits of the embedded model."""
    logits = lab.next_logits(cases.model(), cases.some_ids(rng, 6))
    got = cases.pairs_of(answer(logits.tolist(), 5), 5)
    best = logits.softmax(-1).topk(5)
    want = [[i, p] for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)]
    expect([list(p) for p in got], want, "The five likeliest tokens of a real model.", rel=1e-4)


@check_for(
    "l02_e2",
    title="Writing as a loop",
    minutes=8,
    hints=[
        "Each round: ask for the logits of everything written so far, choose, append. What goes in next time?",
        "Work on a copy, text = list(ids), append every new id to it, and call next_logits(text) each time.",
        "best = max(range(len(logits)), key=lambda i: logits[i]); text.append(best); if best == stop: break; at the end "
        "return text[len(ids):].",
    ],
)
def check_generate(answer, rng):
    """A made-up model whose logits depend on the whole text; then one that says stop."""
    for size, new in ((3, 6), (1, 4)):
        cases.compare_writing(answer, cases.MadeUp(rng), [rng.randrange(cases.VOCABULARY) for _ in range(size)], new)
    cases.compare_writing(answer, cases.MadeUp(rng, stops_after=2), [1, 2], 6)


@property_of("l02_e2", "other models, texts and lengths, no token at all included")
def generate_any(answer, rng):
    """Random cases."""
    for _ in range(5):
        ids = [rng.randrange(cases.VOCABULARY) for _ in range(rng.randint(1, 8))]
        cases.compare_writing(answer, cases.MadeUp(rng), ids, rng.choice([0, 1, 2, 7]))


@property_of("l02_e2", "it ends after the stop token, which stays, wherever it comes")
def generate_stops(answer, rng):
    """The first, a middle and the last round."""
    for after in (0, rng.randint(1, 3), 4):
        cases.compare_writing(answer, cases.MadeUp(rng, stops_after=after), [3, 1], 5)


@property_of("l02_e2", "a real model writes what transformers' own generate writes")
def generate_like_transformers(answer, rng):
    """The embedded model, greedy."""
    model, ids = cases.model(), cases.some_ids(rng, 5)
    got = answer(lambda text: lab.next_logits(model, [int(i) for i in text]).tolist(), list(ids), 8, 0)
    expect(list(got), lab.generate(model, ids, 8), "Greedy writing after the same text.")


@check_for(
    "l02_e3",
    title="The loss of a text",
    minutes=10,
    hints=[
        "Who predicts whom? logits[i] was said after ids[0] .. ids[i], so it is about ids[i + 1].",
        "For each i below len(ids) - 1: -ln of the softmax of logits[i] at ids[i + 1]. The first number is their mean.",
        "For the second: sum of all nats / math.log(2) gives bits of the whole text; divide by size. -ln p of a token is "
        "math.log(sum of exp(x - top)) + top - logit.",
    ],
)
def check_measure(answer, rng):
    """Two texts over a small vocabulary; each usual mistake recognised by its number."""
    for length in (6, 9):
        cases.compare_loss(answer, *cases.a_text(rng, length))


@property_of("l02_e3", "any text, logits of any height")
def measure_any(answer, rng):
    """Random texts; a constant added to the logits changes nothing, nor a token that is out of the question."""
    for height in (0, 800, -800):
        logits, ids, size = cases.a_text(rng, rng.randint(3, 12))
        cases.compare_loss(answer, [[*(x + height for x in row), height - 900.0] for row in logits], ids, size)


@property_of("l02_e3", "a model that knows nothing pays ln V nats a token")
def measure_uniform(answer, rng):
    """Equal logits."""
    size, length = rng.randint(5, 60), rng.randint(3, 9)
    ids = [rng.randrange(size) for _ in range(length)]
    nats, _ = cases.two_numbers(answer([[1.5] * size for _ in ids], ids, 4 * length))
    expect(nats, math.log(size), f"With {size} equally likely tokens each one costs ln {size} nats.", rel=1e-5)


@property_of("l02_e3", "twice the bytes for the same text: half the bits a byte, the same nats a token")
def measure_bytes(answer, rng):
    """What depends on the size."""
    logits, ids, size = cases.a_text(rng, 8)
    once = cases.two_numbers(answer([list(row) for row in logits], list(ids), size))
    twice = cases.two_numbers(answer([list(row) for row in logits], list(ids), 2 * size))
    expect(twice[0], once[0], "Nats a token do not depend on bytes.", rel=1e-6)
    expect(twice[1], once[1] / 2, "Bits a byte are shared among the bytes.", rel=1e-6)


@property_of("l02_e3", "the loss that transformers computes for a real model")
def measure_like_transformers(answer, rng):
    """The embedded model over random tokens."""
    model, ids = cases.model(), cases.some_ids(rng, 7)
    row = torch.tensor([ids])
    with torch.no_grad():
        out = model(input_ids=row, labels=row, use_cache=False)
    nats, _ = cases.two_numbers(answer(out.logits[0].tolist(), list(ids), 20))
    expect(nats, out.loss.item(), "The loss of a text by transformers.", rel=1e-4)


@check_for(
    "l02_e4",
    title="One step of learning",
    minutes=12,
    hints=[
        "Three steps: probabilities now, gradient at the logits, gradient of the matrix. Then go against the gradient.",
        "p = (weights @ hidden).softmax(0). The gradient at the logits is p, minus 1 at the right token. Row i of the matrix "
        "is multiplied by hidden, so its gradient is entry i times hidden: torch.outer.",
        "p[right] -= 1; return weights - rate * torch.outer(p, hidden). This makes a new tensor; the old one stays.",
    ],
)
def check_learn(answer, rng):
    """New weights against autograd's; each usual mistake recognised by the weights it makes."""
    for vocabulary, width in ((7, 5), (4, 9)):
        cases.compare_step(answer, *cases.a_layer(rng, vocabulary, width))


@property_of("l02_e4", "any layer, any step size")
def learn_any(answer, rng):
    """Random layers."""
    for _ in range(5):
        cases.compare_step(answer, *cases.a_layer(rng, rng.randint(3, 30), rng.randint(2, 20)))


@property_of("l02_e4", "after the step the right token is more likely")
def learn_helps(answer, rng):
    """The point of it."""
    for _ in range(4):
        weights, hidden, right, _ = cases.a_layer(rng, 12, 8)
        before = (weights @ hidden).softmax(0)[right].item()
        after = (cases.matrix_of(answer(weights.clone(), hidden.clone(), right, 0.05), weights) @ hidden).softmax(0)
        if not after[right].item() > before:
            raise CheckFailed(
                "A small step must make the right token more likely.",
                expected=f"more than {before:.4f}",
                got=f"{after[right].item():.4f}",
                reason="the step goes up the loss: subtract rate x gradient",
            )


@property_of("l02_e4", "what one token gains the others lose: the columns keep their sums")
def learn_conserves(answer, rng):
    """p minus one-hot adds up to 0."""
    weights, hidden, right, rate = cases.a_layer(rng, 9, 6)
    new = cases.matrix_of(answer(weights.clone(), hidden.clone(), right, rate), weights)
    gap = (new - weights).sum(0).abs().max().item()
    if gap > 1e-5:
        raise CheckFailed("The changes of a column must add up to 0.", expected="below 0.00001", got=f"{gap:.4g}")


@property_of("l02_e4", "in the embedded model one step on a token makes that token likelier")
def learn_in_a_model(answer, rng):
    """The real output matrix, against autograd."""
    matrix, hidden = lab.last_hidden(cases.model(), cases.some_ids(rng, 6))
    cases.compare_step(answer, matrix, hidden, rng.randrange(6, 4096), 0.002)
