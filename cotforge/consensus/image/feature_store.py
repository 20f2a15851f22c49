"""Features of pictures from earlier runs: one SQLite file in the run folder's cache, half-precision numbers by the picture's digest."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from cotforge.consensus.image.projection import Vectors
from cotforge.images.cache_file import CacheFile

_TABLE = "CREATE TABLE IF NOT EXISTS features (recipe TEXT, digest BLOB, vector BLOB, PRIMARY KEY (recipe, digest)) WITHOUT ROWID;"
_VERSION = 1
BATCH = 1_024
"""Vectors read at a time."""
_LARGEST = float(np.finfo(np.float16).max)


class FeatureStore:
    """Vectors by digest, of one recipe."""

    def __init__(self, path: Path, recipe: str) -> None:
        """`recipe` names all that the vectors follow from beside the picture. Raises JournalError where the file cannot be had."""
        self._recipe, self._file = recipe, CacheFile(path, _TABLE, ("features",), _VERSION)

    def __contains__(self, digest: bytes) -> bool:
        query = "SELECT 1 FROM features WHERE recipe = ? AND digest = ?"
        return self._file.do(lambda db: db.execute(query, (self._recipe, digest)).fetchone()) is not None

    def keep(self, digests: Sequence[bytes], vectors_BD: Vectors) -> None:
        """Keeps a vector for each digest, two bytes a number."""
        halves = np.clip(vectors_BD, -_LARGEST, _LARGEST).astype("<f2")
        rows = [(self._recipe, digest, half.tobytes()) for digest, half in zip(digests, halves, strict=True)]

        def work(db: sqlite3.Connection) -> None:
            db.execute("BEGIN")
            try:
                db.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", rows)
            finally:
                db.execute("COMMIT")

        self._file.do(work)

    def read(self, digests: Iterable[bytes]) -> Iterator[tuple[list[int], Vectors]]:
        """(places among the digests, their vectors) in batches; without those that are not kept, or have another length than most."""
        rest, place, length = iter(digests), 0, 0
        while batch := list(islice(rest, BATCH)):
            found = [(number, vector) for number, digest in enumerate(batch, place) if (vector := self._stored_vector(digest)) is not None]
            place += len(batch)
            length = length or next((len(vector) for _, vector in found), 0)
            found = [(number, vector) for number, vector in found if len(vector) == length and np.isfinite(vector).all()]
            if found:
                yield [number for number, _ in found], np.array([vector for _, vector in found], np.float32)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _stored_vector(self, digest: bytes) -> Vectors | None:
        query = "SELECT vector FROM features WHERE recipe = ? AND digest = ?"
        row = self._file.do(lambda db: db.execute(query, (self._recipe, digest)).fetchone())
        if row is None or not isinstance(row[0], bytes) or len(row[0]) % 2 or not row[0]:
            return None
        return np.frombuffer(row[0], "<f2").astype(np.float32)
