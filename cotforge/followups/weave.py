"""`weave:`: one long text out of several traces about a Sample, right and wrong, that observes, weighs, doubts, checks and concludes.

Sources: S2R's chains of solving, verifying and trying again (Ma et al. 2025, arXiv 2502.12853), and Mulberry's reflection, which goes from
a wrong branch to a right one (Yao et al. 2024, arXiv 2412.18319).
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from cotforge.followups.answer_cut import cut_answer
from cotforge.followups.frame import NOTHING, Follow, FollowUpAsker, FollowUpFound, Made, Replies, VotedSample, is_drawn
from cotforge.followups.readers import ReaderReply, ask_reader, demand_readers, demand_teachers, read_all, readers_of, share_that_came
from cotforge.followups.reply_faults import is_other_language, is_refusal, repeats_prompt
from cotforge.followups.weave_sources import Source, weave_sources
from cotforge.followups.woven_parts import WovenWriting, failed_check, read_written
from cotforge.followups.woven_text import weave_sentences
from cotforge.prompts import as_text
from cotforge.records import Call, Reply
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
    """How many teachers of other models must come to the answer by the picture and the woven text
    without its answer. 0: nobody is asked."""

    def follow_up(self, asker: FollowUpAsker) -> "WeaveFollowUp":
        """Raises PipelineError where the teacher is not there, or too few others are for `verify`."""
        writers = None if self.teacher is None else [self.teacher]
        demand_teachers(asker, writers or (), "weave.teacher")
        demand_readers(asker, self.verify, "weave.verify", writers=writers)
        return WeaveFollowUp(self, asker)


class _Draft(NamedTuple):
    """A woven text before others have read it."""

    written: WovenWriting
    failed: str
    """The check that it did not pass, as a published word; empty where it passed all."""


@dataclass(frozen=True)
class WeaveFollowUp:
    """Weaves the traces of a Sample."""

    section: Weave
    asker: FollowUpAsker

    def follow(self, about: VotedSample) -> Follow:
        """Yields the Calls to the writer, then those to the teachers that read its texts."""
        section, marks = self.section, [picture.digest for picture in about.sample.pictures]
        if not about.verdict.accepted or not is_drawn(section.share, "weave", about.sample.question, *marks):
            return NOTHING
        chosen = [
            weave_sources(about, section.traces, section.characters, needs_wrong=section.candidates == "wrong_too", index=index)
            for index in range(section.per_sample)
        ]
        if isinstance(reason := chosen[0], str):
            return FollowUpFound(skipped=(f"weave:{reason}",))
        sources = [one for one in chosen if not isinstance(one, str)]
        if section.teacher is None:
            drafts = self._join_sentences(about, sources)
            if not drafts:
                return FollowUpFound(skipped=("weave:too_little",))
        else:
            drafts = yield from self._ask_writer(about, sources, self.asker.named(section.teacher))
        return (yield from self._have_read(about, drafts))

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        """As if on every Sample with an accepted answer somebody came to a wrong one: no more are asked."""
        share = accepted * self.section.share * (replies > 1)
        calls = {name: share * count for name, count in self._reads().items()}
        return calls if self.section.teacher is None else {self.section.teacher: share * self.section.per_sample, **calls}

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        """The readers of what a writer writes; what is joined from sentences is read at once."""
        return {} if self.section.teacher is None else self._reads()

    def _reads(self) -> dict[str, float]:
        """Calls about the texts of one Sample, by the reader's name."""
        writes = {teacher.model for teacher in self.asker.teachers if teacher.name == self.section.teacher}
        others = [teacher.name for teacher in self.asker.teachers if teacher.model not in writes]
        return {name: self.section.per_sample * self.section.verify / len(others) for name in others} if self.section.verify else {}

    def _join_sentences(self, about: VotedSample, sources: Sequence[Sequence[Source]]) -> list[_Draft]:
        drafts: dict[str, _Draft] = {}
        for index, one in enumerate(sources):
            written = weave_sentences(about.sample, one, str(about.verdict.answer), synonyms=self.asker.task.synonyms, index=index)
            if written is not None:
                drafts.setdefault(written.trace.reasoning, self._checked(written, about, one))
        return list(drafts.values())

    def _ask_writer(
        self, about: VotedSample, sources: Sequence[Sequence[Source]], writer: TeacherKind
    ) -> Generator[Sequence[Call], Replies, list[_Draft]]:
        calls = [self._writer_call(about, one, writer, index) for index, one in enumerate(sources)]
        replies = yield calls
        drafts = []
        for call, one in zip(calls, sources, strict=True):
            reply = replies.get(call.key)
            if reply is not None and (written := read_written(reply, call, self.asker)) is not None:
                fault = _writing_fault(about, call, reply, written, one)
                if fault == "refused":  # told as such, not as a reply without an answer
                    written = written._replace(trace=replace(written.trace, fault=None))
                drafts.append(_Draft(written, fault) if fault else self._checked(written, about, one))
        return drafts

    def _checked(self, written: WovenWriting, about: VotedSample, sources: Sequence[Source]) -> _Draft:
        return _Draft(written, failed_check(written, about, sources, self.asker.task.synonyms))

    def _writer_call(self, about: VotedSample, sources: Sequence[Source], writer: TeacherKind, index: int) -> Call:
        given = {
            "answer": str(about.verdict.answer),
            "traces": tuple({"answer": source.answer, "reasoning": source.text} for source in sources),
        }
        return self.asker.call(about.sample, writer, self.asker.prompts.weave, origin="woven", given=given, index=index)

    def _have_read(self, about: VotedSample, drafts: Sequence[_Draft]) -> Follow:
        """What was made of the drafts, once other teachers have read those that passed their checks."""
        answer, verify = str(about.verdict.answer), self.section.verify
        failed, asked = {draft.written.trace.call: draft.failed for draft in drafts}, []
        for trace in (draft.written.trace for draft in drafts if verify and not draft.failed and draft.written.trace.fault is None):
            text = cut_answer(trace.reasoning, answer, about.sample.options, self.asker.task.synonyms)
            if text is None:
                failed[trace.call] = "not_verifiable"
                continue
            said = {judged.trace.teacher for judged in about.traces if judged.trace.answer == answer}
            readers = sorted(readers_of(self.asker, trace), key=lambda teacher: teacher.name in said)[:verify]
            asked += [ask_reader(self.asker, trace, about.sample, text, reader) for reader in readers]
        reads = (yield from read_all(self.asker, asked, dict.fromkeys(failed, answer))) if asked else []
        marks = {}
        for call in {read.asked.of.call: None for read in reads}:
            own = [read for read in reads if read.asked.of.call == call]
            marks[call] = {"verified": share_that_came(own)}
            failed[call] = _reading_fault(own)
        return FollowUpFound(
            marks=marks,
            made=tuple(Made(one.trace, answer, failed[one.trace.call], one.segments) for one, _ in drafts),
            findings=tuple(read.finding("woven") for read in reads if read.came is not None and self.section.teacher is not None),
            skipped=tuple(f"verify:{read.fault}" for read in reads if read.fault),
        )


def _reading_fault(reads: Sequence[ReaderReply]) -> str:
    """The check that a text failed when others read it; empty where all came to its answer."""
    came = [read.came for read in reads]
    return "unverified" if False in came else "unchecked" if None in came else ""


def _writing_fault(about: VotedSample, call: Call, reply: Reply, written: WovenWriting, sources: Sequence[Source]) -> str:
    """What is wrong with a reply as such, as a published word; empty where its text can be looked at."""
    trace, asked = written.trace, as_text(call)
    if trace.fault is not None:
        return "refused" if trace.answer is None and is_refusal(reply) else ""
    for source in sources:
        asked = asked.replace(source.text, "")
    if repeats_prompt(trace.reasoning, asked):
        return "repeats_prompt"
    return "other_language" if is_other_language(about.sample, trace, as_text(call)) else ""
