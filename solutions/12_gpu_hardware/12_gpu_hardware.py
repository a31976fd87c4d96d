# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 12_gpu_hardware, title: GPU hardware, minutes: 75, gpu: better}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # GPU hardware
#
# **Which limit am I on: memory size, bandwidth, compute, link or power?**
#
# A card has five limits, and a job meets one of them first. Money spent on any of the other four changes nothing. So before you compare prices, find out which one is yours.
#
# ## Aims
#
# After this lesson you can
#
# 1. **read** a data sheet: GiB, dense or sparse, tensor or shader, one direction or both,
# 2. **measure** bandwidth and peak of the machine before you, and draw its roofline,
# 3. **predict** how fast a model can write at most, and check it on a real one,
# 4. **cost** what several cards say to each other, and what they draw,
# 5. **decide** which of the five limits binds.
#
# *You need:* lesson 05 (the cache), lesson 07 (experts), a little PyTorch.
#
# **Letters in every shape:** B batch, L query length, S key length, H query heads, K key-value heads, D head size.
#
# **First predict.** Two guesses, before anything is measured; they stay on your machine and come back later.

# %% tags=["bootstrap"]

# %%
display(
    predict("l12_p1", "An RTX 4090, a 32B model in 4 bits, one user: at most how fast?", unit="tokens/s"),
    predict("l12_p2", "Your machine writes 16 texts at once, not one: how many times the tokens a second?"),
)

# %% [markdown]
# ## Five limits
#
# | limit | the question | unit |
# |---|---|---|
# | memory size | does it fit at all? | GiB |
# | bandwidth | how fast are weights read? | GB/s |
# | compute | how fast are they multiplied? | TFLOP/s |
# | link | how fast do cards talk? | GB/s, one direction |
# | power | may all of it run at once? | W |
#
# The table has all five for each card of the fact base. Rates are *dense* 16-bit rates of tensor cores; links count *one direction*; a rack counts as one of its GPUs. A dash: not published, or not looked up.
#
# The figure sends the same weights (a 32B model in 4 bits) through every pipe once. Each new token needs one such pass through the card's memory. Weights that stay in the computer's memory must pass
# PCIe instead: this is why offloading is so slow.

# %%
from lessonlib.calc import cost, memory, throughput, units, vram, weights
from lessonlib.facts import catalog
from lessonlib.labs import gpu_hardware as lab

cards = [g for g in catalog.gpus() if g.get("vram_gb") and g.id != "dgx-h100"]
header = ["card", "memory, GiB", "bandwidth, GB/s", "dense TFLOP/s", "link, GB/s", "power, W"]
table([[g.name, *lab.limits(g)] for g in cards], header, f"The five limits of a GPU, as of {catalog.checked_on()}")

size = weights.weights(catalog.model("qwen2.5-coder-32b"), "awq").total
some = map(catalog.gpu, ("b200-sxm", "h100-sxm", "rtx-5090", "rtx-4090", "apple-m3-ultra"))
pipes = [(f"memory of {g.name}", lab.limits(g)[1]) for g in some]
pipes += [(f"link {row['id']}", row["per_direction_gbs"]) for row in catalog.table("gpus")["interconnect"]["rows"]]
names, ms = zip(*sorted(((name, size / gbs / 1e6) for name, gbs in pipes), key=lambda pair: pair[1]))
fig, ax = page.axes(size=(6.8, 3.8))
ax.bar_label(ax.barh(names, ms), [f"{x:.0f} ms" for x in ms], padding=3)
ax.set(xscale="log", xlabel="milliseconds for one pass (logarithmic)", xlim=(1, 2000))
ax.invert_yaxis()
ends = "; ".join(f"{name} {x:.0f} ms" for name, x in zip(names, ms))
show(fig, alt=f"Time for {units.gb(size):.1f} GB through one pipe: {ends}.")
page.claims([
    "S09-006", "S09-007", "S09-008", "S09-013", "S09-014", "S09-015", "S09-016", "S09-017", "S09-018", "S09-023",
    "S09-024", "S09-025", "S09-026", "S09-027", "S09-028", "S09-030", "S09-032", "S09-035", "S09-036", "S09-038",
    "S09-039", "S09-040", "S09-042", "S09-043", "S09-045", "S09-049", "S09-054", "S09-055", "S09-056", "S09-057",
    "S09-058", "S09-060",
], "Cards: sizes, bandwidths, prices")  # fmt: skip

