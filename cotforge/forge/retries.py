"""How many attempts of a run may be repetitions, so that a sick server does not cause a storm."""

SHARE = 0.2
"""Retries that each first attempt brings (ours)."""
START, MOST = 10.0, 100.0
"""Retries in hand at first, and at most (ours)."""
PER_SECOND = 1.0
"""Retries that time alone brings (ours): the end of a run, when nothing is sent for the first time any more, does not stand still."""


class RetryBudget:
    """Retries that may be sent. Where they are used up, each waits its turn; none is refused for good."""

    def __init__(self) -> None:
        self._left = START
        self._at: float | None = None

    def first(self) -> None:
        """A call is sent for the first time."""
        self._left = min(MOST, self._left + SHARE)

    def delay(self, now: float) -> float:
        """Take one retry. Returns the seconds until it may be sent: 0 where one was left, else its place among those that wait."""
        if self._at is not None and now > self._at:
            self._left = min(MOST, self._left + (now - self._at) * PER_SECOND)
        self._at = now
        self._left -= 1.0
        return max(0.0, -self._left / PER_SECOND)
