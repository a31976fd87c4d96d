# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 16_capstone/deployment_plan, title: A deployment plan, minutes: 90, gpu: optional, kind: task}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Task: a deployment plan
#
# **How does one server with two cards serve three teams a day, each with a model that needs both cards?**
#
# | workload | hours | accepted models and bits, best first | context | users at once |
# |---|---|---|---|---|
# | coding | 8-12 | Qwen3-Coder-Next in 4, Qwen2.5-Coder-32B in 4, Yi-Coder-9B in 8 | 32,768 tokens | 4 |
# | documents | 13-17 | Llama 3.3 70B in 4, Qwen3-32B in 4, Mistral Small 3.1 in 4 | 16,384 tokens | 2 |
# | reasoning | 18-22 | DeepSeek-R1-Distill-32B in 8 or in 4, Qwen3-14B in 4 | 16,384 tokens | 4 |
#
# Your plan is not read, it is run: on a state machine of vLLM's sleep mode, through days of requests.
#
# ## Aims
#
# After this task you can
#
# 1. **estimate** what a change of model takes: cold, from sleep level 2, from level 1,
# 2. **find** the moment at which a plan breaks GPU memory or host RAM,
# 3. **switch** models by the real HTTP calls, in an order that loses no answer,
# 4. **plan** a day, with fallbacks, for servers that you have not seen.
#
# *You need:* the VRAM budget of this capstone. Lessons 09 and 10, on engines and switching, are planned; what the task takes from them is explained here.

# %% tags=["bootstrap"]

# %% [markdown]
# ## A server that sleeps
#
# One vLLM process serves one model; here we call it an *engine*. In *sleep mode* it gives its GPU memory back and keeps its process. *Level 1* moves the weights to the host's RAM, *level 2* drops
# them; both drop the cache, so a conversation must be read again from its beginning. An embedded model stands behind the next cell's engine. It listens on a real port of this machine; with
# `LESSON_VLLM_URL` set, the same calls go to your own vLLM.

# %% tags=["nbval-ignore-output"]
from lessonlib import learner
from lessonlib.labs import deployment_plan as task
from lessonlib.serving import embedded, front
from lessonlib.serving.sleep_node import Node, complete

models = task.models()
spec = task.engine(models, "qwen3-coder-next", 4, [0, 1], 32_768, 4)
writer = embedded.Writer("draft")
node = Node(task.server())
engine = node.add("coding", complete(spec, models), reply=writer.reply, count=writer.count)
node.step(("coding", "start"), 0)
with front.connected(engine) as vllm:
    print(f"{vllm.transport.where} serves {vllm.model()}")
    print("answer:", "".join(vllm.stream("Tell me a story.", max_tokens=20)))
    statuses = [vllm.sleep(level=1)]
    asleep = vllm.is_sleeping() if statuses == [200] else None
    statuses.append(vllm.wake_up())
    print("sleep, wake_up:", statuses, "and between them is_sleeping:", asleep)
    assert statuses == [200, 200] and asleep or front.real_url()

# %% [markdown]
# Two things make those routes exist: `VLLM_SERVER_DEV_MODE=1` and `--enable-sleep-mode`. They are for the owner alone, never for users. The source lesson has other calls; here are its calls and some
# near misses, each on an engine that is awake, with what the server says and what state it is in afterwards.

# %%
tries = [
    ("POST", "/v1/sleep", {"level": "l1"}), ("POST", "/v1/wake", None), ("POST", "/sleep", {"level": 2}),
    ("POST", "/sleep?level=l1", None), ("GET", "/sleep?level=1", None), ("POST", "/sleep?level=2", None),
]  # fmt: skip
rows = []
for method, target, body in tries:
    status, said = node.step(("coding", method, target, body), node.clock)
    rows.append([f"{method} {target}", body or "–", status, said[:75] or "(empty)", engine.state])
    if engine.state != "awake":
        node.step(("coding", "stop"), node.clock)
        node.step(("coding", "start"), node.clock)
table(rows, ["call", "JSON body", "status", "answer", "state"], "The source lesson's calls, and others")

