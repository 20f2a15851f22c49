"""Rows that wait in a file without a name, so that memory does not hold the texts of a whole shard."""

import pickle
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from cotforge.export.streamed import Row


class HeldRows:
    """The rows of the samples of one shard, kept until it is known whether the shard is there already. Raises OSError on a full disk."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where the file lies; it is made with the first row."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0

    def keep(self, rows: Sequence[Row]) -> int:
        """The place of a sample's rows."""
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by `clear`
        data, place = pickle.dumps(tuple(rows), pickle.HIGHEST_PROTOCOL), self._end
        self._file.write(data)
        self._end += len(data)
        return place

    def rows_at(self, place: int) -> tuple[Row, ...]:
        """The rows that were kept there."""
        assert self._file is not None
        self._file.seek(place)
        rows: tuple[Row, ...] = pickle.load(self._file)
        return rows

    def clear(self) -> None:
        """Forget all rows, and let go of the file."""
        if self._file is not None:
            self._file.close()
        self._file, self._end = None, 0
