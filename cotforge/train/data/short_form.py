"""Lessons that are learned a second time in short form: the prompt asks for the answer alone, and the completion gives it.

A student that knows both forms can be asked for the short one first, and for the long one where it is unsure. Source: CAR
(arXiv 2505.15154), which trains on a mix of short and long answers; that the share of short ones is drawn is ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from cotforge.errors import PipelineError
from cotforge.records import Sample
from cotforge.sandbox import LEARNING, Prompt
from cotforge.train.data.lessons import Lessons

ASKED, SAID = "label_only/student", "label_only/completion"
"""The shipped prompts of the short form."""
NEEDED = ("question", "options", "answer")
"""Columns of which the short form is made."""


@dataclass(frozen=True)
class LessonsTwice(Lessons):
    """Lessons, and behind them some of them again in short form."""

    again: tuple[int, ...] = ()
    """Their rows, in order."""

    def __len__(self) -> int:
        return super().__len__() + len(self.again)

    @cached_property
    def digest(self) -> str:
        """Changes with the lessons, and with those that are learned twice."""
        return sha256(f"{super().digest} {self.again} {short_prompt().text} {short_completion().text}".encode()).hexdigest()

    def rows(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every row as plain values, the short ones last."""
        yield from super().rows(columns)
        chosen, written = frozenset(self.again), columns is None or bool({"prompt", "completion"} & {*columns})
        wanted = [*dict.fromkeys((*columns, *NEEDED))] if columns is not None and written else columns
        for row, lesson in enumerate(super().rows(wanted)):
            if row in chosen:
                whole = short_lesson(lesson) if written else lesson
                yield whole if columns is None else {name: whole[name] for name in columns}

    def seen(self, columns: Sequence[str]) -> Any:
        """As of all lessons, the short ones last."""
        return _TwiceRows(super().seen([*dict.fromkeys((*columns, *NEEDED))]), self.again)


@dataclass(frozen=True)
class _TwiceRows:
    """Goes to the loader's workers."""

    rows: Any
    again: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows) + len(self.again)

    def __getitem__(self, row: int) -> dict[str, Any]:
        whole = len(self.rows)
        lesson: dict[str, Any] = self.rows[row] if row < whole else short_lesson(self.rows[self.again[row - whole]])
        return lesson


def with_short(lessons: Lessons, share: float, *, seed: int) -> LessonsTwice:
    """The lessons, and so large a share of them, drawn, a second time in short form. Raises PipelineError where a column is missing."""
    known = pq.read_schema(lessons.files[0]).names
    if missing := [name for name in NEEDED if name not in known]:
        raise PipelineError(f"short_answers: the lessons have no column {missing[0]!r}, of which the short prompt is made; leave it out")
    drawn = Random(seed).sample(range(len(lessons)), round(share * len(lessons)))
    return LessonsTwice(lessons.files, lessons.cache, lessons.without, again=tuple(sorted(drawn)))


def short_lesson(lesson: dict[str, Any]) -> dict[str, Any]:
    """A lesson in short form."""
    sample = Sample(str(lesson.get("id") or ""), (), lesson["question"], tuple(lesson["options"] or ()), None)
    said = {"role": "assistant", "content": short_completion().complete("", lesson["answer"])}
    return lesson | {"prompt": [{"role": "user", "content": short_prompt().render(sample)}], "completion": [said]}


@cache
def short_prompt() -> Prompt:
    """What a student is asked for the answer alone."""
    return Prompt.load(ASKED, Path())


@cache
def short_completion() -> Prompt:
    """What it says then."""
    return Prompt.load(SAID, Path(), LEARNING)
