"""Bringing Calls to a batch API: written into a file, uploaded, made into a batch; each step in the journal before the next.

Only `create` can cost anything. Where its outcome is not known, the provider's list of batches is looked through before it is repeated.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import aiohttp

from cotforge.endings import Closing
from cotforge.forge.batches.ends import PartEnds
from cotforge.forge.batches.parts import BatchPart, Parts
from cotforge.forge.batches.spool import Request, Spool, chunk_requests
from cotforge.forge.progress import TeacherCounts
from cotforge.records import Call, Fault, Outcome, OutcomeKind
from cotforge.replies.attempt import Attempt, failed_attempt, unsent_attempt
from cotforge.teachers.batch import Api, ApiRefused
from cotforge.teachers.openai import said_by

FIRST_S = 5.0
"""Seconds until something is tried or looked at a second time (ours); then half as long again each time, up to `batch.poll`."""
PATIENCE_S = 900.0
"""Seconds that a provider in trouble is tried before the file's Calls are given up for this run (ours)."""

_T = TypeVar("_T")
Found = Iterator[Request | Fault]


class Outbox:
    """What goes to one teacher's provider. `tell` is told of every attempt that ends here, because it could not be submitted."""

    def __init__(
        self, parts: Parts, api: Api, folder: Path, run_id: str, *, meter: TeacherCounts, tell: Callable[[Attempt], object], most_bytes: int
    ) -> None:
        self.parts, self.api, self.folder, self.run_id = parts, api, folder, run_id
        self.meter, self.tell, self.most_bytes = meter, tell, most_bytes
        self.faults = 0
        """Samples whose pictures could not be read any more."""
        self.closes: Closing | None = None
        """Why nothing more is submitted; None where nothing is wrong."""
        self.left: list[BatchPart] = []
        """What cannot be looked at in this run, and holds its Calls; a later one may."""

    async def submit(
        self, found: Found, *, turn: int, max_tokens: int | None, admit: Callable[[Call], bool] | None = None
    ) -> AsyncGenerator[BatchPart, None]:
        """The Parts made of the requests, each as soon as there is a batch of it. Ends early where `admit` says no."""
        filling: tuple[BatchPart, Spool] | None = None
        seen: tuple[set[str], set[str]] = (set(), set())  # keys of the Part before and of this one: not sure to be in the journal yet
        try:
            async with aclosing(_request_chunks(found, lambda: filling[1].flush() if filling else None)) as stepped:
                async for request in stepped:
                    if isinstance(request, Fault):
                        self.faults += 1
                        continue
                    if request.key in seen[0] or request.key in seen[1]:
                        continue
                    if filling and not filling[1].takes(request, most=self.api.how.most, most_bytes=self.most_bytes):
                        full, filling, seen = filling, None, (seen[1], set())
                        if await self._send_part(*full):
                            yield full[0]
                    if self.closes or (request.call is not None and admit is not None and not admit(request.call)):
                        break
                    seen[1].add(request.key)
                    filling = filling or await self._begin_part(turn, max_tokens)
                    self._add_request(*filling, request)
            if filling and await self._send_part(*filling):
                yield filling[0]
        finally:
            if filling:
                filling[1].close()

    async def _begin_part(self, turn: int, max_tokens: int | None) -> tuple[BatchPart, Spool]:
        part = await self.parts.begin(turn=turn, max_tokens=max_tokens)
        return part, Spool(self.folder / part.file)

    def _add_request(self, part: BatchPart, spool: Spool, request: Request) -> None:
        about = request.call.sample if request.call is not None else None
        spool.add(self.parts.enlist(part, request.key, request.input_tokens, about), request)
        self.meter.attempts += 1
        self.meter.in_flight += 1

    async def _send_part(self, part: BatchPart, spool: Spool) -> bool:
        """Whether there is a batch now; where there is surely none its Calls are given up."""
        await asyncio.to_thread(spool.close)
        await self.parts.step(part, "written")
        try:
            await self.parts.step(part, "uploaded", await self._ask_patiently(lambda: self.api.upload(spool.path)))
            await self.create(part)
        except ApiRefused as refused:
            await self.give_up(part, refused.outcome)
        return part.state == "created"

    async def create(self, part: BatchPart) -> None:
        """Make a batch of the uploaded file. Raises Refused where the provider will not; where that is not sure, the Part is `left`."""
        await self.parts.step(part, "creating")
        tries = 0

        async def make() -> str:
            nonlocal tries
            tries += 1
            made = await self._find_batch(part) if tries > 1 else ""
            return made or (await self.api.create(part.input_file, {"cotforge": self.run_id, "part": part.file})).id

        try:
            made = await self._ask_patiently(make)
        except ApiRefused as refused:
            if tries == 1:
                raise
            self.closes = self.closes or refused.outcome.closes or Closing.TROUBLE
            self.left.append(part)
        else:
            await self.parts.step(part, "created", made)

    async def find(self, part: BatchPart) -> str:
        """The id of a batch that was made of the Part without our noting it; empty where there is none. Raises Refused."""
        return await self._ask_patiently(lambda: self._find_batch(part))

    async def _find_batch(self, part: BatchPart) -> str:
        try:
            async for batch in self.api.listed():
                if batch.id not in part.made and (batch.input_file == part.input_file or batch.metadata.get("part") == part.file):
                    return batch.id
        except ApiRefused as refused:
            if refused.status not in (404, 405):
                raise
            detail = "whether a batch was made cannot be found out: there is no list of batches"
            raise ApiRefused(refused.status, Outcome(OutcomeKind.PASSING, "unknown", detail)) from refused
        return ""

    async def _ask_patiently(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """What `ask` brings, asked again while that may help. Raises Refused where it does not, or has not for too long."""
        wait, until = self.pause(), time.monotonic() + PATIENCE_S
        while True:
            after = 0.0
            try:
                return await ask()
            except ApiRefused as refused:
                if not refused.outcome.retry or time.monotonic() > until:
                    raise
                self.meter.trouble, after = str(refused), refused.outcome.after or 0.0
            except (aiohttp.ClientError, OSError) as fault:
                self.meter.trouble = f"connection: {said_by(fault)}"
                if time.monotonic() > until:
                    raise ApiRefused(0, Outcome(OutcomeKind.PASSING, "connection", said_by(fault))) from fault
            await asyncio.sleep(max(wait, after))
            wait = self.pause(wait)

    def pause(self, last: float | None = None) -> float:
        """Seconds to wait, after so many the last time."""
        return min(self.api.how.poll, FIRST_S if last is None else last * 1.5)

    async def give_up(self, part: BatchPart, outcome: Outcome) -> None:
        """End all that the Part still holds with this error: a rerun asks again."""
        self.closes = self.closes or outcome.closes
        ended = Outcome(OutcomeKind.PASSING, outcome.error, outcome.detail)
        max_tokens = self.parts.teacher.max_tokens
        ends = PartEnds(part, self.parts, self.tell)
        await ends.rest(lambda member: failed_attempt(member.key, ended, number=member.attempt, max_tokens=max_tokens))
        await self.close(part, str(outcome.error))

    async def drop(self, part: BatchPart) -> None:
        """Forget a Part that nobody was asked by."""
        for member in self.parts.unanswered(part):
            self.parts.journal.end(unsent_attempt(member.attempt, member.key))
        await self.close(part, "dropped")

    async def close(self, part: BatchPart, why: str) -> None:
        """Every member has ended: the file is not needed any more."""
        await self.parts.step(part, "closed", why)
        (self.folder / part.file).unlink(missing_ok=True)


async def _request_chunks(found: Found, flush: Callable[[], object]) -> AsyncGenerator[Request | Fault, None]:
    """The requests, read by a thread; between two chunks what was made of the last is flushed there too."""
    loop = asyncio.get_running_loop()
    chunks = chunk_requests(found)
    with ThreadPoolExecutor(1, "batches") as reader:
        while chunk := await loop.run_in_executor(reader, next, chunks, None):
            for request in chunk:
                yield request
            await loop.run_in_executor(reader, flush)
