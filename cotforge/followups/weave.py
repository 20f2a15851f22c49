"""`weave:`: one long text out of several traces about a Sample, right and wrong, that observes, weighs, doubts, checks and concludes.

Sources: S2R's chains of solving, verifying and trying again (Ma et al. 2025, arXiv 2502.12853), and Mulberry's reflection, which goes from
a wrong branch to a right one (Yao et al. 2024, arXiv 2412.18319).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from cotforge.errors import PipelineError, show_value
from cotforge.followups.frame import NOTHING, About, Asker, Follow, Found, Made, Replies, is_drawn
from cotforge.followups.rederive import rederive_answers
from cotforge.followups.weave_sources import Source, weave_sources
from cotforge.followups.woven_parts import Written, failed_check, read_written
from cotforge.followups.woven_text import weave_sentences
from cotforge.records import Call
from cotforge.spec import Spec
from cotforge.teachers.kind import TeacherKind


class Weave(Spec):
    """One long text out of several texts about a sample, right and wrong: it observes, weighs the
    answers that were given, finds the error in the wrong ones, checks and concludes. Only where an
    answer was accepted."""

    teacher: str | None = None
    """Name of the teacher that writes. It gets the other texts without names, in random order, and
    the accepted answer. Null: no teacher is asked, and sentences of the texts themselves are joined."""
    per_sample: Annotated[int, Field(ge=1, le=16)] = 1
    """Woven texts per sample."""
    candidates: Literal["wrong_too", "any"] = "wrong_too"
    """`wrong_too`: only samples with at least one text that came to another answer. `any`: also
    samples on which all texts agree."""
    traces: Annotated[int, Field(ge=2, le=16)] = 4
    """Most texts that are woven into one. At most half of them are wrong."""
    characters: Annotated[int, Field(ge=200, le=20_000)] = 3_000
    """Most characters that are taken of each text, from its beginning."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of samples that are woven, from above 0 to 1. They are drawn by their images, so the
    same are drawn in every run."""
    verify: Annotated[int, Field(ge=0, le=8)] = 1
    """Number of other teachers that must come to the same answer by the woven text alone, with
    every statement of the answer cut out. 0: nobody is asked."""

    def follow_up(self, asker: Asker) -> "WeaveFollowUp":
        """Raises PipelineError where the teacher is not there, or too few others are for `verify`."""
        names = [teacher.name for teacher in asker.teachers]
        if self.teacher is not None and self.teacher not in names:
            there = ", ".join(map(show_value, names[:10]))
            raise PipelineError(f"weave.teacher: no teacher named {show_value(self.teacher)} that is asked call by call; there are {there}")
        others = len(names) - (self.teacher is not None)
        if self.verify > others:
            raise PipelineError(f"weave.verify: asks {self.verify} other teachers, and there are {others}; add teachers, or lower it")
        return WeaveFollowUp(self, asker)


class _Draft(NamedTuple):
    """A woven text before others have tried it."""

    written: Written
    failed: str


@dataclass(frozen=True)
class WeaveFollowUp:
    """Weaves the traces of one Sample after another."""

    section: Weave
    asker: Asker

    def follow(self, about: About) -> Follow:
        """Yields the Calls to the writer, then those to the teachers that try its texts."""
        section, sample = self.section, about.sample
        digests = [picture.digest for picture in sample.pictures]
        if not about.verdict.accepted or not is_drawn(section.share, "weave", sample.question, *digests):
            return NOTHING
        needs_wrong = section.candidates == "wrong_too"
        chosen = [
            weave_sources(about, section.traces, section.characters, needs_wrong=needs_wrong, index=index)
            for index in range(section.per_sample)
        ]
        if isinstance(reason := chosen[0], str):
            return Found(skipped=(f"weave:{reason}",))
        sources = [one for one in chosen if not isinstance(one, str)]
        if section.teacher is None:
            drafts = self._join_sentences(about, sources)
            if not drafts:
                return Found(skipped=("weave:too_little",))
        else:
            drafts = yield from self._ask_writer(about, sources, self.asker.named(section.teacher))
        made = []
        for draft in drafts:
            failed = draft.failed or (yield from self._try_text(about, draft.written))
            made.append(Made(draft.written.trace, str(about.verdict.answer), failed, draft.written.segments))
        return Found(made=tuple(made))

    def _join_sentences(self, about: About, sources: Sequence[Sequence[Source]]) -> list[_Draft]:
        drafts: dict[str, _Draft] = {}
        for index, one in enumerate(sources):
            if (written := weave_sentences(about.sample, one, str(about.verdict.answer), index=index)) is not None:
                drafts.setdefault(written.trace.reasoning, _Draft(written, failed_check(written, about, one)))
        return list(drafts.values())

    def _ask_writer(
        self, about: About, sources: Sequence[Sequence[Source]], writer: TeacherKind
    ) -> Generator[Sequence[Call], Replies, list[_Draft]]:
        calls = [self._writer_call(about, one, writer, index) for index, one in enumerate(sources)]
        replies = yield calls
        drafts = []
        for call, one in zip(calls, sources, strict=True):
            reply = replies.get(call.key)
            if reply is not None and (written := read_written(reply, call, self.asker)) is not None:
                drafts.append(_Draft(written, failed_check(written, about, one)))
        return drafts

    def _writer_call(self, about: About, sources: Sequence[Source], writer: TeacherKind, index: int) -> Call:
        given = {
            "answer": str(about.verdict.answer),
            "traces": tuple({"answer": source.answer, "reasoning": source.text} for source in sources),
        }
        return self.asker.call(about.sample, writer, self.asker.prompts.weave, origin="woven", given=given, index=index)

    def _try_text(self, about: About, written: Written) -> Generator[Sequence[Call], Replies, str]:
        """The check that a text fails when others try to come to its answer by it; empty where all do."""
        if not self.section.verify or written.trace.fault is not None:
            return ""
        without = [self.section.teacher] if self.section.teacher is not None else []
        return (
            yield from rederive_answers(
                self.asker, about.sample, written.trace.reasoning, str(about.verdict.answer), count=self.section.verify, without=without
            )
        )
