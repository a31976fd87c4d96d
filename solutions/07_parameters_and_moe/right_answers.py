"""Right answers of lesson 07, written otherwise than the solution; the checks must give each of them full points."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l07_e1_count",
        "matrix_by_matrix",
        """
def count(shape):
    hidden = shape["hidden"]
    tensors = [("embedding", shape["vocabulary"], hidden)]
    for _ in range(shape["layers"]):
        for heads in ("heads", "kv_heads", "kv_heads", "heads"):
            tensors.append(("attention", hidden, shape[heads] * shape["head_dim"]))
        for _ in range(shape["experts"]):
            tensors += [("feed_forward", hidden, shape["feed_forward"])] * 3
        if shape["experts"] != 1:
            tensors.append(("router", hidden, shape["experts"]))
        tensors += [("norms", hidden, 1), ("norms", hidden, 1)]
    tensors.append(("norms", hidden, 1))
    if not shape["tied"]:
        tensors.append(("output", hidden, shape["vocabulary"]))
    total = dict.fromkeys(["embedding", "attention", "feed_forward", "router", "norms", "output"], 0)
    for group, rows, columns in tensors:
        total[group] += rows * columns
    return total
""",
    ),
    RightAnswer(
        "l07_e1_count",
        "numpy_integers",
        """
import numpy as np


def count(shape):
    s = {name: np.int64(value) for name, value in shape.items()}
    words = s["vocabulary"] * s["hidden"]
    in_a_layer = np.array(
        [
            2 * s["hidden"] * s["head_dim"] * (s["heads"] + s["kv_heads"]),
            3 * s["hidden"] * s["feed_forward"] * s["experts"],
            s["hidden"] * s["experts"] * (s["experts"] > 1),
            2 * s["hidden"],
        ]
    )
    attention, feed_forward, router, norms = in_a_layer * s["layers"]
    return dict(
        output=words * (1 - s["tied"]),
        norms=norms + s["hidden"],
        router=router,
        feed_forward=feed_forward,
        attention=attention,
        embedding=words,
    )
""",
    ),
    RightAnswer(
        "l07_e1_count",
        "tensors_without_memory",
        """
from collections import Counter


def count(shape):
    n, d = shape["hidden"], shape["head_dim"]

    def size(*axes):
        return torch.empty(axes, device="meta").numel()

    layer = Counter(
        attention=2 * size(shape["heads"] * d, n) + 2 * size(shape["kv_heads"] * d, n),
        feed_forward=3 * size(shape["experts"], shape["feed_forward"], n),
        router=0 if shape["experts"] == 1 else size(shape["experts"], n),
        norms=size(2, n),
    )
    total = Counter(embedding=size(shape["vocabulary"], n), router=0, norms=size(n), output=0)
    for _ in range(shape["layers"]):
        total.update(layer)
    if not shape["tied"]:
        total["output"] = total["embedding"]
    return total
""",
    ),
    RightAnswer(
        "l07_e1_count",
        "tensor_scalars",
        """
def count(shape):
    hidden, layers, experts = (torch.tensor(shape[name]) for name in ("hidden", "layers", "experts"))
    words = torch.tensor(shape["vocabulary"]) * hidden
    q, kv = shape["heads"] * shape["head_dim"], shape["kv_heads"] * shape["head_dim"]
    return {
        "embedding": words,
        "attention": (hidden * q + hidden * kv) * 2 * layers,
        "feed_forward": hidden * shape["feed_forward"] * (layers * 3) * experts,
        "router": torch.where(experts > 1, layers * hidden * experts, 0),
        "norms": hidden + layers * hidden * 2,
        "output": words * (not shape["tied"]),
    }
""",
    ),
    RightAnswer(
        "l07_e2_law",
        "by_hand",
        """
import math


def power_law(x, losses):
    u, v = [math.log2(value) for value in x], [math.log2(value) for value in losses]
    middle_u, middle_v = math.fsum(u) / len(u), math.fsum(v) / len(v)
    together = alone = 0.0
    for a, b in zip(u, v):
        together += (a - middle_u) * (b - middle_v)
        alone += (a - middle_u) ** 2
    exponent = -together / alone
    return [2 ** (middle_v + exponent * middle_u), exponent]
""",
    ),
    RightAnswer(
        "l07_e2_law",
        "statistics",
        """
import math
import statistics


def power_law(x, losses):
    line = statistics.linear_regression(list(map(math.log10, x)), list(map(math.log10, losses)))
    return 10**line.intercept, -line.slope
""",
    ),
    RightAnswer(
        "l07_e2_law",
        "torch_least_squares",
        """
