"""Pictures by their thumbnails, and which of them are near-duplicates: one SQLite file in the run folder's cache.

What is found about a picture stays found: a second build decodes none again. Which pictures are near one another does not depend on the
order in which they come.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cotforge.dedup.bands import layout_bands
from cotforge.dedup.likeness import Viewed, compare
from cotforge.dedup.thumbnail import Thumbnail, halve, read_thumbnail
from cotforge.images.cache_file import CacheFile

FILE = "cache/thumbnails.sqlite"
"""In the run folder."""
_TABLES = """
CREATE TABLE IF NOT EXISTS thumbnails (number INTEGER PRIMARY KEY, digest BLOB UNIQUE, packed BLOB);
CREATE TABLE IF NOT EXISTS bands (band INTEGER, number INTEGER, PRIMARY KEY (band, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pairs (one INTEGER, other INTEGER, similarity REAL, flipped INTEGER, PRIMARY KEY (one, other)) WITHOUT ROWID;
"""
_VERSION = 1
"""Of the tables, of thumbnails, of bands and of how pictures are compared; a file of another is made anew."""
LEAST = 0.3
"""Similarity from which on pairs are kept; what counts as a near-duplicate is decided later."""
COMPARED = 24
"""Pictures that one is compared with at most, those with most of the layout in common."""


@dataclass(frozen=True, slots=True)
class Near:
    """A picture that is like another one."""

    digest: bytes
    similarity: float
    """From LEAST to 1."""
    flipped: bool


class PictureIndex:
    """One such file. Pictures may be looked up from any thread; they are added by one."""

    def __init__(self, run: Path) -> None:
        """Of a run folder. Raises JournalError where the file cannot be had."""
        self._file = CacheFile(run / FILE, _TABLES, ("thumbnails", "bands", "pairs"), _VERSION)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __contains__(self, digest: bytes) -> bool:
        query = "SELECT 1 FROM thumbnails WHERE digest = ?"
        return self._file.do(lambda db: db.execute(query, (digest,)).fetchone()) is not None

    def add(self, digest: bytes, packed: bytes | None) -> None:
        """A picture with its packed thumbnail, compared with those that are like it; None where it has no thumbnail.

        Raises JournalError on a full disk.
        """
        thumbnail = None if packed is None else read_thumbnail(packed)
        self._file.do(_in_transaction(lambda db: _insert_picture(db, digest, packed, thumbnail)))

    def near(self, digest: bytes) -> list[Near]:
        """The pictures that are like this one, the likest first."""
        query = (
            "SELECT others.digest, similarity, flipped FROM thumbnails JOIN pairs ON one = thumbnails.number "
            "JOIN thumbnails AS others ON others.number = other WHERE thumbnails.digest = ? ORDER BY similarity DESC, others.digest"
        )
        rows = self._file.do(lambda db: db.execute(query, (digest,)).fetchall())
        return [Near(other, similarity, bool(flipped)) for other, similarity, flipped in rows]


def _in_transaction(work: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    def whole(db: sqlite3.Connection) -> None:
        db.execute("BEGIN")
        try:
            work(db)
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    return whole


def _insert_picture(db: sqlite3.Connection, digest: bytes, packed: bytes | None, thumbnail: Thumbnail | None) -> None:
    if db.execute("SELECT 1 FROM thumbnails WHERE digest = ?", (digest,)).fetchone():
        return
    number = db.execute("INSERT INTO thumbnails (digest, packed) VALUES (?, ?)", (digest, packed)).lastrowid
    if thumbnail is None:
        return
    own, mirrored = (found.tolist() for found in layout_bands(halve(thumbnail.luma, 2)))
    candidates = _candidates(db, [*own, *mirrored])
    viewed = Viewed.of(thumbnail) if candidates else None
    mirror = viewed and viewed.mirrored()
    for other, theirs in candidates:
        assert viewed is not None
        likeness = compare(Viewed.of(read_thumbnail(theirs)), viewed, mirror)
        if likeness.similarity >= LEAST:
            pairs = [(number, other), (other, number)]
            db.executemany("INSERT INTO pairs VALUES (?, ?, ?, ?)", [(*pair, likeness.similarity, likeness.flipped) for pair in pairs])
    db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, number) for band in own])


def _candidates(db: sqlite3.Connection, bands: list[int]) -> list[tuple[int, bytes]]:
    """(number, packed thumbnail) of the pictures with most of these bands, those of equally many by their digest."""
    marks = ",".join("?" * len(bands))
    query = (
        f"SELECT number, packed FROM (SELECT number, count(*) AS times FROM bands WHERE band IN ({marks}) GROUP BY number) "
        f"JOIN thumbnails USING (number) ORDER BY times DESC, digest LIMIT {COMPARED}"
    )
    return db.execute(query, bands).fetchall()
