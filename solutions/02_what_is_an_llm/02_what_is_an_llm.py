# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 02_what_is_an_llm, title: What an LLM is, minutes: 75, gpu: optional}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # What an LLM is
#
# **How does predicting one token become writing, and what does training change?**
#
# A large language model is a function. A text goes in; out comes one number for each piece of text that could follow. All the rest, stories, answers and code, is this function called again and again. In this lesson you call it
# yourself, look at one of its neurons, measure how wrong it is, and then train a small one from random numbers while you watch.
#
# ## Aims
#
# After this lesson you can
#
# 1. **read** a next-token distribution and turn logits into probabilities,
# 2. **write** text with a loop of your own that equals `generate`, greedy and sampled,
# 3. **compute** a neuron, and show why layers need an activation,
# 4. **measure** a loss in nats and bits, and do one step of learning by hand,
# 5. **compare** training with inference in FLOPs, memory, time and money.
#
# *You need:* lesson 00 and Python. Every other word is explained where it first appears.
#
# **First predict.** Your guesses stay on your machine, count for nothing, and come back beside the measured values. `MODEL` may be any model that lesson 00's `load` opens; `SECONDS` is how long the training below
# may take: raise it to 60 when you have the time.

# %% tags=["bootstrap"]

# %%
MODEL = "target"  # or "mini", or a model of the hub such as "HuggingFaceTB/SmolLM2-135M"
SECONDS = 20  # of training
svg(
    page.figures.flow("text", "tokens", "layers", "logits", "chances", "next token"),
    alt="The way of a text: text, tokens, layers, logits, chances, next token; the token joins the text.",
)
display(
    predict("l02_p1", "After 'The cat sat on the', how likely is the likeliest next token?", unit="%"),
    predict("l02_p2", "To train a small model with Adam takes how many times the memory of its weights?", unit="times"),
)

# %% [markdown]
# ## One function, one number for each token
#
# The words you need, one sentence each:
#
# - A **token** is a piece of text with a number, its id; the list of all tokens is the *vocabulary*.
# - A **parameter** (or *weight*) is a number inside the model that training has set.
# - An **embedding** is the row of parameters that stands for one token: looked up by its id.
# - A **layer** turns these rows into new ones of the same size; a model is a stack of layers.
# - A **logit** is the score, of any size, that the model gives a token as the next one.
# - **Softmax** turns logits into probabilities: take e to the power of each, then divide by the sum.
# - A **probability** is a share between 0 and 1; those of all tokens add up to 1.
#
# The first table follows a text through the model, the second turns its highest logits into probabilities by hand. A candidate is a *token*, not a word: `next word` shows what the model makes of it when it goes on.
#
# Below the tables it is your turn. Type in the box, then press Tab: the bars follow. The buttons add the likeliest token, or draw one by chance; all of it works by keyboard. Try `The cat`, `def add(a, b):`, or half a word.

# %%
import math

import torch
from lessonlib import models
from lessonlib.labs import what_is_an_llm as lab

model, tokenizer = models.load(MODEL, dtype=torch.float32)
text = "The cat sat on the"
ids = tokenizer(text).input_ids
print(" | ".join(f"{tokenizer.decode([i])!r} = {i}" for i in ids))
table(lab.stages(model, ids), ["what the model has", "shape"], f"{model.num_parameters():,} parameters")

logits = lab.next_logits(model, ids)
powers = (logits - logits.max()).exp()  # the largest becomes 1: same shares, and no overflow
by_hand = powers / powers.sum()
torch.testing.assert_close(by_hand, logits.softmax(-1))
rows = []
for c in lab.candidates(model, tokenizer, text, 6):
    word = lab.next_word(model, tokenizer, text, c.token)
    rows.append([repr(c.text), f"{logits[c.token]:.2f}", f"{powers[c.token]:.3f}", f"{by_hand[c.token]:.2%}", word])
