"""Looking after the places that are asked: how long their queues are, whether they are gone, whether they are back."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from cotforge.endings import Closing, Stop
from cotforge.forge.pace import Pace
from cotforge.forge.progress import Progress
from cotforge.forge.replica import Replica
from cotforge.forge.teacher_queue import TeacherQueue

STILL_S = 4.0
"""Seconds (ours) that a look may come late before a person is told that this process stood still."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long servers are waited for, and how often they are looked at, in seconds (all ours)."""

    away: float = 60.0
    """All replicas of a teacher may be out of reach for so long before the run goes on without it."""
    lost: float = 300.0
    """To wait where no teacher at all can be reached: it is probably this machine's network."""
    queue: float = 2.0
    """Between two looks at a server's queue."""
    back: float = 15.0
    """Between two looks whether a teacher that was given up is back."""
    look: float = 1.0
    """Between two looks at how long each has been away."""


class Liveness:
    """Watches some lines for as long as a block lasts; an async context."""

    def __init__(
        self,
        lines: Sequence[TeacherQueue],
        progress: Progress,
        *,
        stop: Callable[[Stop, str], object],
        tell: Callable[[str], object],
        patience: Patience,
    ) -> None:
        self._lines, self._progress = lines, progress
        self._stop, self._tell, self._patience = stop, tell, patience
        self._tasks: list[asyncio.Task[None]] = []
        self._told = False

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._look_for_the_dead())]
        for line in self._lines:
            self._tasks += [
                asyncio.create_task(self._listen_to_queue(line, replica)) for replica in line.replicas if isinstance(replica.pace, Pace)
            ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen_to_queue(self, line: TeacherQueue, replica: Replica) -> None:
        """Tell the pace of a replica how many requests wait at its server, as vLLM counts them."""
        while (counts := await line.place.queue(replica.place)) is not None or replica.down_since is not None:
            if counts is not None and isinstance(replica.pace, Pace):
                replica.pace.queued(*counts, time.monotonic())
                line.pump()
            await asyncio.sleep(self._patience.queue)

    async def _look_for_the_dead(self) -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(self._patience.look)
            now = time.monotonic()
            self._stood_still(now - begun - self._patience.look)
            away = {line: seconds for line in self._lines if (seconds := line.away(now)) is not None}
            alone = len(away) == len([line for line in self._lines if not line.closed or line in away])
            for line, seconds in away.items():
                if not line.closed and seconds > self._patience.away and not alone:
                    self._give_up(line)
                elif line.closed is Closing.OUT_OF_REACH and now > line.look_at:
                    line.look_at = now + self._patience.back
                    await self._greet_server(line)
            self._all_away(min(away.values(), default=0.0) if alone else 0.0)

    def _stood_still(self, seconds: float) -> None:
        """The machine slept, or something kept it busy: for so long nobody was away."""
        if seconds < STILL_S:
            return
        self._tell(f"this process stood still for {seconds:.0f} s: the machine slept or is overloaded; deadlines were prolonged")
        for replica in (replica for line in self._lines for replica in line.replicas):
            if replica.down_since is not None:
                replica.down_since += seconds

    def _give_up(self, line: TeacherQueue) -> None:
        line.close(Closing.OUT_OF_REACH)
        self._tell(f"teacher {line.teacher.name!r}: out of reach for {self._patience.away:g} s; going on without it until it is back")

    def _all_away(self, seconds: float) -> None:
        minutes = f"{self._patience.lost / 60:g} minutes"
        if seconds > self._patience.lost:
            self._stop(Stop.UNREACHABLE, f"no teacher could be reached for {minutes}")
        elif seconds > self._patience.away and not self._told:
            self._told = True
            self._tell(f"no teacher can be reached; waiting, at most {minutes}")
        self._told = self._told and seconds > 0

    async def _greet_server(self, line: TeacherQueue) -> None:
        """Ask for nothing but the list of models; a teacher that answers is asked again."""
        for replica in line.replicas:
            if await line.place.reached(replica.place):
                replica.down_since = None
                line.open()
                self._tell(f"teacher {line.teacher.name!r}: back again")
                return
