"""What a follow-up is: Calls that follow from what teachers said about a Sample, and what their replies make of it.

A follow-up is a generator: it yields the Calls that it wants next, is sent the replies, and returns what it found. It decides by these
alone, so curating finds from the journal exactly what asking led to, and a build that is run again asks nothing twice. To add one: a file
with its section of the pipeline file, whose `follow_up` gives the follow-up, and its name in `FOLLOW_UPS`.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from cotforge.answers import Task
from cotforge.answers.redacted_trace import read_trace
from cotforge.findings import Finding, FollowUpCounts
from cotforge.plain_record import Record
from cotforge.prompts import Family, Prompt, make_call
from cotforge.records import Call, Fault, Judged, Origin, Reply, Sample, Trace, Verdict
from cotforge.teachers.kind import TeacherKind

FOLLOW_UPS = ("rescue", "verify", "weave", "probe", "judge")
"""The sections of the pipeline file that have follow-ups, in the order in which their Calls are wanted."""

Replies = Mapping[str, Reply]
"""By the Call's key, replies and errors; a Call that was not asked, or not to the end, is not in it."""
Lookup = Callable[[Sequence[Call]], Replies]


@dataclass(frozen=True, slots=True)
class Common(Record):
    """What follow-ups know beside one Sample."""

    gold: Mapping[str, str] = field(default_factory=dict)
    """The answer that people gave, by the sample's id."""
    partners: tuple[Sample, ...] = ()
    """Other Samples of the source, whose pictures a probe may show in place of the own."""
    barred: frozenset[str] = frozenset()
    """Teachers whose explanations do not count, because they explain wrong hints too."""
    barring: bool = False
    """Whether it is still to be found out who is barred: then only the Calls that tell are wanted, and `barred` is empty."""


@dataclass(frozen=True, slots=True)
class VotedSample:
    """One Sample after the vote."""

    sample: Sample
    verdict: Verdict
    traces: tuple[Judged, ...]
    """What the teachers said when they saw no label, judged by the filters."""
    common: Common = Common()

    @property
    def good(self) -> tuple[Trace, ...]:
        """The traces that could be lessons: the accepted answer, and within all filters."""
        return tuple(judged.trace for judged in self.traces if judged.fate in ("surplus", "lesson"))


class Made(NamedTuple):
    """A trace that a follow-up made: rescued or woven."""

    trace: Trace
    answer: str
    """The answer that it should come to."""
    failed: str = ""
    """The check that it did not pass, as a published word; empty where it passed all."""
    segments: tuple[tuple[str, str], ...] = ()
    """(kind, text) of its parts, where it has such."""