caption = f"After {text!r}; all {len(by_hand):,} probabilities add up to {by_hand.sum():.3f}"
table(rows, ["token", "logit", "e^(logit - largest)", "probability", "next word"], caption)
reveal("l02_p1", round(100 * by_hand.max().item(), 1), unit="%")
page.NextTokenFigure(model, tokenizer, text="She opened the door and saw a")

# %% [markdown]
# ### Exercise 1: the likeliest next tokens (8 minutes)
#
# `logits` is a list of numbers, one for each token id. Return the `count` likeliest tokens as pairs (id, probability), likeliest first; of equal ones the lower id first. Logits may be as large as 900.


# %% nbgrader={"grade_id": "l02_e1_candidates", "solution": true}
def top_candidates(logits, count):
    """The `count` likeliest tokens: a list of (id, probability)."""
    ### BEGIN SOLUTION
    top = max(logits)
    powers = [math.exp(x - top) for x in logits]
    total = sum(powers)
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    return [(i, powers[i] / total) for i in order[:count]]
    ### END SOLUTION


hints("l02_e1")

# %% nbgrader={"grade_id": "l02_e1_check", "grade": true, "points": 1}
check("l02_e1", top_candidates)

# %% nbgrader={"grade_id": "l02_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other sizes, ties, the logits of a real model.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l02_e1", top_candidates, points=2, seed=5211)
### END HIDDEN TESTS

# %% [markdown]
# ## Writing is a loop
#
# Ask for logits, choose a token, append it, ask again: that is all of generation. *Greedy* takes the likeliest token each time. *Sampling* draws one, each as often as its probability says; with a seeded generator the same draw
# comes again. The loop below is written out. Then `generate` of the transformers library must give the same ids, token by token, both ways.

# %% tags=["nbval-ignore-output"]
start = tokenizer("Once upon a time").input_ids
written, rows = list(start), []
for step in range(24):
    logits = lab.next_logits(model, written)
    first, second = logits.softmax(-1).topk(2).values.tolist()
    written.append(int(logits.argmax()))
    if step < 8:
        rows.append([step + 1, repr(tokenizer.decode(written[-1:])), f"{first:.1%}", f"{second:.1%}"])
table(rows, ["step", "likeliest token", "its probability", "the second's"], "Greedy, after 'Once upon a time'")
assert written[len(start) :][: len(theirs := lab.generate(model, start, 24))] == theirs
print(f"{len(theirs)} tokens equal to generate: {tokenizer.decode(written)!r}")

rows, device = [], model.device
for seed in (1, 2, 3):
    drawn = lab.write(model, start, 24, torch.Generator(device).manual_seed(seed))
    assert drawn == lab.write(model, start, 24, torch.Generator(device).manual_seed(seed)), "same seed, same text"
    assert drawn == lab.generate(model, start, 24, seed=seed), "the same as transformers with this seed"
    rows.append([seed, tokenizer.decode(drawn)])
table(rows, ["seed", "drawn after 'Once upon a time'"], "Sampled by hand, equal to generate")
assert len({text for _, text in rows}) > 1, "other seeds should give other texts"

# %% [markdown]
# ### Exercise 2: the loop (8 minutes)
#
# `next_logits` is a function: give it a list of ids, and it returns the logits of the next token. Write up to `new` tokens greedily after `ids`; end after the token `stop`, which stays. Return only the new ids, and leave `ids` as it is.


# %% nbgrader={"grade_id": "l02_e2_generate", "solution": true}
def generate(next_logits, ids, new, stop):
    """The new token ids: a list of at most `new`."""
    ### BEGIN SOLUTION
    text = list(ids)
    for _ in range(new):
        logits = next_logits(text)
        best = max(range(len(logits)), key=lambda i: logits[i])
        text.append(best)
        if best == stop:
            break
    return text[len(ids) :]
    ### END SOLUTION


hints("l02_e2")

# %% nbgrader={"grade_id": "l02_e2_check", "grade": true, "points": 1}
check("l02_e2", generate)

