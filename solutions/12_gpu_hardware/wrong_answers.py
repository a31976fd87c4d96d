"""Wrong answers of lesson 12, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

ROOF = """def roof(card, flops_per_byte):
    peak = {peak}
    ridge = {ridge}
    slope = flops_per_byte * card["bandwidth_gbs"] / 1000
    return {answer}
"""
PEAK = 'card["tensor_tflops"] / (2 if card["tensor_is_sparse"] else 1)'
RIDGE = 'peak * 1000 / card["bandwidth_gbs"]'
TOKENS = """def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    shared, expert, each = model["shared_weights"], model["expert_weights"], model["bytes_per_weight"]
    experts = {experts}
    weights = (shared + experts * expert) * {each}
    cache = {caches} * tokens * model["cache_bytes_per_token"]
    return {answer}
"""
CHOSEN = 'min(model["experts"], batch * model["experts_per_token"])'
RATE = "batch * bandwidth_gbs * 1e9 / (weights + cache)"
LINK = """def link_seconds(layers, hidden, batch, gpus, link):
    one_way = {one_way}
    message, turns = batch * hidden * {size}, {turns}
    return {messages} * layers * ({sent} + {late})
"""
ONE_WAY = 'link["gbs"] * 1e9 / (2 if link["both_directions"] else 1)'
SENT, LATE = "turns / gpus * message / one_way", 'turns * link["latency_us"] * 1e-6'
LIMIT = """def binding_limit(job, card, cards, site_watts):
    room, held = card["vram_gib"] * {gib}, job["bytes_held"]
    power = {power} - site_watts
    times = {{
        "bandwidth": job["bytes_read"] / {bandwidth},
        "compute": job["flops"] / {rate},
        "link": job["bytes_sent"] / {link},
    }}
    slowest = {choice}(times, key=times.get)
    {first}
    {second}
    return slowest, {value}
"""
MEMORY_FIRST = 'if held > room: return "memory", held - room'
POWER_SECOND = 'if power > 0: return "power", power'


def _roof(name, says, peak=PEAK, ridge=RIDGE, answer="ridge, min(peak, slope)"):
    return WrongAnswer("l12_e1_roof", name, ROOF.format(peak=peak, ridge=ridge, answer=answer), says)


def _tokens(name, says, experts=CHOSEN, each="each", caches="batch", answer=RATE):
    code = TOKENS.format(experts=experts, each=each, caches=caches, answer=answer)
    return WrongAnswer("l12_e2_tokens", name, code, says)


def _link(name, says, one_way=ONE_WAY, size="2", turns="2 * (gpus - 1)", messages="2", sent=SENT, late=LATE):
    code = LINK.format(one_way=one_way, size=size, turns=turns, messages=messages, sent=sent, late=late)
    return WrongAnswer("l12_e3_link", name, code, says)


def _limit(name, says, **change):
    right = dict(
        gib="2**30", power='cards * card["watts"]', bandwidth='(card["bandwidth_gbs"] * 1e9)',
        rate='(card["dense_tflops"] * 1e12)', link='(card["link_gbs"] * 1e9)', choice="max", first=MEMORY_FIRST,
        second=POWER_SECOND, value="times[slowest]",
    )  # fmt: skip
    return WrongAnswer("l12_e4_limit", name, LIMIT.format(**{**right, **change}), says)


WRONG_ANSWERS = [
    _roof("sparse_as_dense", "the sparse rate was taken as the dense one", peak='card["tensor_tflops"]'),
    _roof("always_halved", "a dense rate was halved", peak='card["tensor_tflops"] / 2'),
    _roof("shader_for_tensor", "the shader rate was taken", peak='card["shader_tflops"]'),
    _roof("larger_ceiling", "left of the ridge bandwidth allows less", answer="ridge, max(peak, slope)"),
    _roof("peak_alone", "left of the ridge bandwidth allows less", answer="ridge, peak"),
    _roof("bandwidth_alone", "the peak is a ceiling too", answer="ridge, slope"),
    _roof("ridge_upside_down", "the ridge is upside down", ridge='card["bandwidth_gbs"] / peak / 1000'),
    _roof("units_mixed", "bring both to base units first", ridge='peak / card["bandwidth_gbs"]'),
    _roof("swapped", "the two values are swapped", answer="min(peak, slope), ridge"),
    _roof("times_added", "the slower one counts", answer="ridge, 1 / (1 / peak + 1 / slope)"),
    _tokens("all_experts", "that reads all experts", experts='model["experts"]'),
    _tokens("experts_of_one_token", "that reads the experts of one token", experts='model["experts_per_token"]'),
    _tokens("more_than_there_are", "more experts than there are", experts='batch * model["experts_per_token"]'),
    _tokens("no_experts", "the chosen experts were forgotten", experts="0"),
    _tokens("no_cache", "the cache was forgotten", caches="0"),
    _tokens("one_cache", "that is the cache of one sequence", caches="1"),
    _tokens("one_sequence", "all sequences of the batch get a token", answer=RATE.replace("batch * ", "")),
    _tokens("weights_each", "read once for the whole batch", each="each * batch"),
    _tokens("gib_a_second", "not 2**30", answer=RATE.replace("1e9", "2**30")),
    _tokens("gigabits", "GB are bytes, not bits", answer=RATE.replace("1e9", "1e9 / 8")),
    _tokens("weights_not_bytes", "weights were counted, not their bytes", each="1"),
    _link("both_directions", "both directions were counted", one_way='link["gbs"] * 1e9'),
    _link("one_all_reduce", "one all-reduce a layer", messages="1"),
    _link("no_ring", "the message was sent once", sent="message / one_way"),
    _link("whole_message_each_turn", "it is cut into n parts", sent="turns * message / one_way"),
    _link("latency_once", "the latency was waited for once", late='(gpus > 1) * link["latency_us"] * 1e-6'),
    _link("no_latency", "the latency was forgotten", late="0"),
    _link("latency_in_ms", "taken as milliseconds", late='turns * link["latency_us"] * 1e-3'),
    _link("values_not_bytes", "values were counted, not bytes", size="1"),
    _link("gigabits", "GB/s are bytes, not bits", sent=SENT + " * 8"),
    _limit("gb_for_gib", "its memory is in GiB", gib="10**9"),
    _limit("memory_forgotten", "ask for the memory before anything else", first="pass"),
    _limit("power_forgotten", "the circuit must carry all cards", second="pass"),
    _limit("one_card", "the circuit must carry all cards", power='card["watts"]'),
    _limit("power_before_memory", "ask for the memory before anything else", first=POWER_SECOND, second=MEMORY_FIRST),
    _limit("largest_amount", "amounts are not times", bandwidth="1", rate="1", link="1"),
    _limit("shortest_time", "the longest one binds", choice="min"),
    _limit("times_added", "the times were added", value="sum(times.values())"),
    _limit("milliseconds", "that is in milliseconds", value="times[slowest] * 1e3"),
    _limit("held_not_missing", "the answer is what is missing", first='if held > room: return "memory", held'),
]  # fmt: skip
