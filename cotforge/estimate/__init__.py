"""What a build would still ask, and between what bounds its tokens, dollars and hours lie."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from heapq import heappush, heappushpop

from cotforge.budget import spent_so_far
from cotforge.estimate.elsewhere import answered_elsewhere
from cotforge.estimate.estimate_text import estimate_text
from cotforge.estimate.forecast import FollowUpForecast
from cotforge.estimate.outlook import OUTPUT_TOKENS, guess_outlook, measure_outlook, recall_outlook
from cotforge.estimate.plan import Estimate, Share
from cotforge.estimate.repaid import LOOKED_AT, Anew, asked_anew, past_of
from cotforge.estimate.throughput import Throughput, measure_throughputs
from cotforge.estimate.unasked import Unasked
from cotforge.forge import PendingSample
from cotforge.history import teacher_histories
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, Sample
from cotforge.replies.attempt import Attempt
from cotforge.sources import not_only_faults
from cotforge.teachers.wire import input_tokens

__all__ = ["LOOKED_AT", "OUTPUT_TOKENS", "Estimate", "Estimator", "answered_elsewhere", "asked_anew"]


class Estimator:
    """An estimate in the making: `read` the source, `probe` or not, then `text`."""

    def __init__(self, loaded: Loaded, journal: Journal, *, everybody: Callable[[str], bool] | None = None, limited: bool = False) -> None:
        """`everybody`: whether all Calls about the Sample of an id are made in any case; where it is None, they are about all.

        `limited`: whether only a part of the source is read.
        """
        self.loaded, self.journal, self._everybody = loaded, journal, everybody
        pipeline, past = loaded.pipeline, teacher_histories(journal)
        shares = {teacher.name: Share(teacher, past_of(past, teacher), whole=not limited) for teacher in pipeline.teachers}
        self._anew = Anew(loaded, journal, {name: share.history for name, share in shares.items()})
        self.found = Estimate(shares, pipeline.budget, spent_so_far(pipeline.teachers, past))
        self._begun = journal.latest()
        self._drawn: list[tuple[int, int, PendingSample]] = []
        self._answered: dict[str, list[tuple[int, Attempt]]] = {}
        """Replies to the probe, each with our count of its input tokens."""

    def read(self, works: Iterable[PendingSample | Fault], *, draw: int = 0) -> Estimate:
        """Count what every Work lacks; `draw` so many of them for a probe, at random and the same in every invocation."""
        for work in works:
            if isinstance(work, Fault):
                self.found.fault(work)
                continue
            self.found.samples += 1
            whole = self._everybody is None or self._everybody(work.sample.id)
            self._count_work(work, whole=whole)
            if draw and whole:
                self._draw_for_probe(work.sample, draw, lambda work=work: work)  # type: ignore[misc]
        self._anew.close()
        self._look_at_reply({})
        return self.found

    def read_unasked(self, samples: Iterator[Sample | Fault], *, draw: int = 0) -> Estimate:
        """The same of Samples that the journal knows nothing of, in a fraction of the time. Raises SourceError as a reading of Works."""
        for found in not_only_faults(Unasked(self.loaded).counted(samples)):
            if isinstance(found, Fault):
                self.found.fault(found)
                continue
            sample, asking = found
            self.found.samples += 1
            whole = self._everybody is None or self._everybody(sample.id)
            self.found.firsts += not whole and bool(asking)
            for name, (calls, tokens) in asking.items():
                share = self.found.shares[name]
                share.calls += calls
                share.open += 0 if whole else calls
                share.counted += tokens
            if draw and whole:
                self._draw_for_probe(sample, draw, lambda sample=sample: PendingSample(sample, self.loaded.calls(sample), []))  # type: ignore[misc]
        self._look_at_reply({})
        return self.found

    def _draw_for_probe(self, sample: Sample, draw: int, work: Callable[[], PendingSample]) -> None:
        """Keep the Work of a Sample for the probe, if it is one of the first by chance."""
        rank = -int.from_bytes(sha256(sample.id.encode("utf-8", "replace")).digest()[:8])
        if len(self._drawn) < draw:
            heappush(self._drawn, (rank, self.found.samples, work()))
        elif rank > self._drawn[0][0]:
            heappushpop(self._drawn, (rank, self.found.samples, work()))

    @property
    def drawn(self) -> list[Sample]:
        """The Samples to probe, those first that a smaller probe would draw too."""
        return [work.sample for _, _, work in sorted(self._drawn, reverse=True)]

    def probed(self) -> Estimate:
        """The same after the Samples drawn were asked about: their replies tell what the others will take."""
        answered = self._answered
        for _, _, work in self._drawn:
            stored = self.journal.replies(call.key for _, call in work.calls)
            had = [(call.teacher, call, found) for call, found in work.had]
            now = [(teacher.name, call, stored[call.key]) for teacher, call in work.calls if call.key in stored]
            for name, call, found in now:
                self._note_end(self.found.shares[name], call, found)
            for name, call, found in had + now:
                if found.error is None:
                    answered.setdefault(name, []).append((input_tokens(call), found))
        self.found.spent = spent_so_far(self.loaded.pipeline.teachers, teacher_histories(self.journal))
        self._look_at_reply(answered)
        return self.found

    def expect(self, forecast: FollowUpForecast) -> Estimate:
        """The same with what will probably follow the vote."""
        self.found.forecast = forecast
        for name, share in self.found.shares.items():
            share.following = forecast.of_teacher(name)
            known, counted = forecast.known[name], forecast.counted.get(name, 0.0)
            each = counted / known if known else self._usual_input(share)
            share.following_counted = counted + each * max(0.0, share.following - known)
        self._look_at_reply(self._answered)
        return self.found

    @property
    def _answers_alone(self) -> float:
        """Share of the Calls of the vote that ask for the answer alone, as far as file and prompt tell."""
        if self.loaded.prompts.solve.asks_answer_alone:
            return 1.0
        # Under `votes: short` a full Call and a short one of each teacher are planned.
        return 0.5 if self.loaded.pipeline.consensus.short_votes else 0.0

    def _usual_input(self, share: Share) -> float:
        """Input tokens of a Call that shows a reasoning, by those of the vote."""
        if share.calls:
            return share.counted / share.calls + OUTPUT_TOKENS
        history = share.history
        return history.input_tokens / history.replies + OUTPUT_TOKENS if history.replies else OUTPUT_TOKENS

    def text(self) -> str:
        return estimate_text(self.found)

    def _count_work(self, work: PendingSample, *, whole: bool) -> None:
        self.found.firsts += not whole and bool(work.calls) and not work.had
        for call, stored in work.had:
            share = self.found.shares[call.teacher]
            share.done += 1
            share.held += stored.outcome.has_text
        stale: Mapping[str, Attempt] = {}
        if any(self.found.shares[teacher.name].history.calls for teacher, _ in work.calls):
            stale = self.journal.replies(call.key for _, call in work.calls)
        for teacher, call in work.calls:
            share = self.found.shares[teacher.name]
            share.calls += 1
            share.open += not whole
            share.counted += input_tokens(call)
            share.held += call.key in stale and stale[call.key].error is None
        for name, count in self._anew.of(work).items():
            self.found.shares[name].same += count

    def _note_end(self, share: Share, call: Call, stored: Attempt) -> None:
        """A Call of the probe has ended."""
        if stored.settles(share.teacher.max_tokens):
            share.calls -= 1
            share.done += 1
            share.counted -= input_tokens(call)
        if stored.error is not None:
            share.failed += 1
            share.last_error = f"{stored.error}: {stored.detail}".strip(": ")

    def _look_at_reply(self, answered: Mapping[str, list[tuple[int, Attempt]]]) -> None:
        paces = measure_throughputs(self.journal) | measure_throughputs(self.journal, since=self._begun)
        for name, share in self.found.shares.items():
            if not share.calls and not share.following:
                share.outlook = None
            elif name in answered:
                pace = paces.get((name, share.teacher.model), Throughput())
                share.outlook = measure_outlook(share.teacher, answered[name], pace=pace.per_call(share.slots))
                share.probed_with = 0 if pace.knows(share.slots) else max(1, round(pace.in_flight))
            elif share.history.replies:
                pace = paces.get((name, share.teacher.model), Throughput())
                share.outlook = recall_outlook(
                    share.teacher,
                    share.history,
                    calls=max(1, round(share.calls + share.following)),
                    counted=round(share.counted + share.following_counted),
                    pace=pace.per_call(share.slots),
                )
            else:
                alone = self._answers_alone * share.calls / (share.calls + share.following)
                share.outlook = guess_outlook(share.teacher, answers_alone=alone)
