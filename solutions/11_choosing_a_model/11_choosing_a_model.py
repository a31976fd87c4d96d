# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 11_choosing_a_model, title: Choosing a model, minutes: 75, gpu: cpu}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Choosing a model
#
# **Which open model, under which licence, fits this task and card?**
#
# New models come out every week, and most lists of "the best" are old when you read them. A way of choosing stays. First throw out what cannot work, each time with a reason: wrong task,
# too much memory, too short a window, a licence that does not allow it. Only then compare scores, and only as far as scores can tell.
#
# ## Aims
#
# After this lesson you can
#
# 1. **filter** a catalog of open models by memory and window, with a reason for each rejection,
# 2. **decide** from a licence's terms whether a use is granted, and what it asks of you,
# 3. **say** what a benchmark of so many tasks can and cannot tell apart,
# 4. **rank** what is left by a rule that you wrote down before you looked,
# 5. **recognise** a score that depends on the wording of a prompt.
#
# *You need:* lesson 05 (the cache) and a little Python; lessons 07 and 08 help.
#
# **First predict.** The answers come back beside the measured values.

# %% tags=["bootstrap"]

# %%
display(
    predict(
        "l11_p1", "A model uses 3.4 of its 30.5 billion parameters for a token. How large are 4-bit weights?", unit="GB"
    ),
    predict(
        "l11_p2", "Two models solve 119 and 96 of 164 items. In how many of 100 draws of 20 is the first not ahead?"
    ),
)

# %% [markdown]
# ## Four filters, then a score
#
# The task here: an EU company wants a product that reads 24,576 tokens of documents and answers in up to 2,048, on one card of 24 GiB<!-- fact:gpus/rtx-4090/vram_gb -->, with 4-bit weights. `choose` asks four
# questions about each of the 45 models in the course's catalog, and keeps every reason against it.
#
# The second table shows nine of the rejected. A model with one reason against it is worth a second thought: could the texts be shorter, would another card do, is another format enough?

# %%
from lessonlib.facts import catalog
from lessonlib.labs import choosing_a_model as lab

steps = ("task", "memory", "window", "licence", "score")
svg(page.figures.flow(*steps), alt="Five steps: task, memory, window, licence; what is left is compared by score.")
verdicts = lab.choose(lab.Need(card_gib=24, prompt_tokens=24_576, answer_tokens=2_048))
rows = []
for v in (v for v in verdicts if not v.reasons):
    duties = ", ".join(v.duties) or "none"
    sizes = (round(x, 1) for x in (v.weights / 1e9, v.cache / 1e9, v.model.active_params_b))
    rows.append([v.model.name, *sizes, lab.windows(v.model)[0], duties])
header = ["left over", "weights, GB", "cache, GB", "active, 10^9", "native window", "duties besides notices"]
table(rows, header, f"{len(rows)} of {len(verdicts)} models are left")
nine = ["qwen2.5-coder-32b", "phi-4", "nemotron-3-super", "qwen3-coder-next", "granite-34b-code"]
nine += ["olmo-2-13b", "llama-3.3-70b", "llama-4-scout", "mistral-large-2"]
rows = [[v.model.name, "; ".join(v.reasons)] for v in verdicts if v.model.id in nine]
table(rows, ["rejected", "because"], "Nine of the others")

# %% [markdown]
# ## Families at a glance
#
# One row for each family: how large, how much of it works for one token (*active*), how long a native window, how many bytes of 16-bit cache for each further token. Three things to see:
#
# - A name covers a wide range. "Qwen" or "Llama" is no answer to a question about memory or licence.
# - Active parameters can be a tenth of the total, or all of it.
# - A token's cache differs by a factor of over a hundred: 6,144 bytes<!-- fact:models/nemotron-3-nano/kv_bytes_per_token_fp16 --> in Nemotron 3 Nano,
#   819,200 bytes<!-- fact:models/olmo-2-13b/kv_bytes_per_token_fp16 --> in OLMo 2 13B, the smaller of the two.
#
# Below the table, folded: what the source lesson says of each family, and what is right.

