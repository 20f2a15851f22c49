"""`rescue:` of the pipeline file: a teacher explains a trusted label of a sample that the teachers did not agree on.

Second best to asking blind again: a text that was written to a known answer shows that the answer can be argued for, not that it is seen.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pydantic import Field

from cotforge.findings import Finding
from cotforge.followups.answer_cut import cut_answer
from cotforge.followups.frame import NOTHING, Follow, FollowUp, FollowUpAsker, FollowUpFound, Made, VotedSample, is_drawn
from cotforge.followups.readers import Asked, ask_reader, demand_readers, demand_teachers, read_all, readers_of, share_that_came
from cotforge.followups.reply_faults import is_answer_alone, is_other_language, is_refusal, repeats_prompt
from cotforge.followups.wrong_hints import barred_teachers, wrong_hint
from cotforge.measures.leaks import leaks
from cotforge.prompts import as_text
from cotforge.records import Call, Reply, Trace, Verdict
from cotforge.spec import Spec
from cotforge.teachers.kind import TeacherKind

_UNFINISHED = ("not_asked", "not_wanted")
"""Why a verdict is none yet, or never will be one: blind replies come first."""


class Rescue(Spec):
    """Texts for samples without agreement whose label is trusted: a teacher is told the label and
    explains it. Second best: first try to ask again without the label, by another or better teacher."""

    explain: bool = True
    """Explain the trusted labels. With `false` only wrong hints are planted, to see which teachers
    would explain anything."""
    verify: int = Field(default=1, ge=1)
    """How many teachers of other models must come to the label by the picture and the text without
    its answer."""
    teachers: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the teachers that explain. Null: any that is not barred."""
    trust: float = Field(default=0.5, ge=0, le=1)
    """A label without a checked answer is trusted if it is the leading answer of the vote with at
    least this confidence. By default such labels were right in 78 to 97 % of the cases in simulated
    votes; 0.8 gains a few points under rules that give a posterior, and leaves none under `majority`."""
    wrong_hints: float = Field(default=0.02, ge=0, le=1)
    """Share of the samples with an accepted answer on which a teacher is asked to explain a wrong
    label. Ten such calls are needed to judge a teacher."""
    most_followed: float = Field(default=0.25, gt=0, lt=1)
    """A teacher that surely argues for more than this share of wrong labels explains nothing: the
    exact lower bound at 95 % is above it. With 10 wrong labels that takes 6."""

    def follow_up(self, asker: FollowUpAsker) -> FollowUp:
        """Raises PipelineError where nobody could explain, or too few could read what is explained."""
        demand_teachers(asker, self.teachers or (), "rescue.teachers")
        if self.explain:
            demand_readers(asker, self.verify, "rescue.verify", writers=self.teachers)
        return RescueFollowUp(asker, self)


