# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 01_why_self_host, title: Why run your own model, minutes: 60, gpu: cpu}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Why run your own model
#
# **What do privacy, cost and freedom come to in numbers for my team?**
#
# Three reasons are given for running a language model yourself: nobody else reads along, it is cheaper, nobody can take it away. Each can be checked. One of them holds less often than people think.
#
# ## Aims
#
# After this lesson you can
#
# 1. **show** which bytes leave a machine, and what a pinned weights file guarantees,
# 2. **compute** a team's bill from tokens in, tokens out and their prices,
# 3. **find** the input that moves the bill, or the decision, most,
# 4. **cost** a machine of your own: purchase, power, people, whole nodes,
# 5. **judge** a crossover: can the node serve it, and is the comparison fair?
#
# *You need:* lesson 00 and a little Python. A *token* is a piece of text, often a word or half a word; lesson 04 looks at them closely.
#
# **First predict.** Your guesses stay on your machine and come back beside the measured values.

# %% tags=["bootstrap"]

# %%
display(
    predict("l01_p1", "In a chat of three questions you type a name once. How often is it sent to an API?", unit="times"),
    predict(
        "l01_p2",
        "A node with eight H100 against an API with the same open model: equal cost at how many tokens a day?",
        unit="million",
    ),
)

# %% [markdown]
# ## Three ways to pay
#
# A **subscription** costs the same every month, whatever you use (up to limits). An **API** costs by the token. An **own machine** costs a purchase, and then the same every month, used or not.
# So the cost has three shapes over use. Prices go stale: each one below stands with its date.

# %%
from lessonlib.calc import cost
from lessonlib.facts import catalog
from lessonlib.labs import why_self_host as lab

rows = [["a seat", p.id, f"{p.usd_month} USD a month", p.as_of] for p in catalog.prices() if p.group == "subscriptions"]
sold = [catalog.price(name) for name in ("gpt-4o", "claude-opus-4.6", "claude-sonnet-5.5", "qwen3-coder-next-hosted")]
rows += [["tokens, per million", p.id, f"{p.input:.2f} in, {p.output:.2f} out", p.as_of] for p in sold]
dgx, rack = catalog.price("dgx-h100-system"), catalog.price("colocation-8xh100")
node = cost.hosting(dgx.usd, dgx.life_months, colocation_usd_month=rack.usd_month).total
rows.append(["own machine", "eight H100", f"{dgx.usd:,} USD for {dgx.life_months} months", dgx.as_of])
rows.append(["its place and power", rack.id, f"{rack.usd_month:,} USD a month", rack.as_of])
table(rows, ["you pay for", "what", "price", "as of"], "Prices of the fact base, USD")

people, uses = 50, [10**4, 10**5, 10**6, 10**7]
shapes = {"50 subscriptions": [people * catalog.price("chatgpt-plus").usd_month] * 4, "own node of eight H100": [node] * 4}
for name, p in (("API, GPT-4o", sold[0]), ("API, hosted open model", sold[3])):
    shapes[name] = [cost.monthly(people * use, cost.blend(p.input, p.output)) for use in uses]
fig, ax = page.axes()
for name, usd in shapes.items():
    ax.loglog(uses, usd, label=name)
ax.set(xlabel="tokens a person and day", ylabel="USD a month, 50 people")
ax.legend(fontsize=8)
ends = [f"{name} {usd[0]:,.0f} to {usd[-1]:,.0f}" for name, usd in shapes.items()]
show(fig, alt=f"Cost a month of 50 people, from 10,000 to 10 million tokens each a day, USD: {'; '.join(ends)}.")
page.claims(["S01-001", "S01-002", "S01-003", "S01-004", "S01-006", "S01-027"], "Seats, yearly sums, references")

# %% [markdown]
# The steep lines cross the flat ones. Where, and whether that crossing can be used, is the second half of this lesson. First the two reasons that are not about money.
#
# ## Privacy: what leaves
#
# "Nothing leaves this machine" is a statement that can fail. The next cell takes the network away: every connection and name look-up that goes through Python's sockets is refused and counted. Then it
# loads `target`, a model of the course, and lets it write. A guard that never bites proves nothing, so at the end a client for an API runs into it.

