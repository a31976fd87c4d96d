# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 06_sampling, title: Sampling, minutes: 60, gpu: better}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Sampling
#
# **What do temperature, top-k, top-p and min-p do to the distribution?**
#
# A language model does not choose a word. After each text it gives every token of its vocabulary a number, and stops there. A few lines of code outside the model turn these numbers into one token. You can read, change and break
# those lines; they decide whether the same model writes a story, a loop, noise, or valid JSON.
#
# ## Aims
#
# After this lesson you can
#
# 1. **build** temperature, top-k, top-p, min-p, repetition penalty, greedy and beam search, each equal to transformers' own,
# 2. **say** what each does to a distribution, and why their order matters,
# 3. **tell** what a fixed seed and temperature 0 guarantee, and what not,
# 4. **choose** settings for a job by measurements on texts,
# 5. **force** a form on the output by masking logits, and know what that does not force.
#
# *You need:* lesson 00, a little PyTorch, and from lesson 02: a model reads *tokens* (pieces of text with numbers) and predicts the next one. *Logit* is the name of the number that it gives each token; higher means likelier.
#
# **First predict.** Your guesses stay on your machine, count for nothing, and come back beside the measured values. `MODEL` may be another one; the text of this page holds for it too.

# %% tags=["bootstrap"]

# %%
MODEL = "target"  # or, when downloaded: "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-0.6B"
display(
    predict("l06_p1", "A model gives two tokens 80 % and 20 %. What becomes of the 80 at temperature 2?", unit="%"),
    predict("l06_p2", "A small model writes Python functions at temperature 1.5. Of 100, how many does Python's own "
            "parser accept?"),
    predict("l06_p3", "Of 1,000 tokens of a text, at how many does the best next token change when the same model "
            "runs in bfloat16, a number format of half the bytes?"),
)  # fmt: skip

# %% [markdown]
# ## From logits to probabilities
#
# The *softmax* turns logits into a *distribution*, a probability for each token, together 1: raise e to each logit, divide by the sum. Only differences count: one logit more is 2.7 times<!-- plan --> as likely. The **temperature** T divides the logits before that: softmax(logits / T). Below 1 the gaps
# grow and the leaders win; above 1 they shrink and the tail rises; towards 0 the largest takes all, which is *greedy*.
#
# It does *not* scale probabilities: halve all of them, make them sum to 1 again, and nothing has changed. The cell shows it, then the real model's next token at three temperatures.

# %%
import torch
from lessonlib import models
from lessonlib.labs import sampling as lab
from lessonlib.page.sampler import bars

two = torch.tensor([0.8, 0.2]).log()
reveal("l06_p1", round(100 * lab.temperature(two, 2.0).softmax(-1)[0].item(), 1), unit="%")
model, tokenizer = models.load(MODEL, dtype=torch.float32)
OPENING = "Once upon a time, there was a little girl named"
ids, mask = lab.encode(tokenizer, [OPENING], model.device)  # (B, L)
logits = lab.next_logits(model, ids)[0].cpu()  # one for each token
plain = logits.softmax(-1)
assert torch.allclose(plain / 2 / (plain / 2).sum(), plain), "halved and made to sum to 1: the same again"
best, heats = logits.topk(6).indices, (0.5, 1.0, 2.0)
table(
    [[repr(tokenizer.decode(i)), f"{logits[i]:.2f}", *(f"{lab.temperature(logits, t).softmax(-1)[i]:.1%}" for t in heats)]
     for i in best],
    ["next token", "logit", *(f"T = {t:g}" for t in heats)], f"After {OPENING!r}, {len(logits):,} tokens in all",
)  # fmt: skip

# %% [markdown]
# ### Exercise 1: probabilities at a temperature (8 minutes)
#
# `logits` is a tensor with one number for each token. Return as many probabilities. At temperature 0 the largest logit gets 1, the first of equal ones. Logits may be in the hundreds: e to such a power overflows, so use that only differences count. Write the softmax yourself or
# call PyTorch's.


