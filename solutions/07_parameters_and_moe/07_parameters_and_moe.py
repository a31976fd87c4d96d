# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 07_parameters_and_moe, title: Parameters and mixtures of experts, minutes: 75, gpu: better}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Parameters and mixtures of experts
#
# **What do more parameters buy, and what does a router save?**
#
# A *parameter* is one number that training sets: an entry of a matrix or of a vector. "32B" on a model's name counts them, in billions. More of them predict better and cost more, and a
# *mixture of experts* (MoE) tries to part the two: it has many parameters and uses a few for each token. This lesson counts them, trains little models to see what they buy, and opens a router.
#
# ## Aims
#
# After this lesson you can
#
# 1. **count** a model's parameters by group, dense or with experts, to the unit,
# 2. **fit** a scaling law to measured losses and say how sure it is,
# 3. **tell** what a specialist gains and loses, from a measurement,
# 4. **open** a router: compute its weights, rebuild its layer, read which tokens it sends where,
# 5. **separate** what an MoE holds in memory, reads and computes, and say where it does not help.
#
# *You need:* lesson 02 (tokens, loss, training) and a little PyTorch. A few words return all the time. A token's *embedding* is the vector that stands for it, of *hidden* numbers. Each *layer* changes that vector twice:
# *attention* mixes in earlier tokens, and a *feed-forward* network works on each token alone; before either, a *norm* brings the vector to a common length. The *output matrix* turns the last vector into a score for
# each token of the vocabulary.
#
# **First predict.** Your guesses stay on your machine, count for nothing, and come back beside the measured values.

# %% tags=["bootstrap"]

# %%
display(
    predict("l07_p1", "Mixtral 8x7B sends each token to 2 of 8 experts. How much of all its parameters works on one token?",
            unit="%"),
    predict("l07_p2", "Two equal little models read equally many bytes: one only code, the other four kinds of text in equal "
            "parts. How many bits per byte is the second worse on new code?", unit="bits per byte"),
)  # fmt: skip

# %% [markdown]
# ## Where the parameters sit
#
# A matrix that turns n numbers into m has n × m parameters. So all of a model can be counted from its shape. The first cell does it for a *dense* model (every parameter works on every token) and for one with experts, and
# compares with the modules of transformers and with the tensors in memory. `MODEL` may be any dense model that the course can open, `EXPERTS` any Mixtral.
#
# The second cell counts models that no laptop can open. PyTorch's *meta* device builds their modules without memory, so formula and modules can be compared there too, to the unit.

# %%
import torch
from lessonlib import models
from lessonlib.calc import architecture
from lessonlib.labs import parameters_and_moe as lab

MODEL, EXPERTS = "target", "moe"
dense, dense_tokenizer = models.load(MODEL, dtype=torch.float32)
moe, tokenizer = models.load(EXPERTS, dtype=torch.float32)
columns = []
for name, model in ((MODEL, dense), (EXPERTS, moe)):
    formula = architecture.parts(architecture.from_config(model.config.to_dict()))
    modules = {part: group.parameters for part, group in models.Shape(name, model.config).groups().items()}
    assert formula == modules and sum(formula.values()) == sum(p.numel() for p in model.parameters())
    columns.append(formula)
rows = [[part.replace("_", " "), *(c[part] for c in columns)] for part in columns[0] if any(c[part] for c in columns)]
rows.append(["all, as in the tensors", *(sum(c.values()) for c in columns)])
table(rows, ["part", MODEL, EXPERTS], "Parameters: formula, modules and tensors agree")

# %%
from lessonlib.facts import catalog
from lessonlib.labs import parameters_and_moe_figures as drawings

names = ["llama-3.3-70b", "mixtral-8x7b", "qwen3-coder-30b-a3b", "deepseek-v3.2"]
real = {lab.short(catalog.model(name).name): architecture.parts(catalog.model(name)) for name in names}
for name in names:
    built = models.shape(name).groups()
    assert architecture.parts(catalog.model(name)) == {part: group.parameters for part, group in built.items()}
