"""Whether a server is asked at all: not for a while where it fails again and again, then with one call first."""

from math import inf
from random import Random

UNREACHED, IN_A_ROW = 3, 8
"""Connections not made, and failures of any kind, one after another, that open the breaker (ours)."""
LAST, SHARE = 20, 0.5
"""It also opens where this share of so many ends before were failures (ours)."""
REST_S, REST_MOST_S = 0.25, 30.0
"""Bounds of the first and of the longest rest (ours); each is drawn between nothing and its bound."""


class Breaker:
    """Closed: all calls go. Open: none. Half-open, after a rest: one, and one more whenever that takes longer than a rest."""

    def __init__(self, chance: Random | None = None) -> None:
        self.open_since: float | None = None
        """Since when it has not been closed; None where it is."""
        self._chance = chance or Random()
        self._unreached = self._row = 0
        self._ends = 0
        """The last ends as bits, 1 for a failure; above them a 1 that says how many there are."""
        self._forget_failures()
        self._opened = 0
        """How often it has opened since it was closed."""
        self._until = -inf
        self._probing = False

    def may(self, now: float) -> bool:
        """Whether a call may be sent now."""
        return self.open_since is None or now >= self._until

    def until(self, now: float) -> float:
        """The moment from which a call may be sent, in monotonic seconds; `now` where it may already."""
        return now if self.open_since is None else max(now, self._until)

    def sent(self, now: float) -> None:
        """A call is sent: where the breaker was half-open, it is the one that decides."""
        if self.open_since is not None:
            self._probing = True
            self._until = max(self._until, now + self._longest_rest)

    def dropped(self) -> None:
        """A call ended in a way that says nothing about the server: another may decide."""
        if self._probing:
            self._probing, self._until = False, -inf

    def succeeded(self, now: float) -> None:
        """The server did what it was asked, or refused the request for the request's sake."""
        if self.open_since is not None:
            self.open_since, self._opened, self._probing = None, 0, False
            self._forget_failures()
        self._note_change(failed=False)
        self._unreached = self._row = 0

    def failed(self, now: float, *, unreached: bool) -> None:
        """The server failed; `unreached`: no connection was made."""
        self._note_change(failed=True)
        self._row += 1
        self._unreached = self._unreached + 1 if unreached else 0
        if self.open_since is None:
            if self._unreached >= UNREACHED or self._row >= IN_A_ROW or self._mostly_failed:
                self._open_breaker(now)
        elif self._probing:
            self._open_breaker(now)

    def _open_breaker(self, now: float) -> None:
        if self.open_since is None:
            self.open_since = now
        self._until = now + self._chance.uniform(0.0, self._longest_rest)
        self._opened += 1
        self._probing = False

    @property
    def _longest_rest(self) -> float:
        """The longest that the next rest can last, in seconds."""
        return min(REST_MOST_S, REST_S * 2.0 ** min(self._opened, 16))

    def _forget_failures(self) -> None:
        self._ends = 1

    def _note_change(self, *, failed: bool) -> None:
        ends = self._ends << 1 | failed
        self._ends = ends if ends < 2 << LAST else ends & ((1 << LAST) - 1) | 1 << LAST

    @property
    def _mostly_failed(self) -> bool:
        return self._ends >= 1 << LAST and (self._ends.bit_count() - 1) >= SHARE * LAST
