"""A file that is one list of JSON objects, maybe pretty-printed, item by item: LLaVA's form, and what `json.dump` writes."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cotforge.records import Fault
from cotforge.sources.lines import LONGEST_LINE, Record, as_record, is_utf16

_CHUNK = 1 << 20
_HEAD = 4_096
_LIST = re.compile(r"\s*\[\s*(?:\{|\Z)")
_BETWEEN = re.compile(r"[\s,]*")


def is_list(path: Path) -> bool:
    """Whether the file begins as a list of objects. Raises OSError."""
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return _LIST.match(head.decode("utf-16" if is_utf16(head) else "utf-8-sig", errors="replace")) is not None


def listed_records(path: Path) -> Iterator[tuple[int, Record | Fault]]:
    """(line on which it begins, record) of each item; last a Fault where the list breaks off. Raises OSError.

    Holds one item at a time, of at most 16 MiB, beside a buffer of about its size.
    """
    with open(path, "rb") as file:
        utf16 = is_utf16(file.peek(2))
    with open(path, encoding="utf-16" if utf16 else "utf-8-sig", newline="\n") as text:
        window = _Window(text)
        try:
            yield from _list_items(window)
        except UnicodeError as err:
            yield window.line, Fault("line_not_utf8", f"{err}; the rest is not read; save the file as UTF-8")


class _Window:
    """The part of a text that is looked at."""

    def __init__(self, text: IO[str]) -> None:
        self._text = text
        self.held = ""
        self.at = 0
        """Where in `held` reading stands."""
        self.line = 1
        """Of the file."""

    def more(self) -> bool:
        """Holds more of the text, as much again as is not read yet; False at its end."""
        left = self.held[self.at :]
        new = self._text.read(max(_CHUNK, len(left)))
        self.held, self.at = left + new, 0
        return bool(new)

    def passed(self, end: int) -> None:
        """Goes on to a place in `held`."""
        self.line += self.held.count("\n", self.at, end)
        self.at = end

    def ahead(self) -> str:
        """The next character that is neither space nor comma; empty at the end."""
        while True:
            found = _BETWEEN.match(self.held, self.at)
            self.passed(found.end() if found else self.at)
            if self.at < len(self.held) or not self.more():
                return self.held[self.at : self.at + 1]


def _list_items(window: _Window) -> Iterator[tuple[int, Record | Fault]]:
    window.ahead()
    window.passed(window.at + 1)  # the bracket
    while (ahead := window.ahead()) not in ("]", ""):
        line = window.line
        item = _next_item(window)
        yield line, item if isinstance(item, Fault) else as_record(item[0])
        if isinstance(item, Fault):
            return
    if not ahead:
        yield window.line, Fault("line_not_json", "the file ends before its list does")
        return
    window.passed(window.at + 1)
    if window.ahead():
        yield window.line, Fault("line_not_json", "more follows after the end of the list; it is not read")


def _next_item(window: _Window) -> tuple[object] | Fault:
    """The item that begins here, in a tuple; a Fault where it is broken, which hides where the next one begins."""
    decoder, whole = json.JSONDecoder(), False
    while True:
        try:
            item, end = decoder.raw_decode(window.held, window.at)
            if whole or end < len(window.held):  # else a number might go on
                window.passed(end)
                return (item,)
            why = ""
        except RecursionError as err:
            return _broken_item(str(err))
        except ValueError as err:
            why = err.msg if isinstance(err, json.JSONDecodeError) else str(err)
        if whole or len(window.held) - window.at > LONGEST_LINE:
            return _broken_item(why)
        whole = not window.more()


def _broken_item(why: str) -> Fault:
    return Fault(
        "line_not_json", f"an item of the list is not JSON, or longer than {LONGEST_LINE:,} characters: {why}; the rest is not read"
    )
