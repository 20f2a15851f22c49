"""A teacher behind a batch API: its missing Calls go up in files, and hours later the results come into the journal.

    async with Batches(teacher, journal, run / "batches", run_id, meter=meter) as batches:
        await batches.adopt(tell)              what an earlier process left is found again
        await batches.submit(works, admit)     what is missing besides
        await batches.collect(tell)            until all has ended; cancelled at any time, the next process goes on

Whatever moment the process dies at, nothing that was paid for is lost or asked a second time: see `parts`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Self

import aiohttp

from cotforge.forge.batches.ends import TURNS, PartEnds
from cotforge.forge.batches.harvest import Harvest, Strange
from cotforge.forge.batches.outbox import Outbox
from cotforge.forge.batches.parts import BatchPart, PartMember, Parts
from cotforge.forge.batches.spool import MOST_BYTES, missing_requests, requests_again
from cotforge.forge.pending import PendingSample
from cotforge.forge.progress import TeacherCounts
from cotforge.journal import Journal
from cotforge.pipeline import Loaded
from cotforge.records import Call, Fault, Outcome, OutcomeKind
from cotforge.replies.attempt import Attempt, failed_attempt
from cotforge.replies.text import one_line
from cotforge.teachers.batch import OVER, Api, ApiRefused, Batch, refusing_logprobs
from cotforge.teachers.kind import TeacherKind
from cotforge.teachers.openai import said_by

LOOKS = 5
"""Looks at a batch that lacks what it should have before that counts as gone (ours)."""
KEPT_S = 30 * 24 * 3600.0
"""Seconds after which a batch that its provider does not know is given up (ours): OpenAI keeps results for 30 days."""
LIMITED = "token_limit_exceeded"
"""The code of a batch that was turned away because too many tokens wait already: nothing was asked."""

Tell = Callable[[str], object]


class BatchRunner:
    """The batches of one teacher in one run: an async context, in the journal's event loop.

    `ended` is told of every Call that ended, once that is on the disk. All methods raise JournalError where nothing can be kept any more.
    """

    def __init__(
        self,
        teacher: TeacherKind,
        journal: Journal,
        folder: Path,
        run_id: str,
        *,
        meter: TeacherCounts | None = None,
        ended: Callable[[Attempt], object] | None = None,
        most_bytes: int = MOST_BYTES,
        logprobs: bool = True,
    ) -> None:
        """`logprobs`: whether a teacher that asks for log probabilities does so here."""
        self.teacher, self.folder, self.meter = teacher, folder, meter or TeacherCounts()
        self.parts, self.api = Parts(journal, teacher), Api(teacher)
        self.outbox = Outbox(self.parts, self.api, folder, run_id, meter=self.meter, tell=self._count_attempt, most_bytes=most_bytes)
        self.strange = Strange(folder / "strange.jsonl")
        self.open: list[BatchPart] = []
        """What the provider works on."""
        self._parked: list[BatchPart] = []
        self._harvests: dict[int, Harvest] = {}
        self._said: dict[int, str] = {}
        self._after, self._logprobs = 0.0, logprobs
        self._ended = ended

    async def __aenter__(self) -> Self:
        await self.api.__aenter__()
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.api.__aexit__(*fault)

    async def adopt(self, tell: Tell) -> None:
        """Take over what was submitted; what was not is forgotten, so that what today's pipeline lacks is asked."""
        for part in self.parts.open():
            if part.state == "creating":
                await self._recover_batch(part, tell)
            if part.state == "created":
                self.open.append(part)
                self.meter.in_flight += len(self.parts.unanswered(part))
            elif part.state in ("", "written", "uploaded"):
                await self.outbox.drop(part)
        for url, count in self.parts.elsewhere():
            tell(
                f"{self._who_asks}: {count:,} batches wait at {url}; "
                "what they hold is not asked here: write that url until they are collected"
            )

    async def _recover_batch(self, part: BatchPart, tell: Tell) -> None:
        """Whether the batch was made before its id could be noted: the provider's list knows, if not at once."""
        try:
            made = await self.outbox.find(part)
            if not made:
                await asyncio.sleep(self.outbox.pause())
                made = await self.outbox.find(part)
        except ApiRefused as refused:
            tell(f"{self._who_asks}: {part.file}: {refused}")
            if refused.outcome.error != "unknown":
                self.outbox.left.append(part)
                return
            self.meter.in_flight += len(self.parts.unanswered(part))
            await self.outbox.give_up(part, refused.outcome)
            return
        await (self.parts.step(part, "created", made) if made else self.outbox.drop(part))

    async def submit(self, works: Iterator[PendingSample | Fault], admit: Callable[[Call], bool] | None = None) -> None:
        """Bring what is missing to the provider, in one pass over `works`, in a thread. The first no of `admit` to a Call ends it."""
        found = missing_requests(works, self.teacher, self.parts.held, logprobs=self._logprobs)
        await self._submit_parts(self.outbox.submit(found, turn=1, max_tokens=self.teacher.max_tokens, admit=admit))

    async def _submit_parts(self, made: AsyncGenerator[BatchPart, None]) -> None:
        async with aclosing(made):
            async for part in made:
                self.open.append(part)

    async def collect(self, tell: Tell) -> None:
        """Wait for the results of all that is open, and keep them."""
        wait = self.outbox.pause()
        while self.open or self._parked:
            self._after = 0.0
            over = [part for part in list(self.open) if await self._look_at_part(part, tell)]
            if self._parked and (over or not self.open):
                await self._unpark_part(self._parked.pop(0))
            if over:
                wait = self.outbox.pause()
            elif self.open:
                await asyncio.sleep(max(wait, self._after))
                wait = self.outbox.pause(wait)

    async def _look_at_part(self, part: BatchPart, tell: Tell) -> bool:
        """Whether the Part is closed now."""
        try:
            batch = await self.api.look(part.batch)
            self._say_state(part, batch, tell)
            if batch.status not in OVER:
                return False
            if batch.status == "failed" and batch.code == LIMITED and len(self.open) > 1:
                await self._park_part(part)
                return False
            return await self._gather_results(part, batch)
        except ApiRefused as refused:
            return await self._without_batch(part, refused, tell)
        except (aiohttp.ClientError, OSError) as fault:
            self.meter.trouble = f"connection: {said_by(fault)}"
            return False

    async def _gather_results(self, part: BatchPart, batch: Batch) -> bool:
        """Bring in the results of a batch that is over, and close it, once all are there that the provider counts."""
        harvest = self._make_harvest(part)
        await harvest.read(self.api, batch)
        if harvest.lines < batch.done and harvest.looks < LOOKS:  # ids of files can come after the state, and a connection can be cut
            harvest.looks += 1
            return False
        await harvest.ends.rest(lambda member: self._member_fate(member, batch))
        await self._submit_again(part, harvest.ends)
        return await self._close_part(part, batch.status)

    def _member_fate(self, member: PartMember, batch: Batch) -> Attempt:
        """How a member ends that a batch, now over, has no result for."""
        word = {"completed": "no_result", "failed": batch.code or "batch_failed"}.get(batch.status, batch.status)
        detail = batch.detail or f"batch {batch.id} has no result for it"
        outcome = Outcome(OutcomeKind.PASSING, word, detail, retry=batch.status in ("completed", "expired"))
        attempt = failed_attempt(member.key, outcome, number=member.attempt, max_tokens=self.teacher.max_tokens)
        return refusing_logprobs(attempt, self.teacher) if batch.status == "failed" else attempt

    async def _submit_again(self, part: BatchPart, ends: PartEnds) -> None:
        """Put what was left unanswered into new batches, from the file that was kept for that."""
        if ends.again:
            self.meter.trouble = f"{len(ends.again):,} requests came back unanswered"
            found = requests_again(self.folder / part.file, ends.again, plain=ends.plain)
            await self._submit_parts(self.outbox.submit(found, turn=part.turn + 1, max_tokens=part.max_tokens))

    async def _without_batch(self, part: BatchPart, refused: ApiRefused, tell: Tell) -> bool:
        """What becomes of a Part that its provider says no about; whether it is closed."""
        self.meter.trouble, self._after = str(refused), max(self._after, refused.outcome.after or 0.0)
        harvest = self._make_harvest(part)
        harvest.looks += not refused.outcome.retry
        if refused.outcome.retry or harvest.looks < LOOKS:
            return False
        if refused.status == 404 and time.time() - part.begun_at > KEPT_S:
            await self.outbox.give_up(part, Outcome(OutcomeKind.PASSING, "lost", refused.outcome.detail))
            return await self._close_part(part, "lost")
        why = f"cannot be looked at: {refused}; is the key of another project? its results are still awaited"
        tell(f"{self._who_asks}: batch {one_line(part.batch)} {why}")
        self.open.remove(part)
        self.outbox.left.append(part)
        return False

    def _make_harvest(self, part: BatchPart) -> Harvest:
        if part.id not in self._harvests:
            may = (self.folder / part.file).exists() and not self.outbox.closes
            self._harvests[part.id] = Harvest(PartEnds(part, self.parts, self._count_attempt, turns=TURNS if may else 1), self.strange)
        return self._harvests[part.id]

    async def _close_part(self, part: BatchPart, why: str) -> bool:
        if part.state != "closed":
            await self.outbox.close(part, why)
        self.open.remove(part)
        del self._harvests[part.id]
        return True

    async def _park_part(self, part: BatchPart) -> None:
        """Turned away for want of room: to be made a batch again when another is over."""
        await self.parts.step(part, "uploaded")
        self.open.remove(part)
        self._parked.append(part)

    async def _unpark_part(self, part: BatchPart) -> None:
        try:
            await self.outbox.create(part)
            if part.state == "created":
                self.open.append(part)
        except ApiRefused as refused:
            await self.outbox.give_up(part, refused.outcome)

    def _say_state(self, part: BatchPart, batch: Batch, tell: Tell) -> None:
        if self._said.get(part.id) != batch.status:
            self._said[part.id] = batch.status
            tell(f"{self._who_asks}: batch {one_line(batch.id)} ({part.file}): {batch.status}, {batch.done:,} of {batch.total:,} done")

    @property
    def _who_asks(self) -> str:
        return f"teacher {self.teacher.name!r}"

    def _count_attempt(self, stored: Attempt) -> None:
        """An attempt has ended."""
        self.meter.in_flight -= 1
        self.meter.note(stored)
        if stored.final:
            self.meter.count(stored)
            if self._ended is not None:
                self._ended(stored)


def waiting_lines(loaded: Loaded, journal: Journal) -> list[str]:
    """A line for each teacher of which batches are open."""
    lines = []
    for teacher in loaded.pipeline.teachers:
        if not teacher.batched:
            continue
        parts = Parts(journal, teacher)
        if count := sum(len(parts.unanswered(part)) for part in parts.open()):
            lines.append(f"teacher {teacher.name!r}: {count:,} of these calls wait in batches at its provider; `build` collects them")
    return lines
