"""Forging: ask every Call that the journal lacks, and keep every reply.

Samples are read a little ahead, their Calls looked up in the journal, and what is missing goes into one line per teacher, from which
every replica takes as much as it can do: a quick one does more, a dead one nothing. All queues are bounded: memory does not depend on
the number of Samples. Teachers behind URLs are asked together; teachers that share a GPU of this machine one after another, each in a
reading of the source of its own. With a guide, who is asked next about a Sample depends on what was said about it: see `tour`.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Protocol

from cotforge.budget import Hold, Purse, minutes_over
from cotforge.consensus.decider import Rows
from cotforge.endings import Closing, Stop
from cotforge.errors import CotforgeError, TeacherError
from cotforge.followups.frame import Lookup
from cotforge.forge.agreement_meter import AgreementMeter
from cotforge.forge.batches import BatchRunner
from cotforge.forge.finishes import Overcounts, UnknownFinishes
from cotforge.forge.followup_turn import Ended, FollowUpTurn, Steps
from cotforge.forge.liveness import Liveness, Patience
from cotforge.forge.pending import Again, PendingSample, missing_work
from cotforge.forge.places import Places, askable_together, in_turns
from cotforge.forge.progress import Progress, TeacherCounts
from cotforge.forge.queued_call import Job
from cotforge.forge.retries import RetryBudget
from cotforge.forge.teacher_queue import TeacherQueue
from cotforge.forge.turn import Turn
from cotforge.forge.wave_tour import Tour
from cotforge.images import Sending
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, Sample
from cotforge.replies.attempt import Attempt
from cotforge.sequence import Guide
from cotforge.teachers.kind import TeacherBackend, TeacherKind
from cotforge.teachers.teacher import Teacher

__all__ = ["FEW", "Again", "Forge", "PendingSample", "Progress", "TeacherCounts", "missing_work"]

FEW = 50
"""Calls that must have ended before `max_failures` can stop a run early (ours); at the end it holds for any number."""

Samples = Callable[..., Iterator[Sample | Fault]]
"""The source from its beginning, as often as it is called; with a guide, the Samples of a wave until `stopped`."""
Works = Callable[..., Iterator[PendingSample | Fault]]
"""What some teachers lack, from the beginning of the source; of one wave, where there are waves."""


class Asks(Protocol):
    """Asks all that some teachers lack, while their places are open."""

    async def __call__(self, lines: Sequence[TeacherQueue], *, counts: bool) -> None: ...


class Forge:
    """One invocation's asking. `await run(...)`; `stop()` from a signal handler ends it early, `abandon()` at once."""

    def __init__(
        self,
        loaded: Loaded,
        journal: Journal,
        progress: Progress,
        *,
        sending: Sending,
        purse: Purse,
        again: Again | None = None,
        tell: Callable[[str], object],
        patience: Patience | None = None,
        guide: Guide | None = None,
    ) -> None:
        """`again`: see `missing`; `tell` gets a line where something happens that a person should know of; by the `guide` teachers are
        asked one after another, without it all at once.
        """
        self.loaded, self.journal, self.progress, self.chance = loaded, journal, progress, random.Random()
        self.sending, self.purse = sending, purse
        self._short = False
        self.lines: dict[str, TeacherQueue] = {}
        self._again, self.tell, self._patience, self._guide = again, tell, patience or Patience(), guide
        self._told = (UnknownFinishes(tell), Overcounts(tell))
        self._since = journal.latest()
        self._agreement = AgreementMeter(loaded.pipeline, progress)
        self._retries = RetryBudget()
        self._turns: list[Turn] = []
        self._opening: set[asyncio.Task[TeacherBackend]] = set()
        self._batched: list[asyncio.Task[None]] = []
        self._known: OrderedDict[str, None] = OrderedDict()
        self._followed = Ended()
        self._has_bell = False
        self._fault: Exception | None = None
        self.rows: Rows | None = None
        """What was said of all Samples, as curating counts it, where all were asked about in one tour; else None."""

    def stop(self, why: Stop = Stop.INTERRUPTED, because: str = "") -> None:
        """Take no new Call; those in flight are finished and kept."""
        if not all(task.done() for task in self._batched) and not self.progress.stopped:
            self.tell("what was handed in goes on, and is charged, at its provider; the same command collects it")
        self.progress.stop(why, because)
        for line in self.lines.values():
            line.close(Closing.OVER)
        for task in (*self._opening, *self._batched):
            task.cancel()  # what was handed in goes on at its provider, and the next run collects it
        self.look()

    def abandon(self) -> None:
        """Drop what is in flight as well."""
        self.stop()
        for turn in self._turns:
            turn.abandon()

    async def run(self, samples: Samples, refreshed: Mapping[str, int] | None = None, *, teachers: Collection[str] | None = None) -> None:
        """Ask (only these `teachers`) until nothing is missing, or `stop`. Raises JournalError where nothing more can be kept."""
        asked = [teacher for teacher in self.loaded.pipeline.teachers if teachers is None or teacher.name in teachers]
        groups = in_turns(asked) if self._guide is None else [[askable_together(asked)]]
        self.progress.per_sample = sum(teacher.samples for teacher in asked) if self._guide is None else 0
        works = partial(self._missing_work, samples, refreshed)
        self._ring_in_time()
        async with self._places() as places:
            asks = partial(self._ask_missing, works)
            running = [self._ask_group(turns, places, asks, counts=not number) for number, turns in enumerate(groups)]
            batched = [teacher for teacher in asked if teacher.batched]
            self._batched = [asyncio.create_task(self._ask_batch(teacher, works, counts=not groups)) for teacher in batched]
            self._raise_first(await asyncio.gather(*running, *self._batched, return_exceptions=True))

    async def run_follow_ups(self, read: Callable[[], Steps], lookup: Lookup, teachers: Collection[str]) -> set[str]:
        """One round of what follows the vote: teachers that share a device take turns, and each reads all Samples in its turn.

        Returns the teachers of whom something is wanted that was not asked. Raises as `run`.
        """
        left: set[str] = set()

        async def ask_turn(lines: Sequence[TeacherQueue], *, counts: bool) -> None:
            turn = FollowUpTurn(lines, self.progress, read(), lookup=lookup, sending=self.sending, ended=self._followed)
            await self._run_turn(turn)
            left.update(turn.left)

        asked = [teacher for teacher in self.loaded.pipeline.teachers if teacher.name in teachers]
        self._ring_in_time()
        async with self._places() as places:
            running = [self._ask_group(turns, places, ask_turn, counts=False) for turns in in_turns(asked)]
            self._raise_first(await asyncio.gather(*running, return_exceptions=True))
        return left

    def _places(self) -> Places:
        self.journal.changed, self.journal.awaited = self._journal_changed, lambda: any(line.asking for line in self.lines.values())
        pipeline = self.loaded.pipeline
        return Places(self.loaded.root, pipeline.teachers, self.tell, logprobs=pipeline.consensus.asks_logprobs)

    def _ring_in_time(self) -> None:
        """Stop when the budget's minutes are over, counted from the first call."""
        if (minutes := self.purse.budget.minutes) is not None and not self._has_bell:
            self._has_bell = True
            asyncio.get_running_loop().call_later(60 * minutes, self.stop, Stop.MINUTES, minutes_over(minutes))

    def _raise_first(self, ended: Sequence[object]) -> None:
        """Raises what ended the run, or one of its groups."""
        if self.journal.gave_up is not None:
            raise self.journal.gave_up
        for fault in (self._fault, *ended):
            if isinstance(fault, Exception):
                raise fault

    def _missing_work(
        self, samples: Samples, refreshed: Mapping[str, int] | None, teachers: Sequence[TeacherKind], wave: int = 0
    ) -> Iterator[PendingSample | Fault]:
        names = {teacher.name for teacher in teachers}
        read = samples() if self._guide is None else samples(wave, stopped=lambda: self.stopped)
        found = missing_work(self.loaded, read, self.journal, refreshed, teachers=names, again=self._again, since=self._since)
        return map(self._with_pictures, found) if any(teacher.sends_pictures for teacher in teachers) else found

    def _with_pictures(self, work: PendingSample | Fault) -> PendingSample | Fault:
        """The Work with its pictures on their way from the disk; a Fault where one of them is not there any more."""
        if isinstance(work, PendingSample) and work.calls:
            try:
                work.images = self.sending.of(work.sample.pictures)
                if not (work.had and self._guide):  # there, it is probably over
                    work.images.ahead()
            except Fault as fault:
                return fault
        return work

    async def _ask_group(self, turns: Sequence[Sequence[TeacherKind]], places: Places, ask: Asks, *, counts: bool) -> None:
        """Teachers that share a GPU, one after another; or all that are elsewhere, together."""
        for number, teachers in enumerate(turns):
            if self.progress.stopped:
                return
            async with AsyncExitStack() as stack:
                try:
                    lines = [self._make_line(teacher, await self._open_place(places.open(teacher, stack))) for teacher in teachers]
                except TeacherError as fault:
                    self.broke(fault)
                    return
                except asyncio.CancelledError:
                    if self.progress.stopped:
                        return
                    raise
                stack.push_async_callback(self._cancel_lines, lines)
                await stack.enter_async_context(self._make_watch(lines))
                await ask(lines, counts=counts and not number)

    async def _open_place(self, opening: Coroutine[None, None, TeacherBackend]) -> TeacherBackend:
        """The place, unless the run is stopped before it is open: to load a model takes minutes."""
        task = asyncio.create_task(opening)
        self._opening.add(task)
        try:
            return await task
        finally:
            self._opening.discard(task)

    async def _run_turn(self, turn: Turn) -> None:
        self._turns.append(turn)
        await turn.run(self.broke)
        self._turns.remove(turn)

    async def _ask_missing(self, works: Works, lines: Sequence[TeacherQueue], *, counts: bool) -> None:
        """All that is missing, and again what was left out by lines that were closed for a while."""
        while lines and not self.progress.stopped:
            answers_before = sum(line.meter.asked for line in lines)
            turn = self._make_turn(lines, works, counts=counts)
            await self._run_turn(turn)
            self.rows = turn.rows if counts and isinstance(turn, Tour) and not self.progress.stopped else None
            counts = False
            if sum(line.meter.asked for line in lines) == answers_before:
                return
            back = [line for line in lines if line.meter.postponed and not line.closed]
            lines = lines if back and self._guide else back
            for line in lines:
                line.meter.postponed = 0

    def _make_turn(self, lines: Sequence[TeacherQueue], works: Works, *, counts: bool) -> Turn:
        teachers = [line.teacher for line in lines]
        if self._guide is None:
            return Turn(lines, self.progress, works(teachers), counts=counts, known=self._known)
        return Tour(
            lines, self.progress, self._guide, partial(works, teachers), counts=counts, found=self._found_reply, over=self._agreement.over
        )

    def _found_reply(self, call: Call) -> Attempt | None:
        found = self.journal.replies([call.key]).get(call.key)
        return found if found is not None and found.number > self._since else None

    async def _ask_batch(self, teacher: TeacherKind, works: Works, *, counts: bool) -> None:
        """A teacher behind a batch API: what it lacks is handed in at once, and its results are waited for."""
        meter, holds = self.progress.teachers[teacher.name], dict[bytes, Hold]()
        closing: list[tuple[Closing, str]] = []

        def admit(call: Call) -> bool:
            hold = self.admit(teacher, call, in_batch=True)
            if hold is not None and self.purse.budget.given:
                holds[bytes.fromhex(call.key)] = hold
            return hold is not None

        def ended(attempt: Attempt) -> None:
            if (hold := holds.pop(attempt.key, None)) is not None:
                hold.settle(attempt)
            self._note_attempt(teacher.name, attempt)
            if attempt.overcount and self.bounded(teacher):
                closing.append((Closing.COUNTS, attempt.overcount))
            elif attempt.outcome.closes:
                closing.append((attempt.outcome.closes, attempt.outcome.detail))
            del closing[1:]
            self._stop_at_failures()

        async with BatchRunner(
            teacher,
            self.journal,
            self.journal.path.parent / "batches",
            self.loaded.pipeline.name,
            meter=meter,
            ended=ended,
            logprobs=self.loaded.pipeline.consensus.asks_logprobs,
        ) as batches:
            await batches.adopt(self.tell)
            await batches.submit(self._count_work(works([teacher])) if counts else works([teacher]), admit)
            await batches.collect(self.tell)
            meter.closed = meter.closed or batches.outbox.closes
            if closing and not meter.closed:
                meter.closed, meter.closing_words = closing[0]

    def _count_work(self, works: Iterator[PendingSample | Fault]) -> Iterator[PendingSample | Fault]:
        for work in works:
            self.progress.samples += 1
            self.progress.faults += isinstance(work, Fault)
            yield work

    def _make_line(self, teacher: TeacherKind, place: TeacherBackend) -> TeacherQueue:
        line = self.lines[teacher.name] = TeacherQueue(teacher, place, self, self.progress.teachers[teacher.name])
        if line.closed is Closing.OVER:  # of an earlier turn
            line.open()
        return line

    def _make_watch(self, lines: Sequence[TeacherQueue]) -> Liveness:
        return Liveness(lines, self.progress, stop=self.stop, tell=self.tell, patience=self._patience)

    async def _cancel_lines(self, lines: Sequence[TeacherQueue]) -> None:
        for line in lines:
            line.close(Closing.OVER)
            await line.cancel()

    # what the lines share

    @property
    def stopped(self) -> bool:
        return bool(self.progress.stopped)

    def admit(self, teacher: Teacher, call: Call, *, in_batch: bool = False) -> Hold | None:
        hold = self.purse.admit(teacher, call, in_batch=in_batch)
        if hold is None and not self.purse.in_flight.calls:
            self.stop(self.purse.stop, self.purse.over)
        self._short = self._short or hold is None
        return hold

    def bounded(self, teacher: Teacher) -> bool:
        return self.purse.bounds_tokens(teacher)

    def retry_in(self) -> float:
        return self._retries.delay(time.monotonic())

    def _note_attempt(self, teacher: str, attempt: Attempt) -> None:
        for each in self._told:
            each.saw(teacher, attempt)

    def settled(self, meter: TeacherCounts, job: Job, attempt: Attempt | None) -> None:
        try:
            self._settle_call(meter, job, attempt)
        except Exception as fault:  # as in a line: a bug must end the run
            self.broke(fault)

    def _settle_call(self, meter: TeacherCounts, job: Job, attempt: Attempt | None) -> None:
        if attempt is not None:
            meter.count(attempt)
            self._note_attempt(job.call.teacher, attempt)
            self._retries.first()
        if job.work.script is not None:
            job.work.script.ended(job.work, job.call, attempt)
        else:
            self._end_call(meter, job, attempt)
        if attempt is not None:
            self._stop_at_failures()

    def _end_call(self, meter: TeacherCounts, job: Job, attempt: Attempt | None) -> None:
        """A Call about a Sample of which all are asked at once."""
        work = job.work
        work.left -= 1
        if attempt is None:
            meter.postponed += not self.progress.stopped  # where the whole run was stopped, that is no failure of the teacher
            self._known.pop(job.call.key, None)
            return
        if not attempt.is_long:  # then there is no figure of agreement about this Sample
            work.had.append((job.call, attempt))
        if work.left == 0:
            self._agreement.settled(work)

    def _stop_at_failures(self) -> None:
        if self.progress.asked >= FEW and self.progress.failures > self.loaded.pipeline.max_failures:
            self.stop(Stop.FAILURES)

    def lost(self, job: Job, fault: Fault) -> None:
        self.progress.faults += 1
        try:
            if job.work.script is not None:
                job.work.script.lost(job.work, job.call)
            else:
                job.work.left -= 1
        except Exception as bug:
            self.broke(bug)
        self.look()  # it may have been the last one

    def broke(self, fault: Exception) -> None:
        self._fault = self._fault or fault
        self.stop(Stop.FAULT)
        if self.journal.broken or not isinstance(fault, CotforgeError):  # else what is in flight can still be kept
            self.abandon()

    def _journal_changed(self) -> None:
        """The journal cannot be written, or can be again; or trying was given up."""
        if self.journal.gave_up is not None:
            self.stop(Stop.FAULT)
        elif self.journal.stuck is not None:
            what = "nothing more is asked, and what is in flight is waited for; make room now, and the run goes on"
            self.tell(f"{self.journal.path}: cannot be written; {what}")
        else:
            self.tell(f"{self.journal.path}: can be written again; going on")
            for line in self.lines.values():
                line.pump()

    def look(self) -> None:
        if self._short:  # what has ended may have left something over
            self._short = False
            for line in self.lines.values():
                line.pump()
        for turn in self._turns:
            turn.look()
