# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 03_attention, title: Attention, minutes: 75, gpu: better}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Attention
#
# **What does each head look at, and why did this replace recurrence?**
#
# A language model foresees the next *token* (a piece of text, often a word). To do that well it must fetch what was said before: who is sad, what colour the ball had. *Attention* is the part that fetches. Here you build it by hand
# on a layer of a real model, down to the model's own numbers; you find out by measurement where its heads look; and you let it race the kind of net that it replaced.
#
# ## Aims
#
# After this lesson you can
#
# 1. **build** scaled dot-product attention with a causal mask, grouped heads and rotary positions, equal to a real layer,
# 2. **show** that with rotary positions only distances count, and what is lost without them,
# 3. **find** heads by measurement, and test what they do by switching them off,
# 4. **compare** attention with a recurrent net of equal size: what each recalls, and which must wait,
# 5. **compute** what attention costs in bytes and FLOPs, and say which half of the cost better kernels remove.
#
# *You need:* lesson 00, a little PyTorch, and lesson 02 or these two sentences. A model turns each token into a list of numbers, its *hidden state*, and sends these through a stack of *layers*; in each, attention mixes states of
# several tokens, and then a feed-forward part changes each state alone. At the end every possible next token gets a number, its *logit*.
#
# **Letters in every shape:** B batch, L query length, S key length, H query heads, K key-value heads, D head size.
#
# **First predict.** Your guesses stay on your machine, count for nothing, and come back beside the measured values.

# %% tags=["bootstrap"]

# %%
MODEL = "target"  # or "mini", or a model of the hub that you have: "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-0.6B"
display(
    predict("l03_p1", "A small recurrent net, briefly trained, was told eight facts and is asked for one of 24 or more "
            "steps ago. How often is it right? Guessing is right 12.5 % of the time.", unit="%"),
    predict("l03_p2", "A text grows from 256 to 1,024 tokens. How many times the memory do attention's scores take?",
            unit="times"),
)  # fmt: skip

# %% [markdown]
# ## Looking back, in numbers
#
# Each token makes three short rows of D numbers from its hidden state: a *query* (what am I looking for?), a *key* (what am I found by?) and a *value* (what do I hand over?). Query times key, number by number and summed, is a *score*: large when
# they point the same way. The scores become *shares* by the *softmax*: raise e to each score and divide by the sum, so that they are positive and add up to 1. Then the values are mixed in these shares. That is all.
#
# Two details. Scores are divided by √D, because sums over more numbers are larger, and a softmax of large scores gives everything to one key. And the **causal mask**: a token sees itself and the tokens before it, never later ones, since when the model
# writes there *are* no later ones. Hidden scores become −∞ before the softmax, so their share is exactly 0.
#
# Four words with made-up rows, D = 2. Which word does `it` mean?

# %%
import torch
from lessonlib.labs import attention as lab

words = ["the", "cat", "sat", "it"]
q = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [2.0, 1.0]])[None, None]  # (B, H, L, D)
keys = torch.tensor([[0.0, 0.0], [2.0, 1.0], [1.0, -1.0], [0.0, 1.0]])[None, None]  # (B, H, S, D)
scores = (q @ keys.mT)[0, 0, 3]  # of "it" with every word
shares = lab.attention_weights(q, keys)[0, 0]  # (L, S)
rows = [[w, f"{k[0]:g}, {k[1]:g}", s, f"{s / 2**0.5:.2f}", f"{p:.0%}"] for w, k, s, p in
        zip(words, keys[0, 0].tolist(), scores.tolist(), shares[3].tolist())]  # fmt: skip
table(rows, ["word", "its key", "score with the query of `it`", "divided by √2", "share"], "The query of `it` is (2, 1)")
seen = [[w, *(f"{p:.0%}" if p else "–" for p in row)] for w, row in zip(words, shares.tolist())]
table(seen, ["", *words], "Shares of every word (rows) over the words it may see: each row adds up to 100 %")