class FollowUpFound(NamedTuple):
    """What a follow-up found out about a Sample."""

    marks: Mapping[str, Mapping[str, float | None]] = {}
    """Values of measures, by the key of the trace's Call."""
    made: tuple[Made, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[str, ...] = ()
    """Why there was nothing to do, where somebody may wonder: `weave:one_trace`, ..."""


NOTHING = FollowUpFound()
Follow = Generator[Sequence[Call], Replies, FollowUpFound]


class FollowUp(Protocol):
    """One kind of follow-up, as its section of the pipeline file wants it."""

    def follow(self, about: VotedSample) -> Follow:
        """Yields the Calls that it wants next, none twice; a generator that returns what it found. Raises Fault as `make_call`."""

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        """Calls about one Sample on average, by the teacher's name, before anything is known of its replies: what `check` plans.

        `accepted`: share of the Samples whose vote accepts an answer, in [0, 1] (1 or 0 of a Sample whose verdict is known), without
        those that only a promise leaves out, about which nobody is asked;
        `replies`: to the Calls of the vote about a Sample, on average. A share that the section draws is multiplied in.
        """

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        """Calls that its first ones about a Sample may lead to, at most, by the teacher's name; empty where it yields once.

        `accepted`: whether the vote accepts an answer.
        """


@runtime_checkable
class BarringFollowUp(FollowUp, Protocol):
    """One that bars teachers by what it finds out over all Samples: its Calls that tell are asked first, under `Common.barring`."""

    def bars(self, findings: Iterable[Finding]) -> frozenset[str]:
        """Names of the teachers that are barred, by the findings about all Samples, in their order; the stream is read once."""


@runtime_checkable
class MarkingFollowUp(FollowUp, Protocol):
    """One that marks traces: its marks are columns of the table of traces, also where no filter bounds them."""

    @property
    def marks(self) -> tuple[str, ...]:
        """The names of the measures that it takes, as `Trace.marks` has them."""


class FollowUpSection(Protocol):
    """A section of the pipeline file that has a follow-up."""

    def follow_up(self, asker: "FollowUpAsker") -> FollowUp:
        """Raises PipelineError where the teachers are not those that it needs."""


@dataclass(frozen=True)
class FollowUpAsker:
    """By whom and how follow-ups are asked: what they need of the pipeline."""

    teachers: tuple[TeacherKind, ...]
    """Those that can be asked anything, Call by Call, in the file's order: no batch, and no replies that exist already."""
    prompts: Family
    task: Task

    @classmethod
    def of(cls, teachers: Iterable[TeacherKind], prompts: Family, task: Task) -> Self:
        """The asker of a pipeline with these teachers: a batch, and replies that exist already, are none of its own."""
        return cls(tuple(one for one in teachers if one.batched is None and one.takes_follow_ups), prompts, task)

    def call(
        self,
        sample: Sample,
        teacher: TeacherKind,
        prompt: Prompt,
        *,
        origin: Origin,
        given: Mapping[str, Any] | None = None,
        index: int = 0,
    ) -> Call:
        """A Call about a Sample as it is shown: its pictures are those that are sent. Raises Fault where no prompt can be made."""
        return make_call(
            sample,
            teacher=teacher.name,
            model=teacher.model,
            temperature=teacher.temperature,
            top_p=teacher.top_p,
            body=teacher.body,
            index=index,
            prompt=prompt,
            origin=origin,
            given=given,
        )

    def read(self, reply: Reply | None, call: Call) -> Trace | None:
        """A reply read; None where there is none, or an error."""
        return read_trace(reply, call, self.task) if reply is not None and reply.outcome.has_text else None

    def named(self, name: str) -> TeacherKind:
        """The teacher of a name. Raises KeyError."""
        return {teacher.name: teacher for teacher in self.teachers}[name]

    def expected_traces(self, accepted: float, replies: float) -> Mapping[str, float]:
        """Traces about one Sample that could be lessons, at most, by the teacher's name; see `FollowUp.expected_calls`."""
        samples = sum(teacher.samples for teacher in self.teachers)
        return {teacher.name: accepted * replies * teacher.samples / samples for teacher in self.teachers}

    def ranked(self, *marks: str, without: Collection[str] = ()) -> list[TeacherKind]:
        """The teachers but for some, in an order that depends on `marks` and their models alone."""
        others = [teacher for teacher in self.teachers if teacher.name not in without]
        return sorted(others, key=lambda teacher: _hash_number(teacher.model, *marks))


def is_drawn(share: float, *marks: str) -> bool:
    """Whether something is in a share, in [0, 1], of all: by its marks alone, so it stays drawn whatever is added."""
    return share >= 1 or _hash_number(*marks) < share * 2**64


def _hash_number(*marks: str) -> int:
    return int.from_bytes(sha256("\n".join(marks).encode(errors="surrogatepass")).digest()[:8], "big")


class Followed(NamedTuple):
    """What all follow-ups of a Sample found out, and the Calls that they asked."""

    found: tuple[FollowUpFound, ...]
    asked: tuple[tuple[Call, Reply | None], ...]
    """Every Call with its reply; None where it was not asked, or not to the end."""
    counts: tuple[FollowUpCounts, ...] = ()
    """Of each follow-up, in their order."""


class _Step(NamedTuple):
    """Where one follow-up stands."""

    place: int
    """Which one it is."""
    follow: Follow
    calls: Sequence[Call]
    """What it wants now."""
    lacking: tuple[Call, ...] = ()
    """Those of them that had no reply when it was last looked for."""


class SampleFollowUps:
    """The follow-ups of one Sample, step by step and side by side."""

    def __init__(self, follow_ups: Sequence[FollowUp], about: VotedSample) -> None:
        self.about = about
        self._open: list[_Step] = []
        self._found: list[tuple[int, FollowUpFound]] = []
        self._asked: dict[str, tuple[Call, Reply | None]] = {}
        self._asked_by: list[list[str]] = [[] for _ in follow_ups]
        """The keys of the Calls of each."""
        for place, each in enumerate(follow_ups):
            self._go_on(place, each.follow(about), None)

    def advance(self, lookup: Lookup, *, settled: bool = False) -> list[Call]:
        """Go on as far as the replies lead, and give the Calls that are wanted; none where all is over.

        `settled`: what has no reply now will have none.
        """
        while True:
            waiting, self._open, wanted = self._open, [], dict[str, Call]()
            went_on = False
            for step in waiting:
                replies = lookup(step.calls)
                lacking = [call for call in step.calls if call.key not in replies]
                if lacking and not settled:
                    self._open.append(step._replace(lacking=tuple(lacking)))
                    wanted |= {call.key: call for call in lacking}
                    continue
                went_on = True
                self._asked |= {call.key: (call, replies.get(call.key)) for call in step.calls}
                self._asked_by[step.place] += [call.key for call in step.calls]
                self._go_on(step.place, step.follow, replies)
            if not went_on:
                return list(wanted.values())

    @property
    def wanting(self) -> list[tuple[int, tuple[Call, ...]]]:
        """(which follow-up, the Calls that it lacks) of each that is not over, since the last `advance`."""
        return [(step.place, step.lacking) for step in self._open]

    @property
    def has_begun(self) -> bool:
        """Whether any Call has a reply, or is known to get none."""
        return bool(self._asked)

    def has_asked(self, place: int) -> bool:
        """Whether a follow-up is past its first Calls: what it lacks now is what those led to."""
        return bool(self._asked_by[place])

    def followed(self) -> Followed:
        """What was found so far."""
        counts = tuple(self._counts_of(place) for place in range(len(self._asked_by)))
        return Followed(tuple(found for _, found in self._found), tuple(self._asked.values()), counts)

    def _counts_of(self, place: int) -> FollowUpCounts:
        replies = [reply for key in self._asked_by[place] if (reply := self._asked[key][1]) is not None]
        skipped = [reason for at, found in self._found if at == place for reason in found.skipped]
        return FollowUpCounts(len(replies), sum(not reply.outcome.has_text for reply in replies), tuple(skipped))

    def _go_on(self, place: int, follow: Follow, replies: Replies | None) -> None:
        try:
            self._open.append(_Step(place, follow, next(follow) if replies is None else follow.send(replies)))
        except StopIteration as end:
            self._found.append((place, end.value))
        except Fault as fault:  # of this row: its prompt cannot be made
            self._found.append((place, FollowUpFound(skipped=(fault.reason,))))