used = [part for part in next(iter(real.values())) if any(parts[part] for parts in real.values())]
rows = [[part.replace("_", " "), *(parts[part] for parts in real.values())] for part in used]
rows.append(["all", *(sum(parts.values()) for parts in real.values())])
table(rows, ["part", *real], f"Formula and meta-device modules agree (shapes: fact base, {catalog.checked_on()})")
fig, ax = page.axes(size=(7.2, 3.3))
shares = drawings.draw_shares(ax, real | {EXPERTS: columns[1], MODEL: columns[0]})
show(fig, alt=f"Shares of the parameters by part, model by model. {shares}")

# %% [markdown]
# Large models keep nearly everything in the feed-forward part, the very part that a mixture of experts multiplies; attention, which lesson 03 takes apart, is small change. Only in tiny models does the
# embedding weigh much.
#
# ### Exercise 1: count by group (10 minutes)
#
# `shape` holds `vocabulary`, `hidden`, `layers`, `heads`, `kv_heads`, `head_dim`, `feed_forward` (the width of one expert), `experts` (1 in a dense model, which has no router) and `tied` (is the output matrix the embedding?). Return
# the six groups below. In a layer stand four attention matrices (Q and the output projection with all heads, K and V with `kv_heads`), a *gated* feed-forward network of three matrices for each
# expert, two norms of `hidden` numbers and, for experts, a router matrix with `hidden` numbers for each. One more norm follows the last layer.


# %% nbgrader={"grade_id": "l07_e1_count", "solution": true}
def count(shape):
    """{"embedding", "attention", "feed_forward", "router", "norms", "output"}: parameters of each group."""
    ### BEGIN SOLUTION
    hidden, layers, experts = shape["hidden"], shape["layers"], shape["experts"]
    return {
        "embedding": shape["vocabulary"] * hidden,
        "attention": layers * hidden * shape["head_dim"] * (2 * shape["heads"] + 2 * shape["kv_heads"]),
        "feed_forward": layers * experts * 3 * hidden * shape["feed_forward"],
        "router": layers * hidden * experts if experts > 1 else 0,
        "norms": (2 * layers + 1) * hidden,
        "output": 0 if shape["tied"] else shape["vocabulary"] * hidden,
    }
    ### END SOLUTION


hints("l07_e1")

# %% nbgrader={"grade_id": "l07_e1_check", "grade": true, "points": 1}
check("l07_e1", count)

# %% nbgrader={"grade_id": "l07_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other shapes, real models, and what grows with the layers.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l07_e1", count, points=2, seed=7101)
### END HIDDEN TESTS

# %% [markdown]
# ## What more parameters buy
#
# Train models of several sizes on several amounts of text and look at the loss on text that they have not seen. The little models here read bytes, so their loss is in *bits per byte*: how many bits of surprise a byte of new text
# holds for the model, fewer being better. First, live: three sizes, from random weights, on sources of Python's own library, judged on modules held out.
#
# Then the same at more sizes and amounts, on simple stories, stored by `benchmarks/l07_scaling.py`. Two ways to describe such losses are in use, both *power laws*: **loss = scale × N^−a**, a straight line when both axes
# are logarithmic (N: parameters outside the embedding; J. Kaplan and others), and **loss = floor + A / N^a + B / D^b** with D the data read, where the *floor* is what no model could remove (J. Hoffmann and others).
# The second cell fits both, and draws the grid anew 60 times<!-- plan --> to see how much the fit depends on single runs (a *bootstrap*; the middle nine tenths are given).

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import parameters_and_moe_training as training

code, new_code = training.python_code()
prose, new_prose = training.manual()


def judge(model):
    """Bits per byte on code and on prose that were held out."""
    return [training.bits_per_byte(model, text, 192) for text in (new_code, new_prose)]


rows, live = [], []
for size in training.SIZES[:3]:
    little = size.build()
    half, full = training.train(little, [code], (100_000, 200_000), judge)
    live.append((training.parameters(little), full))
    rows.append([training.parameters(little), half[0], full[0]])
