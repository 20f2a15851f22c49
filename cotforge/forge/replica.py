"""One place where a teacher is asked: how much it is given, and whether it lives."""

import random
from dataclasses import dataclass

from cotforge.forge.breaker import Breaker
from cotforge.forge.pace import Pace
from cotforge.teachers.ended import Ended


@dataclass(slots=True)
class Steady:
    """A place that takes a fixed number of Calls at a time: an engine on this machine, a file."""

    limit: int
    in_flight: int = 0

    def free(self, now: float) -> bool:
        return self.in_flight < self.limit

    def pause(self, now: float) -> float:
        return float("inf")

    def sent(self, now: float) -> int:
        self.in_flight += 1
        return self.in_flight

    def answered(self, ticket: int, seconds: float, tokens: int, now: float) -> None:
        self.in_flight -= 1

    def refused(self, ticket: int, after: float | None, now: float) -> None:
        self.in_flight -= 1

    def failed(self, ticket: int, now: float) -> None:
        self.in_flight -= 1

    def dropped(self, ticket: int) -> None:
        self.in_flight -= 1


class Replica:
    """One URL of a teacher, or one engine of it."""

    def __init__(self, place: str, most: int, chance: random.Random, *, adaptive: bool) -> None:
        self.place = place
        self.pace: Pace | Steady = Pace(most, chance) if adaptive else Steady(most)
        self.breaker = Breaker(chance)
        self.closed = ""
        """Why nothing is asked here any more in this run."""
        self.down_since: float | None = None
        """Since when no connection could be made."""

    def free(self, now: float) -> bool:
        """Whether it takes one more Call."""
        return not self.closed and self.pace.free(now) and self.breaker.may(now)

    @property
    def load(self) -> float:
        """Share of what it takes that is in flight."""
        return self.pace.in_flight / self.pace.limit

    def pause(self, now: float) -> float:
        """Seconds until it may take one by itself; infinite where only the end of a Call can bring that about."""
        if self.closed:
            return float("inf")
        return max(self.pace.pause(now), self.breaker.until(now) - now)

    def sent(self, now: float) -> int:
        self.breaker.sent(now)
        return self.pace.sent(now)

    def ended(self, ticket: int, ended: Ended, now: float, *, failures: int) -> None:
        """Learn from how a Call ended that has failed so often by now.

        Where others are answered, a Call that fails again and again says something of itself, and not of the server.
        """
        stored = ended.stored
        if ended.unreached:
            self.down_since = now if self.down_since is None else self.down_since
        else:
            self.down_since = None
        self.closed = self.closed or ended.closes
        if ended.refused:
            self.pace.refused(ticket, ended.after, now)
            self.breaker.dropped()
        elif ended.unreached or _sick(ended):
            self.pace.failed(ticket, now)
            if ended.unreached or failures <= 1 or self.breaker.open_since is not None:
                self.breaker.failed(now, unreached=ended.unreached)
        else:
            self.pace.answered(ticket, stored.seconds, stored.output_tokens, now)
            self.breaker.succeeded(now)

    def dropped(self, ticket: int) -> None:
        """A Call was cancelled: that teaches nothing."""
        self.pace.dropped(ticket)
        self.breaker.dropped()


def _sick(ended: Ended) -> bool:
    """Whether the server, and not the request, is to blame."""
    return ended.stored.error is not None and ended.retry
