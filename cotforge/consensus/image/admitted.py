"""Whether what pictures say was heard, and why: what a card, a summary and a notebook tell of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Admission:
    """Pictures are heard only where people's answers show that they tell more of the truth."""

    admitted: bool
    checked: int
    """Samples with features that people checked, and somebody was asked about."""
    gain: float | None = None
    """By how much the log posterior of their true answers grows, in nats in the mean; None where too few are checked to say."""
    error: float | None = None
    """Its standard error."""
    accuracy: float | None = None
    """Of the classifier of pictures, as estimated, in [0, 1]; None where it is not admitted."""

    @property
    def words(self) -> str:
        """In one sentence."""
        if self.gain is None or self.error is None:
            return f"has no vote: {self.checked:,} checked samples have features, and at least {LEAST} are needed; cotforge gold picks some"
        told = (
            f"on {self.checked:,} checked samples the log posterior of the true answer changes by {self.gain:+.3f} (s.e. {self.error:.3f})"
        )
        return f"votes: {told}" if self.admitted else f"has no vote: {told}; it has to rise by more than {SURE:g} standard errors"


SURE = 2.0
"""Standard errors by which the log posterior has to rise; default as measured in benchmarks.consensus, real pictures."""
PICTURE = "(picture)"
"""Stands in a table of teachers where it tells of pictures."""
LEAST = 20
"""Checked samples without which there is nothing to say."""
