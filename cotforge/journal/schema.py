"""The tables of the journal, and the scripts that bring an older file up to them."""

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from cotforge.errors import JournalError
from cotforge.journal.damage import Damage
from cotforge.journal.leaves import PAGE, broken_off
from cotforge.regular_files import demand_regular, open_regular

VERSION = 5
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
    """
    ALTER TABLE replies ADD COLUMN checksum INTEGER;
    """,
    """
    ALTER TABLE asked ADD COLUMN place BLOB;
    ALTER TABLE asked ADD COLUMN question BLOB;
    """,
    """
    ALTER TABLE replies ADD COLUMN probability REAL;
    """,
)

CHECKED = 64 * 2**20
"""Bytes (ours) up to which a journal is looked through as a whole when it is opened: 15 to 35 ms. In a larger one reading finds out."""


TABLES = frozenset({"teachers", "asked", "replies"})
"""Of every journal since the first version."""


def demand_files(path: Path) -> None:
    """Raises OSError where a database, or a file that SQLite keeps beside it, is a link, has a second name, or is no file.

    So does a rollback journal, which is none of ours: it may name any file as its "super-journal", and SQLite then removes that.
    Source: sqlite.org/atomiccommit, section 5.
    """
    for end in ("", "-wal", "-shm"):
        demand_regular(f"{path}{end}", alone=True)
    rollback = Path(f"{path}-journal")
    if demand_regular(rollback) and rollback.stat().st_size and path.exists() and path.stat().st_size:
        raise OSError(errno.EINVAL, f"has a rollback journal beside it, which cotforge does not leave; move {rollback.name!r} away")


def _demand_ours(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Raises JournalError where the database is of another program: it says so, or has tables and not those of a journal."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    (triggers,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()  # they could undo what is kept
    if application or triggers or version < 0 or (not tables >= TABLES if version else tables):
        raise JournalError(f"{path}: is a database of another program, and is left as it is; choose another folder with --out")


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes, and syncs each commit. Raises OSError where the file, or its log, is a link or no file."""
    demand_files(path)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def check_journal(path: Path) -> None:
    """Look at a journal before anything is written to it.

    Raises JournalError where it is of a newer version or of another program, OSError where it is a link or no file, sqlite3.DatabaseError
    (`damage.is_damage`) where it is damaged.
    """
    demand_files(path)
    if not path.exists() or not (size := path.stat().st_size):
        return
    # so that nothing is changed in the file, not even by closing it, and what lies in its log is read too
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise JournalError(
                f"{path}: written by a newer cotforge (journal version {version}); this one reads up to {VERSION}: upgrade cotforge"
            )
        _demand_ours(connection, path, version)
        if broken_off(path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            raise Damage("its log is broken off in the middle")
        if size <= CHECKED:
            connection.execute(f"PRAGMA mmap_size = {CHECKED}")
            if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise Damage(" ".join(found.split()))


def migrate_journal(path: Path) -> None:
    """Make the file, or bring it up to VERSION; its owner alone can read it."""
    os.close(open_regular(path, os.O_CREAT | os.O_RDWR, alone=True))
    with closing(connect_writer(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {script} PRAGMA user_version = {number}; COMMIT;")
