"""Images inside parquet files, read cell by cell without ever holding a file, or a large row group, in memory."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cotforge.images.refs import stamp
from cotforge.records import Fault

if TYPE_CHECKING:
    import pyarrow

_BATCH_BYTES = 4 << 20
_BATCHES_KEPT = 8
_CURSORS_KEPT = 3


@dataclass(frozen=True, slots=True)
class CellRef:
    """An image in one cell of a parquet file."""

    cells: "Cells"
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
        return stamp(self.path, self.name)

    def read(self) -> bytes:
        """See `Ref`."""
        found = self.cells.value(self)
        data = found.get("bytes") if isinstance(found, dict) else found
        if not isinstance(data, bytes):
            raise Fault("image_missing", f"image: {self.name!r} has no bytes")
        return data


class Cells:
    """The cells last read, and how far each row group has been read. Safe to use from any thread.

    Reading in the order of the rows, or nearly so, decodes each row group once; going back further than what is kept
    (about 32 MB) decodes the row group from its start.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._batches: OrderedDict[tuple[str, str, int, int], pyarrow.Array[Any]] = OrderedDict()
        self._cursors: OrderedDict[tuple[str, str, int], _Cursor] = OrderedDict()

    def value(self, ref: CellRef) -> object:
        """The cell as plain Python. Raises Fault `image_unreadable` where the file does not give it."""
        import pyarrow

        try:
            with self._lock:
                batch, row = self._batch(ref)
            found = batch[row].as_py()
        except (OSError, IndexError, pyarrow.ArrowException) as err:
            raise Fault("image_unreadable", f"image: {ref.name!r}: {err}") from err
        return found if ref.item is None else found[ref.item]

    def _batch(self, ref: CellRef) -> tuple["pyarrow.Array[Any]", int]:
        """The column's values around the ref, and where among them it stands."""
        place = (ref.path, ref.column, ref.group)
        cursor = self._cursors.get(place) or _Cursor(ref)
        number, row = divmod(ref.row, cursor.size)
        key = (*place, number)
        if key not in self._batches:
            if number < cursor.number:
                cursor = _Cursor(ref)
            self._batches[key] = cursor.forward(number)
        _touch(self._cursors, place, cursor, _CURSORS_KEPT)
        _touch(self._batches, key, self._batches[key], _BATCHES_KEPT)
        return self._batches[key], row


class _Cursor:
    """One pass over one column of one row group."""

    def __init__(self, ref: CellRef) -> None:
        import pyarrow.parquet

        file = pyarrow.parquet.ParquetFile(ref.path, pre_buffer=False, buffer_size=1 << 16)
        group = file.metadata.row_group(ref.group)
        held = sum(c.total_uncompressed_size for c in map(group.column, range(group.num_columns)) if c.path_in_schema == ref.column)
        self.size = max(1, min(64, _BATCH_BYTES * group.num_rows // max(1, held)))
        """Rows of a batch."""
        self.number = 0
        """The batch that comes next."""
        self._ahead: Iterator[pyarrow.RecordBatch] = file.iter_batches(
            self.size, row_groups=[ref.group], columns=[ref.column], use_threads=False
        )

    def forward(self, number: int) -> "pyarrow.Array[Any]":
        """The values of that batch, which has not been passed yet. Raises IndexError where the file has become shorter."""
        for batch in self._ahead:
            self.number += 1
            if self.number > number:
                return batch.column(0)
        raise IndexError("the file has fewer rows than when it was listed")


def _touch(kept: "OrderedDict[Any, Any]", key: object, value: object, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > most:
        kept.popitem(last=False)