# %% nbgrader={"grade_id": "l02_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other models, stops, and transformers' own text.
### BEGIN HIDDEN TESTS
score_properties("l02_e2", generate, points=2, seed=5221)
### END HIDDEN TESTS

# %% [markdown]
# ## A neuron in numbers
#
# Inside a layer, attention (next lesson) mixes rows of different tokens; the *feed-forward* part works on each row alone. It consists of **neurons**. A neuron multiplies its input with its weights number by number, adds up (a *dot product*), and bends the sum by an
# **activation**: here SiLU, z / (1 + e⁻ᶻ), near 0 for negative sums and near z for large ones. In Llama models a second dot product, *up*, then scales the result.
#
# Below is one real neuron, the loudest of its layer after *The cat sat on the*, and where in two stories it is loudest. What do these places have in common? (In `target` a *place* is about to be named. Nobody wrote that
# in: it came out of training, and most neurons are harder to name.)
#
# Why bend? Two matrices after each other, without anything between, are one matrix: W₂(W₁x) = (W₂W₁)x, so a hundred such layers could do no more than one. The last table shows it on this layer's own weights, with and without the activation: it fits the best
# single matrix to what the layers do and says how much of the output that matrix misses.

# %%
from lessonlib.labs import kv_cache

number = len(model.model.layers) // 2
n = lab.neuron(model, ids, number)
products = [f"{x:.2f} x {w:.2f}" for x, w in zip(n.x[:3].tolist(), n.gate_weights[:3].tolist())]
rows = [
    [f"input: {len(n.x)} numbers; first products", ", ".join(products)],
    ["gate: all products added up", f"{n.gate:.3f}"],
    ["SiLU(gate)", f"{n.active:.3f}"],
    ["up: the other dot product", f"{n.up:.3f}"],
    ["output: SiLU(gate) x up", f"{n.output:.3f}"],
    ["the model's own output", f"{n.own:.3f}"],
]
table(rows, ["", "value"], f"Neuron {n.index} of layer {number}, at the last token of {text!r}")
assert abs(n.output - n.own) < 1e-3 * max(1, abs(n.own))
stories = f"{kv_cache.STORY}\n{kv_cache.OTHER_STORY}"
fires = lab.fires_on(model, tokenizer, stories, number, n.index, 6)
print("It fires most, in two stories, at:", "; ".join(f"{tokens!r} ({output:.1f})" for tokens, output in fires))

mlp = model.model.layers[number].mlp.float().cpu()
up, down, width = mlp.up_proj.weight.detach(), mlp.down_proj.weight.detach(), len(n.x)
x = n.x[:, None]
torch.testing.assert_close(down @ (up @ x), (down @ up) @ x, atol=1e-3, rtol=1e-3)
layers = {
    "two matrices, nothing between": lambda x: x @ up.T @ down.T,
    "the same two, SiLU between": lambda x: lab.silu(x @ up.T) @ down.T,
}
missed = {name: lab.missed_by_one_matrix(function, width) for name, function in layers.items()}
table([[name, f"{share:.0%}"] for name, share in missed.items()], ["layers", "missed by the best single matrix"])
mlp.to(model.device)
assert missed["two matrices, nothing between"] < 1e-6 < 0.05 < missed["the same two, SiLU between"]
page.claims(["S02-009"], "What the source lesson says of this")

# %% [markdown]
# ## Loss: surprise at the right token
#
# How good is a prediction? Look only at the probability p that the model gave to the token that really came. The **loss** is −ln p: 0 when it was certain, large when it was surprised. With the natural logarithm its unit is the *nat*; −log₂ p is in *bits*, and one nat is 1.44 bits<!-- plan -->. The
# loss of a text is the sum over its tokens, or the mean. Tokens differ between models, so results are compared in bits for a *byte* of text.
#
# A model that gives 60 %<!-- plan --> to a wrong word leaves at most 40 %<!-- plan --> for the right one: its loss is at least 0.916 nats<!-- claim:S02-007 -->, whatever the rest. After the exercise you see five endings of *The cat sat on the* on the real model, with losses equal to those of transformers. A word of several tokens costs the sum of their losses.
#
# ### Exercise 3: the loss of a text (10 minutes)
#
# `logits[i]` are the logits that the model gave after `ids[0]` ... `ids[i]`. Return (nats a token, bits a byte): the mean loss over the tokens that were predicted, and all their bits shared among the `size` bytes that they stand for. The
# first token is never predicted; the last logits are not needed.


