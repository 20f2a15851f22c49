"""MinHash: texts that share most of their word sequences, found without comparing each with each.

Source: Broder 1997, "On the resemblance and containment of documents"; bands as in Leskovec, Rajaraman and Ullman, "Mining of Massive
Datasets", section 3.4.
"""

import sqlite3
import weakref
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from cotforge.dedup.words import hash_sequences, hash_words

Signature = npt.NDArray[np.uint16]

LENGTH = 3
"""Words of a sequence: with five, a text of which every tenth word was changed would share a third of them."""
BANDS = 16
"""Parts of a signature; two texts are compared where one of these is equal."""
VALUES = 128
"""Of a signature. The estimate of a similarity of 0.8 has a standard deviation of 0.035."""
COMPARED = 32
"""Earlier texts that one is compared with at most, those with most parts in common."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """The earlier text that a text repeats."""

    id: str
    """Of its sample."""
    similarity: float
    """Estimated Jaccard similarity, from 0 to 1."""


def _rows_of_band(least: float) -> int:
    """Values of a band: the most with which 98 of 100 pairs of the least similarity are compared."""
    return next((rows for rows in range(VALUES // BANDS, 0, -1) if 1 - (1 - least**rows) ** BANDS >= 0.98), 1)


class EarlierTexts:
    """The texts met so far, by label, in one temporary file: memory stays flat. Deleted with the object."""

    def __init__(self, least: float) -> None:
        """`least`: Jaccard similarity from which a text repeats an earlier one, in (0, 1]."""
        self._least, self._rows = least, _rows_of_band(least)
        draw = np.random.default_rng(20_241)
        self._factors = draw.integers(0, 2**63, VALUES, dtype=np.uint64)[:, None] * np.uint64(2) + np.uint64(1)
        self._offsets = draw.integers(0, 2**63, VALUES, dtype=np.uint64)[:, None]
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": private, on disk past its cache
        self._db.execute("PRAGMA cache_size = -64000")
        self._db.execute("CREATE TABLE bands (band INTEGER, number INTEGER, PRIMARY KEY (band, number)) WITHOUT ROWID")
        self._db.execute("CREATE TABLE texts (number INTEGER PRIMARY KEY, id TEXT, call TEXT, signature BLOB)")
        self._db.execute("BEGIN")  # never committed: nobody else reads it
        self._count = 0
        weakref.finalize(self, self._db.close)

    def find(self, call: str, label: str, text: str) -> tuple[Repeated | None, Signature | None]:
        """(the earlier text that this one repeats most, its signature to `keep`); None for a text of less than three words.

        The text of a Call that was kept before is no repetition: one reply is about several samples then.
        """
        signature = self.signature(text)
        if signature is None:
            return None, None
        bands = self._bands(label, signature)
        marks = ",".join("?" * len(bands))
        near = self._db.execute(
            f"SELECT texts.id, texts.call, texts.signature FROM (SELECT number FROM bands WHERE band IN ({marks}) GROUP BY number "
            f"ORDER BY count(*) DESC, number LIMIT {COMPARED}) JOIN texts USING (number)",
            bands,
        ).fetchall()
        if any(theirs == call for _, theirs, _ in near):
            return None, signature
        best = max(((float((np.frombuffer(other, np.uint16) == signature).mean()), id) for id, _, other in near), default=(0.0, ""))
        return (Repeated(best[1], best[0]) if best[0] >= self._least else None), signature

    def keep(self, id: str, call: str, label: str, signature: Signature) -> None:
        """Later texts are compared with this one, of a sample's `id`."""
        self._count += 1
        self._db.executemany("INSERT OR IGNORE INTO bands VALUES (?, ?)", [(band, self._count) for band in self._bands(label, signature)])
        row = (self._count, id.encode(errors="replace").decode(), call, signature.tobytes())
        self._db.execute("INSERT INTO texts VALUES (?, ?, ?, ?)", row)

    def signature(self, text: str) -> Signature | None:
        """VALUES numbers; the share in which two agree estimates the Jaccard similarity of their texts' word sequences."""
        shingles = hash_sequences(hash_words(text), LENGTH)
        if not len(shingles):
            return None
        with np.errstate(over="ignore"):
            values = (self._factors * shingles + self._offsets) >> np.uint64(32)
        return np.asarray(values.min(axis=1), np.uint16)

    def _bands(self, label: str, signature: Signature) -> list[int]:
        """A number for each band, of this label alone."""
        start = blake2b(label.encode(errors="replace"), digest_size=8)
        found = []
        for place in range(BANDS):
            hashed = start.copy()
            hashed.update(bytes([place]))
            hashed.update(signature[place * self._rows : (place + 1) * self._rows].tobytes())
            found.append(int.from_bytes(hashed.digest(), "little", signed=True))
        return found
