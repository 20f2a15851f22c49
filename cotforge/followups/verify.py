"""`verify:` of the pipeline file: does a reasoning, its answer cut out, lead another teacher to that answer?"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from cotforge.errors import PipelineError
from cotforge.followups.answer_cut import cut_answer
from cotforge.followups.frame import NOTHING, Follow, FollowUp, FollowUpAsker, FollowUpFound, VotedSample, is_drawn
from cotforge.followups.readers import (
    Asked,
    ReaderReply,
    ask_reader,
    demand_readers,
    demand_teachers,
    read_all,
    readers_of,
    share_that_came,
)
from cotforge.records import Sample, Trace
from cotforge.spec import Spec


class Verify(Spec):
    """Other teachers are shown texts without their answer, with the picture and without it: does the
    text lead them to the answer? Measures `verified` and `verified_unseen`."""

    share: float = Field(default=0.05, gt=0, le=1)
    """Share of the texts that could be lessons, drawn by a hash. 1: all of them. A filter on
    `verified` drops only texts that were drawn."""
    by: Annotated[int, Field(ge=1)] | tuple[str, ...] = 1
    """How many other teachers read each text, or the names of those that do. Nobody reads texts of
    the own model. Each text takes two calls per reader."""

    def follow_up(self, asker: FollowUpAsker) -> FollowUp:
        """Raises PipelineError where nobody could read a teacher's texts."""
        if isinstance(self.by, int):
            demand_readers(asker, self.by, "verify.by")
        elif not self.by:
            raise PipelineError("verify.by: is empty; name at least one teacher, or give a number")
        else:
            demand_teachers(asker, self.by, "verify.by")
        return VerifyFollowUp(asker, self)


@dataclass(frozen=True)
class VerifyFollowUp:
    """Blind verification of the texts that could be lessons."""

    asker: FollowUpAsker
    section: Verify

    def follow(self, about: VotedSample) -> Follow:
        """Yields all Calls at once."""
        asked, skipped = self._ask_readers(about)
        if not asked:
            return FollowUpFound(skipped=skipped) if skipped else NOTHING
        answers = {one.of.call: one.of.answer or "" for one in asked}
        reads = yield from read_all(self.asker, asked, answers)
        return FollowUpFound(
            marks=_marks_of(reads),
            findings=tuple(read.finding("picture" if read.asked.with_picture else "no_picture") for read in reads if read.came is not None),
            skipped=(*skipped, *(f"verify:{read.fault}" for read in reads if read.fault)),
        )

    @property
    def marks(self) -> tuple[str, ...]:
        """See `MarkingFollowUp`."""
        return ("verified", "verified_unseen")

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        """As if every reply of a sample with an accepted answer could be a lesson: the most that it can be."""
        by, teachers = self.section.by, self.asker.teachers
        read = accepted * replies * self.section.share * 2 / max(1, len(teachers))
        calls: defaultdict[str, float] = defaultdict(float)
        for writer in teachers:
            others = [one.name for one in teachers if one.model != writer.model and (isinstance(by, int) or one.name in by)]
            for name in others:
                calls[name] += read * (by / len(others) if isinstance(by, int) else 1)
        return calls

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        """See `FollowUp`: all are wanted at once."""
        return {}

    def _ask_readers(self, about: VotedSample) -> tuple[list[Asked], tuple[str, ...]]:
        """(the Calls, why traces that were drawn have none)."""
        asked: list[Asked] = []
        skipped: list[str] = []
        for trace in about.good:
            if not is_drawn(self.section.share, trace.call, "verify"):
                continue
            text = cut_answer(trace.reasoning, trace.answer or "", about.sample.options, self.asker.task.synonyms)
            if text is None:
                skipped.append("verify:not_verifiable")
            else:
                asked += self._ask_about(about.sample, trace, text)
        return asked, tuple(skipped)

    def _ask_about(self, sample: Sample, trace: Trace, text: str) -> Iterator[Asked]:
        names = None if isinstance(self.section.by, int) else self.section.by
        readers = readers_of(self.asker, trace, names=names)
        for reader in readers[: self.section.by] if isinstance(self.section.by, int) else readers:
            for with_picture in (True, False) if sample.pictures else (False,):
                yield ask_reader(self.asker, trace, sample, text, reader, with_picture=with_picture)


def _marks_of(reads: Sequence[ReaderReply]) -> Mapping[str, Mapping[str, float | None]]:
    marks = {}
    for trace in {read.asked.of.call: None for read in reads}:
        own = [read for read in reads if read.asked.of.call == trace]
        marks[trace] = {
            "verified": share_that_came([read for read in own if read.asked.with_picture]),
            "verified_unseen": share_that_came([read for read in own if not read.asked.with_picture]),
        }
    return marks
