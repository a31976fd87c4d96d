# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 16_capstone/vram_budget, title: A VRAM budget, minutes: 75, gpu: optional, kind: task}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Task: a VRAM budget
#
# **Which of three models runs on which of three machines, and how tight is it?**
#
# | machine | cards | how a model runs on it |
# |---|---|---|
# | A | one of 24 GiB<!-- fact:gpus/rtx-4090/vram_gb --> | as it is |
# | B | two of 32 GiB<!-- fact:gpus/rtx-5090/vram_gb --> | split in two: tensor parallel, tp = 2 |
# | C | one of 80 GiB<!-- plan --> | as it is |
#
# The models: Yi-Coder-9B in 16 bits, Qwen2.5-Coder-32B and Llama 3.3 70B in 4 bits, each with a context of 8,192 tokens.
#
# ## Aims
#
# After this task you can
#
# 1. **budget** weights, cache and overhead for one GPU, alone and under tensor parallelism,
# 2. **decide** what fits by a stated rule, for any model and machine,
# 3. **find** the cheapest machine for so many users, and the longest context that it gives them,
# 4. **reconcile** such a budget with real tensors.
#
# *You need:* lesson 05. Letters as there: K key-value heads, D head size.

# %% tags=["bootstrap"]

# %% [markdown]
# ## The rules
#
# You are graded by these rules and no others:
#
# - **Units.** Sizes are in GB, 1e9 bytes. A card of N GiB holds N × 2**30 bytes.
# - **Weights.** Either all parameters have the same bits (the *rounded* models: 9, 32 and 70 billion), or the file is written in groups (the *exact* ones): some parameters keep 16 bits; the others
#   come in groups of 128, and each group adds a 16-bit scale and a 4-bit zero point.
# - **Cache.** One sequence, 2 bytes a value unless a function says otherwise, always by the exact architecture.
# - **Tensor parallelism.** Each of tp GPUs holds 1 / tp of the weights and K / tp whole key-value heads. With more GPUs than heads, each GPU keeps a copy of one head.
# - **Overhead.** Every GPU pays all of it: 1.5 GB<!-- plan --> for buffers and the CUDA context.
# - **It fits** when one GPU's total is at most its card's bytes.
#
# Visible checks use the rounded models, hidden tests the exact ones too, and others that the task does not name. Each hidden property that holds gives its share of the points.
#
# One budget that is not in the task, to see the rules at work: Qwen3-32B in 16 bits with 32,768 tokens. Weights and cache shrink with more GPUs; the overhead does not.

# %%
from lessonlib.calc import memory
from lessonlib.facts import catalog
from lessonlib.page.stacks import memory_stacks

m = catalog.model("qwen3-32b")
kind = dict(layers=m.layers, attention_heads=m.attention_heads, kv_heads=m.kv_heads, head_dim=m.head_dim)
weights = memory.weight_bytes(m.total_params_exact, 16)
bars = [
    (f"{tp} x 80 GiB", memory.gpu_budget(weights=weights, tokens=32_768, tp=tp, **kind), memory.card_bytes(80))
    for tp in (1, 2, 4, 8)
]
svg(*memory_stacks(bars))
predict("l16_vram_p1", "How many of the nine combinations fit?", options=["5 or 6", "7", "8", "all 9"])

# %% [markdown]
# ## Weights
#
# Why 20 bits a group? Here is one matrix of the 32B model as a 4-bit file stores it: the key projection, in groups of 128. Eight 4-bit numbers share one 32-bit integer.

# %%
import torch