# %% [markdown]
# ### Exercise 1: the shares (10 minutes)
#
# `q` and `keys` are tensors (B, H, L, D) for the same L tokens. Return the shares (B, H, L, L) under a causal mask. The check compares values; a hidden test mixes values with your shares and compares with PyTorch's own attention.


# %% nbgrader={"grade_id": "l03_e1_weights", "solution": true}
def attention_weights(q, keys):
    """The shares (B, H, L, L) in which each query mixes the values, under a causal mask."""
    ### BEGIN SOLUTION
    L, D = q.shape[-2:]
    scores = q @ keys.mT / D**0.5  # (B, H, L, L)
    later = torch.ones(L, L, dtype=torch.bool).triu(1)
    return scores.masked_fill(later, float("-inf")).softmax(dim=-1)
    ### END SOLUTION


hints("l03_e1")

# %% nbgrader={"grade_id": "l03_e1_check", "grade": true, "points": 1}
check("l03_e1", attention_weights)

# %% nbgrader={"grade_id": "l03_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other sizes, PyTorch's own attention, a change to a later token.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l03_e1", attention_weights, points=2, seed=3101)
### END HIDDEN TESTS

# %% [markdown]
# ## Q, K and V of a real layer
#
# Now a layer in the middle of a real model, caught at work by a *hook* (a function that PyTorch calls when a module runs). Its three weight matrices, `q_proj`, `k_proj` and `v_proj`, turn hidden states into queries, keys and values, cut into **heads**:
# each head has D numbers of every row and looks for something of its own. Today's models give several query heads one key-value head to share (*grouped-query attention*, GQA): neighbours form a group.

# %%
from lessonlib import models

model, tokenizer = models.load(MODEL, dtype=torch.float32)
config, number = model.config, model.config.num_hidden_layers // 2
H, K = config.num_attention_heads, config.num_key_value_heads
ids = lab.token_ids(tokenizer, lab.STORY).to(model.device)  # (B, L)
layer = lab.look_into(model, ids, number)
parts = {"hidden states read": ("(B, L, width)", layer.hidden), "Q": ("(B, H, L, D)", layer.q),
         "K and V, each": ("(B, K, S, D)", layer.k), "shares": ("(B, H, L, S)", layer.weights)}  # fmt: skip
rows = [[name, letters, str(tuple(tensor.shape))] for name, (letters, tensor) in parts.items()]
table(rows, [f"in layer {number}", "letters", "shape"], f"{MODEL}, a story of {ids.shape[1]} tokens")
groups = "; ".join(f"{k}: query heads {k * H // K} to {(k + 1) * H // K - 1}" for k in range(K))
print(f"{H} query heads share {K} key-value heads. Key-value head {groups}")

# %% [markdown]
# ## Where am I? Rotary positions
#
# Nothing above knows the order of the tokens: scores compare contents. *Rotary positions* (RoPE) put order in by **turning**. The D numbers of a query or key row are D/2 points in a plane: number i with number i + D/2. At position p, point i is turned by
# the angle p × speed i; the first points turn fast, the last hardly. Between a query at position m and a key at position n, only the difference of the angles, (m − n) × speed, is left in the score: the **distance**.
#
# ### Exercise 2: turn the rows (10 minutes)
#
# `x` is (B, H, L, D), `positions` holds L whole numbers (not always 0, 1, 2, ...), `speeds` D/2 numbers in radians a position. Turn the pair (a, b) = (number i, number i + D/2) by θ = position × speed i: it becomes
# (a cos θ − b sin θ, b cos θ + a sin θ). Leave `x` as it is.


# %% nbgrader={"grade_id": "l03_e2_rotate", "solution": true}
def rotate(x, positions, speeds):
    """Rows x (B, H, L, D) turned to their positions."""
    ### BEGIN SOLUTION
    angles = torch.outer(positions.to(speeds.dtype), speeds)  # (L, D / 2)
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
    ### END SOLUTION


hints("l03_e2")

# %% nbgrader={"grade_id": "l03_e2_check", "grade": true, "points": 1}
check("l03_e2", rotate)