# %% nbgrader={"grade_id": "l06_e1_temperature", "solution": true}
def probabilities(logits, temperature):
    """The probabilities of the tokens at a temperature of 0 or more."""
    ### BEGIN SOLUTION
    if temperature == 0:
        greedy = torch.zeros_like(logits)
        greedy[logits.argmax()] = 1
        return greedy
    powers = ((logits - logits.max()) / temperature).exp()
    return powers / powers.sum()
    ### END SOLUTION


hints("l06_e1")

# %% nbgrader={"grade_id": "l06_e1_check", "grade": true, "points": 1}
check("l06_e1", probabilities)

# %% nbgrader={"grade_id": "l06_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other logits, ties, shifts, a real model beside transformers.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l06_e1", probabilities, points=2, seed=6101)
### END HIDDEN TESTS

# %% [markdown]
# ## Cutting the tail
#
# A vocabulary has thousands of tokens, most of them absurd here. Each gets little, together they get a lot, and one absurd token spoils the rest of the text. Three filters set the logits of the tail to −∞, which is probability 0; the softmax shares the rest out again.
#
# - **top-k** keeps the k largest logits, however sure the model is.
# - **top-p** (nucleus) keeps the smallest set of likeliest tokens whose probabilities reach p.
# - **min-p** keeps tokens at least a given share as likely as the best one.
#
# Watch two places: after *girl named* many names fit; inside `return a +` hardly anything but one token does. A fixed k cannot fit both. The drawing shows the first place at T = 1.5 with min-p.

# %%
filters = [
    ("nothing", {}),
    ("top-k 10", dict(top_k=10)),
    ("top-p 0.9", dict(top_p=0.9)),
    ("min-p 0.1", dict(min_p=0.1)),
]
places, rows = [OPENING, "def add(a, b):\n    return a +"], []
for name, keywords in filters:
    row = [name]
    for text in places:
        one = lab.next_logits(model, lab.encode(tokenizer, [text], model.device)[0])
        left = lab.process(one, ids, lab.Setting(name, **keywords))[0] > lab.NEVER
        row += [int(left.sum()), f"{one.softmax(-1)[0, left].sum():.1%}"]
    rows.append(row)
header = [
    "filter",
    "tokens left: girl named ...",
    "their probability",
    "tokens left: return a + ...",
    "their probability ",
]
table(rows, header, "What three filters keep in two places")
hot = lab.process(logits[None], ids, lab.Setting("", temperature=1.5, min_p=0.1))[0].softmax(-1)
names = logits.topk(9).indices.tolist()
drawing, said = bars(
    [(repr(tokenizer.decode(i)), plain[i].item(), hot[i].item()) for i in names], "as it is", "T 1.5, min-p 0.1"
)
svg(drawing, alt=said)

# %% [markdown]
# ### Exercise 2: top-p (12 minutes)
#
# Return new logits: what stays keeps its logit, what goes becomes −∞ (`float("-inf")`). The token that crosses p stays; one token stays even for p = 0; of equal tokens only as many as p needs. With probabilities 0.5, 0.3, 0.15, 0.05 and
# p = 0.6, the first two stay.


# %% nbgrader={"grade_id": "l06_e2_nucleus", "solution": true}
def top_p(logits, p):
    """The logits with all but the nucleus at -inf."""
    ### BEGIN SOLUTION
    falling, places = logits.sort(descending=True)
    q = falling.softmax(-1)
    stays = q.cumsum(-1) - q < p  # the sum before a token is still below p
    stays[0] = True
    kept = torch.full_like(logits, float("-inf"))
    kept[places[stays]] = falling[stays]
    return kept
    ### END SOLUTION


hints("l06_e2")

# %% nbgrader={"grade_id": "l06_e2_check", "grade": true, "points": 1}
check("l06_e2", top_p)

