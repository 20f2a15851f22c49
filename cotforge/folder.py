"""The run folder: where everything of one run lies, and who may write to it."""

import fcntl
import os
import re
import socket
from pathlib import Path
from typing import Self

from cotforge import bounded_yaml
from cotforge.bounded_yaml import YamlError
from cotforge.errors import JournalError, shown


class RunFolder:
    """A run folder held by this process alone: the lock dies with it.

    Raises JournalError where another process holds the folder, where it belongs to another pipeline, or where it cannot be written.
    """

    PIPELINE = "pipeline.yaml"

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as fault:
            raise JournalError(f"{path}: {fault.strerror}; choose another folder with --out") from fault
        self._hold()
        try:
            owner = self.owner()
            if name is not None and owner not in (None, name):
                raise JournalError(f"{path}: belongs to the pipeline {owner!r}, not to {name!r}; choose another folder with --out")
        except JournalError:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def _hold(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            holder = os.read(self._lock, 200).decode("utf-8", "replace").strip()
            os.close(self._lock)
            raise JournalError(
                f"{self.path}: in use by {holder or 'another process'}; wait for it, or choose another folder with --out"
            ) from fault
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def pipeline(self) -> Path:
        return self.path / self.PIPELINE

    @property
    def dataset(self) -> Path:
        return self.path / "dataset"

    def owner(self) -> str | None:
        """The `name` of the pipeline that this folder belongs to; None for a new one."""
        try:
            held = bounded_yaml.load(bounded_yaml.read_text(self.pipeline))
        except FileNotFoundError:
            return None
        except (OSError, YamlError) as fault:
            raise JournalError(f"{self.pipeline}: cannot be read: {' '.join(str(fault).split())}; is this a run folder?") from fault
        return str(held["name"]) if isinstance(held, dict) and "name" in held else None

    def write(self, name: str, text: str) -> None:
        """Put a text file in place by rename, so that it is never half there. Raises JournalError on a full disk."""
        target = self.path / name
        passing = target.with_name(f".{target.name}.new")
        try:
            passing.write_text(text, encoding="utf-8")
            passing.replace(target)
        except OSError as fault:
            raise JournalError(f"{target}: {fault.strerror}; make room, then run the same command again") from fault


def safe_name(name: str) -> str:
    """`name` unchanged; raises ValueError where it could not be the name of a folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(f"{shown(name)} cannot name a folder; letters, digits, '.', '_' and '-' can")
    return name
