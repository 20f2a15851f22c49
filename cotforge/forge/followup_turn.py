"""One reading of the Samples after the vote: what follows from the replies about each is asked, step by step.

A Sample is advanced by the journal as far as its replies lead. What it wants then goes to the teachers' queues, and what these say leads
it further. Samples in progress are bounded. What cannot be asked in this reading (its teacher is closed, or has its turn later) is left.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from cotforge.followups.frame import Lookup, SampleFollowUps
from cotforge.forge.lookahead import LookaheadReader
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import Progress
from cotforge.forge.teacher_queue import TeacherQueue
from cotforge.forge.turn import REMEMBERED, Turn
from cotforge.images import Sending, Urls
from cotforge.records import Call, Fault
from cotforge.replies.attempt import Attempt

Steps = Iterator[SampleFollowUps | Fault]
"""What follows the vote about each Sample, at its beginning."""
Ended = OrderedDict[str, None]
"""Keys of the Calls that ended in this invocation, the latest last: none is asked twice in it."""


@dataclass(slots=True, eq=False)
class SampleInProgress:
    """A Sample with what is under way for it."""

    steps: SampleFollowUps
    images: dict[str, Urls] = field(default_factory=dict)
    """What is sent with its first Calls, by their keys, on its way from the disk."""
    flying: set[str] = field(default_factory=set)
    """Keys of the Calls that are under way."""
    over: set[str] = field(default_factory=set)
    """Keys of those that are not asked (again) in this reading."""
    advancing: bool = False


class FollowUpTurn(Turn):
    """Like a Turn, step by step; the Script of all its Calls."""

    def __init__(
        self,
        lines: Sequence[TeacherQueue],
        progress: Progress,
        steps: Steps,
        *,
        lookup: Lookup,
        sending: Sending,
        ended: Ended,
    ) -> None:
        """`lookup`: what has ended, by the journal; `ended` is kept up, and shared by all readings of an invocation."""
        super().__init__(lines, progress, iter(()), counts=False)
        self._steps, self._lookup, self._sending, self._ended = steps, lookup, sending, ended
        self._room = asyncio.Semaphore(sum(line.most for line in lines))
        self._open = 0
        self._flying: dict[str, list[SampleInProgress]] = {}
        """Who waits for a Call that is under way: one that two Samples want is asked once."""
        self.left: set[str] = set()
        """Teachers of whom something is wanted that was not asked."""

    @property
    def _under_way(self) -> bool:
        return self._open > 0

    async def _put_all(self) -> None:
        with LookaheadReader(self._samples_with_calls()) as reading:
            while (chunk := await reading.chunk()) and not self._progress.stopped:
                for one in chunk:
                    await self._room.acquire()
                    if self._progress.stopped:
                        return
                    self._open += 1
                    self._advance_sample(one)
                await asyncio.sleep(0)  # what has come in meanwhile is not kept waiting

    def _samples_with_calls(self) -> Iterator[SampleInProgress]:
        """Those about which something is wanted, with the pictures of their first Calls; read where waiting does no harm."""
        for steps in self._steps:
            if isinstance(steps, Fault) or not (wanted := steps.advance(self._lookup)):
                continue
            one = SampleInProgress(steps)
            for call in wanted:
                if call.teacher in self.lines and self.lines[call.teacher].teacher.sends_pictures:
                    self._read_ahead(one, call)
            yield one

    def _read_ahead(self, one: SampleInProgress, call: Call) -> None:
        images = self._sending.of(call.sample.pictures)
        try:
            images.ahead()
        except Fault:  # the queue that is to send it finds the same, and tells
            return
        one.images[call.key] = images

    # one Sample

    def ended(self, work: PendingSample, call: Call, attempt: Attempt | None) -> None:
        if attempt is None:
            self._leave_call(call)
        else:
            self._note_ended(call.key)
        self._release_waiting(call)

    def lost(self, work: PendingSample, call: Call) -> None:
        self._release_waiting(call)

    def _release_waiting(self, call: Call) -> None:
        for one in self._flying.pop(call.key, ()):
            one.flying.discard(call.key)
            one.over.add(call.key)
            self._advance_sample(one)

    def _advance_sample(self, one: SampleInProgress) -> None:
        """The next steps of a Sample, until something is under way or nothing more can be asked."""
        if one.advancing or self._progress.stopped:  # what ends at once does not go on from here by itself
            return
        one.advancing = True
        while wanted := [call for call in one.steps.advance(self._lookup) if call.key not in one.over and call.key not in one.flying]:
            for call in wanted:
                self._ask_call(one, call)
            if self._progress.stopped:
                break
        one.advancing = False
        if not one.flying and not self._progress.stopped:
            self._open -= 1
            self._room.release()

    def _ask_call(self, one: SampleInProgress, call: Call) -> None:
        line = self.lines.get(call.teacher)
        if line is None or line.closed or call.key in self._ended:
            one.over.add(call.key)
            if call.key not in self._ended:
                self._leave_call(call)
            return
        one.flying.add(call.key)
        if call.key in self._flying:
            self._flying[call.key].append(one)
            return
        self._flying[call.key] = [one]
        images = one.images.pop(call.key, None) or self._sending.of(call.sample.pictures)
        line.put(call, PendingSample(call.sample, [], [], images=images, script=self), ahead=one.steps.has_begun, counted=False)

    def _leave_call(self, call: Call) -> None:
        """The Call is wanted, and not asked now."""
        self.left.add(call.teacher)
        if (line := self.lines.get(call.teacher)) is not None:
            line.meter.postponed += not self._progress.stopped

    def _note_ended(self, key: str) -> None:
        self._ended[key] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)


def wanted_teachers(steps: Iterable[SampleFollowUps | Fault], lookup: Lookup, among: Collection[str]) -> set[str]:
    """The teachers of whom something is wanted now; reads only until all of `among` are found."""
    found: set[str] = set()
    for one in steps:
        if not isinstance(one, Fault):
            found |= {call.teacher for call in one.advance(lookup)}
        if found and found >= set(among):
            break
    return found
