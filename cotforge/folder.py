"""The run folder: where everything of one run lies, and who may write to it."""

import fcntl
import json
import os
import re
import shlex
import socket
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self

import yaml

from cotforge import layout
from cotforge.atomic import write_whole
from cotforge.errors import JournalError, in_words, show_value
from cotforge.redaction import redact_text
from cotforge.regular_files import demand_regular, open_regular, read_regular

LARGEST = {"pipeline.yaml": 4 << 20, "refresh.json": 1 << 20, "summary.json": 16 << 20, "report.html": 256 << 20}
"""Bytes that are read of each file that a run folder keeps from one command to the next; what cotforge writes stays far below."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RunFolder:
    """A run folder held by this process alone: the lock dies with it.

    The folder itself may be reached by a link, because its user named it; nothing in it may be one.
    Raises JournalError where another process holds the folder, where it belongs to another pipeline, where it cannot be written, or where
    something in it is not what cotforge leaves there: a link, a pipe, a folder in a file's place, a damaged file. Nothing is changed then.
    """

    PIPELINE = "pipeline.yaml"

    def __init__(self, path: Path, *, name: str | None = None) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.demand_sound()
            self._lock = open_regular(path / "lock", os.O_CREAT | os.O_RDWR, alone=True)
        except OSError as fault:
            raise JournalError(f"{path}: {fault.strerror}; choose another folder with --out") from fault
        self._hold_lock()
        try:
            owner = self.owner()
            if name is not None and owner not in (None, name):
                raise JournalError(f"{path}: belongs to the pipeline {owner!r}, not to {name!r}; choose another folder with --out")
            self._demand_readable()
            self._close_to_others()
        except JournalError:
            os.close(self._lock)
            raise

    def demand_sound(self) -> None:
        """Raises JournalError where something in the folder is not of its kind, OSError where it cannot be read.

        For a folder that others can write to, again before something in it is removed.
        """
        found = [f"{path}: {fault}; or choose another folder with --out" for path, fault in islice(layout.layout_faults(self.path), _TOLD)]
        if found:
            raise JournalError(*found)

    def _demand_readable(self) -> None:
        """Raises JournalError where a file that a later part of a command reads is damaged: before anything is paid for."""
        self.marks()
        self.read_object("summary.json")
        self.read("report.html")

    def _close_to_others(self) -> None:
        """Make an empty folder that was there before its owner's alone; one that holds something is left as it is, and told of."""
        found = os.stat(self.path)
        if found.st_mode & 0o077 and found.st_uid == os.geteuid() and {entry.name for entry in os.scandir(self.path)} == {"lock"}:
            os.chmod(self.path, 0o700)

    def notes(self) -> list[str]:
        """Lines for the user about who else can enter the folder; none where nobody can."""
        found = os.stat(self.path)
        if found.st_uid != os.geteuid():
            return [f"{self.path}: belongs to another user, who can read and change all that is in it"]
        if mode := stat.S_IMODE(found.st_mode) & 0o077:
            can = "read and change" if mode & 0o022 else "read" if mode & 0o044 else "enter"
            return [
                f"{self.path}: other users can {can} it (mode {stat.S_IMODE(found.st_mode):o}); "
                f"it is left as it was: `chmod 700 {shlex.quote(str(self.path))}` makes it yours alone"
            ]
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def _hold_lock(self) -> None:
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
        return name_in(self.path)

    def read(self, name: str) -> str | None:
        """The text of a file in the folder; None where it is not there. Raises JournalError where it is too large, or no text."""
        return read_kept(self.path / name)

    def read_object(self, name: str) -> dict[str, Any] | None:
        """The JSON object in a file of the folder; None where it is not there. Raises JournalError where it holds something else."""
        if (text := self.read(name)) is None:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as fault:
            raise _damaged_file(self.path / name, f"not JSON: {in_words(fault)}") from fault
        if not isinstance(found, dict):
            raise _damaged_file(self.path / name, f"a JSON {type(found).__name__}, and an object is wanted")
        return found

    def write_object(self, name: str, found: Mapping[str, Any]) -> None:
        """Put a JSON object in place, as `write` does."""
        self.write(name, json.dumps(found, indent=2, ensure_ascii=False) + "\n")

    def marks(self) -> dict[str, int]:
        """What `refresh.json` holds: attempts by teacher. Raises JournalError where it holds something else."""
        found = self.read_object("refresh.json") or {}
        if not all(type(mark) is int for mark in found.values()):
            raise _damaged_file(self.path / "refresh.json", "not every teacher in it has the number of an attempt")
        return found

    def write(self, name: str, text: str) -> None:
        """Put a text file in place by rename, so that it is never half there, and without credentials. Raises JournalError on a full disk.

        The pipeline stays as it is: it holds none (`Loaded.load`), and is read again.
        """
        target = self.path / name
        try:
            demand_regular(target)
            write_whole(target, text if name == self.PIPELINE else redact_text(text))
        except OSError as fault:
            raise JournalError(f"{target}: {fault.strerror}; make room, then run the same command again") from fault


