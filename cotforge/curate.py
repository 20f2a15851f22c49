"""Curating: from the journal to Lessons, a pure function of (pipeline file, source, journal). It asks nothing, however often it runs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from cotforge import answers
from cotforge.consensus import Votes
from cotforge.consensus.claim import FEW, Bin, Claim, bins, lower_bound
from cotforge.filters import Bound, resolved
from cotforge.gold import Gold
from cotforge.journal import Journal
from cotforge.parallel import in_processes
from cotforge.pipeline import Loaded
from cotforge.records import (
    NOT_ASKED,
    Ballot,
    Call,
    CuratedSample,
    Fault,
    Judged,
    Lesson,
    Outcome,
    OutcomeKind,
    Reply,
    Sample,
    Trace,
    Verdict,
)
from cotforge.redaction import redact
from cotforge.replies.text import one_line
from cotforge.sequence import Guide, voter
from cotforge.sources import not_only_faults
from cotforge.verdicts import Heard, Rows, Verdicts

MANY = 100_000
"""Attempts in the journal from which on other processes help (ours): below, starting them costs more time than they save."""

SHOWN = 200
"""Characters of an unread reply that its loss shows."""

_NOT_ASKED = Outcome(OutcomeKind.PASSING, NOT_ASKED)

Answered = tuple[Call, Reply, Trace | None]
"""A Call, its Reply, and that read; None where it is an error."""
Samples = Callable[[], Iterator[Sample | Fault]]
"""Reads the source from its beginning; called twice where a rule must see all ballots first."""


class Held(NamedTuple):
    """A verdict beside what people found."""

    accepted: bool
    right: bool
    with_label: bool
    confidence: float


class Finding(NamedTuple):
    """All that is found out about one Sample; an CuratedSample but for the Sample."""

    verdict: Verdict
    traces: tuple[Judged, ...]
    taught: tuple[tuple[int, str, str | None], ...]
    """(place in `traces`, completion, what was mended for it) of each Lesson."""
    prompt: str
    pair: tuple[str, str] | None
    rejected: str
    failed: tuple[tuple[str, Reply], ...]
    held: Held | None = None
    """Of a Sample that people checked: what the rule says without knowing it."""

    def outcome(self, sample: Sample) -> CuratedSample:
        """The same with the Sample, and with its Lessons as such."""
        lessons = (Lesson(sample, self.verdict, self.traces[place], self.prompt, text, mended) for place, text, mended in self.taught)
        return CuratedSample(sample, self.verdict, self.traces, tuple(lessons), self.prompt, self.pair, self.rejected, self.failed)


class Curator:
    """Reads, votes, filters and selects, one Sample at a time; every process has its own."""

    def __init__(self, loaded: Loaded, journal: Journal, gold: Gold, model: Any = None) -> None:
        """`model`: what the rule has learned; of `sequential` its Verdicts."""
        self.loaded, self.journal, self.gold, self.model = loaded, journal, gold, model
        self.task, self.consensus, self.select = loaded.pipeline.task, loaded.pipeline.consensus, loaded.pipeline.select
        self.bounds: Sequence[Bound] = resolved(loaded.pipeline.filters, loaded.root)

    @classmethod
    def again(cls, path: str, sets: Sequence[str], journal: str, gold: Gold, model: Any) -> "Curator":
        """The same in another process."""
        return cls(Loaded.load(path, sets), Journal(Path(journal)), gold, model)

    def find(self, sample: Sample) -> Finding | Fault:
        """What the journal says of a Sample, judged; a Fault where it cannot be asked about."""
        try:
            replies = self._replies(sample)
            if isinstance(self.model, Verdicts):
                verdict, lacking = self.model.of(sample, _heard(replies))
                worth_it = [one for one in replies if one[1].error != NOT_ASKED or voter(one[0]) in lacking]
                return self._judged(sample, verdict, worth_it)
            traces = _parted(replies)[0]
            verdict = self.consensus.decide(
                ballots(traces), sample.label, sample.options, self.model, teachers=len(self.loaded.pipeline.teachers)
            )
            known = self._checked(sample, verdict, traces)
            return self._judged(sample, known or verdict, replies)._replace(held=self._held(sample, verdict))
        except Fault as fault:
            return fault

    def _held(self, sample: Sample, verdict: Verdict) -> Held | None:
        true = self.gold.answers.get(sample.id)
        return Held(verdict.accepted, verdict.answer == true, verdict.answer == sample.label, verdict.confidence) if true else None

    def _checked(self, sample: Sample, verdict: Verdict, traces: Sequence[Trace]) -> Verdict | None:
        """What people found, in place of the rule's verdict; None of a Sample that nobody checked."""
        if sample.id in self.gold.ambiguous:
            return Verdict(None, 0.0, False, "ambiguous", verdict.ballots)
        true = self.gold.answers.get(sample.id)
        if true is None:
            return None
        said = any(trace.answer == true for trace in traces)
        conflict = said and sample.label is not None and sample.label != true
        return Verdict(true, 1.0 if said else 0.0, said, "" if said else "gold_unsaid", verdict.ballots, conflict)

    def ballots(self, sample: Sample) -> list[Ballot] | Fault:
        """What the teachers said of a Sample: all that a rule learns from."""
        try:
            return ballots(self.traces(sample)[0])
        except Fault as fault:
            return fault

    def heard(self, sample: Sample) -> list[Heard] | Fault:
        """What came of the Calls about a Sample, in the pipeline's order; without those that were never asked."""
        try:
            return _heard(self._replies(sample))
        except Fault as fault:
            return fault

    def traces(self, sample: Sample) -> tuple[list[Trace], list[tuple[str, Reply]]]:
        """(what was answered, read; what was not). Raises Fault where it cannot be asked about."""
        return _parted(self._replies(sample))

    def _replies(self, sample: Sample) -> list[Answered]:
        """Every Call about a Sample with its Reply, and that read where it has no error. Raises Fault where it cannot be asked about."""
        pairs = self.loaded.calls(sample)
        stored = self.journal.replies([call.key for _, call in pairs])
        lacking = [call.key for _, call in pairs if call.key not in stored]
        begun = self.journal.begun(lacking) if lacking else {}
        replies = []
        for _, call in pairs:
            found = stored.get(call.key)
            reply = found.reply if found is not None else Reply(call.key, outcome=replace(_NOT_ASKED, detail=begun.get(call.key, "")))
            replies.append((call, reply, _read(reply, call, self.task) if reply.outcome.has_text else None))
        return replies

    def _judged(self, sample: Sample, verdict: Verdict, replies: Sequence[Answered]) -> Finding:
        """The fate of every trace, and the Lessons."""
        judged = [_shown(self.judge(sample, trace, verdict), reply) for _, reply, trace in replies if trace is not None]
        chosen = [trace.call for trace in self.select.choose(one.trace for one in judged if one.fate == "surplus")]
        for place, one in enumerate(judged):
            if one.trace.call in chosen:
                judged[place] = replace(one, fate="lesson")
        places = sorted(
            (place for place, one in enumerate(judged) if one.fate == "lesson"), key=lambda place: chosen.index(judged[place].trace.call)
        )
        taught = tuple((place, *self._completion(sample, judged[place].trace)) for place in places)
        return Finding(
            verdict=verdict,
            traces=tuple(judged),
            taught=taught,
            prompt=self.loaded.prompts.student.render(sample),
            pair=self._pair(sample, taught, judged),
            rejected="" if taught else _why(verdict, judged),
            failed=tuple(_parted(replies)[1]),
        )

    def judge(self, sample: Sample, trace: Trace, verdict: Verdict) -> Judged:
        """`surplus` for a good one, or why it is not; every measure is taken of every trace, but no vote, that could be read."""
        if trace.fault is not None:
            return Judged(trace, "unread", trace.fault)
        if trace.origin == "vote":
            return Judged(trace, "vote")
        measures = {bound.name: bound.take(sample, trace, verdict) for bound in self.bounds}
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

    def _completion(self, sample: Sample, trace: Trace) -> tuple[str, str | None]:
        """What a student learns of a Trace, without tags and tokens in its text, and what was mended for that."""
        mended = answers.mended(trace if self.loaded.prompts.needs_reasoning else replace(trace, reasoning=""), options=sample.options)
        return redact(self.loaded.prompts.completion.complete(mended.reasoning, mended.answer)), mended.named()

    def _pair(self, sample: Sample, taught: Sequence[tuple[int, str, str | None]], judged: Sequence[Judged]) -> tuple[str, str] | None:
        """The first Lesson beside a well-formed trace with a wrong answer: again the one of median length."""
        wrong = [one.trace for one in judged if one.fate == "wrong" and one.trace.well_formed]
        wrong = [trace for trace in wrong if not self.loaded.prompts.needs_reasoning or answers.clean_reasoning(trace.reasoning)[0]]
        return (taught[0][1], self._completion(sample, self.select.choose(wrong)[0])[0]) if taught and wrong else None


