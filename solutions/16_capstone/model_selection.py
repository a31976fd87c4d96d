# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 16_capstone/model_selection, title: Choosing a model for a task, minutes: 75, gpu: cpu, kind: task}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Task: choosing a model
#
# **Which of fifteen open models would you run for this task, on this machine, and could you defend the choice?**
#
# You write `choose(scenario, catalog)`. It is run on three scenarios of the source lesson and on others that you have not seen. Often several answers are good; sometimes none is, and then your
# function has to say so.
#
# ## Aims
#
# After this task you can
#
# 1. **count** what a candidate needs, in bytes and in seconds,
# 2. **name** each constraint that a candidate breaks, with the number that shows it,
# 3. **choose** by a utility that was written down before, and know which other answers are as good,
# 4. **justify** a choice to somebody who pays for it.
#
# *You need:* lessons 05, 11 and 12, and the task vram_budget.

# %% tags=["bootstrap"]

# %% [markdown]
# ## The rules
#
# A candidate is a model, a **precision** (one of its files) and a **context**: the tokens reserved for every user. Five hard constraints; what stands exactly at its limit passes:
#
# - **memory**: weights, a cache for every user at the full context, and 1.5 GB<!-- plan --> of overhead a card are at most what all cards hold (N GiB are N × 2**30 bytes). Cards share evenly.
# - **context**: it holds the *need* (prompt, thinking, answer), and the native window holds it. Advertised windows need an extension and do not count.
# - **licence**: `decide` of lesson 11 says yes, and asks no duty that the scenario refuses.
# - **evidence**: a published score on the scenario's benchmark, high enough. No score, no evidence.
# - **latency**: one user's whole answer comes in time, while all users are served together.
#
# What breaks none counts by its **utility**, a weighted sum of three parts from 0 to 1:
#
# - *quality*: the score, less the precision's loss, divided by 100,
# - *speed*: the share of the allowed time that is left over,
# - *room*: context / need − 1, at most 1.
#
# A utility of at least 0.95 of the best one earns full points. Below that, points shrink with it; a broken constraint earns nothing.
#
# The three tasks below are the source lesson's. Cards, limits, thresholds and weights are this course's choice.

# %%
from lessonlib.labs import model_selection as lab
from lessonlib.labs import model_selection_catalog as data

scenarios = data.lesson_scenarios()
table(data.scenario_rows(scenarios), ["", *(s["name"] for s in scenarios)], "Three tasks of the source lesson")
page.claims(["S12-014", "S12-015"], "Their sizes")
predict("l16_sel_p1", "How many of the 15 models can analyse the contracts?", options=["1", "3", "6", "9"])

# %% [markdown]
# ## The catalog
#
# Sizes, windows and licences come from the fact base, scores from there and from a leaderboard's files (see Sources). Three numbers are planning figures of this task: 4 bits take 2 points off a score, 8 bits half a point, and a *reasoning* model (one that writes out its thoughts first)
# thinks for 8,192 tokens. gpt-oss was released, and scored, in 4 bits: its only file, without a loss.

# %%
from lessonlib.facts import catalog as facts

models, rows = data.catalog(), []
for m in models:
    rows.append([m["name"], data.size_words(m), m["native_context"], m["thinking_tokens"], m["licence"]["name"]])
header = ["model", "GB in 16 / 8 / 4 bits", "native window", "thinks, tokens", "licence"]
table(rows, header, f"{len(models)} models, as of {facts.checked_on()}")
table(data.evidence_rows(), ["score, %", *data.BENCHMARKS], "Published scores, mostly the makers' own")
page.claims(["S12-011"], "One size of the source lesson")
print("One entry, as your functions get it:")
for key, value in data.model_of("qwen3-coder-next").items():
    print(f"  {key}: {value}")

