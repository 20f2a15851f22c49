"""The journal: every attempt to ask and every reply, in one SQLite file that only grows.

An attempt is committed before a byte is sent, and a reply with its raw body before it counts, so after SIGKILL or power loss the
file holds whole transactions and at most what was in flight is asked again. Rows are never changed or deleted.

    asked    one row per attempt: the Call's key, whom, when                (an attempt without a reply: outcome unknown)
    replies  one row per attempt that ended, under the attempt's id: the raw body, or the error
    batches  one row per file of attempts that went to a batch API together; `members` are its attempts, `steps` how far it has come
"""

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Self

from cotforge.errors import JournalError

VERSION = 2
"""Of the schema, in SQLite's `user_version`. A newer file is refused, an older one migrated by the scripts below, never edited."""

MIGRATIONS = (
    """
    CREATE TABLE teachers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, model TEXT NOT NULL, UNIQUE (name, model));
    CREATE TABLE asked (id INTEGER PRIMARY KEY, key BLOB NOT NULL, teacher INTEGER NOT NULL REFERENCES teachers, begun_at REAL NOT NULL);
    CREATE TABLE replies (id INTEGER PRIMARY KEY REFERENCES asked, key BLOB NOT NULL, status INTEGER, error TEXT, detail TEXT,
                          passing INTEGER NOT NULL, final INTEGER NOT NULL, finish_reason TEXT, input_tokens INTEGER, output_tokens INTEGER,
                          cost_usd REAL, seconds REAL, max_tokens INTEGER, body TEXT, url TEXT);
    CREATE INDEX replies_by_key ON replies (key);
    """,
    """
    CREATE TABLE batches (id INTEGER PRIMARY KEY, teacher TEXT NOT NULL, model TEXT NOT NULL, url TEXT NOT NULL, file TEXT NOT NULL,
                          max_tokens INTEGER, turn INTEGER NOT NULL, begun_at REAL NOT NULL);
    CREATE TABLE members (attempt INTEGER PRIMARY KEY REFERENCES asked, batch INTEGER NOT NULL REFERENCES batches, key BLOB NOT NULL,
                          input_tokens INTEGER NOT NULL);
    CREATE INDEX members_by_batch ON members (batch);
    CREATE INDEX members_by_key ON members (key);
    CREATE TABLE steps (id INTEGER PRIMARY KEY, batch INTEGER NOT NULL REFERENCES batches, state TEXT NOT NULL, value TEXT NOT NULL,
                        at REAL NOT NULL);
    CREATE INDEX steps_by_batch ON steps (batch);
    """,
)

BATCH = 256
"""Most rows in one commit (ours); what queues up during one sync goes into the next."""
PATIENCE = 10.0
"""Seconds (ours) to go on trying to commit on a full disk before the run gives up."""
MAPPED_FROM = 64 * 2**20
"""Bytes (ours) of a journal from which on it is read through a memory map: looking 200,000 keys up takes half the time."""
REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "9p2000"})
"""File systems without the shared memory that SQLite's WAL needs."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of `replies`: how an attempt ended."""

    attempt: int
    key: bytes
    """sha256, 32 bytes."""
    status: int | None
    """HTTP status; None where no answer came."""
    error: str | None
    detail: str
    passing: bool  # SQLite's 0 and 1
    """Whether the error may pass: a rerun asks again."""
    final: bool
    """Whether the Call ended with it: a reply, or given up."""
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    seconds: float
    max_tokens: int | None
    body: str
    """As received, whatever the reader makes of it; the first 2 kB of an error's."""
    url: str = ""
    """Who answered."""

    def settles(self, max_tokens: int | None) -> bool:
        """Whether the Call need not be asked (again) under today's `max_tokens`."""
        if self.error is not None:
            return not self.passing and self.max_tokens == max_tokens
        if self.finish_reason != "length" or self.max_tokens is None:
            return True
        return max_tokens is not None and self.max_tokens >= max_tokens

    @property
    def unknown(self) -> bool:
        """Whether a server may have done, and charged, the work of an attempt that brought no reply: nobody can tell."""
        return self.error is not None and (self.status in CHARGED or self.error == "timeout")


CHARGED = (200, 408, 504, 524)
"""Statuses of a failed attempt after which the work may have been done all the same: a body nobody can read, and gateways' timeouts."""

