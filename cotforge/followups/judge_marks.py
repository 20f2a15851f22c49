"""The marks in what a judge wrote: one whole number for each dimension of its rubric, or none."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Self

from pydantic import Field, model_validator

from cotforge.followups.seen import without_thoughts
from cotforge.measures.followup_marks import DimensionName
from cotforge.records import Reply
from cotforge.spec import Spec

WIDEST = 100
"""Marks of a dimension, at most: their agreement is counted by pairs of marks."""


class Dimension(Spec):
    """One thing that a judge gives a mark for."""

    name: DimensionName
    """Name in columns and measures: lower case letters, digits and `_`."""
    low: int = 1
    """Lowest mark."""
    high: int = 5
    """Highest mark."""
    anchors: dict[int, str] = Field(default_factory=dict)
    """What marks mean, by mark. Name at least the lowest and the highest, so that judges agree."""

    @model_validator(mode="after")
    def _check_marks(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; low is the lowest mark, and must be below high")
        if self.high - self.low >= WIDEST:
            raise ValueError(f"{self.low} to {self.high} are {self.high - self.low + 1:,} marks; a scale has at most {WIDEST}")
        if outside := [mark for mark in self.anchors if not self.low <= mark <= self.high]:
            raise ValueError(f"anchors: {outside[0]} is not between low {self.low} and high {self.high}")
        return self


DEFAULT_RUBRIC = (
    Dimension(
        name="evidence",
        anchors={
            1: "names nothing that can be seen, or things that are not there",
            3: "names some of what is there, and misses or misstates what decides",
            5: "names what decides with its place, shape, colour or number, and all of it is there",
        },
    ),
    Dimension(
        name="soundness",
        anchors={
            1: "the answer does not follow, or contradicts the text",
            3: "the answer follows, with a gap or a step that does not hold",
            5: "every step follows from what is seen or said before, and leads to the answer",
        },
    ),
    Dimension(
        name="checking",
        anchors={
            1: "takes the first idea and doubts nothing",
            3: "names another answer, and dismisses it without looking again",
            5: "weighs the answers that could be right against the picture, and tests its own before it decides",
        },
    ),
    Dimension(
        name="clarity",
        anchors={
            1: "confused, repeats itself, or speaks of its instructions",
            3: "can be followed with effort",
            5: "plain, in order, without filler; a person could check it line by line",
        },
    ),
)
"""Chosen by us: what a person would look for in a reasoning about a picture."""

Rubric = Sequence[Dimension]


def read_marks(reply: Reply, rubric: Rubric) -> dict[str, int]:
    """The marks of a reply by dimension; one that cannot be read, is out of range, or is given twice differently is missing, never 0.

    `evidence: 4`, `**Evidence**: 4/5`, `2. checks itself - 4 (good)`, `"evidence": 4`, `| evidence | 4 |` and `evidence (1 to 5):
    4 out of 5` are read. Not read: ranges (`3-4`), halves, words, marks on another scale (`8/10` where 5 is the highest), and the lines
    of the prompt itself.
    """
    text = without_thoughts(reply.content)
    found = {dimension.name: _marks_of(text, dimension) for dimension in rubric}
    return {name: next(iter(marks)) for name, marks in found.items() if len(marks) == 1}


def _marks_of(text: str, dimension: Dimension) -> set[int]:
    """All marks that a text gives for a dimension; a set with one that is out of range has another beside it."""
    marks: set[int] = set()
    for number, scale in _mark_pattern(dimension.name).findall(text):
        mark = int(number) if len(number) < 9 else dimension.high + 1
        if dimension.low <= mark <= dimension.high and (not scale or int(scale[:9]) == dimension.high):
            marks.add(mark)
        else:
            marks |= {dimension.low - 1, dimension.high + 1}
    return marks


@lru_cache(maxsize=256)
def _mark_pattern(name: str) -> re.Pattern[str]:
    """(number, scale where one is given) behind a dimension's name, which begins a line or follows a comma."""
    words = r"[\s_-]{1,3}".join(map(re.escape, name.split("_")))
    marked, dash = r"[*_`\"'\s]{0,8}", r"[-\u2013\u2014]"  # bounded: a reply may be one long blank
    return re.compile(
        rf"(?:^|[,;])[ \t>#*+|{{\"'_`-]{{0,12}}(?:\d{{1,2}}[.)])?{marked}{words}{marked}"
        rf"(?:\(\s?-?\d{{1,4}}\s?(?:to|{dash})\s?-?\d{{1,4}}\s?\){marked})?"
        rf"(?:[:=|]|{dash}{{1,3}}>?|\u2192)[*_`\"'\s|]{{0,8}}(?:(?:score|mark|rating)\W{{1,3}})?"
        rf"(-?\d+)(?:\.0+)?(?:\s{{0,2}}(?:/|out of|of)\s{{0,2}}(\d+))?(?![\w%]|\.\d|\s{{0,2}}(?:/|{dash}|to|or)\s{{0,2}}\d)",
        re.IGNORECASE | re.MULTILINE,
    )


def mean_marks(given: Sequence[Mapping[str, int]], rubric: Rubric) -> dict[str, float | None]:
    """`judge_<dimension>` to the mean of the marks that were given, on the rubric's own scale; None where nobody gave one."""
    means: dict[str, float | None] = {}
    for dimension in rubric:
        marks = [one[dimension.name] for one in given if dimension.name in one]
        means[f"judge_{dimension.name}"] = sum(marks) / len(marks) if marks else None
    return means
