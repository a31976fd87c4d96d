"""Wrong answers of lesson 03, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

WEIGHTS = """def attention_weights(q, keys):
    L = q.shape[2]
    every = torch.ones(L, L, dtype=torch.bool)
    scores = {scores}
    return {answer}
"""
SCORES = "q @ keys.mT / q.shape[-1] ** 0.5"
SHARES = 'scores.masked_fill(every.triu(1), float("-inf")).softmax(dim=-1)'
ROTATE = """def rotate(x, positions, speeds):
    angles = torch.outer({positions}.float(), {speeds})
    cos, sin = angles.cos(), angles.sin()
    a, b = {halves}
    return {answer}
"""
TURNED = "torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)"
SCORE = """def head_scores(weights, back):
    L = weights.shape[1]
    queries = torch.arange({first}, L)
    return {answer}
"""
COST = """def attention_cost(shape, tokens, bytes_per_value):
    layers, heads, kv_heads, head_dim = shape["layers"], shape["heads"], shape["kv_heads"], shape["head_dim"]
    return {held}, {work}
"""
HELD, WORK = "heads * tokens**2 * bytes_per_value", "4 * layers * heads * head_dim * tokens**2"


def _weights(name, says, scores=SCORES, answer=SHARES):
    return WrongAnswer("l03_e1_weights", name, WEIGHTS.format(scores=scores, answer=answer), says)


def _rotate(name, says, positions="positions", speeds="speeds", halves="x.chunk(2, dim=-1)", answer=TURNED):
    code = ROTATE.format(positions=positions, speeds=speeds, halves=halves, answer=answer)
    return WrongAnswer("l03_e2_rotate", name, code, says)


def _score(name, says, answer="weights[:, queries, queries - back].mean(dim=-1)", first="back"):
    return WrongAnswer("l03_e3_scores", name, SCORE.format(first=first, answer=answer), says)


def _cost(name, says, held=HELD, work=WORK):
    return WrongAnswer("l03_e4_cost", name, COST.format(held=held, work=work), says)


WRONG_ANSWERS = [
    _weights("no_scale", "not divided by sqrt(D)", scores="q @ keys.mT"),
    _weights("scale_by_d", "divided by D instead of sqrt(D)", scores="q @ keys.mT / q.shape[-1]"),
    _weights("no_mask", "the mask is missing", answer="scores.softmax(dim=-1)"),
    _weights("hides_itself", "hides the query's own position", answer=SHARES.replace("triu(1)", "triu(0)")),
    _weights("wrong_triangle", "shows the future", answer=SHARES.replace("triu(1)", "tril(-1)")),
    _weights("mask_after_softmax", "masked after the softmax", answer="scores.softmax(dim=-1).masked_fill(every.triu(1), 0.0)"),
    _weights("mask_with_zero", "e**0 = 1 is a share", answer="scores.masked_fill(every.triu(1), 0.0).softmax(dim=-1)"),
    _weights("softmax_over_queries", "runs over the queries", answer=SHARES.replace("dim=-1", "dim=-2")),
    _weights("softmax_forgotten", "the softmax is missing", answer='scores.masked_fill(every.triu(1), float("-inf"))'),
    _rotate("neighbours", "neighbours (0, 1), (2, 3) were paired", halves="x[..., 0::2], x[..., 1::2]",
            answer="torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)"),
    _rotate("other_way", "turned the other way", answer="torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)"),
    _rotate("counts_rows", "rows were counted from 0", positions="torch.arange(x.shape[2])"),
    _rotate("first_position_only", "only the first position was used", positions="(positions[0] + torch.arange(x.shape[2]))"),
    _rotate("one_speed", "at the same speed", speeds="speeds[:1].expand_as(speeds)"),
    _rotate("slowest_first", "pair 0 turns fastest", speeds="speeds.flip(0)"),
    _rotate("divides", "the angle is position times speed", speeds="(1 / speeds)"),
    _rotate("degrees", "already in radians", positions="torch.deg2rad(positions.float())"),
    _rotate("cosine_only", "only the cosine was used", answer="torch.cat([a * cos, b * cos], dim=-1)"),
    _rotate("adds_position", "a rotary position turns it", answer="x + torch.cat([cos, sin], dim=-1)"),
    _rotate("in_place", "changed in place", answer="x.copy_(torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1))"),
    _score("sum", "summed, not averaged", answer="weights[:, queries, queries - back].sum(dim=-1)"),
    _score("counts_all_queries", "have no key", answer="weights[:, queries, queries - back].sum(dim=-1) / L"),
    _score("wraps_around", "a negative column counts from the end", first="0"),
    _score("one_column", "count from each query", answer="weights[:, :, back].mean(dim=-1)"),
    _score("future", "the key stands `back` places BEFORE", answer="weights[:, queries - back, queries].mean(dim=-1)"),
    _score("largest", "that is the largest share", answer="weights[:, queries, queries - back].amax(dim=-1)"),
    _score("itself", "attention to the token itself", first="0", answer="weights[:, queries, queries].mean(dim=-1)"),
    _score("over_heads", "one number for each", answer="weights[:, queries, queries - back].mean(dim=0)"),
    _score("everything", "pick one key for each query", answer="weights.mean(dim=(1, 2))"),
    _cost("kv_head_matrix", "shared keys or not", held=HELD.replace("heads", "kv_heads")),
    _cost("linear_bytes", "linear in the tokens", held=HELD.replace("tokens**2", "tokens")),
    _cost("all_layers", "gone before the next is made", held=f"layers * {HELD}"),
    _cost("one_head", "each query head has its own matrix", held=HELD.replace("heads * ", "")),
    _cost("scores_are_rows", "a score is one number", held=f"{HELD} * head_dim"),
    _cost("values_not_bytes", "values, not bytes", held="heads * tokens**2"),
    _cost("kv_head_flops", "not arithmetic", work=WORK.replace("heads *", "kv_heads *")),
    _cost("multiply_adds", "a multiply-add is 2 FLOPs", work=WORK.replace("4", "2", 1)),
    _cost("one_layer", "one layer's FLOPs", work=WORK.replace("layers * ", "")),
    _cost("linear_flops", "FLOPs that grow with the tokens only once", work=WORK.replace("tokens**2", "tokens")),
]  # fmt: skip
