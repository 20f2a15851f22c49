"""Counts of one teacher and of one class, and what counts as a label conflict."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cotforge.findings import FollowUpCounts
from cotforge.records import Sample, Verdict


@dataclass(slots=True)
class TeacherTally:
    """What one teacher was asked, and what became of it."""

    calls: int = 0
    """Calls of the present pipeline with a final outcome, answered or given up."""
    failed: int = 0
    answered: int = 0
    """Replies in which an answer could be read."""
    checks: int = 0
    """Replies about other texts, as of readers and judges: they give no answer."""
    probable: int = 0
    """Those of them whose server told how probable the answer was."""
    unread: Counter[str] = field(default_factory=Counter)
    """Why replies were of no use: `truncated`, `no_answer`, ... (`records.ReadingFault`)."""
    refusals: int = 0
    """Of those with `no_answer`, such as begin by refusing."""
    unread_fields: Counter[str] = field(default_factory=Counter)
    """Replies without a reasoning that have a long text in a field that is not known, by its name."""
    lessons: int = 0
    ballots: int = 0
    """Ballots on Samples whose verdict was accepted."""
    agreeing: int = 0
    """Those equal to the accepted answer."""
    labelled: int = 0
    """Ballots on Samples with a known raw label."""
    with_label: int = 0
    """Those equal to it."""
    cost_usd: float = 0.0

    @property
    def texts(self) -> int:
        """Replies that should give an answer."""
        return self.calls - self.failed - self.checks

    def agreement(self) -> float | None:
        """Share of its ballots equal to the accepted answer; None without any."""
        return share_of(self.agreeing, self.ballots)


@dataclass(slots=True)
class FollowUpTally:
    """What one section that follows the vote asked over all Samples, and why it had nothing to do."""

    calls: int = 0
    """Calls with an outcome, answered or given up."""
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def add(self, section: str, counts: FollowUpCounts) -> None:
        """Count one Sample."""
        self.calls += counts.calls
        self.failed += counts.failed
        self.skipped.update(reason.removeprefix(f"{section}:") for reason in counts.skipped)

    def summary(self) -> dict[str, Any]:
        """As `summary.json` has it."""
        return {"calls": self.calls, "failed": self.failed, "skipped": dict(sorted(self.skipped.items()))}


@dataclass(slots=True)
class ClassTally:
    """One class of a closed set, before and after."""

    labels: int = 0
    """Samples whose raw label it is."""
    accepted: int = 0
    """Those of them that gave a Lesson."""
    answers: int = 0
    """Samples with a Lesson whose agreed answer it is."""


def share_of(part: int, whole: int) -> float | None:
    """`part` of `whole`, in [0, 1]; None of nothing."""
    return part / whole if whole else None


def is_conflict(sample: Sample, verdict: Verdict) -> bool:
    """Whether the teachers agree on another answer than the label, also where the label then kept it out (`label: gate`)."""
    return verdict.label_conflict or (verdict.reason == "label_gate" and sample.label is not None and verdict.answer is not None)
