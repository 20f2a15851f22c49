"""A parquet file that is written a row group at a time."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.export.borders import Borders, PieceSize
from cotforge.export.columns import Columns, arrow_schema, arrow_table
from cotforge.export.files import Staged

GROUP = PieceSize(samples=512, bytes=2_000_000, seed=2)
"""Of a row group: what is in memory at a time. Its bytes are those of pictures, and characters of text."""
REPEATED = ["answer", "label", "model", "prompt.list.element.content", "teacher"]
"""Columns with few distinct values: the only ones worth a dictionary, which costs memory."""
PICTURED = "images.list.element.bytes"
"""The column of the pictures: compressed already, and to try again costs more than all the rest of packing."""
PROSE = frozenset({"call", "detail", "question", "reasoning"})
"""Columns whose least and greatest value tell a reader nothing: a footer without them is half as long."""
CHUNKS = {"min_chunk_size": 256 * 1024, "max_chunk_size": 1024 * 1024, "norm_level": 0}
"""How pages of a table without pictures end by their content, as `datasets` has it: the Hub stores a page that it knows only once.

Not beside pictures: their pages are few, and move with each row. Measured with hf_xet on 182 MB from which ten rows were removed: 26 MB
were sent again with such pages, 7 MB without.
"""

Row = tuple[Any, ...]
"""A row's values in the order of the columns; the place of the pictures holds their names."""


class Streamed:
    """A parquet file being written, with a page index."""

    def __init__(self, staged: Staged, columns: Columns) -> None:
        self.rows = 0
        self._columns = columns
        self._schema = arrow_schema(columns)
        leaves = [leaf for field in self._schema for leaf in _leaf_columns(field.name, field.type)]
        is_text = PICTURED not in leaves
        self._writer = pq.ParquetWriter(
            staged.file,
            self._schema,
            compression={leaf: "none" if leaf == PICTURED else "zstd" for leaf in leaves},
            compression_level={leaf: 1 for leaf in leaves if leaf != PICTURED},
            write_statistics=[leaf for leaf in leaves if "." not in leaf and leaf not in PROSE],
            use_dictionary=REPEATED,
            write_page_index=True,
            use_content_defined_chunking=CHUNKS if is_text else False,
        )
        if is_text:  # `datasets` tells it in the same words
            self._writer.add_key_value_metadata({"content_defined_chunking": json.dumps(CHUNKS)})
        self._group: list[Row] = []
        self._borders = Borders(GROUP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        self._writer.is_open = False  # after a fault its finaliser would still write a footer

    def add(self, id: str, rows: Sequence[Row], *, size: int) -> None:
        """Take the rows of one sample, of `size` bytes in all; a row group ends only between two samples."""
        if self._borders.is_full(size):
            self._flush_rows()
        self._group += rows
        self.rows += len(rows)
        if self._borders.take(id, size):
            self._flush_rows()

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush_rows()
        self._writer.close()

    def _flush_rows(self) -> None:
        if self._group:
            self._writer.write_table(arrow_table(self._group, self._columns, self._schema))
        self._group = []
        self._borders.restart()


def text_size(rows: Iterable[Row]) -> int:
    """Characters of all texts in the rows; of lists, such as votes, nothing is counted."""
    return sum(len(value) for row in rows for value in row if value.__class__ is str)


def _leaf_columns(path: str, kind: pa.DataType) -> Iterator[str]:
    """The columns that a field becomes in parquet."""
    if pa.types.is_list(kind):
        yield from _leaf_columns(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaf_columns(f"{path}.{field.name}", field.type)
    else:
        yield path