# %% [markdown]
# Of several published scores the lowest counts. HumanEval holds short Python functions, SWE-bench Verified bugs of whole repositories, GPQA science questions that need reasoning, IFEval
# instructions that a program can check, MMLU-Pro knowledge of many subjects.
#
# Two facts change a choice. **R1-Distill-32B has a window of 131,072 tokens**, so length is no reason to reject it for contracts. And a score that nobody published is none: Qwen3-Coder-Next has no
# sourced HumanEval figure, and Yi-Coder-9B no score at all here. (Before you reject a model of your own for that, go and look.)
#
# `decide` of lesson 11 gives a licence's answer, and the duties that come with a yes:

# %%
from lessonlib.labs.choosing_a_model import decide

use = scenarios[1]["use"]
rows = []
for name in ("phi-4", "gemma-3-27b", "llama-3.3-70b", "llama-4-scout", "mistral-large-2"):
    answer, duties = decide(data.model_of(name)["licence"], use)
    rows.append([data.model_of(name)["name"], answer, ", ".join(duties) or "–"])
table(rows, ["model", "answer", "duties"], "The licence of a model, for the contracts' client")

# %% [markdown]
# ## Bytes
#
# What one sequence keeps has up to three parts. Full attention layers keep every token. *Window* layers keep the last `window_tokens` only. *Recurrent* layers keep a state of fixed size. So one
# line bends where its windows are full, and slopes differ by a factor of over ten:

# %%
from lessonlib.calc import cache as kept

fig, ax = page.axes()
said, lengths = [], range(0, 32_769, 256)
for name, mark in (("llama-3.3-70b", "-"), ("gemma-3-27b", "--"), ("yi-coder-9b", "-."), ("qwen3-coder-next", ":")):
    m = data.model_of(name)
    ax.plot(lengths, [lab.cache_bytes(m, n) / 1e9 for n in lengths], mark, label=m["name"])
    for n in (500, 30_000):
        assert lab.cache_bytes(m, n) == kept.cache(facts.model(name), n).total
    said.append(f"{m['name']} {lab.cache_bytes(m, 32_768) / 1e9:.2f} GB")
ax.set(xlabel="tokens", ylabel="GB of one sequence")
ax.legend()
show(fig, alt=f"Caches grow with the text at different slopes. At 32,768 tokens: {', '.join(said)}.")

# %% [markdown]
# ### Exercise 1: bytes of a candidate (8 minutes)
#
# All bytes on all cards together: `files[precision]["bytes"]` of weights; for each user `cache_bytes_per_token` for every token of the context, `window_bytes_per_token` for at most
# `window_tokens` of them, and `state_bytes`; 1,500,000,000 bytes<!-- plan --> of overhead for each card.


# %% nbgrader={"grade_id": "l16_sel_e1_memory", "solution": true}
def memory_bytes(model, precision, users, context, cards):
    """Bytes on all cards together."""
    ### BEGIN SOLUTION
    window = model["window_bytes_per_token"] * min(context, model["window_tokens"])
    cache = model["cache_bytes_per_token"] * context + window + model["state_bytes"]
    return model["files"][precision]["bytes"] + users * cache + cards * 1_500_000_000
    ### END SOLUTION


hints("l16_sel_e1")

# %% nbgrader={"grade_id": "l16_sel_e1_check", "grade": true, "points": 1}
check("l16_sel_e1", memory_bytes)

# %% nbgrader={"grade_id": "l16_sel_e1_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l16_sel_e1", memory_bytes, points=3, seed=1611)
### END HIDDEN TESTS

# %% [markdown]
# ## Seconds
#
# An answer has two phases. **Reading the prompt** of P tokens is bound by compute, counted in FLOPs (multiplications and additions): `flops_per_token` × P, and `flops_per_pair` × P × P / 2, since in
# attention each token looks at all before it. **Writing** takes one step a token, also for thinking, and is bound by memory: each step reads weights and the caches of all users, which count at their
# full length.
#
# A step reads all weights of a dense model. In a mixture of experts one token leaves the share `idle_share` of the `expert_bytes` unread; tokens of several users together leave `idle_share ** users`
# of them, when the router picks evenly (lesson 07). The rates `flops_per_s` and `bytes_per_s` are those of all cards together, at the shares of the data sheet that others have reached.
#
# Is that too simple? The course's full model of a card (lesson 12) looks up the few rows of the embeddings that it needs, adds the work of window layers, and takes the caches at half of the answer:

