# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 04_tokens_and_context, title: Tokens and context, minutes: 60, gpu: none}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Tokens and context
#
# **What does the model really read, and how much of it fits?**
#
# A model never sees letters. A *tokenizer* cuts a text into pieces from a fixed list, its *vocabulary*, and hands over their numbers. Price, speed, memory and the question whether a
# document fits are all counted in these pieces, the *tokens*. So it pays to know how the cut is made, how to guess its size without fooling yourself, and what becomes of text that does not fit.
#
# ## Aims
#
# After this lesson you can
#
# 1. **build** a vocabulary by byte-pair merges and encode a word with it, as the libraries do,
# 2. **say** why a token count means nothing without the name of its tokenizer,
# 3. **estimate** the tokens of a document from samples, with an honest error,
# 4. **budget** a context window: what it holds natively, the reserve for the answer, and which messages go,
# 5. **show** by measurement what a model loses when text falls out of the window, and when a text outgrows its training.
#
# *You need:* lesson 00 and a little Python. PyTorch stays in the background.
#
# **First predict.** Your guesses stay on your machine, count for nothing, and come back beside the measured values.

# %% tags=["bootstrap"]

# %%
display(
    predict("l04_p1", "How many tokens is `Supercalifragilistic` for this course's own models?", unit="tokens"),
    predict("l04_p2", "A dragon's name stands in the first sentence of a story. How many times less likely does "
            "the model find that name at the end, once the sentence no longer fits?", unit="times"),
)  # fmt: skip

# %% [markdown]
# ## Text goes in as numbers
#
# Below, three tokenizers read the same two lines: that of this course's models and two of Mistral's, SentencePiece (the kind that Llama 1 and 2 used) and Tekken. Each box is one token, `␣` is
# a blank. They are opened one after another: the largest takes more memory than all the course's models.
#
# Where do the pieces come from? Most of today's vocabularies are made by *byte-pair encoding* (BPE): start with single characters, count which two neighbours occur together most often inside words,
# make that pair one piece, and repeat. The second cell does it on eight words. `no` wins first: it stands in all of them.

# %%
from lessonlib.labs import tokens_and_context as lab
from lessonlib.labs import tokens_and_context_readers as readers

texts = lab.texts
found, missing = readers.survey([*texts.EXAMPLES, *texts.SAMPLES.values()])
if missing:
    print("\n".join(missing))
different = [reading for reading in found if not reading.name.endswith("by tiktoken")]  # that one reads the same
lines = [(r.name, r.pieces[line]) for line in texts.EXAMPLES[1:3] for r in different]
said = "; ".join(f"{name}: {len(pieces)} tokens" for name, pieces in lines)
svg(readers.boxes(lines), alt=f"Two lines cut into tokens, {texts.EXAMPLES[1]} and {texts.EXAMPLES[2]}. {said}.")
reveal("l04_p1", found[0].count("Supercalifragilistic"), unit="tokens")

# %%
text = "no snow now know snow no now snow"
words, learned, rows = lab.words(text), [], []
for number in range(1, 5):
    counts = lab.pair_counts(words).most_common(3)
    [pair], words = lab.learn(words, 1)
    learned.append(pair)
    seen = ", ".join(f"{a}+{b}: {n}" for (a, b), n in counts)
    rows.append([number, seen, "".join(pair), ", ".join(f"{' '.join(w)} ({n})" for w, n in words.items())])
table(rows, ["merge", "most frequent pairs", "new piece", "words after it (how often)"], f"Byte-pair encoding of: {text}")
assert learned == lab.library_merges(text, 4)
print("The trainer of the tokenizers library learns the same four merges from this text.")

# %% [markdown]
# ### Exercise 1: one merge (10 minutes)
#
# `words` maps the pieces of each word to how often the word occurs, for example `{("s", "n", "o", "w"): 3, ("n", "o"): 2}`. Find the most frequent pair of neighbours and return it together with the words after the merge:
# `(("n", "o"), {("s", "no", "w"): 3, ("no",): 2})`. (Checks use words with one clear winner. One check trains a vocabulary with your function and compares it with the library's.)


