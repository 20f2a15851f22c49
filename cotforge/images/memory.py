"""What is known of images from earlier runs: one SQLite file, only a cache, made anew where it is broken."""

import os
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import astuple, dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TypeVar

from cotforge.errors import JournalError
from cotforge.regular_files import demand_regular, open_regular

_TABLES = """
CREATE TABLE IF NOT EXISTS places (place BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, content BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (content BLOB, spec TEXT, digest BLOB, mime TEXT, width INTEGER, height INTEGER, size INTEGER,
    recoded INTEGER, reason TEXT, detail TEXT, PRIMARY KEY (content, spec)) WITHOUT ROWID;
"""
_KNOWN = "digest, mime, width, height, contents.size, recoded, reason, detail, content = digest"
_AT = f"SELECT {_KNOWN} FROM places JOIN contents USING (content) WHERE place = ? AND places.size = ? AND mtime_ns = ? AND spec = ?"
_OF = f"SELECT {_KNOWN} FROM contents WHERE content = ? AND spec = ?"

_VERSION = 1
"""Of the tables; a file of another is made anew."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """How an image will be sent, or (with a reason) why not."""

    digest: bytes = b""
    """sha256 of the bytes sent."""
    mime: str = ""
    width: int = 0
    height: int = 0
    size: int = 0
    recoded: bool = False
    reason: str = ""
    """A Fault's reason; empty for a sound image."""
    detail: str = ""
    """Why, or a note on how a sound image is shown."""
    whole: bool = False
    """Whether the bytes sent are the very bytes that lie there; else metadata is cut out, or it is recoded."""


class Memory:
    """Two maps on disk: (place, size, mtime) to content, and (content, spec) to Known. Safe to use from any thread."""

    def __init__(self, path: Path, spec: str) -> None:
        """Opens or makes the file; `spec` names the limits and the recipe that results hold for. Raises JournalError."""
        self._path, self._spec, self._lock, self._closed = path, spec, threading.Lock(), False
        self._db = self._open(fresh=False)

    def at(self, place: str, stamp: tuple[int, int]) -> Known | None:
        """What lies at a place whose file still has that size and mtime; None where that is not known."""
        row = self._do(lambda db: db.execute(_AT, (_short(place), *stamp, self._spec)).fetchone())
        return Known(*row) if row else None

    def of(self, content: bytes) -> Known | None:
        """What is known of a content (its sha256), wherever it lay."""
        row = self._do(lambda db: db.execute(_OF, (content, self._spec)).fetchone())
        return Known(*row) if row else None

    def learn(self, content: bytes, known: Known) -> None:
        """Keeps what was found out about a content."""
        *found, _whole = astuple(known)
        values = (content, self._spec, *found)
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values))

    def place(self, place: str, stamp: tuple[int, int], content: bytes) -> None:
        """Keeps that this content lies at a place."""
        self._do(lambda db: db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", (_short(place), *stamp, content)))

    def forget(self, place: str) -> None:
        """Drops what was known of a place; nothing happens once closed."""
        if not self._closed:
            self._do(lambda db: db.execute("DELETE FROM places WHERE place = ?", (_short(place),)))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._closed = True
            self._db.close()

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                return work(self._db)
            except sqlite3.OperationalError as err:
                raise JournalError(f"{self._path}: {err}; make room, or see that the folder can be written") from err
            except sqlite3.DatabaseError:
                if self._closed:
                    raise
                self._db.close()
                self._db = self._open(fresh=True)
                return work(self._db)

    def _open(self, *, fresh: bool) -> sqlite3.Connection:
        if fresh:
            for end in ("", "-wal", "-shm"):
                Path(f"{self._path}{end}").unlink(missing_ok=True)
        try:
            os.close(open_regular(self._path, os.O_CREAT | os.O_RDWR, alone=True))  # SQLite gives its own files the same mode
            for end in ("-wal", "-shm"):
                demand_regular(f"{self._path}{end}", alone=True)
            Path(f"{self._path}-journal").unlink(missing_ok=True)  # it may name any file, which SQLite then removes (`schema.demand_files`)
        except OSError as err:
            raise JournalError(f"{self._path}: {err.strerror}; the run folder has to be one that can be written") from err
        db = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and not tables >= {"places", "contents"}:
                db.close()
                raise JournalError(f"{self._path}: is a database of another program, and is left as it is; move it away")
            if db.execute("PRAGMA user_version").fetchone() != (_VERSION,) and tables:
                raise sqlite3.DatabaseError("tables of another version")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # a cache: after a power cut it is only made anew
            db.executescript(_TABLES)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        except sqlite3.OperationalError as err:
            db.close()
            raise JournalError(f"{self._path}: {err}; make room, or see that the folder can be written") from err
        except sqlite3.DatabaseError:
            db.close()
            if fresh:
                raise
            return self._open(fresh=True)
        return db


def _short(place: str) -> bytes:
    return blake2b(place.encode("utf-8", "surrogateescape"), digest_size=16).digest()