# %%
from lessonlib.calc import throughput

cases = [("qwen2.5-coder-32b", 1, 20_480), ("gemma-3-4b", 20, 4_096), ("qwen3-coder-next", 12, 40_960)]
shares = dict(format="awq", bandwidth_efficiency=0.8, compute_efficiency=0.76)
card, rows = facts.gpu("h100-sxm"), []
for name, users, prompt in cases:
    setup = dict(users=users, prompt=prompt, answer=1024, benchmark="GPQA", at_least=0, seconds=60, use={})
    s, m = data.scenario("", "", "h100-sxm", 1, **setup), data.model_of(name)
    full = dict(tokens=prompt, answer=1024, **shares)
    one, crowd = (throughput.roofline(facts.model(name), card, batch=n, **full) for n in (1, users))
    first = lab.first_token_s(m, s) / one.prefill_s
    step = lab.step_bytes(m, "4-bit", s) / s["bytes_per_s"] / crowd.decode_s_per_token
    rows.append([m["name"], users, prompt, f"{first:.2f}", f"{step:.2f}"])
    assert 0.9 < first < 1.05 and 1 <= step < 1.3
table(rows, ["model", "users", "prompt", "reading, ours / full", "a step, ours / full"], "One H100, 4 bits")

# %% [markdown]
# Reading agrees; a step is on the safe side.
#
# ### Exercise 2: seconds of an answer (12 minutes)
#
# Seconds from the request to the last token of the answer: one prompt is read, then `thinking_tokens + answer_tokens` steps. `lab.cache_bytes(model, tokens)` is the cache of exercise 1.


# %% nbgrader={"grade_id": "l16_sel_e2_latency", "solution": true}
def latency_s(model, precision, scenario):
    """Seconds until one user's answer is complete, while all users are served."""
    ### BEGIN SOLUTION
    file, users, prompt = model["files"][precision], scenario["users"], scenario["prompt_tokens"]
    work = model["flops_per_token"] * prompt + model["flops_per_pair"] * prompt * prompt / 2
    steps = model["thinking_tokens"] + scenario["answer_tokens"]
    weights = file["bytes"] - file["expert_bytes"] * model["idle_share"] ** users
    caches = users * lab.cache_bytes(model, prompt + steps)
    return work / scenario["flops_per_s"] + steps * (weights + caches) / scenario["bytes_per_s"]
    ### END SOLUTION


hints("l16_sel_e2")

# %% nbgrader={"grade_id": "l16_sel_e2_check", "grade": true, "points": 1}
check("l16_sel_e2", latency_s)

# %% nbgrader={"grade_id": "l16_sel_e2_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
score_properties("l16_sel_e2", latency_s, points=3, seed=1621)
### END HIDDEN TESTS

# %% [markdown]
# ## Constraints
#
# Four of the five compare a number with a limit. The licence is a decision, as `decide` made it above.
#
# ### Exercise 3: what does a candidate break? (12 minutes)
#
# Return the names of all broken constraints, in any order, from `"memory"`, `"context"`, `"licence"`, `"evidence"`, `"latency"`; an empty list when none is. The scenario's fields are `cards`, `vram_gib`,
# `users`, `prompt_tokens`, `answer_tokens`, `benchmark`, `at_least`, `seconds`, `use` (for `decide`, as above), `refuses`, and the two rates. Scores stand in `model["scores"]` under the benchmark's name.


