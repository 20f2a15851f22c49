"""`kind: table`: parquet, CSV, TSV, JSON lines or a list of JSON objects, each row with an image's bytes or its path."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from cotforge.errors import SourceError
from cotforge.images import CellReader
from cotforge.records import Fault
from cotforge.sources.files import Splits, absolute_path, left_out, listed_files, no_files, of_splits, shown_path, top_of
from cotforge.sources.inline import RowImages
from cotforge.sources.paths import Folder
from cotforge.sources.raw_rows import Columns, Layout, RawData, RawRow, Spool, Unused, place_fault
from cotforge.sources.text_files import ENDINGS, LINE_ENDINGS, laid_out
from cotforge.sources.values import value_text

_ENDINGS = (".parquet", *ENDINGS)


class TableSource(RawData):
    """One file, a folder of parquet files, or a glob. Image paths are relative to the file that
    names them, and stay in its folder."""

    kind: Literal["table"] = "table"
    """`table`: CSV, TSV, JSON lines, a list of JSON objects, or parquet; one file, a folder of
    parquet files, or a glob."""

    def size(self, root: Path) -> int | None:
        """Lines, or what parquet files say of themselves, whatever the split; None for a .json, whose rows may share a line."""
        files = listed_files(root, self.path, _ENDINGS, within=(".parquet",))
        held = Folder(top_of(root, self.path))
        return (
            None
            if any(path.suffix.lower() == ".json" for path in files)
            else sum(_count_rows(path) for path in files if held.has_file(path))
        )

    def rows(self, root: Path, spool: Spool) -> Iterator[RawRow | Fault | Unused]:
        """Every row of the wanted splits; a Fault for each line or file that cannot be read. Raises SourceError for the whole."""
        splits = Splits(self.split)
        files, held = listed_files(root, self.path, _ENDINGS, within=(".parquet",)), Folder(top_of(root, self.path))
        for path, told in of_splits(files, absolute_path(root, self.path), splits):
            where = shown_path(path, root)
            try:
                held.demand_file(path)
                read = parquet_rows if path.suffix.lower() == ".parquet" else _text_rows
                yield from read(self, path, where, Splitter(splits, told, where), spool=spool)
            except Fault as fault:
                yield place_fault(fault, where)
            except OSError as err:
                yield Fault("file_unreadable", err.strerror or str(err), where=where)
        place = absolute_path(root, self.path)
        splits.demand(shown_path(place, root))
        if place.is_dir():
            unused = [*left_out(root, self.path, LINE_ENDINGS), *no_files(root, self.path, (".parquet", *LINE_ENDINGS))]
            yield from (Unused(os.path.relpath(file, place)) for file in unused)


def _count_rows(path: Path) -> int:
    if path.suffix.lower() == ".parquet":
        from pyarrow import parquet

        return int(parquet.read_metadata(path).num_rows)
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


class Splitter:
    """Which split a row of a file is of: told by the file's name, else by its column, else `train`."""

    def __init__(self, splits: Splits, told: str | None, where: str) -> None:
        self._splits, self._told, self._where = splits, told, where

    def split(self, record: dict[str, Any], columns: Columns) -> str | None:
        """The row's split; None where it is not wanted. Raises SourceError where nothing tells and another than train is wanted."""
        if self._told is not None:
            return self._told
        return self._splits.named(record.get(columns.split)) if columns.split else self._splits.undivided(self._where)


def _text_rows(table: RawData, path: Path, where: str, splitter: Splitter, *, spool: Spool) -> Iterator[RawRow | Fault | Unused]:
    images, told = RowImages(Folder(path.parent, spool).refs), None
    for number, record, layout in laid_out(table, path, where):
        if layout is not told:
            yield from (told := layout).unused()
        here = f"{where}:{number}"
        if isinstance(record, Fault):
            yield place_fault(record, here)
        elif (split := splitter.split(record, layout.columns)) is not None:
            index = value_text(record.get("index", record.get(layout.columns.id or "")))
            yield layout.tried(record, images.refs(layout.images(record), index), here, split)


def parquet_rows(
    table: RawData, path: Path, where: str, splitter: Splitter, *, spool: Spool | None = None, images: tuple[str, ...] = ()
) -> Iterator[RawRow | Fault | Unused]:
    """The rows of a parquet file, after the columns it leaves unused; `images`: names of an image column before the usual ones.

    Raises OSError, SourceError for its columns.
    """
    from cotforge.sources.parquet import ParquetReader  # pyarrow costs 60 MB, which text files do without

    file, folder, cells = ParquetReader(path), Folder(path.parent, spool), CellReader()
    columns = table.columns.among(file.names, where, images=[*images, *file.image_columns()])
    shapes = {name: file.shape(name) for name in columns.image_columns}
    if faults := [_no_images(name, where) for name, shape in shapes.items() if shape is None]:
        raise SourceError(*faults)
    layout = Layout(columns, table.label_names or file.label_names(columns.label or ""), columns.left_of(file.names))
    yield from layout.unused()
    for place, record, found in file.records(columns.used(), {name: shape for name, shape in shapes.items() if shape}):
        if (split := splitter.split(record, columns)) is not None:
            yield layout.tried(record, file.refs(place, found, cells=cells, folder=folder), f"{where}:{place.line}", split)


def _no_images(column: str, where: str) -> str:
    return f"{where}: column {column!r} holds no images; wanted: bytes, paths, or structs of both"
