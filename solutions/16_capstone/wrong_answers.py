"""Wrong answers of the capstone tasks, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

WEIGHTS = """def weights_gb(parameters, bits, kept_16bit=0, group=None):
    extra = 20 / group if group else 0
    rest = parameters - kept_16bit
    return {}
"""
CACHE = """def cache_gb(model, tokens, bytes_per_value=2):
    layers, heads, kv_heads, head_dim = (model[k] for k in ("layers", "attention_heads", "kv_heads", "head_dim"))
    return {}
"""
SHARE = """def per_gpu_gb(weights, cache, kv_heads, tp, overhead):
    share = cache / min(tp, kv_heads)
    return {}
"""
TABLE = """def budget_table(models, configs, tokens=8192):
    rows = []
    for {outer}:
        for {inner}:
            weights = weights_gb({parameters})
            total = per_gpu_gb(weights, cache_gb({cache}), m["kv_heads"], {tp}, {overhead}){scale}
            fits = {fits}
            rows.append({{"model": m["name"], "config": c["name"], "per_gpu_gb": total, "fits": fits}})
    return rows{cut}
"""
RIGHT = dict(
    outer="m in models", inner="c in configs", tp='c["gpus"]', overhead="1.5", scale="", cut="", cache="m, tokens",
    parameters='m["parameters"], m["bits"], m["kept_16bit"], m["group"]',
    fits='total * 1e9 <= c["vram_gib"] * 2**30',
)  # fmt: skip
ALL_BITS = "(rest * (bits + extra) + kept_16bit * 16)"


CHEAPEST = """def cheapest(model, offers, users, context):
    {window}
    weights, one = weights_gb({parameters}), cache_gb(model, 1)
    found = []
    for offer in offers:
        for gpus in {counts}:
            {most}
            empty = per_gpu_gb(weights, 0, model["kv_heads"], gpus, {overhead})
            token = per_gpu_gb(0, {users} * one, model["kv_heads"], {dealt}, 0)
            tokens = {whole}((offer["vram_gib"] * {gib} - empty) / token)
            if tokens >= context:
                found.append(({key}, gpus * offer["usd"], gpus, offer["card"], {longest}))
    found = [f[-4:] for f in sorted(found)]
    return dict(zip(("usd", "gpus", "card", "longest_context"), found[0])) if found else {nothing}