# %% [markdown]
# ## Memory size: does it fit?
#
# This limit says yes or no, so it comes first. Two traps: a card's GB are GiB (24 of them hold 25.8 GB<!-- cell -->), and some cards show less than the stack they carry: a B200
# offers 180 GiB<!-- fact:gpus/b200-sxm/vram_gb --> of its 192.
#
# What must fit: weights, caches, activations, and what CUDA takes. The table adds them up for the fullest GPU, with key-value heads in the cache, never query heads (lesson 05). Two cards share weights
# *and* cache; each pays for its own CUDA.

# %%
plans = [  # model, format, tokens, sequences, card, cards
    ("qwen3-8b", "bf16", 8192, 1, "rtx-4090", 1),
    ("qwen2.5-coder-32b", "awq", 8192, 1, "rtx-4090", 1),
    ("qwen2.5-coder-32b", "awq", 32_768, 1, "rtx-4090", 1),
    ("llama-3.3-70b", "awq", 8192, 1, "rtx-5090", 2),
    ("qwen3-coder-next", "awq", 32_768, 1, "rtx-5090", 2),
    ("llama-3.3-70b", "awq", 8192, 8, "h100-sxm", 1),
    ("llama-3.3-70b", "bf16", 8192, 1, "h100-sxm", 1),
    ("llama-3.3-70b", "bf16", 8192, 1, "mi300x", 1),
]
rows = []
for name, kind, tokens, batch, card, n in plans:
    model, gib = catalog.model(name), catalog.gpu(card).vram_gb
    need = vram.vram(model, tokens, batch, format=kind, tp=n)
    parts, rest = need.worst, need.worst.total - need.worst["weights"] - need.worst["cache"]
    room = memory.card_bytes(gib)
    left = units.gb(room - need.worst.total)
    verdict = f"fits, {left:.1f} GB left" if left >= 0 else f"does not fit, {-left:.1f} GB missing"
    gbs = [f"{units.gb(x):.1f}" for x in (parts["weights"], parts["cache"], rest, room)]
    rows.append([f"{model.name}, {kind}, {batch} x {tokens:,}", f"{n} x {gib} GiB", *gbs, verdict])
header = ["model, format, sequences x tokens", "cards", "weights", "cache", "rest", "card", "verdict"]
table(rows, header, "GB on each GPU")
page.claims([
    "S09-019", "S09-020", "S09-029", "S09-033", "S09-046", "S09-051", "S09-066", "S09-067", "S09-068", "S09-069",
    "S09-070", "S09-071", "S09-072", "S09-073", "S09-074", "S09-075",
], "Memory budgets")  # fmt: skip

# %% [markdown]
# ## Bandwidth and compute: the roofline
#
# Multiply a matrix by one vector: each weight is read and used for two operations, a multiplication and an addition. In float32 that is 2 operations for 4 bytes, an *intensity* of 0.5 FLOP/byte.
# With B vectors at once each weight serves B times, so the intensity grows with B.
#
# Reading and multiplying overlap, so the slower one counts:
#
# **attainable rate = min(peak, intensity × bandwidth)**
#
# The two meet at the *ridge*, peak / bandwidth. Left of it bandwidth binds, right of it compute.
#
# Now your machine. Bandwidth: read a stream larger than the last cache before memory (small streams come from that cache and look faster). Peak: multiply two large matrices. Then a matrix as large as the
# stream times B vectors. All in turns, and the best of each, since other programs can only slow a sample down. A ceiling is the best rate that anything reached.

# %% tags=["nbval-ignore-output"]
import torch
from lessonlib import models

device = models.pick_device()
curve = [[size / 1e6, gbs] for size, gbs in lab.bandwidth_curve(lab.buffer(device))]
table(curve, ["working set, MB", "read at, GB/s"])
machine, points = lab.roofline(device, batches=(1, 4, 16, 64, 256))
print(f"last cache before memory: {(lab.last_level_cache(device) or 0) / 1e6:,.0f} MB (0: the system does not say)")
print(f"bandwidth {machine.bandwidth:.1f} GB/s, peak {machine.peak:.0f} GFLOP/s, ridge {machine.ridge:.1f} FLOP/byte")

