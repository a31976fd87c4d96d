"""Checks of lesson 00: bytes of a tensor, and the two customs of counting them."""

from __future__ import annotations

from math import prod

from .core import check_for, expect, expect_all, property_of


@check_for(
    "l00_e1",
    title="Bytes of a tensor",
    minutes=3,
    hints=[
        "How many numbers does a tensor of shape (2, 3) hold?",
        "Multiply all sizes of the shape, then multiply by the bytes of one number.",
        "`math.prod(shape)` multiplies all sizes, however many there are; of an empty shape it gives 1.",
    ],
)
def check_bytes(answer, rng):
    """Shapes of one to four axes."""
    asked = [((3, 4), 4), (tuple(rng.randint(2, 9) for _ in range(4)), 2), ((7,), 4)]
    expect_all([_bytes_row(answer, *a) for a in asked])


@property_of("l00_e1", "random shapes")
def bytes_any(answer, rng):
    """Ten random shapes."""
    for _ in range(10):
        shape = tuple(rng.randint(2, 60) for _ in range(rng.randint(1, 4)))
        expect_all([_bytes_row(answer, shape, rng.choice([1, 2, 4, 8]))])


@property_of("l00_e1", "a scalar, with the empty shape, is one number")
def bytes_of_a_scalar(answer, rng):
    """The product of no sizes is 1."""
    expect(answer((), 4), 4, "A tensor of shape () holds one number.")


@check_for(
    "l00_e2",
    title="Does it fit the card?",
    minutes=4,
    hints=[
        "A card that is sold with 24 GB holds 24 GiB, and 1 GiB is 2**30 bytes.",
        "Compare bytes with bytes: the file in plain bytes, the card as card_gib * 2**30.",
        "A file that fills the card exactly still fits: less than or equal.",
    ],
)
def check_fits(answer, rng):
    """Sizes on both sides of the two readings of a card, and at its very edge."""
    _compare_fits(answer, 20 * 10**9, 24)
    _compare_fits(answer, 25 * 10**9, 24)  # between 24 GB and 24 GiB
    _compare_fits(answer, 24 * 2**30, 24)
    _compare_fits(answer, 26 * 10**9, 24)


@property_of("l00_e2", "at every card size, the edge is 2**30 bytes a GiB")
def fits_at_the_edge(answer, rng):
    """One byte decides."""
    for card in rng.sample(range(4, 200), 5):
        _compare_fits(answer, card * 2**30, card)
        _compare_fits(answer, card * 2**30 + 1, card)


@property_of("l00_e2", "a smaller file never fits worse")
def fits_monotone(answer, rng):
    """Random pairs."""
    for _ in range(10):
        _compare_fits(answer, rng.randint(1, 60 * 10**9), rng.randint(8, 48))


def _bytes_row(answer, shape: tuple, size: int) -> tuple:
    """One call of the learner's function, for `expect_all`."""
    numbers = prod(shape)
    mistakes = [
        (numbers, "that counts numbers: multiply by the bytes of one"),
        (sum(shape) * size, "the sizes of a shape are multiplied, not added"),
        (numbers * size * 8, "that is bits: the answer is in bytes"),
        (shape[0] * size, "only the first axis was counted"),
        (numbers * size / 2**30, "that is in GiB: the answer is in plain bytes"),
        (numbers * size / 1e9, "that is in GB: the answer is in plain bytes"),
    ]
    what = f"Bytes of a tensor of shape {shape}, {size} bytes a number."
    return what, answer(shape, size), numbers * size, mistakes


def _compare_fits(answer, file_bytes: int, card: int) -> None:
    want = file_bytes <= card * 2**30
    got = answer(file_bytes, card)
    if not isinstance(got, bool):
        expect(got, want, "fits() answers True or False.", mistakes=[(got, "return the comparison itself")])
    edge = "a file that fills the card exactly fits: use <=" if file_bytes == card * 2**30 else None
    between = "cards are sold in GiB (2**30 bytes), not in GB" if card * 10**9 < file_bytes else None
    below = "the comparison points the wrong way" if file_bytes < card * 10**9 else None
    beyond = "a file larger than the card does not fit; compare bytes with bytes" if not want else None
    what = f"{file_bytes:,} bytes on a card of {card} GiB."
    expect(got, want, what, mistakes=[(got, beyond or edge or between or below)] if got != want else [])
