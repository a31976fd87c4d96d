# ---
# jupyter:
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
#   lessonlib: {id: 08_quantization, title: Quantization, minutes: 90, gpu: better}
# ---

# %% [markdown] tags=["badges"]

# %% [markdown]
# # Quantization
#
# **What do 8, 4 and 3 bits do to size, speed and quality, and what does AWQ save?**
#
# A model is a long list of numbers, its *weights*. Stored in 16 bits each, 32 billion of them take 64 GB<!-- claim:S06-002 -->; in 4 bits, a quarter. *Quantization* replaces each weight by one of a few
# values. This lesson does it by hand, puts the result back into a real model, and measures what is lost and what is won.
#
# ## Aims
#
# After this lesson you can
#
# 1. **read** a number format bit by bit, from fp32 to MXFP4,
# 2. **quantize** a matrix with scales and zero points, and count its bytes,
# 3. **measure** what fewer bits do to a model, and find outliers that spoil a scale,
# 4. **apply** AWQ and GPTQ by hand, and spend bits where they count,
# 5. **say** why 4 bits speed up decoding and not prefill.
#
# *You need:* lesson 00 and a little PyTorch. Words used here: a *token* is the piece of text a model reads or writes at a time; for each next token it gives a *probability*. A *matrix* W (outputs × inputs)
# turns an input vector x into W x; each place of x is an *input channel*. A *norm* rescales the inputs before each block. *Prefill* reads the prompt, many tokens at once; *decode* writes one token after another.
#
# **How quality is counted.** *Bits per byte*: the surprise (−log2 of the probability) of all tokens of a text, over its bytes; lower is better. *Moved*: how far the probabilities of next tokens moved from those
# of the unchanged model (KL divergence, in bits; 0 means the same). The second sees small changes that the first loses in chance. (*Perplexity*, in many papers, is 2 to the power of the bits per *token*.)

# %% tags=["bootstrap"]

# %%
MODEL = "target"  # or a Llama-like model of the hub: "HuggingFaceTB/SmolLM2-135M", "Qwen/Qwen3-0.6B"

import torch
from lessonlib import models
from lessonlib.labs import quantization as lab
from lessonlib.labs import quantization_formats as formats
from lessonlib.labs import quantization_texts as texts

model, tokenizer = models.load(MODEL, dtype=torch.float32)
judge = lab.Judge(model, tokenizer, texts.EVALUATION)
display(
    predict("l08_p1", "At how many bits a weight does the model's text fall apart?", options=["6", "4", "3", "2"]),
    predict("l08_p2", "How many times as fast can 4-bit weights make the *reading* of a prompt?", unit="times"),
)

# %% [markdown]
# ## Numbers are bits
#
# A *floating-point* number is a sign, an *exponent* (which power of two) and a *mantissa* (where between two powers): ±1.mantissa × 2^(exponent − bias). More exponent bits reach farther, more mantissa bits step finer. bf16
# is fp32 cut in half; fp8 comes as e4m3 (4 exponent bits, 3 mantissa bits) and e5m2. With exponent 0 the leading one is dropped; these *subnormals* fill the gap around 0.
#
# Whole numbers (int8, int4) have equal steps and need a *scale*: what one step is worth. Block formats share a scale among neighbours: **NF4** has 16 levels set so that normally distributed weights use each
# about equally often; **MXFP4** is 4-bit floats (e2m1), 32 of which share one power of two, stored in 8 bits (e8m0).
#
# Type a number below, or change its bits. Is the viewer right? The next cell decodes *every* pattern of four formats by hand and compares with torch, then derives NF4 from the normal distribution and MXFP4 from its
# definition. (bitsandbytes has the same levels: that check stands where it is used.)

