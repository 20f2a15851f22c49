"""Reading, judging and selecting what the journal has of one Sample at a time."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cotforge import answers, selection
from cotforge.answers.redacted_trace import read_trace
from cotforge.consensus import Decider, Heard
from cotforge.difficulty import pass_rates
from cotforge.filters import Bound, language_bounds, mark_bounds, resolve_filters, take_measures
from cotforge.findings import Finding
from cotforge.followups.after_vote import AfterVote
from cotforge.followups.frame import BarringFollowUp, Common, Followed, MarkingFollowUp, SampleFollowUps, VotedSample
from cotforge.heard import Answered, heard_answers
from cotforge.journal import Journal
from cotforge.measures.reasoning_language import language_of, reasoning_language
from cotforge.pipeline import Loaded
from cotforge.reasons import NO_MEASURES
from cotforge.records import NOT_ASKED, Call, Fault, Judged, Reply, Sample, Trace, Verdict, unasked_reply
from cotforge.redaction import redact_text
from cotforge.replies.text import one_line
from cotforge.sample_finding import SampleFinding
from cotforge.sequence import voter_name

SHOWN, OFFERED_SHOWN = 200, 80
"""Characters of an unread reply that its loss shows."""

NOTHING_COMMON = Common()


class Curator:
    """Reads, votes, filters and selects, one Sample at a time; every process has its own."""

    def __init__(self, loaded: Loaded, journal: Journal, decider: Decider | None = None, common: Common | None = NOTHING_COMMON) -> None:
        """`decider`: by which verdicts are found; without one Samples can only be heard. `common`: what follow-ups know beside a Sample;
        None leaves out what follows the vote.
        """
        self.loaded, self.journal, self.decider, self.common = loaded, journal, decider, common
        self.follow_ups = () if common is None else loaded.follow_ups()
        self.task, self.select = loaded.pipeline.task, loaded.pipeline.select
        bounds = [*language_bounds(loaded.pipeline.reasoning_language), *resolve_filters(loaded.pipeline.filters, loaded.root)]
        names = loaded.follow_up_names if self.follow_ups else ()
        self.marks = {name: one.marks for name, one in zip(names, self.follow_ups, strict=True) if isinstance(one, MarkingFollowUp)}
        """By section, the marks that it takes of texts."""
        self.bounds: Sequence[Bound] = [*bounds, *mark_bounds(bounds, (mark for marks in self.marks.values() for mark in marks))]
        self.tells_language = any(bound.name == reasoning_language.__name__ for bound in bounds)
        self.rates = pass_rates(journal.path.parent) if self.reads_rates else {}
        """Pass rates by the samples' ids, where lessons are selected by them."""
        self.class_bounds: Mapping[str, int] = {}
        """Which Samples `select.per_class` takes: see `ClassCap.bounds`. Empty, which takes all, until that is known."""

    @classmethod
    def again(
        cls, path: str, sets: Sequence[str], journal: str, decider: Decider | None, common: Common | None, class_bounds: Mapping[str, int]
    ) -> "Curator":
        """The same in another process."""
        curator = cls(Loaded.load(path, sets), Journal(Path(journal)), decider, common)
        curator.class_bounds = class_bounds
        return curator

    @property
    def reads_rates(self) -> bool:
        """Whether `difficulty.parquet` decides which Samples have Lessons."""
        return self.select.difficulty is not None and self.select.difficulty.by_student

    def find_all(self, samples: Sequence[Sample]) -> list[SampleFinding | Fault]:
        """What the journal says of each Sample, judged; a Fault where it cannot be asked about."""
        voted = [self._vote(sample) for sample in samples]
        asked = [
            (sample, trace, found[0])
            for sample, found in zip(samples, voted, strict=True)
            if not isinstance(found, Fault)
            for *_, trace in found[1]
            if trace is not None
        ]
        judged = iter(self.judge_all(asked))
        return [
            found if isinstance(found, Fault) else self._find(sample, *found, [next(judged) for *_, trace in found[1] if trace is not None])
            for sample, found in zip(samples, voted, strict=True)
        ]

    def _vote(self, sample: Sample) -> tuple[Verdict, Sequence[Answered]] | Fault:
        """The verdict, and every Call that is looked at with its Reply; a Fault where the Sample cannot be asked about."""
        assert self.decider is not None
        try:
            replies = self._read_replies(sample)
            heard = heard_answers(replies)
            verdict, lacking = self.decider.verdict(sample, heard)
            if self.loaded.pipeline.consensus.soft_labels:
                verdict = replace(verdict, soft_label=self.decider.soft_label(sample, heard))
            if self.loaded.pipeline.consensus.sequential:  # who was not asked is missed only where the policy wants it
                replies = [one for one in replies if one[1].error != NOT_ASKED or voter_name(one[0]) in lacking]
            return verdict, self._explain_unanswered(replies)
        except Fault as fault:
            return fault

    def lesson_classes(self, samples: Sequence[Sample]) -> list[str | Fault | None]:
        """The answer of each Sample's Lessons; None where it has none."""
        return [found if isinstance(found, Fault) else found.lesson_class() for found in self.find_all(samples)]

    def heard(self, sample: Sample) -> list[Heard] | Fault:
        """What came of the Calls about a Sample, in the pipeline's order; without those that were never asked."""
        try:
            return heard_answers(self._read_replies(sample))
        except Fault as fault:
            return fault

    def _read_replies(self, sample: Sample) -> list[Answered]:
        """Every Call about a Sample with its Reply, and that read where it has no error. Raises Fault where it cannot be asked about."""
        pairs = self.loaded.calls(sample)
        stored = self.journal.replies([call.key for _, call in pairs])
        replies = []
        for _, call in pairs:
            found = stored.get(call.key)
            reply = found.reply if found is not None else unasked_reply(call.key)
            replies.append((call, reply, read_trace(reply, call, self.task) if reply.outcome.has_text else None))
        return replies

    def _explain_unanswered(self, replies: Sequence[Answered]) -> Sequence[Answered]:
        """With how the last attempt ended, where a Call was asked and not to the end."""
        lacking = [call.key for call, reply, _ in replies if reply.error == NOT_ASKED]
        if not lacking or not (begun := self.journal.begun(lacking)):
            return replies
        return [
            (call, replace(reply, outcome=replace(reply.outcome, detail=begun[call.key])) if call.key in begun else reply, trace)
            for call, reply, trace in replies
        ]

    def _find(self, sample: Sample, verdict: Verdict, replies: Sequence[Answered], judged: Sequence[Judged]) -> SampleFinding | Fault:
        """The same of one Sample, with what was judged of each trace among the replies."""
        try:
            return self._follow(sample, verdict, replies, judged)
        except Fault as fault:
            return fault

    def _follow(self, sample: Sample, verdict: Verdict, replies: Sequence[Answered], judged: Sequence[Judged]) -> SampleFinding:
        """The fate of every trace after what follows the vote, and the Lessons."""
        answered = [reply for _, reply, trace in replies if trace is not None]
        judged = [_with_beginning(one, reply) for one, reply in zip(judged, answered, strict=True)]
        followed = self.followed(sample, verdict, judged)
        after = AfterVote.of(followed, judged, self.judge, sample, verdict)
        found = SampleFinding(
            verdict=verdict,
            traces=tuple(after.judged),
            taught=(),
            prompt=self.loaded.prompts.student.render(sample),
            pair=None,
            rejected="",
            failed=(*_part_replies(replies)[1], *after.failed),
            findings=after.findings,
            skipped=after.skipped,
            rescued=after.verdict,
            followed=followed.counts if followed is not None else (),
        )
        return self.choose_lessons(sample, found)

    def choose_lessons(self, sample: Sample, found: SampleFinding, first: Sequence[str] = ()) -> SampleFinding:
        """The same with its Lessons, those of the Calls `first` before all others."""
        verdict = found.verdict
        judged = [replace(one, fate="surplus") if one.fate == "lesson" else one for one in found.traces]
        usable = [one.trace for one in judged if one.fate == "surplus"]
        good = [trace for trace in usable if trace.origin == "solve" and trace.call not in first]
        made = [trace for trace in usable if trace.origin != "solve" and trace.call not in first]
        ahead = [trace for key in first for trace in usable if trace.call == key]
        left_out = self._why_left_out(sample, verdict, usable)
        chosen = [] if left_out else [trace.call for trace in self.select.choose(good, sample.id, first=[*ahead, *made])]
        for place, one in enumerate(judged):
            if one.trace.call in chosen:
                judged[place] = replace(one, fate="lesson")
        places = sorted(
            (place for place, one in enumerate(judged) if one.fate == "lesson"), key=lambda place: chosen.index(judged[place].trace.call)
        )
        taught = tuple((place, *self._lesson_completion(sample, judged[place].trace)) for place in places)
        blind = [one for one in judged if one.trace.origin in ("solve", "vote")]
        return found._replace(
            traces=tuple(judged),
            taught=taught,
            pair=self._preference_pair(sample, taught, judged),
            rejected="" if taught else left_out or _rejection_reason(verdict, blind),
        )

    def _why_left_out(self, sample: Sample, verdict: Verdict, usable: Sequence[Trace]) -> str:
        """The key of `select` that leaves out a Sample with usable traces, as it is counted; else empty."""
        difficulty = self.select.difficulty
        if usable and difficulty is not None and not difficulty.takes(verdict, self.rates.get(sample.id)):
            return selection.DIFFICULTY
        return selection.PER_CLASS if usable and not selection.is_within_cap(usable[0].answer, sample.id, self.class_bounds) else ""

    def follow_ups_of(self, sample: Sample) -> SampleFollowUps | Fault | None:
        """What follows the vote about a Sample, at its beginning: `advance` it. None as long as the vote about it is not at its end.

        A Fault where the Sample cannot be asked about.
        """
        assert self.decider is not None
        try:
            replies = self._read_replies(sample)
            verdict, lacking = self.decider.verdict(sample, heard_answers(replies))
            in_turn = self.loaded.pipeline.consensus.sequential
            if lacking if in_turn else any(reply.error == NOT_ASKED for _, reply, _ in replies):
                return None
            judged = self.judge_all([(sample, trace, verdict) for *_, trace in replies if trace is not None])
            return self._begin_follow_ups(sample, verdict, judged)
        except Fault as fault:
            return fault

    def findings(self, sample: Sample) -> Sequence[Finding] | Fault:
        """What the journal says that follow-ups found out about a Sample."""
        steps = self.follow_ups_of(sample)
        if isinstance(steps, Fault) or steps is None:
            return steps or ()
        steps.advance(self._known_replies, settled=True)
        return [finding for found in steps.followed().found for finding in found.findings]

    def followed(self, sample: Sample, verdict: Verdict, judged: Sequence[Judged]) -> Followed | None:
        """What the journal has of all that follows the vote; None where nothing does."""
        if not self.follow_ups:
            return None
        steps = self._begin_follow_ups(sample, verdict, judged)
        steps.advance(self._known_replies, settled=True)
        return steps.followed()

    def _begin_follow_ups(self, sample: Sample, verdict: Verdict, judged: Sequence[Judged]) -> SampleFollowUps:
        common = self.common or NOTHING_COMMON
        wanted = [one for one in self.follow_ups if not common.barring or isinstance(one, BarringFollowUp)]
        return SampleFollowUps(wanted, VotedSample(sample, verdict, tuple(judged), common))

    def _known_replies(self, calls: Sequence[Call]) -> dict[str, Reply]:
        return {key: found.reply for key, found in self.journal.replies(call.key for call in calls).items()}

    def judge(self, sample: Sample, trace: Trace, verdict: Verdict) -> Judged:
        """`surplus` for a good one, or why it is not; every measure is taken of every trace, but no vote, that could be read."""
        return self.judge_all([(sample, trace, verdict)])[0]

    def judge_all(self, asked: Sequence[tuple[Sample, Trace, Verdict]]) -> list[Judged]:
        """The same of several traces, each with its Sample and the verdict about that."""
        measures = iter(take_measures(self.bounds, [one for one in asked if _is_measured(one[1])]))
        return [self._judge(*one, next(measures) if _is_measured(one[1]) else {}) for one in asked]

    def _judge(self, sample: Sample, trace: Trace, verdict: Verdict, measures: Mapping[str, float | None]) -> Judged:
        if trace.fault is not None:
            return Judged(trace, "unread", trace.fault)
        if trace.origin == "vote":
            return Judged(trace, "vote")
        judged = self._judge_read(trace, verdict, measures)
        return replace(judged, language=language_of(trace.reasoning)) if self.tells_language else judged

    def _judge_read(self, trace: Trace, verdict: Verdict, measures: Mapping[str, float | None]) -> Judged:
        """The same of a trace that could be read and is no vote."""
        if not verdict.accepted:
            return Judged(trace, "undecided", measures=measures)
        if trace.answer != verdict.answer:
            return Judged(trace, "wrong", measures=measures)
        for bound in self.bounds:
            if not bound.holds(measures[bound.name]):
                return Judged(trace, "filter", bound.name, measures[bound.name], measures)
        if self.loaded.prompts.needs_reasoning and not answers.clean_reasoning(trace.reasoning)[0]:
            return Judged(trace, "unread", "no_reasoning", measures=measures)
        return Judged(trace, "surplus", measures=measures)

    def _lesson_completion(self, sample: Sample, trace: Trace) -> tuple[str, str | None]:
        """What a student learns of a Trace, without tags and tokens in its text, and what was mended for that."""
        mended = answers.clean_trace(trace if self.loaded.prompts.needs_reasoning else replace(trace, reasoning=""), options=sample.options)
        return redact_text(self.loaded.prompts.completion.complete(mended.reasoning, mended.answer)), mended.named()

    def _preference_pair(
        self, sample: Sample, taught: Sequence[tuple[int, str, str | None]], judged: Sequence[Judged]
    ) -> tuple[str, str] | None:
        """The first Lesson beside a well-formed trace with a wrong answer, chosen by the same rule."""
        wrong = [one.trace for one in judged if one.fate == "wrong" and one.trace.well_formed]
        wrong = [trace for trace in wrong if not self.loaded.prompts.needs_reasoning or answers.clean_reasoning(trace.reasoning)[0]]
        return (taught[0][1], self._lesson_completion(sample, self.select.choose(wrong, sample.id)[0])[0]) if taught and wrong else None


