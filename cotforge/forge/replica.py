"""One place where a teacher is asked: how much it is given, and whether it lives."""

import random
from dataclasses import dataclass

from cotforge.endings import Closing
from cotforge.forge.breaker import Breaker
from cotforge.forge.pace import Pace
from cotforge.records import OutcomeKind
from cotforge.replies.attempt import Attempt


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
        self.closed: Closing | None = None
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

    def ended(self, ticket: int, attempt: Attempt, now: float, *, failures: int) -> None:
        """Learn from how a Call ended that has failed so often by now.

        Where others are answered, a Call that fails again and again says something of itself, and not of the server.
        """
        outcome = attempt.outcome
        if outcome.unreached:
            self.down_since = now if self.down_since is None else self.down_since
        else:
            self.down_since = None
        self.closed = self.closed or outcome.closes
        if outcome.busy:
            self.pace.refused(ticket, outcome.after, now)
            self.breaker.dropped()
        elif outcome.unreached or _is_servers_fault(attempt):
            self.pace.failed(ticket, now)
            if outcome.unreached or failures <= 1 or self.breaker.open_since is not None:
                self.breaker.failed(now, unreached=outcome.unreached)
        else:
            self.pace.answered(ticket, attempt.seconds, attempt.output_tokens, now)
            self.breaker.succeeded(now)

    def dropped(self, ticket: int) -> None:
        """A Call was cancelled: that teaches nothing."""
        self.pace.dropped(ticket)
        self.breaker.dropped()


def _is_servers_fault(attempt: Attempt) -> bool:
    """Whether the server, and not the request, is to blame. One that answers 200 is up, whatever its upstream made of the request."""
    return attempt.outcome.kind is OutcomeKind.PASSING and attempt.outcome.retry and attempt.status != 200
