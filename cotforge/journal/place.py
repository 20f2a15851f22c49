"""Where a journal can be kept: not on a network file system."""

import os
import re
from pathlib import Path

from cotforge.errors import JournalError

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ceph", "9p2000"})
"""File systems without the shared memory that SQLite's WAL needs."""


def refuse_remote(folder: Path) -> None:
    """Raise JournalError where `folder` lies on a network file system (Linux; elsewhere nothing is known and nothing refused)."""
    try:
        lines = os.fsdecode(Path("/proc/mounts").read_bytes()).split("\n")
    except OSError:
        return
    mounts = [(_unescape_field(at), kind) for _, at, kind, *_ in (line.split(" ") for line in lines if line)]
    kind = max(((len(at), kind) for at, kind in mounts if folder.resolve().is_relative_to(at)), default=(0, ""))[1]
    if kind in REMOTE:
        raise JournalError(f"{folder}: is on {kind}, where SQLite's log is not safe; choose a folder on a local disk with --out")


def _unescape_field(field: str) -> str:
    r"""A field of /proc/mounts, in which a blank is \040, a tab \011, a line's end \012 and a backslash \134."""
    return re.sub(r"\\([0-3][0-7]{2})", lambda found: chr(int(found[1], 8)), field)
