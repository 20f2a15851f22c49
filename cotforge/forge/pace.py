"""How many calls one server is given at a time: it finds that out by itself, from what the server says and how long it takes.

Three things hold the limit down, the lowest counts:

    refusals    429 or overload, where they depend on how much is in flight (`overload`): the position of the refused call says what was
                accepted
    the queue   the server's own count of waiting requests, where it serves one (vLLM never refuses)
    latency     where neither speaks: `slope.Slope` stops where more in flight brings no more answers

Nothing here knows a clock: `now` is in monotonic seconds.
"""

from copy import copy
from math import inf
from random import Random

from cotforge.forge.allowance import HOLD_S, Allowance
from cotforge.forge.overload import SPAN, OverloadFinding, OverloadTest
from cotforge.forge.slope import Slope

START = 16
"""Calls in flight at first (ours)."""
SATURATED = 0.8
"""Share of the limit that must be in flight for an answer to count as a reason to raise it (inspect_ai's)."""
PAUSED = 4
"""Answers after a failure that do not raise the limit (ours): at a fifth of failures it grows no more."""
IN_A_ROW = 3
"""Refusals of calls sent after a cut, without an answer among them, at which the server is left alone (ours)."""
REST_S, REST_MOST_S = 0.5, 20.0
"""Bounds of the first and of the longest rest where the server does not say (ours); each is drawn between nothing and its bound."""
ACCEPTED_S = 1.0
"""Seconds after which the first call after a rest, not refused until then, counts as accepted (ours)."""
QUEUED, LINGERS, QUEUE_COST = 0.05, 5, 5
"""Waiting per running request that is too much in two polls; polls in which anything waits that are too many; and how many
refusals a cut for the queue counts as, before that level is tried again (ours)."""
STALE_S = 30.0
"""Seconds after which a count of the queue is no longer believed, and latency is looked at again (ours)."""
JUMP_S = 60.0
"""Seconds without any news after which calls in flight teach nothing about latency (ours): the machine was probably asleep."""