# %% nbgrader={"grade_id": "l03_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: transformers' own function, distances, lengths of rows.
### BEGIN HIDDEN TESTS
score_properties("l03_e2", rotate, points=2, seed=3201)
### END HIDDEN TESTS

# %% [markdown]
# ## The whole layer, to the last digit
#
# Is it true that only the distance counts? First, one real query and one real key are moved along the text together: four distances, three places.
#
# Then all parts together: project, turn, repeat each key-value head for its group, share, mix, and send the heads' results through the output matrix `o_proj`. For **every** layer, output and shares must equal the model's own, from its plain
# (`eager`) implementation; our turning must equal `apply_rotary_pos_emb` of transformers; and the whole model with all its attention by hand must give the model's logits.

# %% tags=["nbval-ignore-output"]
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

speeds, rows = lab.frequencies(model), []
one_query, one_key = layer.q[0, 0, -1], layer.k[0, 0, 3]
for distance in (0, 1, 8, 64):
    moved = lab.moved_scores(one_query, one_key, speeds, distance, places=(64, 200, 900))
    rows.append([distance, *(f"{score:.3f}" for score in moved)])
    assert max(moved) - min(moved) < 1e-3 * (1 + one_query.norm() * one_key.norm()), "the distance alone must count"
table(rows, ["distance", "query at 64", "query at 200", "query at 900"], "Score of one query and one key, moved together")
for n in range(config.num_hidden_layers):
    own = lab.look_into(model, ids, n)
    with torch.no_grad():
        output, shares = lab.by_hand(lab.attention_of(model, n), own.hidden, speeds)
    torch.testing.assert_close(output, own.output, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shares, own.weights, atol=1e-5, rtol=1e-5)
at = torch.arange(ids.shape[1], device=ids.device)
theirs = apply_rotary_pos_emb(layer.q, layer.k, *model.model.rotary_emb(layer.q, at[None]))
for mine, own in zip((lab.rotate(x, at, speeds) for x in (layer.q, layer.k)), theirs):
    torch.testing.assert_close(mine, own, atol=1e-5, rtol=1e-5)
with torch.no_grad():
    torch.testing.assert_close(lab.forward(model, ids), model(input_ids=ids).logits, atol=1e-3, rtol=1e-3)
print(f"{n + 1} layers by hand: outputs, shares and turned rows equal the model's own (to 0.00001), logits too (to 0.001)")
page.claims(["S03-002", "S03-004"], "Heads and positions in the source lesson")

# %% [markdown]
# ## Heads, found by measurement
#
# It is often said that one head does grammar, another resolves *it*. Nobody can tell from the weights; but one can *score* every head for something simple, on text that leaves no other explanation:
#
# - **previous token**: the mean share of the token just before, on random tokens;
# - **first token**: the mean share of the very first one, on a story. Many models park attention there when a head has nothing to do (a *sink*);
# - **induction**: random tokens are said twice. An induction head, at a token seen before, looks at what *followed* it the first time: a copying machine.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import attention_heads as heads

found = heads.measure(model, ids)
kinds = {"previous": "previous token", "first": "first token", "induction": "induction"}
rows = [[name, *(f"layer {a}, head {b}: {getattr(found, kind)[a, b]:.2f}" for a, b in found.best(kind, 3)),
         f"{getattr(found, kind).median():.2f}"] for kind, name in kinds.items()]  # fmt: skip
header = ["score", "best", "second", "third", "median of all heads"]
table(rows, header, f"{MODEL}: shares from 0 to 1, layers and heads from 0")
fig, panels = page.axes(1, 3, size=(8.6, 3.6))
for ax, (kind, name) in zip(panels, kinds.items()):
    scores = getattr(found, kind)
    image = ax.imshow(scores, vmin=0, vmax=1, aspect="auto", cmap=page.figures.COLORMAP)
    for place, (a, b) in enumerate(found.best(kind, 3), 1):
        ink = "black" if scores[a, b] > 0.5 else "white"
        ax.text(b, a, str(place), ha="center", va="center", color=ink, fontweight="bold")
    ax.set(title=name, xlabel="head", ylabel="layer")
    ax.grid(False)
