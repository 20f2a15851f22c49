"""`probe:` of the pipeline file: does a reasoning need its picture, and does somebody else see what it names?"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from pydantic import Field

from cotforge.errors import PipelineError
from cotforge.findings import Finding
from cotforge.followups.frame import Follow, FollowUpAsker, FollowUpFound, VotedSample, is_drawn
from cotforge.followups.grounding import blanked, survives, swapped
from cotforge.followups.seen import count_seen
from cotforge.followups.things import decoys_for, in_drawn_order, named_things
from cotforge.prompts import option_order
from cotforge.records import Call, Reply, Sample, Trace
from cotforge.spec import Spec
from cotforge.teachers.family import family_of
from cotforge.teachers.kind import TeacherKind

DRAWS = 1_000
"""Numbers that a Call with a blank picture may have: else Samples with pictures of one size would share a reply, and a rate hang on it."""


class Probe(Spec):
    """Tests of whether reasoning rests on its picture, asked about a share of the texts that could be
    lessons."""

    blank: float = Field(default=0.02, ge=0, le=1)
    """Share of texts whose question is asked again with a blank picture of the same size. A text
    that comes out the same did not need its picture."""
    swap: float = Field(default=0.02, ge=0, le=1)
    """Share of texts whose question is asked again with another sample's picture."""
    mentions: float = Field(default=0.02, ge=0, le=1)
    """Share of texts whose things a second teacher looks for in the picture: up to 12 of them, with
    two that nobody named. English texts only."""

    def follow_up(self, asker: FollowUpAsker) -> "ProbeFollowUp":
        """Raises PipelineError where there is no second teacher for `mentions`."""
        if self.mentions and len(asker.teachers) < 2:
            raise PipelineError(
                "probe.mentions: needs a second teacher, asked call by call, to look for what the first names; add one, or set it to 0"
            )
        return ProbeFollowUp(self, asker)


class _AskedProbe(NamedTuple):
    """One Call about a trace."""

    trace: Trace
    what: str
    """`blank`, `swap` or `seen`."""
    call: Call
    things: tuple[str, ...] = ()
    """What is asked for, in the order of the list."""
    decoys: tuple[str, ...] = ()

    def finding(self, kind: str, detail: str, is_so: bool) -> Finding:
        return Finding(kind, self.trace.teacher, self.call.teacher, float(is_so), detail, self.trace.call)


