"""Whether refusals are about how much is in flight: sequential tests over the calls in flight when each call was sent.

A server that refuses above a limit refuses nearly all that comes above it, one call after another. Background refusals strike any call,
however few are in flight: they are retried, and are no reason to send less. Three tests tell the two apart (Wald 1945, Page 1954):

    overload    refusals follow one another, and no call that was sent in between with as many in flight is accepted
    excess      single refusals come more often than the background: half as many in flight are tried for a while
    trial       after any cut: what is refused as often with fewer in flight is background

Calls are judged in the order in which they were sent: a refusal is known in milliseconds, an acceptance often only by the answer.
Nothing here knows a clock: `now` is in monotonic seconds.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from math import inf, log, sqrt

SPAN = 1 << 16
"""A ticket is `serial * SPAN + position`; the position is the number of calls in flight, this one included."""
UNKNOWN_S, ACCEPTED_S, PATIENT_S = 1.0, 0.01, 30.0
"""Seconds after which a call that was not refused counts as accepted: before any refusal was seen, and the least and most afterwards. It is
four times what the first refusal took, doubled whenever one comes later than that."""
FLOOR, CEILING = -12.0, 12.0
"""Bounds of the log odds that the server has no room. From the least, two refusals in a row pass 0 where few were seen before."""
DOUBTFUL = -8.0
"""Log odds above which no more are sent than before: one refusal is enough where few were seen before."""
SLIPS = 0.1
"""Share of calls that a full server accepts all the same: another one has just ended there."""
MOST = 0.4
"""Share of refusals above which it makes no difference to the odds."""
TOLERATED = 0.01
"""Share of refusals at any number in flight that is never a reason to send less."""
TIMES = 4.0
"""How many times more refusals than the background are looked for, and how many times fewer a trial must show."""
ALARM = 6.0
"""Log likelihood ratio at which there is an excess: about one false alarm in 20,000 calls at `TOLERATED`."""
SAME, FEWER = 4.0, -4.0
"""Log likelihood ratios at which a trial ends: the refusals are as frequent as before, or fewer."""
LOW = 0.75
"""Share of the level before a cut from which down refusals that are as frequent are background."""
LONG_ENOUGH, UNDECIDED = 6.0, -1.5
"""A trial ends after the calls among which there were so many refusals before it; it is then lost below that log likelihood ratio."""
MEMORY = 1000
"""Calls by which the share of refusals is known."""


class OverloadFinding(Enum):
    """What a call has shown."""

    NOTHING = "nothing"
    OVERLOAD = "overload"
    """The server has no room: send less."""
    BACKGROUND = "background"
    """The last cut was for nothing: go back to where it was before."""
    EXCESS = "excess"
    """There are more refusals than the background: try half as many in flight, by `cut`."""


@dataclass(slots=True)
class CallFate:
    """What is known of a call."""

    sent: float
    accepted: bool = False
    refused: bool = False
    after: float | None = None
    """Seconds that the server asked to be left alone."""
    known: int = -1
    """The last ticket sent before the refusal was known."""


class OverloadTest:
    """Is told of every call sent and of its end; `judged` says what they show."""

    def __init__(self, level: int = 1) -> None:
        self.level = level
        """Calls that may be in flight; kept up to date by the owner."""
        self.proved = 0
        """The most in flight with which a call was accepted since the last rest; 0 where none was."""
        self.mark = 0
        """The least position that was refused since the odds left their floor."""
        self.refusals = 0
        """Refusals since then."""
        self.background = TOLERATED
        """Share of refusals that has been found to depend on nothing."""
        self._calls: dict[int, CallFate] = {}
        """Those not judged yet, by ticket."""
        self._pending: dict[int, float] = {}
        """Refusals among them, by ticket: when they are judged at the latest."""
        self._accepted_s = UNKNOWN_S
        self._sent = -1
        """The last ticket."""
        # overload
        self._odds = FLOOR
        self._first = -1
        """The first ticket refused since the odds left their floor."""
        self._gone: list[tuple[int, int]] = []
        """All of these: the ticket, and the last one sent until it was known."""
        self._below = Counter[int]()
        """Calls accepted since the first, by position, with fewer in flight than `mark`."""
        self._cut = -1
        """The last ticket before the cut that they led to; -1 where there was none."""
        # share and excess
        self._apart = True
        """Whether a call was accepted since the last refusal: several in a row count as one, since a burst is no background."""
        self._seen = self._bursts = 0.0
        self._excess = 0.0
        self.excessive = 0
        """Refusals that made up the last excess."""
        # trial
        self._since: int | None = None
        """The last ticket before a trial; None where there is none."""
        self._top, self._why = level, OverloadFinding.EXCESS
        """The level before it, and what led to it."""
        self._before = self._fewer = 0.0
        """The shares of refusals that it tells apart: as before, and fewer."""
        self._same = SAME
        """The ratio at which they are the same; doubled each time, or a limit under much background would be tried again and again."""
        self._tried, self._ratio = 0, 0.0
        """Calls in it, and the log likelihood ratio of the two."""

    @property
    def share(self) -> float:
        """Share of refusals among the latest calls, where those in a row are one."""
        return (self._bursts + 0.3) / (self._seen + 100.0)

    @property
    def _refusal_chance(self) -> float:
        """Share of refusals, each counted: with a chance of p, p * (1 - p) begin a row."""
        return min(MOST, (1 - sqrt(max(0.0, 1 - 4 * self.share))) / 2)

    @property
    def trying(self) -> bool:
        """Whether it is being tried if fewer in flight are refused less often."""
        return self._since is not None

    @property
    def doubts(self) -> bool:
        """Whether now is no time to send more: a trial is on, or a refusal came that the background does not explain."""
        return self.trying or self._odds > DOUBTFUL

    @property
    def ceiling(self) -> float:
        """Calls in flight that were accepted before, until the refusals are judged; infinite where the background explains them."""
        if self._is_unproved:
            return self.mark - 1
        if not self._pending or (self.proved and len(self._pending) <= 1 + TIMES * self.share * len(self._calls)):
            return inf
        # In a burst, positions count refusals that were not known yet: what a server takes lies below the least of them.
        least = min(ticket % SPAN for ticket in self._pending) - 1
        return min(least, self.proved) if self.proved else least

    @property
    def judged_at(self) -> float:
        """When all refusals known by now are judged."""
        last = next(reversed(self._calls.values())).sent + self._accepted_s if self._is_unproved else -inf
        return max(self._pending.values(), default=last)

    @property
    def _is_unproved(self) -> bool:
        """Whether the server has refused, and accepted nothing yet: what is in flight there will tell."""
        return not self.proved and self._cut < 0 and self._odds > FLOOR and bool(self._calls)

    def sent(self, ticket: int, now: float) -> None:
        self._calls[ticket] = CallFate(now)
        self._sent = ticket

    def ended(self, ticket: int) -> None:
        """The call failed or was cancelled: that teaches nothing."""
        self._calls.pop(ticket, None)

    def accepted(self, ticket: int) -> None:
        """The call was answered."""
        if (fate := self._calls.get(ticket)) is not None:
            fate.accepted = True

    def refused(self, ticket: int, after: float | None, now: float) -> None:
        """The server had no room for the call."""
        fate = self._calls.get(ticket)
        if fate is None:  # it was taken for accepted
            self._accepted_s = min(PATIENT_S, 2 * self._accepted_s)
            fate = self._calls[ticket] = CallFate(-inf)
        elif self._accepted_s == UNKNOWN_S:
            self._accepted_s = max(ACCEPTED_S, 4 * (now - fate.sent))
        fate.refused, fate.after, fate.known = True, after, self._sent
        self._pending[ticket] = fate.sent + self._accepted_s

    def judged(self, now: float) -> Iterator[tuple[int, CallFate, OverloadFinding]]:
        """What can be judged by now: ticket, fate, and what it shows."""
        while self._calls:
            ticket, fate = next(iter(self._calls.items()))
            if not (fate.refused or fate.accepted or now - fate.sent >= self._accepted_s):
                return
            del self._calls[ticket]
            self._pending.pop(ticket, None)
            yield ticket, fate, self._note_refusal(ticket, fate) if fate.refused else self._note_acceptance(ticket)

    def cut(self, ticket: int, why: OverloadFinding, *, rest: bool = False) -> None:
        """Fewer are sent from now on; `ticket` is the last one sent before. With `rest`, nothing is known of the server any more."""
        self._cut = ticket
        if self._since is None:
            self._top, self._why = self.level, why
        if self._since is None and why is OverloadFinding.EXCESS:
            self._before, self._fewer = self.share, self.share / TIMES
        elif self._since is None:  # a full server refuses nearly all, but below its limit no more than the background
            self._before, self._fewer = MOST / 2, min(MOST / 4, max(self.background, self.share))
        self._since, self._ratio, self._tried, self._excess = ticket, 0.0, 0, 0.0
        self.proved = 0 if rest else min(self.proved, max(0, self.mark - 1))

    def _note_refusal(self, ticket: int, fate: CallFate) -> OverloadFinding:
        position = self._in_flight(ticket)
        if self._cut < 0:
            self._contradict_refusals(sum(count for accepted, count in self._below.items() if accepted >= position))
        if self._odds <= FLOOR:
            self._first, self.mark, self.refusals = ticket, position, 0
        self.mark = min(self.mark, position)
        self.refusals += 1
        self._gone.append((ticket, fate.known))
        self._odds = min(CEILING, self._odds + log((1 - SLIPS) / self._refusal_chance))
        found = self._count_refusal(ticket, refused=True) if self._apart else OverloadFinding.NOTHING
        self._apart = False
        return OverloadFinding.OVERLOAD if found is OverloadFinding.NOTHING and self._odds > 0 else found

    def _note_acceptance(self, ticket: int) -> OverloadFinding:
        self.proved = max(self.proved, ticket % SPAN)
        self._apart = True
        if 0 <= self._cut < ticket:  # the cut was enough
            self._close_trial()
        elif self._odds > FLOOR and ticket > self._first:
            if (position := self._in_flight(ticket)) >= self.mark:
                self._contradict_refusals(1)
            else:
                self._below[position] += 1
        return self._count_refusal(ticket, refused=False)

    def _contradict_refusals(self, accepted: int) -> None:
        """So many calls were accepted that a full server would have refused."""
        self._odds += accepted * log(SLIPS / (1 - self._refusal_chance))
        if self._odds <= FLOOR:
            self._close_trial()

    def _close_trial(self) -> None:
        self._odds, self._cut = FLOOR, -1
        self._gone.clear()
        self._below.clear()

    def _in_flight(self, ticket: int) -> int:
        """Its position, without the calls that were counted only because their refusal was not known yet."""
        return ticket % SPAN - sum(refused < ticket <= known for refused, known in self._gone)

    def _count_refusal(self, ticket: int, *, refused: bool) -> OverloadFinding:
        self._seen += 1
        self._bursts += refused
        if self._seen > MEMORY:
            self.background = max(TOLERATED, min(self.background, self.share))
            self._seen, self._bursts = self._seen / 2, self._bursts / 2
        if self._since is not None:
            return self._begin_trial(refused=refused) if ticket > self._since else OverloadFinding.NOTHING
        high = min(TIMES * self.background, (1 + self.background) / 2)
        self._excess = max(0.0, self._excess + _log_likelihood_ratio(high, self.background, refused=refused))
        self.excessive = 0 if self._excess == 0.0 else self.excessive + refused
        if self._excess < ALARM:
            return OverloadFinding.NOTHING
        self._excess = 0.0
        return OverloadFinding.EXCESS

    def _begin_trial(self, *, refused: bool) -> OverloadFinding:
        self._ratio += _log_likelihood_ratio(self._before, self._fewer, refused=refused)
        self._tried += 1
        if self._tried * self._before > LONG_ENOUGH and self._why is OverloadFinding.EXCESS:
            self._ratio = self._same if self._ratio > UNDECIDED else FEWER
        if self._ratio >= self._same and self.level > LOW * self._top > LOW:
            return OverloadFinding.EXCESS
        if self._ratio >= self._same:
            self._since = None
            self._same *= 2
            self.background = max(self.background, self.share)
            self._close_trial()
            return OverloadFinding.BACKGROUND
        if self._ratio <= FEWER:
            self._since = None
        return OverloadFinding.NOTHING


def _log_likelihood_ratio(one: float, other: float, *, refused: bool) -> float:
    """Log likelihood ratio of two shares of refusals for one call."""
    return log(one / other) if refused else log((1 - one) / (1 - other))