fig.colorbar(image, ax=panels, label="mean share")
best = {name: (getattr(found, kind).max(), *found.best(kind)[0]) for kind, name in kinds.items()}
said = "; ".join(f"{name} best in layer {a}, head {b} with {top:.2f}" for name, (top, a, b) in best.items())
show(fig, alt=f"Three maps of layer by head, most fields dark and few bright: {said}. The best three are numbered.")
assert found.previous.max() > 3 * found.previous.median() and found.induction.max() > 3 * found.induction.median()
assert MODEL != "target" or 0.4 < found.induction.max() < 0.65 and 0.3 < found.first.max() < 0.65
page.claims(["S03-003"], "Jobs of heads in the source lesson")

# %% [markdown]
# A few heads stand out; most do nothing that has a name here. In `target` the best induction head spends about half of its attention on copying, and the best sink about as much on the first token: the model is small. The papers below found both
# much stronger in larger models.
#
# ### Exercise 3: a score that finds heads (8 minutes)
#
# `weights` holds the shares of one layer, (H, L, S) with L = S. Return one number for each head: the mean share that queries give to the key `back` places before them. Queries that have no such key do not count. (With
# `back=1` this finds previous-token heads; on n tokens said twice, `back=n-1` finds induction heads.)


# %% nbgrader={"grade_id": "l03_e3_scores", "solution": true}
def head_scores(weights, back):
    """Mean share of the key `back` places before the query, for each head: H numbers."""
    ### BEGIN SOLUTION
    queries = torch.arange(back, weights.shape[1])
    return weights[:, queries, queries - back].mean(dim=-1)
    ### END SOLUTION


hints("l03_e3")

# %% nbgrader={"grade_id": "l03_e3_check", "grade": true, "points": 1}
check("l03_e3", head_scores)

# %% nbgrader={"grade_id": "l03_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other sizes, planted heads, heads of a real model.
### BEGIN HIDDEN TESTS
score_properties("l03_e3", head_scores, points=2, seed=3301)
### END HIDDEN TESTS

# %% [markdown]
# A high score says where a head looks, not what it is good for. So switch it off (its output becomes zero) and measure. The *loss* is the mean of −ln(probability of the right next token): 0 is perfect, higher is worse. Lists of everyday words in random
# order are said twice: only looking back can tell what follows in the second copy. A control head of the same layer and a story show what switching off costs anyway.

# %% tags=["nbval-ignore-output"]
small, small_tokenizer = models.load("mini", dtype=torch.float32)
small_ids = lab.token_ids(small_tokenizer, lab.STORY).to(small.device)
small_found = heads.measure(small, small_ids)
off = {MODEL: heads.switch_off(model, tokenizer, found, ids)}
off["mini"] = heads.switch_off(small, small_tokenizer, small_found, small_ids)
header = ["heads (layer.head)", "loss, first copy", "loss, second copy", "logit gain", "second copy right", "loss, story"]
caption = "Everyday words said twice. Logit gain: the right word's logit above the average one, second copy minus first"
table([case.row(name) for name, cases in off.items() for case in cases], header, caption)
for name, one, scores in ((MODEL, model, found), ("mini", small, small_found)):
    with heads.without(one, scores.best("previous", 2)):
        score = heads.induction_scores(one)[scores.best("induction")[0]]
    print(f"{name}: best induction score {scores.induction.max():.2f}, with two previous-token heads off {score:.2f}")
noise, guessing = heads.copying(model, heads.random_rows(model, 32)), torch.tensor(config.vocab_size).log()
print(f"{MODEL}, random tokens for words: loss {noise.first_loss:.1f}, second copy {noise.second_loss:.1f}, "
      f"guessing {guessing:.1f}; logit gain {noise.second_logit - noise.first_logit:.1f}")  # fmt: skip
