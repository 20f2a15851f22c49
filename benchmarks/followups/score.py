"""A finished run beside the truth: its answers, and for sums every digit that a reasoning says it read."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from pyarrow import parquet

from cotforge.demo.digits import rows_of, shuffle_digits
from cotforge.simulate.evidence import read_values
from cotforge.teachers.simulated import GridCells

HEAD = {
    "digits": ("", "lessons", "more", "rescued", "woven", "answers true", "of the rescued", "calls", "tokens, 1,000",
               "$ for 1,000 lessons"),
    "sums": ("", "lessons", "more", "rescued", "woven", "answers true", "of the rescued", "every digit read rightly", "of the rescued ",
             "calls", "tokens, 1,000", "$ for 1,000 lessons"),
}  # fmt: skip
"""By task."""
GRID = GridCells(rows=2, columns=2, answer="sum")
DIGITS = tuple("0123456789")
ZOOM = 8
"""Pixels of a cell's side in the demo's pictures."""
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class OneLesson:
    """A lesson beside the truth."""

    origin: str
    true: bool
    """Whether its answer is."""
    read: bool
    """Whether its reasoning reads every digit rightly; False where it does not say them all."""


@dataclass(frozen=True, slots=True)
class ArmScore:
    """One line of the table."""

    name: str
    task: str
    lessons: tuple[OneLesson, ...]
    calls: int
    tokens: int
    cost_usd: float

    def cells(self, plain: "ArmScore") -> list[str]:
        """The line, beside that of the plain vote."""
        rescued, woven = self.of("rescue"), self.of("woven")
        more = "" if self is plain else f"{len(self.lessons) - len(plain.lessons):+,}"
        found = [self.name, f"{len(self.lessons):,}", more, _count(rescued), _count(woven)]
        found += [_share([one.true for one in self.lessons]), _share([one.true for one in rescued])]
        if self.task == "sums":
            found += [_share([one.read for one in self.lessons]), _share([one.read for one in rescued])]
        cost = 1_000 * self.cost_usd / len(self.lessons) if self.lessons else 0.0
        return [*found, f"{self.calls:,}", f"{self.tokens / 1_000:,.0f}", f"{cost:.2f}"]

    def of(self, origin: str) -> list[OneLesson]:
        """The lessons of an origin."""
        return [one for one in self.lessons if one.origin == origin]


def score_arm(name: str, run: Path, raw: Path, task: str) -> ArmScore:
    """How a finished run compares with the truth in `raw`, the folder of the demo's data."""
    folder = raw / "sums" if task == "sums" else raw
    truth = {row["id"]: row["label"] for row in rows_of(folder / "truth.csv")}
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    lessons = []
    for row in lesson_rows(run / "dataset"):
        cells = true_cells(folder / "images" / f"{row['id']}.png") if task == "sums" else []
        lessons.append(OneLesson(row["origin"], row["answer"] == truth[row["id"]], bool(cells) and said_cells(text_of(row)) == cells))
    tokens = summary["tokens"]
    return ArmScore(name, task, tuple(lessons), summary["calls_total"], tokens["input"] + tokens["output"], summary["cost_usd"])


def lesson_rows(dataset: Path) -> Iterator[dict[str, Any]]:
    """The lessons of a dataset, without their pictures."""
    for file in sorted((dataset / "data").glob("*.parquet")):
        yield from parquet.read_table(file, columns=["id", "answer", "origin", "teacher", "prompt", "completion", "call"]).to_pylist()


def text_of(row: dict[str, Any]) -> str:
    """What the student learns to say."""
    return str(row["completion"][-1]["content"])


def said_cells(completion: str) -> Sequence[str | None]:
    """The digits that a completion's reasoning says it read, row by row."""
    thought = _THOUGHT.search(completion)
    return read_values(thought[1] if thought else completion, GRID, DIGITS)


def true_cells(picture: Path) -> list[str]:
    """The four digits of a picture, by the handwritten ones that it is made of."""
    with Image.open(picture) as image:
        grey = np.asarray(image.convert("L"))[::ZOOM, ::ZOOM]
    return [_known_digits()[np.ascontiguousarray(half).tobytes()] for row in np.vsplit(grey, 2) for half in np.hsplit(row, 2)]


@cache
def _known_digits() -> dict[bytes, str]:
    return {digit.grey.tobytes(): str(digit.label) for digit in shuffle_digits(Random(0))}


def _count(lessons: Sequence[OneLesson]) -> str:
    return f"{len(lessons):,}" if lessons else ""


def _share(found: Sequence[bool]) -> str:
    return f"{sum(found) / len(found):.3f}" if found else ""