# %%
header = ["family", "models", "total, 10^9", "active, 10^9", "native window", "cache, bytes a token", "licences"]
table(lab.families(), header, f"Models of the catalog, as of {catalog.model('qwen3-32b').as_of}")
first = ["S08-001", "S08-002", "S08-005", "S08-008", "S08-009", "S08-011", "S08-015", "S08-017", "S08-018", "S08-019"]
page.claims([*first, "S08-021", "S08-022", "S08-082"], "Qwen, DeepSeek, Llama, Mistral")
second = ["S08-003", "S08-004", "S08-025", "S08-028", "S08-032", "S08-039", "S08-041", "S08-043", "S08-044", "S08-045"]
third = ["S08-046", "S08-047", "S08-048", "S08-049", "S08-050", "S08-051", "S08-065", "S08-069"]
page.claims([*second, *third], "GLM, MiniMax, gpt-oss, Granite, Phi, Nemotron, Gemma, OLMo")

# %% [markdown]
# ## Does it fit?
#
# Take Qwen3-Coder-30B-A3B. Its router sends each token to 8 of 128 experts, so few parameters *work*. But the next token may go to any of them: all must *lie* on the card. Active parameters
# decide speed, total parameters decide memory.
#
# On the card lie weights, one cache for each sequence, and an overhead for the runtime. In the window lie prompt **and** answer. Two traps with units and words: cards are sold in GiB
# (2³⁰ bytes), and "context 128K" on a card may mean an extension that you must switch on, while training covered less.

# %%
from lessonlib.calc import memory
from lessonlib.page.stacks import memory_stacks

m = catalog.model("qwen3-coder-30b-a3b")
read, there = (n * 1e9 * 2 / 1e9 for n in (m.active_params_b, m.total_params_b))
print(f"{m.name} in 16 bits: {there:.1f} GB lie on the card, {read:.1f} GB of them are read for one token")
reveal("l11_p1", lab.stored_bytes(m) / 1e9, unit="GB")
bars, found = [], {v.model.id: v for v in verdicts}
for name in ("qwen3-coder-30b-a3b", "gpt-oss-20b", "gemma-3-27b", "qwen2.5-coder-32b", "mixtral-8x7b", "llama-3.3-70b"):
    budget = memory.Budget(found[name].weights, found[name].cache, 1.5e9)
    bars.append((found[name].model.name, budget, memory.card_bytes(24)))
drawing, words = memory_stacks(bars)
svg(drawing, alt=words, caption="4-bit weights, one sequence of 26,624 tokens, a card of 24 GiB")
sizes = ["S08-024", "S08-037", "S08-038", "S08-042", "S08-052", "S08-053", "S08-054", "S08-055", "S08-056", "S08-057"]
others = ["S08-058", "S08-059", "S08-060", "S08-061", "S08-062", "S08-063", "S08-064", "S08-095", "S08-096", "S08-097"]
page.claims([*sizes, *others, "S08-098", "S08-099"], "Memory")
windows = ["S08-007", "S08-067", "S08-068", "S08-070", "S08-079", "S08-080", "S08-100", "S08-101"]
page.claims(windows, "Windows")

# %% [markdown]
# ### Exercise 1: what is left (10 minutes)
#
# Return two numbers: spare tokens in the **native** window, and spare bytes on one card. What does not fit is negative, and says by how much. Here every weight takes the same `bits_per_weight`
# (formats with scales are lesson 08), and the cache follows the plain formula of lesson 05.
#
# `model` has `total_params`, `active_params`, `layers`, `heads`, `kv_heads`, `head_dim`, `native_window`, `advertised_window`. `need` has `card_gib`, `overhead_bytes`, `bits_per_weight`,
# `bytes_per_value`, `sequences`, and for each sequence `prompt_tokens` and `answer_tokens`.


# %% nbgrader={"grade_id": "l11_e1_headroom", "solution": true}
def headroom(model, need):
    """(spare tokens, spare bytes): a negative number is what is missing."""
    ### BEGIN SOLUTION
    tokens = need["prompt_tokens"] + need["answer_tokens"]
    weights = model["total_params"] * need["bits_per_weight"] / 8
    one_token = 2 * model["layers"] * model["kv_heads"] * model["head_dim"] * need["bytes_per_value"]
    used = weights + one_token * tokens * need["sequences"] + need["overhead_bytes"]
    return model["native_window"] - tokens, need["card_gib"] * 2**30 - used
    ### END SOLUTION


hints("l11_e1")

# %% nbgrader={"grade_id": "l11_e1_check", "grade": true, "points": 1}
check("l11_e1", headroom)