# %% nbgrader={"grade_id": "l02_e3_measure", "solution": true}
def measure(logits, ids, size):
    """(mean loss in nats a token, loss in bits a byte)."""
    ### BEGIN SOLUTION
    nats = []
    for row, right in zip(logits, ids[1:]):
        top = max(row)
        total = math.log(sum(math.exp(x - top) for x in row)) + top
        nats.append(total - row[right])
    return sum(nats) / len(nats), sum(nats) / math.log(2) / size
    ### END SOLUTION


hints("l02_e3")

# %% nbgrader={"grade_id": "l02_e3_check", "grade": true, "points": 1}
check("l02_e3", measure)

# %% nbgrader={"grade_id": "l02_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other texts, large logits, transformers' own loss.
### BEGIN HIDDEN TESTS
score_properties("l02_e3", measure, points=2, seed=5231)
### END HIDDEN TESTS

# %%
rows = []
for ending in (" floor", " table", " moon", " mat", " refrigerator"):
    s = lab.surprise(model, tokenizer, text, ending)
    assert abs(s.loss / len(s.nats) - lab.loss_by_transformers(model, tokenizer, text, ending)) < 1e-4
    rows.append([" + ".join(map(repr, s.tokens)), f"{s.probability:.2g}", f"{s.loss:.2f}", f"{s.bits:.2f}"])
guess = math.log(model.config.vocab_size)
rows.append(
    ["any token, by pure guessing", f"{1 / model.config.vocab_size:.2g}", f"{guess:.2f}", f"{guess / math.log(2):.2f}"]
)
table(rows, ["ending", "probability", "loss, nats", "loss, bits"], f"After {text!r}; equal to transformers' loss")
page.claims(["S02-007"], "The example of the source lesson")

# %% [markdown]
# ## One step of learning, by hand
#
# A **gradient** says, for each weight, how fast the loss grows when that weight grows. *Gradient descent* moves each weight a little the other way. *Backpropagation* computes all gradients in one pass from the loss back to the input, by the chain rule. For two layers it is this:
#
# ```python
# z = first @ x                     # forward: one sum for each neuron
# a = silu(z)                       # bent
# p = softmax(second @ a)           # probabilities
# at_logits = p - one_hot           # backward: p, minus 1 at the right token
# grad_second = outer(at_logits, a)
# at_z = (second.T @ at_logits) * slope_of_silu(z)
# grad_first = outer(at_z, x)
# ```
#
# The line `at_logits` is the heart: every wrong token is pushed down by its own probability, the right one up by what it lacks. First a net of three neurons and four words, where PyTorch's autograd must agree. Then the same
# step on the real model's output matrix, for the one sentence *The cat sat on the mat*.

# %%
words, right, rate = ["mat", "floor", "table", "moon"], 0, 0.5
x = torch.tensor([1.0, -0.5], dtype=torch.float64)
first = torch.tensor([[0.5, -1.0], [0.8, 0.3], [-0.6, 0.4]], dtype=torch.float64)
second = torch.tensor([[0.2, -0.4, 0.1], [0.9, 0.5, -0.3], [0.4, 0.7, 0.2], [-0.5, 0.1, 0.6]], dtype=torch.float64)
ours, torchs = lab.backward(first, second, x, right), lab.autograd(first, second, x, right)
torch.testing.assert_close([ours.first, ours.second], [torchs.first, torchs.second], atol=1e-6, rtol=0)
after = lab.backward(first - rate * ours.first, second - rate * ours.second, x, right)
columns = ours.probabilities.tolist(), ours.second[:, 0].tolist(), after.probabilities.tolist()
rows = [[word, *(f"{value:.3f}" for value in values)] for word, *values in zip(words, *columns)]
header = ["word", "p before", "gradient of its first weight", "p after"]
table(rows, header, "By hand and by autograd, equal to 0.000001")
print(f"loss {ours.loss:.3f} nats before the step, {after.loss:.3f} after it")
assert after.loss < ours.loss

