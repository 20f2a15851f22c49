"""Images inside parquet files, read cell by cell without ever holding a file, or a large row group, in memory."""

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cotforge.images.refs import file_stamp
from cotforge.records import Fault

if TYPE_CHECKING:
    import pyarrow

_BATCH_BYTES = 4 << 20
_BATCHES_KEPT = 8


@dataclass(frozen=True, slots=True)
class CellRef:
    """An image in one cell of a parquet file."""

    cells: "CellReader"
    path: str
    """The parquet file, absolute."""
    column: str
    """Of the bytes, in the file's own terms: `image`, `image.bytes`, `images.list.element.bytes`."""
    group: int
    """The row group."""
    row: int
    """Within the row group."""
    item: int | None
    """Within the list, where the cell holds one."""
    name: str

    @property
    def key(self) -> str:
        """The file and the place in it."""
        return f"{self.path}\0{self.column}\0{self.group}\0{self.row}\0{self.item}"

    def stamp(self) -> tuple[int, int]:
        """See `Ref`."""
        return file_stamp(self.path, self.name)

    def read(self) -> bytes:
        """See `Ref`."""
        found = self.cells.value(self)
        data = found.get("bytes") if isinstance(found, dict) else found
        if not isinstance(data, bytes):
            raise Fault("image_missing", f"image: {self.name!r} has no bytes")
        return data

    def ahead(self) -> bool:
        """Never: what precedes the cell in its row group has to be decoded too, which may take a second."""
        return False


class CellReader:
    """The cells last read, and how far their row group has been read. Safe to use from any thread.

    Reading in the order of the rows, or nearly so, decodes each row group once, page by page; going back further than what is
    kept (about 32 MB) decodes the row group from its start.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_process, ()  # what is kept stays with its process

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[_Batch] = deque(maxlen=_BATCHES_KEPT)
        self._pass: _Pass | None = None

    def value(self, ref: CellRef) -> object:
        """The cell as plain Python. Raises Fault `image_unreadable` where the file does not give it."""
        import pyarrow

        try:
            with self._lock:
                batch = self._cell_batch(ref)
            found = batch.values[ref.row - batch.start].as_py()
            return found if ref.item is None else found[ref.item]
        except (OSError, LookupError, TypeError, pyarrow.ArrowException) as err:  # the file has changed, or cannot be read
            raise Fault("image_unreadable", f"image: {ref.name!r}: {err}") from err

    def _cell_batch(self, ref: CellRef) -> "_Batch":
        place = (ref.path, ref.column, ref.group)
        for batch in reversed(self._kept):
            if batch.place == place and 0 <= ref.row - batch.start < len(batch.values):
                return batch
        if self._pass is None or self._pass.place != place or ref.row < self._pass.row:
            self._pass = None  # a page may take 100 MB: the old one goes before the new one comes
            self._pass = _Pass(place)
        batch = self._pass.forward(ref.row)
        self._kept.append(batch)
        return batch


@cache
def _of_process() -> CellReader:
    """What refs share that were pickled: each with cells of its own would decode a row group from its start for every cell."""
    return CellReader()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Some cells that follow each other."""

    place: tuple[str, str, int]
    """File, column, row group."""
    start: int
    """The first one's row."""
    values: "pyarrow.Array[Any]"


class _Pass:
    """One way through one column of one row group."""

    def __init__(self, place: tuple[str, str, int]) -> None:
        import pyarrow
        import pyarrow.parquet

        pyarrow.default_memory_pool().release_unused()  # else what the pass before has freed stays with the process
        path, column, number = self.place = place
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16)
        group = file.metadata.row_group(number)
        held = sum(c.total_uncompressed_size for c in map(group.column, range(group.num_columns)) if c.path_in_schema == column)
        rows = max(1, min(64, _BATCH_BYTES * group.num_rows // max(1, held)))
        self.row = 0
        """The row that comes next."""
        self._ahead: Iterator[pyarrow.RecordBatch] = file.iter_batches(rows, row_groups=[number], columns=[column], use_threads=False)

    def forward(self, row: int) -> _Batch:
        """The cells around that row, which has not been passed yet. Raises IndexError where the file has become shorter."""
        for batch in self._ahead:
            self.row += batch.num_rows
            if self.row > row:
                return _Batch(self.place, self.row - batch.num_rows, batch.column(0))
        raise IndexError("the file has fewer rows than when it was listed")
