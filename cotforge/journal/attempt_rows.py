"""A row of `replies`: an Attempt as SQLite keeps it, and whether the disk still holds what was written."""

import zlib
from typing import Any

from cotforge.redaction import redact_text
from cotforge.replies.attempt import Attempt, damaged_attempt, outcome_of_row
from cotforge.replies.finish_reasons import Finish, read_finish

COLUMNS = (
    "id, key, status, error, detail, passing, final, finish_reason, input_tokens, output_tokens, cost_usd, seconds, max_tokens, body, url, "
    "checksum, probability"
)
"""Of `replies`, in the order of `row_of` and of the table."""
READ = COLUMNS.replace(" body", " CAST(body AS BLOB)")
"""To be read so: the checksum is of bytes, and turning a text back into them takes longer than the checksum."""
BODY, _URL, _CHECKSUM, _PROBABILITY = 13, 14, 15, 16

Row = tuple[Any, ...]


def row_of(attempt: Attempt) -> Row:
    """The row that an Attempt becomes, in the order of COLUMNS and just as SQLite will give it back, with its checksum."""
    outcome = attempt.outcome
    row = (
        attempt.number, attempt.key, attempt.status, outcome.error, outcome.detail, int(outcome.passing), int(attempt.final),
        str(attempt.finish_reason), attempt.input_tokens, attempt.output_tokens,  # a member of an enum is another text to the checksum
        float(attempt.cost_usd) + 0.0, float(attempt.seconds) + 0.0,  # SQLite has no -0.0
        attempt.max_tokens, attempt.body, redact_text(attempt.url),
    )  # fmt: skip
    probability = None if attempt.probability is None else float(attempt.probability) + 0.0
    return (*row, _row_checksum(row, attempt.body.encode("utf-8", "surrogatepass"), probability), probability)


def _row_checksum(row: Row, body: bytes, probability: float | None) -> int:
    """CRC-32 over all columns of a row; 3 us for a body of 4 kB. Rows from before there were probabilities have none."""
    told = (row[:BODY], row[_URL]) if probability is None else (row[:BODY], row[_URL], probability)
    return zlib.crc32(body, zlib.crc32(repr(told).encode()))


def is_kept(row: Row, body: bytes) -> bool:
    """Whether a row has a checksum, and is as it was written."""
    return row[_CHECKSUM] is not None and is_sound(row, body)


def is_sound(row: Row, body: bytes) -> bool:
    """Whether a row is as it was written; rows from before there were checksums are believed."""
    return row[_CHECKSUM] is None or bool(row[_CHECKSUM] == _row_checksum(row, body, row[_PROBABILITY]))


def attempt_of(row: Row) -> Attempt:
    """The Attempt of a row in the order of READ; a failure `damaged` where it is not sound."""
    body = row[BODY]
    try:
        if isinstance(body, bytes) and is_sound(row, body):
            return _attempt_of_row(row, body.decode())
    except UnicodeDecodeError:  # in a row that has no checksum
        pass
    return damaged_attempt(row[0], row[1])


def _attempt_of_row(row: Row, body: str) -> Attempt:
    number, key, status, error, detail, passing, final, reason, tokens_in, tokens_out, cost, seconds, limit = row[:BODY]
    error, detail = error and redact_text(error), redact_text(detail or "")  # earlier versions knew one spelling of a key
    outcome = outcome_of_row(status, error, detail, passing=bool(passing), finish_reason=reason or "", body=body)
    if reason not in ("stop", "", None):  # earlier versions kept the server's own word
        known = read_finish(reason)
        reason = redact_text(reason) if known is Finish.UNKNOWN else known.value
    return Attempt(
        number, key, status, outcome, bool(final), reason or "", tokens_in, tokens_out, cost, seconds, limit, body, row[_URL],
        row[_PROBABILITY],
    )  # fmt: skip
