"""Wrong answers of the capstone tasks, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

WEIGHTS = "def weights_gb(billions, bits):\n    return "
CACHE = "def cache_gb(layers, kv_heads, head_dim, tokens, bytes_per_value):\n    return "
SHARE = """def per_gpu_gb(weights_gb, layers, kv_heads, head_dim, tokens, tp, overhead_gb):
    def cache(heads):
        return 2 * layers * heads * head_dim * tokens * 2 / 1e9

    return """
TABLE = """def budget_table(models, configs):
    rows = []
    for {first} in {firsts}:
        for {second} in {seconds}:
            total = per_gpu_gb(m["weights_gb"], m["layers"], m["kv_heads"], m["head_dim"], 8192, {tp}, {overhead})
            fits = {fits}
            rows.append({{"model": m["name"], "config": c["name"], "per_gpu_gb": total{scale}, "fits": fits}})
    return rows{cut}
"""
RIGHT = dict(
    first="m", firsts="models", second="c", seconds="configs", tp='c["gpus"]', overhead="1.5", scale="", cut="",
    fits='total * 1e9 <= c["vram_gib"] * 2**30',
)  # fmt: skip


def _weights(name, formula, says):
    return WrongAnswer("l16_vram_e1_weights", name, WEIGHTS + formula + "\n", says)


def _cache(name, formula, says):
    return WrongAnswer("l16_vram_e2_cache", name, CACHE + formula + "\n", says)


def _share(name, formula, says):
    return WrongAnswer("l16_vram_e3_share", name, SHARE + formula + "\n", says)


def _table(name, says, **change):
    return WrongAnswer("l16_vram_e4_table", name, TABLE.format(**{**RIGHT, **change}), says)


WRONG_ANSWERS = [
    _weights("bits_for_bytes", "billions * bits", "divide by 8"),
    _weights("in_bytes", "billions * 1e9 * bits / 8", "that is in bytes"),
    _weights("in_gib", "billions * 1e9 * bits / 8 / 2**30", "in GiB"),
    _weights("always_16_bits", "billions * 2", "whatever `bits` says"),
    _weights("divides_by_bits", "billions / bits * 8", "multiply by them"),
    _weights("whole_bytes", "billions * (bits // 8)", "half a byte"),
    _cache("keys_only", "layers * kv_heads * head_dim * tokens * bytes_per_value / 1e9", "holds both"),
    _cache(
        "query_heads",
        "2 * layers * {48: 32, 64: 40, 80: 64, 40: 32}.get(layers, 3) * head_dim * tokens * bytes_per_value / 1e9",
        "query heads",
    ),
    _cache("in_bytes", "2 * layers * kv_heads * head_dim * tokens * bytes_per_value", "that is in bytes"),
    _cache("in_gib", "2 * layers * kv_heads * head_dim * tokens * bytes_per_value / 2**30", "in GiB"),
    _cache("one_layer", "2 * kv_heads * head_dim * tokens * bytes_per_value / 1e9", "one layer"),
    _cache("always_16_bits", "4 * layers * kv_heads * head_dim * tokens / 1e9", "whatever `bytes_per_value` says"),
    _share("whole_model", "weights_gb + cache(kv_heads) + overhead_gb", "the whole model"),
    _share(
        "overhead_divided", "weights_gb / tp + cache(max(1, kv_heads // tp)) + overhead_gb / tp", "overhead was divided"
    ),
    _share("cache_not_dealt_out", "weights_gb / tp + cache(kv_heads) + overhead_gb", "cache was not dealt out"),
    _share(
        "weights_not_dealt_out",
        "weights_gb + cache(max(1, kv_heads // tp)) + overhead_gb",
        "weights were not dealt out",
    ),
    _share("splits_a_head", "weights_gb / tp + cache(kv_heads) / tp + overhead_gb", "head was split"),
    _share("no_overhead", "weights_gb / tp + cache(max(1, kv_heads // tp))", "overhead is missing"),
    _share("no_cache", "weights_gb / tp + overhead_gb", "cache is missing"),
    _table("not_split", "tp = n", tp="1"),
    _table("no_overhead", "1.5 GB is missing", overhead="0.0"),
    _table("card_in_gb", "GB was compared with GiB", fits='total <= c["vram_gib"]'),
    _table("sum_over_gpus", "sum over all GPUs", scale=' * c["gpus"]'),
    _table("configs_outermost", "models outermost", first="c", firsts="configs", second="m", seconds="models"),
    _table("cards_added_up", "a second time", tp='c["gpus"]', fits='total * 1e9 <= c["gpus"] * c["vram_gib"] * 2**30'),
    _table("rows_missing", "loop over all models", cut="[:3]"),
]
