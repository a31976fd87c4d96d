# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 16_capstone/vram_budget, title: A VRAM budget, minutes: 60, gpu: optional, kind: task}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Task: a VRAM budget
#
# **Which of three models runs on which of three machines, and how tight is it?**
#
# | machine | cards | how it runs |
# |---|---|---|
# | A | one of 24 GiB<!-- plan --> | as it is |
# | B | two of 32 GiB<!-- plan --> | tensor parallel, tp = 2 |
# | C | one of 80 GiB<!-- plan --> | as it is |
#
# The models: Yi-Coder-9B in 16 bits, Qwen2.5-Coder-32B and Llama 3.3 70B in 4 bits, each with 8,192 tokens of context.

# %% tags=["bootstrap"]

# %%
from lessonlib.checks.vram_budget import CONFIGS, budget_parts, exact_models, reference_table, round_models

parts, left, card = budget_parts(exact_models()[1]), 0.0, 24 * 2**30 / 1e9
figure, ax = page.axes(size=(6.4, 1.9))
for (name, size), hatch in zip(parts.items(), ("", "//", "..")):
    ax.barh("32B on A", size, left=left, hatch=hatch, edgecolor="white", label=f"{name} {size:.2f} GB")
    left += size
ax.axvline(card, color="black", linestyle="--", label=f"card {card:.2f} GB")
ax.set(xlabel="GB on the GPU", xlim=(0, 34))
ax.legend(loc="center right", fontsize=8)
show(
    figure,
    alt=f"One bar: {', '.join(f'{n} {x:.2f} GB' for n, x in parts.items())}, together {left:.2f} GB, left of the line of the card at {card:.2f} GB.",
)

# %% [markdown]
# ## Aims
#
# After this task you can
#
# 1. **budget** weights, cache and overhead for one GPU, alone and under tensor parallelism,
# 2. **decide** what fits by a stated rule, for any model and machine,
# 3. **reconcile** such a budget with real tensors.
#
# *You need:* lesson 05.
#
# ## The rules
#
# You are graded by these rules and no others:
#
# - Sizes are in **GB**, 1e9 bytes. A card of N GiB holds N × 2**30 bytes.
# - The cache has 2 bytes a value and one sequence, unless the function says otherwise.
# - Under tensor parallelism, each of tp GPUs holds 1 / tp of the weights, and K / tp key-value heads; with more GPUs than heads, one whole head each.
# - **Every** GPU pays the whole overhead of 1.5 GB<!-- plan -->.
# - It **fits** when one GPU's total is at most its card's bytes.
#
# The table is graded twice: with weights from rounded sizes (9, 32 and 70 billion), and with those of the exact architectures, where a 4-bit file keeps its embeddings in 16 bits and a scale for
# each group of 128 weights. Hidden tests use random machines and other models, and give part of the points for each property that holds.
#
# ## Predict

# %%
predict("l16_vram_p1", "How many of the nine combinations fit?", options=["5 or 6", "7", "8", "all 9"])

# %% [markdown]
# ## Weights
#
# ### Exercise 1: gigabytes of weights (5 minutes)


# %% nbgrader={"grade_id": "l16_vram_e1_weights", "solution": true}
def weights_gb(billions, bits):
    """GB of `billions` x 1e9 weights at `bits` bits each."""
    ### BEGIN SOLUTION
    return billions * bits / 8
    ### END SOLUTION


hints("l16_vram_e1")


# %% nbgrader={"grade_id": "l16_vram_e1_check", "grade": true, "points": 1}
check("l16_vram_e1", weights_gb)

# %% nbgrader={"grade_id": "l16_vram_e1_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l16_vram_e1", weights_gb, points=3, seed=161)
### END HIDDEN TESTS

# %% [markdown]
# ## Cache
#
# ### Exercise 2: gigabytes of cache (5 minutes)


# %% nbgrader={"grade_id": "l16_vram_e2_cache", "solution": true}
def cache_gb(layers, kv_heads, head_dim, tokens, bytes_per_value):
    """GB of the key-value cache of one sequence."""
    ### BEGIN SOLUTION
    return 2 * layers * kv_heads * head_dim * tokens * bytes_per_value / 1e9
    ### END SOLUTION


