"""Right answers of lesson 06, written otherwise than the solution; the checks must give each of them full points."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l06_e1_temperature",
        "plain",
        """
import math


def probabilities(logits, temperature):
    numbers = logits.tolist()
    most = max(numbers)
    if temperature == 0:
        first = numbers.index(most)
        return [1.0 if token == first else 0.0 for token in range(len(numbers))]
    powers = [math.exp((number - most) / temperature) for number in numbers]
    whole = math.fsum(powers)
    return [power / whole for power in powers]
""",
    ),
    RightAnswer(
        "l06_e1_temperature",
        "numpy",
        """
import numpy as np


def probabilities(logits, temperature):
    x = np.asarray(logits.detach().cpu(), dtype=np.float64)
    if not temperature:
        return (np.arange(x.size) == np.argmax(x)).astype(np.float64)
    x = (x - x.max()) / temperature
    return np.exp(x - np.log(np.exp(x).sum()))
""",
    ),
    RightAnswer(
        "l06_e1_temperature",
        "torch_softmax",
        """
def probabilities(logits, temperature):
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(), len(logits)).to(logits.dtype)
    return torch.softmax((logits.double() - logits.max()) / temperature, dim=0)
""",
    ),
    RightAnswer(
        "l06_e1_temperature",
        "from_log_probabilities",
        """
def probabilities(logits, temperature):
    if temperature > 0:
        return (logits.double().log_softmax(-1) / temperature).softmax(-1).float()
    first = torch.nonzero(logits == logits.max())[0]
    return (torch.arange(len(logits), device=logits.device) == first).float()
""",
    ),
    RightAnswer(
        "l06_e2_nucleus",
        "loop",
        """
def top_p(logits, p):
    shares = logits.double().softmax(-1).tolist()
    kept, reached = set(), 0.0
    for token in sorted(range(len(shares)), key=shares.__getitem__, reverse=True):
        if kept and reached >= p < 1:
            break
        kept.add(token)
        reached += shares[token]
    return [logit if token in kept else float("-inf") for token, logit in enumerate(logits.tolist())]
""",
    ),
    RightAnswer(
        "l06_e2_nucleus",
        "numpy",
        """
import numpy as np


def top_p(logits, p):
    x = logits.detach().cpu().float().numpy()
    if p >= 1:
        return x.copy()
    order = np.argsort(-x, kind="stable")
    powers = np.exp(x[order].astype(np.float64) - x.max())
    sums = np.cumsum(powers / powers.sum())
    count = min(len(x), int(np.searchsorted(sums, p)) + 1)
    kept = np.full(len(x), -np.inf)
    kept[order[:count]] = x[order[:count]]
    return kept
""",
    ),
    RightAnswer(
        "l06_e2_nucleus",
        "fractions_from_the_tail",
        """
import math
from fractions import Fraction


def top_p(logits, p):
    most = logits.max().item()
    weights = [Fraction(math.exp(logit - most)) for logit in logits.tolist()]
    spare = (1 - Fraction(p)) * sum(weights)
    kept = logits.clone()
    for token in sorted(range(len(weights)), key=weights.__getitem__)[:-1]:
        if weights[token] > spare:
            break
        spare -= weights[token]
        kept[token] = -math.inf
    return kept
""",
    ),
    RightAnswer(
        "l06_e2_nucleus",
        "heap",
        """
import heapq


def top_p(logits, p):
    heap = [(-share, token) for token, share in enumerate(logits.double().softmax(0).tolist())]
    heapq.heapify(heap)
    mask = torch.ones(len(logits), dtype=torch.bool, device=logits.device)
    missing = 1.0 if p >= 1 else p
    while heap:
        share, token = heapq.heappop(heap)
        mask[token] = False
        missing += share
        if missing <= 0 and p < 1:
            break
    return logits.masked_fill(mask, float("-inf"))