# %%
import torch
from lessonlib import models

with lab.no_network() as tried:
    model, tokenizer = models.load("target", dtype=torch.float32)
    story = lab.greedy(model, tokenizer, "Once upon a time")
    print(f"loaded, and wrote {len(tokenizer(story).input_ids)} tokens; tries to reach a network: {len(tried)}")
    assert not tried
    try:
        lab.ask(8080, [{"role": "user", "content": "Hello"}])
    except OSError as error:
        print(f"a client for an API tries {len(tried)}: {error}")
assert len(tried) == 1, "the guard must catch the client"

# %% [markdown]
# Now the other way. A stand-in for a provider runs on this machine and keeps what it receives, as any provider can. A client asks three questions in one chat, in the usual format.

# %%
import textwrap

with lab.provider() as api:
    lab.talk(api.server_port)
rows = []
for question, request in zip(lab.QUESTIONS, api.received):
    size, new = len(request.body), len(question.encode())
    rows.append([len(rows) + 1, new, size, size - new, request.body.count(lab.NAME.encode())])
table(rows, ["request", "new text, bytes", "body, bytes", "sent besides", "her name in it"], "What the provider has")
print("The third request:", *textwrap.wrap(api.received[-1].body.decode(), 110), sep="\n")
reveal("l01_p1", sum(row[-1] for row in rows), unit="times")
assert all(question.encode() in api.received[-1].body for question in lab.QUESTIONS)

# %% [markdown]
# An API remembers nothing between requests, so a client sends the whole chat each time, and each request holds the name again. Encryption (TLS) protects it on the way, not at the end: the provider must read it to
# answer. What happens to it there is a matter of contract. You can read one; you cannot measure it.
#
# *Limits of this test:* it saw one program, and only Python's sockets. For a whole machine the same test is a firewall that lets nothing out, and counts.
#
# ## Freedom: what stays
#
# A model behind a name can change or end while your program stays the same. A file on your disk does neither. Its SHA-256 is a fingerprint of 256 bits: write it down, and years later you can show that it is the same
# model. What you *may* do with it, the fingerprint does not say: that is in the licence.

# %%
import json

folder = models.embedded_path("target")
weights = folder / "model.safetensors"
noted = json.loads((folder / "training.json").read_text(encoding="utf-8"))["weights_sha256"]
flipped = lab.sha256_with_a_bit_flipped(weights)
found = {"noted after training": noted, "of the file now": lab.sha256(weights), "with one bit flipped": flipped}
table([[what, digits[:16]] for what, digits in found.items()], ["SHA-256 of the weights", "its first digits"])
again, _ = models.load("target", dtype=torch.float32)
print("a second load writes the same text:", lab.greedy(again, tokenizer, "Once upon a time") == story)
licences = {card.name: card.licence for card in models.catalogue()}
print("licence:", licences["target"], "(any use, keep the notices)")
assert lab.sha256(weights) == noted != flipped and lab.greedy(again, tokenizer, "Once upon a time") == story
page.claims(["S01-026"], "When a name goes away")

# %% [markdown]
# The same text holds for the same machine and software. Another processor adds up in another order, and close calls may turn. And freedom has a price: the file never gets better by itself.
#
# ## Cost: two prices, one blend
#
# An API has one price for tokens that go in and a higher one for tokens that come out. With *ratio* tokens in for each one out, a million tokens cost
#
# **blend = (ratio × input + output) / (ratio + 1)**
#
# GPT-4o at a ratio of 2: (2 × 2.50 + 10) / 3 = 5.00. Two to one is a habit, not a law. Here are six tasks, counted by `target`'s tokenizer (others give other counts).

# %%
rows, ratios = [], {}
for task, turns in lab.TASKS.items():
    b = lab.billed(tokenizer, turns)
    ratios[task] = b.ratio
    blends = [f"{cost.blend(p.input, p.output, b.ratio):.2f}" for p in (sold[0], sold[1], sold[3])]
    rows.append([task, b.input, b.resent, b.output, f"{b.ratio:.2f}", *blends])
