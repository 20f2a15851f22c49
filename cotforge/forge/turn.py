"""One reading of the source, with the teachers that are asked in it."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

from cotforge.forge.lookahead import LookaheadReader
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import Progress
from cotforge.forge.teacher_queue import TeacherQueue
from cotforge.records import Fault

Known = OrderedDict[str, None]
"""Keys, the latest last."""

REMEMBERED = 16_384
"""Keys of this run's Calls kept in mind (ours): one image under two ids is asked once, though both were looked up before the reply."""


class Turn:
    """Puts what is missing into the lines of some teachers, as fast as they take it, until nothing is under way any more."""

    def __init__(
        self,
        lines: Sequence[TeacherQueue],
        progress: Progress,
        works: Iterator[PendingSample | Fault],
        *,
        counts: bool,
        known: Known | None = None,
    ) -> None:
        """`counts`: whether the Samples of this reading are those that `progress` speaks of."""
        self.lines = {line.teacher.name: line for line in lines}
        self._progress, self._works, self._counts, self._known = progress, works, counts, Known() if known is None else known
        self._fed = False
        self._done = asyncio.Event()

    async def run(self, broke: Callable[[Exception], None]) -> None:
        """Until all is asked, or `Progress.stopped` and nothing is in flight."""
        feeding = asyncio.create_task(self._feed_lines(broke))
        await self._done.wait()
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)

    def abandon(self) -> None:
        """End at once."""
        self._done.set()

    def look(self) -> None:
        """See whether it is over; called whenever something has ended."""
        stopped = bool(self._progress.stopped) and not any(line.in_flight for line in self.lines.values())
        if stopped or (self._fed and not self._under_way):
            self._done.set()

    @property
    def _under_way(self) -> bool:
        return any(line.under_way for line in self.lines.values())

    async def _feed_lines(self, broke: Callable[[Exception], None]) -> None:
        try:
            await self._put_all()
        except Exception as fault:  # a bug too: otherwise nobody would be told, and the run would not end
            broke(fault)
        self._fed = True
        self.look()

    async def _put_all(self) -> None:
        with LookaheadReader(self._works) as reading:
            while (chunk := await reading.chunk()) and not self._progress.stopped:
                for work in chunk:
                    await self._put_work(work)
                await asyncio.sleep(0)  # what has come in meanwhile is not kept waiting

    def _count_work(self, work: PendingSample | Fault) -> None:
        if self._counts:
            self._progress.samples += 1
            self._progress.faults += isinstance(work, Fault)

    async def _put_work(self, work: PendingSample | Fault) -> None:
        self._count_work(work)
        if isinstance(work, Fault):
            return
        self._progress.had += len(work.had)
        calls = [(self.lines[teacher.name], call) for teacher, call in work.calls]
        calls = [(line, call) for line, call in calls if self._first_time(call.key)]
        work.left = len(calls)
        for line, call in calls:
            await line.room.acquire()
            if self._progress.stopped:
                return
            line.put(call, work)

    def _first_time(self, key: str) -> bool:
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True