@dataclass(frozen=True)
class RescueFollowUp:
    """Explains a sample that has no agreement, or plants a wrong label in one that has."""

    asker: FollowUpAsker
    section: Rescue

    def follow(self, about: VotedSample) -> Follow:
        """Yields the explanation, then what its readers are shown."""
        if about.verdict.accepted:
            return (yield from self._plant(about))
        if not self.section.explain or about.common.barring or about.verdict.reason in _UNFINISHED or about.verdict.unpromised:
            return NOTHING
        hint = trusted_answer(about, self.section.trust)
        if hint is None:
            return FollowUpFound(skipped=("rescue:no_label" if about.sample.label is None else "rescue:untrusted_label",))
        explainers = self._explainers(about, barred=about.common.barred)
        if not explainers:
            return FollowUpFound(skipped=("rescue:barred",))
        return (yield from self._explain(about, hint, explainers[0]))

    def expected_calls(self, accepted: float, replies: float) -> Mapping[str, float]:
        """Every sample without agreement counts as one whose label is trusted: the most that it can be."""
        named = self.section.teachers or tuple(teacher.name for teacher in self.asker.teachers)
        explained = (1 - accepted) * self.section.explain
        calls: defaultdict[str, float] = defaultdict(float)
        for name in named:
            calls[name] += (explained + accepted * self.section.wrong_hints) / len(named)
        for name, count in self.later_calls(accepted=False).items():
            calls[name] += explained * count
        return calls

    def later_calls(self, *, accepted: bool) -> Mapping[str, float]:
        """The readers of an explanation that passes; nobody reads what is said of a wrong hint."""
        named = self.section.teachers or tuple(teacher.name for teacher in self.asker.teachers)
        calls: defaultdict[str, float] = defaultdict(float)
        for name in () if accepted else named:
            writer = self.asker.named(name)
            readers = [teacher.name for teacher in self.asker.teachers if teacher.model != writer.model]
            for reader in readers:
                calls[reader] += self.section.verify / len(named) / len(readers)
        return calls

    def bars(self, findings: Iterable[Finding]) -> frozenset[str]:
        """Teachers whose explanations do not count: they argue for wrong labels too."""
        return barred_teachers(findings, self.section.most_followed)

    def _explainers(self, about: VotedSample, *, barred: frozenset[str] = frozenset()) -> list[TeacherKind]:
        named, marks = self.section.teachers, _marks_of_sample(about)
        ranked = self.asker.ranked("explain", *marks, without=barred)
        return [teacher for teacher in ranked if named is None or teacher.name in named]

    def _call(self, about: VotedSample, teacher: TeacherKind, hint: str, *, planted: bool = False) -> Call:
        prompt = self.asker.prompts.explain
        return self.asker.call(about.sample, teacher, prompt, origin="probe" if planted else "rescue", given={"label": hint})

    def _explain(self, about: VotedSample, hint: str, teacher: TeacherKind) -> Follow:
        call = self._call(about, teacher, hint)
        reply = (yield [call]).get(call.key)
        trace = self.asker.read(reply, call)
        if trace is None or reply is None:
            return NOTHING
        if fault := self._explanation_fault(about, call, reply, trace=trace, hint=hint):
            # A refusal is told as such, not as a reply without an answer.
            made = Made(replace(trace, fault=None) if fault == "refused" else trace, hint, fault)
            return FollowUpFound(made=(made,), skipped=(f"rescue:{fault}",) if fault == trace.fault else ())
        text = cut_answer(trace.reasoning, hint, about.sample.options, self.asker.task.synonyms)
        if text is None:
            return FollowUpFound(made=(Made(trace, hint, "not_verifiable"),))
        asked = [ask_reader(self.asker, trace, about.sample, text, reader) for reader in self._readers(about, trace, hint)]
        return (yield from self._verify(trace, hint, asked))

    def _explanation_fault(self, about: VotedSample, call: Call, reply: Reply, *, trace: Trace, hint: str) -> str:
        """Why an explanation cannot be a lesson, as a published word; empty where it may, before other teachers have read it."""
        if trace.fault is not None:
            return "refused" if trace.answer is None and is_refusal(reply) else trace.fault
        if trace.answer != hint:
            return "declined"
        if is_answer_alone(trace.reasoning, hint):
            return "hint_alone"
        prompt = as_text(call)
        if repeats_prompt(trace.reasoning, prompt):
            return "repeats_prompt"
        is_chosen = self.asker.prompts.explain.language is not None  # by `reasoning_language`, whose filter tells another one
        if not is_chosen and is_other_language(about.sample, trace, prompt):
            return "other_language"
        return "hint_leaked" if leaks(trace.reasoning, hint, about.sample.options) else ""

    def _verify(self, trace: Trace, hint: str, asked: list[Asked]) -> Follow:
        reads = yield from read_all(self.asker, asked, {trace.call: hint})
        came = [read.came for read in reads]
        failed = "unverified" if False in came else "unchecked" if None in came else ""
        return FollowUpFound(
            marks={trace.call: {"verified": share_that_came(reads)}},
            made=(Made(trace, hint, failed),),
            findings=tuple(read.finding("hinted") for read in reads if read.came is not None),
            skipped=tuple(f"verify:{read.fault}" for read in reads if read.fault),
        )

    def _readers(self, about: VotedSample, trace: Trace, hint: str) -> list[TeacherKind]:
        """Those first who saw something else when they were asked blind: a teacher that said so anyway does not need the text."""
        said = {judged.trace.teacher for judged in about.traces if judged.trace.answer == hint}
        readers = sorted(readers_of(self.asker, trace), key=lambda teacher: (teacher.name in about.common.barred, teacher.name in said))
        return readers[: self.section.verify]

    def _plant(self, about: VotedSample) -> Follow:
        """A wrong label, where the sample is drawn for one; who is asked does not depend on who is barred, so that stays as it is."""
        sample, marks = about.sample, _marks_of_sample(about)
        explainers = self._explainers(about)
        if not explainers or not self.section.wrong_hints or not is_drawn(self.section.wrong_hints, "wrong_hint", *marks):
            return NOTHING
        planted = wrong_hint(sample, self.asker.task, (about.verdict.answer, sample.label, about.common.gold.get(sample.id)))
        if planted is None:
            return FollowUpFound(skipped=("rescue:no_wrong_hint",))
        call = self._call(about, explainers[0], planted, planted=True)
        reply = (yield [call]).get(call.key)
        trace = self.asker.read(reply, call)
        if trace is None or reply is None:
            return NOTHING
        if trace.answer is None and not is_refusal(reply):
            return FollowUpFound(skipped=(f"rescue:wrong_hint_{trace.fault}",))
        by = call.teacher
        return FollowUpFound(findings=(Finding("hint", by, by, float(trace.answer == planted), trace=call.key),))


def trusted_answer(about: VotedSample, trust: float) -> str | None:
    """What people said of a sample, else its label where it leads the vote with at least this confidence; None where neither is there."""
    verdict, label = about.verdict, about.sample.label
    if (gold := about.common.gold.get(about.sample.id)) is not None:
        return gold
    if label is None or verdict.reason == "ambiguous":
        return None
    return label if verdict.answer == label and verdict.confidence >= trust else None


def why_untrusted(verdict: Verdict, label: str | None) -> str:
    """Why `trusted_answer` is None though there is a label, as a detail of the loss."""
    if verdict.reason == "ambiguous":
        return "the people who checked it could not tell, or disagree"
    if verdict.answer is None:
        return "no answer leads the vote, and nobody checked it"
    if verdict.answer != label:
        return f"{verdict.answer!r} leads the vote, not the label {label!r}, and nobody checked it"
    return f"it leads the vote with a confidence of {verdict.confidence:.3f}, below rescue.trust, and nobody checked it"


def _marks_of_sample(about: VotedSample) -> tuple[str, ...]:
    return (*(picture.digest for picture in about.sample.pictures), about.sample.question)
