"""Curating: from the journal to Lessons, a pure function of (pipeline file, source, journal). It asks nothing and may be run any number of times."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cotforge import answers
from cotforge.consensus import Votes
from cotforge.filters import Bound
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Ballot, Fault, Judged, Lesson, Outcome, Reply, Sample, Trace, Verdict
from cotforge.teachers.wire import reply_of

Samples = Callable[[], Iterator[Sample | Fault]]
"""Reads the source from its beginning; called twice where a rule must see all ballots first."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One Sample with what the journal holds about it."""

    sample: Sample
    traces: tuple[Trace, ...]
    failed: tuple[tuple[str, Reply], ...]

    @property
    def ballots(self) -> list[Ballot]:
        return [Ballot(trace.teacher, trace.answer) for trace in self.traces if trace.answer is not None]


class Curation:
    """Votes, filters and selects; `outcomes()` is read once, and `votes` then holds every ballot."""

    def __init__(self, loaded: Loaded, journal: Journal, samples: Samples) -> None:
        self.loaded, self.journal, self.samples = loaded, journal, samples
        self.bounds: Sequence[Bound] = [bound.resolve(loaded.root) for bound in loaded.pipeline.filters]
        self.measures = list(dict.fromkeys(bound.measure for bound in self.bounds))
        self.votes = Votes()
        self._reasons = "reasoning" in loaded.prompts.completion.inputs

    def outcomes(self) -> Iterator[Outcome | Fault]:
        """One Outcome per sound Sample, in the source's order; a row's Fault in its place."""
        consensus = self.loaded.pipeline.consensus
        model = None
        if consensus.learns:
            early = Votes()
            for answered in self._answered(self.samples()):
                if isinstance(answered, Answered):
                    early.add(answered.ballots, answered.sample.label, answered.sample.options)
            model = consensus.learn(early)
        for answered in self._answered(self.samples()):
            if isinstance(answered, Fault):
                yield answered
                continue
            sample, ballots = answered.sample, answered.ballots
            self.votes.add(ballots, sample.label, sample.options)
            verdict = consensus.decide(ballots, sample.label, sample.options, model, teachers=len(self.loaded.pipeline.teachers))
            yield self._judged(answered, verdict)

    def estimates(self) -> Mapping[str, float]:
        """Each teacher's estimated accuracy in [0, 1], from the ballots that `outcomes` has seen."""
        return self.loaded.pipeline.consensus.estimated_accuracy(self.votes)

    def _answered(self, samples: Iterable[Sample | Fault]) -> Iterator[Answered | Fault]:
        for sample in samples:
            if isinstance(sample, Fault):
                yield sample
                continue
            try:
                pairs = self.loaded.calls(sample)
            except Fault as fault:
                yield fault
                continue
            stored = self.journal.replies(call.key for _, call in pairs)
            traces, failed = [], []
            for teacher, call in pairs:
                found = stored.get(call.key)
                if found is None:
                    continue
                reply = reply_of(found)
                if reply.error is None:
                    traces.append(answers.read(reply, call, self.loaded.pipeline.task))
                else:
                    failed.append((teacher.name, reply))
            yield Answered(sample, tuple(traces), tuple(failed))

    def _judged(self, answered: Answered, verdict: Verdict) -> Outcome:
        """The fate of every trace, and the Lessons."""
        sample = answered.sample
        judged = [self._judge(sample, trace, verdict) for trace in answered.traces]
        good = [one for one in judged if one.fate == "good"]
        chosen = self.loaded.pipeline.select.choose([one.trace for one in good])
        keys = {trace.call for trace in chosen}
        judged = [replace(one, fate="lesson" if one.trace.call in keys else "surplus") if one.fate == "good" else one for one in judged]
        prompt = self.loaded.prompts.student.render(sample)
        lessons = tuple(
            Lesson(sample, verdict, one, prompt, self._completion(one.trace)) for trace in chosen for one in judged if one.trace.call == trace.call
        )
        return Outcome(
            sample=sample,
            verdict=verdict,
            traces=tuple(judged),
            lessons=lessons,
            prompt=prompt,
            pair=self._pair(lessons, judged),
            rejected="" if lessons else _why(answered, verdict, judged),
            failed=answered.failed,
        )

    def _judge(self, sample: Sample, trace: Trace, verdict: Verdict) -> Judged:
        """`good`, or why not; every measure is taken of every readable trace."""
        if trace.fault is not None:
            return Judged(trace, f"unread:{trace.fault}")
        measures: dict[str, float | None] = {}
        dropped: str | None = None
        for bound in self.bounds:
            value = measures[bound.measure] = bound.take(sample, trace, verdict)
            if dropped is None and not bound.holds(value):
                dropped = bound.measure
        if not verdict.accepted:
            return Judged(trace, "undecided", measures=measures)
        if trace.answer != verdict.answer:
            return Judged(trace, "wrong", measures=measures)
        if dropped is not None:
            return Judged(trace, f"filter:{dropped}", measures[dropped], measures)
        if self._reasons and not trace.reasoning:
            return Judged(trace, "unread:no_reasoning", measures=measures)
        return Judged(trace, "good", measures=measures)

    def _completion(self, trace: Trace) -> str:
        return self.loaded.prompts.completion.complete(trace.reasoning, trace.answer or "")

    def _pair(self, lessons: Sequence[Lesson], judged: Sequence[Judged]) -> tuple[str, str] | None:
        """The first Lesson beside a well-formed trace with a wrong answer: again the one of median length."""
        wrong = [one.trace for one in judged if one.fate == "wrong" and one.trace.well_formed]
        if not lessons or not wrong:
            return None
        worse = self.loaded.pipeline.select.choose(wrong)[0]
        return lessons[0].completion, self._completion(worse)


def _why(answered: Answered, verdict: Verdict, judged: Sequence[Judged]) -> str:
    """The one word under which a Sample without Lesson is counted."""
    if not answered.traces:
        return "vote:no_replies"
    if not verdict.accepted:
        return f"vote:{verdict.reason}"
    dropped = [one.fate for one in judged if one.fate.startswith("filter:")]
    unread = [one.fate for one in judged if one.fate.startswith("unread:")]
    return next(iter(dropped or unread), "no_trace")