# %%
display(page.BitViewer(number=0.3, name="fp8 e4m3"))
rows, weight = [], model.model.layers[0].mlp.up_proj.weight.data.float().cpu()
for form in formats.FLOATS.values():
    agree = "–"  # torch cannot compute in e2m1; fp32 has too many patterns
    if form.bits <= 16 and form.dtype:
        ours, own = formats.patterns(form), formats.torch_patterns(form)
        torch.testing.assert_close(ours, own, rtol=0, atol=0, equal_nan=True)
        agree = f"all {len(ours):,} patterns equal"
    rows.append([form.name, form.bits, f"{formats.largest(form):.4g}", agree])
table(rows, ["format", "bits", "largest value", "by hand and by torch"])
codes, scales = formats.mxfp4(weight)
assert torch.equal(2.0 ** (scales.float() - 127), scales.view(torch.float8_e8m0fnu).float())
print("NF4:", " ".join(f"{level:.3f}" for level in formats.nf4_levels().tolist()))
print(f"MXFP4: {codes.numel():,} weights in {codes.numel() // 2 + scales.numel():,} bytes, scales as torch reads e8m0")

# %% [markdown]
# ### Exercise 1: read a float (8 minutes)
#
# `code` is a pattern as a whole number: sign, `exponent_bits`, `mantissa_bits`, from the left. Return its value, for any such format. The bias is 2^(exponent_bits − 1) − 1; with exponent 0 the value is
# 0.mantissa × 2^(1 − bias). Infinities and nan are not asked.


# %% nbgrader={"grade_id": "l08_e1_decode", "solution": true}
def decode(code, exponent_bits, mantissa_bits):
    """The value of a finite floating-point pattern."""
    ### BEGIN SOLUTION
    sign = code >> (exponent_bits + mantissa_bits)
    exponent = (code >> mantissa_bits) & (2**exponent_bits - 1)
    mantissa = code & (2**mantissa_bits - 1)
    bias = 2 ** (exponent_bits - 1) - 1
    if exponent == 0:
        value = mantissa / 2**mantissa_bits * 2.0 ** (1 - bias)
    else:
        value = (1 + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias)
    return -value if sign else value
    ### END SOLUTION


hints("l08_e1")

# %% nbgrader={"grade_id": "l08_e1_check", "grade": true, "points": 1}
check("l08_e1", decode)

# %% nbgrader={"grade_id": "l08_e1_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: every pattern of both fp8 formats, other widths, subnormals.
### BEGIN HIDDEN TESTS
from lessonlib.checks import score_properties

score_properties("l08_e1", decode, points=2, seed=8101)
### END HIDDEN TESTS

# %% [markdown]
# ## One scale, many weights
#
# **Absmax** (symmetric): the largest magnitude becomes the largest whole number, 0 stays 0. **Zero point** (affine): the range from least to greatest is cut into 2^bits − 1 steps, and a whole number, the
# zero point, stands for 0. Below, eight real weights in 4 bits, both ways.
#
# Who shares a scale? The whole tensor, a row (*channel*), or a *group* of neighbours in a row. Smaller groups fit better and store more scales: the second table counts the bytes of real packed tensors.
#
# ### Exercise 2: groups, and what they cost (12 minutes)
#
# For `weight` (outputs × inputs), groups of `group` neighbours of a row. In each: low = min(0, least), high = max(0, greatest), since 0 must have a number of its own; scale = (high − low) / (2^bits − 1);
# zero = round(−low / scale); number = round(w / scale) + zero, cut to 0 … 2^bits − 1. Return the restored weights, (number − zero) × scale, in their old shape, and the bytes stored: `bits` bits a number, and for each group a 16-bit scale and a
# zero point of `bits` bits.

