"""Right answers of lesson 05, written otherwise than the solution; the checks must give each of them full points."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l05_e1_append",
        "room_first",
        """
def append(cache, new_keys, new_values):
    grown = []
    for which, new in enumerate((new_keys, new_values)):
        if cache is None:
            grown.append(new.clone())
            continue
        old = cache[which]
        B, K, S, D = old.shape
        both = old.new_empty(B, K, S + new.shape[2], D)
        both[:, :, :S] = old
        both[:, :, S:] = new
        grown.append(both)
    return grown
""",
    ),
    RightAnswer(
        "l05_e1_append",
        "numpy",
        """
import numpy as np


def append(cache, new_keys, new_values):
    if cache is None:
        return new_keys, new_values

    def joined(old, new):
        parts = [t.detach().cpu().double().numpy() for t in (old, new)]
        return torch.from_numpy(np.concatenate(parts, axis=-2)).to(new)

    return joined(cache[0], new_keys), joined(cache[1], new_values)
""",
    ),
    RightAnswer(
        "l05_e1_append",
        "row_by_row",
        """
def append(cache, new_keys, new_values):
    pairs = [(new_keys, new_values)] if cache is None else [cache, (new_keys, new_values)]
    key_rows, value_rows = [], []
    for keys, values in pairs:
        key_rows.extend(keys.unbind(dim=2))
        value_rows.extend(values.unbind(dim=2))
    return torch.stack(key_rows, dim=2), torch.stack(value_rows, dim=2)
""",
    ),
    RightAnswer(
        "l05_e2_attend",
        "loop",
        """
import math


def attend(q, keys, values):
    B, H, L, D = q.shape
    K, S = keys.shape[1:3]
    out = torch.empty_like(q)
    for b in range(B):
        for h in range(H):
            k, v = keys[b, h * K // H], values[b, h * K // H]
            for i in range(L):
                seen = S - L + i + 1
                scores = (k[:seen] * q[b, h, i]).sum(1) / math.sqrt(D)
                powers = torch.exp(scores - scores.max())
                out[b, h, i] = (powers[:, None] * v[:seen]).sum(0) / powers.sum()
    return out
""",
    ),
    RightAnswer(
        "l05_e2_attend",
        "einsum",
        """
def attend(q, keys, values):
    B, H, L, D = q.shape
    K, S = keys.shape[1:3]
    grouped = (q * D**-0.5).reshape(B, K, H // K, L, D)
    scores = torch.einsum("bkgld,bksd->bkgls", grouped, keys)
    positions = torch.arange(S - L, S, device=q.device)[:, None]
    hidden = torch.arange(S, device=q.device)[None] > positions
    scores = torch.where(hidden, -torch.inf, scores)
    shares = torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))
    return torch.einsum("bkgls,bksd->bkgld", shares, values).reshape(B, H, L, D)
""",
    ),
    RightAnswer(
        "l05_e2_attend",
        "torch_own",
        """
from torch.nn.functional import scaled_dot_product_attention


def attend(q, keys, values):
    H, L, S = q.shape[1], q.shape[2], keys.shape[2]
    neighbours = torch.arange(H, device=q.device) // (H // keys.shape[1])
    sees = torch.ones(L, S, dtype=torch.bool, device=q.device).tril(S - L)
    return scaled_dot_product_attention(q, keys[:, neighbours], values[:, neighbours], attn_mask=sees)
""",
    ),
    RightAnswer(
        "l05_e2_attend",
        "numpy_float64",
        """
import numpy as np


def attend(q, keys, values):
    q, keys, values = (t.detach().cpu().double().numpy() for t in (q, keys, values))
    L, S, D = q.shape[2], keys.shape[2], q.shape[3]
    group = q.shape[1] // keys.shape[1]
    keys, values = np.repeat(keys, group, axis=1), np.repeat(values, group, axis=1)
    scores = np.matmul(q, keys.swapaxes(2, 3)) / np.sqrt(D)
    scores += np.where(np.arange(S) <= np.arange(S - L, S)[:, None], 0.0, -np.inf)
    shares = np.exp(scores - scores.max(axis=3, keepdims=True))
    return torch.from_numpy(np.matmul(shares, values) / shares.sum(axis=3, keepdims=True))
