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


# deployment_plan

PLAN_SECONDS = """def switch_seconds(server, leaves, leaves_to, comes, comes_from):
    link, storage = server["link_gbs"], server["storage_gbs"]
    n, m, out, into = len(leaves["gpus"]), len(comes["gpus"]), leaves["weights_gb"], comes["weights_gb"]
    stop, start, warm, wake = (server[k] for k in ("stop_s", "process_start_s", "warm_up_s", "wake_s"))
    down = {{"cold": {stop}, "level 1": {one}, "level 2": {two}}}[leaves_to]
    up = {copy} + {{"cold": {read} + {cold}, "level 1": {woken}, "level 2": {again} + wake}}[comes_from]
    return {result}
"""
PLAN_SECONDS_RIGHT = dict(
    stop="stop", one="out / (link * n)", two="0", copy="into / (link * m)", read="into / storage", cold="start + warm",
    woken="wake", again="into / storage", result="down + up",
)  # fmt: skip
PLAN_BREAK = """def first_break(server, engines, moments):
    found = None
    for number, states in enumerate(moments{first}):
        cards, ram = [0.0] * server["gpus"], 0.0
        for name, state in states.items():
            one = engines[name]
            tp, held = len(one["gpus"]), {asleep}
            if state == "awake":
                held = {weights} + {cache} + {overhead}
            for card in {own}:
                cards[card] += held if state != "cold" else 0
            ram += {ram} if state in {in_ram} else 0
        for card, used in enumerate({cards}):
            if used * 1e9 > {room} and found is None:
                found = number, f"GPU {{card}}"
        if ram * 1e9 > {ram_room} and found is None:
            found = number, "RAM"
        {reset}
    return {result}
"""
PLAN_BREAK_RIGHT = dict(
    first="", asleep='server["asleep_gb"]', weights='one["weights_gb"] / tp', cache='one["cache_gb"] / min(tp, one["kv_heads"])',
    overhead='server["overhead_gb"]', own='one["gpus"]', ram='one["weights_gb"]', in_ram='["level 1"]', cards="cards",
    room='server["vram_gib"] * 2**30', ram_room='server["ram_gib"] * 2**30', reset="pass", result="found",
)  # fmt: skip
PLAN_CALLS = """def switch_calls(leaves, leaves_to, comes, comes_from):
    down = [(leaves, "stop")] if leaves_to == "cold" else [(leaves, "POST", {sleep}, {body})]
    up = {{
        "cold": [(comes, "start")],
        "level 1": [(comes, "POST", {wake}, None)],
        "level 2": [{deep}],
    }}[comes_from]
    return {result}
"""
PLAN_DEEP = [
    '(comes, "POST", "/wake_up?tags=weights", None)',
    '(comes, "POST", "/collective_rpc", {"method": "reload_weights"})',
    '(comes, "POST", "/wake_up?tags=kv_cache", None)',
]
PLAN_CALLS_RIGHT = dict(
    sleep='f"/sleep?level={leaves_to[-1]}&mode=wait"', body="None", wake='"/wake_up"', deep=", ".join(PLAN_DEEP),
    result="down + up",
)  # fmt: skip
PLAN = """def plan(server, workloads, models):
    names, cards, engines = [w["name"] for w in workloads], {cards}, {{}}
    asleep = {{n: {{"gpus": cards}} for n in names[1:]}}
    moment = {{"it": "awake"}} | dict.fromkeys(asleep, "level 2")
    for w in workloads:
        wishes = [task.engine(models, m, b, cards, {context}, {users}) for m, b in w["wishes"]]
        everything, wishes = wishes, [e for e in wishes if e["context"] <= models[e["model"]]["window"]]
        engines[w["name"]] = next(e for e in {order} if {fits})
    levels = dict.fromkeys(names, "level 1")
    for n in names:
        if {full}:
            levels[n] = "level 2"

    def move(a, b):
        return {move}

    def switch(at, a, b):
        seconds = {seconds}
        return {{"at_s": at, "steps": move(a, b), "estimate_s": seconds}}

    {change}
    morning = [s for n in names[:0:-1] for s in [(n, "start"), (n, "POST", f"/sleep?level={{levels[n][-1]}}", None)]]
    first = {{"at_s": {early}, "steps": [{morning}(names[0], "start")]}}
    later = [switch({at}, w["name"], n) for w, n in zip(workloads, names[1:])]
    slots = [{{"workload": n, "engine": n, "residency": {residency}}} for n in names]
    urgent = {{a: {{b: {{"there": move(a, b), "back": {back}}} for b in names}} for a in names}}
    fallbacks = {{"urgent": {urgent}, "restart": {restart}}}
    return {{"engines": engines, "slots": slots, "switches": [first, *later], "fallbacks": fallbacks}}
"""
PLAN_RIGHT = dict(
    cards='list(range(server["gpus"]))', context='w["context"]', users='w["users"]', order="wishes",
    fits='not first_break(server, {"it": e, **asleep}, [moment])', full="first_break(server, engines, [levels])",
    move="switch_calls(a, levels[a], b, levels[b])", change="pass", morning="*morning, ", at='w["end_s"]',
    seconds="switch_seconds(server, engines[a], levels[a], engines[b], levels[b])",
    early='workloads[0]["start_s"] - 1800', residency='{**levels, n: "awake"}', back="move(b, a)", urgent="urgent",
    restart='{n: [(n, "start")] for n in names}',
)  # fmt: skip


