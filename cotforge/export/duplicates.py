"""`duplicates.csv`: every sample and text that was found to be a duplicate, with what it repeats."""

from collections.abc import Iterable
from pathlib import Path

from cotforge.dedup.found import Duplicate
from cotforge.export.files import Staged
from cotforge.gold.csv_cells import csv_text

FILE = "duplicates.csv"
"""In the run folder."""


def write_duplicates(run: Path, found: Iterable[Duplicate]) -> int:
    """The file, row by row, put in its place by renaming; returns how many rows it has. Raises OSError."""
    count = 0
    with Staged(run) as staged:
        staged.file.write(csv_text([Duplicate._fields]).encode())
        for row in found:
            cells = ["" if value is None else f"{value:.3f}" if isinstance(value, float) else value for value in row]
            staged.file.write(csv_text([cells]).encode("utf-8", "replace"))
            count += 1
        staged.settle(FILE)
    return count
