"""Right answers of lesson 08, written otherwise than the solution; the checks must give each of them full points."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l08_e1_decode",
        "string",
        """
def decode(code, exponent_bits, mantissa_bits):
    text = format(code, f"0{1 + exponent_bits + mantissa_bits}b")
    minus, field, rest = text[0] == "1", text[1 : 1 + exponent_bits], text[1 + exponent_bits :]
    value = 1.0 if "1" in field else 0.0
    for place, bit in enumerate(rest, start=1):
        if bit == "1":
            value += 0.5**place
    bias = int("0" + "1" * (exponent_bits - 1), 2)
    value *= 2.0 ** (max(int(field, 2), 1) - bias)
    return -value if minus else value
""",
    ),
    RightAnswer(
        "l08_e1_decode",
        "fractions",
        """
from fractions import Fraction


def decode(code, exponent_bits, mantissa_bits):
    fields, mantissa = divmod(code, 2**mantissa_bits)
    sign, exponent = divmod(fields, 2**exponent_bits)
    steps = mantissa + (2**mantissa_bits if exponent else 0)
    power = max(exponent, 1) - 2**exponent_bits // 2 + 1 - mantissa_bits
    return Fraction(-steps if sign else steps) * Fraction(2) ** power
""",
    ),
    RightAnswer(
        "l08_e1_decode",
        "numpy",
        """
import numpy as np


def decode(code, exponent_bits, mantissa_bits):
    step = 1 << mantissa_bits
    exponent = code // step % (1 << exponent_bits)
    whole = code % step + step * (exponent > 0)
    size = np.ldexp(np.float64(whole), max(exponent, 1) - (1 << (exponent_bits - 1)) + 1 - mantissa_bits)
    return np.copysign(size, -1.0 if code >> (exponent_bits + mantissa_bits) else 1.0)
""",
    ),
    RightAnswer(
        "l08_e1_decode",
        "counted_up",
        """
def decode(code, exponent_bits, mantissa_bits):
    half = 2 ** (exponent_bits + mantissa_bits)
    if code >= half:
        return -decode(code - half, exponent_bits, mantissa_bits)
    row = 2**mantissa_bits
    step = 2.0 ** (2 - 2 ** (exponent_bits - 1) - mantissa_bits)
    value = 0.0
    while code > row:
        value += row * step
        code -= row
        if value > row * step:
            step *= 2
    return value + code * step
""",
    ),
    RightAnswer(
        "l08_e2_groups",
        "loop",
        """
import numpy as np


def quantize_groups(weight, bits, group):
    source = weight.detach().cpu().double().numpy()
    restored, stored = np.zeros_like(source), 0
    for row, numbers in enumerate(source):
        for start in range(0, len(numbers), group):
            part = numbers[start : start + group]
            low, high = min(0.0, part.min()), max(0.0, part.max())
            stored += bits * len(part) + 16 + bits
            if low == high:
                continue
            scale = (high - low) / (2**bits - 1)
            zero = np.rint(-low / scale)
            whole = np.clip(np.rint(part / scale) + zero, 0, 2**bits - 1)
            restored[row, start : start + group] = (whole - zero) * scale
    return restored, stored / 8
""",
    ),
    RightAnswer(
        "l08_e2_groups",
        "nearest_level",
        """
from fractions import Fraction