# %% nbgrader={"grade_id": "l04_e1_merge", "solution": true}
def merge_once(words):
    """(the most frequent pair, the words with that pair made one piece)."""
    ### BEGIN SOLUTION
    counts = {}
    for pieces, count in words.items():
        for pair in zip(pieces, pieces[1:]):
            counts[pair] = counts.get(pair, 0) + count
    best = max(counts, key=counts.get)
    merged = {}
    for pieces, count in words.items():
        made, i = [], 0
        while i < len(pieces):
            width = 2 if pieces[i : i + 2] == best else 1
            made.append("".join(pieces[i : i + width]))
            i += width
        merged[tuple(made)] = count
    return best, merged
    ### END SOLUTION


hints("l04_e1")

# %% nbgrader={"grade_id": "l04_e1_check", "grade": true, "points": 1}
check("l04_e1", merge_once)

# %% nbgrader={"grade_id": "l04_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other words, runs of one letter, five merges beside the library's.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l04_e1", merge_once, points=2, seed=4101)
### END HIDDEN TESTS

# %% [markdown]
# ## A vocabulary is a list of merges, in order
#
# Training happens once. What stays is the list of merges, and the place of a merge in it is its *rank*. To encode a word, replay the list: of all neighbouring pairs that have a rank, the lowest goes first.
#
# Real vocabularies start from the 256 *bytes* instead of characters, so that no text is ever unknown; and they first cut a text into words, numbers and signs, since merges never cross such a border. Here is
# one word through the real list of this course's models; then every sample text, Japanese included, encoded by hand and compared with two libraries.

# %%
ranks = lab.merge_ranks("target")
steps = lab.steps(" fibonacci", ranks)
rows = [[done, " · ".join(piece.replace(" ", "␣") for piece in pieces)] for done, pieces in enumerate(steps)]
table(rows, ["merges done", "pieces"], f"' fibonacci' with the {len(ranks):,} merges of this course's models")
for text in (*texts.EXAMPLES, *texts.SAMPLES.values()):
    by_hand = [readers.shown(piece) for piece in lab.encode_text(text, ranks)]
    assert by_hand == found[0].pieces[text] == found[1].pieces[text], text
count = sum(found[0].count(text) for text in texts.SAMPLES.values())
print(f"{len(texts.SAMPLES)} sample texts, {count:,} tokens: the same pieces by hand, by tokenizers and by tiktoken.")

# %% [markdown]
# ### Exercise 2: encode a word (10 minutes)
#
# `ranks` maps a pair to its rank, for example `{("n", "o"): 0, ("no", "w"): 1}`; `word` is a string. Start from its characters and return the list of pieces. When the lowest rank stands in several places, the
# leftmost goes first. The check uses made-up merges, then the real list.


# %% nbgrader={"grade_id": "l04_e2_encode", "solution": true}
def encode(word, ranks):
    """The pieces of `word` when merges are replayed by rank."""
    ### BEGIN SOLUTION
    pieces = list(word)
    while True:
        places = [i for i in range(len(pieces) - 1) if (pieces[i], pieces[i + 1]) in ranks]
        if not places:
            return pieces
        i = min(places, key=lambda i: ranks[pieces[i], pieces[i + 1]])
        pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
    ### END SOLUTION


hints("l04_e2")

# %% nbgrader={"grade_id": "l04_e2_check", "grade": true, "points": 1}
check("l04_e2", encode)

# %% nbgrader={"grade_id": "l04_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other merges and words, words of a story beside the real tokenizer.
### BEGIN HIDDEN TESTS
score_properties("l04_e2", encode, points=2, seed=4201)
### END HIDDEN TESTS

# %% [markdown]
# ## One text, many counts
#
# Another training text and another size make another list of merges, and other rules cut numbers differently: up to three digits at a time (cl100k, o200k, Llama 3) or each digit alone (Mistral, this course). The source lesson gives counts for four examples as if one
# tokenizer had made them. Here is what tokenizers really say: some run on this machine, the others were measured for the fact base. OpenAI's two run here as well where tiktoken already has their files.

