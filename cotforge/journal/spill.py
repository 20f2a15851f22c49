"""Replies that a journal has no room for: JSON lines on another disk, taken up when the journal is opened again.

The files can be read by their owner alone, have names that cannot be guessed, and nothing of another user, no link and no row that does not
belong to an attempt of the journal is taken up.
"""

import glob
import hashlib
import json
import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cotforge.journal.attempt_rows import BODY, COLUMNS, Row, is_kept

_MARKS = ", ".join("?" * len(COLUMNS.split(", ")))
_TAKE = f"""
    INSERT INTO replies ({COLUMNS}) SELECT {_MARKS}
    WHERE EXISTS (SELECT 1 FROM asked WHERE id = ? AND key = ?) AND NOT EXISTS (SELECT 1 FROM replies WHERE id = ?)
"""
_KEY = 1
_WIDTH, _WAS_WIDTH = len(COLUMNS.split(", ")), 16
"""Of a row: today's, and that from before there were probabilities."""


def spill_folders() -> list[Path]:
    """Folders that may have room where the run folder has none."""
    return [Path(tempfile.gettempdir()), Path("/dev/shm"), Path.home()]


def write_spill(reader: sqlite3.Connection, rows: Iterable[Row], folders: Iterable[Path]) -> Path:
    """Keep the rows of `replies` in a file in the first of the folders that takes it, synced; `reader` tells whose they are.

    Raises OSError where none does.
    """
    lines = [json.dumps([*row[:_KEY], row[_KEY].hex(), *row[_KEY + 1 :]]).encode() + b"\n" for row in rows]
    problem: OSError | None = None
    for place in folders:
        try:
            return _write_spill_file(place, _file_prefix(reader), lines)
        except OSError as fault:
            problem = problem or fault
    raise problem or OSError("no folder has room")


def _write_spill_file(place: Path, name: str, lines: list[bytes]) -> Path:
    number, path = tempfile.mkstemp(prefix=name, suffix=".jsonl", dir=place)
    try:
        with open(number, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(OSError):
            os.unlink(path)
        raise
    return Path(path)


def take_up(reader: sqlite3.Connection, writer: sqlite3.Connection, folders: Iterable[Path]) -> list[tuple[Path, int]]:
    """Bring into the journal what was kept elsewhere, and remove the files: each with the number of its replies that were lacking.

    Raises sqlite3.Error where there is no room for them; then the files stay.
    """
    name = _file_prefix(reader)
    if not name:
        return []
    found = [Path(path) for folder in folders for path in sorted(glob.glob(f"{glob.escape(str(folder))}/{name}*.jsonl"))]
    return [(path, count) for path in found if (count := _take_spill_file(path, writer)) is not None]


def _take_spill_file(path: Path, writer: sqlite3.Connection) -> int | None:
    """How many replies of a file came into the journal; None where it is not a file of ours."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(number, "rb") as file:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid() or found.st_nlink != 1:
            return None
        count = 0
        writer.execute("BEGIN IMMEDIATE")
        try:
            for row in _sound_spilled_rows(file):
                count += writer.execute(_TAKE, (*row, row[0], row[_KEY], row[0])).rowcount
            writer.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                writer.execute("ROLLBACK")
            raise
    with suppress(OSError):
        path.unlink()
    return count


def _sound_spilled_rows(lines: Iterable[bytes]) -> Iterator[Row]:
    """Those that are as they were written."""
    for line in lines:
        with suppress(ValueError, TypeError, IndexError, AttributeError):
            said = json.loads(line)
            row = (*said[:_KEY], bytes.fromhex(said[_KEY]), *said[_KEY + 1 :], *[None] * (len(said) == _WAS_WIDTH))
            if len(row) == _WIDTH and is_kept(row, row[BODY].encode("utf-8", "surrogatepass")):
                yield row


def _file_prefix(reader: sqlite3.Connection) -> str:
    """What the names of a journal's files begin with, wherever its folder is moved; empty where it is empty."""
    first = reader.execute("SELECT key, begun_at FROM asked ORDER BY id LIMIT 1").fetchone()
    return f"cotforge-replies-{hashlib.sha256(repr(first).encode()).hexdigest()[:16]}-" if first else ""