# %% nbgrader={"grade_id": "l06_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other distributions, ties, the ends of p, a real model.
### BEGIN HIDDEN TESTS
score_properties("l06_e2", top_p, points=2, seed=6201)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 3: the repetition penalty (6 minutes)
#
# To stop a text from circling, the logits of tokens that already stand in it are made smaller. Mind the sign: a logit of 4 divided by 2 becomes 2, less likely; −4 divided by 2 becomes −2, *more* likely. So positive logits are divided by the penalty, negative ones
# multiplied. `seen` lists the ids of the text; each token counts once.


# %% nbgrader={"grade_id": "l06_e3_penalty", "solution": true}
def repetition_penalty(logits, seen, penalty):
    """The logits with the tokens in `seen` made less likely."""
    ### BEGIN SOLUTION
    changed = logits.clone()
    for token in set(seen):
        changed[token] = logits[token] / penalty if logits[token] > 0 else logits[token] * penalty
    return changed
    ### END SOLUTION


hints("l06_e3")

# %% nbgrader={"grade_id": "l06_e3_check", "grade": true, "points": 1}
check("l06_e3", repetition_penalty)

# %% nbgrader={"grade_id": "l06_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other logits and texts, the settings that are off, a real model.
### BEGIN HIDDEN TESTS
score_properties("l06_e3", repetition_penalty, points=2, seed=6301)
### END HIDDEN TESTS

# %% [markdown]
# ## The order, and the loop around it
#
# These steps do not commute: a filter reads what the step before it left. transformers goes penalty → temperature → top-k → top-p → min-p; llama.cpp cuts first and applies the temperature last. Same numbers in both, different sets: see the second table. (Greedy skips the filters:
# none of them touches the best token.)
#
# All of sampling is then a loop: logits → process → softmax → draw one token → append. A *seed* fixes the random numbers of the draw.
#
# **Beam search** draws nothing. It keeps several texts at once (*beams*), continues each by every token, and keeps those with the largest product of probabilities: it looks for the likeliest *text*, where greedy takes the likeliest *token* each time. Is likelier better? In the last table, look at
# the *bits a token* (−log₂ of the model's probability: few bits are no surprise) and at the repeated *4-grams* (runs of four tokens that stood in the text before).
#
# First the proof that this lab's five functions are transformers' own, on real logits and on nasty ones: ties, −∞ already there, p at its ends. Then the loop and the beams beside `model.generate`.

# %%
import transformers as hf

tied = torch.randint(-4, 5, (3, 50), generator=torch.Generator().manual_seed(1)).float()
cut = tied.masked_fill(tied < -2, lab.NEVER)
compared = 0
for row in (logits[None], tied, cut):
    seen = torch.tensor([[0, 3, 3, 7]]).repeat(len(row), 1)
    pairs = [(lab.temperature(row, t), hf.TemperatureLogitsWarper(t)) for t in (0.3, 1.0, 2.5)]
    pairs += [(lab.top_k(row, k), hf.TopKLogitsWarper(k)) for k in (1, 7, 10_000)]
    pairs += [(lab.top_p(row, p), hf.TopPLogitsWarper(p)) for p in (0.0, 0.5, 0.9, 1.0)]
    pairs += [(lab.min_p(row, s), hf.MinPLogitsWarper(s)) for s in (0.0, 0.1, 1.0)]
    pairs += [(lab.repetition_penalty(row, seen, r), hf.RepetitionPenaltyLogitsProcessor(r)) for r in (0.8, 1.3)]
    for ours, theirs in pairs:
        assert torch.equal(ours, theirs(seen, row.clone())), theirs
        compared += 1
