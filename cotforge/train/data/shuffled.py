"""Lessons whose answers are those of other samples: they teach the form of reasoning, and not which answer a picture has.

Source: PA-FAS (arXiv 2511.17927), which has SFT on such rows be followed by GRPO with a reward for the right answer. The dataset stays as
it is: answers are exchanged as rows are read.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq

from cotforge.answers import answer_span
from cotforge.errors import PipelineError
from cotforge.gold.csv_cells import guard_cell
from cotforge.plan import Sft
from cotforge.prompts import Family
from cotforge.records import Reply
from cotforge.train.data.learnable import text_of
from cotforge.train.data.lessons import Lessons

FILE = "shuffled.csv"
"""In the stage's folder: `id`, its own `answer`, and the one that is `learned` instead."""


@dataclass(frozen=True)
class ShuffledLessons(Lessons):
    """Lessons, some of which end with another answer where they are learned from; all else is read as it stands."""

    answers: Mapping[int, str] = field(default_factory=dict)
    """By row: the answer that it ends with."""

    @cached_property
    def digest(self) -> str:
        """Changes with the lessons, and with what is learned instead."""
        return sha256("\n".join([super().digest, *(f"{row} {answer!r}" for row, answer in self.answers.items())]).encode()).hexdigest()

    def seen(self, columns: Sequence[str]) -> Any:
        """As of all lessons, with the other answers in the completions."""
        return _ShuffledRows(super().seen(columns), self.answers) if "completion" in columns else super().seen(columns)


@dataclass(frozen=True)
class _ShuffledRows:
    """Goes to the loader's workers."""

    rows: Any
    answers: Mapping[int, str]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        lesson: dict[str, Any] = self.rows[row]
        if row in self.answers:
            said = ending_with(text_of(lesson["completion"]), self.answers[row])
            lesson["completion"] = [{"role": "assistant", "content": said}]
        return lesson


def demand_reasoning(stage: Sft, prompts: Family) -> None:
    """Raises PipelineError where a stage would learn nothing but answers that are not its pictures'."""
    if stage.shuffle_answers and not prompts.needs_reasoning:
        raise PipelineError(
            f"stage {stage.name!r}: shuffle_answers: prompts.completion has no reasoning, so nothing sound would be learned"
        )


def with_shuffled_answers(lessons: Lessons, share: float, *, seed: int) -> ShuffledLessons:
    """So large a share of the lessons, drawn, each with the answer of another of them that has the same options.

    A lesson whose completion does not end with its answer, or that no other one has the options of, keeps its own.
    """
    known = set(pq.read_schema(lessons.files[0]).names)
    answers, groups, rows = [], [], []
    for row, lesson in enumerate(lessons.rows([name for name in ("answer", "completion", "options") if name in known])):
        if ends_with(text_of(lesson["completion"]), lesson["answer"]):
            rows.append(row)
            answers.append(lesson["answer"])
            groups.append(tuple(lesson.get("options") or ()))
    given = draw_swaps(groups, share, seed=seed)
    found = {rows[place]: answers[other] for place, other in sorted(given.items())}
    return ShuffledLessons(lessons.files, lessons.cache, lessons.without, answers=found)


def draw_swaps(groups: Sequence[tuple[str, ...]], share: float, *, seed: int) -> dict[int, int]:
    """By place, the place whose answer it gets: within its group, never its own; drawn, so that an answer may be the same by chance.

    What a group answers stays as frequent as it was, so that the answers tell nothing of the pictures, not even what is wrong.
    """
    draw = Random(seed)
    members = defaultdict[tuple[str, ...], list[int]](list)
    for place in draw.sample(range(len(groups)), round(share * len(groups))):
        members[groups[place]].append(place)
    return {
        place: other
        for group in members.values()
        if len(group) > 1
        for place, other in zip(group, [*group[1:], group[0]], strict=True)  # a cycle in drawn order has no fixed point
    }


def ends_with(text: str, answer: str | None) -> bool:
    """Whether a completion's final answer stands there as the lesson has it, after a reasoning or without one."""
    span = answer_span(Reply("", text))
    return span is not None and answer is not None and span.text[span.start : span.end] == answer


def ending_with(text: str, answer: str) -> str:
    """A completion with another final answer in the place of its own, which `ends_with` has found."""
    span = answer_span(Reply("", text))
    assert span is not None
    return text[: span.start] + answer + text[span.end :]


def list_shuffled(lessons: ShuffledLessons, folder: Path) -> str:
    """Write `shuffled.csv` into a stage's folder; what became of the answers, in a line. Empty where no answer was exchanged."""
    same = 0
    with (folder / FILE).open("w", newline="", encoding="utf-8") as opened:
        write = csv.writer(opened)
        write.writerow(("id", "answer", "learned"))
        for row, lesson in enumerate(lessons.rows(["id", "answer"])):
            if row in lessons.answers:
                learned = lessons.answers[row]
                same += learned == lesson["answer"]
                write.writerow((guard_cell(str(lesson["id"])), guard_cell(lesson["answer"]), guard_cell(learned)))
    if not lessons.answers:
        (folder / FILE).unlink()
        return ""
    told = f"{len(lessons.answers):,} of {len(lessons):,} lessons are learned with the answer of another sample"
    return f"{told}, which is the same by chance in {same:,}; {folder / FILE} lists them"