# %% tags=["nbval-ignore-output"]
eight = weight[:1, :8]
(whole, scale), (number, step, zero) = lab.absmax(eight, 4), lab.zero_point(eight, 4)
rows = [["weight", *lab.shown(eight)], ["absmax, number", *whole[0].int().tolist()]]
rows += [["comes back as", *lab.shown(whole * scale)], ["zero point, number", *number[0].int().tolist()]]
rows += [["comes back as", *lab.shown((number - zero) * step)]]
table(rows, ["", *range(1, 9)], f"absmax: scale {scale.item():.4f}; zero point {int(zero)}: scale {step.item():.4f}")
rows, errors = [], []
for group in ("tensor", "channel", 64, 32):
    small = lab.packed(weight, 4, group)
    assert torch.equal(small.restore(), lab.rounded(weight, 4, group)), "packing must lose nothing"
    errors.append(lab.relative(small.restore(), weight))
    rows.append([group, small.scales.numel(), small.bytes, 8 * small.bytes / weight.numel(), f"{errors[-1]:.1%}"])
table(rows, ["one scale for", "scales", "bytes", "bits a weight", "error"], f"a matrix {tuple(weight.shape)} in 4 bits")
assert errors == sorted(errors, reverse=True), "smaller groups must fit better"


# %% nbgrader={"grade_id": "l08_e2_groups", "solution": true}
def quantize_groups(weight, bits, group):
    """(restored weights, bytes stored) of a matrix in groups with a scale and a zero point each."""
    ### BEGIN SOLUTION
    most, rows = 2**bits - 1, weight.reshape(-1, group)
    low, high = rows.amin(1, keepdim=True).clamp(max=0), rows.amax(1, keepdim=True).clamp(min=0)
    scale = (high - low) / most
    zero = (-low / scale).round()
    numbers = ((rows / scale).round() + zero).clamp(0, most)
    size = (weight.numel() * bits + len(rows) * (16 + bits)) // 8
    return ((numbers - zero) * scale).reshape(weight.shape), size
    ### END SOLUTION


hints("l08_e2")

# %% nbgrader={"grade_id": "l08_e2_check", "grade": true, "points": 1}
check("l08_e2", quantize_groups)

# %% nbgrader={"grade_id": "l08_e2_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other shapes and widths, and how near the weights come back.
### BEGIN HIDDEN TESTS
score_properties("l08_e2", quantize_groups, points=2, seed=8201)
### END HIDDEN TESTS

# %% [markdown]
# ## Fewer bits in a real model
#
# Now every matrix inside the layers, in groups of 64, by the zero-point method. Embedding, output matrix and norms stay in 16 bits, as in real files. Bytes are those of the packed tensors. The texts were written for this course; the
# model never saw them. "±" is the standard error of the *change* in bits per byte.

# %% tags=["nbval-ignore-output"]
told, scores = lab.write(model, tokenizer, texts.PROMPT), {}
rows = [["16 bits", 2 * model.num_parameters(), *judge.exact.shown(), "", told]]
for bits in (8, 6, 4, 3, 2):
    weights, size = lab.quantized(model, bits)
    with lab.replaced(model, weights):
        scores[bits], told = judge.score(), lab.write(model, tokenizer, texts.PROMPT)
    change = f"{scores[bits].bits_per_byte - judge.exact.bits_per_byte:+.3f} ± {scores[bits].error:.3f}"
    rows.append([f"{bits} bits", size, *scores[bits].shown(), change, told])
header = ["weights", "bytes", "bits per byte", "moved", "change of bits per byte", "the story goes on"]
table(rows, header, f"{MODEL}, groups of {lab.GROUP}")
moved = [s.moved for s in scores.values()]
assert moved == sorted(moved), "fewer bits must move the predictions further"
assert scores[8].moved < 0.01 < scores[2].moved
del weights
reveal("l08_p1", "2" if scores[3].moved < 0.5 < scores[2].moved else "3")

# %% [markdown]
# ## Outliers, planted and found
#
# Eight bits are safe, four nearly so; at two the text falls apart. Which matrices suffer? The figure shows the error of the *outputs*: what W x loses on real inputs, from other texts, the *calibration* texts (q, k, v and o belong to attention; gate, up and down to the feed-forward part). No input has to be
# kept: the sum of x xᵀ over all tokens, the *Gram matrix*, is enough.
#
# Large models have a few input channels that are far louder than the rest. To see the harm, plant two: multiply channels 7 and 133 in every norm by a factor and divide the weights that read them. The model computes the same, exactly.
# Then round its *inputs* to 8 bits by absmax: with one scale for the whole tensor, one for each token, one for each channel.
#
# A loud channel takes the whole range, and all others get what is left of it. A scale for each token helps, and not enough: the channel is loud in every token. A scale for each channel cures it. And without planting? The last table asks the model.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import quantization_methods as methods
from lessonlib.page.error_grid import grid_svg