print(f"{compared} comparisons with transformers: every logit the same")
rows = []
for t in (1.0, 2.0):
    first, last = lab.top_p(lab.temperature(logits[None], t), 0.9), lab.temperature(lab.top_p(logits[None], 0.9), t)
    left = lab.survivors(first), lab.survivors(last)
    assert (left[0] == left[1]) == (t == 1)
    rows.append([f"T = {t:g}, top-p 0.9", *(n if n < 100 else f"about {round(n, -2):,}" for n in left)])
table(rows, ["setting", "temperature, then top-p: tokens left", "top-p, then temperature: tokens left"])

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import sampling_quality as quality

START = "One day, Tom found a"
ids, mask = lab.encode(tokenizer, [START], model.device)
end, L = tokenizer.eos_token_id, ids.shape[1]
fixed = dict(attention_mask=mask, eos_token_id=None, pad_token_id=0)
S, rows = lab.Setting, []
for s in (
    S("greedy", 0),
    S("T 0.8, top-p 0.9", 0.8, top_p=0.9),
    S("T 1.2, top-k 20, min-p 0.05", 1.2, top_k=20, min_p=0.05),
):
    torch.manual_seed(3)
    theirs = model.generate(ids, max_new_tokens=48, **fixed, **lab.in_transformers(s))[0, L:].tolist()
    assert lab.write(model, ids, mask, 48, [s], seed=3)[0].ids == theirs, s.name
    rows.append([s.name, theirs])
for beams in (4, 8):
    theirs = model.generate(ids, max_new_tokens=48, num_beams=beams, do_sample=False, **fixed)[0, L:].tolist()
    assert lab.beam_search(model, ids, beams, 48).ids == theirs, beams
    rows.append([f"{beams} beams", theirs])
for row in rows:
    bits = -lab.log_probability(model, ids, row[1]) / len(row[1]) / 0.6931
    row[1:] = [f"{bits:.2f}", f"{quality.repeated(row[1]):.0%}", tokenizer.decode(row[1])[:110] + " ..."]
table(rows, ["how", "bits a token", "4-grams repeated", f"text after {START!r}"], "By hand, each equal to generate")

# %% [markdown]
# ## The same prompt, the same answer?
#
# A seed repeats the draw, and greedy does not draw at all. But both start from logits, and these are sums of many rounded products. Another batch, *kernel* (the program behind one operation), number of threads or device adds them up in another order, and the last digits change. Another number
# format changes more: *float32* keeps about seven digits of a number, *bfloat16* two to three, at half the bytes. That is harmless until two tokens
# are nearly tied: then the best one flips, and from there the texts part.
#
# So *temperature 0 is greedy* is true, and *therefore bit for bit the same* is not guaranteed. The first lines assert what is guaranteed on one machine; the table measures the rest, over every position of eight texts. Servers put you in a batch with strangers: vLLM says that
# it does not guarantee reproducible results by default, and has a batch-invariant mode for those who need them.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import sampling_repeat as repeat

warm = S("", 1.0)
one, again, other = (lab.write(model, ids, mask, 30, [warm], seed)[0].ids for seed in (5, 5, 6))
assert one == again, "same seed, same machine, same call: the same text"
company = lab.write(model, ids.repeat(2, 1), mask.repeat(2, 1), 30, [warm, warm], 5)
print("another seed gives another text:", one != other, "| same seed, one more in the batch:", one != company[1].ids)
found = repeat.differences(model, tokenizer)
rows = [[d.change, "yes" if n == 0 else "no", f"{d.largest:.2g}", d.flips, d.positions] for n, d in enumerate(found)]
if not torch.cuda.is_available():
    rows.append(["on another device", "no", "no GPU here", None, None])
header = ["what changed", "guaranteed equal?", "largest difference of a logit", "best token flips", "of positions"]
table(rows, header, f"{MODEL} on {model.device.type}, against each text alone in float32")
exact, batch, coarse = found[0], found[1], found[-2]
assert exact.largest == 0 and coarse.largest > 10 * batch.largest
print("\n".join(repeat.tell(tokenizer, d) for d in found[-2:]))
reveal("l06_p3", round(1000 * coarse.flips / coarse.positions))

