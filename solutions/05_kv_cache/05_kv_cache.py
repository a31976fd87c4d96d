# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 05_kv_cache, title: The KV cache, minutes: 60, gpu: better}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # The KV cache
#
# **What is computed again when a model writes without a cache, and what does the cache cost?**

# %% tags=["bootstrap"]

# %%
growing = page.GrowingCacheFigure(words=("The", "cat", "sat", "on", "the", "mat"), prompt=3)
svg(growing.svg(step=3), alt=growing.describe(step=3))

# %% [markdown]
# ## Aims
#
# After this lesson you can
#
# 1. **build** a key-value cache and show that its logits equal those without one,
# 2. **compute** its bytes for any model, to the byte,
# 3. **say** what a cache makes linear, and what stays quadratic,
# 4. **name** three ways to break it, and what each looks like.
#
# *You need:* lesson 00, and what queries, keys and values are: a query is compared with the keys of all tokens before it, and mixes their values.
#
# **Letters in every shape:** B batch, L query length, S key length, H query heads, K key-value heads, D head size.

# %% [markdown]
# ## Predict
#
# A model reads a prompt of 6 tokens and writes 94 more. Without a cache, each step sends the whole text through the model again.

# %%
predict(
    "l05_p1",
    "How many times as many token passes does it take without a cache, compared with a cache?",
    options=["about 5", "about 50", "about 500"],
)

# %% [markdown]
# ## Waste, on six numbered tokens
#
# Each token's key and value depend only on the tokens before it (the causal mask). So once computed, they never change. Without a cache they are computed again at every
# step all the same. Count it for a prompt of 3 tokens that grows to 6:

# %%
from lessonlib.labs import kv_cache as lab

rows = []
for plain, cached in zip(lab.growth(3, 4, cached=False), lab.growth(3, 4, cached=True)):
    text = " ".join(str(i) for i in range(1, plain.tokens + 1))
    rows.append([text, plain.computed, cached.computed, cached.reused])
table(
    rows,
    header=["tokens in the text", "rows computed, no cache", "rows computed, cache", "rows read"],
    caption="Four steps: the prompt gives the first new token, then one step each",
)

# %%
from lessonlib.calc import memory, units

plain, cached = memory.passes_without_cache(6, 94), memory.passes_with_cache(6, 94)
reveal("l05_p1", f"about {plain / cached:.0f} ({plain:,} against {cached:,} passes)")

# %% [markdown]
# Now the real thing: a small trained model, `mini`. Its attention keeps two tensors in each layer.

# %%
import torch
from lessonlib import models

model, tokenizer = models.load("mini")
ids = tokenizer("Once upon a time there was a little cat.", return_tensors="pt").input_ids.to(model.device)
logits, cache = lab.forward(model, ids)
keys, values = cache[0]
config = model.config
print("query heads H =", config.num_attention_heads, " key-value heads K =", config.num_key_value_heads)
print("keys of layer 0  (B, K, S, D):", tuple(keys.shape))
print("layers:", len(cache), " text tokens S:", ids.shape[1])

# %% [markdown]
# ### Exercise 1: grow a cache (5 minutes)
#
# `cache` is `None`, or a pair (keys, values) of shape (B, K, S, D). Put the new rows, of shape (B, K, L, D), behind the old ones and return the new pair.
# Leave the old tensors as they are: another sequence may still use them.


# %% nbgrader={"grade_id": "l05_e1_append", "solution": true}
def append(cache, new_keys, new_values):
    """The cache with the new rows behind the old ones: a pair of tensors (B, K, S + L, D)."""
    ### BEGIN SOLUTION
    if cache is None:
        return new_keys, new_values
    keys, values = cache
    return torch.cat([keys, new_keys], dim=2), torch.cat([values, new_values], dim=2)
    ### END SOLUTION


# %% nbgrader={"grade_id": "l05_e1_check", "grade": true, "points": 1}
hints("l05_e1")
check("l05_e1", append)

# %% nbgrader={"grade_id": "l05_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other shapes, other values.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l05_e1", append, points=2, seed=5101)
### END HIDDEN TESTS

# %% [markdown]
# ## The same logits, for less work
#
# A cache is only allowed if nobody can see it in the results. So: read the whole text at once, then read its first half, keep the cache, and read the second half on top
# of it. Compare with the model's own forward pass, and our tensors with the ones that transformers keeps.

# %%
half = ids.shape[1] // 2
with torch.no_grad():
    reference = model(ids, use_cache=True)
