"""Forging: ask every Call that the journal lacks, and keep every reply.

A thread reads Samples and looks their Calls up in the journal; what is missing goes into one line per teacher, and every slot of
every replica takes the next Call from its teacher's line, so a quick replica does more and a dead one nothing. All queues are bounded:
memory does not depend on the number of Samples.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

from cotforge import answers
from cotforge.forge.line import Job, Line, Replica
from cotforge.forge.progress import Meter, Progress
from cotforge.forge.work import Work, missing, ready
from cotforge.journal import Journal, Stored, unsent
from cotforge.pipeline import Loaded
from cotforge.records import Ballot, Fault, Sample
from cotforge.teachers.openai import Session
from cotforge.teachers.replay import Replay
from cotforge.teachers.wire import reply_of

__all__ = ["FEW", "LOOKAHEAD", "Forge", "Meter", "Progress", "Work", "missing"]

FEW = 50
"""Calls that must have ended before `max_failures` can stop a run early (ours); at the end it holds for any number."""
LOOKAHEAD = 8
"""Samples read in one go by the reading thread (ours)."""
REMEMBERED = 16_384
"""Keys of this run's Calls kept in mind (ours): one image under two ids is asked once, though both were looked up before the reply."""


class Forge:
    """One invocation's asking. `await run(...)`; `stop()` from a signal handler ends it early, twice at once."""

    def __init__(self, loaded: Loaded, journal: Journal, progress: Progress) -> None:
        self.loaded, self.journal, self.progress = loaded, journal, progress
        self.lines = {teacher.name: Line(teacher) for teacher in loaded.pipeline.teachers}
        self._majority = loaded.pipeline.consensus.model_copy(update={"rule": "majority"})
        self._fed = False
        self._done = asyncio.Event()
        self._known: OrderedDict[str, None] = OrderedDict()
        self._tasks: list[asyncio.Task[None]] = []
        self._fault: Exception | None = None

    def stop(self, why: str = "interrupted") -> None:
        """Take no new Call; those in flight are finished and kept."""
        self.progress.stopped = self.progress.stopped or why
        self._check_done()

    def abandon(self) -> None:
        """Drop what is in flight as well."""
        self.stop()
        self._done.set()

    async def run(self, samples: Iterator[Sample | Fault], refreshed: Mapping[str, int] | None = None) -> None:
        """Ask until nothing is missing, or `stop`. Raises JournalError where replies can no longer be kept."""
        with contextlib.ExitStack() as stack:
            replays = self._replays(stack)
            async with Session() as session:
                for line in self.lines.values():
                    for replica in line.replicas:
                        self._tasks += [
                            asyncio.create_task(self._slot(line, replica, session, replays.get(line.teacher.name)))
                            for _ in range(line.teacher.concurrency)
                        ]
                feeding = asyncio.create_task(self._feed(missing(self.loaded, samples, self.journal, refreshed)))
                await self._done.wait()
                for task in (feeding, *self._tasks):
                    task.cancel()
                ended = await asyncio.gather(feeding, *self._tasks, return_exceptions=True)
        self._unsent()
        for fault in (self._fault, *ended):
            if isinstance(fault, Exception):
                raise fault

    def _replays(self, stack: contextlib.ExitStack) -> dict[str, Replay]:
        replays = {}
        for teacher in self.loaded.pipeline.teachers:
            if teacher.kind == "replay" and teacher.path is not None:
                replays[teacher.name] = stack.enter_context(contextlib.closing(Replay(teacher, self.loaded.root / teacher.path)))
        return replays

    # reading

    async def _feed(self, works: Iterator[Work | Fault]) -> None:
        """Put what is missing into the lines, as fast as they take it."""
        loop = asyncio.get_running_loop()
        prepared = map(ready, works)
        with ThreadPoolExecutor(1, "reading") as reader:
            try:
                ahead = loop.run_in_executor(reader, list, islice(prepared, 1))
                while chunk := await ahead:
                    ahead = loop.run_in_executor(reader, list, islice(prepared, LOOKAHEAD))
                    for work in chunk:
                        await self._put(work)
                    if self.progress.stopped:
                        break
            except Exception as fault:  # a bug too: otherwise nobody would be told, and the run would not end
                self._fault = fault
                self.stop("fault")
        self._fed = True
        self._check_done()

    async def _put(self, work: Work | Fault) -> None:
        self.progress.samples += 1
        if isinstance(work, Fault):
            self.progress.faults += 1
            return
        self.progress.had += len(work.had)
        calls = [(teacher, call) for teacher, call in work.calls if self._first_time(call.key)]
        work.left = len(calls)
        for teacher, call in calls:
            line = self.lines[teacher.name]
            await line.room.acquire()
            if self.progress.stopped:
                return
            line.under_way += 1
            line.queue.put_nowait(Job(call, work, *self.journal.begin(call.key, teacher.name, teacher.model)))

    def _first_time(self, key: str) -> bool:
        if key in self._known:
            return False
        self._known[key] = None
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return True

    # asking

    async def _slot(self, line: Line, replica: Replica, session: Session, replay: Replay | None) -> None:
        """One Call at a time from the line to the replica, for as long as the run lasts."""
        meter = self.progress.teachers[line.teacher.name]
        while True:
            if (rest := replica.rest_until - time.monotonic()) > 0 and not line.away(time.monotonic()):
                await asyncio.sleep(min(rest, 1.0))
                continue
            job = await line.queue.get()
            if self.progress.stopped:
                self.journal.end(unsent(job.attempt, job.call.key))
                continue
            meter.in_flight += 1
            try:
                pause = await self._attempt(job, line, replica, session, replay)
            except Exception as fault:  # a bug too, as above
                self._fault = self._fault or fault
                self.abandon()
                return
            finally:
                meter.in_flight -= 1
                self._check_done()
            if pause:
                await asyncio.sleep(pause)

    async def _attempt(self, job: Job, line: Line, replica: Replica, session: Session, replay: Replay | None) -> float:
        """Ask once, keep how it ended, and say how many seconds this slot should rest.

        The slot is free once the end is on the disk, so that never more than its teacher's `concurrency` can be paid for twice.
        """
        call, teacher = job.call, line.teacher
        meter = self.progress.teachers[teacher.name]
        await job.begun
        meter.attempts += 1
        if replay is not None:
            ended = await replay.ask(call, attempt=job.attempt)
        else:
            ended = await session.ask(call, teacher, replica.url, images=job.work.images, attempt=job.attempt)
        again, pause = line.again(job, ended, replica)
        stored = replace(ended.stored, final=not again, url=replica.url)
        meter.seconds += stored.seconds
        meter.trouble = stored.error or ""
        await self.journal.end(stored)
        if again:
            asyncio.get_running_loop().call_later(pause, self._anew, job, line)
        else:
            self._count(job, stored, line)
        return pause if stored.error == "429" else 0.0

    def _anew(self, job: Job, line: Line) -> None:
        """The Call back into its line, as a new attempt."""
        if not self._done.is_set():
            job.attempt, job.begun = self.journal.begin(job.call.key, line.teacher.name, line.teacher.model)
            line.queue.put_nowait(job)

    def _unsent(self) -> None:
        """Note of every attempt that was begun and not made that nothing was asked, so that it does not count as lost."""
        for line in self.lines.values():
            while not line.queue.empty():
                job = line.queue.get_nowait()
                self.journal.end(unsent(job.attempt, job.call.key))

    # counting

    def _count(self, job: Job, stored: Stored, line: Line) -> None:
        meter = self.progress.teachers[line.teacher.name]
        meter.asked += 1
        meter.input_tokens += stored.input_tokens
        meter.output_tokens += stored.output_tokens
        meter.cost_usd += stored.cost_usd
        if stored.error is not None:
            meter.failed += 1
            meter.last_error = f"{stored.error}: {stored.detail}".strip(": ")
        line.under_way -= 1
        line.room.release()
        job.work.left -= 1
        job.work.had.append((job.call, stored))
        if job.work.left == 0:
            self.progress.settled += 1
            self.progress.agreed += self._agree(job.work)
        if self.progress.asked >= FEW and self.progress.failures > self.loaded.pipeline.max_failures:
            self.stop("failures")

    def _agree(self, work: Work) -> bool:
        """Whether there is a majority, of the label's vote too where it has one."""
        pipeline, sample = self.loaded.pipeline, work.sample
        traces = [answers.read(reply_of(stored), call, pipeline.task) for call, stored in work.had]
        ballots = [Ballot(trace.teacher, trace.answer) for trace in traces if trace.answer is not None]
        return self._majority.decide(ballots, sample.label, sample.options, teachers=len(pipeline.teachers)).accepted

    def _check_done(self) -> None:
        flying = sum(meter.in_flight for meter in self.progress.teachers.values())
        waiting = sum(line.under_way for line in self.lines.values())
        if (self._fed and waiting == 0) or (self.progress.stopped and flying == 0):
            self._done.set()
