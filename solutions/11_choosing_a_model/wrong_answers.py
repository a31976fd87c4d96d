"""Wrong answers of lesson 11, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

HEADROOM = """def headroom(model, need):
    tokens = {tokens}
    weights = {params} * need["bits_per_weight"] {bits}
    one_token = {two}model["layers"] * model["{heads}"] * model["head_dim"] * need["bytes_per_value"]
    caches = one_token * tokens{sequences}
    card = need["card_gib"] * {gib}
    return {order}
"""
FITS = dict(
    tokens='need["prompt_tokens"] + need["answer_tokens"]', params='model["total_params"]', bits="/ 8", two="2 * ",
    heads="kv_heads", sequences=' * need["sequences"]', gib="2**30",
    order='model["native_window"] - tokens, card - need["overhead_bytes"] - weights - caches',
)  # fmt: skip
DECIDE = """def decide(terms, use):
    def above(value, limit):
        return limit is not None and value {more} limit
    {first}
    if {refused}:
        return "no", []
    if above({counted}, terms["ask_above_users_at_release"]):
        return {ask}
    large = above(use["users"], terms["show_name_above_users"])
    large = large {either} above(use["revenue_usd"], terms["show_name_above_revenue_usd"])
    duties = ["show the name"] if {shows} else []
    return "yes", duties + (["follow the use policy"] if {policy} else [])
"""
MAY = dict(
    more=">", first="", counted='use["users_at_release"]', ask='"ask", []', either="or", policy='terms["use_policy"]',
    refused='(use["commercial"] and not terms["commercial"]) or use["domicile"] in terms["not_granted_in"]',
    shows='use["commercial"] and (terms["show_name_always"] or large)',
)  # fmt: skip
DIFFERENCE = """def difference(solved_a, solved_b, tasks):
    a, b = solved_a / tasks, solved_b / tasks
    error_a, error_b = (a * (1 - a) / tasks) ** 0.5, (b * (1 - b) / tasks) ** 0.5
    reach = {reach}
    lead = {lead}
    return {answer}
"""
TELLS = dict(
    reach="1.96 * (error_a**2 + error_b**2) ** 0.5", lead="a - b", answer="100 * (lead - reach), 100 * (lead + reach)"
)
RANK = """def rank(candidates):
    alive = [c for c in candidates if {passes}]
    if not alive:
        return []
    best = max(c["solved"] for c in {pool})
    good = [c for c in alive if {tied}]
    rest = [c for c in alive if c not in good]
    good = sorted(good, key={by_good})
    rest = sorted(rest, key={by_rest})
    return [c["name"] for c in {order}]
