"""Checks of lesson 06: temperature, top-p, the repetition penalty, and the tokens that a list of answers allows."""

from __future__ import annotations

import torch

from ..labs import sampling as lab
from . import sampling_cases as cases
from .core import CheckFailed, check_for, property_of


@check_for(
    "l06_e1",
    title="Probabilities at a temperature",
    minutes=8,
    hints=[
        "What is divided by the temperature: the logits before the softmax, or the probabilities after it? Try both on "
        "two tokens.",
        "Subtract the largest logit first, so that no exp overflows. Then divide by the temperature, take exp, and "
        "divide by the sum. Temperature 0 is a case of its own: nothing can be divided by it.",
        "if temperature == 0: zeros, and a 1 at logits.argmax(). Else: e = ((logits - logits.max()) / temperature).exp() "
        "and return e / e.sum().",
    ],
)
def check_temperature(answer, rng):
    """Temperatures below and above 1, large logits, and greedy; each usual mistake is recognised by its values."""
    logits = cases.logits(rng, 6)
    for temperature in (0.5, 2.0, 1.0):
        cases.compare_temperature(answer, logits, temperature)
    cases.compare_temperature(answer, logits + 900, 0.7)
    for greedy in (logits, torch.cat([logits, logits.max()[None]])):  # the second has a tie
        cases.compare_temperature(answer, greedy, 0)


@property_of("l06_e1", "random logits and temperatures")
def any_temperature(answer, rng):
    """Other sizes, other temperatures, large negative logits; at last one that lies far below the others."""
    for _ in range(6):
        shift = rng.choice([0, 0, -2000, 500])
        cases.compare_temperature(answer, cases.logits(rng, rng.randint(2, 40)) + shift, rng.uniform(0.2, 4))
    logits = cases.logits(rng, 6)
    cases.compare_temperature(answer, torch.cat([logits, logits.min()[None] - 900]), rng.uniform(0.5, 2))


@property_of("l06_e1", "greedy takes the largest logit, the first of equal ones")
def greedy(answer, rng):
    """Temperature 0, with and without a tie."""
    logits = cases.logits(rng, 9)
    cases.compare_temperature(answer, logits, 0)
    logits[[3, 7]] = logits.max() + 1
    cases.compare_temperature(answer, logits, 0)


@property_of("l06_e1", "the same constant on all logits changes nothing, and more heat always flattens")
def shape_of_temperature(answer, rng):
    """Invariance under a shift; the likeliest token loses and the unlikeliest gains as the temperature rises."""
    logits = cases.logits(rng, 8)
    cases.close(
        cases.vector(answer(logits + 3, 1.3), 8), cases.vector(answer(logits, 1.3), 8),
        "3 more on every logit must not change the probabilities.",
    )  # fmt: skip
    rows = torch.stack([cases.vector(answer(logits, t), 8) for t in (0.3, 0.9, 1.7, 5.0)])
    best, worst = rows[:, logits.argmax()], rows[:, logits.argmin()]
    if not (best.diff() < 0).all() or not (worst.diff() > 0).all():
        raise CheckFailed(
            "From temperature 0.3 to 5 the likeliest token must lose probability and the unlikeliest gain.",
            got=[round(x, 4) for x in best.tolist()], reason="the temperature works the wrong way round or not at all",
        )  # fmt: skip


@property_of("l06_e1", "on the embedded model's logits, what transformers' own warper gives")
def temperature_of_transformers(answer, rng):
    """Real logits, through TemperatureLogitsWarper."""
    from transformers import TemperatureLogitsWarper

    logits, temperature = cases.model_logits(rng), rng.uniform(0.4, 2)
    want = TemperatureLogitsWarper(temperature)(None, logits[None])[0].softmax(-1)
    got = cases.vector(answer(logits.clone(), temperature), len(logits))
    cases.close(got, want, f"Real logits at temperature {temperature:.2f}: not what transformers gives.")


