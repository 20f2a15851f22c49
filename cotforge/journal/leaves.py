"""The rows of a SQLite file without SQLite: those of every leaf page that is whole, whether or not any other page still leads to it.

SQLite itself finds a row from the root of its table down; where one page on that way is lost, all that lies below it is too.
Source: sqlite.org/fileformat2, sections 1.6 (pages), 2.1 (records), 4.1 (log); walformat, section 2.1 (index of the log).
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PAGE = 16 * 2**10
"""Bytes (ours) of a journal's pages: rows of 4 kB are written a third faster than with SQLite's 4 kB."""
FRAME = 24
"""Bytes of the header of a page in the log."""
TABLE, INDEX = 0x0D, 0x0A
"""First byte of a leaf."""
_MOST = {TABLE: PAGE - 35, INDEX: (PAGE - 12) * 64 // 255 - 23}
_LEAST = (PAGE - 12) * 32 // 255 - 23
_WIDTHS = (0, 1, 2, 3, 4, 6, 8)

Values = tuple[Any, ...]


def leaf_rows(path: Path, log: Path) -> Iterator[tuple[int | None, Values]]:
    """(rowid, values) of each row of any table, and (None, values) of each entry of any index; those in the log first.

    A row may come more than once. What no row can be is left out; what looks like one may still be none.
    """
    if not path.stat().st_size:
        return
    with _map_file(path) as data, _map_file(log) as frames:
        pages = _Pages(data, frames)
        for page, head in pages:
            if len(page) > head + 8 and page[head] in _MOST:
                yield from _page_cells(page, head, page[head], pages)


def broken_off(log: Path, index: Path) -> bool:
    """Whether a log that SQLite has open holds commits behind the last that it will read, because of a fault in the middle.

    One such may be of a commit that power loss cut short; before a second one is begun, the first is on the disk.
    """
    with _map_file(log) as frames:
        if not frames:
            return False
        with index.open("rb") as file:  # the log was looked at first: it may be growing
            (read,) = struct.unpack_from("=I", file.read(20), 16)
        starts, salts = range(32 + read * (PAGE + FRAME), len(frames) - FRAME, PAGE + FRAME), frames[16:24]
        return sum(frames[start + 8 : start + 16] == salts and frames[start + 4 : start + 8] != bytes(4) for start in starts) > 1


@contextmanager
def _map_file(path: Path) -> Iterator[mmap.mmap | bytes]:
    """The bytes of a file, which are not held in memory; none where it is not there."""
    if not path.exists() or not path.stat().st_size:
        yield b""
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


class _Pages:
    """The pages of a file and its log."""

    def __init__(self, data: mmap.mmap | bytes, log: mmap.mmap | bytes) -> None:
        self._data, self._log = data, log
        self.size = len(data) + len(log)
        starts = range(32, len(log) - FRAME, PAGE + FRAME)
        current = log[16:24]  # frames with other salts are left over from an earlier use of the log
        self._frames = {
            _read_number(log, start, 4): start + FRAME for start in sorted(starts, key=lambda start: log[start + 8 : start + 16] == current)
        }

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """(page, where its header begins) of every page, in the log as often as it stands there."""
        for start in range(32 + FRAME, len(self._log), PAGE + FRAME):
            yield self._log[start : start + PAGE], 0
        for start in range(0, len(self._data), PAGE):
            yield self._data[start : start + PAGE], 0 if start else 100

    def __getitem__(self, number: int) -> bytes:
        """The latest content of the page of a number, from 2 on."""
        if number in self._frames:
            return self._log[self._frames[number] : self._frames[number] + PAGE]
        return _cut_bytes(self._data, (number - 1) * PAGE, PAGE)


def _page_cells(page: bytes, head: int, kind: int, pages: _Pages) -> Iterator[tuple[int | None, Values]]:
    for place in range(head + 8, head + 8 + 2 * _read_number(page, head + 3, 2), 2):
        try:
            size, at = _read_varint(page, _read_number(page, place, 2))
            rowid, at = _read_varint(page, at) if kind == TABLE else (None, at)
            values = _record_values(_record_payload(page, at, size, kind, pages))
        except (LookupError, ValueError, struct.error):  # a cell that leads nowhere, a text that is none
            continue
        yield rowid, values


def _record_payload(page: bytes, at: int, size: int, kind: int, pages: _Pages) -> bytes:
    """The bytes of a record; what does not fit into the page lies in a chain of others, each beginning with the number of the next."""
    if size <= _MOST[kind]:
        return _cut_bytes(page, at, size)
    if size > pages.size:  # a chain that leads in a circle would have no end
        raise IndexError
    here = _LEAST + (size - _LEAST) % (PAGE - 4)
    here = here if here <= _MOST[kind] else _LEAST
    parts, following, left = [_cut_bytes(page, at, here)], _read_number(page, at + here, 4), size - here
    while left > 0:
        if following < 2:
            raise IndexError
        more = pages[following]
        parts.append(_cut_bytes(more, 4, min(left, PAGE - 4)))
        following, left = _read_number(more, 0, 4), left - (PAGE - 4)
    return b"".join(parts)


def _record_values(record: bytes) -> Values:
    end, at = _read_varint(record, 0)
    kinds = []
    while at < end:
        kind, at = _read_varint(record, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        width = (kind - 12) // 2 if kind >= 12 else 8 if kind == 7 else _WIDTHS[kind] if kind < 7 else 0
        values.append(_column_value(kind, _cut_bytes(record, at, width)))
        at += width
    return tuple(values)


def _column_value(kind: int, raw: bytes) -> Any:
    if kind >= 12:
        return raw.decode() if kind % 2 else raw
    if kind == 7:
        return struct.unpack(">d", raw)[0]
    if 1 <= kind <= 6:
        return int.from_bytes(raw, "big", signed=True)
    return {0: None, 8: 0, 9: 1}[kind]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of up to nine bytes, seven bits in each but the ninth, and where it ends."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _read_number(data: bytes | mmap.mmap, at: int, width: int) -> int:
    return int.from_bytes(_cut_bytes(data, at, width), "big")


def _cut_bytes(data: bytes | mmap.mmap, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError
    return data[at : at + size]
