"""Wrong answers of lesson 08, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

DECODE = """def decode(code, exponent_bits, mantissa_bits):
    sign = code >> (exponent_bits + mantissa_bits)
    exponent = (code >> mantissa_bits) & (2**exponent_bits - 1)
    mantissa = code & (2**mantissa_bits - 1)
    bias = {bias}
    if exponent == 0{subnormal}:
        value = mantissa / 2**mantissa_bits * 2.0 ** ({lowest} - bias)
    else:
        value = ({leading} + mantissa / 2**mantissa_bits) * 2.0 ** (exponent - bias)
    return {result}
"""
READ = dict(
    bias="2 ** (exponent_bits - 1) - 1", subnormal="", lowest="1", leading="1", result="-value if sign else value"
)  # fmt: skip
GROUPS = """def quantize_groups(weight, bits, group):
    most = {most}
    rows = {rows}
    low, high = rows.amin(1, keepdim=True){below}, rows.amax(1, keepdim=True){above}
    scale = {scale}
    zero = {zero}
    numbers = {numbers}
    restored = {restored}
    groups = weight.numel() // group
    return restored, {size}
"""
GROUPED = dict(
    most="2**bits - 1", rows="weight.reshape(-1, group)", below=".clamp(max=0)", above=".clamp(min=0)",
    scale="(high - low) / most", zero="(-low / scale).round()",
    numbers="((rows / scale).round() + zero).clamp(0, most)",
    restored="((numbers - zero) * scale).reshape(weight.shape)",
    size="(weight.numel() * bits + groups * (16 + bits)) // 8",
)  # fmt: skip
AWQ = """def awq_scale(weight, inputs, quantize, alphas):
    size = {size}
    found = []
    for alpha in alphas:
        s = size**alpha
        change = {change}
        found.append(({error}.square().sum().item(), alpha, s))
    error, alpha, s = {pick}
    return alpha, {scale}, [entry[0] for entry in found]
"""
SCALED = dict(
    size="inputs.abs().mean(0)", change="quantize(weight * s) / s - weight", error="(inputs @ change.T)",
    pick="min(found, key=lambda entry: entry[0])", scale="s",
)  # fmt: skip
BITS = """def allocate(bytes_of, error_of, budget):
    chosen = {{part: min(row) for part, row in bytes_of.items()}}
    while True:
        left = budget - sum(bytes_of[p][b] for p, b in chosen.items())
        steps = [
            ({gain}, p, b)
            for p, row in bytes_of.items() for b in row
            if b > chosen[p] and row[b] - row[chosen[p]] <= left
        ]
        if not steps:
            return chosen
        _, part, b = max(steps, key=lambda step: step[0])
        chosen[part] = b
