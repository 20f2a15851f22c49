"""The journal: every attempt to ask and every reply, in one SQLite file that only grows.

An attempt is committed before a byte is sent, and a reply with its raw body before it counts, so after SIGKILL or power loss the
file holds whole transactions and at most what was in flight is asked again. Rows are never changed or deleted.

    asked    one row per attempt: the Call's key, whom, when, and, as hashes, where its pictures lie and what its question is
             (an attempt without a reply: outcome unknown)
    replies  one row per attempt that ended, under the attempt's id: the raw body, or the error
    batches  one row per file of attempts that went to a batch API together; `members` are its attempts, `steps` how far it has come

What the disk does to it is found out: by the file's form when it is opened, by a checksum when a reply is read (`rows`). Of a file that
is damaged, what is whole goes into a new one (`salvage`).
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from cotforge.errors import JournalError
from cotforge.journal import schema, spill
from cotforge.journal.attempt_rows import COLUMNS, READ, attempt_of, row_of
from cotforge.journal.damage import Damage, explain_errors, is_damage, is_undecodable, journal_error, note_path
from cotforge.journal.place import refuse_remote as refuse_remote
from cotforge.journal.salvage import finish_salvage, salvage_journal
from cotforge.journal.schema import MIGRATIONS as MIGRATIONS
from cotforge.journal.schema import VERSION as VERSION
from cotforge.journal.subjects import subject_marks
from cotforge.notices import give_notice
from cotforge.records import Sample
from cotforge.replies.attempt import NOT_SENT, Attempt, damaged_attempt

BATCH = 256
"""Most rows in one commit (ours); what queues up during one sync goes into the next."""
PATIENCE = 10.0
"""Seconds (ours) to go on trying to commit on a full disk before replies are kept elsewhere, and the run ends."""
_BEGIN = "INSERT INTO asked VALUES (?, ?, ?, ?, ?, ?)"
_END = f"INSERT INTO replies ({COLUMNS}) VALUES ({', '.join('?' * len(COLUMNS.split(', ')))})"
_Write = tuple[str, tuple[Any, ...], asyncio.Future[None]]
"""A statement, its values, and who waits for the commit."""


class Journal:
    """One open journal: a reading connection per thread, and one writer that commits what came during the last sync.

    A damaged file is salvaged first, which is told in one line. Raises JournalError where the file is of a newer version, none of ours,
    or on a file system that cannot keep it.
    """

    def __init__(
        self,
        path: Path,
        *,
        tell: Callable[[str], object] = give_notice,
        patience: float = PATIENCE,
        elsewhere: Sequence[Path] | None = None,
    ) -> None:
        """On a full disk it is tried for `patience` seconds; then replies go to a file in one of the folders `elsewhere`."""
        refuse_remote(path.parent)
        self.path = path
        self._patience, self._elsewhere = patience, spill.spill_folders() if elsewhere is None else elsewhere
        self._readers: dict[threading.Thread, sqlite3.Connection] = {}
        self._lock = threading.Lock()
        self._waiting: list[_Write] = []
        self._committing = False
        self._sync: tuple[Future[sqlite3.Cursor], list[_Write]] | None = None
        """The commit that a thread works on, and what is in it."""
        self._full_since: float | None = None
        self.stuck: JournalError | None = None
        """Why nothing can be written at present, though it may be later; None where nothing is wrong."""
        self.gave_up: JournalError | None = None
        """What a person is told once trying was given up; None as long as it was not."""
        self.broken = False
        """Whether damage was met while writing: nothing more can be kept."""
        self.changed: Callable[[], object] = lambda: None
        """Called when one of these has changed."""
        self.awaited: Callable[[], bool] = lambda: False
        """Whether replies are still to come that should not be asked again: for so long, too, a full disk is tried again."""
        self._syncing = ThreadPoolExecutor(1, thread_name_prefix="journal")
        with explain_errors(path):
            finish_salvage(path)
            try:
                self._open_writer()
            except sqlite3.DatabaseError as fault:
                if not is_damage(fault):
                    raise
                tell(salvage_journal(path))
                self._open_writer()
            for kept, count in spill.take_up(self._thread_reader, self._writer, self._elsewhere):
                tell(f"{path}: {count:,} replies that it had no room for are taken up from {kept}")

    def _open_writer(self) -> None:
        with ExitStack() as opened:
            opened.callback(self._close_readers)
            schema.check_journal(self.path)
            if note_path(self.path).exists():
                raise Damage("a run has met damage in it")
            schema.migrate_journal(self.path)
            self._writer = schema.connect_writer(self.path)
            opened.callback(self._writer.close)
            self._next = (self._thread_reader.execute("SELECT max(id) FROM asked").fetchone()[0] or 0) + 1
            self._replied = self._thread_reader.execute("SELECT 1 FROM replies LIMIT 1").fetchone() is not None
            known = self._thread_reader.execute("SELECT name, model, id FROM teachers")
            self._teachers: dict[tuple[str, str], int] = {(name, model): id for name, model, id in known}
            opened.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # reading: from any thread

    @property
    def _thread_reader(self) -> sqlite3.Connection:
        thread = threading.current_thread()
        return self._readers.get(thread) or self._new_reader(thread)

    def _new_reader(self, thread: threading.Thread) -> sqlite3.Connection:
        """A new connection for this thread; those of threads that have ended are let go of."""
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA query_only = 1")
        with self._lock:
            self._readers[thread] = connection
            for ended in [other for other in self._readers if not other.is_alive()]:
                self._readers.pop(ended).close()
        return connection

    def replies(self, keys: Iterable[str]) -> dict[str, Attempt]:
        """For each key (hex) that has one, the latest whole reply, else the latest cut off by length, else the latest final error.

        A reply that is not as it was written is the error `damaged`, which may pass.
        """
        best: dict[str, Attempt] = {}
        if self.empty:
            return best  # `check` of a long source asks for millions
        wanted = {bytes.fromhex(key): key for key in keys}
        with explain_errors(self.path):
            for attempt in self._final_attempts(list(wanted)):
                key = wanted.get(attempt.key)  # None where the row's own key is damaged: nobody can tell whose it is
                if key is not None and (key not in best or attempt.rank > best[key].rank):
                    best[key] = attempt
        return best

    def begun(self, keys: Iterable[str]) -> dict[str, str]:
        """For each key (hex) that was asked, and not to the end: how its last attempt ended, as `error: words`."""
        wanted = {bytes.fromhex(key): key for key in keys}
        sql = (
            f"SELECT key, error, detail FROM replies WHERE key IN ({','.join('?' * len(wanted))}) AND NOT final AND error <> ? ORDER BY id"
        )
        try:
            with explain_errors(self.path):
                found = self._thread_reader.execute(sql, [*wanted, NOT_SENT]).fetchall()
        except sqlite3.OperationalError as fault:
            if not is_undecodable(fault):
                raise
            return {}
        return {wanted[key]: f"{error}: {detail or ''}".strip(": ") for key, error, detail in found if key in wanted}

    def _final_attempts(self, keys: list[bytes]) -> list[Attempt]:
        where = f"FROM replies WHERE key IN ({','.join('?' * len(keys))}) AND final"
        try:
            return [attempt_of(row) for row in self._thread_reader.execute(f"SELECT {READ} {where}", keys)]
        except sqlite3.OperationalError as fault:
            if not is_undecodable(fault):
                raise
        return [self._read_attempt(*row) for row in self._thread_reader.execute(f"SELECT id, key {where}", keys).fetchall()]

    def _read_attempt(self, attempt: int, key: bytes) -> Attempt:
        try:
            return attempt_of(self._thread_reader.execute(f"SELECT {READ} FROM replies WHERE id = ?", (attempt,)).fetchone())
        except sqlite3.OperationalError as fault:
            if not is_undecodable(fault):
                raise
            return damaged_attempt(attempt, key)

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds among what is committed."""
        with explain_errors(self.path):
            return self._thread_reader.execute(sql, values).fetchall()

    def latest(self) -> int:
        """The id of the last attempt that was begun."""
        return self._next - 1

    @property
    def empty(self) -> bool:
        """Whether nobody was ever asked. (A file that was salvaged may have replies to attempts that it lost.)"""
        return not self._replied and not self.latest()

    def totals(self) -> dict[str, Any]:
        """Over the whole journal: `calls_total`, `attempts`, `unknown` (begun, never ended), `input`, `output` (tokens), `cost_usd`."""
        with explain_errors(self.path):
            begun = self._thread_reader.execute("SELECT count(*) FROM asked").fetchone()[0]
            ended, made, calls, *sums = self._thread_reader.execute(
                f"SELECT count(*), total(error IS NOT '{NOT_SENT}'), count(DISTINCT CASE WHEN final THEN key END), "
                "total(input_tokens), total(output_tokens), total(cost_usd) FROM replies"
            ).fetchone()
        names = ("calls_total", "attempts", "unknown", "input", "output", "cost_usd")
        return dict(zip(names, (calls, begun - ended + int(made), begun - ended, int(sums[0]), int(sums[1]), sums[2]), strict=True))

    # writing: from one event loop

    def begin(self, key: str, teacher: str, model: str, *, about: Sample | None = None) -> tuple[int, asyncio.Future[None]]:
        """Note that an attempt is about to be made: its id, and when that is on the disk; nothing may be sent before.

        `about` is the Sample, where it is at hand. The Future raises JournalError where it cannot be kept.
        """
        asker = self._teachers.get((teacher, model))
        if asker is None:
            asker = self._teachers[teacher, model] = max(self._teachers.values(), default=0) + 1
            self.write("INSERT INTO teachers VALUES (?, ?, ?)", asker, teacher, model)
        attempt, self._next = self._next, self._next + 1
        place, question = subject_marks(about) if about is not None else (None, None)
        row = (attempt, bytes.fromhex(key), asker, time.time(), place, question)
        return attempt, self.write(_BEGIN, *row)

    def end(self, attempt: Attempt) -> asyncio.Future[None]:
        """Note how an attempt ended; the Future tells when that is on the disk, or raises JournalError where it cannot be kept."""
        return self.write(_END, *row_of(attempt))

    def write(self, sql: str, *values: Any) -> asyncio.Future[None]:
        """Run a statement after all that were given before; the Future tells when it is on the disk, or raises JournalError."""
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((sql, values, kept))
        if not self._committing:
            self._committing = True
            asyncio.get_running_loop().call_soon(self._commit_waiting)
        return kept

    def _commit_waiting(self) -> None:
        """Write what waits, and have it synced by a thread; what comes meanwhile goes into the next transaction.

        Only the sync is left to the thread: it would have to win the interpreter back from a busy event loop after every single row.
        """
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        loop = asyncio.get_running_loop()
        try:
            self._insert_batch(batch)
        except Exception as fault:
            self._handle_failure(batch, fault)
        else:
            syncing = self._syncing.submit(self._writer.execute, "COMMIT")
            self._sync = syncing, batch
            asyncio.wrap_future(syncing, loop=loop).add_done_callback(lambda synced: self._note_committed(batch, synced.exception()))

    def _insert_batch(self, batch: list[_Write]) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        for sql, values, _ in batch:
            self._writer.execute(sql, values)

    def _note_committed(self, batch: list[_Write], fault: BaseException | None) -> None:
        self._sync = None
        if fault is not None:
            self._handle_failure(batch, fault)
            return
        self._full_since = None
        if self.stuck is not None:
            self.stuck = None
            self.changed()
        for _, _, kept in batch:
            if not kept.done():
                kept.set_result(None)
        self._committing = bool(self._waiting)
        if self._committing:
            self._commit_waiting()

    def _handle_failure(self, batch: list[_Write], fault: BaseException) -> None:
        """Roll back and, where SQLite says no, try again: a full disk may be given room. Damage stays.

        Once the patience is over, and nothing is `awaited` any more, the replies among what waits are kept elsewhere.
        """
        if self._writer.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._writer.execute("ROLLBACK")
        self._full_since = self._full_since or time.monotonic()
        self._waiting = batch + self._waiting
        if isinstance(fault, sqlite3.Error):
            if not is_damage(fault):
                if self.stuck is None:
                    self.stuck = journal_error(self.path, fault)
                    self.changed()
                if time.monotonic() - self._full_since < self._patience or self.awaited():
                    asyncio.get_running_loop().call_later(0.5, self._commit_waiting)
                    return
                fault = self.gave_up = self._spill_replies(fault)
            else:
                self.broken, fault = True, journal_error(self.path, fault)
        for _, _, kept in self._waiting:
            if not kept.done():
                kept.set_exception(fault)
                kept.exception()  # whoever waits is told; where nobody does any more, nothing is printed
        self._waiting, self._committing = [], False
        self.changed()

    def _spill_replies(self, fault: sqlite3.Error) -> JournalError:
        """Keep the replies that wait in a file elsewhere, where that can be: then they count as kept. Returns what a person is told."""
        unbegun = {values[0] for sql, values, _ in self._waiting if sql is _BEGIN}  # and so not sent
        rows = [values for sql, values, _ in self._waiting if sql is _END and values[0] not in unbegun]
        line, many = str(journal_error(self.path, fault)), "1 reply is" if len(rows) == 1 else f"{len(rows):,} replies are"
        if not rows:
            return JournalError(line)
        try:
            path = spill.write_spill(self._thread_reader, rows, self._elsewhere)
        except (OSError, sqlite3.Error) as problem:
            return JournalError(f"{line}; {many} lost, for no other folder has room: {problem}")
        for sql, _, kept in self._waiting:
            if sql is _END and not kept.done():
                with contextlib.suppress(RuntimeError):  # where the loop has ended, nobody waits
                    kept.set_result(None)
        self._waiting = [write for write in self._waiting if write[0] is not _END]
        return JournalError(f"{line}; {many} kept in {path}, and taken up from there")

    def close(self) -> None:
        """Write what still waits, fold the log into the file and let go of it."""
        self._syncing.shutdown()
        if self._sync is not None and self._sync[0].exception() is not None:  # the loop ended before it could be tried again
            self._waiting = self._sync[1] + self._waiting
        try:
            if self._waiting:
                self._write_the_rest()
        finally:
            self._close_readers()
            self._fold_log()

    def _write_the_rest(self) -> None:
        with explain_errors(self.path):
            try:
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                self._insert_batch(self._waiting)
                self._writer.execute("COMMIT")
            except sqlite3.Error as fault:
                if is_damage(fault):
                    raise
                raise self._spill_replies(fault) from fault
            self._waiting = []

    def _close_readers(self) -> None:
        with self._lock:
            while self._readers:
                self._readers.popitem()[1].close()

    def _fold_log(self) -> None:
        """Have all of the log in the file; where another process reads it, or there is no room, what is in the log stays there."""
        try:
            self._writer.execute("PRAGMA busy_timeout = 0")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as fault:
            if is_damage(fault):
                journal_error(self.path, fault)
        finally:
            self._writer.close()