first, grown = lab.forward(model, ids[:, :half])
second, grown = lab.forward(model, ids[:, half:], grown)
gap = (torch.cat([first, second], dim=1) - reference.logits).abs().max().item()
theirs = lab.from_transformers(reference.past_key_values)
tensor_gap = max((a - b).abs().max().item() for ours, own in zip(grown, theirs) for a, b in zip(ours, own))
print("logits equal to the model's own:", gap < 1e-4)
print("cache equal to transformers' cache:", tensor_gap < 1e-4)

# %% [markdown]
# Equal up to rounding: sums in another order differ in the last digits, so the test asks for less than 0.0001<!-- plan -->, not for identical bits.
#
# With a cache, one decode step computes a single query and compares it with all cached keys. In grouped-query attention (GQA), H / K neighbouring query heads share one
# key-value head, so only K heads are kept.
#
# ### Exercise 2: attention over the cache (12 minutes)
#
# The L queries are the **last** L of S positions. Query l may see the keys 0 to S - L + l. Score with q · k / √D, mask, softmax over the keys, mix the values.


# %% nbgrader={"grade_id": "l05_e2_attend", "solution": true}
def attend(q, keys, values):
    """q (B, H, L, D); keys, values (B, K, S, D) -> (B, H, L, D)."""
    ### BEGIN SOLUTION
    group = q.shape[1] // keys.shape[1]
    keys = keys.repeat_interleave(group, dim=1)  # (B, H, S, D)
    values = values.repeat_interleave(group, dim=1)  # (B, H, S, D)
    scores = q @ keys.mT / q.shape[-1] ** 0.5  # (B, H, L, S)
    L, S = scores.shape[-2:]
    later = torch.ones(L, S, dtype=torch.bool, device=q.device).triu(S - L + 1)
    return scores.masked_fill(later, float("-inf")).softmax(dim=-1) @ values
    ### END SOLUTION


# %% nbgrader={"grade_id": "l05_e2_check", "grade": true, "points": 2}
hints("l05_e2")
check("l05_e2", attend)

# %% nbgrader={"grade_id": "l05_e2_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: other groupings, prefill against decode.
### BEGIN HIDDEN TESTS
score_properties("l05_e2", attend, points=3, seed=5201)
### END HIDDEN TESTS

# %% [markdown]
# ## What it costs, to the byte
#
# Two tensors (K and V) in each layer, each with K × S × D values for each sequence:
#
# **bytes = 2 × layers × K × D × S × B × bytes per value**
#
# Predict with the formula, then ask the tensors. Both kinds of object are real: `mini` as it ships, and one layer of a 32B model's exact shape with random weights.

# %%
from lessonlib.facts import catalog
from lessonlib.models import shapes

big = catalog.model("qwen2.5-coder-32b")
slice_ = shapes.build(big, layers=1, thin=True, device="cpu")
with torch.no_grad():
    kept = slice_(torch.zeros(1, 100, dtype=torch.long), use_cache=True).past_key_values
rows = []
for name, c, real in (
    ("mini, 6 layers", config, cache),
    ("32B shape, 1 layer", slice_.config, lab.from_transformers(kept)),
):
    S, size = real[0][0].shape[2], real[0][0].element_size()
    predicted = memory.kv_cache_bytes(
        layers=len(real), kv_heads=c.num_key_value_heads, head_dim=c.head_dim, tokens=S, bytes_per_value=size
    )
    rows.append([name, S, f"{predicted:,}", f"{lab.cache_bytes(real):,}"])
    assert predicted == lab.cache_bytes(real)
table(
    rows, header=["cache", "tokens", "predicted bytes", "bytes of the tensors"], caption="Formula against real tensors"
)

# %%
rows = []
for name in ("olmo-2-7b", "llama-3.3-70b", "qwen2.5-coder-32b", "qwen3-0.6b", "granite-34b-code"):
    m = catalog.model(name)
    one = memory.kv_cache_bytes(layers=m.layers, kv_heads=m.kv_heads, head_dim=m.head_dim, tokens=1)
    kind = {m.attention_heads: "MHA", 1: "MQA"}.get(m.kv_heads, "GQA")
    rows.append([m.name, kind, f"{m.attention_heads} / {m.kv_heads}", f"{one:,}", units.format_bytes(one * 50_000)])
table(
    rows,
    header=["model", "kind", "H / K", "bytes a token", "50,000 tokens"],
    caption=f"16-bit caches of real models, facts of {big.as_of}",
)

# %% [markdown]
# The 32B model needs 13.1 GB<!-- claim:S04-033 --> for 50,000 tokens and 34.4 GB<!-- claim:S04-034 --> for its full 131,072: more than its own 4-bit weights
# (19.3 GB<!-- claim:S04-035 -->). With all 40 query heads kept (MHA), it would be five times as much.
#
# ### Exercise 3: bytes of a cache (6 minutes)


