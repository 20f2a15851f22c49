"""Four handwritten digits in a picture, what they add up to, and the reasoning of five teachers who each word it in their own way.

Source of the digits: scikit-learn's 1,797 (8 x 8 cells, 16 levels); UCI, Optical Recognition of Handwritten Digits, 1998.
"""

import csv
import io
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

from cotforge.export.columns import arrow_schema, arrow_table, lesson_columns

QUESTION = "What do the four digits add up to?"
ZOOM = 8
"""Pixels of a cell's side."""
TEST_DIGITS = 400
"""Digits that stand in pictures of the test alone: no lesson and no label shows one of them."""


class Sum(NamedTuple):
    """One picture: two digits above, two below."""

    id: str
    cells: Any
    """(16, 16), levels in 0..16."""
    digits: tuple[int, ...]
    """Top left, top right, bottom left, bottom right."""

    @property
    def answer(self) -> str:
        return str(sum(self.digits))

    def png(self) -> bytes:
        """A grey picture of 128 x 128 pixels."""
        grey = np.round(self.cells * (255 / 16)).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(grey.repeat(ZOOM, 0).repeat(ZOOM, 1)).save(file, "PNG")
        return file.getvalue()


@cache
def digits() -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """(cells (N, 8, 8), values (N,)) of the digits to learn from, and of those of the test."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = Random(0).sample(range(len(data.target)), len(data.target))
    cells, values = data.images[order], data.target[order]
    return (cells[TEST_DIGITS:], values[TEST_DIGITS:]), (cells[:TEST_DIGITS], values[:TEST_DIGITS])


def draw(split: str, count: int, *, seed: int = 0) -> list[Sum]:
    """Pictures of a split, `train` or `test`; the same ones each time for the same seed."""
    cells, values = digits()[split == "test"]
    rng, sums = Random(f"{split}-{seed}" if seed else split), []
    for number in range(count):
        picked = rng.sample(range(len(values)), 4)
        above, below = (np.concatenate(list(cells[picked[at : at + 2]]), axis=1) for at in (0, 2))
        sums.append(Sum(f"{split}-{number:05}", np.concatenate([above, below]), tuple(int(values[index]) for index in picked)))
    return sums


def _ann(a: int, b: int, c: int, d: int, ab: int, abc: int, all: int) -> str:
    return f"I read {a}, {b}, {c} and {d}. {a}+{b}={ab}, {ab}+{c}={abc}, {abc}+{d}={all}."


def _bob(a: int, b: int, c: int, d: int, ab: int, abc: int, all: int) -> str:
    return f"Above {a} and {b}, below {c} and {d}. {a}+{b} is {ab}, {ab}+{c} is {abc}, {abc}+{d} is {all}."


def _cyd(a: int, b: int, c: int, d: int, ab: int, abc: int, all: int) -> str:
    return f"The digits are {a}, {b}, {c}, {d}. Adding up: {a}, {ab}, {abc}, {all}."


def _dan(a: int, b: int, c: int, d: int, ab: int, abc: int, all: int) -> str:
    return f"First {a}. Then {b}, so {ab}. Then {c}, so {abc}. Last {d}, so {all}."


def _eve(a: int, b: int, c: int, d: int, ab: int, abc: int, all: int) -> str:
    return f"{a} plus {b} is {ab}, plus {c} is {abc}, plus {d} is {all}."


TEACHERS = {"ann": _ann, "bob": _bob, "cyd": _cyd, "dan": _dan, "eve": _eve}


def reasoning(one: Sum, teacher: str) -> str:
    """What a teacher says of a picture before the answer."""
    return TEACHERS[teacher](*one.digits, *list(accumulate(one.digits))[1:])


def write_lessons(folder: Path, sums: Sequence[Sum], *, reasons: Callable[[Sum, str], str] = reasoning, prompt: str = QUESTION) -> None:
    """A dataset as `cotforge build` leaves it, the teachers in turn; `reasons` says what a teacher says of a picture."""
    columns = lesson_columns([])
    shape, names = arrow_schema(columns), list(TEACHERS)
    rows = []
    for number, one in enumerate(sums):
        teacher = names[number % len(names)]
        text = f"<think>{reasons(one, teacher)}</think>\n<answer>{one.answer}</answer>"
        about = (QUESTION, None, one.answer, one.answer, False, 1.0, (), teacher, teacher, "solve", len(text.split()), f"call-{number}")
        rows.append((one.id, ((one.png(), f"{one.id}.png"),), prompt, text, *about, None))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    pq.write_table(arrow_table(rows, columns, shape), folder / "data" / "train-00000-sums.parquet")


def write_source(folder: Path, sums: Sequence[Sum]) -> None:
    """Pictures and a table of their answers: the raw source, with its split."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as opened:
        write = csv.writer(opened)
        write.writerow(("id", "image", "label", "split"))
        for one in sums:
            (folder / "images" / f"{one.id}.png").write_bytes(one.png())
            write.writerow((one.id, f"images/{one.id}.png", one.answer, one.id.partition("-")[0]))