assert noise.second_loss < noise.first_loss - 0.5 and noise.second_logit > noise.first_logit
for name in {MODEL, "mini"} & {"target", "mini"}:
    whole, one, two, previous, control = (case.words.second_loss for case in off[name])
    assert two > one > whole + 0.1 > control and previous > whole + 0.3
assert score < 0.5 * small_found.induction.max(), "in mini, the induction head needs the previous-token heads"

# %% [markdown]
# In both models of the course the second copy is foreseen much better than the first. Without the best induction head it gets worse, without two of them worse still, and the control changes little. The surprise: two **previous-token** heads of
# early layers matter as well, though they copy nothing. The lines below the table tell why: without them, the induction head no longer finds its place. One head writes *what stood before me* into each token's state, another, layers later, searches for
# exactly that: a circuit. `mini` can hardly copy without it; the larger `target` has more heads that do each job, and loses less. On the story all this is hardly seen. (On noise there is a gain too, but in the course's models the loss does not get
# below guessing: they never saw such text.)
#
# ## Why this replaced recurrence
#
# Before 2017 such models were *recurrent*: they read one token after the other and carry a **state**, a fixed list of numbers, from step to step. What the future needs must fit in there. Attention keeps every row instead and looks.
#
# A fair race: PyTorch's own LSTM (a recurrent net that learns what to keep) against one layer of attention; same data, about as many *parameters* (trained numbers), as many training batches of 16 sequences. Facts are told (one of 8 keys with one of 8 values), with blanks
# between; at each step one earlier fact is asked for by its key. One fact first, then eight. The dotted line is a guesser who remembers the told values, but not whose they are.
#
# The other reason was **time**. In training the whole text is known: attention handles all its tokens at once, a recurrent step must wait for the one before. The table times one pass forward and backward (backward finds how to change each
# parameter) through the layer alone, on one thread.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import attention_recall as race

results = {(net, facts): race.train(net, facts, steps=1000) for facts in (1, 8) for net in ("attention", "LSTM")}
fig, panels = page.axes(1, 2, size=(8.2, 3.4), sharey=True)
race.draw(panels, results)
far = {key: 100 * race.far(result) for key, result in results.items()}
said = ", ".join(f"{net} {far[net, facts]:.0f} % of {facts}" for net, facts in results)
show(fig, alt=f"Right answers over distance. Told 24 or more steps ago: {said}. Attention stays level; the LSTM keeps a "
     "single fact, and of eight the fewer the older they are.")  # fmt: skip
sizes = ", ".join(f"{net} {results[net, 8].parameters:,} parameters" for net in ("attention", "LSTM"))
print(f"{sizes}; 1,000 batches each, {sum(r.seconds for r in results.values()):.0f} s in all")
reveal("l03_p1", far["LSTM", 8], unit="%")
rows, times = [], {}
for steps in (64, 256, 1024):
    times[steps] = [1e3 * race.layer_seconds(net, steps) for net in ("attention", "GRU", "LSTM")]
    waits = [race.waiting_steps(net, steps) for net in ("attention", "GRU")]
    rows.append([steps, *(round(t, 2) for t in times[steps]), round(times[steps][1] / times[steps][0]), *waits])
header = ["steps", "attention, ms", "GRU, ms", "LSTM, ms", "GRU / attention", "attention waits", "GRU, LSTM wait"]
table(rows, header, "One training pass through the layer alone; last columns: steps that must follow one another")
page.claims(["S03-001", "S03-006", "S03-007", "S03-009", "S03-010", "S03-012"], "From 2017 to today in the source lesson")
assert far["attention", 8] > 90 and far["LSTM", 1] > 90 and far["LSTM", 8] < far["attention", 8] - 10
assert times[256][1] > 2 * times[256][0], "step by step must cost more than all at once"