"""
SERVES = dict(
    window='if context > model["window"]: return None', most='if gpus > offer["most"]: continue', counts="(1, 2, 4, 8)",
    parameters='model["parameters"], model["bits"], model["kept_16bit"], model["group"]', overhead="1.5", users="users",
    dealt="gpus", whole="int", gib="2**30 / 1e9", key="0", longest='min(tokens, model["window"])', nothing="None",
)  # fmt: skip


def _weights(name, formula, says):
    return WrongAnswer("l16_vram_e1_weights", name, WEIGHTS.format(formula), says)


def _cache(name, formula, says):
    return WrongAnswer("l16_vram_e2_cache", name, CACHE.format(formula), says)


def _share(name, formula, says):
    return WrongAnswer("l16_vram_e3_share", name, SHARE.format(formula), says)


def _table(name, says, **change):
    return WrongAnswer("l16_vram_e4_table", name, TABLE.format(**{**RIGHT, **change}), says)


def _cheapest(name, says, **change):
    return WrongAnswer("l16_vram_e5_cheapest", name, CHEAPEST.format(**{**SERVES, **change}), says)


WRONG_ANSWERS = [
    _weights("bits_for_bytes", f"{ALL_BITS} / 1e9", "divide by 8"),
    _weights("in_bytes", f"{ALL_BITS} / 8", "that is in bytes"),
    _weights("in_gib", f"{ALL_BITS} / 8 / 2**30", "in GiB"),
    _weights("always_16_bits", "parameters * 2 / 1e9", "whatever `bits` says"),
    _weights("divides_by_bits", "parameters / bits * 8 / 1e9", "multiply by them"),
    _weights("whole_bytes", "parameters * (bits // 8) / 1e9", "half a byte"),
    _weights("flat", "parameters * bits / 8 / 1e9", "that is flat"),
    _weights("embeddings_quantized", "parameters * (bits + extra) / 8 / 1e9", "quantized too"),
    _weights("no_scales", "(rest * bits + kept_16bit * 16) / 8 / 1e9", "20 bits a group"),
    _weights("kept_twice", "(parameters * (bits + extra) + kept_16bit * 16) / 8 / 1e9", "counted twice"),
    _weights("kept_forgotten", "rest * (bits + extra) / 8 / 1e9", "parameters are missing"),
    _weights("no_zero_points", "(rest * (bits + extra * 0.8) + kept_16bit * 16) / 8 / 1e9", "zero points are missing"),
    _weights("kept_have_groups", "(rest * bits + parameters * extra + kept_16bit * 16) / 8 / 1e9", "have no groups"),
    _cache("keys_only", "layers * kv_heads * head_dim * tokens * bytes_per_value / 1e9", "holds both"),
    _cache("query_heads", "2 * layers * heads * head_dim * tokens * bytes_per_value / 1e9", "query heads"),
    _cache("in_bytes", "2 * layers * kv_heads * head_dim * tokens * bytes_per_value", "that is in bytes"),
    _cache("in_gib", "2 * layers * kv_heads * head_dim * tokens * bytes_per_value / 2**30", "in GiB"),
    _cache("one_layer", "2 * kv_heads * head_dim * tokens * bytes_per_value / 1e9", "one layer"),
    _cache("one_head", "2 * layers * head_dim * tokens * bytes_per_value / 1e9", "one key-value head"),
    _cache("values_not_bytes", "2 * layers * kv_heads * head_dim * tokens / 1e9", "counts values"),
    _cache("always_16_bits", "4 * layers * kv_heads * head_dim * tokens / 1e9", "whatever `bytes_per_value` says"),
    _share("whole_model", "weights + cache + overhead", "the whole model"),
    _share("overhead_divided", "weights / tp + share + overhead / tp", "overhead was divided"),
    _share("everything_divided", "(weights + cache + overhead) / tp", "every GPU pays"),
    _share("cache_not_dealt_out", "weights / tp + cache + overhead", "cache was not dealt out"),
    _share("weights_not_dealt_out", "weights + share + overhead", "weights were not dealt out"),
    _share("splits_a_head", "weights / tp + cache / tp + overhead", "head was split"),
    _share("one_head_each", "weights / tp + cache / kv_heads + overhead", "one key-value head a GPU"),
    _share("no_overhead", "weights / tp + share", "overhead is missing"),
    _share("no_cache", "weights / tp + overhead", "cache is missing"),
    _share("all_gpus", "weights + share * tp + overhead * tp", "sum over all GPUs"),
    _table("not_split", "tp = n", tp="1"),
    _table("no_overhead", "1.5 GB is missing", overhead="0.0"),
    _table("overhead_divided", "overhead was divided", overhead='1.5 / c["gpus"]'),
    _table("flat_weights", "weights are flat", parameters='m["parameters"], m["bits"]'),
    _table(
        "active_parameters", "active parameters were counted",
        parameters='m["active_parameters"], m["bits"], m["kept_16bit"], m["group"]',
    ),
    _table("always_8192", "whatever `tokens` says", cache="m, 8192"),
    _table("card_in_gb", "GB was compared with GiB", fits='total <= c["vram_gib"]'),
    _table("sum_over_gpus", "sum over all GPUs", scale=' * c["gpus"]'),
    _table("in_gib", "per_gpu_gb is in GB", scale=" * 1e9 / 2**30", fits='total <= c["vram_gib"]'),
    _table("configs_outermost", "models outermost", outer="c in configs", inner="m in models"),
    _table("cards_added_up", "a second time", fits='total * 1e9 <= c["gpus"] * c["vram_gib"] * 2**30'),
    _table("says_yes", "True or False", fits='"yes" if total * 1e9 <= c["vram_gib"] * 2**30 else "no"'),
    _table("rows_missing", "loop over all models", cut="[:3]"),
    _cheapest("one_user", "the cache of one user", users="1"),
    _cheapest("fewest_gpus", "the fewest GPUs", key="gpus"),
    _cheapest("cheapest_card", "the cheapest card", key='offer["usd"]'),
    _cheapest("longest", "that is the longest context", key="-tokens"),
    _cheapest("too_many_cards", "more than `most` cards", most="pass"),
    _cheapest("one_card_only", "several GPUs may work together", counts="(1,)"),
    _cheapest("no_window", "at most `window` tokens", window="pass", longest="tokens"),
    _cheapest("sum_over_users", "sum over all users", longest='min(tokens, model["window"]) * users'),
    _cheapest("cache_not_dealt_out", "its share of the key-value heads", dealt="1"),
    _cheapest("half_tokens", "an int, rounded down", whole="float"),
    _cheapest("empty_dict", "return a dict with these keys", nothing="{}"),
]  # fmt: skip


# Task model_selection.

SEL_MEMORY = """def memory_bytes(model, precision, users, context, cards):
    file, over = model["files"][precision], 1_500_000_000
    full, window = model["cache_bytes_per_token"], model["window_bytes_per_token"]
    seen, state = min(context, model["window_tokens"]), model["state_bytes"]
    one = full * context + window * seen + state
    return {}