fig, ax = page.axes()
xs = [0.1, machine.ridge, 1000]
ax.loglog(xs, [machine.roof(x) for x in xs], marker="", label="roof: bandwidth, then peak")
ax.loglog([p.intensity for p in points], [p.gflops for p in points], linestyle="", label="measured, B = 1 to 256")
ax.axvline(machine.ridge, color="#717581", linestyle=":", linewidth=1, label="ridge")
ax.set(xlabel="intensity, FLOP/byte", ylabel="GFLOP/s")
ax.legend()
said = "; ".join(f"B = {p.batch}: {p.intensity:.1f} FLOP/byte, {p.gflops:.0f} GFLOP/s" for p in points)
show(fig, alt=f"Roofline of this machine with its ridge at {machine.ridge:.1f} FLOP/byte. Measured {said}.")
assert abs(points[0].intensity - 0.5) < 0.01, "one vector: 2 operations for each weight of 4 bytes"
assert points[-1].gflops > 2 * points[0].gflops, "a batch must use the processors better than one vector"

# %% [markdown]
# The points climb along the slope and end near the peak. In between they stay beneath the roof: no library is perfect at every shape. A virtual machine sees the whole cache of its host and gets a
# part of it, so the step in the table may come early.
#
# ### Exercise 1: ridge and roof of a card (6 minutes)
#
# A sheet as vendors write it: `{"bandwidth_gbs": 3350, "shader_tflops": 133.8, "tensor_tflops": 1978.9, "tensor_is_sparse": True}`. Ordinary weights are dense, and a rate marked sparse is twice the dense one. Return
# the ridge in FLOP/byte, and the TFLOP/s that work of `flops_per_byte` can reach.


# %% nbgrader={"grade_id": "l12_e1_roof", "solution": true}
def roof(card, flops_per_byte):
    """(ridge in FLOP/byte, attainable TFLOP/s) of dense matrix products on this card."""
    ### BEGIN SOLUTION
    peak = card["tensor_tflops"] / (2 if card["tensor_is_sparse"] else 1)
    slope = flops_per_byte * card["bandwidth_gbs"] / 1000
    return 1000 * peak / card["bandwidth_gbs"], min(peak, slope)
    ### END SOLUTION


hints("l12_e1")

# %% nbgrader={"grade_id": "l12_e1_check", "grade": true, "points": 1}
check("l12_e1", roof)

# %% nbgrader={"grade_id": "l12_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other sheets, and what must hold at the ridge and beside it.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l12_e1", roof, points=2, seed=12101)
### END HIDDEN TESTS

# %% [markdown]
# ## One card, many rates
#
# The same card can be sold with numbers far apart. A rate means nothing without three words:
#
# - **which units**: shader cores or tensor cores,
# - **which numbers**: TF32 at half the rate of FP16, FP8 at twice it,
# - **dense or sparse**: the sparse rate needs weights of which two in every four are zero. Ordinary weights are not.
#
# The second table changes the number format on *this* machine. Reading gains, because 16 bits are half the bytes (and half as many bytes fit a cache better). Multiplying gains only where there are units for that
# format; on many processors bf16 multiplies no faster than fp32, or slower.

# %% tags=["nbval-ignore-output"]
rows = []
for name in ("rtx-4090", "rtx-5090", "a100-80gb-sxm", "h100-sxm", "b200-sxm", "mi300x"):
    g = catalog.gpu(name)
    dense = g.fp16_bf16_tensor_dense_tflops
    rates = [g.get("shader_fp16_tflops"), g.tf32_tensor_dense_tflops, dense, 2 * dense, g.get("fp8_dense_tflops")]
    rows.append([g.name, *rates])
    assert abs(2 * g.tf32_tensor_dense_tflops - dense) < 0.01 * dense
header = ["card", "FP16 shader", "TF32 tensor", "FP16 tensor", "FP16 tensor, sparse", "FP8 tensor"]
table(rows, header, "TFLOP/s, dense unless it says sparse")
page.claims([
    "S09-001", "S09-002", "S09-009", "S09-010", "S09-011", "S09-012", "S09-031", "S09-034", "S09-037", "S09-041",
    "S09-044", "S09-047", "S09-048", "S09-052", "S09-053", "S09-059",
], "Rates")  # fmt: skip

