"""Lines for a person that are not a result, and where progress is shown.

They go to the logger `cotforge`, which shows nothing by itself: a library prints nothing. The command shows them with `shown_on_stderr`.
Source: https://docs.python.org/3/howto/logging.html#configuring-logging-for-a-library
"""

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cotforge.errors import printable_line

if TYPE_CHECKING:
    from rich.console import Console

LOGGER = logging.getLogger("cotforge")
LOGGER.addHandler(logging.NullHandler())  # without a handler Python prints warnings on stderr


class _StderrLines(logging.Handler):
    """Each line on stderr, without level or time; `sys.stderr` is looked up for each, because tests and notebooks replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(printable_line(record.getMessage()) + "\n")
        sys.stderr.flush()


class _Collector(logging.Handler):
    """Keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(printable_line(record.getMessage()))


_STDERR = _StderrLines()


def give_notice(line: str) -> None:
    """Tell a person something that is no result, without credentials."""
    LOGGER.warning("%s", printable_line(line))


def give_notices(lines: Iterable[str]) -> None:
    """The same for each line."""
    for line in lines:
        give_notice(line)


@contextmanager
def shown_on_stderr() -> Iterator[None]:
    """Inside, notices are lines on stderr, and progress is shown there. For the whole process; may be nested."""
    if _STDERR in LOGGER.handlers:
        yield
        return
    before, LOGGER.propagate = LOGGER.propagate, False  # a library may have given the root logger a handler, and each line came twice
    LOGGER.addHandler(_STDERR)
    try:
        yield
    finally:
        LOGGER.removeHandler(_STDERR)
        LOGGER.propagate = before


@contextmanager
def collected_notices() -> Iterator[list[str]]:
    """The notices that are given inside, as they come."""
    collector = _Collector()
    LOGGER.addHandler(collector)
    try:
        yield collector.lines
    finally:
        LOGGER.removeHandler(collector)


def progress_console() -> "Console":
    """Where progress is shown: stderr inside `shown_on_stderr`, else nowhere."""
    from rich.console import Console  # 0.1 s

    return Console(stderr=True, quiet=_STDERR not in LOGGER.handlers)
