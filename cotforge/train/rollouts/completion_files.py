"""Completions of a stage's samples in files of its folder. A file appears whole, and what is there is not made again."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.atomic import write_whole
from cotforge.export.columns import NUMBER, TEXT, WHOLE, Columns, arrow_schema, arrow_table
from cotforge.train.links import link_or_copy

FIRST, LARGEST = 4, 1_024
"""Samples of the first file, and completions of any file, at most (default chosen by us). They grow twofold: faults show early."""
COLUMNS: Columns = {
    "id": TEXT, "row": WHOLE, "number": WHOLE, "said": TEXT, "answer": TEXT, "reward": NUMBER, "tokens": WHOLE, "finish_reason": TEXT,
    "error": TEXT,
}  # fmt: skip
"""`row` is that of the sample in the stage's data, `number` that of the completion; `error` says why no text came."""


def file_spans(samples: int, per_sample: int) -> Iterator[range]:
    """Which of so many samples each file holds, by their places."""
    most = max(1, LARGEST // per_sample)
    start, size = 0, min(FIRST, most)
    while start < samples:
        yield range(start, min(samples, start + size))
        start, size = start + size, min(2 * size, most)


@dataclass(frozen=True)
class CompletionFiles:
    """Files of one folder, numbered from 0."""

    folder: Path
    key: str
    """Of everything that decides what is in them: a file of another key is none of them."""

    def missing(self, count: int, *, before: Path) -> list[int]:
        """Which of so many files are to be made. One that an earlier run of the stage left in the folder `before` is taken from there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = []
        for number in range(count):
            if self._is_whole(self.folder, number):
                continue
            if self._is_whole(before, number):
                self._file_path(number).unlink(missing_ok=True)
                link_or_copy(str(before / self._file_path(number).name), str(self._file_path(number)))
            else:
                found.append(number)
        return found

    def write(self, number: int, rows: Sequence[Sequence[Any]]) -> None:
        """A file of rows as `COLUMNS` has them, on the disk once this returns."""
        shape = arrow_schema(COLUMNS)
        shape = shape.with_metadata({**shape.metadata, b"cotforge": self.key.encode()})
        held = io.BytesIO()
        pq.write_table(arrow_table(rows, COLUMNS, shape), held, compression="zstd")
        write_whole(self._file_path(number), held.getvalue(), durable=True)

    def read(self, number: int) -> list[dict[str, Any]]:
        """The rows of a file that is there."""
        found: list[dict[str, Any]] = pq.read_table(self._file_path(number), schema=arrow_schema(COLUMNS)).to_pylist()
        return found

    def _file_path(self, number: int) -> Path:
        return self.folder / f"{number:05}.parquet"

    def _is_whole(self, folder: Path, number: int) -> bool:
        try:
            known = pq.read_schema(folder / self._file_path(number).name).metadata or {}
        except (OSError, pa.ArrowException):  # not there, or damaged: made anew
            return False
        return bool(known.get(b"cotforge") == self.key.encode())