""",
    ),
    RightAnswer(
        "l06_e3_penalty",
        "masks",
        """
def repetition_penalty(logits, seen, penalty):
    tokens = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
    tokens[torch.tensor(seen, dtype=torch.long)] = True
    lower = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(tokens, lower, logits)
""",
    ),
    RightAnswer(
        "l06_e3_penalty",
        "numpy",
        """
import numpy as np


def repetition_penalty(logits, seen, penalty):
    x = np.array(logits.tolist())
    places = np.unique(np.asarray(seen, dtype=np.int64))
    x[places] *= np.where(x[places] > 0, 1 / penalty, penalty)
    return x
""",
    ),
    RightAnswer(
        "l06_e3_penalty",
        "comprehension",
        """
def repetition_penalty(logits, seen, penalty):
    def lower(logit):
        return logit * penalty if logit < 0 else logit / penalty

    text = set(seen)
    return [lower(logit) if token in text else logit for token, logit in enumerate(logits.tolist())]
""",
    ),
    RightAnswer(
        "l06_e3_penalty",
        "fractions",
        """
from fractions import Fraction


def repetition_penalty(logits, seen, penalty):
    exact, factor = [Fraction(logit) for logit in logits.tolist()], Fraction(penalty)
    for token in frozenset(seen):
        exact[token] *= factor if exact[token] < 0 else 1 / factor
    return exact
""",
    ),
    RightAnswer(
        "l06_e3_penalty",
        "power_of_the_sign",
        """
def repetition_penalty(logits, seen, penalty):
    once = torch.tensor(sorted(set(seen)), dtype=torch.long, device=logits.device)
    chosen = logits.double()[once]
    return logits.double().index_copy(0, once, chosen * penalty ** -chosen.sign())
""",
    ),
    RightAnswer(
        "l06_e4_allowed",
        "what_is_left",
        """
def allowed_tokens(tokens, end, choices, written):
    left = [choice[len(written) :] for choice in choices if choice[: len(written)] == written]
    fits = {
        token
        for rest in left
        for token, text in enumerate(tokens)
        if text and token != end and rest[: len(text)] == text
    }
    if "" in left:
        fits.add(end)
    return tuple(sorted(fits))
""",
    ),
    RightAnswer(
        "l06_e4_allowed",
        "all_beginnings",
        """
import numpy as np


def allowed_tokens(tokens, end, choices, written):
    beginnings = set()
    for choice in choices:
        for length in range(len(choice) + 1):
            beginnings.add(choice[:length])
    allowed = np.array([text != "" and written + text in beginnings for text in tokens], dtype=bool)
    allowed[end] = any(choice == written for choice in choices)
    return np.flatnonzero(allowed)
""",
    ),
    RightAnswer(
        "l06_e4_allowed",
        "tree_of_letters",
        """
def allowed_tokens(tokens, end, choices, written):
    root = {}
    for choice in choices:
        node = root
        for letter in choice:
            node = node.setdefault(letter, {})
        node["whole"] = True

    def walk(node, text):
        if node is None or not text:
            return node
        return walk(node.get(text[0]), text[1:])

    here = walk(root, written)
    if here is None:
        return []
    allowed = [i for i, text in enumerate(tokens) if i != end and text and walk(here, text) is not None]
    return sorted([end, *allowed] if "whole" in here else allowed)
""",
    ),
    RightAnswer(
        "l06_e4_allowed",
        "bisection",
        """
from bisect import bisect_left, insort


def allowed_tokens(tokens, end, choices, written):
    ordered, allowed = sorted(choices), []
    for token, text in enumerate(tokens):
        if not text or token == end:
            continue
        place = bisect_left(ordered, written + text)
        if place < len(ordered) and ordered[place].startswith(written + text):
            allowed.append(token)
    if choices.count(written):
        insort(allowed, end)
    return torch.tensor(allowed, dtype=torch.long)
""",
    ),
]
