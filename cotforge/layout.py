"""What may lie in a run folder, and of which kind: looked at before anything in it is read or written, so that no link leads out of it.

A run folder may have been received from somebody, or may lie where others can write. What cotforge never touches may be anything.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from cotforge.regular_files import fault_of

_NAMES = (
    r"lock|gold\.lock|pipeline\.yaml|summary\.json|refresh\.json|losses\.parquet|verdicts\.parquet|difficulty\.parquet|report\.html|"
    r"conflicts\.csv|duplicates\.csv|gold\.(?:csv|html)|gold-to-fill\.csv|audit\.csv|what-if\.(?:csv|html)|\.cotforge-shards(?:\.begun)?"
)
_FILES = re.compile(
    rf"{_NAMES}|\.(?:{_NAMES})\.(?:new|\d+)|\.cotforge-.*\.part"  # in place, or being written
    r"|journal(?:\.damaged-\d+|\.salvaged?)?\.sqlite(?:-wal|-shm|-journal|-damaged)?"  # of SQLite, and of a salvage
)
"""Directly in a run folder."""
_OF_FILES = frozenset(
    {"dataset/data", "dataset/traces", "dataset/preference", "dataset/assets"}
    | {"cache/sent", "cache/spool", "cache/learned", "batches", "eval"}
)
"""Folders that hold no others."""
FOLDERS = _OF_FILES | {"dataset", "cache", "train", "train/cache"}
"""Everything below these is cotforge's own."""
_FILE_NAME = re.compile(r".+\.(parquet|json|jsonl|csv|md|sqlite|sqlite-wal|sqlite-shm|safetensors|part)(\.new)?")
"""Of what is a file, wherever it lies; the folders of training have other names."""
_STAGE = re.compile(r"train/(smoke/)?[^/]+")
"""Of a stage's folder, which bears a name that its user chose."""
_IN_PLACE = re.compile(r"lock|gold\.lock|journal\.sqlite.*|cache/[^/]*\.sqlite.*|batches/.*|train/.*\.jsonl|\.cotforge-shards\.begun")
"""What is written to in place, where all else is replaced by renaming: a hard link would have another file changed too."""


def is_own_name(name: str) -> bool:
    """Whether cotforge itself puts something of this name directly into a run folder."""
    return name in FOLDERS or _FILES.fullmatch(name) is not None


def layout_faults(run: Path) -> Iterator[tuple[Path, str]]:
    """(path, what is wrong with it) of all in a run folder that is not of its kind. Raises OSError where a folder cannot be read."""
    with os.scandir(run) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if is_own_name(entry.name):
                yield from _entry_faults(entry, entry.name)


def _entry_faults(entry: os.DirEntry[str], name: str) -> Iterator[tuple[Path, str]]:
    """Of one entry, `name` being its path in the run folder, and of all below it."""
    fault = None
    if entry.is_dir(follow_symlinks=False):
        if not _is_file(name):
            with os.scandir(entry) as entries:
                for below in entries:
                    yield from _entry_faults(below, f"{name}/{below.name}")
            return
        fault = "is a folder, and a file is wanted"
    elif name in FOLDERS and not entry.is_symlink():
        fault = "is no folder, and one is wanted"
    elif not entry.is_file(follow_symlinks=False) or _IN_PLACE.fullmatch(name):
        try:
            fault = fault_of(entry.stat(follow_symlinks=False), alone=True)
        except FileNotFoundError:  # gone since it was listed: a process that only looks at the run closes SQLite's log of a cache
            return
    if fault:
        yield Path(entry.path), fault


def _is_file(name: str) -> bool:
    above, _, last = name.rpartition("/")
    if name in FOLDERS:
        return False
    if not above or above in _OF_FILES:
        return True
    return _FILE_NAME.fullmatch(last) is not None and not _STAGE.fullmatch(name)
