"""Photos that stand under two labels: which of the two is right the data does not say, so both are told."""

import sqlite3
from dataclasses import dataclass, field
from hashlib import blake2b

from cotforge.records import Sample

NAMED = 3
"""Clashes that are told with both places."""
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Clash:
    """One photo, with its question, under two labels."""

    where: str
    """File and line of the later row."""
    label: str
    before: str
    """File and line of the earlier row."""
    label_before: str

    def __str__(self) -> str:
        return f"{self.where[-_SHOWN:]} ({self.label[:_SHOWN]!r}) and {self.before[-_SHOWN:]} ({self.label_before[:_SHOWN]!r})"


@dataclass(slots=True)
class Clashes:
    """The clashes among the rows that were looked at so far. What they are found by lies in one temporary file."""

    count: int = 0
    first: list[Clash] = field(default_factory=list)
    _db: sqlite3.Connection | None = None

    def of(self, sample: Sample) -> Clash | None:
        """The clash with the first earlier row of the same photo, question and options, counted; None where there is none."""
        if sample.label is None:
            return None
        if self._db is None:
            self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": private, on disk past 2 MB
            self._db.execute("CREATE TABLE photos (photo BLOB PRIMARY KEY, label TEXT, place TEXT) WITHOUT ROWID")
            self._db.execute("BEGIN")  # never committed: nobody else reads it
        shown = "\0".join((*(picture.digest for picture in sample.pictures), sample.question, *sample.options))
        photo = blake2b(shown.encode(errors="surrogatepass"), digest_size=16).digest()
        row = (photo, _value_text(sample.label), _value_text(sample.where))
        if self._db.execute("INSERT OR IGNORE INTO photos VALUES (?, ?, ?)", row).rowcount:
            return None
        label, place = self._db.execute("SELECT label, place FROM photos WHERE photo = ?", (photo,)).fetchone()
        if label == row[1]:
            return None
        clash = Clash(row[2], row[1], place, label)
        self.count += 1
        if len(self.first) < NAMED:
            self.first.append(clash)
        return clash

    def note(self) -> str:
        """The line for the user; empty where there is nothing to tell."""
        if not self.count:
            return ""
        photos = "1 photo stands" if self.count == 1 else f"{self.count:,} photos stand"
        return (
            f"{photos} under two labels (label_clash): {'; '.join(map(str, self.first))}{'; ...' if self.count > len(self.first) else ''}"
        )

    def close(self) -> None:
        """Deletes the file."""
        if self._db is not None:
            self._db.close()
            self._db = None


def _value_text(value: str) -> str:
    return value.encode(errors="replace").decode()
