"""Whether a Call that failed is tried again, and when."""

import random
from dataclasses import dataclass

from cotforge.teachers.ended import Ended

ATTEMPTS = 4
"""Attempts at a Call that fails for a passing reason, before it is given up (ours)."""
TIMEOUTS = 2
"""Attempts that may end by timeout: the server probably did, and charged, the work each time (ours)."""
THROTTLED = 60
"""Attempts that a server may turn away for want of room (ours); they cost nothing."""
LEAST_S, MOST_S = 0.05, 20.0
"""Bounds of the pause before another attempt (ours), where the server does not say."""


@dataclass(slots=True)
class Tries:
    """How the attempts at one Call have ended so far."""

    failures: int = 0
    timeouts: int = 0
    refused: int = 0
    empty: int = 0

    def again(self, ended: Ended) -> bool:
        """Count this end, and say whether another attempt makes sense in this run."""
        error = ended.stored.error
        if ended.unreached:
            return ended.retry  # nothing was paid, and it is the replica that is counted out
        if ended.refused:
            self.refused += 1
            return ended.retry and self.refused < THROTTLED
        if error is None:
            self.empty += 1
            return ended.retry and self.empty == 1  # a reply without a word in it: once more, then that is what it says
        self.timeouts += error == "timeout"
        self.failures += 1
        return ended.retry and self.failures < ATTEMPTS and self.timeouts < TIMEOUTS

    def pause(self, ended: Ended, usual: float, chance: random.Random) -> float:
        """Seconds until the next attempt, with full jitter, so that many that failed together do not come back together.

        It starts from what an answer `usual`ly takes: a server that answers in milliseconds need not be given seconds.
        """
        if ended.unreached:
            return 0.0
        first = min(max(LEAST_S, usual), 1.0)
        times = self.refused if ended.refused else self.failures
        drawn = chance.uniform(0.0, min(MOST_S, first * 2 ** (times - 1)))
        return drawn if ended.after is None else ended.after + chance.uniform(0.0, min(first, 0.1 * ended.after))