# %% tags=["nbval-ignore-output"]
from lessonlib.facts import catalog

openai, absent = readers.survey(texts.EXAMPLES, readers.OPENAI_READERS)
set_of_four, elsewhere = catalog.claim("S04-005"), readers.counts_in_facts()
here = {r.name: tuple(r.count(line) for line in texts.EXAMPLES) for r in [*found, *openai]}
rows = [[r.name, r.vocabulary, *here[r.name], "here"] for r in [*found, *openai]]
rows += [[name, None, *counts, "facts"] for name, counts in elsewhere.items()]
header = ["tokenizer", "vocabulary", *(f"`{line}`" for line in texts.EXAMPLES), "measured"]
table(rows, header, f"Tokens, without begin and end markers (facts: the fact base, {set_of_four.as_of})")
print("\n".join(absent))
assert not any("/".join(map(str, row[2:6])) == set_of_four.seed_value for row in rows)
known = {"Mistral v3, SentencePiece": "Mistral v1-v7", "Mistral Tekken 240911": "Tekken"}
known |= {"OpenAI cl100k_base": "cl100k", "OpenAI o200k_base": "o200k"}
assert all(here[name] == elsewhere[known[name]] for name in here if name in known), "run here and fact base disagree"
page.claims(["S04-001", "S04-002", "S04-004"], "What the source lesson says of single examples")

# %% [markdown]
# ## How many tokens is my text?
#
# The usual rules: 4 characters are a token (3 in code), a token is three quarters of a word. They are averages over English prose, and nobody tells you how far off they are for *your* text. So measure: how many characters one
# token covers, for six kinds of text, and how far the rule of four misses each count (minus: the rule promises too few tokens).

# %%
from lessonlib.calc import context, tokens

fig, ax = page.axes(size=(7.2, 4.6))
readers.draw_coverage(ax, different, tokens.CHARACTERS_PER_TOKEN)
covered = {kind: [r.characters_per_token(text) for r in different] for kind, text in texts.SAMPLES.items()}
spans = "; ".join(f"{kind} {min(values):.1f} to {max(values):.1f}" for kind, values in covered.items())
show(fig, alt=f"Characters that one token covers, least and most of the tokenizers: {spans}.")
rows = []
for kind, text in texts.SAMPLES.items():
    guess, counted = tokens.rule_of_thumb(text), [r.count(text) for r in different]
    rows.append([kind, guess, *(f"{n:,} ({tokens.relative_error(guess, n):+.0%})" for n in counted)])
table(rows, ["text", "characters / 4", *(r.name for r in different)], "Tokens by the rule and by count (error of the rule)")
spaced = ("English prose", "German prose", "Python")
lengths = [len(texts.SAMPLES[kind].split()) for kind in spaced]
rows = [[r.name, *(r.count(texts.SAMPLES[k]) / n for k, n in zip(spaced, lengths))] for r in different]
table(rows, ["tokens for one word", *spaced])
page.claims(["S04-007", "S04-008"], "The rules of thumb")

# %% [markdown]
# Digits, symbols and scripts that the vocabulary saw little of cost most: a Japanese character can take three tokens, one for each of its bytes. So a rule of thumb is a first guess; a few samples of *your own* texts, counted once, are
# a measurement, and their spread is its error.
#
# ### Exercise 3: an honest estimate, and a decision (8 minutes)
#
# `samples` are pairs (characters, tokens) of texts like yours, `characters` the size of the documents, `answer` the tokens that the answer may take, `window` the native window. Return `(low, high, verdict)`: the documents' tokens by the smallest
# rate of the samples (rounded down) and by the largest (rounded up), and `"fits"` when it fits even at the high end, `"too long"` when it does not even at the low end, else `"count first"`.