matrix, hidden = lab.last_hidden(model, ids)
mat = tokenizer(" mat", add_special_tokens=False).input_ids[0]
gradient = lab.softmax(matrix @ hidden)  # at the logits
gradient[mat] -= 1
step = 4 / (hidden @ hidden) * gradient
rows = []
for other in (text, "The dog sat on the", "She put the book on the", "Once upon a time, there was a"):
    row = lab.last_hidden(model, tokenizer(other).input_ids)[1]
    chances = [lab.softmax(z)[mat].item() for z in (matrix @ row, matrix @ row - step * (hidden @ row))]
    rows.append([other, *(f"{-math.log(p):.2f}" for p in chances), f"{chances[1] / chances[0]:.0f}"])
    assert other not in (text, "The dog sat on the") or chances[1] > chances[0]
table(rows, ["text", "loss of ' mat', nats, before", "after", "times as likely"], "One step on the first text")


# %% [markdown]
# One sentence, one step: and the dog's mat gains too. Nothing was stored under "cat": the step moved weights that all texts share, and similar texts have similar rows. That is why models generalise, and why training on new text can spoil the old.
#
# ### Exercise 4: one step of learning (12 minutes)
#
# `weights` (one row for each token) and `hidden` (one number for each column) are tensors; logits = `weights @ hidden`. Return **new** weights after one step of gradient descent of size `rate` on the loss of token `right`.


# %% nbgrader={"grade_id": "l02_e4_learn", "solution": true}
def learn(weights, hidden, right, rate):
    """The weights after one step: a tensor of the same shape."""
    ### BEGIN SOLUTION
    p = (weights @ hidden).softmax(0)
    p[right] -= 1
    return weights - rate * torch.outer(p, hidden)
    ### END SOLUTION


hints("l02_e4")

# %% nbgrader={"grade_id": "l02_e4_check", "grade": true, "points": 1}
check("l02_e4", learn)

# %% nbgrader={"grade_id": "l02_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other layers, and the output matrix of a real model.
### BEGIN HIDDEN TESTS
score_properties("l02_e4", learn, points=2, seed=5241)
### END HIDDEN TESTS

# %% [markdown]
# ## Training: that step, a few hundred times
#
# Now a Llama of two layers learns from nothing. Its text is made on the spot: little stories from four plots, with names, colours and animals filled in by chance. Because we know how they are made, we know the lowest loss that any model can reach: nobody can foresee *which* colour
# comes, only that it comes again later. That is the *floor*. Each step takes 16 stories, and Adam, a refined gradient descent, does the stepping. Run it and watch.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import what_is_an_llm_training as training

mini, cut = models.load("mini", device="cpu", dtype=torch.float32)  # its tokenizer; the model itself comes later
told = training.stories.stories(6200, seed=0)
data = training.rows(cut, told[:6000])  # (B, L)
unseen, floor = training.rows(cut, told[6000:]), training.floor(data, told[:6000])
tiny = training.tiny_llama(len(cut))
before, losses = training.tell(tiny, cut), [training.held_out(tiny, unseen)]

curve, optimizer = page.LossCurve({"floor": floor, "pure guessing": math.log(len(cut))}), training.adam(tiny)
for batch in training.batches(data, SECONDS, optimizer):
    loss = training.loss_of(tiny, batch)  # forward
    loss.backward()  # backward: the gradient of every weight
    torch.nn.utils.clip_grad_norm_(tiny.parameters(), 1.0)  # no step may run wild
    optimizer.step()  # a small step down
    optimizer.zero_grad()
    curve.add(loss.item())
