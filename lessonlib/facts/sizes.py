"""What follows from the shape of a model: its cache, the size of its weights. Fills rows of your own, checks the others.

Written here once more, apart from `lessonlib.calc`, which stands above the facts: tests compare the two."""

from __future__ import annotations

from collections.abc import Iterator

PLAIN = "2 * full_attention_layers * kv_heads * head_dim * 2 bytes * n"
WINDOW = "2 * kv_heads * head_dim * 2 bytes * (full_layers * n + window_layers * min(n, window))"
LATENT = "layers * (kv_lora_rank + qk_rope_head_dim) * 2 bytes"
BITS = {"fp32": 32, "fp16_bf16": 16, "int8": 8, "int4_flat": 4}
AWQ_BITS = 4 + (16 + 4) / 128  # a 16-bit scale and a 4-bit zero point for each group of 128 weights
LENGTHS = (8_192, 32_768, 131_072)


def cache_bytes(row: dict, tokens: int) -> int:
    """Bytes of the 16-bit cache of one sequence. Sources: the formulas in `kv_formula`, from the layouts of grouped
    queries, of attention over a window and of DeepSeek's latent attention (arXiv 2405.04434, section 2.1)."""
    if row.get("mla_kv_lora_rank"):
        return row["layers"] * (row["mla_kv_lora_rank"] + row["mla_qk_rope_head_dim"]) * 2 * tokens
    windows = row.get("window_layers", 0) * min(tokens, row.get("attention_window", 0))
    return 4 * row["kv_heads"] * row["head_dim"] * (row["full_attention_layers"] * tokens + windows)


def derived(row: dict) -> dict:
    """The fields of a row that follow from its others: cache for a token and at some lengths, weights by format.

    KeyError names a field that is missing for it."""
    formula = LATENT if row.get("mla_kv_lora_rank") else WINDOW if row.get("window_layers") else PLAIN
    far = row.get("attention_window", 0)
    lengths = [n for n in LENGTHS if n < row["max_context"]] + [row["max_context"]]
    parameters, embedding = row["total_params_exact"], row["embedding_params_exact"]
    kept = embedding if row["tied_embeddings"] else 2 * embedding
    weights = {name: round(parameters * bits / 8e9, 3) for name, bits in BITS.items()}
    weights["awq_g128_estimate"] = round(((parameters - kept) * AWQ_BITS / 8 + kept * 2) / 1e9, 3)
    found = {
        "total_params_b": round(parameters / 1e9, 3),
        "kv_bytes_per_token_fp16": cache_bytes(row, far + 1) - cache_bytes(row, far),
        "kv_formula": formula,
        "kv_gb_fp16_at": {str(n): round(cache_bytes(row, n) / 1e9, 3) for n in lengths},
        "weights_gb": weights,
    }
    if formula == WINDOW:
        found["kv_bytes_per_token_fp16_until_window"] = cache_bytes(row, 1)
    return found


def disagreements(row: dict) -> Iterator[str]:
    """Where the fields of a model contradict each other, a sentence each that starts with the field."""
    heads, groups = row["attention_heads"], row.get("kv_heads")
    latent = row.get("mla_kv_lora_rank")
    if latent:
        needs = ("mla_qk_rope_head_dim",)
    else:
        needs = ("kv_heads", "head_dim", "full_attention_layers") + ("attention_window",) * bool(
            row.get("window_layers")
        )
    missing = [name for name in needs if row.get(name) is None]
    if missing:
        yield from (f"{name} is missing: the size of the cache follows from it." for name in missing)
        return
    if not latent and heads % groups:
        yield f"kv_heads is {groups}, but must divide the {heads} attention heads."
    yield from _layers(row)
    if row["embedding_params_exact"] != row["vocab_size"] * row["hidden_size"]:
        product = row["vocab_size"] * row["hidden_size"]
        yield f"embedding_params_exact is {row['embedding_params_exact']:,}, but vocab_size x hidden_size is {product:,}."
    if row["active_params_b"] > row["total_params_b"] + 6e-4:
        yield f"active_params_b is {row['active_params_b']}, more than all {row['total_params_b']}."
    for part, whole in (("moe_experts_per_token", "moe_experts"), ("native_context", "max_context")):
        if row.get(part) and row.get(whole) and row[part] > row[whole]:
            yield f"{part} is {row[part]:,}, more than {whole} ({row[whole]:,})."
    for name, want in derived(row).items():
        yield from _unlike(name, row.get(name), want, row)


def _layers(row: dict) -> Iterator[str]:
    kinds = ("full_attention_layers", "window_layers", "linear_attention_layers", "mamba_layers")
    count, pattern = sum(row.get(name, 0) for name in kinds), row.get("layer_pattern")
    if pattern is None and not row.get("mla_kv_lora_rank") and count != row["layers"]:
        yield f"layers is {row['layers']}, but {' + '.join(n for n in kinds if row.get(n))} is {count}."
    if pattern is not None:
        if len(pattern) != row["layers"]:
            yield f"layer_pattern has {len(pattern)} letters for {row['layers']} layers."
        for letter, name in (("*", "full_attention_layers"), ("M", "mamba_layers"), ("E", "moe_layers")):
            if pattern.count(letter) != row.get(name, 0):
                yield f"{name} is {row.get(name, 0)}, but layer_pattern has {letter} {pattern.count(letter)} times."


def _unlike(name: str, stated, want, row: dict) -> Iterator[str]:
    """Stated figures that are not the derived ones. Those in GB are rounded to three digits."""
    if stated is None:
        return
    if name == "kv_gb_fp16_at":
        for tokens, gigabytes in stated.items():
            right = cache_bytes(row, int(tokens)) / 1e9 if str(tokens).isdigit() else None
            if right is None:
                yield f"{name} has the key {tokens!r}, but must have numbers of tokens as keys."
            elif abs(gigabytes - right) > 6e-4:
                yield f"{name} is {gigabytes} GB for {tokens} tokens, but the shape gives {right:.3f}."
    elif name == "weights_gb":
        for key in want:
            if key in stated and abs(stated[key] - want[key]) > 1.1e-3:
                yield f"{name} is {stated[key]} GB in {key}, but the parameters give {want[key]}."
    elif stated != want if isinstance(want, (str, int)) else abs(stated - want) > 6e-4:
        yield f"{name} is {stated!r}, but the other fields give {want!r}."