table(
    rows, ["parameters (N)", "100,000 bytes read", "200,000 bytes read"], "Bits per byte on new code, trained just now"
)
assert all(row[2] < row[1] for row in rows) and rows[-1][2] < rows[0][2], "more data and more parameters must help"

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import parameters_and_moe_scaling as scaling

record = scaling.record()
grid = record["grid"]  # rows [N, D, bits per byte]
law, sure = scaling.fit(grid), scaling.bootstrap(grid)
fig, ax = page.axes(size=(6.8, 3.6))
said = drawings.draw_grid(ax, grid, law)
show(
    fig,
    alt=f"Bits per byte on new stories against parameters, a line for each amount read, both axes logarithmic. {said}",
)
header = ["law", "a (parameters)", "b (data)", "floor, bits per byte"]
table(scaling.exponents(grid, law, sure), header, f"Exponents; the fit misses by {law.error:.1%} on average")
steps = [("7B to 13B", 13 / 7), ("70B to 140B", 2.0), ("7B to 140B", 20.0)]
rows = [[name, f"{factor:.2f}", f"{1 - factor ** -scaling.PUBLISHED['Kaplan']['N']:.1%}"] for name, factor in steps]
table(
    rows,
    ["step", "times as many", "lower loss, by Kaplan's exponent"],
    "The same factor buys the same share, at any size",
)
assert 0.2 < law.a < 0.6 and law.error < 0.03
page.claims(["S05-015", "S05-016"], "Scaling")

# %% [markdown]
# What such small runs can show: the shape. Losses fall along smooth curves over a factor of fifty in size, and data and size limit each other: after the fewest bytes the largest models gain little. What they cannot show: the numbers of large models.
# The exponents for parameters lie near the published ones, but the range is wide, and nearness may be luck. Those for data are clearly steeper: these models have read so little that they are still learning to spell. Most points are one seed, all sizes share one
# learning rate, and the text is of one kind. The published laws rest on hundreds of runs over many powers of ten, and the two papers still differ.
#
# A power law also settles a claim of the source lesson: a doubling buys the same *share* at 7 as at 70 billion; it is the *absolute* gain that shrinks, and the money that grows.
#
# ### Exercise 2: fit a power law (8 minutes)
#
# `x` and `losses` are lists of numbers with losses ≈ scale × x^−exponent. Return `(scale, exponent)` of the least squares line through the logarithms of both.


# %% nbgrader={"grade_id": "l07_e2_law", "solution": true}
def power_law(x, losses):
    """(scale, exponent) of losses = scale * x ** -exponent."""
    ### BEGIN SOLUTION
    import numpy as np

    slope, start = np.polyfit(np.log(x), np.log(losses), 1)
    return float(np.exp(start)), float(-slope)
    ### END SOLUTION


hints("l07_e2")

# %% nbgrader={"grade_id": "l07_e2_check", "grade": true, "points": 1}
check("l07_e2", power_law)

# %% nbgrader={"grade_id": "l07_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: noisy losses, other units, losses twice as high.
### BEGIN HIDDEN TESTS
score_properties("l07_e2", power_law, points=2, seed=7201)
### END HIDDEN TESTS

# %% [markdown]
# ## A specialist or a generalist
#
# Parameters are one lever; what they are spent on is another. Take one size and one amount of text, and let it be code alone, or a mix. Live: code against code and the prose of Python's manual in equal parts. Stored, three seeds each: code against code, stories, dialogues
# and novels in equal parts. The generalist reads a quarter as much code, and must do four jobs with the same parameters.

# %% tags=["nbval-ignore-output"]
generalist = training.train(training.SIZES[2].build(), [code, prose], [200_000], judge)[0]
specialist = live[2][1]
rows = [["code alone", *specialist], ["code and manual", *generalist]]
table(rows, ["trained on", "new code", "new manual"], f"Bits per byte, trained just now, {live[2][0]:,} parameters")
assert generalist[1] < specialist[1] - 0.1, "who has read prose must predict prose better"
caption = f"Stored: bits per byte after {record['read']['specialist']:,} bytes, three seeds"
table(training.specialist_rows(record), ["held-out text", "specialist (code)", "generalist (four kinds)"], caption)
lead = [record["metrics"][f"specialist_{what}_bits_on_python"]["median"] for what in ("all", "code")]
reveal("l07_p2", round(lead[0] - lead[1], 2), unit="bits per byte")
page.claims(["S05-001", "S05-002", "S05-003"], "Specialists among real models")

