"""What curating finds out about one Sample, as it travels from the process that found it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cotforge.findings import Finding, FollowUpCounts
from cotforge.records import CuratedSample, Judged, Lesson, Reply, Sample, Verdict

if TYPE_CHECKING:
    from cotforge.dedup.lesson_rule import LessonRule


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

    def lesson_class(self) -> str | None:
        """The answer of its Lessons; None where it has none."""
        return self.traces[self.taught[0][0]].trace.answer if self.taught else None

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


def without_repeats(
    sample: Sample, found: SampleFinding, rule: "LessonRule", choose: Callable[[Sample, SampleFinding, Sequence[str]], SampleFinding]
) -> SampleFinding:
    """The same without the Lessons that the rule objects to, the Sample's next good texts in their place.

    `choose` gives it the Lessons of its good traces, those of the named Calls first.
    """
    passed: list[str] = []
    while (new := next((place for place, _, _ in found.taught if found.traces[place].trace.call not in passed), None)) is not None:
        one = found.traces[new]
        objection = rule.judge(sample, one.trace.answer or "", one.trace)
        if objection is None:
            passed.append(one.trace.call)
            continue
        dropped = replace(one, fate="filter", because=objection.reason, fate_value=objection.similarity, said=objection.detail)
        found = choose(sample, found._replace(traces=(*found.traces[:new], dropped, *found.traces[new + 1 :])), passed)
    return found
