"""What was found to be a duplicate: the rows of `duplicates.csv`, kept in a temporary file while samples pass by."""

import sqlite3
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Literal, NamedTuple

DuplicateKind = Literal["exact", "near", "contaminated", "reasoning"]
"""The same bytes; a near-duplicate picture; a picture or text that a benchmark has; a repeated reasoning."""


class Duplicate(NamedTuple):
    """A row of `duplicates.csv`."""

    id: str
    """Of the sample that is a duplicate."""
    kept: str
    """The id of the sample that it repeats, or where it stands in a benchmark."""
    kind: DuplicateKind
    what: str
    """`picture`, `question` or `reasoning`."""
    similarity: float | None
    """From 0 to 1: of the pictures, or of the word sequences of the texts; None where 13 words in a row are shared."""
    fate: str
    """`dropped`, or `asked_once`."""
    label: str
    kept_label: str
    where: str
    """File and line of the duplicate."""


class FoundDuplicates:
    """Duplicates in the order in which they were found, counted by kind and fate."""

    def __init__(self, unit: str) -> None:
        """`unit`: what is counted, for its lines."""
        self._unit = unit
        self.counts = Counter[tuple[str, str]]()
        """By kind and fate."""
        self.relabelled = 0
        """Duplicates whose label is not that of the sample that they repeat."""
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": private, on disk past 2 MB
        columns = ", ".join(Duplicate._fields[:-1])
        self._db.execute(f"CREATE TABLE found (number INTEGER PRIMARY KEY, {columns}, place)")  # `where` is a word of SQL
        self._db.execute("BEGIN")  # never committed: nobody else reads it
        weakref.finalize(self, self._db.close)

    def add(self, found: Duplicate) -> None:
        """One more."""
        self.counts[found.kind, found.fate] += 1
        self.relabelled += bool(found.label and found.kept_label) and found.label != found.kept_label
        row = [value.encode(errors="replace").decode() if isinstance(value, str) else value for value in found]
        self._db.execute("INSERT INTO found VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)

    def __iter__(self) -> Iterator[Duplicate]:
        for row in self._db.execute("SELECT * FROM found ORDER BY number"):
            yield Duplicate(*row[1:])

    def notes(self) -> list[str]:
        """Lines for the user; none where nothing was found."""
        told = {
            ("exact", "dropped"): "dropped: their picture and question are those of an earlier sample",
            ("exact", "asked_once"): "asked once: their picture and question are those of an earlier sample",
            ("near", "dropped"): "dropped: their picture is nearly that of an earlier sample",
            ("near", "asked_once"): "asked once: teachers see the nearly equal picture of an earlier sample",
            ("contaminated", "dropped"): "dropped: dedup.against has their picture or their words",
            ("reasoning", "dropped"): "dropped: their reasoning repeats an earlier lesson",
        }
        counts = [(count, told[key]) for key, count in sorted(self.counts.items()) if key in told]
        lines = [f"dedup: {count:,} {self._unit}{'s' * (count != 1)} {words}" for count, words in counts]
        if self.relabelled:
            lines.append(f"dedup: {self.relabelled:,} of the duplicates have another label than the sample they repeat")
        return lines