def power_law(x, losses):
    u, v = (torch.tensor(values, dtype=torch.float64).log() for values in (x, losses))
    table_of_x = torch.stack([torch.ones_like(u), -u], dim=1)
    start, exponent = torch.linalg.lstsq(table_of_x, v[:, None]).solution.flatten()
    return torch.stack([start.exp(), exponent])
""",
    ),
    RightAnswer(
        "l07_e2_law",
        "fractions",
        """
import math
from fractions import Fraction


def power_law(x, losses):
    u, v = [[Fraction(math.log(value)) for value in values] for values in (x, losses)]
    n, uv, uu = len(u), sum(a * b for a, b in zip(u, v)), sum(a * a for a in u)
    slope = (n * uv - sum(u) * sum(v)) / (n * uu - sum(u) ** 2)
    return math.exp((sum(v) - slope * sum(u)) / n), -slope
""",
    ),
    RightAnswer(
        "l07_e3_route",
        "softmax_of_the_best",
        """
def route(logits, k):
    best = logits.topk(k, dim=-1)
    return torch.zeros_like(logits).scatter(-1, best.indices, best.values.softmax(-1))
""",
    ),
    RightAnswer(
        "l07_e3_route",
        "loop",
        """
import math


def route(logits, k):
    weights = []
    for row in logits.tolist():
        order = sorted(range(len(row)), key=lambda expert: -row[expert])[:k]
        powers = {expert: math.exp(row[expert] - row[order[0]]) for expert in order}
        whole = sum(powers.values())
        weights.append([powers.get(expert, 0.0) / whole for expert in range(len(row))])
    return torch.tensor(weights, dtype=torch.float64)
""",
    ),
    RightAnswer(
        "l07_e3_route",
        "numpy",
        """
import numpy as np


def route(logits, k):
    x = logits.detach().cpu().double().numpy()
    best = np.argpartition(-x, k - 1, axis=1)[:, :k]
    chosen = np.take_along_axis(x, best, axis=1)
    chosen = np.exp(chosen - chosen.max(axis=1, keepdims=True))
    weights = np.zeros(x.shape, dtype=np.float32)
    np.put_along_axis(weights, best, (chosen / chosen.sum(axis=1, keepdims=True)).astype(np.float32), axis=1)
    return torch.from_numpy(weights)
""",
    ),
    RightAnswer(
        "l07_e3_route",
        "one_after_the_other",
        """
def route(logits, k):
    left = logits.clone()
    chosen = torch.zeros_like(logits, dtype=torch.bool)
    tokens = torch.arange(len(logits), device=logits.device)
    for _ in range(k):
        best = left.argmax(dim=1)
        chosen[tokens, best] = True
        left[tokens, best] = float("-inf")
    return logits.masked_fill(~chosen, float("-inf")).softmax(dim=1)
""",
    ),
    RightAnswer(
        "l07_e4_memory",
        "fractions",
        """
from fractions import Fraction


def memory(rest, expert, layers, experts, per_token, tokens, bits):
    missed = Fraction(1)
    for _ in range(tokens):
        missed *= Fraction(experts - per_token, experts)
    one = Fraction(bits) / 8
    parameters = rest + layers * experts * expert
    return parameters * one, (parameters - layers * experts * missed * expert) * one
""",
    ),
    RightAnswer(
        "l07_e4_memory",
        "token_by_token",
        """
def memory(rest, expert, layers, experts, per_token, tokens, bits):
    touched = 0.0
    for _ in range(tokens):
        touched += per_token * (experts - touched) / experts
    held = read = rest * bits / 8
    for _ in range(layers):
        held += experts * expert * bits / 8
        read += touched * expert * bits / 8
    return held, read
""",
    ),
    RightAnswer(
        "l07_e4_memory",
        "numpy",
        """
import numpy as np


def memory(rest, expert, layers, experts, per_token, tokens, bits):
    missed = np.power(1 - np.float64(per_token) / experts, tokens)
    used = np.array([experts, experts * (1 - missed)])
    return (rest + used * layers * expert) * (bits / 8)
""",
    ),
    RightAnswer(
        "l07_e4_memory",
        "choices_counted",
        """
from fractions import Fraction
from math import comb


def memory(rest, expert, layers, experts, per_token, tokens, bits):
    ways, ways_without_it = comb(experts, per_token), comb(experts - 1, per_token)
    chosen = 1 - Fraction(ways_without_it, ways) ** tokens
    held = torch.tensor(rest + layers * experts * expert, dtype=torch.float64)
    read = torch.tensor(rest + float(chosen * layers * experts * expert), dtype=torch.float64)
    return held / 8 * bits, read / 8 * bits
""",
    ),
]
