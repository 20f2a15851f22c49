"""A server and its client in virtual time, to see what a pace makes of it."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from math import inf
from random import Random

from cotforge.forge.pace import Pace

REFUSED_S = 0.002
"""Seconds that a refusal takes."""


@dataclass(frozen=True)
class Event:
    """How a call ended."""

    at: float
    sent: float
    what: str
    """`answered`, `refused`, or `failed`."""
    after: float | None = None


class World:
    """Sends whenever the pace allows it; `work` bounds the calls that are to be answered."""

    def __init__(
        self,
        pace: Pace,
        service: Callable[[int, Random], float],
        *,
        seed: int = 0,
        refuses: Callable[[float, int], bool | float] = lambda now, others: False,
        fails: float = 0.0,
        slots: int | None = None,
        poll: float | None = None,
        tokens: Callable[[Random], int] = lambda chance: 0,
    ) -> None:
        """`service`: seconds with n in flight. `refuses(now, others in flight there)`: yes, no, or yes with Retry-After.

        `slots`: how many run at a time, the others wait. `poll`: how often the pace is told how many wait. `tokens`: per reply, they
        multiply the service time.
        """
        self.pace, self.now, self.chance = pace, 0.0, Random(seed)
        self.service, self.refuses, self.fails, self.slots, self.tokens = service, refuses, fails, slots, tokens
        self.events: list[Event] = []
        self.levels: list[tuple[float, int]] = []
        """(moment, limit) whenever it changed."""
        self.flying: list[tuple[float, int]] = [(0.0, 0)]
        """(moment, calls in flight) whenever that changed."""
        self.polls: list[tuple[float, int, int]] = []
        """(moment, waiting, running)."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._there = 0
        self._waiting: deque[tuple[int, float]] = deque()
        self._poll = poll
        self._left: float = inf
        self._wake = -inf
        if poll is not None:
            self.at(poll, self._polled)

    def at(self, moment: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (moment, next(self._order), act))

    def run(self, *, until: float = inf, work: float = inf) -> "World":
        """Until a moment, or until so much work is answered."""
        self._left = work
        self._pump()
        while self._queue and self._queue[0][0] <= until and (self._left > 0 or self._there):
            self.now, _, act = heapq.heappop(self._queue)
            act()
            self._pump()
        if until < inf:
            self.now = until
        return self

    def sleep(self, seconds: float) -> None:
        """The machine is suspended: all that was to happen happens so much later."""
        self._queue = [(moment + seconds, order, act) for moment, order, act in self._queue]

    def _pump(self) -> None:
        while self._left > 0 and self.pace.free(self.now) and self.pace.in_flight < self._left:
            self._send()
        pause = self.pace.pause(self.now)
        assert pause >= 0
        if 0 < pause < inf and not self.now < self._wake <= self.now + pause + 1e-9:
            self._wake = self.now + pause + 1e-9
            self.at(self._wake, lambda: None)
        if not self.levels or self.levels[-1][1] != self.pace.limit:
            self.levels.append((self.now, self.pace.limit))
        self.flying.append((self.now, self.pace.in_flight))

    def _send(self) -> None:
        ticket, sent = self.pace.sent(self.now), self.now
        refusal = self.refuses(self.now, self._there)
        if refusal is not False:
            after = None if refusal is True else float(refusal)
            self.at(self.now + REFUSED_S, lambda: self._refused(ticket, sent, after))
            return
        self._there += 1
        if self.slots is not None and self._there - len(self._waiting) > self.slots:
            self._waiting.append((ticket, sent))
        else:
            self._start(ticket, sent)

    def _start(self, ticket: int, sent: float) -> None:
        tokens = self.tokens(self.chance)
        seconds = self.service(self._there - len(self._waiting), self.chance) * max(1, tokens)
        self.at(self.now + seconds, lambda: self._end(ticket, sent, tokens))

    def _end(self, ticket: int, sent: float, tokens: int) -> None:
        self._there -= 1
        if self._waiting and self.slots is not None and self._there - len(self._waiting) < self.slots:
            self._start(*self._waiting.popleft())
        if self.chance.random() < self.fails:
            self.pace.failed(ticket, self.now)
            self.events.append(Event(self.now, sent, "failed"))
        else:
            self.pace.answered(ticket, self.now - sent, tokens, self.now)
            self.events.append(Event(self.now, sent, "answered"))
            self._left -= 1

    def _refused(self, ticket: int, sent: float, after: float | None) -> None:
        self.pace.refused(ticket, after, self.now)
        self.events.append(Event(self.now, sent, "refused", after))

    def _polled(self) -> None:
        assert self._poll is not None
        running = self._there - len(self._waiting)
        self.polls.append((self.now, len(self._waiting), running))
        self.pace.queued(len(self._waiting), running, self.now)
        self.at(self.now + self._poll, self._polled)

    # what came of it

    def many(self, what: str = "answered", since: float = 0.0, until: float = inf) -> int:
        return sum(event.what == what and since <= event.at < until for event in self.events)

    def per_second(self, since: float, until: float) -> float:
        """Answers per second."""
        return self.many("answered", since, until) / (until - since)

    def latency(self, since: float, until: float) -> float:
        """Mean seconds of an answer."""
        found = [event.at - event.sent for event in self.events if event.what == "answered" and since <= event.at < until]
        return sum(found) / len(found)

    def mean_flying(self, since: float, until: float) -> float:
        """Calls in flight, on average over time."""
        total, last, level = 0.0, since, 0
        for moment, flying in [*self.flying, (until, 0)]:
            moment = min(max(moment, since), until)
            total, last, level = total + (moment - last) * level, moment, flying
        return total / (until - since)

    def limit_at(self, moment: float) -> int:
        return [limit for at, limit in self.levels if at <= moment][-1]