big = catalog.model("qwen2.5-coder-32b")
rows_in, rows_out = big.hidden_size, big.kv_heads * big.head_dim
packed = torch.zeros(rows_in, rows_out // 8, dtype=torch.int32)  # the 4-bit numbers
scales = torch.zeros(rows_in // 128, rows_out, dtype=torch.float16)  # one a group
zeros = torch.zeros(rows_in // 128, rows_out // 8, dtype=torch.int32)  # one 4-bit zero point a group
sizes = [t.numel() * t.element_size() for t in (packed, scales, zeros)]
table([["numbers", sizes[0]], ["scales", sizes[1]], ["zero points", sizes[2]], ["all", sum(sizes)]], ["part", "bytes"])
bits = sum(sizes) * 8 / (rows_in * rows_out)
assert bits == memory.AWQ_BITS == 4 + 20 / 128
print(f"{rows_in * rows_out:,} weights: {bits} bits each")

# %% [markdown]
# ### Exercise 1: gigabytes of weights (8 minutes)
#
# `kept_16bit` of the `parameters` keep 16 bits and have no groups (the embeddings, as a rule). The others have `bits` each, and with a `group`, one group's 20 bits for every `group` of them.


# %% nbgrader={"grade_id": "l16_vram_e1_weights", "solution": true}
def weights_gb(parameters, bits, kept_16bit=0, group=None):
    """GB of a file with `parameters` weights."""
    ### BEGIN SOLUTION
    extra = 20 / group if group else 0
    all_bits = (parameters - kept_16bit) * (bits + extra) + kept_16bit * 16
    return all_bits / 8 / 1e9
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
# The models of this task, as your functions get them: a dict each. First with rounded sizes, then exact.

# %%
from lessonlib.labs.vram_budget import CONFIGS, exact_models, offers, round_models

fields = list(exact_models()[0])
for which, made in (("rounded", round_models()), ("exact", exact_models())):
    columns = [[field, *(m[field] for m in made)] for field in fields]
    table(columns[1:], ["field", *columns[0][1:]], f"{which}, as of {big.as_of}")
print("machines:", *CONFIGS, sep="\n  ")
table([list(o.values()) for o in offers()], ["card", "GiB", "list price, USD", "most in one machine"], "for exercise 5")

# %% [markdown]
# ### Exercise 2: gigabytes of cache (5 minutes)


# %% nbgrader={"grade_id": "l16_vram_e2_cache", "solution": true}
def cache_gb(model, tokens, bytes_per_value=2):
    """GB of the key-value cache of one sequence; `model` is a dict as shown above."""
    ### BEGIN SOLUTION
    values = 2 * model["layers"] * model["kv_heads"] * model["head_dim"] * tokens
    return values * bytes_per_value / 1e9
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
# Two layers of the 32B model's shape, with random weights, read 100 tokens on this machine; then we ask the cache for its bytes. And the whole 70B model is built on the *meta* device, where
# tensors have shapes and take no memory, to count its parameters.

# %%
from lessonlib.labs import kv_cache as lab
from lessonlib.labs import vram_budget as task
from lessonlib.models import shapes

small = shapes.build("qwen2.5-coder-32b", layers=2, thin=True, device="cpu")
with torch.no_grad():
    kept = small(torch.zeros(1, 100, dtype=torch.long), use_cache=True).past_key_values
real = lab.cache_bytes(lab.from_transformers(kept))
predicted = memory.kv_cache_bytes(layers=2, kv_heads=8, head_dim=128, tokens=100)
print(f"cache of 2 layers, 100 tokens: predicted {predicted:,} bytes, tensors hold {real:,} bytes")
assert predicted == real

whole = shapes.build("llama-3.3-70b")
counted = sum(p.numel() * p.element_size() for p in whole.parameters())
stated = memory.weight_bytes(catalog.model("llama-3.3-70b").total_params_exact, 16)
print(f"Llama 3.3 70B in 16 bits: predicted {stated:,} bytes, the model's tensors would hold {counted:,}")
assert counted == stated

# %% [markdown]
# ## One GPU's share
#
# Tensor parallelism cuts matrices, not layers: each rank holds a slice of every one. Here one decoder layer of the 32B model's shape is cut in two, as Megatron does it; a rank's slices are allocated
# on this machine, and their storage is asked for its bytes.

# %% tags=["nbval-ignore-output"]
layer = shapes.build("qwen2.5-coder-32b", layers=1).model.layers[0]  # on the meta device
device = "cuda" if torch.cuda.is_available() else "cpu"
whole = sum(p.numel() * p.element_size() for p in layer.parameters())
rows = [[tp, held := task.rank_bytes(layer, tp, device), f"{held * tp / whole - 1:.4%}"] for tp in (1, 2, 4, 8)]
table(rows, ["GPUs", "bytes of one GPU", "more than 1 / tp"], f"one layer in 16 bits, allocated on {device}")
assert all(whole / tp <= held < 1.01 * whole / tp + 4096 for tp, held, _ in rows), "a rank holds its share, and the norms"

# %% [markdown]
# What is more than the share are the norms, which every rank keeps whole: too little to budget for.
#
# ### Exercise 3: what one GPU holds (8 minutes)
#
# All sizes in GB: the whole `weights`, the whole `cache`, and the `overhead` that a GPU pays. One of `tp` and `kv_heads` divides the other.


# %% nbgrader={"grade_id": "l16_vram_e3_share", "solution": true}
def per_gpu_gb(weights, cache, kv_heads, tp, overhead):
    """GB on one of `tp` tensor-parallel GPUs."""
    ### BEGIN SOLUTION
    sharing = min(tp, kv_heads)  # beyond that, GPUs hold copies of a head
    return weights / tp + cache / sharing + overhead
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
# `models` and `configs` are lists of the dicts shown above. Return a list of rows, models outermost:
# `{"model": name, "config": name, "per_gpu_gb": number, "fits": True or False}`. A configuration with n GPUs runs with tp = n. One of the models in the check is a *mixture of experts*: which of its
# two parameter counts must be in memory?


# %% nbgrader={"grade_id": "l16_vram_e4_table", "solution": true}
def budget_table(models, configs, tokens=8192):
    """One row for each model and configuration: one GPU's total, and whether it fits."""
    ### BEGIN SOLUTION
    rows = []
    for m in models:
        weights = weights_gb(m["parameters"], m["bits"], m["kept_16bit"], m["group"])
        for c in configs:
            total = per_gpu_gb(weights, cache_gb(m, tokens), m["kv_heads"], c["gpus"], 1.5)
            fits = total * 1e9 <= c["vram_gib"] * 2**30
            rows.append({"model": m["name"], "config": c["name"], "per_gpu_gb": total, "fits": fits})
    return rows
    ### END SOLUTION


hints("l16_vram_e4")

# %% nbgrader={"grade_id": "l16_vram_e4_check", "grade": true, "points": 2}
check("l16_vram_e4", budget_table)

# %% nbgrader={"grade_id": "l16_vram_e4_hidden", "grade": true, "points": 8}
# Hidden tests stand here when your work is graded: two points for each of four properties.
### BEGIN HIDDEN TESTS
score_properties("l16_vram_e4", budget_table, points=8, seed=164)
### END HIDDEN TESTS

# %% [markdown]
# ## Many users, and a price
#
# Offers are dicts too, shown above: a card, its size, the price of one card, and how many of them one machine takes (two in a desktop, eight in a server). A machine works with 1, 2, 4 or 8 of them, at most `most`.
#
# ### Exercise 5: the cheapest machine (15 minutes)
#
# Each of `users` has a context of `context` tokens at the same time; the cache has 2 bytes a value, and the overhead is as before. Return `{"card": name, "gpus": number, "usd": price of the machine,
# "longest_context": tokens}` of the cheapest machine that serves them (of two that cost the same, the one with fewer GPUs), or `None`. `longest_context` is the most whole tokens that each user could have there; no memory
# makes it longer than the model's `window`.


# %% nbgrader={"grade_id": "l16_vram_e5_cheapest", "solution": true}
def cheapest(model, offers, users, context):
    """The cheapest machine that serves so many users of the model, as a dict, or None."""
    ### BEGIN SOLUTION
    if context > model["window"]:
        return None
    weights, one = weights_gb(model["parameters"], model["bits"], model["kept_16bit"], model["group"]), cache_gb(model, 1)
    found = []
    for offer in offers:
        for gpus in (1, 2, 4, 8):
            if gpus > offer["most"]:
                continue
            empty = per_gpu_gb(weights, 0, model["kv_heads"], gpus, 1.5)
            token = per_gpu_gb(0, users * one, model["kv_heads"], gpus, 0)
            tokens = int((offer["vram_gib"] * 2**30 / 1e9 - empty) / token)
            if tokens >= context:
                found.append((gpus * offer["usd"], gpus, offer["card"], min(tokens, model["window"])))
    return dict(zip(("usd", "gpus", "card", "longest_context"), min(found))) if found else None
    ### END SOLUTION


hints("l16_vram_e5")

# %% nbgrader={"grade_id": "l16_vram_e5_check", "grade": true, "points": 2}
check("l16_vram_e5", cheapest)

# %% nbgrader={"grade_id": "l16_vram_e5_hidden", "grade": true, "points": 8}
# Hidden tests stand here when your work is graded: two points for each of four properties.
### BEGIN HIDDEN TESTS
score_properties("l16_vram_e5", cheapest, points=8, seed=165)
### END HIDDEN TESTS

# %% [markdown]
# The cheapest machine is not the best: memory says what fits, bandwidth and compute say how fast it answers (lesson 12), and cards that work together need a link between them.
#
# ### Written part: how tight is the 32B model on machine A? (5 minutes, 3 points, graded by hand)
#
# In three or four sentences: what remains free, what would use it up, and what would you change first? One point each:
#
# | point | for |
# |---|---|
# | free memory | the remainder by the exact numbers, with its unit |
# | what uses it up | a longer context, a second user, or what the driver keeps for itself, with a number of yours |
# | a change | one that helps, and its price: an 8-bit cache, a shorter context, a smaller model, another machine |

# %% [markdown] nbgrader={"grade_id": "l16_vram_why", "grade": true, "solution": true, "points": 3}
# **Your answer:**
#
# ### BEGIN SOLUTION
# Machine A holds 25.77 GB<!-- cell --> and the exact budget is 22.97 GB<!-- cell -->, so 2.80 GB<!-- cell --> remain. Each token takes 262,144 bytes<!-- cell -->: some 10,600 more tokens fill the card, or one
# more user with the same context and a little more. A driver that keeps 1 GB<!-- plan --> for itself takes a third of what is left. I would first store the cache in 8 bits, which frees
# 1.07 GB<!-- cell --> and may cost some accuracy, to be measured on our own tasks; a shorter context costs nothing but length.
# ### END SOLUTION

# %% [markdown]
# ## What breaks it
#
# Common slips, each on a model where it turns the verdict around. The card has 24 GiB<!-- fact:gpus/rtx-4090/vram_gb -->; the files are group-128, and none of these models is in your table.

# %%
room, rows = memory.card_bytes(24) / 1e9, []
for slip in task.slips(card_gib=24):
    words = ["fits" if fits else "too large" for fits in (slip.right_gb <= room, slip.wrong_gb <= slip.room_gb)]
    assert words[0] != words[1]
    rows.append([slip.name, slip.model, slip.tokens, f"{slip.right_gb:.2f} {words[0]}", f"{slip.wrong_gb:.2f} {words[1]}"])
table(rows, ["slip", "model", "tokens", "right (GB)", "with the slip"], f"24 GiB are {room:.2f} GB")

# %% [markdown]
# ## Calculator
#
# How long may a context be before the cache alone outgrows a card? Try the 32B model in 8 bits.

# %%
page.KVCacheCalculator(tokens=8192, card="rtx-4090")

# %% [markdown]
# ## Yours beside the reference
#
# The reference counts weights both ways; the verdicts are the same. Open it when your own table is done.

# %%
by_round, by_exact = (task.reference_table(models, CONFIGS) for models in (round_models(), exact_models()))
assert [row["fits"] for row in by_round] == [row["fits"] for row in by_exact]
rows = [
    [r["model"], r["config"], f"{r['per_gpu_gb']:.2f}", f"{e['per_gpu_gb']:.2f}", "fits" if e["fits"] else "too large"]
    for r, e in zip(by_round, by_exact)
]
bars = [
    (f"{m['name']} on {c['name']}", task.budget(m, c), memory.card_bytes(c["vram_gib"]))
    for m in exact_models()
    for c in CONFIGS
]
header = ["model", "machine", "GB, rounded", "GB, exact", "verdict"]
answers = page.theme.table_html(rows, header, "One GPU's total at 8,192 tokens")
page.theme.emit(
    page.theme.fold("Show the reference answer", answers + page.figures.svg_html(*memory_stacks(bars))),
    "[the reference answer, folded away]",
)

# %%
reveal("l16_vram_p1", f"{sum(row['fits'] for row in by_exact)} of 9")
tight = task.budget(exact_models()[1], CONFIGS[0])
free, token = memory.card_bytes(24) - tight.total, memory.kv_bytes_per_token(layers=64, kv_heads=8, head_dim=128)
facts = [
    ["machine A holds", f"{memory.card_bytes(24) / 1e9:.2f} GB"],
    ["the 32B model needs", f"{tight.total / 1e9:.2f} GB"],
    ["free", f"{free / 1e9:.2f} GB"],
    ["one more token", f"{token:,} bytes"],
    ["more tokens that fit", int(free // token)],
    ["freed by an 8-bit cache", f"{tight.cache / 2 / 1e9:.2f} GB"],
]
margin = page.theme.fold("Show the margin of the written part", page.theme.table_html(facts))
page.theme.emit(margin, "[the margin, folded away]")
claims = ["S12-001", "S12-006", "S12-007", "S12-008", "S12-009", "S12-010"]
page.claims(claims, "What holds of the source lesson's first exercise", folded=True)

# %% [markdown]
# ## We learned
#
# 1. To **budget** one GPU: its share of the weights, its own key-value heads, the whole overhead.
# 2. To **decide** by a stated rule: bytes against bytes, GiB for cards.
# 3. To **find** the cheapest machine: weights once, caches for all users, and what is left says how long a context may be.
# 4. To **reconcile** the budget with real tensors: a packed matrix, a cache, a rank's slices, a 70B parameter count.
#
# The exact 32B file takes 19.3 GB<!-- claim:S12-002 --> and the 70B file 39.8 GB<!-- claim:S12-003 -->; caches at 8,192 tokens are 0.805 GB<!-- claim:S12-004 --> for Yi-Coder-9B and 2.147 GB<!-- claim:S12-005 --> for
# the 32B model. The source lesson has other numbers here:
#
# ## Corrections

# %%
corrections(["S12-002", "S12-003", "S12-004", "S12-005"])

# %% [markdown]
# *Hand in:* nbgrader's Submit button; where there is none, save and run `page.hand_in("your name")` in a new cell: it writes one file for your instructor.
#
# *Next:* choose a model for a task, with licence and evidence beside memory.
#
# ## Sources
#
# - Architectures, group-128 sizes, cards and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - J. Lin and others, [AWQ](https://arxiv.org/abs/2306.00978), 2023: 4-bit weights with a scale and a zero point for each group.
# - M. Shoeybi and others, [Megatron-LM](https://arxiv.org/abs/1909.08053), 2019: tensor parallelism, attention heads dealt out to GPUs.
# - transformers 5.23, read 2026-11-23: the model classes whose tensors are counted here.
