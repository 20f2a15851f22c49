"""Shards of a table: with pictures, packed only where their rows have changed, or streamed without."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.export.columns import Columns, arrow_schema, arrow_table
from cotforge.export.files import Staged
from cotforge.export.owned import Owned
from cotforge.pages import Shard
from cotforge.records import CuratedSample, Fault, Sample, Verdict

SAMPLES = 2_048
"""Samples of a split, with or without a row, after which its shard of pictures ends."""
PICTURES = 400_000_000
"""Bytes of pictures of these Samples after which it ends sooner."""
TRACED = 65_536
"""Samples after which a shard of traces ends."""
GROUP_BYTES = 2_000_000
"""Bytes of pictures, or characters of text, after which a row group ends: what is in memory at a time."""
GROUP_ROWS = 1_024
REPEATED = ["answer", "label", "model", "prompt.list.element.content", "teacher"]
"""Columns with few distinct values: the only ones worth a dictionary, which costs memory."""
PICTURED = "images.list.element.bytes"
"""The column of the pictures: compressed already, and to try again costs more than all the rest of packing."""
LAYOUT = 1
"""Raised where the same rows are packed in another way; part of every hash of a shard with pictures."""
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}

Row = tuple[Any, ...]
"""A row's values in the order of the columns; the place of the pictures holds their names."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one Sample brings to a shard with pictures: rows that all show the same pictures."""

    sample: Sample
    verdict: Verdict
    rows: tuple[Row, ...]

    def digest(self) -> bytes:
        """sha256 of all that stands in the rows; the pictures by their digests, which are in their names."""
        return hashlib.sha256(json.dumps(self.rows, separators=(",", ":")).encode()).digest()


@dataclass(slots=True)
class Pictured:
    """The shards of one split of a table with pictures.

    Where a shard ends follows from the sequence of Samples alone, so that another filter bound re-packs only shards whose rows it changes,
    and rows added at the end only the last. Between, only rows without their pictures are held; a shard that is there already, by the hash
    in its name, is kept without reading a picture.
    """

    folder: Path
    split: str
    columns: Columns
    lost: Callable[[Entry, Fault], None]
    """Told of an Entry whose pictures can no longer be read; it is left out."""
    owned: Owned
    """Told of each shard before it is there."""
    shards: list[Shard] = field(default_factory=list)
    _number: int = 0
    _samples: int = 0
    _bytes: int = 0
    _entries: list[Entry] = field(default_factory=list)

    def add(self, outcome: CuratedSample, rows: Sequence[Row]) -> None:
        """Take the next Sample of the split, with its rows, if it has any."""
        size = sum(picture.size for picture in outcome.sample.pictures)
        if self._samples == SAMPLES or (self._samples and self._bytes + size > PICTURES):
            self.close()
        self._samples += 1
        self._bytes += size
        if rows:
            self._entries.append(Entry(outcome.sample, outcome.verdict, tuple(rows)))

    def close(self) -> None:
        """End the shard: keep it where it is there already, else pack it."""
        digests = [entry.digest() for entry in self._entries]
        if digests and not self._keep_shard(digests):
            self._pack_shard(digests)
        self._number += 1
        self._samples = self._bytes = 0
        self._entries = []

    def _shard_name(self, digests: Sequence[bytes]) -> str:
        head = json.dumps([LAYOUT, list(self.columns)]).encode()
        return f"{self.split}-{self._number:05d}-{hashlib.sha256(head + b''.join(digests)).hexdigest()[:16]}.parquet"

    def _keep_shard(self, digests: Sequence[bytes]) -> bool:
        path, rows = self.folder / self._shard_name(digests), sum(len(entry.rows) for entry in self._entries)
        if found := _rows_of(path) == rows:
            self._note_settled(path, rows)
        return found

    def _note_settled(self, path: Path, rows: int) -> None:
        self.shards.append(Shard(f"{self.folder.name}/{path.name}", rows, path.stat().st_size))

    def _pack_shard(self, digests: Sequence[bytes]) -> None:
        packed: list[bytes] = []
        rows = 0
        with Staged(self.folder) as staged:
            with Streamed(staged, self.columns) as stream:
                for entry, digest in zip(self._entries, digests, strict=True):
                    loaded = self._load_pictures(entry)
                    if loaded is not None:
                        packed.append(digest)
                        rows += len(entry.rows)
                        for row in entry.rows:
                            stream.row(self._with_pictures(row, loaded), weight=sum(map(len, loaded)))
            if rows:
                name = self._shard_name(packed)
                self.owned.claim(f"{self.folder.name}/{name}")
                self._note_settled(staged.settle(name), rows)

    def _load_pictures(self, entry: Entry) -> list[bytes] | None:
        try:
            return [picture.load() for picture in entry.sample.pictures]
        except Fault as fault:
            self.lost(entry, fault)
            return None

    def _with_pictures(self, row: Row, loaded: Sequence[bytes]) -> Row:
        """The row with the pictures in the place of their names."""
        return tuple(
            list(zip(loaded, value, strict=True)) if name == "images" else value for name, value in zip(self.columns, row, strict=True)
        )


