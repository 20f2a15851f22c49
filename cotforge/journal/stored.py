"""A row of `replies`: how an attempt ended, and whether the disk still holds what was written."""

import zlib
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Stored:
    """A row of `replies`: how an attempt ended."""

    attempt: int
    key: bytes
    """sha256, 32 bytes."""
    status: int | None
    """HTTP status; None where no answer came."""
    error: str | None
    detail: str
    passing: bool  # SQLite's 0 and 1
    """Whether the error may pass: a rerun asks again."""
    final: bool
    """Whether the Call ended with it: a reply, or given up."""
    finish_reason: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    seconds: float
    max_tokens: int | None
    body: str
    """As received, whatever the reader makes of it; the first 2 kB of an error's."""
    url: str = ""
    """Who answered."""

    def settles(self, max_tokens: int | None) -> bool:
        """Whether the Call need not be asked (again) under today's `max_tokens`."""
        if self.error is not None:
            return not self.passing and self.max_tokens == max_tokens
        if self.finish_reason != "length" or self.max_tokens is None:
            return True
        return max_tokens is not None and self.max_tokens >= max_tokens

    @property
    def unknown(self) -> bool:
        """Whether a server may have done, and charged, the work of an attempt that brought no reply: nobody can tell."""
        return self.error is not None and (self.status in CHARGED or self.error == "timeout")

    @property
    def rank(self) -> tuple[int, int]:
        """Of several to one Call the highest counts: a whole reply, one cut off, an error; among equals the latest."""
        if self.error is not None:
            return 0, self.attempt
        return 1 if self.finish_reason == "length" else 2, self.attempt


CHARGED = (200, 408, 504, 524)
"""Statuses of a failed attempt after which the work may have been done all the same: a body nobody can read, and gateways' timeouts."""
NOT_SENT = "not_sent"
"""The error of an attempt that was begun and then not made: the run had been stopped."""
DAMAGED = "damaged"
"""The error of a reply that the disk has spoilt: it may pass, for the Call is asked again."""

COLUMNS = (
    "id, key, status, error, detail, passing, final, finish_reason, input_tokens, output_tokens, cost_usd, seconds, max_tokens, body, url, "
    "checksum"
)
"""Of `replies`, in the order of the fields above."""
READ = COLUMNS.replace(" body", " CAST(body AS BLOB)")
"""To be read so: the checksum is of bytes, and turning a text back into them takes longer than the checksum."""
_BODY, _URL, _CHECKSUM = 13, 14, 15

Row = tuple[Any, ...]


def row_of(stored: Stored) -> Row:
    """The row that a Stored becomes, in the order of COLUMNS and just as SQLite will give it back, with its checksum."""
    row = (
        stored.attempt, stored.key, stored.status, stored.error, stored.detail, int(stored.passing), int(stored.final),
        stored.finish_reason, stored.input_tokens, stored.output_tokens,
        float(stored.cost_usd) + 0.0, float(stored.seconds) + 0.0,  # SQLite has no -0.0
        stored.max_tokens, stored.body, stored.url,
    )  # fmt: skip
    return (*row, _checksum(row, stored.body.encode("utf-8", "surrogatepass")))


def _checksum(row: Row, body: bytes) -> int:
    """CRC-32 over all columns of a row; 3 us for a body of 4 kB."""
    return zlib.crc32(body, zlib.crc32(repr((row[:_BODY], row[_URL])).encode()))


def sound(row: Row, body: bytes) -> bool:
    """Whether a row is as it was written; rows from before there were checksums are believed."""
    return row[_CHECKSUM] is None or bool(row[_CHECKSUM] == _checksum(row, body))


def stored_of(row: Row) -> Stored:
    """The Stored of a row in the order of READ; a failure `damaged` where it is not sound."""
    body = row[_BODY]
    try:
        if isinstance(body, bytes) and sound(row, body):
            row = (*row[:_BODY], body.decode(), row[_URL])
            return Stored(*row)
    except UnicodeDecodeError:  # in a row that has no checksum
        pass
    return damaged(row[0], row[1])


def unsent(attempt: int, key: str) -> Stored:
    """The end of an attempt that nobody was asked in."""
    return _nothing(attempt, bytes.fromhex(key), NOT_SENT, final=False)


def damaged(attempt: int, key: bytes) -> Stored:
    """What is left of a reply that the disk has spoilt."""
    return _nothing(attempt, key, DAMAGED, detail="its copy in the journal is not as it was written", final=True)


def _nothing(attempt: int, key: bytes, error: str, *, final: bool, detail: str = "") -> Stored:
    return Stored(attempt, key, None, error, detail, True, final, "", 0, 0, 0.0, 0.0, None, "")
