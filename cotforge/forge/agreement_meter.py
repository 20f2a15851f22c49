"""The running figure of agreement that a person sees: the pipeline's own rule decides when all is asked."""

from collections.abc import Iterable, Iterator

from cotforge import answers
from cotforge.consensus import Heard
from cotforge.consensus.majority import MAJORITY
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import Progress
from cotforge.forge.sample_path import SamplePath
from cotforge.pipeline import Pipeline
from cotforge.records import Sample
from cotforge.sequence import vote_setting

MANY, EVERY = 200, 10
"""Samples after which only every so-manieth is judged (ours): it would be a tenth of the work."""


class AgreementMeter:
    """Counts in `progress` the Samples that are over, and on how many of those that are looked at there is agreement."""

    def __init__(self, pipeline: Pipeline, progress: Progress) -> None:
        self._pipeline, self._progress = pipeline, progress
        self._majority = MAJORITY.learn(MAJORITY.rows(vote_setting(pipeline)))
        self._calls = sum(teacher.samples for teacher in pipeline.teachers)

    def settled(self, work: PendingSample) -> None:
        """The last Call has ended about a Sample of which all are asked at once."""
        if self._look_at_next() and len(work.had) == self._calls:
            self._count_judged(self._majority_of(work.sample, self._answers_said(work)))

    def over(self, work: PendingSample, walk: SamplePath) -> None:
        """A Sample's way is at its end."""
        if walk.asked and self._look_at_next():
            by_policy = walk.policy is not None and not walk.everybody
            self._count_judged(walk.accepted if by_policy else self._majority_of(work.sample, walk.said))

    def _look_at_next(self) -> bool:
        """Whether one more is looked at."""
        self._progress.settled += 1
        return self._progress.settled < MANY or self._progress.settled % EVERY == 0

    def _count_judged(self, agreed: bool) -> None:
        self._progress.judged += 1
        self._progress.agreed += agreed

    def _answers_said(self, work: PendingSample) -> Iterator[tuple[str, str | None]]:
        for call, attempt in work.had:
            reply = attempt.reply
            yield call.teacher, answers.read_reply(reply, call, self._pipeline.task).answer if reply.outcome.has_text else None

    def _majority_of(self, sample: Sample, said: Iterable[tuple[str, str | None]]) -> bool:
        """Whether there is one, of the label's vote too where it has one."""
        return self._majority.verdict(sample, [Heard(teacher, answer) for teacher, answer in said])[0].accepted