formats = lab.measure_formats(device)
rows, (product, reading) = [], formats["fp32"]
for name, (gflops, giga_weights) in formats.items():
    rows.append([name, gflops, gflops / product, giga_weights, giga_weights / reading])
    assert min(gflops, giga_weights) > 0
header = ["format", "product, GFLOP/s", "times fp32", "1e9 weights read a second", "times fp32"]
table(rows, header, "Measured here: a matrix product, and a matrix times one vector")

# %% [markdown]
# ## Decoding: bytes over bandwidth
#
# A model that writes one token reads every weight once, and the cache. So bandwidth / bytes is a **ceiling** on tokens a second. For the 32B model on an RTX 4090 that is 52 tokens/s<!-- claim:S09-003 -->.
#
# Check it on real models. The weights of `mini` and `target` are so few that Python needs longer to start the work than the processor to do it. They reach a fraction of any ceiling: a
# sixth limit, *overhead*, which big models hide. So the third row takes layers of a real architecture, with random weights (speed does not depend on values).
#
# The fair ceiling is to read *its own weights* as a plain stream: like the model, that may find them in a cache.
#
# Then the batch. One reading of the weights serves all sequences of a step; in a *prefill* it serves all tokens of one prompt. Two ceilings rise and meet: reading alone, and computing alone.

# %% tags=["nbval-ignore-output"]
slices, rows = lab.measure_slice(device), []
for name in ("mini", "target"):
    model, _ = models.load(name, device=device, dtype=torch.float32)
    one, reading = lab.decode(model), min(lab.read_weights(model))
    rows.append([name, one.bytes / 1e6, 1e9 * machine.bandwidth / one.bytes, 1 / reading, one.tokens_per_s])
one, _, sixteen, most = slices["decode"]
read, prompt = slices["reading"][0].tokens_per_s, slices["prefill"][0]
rows.append([lab.slice_name(device), one.bytes / 1e6, 1e9 * machine.bandwidth / one.bytes, read, one.tokens_per_s])
header = ["model", "MB a token", "ceiling: memory", "ceiling: its weights as a stream", "measured"]
table(rows, header, "Tokens a second, B = 1")
reveal("l12_p1", 1008e9 / size, unit="tokens/s at most (computed: 1,008 GB/s over the weights alone)")

fig, ax = page.axes()
lines = {"decode": "decode, measured", "reading": "ceiling: reading", "computing": "ceiling: computing"}
for name, label in lines.items():
    style = "-" if name == "decode" else ":"
    ax.loglog([p.batch for p in slices[name]], [p.tokens_per_s for p in slices[name]], linestyle=style, label=label)
ax.loglog([prompt.batch], [prompt.tokens_per_s], linestyle="", label=f"prefill of {prompt.batch} tokens, measured")
ax.set(xlabel="sequences B (prefill: tokens)", ylabel="tokens/s of all together")
ax.legend()
said = "; ".join(f"B = {p.batch}: {p.tokens_per_s:.0f}" for p in slices["decode"])
show(fig, alt=f"Tokens a second of {lab.slice_name(device)}, decoding: {said}. Prefill: {prompt.tokens_per_s:.0f}.")
reveal("l12_p2", sixteen.tokens_per_s / one.tokens_per_s, unit="times")
page.claims(["S09-003", "S09-004", "S09-005"], "Decoding and offloading")
assert max(most.tokens_per_s, prompt.tokens_per_s) > 1.5 * one.tokens_per_s, "sharing a reading must pay"

# %% [markdown]
# At small B the line rises beneath the ceiling of reading; past the crossing of the two ceilings it flattens, since compute binds. A prefill lies where a batch of as many sequences lies: many tokens for one reading. This is
# why one user sees a fast prompt and slow writing, and why servers batch.
#
# ### Exercise 2: the ceiling of decoding (10 minutes)
#
# `model` describes a dense model or a mixture of experts: `shared_weights` are read in every step; each of `experts` experts has `expert_weights`, and a token uses `experts_per_token` of them. Assume the worst:
# sequences choose different experts until all are in use. Each sequence has `tokens` tokens in its cache. Only reading counts. Return the tokens a second of all sequences together.