# %% nbgrader={"grade_id": "l16_sel_e3_broken", "solution": true}
def broken(model, precision, context, scenario):
    """Names of the constraints that this candidate breaks."""
    ### BEGIN SOLUTION
    need = scenario["prompt_tokens"] + model["thinking_tokens"] + scenario["answer_tokens"]
    used = memory_bytes(model, precision, scenario["users"], context, scenario["cards"])
    answer, duties = decide(model["licence"], scenario["use"])
    score = model["scores"].get(scenario["benchmark"])
    tests = {
        "memory": used > scenario["cards"] * scenario["vram_gib"] * 2**30,
        "context": context < need or context > model["native_context"],
        "licence": answer != "yes" or any(duty in scenario["refuses"] for duty in duties),
        "evidence": score is None or score < scenario["at_least"],
        "latency": latency_s(model, precision, scenario) > scenario["seconds"],
    }
    return [name for name, fails in tests.items() if fails]
    ### END SOLUTION


hints("l16_sel_e3")

# %% nbgrader={"grade_id": "l16_sel_e3_check", "grade": true, "points": 1}
check("l16_sel_e3", broken)

# %% nbgrader={"grade_id": "l16_sel_e3_hidden", "grade": true, "points": 4}
# Hidden tests stand here when your work is graded: a point for each of four properties.
### BEGIN HIDDEN TESTS
score_properties("l16_sel_e3", broken, points=4, seed=1631)
### END HIDDEN TESTS

# %% [markdown]
# ## Utility
#
# Two candidates for the refactoring show what the parts trade. The larger model scores higher, but its native window leaves no room beyond the need, and each token takes longer.

# %%
s, rows = scenarios[0], []
for name in ("qwen2.5-coder-32b", "gemma-3-27b"):
    m = data.model_of(name)
    for context in (lab.need(m, s), 2 * lab.need(m, s)):
        if context <= m["native_context"]:
            parts = lab.parts(m, "4-bit", context, s)
            total = lab.utility(m, "4-bit", context, s)
            rows.append([m["name"], context, *(f"{parts[p]:.3f}" for p in s["weights"]), f"{total:.3f}"])
header = ["in 4 bits", "context", *(f"{w:g} × {part}" for part, w in s["weights"].items()), "utility"]
table(rows, header, "Refactoring")

# %% [markdown]
# ### Exercise 4: choose (15 minutes)
#
# Return `lab.Choice(model, precision, context, reasons)`: name, precision and context of a candidate that breaks nothing, of the highest utility. Where no candidate is left, the first three are
# `None`. `reasons` is a dict: for every model that cannot be used at all, its name and the list of what it breaks with its **smallest file** (fewest bytes) and the context it **needs**. A larger file or
# context would only break more.
#
# From the lab: `need(model, scenario)`; `contexts(model, scenario)`, the five contexts to compare, from the need to twice the need; `utility(model, precision, context, scenario)`.


# %% nbgrader={"grade_id": "l16_sel_e4_choose", "solution": true}
def choose(scenario, catalog):
    """The best candidate, and the reasons against every model that cannot be used."""
    ### BEGIN SOLUTION
    options, reasons = [], {}
    for m in catalog:
        smallest = min(m["files"], key=lambda precision: m["files"][precision]["bytes"])
        against = broken(m, smallest, lab.need(m, scenario), scenario)
        if against:
            reasons[m["name"]] = against
        for precision in m["files"]:
            for context in lab.contexts(m, scenario):
                if not broken(m, precision, context, scenario):
                    options.append((lab.utility(m, precision, context, scenario), m["name"], precision, context))
    if not options:
        return lab.Choice(None, None, None, reasons)
    best = max(options)
    return lab.Choice(best[1], best[2], best[3], reasons)
    ### END SOLUTION


hints("l16_sel_e4")

# %% nbgrader={"grade_id": "l16_sel_e4_check", "grade": true, "points": 2}
check("l16_sel_e4", choose)