# %% [markdown]
# With four kinds of text, the specialist wins at its own trade and is lost anywhere else. (Live, the lead on code is small: the manual is full of code.) So "a small specialist beats a large generalist" is a statement about one task and one test, never about models as such. And real specialists are no purists: the 32B coder of the source lesson was trained on a *mix* of
# code, text about code, prose and mathematics.
#
# ## Inside the router
#
# A mixture of experts has, in each layer, several feed-forward networks instead of one: the *experts*. A *router* (one small matrix) gives each token a score for every expert, called *router logits*. *Softmax* turns the logits into
# probabilities; the k largest are kept (k = 2 in Mixtral: "top-2") and divided by their sum; the layer's output is the sum of the k experts' outputs with these weights. The others do nothing for this token.
#
# First that layer by hand, beside transformers' own, in every layer of the model. Then the question who gets what: the word *expert* suggests one for code and one for stories. Four kinds of text go through the model; the map shows each expert's share of all routed tokens. *Evenness* is the
# entropy of a layer's shares over its largest value (1: all alike). "Unlike all" says which part of a group's tokens would have to change experts to be spread like all tokens, beside the same for as many tokens drawn at random. The last tables ask what decides: how many of their experts two
# occurrences of *one* token have in common, in the same kind of text and in different ones, and which tokens an expert nearly always gets.

# %%
texts = lab.texts.TEXTS
ids = torch.tensor([lab.encode(tokenizer, texts["stories"])[:200]], device=moe.device)  # (B, L)
k = moe.config.num_experts_per_tok
for number, x in enumerate(lab.inputs_of(moe, ids)):  # x: (B, L, hidden)
    block = moe.model.layers[number].mlp
    with torch.no_grad():
        torch.testing.assert_close(lab.moe_layer(block, x, k), block(x), atol=1e-5, rtol=1e-5)
weights = lab.route(x[0, 1:3] @ block.gate.weight.T, k).tolist()  # of two tokens in the last layer
rows = [[repr(tokenizer.decode(i)), *(f"{w:.2f}" if w else "–" for w in row)] for i, row in zip(ids[0, 1:3], weights)]
table(rows, ["token", *(f"expert {e}" for e in range(moe.config.num_local_experts))], "Weights in the last layer")
print(f"All {number + 1} layers by hand equal the model's own to 0.00001")

# %% tags=["nbval-ignore-output"]
found = lab.routes(moe, tokenizer, texts)
load = found.load()  # (layers, experts)
fig, ax = page.axes(size=(6.8, 3.2))
said = drawings.draw_load(ax, load)
show(fig, alt=f"Heat map of each expert's share of the routed tokens, layers by experts. {said}")
rows = [
    [name, count, f"{unlike:.0%}", f"{chance:.0%}", " and ".join(map(str, best))]
    for name, count, unlike, chance, best in lab.preferences(found)
]
table(rows, ["tokens, texts", "tokens", "unlike all", "by chance", "favourites in layer 0"], "Whom do experts prefer?")
shares, even = lab.same_experts(found), lab.evenness(load)
rows = [[n, *(f"{share[n]:.0%}" for share in shares.values()), f"{even[n]:.2f}"] for n in range(len(load))]
header = ["layer", "one token, same kind of text", "one token, two kinds", "two random tokens", "evenness"]
table(rows, header, "Experts in common, and balance")
rows = [[f"layer 0, expert {e}", lab.regulars(found, 0, e)] for e in range(load.shape[1])]
table(rows, ["expert", "tokens that it gets nearly always (how often)"])
assert shares["other kind"][0] > shares["random"][0] + 0.2 and even.min() > 0.8