curve.finish()

after = training.tell(tiny, cut)
losses.append(training.held_out(tiny, unseen))
told_by = zip(("before", "after"), losses, (before, after))
rows = [[when, f"{loss:.2f}", texts[0][:240]] for when, loss, texts in told_by]
size = f"{tiny.num_parameters():,} weights, {len(curve.losses):,} steps"
table(rows, ["", "loss on unseen stories", "it writes"], size)
scores = [training.score(texts) for texts in (before, after)]
rows = [[name, *(f"{s[name]:.0%}" for s in scores)] for name in ("sentences", "stories")]
table(rows, ["right, of 20 texts", "before", "after"], "Sentences that fit a plot; stories that keep to what they said")
assert losses[0] > 7 and losses[1] < 1.2 and scores[1]["sentences"] > 0.6 > scores[0]["sentences"]

# %% [markdown]
# The loss falls in stairs. First it learns which words occur, then what follows what: soon most *sentences* are right. But whole *stories* are not: the ball turns into a drum, for keeping to what was said means looking back, and that comes last. In the reference
# runs, 400 steps made 98 %<!-- record:l02_training#right_sentences_after_400_steps --> of the sentences right and 0 %<!-- record:l02_training#right_stories_after_400_steps --> of the stories. Three runs of 1,200 steps differ widely:
# the middle one has 28 %<!-- record:l02_training#right_stories_after_1200_steps --> of its stories right, the best one most of them. Such a skill comes suddenly, and *when* depends on the random start: raise `SECONDS` to 60 and see whether you are lucky.
#
# ## What it costs
#
# A **FLOP** is one addition or multiplication. In a forward pass each of N weights is multiplied and added once for each token: 2N FLOPs. Backward takes twice that again, so training takes 6N. And training keeps more in memory: a gradient for each weight, two running means of Adam, and *activations*, what the forward pass found,
# kept for the way back.
#
# Below, all of it is counted on one real model, `mini`: FLOPs by torch operation by operation, bytes tensor by tensor, and seconds by the clock. Then the same formulas for models that people rent GPUs for.

# %% tags=["nbval-ignore-output"]
batch = data[:8]  # (B, L)
with training.one_thread():
    flops, held = training.flops(mini, batch), training.memory(mini, batch)
    seconds = training.middle(training.times(mini, batch))
N, cache = training.multiplied(mini), training.cache_bytes(mini, batch.shape[1])
needs = sum(held.values()), held["weights"] + cache
rows = [
    ["FLOPs a token, counted / N", flops["training"] / N, flops["forward"] / N],
    ["memory, MB", needs[0] / 1e6, needs[1] / 1e6],
    *([f"... {name}, MB", size / 1e6, size / 1e6 if name == "weights" else None] for name, size in held.items()),
    ["... keys and values of one text (lesson 05), MB", None, cache / 1e6],
    ["time a token, a batch at once, ms", 1e3 * seconds["training"], 1e3 * seconds["reading"]],
    ["time a token, one after the other, ms", None, 1e3 * seconds["writing"]],
]
caption = f"mini: N = {N:,} weights, batch of {batch.shape[0]} stories, 32-bit numbers"
table(rows, ["", "training", "inference"], caption)
reveal("l02_p2", needs[0] / held["weights"], unit="times")
assert 1.9 < flops["forward"] / N < 2.6 and 2.9 < flops["training"] / flops["forward"] < 3.1
assert needs[0] > 4 * held["weights"] and seconds["training"] > 1.5 * seconds["reading"]

# %%
from lessonlib.calc import memory, units
from lessonlib.calc.training import flat
from lessonlib.facts import catalog
from lessonlib.page.training_cost import usd_per_gpu_hour