# %% nbgrader={"grade_id": "l05_e3_bytes", "solution": true}
def cache_bytes(layers, kv_heads, head_dim, tokens, batch, bytes_per_value):
    """Bytes of the key-value cache of `batch` sequences of `tokens` tokens each."""
    ### BEGIN SOLUTION
    return 2 * layers * kv_heads * head_dim * tokens * batch * bytes_per_value
    ### END SOLUTION


# %% nbgrader={"grade_id": "l05_e3_check", "grade": true, "points": 1}
hints("l05_e3")
check("l05_e3", cache_bytes)

# %% nbgrader={"grade_id": "l05_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: random shapes, and how bytes must grow.
### BEGIN HIDDEN TESTS
score_properties("l05_e3", cache_bytes, points=2, seed=5301)
### END HIDDEN TESTS

# %% [markdown]
# ## What it buys: speed against length
#
# Greedy generation through the model's own forward pass, with and without its cache. The **prefill** reads the prompt and gives the first token; **decode** gives the others.

# %% tags=["nbval-ignore-output"]
prompt = ids.repeat(1, 4)[:, :32]
lab.timed_generation(model, prompt, 8, cached=True)  # warm-up
timings = {}
for new in (16, 64, 160):
    for cached in (True, False):
        timings[new, cached] = lab.timed_generation(model, prompt, new, cached)
rows = [
    [
        new,
        *(f"{timings[new, c].decode / (new - 1) * 1e3:.1f}" for c in (False, True)),
        f"{timings[new, False].decode / timings[new, True].decode:.1f}",
    ]
    for new in (16, 64, 160)
]
table(
    rows,
    header=["new tokens", "ms a token, no cache", "ms a token, cache", "times faster"],
    caption="Decode, greedy, prompt of 32 tokens",
)
assert all(timings[n, True].ids == timings[n, False].ids for n in (16, 64, 160)), "both ways must write the same text"
assert timings[160, False].decode > 1.2 * timings[160, True].decode, "a cache must pay at 160 tokens"

# %%
figure, ax = page.axes(size=(6.4, 3.2))
lengths = range(1, 1001)
ax.plot(lengths, [memory.passes_without_cache(1, n) for n in lengths], markevery=200, label="token passes, no cache")
ax.plot(
    lengths, [memory.scores_with_cache(1, n) for n in lengths], "--", markevery=150, label="scores of one head, cache"
)
ax.plot(lengths, [memory.passes_with_cache(1, n) for n in lengths], markevery=200, label="token passes, cache")
ax.set(xlabel="tokens written", ylabel="total count", title="Linear passes, quadratic scores")
ax.legend()
show(
    figure,
    alt="Total counts against tokens written, up to 1,000. Token passes without a cache and scores with a cache both rise as a square to 500,500; token passes with a cache rise in a line to 1,000.",
)
print(
    f"1,000 tokens: {memory.passes_without_cache(1, 1000):,} passes without, {memory.passes_with_cache(1, 1000):,} with a cache"
)

# %% [markdown]
# Like for like, 1,000 tokens take 500,500<!-- claim:S04-029 --> token passes without a cache and 1,000<!-- claim:S04-030 --> with one. Passes become linear.
# **Attention does not**: each new query still scores against every cached key, so the scores add up to a square. They are cheap here, and dominate at long context.
#
# ### Smaller values, fewer rows
#
# Two ways to make a cache smaller: fewer bits a value, or a **sliding window** that keeps only the newest rows. Both change the answer. How much?

# %%
story = tokenizer(
    "Lily had a red ball. She played with it in the park every day. One day the ball rolled into the water. Lily was sad and",
    return_tensors="pt",
).input_ids.to(model.device)
_, past = lab.forward(model, story[:, :-1])
exact, _ = lab.forward(model, story[:, -1:], past)
rows = [["16 bit (kept as is)", f"{lab.cache_bytes(past) // 2:,}", "0.0000"]]
for bits in (8, 4):
    logits, _ = lab.forward(model, story[:, -1:], lab.rounded(past, bits))
    rows.append(
        [
            f"{bits} bit, one scale a row",
            f"{lab.quantized_bytes(past, bits):,}",
            f"{lab.kl_divergence(logits, exact):.4f}",
        ]
    )
