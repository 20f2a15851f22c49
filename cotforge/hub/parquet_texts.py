"""The texts of a parquet file, batch by batch, however deep they lie in lists and records."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TOGETHER = 2**23
"""Bytes of texts that are looked at together, about. Every look compiles the pattern anew, which takes a millisecond."""


@dataclass(slots=True)
class TextColumn:
    """Some texts of one column."""

    name: str
    """As parquet has it, without the names of the levels of lists: `completion.content`."""
    values: Any
    """A `pyarrow.Array` of strings."""
    numbers: Any
    """A `pyarrow.Array`: for each value the number of its row in the file, from 1."""
    suspects: list[tuple[int, str]] = field(default_factory=list)
    """(row, text) of those that a pattern stands in."""

    def texts(self) -> list[str]:
        """All of them."""
        return [text for text in self.values.to_pylist() if text]

    def rows(self) -> Iterator[tuple[int, str]]:
        """(row, text) of all."""
        pairs = zip(self.numbers.to_pylist(), self.values.to_pylist(), strict=True)
        return ((row, text) for row, text in pairs if text)


def text_columns(path: Path, pattern: str) -> Iterator[TextColumn]:
    """The texts of all columns, in batches; first what the file says of itself. `pattern` is one of RE2. Raises OSError."""
    try:
        with pq.ParquetFile(path) as file:
            said = [f"{_text(name)}: {_text(value)}" for name, value in (file.metadata.metadata or {}).items() if name != b"ARROW:schema"]
            yield _column("the metadata", pa.array(said, pa.string()), pa.array([0] * len(said), pa.int64()), pattern)
            leaves = [file.schema.column(place) for place in range(len(file.schema))]
            places = [place for place, leaf in enumerate(leaves) if leaf.logical_type.type in ("STRING", "JSON", "ENUM")]
            size, done = _rows_together(file.metadata, places), 1
            for batch in file.iter_batches(batch_size=size, columns=[leaves[place].path for place in places]) if places else ():
                numbers = pa.array(range(done, done + len(batch)), pa.int64())
                done += len(batch)
                for name, values in zip(batch.schema.names, batch.columns, strict=True):
                    yield from (_column(*flat, pattern) for flat in _flat(name, values, numbers))
    except pa.ArrowInvalid as fault:
        raise OSError(f"{path}: is not a parquet file that can be read: {fault}") from fault


def _rows_together(metadata: Any, places: Sequence[int]) -> int:
    """Rows with about TOGETHER bytes in these columns."""
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    size = sum(group.column(place).total_uncompressed_size for group in groups for place in places)
    return int(max(1, min(2**16, TOGETHER * metadata.num_rows // max(1, size))))


def _flat(name: str, values: Any, numbers: Any) -> Iterator[tuple[str, Any, Any]]:
    """(name, strings, row numbers) of every text in an array of lists and records."""
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        yield name, values, numbers
    elif pa.types.is_dictionary(kind):
        yield from _flat(name, values.dictionary_decode(), numbers)
    elif pa.types.is_struct(kind):
        for place in range(kind.num_fields):
            yield from _flat(f"{name}.{kind.field(place).name}", pc.struct_field(values, [place]), numbers)
    elif pa.types.is_map(kind):
        yield from _flat(name, values.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))), numbers)
    elif pa.types.is_nested(kind):
        yield from _flat(name, pc.list_flatten(values), numbers.take(pc.list_parent_indices(values)))


def _column(name: str, values: Any, numbers: Any, pattern: str) -> TextColumn:
    """With the texts that the pattern stands in, without the backslashes of Markdown and JSON."""
    bare = values
    if pc.any(pc.match_substring(values, "\\")).as_py():
        spaced = pc.replace_substring_regex(values, r"\\[nrt]", " ")
        bare = pc.replace_substring_regex(spaced, r"\\([^A-Za-z0-9\s])", r"\1")
    likely = pc.match_substring_regex(bare, pattern)
    if not pc.any(likely).as_py():
        return TextColumn(name, values, numbers)
    return TextColumn(name, values, numbers, list(zip(numbers.filter(likely).to_pylist(), bare.filter(likely).to_pylist(), strict=True)))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