# %% [markdown]
# In the first layer the token itself nearly decides: digits, full stops and articles have their experts. Deeper, the surroundings count more, the kind of text among them; still one token in two kinds of text shares more experts than two random tokens. So experts are no specialists of a subject, as the
# makers of Mixtral found too; they take small jobs, and a kind of text shows mainly through its tokens. The load stays even because training adds a penalty for crowding; without it a few experts would take all tokens.
#
# ### Exercise 3: from logits to weights (10 minutes)
#
# `logits` is a tensor (tokens, experts). Return a tensor of the same shape: each token's weights, zero for all but its `k` likeliest experts. The check also puts your function into a layer of the real model.


# %% nbgrader={"grade_id": "l07_e3_route", "solution": true}
def route(logits, k):
    """(tokens, experts) router logits -> (tokens, experts) weights: k above zero in each row, summing to 1."""
    ### BEGIN SOLUTION
    probabilities = logits.softmax(dim=-1)
    best = probabilities.topk(k, dim=-1)
    weights = torch.zeros_like(probabilities).scatter(-1, best.indices, best.values)
    return weights / weights.sum(dim=-1, keepdim=True)
    ### END SOLUTION


hints("l07_e3")

# %% nbgrader={"grade_id": "l07_e3_check", "grade": true, "points": 1}
check("l07_e3", route)

# %% nbgrader={"grade_id": "l07_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other sizes, shifted logits, other layers of the model.
### BEGIN HIDDEN TESTS
score_properties("l07_e3", route, points=2, seed=7301)
### END HIDDEN TESTS

# %% [markdown]
# ## Held, read, computed
#
# An MoE has two sizes: all parameters (*total*) and those that work on one token (*active*). Which of the two do memory, quality and time follow? First, another k at run time, beside dense models: quality on texts that no model has seen, and the time of one pass over a single token and over 256.
# Then a fair comparison, stored: three models trained from nothing on the same bytes, equal but for their feed-forward part: dense with as many parameters as the MoE has active ones, the MoE, and dense with as many as it has in total.

# %% tags=["nbval-ignore-output"]
mini, _ = models.load("mini", dtype=torch.float32)
runs = {f"{EXPERTS}, top-{n}": (moe, tokenizer, n) for n in (1, 2, 4, 8)}
runs |= {"mini, dense": (mini, tokenizer, None), f"{MODEL}, dense": (dense, dense_tokenizer, None)}
clock = [lab.time_passes({name: (m, n) for name, (m, _, n) in runs.items()}, length) for length in (1, 256)]
rows, quality, shape = [], {}, lab.shape_of(moe.config)
for name, (model, reader, n) in runs.items():
    with lab.choosing(model, n):
        quality[n] = lab.bits_per_byte(model, reader, texts.values())
    size = lab.tensor_bytes(model)
    active = lab.active(shape, n) if n else size // 4
    rows.append([name, active, size, quality[n], *(seconds[name] * 1e3 for seconds in clock)])
table(
    rows,
    ["model", "active", "bytes held", "bits per byte", "1 token, ms", "256 tokens, ms"],
    "float32, one thread of this machine",
)
rows = [[name, *lab.card(name)] for name in dict.fromkeys(["mini", EXPERTS, MODEL])]
table(rows, ["model", "bits per byte", "trained on"], "By their cards, on all held-out documents")
assert quality[k] < min(quality[1], quality[8]), "a router works best near the k that it was trained for"
header = ["twin", "parameters (N)", "active", "bits per byte", "seconds to train"]
table(training.twin_rows(record), header, f"Stored: {record['read']['twins']:,} bytes of four kinds of text, two seeds")