# %% nbgrader={"grade_id": "l16_sel_e4_hidden", "grade": true, "points": 5}
# Hidden tests stand here when your work is graded: a point for each of five properties of the hard part.
### BEGIN HIDDEN TESTS
score_properties("l16_sel_e4", choose, points=5, seed=1641)
### END HIDDEN TESTS

# %% nbgrader={"grade_id": "l16_sel_e4_utility", "grade": true, "points": 4}
# And here the soft part: what your choices are worth in six scenarios that nobody has seen.
### BEGIN HIDDEN TESTS
from lessonlib.checks.model_selection import score_utility

score_utility(choose, points=4, seed=1642)
### END HIDDEN TESTS

# %% [markdown]
# ### Scenarios of your own
#
# Put your login here and get three that your neighbour does not have. Your instructor gets the same ones from your login. Does anything fit the third? `choose(mine[2], models)` tells, and
# `lab.judge("name", "4-bit", 8192, mine[2], models)` says what any other choice would be worth, and why.

# %%
WHO = "your login"

mine = data.drawn(WHO)
table(data.scenario_rows(mine), ["", *(s["name"] for s in mine)], f"Drawn for {WHO}")

# %% [markdown]
# ### Written part: defend a choice (10 minutes, 4 points, graded by hand)
#
# Your client has to read contracts (the second scenario) and owns the two cards. In five or six sentences: what should they run, and why? One point each:
#
# | point | for |
# |---|---|
# | the choice | model, precision and context, with memory and seconds against their limits |
# | the others | one that also fits and why it is worth less, one that is rejected, each with its constraint and number |
# | the licence | what it allows this client, and what it asks |
# | doubt | what the evidence does not show, and a test on the client's own contracts that could change your mind |

# %% [markdown] nbgrader={"grade_id": "l16_sel_why", "grade": true, "solution": true, "points": 4}
# **Your answer:**
#
# ### BEGIN SOLUTION
# **A sample that gets 4 of 4.** Run gpt-oss-20b in the 4 bits it was released in, with a context of 108,544 tokens<!-- cell -->. It takes 19.43 GB<!-- cell --> of 68.72 GB<!-- cell --> and answers in 31.8 s<!-- cell --> of the
# 300 allowed (choice). R1-Distill-32B fits too, since its window holds 131,072 tokens, but it takes 209.8 s<!-- cell --> and scores 62.1 on GPQA against 71.5; Llama 3.3 70B would need 75.65 GB<!-- cell --> and is out
# (others). Apache 2.0 allows commercial use in the EU and asks to keep its notices (licence). GPQA asks about science, not contracts, the figure is the maker's own, and how long the model thinks is our guess: I would let
# both models mark fifty of your contracts that a lawyer has marked before, and change my mind if R1 finds clearly more (doubt).
#
# **A sample that gets 2 of 4.** gpt-oss-20b in 4 bits with 108,544 tokens, 19.43 GB<!-- cell --> and 31.8 s<!-- cell -->, because it has the best GPQA score of those that fit. It is Apache 2.0, so commercial use is fine and the
# notices stay. The other models are too big or too weak. *Marking: choice and licence. "Too big or too weak" names no model, constraint or number, and nothing is in doubt.*
#
# **A sample that gets 0 of 4.** Llama 3.3 70B is the best open model, and in 4 bits it has about 40 billion bytes, so it fits on two cards. R1 has only 32K of context and cannot read contracts. *Marking: the choice breaks
# memory once the cache is counted; the reason against R1 is a wrong fact; no licence, no doubt.*
#
# *Marking, for all: a defensible other choice (a utility near the best, or a stated reason to weigh differently) gets the first point too. Half points for a right statement without its number.*
# ### END SOLUTION

# %% [markdown]
# ## What breaks it
#
# Eight slips, each on a 4-bit file where it turns the verdict around. The first four are figures that the source lesson uses.