# %% nbgrader={"grade_id": "l12_e2_tokens", "solution": true}
def tokens_per_s(model, bandwidth_gbs, batch, tokens):
    """`model` also has bytes_per_weight and cache_bytes_per_token; GB/s are 1e9 bytes a second."""
    ### BEGIN SOLUTION
    experts = min(model["experts"], batch * model["experts_per_token"])
    read = (model["shared_weights"] + experts * model["expert_weights"]) * model["bytes_per_weight"]
    read += batch * tokens * model["cache_bytes_per_token"]
    return batch * bandwidth_gbs * 1e9 / read
    ### END SOLUTION


hints("l12_e2")

# %% nbgrader={"grade_id": "l12_e2_check", "grade": true, "points": 1}
check("l12_e2", tokens_per_s)

# %% nbgrader={"grade_id": "l12_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: dense models, mixtures, large batches, and how the ceiling must move.
### BEGIN HIDDEN TESTS
score_properties("l12_e2", tokens_per_s, points=2, seed=12201)
### END HIDDEN TESTS

# %% [markdown]
# ## Link: what cards say to each other
#
# Two cards that share each layer (*tensor parallelism*) must add up their partial results twice a layer: after attention and after the feed-forward part. In a *ring* of n cards such an all-reduce takes 2 (n − 1)
# turns; in each, every card sends 1/n of the message to its neighbour.
#
# Compare like with like. PCIe is quoted for one direction, NVLink for both together; per direction, NVLink 4 is 7 times<!-- claim:S09-061 --> PCIe 5.0 and NVLink 5 is 14 times<!-- claim:S09-062 -->.
# GeForce RTX 40 cards sit on PCIe 4.0.
#
# The table costs one step of Llama 3.3 70B on two cards. Ten microseconds a turn is an assumption; measure yours. For one token latency is nearly all of it, for a long prompt bandwidth is.

# %%
big, latency = catalog.model("llama-3.3-70b"), 10e-6
rows, links = [], catalog.table("gpus")["interconnect"]["rows"]
pcie = next(row for row in links if row["id"] == "pcie5-x16")
for row in links:
    one_way, times = row["per_direction_gbs"], []
    for tokens, late in ((1, 0), (1, latency), (32, latency), (8192, latency)):
        message = tokens * big.hidden_size * 2
        times.append(2 * big.layers * throughput.all_reduce_seconds(message, 2, one_way * 1e9, late) * 1e3)
    rows.append([row["id"], one_way, one_way / pcie["per_direction_gbs"], *(round(t, 2) for t in times)])
header = ["link", "GB/s, one way", "times PCIe 5.0", "1 token, no latency", "1 token", "32 tokens", "8,192 tokens"]
table(rows, header, f"Milliseconds on the link: {big.name}, 2 cards, {2 * big.layers} all-reduces a step")
page.claims(["S09-021", "S09-022", "S09-061", "S09-062", "S09-063", "S09-064", "S09-065"], "Links")

# %% [markdown]
# ### Exercise 3: time on the link (8 minutes)
#
# Return the seconds that all all-reduces of one decode step take. A message has batch × hidden values of 2 bytes, a step sends two messages a layer, and each turn of the ring waits
# the latency once. `link` is like `{"gbs": 900, "both_directions": True, "latency_us": 5}`.


# %% nbgrader={"grade_id": "l12_e3_link", "solution": true}
def link_seconds(layers, hidden, batch, gpus, link):
    """Seconds on the link for one decode step of `gpus` tensor-parallel GPUs."""
    ### BEGIN SOLUTION
    one_way = link["gbs"] * 1e9 / (2 if link["both_directions"] else 1)
    message, turns = batch * hidden * 2, 2 * (gpus - 1)
    return 2 * layers * turns * (message / gpus / one_way + link["latency_us"] * 1e-6)
    ### END SOLUTION


hints("l12_e3")

# %% nbgrader={"grade_id": "l12_e3_check", "grade": true, "points": 1}
check("l12_e3", link_seconds)

# %% nbgrader={"grade_id": "l12_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other models and links, and a GPU that is alone.
### BEGIN HIDDEN TESTS
score_properties("l12_e3", link_seconds, points=2, seed=12301)
### END HIDDEN TESTS

