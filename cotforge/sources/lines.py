"""JSON lines, CSV and TSV, record by record with the line each stands on, in constant memory."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cotforge.records import Fault

LONGEST_LINE = 16 << 20
"""Bytes; a longer line is passed over without being held in memory."""

Record = dict[str, Any]


def records(path: Path) -> Iterator[tuple[int, Record | Fault]]:
    """(line, record) of a .jsonl, .ndjson, .csv or .tsv; a Fault where that line cannot be read. Raises OSError."""
    kind = path.suffix.lower()
    return _csv(path, "\t" if kind == ".tsv" else ",") if kind in (".csv", ".tsv") else _jsonl(path)


def lines(path: Path) -> Iterator[tuple[int, str | Fault]]:
    """(number from 1, line) with its end; a byte order mark is passed over."""
    with open(path, "rb") as file:
        number = 0
        while raw := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(raw) > LONGEST_LINE:
                while raw and not raw.endswith(b"\n"):
                    raw = file.readline(1 << 20)
                yield number, Fault("line_too_long", f"more than {LONGEST_LINE:,} bytes in one line")
                continue
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as err:
                yield number, Fault("line_not_utf8", f"not UTF-8 from byte {err.start}; save the file as UTF-8")


def _jsonl(path: Path) -> Iterator[tuple[int, Record | Fault]]:
    for number, line in lines(path):
        if isinstance(line, Fault):
            yield number, line
        elif line.strip():
            yield number, _json(line)


def _json(line: str) -> Record | Fault:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as err:
        return Fault("line_not_json", f"not JSON: {str(err)[:200]}")
    if not isinstance(record, dict):
        return Fault("line_not_an_object", f'a JSON {type(record).__name__}; an object is wanted: {{"image": ..., "label": ...}}')
    return record


class _Feed:
    """Sound lines for the CSV reader; broken ones are set aside."""

    def __init__(self, path: Path) -> None:
        self._lines = lines(path)
        self.at = 0
        """The line last read."""
        self.faults: list[tuple[int, Fault]] = []

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        for number, line in self._lines:
            self.at = number
            if isinstance(line, str):
                return line
            self.faults.append((self.at, line))
        raise StopIteration


def _csv(path: Path, delimiter: str) -> Iterator[tuple[int, Record | Fault]]:
    feed = _Feed(path)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as err:
        yield feed.at, Fault("line_broken", f"the header cannot be read: {err}")
        return
    while True:
        before = feed.at
        try:
            cells: list[str] | Fault | None = next(reader, None)
        except csv.Error as err:
            cells = Fault("line_broken", str(err))
        aside, feed.faults = feed.faults, []
        yield from aside
        if cells is None:
            return
        if aside and feed.at - before - len(aside) > 1:
            cells = Fault("line_broken", "a quoted text runs over a line that cannot be read")
        if cells:
            yield feed.at, _record(header, cells)


def _record(header: list[str], cells: list[str] | Fault) -> Record | Fault:
    if isinstance(cells, Fault):
        return cells
    if len(cells) != len(header):
        return Fault("line_broken", f"{len(cells)} cells; the header has {len(header)}")
    return {name: cell or None for name, cell in zip(header, cells, strict=True)}
