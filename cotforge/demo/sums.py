"""The demo's task of steps: pictures of four of its digits, some of whose sums are written down wrongly."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cotforge.demo.digits import (
    FLIPPED,
    LESSONS,
    TEACHERS,
    TEST,
    Digit,
    encode_png,
    shuffle_digits,
    write_if_changed,
    write_rows,
)

PICTURES = 3_000
"""Of which teachers are asked."""
TRIED = 400
"""Of a held-out split."""
ADDED = 4
"""Digits of a picture, two above two."""
VALIDATION = 240
"""Digits that the pictures of the split `validation` are made of: on these the settings of the shipped pipeline were chosen."""


class SumsSplit(NamedTuple):
    """Digits of the demo that one split's pictures are made of."""

    split: str
    pictures: int
    first: int
    last: int
    """The places of its digits among all, up to but not including `last`."""


def split_parts(count: int) -> tuple[SumsSplit, ...]:
    """The splits, which share no digit with one another or with a teacher; `count` is how many digits there are."""
    taught, held = len(TEACHERS) * LESSONS, count - TEST
    return (
        SumsSplit("train", PICTURES, taught, held - VALIDATION),
        SumsSplit("validation", TRIED, held - VALIDATION, held),
        SumsSplit("test", TRIED, held, count),
    )


def write_sums(folder: Path, *, seed: int = 0) -> None:
    """Writes images/, pool.csv (id, image, label, split) and truth.csv (id, label); labels are flipped in the split `train` alone.

    The digits are in the order of `write_digits`, whose teachers have seen none of them; the same seed writes the same bytes.
    """
    digits, rng = shuffle_digits(Random(seed)), Random(seed + 1)
    names = (f"sum-{number:04d}" for number in range(10_000))
    pool: list[tuple[str, str, str]] = []
    for part in split_parts(len(digits)):
        for _ in range(part.pictures):
            chosen = [digits[rng.randrange(part.first, part.last)] for _ in range(ADDED)]
            name = next(names)
            write_if_changed(folder / "images" / f"{name}.png", encode_png(_four_digits(chosen)))
            pool.append((name, str(sum(digit.label for digit in chosen)), part.split))
    write_rows(folder / "truth.csv", [("id", "label"), *((name, label) for name, label, _ in pool)])
    flipped = set(rng.sample(range(PICTURES), round(FLIPPED * PICTURES)))
    sums = [label for _, label, _ in pool]
    rows = [
        (name, f"images/{name}.png", _other_sum(label, sums, rng) if place in flipped else label, split)
        for place, (name, label, split) in enumerate(pool)
    ]
    write_rows(folder / "pool.csv", [("id", "image", "label", "split"), *rows])


def _four_digits(digits: Sequence[Digit]) -> NDArray[np.uint8]:
    """(16, 16): the first two above the others."""
    return np.block([[digit.grey for digit in row] for row in (digits[:2], digits[2:])])


def _other_sum(label: str, sums: Sequence[str], rng: Random) -> str:
    """Another sum, drawn as often as it occurs."""
    while (drawn := rng.choice(sums)) == label:
        pass
    return drawn