# %% [markdown]
# One fact: the LSTM holds it over the whole distance, so time alone erases nothing. Eight: it must pack them all into one state *before* it knows which will be asked for, and this has to be learned. After 1,000 batches it is not far above
# the guesser; the record `l03_recall` (three seeds, a GRU too) goes on. Of facts told far back, the LSTM then recalls 44.4 %<!-- record:l03_recall#far_recall_lstm_of_8_after_1000 -->, and after six times as many batches
# 84.2 %<!-- record:l03_recall#far_recall_lstm_of_8_after_6000 -->, the oldest facts last; attention has 100.0 %<!-- record:l03_recall#far_recall_attention_of_8_after_1000 --> after the first 1,000. It keeps a row for every token and
# looks when asked. That is also its price: rows grow with the text, a state never does.
#
# On **time**, mind the LSTM: on a processor its steps are fused into one tuned routine, and it keeps up, or wins on long texts, where attention's own cost grows. On few cores waiting costs little. A GPU has thousands of units, which idle while one step waits
# for another: there the last two columns decide.
#
# ## What attention costs
#
# Every token meets every earlier one. Kept whole, the scores of a layer are H × L × S numbers; making them and mixing with them are two products. A *FLOP* is one multiplication or addition; each product takes two for every score and each of the D numbers. With L = S = n, everything grows with **n²**.
#
# ### Exercise 4: bytes and FLOPs (8 minutes)
#
# `shape` is for example `{"layers": 64, "heads": 40, "kv_heads": 8, "head_dim": 128}`. One sequence of `tokens` tokens is read at once. Return a pair: the bytes of the score matrices of **one** layer, and the FLOPs of scores and mixing in **all** layers (count the whole
# square, masked or not).


# %% nbgrader={"grade_id": "l03_e4_cost", "solution": true}
def attention_cost(shape, tokens, bytes_per_value):
    """(bytes of one layer's score matrices, FLOPs of scores and mixing in all layers)."""
    ### BEGIN SOLUTION
    scores = shape["heads"] * tokens * tokens
    return scores * bytes_per_value, shape["layers"] * 2 * (2 * scores * shape["head_dim"])
    ### END SOLUTION


hints("l03_e4")

# %% nbgrader={"grade_id": "l03_e4_check", "grade": true, "points": 1}
check("l03_e4", attention_cost)

# %% nbgrader={"grade_id": "l03_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other shapes, a real score matrix, PyTorch's FLOP counter.
### BEGIN HIDDEN TESTS
score_properties("l03_e4", attention_cost, points=2, seed=3401)
### END HIDDEN TESTS

# %% [markdown]
# Measured, for one group of query heads: time, and the most bytes that were held at once, by a book of every tensor made and freed (what a kernel uses inside is not seen). *Written out* is the code of this lesson, which holds the matrix three times (scores, masked scores, shares). The others are kernels (tuned routines) behind PyTorch's `scaled_dot_product_attention` (SDPA): MATH builds the matrix too; FLASH goes over it
# in blocks and never keeps it (on GPUs in 16 bits only); EFFICIENT and CUDNN exist on GPUs only. The exponent p is that of the best fit, cost ~ nᵖ: 1 is linear, 2 quadratic.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import attention_cost as cost

lengths, group, D = (256, 512, 1024), H // K, layer.q.shape[-1]
here = cost.backends_here(model.device)
ways = {"written out": cost.written_out} | {name: cost.kernel(name) for name, runs in here.items() if runs}
measured = {name: cost.measure(attend, group, D, lengths, model.device) for name, attend in ways.items()}
rows = []
for name, samples in measured.items():
    last = samples[-1]
    powers = [f"{cost.exponent(samples, what):.1f}" for what in ("seconds", "peak")]
    rows.append([name, f"{1e3 * last.seconds:.1f}", powers[0], f"{last.peak / 1e6:.1f}", powers[1]])