# %% [markdown]
# ## Forcing a form
#
# A program that reads the answer needs *valid* JSON, every time; asking nicely gives it sometimes. But sampling is in our hands: at each step set the logits of all tokens to −∞ that would leave the form. What may follow is told by an *automaton*: a state that each character moves on. We build it from a *JSON
# schema*, a description of the keys and values that an answer must have. A token may come when all its characters lead on. When the document is complete, only the end token is left.
#
# First the automaton alone. Then two forms, filled in at four temperatures with and without the mask: a tool call, a form that `target` saw in training, and a card that it never saw. *Left by the mask* is how much of the model's own probability the allowed tokens had.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import sampling_forms as forms
from lessonlib.labs import sampling_grammar as grammar

start, rows = grammar.compile_schema(forms.CARD.schema), []
beginnings = (
    "",
    '{"name": "',
    '{"name": "L',
    '{"name": "Lily", "age": 12',
    '{"name": "Lily", "age": 7, "likes": ["cake"',
    "{name",
)
for text in beginnings:
    state = grammar.read(start, text)
    following = "".join(char for char in map(chr, range(32, 127)) if grammar.read(state, char))
    rows.append([f"`{text}`" if text else "(nothing)", following.replace(" ", "␣") or "(none: this leaves the form)"])
title = f"The automaton of the card, at most {grammar.longest(start)} characters"
table(rows, ["text so far", "characters that may follow"], title)

filled = [row for form in forms.FORMS for row in forms.fill(model, tokenizer, form, (0, 0.7, 1.0, 1.5), samples=6)]
rows = [
    [r.form.name, r.temperature, f"{r.plain:.0%}", f"{r.masked:.0%}", f"{r.left:.0%}", f"{r.right:.0%}", r.examples[1]]
    for r in filled
]
header = ["form", "T", "valid, no mask", "valid, mask", "left by the mask", "and right", "first answer with the mask"]
table(rows, header, f"Judged by {forms.validator(forms.CARD.schema)[0]}")
assert all(r.masked == 1 for r in filled), "with the mask, every answer is valid"
assert sum(r.plain for r in filled) < len(filled), "without it, some are not"
ours, theirs = forms.greedy_both_ways(model, tokenizer, forms.CALL)
assert ours == theirs
print("our loop and generate(prefix_allowed_tokens_fn=...) write the same:", tokenizer.decode(ours))

# %% [markdown]
# ### Exercise 4: the allowed tokens (12 minutes)
#
# The smallest grammar is a list of answers. `tokens` holds the text of every token by id (some have none: `""`), `choices` the possible answers, `written` the text so far. Return the sorted ids of the tokens that keep the text the beginning of an answer, and the id `end` just when the text
# is a whole answer. The check's last step lets a model write under your masks.


# %% nbgrader={"grade_id": "l06_e4_allowed", "solution": true}
def allowed_tokens(tokens, end, choices, written):
    """The ids of the tokens that may come next, sorted."""
    ### BEGIN SOLUTION
    allowed = [end] if written in choices else []
    for token, text in enumerate(tokens):
        if text and any(choice.startswith(written + text) for choice in choices):
            allowed.append(token)
    return sorted(allowed)
    ### END SOLUTION


hints("l06_e4")

# %% nbgrader={"grade_id": "l06_e4_check", "grade": true, "points": 1}
check("l06_e4", allowed_tokens)

# %% nbgrader={"grade_id": "l06_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other answers and vocabularies, a model under your masks.
### BEGIN HIDDEN TESTS
score_properties("l06_e4", allowed_tokens, points=2, seed=6401)
### END HIDDEN TESTS