# %% [markdown]
# Memory does not care about k: all experts must be there. Quality is best near the k of the training: one expert is too few, and all eight together were never fitted to each other. By the cards, `moe` predicts better than `mini`, of which it was cut, though fewer
# parameters work on a token; but it also read more text, of more kinds, so that says little about experts. The twins are the fair test: the MoE clearly beats the dense model of its active size, and keeps up with the one of its total size, for less training time. (Two seeds, tiny models: the first
# is safe, a lead over the large one would not be.)
#
# ### Exercise 4: what is held and what is read (12 minutes)
#
# A model has `rest` parameters outside its experts and, in each of `layers` layers, `experts` experts of `expert` parameters each; a token uses `per_token` of them. One step works on `tokens` tokens (of different users, say), and each weight that it needs is read once. Return two numbers of bytes,
# `bits` bits a parameter: what must lie in memory, and what one step is expected to read when the router picks evenly, independently for each token.


# %% nbgrader={"grade_id": "l07_e4_memory", "solution": true}
def memory(rest, expert, layers, experts, per_token, tokens, bits):
    """(bytes held, bytes that a step over `tokens` tokens reads on average)."""
    ### BEGIN SOLUTION
    missed = (1 - per_token / experts) ** tokens  # the chance that no token chose a given expert
    touched = experts * (1 - missed)
    held = rest + layers * experts * expert
    return held * bits / 8, (rest + layers * touched * expert) * bits / 8
    ### END SOLUTION


hints("l07_e4")

# %% nbgrader={"grade_id": "l07_e4_check", "grade": true, "points": 1}
check("l07_e4", memory)

# %% nbgrader={"grade_id": "l07_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other mixtures, growing steps, dense models, other bits.
### BEGIN HIDDEN TESTS
score_properties("l07_e4", memory, points=2, seed=7401)
### END HIDDEN TESTS

# %% [markdown]
# ## What breaks it
#
# "Only a few experts work, so an MoE needs less memory and runs on a small card." Three measurements against that.
#
# **The batch touches everybody.** One token reads k experts; a batch of users soon reads nearly all. The figure compares different experts met by real tokens of `moe` with the formula for even routing.
# **Time.** One feed-forward part of 16<!-- plan --> experts with random weights, beside dense ones of equal active and of equal total size. **Real shapes.** What must lie in memory, and what a step of 32 tokens reads.

# %% tags=["nbval-ignore-output"]
from lessonlib.calc import throughput

sizes, E = (1, 2, 4, 8, 16, 32, 64), moe.config.num_local_experts
measured = [lab.touched(found, n) for n in sizes]
fig, ax = page.axes(size=(6.8, 3.2))
said = drawings.draw_touched(
    ax, sizes, measured, (E, k), {"Mixtral": (8, 2), "Qwen3-Coder-30B": (128, 8), "DeepSeek-V3.2": (256, 8)}
)
show(fig, alt=f"Share of a layer's experts that a step touches, against tokens in the step. {said}")
assert all(m <= throughput.expected_experts(E, k, n) + 0.1 for m, n in zip(measured, sizes)), (
    "uneven routing touches fewer"
)
blocks = lab.time_blocks((1, 64))
rows = [[kind, size, *(seconds * 1e3 for seconds in both)] for kind, (size, both) in blocks.items()]
table(
    rows, ["feed-forward part", "bytes held", "1 token, ms", "64 tokens, ms"], "Best of 15, one thread of this machine"
)
one, many = ({kind: both[at] for kind, (_, both) in blocks.items()} for at in (0, 1))
assert one["dense, equal active"] < one["experts"] < one["dense, equal total"]
assert many["experts"] > 3 * one["experts"], "a batch needs many more experts"

# %%
mixtures = ["mixtral-8x7b", "qwen3-coder-30b-a3b", "qwen3-coder-next", "gpt-oss-120b", "deepseek-v3.2", "kimi-k2"]
header = ["model", "experts", "total, 10⁹", "active, 10⁹", "active", "GB, 16 bit", "GB, 4 bit", "GB read"]
caption = "All that is held, and what a step of 32 tokens reads at 16 bits (even routing)"
table([lab.mixture_row(catalog.model(name), 32) for name in mixtures], header, caption)
mixtral = catalog.model("mixtral-8x7b")
reveal("l07_p1", round(100 * architecture.active_parameters(mixtral) / architecture.parameters(mixtral), 1), unit="%")
page.claims(["S05-005", "S05-006", "S05-007", "S05-010", "S05-011", "S05-014"], "Mixtures of experts")