def _rows_of(path: Path) -> int | None:
    """Rows of a parquet file by its footer; None where it is not there, or damaged."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return None


class Streamed:
    """A parquet file being written a row group at a time."""

    def __init__(self, staged: Staged, columns: Columns) -> None:
        self.rows = 0
        self._columns = columns
        self._schema = arrow_schema(columns)
        leaves = [leaf for field in self._schema for leaf in _leaf_columns(field.name, field.type)]
        self._writer = pq.ParquetWriter(
            staged.file,
            self._schema,
            compression={leaf: "none" if leaf == PICTURED else "zstd" for leaf in leaves},
            compression_level={leaf: 1 for leaf in leaves if leaf != PICTURED},
            write_statistics=[leaf for leaf in leaves if leaf != PICTURED],
            use_dictionary=REPEATED,
        )
        self._group: list[Row] = []
        self._weight = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        self._writer.is_open = False  # after a fault its finaliser would still write a footer

    def row(self, values: Row, *, weight: int = 0) -> None:
        """Take a row of about `weight` bytes."""
        self._group.append(values)
        self._weight += weight
        self.rows += 1
        if self._weight >= GROUP_BYTES or len(self._group) == GROUP_ROWS:
            self._flush_rows()

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush_rows()
        self._writer.close()

    def _flush_rows(self) -> None:
        if self._group:
            self._writer.write_table(arrow_table(self._group, self._columns, self._schema))
        self._group = []
        self._weight = 0


def _leaf_columns(path: str, kind: pa.DataType) -> Iterator[str]:
    """The columns that a field becomes in parquet."""
    if pa.types.is_list(kind):
        yield from _leaf_columns(f"{path}.list.element", kind.value_type)
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaf_columns(f"{path}.{field.name}", field.type)
    else:
        yield path


class Traced:
    """The shards of `traces/`, each named once it is whole."""

    def __init__(self, folder: Path, shape: Columns, stack: ExitStack, owned: Owned) -> None:
        self._owned = owned
        self.shards: list[Shard] = []
        self._folder = folder
        self._columns = shape
        self._stack = stack
        self._open: tuple[Staged, Streamed] | None = None
        self._samples = 0
        self._number = 0
        self._reasoning = list(shape).index("reasoning")

    def add(self, traces: Sequence[Row]) -> None:
        """Take the traces of the next Sample."""
        if self._samples == TRACED:
            self.close()
        self._samples += 1
        if traces and self._open is None:
            staged = self._stack.enter_context(Staged(self._folder))
            self._open = staged, self._stack.enter_context(Streamed(staged, self._columns))
        if self._open is not None:
            for row in traces:
                self._open[1].row(row, weight=len(row[self._reasoning]))

    def close(self) -> None:
        """End the shard; its hash is that of the file."""
        if self._open is not None:
            staged, stream = self._open
            stream.close()
            staged.file.seek(0)
            name = f"traces-{self._number:05d}-{hashlib.file_digest(staged.file, 'sha256').hexdigest()[:16]}.parquet"
            self._owned.claim(f"{self._folder.name}/{name}")
            path = staged.settle(name)
            self.shards.append(Shard(f"{self._folder.name}/{name}", stream.rows, path.stat().st_size))
        self._open = None
        self._samples = 0
        self._number += 1
