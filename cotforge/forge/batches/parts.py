"""What the journal knows of batches: a Part is one file of requests that is, or becomes, one batch at a provider.

A Part goes from state to state, each a row of `steps`, so that whatever moment the process dies at, the next one knows what was done:

    (none)      its file is being written
    written     its attempts all stand in the journal; the file is being uploaded
    uploaded    the provider has the file; up to here nothing has been asked
    creating    the batch is asked for: it may be there without our knowing its id
    created     the provider works on it
    closed      every member has ended
"""

import asyncio
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from cotforge.errors import JournalError
from cotforge.journal import Journal
from cotforge.records import Sample
from cotforge.redaction import redact_text
from cotforge.teachers.kind import TeacherKind

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.jsonl")


@dataclass(slots=True)
class BatchPart:
    """One file of requests. Its state is changed by `Parts.step` alone."""

    id: int
    file: str
    """Random name of the file, here and at the provider; in the batch's metadata too."""
    url: str
    max_tokens: int | None
    """As its requests say."""
    turn: int
    """1, or 2 where its requests come from a batch that left them unanswered."""
    begun_at: float
    """Seconds since the epoch."""
    state: str = ""
    input_file: str = ""
    """The provider's id of the file."""
    made: list[str] = field(default_factory=list)
    """The provider's ids of the batches that were made of it; the last counts."""

    @property
    def batch(self) -> str:
        return self.made[-1]


@dataclass(frozen=True, slots=True)
class PartMember:
    """One attempt in a Part."""

    attempt: int
    key: str
    input_tokens: int
    """Estimated, for a provider that does not count."""
    answered: bool
    """Whether its end stands in the journal."""

    @property
    def name(self) -> str:
        """Its `custom_id`."""
        return custom_id(self.attempt, self.key)


def custom_id(attempt: int, key: str) -> str:
    """Unique in a run folder, and to be told from another folder's by the digits of the key."""
    return f"{attempt}-{key[:12]}"


class Parts:
    """The Parts of one teacher in one journal. Writing methods are for the event loop, reading ones for any thread."""

    def __init__(self, journal: Journal, teacher: TeacherKind) -> None:
        self.journal, self.teacher, self.url = journal, teacher, redact_text(teacher.urls[0])

    def open(self) -> list[BatchPart]:
        """Those that are not closed, of this teacher's model at this teacher's URL, whatever the teacher is called today.

        Raises JournalError where one's file has a name that could lead out of the run folder: it is removed once the Part is closed.
        """
        parts = self.journal.rows(
            "SELECT id, file, url, max_tokens, turn, begun_at FROM batches WHERE model = ? AND url IN (?, ?) "
            "AND NOT EXISTS (SELECT 1 FROM steps WHERE batch = batches.id AND state = 'closed') ORDER BY id",
            self.teacher.model,
            self.url,
            self.teacher.urls[0],
        )
        found = [BatchPart(*row) for row in parts]
        if strange := [part.file for part in found if not _FILE.fullmatch(part.file)]:
            raise JournalError(
                f"{self.journal.path}: batches: {strange[0][:80]!r} is no name of a file of requests; was it changed by hand?"
            )
        for part in found:
            for state, value in self.journal.rows("SELECT state, value FROM steps WHERE batch = ? ORDER BY id", part.id):
                _apply_step(part, state, value)
        return found

    def elsewhere(self) -> list[tuple[str, int]]:
        """(URL, number) of this model's Parts that wait at another URL than today's."""
        rows = self.journal.rows(
            "SELECT url, count(*) FROM batches WHERE model = ? AND url NOT IN (?, ?) "
            "AND NOT EXISTS (SELECT 1 FROM steps WHERE batch = batches.id AND state = 'closed') GROUP BY url",
            self.teacher.model,
            self.url,
            self.teacher.urls[0],
        )
        return [(url, count) for url, count in rows]

    async def begin(self, *, turn: int, max_tokens: int | None) -> BatchPart:
        """A new Part; it stands in the journal."""
        file, now = f"part-{secrets.token_hex(8)}.jsonl", time.time()
        await self.journal.write(
            "INSERT INTO batches (teacher, model, url, file, max_tokens, turn, begun_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
            self.teacher.name, self.teacher.model, self.url, file, max_tokens, turn, now,
        )  # fmt: skip
        ((number,),) = self.journal.rows("SELECT id FROM batches WHERE file = ?", file)
        return BatchPart(number, file, self.url, max_tokens, turn, now)

    def enlist(self, part: BatchPart, key: str, input_tokens: int, about: Sample | None) -> str:
        """A new attempt as a member of the Part: its `custom_id`. It is on the disk before any later `step` is."""
        attempt, _ = self.journal.begin(key, self.teacher.name, self.teacher.model, about=about)
        self.journal.write("INSERT INTO members VALUES (?, ?, ?, ?)", attempt, part.id, bytes.fromhex(key), input_tokens)
        return custom_id(attempt, key)

    def step(self, part: BatchPart, state: str, value: str = "") -> asyncio.Future[None]:
        """The Part's next state; the Future tells when it is on the disk, with all that was written before."""
        _apply_step(part, state, value)
        return self.journal.write("INSERT INTO steps (batch, state, value, at) VALUES (?, ?, ?, ?)", part.id, state, value, time.time())

    def members(self, part: BatchPart, attempts: Iterable[int]) -> dict[int, PartMember]:
        """Those of `attempts` (256 at most) that are members."""
        wanted = list(attempts)
        marks = ",".join("?" * len(wanted))
        return {member.attempt: member for member in self._query_members(f"AND attempt IN ({marks})", part.id, *wanted)}

    def unanswered(self, part: BatchPart) -> list[PartMember]:
        return self._query_members("AND replies.id IS NULL", part.id)

    def _query_members(self, where: str, *values: int) -> list[PartMember]:
        rows = self.journal.rows(
            "SELECT attempt, members.key, members.input_tokens, replies.id IS NOT NULL FROM members "
            f"LEFT JOIN replies ON replies.id = attempt WHERE batch = ? {where} ORDER BY attempt",
            *values,
        )
        return [PartMember(attempt, key.hex(), tokens, bool(answered)) for attempt, key, tokens, answered in rows]

    def held(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that a Part holds, any teacher's: they are asked already."""
        wanted = [bytes.fromhex(key) for key in keys]
        marks = ",".join("?" * len(wanted))
        rows = self.journal.rows(
            "SELECT members.key FROM members LEFT JOIN replies ON replies.id = attempt "
            f"WHERE members.key IN ({marks}) AND replies.id IS NULL",
            *wanted,
        )
        return {key.hex() for (key,) in rows}


def _apply_step(part: BatchPart, state: str, value: str) -> None:
    part.state = state
    if state == "uploaded" and value:
        part.input_file = value
    if state == "created":
        part.made.append(value)
