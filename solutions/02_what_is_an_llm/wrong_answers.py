"""Wrong answers of lesson 02, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

CANDIDATES = """import math


def top_candidates(logits, count):
    {before}
    top = max(logits)
    powers = [{power} for x in logits]
    order = {order}
    return {answer}
"""
RIGHT = dict(
    before="n = len(logits)", power="math.exp(x - top)", order="sorted(range(n), key=lambda i: -logits[i])[:count]",
    answer="[(i, powers[i] / sum(powers)) for i in order]",
)  # fmt: skip
GENERATE = """def generate(next_logits, ids, new, stop):
    text = {start}
    for _ in range({rounds}):
        logits = next_logits({context})
        best = {best}
        {append}
        {end}
    return {answer}
"""
LOOP = dict(
    start="list(ids)", rounds="new", context="text", best="max(range(len(logits)), key=lambda i: logits[i])",
    append="text.append(best)", end="if best == stop: break", answer="text[len(ids):]",
)  # fmt: skip
LOSS = """import math


def measure(logits, ids, size):
    costs = []
    for i in {places}:
        row = logits[i]
        top = {top}
        total = sum(math.exp(x - top) for x in row)
        costs.append({cost})
    nats = {nats}
    return {answer}
"""
MEASURE = dict(
    places="range(len(ids) - 1)", top="max(row)", cost="math.log(total) + top - row[ids[i + 1]]",
    nats="sum(costs) / len(costs)", answer="nats, sum(costs) / math.log(2) / size",
)  # fmt: skip
LEARN = """def learn(weights, hidden, right, rate):
    p = {p}
    {one}
    {gradient}
    return {answer}
"""
STEP = dict(
    p="(weights @ hidden).softmax(0)", one="p[right] -= 1", gradient="gradient = torch.outer(p, hidden)",
    answer="weights - rate * gradient",
)  # fmt: skip


def _candidates(name, says, **change):
    return WrongAnswer("l02_e1_candidates", name, CANDIDATES.format(**{**RIGHT, **change}), says)


def _generate(name, says, **change):
    return WrongAnswer("l02_e2_generate", name, GENERATE.format(**{**LOOP, **change}), says)


def _measure(name, says, **change):
    return WrongAnswer("l02_e3_measure", name, LOSS.format(**{**MEASURE, **change}), says)


def _learn(name, says, **change):
    return WrongAnswer("l02_e4_learn", name, LEARN.format(**{**STEP, **change}), says)


WRONG_ANSWERS = [
    _candidates(
        "shares_of_the_shown", "shared among the shown tokens only",
        answer="[(i, powers[i] / sum(powers[j] for j in order)) for i in order]",
    ),
    _candidates(
        "logits_over_their_sum", "the logits are divided by their sum", answer="[(i, logits[i] / sum(logits)) for i in order]"
    ),
    _candidates("powers_not_shares", "these are powers, not shares", answer="[(i, powers[i]) for i in order]"),
    _candidates("logits_themselves", "these are logits", answer="[(i, logits[i]) for i in order]"),
    _candidates("powers_of_two", "softmax takes powers of e", power="2 ** (x - top)"),
    _candidates("unlikeliest", "these are the UNlikeliest", order="sorted(range(n), key=lambda i: logits[i])[:count]"),
    _candidates("upside_down", "the order is upside down", answer="[(i, powers[i] / sum(powers)) for i in order[::-1]]"),
    _candidates("percent", "these are percent", answer="[(i, 100 * powers[i] / sum(powers)) for i in order]"),
    _candidates(
        "places_for_ids", "places in the ranking", answer="[(k, powers[i] / sum(powers)) for k, i in enumerate(order)]"
    ),
    _candidates("first_of_the_list", "the first tokens of the list", order="range(count)"),
    _candidates("overflows", "take the largest logit off", power="math.exp(x)"),
    _candidates("sorts_in_place", "changed the list of logits", before="n = len(logits); logits.sort(reverse=True)"),
    _candidates(
        "ties_by_higher_id", "the lower id comes first", order="sorted(range(n), key=lambda i: (-logits[i], -i))[:count]"
    ),
    _generate("same_text_each_time", "asked with the same text each time", context="list(ids)"),
    _generate("newest_token_only", "sees only the newest token", context="text[-1:]"),
    _generate("forgets_the_prompt", "does not see the given text", context="text[len(ids):]"),
    _generate("returns_everything", "return only the new ids", answer="text"),
    _generate("least_likely", "the least likely token", best="min(range(len(logits)), key=lambda i: logits[i])"),
    _generate("one_too_many", "one token too many", rounds="new + 1"),
    _generate("one_too_few", "one token is missing", rounds="new - 1"),
    _generate("never_ends", "it does not end", end="pass"),
    _generate("drops_the_stop", "the stop token is missing", append="if best == stop: break", end="text.append(best)"),
    _generate("writes_into_ids", "changed `ids`", start="ids", answer="text[-new:]"),
    _generate("logits_for_ids", "these are logits", append="text.append(best); made = max(logits)", answer="[max(logits)] * new"),
    _measure("own_token", "compared with its own token", cost="math.log(total) + top - row[ids[i]]"),
    _measure(
        "shift_backwards", "the shift goes the wrong way", places="range(1, len(ids))",
        cost="math.log(total) + top - row[ids[i - 1]]",
    ),
    _measure("sum_for_mean", "that is the sum of all tokens", nats="sum(costs)"),
    _measure("counts_the_first", "divided by all tokens", nats="sum(costs) / len(ids)"),
    _measure("bits_for_nats", "that is in bits", nats="sum(costs) / len(costs) / math.log(2)"),
    _measure("sign", "the sign is off", answer="-nats, -sum(costs) / math.log(2) / size"),
    _measure(
        "mean_of_probabilities", "averaged before the logarithm",
        nats="-math.log(sum(math.exp(-c) for c in costs) / len(costs))",
    ),
    _measure("bare_logit", "softmax is missing", cost="-row[ids[i + 1]]"),
    _measure("nats_a_byte", "that is nats a byte", answer="nats, sum(costs) / size"),
    _measure("times_ln2", "nats are multiplied by ln 2", answer="nats, sum(costs) * math.log(2) / size"),
    _measure("mean_over_bytes", "the mean token over all bytes", answer="nats, nats / math.log(2) / size"),
    _measure("bits_a_token", "that is bits a token", answer="nats, nats / math.log(2)"),
    _measure("overflow", "overflows", top="0"),
    _learn("uphill", "goes up the loss", answer="weights + rate * gradient"),
    _learn("no_one_hot", "the right token is missing", one="pass"),
    _learn("pulls_only", "the others must go down by p", one="p = torch.zeros_like(p); p[right] = -1"),
    _learn("no_step_size", "the step size is missing", answer="weights - gradient"),
    _learn("gradient_only", "that is the gradient", answer="gradient"),
    _learn("logits_for_p", "these are logits", p="weights @ hidden"),
    _learn("outer_turned", "it is turned", gradient="gradient = torch.outer(hidden, p).T", answer="(weights - rate * gradient).T"),
    _learn("only_the_right_row", "only the row of the right token", gradient="gradient = torch.outer(p, hidden); "
           "keep = gradient[right].clone(); gradient[:] = 0; gradient[right] = keep"),
    _learn("hidden_forgotten", "`hidden` is missing", gradient="gradient = p[:, None].expand_as(weights)"),
    _learn("in_place", "changed its inputs in place", answer="weights.sub_(rate * gradient)"),
]  # fmt: skip