inputs = methods.observe(model, tokenizer, texts.CALIBRATION)
errors = methods.error_table(model, inputs, bits=4)
share, worst = [w for w, _ in errors.values()], max(errors, key=lambda name: errors[name][1])
said = (
    f"weights are {min(share):.0%} to {max(share):.0%} off everywhere, outputs up to {errors[worst][1]:.0%} in {worst}"
)
svg(grid_svg(methods.by_kind(errors), "Change of the outputs at 4 bits, %"), alt=f"At 4 bits {said}.")
assert max(share) < 2 * min(share), "weights of all matrices are rounded about equally well; outputs are not"
rows, harm = [], {}
for factor in (1, 16, 128):
    with methods.planted(model, (7, 133), factor):
        same = judge.score().moved
        ways = {"tensor": None, "token": -1, "channel": 1}
        harm[factor] = {w: methods.with_rounded_inputs(model, 8, axis, judge.score).moved for w, axis in ways.items()}
    assert same < 1e-3, "planting must not change what the model computes"
    rows.append([f"{factor} times", *[f"{x:.4f}" for x in (same, *harm[factor].values())]])
header = ["two channels are louder", "moved, not rounded", "one scale", "a scale a token", "a scale a channel"]
table(rows, header, "Inputs of the matrices in 8 bits: how far predictions moved")
assert harm[128]["tensor"] > 20 * harm[1]["tensor"] and harm[128]["channel"] < 0.05
rows = [[name, channel, f"{ratio:.1f}"] for name, channel, ratio in methods.outliers(inputs, 4)]
table(rows, ["matrix", "its loudest input channel", "times the median channel"], f"Outliers of {MODEL} as it is")

# %% [markdown]
# ## AWQ: ask the inputs
#
# Weights that read a loud channel matter more, and rounding does not know it. *Activation-aware weight quantization* multiplies the weights of loud channels by s > 1 before rounding, so that their relative error shrinks, and divides the
# inputs by s, so that nothing else changes. The division costs nothing: it is folded into the norm before. s = (mean |x| of the channel)^α, and α is found by trying: the one whose outputs lose least on calibration texts.
#
# The other classic, **GPTQ**, rounds a matrix column by column and lets the columns still to come make up for the error, by the inverse of the Gram matrix (the "Hessian" of the paper). After the exercise both meet plain rounding
# (*round to nearest*) in the whole model, at equal size, with and without a planted outlier.
#
# ### Exercise 3: find the scale (12 minutes)
#
# `weight` (outputs × inputs), `inputs` (tokens × inputs), `quantize` takes and returns a matrix. For each α: s = mean |inputs| over the tokens, to the power α; the squared error of the outputs, inputs @ (quantize(weight · s) / s − weight)ᵀ.
# Return `(alpha, s, errors)`: the best α of the list, its s, and the error of every α.


# %% nbgrader={"grade_id": "l08_e3_awq", "solution": true}
def awq_scale(weight, inputs, quantize, alphas):
    """(the alpha whose outputs lose least, its scale of each input channel, the errors of all alphas)."""
    ### BEGIN SOLUTION
    scales = [inputs.abs().mean(0) ** alpha for alpha in alphas]
    changes = [quantize(weight * s) / s - weight for s in scales]
    errors = [(inputs @ change.T).square().sum().item() for change in changes]
    best = errors.index(min(errors))
    return alphas[best], scales[best], errors
    ### END SOLUTION


hints("l08_e3")

# %% nbgrader={"grade_id": "l08_e3_check", "grade": true, "points": 1}
check("l08_e3", awq_scale)