_MARKS = ",".join("?" * len(Stored.__slots__))
_values = attrgetter(*Stored.__slots__)
_Write = tuple[str, tuple[Any, ...], asyncio.Future[None]]
"""A statement, its values, and who waits for the commit."""

_COLUMNS = (
    "id, key, status, error, detail, passing, final, finish_reason, input_tokens, output_tokens, cost_usd, seconds, max_tokens, body, url"
)


class Journal:
    """One open journal: a reading connection per thread, and one writer that commits what came during the last sync.

    Raises JournalError where the file is of a newer version, damaged, or on a file system that cannot keep it.
    """

    def __init__(self, path: Path) -> None:
        refuse_remote(path.parent)
        self.path = path
        self._local = threading.local()
        self._waiting: list[_Write] = []
        self._committing = False
        self._full_since: float | None = None
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="journal")
        with _explained(path):
            _migrate(path)
            self._writer = _connect(path)
            self._next = (self._read.execute("SELECT max(id) FROM asked").fetchone()[0] or 0) + 1
            known = self._read.execute("SELECT name, model, id FROM teachers")
            self._teachers: dict[tuple[str, str], int] = {(name, model): id for name, model, id in known}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # reading: from any thread

    @property
    def _read(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = sqlite3.connect(self.path, isolation_level=None)
            connection.execute("PRAGMA query_only = 1")
            if self.path.stat().st_size > MAPPED_FROM:
                connection.execute(f"PRAGMA mmap_size = {2**40}")  # bounded by SQLite itself; pages stay the system's, not ours
        return connection

    def replies(self, keys: Iterable[str]) -> dict[str, Stored]:
        """For each key (hex) that has one, the latest whole reply, else the latest cut off by length, else the latest final error."""
        wanted = [bytes.fromhex(key) for key in keys]
        marks = ",".join("?" * len(wanted))
        best: dict[str, Stored] = {}
        with _explained(self.path):
            for row in self._read.execute(f"SELECT {_COLUMNS} FROM replies WHERE key IN ({marks}) AND final", wanted):
                stored = Stored(*row)
                key = stored.key.hex()
                if key not in best or _rank(stored) > _rank(best[key]):
                    best[key] = stored
        return best

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds among what is committed."""
        with _explained(self.path):
            return self._read.execute(sql, values).fetchall()

    def latest(self) -> int:
        """The id of the last attempt that was begun."""
        return self._next - 1

    def totals(self) -> dict[str, Any]:
        """Over the whole journal: `calls_total`, `attempts`, `unknown` (begun, never ended), `input`, `output` (tokens), `cost_usd`."""
        with _explained(self.path):
            begun = self._read.execute("SELECT count(*) FROM asked").fetchone()[0]
            ended, made, calls, *sums = self._read.execute(
                f"SELECT count(*), total(error IS NOT '{NOT_SENT}'), count(DISTINCT CASE WHEN final THEN key END), "
                "total(input_tokens), total(output_tokens), total(cost_usd) FROM replies"
            ).fetchone()
        names = ("calls_total", "attempts", "unknown", "input", "output", "cost_usd")
        return dict(zip(names, (calls, begun - ended + int(made), begun - ended, int(sums[0]), int(sums[1]), sums[2]), strict=True))

    # writing: from one event loop

    def begin(self, key: str, teacher: str, model: str) -> tuple[int, asyncio.Future[None]]:
        """Note that an attempt is about to be made: its id, and when that is on the disk; nothing may be sent before.

        The Future raises JournalError where it cannot be kept.
        """
        asker = self._teachers.get((teacher, model))
        if asker is None:
            asker = self._teachers[teacher, model] = len(self._teachers) + 1
            self.write("INSERT INTO teachers VALUES (?, ?, ?)", asker, teacher, model)
        attempt, self._next = self._next, self._next + 1
        return attempt, self.write("INSERT INTO asked VALUES (?, ?, ?, ?)", attempt, bytes.fromhex(key), asker, time.time())

    def end(self, stored: Stored) -> asyncio.Future[None]:
        """Note how an attempt ended; the Future tells when that is on the disk, or raises JournalError where it cannot be kept."""
        return self.write(f"INSERT INTO replies ({_COLUMNS}) VALUES ({_MARKS})", *_values(stored))

    def write(self, sql: str, *values: Any) -> asyncio.Future[None]:
        """Run a statement after all that were given before; the Future tells when it is on the disk, or raises JournalError."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((sql, values, kept))
        if not self._committing:
            self._committing = True
            asyncio.get_running_loop().call_soon(self._commit)
        return kept

    def _commit(self) -> None:
        """Write what waits, and have it synced by a thread; what comes meanwhile goes into the next transaction.

        Only the sync is left to the thread: it would have to win the interpreter back from a busy event loop after every single row.
        """
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        loop = asyncio.get_running_loop()
        try:
            self._insert(batch)
        except Exception as fault:
            self._failed(batch, fault)
        else:
            synced = loop.run_in_executor(self._syncing, self._writer.execute, "COMMIT")
            synced.add_done_callback(lambda synced: self._committed(batch, synced.exception()))

    def _insert(self, batch: list[_Write]) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        for sql, values, _ in batch:
            self._writer.execute(sql, values)

    def _committed(self, batch: list[_Write], fault: BaseException | None) -> None:
        if fault is not None:
            self._failed(batch, fault)
            return
        self._full_since = None
        for _, _, kept in batch:
            if not kept.done():
                kept.set_result(None)
        self._committing = bool(self._waiting)
        if self._committing:
            self._commit()

    def _failed(self, batch: list[_Write], fault: BaseException) -> None:
        """Roll back and, where SQLite says no, try again for as long as PATIENCE lasts: a full disk may be given room."""
        if self._writer.in_transaction:
            self._writer.execute("ROLLBACK")
        self._full_since = self._full_since or time.monotonic()
        self._waiting = batch + self._waiting
        if isinstance(fault, sqlite3.Error) and time.monotonic() - self._full_since < PATIENCE:
            asyncio.get_running_loop().call_later(0.5, self._commit)
            return
        told = JournalError(f"{self.path}: {fault}; make room, then run the same command again: what was committed is kept")
        for _, _, kept in self._waiting:
            if not kept.done():
                kept.set_exception(told if isinstance(fault, sqlite3.Error) else fault)
                kept.exception()  # whoever waits is told; where nobody does any more, nothing is printed
        self._waiting, self._committing = [], False

    def close(self) -> None:
        """Write what still waits, fold the log into the file and let go of it."""
        self._syncing.shutdown()
        if self._waiting:
            with _explained(self.path):
                if not self._writer.in_transaction:
                    self._insert(self._waiting)
                self._writer.execute("COMMIT")
                self._waiting = []
        self._writer.close()
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None


NOT_SENT = "not_sent"
"""The error of an attempt that was begun and then not made: the run had been stopped."""


def unsent(attempt: int, key: str) -> Stored:
    """The end of an attempt that nobody was asked in."""
    return Stored(attempt, bytes.fromhex(key), None, NOT_SENT, "", True, False, "", 0, 0, 0.0, 0.0, None, "")


def _rank(stored: Stored) -> tuple[int, int]:
    """The higher, the better: a whole reply, one cut off, an error; among equals the latest."""
    if stored.error is not None:
        return 0, stored.attempt
    return 1 if stored.finish_reason == "length" else 2, stored.attempt


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute("PRAGMA page_size = 16384")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _migrate(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = _connect(path)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise JournalError(
                f"{path}: written by a newer cotforge (journal version {version}); this one reads up to {VERSION}: upgrade cotforge"
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
    finally:
        connection.close()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as fault:
        remedy = "make room on the disk" if "full" in str(fault) else "copy it away, then `sqlite3 COPY .recover` saves what is whole"
        raise JournalError(f"{path}: {fault}; {remedy}") from fault
    except OSError as fault:
        raise JournalError(f"{path}: {fault.strerror}; the run folder must be on a local disk that can be written") from fault


def refuse_remote(folder: Path) -> None:
    """Raise JournalError where `folder` lies on a network file system (Linux; elsewhere nothing is known and nothing refused)."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return
    kind = max(((len(at), kind) for at, kind in mounts if folder.resolve().is_relative_to(at)), default=(0, ""))[1]
    if kind in REMOTE:
        raise JournalError(f"{folder}: is on {kind}, where SQLite's log is not safe; choose a folder on a local disk with --out")
