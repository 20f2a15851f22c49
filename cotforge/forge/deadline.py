"""How long a call may take, from how long the others took: a call that hangs is not waited for as long as `timeout` allows.

A call hangs when it has taken many times what the slowest of the others took, while these went on being answered. Where nobody is
answered, the server or the network stands still, and all are waited for longer. Whether a call was rightly cut off is known by its next
attempt: one that is answered quickly had hung; one that takes long again is a long answer, and no such call is cut off any more.
"""

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from math import inf

ENOUGH = 50
"""Answers from which on the tail is known well enough."""
LAST = 1000
"""Answers it is taken from."""
EVERY = 100
"""Answers after which it is looked at anew."""
TAIL, TIMES = 0.99, 4.0
"""The quantile, and how many times that a call may take: of answers as uneven as e^N(0, 1) it cuts about one in 10,000."""
SLOWEST_TIMES, FORGOTTEN = 2.0, 0.95
"""A call that hangs has also taken so many times what the slowest answer took; of that, so much is remembered at the next look."""
LEAST_S = 10.0
"""No deadline is shorter, but that of a call that hangs alone."""
HANGS_S = 1.0
"""No call hangs before so many seconds."""
OTHERS = 4
"""Answers since it was sent, per call that is overdue, from which on it hangs alone."""
PROOFS, OPEN = 3, 3
"""Calls that must have been cut off rightly before more than so many are cut off whose next attempt is not known yet."""


class Deadline:
    """The deadline of one teacher's calls: `timeout` at first, later what the tail of its answers asks for, if that is less."""

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout
        self.usual = 1.0
        """Seconds of an answer, of late; 1 until there is one."""
        self.answers = 0
        self._seen = 0
        self._seconds: deque[float] = deque(maxlen=LAST)
        self._slowest = 0.0
        """Seconds that an answer took, at most, of late."""
        self._deadline = timeout
        self._hangs_s = inf
        """Seconds from which on a call hangs, if the others are answered."""
        self._look = ENOUGH
        self._waiting: dict[Wait, None] = {}
        """Attempts under way, the oldest first."""
        self._rightly = 0
        """Calls cut off as hanging whose next attempt was answered quickly, since one was not."""
        self._open = 0
        """Those whose next attempt has not ended."""

    def begin(self, now: float, *, timeouts: int = 0, hung: bool = False) -> "Wait":
        """An attempt begins; tell `ended` of its end. `timeouts`: how often the call was cut off; `hung`: the last time as hanging."""
        wait = Wait(now, self.answers, timeouts, hung, self.seconds(timeouts))
        self._waiting[wait] = None
        return wait

    def allowed(self, wait: "Wait", now: float) -> float:
        """Seconds from its beginning that an attempt may take, as it looks now."""
        if not wait.cut:
            wait.cut = self._hangs_alone(wait, now)
            wait.allowed = now - wait.begun if wait.cut else self.seconds(wait.timeouts)
        return wait.allowed

    def ended(self, wait: "Wait", now: float, *, answered: bool, cut: bool) -> None:
        """An attempt has ended: it was answered, `cut` off, or failed."""
        self.dropped(wait)
        seconds, wait.cut = now - wait.begun, wait.cut and cut
        self._open += (wait.cut and not wait.hung) - wait.hung
        if wait.hung and answered:
            self._rightly = self._rightly + 1 if seconds < self._hangs_s else 0
        if answered:
            self.saw(seconds)
        elif cut and not wait.cut and self.answers - wait.answers < ENOUGH:  # else it says nothing about the others
            self.ran_out(seconds)

    def seconds(self, timeouts: int = 0) -> float:
        """Seconds for an attempt at a call that has run into its deadline so often; doubled each time, up to `timeout`."""
        return min(self.timeout, self._deadline * 2.0 ** min(timeouts, 32))

    def dropped(self, wait: "Wait") -> None:
        """An attempt was given up by this side."""
        self._waiting.pop(wait, None)

    def saw(self, seconds: float) -> None:
        """A call was answered."""
        self.answers += 1
        self._slowest = max(self._slowest, seconds)
        self._add_duration(seconds)
        if self._hangs_s < seconds:  # it was no hanging call
            self._hangs_s = SLOWEST_TIMES * seconds

    def ran_out(self, seconds: float) -> None:
        """A call was cut off after so long. It counts as an answer, and until the next look calls get twice as long.

        Otherwise a server that became slower would never be heard again.
        """
        if seconds >= self._deadline:
            self._deadline = min(self.timeout, 2 * self._deadline)
        self._add_duration(seconds)

    def _add_duration(self, seconds: float) -> None:
        self._seconds.append(seconds)
        self._seen = min(self._seen + 1, 16)
        self.usual += (seconds - self.usual) / self._seen
        self._look -= 1
        if self._look == 0:
            self._look = EVERY
            ordered = sorted(self._seconds)
            tail = TIMES * ordered[int(TAIL * len(ordered))]
            self._deadline = max(LEAST_S, tail)
            self._hangs_s = max(HANGS_S, tail, SLOWEST_TIMES * self._slowest)
            self._slowest *= FORGOTTEN

    def _hangs_alone(self, wait: "Wait", now: float) -> bool:
        """Whether an attempt is overdue, while the others are answered; or one of few, at a teacher whose calls are known to hang."""
        trusted, took = self._rightly >= PROOFS, now - wait.begun
        if took < self._hangs_s * (1 + wait.hung) or not (trusted or (self._open < OPEN and not wait.hung)):
            return False
        overdue = sum(1 for _ in takewhile(lambda other: now - other.begun >= self._hangs_s, self._waiting))
        if self.answers - wait.answers >= OTHERS * overdue:
            return True
        return trusted and overdue <= OPEN and took >= 2 * self._hangs_s * (1 + wait.hung)  # the last ones of a run have no others


@dataclass(slots=True, eq=False)
class Wait:
    """One attempt under way."""

    begun: float
    answers: int
    """Of the others, when it began."""
    timeouts: int
    hung: bool
    """Whether the attempt before was cut off as hanging."""
    allowed: float
    """Seconds that it may take."""
    cut: bool = False
    """Whether it is cut off as hanging."""
