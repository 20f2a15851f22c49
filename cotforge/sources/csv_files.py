"""CSV and TSV, record by record: the delimiter is told by `sep=`, or by the header where the usual one is not in it."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from cotforge.records import Fault
from cotforge.sources.lines import LONGEST_LINE, Record, numbered_lines

LONGEST_QUOTED = 131_072
"""Characters of a record after its first line: where more follow, a quote is not closed, and the rest of the file would be one cell."""

_SEP = re.compile(r'"?sep=([,;|:^~\t ])"?\s*', re.IGNORECASE)
"""Excel's own first line. Source: Microsoft's support page on importing text files."""

_QUOTED = re.compile(r'"[^"]*"')

# The module's own bound is 131,072 characters per cell, too few for an image in base64. A line is bounded already.
csv.field_size_limit(max(csv.field_size_limit(), LONGEST_LINE))


class _Feed:
    """Sound lines for the CSV reader; broken ones are set aside."""

    def __init__(self, path: Path) -> None:
        self._lines = numbered_lines(path)
        self._again: list[str] = []
        self._taken: int | None = None
        self.at = 0
        """The line last read."""
        self.faults: list[tuple[int, Fault]] = []

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        """Raises csv.Error where a record has become too long."""
        line = self._again.pop() if self._again else self._sound_line()
        if self._taken is not None:
            self._taken += len(line)
            if self._taken > LONGEST_QUOTED:
                raise csv.Error(f"a quoted text runs over more than {LONGEST_QUOTED:,} characters; is a quote not closed?")
        self._taken = self._taken or 0
        return line

    def _sound_line(self) -> str:
        for number, line in self._lines:
            self.at = number
            if isinstance(line, str):
                return line
            self.faults.append((self.at, line))
        raise StopIteration

    def begin(self) -> None:
        """A new record begins."""
        self._taken = None

    def give_back(self, line: str) -> None:
        """The line comes again."""
        self._again.append(line)

    def header(self) -> str:
        """The first line that is not blank; empty where there is none, or a broken one before it."""
        for line in self:
            self.begin()
            if line.strip() or self.faults:
                return "" if self.faults else line
        return ""


def csv_records(path: Path, usual: str) -> Iterator[tuple[int, Record | Fault]]:
    """(line, record), cells parted by `usual` where the file does not tell another; a Fault where a line cannot be read. Raises OSError."""
    feed = _Feed(path)
    line = feed.header()
    if told := _SEP.fullmatch(line):
        line = feed.header()
    yield from feed.faults
    if not line or feed.faults:
        return
    if "\r" in line.rstrip("\r\n"):
        yield feed.at, Fault("line_broken", "lines end in CR alone; save the file with LF or CRLF")
        return
    feed.give_back(line)
    reader = csv.reader(feed, delimiter=told[1] if told else _find_delimiter(line, usual), strict=True)
    header = _read_header(reader)
    if isinstance(header, Fault):
        yield feed.at, header
        return
    while True:
        before = feed.at
        feed.begin()
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
            yield feed.at, _read_record(header, cells)


def _find_delimiter(header: str, usual: str) -> str:
    """The usual one, unless the header lacks it and has another."""
    bare = _QUOTED.sub("", header)
    return usual if usual in bare else max((usual, ",", ";", "\t", "|"), key=bare.count)


def _read_header(reader: "Iterator[list[str]]") -> list[str] | Fault:
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error as err:
        return Fault("line_broken", f"the header cannot be read: {err}")
    if any("\0" in name for name in names):
        return Fault("line_broken", "NULs in the header: UTF-16 without a byte order mark, or no text; save the file as UTF-8")
    return names


def _read_record(header: list[str], cells: list[str] | Fault) -> Record | Fault:
    if isinstance(cells, Fault):
        return cells
    if len(cells) != len(header):
        return Fault("line_broken", f"{len(cells)} cells; the header has {len(header)}")
    return {name: cell or None for name, cell in zip(header, cells, strict=True)}