# %% nbgrader={"grade_id": "l11_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: real models, more sequences, and what must change nothing.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l11_e1", headroom, points=2, seed=11101)
### END HIDDEN TESTS

# %% [markdown]
# ## May we? Licences as decisions
#
# "Open" says that you can download the weights. What you may do with them stands in a text beside them, and that text belongs to one model, not to a family. Three kinds:
#
# - **Permissive** (Apache 2.0, MIT): any use; keep the notices when you pass the model on. Apache 2.0 also grants patents in words.
# - **Conditional**: commercial use, with limits and duties. Some look at how large you are, some at where you are, some forbid uses.
# - **Research**: no commercial use without another contract.
#
# The table is data with a source and date for each statement (`lessonlib/facts/licences.yaml`). It is a summary for learning and **no legal advice**: texts change, and yours is the one that
# came with the weights.

# %%
rows = [[x["name"], x["kind"], len(x["models"]), lab.limits(x)] for x in lab.licences()]
table(rows, ["licence", "kind", "models", "limits and duties besides notices"], "Licences of the catalog's models")
users = {
    "university in the EU": dict(commercial=False, domicile="EU", users_at_release=0, users=300, revenue_usd=0),
    "company in the EU": dict(commercial=True, domicile="EU", users_at_release=0, users=2_000, revenue_usd=200_000),
    "platform in the US": dict(commercial=True, domicile="US", users_at_release=9e8, users=1e9, revenue_usd=1e9),
}
rows = []
for name in ("qwen3-32b", "llama-3.3-70b", "llama-4-scout", "mistral-large-2", "kimi-k2.5", "gemma-3-27b"):
    answers = [lab.decide(lab.terms(name), use) for use in users.values()]
    rows.append([catalog.model(name).name, *(", ".join([answer, *duties]) for answer, duties in answers)])
table(rows, ["model", *users], "May they use it?")
terms = ["S08-010", "S08-016", "S08-020", "S08-023", "S08-033", "S08-034", "S08-036", "S08-040"]
page.claims([*terms, "S08-090", "S08-091", "S08-092", "S08-093", "S08-094"], "Licences")

# %% [markdown]
# ### Exercise 2: a licence as code (10 minutes)
#
# Return an answer and a list of duties. `"no"`: not granted (commercial use where `commercial` is false, or a `domicile` in `not_granted_in`). `"ask"`: granted, but `users_at_release` is above
# `ask_above_users_at_release`. Else `"yes"`, with `"show the name"` for **commercial** use if `show_name_always`, or if `users` or `revenue_usd` is above its limit
# (`show_name_above_users`, `show_name_above_revenue_usd`), and with `"follow the use policy"` if there is a `use_policy`.
#
# Above means *more than*; a limit of `None` is no limit; without a yes the list is empty. `terms` is what `lab.terms("kimi-k2.5")` shows, `use` one of the three above.


# %% nbgrader={"grade_id": "l11_e2_decide", "solution": true}
def decide(terms, use):
    """("yes", "ask" or "no", list of duties)."""
    ### BEGIN SOLUTION
    if (use["commercial"] and not terms["commercial"]) or use["domicile"] in terms["not_granted_in"]:
        return "no", []

    def above(value, limit):
        return limit is not None and value > limit

    if above(use["users_at_release"], terms["ask_above_users_at_release"]):
        return "ask", []
    large = above(use["users"], terms["show_name_above_users"])
    large = large or above(use["revenue_usd"], terms["show_name_above_revenue_usd"])
    duties = ["show the name"] if use["commercial"] and (terms["show_name_always"] or large) else []
    return "yes", duties + (["follow the use policy"] if terms["use_policy"] else [])
    ### END SOLUTION


hints("l11_e2")

# %% nbgrader={"grade_id": "l11_e2_check", "grade": true, "points": 1}
check("l11_e2", decide)

# %% nbgrader={"grade_id": "l11_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: made-up licences, and real ones at their limits.
### BEGIN HIDDEN TESTS
score_properties("l11_e2", decide, points=2, seed=11201)
### END HIDDEN TESTS

