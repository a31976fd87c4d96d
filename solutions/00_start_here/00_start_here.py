# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 00_start_here, title: Start here, minutes: 15, gpu: optional, kind: start}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Start here
#
# **Does my machine work, and how does this course check me?**

# %% tags=["bootstrap"]

# %%
svg(
    page.figures.flow("predict", "run", "write", "check", "go on"),
    alt="The five steps of every lesson, in a row: predict, run, write, check, go on.",
)

# %% [markdown]
# ## Aims
#
# After this lesson you can
#
# 1. **tell** what this machine offers and which model runs on it,
# 2. **write** an answer, check it, and read what a check says,
# 3. **convert** bytes, GB and GiB without mixing them up.
#
# *You need:* a little Python. Press Shift-Enter to run a cell and move to the next.
#
# The table above is about *this* machine. Every lesson starts with it, so that you know where its numbers come from.

# %% [markdown]
# ## Predict
#
# Guess before you measure: a wrong guess that you committed teaches more than a right number that you read.

# %%
predict(
    "l00_p1",
    "Into how many tokens does the model cut 'Once upon a time there was a robot.'?",
    options=["fewer than 8", "8 to 12", "more than 12"],
)

# %%
from lessonlib import models

model, tokenizer = models.load("mini")
text = "Once upon a time there was a robot."
tokens = tokenizer.tokenize(text)
reveal("l00_p1", len(tokens), unit="tokens")
print(" | ".join(token.replace("Ġ", "·") for token in tokens))

# %% [markdown]
# A model reads tokens: pieces of words, here from a vocabulary of 4,096<!-- cell -->. A dot marks a leading space.
#
# `mini` is a real model that came with the course. It was trained on simple stories, and it continues yours:

# %%
card = next(card for card in models.catalogue() if card.name == "mini")
print(f"{card.parameters:,} parameters, {card.bytes:,} bytes, vocabulary of {len(tokenizer):,} tokens")
ids = tokenizer(text, return_tensors="pt").to(model.device)
story = model.generate(**ids, max_new_tokens=40, do_sample=False, pad_token_id=tokenizer.pad_token_id)
print(tokenizer.decode(story[0], skip_special_tokens=True))

# %% [markdown]
# It writes whole sentences, and it knows nothing. You will see inside it in the next lessons.
#
# ## Write and check
#
# An exercise is a cell with a gap. Write your answer in place of `raise NotImplementedError`, run the cell, then run the check under it.
#
# ### Exercise 1: bytes of a tensor (3 minutes)
#
# A tensor of shape (2, 3) holds 2 × 3 numbers. How many bytes does a tensor take, when one number takes `bytes_per_number`?


# %% nbgrader={"grade_id": "l00_e1_bytes", "solution": true}
def tensor_bytes(shape, bytes_per_number):
    """Bytes of a tensor of `shape`, a tuple of sizes; () is a single number."""
    ### BEGIN SOLUTION
    numbers = 1
    for size in shape:
        numbers *= size
    return numbers * bytes_per_number
    ### END SOLUTION


hints("l00_e1")


# %% nbgrader={"grade_id": "l00_e1_check", "grade": true, "points": 1}
check("l00_e1", tensor_bytes)

# %% nbgrader={"grade_id": "l00_e1_hidden", "grade": true, "points": 1}
# Hidden tests stand here when your work is graded: they try other shapes.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l00_e1", tensor_bytes, points=1, seed=1)
### END HIDDEN TESTS

# %% [markdown]
# ## What breaks it
#
# This is what a wrong answer looks like. The function below adds the sizes instead of multiplying them; the check says what it expected, what came, and what the likely reason is.

# %%
from lessonlib.checks import CheckFailed, run_check


def adds_the_sizes(shape, bytes_per_number):
    return sum(shape) * bytes_per_number


try:
    run_check("l00_e1", adds_the_sizes)
except CheckFailed as message:
    print(message)

# %% [markdown]
# ## GB and GiB
#
# Files are counted in GB (1e9 bytes). Memory, and so the memory of a GPU, is counted in GiB (2**30 bytes), although the shop writes GB. A card that is sold with 24 GB<!-- fact:gpus/rtx-4090/vram_gb --> holds more than that:

# %%
from lessonlib.calc import memory, units
from lessonlib.facts import catalog

card = catalog.gpu("rtx 4090")
room = memory.card_bytes(card.vram_gb)
table(
    [[card.name, f"{card.vram_gb} GiB", f"{room:,}", f"{units.gb(room):.2f} GB"]],
    header=["card", "sold as (really GiB)", "bytes", "in GB"],
    caption=f"One card, three ways to write its memory (fact base, {card.as_of})",
)

# %% [markdown]
# ### Exercise 2: does it fit? (4 minutes)
#
# Return `True` when a file of `file_bytes` bytes fits a card of `card_gib` GiB. A file that fills it exactly fits.


# %% nbgrader={"grade_id": "l00_e2_fits", "solution": true}
def fits(file_bytes, card_gib):
    """Whether the file's bytes are at most the card's."""
    ### BEGIN SOLUTION
    return file_bytes <= card_gib * 2**30
    ### END SOLUTION


hints("l00_e2")


# %% nbgrader={"grade_id": "l00_e2_check", "grade": true, "points": 1}
check("l00_e2", fits)

# %% nbgrader={"grade_id": "l00_e2_hidden", "grade": true, "points": 1}
# Hidden tests stand here when your work is graded: they look at the edge of other cards.
### BEGIN HIDDEN TESTS
score_properties("l00_e2", fits, points=1, seed=2)
### END HIDDEN TESTS

# %% [markdown]
# ## Quiz

# %%
quiz("00_start_here")

# %% [markdown]
# ## When something is stuck
#
# | what you see | what to do |
# |---|---|
# | a cell shows `[*]` for long | Kernel > Interrupt, read the cell, run it again |
# | `NameError` | a cell above was not run: Run > Run All Above Selected Cell |
# | a check says *still open* | write the exercise cell **and run it** before the check |
# | the kernel died | memory ran out: shut other kernels down (Running tab), restart this one |
#
# **Handing in.** *Validate* (in the toolbar) runs the visible checks from a fresh start. With an instructor, open *Assignment List* (Nbgrader menu), fetch, work, submit. On Colab or Binder, download
# the notebook and send the file. Hidden tests run when it is graded.
#
# ## We learned
#
# 1. to **tell** what this machine offers: the first table of every lesson,
# 2. to **write** an answer, check it, climb the hints, and read a failing check,
# 3. to **convert** bytes: GB is 1e9, GiB is 2**30, and cards are sold in GiB.
#
# *Next:* lesson 05, the KV cache.
#
# ## Sources
#
# - Card sizes: the fact base of this course, checked 2026-11-23.
# - The model: its card stands beside its weights (`lessonlib/models/weights/mini/README.md`).
