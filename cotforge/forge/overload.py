"""Whether refusals are about how much is in flight: sequential tests over the calls in flight when each call was sent.

A server that refuses above a limit refuses nearly all that comes above it, one call after another. Background refusals strike any call,
however few are in flight: they are retried, and are no reason to send less. Three tests tell the two apart (Wald 1945, Page 1954):

    overload    refusals follow one another closely, and no call sent after the first one with as many in flight is accepted
    excess      single refusals come more often than the background: half as many in flight are tried for a while
    trial       after any cut: what is refused as often with fewer in flight is background

Nothing here knows a clock: `now` is in monotonic seconds.
"""

from enum import Enum
from math import log

SPAN = 1 << 16
"""A ticket is `serial * SPAN + position`; the position is the number of calls in flight, this one included."""
UNKNOWN_S, ACCEPTED_S = 1.0, 0.01
"""Seconds after which a call that was not refused counts as accepted: before any refusal was seen, and the least afterwards. It is four
times what the first refusal took, doubled whenever one comes later than that."""
FLOOR = -6.0
"""Log odds that the server has no room, before the first refusal. Two refusals in a row pass 0 where few were seen before."""
DOUBTFUL = -2.0
"""Log odds above which no more are sent than before: one refusal is enough where few were seen before."""
SLIPS = 0.1
"""Share of calls that a full server accepts all the same: another one has just ended there."""
CEILING = 12.0
"""The log odds rise no further."""
TOLERATED = 0.01
"""Share of refusals at any number in flight that is never a reason to send less."""
TIMES = 4.0
"""How many times more refusals than the background are looked for, and how many times fewer a trial must show."""
ALARM = 6.0
"""Log likelihood ratio at which there is an excess: about one false alarm in 20,000 calls at `TOLERATED`."""
SAME, FEWER = 2.5, -3.0
"""Log likelihood ratios at which a trial ends: the refusals are as frequent as before, or fewer."""
MEMORY = 1000
"""Calls by which the share of refusals is known."""


class Finding(Enum):
    """What the end of a call has shown."""

    NOTHING = "nothing"
    OVERLOAD = "overload"
    """The server has no room: send less."""
    BACKGROUND = "background"
    """The last cut was for nothing: go back to where it was before."""
    EXCESS = "excess"
    """There are more refusals than the background: try half as many in flight, by `cut`."""


