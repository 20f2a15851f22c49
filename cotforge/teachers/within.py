"""A bound on the seconds that something may take, which does not count those in which this process stood still."""

import asyncio
from types import TracebackType
from typing import Self

LATE_S = 0.5
"""Seconds (ours) that a timer may come late without anything being wrong."""
GRACE_MOST_S = 10.0
"""Seconds (ours) that are given once more, at most, where it came later: after hours of sleep connections are probably dead."""


class Within:
    """Ends its block with TimeoutError after so many seconds; an async context.

    Where the event loop was kept busy, or the machine or the process slept, the answer that came meanwhile is still read: to take it for
    a timeout would be to pay for it twice.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._scope = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._scope.__aenter__()
        self._wait(self._seconds)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, fault, trace)

    def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._due, loop.time() + seconds)

    def _due(self, at: float) -> None:
        now = asyncio.get_running_loop().time()
        if now - at > LATE_S:
            self._wait(min(now - at, GRACE_MOST_S))
        else:
            self._scope.reschedule(now)