def _plan_seconds(name, says, **change):
    return WrongAnswer("l16_plan_e1_seconds", name, PLAN_SECONDS.format(**{**PLAN_SECONDS_RIGHT, **change}), says)


def _plan_break(name, says, **change):
    return WrongAnswer("l16_plan_e2_break", name, PLAN_BREAK.format(**{**PLAN_BREAK_RIGHT, **change}), says)


def _plan_calls(name, says, **change):
    return WrongAnswer("l16_plan_e3_calls", name, PLAN_CALLS.format(**{**PLAN_CALLS_RIGHT, **change}), says)


def _plan(name, says, **change):
    return WrongAnswer("l16_plan_e4_plan", name, PLAN.format(**{**PLAN_RIGHT, **change}), says)


WRONG_ANSWERS += [
    _plan_seconds("one_link", "that is one link", one="out / link", copy="into / link"),
    _plan_seconds("storage_shared", "storage was divided by the GPUs", read="into / storage / m", again="into / storage / m"),
    _plan_seconds("no_copy", "must cross the link whenever", copy="0"),
    _plan_seconds("bits", "the speeds are GB/s", one="8 * out / link / n", copy="8 * into / link / m", read="8 * into / storage",
                  again="8 * into / storage"),
    _plan_seconds("both_directions", "one direction", one="out / (2 * link * n)", copy="into / (2 * link * m)"),
    _plan_seconds("free_sleep", "copies the leaving weights to RAM", one="0"),
    _plan_seconds("wrong_weights_leave", "the leaving engine's own weights", one="into / (link * n)"),
    _plan_seconds("writes_to_storage", "nothing is written to storage", one="out / (link * n) + out / storage"),
    _plan_seconds("level_2_copies", "level 2 drops the weights", two="out / (link * n)"),
    _plan_seconds("no_stop", "stopping the leaving process", stop="0"),
    _plan_seconds("stops_sleepers", "it sleeps: no stop_s", one="stop + out / (link * n)", two="stop"),
    _plan_seconds("level_1_reads", "storage is not read", woken="wake + into / storage"),
    _plan_seconds("level_2_from_ram", "read from storage first", again="0"),
    _plan_seconds("overlapped", "follow each other", copy="0 * into", read="max(into / storage, into / (link * m))",
                  again="max(into / storage, into / (link * m))", woken="wake + into / (link * m)"),
    _plan_seconds("no_process_start", "process_start_s is missing", cold="warm"),
    _plan_seconds("no_warm_up", "warm_up_s is missing", cold="start"),
    _plan_seconds("no_wake", "waking takes wake_s", woken="0", again="into / storage - wake"),
    _plan_seconds("woken_process_warms_up", "has compiled already", woken="wake + warm", again="into / storage + warm"),
    _plan_seconds("warm_and_wake_swapped", "warm_up_s for cold ones", cold="start + wake", woken="warm",
                  again="into / storage + warm - wake"),
    _plan_break("no_asleep", "keeps asleep_gb", asleep="0"),
    _plan_break("no_overhead", "pays overhead_gb", overhead="0"),
    _plan_break("overhead_divided", "overhead was divided", overhead='server["overhead_gb"] / tp'),
    _plan_break("whole_weights", "holds 1 / tp of the weights", weights='one["weights_gb"]'),
    _plan_break("whole_cache", "dealt out by key-value heads", cache='one["cache_gb"]'),
    _plan_break("split_heads", "copy of one head", cache='one["cache_gb"] / tp'),
    _plan_break("no_cache", "cache of an awake engine is missing", cache="0"),
    _plan_break("card_in_gb", "a card of N GiB", room='server["vram_gib"] * 1e9'),
    _plan_break("ram_in_gb", "RAM of N GiB", ram_room='server["ram_gib"] * 1e9'),
    _plan_break("level_2_in_ram", "level 2 drops the weights", in_ram='["level 1", "level 2"]'),
    _plan_break("nothing_in_ram", "at level 1 the weights lie in RAM", in_ram="[]"),
    _plan_break("awake_in_ram", "have their weights on the GPUs", in_ram='["level 1", "awake"]'),
    _plan_break("ram_divided", "whatever tp is", ram='one["weights_gb"] / tp'),
    _plan_break("added_up", "each card is compared on its own", cards="[sum(cards)]", room='server["gpus"] * server["vram_gib"] * 2**30'),
    _plan_break("asleep_on_top", "overhead_gb is all", overhead='server["overhead_gb"] + server["asleep_gb"]'),
    _plan_break("everywhere", "its own GPUs only", own="range(server[\"gpus\"])"),
    _plan_break("last_moment", "the first moment", reset="first, found = (found or locals().get('first')), None", result="first"),
    _plan_break("counts_from_1", "counted from 0", first=", 1"),
    _plan_break("says_false", "None is the answer", result="found or False"),
    _plan_break("number_only", "a pair", result="found and found[0]"),
    _plan_calls("source_lesson", "stand at the root", sleep='"/v1/sleep"', body='{"level": "l1"}', wake='"/v1/wake"'),
    _plan_calls("level_in_body", "reads no body", sleep='"/sleep?mode=wait"', body='{"level": int(leaves_to[-1])}'),
    _plan_calls("wakes_first", "the leaving engine goes first", result="up + down"),
    _plan_calls("cuts_answers", "cuts running answers off", sleep='f"/sleep?level={leaves_to[-1]}"'),
    _plan_calls("no_reload", "never loaded again", deep='(comes, "POST", "/wake_up", None)'),
    _plan_calls("reload_first", "comes first", deep=", ".join([PLAN_DEEP[1], PLAN_DEEP[0], PLAN_DEEP[2]])),
    _plan_calls("cache_sleeps", "woken in part only", deep=", ".join(PLAN_DEEP[:2])),
    _plan_calls("always_level_1", "the level in the query", sleep='"/sleep?level=1&mode=wait"'),
    _plan_calls("level_in_words", "must be a whole number", sleep='f"/sleep?level={leaves_to}&mode=wait".replace(" ", "")'),
    _plan_calls("rpc_without_method", "needs the JSON body", deep=", ".join([PLAN_DEEP[0], PLAN_DEEP[1].replace("method", "name"),
                PLAN_DEEP[2]])),
    _plan_calls("gets", "does not take GET", wake='"/wake_up"', result='[(s[0], "GET", *s[2:]) if len(s) == 4 else s for s in down + up]'),
    _plan_calls("only_down", "nothing woke it", result="down if comes_from != 'cold' else down + up"),
    _plan_calls("only_up", "out of memory: GPU", result="up"),
    _plan_calls("curl_lines", "is no step", result='[f"curl -X POST localhost:8001{s[2]}" if len(s) == 4 else s for s in down + up]'),
    _plan("two_cards_always", "names GPU 1", cards="[0, 1]", fits="True", full="False"),
    _plan("first_wish", "out of memory: GPU", order="wishes[:1]", fits="True"),
    _plan("last_wish", "is preferred and fits", order="wishes[::-1]"),
    _plan("short_context", "tokens are more than its context", context='w["context"] // 2'),
    _plan("one_at_a_time", "waited too long", users="1"),
    _plan("all_level_1", "sleeping weights would take", full="False"),
    _plan("all_level_2", "urgent request for", full="True"),
    _plan("abort", "cut off by /sleep", move='[(n, m, t.replace("&mode=wait", ""), b) for n, m, t, b in switch_calls(a, levels[a], b, levels[b])]'),
    _plan("wakes_first", "out of memory: GPU", move="switch_calls(a, levels[a], b, levels[b])[::-1]"),
    _plan("source_calls", "stand at the root", move='[(a, "POST", "/v1/sleep", {"level": "l1"}), (b, "POST", "/v1/wake", None)]'),
    _plan("no_development_mode", "exists in development mode only", change='[e.update(sleep_mode=False) for e in engines.values()]'),
    _plan("nothing_started", "no process listens", early="workloads[-1][\"end_s\"]", at='min(w["end_s"] + 50000, 86000)'),
    _plan("first_started_first", "out of memory: GPU", morning='(names[0], "start"), *morning, '),
    _plan("too_late", "its engine slept", at='w["end_s"] + 4000'),
    _plan("too_early", "was never woken", at='w["end_s"] - 7200'),
    _plan("guessed_times", "estimate 60.00 s", seconds="60.0"),
    _plan("no_residency", "should be 'cold'", residency='{**dict.fromkeys(names, "cold"), n: "awake"}'),
    _plan("residency_left_out", "should be None", residency="{}"),
    _plan("forgets_windows", "32,768 tokens at most", context='w["context"]', order="everything",
          fits='not first_break(server, {"it": e, **asleep}, [moment])'),
    _plan("no_urgent", "urgent request for", urgent="{}"),
    _plan("no_way_back", "was never woken", back="[]"),
    _plan("no_restart", "connection refused", restart="{}"),
    _plan("not_a_plan", "cannot be executed", change='return "start everything at eight"'),
]  # fmt: skip