"""
SEL_LATENCY = """def latency_s(model, precision, scenario):
    file, users, prompt = model["files"][precision], scenario["users"], scenario["prompt_tokens"]
    pairs = model["flops_per_pair"] * prompt * prompt / 2
    work = model["flops_per_token"] * prompt
    steps, tokens = model["thinking_tokens"] + scenario["answer_tokens"], 0
    whole = prompt + steps
    kept = users * lab.cache_bytes(model, whole)
    experts, idle = file["expert_bytes"], model["idle_share"]
    weights = file["bytes"] - experts * idle**users
    first, rate = (work + pairs) / scenario["flops_per_s"], scenario["bytes_per_s"]
    return {}
"""
SEL_BROKEN = """def broken(model, precision, context, scenario):
    need = scenario["prompt_tokens"] + model["thinking_tokens"] + scenario["answer_tokens"]
    used = memory_bytes(model, precision, scenario["users"], {held}, scenario["cards"])
    answer, duties = decide(model["licence"], scenario["use"])
    tests = {{
        "memory": {memory},
        "context": {context},
        "licence": {licence},
        "evidence": {evidence},
        "latency": {latency},
    }}
    return {found}
"""
SEL_BROKEN_RIGHT = dict(
    held="context", memory='used > scenario["cards"] * scenario["vram_gib"] * 2**30',
    context='context < need or context > model["native_context"]',
    licence='answer != "yes" or any(duty in scenario["refuses"] for duty in duties)',
    evidence='model["scores"].get(scenario["benchmark"], 0) < scenario["at_least"]',
    latency='latency_s(model, precision, scenario) > scenario["seconds"]', found="[name for name in tests if tests[name]]",
)  # fmt: skip
SEL_CHOOSE = """def choose(scenario, catalog):
    options, reasons = [], {{}}
    {before}
    for m in catalog:
        judged = {judged}(m["files"], key=lambda precision: m["files"][precision]["bytes"])
        against = broken(m, judged, {held}, scenario)
        if {listed}:
            reasons[m["name"]] = {reasons}
        for precision in {files}:
            for context in {contexts}:
                if {fits}:
                    score = m["scores"].get(scenario["benchmark"], 0)
                    options.append(({value}, m["name"], precision, context))
    if not options:
        return {nothing}
    best = {best}
    return lab.Choice(best[1], best[2], best[3], reasons)