# %% nbgrader={"grade_id": "l08_e3_hidden", "grade": true, "points": 2}
# Hidden tests stand here when your work is graded: other matrices and widths.
### BEGIN HIDDEN TESTS
score_properties("l08_e3", awq_scale, points=2, seed=8301)
### END HIDDEN TESTS

# %% tags=["nbval-ignore-output"]
name = "model.layers.0.mlp.down_proj"
true = model.get_submodule(name).weight.data
by_hand = {"round to nearest": lab.rounded(true, 3), "GPTQ": methods.gptq(true, inputs[name], 3)}
out = {way: methods.relative_output_error(w, true, inputs[name]) for way, w in by_hand.items()}
rows = [[way, f"{lab.relative(w, true):.1%}", f"{out[way]:.1%}"] for way, w in by_hand.items()]
table(rows, ["3 bits", "error of the weights", "of the outputs"], name)
small = judge.of(methods.gptq_model(model, inputs, 3))
rows, kept = [], {}
for factor, bits in ((1, 4), (1, 3), (128, 4)):
    with methods.planted(model, (7, 133), factor):
        if factor > 1:
            inputs = None  # 50 MB, before the next
            inputs = methods.observe(model, tokenizer, texts.CALIBRATION)
        plain, better = methods.regained(judge, inputs, bits)
    kept[factor, bits] = plain.moved, better.moved
    name = f"{bits} bits" + (", planted outliers" if factor > 1 else "")
    rows.append([name, *plain.shown(), *better.shown(), f"{1 - better.moved / plain.moved:.0%}"])
header = ["", "plain: bits per byte", "plain: moved", "AWQ: bits per byte", "AWQ: moved", "regained"]
table(rows, header, f"Unquantized: {judge.exact.bits_per_byte:.3f} bits per byte; differences of 0.005 are chance")
assert kept[128, 4][1] < 0.8 * kept[128, 4][0], "AWQ must regain what the planted outliers cost"
assert kept[1, 3][1] < 1.1 * kept[1, 3][0]
del inputs
print(f"whole model, 3 bits: plain moved {kept[1, 3][0]:.4f}, AWQ {kept[1, 3][1]:.4f}, GPTQ {small.moved:.4f}")
assert small.moved < kept[1, 3][0], "error feedback must help the whole model"

# %% [markdown]
# GPTQ makes the weights *worse* and the outputs better: it is the outputs that count. AWQ gains little on a model without strong outliers, and most where there are some.
#
# ## Bits where they count
#
# Why give every part the same bits? The cell rounds one part at a time (the attention or the feed-forward block of one layer) and measures how far the predictions move. If these effects simply add up, the rest is a puzzle. (Small ones nearly do; the table shows where that ends.)
# Between two widths, equal bits leave bytes unused, and choosing pays most. At the size of equal 3 bits, what one part gets another must give: that gains only as much as the parts differ.
#
# ### Exercise 4: the bit puzzle (15 minutes)
#
# `bytes_of` and `error_of` map each part to `{bits: value}`. Return `{part: bits}` that costs at most `budget` bytes, with as little error in sum as you can. The very best is not needed: 90 %<!-- plan --> of what it saves over equal bits is enough. Then your
# bits go into `target` and are measured. The cell's `puzzle.best` is the reference.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import quantization_bits as puzzle