@dataclass(frozen=True)
class ProbeFollowUp:
    """What `probe:` asks about a Sample."""

    probe: Probe
    asker: FollowUpAsker

    def follow(self, about: VotedSample) -> Follow:
        """See `FollowUp`. Marks `grounded` and `mentions_seen`; findings `probe` (1: the trace survived) and `seen` (1: it is seen)."""
        skipped: list[str] = []
        asked = list(self._wanted(about, skipped))
        if not asked:
            return FollowUpFound(skipped=tuple(dict.fromkeys(skipped)))
        replies = yield list({one.call.key: one.call for one in asked}.values())
        findings: list[Finding] = []
        marks: dict[str, dict[str, float | None]] = {}
        for one in asked:
            mark = marks.setdefault(one.trace.call, {})
            mark.setdefault("mentions_seen" if one.what == "seen" else "grounded", None)
            reply = replies.get(one.call.key)
            if reply is None or not reply.outcome.has_text:
                continue
            if one.what == "seen":
                seen = count_seen(reply, one.things, one.decoys)
                mark["mentions_seen"] = seen.share
                skipped += [] if seen.real else ["probe:unread_list"]
                findings += [one.finding("seen", "thing", yes) for yes in seen.real]
                findings += [one.finding("seen", "decoy", yes) for yes in seen.decoys]
            else:
                survived = self._survived(one, reply)
                findings += survived
                skipped += [] if survived else ["probe:unread"]
                mark["grounded"] = _share_changed(findings, one.trace.call)
        return FollowUpFound(marks=marks, findings=tuple(findings), skipped=tuple(dict.fromkeys(skipped)))

    @property
    def marks(self) -> tuple[str, ...]:
        """See `MarkingFollowUp`."""
        taken = {"grounded": self.probe.blank or self.probe.swap, "mentions_seen": self.probe.mentions}
        return tuple(name for name, share in taken.items() if share)

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        """See `FollowUp`."""
        written = self.asker.expected_traces(accepted, replies)
        again = self.probe.blank + self.probe.swap
        asked = {teacher.name: again * written.get(teacher.name, 0.0) for teacher in self.asker.teachers}
        for writer, traces in written.items():
            if checkers := self._checkers(writer):
                for checker in checkers:
                    asked[checker.name] += self.probe.mentions * traces / len(checkers)
        return asked

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        """See `FollowUp`: all are wanted at once."""
        return {}

    def _wanted(self, about: VotedSample, skipped: list[str]) -> Iterator[_AskedProbe]:
        for trace in about.good:
            if about.sample.pictures and trace.teacher in {teacher.name for teacher in self.asker.teachers}:
                if is_drawn(self.probe.blank, "blank", trace.call):
                    yield _AskedProbe(trace, "blank", self._solve_again(trace, about.sample, blanked(about.sample)))
                if is_drawn(self.probe.swap, "swap", trace.call):
                    other = swapped(about.sample, trace.answer, about.common.partners, about.common.gold)
                    if other is None:
                        skipped.append("probe:no_partner")
                    else:
                        yield _AskedProbe(trace, "swap", self._solve_again(trace, about.sample, other))
            if is_drawn(self.probe.mentions, "seen", trace.call):
                asked = self._look_for_things(trace, about)
                if asked is None:
                    skipped.append("probe:no_things")
                else:
                    yield asked

    def _solve_again(self, trace: Trace, sample: Sample, other: Sample) -> Call:
        """The trace's own question with other pictures, its options in the order in which they were named."""
        teacher = self.asker.named(trace.teacher)
        digests = [picture.digest for picture in sample.pictures]
        order = option_order(sample.options, digests=digests, question=sample.question, model=teacher.model, index=trace.index)
        given = {"options": order} if order else None
        draw = int(trace.call[:8], 16) % DRAWS
        return self.asker.call(other, teacher, self.asker.prompts.solve, origin="probe", given=given, index=draw)

    def _look_for_things(self, trace: Trace, about: VotedSample) -> _AskedProbe | None:
        things = named_things(trace.reasoning, without=(*about.sample.options, trace.answer or "", about.sample.label or ""))
        able = {teacher.name for teacher in self._checkers(trace.teacher)}
        checker = next((teacher for teacher in self.asker.ranked("seen", trace.call) if teacher.name in able), None)
        if not things or checker is None:
            return None
        said = [one.trace.reasoning for one in about.traces]
        decoys = decoys_for(" ".join([about.sample.question, *about.sample.options, *said]), trace.call)
        listed = in_drawn_order([*things, *decoys], trace.call)
        call = self.asker.call(about.sample, checker, self.asker.prompts.seen, origin="probe", given={"things": listed})
        return _AskedProbe(trace, "seen", call, tuple(listed), tuple(decoys))

    def _checkers(self, writer: str) -> Sequence[TeacherKind]:
        """Who may look for what a teacher names: others, of other families where there are some."""
        families = {teacher.name: family_of(teacher) for teacher in self.asker.teachers}
        others = [teacher for teacher in self.asker.teachers if teacher.name != writer]
        return [teacher for teacher in others if families[teacher.name] != families.get(writer)] or others

    def _survived(self, one: _AskedProbe, reply: Reply) -> list[Finding]:
        """Whether the trace came out the same with another picture; nothing where the reply does not tell."""
        read = self.asker.read(reply, one.call)
        survived = None if read is None else survives(one.trace, reply, read, self.asker.task)
        return [] if survived is None else [one.finding("probe", one.what, survived)]


def _share_changed(findings: list[Finding], trace: str) -> float | None:
    """Share of the probes that a trace did not survive; None where no reply told."""
    told = [found.value for found in findings if found.kind == "probe" and found.trace == trace]
    return 1 - fmean(told) if told else None
