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
#
# A model writes one token at a time, and each new token looks back at all earlier ones. What it looks at are two rows for each token: a *key* (K) and a *value* (V).
# Keep those rows, and nothing is computed twice. That is the whole idea; the rest of this lesson is what it saves, what it costs, and how it breaks.
#
# ## Aims
#
# After this lesson you can
#
# 1. **build** a key-value cache by hand and show that its logits equal those without one,
# 2. **compute** its bytes for any model, to the byte, and the longest context that fits a card,
# 3. **say** what a cache makes linear in the length, and what stays quadratic,
# 4. **judge** two ways to shrink it (fewer bits, a sliding window) by what they do to the predictions,
# 5. **recognise** three ways to break it that raise no error.
#
# *You need:* lesson 00, a little PyTorch, and attention in one sentence: each token's *query* is compared with the keys of the tokens up to it, and the result says in
# which shares their values are mixed.
#
# **Letters in every shape:** B batch, L query length, S key length, H query heads, K key-value heads, D head size.
#
# **First predict.** Below the set-up stand two questions. Guess before anything is measured: your guesses stay on your machine, count for nothing, and come back beside the
# measured values.

# %% tags=["bootstrap"]

# %%
display(
    predict("l05_p1", "A 32B model has read 50,000 tokens. How large is its 16-bit cache?", unit="GB"),
    predict("l05_p2", "After 896 tokens, how many times as fast is a tiny model with a cache?"),
)

# %% [markdown]
# ## Waste, on six numbered tokens
#
# A text grows from one token to six. Without a cache, each step sends the whole text through the model again. Step through the drawing; `again` marks rows that an
# earlier step had already computed.
#
# Then the same with a real model: `target`, a small Llama trained for this course. The table counts rows of K and V for each layer. May they be kept? Only if later tokens
# never change them, and the causal mask sees to that: a token's K and V depend on that token and those before it. So the cell also compares the rows after five tokens with those
# after six.

# %%
page.GrowingCacheFigure(words=("Once", "upon", "a", "time", ",", "there", "was"), prompt=1, step=6)

# %%
import torch
from lessonlib import models
from lessonlib.labs import kv_cache as lab

MODEL = "target"  # or "mini", or a Llama of the hub such as "HuggingFaceTB/SmolLM2-135M"
model, tokenizer = models.load(MODEL, dtype=torch.float32)
six = tokenizer("Once upon a time, there", return_tensors="pt").input_ids[:, :6].to(model.device)  # (B, L)
rows, plain, cached = [], lab.growth(1, 6, cached=False), lab.growth(1, 6, cached=True)
for without, with_cache, token in zip(plain, cached, six[0]):
    numbered = " ".join(str(n) for n in range(1, without.tokens + 1))
    waste = without.computed - with_cache.computed
    rows.append([numbered, repr(tokenizer.decode(token)), without.computed, waste, with_cache.computed])
rows.append(["all steps", "", *(sum(row[i] for row in rows) for i in (2, 3, 4))])
table(rows, ["tokens in the text", "newest", "rows, no cache", "of these computed again", "rows, cache"])

(_, five), (_, kept) = lab.forward(model, six[:, :5]), lab.forward(model, six)
for before, after in zip(five, kept):
    for a, b in zip(before, after):
        torch.testing.assert_close(b[:, :, :5], a, atol=1e-5, rtol=0)
H = model.config.num_attention_heads
print(f"{len(kept)} layers, H = {H}, keys of each: (B, K, S, D) = {tuple(kept[0][0].shape)}")
print("the first five rows of K and V are still the same in every layer (to 0.00001)")

# %% [markdown]
# ### Exercise 1: grow a cache (5 minutes)
#
# `cache` is `None`, or one layer's pair (keys, values), each (B, K, S, D). Put the new rows, each (B, K, L, D), behind the old ones and return the new pair. Leave the old
# tensors as they are: another sequence may still use them.