"""
FREED = "(error_of[p][chosen[p]] - error_of[p][b])"
COST = "(bytes_of[p][b] - bytes_of[p][chosen[p]])"


def _decode(name, says, **change):
    return WrongAnswer("l08_e1_decode", name, DECODE.format(**{**READ, **change}), says)


def _groups(name, says, **change):
    return WrongAnswer("l08_e2_groups", name, GROUPS.format(**{**GROUPED, **change}), says)


def _awq(name, says, **change):
    return WrongAnswer("l08_e3_awq", name, AWQ.format(**{**SCALED, **change}), says)


def _bits(name, says, gain=None, code=None):
    return WrongAnswer("l08_e4_bits", name, code or BITS.format(gain=gain), says)


WRONG_ANSWERS = [
    _decode("no_sign", "the sign was left out", result="value"),
    _decode("no_leading_one", "the leading one is missing", leading="0"),
    _decode("no_subnormals", "exponent 0 marks a subnormal", subnormal=" and False"),
    _decode("subnormals_one_power_too_low", "a subnormal has the power 1 - bias", lowest="0"),
    _decode("bias_is_the_half", "one less than the half", bias="2 ** (exponent_bits - 1)"),
    _decode("no_bias", "the bias was not subtracted", bias="0"),
    WrongAnswer(
        "l08_e1_decode", "fields_in_the_wrong_order",
        "def decode(code, exponent_bits, mantissa_bits):\n"
        "    sign = code >> (exponent_bits + mantissa_bits)\n"
        "    mantissa = (code >> exponent_bits) & (2**mantissa_bits - 1)\n"
        "    exponent = code & (2**exponent_bits - 1)\n"
        "    bias = 2 ** (exponent_bits - 1) - 1\n"
        "    lead, power = (1, exponent - bias) if exponent else (0, 1 - bias)\n"
        "    return (-1) ** sign * (lead + mantissa / 2**mantissa_bits) * 2.0**power\n",
        "the fields are read in the wrong order",
    ),
    WrongAnswer(
        "l08_e1_decode", "whole_number", "def decode(code, exponent_bits, mantissa_bits):\n    return float(code)\n",
        "read as a whole number",
    ),
    _groups("one_scale_for_all", "one scale for the whole matrix", rows="weight.reshape(1, -1)"),
    _groups("one_scale_a_row", "one scale for a whole row", rows="weight"),
    _groups(
        "groups_of_outputs", "the groups run down the outputs", rows="weight.T.reshape(-1, group)",
        restored="((numbers - zero) * scale).reshape(weight.T.shape).T",
    ),
    _groups("range_without_zero", "the range must hold 0", below="", above=""),
    _groups(
        "absmax", "that is absmax", scale="rows.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1)",
        zero="0", numbers="(rows / scale).round()",
    ),
    _groups("one_step_too_many", "there are 2^bits - 1 steps", scale="(high - low) / 2**bits"),
    _groups("half_the_numbers", "half of the whole numbers stay unused", most="2 ** (bits - 1) - 1"),
    _groups("rounds_down", "rounded down", numbers="((rows / scale).floor() + zero).clamp(0, most)"),
    _groups("cuts_decimals", "the decimals are cut off", numbers="((rows / scale).int() + zero).clamp(0, most)"),
    _groups("zero_with_the_wrong_sign", "the wrong sign", zero="(low / scale).round()"),
    _groups("shifted_before_rounding", "shifted before rounding", numbers="((rows - low) / scale).round()"),
    _groups("whole_numbers", "those are the whole numbers", restored="numbers.reshape(weight.shape)"),
    _groups("zero_not_subtracted", "was not subtracted", restored="(numbers * scale).reshape(weight.shape)"),
    _groups("not_reshaped", "must have the shape of the weights", restored="(numbers - zero) * scale"),
    _groups("scales_and_zeros_for_free", "scales and zero points are missing", size="weight.numel() * bits // 8"),
    _groups("zeros_for_free", "the zero points are missing", size="weight.numel() * bits // 8 + 2 * groups"),
    _groups("wide_scales", "a scale takes 16 bits", size="(weight.numel() * bits + groups * (32 + bits)) // 8"),
    _groups("in_bits", "that is bits", size="weight.numel() * bits + groups * (16 + bits)"),
    _groups("a_byte_a_number", "not a whole byte", size="weight.numel() + 3 * groups"),
    _awq("peak", "not its peak", size="inputs.abs().amax(0)"),
    _awq("signed_mean", "mean of |x|", size="inputs.mean(0).abs()"),
    _awq("root_mean_square", "the root of the mean square", size="inputs.square().mean(0).sqrt()"),
    _awq("weights_decide", "the scale comes from the weights", size="weight.abs().mean(0)"),
    _awq("worst_alpha", "that is the worst alpha", pick="max(found, key=lambda entry: entry[0])"),
    _awq("weight_error", "compare outputs", error="change"),
    _awq("not_undone", "the scale is not undone", change="quantize(weight * s) - weight"),
    _awq("divides", "were divided by s", change="quantize(weight / s) * s - weight"),
    _awq("first_alpha", "the first alpha of the list", pick="found[0]"),
    _awq("last_alpha", "the last alpha of the list", pick="found[-1]"),
    _awq("one_number_for_all", "one number for all channels", size="inputs.abs().mean()"),
    _awq("scale_of_another_alpha", "keep the one that belongs to the best", scale="found[-1][2]"),
    _bits("uniform", "every part has the same width", code=(
        "def allocate(bytes_of, error_of, budget):\n"
        "    widths = next(iter(bytes_of.values()))\n"
        "    best = max(b for b in widths if sum(row[b] for row in bytes_of.values()) <= budget)\n"
        "    return {part: best for part in bytes_of}\n"
    )),
    _bits("over_budget", "over the budget", code=(
        "def allocate(bytes_of, error_of, budget):\n    return {part: max(row) for part, row in bytes_of.items()}\n"
    )),
    _bits("unspent", "the budget is not spent", code=(
        "def allocate(bytes_of, error_of, budget):\n    return {part: min(row) for part, row in bytes_of.items()}\n"
    )),
    _bits("error_alone", "not the error for each byte", gain=FREED),
    _bits("helps_least", "compare the signs", gain=f"-{FREED} / {COST}"),
    _bits("largest_first", "the largest parts were served first", gain=COST),
    _bits("in_order", "in the order of the table", code=(
        "def allocate(bytes_of, error_of, budget):\n"
        "    chosen = {part: min(row) for part, row in bytes_of.items()}\n"
        "    for part, row in bytes_of.items():\n"
        "        left = budget - sum(bytes_of[p][b] for p, b in chosen.items()) + row[chosen[part]]\n"
        "        chosen[part] = max(b for b in row if row[b] <= left)\n"
        "    return chosen\n"
    )),
    _bits("bits_between_widths", "only those in the table exist", code=(
        "def allocate(bytes_of, error_of, budget):\n    return {part: 2.5 for part in bytes_of}\n"
    )),
]  # fmt: skip