hints("l16_vram_e2")


# %% nbgrader={"grade_id": "l16_vram_e2_check", "grade": true, "points": 1}
check("l16_vram_e2", cache_gb)

# %% nbgrader={"grade_id": "l16_vram_e2_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
score_properties("l16_vram_e2", cache_gb, points=3, seed=162)
### END HIDDEN TESTS

# %% [markdown]
# ### Does the formula meet a real object?
#
# Two layers of the exact 32B shape, with random weights, read 100 tokens on this machine. Its cache is asked for its bytes; and the whole 70B model is built without memory (on the
# *meta* device) to count its parameters.

# %%
import torch
from lessonlib.calc import memory
from lessonlib.facts import catalog
from lessonlib.labs import kv_cache as lab
from lessonlib.models import shapes

small = shapes.build("qwen2.5-coder-32b", layers=2, thin=True, device="cpu")
with torch.no_grad():
    kept = small(torch.zeros(1, 100, dtype=torch.long), use_cache=True).past_key_values
real = lab.cache_bytes(lab.from_transformers(kept))
predicted = memory.kv_cache_bytes(layers=2, kv_heads=8, head_dim=128, tokens=100)
print(f"cache of 2 layers, 100 tokens: predicted {predicted:,} bytes, tensors hold {real:,} bytes")
assert predicted == real

# %%
counted = shapes.parameters(shapes.build("llama-3.3-70b"))
stated = catalog.model("llama-3.3-70b").total_params_exact
print(f"Llama 3.3 70B: {counted:,} parameters built, {stated:,} in the fact base")
assert counted == stated

# %% [markdown]
# ## One GPU's share
#
# ### Exercise 3: what one GPU holds (10 minutes)