# %% nbgrader={"grade_id": "l05_e1_append", "solution": true}
def append(cache, new_keys, new_values):
    """The cache with the new rows behind the old ones: a pair of tensors (B, K, S + L, D)."""
    ### BEGIN SOLUTION
    if cache is None:
        return new_keys, new_values
    keys, values = cache
    return torch.cat([keys, new_keys], dim=2), torch.cat([values, new_values], dim=2)
    ### END SOLUTION


hints("l05_e1")

# %% nbgrader={"grade_id": "l05_e1_check", "grade": true, "points": 1}
check("l05_e1", append)

# %% nbgrader={"grade_id": "l05_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other shapes, other values, growing token by token.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l05_e1", append, points=2, seed=5101)
### END HIDDEN TESTS

# %% [markdown]
# ## The same logits, for less work
#
# With a cache, a decode step has one query (L = 1) and S keys. A *prefill* reads many tokens at once (L = S); a prompt may also come in chunks, with L in between. One rule covers all three:
# the L queries are the **last** L of S positions, so query l stands at position S − L + l and sees the keys up to there. For L = 2, S = 5:
#
# | | key 0 | key 1 | key 2 | key 3 | key 4 |
# |---|---|---|---|---|---|
# | query 0, position 3 | sees | sees | sees | sees | – |
# | query 1, position 4 | sees | sees | sees | sees | sees |
#
# In grouped-query attention (GQA), H / K neighbouring query heads read the same key-value head. Only K heads are ever kept.
#
# ### Exercise 2: attention over the cache (12 minutes)
#
# Score each query with its keys, q · k / √D; hide the later keys; softmax over the keys; mix the values. The check compares values on random tensors, then makes your
# function the attention of all layers of `target`, and wants the model's own logits.


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


hints("l05_e2")

# %% nbgrader={"grade_id": "l05_e2_check", "grade": true, "points": 1}
check("l05_e2", attend)

# %% nbgrader={"grade_id": "l05_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other groupings, chunks against single steps, the model on other texts.
### BEGIN HIDDEN TESTS
score_properties("l05_e2", attend, points=2, seed=5201)
### END HIDDEN TESTS

# %% [markdown]
# The course's own version of these two functions stands in `lessonlib.labs.kv_cache`, inside a forward pass of some twenty lines. Feed it four tokens, then one at a time on top of
# the cache. Three things must agree: our cached logits, the model's uncached ones, and the tensors in transformers' own `DynamicCache`. Sums in another order differ in the last digits, so equal
# means: no two numbers further apart than 0.001<!-- plan -->.

# %%
story = tokenizer(lab.STORY, return_tensors="pt").input_ids.to(model.device)  # (B, L)
ids = story[:, :24]
logits, cache = lab.forward(model, ids[:, :4])
steps = [logits]
for i in range(4, ids.shape[1]):
    logits, cache = lab.forward(model, ids[:, i : i + 1], cache)
    steps.append(logits)
with torch.no_grad():
    uncached = model(input_ids=ids, use_cache=False).logits
    theirs = model(input_ids=ids, past_key_values=lab.transformers_cache(model.config, "dynamic")).past_key_values
torch.testing.assert_close(torch.cat(steps, dim=1), uncached, atol=1e-3, rtol=0)
for ours, own in zip(cache, lab.from_transformers(theirs)):
    torch.testing.assert_close(ours, own, atol=1e-3, rtol=0)
by_hand = lab.write(model, ids, new=12)
assert torch.equal(by_hand, model.generate(ids, max_new_tokens=12, do_sample=False)[:, ids.shape[1] :])
print(f"{ids.shape[1]} tokens: logits equal, caches equal, and both continue: {tokenizer.decode(by_hand[0])!r}")

# %% [markdown]
# ## What it costs, to the byte
#
# Two tensors (K and V) in every layer, each with B × K × S × D values:
#
# **bytes = 2 × layers × K × D × S × B × bytes per value**
#
# Predict with the formula, then ask the tensors themselves (`numel` × `element_size`). First our own, here in float32, so 4 bytes a value.
#
# Then the models that people rent GPUs for. PyTorch's *meta* device builds their true architecture and runs it without memory: tensors have shapes and no values. The first two rows are
# Qwen2.5-Coder-32B as it is; the next two ask *what if* it kept all its heads (multi-head attention, MHA) or a single one (multi-query, MQA).