class Curation:
    """The curating of one run: `outcomes()` is read once, and `estimates()` then knows every ballot."""

    def __init__(
        self,
        loaded: Loaded,
        journal: Journal,
        samples: Samples,
        *,
        gold: Gold | None = None,
        guide: Guide | None = None,
        many: int = MANY,
    ) -> None:
        """`guide`: of a run whose teachers are asked in turn; `many`: attempts in the journal from which on other processes help."""
        self.loaded, self.journal, self.samples = loaded, journal, samples
        self.gold, self._guide = (guide.gold if guide is not None else gold) or Gold(), guide
        self.curator = Curator(loaded, journal, self.gold)
        self.measures = list(dict.fromkeys(bound.name for bound in self.curator.bounds))
        self._votes = Votes()
        self._held: list[Held] = []
        self._sure = [0.0, 0]
        self._many = journal.latest() >= many

    def outcomes(self) -> Iterator[CuratedSample | Fault]:
        """One CuratedSample per sound Sample, in the source's order; a row's Fault in its place. Raises SourceError where all are."""
        return not_only_faults(self._outcomes())

    def _outcomes(self) -> Iterator[CuratedSample | Fault]:
        if self._guide is not None:
            self.curator.model = self._decided(self._guide)
        elif self.loaded.pipeline.consensus.learns:
            self.curator.model = self._learned()
        for sample, found in self._map(Curator.find):
            if isinstance(found, Fault):
                yield found
            else:
                self._votes.add(found.verdict.ballots, sample.label, sample.options)
                self._note(sample, found)
                yield found.outcome(sample)

    def heard(self) -> Iterator[tuple[Sample, list[Heard]]]:
        """Every sound Sample with what the journal has of its Calls, in the source's order: what any other vote could be taken over."""
        return ((sample, found) for sample, found in self._map(Curator.heard) if not isinstance(found, Fault))

    def estimates(self) -> Mapping[str, float]:
        """Each teacher's estimated accuracy in [0, 1], from the ballots that `outcomes` has seen."""
        model = self.curator.model
        return model.accuracies if isinstance(model, Verdicts) else self.loaded.pipeline.consensus.estimated_accuracy(self._votes)

    def twins(self) -> Mapping[str, str]:
        """Teachers found to be another one behind a second name, with that name."""
        return self.curator.model.twins if isinstance(self.curator.model, Verdicts) else {}

    def bins(self) -> Sequence[Bin]:
        """Points of a calibration plot, where people checked enough."""
        if isinstance(self.curator.model, Verdicts):
            return self.curator.model.bins
        return bins([(one.confidence, one.right, 1) for one in self._held]) if len(self._held) >= FEW else []

    def claim(self) -> Claim:
        """What may be said of the precision of the answers that `outcomes` accepted and nobody checked."""
        if isinstance(self.curator.model, Verdicts):
            return self.curator.model.claim
        kept = [one for one in self._held if one.accepted]
        if len(kept) < FEW:
            total, count = self._sure
            posterior = self.loaded.pipeline.consensus.rule == "dawid_skene" and count
            return Claim(total / count if posterior else None, None, False)
        right = sum(one.right for one in kept)
        same, other = ([one.right for one in kept if one.with_label == is_label] for is_label in (True, False))
        parts = (sum(part) / len(part) if part else None for part in (same, other))
        return Claim(right / len(kept), lower_bound(right, len(kept)), True, len(kept), right, *parts)

    def _note(self, sample: Sample, found: Finding) -> None:
        """Take down what a claim is made of."""
        if found.held is not None:
            self._held.append(found.held)
        elif found.verdict.accepted:
            self._sure[0] += found.verdict.confidence
            self._sure[1] += 1

    def _decided(self, guide: Guide) -> Verdicts:
        rows = Rows(guide)
        for sample, heard in self.heard():
            rows.add(sample, heard)
        return rows.decided()

    def _learned(self) -> Any:
        votes = Votes()
        for sample, found in self._map(Curator.ballots):
            if not isinstance(found, Fault):
                votes.add(found, sample.label, sample.options)
        return self.loaded.pipeline.consensus.learn(votes)

    def _map(self, work: Callable[[Curator, Sample], Any]) -> Iterator[tuple[Any, Any]]:
        """(Sample, what `work` makes of it), or (None, Fault) for a row that is none, in order."""
        if not self._many:
            return ((item, item if isinstance(item, Fault) else work(self.curator, item)) for item in self.samples())
        asked = (str(self.loaded.path), self.loaded.sets, str(self.journal.path), self.gold, self.curator.model)
        return in_processes(self.samples(), work, start=(Curator.again, asked))