window = [(k[:, :, -8:], v[:, :, -8:]) for k, v in past]
logits, _ = lab.forward(model, story[:, -1:], window, first_position=story.shape[1] - 1)
rows.append(
    ["16 bit, window of 8 tokens", f"{lab.cache_bytes(window) // 2:,}", f"{lab.kl_divergence(logits, exact):.4f}"]
)
table(
    rows,
    header=["cache", "bytes", "change of the next-token distribution (KL, bits)"],
    caption=f"{past[0][0].shape[2]} cached tokens of mini",
)

# %% [markdown]
# Transformers has these as cache classes: `DynamicCache` (grows), `StaticCache` (fixed room), sliding windows by layer, and `QuantizedCache` (4 bit, needs the package optimum-quanto).
#
# ### Exercise 4: the longest context that fits (8 minutes)
#
# A card holds weights, some overhead, and the cache of `batch` sequences. Return the longest context, in whole tokens for each sequence; 0 when nothing fits. Cards are sold in GiB.


# %% nbgrader={"grade_id": "l05_e4_context", "solution": true}
def longest_context(card_gib, weights_bytes, overhead_bytes, layers, kv_heads, head_dim, batch, bytes_per_value):
    """The most tokens for each of `batch` sequences whose cache fits beside weights and overhead."""
    ### BEGIN SOLUTION
    room = card_gib * 2**30 - weights_bytes - overhead_bytes
    one_token = 2 * layers * kv_heads * head_dim * batch * bytes_per_value
    return max(0, int(room // one_token))
    ### END SOLUTION


# %% nbgrader={"grade_id": "l05_e4_check", "grade": true, "points": 1}
hints("l05_e4")
check("l05_e4", longest_context)

# %% nbgrader={"grade_id": "l05_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other cards, models and batches.
### BEGIN HIDDEN TESTS
score_properties("l05_e4", longest_context, points=2, seed=5401)
### END HIDDEN TESTS

# %% [markdown]
# ## What breaks it
#
# A cache has no label: nothing in the tensors says which text, which position or which role they have. Three mistakes, each without any error message:

# %%
other = tokenizer(
    "The quick brown fox. A dog and a bird sat in the big tree. They sang all day and all night. The sun was hot and they",
    return_tensors="pt",
).input_ids
other = other[:, : story.shape[1] - 1].to(model.device)
_, foreign = lab.forward(model, other)
mistakes = {
    "right": (past, None),
    "position off by one": (past, story.shape[1]),
    "cache of another prompt": (foreign, other.shape[1]),
    "K and V swapped": ([(v, k) for k, v in past], None),
}
rows = []
for name, (broken, position) in mistakes.items():
    logits, _ = lab.forward(model, story[:, -1:], broken, first_position=position)
    best = tokenizer.decode(logits[0, -1].argmax())
    rows.append([name, f"{lab.kl_divergence(logits, exact):.3f}", repr(best)])
table(rows, header=["cache", "change (KL, bits)", "next token"], caption="The same question asked of four caches")

# %% [markdown]
# ## Calculator
#
# First step through generation, then size the cache of a model you care about. Both work by keyboard: Tab moves, arrows and typing change values.

# %%
page.GrowingCacheFigure()

# %%
page.KVCacheCalculator(tokens=50_000)

# %% [markdown]
# ## Quiz

# %%
quiz("05_kv_cache")

# %% [markdown]
# ## Yours beside the reference
#
# The same code measured this record (`benchmarks/l05_decode.py`). Your machine is another one: look at the ratios, which tell what the cache is worth here and there.

# %% tags=["nbval-ignore-output"]
mine = {
    "cached_ms_per_token": timings[160, True].decode / 159 * 1e3,
    "uncached_ms_per_token": timings[160, False].decode / 159 * 1e3,
    "speedup": timings[160, False].decode / timings[160, True].decode,
}
compare("l05_decode", mine)

# %% [markdown]
# ## We learned
#
# 1. to **build** a key-value cache whose logits equal those without one, up to rounding,
# 2. to **compute** its bytes: 2 × layers × K × D × S × B × bytes per value, equal to the tensors to the byte,
# 3. to **say** what it makes linear (passes) and what stays quadratic in total (scores),
# 4. to **name** three ways to break it that raise no error: a wrong position, another prompt's cache, K and V swapped.
#
# *Next:* sampling, lesson 06.
#
# ## Corrections

# %%
corrections(["S04-029", "S04-030", "S04-031", "S04-033", "S04-034", "S04-035"])

# %% [markdown]
# ## Sources
#
# - Shapes of real models: the fact base of this course, checked 2026-11-23.
# - A. Vaswani and others, *Attention Is All You Need*, 2017: scaled dot-product attention.
# - J. Ainslie and others, *GQA*, 2023: query heads that share key-value heads.
# - Cache classes: transformers documentation, version 5.