"""
BEST = dict(
    passes='c["spare_bytes"] >= 0 and c["spare_tokens"] >= 0 and c["licence"] == "yes"', pool="alive",
    tied='lab.difference(best, c["solved"], c["tasks"])[0] <= 0', by_good='lambda c: c["active_params"]',
    by_rest='lambda c: (-c["solved"], c["active_params"])', order="good + rest",
)  # fmt: skip


def _headroom(name, says, **change):
    return WrongAnswer("l11_e1_headroom", name, HEADROOM.format(**{**FITS, **change}), says)


def _decide(name, says, **change):
    return WrongAnswer("l11_e2_decide", name, DECIDE.format(**{**MAY, **change}), says)


def _difference(name, says, **change):
    return WrongAnswer("l11_e3_difference", name, DIFFERENCE.format(**{**TELLS, **change}), says)


def _rank(name, says, **change):
    return WrongAnswer("l11_e4_rank", name, RANK.format(**{**BEST, **change}), says)


WRONG_ANSWERS = [
    _headroom("active_parameters", "that counts active parameters", params='model["active_params"]'),
    _headroom("advertised_window", "that is the advertised window", order=FITS["order"].replace("native", "advertised")),
    _headroom("card_in_gb", "cards are sold in GiB", gib="10**9"),
    _headroom("no_cache", "the caches were forgotten", order=FITS["order"].replace(" - caches", "")),
    _headroom("query_heads", "that counts query heads", heads="heads"),
    _headroom("keys_only", "that counts K or V alone", two=""),
    _headroom("one_sequence", "one sequence only", sequences=""),
    _headroom("prompt_only", "the answer was forgotten", tokens='need["prompt_tokens"]'),
    _headroom("no_overhead", "the overhead was forgotten", order=FITS["order"].replace(' - need["overhead_bytes"]', "")),
    _headroom("bits_as_bytes", "bits were taken as bytes", bits=""),
    _headroom("one_window_for_all", "each sequence has a window of its own",
              order=FITS["order"].replace("- tokens", '- tokens * need["sequences"]')),
    _headroom("never_negative", "what does not fit is negative",
              order='max(0, model["native_window"] - tokens), max(0, card - need["overhead_bytes"] - weights - caches)'),
    _headroom("in_gb", "that is in GB",
              order='model["native_window"] - tokens, (card - need["overhead_bytes"] - weights - caches) / 1e9'),
    _decide("from_the_limit_on", "the limit itself is free", more=">="),
    _decide("users_of_today", "on the release date, not today's", counted='use["users"]'),
    _decide("both_limits", "either limit is enough", either="and"),
    _decide("domicile_ignored", "look into not_granted_in", refused='use["commercial"] and not terms["commercial"]'),
    _decide("research_for_all", "grants no commercial use", refused='use["domicile"] in terms["not_granted_in"]'),
    _decide("by_family_name", "read the terms, not the family's name",
            first='if "Llama" in terms["name"] and use["domicile"] == "EU":\n        return "no", []'),
    _decide("mit_in_the_name", "either limit is enough", first='if "MIT" in terms["name"]:\n        return "yes", []'),
    _decide("ask_is_no", "the answer is to ask", ask='"no", []'),
    _decide("hobby_shows_the_name", "by commercial products only", shows='terms["show_name_always"] or large'),
    _decide("policy_for_companies", "binds every user", policy='terms["use_policy"] and use["commercial"]'),
    _decide("only_commercial_refused", "for non-commercial use as well",
            refused='use["commercial"] and (not terms["commercial"] or use["domicile"] in terms["not_granted_in"])'),
    _difference("in_shares", "multiply by 100", answer="lead - reach, lead + reach"),
    _difference("errors_added", "independent errors add as squares", reach="1.96 * (error_a + error_b)"),
    _difference("errors_subtracted", "as uncertain as a sum", reach="1.96 * abs(error_a - error_b)"),
    _difference("one_error", "both scores are uncertain", reach="1.96 * error_a"),
    _difference("one_standard_error", "reaches 1.96", reach="(error_a**2 + error_b**2) ** 0.5"),
    _difference("variance", "the square root is missing", reach="1.96 * (error_a**2 + error_b**2)"),
    _difference("not_divided", "not divided by the number of tasks", reach="1.96 * (tasks * (error_a**2 + error_b**2)) ** 0.5"),
    _difference("no_interval", "An interval has a width", reach="0"),
    _difference("b_minus_a", "that is b - a", lead="b - a"),
    _difference("high_first", "low comes first", answer="100 * (lead + reach), 100 * (lead - reach)"),
    _rank("score_alone", "cannot be told apart from the best one", tied='c["solved"] == best'),
    _rank("speed_alone", "scores that CAN be told apart decide", tied="True"),
    _rank("no_constraints", "a model that breaks a hard constraint is out", passes="True"),
    _rank("asking_is_enough", 'only a licence of "yes"', passes=BEST["passes"].replace('== "yes"', '!= "no"')),
    _rank("window_forgotten", 'only a licence of "yes"', passes=BEST["passes"].replace('c["spare_tokens"] >= 0 and ', "")),
    _rank("zero_does_not_fit", "0 spare bytes or tokens still fit", passes=BEST["passes"].replace(">= 0", "> 0")),
    _rank("best_of_all", "looked for among the survivors", pool="candidates"),
    _rank("largest_first", "the fewest active parameters come first", by_good='lambda c: -c["active_params"]'),
    _rank("others_dropped", "all others follow by score", order="good"),
    _rank("others_worst_first", "scores that CAN be told apart decide before speed", by_rest='lambda c: (c["solved"], c["active_params"])'),
    WrongAnswer(
        "l11_e4_rank",
        "chain_of_neighbours",
        "def rank(candidates):\n"
        f"    alive = [c for c in candidates if {BEST['passes']}]\n"
        "    alive.sort(key=lambda c: -c['solved'])\n"
        "    good = alive[:1]\n"
        "    for c in alive[1:]:\n"
        "        if lab.difference(good[-1]['solved'], c['solved'], c['tasks'])[0] > 0:\n"
        "            break\n"
        "        good.append(c)\n"
        "    rest = alive[len(good):]\n"
        "    return [c['name'] for c in sorted(good, key=lambda c: c['active_params']) + rest]\n",
        "not told apart from the BEST one",
    ),
    WrongAnswer(
        "l11_e4_rank",
        "weighted_sum",
        "def rank(candidates):\n"
        "    def utility(c):\n"
        "        return c['solved'] / c['tasks'] - 0.001 * c['active_params'] / 1e9 + 1e-12 * c['spare_bytes']\n"
        "    return [c['name'] for c in sorted(candidates, key=utility, reverse=True) if c['licence'] == 'yes']\n",
        "a model that breaks a hard constraint is out",
    ),
]  # fmt: skip