rows += [[f"{name}: not in 32 bits on this device", None, None, None, None] for name, runs in here.items() if not runs]
header = ["attention", "ms at 1,024", "p of time", "MB at 1,024", "p of memory"]
table(rows, header, f"The {group} query heads of one group of {MODEL}, {D} numbers each; lengths 256, 512 and 1,024")
matrix = [cost.score_bytes(group, n, 4) for n in lengths]
print(f"score matrix by the formula, MB: {', '.join(f'{b / 1e6:.1f}' for b in matrix)}")
q, k, v = cost.inputs(group, 256, D)
assert cost.counted_flops(lambda: cost.written_out(q, k, v)) == cost.attention_flops(1, group, D, 256)  # torch's own counter
fig, ax = page.axes()
for name, samples in measured.items():
    ax.plot(lengths, [s.peak / 1e6 for s in samples], label=name)
ax.set(xlabel="tokens", ylabel="most memory held, MB", xscale="log", yscale="log", xticks=lengths, xticklabels=lengths)
ax.minorticks_off()
ax.legend()
ends = "; ".join(f"{name} from {s[0].peak / 1e6:.1f} to {s[-1].peak / 1e6:.1f} MB" for name, s in measured.items())
show(fig, alt=f"Memory over length, both scales logarithmic: {ends}. Where the matrix is built, it grows with the square.")
reveal("l03_p2", matrix[-1] / matrix[0], unit="times")
first, *_, last = measured["written out"]
assert 1.8 < cost.exponent(measured["written out"], "peak") < 2.2, "the matrix must grow with the square"
if model.device.type == "cpu":  # a GPU is hardly busy at these lengths
    assert last.seconds > 4 * first.seconds, "4 times the tokens must take much more than 4 times the time"

# %% [markdown]
# So better kernels remove the quadratic **memory**, not the quadratic arithmetic: FLASH makes the same products. Its time grows with n² as well, only from a lower start. (Lesson 13 opens it up. A p of time above 2 is the
# machine's doing: small matrices still fit into the processor's fast memory, large ones do not; near 0 on a GPU, these lengths do not fill it.) Sharing keys (GQA) helps neither number; it shrinks what is kept
# for later, the cache of lesson 05.
#
# ## What breaks it
#
# Three parts that one could forget: the mask, the positions, the scale. Nothing crashes; every shape fits. The trained model, with each left out in all layers:

# %% tags=["nbval-ignore-output"]
cases = {"as trained": {}, "no mask": {"causal": False}, "no positions": {"positions": False}}
cases["no scale"] = {"scaled": False}
changed, rows, worse, leaks = ids.clone(), [], {}, {}
changed[:, -1] = ids[:, 5]  # another last token
for name, switch in cases.items():
    logits = lab.forward(model, ids, **switch)
    worse[name] = lab.loss(logits, ids)
    leaks[name] = (lab.forward(model, changed, **switch) - logits)[:, :-1].abs().max().item()
    rows.append([name, f"{worse[name]:.2f}", f"{leaks[name]:.4f}"])
table(rows, ["attention in all layers", "loss on the story", "earlier logits move, last token changed, by"], MODEL)
attention = lab.attention_of(model, number)
moved = [lab.shuffle_effect(attention, layer.hidden, speeds, positions=on) for on in (True, False)]
print(f"earlier words shuffled: the last output moves by {moved[0]:.1%} with positions, by {moved[1]:.3%} without")
assert all(worse[name] > worse["as trained"] for name in worse if name != "as trained"), "each part must matter"
assert leaks["as trained"] < 0.01 < leaks["no mask"] and moved[1] < 1e-4 < 0.01 < moved[0]

# %% [markdown]
# Without the mask, earlier predictions move when a *later* token changes: in training such a model would see the answer that it should guess, reach a splendid loss, and write nonsense, since when it writes there is nothing ahead to look at.
# The test in the last column finds this in any model. Without positions, the order of the earlier words makes no difference to a layer: a text would be a bag of words.
#
# ## Calculator
#
# An interactive map of the model's own attention: choose layer, head and token, and read where it looks. Start with the heads that were found above. Three words of the line come twice: from the last one, where should
# an induction head look? (Put a line of your own in the place of `lab.SENTENCE`: without the words `Copy:` and `Answer:`, in `target` the same head rests on the first token.) All controls work by keyboard: Tab moves, arrows and typing change values.

