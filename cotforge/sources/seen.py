"""Ids that have been read, kept on disk: memory stays flat whatever the length of the data."""

import sqlite3
from hashlib import blake2b

_SIZE = 16
"""Bytes of a hash: two of 10^9 ids coincide with probability 10^-21."""


class Seen:
    """Which id stood for which content so far. One temporary file, deleted with the object."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": private, on disk past 2 MB
        self._db.execute("CREATE TABLE seen (id BLOB PRIMARY KEY, content BLOB) WITHOUT ROWID")
        self._db.execute("BEGIN")  # never committed: nobody else reads it

    def before(self, id: str, content: str) -> str | None:
        """None for a new id (it is kept); `same` or `other` for one seen with the same or other content."""
        key, value = _text_hash(id), _text_hash(content)
        if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (key, value)).rowcount:
            return None
        (kept,) = self._db.execute("SELECT content FROM seen WHERE id = ?", (key,)).fetchone()
        return "same" if kept == value else "other"

    def close(self) -> None:
        """Deletes the file."""
        self._db.close()


def _text_hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_SIZE).digest()