# %% [markdown]
# ## What a score can tell
#
# HumanEval has 164 tasks, so one run can only score multiples of 1/164: no run prints 94.2 or 79.2. SWE-bench Verified has 500, so its steps are a fifth of a point. Other digits mean an
# average over runs, or a mistake: ask which.
#
# The tasks are a sample of all the tasks one could have written. With a share p solved out of n, the **standard error** is √(p (1 − p) / n). Another sample of tasks would move the score by about
# that much, and in 95 of 100 cases by less than 1.96 of them. The intervals below say so (Wilson's form, which stays inside 0 and 100 percent<!-- plan -->). This counts the luck of the draw only. Whether tasks leaked into training, and how
# answers were asked for, comes on top: gpt-oss-20b stands in the table twice, with two set-ups.

# %%
header = ["model", "benchmark (tasks)", "score", "tasks solved", "95 % interval", "who says so"]
table(lab.score_rows(), header, "Published scores")
for score in ("94.2", "79.2"):
    print(f"{score} on 164 tasks: {lab.solved(score, 164) or 'no whole number of tasks prints like that'}")
coding = ["S08-006", "S08-026", "S08-071", "S08-072", "S08-074", "S08-075", "S08-076", "S08-077", "S08-078", "S08-081"]
page.claims(coding, "HumanEval scores of open models")
agents = ["S08-012", "S08-013", "S08-014", "S08-027", "S08-029", "S08-030", "S08-031", "S08-035", "S08-066", "S08-073"]
page.claims(agents, "SWE-bench and other scores")
paid = ["S08-083", "S08-084", "S08-085", "S08-086", "S08-087", "S08-088", "S08-089"]
page.claims(paid, "Commercial models beside them")

# %% [markdown]
# ### Exercise 3: can two scores be told apart? (8 minutes)
#
# Two models ran a benchmark of `tasks` tasks, separately. Return the 95 percent<!-- plan --> interval of the difference a − b in percentage points, as (low, high): the difference of the shares, and 1.96
# standard errors of that difference to both sides. Each share has its own standard error, √(p (1 − p) / tasks), and independent errors add as squares. If the interval holds 0, the
# scores are not told apart.


# %% nbgrader={"grade_id": "l11_e3_difference", "solution": true}
def difference(solved_a, solved_b, tasks):
    """(low, high) of score a - score b, in percentage points."""
    ### BEGIN SOLUTION
    a, b = solved_a / tasks, solved_b / tasks
    error = ((a * (1 - a) + b * (1 - b)) / tasks) ** 0.5
    return 100 * (a - b - 1.96 * error), 100 * (a - b + 1.96 * error)
    ### END SOLUTION


hints("l11_e3")

# %% nbgrader={"grade_id": "l11_e3_check", "grade": true, "points": 1}
check("l11_e3", difference)

# %% nbgrader={"grade_id": "l11_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other benchmarks, models exchanged, four times the tasks.
### BEGIN HIDDEN TESTS
score_properties("l11_e3", difference, points=2, seed=11301)
### END HIDDEN TESTS

# %%
pairs = [("92.7", "90.2", 164), ("92.7", "88.4", 164), ("92.7", "82.6", 164)]
pairs += [("80.2", "77.8", 500), ("80.2", "75.8", 500), ("80.2", "70.6", 500)]
rows = []
for a, b, tasks in pairs:
    low, high = lab.difference(lab.nearest(a, tasks), lab.nearest(b, tasks), tasks)
    rows.append([f"{a} against {b}", tasks, f"{low:+.1f} to {high:+.1f}", "no" if low <= 0 <= high else "yes"])
table(rows, ["scores", "tasks", "interval of the difference", "told apart?"], "Published scores in pairs")

# %% [markdown]
# Leads that headlines are made of vanish here. 80.2 and 75.8 are even the *same* model, once in its maker's run and once in the benchmark's own.
#
# **Now measured.** The course's four embedded models on a benchmark of our own with 164 items: copy 4, 6, 8 or 10 words, whole answer or nothing. All four face the same items, so we
# can look at pairs: make 2,000 draws of items (with replacement) and count how often the better model is *not* ahead. That is the bootstrap. The table also has bits per byte of held-out text, where
# lower is better.

# %% tags=["nbval-ignore-output"]
from lessonlib import models

items, right, rows = lab.items(), {}, []
for name in ("target", "moe", "mini", "draft"):
    model, tokenizer = models.load(name, device="cpu")
    right[name] = lab.evaluate(model, tokenizer, items)
    low, high = lab.interval(sum(right[name]), len(items))
    size, bits = model.num_parameters(), f"{lab.bits_per_byte(name):.3f}"
    rows.append([name, size, bits, sum(right[name]), f"{low:.1f} to {high:.1f} %"])
