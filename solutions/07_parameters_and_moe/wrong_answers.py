"""Wrong answers of lesson 07, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

COUNT = """def count(shape):
    v, h, n = shape["vocabulary"], shape["hidden"], shape["layers"]
    q, kv, d, f, e = shape["heads"], shape["kv_heads"], shape["head_dim"], shape["feed_forward"], shape["experts"]
    return {{
        "embedding": {embedding},
        "attention": {attention},
        "feed_forward": {feed_forward},
        "router": {router},
        "norms": {norms},
        "output": {output},
    }}
"""
GROUPS = dict(
    embedding="v * h", attention="n * h * d * (2 * q + 2 * kv)", feed_forward="n * e * 3 * h * f",
    router="n * h * e if e > 1 else 0", norms="(2 * n + 1) * h", output='0 if shape["tied"] else v * h',
)  # fmt: skip
LAW = """import numpy as np

def power_law(x, losses):
    {body}
"""
ROUTE = """def route(logits, k):
    {body}
"""
MEMORY = """def memory(rest, expert, layers, experts, per_token, tokens, bits):
    touched = {touched}
    held = {held}
    read = {read}
    return {answer}
"""
PARTS = dict(
    touched="experts * (1 - (1 - per_token / experts) ** tokens)", held="rest + layers * experts * expert",
    read="rest + layers * touched * expert", answer="held * bits / 8, read * bits / 8",
)  # fmt: skip


def _count(name, says, **change):
    return WrongAnswer("l07_e1_count", name, COUNT.format(**{**GROUPS, **change}), says)


def _law(name, says, body):
    return WrongAnswer("l07_e2_law", name, LAW.format(body=body.replace("\n", "\n    ")), says)


def _route(name, says, body):
    return WrongAnswer("l07_e3_route", name, ROUTE.format(body=body.replace("\n", "\n    ")), says)


def _memory(name, says, **change):
    return WrongAnswer("l07_e4_memory", name, MEMORY.format(**{**PARTS, **change}), says)


KEEP = (
    "p = logits.softmax(-1)\nbest = p.topk(k, dim=-1)\n"
    "w = torch.zeros_like(p).scatter(-1, best.indices, best.values)\n"
)  # fmt: skip

WRONG_ANSWERS = [
    _count("query_heads_for_k_and_v", "K and V have only kv_heads heads", attention="n * 4 * h * q * d"),
    _count("hidden_squared", "takes every matrix as hidden x hidden", attention="n * 4 * h * h"),
    _count("no_output_projection", "the output projection is missing", attention="n * h * d * (q + 2 * kv)"),
    _count("two_matrices", "three matrices (gate, up, down), not two", feed_forward="n * e * 2 * h * f"),
    _count("one_expert", "that is a single expert", feed_forward="n * 3 * h * f"),
    _count("active_experts", "counts two experts", feed_forward="n * min(e, 2) * 3 * h * f"),
    _count("one_layer", "that is one layer", feed_forward="e * 3 * h * f"),
    _count("no_router", "the router is missing", router="0"),
    _count("router_in_dense", "a dense model has no router", router="n * h * e"),
    _count("router_is_a_vector", "one number for each expert", router="n * e if e > 1 else 0"),
    _count("last_norm_forgotten", "the last norm, after all layers", norms="2 * n * h"),
    _count("one_norm_a_layer", "each layer has two norms: one", norms="(n + 1) * h"),
    _count("tied_twice", "the output matrix is tied", output="v * h"),
    _count("always_tied", "the output is a matrix of its own", output="0"),
    _law("wrong_sign", "the sign", "slope, start = np.polyfit(np.log(x), np.log(losses), 1)\nreturn np.exp(start), slope"),
    _law("swapped", "the two are swapped", "slope, start = np.polyfit(np.log(x), np.log(losses), 1)\nreturn -slope, np.exp(start)"),
    _law("scale_still_log", "still a logarithm", "slope, start = np.polyfit(np.log(x), np.log(losses), 1)\nreturn start, -slope"),
    _law(
        "power_of_ten", "not with a power of 10",
        "slope, start = np.polyfit(np.log(x), np.log(losses), 1)\nreturn 10**start, -slope",
    ),
    _law(
        "base_ten_with_exp", "go back with a power of 10",
        "slope, start = np.polyfit(np.log10(x), np.log10(losses), 1)\nreturn np.exp(start), -slope",
    ),
    _law("no_logarithms", "take the logarithm of both first", "slope, start = np.polyfit(x, losses, 1)\nreturn start, -slope"),
    _law("log_of_x_only", "the losses have no logarithm", "slope, start = np.polyfit(np.log(x), losses, 1)\nreturn start, -slope"),
    _law("log_of_losses_only", "x has no logarithm", "slope, start = np.polyfit(x, np.log(losses), 1)\nreturn np.exp(start), -slope"),
    _law(
        "two_points", "only the first and the last",
        "b = -(np.log(losses[-1]) - np.log(losses[0])) / (np.log(x[-1]) - np.log(x[0]))\nreturn losses[0] * x[0] ** b, b",
    ),
    _law("axes_swapped", "the axes are swapped", "slope, start = np.polyfit(np.log(losses), np.log(x), 1)\nreturn np.exp(start), -slope"),
    _route("not_renormalised", "do not sum to 1", KEEP + "return w"),
    _route("all_experts", "no expert was left out", "return logits.softmax(-1)"),
    _route("equal_weights", "chosen experts count the same", KEEP + "return (w > 0).float() / k"),
    _route("only_who", "says only who is chosen", KEEP + "return (w > 0).float()"),
    _route(
        "smallest", "those are the k smallest",
        "p = logits.softmax(-1)\nbest = p.topk(k, dim=-1, largest=False)\n"
        "w = torch.zeros_like(p).scatter(-1, best.indices, best.values)\nreturn w / w.sum(-1, keepdim=True)",
    ),
    _route(
        "no_softmax", "the logits themselves were shared out",
        "best = logits.topk(k, dim=-1)\nw = torch.zeros_like(logits).scatter(-1, best.indices, best.values)\n"
        "return w / w.sum(-1, keepdim=True)",
    ),
    _route(
        "softmax_over_tokens", "runs over the tokens",
        "p = logits.softmax(0)\nbest = p.topk(k, dim=-1)\nw = torch.zeros_like(p).scatter(-1, best.indices, best.values)\n"
        "return w / w.sum(-1, keepdim=True)",
    ),
    _route("second_softmax", "a second softmax", KEEP + "return w.softmax(-1)"),
    _route("always_two", "2 experts were kept", KEEP.replace("topk(k", "topk(2") + "return w / w.sum(-1, keepdim=True)"),
    _route("only_k_columns", "the places of their experts", "w = logits.softmax(-1).topk(k, dim=-1).values\nreturn w / w.sum(-1, keepdim=True)"),
    _route(
        "in_place", "changed in place",
        "logits -= logits.max(-1, keepdim=True).values\n" + KEEP + "return w / w.sum(-1, keepdim=True)",
    ),
    _memory("active_held", "the next token may want any", held="rest + layers * per_token * expert"),
    _memory("reads_all", "those that no token chose are not read", touched="experts"),
    _memory("one_token", "several tokens choose different experts", touched="per_token"),
    _memory("no_sharing", "counts some of them twice", touched="per_token * tokens"),
    _memory("capped_sum", "counts some of them twice", touched="min(experts, per_token * tokens)"),
    _memory("reads_per_token", "not once a token", read="tokens * (rest + layers * per_token * expert)"),
    _memory("draws_with_repeats", "experts are different ones", touched="experts * (1 - (1 - 1 / experts) ** (per_token * tokens))"),
    _memory("missed_experts", "experts that nobody chose", touched="experts * (1 - per_token / experts) ** tokens"),
    _memory("one_layer", "that counts one layer", held="rest + experts * expert"),
    _memory("rest_forgotten", "the parameters outside the experts are missing", held="layers * experts * expert"),
    _memory("bits_for_bytes", "that is bits", answer="held * bits, read * bits"),
    _memory("counts_parameters", "counts parameters, not bytes", answer="held, read"),
    _memory("swapped", "the two are swapped", answer="read * bits / 8, held * bits / 8"),
    _memory("in_gb", "that is in GB", answer="held * bits / 8e9, read * bits / 8e9"),
]  # fmt: skip
