"""The journal of a run for whoever only looks: nothing is written, and a build may go on meanwhile."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from cotforge.answers.redacted_trace import read_trace
from cotforge.answers.task import Task
from cotforge.errors import JournalError
from cotforge.heard import Answered
from cotforge.journal.attempt_rows import READ, attempt_of
from cotforge.journal.schema import VERSION, demand_files
from cotforge.pipeline import Loaded
from cotforge.records import Reply, Sample, unasked_reply
from cotforge.replies.attempt import Attempt


class JournalReader:
    """Reads replies.

    Safe to use from any thread. Raises JournalError where there is no journal that can be read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        try:
            demand_files(path)
            # Never `immutable`: while a build writes, its last replies lie in the log beside the file.
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10, check_same_thread=False)
            self._connection.execute("PRAGMA query_only = 1")
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        except OSError as fault:
            raise JournalError(f"{path}: {fault.strerror}") from fault
        except sqlite3.Error as fault:
            raise JournalError(f"{path}: cannot be read: {fault}; cotforge build makes it, and mends one that is damaged") from fault
        if version != VERSION:
            raise JournalError(f"{path}: is of journal version {version}, and {VERSION} is wanted; `cotforge curate` brings it up to date")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def latest_reply(self) -> int:
        """Grows whenever a reply comes in."""
        return int(self._fetch_rows("SELECT coalesce(max(rowid), 0) FROM replies", ())[0][0])

    def count(self) -> int:
        """Calls that ended, each as often as it was asked."""
        return int(self._fetch_rows("SELECT count(*) FROM replies WHERE final", ())[0][0])

    def read_replies(self, keys: Sequence[str]) -> dict[str, Reply]:
        """The reply that counts for each of these Calls that has one; keys are hex. See `Journal.replies`."""
        marks = ",".join("?" * len(keys))
        best: dict[bytes, Attempt] = {}
        for row in self._fetch_rows(f"SELECT {READ} FROM replies WHERE key IN ({marks}) AND final", [bytes.fromhex(key) for key in keys]):
            attempt = attempt_of(row)
            if attempt.key not in best or attempt.rank > best[attempt.key].rank:
                best[attempt.key] = attempt
        return {key.hex(): attempt.reply for key, attempt in best.items()}

    def _fetch_rows(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as fault:
                raise JournalError(f"{self._path}: cannot be read: {fault}; load the page again") from fault


def answers_to(sample: Sample, loaded: Loaded, journal: JournalReader) -> list[Answered]:
    """Every Call about a Sample with its Reply, and that read where it has a text.

    Raises Fault where no prompt can be made.
    """
    task: Task = loaded.pipeline.task
    calls = [call for _, call in loaded.calls(sample)]
    stored = journal.read_replies([call.key for call in calls])
    replies = [stored.get(call.key, unasked_reply(call.key)) for call in calls]
    return [
        (call, reply, read_trace(reply, call, task) if reply.outcome.has_text else None) for call, reply in zip(calls, replies, strict=True)
    ]
