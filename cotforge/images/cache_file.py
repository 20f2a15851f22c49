"""A SQLite file that is only a cache: made anew where it is broken or of another version, and never in the place of another program's."""

import os
import sqlite3
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from cotforge.errors import JournalError
from cotforge.regular_files import demand_regular, open_regular

T = TypeVar("T")


class CacheFile:
    """One such file. Safe to use from any thread."""

    def __init__(self, path: Path, script: str, tables: Collection[str], version: int) -> None:
        """`script` makes the `tables` where they are missing; a file of another `version` is made anew. Raises JournalError."""
        self._path, self._script, self._tables, self._version = path, script, frozenset(tables), version
        self._lock, self.closed = threading.Lock(), False
        self._db = self._open_file(fresh=False)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self.closed = True
            self._db.close()

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` makes of the database; a broken one is made anew, and `work` begins again. Raises JournalError on a full disk."""
        with self._lock:
            try:
                return work(self._db)
            except sqlite3.OperationalError as err:
                raise JournalError(f"{self._path}: {err}; make room, or see that the folder can be written") from err
            except sqlite3.DatabaseError:
                if self.closed:
                    raise
                self._db.close()
                self._db = self._open_file(fresh=True)
                return work(self._db)

    def _open_file(self, *, fresh: bool) -> sqlite3.Connection:
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
            if tables and not tables >= self._tables:
                db.close()
                raise JournalError(f"{self._path}: is a database of another program, and is left as it is; move it away")
            if db.execute("PRAGMA user_version").fetchone() != (self._version,) and tables:
                raise sqlite3.DatabaseError("tables of another version")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")  # a cache: after a power cut it is only made anew
            db.executescript(self._script)
            db.execute(f"PRAGMA user_version = {self._version}")
        except sqlite3.OperationalError as err:
            db.close()
            raise JournalError(f"{self._path}: {err}; make room, or see that the folder can be written") from err
        except sqlite3.DatabaseError:
            db.close()
            if fresh:
                raise
            return self._open_file(fresh=True)
        return db