def _is_measured(trace: Trace) -> bool:
    return trace.fault is None and trace.origin != "vote"


def _with_beginning(judged: Judged, reply: Reply) -> Judged:
    """With the beginning of the reply, where it was not read, and its answer, where that is no option.

    Its loss shows that, and nobody has to look the reply up again.
    """
    if judged.fate != "unread":
        return judged
    offered = ""
    if judged.because == "not_an_option" and (span := answers.answer_span(reply)) is not None:
        offered = one_line(span.text[span.start : span.end])[:OFFERED_SHOWN]
    return replace(judged, offered=offered, said=one_line(f"{reply.reasoning} {reply.content}".strip()[: 2 * SHOWN])[:SHOWN])


def _part_replies(replies: Iterable[Answered]) -> tuple[list[Trace], list[tuple[str, Reply]]]:
    """(what was answered, read; what was not)."""
    traces, failed = [], []
    for call, reply, trace in replies:
        if trace is not None:
            traces.append(trace)
        else:
            failed.append((call.teacher, reply))
    return traces, failed


def _rejection_reason(verdict: Verdict, judged: Sequence[Judged]) -> str:
    """The one word under which a Sample without Lesson is counted."""
    if not judged and verdict.reason != "not_wanted":
        return "vote:no_replies"
    if not verdict.accepted:
        return f"vote:{verdict.reason}"
    fates = [one for one in judged if one.because and one.trace.origin == "solve"]
    repeats = [one for one in fates if one.because in NO_MEASURES]  # these passed the filters
    return min((one.fate_word for one in repeats or fates), default="no_trace")