# %% [markdown]
# ## Power: the circuit and the bill
#
# The circuit says yes or no, like memory: all cards at their board power, and what stands around them. A server of eight H100 draws far more than eight times 700 W<!-- fact:gpus/h100-sxm/board_power_w -->, with its
# processors, switches and fans.
#
# The bill: **watts / 1000 × 8,760 hours × price**, and a cooled building multiplies it by its PUE (power of the building over power of the machines). The price belongs to every such number; here are two, and a second
# table with tokens for each kilowatt-hour. It takes ceilings and full board power, so it shows *ratios*: a batch shares the reading, and with it the energy.

# %%
low, high = 0.12, 0.17  # USD/kWh, claim S09-085
rows = []
for row in catalog.table("gpus")["annual_electricity_24x7"]["rows"]:
    bills = [cost.electricity(row["watts"], rate).total for rate in (low, high)]
    cooled = cost.electricity(row["watts"], low, utilisation=0.5, pue=1.3).total
    rows.append([row["system"], row["watts"], *(round(bill) for bill in (*bills, cooled))])
header = ["system", "W", f"at {low} USD/kWh", f"at {high} USD/kWh", f"half used, PUE 1.3, {low}"]
table(rows, header, "USD of electricity a year")
rows = []
for name in ("rtx-4090", "rtx-5090", "h100-sxm"):
    for batch in (1, 8):
        g = catalog.gpu(name)
        rate = throughput.roofline(catalog.model("qwen3-8b"), g, tokens=2048, batch=batch, format="awq").tokens_per_s
        usd = cost.electricity_per_million(g.board_power_w, low, rate)
        rows.append([g.name, batch, round(rate), round(rate / g.board_power_w * 3.6e6), round(usd, 4)])
header = ["card", "sequences", "tokens/s, at most", "tokens/kWh", f"USD a million, {low} USD/kWh"]
table(rows, header, "Qwen3-8B in 4 bits, 2,048 tokens of text each: ceilings")
page.claims([
    "S09-050", "S09-076", "S09-077", "S09-078", "S09-079", "S09-080", "S09-081", "S09-082", "S09-083", "S09-084",
    "S09-085",
], "Power and its price")  # fmt: skip

# %% [markdown]
# ### Exercise 4: which limit binds (12 minutes)
#
# `job` says what one GPU holds and does in a step: `bytes_held`, `bytes_read`, `flops`, `bytes_sent`. `card` has `vram_gib`, `bandwidth_gbs`, `dense_tflops`, `link_gbs` (one direction) and `watts`; there are `cards` of them on a
# circuit of `site_watts`. Return a pair: the name of the limit and its number.
#
# - `"memory"` and the bytes that are missing, if it does not fit; ask this first,
# - else `"power"` and the watts that are missing, if the circuit does not carry all cards,
# - else `"bandwidth"`, `"compute"` or `"link"`, whichever takes longest, and its seconds.


# %% nbgrader={"grade_id": "l12_e4_limit", "solution": true}
def binding_limit(job, card, cards, site_watts):
    """(name, number) of the limit that this job meets first."""
    ### BEGIN SOLUTION
    missing = job["bytes_held"] - card["vram_gib"] * 2**30
    if missing > 0:
        return "memory", missing
    short = cards * card["watts"] - site_watts
    if short > 0:
        return "power", short
    times = {
        "bandwidth": job["bytes_read"] / (card["bandwidth_gbs"] * 1e9),
        "compute": job["flops"] / (card["dense_tflops"] * 1e12),
        "link": job["bytes_sent"] / (card["link_gbs"] * 1e9),
    }
    name = max(times, key=times.get)
    return name, times[name]
    ### END SOLUTION


hints("l12_e4")

# %% nbgrader={"grade_id": "l12_e4_check", "grade": true, "points": 1}
check("l12_e4", binding_limit)

# %% nbgrader={"grade_id": "l12_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other jobs, two limits at once, and jobs that just fit.
### BEGIN HIDDEN TESTS
score_properties("l12_e4", binding_limit, points=2, seed=12401)
### END HIDDEN TESTS

# %% [markdown]
# ## What breaks it
#
# *"Buy the card with the most TFLOPS."* Rank cards by that one number, then by what a user feels: how fast the 32B model writes, and how long it reads a prompt of 8,192 tokens. All are ceilings at batch 1.