@check_for(
    "l06_e2",
    title="The nucleus: top-p",
    minutes=12,
    hints=[
        "Sort the probabilities from the largest down and add them up. Where does the running sum first reach p?",
        "A token stays when the sum of all tokens *before* it is still below p: so the one that crosses p stays, and the "
        "first always does. Sorting gives you the order; the mask must go back to the places in the vocabulary.",
        "values, places = logits.sort(descending=True); q = values.softmax(-1); keep = (q.cumsum(-1) - q) < p; "
        "keep[0] = True; then put the kept logits at places[keep] into a tensor full of -inf.",
    ],
)
def check_top_p(answer, rng):
    """Several p on one distribution, p of 0 and 1, and equal logits."""
    logits = cases.telling_logits(rng, 9, 0.6)
    for p in (0.6, 0.9, 0.3):
        cases.compare_top_p(answer, logits, cases.safe_p(logits, p))
    cases.compare_top_p(answer, torch.tensor([0.3, 4.0, 0.1, 0.2]), 0.5)  # the first alone is above p
    cases.compare_top_p(answer, logits, 0.0)
    cases.compare_top_p(answer, torch.tensor([1.0, 3.0, 1.0, 1.0, -2.0, 1.0]), 0.8)  # equal ones at the border


@property_of("l06_e2", "random logits, sizes and p")
def any_top_p(answer, rng):
    """Ten random cases."""
    for _ in range(10):
        logits = cases.logits(rng, rng.randint(3, 60))
        cases.compare_top_p(answer, logits, cases.safe_p(logits, rng.uniform(0.1, 0.98)))


@property_of("l06_e2", "one token always stays, and with p = 1 all do")
def ends_of_top_p(answer, rng):
    """p of 0 and 1, tokens that are already out, and a row with a single token."""
    logits = cases.logits(rng, 7)
    cases.compare_top_p(answer, logits, 0.0)
    cases.compare_top_p(answer, logits, 1.0)
    cases.compare_top_p(answer, torch.tensor([1.5]), 0.4)
    out = logits.clone()
    out[[1, 4]] = lab.NEVER
    cases.compare_top_p(answer, out, cases.safe_p(out, 0.7))


@property_of("l06_e2", "of equal logits only as many stay as p needs")
def ties_in_top_p(answer, rng):
    """All equal, and a plateau below one clear winner."""
    cases.compare_top_p(answer, torch.full((10,), 1.5), 0.45)
    logits = torch.full((8,), float(rng.randint(-3, 3)))
    logits[rng.randrange(8)] += 2
    cases.compare_top_p(answer, logits, cases.safe_p(logits, 0.8))


@property_of("l06_e2", "on the embedded model's logits, what transformers' own warper keeps")
def top_p_of_transformers(answer, rng):
    """Real logits, through TopPLogitsWarper."""
    from transformers import TopPLogitsWarper

    logits = cases.model_logits(rng)
    p = cases.safe_p(logits, rng.uniform(0.5, 0.95))
    want = TopPLogitsWarper(p)(None, logits[None])[0]
    got = cases.vector(answer(logits.clone(), p), len(logits))
    kept, own = (int((x > lab.NEVER).sum()) for x in (got, want))
    if kept != own or not torch.equal(got.sort().values, want.sort().values):
        raise CheckFailed(f"Real logits with p = {p:.3f}: not what transformers keeps.", expected=own, got=kept)


@check_for(
    "l06_e3",
    title="The repetition penalty",
    minutes=6,
    hints=[
        "A logit can be negative. What does dividing -4 by 2 do to the token's chance: less, or more?",
        "Seen tokens with a positive logit are divided by the penalty, those with a negative one are multiplied. Each "
        "seen token once, however often it stands in the text; all others stay.",
        "new = logits.clone(); for i in set(seen): new[i] = logits[i] / penalty if logits[i] > 0 else logits[i] * penalty",
    ],
)
def check_penalty(answer, rng):
    """Positive and negative logits, and a token that was seen three times."""
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0, 4.0, 1.0]) + rng.uniform(-0.2, 0.2)
    cases.compare_penalty(answer, logits, [0, 2], 1.5)
    cases.compare_penalty(answer, logits, [1, 4], 1.5)
    cases.compare_penalty(answer, logits, [4, 1, 4, 0, 4], 1.3)


