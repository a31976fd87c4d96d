"""Wrong answers of lesson 05, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

APPEND = "def append(cache, new_keys, new_values):\n    if cache is None:\n        return new_keys, new_values\n    keys, values = cache\n"
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
BYTES = "def cache_bytes(layers, kv_heads, head_dim, tokens, batch, bytes_per_value):\n    return "
CONTEXT = """def longest_context(card_gib, weights_bytes, overhead_bytes, layers, kv_heads, head_dim, batch, bytes_per_value):
    room = {room}
    one_token = {one}
    return {answer}
"""
ROOM = "card_gib * 2**30 - weights_bytes - overhead_bytes"
ONE = "2 * layers * kv_heads * head_dim * batch * bytes_per_value"
WHOLE = "max(0, int(room // one_token))"


def _append(name, last_line, says):
    return WrongAnswer("l05_e1_append", name, APPEND + f"    {last_line}\n", says)


def _attend(name, says, **change):
    return WrongAnswer("l05_e2_attend", name, ATTEND.format(**{**RIGHT, **change}), says)


def _bytes(name, formula, says):
    return WrongAnswer("l05_e3_bytes", name, BYTES + formula + "\n", says)


def _context(name, says, room=ROOM, one=ONE, answer=WHOLE):
    return WrongAnswer("l05_e4_context", name, CONTEXT.format(room=room, one=one, answer=answer), says)


WRONG_ANSWERS = [
    _append("keeps_only_new", "return new_keys, new_values", "old rows must stay"),
    _append("swaps_k_and_v", "return torch.cat([values, new_values], 2), torch.cat([keys, new_keys], 2)", "swapped"),
    _append("wrong_axis", "return torch.cat([keys, new_keys], 1), torch.cat([values, new_values], 1)", "axis"),
    _append(
        "new_rows_in_front",
        "return torch.cat([new_keys, keys], 2), torch.cat([new_values, values], 2)",
        "behind the old ones",
    ),
    _append(
        "overwrites_last_row",
        "n = new_keys.shape[2]\n    return torch.cat([keys[:, :, :-n], new_keys], 2), torch.cat([values[:, :, :-n], new_values], 2)",
        "old rows must stay",
    ),
    _append(
        "changes_old_cache",
        "keys, values = torch.cat([keys, new_keys], 2), torch.cat([values, new_values], 2)\n    cache[0].zero_()\n    return keys, values",
        "in place",
    ),
    _append("values_only", "return keys, torch.cat([values, new_values], 2)", "rows are missing"),
    _attend("no_scale", "sqrt(D)", scale=""),
    _attend("scale_by_d", "instead of sqrt(D)", scale=" / q.shape[-1]"),
    _attend("no_mask", "mask is missing", diagonal="S + 1"),
    _attend("heads_interleaved", "neighbouring query heads", spread="repeat(1, group, 1, 1)"),
    _attend("mask_from_position_0", "LAST L", diagonal="1"),
    _attend("hides_itself", "own position", diagonal="S - L"),
    _attend("softmax_over_queries", "over the queries", axis="-2"),
    _attend("k_for_v", "swapped", swap="keys, values = values, keys"),
    _bytes("keys_only", "layers * kv_heads * head_dim * tokens * batch * bytes_per_value", "both K and V"),
    _bytes(
        "query_heads",
        "2 * layers * kv_heads * (5 if layers == 64 else 3) * head_dim * tokens * batch * bytes_per_value",
        "query heads",
    ),
    _bytes("in_gb", "2 * layers * kv_heads * head_dim * tokens * batch * bytes_per_value / 1e9", "in GB"),
    _bytes("in_gib", "2 * layers * kv_heads * head_dim * tokens * batch * bytes_per_value / 2**30", "in GiB"),
    _bytes("one_layer", "2 * kv_heads * head_dim * tokens * batch * bytes_per_value", "one layer"),
    _bytes("one_sequence", "2 * layers * kv_heads * head_dim * tokens * bytes_per_value", "own cache"),
    _bytes("values_not_bytes", "2 * layers * kv_heads * head_dim * tokens * batch", "counts values"),
    _context("card_in_gb", "sold in GiB", room=ROOM.replace("2**30", "10**9")),
    _context("rounds_up", "round down", answer="max(0, -int(-room // one_token))"),
    _context("forgets_weights", "weights were forgotten", room="card_gib * 2**30 - overhead_bytes"),
    _context("forgets_overhead", "overhead was forgotten", room="card_gib * 2**30 - weights_bytes"),
    _context("one_sequence", "share the card", one=ONE.replace("* batch ", "")),
    _context("keys_only", "holds both", one=ONE.replace("2 * ", "")),
    _context("negative", "0 tokens fit", answer="int(room // one_token)"),
    _context("not_whole", "round", answer="max(0, room / one_token)"),
]