# %% [markdown]
# ## What heat does to texts
#
# Now whole texts: six openings of stories and six of functions, each continued by every setting, in two batches with a cache. Four measures:
#
# - **surprise**: −log₂ of the probability that the model itself gave a written token, in bits. 1 bit is a coin toss.
# - **distinct-2**: different pairs of neighbouring tokens over all pairs of a group, the higher the more varied.
# - **repeated 4-grams**: the share of runs of four tokens that stood in the same text before: loops.
# - for code: does the finished function **parse**? (Read by `ast`, never run.)
#
# The dotted line on the left is a story by a person, read by the same model: not the likeliest text, and not noise.
#
# **Which setting for which job?** None is best; each job has a number that must be high and one that must be low. The second table takes both from the reference record of `target`, which holds more settings and rounds. Below it stands the source lesson's advice, as what it is.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs.kv_cache import STORY

found = quality.survey(model, tokenizer)
percents = ["–" if q.parses is None else f"{q.parses:.0%}" for q in found]
rows = [
    [q.kind, q.setting.name, f"{q.bits:.2f}", f"{q.distinct:.2f}", f"{q.repeated:.1%}", p] for q, p in zip(found, percents)
]  # fmt: skip
table(rows, ["kind", "setting", "surprise, bits a token", "distinct-2", "repeated 4-grams", "parse"])
person = quality.surprise(model, tokenizer, STORY)
fig, (left, right) = page.axes(1, 2, size=(8.4, 3.4))
quality.draw(left, right, found, person)
by = {(q.kind, q.setting.name): q for q in found}
cold, hot = by["code", "greedy"], by["code", "T 1.5"]
show(fig, alt=f"Surprise and variety rise with temperature. Of the functions {cold.parses:.0%} parse when written "
     f"greedily and {hot.parses:.0%} at temperature 1.5. A person's story has {person:.1f} bits a token.")  # fmt: skip
reveal("l06_p2", round(100 * hot.parses))
assert (
    by["stories", "greedy"].bits < by["stories", "T 1.0"].bits < by["stories", "T 1.5"].bits
    and hot.parses < cold.parses
)
assert by["stories", "T 1.5, min-p 0.1"].bits < by["stories", "T 1.5"].bits / 2, "a filter tames the heat"

# %%
record = page.records.load("l06_temperature")
rows = quality.jobs(record["metrics"])
table(
    rows,
    ["job", "setting", "evidence (reference record of `target`)"],
    f"Which setting for which job, {record['date']}",
)
page.claims(["S04-037"], "The source lesson's advice")

# %% [markdown]
# ## What breaks it
#
# **The likeliest text.** "The model knows best, so take what it finds likeliest." Below, longer texts by greedy, by beams, and by a draw. The more a search insists on probability, the more it circles: a repeated sentence is easy to predict, and each repetition makes the next one likelier.
#
# **A valid answer is not a right one.** In the table of forms, look at the column *and right*: the mask forbade every wrong form and no wrong content. Where little was *left by the mask*, the model wanted to say something else and was bent into the form, one token at a time.

# %% tags=["nbval-ignore-output"]
ways = {"greedy": [], "4 beams": [], "greedy, penalty 1.2": [], "T 1.0": []}
for prompt in quality.STORIES[2:5]:
    ids, mask = lab.encode(tokenizer, [prompt], model.device)
    settings = [S("greedy", 0), S("greedy, penalty 1.2", 0, penalty=1.2), warm]
    texts = lab.write(model, ids.repeat(3, 1), mask.repeat(3, 1), 100, settings, seed=2)
    ways["4 beams"].append((ids, lab.beam_search(model, ids, 4, 100).ids))
    for name, text in zip(("greedy", "greedy, penalty 1.2", "T 1.0"), texts):
        ways[name].append((ids, text.ids))
rows, loops = [], {}
for name, texts in ways.items():
    bits = sum(-lab.log_probability(model, ids, text) / len(text) / 0.6931 for ids, text in texts) / len(texts)
    loops[name] = sum(quality.repeated(text) for _, text in texts) / len(texts)
    rows.append([name, f"{bits:.2f}", f"{loops[name]:.0%}", tokenizer.decode(texts[1][1])[-110:].replace("\n", " ")])
