"""The lessons that a card shows, one of each origin: good ones to read, and the same ones whatever the order of the samples."""

import hashlib
from collections.abc import Iterable, Iterator

from cotforge.pages import ExampleLesson
from cotforge.records import CuratedSample, Fault, Lesson
from cotforge.tally.finding_rows import ORIGINS

READABLE = range(30, 181)
"""Words of reasoning that a person reads without scrolling."""


class ExampleChooser:
    """Keeps the lessons to show: first of those with a readable length, all votes for it, one picture; else the nearest to that."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[tuple[int, str], Lesson]] = {}
        """By origin, with its rank."""

    @property
    def lessons(self) -> list[Lesson]:
        """One of each origin, the usual origin first."""
        return [self._found[origin][1] for origin in ORIGINS if origin in self._found]

    def watch(self, stream: Iterable[CuratedSample | Fault]) -> Iterator[CuratedSample | Fault]:
        """The stream as it is, having looked at it in passing."""
        for item in stream:
            if isinstance(item, CuratedSample):
                for lesson in item.lessons:
                    self.add(lesson)
            yield item

    def add(self, lesson: Lesson) -> None:
        """Look at one lesson; of those that are as good the one with the least hash stays."""
        digest = hashlib.sha256(f"{lesson.sample.id}\0{lesson.judged.trace.call}".encode("utf-8", "replace")).hexdigest()
        rank = (_flaws(lesson), digest)
        origin = lesson.judged.trace.origin
        if origin not in self._found or rank < self._found[origin][0]:
            self._found[origin] = rank, lesson


def _flaws(lesson: Lesson) -> int:
    ballots = {ballot.answer for ballot in lesson.verdict.ballots}
    return (
        4 * (len(lesson.judged.trace.reasoning.split()) not in READABLE)
        + 2 * (len(lesson.sample.pictures) != 1)
        + (len(ballots) > 1 or lesson.verdict.label_conflict)
    )


def example_of(lesson: Lesson, picture: str) -> ExampleLesson:
    """The lesson as the card shows it; `picture` is the path of its first picture within `dataset/`."""
    trace, verdict = lesson.judged.trace, lesson.verdict
    return ExampleLesson(
        question=lesson.sample.question,
        reasoning=trace.reasoning,
        answer=verdict.answer or "",
        label=lesson.sample.label,
        votes=[(ballot.teacher, ballot.answer) for ballot in verdict.ballots],
        teacher=f"{trace.teacher} ({trace.model})",
        picture=picture,
        origin=trace.origin,
        segments=lesson.judged.segments,
    )