table(rows, ["model", "parameters", "bits per byte", f"solved of {len(items)}", "95 % interval"], "Copying words")

counts, pairs = (5, 10, 20, 40, 80, 164), (("target", "moe"), ("moe", "mini"), ("target", "mini"))
fig, ax = page.axes()
flips, told = {}, []
for a, b in pairs:
    flips[a, b] = [100 * lab.behind(right[a], right[b], count) for count in counts]
    ax.plot(counts, flips[a, b], label=f"{a} not ahead of {b}")
    told.append(f"{a} not ahead of {b} in {flips[a, b][2]:.0f} % of draws of 20, {flips[a, b][-1]:.1f} % of 164")
ax.set(xlabel="items drawn", ylabel="draws, %", ylim=(0, None))
ax.legend()
show(fig, alt=f"A ranking flips less, the more items are drawn: {'; '.join(told)}.")
scores = lab.resampled(right["target"], 20)
print(f"target on 20 items: the middle 95 % of draws score {scores[50]:.0f} to {scores[-51]:.0f} %")
reveal("l11_p2", flips["target", "moe"][2], unit="of 100 draws")
assert flips["target", "moe"][2] > 5 > flips["target", "moe"][-1], "20 items must flip, 164 hardly"
assert lab.bits_per_byte("draft") < lab.bits_per_byte("mini") and sum(right["draft"]) < sum(right["mini"])

# %% [markdown]
# Two lessons. With 20 items, `target` is often not ahead of `moe`; with 164 that hardly happens. And the two measures disagree about `draft` and `mini`: `draft` learned to imitate `target` on plain text and
# predicts text better, but its two layers copy fewer lists right. A score measures its own task, so take one that looks like yours.
#
# ### Exercise 4: rank what is left (10 minutes)
#
# Write the rule down before you look at names. **Hard constraints:** `spare_bytes` and `spare_tokens` of 0 or more, `licence` equal to `"yes"`. No score makes up for one of these. **Then** the best
# `solved` of the survivors: everybody not told apart from *that* one counts as equally good, and the fewest `active_params` (the fastest) come first. **Behind them** the others, by `solved`, most
# first, then by fewest `active_params`.
#
# `lab.difference(solved_a, solved_b, tasks)` is exercise 3; all candidates ran the same number of `tasks`. Return names.


# %% nbgrader={"grade_id": "l11_e4_rank", "solution": true}
def rank(candidates):
    """Names of the candidates that pass, best first."""
    ### BEGIN SOLUTION
    alive = [c for c in candidates if c["spare_bytes"] >= 0 and c["spare_tokens"] >= 0 and c["licence"] == "yes"]
    best = max((c["solved"] for c in alive), default=0)
    told = {c["name"]: lab.difference(best, c["solved"], c["tasks"])[0] > 0 for c in alive}
    good = sorted((c for c in alive if not told[c["name"]]), key=lambda c: c["active_params"])
    rest = sorted((c for c in alive if told[c["name"]]), key=lambda c: (-c["solved"], c["active_params"]))
    return [c["name"] for c in good + rest]
    ### END SOLUTION


hints("l11_e4")

# %% nbgrader={"grade_id": "l11_e4_check", "grade": true, "points": 1}
check("l11_e4", rank)

# %% nbgrader={"grade_id": "l11_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: random fields, and strong models that break a constraint.
### BEGIN HIDDEN TESTS
score_properties("l11_e4", rank, points=2, seed=11401)
### END HIDDEN TESTS

# %%
need, field = lab.Need(card_gib=24, prompt_tokens=12_288), []
for name, benchmark, score, *_ in lab.SCORES:
    if benchmark == "HumanEval" and name != "gpt-4o":
        field.append(lab.candidate(catalog.model(name), need, lab.nearest(score, 164), 164))
order, rows = lab.rank(field), []
for c in field:
    place = order.index(c["name"]) + 1 if c["name"] in order else "out"
    rows.append([place, c["name"], round(c["spare_bytes"] / 1e9, 1), c["spare_tokens"], c["licence"], c["solved"]])
header = ["rank", "model", "spare, GB", "spare tokens", "licence", "solved of 164"]
table(sorted(rows, key=lambda row: str(row[0])), header, "HumanEval; 14,336 tokens, 24 GiB, a company in the EU")