# %% tags=["nbval-ignore-output"]
line = lab.token_ids(tokenizer, lab.SENTENCE)
seen = heads.all_weights(model, line)[:, 0]  # (layers, H, L, S)
marks = {place: name for kind, name in kinds.items() for place in found.best(kind, 2)}
first, at = found.best("induction")[0]
assert (seen.sum(-1) - 1).abs().max() < 1e-3, "each row of shares adds up to 1"
page.AttentionMap(lab.words(tokenizer, line), seen, layer=first, head=at, marks=marks)

# %% [markdown]
# ## Quiz

# %%
quiz("03_attention")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was made by `benchmarks/l03_recall.py`: the same functions, every sample in a fresh process, three seeds. Recall must come out alike (yours is one seed, fewer questions); times belong to a machine, so compare their ratios and exponents. (Costs in the record are those of `target`.)

# %% tags=["nbval-ignore-output"]
mine = {f"far_recall_{net.lower()}_of_{facts}_after_1000": value for (net, facts), value in far.items()}
mine |= {f"{net}_layer_at_256_steps": t for net, t in zip(("attention", "gru", "lstm"), times[256])}
for name in ("written out", "MATH", "FLASH_ATTENTION"):
    if name in measured:
        metric = name.lower().replace(" ", "_")
        mine[f"{metric}_exponent_of_time"] = cost.exponent(measured[name])
        mine[f"{metric}_peak_at_1024_tokens"] = measured[name][-1].peak / 1e6
assert all(value > 0 for name, value in mine.items() if "exponent" not in name)
compare("l03_recall", mine)

# %% [markdown]
# ## We learned
#
# 1. To **build** attention: score, divide by √D, mask, softmax, mix; turned rows, shared key-value heads. Equal to every layer of a real model.
# 2. To **show** that turned rows make scores depend on distances alone; without positions, one layer sees a bag of words.
# 3. To **find** heads by a score on text that leaves no other explanation, and to test them by switching them off, beside a control.
# 4. To **compare** with recurrence: a state must be packed before the question is known, attention looks when asked and pays with a row for every token; a recurrent step has to wait.
# 5. To **compute** H × n² scores a layer and 4 × layers × H × D × n² FLOPs. Flash kernels remove the memory, not the arithmetic.
#
# *Next:* what tokens are and how many fit (04), and what the cache keeps of all this (05).
#
# ## Corrections
#
# What the course's source text has differently, with the source that decides it.

# %%
corrections(["S03-005", "S03-008", "S03-011"])

# %% [markdown]
# ## Sources
#
# - Every claim and correction: the fact base of this course (`lessonlib/facts`), with its dates.
# - A. Vaswani and others, [Attention Is All You Need](https://arxiv.org/abs/1706.03762), 2017: scaled dot-product attention, heads, the mask.
# - J. Su and others, [RoFormer](https://arxiv.org/abs/2104.09864), 2021: rotary positions.
# - J. Ainslie and others, [GQA](https://arxiv.org/abs/2305.13245), 2023: groups of query heads that share keys and values.
# - C. Olsson and others, [In-context Learning and Induction Heads](https://arxiv.org/abs/2209.11895), 2022: the score and the circuit.
# - G. Xiao and others, [Efficient Streaming Language Models with Attention Sinks](https://arxiv.org/abs/2309.17453), 2023: attention parked on the first token.
# - S. Hochreiter and J. Schmidhuber, [Long Short-Term Memory](https://doi.org/10.1162/neco.1997.9.8.1735), 1997: the LSTM.
# - K. Cho and others, [Learning Phrase Representations using RNN Encoder-Decoder](https://arxiv.org/abs/1406.1078), 2014: the GRU.
# - T. Dao and others, [FlashAttention](https://arxiv.org/abs/2205.14135), 2022: exact attention without the matrix in memory.
# - transformers 5.23 (`modeling_llama`) and torch 2.13 (`torch.nn.attention`), read 2026-11-27.