# %% nbgrader={"grade_id": "l16_vram_e3_share", "solution": true}
def per_gpu_gb(weights_gb, layers, kv_heads, head_dim, tokens, tp, overhead_gb):
    """GB on one of `tp` tensor-parallel GPUs; the cache has 2 bytes a value."""
    ### BEGIN SOLUTION
    own_heads = max(1, kv_heads // tp)
    return weights_gb / tp + cache_gb(layers, own_heads, head_dim, tokens, 2) + overhead_gb
    ### END SOLUTION


hints("l16_vram_e3")


# %% nbgrader={"grade_id": "l16_vram_e3_check", "grade": true, "points": 1}
check("l16_vram_e3", per_gpu_gb)

# %% nbgrader={"grade_id": "l16_vram_e3_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
score_properties("l16_vram_e3", per_gpu_gb, points=3, seed=163)
### END HIDDEN TESTS

# %% [markdown]
# ## The table
#
# ### Exercise 4: what fits where (15 minutes)
#
# `models` is a list of dicts with `name`, `weights_gb`, `layers`, `kv_heads`, `head_dim`; `configs` one of dicts with `name`, `gpus`, `vram_gib`. Return a list of rows, models outermost:
# `{"model": name, "config": name, "per_gpu_gb": number, "fits": True or False}`, for 8,192 tokens and 1.5 GB<!-- plan --> of overhead.


# %% nbgrader={"grade_id": "l16_vram_e4_table", "solution": true}
def budget_table(models, configs):
    """One row for each model and configuration, with one GPU's total and whether it fits."""
    ### BEGIN SOLUTION
    rows = []
    for m in models:
        for c in configs:
            total = per_gpu_gb(m["weights_gb"], m["layers"], m["kv_heads"], m["head_dim"], 8192, c["gpus"], 1.5)
            fits = total * 1e9 <= c["vram_gib"] * 2**30
            rows.append({"model": m["name"], "config": c["name"], "per_gpu_gb": total, "fits": fits})
    return rows
    ### END SOLUTION


hints("l16_vram_e4")


# %% nbgrader={"grade_id": "l16_vram_e4_check", "grade": true, "points": 2}
check("l16_vram_e4", budget_table)

# %% nbgrader={"grade_id": "l16_vram_e4_hidden", "grade": true, "points": 6}
# Hidden tests stand here when your work is graded: two points for each of three properties.
### BEGIN HIDDEN TESTS
score_properties("l16_vram_e4", budget_table, points=6, seed=164)
### END HIDDEN TESTS

# %% [markdown]
# ### Written part: how tight is the 32B model on machine A? (graded by hand, 3 points)
#
# In three or four sentences: what remains free, what would use it up, and what would you change first? One point for each, when it comes with a number and its unit.

# %% [markdown] nbgrader={"grade_id": "l16_vram_why", "grade": true, "solution": true, "points": 3}
# *Marking, one point each:* (1) what is free: the card's 25.77 GB<!-- cell --> less the exact total of 22.97 GB<!-- cell -->, in a stated unit; (2) what uses it up: more context, a second user, or the
# driver's share, with a number; (3) a change that helps and its price: an 8-bit cache, a shorter context, a smaller model.
#
# *A full answer:* The exact total leaves some 2.8 GB of the card. That is one more sequence of 8,192 tokens (2.1 GB), or a context about twice as long, before the driver takes its part. I would
# round the cache to 8 bits first: it halves the cache, and lesson 05 measured how little the predictions move.

# %% [markdown]
# ## What breaks it
#
# The same three models on machine A, under three common slips. A slip need not change the verdict to be dangerous: look at the numbers.

# %%
card = memory.card_bytes(24) / 1e9
rows = []
for m in exact_models():
    cache = memory.kv_cache_bytes(layers=m["layers"], kv_heads=m["kv_heads"], head_dim=m["head_dim"], tokens=8192) / 1e9
    heads = catalog.model(m["name"]).attention_heads
    right = m["weights_gb"] + cache + 1.5
    slips = (right, right - cache / 2, m["weights_gb"] + cache * heads / m["kv_heads"] + 1.5, right - 1.5)
    rows.append([m["name"], *(f"{x:.2f}{' fits' if x <= card else ' no'}" for x in slips)])
table(
    rows,
    header=["model", "right (GB)", "K without V", "query heads for key-value heads", "no overhead"],
    caption=f"Machine A holds {card:.2f} GB",
)

# %% [markdown]
# ## Calculator
#
# Try other contexts: where does the 32B model stop fitting beside its weights?

# %%
page.KVCacheCalculator(tokens=8192, card="rtx-4090")

# %% [markdown]
# ## Yours beside the reference
#
# The reference answer for both ways of counting weights. Open it when yours is done.

# %%
by_round, by_exact = (reference_table(models, CONFIGS) for models in (round_models(), exact_models()))
rows = [
    [
        r["model"],
        r["config"],
        f"{r['per_gpu_gb']:.2f}",
        f"{e['per_gpu_gb']:.2f}",
        "fits" if e["fits"] else "does not fit",
    ]
    for r, e in zip(by_round, by_exact)
]
assert [r["fits"] for r in by_round] == [e["fits"] for e in by_exact]
reveal("l16_vram_p1", f"{sum(e['fits'] for e in by_exact)} of 9")
page.theme.emit(
    "<details><summary>Show the reference table</summary>"
    + page.theme.table_html(
        rows, ["model", "machine", "GB, rounded sizes", "GB, exact", "verdict"], "One GPU's total at 8,192 tokens"
    )
    + "</details>",
    "[reference table, folded]",
)

# %% [markdown]
# ## We learned
#
# 1. to **budget** one GPU: its share of weights, its own key-value heads, the whole overhead,
# 2. to **decide** by a stated rule: bytes against bytes, GiB for cards,
# 3. to **reconcile** the budget with real tensors and a real parameter count.
#
# The exact 32B file takes 19.3 GB<!-- claim:S12-002 -->, the 70B one 39.8 GB<!-- claim:S12-003 -->; caches at 8,192 tokens are 0.805 GB<!-- claim:S12-004 --> and 2.147 GB<!-- claim:S12-005 --> for the first
# two models.
#
# ## Corrections

# %%
corrections(["S12-002", "S12-003", "S12-004", "S12-005"])

# %% [markdown]
# ## Sources
#
# - Architectures and group-128 sizes: the fact base of this course, checked 2026-11-23.
