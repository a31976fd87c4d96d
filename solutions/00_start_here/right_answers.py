"""Right answers of lesson 00, written otherwise than the solution: the checks demand no style."""

from lessonlib.checks.teeth import RightAnswer

RIGHT_ANSWERS = [
    RightAnswer(
        "l00_e1_bytes",
        "prod",
        """from math import prod


def tensor_bytes(shape, bytes_per_number):
    return bytes_per_number * prod(shape)
""",
    ),
    RightAnswer(
        "l00_e1_bytes",
        "recursion",
        """def tensor_bytes(shape, bytes_per_number):
    if not shape:
        return bytes_per_number
    first, *rest = shape
    return first * tensor_bytes(rest, bytes_per_number)
""",
    ),
    RightAnswer(
        "l00_e1_bytes",
        "meta_tensor",
        """import torch


def tensor_bytes(shape, bytes_per_number):
    return torch.empty(shape, device="meta").numel() * bytes_per_number
""",
    ),
    RightAnswer(
        "l00_e1_bytes",
        "numpy",
        """import numpy as np


def tensor_bytes(shape, bytes_per_number):
    return np.prod(np.array(shape, dtype=np.int64)) * np.int64(bytes_per_number)
""",
    ),
    RightAnswer(
        "l00_e2_fits",
        "branches",
        """def fits(file_bytes, card_gib):
    room = card_gib * 1024 * 1024 * 1024
    if room < file_bytes:
        return False
    return True
""",
    ),
    RightAnswer(
        "l00_e2_fits",
        "fractions",
        """from fractions import Fraction


def fits(file_bytes, card_gib):
    file_gib = Fraction(file_bytes) / 2**30
    return not file_gib > card_gib
""",
    ),
    RightAnswer(
        "l00_e2_fits",
        "numpy",
        """import numpy as np


def fits(file_bytes, card_gib):
    return np.float64(card_gib) * 2**30 - np.float64(file_bytes) >= 0
""",
    ),
]