gpu, usd, rows = catalog.gpu("h100-sxm"), usd_per_gpu_hour(), []
assert models.shape("qwen2.5-coder-32b").parameters == catalog.model("qwen2.5-coder-32b").total_params_exact
for name in ("qwen3-0.6b", "olmo-2-7b", "qwen2.5-coder-32b", "llama-3.3-70b"):
    m = catalog.model(name)
    P = m.total_params_exact
    bill = training.bill(P, 20 * P, gpu.fp16_bf16_tensor_dense_tflops, 0.4, usd)
    sizes = [f"{units.gb(size):,.0f}" for size in (flat(P).total, 2 * P)]
    money = [f"{bill['flops']:.1e}", f"{bill['gpu_hours']:,.0f}", f"{bill['usd']:,.0f}"]
    rows.append([m.name, m.vocab_size, m.layers, P, *sizes, *money])
header = ["model", "vocabulary", "layers", "parameters", "GB to train", "GB to use", "FLOPs", "H100 hours", "USD"]
table(rows, header, f"Training on 20 tokens a parameter, at 40 % of the peak, USD {usd:.2f} a GPU hour")

big = catalog.model("qwen2.5-coder-32b").total_params_exact
long = training.bill(big, 10e12, gpu.fp16_bf16_tensor_dense_tflops, 0.4, usd)
cards = [-(-size // memory.card_bytes(80)) for size in (flat(big).total, 2 * big)]
rates = [r for r in catalog.prices() if r.group == "api_usd_per_million_tokens" and str(r.as_of).startswith("2026")]
tokens = f"{min(r.input for r in rates) / 1000:.5f} to {max(r.output for r in rates) / 1000:.3f} for 1,000 tokens"
rows = [
    ["FLOPs a token", f"6 N = {6 * big:.2e}", f"2 N = {2 * big:.2e}"],
    ["cards of 80 GiB to hold it", f"{cards[0]}, without activations", f"{cards[1]}, without a cache"],
    ["GPUs for 10 trillion tokens in 30 days", f"{long['gpu_hours'] / 720:,.0f}", "as many as users need"],
    ["USD", f"{long['usd']:,.0f} of GPU time, once", f"{tokens} (price lists of 2026)"],
]
table(rows, ["a 32B model", "training", "inference"], "The table of costs, computed")
page.claims(["S02-001", "S02-003", "S02-004", "S02-006"], "Sizes and costs in the source lesson")

# %% [markdown]
# The first table counts a little more than 6 and 2: the rest is attention, whose scores use no weights. And look at its clock: writing one token after the other takes many times longer for each than reading a batch, for the same FLOPs. Why, and what
# to do about it, is the subject of lessons 05, 09 and 12.
#
# The GPU hour is what eight H100 cost their owner by the fact base, itself an estimate of 2026-03-06; a rented hour costs more. Twenty tokens a parameter is a choice, as are 10 trillion tokens and 40 %<!-- plan --> of the peak. What no formula gives are failed runs, data and people: the source lesson's 1 to 100 million USD for
# frontier models stays an estimate. But see *why* the two columns differ: training pays 6N for every token of a huge text, **once**, and inference pays 2N for every token of **every** answer.
#
# ## What breaks it
#
# Fluent is not true, and confident is not informed. The first table asks for capitals, one of a country that does not exist. The second gives the freshly trained Llama texts of another kind, and compares its loss with that of its untrained self.

# %% tags=["nbval-ignore-output"]
rows, sure = [], {}
for country in ("France", "Japan", "England", "Zorbia"):
    ask = f"The capital of {country} is"
    c = lab.candidates(model, tokenizer, ask, 1)[0]
    sure[country] = c.probability
    rows.append([ask, lab.next_word(model, tokenizer, ask, c.token), f"{c.probability:.0%}"])
table(rows, ["text", "likeliest next word", "probability of its first token"])
print(f"There is no Zorbia; the model is {sure['Zorbia'] / sure['France']:.2f} times as sure of it as of France.")
if read := lab.tokens_read(MODEL):
    print(f"All that {MODEL} ever read in training: {read:,} tokens of stories, chats and code.")
page.claims(["S02-008"], "Where such an answer comes from")

untrained, rows = training.tiny_llama(len(cut)), []
others = {
    "its own kind of story": told[-1].text,
    "an ordinary story": "The farmer had a cow. Each morning he gave her grass and water.",
    "Python": "def add(a, b):\n    return a + b\n",
}
for name, other in others.items():
    row = torch.tensor([[cut.eos_token_id, *cut(other).input_ids]])  # (B, L)
    rows.append([name, *(training.held_out(m, row) for m in (untrained, tiny))])
shown = [[name, f"{a:.2f}", f"{b:.2f}"] for name, a, b in rows]
table(shown, ["text", "loss, untrained", "loss, trained"], "Nats a token")
assert rows[0][2] < 1.5, "after training its own kind of story must be easy"
assert rows[2][2] > rows[2][1], "on Python it must be worse than its untrained self"

# %% [markdown]
# A probability says how often a token followed *such* a text in training, nothing else. The trained Llama is now worse than pure guessing on Python: it is sure that a story comes. Nobody told it to say "I do not know", and no loss ever asked for it.
#
# ## Calculator
#
# What would it cost to train a model of your choice? All controls work by keyboard: Tab moves, arrows and typing change values.

# %%
page.TrainingCostCalculator()

# %% [markdown]
# ## Quiz

# %%
quiz("02_what_is_an_llm")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was measured by `benchmarks/l02_training.py`: the same functions, each run in a fresh process. Compare the ratios; speeds belong to a machine.

# %% tags=["nbval-ignore-output"]
mine = {
    "steps_a_second": len(curve.losses) / curve.seconds,
    "loss_at_the_end": losses[1],
    "flops_training_to_reading": flops["training"] / flops["forward"],
    "memory_training_to_weights": needs[0] / held["weights"],
    "time_training_to_reading": seconds["training"] / seconds["reading"],
    "time_writing_to_reading": seconds["writing"] / seconds["reading"],
}
assert all(value > 0 for value in mine.values())
compare("l02_training", mine)

# %% [markdown]
# ## We learned
#
# 1. To **read** a distribution: one logit for each token, softmax makes shares of them.
# 2. To **write**: ask, choose, append, ask again; equal to `generate` token by token, with a seed even when drawn.
# 3. To **compute** a neuron: two dot products and an activation, without which all layers would be one.
# 4. To **measure** −ln p in nats, bits and bits a byte, and to step: p minus one-hot, times what came in.
# 5. To **compare**: 6N against 2N, sixteen bytes a weight against two, once against for every answer.
#
# *Next:* attention, the part of a layer that looks back, which is just what our tiny Llama learned last.
#
# ## Corrections
#
# What the course's source text has differently, with the calculation or source that decides it.

# %%
corrections(["S02-002", "S02-005"])

# %% [markdown]
# ## Sources
#
# - Sizes, prices and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - C. Shannon, A Mathematical Theory of Communication, 1948: surprise, bits, and text as a chain of guesses.
# - D. Rumelhart, G. Hinton, R. Williams, Learning representations by back-propagating errors, 1986.
# - D. Kingma, J. Ba, [Adam](https://arxiv.org/abs/1412.6980), 2014: the optimizer of the training run.
# - S. Elfwing and others, [SiLU](https://arxiv.org/abs/1702.03118), 2017; N. Shazeer, [GLU Variants](https://arxiv.org/abs/2002.05202), 2020: the gated neuron.
# - J. Kaplan and others, [Scaling Laws](https://arxiv.org/abs/2001.08361), 2020: six FLOPs for each parameter and token.
# - J. Hoffmann and others, [Training Compute-Optimal LLMs](https://arxiv.org/abs/2203.15556), 2022: about twenty tokens a parameter.
# - S. Rajbhandari and others, [ZeRO](https://arxiv.org/abs/1910.02054), 2019: sixteen bytes a parameter.
# - torch 2.13 (`FlopCounterMode`, autograd) and transformers 5.23 (`generate`), run here; read 2026-11-27.
