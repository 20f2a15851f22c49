"""JSON lines, lists of JSON objects, CSV and TSV, record by record with the line each stands on, in constant memory."""

import codecs
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from cotforge.records import Fault

LONGEST_LINE = 16 << 20
"""Bytes; a longer line is passed over without being held in memory."""

Record = dict[str, Any]


def numbered_lines(path: Path) -> Iterator[tuple[int, str | Fault]]:
    """(number from 1, line) with its end, of a file in UTF-8, or in UTF-16 with its byte order mark. Raises OSError."""
    with open(path, "rb") as file:
        yield from _utf16_lines(file) if is_utf16(file.peek(2)) else _utf8_lines(file)


def is_utf16(head: bytes) -> bool:
    """Whether a file that begins so is UTF-16, as Excel's "Unicode text"."""
    return head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def _utf8_lines(file: BinaryIO) -> Iterator[tuple[int, str | Fault]]:
    number = 0
    while raw := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            while raw and not raw.endswith(b"\n"):
                raw = file.readline(1 << 20)
            yield number, _too_long()
            continue
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as err:
            said = f"not UTF-8 from byte {err.start}; save the file as UTF-8 (it may be in cp1252)"
            yield number, Fault("line_not_utf8", said)


def _utf16_lines(file: BinaryIO) -> Iterator[tuple[int, str | Fault]]:
    number = 0
    with io.TextIOWrapper(file, encoding="utf-16", newline="\n") as text:
        try:
            while line := text.readline(LONGEST_LINE + 1):
                number += 1
                too_long = len(line) > LONGEST_LINE
                while too_long and line and not line.endswith("\n"):
                    line = text.readline(1 << 20)
                yield number, _too_long() if too_long else line
        except UnicodeError as err:
            said = f"the byte order mark says UTF-16, but: {err}; the rest is not read; save the file as UTF-8"
            yield number + 1, Fault("line_not_utf8", said)


def _too_long() -> Fault:
    return Fault("line_too_long", f"more than {LONGEST_LINE:,} bytes in one line")


def json_lines(path: Path) -> Iterator[tuple[int, Record | Fault]]:
    """(line, record) of JSON lines; a Fault where that line cannot be read. Raises OSError."""
    for number, line in numbered_lines(path):
        if isinstance(line, Fault):
            yield number, line
        elif line.strip():
            yield number, _json_record(line)


def _json_record(line: str) -> Record | Fault:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as err:
        return Fault("line_not_json", f"not JSON: {str(err)[:200]}; JSON lines hold one object per line")
    return as_record(record)


def as_record(value: object) -> Record | Fault:
    """A JSON value, or the Fault that it is no object."""
    if isinstance(value, dict):
        return value
    return Fault("line_not_an_object", f'a JSON {type(value).__name__}; an object is wanted: {{"image": ..., "label": ...}}')
