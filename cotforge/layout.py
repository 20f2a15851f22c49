"""What may lie in a run folder, and of which kind: looked at before anything in it is read or written, so that no link leads out of it.

A run folder may have been received from somebody, or may lie where others can write. What cotforge never touches may be anything.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from cotforge.regular_files import fault_of

FILES = frozenset(
    "lock pipeline.yaml summary.json refresh.json losses.parquet report.html conflicts.csv gold.csv gold.html gold-to-fill.csv "
    "what-if.csv what-if.html journal.sqlite .cotforge-shards".split()
)
"""Directly in a run folder."""
_MORE_FILES = re.compile(
    r"journal(\.damaged-\d+|\.salvaged?)?\.sqlite(-wal|-shm|-journal|-damaged)?"  # of SQLite, and of a salvage
    rf"|\.(?:{'|'.join(map(re.escape, sorted(FILES)))})\.(?:new|\d+)"  # being written
    r"|\.cotforge-.*\.part"
)
FOLDERS = frozenset("dataset dataset/data dataset/traces dataset/preference cache cache/sent cache/spool batches eval train train/cache".split())
"""Everything below these is cotforge's own."""
_OF_FILES = frozenset("dataset/data dataset/traces dataset/preference cache/sent cache/spool batches eval".split())
"""They hold no folders."""
_FILE_NAME = re.compile(r".+\.(parquet|json|jsonl|csv|md|sqlite|sqlite-wal|sqlite-shm|safetensors|part)(\.new)?")
"""Of what is a file, wherever it lies; the folders of training have other names."""
_STAGE = re.compile(r"train/(smoke/)?[^/]+")
"""Of a stage's folder, which bears a name that its user chose."""
_IN_PLACE = re.compile(r"lock|journal\.sqlite.*|cache/images\.sqlite.*|batches/.*|train/.*\.jsonl")
"""What is written to in place, where all else is replaced by renaming: a hard link would have another file changed too."""


def faults(run: Path) -> Iterator[tuple[Path, str]]:
    """(path, what is wrong with it) of all in a run folder that is not of its kind. Raises OSError where a folder cannot be read."""
    with os.scandir(run) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name in FOLDERS or entry.name in FILES or _MORE_FILES.fullmatch(entry.name):
                yield from _faults(entry, entry.name)


def known(name: str) -> bool:
    """Whether a name directly in a run folder is one of cotforge's."""
    return name in FOLDERS or name in FILES or _MORE_FILES.fullmatch(name) is not None


def _faults(entry: os.DirEntry[str], name: str) -> Iterator[tuple[Path, str]]:
    """Of one entry, `name` being its path in the run folder, and of all below it."""
    if entry.is_dir(follow_symlinks=False):
        if _is_file(name):
            yield Path(entry.path), "is a folder, and a file is wanted"
            return
        with os.scandir(entry) as entries:
            for below in entries:
                yield from _faults(below, f"{name}/{below.name}")
    elif name in FOLDERS and not entry.is_symlink():
        yield Path(entry.path), "is no folder, and one is wanted"
    elif not entry.is_file(follow_symlinks=False) or _IN_PLACE.fullmatch(name):
        if fault := fault_of(entry.stat(follow_symlinks=False), alone=True):
            yield Path(entry.path), fault


def _is_file(name: str) -> bool:
    above, _, last = name.rpartition("/")
    if name in FOLDERS:
        return False
    if not above or above in _OF_FILES:
        return True
    return _FILE_NAME.fullmatch(last) is not None and not _STAGE.fullmatch(name)