def _read(reply: Reply, call: Call, task: answers.Task) -> Trace:
    """A Reply read, without credentials that lay in pieces in it: reading takes out what lay between."""
    trace = answers.read(reply, call, task)
    is_piece = trace.reasoning in reply.content or trace.reasoning in reply.reasoning
    reasoning, answer = trace.reasoning if is_piece else redact(trace.reasoning), trace.answer and redact(trace.answer)
    return trace if (reasoning, answer) == (trace.reasoning, trace.answer) else replace(trace, reasoning=reasoning, answer=answer)


def _shown(judged: Judged, reply: Reply) -> Judged:
    """With the beginning of the reply, where it was not read: its loss shows that, and nobody has to look the reply up again."""
    if judged.fate != "unread":
        return judged
    return replace(judged, said=one_line(f"{reply.reasoning} {reply.content}".strip()[: 2 * SHOWN])[:SHOWN])


def _parted(replies: Iterable[Answered]) -> tuple[list[Trace], list[tuple[str, Reply]]]:
    """(what was answered, read; what was not)."""
    traces, failed = [], []
    for call, reply, trace in replies:
        if trace is not None:
            traces.append(trace)
        else:
            failed.append((call.teacher, reply))
    return traces, failed


def _heard(replies: Sequence[Answered]) -> list[Heard]:
    """As a vote takes it."""
    return [
        Heard(voter(call), trace.answer if trace is not None else None, reply.cost_usd, reply.seconds, trace is not None, reply.passing)
        for call, reply, trace in replies
        if reply.error != NOT_ASKED
    ]


def ballots(traces: Sequence[Trace]) -> list[Ballot]:
    """A readable answer is a ballot, whatever becomes of its text."""
    return [Ballot(trace.teacher, trace.answer) for trace in traces if trace.answer is not None]


def _why(verdict: Verdict, judged: Sequence[Judged]) -> str:
    """The one word under which a Sample without Lesson is counted."""
    if not judged and verdict.reason != "not_wanted":
        return "vote:no_replies"
    if not verdict.accepted:
        return f"vote:{verdict.reason}"
    fates = [one.fate_word for one in judged if one.because and one.trace.origin != "vote"]
    return min(fates, default="no_trace")