# %% [markdown]
# HumanEval alone does not justify the largest one: by this rule an 8B model comes first. If you doubt that (you should: these are short functions, and training sets know them well), the
# answer is a better measure for *your* task, not a finer reading of this one.
#
# ## What breaks it
#
# A benchmark is its items **and** the way they are asked. The same 164 items, with one word of the prompt changed: not `Copy:` but `Repeat:`, or `Say again:`. To a reader the task is the same.

# %% tags=["nbval-ignore-output"]
rows, renamed, words = [], {}, ("Repeat", "Say again")
for name in ("target", "moe", "mini"):
    model, tokenizer = models.load(name, device="cpu")
    renamed[name] = [sum(lab.evaluate(model, tokenizer, lab.items(word))) for word in words]
    rows.append([name, sum(right[name]), *renamed[name]])
header = ["model", "solved with Copy:", *(f"solved with {word}:" for word in words)]
table(rows, header, f"The same {len(items)} items")
assert all(max(now) < 0.6 * sum(right[name]) for name, now in renamed.items()), "another word must hurt all three"
assert renamed["mini"][1] > max(renamed["moe"][1], renamed["target"][1]), "and can turn the ranking around"

# %% [markdown]
# All three lose half of their score or more. With `Repeat:` the order stays; with `Say again:` the smallest model wins. No interval warned of it: intervals know the luck of the draw, not the choice of the prompt. Large models bend less, yet chat templates,
# shown examples and answer formats move their scores by points. Compare numbers from **one** harness with the same prompts, and best of all from yours.
#
# ## Calculator
#
# The four filters over the whole catalog, with a reason for each model. All controls work by keyboard.

# %%
page.ModelPicker()

# %% [markdown]
# ## Quiz

# %%
quiz("11_choosing_a_model")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was measured by `benchmarks/l11_scores.py`, with the same items and function, each model in a fresh process. Scores should agree to an item or two: another processor adds up in another order, and close calls may
# turn. That is one more reason not to read a lead of one item.

# %% tags=["nbval-ignore-output"]
mine = {f"solved_by_{name}": sum(right[name]) for name in right}
mine |= {f"solved_by_{name}_with_another_word": renamed[name][1] for name in renamed}
assert all(0 <= value <= len(items) for value in mine.values())
compare("l11_scores", mine)

# %% [markdown]
# ## We learned
#
# 1. To **filter** by total parameters (never active ones), a cache for each sequence, GiB, and the native window; each rejection has a reason that can be argued about.
# 2. To **decide** from terms: granted or not, ask first or not, which duties. A family's name says nothing.
# 3. To **say** with an interval what n tasks resolve. Steps of 1/164, errors of several points: most headlines are not told apart.
# 4. To **rank** by hard constraints first, score as far as it tells, cost for the ties.
# 5. To **recognise** that a prompt's wording can turn a ranking around, and no interval shows it.
#
# *Next:* the hardware, and which limit you are on.
#
# ## Corrections
#
# All 101 statements of the source lesson's section on model families stand on this page, folded, each with its verdict. The corrections that change a choice:

# %%
useful = ["S08-007", "S08-010", "S08-013", "S08-020", "S08-023", "S08-025", "S08-036", "S08-042", "S08-057"]
corrections([*useful, "S08-065", "S08-079", "S08-092", "S08-099", "S08-100"])

# %% [markdown]
# ## Sources
#
# - Models, claims and licences: the fact base of this course (`lessonlib/facts`), checked 2026-11-23, licences 2026-11-24; each statement about a licence names its source there.
# - M. Chen and others, [Evaluating Large Language Models Trained on Code](https://arxiv.org/abs/2107.03374), 2021: HumanEval, 164 tasks.
# - C. Jimenez and others, [SWE-bench](https://arxiv.org/abs/2310.06770), 2023; the Verified subset of 500 tasks: OpenAI, August 2024.
# - E. Miller, [Adding Error Bars to Evals](https://arxiv.org/abs/2411.00640), 2024: standard errors, pairs, clusters.
# - E. B. Wilson, [Probable Inference](https://doi.org/10.1080/01621459.1927.10502953), 1927: the interval of a share.
# - B. Efron, [Bootstrap Methods](https://doi.org/10.1214/aos/1176344552), 1979: resampling.
# - M. Sclar and others, [Quantifying Language Models' Sensitivity to Spurious Features in Prompt Design](https://arxiv.org/abs/2310.11324), 2023.
