"""What an attempt was about: enough to tell later whether a Call that is not in the journal is about a picture already paid for."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple, Protocol

from cotforge.records import Sample

NOTE = "INSERT OR IGNORE INTO subjects VALUES (?, ?, ?, ?)"
ANSWERED = """
    SELECT teachers.name, teachers.model, subjects.asked, subjects.key FROM subjects
    JOIN replies ON replies.key = subjects.key AND replies.final AND replies.error IS NULL
    JOIN asked ON asked.id = replies.id JOIN teachers ON teachers.id = asked.teacher WHERE subjects.place = ?
"""


class Rows(Protocol):
    """What is asked of a journal here."""

    def rows(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """What a query finds."""


class Answered(NamedTuple):
    """A Call with a text, made earlier about the same pictures."""

    teacher: tuple[str, str]
    """Name and model."""
    key: str
    same_question: bool
    """Whether question and options were the same too."""


def marks(sample: Sample) -> tuple[bytes, bytes]:
    """(where its pictures lie, its question and options), as hashes: neither changes with prompts, sampling or the size of what is sent."""
    return _hash(*(picture.place for picture in sample.pictures)), _hash(sample.question, *sample.options)


def answered(journal: Rows, sample: Sample) -> Iterator[Answered]:
    """Calls about the pictures of a Sample, whatever was asked; those that were made before the journal noted it are not known."""
    place, asked = marks(sample)
    for name, model, other, key in set(journal.rows(ANSWERED, place)):
        assert isinstance(key, bytes)
        yield Answered((str(name), str(model)), key.hex(), other == asked)


def _hash(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
