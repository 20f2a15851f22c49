"""The Calls that wait for one teacher, and their way to its replicas and back.

A Call is begun in the journal shortly before its turn, so that nobody waits for the disk; it goes to the replica with the least to do,
and its place there is free again once its end is on the disk: never more than `concurrency` a replica can be paid for twice.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from cotforge.budget import Hold
from cotforge.endings import Closing
from cotforge.errors import JournalError
from cotforge.forge.deadline import Deadline, Wait
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import TeacherCounts
from cotforge.forge.queued_call import ForgeHooks, Job
from cotforge.forge.rate import Rate
from cotforge.forge.repeated import RefusalStreak
from cotforge.forge.replica import Replica
from cotforge.records import Call, Fault, Sample
from cotforge.replies.attempt import Attempt, unsent_attempt
from cotforge.replies.retry_after import MOST_WAIT_S
from cotforge.teachers.kind import TeacherBackend, TeacherKind
from cotforge.teachers.teacher import Teacher
from cotforge.teachers.wire import input_tokens, most_output

NO_SUBJECT = Sample("", (), "")
"""What a Call that follows the vote is noted to be about: it stands for no other Call about the same picture."""


class TeacherQueue:
    """The Calls of one teacher. At most `most` that are counted are under way at a time, those that wait to be tried again included."""

    def __init__(self, teacher: TeacherKind, place: TeacherBackend, house: ForgeHooks, meter: TeacherCounts) -> None:
        self.teacher, self.place, self.meter = teacher, place, meter
        self.replicas = [Replica(address, place.most, house.chance, adaptive=place.adaptive) for address in place.addresses]
        self._house = house
        self._deadline = Deadline(teacher.timeout)
        self._rates = [(Rate(teacher.rpm), False)] if teacher.rpm else []
        self._rates += [(Rate(teacher.tpm), True)] if teacher.tpm else []
        self.most = 2 * teacher.concurrency * len(self.replicas) + 64
        self.room = asyncio.Semaphore(self.most)
        self.under_way = 0
        self.asking = 0
        """Attempts that are at a server, and not yet on their way into the journal."""
        self.look_at = 0.0
        """When to see whether it is back, by the monotonic clock."""
        self._queue: deque[Job] = deque()
        self._ahead: deque[Job] = deque()
        """What goes before all of the queue: about Samples in progress, and what was tried before."""
        self._beginning: dict[Job, tuple[Hold, asyncio.Future[None]]] = {}
        """Those whose begin is on its way to the disk, each with what tells that it is there."""
        self._begun: deque[tuple[Job, Hold]] = deque()
        self._pausing: dict[Job, asyncio.TimerHandle] = {}
        """Those that wait to be tried again."""
        self._refusals = RefusalStreak()
        self._told_wait = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def closed(self) -> Closing | None:
        """Why nothing is asked any more, or not for now; None while something is."""
        return self.meter.closed

    @property
    def in_flight(self) -> int:
        return self.meter.in_flight

    def away(self, now: float) -> float | None:
        """Seconds for which no replica that may be asked could be reached; None where one could."""
        since = [replica.down_since for replica in self.replicas if not replica.closed]
        return now - max(down for down in since if down is not None) if since and None not in since else None

    def put(self, call: Call, work: PendingSample, *, ahead: bool = False, counted: bool = True) -> None:
        """One more Call, before those that are not `ahead`; where it is `counted`, `room` has been acquired for it."""
        self.under_way += 1
        (self._ahead if ahead else self._queue).append(Job(call, work, counted=counted))
        if self.closed:
            self._release_begun()
        else:
            self.pump()

    # sending

    def pump(self) -> None:
        """Begin and send what can be begun and sent now; called whenever something has changed."""
        if self.closed or self._house.stopped or self._house.journal.stuck is not None:
            return
        now = time.monotonic()
        self._begin_attempts(now)
        while self._begun:
            job, hold = self._begun[0]
            replica = self._free_replica(job, now)
            wait = min(each.pause(now) for each in self.replicas) if replica is None else self._wait_for_ceiling(job.call, now)
            if replica is None or wait > 0:
                self._look_later(wait)
                return
            self._begun.popleft()
            ticket = replica.sent(now)
            self.meter.in_flight += 1  # from now on: who stops meanwhile waits for its end
            task = asyncio.create_task(self._make_attempt(job, hold, replica, ticket))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            self._begin_attempts(now)

    def _begin_attempts(self, now: float) -> None:
        """Note in the journal what comes next: as many as are sent while one commit lasts."""
        ahead = 4 + sum(replica.pace.limit for replica in self.replicas) // 4
        while (queue := self._ahead or self._queue) and len(self._beginning) + len(self._begun) < ahead:
            job = queue[0]
            try:
                self.place.prepare(job.work.images)
            except Fault as fault:
                queue.popleft()
                self._release_job(job)
                self._house.lost(job, fault)
                continue
            except JournalError as fault:  # no room for a copy
                self._house.broke(fault)
                return
            hold = self._house.admit(self.teacher, job.call)
            if hold is None:
                return
            queue.popleft()
            about = job.call.sample if job.call.origin in ("solve", "vote") else NO_SUBJECT
            job.attempt, kept = self._house.journal.begin(job.call.key, self.teacher.name, self.teacher.model, about=about)
            self._beginning[job] = hold, kept
            kept.add_done_callback(partial(self._has_begun, job))

    def _has_begun(self, job: Job, kept: asyncio.Future[None]) -> None:
        waited = self._beginning.pop(job, None)
        if fault := kept.exception():
            assert isinstance(fault, Exception)
            self._house.broke(fault)
            return
        if waited is not None:  # else it was let go of meanwhile
            self._begun.append((job, waited[0]))
            self.pump()

    def _free_replica(self, job: Job, now: float) -> Replica | None:
        """The replica with the least to do, if one is free; after a failure preferably another one."""
        free = [replica for replica in self.replicas if replica.free(now)]
        if len(free) < 2:
            return free[0] if free else None
        return min(free, key=lambda replica: (replica is job.last, replica.load))

    def _wait_for_ceiling(self, call: Call, now: float) -> float:
        """Seconds until the ceilings of the teacher allow for the Call; where that is 0, its share of them is taken."""
        taken: list[tuple[Rate, float]] = []
        for rate, per_token in self._rates:
            amount = most_tokens(call, self.teacher) if per_token else 1
            if (wait := rate.take(amount, now)) > 0:
                for other, back in taken:
                    other.give_back(back)
                return wait
            taken.append((rate, amount))
        return 0.0

    def _look_later(self, seconds: float) -> None:
        """Look again in so many seconds, if nothing happens before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds < float("inf"):
            self._timer = asyncio.get_running_loop().call_later(max(seconds, 0.001), self.pump)

    # asking

    async def _make_attempt(self, job: Job, hold: Hold, replica: Replica, ticket: int) -> None:
        """Ask once, and keep how it ended."""
        self.meter.attempts += 1
        number = job.attempt
        self.meter.begun[number] = time.monotonic()
        ended: Attempt | None = None
        wait = self._deadline.begin(time.monotonic(), timeouts=job.tries.timeouts, hung=job.tries.hung)
        try:
            ended = await self._ask_once(job, replica, partial(self._allowed_seconds, wait))
            self._deadline.ended(wait, time.monotonic(), answered=ended.outcome.has_text, cut=ended.error == "timeout")
            job.tries.hung = wait.cut
            may = not self.closed or self._house.stopped or ended.outcome.unreached  # a teacher that is gone for good will not answer it
            unreadable = self._refusals.saw_body(ended.outcome)
            again = job.tries.again(ended) and may and not unreadable
            ended = replace(ended, number=job.attempt, final=not again, url=replica.place)
            await self._house.journal.end(ended)
            ended.let_go()
            self._learn_outcome(job, ended, hold, replica, ticket)
        except Exception as fault:  # a bug too: otherwise nobody would be told, and the run would not end
            self._house.broke(fault)
            return
        finally:
            self.meter.in_flight -= 1
            del self.meter.begun[number]
            if ended is None:
                replica.dropped(ticket)
                self._deadline.dropped(wait)
        if again:
            self._retry_call(job, ended, replica)
        else:
            self._release_job(job)
            self._house.settled(self.meter, job, ended)
        self._close_after(ended, replica, unreadable=unreadable)
        self.pump()
        self._house.look()

    async def _ask_once(self, job: Job, replica: Replica, timeout: Callable[[], float]) -> Attempt:
        self.asking += 1
        try:
            return await self.place.ask(job.call, job.work.images, replica.place, number=job.attempt, timeout=timeout)
        finally:
            self.asking -= 1

    def _allowed_seconds(self, wait: Wait) -> float:
        return self._deadline.allowed(wait, time.monotonic())

    def _close_after(self, ended: Attempt, replica: Replica, *, unreadable: bool) -> None:
        """Close where the end of an attempt says that nothing more should be asked."""
        if unreadable or (ended.final and self._refusals.saw(ended.status, ended.outcome, ended.number)):
            self.close(Closing.REPEATED, ended.outcome.detail)
        if ended.overcount and self._house.bounded(self.teacher):
            self.close(Closing.COUNTS, ended.overcount)
        if self._refusals.saw_wait(ended.outcome):
            self.close(Closing.QUOTA, ended.outcome.detail)
        if replica.closed and all(each.closed for each in self.replicas):
            self.close(replica.closed, ended.outcome.detail)

    def _learn_outcome(self, job: Job, ended: Attempt, hold: Hold, replica: Replica, ticket: int) -> None:
        replica.ended(ticket, ended, time.monotonic(), failures=job.tries.failures)
        if ended.outcome.unreached or ended.outcome.busy:
            hold.drop()
        else:
            hold.settle(ended)
        used = ended.input_tokens + ended.output_tokens
        for rate, per_token in self._rates:
            if per_token and ended.outcome.has_text:
                rate.give_back(max(0, most_tokens(job.call, self.teacher) - used))
        self.meter.seconds += ended.seconds
        self.meter.note(ended)
        if (asked := ended.outcome.asked_wait) is not None and not self._told_wait:
            self._told_wait = True
            self._house.tell(f"teacher {self.teacher.name!r}: Retry-After asked for {asked:,.0f} s; calls wait {MOST_WAIT_S:g} s at most")

    def _retry_call(self, job: Job, ended: Attempt, replica: Replica) -> None:
        if self.closed:
            self._postpone_job(job)
            return
        job.last = replica
        pause = job.tries.pause(ended, self._deadline.usual, self._house.chance)
        if not (ended.outcome.unreached or ended.outcome.busy):
            pause += self._house.retry_in()
        self._pausing[job] = asyncio.get_running_loop().call_later(pause, self._put_back, job)

    def _put_back(self, job: Job) -> None:
        """The Call back into its line, before those that were never tried."""
        self._pausing.pop(job, None)
        self._ahead.appendleft(job)
        if self.closed:
            self._release_begun()
        else:
            self.pump()

    # ending

    def close(self, why: Closing, words: str = "") -> None:
        """Ask nothing more, until `open`; what is in flight is finished and kept. `words` are the server's, where it said any."""
        if self.meter.closed is None:
            self.meter.closed, self.meter.closing_words = why, words
        self._release_begun()

    def open(self) -> None:
        """Go on after `close`."""
        self.meter.closed, self.meter.closing_words = None, ""

    def _release_begun(self) -> None:
        """Let go of what waits, with a note of every attempt that was begun and not made, so that it does not count as lost.

        Where the begin is still on its way to the disk, the note follows it: nobody waits for that once the run is interrupted.
        """
        while self._begun:
            self._withdraw_job(*self._begun.popleft())
        while self._beginning:
            job, (hold, kept) = self._beginning.popitem()
            self._withdraw_job(job, hold, is_noted=not (kept.done() and kept.exception()))
        while queue := self._ahead or self._queue:
            self._postpone_job(queue.popleft())
        while self._pausing:
            job, timer = self._pausing.popitem()
            timer.cancel()
            self._postpone_job(job)
        self._house.look()

    def _withdraw_job(self, job: Job, hold: Hold, *, is_noted: bool = True) -> None:
        """`is_noted`: whether the journal has the begin of the attempt, or will have."""
        hold.drop()
        if is_noted:
            self._house.journal.end(unsent_attempt(job.attempt, job.call.key))
        self._postpone_job(job)

    def _postpone_job(self, job: Job) -> None:
        self._release_job(job)
        self._house.settled(self.meter, job, None)

    def _release_job(self, job: Job) -> None:
        self.under_way -= 1
        if job.counted:
            self.room.release()

    async def cancel(self) -> None:
        """Drop what is in flight as well."""
        self._look_later(float("inf"))
        for task in self._tasks:
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task


def most_tokens(call: Call, teacher: Teacher) -> int:
    """What a Call may use at most, as servers reckon before they answer."""
    return input_tokens(call) + most_output(teacher)