@property_of("l06_e3", "random logits and texts")
def any_penalty(answer, rng):
    """Six random cases."""
    for _ in range(6):
        size = rng.randint(3, 30)
        seen = [rng.randrange(size) for _ in range(rng.randint(1, 12))]
        cases.compare_penalty(answer, cases.logits(rng, size), seen, rng.uniform(1.05, 2.5))


@property_of("l06_e3", "seen tokens never become likelier; penalty 1 and an empty text change nothing")
def ends_of_penalty(answer, rng):
    """Monotony, and the two settings that are off."""
    logits = cases.logits(rng, 12)
    cases.compare_penalty(answer, logits, [3, 5], 1.0)
    cases.compare_penalty(answer, logits, [], 1.7)
    new = cases.vector(answer(logits.clone(), list(range(12)), 1.6), 12)
    if (new > logits + 1e-6).any():
        raise CheckFailed("A penalty of 1.6 raised the logit of a seen token.", reason="mind the sign of the logit")


@property_of("l06_e3", "on the embedded model's logits, what transformers' own processor gives")
def penalty_of_transformers(answer, rng):
    """Real logits, through RepetitionPenaltyLogitsProcessor."""
    from transformers import RepetitionPenaltyLogitsProcessor

    logits = cases.model_logits(rng)
    seen = [rng.randrange(len(logits)) for _ in range(20)]
    want = RepetitionPenaltyLogitsProcessor(1.4)(torch.tensor([seen]), logits[None].clone())[0]
    cases.close(
        cases.vector(answer(logits.clone(), seen, 1.4), len(logits)), want, "Real logits: not what transformers gives."
    )


@check_for(
    "l06_e4",
    title="Tokens that a list of answers allows",
    minutes=12,
    hints=[
        "A token may come when the text with it is still the beginning of some answer. So build written + token and "
        "look at the answers.",
        "choice.startswith(written + token) for some choice. Mind three cases: tokens without text, a token that runs "
        "past the end of an answer, and an answer that is complete, while another one goes on.",
        "allowed = [i for i, t in enumerate(tokens) if t and any(c.startswith(written + t) for c in choices)]; add "
        "`end` just when written is in choices; return sorted(allowed).",
    ],
)
def check_allowed(answer, rng):
    """Small vocabularies with the traps: empty tokens, overshooting tokens, an answer inside another."""
    words = cases.answers(rng)
    tokens, end = cases.vocabulary(rng, words)
    for written in ("", words[0][:1], words[0][:2], words[1], words[2], words[0]):
        cases.compare_allowed(answer, tokens, end, words, written)


@property_of("l06_e4", "random answers, vocabularies and beginnings")
def any_allowed(answer, rng):
    """Five vocabularies, all beginnings of all answers."""
    for _ in range(5):
        words = cases.answers(rng)
        tokens, end = cases.vocabulary(rng, words)
        for word in words:
            cases.compare_allowed(answer, tokens, end, words, word[: rng.randint(0, len(word))])


@property_of("l06_e4", "a text that has left the answers allows nothing, a complete one may end")
def ends_of_allowed(answer, rng):
    """A foreign text, and an answer that is the beginning of another."""
    words = cases.answers(rng)
    tokens, end = cases.vocabulary(rng, words)
    cases.compare_allowed(answer, tokens, end, words, "#" + words[0])
    cases.compare_allowed(answer, tokens, end, words, words[1])


@property_of("l06_e4", "with the real vocabulary the embedded model writes one of the answers, whatever it prefers")
def writes_an_answer(answer, rng):
    """Greedy and drawn, token by token under the answer's masks."""
    cases.compare_written(answer, rng)