# %%
coder, rows = catalog.model("qwen2.5-coder-32b"), []
for name in ("rtx-4090", "rtx-5090", "a100-80gb-sxm", "h100-sxm", "h200-sxm", "mi300x", "b200-sxm"):
    top = throughput.roofline(coder, catalog.gpu(name), tokens=8192, format="awq")
    _, gbs, tflops, _, _ = lab.limits(catalog.gpu(name))
    times = [round(top.tokens_per_s), top.bound, round(top.prefill_s, 2), top.prefill.bound]
    rows.append([catalog.gpu(name).name, tflops, gbs, *times])
header = ["card", "dense TFLOP/s", "GB/s", "writes, tokens/s", "limit", "reads 8,192 tokens in, s", "limit"]
table(rows, header, f"{coder.name} in 4 bits, one user")
for pair in (("RTX 5090", "A100"), ("H100", "H200")):
    a, b = (next(row for row in rows if name in row[0]) for name in pair)
    gains = f"{b[1] / a[1]:.2f} times the TFLOP/s, {b[3] / a[3]:.2f} times the writing, {a[5] / b[5]:.2f} times the prompt"
    print(f"{b[0]} against {a[0]}: {gains}")
assert a[1] == b[1] and b[3] > 1.3 * a[3] and a[5] == b[5]
print(f"a prompt by the sparse rate of an H100: {a[5] / 2:.2f} s; dense weights take {a[5]:.2f} s at best")

# %% [markdown]
# TFLOP/s tell how fast a prompt is read. Writing follows GB/s: the H200 has not one FLOP more than the H100 and writes faster. And a sparse rate shortens the prediction, not the prompt.
#
# ## Calculator
#
# Put a model, a card and a batch on the roofline. All controls work by keyboard: Tab moves, arrows and typing change values.

# %%
page.calculators.RooflineCalculator()

# %% [markdown]
# ## Quiz

# %%
quiz("12_gpu_hardware")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was measured by `benchmarks/l12_roofline.py`: the same functions, in fresh processes. Your machine is another one, so look at the ratios: the ridge, how near writing comes to its ceiling, and what a
# batch of 16 gains.

# %% tags=["nbval-ignore-output"]
mine = lab.summary(machine, points, slices, formats)
assert all(value > 0 for value in mine.values())
compare("l12_roofline", mine)

# %% [markdown]
# ## We learned
#
# 1. To **read** a sheet: GiB for memory, dense tensor rates in the format you run, links in one direction.
# 2. To **measure** a roofline: a stream larger than the caches, a large product, and the smaller of the two ceilings.
# 3. To **predict** writing speed, bandwidth over bytes of weights in use and caches, and to find small models held back by overhead instead.
# 4. To **cost** two all-reduces a layer, mostly latency for one token, and watts / 1000 × hours × price.
# 5. To **decide**: memory and power say yes or no; then the longest of three times binds.
#
# *Next:* making models faster and longer, one trick for each of these limits.
#
# ## Corrections
#
# What the course's source text has differently, with the calculation or source that decides it. The folded lists above show each beside the other claims of its topic.

# %%
corrections([
    "S09-001", "S09-007", "S09-009", "S09-010", "S09-011", "S09-012", "S09-019", "S09-021", "S09-026", "S09-027",
    "S09-031", "S09-034", "S09-037", "S09-041", "S09-043", "S09-044", "S09-047", "S09-048", "S09-052", "S09-053",
    "S09-054", "S09-058", "S09-061", "S09-062", "S09-067", "S09-071", "S09-076", "S09-077", "S09-078", "S09-079",
    "S09-080", "S09-081", "S09-082", "S09-084",
])  # fmt: skip

# %% [markdown]
# ## Sources
#
# - Cards, links, prices and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23; prices 2026-03-06 or the launch.
# - S. Williams, A. Waterman, D. Patterson, [Roofline](https://doi.org/10.1145/1498765.1498785), 2009: the smaller of two ceilings.
# - P. Patarasuk, X. Yuan, [Bandwidth Optimal All-reduce](https://doi.org/10.1016/j.jpdc.2008.09.002), 2009: the ring.
# - R. Pope and others, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102), 2022: prefill and decode on many chips.
# - A. Mishra and others, [Accelerating Sparse Deep Neural Networks](https://arxiv.org/abs/2104.08378), 2021: what two zeros in four weights buy.
