"""Bringing the results of a batch to the attempts they belong to, each once."""

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

from cotforge.forge.batches.ends import PartEnds
from cotforge.forge.batches.parts import BatchPart, PartMember
from cotforge.forge.batches.spool import CALLS, CHUNK, explain_disk
from cotforge.redaction import redact_text
from cotforge.regular_files import open_regular
from cotforge.replies.attempt import Attempt
from cotforge.teachers.batch import Api, Batch, read_result, result_attempt


class Strange:
    """Lines that belong to no attempt, or to one that has its result: kept aside in a file, each distinct one once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: set[bytes] = set()
        with explain_disk(path), contextlib.suppress(FileNotFoundError), open(open_regular(path), "rb") as file:
            self._known = {hashlib.sha256(line.rstrip(b"\n")).digest() for line in file}

    def __len__(self) -> int:
        return len(self._known)

    def keep(self, part: BatchPart, lines: list[bytes]) -> None:
        """Append those that are new, with the names of file and batch. Raises JournalError where that cannot be."""
        with explain_disk(self.path), open(open_regular(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, alone=True), "wb") as file:
            for line in lines:
                row = json.dumps({"file": part.file, "batch": part.batch, "line": redact_text(line.decode("utf-8", "replace"))}).encode()
                if (digest := hashlib.sha256(row).digest()) not in self._known:
                    self._known.add(digest)
                    file.write(row + b"\n")


class Harvest:
    """What the results of one Part's batch have brought so far."""

    def __init__(self, ends: PartEnds, strange: Strange) -> None:
        self.ends, self.part, self.strange = ends, ends.part, strange
        self.lines = 0
        """Results read in the latest look."""
        self.looks = 0
        """Looks that found less than the provider says there is."""
        self._teacher = ends.parts.teacher.model_copy(update={"max_tokens": self.part.max_tokens})
        self._seen: set[int] = set()

    async def read(self, api: Api, batch: Batch) -> None:
        """Put every line of both files where it belongs; what an earlier look has put there stays as it is.

        Raises Refused, aiohttp.ClientError or OSError where a file cannot be read to its end.
        """
        self._seen.clear()
        self.lines = 0
        for file in filter(None, (batch.output_file, batch.error_file)):
            async with aclosing(_line_chunks(api.lines(file))) as lists:
                async for lines in lists:
                    await self._put_lines(lines)

    async def _put_lines(self, lines: list[bytes]) -> None:
        results = [(line, read_result(line)) for line in lines]
        self.lines += sum(said is not None for _, said in results)  # not those of some gateway's page
        members = self.ends.parts.members(self.part, {_attempt_number(said.name) for _, said in results if said})
        strange: list[bytes] = []
        ends: list[tuple[Attempt, PartMember]] = []
        for line, said in results:
            member = members.get(_attempt_number(said.name)) if said else None
            if said is None or member is None or member.name != said.name or member.attempt in self._seen:
                strange.append(line)
                continue
            self._seen.add(member.attempt)
            if not member.answered:
                ends.append((result_attempt(said, member, self._teacher), member))
        if strange:
            await asyncio.to_thread(self.strange.keep, self.part, strange)
        await self.ends.put(ends)


def _attempt_number(name: str) -> int:
    """The attempt that a `custom_id` names; -1 for one that is not ours."""
    number = name.partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else -1


async def _line_chunks(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[list[bytes], None]:
    """The lines that are not empty, in lists of as many as are looked up at a time, and of no more bytes than a chunk."""
    held: list[bytes] = []
    size = 0
    async for line in lines:
        if line.strip():
            held.append(line)
            size += len(line)
        if len(held) == CALLS or size >= CHUNK:
            yield held
            held, size = [], 0
    if held:
        yield held
