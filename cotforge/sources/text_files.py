"""Text files of rows, by their endings: records, and the columns that these have."""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path

from cotforge.errors import SourceError
from cotforge.records import Fault
from cotforge.sources.csv_files import csv_records
from cotforge.sources.json_lists import is_list, listed_records
from cotforge.sources.lines import Record, json_lines
from cotforge.sources.raw_rows import Layout, RawData

LINE_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")

ENDINGS = (*LINE_ENDINGS, ".json")

LINES_PEEKED = 64
"""Records of a text file that are looked at to learn its columns: a JSON line may leave a value out."""

_CHARACTERS_PEEKED = 4 << 20
"""Of the texts of these records: images in base64 would fill the memory."""


def text_records(path: Path) -> Iterator[tuple[int, Record | Fault]]:
    """(line, record) of a file with one of the `ENDINGS`; a Fault where that line cannot be read. Raises OSError."""
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        return csv_records(path, "\t" if kind == ".tsv" else ",")
    return listed_records(path) if is_list(path) else json_lines(path)


def laid_out(
    table: RawData, path: Path, where: str, images: tuple[str, ...] = ("image", "images")
) -> Iterator[tuple[int, Record | Fault, Layout]]:
    """(line, record, layout) of a text file; `images`: usual names of an image column. Raises OSError, or SourceError for its columns."""
    numbered = text_records(path)
    first = _peek_records(numbered)
    found = [record for _, record in first if isinstance(record, dict)]
    if path.suffix.lower() == ".json" and len(first) == len(found) == 1:
        _demand_row(found[0], ("image", *table.columns.image_columns), where)
    names = dict.fromkeys(name for record in found for name in record)
    columns = table.columns.among(names, where, images=images) if names else table.columns
    layout = Layout(columns, table.label_names, columns.left_of(names))
    yield from ((number, record, layout) for number, record in chain(first, numbered))


def _peek_records(numbered: Iterator[tuple[int, Record | Fault]]) -> list[tuple[int, Record | Fault]]:
    """The first records, at least one that is sound."""
    first: list[tuple[int, Record | Fault]] = []
    characters, sound = 0, False
    while len(first) < LINES_PEEKED and (not sound or characters < _CHARACTERS_PEEKED):
        if (item := next(numbered, None)) is None:
            break
        first.append(item)
        if isinstance(item[1], dict):
            sound = True
            characters += sum(len(value) for value in item[1].values() if isinstance(value, str))
    return first


def _demand_row(only: Mapping[str, object], images: Collection[str], where: str) -> None:
    """Raises SourceError where a file's only object is no row: lists of objects (COCO), rows by their ids, or columns (pandas)."""
    holds_all = len(only) > 0 and all(isinstance(value, list | dict) for value in only.values())
    lists = any(isinstance(value, list) and value and isinstance(value[0], dict) for value in only.values())
    if holds_all or (lists and not any(name in only for name in images)):
        there = ", ".join(map(repr, list(only)[:5]))
        wanted = "JSON lines, one object per row, or a list of these"
        raise SourceError(f"{where}: one object that holds others ({there}), as COCO's files and pandas' are; wanted: {wanted}")
