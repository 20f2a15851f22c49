"""Whether a Call that failed is tried again, and when."""

import random
from dataclasses import dataclass

from cotforge.replies.attempt import Attempt

ATTEMPTS = 4
"""Attempts at a Call that fails for a passing reason, before it is given up (ours)."""
TIMEOUTS = 2
"""Attempts that may end by timeout: the server probably did, and charged, the work each time (ours)."""
UNREADABLE = 2
"""Attempts that may end with a body nobody can read: each was probably generated, and charged (default chosen by us)."""
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
    unreadable: int = 0
    hung: bool = False
    """Whether the last attempt was cut off while the others were answered."""

    def again(self, attempt: Attempt) -> bool:
        """Count this end, and say whether another attempt makes sense in this run."""
        outcome = attempt.outcome
        if outcome.unreached:
            return outcome.retry  # nothing was paid, and it is the replica that is counted out
        if outcome.busy:
            self.refused += 1
            return outcome.retry and self.refused < THROTTLED
        if outcome.has_text:
            self.empty += 1
            return outcome.retry and self.empty == 1  # a reply without a word in it: once more, then that is what it says
        self.timeouts += outcome.error == "timeout"
        self.unreadable += outcome.error == "bad_body"
        self.failures += 1
        return outcome.retry and self.failures < ATTEMPTS and self.timeouts < TIMEOUTS and self.unreadable < UNREADABLE

    def pause(self, attempt: Attempt, usual: float, chance: random.Random) -> float:
        """Seconds until the next attempt, with full jitter, so that many that failed together do not come back together.

        It starts from what an answer `usual`ly takes: a server that answers in milliseconds need not be given seconds.
        """
        outcome = attempt.outcome
        if outcome.unreached:
            return 0.0
        first = min(max(LEAST_S, usual), 1.0)
        times = self.refused if outcome.busy else self.failures
        drawn = chance.uniform(0.0, min(MOST_S, first * 2 ** (times - 1)))
        return drawn if outcome.after is None else outcome.after + chance.uniform(0.0, min(first, 0.1 * outcome.after))