# %% [markdown]
# `/sleep` reads no body: a level in JSON is ignored, and level 1 is the default.
#
# Waking from level 2 takes three calls: `POST /wake_up?tags=weights`, `POST /collective_rpc` with `{"method": "reload_weights"}`, `POST /wake_up?tags=kv_cache`. And `POST /sleep` *cuts running answers
# off* unless it says `mode=wait`, which finishes them first.
#
# ## The rules
#
# Sizes are in GB (1e9 bytes); cards and RAM of N GiB hold N × 2**30 bytes. An engine on tp GPUs has 1 / tp of the weights on each, the cache of its key-value heads (a copy of one head when tp is
# larger), and `overhead_gb` while awake. Asleep it keeps `asleep_gb` on each of its GPUs. Speeds are GB/s. Every GPU has its own link to RAM (`link_gbs`, each direction), all links work at the same time;
# there is one storage. RAM means what is free for sleeping weights. No engine's context is longer than its
# model's `window`.

# %%
server = task.server()
rows = [[name, value, task.MEANINGS[name]] for name, value in server.items()]
table(rows, ["field", "value", "meaning"], "The server; its times and idle watts are choices of this task")
fields = ["cache_bytes_per_token", "state_bytes", "kv_heads", "window"]
rows = []
for name, m in models.items():
    rows.append([name, *(f"{m['weights_gb'][bits]:.1f}" for bits in task.BITS), *(m[f] for f in fields)])
table(rows, ["model", "GB in 4 bits", "8", "16", *fields], "Models, from the fact base")
print(task.command(spec))

# %%
predict(
    "l16_plan_p1",
    "With level 1 for all three: how many seconds do both switches of the day take together?",
    options=["under 5", "5 to 30", "30 to 100", "over 100"],
)

# %% [markdown]
# ## Seconds
#
# ### Exercise 1: seconds of a switch (8 minutes)
#
# `leaves` is awake and goes to a state, `comes` is in a state and wakes or starts. The states are `"level 1"`, `"level 2"` and `"cold"` (no process). Steps follow each other. A cold engine that comes
# takes `process_start_s`, reads its weights from storage, copies them to its GPUs, and takes `warm_up_s`; a sleeping one takes `wake_s` beside its copies. A process that leaves takes `stop_s`.


# %% nbgrader={"grade_id": "l16_plan_e1_seconds", "solution": true}
def switch_seconds(server, leaves, leaves_to, comes, comes_from):
    """Seconds until `comes` answers, not rounded. Engines are dicts with "weights_gb" and "gpus" (a list)."""
    ### BEGIN SOLUTION
    link = server["link_gbs"]
    down = {"cold": server["stop_s"], "level 1": leaves["weights_gb"] / (link * len(leaves["gpus"])), "level 2": 0}
    up = comes["weights_gb"] / (link * len(comes["gpus"]))
    if comes_from != "level 1":
        up += comes["weights_gb"] / server["storage_gbs"]
    if comes_from == "cold":
        up += server["process_start_s"] + server["warm_up_s"]
    else:
        up += server["wake_s"]
    return down[leaves_to] + up
    ### END SOLUTION


hints("l16_plan_e1")

# %% nbgrader={"grade_id": "l16_plan_e1_check", "grade": true, "points": 1}
check("l16_plan_e1", switch_seconds)

# %% nbgrader={"grade_id": "l16_plan_e1_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l16_plan_e1", switch_seconds, points=3, seed=165)
### END HIDDEN TESTS

# %% [markdown]
# ## Memory
#
# ### Exercise 2: the first moment that does not fit (12 minutes)
#
# A plan passes through *moments*. Each is a dict from engine to state: `"awake"` or one of the three above; engines that it does not name are cold. Between the two halves of a switch there is a moment
# too: both asleep.