header = ["task", "tokens in", "of these sent again", "tokens out", "ratio", "GPT-4o", "Opus 4.6", "hosted open model"]
table(rows, header, "Blended USD per million tokens, by task")
words = [text for turns in lab.TASKS.values() for turn in turns for text in turn]
count = sum(len(tokenizer(text).input_ids) for text in words)
print(f"{count / sum(len(text.split()) for text in words):.2f} tokens a word here, code included")
assert max(ratios.values()) > 50 * min(ratios.values())
page.claims(["S01-008", "S01-010", "S01-011", "S01-012", "S01-013", "S01-024"], "Prices and blends")

# %% [markdown]
# The same model costs three times as much per token for stories as for agents. But look at the second column: an agent sends its history again and again. Its tokens are cheap, and many. Many providers take less for input that they
# had seen just before (*cached* input), which is exactly this part.
#
# ## My team's bill
#
# **month = people × tokens a day × days / 1,000,000 × price per million**
#
# State the days. This course uses 30; a twelfth of a year is a little more, and a month has about 21 working days. All three are right somewhere, and they differ by almost half.
#
# ### Exercise 1: a team's bill (10 minutes)
#
# Return two numbers: USD for `days` days, and USD per million tokens over all of them (input and output).
#
# Each group is like `{"people": 12, "model": "small", "input_tokens": 240_000, "output_tokens": 60_000, "cached_share": 0.4}`: tokens are for one person and day, and 40 percent<!-- plan --> of the
# input comes from the provider's cache. `prices["small"]` is like `{"input": 2, "cached_input": 0.2, "output": 8}`, USD per million. Cents may be rounded.


# %% nbgrader={"grade_id": "l01_e1_bill", "solution": true}
def team_bill(groups, prices, days):
    """(USD for these days, USD per million tokens)."""
    ### BEGIN SOLUTION
    usd = tokens = 0
    for g in groups:
        price = prices[g["model"]]
        cached = g["input_tokens"] * g["cached_share"]
        read = (g["input_tokens"] - cached) * price["input"] + cached * price["cached_input"]
        usd += g["people"] * days * (read + g["output_tokens"] * price["output"]) / 1e6
        tokens += g["people"] * days * (g["input_tokens"] + g["output_tokens"])
    return usd, usd / tokens * 1e6
    ### END SOLUTION


hints("l01_e1")

# %% nbgrader={"grade_id": "l01_e1_check", "grade": true, "points": 1}
check("l01_e1", team_bill)

# %% nbgrader={"grade_id": "l01_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other teams, twice the people, one price for all tokens.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l01_e1", team_bill, points=2, seed=1101)
### END HIDDEN TESTS

# %% [markdown]
# **Which input moves the bill most?** Start from 50 people with a million tokens a day each. Move one input at a time over its own range, the ratio over what was just measured. The longest bar says what to find out first.
#
# Tokens are not the whole programme either: licences for seats and the people who run it come on top. In the source lesson's own team table the whole is 2.7 to 13.3 times<!-- claim:S01-007 --> the token spend.

# %%
base = dict(people=50, tokens_per_person_day=1e6, ratio=2, price=(sold[0].input, sold[0].output), days=30)
ends = {
    "people": (40, 60), "tokens_per_person_day": (1e5, 5e6), "ratio": (min(ratios.values()), max(ratios.values())),
    "price": ((sold[3].input, sold[3].output), (sold[1].input, sold[1].output)), "days": (21, 31),
}  # fmt: skip
moved = lab.swings(base, ends)
fig, ax = page.axes(size=(6.4, 2.8))
bars = ax.barh([name for name, *_ in moved], [high - low for _, low, high in moved], left=[low for _, low, _ in moved])
ax.bar_label(bars, [f"{low:,.0f} to {high:,.0f}" for _, low, high in moved], padding=4)
ax.axvline(lab.bill(base), color="#717581", linestyle=":")
ax.set(xscale="log", xlabel="USD a month (logarithmic)", xlim=(100, 1e6))
ax.invert_yaxis()
words = [f"{name} {low:,.0f} to {high:,.0f}" for name, low, high in moved]
show(fig, alt=f"Bill of {lab.bill(base):,.0f} USD a month, each input moved alone: {'; '.join(words)}.")
for usd in catalog.price("seat-licence").usd_user_month:
    whole = cost.programme(seats=50, tokens_usd_month=lab.bill(base), seat_usd_month=usd)
    print(f"with licences at {usd} USD a seat: {whole.total:,.0f} USD, {cost.multiple(whole):.2f} times the tokens")
