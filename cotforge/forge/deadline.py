"""How long a call may take, from how long the others took: a server that says nothing more is not waited for the whole timeout."""

from collections import deque

ENOUGH = 50
"""Answers from which on the tail is known well enough (ours)."""
LAST = 1000
"""Answers it is taken from (ours)."""
EVERY = 100
"""Answers after which it is looked at anew (ours)."""
TAIL, TIMES = 0.99, 4.0
"""The quantile, and how many times that a call may take (ours): of answers as uneven as e^N(0, 1) it cuts about one in 10,000."""
LEAST_S = 10.0
"""No deadline is shorter (ours)."""


class Deadline:
    """The deadline of one teacher's calls: `timeout` at first, later what the tail of its answers asks for, if that is less."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.usual = 1.0
        """Seconds of an answer, of late; 1 until there is one."""
        self._seen = 0
        self._seconds: deque[float] = deque(maxlen=LAST)
        self._deadline = timeout
        self._look = ENOUGH

    def seconds(self, timeouts: int = 0) -> float:
        """Seconds for the next attempt at a call that has run into its deadline so often; doubled each time, up to `timeout`."""
        return min(self.timeout, self._deadline * 2.0 ** min(timeouts, 32))

    def saw(self, seconds: float) -> None:
        """A call was answered."""
        self._seconds.append(seconds)
        self._seen = min(self._seen + 1, 16)
        self.usual += (seconds - self.usual) / self._seen
        self._look -= 1
        if self._look == 0:
            self._look = EVERY
            ordered = sorted(self._seconds)
            self._deadline = max(LEAST_S, TIMES * ordered[int(TAIL * len(ordered))])

    def ran_out(self, seconds: float) -> None:
        """A call was cut off after so long. It counts as an answer, and until the next look calls get twice as long.

        Otherwise a server that became slower would never be heard again.
        """
        if seconds >= self._deadline:
            self._deadline = min(self.timeout, 2 * self._deadline)
        self.saw(seconds)
