"""How fast a teacher has been: Calls per second over the journal, with the failed attempts and the waits between them."""

from dataclasses import dataclass
from itertools import groupby
from math import inf, sqrt
from typing import NamedTuple

from cotforge.estimate.outlook import Range
from cotforge.journal import Journal

LATEST = 20_000
"""Attempts of all teachers that are looked at, from the last: how fast a server was long ago says little, and memory stays flat."""
PAUSE_S = 10.0
"""Seconds without a Call in flight that still belong to a run, as after a 429; longer ones lie between two runs. Chosen by us."""
SCALES = 2 / 3
"""With k times as many Calls in flight a server is taken to answer k^SCALES times as many a second: between none more (0) and k times (1).

Chosen by us, nearer to servers that batch and to hosted ones: how much more a server can do is only known once that many are in flight.
"""
SEARCH = 1.3
"""How much longer a build may take than at the pace of a few Calls, as it has to find out how many in flight a server takes.

Measured with simulated servers that refuse above 8 in flight, or slow down above 4."""
ENOUGH = 4
"""Rounds of all that may be in flight, after which the pace that was seen is taken for the build's own. Chosen by us."""


class _Attempt(NamedTuple):
    name: str
    model: str
    begun: float
    seconds: float
    is_last: bool
    """Whether it ended its Call."""


@dataclass(slots=True)
class Throughput:
    """What one teacher has done in the time it was busy."""

    calls: int = 0
    """That came to an end, answered or given up."""
    attempts: int = 0
    busy: float = 0.0
    """Seconds in which at least one Call was in flight, or about to be tried again."""
    seconds: float = 0.0
    """Sum over the attempts."""
    squares: float = 0.0
    until: float = -inf
    """When the last attempt so far ended."""

    @property
    def in_flight(self) -> float:
        """Calls in flight while it was busy, on average."""
        return self.seconds / self.busy if self.busy else 0.0

    def add(self, begun: float, seconds: float, *, is_last: bool) -> None:
        """Count an attempt; they come in the order in which they were begun."""
        ended = begun + seconds
        self.busy += seconds if begun - self.until > PAUSE_S else max(0.0, ended - self.until)
        self.until = max(self.until, ended)
        self.calls += is_last
        self.attempts += 1
        self.seconds += seconds
        self.squares += seconds**2

    def per_call(self, slots: int) -> Range | None:
        """Seconds in which one of `slots`, all of them in use, does a Call; None where nothing was timed.

        The bounds: with more in flight the server answers as many more, or none more at all. Few Calls widen them.
        """
        if not self.calls or not self.busy:
            return None
        with_room = least = self.seconds / self.calls
        if slots > self.in_flight:
            with_room = slots * self.busy / self.calls
            least = with_room if self.knows(slots) else least
        width = self._error_factor()
        search = 1.0 if self.knows(slots) else SEARCH
        return Range(least / width, least * (with_room / least) ** (1 - SCALES), with_room * width * search)

    def knows(self, slots: int) -> bool:
        """Whether so many Calls were made that their pace is that of a build with `slots`."""
        return self.in_flight >= slots or self.calls >= ENOUGH * slots

    def _error_factor(self) -> float:
        """The factor by which so few Calls may mislead, either way: about 95 % of their mean, and never less than their number says."""
        if self.attempts == 1:
            return 4.0
        mean = self.seconds / self.attempts
        spread = sqrt(max(0.0, self.squares / self.attempts - mean**2) * self.attempts / (self.attempts - 1)) / mean
        return 1 + max((2 + 8 / (self.attempts - 1)) * spread, 2.0) / sqrt(self.attempts)


_ATTEMPTS = """
    SELECT name, model, begun_at, seconds, final FROM asked JOIN teachers ON teachers.id = teacher JOIN replies ON replies.id = asked.id
    WHERE asked.id > ? AND seconds > 0 ORDER BY name, model, begun_at
"""


def measure_throughputs(journal: Journal, *, since: int = 0) -> dict[tuple[str, str], Throughput]:
    """By (name, model) of the teacher, over the latest attempts after the one numbered `since`; of those whose time is known."""
    rows = (_Attempt(*row) for row in journal.rows(_ATTEMPTS, max(since, journal.latest() - LATEST)))
    found: dict[tuple[str, str], Throughput] = {}
    for teacher, attempts in groupby(rows, key=lambda attempt: (attempt.name, attempt.model)):
        found[teacher] = Throughput()
        for attempt in attempts:
            found[teacher].add(attempt.begun, attempt.seconds, is_last=bool(attempt.is_last))
    return found
