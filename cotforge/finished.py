"""What a finished build was made of and what it left: where neither has changed, the next build is told at once, and asks nothing.

`cache/finished.json` keeps a hash of all that the results follow from, one of the files that hold them, and what a further build says of
them. What no hash can tell of, such as a user's own Python, is built again in full each time.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from hashlib import scrypt, sha256
from pathlib import Path
from typing import Any

from cotforge.errors import JournalError
from cotforge.folder import RunFolder
from cotforge.pipeline import Loaded
from cotforge.records import Gold
from cotforge.redaction import remembered_secrets
from cotforge.regular_files import read_regular
from cotforge.tally.compared_marks import PeopleMarks

FILE = "cache/finished.json"
"""Under the run folder."""
QUIET: dict[str, Any] = {"calls": 0, "calls_failed": 0, "attempts": 0, "stopped": None}
"""What `summary.json` has of an invocation that asked nothing."""
_LARGEST = 1 << 24
"""Bytes of the file that is read."""
_BESIDE = (
    *("summary.json", "report.html", "losses.parquet", "verdicts.parquet", "conflicts.csv", "duplicates.csv"),
    *("refresh.json", "difficulty.parquet", ".cotforge-shards"),
)
"""Files of a run folder beside its dataset that results are written to, or follow from."""


@dataclass
class FinishedMark:
    """The mark of one run folder. `begin` says what is built now; `keep` what the next build of the same may say."""

    folder: RunFolder
    _made_of: str | None = None
    _source: str | None = None
    _told: str | None = None

    def begin(self, loaded: Loaded, people: Gold, marks: PeopleMarks, *options: object) -> None:
        """Note what the results will follow from, but for source and journal; `options` are those of the command."""
        self._made_of = _inputs_hash(loaded, people, marks, (str(self.folder.path), *options)) if _can_tell(loaded) else None

    @property
    def can_tell(self) -> bool:
        """Whether hashes tell of all that is built now, so that a mark may be left of it."""
        return self._made_of is not None

    def recall(self, read_source: Callable[[], str]) -> dict[str, str] | None:
        """The mark, where a build now would leave what is there already. `read_source` reads the source to its end, and gives its hash."""
        kept = self._read()
        if kept is None or self._made_of is None or kept.get("made_of") != self._made_of:
            return None
        if kept.get("files") != _files_hash(self.folder.path) or kept.get("journal") != _journal_stamp(self.folder.journal):
            return None
        return kept if kept.get("source") == read_source() else None

    def keep(self, source: str | None, told: str | None) -> None:
        """Have `write` leave the mark: of a source with this hash, and what the next build says. None: it is not known to be finished."""
        self._source, self._told = source, told

    def write(self) -> None:
        """Write what `keep` was given, once the journal is closed; a disk that is full costs time and nothing else."""
        stamp = _journal_stamp(self.folder.journal)
        if self._made_of is None or self._source is None or self._told is None or stamp is None:
            return
        found = {"made_of": self._made_of, "source": self._source, "journal": stamp, "files": _files_hash(self.folder.path)}
        with suppress(OSError, JournalError):
            self.folder.write(FILE, json.dumps(found | {"told": self._told}))

    def _read(self) -> dict[str, str] | None:
        try:
            found = json.loads(read_regular(self.folder.path / FILE, most=_LARGEST))
        except (OSError, ValueError, RecursionError):
            return None
        sound = isinstance(found, dict) and all(isinstance(value, str) for value in found.values()) and "told" in found
        return found if sound else None


def _can_tell(loaded: Loaded) -> bool:
    """Whether all that the results follow from is hashed: no Python of the user's, and no features of pictures."""
    pipeline = loaded.pipeline
    own = any(":" in bound.measure for bound in pipeline.filters) or any(found.does == "runs" for found in loaded.does)
    return not own and pipeline.consensus.image is None


def _inputs_hash(loaded: Loaded, people: Gold, marks: PeopleMarks, options: object) -> str:
    prompts = [getattr(loaded.prompts, each.name) for each in fields(loaded.prompts)]
    parts = [
        code_hash(),
        loaded.text(),
        loaded.written,
        loaded.pipeline.model_dump_json(by_alias=True),
        repr([(str(prompt.path), prompt.text, prompt.language) for prompt in prompts]),
        repr((sorted(people.answers.items()), sorted(people.ambiguous), sorted(people.drawn.items()), marks)),
        repr((type(loaded), [type(one) for one in loaded.follow_ups()], options)),
    ]
    found = _hash_of(parts)
    secrets = "\0".join(sorted(remembered_secrets())).encode(errors="surrogatepass")  # results are without them
    return scrypt(secrets, salt=bytes.fromhex(found), n=1 << 14, r=8, p=1).hex() if secrets else found


@cache
def code_hash(package: Path = Path(__file__).parent) -> str:
    """Of a package, file by file, of Python, and of the names and versions of all that is installed."""
    files = sorted(path for path in package.rglob("*") if path.suffix != ".pyc" and path.is_file())
    installed = {name for folder in sys.path for name in _names_in(folder) if name.endswith((".dist-info", ".egg-info"))}
    code = [sha256(path.read_bytes()).hexdigest() + str(path.relative_to(package)) for path in files]
    return _hash_of([sys.version, *sorted(installed), *code])


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []


def _journal_stamp(path: Path) -> str | None:
    """By which a change of the journal shows; None while some of it is in the log beside it."""
    try:
        log = os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        log = 0
    return None if log else _file_stamp(path)


def _files_hash(run: Path) -> str:
    """Of where the files of the results lie on the disk, how long they are, and when they were written last."""
    return _hash_of(_result_stamps(run))


def _result_stamps(run: Path) -> Iterator[str]:
    for name in _BESIDE:
        yield f"{name} {_file_stamp(run / name)}"
    for folder, folders, names in os.walk(run / "dataset"):
        folders.sort()
        for name in sorted(names):
            yield f"{os.path.relpath(os.path.join(folder, name), run)} {_file_stamp(Path(folder, name))}"


def _file_stamp(path: Path) -> str:
    """Of one file; no program can set the time of its last change (`ctime`)."""
    try:
        found = os.lstat(path)
    except OSError:
        return "none"
    return f"{found.st_dev} {found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def _hash_of(parts: Iterable[str]) -> str:
    found = sha256()
    for part in parts:
        data = part.encode(errors="surrogatepass")
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()
