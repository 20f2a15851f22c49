"""How far an invocation has come, for whoever shows it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from cotforge.endings import Closing, Stop
from cotforge.records import OutcomeKind
from cotforge.replies.attempt import Attempt
from cotforge.teachers.wire import LOGPROBS

LONG_S, LONG_TIMES = 30.0, 3.0
"""An attempt is waited for when it has taken so many seconds, and so many times what the others took."""


class Waiting(NamedTuple):
    """Attempts that take long."""

    calls: int
    seconds: float
    """Of the one that was begun first."""


@dataclass(slots=True)
class TeacherCounts:
    """Live counts of one teacher in this invocation."""

    asked: int = 0
    """Calls that ended."""
    failed: int = 0
    """Of these, given up."""
    filtered: int = 0
    """Of those, refused by a content filter: about the picture, and no failure of the teacher."""
    attempts: int = 0
    in_flight: int = 0
    begun: dict[int, float] = field(default_factory=dict)
    """The attempts in flight, by number: when they were begun, in monotonic seconds."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Sum over the attempts that ended."""
    last_error: str = ""
    """Of the last Call that was given up."""
    trouble: str = ""
    """Of the last attempt that ended, where it failed."""
    closed: Closing | None = None
    """Why this teacher is not asked any more, or not for now."""
    closing_words: str = ""
    """What its server said when that happened."""
    postponed: int = 0
    """Calls that are not asked because of that."""
    redacted: int = 0
    """Attempts whose answer held a credential."""
    without_logprobs: int = 0
    """Attempts whose server refused to give log probabilities."""

    def note(self, attempt: Attempt) -> None:
        """An attempt has ended."""
        self.trouble = attempt.error or ""
        self.redacted += attempt.redacted
        self.without_logprobs += attempt.refused_field == LOGPROBS

    @property
    def ended(self) -> int:
        """Attempts that ended."""
        return self.attempts - self.in_flight

    def waiting(self, now: float) -> Waiting | None:
        """The attempts that have been in flight for long; None where there are none."""
        least = max(LONG_S, LONG_TIMES * self.seconds / self.ended if self.ended > 0 else 0.0)
        long = [now - begun for begun in list(self.begun.values()) if now - begun >= least]  # a copy: it is shown by another thread
        return Waiting(len(long), max(long)) if long else None

    def count(self, attempt: Attempt) -> None:
        """A Call has ended."""
        self.asked += 1
        self.input_tokens += attempt.input_tokens
        self.output_tokens += attempt.output_tokens
        self.cost_usd += attempt.cost_usd
        if not attempt.outcome.has_text:
            self.failed += 1
            self.filtered += attempt.outcome.kind is OutcomeKind.FILTERED
            self.last_error = f"{attempt.error}: {attempt.detail}".strip(": ")


@dataclass(slots=True)
class Progress:
    """Live counts of one invocation, for whoever shows them."""

    teachers: dict[str, TeacherCounts]
    per_sample: int = 0
    """Calls about one Sample, of the teachers that are asked; 0 where the answers decide how many."""
    samples: int = 0
    """Looked at, whether or not anything was to be asked."""
    faults: int = 0
    settled: int = 0
    """Samples whose last missing Call ended in this invocation."""
    judged: int = 0
    """Of these, looked at for a running figure of agreement."""
    agreed: int = 0
    """Of these, with a plain majority: the pipeline's own rule decides when all is asked."""
    had: int = 0
    """Calls looked at that had been settled before."""
    stopped: Stop | None = None
    """Why asking ended early; None where it did not."""
    is_hurried: bool = False
    """Whether who stopped it wants the end at once: nothing more is written than what was answered."""
    stopped_because: str = ""
    """The same for a person, where the kind alone does not say enough."""

    def stop(self, why: Stop, because: str = "") -> None:
        """Note why asking ends; the first reason stays."""
        if self.stopped is None:
            self.stopped, self.stopped_because = why, because

    @property
    def told(self) -> str | None:
        """Why asking ended early, as `summary.json` has it."""
        return self.stopped_because or self.stopped

    @property
    def is_complete(self) -> bool:
        """Whether asking came to its end, and every Call that was asked has an answer."""
        early = any(meter.postponed or meter.closed not in (None, Closing.OVER) for meter in self.teachers.values())
        return not self.stopped and not self.failed and not early

    @property
    def failures(self) -> float:
        """Share of the Calls looked at so far that were given up, in [0, 1]; those that a content filter refused are none of them."""
        return (self.failed - self.filtered) / max(1, self.asked + self.had)

    @property
    def lacking(self) -> float:
        """The same with those that were not asked for want of their teacher: it may come back, so this holds at the end alone."""
        postponed = sum(meter.postponed for meter in self.teachers.values())
        return (self.failed - self.filtered + postponed) / max(1, self.asked + postponed + self.had)

    @property
    def usual(self) -> float:
        """Calls about one Sample: what is known of it, else the average so far."""
        return self.per_sample or (self.asked + self.had) / max(1, self.samples)

    @property
    def asked(self) -> int:
        return sum(meter.asked for meter in self.teachers.values())

    @property
    def failed(self) -> int:
        return sum(meter.failed for meter in self.teachers.values())

    @property
    def filtered(self) -> int:
        return sum(meter.filtered for meter in self.teachers.values())