class OverloadTest:
    """Is told of every call sent and of its end."""

    def __init__(self) -> None:
        self.proved = 0
        """The most in flight with which a call was accepted since the last rest; 0 where none was."""
        self.mark = 0
        """The least position that was refused since the odds left their floor."""
        self.refusals = 0
        """Refusals since then."""
        self.background = TOLERATED
        """Share of refusals that has been found to depend on nothing."""
        self.odds = FLOOR
        """Log odds that the server has no room for as many as `mark`."""
        self._unknown: dict[int, float] = {}
        """Calls in flight that may still be refused, by ticket: when they were sent."""
        self._accepted_s = UNKNOWN_S
        self._first = self._cut = -1
        """The first ticket that was refused since the odds left their floor; the last one sent before the cut, -1 where there was none."""
        self._sent = -1
        """The last ticket."""
        self._gone: list[tuple[int, int]] = []
        """Refusals since the odds left their floor: the ticket, and the last one sent until it was known."""
        self._latest = -1
        """The latest ticket that was refused."""
        self._apart = True
        """Whether a call sent after it was accepted: refusals without one in between count as one, since a burst is no background."""
        self._calls = self._bursts = 0.0
        self._excess = 0.0
        self._since: int | None = None
        """The last ticket before a trial; None where there is none."""
        self._before = self._ratio = 0.0
        """The share of refusals before the trial, and its log likelihood ratio of that share to a quarter of it."""

    @property
    def share(self) -> float:
        """Share of refusals among the latest calls, where those in a row are one."""
        return (self._bursts + 0.3) / (self._calls + 100.0)

    @property
    def trying(self) -> bool:
        """Whether it is being tried if fewer in flight are refused less often."""
        return self._since is not None

    @property
    def doubts(self) -> bool:
        """Whether now is no time to send more: a trial is on, or a refusal came that the background does not explain."""
        return self.trying or self.odds > DOUBTFUL

    def sent(self, ticket: int, now: float) -> None:
        self._unknown[ticket] = now
        self._sent = ticket

    def ended(self, ticket: int) -> None:
        """The call failed or was cancelled: that teaches nothing."""
        self._unknown.pop(ticket, None)

    def accepted(self, ticket: int, now: float) -> Finding:
        """The call was answered."""
        found = self.pass_time(now)
        if self._unknown.pop(ticket, None) is not None:
            found = _either(found, self._accept(ticket))
        return found

    def pass_time(self, now: float) -> Finding:
        """Calls that were sent long enough ago have been accepted."""
        found = Finding.NOTHING
        while self._unknown:
            ticket, sent = next(iter(self._unknown.items()))
            if now - sent < self._accepted_s:
                break
            del self._unknown[ticket]
            found = _either(found, self._accept(ticket))
        return found

    def refused(self, ticket: int, now: float) -> Finding:
        """The server had no room for the call."""
        found = self.pass_time(now)
        sent = self._unknown.pop(ticket, None)
        if sent is None:
            self._accepted_s *= 2
        elif self._accepted_s == UNKNOWN_S:
            self._accepted_s = max(ACCEPTED_S, 4 * (now - sent))
        if self.odds <= FLOOR:
            self._first, self.mark, self.refusals = ticket, ticket % SPAN, 0
        self.mark = min(self.mark, ticket % SPAN)
        self.refusals += 1
        self._gone.append((ticket, self._sent))
        self.odds = min(CEILING, self.odds + log(1 / min(0.3, self.share)))
        if self._apart:
            found = _either(found, self._count(ticket, refused=True))
        self._latest, self._apart = max(self._latest, ticket), False
        return Finding.OVERLOAD if found is Finding.NOTHING and self.odds > 0 else found

    def cut(self, ticket: int, *, rest: bool = False) -> None:
        """Fewer are sent from now on; `ticket` is the last one sent before. With `rest`, nothing is known of the server any more."""
        if self._cut < 0:
            self._cut = ticket
        if self._since is None:
            self._before = max(TIMES * TOLERATED, self.share)
        self._since, self._ratio, self._excess = ticket, 0.0, 0.0
        self.proved = 0 if rest else min(self.proved, max(0, self.mark - 1))

    def _accept(self, ticket: int) -> Finding:
        self.proved = max(self.proved, ticket % SPAN)
        self._apart = self._apart or ticket > self._latest
        found = self._count(ticket, refused=False)
        if 0 <= self._cut < min(ticket, next(iter(self._unknown), ticket)):  # the cut was enough, and nobody can refute it any more
            self._close()
        elif self.odds > FLOOR and ticket > self._first and self._in_flight(ticket) >= self.mark:
            self.odds += log(SLIPS / (1 - min(0.3, self.share)))
            if self.odds <= FLOOR:
                found = Finding.BACKGROUND if self._cut >= 0 else found
                self._close()
                if found is Finding.BACKGROUND:
                    self._since = None
        return found

    def _close(self) -> None:
        self.odds, self._cut = FLOOR, -1
        self._gone.clear()

    def _in_flight(self, ticket: int) -> int:
        """Its position, without the calls that were counted only because their refusal was not known yet."""
        return ticket % SPAN - sum(refused < ticket <= known for refused, known in self._gone)

    def _count(self, ticket: int, *, refused: bool) -> Finding:
        self._calls += 1
        self._bursts += refused
        if self._calls > MEMORY:
            self.background = max(TOLERATED, min(self.background, self.share))
            self._calls, self._bursts = self._calls / 2, self._bursts / 2
        if self._since is not None:
            return self._try(refused=refused) if ticket > self._since else Finding.NOTHING
        high = min(TIMES * self.background, (1 + self.background) / 2)
        self._excess = max(0.0, self._excess + _ratio(high, self.background, refused=refused))
        if self._excess < ALARM:
            return Finding.NOTHING
        self._excess = 0.0
        return Finding.EXCESS

    def _try(self, *, refused: bool) -> Finding:
        self._ratio += _ratio(self._before, self._before / TIMES, refused=refused)
        if self._ratio >= SAME:
            self._since = None
            self.background = max(self.background, self.share)
            self._close()
            return Finding.BACKGROUND
        if self._ratio <= FEWER:
            self._since = None
        return Finding.NOTHING


def _ratio(one: float, other: float, *, refused: bool) -> float:
    """Log likelihood ratio of two shares of refusals for one call."""
    return log(one / other) if refused else log((1 - one) / (1 - other))


def _either(one: Finding, other: Finding) -> Finding:
    return other if one is Finding.NOTHING else one