"""
SEL_CHOOSE_RIGHT = dict(
    before="pass", judged="min", held="lab.need(m, scenario)", listed="against", reasons="against", files='m["files"]',
    contexts="lab.contexts(m, scenario)", fits="not broken(m, precision, context, scenario)", best="max(options)",
    value="lab.utility(m, precision, context, scenario)", nothing="lab.Choice(None, None, None, reasons)",
)  # fmt: skip


def _sel_memory(name, formula, says):
    return WrongAnswer("l16_sel_e1_memory", name, SEL_MEMORY.format(formula), says)


def _sel_latency(name, formula, says):
    return WrongAnswer("l16_sel_e2_latency", name, SEL_LATENCY.format(formula), says)


def _sel_broken(name, says, **change):
    return WrongAnswer("l16_sel_e3_broken", name, SEL_BROKEN.format(**{**SEL_BROKEN_RIGHT, **change}), says)


def _sel_choose(name, says, **change):
    return WrongAnswer("l16_sel_e4_choose", name, SEL_CHOOSE.format(**{**SEL_CHOOSE_RIGHT, **change}), says)


WRONG_ANSWERS += [
    _sel_memory("no_overhead", 'file["bytes"] + users * one', "the overhead is missing"),
    _sel_memory("one_overhead", 'file["bytes"] + users * one + over', "every card pays it"),
    _sel_memory("overhead_a_user", 'file["bytes"] + users * (one + cards * over)', "a card's, not a user's"),
    _sel_memory("one_user", 'file["bytes"] + one + cards * over', "every user has a cache"),
    _sel_memory("weights_a_user", 'users * (file["bytes"] + one) + cards * over', "one copy of the weights"),
    _sel_memory(
        "active_only", 'file["bytes"] - file["expert_bytes"] * model["idle_share"] + users * one + cards * over',
        "all weights lie on the cards",
    ),
    _sel_memory(
        "no_experts", 'file["bytes"] - file["expert_bytes"] + users * one + cards * over', "the experts are missing"
    ),
    _sel_memory("always_16_bits", 'model["parameters"] * 2 + users * one + cards * over', "whatever `precision` says"),
    _sel_memory(
        "no_window_layers", 'file["bytes"] + users * (full * context + state) + cards * over', "window layers are missing"
    ),
    _sel_memory(
        "window_grows", 'file["bytes"] + users * ((full + window) * context + state) + cards * over',
        "window_tokens at most",
    ),
    _sel_memory(
        "window_always_full",
        'file["bytes"] + users * (full * context + window * model["window_tokens"] + state) + cards * over',
        "only a part of it",
    ),
    _sel_memory("no_state", 'file["bytes"] + users * (one - state) + cards * over', "the state is missing"),
    _sel_memory(
        "state_grows", 'file["bytes"] + users * ((full + state) * context + window * seen) + cards * over',
        "does not grow",
    ),
    _sel_memory("one_state", 'file["bytes"] + users * (one - state) + state + cards * over', "one state only"),
    _sel_memory("in_gb", '(file["bytes"] + users * one + cards * over) / 1e9', "that is in GB"),
    _sel_memory("one_card", '(file["bytes"] + users * one + cards * over) / cards', "one card's share"),
    _sel_latency("no_prompt", "steps * (weights + kept) / rate", "reading the prompt is missing"),
    _sel_latency(
        "no_pairs", 'work / scenario["flops_per_s"] + steps * (weights + kept) / rate', "the pairs of attention are missing"
    ),
    _sel_latency(
        "pairs_twice", '(work + 2 * pairs) / scenario["flops_per_s"] + steps * (weights + kept) / rate', "counted twice"
    ),
    _sel_latency("all_prompts", "users * first + steps * (weights + kept) / rate", "one prompt only"),
    _sel_latency(
        "answer_only", 'first + scenario["answer_tokens"] * (weights + kept) / rate', "writes thinking_tokens before"
    ),
    _sel_latency(
        "thinking_not_cached",
        'first + steps * (weights + users * lab.cache_bytes(model, prompt + scenario["answer_tokens"])) / rate',
        "thinking lies in the cache",
    ),
    _sel_latency(
        "cache_of_the_prompt", "first + steps * (weights + users * lab.cache_bytes(model, prompt)) / rate",
        "hold prompt, thinking and answer",
    ),
    _sel_latency("one_cache", "first + steps * (weights + kept / users) / rate", "a step reads everybody's"),
    _sel_latency("no_caches", "first + steps * weights / rate", "reads the caches as well"),
    _sel_latency("all_weights", 'first + steps * (file["bytes"] + kept) / rate', "unread experts were read"),
    _sel_latency(
        "one_users_experts", 'first + steps * (file["bytes"] - experts * idle + kept) / rate', "its own experts"
    ),
    _sel_latency(
        "read_by_each", 'first + steps * (users * (file["bytes"] - experts * idle) + kept) / rate', "is read once"
    ),
    _sel_latency("experts_never_read", 'first + steps * (file["bytes"] - experts + kept) / rate', "must be read too"),
    _sel_latency("the_unread", "first + steps * (experts * idle**users + kept) / rate", "that is what stays unread"),
    _sel_latency(
        "all_weights_idle", 'first + steps * (file["bytes"] * (1 - idle**users) + kept) / rate', "only experts stay unread"
    ),
    _sel_latency("one_by_one", "first + users * steps * (weights + kept) / rate", "in one batch"),
    _sel_latency("one_step", "first + (weights + kept) / rate", "that is one step"),
    _sel_latency("milliseconds", "(first + steps * (weights + kept) / rate) * 1000", "in milliseconds"),
    _sel_broken("card_in_gb", "N x 2**30 bytes", memory='used > scenario["cards"] * scenario["vram_gib"] * 10**9'),
    _sel_broken("one_card", "all cards together", memory='used > scenario["vram_gib"] * 2**30'),
    _sel_broken("memory_at_need", "by the context that is reserved", held="need"),
    _sel_broken("below_the_card", "to the last byte", memory='used >= scenario["cards"] * scenario["vram_gib"] * 2**30'),
    _sel_broken(
        "advertised_window", "needs an extension", context='context < need or context > model["advertised_context"]'
    ),
    _sel_broken("window_alone", "must both lie in the context", context='context > model["native_context"]'),
    _sel_broken(
        "need_alone", "beyond the native window: the advertised", context="context < need",
    ),
    _sel_broken(
        "no_thinking", "what a model thinks",
        context='context < need - model["thinking_tokens"] or context > model["native_context"]',
    ),
    _sel_broken("ask_is_yes", '"ask" is no yes', licence='answer == "no" or any(duty in scenario["refuses"] for duty in duties)'),
    _sel_broken("duties_ignored", "a duty that the scenario refuses", licence='answer != "yes"'),
    _sel_broken("no_duties_at_all", "does not refuse is no obstacle", licence='answer != "yes" or duties'),
    _sel_broken(
        "no_score_passes", "no published score", evidence='model["scores"].get(scenario["benchmark"], 100) < scenario["at_least"]'
    ),
    _sel_broken(
        "any_benchmark", "on another benchmark", evidence='max(model["scores"].values(), default=0) < scenario["at_least"]'
    ),
    _sel_broken(
        "loss_in_the_evidence", "whatever the loss",
        evidence='model["scores"].get(scenario["benchmark"], 0) - model["files"][precision]["loss"] < scenario["at_least"]',
    ),
    _sel_broken("limit_is_too_slow", "exactly the limit passes", latency='latency_s(model, precision, scenario) >= scenario["seconds"]'),
    _sel_broken("first_only", "not the first alone", found="[name for name in tests if tests[name]][:1]"),
    _sel_broken("returns_true", "Return a list of names", found="any(tests.values())"),
    _sel_broken("the_kept_ones", "is not broken", found="[name for name in tests if not tests[name]]"),
    _sel_choose("highest_score", "it has the highest score", value="score"),
    _sel_choose("fastest", "it is the fastest", value="-latency_s(m, precision, scenario)"),
    _sel_choose("largest", "it is the largest", value='m["parameters"]'),
    _sel_choose("lowest", "it has the lowest utility", best="min(options)"),
    _sel_choose("first_that_fits", "it is the first that fits", best="options[0]"),
    _sel_choose("context_of_the_need", "room counts", contexts="[lab.need(m, scenario)]"),
    _sel_choose("smallest_files_only", "compare all files", files="[judged]"),
    _sel_choose(
        "licence_ignored", "breaks licence", fits='set(broken(m, precision, context, scenario)) <= {"licence"}'
    ),
    _sel_choose(
        "memory_ignored", "breaks memory", fits='set(broken(m, precision, context, scenario)) <= {"memory"}',
    ),
    _sel_choose(
        "latency_ignored", "breaks latency", fits='set(broken(m, precision, context, scenario)) <= {"latency"}',
        value="lab.utility(m, precision, context, scenario) + lab.latency_s(m, precision, scenario) / scenario['seconds']",
    ),
    _sel_choose(
        "window_ignored", "breaks context", fits='set(broken(m, precision, context, scenario)) <= {"context"}'
    ),
    _sel_choose(
        "always_somebody", "then model, precision and context are None",
        nothing='lab.Choice(catalog[0]["name"], min(catalog[0]["files"]), 8192, reasons)',
    ),
    _sel_choose("always_nobody", "nothing was chosen", best="None, None, None, None"),
    _sel_choose("no_reasons", "needs its reasons", listed="False"),
    _sel_choose("first_reason_only", "name every constraint", reasons="against[:1]"),
    _sel_choose("reasons_of_the_largest_file", "judged by its smallest file", judged="max"),
    _sel_choose("reasons_at_twice_the_need", "not with more", held="2 * lab.need(m, scenario)"),
    _sel_choose(
        "reasons_without_thinking", "holds its thinking", held='scenario["prompt_tokens"] + scenario["answer_tokens"]'
    ),
    _sel_choose("sorts_the_catalog", "was changed", before='catalog.sort(key=lambda m: m["name"])'),
]  # fmt: skip
