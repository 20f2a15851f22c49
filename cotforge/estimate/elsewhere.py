"""Run folders elsewhere that hold answers to the very Calls that are about to be paid for, as after a run from another directory."""

import os
import shlex
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from itertools import chain, islice
from pathlib import Path

from cotforge.errors import JournalError
from cotforge.folder import name_in
from cotforge.forge import PendingSample
from cotforge.journal import Journal
from cotforge.layout import layout_faults
from cotforge.pipeline import Loaded
from cotforge.records import Fault

PARENTS = 4
"""Folders above the pipeline file, and above the present directory, whose `runs` are looked at."""
FOLDERS = 200
"""Entries of a `runs` folder that are looked at."""
AT_ONCE = 500
"""Keys in one query."""


def answered_elsewhere(loaded: Loaded, works: Iterable[PendingSample | Fault], journal: Journal) -> list[str]:
    """A line for each other run folder of this pipeline with answers to Calls of these Works that `journal` never had one to.

    Looks beside the pipeline file, in the present directory, and above both, at files of this user alone; changes nothing there.
    """
    if not (found := list(_other_journals(loaded, journal.path))):
        return []
    keys: set[str] = set()
    for work in works:
        if isinstance(work, PendingSample) and work.calls:
            here = journal.replies(call.key for _, call in work.calls)
            keys |= {call.key for _, call in work.calls if call.key not in here or here[call.key].error is not None}
    counts = {other.parent: _count_answers(other, keys) for other in found} if keys else {}
    return [
        f"{folder}: this run folder has answers to {count:,} of the first {len(keys):,} calls that this run lacks; "
        f"--out {shlex.quote(str(folder))} goes on there and asks only the others"
        for folder, count in counts.items()
        if count and _can_go_on(folder, loaded.pipeline.name)
    ]


def _other_journals(loaded: Loaded, here: Path) -> Iterator[Path]:
    seen = {here.resolve()}
    for base in dict.fromkeys(chain.from_iterable(_parent_folders(start) for start in (loaded.root.resolve(), Path.cwd()))):
        for folder in (base / loaded.pipeline.name, *_run_folders(base / "runs")):
            journal = folder / "journal.sqlite"
            if journal not in seen and _is_own_file(journal):
                seen.add(journal)
                yield journal


def _parent_folders(start: Path) -> list[Path]:
    return [start, *start.parents[:PARENTS]]


def _run_folders(runs: Path) -> list[Path]:
    try:
        with os.scandir(runs) as entries:
            return sorted(Path(entry.path) for entry in islice(entries, FOLDERS) if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _is_own_file(path: Path) -> bool:
    """Whether it is a file, no link, of this user: a journal of somebody else is not opened."""
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not path.parent.is_symlink()


def _can_go_on(folder: Path, name: str) -> bool:
    """Whether a build of the pipeline of this name would be let in: it is refused in a folder of another one, or where something is odd."""
    try:
        return name_in(folder) in (None, name) and os.access(folder, os.W_OK) and next(iter(layout_faults(folder)), None) is None
    except (JournalError, OSError):
        return False


def _count_answers(journal: Path, keys: Iterable[str]) -> int:
    """How many of the Calls have a text in a journal of any version; 0 where it cannot be read."""
    log = journal.with_name(f"{journal.name}-wal")
    # Where the log holds nothing, SQLite need not make files beside the journal in order to read it.
    mode = "mode=ro" if log.exists() and log.stat().st_size else "immutable=1"
    count, wanted = 0, sorted(keys)
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{journal.as_uri()}?{mode}", uri=True, timeout=1)) as connection:
        for place in range(0, len(wanted), AT_ONCE):
            some = [bytes.fromhex(key) for key in wanted[place : place + AT_ONCE]]
            query = f"SELECT count(DISTINCT key) FROM replies WHERE key IN ({','.join('?' * len(some))}) AND final AND error IS NULL"
            count += connection.execute(query, some).fetchone()[0]
    return count
