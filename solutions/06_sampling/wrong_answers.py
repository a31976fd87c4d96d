"""Wrong answers of lesson 06, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

HEAT = """def probabilities(logits, temperature):
    greedy = torch.zeros_like(logits)
    greedy[logits.argmax()] = 1
    if temperature == 0:
        return {greedy}
    return {warm}
"""
NUCLEUS = """def top_p(logits, p):
    values, places = logits.sort(descending={falling})
    q = values.{soft}
    keep = {keep}
    {least}
    kept = torch.full_like(logits, {gone})
    kept[{where}] = {stays}
    return kept
"""
RIGHT = dict(
    falling="True", soft="softmax(-1)", keep="q.cumsum(-1) - q < p", least="keep[0] = True", gone='float("-inf")',
    where="places[keep]", stays="logits[places[keep]]",
)  # fmt: skip
PENALTY = """def repetition_penalty(logits, seen, penalty):
    new = logits.clone()
    for token in {tokens}:
        {change}
    return new
"""
SIGNED = "new[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty"
ALLOWED = """def allowed_tokens(tokens, end, choices, written):
    rests = [choice[len(written):] for choice in choices if choice.startswith(written)]
    allowed = [i for i, token in enumerate(tokens) if {test}]
    {ending}
    return sorted(allowed)
"""
FITS = "token and any(rest.startswith(token) for rest in rests)"
ENDS = "allowed += [end] if written in choices else []"


def _heat(name, says, warm="((logits - logits.max()) / temperature).softmax(-1)", greedy="greedy"):
    return WrongAnswer("l06_e1_temperature", name, HEAT.format(warm=warm, greedy=greedy), says)


def _nucleus(name, says, **change):
    return WrongAnswer("l06_e2_nucleus", name, NUCLEUS.format(**{**RIGHT, **change}), says)


def _penalty(name, says, change=SIGNED, tokens="set(seen)"):
    return WrongAnswer("l06_e3_penalty", name, PENALTY.format(change=change, tokens=tokens), says)


def _allowed(name, says, test=FITS, ending=ENDS):
    return WrongAnswer("l06_e4_allowed", name, ALLOWED.format(test=test, ending=ending), says)


WRONG_ANSWERS = [
    _heat("scales_probabilities", "the temperature does nothing", "logits.softmax(-1) / temperature / (logits.softmax(-1) / temperature).sum()"),
    _heat("multiplies", "multiplied by the temperature", "(logits * temperature).softmax(-1)"),
    _heat("softmax_twice", "a softmax of probabilities", "(logits.softmax(-1) / temperature).softmax(-1)"),
    _heat("divides_probabilities", "they no longer sum to 1", "logits.softmax(-1) / temperature"),
    _heat("no_sum", "divide by their sum", "(logits / temperature).exp()"),
    _heat("overflows", "subtract the largest logit first", "(logits / temperature).exp() / (logits / temperature).exp().sum()"),
    _heat("log_probabilities", "logarithms of probabilities", "(logits / temperature).log_softmax(-1)"),
    _heat("divides_by_zero", "greedy needs a case of its own", greedy="((logits - logits.max()) / temperature).softmax(-1)"),
    _heat("zero_means_off", "0 means that the largest logit takes all", greedy="logits.softmax(-1)"),
    _heat("zero_means_uniform", "not the hottest", greedy="torch.full_like(logits, 1 / len(logits))"),
    _heat("greedy_shares_ties", "equal logits share", greedy="(logits == logits.max()) / (logits == logits.max()).sum()"),
    _nucleus("drops_the_crossing_token", "the token that crosses p is missing", keep="q.cumsum(-1) <= p"),
    _nucleus("one_too_many", "one token too many", keep="q.cumsum(-1) - q < p", least="keep[keep.sum().clamp(max=len(keep) - 1)] = True"),
    _nucleus("compares_each_probability", "compared with p alone", keep="q >= p"),
    _nucleus("mask_in_sorted_order", "bring it back to the places", where="keep", stays="logits[keep]"),
    _nucleus("vocabulary_order", "sort from the likeliest down first", keep="logits.softmax(-1).cumsum(-1) - logits.softmax(-1) < p", where="keep", stays="logits[keep]"),
    _nucleus("zeros_for_gone", "a logit of 0 is no probability of 0", gone="0.0"),
    _nucleus("returns_probabilities", "must stay as they were", stays="logits.softmax(-1)[places[keep]]"),
    _nucleus("may_drop_all", "no token is left", keep="q.cumsum(-1) - q < p", least="keep &= p > 0"),
    _nucleus("sorted_upwards", "the likeliest come first", falling="False"),
    _nucleus("sums_logits", "the running sum is over logits", keep="values.cumsum(-1) <= p"),
    _nucleus("keeps_all_ties", "of equal ones only as many as p needs", least="keep |= q >= q[keep].min()", keep="(q.cumsum(-1) - q < p) | (torch.arange(len(q)) == 0)"),
    WrongAnswer(
        "l06_e2_nucleus", "in_place",
        "def top_p(logits, p):\n    values, places = logits.sort(descending=True)\n    q = values.softmax(-1)\n"
        "    keep = q.cumsum(-1) - q < p\n    keep[0] = True\n    logits[places[~keep]] = float('-inf')\n    return logits\n",
        "changed in place",
    ),
    _penalty("divides_negative_logits", "negative logits were divided too", "new[token] = logits[token] / penalty"),
    _penalty("multiplies_all", "positive logits were multiplied", "new[token] = logits[token] * penalty"),
    _penalty("subtracts", "the penalty was subtracted", "new[token] = logits[token] - penalty"),
    _penalty("once_for_each_sight", "once is enough", SIGNED.replace("logits[token]", "new[token]"), "seen"),
    _penalty("punishes_new_tokens", "NOT seen", tokens="set(range(len(logits))) - set(seen)"),
    _penalty("all_tokens", "all tokens were changed", tokens="range(len(logits))"),
    _penalty("forbids", "seen tokens were ruled out", 'new[token] = float("-inf")'),
    _penalty("last_token_only", "only the last token was changed", tokens="seen[-1:]"),
    _penalty("changes_its_argument", "changed in place", "new = logits\n        logits[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty"),
    _allowed("first_character_only", "only the first character", "token and any(rest[:1] == token[:1] for rest in rests if rest)"),
    _allowed("whole_answers_only", "a part of it is enough", "token and token in rests"),
    _allowed("runs_past_the_end", "runs past the end", "token and any(rest.startswith(token) or (rest and token.startswith(rest)) for rest in rests)"),
    _allowed("anywhere_inside", "it must come next", "token and any(token in rest for rest in rests)"),
    _allowed("ignores_what_is_written", "is ignored", "token and any(choice.startswith(token) for choice in choices)"),
    _allowed("empty_tokens", "a token without text", "any(rest.startswith(token) for rest in rests)"),
    _allowed("always_ends", "before an answer was complete", ending="allowed += [end]"),
    _allowed("never_ends", "the end must be allowed", ending=""),
    _allowed("ends_at_once", "not only the end", ending="allowed = [end] if written in choices else allowed"),
    _allowed("ends_when_nothing_follows", "even where another answer goes on", ending="allowed += [end] if rests == [''] else []"),
]  # fmt: skip