_TOLD = 10
"""Faults of a run folder that have a line of their own."""


def read_kept(path: Path) -> str | None:
    """The text of a file that a run folder keeps; None where it is not there. Raises JournalError where it is too large, or no text."""
    try:
        return read_regular(path, most=LARGEST[path.name]).decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise _damaged_file(path, fault.strerror or str(fault)) from fault
    except UnicodeDecodeError as fault:
        raise _damaged_file(path, f"not UTF-8 from byte {fault.start}") from fault


def name_in(run: Path) -> str | None:
    """The `name` of the pipeline that a run folder keeps; None where it keeps none. Raises JournalError where that cannot be read."""
    path = run / RunFolder.PIPELINE
    if (text := read_kept(path)) is None:
        return None
    try:
        name = next(_names_in_yaml(yaml.parse(text, Loader=_Loader)), None)
    except yaml.YAMLError as fault:
        raise _damaged_file(path, in_words(fault)) from fault
    if name is None:
        raise _damaged_file(path, "it is no pipeline, which starts with 'name: ...'")
    return name


def _damaged_file(path: Path, what: str) -> JournalError:
    return JournalError(f"{path}: cannot be read: {what}; is this a run folder? move the file away, or choose another folder with --out")


def _names_in_yaml(events: Iterable[yaml.Event]) -> Iterator[str]:
    """Every text beside a key `name` of the mapping that the events are of. Nothing is built of them, so that no alias can multiply."""
    depth, key = 0, None
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.NodeEvent):
            if depth == 0 and not isinstance(event, yaml.MappingStartEvent):
                return
            if depth == 1:
                value = getattr(event, "value", None)
                if key == "name" and value is not None:
                    yield str(value)
                key = (value or "") if key is None else None
            depth += isinstance(event, yaml.CollectionStartEvent)


def demand_apart(run: Path, data: Path) -> None:
    """Raises JournalError where a new run folder would lie among the data, and be read as data then."""
    if not data.is_dir() or not run.is_dir() or (run / "journal.sqlite").exists():
        return
    place, top = run.resolve(), data.resolve()
    if place == top:
        raise JournalError(f"--out {run}: is the source; choose a folder outside it")
    if place.is_relative_to(top) and any(not layout.is_own_name(entry.name) for entry in run.iterdir()):
        raise JournalError(f"--out {run}: lies in the source and holds other files; choose a folder outside it")


def run_folders(place: Path) -> list[str]:
    """The names of the run folders in a folder, sorted."""
    try:
        return sorted(entry.name for entry in place.iterdir() if (entry / RunFolder.PIPELINE).is_file())
    except OSError:
        return []


def list_beside(missing: Path, found: Sequence[str]) -> str:
    """What lies where something is looked for, in words; empty where nothing does."""
    return f"{missing.parent}/ has: {', '.join(found[:_TOLD])}{', ...' * (len(found) > _TOLD)}" if found else ""


def no_run(run: Path) -> str:
    """What to say of a path that is no run folder."""
    beside = "" if run.exists() else list_beside(run, run_folders(run.parent))
    return f"{run}: is not a run folder; {beside or f'there is no {RunFolder.PIPELINE} in it'}"


def safe_name(name: str) -> str:
    """`name` unchanged; raises ValueError where it could not be the name of a folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ValueError(f"{show_value(name)} cannot name a folder; letters, digits, '.', '_' and '-' can")
    return name
