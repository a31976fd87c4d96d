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


def _weights(name, formula, says):
    return WrongAnswer("l16_vram_e1_weights", name, WEIGHTS.format(formula), says)


def _cache(name, formula, says):
    return WrongAnswer("l16_vram_e2_cache", name, CACHE.format(formula), says)


def _share(name, formula, says):
    return WrongAnswer("l16_vram_e3_share", name, SHARE.format(formula), says)


def _table(name, says, **change):
    return WrongAnswer("l16_vram_e4_table", name, TABLE.format(**{**RIGHT, **change}), says)


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
]  # fmt: skip
