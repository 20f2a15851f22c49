"""A reading in waves: about each Sample one teacher after another is asked, as the policy of its wave says.

Samples in progress are bounded, and what follows in one goes before what begins another. A wave is read once all Samples that its policy
is learned from are over; the learning goes on beside the waves in between, so that the lines are not left without work.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from cotforge.consensus.decider import Heard, Rows
from cotforge.forge.learned_waves import Notes
from cotforge.forge.lookahead import LookaheadReader
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import Progress
from cotforge.forge.sample_path import SamplePath
from cotforge.forge.teacher_queue import TeacherQueue
from cotforge.forge.turn import Turn
from cotforge.heard import one_heard
from cotforge.records import Call, Fault
from cotforge.replies.attempt import Attempt
from cotforge.sequence import Basis, Guide, voter_name, voter_names

if TYPE_CHECKING:
    from cotforge.consensus.sequential.rule import AnyPolicy

Found = Callable[[Call], Attempt | None]
"""The reply to a Call that has ended in this invocation."""


class Tour(Turn):
    """Like a Turn, step by step; the Script of its Works."""

    def __init__(
        self,
        lines: Sequence[TeacherQueue],
        progress: Progress,
        guide: Guide,
        works: Callable[[int], Iterator[PendingSample | Fault]],
        *,
        counts: bool,
        found: Found,
        over: Callable[[PendingSample, SamplePath], object],
    ) -> None:
        """`works` reads the Samples of a wave; `over` is told of each whose way is at its end."""
        super().__init__(lines, progress, iter(()), counts=counts)
        self._guide, self._in_wave, self._found, self._told = guide, works, found, over
        self._notes = Notes(guide)
        self._room = asyncio.Semaphore(sum(line.most for line in lines))
        self._open: Counter[int] = Counter()
        """Samples in progress, by wave."""
        self._read = 0
        """Waves whose Samples have all begun."""
        self._changed = asyncio.Event()
        self.rows: Rows | None = guide.rule.rows(guide.setting) if guide.features is None else None
        """What was said of all Samples so far, as curating counts it; None where the journal may have more of them than was heard here."""
        self._flying: dict[str, list[tuple[PendingSample, Call]]] = {}
        """Who else waits for a Call that is under way: one picture under two ids is asked once."""

    # the waves

    @property
    def _under_way(self) -> bool:
        return any(self._open.values())

    async def _put_all(self) -> None:
        waves, learning = self._guide.waves, dict[Basis, "asyncio.Task[AnyPolicy | None]"]()
        try:
            for wave in range(waves.count):
                for near in (wave, wave + 1):
                    if near < waves.count and (basis := self._guide.basis(near)) not in learning:
                        learning[basis] = asyncio.create_task(self._wave_policy(basis))
                await self._begin_all(wave, await learning[self._guide.basis(wave)])
                if self._progress.stopped:
                    return
        finally:
            for task in learning.values():
                task.cancel()
            await asyncio.gather(*learning.values(), return_exceptions=True)

    async def _wave_policy(self, basis: Basis) -> "AnyPolicy | None":
        """What some waves teach, once they are over; None where there is nobody left to ask."""
        while self._read <= basis.upto or any(self._open[wave] for wave in range(basis.upto + 1)):
            self._changed.clear()
            await self._changed.wait()
        if basis.upto < 0:
            return self._guide.rule.first(self._guide.terms({}))
        if all(line.closed for line in self.lines.values()):
            return None
        return await self._notes.learned(basis)

    async def _begin_all(self, wave: int, policy: "AnyPolicy | None") -> None:
        with LookaheadReader(self._in_wave(wave)) as reading:
            while (chunk := await reading.chunk()) and not self._progress.stopped:
                for work in chunk:
                    self._count_work(work)
                    if isinstance(work, PendingSample):
                        await self._room.acquire()
                        self._open[wave] += 1
                        work.script, work.walk = self, walk_of(work, self._guide, wave, policy)
                        self._advance_sample(work)
                await asyncio.sleep(0)
        if self._progress.stopped:
            return
        self._read = wave + 1
        self._changed.set()

    # one Sample

    def ended(self, work: PendingSample, call: Call, attempt: Attempt | None) -> None:
        for one, asked in [(work, call), *self._flying.pop(call.key, ())]:
            one.left -= 1
            if attempt is not None:
                self._hear_answer(one, asked, attempt)
            self._advance_sample(one)

    def lost(self, work: PendingSample, call: Call) -> None:
        waiting = self._flying.pop(call.key, ())
        assert work.walk is not None
        work.walk.lost = True
        for one in (work, *(other for other, _ in waiting)):  # the others may have a file of their own
            one.left -= 1
            self._advance_sample(one)

    def _advance_sample(self, work: PendingSample) -> None:
        """The next steps of a Sample, until something is under way or its way is at its end."""
        walk = work.walk
        assert walk is not None
        while not work.left and not self._progress.stopped:
            names = walk.step(self._closed_lines(walk))
            if not names:
                self._end_sample(work, walk)
                return
            work.left = 1  # what ends at once does not go on from here by itself
            if walk.answers and work.images is not None:
                work.images = work.images.anew()  # what waits in a line holds no picture
            for name in names:
                self._ask_teacher(work, walk, name)
            work.left -= 1

    def _ask_teacher(self, work: PendingSample, walk: SamplePath, name: str) -> None:
        call, known = walk.calls[name], walk.known.get(name)
        if known is None and call.key in self._flying:
            work.left += 1
            self._flying[call.key].append((work, call))
        elif (attempt := known or self._found(call)) is not None:
            self._progress.had += 1
            self._hear_answer(work, call, attempt)
        else:
            work.left += 1
            self._flying[call.key] = []
            self.lines[call.teacher].put(call, work, ahead=bool(walk.answers), counted=False)

    def _hear_answer(self, work: PendingSample, call: Call, attempt: Attempt) -> None:
        assert work.walk is not None
        work.walk.hear(voter_name(call), attempt, self._guide.pipeline.task)

    def _closed_lines(self, walk: SamplePath) -> Collection[str]:
        shut = [name for name, line in self.lines.items() if line.closed]
        return [name for name, call in walk.calls.items() if call.teacher in shut and name not in walk.known] if shut else ()

    def _end_sample(self, work: PendingSample, walk: SamplePath) -> None:
        for name in walk.missed:
            self.lines[walk.calls[name].teacher].meter.postponed += 1
        if not walk.lost:
            self._notes.add(walk)
        if walk.lost or walk.missed or work.stale:
            self.rows = None
        elif self.rows is not None:
            self.rows.add(work.sample, _all_heard(work, self._guide))
        self._told(work, walk)
        work.script = work.walk = None
        self._open[walk.wave] -= 1
        self._room.release()
        if not self._open[walk.wave]:
            self._changed.set()


def remaining_work(guide: Guide, works: Callable[[int], Iterator[PendingSample | Fault]]) -> Iterator[PendingSample | Fault]:
    """Everything of all waves, without Calls where a way is at its end, as far as the journal leads: what a Tour would find.

    Of a wave whose policy cannot be learned yet, all that is not in the journal remains.
    """
    notes, policy, over = Notes(guide), guide.rule.first(guide.terms({})), guide.waves.count
    learned = guide.basis(0)
    for wave in range(guide.waves.count):
        basis = guide.basis(wave)
        known = basis.upto < over
        if known and basis != learned:
            learned, policy = basis, notes.learn(basis)
        for work in works(wave):
            if known and isinstance(work, PendingSample):
                walk = work.walk = walk_of(work, guide, wave, policy)
                if walk.along(guide.pipeline.task):
                    work.calls = []
                    notes.add(walk)
                else:
                    over = min(over, wave)
            yield work


def work_left(guide: Guide, works: Iterator[PendingSample | Fault]) -> tuple[bool, Rows | None]:
    """Whether any of what `remaining_work` gave is to be asked; if none is, with what was said of all Samples, as curating counts it.

    That is None where a reply that does not settle its Call may be in the journal: curating counts it, and asking does not.
    """
    rows: Rows | None = guide.rule.rows(guide.setting)
    for work in works:
        if isinstance(work, PendingSample):
            if work.calls:
                return True, None
            rows = None if work.stale else rows
            if rows is not None:
                rows.add(work.sample, _all_heard(work, guide))
    return False, rows


def _all_heard(work: PendingSample, guide: Guide) -> list[Heard]:
    """What was heard on the way, and besides."""
    heard = work.walk.heard if work.walk is not None else {}
    besides = [one_heard(call, attempt.reply, guide.pipeline.task) for call, attempt in work.had if voter_name(call) not in heard]
    return [*heard.values(), *besides]


def walk_of(work: PendingSample, guide: Guide, wave: int, policy: "AnyPolicy | None") -> SamplePath:
    """The way of a Sample from its beginning, with what is settled of its Calls."""
    calls = {voter_name(call): call for call in (*(call for _, call in work.calls), *(call for call, _ in work.had))}
    return SamplePath(
        id=work.sample.id,
        label=work.sample.label,
        wave=wave,
        calls={name: calls[name] for name in voter_names(guide.pipeline) if name in calls},
        known={voter_name(call): stored for call, stored in work.had},
        policy=None if policy is None else guide.rule.policy_about(policy, work.sample.id),
        everybody=guide.waves.everybody(work.sample.id),
    )