""",
    ),
    RightAnswer(
        "l05_e3_bytes",
        "loop",
        """
def cache_bytes(shape, tokens, batch, bytes_per_value):
    size = 0
    for _ in range(shape["layers"]):
        for _ in ("keys", "values"):
            for _ in range(batch):
                size += bytes_per_value * shape["kv_heads"] * tokens * shape["head_dim"]
    return size
""",
    ),
    RightAnswer(
        "l05_e3_bytes",
        "fractions",
        """
from fractions import Fraction
from functools import reduce


def cache_bytes(shape, tokens, batch, bytes_per_value):
    factors = [tokens, batch, shape["layers"], shape["kv_heads"], shape["head_dim"], 2]
    return reduce(lambda size, factor: size * factor, factors, Fraction(bytes_per_value))
""",
    ),
    RightAnswer(
        "l05_e3_bytes",
        "numpy",
        """
import numpy as np


def cache_bytes(shape, tokens, batch, bytes_per_value):
    one = np.array([shape["layers"], shape["kv_heads"], shape["head_dim"], tokens, batch], dtype=np.int64)
    return 2 * one.prod() * bytes_per_value
""",
    ),
    RightAnswer(
        "l05_e3_bytes",
        "tensors_without_memory",
        """
def cache_bytes(shape, tokens, batch, bytes_per_value):
    keys = torch.empty(batch, shape["kv_heads"], tokens, shape["head_dim"], device="meta")
    values = torch.empty_like(keys)
    each_layer = keys.numel() + values.numel()
    return torch.tensor(float(each_layer), dtype=torch.float64) * shape["layers"] * bytes_per_value
""",
    ),
    RightAnswer(
        "l05_e4_context",
        "fractions",
        """
from fractions import Fraction


def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    room = Fraction(card_gib) * 1024**3 - Fraction(weights_bytes) - Fraction(overhead_bytes)
    a_row = Fraction(bytes_per_value) * shape["head_dim"]
    a_token = 2 * a_row * shape["kv_heads"] * shape["layers"]
    return int(room / a_token / batch) if room > 0 else 0
""",
    ),
    RightAnswer(
        "l05_e4_context",
        "search",
        """
def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    def fits(tokens):
        caches = 2 * shape["layers"] * shape["kv_heads"] * shape["head_dim"] * tokens * batch * bytes_per_value
        return weights_bytes + overhead_bytes + caches <= card_gib * 2**30

    if not fits(1):
        return 0
    fit, too_many = 1, 2
    while fits(too_many):
        fit, too_many = too_many, 2 * too_many
    while too_many - fit > 1:
        middle = (fit + too_many) // 2
        if fits(middle):
            fit = middle
        else:
            too_many = middle
    return fit
""",
    ),
    RightAnswer(
        "l05_e4_context",
        "numpy",
        """
import numpy as np


def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    room = np.float64(card_gib) * 2.0**30 - weights_bytes - overhead_bytes
    values = np.prod([2, shape["layers"], shape["kv_heads"], shape["head_dim"], batch], dtype=np.int64)
    return np.maximum(0, np.floor(room / (values * bytes_per_value))).astype(np.int64)
""",
    ),
    RightAnswer(
        "l05_e4_context",
        "tensor_scalar",
        """
def longest_context(card_gib, weights_bytes, overhead_bytes, shape, batch, bytes_per_value):
    room = torch.tensor(card_gib * 2**30 - weights_bytes - overhead_bytes, dtype=torch.float64)
    one = bytes_per_value * batch * shape["head_dim"] * shape["kv_heads"] * shape["layers"] * 2
    return room.div(one, rounding_mode="floor").clamp(min=0).long()
""",
    ),
]