tiers = ["S01-009", "S01-014", "S01-015", "S01-016", "S01-017", "S01-018", "S01-019", "S01-020", "S01-021", "S01-022"]
page.claims([*tiers, "S01-005", "S01-023", "S01-025"], "Tiers of use")

# %% [markdown]
# Ten people more or less hardly count beside which *model* they use, and for how many *tokens*.
#
# ## An own machine
#
# Own tokens are not free. Measure this machine with `target`: how fast it reads a prompt, writes one text, and writes eight at once. Electricity follows from an **assumed** power (a laptop or small computer
# at work, no meter here), a dated price, and the measured speed. The second table adds the purchase, also assumed: it costs the same idle or busy.

# %% tags=["nbval-ignore-output"]
watts, purchase, months = 65, 1000, 36  # assumptions: put in your own
tariff = catalog.price("us-average")
speed, rows = lab.speeds(model), []
for name, rate in speed.items():
    usd = cost.electricity_per_million(watts, tariff.usd_kwh, rate)
    rows.append([name.replace("_", " "), rate, f"{usd:.4f}"])
header = ["target on this machine", "tokens/s", "electricity per million tokens, USD"]
table(rows, header, f"{watts} W assumed, {tariff.usd_kwh} USD/kWh ({tariff.id}, {tariff.as_of})")
rows, one = [], cost.electricity_per_million(watts, tariff.usd_kwh, speed["writing"])
for busy in (1, 0.1, 0.01):
    tokens = speed["writing"] * 86_400 * 30 * busy
    share = cost.amortisation(purchase, months) / tokens * 1e6
    rows.append([f"{busy:.0%}", tokens / 1e6, one, share, one + share])
header = ["of the time busy", "million tokens a month", "electricity", "purchase", "together"]
table(rows, header, f"USD per million written tokens; {purchase:,} USD over {months} months assumed")
assert min(speed["reading"], speed["writing_8_texts"]) > 1.1 * speed["writing"], "sharing a pass must pay"

# %% [markdown]
# Three things to see. Reading is many times faster than writing, one reason why APIs have two prices. Eight texts at once cost each of them less. And **a machine that idles is the dearest of all**: providers are
# cheap because their machines are busy.
#
# ### Exercise 2: own nodes by the month (12 minutes)
#
# How many nodes, and what do they cost in a month of 30 days? Demand comes in `hours_per_day`; in each of them a node makes `tokens_per_s` for 3,600 seconds. Nodes are whole, and a running service has at least one. Each
# costs `price_usd` spread over `months`, `site_usd_month`, and electricity: `watts` around the clock, times `pue`, at `usd_per_kwh`. (PUE: power of the building over power of its machines.) `people_usd_month`
# is paid once.


