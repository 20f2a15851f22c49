"""Parquet files row by row: every column but the images is read; the images stay where they are until they are wanted."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cotforge.images import CellReader, CellRef, Ref
from cotforge.sources.paths import Folder
from cotforge.sources.values import clean_value

_ROWS = 256
_ROWS_WITH_BYTES = 16


@dataclass(frozen=True, slots=True)
class RowPosition:
    """Where a record stands in its file."""

    group: int
    """Row group."""
    row: int
    """Within the row group."""
    line: int
    """Within the file, from 1."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One image of a row: in which column, whether its bytes are in the file, and the path beside them."""

    shape: "ImageColumn"
    bytes: bool
    path: str | None
    item: int | None = None
    """Place in the row's list; None where the column holds single images."""


@dataclass(frozen=True, slots=True)
class ImageColumn:
    """How a column holds images: bytes, paths, `datasets`' struct of both, or lists of one of these."""

    listed: bool
    bytes_leaf: str | None
    """The parquet column of the bytes."""
    path_leaf: str | None


class ParquetReader:
    """One parquet file, open."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where it cannot be read as one."""
        self._path = path
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 16)
        except pa.ArrowException as err:
            raise OSError(f"not a whole parquet file: {err}") from err
        self.names: list[str] = self._file.schema_arrow.names

    def image_columns(self) -> list[str]:
        """Columns that may hold images, the likeliest first: by name, then those with bytes."""
        typed = [field.name for field in self._file.schema_arrow if _has_bytes(_inner_type(field.type))]
        return ["image", "images", *typed]

    def label_names(self, column: str) -> tuple[str, ...] | None:
        """The names of a ClassLabel column, where the file was written by `datasets`."""
        written = (self._file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
        try:
            names = json.loads(written)["info"]["features"][column]["names"]
        except (ValueError, KeyError, TypeError):  # no such metadata, or of another shape
            return None
        return tuple(map(str, names)) if isinstance(names, list) else None

    def shape(self, image: str) -> ImageColumn | None:
        """How that column holds images; None where it does not."""
        kind = self._file.schema_arrow.field(image).type
        inner = _inner_type(kind)
        paths = [self._file.schema.column(i).path for i in range(len(self._file.schema.names))]
        leaves = [path for path in paths if path == image or path.startswith(f"{image}.")]
        if _is_text(inner):
            return ImageColumn(inner is not kind, None, leaves[0])
        if _is_binary(inner):
            return ImageColumn(inner is not kind, leaves[0], None)
        if not _has_bytes(inner):
            return None
        last = {leaf.rpartition(".")[2]: leaf for leaf in leaves}
        return ImageColumn(inner is not kind, last["bytes"], last.get("path"))

    def records(self, columns: list[str], shapes: Mapping[str, ImageColumn]) -> Iterator[tuple[RowPosition, dict[str, Any], list[Cell]]]:
        """(place, the values of `columns`, the images of the row) by the columns of images. Raises OSError, maybe part-way."""
        try:
            yield from self._read_records(columns, shapes)
        except (pa.ArrowException, ValueError, OverflowError) as err:  # texts that are none, and numbers beyond what Python's dates hold
            raise OSError(f"a row group cannot be read: {err}") from err

    def _read_records(
        self, columns: list[str], shapes: Mapping[str, ImageColumn]
    ) -> Iterator[tuple[RowPosition, dict[str, Any], list[Cell]]]:
        line = 0
        for group in range(self._file.num_row_groups):
            leaves = {name: self._leaf_columns(group, shape) for name, shape in shapes.items()}
            read = [leaf for found in leaves.values() for leaf in found]
            rows = _ROWS_WITH_BYTES if any(shape.bytes_leaf in read for shape in shapes.values()) else _ROWS
            row = 0
            for batch in self._file.iter_batches(rows, row_groups=[group], columns=[*columns, *read], use_threads=False):
                images = [_image_cells(batch.column(name) if leaves[name] else batch.num_rows, shape) for name, shape in shapes.items()]
                values = batch.select(columns).to_pylist() if columns else [{}] * batch.num_rows
                for record, *found in zip(values, *images, strict=True):
                    row, line = row + 1, line + 1
                    yield RowPosition(group, row - 1, line), record, [cell for cells in found for cell in cells]

    def _leaf_columns(self, group: int, shape: ImageColumn) -> list[str]:
        """The parquet columns that tell which images there are."""
        certain = not shape.bytes_leaf or self._is_certain(group, shape)
        return [leaf for leaf in (shape.path_leaf, None if certain else shape.bytes_leaf) if leaf]

    def refs(self, place: RowPosition, found: list[Cell], *, cells: CellReader, folder: Folder) -> Iterator[Ref]:
        """Where the row's images lie. Raises Fault."""
        for cell in found:
            if cell.bytes and cell.shape.bytes_leaf:
                name = clean_value(cell.path or f"row {place.line}")
                yield CellRef(cells, str(self._path), cell.shape.bytes_leaf, place.group, place.row, cell.item, name)
            elif cell.path:
                yield folder.ref(cell.path)

    def _is_certain(self, group: int, shape: ImageColumn) -> bool:
        """Whether it is known, without reading any bytes, which rows hold how many images."""
        if shape.listed and not shape.path_leaf:
            return False
        row_group = self._file.metadata.row_group(group)
        column = next((c for c in map(row_group.column, range(row_group.num_columns)) if c.path_in_schema == shape.bytes_leaf), None)
        return (
            column is not None and column.statistics is not None and column.statistics.has_null_count and column.statistics.null_count == 0
        )


def _image_cells(array: "pa.Array[Any] | int", shape: ImageColumn) -> list[list[Cell]]:
    """The images of each row. Where only the number of rows is known, without any of the column's leaves, each has one."""
    if isinstance(array, int):
        return [[Cell(shape, bytes=True, path=None)]] * array
    if not shape.listed:
        return [[Cell(shape, has, path)] for has, path in _image_presence(array)]
    present, lengths = _image_presence(array.flatten()), [length or 0 for length in array.value_lengths().to_pylist()]
    if min(lengths, default=0) < 0 or sum(lengths) != len(present):
        raise OSError("its lists do not have as many images as they say")
    left = iter(present)
    return [[Cell(shape, *next(left), item) for item in range(length)] for length in lengths]


def _image_presence(array: "pa.Array[Any]") -> list[tuple[bool, str | None]]:
    """(whether there are bytes, path) of each image."""
    if _is_text(array.type):
        return [(False, path) for path in array.to_pylist()]
    if _is_binary(array.type):
        return [(has, None) for has in array.is_valid().to_pylist()]
    read = {field.name for field in array.type}
    none: list[None] = [None] * len(array)
    paths = pc.struct_field(array, "path").to_pylist() if "path" in read else none
    has = pc.struct_field(array, "bytes").is_valid().to_pylist() if "bytes" in read else [True] * len(array)
    return list(zip(has, paths, strict=True))


def _inner_type(kind: pa.DataType) -> pa.DataType:
    listed = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return kind.value_type if listed else kind


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _has_bytes(kind: pa.DataType) -> bool:
    return _is_binary(kind) or (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type))
