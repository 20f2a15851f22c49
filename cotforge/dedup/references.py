"""What samples are compared with beside each other: held-out samples, and benchmarks on this machine."""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from cotforge.dedup.picture_index import PictureIndex
from cotforge.dedup.shared_words import LENGTH, SharedWords
from cotforge.dedup.spec import HeldOutReference, Reference, TextReference
from cotforge.dedup.thumbnail import make_thumbnail
from cotforge.dedup.words import join_texts
from cotforge.errors import SourceError
from cotforge.images import PictureStore
from cotforge.records import Fault
from cotforge.sources import Source
from cotforge.sources.chunked import ChunkedPool, Pending
from cotforge.sources.files import listed_files, shown_path
from cotforge.sources.raw_rows import RawRow, Unused
from cotforge.sources.sample_stream import THREADS, count_rows, work_ahead
from cotforge.sources.text_files import ENDINGS, LINE_ENDINGS, text_records

BATCH = 1_024
"""Rows of a parquet file that are in memory at a time."""

Looked = tuple[tuple[bytes, bytes | None], ...]
"""The digest of each picture of a row, and its packed thumbnail where the index lacks it."""


class HeldOutSplit(Protocol):
    """`eval:` of the pipeline."""

    @property
    def split(self) -> str | None:
        """The split of the source that is held out; None where a share of its samples is."""

    def holds_pictures(self, digests: Iterable[str]) -> bool:
        """Whether the sample with these pictures is of that share."""


