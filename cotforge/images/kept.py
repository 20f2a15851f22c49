"""Image bytes that a run keeps as files under its `cache/`, named by their content, whole or not there at all."""

import os
import tempfile
from pathlib import Path
from typing import BinaryIO, cast

from cotforge.atomic import write_whole
from cotforge.errors import JournalError

SENT = "cache/sent"
"""Bytes that are sent and lie in no other file: recoded ones, and under `via: file` those out of a tar, a parquet file, or cut."""

SPOOL = "cache/spool"
"""Bytes that cannot be asked for again."""

_MODE = 0o644
"""The folders are their owner's alone; who opens them to a server of another user need not touch each file, nor those to come."""


def sent_path(folder: Path, digest: str, mime: str) -> str:
    """Where under a run folder these bytes lie, or will: absolute, with the ending that belongs to their kind."""
    return os.path.join(os.path.abspath(folder), SENT, f"{digest}.{mime.rpartition('/')[2]}")


def make_folder(folder: Path) -> None:
    """The folder, readable by its owner only. Raises JournalError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise JournalError(f"{folder}: {err.strerror}; the run folder has to be one that can be written") from err


def write_file(path: str, data: bytes) -> None:
    """A file, put in its place by renaming. Raises JournalError where the disk does not take it."""
    try:
        write_whole(Path(path), data, shared=True, mode=_MODE)
    except OSError as err:
        raise JournalError(f"{path}: {err.strerror}; make room, or see that the folder can be written") from err


def unnamed_file(folder: Path) -> BinaryIO:
    """A new file in a run folder's cache that is gone once it is closed, or its process ends. Raises JournalError."""
    try:
        return cast(BinaryIO, tempfile.TemporaryFile(dir=folder / "cache"))
    except OSError as err:
        raise JournalError(f"{folder}: {err.strerror}; make room, or see that the folder can be written") from err
