"""Right answers of lesson 02, written otherwise than the solution: the checks demand no style."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l02_e1_candidates",
        "torch",
        """import torch


def top_candidates(logits, count):
    x = torch.tensor(logits, dtype=torch.float64)
    p = torch.softmax(x, dim=0)
    return [[i, p[i]] for i in torch.argsort(x, descending=True, stable=True)[:count]]
""",
    ),
    RightAnswer(
        "l02_e1_candidates",
        "numpy",
        """import numpy as np


def top_candidates(logits, count):
    x = np.array(logits)
    p = np.exp(x - np.logaddexp.reduce(x))
    best = np.lexsort((np.arange(len(x)), -x))[:count]
    return list(zip(best, p[best]))
""",
    ),
    RightAnswer(
        "l02_e1_candidates",
        "one_by_one",
        """import math


def top_candidates(logits, count):
    left = dict(enumerate(logits))
    found, largest, total = [], None, 0.0
    while left:
        best = None
        for i, x in left.items():
            if best is None or x > left[best]:
                best = i
        x = left.pop(best)
        if largest is None:
            largest = x
        total += math.exp(x - largest)
        if len(found) < count:
            found.append((best, math.exp(x - largest)))
    return tuple((i, power / total) for i, power in found)
""",
    ),
    RightAnswer(
        "l02_e1_candidates",
        "decimals",
        """import heapq
from decimal import Decimal


def top_candidates(logits, count):
    powers = [Decimal(x).exp() for x in logits]
    total = sum(powers)
    best = heapq.nsmallest(count, range(len(logits)), key=lambda i: (-logits[i], i))
    return [(i, powers[i] / total) for i in best]
""",
    ),
    RightAnswer(
        "l02_e2_generate",
        "recursion",
        """def generate(next_logits, ids, new, stop):
    if new < 1:
        return []
    logits = list(next_logits(list(ids)))
    best = logits.index(max(logits))
    if best == stop:
        return [best]
    return [best] + generate(next_logits, [*ids, best], new - 1, stop)
""",
    ),
    RightAnswer(
        "l02_e2_generate",
        "torch",
        """import torch


def generate(next_logits, ids, new, stop):
    made = torch.tensor(list(ids), dtype=torch.long)
    for _ in range(new):
        best = torch.as_tensor(next_logits(made.tolist())).argmax()
        made = torch.cat((made, best.reshape(1)))
        if best == stop:
            return made[len(ids):]
    return made[len(ids):]
""",
    ),
    RightAnswer(
        "l02_e2_generate",
        "stream",
        """from itertools import islice


def generate(next_logits, ids, new, stop):
    def stream():
        text, last = tuple(ids), None
        while last is None or last != stop:
            row = enumerate(next_logits(list(text)))
            last, _ = max(row, key=lambda pair: pair[1])
            text += (last,)
            yield last

    return tuple(islice(stream(), new))
""",
    ),
    RightAnswer(
        "l02_e2_generate",
        "numpy",
        """import numpy as np


def generate(next_logits, ids, new, stop):
    size = len(ids)
    text = np.empty(size + new, dtype=np.int64)
    text[:size] = ids
    end = size
    while end < size + new and not (end > size and text[end - 1] == stop):
        text[end] = np.argmax(next_logits(text[:end].tolist()))
        end += 1
    return text[size:end]
""",
    ),
    RightAnswer(
        "l02_e3_measure",
        "torch",
        """import math

import torch


def measure(logits, ids, size):
    rows = torch.tensor(logits, dtype=torch.float64)[: len(ids) - 1]
    costs = torch.nn.functional.cross_entropy(rows, torch.tensor(ids[1:]), reduction="none")
    return torch.stack([costs.mean(), costs.sum() / (size * math.log(2))])
""",
    ),
    RightAnswer(
        "l02_e3_measure",
        "numpy",
        """import numpy as np


def measure(logits, ids, size):
    x, right = np.array(logits, dtype=np.float64)[:-1], np.array(ids)[1:]
    nats = np.logaddexp.reduce(x, axis=1) - np.take_along_axis(x, right[:, None], axis=1)[:, 0]
    return [nats.mean(), np.sum(nats / np.log(2)) / size]
""",
    ),
    RightAnswer(
        "l02_e3_measure",
        "bits_first",
        """import math


def measure(logits, ids, size):
    bits, predicted = 0, len(ids) - 1
    for i in range(predicted):
        row = logits[i]
        largest = max(row)
        total = math.fsum(math.exp(x - largest) for x in row)
        bits += math.log2(total) + (largest - row[ids[i + 1]]) * math.log2(math.e)
    return bits * math.log(2) / predicted, bits / size
""",
    ),
    RightAnswer(
        "l02_e3_measure",
        "decimals",
        """from decimal import Decimal


def measure(logits, ids, size):
    nats = Decimal(0)
    for place, right in enumerate(ids[1:]):
        powers = [Decimal(x).exp() for x in logits[place]]
        nats -= (powers[right] / sum(powers)).ln()
    return nats / (len(ids) - 1), nats / Decimal(2).ln() / size
""",
    ),
    RightAnswer(
        "l02_e4_learn",
        "autograd",
        """import torch


def learn(weights, hidden, right, rate):
    mine = weights.detach().clone().requires_grad_()
    loss = -torch.log_softmax(mine @ hidden, dim=0)[right]
    (slope,) = torch.autograd.grad(loss, mine)
    return weights - rate * slope
""",
    ),
    RightAnswer(
        "l02_e4_learn",
        "numpy",
        """import numpy as np
import torch


def learn(weights, hidden, right, rate):
    w, h = (t.detach().numpy().astype(np.float64) for t in (weights, hidden))
    logits = np.einsum("vw,w->v", w, h)
    p = np.exp(logits - logits.max())
    p /= p.sum()
    missing = np.where(np.arange(len(w)) == right, 1 - p, -p)
    return torch.from_numpy(w + rate * missing[:, None] * h[None, :])
""",
    ),
    RightAnswer(
        "l02_e4_learn",
        "rows",
        """import math

import torch


def learn(weights, hidden, right, rate):
    logits = [float(torch.dot(row, hidden)) for row in weights]
    largest = max(logits)
    total = sum(math.exp(x - largest) for x in logits)
    new = weights.detach().clone()
    for i, x in enumerate(logits):
        wanted = 1 if i == right else 0
        new[i] += rate * (wanted - math.exp(x - largest) / total) * hidden
    return new
""",
    ),
    RightAnswer(
        "l02_e4_learn",
        "float64",
        """import torch


def learn(weights, hidden, right, rate):
    w, h = weights.double(), hidden.double()
    one_hot = torch.nn.functional.one_hot(torch.tensor(right), len(w)).double()
    return torch.addr(w, torch.softmax(w.mv(h), 0) - one_hot, h, alpha=-rate)
""",
    ),
]