class References:
    """Pictures and texts of all that `dedup.against` names. In memory are 12 bytes for each word of the texts."""

    def __init__(self) -> None:
        self.texts = SharedWords()
        self.notes: list[str] = []
        """Lines about what could not be read."""
        self._hash = sha256()
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)  # "": private, on disk past 2 MB
        self._db.execute("CREATE TABLE pictures (digest BLOB PRIMARY KEY, place TEXT) WITHOUT ROWID")
        self._db.execute("BEGIN")  # never committed: nobody else reads it
        weakref.finalize(self, self._db.close)

    def find_picture(self, digest: bytes) -> str | None:
        """Where a picture stands, in words; None where it is of no reference."""
        row = self._db.execute("SELECT place FROM pictures WHERE digest = ?", (digest,)).fetchone()
        return row[0] if row else None

    @property
    def content_hash(self) -> str:
        """Of all that was read, in its order, and of the lines about what could not be."""
        found = self._hash.copy()
        found.update(repr(self.notes).encode(errors="surrogatepass"))
        return found.hexdigest()

    def add_texts(self, rows: Iterable[tuple[str, str]]) -> int:
        """Take (place, text) of each row; how many of them are long enough."""
        return self.texts.add(self._hash_texts(rows))

    def _hash_texts(self, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        for row in rows:
            self._hash.update(repr(row).encode(errors="surrogatepass"))
            yield row

    def add_picture(self, digest: bytes, place: str) -> None:
        """Take a picture; of equal ones the first place counts."""
        self._hash.update(repr((digest, place)).encode(errors="surrogatepass"))
        self._db.execute("INSERT OR IGNORE INTO pictures VALUES (?, ?)", (digest, place.encode(errors="replace").decode()))


@dataclass(frozen=True)
class ReferenceReader:
    """Reads what `dedup.against` names."""

    store: PictureStore
    index: PictureIndex
    source: Source
    """The pipeline's own."""
    held: HeldOutSplit | None
    """`eval:`, if the pipeline has one."""
    root: Path
    """Of the pipeline file: paths start there."""

    def read(self, references: Sequence[Reference]) -> References:
        """All of them; their pictures are in the index then. Raises SourceError where one cannot be read, or has nothing to compare."""
        found = References()
        for number, reference in enumerate(references):
            try:
                self._read_one(reference, found)
            except SourceError as fault:
                where = f"dedup.against[{number}]"
                raise SourceError(*(f"{where}: {one.replace('source.', '')}" for one in fault.faults)) from fault
        return found

    def _read_one(self, reference: Reference, found: References) -> None:
        name = "eval" if isinstance(reference, HeldOutReference) else reference.path
        faults = _Faults()
        pictures = 0
        if isinstance(reference, TextReference):
            texts = found.add_texts(_file_texts(reference, self.root, faults))
        else:
            rows = _RowTexts(self._looked_rows(reference, faults), self.index, found, "eval: " if name == "eval" else "")
            # The questions of held-out samples are those of the other samples too: only their pictures tell them apart.
            texts = found.add_texts(rows if name != "eval" else ((place, "") for place, _ in rows))
            pictures = rows.pictures
        if faults.count:
            found.notes.append(f"dedup.against: {count_rows(faults.count)} of {name!r} cannot be compared, the first: {faults.first}")
        if not texts and not pictures:
            raise SourceError(f"{name!r} has nothing to compare with; a picture, or a text of {LENGTH} words, is needed")

    def _looked_rows(self, reference: Reference, faults: "_Faults") -> Iterator[tuple[RawRow, Looked]]:
        """The rows with their pictures, which are decoded a little ahead."""
        with closing(ChunkedPool(self._look_at_pictures, THREADS, name="references")) as pool:
            for row, pending in work_ahead(self._rows(reference), pool.submit):
                try:
                    if isinstance(pending, Pending) and isinstance(row, RawRow):
                        yield row, pending.result()
                    elif isinstance(row, Fault):
                        faults.add(row)
                except Fault as fault:
                    faults.add(fault)

    def _rows(self, reference: Reference) -> Iterator[RawRow | Fault]:
        source = self.source if isinstance(reference, HeldOutReference | TextReference) else reference
        share = None
        if isinstance(reference, HeldOutReference) and self.held is not None:
            share = self.held if self.held.split is None else None
            source = source.model_copy(update={"limit": None, **({} if share else {"split": self.held.split})})
        for row in source.rows(self.root, self.store.spool):
            if not isinstance(row, Unused) and (share is None or self._is_held_out(row, share)):
                yield row

    def _is_held_out(self, row: RawRow | Fault, share: HeldOutSplit) -> bool:
        """What cannot be read is not: it is told where the source is read."""
        try:
            return isinstance(row, RawRow) and share.holds_pictures([self.store.digest(ref) for ref in row.images])
        except Fault:
            return False

    def _look_at_pictures(self, row: RawRow) -> Looked:
        """Raises Fault where one cannot be read."""
        looked = []
        for ref in row.images:
            picture = self.store.picture(ref)
            digest = bytes.fromhex(picture.digest)
            looked.append((digest, None if digest in self.index else make_thumbnail(picture.load())))
        return tuple(looked)


class _Faults:
    """How many rows could not be read, and the first."""

    def __init__(self) -> None:
        self.count, self.first = 0, ""

    def add(self, fault: Fault) -> None:
        self.count += 1
        self.first = self.first or str(fault)


class _RowTexts:
    """(place, text) of rows; their pictures are taken in passing."""

    def __init__(self, rows: Iterator[tuple[RawRow, Looked]], index: PictureIndex, found: References, prefix: str) -> None:
        self._rows, self._index, self._found, self._prefix = rows, index, found, prefix
        self.pictures = 0

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for row, looked in self._rows:
            place = f"{self._prefix}{row.where}"
            for digest, packed in looked:
                if digest not in self._index:
                    self._index.add(digest, packed)
                self._found.add_picture(digest, place)
                self.pictures += 1
            yield place, join_texts([row.question, row.options, row.label])


def _file_texts(reference: TextReference, root: Path, faults: _Faults) -> Iterator[tuple[str, str]]:
    """(place, text) of each row. Raises SourceError where there is no such file, or a column is missing."""
    for path in listed_files(root, reference.path, (".parquet", *ENDINGS), within=(".parquet", *LINE_ENDINGS)):
        where = shown_path(path, root)
        try:
            records = _parquet_records(path) if path.suffix.lower() == ".parquet" else text_records(path)
            for line, record in records:
                if isinstance(record, Fault):
                    faults.add(Fault(record.reason, record.detail, where=f"{where}:{line}"))
                    continue
                columns = reference.columns or tuple(record)
                if lacking := [name for name in columns if name not in record]:
                    raise SourceError(f"{where}:{line}: no column {lacking[0]!r}; there: {', '.join(map(repr, list(record)[:20]))}")
                yield f"{where}:{line}", join_texts(record[name] for name in columns)
        except OSError as err:
            faults.add(Fault("file_unreadable", err.strerror or str(err), where=where))


def _parquet_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, record) of a parquet file. Raises OSError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    try:
        for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(BATCH, use_threads=False):
            for record in batch.to_pylist():
                line += 1
                yield line, record
    except pa.ArrowException as err:
        raise OSError(f"not a whole parquet file: {err}") from err
