"""Wrong answers of lesson 00, each a misconception with the message that it must earn."""

from lessonlib.checks.teeth import WrongAnswer

BYTES = "def tensor_bytes(shape, bytes_per_number):\n    from math import prod\n    return "
FITS = "def fits(file_bytes, card_gib):\n    return "


def _bytes(name, formula, says):
    return WrongAnswer("l00_e1_bytes", name, BYTES + formula + "\n", says)


def _fits(name, formula, says):
    return WrongAnswer("l00_e2_fits", name, FITS + formula + "\n", says)


WRONG_ANSWERS = [
    _bytes("adds_sizes", "sum(shape) * bytes_per_number", "not added"),
    _bytes("counts_numbers", "prod(shape)", "counts numbers"),
    _bytes("bits", "prod(shape) * bytes_per_number * 8", "that is bits"),
    _bytes("first_axis", "shape[0] * bytes_per_number", "first axis"),
    _bytes("in_gb", "prod(shape) * bytes_per_number / 1e9", "in GB"),
    _bytes("empty_shape", "prod(shape) * bytes_per_number if shape else 0", "holds one number"),
    _fits("gb_for_gib", "file_bytes <= card_gib * 10**9", "sold in GiB"),
    _fits("strictly_smaller", "file_bytes < card_gib * 2**30", "use <="),
    _fits("wrong_way", "file_bytes >= card_gib * 2**30", "wrong way"),
    _fits("gib_with_bytes", "file_bytes <= card_gib", "wrong way"),
    _fits("always", "True", "does not fit"),
    _fits("not_a_bool", "card_gib * 2**30 - file_bytes", "True or False"),
]