# %% nbgrader={"grade_id": "l16_plan_e2_break", "solution": true}
def first_break(server, engines, moments):
    """(number from 0, "GPU 0" or "GPU 1" ... or "RAM") of the first moment that does not fit; None when all fit.

    `engines` is {name: {"weights_gb", "cache_gb", "kv_heads", "gpus"}}. Name the first full GPU; RAM when no GPU is."""
    ### BEGIN SOLUTION
    for number, states in enumerate(moments):
        cards, ram = [0.0] * server["gpus"], 0.0
        for name, state in states.items():
            one = engines[name]
            tp, held = len(one["gpus"]), server["asleep_gb"]
            if state == "awake":
                held = one["weights_gb"] / tp + one["cache_gb"] / min(tp, one["kv_heads"]) + server["overhead_gb"]
            for card in one["gpus"]:
                cards[card] += held if state != "cold" else 0
            ram += one["weights_gb"] if state == "level 1" else 0
        for card, used in enumerate(cards):
            if used * 1e9 > server["vram_gib"] * 2**30:
                return number, f"GPU {card}"
        if ram * 1e9 > server["ram_gib"] * 2**30:
            return number, "RAM"
    return None
    ### END SOLUTION


hints("l16_plan_e2")

# %% nbgrader={"grade_id": "l16_plan_e2_check", "grade": true, "points": 1}
check("l16_plan_e2", first_break)

# %% nbgrader={"grade_id": "l16_plan_e2_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
score_properties("l16_plan_e2", first_break, points=3, seed=166)
### END HIDDEN TESTS

# %% [markdown]
# ## Calls
#
# ### Exercise 3: the calls of a switch (12 minutes)
#
# A *step* is a tuple: `(engine, "start")` and `(engine, "stop")` for its process, `(engine, method, target, body)` for a call; the target is a path with its query, the body `None` or a dict that is sent as
# JSON. Return the list of steps. The two engines never fit into memory together, and an answer may be running: when its engine falls asleep, the answer is finished first.


# %% nbgrader={"grade_id": "l16_plan_e3_calls", "solution": true}
def switch_calls(leaves, leaves_to, comes, comes_from):
    """Steps that bring the awake engine named `leaves` to its new state and make the one named `comes` answer."""
    ### BEGIN SOLUTION
    if leaves_to == "cold":
        down = [(leaves, "stop")]
    else:
        down = [(leaves, "POST", f"/sleep?level={leaves_to[-1]}&mode=wait", None)]
    up = {
        "cold": [(comes, "start")],
        "level 1": [(comes, "POST", "/wake_up", None)],
        "level 2": [
            (comes, "POST", "/wake_up?tags=weights", None),
            (comes, "POST", "/collective_rpc", {"method": "reload_weights"}),
            (comes, "POST", "/wake_up?tags=kv_cache", None),
        ],
    }
    return down + up[comes_from]
    ### END SOLUTION


hints("l16_plan_e3")

# %% nbgrader={"grade_id": "l16_plan_e3_check", "grade": true, "points": 1}
check("l16_plan_e3", switch_calls)

# %% nbgrader={"grade_id": "l16_plan_e3_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: a point for each of three properties.
### BEGIN HIDDEN TESTS
score_properties("l16_plan_e3", switch_calls, points=3, seed=167)
### END HIDDEN TESTS

# %% [markdown]
# ## The day
#
# A workload is a dict, and so is a plan. This plan knows no sleep mode: at each slot's end it stops one process and starts the next. Requests go to the engine of their slot. One that comes to a sleeping engine waits for it, one
# for a stopped engine is lost.

# %%
jobs = [(work["name"], work) for work in task.workloads()]
print("a workload:", jobs[0][1])
engines = {
    name: task.engine(models, *work["wishes"][0], gpus=[0, 1], context=work["context"], sequences=work["users"])
    for name, work in jobs
}
cold_plan = {
    "engines": engines,
    "slots": [
        {"workload": name, "engine": name, "residency": {o: "awake" if o == name else "cold" for o in engines}}
        for name, _ in jobs
    ],
    "switches": [
        {"at_s": 7.5 * 3600, "steps": [("coding", "start")]},
        {"at_s": 12 * 3600, "steps": [("coding", "stop"), ("documents", "start")], "estimate_s": 48.3},
        {"at_s": 17 * 3600, "steps": [("documents", "stop"), ("reasoning", "start")], "estimate_s": 46.8},
    ],
    "fallbacks": {"urgent": {}, "restart": {}},
}

