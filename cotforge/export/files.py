"""Files that appear whole, under their name, or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Self

PREFIX, SUFFIX = ".cotforge-", ".part"


class Staged:
    """A file being written under a temporary name, mode 0600; leaving the `with` unsettled removes it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=folder)
        self.path = Path(name)
        self.file = os.fdopen(handle, "w+b")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # bytes still buffered for a full disk: the file goes anyway
            self.file.close()
        self.path.unlink(missing_ok=True)

    def settle(self, name: str) -> Path:
        """Make the bytes durable, then give the file its name in the same folder; one of that name is replaced."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        path = self.path.replace(self.path.with_name(name))
        sync_folder(path.parent)
        return path


def sync_folder(folder: Path) -> None:
    """Make a folder's renames durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep_folder(folder: Path, *, pattern: str) -> None:
    """Remove the files of `folder` that match, and the folder itself once it is empty."""
    for path in folder.glob(pattern):
        path.unlink()
    remove_empty(folder)


def remove_empty(folder: Path) -> None:
    """Remove a folder that is there and holds nothing."""
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
