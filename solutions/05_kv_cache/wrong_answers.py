"""Wrong answers of lesson 05, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

APPEND = """def append(cache, new_keys, new_values):
    if cache is None:
        return new_keys, new_values
    keys, values = cache
    {body}
"""
ATTEND = """def attend(q, keys, values):
    group = q.shape[1] // keys.shape[1]
    keys, values = keys.{spread}, values.{spread}
    {swap}
    scores = q @ keys.mT{scale}
    L, S = scores.shape[-2:]
    later = torch.ones(L, S, dtype=torch.bool).triu({diagonal})
    return scores.masked_fill(later, float("-inf")).softmax(dim={axis}) @ values
"""
RIGHT = dict(
    spread="repeat_interleave(group, dim=1)", swap="", scale=" / q.shape[-1] ** 0.5", diagonal="S - L + 1", axis="-1"
)  # fmt: skip
BYTES = """def cache_bytes(shape, tokens, batch, bytes_per_value):
    layers, heads, kv_heads, head_dim = shape["layers"], shape["heads"], shape["kv_heads"], shape["head_dim"]
    return {formula}
"""
CONTEXT = """def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    room = {room}
    one_token = {one}
    return {answer}
"""
ROOM = "card_gib * 2**30 - weights_bytes - overhead_bytes"
ONE = '2 * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * batch * bytes_per_value'
WHOLE = "max(0, int(room // one_token))"


def _append(name, says, body):
    return WrongAnswer("l05_e1_append", name, APPEND.format(body=body), says)


def _attend(name, says, **change):
    return WrongAnswer("l05_e2_attend", name, ATTEND.format(**{**RIGHT, **change}), says)


def _bytes(name, says, formula):
    return WrongAnswer("l05_e3_bytes", name, BYTES.format(formula=formula), says)


def _context(name, says, room=ROOM, one=ONE, answer=WHOLE):
    return WrongAnswer("l05_e4_context", name, CONTEXT.format(room=room, one=one, answer=answer), says)


WRONG_ANSWERS = [
    _append("keeps_only_new", "old rows must stay", "return new_keys, new_values"),
    _append("stores_nothing", "old rows must stay", "return keys, values"),
    _append(
        "swaps_k_and_v", "keys and values are swapped",
        "return torch.cat([values, new_values], 2), torch.cat([keys, new_keys], 2)",
    ),
    _append(
        "head_axis", "grew along the wrong axis",
        "return torch.cat([keys, new_keys], 1), torch.cat([values, new_values], 1)",
    ),
    _append(
        "batch_axis", "grew along the wrong axis",
        "return torch.cat([keys, new_keys], 0), torch.cat([values, new_values], 0)",
    ),
    _append(
        "last_axis", "grew along the wrong axis",
        "return torch.cat([keys, new_keys], -1), torch.cat([values, new_values], -1)",
    ),
    _append(
        "new_rows_in_front", "behind the old ones",
        "return torch.cat([new_keys, keys], 2), torch.cat([new_values, values], 2)",
    ),
    _append(
        "overwrites_last_row", "old rows must stay",
        "n = new_keys.shape[2]\n    keys[:, :, -n:], values[:, :, -n:] = new_keys, new_values\n    return keys, values",
    ),
    _append(
        "adds_twice", "too many rows",
        "return torch.cat([keys, new_keys, new_keys], 2), torch.cat([values, new_values, new_values], 2)",
    ),
    _append("values_do_not_grow", "The values are off", "return torch.cat([keys, new_keys], 2), values"),
    WrongAnswer(
        "l05_e1_append",
        "no_first_step",
        "def append(cache, new_keys, new_values):\n"
        "    return torch.cat([cache[0], new_keys], 2), torch.cat([cache[1], new_values], 2)\n",
        "'NoneType' object is not subscriptable",
    ),
    _attend("no_scale", "not divided by sqrt(D)", scale=""),
    _attend("scale_by_d", "divided by D instead of sqrt(D)", scale=" / q.shape[-1]"),
    _attend("no_mask", "the mask is missing", diagonal="S + 1"),
    _attend("heads_interleaved", "neighbouring query heads share", spread="repeat(1, group, 1, 1)"),
    _attend("mask_from_position_0", "the LAST L of S positions", diagonal="1"),
    _attend("hides_itself", "hides the query's own position", diagonal="S - L"),
    _attend("softmax_over_queries", "runs over the queries", axis="-2"),
    _attend("k_for_v", "keys and values are swapped", swap="keys, values = values, keys"),
    _attend("grouping_forgotten", "must match the size of tensor", spread="clone()"),
    _bytes("keys_only", "the cache holds both K and V", "layers * kv_heads * head_dim * tokens * batch * bytes_per_value"),
    _bytes("query_heads", "that counts query heads", "2 * layers * heads * head_dim * tokens * batch * bytes_per_value"),
    _bytes("in_gb", "that is in GB", "2 * layers * kv_heads * head_dim * tokens * batch * bytes_per_value / 1e9"),
    _bytes("in_gib", "that is in GiB", "2 * layers * kv_heads * head_dim * tokens * batch * bytes_per_value / 2**30"),
    _bytes("one_layer", "that is one layer", "2 * kv_heads * head_dim * tokens * batch * bytes_per_value"),
    _bytes("one_sequence", "that is one sequence", "2 * layers * kv_heads * head_dim * tokens * bytes_per_value"),
    _bytes("values_not_bytes", "that counts values, not bytes", "2 * layers * kv_heads * head_dim * tokens * batch"),
    _bytes("whole_bytes_only", "half a byte a value", "2 * layers * kv_heads * head_dim * tokens * batch * int(bytes_per_value)"),
    _context("card_in_gb", "cards are sold in GiB", room=ROOM.replace("2**30", "10**9")),
    _context("rounds_up", "rounded up", answer="max(0, -int(-room // one_token))"),
    _context("forgets_weights", "the weights were forgotten", room="card_gib * 2**30 - overhead_bytes"),
    _context("forgets_overhead", "the overhead was forgotten", room="card_gib * 2**30 - weights_bytes"),
    _context("one_sequence", "`batch` sequences share the card", one=ONE.replace("* batch ", "")),
    _context("keys_only", "that counts K or V alone", one=ONE.replace("2 * ", "", 1)),
    _context("query_heads", "that counts query heads", one=ONE.replace("kv_heads", "heads")),
    _context("negative", "A context is never negative", answer="int(room // one_token)"),
    _context("not_whole", "Tokens are whole", answer="max(0, room / one_token)"),
]  # fmt: skip