# %%
from lessonlib.page.plan_report import memory_over_day, report
from lessonlib.serving import day_cases

SEED = 16
report(cold_plan, SEED)
case = day_cases.named(SEED)[0]
show(*memory_over_day(case.execute(cold_plan), case.workloads))

# %% [markdown]
# With an hour between slots nobody waits for a cold start. It is the other days that need more: a card that is smaller, a request that cannot wait, slots that meet. On the last day a process dies while it
# sleeps, in the middle of the slot before its own (a plan that stops it then has nothing to lose).
#
# **Points of a day** = requests × (60 + 15 wishes + 15 promises + 10 electricity), where
#
# - *requests* is the share with an answer; one that waits longer than its workload's `limit_s` counts half. An urgent request, with a limit of its own of 5 s, and a long conversation count as ten;
# - *wishes*: 1 for the best accepted model and precision that fits on the server, 0.4 less for each step below it;
# - *promises*: estimates within 2 percent<!-- plan --> or 0.05 s (for switches after the first), and each engine in the state that `residency` names for it when a slot begins;
# - *electricity*: 1 up to 1.15 times<!-- plan --> what the reference plan uses, 0 at twice that.
#
# A step that fails ends the plan and is named. Sizes are computed from model, bits, context and sequences, whatever else an engine claims.
#
# ### Exercise 4: the plan (30 minutes)
#
# Write `plan(server, workloads, models)` for any server and workloads of this form: 1 to 4 cards, 2 to 4 workloads in order of their hours, perhaps without a gap. `fallbacks` has two parts:
#
# - `urgent[a][b]` = `{"there": steps, "back": steps}` for a request of workload `b` in the slot of `a`;
# - `restart[engine]` = steps that replace the calls to an engine whose process has died.
#
# The first switch starts the engines, half an hour before the first slot or earlier; only one at a time has room. `task.engine(models, model, bits, gpus, context, sequences)` makes an engine.


# %% nbgrader={"grade_id": "l16_plan_e4_plan", "solution": true}
def plan(server, workloads, models):
    """A plan as above, with "engines", "slots", "switches" and "fallbacks"."""
    ### BEGIN SOLUTION
    names, cards, engines = [w["name"] for w in workloads], list(range(server["gpus"])), {}
    asleep = {n: {"gpus": cards} for n in names[1:]}  # as many as there are other engines
    moment = {"it": "awake"} | dict.fromkeys(asleep, "level 2")
    for w in workloads:
        wishes = [task.engine(models, m, b, cards, w["context"], w["users"]) for m, b in w["wishes"]]
        wishes = [e for e in wishes if e["context"] <= models[e["model"]]["window"]]
        engines[w["name"]] = next(e for e in wishes if not first_break(server, {"it": e, **asleep}, [moment]))
    levels = dict.fromkeys(names, "level 1")
    for n in names:
        if first_break(server, engines, [levels]):
            levels[n] = "level 2"

    def move(a, b):
        return switch_calls(a, levels[a], b, levels[b])

    def switch(at, a, b):
        seconds = switch_seconds(server, engines[a], levels[a], engines[b], levels[b])
        return {"at_s": at, "steps": move(a, b), "estimate_s": seconds}

    morning = [s for n in names[:0:-1] for s in [(n, "start"), (n, "POST", f"/sleep?level={levels[n][-1]}", None)]]
    first = {"at_s": workloads[0]["start_s"] - 1800, "steps": [*morning, (names[0], "start")]}
    later = [switch(w["end_s"], w["name"], n) for w, n in zip(workloads, names[1:])]
    slots = [{"workload": n, "engine": n, "residency": {**levels, n: "awake"}} for n in names]
    urgent = {a: {b: {"there": move(a, b), "back": move(b, a)} for b in names} for a in names}
    fallbacks = {"urgent": urgent, "restart": {n: [(n, "start")] for n in names}}
    return {"engines": engines, "slots": slots, "switches": [first, *later], "fallbacks": fallbacks}
    ### END SOLUTION


