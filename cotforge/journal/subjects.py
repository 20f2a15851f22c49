"""What an attempt was about: enough to tell later whether a Call that is not in the journal is about a picture already paid for."""

import sqlite3
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from cotforge.records import Sample

_KNOWN = """
    CREATE TEMP TABLE known AS
        SELECT DISTINCT asked.place, asked.question, asked.key, teachers.name, teachers.model FROM asked
        JOIN replies ON replies.id = asked.id JOIN teachers ON teachers.id = asked.teacher
        WHERE asked.place IS NOT NULL AND replies.final AND replies.error IS NULL;
    CREATE INDEX temp.known_by_place ON known (place);
"""


class AnsweredCall(NamedTuple):
    """A Call with a text, made earlier about the same pictures."""

    teacher: tuple[str, str]
    """Name and model."""
    key: str
    same_question: bool
    """Whether question and options were the same too."""


class Subjects:
    """The Calls of a journal by their pictures, as they are when it is first asked; in a temporary table, so memory stays flat."""

    def __init__(self, journal: Path) -> None:
        """`journal`: the file."""
        self._path = journal
        self._connection: sqlite3.Connection | None = None

    def answered(self, sample: Sample) -> Iterator[AnsweredCall]:
        """Calls about the pictures of a Sample, whatever was asked; those from before the journal noted pictures are not known."""
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection.executescript(_KNOWN)
        place, question = subject_marks(sample)
        for other, key, name, model in self._connection.execute("SELECT question, key, name, model FROM known WHERE place = ?", (place,)):
            yield AnsweredCall((name, model), key.hex(), other == question)

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def subject_marks(sample: Sample) -> tuple[bytes, bytes]:
    """(where its pictures lie, its question and options), as hashes: neither changes with prompts, sampling or the size of what is sent."""
    return _short_hash(*(picture.place for picture in sample.pictures)), _short_hash(sample.question, *sample.options)


def _short_hash(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