# %%
rows = []
for slip in lab.slips():
    assert (slip.right == "fits") != (slip.wrong == "fits")
    rows.append([slip.name, slip.model, slip.where, slip.right, slip.wrong])
table(rows, ["slip", "model", "task", "right", "with the slip"], "Verdicts turned around")

# %% [markdown]
# ## Calculator
#
# Which requirement decides? Move one and watch who is thrown out. All controls work by keyboard.

# %%
page.SelectionExplorer("wiki bot", users=6, prompt_tokens=2048)

# %% [markdown]
# ## Yours beside the reference
#
# The reference compares every file of every model at five contexts. Open it when your own `choose` runs: the candidates that fit, and how many points each would earn.

# %%
parts, fitting = [], {}
for s in scenarios:
    best = {}
    for value, name, precision, context in lab.options(s, models):
        best.setdefault((name, precision), [name, precision, context, f"{value:.3f}"])
    rows = [[*row, f"{lab.judge(*row[:3], s, models).score:.2f}"] for row in best.values()]
    fitting[s["name"]] = {name for name, _ in best}
    parts.append(page.theme.table_html(rows, ["model", "precision", "context", "utility", "score"], s["name"]))
    rows = [[row[0], row[-1]] for row in lab.candidate_rows(s, models) if row[-1] != "fits"]
    parts.append(page.theme.table_html(rows, ["rejected", "because, with its smallest file"]))
page.theme.emit(page.theme.fold("Show the reference answer", "".join(parts)), "[the reference answer, folded away]")
reveal("l16_sel_p1", f"{len(fitting['contracts'])} of {len(models)}")
s, rows = scenarios[1], []
for row in lab.candidate_rows(s, models):
    if row[0] in fitting[s["name"]] or row[0].startswith(("Llama 3.3", "Qwen2.5")):
        rows.append([row[0], row[2], f"{row[3]:.2f} of {data.room_bytes(s) / 1e9:.2f} GB", f"{row[4]:.1f} s", row[5]])
margin = page.theme.table_html(rows, ["smallest file of", "need, tokens", "memory", "an answer", "verdict"], s["name"])
folded = page.theme.fold("Show numbers for the written part", margin)
page.theme.emit(folded, "[numbers for the written part, folded away]")

# %% [markdown]
# ## We learned
#
# 1. To **count**: caches for all users at the reserved context, thinking included; prompts by compute, steps by memory.
# 2. To **name** what is broken, by the smallest file: a reason with a number can be argued about, and sometimes bought away.
# 3. To **choose** by a utility written down before: several answers are as good, and "nothing fits" is an answer.
# 4. To **justify**: the evidence is about other tasks than yours, so say what you would measure.
#
# ## Corrections

# %%
corrections(["S12-012", "S12-013", "S12-020"])

# %% [markdown]
# *Hand in:* nbgrader's Submit button; where there is none, save and run `page.hand_in("your name")` in a new cell: it writes one file for your instructor.
#
# *Next:* a deployment plan, where several such models share a server through the day.
#
# ## Sources
#
# - Models, licences, cards, and scores with their claims: the fact base of this course (`lessonlib/facts`), checked 2026-11-23, licences 2026-11-24.
# - Other scores: data files of llm-leaderboard at commit 24a9ccf7 (2025-10-16), read 2026-11-27, which quote the makers' own reports.
# - S. Williams and others, [Roofline](https://doi.org/10.1145/1498765.1498785), 2009: bound by compute, or by memory.
# - J. Zhou and others, [Instruction-Following Evaluation](https://arxiv.org/abs/2311.07911), 2023: IFEval.
# - D. Rein and others, [GPQA](https://arxiv.org/abs/2311.12022), 2023. Y. Wang and others, [MMLU-Pro](https://arxiv.org/abs/2406.01574), 2024.
# - DeepSeek-AI, [DeepSeek-R1](https://arxiv.org/abs/2501.12948), 2025: the distilled models.
