"""Salvage: what is whole of a damaged journal, in a new one; the damaged one is kept beside it, as it was.

    journal.sqlite              the new one, in place by one rename once it is complete and on the disk
    journal.damaged-1.sqlite    the damaged one, with its log (-wal)

An attempt of which only the number is left stands in the new journal as one of unknown outcome, so that a budget does not forget it.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from cotforge.errors import JournalError
from cotforge.journal.attempt_rows import BODY, is_sound
from cotforge.journal.damage import note_path
from cotforge.journal.leaves import Values, leaf_rows
from cotforge.journal.schema import connect_writer, migrate_journal

TABLES = ("teachers", "asked", "replies", "batches", "members", "steps")
"""All of them; the first column of each is its rowid."""
TYPES: dict[str, type] = {"INTEGER": int, "REAL": float, "TEXT": str, "BLOB": bytes}
AT_ONCE = 4096
"""Rows in one commit (ours)."""
LEAST = 40
"""Bytes that an attempt takes at least: a number beyond what the file has room for is none."""
LOCKS = (510, 0x40000002)
"""Length and start of the bytes of a database that every process locks as long as it has it open (sqlite.org/fileformat2)."""

_MEND = """
    DELETE FROM members WHERE batch NOT IN (SELECT id FROM batches);
    DELETE FROM steps WHERE batch NOT IN (SELECT id FROM batches);
    WITH RECURSIVE numbers (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM numbers WHERE id < {latest})
        INSERT OR IGNORE INTO asked (id, key, teacher, begun_at)
            SELECT id, coalesce((SELECT key FROM replies WHERE replies.id = numbers.id), x''), 0, 0 FROM numbers;
    INSERT INTO teachers SELECT DISTINCT teacher, '(lost ' || teacher || ')', '' FROM asked WHERE teacher NOT IN (SELECT id FROM teachers);
"""
"""Attempts and teachers that others stand on. Calls whose batch is lost are free to be asked again."""


def salvage_journal(path: Path) -> str:
    """Put what is whole of a damaged journal into a new one in its place; a line that tells what was saved and what was not.

    Raises JournalError, and leaves all as it is, where another process has the file open, or where nothing of a journal can be read in it.
    """
    _demand_alone(path)
    fresh = _path_beside(path, "salvage")
    try:
        _remove_files(fresh)
        migrate_journal(fresh)
        with closing(connect_writer(fresh)) as target:
            words = _mend_references(target, _copy_sound(path, target))
        if not words:
            raise JournalError(f"{path}: no journal can be read in this file; it is left as it is: move it away, or choose another --out")
        fresh.replace(_path_beside(path, "salvaged"))
    finally:
        _remove_files(fresh)
    return f"{path}: was damaged; {words}; the damaged file is kept as {finish_salvage(path)}"


def _copy_sound(path: Path, target: sqlite3.Connection) -> set[int]:
    """Copy what is whole; the numbers of the replies that there were, as far as the indexes still tell."""
    shapes: dict[str, Values] = {table: tuple(target.execute(f"PRAGMA table_info({table})")) for table in TABLES}
    inserts = {table: f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(shape))})" for table, shape in shapes.items()}
    replied: set[int] = set()
    target.execute("BEGIN")
    for number, (table, row) in enumerate(_sound_rows(path, shapes), 1):
        if table:
            target.execute(inserts[table], row)
        else:
            replied.add(row[-1])
        if number % AT_ONCE == 0:
            target.execute("COMMIT")
            target.execute("BEGIN")
    target.execute("COMMIT")
    return replied


def _sound_rows(path: Path, shapes: dict[str, Values]) -> Iterator[tuple[str, Values]]:
    """(table, row) of whatever is sound, and ("", (key, number)) of what the indexes by key hold."""
    log = _log_path(path, "-wal")
    most = (path.stat().st_size + (log.stat().st_size if log.exists() else 0)) // LEAST
    for rowid, values in leaf_rows(path, log):
        if rowid is None:
            if [*map(type, values)] == [bytes, int] and 0 < values[1] <= most:
                yield "", values
        elif 0 < rowid <= most and values[:1] == (None,):
            for table, shape in shapes.items():
                row = _fit_row((rowid, *values[1:]), shape)
                if row and (table != "replies" or _is_sound_row(row)):
                    yield table, row


def _fit_row(row: Values, shape: Values) -> Values:
    """The row as one of a table, () where it is none of it; columns that were added later are None."""
    if len(row) > len(shape):
        return ()
    row = (*row, *[None] * (len(shape) - len(row)))
    kinds = [TYPES[kind] for _, _, kind, *_ in shape]
    fitted = tuple(float(value) if kind is float and type(value) is int else value for value, kind in zip(row, kinds, strict=True))
    fits = all(
        isinstance(value, kind) or (value is None and not column[3]) for value, kind, column in zip(fitted, kinds, shape, strict=True)
    )
    return fitted if fits else ()


def _is_sound_row(row: Values) -> bool:
    body = row[BODY]
    return body is not None and len(row[1]) == 32 and is_sound(row, body.encode())


def _mend_references(target: sqlite3.Connection, replied: set[int]) -> str:
    """Put in what others stand on; what was saved and what was not in words, or "" where there was nothing."""
    ((asked, replies),) = target.execute("SELECT (SELECT count(*) FROM asked), (SELECT count(*) FROM replies)")
    replied -= {attempt for (attempt,) in target.execute("SELECT attempt FROM members")}  # they have an index of the same form
    replied |= {attempt for (attempt,) in target.execute("SELECT id FROM replies")}
    ((last,),) = target.execute("SELECT max(id) FROM (SELECT id FROM asked UNION ALL SELECT attempt FROM members)")
    latest = max(last or 0, max(replied, default=0))
    if not latest:
        return ""
    target.executescript(f"BEGIN; {_MEND.format(latest=latest)} COMMIT;")
    lost, without = latest - asked, len(replied) - replies
    saved = f"{asked:,} attempts and {replies:,} replies were saved"
    return f"{saved}, at least {lost:,} and {without:,} cannot be read" if lost or without else saved


def finish_salvage(path: Path) -> str:
    """Have a complete salvage, where there is one, take the journal's place; the name under which the damaged file is kept."""
    whole = _path_beside(path, "salvaged")
    if not whole.exists():
        return ""
    kept = next(name for number in count(1) if not (name := _path_beside(path, f"damaged-{number}")).exists())
    note_path(path).unlink(missing_ok=True)
    _log_path(path, "-shm").unlink(missing_ok=True)
    if (log := _log_path(path, "-wal")).exists():  # first: left behind, it would be taken for the new file's
        log.replace(_log_path(kept, "-wal")) if log.stat().st_size else log.unlink()
    if path.exists():
        path.replace(kept)
    whole.replace(path)
    return kept.name


def _demand_alone(path: Path) -> None:
    """Raise JournalError where another process has the file open."""
    with path.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, *LOCKS)
        except OSError as fault:
            raise JournalError(f"{path}: is damaged, and open in another process; end that, then run the same command again") from fault


def _path_beside(path: Path, word: str) -> Path:
    return path.with_name(f"{path.stem}.{word}{path.suffix}")


def _log_path(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)


def _remove_files(path: Path) -> None:
    for end in ("", "-wal", "-shm"):
        _log_path(path, end).unlink(missing_ok=True)
