"""What SQLite says when something is wrong, as one line with a remedy; and a note for the next command where a file is damaged."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from cotforge.errors import JournalError

_UNDECODABLE = "Could not decode to UTF-8"  # of Python's sqlite3, which gives it no code
_AGAIN = "then run the same command again: what was committed is kept"


class Damage(sqlite3.DatabaseError):
    """Found by us, where SQLite itself goes on."""


def is_undecodable(fault: BaseException) -> bool:
    """Whether a text in the file is none any more."""
    return isinstance(fault, sqlite3.OperationalError) and str(fault).startswith(_UNDECODABLE)


def is_damage(fault: BaseException) -> bool:
    """Whether the file's bytes are wrong, rather than the disk full, the file locked, or the like."""
    code = getattr(fault, "sqlite_errorcode", None) or 0
    return isinstance(fault, Damage) or is_undecodable(fault) or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def note_path(path: Path) -> Path:
    """The file that says: a run met damage in this journal."""
    return path.with_name(f"{path.name}-damaged")


def journal_error(path: Path, fault: sqlite3.Error) -> JournalError:
    """The fault in one line; where the file is damaged, the next command is left a note to salvage it."""
    if is_damage(fault):
        with contextlib.suppress(OSError):  # without the note, reading meets the same page again
            note_path(path).touch(0o600)
        what = "a text in it is none any more" if is_undecodable(fault) else str(fault)
        return JournalError(f"{path}: {what}; run the same command again: it saves what is whole into a new journal and goes on from there")
    if "full" in str(fault):
        return JournalError(f"{path}: {fault}; make room, {_AGAIN}")
    return JournalError(f"{path}: {fault}; see that nothing else holds it and that its disk can be written, {_AGAIN}")


@contextlib.contextmanager
def explain_errors(path: Path) -> Iterator[None]:
    """Raises as JournalError what SQLite or the file system says."""
    try:
        yield
    except sqlite3.DatabaseError as fault:
        raise journal_error(path, fault) from fault
    except OSError as fault:
        raise JournalError(f"{path}: {fault.strerror}; the run folder must be on a local disk that can be written") from fault
