"""Shards of a table: with pictures, packed only where their rows have changed, or streamed without."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cotforge.export.borders import Borders, PieceSize
from cotforge.export.columns import Columns
from cotforge.export.files import Staged, sync_folder
from cotforge.export.held_rows import HeldRows
from cotforge.export.owned import Owned
from cotforge.export.streamed import Row, Streamed, text_size
from cotforge.pages import Shard
from cotforge.records import CuratedSample, Fault, Sample, Verdict
from cotforge.regular_files import demand_regular

SHARD = PieceSize(samples=2_048, bytes=250_000_000, seed=1)
"""Of a shard with pictures: samples of a split, with or without a row, and bytes of their pictures."""
TRACED = PieceSize(samples=16_384, bytes=128_000_000, seed=1)
"""Of a shard of traces: samples, and characters of their texts."""
LAYOUT = 2
"""Raised where the same rows are packed in another way; part of every hash of a shard with pictures."""
SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


@dataclass(frozen=True, slots=True)
class Entry:
    """What one Sample brings to a shard with pictures: rows that all show the same pictures."""

    sample: Sample
    verdict: Verdict
    digest: bytes
    """See `digest_of`."""
    count: int
    """Rows."""
    place: int
    """Of the rows among those that wait."""


def digest_of(rows: Sequence[Row]) -> bytes:
    """sha256 of all that stands in the rows; the pictures by their digests, which are in their names."""
    return hashlib.sha256(json.dumps(tuple(rows), separators=(",", ":")).encode()).digest()


@dataclass(slots=True)
class Pictured:
    """The shards of one split of a table with pictures.

    Where a shard ends follows from the sequence of Samples alone, so that another filter bound, or samples added anywhere, re-pack only
    the shards whose rows they change. Until a shard ends its rows wait on the disk, without their pictures; one that is there already,
    by the hash in its name, is kept without reading a picture.
    """

    folder: Path
    split: str
    columns: Columns
    lost: Callable[[Entry, Sequence[Row], Fault], None]
    """Told of an Entry, and its rows, whose pictures can no longer be read; it is left out."""
    owned: Owned
    """Told of each shard before it is there."""
    held: HeldRows
    """Of this split alone."""
    shards: list[Shard] = field(default_factory=list)
    _number: int = 0
    _borders: Borders = field(default_factory=lambda: Borders(SHARD))
    _entries: list[Entry] = field(default_factory=list)

    def add(self, outcome: CuratedSample, rows: Sequence[Row]) -> None:
        """Take the next Sample of the split, with its rows, if it has any."""
        size = sum(picture.size for picture in outcome.sample.lesson_pictures)
        if self._borders.is_full(size):
            self.close()
        if rows:
            self._entries.append(Entry(outcome.sample, outcome.taught, digest_of(rows), len(rows), self.held.keep(rows)))
        if self._borders.take(outcome.sample.id, size):
            self.close()

    def close(self) -> None:
        """End the shard: keep it where it is there already, else pack it."""
        digests = [entry.digest for entry in self._entries]
        if digests and not self._keep_shard(digests):
            self._pack_shard()
        self._number += 1
        self._borders.restart()
        self._entries = []
        self.held.clear()

    def _shard_name(self, digests: Sequence[bytes]) -> str:
        head = json.dumps([LAYOUT, list(self.columns)]).encode()
        return f"{self.split}-{self._number:05d}-{hashlib.sha256(head + b''.join(digests)).hexdigest()[:16]}.parquet"

    def _keep_shard(self, digests: Sequence[bytes]) -> bool:
        """Whether the shard is there already, also under another number, which it had before shards came or went ahead of it."""
        path, rows = self.folder / self._shard_name(digests), sum(entry.count for entry in self._entries)
        if found := _rows_of(path) == rows or self._renumber(path, rows):
            self._note_settled(path, rows)
        return found

    def _renumber(self, path: Path, rows: int) -> bool:
        """Give a shard of another number the name `path` too; its older name goes with the old dataset."""
        start, end = f"{self.folder.name}/{self.split}-", path.name[len(f"{self.split}-00000") :]
        for name in sorted(name for name in self.owned.names if name.startswith(start) and name.endswith(end)):
            older = self.folder.parent / name
            if older != path and _rows_of(older) == rows:
                self.owned.claim(f"{self.folder.name}/{path.name}")
                with contextlib.suppress(OSError):  # a file system without links, or a damaged file in the way: it is packed anew
                    demand_regular(older)
                    os.link(older, path)
                    sync_folder(self.folder)
                    return True
        return False

    def _note_settled(self, path: Path, rows: int) -> None:
        self.shards.append(Shard(f"{self.folder.name}/{path.name}", rows, path.stat().st_size))

    def _pack_shard(self) -> None:
        packed: list[bytes] = []
        with Staged(self.folder) as staged:
            with Streamed(staged, self.columns) as stream:
                for entry in self._entries:
                    rows = self.held.rows_at(entry.place)
                    loaded = self._load_pictures(entry, rows)
                    if loaded is not None:
                        packed.append(entry.digest)
                        shown = [self._with_pictures(row, loaded) for row in rows]
                        size = len(shown) * sum(map(len, loaded)) + text_size(rows)
                        stream.add(entry.sample.id, shown, size=size)
            if stream.rows:
                name = self._shard_name(packed)
                self.owned.claim(f"{self.folder.name}/{name}")
                self._note_settled(staged.settle(name), stream.rows)

    def _load_pictures(self, entry: Entry, rows: Sequence[Row]) -> list[bytes] | None:
        try:
            return [picture.load() for picture in entry.sample.lesson_pictures]
        except Fault as fault:
            self.lost(entry, rows, fault)
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


class Traced:
    """The shards of `traces/`, each named once it is whole."""

    def __init__(self, folder: Path, shape: Columns, stack: ExitStack, owned: Owned) -> None:
        self._owned = owned
        self.shards: list[Shard] = []
        self._folder = folder
        self._columns = shape
        self._stack = stack
        self._open: tuple[Staged, Streamed] | None = None
        self._borders = Borders(TRACED)
        self._number = 0

    def add(self, id: str, traces: Sequence[Row]) -> None:
        """Take the traces of the next Sample."""
        size = text_size(traces)
        if self._borders.is_full(size):
            self.close()
        if traces:
            if self._open is None:
                staged = self._stack.enter_context(Staged(self._folder))
                self._open = staged, self._stack.enter_context(Streamed(staged, self._columns))
            self._open[1].add(id, traces, size=size)
        if self._borders.take(id, size):
            self.close()

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
        self._borders.restart()
        self._number += 1
