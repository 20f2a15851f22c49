"""How many calls in flight a server allows, as far as refusals and its queue tell: cut at once, raised again by answers."""

from dataclasses import dataclass
from math import inf

BACK = 0.8
"""Share of the limit before an episode up to which it grows quickly afterwards; a second episode within the hold cuts to it."""
QUICK = 0.5
"""Growth per answer then: half as much again per round."""
EARNED = 100
"""Answers per refusal before a refused level is tried again: refusals stay at most a hundredth."""
HOLD_S = 5.0
"""Seconds after a refusal in which the limit is not raised, Retry-After or not."""


@dataclass(slots=True)
class Allowance:
    """The limit of one server, in [1, most]."""

    most: int
    room: float
    slow_start: bool = True
    """Whether no limit has been met: the level doubles as long as that is worth it."""
    hold_until: float = -inf
    before: int = 0
    """The limit before the last episode."""
    least: int = 1
    """Where the cut of this episode ends, at the lowest."""
    refused_at: int = 0
    """The lowest level that was refused; tried again when `owed` answers have come."""
    suffered: int = 0
    """Refusals for which answers are owed."""
    owed: int = 0

    def __post_init__(self) -> None:
        self.refused_at = self.most + 1

    @property
    def reach(self) -> int:
        """The highest level that may be tried now."""
        return self.most if self.owed == 0 else min(self.most, self.refused_at - 1)

    def answered(self) -> None:
        """A call was answered: that pays for a refusal."""
        self.owed -= self.owed > 0

    def grow(self, limit: int, goal: int, *, counted: bool) -> None:
        """Raise the limit for one answer, up to the `goal`; `counted`: the server tells how many wait, so that it may be filled slowly."""
        room = self.room
        if self.slow_start:
            room += 1.0 if counted else inf
        elif room < BACK * self.before:
            room += QUICK
        else:
            room += 1.0 / limit
        if self.owed > 0 and room >= self.refused_at:
            return
        self.room = min(room, float(goal))
        if self.room >= self.refused_at + 1:
            self.forget()

    def begin_episode(self, limit: int, *, proved: bool) -> None:
        """The first cut since an answer: all sent up to now belongs to it, and is at most one halving of a level that was `proved`."""
        self.before = limit
        self.least = (limit + 1) // 2 if proved or not self.slow_start else 1  # at first the position is all there is
        self.slow_start = False

    def lower(self, level: int, cost: int) -> None:
        """Cut to a level, or (where it was lower already) remember only what this refusal cost."""
        if level < self.room:
            self.room = float(max(1, level))
            self.refused_at = int(self.room) + 1
        self.owe(cost)

    def halve(self, limit: int, cost: int) -> None:
        """Half as many, where any number in flight is refused now and then, and more often than it should be."""
        self.before, self.slow_start = limit, False
        self.lower((limit + 1) // 2, cost)
        self.refused_at = max(self.refused_at, int(BACK * limit) + 1)

    def owe(self, cost: int) -> None:
        """So many refusals more are to be paid for by answers."""
        self.suffered += cost
        self.owed = EARNED * self.suffered

    def hold(self, now: float, after: float | None = None) -> None:
        """Do not raise it for a while."""
        self.hold_until = max(self.hold_until, now + max(HOLD_S, after or 0.0))

    def forget(self) -> None:
        """No level is known to be refused."""
        self.refused_at, self.suffered, self.owed = self.most + 1, 0, 0