bytes_of = puzzle.sizes(model)
error_of = puzzle.sensitivities(lab.Judge(model, tokenizer, texts.CALIBRATION[:1]))
order = sorted(error_of, key=lambda part: -error_of[part][2])
rows = [[p, *[f"{x:.5f}" for x in error_of[p].values()], bytes_of[p][2]] for p in (*order[:3], *order[-3:])]
header = ["part", *[f"moved at {b} bits" for b in puzzle.WIDTHS], "bytes at 2 bits"]
table(rows, header, "The three most and least sensitive parts")
two, three = (sum(row[b] for row in bytes_of.values()) for b in (2, 3))
rows, found = [], []
for budget in ((two + three) // 2, three):
    for idea in (puzzle.uniform(bytes_of, budget), puzzle.best(bytes_of, error_of, budget)):
        score, size = judge.of(puzzle.weights(model, idea)), puzzle.total(bytes_of, idea)
        name = f"all {min(idea.values())} bits" if len(set(idea.values())) == 1 else "chosen"
        rows.append([budget, name, size, f"{puzzle.total(error_of, idea):.3f}", *score.shown()[::-1]])
        found.append(score.moved)
table(rows, ["budget", "bits", "bytes", "moved, predicted", "measured", "bits per byte"], "Same rounding, other bits")
assert found[1] < 0.7 * found[0] and found[3] < 1.05 * found[2], "chosen bits must beat equal ones"


# %% nbgrader={"grade_id": "l08_e4_bits", "solution": true}
def allocate(bytes_of, error_of, budget):
    """A width for each part, within the budget, with little error."""
    ### BEGIN SOLUTION
    chosen = {part: min(row) for part, row in bytes_of.items()}
    while True:
        left = budget - sum(bytes_of[part][bits] for part, bits in chosen.items())
        steps = []
        for part, row in bytes_of.items():
            for bits in row:
                cost = row[bits] - row[chosen[part]]
                if bits > chosen[part] and cost <= left:
                    steps.append(((error_of[part][chosen[part]] - error_of[part][bits]) / cost, part, bits))
        if not steps:
            return chosen
        _, part, bits = max(steps)
        chosen[part] = bits
    ### END SOLUTION


hints("l08_e4")

# %% nbgrader={"grade_id": "l08_e4_check", "grade": true, "points": 1}
check("l08_e4", allocate)

# %% nbgrader={"grade_id": "l08_e4_hidden", "grade": true, "points": 3}
# Hidden tests stand here when your work is graded: other puzzles, and the real model at another budget.
### BEGIN HIDDEN TESTS
score_properties("l08_e4", allocate, points=3, seed=8401)
### END HIDDEN TESTS

# %% [markdown]
# ## The libraries, on the same model
#
# Real libraries pack the same matrices; bytes are counted in their own layout, the rest at 16 bits (fp32: at 32). Speed is decoding after a short prompt on *this* machine. The reference table below has more of them, each in a fresh
# process; `benchmarks/l08_libraries.py` made it.
#
# GGUF is the file format of llama.cpp. The reference has its blocks as the package gguf makes them (which takes more memory than this page may use); what llama.cpp itself makes of `target` was recorded by `benchmarks/accuracy.py`. The cache of keys and values can be rounded as well: lesson 05 measures that, the last line here with transformers' own.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import quantization_libraries as libraries

rows, speed = [], {}
for name in ("fp32, as computed", "bf16", "NF4, bitsandbytes", "qint8, quanto", "qint4, quanto"):
    one = libraries.variant(name)
    if said := libraries.missing(one.library):
        print(said)
        continue
    found = libraries.tried(one, judge, tokenizer, texts.PROMPT)
    speed[name] = found.tokens_per_s
    rows.append([name, found.bytes, speed[name] and round(speed[name]), *found.score.shown()])
table(rows, ["weights", "bytes", "decoded tokens/s", "bits per byte", "moved"], f"{MODEL} by real libraries")
assert all(x > 0 for x in speed.values() if x is not None)
print(libraries.same_levels())
by_llama_cpp = libraries.llama_cpp_bytes(page.records.load("accuracy"))
print("by llama.cpp itself, embedding packed too:", ", ".join(f"{n} {b / 1e6:.1f} MB" for n, b in by_llama_cpp.items()))
print("a 4-bit cache:", libraries.cache_said(model, judge.ids[0]))

# %% [markdown]
# ## Which format, and where it runs
#
# Sizes are computed to the byte for a 32B model; what runs where is from the projects' own pages. A ★ has a correction below.

# %%
from lessonlib.calc import weights as sizes
from lessonlib.facts import catalog

notes = {
    "bf16": ("what most models are published in", "everywhere"),
    "fp8": ("8-bit floats, a scale a matrix", "newer GPUs compute in it"),
    "awq": ("scaled by inputs, groups of 128", "NVIDIA, AMD, Intel GPUs and CPUs ★"),
    "gptq": ("error feedback, groups of 128", "NVIDIA, AMD, Intel GPUs and CPUs ★"),
    "nf4": ("16 normal levels, blocks of 64", "NVIDIA and others by bitsandbytes"),
    "Q8_0": ("GGUF blocks of 32", "llama.cpp: CPUs and most GPUs ★"),
    "Q4_K_M": ("GGUF mixture of 4 and 6 bits", "llama.cpp: CPUs and most GPUs ★"),
    "Q2_K": ("GGUF mixture of 2 to 6 bits", "llama.cpp: CPUs and most GPUs ★"),
}
big = catalog.model("qwen2.5-coder-32b")
rows = []
for name, (how, where) in notes.items():
    rows.append([name, how, sizes.weights(big, name).total / 1e9, sizes.bits_per_parameter(big, name), where])
table(rows, ["format", "how", "GB of a 32B model", "bits a weight, all in all", "runs on"], big.name)

# %%
page.claims(["S06-018", "S06-019", "S06-022", "S06-024", "S06-030"], "Formats and kernels")
page.claims(["S06-001", "S06-002", "S06-003", "S06-004", "S06-005", "S06-006", "S06-007", "S06-008", "S06-010",
             "S06-013", "S06-014", "S06-015", "S06-016", "S06-026"], "Sizes and scores")  # fmt: skip

# %% [markdown]
# ## What breaks it
#
# **"Smaller is faster."** The table of libraries says otherwise for a small model on a processor: unpacking costs more than reading saves. On a GPU it depends on what is waited for. To write one token, a GPU reads all weights once and does
# little with each: time is bytes over *bandwidth* (bytes a second), and fewer bytes are faster. To read a prompt, each weight serves all its tokens: time is arithmetic (operations, *FLOPs*, over the card's peak), and that is the same, since kernels unpack 4 bits to 16 and multiply in 16. A batch of
# users lies between. The slower of the two is a ceiling that no engine passes, the *roofline*; the first table has it for a real model and card.
#
# Then a real kernel: torch's own product of 16-bit inputs and 4-bit weights beside its 16-bit product, on a matrix of Qwen3-1.7B's size. It gains where one row is multiplied and not where many are. The last table is the record of a
# GPU (`benchmarks/l08_int4_gpu.py`) on matrices of the 32B model. Below 1, the kernel loses: it was made for few rows. Engines take another one for prompts, which at best reaches the 1 of the first table.

# %% tags=["nbval-ignore-output"]
from lessonlib.labs import quantization_kernels as kernels

found = kernels.ceilings(big, catalog.gpu("h100-sxm"))
rows = [[r["what"], round(r["gb_16"], 1), round(r["gb_4"], 1), round(r["intensity_16"]), r["bound_16"], r["bound_4"],
         round(r["times_as_fast"], 2)] for r in found]  # fmt: skip
header = ["step", "GB, bf16", "GB, AWQ", "FLOPs a byte, bf16", "limit, bf16", "limit, AWQ", "times as fast, at most"]
table(rows, header, f"{big.name} on an H100 SXM, 1,024 tokens of context")
reveal("l08_p2", found[-1]["times_as_fast"], unit="times")
matrix = kernels.int4_matrix()
assert kernels.difference(matrix) < 0.02, "the kernel must give the product of the restored weights"
races = kernels.race(matrix)
rows = [[r.batch, 1e3 * min(r.bf16), 1e3 * min(r.int4), f"{r.times_as_fast:.2f}"] for r in races]
said = f"2048 × 2048: {matrix.restored.nbytes:,} bytes in bf16, {matrix.bytes:,} in int4"
table(rows, ["rows at once", "bf16, ms", "int4, ms", "times as fast"], said)
assert races[0].times_as_fast > races[-1].times_as_fast, "the gain must shrink as the batch grows"
del matrix
record = page.records.load("l08_int4_gpu")
if record is None:
    print("On a GPU: not measured yet. python benchmarks/l08_int4_gpu.py makes the record.")
else:
    table(*kernels.gains(record))

# %% [markdown]
# ## Calculator
#
# What does a model of your choice take, in the format of your choice, and on which card does it fit?

# %%
page.VRAMCalculator(format="awq")

# %% [markdown]
# ## Quiz

# %%
quiz("08_quantization")

# %% [markdown]
# ## Yours beside the reference
#
# The reference was made by `benchmarks/l08_libraries.py`, each variant in a fresh process. Compare ratios: bytes must agree, quality nearly, speed depends on the machine.

# %% tags=["nbval-ignore-output"]
mine = {"bits_per_byte_as_it_is": judge.exact.bits_per_byte, "moved_at_3_bits": kept[1, 3][0]}
mine |= {"moved_at_3_bits_awq": kept[1, 3][1], "moved_at_3_bits_gptq": small.moved}
mine |= {f"int4_over_bf16_at_batch_{race.batch}": race.times_as_fast for race in races}
mine["tokens_per_s_fp32"] = speed["fp32, as computed"]
assert all(value > 0 for value in mine.values())
compare("l08_libraries", mine)
record = page.records.load("l08_libraries")
header = ["variant", "bytes", "decoded tokens/s", "bits per byte", "moved"]
if record:
    table(libraries.recorded(record), header, f"target on {record['device']}, {record['date']}")

# %% [markdown]
# ## We learned
#
# 1. To **read** formats: sign, exponent and mantissa; levels; a scale shared by a block. By hand and by torch, all patterns equal.
# 2. To **quantize**: a scale (and zero point) for each group, packed to the bit; groups cost scales and save error.
# 3. To **measure**: bits per byte with its error, and how far predictions moved. One loud channel ruins a shared scale.
# 4. To **apply** AWQ and GPTQ: what counts is the error of the outputs; and bits belong where they help most.
# 5. To **say** it: decoding waits for bytes, prefill for arithmetic, and 4-bit kernels multiply in 16 bits.
#
# *Next:* inference engines, which run these models for many users.
#
# ## Corrections
#
# What the course's source text has differently, with the calculation or source that decides it.

# %%
corrections(["S06-009", "S06-011", "S06-012", "S06-017", "S06-020", "S06-021", "S06-023", "S06-025", "S06-027",
             "S06-028", "S06-029", "S06-031"])  # fmt: skip

# %% [markdown]
# ## Sources
#
# - Models, cards and every correction: the fact base of this course (`lessonlib/facts`), checked 2026-11-23.
# - T. Dettmers and others, [LLM.int8()](https://arxiv.org/abs/2208.07339), 2022: outlier channels of large models.
# - E. Frantar and others, [GPTQ](https://arxiv.org/abs/2210.17323), 2022: rounding with error feedback.
# - G. Xiao and others, [SmoothQuant](https://arxiv.org/abs/2211.10438), 2022: moving a scale from inputs to weights.
# - J. Lin and others, [AWQ](https://arxiv.org/abs/2306.00978), 2023: scales from activations.
# - T. Dettmers and others, [QLoRA](https://arxiv.org/abs/2305.14314), 2023: NF4.
# - P. Micikevicius and others, [FP8 formats](https://arxiv.org/abs/2209.05433), 2022; B. Rouhani and others, [Microscaling formats](https://arxiv.org/abs/2310.10537), 2023: MXFP4.
# - B. Jacob and others, [Integer-arithmetic-only inference](https://arxiv.org/abs/1712.05877), 2017: scale and zero point.
# - bitsandbytes 0.50, optimum-quanto 0.2.7, torchao 0.18, gguf 0.19, torch 2.13: read and run 2026-11-27.