# %%
from lessonlib.calc import memory, units

c, rows = model.config, []
shape = dict(layers=c.num_hidden_layers, kv_heads=c.num_key_value_heads, head_dim=c.head_dim)
for batch, tokens in ((1, 1), (1, 6), (1, 16), (3, 16)):
    _, kept = lab.forward(model, ids[:, :tokens].repeat(batch, 1))
    predicted = memory.kv_cache_bytes(**shape, tokens=tokens, batch=batch, bytes_per_value=4)
    rows.append([batch, tokens, predicted, lab.cache_bytes(kept), predicted - lab.cache_bytes(kept)])
    assert predicted == lab.cache_bytes(kept)
table(rows, ["sequences B", "tokens S", "formula, bytes", "tensors, bytes", "difference"], f"{MODEL}, cache in float32")

# %%
from lessonlib.facts import catalog

big, rows = catalog.model("qwen2.5-coder-32b"), []
cases = [(big, 50_000, None), (big, 131_072, None), (big, 50_000, big.attention_heads), (big, 50_000, 1)]
cases += [(catalog.model(name), 50_000, None) for name in ("olmo-2-7b", "llama-3.3-70b", "granite-34b-code")]
for m, tokens, other_heads in cases:
    heads = other_heads or m.kv_heads
    formula = memory.kv_cache_bytes(layers=m.layers, kv_heads=heads, head_dim=m.head_dim, tokens=tokens)
    real = lab.cache_bytes(lab.cache_of_shape(m, tokens, other_heads, thin=m is not big or other_heads is not None))
    assert formula == real, (m.name, formula, real)
    kind = {m.attention_heads: "MHA", 1: "MQA"}.get(heads, "GQA")
    name = f"the same, if K were {heads}" if other_heads else m.name
    groups = f"{kind}, {m.attention_heads} / {heads}"
    rows.append([name, groups, tokens, real // tokens, real, units.format_bytes(real)])
header = ["model", "H / K", "tokens S", "bytes a token", "bytes", "cache"]
table(rows, header, f"16-bit caches, one sequence: formula and tensors agree in each row (shapes as of {big.as_of})")
reveal("l05_p1", units.gb(rows[0][4]), unit="GB")

# %% [markdown]
# So the 32B model needs 13.1 GB<!-- claim:S04-033 --> for 50,000 tokens and 34.4 GB<!-- claim:S04-034 --> for 131,072: much more than its own 4-bit weights,
# 19.3 GB<!-- claim:S04-035 -->. With K = H it would be five times as much, and OLMo 2, a model of 7B parameters that does keep all heads, takes twice the room of the 32B.
# (Some of these models do not read 50,000 tokens; the arithmetic does not care.)
#
# ### Exercise 3: bytes of a cache (6 minutes)
#
# `shape` holds four numbers, for example `{"layers": 64, "heads": 40, "kv_heads": 8, "head_dim": 128}`. Return plain bytes. A 4-bit cache has 0.5 bytes a value.


# %% nbgrader={"grade_id": "l05_e3_bytes", "solution": true}
def cache_bytes(shape, tokens, batch, bytes_per_value):
    """Bytes of the key-value cache of `batch` sequences of `tokens` tokens each."""
    ### BEGIN SOLUTION
    values = 2 * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * tokens * batch
    return values * bytes_per_value
    ### END SOLUTION


hints("l05_e3")

# %% nbgrader={"grade_id": "l05_e3_check", "grade": true, "points": 1}
check("l05_e3", cache_bytes)

# %% nbgrader={"grade_id": "l05_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: random shapes, a real cache, and how bytes must grow.
### BEGIN HIDDEN TESTS
score_properties("l05_e3", cache_bytes, points=2, seed=5301)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 4: the longest context that fits (8 minutes)
#
# A card must hold the weights, some overhead, and the caches of `batch` sequences. Return the longest context in whole tokens, the same for each sequence; 0 when nothing fits. Cards are
# sold in GiB (2³⁰ bytes); weights and overhead come in bytes.


# %% nbgrader={"grade_id": "l05_e4_context", "solution": true}
def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    """The most tokens for each of `batch` sequences whose caches fit beside weights and overhead."""
    ### BEGIN SOLUTION
    room = card_gib * 2**30 - weights_bytes - overhead_bytes
    one_token = 2 * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * batch * bytes_per_value
    return max(0, int(room // one_token))
    ### END SOLUTION


hints("l05_e4")

# %% nbgrader={"grade_id": "l05_e4_check", "grade": true, "points": 1}
check("l05_e4", longest_context)

# %% nbgrader={"grade_id": "l05_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other cards, models and batches, and weights that do not fit.
### BEGIN HIDDEN TESTS
score_properties("l05_e4", longest_context, points=2, seed=5401)
### END HIDDEN TESTS

# %% [markdown]
# ## What it buys in time
#
# *Prefill* reads the prompt and gives the first new token: the same work with and without a cache. *Decode* gives the others, and there they part. Count first, like for like.
#
# To write 1,000 tokens, the cache turns 500,500<!-- claim:S04-029 --> passes of a token through the model into 1,000<!-- claim:S04-030 -->: the work of the weights becomes **linear** in the
# length. It does not remove attention itself. Every new token still scores against all cached keys, so this part grows with each token and stays **quadratic** in total. In short texts the weights hide it;
# the second table says from which length on it is the larger half of the arithmetic.
#
# Then the clock: same code with and without the cache, order alternated, medians of three.

# %%
n = 1000
counts = [
    ["passes of a token through the model, no cache", memory.passes_without_cache(1, n)],
    ["passes of a token through the model, cache", memory.passes_with_cache(1, n)],
    ["scores q · k in each head of each layer, cache", memory.scores_with_cache(1, n)],
]
table(counts, ["to write 1,000 tokens", "count"])
rows, small = [], dict(weights=model.num_parameters(), heads=c.num_attention_heads, **shape)
used = big.total_params_exact - big.embedding_params_exact  # the input embedding is looked up, not multiplied
large = dict(weights=used, heads=big.attention_heads, layers=big.layers, kv_heads=big.kv_heads, head_dim=big.head_dim)
for name, m in ((MODEL, small), ("Qwen2.5-Coder-32B", large)):
    per_key = 2 * m["layers"] * m["heads"] * m["head_dim"]  # multiply-adds a cached key costs one new token
    rows.append([name, m["weights"], per_key, round(m["weights"] / per_key)])
header = ["model", "multiply-adds of the weights", "of each cached key", "equal at S ="]
table(rows, header, "One new token, with a cache")

# %% tags=["nbval-ignore-output"]
speeds = lab.speed(model, lengths=(64, 256, 896))
rows = [[s.tokens, s.prefill * 1e3, s.uncached * 1e3, s.cached * 1e3, s.uncached / s.cached] for s in speeds]
table(rows, ["prompt", "prefill, ms", "a token, no cache, ms", "a token, cache, ms", "times as fast"], f"{MODEL}, greedy")
fig, ax = page.axes()
ax.plot([s.tokens for s in speeds], [s.uncached * 1e3 for s in speeds], label="no cache")
ax.plot([s.tokens for s in speeds], [s.cached * 1e3 for s in speeds], label="cache")
ax.set(xlabel="tokens of the prompt", ylabel="ms for one more token", ylim=(0, None))
ax.legend()
ends = [f"{1e3 * s.uncached:.0f} ms without a cache and {1e3 * s.cached:.0f} ms with one" for s in speeds]
show(fig, alt=f"Time for one more token: after 64 tokens {ends[0]}, after 896 tokens {ends[-1]}.")
reveal("l05_p2", speeds[-1].uncached / speeds[-1].cached, unit="times")
if model.device.type == "cpu":
    assert speeds[-1].uncached > 1.5 * speeds[-1].cached, "after 896 tokens the cache must pay clearly"
else:  # so small a model waits for its launches: work hardly shows
    print("On this device a model of this size waits for its kernels to be launched: the arithmetic saved hardly shows.")

# %% [markdown]
# ## Smaller caches, other answers
#
# **Fewer bits.** Round each row of D values to 8 or 4 bits, with a 16-bit scale of its own. Bytes are those of the tensors that hold it, scales and all. The change is measured where it
# matters: in the next-token distributions over the second half of a text (mean KL divergence in bits; 0 means the same). The last rows do it with transformers' own `QuantizedCache`, whose
# fp8 kind has a single scale for a whole tensor.
#
# **Fewer rows.** With a *sliding window* of W, a token sees itself and the W − 1 tokens before it. The cache stops growing, and what stood earlier is out of sight for that layer. Ours was not
# trained with a window, so this is the harsh case; models made for it mix windowed and full layers, as the last line shows.

# %% tags=["nbval-ignore-output"]
ids, half = story, story.shape[1] // 2
_, past = lab.forward(model, ids[:, :half])
exact, _ = lab.forward(model, ids[:, half:], past)
rows, change = [["32 bit, as computed", lab.cache_bytes(past), "0"]], {}
for bits in (16, 8, 4):
    small, size = lab.stored(past, bits)
    change[bits] = lab.kl_divergence(lab.forward(model, ids[:, half:], small)[0], exact)
    rows.append([f"{bits} bit, by this lab", size, f"{change[bits]:.5f}"])
for kind, label in (("fp8", "8 bit (fp8), by transformers"), ("quanto", "4 bit (quanto), by transformers")):
    found = lab.change_in_transformers(model, ids, half, kind)
    rows.append([label, None, "not installed here" if found is None else f"{found:.5f}"])
table(rows, ["cache", "bytes", "change (KL, bits)"], f"{half} cached tokens of {MODEL}, {ids.shape[1] - half} predicted")
assert change[16] < change[8] < change[4], "fewer bits must change more"

# %% tags=["nbval-ignore-output"]
rows, changes = [], []
for window in (0, 32, 16, 4):
    _, kept = lab.forward(model, ids[:, :half], window=window)
    logits, _ = lab.forward(model, ids[:, half:], kept, first_position=half, window=window)
    changes.append(lab.kl_divergence(logits, exact))
    rows.append([window or "none", kept[0][0].shape[2], lab.cache_bytes(kept), f"{changes[-1]:.5f}"])
table(rows, ["window W", "rows kept", "bytes", "change (KL, bits)"], f"{MODEL} after {half} tokens, cache in float32")
assert changes[0] < 1e-4 < changes[-1], "no window, no change; a short one must change the predictions"
g = catalog.model("gemma-3-27b")
kind = dict(layers=g.layers, kv_heads=g.kv_heads, head_dim=g.head_dim, tokens=131_072)
mixed = memory.sliding_cache_bytes(window_layers=g.window_layers, window=g.attention_window, **kind)
print(f"{g.name}: {g.window_layers} of {g.layers} layers have a window of {g.attention_window:,}; at 131,072 tokens")
print(f"its cache is {units.format_bytes(mixed)} instead of {units.format_bytes(memory.kv_cache_bytes(**kind))}")

# %% [markdown]
# ## What breaks it
#
# A cache carries no label. Nothing in the tensors says which text they came from, where it ended, or which of the pair are keys. So these mistakes have the right shapes and raise no error. Same text,
# same second half, four caches:

# %% tags=["nbval-ignore-output"]
other = tokenizer(lab.OTHER_STORY, return_tensors="pt").input_ids[:, :half].to(model.device)
_, foreign = lab.forward(model, other)
caches = {
    "right": (past, None),
    "position off by one": (past, half + 1),
    "cache of another prompt": (foreign, None),
    "K and V swapped": ([(values, keys) for keys, values in past], None),
}
rows, harm = [], []
for name, (kept, position) in caches.items():
    logits, _ = lab.forward(model, ids[:, half:], kept, position)
    harm.append(lab.kl_divergence(logits, exact))
    same = (logits.argmax(-1) == exact.argmax(-1)).float().mean().item()
    told = tokenizer.decode(lab.write(model, ids[:, half : half + 1], 9, kept, position)[0])
    rows.append([name, f"{harm[-1]:.5f}", f"{same:.0%}", repr(told)])
table(rows, ["cache", "change (KL, bits)", "same best token", "what it would write next"])
assert 10 * max(harm[0], 1e-5) < harm[1] == min(harm[1:]), "each mistake must show, the wrong position least"

# %% [markdown]
# The quietest is the first: every distance between old and new tokens is off by one, and the predictions move only a little. Nobody hears that in the text; a comparison with
# uncached logits, as in this lesson, finds it. Against the second, engines that share caches between requests look them up by a hash of the tokens. The third is why a test of a
# cache compares values, never shapes alone.
#
# ## Calculator
#
# Size the cache of a model you care about. All controls work by keyboard: Tab moves, arrows and typing change values.

# %%
page.KVCacheCalculator(tokens=50_000)

# %% [markdown]
# ## Quiz

# %%
quiz("05_kv_cache")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was measured by `benchmarks/l05_decode.py`: the same function, each variant in a fresh process. Your machine is another one, so compare the ratios: how many times as fast, and how
# that grows with the length.

# %% tags=["nbval-ignore-output"]
mine = {f"times_as_fast_at_{s.tokens}_tokens": s.uncached / s.cached for s in speeds}
last = speeds[-1]
mine[f"prefill_at_{last.tokens}_tokens"] = last.prefill * 1e3
mine[f"one_token_without_cache_at_{last.tokens}_tokens"] = last.uncached * 1e3
mine[f"one_token_with_cache_at_{last.tokens}_tokens"] = last.cached * 1e3
assert all(value > 0 for value in mine.values())
compare("l05_decode", mine)

# %% [markdown]
# ## We learned
#
# 1. To **build** a cache: append rows along the token axis, attend from the last L of S positions. Logits equal the uncached ones up to rounding.
# 2. To **compute** its bytes, 2 × layers × K × D × S × B × bytes per value, equal to the tensors to the byte; what is left on a card gives the longest context.
# 3. To **say** what becomes linear (passes through the weights) and what stays quadratic in total (scores against all keys).
# 4. To **judge** fewer bits and fewer rows by the change in the predictions, not by the bytes alone.
# 5. To **recognise** a wrong position, another prompt's cache, and K for V: no error, other logits.
#
# *Next:* sampling, which turns these logits into a choice.
#
# ## Corrections
#
# What the course's source text has differently, with the calculation or source that decides it.

# %%
corrections(["S04-029", "S04-030", "S04-031", "S04-033", "S04-034", "S04-035", "S09-067"])

# %% [markdown]
# ## Sources
#
# - Shapes of real models and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - A. Vaswani and others, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), 2017: scaled dot-product attention and its mask.
# - N. Shazeer, [Fast Transformer Decoding](https://arxiv.org/abs/1911.02150), 2019: multi-query attention, one key-value head.
# - J. Ainslie and others, [GQA](https://arxiv.org/abs/2305.13245), 2023: groups of query heads that share a key-value head.
# - J. Su and others, [RoFormer](https://arxiv.org/abs/2104.09864), 2021: rotary positions, why distances matter and absolute positions do not.
# - I. Beltagy and others, [Longformer](https://arxiv.org/abs/2004.05150), 2020: sliding-window attention.
# - Z. Liu and others, [KIVI](https://arxiv.org/abs/2402.02750), 2024: caches of few bits.
# - transformers 5.23, module `cache_utils`, read 2026-11-23: `DynamicCache`, sliding layers, `QuantizedCache`.
