"""Arrow arrays to numpy and back by their buffers: pyarrow's own ways import pandas wherever it is installed, 50 MB and half a second."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags = npt.NDArray[np.bool_]


def to_flags(array: pa.BooleanArray) -> Flags:
    """Truth values; false where the array has none."""
    whole = np.unpackbits(np.frombuffer(array.buffers()[1] or b"", dtype=np.uint8), bitorder="little")
    flags = whole[array.offset : array.offset + len(array)].astype(bool)
    return flags & to_flags(array.is_valid()) if array.null_count else flags


def to_integers(array: pa.Array) -> npt.NDArray[np.int64]:
    """Whole numbers; -1 where the array has none."""
    return _fill_nulls(array.cast(pa.int64()), np.int64, -1)


def to_floats(array: pa.Array) -> npt.NDArray[np.float32]:
    """Numbers; not a number where the array has none."""
    return _fill_nulls(array.cast(pa.float32()), np.float32, float("nan"))


def _fill_nulls(array: pa.Array, kind: type, nothing: float) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.frombuffer(array.buffers()[1] or b"", dtype=kind)[array.offset : array.offset + len(array)]
    return np.where(to_flags(array.is_valid()), values, kind(nothing)) if array.null_count else values


def of_flags(flags: Flags) -> pa.BooleanArray:
    """The same in Arrow."""
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(np.packbits(flags, bitorder="little").tobytes())])


def of_texts(texts: Sequence[str | None]) -> pa.StringArray:
    """The same in Arrow; None is null."""
    encoded = [None if text is None else text.encode("utf-8", "replace") for text in texts]
    offsets = np.fromiter(accumulate((len(text or b"") for text in encoded), initial=0), dtype=np.int32)
    known = None if None not in encoded else pa.py_buffer(np.packbits([text is not None for text in encoded], bitorder="little").tobytes())
    return pa.StringArray.from_buffers(len(encoded), pa.py_buffer(offsets), pa.py_buffer(b"".join(text or b"" for text in encoded)), known)


def one_piece(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    joined = column.combine_chunks()
    return joined.chunk(0) if isinstance(joined, pa.ChunkedArray) else joined


def places_in(texts: pa.Array, known: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Where each text stands first among the known ones; -1 where it does not, and for null."""
    return to_integers(pc.index_in(texts, value_set=known, skip_nulls=True))