# %% nbgrader={"grade_id": "l01_e2_month", "solution": true}
def own_month(node, tokens_per_day):
    """(whole nodes, USD a month)."""
    ### BEGIN SOLUTION
    capacity = node["tokens_per_s"] * node["hours_per_day"] * 3600
    nodes = max(1, -(-tokens_per_day // capacity))
    power = node["watts"] / 1000 * 24 * 30 * node["pue"] * node["usd_per_kwh"]
    each = node["price_usd"] / node["months"] + node["site_usd_month"] + power
    return nodes, nodes * each + node["people_usd_month"]
    ### END SOLUTION


hints("l01_e2")

# %% nbgrader={"grade_id": "l01_e2_check", "grade": true, "points": 1}
check("l01_e2", own_month)

# %% nbgrader={"grade_id": "l01_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other nodes, demands that just fit, and a quiet month.
### BEGIN HIDDEN TESTS
score_properties("l01_e2", own_month, points=2, seed=1201)
### END HIDDEN TESTS

# %% [markdown]
# ## The crossover
#
# An own node costs a fixed sum a month and a little for each token; an API costs only by the token. They meet at
#
# **tokens a day = fixed cost a month / (API price − own price per token) / 30**
#
# Then ask whether the node can make that many. If it cannot, further nodes do not help: each brings its limit *and* its cost, and the crossover moves away as fast as the limit.
#
# ### Exercise 3: the crossover, with a limit (10 minutes)
#
# Return the tokens a day at which one node costs what the API costs, or `None` if it never happens: an own token is as dear as the API's, or the node cannot make so many in its hours. `node` has `fixed_usd_month`,
# `own_usd_per_million`, `tokens_per_s`, `hours_per_day`.


# %% nbgrader={"grade_id": "l01_e3_crossover", "solution": true}
def crossover(node, usd_per_million):
    """Tokens a day, or None."""
    ### BEGIN SOLUTION
    saved = usd_per_million - node["own_usd_per_million"]
    if saved <= 0:
        return None
    tokens = node["fixed_usd_month"] / saved * 1e6 / 30
    return tokens if tokens <= node["tokens_per_s"] * node["hours_per_day"] * 3600 else None
    ### END SOLUTION


hints("l01_e3")

# %% nbgrader={"grade_id": "l01_e3_check", "grade": true, "points": 1}
check("l01_e3", crossover)

# %% nbgrader={"grade_id": "l01_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other nodes, limits just missed, and prices that save nothing.
### BEGIN HIDDEN TESTS
score_properties("l01_e3", crossover, points=2, seed=1301)
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 4: what would turn the decision? (8 minutes)
#
# A decision is safe if no single wrong guess turns it. `decide(inputs)` gives `"own"` or `"API"` for a dictionary of numbers (`lab.cheaper` is one such function). Return the names of the inputs which,
# changed **alone** by the share `change` up *or* down, turn the decision. Leave `inputs` as it is.


# %% nbgrader={"grade_id": "l01_e4_flips", "solution": true}
def flips(decide, inputs, change):
    """Names of the inputs that turn the decision."""
    ### BEGIN SOLUTION
    base, found = decide(inputs), []
    for name, value in inputs.items():
        changed = [decide({**inputs, name: value * factor}) for factor in (1 - change, 1 + change)]
        if any(decision != base for decision in changed):
            found.append(name)
    return found
    ### END SOLUTION


hints("l01_e4")

# %% nbgrader={"grade_id": "l01_e4_check", "grade": true, "points": 1}
check("l01_e4", flips)

# %% nbgrader={"grade_id": "l01_e4_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other decisions, larger changes, and one that nothing turns.
### BEGIN HIDDEN TESTS
score_properties("l01_e4", flips, points=2, seed=1401)
### END HIDDEN TESTS

# %% [markdown]
# ## What breaks it
#
# *"Own hardware pays from some 60 million tokens a day."* The arithmetic is right, and the comparison is not: it sets a node that runs an **open** model against the price of another, closed model. Who would
# accept the open model can also buy it by the token. Same node, three prices, two tokens in for one out. What the node can make is its roofline (lesson 12): four pairs
# of GPUs with 64 requests each, at shares of the peak that others have published.

# %%
from lessonlib.calc import throughput

pair = throughput.roofline(
    catalog.model("qwen3-coder-next"), catalog.gpu("h100-sxm"), tokens=1000, answer=500, batch=64, tp=2, format="fp8",
    compute_efficiency=throughput.PUBLISHED_COMPUTE_EFFICIENCY,
    bandwidth_efficiency=throughput.PUBLISHED_BANDWIDTH_EFFICIENCY,
)  # fmt: skip
limit = 4 * pair.requests_per_s * 1500  # tokens/s in and out of four pairs of GPUs, on paper
rows = []
for p in (sold[0], sold[1], sold[3]):
    meet = cost.crossover_check(node, cost.blend(p.input, p.output), limit, hours_per_day=8)
    day = meet.tokens_per_day
    rows.append([p.id, day / 1e6, round(cost.sustained(day)), round(meet.needed_tokens_per_s), round(day / 1e6 / 50)])
header = ["API at the price of", "million tokens a day", "tokens/s, 24 h", "tokens/s, 8 h", "million each, 50 people"]
table(rows, header, f"Equal cost with a node of {node:,.0f} USD a month, which makes on paper {limit:,.0f} tokens/s")
reveal("l01_p2", rows[-1][1], unit="million")
fair = {"people": 50, "tokens_per_person_day": 1e6, "usd_per_million": cost.blend(sold[3].input, sold[3].output)}
fair |= {"fixed_usd_month": node, "own_usd_per_million": 0}
for change in (0.2, 0.9):
    turned = ", ".join(lab.flips(lab.cheaper, fair, change)) or "nothing"
    print(f"50 people: cheaper is {lab.cheaper(fair)}; changed alone by {change:.0%}, {turned} turns that")
assert rows[-1][1] > 30 * rows[0][1] and rows[-1][3] > limit > rows[-1][2]

# %% [markdown]
# Against the same model, hosted, equal cost lies at some two *billion* tokens a day. Around the clock the node could make them, on paper and never idle. In eight working hours it could not, so it never gets there. And 50 people would need
# forty million each. No single input comes near turning that.
#
# So for most teams cost is no reason to buy this node. Smaller machines that are there anyway, models that nobody hosts, or prices that rise can change that: the calculator below is yours. Privacy and freedom are reasons of
# their own, with their own price. Say it openly: it is the difference between the two bills.
#
# ## Calculator
#
# First the bill over use and price, then your own crossover. All controls work by keyboard: Tab moves, arrows and typing change values. `page.APICostCalculator()` and
# `page.ElectricityCalculator()` open two more.

# %%
display(page.SensitivityTable())
page.CrossoverCalculator(api="qwen3-coder-next-hosted", node_rate=2000.0, hours=8.0, tokens_per_day=50_000_000)

# %% [markdown]
# ## Quiz

# %%
quiz("01_why_self_host")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was measured by `benchmarks/l01_costs.py`: the same functions, in fresh processes, with the same assumed power. Speeds are your machine's; ratios are counts and must agree.

# %% tags=["nbval-ignore-output"]
mine = lab.summary(speed, tokenizer, watts, tariff.usd_kwh)
assert all(value > 0 for value in mine.values())
compare("l01_costs", mine)

# %% [markdown]
# ## We learned
#
# 1. To **show** with a guard that nothing left, and with a stand-in what does: the whole chat, each time. A hash pins a file; a licence says what you may do.
# 2. To **compute** a bill: each kind of token at its own price, all USD over all tokens for the blend.
# 3. To **find** what moves it: model and tokens, far before people and days.
# 4. To **cost** an own machine: purchase over months, watts / 1000 × hours × PUE × price, people, whole nodes, idle or busy.
# 5. To **judge** a crossover by the node's limit, and by the price of the *same* model.
#
# *Next:* what a language model is, and how predicting one token becomes writing.
#
# ## Corrections
#
# What the course's source text has differently, with the calculation or source that decides it.

# %%
corrections(["S01-007", "S01-028"])

# %% [markdown]
# ## Sources
#
# - Prices, each with its own date in the first table, and every claim: the fact base of this course (`lessonlib/facts`), checked 2026-11-23. Prices of seats, hardware, sites and electricity come from the source lesson
#   alone (2026-03-05 and 06); API prices from the providers' pages and a price collection of 2025-10-16.
# - Assumed here, not measured: power and price of the small machine, ranges of the bar chart.
# - Limit of the node: the roofline of lesson 12 with published efficiencies; R. Pope and others, [Efficiently Scaling Transformer Inference](https://arxiv.org/abs/2211.05102), 2022.
# - SHA-256: NIST, [FIPS 180-4](https://doi.org/10.6028/NIST.FIPS.180-4), 2015.