# %% [markdown]
# So an MoE buys *speed for its quality*, in bandwidth and arithmetic, and pays in memory. It shines where memory is plentiful and tokens are few, or where very many tokens keep every expert busy. It is a poor bargain on one small card: Qwen3-Coder-Next
# reads little for a token, and 4-bit weights alone take 40 GB<!-- claim:S05-012 -->. Mixtral works with 27.6<!-- claim:S05-006 --> percent of its parameters on a token, not 25: attention and embedding are always on; the least share in the table is
# 3.2 %<!-- cell -->. And on a processor, choosing experts and collecting their outputs costs time of its own: at one token the experts are slower than their dense twin of equal active size.
#
# ## Calculator
#
# The router on a text of yours. All controls work by keyboard: Tab moves, arrows and typing change values. Try one sentence in layer 0 and in the last layer, digits, code, and another k.

# %% tags=["nbval-ignore-output"]
explorer = page.RouterExplorer(moe, tokenizer)
assert abs(sum(weight for _, weight in explorer.tokens()[0][1]) - 1) < 1e-4
explorer

# %% [markdown]
# ## Quiz

# %%
quiz("07_parameters_and_moe")

# %% [markdown]
# ## Yours beside the reference
#
# Losses of the little models that this page trained (another Python has other library sources, so expect small differences), and the times of the three feed-forward parts. All of it runs on one thread, here and in the reference. Compare ratios.

# %% tags=["nbval-ignore-output"]
mine = {f"{n}_bits_on_code": bits[0] for n, bits in live} | {"mixed_bits_on_code": generalist[0]}
for n, times in ((1, one), (64, many)):
    mine |= {f"{kind.replace(', ', '_').replace(' ', '_')}_{n}_tokens": s * 1e3 for kind, s in times.items()}
assert all(value > 0 for value in mine.values())
compare("l07_scaling", mine)

# %% [markdown]
# ## We learned
#
# 1. To **count** parameters: matrix by matrix, equal to modules and tensors to the unit. The feed-forward part holds most of a large model.
# 2. To **fit** power laws: a straight line through logarithms, or a floor and two terms, with the error of the fit beside the exponents.
# 3. To **tell** specialist from generalist: better at its trade, lost elsewhere, at equal size and reading.
# 4. To **open** a router: softmax, top-k, divide, add up. Experts take kinds of tokens rather than subjects.
# 5. To **separate** held (total), read (touched by the batch) and computed (active).
#
# *Next:* quantization, which makes each parameter smaller instead of leaving some out.
#
# ## Corrections
#
# What the course's source text has differently, with the calculation or source that decides it.

# %%
corrections(["S05-004", "S05-008", "S05-009", "S05-012", "S05-013"])

# %% [markdown]
# ## Sources
#
# - Shapes of real models and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - J. Kaplan and others, [Scaling Laws for Neural Language Models](https://arxiv.org/abs/2001.08361), 2020: exponents 0.076 (parameters) and 0.095 (data).
# - J. Hoffmann and others, [Training Compute-Optimal Large Language Models](https://arxiv.org/abs/2203.15556), 2022: 0.34 and 0.28 above a floor.
# - N. Shazeer and others, [Outrageously Large Neural Networks](https://arxiv.org/abs/1701.06538), 2017: sparsely gated experts.
# - W. Fedus and others, [Switch Transformers](https://arxiv.org/abs/2101.03961), 2021: top-1 routing and the loss that keeps experts even.
# - A. Jiang and others, [Mixtral of Experts](https://arxiv.org/abs/2401.04088), 2024: the layer above; its authors too find syntax rather than subjects.
# - A. Haegele and others, [Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations](https://arxiv.org/abs/2405.18392), 2024: one run for many budgets.
# - transformers 5.23, `models/mixtral`, read 2026-11-27: router, experts and their order.
