"""What is known of images from earlier runs: one SQLite file, only a cache, made anew where it is broken."""

from dataclasses import astuple, dataclass
from hashlib import blake2b
from pathlib import Path

from cotforge.images.cache_file import CacheFile

_TABLES = """
CREATE TABLE IF NOT EXISTS places (place BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, content BLOB) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (content BLOB, spec TEXT, digest BLOB, mime TEXT, width INTEGER, height INTEGER, size INTEGER,
    recoded INTEGER, reason TEXT, detail TEXT, PRIMARY KEY (content, spec)) WITHOUT ROWID;
"""
_KNOWN = "digest, mime, width, height, contents.size, recoded, reason, detail, content = digest"
_AT = f"SELECT {_KNOWN} FROM places JOIN contents USING (content) WHERE place = ? AND places.size = ? AND mtime_ns = ? AND spec = ?"
_OF = f"SELECT {_KNOWN} FROM contents WHERE content = ? AND spec = ?"

_VERSION = 1
"""Of the tables; a file of another is made anew."""


@dataclass(frozen=True, slots=True)
class Known:
    """How an image will be sent, or (with a reason) why not."""

    digest: bytes = b""
    """sha256 of the bytes sent."""
    mime: str = ""
    width: int = 0
    height: int = 0
    size: int = 0
    recoded: bool = False
    reason: str = ""
    """A Fault's reason; empty for a sound image."""
    detail: str = ""
    """Why, or a note on how a sound image is shown."""
    whole: bool = False
    """Whether the bytes sent are the very bytes that lie there; else metadata is cut out, or it is recoded."""


class Memory:
    """Two maps on disk: (place, size, mtime) to content, and (content, spec) to Known. Safe to use from any thread."""

    def __init__(self, path: Path, spec: str) -> None:
        """Opens or makes the file; `spec` names the limits and the recipe that results hold for. Raises JournalError."""
        self._spec = spec
        self._file = CacheFile(path, _TABLES, ("places", "contents"), _VERSION)

    def at(self, place: str, stamp: tuple[int, int]) -> Known | None:
        """What lies at a place whose file still has that size and mtime; None where that is not known."""
        row = self._file.do(lambda db: db.execute(_AT, (_short_key(place), *stamp, self._spec)).fetchone())
        return Known(*row) if row else None

    def of(self, content: bytes) -> Known | None:
        """What is known of a content (its sha256), wherever it lay."""
        row = self._file.do(lambda db: db.execute(_OF, (content, self._spec)).fetchone())
        return Known(*row) if row else None

    def learn(self, content: bytes, known: Known) -> None:
        """Keeps what was found out about a content."""
        *found, _whole = astuple(known)
        values = (content, self._spec, *found)
        self._file.do(lambda db: db.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values))

    def place(self, place: str, stamp: tuple[int, int], content: bytes) -> None:
        """Keeps that this content lies at a place."""
        self._file.do(lambda db: db.execute("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", (_short_key(place), *stamp, content)))

    def forget(self, place: str) -> None:
        """Drops what was known of a place; nothing happens once closed."""
        if not self._file.closed:
            self._file.do(lambda db: db.execute("DELETE FROM places WHERE place = ?", (_short_key(place),)))

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def _short_key(place: str) -> bytes:
    return blake2b(place.encode("utf-8", "surrogateescape"), digest_size=16).digest()
