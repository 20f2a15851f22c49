"""Single rows of parquet files, numbered through all of them: one row group is read for a row, and the last few are kept."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.errors import JournalError, in_words

KEPT = 8
"""Row groups in memory: one is about 2 MB."""


class ShardRows:
    """Reads rows of a list of files that have the same columns. Safe to use from any thread."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._lock = Lock()
        self._files: list[pq.ParquetFile] | None = None
        self._starts: list[int] = []
        """The number of the first row of each row group."""
        self._groups: list[tuple[int, int]] = []
        """(file, row group in it)."""
        self._kept: OrderedDict[tuple[int, tuple[str, ...]], pa.Table] = OrderedDict()

    def read_rows(self, first: int, count: int = 1, *, columns: Sequence[str]) -> list[dict[str, Any]]:
        """So many rows from the `first` on, by the names of these columns or of parts of them.

        Columns that are not there are left out.

        Raises JournalError where a file is gone or damaged.
        """
        with self._lock:
            try:
                return self._read_rows(first, count, tuple(columns))
            except (OSError, ValueError, IndexError, pa.ArrowException) as fault:
                raise JournalError(f"the dataset's files have changed: {in_words(fault)}; load the page again") from fault

    def _read_rows(self, first: int, count: int, columns: tuple[str, ...]) -> list[dict[str, Any]]:
        self._open_files()
        found: list[dict[str, Any]] = []
        place = bisect_right(self._starts, first) - 1
        while len(found) < count and place < len(self._groups):
            start = first + len(found) - self._starts[place]
            found += self._read_group(place, columns).slice(start, count - len(found)).to_pylist()
            place += 1
        return found

    def _open_files(self) -> list[pq.ParquetFile]:
        if self._files is None:
            files = [pq.ParquetFile(path) for path in self._paths]
            self._groups = [(number, group) for number, file in enumerate(files) for group in range(file.num_row_groups)]
            sizes = [files[number].metadata.row_group(group).num_rows for number, group in self._groups]
            self._starts = [0, *accumulate(sizes)][: len(sizes)]
            self._files = files
        return self._files

    def _read_group(self, place: int, columns: tuple[str, ...]) -> pa.Table:
        if (place, columns) in self._kept:
            self._kept.move_to_end((place, columns))
            return self._kept[place, columns]
        number, group = self._groups[place]
        file = self._open_files()[number]
        known = {file.metadata.schema.column(leaf).path for leaf in range(file.metadata.num_columns)}
        wanted = [name for name in columns if any(path == name or path.startswith(f"{name}.") for path in known)]
        table = self._kept[place, columns] = file.read_row_group(group, columns=wanted, use_threads=False)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return table