hints("l16_plan_e4")

# %% [markdown]
# Your plan on the days of a seed of your own; `LESSON_SEED` chooses another.

# %% tags=["nbval-ignore-output"]
report(plan, learner.seed())

# %% nbgrader={"grade_id": "l16_plan_e4_check", "grade": true, "points": 2}
check("l16_plan_e4", plan)

# %% nbgrader={"grade_id": "l16_plan_e4_hidden", "grade": true, "points": 12}
# Hidden tests stand here when your work is graded: a point for each of twelve days, in parts.
### BEGIN HIDDEN TESTS
from lessonlib.checks.deployment_plan import score_plan

score_plan(plan, points=12, seed=168)
### END HIDDEN TESTS

# %% [markdown]
# ### Written part: edge cases (10 minutes, 4 points, graded by hand)
#
# Two or three sentences each, with a number of yours: what changes in the plan, and what do users notice? One point each:
#
# | point | edge case |
# |---|---|
# | small card | one 24 GiB<!-- fact:gpus/rtx-4090/vram_gb --> card in place of the two |
# | little RAM | 48 GiB<!-- plan --> for sleeping weights |
# | urgent | a request for reasoning at ten in the morning |
# | conversation | an answer that still runs at the end of a slot |

# %% [markdown] nbgrader={"grade_id": "l16_plan_why", "grade": true, "solution": true, "points": 4}
# **Your answer:**
#
# ### BEGIN SOLUTION
# *Rubric.* A point needs the change in the plan, what users notice, and a right number with its unit. Half a point for two of the three. No point for a remedy that breaks memory or loses the answer.
#
# *Good (4 points).* "Small card: 24 GiB<!-- fact:gpus/rtx-4090/vram_gb --> hold 25.77 GB<!-- cell -->, the 32B file alone takes 19.3 GB<!-- claim:S12-002 -->, and its cache does not fit beside it: coding falls to Yi-Coder-9B. Users get a
# weaker model. Little RAM: all three together are 114.8 GB<!-- cell -->, so the two largest sleep at level 2; the switch at noon takes 8.8 s instead of 1.1 s, in the gap nobody sees it. Urgent: down and up at level 1 take
# about 1.1 s each way, coders whose request comes then wait some 5 s; at level 2 the way alone can exceed the limit of 5 s. Conversation: mode=wait holds the switch until the answer is
# done, half a minute for 3,000 tokens; the next turn is read again from the start, because the cache is gone."
#
# *Middling (2 points).* "On 24 GiB<!-- fact:gpus/rtx-4090/vram_gb --> the big models do not fit, so we take smaller ones. With 48 GiB<!-- plan --> of RAM use level 2, reading 42 GB<!-- plan --> at 5 GB/s<!-- plan --> takes 8 s longer. Urgent requests: switch to reasoning and back, about 2 s.
# A running answer is lost, the user sends it again." (Half a point for the first, which names no model and no number; a whole one for the second; half a point for the third, where nobody is said to wait; none for the last.)
#
# *Poor (0 points).* "With less memory vLLM swaps automatically. Urgent requests get their own thread. Conversations continue because level 1 keeps the cache in RAM." (Nothing of this is so: level 1
# keeps weights, never the cache.)
# ### END SOLUTION

# %% [markdown]
# ## What breaks it
#
# Four plans that cannot work, each the reference plan with one change. The step at which it ends is named.

# %%
import copy

broken, right = {}, case.reference
for name in ("both awake", "the source lesson's call", "no development mode", "48 GiB of RAM"):
    made = copy.deepcopy(right)
    noon = made["switches"][1]
    if name == "both awake":
        noon["steps"] = noon["steps"][::-1]
    elif name == "the source lesson's call":
        noon["steps"] = [("coding", "POST", "/v1/sleep", {"level": "l1"}), *noon["steps"][1:]]
    elif name == "no development mode":
        made["engines"]["documents"]["sleep_mode"] = False
    where = case if "RAM" not in name else day_cases.named(SEED)[2]
    result = where.execute(made)
    broken[name] = [f"{where.score(made).points:.0f}", result.broke]
    assert result.broke
