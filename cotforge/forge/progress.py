"""How far an invocation has come, for whoever shows it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Meter:
    """Live counts of one teacher in this invocation."""

    asked: int = 0
    """Calls that ended."""
    failed: int = 0
    """Of these, given up."""
    attempts: int = 0
    in_flight: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    seconds: float = 0.0
    """Sum over all attempts."""
    last_error: str = ""
    """Of the last Call that was given up."""
    trouble: str = ""
    """Of the last attempt that ended, where it failed."""


@dataclass(slots=True)
class Progress:
    """Live counts of one invocation, for whoever shows them."""

    teachers: dict[str, Meter]
    samples: int = 0
    """Looked at, whether or not anything was to be asked."""
    faults: int = 0
    settled: int = 0
    """Samples whose last missing Call ended in this invocation."""
    agreed: int = 0
    """Of these, by plain majority: a running figure, the pipeline's own rule decides when all is asked."""
    had: int = 0
    """Calls looked at that had been settled before."""
    stopped: str = ""
    """Why asking ended early: `interrupted` or `failures`."""

    @property
    def failures(self) -> float:
        """Share of the Calls looked at so far that were given up, in [0, 1]."""
        return self.failed / max(1, self.asked + self.had)

    @property
    def asked(self) -> int:
        return sum(meter.asked for meter in self.teachers.values())

    @property
    def failed(self) -> int:
        return sum(meter.failed for meter in self.teachers.values())
