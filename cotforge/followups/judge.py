"""`judge:` of the pipeline file: teachers of other families give marks to a reasoning, by a rubric."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from cotforge.errors import PipelineError, show_value
from cotforge.findings import Finding
from cotforge.followups.frame import NOTHING, Follow, FollowUpAsker, FollowUpFound, VotedSample, is_drawn
from cotforge.followups.judge_marks import DEFAULT_RUBRIC, Dimension, mean_marks, read_marks
from cotforge.followups.readers import demand_teachers
from cotforge.followups.reply_faults import is_refusal
from cotforge.records import Call, Trace
from cotforge.spec import PathText, Spec
from cotforge.teachers.family import family_of
from cotforge.teachers.kind import TeacherKind


class Judge(Spec):
    """Marks for the texts that could be lessons, given by teachers of other families than the
    writer's. They are measures: a filter bounds them, and they never become a lesson's text."""

    rubric: tuple[Dimension, ...] | None = Field(default=None, min_length=1, max_length=16)
    """What marks are given for. Null: `evidence`, `soundness`, `checking` and `clarity`, from 1 to 5
    each."""
    teachers: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the teachers that judge. Null: all."""
    share: float = Field(default=1.0, ge=0, le=1)
    """Share of the texts that are judged."""
    own_family: bool = False
    """Whether teachers of the writer's family may judge too. Nobody judges a text of its own."""
    gold: PathText | None = Field(default=None, min_length=1)
    """CSV file with marks of people, in the columns `id` (of the sample, for its first lesson) or
    `call` (of the text), `dimension` and `mark`. Report and card compare the judges with them. Null:
    none."""

    @field_validator("rubric")
    @classmethod
    def _names_differ(cls, rubric: tuple[Dimension, ...] | None) -> tuple[Dimension, ...] | None:
        names = [dimension.name for dimension in rubric or ()]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two dimensions are named {show_value(twice[0])}; each needs a name of its own")
        return rubric

    @model_validator(mode="after")
    def _judges_differ(self) -> Self:
        names = self.teachers or ()
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"teachers: {show_value(twice[0])} is named twice; nobody judges a text twice")
        return self

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What marks are given for, as the file says or by default."""
        return self.rubric or DEFAULT_RUBRIC

    def follow_up(self, asker: FollowUpAsker) -> "JudgeFollowUp":
        """Raises PipelineError where a teacher is not known, or nobody may judge anything."""
        known = {teacher.name: teacher for teacher in asker.teachers}
        demand_teachers(asker, self.teachers or (), "judge.teachers")
        follow_up = JudgeFollowUp(self, asker, tuple(known[name] for name in self.teachers or known))
        if not any(follow_up.judges(teacher.name) for teacher in asker.teachers):
            families = ", ".join(dict.fromkeys(f"{teacher.name} ({family_of(teacher)})" for teacher in asker.teachers))
            raise PipelineError(
                f"judge.teachers: nobody may judge: of {families} no other one is of another family; add a teacher, set its `family`, "
                "or set judge.own_family"
            )
        return follow_up


class _AskedJudge(NamedTuple):
    """One Call about a trace."""

    trace: Trace
    call: Call


@dataclass(frozen=True)
class JudgeFollowUp:
    """What `judge:` asks about a Sample."""

    judge: Judge
    asker: FollowUpAsker
    named: tuple[TeacherKind, ...]
    """Who may judge at all."""

    def follow(self, about: VotedSample) -> Follow:
        """See `FollowUp`. Marks `judge_<dimension>`, means over the judges; a finding `judge` for every mark that could be read."""
        drawn = [trace for trace in about.good if is_drawn(self.judge.share, "judge", trace.call)]
        asked = [one for trace in drawn for one in self._wanted(trace, about)]
        skipped = ["judge:no_other_family"] if any(not self.judges(trace.teacher) for trace in drawn) else []
        if not asked:
            return FollowUpFound(skipped=tuple(skipped)) if skipped else NOTHING
        replies = yield list({one.call.key: one.call for one in asked}.values())
        given: dict[str, list[dict[str, int]]] = {one.trace.call: [] for one in asked}
        findings: list[Finding] = []
        for trace, call in asked:
            reply = replies.get(call.key)
            if reply is None or not reply.outcome.has_text:
                continue
            marks = read_marks(reply, self.judge.dimensions)
            given[trace.call].append(marks)
            if not marks:
                skipped.append("judge:refused" if is_refusal(reply) else "judge:no_marks")
            findings += [
                Finding("judge", trace.teacher, call.teacher, float(mark), dimension, trace.call) for dimension, mark in marks.items()
            ]
        means = {key: mean_marks(marks, self.judge.dimensions) for key, marks in given.items()}
        return FollowUpFound(marks=means, findings=tuple(findings), skipped=tuple(dict.fromkeys(skipped)))

    @property
    def marks(self) -> tuple[str, ...]:
        """See `MarkingFollowUp`."""
        return tuple(f"judge_{dimension.name}" for dimension in self.judge.dimensions)

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        """See `FollowUp`."""
        asked = dict.fromkeys((teacher.name for teacher in self.asker.teachers), 0.0)
        for writer, traces in self.asker.expected_traces(accepted, replies).items():
            for judge in self.judges(writer):
                asked[judge.name] += self.judge.share * traces
        return asked

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        """See `FollowUp`: all are wanted at once."""
        return {}

    def judges(self, writer: str) -> Sequence[TeacherKind]:
        """Who may judge what a teacher wrote: never itself."""
        family = {teacher.name: family_of(teacher) for teacher in self.asker.teachers}
        others = [teacher for teacher in self.named if teacher.name != writer]
        return others if self.judge.own_family else [one for one in others if family[one.name] != family.get(writer)]

    def _wanted(self, trace: Trace, about: VotedSample) -> Iterator[_AskedJudge]:
        rubric = tuple(dimension.model_dump() for dimension in self.judge.dimensions)
        given = {"reasoning": _quoted(trace.reasoning), "answer": trace.answer, "rubric": rubric}
        for judge in self.judges(trace.teacher):
            yield _AskedJudge(trace, self.asker.call(about.sample, judge, self.asker.prompts.judge, origin="judge", given=given))


def _quoted(reasoning: str) -> str:
    """A reasoning that cannot end its own tags, and so never speaks to the judge from outside of them."""
    return re.sub(r"<(?=\s*/?\s*(?:reasoning|rubric)\b)", "&lt;", reasoning, flags=re.IGNORECASE)
