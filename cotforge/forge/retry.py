"""Asking anew by reason: of the Calls that ended badly, exactly those that ended so."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Self

from cotforge import answers
from cotforge.errors import PipelineError
from cotforge.forge.pending import PendingSample, missing_work
from cotforge.history import known_errors
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, Sample
from cotforge.replies.attempt import Attempt

CHECKS = ("verify", "probe", "judge")
"""Origins of Calls whose replies are about another trace."""


class Retry:
    """An `Again`: whether a Call ended for one of the reasons, as `losses.parquet` has them: an error, or why a reply was not read.

    All other Calls that have ended are left alone, also those that failed for a passing reason.
    """

    def __init__(self, loaded: Loaded, reasons: Collection[str]) -> None:
        self.loaded, self.reasons = loaded, frozenset(reasons)

    @classmethod
    def of(cls, loaded: Loaded, reasons: Sequence[str], *, samples: Callable[[], Iterator[Sample | Fault]], journal: Journal) -> Self:
        """Raises PipelineError where no Call ever ended for one of the reasons; the source is read only for those that are no errors."""
        retry, known = cls(loaded, reasons), known_errors(journal)
        if not retry.reasons <= known:
            for reason in retry.met(missing_work(loaded, samples(), journal, again=lambda *_: False)):
                known.add(reason)
                if retry.reasons <= known:
                    return retry
            there = ", ".join(sorted(known)) or "none"
            faults = [f"--retry {reason}: no call ended so; there are: {there}" for reason in reasons if reason not in known]
            raise PipelineError(*faults)
        return retry

    def __call__(self, call: Call, attempt: Attempt) -> bool:
        return self.reason(call, attempt) in self.reasons

    def reason(self, call: Call, attempt: Attempt) -> str | None:
        """Why the Call came to nothing; None where it did not."""
        reply = attempt.reply
        if call.origin in CHECKS:
            return reply.error  # its text is read by another reader
        trace = answers.read_reply(reply, call, self.loaded.pipeline.task) if reply.outcome.has_text else None
        return answers.why_lost(reply, trace, needs_reasoning=self.loaded.prompts.needs_reasoning)

    def met(self, works: Iterator[PendingSample | Fault]) -> Iterator[str]:
        """Each reason for which one of the Calls that were asked came to nothing."""
        for work in works:
            if not isinstance(work, Fault):
                yield from (reason for call, attempt in work.had if (reason := self.reason(call, attempt)) is not None)