def quantize_groups(weight, bits, group):
    parts = weight.double().unfold(1, group, group)
    low, high = parts.amin(-1, keepdim=True).clamp(max=0), parts.amax(-1, keepdim=True).clamp(min=0)
    scale = (high - low) / (2**bits - 1)
    scale = scale.where(scale > 0, torch.ones_like(scale))
    levels = (torch.arange(2**bits, device=weight.device) - torch.round(-low / scale)) * scale
    nearest = (parts[..., None] - levels[..., None, :]).abs().argmin(-1)
    restored = levels.gather(-1, nearest).flatten(1)
    numbers = Fraction(bits, 8) * weight.numel()
    return restored, numbers + (2 + Fraction(bits, 8)) * (weight.numel() // group)
""",
    ),
    RightAnswer(
        "l08_e2_groups",
        "torch_own",
        """
import numpy as np


def quantize_groups(weight, bits, group):
    rows, most = weight.float().contiguous().view(-1, group), 2**bits - 1
    none = rows.new_zeros(len(rows), 1)
    low, high = torch.cat([rows, none], 1).aminmax(dim=1)
    scale = ((high - low) / most).clamp(min=1e-30)
    zero = torch.round(-low / scale).int()
    restored = torch.fake_quantize_per_channel_affine(rows, scale, zero, 0, 0, most)
    return restored.view_as(weight), np.int64(rows.numel() * bits + len(rows) * (16 + bits)) // 8
""",
    ),
    RightAnswer(
        "l08_e2_groups",
        "plain_lists",
        """
import math


def quantize_groups(weight, bits, group):
    most, restored, groups = 2**bits - 1, [], 0

    def one(part):
        low, high = min(0.0, *part), max(0.0, *part)
        scale = (high - low) / most or 1.0
        zero = math.floor(-low / scale + 0.5)
        whole = [sorted((0, math.floor(w / scale + 0.5) + zero, most))[1] for w in part]
        return [(number - zero) * scale for number in whole]

    for row in weight.tolist():
        parts = [row[start : start + group] for start in range(0, len(row), group)]
        groups += len(parts)
        restored.append([w for part in parts for w in one(part)])
    return torch.tensor(restored), 2 * groups + (weight.numel() + groups) * bits / 8
""",
    ),
    RightAnswer(
        "l08_e3_awq",
        "gram_matrix",
        """
def awq_scale(weight, inputs, quantize, alphas):
    x = inputs.double()
    gram = x.T @ x
    loudness = x.abs().sum(0) / len(x)
    best, errors = None, []
    for alpha in alphas:
        s = loudness.pow(alpha)
        change = quantize((weight * s).to(weight.dtype)).double() / s - weight
        errors.append(((change @ gram) * change).sum())
        if best is None or errors[-1] < best[0]:
            best = errors[-1], alpha, s
    return best[1], best[2], torch.stack(errors)
""",
    ),
    RightAnswer(
        "l08_e3_awq",
        "numpy",
        """
import numpy as np


def awq_scale(weight, inputs, quantize, alphas):
    w, x = (t.detach().cpu().double().numpy() for t in (weight, inputs))
    s = np.abs(x).mean(axis=0) ** np.asarray(alphas)[:, None]
    errors = np.empty(len(alphas))
    for row, scale in enumerate(s):
        rounded = quantize(torch.from_numpy(w * scale).to(weight)).detach().cpu().double().numpy()
        errors[row] = np.linalg.norm(x @ (rounded / scale - w).T) ** 2
    best = errors.argmin()
    return np.float64(alphas[best]), s[best], errors
""",
    ),
    RightAnswer(
        "l08_e3_awq",
        "token_by_token",
        """
def awq_scale(weight, inputs, quantize, alphas):
    mean = sum(token.abs() for token in inputs) / len(inputs)
    tried = {}
    for alpha in alphas:
        s = mean**alpha
        ours = quantize(weight * s)
        lost = 0.0
        for token in inputs:
            lost += float(((ours @ (token / s) - weight @ token) ** 2).sum())
        tried[alpha] = lost
    best = min(tried, key=tried.get)
    return best, (mean**best).tolist(), tuple(tried[alpha] for alpha in alphas)
""",
    ),
    RightAnswer(
        "l08_e4_bits",
        "every_budget",
        """
import math

import numpy as np


def allocate(bytes_of, error_of, budget):
    unit = math.gcd(*(size for row in bytes_of.values() for size in row.values()))
    room = int(budget) // unit
    least, widths = np.zeros(room + 1), []
    for part, row in bytes_of.items():
        options = sorted(row)
        after = np.full((len(options), room + 1), np.inf)
        for place, bits in enumerate(options):
            cost = row[bits] // unit
            if cost <= room:
                after[place, cost:] = least[: room + 1 - cost] + error_of[part][bits]
        widths.append((part, options, after.argmin(0).astype(np.int8)))
        least = after.min(0)
    chosen = {}
    for part, options, choice in reversed(widths):
        chosen[part] = options[choice[room]]
        room -= bytes_of[part][chosen[part]] // unit
    return chosen
""",
    ),
    RightAnswer(
        "l08_e4_bits",
        "price_of_a_byte",
        """
import numpy as np


def allocate(bytes_of, error_of, budget):
    def shopping(price):
        return {
            part: min(row, key=lambda bits: (error_of[part][bits] + price * row[bits], row[bits]))
            for part, row in bytes_of.items()
        }

    def size(chosen):
        return sum(bytes_of[part][bits] for part, bits in chosen.items())

    cheap, dear = 1e-30, 1e30
    for _ in range(200):
        price = (cheap * dear) ** 0.5
        if size(shopping(price)) > budget:
            cheap = price
        else:
            dear = price
    chosen = shopping(dear)
    while True:
        left = budget - size(chosen)
        better = [
            (error_of[part][chosen[part]] - error_of[part][bits], part, bits)
            for part, row in bytes_of.items()
            for bits in row
            if row[bits] - row[chosen[part]] <= left and error_of[part][bits] < error_of[part][chosen[part]]
        ]
        if not better:
            return {part: np.int64(bits) for part, bits in chosen.items()}
        _, part, bits = max(better)
        chosen[part] = bits
""",
    ),
    RightAnswer(
        "l08_e4_bits",
        "down_from_the_top",
        """
def allocate(bytes_of, error_of, budget):
    chosen = {part: max(row) for part, row in bytes_of.items()}

    def used():
        return sum(bytes_of[part][bits] for part, bits in chosen.items())

    while used() > budget:
        harm = {}
        for part, now in chosen.items():
            for bits in bytes_of[part]:
                if bits < now:
                    saved = bytes_of[part][now] - bytes_of[part][bits]
                    harm[part, bits] = (error_of[part][bits] - error_of[part][now]) / saved
        part, bits = min(harm, key=harm.get)
        chosen[part] = bits
    moved = True
    while moved:
        moved = False
        for part in sorted(chosen, key=lambda part: -error_of[part][chosen[part]]):
            free = budget - used() + bytes_of[part][chosen[part]]
            best = min((b for b, size in bytes_of[part].items() if size <= free), key=error_of[part].get)
            if error_of[part][best] < error_of[part][chosen[part]]:
                chosen[part], moved = best, True
    return chosen
""",
    ),
]