class Pace:
    """The limit of one server: ask `free`, then `sent`, and tell how each call ended."""

    def __init__(self, most: int, chance: Random | None = None) -> None:
        """`most`: calls in flight, at most. `chance` draws the rests."""
        self.most = most
        self.limit = min(most, START)
        """Calls that may be in flight, in [1, most]."""
        self.in_flight = 0
        self._chance = chance or Random()
        self._serial = 0
        self._mean: float | None = None
        """Seconds that an answer takes, of late."""
        self._news = -inf
        self._awake = -1
        """Tickets up to it were sent before the machine slept."""
        # what refusals and the queue allow
        self._test = OverloadTest(self.limit)
        self._allowed = Allowance(most, float(self.limit))
        self._saved: tuple[Allowance, Slope] | None = None
        """What held before a cut that is still on trial."""
        self._unpaid = 0
        """Answers that raise nothing, for failures."""
        self._cut = -1
        """Tickets up to it belong to the last episode of refusals."""
        self._accepted = True
        """Whether an answer came to a call sent after the last cut."""
        self._full = most
        """Calls that were left in flight by a refusal; its place is not filled again before an answer comes or the hold is over."""
        # rests
        self._row = self._rests = 0
        self._rest_until = -inf
        self._rested = -1
        """Tickets up to it were sent before the last rest."""
        self._probe: int | None = None
        self._probed_at = -inf
        # the queue, as the server counts it
        self._heard = False
        self._waiting = self._queues = self._lingers = 0
        self._polled_at = self._cut_until = -inf
        self._slope = Slope(self.limit, most)

    def free(self, now: float) -> bool:
        """Whether one more call may be sent."""
        self._judge_calls(now)
        return self.in_flight < self.limit and now >= self._opens_at

    def pause(self, now: float) -> float:
        """Seconds until one more may be sent: 0 if now, infinite if only the end of a call can bring that about."""
        self._judge_calls(now)
        if self.in_flight >= self.limit:
            return inf
        return max(0.0, self._opens_at - now)

    @property
    def _opens_at(self) -> float:
        """The moment from which a call may be sent, if the limit allows for it."""
        moment = self._rest_until
        if self._probe is not None:
            moment = max(moment, self._probed_at + ACCEPTED_S)
        if self.in_flight >= self._full:
            moment = max(moment, self._allowed.hold_until)
        if self.in_flight >= self._test.ceiling:
            moment = max(moment, self._test.judged_at)
        return moment

    def sent(self, now: float) -> int:
        """A call is sent. Returns its ticket, which says when it was sent and as which in flight."""
        self._serial += 1
        self.in_flight += 1
        ticket = self._serial * SPAN + self.in_flight
        if self.in_flight == 1:
            self._news = now
        if self._rests and self._probe is None:
            self._probe, self._probed_at = ticket, now
        self._test.sent(ticket, now)
        if not self._heard:
            self._slope.sent(ticket, self.in_flight)
        return ticket

    def answered(self, ticket: int, seconds: float, tokens: int, now: float) -> None:
        """The call was answered after so many seconds, with a reply of so many tokens (0 where unknown)."""
        self._note_news(now)
        self._full = self.most
        self._allowed.answered()
        mean = self._mean
        self._mean = seconds if mean is None else mean + (min(seconds, 4 * mean) - mean) / 16
        if not self._heard and ticket > self._awake:
            self._slope.most = self._allowed.reach
            self._slope.answered(ticket, ticket % SPAN, seconds, tokens, now)
        self._test.accepted(ticket)
        if self.in_flight >= SATURATED * self.limit:
            self._raise_limit(now)
        self.in_flight -= 1
        self._judge_calls(now)
        self._fit_limit()

    def refused(self, ticket: int, after: float | None, now: float) -> None:
        """The server had no room for the call, and asked (or not) to be left alone for `after` seconds."""
        self._note_news(now)
        self.in_flight -= 1
        self._test.refused(ticket, after, now)
        self._judge_calls(now)
        self._fit_limit()

    def failed(self, ticket: int, now: float) -> None:
        """The call failed (5xx, timeout, no connection): the limit is not raised for a while, and not cut."""
        self._unpaid = min(self._unpaid + PAUSED, self.limit)
        self.dropped(ticket)

    def dropped(self, ticket: int) -> None:
        """The call was cancelled: that teaches nothing."""
        self.in_flight -= 1
        self._test.ended(ticket)
        if ticket == self._probe:
            self._probe = None

    def queued(self, waiting: int, running: int | None, now: float) -> None:
        """The server's own count of requests; `running` None where it does not say. While it is told, latency is not looked at."""
        if not self._heard:
            self._heard, self._slope.goal = True, self.most
        self._polled_at, self._waiting = now, waiting
        self._queues = self._queues + 1 if waiting > max(1.0, QUEUED * (self.in_flight if running is None else running)) else 0
        self._lingers = self._lingers + 1 if waiting > 0 else 0
        if (self._queues >= 2 or self._lingers >= LINGERS) and now >= self._cut_until:
            self._allowed.slow_start, self._allowed.before = False, 0
            self._allowed.lower(max((self.limit + 1) // 2, min(self.limit - 1, self.in_flight - waiting)), QUEUE_COST)
            self._cut_until = now + (self._mean or HOLD_S)
            self._lingers = 0
        self._fit_limit()

    def _raise_limit(self, now: float) -> None:
        """An answer came while the limit was filled: raise it, if nothing speaks against it."""
        if self._unpaid:
            self._unpaid -= 1
        elif now >= self._allowed.hold_until and not self._waiting and not self._test.doubts and self._allowed.room < self._slope.goal:
            self._allowed.grow(self.limit, self._slope.goal, counted=self._heard)

    def _judge_calls(self, now: float) -> None:
        """Learn from the calls whose fate is known by now, in the order in which they were sent."""
        for ticket, fate, found in self._test.judged(now):
            if not fate.refused and ticket > self._cut:
                self._accepted, self._row = True, 0
                if self._rests:
                    self._rests, self._probe = 0, None
            if fate.refused and (found is OverloadFinding.OVERLOAD or self._rests or (self.in_flight == 0 and not self._test.proved)):
                self._obey_refusal(ticket, fate.after, now)
            elif found is not OverloadFinding.NOTHING:
                self._heed_finding(found, now)
            self._fit_limit()

    def _obey_refusal(self, ticket: int, after: float | None, now: float) -> None:
        """The refusal is about load: send less, or (where nothing is taken at all) nothing for a while."""
        position = min(ticket % SPAN, self._test.mark)
        if ticket > self._cut and self._accepted:
            self._begin_episode(position, now)
        elif ticket > self._cut:
            self._row += 1
        self._allowed.hold(now, after)
        if position == 1 or self.in_flight == 0 or self._row >= IN_A_ROW or self._rests:
            if ticket > self._rested:
                self._rest_server(after, now)
        else:
            self._full = self.in_flight
            self._allowed.lower(max(self._allowed.least, position - 1), 1)

    def _begin_episode(self, position: int, now: float) -> None:
        self._save_state()
        self._allowed.begin_episode(self.limit, proved=self._test.proved >= position)
        self._cut, self._accepted, self._row = (self._serial + 1) * SPAN, False, 0
        self._test.cut(self._cut, OverloadFinding.OVERLOAD)
        self._allowed.owe(self._test.refusals - 1)
        if not self._heard:
            self._slope.refused(max(self._allowed.least, position - 1), now)

    def _heed_finding(self, found: OverloadFinding, now: float) -> None:
        """Try with half as many in flight, or go back to where a cut began that was for nothing."""
        if found is OverloadFinding.EXCESS and self.limit > 1:
            self._save_state()
            self._test.cut((self._serial + 1) * SPAN, found)
            self._allowed.halve(self.limit, self._test.excessive)
            if not self._heard:
                self._slope.refused(int(self._allowed.room), now)
        elif found is OverloadFinding.BACKGROUND and self._saved is not None:
            self._allowed, self._slope = self._saved
            self._slope.forget()
            self._saved, self._rests, self._row, self._rest_until, self._probe = None, 0, 0, -inf, None
            self._full, self._accepted = self.most, True

    def _save_state(self) -> None:
        """Keep what holds now, unless an earlier cut is still on trial."""
        if self._saved is None or not self._test.trying:
            self._saved = copy(self._allowed), copy(self._slope)

    def _rest_server(self, after: float | None, now: float) -> None:
        """The server takes nothing, so no level is to blame: leave it alone, then send a single call first."""
        most = min(REST_MOST_S, REST_S * 2.0 ** min(self._rests, 16))
        self._rest_until = max(self._rest_until, now + (self._chance.uniform(0.0, most) if after is None else max(0.0, after)))
        self._rests += 1
        self._rested, self._probe = (self._serial + 1) * SPAN, None
        self._test.cut(self._rested, OverloadFinding.OVERLOAD, rest=True)
        self._allowed.forget()
        self._full = self.most

    def _note_news(self, now: float) -> None:
        """There is news; after a long time without, what is in flight was disturbed."""
        if self._mean is not None and now - self._news > max(JUMP_S, 3 * self._mean):
            self._awake = (self._serial + 1) * SPAN
            self._slope.forget()
        if self._heard and now - self._polled_at > STALE_S:
            self._heard, self._waiting = False, 0
            self._slope = Slope(self.limit, self.most)
        self._news = now

    def _fit_limit(self) -> None:
        self.limit = self._test.level = max(1, min(int(self._allowed.room), self._slope.goal))