table([[k, *v] for k, v in broken.items()], ["change", "points", "where it ended, and why"])

# %% [markdown]
# ## Calculator
#
# The 70B model on one link: what do a faster storage and a slower link change?

# %%
page.SwitchCalculator(model="llama-3.3-70b", format="awq", link_kind="pcie5-x16")

# %% [markdown]
# ## Yours beside the reference
#
# The reference plan on the same days as the cold one above. Open it when your own is done.

# %%
points = []
for case in day_cases.named(SEED):
    result, score = case.execute(case.reference), case.score(case.reference)
    assert score.points > 99.9
    seconds = sum(s.seconds for s in result.switches[1:])
    chosen = ", ".join(f"{e['model']} ({e['bits']})" for e in case.reference["engines"].values())
    deep = [n for n, s in case.reference["slots"][-1]["residency"].items() if s == "level 2"]
    points.append([case.name, chosen, ", ".join(deep) or "none", f"{seconds:.1f}", len(result.requests)])
header = ["day", "models (bits)", "asleep at level 2", "switching, s", "requests served"]
page.theme.emit(
    page.theme.fold("Show the reference plan's days", page.theme.table_html(points, header)), "[folded away]"
)

# %%
case = day_cases.named(SEED)[0]
result = case.execute(case.reference)
show(*memory_over_day(result, case.workloads))
reveal("l16_plan_p1", f"{sum(s.seconds for s in result.switches[1:]):.1f} s")
ways = [("level 1", "level 1"), ("level 2", "level 2"), ("cold", "cold")]
noon = [[a, round(task.switch_seconds(server, engines["coding"], a, engines["documents"], b), 2)] for a, b in ways]
table(noon, ["both engines", "seconds at noon"])
small, sizes = 24 * 2**30 / 1e9, [e["weights_gb"] for e in engines.values()]
print(f"a 24 GiB card holds {small:.2f} GB; the three files together are {sum(sizes):.1f} GB")

# %% [markdown]
# The RAM curve is highest in the middle of a switch: there all three engines are asleep. Links at full speed make these times floors; measure yours.
#
# ## We learned
#
# 1. To **estimate** a switch from bytes and speeds: at noon level 1 takes 1.14 s<!-- cell -->, level 2 8.76 s<!-- cell -->, cold 48.26 s<!-- cell -->.
# 2. To **find** the moment that breaks a plan, also the one between two halves of a switch.
# 3. To **switch** by real calls: down first, `mode=wait`, three calls after level 2.
# 4. To **plan**: cold starts do in an hour's gap; sleep mode pays when slots meet and requests are urgent.
#
# ## Corrections

# %%
corrections(["S12-018", "S07-025", "S07-028", "S07-030", "S07-031", "S07-032", "S07-033", "S07-035", "S07-037"])
corrections(["S12-022", "S12-024"])

# %%
page.claims(
    ["S12-016", "S12-017", "S12-019", "S07-021", "S07-024", "S07-026", "S07-027", "S07-029", "S07-034", "S07-036", "S07-038"],
    "The source lesson on switching",
)
page.claims(["S12-021", "S12-023", "S12-025"], "Its summary")

# %% [markdown]
# *Hand in:* nbgrader's Submit button; where there is none, save and run `page.hand_in("your name")` in a new cell: it writes one file for your instructor.
#
# *Next:* the reference: glossary, formulas, every claim of the source lesson.
#
# ## Sources
#
# - Models, cards, prices and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - vLLM, documentation of sleep mode, and the source of its sleep and collective_rpc routes (repository vllm-project/vllm), read 2026-11-27. `mode=wait` needs a release of 2026; older ones cut answers off, or crash.
# - vLLM's blog, "Zero-Reload Model Switching with vLLM Sleep Mode", 2025-10-26: measured wake-up times.
# - W. Kwon and others, [PagedAttention](https://arxiv.org/abs/2309.06180), 2023: the engine and its cache.