# %% nbgrader={"grade_id": "l04_e3_plan", "solution": true}
def plan(samples, characters, answer, window):
    """(low, high, verdict) for documents of so many characters and an answer in one window."""
    ### BEGIN SOLUTION
    low = min(characters * counted // size for size, counted in samples)
    high = max(-(-characters * counted // size) for size, counted in samples)  # rounds up
    if high + answer <= window:
        return low, high, "fits"
    return low, high, "too long" if low + answer > window else "count first"
    ### END SOLUTION


hints("l04_e3")

# %% nbgrader={"grade_id": "l04_e3_check", "grade": true, "points": 1}
check("l04_e3", plan)

# %% nbgrader={"grade_id": "l04_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other samples, requests that fill the window exactly.
### BEGIN HIDDEN TESTS
score_properties("l04_e3", plan, points=2, seed=4301)
### END HIDDEN TESTS

# %% [markdown]
# ## The window and its budget
#
# The *context window* is the most tokens a model takes at once, and **everything** shares it: instructions, tools, conversation, documents, question, and the answer while it is written. Two sizes are easily mixed up: the *native* one, on which
# the model was trained, and a longer one that a changed configuration allows (YaRN, lesson 13). Round figures in announcements are often not the real ones.
#
# The last two columns turn tokens into English words: by the rule, and at the rate measured above. The second table is a budget with made-up parts.

# %%
reading = found[-1]
rate = len(texts.ENGLISH.split()) / reading.count(texts.ENGLISH)
names = ("olmo-2-7b", "qwen2.5-coder-32b", "llama-3.3-70b", "qwen3-coder-next")
sizes = [(m.name, m.get("native_context") or m.max_context, m.max_context) for m in map(catalog.model, names)]
sold = [m for m in catalog.table("models")["commercial_models"] if m["context"]]
sizes += [("mini, of this course", *lab.windows("mini")), *((m["name"], m["context"], m["context"]) for m in sold)]
rows = []
for name, native, longest in sorted(sizes, key=lambda size: size[1]):
    words = tokens.words_that_fit(native), round(native * rate)
    rows.append([name, native, longest if longest > native else None, *words])
header = ["model", "native window", "allowed", "words, at 0.75 a token", f"words, at {rate:.2f} ({reading.name})"]
table(rows, header, f"Context windows in tokens, as of {catalog.checked_on()}")
parts = {"instructions": 700, "documents": 4700, "question": 300}
budget = context.budget(131_072, parts, reserve=1000)
rows = [[name, n, f"{100 * n / budget.window:.2f} %"] for name, n in budget.breakdown.items()]
for name, n in (("used", budget.used), ("headroom", budget.headroom)):
    rows.append([name, n, f"{100 * n / budget.window:.2f} %"])
table(rows, ["part", "tokens", "of the window"], f"A request in a window of {budget.window:,} tokens")
right = ["S04-010", "S04-011", "S04-012", "S04-013", "S04-014", "S04-015", "S04-016", "S04-017", "S04-018", "S04-021"]
page.claims([*right, "S04-024", "S04-025", "S04-026", "S04-027"], "Windows, words and budget in the source lesson")

# %% [markdown]
# ### Exercise 4: which messages stay (9 minutes)
#
# A chat outgrows its window, and the server drops the oldest messages. `messages` are their sizes in tokens, oldest first; `fixed` is always there (instructions, tools); `reserve` is kept free for the answer. Return `(kept, headroom)`: the positions
# of the messages that stay, oldest first, an unbroken run up to the newest, as many as fit; and the tokens still free beside all that. Nothing may fit: then `kept` is empty.


# %% nbgrader={"grade_id": "l04_e4_history", "solution": true}
def newest_that_fit(window, fixed, reserve, messages):
    """(positions of the messages that stay, tokens left)."""
    ### BEGIN SOLUTION
    room = window - fixed - reserve
    kept = []
    for position in reversed(range(len(messages))):
        if messages[position] > room:
            break
        kept.insert(0, position)
        room -= messages[position]
    return kept, room
    ### END SOLUTION


hints("l04_e4")

# %% nbgrader={"grade_id": "l04_e4_check", "grade": true, "points": 1}
check("l04_e4", newest_that_fit)

# %% nbgrader={"grade_id": "l04_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other conversations, windows that are filled exactly.
### BEGIN HIDDEN TESTS
score_properties("l04_e4", newest_that_fit, points=2, seed=4401)
### END HIDDEN TESTS

# %% [markdown]
# ## Over the edge
#
# What does a model know of text that was dropped? A story begins: *Once upon a time there was a little dragon named Pip.* At the end a boy asks for the name, and the dragon says: *My name is*. We measure the probability that `target`, the course's
# main model, goes on with the right name, while more and more sentences come between: once with the whole text, once with only its last tokens, as after a cut. Four names that are unusual in stories, and their mean: what the model does
# not read here, it can only guess.

# %% tags=["nbval-ignore-output"]
import torch
from lessonlib import models

target, tokenizer = models.load("target", dtype=torch.float32)
recalls = lab.recall(target, tokenizer, lab.KEEP)
rows = [[r.tokens, f"{r.whole:.4f}", f"{r.cut:.4f}", r.whole / r.cut] for r in recalls]
header = ["tokens of the story", "whole text", f"last {lab.KEEP} tokens", "times as likely"]
table(rows, header, f"Probability of the right name, mean over {', '.join(texts.NAMES)}")
fig, ax = page.axes()
ax.plot([r.tokens for r in recalls], [r.whole for r in recalls], label="whole text")
ax.plot([r.tokens for r in recalls], [r.cut for r in recalls], linestyle="--", label=f"last {lab.KEEP} tokens")
ax.axvline(lab.KEEP, color="#717581", linestyle=":", label="the cut begins")
ax.set(xlabel="tokens of the story", ylabel="probability of the name", yscale="log")
ax.legend()
last = recalls[-1]
show(fig, alt=f"Both lines agree up to {lab.KEEP} tokens. Then the cut text falls at once, to {last.cut:.4f} in the end; "
     f"the whole text sinks slowly, to {last.whole:.2f}.")  # fmt: skip
reveal("l04_p2", last.whole / last.cut, unit="times")
assert all(r.whole > 10 * r.cut for r in recalls if r.tokens > lab.KEEP + 30), "the cut must cost most of the chance"

# %% [markdown]
# Until the cut begins both lines are one. Then the name is gone at once: nothing of a dropped token is left, in no corner of the model. The whole text sinks as well, slowly: small models use far text badly even *inside* the window. (They fail a harder
# test completely: the card of `target` tells of a five-digit number, never right even from 64 tokens back.) A large window says what may be read, not how well it is used.
#
# ## What breaks it
#
# A configuration allows more than the training saw. `mini` accepts twice its training window, and not even that is enforced. So: the same three stories, scored after longer and longer texts (other stories, always ending where a new one begins). What
# changes is only how much stands before them. The last column cuts what stands before to 384 tokens, as a server with a smaller window would.

# %% tags=["nbval-ignore-output"]
del target  # makes room for the next one
mini, _ = models.load("mini", dtype=torch.float32)
trained, allowed = lab.windows("mini")
losses = lab.loss_after(mini, tokenizer, lab.LENGTHS)
cut = lab.loss_after(mini, tokenizer, lab.LENGTHS, keep=384)
rows = [[n, f"{losses[n]:.3f}", f"{cut[n]:.3f}"] for n in lab.LENGTHS]
header = ["tokens before the story", "bits a token, all kept", "bits a token, last 384 kept"]
table(rows, header, "mini: loss of the same stories")
fig, ax = page.axes()
ax.plot(lab.LENGTHS, list(losses.values()), label="all kept")
ax.plot(lab.LENGTHS, list(cut.values()), linestyle="--", label="last 384 kept")
for place, name, style in ((trained, "trained", ":"), (allowed, "allowed", "-.")):
    ax.axvline(place, color="#717581", linestyle=style, label=f"{name}: {place:,}", marker="")
ax.set(xlabel="tokens before the story", ylabel="bits a token (lower is better)")
ax.legend()
rise = f"flat at {losses[0]:.1f} bits up to {trained} tokens, then {losses[1024]:.1f} at 1,024 and {losses[1536]:.1f} at 1,536"
show(fig, alt=f"The loss is {rise}. With only 384 tokens kept it stays at {cut[1536]:.1f}.")
assert losses[512] < losses[0] + 0.4 and losses[1024] > losses[512] + 0.5 and cut[1536] < losses[0] + 0.2

# %% [markdown]
# No error, no warning: just worse predictions, and the beginning of the trouble is the *training* window, not the allowed one. Reading less is better here than reading all. Larger models are trained on longer windows and then stretched (lesson 13), but
# the question stays the same: how long were the texts it learned from?
#
# ## Calculator
#
# Count a text of your own with this course's tokenizer; then budget a window with your own numbers. All controls work by keyboard: Tab moves, arrows and typing change values.

# %%
own = readers.open_reader("embedded")
counter = page.TokenCalculator(tokenizers={"this course's tokenizer": lambda text: len(own.ids(text))})
display(counter, page.ContextCalculator(window=32_768))

# %% [markdown]
# ## Quiz

# %%
quiz("04_tokens_and_context")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was made by `benchmarks/l04_tokens.py`: the same functions in fresh processes. Counts must agree exactly, probabilities and losses up to rounding. Only the speeds belong to a machine, and all of them are far above what a model reads.

# %% tags=["nbval-ignore-output"]
mine = {name: value for name, (unit, value) in lab.metrics(found, recalls, losses).items()}
assert all(value > 0 for value in mine.values())
compare("l04_tokens", mine)

# %% [markdown]
# ## We learned
#
# 1. To **build** a vocabulary: merge the most frequent pair, again and again; encoding replays these merges by rank.
# 2. To **say** which tokenizer counted: four short lines have as many sets of counts as there are families of tokenizers.
# 3. To **estimate** by samples of our own texts, with low and high, and to count when the two disagree about the decision.
# 4. To **budget** the native window for everything, the answer included, and to drop the oldest messages as an unbroken run.
# 5. To **show** that dropped text is gone, and that text past the training window costs quality without an error.
#
# *Next:* the KV cache, which is what these tokens cost in memory and time.
#
# ## Corrections
#
# What the course's source text has differently, with the measurement or source that decides it. Below it: what the same section says about the cache and about sampling, which other lessons teach.

# %%
corrections(["S04-003", "S04-005", "S04-006", "S04-009", "S04-019", "S04-020", "S04-022", "S04-023"])

# %%
page.claims(["S04-028", "S04-032"], "Taught in lesson 05, the KV cache")
page.claims(["S04-036", "S04-037", "S04-038"], "Taught in lesson 06, sampling")

# %% [markdown]
# ## Sources
#
# - Token counts of other tokenizers, context windows and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - R. Sennrich, B. Haddow, A. Birch, [Neural Machine Translation of Rare Words with Subword Units](https://arxiv.org/abs/1508.07909), 2016: byte-pair encoding of words.
# - T. Kudo, J. Richardson, [SentencePiece](https://arxiv.org/abs/1808.06226), 2018: tokenizers that work on raw text.
# - A. Radford and others, Language Models are Unsupervised Multitask Learners (GPT-2), 2019: merges over bytes.
# - T. Brown and others, [Language Models are Few-Shot Learners](https://arxiv.org/abs/2005.14165), 2020: GPT-3 and its window.
# - N. Liu and others, [Lost in the Middle](https://arxiv.org/abs/2307.03172), 2023: long windows are used unevenly.
# - O. Press and others, [Train Short, Test Long](https://arxiv.org/abs/2108.12409), 2021: what happens past the training length.
# - B. Peng and others, [YaRN](https://arxiv.org/abs/2309.00071), 2023: stretching a window.
# - mistral-common 1.9.1, tiktoken 0.14 and tokenizers 0.23, run here; read 2026-11-24.