table(
    rows,
    ["how", "bits a token", "4-grams repeated", "end of one text"],
    "Texts of 100 tokens: the likelier, the more loops",
)
assert max(loops["greedy"], loops["4 beams"]) > loops["T 1.0"], "searching for the likeliest text makes loops"

# %% [markdown]
# ## Calculator
#
# Type a text, turn the knobs, and see which tokens survive (␣ is a blank; some tokens are only the beginning of a word). All controls work by keyboard: Tab moves, arrows and typing change values.


# %%
def view(text):
    """What the model makes of a text: the next logits, the text's ids, and how to print a token."""
    ids, _ = lab.encode(tokenizer, [text], model.device)
    return lab.next_logits(model, ids)[0].cpu(), ids[0].cpu(), tokenizer.decode


page.SamplerCalculator(view, "The cat sat on the", temperature=1.5, min_p=0.1)

# %% [markdown]
# ## Quiz

# %%
quiz("06_sampling")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was made by `benchmarks/l06_temperature.py`: the same functions, fresh processes, a seed for each round. Greedy rows need no seed and should agree to the last digit shown, or nearly. Drawn ones are one sample beside a median: look at the direction.

# %% tags=["nbval-ignore-output"]
everything = quality.metrics(found) | forms.metrics(filled)
names = ["greedy_surprise", "T_0.8_surprise", "T_1.5_surprise", "greedy_distinct_2", "T_1.5_distinct_2"]
wanted = [f"{kind}_{name}" for kind in ("stories", "code") for name in names] + [
    "code_greedy_parses",
    "code_T_1.5_parses",
]
wanted += [
    f"{form}_T_0.7_valid_{how}_mask" for form in ("tool_call", "card_of_a_person") for how in ("without", "with")
]
mine = {name: everything[name][1] for name in wanted}
assert all(value >= 0 for value in mine.values())
compare("l06_temperature", mine)

# %% [markdown]
# ## We learned
#
# 1. To **build** every step by hand: a division, three filters, a penalty with a sign, a loop, a search; all equal to transformers.
# 2. To **say** what they do: temperature bends, filters cut, and a filter after a hot temperature keeps more than one before it.
# 3. To **tell** what repeats: the same call on the same machine. Batch, kernel, format and device change last digits, and near ties flip.
# 4. To **choose** by measuring surprise, variety, loops and parsing, for the job at hand.
# 5. To **force** a form with a mask: always valid, not always right.
#
# *Next:* parameters and experts, what makes the logits good in the first place.
#
# ## Corrections
#
# What the course's source text has differently.

# %%
corrections(["S04-036", "S04-038"])

# %% [markdown]
# ## Sources
#
# - Corrections and advice: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - A. Holtzman and others, [The Curious Case of Neural Text Degeneration](https://arxiv.org/abs/1904.09751), 2020: top-p, and why the likeliest text is a poor one.
# - A. Fan and others, [Hierarchical Neural Story Generation](https://arxiv.org/abs/1805.04833), 2018: top-k.
# - M. Nguyen and others, [Turning Up the Heat: Min-p Sampling](https://arxiv.org/abs/2407.01082), 2024: min-p.
# - N. Keskar and others, [CTRL](https://arxiv.org/abs/1909.05858), 2019: the repetition penalty.
# - J. Li and others, [A Diversity-Promoting Objective Function](https://arxiv.org/abs/1510.03055), 2016: distinct-n.
# - B. Willard, R. Louf, [Efficient Guided Generation](https://arxiv.org/abs/2307.09702), 2023: masks from automata.
# - transformers 5.23, modules `generation/logits_process` and `generation/utils`; documentation of vLLM, *Reproducibility* and *Batch Invariance*; llama.cpp's default chain of samplers: read 2026-11-27.
