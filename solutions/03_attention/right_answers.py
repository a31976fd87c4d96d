"""Right answers of lesson 03, written otherwise than the solution: the checks demand no style."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l03_e1_weights",
        "loops",
        """import math

import torch


def attention_weights(q, keys):
    batch, heads, length, size = q.shape
    shares = torch.zeros(batch, heads, length, length)
    for b in range(batch):
        for h in range(heads):
            for query in range(length):
                seen = keys[b, h, : query + 1]
                scores = [float(torch.dot(q[b, h, query], key)) / math.sqrt(size) for key in seen]
                powers = [math.exp(score - max(scores)) for score in scores]
                for key, power in enumerate(powers):
                    shares[b, h, query, key] = power / sum(powers)
    return shares
""",
    ),
    RightAnswer(
        "l03_e1_weights",
        "numpy",
        """import numpy as np


def attention_weights(q, keys):
    size, length = q.shape[-1], q.shape[-2]
    scores = np.einsum("bhld,bhsd->bhls", q.double().numpy(), keys.double().numpy()) * size**-0.5
    scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
""",
    ),
    RightAnswer(
        "l03_e1_weights",
        "values_that_show",
        """import torch


def attention_weights(q, keys):
    length = q.shape[2]
    one_each = torch.eye(length, dtype=q.dtype).expand(*q.shape[:2], length, length)
    return torch.nn.functional.scaled_dot_product_attention(q, keys, one_each, is_causal=True)
""",
    ),
    RightAnswer(
        "l03_e1_weights",
        "added_mask",
        """import math

import torch


def attention_weights(q, keys):
    L, D = q.shape[2], q.shape[3]
    place = torch.arange(L)
    mask = torch.zeros(L, L, dtype=torch.float64)
    mask[place[:, None] < place[None, :]] = -math.inf
    scores = torch.matmul(q.double() / D**0.25, keys.double().transpose(-2, -1) / D**0.25) + mask
    return torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
""",
    ),
    RightAnswer(
        "l03_e2_rotate",
        "complex",
        """import torch


def rotate(x, positions, speeds):
    half = x.shape[-1] // 2
    points = torch.complex(x[..., :half].double(), x[..., half:].double())
    angles = positions.double()[:, None] * speeds.double()[None, :]
    turned = points * torch.exp(1j * angles)
    return torch.cat([turned.real, turned.imag], dim=-1)
""",
    ),
    RightAnswer(
        "l03_e2_rotate",
        "rotate_half",
        """import torch


def rotate(x, positions, speeds):
    angles = torch.einsum("l,i->li", positions.to(x.dtype), torch.cat([speeds, speeds]).to(x.dtype))
    a, b = x.tensor_split(2, dim=-1)
    return x * torch.cos(angles) + torch.cat((-b, a), dim=-1) * torch.sin(angles)
""",
    ),
    RightAnswer(
        "l03_e2_rotate",
        "loops",
        """import math


def rotate(x, positions, speeds):
    new, half = x.clone(), len(speeds)
    for place, position in enumerate(positions.tolist()):
        for i, speed in enumerate(speeds.tolist()):
            cos, sin = math.cos(position * speed), math.sin(position * speed)
            a, b = x[:, :, place, i], x[:, :, place, i + half]
            new[:, :, place, i] = a * cos - b * sin
            new[:, :, place, i + half] = b * cos + a * sin
    return new
""",
    ),
    RightAnswer(
        "l03_e2_rotate",
        "numpy_matrices",
        """import numpy as np


def rotate(x, positions, speeds):
    rows, half = x.double().numpy(), x.shape[-1] // 2
    turns = np.zeros((len(positions), 2 * half, 2 * half))
    pair = np.arange(half)
    angles = np.outer(positions.numpy(), speeds.double().numpy())
    turns[:, pair, pair] = turns[:, pair + half, pair + half] = np.cos(angles)
    turns[:, pair, pair + half] = -np.sin(angles)
    turns[:, pair + half, pair] = np.sin(angles)
    return np.einsum("lij,bhlj->bhli", turns, rows)
""",
    ),
    RightAnswer(
        "l03_e3_scores",
        "loops",
        """def head_scores(weights, back):
    scores = []
    for head in weights.tolist():
        shares = [row[query - back] for query, row in enumerate(head) if query >= back]
        scores.append(sum(shares) / len(shares))
    return scores
""",
    ),
    RightAnswer(
        "l03_e3_scores",
        "diagonal",
        """import torch


def head_scores(weights, back):
    return torch.diagonal(weights, offset=-back, dim1=-2, dim2=-1).mean(dim=-1)
""",
    ),
    RightAnswer(
        "l03_e3_scores",
        "numpy_mask",
        """import numpy as np


def head_scores(weights, back):
    mask = np.eye(weights.shape[1], weights.shape[2], k=-back)
    return np.einsum("hls,ls->h", weights.double().numpy(), mask) / mask.sum()
""",
    ),
    RightAnswer(
        "l03_e3_scores",
        "fractions",
        """from fractions import Fraction


def head_scores(weights, back):
    tokens = weights.shape[1]
    return tuple(
        sum(Fraction(head[query, query - back].item()) for query in range(back, tokens)) / (tokens - back)
        for head in weights
    )
""",
    ),
    RightAnswer(
        "l03_e4_cost",
        "two_products",
        """def product(rows, inner, columns):
    return 2 * rows * inner * columns


def attention_cost(shape, tokens, bytes_per_value):
    held, flops = 0, 0
    for _ in range(shape["heads"]):
        held += tokens**2 * bytes_per_value
    for _ in range(shape["layers"] * shape["heads"]):
        flops += product(tokens, shape["head_dim"], tokens)
        flops += product(tokens, tokens, shape["head_dim"])
    return [held, flops]
""",
    ),
    RightAnswer(
        "l03_e4_cost",
        "numpy",
        """import numpy as np


def attention_cost(shape, tokens, bytes_per_value):
    square = np.float64(tokens) ** 2 * shape["heads"]
    return np.array([square * bytes_per_value, square * shape["head_dim"] * shape["layers"] * 4])
""",
    ),
    RightAnswer(
        "l03_e4_cost",
        "torch",
        """import torch


def attention_cost(shape, tokens, bytes_per_value):
    scores = torch.empty(shape["heads"], tokens, tokens, device="meta")
    multiply_adds = scores.numel() * shape["head_dim"] * 2 * shape["layers"]
    return torch.tensor([scores.numel() * bytes_per_value, multiply_adds * 2], dtype=torch.float64)
""",
    ),
    RightAnswer(
        "l03_e4_cost",
        "row_by_row",
        """from fractions import Fraction


def attention_cost(shape, tokens, bytes_per_value):
    one_row = shape["heads"] * tokens
    scores = sum(one_row for query in range(tokens))
    work = {"scores": 2 * shape["head_dim"], "mixing": 2 * shape["head_dim"]}
    return Fraction(bytes_per_value) * scores, sum(each * scores for each in work.values()) * shape["layers"]
""",
    ),
]
