"""Files opened without following links and without waiting: a link, pipe, socket, device or folder in a file's place is an error.

A link that somebody else put in a folder would have us read or overwrite what lies elsewhere. Source: open(2), O_NOFOLLOW and O_NONBLOCK.
"""

import errno
import os
import stat
from pathlib import Path

_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFLNK: "is a link, which is not followed; put the file itself in its place",
    stat.S_IFDIR: "is a folder, and a file is wanted",
    stat.S_IFIFO: "is a pipe, and a file is wanted",
    stat.S_IFSOCK: "is a socket, and a file is wanted",
    stat.S_IFCHR: "is a device, and a file is wanted",
    stat.S_IFBLK: "is a device, and a file is wanted",
}
SECOND_NAME = "has a second name (a hard link), under which it would be changed too; put a copy in its place"


def fault_of(found: os.stat_result, *, alone: bool = False) -> str | None:
    """What is wrong with what lies in a file's place, in words that follow its path; None where it is a regular file.

    With `alone`, a file with hard links is wrong too: writing to it in place changes what lies elsewhere.
    """
    if not stat.S_ISREG(found.st_mode):
        return _KINDS.get(stat.S_IFMT(found.st_mode), "is not a file")
    return SECOND_NAME if alone and found.st_nlink > 1 else None


def demand_regular(path: str | os.PathLike[str], *, alone: bool = False) -> bool:
    """Whether there is a file. Raises OSError, whose `strerror` says what lies in its place instead; `alone`: see `fault_of`."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    if fault := fault_of(found, alone=alone):
        raise OSError(errno.EINVAL, fault, os.fspath(path))
    return True


def open_regular(path: str | os.PathLike[str], flags: int = os.O_RDONLY, *, alone: bool = False) -> int:
    """A descriptor of a regular file, made with mode 0600 where `flags` say so. Raises OSError as `demand_regular` does.

    `flags` must not hold O_TRUNC: a file is judged before it is changed.
    """
    try:
        file = os.open(path, flags | _FLAGS, 0o600)
    except OSError:
        demand_regular(path, alone=alone)  # says it better: "too many levels of symbolic links", "no such device"
        raise
    try:
        if fault := fault_of(os.fstat(file), alone=alone):
            raise OSError(errno.EINVAL, fault, os.fspath(path))
        os.set_blocking(file, True)
    except BaseException:
        os.close(file)
        raise
    return file


def read_regular(path: str | os.PathLike[str], *, most: int) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises OSError."""
    with open(open_regular(path), "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"has more than {most:,} bytes", os.fspath(path))
    return data


def open_new(path: str | os.PathLike[str]) -> int:
    """A descriptor to write a new file of mode 0600 by; what an interrupted run left under its name, a link too, is removed first.

    Raises OSError.
    """
    Path(path).unlink(missing_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
