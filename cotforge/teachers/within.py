"""A bound on the seconds that something may take, which does not count those in which this process stood still."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

LATE_S = 0.5
"""Seconds (ours) that a timer may come late without anything being wrong."""
LOOK_S = 1.0
"""Seconds (ours) between two looks at how many there are by now."""
GRACE_MOST_S = 10.0
"""Seconds (ours) that are given beside, in all and at most, where it came later: after hours of sleep connections are probably dead, and a
server that keeps this process busy would else be waited for without end."""


class Within:
    """Ends its block with TimeoutError after so many seconds, which may change meanwhile; an async context.

    Where the event loop was kept busy, or the machine or the process slept, the answer that came meanwhile is still read: to take it for
    a timeout would be to pay for it twice.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._begun = 0.0
        self._grace = GRACE_MOST_S

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._begun = asyncio.get_running_loop().time()
        self._wait_until(self._seconds())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, fault, trace)

    def _wait_until(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        seconds = min(seconds, LOOK_S)
        self._timer = loop.call_later(seconds, self._look_at_time, loop.time() + seconds)

    def _look_at_time(self, due: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - due > LATE_S and self._grace > 0:
            grace = min(now - due, self._grace)
            self._grace -= now - due + grace  # what came late already is part of it
            self._begun += grace
            self._wait_until(grace)
        elif (left := self._begun + self._seconds() - now) > 0.001:
            self._wait_until(left)
        else:
            self._scope.reschedule(now)
