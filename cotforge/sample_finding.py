"""What curating finds out about one Sample, as it travels from the process that found it."""

from typing import NamedTuple

from cotforge.records import CuratedSample, Finding, FollowUpCounts, Judged, Lesson, Reply, Sample, Verdict


class SampleFinding(NamedTuple):
    """All that is found out about one Sample; a CuratedSample but for the Sample."""

    verdict: Verdict
    traces: tuple[Judged, ...]
    taught: tuple[tuple[int, str, str | None], ...]
    """(place in `traces`, completion, what was mended for it) of each Lesson."""
    prompt: str
    pair: tuple[str, str] | None
    rejected: str
    failed: tuple[tuple[str, Reply], ...]
    findings: tuple[Finding, ...] = ()
    skipped: tuple[str, ...] = ()
    rescued: Verdict | None = None
    """That of the Lessons, where the vote accepted no answer and a rescue did."""
    followed: tuple[FollowUpCounts, ...] = ()

    def outcome(self, sample: Sample) -> CuratedSample:
        """The same with the Sample, and with its Lessons as such."""
        verdict = self.rescued or self.verdict
        return CuratedSample(
            sample=sample,
            verdict=self.verdict,
            traces=self.traces,
            lessons=tuple(Lesson(sample, verdict, self.traces[place], self.prompt, text, mended) for place, text, mended in self.taught),
            prompt=self.prompt,
            pair=self.pair,
            rejected=self.rejected,
            failed=self.failed,
            findings=self.findings,
            skipped=self.skipped,
            followed=self.followed,
        )
